/* SPDX-License-Identifier: Apache-2.0 */
/* Median, trimmed mean, Krum. Known answers are numpy's; every number of rows is held against qsort(). */
#include "agg/kit.h"

enum { ROWS_MAX = 40, COLS = 300 };

static float g_rows[ROWS_MAX][COLS];
static const float *g_ptrs[ROWS_MAX];

static void make(uint64_t seed)
{
    for (size_t r = 0; r < ROWS_MAX; r++) {
        rnd_floats(g_rows[r], COLS, &seed);
        g_ptrs[r] = g_rows[r];
    }
}

static struct ccz_agg_robust *rule(enum ccz_agg_robust_kind kind, size_t rows, size_t trim)
{
    struct ccz_agg_robust *r;
    struct ccz_agg_robust_cfg cfg = {kind, (uint32_t)rows, (uint32_t)trim};
    CHECK(ccz_agg_robust_new(&r, &cfg, NULL) == CCZ_OK);
    return r;
}

static void check_known(enum ccz_agg_robust_kind kind, size_t rows, size_t trim, const float e[4])
{
    static const float r[6][4] = {{1, 5, -1, 0},      {2, -4, -1, 1e6f}, {3, 2, -1, -7},
                                  {100, 2.5f, -1, 3}, {-50, 0, 7, 2},    {4, 1, 2, 2.5f}};
    const float *ptrs[6] = {r[0], r[1], r[2], r[3], r[4], r[5]};
    float out[4];
    CCZ_AUTO(ccz_agg_robust) one = rule(kind, rows, trim);
    CHECK(ccz_agg_robust_run(out, one, ptrs, 4, NULL) == CCZ_OK);
    for (size_t i = 0; i < 4; i++)
        CHECK(out[i] == e[i]);
}

static void test_known(void)
{
    check_known(CCZ_AGG_MEDIAN, 5, 0, (const float[]){2, 2, -1, 2});
    check_known(CCZ_AGG_MEDIAN, 6, 0, (const float[]){2.5f, 1.5f, -1, 2.25f});
    check_known(CCZ_AGG_TRIMMED, 6, 1, (const float[]){2.5f, 1.375f, -0.25f, 1.875f});
    check_known(CCZ_AGG_TRIMMED, 5, 1, (const float[]){2, 1.5f, -1, 1.66666663f});
    check_known(CCZ_AGG_TRIMMED, 6, 2, (const float[]){2.5f, 1.5f, -1, 2.25f});
}

static int ascending(const void *a, const void *b)
{
    const float *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void test_every_count(void)
{
    for (size_t n = 1; n <= ROWS_MAX; n++) {
        size_t trim = (n - 1) / 3;
        CCZ_AUTO(ccz_agg_robust) median = rule(CCZ_AGG_MEDIAN, n, 0);
        CCZ_AUTO(ccz_agg_robust) trimmed = rule(CCZ_AGG_TRIMMED, n, trim);
        float m[COLS], t[COLS], column[ROWS_MAX];
        make(n);
        CHECK(ccz_agg_robust_run(m, median, g_ptrs, COLS, NULL) == CCZ_OK);
        CHECK(ccz_agg_robust_run(t, trimmed, g_ptrs, COLS, NULL) == CCZ_OK);
        for (size_t c = 0; c < COLS; c++) {
            double sum = 0;
            for (size_t r = 0; r < n; r++)
                column[r] = g_rows[r][c];
            qsort(column, n, sizeof(float), ascending);
            for (size_t r = trim; r < n - trim; r++)
                sum += (double)column[r];
            CHECK(m[c] == 0.5f * column[(n - 1) / 2] + 0.5f * column[n / 2]);
            CHECK(t[c] == (float)(sum / (double)(n - 2 * trim)));
        }
    }
}

/* 0-1 principle: a network that sorts all inputs of zeros and ones sorts everything. Large ones by samples. */
static void test_networks(void)
{
    static float rows[CCZ_AGG_ROWS_MAX][64];
    static const float *ptrs[CCZ_AGG_ROWS_MAX];
    static const size_t counts[] = {63, 64, 65, 100, 255, 257, 1000, 1023, 1024};
    uint64_t state = 1;
    for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
        size_t n = counts[k], ones[64] = {0};
        float out[64];
        CCZ_AUTO(ccz_agg_robust) r = rule(CCZ_AGG_MEDIAN, n, 0);
        for (size_t i = 0; i < n; i++) {
            ptrs[i] = rows[i];
            for (size_t c = 0; c < 64; c++) { /* about half, so that the middle is hard */
                rows[i][c] = (float)(rnd(&state) % 2);
                ones[c] += rows[i][c] > 0;
            }
        }
        CHECK(ccz_agg_robust_run(out, r, ptrs, 64, NULL) == CCZ_OK);
        for (size_t c = 0; c < 64; c++) {
            size_t zeros = n - ones[c], lo = (n - 1) / 2, hi = n / 2;
            CHECK(out[c] == 0.5f * (float)(lo >= zeros) + 0.5f * (float)(hi >= zeros));
        }
    }
}

/* Any range of columns gives the same. In place, too. */
static void test_ranges(void)
{
    uint64_t state = 6;
    make(77);
    for (size_t n = 9; n <= ROWS_MAX; n += 31) {
        CCZ_AUTO(ccz_agg_robust) r = rule(CCZ_AGG_TRIMMED, n, 2);
        float whole[COLS], parts[COLS];
        CHECK(ccz_agg_robust_run(whole, r, g_ptrs, COLS, NULL) == CCZ_OK);
        for (size_t at = 0; at < COLS;) {
            const float *ptrs[ROWS_MAX];
            size_t k = rnd(&state) % 90;
            k = k < COLS - at ? k : COLS - at;
            for (size_t i = 0; i < n; i++)
                ptrs[i] = g_rows[i] + at;
            CHECK(ccz_agg_robust_run(parts + at, r, ptrs, k, NULL) == CCZ_OK);
            at += k;
        }
        CHECK(same_bits(whole, parts, sizeof(whole)));
        CHECK(ccz_agg_robust_run(g_rows[3], r, g_ptrs, COLS, NULL) == CCZ_OK);
        CHECK(same_bits(whole, g_rows[3], sizeof(whole)));
    }
}

static void test_refused(void)
{
    struct ccz_agg_robust *r = NULL;
    static const struct {
        struct ccz_agg_robust_cfg cfg;
        const char *where;
    } bad[] = {{{CCZ_AGG_MEDIAN, 0, 0}, "agg:robust-rows"},
               {{CCZ_AGG_MEDIAN, CCZ_AGG_ROWS_MAX + 1, 0}, "agg:robust-rows"},
               {{CCZ_AGG_MEDIAN, 5, 1}, "agg:robust-trim"},
               {{CCZ_AGG_TRIMMED, 4, 2}, "agg:robust-trim"},
               {{CCZ_AGG_TRIMMED, 1, UINT32_MAX}, "agg:robust-trim"},
               {{(enum ccz_agg_robust_kind)2, 5, 0}, "agg:robust-kind"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        REFUSED(ccz_agg_robust_new(&r, &bad[i].cfg, &err), CCZ_E_ARG, bad[i].where);
        CHECK(r == NULL);
    }
    float out[COLS];
    static const float wrong[] = {NAN, INFINITY, -INFINITY};
    r = rule(CCZ_AGG_MEDIAN, 5, 0);
    for (size_t i = 0; i < 3; i++) {
        make(3);
        g_rows[i + 1][COLS - 1 - 100 * i] = wrong[i];
        struct ccz_err err;
        out[0] = 1;
        CHECK(ccz_agg_robust_run(out, r, g_ptrs, COLS, &err) == CCZ_E_FORMAT);
        CHECK(strcmp(err.where, "agg:nonfinite") == 0 && err.aux == (int64_t)i + 1 && out[0] == 0);
    }
    ccz_agg_robust_free(r);
}

/* ------------------------------------------------------------------------------------------ Krum */

static const float krum_rows[7][3] = {{1, 1, 1},         {1.1f, 0.9f, 1}, {0.9f, 1.2f, 1.1f},
                                      {1, 1.05f, 0.95f}, {9, 9, 9},       {-9, 8, 7},
                                      {1.2f, 1, 0.8f}};

static void test_krum_known(void)
{
    static const double scores[7] = {0.0850000335, 0.115000011, 0.255000133, 0.0950000407,
                                     572.865021,   548.964996,  0.205000021};
    const float *ptrs[7];
    uint32_t chosen[5];
    double got[7];
    CCZ_AUTO(ccz_agg_krum) k = NULL;
    for (size_t i = 0; i < 7; i++)
        ptrs[i] = krum_rows[i];
    CHECK(ccz_agg_krum_new(&k, 7, 2, NULL) == CCZ_OK);
    CHECK(ccz_agg_krum_add(k, ptrs, 3, NULL) == CCZ_OK);
    CHECK(ccz_agg_krum_select(chosen, got, 1, k, NULL) == CCZ_OK && chosen[0] == 0);
    for (size_t i = 0; i < 7; i++)
        CHECK(near(got[i], scores[i], 1e-6));
    CHECK(ccz_agg_krum_select(chosen, NULL, 3, k, NULL) == CCZ_OK);
    CHECK(chosen[0] == 0 && chosen[1] == 1 && chosen[2] == 3);
    CHECK(ccz_agg_krum_select(chosen, NULL, 5, k, NULL) == CCZ_OK);
    for (uint32_t i = 0; i < 5; i++) /* everybody but the two outliers */
        CHECK(chosen[i] == (i < 4 ? i : 6));
}

static void test_krum_chunks(void)
{
    enum { N = 9, LEN = 5000 };
    static float rows[N][LEN];
    const float *ptrs[N];
    double whole[N], parts[N];
    uint32_t a[4], b[4];
    uint64_t state = 8;
    for (size_t i = 0; i < N; i++)
        rnd_floats(rows[i], LEN, &state);
    memcpy(rows[7], rows[2], sizeof(rows[2])); /* equal scores: the lower row first */
    for (size_t t = 0; t < 20; t++) {
        CCZ_AUTO(ccz_agg_krum) k = NULL;
        CHECK(ccz_agg_krum_new(&k, N, 3, NULL) == CCZ_OK);
        for (size_t at = 0; at < LEN;) {
            size_t n = t ? 1 + rnd(&state) % 2500 : LEN;
            n = n < LEN - at ? n : LEN - at;
            for (size_t i = 0; i < N; i++)
                ptrs[i] = rows[i] + at;
            CHECK(ccz_agg_krum_add(k, ptrs, n, NULL) == CCZ_OK);
            at += n;
            if (at % 3 == 0) /* looking does not change anything */
                CHECK(ccz_agg_krum_select(b, NULL, 1, k, NULL) == CCZ_OK);
        }
        CHECK(ccz_agg_krum_select(t ? b : a, t ? parts : whole, 4, k, NULL) == CCZ_OK);
        if (t)
            CHECK(same_bits(whole, parts, sizeof(whole)) && same_bits(a, b, sizeof(a)));
    }
    CHECK(whole[2] == whole[7]);
}

static void test_krum_refused(void)
{
    struct ccz_agg_krum *k = NULL;
    uint32_t chosen[8];
    REFUSED(ccz_agg_krum_new(&k, 2, 0, &err), CCZ_E_ARG, "agg:krum-rows");
    REFUSED(ccz_agg_krum_new(&k, CCZ_AGG_ROWS_MAX + 1, 0, &err), CCZ_E_ARG, "agg:krum-rows");
    REFUSED(ccz_agg_krum_new(&k, 8, 3, &err), CCZ_E_ARG, "agg:krum-byzantine"); /* 2 f + 2 = n */
    CHECK(ccz_agg_krum_new(&k, 9, 3, NULL) == CCZ_OK);
    REFUSED(ccz_agg_krum_select(chosen, NULL, 0, k, &err), CCZ_E_ARG, "agg:krum-chosen");
    REFUSED(ccz_agg_krum_select(chosen, NULL, 7, k, &err), CCZ_E_ARG, "agg:krum-chosen");
    make(1);
    g_rows[5][200] = NAN;
    REFUSED(ccz_agg_krum_add(k, g_ptrs, COLS, &err), CCZ_E_FORMAT, "agg:nonfinite");
    g_rows[5][200] = 0;
    REFUSED(ccz_agg_krum_add(k, g_ptrs, COLS, &err), CCZ_E_FORMAT, "agg:nonfinite");
    REFUSED(ccz_agg_krum_select(chosen, NULL, 1, k, &err), CCZ_E_ARG, "agg:nonfinite");
    ccz_agg_krum_free(k);
    /* updates so large that distances overflow do not choose themselves, nor spoil the others */
    float huge[9][2] = {{0}};
    const float *ptrs[9];
    for (size_t i = 0; i < 9; i++) {
        ptrs[i] = huge[i];
        huge[i][0] = i < 3 ? (i % 2 ? FLT_MAX : -FLT_MAX) : (float)i;
    }
    CHECK(ccz_agg_krum_new(&k, 9, 3, NULL) == CCZ_OK);
    CHECK(ccz_agg_krum_add(k, ptrs, 2, NULL) == CCZ_OK);
    CHECK(ccz_agg_krum_select(chosen, NULL, 6, k, NULL) == CCZ_OK && chosen[0] == 3);
    ccz_agg_krum_free(k);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"agg_robust.known", test_known},
                                            {"agg_robust.every_count", test_every_count},
                                            {"agg_robust.networks", test_networks},
                                            {"agg_robust.ranges", test_ranges},
                                            {"agg_robust.refused", test_refused},
                                            {"agg_robust.krum_known", test_krum_known},
                                            {"agg_robust.krum_chunks", test_krum_chunks},
                                            {"agg_robust.krum_refused", test_krum_refused}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
