/* SPDX-License-Identifier: Apache-2.0 */
/* Networks trained on Fashion-MNIST: fixed point and two parties are right as often as doubles are. Skipped without the data set. */
#include "pair.h"

#include <cczoo/dataset.h>
#include <cczoo/mpcml_nn.h>
#include <cczoo/nn.h>

#include <stdlib.h>

enum { TRAIN = 4000, TEST = 200, PIXELS = 784, SKIP = 77 };

static const char dir[] = "/usr/share/datasets/fashion-mnist/";

/* The first of a set; false: there is none on this machine. */
static bool load(float **x, uint32_t **y, const char *part, size_t len)
{
    struct ccz_idx images = {0}, labels = {0};
    char path[128];
    (void)snprintf(path, sizeof(path), "%s%s-images-idx3-ubyte.gz", dir, part);
    if (ccz_idx_read(&images, path, 3, NULL) != CCZ_OK)
        return false;
    (void)snprintf(path, sizeof(path), "%s%s-labels-idx1-ubyte.gz", dir, part);
    CHECK(ccz_idx_read(&labels, path, 1, NULL) == CCZ_OK);
    *x = malloc(len * PIXELS * sizeof(**x));
    *y = malloc(len * sizeof(**y));
    CHECK(*x && *y && images.dims[0] >= len);
    for (size_t i = 0; i < len * PIXELS; i++)
        (*x)[i] = (float)images.data[i] / 255;
    for (size_t i = 0; i < len; i++)
        (*y)[i] = labels.data[i];
    ccz_idx_free(&images);
    ccz_idx_free(&labels);
    return true;
}

/* A tensor of the trainer, out first, to ours, out last; `at` steps over what was written. Images turn from channels first to last. */
static void copy_tensor(float **at, const float *from, const struct ccz_nn_tensor *t,
                        size_t channels, size_t places)
{
    const size_t out = t->dims[0], in = t->len / out;
    for (size_t i = 0; t->rank > 1 && i < in; i++) {
        const size_t c = i / places % channels, place = i % places;
        for (size_t o = 0; o < out; o++)
            (*at)[(place * channels + c) * out + o] = from[t->at + o * in + i];
    }
    for (size_t o = 0; t->rank == 1 && o < out; o++)
        (*at)[o] = from[t->at + o];
    *at += t->len;
}

static struct ccz_mpcml_network *trained(const struct ccz_nn_spec *from,
                                         const struct ccz_mpcml_spec *to, const float *x,
                                         const uint32_t *y)
{
    struct ccz_nn *nn = NULL;
    struct ccz_mpcml_network *net = NULL;
    struct ccz_nn_metrics m;
    size_t tensors;
    CHECK(ccz_nn_new(&nn, from, NULL, NULL) == CCZ_OK);
    const size_t len = ccz_nn_params_len(nn);
    float *params = malloc(len * sizeof(*params)), *ours = malloc(len * sizeof(*ours)), *at = ours;
    CHECK(params && ours);
    ccz_nn_init(params, nn, 1);
    const struct ccz_nn_data data = {.floats = x, .labels = y, .len = TRAIN};
    const struct ccz_nn_train_cfg cfg = {
        .epochs = 2, .batch = 32, .lr = 0.05F, .momentum = 0.9F, .weight_decay = 1e-4F, .seed = 1};
    CHECK(ccz_nn_train(&m, params, nn, &data, &cfg, NULL) == CCZ_OK);
    const struct ccz_nn_tensor *t = ccz_nn_tensors(&tensors, nn);
    size_t channels = 1, places = PIXELS; /* of what comes in */
    for (size_t i = 0; i < tensors; i++) {
        if (t[i].rank == 4) {
            channels = t[i].dims[1];
            places = (size_t)t[i].dims[2] * t[i].dims[3];
        } else if (t[i].rank == 2 && i > 0 && t[i - 2].rank == 4) { /* behind flattening */
            channels = t[i - 2].dims[0];
            places = t[i].dims[1] / channels;
        } else if (t[i].rank == 2) {
            channels = t[i].dims[1];
            places = 1;
        }
        copy_tensor(&at, params, &t[i], channels, places);
    }
    CHECK(ccz_mpcml_network_new(&net, to, ours, len, NULL) == CCZ_OK);
    /* the same network, in the end */
    float theirs[10];
    double logits[10];
    const struct ccz_nn_data one = {.floats = x, .len = 1};
    CHECK(ccz_nn_scores(theirs, nn, params, &one, NULL) == CCZ_OK);
    CHECK(ccz_mpcml_network_logits(logits, net, x, NULL) == CCZ_OK);
    for (int i = 0; i < 10; i++)
        CHECK(fabs(logits[i] - (double)theirs[i]) < 1e-3);
    free(params);
    free(ours);
    ccz_nn_free(nn);
    return net;
}

/* How often doubles are right. */
static size_t right_in_doubles(const struct ccz_mpcml_network *net, const float *x,
                               const uint32_t *y, size_t len)
{
    size_t right = 0;
    for (size_t i = 0; i < len; i++) {
        double v[10];
        size_t best = 0;
        CHECK(ccz_mpcml_network_logits(v, net, x + i * PIXELS, NULL) == CCZ_OK);
        for (size_t o = 1; o < 10; o++)
            best = v[o] > v[best] ? o : best;
        right += best == y[i];
    }
    return right;
}

static size_t right_of(const uint64_t *classes, const uint32_t *y, size_t len)
{
    size_t right = 0;
    for (size_t i = 0; i < len; i++)
        right += classes[i] == y[i];
    return right;
}

/* Two parties on the first images of the test set: classes. */
static void infer(uint64_t *out, const struct ccz_mpcml_network *net,
                  const struct ccz_mpcml_nn_cfg *cfg, const float *x, enum ccz_mpc_trunc trunc)
{
    struct ccz_mpcml_nn *nn[2];
    struct kit_pair k;
    for (unsigned r = 0; r < 2; r++)
        CHECK(ccz_mpcml_nn_new(&nn[r], r, net, cfg, r ? x : NULL, NULL) == CCZ_OK);
    kit_init(&k, ccz_mpcml_nn_program(nn[0]), ccz_mpcml_nn_program(nn[1]), NULL);
    k.p[0].cfg.trunc = k.p[1].cfg.trunc = trunc;
    for (int r = 0; r < 2;
         r++) /* with sanitizers, on a busy machine, one of both computes for long */
        ccz_chan_set_timeout(k.p[r].chan, INT64_MAX);
    kit_run(&k);
    pair_ok(&k);
    memcpy(out, ccz_mpcml_nn_output(nn[1]), cfg->images * sizeof(*out));
    kit_free(&k);
    for (unsigned r = 0; r < 2; r++)
        ccz_mpcml_nn_free(nn[r]);
}

static int check(const struct ccz_nn_spec *from, const struct ccz_mpcml_spec *to,
                 size_t by_two_parties)
{
    float *x = NULL, *test = NULL;
    uint32_t *y = NULL, *label = NULL;
    uint64_t plain[TEST], got[TEST];
    if (!load(&x, &y, "train", TRAIN))
        return SKIP;
    CHECK(load(&test, &label, "t10k", TEST));
    struct ccz_mpcml_network *net = trained(from, to, x, y);
    struct ccz_mpcml_nn_cfg cfg = {.images = TEST, .batch = 50};
    const size_t real = right_in_doubles(net, test, label, TEST);
    CHECK(ccz_mpcml_nn_simulate(plain, net, &cfg, test, NULL) == CCZ_OK);
    const size_t right = right_of(plain, label, TEST);
    CHECK(real > TEST * 6 / 10);
    CHECK(right + 2 >= real && right <= real + 2); /* a hundredth */
    cfg.images = by_two_parties;
    infer(got, net, &cfg, test, CCZ_MPC_TRUNC_FAITHFUL);
    CHECK(memcmp(got, plain, by_two_parties * sizeof(*got)) == 0);
    cfg.images = by_two_parties / 2;
    infer(got, net, &cfg, test, CCZ_MPC_TRUNC_ONE_BIT);
    const size_t both = right_of(got, label, cfg.images),
                 alone = right_of(plain, label, cfg.images);
    CHECK(both + 2 >= alone && both <= alone + 2);
    ccz_mpcml_network_free(net);
    free(x);
    free(y);
    free(test);
    free(label);
    return 0;
}

#define DENSE(n)                                                                                   \
    {                                                                                              \
        .kind = CCZ_MPCML_DENSE, .out = (n)                                                        \
    }
#define CONV(n)                                                                                    \
    {                                                                                              \
        .kind = CCZ_MPCML_CONV2D, .out = (n), .kh = 5, .kw = 5, .stride = 1                        \
    }
#define POOL                                                                                       \
    {                                                                                              \
        .kind = CCZ_MPCML_MAX_POOL, .kh = 2, .kw = 2, .stride = 2                                  \
    }
#define RELU                                                                                       \
    {                                                                                              \
        .kind = CCZ_MPCML_RELU                                                                     \
    }
#define FLATTEN                                                                                    \
    {                                                                                              \
        .kind = CCZ_MPCML_FLATTEN                                                                  \
    }

static void test_mlp(void)
{
    const uint32_t hidden[] = {128, 128};
    const struct ccz_nn_spec from = ccz_nn_spec_mlp(PIXELS, hidden, 2, 10);
    const struct ccz_mpcml_spec to = {
        .height = 28,
        .width = 28,
        .channels = 1,
        .input_max = 1,
        .weight_max = 2,
        .layers_len = 6,
        .layers = {FLATTEN, DENSE(128), RELU, DENSE(128), RELU, DENSE(10)}};
    if (check(&from, &to, TEST) != 0)
        exit(SKIP);
}

static void test_lenet(void)
{
    const struct ccz_nn_spec from = ccz_nn_spec_lenet(1, 28, 28, 10);
    const struct ccz_mpcml_spec to = {.height = 28,
                                      .width = 28,
                                      .channels = 1,
                                      .input_max = 1,
                                      .weight_max = 2,
                                      .layers_len = 12,
                                      .layers = {CONV(6), RELU, POOL, CONV(16), RELU, POOL, FLATTEN,
                                                 DENSE(120), RELU, DENSE(84), RELU, DENSE(10)}};
    if (check(&from, &to, 4) != 0)
        exit(SKIP);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"fashion.mlp", test_mlp},
                                            {"fashion.lenet", test_lenet}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
