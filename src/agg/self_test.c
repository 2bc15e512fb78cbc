/* SPDX-License-Identifier: Apache-2.0 */
/* A tier against the portable one on a few hundred numbers. The unit tests do the same at length. */
#include "agg_priv.h"

enum { LEN = 160, ODD_LEN = LEN - 3, ROWS = 5, COLS = 32, RESULTS = 24 };

struct inputs {
    float a[LEN], b[LEN], c[LEN];
    uint8_t bytes[4 * LEN]; /* finite numbers in any of the encodings */
};

struct results {
    float r[RESULTS][LEN];
    double lanes[2][CCZ_AGG_LANES];
    uint32_t max[2];
    uint8_t bytes[4][4 * LEN];
};

/* Known words: a linear congruential generator (Knuth, MMIX). */
static uint32_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 32);
}

/* Any sign, exponents about that of 1. */
static float next_float(uint64_t *state)
{
    uint32_t u = next(state);
    return cczi_agg_float((u & 0x87ffffffu) | 0x38000000u);
}

static void make(struct inputs *in)
{
    uint64_t state = 1;
    for (size_t i = 0; i < LEN; i++) {
        in->a[i] = next_float(&state);
        in->b[i] = next_float(&state);
        in->c[i] = next_float(&state);
        in->a[i] = i % 9 == 4 ? in->b[i] : in->a[i];
    }
    for (size_t i = 0; i < sizeof(in->bytes); i++) {
        uint8_t u = (uint8_t)next(&state);
        in->bytes[i] = i % 2 ? u & 0xbb : u; /* no exponent is all ones, in any of the formats */
    }
}

static void run_steps(struct results *out, const struct cczi_agg_kernels *k,
                      const struct inputs *in)
{
    for (size_t i = 0; i < CCZ_AGG_OPT_KINDS; i++) {
        float *x = out->r[3 * i], *m = out->r[3 * i + 1], *v = out->r[3 * i + 2];
        struct cczi_agg_step s = {.params = x, .m = m, .v = v, .sum = in->c, .scale = 0.3f};
        s.lr = 0.7f;
        s.beta1 = 0.9f;
        s.beta2 = 0.99f;
        s.tau = 1e-3f;
        s.len = ODD_LEN;
        memcpy(x, in->a, sizeof(in->a));
        memcpy(m, in->b, sizeof(in->b));
        for (size_t j = 0; j < LEN; j++)
            v[j] = in->c[(j + 1) % LEN] * in->c[(j + 1) % LEN];
        k->step[i](&s);
    }
}

static void run_vectors(struct results *out, const struct cczi_agg_kernels *k,
                        const struct inputs *in)
{
    float(*r)[LEN] = out->r + 15;
    memcpy(r[0], in->a, sizeof(in->a));
    k->add(r[0], in->b, 0.3f, ODD_LEN);
    k->sub(r[1], in->a, in->b, ODD_LEN);
    memcpy(r[2], in->a, sizeof(in->a));
    k->axpby(r[2], 0.3f, in->b, 0.7f, ODD_LEN);
    k->scale(r[3], 0.3f, in->a, ODD_LEN);
    memcpy(r[4], in->a, sizeof(in->a));
    k->scaffold(r[5], r[4], in->b, in->c, in->a, 0.3f, ODD_LEN);
    memcpy(r[6], in->a, sizeof(in->a));
    static const uint16_t pairs[][2] = {{0, 1}, {2, 3}, {0, 4}, {1, 3}};
    k->sort(r[6], COLS, pairs, 4);
    k->mean_rows(r[7], in->a, COLS, 1, ROWS - 1);
    k->middle(r[8], in->a, in->b, ODD_LEN);
    k->squares(out->lanes[0], in->a, LEN);
    k->distance(out->lanes[1], in->a, in->b, LEN);
    out->max[0] = k->max_abs(in->a, ODD_LEN);
    out->max[1] = k->max_abs(in->a, 1);
}

static void run_codecs(struct results *out, const struct cczi_agg_kernels *k,
                       const struct inputs *in)
{
    float(*r)[LEN] = out->r;
    memset(r, 0, sizeof(out->r));
    k->f32_to(r[0], in->bytes + 1, ODD_LEN);
    k->f16_to(r[1], in->bytes + 2, ODD_LEN);
    k->bf16_to(r[2], in->bytes + 2, ODD_LEN);
    k->i8_to(r[3], in->bytes, 0.3f, ODD_LEN);
    memcpy(r[4], in->a, sizeof(in->a));
    k->f32_add(r[4], in->bytes, 0.3f, ODD_LEN);
    memcpy(r[5], in->a, sizeof(in->a));
    k->f16_add(r[5], in->bytes, 0.3f, ODD_LEN);
    memcpy(r[6], in->a, sizeof(in->a));
    k->bf16_add(r[6], in->bytes, 0.3f, ODD_LEN);
    memcpy(r[7], in->a, sizeof(in->a));
    k->i8_add(r[7], in->bytes, 0.3f, 0.7f, ODD_LEN);
    k->f32_from(out->bytes[0], in->a, ODD_LEN);
    k->f16_from(out->bytes[1], in->a, ODD_LEN);
    k->bf16_from(out->bytes[2], in->a, ODD_LEN);
    k->i8_from(out->bytes[3], in->a, 100.0f, ODD_LEN);
}

bool cczi_agg_self_test(const struct cczi_agg_kernels *k)
{
    struct inputs in;
    struct results got, expected;
    make(&in);
    memset(&got, 0, sizeof(got));
    memset(&expected, 0, sizeof(expected));
    run_steps(&got, k, &in);
    run_steps(&expected, &cczi_agg_portable, &in);
    run_vectors(&got, k, &in);
    run_vectors(&expected, &cczi_agg_portable, &in);
    if (memcmp(&got, &expected, sizeof(got)) != 0)
        return false;
    run_codecs(&got, k, &in);
    run_codecs(&expected, &cczi_agg_portable, &in);
    return memcmp(&got, &expected, sizeof(got)) == 0;
}
