/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_KMS_KEY_H
#define CCZ_CLI_KMS_KEY_H
/* cczoo kms key VERB ...: keys that are released, and keys that work inside the KMS. */
#include <stdbool.h>

/* argv[0] is "key". @param propose  for others to approve. @return exit status */
int kms_key(bool propose, int argc, char **argv);
/* A line for each verb. */
void kms_key_help(void);

#endif
