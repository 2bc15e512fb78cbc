/* SPDX-License-Identifier: Apache-2.0 */
/* What a program will cost, from shapes alone. */
#include "daemon.h"

#include <stdlib.h>

struct ccz_mpcml_lr_cfg mpc_shapes_cfg(const struct mpc_opts *o)
{
    const size_t rows[2] = {(size_t)o->rows, (size_t)o->rows};
    const size_t score[2] = {(size_t)o->score_rows, (size_t)o->score_rows};
    const struct mpc_self self[2] = {
        {.labels = true, .columns = (uint64_t)o->columns_of[0]},
        {.labels = o->cfg.split == CCZ_MPCML_ROWS, .columns = (uint64_t)o->columns_of[1]}};
    return mpc_lr_cfg(o, self, o->scoring ? score : rows, o->scoring ? rows : score);
}

/* A program without values. */
struct shapes {
    struct ccz_mpcml_lr *lr;
    struct ccz_mpcml_network *net;
    struct ccz_mpcml_nn *nn;
    struct ccz_mpcml_kmeans *km;
    const struct ccz_mpcml_program *program;
};

static ccz_rc make_nn(struct shapes *s, const struct mpc_opts *o, struct ccz_err *err)
{
    const struct ccz_mpcml_nn_cfg cfg = mpc_nn_cfg(o, 0, (size_t)o->rows);
    CCZ_AUTO_BUF file = {0};
    ccz_buf_init(&file, CCZ_MPCML_NETWORK_SIZE_MAX);
    file.wipe = true;
    ccz_rc rc = ccz_file_read(&file, o->network, err);
    if (rc == CCZ_OK)
        rc = ccz_mpcml_network_read(&s->net, ccz_buf_span(&file), err);
    if (rc == CCZ_OK) /* as the client, who needs no weights */
        rc = ccz_mpcml_nn_new(&s->nn, 1, s->net, &cfg, NULL, err);
    if (rc == CCZ_OK)
        s->program = ccz_mpcml_nn_program(s->nn);
    return rc;
}

static ccz_rc make_km(struct shapes *s, const struct mpc_opts *o, struct ccz_err *err)
{
    const size_t rows[2] = {(size_t)o->rows, (size_t)o->rows};
    const struct mpc_self self[2] = {{.columns = (uint64_t)o->columns_of[0]},
                                     {.columns = (uint64_t)o->columns_of[1]}};
    const struct ccz_mpcml_kmeans_cfg cfg = mpc_km_cfg(o, self, rows);
    ccz_rc rc = ccz_mpcml_kmeans_new(&s->km, 0, &cfg, NULL, err);
    if (rc == CCZ_OK)
        s->program = ccz_mpcml_kmeans_program(s->km);
    return rc;
}

static ccz_rc make_lr(struct shapes *s, const struct mpc_opts *o, struct ccz_err *err)
{
    const struct ccz_mpcml_lr_cfg cfg = mpc_shapes_cfg(o);
    ccz_rc rc = ccz_mpcml_lr_new(&s->lr, 0, &cfg, NULL, err);
    if (rc == CCZ_OK)
        s->program = ccz_mpcml_lr_program(s->lr);
    return rc;
}

static ccz_rc plan_one(const struct mpc_opts *o, const struct ccz_mpcml_program *program,
                       const struct ccz_mpcml_setting *setting, bool whole, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpcml_plan) plan = NULL;
    struct ccz_mpcml_run_cfg run = o->run;
    run.setting = setting;
    ccz_rc rc = ccz_mpcml_plan_new(&plan, program, &run, err);
    if (rc != CCZ_OK)
        return rc;
    if (!whole) {
        ui_out("%-10s  %12.1f kB  %7llu rounds  %9.2f s\n", setting->name,
               (double)plan->total.size / 1e3, (unsigned long long)plan->total.rounds,
               plan->seconds);
        return rc;
    }
    size_t size = ccz_mpcml_plan_text(NULL, 0, plan);
    char *text = malloc(size + 1);
    if (!text)
        return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
    (void)ccz_mpcml_plan_text(text, size + 1, plan);
    ui_out("%s", text);
    free(text);
    return rc;
}

int mpc_cmd_plan(int argc, char **argv)
{
    struct mpc_opts o;
    struct shapes s = {0};
    struct ccz_err err = {0};
    int status = mpc_options(&o, argc, argv);
    if (status >= 0)
        return status;
    o.run.role = o.kind == MPC_MLP ? 1 : 0; /* a client's needs no weights */
    ccz_rc rc = mpc_hint(o.kind == MPC_MLP      ? make_nn(&s, &o, &err)
                         : o.kind == MPC_KMEANS ? make_km(&s, &o, &err)
                                                : make_lr(&s, &o, &err),
                         &err);
    if (rc == CCZ_OK && o.run.setting)
        rc = plan_one(&o, s.program, o.run.setting, true, &err);
    for (int i = 0; rc == CCZ_OK && !o.run.setting && i < CCZ_MPCML_OPTIMIZES; i++)
        rc = plan_one(&o, s.program, ccz_mpcml_setting((enum ccz_mpcml_optimize)i), false, &err);
    ccz_mpcml_lr_free(s.lr);
    ccz_mpcml_nn_free(s.nn);
    ccz_mpcml_network_free(s.net);
    ccz_mpcml_kmeans_free(s.km);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}
