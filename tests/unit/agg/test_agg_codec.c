/* SPDX-License-Identifier: Apache-2.0 */
/* Codecs: known bytes, every border, what is refused, error feedback. */
#include "agg/kit.h"

enum { LEN = 1111, SIZE_MAX_HERE = 1 << 20, LONG = 3 * 65536 + 1000 };

static const struct ccz_agg_codec codecs[] = {
    {CCZ_AGG_F32, 0, 0},   {CCZ_AGG_F16, 0, 0},    {CCZ_AGG_BF16, 0, 0},  {CCZ_AGG_INT8, 0, 0},
    {CCZ_AGG_INT8, 96, 0}, {CCZ_AGG_TOPK, 0, 100}, {CCZ_AGG_TOPK, 0, LEN}};
enum { CODECS = sizeof(codecs) / sizeof(codecs[0]) };

static uint8_t g_bytes[SIZE_MAX_HERE];

/* Encodes with reads of random sizes. @return bytes */
static size_t encode(const struct ccz_agg_codec *c, const float *x, size_t len,
                     const float *residual, float *next, uint64_t seed)
{
    CCZ_AUTO(ccz_agg_enc) e = NULL;
    size_t size = 0, n;
    CHECK(ccz_agg_enc_new(&e, c, len, NULL) == CCZ_OK);
    CHECK(ccz_agg_enc_read(g_bytes, 10, e) == 0);
    CHECK(ccz_agg_enc_begin(e, x, residual, next, NULL) == CCZ_OK);
    do {
        size_t cap = seed ? rnd(&seed) % (seed % 3 ? 9 : 5000) + 1 : SIZE_MAX_HERE - size;
        n = ccz_agg_enc_read(g_bytes + size, cap, e);
        CHECK(n <= cap);
        size += n;
    } while (n > 0);
    CHECK(size == ccz_agg_enc_size(e));
    return size;
}

static void decode(float *out, const struct ccz_agg_codec *c, size_t len, size_t size)
{
    CCZ_AUTO(ccz_agg_dec) d = NULL;
    CHECK(ccz_agg_dec_new(&d, c, len, NULL) == CCZ_OK);
    CHECK(ccz_agg_dec_to(d, out, CCZ_SPAN(g_bytes, size), NULL) == CCZ_OK);
    CHECK(ccz_agg_dec_end(d, NULL) == CCZ_OK && ccz_agg_dec_elements(d) == len);
}

static void check_bytes(const struct ccz_agg_codec *c, const float *x, size_t len,
                        const void *bytes, size_t size)
{
    CHECK(encode(c, x, len, NULL, NULL, 0) == size && same_bits(g_bytes, bytes, size));
}

static void test_known(void)
{
    static const float h[12] = {1,        -2.5f, 65504, 65520, 1e9f,    6e-8f,
                                2.98e-8f, 3e-8f, 0.1f,  -0.1f, 6.1e-5f, -0.0f};
    static const uint16_t halves[12] = {0x3c00, 0xc100, 0x7bff, 0x7bff, 0x7bff, 0x1,
                                        0x0,    0x1,    0x2e66, 0xae66, 0x3ff,  0x8000};
    static const float b[10] = {1,           -2.5f,       3.14159265f, 0.1f,   -0.1f,
                                1.00390625f, 1.01171875f, -0.0f,       1e-40f, FLT_MAX};
    static const uint16_t brains[10] = {0x3f80, 0xc020, 0x4049, 0x3dcd, 0xbdcd,
                                        0x3f80, 0x3f82, 0x8000, 0x1,    0x7f7f};
    check_bytes(&codecs[1], h, 12, halves, sizeof(halves)); /* the machine is little-endian */
    check_bytes(&codecs[2], b, 10, brains, sizeof(brains));
    static const float v[8] = {0.5f, -1.27f, 0.013f, 1, -0.004f, 0, 0.635f, 1.27f};
    static const uint8_t int8[12] = {0x0a, 0xd7, 0x23, 0x3c, 50, (uint8_t)-127,
                                     1,    100,  0,    0,    64, 127};
    check_bytes(&codecs[3], v, 8, int8, sizeof(int8));
    static const uint8_t f32[8] = {0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0};
    check_bytes(&codecs[0], h, 2, f32, sizeof(f32));
    struct ccz_agg_codec top = {CCZ_AGG_TOPK, 0, 3};
    static const float t[6] = {0.5f, -2.5f, 0.1f, 1, -1, 1}; /* of three equal ones the first two */
    static const uint8_t topk[22] = {3, 0, 0, 0,    1,    0, 0, 0, 0x20, 0xc0, 3,
                                     0, 0, 0, 0x80, 0x3f, 4, 0, 0, 0,    0x80, 0xbf};
    check_bytes(&top, t, 6, topk, sizeof(topk));
    static const float zeros[6] = {0, -0.0f, 0, 0, 3, 0}; /* zeros are not sent */
    static const uint8_t one[10] = {1, 0, 0, 0, 4, 0, 0, 0, 0x40, 0x40};
    check_bytes(&top, zeros, 6, one, sizeof(one));
    for (int k = 0; k < CCZ_AGG_CODECS; k++)
        CHECK((int)ccz_agg_codec_from(ccz_agg_codec_name((enum ccz_agg_codec_kind)k)) == k);
    CHECK(ccz_agg_codec_from("zip") == CCZ_AGG_CODECS);
}

static double tolerance(const struct ccz_agg_codec *c, float x, float block_max)
{
    double a = fabs((double)x);
    if (c->kind == CCZ_AGG_F16)
        return a > 65504 ? a - 65504 : a * 0x1p-11 + 0x1p-25;
    if (c->kind == CCZ_AGG_BF16)
        return a * 0x1p-8 + 0x1p-134;
    return c->kind == CCZ_AGG_INT8 ? (double)block_max / 127 * 0.5001 : 0;
}

static void test_accuracy(void)
{
    float x[LEN], y[LEN];
    uint64_t state = 2;
    rnd_floats(x, LEN, &state);
    x[3] = FLT_MAX; /* ends of the ranges */
    x[4] = -FLT_MAX;
    x[700] = 1e-42f;
    for (size_t c = 0; c < 5; c++) {
        uint32_t block = codecs[c].block ? codecs[c].block : CCZ_AGG_BLOCK_DEFAULT;
        uint64_t size;
        CHECK(ccz_agg_codec_size(&size, &codecs[c], LEN, NULL) == CCZ_OK);
        CHECK(encode(&codecs[c], x, LEN, NULL, NULL, 0) == size);
        decode(y, &codecs[c], LEN, size);
        for (size_t at = 0; at < LEN; at += block) {
            float max = 0;
            for (size_t i = at; i < LEN && i < at + block; i++)
                max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
            for (size_t i = at; i < LEN && i < at + block; i++)
                CHECK(isfinite(y[i]) &&
                      fabs((double)x[i] - (double)y[i]) <= tolerance(&codecs[c], x[i], max));
        }
    }
}

/* All ways to cut both streams give what one piece gives; adding is decoding and adding; norms are those of the values. */
static void test_borders(void)
{
    float x[LEN], whole[LEN], y[LEN], acc[LEN], sum[LEN];
    uint64_t state = 12;
    rnd_floats(x, LEN, &state);
    for (size_t c = 0; c < CODECS; c++) {
        size_t size = encode(&codecs[c], x, LEN, NULL, NULL, 0);
        static uint8_t bytes[SIZE_MAX_HERE];
        memcpy(bytes, g_bytes, size);
        decode(whole, &codecs[c], LEN, size);
        for (size_t i = 0; i < LEN; i++)
            sum[i] = (float)i;
        ccz_agg_add(sum, whole, 0.3f, LEN);
        struct ccz_agg_norm expected = {.len = 0};
        ccz_agg_norm_add(&expected, whole, LEN);
        CCZ_AUTO(ccz_agg_dec) d = NULL;
        CHECK(ccz_agg_dec_new(&d, &codecs[c], LEN, NULL) == CCZ_OK);
        for (int t = 0; t < 60; t++) {
            struct ccz_agg_norm norm = {.len = 0};
            CHECK(encode(&codecs[c], x, LEN, NULL, NULL, rnd(&state) | 1) == size);
            CHECK(same_bits(bytes, g_bytes, size));
            for (size_t i = 0; i < LEN; i++)
                acc[i] = (float)i;
            memset(y, 0xff, sizeof(y));
            for (int pass = 0; pass < 3; pass++) {
                ccz_agg_dec_reset(d);
                for (size_t at = 0; at < size;) {
                    size_t n = t == 0 ? 1 : rnd(&state) % (t % 2 ? 12 : 1500);
                    struct ccz_span in = {bytes + at, n < size - at ? n : size - at};
                    CHECK((pass == 0   ? ccz_agg_dec_to(d, y, in, NULL)
                           : pass == 1 ? ccz_agg_dec_add(d, acc, 0.3f, in, NULL)
                                       : ccz_agg_dec_norm(d, &norm, in, NULL)) == CCZ_OK);
                    at += in.size;
                    CHECK((ccz_agg_dec_end(d, NULL) == CCZ_OK) == (at == size));
                }
            }
            CHECK(same_bits(y, whole, sizeof(y)));
            CHECK(same_bits(acc, sum, sizeof(acc)) || codecs[c].kind == CCZ_AGG_TOPK);
            for (size_t i = 0; i < LEN;
                 i++) /* -0 + 0 apart: TOPK adds nothing where nothing was sent */
                CHECK(acc[i] == sum[i]);
            CHECK(same_bits(&norm, &expected, sizeof(norm)));
        }
    }
}

/* More blocks than one of TOPK, and the right values in them. */
static void test_topk_long(void)
{
    static float x[LONG], y[LONG], acc[LONG];
    uint64_t state = 31;
    for (size_t i = 0; i < LONG; i++) {
        x[i] = (float)(int32_t)rnd(&state) * 0x1p-31f;
        x[i] = i / 65536 == 1 ? 0 : x[i]; /* a block without values */
    }
    struct ccz_agg_codec c = {CCZ_AGG_TOPK, 0, 5000};
    size_t size = encode(&c, x, LONG, NULL, NULL, 0);
    CHECK(size == 4 * 4 + 6 * 5000);
    decode(y, &c, LONG, size);
    float smallest = INFINITY, largest = 0;
    size_t count = 0;
    for (size_t i = 0; i < LONG; i++) {
        CHECK(y[i] == 0 || y[i] == x[i]);
        count += y[i] != 0;
        if (y[i] != 0)
            smallest = fabsf(x[i]) < smallest ? fabsf(x[i]) : smallest;
        else
            largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    }
    CHECK(count == 5000 && smallest >= largest);
    CCZ_AUTO(ccz_agg_dec) d = NULL;
    CHECK(ccz_agg_dec_new(&d, &c, LONG, NULL) == CCZ_OK);
    CHECK(ccz_agg_dec_add(d, acc, 1, CCZ_SPAN(g_bytes, size), NULL) == CCZ_OK);
    CHECK(same_bits(acc, y, sizeof(acc)));
}

static void test_cfg_refused(void)
{
    struct ccz_agg_enc *e = (void *)&g_bytes;
    struct ccz_agg_dec *d = (void *)&g_bytes;
    uint64_t size = 1;
    static const struct {
        struct ccz_agg_codec c;
        const char *where;
    } bad[] = {{{CCZ_AGG_CODECS, 0, 0}, "agg:codec-kind"},
               {{CCZ_AGG_INT8, 33, 0}, "agg:codec-block"},
               {{CCZ_AGG_INT8, 8192, 0}, "agg:codec-block"},
               {{CCZ_AGG_TOPK, 0, 0}, "agg:codec-topk"},
               {{CCZ_AGG_TOPK, 0, 11}, "agg:codec-topk"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        REFUSED(ccz_agg_codec_size(&size, &bad[i].c, 10, &err), CCZ_E_ARG, bad[i].where);
        REFUSED(ccz_agg_enc_new(&e, &bad[i].c, 10, &err), CCZ_E_ARG, bad[i].where);
        REFUSED(ccz_agg_dec_new(&d, &bad[i].c, 10, &err), CCZ_E_ARG, bad[i].where);
        CHECK(size == 0 && e == NULL && d == NULL);
    }
    REFUSED(ccz_agg_codec_size(&size, &codecs[0], CCZ_AGG_LEN_MAX + 1, &err), CCZ_E_ARG, "agg:len");
    CHECK(ccz_agg_codec_size(&size, &codecs[0], CCZ_AGG_LEN_MAX, NULL) == CCZ_OK &&
          size >> 38 == 1);
    for (size_t c = 0; c < 5; c++) { /* nothing is a vector, too */
        CHECK(encode(&codecs[c], NULL, 0, NULL, NULL, 0) == 0);
        decode(NULL, &codecs[c], 0, 0);
    }
}

static void test_encode_refused(void)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    static float x[9000], residual[9000];
    for (size_t c = 0; c < CODECS; c++) {
        CCZ_AUTO(ccz_agg_enc) e = NULL;
        CHECK(ccz_agg_enc_new(&e, &codecs[c], 9000, NULL) == CCZ_OK);
        for (size_t k = 0; k < 3; k++) {
            struct ccz_err err;
            x[8000 + k] = bad[k];
            CHECK(ccz_agg_enc_begin(e, x, NULL, NULL, &err) == CCZ_E_FORMAT);
            CHECK(strcmp(err.where, "agg:nonfinite") == 0 && err.aux == (int64_t)(8000 + k));
            CHECK(ccz_agg_enc_read(g_bytes, 100, e) == 0);
            x[8000 + k] = FLT_MAX; /* finite, but not with what is left from before */
            residual[8000 + k] = FLT_MAX;
            CHECK(ccz_agg_enc_begin(e, x, residual, residual, &err) == CCZ_E_FORMAT);
            CHECK(strcmp(err.where, "agg:nonfinite") == 0 && err.aux == (int64_t)(8000 + k));
            CHECK(residual[8000 + k] == FLT_MAX);
            x[8000 + k] = residual[8000 + k] = 0;
        }
    }
}

/* Decodes in one piece and, for the same answer, in single bytes; in all three ways. */
static void refused(const struct ccz_agg_codec *c, size_t len, const void *bytes, size_t size,
                    const char *where)
{
    static float out[70000];
    for (int way = 0; way < 6; way++) {
        CCZ_AUTO(ccz_agg_dec) d = NULL;
        struct ccz_err e = {0};
        struct ccz_agg_norm n = {.len = 0};
        ccz_rc rc = CCZ_OK;
        size_t step = way % 2 ? 1 : size;
        CHECK(ccz_agg_dec_new(&d, c, len, NULL) == CCZ_OK);
        for (size_t at = 0; rc == CCZ_OK && at < size; at += step) {
            struct ccz_span in = {(const uint8_t *)bytes + at, step};
            rc = way < 2   ? ccz_agg_dec_to(d, out, in, &e)
                 : way < 4 ? ccz_agg_dec_add(d, out, 1, in, &e)
                           : ccz_agg_dec_norm(d, &n, in, &e);
        }
        if (rc == CCZ_OK)
            rc = ccz_agg_dec_end(d, &e);
        CHECK(rc == CCZ_E_FORMAT && strcmp(e.where, where) == 0 && e.msg[0]);
        if (strcmp(where, "agg:short") == 0)
            continue;
        REFUSED(ccz_agg_dec_to(d, out, CCZ_SPAN(bytes, 0), &err), CCZ_E_FORMAT, "agg:failed");
        REFUSED(ccz_agg_dec_end(d, &err), CCZ_E_FORMAT, "agg:failed");
        ccz_agg_dec_reset(d);
        CHECK(ccz_agg_dec_to(d, out, CCZ_SPAN(bytes, 0), NULL) == CCZ_OK);
    }
}

static void test_sizes_refused(void)
{
    float x[LEN];
    uint64_t state = 5;
    rnd_floats(x, LEN, &state);
    for (size_t c = 0; c < CODECS; c++) {
        size_t size = encode(&codecs[c], x, LEN, NULL, NULL, 0);
        for (size_t n = 0; n < size; n += 1 + n / 40) /* cut */
            refused(&codecs[c], LEN, g_bytes, n, "agg:short");
        refused(&codecs[c], LEN, g_bytes, size - 1, "agg:short");
        g_bytes[size] = 0;
        refused(&codecs[c], LEN, g_bytes, size + 1, "agg:long");
    }
}

static void test_int8_refused(void)
{
    uint8_t b[4 + 32 + 4 + 8];
    struct ccz_agg_codec c = {CCZ_AGG_INT8, 32, 0};
    static const float scales[] = {-1e-30f, NAN, INFINITY, -INFINITY, FLT_MAX, FLT_MAX / 127};
    for (size_t i = 0; i < sizeof(scales) / sizeof(scales[0]); i++) {
        memset(b, 1, sizeof(b));
        float good = 1;
        memcpy(b, &scales[i], 4);
        refused(&c, 40, b, sizeof(b), "agg:scale");
        memcpy(b, &good, 4);
        memcpy(b + 36, &scales[i], 4);
        refused(&c, 40, b, sizeof(b), "agg:scale");
    }
    float good[2] = {0x810203p98f, 0}, out[40];
    memset(b, 127, sizeof(b));
    memcpy(b, &good[0], 4);
    memcpy(b + 36, &good[1], 4);
    CCZ_AUTO(ccz_agg_dec) d = NULL; /* the largest: values are finite */
    CHECK(ccz_agg_dec_new(&d, &c, 40, NULL) == CCZ_OK);
    CHECK(ccz_agg_dec_to(d, out, CCZ_SPAN(b, sizeof(b)), NULL) == CCZ_OK);
    CHECK(ccz_agg_nonfinite(out, 40) == 40 && out[0] > 3.4e38f);
    for (size_t i = 4; i < sizeof(b); i++) {
        uint8_t keep = b[i];
        b[i] = 0x80;
        if (i < 36 || i >= 40)
            refused(&c, 40, b, sizeof(b), "agg:byte");
        b[i] = keep;
    }
}

static void put_entry(uint8_t *p, unsigned index, float x)
{
    p[0] = (uint8_t)index;
    p[1] = (uint8_t)(index >> 8);
    memcpy(p + 2, &x, 4);
}

static void test_topk_refused(void)
{
    enum { N = 65536 + 20 };
    struct ccz_agg_codec c = {CCZ_AGG_TOPK, 0, 3};
    uint8_t good[4 + 12 + 4 + 6] = {2}, b[sizeof(good)];
    put_entry(good + 4, 7, 1);
    put_entry(good + 10, 65535, -1);
    good[16] = 1;
    put_entry(good + 20, 19, 2);
    memcpy(g_bytes, good, sizeof(good));
    static float out[N];
    decode(out, &c, N, sizeof(good));
    CHECK(out[7] == 1 && out[65535] == -1 && out[65536 + 19] == 2);
    memcpy(b, good, sizeof(b));
    put_entry(b + 10, 7, -1); /* twice the same */
    refused(&c, N, b, sizeof(b), "agg:topk-index");
    put_entry(b + 10, 6, -1); /* backwards */
    refused(&c, N, b, sizeof(b), "agg:topk-index");
    memcpy(b, good, sizeof(b));
    put_entry(b + 20, 20, 1); /* behind the vector, in its last block */
    refused(&c, N, b, sizeof(b), "agg:topk-index");
    static const float values[] = {0, -0.0f, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 5; i++) {
        memcpy(b, good, sizeof(b));
        put_entry(b + 10, 9, values[i]);
        refused(&c, N, b, sizeof(b), "agg:topk-value");
    }
    memcpy(b, good, sizeof(b));
    b[0] = 3; /* a count that the last position leaves no room for */
    refused(&c, 65536, b, 16, "agg:short");
    refused(&c, 65536, b, sizeof(b), "agg:topk-index");
    memcpy(b, good, sizeof(b));
    b[0] = 4; /* more than topk */
    refused(&c, N, b, sizeof(b), "agg:topk-count");
    b[0] = 2;
    b[16] = 2; /* in all */
    refused(&c, N, b, sizeof(b), "agg:topk-count");
    c.topk = N; /* more than the block has */
    b[16] = 21;
    refused(&c, N, b, sizeof(b), "agg:topk-count");
    b[0] = 1;
    b[2] = 1; /* 65537 */
    refused(&c, N, b, sizeof(b), "agg:topk-count");
    memset(b, 0xff, 4);
    refused(&c, N, b, sizeof(b), "agg:topk-count");
}

/* ------------------------------------------------------------------------------ error feedback */

/* What was sent and what is kept back add up to the update: nothing is lost. Two arrays give what one gives. */
static void test_feedback_exact(void)
{
    float x[LEN], residual[LEN], next[LEN], in_place[LEN], y[LEN];
    uint64_t state = 14;
    for (size_t c = 0; c < CODECS; c++) {
        for (size_t i = 0; i < LEN; i++) {
            x[i] = (float)(int32_t)rnd(&state) * 0x1p-31f;
            residual[i] = in_place[i] = (float)(int32_t)rnd(&state) * 0x1p-38f;
        }
        size_t size = encode(&codecs[c], x, LEN, residual, next, 0);
        decode(y, &codecs[c], LEN, size);
        for (size_t i = 0; i < LEN; i++) {
            CHECK(next[i] == (x[i] + residual[i]) - y[i]);
            CHECK(codecs[c].kind != CCZ_AGG_TOPK || y[i] == 0 || next[i] == 0);
        }
        CHECK(encode(&codecs[c], x, LEN, in_place, in_place, 77) == size);
        CHECK(same_bits(in_place, next, sizeof(next)));
    }
}

/*
 * Gradient descent on a quadratic with updates through a codec. With feedback it goes to the optimum (Karimireddy et al.
 * 2019); without, top-k never moves the small coordinates, so that the test can fail.
 */
static double descend(const struct ccz_agg_codec *c, bool feedback)
{
    enum { N = 256, STEPS = 4000 };
    float x[N], step[N], residual[N] = {0}, y[N];
    for (size_t i = 0; i < N; i++)
        x[i] = 0;
    for (int s = 0; s < STEPS; s++) {
        for (size_t i = 0; i < N; i++) { /* the large coordinates pull to and fro for ever */
            float target = (float)i / N, noise = i % 16 == 0 ? (s % 2 ? 10.0f : -10.0f) : 0;
            step[i] = -0.004f * (x[i] - target + noise);
        }
        size_t size = feedback ? encode(c, step, N, residual, residual, 0)
                               : encode(c, step, N, NULL, NULL, 0);
        decode(y, c, N, size);
        ccz_agg_add(x, y, 1, N);
    }
    double worst = 0;
    for (size_t i = 0; i < N; i++)
        worst = i % 16 != 0 && fabs((double)x[i] - (double)i / N) > worst
                    ? fabs((double)x[i] - (double)i / N)
                    : worst;
    return worst;
}

static void test_feedback_converges(void)
{
    struct ccz_agg_codec top = {CCZ_AGG_TOPK, 0, 16}, int8 = {CCZ_AGG_INT8, 256, 0};
    CHECK(descend(&top, false) > 0.9 && descend(&top, true) < 0.1);
    CHECK(descend(&int8, false) > 0.02 && descend(&int8, true) < 0.005);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"agg_codec.known", test_known},
        {"agg_codec.accuracy", test_accuracy},
        {"agg_codec.borders", test_borders},
        {"agg_codec.topk_long", test_topk_long},
        {"agg_codec.cfg_refused", test_cfg_refused},
        {"agg_codec.encode_refused", test_encode_refused},
        {"agg_codec.sizes_refused", test_sizes_refused},
        {"agg_codec.int8_refused", test_int8_refused},
        {"agg_codec.topk_refused", test_topk_refused},
        {"agg_codec.feedback_exact", test_feedback_exact},
        {"agg_codec.feedback_converges", test_feedback_converges}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
