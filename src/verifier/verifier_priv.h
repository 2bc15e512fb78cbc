/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_VERIFIER_PRIV_H
#define CCZI_VERIFIER_PRIV_H
/* Evidence that was found genuine before (verdicts.c). */
#include <cczoo/verifier.h>

enum { CCZI_VERDICT_KEY_SIZE = 32 };
/* Locks itself. Belongs to one snapshot of collateral and roots, so that a reload forgets everything:
 * an entry is never looked up under other collateral than it was made with. */
struct cczi_verdicts;
CCZ_MUST_USE ccz_rc cczi_verdicts_new(struct cczi_verdicts **out, size_t max_len,
                                      int64_t max_age_s);
void cczi_verdicts_free(struct cczi_verdicts *v); /* NULL is fine */
/* SHA-256 of the evidence, every byte of it. */
CCZ_MUST_USE ccz_rc cczi_verdicts_key(uint8_t key[CCZI_VERDICT_KEY_SIZE], struct ccz_span evidence);
/* @return true if @p key is known and would verify again at @p now_s; @p claims is untouched otherwise */
CCZ_MUST_USE bool cczi_verdicts_get(struct ccz_claims *claims, struct cczi_verdicts *v,
                                    const uint8_t key[CCZI_VERDICT_KEY_SIZE], int64_t now_s);
/* Only what verified, at @p now_s. */
void cczi_verdicts_put(struct cczi_verdicts *v, const uint8_t key[CCZI_VERDICT_KEY_SIZE],
                       const struct ccz_claims *claims, int64_t now_s);
/* {"remembered": entries, "hits": since the object was made}; zeros for NULL. */
void cczi_verdicts_report(struct ccz_buf *out, struct cczi_verdicts *v);
#endif
