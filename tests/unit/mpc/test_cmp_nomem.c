/* SPDX-License-Identifier: Apache-2.0 */
/* One party's side of each protocol with every allocation failing in turn: a clear error, nothing lost (under ASan). */
#define _DEFAULT_SOURCE
#include "nomem.h"

#include "mpc/cmp_op.h"

#include "ccz_test.h"

enum { N = 70 };

static ccz_rc take_q(struct ccz_f128 *q, struct ccz_f128 *delta, uint64_t *first, size_t len,
                     void *self, struct ccz_err *err)
{
    (void)self;
    (void)err;
    *first = 0;
    *delta = (struct ccz_f128){1, 2};
    memset(q, 0, len * sizeof(*q));
    return CCZ_OK;
}

static ccz_rc take_t(struct ccz_f128 *t, uint64_t *x, uint64_t *first, size_t len, void *self,
                     struct ccz_err *err)
{
    (void)self;
    (void)err;
    *first = 0;
    memset(t, 0, len * sizeof(*t));
    memset(x, 0, cczi_words_of(len) * sizeof(*x));
    return CCZ_OK;
}

static ccz_rc trade(void *in, size_t in_size, const void *out, size_t out_size, void *self,
                    struct ccz_err *err)
{
    (void)out;
    (void)out_size;
    (void)self;
    (void)err;
    memset(in, 0, in_size);
    return CCZ_OK;
}

static ccz_rc own_random(uint64_t *out, size_t len, void *self, struct ccz_err *err)
{
    (void)self;
    (void)err;
    memset(out, 0, len * sizeof(*out));
    return CCZ_OK;
}

static ccz_rc reserve(void *self, const uint64_t ots[2], struct ccz_err *err)
{
    (void)self;
    (void)ots;
    (void)err;
    return CCZ_OK;
}

static ccz_rc all_of_it(struct ccz_err *err)
{
    static const struct cczi_cmp_ops ops = {reserve, take_q, take_t, trade, own_random};
    CCZI_AUTO_OP o = {.k = 16, .mask = 0xffff};
    uint64_t v[N] = {0}, out[N], row[2], low[2];
    ccz_rc rc = cczi_cmp_init(&o.c, &ops, NULL, 0, (const uint8_t *)"sixteen bytes of", err);
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
