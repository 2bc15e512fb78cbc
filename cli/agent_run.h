/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_AGENT_RUN_H
#define CCZ_CLI_AGENT_RUN_H
/* The key agent as a program: `cczoo agent run` to try things out, cczoo-agent for what policies name. */
#include <stdbool.h>

/**
 * @param measured  cczoo-agent: the program gets no variables that are not named, and in the software TEE the record of the launch
 *                  (launch.h) is measured: program, arguments, working directory, variables, files, what may be asked for
 * @return exit status: as docs/reference/agent.md says
 */
int agent_run(int argc, char **argv, const char *usage, bool measured);

#endif
