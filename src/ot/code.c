/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The matrix H of dual LPN: an expand-convolute code (Raghuraman, Rindal, Tanguy 2023), transposed. Two recursive convolutions over
 * the noise vector with random, changing coefficients, one up and one down; then each output is the sum of WEIGHT elements, one
 * from each of as many segments. docs/design/ot.md says why. Coefficients and taps are public: they may be addresses.
 */
#include "ot_priv.h"

#include <stddef.h>
#include <string.h>

enum {
    GROUP = 4, /* elements that share a table of sums */
    SUBSETS = 1 << GROUP,
    WINDOW = 8,        /* groups that a new element depends on */
    WEIGHT = 11,       /* taps of an output */
    TAPS_STRIDE = 12,  /* of whole blocks of four words */
    STEP_GROUPS = 256, /* per piece of the stream */
    STEP_ROWS = 128,
    STREAM_LEN = STEP_GROUPS * GROUP / 2, /* blocks */
    NOISE_MIN = 400                       /* trees */
};
_Static_assert(STEP_ROWS *TAPS_STRIDE / 4 <= STREAM_LEN, "room for the taps");

struct cczi_lpn cczi_lpn_for(size_t n)
{
    struct cczi_lpn p = {.n = n};
    while ((size_t)NOISE_MIN << (p.depth + 1) <= 2 * n)
        p.depth++;
    p.t = ((2 * n - 1) >> p.depth) + 1;
    p.noisy = p.t << p.depth;
    return p;
}

/* Public random blocks. */
struct code_stream {
    const struct cczi_ot_kernels *kernels;
    struct cczi_aes aes;
    uint64_t at;
    struct ccz_f128 blocks[STREAM_LEN];
};

static void stream_init(struct code_stream *s, const uint8_t seed[32],
                        const struct cczi_ot_kernels *kernels)
{
    s->kernels = kernels;
    s->at = 0;
    kernels->aes_key(&s->aes, seed);
}

static void stream_next(struct code_stream *s, size_t len)
{
    s->kernels->ctr(s->blocks, len, s->at, &s->aes);
    s->at += len;
}

/* The segments that taps are taken from. */
struct expander {
    uint64_t start[WEIGHT], len[WEIGHT];
};

static void expander_init(struct expander *e, size_t noisy)
{
    for (size_t j = 0; j < WEIGHT; j++) {
        e->start[j] = noisy * j / WEIGHT;
        e->len[j] = noisy * (j + 1) / WEIGHT - e->start[j];
    }
}

typedef uint64_t one __attribute__((vector_size(16), may_alias));
typedef uint64_t two __attribute__((vector_size(32), may_alias));

#define ELEMENT                one
#define NAME(x)                x##_one
#define STORE(out, i, element) memcpy(&(out)[0][i], &(element), 16)
#include "code_body.h"
#undef ELEMENT
#undef NAME
#undef STORE

#define ELEMENT two
#define NAME(x) x##_two
#define STORE(out, i, element)                                                                     \
    do {                                                                                           \
        memcpy(&(out)[0][i], &(element), 16);                                                      \
        memcpy(&(out)[1][i], (const char *)&(element) + 16, 16);                                   \
    } while (0)
#include "code_body.h"

void cczi_code_one(struct ccz_f128 *out, struct ccz_f128 *in, const struct cczi_lpn *p,
                   const uint8_t seed[32], const struct cczi_ot_kernels *kernels)
{
    struct ccz_f128 *const to[2] = {out, NULL};
    apply_one(to, (one *)(void *)in, p, seed, kernels);
}

void cczi_code_two(struct ccz_f128 *out0, struct ccz_f128 *out1, struct ccz_f128 (*in)[2],
                   const struct cczi_lpn *p, const uint8_t seed[32],
                   const struct cczi_ot_kernels *kernels)
{
    struct ccz_f128 *const to[2] = {out0, out1};
    apply_two(to, (two *)(void *)in, p, seed, kernels);
}
