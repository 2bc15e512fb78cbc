/* SPDX-License-Identifier: Apache-2.0 */
/* Forward, loss and backward of one batch. */
#include "nn_priv.h"

#include <math.h>
#include <string.h>

static size_t groups_of(size_t len)
{
    return (len + LANES - 1) / LANES;
}

static struct cczi_nn_conv conv_of(const struct cczi_nn_node *n)
{
    return (struct cczi_nn_conv){n->in.channels, n->in.height, n->in.width,  n->out.channels,
                                 n->out.height,  n->out.width, n->layer.size};
}

static struct cczi_nn_pool pool_of(const struct cczi_nn_node *n)
{
    return (struct cczi_nn_pool){n->in.channels, n->in.height,  n->in.width, n->out.height,
                                 n->out.width,   n->layer.size, n->in.width, false};
}

/* Where group g of what layer i is applied to lies. */
static const float *group_input(const struct ccz_nn *nn, size_t i, size_t g)
{
    return i ? nn->nodes[i - 1].y + g * LANES * nn->nodes[i - 1].out_size
             : nn->input + g * LANES * nn->features;
}

static void forward_group(struct ccz_nn *nn, const float *params, size_t g)
{
    for (size_t i = 0; i < nn->spatial_len; i++) {
        const struct cczi_nn_node *n = &nn->nodes[i];
        const float *x = group_input(nn, i, g);
        float *y = n->y + g * LANES * n->out_size;
        if (n->layer.kind == CCZ_NN_CONV) {
            const struct cczi_nn_conv s = conv_of(n);
            nn->k->conv(y, x, params + n->w_at, params + n->b_at, n->layer.relu, &s);
        } else {
            const struct cczi_nn_pool s = pool_of(n);
            nn->k->pool(y, x, &s);
        }
    }
    const struct cczi_nn_node *last = &nn->nodes[nn->spatial_len - 1];
    nn->k->from_lanes(nn->flat + g * LANES * last->out_size, last->y + g * LANES * last->out_size,
                      last->out_size);
}

static const float *dense_input(const struct ccz_nn *nn, size_t i)
{
    if (i > nn->spatial_len)
        return nn->nodes[i - 1].y;
    return nn->spatial_len ? nn->flat : nn->input;
}

void cczi_nn_forward(struct ccz_nn *nn, const float *params, size_t len)
{
    for (size_t g = 0; nn->spatial_len && g < groups_of(len); g++)
        forward_group(nn, params, g);
    for (size_t i = nn->spatial_len; i < nn->nodes_len; i++) {
        const struct cczi_nn_node *n = &nn->nodes[i];
        nn->k->dense(n->y, dense_input(nn, i), params + n->w_at, params + n->b_at, n->layer.relu,
                     len, n->out_size, n->in_size);
    }
}

/* ---------------------------------------------------------------------------------------- loss */

static double logistic_loss(bool *hit, float *d, float z, uint32_t label)
{
    const double e = exp(-fabs((double)z)); /* log(1 + exp(z)) - label z, without overflow */
    const double p = z >= 0 ? 1 / (1 + e) : e / (1 + e);
    *hit = (z > 0) == (label == 1);
    *d = (float)(p - (double)label);
    return log1p(e) + (z > 0 ? (double)z : 0) - (label ? (double)z : 0);
}

static double softmax_loss(bool *hit, float *d, const float *z, size_t len, uint32_t label)
{
    size_t top = 0;
    for (size_t k = 1; k < len; k++)
        top = z[k] > z[top] ? k : top;
    float sum = 0;
    for (size_t k = 0; k < len; k++) {
        d[k] = expf(z[k] - z[top]);
        sum += d[k];
    }
    for (size_t k = 0; k < len; k++)
        d[k] /= sum;
    d[label] -= 1;
    *hit = top == label;
    return log((double)sum) + (double)z[top] - (double)z[label];
}

void cczi_nn_loss(double *loss, size_t *hits, struct ccz_nn *nn, size_t len, bool gradient)
{
    const struct cczi_nn_node *last = &nn->nodes[nn->nodes_len - 1];
    for (size_t i = 0; i < len; i++) {
        const float *z = last->y + i * nn->outputs;
        float *d = last->d + i * nn->outputs;
        bool hit;
        *loss += nn->spec.loss == CCZ_NN_LOGISTIC
                     ? logistic_loss(&hit, d, *z, nn->label[i])
                     : softmax_loss(&hit, d, z, nn->outputs, nn->label[i]);
        *hits += hit;
    }
    const float share = 1 / (float)len;
    for (size_t i = 0; gradient && i < len * nn->outputs; i++)
        last->d[i] *= share;
}

/* ------------------------------------------------------------------------------------ backward */

static void backward_dense(float *grad, struct ccz_nn *nn, const float *params, size_t i,
                           size_t len)
{
    const struct cczi_nn_node *n = &nn->nodes[i];
    float *db = grad + n->b_at;
    if (n->layer.relu)
        nn->k->relu_back(n->d, n->y, len * n->out_size);
    nn->k->product(grad + n->w_at, n->d, 1, n->out_size, dense_input(nn, i), n->out_size,
                   n->in_size, len);
    memset(db, 0, n->out_size * sizeof(*db));
    for (size_t s = 0; s < len; s++)
        for (size_t o = 0; o < n->out_size; o++)
            db[o] += n->d[s * n->out_size + o];
    float *dx = i > nn->spatial_len ? nn->nodes[i - 1].d : nn->spatial_len ? nn->flat_d : NULL;
    if (dx)
        nn->k->product(dx, n->d, n->out_size, 1, params + n->w_at, len, n->in_size, n->out_size);
}

/* The gradient of a group, as rows in nn->rows, into the padded form of the last spatial layer. */
static void spread(struct ccz_nn *nn, size_t g, size_t len)
{
    const struct cczi_nn_node *last = &nn->nodes[nn->spatial_len - 1];
    const size_t filled = len - g * LANES < LANES ? len - g * LANES : LANES;
    const float *from = nn->flat_d + g * LANES * last->out_size;
    if (filled < LANES) { /* no gradient from samples that are not there */
        memset(nn->rows, 0, LANES * last->out_size * sizeof(float));
        memcpy(nn->rows, from, filled * last->out_size * sizeof(float));
        from = nn->rows;
    }
    if (last->pad == 0) {
        nn->k->to_lanes(last->d, from, last->out_size);
        return;
    }
    const size_t width = last->out.width;
    for (size_t i = 0; i < last->out_size; i++) {
        float *to = last->d + (i / width * (width + 2 * last->pad) + last->pad + i % width) * LANES;
        for (size_t l = 0; l < LANES; l++)
            to[l] = from[l * last->out_size + i];
    }
}

static void backward_conv(float *grad, struct ccz_nn *nn, const float *params, size_t i, size_t g)
{
    const struct cczi_nn_node *n = &nn->nodes[i], *before = i ? n - 1 : NULL;
    const struct cczi_nn_conv s = conv_of(n);
    const bool pooled = i + 1 < nn->spatial_len && n[1].layer.kind == CCZ_NN_POOL;
    const size_t width = n->out.width * LANES, stride = width + 2 * n->pad * LANES;
    const float *y = n->y + g * LANES * n->out_size;
    for (size_t r = 0; n->layer.relu && !pooled && r < n->out_size * LANES / width; r++)
        nn->k->relu_back(n->d + r * stride + n->pad * LANES, y + r * width, width);
    nn->k->conv_weights(grad + n->w_at, grad + n->b_at, group_input(nn, i, g), n->d, &s);
    if (before)
        nn->k->conv_input(before->d + before->pad * LANES, n->d, params + n->w_at,
                          before->out.width + 2 * before->pad, &s);
}

static void backward_pool(struct ccz_nn *nn, size_t i, size_t g)
{
    const struct cczi_nn_node *n = &nn->nodes[i], *before = n - 1;
    struct cczi_nn_pool s = pool_of(n);
    s.d_stride = before->out.width + 2 * before->pad;
    s.relu = before->layer.kind == CCZ_NN_CONV && before->layer.relu;
    nn->k->pool_back(before->d + before->pad * LANES, group_input(nn, i, g),
                     n->y + g * LANES * n->out_size, n->d, &s);
}

static bool has_params_below(const struct ccz_nn *nn, size_t i)
{
    while (i-- > 0)
        if (nn->nodes[i].layer.kind == CCZ_NN_CONV)
            return true;
    return false;
}

void cczi_nn_backward(float *grad, struct ccz_nn *nn, const float *params, size_t len)
{
    for (size_t i = nn->nodes_len; i-- > nn->spatial_len;)
        backward_dense(grad, nn, params, i, len);
    if (nn->spatial_len == 0)
        return;
    memset(grad, 0, nn->nodes[nn->spatial_len].w_at * sizeof(*grad));
    for (size_t g = 0; g < groups_of(len); g++) {
        spread(nn, g, len);
        for (size_t i = nn->spatial_len; i-- > 0;) {
            if (nn->nodes[i].layer.kind == CCZ_NN_CONV)
                backward_conv(grad, nn, params, i, g);
            else if (has_params_below(nn, i))
                backward_pool(nn, i, g);
        }
    }
}
