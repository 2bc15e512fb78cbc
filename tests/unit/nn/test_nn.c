/* SPDX-License-Identifier: Apache-2.0 */
#include "ccz_test.h"
#include "nn/nn_priv.h"
#include "reference.h"

enum { PARAMS_MAX = 65536 };

static struct ccz_nn_layer conv(uint32_t out, uint32_t size)
{
    return (struct ccz_nn_layer){.kind = CCZ_NN_CONV, .out = out, .size = size, .relu = true};
}

static struct ccz_nn_layer pool(uint32_t size)
{
    return (struct ccz_nn_layer){.kind = CCZ_NN_POOL, .size = size};
}

static struct ccz_nn_layer dense(uint32_t out, bool relu)
{
    return (struct ccz_nn_layer){.kind = CCZ_NN_DENSE, .out = out, .relu = relu};
}

/* Networks that reach every border of every kernel: sizes that no tile divides, windows that leave something out. */
static struct ccz_nn_spec network(size_t i)
{
    const uint32_t hidden[] = {33, 7};
    struct ccz_nn_spec s = {.channels = 2, .height = 11, .width = 13};
    switch (i) {
    case 0:
        return ccz_nn_spec_logistic(37);
    case 1:
        return ccz_nn_spec_softmax(50, 9);
    case 2:
        return ccz_nn_spec_mlp(70, hidden, 2, 5);
    case 3: /* convolution on convolution, without ReLU between, gradient spread into a padded layer */
        s.layers_len = 3;
        s.layers[0] = conv(3, 4);
        s.layers[0].relu = false;
        s.layers[1] = conv(5, 3);
        s.layers[2] = dense(4, false);
        return s;
    case 4: /* windows of 3 that leave a row and a column out */
        s.layers_len = 4;
        s.layers[0] = conv(9, 2);
        s.layers[1] = pool(3);
        s.layers[2] = conv(8, 1);
        s.layers[3] = dense(3, false);
        return s;
    case 5: /* pools of what has no ReLU, and one at the beginning */
        s.height = s.width = 24;
        s.layers_len = 6;
        s.layers[0] = pool(2);
        s.layers[1] = conv(7, 5);
        s.layers[1].relu = false;
        s.layers[2] = pool(2);
        s.layers[3] = pool(2);
        s.layers[4] = dense(6, true);
        s.layers[5] = dense(2, false);
        return s;
    case 6:
        return ccz_nn_spec_lenet(1, 16, 19, 10);
    default:
        return (struct ccz_nn_spec){0};
    }
}
enum { NETWORKS = 7 };

struct samples {
    struct ccz_nn_data data;
    float *x;
    uint32_t *labels;
};

static struct samples samples_new(size_t len, size_t features, uint32_t classes, uint64_t seed)
{
    struct samples s = {.x = malloc(len * features * sizeof(float)),
                        .labels = malloc(len * sizeof(uint32_t))};
    CHECK(s.x && s.labels);
    for (size_t i = 0; i < len * features; i++)
        s.x[i] = (float)(cczi_nn_random(&seed) >> 40) * 0x1p-23f - 1;
    for (size_t i = 0; i < len; i++)
        s.labels[i] = (uint32_t)(cczi_nn_random(&seed) % classes);
    s.data = (struct ccz_nn_data){.floats = s.x, .labels = s.labels, .len = len};
    return s;
}

static void samples_free(struct samples *s)
{
    free(s->x);
    free(s->labels);
}

static uint32_t classes_of(const struct ccz_nn *nn)
{
    return ccz_nn_outputs(nn) == 1 ? 2 : (uint32_t)ccz_nn_outputs(nn);
}

static struct ccz_nn *make(const struct ccz_nn_spec *spec, const char *tier)
{
    struct ccz_nn *nn;
    CHECK(ccz_nn_new(&nn, spec, tier, NULL) == CCZ_OK);
    return nn;
}

static const char *const tiers[] = {"portable", "avx2", "avx512"};
static bool have(const char *tier)
{
    return cczi_nn_kernels(tier);
}

/* ---------------------------------------------------------------------------------------- spec */

static void refused(const struct ccz_nn_spec *spec, ccz_rc rc, const char *where)
{
    struct ccz_nn *nn;
    struct ccz_err err = {0};
    CHECK(ccz_nn_new(&nn, spec, NULL, &err) == rc && !nn);
    CHECK(strcmp(err.where, where) == 0);
}

static void test_spec(void)
{
    struct ccz_nn_spec s = ccz_nn_spec_lenet(1, 28, 28, 10);
    struct ccz_nn *nn = make(&s, NULL);
    size_t len, at = 0;
    const struct ccz_nn_tensor *t = ccz_nn_tensors(&len, nn);
    static const char *const names[] = {"conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias",
                                        "fc1.weight",   "fc1.bias",   "fc2.weight",   "fc2.bias",
                                        "fc3.weight",   "fc3.bias"};
    CHECK(len == 10 && ccz_nn_params_len(nn) == 44426 && ccz_nn_features(nn) == 784);
    for (size_t i = 0; i < len; i++) {
        CHECK(strcmp(t[i].name, names[i]) == 0 && t[i].at == at);
        at += t[i].len;
    }
    CHECK(at == 44426 && t[2].rank == 4 && t[2].dims[0] == 16 && t[2].dims[1] == 6 &&
          t[2].dims[2] == 5 && t[2].dims[3] == 5 && t[4].rank == 2 && t[4].dims[1] == 256);
    ccz_nn_free(nn);
    const struct ccz_nn_spec none = {.channels = 1, .height = 1, .width = 3};
    refused(&none, CCZ_E_ARG, "nn:layer");
    s.layers[1].out = 3; /* pools have no number of outputs */
    refused(&s, CCZ_E_ARG, "nn:layer");
    s = ccz_nn_spec_lenet(1, 28, 28, 10);
    s.layers[2] = dense(9, true); /* a pool behind a dense layer */
    refused(&s, CCZ_E_ARG, "nn:layer");
    s = ccz_nn_spec_lenet(1, 15, 28, 10);
    refused(&s, CCZ_E_ARG, "nn:image");
    s = ccz_nn_spec_lenet(1, 28, 28, 1); /* softmax over one class */
    refused(&s, CCZ_E_ARG, "nn:last");
    s = ccz_nn_spec_softmax(10, 3);
    s.layers[0].relu = true;
    refused(&s, CCZ_E_ARG, "nn:last");
    s = ccz_nn_spec_logistic(10);
    s.layers[0].out = 2;
    refused(&s, CCZ_E_ARG, "nn:last");
    s = ccz_nn_spec_softmax(CCZ_NN_WIDTH_MAX, 65);
    refused(&s, CCZ_E_LIMIT, "nn:size");
    s = ccz_nn_spec_softmax(CCZ_NN_WIDTH_MAX + 1, 2);
    refused(&s, CCZ_E_LIMIT, "nn:size");
    s = ccz_nn_spec_lenet(UINT32_MAX, UINT32_MAX, UINT32_MAX, 2);
    refused(&s, CCZ_E_LIMIT, "nn:size");
    s = ccz_nn_spec_mlp(3, NULL, CCZ_NN_LAYERS_MAX, 3);
    refused(&s, CCZ_E_ARG, "nn:layer");
    s = ccz_nn_spec_softmax(3, 3);
    struct ccz_err err = {0};
    CHECK(ccz_nn_new(&nn, &s, "sse9", &err) == CCZ_E_UNSUPPORTED &&
          strcmp(err.where, "nn:tier") == 0);
}

static void test_init(void)
{
    const struct ccz_nn_spec s = ccz_nn_spec_lenet(1, 28, 28, 10);
    struct ccz_nn *nn = make(&s, NULL);
    static float a[PARAMS_MAX], b[PARAMS_MAX];
    const size_t len = ccz_nn_params_len(nn);
    ccz_nn_init(a, nn, 5);
    ccz_nn_init(b, nn, 5);
    CHECK(memcmp(a, b, len * sizeof(*a)) == 0);
    ccz_nn_init(b, nn, 6);
    CHECK(memcmp(a, b, len * sizeof(*a)) != 0);
    size_t tensors;
    const struct ccz_nn_tensor *t = ccz_nn_tensors(&tensors, nn);
    static const double fan_in[] = {25, 150, 256, 120, 84};
    for (size_t i = 0; i < tensors; i++) {
        double low = 1, high = -1, bound = 1 / sqrt(fan_in[i / 2]);
        for (size_t k = 0; k < t[i].len; k++) {
            low = fmin(low, (double)a[t[i].at + k]);
            high = fmax(high, (double)a[t[i].at + k]);
        }
        CHECK(low >= -bound && high <= bound);
        CHECK(t[i].len < 100 || (low < -0.9 * bound && high > 0.9 * bound)); /* the whole range */
    }
    ccz_nn_free(nn);
}

/* ------------------------------------------------------------------------------------ gradient */

/* What the reference says of one network: derivatives along random directions within each tensor, and single ones. */
enum { DIRECTIONS = 3, SINGLES = 40, MEASURED = CCZ_NN_TENSORS_MAX * DIRECTIONS + SINGLES };
struct expected {
    double loss, scores[17][16], slope[MEASURED];
};

static double sign(uint64_t direction, size_t i)
{
    uint64_t state = direction * 1000003 + i;
    return cczi_nn_random(&state) >> 63 ? 1 : -1;
}

/* The m-th measured derivative: which parameters it moves, and how. Zero length: there is none. */
static size_t measured(size_t *at, const struct ccz_nn *nn, size_t m)
{
    size_t tensors;
    const struct ccz_nn_tensor *t = ccz_nn_tensors(&tensors, nn);
    if (m < tensors * DIRECTIONS) {
        *at = t[m / DIRECTIONS].at;
        return t[m / DIRECTIONS].len;
    }
    uint64_t state = m;
    *at = cczi_nn_random(&state) % ccz_nn_params_len(nn);
    return m < tensors * DIRECTIONS + SINGLES;
}

static void expect(struct expected *e, const struct ccz_nn_spec *spec, const struct ccz_nn *nn,
                   const struct ccz_nn_data *data, const float *w)
{
    const size_t n = ccz_nn_params_len(nn), features = ccz_nn_features(nn);
    double *ref = malloc(n * sizeof(*ref));
    const double h = 1e-7;
    CHECK(ref);
    for (size_t i = 0; i < n; i++)
        ref[i] = (double)w[i];
    e->loss = ref_loss(spec, ref, data, features);
    for (size_t i = 0; i < data->len; i++)
        ref_scores(e->scores[i], spec, ref, data->floats + i * features);
    for (size_t m = 0; m < MEASURED; m++) {
        size_t at, len = measured(&at, nn, m);
        double loss[2];
        for (int s = 0; len && s < 2; s++) {
            for (size_t i = at; i < at + len; i++)
                ref[i] = (double)w[i] + (s ? -h : h) * sign(m, i);
            loss[s] = ref_loss(spec, ref, data, features);
        }
        for (size_t i = at; i < at + len; i++)
            ref[i] = (double)w[i];
        e->slope[m] = len ? (loss[0] - loss[1]) / (2 * h) : 0;
    }
    free(ref);
}

static void check_gradient(const struct expected *e, struct ccz_nn *nn, const float *w,
                           const struct ccz_nn_data *data)
{
    const size_t n = ccz_nn_params_len(nn), outputs = ccz_nn_outputs(nn);
    float *g = malloc(n * sizeof(*g)), *z = malloc(data->len * outputs * sizeof(*z));
    struct ccz_nn_metrics m;
    CHECK(g && z);
    CHECK(ccz_nn_gradient(g, &m, nn, w, data, NULL) == CCZ_OK);
    CHECK(fabs(m.loss - e->loss) < 1e-5);
    CHECK(ccz_nn_scores(z, nn, w, data, NULL) == CCZ_OK);
    for (size_t i = 0; i < data->len * outputs; i++)
        CHECK(fabs((double)z[i] - e->scores[i / outputs][i % outputs]) < 1e-4);
    for (size_t k = 0; k < MEASURED; k++) {
        size_t at, len = measured(&at, nn, k);
        double slope = 0;
        for (size_t i = at; i < at + len; i++)
            slope += (double)g[i] * sign(k, i);
        CHECK(fabs(slope - e->slope[k]) < 2e-5 + 1e-5 * (double)len / 100);
    }
    free(g);
    free(z);
}

static void test_gradient(void)
{
    static float w[PARAMS_MAX];
    static struct expected e;
    for (size_t i = 0; i < NETWORKS; i++) {
        const struct ccz_nn_spec spec = network(i);
        for (size_t len = 3; len <= 17; len += 14) { /* 17: two groups, the second of one sample */
            struct ccz_nn *nn = make(&spec, NULL);
            struct samples s = samples_new(len, ccz_nn_features(nn), classes_of(nn), len);
            ccz_nn_init(w, nn, 3);
            expect(&e, &spec, nn, &s.data, w);
            ccz_nn_free(nn);
            for (size_t t = 0; t < 3; t++) {
                if (!have(tiers[t]))
                    continue;
                nn = make(&spec, tiers[t]);
                check_gradient(&e, nn, w, &s.data);
                ccz_nn_free(nn);
            }
            samples_free(&s);
        }
    }
}

/* Ties of a pool: the first of equals has the gradient, all of it and once. */
static void test_ties(void)
{
    struct ccz_nn_spec s = {.channels = 1, .height = 4, .width = 4, .layers_len = 3};
    s.layers[0] = conv(1, 1);
    s.layers[1] = pool(2);
    s.layers[2] = dense(2, false);
    const float x[16] = {1, 1, 2, 0, 1, 1, 0, 2, 0, 0, -1, -1, 0, 0, -1, -1};
    const float w[] = {1, 0, /* conv */ 1, 10, 100, 1000, 0, 0, 0, 0, 0, 0};
    const uint32_t label = 1;
    const struct ccz_nn_data data = {.floats = x, .labels = &label, .len = 1};
    for (size_t t = 0; t < 3; t++) {
        if (!have(tiers[t]))
            continue;
        struct ccz_nn *nn = make(&s, tiers[t]);
        float g[12];
        CHECK(ccz_nn_params_len(nn) == 12);
        CHECK(ccz_nn_gradient(g, NULL, nn, w, &data, NULL) == CCZ_OK);
        /* scores 1 * 1 + 2 * 10 and 0: the first has probability 1, so that d = (1, -1) */
        CHECK(fabsf(g[0] - (1 * 1 + 2 * 10)) < 1e-4f && fabsf(g[1] - 11) < 1e-4f);
        ccz_nn_free(nn);
    }
}

/* ------------------------------------------------------------------------------------ training */

/* The settings of a step against their formulas: whole-data batches, so that the order does not matter. */
static void check_steps(const struct ccz_nn_train_cfg *cfg, const char *tier)
{
    const struct ccz_nn_spec spec = network(2);
    struct ccz_nn *nn = make(&spec, tier), *other = make(&spec, tier);
    const size_t n = ccz_nn_params_len(nn);
    struct samples s = samples_new(10, 70, 5, 1);
    float *w = malloc(n * sizeof(*w)), *got = malloc(n * sizeof(*w)), *g = malloc(n * sizeof(*w)),
          *v = calloc(n, sizeof(*v)), *start = malloc(n * sizeof(*w));
    CHECK(w && got && g && v && start);
    ccz_nn_init(w, nn, 1);
    memcpy(got, w, n * sizeof(*w));
    memcpy(start, w, n * sizeof(*w));
    struct ccz_nn_metrics m;
    CHECK(ccz_nn_train(&m, got, nn, &s.data, cfg, NULL) == CCZ_OK);
    CHECK(m.steps == cfg->epochs && m.samples == 10 * cfg->epochs);
    const float *centre = cfg->centre ? cfg->centre : start;
    for (uint32_t e = 0; e < cfg->epochs; e++) {
        CHECK(ccz_nn_gradient(g, NULL, other, w, &s.data, NULL) == CCZ_OK);
        for (size_t i = 0; i < n; i++) {
            v[i] = cfg->momentum * v[i] + g[i] + cfg->weight_decay * w[i] +
                   cfg->prox_mu * (w[i] - centre[i]);
            w[i] -= cfg->lr * (v[i] + (cfg->correction ? cfg->correction[i] : 0));
        }
    }
    for (size_t i = 0; i < n; i++)
        CHECK(fabsf(w[i] - got[i]) < 1e-5f);
    CHECK(memcmp(got, start, n * sizeof(*w)) != 0);
    free(w);
    free(got);
    free(g);
    free(v);
    free(start);
    samples_free(&s);
    ccz_nn_free(nn);
    ccz_nn_free(other);
}

static void test_steps(void)
{
    static float correction[PARAMS_MAX], centre[PARAMS_MAX];
    for (size_t i = 0; i < PARAMS_MAX; i++) {
        correction[i] = (float)(i % 7) * 0.01f - 0.03f;
        centre[i] = (float)(i % 5) * 0.1f;
    }
    for (size_t t = 0; t < 3; t++) {
        if (!have(tiers[t]))
            continue;
        struct ccz_nn_train_cfg cfg = {.epochs = 4, .batch = 10, .lr = 0.1f};
        check_steps(&cfg, tiers[t]);
        cfg.weight_decay = 0.1f;
        check_steps(&cfg, tiers[t]);
        cfg.momentum = 0.9f;
        check_steps(&cfg, tiers[t]);
        cfg.prox_mu = 0.5f;
        check_steps(&cfg, tiers[t]);
        cfg.correction = correction;
        check_steps(&cfg, tiers[t]);
        cfg.centre = centre;
        check_steps(&cfg, tiers[t]);
        cfg.momentum = 0;
        check_steps(&cfg, tiers[t]);
    }
}

/* Points of three classes, far apart: every network learns them. */
static void test_learns(void)
{
    struct samples s = samples_new(120, 2 * 16 * 16, 3, 9);
    for (size_t i = 0; i < 120; i++)
        for (size_t k = 0; k < 64; k++)
            s.x[i * 512 + s.labels[i] * 100 + k] += 3;
    const uint32_t hidden[] = {20};
    const struct ccz_nn_spec specs[] = {ccz_nn_spec_softmax(512, 3),
                                        ccz_nn_spec_mlp(512, hidden, 1, 3),
                                        ccz_nn_spec_lenet(2, 16, 16, 3)};
    for (size_t i = 0; i < 3; i++) {
        static float w[PARAMS_MAX];
        struct ccz_nn *nn = make(&specs[i], NULL);
        ccz_nn_init(w, nn, 2);
        struct ccz_nn_metrics before, m, after;
        CHECK(ccz_nn_evaluate(&before, nn, w, &s.data, NULL) == CCZ_OK);
        CHECK(ccz_nn_train(&m, w, nn, &s.data,
                           &(struct ccz_nn_train_cfg){
                               .epochs = 20, .batch = 16, .lr = 0.02f, .momentum = 0.9f},
                           NULL) == CCZ_OK);
        CHECK(ccz_nn_evaluate(&after, nn, w, &s.data, NULL) == CCZ_OK);
        CHECK(after.accuracy == 1 && after.loss < before.loss / 10 && m.loss < before.loss);
        CHECK(m.samples == 2400 && m.steps == 160 && after.samples == 120);
        ccz_nn_free(nn);
    }
    for (size_t i = 0; i < 120; i++)
        s.labels[i] = s.labels[i] == 2;
    const struct ccz_nn_spec logistic = ccz_nn_spec_logistic(512);
    struct ccz_nn *nn = make(&logistic, NULL);
    float w[513];
    struct ccz_nn_metrics m;
    ccz_nn_init(w, nn, 2);
    CHECK(ccz_nn_train(&m, w, nn, &s.data,
                       &(struct ccz_nn_train_cfg){.epochs = 20, .batch = 16, .lr = 0.02f},
                       NULL) == CCZ_OK);
    CHECK(ccz_nn_evaluate(&m, nn, w, &s.data, NULL) == CCZ_OK && m.accuracy == 1);
    ccz_nn_free(nn);
    samples_free(&s);
}

static void train_lenet(float *w, struct ccz_nn *nn, const struct ccz_nn_data *data, uint64_t seed)
{
    struct ccz_nn_metrics m;
    ccz_nn_init(w, nn, 1);
    CHECK(ccz_nn_train(&m, w, nn, data,
                       &(struct ccz_nn_train_cfg){.epochs = 2,
                                                  .batch = 20, /* 50 rows: the last batch has 10 */
                                                  .lr = 0.05f,
                                                  .momentum = 0.9f,
                                                  .seed = seed},
                       NULL) == CCZ_OK);
}

/* The same bits from another object, after other work, and from rows of a larger set. */
static void test_same_bits(void)
{
    const struct ccz_nn_spec spec = ccz_nn_spec_lenet(1, 16, 16, 4),
                             wide = ccz_nn_spec_lenet(1, 16, 16, 4);
    struct samples s = samples_new(100, 256, 4, 1);
    uint32_t rows[50];
    float *copy = malloc(50 * 256 * sizeof(*copy));
    uint32_t labels[50];
    CHECK(copy);
    for (size_t i = 0; i < 50; i++) {
        rows[i] = (uint32_t)(99 - 2 * i);
        memcpy(copy + i * 256, s.x + rows[i] * 256, 256 * sizeof(*copy));
        labels[i] = s.labels[rows[i]];
    }
    struct ccz_nn_data view = s.data;
    view.rows = rows;
    view.rows_len = 50;
    const struct ccz_nn_data flat = {.floats = copy, .labels = labels, .len = 50};
    struct ccz_nn *a = make(&spec, NULL), *b = make(&wide, NULL);
    const size_t size = ccz_nn_params_len(a) * sizeof(float);
    static float u[PARAMS_MAX], v[PARAMS_MAX];
    train_lenet(u, a, &view, 3);
    train_lenet(v, b, &s.data, 8); /* other work: more rows, larger batches below */
    struct ccz_nn_metrics m;
    CHECK(ccz_nn_evaluate(&m, b, v, &s.data, NULL) == CCZ_OK);
    train_lenet(v, b, &flat, 3);
    CHECK(memcmp(u, v, size) == 0);
    train_lenet(v, b, &flat, 4); /* another order */
    CHECK(memcmp(u, v, size) != 0);
    free(copy);
    samples_free(&s);
    ccz_nn_free(a);
    ccz_nn_free(b);
}

static void test_tiers(void)
{
    for (size_t i = 0; i < NETWORKS; i++) {
        const struct ccz_nn_spec spec = network(i);
        static float w[3][PARAMS_MAX];
        size_t n = 0;
        for (size_t t = 0; t < 3; t++) {
            if (!have(tiers[t]))
                continue;
            struct ccz_nn *nn = make(&spec, tiers[t]);
            CHECK(strcmp(ccz_nn_tier(nn), tiers[t]) == 0);
            struct samples s = samples_new(45, ccz_nn_features(nn), classes_of(nn), 2);
            struct ccz_nn_metrics m;
            n = ccz_nn_params_len(nn);
            ccz_nn_init(w[t], nn, 1);
            CHECK(ccz_nn_train(&m, w[t], nn, &s.data,
                               &(struct ccz_nn_train_cfg){
                                   .epochs = 2, .batch = 32, .lr = 0.02f, .momentum = 0.5f},
                               NULL) == CCZ_OK);
            for (size_t k = 0; k < n; k++)
                CHECK(fabsf(w[t][k] - w[0][k]) < 1e-4f);
            samples_free(&s);
            ccz_nn_free(nn);
        }
    }
}

/* The best tier that the processor has and the environment allows. */
static void test_choice(void)
{
    const struct ccz_nn_spec spec = network(0);
    struct ccz_nn *nn = make(&spec, NULL);
    const char *wanted = getenv("CCZOO_CPU");
    const enum ccz_cpu_tier most = wanted ? ccz_cpu_tier_from(wanted) : ccz_cpu()->best,
                            got = ccz_cpu_tier_from(ccz_nn_tier(nn));
    CHECK(got <= most && got <= ccz_cpu()->best);
    CHECK(got == CCZ_CPU_AVX512 || got == most || got == ccz_cpu()->best);
    ccz_nn_free(nn);
}

/* A tier that computes something else must not be used. */
static void wrong_step(const struct cczi_nn_step *s)
{
    cczi_nn_portable.step(s);
    s->w[s->len - 1] += 0.01f;
}

static void wrong_pool(float *y, const float *x, const struct cczi_nn_pool *s)
{
    cczi_nn_portable.pool(y, x, s);
    y[0] += 1;
}

static void test_self_test(void)
{
    struct cczi_nn_kernels k = cczi_nn_portable;
    CHECK(cczi_nn_self_test(&k));
    k.step = wrong_step;
    CHECK(!cczi_nn_self_test(&k));
    k.step = cczi_nn_portable.step;
    k.pool = wrong_pool;
    CHECK(!cczi_nn_self_test(&k));
}

/* ---------------------------------------------------------------------------------------- data */

static void refuses(struct ccz_nn *nn, const struct ccz_nn_data *data,
                    const struct ccz_nn_train_cfg *cfg, ccz_rc rc, const char *where)
{
    static float w[PARAMS_MAX], g[PARAMS_MAX];
    struct ccz_nn_metrics m = {.samples = 1};
    struct ccz_err err = {0};
    ccz_nn_init(w, nn, 1);
    CHECK(ccz_nn_train(&m, w, nn, data, cfg, &err) == rc);
    CHECK(strcmp(err.where, where) == 0 && m.samples == 0);
    if (strcmp(where, "nn:config") == 0 || rc == CCZ_OK)
        return;
    CHECK(ccz_nn_evaluate(&m, nn, w, data, &err) == rc && strcmp(err.where, where) == 0);
    CHECK(ccz_nn_gradient(g, &m, nn, w, data, &err) == rc && strcmp(err.where, where) == 0);
}

static void test_refuse(void)
{
    const struct ccz_nn_spec spec = ccz_nn_spec_softmax(6, 3);
    struct ccz_nn *nn = make(&spec, NULL);
    const float x[12] = {0};
    const uint8_t bytes[12] = {0};
    const uint32_t labels[2] = {2, 1}, bad_labels[2] = {1, 3}, rows[2] = {1, 2};
    const struct ccz_nn_data good = {.floats = x, .labels = labels, .len = 2};
    const struct ccz_nn_train_cfg cfg = {.epochs = 1, .batch = 2, .lr = 0.1f};
    struct ccz_nn_data d = good;
    d.floats = NULL;
    refuses(nn, &d, &cfg, CCZ_E_ARG, "nn:data");
    d = good;
    d.bytes = bytes;
    refuses(nn, &d, &cfg, CCZ_E_ARG, "nn:data");
    d = good;
    d.len = 0;
    refuses(nn, &d, &cfg, CCZ_E_ARG, "nn:data");
    d = good;
    d.labels = NULL;
    refuses(nn, &d, &cfg, CCZ_E_ARG, "nn:data");
    d = good;
    d.labels = bad_labels;
    refuses(nn, &d, &cfg, CCZ_E_FORMAT, "nn:label");
    d = good;
    d.rows = rows;
    d.rows_len = 2;
    refuses(nn, &d, &cfg, CCZ_E_ARG, "nn:row");
    const struct ccz_nn_train_cfg bad[] = {
        {.epochs = 0, .batch = 2, .lr = 0.1f},
        {.epochs = 1, .batch = 0, .lr = 0.1f},
        {.epochs = 1, .batch = CCZ_NN_BATCH_MAX + 1, .lr = 0.1f},
        {.epochs = 1, .batch = 2, .lr = 0},
        {.epochs = 1, .batch = 2, .lr = NAN},
        {.epochs = 1, .batch = 2, .lr = INFINITY},
        {.epochs = 1, .batch = 2, .lr = 0.1f, .momentum = 1},
        {.epochs = 1, .batch = 2, .lr = 0.1f, .momentum = -0.1f},
        {.epochs = 1, .batch = 2, .lr = 0.1f, .weight_decay = -1},
        {.epochs = 1, .batch = 2, .lr = 0.1f, .prox_mu = NAN},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refuses(nn, &good, &bad[i], CCZ_E_ARG, "nn:config");
    ccz_nn_free(nn);
    /* the logistic loss has two classes with one output; scores need no labels; gradients have a largest batch */
    const struct ccz_nn_spec logistic = ccz_nn_spec_logistic(6);
    nn = make(&logistic, NULL);
    refuses(nn, &good, &cfg, CCZ_E_FORMAT, "nn:label");
    float w[7] = {0}, z[2];
    d = good;
    d.labels = NULL;
    CHECK(ccz_nn_scores(z, nn, w, &d, NULL) == CCZ_OK);
    static uint32_t many[CCZ_NN_BATCH_MAX + 1];
    d = good;
    d.rows = many;
    d.rows_len = CCZ_NN_BATCH_MAX + 1;
    const uint32_t ones[2] = {1, 1};
    d.labels = ones;
    struct ccz_err err = {0};
    CHECK(ccz_nn_gradient(w, NULL, nn, w, &d, &err) == CCZ_E_LIMIT &&
          strcmp(err.where, "nn:batch") == 0);
    ccz_nn_free(nn);
}

static void test_diverged(void)
{
    const struct ccz_nn_spec spec = network(2);
    struct ccz_nn *nn = make(&spec, NULL);
    struct samples s = samples_new(20, 70, 5, 1);
    static float w[PARAMS_MAX], g[PARAMS_MAX];
    struct ccz_nn_metrics m;
    struct ccz_err err = {0};
    ccz_nn_init(w, nn, 1);
    CHECK(ccz_nn_train(&m, w, nn, &s.data,
                       &(struct ccz_nn_train_cfg){.epochs = 50, .batch = 5, .lr = 1e30f},
                       &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "nn:diverged") == 0 && m.samples == 0);
    w[0] = NAN; /* passes ReLU as well */
    CHECK(ccz_nn_gradient(g, &m, nn, w, &s.data, &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "nn:diverged") == 0);
    CHECK(ccz_nn_evaluate(&m, nn, w, &s.data, NULL) == CCZ_OK && isnan(m.loss));
    samples_free(&s);
    ccz_nn_free(nn);
}

/* Bytes with a scale for each channel, interleaved or not, are what floats of those values are. */
static void test_bytes(void)
{
    const struct ccz_nn_spec spec = ccz_nn_spec_lenet(3, 16, 17, 4);
    struct ccz_nn *nn = make(&spec, NULL);
    enum { LEN = 5, PLANE = 16 * 17, WIDTH = 3 * PLANE };
    static uint8_t planes[LEN * WIDTH], last[LEN * WIDTH];
    static float x[LEN * WIDTH], x_last[LEN * WIDTH], w[PARAMS_MAX], z[4][LEN * 4];
    const float scale[3] = {0.01f, 0.02f, 0.005f}, shift[3] = {-1, 0, 0.5f};
    uint64_t state = 1;
    for (size_t i = 0; i < LEN * WIDTH; i++) {
        const size_t sample = i / WIDTH, c = i % WIDTH / PLANE, p = i % PLANE;
        planes[i] = (uint8_t)cczi_nn_random(&state);
        x[i] = (float)planes[i] * scale[c] + shift[c];
        last[sample * WIDTH + p * 3 + c] = planes[i];
        x_last[sample * WIDTH + p * 3 + c] = x[i];
    }
    ccz_nn_init(w, nn, 1);
    struct ccz_nn_data d[4] = {{.floats = x, .len = LEN},
                               {.floats = x_last, .len = LEN, .channels_last = true},
                               {.bytes = planes, .len = LEN},
                               {.bytes = last, .len = LEN, .channels_last = true}};
    for (size_t i = 0; i < 4; i++) {
        memcpy(d[i].scale, scale, sizeof(scale));
        memcpy(d[i].shift, shift, sizeof(shift));
        CHECK(ccz_nn_scores(z[i], nn, w, &d[i], NULL) == CCZ_OK);
        for (size_t k = 0; k < LEN * 4; k++)
            CHECK(fabsf(z[i][k] - z[0][k]) < 1e-5f);
    }
    memset(d[2].scale, 0, sizeof(d[2].scale)); /* 1/255 */
    memset(d[2].shift, 0, sizeof(d[2].shift));
    for (size_t i = 0; i < LEN * WIDTH; i++)
        x[i] = (float)planes[i] / 255;
    CHECK(ccz_nn_scores(z[0], nn, w, &d[0], NULL) == CCZ_OK);
    CHECK(ccz_nn_scores(z[2], nn, w, &d[2], NULL) == CCZ_OK);
    for (size_t k = 0; k < LEN * 4; k++)
        CHECK(fabsf(z[2][k] - z[0][k]) < 1e-5f);
    ccz_nn_free(nn);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"nn.spec", test_spec},           {"nn.init", test_init},
        {"nn.gradient", test_gradient},   {"nn.ties", test_ties},
        {"nn.steps", test_steps},         {"nn.learns", test_learns},
        {"nn.same_bits", test_same_bits}, {"nn.tiers", test_tiers},
        {"nn.self_test", test_self_test}, {"nn.refuse", test_refuse},
        {"nn.diverged", test_diverged},   {"nn.bytes", test_bytes},
        {"nn.choice", test_choice},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
