/* SPDX-License-Identifier: Apache-2.0 */
/* What everything that makes lists checks first, and which items a question leaves. */
#include "ask_priv.h"

#include "base/ct.h"

#include <string.h>

ccz_rc cczi_recsys_check_k(uint32_t k, struct ccz_err *err)
{
    if (k == 0 || k > CCZ_RECSYS_K_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:k", k, CCZ_RECSYS_K_MAX);
    return CCZ_OK;
}

ccz_rc cczi_recsys_check_number(const char *where, size_t at, size_t number, uint32_t len,
                                struct ccz_err *err)
{
    if (number >= len)
        return ccz_fail(err, CCZ_E_ARG, where, (int64_t)at, "number %zu of %u", number, len);
    return CCZ_OK;
}

static ccz_rc check_items(const uint32_t *item, size_t len, uint32_t items, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        rc = cczi_recsys_check_number("recsys:item", i, item[i], items, err);
    return rc;
}

ccz_rc cczi_recsys_check_ask(const struct ccz_recsys_ask *ask, uint32_t users, uint32_t items,
                             struct ccz_err *err)
{
    const struct ccz_recsys_csr *seen = ask->seen;
    if (seen && seen->cols != items)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:seen", seen->cols, items);
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < ask->users_len; i++) {
        const size_t n = ask->user ? ask->user[i] : i; /* users_len may be above 2^32 */
        rc = cczi_recsys_check_number("recsys:user", i, n, users, err);
        if (rc == CCZ_OK && seen)
            rc = cczi_recsys_check_number("recsys:seen", i, n, seen->rows, err);
    }
    if (rc == CCZ_OK)
        rc = check_items(ask->deny, ask->deny_len, items, err);
    if (rc == CCZ_OK && ask->allow)
        rc = check_items(ask->allow, ask->allow_len, items, err);
    return rc;
}

ccz_rc cczi_recsys_check_row(const struct ccz_recsys_csr *m, uint32_t row, struct ccz_err *err)
{
    const uint64_t start = m->start[row], end = m->start[row + 1];
    if (start > end || end > m->len)
        return ccz_fail(err, CCZ_E_ARG, "recsys:rows", row,
                        "row %u is from place %llu to %llu of %llu", row, (unsigned long long)start,
                        (unsigned long long)end, (unsigned long long)m->len);
    if (start == end)
        return CCZ_OK;
    /* the top bit of `any`: a number is not below 2^31; else that of col[i - 1] - col[i] says that the first is less */
    const uint32_t *col = m->col + start;
    const uint64_t len = end - start;
    uint32_t any = col[0], below = UINT32_MAX;
    for (uint64_t i = 1; i < len; i++) {
        any |= col[i];
        below &= col[i - 1] - col[i];
    }
    uint32_t bad = (any | ~below | (m->cols - 1 - col[len - 1])) >> 31;
    CCZ_CT_PUBLIC(&bad, sizeof(bad)); /* told by the answer */
    if (bad)                          /* which column it is may be nobody's business */
        return ccz_fail(err, CCZ_E_ARG, "recsys:columns", row,
                        "columns of row %u do not ascend, or are not below %u", row, m->cols);
    return CCZ_OK;
}

ccz_rc cczi_recsys_check_rows(const struct ccz_recsys_csr *m, struct ccz_err *err)
{
    if (m->start[0] != 0 || m->start[m->rows] != m->len)
        return ccz_fail(err, CCZ_E_ARG, "recsys:rows", m->rows,
                        "%u rows are from place %llu to %llu, not from 0 to %llu", m->rows,
                        (unsigned long long)m->start[0], (unsigned long long)m->start[m->rows],
                        (unsigned long long)m->len);
    ccz_rc rc = CCZ_OK;
    for (uint32_t r = 0; rc == CCZ_OK && r < m->rows; r++)
        rc = cczi_recsys_check_row(m, r, err);
    return rc;
}

ccz_rc cczi_recsys_permitted(uint64_t **out, const struct ccz_recsys_ask *ask, uint32_t items,
                             struct ccz_err *err)
{
    *out = NULL;
    if (!ask->allow && ask->deny_len == 0)
        return CCZ_OK;
    const size_t words = cczi_recsys_words(items);
    uint64_t *bits = cczi_recsys_alloc(words, sizeof(*bits));
    if (!bits)
        return cczi_recsys_no_memory(err);
    if (!ask->allow)
        memset(bits, 0xff, words * sizeof(*bits));
    for (size_t i = 0; ask->allow && i < ask->allow_len; i++)
        bits[ask->allow[i] / 64] |= (uint64_t)1 << ask->allow[i] % 64;
    for (size_t i = 0; i < ask->deny_len; i++)
        bits[ask->deny[i] / 64] &= ~((uint64_t)1 << ask->deny[i] % 64);
    *out = bits;
    return CCZ_OK;
}
