/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_AGENT_RUN_H
#define CCZ_CLI_AGENT_RUN_H
/* The key agent as a program: `cczoo agent run` to try things out, cczoo-agent for what policies name. */
#include <stdbool.h>

/** Variable of the environment where programs find the socket. */
#define AGENT_VARIABLE "CCZ_AGENT"

/**
 * @param measure_program  software TEE: the file of the program behind -- is measured along, behind this executable and before --measure
 * @return exit status: as docs/reference/agent.md says
 */
int agent_run(int argc, char **argv, const char *usage, bool measure_program);

#endif
