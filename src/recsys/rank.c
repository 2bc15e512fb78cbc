/* SPDX-License-Identifier: Apache-2.0 */
/* Lists: groups of askers over tiles of targets. */
#include "ask_priv.h"
#include "rank_priv.h"

#include "base/ct.h"

#include <float.h>
#include <stdlib.h>

enum { MANY_USERS = 16 }; /* from here on an index for one call pays */

enum { CHUNK_LEN = CCZI_RANK_CHUNK * CCZI_RANK_TILE };

/* Of a scan. */
struct chunk {
    float upper[CCZI_RANK_GROUP][CHUNK_LEN];
    float max[CCZI_RANK_GROUP]
             [CHUNK_LEN]; /* of lower bounds of targets i, i + maxima, i + 2 maxima .. */
    uint32_t in[CCZI_RANK_GROUP][CCZI_RANK_CHUNK], mask[CCZI_RANK_CHUNK];
    struct cczi_rank_group group;
};
/* Working memory of a thread. */
struct work {
    const struct cczi_rank_job *job;
    struct chunk *chunk;                                /* plain, with an index */
    size_t maxima;                                      /* 0: there can be no threshold from them */
    int64_t *top[CCZI_RANK_GROUP];                      /* [k], rounded up to 8 */
    uint64_t *seen[CCZI_RANK_GROUP];                    /* oblivious: bits of what was seen */
    uint64_t at[CCZI_RANK_GROUP], end[CCZI_RANK_GROUP]; /* plain: what of a row is still to come */
    uint32_t asker[CCZI_RANK_GROUP];
    float c[CCZI_RANK_GROUP]; /* of cczi_rank_score() */
    float least
        [CCZI_RANK_GROUP]; /* of the list so far: the k-th score; it may grow by lower bounds */
    size_t len;
    int64_t *all_top;
    uint64_t *all_seen;
    size_t all_top_size, all_seen_size;
};

/* -------------------------------------------------------------------------------------- memory */

static void work_deinit(struct work *w)
{
    cczi_recsys_wipe_free(w->chunk, sizeof(*w->chunk));
    cczi_recsys_wipe_free(w->all_top, w->all_top_size);
    cczi_recsys_wipe_free(w->all_seen, w->all_seen_size);
}

static ccz_rc work_init(struct work *w, const struct cczi_rank_job *job, struct ccz_err *err)
{
    enum { LINE = 8 };
    const size_t each = (job->ask->k + LINE - 1) / LINE * LINE;
    *w = (struct work){.job = job, .all_top_size = CCZI_RANK_GROUP * each * sizeof(int64_t)};
    const bool scans = job->side && !job->ask->oblivious;
    if (scans) {
        w->chunk = cczi_recsys_alloc(1, sizeof(*w->chunk));
        for (w->maxima = 2 * CCZI_RANK_TILE; w->maxima < 4 * (size_t)job->ask->k;)
            w->maxima *= 2;
        w->maxima = w->maxima < CHUNK_LEN ? w->maxima : CHUNK_LEN;
    }
    w->all_top = cczi_recsys_alloc(CCZI_RANK_GROUP * each, sizeof(int64_t));
    if (job->ask->oblivious) {
        w->all_seen_size = CCZI_RANK_GROUP * job->words * sizeof(uint64_t);
        w->all_seen = cczi_recsys_alloc(CCZI_RANK_GROUP * job->words, sizeof(uint64_t));
    }
    if ((scans && !w->chunk) || !w->all_top || (job->ask->oblivious && !w->all_seen)) {
        work_deinit(w);
        return cczi_recsys_no_memory(err);
    }
    for (size_t u = 0; u < CCZI_RANK_GROUP; u++) {
        w->top[u] = w->all_top + u * each;
        w->seen[u] = job->ask->oblivious ? w->all_seen + u * job->words : NULL;
    }
    return CCZ_OK;
}

/* -------------------------------------------------------------------------------------- askers */

static ccz_rc load(struct work *w, size_t from, size_t len, struct ccz_err *err)
{
    const struct cczi_rank_job *job = w->job;
    const struct ccz_recsys_ask *ask = job->ask;
    const struct ccz_recsys_csr *seen = ask->seen;
    w->len = len;
    for (size_t u = 0; u < len; u++) {
        const uint32_t n = cczi_recsys_asker(ask, from + u);
        w->asker[u] = n;
        w->least[u] = -INFINITY;
        w->c[u] = job->cosine ? job->side->inverse[n]
                              : job->mean + (job->users->bias ? job->users->bias[n] : 0);
        const struct cczi_rank_asker a = {.v = ccz_recsys_row(job->users, n),
                                          .stride = job->users->stride,
                                          .base = job->cosine ? 0 : w->c[u],
                                          .by = job->cosine ? w->c[u] : 1,
                                          .bias_max =
                                              job->cosine || !job->side ? 0 : job->side->bias_max};
        bool in_range = cczi_rank_in_range(&a);
        CCZ_CT_PUBLIC(&in_range, sizeof(in_range)); /* told by the answer */
        if (!in_range) /* with and without an index: how many ask does not matter */
            return ccz_fail(err, CCZ_E_ARG, "recsys:value", n,
                            "vector %u is not finite or too large", n);
        const ccz_rc rc = seen ? cczi_recsys_check_row(seen, n, err) : CCZ_OK;
        if (rc != CCZ_OK)
            return rc;
        w->at[u] = seen ? seen->start[n] : 0;
        w->end[u] = seen ? seen->start[n + 1] : 0;
        cczi_topk_init(w->top[u], (ask->k + 7) / 8 * 8);
        if (ask->oblivious) {
            memset(w->seen[u], 0, job->words * sizeof(uint64_t));
            if (seen)
                cczi_topk_mark(w->seen[u], job->words, seen->col + w->at[u], w->end[u] - w->at[u]);
            if (job->cosine)
                cczi_topk_mark(w->seen[u], job->words, &n, 1);
        } else if (job->side) {
            for (size_t i = 0; i < w->maxima; i++)
                w->chunk->max[u][i] = -INFINITY;
            cczi_rank_load(&w->chunk->group, u, &a, job->k->limit);
        }
    }
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------------- plain */

/* Targets come in ascending order: the row of what was seen is walked along. */
static bool left_out(struct work *w, size_t u, uint32_t target)
{
    if (w->job->cosine)
        return target == w->asker[u];
    const struct ccz_recsys_csr *seen = w->job->ask->seen;
    uint64_t at = w->at[u];
    while (at < w->end[u] && seen->col[at] < target)
        at++;
    w->at[u] = at;
    return at < w->end[u] && seen->col[at] == target;
}

static void offer(struct work *w, size_t u, uint32_t target, float score)
{
    const int64_t key = cczi_topk_key(score, target);
    int64_t *top = w->top[u];
    if (key > top[0]) {
        cczi_topk_replace(top, w->job->ask->k, key);
        const float last = cczi_topk_score(top[0]);
        w->least[u] = last > w->least[u] ? last : w->least[u];
    }
}

static uint32_t permitted_of_tile(const struct cczi_rank_job *job, uint32_t tile)
{
    const uint32_t first = tile * CCZI_RANK_TILE, left = job->targets->len - first;
    const uint32_t real = left < CCZI_RANK_TILE ? (1u << left) - 1 : UINT32_MAX;
    return job->permitted ? real & (uint32_t)(job->permitted[tile / 2] >> tile % 2 * 32) : real;
}

/* Targets of a chunk that asker u may get. False if there are none. */
static bool who_is_in(struct work *w, size_t u, uint32_t tile, uint32_t tiles)
{
    const struct cczi_rank_job *job = w->job;
    const uint64_t first = (uint64_t)tile * CCZI_RANK_TILE,
                   end = first + (uint64_t)tiles * CCZI_RANK_TILE;
    uint32_t *in = w->chunk->in[u], any = 0;
    for (uint32_t t = 0; t < tiles; t++)
        any |= in[t] = permitted_of_tile(job, tile + t);
    const uint32_t *col = job->ask->seen ? job->ask->seen->col : NULL;
    uint64_t at = w->at[u];
    for (const uint64_t row_end = w->end[u]; at < row_end && col[at] < end; at++)
        in[(col[at] - first) / CCZI_RANK_TILE] &= ~(1u << col[at] % CCZI_RANK_TILE);
    w->at[u] = at;
    if (job->cosine && w->asker[u] >= first && w->asker[u] < end)
        in[(w->asker[u] - first) / CCZI_RANK_TILE] &= ~(1u << w->asker[u] % CCZI_RANK_TILE);
    return any != 0;
}

/* A number that is not above the k-th largest of max[len], and near it: at least k are not below `low` at any time. */
static float kth_largest(const float *max, size_t len, uint32_t k)
{
    enum { STEPS = 14 };
    float low = INFINITY, high = -INFINITY;
    uint32_t there = 0;
    for (size_t i = 0; i < len; i++) {
        const float x = max[i] == -INFINITY ? INFINITY : max[i];
        there += x < INFINITY;
        low = x < low ? x : low;
        high = max[i] > high ? max[i] : high;
    }
    if (there < k)
        return -INFINITY;
    for (int s = 0; s < STEPS; s++) {
        const float middle = low + (high - low) / 2;
        uint32_t above = 0;
        for (size_t i = 0; i < len; i++)
            above += max[i] >= middle;
        if (above >= k)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Scores of what may be better than the last of the list. */
static void rescore(struct work *w, size_t u, uint32_t tile, uint32_t tiles)
{
    const struct cczi_rank_job *job = w->job;
    struct chunk *c = w->chunk;
    const float *v = ccz_recsys_row(job->users, w->asker[u]);
    const float sure = kth_largest(c->max[u], w->maxima, job->ask->k);
    w->least[u] = sure > w->least[u] ? sure : w->least[u];
    job->k->pick(c->mask, c->upper[u], tiles, fmaxf(w->least[u], -FLT_MAX)); /* not -INFINITY */
    for (uint32_t t = 0; t < tiles; t++)
        for (uint32_t mask = c->mask[t]; mask; mask &= mask - 1) {
            const uint32_t i = t * CCZI_RANK_TILE + (uint32_t)__builtin_ctz(mask);
            const uint32_t target = tile * CCZI_RANK_TILE + i;
            if (c->upper[u][i] < w->least[u]) /* it may have grown */
                continue;
            const float d =
                job->k->dot(v, ccz_recsys_row(job->targets, target), job->targets->stride);
            offer(w, u, target, cczi_rank_score(job, d, w->c[u], target));
        }
}

static void bounds(struct work *w, uint32_t tile, uint32_t tiles)
{
    static const float zeros[CCZI_RANK_TILE];
    static const float ones[CCZI_RANK_TILE] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                               1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const struct cczi_rank_job *job = w->job;
    const struct cczi_rank_side *s = job->side;
    const float *scale = job->cosine ? s->cosine_scale : s->scale;
    struct chunk *c = w->chunk;
    for (uint32_t t = 0; t < tiles; t++) {
        const size_t first = (size_t)(tile + t) * CCZI_RANK_TILE;
        if (job->permitted && !permitted_of_tile(job, tile + t)) {
            for (size_t u = 0; u < w->len; u++)
                for (size_t i = 0; i < CCZI_RANK_TILE; i++)
                    c->upper[u][(size_t)t * CCZI_RANK_TILE + i] = -INFINITY;
            continue;
        }
        const struct cczi_rank_tile of = {.panel = s->panel + first * s->quads * CCZI_RANK_QUAD,
                                          .scale = scale + first,
                                          .norm = job->cosine ? ones : s->norm + first,
                                          .base = job->cosine || !s->base ? zeros : s->base + first,
                                          .ratio = s->ratio[tile + t]};
        const struct cczi_rank_bounds out = {.upper = c->upper[0] + (size_t)t * CCZI_RANK_TILE,
                                             .lower_max = c->max[0] + first % w->maxima,
                                             .in = c->in[0] + t,
                                             .upper_step = CHUNK_LEN,
                                             .max_step = CHUNK_LEN,
                                             .in_step = CCZI_RANK_CHUNK};
        job->k->scan(&out, &c->group, &of, s->quads, w->len == 1 ? 1 : CCZI_RANK_GROUP);
    }
}

static void scan(struct work *w)
{
    const uint32_t all = w->job->side->tiles;
    for (uint32_t tile = 0; tile < all; tile += CCZI_RANK_CHUNK) {
        const uint32_t tiles = all - tile < CCZI_RANK_CHUNK ? all - tile : CCZI_RANK_CHUNK;
        bool any = false;
        for (size_t u = 0; u < w->len; u++)
            any = who_is_in(w, u, tile, tiles) || any;
        if (!any)
            continue;
        bounds(w, tile, tiles);
        for (size_t u = 0; u < w->len; u++)
            rescore(w, u, tile, tiles);
    }
}

/* ------------------------------------------------------------------------ every score in float32 */

static uint64_t permitted_of_block(const struct cczi_rank_job *job, size_t block, size_t len)
{
    const uint64_t real = len < 64 ? ((uint64_t)1 << len) - 1 : UINT64_MAX;
    return job->permitted ? real & job->permitted[block] : real;
}

/* Returns 1 if a score is not finite. */
static uint32_t offer_block(struct work *w, size_t u, const float *score, uint32_t first,
                            uint64_t permitted)
{
    uint32_t bad = 0;
    for (; permitted; permitted &= permitted - 1) {
        const uint32_t i = (uint32_t)__builtin_ctzll(permitted);
        bad |= (uint32_t)!isfinite(score[i]);
        if (!(score[i] < w->least[u]) && !left_out(w, u, first + i))
            offer(w, u, first + i, score[i]);
    }
    return bad;
}

/* What is permitted is known to all; what was seen is not. */
static uint32_t insert_block(struct work *w, size_t u, const float *score, size_t block, size_t len,
                             uint64_t permitted)
{
    int64_t key[CCZI_RANK_BLOCK];
    const uint32_t bad = cczi_topk_keys(key, score, (uint32_t)(block * CCZI_RANK_BLOCK), len,
                                        w->seen[u][block] | ~permitted);
    w->job->k->insert(w->top[u], w->job->ask->k, key, len);
    ccz_wipe(key, sizeof(key));
    return bad;
}

static ccz_rc compute(struct work *w, struct ccz_err *err)
{
    const struct cczi_rank_job *job = w->job;
    const struct ccz_recsys_factors *t = job->targets;
    float score[CCZI_RANK_BLOCK];
    uint32_t bad = 0;
    for (size_t block = 0; block < job->words; block++) {
        const size_t first = block * CCZI_RANK_BLOCK, left = t->len - first;
        const size_t len = left < CCZI_RANK_BLOCK ? left : CCZI_RANK_BLOCK;
        const uint64_t permitted = permitted_of_block(job, block, len);
        if (!permitted)
            continue;
        for (size_t u = 0; u < w->len; u++) {
            job->k->dots(score, ccz_recsys_row(job->users, w->asker[u]),
                         ccz_recsys_row(t, (uint32_t)first), len, t->stride);
            for (size_t i = 0; i < len; i++)
                score[i] = cczi_rank_score(job, score[i], w->c[u], (uint32_t)(first + i));
            bad |= job->ask->oblivious ? insert_block(w, u, score, block, len, permitted)
                                       : offer_block(w, u, score, (uint32_t)first, permitted);
        }
    }
    ccz_wipe(score, sizeof(score));
    CCZ_CT_PUBLIC(&bad, sizeof(bad)); /* told by the answer */
    if (bad)
        return ccz_fail(err, CCZ_E_ARG, "recsys:value", 0, "a score is not finite");
    return CCZ_OK;
}

static ccz_rc run_group(struct work *w, size_t from, size_t len, struct ccz_err *err)
{
    const struct cczi_rank_job *job = w->job;
    const size_t k = job->ask->k;
    ccz_rc rc = load(w, from, len, err);
    if (rc == CCZ_OK && job->side && !job->ask->oblivious)
        scan(w);
    else if (rc == CCZ_OK)
        rc = compute(w, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t u = 0; u < len; u++) {
        if (!job->ask->oblivious) /* there it is sorted */
            cczi_topk_sort(w->top[u], k);
        cczi_topk_write(job->number + (from + u) * k, job->score + (from + u) * k, w->top[u], k);
    }
    return CCZ_OK;
}

static ccz_rc run_range(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    struct work w;
    ccz_rc rc = work_init(&w, arg, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t at = from; rc == CCZ_OK && at < from + len; at += CCZI_RANK_GROUP) {
        const size_t left = from + len - at;
        rc = run_group(&w, at, left < CCZI_RANK_GROUP ? left : CCZI_RANK_GROUP, err);
    }
    work_deinit(&w);
    ccz_wipe(&w, sizeof(w)); /* scores of the last askers */
    return rc;
}

/* ----------------------------------------------------------------------------------------- run */

static ccz_rc check(const struct cczi_rank_job *job, struct ccz_err *err)
{
    if (job->users->factors != job->targets->factors)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:factors", job->users->factors,
                              job->targets->factors);
    if (job->ask->seen && job->cosine)
        return ccz_fail(err, CCZ_E_ARG, "recsys:seen", 0, "similar items know nothing seen");
    return cczi_recsys_check_ask(job->ask, job->users->len, job->targets->len, err);
}

ccz_rc cczi_rank_run(struct cczi_rank_job *job, struct ccz_err *err)
{
    const struct ccz_recsys_ask *ask = job->ask;
    ccz_rc rc = cczi_recsys_check_k(ask->k, err); /* how long lists are */
    if (rc != CCZ_OK)
        return rc;
    job->words = cczi_recsys_words(job->targets->len);
    rc = check(job, err);
    if (rc == CCZ_OK)
        rc = cczi_recsys_permitted(&job->permitted, ask, job->targets->len, err);
    if (rc == CCZ_OK)
        rc = ccz_parallel(run_range, job, ask->users_len, CCZI_RANK_GROUP, ask->threads, err);
    if (rc != CCZ_OK)
        cczi_topk_none(job->number, job->score, ask->users_len * ask->k);
    cczi_recsys_wipe_free(job->permitted, job->words * sizeof(*job->permitted));
    return rc;
}

/* -------------------------------------------------------------------------------------- public */

ccz_rc ccz_recsys_recommend_vectors(uint32_t *item, float *score,
                                    const struct ccz_recsys_index *index,
                                    const struct ccz_recsys_factors *users,
                                    const struct ccz_recsys_ask *ask, struct ccz_err *err)
{
    struct cczi_rank_job job = {.ask = ask,
                                .users = users,
                                .targets = &index->model->item,
                                .side = &index->item,
                                .mean = index->model->mean,
                                .number = item,
                                .score = score,
                                .k = index->k};
    return cczi_rank_run(&job, err);
}

ccz_rc ccz_recsys_recommend_index(uint32_t *item, float *score, void *index,
                                  const struct ccz_recsys_ask *ask, struct ccz_err *err)
{
    const struct ccz_recsys_index *by = index;
    return ccz_recsys_recommend_vectors(item, score, by, &by->model->user, ask, err);
}

ccz_rc cczi_rank_recommend(uint32_t *item, float *score, const struct ccz_recsys_model *m,
                           const struct ccz_recsys_ask *ask, const struct cczi_rank_kernels *k,
                           struct ccz_err *err)
{
    CCZ_AUTO(ccz_recsys_index) index = NULL;
    struct cczi_rank_job job = {.ask = ask,
                                .users = &m->user,
                                .targets = &m->item,
                                .mean = m->mean,
                                .number = item,
                                .score = score,
                                .k = k};
    const struct ccz_recsys_index_cfg cfg = {.threads = ask->threads, .tier = k->name};
    /* without one, which has no memory or refuses a vector, lists are the same, and scores have the last word */
    if (!ask->oblivious && ask->users_len >= MANY_USERS &&
        ccz_recsys_index_new(&index, m, &cfg, NULL) == CCZ_OK)
        job.side = &index->item;
    return cczi_rank_run(&job, err);
}

ccz_rc ccz_recsys_recommend(uint32_t *item, float *score, void *model,
                            const struct ccz_recsys_ask *ask, struct ccz_err *err)
{
    return cczi_rank_recommend(item, score, model, ask, cczi_rank_kernels(NULL), err);
}
