/* SPDX-License-Identifier: Apache-2.0 */
/* The whole program with the k-th allocation failing, for every k: all parties end, with errors that say why. */
#define _DEFAULT_SOURCE
#include "kit.h"
#include "nomem.h"
#include "whole.h"

static void run(struct party *p, void *arg)
{
    uint64_t out[7 * WHOLE] = {0};
    (void)arg;
    p->rc = whole(out, p->m, &p->err);
    CHECK(p->rc != CCZ_OK || whole_right(out));
}

static bool explained(ccz_rc rc, const struct ccz_err *e)
{
    return rc == CCZ_OK || rc == CCZ_E_NOMEM || rc == CCZ_E_CLOSED || rc == CCZ_E_INTERNAL ||
           strcmp(e->where, "chan:size") == 0 || strcmp(e->where, "chan:message-size") == 0;
}

static void test_all(void)
{
    long k = 0;
    for (bool failed = true; failed; k++) {
        struct trio t;
        trio_init(&t, 64);
        nomem_left = k;
        trio_run(&t, run, NULL);
        failed = nomem_left < 0;
        nomem_left = -1;
        int good = 0;
        for (int i = 0; i < 3; i++) {
            if (!explained(t.p[i].rc, &t.p[i].err))
                fprintf(stderr, "%ld: party %d: %s %s %s\n", k, i, ccz_rc_name(t.p[i].rc),
                        t.p[i].err.where, t.p[i].err.msg);
            CHECK(explained(t.p[i].rc, &t.p[i].err));
            good += t.p[i].rc == CCZ_OK;
        }
        CHECK(good == 3 || failed);
        trio_free(&t);
    }
    CHECK(k > 300);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"rep3_nomem.all", test_all}};
    (void)nomem_openssl; /* what OpenSSL allocates is far more, and the same for all its users */
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
