/* SPDX-License-Identifier: Apache-2.0 */
/* A program with the k-th allocation failing, for every k (OT: every seventh): all end, with errors that say why. */
#define _DEFAULT_SOURCE
#include "kit.h"
#include "nomem.h"

static void run(struct party *p, void *arg)
{
    const uint64_t a[6] = {1, 2, 3, 4, 5, 6};
    uint64_t out[4] = {0};
    struct ccz_err *e = &p->err;
    CCZ_AUTO(ccz_mpc_tensor) x = NULL;
    CCZ_AUTO(ccz_mpc_tensor) u = NULL;
    CCZ_AUTO(ccz_mpc_tensor) w = NULL;
    CCZ_AUTO(ccz_mpc_tensor) y = NULL;
    CCZ_AUTO(ccz_mpc_tensor) z = NULL;
    CCZ_AUTO(ccz_mpc_tensor) t = NULL;
    (void)arg;
    const struct ccz_mpc_need needs[] = {
        {.kind = CCZ_MPC_CROSS_MATMUL, .m = 2, .k = 3, .n = 2, .fixed = 1, .owner = 0},
        {.kind = CCZ_MPC_SQUARE, .n = 4}};
    ccz_rc rc = ccz_mpc_private(&x, p->m, 0, CCZ_MPC_SHAPE2(2, 3), 0, p->role ? NULL : a, e);
    if (rc == CCZ_OK)
        rc = ccz_mpc_private(&u, p->m, 1, CCZ_MPC_SHAPE2(3, 2), 0, p->role ? a : NULL, e);
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
        rc = ccz_mpc_reveal(out, t, CCZ_MPC_TO_BOTH, "result", e);
    if (rc == CCZ_OK)
        CHECK(out[0] == (uint64_t)22 * 22 * 22 && out[3] == (uint64_t)64 * 64 * 64);
    p->rc = rc;
}

static bool explained(ccz_rc rc, const struct ccz_err *e)
{
    return rc == CCZ_OK || rc == CCZ_E_NOMEM || rc == CCZ_E_CLOSED || rc == CCZ_E_INTERNAL ||
           strcmp(e->where, "chan:size") == 0 || strcmp(e->where, "chan:message-size") == 0;
}

static void every_allocation(long step)
{
    long k = 0;
    for (bool failed = true; failed; k += step) {
        struct duo d;
        duo_init(&d, 64);
        nomem_left = k;
        duo_run(&d, run, NULL);
        failed = nomem_left < 0;
        nomem_left = -1;
        bool good = d.p[0].rc == CCZ_OK && d.p[1].rc == CCZ_OK;
        CHECK(good || failed);
        for (int i = 0; i < 2; i++) {
            if (!explained(d.p[i].rc, &d.p[i].err))
                fprintf(stderr, "%ld: party %d: %s %s %s\n", k, i, ccz_rc_name(d.p[i].rc),
                        d.p[i].err.where, d.p[i].err.msg);
            CHECK(explained(d.p[i].rc, &d.p[i].err));
        }
        duo_free(&d);
    }
    CHECK(k > 40);
}

static void test_dealer(void)
{
    kit_source = CCZ_MPC_SOURCE_DEALER;
    every_allocation(1);
}

static void test_ot(void)
{
    kit_source = CCZ_MPC_SOURCE_OT; /* base OTs take their time */
    every_allocation(7);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"nomem.dealer", test_dealer}, {"nomem.ot", test_ot}};
    (void)nomem_openssl; /* what OpenSSL allocates is far more, and the same for all its users */
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
