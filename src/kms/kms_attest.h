/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMS_ATTEST_H
#define CCZI_KMS_ATTEST_H
/*
 * Attestation results: what Attest, TokenKeys and RotateTokenKey say to each other and to doors, the keys that sign, and what is
 * written about claims. Reading order: token.c (keys), ear_claims.c (what a token says), methods_attest.c.
 */
#include <cczoo/jose.h>
#include <cczoo/kms.h>

/* How long a token is good. Whoever judges items by it asks the policies again at each use. */
#define CCZI_KMS_TOKEN_LIFETIME_S 300
/* A key signs for this long; the next one takes over with the first token after that. */
#define CCZI_KMS_TOKEN_KEY_AGE_S (30 * 86400)
/* A key that signs no more stays in the set for this long: its last token, clocks that differ, and some room. */
#define CCZI_KMS_TOKEN_KEY_KEPT_S 3600
/* By hand: so long after the last one, and so many may be published at once. Whoever relies on tokens reads all of them. */
#define CCZI_KMS_TOKEN_ROTATE_MIN_S 60
#define CCZI_KMS_TOKEN_LIVE_MAX     8

#define CCZI_KMS_ATTEST_NONCE_MAX    128
#define CCZI_KMS_ATTEST_AUDIENCE_MAX 256
#define CCZI_KMS_TOKEN_SIZE_MAX      65536

struct cczi_msg_attest_req {
    struct ccz_span tee_pubkey; /* JWK, or empty */
    struct ccz_span nonce; /* of whoever relies on the token, or empty; not without tee_pubkey */
    uint64_t full_claims;
    struct ccz_span audience; /* "aud", or empty */
    struct ccz_span policy;   /* that the claims have to satisfy, or empty */
    uint64_t keep_evidence;
};
struct cczi_msg_attest_resp {
    struct ccz_span token;
    uint64_t expires_s;
    struct ccz_span instance, receipt;
};
struct cczi_msg_token_keys_resp {
    struct ccz_span
        jwks; /* {"keys": [...]}: the one that signs first, then those whose tokens may still be around */
    struct ccz_span issuer; /* "iss" of the tokens */
};
struct cczi_msg_rotate_token_key_resp {
    struct ccz_span kid, receipt;
};
/* For doors, which hand requests to ccz_kms_service_call(). The getter's spans borrow from @p in. where = "kms:request" */
void cczi_attest_req_put(struct ccz_buf *out, const struct cczi_msg_attest_req *m);
ccz_rc cczi_attest_resp_get(struct cczi_msg_attest_resp *out, struct ccz_span in,
                            struct ccz_err *err);
ccz_rc cczi_token_keys_resp_get(struct cczi_msg_token_keys_resp *out, struct ccz_span in,
                                struct ccz_err *err);

/* ear_claims.c: pure. What verified claims amount to: nothing simulated, outdated or debuggable is affirmed. */
struct ccz_ear_vector cczi_kms_ear_vector(const struct ccz_claims *c);
/* Appends them as a JSON object, under the names that the KBS protocol's policies know; `full`: all of them, else what names the
 * program and how good its platform is. */
void cczi_kms_ear_claims(struct ccz_buf *out, const struct ccz_claims *c, bool full);
#endif
