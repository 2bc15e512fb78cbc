/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_KMS_REFERENCE_H
#define CCZ_CLI_KMS_REFERENCE_H
/* cczoo kms reference put|get|list|delete: what these do once they are connected. */
#include <cczoo/kms_reference.h>

#include "kms_roles.h"

/* @param replace  it exists: add a version */
ccz_rc kms_reference_put(struct ccz_rpc_client *c, const struct kms_roles_opts *o, const char *name,
                         const char *file, bool replace, struct ccz_err *err);
/* @param version  0 = the latest */
ccz_rc kms_reference_get(struct ccz_rpc_client *c, const char *name, uint32_t version,
                         struct ccz_err *err);
ccz_rc kms_reference_list(struct ccz_rpc_client *c, bool json, struct ccz_err *err);
ccz_rc kms_reference_delete(struct ccz_rpc_client *c, const struct kms_roles_opts *o,
                            const char *name, struct ccz_err *err);
#endif
