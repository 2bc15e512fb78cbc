/* SPDX-License-Identifier: Apache-2.0 */
/* VOLE by a dealer, in the clear: fast, and of one message. What is tested with it is all the rest. */
#include "psi/psi_priv.h"
#include "test_rng.h"

/* Declared, because the linker puts them in place of the real ones (-Wl,--wrap). */
ccz_rc __wrap_ccz_vole_send(struct ccz_f128 *delta, struct ccz_f128 *b, size_t len,
                            struct ccz_chan *chan, const struct ccz_ot_cfg *cfg,
                            struct ccz_err *err);
ccz_rc __wrap_ccz_vole_recv(struct ccz_f128 *a, struct ccz_f128 *c, size_t len,
                            struct ccz_chan *chan, const struct ccz_ot_cfg *cfg,
                            struct ccz_err *err);

ccz_rc __wrap_ccz_vole_send(struct ccz_f128 *delta, struct ccz_f128 *b, size_t len,
                            struct ccz_chan *chan, const struct ccz_ot_cfg *cfg,
                            struct ccz_err *err)
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
ccz_rc __wrap_ccz_vole_recv(struct ccz_f128 *a, struct ccz_f128 *c, size_t len,
                            struct ccz_chan *chan, const struct ccz_ot_cfg *cfg,
                            struct ccz_err *err)
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
