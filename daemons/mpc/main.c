/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include <signal.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"party", mpc_cmd_party, "compute with the other party: train and score"},
    {"offline", mpc_cmd_party, "make the randomness of a later `party` and store it"},
    {"dealer", mpc_cmd_dealer, "deal randomness to two parties, attested"},
    {"plan", mpc_cmd_plan, "what a program will cost, without running it"},
    {"table", mpc_cmd_table, "what it costs with each setting, measured"},
    {"simulate", mpc_cmd_simulate, "the same arithmetic in one place, to compare with"},
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

int main(int argc, char **argv)
{
    ccz_process_harden();
    (void)signal(SIGPIPE, SIG_IGN);
    int status = -1;
    for (size_t i = 0; argc > 1 && i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            status = commands[i].run(argc - 1, argv + 1);
    if (status < 0) {
        ui_say("usage: cczoo-mpc COMMAND ...; each has --help");
        for (size_t i = 0; i < COMMANDS; i++)
            ui_say("  %-10s  %s", commands[i].name, commands[i].help);
        status = UI_USAGE;
    }
    return ui_finish(status);
}
