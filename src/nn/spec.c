/* SPDX-License-Identifier: Apache-2.0 */
/* Specs, tensors and working memory. */
#define _DEFAULT_SOURCE
#include "nn_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };

struct ccz_nn_spec ccz_nn_spec_mlp(uint32_t features, const uint32_t *hidden, size_t hidden_len,
                                   uint32_t classes)
{
    struct ccz_nn_spec s = {.channels = 1, .height = 1, .width = features};
    if (hidden_len >= CCZ_NN_LAYERS_MAX)
        return s; /* no layers: refused */
    for (size_t i = 0; i < hidden_len; i++)
        s.layers[s.layers_len++] =
            (struct ccz_nn_layer){.kind = CCZ_NN_DENSE, .out = hidden[i], .relu = true};
    s.layers[s.layers_len++] = (struct ccz_nn_layer){.kind = CCZ_NN_DENSE, .out = classes};
    return s;
}

struct ccz_nn_spec ccz_nn_spec_softmax(uint32_t features, uint32_t classes)
{
    return ccz_nn_spec_mlp(features, NULL, 0, classes);
}

struct ccz_nn_spec ccz_nn_spec_logistic(uint32_t features)
{
    struct ccz_nn_spec s = ccz_nn_spec_mlp(features, NULL, 0, 1);
    s.loss = CCZ_NN_LOGISTIC;
    return s;
}

struct ccz_nn_spec ccz_nn_spec_lenet(uint32_t channels, uint32_t height, uint32_t width,
                                     uint32_t classes)
{
    return (struct ccz_nn_spec){
        .channels = channels,
        .height = height,
        .width = width,
        .layers_len = 7,
        .layers = {{.kind = CCZ_NN_CONV, .out = 6, .size = 5, .relu = true},
                   {.kind = CCZ_NN_POOL, .size = 2},
                   {.kind = CCZ_NN_CONV, .out = 16, .size = 5, .relu = true},
                   {.kind = CCZ_NN_POOL, .size = 2},
                   {.kind = CCZ_NN_DENSE, .out = 120, .relu = true},
                   {.kind = CCZ_NN_DENSE, .out = 84, .relu = true},
                   {.kind = CCZ_NN_DENSE, .out = classes}}};
}

/* ---------------------------------------------------------------------------------------- plan */

static bool too_large(struct cczi_nn_shape s)
{
    return (uint64_t)s.channels * s.height > CCZ_NN_WIDTH_MAX ||
           (uint64_t)s.channels * s.height * s.width > CCZ_NN_WIDTH_MAX;
}

static bool shape_is_sane(struct cczi_nn_shape s)
{
    return s.channels && s.height && s.width && s.channels <= CCZ_NN_WIDTH_MAX &&
           s.height <= CCZ_NN_WIDTH_MAX && s.width <= CCZ_NN_WIDTH_MAX;
}

/* What the layer gives for its input; zero channels if it makes no sense. */
static struct cczi_nn_shape shape_after(const struct ccz_nn_layer *l, struct cczi_nn_shape in)
{
    switch (l->kind) {
    case CCZ_NN_DENSE:
        return (struct cczi_nn_shape){l->size ? 0 : l->out, 1, 1};
    case CCZ_NN_CONV:
        return (struct cczi_nn_shape){l->size ? l->out : 0, in.height - l->size + 1,
                                      in.width - l->size + 1};
    case CCZ_NN_POOL:
        return (struct cczi_nn_shape){l->size && !l->out && !l->relu ? in.channels : 0,
                                      in.height / (l->size ? l->size : 1),
                                      in.width / (l->size ? l->size : 1)};
    }
    return (struct cczi_nn_shape){0};
}

static void add_tensor(struct ccz_nn *nn, const char *kind, unsigned number, const char *what,
                       unsigned rank, const uint32_t dims[4])
{
    struct ccz_nn_tensor *t = &nn->tensors[nn->tensors_len++];
    *t = (struct ccz_nn_tensor){.rank = rank, .len = 1, .at = nn->params_len};
    (void)snprintf(t->name, sizeof(t->name), "%s%u.%s", kind, number, what);
    for (unsigned i = 0; i < rank; i++) {
        t->dims[i] = dims[i];
        t->len *= dims[i];
    }
    nn->params_len += t->len;
}

static ccz_rc plan_layer(struct ccz_nn *nn, struct cczi_nn_shape *shape, unsigned numbers[2],
                         struct ccz_err *err)
{
    struct cczi_nn_node *n = &nn->nodes[nn->nodes_len];
    const struct ccz_nn_layer *l = &nn->spec.layers[nn->nodes_len];
    const bool dense = l->kind == CCZ_NN_DENSE;
    *n = (struct cczi_nn_node){.layer = *l, .in = *shape, .out = shape_after(l, *shape)};
    if (n->out.channels == 0 || (!dense && nn->spatial_len < nn->nodes_len))
        return ccz_fail(err, CCZ_E_ARG, "nn:layer", (int64_t)nn->nodes_len,
                        "layer %zu: kind, size and number of outputs do not fit together",
                        nn->nodes_len);
    if (!dense && (l->size > shape->height || l->size > shape->width))
        return ccz_fail(err, CCZ_E_ARG, "nn:image", (int64_t)nn->nodes_len,
                        "layer %zu: a window of %u is larger than the image of %u x %u",
                        nn->nodes_len, l->size, shape->height, shape->width);
    n->in_size = cczi_nn_size(n->in);
    n->out_size = cczi_nn_size(n->out);
    if (!shape_is_sane(n->out) || too_large(n->out) ||
        (l->kind != CCZ_NN_POOL &&
         (uint64_t)n->out.channels * (dense ? n->in_size : (uint64_t)n->in.channels * l->size) >
             CCZ_NN_PARAMS_MAX / (dense ? 1 : l->size)))
        return ccz_fail(err, CCZ_E_LIMIT, "nn:size", (int64_t)nn->nodes_len,
                        "layer %zu is too large", nn->nodes_len);
    if (l->kind != CCZ_NN_POOL) {
        const uint32_t w[4] = {l->out, dense ? (uint32_t)n->in_size : n->in.channels, l->size,
                               l->size};
        const unsigned number = ++numbers[dense];
        n->pad = dense ? 0 : l->size - 1;
        n->w_at = nn->params_len;
        add_tensor(nn, dense ? "fc" : "conv", number, "weight", dense ? 2 : 4, w);
        n->b_at = nn->params_len;
        add_tensor(nn, dense ? "fc" : "conv", number, "bias", 1, w);
    }
    nn->spatial_len += !dense;
    nn->nodes_len++;
    *shape = n->out;
    return nn->params_len <= CCZ_NN_PARAMS_MAX
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_LIMIT, "nn:size", (int64_t)nn->params_len,
                          "more than 2^30 parameters");
}

ccz_rc cczi_nn_plan(struct ccz_nn *nn, struct ccz_err *err)
{
    const struct ccz_nn_spec *spec = &nn->spec;
    struct cczi_nn_shape shape = {spec->channels, spec->height, spec->width};
    unsigned numbers[2] = {0};
    if (spec->layers_len == 0 || spec->layers_len > CCZ_NN_LAYERS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "nn:layer", (int64_t)spec->layers_len,
                              CCZ_NN_LAYERS_MAX);
    if (!shape_is_sane(shape) || too_large(shape))
        return ccz_fail(err, CCZ_E_LIMIT, "nn:size", 0, "samples of %u x %u x %u", shape.channels,
                        shape.height, shape.width);
    nn->features = cczi_nn_size(shape);
    for (size_t i = 0; i < spec->layers_len; i++) {
        ccz_rc rc = plan_layer(nn, &shape, numbers, err);
        if (rc != CCZ_OK)
            return rc;
    }
    const struct ccz_nn_layer *last = &spec->layers[spec->layers_len - 1];
    nn->outputs = last->out;
    if (last->kind != CCZ_NN_DENSE || last->relu || spec->loss > CCZ_NN_LOGISTIC ||
        (spec->loss == CCZ_NN_LOGISTIC) != (last->out == 1))
        return ccz_fail(err, CCZ_E_ARG, "nn:last", last->out,
                        "the last layer has to be dense, without ReLU, of 1 value for the logistic "
                        "loss and more for softmax");
    return CCZ_OK;
}

/* -------------------------------------------------------------------------------------- memory */

float *cczi_nn_floats(size_t len)
{
    if (len > SIZE_MAX / sizeof(float) - ALIGN)
        return NULL;
    size_t size = (len * sizeof(float) + ALIGN - 1) / ALIGN * ALIGN;
    size = size ? size : ALIGN;
    float *p = aligned_alloc(ALIGN, size);
    if (p)
        memset(p, 0, size);
    return p;
}

static void release(struct ccz_nn *nn)
{
    for (size_t i = 0; i < nn->nodes_len; i++) {
        free(nn->nodes[i].y);
        free(nn->nodes[i].d);
        nn->nodes[i].y = nn->nodes[i].d = NULL;
    }
    free(nn->input);
    free(nn->rows);
    free(nn->flat);
    free(nn->flat_d);
    free(nn->label);
    nn->input = nn->rows = nn->flat = nn->flat_d = NULL;
    nn->label = NULL;
    nn->batch = 0;
}

static bool reserve_node(struct ccz_nn *nn, size_t i, size_t batch)
{
    struct cczi_nn_node *n = &nn->nodes[i];
    const bool spatial = i < nn->spatial_len;
    n->y = cczi_nn_floats(batch * n->out_size);
    n->d = cczi_nn_floats(spatial ? (size_t)n->out.channels * n->out.height *
                                        (n->out.width + 2 * n->pad) * LANES
                                  : batch * n->out_size);
    return n->y && n->d;
}

ccz_rc cczi_nn_reserve(struct ccz_nn *nn, size_t batch, struct ccz_err *err)
{
    batch = (batch + LANES - 1) / LANES * LANES;
    if (batch <= nn->batch)
        return CCZ_OK;
    release(nn);
    bool ok = true;
    for (size_t i = 0; i < nn->nodes_len; i++)
        ok &= reserve_node(nn, i, batch);
    const size_t flat = nn->spatial_len ? nn->nodes[nn->spatial_len - 1].out_size : 0;
    const size_t wide = flat > nn->features ? flat : nn->features;
    nn->input = cczi_nn_floats(batch * nn->features);
    nn->rows = cczi_nn_floats(LANES * wide);
    nn->flat = cczi_nn_floats(batch * flat);
    nn->flat_d = cczi_nn_floats(batch * flat);
    nn->label = calloc(batch, sizeof(*nn->label));
    if (!ok || !nn->input || !nn->rows || !nn->flat || !nn->flat_d || !nn->label) {
        release(nn);
        return ccz_fail(err, CCZ_E_NOMEM, "nn:memory", (int64_t)batch,
                        "no memory for batches of %zu samples", batch);
    }
    nn->batch = batch;
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------- objects */

ccz_rc ccz_nn_new(struct ccz_nn **out, const struct ccz_nn_spec *spec, const char *tier,
                  struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_nn) nn = calloc(1, sizeof(*nn));
    if (!nn)
        return ccz_fail(err, CCZ_E_NOMEM, "nn:new", 0, "out of memory");
    nn->spec = *spec;
    nn->k = cczi_nn_kernels(tier);
    if (!nn->k)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "nn:tier", 0, "no such vector code here: %s", tier);
    ccz_rc rc = cczi_nn_plan(nn, err);
    if (rc == CCZ_OK)
        *out = ccz_nn_take(&nn);
    return rc;
}

void ccz_nn_free(struct ccz_nn *nn)
{
    if (!nn)
        return;
    release(nn);
    free(nn->grad);
    free(nn->velocity);
    free(nn->centre);
    free(nn->order);
    free(nn);
}

const char *ccz_nn_tier(const struct ccz_nn *nn)
{
    return nn->k->name;
}

const struct ccz_nn_spec *ccz_nn_spec(const struct ccz_nn *nn)
{
    return &nn->spec;
}

size_t ccz_nn_features(const struct ccz_nn *nn)
{
    return nn->features;
}

size_t ccz_nn_outputs(const struct ccz_nn *nn)
{
    return nn->outputs;
}

size_t ccz_nn_params_len(const struct ccz_nn *nn)
{
    return nn->params_len;
}

const struct ccz_nn_tensor *ccz_nn_tensors(size_t *len, const struct ccz_nn *nn)
{
    *len = nn->tensors_len;
    return nn->tensors;
}

void ccz_nn_init(float *params, const struct ccz_nn *nn, uint64_t seed)
{
    uint64_t state = seed;
    for (size_t i = 0; i < nn->nodes_len; i++) {
        const struct cczi_nn_node *n = &nn->nodes[i];
        if (n->layer.kind == CCZ_NN_POOL)
            continue;
        const size_t fan_in = n->layer.kind == CCZ_NN_DENSE
                                  ? n->in_size
                                  : (size_t)n->in.channels * n->layer.size * n->layer.size;
        const double bound = 1 / sqrt((double)fan_in);
        for (size_t at = n->w_at; at < n->b_at + n->out.channels; at++) {
            const double unit = (double)(cczi_nn_random(&state) >> 11) * 0x1p-53;
            params[at] = (float)((2 * unit - 1) * bound);
        }
    }
}
