/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Discrete Gaussians without floating point (Karney 2016, algorithm D, for a whole sigma and mean 0): with
 * |value| = k sigma + j, 0 <= j < sigma and x = j / sigma,
 *     exp(-(k + x)^2 / 2) = exp(-k^2 / 2) exp(-x)^k exp(-x^2 / 2):
 * k is drawn with the first factor, j uniformly, and the pair is accepted with the others. Every factor is made of
 * trials that succeed with a probability exp(-p), where p itself is the probability of something that is easy to draw.
 */
#include "dp/dp_priv.h"

#include <cczoo/crypto.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 1024, K_END = 64, PIECE = 256 };

struct ccz_dp_rng {
    struct ccz_stream *stream;
    bool bad; /* sticky: the generator failed, what is drawn are zeros */
    size_t at;
    uint32_t word[WORDS];
    uint32_t bits;
    unsigned bits_left;
};

ccz_rc ccz_dp_rng_new(struct ccz_dp_rng **out, const uint8_t *seed_insecure, struct ccz_err *err)
{
    static const uint8_t iv[CCZ_STREAM_IV_SIZE] = "ccz dp noise";
    *out = NULL;
    CCZ_AUTO(ccz_dp_rng) g = calloc(1, sizeof(*g));
    if (!g)
        return ccz_fail(err, CCZ_E_NOMEM, "dp:rng", 0, "out of memory");
    g->at = WORDS;
    uint8_t seed[CCZ_DP_SEED_SIZE];
    ccz_rc rc = ccz_stream_new(&g->stream);
    if (rc == CCZ_OK && !seed_insecure)
        rc = ccz_random(seed, sizeof(seed));
    if (rc == CCZ_OK)
        rc = ccz_stream_start(g->stream, seed_insecure ? seed_insecure : seed, iv);
    ccz_wipe(seed, sizeof(seed));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "dp:rng", 0, "no random numbers: %s", ccz_rc_str(rc));
    *out = ccz_dp_rng_take(&g);
    return CCZ_OK;
}

void ccz_dp_rng_free(struct ccz_dp_rng *g)
{
    if (!g)
        return;
    ccz_stream_free(g->stream);
    ccz_wipe(g, sizeof(*g));
    free(g);
}

static uint32_t draw(struct ccz_dp_rng *g)
{
    if (g->at == WORDS) {
        g->bad |= ccz_stream_read(g->word, g->stream, sizeof(g->word)) != CCZ_OK;
        g->at = 0;
    }
    return g->word[g->at++];
}

static bool draw_bit(struct ccz_dp_rng *g)
{
    if (g->bits_left == 0) {
        g->bits = draw(g);
        g->bits_left = 32;
    }
    bool bit = g->bits & 1;
    g->bits >>= 1;
    g->bits_left--;
    return bit;
}

/* Uniform in 0 .. end - 1; mask covers end - 1. */
static uint32_t draw_below(struct ccz_dp_rng *g, uint32_t end, uint32_t mask)
{
    for (;;) {
        uint32_t r = draw(g) & mask;
        if (r < end)
            return r;
    }
}

/* True with probability 1 / k: only small k ever matter. */
static bool one_in(struct ccz_dp_rng *g, uint32_t k)
{
    uint32_t mask = 1;
    while (mask < k - 1)
        mask = 2 * mask + 1;
    return draw_below(g, k, mask) == 0;
}

/* What succeeds with probability p. */
struct trial {
    uint32_t j, sigma, mask;
};
typedef bool (*trial_fn)(struct ccz_dp_rng *g, const struct trial *t);

static bool half(struct ccz_dp_rng *g, const struct trial *t)
{
    (void)t;
    return draw_bit(g);
}

static bool below_x(struct ccz_dp_rng *g, const struct trial *t)
{
    return draw_below(g, t->sigma, t->mask) < t->j;
}

static bool half_of_x_squared(struct ccz_dp_rng *g, const struct trial *t)
{
    return draw_bit(g) && below_x(g, t) && below_x(g, t);
}

/* True with probability exp(-p): the number of the first of the trials p, p / 2, p / 3, .. that fails is odd with the
 * chance 1 - p + p^2 / 2 - .. (von Neumann; Canonne, Kamath, Steinke 2020, algorithm 1). */
static inline bool exp_minus(struct ccz_dp_rng *g, trial_fn p, const struct trial *t)
{
    uint32_t n = 1;
    while (!g->bad && (n == 1 || one_in(g, n)) && p(g, t))
        n++;
    return n & 1;
}

/* k with a probability proportional to exp(-k^2 / 2) = exp(-1/2)^k exp(-1/2)^(k (k - 1)). */
static uint32_t draw_k(struct ccz_dp_rng *g)
{
    for (;;) {
        uint32_t k = 0, n = 0;
        while (k < K_END && !g->bad && exp_minus(g, half, NULL))
            k++;
        uint32_t more = k ? k * (k - 1) : 0;
        while (n < more && exp_minus(g, half, NULL))
            n++;
        if (g->bad || (n == more && k < K_END)) /* beyond 64 sigma: never, by exp(-2048) */
            return k;
    }
}

static int64_t draw_gauss(struct ccz_dp_rng *g, uint32_t sigma, uint32_t mask)
{
    for (;;) {
        uint32_t k = draw_k(g), n = 0;
        bool negative = draw_bit(g);
        struct trial t = {draw_below(g, sigma, mask), sigma, mask};
        if (g->bad)
            return 0;
        if (k == 0 && t.j == 0 && negative) /* 0 has one sign only */
            continue;
        while (n < k && exp_minus(g, below_x, &t))
            n++;
        if (n < k || !exp_minus(g, half_of_x_squared, &t))
            continue;
        int64_t v = (int64_t)k * sigma + t.j;
        return negative ? -v : v;
    }
}

ccz_rc ccz_dp_discrete_gauss(int64_t *out, struct ccz_dp_rng *g, size_t len, uint32_t sigma,
                             struct ccz_err *err)
{
    if (sigma == 0 || sigma > CCZ_DP_SIGMA_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "dp:sigma", sigma, CCZ_DP_SIGMA_MAX);
    uint32_t mask = 1;
    while (mask < sigma - 1)
        mask = 2 * mask + 1;
    for (size_t i = 0; i < len; i++)
        out[i] = draw_gauss(g, sigma, mask);
    if (!g->bad)
        return CCZ_OK;
    memset(out, 0, len * sizeof(*out));
    return ccz_fail(err, CCZ_E_INTERNAL, "dp:rng", 0, "the random generator failed");
}

double ccz_dp_gauss_sigma(const struct ccz_dp_gauss *cfg)
{
    double rounding = CCZI_DP_ROUNDING * cfg->multiplier * sqrt((double)cfg->len) / CCZI_DP_GRID;
    double sigma = cfg->multiplier * cfg->sensitivity / (1 - rounding);
    bool good = cfg->sensitivity > 0 && cfg->multiplier > 0 && cfg->len > 0 && rounding < 0.5 &&
                isfinite(sigma) && sigma >= 0x1p-100; /* the grid must be made of normal numbers */
    return good ? sigma : 0;
}

static ccz_rc check_range(const float *x, size_t len, double step, struct ccz_err *err)
{
    for (size_t i = 0; i < len; i++) {
        if (!isfinite(x[i]))
            return ccz_fail(err, CCZ_E_FORMAT, "dp:not-finite", (int64_t)i,
                            "value %zu is infinite or not a number", i);
        if (!(fabs((double)x[i] / step) <= 0x1p44))
            return ccz_fail(err, CCZ_E_FORMAT, "dp:range", (int64_t)i,
                            "value %zu is %g, too large for noise in steps of %g", i, (double)x[i],
                            step);
    }
    return CCZ_OK;
}

ccz_rc ccz_dp_add_noise(float *x, struct ccz_dp_rng *g, size_t len, const struct ccz_dp_gauss *cfg,
                        struct ccz_err *err)
{
    double sigma = ccz_dp_gauss_sigma(cfg), step = sigma / CCZI_DP_GRID;
    if (!(sigma > 0) || len > cfg->len)
        return ccz_fail(err, CCZ_E_ARG, "dp:gauss", 0,
                        "sensitivity %g, multiplier %g, %llu values: out of range",
                        cfg->sensitivity, cfg->multiplier, (unsigned long long)cfg->len);
    ccz_rc rc = check_range(x, len, step, err);
    if (rc != CCZ_OK)
        return rc;
    int64_t noise[PIECE];
    for (size_t i = 0; rc == CCZ_OK && i < len; i += PIECE) {
        size_t n = len - i < PIECE ? len - i : PIECE;
        rc = ccz_dp_discrete_gauss(noise, g, n, CCZI_DP_GRID, err);
        for (size_t j = 0; j < n; j++) /* exact up to the last conversion */
            x[i + j] = (float)(step * (double)(llrint((double)x[i + j] / step) + noise[j]));
    }
    ccz_wipe(noise, sizeof(noise));
    if (rc != CCZ_OK)
        memset(x, 0, len * sizeof(*x));
    return rc;
}

ccz_rc ccz_dp_shared_sigma(uint32_t *sigma, const struct ccz_dp_shared *cfg, struct ccz_err *err)
{
    *sigma = 0;
    double sensitivity = cfg->sensitivity / cfg->step + CCZI_DP_ROUNDING * sqrt((double)cfg->len);
    double s = ceil(cfg->multiplier * sensitivity / sqrt((double)cfg->contributors));
    bool good = cfg->sensitivity > 0 && cfg->step > 0 && cfg->multiplier > 0 && cfg->len > 0 &&
                cfg->contributors > 0 && isfinite(s);
    if (!good)
        return ccz_fail(err, CCZ_E_ARG, "dp:shared", 0,
                        "sensitivity %g, step %g, multiplier %g, %u contributors: out of range",
                        cfg->sensitivity, cfg->step, cfg->multiplier, cfg->contributors);
    if (s < 8 || s > CCZ_DP_SIGMA_MAX) {
        ccz_fail(err, CCZ_E_ARG, "dp:shared", 0,
                 "noise of one client is %g steps, expected 8 to %u", s, CCZ_DP_SIGMA_MAX);
        return ccz_hint(err, CCZ_E_ARG,
                        s < 8 ? "take a smaller step (a smaller range)"
                              : "take a larger step (a larger range)");
    }
    *sigma = (uint32_t)s;
    return CCZ_OK;
}

ccz_rc ccz_dp_add_noise_int(uint32_t *q, struct ccz_dp_rng *g, size_t len, uint32_t sigma,
                            struct ccz_err *err)
{
    int64_t noise[PIECE];
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < len; i += PIECE) {
        size_t n = len - i < PIECE ? len - i : PIECE;
        rc = ccz_dp_discrete_gauss(noise, g, n, sigma, err);
        for (size_t j = 0; j < n; j++)
            q[i + j] += (uint32_t)(uint64_t)noise[j];
    }
    ccz_wipe(noise, sizeof(noise));
    if (rc != CCZ_OK)
        memset(q, 0, len * sizeof(*q));
    return rc;
}
