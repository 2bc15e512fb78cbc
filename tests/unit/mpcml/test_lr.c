/* SPDX-License-Identifier: Apache-2.0 */
/* Regressions on shares against their simulation, and the simulation against plain arithmetic. */
#include "kit.h"

/* Runs it in a setting and compares every word with the simulation; may be off by `slack` units. */
static void check_words(const struct kit_lr *k, const int64_t *got, const int64_t *expected,
                        size_t len, int64_t slack)
{
    for (size_t i = 0; i < len; i++)
        if (llabs(got[i] - expected[i]) > slack) {
            fprintf(stderr, "word %zu of %zu: got %lld, expected %lld (columns %zu + %zu)\n", i,
                    len, (long long)got[i], (long long)expected[i], k->cfg.columns[0],
                    k->cfg.columns[1]);
            CHECK(false);
        }
}

static size_t score_len(const struct ccz_mpcml_lr_cfg *c)
{
    return c->split == CCZ_MPCML_ROWS ? c->score_rows[0] + c->score_rows[1] : c->score_rows[0];
}

static void against_simulation(const struct ccz_mpcml_lr_cfg *cfg, const char *setting,
                               enum ccz_mpc_trunc trunc, int64_t slack)
{
    const size_t len = ccz_mpcml_lr_weights_len(cfg), scores = score_len(cfg);
    int64_t *expected = calloc(len, sizeof(*expected)), *got = calloc(len, sizeof(*got));
    int64_t *values = calloc(scores + 1, sizeof(*values));
    struct kit_lr k;
    struct kit_pair pair;
    CHECK(expected && got && values);
    kit_lr_init(&k, cfg, 7 + cfg->columns[0] + cfg->rows[0]);
    kit_lr_start(&pair, &k, setting);
    for (unsigned p = 0; p < 2; p++)
        pair.p[p].cfg.trunc = trunc;
    kit_run(&pair);
    for (unsigned p = 0; p < 2; p++)
        kit_expect(&pair.p[p], CCZ_OK, "");
    OK(ccz_mpcml_lr_simulate(expected, values, cfg, k.data, e));
    kit_lr_words(got, &k);
    check_words(&k, got, expected, len, slack);
    for (unsigned p = 0; p < 2; p++) {
        const struct ccz_mpcml_lr_result r = ccz_mpcml_lr_result(k.lr[p]);
        CHECK(r.scores_len == (cfg->score_to >> p & 1 ? scores : 0));
        check_words(&k, r.score_words, values, r.scores_len, slack << 24);
    }
    kit_free(&pair);
    kit_lr_free(&k);
    free(expected);
    free(got);
    free(values);
}

static const struct ccz_mpcml_lr_cfg shapes[] = {
    {.rows = {40, 40}, .columns = {5, 3}, .batch = 16, .epochs = 2, .rate = 0.5},
    /* the last batch is shorter; labels at the other party; decay */
    {.rows = {37, 37},
     .columns = {4, 7},
     .labels = 1,
     .batch = 10,
     .epochs = 3,
     .rate = 1,
     .l2 = 0.01},
    /* one column; a step that is a power of two; no intercept */
    {.rows = {9, 9},
     .columns = {1, 0},
     .labels = 1,
     .batch = 4,
     .epochs = 4,
     .rate = 0.25,
     .no_intercept = true},
    {.rows = {9, 9}, .columns = {0, 1}, .batch = 16, .epochs = 2, .rate = 3},
    /* one row */
    {.rows = {1, 1}, .columns = {2, 3}, .batch = 1, .epochs = 5, .rate = 0.1},
    /* rows in an order, all weights to one party, scores to both */
    {.rows = {50, 50},
     .columns = {6, 6},
     .batch = 20,
     .epochs = 2,
     .rate = 0.7,
     .seed = 5,
     .weights = CCZ_MPCML_WEIGHTS_TO_1,
     .score_rows = {13, 13},
     .score_to = CCZ_MPC_TO_BOTH},
    /* split by rows: uneven, one with fewer rows than there are batches, one with none */
    {.split = CCZ_MPCML_ROWS,
     .rows = {33, 20},
     .columns = {5, 5},
     .batch = 16,
     .epochs = 2,
     .rate = 0.5,
     .seed = 3,
     .weights = CCZ_MPCML_WEIGHTS_TO_BOTH,
     .score_rows = {3, 70},
     .score_to = CCZ_MPC_TO_0},
    {.split = CCZ_MPCML_ROWS,
     .rows = {2, 30},
     .columns = {3, 3},
     .batch = 8,
     .epochs = 2,
     .rate = 0.5,
     .weights = CCZ_MPCML_WEIGHTS_SHARED},
    {.split = CCZ_MPCML_ROWS,
     .rows = {0, 30},
     .columns = {3, 3},
     .batch = 8,
     .epochs = 2,
     .rate = 0.5,
     .l2 = 0.1,
     .weights = CCZ_MPCML_WEIGHTS_TO_0,
     .score_rows = {5, 0},
     .score_to = CCZ_MPC_TO_0,
     .score = CCZ_MPCML_SCORE_CLASS},
    /* linear regression */
    {.model = CCZ_MPCML_LINEAR,
     .rows = {45, 45},
     .columns = {3, 4},
     .batch = 16,
     .epochs = 3,
     .rate = 0.2,
     .score_rows = {9, 9},
     .score_to = CCZ_MPC_TO_1},
    {.model = CCZ_MPCML_LINEAR,
     .rows = {45, 45},
     .columns = {3, 4},
     .labels = 1,
     .batch = 16,
     .epochs = 2,
     .rate = 1,
     .clip = 0.5,
     .l2 = 0.05,
     .weights = CCZ_MPCML_WEIGHTS_TO_BOTH},
    /* other fractions */
    {.rows = {40, 40},
     .columns = {5, 3},
     .batch = 16,
     .epochs = 2,
     .rate = 0.5,
     .feature_frac = 8,
     .weight_frac = 30},
    {.rows = {40, 40},
     .columns = {5, 3},
     .batch = 16,
     .epochs = 2,
     .rate = 0.5,
     .feature_frac = 16,
     .weight_frac = 16,
     .range = 8},
};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

static void test_faithful(void)
{
    for (int i = 0; i < SHAPES; i++) {
        against_simulation(&shapes[i], "he-packed", CCZ_MPC_TRUNC_FAITHFUL, 0);
        against_simulation(&shapes[i], "rounds", CCZ_MPC_TRUNC_FAITHFUL, 0);
    }
}

static void test_settings(void)
{
    static const char *const names[] = {"ot", "silent", "he-each", "dealer"};
    for (int n = 0; n < 4; n++) {
        against_simulation(&shapes[1], names[n], CCZ_MPC_TRUNC_FAITHFUL, 0);
        against_simulation(&shapes[6], names[n], CCZ_MPC_TRUNC_FAITHFUL, 0);
    }
    against_simulation(&shapes[3], "paillier", CCZ_MPC_TRUNC_FAITHFUL, 0);
}

/* One unit for each step, and what that does to the next ones: they stay close. */
static void test_one_bit(void)
{
    for (int i = 0; i < SHAPES; i++)
        if (shapes[i].score != CCZ_MPCML_SCORE_CLASS)
            against_simulation(&shapes[i], "ot", CCZ_MPC_TRUNC_ONE_BIT, 64);
}

static void test_sigmoids(void)
{
    struct ccz_mpcml_lr_cfg c = shapes[5];
    c.sigmoid.kind = CCZ_MPC_SIGMOID_SPLINE;
    against_simulation(&c, "ot", CCZ_MPC_TRUNC_FAITHFUL, 0);
    c.sigmoid.pieces = 15;
    against_simulation(&c, "rounds", CCZ_MPC_TRUNC_FAITHFUL, 0);
    c.sigmoid = (struct ccz_mpc_sigmoid_cfg){.kind = CCZ_MPC_SIGMOID_CHEBYSHEV};
    against_simulation(&c, "rounds", CCZ_MPC_TRUNC_FAITHFUL, 0);
    c.sigmoid.degree = 3;
    against_simulation(&c, "dealer", CCZ_MPC_TRUNC_FAITHFUL, 0);
}

/* Features at the ends of their range: sums of a step of 2^60 and predictors in the thousands. */
static void ranges(const char *setting)
{
    enum { ROWS = 512, COLUMNS = 15, ALL = 2 * COLUMNS };
    const struct ccz_mpcml_lr_cfg cfg = {.rows = {ROWS, ROWS},
                                         .columns = {COLUMNS, COLUMNS},
                                         .batch = ROWS,
                                         .epochs = 3,
                                         .rate = 1,
                                         .no_intercept = true};
    static double x[2][ROWS * COLUMNS], y[ROWS];
    const struct ccz_mpcml_lr_data data[2] = {{.x = x[0], .y = y}, {.x = x[1]}};
    int64_t expected[ALL], got[ALL];
    struct kit_lr k = {.cfg = cfg};
    struct kit_pair pair;
    for (size_t i = 0; i < ROWS; i++) {
        y[i] = i % 8 > 0;
        for (unsigned p = 0; p < 2; p++)
            for (size_t j = 0; j < COLUMNS; j++)
                x[p][i * COLUMNS + j] = (j + p) % 2 ? 16 : -16;
    }
    for (unsigned p = 0; p < 2; p++)
        OK(ccz_mpcml_lr_new(&k.lr[p], p, &cfg, &data[p], e));
    kit_lr_start(&pair, &k, setting);
    kit_run(&pair);
    for (unsigned p = 0; p < 2; p++)
        kit_expect(&pair.p[p], CCZ_OK, "");
    OK(ccz_mpcml_lr_simulate(expected, NULL, &cfg, data, e));
    kit_lr_words(got, &k);
    check_words(&k, got, expected, ALL, 0);
    kit_free(&pair);
    kit_lr_free(&k);
}

static void test_ranges(void)
{
    ranges("ot");
    ranges("rounds");
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"mpcml.faithful", test_faithful}, {"mpcml.settings", test_settings},
        {"mpcml.one_bit", test_one_bit},   {"mpcml.sigmoids", test_sigmoids},
        {"mpcml.ranges", test_ranges},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
