/* SPDX-License-Identifier: Apache-2.0 */
/* Field, shares, masks, numbers, parameters: what a round is made of. */
#include "kit.h"

#include "secagg/prg.h"
#include "secagg/quant.h"

#include <float.h>
#include <math.h>

static void refused(ccz_rc got, ccz_rc want, const struct ccz_err *err, const char *where)
{
    CHECK(got == want && err->rc == want && strcmp(err->where, where) == 0 && err->msg[0]);
}

static void test_field(void)
{
    uint16_t power = 1;
    uint64_t state = 3;
    for (uint32_t i = 1; i < 65535; i++) { /* x generates all: the polynomial is primitive */
        power = cczi_sa_mul(power, 2);
        CHECK(power != 1 && power != 0);
    }
    CHECK(cczi_sa_mul(power, 2) == 1);
    CHECK(cczi_sa_mul(0x8000, 2) == 0x2d && cczi_sa_inv(0) == 0);
    for (int i = 0; i < 2000; i++) {
        uint16_t v[37], w[37], h[37];
        uint16_t s = (uint16_t)rnd(&state);
        for (size_t j = 0; j < 37; j++) {
            v[j] = h[j] = (uint16_t)(rnd(&state) >> 20);
            w[j] = (uint16_t)(rnd(&state) >> 20);
        }
        uint16_t a = v[0], b = w[0], c = w[1];
        CHECK(cczi_sa_mul(a, b) == cczi_sa_mul(b, a));
        CHECK(cczi_sa_mul(a, b ^ c) == (cczi_sa_mul(a, b) ^ cczi_sa_mul(a, c)));
        CHECK(cczi_sa_mul(a, cczi_sa_mul(b, c)) == cczi_sa_mul(cczi_sa_mul(a, b), c));
        CHECK(a == 0 || cczi_sa_mul(a, cczi_sa_inv(a)) == 1);
        size_t len = (size_t)(i % 38);
        uint16_t before[37];
        memcpy(before, v, sizeof(v));
        cczi_sa_mul_lanes(v, w, len);
        cczi_sa_horner(h, s, w, len);
        for (size_t j = 0; j < 37; j++) {
            CHECK(v[j] == (j < len ? cczi_sa_mul(before[j], w[j]) : before[j]));
            CHECK(h[j] == (j < len ? (cczi_sa_mul(before[j], s) ^ w[j]) : before[j]));
        }
    }
}

static void test_shamir(void)
{
    enum { N = 12, T = 5 };
    const uint32_t members[N] = {0, 1, 2, 7, 100, 255, 256, 4095, 30000, 65532, 65533, 65534};
    uint8_t secrets[CCZI_SA_SHARES], shares[N][CCZI_SA_SHARES], again[N][CCZI_SA_SHARES], got[32];
    uint64_t state = 9;
    for (size_t i = 0; i < sizeof(secrets); i++)
        secrets[i] = (uint8_t)rnd(&state);
    for (uint32_t t = 1; t <= N; t++) {
        CHECK(cczi_sa_split(shares[0], secrets, members, N, t) == CCZ_OK);
        CHECK(cczi_sa_split(again[0], secrets, members, N, t) == CCZ_OK);
        CHECK(t == 1 || memcmp(shares, again, sizeof(shares)) != 0); /* fresh coefficients */
        for (int round = 0; round < 20; round++) {                   /* any t of them */
            const uint8_t *some[N];
            uint32_t who[N], order[N];
            for (uint32_t i = 0; i < N; i++)
                order[i] = i;
            for (uint32_t i = 0; i < N; i++) {
                uint32_t j = (uint32_t)(rnd(&state) >> 40) % N, x = order[i];
                order[i] = order[j];
                order[j] = x;
            }
            for (uint32_t half = 0; half < 2; half++) {
                for (uint32_t i = 0; i < t; i++) {
                    some[i] = shares[order[i]] + half * CCZI_SA_SHARE;
                    who[i] = members[order[i]];
                }
                CHECK(cczi_sa_combine(got, some, who, t) == CCZ_OK);
                CHECK(memcmp(got, secrets + half * CCZI_SA_KEY, sizeof(got)) == 0);
                if (t > 1) { /* one less is something else */
                    CHECK(cczi_sa_combine(got, some, who, t - 1) == CCZ_OK);
                    CHECK(memcmp(got, secrets + half * CCZI_SA_KEY, sizeof(got)) != 0);
                }
            }
        }
    }
}

/* Every value of a secret fits T - 1 shares: they tell nothing. With T = 2 and 16 bits, counted out. */
static void test_shamir_hides(void)
{
    const uint32_t member = 41;
    uint8_t secrets[CCZI_SA_SHARES] = {0}, share[CCZI_SA_SHARES];
    uint32_t ones[16] = {0};
    enum { ROUNDS = 2000 };
    for (int r = 0; r < ROUNDS; r++) {
        CHECK(cczi_sa_split(share, secrets, &member, 1, 2) == CCZ_OK);
        for (int b = 0; b < 16; b++)
            ones[b] += share[b / 8] >> (b % 8) & 1;
    }
    for (int b = 0; b < 16; b++) /* eight standard deviations */
        CHECK(ones[b] > ROUNDS / 2 - 180 && ones[b] < ROUNDS / 2 + 180);
}

static void test_masks(void)
{
    enum { LEN = 5000 };
    static uint32_t y[LEN], whole[LEN], want[LEN];
    uint8_t keys[3][CCZI_SA_KEY] = {{1}, {2}, {3}};
    const struct cczi_sa_mask masks[3] = {{keys[0], false}, {keys[1], true}, {keys[2], false}};
    CHECK(cczi_sa_apply(whole, 0, LEN, masks, 3) == CCZ_OK);
    for (size_t m = 0; m < 3; m++) { /* the definition: AES-256-CTR from counter 0 */
        static uint32_t stream[LEN];
        const uint8_t iv[CCZ_STREAM_IV_SIZE] = {0};
        CCZ_AUTO(ccz_stream) s = NULL;
        CHECK(ccz_stream_new(&s) == CCZ_OK && ccz_stream_start(s, keys[m], iv) == CCZ_OK);
        CHECK(ccz_stream_read(stream, s, sizeof(stream)) == CCZ_OK);
        for (size_t i = 0; i < LEN; i++)
            want[i] += masks[m].negative ? 0u - stream[i] : stream[i];
    }
    CHECK(memcmp(whole, want, sizeof(whole)) == 0);
    for (size_t piece = 1; piece < LEN; piece = piece * 3 + 1) { /* from any place, in any pieces */
        memset(y, 0, sizeof(y));
        for (size_t at = 0; at < LEN; at += piece)
            CHECK(cczi_sa_apply(y + at, at, LEN - at < piece ? LEN - at : piece, masks, 3) ==
                  CCZ_OK);
        CHECK(memcmp(y, whole, sizeof(y)) == 0);
    }
    /* beyond 2^32 blocks */
    uint32_t far[8] = {0}, near[8] = {0};
    uint64_t offset = (UINT64_C(1) << 40) + 3;
    CHECK(cczi_sa_apply(far, offset, 8, masks, 1) == CCZ_OK);
    CHECK(cczi_sa_apply(near, offset % (UINT64_C(1) << 34), 8, masks, 1) == CCZ_OK);
    CHECK(memcmp(far, near, sizeof(far)) != 0);
    const struct cczi_sa_mask back = {keys[0], true};
    CHECK(cczi_sa_apply(far, offset, 8, &back, 1) == CCZ_OK);
    for (size_t i = 0; i < 8; i++)
        CHECK(far[i] == 0);
}

/* Both ways give the same, at every place and length. */
static void test_masks_vaes(void)
{
    enum { LEN = 700, ROOM = 800 };
    if (!cczi_sa_vaes_usable()) {
        puts("skipped: no VAES");
        exit(77);
    }
    uint8_t keys[3][CCZI_SA_KEY];
    uint64_t state = 4;
    for (size_t i = 0; i < sizeof(keys); i++)
        keys[i / CCZI_SA_KEY][i % CCZI_SA_KEY] = (uint8_t)(rnd(&state) >> 30);
    const struct cczi_sa_mask masks[3] = {{keys[0], false}, {keys[1], true}, {keys[2], false}};
    for (size_t i = 0; i < 600; i++) {
        uint32_t a[ROOM], b[ROOM];
        for (size_t j = 0; j < ROOM; j++)
            a[j] = b[j] = (uint32_t)rnd(&state);
        size_t len = i < 150 ? i : (size_t)(rnd(&state) >> 40) % LEN;
        uint64_t offset = i < 300 ? i % 9 : rnd(&state) >> (i % 60);
        size_t at = i % 17;
        CHECK(cczi_sa_apply_portable(a + at, offset, len, masks, i % 4) == CCZ_OK);
        cczi_sa_vaes_apply(b + at, offset, len, masks, i % 4);
        CHECK(memcmp(a, b, sizeof(a)) == 0); /* and nothing beside it */
    }
}

/* Both ways to round make the same bits, of odd values too, at any length and place. */
static void test_quant_vectors(void)
{
    enum { LEN = 500 };
    static const float odd[] = {0.0F,       -0.0F,      0x1p-149F, 1.0F,     -1.0F,
                                0.9999999F, 1.0000001F, 1000.0F,   -1000.0F, 0x1p127F,
                                0.5F,       INFINITY,   -INFINITY, NAN};
    static const double tops[] = {1, 21474836, INT32_MAX};
    if (!cczi_sa_quant_avx512_usable())
        return;
    float x[LEN], back[2][LEN];
    uint32_t q[2][LEN];
    for (size_t i = 0; i < LEN; i++)
        x[i] = (float)((int32_t)(i * 2654435761u)) * 0x1p-30F;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        x[100 + 13 * i] = odd[i];
    for (size_t from = 0; from < 20; from++)
        for (size_t len = 0; from + len <= LEN; len += len < 40 ? 1 : 41)
            for (int t = 0; t < 3; t++) {
                uint64_t clipped[2];
                uint32_t bad[2];
                bad[0] = cczi_sa_round(q[0], &clipped[0], x + from, len, tops[t], tops[t]);
                bad[1] = cczi_sa_round_avx512(q[1], &clipped[1], x + from, len, tops[t], tops[t]);
                CHECK(clipped[0] == clipped[1] && !bad[0] == !bad[1]);
                CHECK(memcmp(q[0], q[1], len * sizeof(q[0][0])) == 0);
                cczi_sa_real(back[0], q[0], len, 1 / tops[t]);
                cczi_sa_real_avx512(back[1], q[0], len, 1 / tops[t]);
                CHECK(memcmp(back[0], back[1], len * sizeof(back[0][0])) == 0);
            }
}

static void test_quant(void)
{
    const uint32_t clients[] = {1, 3, 100, 10000, 1 << 24};
    uint64_t state = 12;
    for (size_t c = 0; c < 5; c++) {
        const struct ccz_secagg_quant cfg = {2.5f, clients[c]};
        double step = ccz_secagg_quant_step(&cfg);
        float x[103], back[103];
        uint32_t q[103];
        uint64_t clipped;
        for (size_t i = 0; i < 103; i++)
            x[i] = (float)((int64_t)rnd(&state) >> 11) * 0x1p-51f; /* -4 .. 4 */
        x[0] = 2.5f;
        x[1] = -2.5f;
        x[2] = 0;
        x[3] = FLT_MAX;
        x[4] = -FLT_MAX;
        uint64_t outside = 0;
        CHECK(ccz_secagg_quantize(q, &clipped, x, 103, 1, &cfg, NULL) == CCZ_OK);
        ccz_secagg_dequantize(back, q, 103, 1, &cfg);
        for (size_t i = 0; i < 103; i++) {
            double want = fmax(-2.5, fmin(2.5, (double)x[i]));
            outside += fabs((double)x[i]) > 2.5 + step / 2;
            CHECK(fabs((double)back[i] - want) <= step / 2 * 1.0001 + 2.5 * 0x1p-24);
            /* the sum of all clients at the border stays inside */
            int64_t v = (int32_t)q[i];
            CHECK(llabs(v) * clients[c] <= INT32_MAX);
        }
        CHECK(clipped == outside && q[2] == 0);
        CHECK((int32_t)q[0] == (int32_t)(INT32_MAX / clients[c]) && q[1] == 0u - q[0]);
        CHECK(q[3] == q[0] && q[4] == q[1]);
        CHECK(ccz_secagg_quantize(q, NULL, x, 103, 0.25f, &cfg, NULL) == CCZ_OK); /* weighted */
        ccz_secagg_dequantize(back, q, 3, 4, &cfg);
        CHECK(fabs(back[0] - 2.5) <= 2 * step * 1.0001 + 1e-6);
    }
    /* in place */
    const struct ccz_secagg_quant cfg = {1, 10};
    uint32_t q[2] = {5, 0u - 5};
    float x[2];
    ccz_secagg_dequantize(x, q, 2, 1, &cfg);
    ccz_secagg_dequantize((float *)q, q, 2, 1, &cfg);
    CHECK(memcmp(x, q, sizeof(q)) == 0 && x[0] > 0 && x[1] < 0);
}

static void test_quant_refused(void)
{
    float x[3] = {1, 2, NAN}, inf[2] = {0, INFINITY};
    uint32_t q[3];
    struct ccz_err err;
    const struct ccz_secagg_quant good = {1, 10};
    const struct ccz_secagg_quant bad[] = {{0, 10},        {-1, 10}, {NAN, 10},
                                           {INFINITY, 10}, {1, 0},   {1, (1 << 24) + 1}};
    for (size_t i = 0; i < 6; i++) {
        refused(ccz_secagg_quantize(q, NULL, x, 2, 1, &bad[i], &err), CCZ_E_ARG, &err,
                "secagg:range");
        CHECK(ccz_secagg_quant_step(&bad[i]) == 0);
    }
    refused(ccz_secagg_quantize(q, NULL, x, 2, NAN, &good, &err), CCZ_E_ARG, &err, "secagg:range");
    refused(ccz_secagg_quantize(q, NULL, x, 3, 1, &good, &err), CCZ_E_FORMAT, &err,
            "secagg:not-finite");
    CHECK(err.aux == 2 && q[0] == 0);
    refused(ccz_secagg_quantize(q, NULL, inf, 2, 1, &good, &err), CCZ_E_FORMAT, &err,
            "secagg:not-finite");
    CHECK(err.aux == 1);
}

static void test_choose(void)
{
    struct ccz_secagg_choice c, more;
    struct ccz_err err;
    CHECK(ccz_secagg_choose(&c, 100, 5, 10, 40, 20, NULL) == CCZ_OK);
    CHECK(c.degree < 99 && c.degree % 2 == 0 && c.threshold > c.degree / 2 &&
          c.threshold <= c.degree);
    CHECK(c.leak_log2 <= -40 && c.fail_log2 <= -20);
    CHECK(ccz_secagg_choose(&more, 100, 20, 10, 40, 20, NULL) == CCZ_OK && more.degree > c.degree);
    CHECK(ccz_secagg_choose(&more, 100, 5, 10, 80, 20, NULL) == CCZ_OK && more.degree >= c.degree);
    CHECK(ccz_secagg_choose(&more, 100, 5, 25, 40, 20, NULL) == CCZ_OK && more.degree > c.degree);
    /* a degree grows with the logarithm of the members only */
    CHECK(ccz_secagg_choose(&more, 10000, 500, 1000, 40, 20, NULL) == CCZ_OK &&
          more.degree < 4 * c.degree);
    /* by hand: 10 members, 2 vanish, degree 4 of 9 others, threshold 3: all is lost if both are neighbours,
     * which has the chance (4 2)(5 0) .. = 6 / 36, times 10 members */
    CHECK(ccz_secagg_choose(&c, 10, 0, 2, 1, 1, &err) != CCZ_OK || c.fail_log2 <= -1);
    CHECK(ccz_secagg_choose(&c, 1000, 0, 1, 40, 1, NULL) == CCZ_OK);
    /* degree 2, threshold 2: a member of 1000 vanishes; a given client is its neighbour with 2 / 999 */
    CHECK(c.degree == 4 && c.threshold == 3 && c.fail_log2 == -INFINITY);
    refused(ccz_secagg_choose(&c, 2, 0, 0, 0, 0, &err), CCZ_E_ARG, &err, "secagg:choice");
    refused(ccz_secagg_choose(&c, 100, 60, 40, 0, 0, &err), CCZ_E_ARG, &err, "secagg:choice");
    refused(ccz_secagg_choose(&c, 10, 5, 4, 40, 20, &err), CCZ_E_ARG, &err, "secagg:choice");
    CHECK(c.degree == 0);
}

/* The promised chances against drawn graphs: how often a client loses too many of its neighbours. */
static void test_choose_drawn(void)
{
    enum { N = 30, DEGREE = 6, GONE = 8, ROUNDS = 12000 };
    uint32_t members[N], degree, *graph, bad = 0;
    for (uint32_t i = 0; i < N; i++)
        members[i] = 2 * i;
    for (int r = 0; r < ROUNDS; r++) {
        CHECK(cczi_sa_graph(&graph, &degree, members, N, DEGREE) == CCZ_OK && degree == DEGREE);
        uint32_t lost = 0; /* neighbours of member 0 among the first GONE others */
        for (uint32_t i = 0; i < degree; i++)
            lost += graph[i] <= 2 * GONE;
        bad += lost >= 4;
        for (uint32_t i = 0; i < N; i++)
            for (uint32_t j = 0; j < degree; j++) {
                uint32_t peer = graph[i * degree + j];
                CHECK(peer % 2 == 0 && peer / 2 < N && peer != members[i]);
                CHECK(j == 0 || peer > graph[i * degree + j - 1]);
                CHECK(cczi_sa_find(graph + (size_t)(peer / 2) * degree, degree, members[i]) <
                      degree); /* both ways */
            }
        free(graph);
    }
    /* hypergeometric: P(at least 4 of 6 from 29 with 8 marked) = 0.0335 */
    CHECK(bad > ROUNDS * 0.02 && bad < ROUNDS * 0.05);
    CHECK(cczi_sa_graph(&graph, &degree, members, N, 0) == CCZ_OK && degree == N - 1);
    free(graph);
    CHECK(cczi_sa_graph(&graph, &degree, members, 5, DEGREE) == CCZ_OK && degree == 4);
    free(graph);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"secagg.field", test_field},
        {"secagg.shamir", test_shamir},
        {"secagg.shamir_hides", test_shamir_hides},
        {"secagg.masks", test_masks},
        {"secagg.masks_vaes", test_masks_vaes},
        {"secagg.quant", test_quant},
        {"secagg.quant_vectors", test_quant_vectors},
        {"secagg.quant_refused", test_quant_refused},
        {"secagg.choose", test_choose},
        {"secagg.choose_drawn", test_choose_drawn},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
