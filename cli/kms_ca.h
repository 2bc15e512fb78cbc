/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_KMS_CA_H
#define CCZ_CLI_KMS_CA_H
/* cczoo kms ca VERB ...: keys of the KMS that issue certificates for attested workloads. */
#include <stdbool.h>

/* argv[0] is "ca". @param propose  for others to approve. @return exit status */
int kms_ca(bool propose, int argc, char **argv);
/* A line for each verb. */
void kms_ca_help(void);

#endif
