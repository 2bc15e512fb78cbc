/* SPDX-License-Identifier: Apache-2.0 */
/* What is trained on and what is held out. */
#include "eval_priv.h"

#include <cczoo/dataset.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SHARE 0.2

/* Where each rating goes. */
enum { TRAIN, TEST, OUT };

struct parts {
    const struct ccz_recsys_ratings *in;
    const struct ccz_recsys_split_cfg *cfg;
    struct ccz_recsys_split *info;
    uint8_t *part; /* [len] */
};

static ccz_rc check(const struct ccz_recsys_ratings *r, const struct ccz_recsys_split_cfg *cfg,
                    struct ccz_err *err)
{
    const bool timed = cfg->kind == CCZ_RECSYS_SPLIT_TIME || cfg->kind == CCZ_RECSYS_SPLIT_LAST;
    if (timed && !r->time && r->len > 0)
        return ccz_refuse(err, CCZ_E_ARG, "recsys:time", "ratings without times",
                          "times, or another kind of split");
    if (!(cfg->share >= 0 && cfg->share < 1))
        return ccz_refuse(err, CCZ_E_ARG, "recsys:share", "a share out of range",
                          "between 0 and 1");
    ccz_rc rc = CCZ_OK;
    for (uint64_t i = 0; rc == CCZ_OK && i < r->len; i++)
        rc = cczi_recsys_check_rating(r, i, err);
    return rc;
}

/* ------------------------------------------------------------------------------------- who goes where */

static int by_number(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static ccz_rc by_time(struct parts *p, double share, struct ccz_err *err)
{
    const uint64_t len = p->in->len;
    int64_t from = p->cfg->from_s;
    if (from == 0 && len > 0) {
        int64_t *time = cczi_recsys_alloc(len, sizeof(*time));
        if (!time)
            return cczi_recsys_no_memory(err);
        memcpy(time, p->in->time, len * sizeof(*time));
        qsort(time, len, sizeof(*time), by_number);
        const uint64_t test = (uint64_t)llround(share * (double)len);
        from = time[test > 0 ? len - test : len - 1];
        cczi_recsys_wipe_free(time, len * sizeof(*time));
    }
    for (uint64_t i = 0; i < len; i++)
        p->part[i] = p->in->time[i] >= from ? TEST : TRAIN;
    p->info->from_s = from;
    return CCZ_OK;
}

static void at_random(struct parts *p, double share)
{
    struct ccz_seeded rnd = ccz_seeded_from(p->cfg->seed, 0);
    for (uint64_t i = 0; i < p->in->len; i++)
        p->part[i] = ccz_seeded_unit(&rnd) < share ? TEST : TRAIN;
}

struct moment {
    int64_t time;
    size_t place;
};

static int by_moment(const void *a, const void *b)
{
    const struct moment *x = a, *y = b;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

/* The last of a user's ratings, or some of them; m [len] is all of them in order of place. */
static void leave_out(struct parts *p, uint32_t user, struct moment *m, size_t len)
{
    const size_t leave = p->cfg->leave ? p->cfg->leave : 1,
                 remain = p->cfg->remain ? p->cfg->remain : 1;
    if (len == 0)
        return;
    if (len < leave + remain) {
        p->info->users_kept++;
        return;
    }
    if (p->cfg->kind == CCZ_RECSYS_SPLIT_LAST)
        qsort(m, len, sizeof(*m), by_moment);
    else {
        struct ccz_seeded rnd = ccz_seeded_from(p->cfg->seed, user);
        for (size_t i = 0; i < leave; i++) { /* drawn to the end */
            struct moment *a = &m[len - 1 - i], *b = &m[ccz_seeded_below(&rnd, len - i)], swap = *a;
            *a = *b;
            *b = swap;
        }
    }
    for (size_t i = len - leave; i < len; i++)
        p->part[m[i].place] = TEST;
}

static ccz_rc by_user(struct parts *p, struct ccz_err *err)
{
    const struct ccz_recsys_ratings *r = p->in;
    uint64_t *start = cczi_recsys_alloc((uint64_t)r->users + 1, sizeof(*start));
    struct moment *m = cczi_recsys_alloc(r->len, sizeof(*m));
    if (!start || !m) {
        free(start);
        free(m);
        return cczi_recsys_no_memory(err);
    }
    for (uint64_t i = 0; i < r->len; i++)
        start[r->user[i] + 1]++;
    for (uint32_t u = 0; u < r->users; u++)
        start[u + 1] += start[u];
    for (uint64_t i = 0; i < r->len; i++) /* start[u] becomes the end of user u */
        m[start[r->user[i]]++] = (struct moment){.time = r->time ? r->time[i] : 0, .place = i};
    for (uint32_t u = 0; u < r->users; u++) {
        const uint64_t from = u > 0 ? start[u - 1] : 0;
        leave_out(p, u, m + from, start[u] - from);
    }
    cczi_recsys_wipe_free(start, ((size_t)r->users + 1) * sizeof(*start));
    cczi_recsys_wipe_free(m, r->len * sizeof(*m));
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------- copies, and what is left out */

static ccz_rc copy(struct ccz_recsys_ratings *out, const struct parts *p, uint8_t part,
                   struct ccz_err *err)
{
    const struct ccz_recsys_ratings *r = p->in;
    uint64_t len = 0;
    for (uint64_t i = 0; i < r->len; i++)
        len += p->part[i] == part;
    ccz_rc rc = ccz_recsys_ratings_init(out, r->users, r->items, len, r->time != NULL, err);
    if (rc != CCZ_OK)
        return rc;
    len = 0;
    for (uint64_t i = 0; i < r->len; i++) {
        if (p->part[i] != part)
            continue;
        out->user[len] = r->user[i];
        out->item[len] = r->item[i];
        out->value[len] = r->value[i];
        if (r->time)
            out->time[len] = r->time[i];
        len++;
    }
    return CCZ_OK;
}

/* Test ratings that nobody could predict, or that are known already. */
static ccz_rc leave_away(struct parts *p, const struct ccz_recsys_ratings *train,
                         struct ccz_err *err)
{
    const struct ccz_recsys_ratings *r = p->in;
    CCZ_AUTO(ccz_recsys_csr) rows = NULL;
    ccz_rc rc = ccz_recsys_csr_new(&rows, train, CCZ_RECSYS_TWICE_LAST, err);
    uint8_t *known = cczi_recsys_alloc(r->items, 1);
    if (rc == CCZ_OK && !known)
        rc = cczi_recsys_no_memory(err);
    for (uint64_t i = 0; rc == CCZ_OK && i < rows->len; i++)
        known[rows->col[i]] = 1;
    for (uint64_t i = 0; rc == CCZ_OK && i < r->len; i++) {
        const uint32_t u = r->user[i];
        if (p->part[i] != TEST)
            continue;
        if (p->cfg->drop_cold && (rows->start[u] == rows->start[u + 1] || !known[r->item[i]])) {
            p->part[i] = OUT;
            p->info->cold++;
        } else if (!p->cfg->keep_seen && cczi_recsys_has(rows, u, r->item[i])) {
            p->part[i] = OUT;
            p->info->seen++;
        }
    }
    cczi_recsys_wipe_free(known, r->items);
    return rc;
}

static ccz_rc count_up(const struct parts *p, const struct ccz_recsys_ratings *train,
                       const struct ccz_recsys_ratings *test, struct ccz_err *err)
{
    int64_t newest = INT64_MIN;
    uint8_t *has = cczi_recsys_alloc(p->in->users, 1);
    if (!has)
        return cczi_recsys_no_memory(err);
    p->info->train = train->len;
    p->info->test = test->len;
    for (uint64_t i = 0; train->time && i < train->len; i++)
        newest = train->time[i] > newest ? train->time[i] : newest;
    for (uint64_t i = 0; i < test->len; i++) {
        p->info->users += !has[test->user[i]];
        has[test->user[i]] = 1;
        if (test->time && test->time[i] < newest)
            p->info->test_before_train++;
    }
    cczi_recsys_wipe_free(has, p->in->users);
    return CCZ_OK;
}

static ccz_rc split(struct ccz_recsys_ratings *train, struct ccz_recsys_ratings *test,
                    struct parts *p, struct ccz_err *err)
{
    const double share = p->cfg->share > 0 ? p->cfg->share : SHARE;
    ccz_rc rc = CCZ_OK;
    switch (p->cfg->kind) {
    case CCZ_RECSYS_SPLIT_TIME:
        rc = by_time(p, share, err);
        break;
    case CCZ_RECSYS_SPLIT_RANDOM:
        at_random(p, share);
        break;
    case CCZ_RECSYS_SPLIT_LAST:
    case CCZ_RECSYS_SPLIT_LEAVE:
        rc = by_user(p, err);
        break;
    }
    if (rc == CCZ_OK)
        rc = copy(train, p, TRAIN, err);
    if (rc == CCZ_OK)
        rc = leave_away(p, train, err);
    if (rc == CCZ_OK)
        rc = copy(test, p, TEST, err);
    return rc == CCZ_OK ? count_up(p, train, test, err) : rc;
}

ccz_rc ccz_recsys_split(struct ccz_recsys_ratings *train, struct ccz_recsys_ratings *test,
                        struct ccz_recsys_split *info, const struct ccz_recsys_ratings *in,
                        const struct ccz_recsys_split_cfg *cfg, struct ccz_err *err)
{
    struct ccz_recsys_split own;
    struct parts p = {.in = in, .cfg = cfg, .info = info ? info : &own};
    *train = (struct ccz_recsys_ratings){0};
    *test = (struct ccz_recsys_ratings){0};
    *p.info = (struct ccz_recsys_split){0};
    ccz_rc rc = check(in, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    p.part = cczi_recsys_alloc(in->len, 1);
    if (!p.part)
        return cczi_recsys_no_memory(err);
    rc = split(train, test, &p, err);
    cczi_recsys_wipe_free(p.part, in->len);
    if (rc != CCZ_OK) {
        ccz_recsys_ratings_deinit(train);
        ccz_recsys_ratings_deinit(test);
        *p.info = (struct ccz_recsys_split){0};
    }
    return rc;
}
