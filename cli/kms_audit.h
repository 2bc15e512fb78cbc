/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_KMS_AUDIT_H
#define CCZ_CLI_KMS_AUDIT_H
/* cczoo kms audit ...: the verbs that need no KMS, and what the others do once they are connected. */
#include <cczoo/kms_audit.h>

/* verify EXPORT, receipt EXPORT SEQ; argv[0] is the verb. @return exit status */
int kms_audit_verify(int argc, char **argv);
int kms_audit_receipt(int argc, char **argv);

/* Writes an export, which must not exist yet, and verifies it on the way. */
ccz_rc kms_audit_export(struct ccz_rpc_client *c, const char *file, struct ccz_err *err);
/* Prints a checkpoint over everything that is on record. */
ccz_rc kms_audit_checkpoint(struct ccz_rpc_client *c, struct ccz_err *err);
/* Prints the public keys that sign, PEM. */
ccz_rc kms_audit_keys(struct ccz_rpc_client *c, struct ccz_err *err);
/* That the log continues the checkpoint in @p file; prints the one of today. @param known  file of keys, or NULL */
ccz_rc kms_audit_consistency(struct ccz_rpc_client *c, const char *file, const char *known,
                             struct ccz_err *err);
/* Prints the new key. */
ccz_rc kms_audit_rotate_key(struct ccz_rpc_client *c, struct ccz_err *err);
#endif
