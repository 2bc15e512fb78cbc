/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in trainer behind the interface of trainers. */
#include <cczoo/fl_nn.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Hidden layers of "mlp:200,100". */
static bool hidden_from(uint32_t hidden[CCZ_NN_LAYERS_MAX], size_t *len, const char *text)
{
    for (*len = 0; *len < CCZ_NN_LAYERS_MAX; text++) {
        uint32_t n = 0;
        const char *from = text;
        for (; *text >= '0' && *text <= '9' && n < CCZ_NN_WIDTH_MAX; text++)
            n = n * 10 + (uint32_t)(*text - '0');
        if (text == from || n == 0 || n > CCZ_NN_WIDTH_MAX)
            return false;
        hidden[(*len)++] = n;
        if (*text != ',')
            return *text == '\0';
    }
    return false;
}

ccz_rc ccz_fl_nn_spec(struct ccz_nn_spec *out, const char *name, const struct ccz_dataset *d,
                      struct ccz_err *err)
{
    uint32_t hidden[CCZ_NN_LAYERS_MAX];
    size_t len;
    *out = (struct ccz_nn_spec){0};
    if (d->width > CCZ_NN_WIDTH_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "fl:nn-data", (int64_t)d->width, CCZ_NN_WIDTH_MAX);
    const uint32_t width = (uint32_t)d->width;
    if (strcmp(name, "softmax") == 0) {
        *out = ccz_nn_spec_softmax(width, d->classes);
    } else if (strcmp(name, "logistic") == 0) {
        if (d->classes != 2)
            return ccz_refuse_num(err, CCZ_E_ARG, "fl:nn-data", d->classes, 2);
        *out = ccz_nn_spec_logistic(width);
    } else if (strcmp(name, "lenet") == 0) {
        if (d->rank != 3)
            return ccz_fail(err, CCZ_E_ARG, "fl:nn-data", d->rank,
                            "lenet is for images, and these samples are none");
        *out = ccz_nn_spec_lenet(d->dims[2], d->dims[0], d->dims[1], d->classes);
    } else if (strncmp(name, "mlp:", 4) == 0 && hidden_from(hidden, &len, name + 4)) {
        *out = ccz_nn_spec_mlp(width, hidden, len, d->classes);
    } else {
        return ccz_fail(err, CCZ_E_ARG, "fl:nn-model", 0,
                        "no such network: %s; there are logistic, softmax, mlp:200,100 and lenet",
                        name);
    }
    return CCZ_OK;
}

struct ccz_nn_data ccz_fl_nn_data(const struct ccz_dataset *d)
{
    struct ccz_nn_data n = {.bytes = d->bytes,
                            .floats = d->bytes ? NULL : d->values,
                            .labels = d->label,
                            .len = d->len,
                            .channels_last = d->rank == 3};
    for (size_t c = 0; c < CCZ_NN_CHANNELS_SCALED; c++) {
        n.scale[c] = d->deviation[c] > 0 ? 1 / (255 * d->deviation[c]) : 1.0f / 255;
        n.shift[c] = d->deviation[c] > 0 ? -d->mean[c] / d->deviation[c] : 0;
    }
    return n;
}

ccz_rc ccz_fl_nn_layout(struct ccz_fl_layout **out, const struct ccz_nn *nn, struct ccz_err *err)
{
    size_t len;
    const struct ccz_nn_tensor *t = ccz_nn_tensors(&len, nn);
    struct ccz_fl_tensor tensors[CCZ_NN_TENSORS_MAX] = {0};
    for (size_t i = 0; i < len; i++) {
        memcpy(tensors[i].name, t[i].name, sizeof(t[i].name));
        tensors[i].rank = t[i].rank;
        for (unsigned k = 0; k < t[i].rank; k++)
            tensors[i].dims[k] = t[i].dims[k];
    }
    return ccz_fl_layout_new(out, tensors, len, err);
}

/* ------------------------------------------------------------------------------------- trainer */

struct trainer {
    struct ccz_nn *nn;
    struct ccz_fl_layout *layout;
    struct ccz_nn_data train, test;
    float weight_decay;
    float *params;
    size_t len;
};

static void trainer_free(void *self)
{
    struct trainer *t = self;
    if (!t)
        return;
    ccz_nn_free(t->nn);
    ccz_fl_layout_free(t->layout);
    free(t->params);
    free(t);
}

static void trainer_freep(struct trainer **t)
{
    trainer_free(*t);
}

static const struct ccz_fl_layout *trainer_layout(void *self)
{
    const struct trainer *t = self;
    return t->layout;
}

static ccz_rc trainer_get(void *self, float *params, struct ccz_err *err)
{
    const struct trainer *t = self;
    (void)err;
    memcpy(params, t->params, t->len * sizeof(*params));
    return CCZ_OK;
}

static ccz_rc trainer_set(void *self, const float *params, struct ccz_err *err)
{
    struct trainer *t = self;
    (void)err;
    memcpy(t->params, params, t->len * sizeof(*params));
    return CCZ_OK;
}

static ccz_rc trainer_train(struct ccz_fl_metrics *out, void *self,
                            const struct ccz_fl_train_cfg *cfg, struct ccz_err *err)
{
    struct trainer *t = self;
    struct ccz_nn_metrics m;
    const struct ccz_nn_train_cfg c = {.epochs = cfg->epochs,
                                       .batch = cfg->batch,
                                       .lr = cfg->lr,
                                       .momentum = cfg->momentum,
                                       .weight_decay = t->weight_decay,
                                       .prox_mu = cfg->prox_mu,
                                       .correction = cfg->correction,
                                       .seed = cfg->seed};
    *out = (struct ccz_fl_metrics){0};
    ccz_rc rc = ccz_nn_train(&m, t->params, t->nn, &t->train, &c, err);
    if (rc == CCZ_OK)
        *out = (struct ccz_fl_metrics){.samples = m.samples / cfg->epochs,
                                       .loss = m.loss,
                                       .accuracy = m.accuracy,
                                       .steps = m.steps};
    return rc;
}

static ccz_rc trainer_evaluate(struct ccz_fl_metrics *out, void *self, struct ccz_err *err)
{
    struct trainer *t = self;
    struct ccz_nn_metrics m = {0};
    *out = (struct ccz_fl_metrics){.loss = NAN, .accuracy = NAN};
    if (t->test.len == 0)
        return CCZ_OK;
    ccz_rc rc = ccz_nn_evaluate(&m, t->nn, t->params, &t->test, err);
    if (rc == CCZ_OK)
        *out =
            (struct ccz_fl_metrics){.samples = m.samples, .loss = m.loss, .accuracy = m.accuracy};
    return rc;
}

static const struct ccz_fl_trainer_ops trainer_ops = {.layout = trainer_layout,
                                                      .get = trainer_get,
                                                      .set = trainer_set,
                                                      .train = trainer_train,
                                                      .evaluate = trainer_evaluate,
                                                      .free = trainer_free};

ccz_rc ccz_fl_nn_trainer(struct ccz_fl_trainer *out, const struct ccz_fl_nn_cfg *cfg,
                         struct ccz_err *err)
{
    *out = (struct ccz_fl_trainer){0};
    __attribute__((cleanup(trainer_freep))) struct trainer *t = calloc(1, sizeof(*t));
    if (!t)
        return ccz_fail(err, CCZ_E_NOMEM, "fl:nn", 0, "out of memory");
    t->train = cfg->train;
    t->test = cfg->test;
    t->weight_decay = cfg->weight_decay;
    ccz_rc rc = ccz_nn_new(&t->nn, &cfg->spec, NULL, err);
    if (rc == CCZ_OK)
        rc = ccz_fl_nn_layout(&t->layout, t->nn, err);
    if (rc != CCZ_OK)
        return rc;
    t->len = ccz_nn_params_len(t->nn);
    t->params = calloc(t->len, sizeof(*t->params));
    if (!t->params)
        return ccz_fail(err, CCZ_E_NOMEM, "fl:nn", (int64_t)t->len, "out of memory");
    ccz_nn_init(t->params, t->nn, cfg->seed);
    *out = (struct ccz_fl_trainer){&trainer_ops, t};
    t = NULL;
    return CCZ_OK;
}

void ccz_fl_nn_use(const struct ccz_fl_trainer *t, const struct ccz_nn_data *train,
                   const struct ccz_nn_data *test)
{
    struct trainer *self = t->self;
    self->train = *train;
    self->test = test ? *test : (struct ccz_nn_data){0};
}
