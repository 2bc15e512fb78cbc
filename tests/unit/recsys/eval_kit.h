/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_RECSYS_EVAL_KIT_H
#define CCZ_TEST_RECSYS_EVAL_KIT_H
/* Small data sets, and a recommender of scores that stand in a table. */
#include "ccz_test.h"

#include <cczoo/dataset.h>
#include <cczoo/recsys_eval.h>

#include <math.h>

/* Scores of all pairs; lists by sorting everything: slow, and obviously right. */
struct kit_table {
    uint32_t users, items;
    const float *score; /* [users * items] */
    const char *fault;  /* what is wrong with its lists, if anything */
    size_t calls;
};

static inline bool kit_has(const struct ccz_recsys_csr *m, uint32_t user, uint32_t item)
{
    for (uint64_t p = m->start[user]; p < m->start[user + 1]; p++)
        if (m->col[p] == item)
            return true;
    return false;
}

static inline bool kit_in(const uint32_t *list, size_t len, uint32_t item)
{
    for (size_t i = 0; i < len; i++)
        if (list[i] == item)
            return true;
    return false;
}

static inline bool kit_may(const struct ccz_recsys_ask *ask, uint32_t user, uint32_t item)
{
    return !(ask->seen && kit_has(ask->seen, user, item)) &&
           !(ask->allow && !kit_in(ask->allow, ask->allow_len, item)) &&
           !kit_in(ask->deny, ask->deny_len, item);
}

/* The best that is left, again and again. */
static inline void kit_list(uint32_t *item, float *score, const struct kit_table *t,
                            const struct ccz_recsys_ask *ask, uint32_t user)
{
    for (uint32_t p = 0; p < ask->k; p++) {
        item[p] = CCZ_RECSYS_NONE;
        score[p] = -INFINITY;
        for (uint32_t i = 0; i < t->items; i++) {
            const float s = t->score[(size_t)user * t->items + i];
            if (s > score[p] && kit_may(ask, user, i) && !kit_in(item, p, i)) {
                item[p] = i;
                score[p] = s;
            }
        }
    }
}

static inline ccz_rc kit_recommend(uint32_t *item, float *score, void *arg,
                                   const struct ccz_recsys_ask *ask, struct ccz_err *err)
{
    struct kit_table *t = arg;
    t->calls++;
    for (size_t n = 0; n < ask->users_len; n++) {
        const uint32_t user = ask->user ? ask->user[n] : (uint32_t)n;
        uint32_t *list = item + n * ask->k;
        kit_list(list, score + n * ask->k, t, ask, user);
        if (!t->fault)
            continue;
        if (strcmp(t->fault, "twice") == 0)
            list[1] = list[0];
        if (strcmp(t->fault, "gap") == 0)
            list[0] = CCZ_RECSYS_NONE;
        if (strcmp(t->fault, "number") == 0)
            list[0] = t->items;
        if (strcmp(t->fault, "seen") == 0 && ask->seen->start[user] < ask->seen->start[user + 1])
            list[0] = ask->seen->col[ask->seen->start[user]];
        if (strcmp(t->fault, "other") == 0)
            for (list[0] = 0; kit_in(ask->allow, ask->allow_len, list[0]);)
                list[0]++;
        if (strcmp(t->fault, "fails") == 0)
            return ccz_fail(err, CCZ_E_IO, "kit:fails", 7, "as told");
    }
    return CCZ_OK;
}

static inline struct ccz_recsys_csr *kit_rows(const struct ccz_recsys_ratings *r)
{
    struct ccz_recsys_csr *m;
    CHECK(ccz_recsys_csr_new(&m, r, CCZ_RECSYS_TWICE_LAST, NULL) == CCZ_OK);
    return m;
}

/* Each pair of an even sum of numbers may be in the first, others in the second: what is in both never. */
static inline void kit_parts(struct ccz_recsys_csr **train, struct ccz_recsys_csr **test,
                             uint32_t users, uint32_t items, double density, uint64_t seed)
{
    struct ccz_seeded rnd = ccz_seeded_from(seed, 1);
    struct ccz_recsys_ratings a, b;
    CHECK(ccz_recsys_ratings_init(&a, users, items, (uint64_t)users * items, false, NULL) ==
          CCZ_OK);
    CHECK(ccz_recsys_ratings_init(&b, users, items, (uint64_t)users * items, false, NULL) ==
          CCZ_OK);
    a.len = b.len = 0;
    for (uint32_t u = 0; u < users; u++)
        for (uint32_t i = 0; i < items; i++) {
            if (ccz_seeded_unit(&rnd) > density)
                continue;
            struct ccz_recsys_ratings *r = ccz_seeded_unit(&rnd) < 0.7 ? &a : &b;
            r->user[r->len] = u;
            r->item[r->len] = i;
            r->value[r->len++] = (float)(1 + ccz_seeded_below(&rnd, 5));
        }
    *train = kit_rows(&a);
    *test = kit_rows(&b);
    ccz_recsys_ratings_deinit(&a);
    ccz_recsys_ratings_deinit(&b);
}

static inline float *kit_scores(uint32_t users, uint32_t items, uint64_t seed)
{
    struct ccz_seeded rnd = ccz_seeded_from(seed, 2);
    float *s = malloc((size_t)users * items * sizeof(*s));
    CHECK(s);
    for (size_t i = 0; i < (size_t)users * items; i++)
        s[i] = (float)ccz_seeded_normal(&rnd);
    return s;
}

/* The table of a factor model's scores. */
static inline float *kit_model_scores(const struct ccz_recsys_model *m)
{
    float *s = malloc((size_t)m->user.len * m->item.len * sizeof(*s));
    CHECK(s);
    for (uint32_t u = 0; u < m->user.len; u++)
        for (uint32_t i = 0; i < m->item.len; i++)
            CHECK(ccz_recsys_predict(&s[(size_t)u * m->item.len + i], (void *)(uintptr_t)m, &u, &i,
                                     1, NULL) == CCZ_OK);
    return s;
}
#endif
