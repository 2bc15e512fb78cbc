/* SPDX-License-Identifier: Apache-2.0 */
/* Boosted trees: parts by definition, parties as threads against one party with all columns, and what is refused. */
#define _GNU_SOURCE
#include "sboost/sboost_priv.h"
#include "temp_dir.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

enum { ROWS = 300, COLS = 6, HOSTS = 2 };

static uint64_t state;

static double unit(void)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(state >> 11) * 0x1p-53;
}

static double normal(void)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += unit();
    return sum - 6;
}

struct table {
    double x[ROWS * COLS], y[ROWS];
};

static void fill(struct table *t, enum ccz_sboost_loss loss, uint64_t seed)
{
    state = seed;
    for (size_t i = 0; i < ROWS; i++) {
        double *x = &t->x[i * COLS], z;
        for (size_t j = 0; j < COLS; j++)
            x[j] = normal();
        z = x[0] * x[3] + (x[4] > 0.5) - x[1] + 0.3 * normal(); /* needs splits of both sides */
        t->y[i] = loss == CCZ_SBOOST_SQUARED    ? z
                  : loss == CCZ_SBOOST_LOGISTIC ? z > 0
                                                : (z > -0.5) + (z > 0.7);
    }
}

static void columns(double *out, const double *x, size_t from, size_t len)
{
    for (size_t i = 0; i < ROWS; i++)
        memcpy(out + i * len, x + i * COLS + from, len * sizeof(*out));
}

/* ------------------------------------------------------------------------------------- parties */

struct party {
    const struct ccz_paillier_key *key; /* guest */
    struct ccz_chan *chan[HOSTS];
    size_t len;
    double x[ROWS * COLS];
    struct ccz_sboost_data data;
    struct ccz_sboost_run run;
    struct ccz_sboost_model *model;
    struct ccz_sboost_part *part;
    bool predict;
    double *p; /* guest: predictions */
    unsigned trees, splits, host_splits;
    unsigned stop_after; /* guest: breaks off after so many trees */
    double loss;
    ccz_rc rc;
    struct ccz_err err;
    pthread_t thread;
};

static void on_tree(void *arg, const struct ccz_sboost_progress *p)
{
    struct party *me = arg;
    me->trees++;
    me->splits += p->splits;
    me->host_splits += p->host_splits;
    me->loss = p->loss;
    if (me->trees == me->stop_after)
        ccz_chan_close(me->chan[0], "enough");
}

static void *run_guest(void *arg)
{
    struct party *p = arg;
    p->rc = ccz_sboost_guest(&p->model, p->key, p->chan, p->len, &p->data, &p->run, &p->err);
    if (p->rc == CCZ_OK && p->predict)
        p->rc = ccz_sboost_predict_guest(p->p, p->model, p->chan, p->len, &p->data, &p->err);
    for (size_t i = 0; i < p->len; i++)
        ccz_chan_close(p->chan[i], p->rc == CCZ_OK ? "done" : p->err.where);
    return NULL;
}

static void *run_host(void *arg)
{
    struct party *p = arg;
    p->rc = ccz_sboost_host(&p->part, p->chan[0], &p->data, &p->run, &p->err);
    if (p->rc == CCZ_OK && p->predict)
        p->rc = ccz_sboost_predict_host(p->chan[0], p->part, &p->data, &p->err);
    ccz_chan_close(p->chan[0], p->rc == CCZ_OK ? "done" : p->err.where);
    return NULL;
}

static struct ccz_paillier_key *small_key(void)
{
    struct ccz_paillier_key *k;
    const struct ccz_paillier_keygen_cfg cfg = {.bits_1024_insecure = true};
    CHECK(ccz_paillier_keygen(&k, &cfg, NULL) == CCZ_OK);
    return k;
}

/* Guest with columns 0, 1; hosts share the others. All are seated, none runs. */
static void seat(struct party *p, size_t hosts, const struct table *t,
                 const struct ccz_paillier_key *key, const struct ccz_sboost_cfg *cfg)
{
    size_t from = hosts ? 2 : COLS;
    for (size_t i = 0; i <= hosts; i++) {
        size_t len = i == 0 ? from : i < hosts ? 2 : COLS - 2 - 2 * (hosts - 1);
        size_t at = i == 0 ? 0 : 2 * i;
        columns(p[i].x, t->x, at, len);
        p[i].data = (struct ccz_sboost_data){.rows = ROWS, .cols = len, .x = p[i].x};
        p[i].run =
            (struct ccz_sboost_run){.cfg = cfg,
                                    .sample_seed = 7, /* the same rows with and without hosts */
                                    .timeout_ms = 60000,
                                    .key_1024_insecure = true,
                                    .on_tree = on_tree,
                                    .arg = &p[i]};
        if (i == 0)
            continue;
        CHECK(ccz_chan_pair(&p[0].chan[i - 1], &p[i].chan[0], NULL, NULL) == CCZ_OK);
        p[i].len = 1;
    }
    p[0].len = hosts;
    p[0].data.y = t->y;
    p[0].key = hosts ? key : NULL;
}

static void run_all(struct party *p, size_t hosts)
{
    for (size_t i = 0; i <= hosts; i++)
        CHECK(pthread_create(&p[i].thread, NULL, i ? run_host : run_guest, &p[i]) == 0);
    for (size_t i = 0; i <= hosts; i++)
        CHECK(pthread_join(p[i].thread, NULL) == 0);
}

static void all_well(const struct party *p, size_t hosts)
{
    for (size_t i = 0; i <= hosts; i++) {
        if (p[i].rc != CCZ_OK)
            fprintf(stderr, "party %zu: %s: %s\n", i, p[i].err.where, p[i].err.msg);
        CHECK(p[i].rc == CCZ_OK);
    }
}

static void clear(struct party *p, size_t hosts)
{
    for (size_t i = 0; i <= hosts; i++) {
        for (size_t c = 0; c < p[i].len; c++)
            ccz_chan_free(p[i].chan[c]);
        ccz_sboost_model_free(p[i].model);
        ccz_sboost_part_free(p[i].part);
    }
}

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

/* ------------------------------------------------------------------------------------- states */

struct shape {
    struct ccz_sboost_cfg cfg;
    size_t hosts;
    struct ccz_secret *seal[HOSTS + 1];
};

/* Guest and hosts with states of the names dir/0, dir/1, .. */
static void seat_kept(struct party *p, const struct shape *sh, const struct table *t,
                      const struct ccz_paillier_key *key, const char *dir)
{
    static char path[HOSTS + 1][512];
    memset(p, 0, (sh->hosts + 1) * sizeof(*p));
    seat(p, sh->hosts, t, key, &sh->cfg);
    for (size_t i = 0; i <= sh->hosts; i++) {
        (void)snprintf(path[i], sizeof(path[i]), "%s/%zu", dir, i);
        p[i].run.timeout_ms = 3000;
        p[i].run.checkpoint = path[i];
        p[i].run.seal = sh->seal[i];
    }
}

static void shape_begin(struct shape *sh, size_t hosts, const struct ccz_sboost_cfg *cfg)
{
    *sh = (struct shape){.cfg = *cfg, .hosts = hosts};
    for (size_t i = 0; i <= hosts; i++) {
        uint8_t seal[32] = {(uint8_t)(i + 1)};
        CHECK(ccz_secret_from(&sh->seal[i], seal, sizeof(seal)) == CCZ_OK);
    }
}

static void shape_end(struct shape *sh)
{
    for (size_t i = 0; i <= sh->hosts; i++)
        ccz_secret_free(sh->seal[i]);
}

/* All that came out, as text. */
static void outcome(struct ccz_buf *out, const struct party *p, size_t hosts)
{
    ccz_buf_clear(out);
    ccz_sboost_model_json(out, p[0].model);
    for (size_t i = 1; i <= hosts; i++)
        ccz_sboost_part_json(out, p[i].part);
    CHECK(!out->bad);
}

/* Whoever is cut off after its n-th message, for each n: what comes out in the end is what comes out of an undisturbed training. */
static void interrupted(size_t hosts, const struct ccz_sboost_cfg *cfg, uint64_t step)
{
    static struct table t;
    static struct party p[HOSTS + 1];
    struct shape sh;
    char dir[32] = "calm";
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO_BUF want;
    CCZ_AUTO_BUF got;
    ccz_buf_init(&want, 1 << 20);
    ccz_buf_init(&got, 1 << 20);
    fill(&t, cfg->loss, 11);
    shape_begin(&sh, hosts, cfg);
    static unsigned turn;
    (void)snprintf(dir, sizeof(dir), "calm-%u", turn);
    seat_kept(p, &sh, &t, key, temp_make_dir(dir));
    run_all(p, hosts);
    all_well(p, hosts);
    outcome(&want, p, hosts);
    clear(p, hosts);
    unsigned cuts = 0, resumed = 0;
    for (size_t side = 0; side <= hosts; side++)
        for (uint64_t n = 1;; n += step) {
            const struct ccz_chan_fault_cfg fault = {.send_cut_after = n};
            char text[512];
            (void)snprintf(dir, sizeof(dir), "wild-%u-%zu-%u", turn, side, (unsigned)n);
            (void)snprintf(text, sizeof(text), "%s", temp_make_dir(dir));
            seat_kept(p, &sh, &t, key, text);
            struct ccz_chan **last = &p[side].chan[p[side].len - 1];
            CHECK(ccz_chan_fault_new(last, *last, &fault, NULL) == CCZ_OK);
            run_all(p, hosts);
            bool cut = p[0].rc != CCZ_OK;
            unsigned trees = p[0].trees;
            for (size_t i = 0; i <= hosts; i++)
                cut |= p[i].rc != CCZ_OK;
            clear(p, hosts);
            seat_kept(p, &sh, &t, key, text); /* again, with what there is */
            run_all(p, hosts);
            all_well(p, hosts);
            outcome(&got, p, hosts);
            CHECK(ccz_span_eq(ccz_buf_span(&got), ccz_buf_span(&want)));
            for (size_t i = 1; i <= hosts; i++)
                CHECK(p[i].trees >= p[0].trees && p[i].trees <= p[0].trees + 1);
            CHECK(p[0].trees + trees == cfg->rounds * cczi_sb_outputs(cfg)); /* none twice */
            cuts += cut;
            resumed += cut && trees > 0;
            clear(p, hosts);
            if (!cut)
                break;
        }
    CHECK(cuts > 2 && resumed > 0);
    turn++;
    shape_end(&sh);
}

static void resume(void)
{
    temp_setup();
    interrupted(1, &(struct ccz_sboost_cfg){.rounds = 3, .depth = 3, .bins = 8}, 7);
    interrupted(2,
                &(struct ccz_sboost_cfg){
                    .rounds = 3, .depth = 2, .bins = 8, .goss_top = 0.2, .goss_rest = 0.3},
                13);
    interrupted(1,
                &(struct ccz_sboost_cfg){
                    .loss = CCZ_SBOOST_SOFTMAX, .classes = 3, .rounds = 2, .depth = 2, .bins = 8},
                13);
}

static void flip(const char *path)
{
    struct ccz_buf b;
    ccz_buf_init(&b, 1 << 20);
    CHECK(ccz_file_read(&b, path, NULL) == CCZ_OK && b.size > 100);
    b.ptr[100] ^= 1;
    CHECK(ccz_file_write(path, ccz_buf_span(&b), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    ccz_buf_free(&b);
}

static void swap(const char *a, const char *b)
{
    char tmp[512];
    (void)snprintf(tmp, sizeof(tmp), "%s", temp_path("swapped"));
    CHECK(rename(a, tmp) == 0 && rename(b, a) == 0 && rename(tmp, b) == 0);
}

/* States that are not of this training, of this run, or not as they were written. */
static void resume_refuses(void)
{
    static struct table t;
    static struct party p[2];
    struct shape sh;
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    struct ccz_sboost_cfg cfg = {.rounds = 3, .depth = 2, .bins = 8};
    char d[2][512];
    temp_setup();
    fill(&t, CCZ_SBOOST_LOGISTIC, 11);
    shape_begin(&sh, 1, &cfg);
    for (int i = 0; i < 2; i++) { /* two runs of the same, each cut off after two trees */
        (void)snprintf(d[i], sizeof(d[i]), "%s", temp_make_dir(i ? "b" : "a"));
        seat_kept(p, &sh, &t, key, d[i]);
        p[0].run.sample_seed = 0; /* so that they are two */
        p[0].stop_after = 2;
        run_all(p, 1);
        CHECK(p[0].rc != CCZ_OK && p[0].trees == 2);
        clear(p, 1);
    }
    enum {
        NO_GUEST,
        NO_HOST,
        OTHER_RUN,
        MIXED,
        FLIP_GUEST,
        FLIP_HOST,
        SEAL,
        SEED,
        LABELS,
        COLUMNS,
        CONFIG,
        NO_SEAL,
        CASES
    };
    static const struct {
        int who;
        const char *where;
    } want[CASES] = {{0, "sboost:resume"},
                     {0, "sboost:resume"},
                     {0, "sboost:resume"},
                     {1, "sboost:checkpoint-config"},
                     {0, "pf:"},
                     {1, "pf:"},
                     {1, "pf:"},
                     {0, "sboost:checkpoint-config"},
                     {0, "sboost:checkpoint-config"},
                     {1, "sboost:checkpoint-config"},
                     {0, "sboost:checkpoint-config"},
                     {0, "sboost:config"}};
    char name[6][600];
    for (int i = 0; i < 6; i++)
        (void)snprintf(name[i], sizeof(name[i]), "%s/%d.%d", d[i / 4], i / 2 % 2, i % 2);
    char other[2][600];
    for (int i = 0; i < 2; i++)
        (void)snprintf(other[i], sizeof(other[i]), "%s/1.%d", d[1], i);
    for (int i = 0; i < CASES; i++) {
        double kept = t.y[3];
        if (i == LABELS)
            t.y[3] = 1 - kept;
        sh.cfg.gamma = i == CONFIG ? 1 : 0;
        seat_kept(p, &sh, &t, key, d[0]);
        p[0].run.sample_seed = i == SEED ? 9 : 0;
        if (i == NO_GUEST)
            p[0].run.checkpoint = temp_path("none");
        if (i == NO_HOST)
            p[1].run.checkpoint = temp_path("none");
        if (i == OTHER_RUN)
            p[1].run.checkpoint = other[0], other[0][strlen(other[0]) - 2] = 0;
        if (i == MIXED)
            swap(name[3], other[1]);
        if (i == FLIP_GUEST)
            flip(name[1]);
        if (i == FLIP_HOST)
            flip(name[3]);
        if (i == SEAL)
            p[1].run.seal = sh.seal[0];
        if (i == COLUMNS)
            p[1].x[5] += 1;
        if (i == NO_SEAL)
            p[0].run.seal = NULL;
        run_all(p, 1);
        const struct party *who = &p[want[i].who];
        if (strncmp(who->err.where, want[i].where, strlen(want[i].where)) != 0)
            fprintf(stderr, "case %d: %s: %s\n", i, who->err.where, who->err.msg);
        CHECK(strncmp(who->err.where, want[i].where, strlen(want[i].where)) == 0);
        CHECK(p[0].rc != CCZ_OK && p[1].rc != CCZ_OK && !p[0].model && !p[1].part);
        clear(p, 1);
        t.y[3] = kept;
        if (i == OTHER_RUN)
            other[0][strlen(other[0])] = '.';
        if (i == MIXED)
            swap(name[3], other[1]);
        if (i == FLIP_GUEST)
            flip(name[1]);
        if (i == FLIP_HOST)
            flip(name[3]);
    }
    /* as it was, it goes on; and then both have the end of it without the other */
    for (int i = 0; i < 2; i++) {
        CCZ_AUTO(ccz_sboost_model) m = NULL;
        CCZ_AUTO(ccz_sboost_part) part = NULL;
        CCZ_AUTO_BUF want_json;
        CCZ_AUTO_BUF got;
        ccz_buf_init(&want_json, 1 << 20);
        ccz_buf_init(&got, 1 << 20);
        seat_kept(p, &sh, &t, key, d[0]);
        p[0].run.sample_seed = 0;
        ccz_rc rc[2] = {ccz_sboost_guest_stored(&m, 1, &p[0].data, &p[0].run, &err),
                        ccz_sboost_host_stored(&part, &p[1].data, &p[1].run, &err)};
        CHECK(rc[0] == (i ? CCZ_OK : CCZ_E_NOT_FOUND) && rc[1] == rc[0]);
        CHECK(i || strcmp(err.where, "sboost:unfinished") == 0);
        run_all(p, 1);
        all_well(p, 1);
        CHECK(p[0].trees == (i ? 0 : 1));
        outcome(&want_json, p, 1);
        if (i) {
            ccz_sboost_model_json(&got, m);
            ccz_sboost_part_json(&got, part);
            CHECK(ccz_span_eq(ccz_buf_span(&got), ccz_buf_span(&want_json)));
        }
        clear(p, 1);
    }
    shape_end(&sh);
}

/* ------------------------------------------------------------------------------------- refusals */

static void refuses(void)
{
    static struct table t;
    static struct party p[2];
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    const uint8_t ids[2][32] = {{1}, {2}};
    fill(&t, CCZ_SBOOST_LOGISTIC, 11);
    static const struct {
        ccz_rc rc;
        int who;
        const char *where;
    } want[] = {{CCZ_E_MISMATCH, 1, "sboost:alignment"},
                {CCZ_E_MISMATCH, 1, "sboost:alignment"},
                {CCZ_E_MISMATCH, 1, "sboost:config-digest"},
                {CCZ_E_ARG, 0, "sboost:labels"},
                {CCZ_E_ARG, 0, "sboost:config"},
                {CCZ_E_ARG, 1, "sboost:not-finite"},
                {CCZ_E_LIMIT, 1, "paillier:n-bits"},
                {CCZ_E_ARG, 0, "sboost:config"},
                {CCZ_E_ARG, 1, "sboost:data"}};
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        struct ccz_sboost_cfg cfg = {.rounds = 1, .depth = 2, .bins = 8}, other = cfg;
        double kept = t.y[3];
        memset(p, 0, sizeof(p));
        other.gamma = 1;
        t.y[3] = i == 3 ? 0.5 : t.y[3];
        seat(p, 1, &t, key, &cfg);
        if (i == 0)
            p[1].data.rows--;
        if (i == 1)
            p[0].data.ids = ids[0], p[1].data.ids = ids[1];
        if (i == 2)
            p[1].run.cfg = &other;
        if (i == 4)
            p[0].key = NULL;
        if (i == 5)
            p[1].x[17] = NAN;
        if (i == 6)
            p[1].run.key_1024_insecure = false;
        if (i == 7)
            p[0].run.key_1024_insecure = false;
        if (i == 8)
            p[1].data.cols = 0;
        run_all(p, 1);
        const struct party *who = &p[want[i].who];
        if (who->rc != want[i].rc || strcmp(who->err.where, want[i].where) != 0)
            fprintf(stderr, "case %zu: %s: %s\n", i, who->err.where, who->err.msg);
        CHECK(who->rc == want[i].rc && strcmp(who->err.where, want[i].where) == 0);
        CHECK(p[0].rc != CCZ_OK && p[1].rc != CCZ_OK && !p[0].model && !p[1].part);
        t.y[3] = kept;
        clear(p, 1);
    }
    struct ccz_err err = {0};
    const struct ccz_sboost_cfg flaws[] = {
        {.rounds = 0},
        {.rounds = CCZ_SBOOST_TREES_MAX + 1},
        /* 2^32 trees: as many as none */
        {.rounds = 1U << 26, .loss = CCZ_SBOOST_SOFTMAX, .classes = 64},
        {.rounds = 1, .loss = CCZ_SBOOST_SOFTMAX},
        {.rounds = 1, .classes = 3},
        {.rounds = 1, .depth = 11},
        {.rounds = 1, .bins = 1},
        {.rounds = 1, .bins = 257},
        {.rounds = 1, .eta = 1.5},
        {.rounds = 1, .eta = NAN},
        {.rounds = 1, .lambda = -1},
        {.rounds = 1, .gamma = NAN},
        {.rounds = 1, .min_child = -1},
        {.rounds = 1, .goss_top = 0.2},
        {.rounds = 1, .goss_top = 0.7, .goss_rest = 0.4},
        {.rounds = 1, .loss = (enum ccz_sboost_loss)3}};
    for (size_t i = 0; i < sizeof(flaws) / sizeof(flaws[0]); i++) {
        struct ccz_sboost_cfg out;
        CHECK(cczi_sb_config(&out, &flaws[i], &err) == CCZ_E_ARG &&
              strcmp(err.where, "sboost:config") == 0);
    }
}

/* Messages shortened, sent twice or left out, of either side: both end, with a reason, and nobody hangs. */
static void refuses_changes(void)
{
    static struct table t;
    static struct party p[2];
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    const struct ccz_sboost_cfg cfg = {.rounds = 1, .depth = 2, .bins = 4};
    fill(&t, CCZ_SBOOST_LOGISTIC, 11);
    for (int side = 0; side < 2; side++)
        for (uint64_t n = 1; n <= (side ? 3 : 6); n++)
            for (int what = 0; what < 3; what++) {
                const struct ccz_chan_fault_cfg fault = {.send_shorten = what == 0 ? n : 0,
                                                         .send_repeat = what == 1 ? n : 0,
                                                         .send_drop = what == 2 ? n : 0};
                memset(p, 0, sizeof(p));
                seat(p, 1, &t, key, &cfg);
                p[0].run.timeout_ms = p[1].run.timeout_ms = 3000;
                CHECK(ccz_chan_fault_new(&p[side].chan[0], p[side].chan[0], &fault, NULL) ==
                      CCZ_OK);
                run_all(p, 1);
                const struct ccz_err *e = &p[1 - side].err;
                if (p[1 - side].rc == CCZ_OK)
                    fprintf(stderr, "side %d, message %d, fault %d: accepted\n", side, (int)n,
                            what);
                CHECK(p[1 - side].rc != CCZ_OK && e->where[0]);
                CHECK(strncmp(e->where, "sboost:", 7) == 0 ||
                      strncmp(e->where, "paillier:", 9) == 0 || strncmp(e->where, "chan:", 5) == 0);
                CHECK(!p[0].model && !p[1].part);
                clear(p, 1);
            }
}

/* A host that takes another host for its guest. */
static void refuses_role(void)
{
    static struct table t;
    static struct party p[2];
    const struct ccz_sboost_cfg cfg = {.rounds = 1, .depth = 2, .bins = 4};
    struct cczi_sb_session s;
    struct ccz_err err = {0};
    fill(&t, CCZ_SBOOST_LOGISTIC, 11);
    memset(p, 0, sizeof(p));
    seat(p, 1, &t, NULL, &cfg);
    CHECK(pthread_create(&p[1].thread, NULL, run_host, &p[1]) == 0);
    CHECK(cczi_sb_session_init(&s, &p[0].run, p[0].chan, 1, &err) == CCZ_OK);
    CHECK(cczi_sb_greet(&s, false, &p[0].data, NULL, &err) == CCZ_E_MISMATCH &&
          strcmp(err.where, "sboost:role") == 0);
    ccz_chan_close(p[0].chan[0], "done");
    CHECK(pthread_join(p[1].thread, NULL) == 0);
    CHECK(p[1].rc == CCZ_E_MISMATCH && strcmp(p[1].err.where, "sboost:role") == 0 && !p[1].part);
    (void)cczi_sb_session_end(&s, CCZ_OK, NULL, NULL);
    clear(p, 1);
}

/* A host that answers with a ciphertext that is not packed as agreed. */
static void refuses_candidates(void)
{
    static struct table t;
    static struct party p[2];
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_paillier_pub) pub = ccz_paillier_key_pub(key);
    CCZ_AUTO(ccz_paillier_plain) plain = NULL;
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    const struct ccz_sboost_cfg cfg = {.rounds = 1, .depth = 2, .bins = 4};
    struct cczi_sb_session s;
    struct ccz_err err = {0};
    fill(&t, CCZ_SBOOST_LOGISTIC, 11);
    memset(p, 0, sizeof(p));
    seat(p, 1, &t, key, &cfg);
    CHECK(pthread_create(&p[0].thread, NULL, run_guest, &p[0]) == 0);
    CHECK(cczi_sb_session_init(&s, &p[1].run, p[1].chan, 1, &err) == CCZ_OK);
    CHECK(cczi_sb_greet(&s, false, &p[1].data, NULL, &err) == CCZ_OK);
    CHECK(ccz_paillier_plain_i64(&plain, pub, &(int64_t){1}, 1, 20, NULL, &err) == CCZ_OK);
    CHECK(ccz_paillier_encrypt(&v, plain, NULL, &err) == CCZ_OK);
    cczi_sb_msg_begin(&s.out, CCZI_SB_CANDIDATES, 0, 0);
    CHECK(ccz_paillier_vec_write(&s.out, v, &err) == CCZ_OK);
    CHECK(cczi_sb_send(&s, 0, &err) == CCZ_OK);
    CHECK(pthread_join(p[0].thread, NULL) == 0);
    CHECK(p[0].rc == CCZ_E_PEER && strcmp(p[0].err.where, "sboost:candidate") == 0 && !p[0].model);
    (void)cczi_sb_session_end(&s, CCZ_OK, NULL, NULL);
    clear(p, 1);
}

/* A guest of its own making: messages in a wrong order, choices that were not offered, ciphertexts that are too large. */
static void refuses_order(void)
{
    static struct table t;
    static struct party p[2];
    CCZ_AUTO(ccz_paillier_key) key = small_key();
    CCZ_AUTO(ccz_paillier_pub) pub = ccz_paillier_key_pub(key);
    const struct ccz_sboost_cfg cfg = {.rounds = 1, .depth = 2, .bins = 4};
    fill(&t, CCZ_SBOOST_LOGISTIC, 11);
    static const uint8_t run[CCZI_SB_RUN_SIZE];
    enum {
        SPLIT_FIRST,
        UNKNOWN_NODE,
        CHOOSE_BEYOND,
        CHOOSE_TWICE,
        SECOND_TREE,
        HOSTS_OWN,
        ONE_SIDE,
        TOO_LARGE,
        FORGED,
        NO_ROWS
    };
    static const char *const want[] = {
        "sboost:order", "sboost:order", "sboost:candidate", "sboost:order",   "sboost:order",
        "sboost:order", "sboost:split", "sboost:message",   "sboost:message", "sboost:message"};
    for (int i = SPLIT_FIRST; i <= NO_ROWS; i++) {
        struct cczi_sb_session s;
        struct ccz_err err = {0};
        memset(p, 0, sizeof(p));
        seat(p, 1, &t, key, &cfg);
        CHECK(pthread_create(&p[1].thread, NULL, run_host, &p[1]) == 0);
        CHECK(cczi_sb_session_init(&s, &p[0].run, p[0].chan, 1, &err) == CCZ_OK);
        CHECK(cczi_sb_greet(&s, true, &p[0].data, NULL, &err) == CCZ_OK);
        cczi_sb_msg_begin(&s.out, CCZI_SB_KEY, 0, 0);
        ccz_paillier_pub_write(&s.out, pub);
        CHECK(cczi_sb_send(&s, 0, &err) == CCZ_OK);
        cczi_sb_msg_begin(&s.out, CCZI_SB_START, 0, 0);
        ccz_buf_put(&s.out, run, sizeof(run));
        CHECK(cczi_sb_send(&s, 0, &err) == CCZ_OK);
        cczi_sb_msg_begin(&s.out, CCZI_SB_TREE, 0, 0);
        if (i == FORGED)
            ccz_buf_u8(&s.out, 1);
        for (size_t k = 0; i == NO_ROWS && k < cczi_sb_bitmap_size(ROWS); k++)
            ccz_buf_u8(&s.out, 0);
        CHECK(cczi_sb_send(&s, 0, &err) == CCZ_OK);
        CCZ_AUTO(ccz_paillier_plain) plain = NULL;
        CCZ_AUTO(ccz_paillier_vec) v = NULL;
        static int64_t m[ROWS];
        unsigned bits = i == TOO_LARGE ? 62 : 20;
        CHECK(ccz_paillier_plain_i64(&plain, pub, m, ROWS, bits, NULL, &err) == CCZ_OK);
        CHECK(ccz_paillier_encrypt(&v, plain, NULL, &err) == CCZ_OK);
        cczi_sb_msg_begin(&s.out, CCZI_SB_GRADIENTS, 0, 0);
        CHECK(ccz_paillier_vec_write(&s.out, v, &err) == CCZ_OK);
        (void)cczi_sb_send(&s, 0, NULL); /* it may be gone by then */
        if (i >= CHOOSE_BEYOND && i <= CHOOSE_TWICE) {
            cczi_sb_msg_begin(&s.out, CCZI_SB_NODE, 0, 0);
            CHECK(cczi_sb_send(&s, 0, &err) == CCZ_OK);
            CHECK(cczi_sb_expect(&s, 0, CCZI_SB_CANDIDATES, 0, 0, 1 << 20, &err) == CCZ_OK);
        }
        if (i == ONE_SIDE) {
            cczi_sb_msg_begin(&s.out, CCZI_SB_NODE, 0, 0);
            CHECK(cczi_sb_send(&s, 0, &err) == CCZ_OK);
        }
        enum cczi_sb_kind kind = i == UNKNOWN_NODE   ? CCZI_SB_NODE
                                 : i <= SPLIT_FIRST  ? CCZI_SB_SPLIT
                                 : i <= CHOOSE_TWICE ? CCZI_SB_CHOOSE
                                 : i == SECOND_TREE  ? CCZI_SB_TREE
                                 : i == HOSTS_OWN    ? CCZI_SB_NODE
                                                     : CCZI_SB_SPLIT;
        cczi_sb_msg_begin(&s.out, kind, i == SECOND_TREE ? 2 : 0, i == UNKNOWN_NODE ? 1 << 30 : 0);
        if (i ==
            HOSTS_OWN) /* DONE where a tree more was agreed upon: the first one is there, so an earlier config */
            cczi_sb_msg_begin(&s.out, CCZI_SB_LEFT, 0, 0), ccz_buf_le32(&s.out, 0);
        if (kind == CCZI_SB_CHOOSE)
            ccz_buf_le32(&s.out, i == CHOOSE_BEYOND ? 4 * 3 : 0);
        for (size_t k = 0; kind == CCZI_SB_SPLIT && k < cczi_sb_bitmap_size(ROWS); k++)
            ccz_buf_u8(&s.out, 0); /* all rows to the right */
        (void)cczi_sb_send(&s, 0, NULL);
        if (i == CHOOSE_TWICE)
            (void)cczi_sb_send(&s, 0, NULL);
        CHECK(pthread_join(p[1].thread, NULL) == 0);
        if (strcmp(p[1].err.where, want[i]) != 0)
            fprintf(stderr, "case %d: %s: %s\n", i, p[1].err.where, p[1].err.msg);
        CHECK(p[1].rc == CCZ_E_PEER && strcmp(p[1].err.where, want[i]) == 0 && !p[1].part);
        (void)cczi_sb_session_end(&s, CCZ_OK, NULL, NULL);
        clear(p, 1);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"sboost.bins", bins},
        {"sboost.steps", steps},
        {"sboost.goss", goss},
        {"sboost.messages", messages},
        {"sboost.local", local},
        {"sboost.hosts", hosts},
        {"sboost.losses", losses},
        {"sboost.sampled", sampled},
        {"sboost.predict", predict},
        {"sboost.resume", resume},
        {"sboost.resume_refuses", resume_refuses},
        {"sboost.refuses", refuses},
        {"sboost.refuses_changes", refuses_changes},
        {"sboost.refuses_order", refuses_order},
        {"sboost.refuses_role", refuses_role},
        {"sboost.refuses_candidates", refuses_candidates},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
