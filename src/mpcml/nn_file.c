/* SPDX-License-Identifier: Apache-2.0 */
/* Networks: what their layers make of each other, and their files. */
#include "nn_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char magic[] = {'c', 'c', 'z', 'o', 'o', '-', 'n', 'n'};
enum { VERSION = 1, WITH_WEIGHTS = 1 };

/* ------------------------------------------------------------------------------------- layers */

static bool side(uint64_t n)
{
    return n >= 1 && n <= CCZ_MPCML_NETWORK_SIDE_MAX;
}

/* Numbers that the kind has are there and no others. */
static bool numbers_make_sense(const struct ccz_mpcml_layer *l)
{
    const bool window = side(l->kh) && side(l->kw) && side(l->stride);
    switch (l->kind) {
    case CCZ_MPCML_DENSE:
        return side(l->out) && !l->kh && !l->kw && !l->stride && !l->pad;
    case CCZ_MPCML_CONV2D:
        return side(l->out) && window && l->pad < l->kh && l->pad < l->kw;
    case CCZ_MPCML_MAX_POOL:
    case CCZ_MPCML_AVG_POOL:
        return window && !l->out && !l->pad;
    case CCZ_MPCML_RELU:
    case CCZ_MPCML_FLATTEN:
    case CCZ_MPCML_SOFTMAX:
    case CCZ_MPCML_ARGMAX:
        return !l->out && !l->kh && !l->kw && !l->stride && !l->pad;
    }
    return false;
}

static ccz_rc refuse_shape(size_t layer, struct cczi_mpcml_image in, const char *why,
                           struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_FORMAT, "mpcml:net-shape", (int64_t)layer,
                    "layer %zu on %zu x %zu x %zu: %s", layer, in.h, in.w, in.c, why);
}

static ccz_rc windowed(struct cczi_mpcml_node *n, size_t i, struct ccz_err *err)
{
    const struct ccz_mpcml_layer *l = &n->layer;
    const size_t h = n->in.h + 2 * (size_t)l->pad, w = n->in.w + 2 * (size_t)l->pad;
    if (l->kh > h || l->kw > w)
        return refuse_shape(i, n->in, "its window is larger than that", err);
    n->out.h = (h - l->kh) / l->stride + 1;
    n->out.w = (w - l->kw) / l->stride + 1;
    if (l->kind == CCZ_MPCML_CONV2D) {
        n->out.c = l->out;
        n->weights_len = (size_t)l->kh * l->kw * n->in.c * l->out; /* below 2^48 */
    }
    return CCZ_OK;
}

static ccz_rc shape_of(struct cczi_mpcml_node *n, size_t i, struct ccz_err *err)
{
    n->out = n->in;
    switch (n->layer.kind) {
    case CCZ_MPCML_DENSE:
        if (n->in.h != 1 || n->in.w != 1)
            return refuse_shape(i, n->in, "a dense layer wants numbers, without height and width",
                                err);
        n->out.c = n->layer.out;
        n->weights_len = n->in.c * n->layer.out;
        return CCZ_OK;
    case CCZ_MPCML_CONV2D:
    case CCZ_MPCML_MAX_POOL:
    case CCZ_MPCML_AVG_POOL:
        return windowed(n, i, err);
    case CCZ_MPCML_FLATTEN:
        n->out = (struct cczi_mpcml_image){1, 1, cczi_mpcml_image_len(n->in)};
        return CCZ_OK;
    default:
        return CCZ_OK;
    }
}

static ccz_rc lay_out_one(struct ccz_mpcml_network *net, size_t i, struct cczi_mpcml_image in,
                          struct ccz_err *err)
{
    struct cczi_mpcml_node *n = &net->node[i];
    *n = (struct cczi_mpcml_node){.layer = net->spec.layers[i], .in = in};
    if (!numbers_make_sense(&n->layer))
        return ccz_fail(err, CCZ_E_FORMAT, "mpcml:net-layer", (int64_t)i,
                        "layer %zu: a kind (%d) or number that makes no sense", i,
                        (int)n->layer.kind);
    ccz_rc rc = shape_of(n, i, err);
    if (rc != CCZ_OK)
        return rc;
    const uint64_t params = n->weights_len + (cczi_mpcml_linear(n->layer.kind) ? n->layer.out : 0);
    if (n->out.h * n->out.w > CCZ_MPCML_NETWORK_WIDTH_MAX ||
        cczi_mpcml_image_len(n->out) > CCZ_MPCML_NETWORK_WIDTH_MAX ||
        params > CCZ_MPCML_NETWORK_PARAMS_MAX - net->params_len)
        return ccz_fail(err, CCZ_E_LIMIT, "mpcml:net-size", (int64_t)i,
                        "layer %zu: more values or parameters than the limits", i);
    n->weights_at = net->params_len;
    net->params_len += (size_t)params;
    return CCZ_OK;
}

/* Something linear at the end, then softmax or argmax or nothing, which stand nowhere else. */
static ccz_rc check_last(const struct ccz_mpcml_spec *s, struct ccz_err *err)
{
    size_t last = s->layers_len;
    if (last > 1 && s->layers[last - 1].kind >= CCZ_MPCML_SOFTMAX)
        last--;
    bool good = last > 0 && s->layers[last - 1].kind == CCZ_MPCML_DENSE;
    for (size_t i = 0; i + 1 < s->layers_len; i++)
        good = good && s->layers[i].kind < CCZ_MPCML_SOFTMAX;
    if (good)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_FORMAT, "mpcml:net-last", (int64_t)s->layers_len,
                    "the last layer is dense, with one softmax or argmax behind it at most");
}

static ccz_rc lay_out(struct ccz_mpcml_network *net, struct ccz_err *err)
{
    const struct ccz_mpcml_spec *s = &net->spec;
    struct cczi_mpcml_image shape = {s->height, s->width, s->channels};
    if (s->layers_len > CCZ_MPCML_NETWORK_LAYERS_MAX || !side(s->height) || !side(s->width) ||
        s->channels < 1 || s->channels > CCZ_MPCML_NETWORK_WIDTH_MAX ||
        (uint64_t)s->height * s->width > CCZ_MPCML_NETWORK_WIDTH_MAX ||
        cczi_mpcml_image_len(shape) > CCZ_MPCML_NETWORK_WIDTH_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "mpcml:net-size", (int64_t)s->layers_len,
                        "%zu layers on %u x %u x %u values", s->layers_len, s->height, s->width,
                        s->channels);
    if (!(s->input_min < s->input_max) || !(fabsf(s->input_min) <= CCZ_MPCML_NETWORK_WEIGHT_MAX) ||
        !(fabsf(s->input_max) <= CCZ_MPCML_NETWORK_WEIGHT_MAX))
        return ccz_fail(err, CCZ_E_FORMAT, "mpcml:net-input", 0, "inputs from %g to %g",
                        (double)s->input_min, (double)s->input_max);
    if (s->weight_max < 1 || s->weight_max > CCZ_MPCML_NETWORK_WEIGHT_MAX)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "mpcml:net-weight", s->weight_max,
                              CCZ_MPCML_NETWORK_WEIGHT_MAX);
    ccz_rc rc = check_last(s, err);
    for (size_t i = 0; i < s->layers_len && rc == CCZ_OK; i++) {
        rc = lay_out_one(net, i, shape, err);
        shape = net->node[i].out;
    }
    return rc;
}

static ccz_rc check_params(const struct ccz_mpcml_network *net, struct ccz_err *err)
{
    const float max = (float)net->spec.weight_max;
    for (size_t i = 0; i < net->spec.layers_len; i++) {
        const struct cczi_mpcml_node *n = &net->node[i];
        const float *w = net->params + n->weights_at;
        const size_t len = n->weights_len + (cczi_mpcml_linear(n->layer.kind) ? n->layer.out : 0);
        for (size_t k = 0; k < len; k++)
            if (!isfinite(w[k]) || (k < n->weights_len && fabsf(w[k]) > max))
                return ccz_fail(err, CCZ_E_FORMAT, "mpcml:net-weight", (int64_t)i,
                                "layer %zu: parameter %zu is no number, or above %u", i, k,
                                net->spec.weight_max);
    }
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------ networks */

/* Without parameters as yet. */
static ccz_rc make(struct ccz_mpcml_network **out, const struct ccz_mpcml_spec *spec,
                   struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpcml_network) net = NULL;
    ccz_rc rc = cczi_mpcml_alloc(&net, 1, sizeof(*net), err);
    if (rc != CCZ_OK)
        return rc;
    net->spec = *spec;
    rc = lay_out(net, err);
    if (rc == CCZ_OK)
        *out = ccz_mpcml_network_take(&net);
    return rc;
}

ccz_rc ccz_mpcml_network_new(struct ccz_mpcml_network **out, const struct ccz_mpcml_spec *spec,
                             const float *params, size_t params_len, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpcml_network) net = NULL;
    *out = NULL;
    ccz_rc rc = make(&net, spec, err);
    if (rc == CCZ_OK && params && params_len != net->params_len)
        rc = ccz_refuse_num(err, CCZ_E_FORMAT, "mpcml:net-params", (int64_t)params_len,
                            (int64_t)net->params_len);
    if (rc == CCZ_OK && params) {
        rc = cczi_mpcml_alloc(&net->params, params_len, sizeof(*params), err);
        if (rc == CCZ_OK) {
            memcpy(net->params, params, params_len * sizeof(*params));
            rc = check_params(net, err);
        }
    }
    if (rc == CCZ_OK)
        *out = ccz_mpcml_network_take(&net);
    return rc;
}

void ccz_mpcml_network_free(struct ccz_mpcml_network *net)
{
    if (!net)
        return;
    cczi_mpcml_wipe_free(net->params, net->params_len * sizeof(*net->params));
    free(net);
}

const struct ccz_mpcml_spec *ccz_mpcml_network_spec(const struct ccz_mpcml_network *net)
{
    return &net->spec;
}

bool ccz_mpcml_network_has_weights(const struct ccz_mpcml_network *net)
{
    return net->params != NULL;
}

size_t ccz_mpcml_network_inputs(const struct ccz_mpcml_network *net)
{
    return (size_t)net->spec.height * net->spec.width * net->spec.channels;
}

size_t ccz_mpcml_network_outputs(const struct ccz_mpcml_network *net)
{
    return net->node[net->spec.layers_len - 1].out.c;
}

size_t ccz_mpcml_network_params_len(const struct ccz_mpcml_network *net)
{
    return net->params_len;
}

/* --------------------------------------------------------------------------------------- files */

static float to_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

static uint32_t from_float(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof(bits));
    return bits;
}

static ccz_rc truncated(size_t size, struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_FORMAT, "mpcml:net-truncated", (int64_t)size,
                    "%zu bytes, fewer or more than the header says", size);
}

static ccz_rc read_spec(struct ccz_mpcml_spec *s, uint32_t *flags, struct ccz_rd *r, size_t size,
                        struct ccz_err *err)
{
    char got[sizeof(magic)];
    ccz_rd_copy(r, got, sizeof(got));
    if (r->bad || memcmp(got, magic, sizeof(magic)) != 0)
        return ccz_refuse_bytes(err, CCZ_E_FORMAT, "mpcml:net-magic", got, sizeof(got), magic,
                                sizeof(magic));
    const uint32_t version = ccz_rd_le32(r);
    if (version != VERSION)
        return r->bad ? truncated(size, err)
                      : ccz_refuse_num(err, CCZ_E_FORMAT, "mpcml:net-version", version, VERSION);
    *flags = ccz_rd_le32(r);
    if (*flags & ~(uint32_t)WITH_WEIGHTS)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "mpcml:net-flags", *flags, WITH_WEIGHTS);
    s->height = ccz_rd_le32(r);
    s->width = ccz_rd_le32(r);
    s->channels = ccz_rd_le32(r);
    s->input_min = to_float(ccz_rd_le32(r));
    s->input_max = to_float(ccz_rd_le32(r));
    s->weight_max = ccz_rd_le32(r);
    s->layers_len = ccz_rd_le32(r);
    if (s->layers_len > CCZ_MPCML_NETWORK_LAYERS_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "mpcml:net-size", (int64_t)s->layers_len,
                              CCZ_MPCML_NETWORK_LAYERS_MAX);
    for (size_t i = 0; i < s->layers_len; i++) {
        struct ccz_mpcml_layer *l = &s->layers[i];
        l->kind = (enum ccz_mpcml_layer_kind)ccz_rd_le32(r);
        l->out = ccz_rd_le32(r);
        l->kh = ccz_rd_le32(r);
        l->kw = ccz_rd_le32(r);
        l->stride = ccz_rd_le32(r);
        l->pad = ccz_rd_le32(r);
    }
    return r->bad ? truncated(size, err) : CCZ_OK;
}

ccz_rc ccz_mpcml_network_read(struct ccz_mpcml_network **out, struct ccz_span in,
                              struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpcml_network) net = NULL;
    struct ccz_mpcml_spec spec = {0};
    struct ccz_rd r = ccz_rd_from(in);
    uint32_t flags = 0;
    *out = NULL;
    ccz_rc rc = read_spec(&spec, &flags, &r, in.size, err);
    if (rc == CCZ_OK)
        rc = make(&net, &spec, err);
    if (rc != CCZ_OK)
        return rc;
    if (r.left != (flags & WITH_WEIGHTS ? 4 * net->params_len : 0)) /* before memory is taken */
        return truncated(in.size, err);
    if (flags & WITH_WEIGHTS) {
        rc = cczi_mpcml_alloc(&net->params, net->params_len, sizeof(*net->params), err);
        for (size_t i = 0; rc == CCZ_OK && i < net->params_len; i++)
            net->params[i] = to_float(ccz_rd_le32(&r));
        if (rc == CCZ_OK)
            rc = check_params(net, err);
    }
    if (rc == CCZ_OK)
        *out = ccz_mpcml_network_take(&net);
    return rc;
}

ccz_rc ccz_mpcml_network_write(struct ccz_buf *out, const struct ccz_mpcml_network *net,
                               bool weights, struct ccz_err *err)
{
    const struct ccz_mpcml_spec *s = &net->spec;
    if (weights && !net->params)
        return ccz_fail(err, CCZ_E_ARG, "mpcml:weights", 0, "a network without weights");
    out->wipe = out->wipe || weights;
    ccz_buf_put(out, magic, sizeof(magic));
    ccz_buf_le32(out, VERSION);
    ccz_buf_le32(out, weights ? WITH_WEIGHTS : 0);
    ccz_buf_le32(out, s->height);
    ccz_buf_le32(out, s->width);
    ccz_buf_le32(out, s->channels);
    ccz_buf_le32(out, from_float(s->input_min));
    ccz_buf_le32(out, from_float(s->input_max));
    ccz_buf_le32(out, s->weight_max);
    ccz_buf_le32(out, (uint32_t)s->layers_len);
    for (size_t i = 0; i < s->layers_len; i++) {
        const struct ccz_mpcml_layer *l = &s->layers[i];
        const uint32_t word[] = {(uint32_t)l->kind, l->out, l->kh, l->kw, l->stride, l->pad};
        for (size_t k = 0; k < sizeof(word) / sizeof(word[0]); k++)
            ccz_buf_le32(out, word[k]);
    }
    for (size_t i = 0; weights && i < net->params_len; i++)
        ccz_buf_le32(out, from_float(net->params[i]));
    if (out->bad)
        return ccz_fail(err, CCZ_E_NOMEM, "mpcml:memory", 0, "no memory for a file, or too long");
    return CCZ_OK;
}
