/* SPDX-License-Identifier: Apache-2.0 */
/* Lists against sorting of every score, bit for bit: each tier, by an index, without one, and oblivious. */
#include "rank_kit.h"

#include <cczoo/recsys_als.h>

static const char *const tiers[] = {"portable", "avx2", "avx512", "vnni"};
enum { TIERS = 4 };

typedef void (*with_tier)(const struct cczi_rank_kernels *k);

/* Tiers that this processor has not are left out; plain C is always there. */
static void each_tier(with_tier run)
{
    int ran = 0;
    for (int t = 0; t < TIERS; t++) {
        const struct cczi_rank_kernels *k = cczi_rank_kernels(tiers[t]);
        CHECK(k || t > 0);
        if (!k)
            continue;
        CHECK(strcmp(k->name, tiers[t]) == 0);
        run(k);
        ran++;
    }
    printf("tiers=%d\n", ran);
}

/* @p users: also for similar users. */
static struct ccz_recsys_index *index_by(const struct cczi_rank_kernels *k,
                                         const struct ccz_recsys_model *m, bool users)
{
    const struct ccz_recsys_index_cfg cfg = {.users = users, .tier = k->name};
    struct ccz_recsys_index *index;
    CHECK(ccz_recsys_index_new(&index, m, &cfg, NULL) == CCZ_OK && index->k == k);
    return index;
}

/* One question in the four ways. */
static void ask_all(struct ccz_recsys_model *m, struct ccz_recsys_index *index,
                    struct ccz_recsys_ask ask)
{
    struct ccz_err err = {0};
    struct lists want = make_lists(&ask);
    plain_recommend(want.item, want.score, m, &ask);
    for (int oblivious = 0; oblivious < 2; oblivious++)
        for (int by_index = 0; by_index < 2; by_index++) {
            struct lists got = make_lists(&ask);
            ask.oblivious = oblivious;
            CHECK((by_index ? ccz_recsys_recommend_index(got.item, got.score, index, &ask, &err)
                            : cczi_rank_recommend(got.item, got.score, m, &ask, index->k, &err)) ==
                  CCZ_OK);
            CHECK(same_lists(&got, &want));
            free_lists(&got);
        }
    free_lists(&want);
}

static void ask_model(const struct cczi_rank_kernels *k, enum kind kind, uint32_t items,
                      uint32_t factors, bool bias)
{
    enum { USERS = 19, SOME = 11 };
    static const uint32_t user[SOME] = {3, 3, 18, 0, 17, 5, 6, 7, 8, 9, 10}, few[] = {4, 0, 2};
    const uint32_t deny[] = {items - 1, 0, 0, items / 2};
    uint32_t allow[40];
    struct ccz_recsys_model *m = make_model(kind, USERS, items, factors, bias);
    struct ccz_recsys_csr *seen = make_seen(USERS, items, 3);
    struct ccz_recsys_index *index = index_by(k, m, false);
    for (uint32_t i = 0; i < 40; i++)
        allow[i] = i * 7 % items; /* with repeats */
    const struct ccz_recsys_ask asks[] = {
        {.users_len = USERS, .k = 10},
        {.users_len = 1, .k = 1, .user = few},
        {.users_len = 3, .k = 9, .user = few, .seen = seen},
        {.users_len = SOME, .k = items + 5, .user = user, .seen = seen},
        {.users_len = SOME, .k = 7, .user = user, .deny = deny, .deny_len = 4},
        {.users_len = USERS, .k = 8, .allow = allow, .allow_len = 40},
        {.users_len = USERS, .k = 10, .allow = allow, .allow_len = 0},
        {.users_len = USERS,
         .k = 16,
         .allow = allow,
         .allow_len = 40,
         .deny = deny,
         .deny_len = 4,
         .seen = seen},
        {.users_len = 0, .k = 3}};
    for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++)
        ask_all(m, index, asks[i]);
    ccz_recsys_csr_free(seen);
    ccz_recsys_index_free(index);
    ccz_recsys_model_free(m);
}

static void lists_of_tier(const struct cczi_rank_kernels *k)
{
    for (int kind = 0; kind < KINDS; kind++) {
        ask_model(k, (enum kind)kind, 333, 64, false);
        ask_model(k, (enum kind)kind, 130, 17, true);
    }
    ask_model(k, RANDOM, 1, 1, true);
    ask_model(k, RANDOM, 32, 16, false);
    ask_model(k, CLOSE, 64, 200, true);
    ask_model(k, TIED, 65, 3, false);
    ask_model(k, WHOLE, 97, CCZ_RECSYS_FACTORS_MAX, true);
}

/* Several chunks, and more places than maxima; few items that are far apart; a tie between chunks. */
static void chunks_of_tier(const struct cczi_rank_kernels *k)
{
    enum { USERS = 3, ITEMS = 3 * CCZI_RANK_CHUNK * CCZI_RANK_TILE + 77 };
    static const uint32_t far[] = {ITEMS - 1, 1, 4096, 4095, 9000};
    for (int kind = 0; kind < 4; kind++) {
        struct ccz_recsys_model *m =
            make_model(((enum kind[]){RANDOM, CLOSE, TIED, EQUAL})[kind], USERS, ITEMS, 16, false);
        struct ccz_recsys_csr *seen = make_seen(USERS, ITEMS, 100);
        struct ccz_recsys_index *index = index_by(k, m, false);
        static const uint32_t ks[] = {1, 10, 100, 1100, 5000};
        for (size_t i = 0; i < sizeof(ks) / sizeof(ks[0]); i++)
            for (int few = 0; few < 2; few++) {
                const struct ccz_recsys_ask ask = {.users_len = USERS,
                                                   .k = ks[i],
                                                   .seen = seen,
                                                   .allow = few ? far : NULL,
                                                   .allow_len = few ? 5 : 0};
                struct lists got = make_lists(&ask), want = make_lists(&ask);
                plain_recommend(want.item, want.score, m, &ask);
                CHECK(ccz_recsys_recommend_index(got.item, got.score, index, &ask, NULL) ==
                          CCZ_OK &&
                      same_lists(&got, &want));
                free_lists(&got);
                free_lists(&want);
            }
        ccz_recsys_index_free(index);
        ccz_recsys_csr_free(seen);
        ccz_recsys_model_free(m);
    }
}

static void chunks(void)
{
    each_tier(chunks_of_tier);
}

static void lists(void)
{
    each_tier(lists_of_tier);
}

static void no_items(void)
{
    struct ccz_recsys_model *m = make_model(RANDOM, 3, 0, 5, true);
    CCZ_AUTO(ccz_recsys_index) index = NULL;
    CHECK(ccz_recsys_index_new(&index, m, NULL, NULL) == CCZ_OK);
    ask_all(m, index, (struct ccz_recsys_ask){.users_len = 3, .k = 2});
    ccz_recsys_index_free(ccz_recsys_index_take(&index));
    ccz_recsys_model_free(m);
}

/* ------------------------------------------------------------------------------------- bounds */

enum { BOUND_ITEMS = 96, BOUND_FACTORS = 64 };

/* Every score is between its bounds, in 8 bits and against each other as lists compare them; and the bounds are near, else they would
 * be of no use. */
static void bounds_of(const struct cczi_rank_kernels *k, enum kind kind, bool cosine)
{
    static struct cczi_rank_group g;
    static const float zeros[CCZI_RANK_TILE],
        ones[CCZI_RANK_TILE] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    struct ccz_recsys_model *m = make_model(kind, BOUND_ITEMS, BOUND_ITEMS, BOUND_FACTORS,
                                            kind == WHOLE || kind == CLOSE || kind == BIASED);
    struct ccz_recsys_index *index;
    CHECK(ccz_recsys_index_new(&index, m, NULL, NULL) == CCZ_OK);
    const struct cczi_rank_side *s = &index->item;
    const struct ccz_recsys_factors *users = cosine ? &m->item : &m->user;
    double width = 0;
    for (uint32_t u = 0; u < CCZI_RANK_GROUP; u++) {
        const float c = m->mean + (m->user.bias ? m->user.bias[u] : 0);
        const struct cczi_rank_asker a = {.v = ccz_recsys_row(users, u),
                                          .stride = users->stride,
                                          .base = cosine ? 0 : c,
                                          .by = cosine ? s->inverse[u] : 1,
                                          .bias_max = cosine ? 0 : s->bias_max};
        CHECK(cczi_rank_in_range(&a));
        cczi_rank_load(&g, u, &a, k->limit);
    }
    for (uint32_t tile = 0; tile < BOUND_ITEMS / CCZI_RANK_TILE; tile++) {
        float upper[CCZI_RANK_GROUP][CCZI_RANK_TILE], low[CCZI_RANK_GROUP][CCZI_RANK_TILE];
        const uint32_t in[CCZI_RANK_GROUP] = {~0u, ~0u, ~0u, ~0u, 0x80000001, ~0u, ~0u, 0};
        const size_t first = (size_t)tile * CCZI_RANK_TILE;
        const struct cczi_rank_tile t = {.panel = s->panel + first * BOUND_FACTORS,
                                         .scale = (cosine ? s->cosine_scale : s->scale) + first,
                                         .norm = cosine ? ones : s->norm + first,
                                         .base = s->base && !cosine ? s->base + first : zeros,
                                         .ratio = s->ratio[tile]};
        for (uint32_t u = 0; u < CCZI_RANK_GROUP; u++)
            for (uint32_t i = 0; i < CCZI_RANK_TILE; i++)
                low[u][i] = -INFINITY;
        k->scan(&(struct cczi_rank_bounds){.upper = upper[0],
                                           .lower_max = low[0],
                                           .in = in,
                                           .upper_step = CCZI_RANK_TILE,
                                           .max_step = CCZI_RANK_TILE,
                                           .in_step = 1},
                &g, &t, s->quads, CCZI_RANK_GROUP);
        for (uint32_t u = 0; u < CCZI_RANK_GROUP; u++)
            for (uint32_t i = 0; i < CCZI_RANK_TILE; i++) {
                const uint32_t n = (uint32_t)first + i;
                const float score = cosine ? plain_cosine(&m->item, u, n) : plain_score(m, u, n);
                if (in[u] >> i & 1) {
                    CHECK(low[u][i] <= score && score <= upper[u][i]);
                    width += (double)upper[u][i] - low[u][i];
                } else {
                    CHECK(low[u][i] == -INFINITY && upper[u][i] == -INFINITY);
                }
            }
    }
    if (kind == RANDOM) /* scores have deviation 8, cosines 1/8 */
        CHECK(width / (BOUND_ITEMS * CCZI_RANK_GROUP) < (cosine ? 0.05 : 3));
    ccz_recsys_index_free(index);
    ccz_recsys_model_free(m);
}

static void bound_of_tier(const struct cczi_rank_kernels *k)
{
    for (int kind = 0; kind < KINDS; kind++) {
        bounds_of(k, (enum kind)kind, false);
        bounds_of(k, (enum kind)kind, true);
    }
}

static void bound(void)
{
    each_tier(bound_of_tier);
}

/* ------------------------------------------------------------------------------------ threads */

static void threads(void)
{
    enum { USERS = 131, ITEMS = 777 };
    struct ccz_recsys_model *m = make_model(TIED, USERS, ITEMS, 24, true);
    struct ccz_recsys_csr *seen = make_seen(USERS, ITEMS, 9);
    CCZ_AUTO(ccz_recsys_index) one = NULL;
    CHECK(ccz_recsys_index_new(&one, m, NULL, NULL) == CCZ_OK);
    for (int oblivious = 0; oblivious < 2; oblivious++) {
        struct ccz_recsys_ask ask = {
            .users_len = USERS, .k = 20, .seen = seen, .oblivious = oblivious};
        struct lists want = make_lists(&ask);
        CHECK(ccz_recsys_recommend(want.item, want.score, m, &ask, NULL) == CCZ_OK);
        for (unsigned t = 1; t < 8; t++) {
            struct ccz_recsys_index *index;
            struct lists got = make_lists(&ask);
            ask.threads = t;
            CHECK(ccz_recsys_index_new(&index, m, &(struct ccz_recsys_index_cfg){.threads = t},
                                       NULL) == CCZ_OK);
            CHECK(memcmp(index->item.panel, one->item.panel, (size_t)one->item.tiles * 32 * 32) ==
                  0);
            CHECK(ccz_recsys_recommend_index(got.item, got.score, index, &ask, NULL) == CCZ_OK &&
                  same_lists(&got, &want));
            CHECK(ccz_recsys_recommend(got.item, got.score, m, &ask, NULL) == CCZ_OK &&
                  same_lists(&got, &want));
            free_lists(&got);
            ccz_recsys_index_free(index);
        }
        free_lists(&want);
    }
    ccz_recsys_index_free(ccz_recsys_index_take(&one));
    ccz_recsys_csr_free(seen);
    ccz_recsys_model_free(m);
}

/* ------------------------------------------------------------------------------------ vectors */

/* Users of another model, as they come from folding in, and with a bias where the model's have none. */
static void vectors(void)
{
    enum { USERS = 9, ITEMS = 200 };
    struct ccz_recsys_model *m = make_model(RANDOM, 3, ITEMS, 20, false);
    struct ccz_recsys_model *other = make_model(CLOSE, USERS, 1, 20, true);
    struct ccz_recsys_csr *seen = make_seen(USERS, ITEMS, 4);
    struct ccz_recsys_index *index;
    struct ccz_err err = {0};
    const struct ccz_recsys_model joined = {.user = other->user, .item = m->item};
    CHECK(ccz_recsys_index_new(&index, m, NULL, &err) == CCZ_OK);
    for (int oblivious = 0; oblivious < 2; oblivious++) {
        const struct ccz_recsys_ask ask = {
            .users_len = USERS, .k = 12, .seen = seen, .oblivious = oblivious};
        struct lists got = make_lists(&ask), want = make_lists(&ask);
        plain_recommend(want.item, want.score, &joined, &ask);
        CHECK(ccz_recsys_recommend_vectors(got.item, got.score, index, &other->user, &ask, &err) ==
                  CCZ_OK &&
              same_lists(&got, &want));
        free_lists(&got);
        free_lists(&want);
    }
    ccz_recsys_index_free(index);
    ccz_recsys_csr_free(seen);
    ccz_recsys_model_free(m);
    ccz_recsys_model_free(other);
}

static void pairs(void)
{
    struct ccz_recsys_model *m = make_model(RANDOM, 5, 6, 33, true);
    uint32_t user[30], item[30];
    float score[30];
    for (uint32_t i = 0; i < 30; i++) {
        user[i] = i % 5;
        item[i] = i / 5;
    }
    CHECK(ccz_recsys_scores(score, m, user, item, 30, NULL) == CCZ_OK);
    for (uint32_t i = 0; i < 30; i++)
        CHECK(score[i] == plain_score(m, i % 5, i / 5));
    ccz_recsys_model_free(m);
}

/* -------------------------------------------------------------------------------------- lists */

static void similar_of_tier(const struct cczi_rank_kernels *k)
{
    enum { USERS = 50, ITEMS = 170 };
    static const uint32_t some[] = {7, 169, 0, 7}, deny[] = {1, 2, 3}, allow[] = {7, 8, 9, 2, 100};
    for (int kind = 0; kind < KINDS; kind++) {
        struct ccz_recsys_model *m = make_model((enum kind)kind, USERS, ITEMS, 40, true);
        memset(ccz_recsys_row(&m->item, 9), 0, 40 * sizeof(float)); /* no direction */
        struct ccz_recsys_index *index = index_by(k, m, true);
        struct ccz_recsys_ask asks[] = {
            {.users_len = USERS, .k = 10},
            {.users_len = 1, .k = ITEMS, .user = some},
            {.users_len = 3, .k = 4, .user = some, .deny = deny, .deny_len = 3},
            {.users_len = 4, .k = 5, .user = some, .allow = allow, .allow_len = 5}};
        for (size_t i = 0; i < 8; i++) {
            struct ccz_recsys_ask ask = asks[i / 2];
            ask.oblivious = i % 2;
            struct lists got = make_lists(&ask), want = make_lists(&ask);
            plain_similar(want.item, want.score, &m->item, &ask);
            CHECK(ccz_recsys_similar_items(got.item, got.score, index, &ask, NULL) == CCZ_OK &&
                  same_lists(&got, &want));
            free_lists(&got);
            free_lists(&want);
        }
        struct ccz_recsys_ask ask = {.users_len = USERS, .k = 60};
        struct lists got = make_lists(&ask), want = make_lists(&ask);
        plain_similar(want.item, want.score, &m->user, &ask);
        CHECK(ccz_recsys_similar_users(got.item, got.score, index, &ask, NULL) == CCZ_OK &&
              same_lists(&got, &want));
        free_lists(&got);
        free_lists(&want);
        ccz_recsys_index_free(index);
        ccz_recsys_model_free(m);
    }
}

static void similar(void)
{
    each_tier(similar_of_tier);
}

/* Not only equal to the formula of this library: a cosine is one. */
static void cosine(void)
{
    struct ccz_recsys_model *m = make_model(RANDOM, 1, 30, 24, false);
    struct ccz_recsys_index *index;
    uint32_t item[30], of = 3;
    float got[30];
    CHECK(ccz_recsys_index_new(&index, m, NULL, NULL) == CCZ_OK);
    for (uint32_t j = 0; j < 24; j++)
        ccz_recsys_row(&m->item, 3)[j] = 5 * ccz_recsys_row(&m->item, 20)[j];
    ccz_recsys_index_free(index);
    CHECK(ccz_recsys_index_new(&index, m, NULL, NULL) == CCZ_OK);
    CHECK(ccz_recsys_similar_items(item, got, index,
                                   &(struct ccz_recsys_ask){.user = &of, .users_len = 1, .k = 30},
                                   NULL) == CCZ_OK);
    CHECK(item[0] == 20 && fabsf(got[0] - 1) < 1e-6f && item[29] == CCZ_RECSYS_NONE);
    for (int i = 0; i < 29; i++) {
        double ab = 0, aa = 0, bb = 0;
        for (uint32_t j = 0; j < 24; j++) {
            const double a = ccz_recsys_row(&m->item, 3)[j],
                         b = ccz_recsys_row(&m->item, item[i])[j];
            ab += a * b;
            aa += a * a;
            bb += b * b;
        }
        CHECK(item[i] != 3 && fabs(got[i] - ab / sqrt(aa * bb)) < 1e-6);
    }
    ccz_recsys_index_free(index);
    ccz_recsys_model_free(m);
}

/* ---------------------------------------------------------------------------------------- why */

static void explain(void)
{
    enum { USERS = 4, ITEMS = 50 };
    struct ccz_recsys_model *m = make_model(RANDOM, USERS, ITEMS, 10, true);
    struct ccz_recsys_csr *seen = make_seen(USERS, ITEMS, 2);
    struct ccz_recsys_explanation e;
    struct ccz_recsys_reason reason[ITEMS + 3];
    float share[ITEMS];
    for (int i = 0; i < ITEMS; i++)
        share[i] = (float)(i * 7 % 13) * 0.25f - 1; /* several are equal */
    seen->start[0] = seen->start[1];                /* a user without a history */
    for (uint32_t k = 1; k <= ITEMS + 3; k += 4)
        for (uint32_t u = 0; u < USERS; u++) {
            const uint32_t len = (uint32_t)(seen->start[u + 1] - seen->start[u]);
            double sum;
            CHECK(ccz_recsys_explain(&e, reason, k, m, u, 17, seen, share, NULL) == CCZ_OK);
            CHECK(e.score == plain_score(m, u, 17) && e.reasons == (k < len ? k : len));
            CHECK(e.mean == m->mean && e.item_bias == m->item.bias[17]);
            sum = e.mean + e.item_bias + e.others + e.rest;
            for (uint32_t i = 0; i < k; i++) {
                CHECK(i < e.reasons || (reason[i].item == CCZ_RECSYS_NONE && reason[i].share == 0));
                CHECK(i == 0 || i >= e.reasons || reason[i - 1].share > reason[i].share ||
                      (reason[i - 1].share == reason[i].share &&
                       reason[i - 1].item < reason[i].item));
                sum += reason[i].share;
            }
            CHECK(fabs(sum - e.score) < 1e-5);
            double all = 0, listed = 0;
            for (uint32_t i = 0; i < len; i++) {
                all += share[i];
                bool found = false;
                for (uint32_t j = 0; j < e.reasons; j++)
                    if (reason[j].item == seen->col[seen->start[u] + i]) {
                        CHECK(reason[j].share == share[i]);
                        found = true;
                        listed += share[i];
                    }
                CHECK(found || share[i] <= reason[e.reasons - 1].share);
            }
            CHECK(fabs(all - listed - e.others) < 1e-5);
        }
    ccz_recsys_csr_free(seen);
    ccz_recsys_model_free(m);
}

/* Shares of least squares: of a user who was folded in, nothing is left over. */
static void explain_als(void)
{
    enum { USERS = 30, ITEMS = 25, K = 4 };
    struct ccz_recsys_csr *seen = make_seen(USERS, ITEMS, 3);
    CCZ_AUTO(ccz_recsys_model) m = NULL;
    CCZ_AUTO(ccz_recsys_fold) fold = NULL;
    struct ccz_recsys_factors users;
    struct ccz_recsys_explanation e;
    struct ccz_recsys_reason reason[K];
    float share[ITEMS];
    const struct ccz_recsys_als_cfg cfg = {
        .factors = 6, .iterations = 3, .alpha = 5, .reg = 0.5f, .seed = 3};
    CHECK(ccz_recsys_als_train(&m, seen, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_recsys_fold_new(&fold, m, CCZ_RECSYS_USERS, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_recsys_fold_rows(&users, fold, seen, NULL) == CCZ_OK);
    double rest = 0;
    for (int folded = 0; folded < 2; folded++) {
        struct ccz_recsys_model by = {
            .user = folded ? users : m->user, .item = m->item, .mean = m->mean};
        for (uint32_t u = 0; u < USERS; u++) {
            CHECK(ccz_recsys_als_weights(share, fold, seen, u, 7, NULL) == CCZ_OK);
            CHECK(ccz_recsys_explain(&e, reason, K, &by, u, 7, seen, share, NULL) == CCZ_OK);
            double sum = e.mean + e.item_bias + e.others + e.rest;
            for (uint32_t i = 0; i < K; i++)
                sum += reason[i].share;
            CHECK(e.score == plain_score(&by, u, 7) && fabs(sum - e.score) < 1e-5);
            CHECK(!folded || fabsf(e.rest) < 1e-4f);
            rest += fabsf(e.rest);
        }
    }
    CHECK(rest > 1e-3); /* of those whose items have moved since */
    ccz_recsys_factors_deinit(&users);
    ccz_recsys_csr_free(seen);
}

/* ------------------------------------------------------------------------------------ refusals */

static struct ccz_recsys_model *model;
static struct ccz_recsys_index *of_items;

static void refused(const struct ccz_recsys_ask *ask, const char *where, int64_t aux, bool vectors_,
                    const struct ccz_recsys_factors *users)
{
    uint32_t item[64];
    float score[64];
    for (int by = 0; by < 4; by++) {
        struct ccz_err err = {0};
        struct ccz_recsys_ask a = *ask;
        a.oblivious = by % 2;
        memset(item, 0, sizeof(item));
        memset(score, 0, sizeof(score));
        ccz_rc rc = vectors_ ? ccz_recsys_recommend_vectors(item, score, of_items, users, &a, &err)
                    : by / 2 ? ccz_recsys_recommend_index(item, score, of_items, &a, &err)
                             : ccz_recsys_recommend(item, score, model, &a, &err);
        CHECK(rc == CCZ_E_ARG && strcmp(err.where, where) == 0 && err.aux == aux && err.msg[0]);
        if (a.k > 0 && a.k <= 4) /* no half of a list is left */
            for (uint32_t i = 0; i < a.k * a.users_len; i++)
                CHECK(item[i] == CCZ_RECSYS_NONE && score[i] == -INFINITY);
    }
}

static void refuses_vectors(void)
{
    uint32_t item[8];
    float score[8];
    struct ccz_err err = {0};
    struct ccz_recsys_factors users;
    CHECK(ccz_recsys_factors_init(&users, 2, 9, false, NULL) == CCZ_OK);
    refused(&(struct ccz_recsys_ask){.users_len = 2, .k = 2}, "recsys:factors", 9, true, &users);
    ccz_recsys_factors_deinit(&users);
    CHECK(ccz_recsys_factors_init(&users, 2, 8, false, NULL) == CCZ_OK);
    static const float values[] = {NAN, INFINITY, -INFINITY};
    for (int v = 0; v < 3; v++) {
        struct ccz_recsys_ask ask = {.users_len = 2, .k = 2};
        ccz_recsys_row(&users, 1)[3] = values[v];
        CHECK(ccz_recsys_recommend_vectors(item, score, of_items, &users, &ask, &err) ==
                  CCZ_E_ARG &&
              strcmp(err.where, "recsys:value") == 0 && err.aux == 1 && item[0] == CCZ_RECSYS_NONE);
        ask.oblivious = true;
        err = (struct ccz_err){0};
        CHECK(ccz_recsys_recommend_vectors(item, score, of_items, &users, &ask, &err) ==
                  CCZ_E_ARG &&
              strcmp(err.where, "recsys:value") == 0 && item[0] == CCZ_RECSYS_NONE);
    }
    ccz_recsys_factors_deinit(&users);
}

/* What is refused about a pair, or a history of shares. */
static void refuses_why(const struct ccz_recsys_csr *seen, const struct ccz_recsys_csr *wide,
                        const struct ccz_recsys_csr *low)
{
    static float good[40], bad[40];
    struct ccz_recsys_model odd = *model;
    bad[1] = NAN;
    odd.item.factors++;
    const struct {
        const char *where;
        uint32_t k, user, item;
        const struct ccz_recsys_csr *seen;
        const float *share;
        const struct ccz_recsys_model *m;
    } all[] = {{"recsys:k", 0, 1, 1, seen, good, model},
               {"recsys:k", CCZ_RECSYS_K_MAX + 1, 1, 1, seen, good, model},
               {"recsys:user", 2, 5, 1, seen, good, model},
               {"recsys:item", 2, 1, 40, seen, good, model},
               {"recsys:seen", 2, 1, 1, wide, good, model},
               {"recsys:seen", 2, 4, 1, low, good, model},
               {"recsys:value", 2, 1, 1, seen, bad, model},
               {"recsys:factors", 2, 1, 1, seen, good, &odd}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct ccz_recsys_explanation e = {.reasons = 7};
        struct ccz_recsys_reason reason[2];
        struct ccz_err err = {0};
        CHECK(ccz_recsys_explain(&e, reason, all[i].k, all[i].m, all[i].user, all[i].item,
                                 all[i].seen, all[i].share, &err) == CCZ_E_ARG &&
              strcmp(err.where, all[i].where) == 0 && err.msg[0] && e.reasons == 0);
        CHECK(all[i].k != 2 || reason[1].item == CCZ_RECSYS_NONE);
    }
    float score = 1;
    struct ccz_err err = {0};
    CHECK(ccz_recsys_scores(&score, &odd, (uint32_t[]){0}, (uint32_t[]){0}, 1, &err) == CCZ_E_ARG &&
          strcmp(err.where, "recsys:factors") == 0 && score == 0);
}

/* Whether a row of what was seen is one, is asked before it is read. */
static void refuses_rows(struct ccz_recsys_csr *seen)
{
    enum { ROW = 2 };
    static const uint32_t rows[] = {1, ROW}, others[] = {0, 1, 3, 4};
    const struct ccz_recsys_ask both = {.user = rows, .users_len = 2, .k = 2, .seen = seen},
                                with = {.users_len = ROW + 1, .k = 2, .seen = seen},
                                without = {.user = others, .users_len = 4, .k = 2, .seen = seen};
    const uint64_t first = seen->start[ROW], last = seen->start[ROW + 1] - 1, old = last + 1;
    uint32_t item[8];
    float score[8];
    CHECK(last > first + 2);
    const struct {
        uint64_t at;
        uint32_t col;
    } bad[] = {{last, seen->cols},       {last, 1u << 31},        {last, UINT32_MAX},
               {first, UINT32_MAX},      {first, (1u << 31) + 1}, {first, seen->col[first + 1]},
               {first + 1, 1u << 31},    {last - 1, seen->cols},  {last - 1, seen->col[last]},
               {last, seen->col[first]}, {first + 1, UINT32_MAX}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const uint32_t col = seen->col[bad[i].at];
        seen->col[bad[i].at] = bad[i].col;
        refused(&both, "recsys:columns", ROW, false, NULL);
        refused(&with, "recsys:columns", ROW, false, NULL);
        CHECK(ccz_recsys_recommend(item, score, model, &without, NULL) == CCZ_OK);
        seen->col[bad[i].at] = col;
    }
    const uint64_t ends[] = {first - 1, 0, seen->len + 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        seen->start[ROW + 1] = ends[i];
        refused(&both, "recsys:rows", ROW, false, NULL);
        CHECK(ccz_recsys_recommend(
                  item, score, model,
                  &(struct ccz_recsys_ask){.user = others, .users_len = 2, .k = 2, .seen = seen},
                  NULL) == CCZ_OK);
    }
    seen->start[ROW + 1] = old;
    struct ccz_recsys_explanation e;
    struct ccz_recsys_reason reason[2];
    static const float share[40];
    struct ccz_err err = {0};
    seen->col[last] = seen->cols;
    CHECK(ccz_recsys_explain(&e, reason, 2, model, ROW, 1, seen, share, &err) == CCZ_E_ARG &&
          strcmp(err.where, "recsys:columns") == 0 && err.aux == ROW);
    seen->col[last] = seen->cols - 1; /* as large as can be */
    CHECK(ccz_recsys_recommend(item, score, model, &both, NULL) == CCZ_OK);
    seen->start[ROW + 1] = seen->start[ROW]; /* an empty row */
    CHECK(ccz_recsys_recommend(item, score, model, &both, NULL) == CCZ_OK);
    seen->start[ROW + 1] = seen->len + 1;
    CHECK(ccz_recsys_explain(&e, reason, 2, model, ROW, 1, seen, share, &err) == CCZ_E_ARG &&
          strcmp(err.where, "recsys:rows") == 0 && err.aux == ROW);
    seen->start[ROW + 1] = old;
}

static void refuses(void)
{
    enum { USERS = 5, ITEMS = 40 };
    static const uint32_t bad_user[] = {0, 5}, bad_item[] = {3, 39, 40};
    struct ccz_recsys_csr *seen = make_seen(USERS, ITEMS, 3), *wide = make_seen(USERS, 41, 3),
                          *low = make_seen(USERS - 1, ITEMS, 3);
    uint32_t item[8];
    float score[8];
    struct ccz_err err = {0};
    model = make_model(RANDOM, USERS, ITEMS, 8, true);
    CHECK(ccz_recsys_index_new(&of_items, model, NULL, NULL) == CCZ_OK);
    refused(&(struct ccz_recsys_ask){.users_len = 1, .k = 0}, "recsys:k", 0, false, NULL);
    refused(&(struct ccz_recsys_ask){.users_len = 1, .k = CCZ_RECSYS_K_MAX + 1}, "recsys:k",
            CCZ_RECSYS_K_MAX + 1, false, NULL);
    refused(&(struct ccz_recsys_ask){.users_len = 2, .k = 2, .user = bad_user}, "recsys:user", 1,
            false, NULL);
    refused(&(struct ccz_recsys_ask){.users_len = 6, .k = 2}, "recsys:user", 5, false, NULL);
    refused(&(struct ccz_recsys_ask){.users_len = 1, .k = 2, .deny = bad_item, .deny_len = 3},
            "recsys:item", 2, false, NULL);
    refused(&(struct ccz_recsys_ask){.users_len = 1, .k = 2, .allow = bad_item, .allow_len = 3},
            "recsys:item", 2, false, NULL);
    refused(&(struct ccz_recsys_ask){.users_len = 1, .k = 2, .seen = wide}, "recsys:seen", 41,
            false, NULL);
    refused(&(struct ccz_recsys_ask){.users_len = 5, .k = 2, .seen = low}, "recsys:seen", 4, false,
            NULL);
    refuses_vectors();
    refuses_rows(seen);
    /* similar: nothing seen, no users */
    const struct ccz_recsys_ask with_seen = {.users_len = 1, .k = 2, .seen = seen};
    CHECK(ccz_recsys_similar_items(item, score, of_items, &with_seen, &err) == CCZ_E_ARG &&
          strcmp(err.where, "recsys:seen") == 0);
    item[1] = 7;
    CHECK(ccz_recsys_similar_users(item, score, of_items,
                                   &(struct ccz_recsys_ask){.users_len = 1, .k = 2},
                                   &err) == CCZ_E_ARG &&
          strcmp(err.where, "recsys:index") == 0 && err.hint[0] && item[1] == CCZ_RECSYS_NONE);
    CHECK(ccz_recsys_scores(score, model, bad_user, bad_item, 2, &err) == CCZ_E_ARG &&
          strcmp(err.where, "recsys:user") == 0 && err.aux == 1);
    CHECK(ccz_recsys_scores(score, model, (uint32_t[]){0, 0, 0}, bad_item, 3, &err) == CCZ_E_ARG &&
          strcmp(err.where, "recsys:item") == 0 && err.aux == 2);
    refuses_why(seen, wide, low);
    ccz_recsys_csr_free(seen);
    ccz_recsys_csr_free(wide);
    ccz_recsys_csr_free(low);
    ccz_recsys_index_free(of_items);
    ccz_recsys_model_free(model);
}

static void index_refuses(void)
{
    struct ccz_recsys_index *index;
    struct ccz_err err = {0};
    struct ccz_recsys_model *m = make_model(RANDOM, 40, 70, 8, true);
    static const float values[] = {NAN, INFINITY, -INFINITY, 0x1p62f};
    for (int v = 0; v < 4; v++)
        for (int users = 0; users < 2; users++)
            for (int bias = 0; bias < 2; bias++) {
                struct ccz_recsys_factors *f = users ? &m->user : &m->item;
                float *at = bias ? &f->bias[35] : &ccz_recsys_row(f, 35)[2], old = *at;
                *at = bias && v == 3 ? 0x1p125f : values[v];
                CHECK(ccz_recsys_index_new(&index, m, &(struct ccz_recsys_index_cfg){.users = true},
                                           &err) == CCZ_E_ARG &&
                      !index && strcmp(err.where, "recsys:value") == 0 && err.aux == 35);
                *at = old;
            }
    m->mean = NAN;
    CHECK(ccz_recsys_index_new(&index, m, NULL, &err) == CCZ_E_ARG && !index &&
          strcmp(err.where, "recsys:value") == 0);
    m->mean = 0;
    m->user.factors = 7;
    CHECK(ccz_recsys_index_new(&index, m, NULL, &err) == CCZ_E_ARG && !index &&
          strcmp(err.where, "recsys:factors") == 0);
    m->user.factors = 8;
    CHECK(ccz_recsys_index_new(&index, m, &(struct ccz_recsys_index_cfg){.tier = "avx1024"},
                               &err) == CCZ_E_UNAVAILABLE &&
          !index && strcmp(err.where, "recsys:tier") == 0);
    ccz_recsys_model_free(m);
    /* a score that float32 cannot hold, without an index */
    m = make_model(EQUAL, 2, 3, 8, false);
    uint32_t item[4];
    float score[4];
    ccz_recsys_row(&m->user, 0)[0] = ccz_recsys_row(&m->item, 1)[0] = 0x1p70f;
    for (int oblivious = 0; oblivious < 2; oblivious++)
        CHECK(ccz_recsys_recommend(
                  item, score, m,
                  &(struct ccz_recsys_ask){.users_len = 2, .k = 2, .oblivious = oblivious},
                  &err) == CCZ_E_ARG &&
              strcmp(err.where, "recsys:value") == 0 && item[3] == CCZ_RECSYS_NONE);
    ccz_recsys_model_free(m);
}

/* Nobody is refused by an index that the index itself has accepted, and who is refused does not depend on how many ask. */
static void ranges(void)
{
    enum { USERS = 16, ITEMS = 40, FACTORS = 64 };
    struct ccz_recsys_model *m = make_model(RANDOM, USERS, ITEMS, FACTORS, false);
    CCZ_AUTO(ccz_recsys_index) index = NULL;
    uint32_t item[USERS * 2];
    float score[USERS * 2];
    struct ccz_err err = {0};
    struct ccz_recsys_ask ask = {.users_len = 1, .k = 2};
    for (uint32_t i = 0; i < FACTORS; i++) /* length 2^60, sum of magnitudes 2^63 */
        ccz_recsys_row(&m->item, 0)[i] = ccz_recsys_row(&m->user, 0)[i] = 0x1p57f;
    CHECK(ccz_recsys_index_new(&index, m, NULL, &err) == CCZ_OK);
    CHECK(ccz_recsys_similar_items(item, score, index, &ask, &err) == CCZ_OK && item[0] < ITEMS);
    CHECK(ccz_recsys_recommend_index(item, score, index, &ask, &err) == CCZ_OK && item[0] == 0);
    for (uint32_t i = 0; i < FACTORS; i++)
        ccz_recsys_row(&m->user, 1)[i] = 0;
    ccz_recsys_row(&m->user, 1)[3] = 0x1p63f;
    ccz_recsys_row(&m->item, 0)[3] = 1;
    for (size_t len = USERS - 1; len <= USERS; len++)
        for (int oblivious = 0; oblivious < 2; oblivious++) {
            ask.users_len = len;
            ask.oblivious = oblivious;
            err = (struct ccz_err){0};
            CHECK(ccz_recsys_recommend(item, score, m, &ask, &err) == CCZ_E_ARG &&
                  strcmp(err.where, "recsys:value") == 0 && err.aux == 1 &&
                  item[0] == CCZ_RECSYS_NONE);
        }
    ccz_recsys_model_free(m);
}

static void size(void)
{
    struct ccz_recsys_model *m = make_model(RANDOM, 100, 1000, 64, false);
    const uint64_t bytes = ccz_recsys_index_size(m, NULL);
    CHECK(bytes > 1000 * 64 && bytes < 1024 * (64 + 20) + 1024);
    CHECK(ccz_recsys_index_size(m, &(struct ccz_recsys_index_cfg){.users = true}) > bytes);
    ccz_recsys_model_free(m);
}

/* ---------------------------------------------------------------------------------- self-test */

static struct cczi_rank_kernels broken;
static int broken_by;

static void broken_scan(const struct cczi_rank_bounds *out, const struct cczi_rank_group *g,
                        const struct cczi_rank_tile *t, size_t quads, size_t len)
{
    cczi_rank_portable.scan(out, g, t, quads, len);
    if ((len == 1) == (broken_by == 1))
        out->lower_max[CCZI_RANK_TILE - 1] += 1;
}
static void broken_pick(uint32_t *mask, const float *upper, size_t tiles, float least)
{
    cczi_rank_portable.pick(mask, upper, tiles, nextafterf(least, INFINITY));
}
static float broken_dot(const float *a, const float *b, size_t stride)
{
    return nextafterf(cczi_rank_portable.dot(a, b, stride), 0);
}
static void broken_dots(float *out, const float *a, const float *rows, size_t len, size_t stride)
{
    cczi_rank_portable.dots(out, a, rows, len, stride);
    out[len - 1] = nextafterf(out[len - 1], 0);
}
static void broken_insert(int64_t *top, size_t k, const int64_t *key, size_t len)
{
    cczi_rank_portable.insert(top, k, key, len - 1);
}

static void self_test(void)
{
    CHECK(cczi_rank_self_test(&cczi_rank_portable));
    for (broken_by = 0; broken_by < 6; broken_by++) {
        broken = cczi_rank_portable;
        if (broken_by < 2) /* of a group, of one */
            broken.scan = broken_scan;
        else if (broken_by == 2)
            broken.dot = broken_dot;
        else if (broken_by == 3)
            broken.dots = broken_dots;
        else if (broken_by == 4)
            broken.insert = broken_insert;
        else
            broken.pick = broken_pick;
        CHECK(!cczi_rank_self_test(&broken));
    }
}

/* What CCZOO_CPU chooses. */
static void choice(void)
{
    const char *pinned = getenv("CCZOO_CPU");
    const struct cczi_rank_kernels *k = cczi_rank_kernels(NULL);
    CHECK(k && !cczi_rank_kernels("no such tier"));
    if (pinned && strcmp(pinned, "portable") == 0)
        CHECK(k == &cczi_rank_portable);
    if (pinned && strcmp(pinned, "avx2") == 0)
        CHECK(strcmp(k->name, cczi_rank_kernels("avx2") ? "avx2" : "portable") == 0);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"recsys_rank.lists", lists},
                                            {"recsys_rank.chunks", chunks},
                                            {"recsys_rank.no_items", no_items},
                                            {"recsys_rank.bound", bound},
                                            {"recsys_rank.threads", threads},
                                            {"recsys_rank.vectors", vectors},
                                            {"recsys_rank.pairs", pairs},
                                            {"recsys_rank.similar", similar},
                                            {"recsys_rank.cosine", cosine},
                                            {"recsys_rank.explain", explain},
                                            {"recsys_rank.explain_als", explain_als},
                                            {"recsys_rank.refuses", refuses},
                                            {"recsys_rank.index_refuses", index_refuses},
                                            {"recsys_rank.ranges", ranges},
                                            {"recsys_rank.size", size},
                                            {"recsys_rank.self_test", self_test},
                                            {"recsys_rank.choice", choice}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
