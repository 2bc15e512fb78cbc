/* SPDX-License-Identifier: Apache-2.0 */
/* The simulation against arithmetic in doubles, and what the ways to split data and to bring weights have in common. */
#include "kit.h"
#include "mpcml/lr_priv.h"

static double sigmoid3(double z)
{
    return z < -0.5 ? 0 : z > 0.5 ? 1 : z + 0.5;
}

/* Rows of both parties as one table. */
struct table {
    size_t rows, columns;
    double *x, *y, *w; /* w[columns] is the intercept */
};

static struct table table_of(const struct kit_lr *k)
{
    const struct ccz_mpcml_lr_cfg *c = &k->cfg;
    const bool by_rows = c->split == CCZ_MPCML_ROWS;
    struct table t = {.rows = by_rows ? c->rows[0] + c->rows[1] : c->rows[0],
                      .columns = by_rows ? c->columns[0] : c->columns[0] + c->columns[1]};
    CHECK((t.x = calloc(t.rows * t.columns, sizeof(double))));
    CHECK((t.y = calloc(t.rows, sizeof(double))));
    CHECK((t.w = calloc(t.columns + 1, sizeof(double))));
    for (unsigned p = 0; p < 2; p++)
        for (size_t i = 0; i < c->rows[p]; i++) {
            const size_t row = i + (by_rows && p == 1 ? c->rows[0] : 0);
            const size_t column = by_rows || p == 0 ? 0 : c->columns[0];
            memcpy(t.x + row * t.columns + column, k->x[p] + i * c->columns[p],
                   c->columns[p] * sizeof(double));
            if (by_rows || p == c->labels)
                t.y[row] = k->y[p][i];
        }
    return t;
}

static void table_free(struct table *t)
{
    free(t->x);
    free(t->y);
    free(t->w);
}

/* One step with the rows given. */
static void sgd_step(struct table *t, const size_t *rows, size_t len,
                     const struct ccz_mpcml_lr_cfg *c)
{
    double g[64] = {0};
    const double each = c->rate / (double)c->batch;
    CHECK(t->columns < 64);
    for (size_t i = 0; i < len; i++) {
        const double *x = t->x + rows[i] * t->columns;
        double z = t->w[t->columns];
        for (size_t j = 0; j < t->columns; j++)
            z += x[j] * t->w[j];
        double e = (c->model == CCZ_MPCML_LINEAR ? z : sigmoid3(z)) - t->y[rows[i]];
        if (c->model == CCZ_MPCML_LINEAR)
            e = e < -c->clip ? -c->clip : e > c->clip ? c->clip : e;
        for (size_t j = 0; j < t->columns; j++)
            g[j] += x[j] * e;
        g[t->columns] += c->no_intercept ? 0 : e;
    }
    for (size_t j = 0; j <= t->columns; j++)
        t->w[j] -= each * g[j] + (j < t->columns ? c->rate * c->l2 * t->w[j] : 0);
}

/* Rows of batch i, by the rule that the header states. */
static size_t rows_of(size_t *out, const struct ccz_mpcml_lr_cfg *c, size_t batches, size_t i)
{
    size_t len = 0;
    if (c->split == CCZ_MPCML_COLUMNS) {
        for (size_t r = i * c->batch; r < (i + 1) * c->batch && r < c->rows[0]; r++)
            out[len++] = r;
        return len;
    }
    for (unsigned p = 0; p < 2; p++)
        for (size_t r = c->rows[p] * i / batches; r < c->rows[p] * (i + 1) / batches; r++)
            out[len++] = r + (p ? c->rows[0] : 0);
    return len;
}

/* Fixed point stays within `tolerance` of doubles, for trainings that do not amplify. */
static void against_doubles(const struct ccz_mpcml_lr_cfg *cfg, double tolerance)
{
    struct kit_lr k;
    int64_t words[64];
    size_t rows[256];
    kit_lr_init(&k, cfg, 11);
    struct table t = table_of(&k);
    const size_t batches = (t.rows + cfg->batch - 1) / cfg->batch;
    CHECK(t.rows <= 256);
    for (size_t e = 0; e < cfg->epochs; e++)
        for (size_t b = 0; b < batches; b++)
            sgd_step(&t, rows, rows_of(rows, cfg, batches, b), cfg);
    OK(ccz_mpcml_lr_simulate(words, NULL, cfg, k.data, e));
    const unsigned g = cfg->weight_frac ? cfg->weight_frac : 20;
    int exponent;
    double square = frexp(cfg->rate / (double)cfg->batch, &exponent);
    const double gain = square == 0.5 ? 1 : sqrt(square);
    for (size_t j = 0; j < ccz_mpcml_lr_weights_len(cfg); j++) {
        const double w = ldexp((double)words[j], -(int)g) * gain;
        if (!(fabs(w - t.w[j]) <= tolerance))
            fprintf(stderr, "weight %zu: got %.6f, expected %.6f\n", j, w, t.w[j]);
        CHECK(fabs(w - t.w[j]) <= tolerance);
    }
    CHECK(fabs(t.w[0]) > 20 * tolerance); /* something was learned */
    table_free(&t);
    kit_lr_free(&k);
}

static void test_doubles(void)
{
    static const struct ccz_mpcml_lr_cfg all[] = {
        {.rows = {100, 100}, .columns = {4, 5}, .batch = 32, .epochs = 3, .rate = 0.3},
        {.rows = {100, 100}, .columns = {4, 0}, .batch = 25, .epochs = 3, .rate = 0.390625},
        {.rows = {90, 90},
         .columns = {4, 5},
         .labels = 1,
         .batch = 32,
         .epochs = 3,
         .rate = 0.3,
         .l2 = 0.02},
        {.split = CCZ_MPCML_ROWS,
         .rows = {61, 40},
         .columns = {5, 5},
         .batch = 16,
         .epochs = 2,
         .rate = 0.2,
         .no_intercept = true,
         .weights = CCZ_MPCML_WEIGHTS_TO_BOTH},
        {.model = CCZ_MPCML_LINEAR,
         .rows = {100, 100},
         .columns = {4, 5},
         .batch = 20,
         .epochs = 3,
         .rate = 0.2,
         .clip = 16},
        {.model = CCZ_MPCML_LINEAR,
         .rows = {100, 100},
         .columns = {4, 5},
         .batch = 20,
         .epochs = 3,
         .rate = 0.2,
         .clip = 0.3},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        against_doubles(&all[i], 2e-3);
}

/* The same rows in the same batches, split by rows and by columns: the same words. */
static void test_splits(void)
{
    enum { ROWS = 48, COLUMNS = 6, HALF = 4 };
    const struct ccz_mpcml_lr_cfg by_rows = {.split = CCZ_MPCML_ROWS,
                                             .rows = {ROWS / 2, ROWS / 2},
                                             .columns = {COLUMNS, COLUMNS},
                                             .batch = 2 * HALF,
                                             .epochs = 2,
                                             .rate = 0.5,
                                             .l2 = 0.01,
                                             .weights = CCZ_MPCML_WEIGHTS_TO_BOTH};
    struct ccz_mpcml_lr_cfg by_columns = by_rows;
    static double x[2][ROWS * COLUMNS / 2], y[ROWS];
    int64_t got[COLUMNS + 1], expected[COLUMNS + 1];
    struct kit_lr k;
    by_columns.split = CCZ_MPCML_COLUMNS;
    by_columns.rows[0] = by_columns.rows[1] = ROWS;
    by_columns.columns[0] = by_columns.columns[1] = COLUMNS / 2;
    kit_lr_init(&k, &by_rows, 4);
    for (size_t i = 0; i < ROWS; i++) { /* a batch has HALF rows of each */
        const unsigned p = i % (2 * HALF) >= HALF;
        const size_t at = i / (2 * HALF) * HALF + i % HALF;
        for (size_t j = 0; j < COLUMNS; j++)
            x[j >= COLUMNS / 2][i * (COLUMNS / 2) + j % (COLUMNS / 2)] = k.x[p][at * COLUMNS + j];
        y[i] = k.y[p][at];
    }
    const struct ccz_mpcml_lr_data data[2] = {{.x = x[0], .y = y}, {.x = x[1]}};
    OK(ccz_mpcml_lr_simulate(got, NULL, &by_rows, k.data, e));
    OK(ccz_mpcml_lr_simulate(expected, NULL, &by_columns, data, e));
    CHECK(memcmp(got, expected, sizeof(got)) == 0);
    kit_lr_free(&k);
}

/* ------------------------------------------------------------------------------------- scoring */

enum { SCORED = 11 };

/* Scores of both parties, who get them, against the simulation; the scores of party 0 go to `values`. */
static void scored(double *values, const struct ccz_mpcml_lr_cfg *cfg,
                   const struct ccz_mpcml_lr_data data[2])
{
    struct ccz_mpcml_lr *lr[2];
    struct kit_pair pair;
    int64_t expected[2 * SCORED];
    for (unsigned p = 0; p < 2; p++)
        OK(ccz_mpcml_lr_new(&lr[p], p, cfg, &data[p], e));
    kit_init(&pair, ccz_mpcml_lr_program(lr[0]), ccz_mpcml_lr_program(lr[1]), "ot");
    kit_run(&pair);
    OK(ccz_mpcml_lr_simulate(NULL, expected, cfg, data, e));
    for (unsigned p = 0; p < 2; p++) {
        const struct ccz_mpcml_lr_result r = ccz_mpcml_lr_result(lr[p]);
        kit_expect(&pair.p[p], CCZ_OK, "");
        CHECK(r.weights == NULL && r.share == NULL && r.scores_len == SCORED);
        CHECK(memcmp(r.score_words, expected, SCORED * sizeof(*expected)) == 0);
        if (p == 0)
            memcpy(values, r.scores, SCORED * sizeof(*values));
        CHECK(pair.p[p].reveals_len == 1 && pair.p[p].reveals[0].to == CCZ_MPC_TO_BOTH &&
              pair.p[p].reveals[0].len == SCORED);
    }
    kit_free(&pair);
    for (unsigned p = 0; p < 2; p++)
        ccz_mpcml_lr_free(lr[p]);
}

/* Weights of each, of one, or as shares: the same scores, and those of plain arithmetic. */
static void test_given(void)
{
    static const double w[5] = {0.5, -1.25, 0.75, 0.3, -0.1};
    const double own[2][3] = {{w[0], w[1], 0}, {w[2], w[3], w[4]}};
    struct ccz_mpcml_lr_cfg cfg = {.columns = {2, 2},
                                   .labels = 1,
                                   .score_rows = {SCORED, SCORED},
                                   .score_to = CCZ_MPC_TO_BOTH};
    double values[SCORED], other[SCORED], x[2][2 * SCORED];
    uint64_t share[2][5], state = 77;
    for (int i = 0; i < 2 * SCORED; i++) {
        x[0][i] = kit_real(&state);
        x[1][i] = kit_real(&state);
    }
    for (int j = 0; j < 5; j++) {
        share[0][j] = rnd(&state);
        share[1][j] = (uint64_t)llround(w[j] * (1 << 20)) - share[0][j];
    }
    struct ccz_mpcml_lr_data data[2] = {{.score_x = x[0], .weights = own[0]},
                                        {.score_x = x[1], .weights = own[1]}};
    scored(values, &cfg, data);
    for (int i = 0; i < SCORED; i++) {
        const double z = x[0][2 * i] * w[0] + x[0][2 * i + 1] * w[1] + x[1][2 * i] * w[2] +
                         x[1][2 * i + 1] * w[3] + w[4];
        CHECK(fabs(values[i] - sigmoid3(z)) < 1e-3);
    }
    for (unsigned by = 0; by < 2; by++) {
        cfg.given = by ? CCZ_MPCML_GIVEN_BY_1 : CCZ_MPCML_GIVEN_BY_0;
        data[by].weights = w;
        data[1 - by].weights = NULL;
        scored(other, &cfg, data);
        CHECK(memcmp(values, other, sizeof(values)) == 0);
    }
    cfg.given = CCZ_MPCML_GIVEN_SHARED;
    for (unsigned p = 0; p < 2; p++)
        data[p] = (struct ccz_mpcml_lr_data){.score_x = x[p], .share = share[p]};
    scored(other, &cfg, data);
    CHECK(memcmp(values, other, sizeof(values)) == 0);
    cfg.score = CCZ_MPCML_SCORE_CLASS;
    scored(other, &cfg, data);
    for (int i = 0; i < SCORED; i++)
        CHECK(other[i] == (values[i] >= 0.5));
    cfg.score = CCZ_MPCML_SCORE_LINEAR;
    scored(other, &cfg, data);
    for (int i = 0; i < SCORED; i++)
        CHECK(values[i] == sigmoid3(other[i]));
}

/* Shares that training left, in a session of their own: the scores of one run that does both. */
static void test_later(void)
{
    struct ccz_mpcml_lr_cfg both = {.rows = {30, 30},
                                    .columns = {3, 2},
                                    .batch = 10,
                                    .epochs = 2,
                                    .rate = 0.7,
                                    .weights = CCZ_MPCML_WEIGHTS_SHARED,
                                    .score_rows = {SCORED, SCORED},
                                    .score_to = CCZ_MPC_TO_BOTH};
    struct ccz_mpcml_lr_cfg later = both;
    struct kit_lr k;
    struct kit_pair pair;
    double values[SCORED];
    kit_lr_init(&k, &both, 3);
    kit_lr_start(&pair, &k, "ot");
    kit_run(&pair);
    const struct ccz_mpcml_lr_result r[2] = {ccz_mpcml_lr_result(k.lr[0]),
                                             ccz_mpcml_lr_result(k.lr[1])};
    CHECK(r[0].weights == NULL && r[1].weights == NULL && r[0].share_len == 6);
    later.rows[0] = later.rows[1] = 0;
    later.given = CCZ_MPCML_GIVEN_SHARED;
    later.given_gain = r[0].gain;
    const struct ccz_mpcml_lr_data data[2] = {{.score_x = k.score_x[0], .share = r[0].share},
                                              {.score_x = k.score_x[1], .share = r[1].share}};
    scored(values, &later, data);
    CHECK(memcmp(values, r[0].scores, sizeof(values)) == 0);
    kit_free(&pair);
    kit_lr_free(&k);
}

/*
 * The intercept has no decay: batches that alternate between both ends of the range turn the weights around at each step, and every
 * label pulls the intercept the same way. Predictors stay within what the sigmoid compares.
 */
static void test_intercept(void)
{
    enum { COLUMNS = 15, BATCH = 64, ROWS = 2 * BATCH };
    const struct ccz_mpcml_lr_cfg cfg = {.rows = {ROWS, ROWS},
                                         .columns = {COLUMNS, COLUMNS},
                                         .batch = BATCH,
                                         .epochs = 3800,
                                         .rate = 0.1,
                                         .l2 = 10,
                                         .weights = CCZ_MPCML_WEIGHTS_TO_0,
                                         .score_rows = {2, 2},
                                         .score = CCZ_MPCML_SCORE_LINEAR,
                                         .score_to = CCZ_MPC_TO_BOTH};
    static double x[ROWS * COLUMNS], score_x[2 * COLUMNS], y[ROWS];
    const struct ccz_mpcml_lr_data data[2] = {{.x = x, .y = y, .score_x = score_x},
                                              {.x = x, .score_x = score_x}};
    struct cczi_lr_form form;
    int64_t words[2 * COLUMNS + 1], scores[2];
    for (size_t i = 0; i < ROWS; i++) {
        y[i] = 1;
        for (size_t j = 0; j < COLUMNS; j++)
            x[i * COLUMNS + j] = i < BATCH ? 16 : -16;
    }
    for (size_t j = 0; j < COLUMNS; j++) {
        score_x[j] = 16;
        score_x[COLUMNS + j] = -16;
    }
    OK(cczi_lr_form_init(&form, &cfg, e));
    OK(ccz_mpcml_lr_simulate(words, scores, &cfg, data, e));
    double most = 0;
    for (int i = 0; i < 2; i++)
        most = fmax(most, fabs(ldexp((double)scores[i], -(int)(form.f + form.g))));
    CHECK(most > 1100 && most < ldexp(1, (int)form.z_bits)); /* weights alone: below 771 */
    CHECK(form.z_bits == 11);
    /* What a scoring with its shares is told of them: of the intercept too, which is far above what decay leaves of weights. */
    const double bound = ccz_mpcml_lr_weight_bound(&cfg);
    most = 0;
    for (int i = 0; i < 2 * COLUMNS + 1; i++)
        most = fmax(most, fabs(ldexp((double)words[i], -(int)form.g)));
    CHECK(most > 700 && most <= bound && bound < 2 * most);
    struct ccz_mpcml_lr_cfg refused = cfg;
    refused.rate = -1;
    CHECK(isnan(ccz_mpcml_lr_weight_bound(&refused)));
    refused = (struct ccz_mpcml_lr_cfg){.columns = {2, 2}, .score_rows = {1, 1}, .score_to = 1};
    CHECK(ccz_mpcml_lr_weight_bound(&refused) == 1024);
}

/* A decay that is rounded to nothing bounds nothing. */
static void test_small_decay(void)
{
    struct ccz_mpcml_lr_cfg cfg = {.rows = {64, 64},
                                   .columns = {2, 2},
                                   .batch = 64,
                                   .epochs = 1 << 16,
                                   .rate = 1,
                                   .no_intercept = true,
                                   .feature_frac = 4,
                                   .range = 1};
    struct cczi_lr_form none, tiny;
    OK(cczi_lr_form_init(&none, &cfg, e));
    cfg.l2 = 0.49 / (1 << (2 * 4 + 6));
    OK(cczi_lr_form_init(&tiny, &cfg, e));
    CHECK(tiny.decay == 0 && tiny.z_bits == none.z_bits);
    cfg.l2 *= 1.5; /* rounded up: it bounds more than it says */
    OK(cczi_lr_form_init(&tiny, &cfg, e));
    CHECK(tiny.decay == 1 && tiny.z_bits < none.z_bits);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"mpcml.doubles", test_doubles},     {"mpcml.splits", test_splits},
        {"mpcml.given", test_given},         {"mpcml.later", test_later},
        {"mpcml.intercept", test_intercept}, {"mpcml.small_decay", test_small_decay},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
