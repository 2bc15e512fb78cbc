/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_PARTY_PRIV_H
#define CCZI_PARTY_PRIV_H
#include <cczoo/party.h>

/* Keeps the collateral of a verifier fresh (keeper.c). */
struct cczi_keeper;
/* Opens the store that cfg->collateral_from fills; nothing is asked yet. */
CCZ_MUST_USE ccz_rc cczi_keeper_new(struct cczi_keeper **out, const struct ccz_party_cfg *cfg,
                                    struct ccz_clock clock, struct ccz_err *err);
/* struct ccz_verifier_cfg.fetch, with the keeper. A client waits for the answer. A server, whose thread serves others,
 * leaves the work to the keeper's thread and refuses with "party:collateral-pending". */
ccz_rc cczi_keeper_fetch(void *keeper, struct ccz_span evidence, struct ccz_err *err);
/* From now on the verifier is kept fresh; it must outlive the keeper. A client has no thread for that. */
CCZ_MUST_USE ccz_rc cczi_keeper_start(struct cczi_keeper *k, struct ccz_verifier *v,
                                      struct ccz_err *err);
/* Ends the thread, after the request that it may be waiting for. NULL is fine. */
void cczi_keeper_free(struct cczi_keeper *k);
void cczi_keeper_report(struct ccz_buf *out, struct cczi_keeper *k);
#endif
