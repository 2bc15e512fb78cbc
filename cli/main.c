/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <string.h>

static const struct cli_cmd {
    const char *noun, *verb; /* verb NULL: the noun is the whole command */
    const char *args, *help;
    cli_fn *run;
} commands[] = {
    {"sim", "init", "DIR", "create a software TEE: platform, test root, collateral", cmd_sim_init},
    {"sim", "measure", "EXE [LIB...]", "print the measurement the software TEE gives to a program",
     cmd_sim_measure},
    {"pf", "keygen", "FILE", "make a key for protected files", cmd_pf_keygen},
    {"pf", "encrypt", "IN OUT", "encrypt a file or a folder into protected files", cmd_pf_encrypt},
    {"pf", "decrypt", "IN OUT", "decrypt a protected file or folder", cmd_pf_decrypt},
    {"pf", "inspect", "FILE", "show version, size and bound path of a protected file",
     cmd_pf_inspect},
    {"evidence", "providers", "", "which sources of evidence this machine has",
     cmd_evidence_providers},
    {"evidence", "get", "", "get evidence about this process or VM", cmd_evidence_get},
    {"evidence", "eventlog", "FILE", "show and replay a boot event log, compare it with a quote",
     cmd_evidence_eventlog},
    {"evidence", "rtmr", "VERB ...", "read, extend: measurement registers of this TDX guest",
     cmd_evidence_rtmr},
    {"evidence", "inspect", "FILE", "show every field of a quote, SNP report or certificate",
     cmd_evidence_inspect},
    {"evidence", "verify", "FILE", "verify evidence and judge it by a policy", cmd_evidence_verify},
    {"evidence", "radar", "DIR", "warn of platforms that new TCB levels will refuse",
     cmd_evidence_radar},
    {"policy", "check", "FILE", "check that a policy parses and restricts something",
     cmd_policy_check},
    {"policy", "explain", "FILE", "say what a policy demands, and how a quote fares field by field",
     cmd_policy_explain},
    {"policy", "test", "FILE DIR", "judge a folder of evidence by a policy", cmd_policy_test},
    {"policy", "from-evidence", "FILE", "draft a policy from a known-good quote", cmd_policy_draft},
    {"policy", "schema", "", "print the JSON Schema of policies", cmd_policy_schema},
    {"collateral", "fetch", "", "fetch what verifying a platform needs, or refresh it",
     cmd_collateral_fetch},
    {"collateral", "bundle", "VERB ...", "keygen, create, import, inspect: for offline verifiers",
     cmd_collateral_bundle},
    {"collateral", "status", "DIR", "what there is, and until when it is valid",
     cmd_collateral_status},
    {"kms", NULL, "VERB ...", "keys, secrets, policies and audit of an attestation server & KMS",
     cmd_kms},
    {"agent", NULL, "VERB ...", "unwrap keys of a KMS for programs beside it, e.g. Spark",
     cmd_agent},
    {"tunnel", NULL, "VERB ...", "attested connections for programs that know nothing of them",
     cmd_tunnel},
    {"psi", NULL, "VERB ...", "private set intersection: which ids two or more parties share",
     cmd_psi},
    {"exec", NULL, "-- PROGRAM ...", "fetch secrets from a KMS and start a program with them",
     cmd_exec},
    {"infer", NULL, "", "send images to attested servers and report accuracy and speed", cmd_infer},
    {"load", NULL, "", "load a model server and report latencies, also as a page", cmd_load},
    {"cluster", NULL, "VERB ...", "replicas of a model server behind one address", cmd_cluster},
    {"model", NULL, "VERB ...", "encrypted, signed model bundles: pack, inspect, verify",
     cmd_model},
    {"fl", NULL, "VERB ...", "federated learning: simulations, pages with curves", cmd_fl},
    {"recsys", NULL, "VERB ...", "recommenders: from encrypted ratings to bundles that are served",
     cmd_recsys},
    {"table", NULL, "", "the table of solutions with their status on this machine", cmd_table},
};
enum { COMMANDS_LEN = sizeof(commands) / sizeof(commands[0]) };

static int help(void)
{
    ui_out("usage: cczoo COMMAND [--help]\n\n");
    for (size_t i = 0; i < COMMANDS_LEN; i++) {
        const struct cli_cmd *c = &commands[i];
        char left[64];
        struct ccz_buf b;
        ccz_buf_init(&b, sizeof(left));
        ccz_buf_printf(&b, "%s%s%s %s", c->noun, c->verb ? " " : "", c->verb ? c->verb : "",
                       c->args);
        ui_out("  %-28s %s\n", ccz_buf_str(&b), c->help);
        ccz_buf_free(&b);
    }
    return UI_OK;
}

int main(int argc, char **argv)
{
    if (argc < 2 || (strcmp(argv[1], "exec") != 0 && strcmp(argv[1], "agent") != 0))
        /* limits would be those of the program that these start */
        ccz_process_harden();
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        (void)help();
        return argc < 2 ? UI_USAGE : UI_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        ui_out("cczoo %s\n", CCZ_VERSION);
        return UI_OK;
    }
    for (size_t i = 0; i < COMMANDS_LEN; i++) {
        const struct cli_cmd *c = &commands[i];
        if (strcmp(argv[1], c->noun) != 0)
            continue;
        if (!c->verb)
            return ui_finish(c->run(argc - 1, argv + 1));
        if (argc > 2 && strcmp(argv[2], c->verb) == 0)
            return ui_finish(c->run(argc - 2, argv + 2));
    }
    ui_error("no such command: %s%s%s", argv[1], argc > 2 ? " " : "", argc > 2 ? argv[2] : "");
    ui_hint("cczoo --help lists the commands");
    return UI_USAGE;
}
