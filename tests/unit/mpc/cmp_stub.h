/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_MPC_CMP_STUB_H
#define CCZ_TEST_MPC_CMP_STUB_H
/* One party of the comparison family without another one: OTs and randomness are the same bytes again and again, and what comes
 * in is read from the struct ccz_rd that is `self` (NULL: nothing), zeros behind its end. */
#include "mpc/cmp_priv.h"

#include <string.h>

static inline ccz_rc stub_reserve(void *self, const uint64_t ots[2], struct ccz_err *err)
{
    (void)self;
    (void)ots;
    (void)err;
    return CCZ_OK;
}

static inline ccz_rc stub_take_q(struct ccz_f128 *q, struct ccz_f128 *delta, uint64_t *first,
                                 size_t len, void *self, struct ccz_err *err)
{
    (void)self;
    (void)err;
    *first = 0;
    *delta = (struct ccz_f128){1, 2};
    memset(q, 0x5a, len * sizeof(*q));
    return CCZ_OK;
}

static inline ccz_rc stub_take_t(struct ccz_f128 *t, uint64_t *x, uint64_t *first, size_t len,
                                 void *self, struct ccz_err *err)
{
    (void)self;
    (void)err;
    *first = 0;
    memset(t, 0xa5, len * sizeof(*t));
    memset(x, 0x33, cczi_words_of(len) * sizeof(*x));
    return CCZ_OK;
}

static inline ccz_rc stub_trade(void *in, size_t in_size, const void *out, size_t out_size,
                                void *self, struct ccz_err *err)
{
    struct ccz_rd *r = self;
    (void)out;
    (void)out_size;
    (void)err;
    for (size_t i = 0; i < in_size; i++)
        ((uint8_t *)in)[i] = r && r->left > 0 ? ccz_rd_u8(r) : 0;
    return CCZ_OK;
}

static inline ccz_rc stub_random(uint64_t *out, size_t len, void *self, struct ccz_err *err)
{
    (void)self;
    (void)err;
    memset(out, 0x77, len * sizeof(*out));
    return CCZ_OK;
}

static inline ccz_rc stub_init(struct cczi_cmp *c, void *self, unsigned party, struct ccz_err *err)
{
    static const struct cczi_cmp_ops ops = {stub_reserve, stub_take_q, stub_take_t, stub_trade,
                                            stub_random};
    return cczi_cmp_init(c, &ops, self, party, (const uint8_t *)"sixteen bytes of", err);
}
#endif
