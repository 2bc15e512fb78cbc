/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_MPC_CUBES_H
#define CCZ_TEST_MPC_CUBES_H
/* A program that uses each kind of randomness: the cubes of the elements of a product of two matrices, and bits. */
#include "kit.h"

#include "base/ct.h"

/* Party 0 has the 2 x 3 matrix, party 1 the 3 x 2 matrix of the elements 1 to 6, secret to the constant-time test. out: 2 x 2. */
static inline ccz_rc cubes(uint64_t out[4], struct party *p)
{
    const struct ccz_mpc_need needs[] = {
        {.kind = CCZ_MPC_CROSS_MATMUL, .m = 2, .k = 3, .n = 2, .fixed = 1, .owner = 0},
        {.kind = CCZ_MPC_SQUARE, .n = 4}};
    uint64_t v[6] = {1, 2, 3, 4, 5, 6};
    struct ccz_err *e = &p->err;
    CCZ_AUTO(ccz_mpc_tensor) x = NULL;
    CCZ_AUTO(ccz_mpc_tensor) u = NULL;
    CCZ_AUTO(ccz_mpc_tensor) w = NULL;
    CCZ_AUTO(ccz_mpc_tensor) y = NULL;
    CCZ_AUTO(ccz_mpc_tensor) z = NULL;
    CCZ_AUTO(ccz_mpc_tensor) t = NULL;
    CCZ_AUTO(ccz_mpc_tensor) a = NULL;
    CCZ_AUTO(ccz_mpc_tensor) b = NULL;
    CCZ_AUTO(ccz_mpc_tensor) c = NULL;
    CCZ_CT_SECRET(v, sizeof(v));
    ccz_rc rc = ccz_mpc_private(&x, p->m, 0, CCZ_MPC_SHAPE2(2, 3), 0, p->role ? NULL : v, e);
    if (rc == CCZ_OK)
        rc = ccz_mpc_private(&u, p->m, 1, CCZ_MPC_SHAPE2(3, 2), 0, p->role ? v : NULL, e);
    if (rc == CCZ_OK)
        rc = ccz_mpc_share(&w, u, e);
    if (rc == CCZ_OK)
        rc = ccz_mpc_prepare(p->m, needs, 2, e);
    if (rc == CCZ_OK)
        rc = ccz_mpc_matmul(&y, x, w, e);
    if (rc == CCZ_OK)
        rc = ccz_mpc_square(&z, y, e);
    if (rc == CCZ_OK)
        rc = ccz_mpc_mul(&t, z, y, e);
    if (rc == CCZ_OK)
        rc = ccz_mpc_share_bits(&a, p->m, 0, CCZ_MPC_SHAPE1(50), p->role ? NULL : v, e);
    if (rc == CCZ_OK)
        rc = ccz_mpc_share_bits(&b, p->m, 1, CCZ_MPC_SHAPE1(50), p->role ? v : NULL, e);
    if (rc == CCZ_OK)
        rc = ccz_mpc_and(&c, a, b, e);
    if (rc == CCZ_OK)
        rc = ccz_mpc_reveal(out, t, CCZ_MPC_TO_BOTH, "result", e);
    CCZ_CT_PUBLIC(out, 4 * sizeof(*out));
    return rc;
}

static inline bool cubes_right(const uint64_t out[4])
{
    return out[0] == (uint64_t)22 * 22 * 22 && out[3] == (uint64_t)64 * 64 * 64;
}
#endif
