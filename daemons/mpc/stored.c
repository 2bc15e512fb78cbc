/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offline phases that are made at one time and used at another. The first session makes the randomness of all products of the
 * program with the setting's source and writes it to protected files; the second one takes it from there, each once. Transfers
 * for comparisons are made by each session for itself.
 */
#include "daemon.h"

#include <cczoo/pf.h>

ccz_rc mpc_store_fill(struct ccz_mpc_stats *stats, struct ccz_chan *chan,
                      const struct ccz_mpcml_program *program, const struct mpc_opts *o,
                      struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpcml_plan) plan = NULL;
    CCZ_AUTO(ccz_secret) key = NULL;
    CCZ_AUTO(ccz_mpc) m = NULL;
    ccz_rc rc = ccz_pf_key_load(&key, o->store_key, err);
    const struct ccz_mpc_store_cfg store = {.dir = o->store, .key = key};
    if (rc == CCZ_OK)
        rc = ccz_mpcml_plan_new(&plan, program, &o->run, err);
    if (rc == CCZ_OK)
        rc = ccz_mpcml_open(&m, chan, program, &o->run, err);
    if (rc == CCZ_OK)
        rc = ccz_mpcml_store_on(m, program, o->run.setting, plan, &store, err);
    if (m)
        *stats = ccz_mpc_stats(m);
    return rc;
}

ccz_rc mpc_store_run(struct ccz_mpc_stats *stats, struct ccz_chan *chan,
                     const struct ccz_mpcml_program *program, const struct mpc_opts *o,
                     struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpcml_plan) plan = NULL;
    CCZ_AUTO(ccz_secret) key = NULL;
    CCZ_AUTO(ccz_mpc) m = NULL;
    struct ccz_mpc_source *source = NULL;
    struct ccz_mpc_cfg session;
    struct ccz_mpcml_setting setting = *o->run.setting;
    struct ccz_mpcml_run_cfg run = o->run;
    ccz_rc rc = ccz_pf_key_load(&key, o->store_key, err);
    const struct ccz_mpc_store_cfg store = {.dir = o->store, .key = key};
    if (rc == CCZ_OK) /* of the setting that made it: the same needs */
        rc = ccz_mpcml_plan_new(&plan, program, &o->run, err);
    setting.source = CCZ_MPC_SOURCE_STORE;
    run.setting = &setting;
    if (rc == CCZ_OK)
        rc = ccz_mpcml_session_cfg(&session, program, &run, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_new(&m, chan, &session, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_source_store_new(&source, m, &store, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_attach(m, source, err);
    if (rc == CCZ_OK)
        rc = ccz_mpcml_run_on(m, program, o->run.setting, plan, err);
    if (m)
        *stats = ccz_mpc_stats(m);
    return rc;
}
