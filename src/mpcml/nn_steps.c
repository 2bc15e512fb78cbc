/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers to steps. Sums stay at the scale that products gave them until the next weights come: pools and ReLU do not care,
 * and behind them there are fewer values to truncate, which are not negative either.
 */
#include "nn_priv.h"

#include <math.h>
#include <string.h>

enum { FRAC_SPARE = 4 }; /* bits of the ring that fractions leave to the rest */

/* ------------------------------------------------------------------------------- configuration */

static ccz_rc check_cfg(const struct ccz_mpcml_nn_cfg *c, const struct ccz_mpcml_network *net,
                        struct ccz_err *err)
{
    const struct ccz_mpcml_spec *s = &net->spec;
    if (c->server > 1)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpcml:role", c->server, 1);
    if (c->ring_bits != 32 && c->ring_bits != 64)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpcml:ring", c->ring_bits, 32);
    if (c->images < 1 || c->images > CCZ_MPCML_NN_IMAGES_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpcml:images", (int64_t)c->images,
                              (int64_t)CCZ_MPCML_NN_IMAGES_MAX);
    if (c->batch > CCZ_MPCML_NN_BATCH_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpcml:batch", (int64_t)c->batch,
                              CCZ_MPCML_NN_BATCH_MAX);
    if (c->frac < 1 || c->weight_frac < 1 || c->frac > c->ring_bits ||
        c->weight_frac > c->ring_bits || c->frac + c->weight_frac > c->ring_bits - FRAC_SPARE)
        return ccz_fail(err, CCZ_E_ARG, "mpcml:frac", c->frac,
                        "%u and %u fraction bits in a ring of %u bits", c->frac, c->weight_frac,
                        c->ring_bits);
    if (ldexp((double)s->weight_max, (int)c->weight_frac) >= ldexp(1, (int)c->ring_bits - 2))
        return ccz_fail(err, CCZ_E_ARG, "mpcml:frac", c->weight_frac,
                        "weights up to %u have no room for %u fraction bits in a ring of %u",
                        s->weight_max, c->weight_frac, c->ring_bits);
    if ((unsigned)c->output > CCZ_MPCML_NN_LOGITS ||
        (c->output == CCZ_MPCML_NN_LOGITS && s->layers[s->layers_len - 1].kind == CCZ_MPCML_ARGMAX))
        return ccz_refuse_num(err, CCZ_E_ARG, "mpcml:output", (int64_t)c->output,
                              CCZ_MPCML_NN_CLASS);
    return CCZ_OK;
}

/* Means of many values have more fraction bits than products. */
static ccz_rc check_steps(const struct ccz_mpcml_nn_cfg *c, const struct ccz_mpcml_network *net,
                          struct ccz_err *err)
{
    struct cczi_nn_steps steps;
    cczi_nn_steps(&steps, net, c);
    if (steps.frac_max <= c->ring_bits - FRAC_SPARE)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_ARG, "mpcml:frac", steps.frac_max,
                    "a pool of means needs %u fraction bits in a ring of %u bits", steps.frac_max,
                    c->ring_bits);
}

ccz_rc cczi_nn_cfg(struct ccz_mpcml_nn_cfg *out, const struct ccz_mpcml_network *net,
                   const struct ccz_mpcml_nn_cfg *cfg, struct ccz_err *err)
{
    *out = *cfg;
    if (out->ring_bits == 0)
        out->ring_bits = 32;
    if (out->frac == 0)
        out->frac = out->ring_bits == 32 ? 8 : 16;
    if (out->weight_frac == 0)
        out->weight_frac = out->ring_bits == 32 ? 10 : 16;
    ccz_rc rc = check_cfg(out, net, err);
    if (rc == CCZ_OK)
        rc = check_steps(out, net, err);
    if (rc == CCZ_OK && out->batch == 0)
        out->batch = CCZ_MPCML_NN_BATCH_MAX;
    if (rc == CCZ_OK && out->batch > out->images)
        out->batch = out->images;
    return rc;
}

size_t ccz_mpcml_nn_output_len(const struct ccz_mpcml_network *net,
                               const struct ccz_mpcml_nn_cfg *cfg)
{
    return cfg->images * (cfg->output == CCZ_MPCML_NN_LOGITS ? ccz_mpcml_network_outputs(net) : 1);
}

unsigned ccz_mpcml_nn_output_frac(const struct ccz_mpcml_nn_cfg *cfg)
{
    const bool small = cfg->ring_bits == 0 || cfg->ring_bits == 32;
    if (cfg->output != CCZ_MPCML_NN_LOGITS)
        return 0;
    return (cfg->frac ? cfg->frac
            : small   ? 8
                      : 16) +
           (cfg->weight_frac ? cfg->weight_frac
            : small          ? 10
                             : 16);
}

/* --------------------------------------------------------------------------------------- steps */

/* What is known of the values on the way. */
struct state {
    struct cczi_nn_steps *steps;
    const struct ccz_mpcml_nn_cfg *cfg;
    struct cczi_mpcml_image shape;
    unsigned frac;
    bool positive;
};

static struct cczi_nn_step *add(struct state *s, enum cczi_nn_op op,
                                const struct cczi_mpcml_node *node)
{
    struct cczi_nn_step *step = &s->steps->step[s->steps->len++];
    *step = (struct cczi_nn_step){
        .op = op, .node = node, .len = cczi_mpcml_image_len(s->shape), .out = s->shape};
    if (node)
        step->out = s->shape = node->out;
    return step;
}

static void add_frac(struct state *s, unsigned more)
{
    s->frac += more;
    s->steps->frac_max = s->steps->frac_max > s->frac ? s->steps->frac_max : s->frac;
}

static void truncate_to_frac(struct state *s)
{
    if (s->frac == s->cfg->frac)
        return;
    struct cczi_nn_step *t = add(s, CCZI_NN_TRUNCATE, NULL);
    t->shift = s->frac - s->cfg->frac;
    t->range = s->positive ? CCZ_MPC_RANGE_POSITIVE : CCZ_MPC_RANGE_HALF;
    s->frac = s->cfg->frac;
}

/* The mean: a sum, then a shift of the point where that is enough. */
static void average(struct state *s, const struct cczi_mpcml_node *n)
{
    const uint64_t len = (uint64_t)n->layer.kh * n->layer.kw;
    const bool power = (len & (len - 1)) == 0;
    const unsigned log = (unsigned)log2((double)len);
    if (!power || s->frac + log > s->cfg->ring_bits - FRAC_SPARE)
        truncate_to_frac(s);
    (void)add(s, CCZI_NN_SUM, n);
    struct cczi_nn_step *step = add(s, power ? CCZI_NN_HALVE : CCZI_NN_SCALE, NULL);
    step->shift = log;
    if (!power) { /* a factor of weight_frac bits, whatever the window */
        step->shift += s->cfg->weight_frac;
        step->factor = (uint64_t)llround(ldexp(1 / (double)len, (int)step->shift));
    }
    add_frac(s, step->shift);
}

static void linear(struct state *s, const struct cczi_mpcml_node *n)
{
    truncate_to_frac(s);
    (void)add(s, n->layer.kind == CCZ_MPCML_DENSE ? CCZI_NN_DENSE : CCZI_NN_CONV, n);
    add_frac(s, s->cfg->weight_frac);
    s->positive = false;
}

void cczi_nn_steps(struct cczi_nn_steps *out, const struct ccz_mpcml_network *net,
                   const struct ccz_mpcml_nn_cfg *cfg)
{
    const struct ccz_mpcml_spec *spec = &net->spec;
    struct state s = {.steps = out,
                      .cfg = cfg,
                      .shape = {spec->height, spec->width, spec->channels},
                      .frac = cfg->frac,
                      .positive = spec->input_min >= 0};
    bool relu = false; /* one that waits until pools of maxima are done */
    out->len = 0;
    out->frac_max = cfg->frac;
    for (size_t i = 0; i < spec->layers_len; i++) {
        const struct cczi_mpcml_node *n = &net->node[i];
        const enum ccz_mpcml_layer_kind kind = n->layer.kind;
        if (relu && kind != CCZ_MPCML_MAX_POOL && kind != CCZ_MPCML_RELU) {
            (void)add(&s, CCZI_NN_RELU, NULL);
            s.positive = true;
            relu = false;
        }
        if (cczi_mpcml_linear(kind))
            linear(&s, n);
        else if (kind == CCZ_MPCML_MAX_POOL)
            (void)add(&s, CCZI_NN_MAX, n);
        else if (kind == CCZ_MPCML_AVG_POOL)
            average(&s, n);
        else if (kind == CCZ_MPCML_RELU)
            relu = !s.positive;
        else
            s.shape = n->out; /* flatten; softmax and argmax change nothing */
    }
}
