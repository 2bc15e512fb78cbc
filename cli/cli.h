/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_H
#define CCZ_CLI_H
/* Commands of `cczoo`: one function per verb, one file per noun, one table in main.c. */
#include "ui.h"

/* argv[0] is the verb (or the noun of a one-word command); returns the exit status. */
typedef int cli_fn(int argc, char **argv);

/* cmd_sim.c */
cli_fn cmd_sim_init, cmd_sim_measure;
/* cmd_pf.c */
cli_fn cmd_pf_keygen, cmd_pf_encrypt, cmd_pf_decrypt, cmd_pf_inspect;
/* cmd_evidence.c */
cli_fn cmd_evidence_inspect, cmd_evidence_verify;
/* cmd_tee.c; rtmr dispatches its own verbs */
cli_fn cmd_evidence_providers, cmd_evidence_get, cmd_evidence_rtmr;
/* cmd_eventlog.c */
cli_fn cmd_evidence_eventlog;
/* cmd_radar.c */
cli_fn cmd_evidence_radar;
/* cmd_policy.c, cmd_policy_test.c */
cli_fn cmd_policy_check, cmd_policy_explain, cmd_policy_draft, cmd_policy_schema, cmd_policy_test;
/* cmd_collateral.c; bundle dispatches its own verbs */
cli_fn cmd_collateral_fetch, cmd_collateral_bundle, cmd_collateral_status;
/* cmd_kms.c: dispatches its own verbs (key create, policy put, ...) */
cli_fn cmd_kms;
/* cmd_agent.c: dispatches its own verbs */
cli_fn cmd_agent;
/* cmd_psi.c: dispatches its own verbs */
cli_fn cmd_psi;
/* cmd_tunnel.c: dispatches its own verbs */
cli_fn cmd_tunnel;
/* cmd_exec.c: hardens the process itself, and in another way than the others */
cli_fn cmd_exec;
/* cmd_infer.c */
cli_fn cmd_infer;
/* cmd_load.c */
cli_fn cmd_load;
/* cmd_cluster.c: dispatches its own verbs */
cli_fn cmd_cluster;
/* cmd_model.c: dispatches its own verbs */
cli_fn cmd_model;
/* cmd_fl.c: dispatches its own verbs */
cli_fn cmd_fl;
/* cmd_recsys.c: dispatches its own verbs */
cli_fn cmd_recsys;
/* cmd_table.c */
cli_fn cmd_table;

#endif
