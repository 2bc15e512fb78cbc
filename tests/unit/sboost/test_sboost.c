/* SPDX-License-Identifier: Apache-2.0 */
/* Boosted trees: parts by definition, and parties as threads against one party with all columns. */
#include "kit.h"

#include <math.h>
#include <stdlib.h>

/* ---------------------------------------------------------------------------------------- parts */

static void bins(void)
{
    static const double x[] = {5, 1, 2, 2, 2, 9, 7, 7}; /* one column */
    const struct ccz_sboost_data d = {.rows = 8, .cols = 1, .x = x};
    struct cczi_sb_bins b;
    struct ccz_err err = {0};
    for (unsigned n = 2; n <= 256; n++) {
        CHECK(cczi_sb_bins_new(&b, &d, n, &err) == CCZ_OK);
        for (unsigned c = 0; c + 1 < n; c++) {
            CHECK(c == 0 || b.cut[c] > b.cut[c - 1] || isinf(b.cut[c]));
            for (size_t i = 0; i < 8; i++) /* what the two sides of a cut are */
                CHECK((x[i] <= b.cut[c]) == (b.bin[i] <= c));
        }
        size_t parted = 0; /* with enough bins all different values are */
        for (size_t i = 0; i < 8; i++)
            for (size_t k = 0; k < 8; k++)
                parted += b.bin[i] != b.bin[k];
        CHECK(n < 8 || parted == 8 * 8 - (9 + 4 + 3));
        cczi_sb_bins_free(&b);
    }
    static const double close[] = {1, 1.0000000000000002, 1.0000000000000002, 1};
    const struct ccz_sboost_data two = {.rows = 4, .cols = 1, .x = close};
    CHECK(cczi_sb_bins_new(&b, &two, 4, &err) == CCZ_OK && b.bin[0] == 0 && b.bin[1] == 1);
    cczi_sb_bins_free(&b);
    const double bad[] = {1, NAN}, worse[] = {-INFINITY, 1};
    const struct ccz_sboost_data wrong[] = {{.rows = 2, .cols = 1, .x = bad},
                                            {.rows = 2, .cols = 1, .x = worse},
                                            {.rows = 0, .cols = 1, .x = bad}};
    for (int i = 0; i < 3; i++)
        CHECK(cczi_sb_bins_new(&b, &wrong[i], 4, &err) == CCZ_E_ARG &&
              strcmp(err.where, i < 2 ? "sboost:not-finite" : "sboost:data") == 0);
}

static void steps(void)
{
    struct cczi_sb_steps s;
    struct ccz_err err = {0};
    for (size_t rows = 1; rows <= CCZ_SBOOST_ROWS_MAX; rows *= 2) {
        CHECK(cczi_sb_steps_new(&s, rows, &err) == CCZ_OK);
        /* the largest sums there are fit, and come apart again */
        int64_t one = (int64_t)1 << s.h_bits, top = (int64_t)1 << s.fraction;
        for (int sign = -1; sign <= 1; sign += 2) {
            int64_t m = sign * top * one + top, all = 0;
            CHECK(llabs(m) < (int64_t)1 << s.bits);
            CHECK(!__builtin_mul_overflow(m, (int64_t)rows, &all) && llabs(all) < (int64_t)1 << 62);
            struct cczi_sb_sum sum = cczi_sb_unpack(all, &s);
            CHECK(sum.g == sign * top * (int64_t)rows && sum.h == top * (int64_t)rows);
        }
        struct cczi_sb_sum sum = cczi_sb_unpack(-one + 3, &s);
        CHECK(sum.g == -1 && sum.h == 3);
        cczi_sb_steps_free(&s);
    }
    CHECK(cczi_sb_steps_new(&s, CCZ_SBOOST_ROWS_MAX * 2, &err) == CCZ_E_LIMIT &&
          strcmp(err.where, "sboost:rows") == 0);
}

/* Sums of samples are those of all rows, in expectation; the largest are always there. */
static void goss(void)
{
    static struct table t;
    struct cczi_sb_steps s;
    double tmp[3 * ROWS], score[ROWS], all = 0, mean = 0;
    struct ccz_sboost_cfg cfg = {.loss = CCZ_SBOOST_SQUARED, .goss_top = 0.2, .goss_rest = 0.3};
    fill(&t, CCZ_SBOOST_SQUARED, 5);
    memset(score, 0, sizeof(score));
    for (size_t i = 0; i < ROWS; i++)
        all -= t.y[i];
    CHECK(cczi_sb_steps_new(&s, ROWS, NULL) == CCZ_OK);
    for (uint32_t tree = 0; tree < 400; tree++) {
        double g = 0, least_in = 0, most_out = 0;
        cczi_sb_steps_fill(&s, tmp, score, t.y, ROWS, 0, ccz_seeded_from(3, tree), &cfg);
        for (size_t i = 0; i < ROWS; i++) {
            g += (double)cczi_sb_unpack(s.packed[i], &s).g * s.g_unit;
            most_out = s.in[i] ? most_out : fmax(most_out, fabs(t.y[i]));
            CHECK(s.in[i] || s.packed[i] == 0);
        }
        for (size_t i = 0; i < ROWS; i++)
            least_in += fabs(t.y[i]) > most_out && s.in[i];
        CHECK(least_in >= ROWS / 5 - 1 && s.in_len > ROWS / 3 && s.in_len < 2 * ROWS / 3);
        mean += g / 400;
    }
    CHECK(fabs(mean - all) < 8); /* some standard errors */
    cczi_sb_steps_free(&s);
}

static void messages(void)
{
    struct cczi_sb_msg m;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF b;
    const struct cczi_sb_hello hello = {
        .guest = true, .rows = 7, .cols = 3, .ids = {9}, .have = {2, {4, 5}, {6}}};
    ccz_buf_init(&b, 1000);
    cczi_sb_msg_begin(&b, CCZI_SB_HELLO, 1, 2);
    cczi_sb_msg_put_hello(&b, &hello);
    CHECK(cczi_sb_msg_parse(&m, ccz_buf_span(&b), &err) == CCZ_OK && m.tree == 1 && m.node == 2);
    CHECK(m.hello.guest && m.hello.rows == 7 && m.hello.cols == 3 && m.hello.ids[0] == 9);
    CHECK(m.hello.have.len == 2 && m.hello.have.trees[1] == 5 && m.hello.have.run[0] == 6);
    for (size_t n = 0; n < b.size; n++)
        CHECK(cczi_sb_msg_parse(&m, CCZ_SPAN(b.ptr, n), &err) == CCZ_E_PEER);
    ccz_buf_u8(&b, 0);
    CHECK(cczi_sb_msg_parse(&m, ccz_buf_span(&b), &err) == CCZ_E_PEER);
    static const size_t changed[] = {0,
                                     4,
                                     5,
                                     6,
                                     7,
                                     17,
                                     18,
                                     CCZI_SB_HEADER_SIZE + 80,  /* more states than there are */
                                     CCZI_SB_HEADER_SIZE + 86}; /* more trees */
    for (size_t i = 0; i < sizeof(changed) / sizeof(changed[0]); i++) {
        b.size = CCZI_SB_HEADER_SIZE + 108;
        b.ptr[changed[i]] ^= 0x20;
        CHECK(cczi_sb_msg_parse(&m, ccz_buf_span(&b), &err) == CCZ_E_PEER &&
              strcmp(err.where, "sboost:message") == 0);
        b.ptr[changed[i]] ^= 0x20;
    }
}

/* ------------------------------------------------------------------------------------- training */

static double mean_loss_of(const struct party *guest)
{
    double loss = 0;
    for (size_t i = 0; i < ROWS; i++)
        loss -= log(guest->data.y[i] == 1 ? guest->p[i] : 1 - guest->p[i]) / ROWS;
    return loss;
}

/* A stump by hand: two rows left, two right, squared loss, lambda 1. */
static void local(void)
{
    static const double x[] = {1, 2, 3, 4}, y[] = {1, 1, 5, 5};
    const struct ccz_sboost_cfg cfg = {
        .loss = CCZ_SBOOST_SQUARED, .rounds = 1, .depth = 1, .eta = 0.5, .lambda = 1};
    const struct ccz_sboost_data d = {.rows = 4, .cols = 1, .x = x, .y = y};
    const struct ccz_sboost_run run = {.cfg = &cfg};
    CCZ_AUTO(ccz_sboost_model) m = NULL;
    struct ccz_err err = {0};
    double p[4];
    CHECK(ccz_sboost_guest(&m, NULL, NULL, 0, &d, &run, &err) == CCZ_OK);
    CHECK(m->trees == 1 && m->tree[0].len == 3 && m->tree[0].node[0].cut == 2.5);
    CHECK(ccz_sboost_predict_guest(p, m, NULL, 0, &d, &err) == CCZ_OK);
    /* base 3; g = +-2, h = 1: weight -(+-4) / (2 + 1) * 0.5 */
    for (size_t i = 0; i < 4; i++)
        CHECK(fabs(p[i] - (i < 2 ? 3 - 2.0 / 3 : 3 + 2.0 / 3)) < 1e-6);
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, 10000);
    ccz_sboost_model_json(&json, m);
    CHECK(!json.bad &&
          strstr((const char *)json.ptr, "\"column\":0,\"cut\":2.5,\"left\":1,\"right\":2"));
}

/*
 * With hosts the trees are those of one party with all columns. Ties among a host's candidates are decided by chance: with
 * labels of few values, or rows that are not sampled between two cuts, there are some, and trees are as good, not the same.
 */
static void like_local(size_t hosts, const struct ccz_sboost_cfg *cfg)
{
    static struct table t;
    static struct party one[1], p[HOSTS + 1];
    static double want[ROWS * 3], got[ROWS * 3];
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    memset(one, 0, sizeof(one));
    memset(p, 0, sizeof(p));
    fill(&t, cfg->loss, 11);
    seat(one, 0, &t, NULL, cfg);
    one[0].predict = true;
    one[0].p = want;
    run_guest(&one[0]);
    all_well(one, 0);
    seat(p, hosts, &t, key, cfg);
    for (size_t i = 0; i <= hosts; i++)
        p[i].predict = true;
    p[0].p = got;
    run_all(p, hosts);
    all_well(p, hosts);
    bool ties = cfg->loss != CCZ_SBOOST_SQUARED || cfg->goss_top > 0;
    CHECK(p[0].trees == one[0].trees && (ties || p[0].splits == one[0].splits));
    CHECK(p[0].host_splits > 0 && p[0].host_splits < p[0].splits);
    CHECK(fabs(p[0].loss - one[0].loss) < (ties ? 0.03 : 1e-12));
    for (size_t i = 0; !ties && i < ROWS; i++)
        CHECK(got[i] == want[i]);
    for (size_t i = 1; i <= hosts; i++) {
        CCZ_AUTO_BUF json;
        ccz_buf_init(&json, 1 << 20);
        ccz_sboost_part_json(&json, p[i].part);
        CHECK(!json.bad && p[i].part->len > 0);
    }
    if (cfg->loss == CCZ_SBOOST_LOGISTIC && cfg->goss_top == 0)
        CHECK(fabs(p[0].loss - mean_loss_of(&p[0])) < 1e-9 && p[0].loss < 0.6);
    clear(one, 0);
    clear(p, hosts);
}

static void hosts(void)
{
    const struct ccz_sboost_cfg cfg = {.rounds = 4, .depth = 4, .bins = 16, .lambda = 1};
    struct ccz_sboost_cfg squared = cfg;
    squared.loss = CCZ_SBOOST_SQUARED;
    like_local(1, &cfg);
    like_local(2, &cfg);
    like_local(1, &squared);
    like_local(2, &squared);
}

static void losses(void)
{
    like_local(1,
               &(struct ccz_sboost_cfg){
                   .loss = CCZ_SBOOST_SQUARED, .rounds = 2, .depth = 3, .bins = 8, .gamma = 0.1});
    like_local(1,
               &(struct ccz_sboost_cfg){
                   .loss = CCZ_SBOOST_SOFTMAX, .classes = 3, .rounds = 2, .depth = 2, .bins = 8});
}

static void sampled(void)
{
    struct ccz_sboost_cfg cfg = {
        .rounds = 3, .depth = 3, .bins = 16, .goss_top = 0.2, .goss_rest = 0.2};
    like_local(2, &cfg);
    cfg.loss = CCZ_SBOOST_SQUARED;
    like_local(2, &cfg);
    /* which rows are drawn is the guest's own: fresh each time, unless it has a seed */
    static struct table t;
    static struct party p[1];
    static double got[3][ROWS];
    fill(&t, cfg.loss, 11);
    for (int i = 0; i < 3; i++) {
        memset(p, 0, sizeof(p));
        seat(p, 0, &t, NULL, &cfg);
        p[0].run.sample_seed = i < 2 ? 0 : 7;
        p[0].predict = true;
        p[0].p = got[i];
        run_guest(&p[0]);
        all_well(p, 0);
        clear(p, 0);
    }
    CHECK(memcmp(got[0], got[1], sizeof(got[0])) != 0 &&
          memcmp(got[1], got[2], sizeof(got[0])) != 0);
}

static void pair_again(struct party *p)
{
    ccz_chan_free(p[0].chan[0]);
    ccz_chan_free(p[1].chan[0]);
    CHECK(ccz_chan_pair(&p[0].chan[0], &p[1].chan[0], NULL, NULL) == CCZ_OK);
}

/* Rows that nobody has seen, with each party's columns of them; a model of other columns is refused. */
static void predict(void)
{
    static struct table t, fresh;
    static struct party p[2];
    static double got[ROWS], x[2][ROWS * COLS];
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    const struct ccz_sboost_cfg cfg = {.rounds = 8, .depth = 4, .bins = 16};
    struct ccz_err err = {0};
    memset(p, 0, sizeof(p));
    fill(&t, CCZ_SBOOST_LOGISTIC, 11);
    fill(&fresh, CCZ_SBOOST_LOGISTIC, 99);
    seat(p, 1, &t, key, &cfg);
    run_all(p, 1);
    all_well(p, 1);
    columns(x[0], fresh.x, 0, 2);
    columns(x[1], fresh.x, 2, 4);
    for (size_t i = 0; i < 2; i++) {
        p[i].data.x = x[i];
        for (size_t c = 0; c < p[i].len; c++)
            ccz_chan_free(p[i].chan[c]);
    }
    CHECK(ccz_chan_pair(&p[0].chan[0], &p[1].chan[0], NULL, NULL) == CCZ_OK);
    /* a pair holds what is sent: one thread is enough for the guest's part */
    CCZ_AUTO_BUF done;
    ccz_buf_init(&done, CCZI_SB_HEADER_SIZE);
    cczi_sb_msg_begin(&done, CCZI_SB_DONE, 0, 0);
    CHECK(ccz_chan_send(p[0].chan[0], ccz_buf_span(&done), &err) == CCZ_OK);
    CHECK(ccz_sboost_predict_host(p[1].chan[0], p[1].part, &p[1].data, &err) == CCZ_OK);
    CHECK(ccz_sboost_predict_guest(got, p[0].model, p[0].chan, 1, &p[0].data, &err) == CCZ_OK);
    size_t right = 0;
    for (size_t i = 0; i < ROWS; i++)
        right += (got[i] > 0.5) == (fresh.y[i] == 1);
    CHECK(right > ROWS * 75 / 100);
    p[0].data.cols = 1;
    CHECK(ccz_sboost_predict_guest(got, p[0].model, p[0].chan, 1, &p[0].data, &err) ==
          CCZ_E_MISMATCH);
    p[1].data.cols = 3;
    CHECK(ccz_sboost_predict_host(p[1].chan[0], p[1].part, &p[1].data, &err) == CCZ_E_MISMATCH &&
          strcmp(err.where, "sboost:model") == 0);
    p[0].data.cols = 2;
    p[1].data.cols = 4;
    /* both ends were closed, as nobody may wait for who gave up */
    CHECK(ccz_chan_send(p[0].chan[0], ccz_buf_span(&done), &err) == CCZ_E_CLOSED);
    CHECK(ccz_chan_send(p[1].chan[0], ccz_buf_span(&done), &err) == CCZ_E_CLOSED);
    /* other rows, rows in another order */
    static const uint8_t ids[2][32] = {{1}, {2}};
    for (int what = 0; what < 2; what++) {
        pair_again(p);
        p[1].data.rows = ROWS - (what == 0);
        p[0].data.ids = what ? ids[0] : NULL;
        p[1].data.ids = what ? ids[1] : NULL;
        CHECK(ccz_chan_send(p[0].chan[0], ccz_buf_span(&done), &err) == CCZ_OK);
        CHECK(ccz_sboost_predict_host(p[1].chan[0], p[1].part, &p[1].data, &err) == CCZ_OK);
        CHECK(ccz_sboost_predict_guest(got, p[0].model, p[0].chan, 1, &p[0].data, &err) ==
                  CCZ_E_MISMATCH &&
              strcmp(err.where, "sboost:alignment") == 0);
    }
    p[0].data.ids = p[1].data.ids = NULL;
    pair_again(p);
    p[1].part->len--; /* a host that forgot a split */
    CHECK(ccz_chan_send(p[0].chan[0], ccz_buf_span(&done), &err) == CCZ_OK);
    CHECK(ccz_sboost_predict_host(p[1].chan[0], p[1].part, &p[1].data, &err) == CCZ_OK);
    CHECK(ccz_sboost_predict_guest(got, p[0].model, p[0].chan, 1, &p[0].data, &err) ==
              CCZ_E_MISMATCH &&
          strcmp(err.where, "sboost:model") == 0);
    clear(p, 1);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"sboost.bins", bins},         {"sboost.steps", steps},     {"sboost.goss", goss},
        {"sboost.messages", messages}, {"sboost.local", local},     {"sboost.hosts", hosts},
        {"sboost.losses", losses},     {"sboost.sampled", sampled}, {"sboost.predict", predict},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
