/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_AGG_PRIV_H
#define CCZ_AGG_PRIV_H
/* What the sources of agg share. */

#include <cczoo/agg.h>

#include <string.h>

/* Constants of one optimizer step, and what it works on. */
struct cczi_agg_step {
    float *params, *m, *v; /* m, v: as the kind needs */
    const float *sum;
    float scale, lr, beta1, beta2, tau;
    size_t len;
};

/*
 * Kernels of one tier. All tiers give the same bits: each operation is rounded by itself and in the order
 * that kernels_body.h writes. Encoded numbers are little-endian bytes at any address.
 */
struct cczi_agg_kernels {
    const char *name;
    void (*add)(float *acc, const float *x, float w, size_t len);
    void (*sub)(float *r, const float *a, const float *b, size_t len);
    void (*axpby)(float *y, float a, const float *x, float b, size_t len);
    void (*scale)(float *r, float w, const float *x, size_t len); /* r = w x */
    /* lanes[j] += x[32 i + j]^2; len is a multiple of 32 */
    void (*squares)(double lanes[CCZ_AGG_LANES], const float *x, size_t len);
    /* The same of a - b, rounded to float, into zeroed lanes. */
    void (*distance)(double lanes[CCZ_AGG_LANES], const float *a, const float *b, size_t len);
    /* Largest |x| as its bits, 0 if len is 0; 0x7f800000 or above: not all are finite. */
    uint32_t (*max_abs)(const float *x, size_t len);

    void (*step[CCZ_AGG_OPT_KINDS])(const struct cczi_agg_step *s);
    void (*scaffold)(float *dc, float *ci, const float *c, const float *x, const float *y,
                     float inverse, size_t len);

    /* Decoding [to], and decoding with addition [add]: out = x, acc += w x. */
    void (*f32_to)(float *out, const uint8_t *in, size_t len);
    void (*f16_to)(float *out, const uint8_t *in, size_t len);
    void (*bf16_to)(float *out, const uint8_t *in, size_t len);
    void (*i8_to)(float *out, const uint8_t *in, float s, size_t len);
    void (*f32_add)(float *acc, const uint8_t *in, float w, size_t len);
    void (*f16_add)(float *acc, const uint8_t *in, float w, size_t len);
    void (*bf16_add)(float *acc, const uint8_t *in, float w, size_t len);
    void (*i8_add)(float *acc, const uint8_t *in, float s, float w, size_t len);
    /* Encoding of finite values. */
    void (*f32_from)(uint8_t *out, const float *x, size_t len);
    void (*f16_from)(uint8_t *out, const float *x, size_t len);
    void (*bf16_from)(uint8_t *out, const float *x, size_t len);
    void (*i8_from)(uint8_t *out, const float *x, float inverse, size_t len);

    /* Comparators over rows of `cols` values (a multiple of 16): row pairs[i][0] gets the smaller ones. */
    void (*sort)(float *tile, size_t cols, const uint16_t (*pairs)[2], size_t pairs_len);
    /* Mean of rows from .. to - 1, added in this order in double precision. */
    void (*mean_rows)(float *out, const float *tile, size_t cols, size_t from, size_t to);
    /* a / 2 + b / 2 */
    void (*middle)(float *out, const float *a, const float *b, size_t len);
};

extern const struct cczi_agg_kernels cczi_agg_portable;
#if defined(__x86_64__)
extern const struct cczi_agg_kernels cczi_agg_avx2, cczi_agg_avx512;
#endif

/* By tier name ("portable", "avx2", "avx512"; NULL: the best that CCZOO_CPU allows); NULL if this machine cannot run it
 * or it fails its self test. */
const struct cczi_agg_kernels *cczi_agg_kernels(const char *name);
bool cczi_agg_self_test(const struct cczi_agg_kernels *k);

#define CCZI_AGG_INF_BITS 0x7f800000u

static inline uint32_t cczi_agg_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof(u));
    return u;
}

static inline float cczi_agg_float(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof(x));
    return x;
}

/* Sum of lanes, always in this order. */
static inline double cczi_agg_lanes_sum(const double lanes[CCZ_AGG_LANES])
{
    double s[CCZ_AGG_LANES];
    memcpy(s, lanes, sizeof(s));
    for (size_t half = CCZ_AGG_LANES / 2; half > 0; half /= 2) {
        for (size_t j = 0; j < half; j++)
            s[j] += s[j + half];
    }
    return s[0];
}

ccz_rc cczi_agg_refuse_len(struct ccz_err *err, size_t len);
/* agg:nonfinite: @p got in what number aux. */
ccz_rc cczi_agg_refuse_value(struct ccz_err *err, const char *what, int64_t aux, float got);

/* ---------------------------------------------------------------------------------------- codecs */

enum {
    CCZI_AGG_TOPK_BLOCK = 65536, /* positions of a block: what 16 bits can say */
    CCZI_AGG_TOPK_HEAD = 4,
    CCZI_AGG_TOPK_ENTRY = 6,
    CCZI_AGG_TILE = 4096 /* elements that are worked on at a time: 16 KiB */
};

/* The largest scale of INT8 whose 127-fold is finite. */
#define CCZI_AGG_SCALE_MAX 0x810203p98f

/* Bytes of an element; 1 for INT8, 0 for TOPK. */
size_t cczi_agg_elem_size(enum ccz_agg_codec_kind kind);

/* Which values TOPK sends: all of larger magnitude than `bits`, and the first `ties` of that magnitude. */
struct cczi_agg_topk {
    uint32_t bits; /* of the magnitude */
    uint64_t ties;
    uint64_t count; /* values in all */
};
/* Finds them in x + residual (NULL: none). @return index of the first value that is not finite, or len */
size_t cczi_agg_topk_find(struct cczi_agg_topk *out, const float *x, const float *residual,
                          size_t len, uint64_t topk);
#endif
