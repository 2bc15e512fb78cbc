/* SPDX-License-Identifier: Apache-2.0 */
#include "fedlr.h"

#include "../../cli/ui.h"

#include <signal.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"keygen", fedlr_cmd_keygen, "make a Paillier key, print its id"},
    {"split", fedlr_cmd_split, "cut a table into parts for workers, guest and hosts"},
    {"table", fedlr_cmd_table, "time and bytes of an epoch with one optimisation"},
};

static int run_role(int argc, char **argv)
{
    struct fedlr_opts o;
    int status = fedlr_options(&o, argc, argv);
    if (status >= 0)
        return status;
    ccz_log_install(ccz_log_stderr, NULL, CCZ_LOG_WARN);
    return o.trees ? fedlr_run_trees(&o) : fedlr_run_role(&o);
}

int main(int argc, char **argv)
{
    static const char *const roles[] = {"aggregator", "arbiter", "worker", "guest", "host"};
    ccz_process_harden();
    (void)signal(SIGPIPE, SIG_IGN);
    int status = -1;
    for (size_t i = 0; argc > 1 && i < sizeof(roles) / sizeof(roles[0]); i++)
        if (strcmp(argv[1], roles[i]) == 0)
            status = run_role(argc - 1, argv + 1);
    for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            status = commands[i].run(argc - 1, argv + 1);
    if (status < 0) {
        ui_say("usage: cczoo-fedlr COMMAND ...; each has --help");
        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
            ui_say("  %-10s  %s", commands[i].name, commands[i].help);
        ui_say("  aggregator, arbiter, worker, guest, host   one role of a training");
        status = UI_USAGE;
    }
    return ui_finish(status);
}
