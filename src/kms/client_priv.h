/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_KMS_CLIENT_PRIV_H
#define CCZ_KMS_CLIENT_PRIV_H
/* What the functions of client.c and client_keys.c have in common. */
#include "kms_priv.h"

ccz_rc cczi_kms_malformed(struct ccz_err *err); /* "kms:response" */
/* One call. @param[out] response  initialised here; wipes itself; freed by the caller */
ccz_rc cczi_kms_client_call(struct ccz_buf *response, struct ccz_rpc_client *c, const char *method,
                            const struct cczi_msg_field *fields, const void *msg,
                            struct ccz_err *err);
/* Server text into a bounded array: printable in any case. */
void cczi_kms_take_text(char *out, size_t out_size, struct ccz_span text);
/* @param[out] out  may be NULL. No receipt means no record: the call must not pass as done */
ccz_rc cczi_kms_take_receipt(struct ccz_kms_receipt *out, struct ccz_span in, struct ccz_err *err);
/* A server that does not say which KMS it is could be any. */
ccz_rc cczi_kms_take_instance(uint8_t out[CCZ_KMS_INSTANCE_SIZE], struct ccz_span in,
                              struct ccz_err *err);
/* A method that answers with a receipt, and a version or none. @param[out] version, receipt  may be NULL */
ccz_rc cczi_kms_client_put(uint32_t *version, struct ccz_kms_receipt *receipt,
                           struct ccz_rpc_client *c, const char *method,
                           const struct cczi_msg_field *fields, const void *msg,
                           struct ccz_err *err);
ccz_rc cczi_kms_client_change(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c,
                              const char *method, const struct cczi_msg_field *fields,
                              const void *msg, struct ccz_err *err);
#endif
