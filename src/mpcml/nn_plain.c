/* SPDX-License-Identifier: Apache-2.0 */
/* Networks on plain numbers: elements of fixed point, what the protocol computes bit by bit, and doubles to compare with. */
#include "nn_priv.h"

#include <cczoo/ring.h>

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------------------------ elements */

static void encode(uint64_t *out, const float *in, size_t len, unsigned ring_bits, unsigned frac)
{
    for (size_t i = 0; i < len; i++) {
        const double v = (double)in[i];
        ccz_mpc_encode(out + i, &v, 1, ring_bits, frac);
    }
}

ccz_rc cczi_nn_encode_params(uint64_t **out, const struct ccz_mpcml_network *net,
                             const struct ccz_mpcml_nn_cfg *cfg, struct ccz_err *err)
{
    ccz_rc rc = cczi_mpcml_alloc(out, net->params_len, sizeof(**out), err);
    for (size_t i = 0; i < net->spec.layers_len && rc == CCZ_OK; i++) {
        const struct cczi_mpcml_node *n = &net->node[i];
        const size_t at = n->weights_at, bias = at + n->weights_len;
        if (!cczi_mpcml_linear(n->layer.kind))
            continue;
        encode(*out + at, net->params + at, n->weights_len, cfg->ring_bits, cfg->weight_frac);
        encode(*out + bias, net->params + bias, n->layer.out, cfg->ring_bits,
               cfg->frac + cfg->weight_frac);
    }
    return rc;
}

ccz_rc cczi_nn_encode_images(uint64_t **out, const struct ccz_mpcml_network *net,
                             const struct ccz_mpcml_nn_cfg *cfg, const float *images,
                             struct ccz_err *err)
{
    const struct ccz_mpcml_spec *s = &net->spec;
    const size_t len = cfg->images * ccz_mpcml_network_inputs(net);
    *out = NULL;
    for (size_t i = 0; i < len; i++)
        if (!(images[i] >= s->input_min && images[i] <= s->input_max))
            return ccz_fail(err, CCZ_E_ARG, "mpcml:input", (int64_t)i,
                            "number %zu of the images is not in %g .. %g", i, (double)s->input_min,
                            (double)s->input_max);
    ccz_rc rc = cczi_mpcml_alloc(out, len, sizeof(**out), err);
    if (rc == CCZ_OK)
        encode(*out, images, len, cfg->ring_bits, cfg->frac);
    return rc;
}

void cczi_nn_windows(uint64_t *out, const uint64_t *image, const struct cczi_mpcml_node *n)
{
    const struct ccz_mpcml_layer *l = &n->layer;
    for (size_t at = 0; at < n->out.h * n->out.w; at++)
        for (size_t i = 0; i < (size_t)l->kh * l->kw; i++, out += n->in.c) {
            const size_t row = at / n->out.w * l->stride + i / l->kw - l->pad;
            const size_t col = at % n->out.w * l->stride + i % l->kw - l->pad;
            if (row < n->in.h && col < n->in.w) /* what is above or left has wrapped around */
                memcpy(out, image + (row * n->in.w + col) * n->in.c, n->in.c * sizeof(*out));
            else
                memset(out, 0, n->in.c * sizeof(*out));
        }
}

/* ---------------------------------------------------------------------------------- simulation */

/* Values of one image on the way through: in and out change places. Elements have 64 bits, which all that passed nn_range.c fits. */
struct run {
    const struct cczi_nn_step *step;
    const uint64_t *params;
    uint64_t *in, *out, *windows;
};

static void linear(const struct run *r)
{
    const struct cczi_mpcml_node *n = r->step->node;
    const bool conv = r->step->op == CCZI_NN_CONV;
    const uint64_t *w = r->params + n->weights_at, *bias = w + n->weights_len, *x = r->in;
    const size_t rows = n->out.h * n->out.w, inner = n->weights_len / n->out.c;
    if (conv) {
        cczi_nn_windows(r->windows, r->in, n);
        x = r->windows;
    }
    for (size_t i = 0; i < rows; i++)
        memcpy(r->out + i * n->out.c, bias, n->out.c * sizeof(*bias));
    ccz_ring_matmul_add(r->out, x, w, rows, inner, n->out.c, 64);
}

static void pool(const struct run *r)
{
    const struct cczi_mpcml_node *n = r->step->node;
    const size_t window = (size_t)n->layer.kh * n->layer.kw;
    cczi_nn_windows(r->windows, r->in, n);
    for (size_t i = 0; i < cczi_mpcml_image_len(n->out); i++) {
        const uint64_t *v = r->windows + i / n->out.c * window * n->out.c + i % n->out.c;
        uint64_t best = v[0];
        for (size_t k = 1; k < window; k++) {
            const uint64_t x = v[k * n->out.c];
            if (r->step->op == CCZI_NN_SUM)
                best += x;
            else if ((int64_t)x > (int64_t)best)
                best = x;
        }
        r->out[i] = best;
    }
}

/* Floor of v / 2^s, two's complement. */
static uint64_t shifted(uint64_t v, unsigned s)
{
    const uint64_t sign = 0 - (v >> 63);
    return s ? v >> s | sign << (64 - s) : v;
}

static void each(const struct run *r)
{
    const struct cczi_nn_step *s = r->step;
    for (size_t i = 0; i < s->len; i++) {
        uint64_t v = r->in[i];
        if (s->op == CCZI_NN_SCALE)
            v *= s->factor;
        else if (s->op == CCZI_NN_RELU)
            v = v >> 63 ? 0 : v;
        else if (s->op == CCZI_NN_TRUNCATE)
            v = shifted(v, s->shift);
        r->out[i] = v;
    }
}

static void one_step(struct run *r)
{
    switch (r->step->op) {
    case CCZI_NN_DENSE:
    case CCZI_NN_CONV:
        linear(r);
        break;
    case CCZI_NN_MAX:
    case CCZI_NN_SUM:
        pool(r);
        break;
    default:
        each(r);
    }
    uint64_t *out = r->out;
    r->out = r->in;
    r->in = out;
}

/* The most values of an image before, behind or within a step (its windows). */
static size_t most(const struct cczi_nn_steps *steps)
{
    size_t len = 1;
    for (size_t i = 0; i < steps->len; i++) {
        const struct cczi_nn_step *s = &steps->step[i];
        const size_t out = cczi_mpcml_image_len(s->out);
        size_t windows = 0;
        if (s->node && s->op != CCZI_NN_DENSE)
            windows = out / s->out.c * s->node->layer.kh * s->node->layer.kw * s->node->in.c;
        len = len > s->len ? len : s->len;
        len = len > out ? len : out;
        len = len > windows ? len : windows;
    }
    return len;
}

static uint64_t first_of_largest(const uint64_t *v, size_t len)
{
    size_t best = 0;
    for (size_t i = 1; i < len; i++)
        if ((int64_t)v[i] > (int64_t)v[best])
            best = i;
    return best;
}

static void sign_extend(uint64_t *v, size_t len, unsigned bits)
{
    for (size_t i = 0; i < len; i++)
        v[i] = (uint64_t)ccz_mpc_signed(v[i], bits);
}

static ccz_rc simulate(uint64_t *out, const struct ccz_mpcml_network *net,
                       const struct ccz_mpcml_nn_cfg *cfg, uint64_t *params, uint64_t *x,
                       struct ccz_err *err)
{
    struct cczi_nn_steps steps;
    const size_t inputs = ccz_mpcml_network_inputs(net), outputs = ccz_mpcml_network_outputs(net);
    uint64_t *memory = NULL;
    cczi_nn_steps(&steps, net, cfg);
    const size_t len = most(&steps);
    ccz_rc rc = cczi_mpcml_alloc(&memory, 3 * len, sizeof(*memory), err);
    sign_extend(params, net->params_len, cfg->ring_bits);
    sign_extend(x, cfg->images * inputs, cfg->ring_bits);
    for (size_t i = 0; i < cfg->images && rc == CCZ_OK; i++) {
        struct run r = {
            .params = params, .in = memory, .out = memory + len, .windows = memory + 2 * len};
        memcpy(r.in, x + i * inputs, inputs * sizeof(*x));
        for (size_t s = 0; s < steps.len; s++) {
            r.step = &steps.step[s];
            one_step(&r);
        }
        if (cfg->output == CCZ_MPCML_NN_CLASS)
            out[i] = first_of_largest(r.in, outputs);
        for (size_t o = 0; cfg->output == CCZ_MPCML_NN_LOGITS && o < outputs; o++)
            out[i * outputs + o] = r.in[o] & ccz_ring_mask(cfg->ring_bits);
    }
    cczi_mpcml_wipe_free(memory, 3 * len * sizeof(*memory));
    return rc;
}

ccz_rc ccz_mpcml_nn_simulate(uint64_t *out, const struct ccz_mpcml_network *net,
                             const struct ccz_mpcml_nn_cfg *cfg, const float *images,
                             struct ccz_err *err)
{
    struct ccz_mpcml_nn_range range;
    struct ccz_mpcml_nn_cfg c;
    uint64_t *params = NULL, *x = NULL;
    ccz_rc rc = cczi_nn_cfg(&c, net, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    memset(out, 0, ccz_mpcml_nn_output_len(net, &c) * sizeof(*out));
    rc = ccz_mpcml_nn_range(&range, net, &c, err);
    if (rc == CCZ_OK)
        rc = cczi_nn_encode_images(&x, net, &c, images, err);
    if (rc == CCZ_OK)
        rc = cczi_nn_encode_params(&params, net, &c, err);
    if (rc == CCZ_OK)
        rc = simulate(out, net, &c, params, x, err);
    cczi_mpcml_wipe_free(params, net->params_len * sizeof(*params));
    cczi_mpcml_wipe_free(x, c.images * ccz_mpcml_network_inputs(net) * sizeof(*x));
    return rc;
}

/* ------------------------------------------------------------------------------------- doubles */

/* Value (row, col, c) of an image with zeros around it. */
static double at(const double *v, const struct cczi_mpcml_node *n, size_t row, size_t col, size_t c)
{
    return row < n->in.h && col < n->in.w ? v[(row * n->in.w + col) * n->in.c + c] : 0;
}

static double plain_linear(const double *in, const struct ccz_mpcml_network *net,
                           const struct cczi_mpcml_node *n, size_t y, size_t x, size_t o)
{
    const struct ccz_mpcml_layer *l = &n->layer;
    const float *w = net->params + n->weights_at;
    double sum = (double)w[n->weights_len + o];
    if (l->kind == CCZ_MPCML_DENSE) {
        for (size_t i = 0; i < n->in.c; i++)
            sum += in[i] * (double)w[i * n->out.c + o];
        return sum;
    }
    for (size_t i = 0; i < l->kh; i++)
        for (size_t j = 0; j < l->kw; j++)
            for (size_t c = 0; c < n->in.c; c++)
                sum += at(in, n, y * l->stride + i - l->pad, x * l->stride + j - l->pad, c) *
                       (double)w[((i * l->kw + j) * n->in.c + c) * n->out.c + o];
    return sum;
}

static double plain_pool(const double *in, const struct cczi_mpcml_node *n, size_t y, size_t x,
                         size_t c)
{
    const struct ccz_mpcml_layer *l = &n->layer;
    const bool max = l->kind == CCZ_MPCML_MAX_POOL;
    double all = max ? -INFINITY : 0;
    for (size_t i = 0; i < l->kh; i++)
        for (size_t j = 0; j < l->kw; j++) {
            const double v = at(in, n, y * l->stride + i, x * l->stride + j, c);
            all = max ? fmax(all, v) : all + v;
        }
    return max ? all : all / ((double)l->kh * l->kw);
}

static void plain_layer(double *out, const double *in, const struct ccz_mpcml_network *net,
                        const struct cczi_mpcml_node *n)
{
    for (size_t i = 0; i < cczi_mpcml_image_len(n->out); i++) {
        const size_t c = i % n->out.c, x = i / n->out.c % n->out.w, y = i / n->out.c / n->out.w;
        if (cczi_mpcml_linear(n->layer.kind))
            out[i] = plain_linear(in, net, n, y, x, c);
        else if (n->layer.kind == CCZ_MPCML_MAX_POOL || n->layer.kind == CCZ_MPCML_AVG_POOL)
            out[i] = plain_pool(in, n, y, x, c);
        else
            out[i] = n->layer.kind == CCZ_MPCML_RELU && in[i] < 0 ? 0 : in[i];
    }
}

ccz_rc ccz_mpcml_network_logits(double *out, const struct ccz_mpcml_network *net,
                                const float *image, struct ccz_err *err)
{
    double *v = NULL;
    size_t len = ccz_mpcml_network_inputs(net);
    if (!net->params)
        return ccz_fail(err, CCZ_E_ARG, "mpcml:weights", 0, "a network without weights");
    for (size_t i = 0; i < net->spec.layers_len; i++) {
        const size_t n = cczi_mpcml_image_len(net->node[i].out);
        len = len > n ? len : n;
    }
    ccz_rc rc = cczi_mpcml_alloc(&v, 2 * len, sizeof(*v), err);
    if (rc != CCZ_OK)
        return rc;
    double *in = v, *next = v + len;
    for (size_t i = 0; i < ccz_mpcml_network_inputs(net); i++)
        in[i] = (double)image[i];
    for (size_t i = 0; i < net->spec.layers_len; i++) {
        plain_layer(next, in, net, &net->node[i]);
        double *was = in;
        in = next;
        next = was;
    }
    memcpy(out, in, ccz_mpcml_network_outputs(net) * sizeof(*out));
    cczi_mpcml_wipe_free(v, 2 * len * sizeof(*v));
    return CCZ_OK;
}

void ccz_mpcml_softmax(double *out, const double *v, size_t len)
{
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < len; i++)
        max = fmax(max, v[i]);
    for (size_t i = 0; i < len; i++)
        sum += out[i] = exp(v[i] - max);
    for (size_t i = 0; i < len; i++)
        out[i] /= sum;
}
