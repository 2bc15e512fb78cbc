/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intervals that the elements of a network stay in, whatever the image: [lo, hi] of each value of each layer, in doubles whose
 * relative error of 2^-40 at most is added. And how far ONE_BIT may lead away from the simulation: an error of d in all inputs is at
 * most d sum |w| behind weights, and d / 2^s + 1, rounded up, behind a truncation.
 */
#include "nn_priv.h"

#include <math.h>

struct interval {
    double lo, hi;
};
struct ranges {
    const struct cczi_nn_step *step;
    const uint64_t *params;
    unsigned bits;
    struct interval *in, *out;
    double largest, deviation;
};

static void widen(struct interval *to, double w, const struct interval *x)
{
    to->lo += w > 0 ? w * x->lo : w * x->hi;
    to->hi += w > 0 ? w * x->hi : w * x->lo;
}

/* Output o of a dense layer: @return the sum of |w|. */
static double dense(struct ranges *r, size_t o)
{
    const struct cczi_mpcml_node *n = r->step->node;
    const uint64_t *w = r->params + n->weights_at;
    double sum = 0;
    for (size_t i = 0; i < n->in.c; i++) {
        const double v = (double)ccz_mpc_signed(w[i * n->out.c + o], r->bits);
        widen(&r->out[o], v, &r->in[i]);
        sum += fabs(v);
    }
    return sum;
}

/* Output (y, x, o) of a convolution. */
static double conv(struct ranges *r, size_t at)
{
    const struct cczi_mpcml_node *n = r->step->node;
    const struct ccz_mpcml_layer *l = &n->layer;
    const size_t o = at % n->out.c, x = at / n->out.c % n->out.w, y = at / n->out.c / n->out.w;
    const uint64_t *w = r->params + n->weights_at;
    double sum = 0;
    for (size_t i = 0; i < l->kh; i++)
        for (size_t j = 0; j < l->kw; j++) {
            const size_t row = y * l->stride + i - l->pad, col = x * l->stride + j - l->pad;
            if (row >= n->in.h || col >= n->in.w) /* also what wrapped around below 0 */
                continue;
            for (size_t c = 0; c < n->in.c; c++) {
                const double v = (double)ccz_mpc_signed(
                    w[((i * l->kw + j) * n->in.c + c) * n->out.c + o], r->bits);
                widen(&r->out[at], v, &r->in[(row * n->in.w + col) * n->in.c + c]);
                sum += fabs(v);
            }
        }
    return sum;
}

static void linear(struct ranges *r)
{
    const struct cczi_mpcml_node *n = r->step->node;
    const uint64_t *bias = r->params + n->weights_at + n->weights_len;
    double most = 0;
    for (size_t i = 0; i < cczi_mpcml_image_len(n->out); i++) {
        const double b = (double)ccz_mpc_signed(bias[i % n->out.c], r->bits);
        r->out[i] = (struct interval){b, b};
        const double sum = r->step->op == CCZI_NN_DENSE ? dense(r, i) : conv(r, i);
        most = most > sum ? most : sum;
    }
    r->deviation *= most;
}

static void pool(struct ranges *r)
{
    const struct cczi_mpcml_node *n = r->step->node;
    const struct ccz_mpcml_layer *l = &n->layer;
    const bool max = r->step->op == CCZI_NN_MAX;
    for (size_t at = 0; at < cczi_mpcml_image_len(n->out); at++) {
        const size_t c = at % n->out.c, x = at / n->out.c % n->out.w, y = at / n->out.c / n->out.w;
        struct interval all = max ? (struct interval){-INFINITY, -INFINITY} : (struct interval){0};
        for (size_t i = 0; i < (size_t)l->kh * l->kw; i++) {
            const size_t row = y * l->stride + i / l->kw, col = x * l->stride + i % l->kw;
            const struct interval *v = &r->in[(row * n->in.w + col) * n->in.c + c];
            all.lo = max ? fmax(all.lo, v->lo) : all.lo + v->lo;
            all.hi = max ? fmax(all.hi, v->hi) : all.hi + v->hi;
        }
        r->out[at] = all;
    }
    r->deviation *= max ? 1 : (double)l->kh * l->kw;
}

static void each(struct ranges *r)
{
    const struct cczi_nn_step *s = r->step;
    for (size_t i = 0; i < s->len; i++) {
        struct interval v = r->in[i];
        if (s->op == CCZI_NN_SCALE)
            v = (struct interval){v.lo * (double)s->factor, v.hi * (double)s->factor};
        else if (s->op == CCZI_NN_RELU)
            v = (struct interval){fmax(v.lo, 0), fmax(v.hi, 0)};
        else if (s->op == CCZI_NN_TRUNCATE)
            v = (struct interval){floor(ldexp(v.lo, -(int)s->shift)),
                                  floor(ldexp(v.hi, -(int)s->shift)) + 1};
        r->out[i] = v;
    }
    if (s->op == CCZI_NN_SCALE)
        r->deviation *= (double)s->factor;
    if (s->op == CCZI_NN_TRUNCATE)
        r->deviation = ceil(ldexp(r->deviation, -(int)s->shift)) + 1;
}

static void one_step(struct ranges *r)
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
    for (size_t i = 0; i < cczi_mpcml_image_len(r->step->out); i++)
        r->largest = fmax(r->largest, fmax(fabs(r->out[i].lo), fabs(r->out[i].hi)));
    struct interval *out = r->out;
    r->out = r->in;
    r->in = out;
}

static size_t widest(const struct cczi_nn_steps *steps)
{
    size_t len = steps->step[0].len;
    for (size_t i = 0; i < steps->len; i++) {
        const size_t out = cczi_mpcml_image_len(steps->step[i].out);
        len = len > out ? len : out;
    }
    return len;
}

static ccz_rc follow(struct ccz_mpcml_nn_range *out, const struct ccz_mpcml_network *net,
                     const struct ccz_mpcml_nn_cfg *cfg, struct ccz_err *err)
{
    struct cczi_nn_steps steps;
    uint64_t *params = NULL;
    struct interval *a = NULL, *b = NULL;
    cczi_nn_steps(&steps, net, cfg);
    const size_t len = widest(&steps);
    ccz_rc rc = cczi_nn_encode_params(&params, net, cfg, err);
    if (rc == CCZ_OK)
        rc = cczi_mpcml_alloc(&a, len, sizeof(*a), err);
    if (rc == CCZ_OK)
        rc = cczi_mpcml_alloc(&b, len, sizeof(*b), err);
    if (rc == CCZ_OK) {
        /* a bias beyond the ring is encoded as the end of it, which is too large as well */
        struct ranges r = {.params = params, .bits = cfg->ring_bits, .in = a, .out = b};
        const double lo = ldexp(net->spec.input_min, (int)cfg->frac),
                     hi = ldexp(net->spec.input_max, (int)cfg->frac);
        for (size_t i = 0; i < steps.step[0].len; i++)
            a[i] = (struct interval){floor(lo), ceil(hi)};
        r.largest = fmax(r.largest, fmax(fabs(floor(lo)), fabs(ceil(hi))));
        for (size_t i = 0; i < steps.len; i++) {
            r.step = &steps.step[i];
            one_step(&r);
        }
        *out = (struct ccz_mpcml_nn_range){log2(r.largest) + 0x1p-30, r.deviation};
    }
    cczi_mpcml_wipe_free(a, len * sizeof(*a));
    cczi_mpcml_wipe_free(b, len * sizeof(*b));
    cczi_mpcml_wipe_free(params, net->params_len * sizeof(*params));
    return rc;
}

ccz_rc ccz_mpcml_nn_range(struct ccz_mpcml_nn_range *out, const struct ccz_mpcml_network *net,
                          const struct ccz_mpcml_nn_cfg *cfg, struct ccz_err *err)
{
    struct ccz_mpcml_nn_cfg c;
    *out = (struct ccz_mpcml_nn_range){0};
    ccz_rc rc = cczi_nn_cfg(&c, net, cfg, err);
    if (rc == CCZ_OK && !net->params)
        rc = ccz_fail(err, CCZ_E_ARG, "mpcml:weights", 0, "a network without weights");
    if (rc == CCZ_OK)
        rc = follow(out, net, &c, err);
    if (rc != CCZ_OK || out->bits < c.ring_bits - 2)
        return rc;
    /* how many bits is a matter of weights: the owner has it in *out, a log has not */
    (void)ccz_fail(err, CCZ_E_LIMIT, "mpcml:range", c.ring_bits - 2,
                   "values of this network may reach more than the %u bits that a ring of %u has",
                   c.ring_bits - 2, c.ring_bits);
    return ccz_hint(err, CCZ_E_LIMIT, "a ring of 64 bits, or fewer fraction bits");
}
