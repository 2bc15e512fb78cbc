/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_MPCML_NN_PRIV_H
#define CCZI_MPCML_NN_PRIV_H
/*
 * A network is laid out once (nn_file.c), turned into steps on shares (nn_steps.c), and the steps are followed by intervals
 * (nn_range.c), by plain numbers (nn_plain.c) and by a session (nn_run.c). What is done where is decided in nn_steps.c alone.
 */
#include "mpcml_priv.h"

#include <cczoo/mpc_cmp.h>
#include <cczoo/mpcml_nn.h>

/* ------------------------------------------------------------------------------------ network */

struct cczi_mpcml_image {
    size_t h, w, c;
};
static inline size_t cczi_mpcml_image_len(struct cczi_mpcml_image s)
{
    return s.h * s.w * s.c;
}
/* A layer with what follows from those before it. */
struct cczi_mpcml_node {
    struct ccz_mpcml_layer layer;
    struct cczi_mpcml_image in, out;
    size_t weights_at, weights_len; /* in params; the bias behind them, layer.out long */
};
struct ccz_mpcml_network {
    struct ccz_mpcml_spec spec;
    struct cczi_mpcml_node node[CCZ_MPCML_NETWORK_LAYERS_MAX];
    size_t params_len;
    float *params; /* NULL: without weights */
};
static inline bool cczi_mpcml_linear(enum ccz_mpcml_layer_kind kind)
{
    return kind == CCZ_MPCML_DENSE || kind == CCZ_MPCML_CONV2D;
}

/* --------------------------------------------------------------------------------------- steps */

enum cczi_nn_op {
    CCZI_NN_DENSE,
    CCZI_NN_CONV,
    CCZI_NN_MAX,   /* pool */
    CCZI_NN_SUM,   /* pool: the sum of each window */
    CCZI_NN_SCALE, /* times `factor`, a public integer of `shift` fraction bits */
    CCZI_NN_HALVE, /* the same elements with `shift` more fraction bits */
    CCZI_NN_RELU,
    CCZI_NN_TRUNCATE, /* by `shift` bits */
};
struct cczi_nn_step {
    enum cczi_nn_op op;
    const struct cczi_mpcml_node *node; /* of layers with sizes */
    size_t len;                         /* elements of an image before the step */
    struct cczi_mpcml_image out;
    unsigned shift;
    uint64_t factor;
    enum ccz_mpc_range range; /* TRUNCATE */
};
enum { CCZI_NN_STEPS_MAX = 4 * CCZ_MPCML_NETWORK_LAYERS_MAX };
struct cczi_nn_steps {
    struct cczi_nn_step step[CCZI_NN_STEPS_MAX];
    size_t len;
    unsigned frac_max; /* the most fraction bits anywhere */
};
/* The configuration with defaults filled in. */
ccz_rc cczi_nn_cfg(struct ccz_mpcml_nn_cfg *out, const struct ccz_mpcml_network *net,
                   const struct ccz_mpcml_nn_cfg *cfg, struct ccz_err *err);
void cczi_nn_steps(struct cczi_nn_steps *out, const struct ccz_mpcml_network *net,
                   const struct ccz_mpcml_nn_cfg *cfg);

/* --------------------------------------------------------------------------------- fixed point */

/* All parameters as elements: weights with weight_frac bits, biases with frac + weight_frac. */
ccz_rc cczi_nn_encode_params(uint64_t **out, const struct ccz_mpcml_network *net,
                             const struct ccz_mpcml_nn_cfg *cfg, struct ccz_err *err);
/* Images as elements, "mpcml:input". */
ccz_rc cczi_nn_encode_images(uint64_t **out, const struct ccz_mpcml_network *net,
                             const struct ccz_mpcml_nn_cfg *cfg, const float *images,
                             struct ccz_err *err);
/* Windows of an image [h][w][c] as rows [oh ow][kh kw c]; what is outside is zero. */
void cczi_nn_windows(uint64_t *out, const uint64_t *image, const struct cczi_mpcml_node *n);

#endif
