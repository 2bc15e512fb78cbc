/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RECSYS_PRIV_H
#define CCZ_RECSYS_PRIV_H
/* Inside the recommender. */
#include <cczoo/recsys.h>

/* "recsys:memory" */
ccz_rc cczi_recsys_no_memory(struct ccz_err *err);
/* malloc() aligned to 64 bytes and zeroed, for free(); NULL also if len * size overflows. */
void *cczi_recsys_alloc(uint64_t len, size_t size);
/* Wipes size bytes and frees; NULL is fine. */
void cczi_recsys_wipe_free(void *p, size_t size);
/* Rating i is of a user and of an item that there are: "recsys:user", "recsys:item" */
ccz_rc cczi_recsys_refuse_rating(const struct ccz_recsys_ratings *r, uint64_t i,
                                 struct ccz_err *err);
static inline ccz_rc cczi_recsys_check_rating(const struct ccz_recsys_ratings *r, uint64_t i,
                                              struct ccz_err *err)
{
    return r->user[i] < r->users && r->item[i] < r->items ? CCZ_OK
                                                          : cczi_recsys_refuse_rating(r, i, err);
}
/* Empty rows of that shape, to be filled in: ccz_recsys_csr_free(). "recsys:memory" */
ccz_rc cczi_recsys_csr_alloc(struct ccz_recsys_csr **out, uint32_t rows, uint32_t cols,
                             uint64_t len, struct ccz_err *err);
#endif
