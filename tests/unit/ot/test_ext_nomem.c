/* SPDX-License-Identifier: Apache-2.0 */
/* The store of OTs and its forms with the k-th allocation failing, for every k: both end, with errors that say why. */
#define _DEFAULT_SOURCE
#include "ext_kit.h"
#include "nomem.h"

enum { ITEMS = 300 };

static uint64_t in[ITEMS << 2], out[2][ITEMS];
static uint8_t bits[ITEMS];

static ccz_rc send_all(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    (void)arg;
    ccz_rc rc = ccz_ot_ext_n64_send(in, ITEMS, 2, 20, e, err);
    if (rc == CCZ_OK)
        rc = ccz_ot_ext_mul_send(out[0], in, ITEMS, 1, 8, e, err);
    return rc;
}

static ccz_rc recv_all(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    (void)arg;
    ccz_rc rc = ccz_ot_ext_n64_recv(out[1], bits, ITEMS, 2, 20, e, err);
    if (rc == CCZ_OK)
        rc = ccz_ot_ext_mul_recv(out[1], in, ITEMS, 1, 8, e, err);
    return rc;
}

/* Allocations that failed for whoever asked come out as these. */
static bool explained(const struct ext_party *p)
{
    return p->rc == CCZ_E_NOMEM || p->rc == CCZ_E_CLOSED || p->rc == CCZ_E_INTERNAL ||
           strcmp(p->err.where, "chan:size") == 0; /* chan cannot tell no memory from too much */
}

static void every_allocation(const struct ccz_ot_ext_cfg *cfg)
{
    long k = 0;
    for (bool failed = true; failed; k++) {
        struct ext_two t = ext_new(cfg, send_all, recv_all, NULL);
        nomem_left = k;
        ext_run(&t);
        failed = nomem_left < 0;
        nomem_left = -1;
        if (t.p[0].rc != CCZ_OK || t.p[1].rc != CCZ_OK) {
            CHECK(failed);
            for (int i = 0; i < 2; i++)
                CHECK(t.p[i].rc == CCZ_OK || explained(&t.p[i]));
            CHECK(t.p[0].rc == CCZ_OK || (out[0][1] == 0 && out[0][ITEMS - 1] == 0));
            CHECK(t.p[1].rc == CCZ_OK || (out[1][1] == 0 && out[1][ITEMS - 1] == 0));
        }
        memset(out, 0, sizeof(out));
        ext_free(&t);
    }
    CHECK(k > 20);
}

static void test_soft(void)
{
    every_allocation(&ext_engines[0]);
}

static void test_silent(void)
{
    every_allocation(&ext_engines[1]);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"ext_nomem.soft", test_soft},
        {"ext_nomem.silent", test_silent},
    };
    (void)nomem_openssl; /* what OpenSSL allocates is far more, and the same for all its users */
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
