/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_RANK_KIT_H
#define CCZ_TEST_RANK_KIT_H
/* Models of all sorts, and lists by sorting every score. Nothing of src/recsys/rank* or topk* is used for those. */
#include "ccz_test.h"

#include "recsys/rank_priv.h"

#include <cczoo/dataset.h>

enum kind {
    RANDOM,   /* normal numbers */
    CLOSE,    /* items differ from each other in the fifth digit */
    TIED,     /* few values: many equal scores */
    EQUAL,    /* one vector for all items */
    NEGATIVE, /* no score is above 0 */
    SCALES,   /* lengths from 2^-60 to 2^60 */
    SPIKES,   /* one factor is much larger than all others */
    TINY,     /* denormal numbers */
    WHOLE,    /* 8 bits hold them exactly */
    KINDS
};

static inline float element(enum kind kind, bool item, uint32_t row, uint32_t j,
                            struct ccz_seeded *rnd)
{
    const float x = (float)ccz_seeded_normal(rnd);
    switch (kind) {
    case CLOSE:
        return item ? (float)((j * 7 + 3) % 11) - 4 + 1e-4f * x : x;
    case TIED:
        return (float)((int)ccz_seeded_below(rnd, 3) - 1);
    case EQUAL:
        return item ? (float)(j % 5) - 1.7f : x;
    case NEGATIVE:
        return item ? fabsf(x) : -fabsf(x);
    case SCALES:
        return ldexpf(x, (int)(row * 37 % 113) - 56);
    case SPIKES:
        return j == row % 3 ? 300 * x : x * 0.01f;
    case TINY:
        return ldexpf(x, item ? -147 : 10);
    case WHOLE:
        return j == 0 ? 127 : (float)((int)ccz_seeded_below(rnd, 255) - 127);
    default:
        return x;
    }
}

static inline void fill(struct ccz_recsys_factors *f, enum kind kind, bool item,
                        struct ccz_seeded *rnd)
{
    for (uint32_t r = 0; r < f->len; r++) {
        for (uint32_t j = 0; j < f->factors; j++)
            ccz_recsys_row(f, r)[j] = element(kind, item, r, j, rnd);
        if (f->bias)
            f->bias[r] = kind == WHOLE  ? 1e7f * (float)ccz_seeded_normal(rnd)
                         : kind == TIED ? 0
                                        : (float)ccz_seeded_normal(rnd);
    }
}

static inline struct ccz_recsys_model *make_model(enum kind kind, uint32_t users, uint32_t items,
                                                  uint32_t factors, bool bias)
{
    struct ccz_recsys_model *m = calloc(1, sizeof(*m));
    struct ccz_seeded rnd = ccz_seeded_from(11 + (uint64_t)kind, factors);
    struct ccz_err err = {0};
    CHECK(m && ccz_recsys_factors_init(&m->user, users, factors, bias, &err) == CCZ_OK &&
          ccz_recsys_factors_init(&m->item, items, factors, bias, &err) == CCZ_OK);
    fill(&m->user, kind, false, &rnd);
    fill(&m->item, kind, true, &rnd);
    m->mean = bias ? 3.25f : 0;
    return m;
}

/* Every @p one_of-th cell on average; the last row has all of them. */
static inline struct ccz_recsys_csr *make_seen(uint32_t users, uint32_t items, uint32_t one_of)
{
    struct ccz_recsys_ratings r;
    struct ccz_recsys_csr *m;
    struct ccz_seeded rnd = ccz_seeded_from(5, one_of);
    struct ccz_err err = {0};
    CHECK(ccz_recsys_ratings_init(&r, users, items, (uint64_t)users * items, false, &err) ==
          CCZ_OK);
    r.len = 0;
    for (uint32_t u = 0; u < users; u++)
        for (uint32_t i = 0; i < items; i++)
            if (u == users - 1 || ccz_seeded_below(&rnd, one_of) == 0) {
                r.user[r.len] = u;
                r.item[r.len] = i;
                r.value[r.len++] = 1;
            }
    CHECK(ccz_recsys_csr_new(&m, &r, CCZ_RECSYS_TWICE_REFUSE, &err) == CCZ_OK);
    ccz_recsys_ratings_deinit(&r);
    return m;
}

/* ------------------------------------------------------------------------------- by brute force */

/* As the header says. */
static inline float plain_dot(const float *a, const float *b, uint32_t stride)
{
    float s[16];
    for (int l = 0; l < 16; l++) {
        s[l] = 0;
        for (uint32_t j = (uint32_t)l; j < stride; j += 16) {
            const volatile float product = a[j] * b[j];
            s[l] = s[l] + product;
        }
    }
    for (int l = 0; l < 8; l++)
        s[l] += s[l + 8];
    for (int l = 0; l < 4; l++)
        s[l] += s[l + 4];
    return (s[0] + s[2]) + (s[1] + s[3]);
}

static inline float plain_score(const struct ccz_recsys_model *m, uint32_t u, uint32_t i)
{
    const float d =
        plain_dot(ccz_recsys_row(&m->user, u), ccz_recsys_row(&m->item, i), m->item.stride);
    const float c = m->mean + (m->user.bias ? m->user.bias[u] : 0);
    const float s = d + (c + (m->item.bias ? m->item.bias[i] : 0));
    return s == 0 ? 0 : s;
}

static inline float plain_cosine(const struct ccz_recsys_factors *f, uint32_t a, uint32_t b)
{
    float inverse[2];
    for (int s = 0; s < 2; s++) {
        const float *v = ccz_recsys_row(f, s ? b : a);
        double sum = 0;
        for (uint32_t j = 0; j < f->stride; j++)
            sum += (double)v[j] * v[j];
        inverse[s] = sqrt(sum) < 0x1p-50 ? 0 : (float)(1 / sqrt(sum));
    }
    const float c = plain_dot(ccz_recsys_row(f, a), ccz_recsys_row(f, b), f->stride) *
                    (inverse[0] * inverse[1]);
    return c == 0 ? 0 : c;
}

struct scored {
    float score;
    uint32_t number;
};

static inline int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* The first k of all[len], sorted. */
static inline void plain_list(uint32_t *number, float *score, uint32_t k, struct scored *all,
                              size_t len)
{
    qsort(all, len, sizeof(*all), by_score);
    for (uint32_t j = 0; j < k; j++) {
        number[j] = j < len ? all[j].number : CCZ_RECSYS_NONE;
        score[j] = j < len ? all[j].score : -INFINITY;
    }
}

/* What ask->allow and ask->deny leave of len targets. */
static inline bool *permitted_of(const struct ccz_recsys_ask *ask, uint32_t len)
{
    bool *in = calloc(len + 1, sizeof(*in));
    CHECK(in);
    for (uint32_t i = 0; i < len; i++)
        in[i] = !ask->allow;
    for (size_t i = 0; ask->allow && i < ask->allow_len; i++)
        in[ask->allow[i]] = true;
    for (size_t i = 0; i < ask->deny_len; i++)
        in[ask->deny[i]] = false;
    return in;
}

static inline void plain_recommend(uint32_t *item, float *score, const struct ccz_recsys_model *m,
                                   const struct ccz_recsys_ask *ask)
{
    struct scored *all = calloc(m->item.len + 1, sizeof(*all));
    CHECK(all);
    for (size_t a = 0; a < ask->users_len; a++) {
        const uint32_t u = ask->user ? ask->user[a] : (uint32_t)a;
        size_t len = 0;
        bool *in = permitted_of(ask, m->item.len);
        for (uint64_t i = ask->seen ? ask->seen->start[u] : 0;
             ask->seen && i < ask->seen->start[u + 1]; i++)
            in[ask->seen->col[i]] = false;
        for (uint32_t i = 0; i < m->item.len; i++)
            if (in[i])
                all[len++] = (struct scored){plain_score(m, u, i), i};
        plain_list(item + a * ask->k, score + a * ask->k, ask->k, all, len);
        free(in);
    }
    free(all);
}

static inline void plain_similar(uint32_t *number, float *score, const struct ccz_recsys_factors *f,
                                 const struct ccz_recsys_ask *ask)
{
    struct scored *all = calloc(f->len + 1, sizeof(*all));
    CHECK(all);
    for (size_t a = 0; a < ask->users_len; a++) {
        const uint32_t u = ask->user ? ask->user[a] : (uint32_t)a;
        size_t len = 0;
        bool *in = permitted_of(ask, f->len);
        for (uint32_t i = 0; i < f->len; i++)
            if (in[i] && i != u)
                all[len++] = (struct scored){plain_cosine(f, u, i), i};
        plain_list(number + a * ask->k, score + a * ask->k, ask->k, all, len);
        free(in);
    }
    free(all);
}

/* Lists with room for what would be written too much. */
struct lists {
    uint32_t *item;
    float *score;
    size_t len;
};
static inline struct lists make_lists(const struct ccz_recsys_ask *ask)
{
    const size_t len = ask->users_len * ask->k;
    struct lists l = {malloc((len + 1) * sizeof(*l.item)), malloc((len + 1) * sizeof(*l.score)),
                      len};
    CHECK(l.item && l.score);
    for (size_t i = 0; i <= len; i++) {
        l.item[i] = 0x5a5a5a5a;
        l.score[i] = 77;
    }
    return l;
}
static inline void free_lists(struct lists *l)
{
    free(l->item);
    free(l->score);
}
static inline bool same_lists(const struct lists *a, const struct lists *b)
{
    return a->len == b->len && a->item[a->len] == 0x5a5a5a5a && a->score[a->len] == 77 &&
           memcmp(a->item, b->item, a->len * sizeof(*a->item)) == 0 &&
           memcmp(a->score, b->score, a->len * sizeof(*a->score)) == 0;
}
#endif
