/* SPDX-License-Identifier: Apache-2.0 */
/* ECDSA verification, FIPS 186-5, 6.4.2. Variable time: public data only. */
#define _DEFAULT_SOURCE
#include "p256_priv.h"

#include <cczoo/base.h>

#include <pthread.h>
#include <string.h>

enum { CHUNK_LEN = 32 }; /* signatures that share one inversion */

/* A job whose r and s are in range. */
struct work {
    struct cczi_p256_job *job;
    struct cczi_p256_int r, s;
    struct cczi_p256_int u1, u2; /* the signature is valid if x of u1 G + u2 Q is r mod n */
};

/* ------------------------------------------------------------------------------ verifying */

static bool in_range(const struct cczi_p256_int *a)
{
    return !cczi_p256_int_is_zero(a) && cczi_p256_int_less(a->v, cczi_p256_order.v);
}

/* u1 = e / s, u2 = r / s with one inversion: product of all s, its inverse, and back (Montgomery
 * 1987). */
static void make_scalars(struct work *works, size_t len)
{
    struct cczi_p256_int products[CHUNK_LEN], inverse, w;
    products[0] = works[0].s;
    for (size_t i = 1; i < len; i++)
        cczi_p256_order_mul(&products[i], &products[i - 1], &works[i].s);
    cczi_p256_order_inverse(&inverse, &products[len - 1]);
    for (size_t i = len; i-- > 0;) {
        w = inverse;
        if (i > 0) {
            cczi_p256_order_mul(&w, &inverse, &products[i - 1]);
            cczi_p256_order_mul(&inverse, &inverse, &works[i].s);
        }
        struct cczi_p256_int e = cczi_p256_int_read(works[i].job->digest);
        cczi_p256_order_mul(&works[i].u1, &e, &w);
        cczi_p256_order_mul(&works[i].u2, &works[i].r, &w);
    }
}

/* Adds points of tables one after another. */
static void verify_plain(const struct cczi_p256_engine *engine, const struct work *w)
{
    struct cczi_p256_ref refs[CCZI_P256_SUM_MAX];
    struct cczi_p256_jac sum;
    size_t len = cczi_p256_comb(refs, &engine->base, &w->u1);
    if (w->job->table) {
        memset(&sum, 0, sizeof(sum));
        len += cczi_p256_comb(refs + len, w->job->table, &w->u2);
    } else {
        int8_t naf[CCZI_P256_NAF_LEN];
        size_t naf_len = cczi_p256_naf(naf, &w->u2);
        engine->curve->mul(&sum, w->job->key, naf, naf_len);
    }
    engine->curve->sum(&sum, refs, len);
    w->job->valid = engine->curve->x_is(&sum, &w->r);
}

#if defined(__x86_64__)
/*
 * Up to four jobs side by side, all with a table or none. Fewer share the lanes: the points that
 * make up a signature are dealt out to its lanes, whose sums are then added.
 */
static void verify_lanes(const struct cczi_p256_engine *engine, struct work *works[], size_t len)
{
    struct cczi_p256_lane lanes[CCZI_P256_LANES];
    struct cczi_p256_jac sums[CCZI_P256_LANES];
    size_t ways = CCZI_P256_LANES / len;
    memset(lanes, 0, sizeof(lanes));
    for (size_t i = 0; i < CCZI_P256_LANES; i++) {
        const struct work *w = works[i / ways < len ? i / ways : 0];
        lanes[i].key = w->job->table ? NULL : w->job->key;
    }
    for (size_t i = 0; i < len; i++) {
        struct cczi_p256_ref refs[CCZI_P256_SUM_MAX];
        size_t n = cczi_p256_comb(refs, &engine->base, &works[i]->u1);
        if (works[i]->job->table)
            n += cczi_p256_comb(refs + n, works[i]->job->table, &works[i]->u2);
        else
            cczi_p256_windows(lanes[i * ways].digits, &works[i]->u2);
        for (size_t k = 0; k < n; k++) {
            struct cczi_p256_lane *l = &lanes[i * ways + k % ways];
            l->refs[l->len++] = refs[k];
        }
    }
    cczi_p256_ifma_sum(sums, lanes, engine->curve);
    for (size_t i = 0; i < len; i++) {
        struct cczi_p256_jac *sum = &sums[i * ways];
        bool known = true;
        for (size_t k = 0; k < ways; k++) {
            known = known && (sum[k].z.v[0] | sum[k].z.v[1] | sum[k].z.v[2] | sum[k].z.v[3]) != 0;
            if (k > 0)
                engine->curve->add(sum, &sum[k]);
        }
        if (known)
            works[i]->job->valid = engine->curve->x_is(sum, &works[i]->r);
        else /* rare: only a made-up signature gets here */
            verify_plain(engine, works[i]);
    }
}

/* The fewest jobs that are faster side by side than one after another. */
enum { LANES_MIN_KNOWN = 1, LANES_MIN_NEW = 2 };

static void verify_in_lanes(const struct cczi_p256_engine *engine, struct work *works, size_t len)
{
    for (int known = 0; known < 2; known++) {
        struct work *group[CCZI_P256_LANES];
        size_t n = 0, min = known ? LANES_MIN_KNOWN : LANES_MIN_NEW;
        for (size_t i = 0; i < len; i++) {
            if ((works[i].job->table != NULL) == known)
                group[n++] = &works[i];
            if (n == CCZI_P256_LANES || (i + 1 == len && n >= min)) {
                verify_lanes(engine, group, n);
                n = 0;
            }
        }
        for (size_t i = 0; i < n; i++)
            verify_plain(engine, group[i]);
    }
}
#endif

static void verify_chunk(const struct cczi_p256_engine *engine, struct cczi_p256_job *jobs,
                         size_t jobs_len)
{
    struct work works[CHUNK_LEN];
    size_t len = 0;
    for (size_t i = 0; i < jobs_len; i++) {
        struct work *w = &works[len];
        jobs[i].valid = false;
        w->job = &jobs[i];
        w->r = cczi_p256_int_read(jobs[i].sig);
        w->s = cczi_p256_int_read(jobs[i].sig + 32);
        len += in_range(&w->r) && in_range(&w->s);
    }
    if (len == 0)
        return;
    make_scalars(works, len);
#if defined(__x86_64__)
    if (engine->ifma) {
        verify_in_lanes(engine, works, len);
        return;
    }
#endif
    for (size_t i = 0; i < len; i++)
        verify_plain(engine, &works[i]);
}

void cczi_p256_verify(const struct cczi_p256_engine *engine, struct cczi_p256_job *jobs, size_t len)
{
    for (size_t n; len > 0; jobs += n, len -= n) {
        n = len < CHUNK_LEN ? len : CHUNK_LEN;
        verify_chunk(engine, jobs, n);
    }
}

/* ------------------------------------------------------------------------------- choosing */

void cczi_p256_engine_init(struct cczi_p256_engine *e, const struct cczi_p256_curve *curve,
                           bool ifma)
{
    /* SP 800-186, 3.2.1.3 */
    static const uint8_t generator[64] = {
        0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63,
        0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1,
        0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f,
        0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57,
        0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5};
    struct cczi_p256_point g;
    e->curve = curve;
    e->ifma = ifma;
    (void)curve->read(&g, generator);
    curve->table(&e->base, &g);
}

#if defined(__x86_64__)
/* Known answer: RFC 6979, A.2.5, SHA-256 of "sample"; and that another digest is refused. */
static bool self_test(const struct cczi_p256_engine *engine)
{
    static const uint8_t xy[64] = {0x60, 0xfe, 0xd4, 0xba, 0x25, 0x5a, 0x9d, 0x31, 0xc9, 0x61, 0xeb,
                                   0x74, 0xc6, 0x35, 0x6d, 0x68, 0xc0, 0x49, 0xb8, 0x92, 0x3b, 0x61,
                                   0xfa, 0x6c, 0xe6, 0x69, 0x62, 0x2e, 0x60, 0xf2, 0x9f, 0xb6, 0x79,
                                   0x03, 0xfe, 0x10, 0x08, 0xb8, 0xbc, 0x99, 0xa4, 0x1a, 0xe9, 0xe9,
                                   0x56, 0x28, 0xbc, 0x64, 0xf2, 0xf1, 0xb2, 0x0c, 0x2d, 0x7e, 0x9f,
                                   0x51, 0x77, 0xa3, 0xc2, 0x94, 0xd4, 0x46, 0x22, 0x99};
    static const uint8_t sig[64] = {
        0xef, 0xd4, 0x8b, 0x2a, 0xac, 0xb6, 0xa8, 0xfd, 0x11, 0x40, 0xdd, 0x9c, 0xd4,
        0x5e, 0x81, 0xd6, 0x9d, 0x2c, 0x87, 0x7b, 0x56, 0xaa, 0xf9, 0x91, 0xc3, 0x4d,
        0x0e, 0xa8, 0x4e, 0xaf, 0x37, 0x16, 0xf7, 0xcb, 0x1c, 0x94, 0x2d, 0x65, 0x7c,
        0x41, 0xd4, 0x36, 0xc7, 0xa1, 0xb6, 0xe2, 0x9f, 0x65, 0xf3, 0xe9, 0x00, 0xdb,
        0xb9, 0xaf, 0xf4, 0x06, 0x4d, 0xc4, 0xab, 0x2f, 0x84, 0x3a, 0xcd, 0xa8};
    static const uint8_t digest[2][32] = {{0xaf, 0x2b, 0xdb, 0xe1, 0xaa, 0x9b, 0x6e, 0xc1,
                                           0xe2, 0xad, 0xe1, 0xd6, 0x94, 0xf4, 0x1f, 0xc7,
                                           0x1a, 0x83, 0x1d, 0x02, 0x68, 0xe9, 0x89, 0x15,
                                           0x62, 0x11, 0x3d, 0x8a, 0x62, 0xad, 0xd1, 0xbf},
                                          {0xff}};
    struct cczi_p256_job jobs[CCZI_P256_LANES + 1];
    struct cczi_p256_point key;
    bool right = engine->curve->read(&key, xy);
    for (size_t len = 1; right && len <= CCZI_P256_LANES + 1; len += CCZI_P256_LANES) {
        for (size_t i = 0; i < len; i++) {
            jobs[i] = (struct cczi_p256_job){.key = &key, .sig = sig, .digest = digest[i % 2]};
        }
        cczi_p256_verify(engine, jobs, len); /* one by one, and side by side */
        for (size_t i = 0; i < len; i++)
            right = right && jobs[i].valid == (i % 2 == 0);
    }
    return right;
}
#endif

static struct cczi_p256_engine chosen;
static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;

static void choose(void)
{
#if defined(__x86_64__)
    const struct ccz_cpu *cpu = ccz_cpu();
    if (cpu->mulx_adx) {
        cczi_p256_engine_init(&chosen, &cczi_p256_curve_x86, cpu->chosen >= CCZ_CPU_IFMA);
        if (self_test(&chosen))
            return;
    }
#endif
    cczi_p256_engine_init(&chosen, &cczi_p256_curve_portable, false);
}

const struct cczi_p256_engine *cczi_p256_engine(void)
{
    (void)pthread_once(&chosen_once, choose);
    return &chosen;
}
