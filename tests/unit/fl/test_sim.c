/* SPDX-License-Identifier: Apache-2.0 */
/* Simulations: real server, real clients, built-in trainer, data made up here. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "temp_dir.h"

#include <cczoo/fl_sim.h>

#include <math.h>

enum { TRAIN = 600, TEST = 200, WIDTH = 20, CLASSES = 4, CLIENTS = 12 };

/* Points around a centre for each class. */
static struct ccz_dataset *points(size_t len, uint64_t seed)
{
    struct ccz_dataset *d;
    const struct ccz_dataset_shape shape = {
        .len = len, .rank = 1, .dims = {WIDTH}, .classes = CLASSES};
    CHECK(ccz_dataset_new(&d, &shape, NULL) == CCZ_OK);
    struct ccz_seeded r = ccz_seeded_from(seed, 0);
    for (size_t i = 0; i < len; i++) {
        d->label[i] = (uint32_t)ccz_seeded_below(&r, CLASSES);
        for (size_t k = 0; k < WIDTH; k++)
            d->values[i * WIDTH + k] =
                (float)ccz_seeded_normal(&r) + (k % CLASSES == d->label[i] ? 1.2f : 0);
    }
    return d;
}

struct world {
    struct ccz_dataset *train, *test;
    uint32_t part[TRAIN];
    struct ccz_fl_sim_cfg cfg;
    struct ccz_fl_record records[64];
    size_t records_len, refusals;
    bool stop;
    size_t stop_after; /* rounds; 0 = never */
};

static void on_round(void *arg, const struct ccz_fl_record *r)
{
    struct world *w = arg;
    CHECK(w->records_len < 64);
    w->records[w->records_len++] = *r;
    if (w->records_len == w->stop_after)
        *(volatile bool *)&w->stop = true;
}

static void on_refusal(void *arg, const char *member, uint64_t round, const struct ccz_err *why)
{
    struct world *w = arg;
    (void)member;
    (void)round;
    (void)why;
    w->refusals++;
}

static void world_init(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->train = points(TRAIN, 1);
    w->test = points(TEST, 2);
    const struct ccz_dataset_partition_cfg p = {
        .skew = CCZ_DATASET_DIRICHLET, .parts = CLIENTS, .alpha = 0.5, .least = 5, .seed = 3};
    CHECK(ccz_dataset_partition(w->part, w->train->label, TRAIN, CLASSES, &p, NULL) == CCZ_OK);
    w->cfg = (struct ccz_fl_sim_cfg){.train = w->train,
                                     .test = w->test,
                                     .part = w->part,
                                     .clients = CLIENTS,
                                     .spec = ccz_nn_spec_softmax(WIDTH, CLASSES),
                                     .threads = 3,
                                     .server = {.rounds = 8,
                                                .seeded = true,
                                                .seed = 5,
                                                .train = {.epochs = 2, .batch = 10, .lr = 0.1f}},
                                     .on_round = on_round,
                                     .on_refusal = on_refusal,
                                     .arg = w};
}

static void world_free(struct world *w)
{
    ccz_dataset_free(w->train);
    ccz_dataset_free(w->test);
}

static float *run(struct world *w, size_t *len)
{
    struct ccz_fl_sim_result r;
    struct ccz_err err = {0};
    w->records_len = 0;
    if (ccz_fl_simulate(&r, &w->cfg, &err) != CCZ_OK) {
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
        CHECK(false);
    }
    CHECK(r.rounds == w->cfg.server.rounds);
    *len = r.len;
    return r.params;
}

static void test_learns(void)
{
    struct world w;
    size_t len;
    world_init(&w);
    float *model = run(&w, &len);
    CHECK(len == WIDTH * CLASSES + CLASSES && w.records_len == 8 && w.refusals == 0);
    for (size_t i = 0; i < 8; i++) {
        const struct ccz_fl_record *r = &w.records[i];
        CHECK(r->round == i + 1 && r->delivered == CLIENTS && r->samples == TRAIN);
        CHECK(r->eval.samples == TEST && r->train.samples == TRAIN && r->sent_size > 0);
    }
    CHECK(w.records[7].eval.accuracy > 0.85 && w.records[7].eval.loss < w.records[0].eval.loss);
    free(model);
    /* as good as all data in one place, better than each alone */
    struct ccz_fl_baseline central, alone;
    CHECK(ccz_fl_sim_central(&central, &w.cfg, 16, NULL, NULL, NULL) == CCZ_OK);
    CHECK(ccz_fl_sim_alone(&alone, &w.cfg, 16, 0, NULL) == CCZ_OK);
    CHECK(central.models == 1 && alone.models == CLIENTS && alone.epochs == 16);
    CHECK(w.records[7].eval.accuracy > central.accuracy - 0.05);
    CHECK(alone.accuracy < central.accuracy - 0.05 && alone.accuracy_min <= alone.accuracy &&
          alone.accuracy <= alone.accuracy_max);
    world_free(&w);
}

/* The same bits from any number of threads, and none from another seed. */
static void test_threads(void)
{
    struct world w;
    size_t len, other;
    world_init(&w);
    w.cfg.server.sample_len = 7;
    w.cfg.threads = 1;
    float *one = run(&w, &len);
    w.cfg.threads = 4;
    float *four = run(&w, &other);
    CHECK(len == other && memcmp(one, four, len * sizeof(*one)) == 0);
    CHECK(w.records[0].selected == 7);
    free(four);
    w.cfg.server.seed = 6;
    four = run(&w, &other);
    CHECK(memcmp(one, four, len * sizeof(*one)) != 0);
    free(one);
    free(four);
    world_free(&w);
}

/* What a round is, in plain: each client from the model on its rows, then the mean by rows. */
static void test_is_fedavg(void)
{
    struct world w;
    size_t len;
    world_init(&w);
    w.cfg.server.rounds = 1;
    w.cfg.server.train.batch = 4096; /* whole parts: no order, so that no seed is needed */
    float *got = run(&w, &len);
    struct ccz_nn *nn;
    CHECK(ccz_nn_new(&nn, &w.cfg.spec, NULL, NULL) == CCZ_OK);
    float first[128], local[128];
    double sum[128] = {0};
    CHECK(len <= 128);
    ccz_nn_init(first, nn, w.cfg.seed);
    for (uint32_t c = 0; c < CLIENTS; c++) {
        uint32_t rows[TRAIN];
        size_t rows_len = 0;
        for (uint32_t i = 0; i < TRAIN; i++)
            if (w.part[i] == c)
                rows[rows_len++] = i;
        struct ccz_nn_data d = ccz_fl_nn_data(w.train);
        struct ccz_nn_metrics m;
        d.rows = rows;
        d.rows_len = rows_len;
        memcpy(local, first, sizeof(local));
        CHECK(ccz_nn_train(&m, local, nn, &d,
                           &(struct ccz_nn_train_cfg){.epochs = 2, .batch = 4096, .lr = 0.1f},
                           NULL) == CCZ_OK);
        for (size_t i = 0; i < len; i++)
            sum[i] += (double)local[i] * (double)rows_len / TRAIN;
    }
    for (size_t i = 0; i < len; i++)
        CHECK(fabs((double)got[i] - sum[i]) < 1e-5);
    free(got);
    ccz_nn_free(nn);
    world_free(&w);
}

static void test_strategies(void)
{
    struct world w;
    size_t len;
    world_init(&w);
    float *plain = run(&w, &len);
    const struct {
        enum ccz_fl_rule rule;
        enum ccz_agg_opt_kind opt;
        float mu;
        bool scaffold;
        enum ccz_agg_codec_kind codec;
    } kinds[] = {{CCZ_FL_MEAN, CCZ_AGG_FEDAVG, 0.5f, false, CCZ_AGG_F32},
                 {CCZ_FL_MEAN, CCZ_AGG_FEDAVG, 0, true, CCZ_AGG_F32},
                 {CCZ_FL_MEAN, CCZ_AGG_FEDAVGM, 0, false, CCZ_AGG_F32},
                 {CCZ_FL_MEAN, CCZ_AGG_FEDADAM, 0, false, CCZ_AGG_F32},
                 {CCZ_FL_MEDIAN, CCZ_AGG_FEDAVG, 0, false, CCZ_AGG_F32},
                 {CCZ_FL_MEAN, CCZ_AGG_FEDAVG, 0, false, CCZ_AGG_INT8}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t other;
        w.cfg.server.agg = (struct ccz_fl_agg_cfg){.rule = kinds[i].rule,
                                                   .opt = ccz_agg_opt_defaults(kinds[i].opt),
                                                   .scaffold = kinds[i].scaffold,
                                                   .codec = {.kind = kinds[i].codec}};
        w.cfg.server.train.prox_mu = kinds[i].mu;
        float *model = run(&w, &other);
        CHECK(other == len && memcmp(model, plain, len * sizeof(*model)) != 0);
        CHECK(w.records[7].eval.loss < w.records[0].eval.loss && w.refusals == 0);
        free(model);
    }
    free(plain);
    world_free(&w);
}

/* Stopped in the middle and gone on: the same bits as without, also of what clients keep. */
static void check_resume(bool scaffold)
{
    struct world w;
    const char *dir = temp_path(scaffold ? "scaffold" : "mean");
    size_t len, other;
    world_init(&w);
    w.cfg.server.agg.scaffold = scaffold;
    float *whole = run(&w, &len);
    CCZ_AUTO(ccz_secret) key = NULL;
    CHECK(ccz_secret_new(&key, CCZ_FL_KEY_SIZE) == CCZ_OK);
    memset(ccz_secret_bytes(key), 7, CCZ_FL_KEY_SIZE);
    w.cfg.dir = dir;
    w.cfg.key = key;
    w.cfg.stop = &w.stop;
    w.stop_after = 3;
    w.records_len = 0;
    struct ccz_fl_sim_result r;
    struct ccz_err err = {0};
    CHECK(ccz_fl_simulate(&r, &w.cfg, &err) == CCZ_E_CLOSED);
    CHECK(strcmp(err.where, "fl:sim-stopped") == 0 && !r.params && w.records_len >= 3);
    const size_t done = w.records_len;
    CHECK(done < 8);
    w.stop = false;
    w.stop_after = 0;
    float *rest = run(&w, &other);
    CHECK(w.records[0].round == done + 1 && w.records_len == 8 - done);
    CHECK(len == other && memcmp(whole, rest, len * sizeof(*rest)) == 0);
    free(rest);
    /* nothing is left to do */
    CHECK(ccz_fl_simulate(&r, &w.cfg, &err) == CCZ_OK && r.resumed && r.rounds == 8);
    CHECK(memcmp(whole, r.params, len * sizeof(*whole)) == 0);
    free(r.params);
    /* another key opens nothing */
    memset(ccz_secret_bytes(key), 8, CCZ_FL_KEY_SIZE);
    CHECK(ccz_fl_simulate(&r, &w.cfg, &err) == CCZ_E_SIG && !r.params);
    free(whole);
    world_free(&w);
}

static void test_resume(void)
{
    temp_setup();
    check_resume(false);
    check_resume(true);
}

static void refused(const struct world *w, ccz_rc rc, const char *where)
{
    struct ccz_fl_sim_result r;
    struct ccz_err err = {0};
    const ccz_rc got = ccz_fl_simulate(&r, &w->cfg, &err);
    if (got != rc || strcmp(err.where, where) != 0)
        fprintf(stderr, "%s (%s: %s), not %s\n", ccz_rc_name(got), err.where, err.msg, where);
    CHECK(got == rc && strcmp(err.where, where) == 0 && !r.params);
}

static void test_refuse(void)
{
    struct world w;
    world_init(&w);
    w.cfg.clients = 0;
    refused(&w, CCZ_E_ARG, "fl:sim-config");
    w.cfg.clients = CLIENTS + 1; /* one without samples */
    refused(&w, CCZ_E_ARG, "fl:sim-part");
    w.cfg.clients = CLIENTS - 1; /* a sample of nobody's */
    refused(&w, CCZ_E_ARG, "fl:sim-part");
    w.cfg.clients = CLIENTS;
    w.cfg.dir = "/nowhere";
    refused(&w, CCZ_E_ARG, "fl:sim-config"); /* no key */
    w.cfg.dir = NULL;
    w.cfg.spec.layers[0].relu = true;
    refused(&w, CCZ_E_ARG, "nn:last");
    w.cfg.spec.layers[0].relu = false;
    w.cfg.spec.width++; /* data of another width would be read behind its end */
    refused(&w, CCZ_E_ARG, "fl:sim-config");
    w.cfg.spec.width--;
    w.cfg.spec.layers[0].out--; /* a class that the network does not have */
    refused(&w, CCZ_E_FORMAT, "nn:label");
    w.cfg.spec.layers[0].out++;
    w.cfg.server.train.lr = 3e38f; /* the trainer's failure ends the run */
    w.cfg.server.train.epochs = 50;
    refused(&w, CCZ_E_LIMIT, "nn:diverged");
    struct ccz_fl_baseline b;
    struct ccz_err err = {0};
    CHECK(ccz_fl_sim_alone(&b, &w.cfg, 50, 0, &err) == CCZ_E_LIMIT && b.models == 0);
    CHECK(ccz_fl_sim_central(&b, &w.cfg, 50, NULL, NULL, &err) == CCZ_E_LIMIT && b.models == 0);
    w.cfg.test = NULL;
    CHECK(ccz_fl_sim_alone(&b, &w.cfg, 1, 0, &err) == CCZ_E_ARG);
    world_free(&w);
}

/* Every update is refused: the run ends with a reason instead of waiting for ever. */
static void test_norm_bound(void)
{
    struct world w;
    world_init(&w);
    w.cfg.server.norm_max = 1e-6;
    w.cfg.server.attempts_max = 2;
    struct ccz_fl_sim_result r;
    struct ccz_err err = {0};
    CHECK(ccz_fl_simulate(&r, &w.cfg, &err) != CCZ_OK && !r.params && err.where[0]);
    CHECK(w.refusals > 0 && w.records_len == 0);
    world_free(&w);
}

/* ------------------------------------------------------------------------------------- trainer */

/* Private rounds with many threads: the same model but for rounding, by the same messages as in deployments. */
static void test_private(void)
{
    struct world w;
    size_t len, other;
    world_init(&w);
    w.cfg.server.samples_max = 600;
    float *plain = run(&w, &len);
    w.cfg.server.privacy = (struct ccz_fl_privacy){.secagg = true, .range = 1};
    float *masked = run(&w, &other);
    CHECK(len == other && w.refusals == 0 && w.records[7].private_size > 0);
    for (size_t i = 0; i < len; i++)
        CHECK(fabsf(plain[i] - masked[i]) < 1e-4f);
    CHECK(w.records[7].eval.accuracy > 0.85);
    /* with noise it costs accuracy, and says how much privacy it is worth */
    w.cfg.server.agg.equal_weights = true;
    w.cfg.server.quorum = CLIENTS;
    w.cfg.server.privacy = (struct ccz_fl_privacy){
        .secagg = true, .clip = 1, .multiplier = 0.5, .noise_at_members = true};
    float *noisy = run(&w, &other);
    CHECK(w.records[7].epsilon > w.records[0].epsilon && w.records[0].epsilon > 1);
    CHECK(w.records[7].eval.accuracy > 0.6 && memcmp(noisy, masked, len * sizeof(*noisy)) != 0);
    free(plain);
    free(masked);
    free(noisy);
    world_free(&w);
}

static void test_specs(void)
{
    struct world w;
    struct ccz_nn_spec s;
    struct ccz_err err = {0};
    world_init(&w);
    CHECK(ccz_fl_nn_spec(&s, "softmax", w.train, NULL) == CCZ_OK && s.layers[0].out == CLASSES);
    CHECK(ccz_fl_nn_spec(&s, "mlp:30,5", w.train, NULL) == CCZ_OK && s.layers_len == 3 &&
          s.layers[0].out == 30 && s.layers[1].out == 5 && s.layers[1].relu && !s.layers[2].relu);
    static const char *const bad[] = {"",
                                      "mlp",
                                      "mlp:",
                                      "mlp:0",
                                      "mlp:3,",
                                      "mlp:-3",
                                      "mlp:3 ",
                                      "mlp:3,,4",
                                      "resnet",
                                      "softmax ",
                                      "mlp:99999999999",
                                      "mlp:1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(ccz_fl_nn_spec(&s, bad[i], w.train, &err) == CCZ_E_ARG &&
              strcmp(err.where, "fl:nn-model") == 0 && s.layers_len == 0);
    CHECK(ccz_fl_nn_spec(&s, "lenet", w.train, &err) == CCZ_E_ARG &&
          strcmp(err.where, "fl:nn-data") == 0);
    CHECK(ccz_fl_nn_spec(&s, "logistic", w.train, &err) == CCZ_E_ARG);
    w.train->classes = 2;
    CHECK(ccz_fl_nn_spec(&s, "logistic", w.train, &err) == CCZ_OK && s.loss == CCZ_NN_LOGISTIC);
    world_free(&w);
}

static void test_trainer(void)
{
    struct world w;
    world_init(&w);
    struct ccz_fl_nn_cfg cfg = {.spec = w.cfg.spec, .train = ccz_fl_nn_data(w.train), .seed = 4};
    struct ccz_fl_trainer t;
    struct ccz_fl_metrics m;
    float a[128], b[128];
    CHECK(ccz_fl_nn_trainer(&t, &cfg, NULL) == CCZ_OK);
    const struct ccz_fl_layout *l = t.ops->layout(t.self);
    CHECK(l->tensors_len == 2 && l->len == WIDTH * CLASSES + CLASSES);
    CHECK(strcmp(l->tensors[0].name, "fc1.weight") == 0 && l->tensors[0].dims[0] == CLASSES &&
          l->tensors[0].dims[1] == WIDTH && l->tensors[1].offset == WIDTH * CLASSES);
    CHECK(t.ops->get(t.self, a, NULL) == CCZ_OK);
    CHECK(t.ops->evaluate(&m, t.self, NULL) == CCZ_OK && m.samples == 0); /* no held-out rows */
    const struct ccz_fl_train_cfg c = {.epochs = 3, .batch = 10, .lr = 0.1f, .seed = 9};
    CHECK(t.ops->train(&m, t.self, &c, NULL) == CCZ_OK && m.samples == TRAIN &&
          m.steps == 3 * TRAIN / 10);
    CHECK(t.ops->get(t.self, b, NULL) == CCZ_OK && memcmp(a, b, l->len * sizeof(*a)) != 0);
    const struct ccz_nn_data test = ccz_fl_nn_data(w.test);
    ccz_fl_nn_use(&t, &cfg.train, &test);
    CHECK(t.ops->evaluate(&m, t.self, NULL) == CCZ_OK && m.samples == TEST && m.accuracy > 0.8);
    /* a training is a function of parameters, data and settings */
    float again[128];
    CHECK(t.ops->set(t.self, a, NULL) == CCZ_OK && t.ops->train(&m, t.self, &c, NULL) == CCZ_OK);
    CHECK(t.ops->get(t.self, again, NULL) == CCZ_OK);
    CHECK(memcmp(again, b, l->len * sizeof(*b)) == 0);
    /* the correction moves each step, beside momentum */
    float correction[128] = {0};
    correction[3] = 1;
    struct ccz_fl_train_cfg corrected = c;
    corrected.epochs = 1;
    corrected.batch = TRAIN;
    CHECK(t.ops->set(t.self, a, NULL) == CCZ_OK &&
          t.ops->train(&m, t.self, &corrected, NULL) == CCZ_OK);
    CHECK(t.ops->get(t.self, b, NULL) == CCZ_OK);
    corrected.correction = correction;
    CHECK(t.ops->set(t.self, a, NULL) == CCZ_OK &&
          t.ops->train(&m, t.self, &corrected, NULL) == CCZ_OK);
    CHECK(t.ops->get(t.self, again, NULL) == CCZ_OK);
    CHECK(fabsf(b[3] - again[3] - 0.1f) < 1e-6f && b[4] == again[4]);
    t.ops->free(t.self);
    world_free(&w);
}

/* Normalisation of a data set is that of the network's input. */
static void test_normalised(void)
{
    struct ccz_dataset *d;
    const struct ccz_dataset_shape shape = {
        .len = 3, .rank = 3, .dims = {16, 16, 3}, .classes = 2, .bytes = true};
    CHECK(ccz_dataset_new(&d, &shape, NULL) == CCZ_OK);
    for (size_t i = 0; i < 3 * 768; i++)
        d->bytes[i] = (uint8_t)(i * 37);
    const float mean[3] = {0.1f, 0.5f, 0.3f}, deviation[3] = {0.2f, 0.5f, 2};
    memcpy(d->mean, mean, sizeof(mean));
    memcpy(d->deviation, deviation, sizeof(deviation));
    struct ccz_nn_spec s;
    struct ccz_nn *nn;
    static float w[100000], x[3 * 768], got[6], want[6];
    CHECK(ccz_fl_nn_spec(&s, "lenet", d, NULL) == CCZ_OK && s.channels == 3);
    CHECK(ccz_nn_new(&nn, &s, NULL, NULL) == CCZ_OK && ccz_nn_params_len(nn) < 100000);
    ccz_nn_init(w, nn, 1);
    const struct ccz_nn_data bytes = ccz_fl_nn_data(d);
    ccz_dataset_gather(x, NULL, d, NULL, 3);
    const struct ccz_nn_data floats = {.floats = x, .len = 3, .channels_last = true};
    CHECK(ccz_nn_scores(got, nn, w, &bytes, NULL) == CCZ_OK);
    CHECK(ccz_nn_scores(want, nn, w, &floats, NULL) == CCZ_OK);
    for (size_t i = 0; i < 6; i++)
        CHECK(fabsf(got[i] - want[i]) < 1e-4f);
    ccz_nn_free(nn);
    ccz_dataset_free(d);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"fl_sim.learns", test_learns},
        {"fl_sim.threads", test_threads},
        {"fl_sim.is_fedavg", test_is_fedavg},
        {"fl_sim.strategies", test_strategies},
        {"fl_sim.resume", test_resume},
        {"fl_sim.refuse", test_refuse},
        {"fl_sim.norm_bound", test_norm_bound},
        {"fl_sim.private", test_private},
        {"fl_nn.specs", test_specs},
        {"fl_nn.trainer", test_trainer},
        {"fl_nn.normalised", test_normalised},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
