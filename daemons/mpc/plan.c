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

static ccz_rc plan_one(const struct mpc_opts *o, const struct ccz_mpcml_setting *setting,
                       bool whole, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpcml_lr) lr = NULL;
    CCZ_AUTO(ccz_mpcml_plan) plan = NULL;
    const struct ccz_mpcml_lr_cfg cfg = mpc_shapes_cfg(o);
    struct ccz_mpcml_run_cfg run = o->run;
    run.setting = setting;
    ccz_rc rc = mpc_lr_hint(ccz_mpcml_lr_new(&lr, 0, &cfg, NULL, err), err);
    if (rc == CCZ_OK)
        rc = ccz_mpcml_plan_new(&plan, ccz_mpcml_lr_program(lr), &run, err);
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
    struct ccz_err err = {0};
    int status = mpc_options(&o, argc, argv);
    if (status >= 0)
        return status;
    ccz_rc rc = CCZ_OK;
    if (o.run.setting)
        rc = plan_one(&o, o.run.setting, true, &err);
    for (int i = 0; rc == CCZ_OK && !o.run.setting && i < CCZ_MPCML_OPTIMIZES; i++)
        rc = plan_one(&o, ccz_mpcml_setting((enum ccz_mpcml_optimize)i), false, &err);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}
