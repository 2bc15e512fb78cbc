/* SPDX-License-Identifier: Apache-2.0 */
/* cczoo recsys export, import: to a cluster and back. */
#include "recsys_job.h"

#include <stdio.h>
#include <string.h>

/* Factors of a bundle as Spark writes them, by numbers: DIR/user_factors, DIR/item_factors. */
static ccz_rc export_factors(struct recsys_session *s, const char *bundle, const char *model_key,
                             const char *key, const char *name, const char *out,
                             struct ccz_err *err)
{
    CCZ_AUTO(ccz_recsys_bundle) b = NULL;
    ccz_rc rc = recsys_open_bundle(&b, s, bundle, model_key, err);
    for (int i = 0; rc == CCZ_OK && i < 2; i++) {
        struct recsys_pq_keys k = {0};
        rc = recsys_side_keys_begin(&k, s, key, name, i, false, err);
        const struct ccz_recsys_model *m = ccz_recsys_bundle_contents(b)->model;
        const struct ccz_recsys_factor_table table = {.crypt = k.crypt};
        struct ccz_newfile f = {.fd = -1};
        char path[4096];
        const int n = snprintf(path, sizeof(path), "%s/%s", out, recsys_factor_folders[i]);
        if (rc == CCZ_OK && (n < 0 || (size_t)n + 32 > sizeof(path)))
            rc = ccz_fail(err, CCZ_E_LIMIT, "recsys:open", n, "the path is too long");
        if (rc == CCZ_OK)
            rc = ccz_dir_make(path, 0755, err);
        if (rc != CCZ_OK) {
            recsys_pq_keys_end(&k);
            break;
        }
        (void)snprintf(path + n, sizeof(path) - (size_t)n, "/part-00000.parquet");
        rc = ccz_newfile_open(&f, path, 0644, err);
        const struct ccz_pq_sink io = ccz_pq_sink_fd(&f.fd);
        if (rc == CCZ_OK)
            rc = ccz_recsys_factors_write_parquet(&io, i ? &m->item : &m->user, &table, err);
        if (rc == CCZ_OK)
            rc = ccz_newfile_commit(&f, CCZ_FILE_CREATE_ONLY, err);
        else
            ccz_newfile_abort(&f);
        recsys_pq_keys_end(&k);
    }
    return rc;
}

int recsys_export(int argc, char **argv)
{
    struct recsys_job j = {0};
    struct ccz_err err = {0};
    struct ui_opt opts[RECSYS_OPTIONS_MAX] = {0};
    const char *key = NULL, *bundle = NULL, *name = NULL;
    const struct ui_opt more[] = {
        {"export-name", &name, NULL, NULL, "NAME",
         "what data set this is, for readers who expect it; default export"},
        {"master-key", &key, NULL, NULL, "KEY",
         "of the Parquet files: key/NAME of the KMS, or a file"},
        {"bundle", &bundle, NULL, NULL, "DIR", "instead of ratings: the factors of this bundle"},
        {"model-key", &j.o.model_key, NULL, NULL, "KEY", "with --bundle"},
    };
    size_t n = recsys_job_options(opts, &j.o);
    n += recsys_filter_options(opts + n, &j.o.input);
    n += recsys_foreign_options(opts + n, &j.o.input);
    memcpy(opts + n, more, sizeof(more));
    n += sizeof(more) / sizeof(more[0]);
    (void)recsys_trainer_options(opts + n, &j.o.trust);
    const int left = ui_parse(argc, argv,
                              "cczoo recsys export --in FILE | --bundle DIR --model-key KEY "
                              "--master-key KEY [--split RULE] OUT",
                              opts);
    if (left < 0)
        return ui_parse_status(left);
    if (!name)
        name = "export";
    const bool complete = left == 1 && key && (bundle ? j.o.model_key && !j.o.input.in : true);
    if (!complete)
        ui_error("--master-key and OUT are required, and --model-key with --bundle");
    if (!complete || !recsys_data_name_check("export-name", name) ||
        (!bundle && !recsys_input_check(&j.o.input)) || !recsys_als_cfg(&j.cfg, &j.o.als) ||
        !recsys_judge_check(&j.o, true) || !recsys_run_check(&j.o))
        return UI_USAGE;
    recsys_job_begin(&j);
    ccz_rc rc =
        recsys_keys_alike(&j.session, bundle ? j.o.model_key : j.o.input.data_key, key, &err);
    if (rc == CCZ_OK)
        rc = bundle ? export_factors(&j.session, bundle, j.o.model_key, key, name, argv[0], &err)
                    : recsys_input_read(&j.in, &j.o.input, &j.session, &err);
    if (rc == CCZ_OK && !bundle)
        rc = recsys_export_ratings(&j, argv[0], key, name, &err);
    const int status = rc == CCZ_OK ? UI_OK : recsys_fail(&err);
    recsys_job_end(&j);
    return status;
}

int recsys_import(int argc, char **argv)
{
    return recsys_import_run(argc, argv,
                             "cczoo recsys import --in FILE --user-factors DIR --item-factors DIR "
                             "--master-key KEY --model-key KEY --out DIR --name NAME",
                             false);
}
