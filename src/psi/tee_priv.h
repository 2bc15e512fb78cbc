/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SRC_PSI_TEE_PRIV_H
#define CCZ_SRC_PSI_TEE_PRIV_H
/*
 * Messages of a session.
 *
 *   party                                server
 *   hello                       ---->
 *                               <----    welcome: a nonce
 *   tags of all ids, in blocks  ---->                      hash under the parties' key and the nonce
 *                               <----    0 from time to time while others are awaited
 *                               <----    verdict, number, digest; places of common tags in the upload, in blocks
 */
#include "psi_priv.h"

#include <cczoo/psi_tee.h>

enum {
    CCZI_TEE_BLOCK = 32768, /* tags or places of a message */
    CCZI_TEE_WAIT = 0,
    CCZI_TEE_OK = 1,
    CCZI_TEE_FEW = 2,
    CCZI_TEE_HELLO_SIZE = 120,
    CCZI_TEE_ANSWER_SIZE = 41 /* verdict, number, digest */
};

struct cczi_tee_hello {
    uint8_t output;
    uint32_t parties;
    uint64_t len, min_intersection;
    uint8_t prepared[32], session[32], key[32]; /* key: a hash that tells keys apart */
};
void cczi_tee_hello_put(uint8_t out[CCZI_TEE_HELLO_SIZE], const struct cczi_tee_hello *h);
/* @retval CCZ_E_PEER psi:message  @retval CCZ_E_UNSUPPORTED psi:version */
CCZ_MUST_USE ccz_rc cczi_tee_hello_get(struct cczi_tee_hello *h,
                                       const uint8_t in[CCZI_TEE_HELLO_SIZE], struct ccz_err *err);
/* @retval CCZ_E_ARG psi:config */
CCZ_MUST_USE ccz_rc cczi_tee_terms_check(const struct ccz_psi_tee_terms *t, struct ccz_err *err);
/* How the name of a session is compared. */
void cczi_tee_session(uint8_t out[32], struct ccz_span name);
/* SHA-256 of tags in the common order, bound to the session. */
CCZ_MUST_USE ccz_rc cczi_tee_digest_new(struct ccz_hasher **out, const uint8_t nonce[32],
                                        struct ccz_err *err);
#endif
