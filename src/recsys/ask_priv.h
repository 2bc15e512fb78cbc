/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RECSYS_ASK_PRIV_H
#define CCZ_RECSYS_ASK_PRIV_H
/* Questions: what everything that makes lists checks first. */
#include "recsys_priv.h"

static inline uint32_t cczi_recsys_asker(const struct ccz_recsys_ask *ask, size_t i)
{
    return ask->user ? ask->user[i] : (uint32_t)i;
}
/* Of bits, one for each of len. */
static inline size_t cczi_recsys_words(uint32_t len)
{
    return ((size_t)len + 63) / 64;
}
/* "recsys:k" */
ccz_rc cczi_recsys_check_k(uint32_t k, struct ccz_err *err);
/* number < len; aux is `at` */
ccz_rc cczi_recsys_check_number(const char *where, size_t at, size_t number, uint32_t len,
                                struct ccz_err *err);
/* All but k, and the rows of ask->seen, which who reads one checks: "recsys:seen", "recsys:user", "recsys:item". */
ccz_rc cczi_recsys_check_ask(const struct ccz_recsys_ask *ask, uint32_t users, uint32_t items,
                             struct ccz_err *err);
/*
 * A row, which is less than m->rows, lies within m->len ("recsys:rows"), and its columns ascend and are below m->cols
 * ("recsys:columns"); aux is the row. No branch and no address depends on columns, but for whether they are refused.
 */
ccz_rc cczi_recsys_check_row(const struct ccz_recsys_csr *m, uint32_t row, struct ccz_err *err);
/* All rows, which lie one after the other from 0 to m->len. */
ccz_rc cczi_recsys_check_rows(const struct ccz_recsys_csr *m, struct ccz_err *err);
/* Bits of items that deny and allow leave, those behind the last item set or not; NULL: all items. "recsys:memory" */
ccz_rc cczi_recsys_permitted(uint64_t **out, const struct ccz_recsys_ask *ask, uint32_t items,
                             struct ccz_err *err);
#endif
