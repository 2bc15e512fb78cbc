/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cczoo-agent: the key agent as a program of its own, so that a policy can name it without all that `cczoo` can do. In the software TEE
 * the file of the program that it serves is measured along.
 */
#include "../../cli/agent_run.h"
#include "../../cli/ui.h"

#include <cczoo/base.h>

int main(int argc, char **argv)
{
    ccz_process_harden();
    return agent_run(argc, argv,
                     "cczoo-agent --kms ADDR --policy FILE --tee PROVIDER --unwrap NAMES ... "
                     "-- PROGRAM [ARG...], or --socket PATH instead of a program",
                     true);
}
