/* SPDX-License-Identifier: Apache-2.0 */
/* Searches over functions whose best place is known. */
#include "eval_kit.h"
#include "refused.h"

enum { TRIALS_MAX = 64 };

/* metric = -(x - 3)^2 - (y - 0.1)^2 + what steps add: `rise` up to step `peak`, then less again. */
struct hill {
    uint32_t peak;
    size_t begun, ended, steps, judged;
    double x[TRIALS_MAX], y[TRIALS_MAX];
    uint32_t fail_step; /* 0: never */
    bool fail_begin, nan;
    uint32_t stop_after;
};
struct climb {
    struct hill *h;
    double x, y;
    uint32_t step;
};

static ccz_rc begin(void **run, void *arg, const double *value, struct ccz_err *err)
{
    struct hill *h = arg;
    struct climb *c;
    if (h->fail_begin)
        return ccz_fail(err, CCZ_E_IO, "hill:begin", 0, "as told");
    c = calloc(1, sizeof(*c));
    CHECK(c && h->begun < TRIALS_MAX);
    *c = (struct climb){.h = h, .x = value[0], .y = value[1]};
    h->x[h->begun] = value[0];
    h->y[h->begun++] = value[1];
    *run = c;
    return CCZ_OK;
}

static ccz_rc step(void *run, uint32_t n, struct ccz_err *err)
{
    struct climb *c = run;
    CHECK(n == c->step + 1);
    c->step = n;
    c->h->steps++;
    return n == c->h->fail_step ? ccz_fail(err, CCZ_E_IO, "hill:step", n, "as told") : CCZ_OK;
}

static ccz_rc judge(double *metric, void *run, struct ccz_err *err)
{
    const struct climb *c = run;
    (void)err;
    const double up = c->step < c->h->peak ? c->step : c->h->peak,
                 down = c->step > c->h->peak ? c->step - c->h->peak : 0;
    c->h->judged++;
    *metric = c->h->nan ? (double)NAN
                        : up - 0.5 * down - (c->x - 3) * (c->x - 3) - (c->y - 0.1) * (c->y - 0.1);
    return CCZ_OK;
}

static void end(void *run)
{
    struct climb *c = run;
    c->h->ended++;
    free(c);
}

static struct ccz_recsys_search_ops ops_of(struct hill *h)
{
    return (struct ccz_recsys_search_ops){
        .arg = h, .begin = begin, .step = step, .judge = judge, .end = end};
}

static const double xs[] = {1, 2, 3, 4}, ys[] = {0, 0.1, 5};
static const struct ccz_recsys_dim grid_dims[] = {{.name = "x", .value = xs, .value_len = 4},
                                                  {.name = "y", .value = ys, .value_len = 3}};

static void grid(void)
{
    struct hill h = {.peak = 5};
    const struct ccz_recsys_search_ops ops = ops_of(&h);
    const struct ccz_recsys_search_cfg cfg = {.dim = grid_dims, .dims_len = 2, .steps = 8};
    struct ccz_recsys_search s;
    CHECK(ccz_recsys_search(&s, &ops, &cfg, NULL) == CCZ_OK);
    CHECK(s.len == 12 && h.begun == 12 && h.ended == 12 && h.steps == 12 * 8 && h.judged == 12 * 8);
    for (size_t i = 0; i < 12; i++) { /* the last parameter fastest */
        const struct ccz_recsys_trial *t = &s.trial[i];
        CHECK(t->value[0] == xs[i / 3] && t->value[1] == ys[i % 3]);
        CHECK(t->best_step == 5 && t->steps == 8 && t->ended == CCZ_RECSYS_ENDED_STEPS &&
              t->curve_len == 8 && t->curve[4] == t->best);
    }
    CHECK(s.best == 7 && s.trial[7].best == 5);
    ccz_recsys_search_deinit(&s);
    CHECK(s.len == 0 && !s.trial);
}

/* Of equal trials the earlier; judged every third step and at the end. */
static void ties_and_steps(void)
{
    static const double same[] = {2, 4, 2};
    const struct ccz_recsys_dim dims[] = {{.name = "x", .value = same, .value_len = 3},
                                          {.name = "y", .value = ys, .value_len = 1}};
    struct hill h = {.peak = 100};
    const struct ccz_recsys_search_ops ops = ops_of(&h);
    const struct ccz_recsys_search_cfg cfg = {.dim = dims, .dims_len = 2, .steps = 8, .every = 3};
    struct ccz_recsys_search s;
    CHECK(ccz_recsys_search(&s, &ops, &cfg, NULL) == CCZ_OK);
    CHECK(s.best == 0 && s.trial[1].best == s.trial[0].best);
    CHECK(h.judged == 9 && s.trial[2].curve_len == 3 && s.trial[2].best_step == 8);
    ccz_recsys_search_deinit(&s);
}

static void at_random(void)
{
    const struct ccz_recsys_dim dims[] = {{.name = "x", .low = 1, .high = 9, .integer = true},
                                          {.name = "y", .low = 1e-4, .high = 1, .log = true}};
    struct hill h = {.peak = 1}, again = {.peak = 1}, other = {.peak = 1};
    struct ccz_recsys_search_ops ops = ops_of(&h);
    struct ccz_recsys_search_cfg cfg = {.dim = dims, .dims_len = 2, .trials = 60, .seed = 5};
    struct ccz_recsys_search s;
    size_t low = 0;
    CHECK(ccz_recsys_search(&s, &ops, &cfg, NULL) == CCZ_OK);
    CHECK(s.len == 60 && h.steps == 60);
    for (size_t i = 0; i < 60; i++) {
        CHECK(h.x[i] >= 1 && h.x[i] <= 9 && h.x[i] == round(h.x[i]));
        CHECK(h.y[i] >= 1e-4 && h.y[i] <= 1);
        low += h.y[i] < 1e-2;
        CHECK(s.trial[i].best <= s.trial[s.best].best);
    }
    CHECK(low > 18 && low < 42 && s.trial[s.best].value[0] == 3);
    ccz_recsys_search_deinit(&s);
    ops = ops_of(&again);
    CHECK(ccz_recsys_search(&s, &ops, &cfg, NULL) == CCZ_OK);
    CHECK(memcmp(h.x, again.x, sizeof(h.x)) == 0 && memcmp(h.y, again.y, sizeof(h.y)) == 0);
    ccz_recsys_search_deinit(&s);
    cfg.seed++;
    ops = ops_of(&other);
    CHECK(ccz_recsys_search(&s, &ops, &cfg, NULL) == CCZ_OK);
    CHECK(memcmp(h.y, other.y, sizeof(h.y)) != 0);
    ccz_recsys_search_deinit(&s);
}

static void patience(void)
{
    struct hill h = {.peak = 5};
    const struct ccz_recsys_search_ops ops = ops_of(&h);
    struct ccz_recsys_search_cfg cfg = {
        .dim = grid_dims, .dims_len = 2, .steps = 50, .patience = 3};
    struct ccz_recsys_search s;
    CHECK(ccz_recsys_search(&s, &ops, &cfg, NULL) == CCZ_OK);
    for (size_t i = 0; i < s.len; i++)
        CHECK(s.trial[i].steps == 8 && s.trial[i].best_step == 5 &&
              s.trial[i].ended == CCZ_RECSYS_ENDED_PATIENCE);
    CHECK(s.best == 7);
    ccz_recsys_search_deinit(&s);
    cfg.gain = 1.5; /* steps of 1 are no gain alone: every second one is */
    cfg.patience = 2;
    CHECK(ccz_recsys_search(&s, &ops, &cfg, NULL) == CCZ_OK);
    CHECK(s.trial[0].steps == 7 && s.trial[0].best_step == 5);
    ccz_recsys_search_deinit(&s);
}

/* The fourth trial is the first that can be behind. */
static void median(void)
{
    static const double from_good[] = {3, 4, 2, 20, 3, 19};
    const struct ccz_recsys_dim dims[] = {{.name = "x", .value = from_good, .value_len = 6},
                                          {.name = "y", .value = ys, .value_len = 1}};
    struct hill h = {.peak = 10};
    const struct ccz_recsys_search_ops ops = ops_of(&h);
    const struct ccz_recsys_search_cfg cfg = {
        .dim = dims, .dims_len = 2, .steps = 10, .median_stop = true};
    struct ccz_recsys_search s;
    CHECK(ccz_recsys_search(&s, &ops, &cfg, NULL) == CCZ_OK);
    for (size_t i = 0; i < 6; i++) {
        const bool behind = i == 3 || i == 5;
        CHECK(s.trial[i].steps == (behind ? 1 : 10));
        CHECK(s.trial[i].ended == (behind ? CCZ_RECSYS_ENDED_BEHIND : CCZ_RECSYS_ENDED_STEPS));
    }
    CHECK(s.best == 0);
    ccz_recsys_search_deinit(&s);
}

static bool go_on(void *arg, size_t i, const struct ccz_recsys_trial *t)
{
    const struct hill *h = arg;
    CHECK(t->steps > 0 && h->ended == i + 1);
    return i + 1 < h->stop_after;
}

static void refuse(void)
{
    struct hill h = {.peak = 3, .stop_after = 5};
    const struct ccz_recsys_search_ops ops = ops_of(&h);
    struct ccz_recsys_search_cfg cfg = {
        .dim = grid_dims, .dims_len = 2, .steps = 4, .on_trial = go_on, .on_trial_arg = &h};
    struct ccz_recsys_search s;
    struct ccz_err err = {0};
    CHECK(ccz_recsys_search(&s, &ops, &cfg, &err) == CCZ_OK && s.len == 5);
    ccz_recsys_search_deinit(&s);
    cfg.on_trial = NULL;
    h = (struct hill){.peak = 3, .fail_step = 2};
    CHECK(is_refused(ccz_recsys_search(&s, &ops, &cfg, &err), CCZ_E_IO, &err, "hill:step"));
    CHECK(h.begun == 1 && h.ended == 1 && s.len == 0 && !s.trial);
    h = (struct hill){.peak = 3, .fail_begin = true};
    CHECK(is_refused(ccz_recsys_search(&s, &ops, &cfg, &err), CCZ_E_IO, &err, "hill:begin"));
    CHECK(h.ended == 0);
    h = (struct hill){.peak = 3, .nan = true};
    CHECK(is_refused(ccz_recsys_search(&s, &ops, &cfg, &err), CCZ_E_ARG, &err, "recsys:metric"));
    CHECK(h.ended == 1);
    h = (struct hill){.peak = 3};
    const double bad_value[] = {1, INFINITY};
    const struct ccz_recsys_dim dims[] = {{.name = "none"},
                                          {.name = "empty", .value = xs},
                                          {.name = "endless", .value = bad_value, .value_len = 2}};
    for (size_t i = 0; i < 3; i++) {
        cfg = (struct ccz_recsys_search_cfg){.dim = &dims[i], .dims_len = 1};
        CHECK(is_refused(ccz_recsys_search(&s, &ops, &cfg, &err), CCZ_E_ARG, &err, "recsys:dim"));
    }
    const struct ccz_recsys_dim ranges[] = {{.name = "falls", .low = 2, .high = 1},
                                            {.name = "log", .low = 0, .high = 1, .log = true},
                                            {.name = "nan", .low = NAN, .high = 1}};
    for (size_t i = 0; i < 3; i++) {
        cfg = (struct ccz_recsys_search_cfg){.dim = &ranges[i], .dims_len = 1, .trials = 2};
        CHECK(is_refused(ccz_recsys_search(&s, &ops, &cfg, &err), CCZ_E_ARG, &err, "recsys:dim"));
    }
    cfg = (struct ccz_recsys_search_cfg){0};
    CHECK(is_refused(ccz_recsys_search(&s, &ops, &cfg, &err), CCZ_E_ARG, &err, "recsys:search"));
    cfg = (struct ccz_recsys_search_cfg){.dim = grid_dims, .dims_len = 2, .gain = -1};
    CHECK(is_refused(ccz_recsys_search(&s, &ops, &cfg, &err), CCZ_E_ARG, &err, "recsys:search"));
    cfg = (struct ccz_recsys_search_cfg){
        .dim = grid_dims, .dims_len = 2, .steps = CCZ_RECSYS_STEPS_MAX + 1};
    CHECK(is_refused(ccz_recsys_search(&s, &ops, &cfg, &err), CCZ_E_LIMIT, &err, "recsys:steps"));
    cfg = (struct ccz_recsys_search_cfg){
        .dim = grid_dims, .dims_len = 2, .trials = CCZ_RECSYS_TRIALS_MAX + 1};
    CHECK(is_refused(ccz_recsys_search(&s, &ops, &cfg, &err), CCZ_E_LIMIT, &err, "recsys:trials"));
    CHECK(h.begun == 0);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"recsys.search_grid", grid},        {"recsys.search_ties", ties_and_steps},
        {"recsys.search_random", at_random}, {"recsys.search_patience", patience},
        {"recsys.search_median", median},    {"recsys.search_refuse", refuse}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
