/* SPDX-License-Identifier: Apache-2.0 */
/* Factors of the canonical embedding, and the choice of an implementation. */
#define _DEFAULT_SOURCE
#include "fft_priv.h"

#include <cczoo/base.h>

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------------------------- factors */

static size_t reverse_bits(size_t x, unsigned bits)
{
    size_t r = 0;
    for (unsigned i = 0; i < bits; i++)
        r |= (x >> i & 1) << (bits - 1 - i);
    return r;
}

/* exp(2 pi i e / 2^bits), each part within half a unit in the last place (and a 2^-11 of one). The
 * angle is brought to the first eighth of the circle, where the functions are good at small numbers. */
static void root(double *re, double *im, uint64_t e, unsigned bits)
{
    const long double pi = 3.14159265358979323846264338327950288L;
    uint64_t eighth = (uint64_t)1 << (bits - 3), quarter = 2 * eighth;
    uint64_t turn = e / quarter % 4, rest = e % quarter;
    bool mirrored = rest > eighth;
    long double angle =
        2 * pi * (long double)(mirrored ? quarter - rest : rest) / (long double)(8 * eighth);
    double c = (double)cosl(angle), s = (double)sinl(angle);
    if (mirrored) {
        double t = c;
        c = s;
        s = t;
    }
    *re = turn == 0 ? c : turn == 1 ? -s : turn == 2 ? -c : s;
    *im = turn == 0 ? s : turn == 1 ? c : turn == 2 ? -s : -c;
}

static void fill_levels(struct cczi_fft *fft)
{
    for (unsigned level = 0; level < fft->log_n; level++) {
        uint64_t mask = ((uint64_t)1 << (level + 3)) - 1;
        for (size_t b = 0; b < (size_t)1 << level; b += 2) {
            size_t j = reverse_bits(b, level), at = (((size_t)1 << level) + b) / 2;
            uint64_t power = 1, base = 5;
            for (size_t k = j; k > 0; k >>= 1, base = base * base & mask)
                power = k & 1 ? power * base & mask : power;
            root(&fft->re[at], &fft->im[at], power, level + 3);
        }
    }
}

/* See lane_factors(): per m as many pairs of registers as a block of `lanes` elements has factors. */
static void fill_lanes(struct cczi_fft *fft)
{
    unsigned log_lanes = fft->kernel->log_lanes, level = fft->log_n - log_lanes;
    size_t lanes = (size_t)1 << log_lanes, mids = fft->n / lanes / lanes;
    double *out = fft->lanes;
    for (size_t m = 0; log_lanes > 0 && m < mids; m++)
        for (unsigned l = 0; l < log_lanes; l++)
            for (size_t even = 0; even < (size_t)1 << l; even += 2, out += 2 * lanes)
                for (size_t lane = 0; lane < lanes; lane++) {
                    size_t block = reverse_bits(lane, log_lanes) * mids + m;
                    cczi_fft_factor(&out[lane], &out[lanes + lane], fft, level + l,
                                    (block << l) + even);
                }
}

struct cczi_fft *cczi_fft_new(unsigned log_n, const struct cczi_fft_kernel *kernel)
{
    kernel = kernel ? kernel : cczi_fft_kernel(log_n);
    size_t n = (size_t)1 << log_n, lanes_len = kernel->log_lanes == 0 ? 0 : n;
    size_t count = n + lanes_len; /* n / 2 factors twice */
    struct cczi_fft *fft = malloc(sizeof(*fft));
    double *memory = aligned_alloc(64, count * sizeof(double));
    if (!fft || !memory) {
        free(fft);
        free(memory);
        return NULL;
    }
    *fft = (struct cczi_fft){.log_n = log_n,
                             .n = n,
                             .kernel = kernel,
                             .re = memory,
                             .im = memory + n / 2,
                             .lanes = memory + n};
    fill_levels(fft);
    fill_lanes(fft);
    return fft;
}

void cczi_fft_free(struct cczi_fft *fft)
{
    if (fft)
        free(fft->re);
    free(fft);
}

/* ---------------------------------------------------------------------------------- choice */

size_t cczi_fft_kernels(const struct cczi_fft_kernel *out[3])
{
    size_t len = 0;
#if defined(__x86_64__)
    if (ccz_cpu()->chosen >= CCZ_CPU_AVX512)
        out[len++] = &cczi_fft_avx512;
    if (ccz_cpu()->chosen >= CCZ_CPU_AVX2)
        out[len++] = &cczi_fft_avx2;
#endif
    out[len++] = &cczi_fft_portable;
    return len;
}

enum {
    TEST_LOG = 7,
    TEST_LEN = (2 << TEST_LOG) + CCZI_FFT_GAP
}; /* 128 slots: passes of every kind */

/* Both directions and the rounding, with numbers of all magnitudes. */
static bool run(uint64_t out[3 * TEST_LEN], const struct cczi_fft_kernel *kernel)
{
    _Alignas(64) double in[TEST_LEN], work[TEST_LEN], slots[TEST_LEN];
    _Alignas(64) int64_t rounded[TEST_LEN];
    struct cczi_fft *fft = cczi_fft_new(TEST_LOG, kernel);
    if (!fft)
        return false;
    for (int i = 0; i < TEST_LEN; i++)
        in[i] = ldexp((double)((i * 7919 + 13) % 1009) - 504.25, i % 40);
    memcpy(work, in, sizeof(in));
    memset(slots, 0, sizeof(slots));
    kernel->to_slots(slots, work, fft);
    memcpy(out, slots, sizeof(slots));
    kernel->to_coeffs(work, slots, fft);
    memcpy(out + TEST_LEN, work, sizeof(work));
    bool good = kernel->round(rounded, in, TEST_LEN, 0.5);
    memcpy(out + 2 * TEST_LEN, rounded, sizeof(rounded));
    cczi_fft_free(fft);
    return good;
}

static const struct cczi_fft_kernel *best = &cczi_fft_portable;
static pthread_once_t best_once = PTHREAD_ONCE_INIT;

static void choose(void)
{
    uint64_t want[3 * TEST_LEN], got[3 * TEST_LEN];
    const struct cczi_fft_kernel *all[3];
    size_t len = cczi_fft_kernels(all);
    if (!run(want, &cczi_fft_portable))
        return;
    for (size_t i = 0; i < len && best == &cczi_fft_portable; i++) {
        if (run(got, all[i]) && memcmp(got, want, sizeof(want)) == 0)
            best = all[i];
    }
}

const struct cczi_fft_kernel *cczi_fft_kernel(unsigned log_n)
{
    (void)pthread_once(&best_once, choose);
    return log_n >= 2 * best->log_lanes ? best : &cczi_fft_portable;
}
