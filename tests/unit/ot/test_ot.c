/* SPDX-License-Identifier: Apache-2.0 */
#include "kit.h"

static void *vole_sender(void *arg)
{
    struct party *p = arg;
    p->rc = ccz_vole_send(&p->delta, p->y, p->len, p->chan, &p->cfg, &p->err);
    if (p->rc != CCZ_OK)
        ccz_chan_close(p->chan, p->err.msg);
    return NULL;
}

static void *vole_receiver(void *arg)
{
    struct party *p = arg;
    p->rc = ccz_vole_recv(p->x, p->y, p->len, p->chan, &p->cfg, &p->err);
    if (p->rc != CCZ_OK)
        ccz_chan_close(p->chan, p->err.msg);
    return NULL;
}

static void run_vole(size_t len, unsigned k)
{
    struct party s = {.len = len, .cfg.k = k}, r = s;
    pthread_t t;
    CHECK(ccz_chan_pair(&s.chan, &r.chan, NULL, NULL) == CCZ_OK);
    s.y = elements(len);
    r.x = elements(len);
    r.y = elements(len);
    CHECK(pthread_create(&t, NULL, vole_sender, &s) == 0);
    vole_receiver(&r);
    CHECK(pthread_join(t, NULL) == 0);
    if (s.rc != CCZ_OK || r.rc != CCZ_OK)
        fprintf(stderr, "%zu: %s %s / %s %s\n", len, s.err.where, s.err.msg, r.err.where,
                r.err.msg);
    CHECK(s.rc == CCZ_OK && r.rc == CCZ_OK);
    for (size_t i = 0; i < len; i++) {
        struct ccz_f128 p = ccz_f128_mul(r.x[i], s.delta);
        CHECK(r.y[i].lo == (p.lo ^ s.y[i].lo) && r.y[i].hi == (p.hi ^ s.y[i].hi));
    }
    CHECK(r.x[0].lo != 0 && s.y[0].lo != 0);
    struct ccz_chan_stats st = ccz_chan_stats(s.chan);
    CHECK(st.sent_size + st.received_size == ccz_vole_size(len, k));
    ccz_chan_free(s.chan);
    ccz_chan_free(r.chan);
    free(s.y);
    free(r.x);
    free(r.y);
}

static void test_vole_sizes(void)
{
    static const size_t lens[] = {1,    2,     127,   128,   129,   4095,   8191,   8192,
                                  8193, 10007, 65535, 65536, 65537, 131072, 1000000};
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
        run_vole(lens[i], 0);
    for (unsigned k = 1; k <= 8; k *= 2) {
        run_vole(77, k);
        run_vole(9000, k);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"ot.vole_sizes", test_vole_sizes},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
