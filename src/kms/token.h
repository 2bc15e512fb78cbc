/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMS_TOKEN_KEY_H
#define CCZI_KMS_TOKEN_KEY_H
/* token.c: the keys that sign attestation results. Inside a transaction. For sources of src/kms. */
#include "kms_attest.h"

/* The one that signs, opened; a part of struct ccz_kms_store. */
struct cczi_kms_token_key {
    struct ccz_key *key; /* NULL: none yet */
    uint8_t mac[32];     /* of the row that it came from */
    char kid[CCZ_JWK_THUMBPRINT_SIZE + 1];
};
/* Makes the first one, and the next when it is old. @param[out] out  borrowed from the store until the next call */
ccz_rc cczi_kms_token_key(const struct cczi_kms_token_key **out, struct ccz_kms_store *s,
                          int64_t now_s, struct ccz_err *err);
void cczi_kms_token_key_deinit(struct cczi_kms_token_key *k);
/* From now on another one signs. */
ccz_rc cczi_kms_token_rotate(struct ccz_kms_store *s, int64_t now_s, struct ccz_err *err);
/* Appends the set of public keys: {"keys": [...]}. */
ccz_rc cczi_kms_token_keys_put(struct ccz_buf *jwks, struct ccz_kms_store *s, int64_t now_s,
                               struct ccz_err *err);
#endif
