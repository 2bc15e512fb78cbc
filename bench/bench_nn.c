/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The built-in trainer: `bench_nn [tier]...`, all by default. Columns: network.tier, samples trained per second on one
 * core (forward, backward and step, batches of 64 and momentum), samples evaluated per second. Random images: time
 * does not depend on what they show.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <cczoo/nn.h>

enum { LEN = 4096, SIDE = 28, CLASSES = 10 };

struct world {
    struct ccz_nn *nn;
    float *params;
    struct ccz_nn_data data;
    struct ccz_nn_train_cfg cfg;
};

static void call_train(struct world *w)
{
    struct ccz_nn_metrics m;
    must(ccz_nn_train(&m, w->params, w->nn, &w->data, &w->cfg, NULL) == CCZ_OK, "training");
}

static void call_evaluate(struct world *w)
{
    struct ccz_nn_metrics m;
    must(ccz_nn_evaluate(&m, w->nn, w->params, &w->data, NULL) == CCZ_OK, "evaluation");
}

/* Best of BENCH_ROUNDS, samples per second. */
static double rate(void (*call)(struct world *w), struct world *w)
{
    double best = 0;
    call(w);
    for (int r = 0; r < BENCH_ROUNDS; r++) {
        const int64_t start = cpu_ns();
        call(w);
        const double now = (double)w->data.len * 1e9 / (double)(cpu_ns() - start);
        best = now > best ? now : best;
    }
    return best;
}

static void run(const char *name, const struct ccz_nn_spec *spec, const char *tier,
                const struct ccz_nn_data *data)
{
    struct world w = {.data = *data,
                      .cfg = {.epochs = 1, .batch = 64, .lr = 1e-4f, .momentum = 0.9f}};
    struct ccz_err err = {0};
    if (ccz_nn_new(&w.nn, spec, tier, &err) != CCZ_OK) {
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
        return;
    }
    w.params = malloc(ccz_nn_params_len(w.nn) * sizeof(float));
    must(w.params, "memory");
    ccz_nn_init(w.params, w.nn, 1);
    const double train = rate(call_train, &w);
    printf("%s.%s\t%.0f\t%.0f\n", name, tier, train, rate(call_evaluate, &w));
    fflush(stdout);
    ccz_nn_free(w.nn);
    free(w.params);
}

int main(int argc, char **argv)
{
    const char *all[] = {"portable", "avx2", "avx512"};
    const char *const *tiers = argc > 1 ? (const char *const *)argv + 1 : all;
    const int tiers_len = argc > 1 ? argc - 1 : 3;
    uint8_t *bytes = malloc((size_t)LEN * SIDE * SIDE);
    uint32_t *labels = malloc(LEN * sizeof(*labels));
    must(bytes && labels, "memory");
    uint32_t state = 1;
    for (size_t i = 0; i < (size_t)LEN * SIDE * SIDE; i++) {
        state = state * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(state >> 24);
    }
    for (size_t i = 0; i < LEN; i++)
        labels[i] = (uint32_t)i % CLASSES;
    const struct ccz_nn_data data = {.bytes = bytes, .labels = labels, .len = LEN};
    const uint32_t hidden[] = {200};
    const struct ccz_nn_spec lenet = ccz_nn_spec_lenet(1, SIDE, SIDE, CLASSES),
                             mlp = ccz_nn_spec_mlp(SIDE * SIDE, hidden, 1, CLASSES),
                             softmax = ccz_nn_spec_softmax(SIDE * SIDE, CLASSES);
    for (int t = 0; t < tiers_len; t++) {
        run("lenet", &lenet, tiers[t], &data);
        run("mlp200", &mlp, tiers[t], &data);
        run("softmax", &softmax, tiers[t], &data);
    }
    free(bytes);
    free(labels);
    return 0;
}
