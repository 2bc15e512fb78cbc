/* SPDX-License-Identifier: Apache-2.0 */
/* The training itself left to a cluster: ratings by numbers go out, factors come back. */
#include "recsys_job.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "recsys:memory", 0, "out of memory");
}

void recsys_pq_keys_end(struct recsys_pq_keys *k)
{
    ccz_pq_crypt_free(k->crypt);
    ccz_pq_keytools_free(k->tools);
}

/* `name`: the AAD prefix that files get, or must have; NULL: none. */
static ccz_rc pq_keys_begin(struct recsys_pq_keys *k, struct recsys_session *s, const char *spec,
                            const char *name, bool reading, struct ccz_err *err)
{
    *k = (struct recsys_pq_keys){0};
    recsys_master_init(&k->master, s, spec);
    k->names[0] = k->master.name;
    ccz_rc rc = ccz_pq_keytools_new(
        &k->tools, &(struct ccz_pq_keytools_cfg){.kms = recsys_master_kms(&k->master)}, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_span prefix = name ? ccz_span_str(name) : CCZ_SPAN(NULL, 0);
    const struct ccz_pq_decrypt_cfg open_cfg = {
        .keytools = k->tools, .master_keys = k->names, .master_keys_len = 1, .aad_prefix = prefix};
    const struct ccz_pq_encrypt_cfg seal_cfg = {
        .keytools = k->tools, .footer = {.master_key = k->master.name}, .aad_prefix = prefix};
    return reading ? ccz_pq_decrypt_new(&k->crypt, &open_cfg, err)
                   : ccz_pq_encrypt_new(&k->crypt, &seal_cfg, err);
}

/* What is to be learned from, by numbers: ids stay here. */
ccz_rc recsys_export_ratings(struct recsys_job *j, const char *out, const char *key,
                             const char *name, struct ccz_err *err)
{
    struct ccz_recsys_ratings part = {0};
    struct ccz_newfile f = {.fd = -1};
    struct recsys_pq_keys k = {0};
    const bool whole = j->o.judge.none;
    ccz_rc rc =
        whole ? CCZ_OK : recsys_job_split(&j->train, &j->test, &part, &j->in.data.ratings, j, err);
    if (rc == CCZ_OK)
        rc = pq_keys_begin(&k, &j->session, key, name, false, err);
    if (rc == CCZ_OK)
        rc = ccz_newfile_open(&f, out, 0644, err);
    const struct ccz_pq_sink io = ccz_pq_sink_fd(&f.fd);
    const struct ccz_recsys_table table = {.crypt = k.crypt, .numbers = true};
    if (rc == CCZ_OK)
        rc = ccz_recsys_write_parquet(&io, whole ? &j->in.data.ratings : &part, NULL, NULL, &table,
                                      err);
    if (rc == CCZ_OK)
        rc = ccz_newfile_commit(&f, CCZ_FILE_CREATE_ONLY, err);
    else
        ccz_newfile_abort(&f);
    if (rc == CCZ_OK)
        ui_say("%s: %llu ratings by numbers", out,
               (unsigned long long)(whole ? j->in.data.ratings.len : part.len));
    recsys_pq_keys_end(&k);
    ccz_recsys_ratings_deinit(&part);
    return rc;
}

const char *const recsys_factor_folders[] = {"user_factors", "item_factors"};

/* Of one side: NAME/user_factors or NAME/item_factors, so that one does not pass for the other. */
ccz_rc recsys_side_keys_begin(struct recsys_pq_keys *k, struct recsys_session *s, const char *spec,
                              const char *name, int side, bool reading, struct ccz_err *err)
{
    char full[CCZ_PQ_AAD_PREFIX_SIZE_MAX + 16];
    if (name)
        (void)snprintf(full, sizeof(full), "%s/%s", name, recsys_factor_folders[side]);
    return pq_keys_begin(k, s, spec, name ? full : NULL, reading, err);
}

static ccz_rc read_factor_file(struct ccz_recsys_factors *f, uint8_t *seen, const char *path,
                               const struct ccz_recsys_factor_table *table, struct ccz_err *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return ccz_fail(err, CCZ_E_IO, "recsys:open", errno, "cannot open %.150s: %s", path,
                        strerror(errno));
    const struct ccz_pq_source io = ccz_pq_source_fd(&fd);
    ccz_rc rc = ccz_recsys_factors_read_parquet(f, seen, &io, table, err);
    close(fd);
    return rc;
}

static int is_part(const struct dirent *d)
{
    const size_t size = strlen(d->d_name);
    return size > 8 && d->d_name[0] != '.' && d->d_name[0] != '_' &&
           strcmp(d->d_name + size - 8, ".parquet") == 0;
}

/* A folder of parts, as Spark writes it. @p seen  which rows are in one of them */
static ccz_rc read_parts(struct ccz_recsys_factors *f, uint8_t *seen, const char *dir, uint32_t len,
                         const struct ccz_pq_crypt *crypt, struct ccz_err *err)
{
    const struct ccz_recsys_factor_table table = {.crypt = crypt, .len = len};
    struct dirent **part = NULL;
    const int parts = scandir(dir, &part, is_part, alphasort);
    ccz_rc rc = parts > 0 ? CCZ_OK
                          : ccz_fail(err, CCZ_E_NOT_FOUND, "recsys:open", 0,
                                     "%.150s has no .parquet file", dir);
    for (int i = 0; i < parts; i++) {
        char path[4096];
        (void)snprintf(path, sizeof(path), "%s/%s", dir, part[i]->d_name);
        if (rc == CCZ_OK)
            rc = read_factor_file(f, seen, path, &table, err);
        free(part[i]);
    }
    free(part);
    if (rc == CCZ_OK && !f->v)
        rc = ccz_fail(err, CCZ_E_FORMAT, "recsys:factors", 0, "%.150s has no rows", dir);
    return rc;
}

/*
 * Who is in no part has zeros: a user or item that nobody trained. With an order, whoever the cluster was given ratings of must be in one:
 * files lie on a disk of the host, who could leave some of them out.
 */
static ccz_rc read_factors(struct ccz_recsys_factors *f, const char *dir, uint32_t len,
                           const uint8_t *needed, const struct ccz_pq_crypt *crypt,
                           struct ccz_err *err)
{
    uint8_t *seen = calloc(len ? len : 1, 1);
    uint32_t missing = 0, lost = 0;
    char text[96];
    ccz_rc rc = seen ? read_parts(f, seen, dir, len, crypt, err) : no_memory(err);
    for (uint32_t i = 0; rc == CCZ_OK && i < len; i++) {
        missing += !seen[i];
        lost += !seen[i] && needed && needed[i];
    }
    free(seen);
    if (missing)
        ui_say("%s: %u of %u have no factors", dir, missing, len);
    if (!lost)
        return rc;
    (void)snprintf(text, sizeof(text), "%u of %u rows are missing", lost, len);
    return ccz_hint(err,
                    ccz_refuse(err, CCZ_E_POLICY, "recsys:factors", text,
                               "one for each user and item that the cluster was given ratings of"),
                    "somebody has taken parts from the folder, or the job had other ratings");
}

/* Whose ratings the cluster was given: users, then items. */
static ccz_rc find_needed(uint8_t *needed[2], const struct ccz_recsys_csr *given,
                          struct ccz_err *err)
{
    needed[0] = calloc((size_t)given->rows + 1, 1);
    needed[1] = calloc((size_t)given->cols + 1, 1);
    if (!needed[0] || !needed[1])
        return no_memory(err);
    for (uint32_t u = 0; u < given->rows; u++)
        for (uint64_t i = given->start[u]; i < given->start[u + 1]; i++)
            needed[0][u] = needed[1][given->col[i]] = 1;
    return CCZ_OK;
}

struct import_opts {
    const char *key, *users, *items, *name;
};

static ccz_rc read_sides(struct recsys_job *j, const struct import_opts *in,
                         uint8_t *const needed[2], struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (int i = 0; rc == CCZ_OK && i < 2; i++) {
        struct recsys_pq_keys k = {0};
        const struct ccz_recsys_ratings *r = &j->in.data.ratings;
        rc = recsys_side_keys_begin(&k, &j->session, in->key, in->name, i, true, err);
        if (rc == CCZ_OK)
            rc = read_factors(i ? &j->model->item : &j->model->user, i ? in->items : in->users,
                              i ? r->items : r->users, needed[i], k.crypt, err);
        rc = recsys_no_data_name(rc, in->name, "--factors-name", err);
        recsys_pq_keys_end(&k);
    }
    return rc;
}

/* @p j has been split, if there is a judge: what the cluster was given is the part that is not held out. */
static ccz_rc import_model(struct recsys_job *j, const struct import_opts *in, struct ccz_err *err)
{
    uint8_t *needed[2] = {NULL, NULL};
    j->model = calloc(1, sizeof(*j->model));
    if (!j->model)
        return no_memory(err);
    ccz_rc rc = j->o.input.order ? find_needed(needed, j->train, err) : CCZ_OK;
    if (rc == CCZ_OK)
        rc = read_sides(j, in, needed, err);
    free(needed[0]);
    free(needed[1]);
    if (rc == CCZ_OK && j->model->user.factors != j->model->item.factors)
        rc = ccz_refuse_num(err, CCZ_E_MISMATCH, "recsys:factors", j->model->user.factors,
                            j->model->item.factors);
    if (rc != CCZ_OK)
        return rc;
    const uint32_t factors = j->model->user.factors;
    const bool biases = j->model->user.bias != NULL;
    if (j->o.input.order && factors != j->cfg.factors)
        return ccz_hint(
            err, ccz_refuse_num(err, CCZ_E_POLICY, "recsys:factors", factors, j->cfg.factors),
            "the order asks for another number of factors");
    if (j->o.input.order && biases != j->cfg.biases)
        return ccz_refuse(err, CCZ_E_POLICY, "recsys:biases", biases ? "biases" : "no biases",
                          "what the order says");
    j->cfg.factors = factors;
    j->cfg.biases = biases;
    return CCZ_OK;
}

static ccz_rc judge_imported(struct recsys_job *j, struct ccz_err *err)
{
    CCZ_AUTO(ccz_recsys_index) index = NULL;
    ccz_rc rc = recsys_job_baselines(j, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_index_new(&index, j->model, NULL, err);
    if (rc == CCZ_OK)
        rc = recsys_job_judge(j, "Spark ALS", ccz_recsys_recommend_index, index, err);
    if (rc != CCZ_OK)
        return rc;
    recsys_job_show(j);
    return j->o.html ? recsys_job_page(j, NULL, NULL, err) : CCZ_OK;
}

static void import_options(struct ui_opt *out, struct import_opts *i, struct recsys_train_opts *o,
                           bool ordered)
{
    const struct ui_opt opts[] = {
        {"user-factors", &i->users, NULL, NULL, "DIR", "Parquet files of {id, features}"},
        {"item-factors", &i->items, NULL, NULL, "DIR", "the same of items"},
        {"out", &o->out, NULL, NULL, "DIR", "bundle to make"},
    };
    const struct ui_opt files[] = {
        {"factors-name", &i->name, NULL, NULL, "NAME",
         "the --export-name that the factors must have; Spark writes none: not compared then"},
        {"master-key", &i->key, NULL, NULL, "KEY",
         "of these files: key/NAME of the KMS, or a file"},
    };
    memcpy(out, opts, sizeof(opts));
    size_t n = sizeof(opts) / sizeof(opts[0]);
    if (ordered) {
        (void)recsys_ordered_options(out + n, o);
        return;
    }
    memcpy(out + n, files, sizeof(files));
    n += sizeof(files) / sizeof(files[0]);
    n += recsys_job_options(out + n, o);
    n += recsys_model_options(out + n, o);
    n += recsys_filter_options(out + n, &o->input);
    n += recsys_foreign_options(out + n, &o->input);
    out[n] = (struct ui_opt){"version", NULL, &o->version, NULL, "N", "as of train"};
}

static bool import_check(const struct import_opts *i, struct recsys_job *j, bool ordered)
{
    if (!i->users || !i->items || (!ordered && !i->key)) {
        ui_error("--user-factors%s --item-factors%s are required", ordered ? " and" : ",",
                 ordered ? "" : " and --master-key");
        return false;
    }
    if ((i->name && !recsys_data_name_check("factors-name", i->name)) || !recsys_out_check(&j->o))
        return false;
    if (ordered)
        return recsys_ordered_check(&j->o);
    return recsys_input_check(&j->o.input) && recsys_als_cfg(&j->cfg, &j->o.als) &&
           recsys_judge_check(&j->o, true) && recsys_model_check(&j->o) && recsys_run_check(&j->o);
}

static ccz_rc import(struct recsys_job *j, const struct import_opts *i, struct ccz_err *err)
{
    ccz_rc rc = recsys_keys_alike(&j->session, j->o.input.data_key, i->key, err);
    if (rc == CCZ_OK)
        rc = recsys_keys_alike(&j->session, i->key, j->o.model_key, err);
    if (rc == CCZ_OK)
        rc = recsys_input_read(&j->in, &j->o.input, &j->session, err);
    if (rc == CCZ_OK && !j->o.judge.none)
        rc = recsys_job_split(&j->train, &j->test, NULL, &j->in.data.ratings, j, err);
    if (rc == CCZ_OK)
        rc = import_model(j, i, err);
    return rc == CCZ_OK && !j->o.judge.none ? judge_imported(j, err) : rc;
}

int recsys_import_run(int argc, char **argv, const char *usage, bool ordered)
{
    struct recsys_job j = {.o = {.trust = {.kms_only = ordered}}};
    struct import_opts i = {0};
    struct ccz_err err = {0};
    struct ui_opt opts[RECSYS_OPTIONS_MAX] = {0};
    import_options(opts, &i, &j.o, ordered);
    const int left = ui_parse(argc, argv, usage, opts);
    if (left < 0)
        return ui_parse_status(left);
    if (left > 0)
        ui_error("unexpected operand: %s", argv[0]);
    if (left > 0 || !import_check(&i, &j, ordered))
        return UI_USAGE;
    recsys_job_begin(&j);
    ccz_rc rc = ordered ? recsys_order_take(&j, "spark", &err) : CCZ_OK;
    if (rc == CCZ_OK && ordered)
        i.key = j.order.spark.factors_key;
    if (rc == CCZ_OK)
        rc = import(&j, &i, &err);
    int status = rc == CCZ_OK ? recsys_job_verdict(&j) : UI_OK;
    if (rc == CCZ_OK && status == UI_OK)
        rc = recsys_job_bundle(&j, j.model, &err);
    if (rc != CCZ_OK)
        status = recsys_fail(&err);
    recsys_job_end(&j);
    return status;
}
