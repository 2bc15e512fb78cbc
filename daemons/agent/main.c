/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cczoo-agent: the key agent as a program of its own, so that a policy can name it without all that `cczoo` can do. In the software TEE
 * the measurement says what it serves: which program, with which arguments and variables, or whoever asks.
 */
#include "../../cli/agent_run.h"
#include "../../cli/ui.h"

int main(int argc, char **argv)
{
    return ui_finish(agent_run(argc, argv,
                               "cczoo-agent --kms ADDR --policy FILE --tee PROVIDER --unwrap NAMES "
                               "... -- PROGRAM [ARG...], or --socket PATH instead of a program",
                               true));
}
