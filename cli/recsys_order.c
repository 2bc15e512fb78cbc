/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that do what an order of a KMS says: its owner decides, and who starts them names files. */
#include "recsys_job.h"

#include <stdio.h>
#include <string.h>

size_t recsys_ordered_options(struct ui_opt *out, struct recsys_train_opts *o)
{
    const struct ui_opt opts[] = {
        {"order", &o->trust.order, NULL, NULL, "SECRET",
         "what is made, of what and how: secret/NAME of the KMS"},
    };
    memcpy(out, opts, sizeof(opts));
    size_t n = sizeof(opts) / sizeof(opts[0]);
    n += recsys_file_options(out + n, &o->input);
    n += recsys_kms_options(out + n, &o->trust);
    return n + recsys_run_options(out + n, o);
}

bool recsys_ordered_check(const struct recsys_train_opts *o)
{
    if (o->trust.order && o->input.in)
        return recsys_run_check(o);
    ui_error("--order and --in are required");
    return false;
}

ccz_rc recsys_order_take(struct recsys_job *j, const char *trainer, struct ccz_err *err)
{
    struct ccz_recsys_order *order = &j->order;
    struct recsys_train_opts *o = &j->o;
    ccz_rc rc = recsys_order_read(order, &j->session, o->trust.order, err);
    if (rc != CCZ_OK)
        return rc;
    if (strcmp(order->trainer, trainer) != 0)
        return ccz_hint(
            err, ccz_refuse(err, CCZ_E_POLICY, "recsys:trainer-kind", trainer, order->trainer),
            "cczoo-trainer makes what \"cczoo\" is ordered to, cczoo-recsys-spark the rest");
    o->input.order = order;
    o->input.format = order->data.format;
    o->input.data_key = order->data.key;
    o->input.data_name = order->data.name;
    o->input.titles_format = order->data.titles_format;
    o->input.filter = order->filter;
    o->input.filter.ratings_max = (uint64_t)o->input.ratings_max;
    o->name = order->name;
    o->model_key = order->model_key;
    memcpy(o->parent_sha256, order->parent_sha256, 32);
    o->judge = order->judge;
    j->cfg = order->als;
    j->cfg.threads = (unsigned)o->threads;
    j->eval.seed = order->als.seed;
    return CCZ_OK;
}

int recsys_trainer_run(int argc, char **argv)
{
    struct recsys_job j = {.o = {.trust = {.kms_only = true}}};
    struct ui_opt opts[RECSYS_OPTIONS_MAX] = {0};
    struct ccz_err err = {0};
    const size_t n = recsys_ordered_options(opts, &j.o);
    (void)recsys_out_options(opts + n, &j.o);
    const int left =
        ui_parse(argc, argv,
                 "cczoo-trainer --order secret/NAME --in FILE --out DIR --kms ADDR --kms-policy "
                 "FILE --tee PROVIDER ..",
                 opts);
    if (left < 0)
        return ui_parse_status(left);
    if (left > 0)
        ui_error("unexpected operand: %s", argv[0]);
    if (left > 0 || !recsys_ordered_check(&j.o) || !recsys_out_check(&j.o))
        return UI_USAGE;
    recsys_job_begin(&j);
    const ccz_rc rc = recsys_order_take(&j, "cczoo", &err);
    const int status = rc == CCZ_OK ? recsys_job_run(&j, true) : recsys_fail(&err);
    recsys_job_end(&j);
    return status;
}
