/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMS_TOKEN_KEY_H
#define CCZI_KMS_TOKEN_KEY_H
/* token.c: the keys that sign attestation results. Inside a transaction. For sources of src/kms. */
#include "kms_attest.h"

/* The one that signs, opened. */
struct cczi_kms_token_key {
    struct ccz_key *key; /* NULL: none yet */
    uint8_t mac[32];     /* of the row that it came from */
    char kid[CCZ_JWK_THUMBPRINT_SIZE + 1];
};
/* Of keys that are published: public halves, so that TokenKeys, which anybody may ask, opens no private key again. Rows are read and
 * checked each time, and known by their MACs: what another server rotated is seen at once. */
enum { CCZI_KMS_TOKEN_PUBLISHED_MAX = 64 };
struct cczi_kms_token_public {
    uint8_t mac[32];
    struct ccz_jwk *jwk;
};
/* A part of struct ccz_kms_store. */
struct cczi_kms_token_keys {
    struct cczi_kms_token_key signs;
    struct cczi_kms_token_public published[CCZI_KMS_TOKEN_PUBLISHED_MAX];
    size_t published_len;
    uint64_t opened; /* private keys, so far: for tests */
};
/* Makes the first one, and the next when it is old. @param[out] out  borrowed from the store until the next call */
ccz_rc cczi_kms_token_key(const struct cczi_kms_token_key **out, struct ccz_kms_store *s,
                          int64_t now_s, struct ccz_err *err);
void cczi_kms_token_keys_deinit(struct cczi_kms_token_keys *k);
/* From now on another one signs. By itself: when the last one is too old. */
ccz_rc cczi_kms_token_rotate(struct ccz_kms_store *s, int64_t now_s, struct ccz_err *err);
/* The same because somebody wants it: not twice in CCZI_KMS_TOKEN_ROTATE_MIN_S ("kms:token-key-soon"), not while
 * CCZI_KMS_TOKEN_LIVE_MAX are published ("kms:token-keys"), and not so often that no numbers are left for those that come with
 * time ("kms:versions"). */
ccz_rc cczi_kms_token_rotate_now(struct ccz_kms_store *s, int64_t now_s, struct ccz_err *err);
/* Appends the set of public keys: {"keys": [...]}. */
ccz_rc cczi_kms_token_keys_put(struct ccz_buf *jwks, struct ccz_kms_store *s, int64_t now_s,
                               struct ccz_err *err);
#endif
