/* SPDX-License-Identifier: Apache-2.0 */
/* A program with the k-th allocation failing, for every k (OT: every seventh): all end, with errors that say why. */
#define _DEFAULT_SOURCE
#include "cubes.h"
#include "nomem.h"

static void run(struct party *p, void *arg)
{
    uint64_t out[4] = {0};
    (void)arg;
    p->rc = cubes(out, p);
    CHECK(p->rc != CCZ_OK || cubes_right(out));
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
