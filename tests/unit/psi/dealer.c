/* SPDX-License-Identifier: Apache-2.0 */
/* VOLE by a dealer, in the clear. */
#include "psi/psi_priv.h"
#include "test_rng.h"
struct ccz_f128 ccz_f128_mul(struct ccz_f128 a, struct ccz_f128 b)
{
    struct ccz_f128 r = {0};
    for (int i = 127; i >= 0; i--) {
        uint64_t top = r.hi >> 63;
        r.hi = r.hi << 1 | r.lo >> 63;
        r.lo = r.lo << 1 ^ (0x87 & (0 - top));
        uint64_t m = 0 - ((i >= 64 ? b.hi >> (i - 64) : b.lo >> i) & 1);
        r.lo ^= a.lo & m;
        r.hi ^= a.hi & m;
    }
    return r;
}
void ccz_f128_mul_add(struct ccz_f128 *r, const struct ccz_f128 *a, size_t len, struct ccz_f128 x)
{
    for (size_t i = 0; i < len; i++) {
        struct ccz_f128 p = ccz_f128_mul(a[i], x);
        r[i].lo ^= p.lo;
        r[i].hi ^= p.hi;
    }
}
ccz_rc ccz_vole_send(struct ccz_f128 *delta, struct ccz_f128 *b, size_t len, struct ccz_chan *chan,
                     const struct ccz_ot_cfg *cfg, struct ccz_err *err)
{
    (void)cfg;
    uint64_t s;
    if (ccz_random(&s, 8) != CCZ_OK)
        return CCZ_E_INTERNAL;
    ccz_rc rc = ccz_chan_send(chan, CCZ_SPAN(&s, 8), err);
    *delta = (struct ccz_f128){rnd(&s), rnd(&s)};
    for (size_t i = 0; i < len; i++) {
        (void)rnd(&s), (void)rnd(&s);
        b[i] = (struct ccz_f128){rnd(&s), rnd(&s)};
    }
    return rc;
}
ccz_rc ccz_vole_recv(struct ccz_f128 *a, struct ccz_f128 *c, size_t len, struct ccz_chan *chan,
                     const struct ccz_ot_cfg *cfg, struct ccz_err *err)
{
    (void)cfg;
    uint64_t s;
    ccz_rc rc = ccz_chan_recv_exact(&s, 8, chan, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_f128 delta = {rnd(&s), rnd(&s)};
    for (size_t i = 0; i < len; i++) {
        a[i] = (struct ccz_f128){rnd(&s), rnd(&s)};
        c[i] = (struct ccz_f128){rnd(&s), rnd(&s)};
    }
    ccz_f128_mul_add(c, a, len, delta);
    return CCZ_OK;
}
