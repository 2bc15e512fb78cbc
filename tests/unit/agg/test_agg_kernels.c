/* SPDX-License-Identifier: Apache-2.0 */
/* Every tier bit by bit against the portable one: all lengths, all alignments, no write beyond the end. */
#include "agg/kit.h"

enum { LEN = 200, GUARD = 8, ROWS = 6 };

static const char *const tiers[] = {"avx2", "avx512"};

static struct data {
    float a[LEN + GUARD], b[LEN + GUARD], c[LEN + GUARD], d[LEN + GUARD];
    uint8_t bytes[4 * LEN + GUARD];
} g;

static void make(uint64_t seed)
{
    rnd_floats(g.a, LEN, &seed);
    rnd_floats(g.b, LEN, &seed);
    rnd_floats(g.c, LEN, &seed);
    rnd_floats(g.d, LEN, &seed);
    for (size_t i = 0; i < sizeof(g.bytes); i++)
        g.bytes[i] = (uint8_t)rnd(&seed);
}

/* What a kernel left in its arrays, guards included. */
struct out {
    float r[2][LEN + 2 * GUARD];
    uint8_t bytes[4 * LEN + 2 * GUARD];
    double lanes[CCZ_AGG_LANES];
    uint32_t max;
};

typedef void (*run_fn)(struct out *o, const struct cczi_agg_kernels *k, size_t at, size_t n);

static void run_add(struct out *o, const struct cczi_agg_kernels *k, size_t at, size_t n)
{
    k->add(o->r[0] + at, g.b + at, 0.3f, n);
}

static void run_sub(struct out *o, const struct cczi_agg_kernels *k, size_t at, size_t n)
{
    k->sub(o->r[0] + at, g.b + at, g.c, n);
}

static void run_axpby(struct out *o, const struct cczi_agg_kernels *k, size_t at, size_t n)
{
    k->axpby(o->r[0] + at, 0.7f, g.b, -1.1f, n);
}

static void run_scale(struct out *o, const struct cczi_agg_kernels *k, size_t at, size_t n)
{
    k->scale(o->r[0] + at, 1.7f, g.b, n);
    k->scale(o->r[1] + at, -1.7f, o->r[1] + at, n);
}

static void run_sums(struct out *o, const struct cczi_agg_kernels *k, size_t at, size_t n)
{
    size_t whole = n / CCZ_AGG_LANES * CCZ_AGG_LANES;
    if (at + whole > LEN)
        return;
    k->distance(o->lanes, g.a + at, g.b, whole);
    k->squares(o->lanes, g.a + at, whole);
    o->max = k->max_abs(g.a + at, n);
}

static void run_scaffold(struct out *o, const struct cczi_agg_kernels *k, size_t at, size_t n)
{
    k->scaffold(o->r[0] + at, o->r[1] + at, g.b, g.c, g.d, 1.3f, n);
}

static void run_from(struct out *o, const struct cczi_agg_kernels *k, size_t at, size_t n)
{
    if (n % 4 == 0)
        k->f32_from(o->bytes + at, g.a, n);
    else if (n % 4 == 1)
        k->f16_from(o->bytes + at, g.a, n);
    else if (n % 4 == 2)
        k->bf16_from(o->bytes + at, g.a, n);
    else
        k->i8_from(o->bytes + at, g.a, 13.7f, n);
}

static void run_to(struct out *o, const struct cczi_agg_kernels *k, size_t at, size_t n)
{
    k->f32_to(o->r[0] + at, g.bytes + at, n);
    if (n % 3 == 0)
        k->f16_to(o->r[1] + at, g.bytes + at, n);
    else if (n % 3 == 1)
        k->bf16_to(o->r[1] + at, g.bytes + at, n);
    else
        k->i8_to(o->r[1] + at, g.bytes + at, 0.3f, n);
}

static uint8_t
    finite_bytes[4 * LEN + GUARD]; /* in any encoding: sums of NaN have no specified payload */

static void run_decode_add(struct out *o, const struct cczi_agg_kernels *k, size_t at, size_t n)
{
    const uint8_t *in = finite_bytes + 4 * (at % 2);
    k->f32_add(o->r[0] + at, in, 0.3f, n);
    if (n % 3 == 0)
        k->f16_add(o->r[1] + at, in, 0.3f, n);
    else if (n % 3 == 1)
        k->bf16_add(o->r[1] + at, in, 0.3f, n);
    else
        k->i8_add(o->r[1] + at, in, 0.3f, -0.7f, n);
}

static void check_all(run_fn run)
{
    for (size_t t = 0; t < sizeof(tiers) / sizeof(tiers[0]); t++) {
        const struct cczi_agg_kernels *k = cczi_agg_kernels(tiers[t]);
        for (size_t n = 0; k && n + GUARD <= LEN; n++) {
            for (size_t at = 0; at < GUARD; at += n % 2 ? 1 : 3) {
                static struct out got, expected;
                make(n + 1);
                memset(&got, 0, sizeof(got));
                memcpy(got.r[0], g.c, sizeof(g.c));
                memcpy(got.r[1], g.d, sizeof(g.d));
                memcpy(&expected, &got, sizeof(got));
                run(&got, k, at, n);
                run(&expected, &cczi_agg_portable, at, n);
                CHECK(same_bits(&got, &expected, sizeof(got)));
                for (size_t i = at + n; i < LEN + GUARD; i++) /* nothing beyond */
                    CHECK(cczi_agg_bits(got.r[0][i]) == cczi_agg_bits(g.c[i]));
            }
        }
    }
}

static void test_same_bits(void)
{
    uint64_t state = 5;
    for (size_t i = 0; i < sizeof(finite_bytes); i++)
        finite_bytes[i] = (uint8_t)(rnd(&state) & (i % 2 ? 0xbb : 0xff));
    static const run_fn runs[] = {run_add,      run_sub,  run_axpby, run_scale,     run_sums,
                                  run_scaffold, run_from, run_to,    run_decode_add};
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
        check_all(runs[i]);
}

static void test_steps(void)
{
    for (size_t t = 0; t < sizeof(tiers) / sizeof(tiers[0]); t++) {
        const struct cczi_agg_kernels *k = cczi_agg_kernels(tiers[t]);
        for (size_t n = 0; k && n <= LEN; n += n < 40 ? 1 : 7) {
            for (size_t kind = 0; kind < CCZ_AGG_OPT_KINDS; kind++) {
                float r[2][3][LEN + GUARD];
                memset(r, 0, sizeof(r));
                make(n + 100);
                for (size_t j = 0; j < 2; j++) {
                    for (size_t i = 0; i < LEN; i++) {
                        r[j][0][i] = g.a[i];
                        r[j][1][i] = g.b[i];
                        r[j][2][i] = fabsf(g.c[i]) + 1e-6f;
                    }
                    struct cczi_agg_step s = {r[j][0], r[j][1], r[j][2], g.d,   0.3f,
                                              0.1f,    0.9f,    0.99f,   0.01f, n};
                    (j ? k : &cczi_agg_portable)->step[kind](&s);
                }
                CHECK(same_bits(r[0], r[1], sizeof(r[0])));
            }
        }
    }
}

static void test_rows(void)
{
    static const uint16_t pairs[][2] = {{0, 5}, {1, 4}, {2, 3}, {0, 2}, {3, 5}, {1, 2}, {0, 1}};
    for (size_t t = 0; t < sizeof(tiers) / sizeof(tiers[0]); t++) {
        const struct cczi_agg_kernels *k = cczi_agg_kernels(tiers[t]);
        for (size_t cols = 16; k && cols <= 64; cols += 16) {
            float tile[2][ROWS * 64], mean[2][64], middle[2][64];
            uint64_t state = cols;
            rnd_floats(tile[0], ROWS * 64, &state);
            tile[0][cols] = tile[0][0]; /* equal, and zeros of both signs */
            tile[0][1] = 0.0f;
            tile[0][5 * cols + 1] = -0.0f;
            memcpy(tile[1], tile[0], sizeof(tile[0]));
            memset(mean, 0, sizeof(mean));
            memset(middle, 0, sizeof(middle));
            for (size_t j = 0; j < 2; j++) {
                const struct cczi_agg_kernels *one = j ? k : &cczi_agg_portable;
                one->sort(tile[j], cols, pairs, 7);
                one->mean_rows(mean[j], tile[j], cols, 1, 5);
                one->middle(middle[j], tile[j], tile[j] + cols, cols - 3);
            }
            CHECK(same_bits(tile[0], tile[1], sizeof(tile[0])));
            CHECK(same_bits(mean[0], mean[1], sizeof(mean[0])));
            CHECK(same_bits(middle[0], middle[1], sizeof(middle[0])));
        }
    }
}

/* binary16 by its definition: sign, exponent, fraction. */
static double half_value(unsigned h)
{
    double f = h & 0x3ff;
    int e = (int)(h >> 10 & 31);
    double x = e ? ldexp(1 + f / 1024, e - 15) : ldexp(f, -24);
    return h >> 15 ? -x : x;
}

static void check_halves(const struct cczi_agg_kernels *k)
{
    static uint8_t in[2 * 65536], out[2 * 65536];
    static float x[65536];
    for (unsigned h = 0; h < 65536; h++) {
        in[2 * h] = (uint8_t)h;
        in[2 * h + 1] = (uint8_t)(h >> 8);
    }
    k->f16_to(x, in, 65536);
    for (unsigned h = 0; h < 65536; h++) {
        if ((h >> 10 & 31) == 31) {
            CHECK((h & 0x3ff) ? isnan(x[h]) : isinf(x[h]));
            CHECK(!signbit(x[h]) == !(h >> 15));
            x[h] = 0;
        } else {
            CHECK((double)x[h] == half_value(h) && !signbit(x[h]) == !(h >> 15));
        }
    }
    k->f16_from(out, x, 65536); /* what is representable stays */
    for (unsigned h = 0; h < 65536; h++)
        CHECK((h >> 10 & 31) == 31 || (out[2 * h] | out[2 * h + 1] << 8) == (int)h);
    for (unsigned h = 0; h < 0x7bff;
         h++) { /* halfway goes to even, and what is beside it to its side */
        double mid = (half_value(h) + half_value(h + 1)) / 2;
        float y[3] = {nextafterf((float)mid, 0), (float)mid, nextafterf((float)mid, 1e9f)};
        k->f16_from(out, y, 3);
        CHECK((double)y[1] == mid);
        CHECK((out[0] | out[1] << 8) == (int)h && (out[4] | out[5] << 8) == (int)h + 1);
        CHECK((out[2] | out[3] << 8) == (int)(h + h % 2));
    }
}

static void test_halves(void)
{
    check_halves(&cczi_agg_portable);
    for (size_t t = 0; t < sizeof(tiers) / sizeof(tiers[0]); t++) {
        if (cczi_agg_kernels(tiers[t]))
            check_halves(cczi_agg_kernels(tiers[t]));
    }
}

static void broken_add(float *acc, const float *x, float w, size_t len)
{
    for (size_t i = 0; i < len; i++)
        acc[i] = fmaf(w, x[i], acc[i]); /* one rounding in the place of two */
}

static void broken_half(float *out, const uint8_t *in, size_t len)
{
    cczi_agg_portable.f16_to(out, in, len);
    out[len - 1] = 0;
}

static void test_choice(void)
{
    CHECK(strcmp(cczi_agg_kernels("portable")->name, "portable") == 0);
    CHECK(cczi_agg_kernels("ifma") == NULL && cczi_agg_kernels("x") == NULL);
    const char *pinned = getenv("CCZOO_CPU");
    const struct cczi_agg_kernels *best = cczi_agg_kernels(pinned ? pinned : "avx512");
    if (best)
        CHECK(cczi_agg_kernels(NULL) == best);
    struct cczi_agg_kernels k = cczi_agg_portable;
    CHECK(cczi_agg_self_test(&k)); /* and it notices what is wrong */
    k.add = broken_add;
    CHECK(!cczi_agg_self_test(&k));
    k = cczi_agg_portable;
    k.f16_to = broken_half;
    CHECK(!cczi_agg_self_test(&k));
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"agg_kernels.same_bits", test_same_bits},
                                            {"agg_kernels.steps", test_steps},
                                            {"agg_kernels.rows", test_rows},
                                            {"agg_kernels.halves", test_halves},
                                            {"agg_kernels.choice", test_choice}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
