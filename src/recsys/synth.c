/* SPDX-License-Identifier: Apache-2.0 */
/* Ratings whose truth is known: each user draws topics by taste and items by topic. A user's ratings depend on the seed and
 * his number alone, so that any part can be made at any time. */
#include "eval_priv.h"

#include <cczoo/dataset.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    TOPICS = 8,
    TOPICS_MAX = 256,
    REJECTED_MAX = 64, /* draws in a row of what he has already; then any item */
    SHARE_OF_ITEMS =
        4, /* a user has at most 1 / SHARE_OF_ITEMS of all, if that is enough for all ratings */
    GAP_S = 86400,
    SPAN_S = 5 * 365 * 86400
};
#define START_S  946684800 /* 2000-01-01 */
#define MEAN     3.5
#define USER_DEV 0.4
#define ITEM_DEV 0.4
#define OPINION  2.0

/* Streams of the seed that are not users. */
enum { STREAM_USERS = 1, STREAM_ITEMS, STREAM_TOPICS, STREAM_OPINIONS, STREAM_FIRST_USER };

struct ccz_recsys_synth {
    struct ccz_recsys_synth_cfg cfg;
    uint64_t *start; /* [users + 1] where a user's ratings begin */
    float *chance;   /* [topics][items] of a topic */
    float
        *keep; /* [topics][items] alias tables: with chance keep the item itself, else the other */
    uint32_t *other;  /* [topics][items] */
    float *opinion;   /* [items][topics] */
    float *item_bias; /* [items] */
};

void ccz_recsys_synth_free(struct ccz_recsys_synth *s)
{
    if (!s)
        return;
    free(s->start);
    free(s->chance);
    free(s->keep);
    free(s->other);
    free(s->opinion);
    free(s->item_bias);
    free(s);
}

/* ------------------------------------------------------------------------------------------- checks */

static ccz_rc out_of_range(struct ccz_err *err, const char *field, const char *expected)
{
    return ccz_refuse(err, CCZ_E_ARG, "recsys:synth", field, expected);
}

static bool is_from_to(double x, double above, double below)
{
    return x > above && x < below;
}

static ccz_rc settle(struct ccz_recsys_synth_cfg *c, struct ccz_err *err)
{
    c->topics = c->topics ? c->topics : TOPICS;
    c->item_skew = c->item_skew != 0 ? c->item_skew : 0.6;
    c->user_skew = c->user_skew != 0 ? c->user_skew : 0.6;
    c->taste = c->taste != 0 ? c->taste : 0.1;
    c->liking = c->liking != 0 ? c->liking : 0.15;
    c->noise = c->noise != 0 ? c->noise : 0.5;
    if (c->users > CCZ_RECSYS_LEN_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "recsys:users", c->users, CCZ_RECSYS_LEN_MAX);
    if (c->items > CCZ_RECSYS_LEN_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "recsys:items", c->items, CCZ_RECSYS_LEN_MAX);
    if (c->ratings > CCZ_RECSYS_RATINGS_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "recsys:ratings", (int64_t)c->ratings,
                              (int64_t)CCZ_RECSYS_RATINGS_MAX);
    if (c->users == 0)
        return out_of_range(err, "users", "1 or more");
    if (c->items < 2)
        return out_of_range(err, "items", "2 or more");
    if (c->ratings < c->users || c->ratings > (uint64_t)c->users * c->items / 2)
        return out_of_range(err, "ratings", "one a user and more, at most half of all pairs");
    if (c->topics > TOPICS_MAX)
        return out_of_range(err, "topics", "1 to 256");
    if (!is_from_to(c->item_skew, 0, 4))
        return out_of_range(err, "item_skew", "between 0 and 4");
    if (!is_from_to(c->user_skew, 0, 1))
        return out_of_range(err, "user_skew", "between 0 and 1");
    if (!is_from_to(c->taste, 0, 1e3))
        return out_of_range(err, "taste", "between 0 and 1000");
    if (!is_from_to(c->liking, 0.05, 1e3))
        return out_of_range(err, "liking", "between 0.05 and 1000");
    if (!is_from_to(c->noise, 0, 1e3))
        return out_of_range(err, "noise", "between 0 and 1000");
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------------- how many a user has */

static double expected_len(double factor, double weight, double cap)
{
    return fmin(fmax(factor * weight, 1), cap);
}

/* Shares fall as a power of a rank that is drawn; a factor is sought with which they add up to all ratings. */
static ccz_rc share_out(struct ccz_recsys_synth *s, struct ccz_err *err)
{
    const struct ccz_recsys_synth_cfg *c = &s->cfg;
    const double each = (double)c->ratings / c->users,
                 cap = fmax(floor((double)c->items / SHARE_OF_ITEMS), ceil(each * 1.5));
    struct ccz_seeded rnd = ccz_seeded_from(c->seed, STREAM_USERS);
    double *weight = cczi_recsys_alloc(c->users, sizeof(*weight));
    if (!weight)
        return cczi_recsys_no_memory(err);
    for (uint32_t u = 0; u < c->users; u++)
        weight[u] = pow(ccz_seeded_unit(&rnd), -c->user_skew);
    double low = 0, high = (double)c->items;
    for (int step = 0; step < 100; step++) {
        const double mid = (low + high) / 2;
        double sum = 0;
        for (uint32_t u = 0; u < c->users; u++)
            sum += expected_len(mid, weight[u], cap);
        if (sum < (double)c->ratings)
            low = mid;
        else
            high = mid;
    }
    double sum = 0, at = 0;
    for (uint32_t u = 0; u < c->users; u++)
        sum += expected_len(high, weight[u], cap);
    for (uint32_t u = 0; u < c->users;
         u++) { /* rounded so that nothing is lost, and everybody has one */
        at += expected_len(high, weight[u], cap) / sum * (double)(c->ratings - c->users);
        s->start[u + 1] = (uint64_t)u + 1 + (uint64_t)at;
    }
    s->start[c->users] = c->ratings;
    free(weight);
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------------ topics */

/* Vose's alias method: one number chooses a place, another one between two items. */
static void make_alias(float *keep, uint32_t *other, const float *chance, uint32_t *work,
                       uint32_t items)
{
    uint32_t small = 0, large = items; /* two stacks in one array */
    for (uint32_t i = 0; i < items; i++) {
        keep[i] = chance[i] * (float)items;
        other[i] = i;
        if (keep[i] < 1)
            work[small++] = i;
        else
            work[--large] = i;
    }
    while (small > 0 && large < items) {
        const uint32_t a = work[--small], b = work[large];
        other[a] = b;
        keep[b] -= 1 - keep[a];
        if (keep[b] < 1) {
            large++;
            work[small++] = b;
        }
    }
    while (small > 0) /* what rounding has left over */
        keep[work[--small]] = 1;
    while (large < items)
        keep[work[large++]] = 1;
}

static ccz_rc make_topics(struct ccz_recsys_synth *s, struct ccz_err *err)
{
    const struct ccz_recsys_synth_cfg *c = &s->cfg;
    const uint32_t items = c->items;
    size_t *rank = cczi_recsys_alloc(items, sizeof(*rank));
    uint32_t *work = cczi_recsys_alloc(items, sizeof(*work));
    if (!rank || !work) {
        free(rank);
        free(work);
        return cczi_recsys_no_memory(err);
    }
    ccz_dataset_order(rank, items, c->seed, STREAM_ITEMS);
    struct ccz_seeded rnd = ccz_seeded_from(c->seed, STREAM_TOPICS);
    for (uint32_t t = 0; t < c->topics; t++) {
        float *chance = s->chance + (size_t)t * items;
        double sum = 0;
        for (uint32_t i = 0; i < items; i++) {
            const double popular = pow((double)rank[i] + 1, -c->item_skew);
            chance[i] = (float)(popular * (ccz_seeded_gamma(&rnd, c->liking) + 1e-6));
            sum += (double)chance[i];
        }
        for (uint32_t i = 0; i < items; i++)
            chance[i] = (float)((double)chance[i] / sum);
        make_alias(s->keep + (size_t)t * items, s->other + (size_t)t * items, chance, work, items);
    }
    free(rank);
    free(work);
    rnd = ccz_seeded_from(c->seed, STREAM_OPINIONS);
    for (uint32_t i = 0; i < items; i++) {
        s->item_bias[i] = (float)(ITEM_DEV * ccz_seeded_normal(&rnd));
        for (uint32_t t = 0; t < c->topics; t++)
            s->opinion[(size_t)i * c->topics + t] =
                c->implicit ? 0 : (float)(OPINION * ccz_seeded_normal(&rnd));
    }
    return CCZ_OK;
}

ccz_rc ccz_recsys_synth_new(struct ccz_recsys_synth **out, const struct ccz_recsys_synth_cfg *cfg,
                            struct ccz_err *err)
{
    *out = NULL;
    struct ccz_recsys_synth_cfg c = *cfg;
    ccz_rc rc = settle(&c, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_recsys_synth) s = calloc(1, sizeof(*s));
    if (!s)
        return cczi_recsys_no_memory(err);
    const uint64_t all = (uint64_t)c.topics * c.items;
    *s = (struct ccz_recsys_synth){.cfg = c,
                                   .start =
                                       cczi_recsys_alloc((uint64_t)c.users + 1, sizeof(*s->start)),
                                   .chance = cczi_recsys_alloc(all, sizeof(*s->chance)),
                                   .keep = cczi_recsys_alloc(all, sizeof(*s->keep)),
                                   .other = cczi_recsys_alloc(all, sizeof(*s->other)),
                                   .opinion = cczi_recsys_alloc(all, sizeof(*s->opinion)),
                                   .item_bias = cczi_recsys_alloc(c.items, sizeof(*s->item_bias))};
    if (!s->start || !s->chance || !s->keep || !s->other || !s->opinion || !s->item_bias)
        return cczi_recsys_no_memory(err);
    rc = share_out(s, err);
    if (rc == CCZ_OK)
        rc = make_topics(s, err);
    if (rc == CCZ_OK)
        *out = ccz_recsys_synth_take(&s);
    return rc;
}

/* ------------------------------------------------------------------------------------------- users */

/* The first that is drawn for a user: his taste [topics] and bias. */
static void taste_of(float *taste, float *bias, const struct ccz_recsys_synth *s,
                     struct ccz_seeded *rnd)
{
    double sum = 0, g[TOPICS_MAX];
    for (uint32_t t = 0; t < s->cfg.topics; t++) {
        g[t] = ccz_seeded_gamma(rnd, s->cfg.taste);
        sum += g[t];
    }
    for (uint32_t t = 0; t < s->cfg.topics; t++)
        taste[t] = sum > 0 ? (float)(g[t] / sum) : 1 / (float)s->cfg.topics;
    *bias = (float)(USER_DEV * ccz_seeded_normal(rnd));
}

static struct ccz_seeded stream_of(const struct ccz_recsys_synth *s, uint32_t user)
{
    return ccz_seeded_from(s->cfg.seed, (uint64_t)STREAM_FIRST_USER + user);
}

/* What is reused from user to user. */
struct pen {
    const struct ccz_recsys_synth *s;
    uint64_t *has; /* bits of items */
    float taste[TOPICS_MAX];
    float bias;
};

static bool take(struct pen *p, uint32_t item)
{
    const uint64_t bit = (uint64_t)1 << (item % 64);
    if (p->has[item / 64] & bit)
        return false;
    p->has[item / 64] |= bit;
    return true;
}

static uint32_t draw_item(struct pen *p, struct ccz_seeded *rnd)
{
    const struct ccz_recsys_synth *s = p->s;
    const uint32_t items = s->cfg.items;
    for (int tries = 0; tries < REJECTED_MAX; tries++) {
        double at = ccz_seeded_unit(rnd);
        uint32_t t = 0;
        for (; t + 1 < s->cfg.topics && at >= (double)p->taste[t]; t++)
            at -= (double)p->taste[t];
        const size_t row = (size_t)t * items, place = row + ccz_seeded_below(rnd, items);
        const uint32_t item = ccz_seeded_unit(rnd) < (double)s->keep[place]
                                  ? (uint32_t)(place - row)
                                  : s->other[place];
        if (take(p, item))
            return item;
    }
    uint32_t item = (uint32_t)ccz_seeded_below(rnd, items);
    while (!take(p, item))
        item = item + 1 < items ? item + 1 : 0;
    return item;
}

static float draw_value(const struct pen *p, uint32_t item, struct ccz_seeded *rnd)
{
    const struct ccz_recsys_synth *s = p->s;
    if (s->cfg.implicit) { /* geometric: how often */
        const double more = log(ccz_seeded_unit(rnd)) / log(0.5);
        return 1 + (float)floor(more);
    }
    double v = MEAN + (double)p->bias + (double)s->item_bias[item];
    for (uint32_t t = 0; t < s->cfg.topics; t++)
        v += (double)(p->taste[t] - 1 / (float)s->cfg.topics) *
             (double)s->opinion[(size_t)item * s->cfg.topics + t];
    v += s->cfg.noise * ccz_seeded_normal(rnd);
    return (float)(s->cfg.stars ? fmin(fmax(round(v), 1), 5) : v);
}

/* Into out[0 .. len - 1] of each array. */
static void write_user(struct pen *p, uint32_t user, uint32_t *users, uint32_t *item, float *value,
                       int64_t *time)
{
    const struct ccz_recsys_synth *s = p->s;
    const size_t len = (size_t)(s->start[user + 1] - s->start[user]);
    struct ccz_seeded rnd = stream_of(s, user);
    taste_of(p->taste, &p->bias, s, &rnd);
    int64_t now = START_S + (int64_t)ccz_seeded_below(&rnd, SPAN_S);
    for (size_t i = 0; i < len; i++) {
        users[i] = user;
        item[i] = draw_item(p, &rnd);
        value[i] = draw_value(p, item[i], &rnd);
        time[i] = now;
        now += 1 + (int64_t)(-log(ccz_seeded_unit(&rnd)) * GAP_S);
    }
    for (size_t i = 0; i < len; i++)
        p->has[item[i] / 64] = 0;
}

static ccz_rc pen_new(struct pen *p, const struct ccz_recsys_synth *s, struct ccz_err *err)
{
    *p = (struct pen){
        .s = s, .has = cczi_recsys_alloc(((uint64_t)s->cfg.items + 63) / 64, sizeof(*p->has))};
    return p->has ? CCZ_OK : cczi_recsys_no_memory(err);
}

ccz_rc ccz_recsys_synth_each(const struct ccz_recsys_synth *s, uint32_t from, uint32_t len,
                             ccz_recsys_ratings_fn fn, void *arg, struct ccz_err *err)
{
    struct pen p;
    uint64_t most = 0;
    if (from > s->cfg.users || len > s->cfg.users - from)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:user", (int64_t)from + len, s->cfg.users);
    for (uint32_t u = from; u < from + len; u++)
        most = s->start[u + 1] - s->start[u] > most ? s->start[u + 1] - s->start[u] : most;
    struct ccz_recsys_ratings r;
    ccz_rc rc = ccz_recsys_ratings_init(&r, s->cfg.users, s->cfg.items, most, true, err);
    if (rc != CCZ_OK)
        return rc;
    rc = pen_new(&p, s, err);
    for (uint32_t u = from; rc == CCZ_OK && u < from + len; u++) {
        r.len = s->start[u + 1] - s->start[u];
        write_user(&p, u, r.user, r.item, r.value, r.time);
        rc = fn(arg, &r, err);
    }
    r.len = most;
    free(p.has);
    ccz_recsys_ratings_deinit(&r);
    return rc;
}

struct all {
    const struct ccz_recsys_synth *s;
    struct ccz_recsys_ratings *r;
};

static ccz_rc some_users(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    const struct all *a = arg;
    struct pen p;
    ccz_rc rc = pen_new(&p, a->s, err);
    for (size_t u = from; rc == CCZ_OK && u < from + len; u++) {
        const uint64_t at = a->s->start[u];
        write_user(&p, (uint32_t)u, a->r->user + at, a->r->item + at, a->r->value + at,
                   a->r->time + at);
    }
    free(p.has);
    return rc;
}

ccz_rc ccz_recsys_synth_ratings(struct ccz_recsys_ratings *out, const struct ccz_recsys_synth *s,
                                unsigned threads, struct ccz_err *err)
{
    struct all a = {.s = s, .r = out};
    ccz_rc rc = ccz_recsys_ratings_init(out, s->cfg.users, s->cfg.items, s->cfg.ratings, true, err);
    if (rc != CCZ_OK)
        return rc;
    rc = ccz_parallel(some_users, &a, s->cfg.users, 1, threads, err);
    if (rc != CCZ_OK)
        ccz_recsys_ratings_deinit(out);
    return rc;
}

/* -------------------------------------------------------------------------------------------- truth */

ccz_rc ccz_recsys_synth_truth(struct ccz_recsys_model **out, const struct ccz_recsys_synth *s,
                              bool values, struct ccz_err *err)
{
    const struct ccz_recsys_synth_cfg *c = &s->cfg;
    CCZ_AUTO(ccz_recsys_model) m = calloc(1, sizeof(*m));
    *out = NULL;
    if (!m)
        return cczi_recsys_no_memory(err);
    ccz_rc rc = ccz_recsys_factors_init(&m->user, c->users, c->topics, values, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_factors_init(&m->item, c->items, c->topics, values, err);
    if (rc != CCZ_OK)
        return rc;
    m->mean = values ? (float)MEAN : 0;
    for (uint32_t u = 0; u < c->users; u++) {
        struct ccz_seeded rnd = stream_of(s, u);
        float bias, *x = ccz_recsys_row(&m->user, u);
        taste_of(x, &bias, s, &rnd);
        if (values)
            m->user.bias[u] = bias;
        for (uint32_t t = 0; values && t < c->topics; t++)
            x[t] -= 1 / (float)c->topics;
    }
    for (uint32_t i = 0; i < c->items; i++) {
        float *y = ccz_recsys_row(&m->item, i);
        for (uint32_t t = 0; t < c->topics; t++)
            y[t] = values ? s->opinion[(size_t)i * c->topics + t]
                          : s->chance[(size_t)t * c->items + i] * (float)c->items;
        if (values)
            m->item.bias[i] = s->item_bias[i];
    }
    *out = ccz_recsys_model_take(&m);
    return CCZ_OK;
}
