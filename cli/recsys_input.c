/* SPDX-License-Identifier: Apache-2.0 */
/* Ratings and titles for `cczoo recsys`, in clear or encrypted, and options of training. */
#include "recsys.h"

#include <string.h>

/* ------------------------------------------------------------------------------------- training */

size_t recsys_als_options(struct ui_opt *out, struct recsys_als_opts *o)
{
    const struct ui_opt opts[] = {
        {"kind", &o->kind, NULL, NULL, "NAME", "implicit-ials (default), implicit-hkv, explicit"},
        {"factors", NULL, &o->factors, NULL, "N", "default 64"},
        {"iterations", NULL, &o->iterations, NULL, "N", "default 15"},
        {"reg", &o->reg, NULL, NULL, "X", "regularization, default 0.01; implicit-hkv: 10"},
        {"alpha", &o->alpha, NULL, NULL, "X", "implicit-hkv: weight of a rating, default 10"},
        {"unobserved", &o->unobserved, NULL, NULL, "X",
         "implicit-ials: weight of what was not seen, default 0.1"},
        {"nu", &o->nu, NULL, NULL, "X",
         "implicit-ials: regularization by frequency, 0 to 1, default 1"},
        {"cg", NULL, &o->cg, NULL, "N",
         "so many steps of conjugate gradients instead of exact solutions"},
        {"nonneg", NULL, NULL, &o->nonneg, NULL, "no factor below 0"},
        {"no-biases", NULL, NULL, &o->no_biases, NULL, "explicit: factors alone"},
        {"seed", NULL, &o->seed, NULL, "N", "default 1"},
    };
    o->kind = "implicit-ials";
    o->factors = 64;
    o->iterations = 15;
    o->seed = 1;
    memcpy(out, opts, sizeof(opts));
    return sizeof(opts) / sizeof(opts[0]);
}

bool recsys_als_cfg(struct ccz_recsys_als_cfg *out, const struct recsys_als_opts *o)
{
    double reg, alpha, unobserved, nu;
    int kind = 0;
    const char *name;
    while ((name = ccz_recsys_kind_name((enum ccz_recsys_als_kind)kind)) &&
           strcmp(name, o->kind) != 0)
        kind++;
    if (!name) {
        ui_error("--kind is implicit-ials, implicit-hkv or explicit");
        return false;
    }
    if (!ui_count("factors", o->factors, 1, CCZ_RECSYS_FACTORS_MAX) ||
        !ui_count("iterations", o->iterations, 1, CCZ_RECSYS_ITERATIONS_MAX) ||
        !ui_count("cg", o->cg, 0, CCZ_RECSYS_CG_STEPS_MAX) ||
        !ui_count("seed", o->seed, 0, INT64_MAX) ||
        !ui_real(&reg, "reg", o->reg, kind == CCZ_RECSYS_IMPLICIT_HKV ? 10 : 0.01, 0, 1e9) ||
        !ui_real(&alpha, "alpha", o->alpha, 10, 1e-9, 1e9) ||
        !ui_real(&unobserved, "unobserved", o->unobserved, 0.1, 1e-9, 1e9) ||
        !ui_real(&nu, "nu", o->nu, 1, 0, 1))
        return false;
    *out = (struct ccz_recsys_als_cfg){.kind = (enum ccz_recsys_als_kind)kind,
                                       .solver = o->cg ? CCZ_RECSYS_ALS_CG : CCZ_RECSYS_ALS_EXACT,
                                       .cg_steps = (uint32_t)o->cg,
                                       .nonneg = o->nonneg,
                                       .factors = (uint32_t)o->factors,
                                       .iterations = (uint32_t)o->iterations,
                                       .reg = (float)reg,
                                       .seed = (uint64_t)o->seed};
    out->biases = kind == CCZ_RECSYS_EXPLICIT && !o->no_biases && !o->nonneg;
    if (kind == CCZ_RECSYS_IMPLICIT_HKV)
        out->alpha = (float)alpha;
    if (kind == CCZ_RECSYS_IMPLICIT_IALS) {
        out->unobserved = (float)unobserved;
        out->nu = (float)nu;
    }
    return true;
}

/* -------------------------------------------------------------------------------------- ratings */

size_t recsys_file_options(struct ui_opt *out, struct recsys_input_opts *o)
{
    const struct ui_opt opts[] = {
        {"in", &o->in, NULL, NULL, "FILE", "ratings"},
        {"titles", &o->titles, NULL, NULL, "FILE", "titles of items"},
    };
    memcpy(out, opts, sizeof(opts));
    return sizeof(opts) / sizeof(opts[0]);
}

size_t recsys_form_options(struct ui_opt *out, struct recsys_input_opts *o)
{
    const struct ui_opt opts[] = {
        {"format", &o->format, NULL, NULL, "NAME",
         "csv (default), tsv, movielens-csv, movielens-dat, movielens-100k, recbole, parquet"},
        {"data-key", &o->data_key, NULL, NULL, "KEY",
         "ratings and titles are encrypted: key/NAME of the KMS, or a file"},
        {"data-name", &o->data_name, NULL, NULL, "NAME",
         "encrypted Parquet: the data set it must be, as encrypt was told; default ratings"},
        {"titles-format", &o->titles_format, NULL, NULL, "NAME",
         "movielens-csv-titles (default), movielens-dat-titles, movielens-100k-titles, "
         "recbole-titles"},
    };
    o->format = "csv";
    o->data_name = "ratings";
    o->titles_format = "movielens-csv-titles";
    o->twice = "refuse";
    memcpy(out, opts, sizeof(opts));
    return sizeof(opts) / sizeof(opts[0]);
}

size_t recsys_filter_options(struct ui_opt *out, struct recsys_input_opts *o)
{
    const struct ui_opt opts[] = {
        {"value-min", &o->value_min, NULL, NULL, "X", "ratings below are dropped"},
        {"binarize", NULL, NULL, &o->binarize, NULL, "what is left becomes 1"},
        {"twice", &o->twice, NULL, NULL, "RULE",
         "a second rating of the same item: refuse (default), last, sum"},
        {"per-user", NULL, &o->per_user, NULL, "N", "users with fewer ratings are dropped"},
        {"per-item", NULL, &o->per_item, NULL, "N", "items with fewer ratings are dropped"},
    };
    memcpy(out, opts, sizeof(opts));
    return sizeof(opts) / sizeof(opts[0]);
}

size_t recsys_foreign_options(struct ui_opt *out, struct recsys_input_opts *o)
{
    const struct ui_opt opts[] = {
        {"any-data-name-insecure", NULL, NULL, &o->any_data_name, NULL,
         "encrypted Parquet of others, without a name: any file under the same key is believed"},
    };
    memcpy(out, opts, sizeof(opts));
    return sizeof(opts) / sizeof(opts[0]);
}

bool recsys_data_name_check(const char *option, const char *name)
{
    const size_t size = strlen(name);
    if (size > 0 && size <= CCZ_PQ_AAD_PREFIX_SIZE_MAX)
        return true;
    ui_error("--%s: a name of 1 to %d bytes", option, CCZ_PQ_AAD_PREFIX_SIZE_MAX);
    return false;
}

ccz_rc recsys_no_data_name(ccz_rc rc, const char *name, const char *option, struct ccz_err *err)
{
    if (rc != CCZ_E_ARG || !name || strcmp(err->where, "parquet:aad-prefix") != 0)
        return rc;
    (void)ccz_refuse(err, CCZ_E_POLICY, "parquet:aad-prefix", "a file without a name", name);
    return ccz_hint(
        err, CCZ_E_POLICY,
        strcmp(option, "--data-name") == 0
            ? "Spark writes no names: --any-data-name-insecure, if nobody can replace it"
            : "Spark writes no names: without --factors-name none is compared");
}

bool recsys_is_parquet(const struct recsys_input_opts *o)
{
    return strcmp(o->format, "parquet") == 0;
}

static bool filter_of(struct ccz_recsys_filter *f, const struct recsys_input_opts *o)
{
    double value_min;
    int rule = 0;
    const char *name;
    while ((name = ccz_recsys_twice_name((enum ccz_recsys_twice)rule)) &&
           strcmp(name, o->twice) != 0)
        rule++;
    if (!name) {
        ui_error("--twice is refuse, last or sum");
        return false;
    }
    if (!ui_real(&value_min, "value-min", o->value_min, 0, -1e9, 1e9) ||
        !ui_count("per-user", o->per_user, 0, UINT32_MAX) ||
        !ui_count("per-item", o->per_item, 0, UINT32_MAX) ||
        !ui_count("ratings-max", o->ratings_max, 0, (int64_t)CCZ_RECSYS_RATINGS_MAX))
        return false;
    *f = (struct ccz_recsys_filter){.ratings_max = (uint64_t)o->ratings_max,
                                    .drop_below = o->value_min != NULL,
                                    .value_min = (float)value_min,
                                    .binarize = o->binarize,
                                    .twice = (enum ccz_recsys_twice)rule,
                                    .per_user = (uint32_t)o->per_user,
                                    .per_item = (uint32_t)o->per_item};
    return true;
}

bool recsys_input_check(struct recsys_input_opts *o)
{
    struct ccz_recsys_format format;
    if (!o->in) {
        ui_error("--in is required");
        return false;
    }
    if (!recsys_is_parquet(o) && !ccz_recsys_format_from(&format, o->format)) {
        ui_error("--format: there is no %s", o->format);
        return false;
    }
    if (o->titles && !ccz_recsys_format_from(&format, o->titles_format)) {
        ui_error("--titles-format: there is no %s", o->titles_format);
        return false;
    }
    return recsys_data_name_check("data-name", o->data_name) && filter_of(&o->filter, o);
}

/* Both files as they were when their digests were taken: nobody swaps one while it is read. */
struct pins {
    struct ccz_pinned *ratings, *titles;
};

static void unpin(struct pins *p)
{
    ccz_pinned_free(p->ratings);
    ccz_pinned_free(p->titles);
}

static ccz_rc compare(const char *where, const uint8_t got[32], const uint8_t ordered[32],
                      struct ccz_err *err)
{
    return memcmp(got, ordered, 32) == 0
               ? CCZ_OK
               : ccz_hint(err, ccz_refuse_bytes(err, CCZ_E_POLICY, where, got, 32, ordered, 32),
                          "this is not the file that the order names");
}

static ccz_rc pin(struct pins *p, struct recsys_input *in, const struct recsys_input_opts *o,
                  struct ccz_err *err)
{
    const struct ccz_recsys_order *order = o->order;
    if (order && !o->titles != !order->data.titles_format[0])
        return ccz_refuse(err, CCZ_E_POLICY, "recsys:titles", o->titles ? "titles" : "no titles",
                          o->titles ? "an order with titles" : "the titles that the order names");
    ccz_rc rc = ccz_pinned_open(&p->ratings, o->in, err);
    if (rc == CCZ_OK && o->titles)
        rc = ccz_pinned_open(&p->titles, o->titles, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(in->sha256, ccz_pinned_sha256(p->ratings), 32);
    if (p->titles)
        memcpy(in->titles_sha256, ccz_pinned_sha256(p->titles), 32);
    if (!order)
        return CCZ_OK;
    rc = compare("recsys:data", in->sha256, order->data.sha256, err);
    return rc == CCZ_OK
               ? compare("recsys:titles", in->titles_sha256, order->data.titles_sha256, err)
               : rc;
}

static ccz_rc open_source(struct ccz_recsys_source **out, struct ccz_pinned *file, const char *path,
                          const char *bound, const struct ccz_secret *key, struct ccz_err *err)
{
    const struct ccz_pf_cfg cfg = {.path = bound, .name = path};
    return ccz_recsys_source_pinned(out, file, key, &cfg, err);
}

/* Everything into memory, or with a builder by way of its disk. */
static ccz_rc read_text(struct recsys_input *in, struct ccz_recsys_builder *b,
                        const struct recsys_input_opts *o, struct ccz_pinned *file,
                        const struct ccz_secret *key, struct ccz_err *err)
{
    struct ccz_recsys_format format;
    CCZ_AUTO(ccz_recsys_source) source = NULL;
    if (!ccz_recsys_format_from(&format, o->format))
        return ccz_fail(err, CCZ_E_ARG, "recsys:format", 0, "there is no format %.40s", o->format);
    ccz_rc rc = open_source(&source, file, o->in, RECSYS_BOUND_RATINGS, key, err);
    if (rc == CCZ_OK)
        rc = b ? ccz_recsys_builder_read(b, source, &format, err)
               : ccz_recsys_read(&in->data, source, &format, &o->filter, err);
    return rc;
}

static ccz_rc read_table(struct recsys_input *in, struct ccz_recsys_builder *b,
                         const struct recsys_input_opts *o, struct ccz_pinned *file,
                         struct recsys_session *s, struct ccz_err *err)
{
    struct recsys_master master;
    CCZ_AUTO(ccz_pq_keytools) tools = NULL;
    CCZ_AUTO(ccz_pq_crypt) crypt = NULL;
    const char *names[1];
    ccz_rc rc = CCZ_OK;
    if (o->data_key) {
        recsys_master_init(&master, s, o->data_key);
        names[0] = master.name;
        rc = ccz_pq_keytools_new(
            &tools, &(struct ccz_pq_keytools_cfg){.kms = recsys_master_kms(&master)}, err);
        const struct ccz_pq_decrypt_cfg cfg = {
            .keytools = tools,
            .master_keys = names,
            .master_keys_len = 1,
            .aad_prefix = o->any_data_name ? CCZ_SPAN(NULL, 0) : ccz_span_str(o->data_name)};
        if (rc == CCZ_OK)
            rc = ccz_pq_decrypt_new(&crypt, &cfg, err);
    }
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_pq_source io = {
        .read_at = ccz_pinned_read_at, .size = ccz_pinned_size_at, .arg = file};
    const struct ccz_recsys_table table = {.crypt = crypt};
    rc = b ? ccz_recsys_builder_read_parquet(b, &io, &table, err)
           : ccz_recsys_read_parquet(&in->data, &io, &table, &o->filter, err);
    return recsys_no_data_name(rc, o->data_name, "--data-name", err);
}

static ccz_rc read_titles(struct recsys_input *in, const struct recsys_input_opts *o,
                          struct ccz_pinned *file, const struct ccz_secret *key,
                          struct ccz_err *err)
{
    struct ccz_recsys_format format;
    CCZ_AUTO(ccz_recsys_source) source = NULL;
    if (!ccz_recsys_format_from(&format, o->titles_format))
        return ccz_fail(err, CCZ_E_ARG, "recsys:format", 0, "there is no format %.40s",
                        o->titles_format);
    const struct ccz_recsys_ids *items = in->built.item ? in->built.item : in->data.item;
    format.item_kind = ccz_recsys_ids_kind(items);
    ccz_rc rc = open_source(&source, file, o->titles, RECSYS_BOUND_TITLES, key, err);
    return rc == CCZ_OK ? ccz_recsys_titles_read(&in->titles, source, &format, items, err) : rc;
}

static ccz_rc read_ratings(struct recsys_input *in, struct ccz_recsys_builder *b,
                           const struct recsys_input_opts *o, struct ccz_pinned *file,
                           const struct ccz_secret *key, struct recsys_session *s,
                           struct ccz_err *err)
{
    return recsys_is_parquet(o) ? read_table(in, b, o, file, s, err)
                                : read_text(in, b, o, file, key, err);
}

static ccz_rc build(struct recsys_input *in, const struct recsys_input_opts *o,
                    struct ccz_pinned *file, const struct ccz_secret *key, struct recsys_session *s,
                    struct ccz_err *err)
{
    CCZ_AUTO(ccz_recsys_builder) b = NULL;
    const struct ccz_recsys_build_cfg cfg = {
        .filter = o->filter, .memory_max = o->memory, .spill_dir = o->spill_dir, .by_item = true};
    ccz_rc rc = ccz_recsys_builder_new(&b, &cfg, err);
    if (rc == CCZ_OK)
        rc = read_ratings(in, b, o, file, key, s, err);
    return rc == CCZ_OK ? ccz_recsys_builder_finish(&in->built, b, err) : rc;
}

static void say_what(const struct recsys_input *in)
{
    const struct ccz_recsys_csr *m = in->built.by_user;
    if (m)
        ui_say("%llu ratings of %u items by %u users; at most %llu MiB of memory, %llu MiB on the "
               "disk, encrypted",
               (unsigned long long)m->len, m->cols, m->rows,
               (unsigned long long)(in->built.memory_peak >> 20),
               (unsigned long long)(in->built.spilled >> 20));
    else
        ui_say("%llu ratings of %u items by %u users", (unsigned long long)in->data.ratings.len,
               in->data.ratings.items, in->data.ratings.users);
}

ccz_rc recsys_input_read(struct recsys_input *in, const struct recsys_input_opts *o,
                         struct recsys_session *s, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) key = NULL;
    struct pins pins = {0};
    *in = (struct recsys_input){0};
    ccz_rc rc = pin(&pins, in, o, err);
    if (rc == CCZ_OK && o->data_key && (!recsys_is_parquet(o) || o->titles))
        rc = recsys_file_key(&key, NULL, s, o->data_key, err);
    if (rc == CCZ_OK)
        rc = o->memory ? build(in, o, pins.ratings, key, s, err)
                       : read_ratings(in, NULL, o, pins.ratings, key, s, err);
    if (rc == CCZ_OK && o->titles)
        rc = read_titles(in, o, pins.titles, key, err);
    unpin(&pins);
    if (rc == CCZ_OK)
        say_what(in);
    return rc;
}

void recsys_input_deinit(struct recsys_input *in)
{
    ccz_recsys_data_deinit(&in->data);
    ccz_recsys_matrices_deinit(&in->built);
    ccz_recsys_titles_free(in->titles);
    in->titles = NULL;
}
