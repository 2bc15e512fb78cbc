/* SPDX-License-Identifier: Apache-2.0 */
/* Products of bits: of plain arrays, for protocols, and of tensors. */
#include "session.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------------------------- bits */

ccz_rc cczi_mpc_and_begin(struct cczi_mpc_and *p, struct ccz_mpc *m, const uint64_t *x,
                          const uint64_t *y, size_t len, struct ccz_err *err)
{
    *p = (struct cczi_mpc_and){.m = m, .len = len, .words = (len + 63) / 64};
    struct ccz_mpc_need need = {.kind = CCZ_MPC_AND, .n = len};
    ccz_rc rc = cczi_mpc_take(&p->triple, m, &need, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_alloc(&p->open, 2 * p->words, sizeof(*p->open), err);
    if (rc != CCZ_OK) {
        cczi_mpc_and_end(NULL, p);
        return rc;
    }
    for (size_t i = 0; i < p->words; i++) {
        p->open[i] = x[i] ^ p->triple.a[i];
        p->open[p->words + i] = y[i] ^ p->triple.b[i];
    }
    cczi_mpc_open_xor(m, p->open, len);
    cczi_mpc_open_xor(m, p->open + p->words, len);
    return CCZ_OK;
}

void cczi_mpc_and_end(uint64_t *z, struct cczi_mpc_and *p)
{
    const uint64_t first = p->m->cfg.role == 0 ? UINT64_MAX : 0;
    if (z) {
        const uint64_t *d = p->open, *e = p->open + p->words;
        for (size_t i = 0; i < p->words; i++)
            z[i] = p->triple.c[i] ^ (d[i] & (p->triple.b[i] ^ (e[i] & first))) ^
                   (e[i] & p->triple.a[i]);
        if (p->len % 64)
            z[p->words - 1] &= ((uint64_t)1 << p->len % 64) - 1;
    }
    cczi_mpc_item_deinit(&p->triple);
    cczi_mpc_wipe_free(p->open, 2 * p->words * sizeof(*p->open));
    p->open = NULL;
}

ccz_rc cczi_mpc_and_bits(struct ccz_mpc *m, uint64_t *z, const uint64_t *x, const uint64_t *y,
                         size_t len, struct ccz_err *err)
{
    struct cczi_mpc_and p;
    ccz_rc rc = cczi_mpc_and_begin(&p, m, x, y, len, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_mpc_round(m, err);
    cczi_mpc_and_end(rc == CCZ_OK ? z : NULL, &p);
    return rc;
}

static ccz_rc and_tensors(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                          const struct ccz_mpc_tensor *b, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    ccz_rc rc = cczi_mpc_want_bit_pair(a, b, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_tensor_new(&r, a->m, CCZ_MPC_BITS, 0, a->shape, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_and_bits(a->m, r->v, a->v, b->v, a->len, err);
    if (rc == CCZ_OK)
        *out = ccz_mpc_tensor_take(&r);
    return rc;
}

ccz_rc ccz_mpc_and(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a,
                   const struct ccz_mpc_tensor *b, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(a->m, err);
    return rc == CCZ_OK ? cczi_mpc_leave(a->m, and_tensors(out, a, b, err), err) : rc;
}
