/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_CKKS_FFT_PRIV_H
#define CCZI_CKKS_FFT_PRIV_H
/*
 * The canonical embedding: coefficients of a real polynomial of degree below N against its values at
 * N/2 primitive 2N-th roots of unity. Shared by fft*.c and the encoder.
 *
 * With z = exp(pi i / N), slot j is the value at z^(5^j); the other N/2 roots are their conjugates.
 * Since (z^(5^j))^(N/2) = i, the real polynomial m of N coefficients and the complex polynomial of
 * n = N/2 coefficients c[k] = m[k] + i m[k + n] have the same values there, and the n points are the
 * roots of X^n - i. An array of N real coefficients is therefore already the array of the n real
 * parts followed by that of the n imaginary parts, which is the form all functions here work on, but
 * for a gap between the two: n apart, all lines of a pass would share one set of the L1 cache.
 *
 * X^n - i splits into X^(n/2) - w and X^(n/2) + w, and so on: log2(n) levels of butterflies with one
 * factor per block, as in a number theoretic transform. Every implementation does the same butterflies
 * with the same roundings (no fused multiply-add, no other radix), so that all give the same bits.
 * Reading order: fft.c, fft_kernel.h, fft_portable.c, fft_avx2.c, fft_avx512.c.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    CCZI_FFT_LOG_MIN = 3,  /* 8 slots */
    CCZI_FFT_LOG_MAX = 15, /* 32768 slots: N = 65536 */
    CCZI_FFT_GAP = 96,     /* doubles between the real and the imaginary parts; any content */
};

/* Factors of one number of slots; read only, shared by threads. */
struct cczi_fft {
    unsigned log_n; /* of the slots */
    size_t n;
    const struct cczi_fft_kernel *kernel;
    /*
     * Factors of the levels: level l has 2^l blocks; that of block b is exp(2 pi i 5^j / 2^(l+3)), j
     * being the l bits of b reversed. That of block 2b + 1 is -i times that of 2b (but i times on
     * level 1: 5^(2^l) is 1 + 3 * 2^(l+2) mod 2^(l+4) except for l = 0), so only those of even blocks
     * stand here, at (2^l + b) / 2: n/2 of them. The same for every n.
     */
    double *re, *im;
    /* Those of the last log2(lanes) levels once more, in the order of use of the last pass. */
    double *lanes;
};

/* The factor of any block. */
static inline void cczi_fft_factor(double *re, double *im, const struct cczi_fft *fft,
                                   unsigned level, size_t b)
{
    size_t at = (((size_t)1 << level) + b) / 2;
    double r = fft->re[at], i = fft->im[at];
    bool plus = b == 1 && level == 1;
    *re = !(b & 1) ? r : plus ? -i : i;
    *im = !(b & 1) ? i : plus ? r : -r;
}

/* Bits, since doubles may be secret and compilers like to branch on their comparisons. */
static inline uint64_t cczi_fft_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

static inline double cczi_fft_from_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* The larger of two that are not negative: they are in the order of their bits. */
static inline double cczi_fft_max(double a, double b)
{
    uint64_t x = cczi_fft_bits(a), y = cczi_fft_bits(b), less = 0 - ((x - y) >> 63);
    return cczi_fft_from_bits((x & ~less) | (y & less));
}

/* An implementation. All give the same bits. Arrays are 64-byte aligned, `len` is a multiple of 8. */
struct cczi_fft_kernel {
    const char *name;
    unsigned log_lanes; /* works for n >= lanes^2 */
    /* coefficients to slots. @param work, out  n, gap, n doubles, not the same; work is destroyed */
    void (*to_slots)(double *out, double *work, const struct cczi_fft *fft);
    /* slots to n times the coefficients. @param slots not changed */
    void (*to_coeffs)(double *out, const double *slots, const struct cczi_fft *fft);
    /*
     * out[i] = in[i] * factor, rounded to nearest, ties to even.
     * @return false if one is not below 2^62 in magnitude, or not a number; then out is not defined
     */
    bool (*round)(int64_t *out, const double *in, size_t len, double factor);
    /* The largest magnitude, 0 for none; what is not a number does not count. */
    double (*largest)(const double *in, size_t len);
    /*
     * acc[i] = acc[i] * factor + the representative of digit[i] in (-q/2, q/2), or that alone if `first`
     * (acc is not read). @param digit  in [0, q), q odd and below 2^52
     */
    void (*horner)(double *acc, const uint64_t *digit, size_t len, double q, double factor,
                   bool first);
};
extern const struct cczi_fft_kernel cczi_fft_portable;
#if defined(__x86_64__)
extern const struct cczi_fft_kernel cczi_fft_avx2;
extern const struct cczi_fft_kernel cczi_fft_avx512; /* F and DQ */
#endif

/*
 * The implementations this processor can run, best first; the portable one is the last.
 * @return how many (at most 3)
 */
size_t cczi_fft_kernels(const struct cczi_fft_kernel *out[3]);
/*
 * The best one for 2^log_n slots. A vector one counts only if it gave the same bits as the portable one
 * in a test at the first call.
 */
const struct cczi_fft_kernel *cczi_fft_kernel(unsigned log_n);

/*
 * Factors for 2^log_n slots. @param kernel NULL: cczi_fft_kernel()
 * @return NULL without memory
 */
struct cczi_fft *cczi_fft_new(unsigned log_n, const struct cczi_fft_kernel *kernel);
void cczi_fft_free(struct cczi_fft *fft); /* NULL is fine */

#endif
