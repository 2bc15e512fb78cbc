/* SPDX-License-Identifier: Apache-2.0 */
/* The trainer that runs TensorFlow models. What it computes is held to the formulas of its optimizer; a small network with
 * batch normalisation and a random layer is used, skipped (77) where TensorFlow or the network is missing. */
#define _GNU_SOURCE
#include "fl/tf_model.h"
#include "temp_dir.h"

#include <cczoo/pf.h>

#include <math.h>

#define WHERE(err, text) (strcmp((err).where, (text)) == 0)

enum { WIDTH = 6, CLASSES = 3, ROWS = 50 };

/* Three clouds that a line can tell apart. */
static struct ccz_dataset *clouds(size_t len, uint64_t seed)
{
    struct ccz_dataset *d = NULL;
    const struct ccz_dataset_shape shape = {
        .len = len, .rank = 1, .dims = {WIDTH}, .classes = CLASSES};
    struct ccz_seeded r = ccz_seeded_from(seed, 0);
    CHECK(ccz_dataset_new(&d, &shape, NULL) == CCZ_OK);
    for (size_t i = 0; i < len; i++) {
        d->label[i] = (uint32_t)ccz_seeded_below(&r, CLASSES);
        for (size_t k = 0; k < WIDTH; k++)
            d->values[i * WIDTH + k] =
                (float)(ccz_seeded_normal(&r) + (k % CLASSES == d->label[i] ? 2 : 0));
    }
    return d;
}

struct bed {
    struct ccz_engine *engine;
    struct ccz_model *model;
    struct ccz_dataset *train, *held_out;
    struct ccz_fl_trainer t;
    size_t len;
    float *first; /* the weights it was exported with */
};

static void *weights(const struct bed *b)
{
    void *p = calloc(b->len, sizeof(float));
    CHECK(p != NULL);
    return p;
}

static struct bed setup(void)
{
    struct bed b = {.engine = tf_engine(), .train = clouds(ROWS, 1), .held_out = clouds(333, 2)};
    struct ccz_err err = {0};
    b.model = tf_model(b.engine, "tiny");
    const struct ccz_fl_tf_cfg cfg = {
        .model = b.model, .train = b.train, .held_out = b.held_out, .eval_batch = 100};
    tf_check(ccz_fl_tf_trainer(&b.t, &cfg, &err), &err);
    b.len = (size_t)b.t.ops->layout(b.t.self)->len;
    b.first = weights(&b);
    tf_check(b.t.ops->get(b.t.self, b.first, &err), &err);
    return b;
}

static void teardown(struct bed *b)
{
    free(b->first);
    b->t.ops->free(b->t.self);
    ccz_model_free(b->model);
    ccz_engine_free(b->engine);
    ccz_dataset_free(b->train);
    ccz_dataset_free(b->held_out);
}

/* Trains from the first weights; the weights after it. */
static float *train(const struct bed *b, const struct ccz_fl_train_cfg *cfg)
{
    struct ccz_err err = {0};
    struct ccz_fl_metrics m;
    float *w = weights(b);
    tf_check(b->t.ops->set(b->t.self, b->first, &err), &err);
    tf_check(b->t.ops->train(&m, b->t.self, cfg, &err), &err);
    tf_check(b->t.ops->get(b->t.self, w, &err), &err);
    return w;
}

static bool same(const struct bed *b, const float *x, const float *y)
{
    return memcmp(x, y, b->len * sizeof(*x)) == 0;
}

static const struct ccz_fl_tensor *tensor(const struct bed *b, const char *part)
{
    const struct ccz_fl_layout *l = b->t.ops->layout(b->t.self);
    for (size_t i = 0; i < l->tensors_len; i++)
        if (strstr(l->tensors[i].name, part))
            return &l->tensors[i];
    CHECK(false);
    return NULL;
}

/* ---- weights */

static void test_weights(void)
{
    struct bed b = setup();
    struct ccz_err err = {0};
    const struct ccz_fl_layout *l = b.t.ops->layout(b.t.self);
    CHECK(l->tensors_len == 8 && l->len == 6 * 8 + 8 + 4 * 8 + 8 * 3 + 3);
    CHECK(strncmp(l->tensors[0].name, "w0000_", 6) == 0 && l->tensors[0].rank == 2);
    CHECK(l->tensors[0].dims[0] == 6 && l->tensors[0].dims[1] == 8);
    const struct ccz_fl_tensor *v = tensor(&b, "moving_variance");
    CHECK(v->len == 8 && b.first[v->offset] == 1); /* statistics are weights, too */
    float *w = weights(&b), *back = weights(&b);
    for (size_t i = 0; i < b.len; i++)
        w[i] = (float)i / 8;
    tf_check(b.t.ops->set(b.t.self, w, &err), &err);
    tf_check(b.t.ops->get(b.t.self, back, &err), &err);
    CHECK(same(&b, w, back));
    free(w);
    free(back);
    teardown(&b);
}

/* What was set is TensorFlow's own, wherever the caller's numbers lie: neither changes the other's. */
static void test_weights_copied(void)
{
    struct bed b = setup();
    struct ccz_err err = {0};
    struct ccz_fl_metrics m;
    const struct ccz_fl_train_cfg cfg = {.epochs = 1, .batch = 16, .lr = 0.1F, .seed = 7};
    const size_t size = (b.len * sizeof(float) + 128) / 64 * 64;
    float *back = weights(&b), *memory = aligned_alloc(64, size);
    CHECK(memory != NULL);
    for (size_t shift = 0; shift < 16; shift++) {
        float *w = memory + shift;
        memcpy(w, b.first, b.len * sizeof(*w));
        tf_check(b.t.ops->set(b.t.self, w, &err), &err);
        tf_check(b.t.ops->train(&m, b.t.self, &cfg, &err), &err);
        CHECK(same(&b, w, b.first));
        tf_check(b.t.ops->set(b.t.self, w, &err), &err);
        memset(memory, 0x55, size);
        tf_check(b.t.ops->get(b.t.self, back, &err), &err);
        CHECK(same(&b, back, b.first));
    }
    free(memory);
    free(back);
    teardown(&b);
}

/* ---- training */

static void test_same_bits(void)
{
    struct bed b = setup();
    struct ccz_fl_train_cfg cfg = {
        .epochs = 3, .batch = 16, .lr = 0.1F, .momentum = 0.9F, .seed = 7};
    float *x = train(&b, &cfg), *y = train(&b, &cfg); /* momentum of the first is forgotten */
    CHECK(same(&b, x, y) && !same(&b, x, b.first));
    free(y);
    cfg.seed = 8; /* another order, other dropout */
    y = train(&b, &cfg);
    CHECK(!same(&b, x, y));
    free(x);
    free(y);
    teardown(&b);
}

/* One batch of everything: the order of samples changes sums by roundings only, what differs comes from the random layer. */
static void test_random_layer(void)
{
    struct bed b = setup();
    struct ccz_fl_train_cfg cfg = {.epochs = 1, .batch = ROWS, .lr = 0.1F, .seed = 1};
    const struct ccz_fl_tensor *last = tensor(&b, "w0006"); /* kernel behind the random layer */
    float *x = train(&b, &cfg);
    cfg.seed = 2;
    float *y = train(&b, &cfg);
    double most = 0;
    for (size_t i = last->offset; i < last->offset + last->len; i++)
        most = fmax(most, fabs((double)x[i] - (double)y[i]));
    CHECK(most > 1e-4);
    free(x);
    free(y);
    teardown(&b);
}

static void test_learns(void)
{
    struct bed b = setup();
    struct ccz_err err = {0};
    struct ccz_fl_metrics before, after, m;
    const struct ccz_fl_train_cfg cfg = {
        .epochs = 30, .batch = 16, .lr = 0.05F, .momentum = 0.9F, .seed = 1};
    tf_check(b.t.ops->evaluate(&before, b.t.self, &err), &err);
    tf_check(b.t.ops->train(&m, b.t.self, &cfg, &err), &err);
    tf_check(b.t.ops->evaluate(&after, b.t.self, &err), &err);
    CHECK(before.samples == 333 && after.samples == 333);
    CHECK(m.samples == ROWS && m.steps == 30 * 4); /* the last batch of an epoch has 2 rows */
    CHECK(after.accuracy > 0.8 && after.accuracy > before.accuracy && after.loss < before.loss);
    CHECK(m.accuracy > 0.7 && m.loss < before.loss);
    /* the size of batches does not matter to what is measured */
    struct ccz_fl_trainer other;
    const struct ccz_fl_tf_cfg again = {.model = b.model, .held_out = b.held_out, .eval_batch = 7};
    tf_check(ccz_fl_tf_trainer(&other, &again, &err), &err);
    tf_check(other.ops->evaluate(&m, other.self, &err), &err);
    CHECK(m.accuracy == after.accuracy && fabs(m.loss - after.loss) < 1e-6);
    CHECK(other.ops->train(&m, other.self, &cfg, &err) == CCZ_E_ARG && WHERE(err, "fl:tf-config"));
    other.ops->free(other.self);
    teardown(&b);
}

/* The first step is at the centre; the second differs by lr mu (w1 - w0), and by nothing else. */
static void test_prox(void)
{
    struct bed b = setup();
    const float lr = 0.1F, mu = 0.5F;
    struct ccz_fl_train_cfg cfg = {.epochs = 1, .batch = ROWS, .lr = lr, .seed = 3};
    float *one = train(&b, &cfg);
    cfg.prox_mu = mu;
    float *one_mu = train(&b, &cfg);
    CHECK(same(&b, one, one_mu));
    cfg.epochs = 2;
    float *two_mu = train(&b, &cfg);
    cfg.prox_mu = 0;
    float *two = train(&b, &cfg);
    for (size_t i = 0; i < b.len; i++) {
        double pull = (double)lr * (double)mu * ((double)one[i] - (double)b.first[i]);
        if (strstr(tensor(&b, "moving_mean")->name, "moving") &&
            i >= tensor(&b, "moving_mean")->offset &&
            i < tensor(&b, "moving_variance")->offset + tensor(&b, "moving_variance")->len)
            pull = 0; /* statistics are not trained */
        CHECK(fabs((double)two[i] - (double)two_mu[i] - pull) < 1e-6);
    }
    CHECK(!same(&b, two, two_mu));
    free(one);
    free(one_mu);
    free(two);
    free(two_mu);
    teardown(&b);
}

/* Each step is moved by -lr c, past momentum; statistics are left alone. A training without one forgets it. */
static void test_correction(void)
{
    struct bed b = setup();
    const struct ccz_fl_tensor *mean = tensor(&b, "moving_mean"), *var = tensor(&b, "moving_var");
    struct ccz_fl_train_cfg cfg = {
        .epochs = 1, .batch = ROWS, .lr = 0.1F, .momentum = 0.5F, .seed = 3};
    float *c = weights(&b), *plain = train(&b, &cfg);
    for (size_t i = 0; i < b.len; i++)
        c[i] = (float)(i % 7) / 4;
    cfg.correction = c;
    float *corrected = train(&b, &cfg);
    for (size_t i = 0; i < b.len; i++) {
        bool statistic = i >= mean->offset && i < var->offset + var->len;
        double want = (double)plain[i] - (statistic ? 0 : 0.1 * (double)c[i]);
        CHECK(fabs((double)corrected[i] - want) < 1e-6);
    }
    cfg.correction = NULL;
    float *again = train(&b, &cfg);
    CHECK(same(&b, plain, again));
    free(c);
    free(plain);
    free(corrected);
    free(again);
    teardown(&b);
}

/* Momentum 0.9, three steps on one batch, against steps made one by one with the gradients that lr = 1 shows. */
static void test_momentum(void)
{
    struct bed b = setup();
    struct ccz_err err = {0};
    struct ccz_fl_metrics m;
    const struct ccz_fl_tensor *bias = tensor(&b, "w0001");
    struct ccz_fl_train_cfg cfg = {.epochs = 2, .batch = ROWS, .lr = 0.1F, .momentum = 0.9F};
    float *two = train(&b, &cfg);
    cfg.epochs = 1;
    float *one = train(&b, &cfg);
    cfg.epochs = 2;
    cfg.momentum = 0;
    float *without = train(&b, &cfg); /* the same second gradient, no memory of the first */
    for (size_t i = bias->offset; i < bias->offset + bias->len; i++) {
        double first = (double)one[i] - (double)b.first[i];
        CHECK(fabs((double)two[i] - (double)without[i] - 0.9 * first) < 1e-6);
    }
    tf_check(b.t.ops->evaluate(&m, b.t.self, &err), &err);
    free(one);
    free(two);
    free(without);
    teardown(&b);
}

static void test_train_refusals(void)
{
    struct bed b = setup();
    struct ccz_fl_metrics m;
    const struct ccz_fl_train_cfg wrong[] = {{.epochs = 0, .batch = 1, .lr = 1},
                                             {.epochs = 1, .batch = 0, .lr = 1},
                                             {.epochs = 1, .batch = 1, .lr = 0},
                                             {.epochs = 1, .batch = 1, .lr = NAN},
                                             {.epochs = 1, .batch = 1, .lr = INFINITY}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        struct ccz_err err = {0};
        CHECK(b.t.ops->train(&m, b.t.self, &wrong[i], &err) == CCZ_E_ARG);
        CHECK(WHERE(err, "fl:tf-config") && m.samples == 0);
    }
    /* data of another shape */
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_dataset) other = NULL;
    struct ccz_fl_trainer t;
    const struct ccz_dataset_shape shape = {.len = 1, .rank = 1, .dims = {WIDTH + 1}, .classes = 3};
    CHECK(ccz_dataset_new(&other, &shape, &err) == CCZ_OK);
    CHECK(ccz_fl_tf_trainer(&t, &(struct ccz_fl_tf_cfg){.model = b.model, .train = other}, &err) ==
          CCZ_E_MISMATCH);
    CHECK(WHERE(err, "fl:tf-shape") && strcmp(err.got, "7") == 0 && !t.ops);
    /* of another rank, they are rows: 2 x 3 fits, 2 x 4 does not */
    other->rank = 2;
    other->dims[0] = 2;
    other->dims[1] = 3;
    other->width = 6;
    const struct ccz_fl_tf_cfg rows = {.model = b.model, .held_out = other};
    tf_check(ccz_fl_tf_trainer(&t, &rows, &err), &err);
    t.ops->free(t.self);
    other->dims[1] = 4;
    other->width = 8;
    CHECK(ccz_fl_tf_trainer(&t, &rows, &err) == CCZ_E_MISMATCH && WHERE(err, "fl:tf-shape"));
    other->width = 7; /* what there is to wipe */
    CHECK(ccz_fl_tf_trainer(&t, &(struct ccz_fl_tf_cfg){.model = b.model, .held_out = other},
                            &err) == CCZ_E_MISMATCH);
    teardown(&b);
}

/* ---- the image network, on bytes */

static void test_images(void)
{
    CCZ_AUTO(ccz_engine) e = tf_engine();
    CCZ_AUTO(ccz_model) model = tf_model(e, "lenet");
    CCZ_AUTO(ccz_dataset) d = NULL;
    struct ccz_err err = {0};
    struct ccz_fl_trainer t;
    struct ccz_fl_metrics m;
    const struct ccz_dataset_shape shape = {
        .len = 64, .rank = 3, .dims = {28, 28, 1}, .classes = 10, .bytes = true};
    CHECK(ccz_dataset_new(&d, &shape, &err) == CCZ_OK);
    for (size_t i = 0; i < 64; i++) { /* class = the row that is white */
        d->label[i] = (uint32_t)(i % 10);
        memset(d->bytes + i * 784 + 28 * (2 * d->label[i] + 4), 255, 28);
    }
    const struct ccz_fl_tf_cfg cfg = {.model = model, .train = d, .held_out = d};
    tf_check(ccz_fl_tf_trainer(&t, &cfg, &err), &err);
    CHECK(t.ops->layout(t.self)->len == 44426);
    const struct ccz_fl_train_cfg training = {
        .epochs = 25, .batch = 16, .lr = 0.05F, .momentum = 0.9F, .seed = 1};
    tf_check(t.ops->train(&m, t.self, &training, &err), &err);
    tf_check(t.ops->evaluate(&m, t.self, &err), &err);
    CHECK(m.samples == 64 && m.accuracy > 0.9);
    t.ops->free(t.self);
    d->dims[0] = 1; /* 1 x 784 x 1 is not 28 x 28 x 1 */
    d->dims[1] = 784;
    CHECK(ccz_fl_tf_trainer(&t, &cfg, &err) == CCZ_E_MISMATCH && WHERE(err, "fl:tf-shape"));
}

/* ---- models from protected files */

static void test_protected(void)
{
    CCZ_AUTO(ccz_engine) e = tf_engine();
    CCZ_AUTO(ccz_model) m = NULL;
    CCZ_AUTO(ccz_secret) key = NULL;
    CCZ_AUTO(ccz_secret) wrong = NULL;
    struct ccz_err err = {0};
    char dir[MODEL_DIR_PATH_SIZE];
    tf_network(dir, "tiny");
    tf_check(ccz_pf_key_generate(&key, &err), &err);
    tf_check(ccz_pf_key_generate(&wrong, &err), &err);
    const char *out = temp_path("protected"), *empty = temp_make_dir("empty");
    tf_check(ccz_pf_encrypt_tree(out, dir, key, &(struct ccz_pf_cfg){0}, &err), &err);
    tf_check(ccz_fl_tf_load(&m, e, out, key, &err), &err);
    CHECK(ccz_model_signature(m, "train"));
    ccz_model_free(m);
    m = NULL;
    CHECK(ccz_fl_tf_load(&m, e, out, wrong, &err) == CCZ_E_SIG && WHERE(err, "pf:metadata") && !m);
    CHECK(ccz_fl_tf_load(&m, e, out, NULL, &err) == CCZ_E_FORMAT && !m); /* no plain model */
    CHECK(ccz_fl_tf_load(&m, e, empty, NULL, &err) == CCZ_E_NOT_FOUND);
    CHECK(WHERE(err, "fl:model-files"));
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"fl.tf_weights", test_weights},
                                            {"fl.tf_weights_copied", test_weights_copied},
                                            {"fl.tf_same_bits", test_same_bits},
                                            {"fl.tf_random_layer", test_random_layer},
                                            {"fl.tf_learns", test_learns},
                                            {"fl.tf_prox", test_prox},
                                            {"fl.tf_correction", test_correction},
                                            {"fl.tf_momentum", test_momentum},
                                            {"fl.tf_train_refusals", test_train_refusals},
                                            {"fl.tf_images", test_images},
                                            {"fl.tf_protected", test_protected}};
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
