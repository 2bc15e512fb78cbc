/* SPDX-License-Identifier: Apache-2.0 */
/* Randomness: seeds from outside, everything else expanded from a seed by AES-256-CTR. */
#include "rlwe_priv.h"

#include "base/ct.h"

#include <math.h>
#include <string.h>

ccz_rc cczi_rlwe_seed(struct ccz_rlwe_work *w, void *out, size_t size, struct ccz_err *err)
{
    ccz_rc rc = w->rng.fill ? w->rng.fill(w->rng.arg, out, size) : ccz_random(out, size);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "rlwe:random", 0, "the random generator failed");
}

/* Counter block: domain, 0, index and prime (little-endian), then the counter from 0. */
static ccz_rc start(struct ccz_stream *s, const uint8_t *seed, enum cczi_rlwe_domain domain,
                    size_t index, size_t prime)
{
    const uint8_t iv[CCZ_STREAM_IV_SIZE] = {
        (uint8_t)domain, 0, (uint8_t)index, (uint8_t)(index >> 8), (uint8_t)prime, 0};
    return ccz_stream_start(s, seed, iv);
}

/* The key schedule of a secret seed does not outlive its use. */
static ccz_rc forget(struct ccz_stream *s, ccz_rc rc)
{
    static const uint8_t zeros[CCZ_RLWE_SEED_SIZE];
    ccz_rc forgotten = start(s, zeros, 0, 0, 0);
    return rc == CCZ_OK ? forgotten : rc;
}

enum { STEP_LEN = 1024 };

ccz_rc cczi_rlwe_uniform(uint64_t *out, struct ccz_rlwe_work *w, size_t thread, const uint8_t *seed,
                         enum cczi_rlwe_domain domain, size_t index, size_t prime)
{
    const struct ccz_rlwe *r = w->r;
    struct ccz_stream *s = w->stream[thread];
    uint64_t words[STEP_LEN] __attribute__((aligned(64)));
    ccz_rc rc = start(s, seed, domain, index, prime);
    for (size_t have = 0; rc == CCZ_OK && have < r->n;) {
        rc = ccz_stream_read(words, s, sizeof(words));
        if (rc == CCZ_OK)
            have += r->k->uniform(out + have, r->n - have, words, STEP_LEN, &r->mod[prime]);
    }
    return rc;
}

/* 32 random bits to {-1, 0, 1}: floor(3 x / 2^32) - 1, off uniform by less than 2^-31. */
static void ternary(int8_t *out, const uint64_t *words, size_t n)
{
    for (size_t i = 0; i < n; i += 2) {
        uint64_t x = words[i / 2];
        out[i] = (int8_t)((int)((x & 0xffffffff) * 3 >> 32) - 1);
        out[i + 1] = (int8_t)((int)((x >> 32) * 3 >> 32) - 1);
    }
}

/* Sums of the bits of two fields of 21 bits each, side by side in 32-bit halves. */
static inline uint64_t popcount2(uint64_t x)
{
    x -= x >> 1 & 0x5555555555555555;
    x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
    x += x >> 8;
    x += x >> 16;
    return x & 0x0000003f0000003f;
}

static void binomial(int8_t *out, const uint64_t *words, size_t n)
{
    const uint64_t field = (UINT64_C(1) << CCZI_RLWE_ETA) - 1;
    for (size_t i = 0; i < n; i++) {
        uint64_t sums = popcount2(words[i] & (field | field << 32));
        out[i] = (int8_t)((int)(sums & 63) - (int)(sums >> 32));
    }
}

ccz_rc cczi_rlwe_small(int8_t *out, struct ccz_rlwe_work *w, size_t thread, const uint8_t *seed,
                       enum cczi_rlwe_domain domain, size_t index)
{
    struct ccz_stream *s = w->stream[thread];
    uint64_t words[STEP_LEN];
    ccz_rc rc = start(s, seed, domain, index, 0);
    const size_t per = domain == CCZI_RLWE_TERNARY ? 2 * STEP_LEN : STEP_LEN;
    for (size_t i = 0; rc == CCZ_OK && i < w->r->n; i += per) {
        size_t len = w->r->n - i < per ? w->r->n - i : per;
        rc = ccz_stream_read(words, s, len * sizeof(words[0]) / (per / STEP_LEN));
        CCZ_CT_SECRET(words, sizeof(words));
        if (domain == CCZI_RLWE_TERNARY)
            ternary(out + i, words, len);
        else
            binomial(out + i, words, len);
    }
    ccz_wipe(words, sizeof(words));
    rc = forget(s, rc);
    if (rc != CCZ_OK)
        ccz_wipe(out, w->r->n);
    return rc;
}

/* (0, 1], 53 bits */
static double unit(uint64_t x)
{
    return (double)((x >> 11) + 1) * 0x1p-53;
}

ccz_rc ccz_rlwe_flood(int64_t *out, struct ccz_rlwe_work *w, double sigma, struct ccz_err *err)
{
    if (!(sigma >= 0 && sigma < 0x1p58))
        return ccz_fail(err, CCZ_E_ARG, "rlwe:flood", 0, "standard deviation out of range");
    uint8_t seed[CCZ_RLWE_SEED_SIZE];
    ccz_rc rc = cczi_rlwe_seed(w, seed, sizeof(seed), err);
    if (rc == CCZ_OK)
        rc = start(w->stream[0], seed, CCZI_RLWE_ERROR, 0, 0);
    uint64_t x[2];
    for (size_t i = 0; rc == CCZ_OK && i < w->r->n; i += 2) {
        rc = ccz_stream_read(x, w->stream[0], sizeof(x));
        /* Box-Muller: two independent Gaussians, at most 8.6 sigma */
        double radius = sigma * sqrt(-2 * log(unit(x[0]))), angle = 2 * acos(-1.0) * unit(x[1]);
        out[i] = llround(radius * cos(angle));
        out[i + 1] = llround(radius * sin(angle));
    }
    rc = forget(w->stream[0], rc);
    ccz_wipe(seed, sizeof(seed));
    ccz_wipe(x, sizeof(x));
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "rlwe:random", 0, "the random generator failed");
}

struct wide_job {
    struct ccz_rlwe_work *w;
    uint64_t *out;
    const uint64_t *words; /* [len][n] */
    size_t len;
    unsigned bits;
};

/* Horner's rule in 2^64, then the shift to both signs. */
static void wide_limb(void *arg, size_t i, size_t thread)
{
    const struct wide_job *j = arg;
    const struct ccz_rlwe *r = j->w->r;
    const struct ccz_modulus *m = &r->mod[i];
    uint64_t *out = j->out + i * r->n, *tmp = j->w->buf[thread];
    const struct ccz_mulc base = ccz_mulc_from(ccz_mod_pow(2, 64, m), m);
    const uint64_t half = ccz_mod_pow(2, j->bits - 1, m);
    r->k->reduce_u64(out, j->words + (j->len - 1) * r->n, r->n, m);
    for (size_t k = j->len - 1; k-- > 0;) {
        r->k->reduce_u64(tmp, j->words + k * r->n, r->n, m);
        r->k->mul_const(out, out, base, r->n, m);
        r->k->add(out, out, tmp, r->n, m);
    }
    for (size_t x = 0; x < r->n; x++) {
        uint64_t v = out[x] - half;
        out[x] = v + (m->q & -(v >> 63));
    }
}

ccz_rc ccz_rlwe_flood_uniform(uint64_t *out, struct ccz_rlwe_work *w, unsigned bits, size_t limbs,
                              struct ccz_err *err)
{
    if (bits < 1 || bits > CCZ_RLWE_FLOOD_BITS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "rlwe:flood", bits, CCZ_RLWE_FLOOD_BITS_MAX);
    if (limbs < 1 || limbs > w->r->data_len)
        return ccz_refuse_num(err, CCZ_E_ARG, "rlwe:limbs", (int64_t)limbs,
                              (int64_t)w->r->data_len);
    const size_t len = (bits + 63) / 64, n = w->r->n;
    uint64_t *words = ccz_rlwe_words_new(len * n);
    if (!words)
        return ccz_fail(err, CCZ_E_NOMEM, "rlwe:flood", 0, "out of memory");
    uint8_t seed[CCZ_RLWE_SEED_SIZE];
    ccz_rc rc = cczi_rlwe_seed(w, seed, sizeof(seed), err);
    if (rc == CCZ_OK)
        rc = start(w->stream[0], seed, CCZI_RLWE_FLOOD, 0, 0);
    if (rc == CCZ_OK)
        rc = ccz_stream_read(words, w->stream[0], len * n * sizeof(*words));
    CCZ_CT_SECRET(words, len * n * sizeof(*words));
    const uint64_t top = ~UINT64_C(0) >> (len * 64 - bits);
    for (size_t x = 0; x < n; x++)
        words[(len - 1) * n + x] &= top;
    struct wide_job j = {.w = w, .out = out, .words = words, .len = len, .bits = bits};
    if (rc == CCZ_OK)
        cczi_pool_run(w->pool, limbs, wide_limb, &j);
    rc = forget(w->stream[0], rc);
    ccz_wipe(seed, sizeof(seed));
    ccz_wipe(words, len * n * sizeof(*words));
    cczi_rlwe_wipe_bufs(w);
    ccz_rlwe_words_free(words);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "rlwe:random", 0, "the random generator failed");
}
