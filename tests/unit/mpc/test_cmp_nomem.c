/* SPDX-License-Identifier: Apache-2.0 */
/* One party's side of each protocol with every allocation failing in turn: a clear error, nothing lost (under ASan). */
#define _DEFAULT_SOURCE
#include "cmp_stub.h"
#include "nomem.h"

#include "mpc/cmp_op.h"

#include "ccz_test.h"

enum { N = 70 };

static ccz_rc all_of_it(struct ccz_err *err)
{
    CCZI_AUTO_OP o = {.k = 16, .mask = 0xffff};
    uint64_t v[N] = {0}, out[N], row[2], low[2];
    ccz_rc rc = stub_init(&o.c, NULL, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_cmp_less(row, low, v, N, 16, 5, &o.c, err);
    if (rc == CCZ_OK)
        rc = cczi_cmp_equal(row, v, N, 16, &o.c, err);
    if (rc == CCZ_OK)
        rc = cczi_op_msb(row, v, N, &o, err);
    if (rc == CCZ_OK)
        rc = cczi_op_mux(out, NULL, row, v, NULL, N, &o, err);
    return rc == CCZ_OK ? cczi_op_truncate(out, v, N, 3, CCZ_MPC_RANGE_ANY, true, &o, err) : rc;
}

static void test_all(void)
{
    CHECK(all_of_it(NULL) == CCZ_OK);
    nomem_used = 0;
    CHECK(all_of_it(NULL) == CCZ_OK);
    const long total = nomem_used;
    CHECK(total > 20);
    for (long k = 0; k < total; k++) {
        struct ccz_err err = {0};
        nomem_left = k;
        ccz_rc rc = all_of_it(&err);
        nomem_left = -1;
        CHECK(rc == CCZ_E_NOMEM && strcmp(err.where, "mpc:memory") == 0);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"cmp_nomem.all", test_all}};
    CHECK(nomem_openssl());
    return ccz_test_main(tests, 1, argc, argv);
}
