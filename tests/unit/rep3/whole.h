/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_REP3_WHOLE_H
#define CCZ_TEST_REP3_WHOLE_H
/* A program with every operation that sends: for tests of faults, memory, time, and for the fuzzer. */
#include <cczoo/rep3.h>

#include "base/ct.h"

enum { WHOLE = 3 };
static const uint64_t whole_x[WHOLE] = {3 * 16, 0, (uint64_t)-5 * 16}, whole_y[WHOLE] = {8, 24, 16};

/* out: 7 values each. Secret to the constant-time test: inputs and randomness. */
static inline ccz_rc whole(uint64_t out[7 * WHOLE], struct ccz_rep3 *m, struct ccz_err *e)
{
    const unsigned role = ccz_rep3_cfg_of(m)->role;
    const struct ccz_rep3_shape shape = CCZ_REP3_SHAPE1(WHOLE);
    const struct ccz_rep3_range range = {20, 2};
    CCZ_AUTO(ccz_rep3_tensor) x = NULL;
    CCZ_AUTO(ccz_rep3_tensor) y = NULL;
    CCZ_AUTO(ccz_rep3_tensor) b = NULL;
    CCZ_AUTO(ccz_rep3_tensor) xy = NULL;
    CCZ_AUTO(ccz_rep3_tensor) q = NULL;
    CCZ_AUTO(ccz_rep3_tensor) n = NULL;
    CCZ_AUTO(ccz_rep3_tensor) c = NULL;
    CCZ_AUTO(ccz_rep3_tensor) r = NULL;
    CCZ_AUTO(ccz_rep3_tensor) s = NULL;
    CCZ_AUTO(ccz_rep3_tensor) i = NULL;
    CCZ_AUTO(ccz_rep3_tensor) one = NULL;
    CCZ_AUTO(ccz_rep3_tensor) full = NULL;
    const uint64_t bits = 5;
    ccz_rc rc = ccz_rep3_share(&x, m, 0, shape, 4, role == 0 ? whole_x : NULL, e);
    if (rc == CCZ_OK)
        rc = ccz_rep3_share(&y, m, 1, shape, 4, role == 1 ? whole_y : NULL, e);
    if (rc == CCZ_OK)
        rc = ccz_rep3_share_bits(&b, m, 2, shape, role == 2 ? &bits : NULL, e);
    if (rc == CCZ_OK)
        rc = ccz_rep3_mul(&xy, x, y, e);
    if (rc == CCZ_OK)
        rc = ccz_rep3_trunc(&q, xy, 4, e);
    if (rc == CCZ_OK)
        rc = ccz_rep3_negative(&n, xy, range, e);
    if (rc == CCZ_OK)
        rc = ccz_rep3_and(&c, n, b, e);
    if (rc == CCZ_OK)
        rc = ccz_rep3_relu(&r, xy, 4, range, e);
    if (rc == CCZ_OK)
        rc = ccz_rep3_sigmoid3(&s, xy, 4, range, e);
    if (rc == CCZ_OK)
        rc = ccz_rep3_inject(&i, c, x, e);
    if (rc == CCZ_OK)
        rc = ccz_rep3_inject(&one, c, NULL, e);
    if (rc == CCZ_OK)
        rc = ccz_rep3_reshare(&full, xy, e);
    const struct ccz_rep3_tensor *const results[] = {q, c, r, s, i, one, full};
    for (int j = 0; j < 7 && rc == CCZ_OK; j++)
        rc = ccz_rep3_reveal(out + (size_t)j * WHOLE, results[j], CCZ_REP3_TO_ALL, "result", e);
    return rc;
}

/* All products are multiples of 2^4, so that truncation is exact. */
static inline bool whole_right(const uint64_t out[7 * WHOLE])
{
    static const uint64_t want[7 * WHOLE] = {
        24,  0, (uint64_t)-80,  4, 0, 0, 24, 0, 0, 16, 8, 0, 0, 0, (uint64_t)-80, 0, 0, 1,
        384, 0, (uint64_t)-1280};
    for (int i = 0; i < 7 * WHOLE; i++)
        if (out[i] != want[i])
            return false;
    return true;
}
#endif
