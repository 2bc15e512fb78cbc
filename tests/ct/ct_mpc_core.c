/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run under valgrind: two parties with secret inputs and secret randomness (marked where it is drawn). Only what has been opened
 * is public. Products take theirs from a dealer; what OT does is in ct_ot.
 */
#include "mpc/session.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct side {
    struct ccz_chan *chan, *dealer;
    unsigned role;
    ccz_rc rc;
    uint64_t sum;
};

static ccz_rc program(struct side *s, struct ccz_mpc *m)
{
    uint64_t v[6] = {1, 2, 3, 4, 5, 6}, out[4] = {0}, bits = 0;
    CCZ_AUTO(ccz_mpc_tensor) x = NULL;
    CCZ_AUTO(ccz_mpc_tensor) u = NULL;
    CCZ_AUTO(ccz_mpc_tensor) w = NULL;
    CCZ_AUTO(ccz_mpc_tensor) y = NULL;
    CCZ_AUTO(ccz_mpc_tensor) z = NULL;
    CCZ_AUTO(ccz_mpc_tensor) t = NULL;
    CCZ_CT_SECRET(v, sizeof(v));
    ccz_rc rc = ccz_mpc_private(&x, m, 0, CCZ_MPC_SHAPE2(2, 3), 0, s->role ? NULL : v, NULL);
    if (rc == CCZ_OK)
        rc = ccz_mpc_private(&u, m, 1, CCZ_MPC_SHAPE2(3, 2), 0, s->role ? v : NULL, NULL);
    if (rc == CCZ_OK)
        rc = ccz_mpc_share(&w, u, NULL);
    if (rc == CCZ_OK)
        rc = ccz_mpc_matmul(&y, x, w, NULL);
    if (rc == CCZ_OK)
        rc = ccz_mpc_square(&z, y, NULL);
    if (rc == CCZ_OK)
        rc = ccz_mpc_mul(&t, z, y, NULL);
    if (rc == CCZ_OK)
        rc = cczi_mpc_and_bits(m, &bits, ccz_mpc_words(y), ccz_mpc_words(z), 50, NULL);
    if (rc == CCZ_OK)
        rc = ccz_mpc_reveal(out, t, CCZ_MPC_TO_BOTH, "result", NULL);
    CCZ_CT_PUBLIC(out, sizeof(out));
    CCZ_CT_PUBLIC(&bits, sizeof(bits));
    s->sum = out[0] + out[3];
    return rc;
}

static void *run(void *arg)
{
    struct side *s = arg;
    const struct ccz_mpc_cfg cfg = {
        .role = s->role, .ring_bits = 64, .source = CCZ_MPC_SOURCE_DEALER};
    struct ccz_mpc_source *src = NULL;
    CCZ_AUTO(ccz_mpc) m = NULL;
    s->rc = ccz_mpc_new(&m, s->chan, &cfg, NULL);
    if (s->rc == CCZ_OK)
        s->rc = ccz_mpc_source_dealer_new(&src, m, s->dealer, NULL);
    if (s->rc == CCZ_OK)
        s->rc = ccz_mpc_attach(m, src, NULL);
    if (s->rc == CCZ_OK)
        s->rc = program(s, m);
    return NULL;
}

/* Negative control: a branch on a share. */
static int leak(void)
{
    uint64_t v = 1;
    CCZ_CT_SECRET(&v, sizeof(v));
    return v > 5 ? puts("large") : puts("small");
}

int main(int argc, char **argv)
{
    struct side s[2] = {{.role = 0}, {.role = 1}};
    struct ccz_chan *d[2];
    pthread_t t[2];
    if (argc == 2 && strcmp(argv[1], "--leak") == 0)
        return leak() < 0;
    if (ccz_chan_pair(&s[0].chan, &s[1].chan, NULL, NULL) != CCZ_OK)
        return 1;
    for (int i = 0; i < 2; i++)
        if (ccz_chan_pair(&s[i].dealer, &d[i], NULL, NULL) != CCZ_OK ||
            pthread_create(&t[i], NULL, run, &s[i]) != 0)
            return 1;
    ccz_rc rc = ccz_mpc_dealer_run(d[0], d[1], NULL, NULL);
    for (int i = 0; i < 2; i++)
        (void)pthread_join(t[i], NULL);
    for (int i = 0; i < 2; i++) {
        ccz_chan_free(s[i].chan);
        ccz_chan_free(s[i].dealer);
        ccz_chan_free(d[i]);
    }
    const uint64_t expected = (uint64_t)22 * 22 * 22 + (uint64_t)64 * 64 * 64;
    return rc != CCZ_OK || s[0].rc != CCZ_OK || s[1].rc != CCZ_OK || s[0].sum != expected ||
           s[1].sum != expected;
}
