/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_KMS_TOKEN_H
#define CCZ_CLI_KMS_TOKEN_H
/* cczoo kms token-key rotate|list: the keys that sign attestation results. */
#include <cczoo/kms.h>

ccz_rc kms_token_key_rotate(struct ccz_rpc_client *c, bool json, struct ccz_err *err);
ccz_rc kms_token_key_list(struct ccz_rpc_client *c, bool json, struct ccz_err *err);
#endif
