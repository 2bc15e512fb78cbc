/* SPDX-License-Identifier: Apache-2.0 */
/* Trials over a grid or drawn at random, with two ways to end one early. What is trained and how it is judged is the caller's. */
#include "eval_priv.h"

#include <cczoo/dataset.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MEDIAN_FROM = 3 }; /* earlier trials that a median needs */

struct hunt {
    const struct ccz_recsys_search_ops *ops;
    const struct ccz_recsys_search_cfg *cfg;
    uint32_t steps, every;
    struct ccz_recsys_search *out;
    double *room; /* [trials] of medians */
};

/* ------------------------------------------------------------------------------------------ points */

static ccz_rc check_dim(const struct ccz_recsys_dim *d, size_t i, bool grid, struct ccz_err *err)
{
    const char *name = d->name ? d->name : "?";
    if (d->value ? d->value_len == 0 : grid)
        return ccz_fail(err, CCZ_E_ARG, "recsys:dim", (int64_t)i, "%s has no values to try", name);
    for (size_t v = 0; d->value && v < d->value_len; v++)
        if (!isfinite(d->value[v]))
            return ccz_fail(err, CCZ_E_ARG, "recsys:dim", (int64_t)i, "%s: value %zu is not finite",
                            name, v);
    if (!d->value &&
        !(isfinite(d->low) && isfinite(d->high) && d->low <= d->high && (!d->log || d->low > 0)))
        return ccz_fail(err, CCZ_E_ARG, "recsys:dim", (int64_t)i,
                        "%s: expected a range from low to high, above 0 if it is logarithmic",
                        name);
    return CCZ_OK;
}

/* Trials; 0 if they are too many. */
static uint64_t trials_of(const struct ccz_recsys_search_cfg *cfg)
{
    uint64_t all = cfg->trials ? cfg->trials : 1;
    for (size_t i = 0; !cfg->trials && i < cfg->dims_len && all <= CCZ_RECSYS_TRIALS_MAX; i++)
        all = cfg->dim[i].value_len > CCZ_RECSYS_TRIALS_MAX ? CCZ_RECSYS_TRIALS_MAX + 1
                                                            : all * cfg->dim[i].value_len;
    return all;
}

static ccz_rc check(const struct ccz_recsys_search_cfg *cfg, struct ccz_err *err)
{
    if (cfg->dims_len == 0 || cfg->dims_len > CCZ_RECSYS_DIMS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "recsys:search", (int64_t)cfg->dims_len,
                              CCZ_RECSYS_DIMS_MAX);
    if (!(cfg->gain >= 0) || !isfinite(cfg->gain))
        return ccz_refuse(err, CCZ_E_ARG, "recsys:search", "a negative gain", "0 or more");
    for (size_t i = 0; i < cfg->dims_len; i++) {
        ccz_rc rc = check_dim(&cfg->dim[i], i, cfg->trials == 0, err);
        if (rc != CCZ_OK)
            return rc;
    }
    if (cfg->steps > CCZ_RECSYS_STEPS_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "recsys:steps", cfg->steps, CCZ_RECSYS_STEPS_MAX);
    if (trials_of(cfg) > CCZ_RECSYS_TRIALS_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "recsys:trials", (int64_t)trials_of(cfg),
                              CCZ_RECSYS_TRIALS_MAX);
    return CCZ_OK;
}

static double draw(const struct ccz_recsys_dim *d, struct ccz_seeded *rnd)
{
    if (d->value)
        return d->value[ccz_seeded_below(rnd, d->value_len)];
    const double at = ccz_seeded_unit(rnd);
    const double v = d->log ? exp(log(d->low) + at * (log(d->high) - log(d->low)))
                            : d->low + at * (d->high - d->low);
    const double within = fmin(fmax(v, d->low), d->high);
    return d->integer ? round(within) : within;
}

static void point(double *value, const struct ccz_recsys_search_cfg *cfg, uint64_t trial)
{
    struct ccz_seeded rnd = ccz_seeded_from(cfg->seed, trial);
    for (size_t i = cfg->dims_len; i > 0; i--) {
        const struct ccz_recsys_dim *d = &cfg->dim[i - 1];
        if (cfg->trials)
            value[i - 1] = draw(d, &rnd);
        else {
            value[i - 1] = d->value[trial % d->value_len];
            trial /= d->value_len;
        }
    }
}

/* ------------------------------------------------------------------------------------------ a trial */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Below the median of what earlier trials had reached by their judgement `at` (those that ended before count with their best). */
static bool is_behind(const struct hunt *h, double best, uint32_t at)
{
    const size_t len = h->out->len;
    if (!h->cfg->median_stop || len < MEDIAN_FROM)
        return false;
    for (size_t i = 0; i < len; i++) {
        const struct ccz_recsys_trial *t = &h->out->trial[i];
        double reached = -INFINITY;
        for (uint32_t j = 0; j < t->curve_len && j <= at; j++)
            reached = fmax(reached, t->curve[j]);
        h->room[i] = reached;
    }
    qsort(h->room, len, sizeof(*h->room), by_value);
    return best < (h->room[(len - 1) / 2] + h->room[len / 2]) / 2;
}

/* True: the trial ends. */
static bool judged(struct hunt *h, struct ccz_recsys_trial *t, double metric, double *mark,
                   uint32_t *waited)
{
    t->curve[t->curve_len++] = metric;
    if (t->curve_len == 1 || metric > t->best) {
        t->best = metric;
        t->best_step = t->steps;
    }
    if (t->curve_len == 1 || metric > *mark + h->cfg->gain) {
        *mark = metric;
        *waited = 0;
    } else
        (*waited)++;
    if (t->steps == h->steps)
        return true;
    if (h->cfg->patience > 0 && *waited >= h->cfg->patience) {
        t->ended = CCZ_RECSYS_ENDED_PATIENCE;
        return true;
    }
    if (is_behind(h, t->best, t->curve_len - 1)) {
        t->ended = CCZ_RECSYS_ENDED_BEHIND;
        return true;
    }
    return false;
}

static ccz_rc run(struct hunt *h, struct ccz_recsys_trial *t, void *state, struct ccz_err *err)
{
    double mark = 0;
    uint32_t waited = 0;
    bool done = false;
    while (!done) {
        double metric = NAN;
        ccz_rc rc = h->ops->step(state, ++t->steps, err);
        if (rc != CCZ_OK)
            return rc;
        if (t->steps % h->every != 0 && t->steps != h->steps)
            continue;
        rc = h->ops->judge(&metric, state, err);
        if (rc != CCZ_OK)
            return rc;
        if (!isfinite(metric))
            return ccz_fail(err, CCZ_E_ARG, "recsys:metric", (int64_t)h->out->len,
                            "trial %zu, step %u: a judgement is not a finite number", h->out->len,
                            t->steps);
        done = judged(h, t, metric, &mark, &waited);
    }
    return CCZ_OK;
}

static ccz_rc trial(struct hunt *h, uint64_t i, struct ccz_err *err)
{
    struct ccz_recsys_trial *t = &h->out->trial[i];
    void *state = NULL;
    t->curve = calloc(h->steps / h->every + 1, sizeof(*t->curve));
    if (!t->curve)
        return cczi_recsys_no_memory(err);
    point(t->value, h->cfg, i);
    ccz_rc rc = h->ops->begin(&state, h->ops->arg, t->value, err);
    if (rc != CCZ_OK)
        return rc;
    rc = run(h, t, state, err);
    if (h->ops->end)
        h->ops->end(state);
    return rc;
}

ccz_rc ccz_recsys_search(struct ccz_recsys_search *out, const struct ccz_recsys_search_ops *ops,
                         const struct ccz_recsys_search_cfg *cfg, struct ccz_err *err)
{
    *out = (struct ccz_recsys_search){0};
    ccz_rc rc = check(cfg, err);
    if (rc != CCZ_OK)
        return rc;
    const uint64_t trials = trials_of(cfg);
    struct hunt h = {.ops = ops,
                     .cfg = cfg,
                     .steps = cfg->steps ? cfg->steps : 1,
                     .every = cfg->every ? cfg->every : 1,
                     .out = out,
                     .room = calloc(trials, sizeof(double))};
    struct ccz_recsys_trial *all = calloc(trials, sizeof(*all));
    out->trial = all;
    rc = all && h.room ? CCZ_OK : cczi_recsys_no_memory(err);
    for (uint64_t i = 0; rc == CCZ_OK && i < trials; i++) {
        rc = trial(&h, i, err);
        out->len++; /* what begins is freed, however it ends */
        if (rc == CCZ_OK && all[i].best > all[out->best].best)
            out->best = i;
        if (rc == CCZ_OK && cfg->on_trial && !cfg->on_trial(cfg->on_trial_arg, i, &all[i]))
            break;
    }
    free(h.room);
    if (rc != CCZ_OK)
        ccz_recsys_search_deinit(out);
    return rc;
}

void ccz_recsys_search_deinit(struct ccz_recsys_search *s)
{
    for (size_t i = 0; i < s->len; i++)
        free(s->trial[i].curve);
    free(s->trial);
    *s = (struct ccz_recsys_search){0};
}
