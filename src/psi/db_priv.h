/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SRC_PSI_DB_PRIV_H
#define CCZ_SRC_PSI_DB_PRIV_H
/*
 * A filter: "PSF", version, uint64 ids, uint64 longest query, how ids are prepared (32), the database's name (32), then masks as
 * cczi_psi_masks_put() packs them. The name is a hash of k G and of what is drawn with the key; H and F are under it.
 *
 *   client                            server
 *   query: name, number       ---->
 *   a H(y), in blocks         ---->   k a H(y)
 *                             <----
 */
#include "psi_priv.h"

#include <cczoo/psi_db.h>

enum { CCZI_FILTER_HEAD_SIZE = 84, CCZI_QUERY_SIZE = 44, CCZI_DB_KEY_SIZE = 64 };
#define CCZI_DB_LEN_MAX (UINT64_C(1) << 28)

struct cczi_filter {
    uint64_t len, query_len_max;
    uint8_t prepared[32], name[32];
    size_t mask_size;
    struct ccz_span masks;
};
/* Form of the head and size; masks are read later. @retval CCZ_E_FORMAT psi:filter */
CCZ_MUST_USE ccz_rc cczi_filter_get(struct cczi_filter *f, struct ccz_span in, struct ccz_err *err);
/* @retval CCZ_E_FORMAT psi:filter  @retval CCZ_E_NOMEM psi:memory */
CCZ_MUST_USE ccz_rc cczi_filter_masks(struct cczi_psi_mask **out, const struct cczi_filter *f,
                                      struct ccz_err *err);
void cczi_query_put(uint8_t out[CCZI_QUERY_SIZE], const uint8_t name[32], uint64_t len);
/* Keys of H and F in a database. */
void cczi_db_key(uint8_t out[32], const uint8_t name[32]);

/* Hello of a client, and what a server offers: see db_session.c. */
enum { CCZI_DB_OFFER_SIZE = 56, CCZI_DB_WANTS = 1 /* the filter, in what both say */ };
struct cczi_db_head {
    uint8_t what, name[32];
    uint64_t minimum, size;
};
/* @retval CCZ_E_PEER psi:message  @retval CCZ_E_UNSUPPORTED psi:version */
CCZ_MUST_USE ccz_rc cczi_db_head_get(struct cczi_db_head *h, struct ccz_span in, bool offer,
                                     struct ccz_err *err);
#endif
