/* SPDX-License-Identifier: Apache-2.0 */
/* Regressions: what is refused, what leaves the computation, and how runs end that something goes wrong in. */
#include "kit.h"

static const struct ccz_mpcml_lr_cfg small = {
    .rows = {12, 12}, .columns = {2, 3}, .batch = 6, .epochs = 1, .rate = 0.5};

/* ------------------------------------------------------------------------------------ refusals */

static void refused(struct ccz_mpcml_lr_cfg cfg, const char *where)
{
    struct ccz_mpcml_lr *lr;
    struct ccz_err err = {0};
    const ccz_rc rc = ccz_mpcml_lr_new(&lr, 0, &cfg, NULL, &err);
    if (rc != CCZ_E_ARG || strcmp(err.where, where) != 0)
        fprintf(stderr, "got %s %s (%s), expected %s\n", ccz_rc_name(rc), err.where, err.msg,
                where);
    CHECK(rc == CCZ_E_ARG && lr == NULL && strcmp(err.where, where) == 0);
}

#define REFUSED(where, ...)                                                                        \
    do {                                                                                           \
        struct ccz_mpcml_lr_cfg c = small;                                                         \
        __VA_ARGS__;                                                                               \
        refused(c, where);                                                                         \
    } while (0)

static void test_config(void)
{
    REFUSED("mpcml:model", c.model = (enum ccz_mpcml_model)2);
    REFUSED("mpcml:split", c.split = (enum ccz_mpcml_split)2);
    REFUSED("mpcml:weights", c.weights = (enum ccz_mpcml_weights)5);
    REFUSED("mpcml:weights", c.split = CCZ_MPCML_ROWS; c.columns[0] = 3);
    REFUSED("mpcml:score", c.score = (enum ccz_mpcml_score)3);
    REFUSED("mpcml:score", c.model = CCZ_MPCML_LINEAR; c.score = CCZ_MPCML_SCORE_CLASS);
    REFUSED("mpcml:given", c.given = (enum ccz_mpcml_given)4);
    REFUSED("mpcml:given",
            c = (struct ccz_mpcml_lr_cfg){
                .split = CCZ_MPCML_ROWS, .columns = {2, 2}, .score_rows = {2, 2}, .score_to = 1});
    REFUSED("mpcml:sigmoid", c.sigmoid.kind = (enum ccz_mpc_sigmoid)3);
    REFUSED("mpcml:labels", c.labels = 2);
    REFUSED("mpcml:score-to", c.score_to = 4);
    REFUSED("mpcml:score-to", c.score_rows[0] = c.score_rows[1] = 3);
    REFUSED("mpcml:rows", c.rows[1] = 11);
    REFUSED("mpcml:rows", c.score_rows[1] = 1; c.score_to = 1);
    REFUSED("mpcml:rows", c.rows[0] = c.rows[1] = CCZ_MPCML_ROWS_MAX + 1);
    REFUSED("mpcml:rows", c.rows[0] = c.rows[1] = 0);
    REFUSED("mpcml:columns", c.columns[0] = c.columns[1] = 0);
    REFUSED("mpcml:columns", c.columns[1] = CCZ_MPCML_COLUMNS_MAX + 1);
    REFUSED("mpcml:columns", c.split = CCZ_MPCML_ROWS; c.weights = CCZ_MPCML_WEIGHTS_TO_0);
    REFUSED("mpcml:batch", c.batch = 0);
    REFUSED("mpcml:batch", c.batch = CCZ_MPCML_ROWS_MAX + 1);
    REFUSED("mpcml:epochs", c.epochs = 0);
    REFUSED("mpcml:epochs", c.epochs = CCZ_MPCML_EPOCHS_MAX + 1);
    REFUSED("mpcml:rate", c.rate = 0);
    REFUSED("mpcml:rate", c.rate = 6.1);
    REFUSED("mpcml:rate", c.rate = (double)NAN);
    REFUSED("mpcml:rate", c.rate = 1e-7); /* a step would vanish below the last place */
    REFUSED("mpcml:l2", c.l2 = -1);
    REFUSED("mpcml:l2", c.l2 = 2.1);
    REFUSED("mpcml:clip", c.model = CCZ_MPCML_LINEAR; c.clip = -1);
    REFUSED("mpcml:frac", c.feature_frac = 3);
    REFUSED("mpcml:frac", c.feature_frac = 20; c.weight_frac = 23);
    REFUSED("mpcml:range", c.range = 0.5);
    REFUSED("mpcml:range", c.range = 1e6);
    REFUSED("mpcml:range", c.rows[0] = c.rows[1] = c.batch = 1024); /* the sum of a step */
    REFUSED("mpcml:range", c.epochs = CCZ_MPCML_EPOCHS_MAX; c.columns[1] = 10000); /* z */
    REFUSED("mpcml:range", c.model = CCZ_MPCML_LINEAR; c.clip = 1e9; c.feature_frac = 4);
    const struct ccz_mpcml_lr_cfg score = {
        .columns = {2, 3}, .score_rows = {4, 4}, .score_to = 1, .given = CCZ_MPCML_GIVEN_SHARED};
    REFUSED("mpcml:weight-range", c = score; c.weight_range = -1);
    REFUSED("mpcml:given-gain", c = score; c.given_gain = 2);
    REFUSED("mpcml:range", c = score; c.weight_range = 1e9);
    struct ccz_mpcml_lr *lr;
    struct ccz_err err;
    CHECK(ccz_mpcml_lr_new(&lr, 2, &small, NULL, &err) == CCZ_E_ARG &&
          strcmp(err.where, "mpcml:role") == 0);
}

static void data_refused(const struct ccz_mpcml_lr_cfg *cfg, const struct ccz_mpcml_lr_data *data,
                         const char *where)
{
    struct ccz_mpcml_lr *lr;
    struct ccz_err err = {0};
    CHECK(ccz_mpcml_lr_new(&lr, 0, cfg, data, &err) == CCZ_E_ARG && lr == NULL);
    CHECK(strcmp(err.where, where) == 0);
    /* the place of a value, not the value: these are the values of test_data() */
    static const char *const values[] = {"16.01", "-17", "nan", "inf", "0.53", "1025"};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        CHECK(!strstr(err.msg, values[i]) && !strstr(err.got, values[i]));
}

static void test_data(void)
{
    struct ccz_mpcml_lr_cfg score = {.columns = {2, 3}, .score_rows = {12, 12}, .score_to = 1};
    double x[24] = {0}, y[12] = {0}, w[3] = {0};
    struct ccz_mpcml_lr_data d = {.x = x, .y = y, .score_x = x, .weights = w};
    struct ccz_mpcml_lr *lr;
    OK(ccz_mpcml_lr_new(&lr, 0, &small, &d, e));
    ccz_mpcml_lr_free(lr);
    d.x = NULL;
    data_refused(&small, &d, "mpcml:data");
    d = (struct ccz_mpcml_lr_data){.x = x};
    data_refused(&small, &d, "mpcml:data");
    d.y = y;
    y[3] = 0.53;
    data_refused(&small, &d, "mpcml:label");
    y[3] = 1;
    const double bad[] = {16.01, -17, (double)NAN, (double)INFINITY};
    for (int i = 0; i < 4; i++) {
        x[23] = bad[i];
        data_refused(&small, &d, "mpcml:range");
    }
    x[23] = -16;
    OK(ccz_mpcml_lr_new(&lr, 0, &small, &d, e));
    ccz_mpcml_lr_free(lr);
    data_refused(&score, &d, "mpcml:data");
    d.score_x = x;
    data_refused(&score, &d, "mpcml:data");
    d.weights = w;
    w[2] = 1025;
    data_refused(&score, &d, "mpcml:weight-range");
    score.given = CCZ_MPCML_GIVEN_SHARED;
    data_refused(&score, &d, "mpcml:data");
}

/* --------------------------------------------------------------------------------- disagreement */

static void discord(const struct ccz_mpcml_lr_cfg *c1, const char *setting1, double rtt,
                    enum ccz_mpc_trunc trunc, const char *where)
{
    struct kit_lr k[2];
    struct kit_pair pair;
    kit_lr_init(&k[0], &small, 1);
    kit_lr_init(&k[1], c1, 1);
    kit_init(&pair, ccz_mpcml_lr_program(k[0].lr[0]), ccz_mpcml_lr_program(k[1].lr[1]),
             "he-packed");
    pair.p[1].cfg.setting = ccz_mpcml_setting_named(setting1);
    pair.p[1].cfg.net.rtt_s = rtt;
    pair.p[1].cfg.trunc = trunc;
    kit_run(&pair);
    for (unsigned p = 0; p < 2; p++) {
        const bool heard = pair.p[p].rc == CCZ_E_CLOSED; /* of the other one's refusal */
        if (!heard)
            kit_expect(&pair.p[p], CCZ_E_PEER, where);
        CHECK(pair.p[p].reveals_len == 0);
        CHECK(ccz_mpcml_lr_result(k[p].lr[p]).weights == NULL);
    }
    CHECK(pair.p[0].rc == CCZ_E_PEER || pair.p[1].rc == CCZ_E_PEER);
    kit_free(&pair);
    kit_lr_free(&k[0]);
    kit_lr_free(&k[1]);
}

#define DISCORD(...)                                                                               \
    do {                                                                                           \
        struct ccz_mpcml_lr_cfg c = small;                                                         \
        __VA_ARGS__;                                                                               \
        discord(&c, "he-packed", 0, CCZ_MPC_TRUNC_FAITHFUL, "mpc:hello-program");                  \
    } while (0)

static void test_discord(void)
{
    DISCORD(c.rate = 0.6);
    DISCORD(c.l2 = 1e-3);
    DISCORD(c.epochs = 2);
    DISCORD(c.batch = 12);
    DISCORD(c.labels = 1);
    DISCORD(c.columns[0] = 3);
    DISCORD(c.seed = 4);
    DISCORD(c.weight_frac = 21);
    DISCORD(c.range = 15);
    DISCORD(c.no_intercept = true);
    DISCORD(c.weights = CCZ_MPCML_WEIGHTS_TO_BOTH);
    DISCORD(c.score_rows[0] = c.score_rows[1] = 1; c.score_to = 1);
    DISCORD(c.sigmoid.kind = CCZ_MPC_SIGMOID_SPLINE);
    DISCORD(c.sigmoid.pieces = 5);
    DISCORD(c.model = CCZ_MPCML_LINEAR; c.feature_frac = 14; c.batch = 6);
    discord(&small, "he-each", 0, CCZ_MPC_TRUNC_FAITHFUL, "mpc:hello-program");
    discord(&small, "he-packed", 0.05, CCZ_MPC_TRUNC_FAITHFUL, "mpc:hello-program");
    discord(&small, "silent", 0, CCZ_MPC_TRUNC_FAITHFUL, "mpc:hello-ot");
    discord(&small, "ot", 0, CCZ_MPC_TRUNC_FAITHFUL, "mpc:hello-source");
    discord(&small, "he-packed", 0, CCZ_MPC_TRUNC_ONE_BIT, "mpc:hello-trunc");
}

/* ------------------------------------------------------------------------------------- reveals */

struct told {
    size_t len;
    unsigned to;
};

static void reveals(struct ccz_mpcml_lr_cfg cfg, const struct told *expected, size_t len)
{
    struct kit_lr k;
    struct kit_pair pair;
    kit_lr_init(&k, &cfg, 2);
    kit_lr_start(&pair, &k, "ot");
    kit_run(&pair);
    for (unsigned p = 0; p < 2; p++) {
        kit_expect(&pair.p[p], CCZ_OK, "");
        CHECK(pair.p[p].reveals_len == len && pair.p[p].stats.reveals == len);
        for (size_t i = 0; i < len; i++)
            CHECK(pair.p[p].reveals[i].len == expected[i].len &&
                  pair.p[p].reveals[i].to == expected[i].to);
        const struct ccz_mpcml_lr_result r = ccz_mpcml_lr_result(k.lr[p]);
        size_t weights = 0;
        for (size_t i = 0; i < len; i++)
            if (strcmp(pair.p[p].reveals[i].label, "weights") == 0 && expected[i].to >> p & 1)
                weights += expected[i].len;
        CHECK(r.weights_len == weights && (r.weights != NULL) == (weights > 0));
    }
    kit_free(&pair);
    kit_lr_free(&k);
}

/* Nothing but what the configuration names. */
static void test_reveals(void)
{
    struct ccz_mpcml_lr_cfg c = small;
    reveals(c, (const struct told[]){{2, 1}, {3, 2}, {1, 1}}, 3);
    c.labels = 1;
    reveals(c, (const struct told[]){{2, 1}, {3, 2}, {1, 2}}, 3);
    c.no_intercept = true;
    reveals(c, (const struct told[]){{2, 1}, {3, 2}}, 2);
    c.weights = CCZ_MPCML_WEIGHTS_SHARED;
    reveals(c, NULL, 0);
    c.score_rows[0] = c.score_rows[1] = 4;
    c.score_to = CCZ_MPC_TO_1;
    reveals(c, (const struct told[]){{4, 2}}, 1);
    c.weights = CCZ_MPCML_WEIGHTS_TO_0;
    reveals(c, (const struct told[]){{4, 2}, {5, 1}}, 2);
    c.weights = CCZ_MPCML_WEIGHTS_TO_BOTH;
    reveals(c, (const struct told[]){{4, 2}, {5, 3}}, 2);
}

/* -------------------------------------------------------------------------------------- faults */

static void faulty(struct kit_pair *pair, struct kit_lr *k, unsigned who,
                   const struct ccz_chan_fault_cfg *fault)
{
    for (unsigned p = 0; p < 2; p++) {
        ccz_mpcml_lr_free(k->lr[p]);
        OK(ccz_mpcml_lr_new(&k->lr[p], p, &k->cfg, &k->data[p], e));
    }
    kit_lr_start(pair, k, "ot");
    OK(ccz_chan_fault_new(&pair->p[who].chan, pair->p[who].chan, fault, e));
    for (unsigned i = 0; i < 2; i++)
        ccz_chan_set_timeout(pair->p[i].chan,
                             fault->send_drop || fault->send_repeat ? 3000 : 60000);
    kit_run(pair);
}

static bool nothing_left(const struct kit_lr *k, unsigned p)
{
    const struct ccz_mpcml_lr_result r = ccz_mpcml_lr_result(k->lr[p]);
    return !r.weights && !r.share && !r.scores;
}

static void test_faults(void)
{
    const struct ccz_mpcml_lr_cfg cfg = {
        .rows = {3, 3}, .columns = {1, 1}, .batch = 3, .epochs = 1, .rate = 0.5};
    struct kit_lr k;
    struct kit_pair pair;
    uint64_t sent[2];
    kit_lr_init(&k, &cfg, 9);
    faulty(&pair, &k, 0, &(struct ccz_chan_fault_cfg){0});
    for (unsigned p = 0; p < 2; p++) {
        kit_expect(&pair.p[p], CCZ_OK, "");
        sent[p] = ccz_chan_stats(pair.p[p].chan).sent_len;
    }
    kit_free(&pair);
    kit_lr_start(&pair, &k, "ot"); /* the same objects: results of the run before are gone */
    OK(ccz_chan_fault_new(&pair.p[0].chan, pair.p[0].chan,
                          &(struct ccz_chan_fault_cfg){.send_cut_after = sent[0] - 3}, e));
    CHECK(!nothing_left(&k, 0) && !nothing_left(&k, 1));
    kit_run(&pair);
    CHECK(nothing_left(&k, 0) && nothing_left(&k, 1));
    kit_free(&pair);
    for (unsigned who = 0; who < 2; who++)
        for (uint64_t n = 1; n <= sent[who]; n++) {
            faulty(&pair, &k, who, &(struct ccz_chan_fault_cfg){.send_shorten = n});
            CHECK(pair.p[1 - who].rc != CCZ_OK && pair.p[1 - who].err.where[0] != 0);
            CHECK(nothing_left(&k, 1 - who));
            CHECK(pair.p[who].rc != CCZ_OK || n == sent[who]);
            kit_free(&pair);
            if (n % 3 != 2)
                continue; /* runs take the time of base transfers, each */
            faulty(&pair, &k, who, &(struct ccz_chan_fault_cfg){.send_cut_after = n - 1});
            for (unsigned p = 0; p < 2; p++)
                CHECK(pair.p[p].rc == CCZ_E_CLOSED && nothing_left(&k, p));
            kit_free(&pair);
            if (n % 2 == 0)
                continue;
            /* both end; a masked bit, or a message of the size of the next one, is not noticed */
            const struct ccz_chan_fault_cfg silent[2] = {{.send_repeat = n}, {.send_flip = n}};
            for (int i = 0; i < 2; i++) {
                faulty(&pair, &k, who, &silent[i]);
                for (unsigned p = 0; p < 2; p++)
                    CHECK(pair.p[p].rc == CCZ_OK || pair.p[p].err.where[0] != 0);
                kit_free(&pair);
            }
        }
    faulty(&pair, &k, 1, &(struct ccz_chan_fault_cfg){.send_drop = sent[1] - 4});
    CHECK(pair.p[0].rc != CCZ_OK && pair.p[1].rc != CCZ_OK);
    kit_free(&pair);
    kit_lr_free(&k);
}

/* A refusal of one party before it greets: the other one hears why. */
static void test_one_refuses(void)
{
    struct kit_lr k;
    struct kit_pair pair;
    struct ccz_mpcml_lr *empty;
    kit_lr_init(&k, &small, 1);
    OK(ccz_mpcml_lr_new(&empty, 1, &small, NULL, e));
    kit_init(&pair, ccz_mpcml_lr_program(k.lr[0]), ccz_mpcml_lr_program(empty), "ot");
    kit_run(&pair);
    kit_expect(&pair.p[1], CCZ_E_ARG, "mpcml:data");
    kit_expect(&pair.p[0], CCZ_E_CLOSED, "chan:closed");
    CHECK(strstr(pair.p[0].err.msg, "mpcml:data"));
    kit_free(&pair);
    ccz_mpcml_lr_free(empty);
    kit_lr_start(&pair, &k, "ot");
    for (unsigned p = 0; p < 2; p++)
        pair.p[p].cfg.trunc = CCZ_MPC_TRUNC_LOCAL;
    kit_run(&pair);
    for (unsigned p = 0; p < 2; p++)
        kit_expect(&pair.p[p], CCZ_E_ARG, "mpcml:trunc");
    kit_free(&pair);
    kit_lr_start(&pair, &k, "dealer");
    for (unsigned p = 0; p < 2; p++)
        pair.p[p].cfg.dealer = NULL;
    kit_run(&pair);
    kit_expect(&pair.p[0], CCZ_E_ARG, "mpcml:dealer");
    kit_free(&pair);
    kit_lr_free(&k);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"mpcml.config", test_config},   {"mpcml.data", test_data},
        {"mpcml.discord", test_discord}, {"mpcml.reveals", test_reveals},
        {"mpcml.faults", test_faults},   {"mpcml.one_refuses", test_one_refuses},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
