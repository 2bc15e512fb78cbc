/* SPDX-License-Identifier: Apache-2.0 */
/* Networks in a session: weights are the server's PRIVATE tensors and the fixed operands of all products, images the client's. */
#include "nn_priv.h"

#include "base/ct.h"

#include <cczoo/mpc_cmp.h>
#include <cczoo/ring.h>

#include <stdlib.h>
#include <string.h>

struct ccz_mpcml_nn {
    const struct ccz_mpcml_network *net;
    struct ccz_mpcml_nn_cfg cfg; /* with defaults filled in */
    unsigned role;
    struct cczi_nn_steps steps;
    struct ccz_mpcml_program program;
    uint64_t *params; /* the server's */
    uint64_t *images; /* the client's */
    uint64_t *output; /* of use at the client */
    bool done;
    /* Of a session: weights and biases of the steps that have some; images. */
    struct ccz_mpc_tensor *weights[CCZI_NN_STEPS_MAX], *bias[CCZI_NN_STEPS_MAX], *x;
};

static bool is_linear(const struct cczi_nn_step *s)
{
    return s->op == CCZI_NN_DENSE || s->op == CCZI_NN_CONV;
}

static size_t inputs_of(const struct ccz_mpcml_nn *nn)
{
    return ccz_mpcml_network_inputs(nn->net);
}

/* -------------------------------------------------------------------------------------- inputs */

static ccz_rc check_session(const struct ccz_mpcml_nn *nn, const struct ccz_mpc *m,
                            struct ccz_err *err)
{
    const ccz_rc rc = cczi_mpcml_check_session(m, nn->role, nn->cfg.ring_bits, err);
    if (rc != CCZ_OK || ccz_mpc_is_plan(m))
        return rc;
    if (nn->role == nn->cfg.server && !nn->params)
        return ccz_fail(err, CCZ_E_ARG, "mpcml:weights", 0, "a network without weights");
    if (nn->role != nn->cfg.server && !nn->images)
        return ccz_fail(err, CCZ_E_ARG, "mpcml:data", 0, "no images");
    return CCZ_OK;
}

static ccz_rc load(struct ccz_mpcml_nn *nn, size_t i, struct ccz_mpc *m, struct ccz_err *err)
{
    const struct cczi_nn_step *s = &nn->steps.step[i];
    const struct cczi_mpcml_node *n = s->node;
    const struct ccz_mpcml_nn_cfg *c = &nn->cfg;
    const bool values = nn->params && !ccz_mpc_is_plan(m);
    const uint64_t *w = values ? nn->params + n->weights_at : NULL;
    const struct ccz_mpc_shape shape =
        s->op == CCZI_NN_DENSE ? CCZ_MPC_SHAPE2(n->in.c, n->out.c)
                               : CCZ_MPC_SHAPE4(n->layer.kh, n->layer.kw, n->in.c, n->out.c);
    ccz_rc rc = ccz_mpc_private(&nn->weights[i], m, c->server, shape, c->weight_frac, w, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_private(&nn->bias[i], m, c->server, CCZ_MPC_SHAPE1(n->out.c),
                             c->frac + c->weight_frac, w ? w + n->weights_len : NULL, err);
    return rc;
}

static ccz_rc inputs(void *self, struct ccz_mpc *m, struct ccz_err *err)
{
    struct ccz_mpcml_nn *nn = self;
    const struct ccz_mpcml_spec *s = &nn->net->spec;
    const struct ccz_mpc_shape shape =
        CCZ_MPC_SHAPE4(nn->cfg.images, s->height, s->width, s->channels);
    nn->done = false;
    ccz_rc rc = check_session(nn, m, err);
    for (size_t i = 0; i < nn->steps.len && rc == CCZ_OK; i++)
        if (is_linear(&nn->steps.step[i]))
            rc = load(nn, i, m, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_private(&nn->x, m, 1 - nn->cfg.server, shape, nn->cfg.frac,
                             ccz_mpc_is_plan(m) ? NULL : nn->images, err);
    return rc;
}

static void reset(void *self)
{
    struct ccz_mpcml_nn *nn = self;
    for (size_t i = 0; i < CCZI_NN_STEPS_MAX; i++) {
        ccz_mpc_tensor_free(nn->weights[i]);
        ccz_mpc_tensor_free(nn->bias[i]);
        nn->weights[i] = nn->bias[i] = NULL;
    }
    ccz_mpc_tensor_free(nn->x);
    nn->x = NULL;
}

/* --------------------------------------------------------------------------------------- steps */

static ccz_rc reshape_to(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                         struct cczi_mpcml_image s, struct ccz_err *err)
{
    const size_t batch = ccz_mpc_shape_of(x).dim[0];
    return ccz_mpc_reshape(out, x, CCZ_MPC_SHAPE4(batch, s.h, s.w, s.c), err);
}

static ccz_rc linear(struct ccz_mpc_tensor **out, const struct ccz_mpcml_nn *nn, size_t i,
                     const struct ccz_mpc_tensor *x, struct ccz_err *err)
{
    const struct cczi_mpcml_node *n = nn->steps.step[i].node;
    CCZ_AUTO(ccz_mpc_tensor) in = NULL;
    CCZ_AUTO(ccz_mpc_tensor) product = NULL;
    CCZ_AUTO(ccz_mpc_tensor) sum = NULL;
    const size_t batch = ccz_mpc_shape_of(x).dim[0];
    ccz_rc rc;
    if (nn->steps.step[i].op == CCZI_NN_CONV) {
        rc = ccz_mpc_conv2d(&product, x, nn->weights[i], n->layer.stride, n->layer.pad, err);
    } else {
        rc = ccz_mpc_reshape(&in, x, CCZ_MPC_SHAPE2(batch, n->in.c), err);
        if (rc == CCZ_OK)
            rc = ccz_mpc_matmul(&product, in, nn->weights[i], err);
    }
    if (rc == CCZ_OK)
        rc = ccz_mpc_add(&sum, product, nn->bias[i], err);
    return rc == CCZ_OK ? reshape_to(out, sum, n->out, err) : rc;
}

static ccz_rc max_pool(struct ccz_mpc_tensor **out, const struct cczi_mpcml_node *n,
                       const struct ccz_mpc_tensor *x, struct ccz_err *err)
{
    const struct ccz_mpcml_layer *l = &n->layer;
    const struct ccz_mpc_pool pool = {
        .height = l->kh, .width = l->kw, .stride_y = l->stride, .stride_x = l->stride};
    return ccz_mpc_max_pool(out, x, &pool, err);
}

/* Sums of windows, local: as windows of one channel each. */
static ccz_rc sum_pool(struct ccz_mpc_tensor **out, const struct cczi_mpcml_node *n,
                       const struct ccz_mpc_tensor *x, struct ccz_err *err)
{
    const struct ccz_mpcml_layer *l = &n->layer;
    CCZ_AUTO(ccz_mpc_tensor) windows = NULL;
    CCZ_AUTO(ccz_mpc_tensor) split = NULL;
    CCZ_AUTO(ccz_mpc_tensor) sum = NULL;
    const size_t batch = ccz_mpc_shape_of(x).dim[0], places = batch * n->out.h * n->out.w;
    ccz_rc rc = ccz_mpc_windows(&windows, x, l->kh, l->kw, l->stride, 0, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_reshape(&split, windows,
                             CCZ_MPC_SHAPE3(places, (size_t)l->kh * l->kw, n->in.c), err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_sum(&sum, split, 1, err);
    return rc == CCZ_OK
               ? ccz_mpc_reshape(out, sum, CCZ_MPC_SHAPE4(batch, n->out.h, n->out.w, n->out.c), err)
               : rc;
}

static ccz_rc one_step(struct ccz_mpc_tensor **out, const struct ccz_mpcml_nn *nn, size_t i,
                       const struct ccz_mpc_tensor *x, struct ccz_err *err)
{
    const struct cczi_nn_step *s = &nn->steps.step[i];
    switch (s->op) {
    case CCZI_NN_DENSE:
    case CCZI_NN_CONV:
        return linear(out, nn, i, x, err);
    case CCZI_NN_MAX:
        return max_pool(out, s->node, x, err);
    case CCZI_NN_SUM:
        return sum_pool(out, s->node, x, err);
    case CCZI_NN_SCALE:
        return ccz_mpc_scale(out, x, s->factor, s->shift, err);
    case CCZI_NN_HALVE:
        return ccz_mpc_reinterpret(out, x, ccz_mpc_frac_of(x) + s->shift, err);
    case CCZI_NN_RELU:
        return ccz_mpc_relu(out, NULL, x, err);
    case CCZI_NN_TRUNCATE:
        return ccz_mpc_truncate(out, x, s->shift, s->range, err);
    }
    *out = NULL;
    return ccz_fail(err, CCZ_E_INTERNAL, "mpcml:step", (int64_t)s->op, "no such step");
}

/* What the client gets of images from .. on, logits x [batch, outputs]. */
static ccz_rc reveal(struct ccz_mpcml_nn *nn, const struct ccz_mpc_tensor *x, size_t from,
                     struct ccz_err *err)
{
    const size_t outputs = ccz_mpcml_network_outputs(nn->net), batch = ccz_mpc_shape_of(x).dim[0];
    const unsigned client = 1 - nn->cfg.server, to = 1u << client;
    const bool logits = nn->cfg.output == CCZ_MPCML_NN_LOGITS;
    CCZ_AUTO(ccz_mpc_tensor) rows = NULL;
    CCZ_AUTO(ccz_mpc_tensor) max = NULL;
    CCZ_AUTO(ccz_mpc_tensor) index = NULL;
    uint64_t *out = nn->output + from * (logits ? outputs : 1);
    uint64_t *mine = ccz_mpc_cfg_of(ccz_mpc_session_of(x))->role == client ? out : NULL;
    if (logits)
        return ccz_mpc_reveal(mine, x, to, "logits", err);
    ccz_rc rc = ccz_mpc_reshape(&rows, x, CCZ_MPC_SHAPE2(batch, outputs), err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_max(&max, &index, rows, err);
    return rc == CCZ_OK ? ccz_mpc_reveal(mine, index, to, "class", err) : rc;
}

static ccz_rc one_batch(struct ccz_mpcml_nn *nn, size_t from, size_t len, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) images = NULL;
    CCZ_AUTO(ccz_mpc_tensor) x = NULL;
    ccz_rc rc = ccz_mpc_slice(&images, nn->x, 0, from, 1, len, err);
    if (rc == CCZ_OK) /* shared, so that weights are what products hold fixed */
        rc = ccz_mpc_share(&x, images, err);
    for (size_t i = 0; i < nn->steps.len && rc == CCZ_OK; i++) {
        struct ccz_mpc_tensor *next = NULL;
        rc = one_step(&next, nn, i, x, err);
        ccz_mpc_tensor_free(x);
        x = next;
    }
    return rc == CCZ_OK ? reveal(nn, x, from, err) : rc;
}

static ccz_rc compute(void *self, struct ccz_mpc *m, const struct ccz_mpcml_setting *setting,
                      struct ccz_err *err)
{
    struct ccz_mpcml_nn *nn = self;
    ccz_rc rc = CCZ_OK;
    (void)setting; /* every step needs the one before */
    for (size_t from = 0; from < nn->cfg.images && rc == CCZ_OK; from += nn->cfg.batch) {
        const size_t left = nn->cfg.images - from;
        rc = one_batch(nn, from, left < nn->cfg.batch ? left : nn->cfg.batch, err);
    }
    nn->done = rc == CCZ_OK && !ccz_mpc_is_plan(m);
    return rc;
}

/* -------------------------------------------------------------------------------------- object */

static ccz_rc digest(uint8_t out[CCZ_MPC_PROGRAM_SIZE], const struct ccz_mpcml_nn *nn,
                     struct ccz_err *err)
{
    const struct ccz_mpcml_nn_cfg *c = &nn->cfg;
    const uint64_t word[] = {c->server, c->ring_bits,   c->images,          c->batch,
                             c->frac,   c->weight_frac, (uint64_t)c->output};
    struct cczi_mpcml_digest d;
    CCZ_AUTO_BUF file;
    ccz_buf_init(&file, CCZ_MPCML_NETWORK_SIZE_MAX);
    ccz_rc rc = ccz_mpcml_network_write(&file, nn->net, false, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_mpcml_digest_begin(&d, "cczoo mpcml network 1");
    for (size_t i = 0; i < sizeof(word) / sizeof(word[0]); i++)
        cczi_mpcml_digest_u64(&d, word[i]);
    cczi_mpcml_digest_bytes(&d, file.ptr, file.size);
    return cczi_mpcml_digest_end(out, &d, err);
}

static ccz_rc own_values(struct ccz_mpcml_nn *nn, const float *images, struct ccz_err *err)
{
    struct ccz_mpcml_nn_range range;
    ccz_rc rc = CCZ_OK;
    if (nn->role == nn->cfg.server && nn->net->params) {
        rc = ccz_mpcml_nn_range(&range, nn->net, &nn->cfg, err);
        if (rc == CCZ_OK)
            rc = cczi_nn_encode_params(&nn->params, nn->net, &nn->cfg, err);
        if (rc ==
            CCZ_OK) /* encoding is the owner's affair; from here on nothing depends on values */
            CCZ_CT_SECRET(nn->params, nn->net->params_len * sizeof(*nn->params));
    } else if (nn->role != nn->cfg.server && images) {
        rc = cczi_nn_encode_images(&nn->images, nn->net, &nn->cfg, images, err);
        if (rc == CCZ_OK)
            CCZ_CT_SECRET(nn->images, nn->cfg.images * inputs_of(nn) * sizeof(*nn->images));
    }
    if (rc == CCZ_OK) /* at the server for plans, which are made as party 0 */
        rc = cczi_mpcml_alloc(&nn->output, ccz_mpcml_nn_output_len(nn->net, &nn->cfg),
                              sizeof(*nn->output), err);
    return rc;
}

ccz_rc ccz_mpcml_nn_new(struct ccz_mpcml_nn **out, unsigned role,
                        const struct ccz_mpcml_network *net, const struct ccz_mpcml_nn_cfg *cfg,
                        const float *images, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpcml_nn) nn = NULL;
    *out = NULL;
    if (role > 1)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpcml:role", role, 1);
    ccz_rc rc = cczi_mpcml_alloc(&nn, 1, sizeof(*nn), err);
    if (rc != CCZ_OK)
        return rc;
    nn->net = net;
    nn->role = role;
    rc = cczi_nn_cfg(&nn->cfg, net, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_nn_steps(&nn->steps, net, &nn->cfg);
    nn->program =
        (struct ccz_mpcml_program){.name = "network",
                                   .self = nn,
                                   .ring_bits = nn->cfg.ring_bits,
                                   .frac = nn->cfg.frac,
                                   .max_abs = (uint64_t)net->spec.weight_max << nn->cfg.weight_frac,
                                   .inputs = inputs,
                                   .compute = compute,
                                   .reset = reset};
    rc = digest(nn->program.digest, nn, err);
    if (rc == CCZ_OK)
        rc = own_values(nn, images, err);
    if (rc == CCZ_OK)
        *out = ccz_mpcml_nn_take(&nn);
    return rc;
}

void ccz_mpcml_nn_free(struct ccz_mpcml_nn *nn)
{
    if (!nn)
        return;
    reset(nn);
    cczi_mpcml_wipe_free(nn->params, nn->net->params_len * sizeof(*nn->params));
    cczi_mpcml_wipe_free(nn->images, nn->cfg.images * inputs_of(nn) * sizeof(*nn->images));
    cczi_mpcml_wipe_free(nn->output,
                         ccz_mpcml_nn_output_len(nn->net, &nn->cfg) * sizeof(*nn->output));
    free(nn);
}

const struct ccz_mpcml_program *ccz_mpcml_nn_program(const struct ccz_mpcml_nn *nn)
{
    return &nn->program;
}

const uint64_t *ccz_mpcml_nn_output(const struct ccz_mpcml_nn *nn)
{
    return nn->done && nn->role != nn->cfg.server ? nn->output : NULL;
}
