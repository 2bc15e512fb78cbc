/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_KMS_CLIENT_PRIV_H
#define CCZ_KMS_CLIENT_PRIV_H
/* What client.c and client_roles.c do for client_keys.c, besides what kms_priv.h says. */
#include "kms_priv.h"

/* One call with a message that is encoded already; as cczi_kms_call(). @param timeout_ms  0 = that of rpc.h */
ccz_rc cczi_kms_call_bytes(struct ccz_buf *response, struct ccz_rpc_client *c, const char *method,
                           const struct ccz_buf *request, int64_t timeout_ms, struct ccz_err *err);
/* Server text into a bounded array: printable in any case. */
void cczi_kms_take_text(char *out, size_t out_size, struct ccz_span text);
/* A server that does not say which KMS it is could be any. */
ccz_rc cczi_kms_take_instance(uint8_t out[CCZ_KMS_INSTANCE_SIZE], struct ccz_span in,
                              struct ccz_err *err);
/* A method that answers with a version and a receipt. @param[out] version, receipt  may be NULL */
ccz_rc cczi_kms_client_put(uint32_t *version, struct ccz_kms_receipt *receipt,
                           struct ccz_rpc_client *c, const char *method,
                           const struct cczi_msg_field *fields, const void *msg,
                           struct ccz_err *err);
/* Proposes a call of a guarded method. */
ccz_rc cczi_kms_propose(struct ccz_kms_proposed *out, struct ccz_rpc_client *c, const char *method,
                        const struct cczi_msg_field *fields, const void *msg, uint32_t valid_s,
                        struct ccz_err *err);
/* client.c: a list by name, in pages, asked for until there is no more. @param take  hands one element on, and says its name */
typedef ccz_rc (*cczi_kms_take_fn)(char name[CCZ_KMS_NAME_SIZE], struct ccz_span one, void *to,
                                   struct ccz_err *err);
ccz_rc cczi_kms_list_by_name(struct ccz_rpc_client *c, const char *method, cczi_kms_take_fn take,
                             void *to, struct ccz_err *err);

#endif
