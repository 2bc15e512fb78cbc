/* SPDX-License-Identifier: Apache-2.0 */
/* VOLE with the k-th allocation failing, for every k: both end, with errors that say why, and nothing is kept. */
#define _DEFAULT_SOURCE
#include "kit.h"
#include "nomem.h"

/* Allocations that failed for whoever asked come out as these. */
static bool explained(const struct party *p)
{
    return p->rc == CCZ_E_NOMEM || p->rc == CCZ_E_CLOSED || p->rc == CCZ_E_INTERNAL ||
           strcmp(p->err.where, "chan:size") == 0; /* chan cannot tell no memory from too much */
}

static void every_allocation(size_t len)
{
    long k = 0;
    for (bool failed = true; failed; k++) {
        struct two t = two_new(len);
        nomem_left = k;
        two_run(&t, vole_sender, vole_receiver);
        failed = nomem_left < 0;
        nomem_left = -1;
        if (t.p[0].rc != CCZ_OK || t.p[1].rc != CCZ_OK) {
            CHECK(failed);
            for (int i = 0; i < 2; i++) /* one may have had everything already */
                CHECK(t.p[i].rc == CCZ_OK || (explained(&t.p[i]) && is_zero(t.p[i].y, len)));
        } else { /* two threads count: now and then they miss the k-th */
            expect_vole(&t);
        }
        two_free(&t);
    }
    CHECK(k > 20);
}

static void test_short(void)
{
    every_allocation(300);
}

static void test_silent(void)
{
    every_allocation(CCZ_VOLE_SILENT_LEN);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"vole_nomem.short", test_short},
        {"vole_nomem.silent", test_silent},
    };
    (void)nomem_openssl; /* what OpenSSL allocates is far more, and the same for all its users */
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
