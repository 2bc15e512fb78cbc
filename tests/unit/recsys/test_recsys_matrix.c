/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed rows against a table with all cells. */
#include "ccz_test.h"

#include <cczoo/dataset.h>
#include <cczoo/recsys.h>

#include <math.h>
#include <string.h>

enum { USERS = 37, ITEMS = 23, RATINGS = 400 };

/* Repeats included; `last` and `sum` are what cells become by the two rules, NAN for none. */
static struct ccz_recsys_ratings some(float last[USERS][ITEMS], float sum[USERS][ITEMS], bool times)
{
    static int64_t at[USERS][ITEMS];
    struct ccz_recsys_ratings r;
    struct ccz_seeded rnd = ccz_seeded_from(7, times);
    struct ccz_err err = {0};
    CHECK(ccz_recsys_ratings_init(&r, USERS, ITEMS, RATINGS, times, &err) == CCZ_OK);
    for (int u = 0; u < USERS; u++)
        for (int i = 0; i < ITEMS; i++)
            last[u][i] = sum[u][i] = NAN;
    for (int j = 0; j < RATINGS; j++) {
        const uint32_t u = (uint32_t)ccz_seeded_below(&rnd, USERS),
                       i = (uint32_t)ccz_seeded_below(&rnd, ITEMS);
        const int64_t t = (int64_t)ccz_seeded_below(&rnd, 4);
        const float v = (float)(1 + ccz_seeded_below(&rnd, 5));
        r.user[j] = u;
        r.item[j] = i;
        r.value[j] = v;
        if (times)
            r.time[j] = t;
        if (isnan(last[u][i]) || !times || t >= at[u][i]) {
            last[u][i] = v;
            at[u][i] = t;
        }
        sum[u][i] = isnan(sum[u][i]) ? v : sum[u][i] + v;
    }
    return r;
}

static void same(const struct ccz_recsys_csr *m, float cell[USERS][ITEMS])
{
    uint64_t len = 0;
    CHECK(m->rows == USERS && m->cols == ITEMS && m->start[0] == 0 && m->start[USERS] == m->len);
    for (uint32_t u = 0; u < USERS; u++) {
        uint64_t k = m->start[u];
        for (uint32_t i = 0; i < ITEMS; i++)
            if (!isnan(cell[u][i])) {
                CHECK(k < m->start[u + 1] && m->col[k] == i && m->value[k] == cell[u][i]);
                k++;
                len++;
            }
        CHECK(k == m->start[u + 1]);
    }
    CHECK(len == m->len);
}

static void rows(void)
{
    static float last[USERS][ITEMS], sum[USERS][ITEMS];
    struct ccz_err err = {0};
    for (int times = 0; times < 2; times++) {
        struct ccz_recsys_ratings r = some(last, sum, times);
        struct ccz_recsys_csr *m;
        CHECK(ccz_recsys_csr_new(&m, &r, CCZ_RECSYS_TWICE_LAST, &err) == CCZ_OK);
        same(m, last);
        ccz_recsys_csr_free(m);
        CHECK(ccz_recsys_csr_new(&m, &r, CCZ_RECSYS_TWICE_SUM, &err) == CCZ_OK);
        same(m, sum);
        ccz_recsys_csr_free(m);
        ccz_recsys_ratings_deinit(&r);
    }
    struct ccz_recsys_ratings none = {.users = 3, .items = 2};
    struct ccz_recsys_csr *m;
    CHECK(ccz_recsys_csr_new(&m, &none, CCZ_RECSYS_TWICE_REFUSE, &err) == CCZ_OK && m->len == 0 &&
          m->start[3] == 0);
    ccz_recsys_csr_free(m);
}

/* Of finite ratings a sum that is not. */
static void sums(void)
{
    uint32_t user[] = {0, 1, 1}, item[] = {0, 2, 2};
    float value[] = {1, 3e38f, 3e38f};
    struct ccz_recsys_ratings r = {
        .users = 2, .items = 3, .len = 3, .user = user, .item = item, .value = value};
    struct ccz_recsys_csr *m;
    struct ccz_err err = {0};
    CHECK(ccz_recsys_csr_new(&m, &r, CCZ_RECSYS_TWICE_SUM, &err) == CCZ_E_ARG && !m);
    CHECK(strcmp(err.where, "recsys:value") == 0 && err.aux == 2);
    value[2] = -3e38f;
    CHECK(ccz_recsys_csr_new(&m, &r, CCZ_RECSYS_TWICE_SUM, &err) == CCZ_OK && m->value[1] == 0);
    ccz_recsys_csr_free(m);
}

static void twice(void)
{
    uint32_t user[] = {1, 0, 1}, item[] = {2, 2, 2};
    float value[] = {3, 4, 5};
    struct ccz_recsys_ratings r = {
        .users = 2, .items = 3, .len = 3, .user = user, .item = item, .value = value};
    struct ccz_recsys_csr *m;
    struct ccz_err err = {0};
    CHECK(ccz_recsys_csr_new(&m, &r, CCZ_RECSYS_TWICE_REFUSE, &err) == CCZ_E_EXISTS && !m);
    CHECK(strcmp(err.where, "recsys:twice") == 0 && err.aux == 2);
    r.len = 2;
    CHECK(ccz_recsys_csr_new(&m, &r, CCZ_RECSYS_TWICE_REFUSE, &err) == CCZ_OK && m->len == 2);
    ccz_recsys_csr_free(m);
}

static void transpose(void)
{
    static float last[USERS][ITEMS], sum[USERS][ITEMS];
    struct ccz_err err = {0};
    struct ccz_recsys_ratings r = some(last, sum, false);
    struct ccz_recsys_csr *m, *t, *back;
    CHECK(ccz_recsys_csr_new(&m, &r, CCZ_RECSYS_TWICE_LAST, &err) == CCZ_OK);
    CHECK(ccz_recsys_csr_transpose(&t, m, &err) == CCZ_OK && t->rows == ITEMS && t->cols == USERS);
    for (uint32_t i = 0; i < ITEMS; i++)
        for (uint64_t k = t->start[i]; k < t->start[i + 1]; k++)
            CHECK(t->value[k] == last[t->col[k]][i] &&
                  (k == t->start[i] || t->col[k] > t->col[k - 1]));
    CHECK(ccz_recsys_csr_transpose(&back, t, &err) == CCZ_OK);
    same(back, last);
    ccz_recsys_csr_free(m);
    ccz_recsys_csr_free(t);
    ccz_recsys_csr_free(back);
    ccz_recsys_ratings_deinit(&r);
}

static void refuses(void)
{
    uint32_t user[] = {1, 0}, item[] = {2, 1};
    float value[] = {3, 4};
    struct ccz_recsys_ratings r = {
        .users = 2, .items = 3, .len = 2, .user = user, .item = item, .value = value};
    struct ccz_recsys_csr *m;
    struct ccz_err err = {0};
    user[1] = 2;
    CHECK(ccz_recsys_csr_new(&m, &r, CCZ_RECSYS_TWICE_LAST, &err) == CCZ_E_ARG &&
          strcmp(err.where, "recsys:user") == 0 && err.aux == 1);
    user[1] = 0;
    item[0] = 3;
    CHECK(ccz_recsys_csr_new(&m, &r, CCZ_RECSYS_TWICE_LAST, &err) == CCZ_E_ARG &&
          strcmp(err.where, "recsys:item") == 0 && err.aux == 0);
    item[0] = 0;
    value[0] = NAN;
    CHECK(ccz_recsys_csr_new(&m, &r, CCZ_RECSYS_TWICE_LAST, &err) == CCZ_E_ARG &&
          strcmp(err.where, "recsys:value") == 0);
    struct ccz_recsys_factors f;
    CHECK(ccz_recsys_factors_init(&f, 3, 0, false, &err) == CCZ_E_LIMIT &&
          strcmp(err.where, "recsys:factors") == 0);
    CHECK(ccz_recsys_factors_init(&f, 3, CCZ_RECSYS_FACTORS_MAX + 1, false, &err) == CCZ_E_LIMIT);
    CHECK(ccz_recsys_factors_init(&f, 3, 17, true, &err) == CCZ_OK && f.stride == 32 && f.bias &&
          ((uintptr_t)f.v & 63) == 0);
    ccz_recsys_factors_deinit(&f);
    CHECK(ccz_recsys_ratings_init(&r, CCZ_RECSYS_LEN_MAX + 1, 1, 0, false, &err) == CCZ_E_LIMIT);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"recsys.rows", rows},
                                            {"recsys.twice", twice},
                                            {"recsys.sums", sums},
                                            {"recsys.transpose", transpose},
                                            {"recsys.refuses", refuses}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
