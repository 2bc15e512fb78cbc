/* SPDX-License-Identifier: Apache-2.0 */
/* One party's side of each function with every allocation failing in turn: a clear error, nothing lost (under ASan). The party runs in a
 * planning session, which asks for the same memory and needs no other one. */
#define _DEFAULT_SOURCE
#include "nomem.h"

#include "ccz_test.h"
#include "math_calls.h"
#include "mpc/shuffle.h"

#include <string.h>

enum { N = 70, CALLS = MATH_CALLS + 2 };

static ccz_rc one_call(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x, int number,
                       struct ccz_err *e)
{
    if (number < MATH_CALLS)
        return math_call(out, x, number, e);
    return number == MATH_CALLS ? ccz_mpc_permute(out, x, 0, NULL, e) : ccz_mpc_shuffle(out, x, e);
}

/* @return allocations that the call asked for; with `left` of them before one fails */
static long once(int number, unsigned role, long left, ccz_rc *rc, struct ccz_err *err)
{
    const struct ccz_mpc_cfg cfg = {.role = role, .ring_bits = 32};
    struct ccz_mpc *m = NULL;
    struct ccz_mpc_tensor *x = NULL, *out = NULL;
    CHECK(ccz_mpc_plan_new(&m, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_mpc_import(&x, m, CCZ_MPC_SHARED, CCZ_MPC_SHAPE2(N / 7, 7), 10, NULL, NULL) ==
          CCZ_OK);
    nomem_used = 0;
    nomem_left = left;
    *rc = one_call(&out, x, number, err);
    nomem_left = -1;
    CHECK((out != NULL) == (*rc == CCZ_OK));
    ccz_mpc_tensor_free(out);
    ccz_mpc_tensor_free(x);
    ccz_mpc_free(m);
    return nomem_used;
}

static void test_functions(void)
{
    for (int number = 0; number < CALLS; number++)
        for (unsigned role = 0; role < 2; role++) {
            ccz_rc rc;
            const long total = once(number, role, -1, &rc, NULL);
            CHECK(rc == CCZ_OK && total > 8);
            for (long k = 0; k < total; k++) {
                struct ccz_err err = {0};
                (void)once(number, role, k, &rc, &err);
                if (rc != CCZ_E_NOMEM)
                    fprintf(stderr, "function %d, allocation %ld: %s %s\n", number, k,
                            ccz_rc_name(rc), err.where);
                CHECK(rc == CCZ_E_NOMEM && strstr(err.where, ":memory"));
            }
        }
}

static void test_route(void)
{
    enum { ROWS = 2100 };
    static uint32_t order[ROWS], places[3][2 * ROWS];
    uint32_t *const place[3] = {places[0], places[1], places[2]};
    struct cczi_order o;
    struct ccz_err err = {0};
    for (uint32_t i = 0; i < ROWS; i++)
        order[i] = ROWS - 1 - i;
    cczi_order_shape(&o, ROWS, 1);
    nomem_left = 0;
    CHECK(cczi_order_route(place, order, &o, &err) == CCZ_E_NOMEM);
    nomem_left = -1;
    CHECK(strcmp(err.where, "mpc:memory") == 0);
    CHECK(cczi_order_route(place, order, &o, &err) == CCZ_OK);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"math_nomem.functions", test_functions},
                                            {"math_nomem.route", test_route}};
    CHECK(nomem_openssl());
    return ccz_test_main(tests, 2, argc, argv);
}
