/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_MODEL_H
#define CCZ_CLI_MODEL_H
/* Verbs of cczoo model that have a file of their own. */
#include <cczoo/base.h>

/* A plaintext folder becomes a bundle (model_pack.c). argv[0] is the verb. @return exit status */
int model_pack(int argc, char **argv);
/* Says that a file is done. */
void model_on_file(void *arg, const char *path, uint64_t size);

#endif
