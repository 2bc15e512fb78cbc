/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run under valgrind: any branch or address that depends on a secret is reported. Secret are delta, keys, choices, where the noise
 * is and every value that was not sent; the marks are where those come from (src/ot). Valgrind cannot run AVX-512: that tier has
 * no branches or addresses that depend on data by construction. Base OTs mark nothing: libsodium checks points as it goes.
 */
#define _DEFAULT_SOURCE
#include "base/ct.h"
#include "ot/ext_priv.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEN = 33, SHORT = 130 };

static bool run_kernels(const struct cczi_ot_kernels *k)
{
    struct ccz_f128 in[LEN], out[2 * LEN];
    struct cczi_aes aes;
    uint8_t key[16];
    memset(in, 0x3c, sizeof(in));
    memset(key, 0x77, sizeof(key));
    CCZ_CT_SECRET(in, sizeof(in));
    CCZ_CT_SECRET(key, sizeof(key));
    k->aes_key(&aes, key);
    k->ctr(out, LEN, 5, &aes);
    k->grow(out, in, LEN, &aes);
    (void)k->halve(out, in, LEN, &aes);
    k->hash(out, in, LEN, 9, &aes);
    k->mul_add(out, in, LEN, in[1]);
    out[0] = k->mul(out[1], k->poly(out, 2 * LEN, in[0]));
    CCZ_CT_PUBLIC(out, sizeof(out[0]));
    return printf("%s %016llx\n", k->name, (unsigned long long)out[0].lo) > 0;
}

struct party {
    struct ccz_chan *chan;
    size_t len;
    struct ccz_f128 delta, *x, *y;
    ccz_rc rc;
};

static void *send_vole(void *arg)
{
    struct party *p = arg;
    p->rc = ccz_vole_send(&p->delta, p->y, p->len, p->chan, &(struct ccz_ot_cfg){0}, NULL);
    return NULL;
}

static bool run_vole(size_t len)
{
    struct party s = {.len = len}, r = {.len = len};
    pthread_t t;
    if (ccz_chan_pair(&s.chan, &r.chan, NULL, NULL) != CCZ_OK)
        return false;
    ccz_chan_set_timeout(s.chan, INT64_MAX);
    ccz_chan_set_timeout(r.chan, INT64_MAX);
    s.y = calloc(len, sizeof(*s.y));
    r.x = calloc(len, sizeof(*r.x));
    r.y = calloc(len, sizeof(*r.y));
    if (!s.y || !r.x || !r.y || pthread_create(&t, NULL, send_vole, &s) != 0)
        return false;
    r.rc = ccz_vole_recv(r.x, r.y, len, r.chan, &(struct ccz_ot_cfg){0}, NULL);
    (void)pthread_join(t, NULL);
    ccz_chan_free(s.chan);
    ccz_chan_free(r.chan);
    struct ccz_f128 c = cczi_f128_add(ccz_f128_mul(r.x[len - 1], s.delta), s.y[len - 1]);
    CCZ_CT_PUBLIC(&c, sizeof(c));
    CCZ_CT_PUBLIC(&r.y[len - 1], sizeof(c));
    bool good = s.rc == CCZ_OK && r.rc == CCZ_OK && c.lo == r.y[len - 1].lo;
    free(s.y);
    free(r.x);
    free(r.y);
    return good;
}

/* Trees and code, on a noise vector that is too short to be safe. */
static const struct cczi_lpn small = {.n = 64, .noisy = 128, .t = 4, .depth = 5};

static void *send_trees(void *arg)
{
    struct party *p = arg;
    struct cczi_soft s;
    uint8_t seed[32];
    p->rc = cczi_soft_init(&s, true, CCZI_OT_VOLE, 1, p->chan, &(struct ccz_ot_cfg){0}, NULL);
    if (p->rc == CCZ_OK)
        p->rc = cczi_spvole_send(p->x, &small, seed, &s, NULL);
    if (p->rc == CCZ_OK)
        cczi_code_one(p->y, p->x, &small, seed, s.kernels);
    p->delta = s.delta;
    cczi_soft_deinit(&s);
    return NULL;
}

static bool run_trees(void)
{
    struct ccz_f128 v[128], b[64], pairs[128][2], a[64], c[64];
    struct party p = {.x = v, .y = b};
    struct ccz_chan *chan;
    struct cczi_soft s;
    uint8_t seed[32];
    pthread_t t;
    if (ccz_chan_pair(&p.chan, &chan, NULL, NULL) != CCZ_OK ||
        pthread_create(&t, NULL, send_trees, &p) != 0)
        return false;
    ccz_rc rc = cczi_soft_init(&s, false, CCZI_OT_VOLE, 1, chan, &(struct ccz_ot_cfg){0}, NULL);
    if (rc == CCZ_OK)
        rc = cczi_spvole_recv(pairs, &small, seed, &s, NULL);
    if (rc == CCZ_OK)
        cczi_code_two(a, c, pairs, &small, seed, s.kernels);
    cczi_soft_deinit(&s);
    (void)pthread_join(t, NULL);
    ccz_chan_free(p.chan);
    ccz_chan_free(chan);
    struct ccz_f128 sum = cczi_f128_add(ccz_f128_mul(a[63], p.delta), b[63]);
    CCZ_CT_PUBLIC(&sum, sizeof(sum));
    CCZ_CT_PUBLIC(&c[63], sizeof(c[63]));
    return rc == CCZ_OK && p.rc == CCZ_OK && sum.lo == c[63].lo;
}

static uint8_t choices[SHORT / 8 + 1];

static void *send_ot(void *arg)
{
    struct party *p = arg;
    CCZ_AUTO(ccz_ot_sender) s = NULL;
    p->rc = ccz_ot_sender_new(&s, p->chan, &(struct ccz_ot_cfg){.k = 8}, NULL);
    if (p->rc == CCZ_OK)
        p->rc = ccz_ot_send(p->x, p->len, s, NULL);
    return NULL;
}

static bool run_ot(void)
{
    struct ccz_f128 sent[2 * SHORT], got[SHORT];
    struct party s = {.len = SHORT, .x = sent};
    struct ccz_chan *chan;
    CCZ_AUTO(ccz_ot_receiver) r = NULL;
    pthread_t t;
    memset(choices, 0x5a, sizeof(choices));
    CCZ_CT_SECRET(choices, sizeof(choices));
    if (ccz_chan_pair(&s.chan, &chan, NULL, NULL) != CCZ_OK ||
        pthread_create(&t, NULL, send_ot, &s) != 0)
        return false;
    ccz_rc rc = ccz_ot_receiver_new(&r, chan, &(struct ccz_ot_cfg){.k = 8}, NULL);
    if (rc == CCZ_OK)
        rc = ccz_ot_recv(got, choices, SHORT, r, NULL);
    (void)pthread_join(t, NULL);
    ccz_chan_free(s.chan);
    ccz_chan_free(chan);
    CCZ_CT_PUBLIC(sent, sizeof(sent));
    CCZ_CT_PUBLIC(got, sizeof(got));
    return rc == CCZ_OK && s.rc == CCZ_OK && memcmp(&got[1], &sent[3], sizeof(got[1])) == 0;
}

/* ------------------------------------------------------------- store of OTs, and forms of it */

enum { ITEMS = 19, WIDTH = 3, LOG = 4, BITS = 11 };

struct values {
    struct ccz_ot_ext *e;
    uint64_t n[ITEMS << LOG], y[ITEMS * WIDTH], f[ITEMS * WIDTH], r[ITEMS * WIDTH],
        z[ITEMS * WIDTH];
    uint8_t x[ITEMS];
    ccz_rc rc;
};
static struct values sender_has, receiver_has;
static struct ccz_chan *ends[2];

static void *send_forms(void *arg)
{
    struct values *v = arg;
    v->rc = ccz_ot_ext_new(&v->e, true, ends[0], &(struct ccz_ot_ext_cfg){0}, NULL);
    if (v->rc == CCZ_OK)
        v->rc = ccz_ot_ext_n64_send(v->n, ITEMS, LOG, BITS, v->e, NULL);
    if (v->rc == CCZ_OK)
        v->rc = ccz_ot_ext_ring_send(v->r, v->f, ITEMS, WIDTH, BITS, v->e, NULL);
    if (v->rc == CCZ_OK)
        v->rc = ccz_ot_ext_mul_send(v->z, v->f, ITEMS, WIDTH, BITS, v->e, NULL);
    if (v->rc == CCZ_OK)
        v->rc = ccz_ot_ext_rbit_send((uint8_t *)v->y, (uint8_t *)v->y + ITEMS, ITEMS, v->e, NULL);
    return NULL;
}

static ccz_rc recv_forms(struct values *v)
{
    v->rc = ccz_ot_ext_new(&v->e, false, ends[1], &(struct ccz_ot_ext_cfg){0}, NULL);
    if (v->rc == CCZ_OK)
        v->rc = ccz_ot_ext_n64_recv(v->n, v->x, ITEMS, LOG, BITS, v->e, NULL);
    if (v->rc == CCZ_OK)
        v->rc = ccz_ot_ext_ring_recv(v->y, v->x, ITEMS, WIDTH, BITS, v->e, NULL);
    if (v->rc == CCZ_OK)
        v->rc = ccz_ot_ext_mul_recv(v->z, v->f, ITEMS, WIDTH, BITS, v->e, NULL);
    if (v->rc == CCZ_OK)
        v->rc = ccz_ot_ext_rbit_recv((uint8_t *)v->r, (uint8_t *)v->r + ITEMS, ITEMS, v->e, NULL);
    return v->rc;
}

static bool run_forms(void)
{
    struct values *s = &sender_has, *r = &receiver_has;
    pthread_t t;
    if (ccz_chan_pair(&ends[0], &ends[1], NULL, NULL) != CCZ_OK)
        return false;
    for (size_t i = 0; i < ITEMS; i++)
        r->x[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < ITEMS * WIDTH; i++)
        s->f[i] = r->f[i] = i * i * 31;
    for (size_t i = 0; i < ITEMS << LOG; i++)
        s->n[i] = i * i & 2047;
    CCZ_CT_SECRET(s, sizeof(*s));
    CCZ_CT_SECRET(r, sizeof(*r));
    if (pthread_create(&t, NULL, send_forms, s) != 0)
        return false;
    bool good = recv_forms(r) == CCZ_OK;
    (void)pthread_join(t, NULL);
    CCZ_CT_PUBLIC(s, sizeof(*s));
    CCZ_CT_PUBLIC(r, sizeof(*r));
    good = good && s->rc == CCZ_OK && r->n[3] == s->n[(3 << LOG) + (3 * 7 & 15)];
    good = good && ((s->z[5] + r->z[5] - s->f[5] * r->f[5 / WIDTH]) & 2047) == 0;
    ccz_ot_ext_free(s->e);
    ccz_ot_ext_free(r->e);
    ccz_chan_free(ends[0]);
    ccz_chan_free(ends[1]);
    return good;
}

/* A silent round on a noise vector that is too short to be safe. */
static const struct cczi_silent_shape little = {.lpn = {.n = 200, .noisy = 320, .t = 5, .depth = 6},
                                                .base = 5 * 6 + 128};

static ccz_rc little_round(struct ccz_f128 *out, bool sender, struct ccz_chan *chan,
                           const struct ccz_f128 *base, struct ccz_f128 delta)
{
    struct cczi_soft s = {
        .kernels = cczi_ot_kernels(), .chan = chan, .delta = delta, .sender = sender};
    struct cczi_silent m;
    cczi_transcript_start(&s.t, "ct", (struct ccz_span){0});
    ccz_rc rc = cczi_silent_init(&m, &little, NULL);
    if (rc == CCZ_OK) {
        memcpy(m.base.at, base, m.base.len * sizeof(*base));
        CCZ_CT_SECRET(m.base.at, m.base.len * sizeof(*base));
        rc = cczi_silent_round(out, &m, &s, NULL);
    }
    cczi_silent_deinit(&m);
    return rc;
}

static struct ccz_f128 silent_q[200], silent_t[200], base_q[158], base_t[158];
static struct ccz_f128 silent_delta = {0x123456789abcdef1u, 0xfedcba9876543210u};

static void *send_little(void *arg)
{
    *(ccz_rc *)arg = little_round(silent_q, true, ends[0], base_q, silent_delta);
    return NULL;
}

static bool run_silent(void)
{
    pthread_t t;
    ccz_rc other;
    if (ccz_chan_pair(&ends[0], &ends[1], NULL, NULL) != CCZ_OK)
        return false;
    for (uint64_t i = 0; i < 158; i++) {
        base_q[i] = (struct ccz_f128){i * i << 1, ~i};
        base_t[i] = cczi_f128_add(base_q[i], cczi_f128_and(silent_delta, 0 - (i / 3 & 1)));
    }
    CCZ_CT_SECRET(&silent_delta, sizeof(silent_delta));
    if (pthread_create(&t, NULL, send_little, &other) != 0)
        return false;
    ccz_rc rc = little_round(silent_t, false, ends[1], base_t, (struct ccz_f128){0});
    (void)pthread_join(t, NULL);
    ccz_chan_free(ends[0]);
    ccz_chan_free(ends[1]);
    struct ccz_f128 d = cczi_f128_add(silent_q[7], silent_t[7]);
    CCZ_CT_PUBLIC(&d, sizeof(d));
    CCZ_CT_PUBLIC(&silent_delta, sizeof(silent_delta));
    return rc == CCZ_OK && other == CCZ_OK && (d.lo == 0 || d.lo == silent_delta.lo);
}

/* Where a tree has its hole, as an address. */
static bool leak(void)
{
    static const char table[256] = {1, 2, 3};
    uint8_t hole = 3;
    CCZ_CT_SECRET(&hole, 1);
    return table[hole] == 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--leak") == 0)
        return leak() ? 0 : 1;
    for (size_t i = 0; i < 2; i++)
        if (cczi_ot_tier_at(i) && !run_kernels(cczi_ot_tier_at(i)))
            return 1;
    printf("protocols with %s\n", cczi_ot_kernels()->name);
    return run_vole(SHORT) && run_trees() && run_ot() && run_forms() && run_silent() ? 0 : 1;
}
