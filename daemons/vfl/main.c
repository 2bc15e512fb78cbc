/* SPDX-License-Identifier: Apache-2.0 */
#include "vfl.h"

#include "../../cli/ui.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static int run_role(int argc, char **argv)
{
    struct vfl_opts o;
    int status = vfl_options(&o, argc, argv);
    if (status >= 0)
        return status;
    ccz_log_install(ccz_log_stderr, NULL, CCZ_LOG_WARN);
    return vfl_run_role(&o);
}

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"leader", run_role, "the party with the labels and the top model"},
    {"follower", run_role, "a party with columns and a bottom model"},
    {"local", vfl_cmd_local, "the same network in one place, to compare with"},
    {"split", vfl_cmd_split, "cut images into halves for two parties"},
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

int main(int argc, char **argv)
{
    ccz_process_harden();
    (void)signal(SIGPIPE, SIG_IGN);
    (void)setenv("TF_CPP_MIN_LOG_LEVEL", "2", 0); /* TensorFlow's own talk */
    int status = -1;
    for (size_t i = 0; argc > 1 && i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            status = commands[i].run(argc - 1, argv + 1);
    if (status < 0) {
        ui_say("usage: cczoo-vfl COMMAND ...; each has --help");
        for (size_t i = 0; i < COMMANDS; i++)
            ui_say("  %-10s  %s", commands[i].name, commands[i].help);
        status = UI_USAGE;
    }
    return ui_finish(status);
}
