/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_NN_H
#define CCZ_NN_H
/**
 * @file nn.h
 * A small trainer in C for networks that are a chain of layers: logistic and softmax regression, perceptrons, networks of
 * the LeNet type. For machines without TensorFlow, and for simulations of very many clients.
 * Reading order of the sources: nn_priv.h, spec.c, data.c, dense.c, conv.c, pass.c, train.c, kernels.c, kernels_vec.h.
 *
 * Terms. A *spec* lists the layers; a `ccz_nn` is a spec with the working memory to compute it. Parameters are not part of
 * it: they are one vector of floats that the caller owns, tensor after tensor as ccz_nn_tensors() lists them. So one
 * `ccz_nn` per thread serves any number of clients.
 *
 * Layers. Images are channels x height x width, flattened to features where the first dense layer follows. Convolutions
 * have stride 1 and no padding, pools take the largest of size x size and step by size. ReLU is part of a layer.
 *
 * Conventions are those of PyTorch, so that published settings can be taken over: weights [out, in] and [out, in, k, k];
 * initial weights and biases uniform in +-1/sqrt(fan_in); momentum v = m v + g, w -= lr v; weight decay is part of g. The
 * loss is the mean over a batch.
 *
 * Determinism. The result of a training is a function of parameters, data, settings, and the tier of vector code
 * (ccz_nn_tier()): tiers add in different orders. It does not depend on threads or on what a `ccz_nn` did before.
 *
 * Threads: one at a time per `ccz_nn`; data and parameters that nobody changes may be shared.
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_NN_LAYERS_MAX      16
#define CCZ_NN_TENSORS_MAX     (2 * CCZ_NN_LAYERS_MAX)
#define CCZ_NN_NAME_SIZE       24
#define CCZ_NN_BATCH_MAX       4096
#define CCZ_NN_CHANNELS_SCALED 4          /**< channels of bytes, each of which has a scale */
#define CCZ_NN_WIDTH_MAX       (1u << 24) /**< values of one sample in any layer */
#define CCZ_NN_PARAMS_MAX      ((size_t)1 << 30)

/* ---------------------------------------------------------------------------------------- spec */

enum ccz_nn_kind {
    CCZ_NN_DENSE = 1, /**< `out` values from all of the layer before */
    CCZ_NN_CONV,      /**< `out` channels, `size` x `size` */
    CCZ_NN_POOL /**< largest of `size` x `size`; what does not fill a window at the border is left out */
};
enum ccz_nn_loss {
    CCZ_NN_SOFTMAX, /**< cross entropy of softmax over the last layer's values */
    CCZ_NN_LOGISTIC /**< cross entropy of the logistic function of the last layer's one value; classes 0 and 1 */
};
struct ccz_nn_layer {
    enum ccz_nn_kind kind;
    uint32_t out;  /**< dense, conv */
    uint32_t size; /**< conv, pool */
    bool relu;     /**< dense, conv; not on the last layer */
};
/** The last layer is dense. */
struct ccz_nn_spec {
    uint32_t channels, height, width; /**< of a sample; a row of n features is 1 x 1 x n */
    enum ccz_nn_loss loss;
    size_t layers_len;
    struct ccz_nn_layer layers[CCZ_NN_LAYERS_MAX];
};
/** Binary logistic regression. */
CCZ_API struct ccz_nn_spec ccz_nn_spec_logistic(uint32_t features);
/** Softmax regression. */
CCZ_API struct ccz_nn_spec ccz_nn_spec_softmax(uint32_t features, uint32_t classes);
/** Perceptron with ReLU; more hidden layers than CCZ_NN_LAYERS_MAX - 1 give a spec that ccz_nn_new() refuses. */
CCZ_API struct ccz_nn_spec ccz_nn_spec_mlp(uint32_t features, const uint32_t *hidden,
                                           size_t hidden_len, uint32_t classes);
/** conv 6 5x5, pool 2, conv 16 5x5, pool 2, dense 120, 84, classes; ReLU. Sides of at least 16 pixels. */
CCZ_API struct ccz_nn_spec ccz_nn_spec_lenet(uint32_t channels, uint32_t height, uint32_t width,
                                             uint32_t classes);

/** One tensor of the parameters. */
struct ccz_nn_tensor {
    char name[CCZ_NN_NAME_SIZE]; /**< "conv1.weight", "conv1.bias", "fc1.weight", .. */
    unsigned rank;
    uint32_t dims[4];
    size_t len, at; /**< floats, and where they begin in the vector */
};

/* ---------------------------------------------------------------------------------------- data */

/** Samples, borrowed. Exactly one of `bytes` and `floats` is set. */
struct ccz_nn_data {
    const uint8_t
        *bytes; /**< @shape [len * features]; each is byte * scale + shift of its channel */
    const float *floats;                 /**< @shape [len * features], taken as they are */
    float scale[CCZ_NN_CHANNELS_SCALED]; /**< for bytes; if this and shift are all 0, 1/255 */
    float shift[CCZ_NN_CHANNELS_SCALED];
    bool
        channels_last; /**< samples lie as [height][width][channel]; else [channel][height][width] */
    const uint32_t *labels; /**< @shape [len]: classes; ccz_nn_scores() does without */
    size_t len;
    const uint32_t *rows; /**< which samples, e.g. those of one client; NULL = all, in order */
    size_t rows_len;      /**< of `rows` */
};

/* ------------------------------------------------------------------------------------- trainer */

struct ccz_nn;
/**
 * @param[out] out   owned by the caller
 * @param      tier  of vector code, for tests; NULL = the best that the processor has and CCZOO_CPU allows
 * @retval CCZ_E_ARG      nn:layer (a kind, size or number that makes no sense there), nn:image (a layer is larger than
 *                        what it is applied to), nn:last (the last layer is not dense, has ReLU, or does not suit the loss)
 * @retval CCZ_E_LIMIT    nn:size: more than the limits above
 * @retval CCZ_E_UNSUPPORTED nn:tier: this processor does not have it
 * @retval CCZ_E_NOMEM    nn:new
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_nn_new(struct ccz_nn **out, const struct ccz_nn_spec *spec,
                                       const char *tier, struct ccz_err *err);
CCZ_API void ccz_nn_free(struct ccz_nn *nn); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_nn)
/** "portable", "avx2", "avx512" */
CCZ_API const char *ccz_nn_tier(const struct ccz_nn *nn);
CCZ_API const struct ccz_nn_spec *ccz_nn_spec(const struct ccz_nn *nn);
/** Values of a sample; values of the last layer. */
CCZ_API size_t ccz_nn_features(const struct ccz_nn *nn);
CCZ_API size_t ccz_nn_outputs(const struct ccz_nn *nn);
/** Length of the vector of parameters. */
CCZ_API size_t ccz_nn_params_len(const struct ccz_nn *nn);
/** The tensors in order, without gaps; borrowed from @p nn. */
CCZ_API const struct ccz_nn_tensor *ccz_nn_tensors(size_t *len, const struct ccz_nn *nn);
/** Initial parameters, a function of @p seed alone. @param[out] params  @shape [ccz_nn_params_len()] */
CCZ_API void ccz_nn_init(float *params, const struct ccz_nn *nn, uint64_t seed);

/** Means over the samples seen. */
struct ccz_nn_metrics {
    uint64_t samples, steps; /**< of a training: rows * epochs, and batches */
    double loss, accuracy;   /**< of a training: in its last epoch, as each batch was met */
};
struct ccz_nn_train_cfg {
    uint32_t epochs,
        batch; /**< both at least 1; batch <= CCZ_NN_BATCH_MAX. The last batch of an epoch may be smaller */
    float lr;           /**< > 0 */
    float momentum;     /**< [0, 1); starts from zero in each call */
    float weight_decay; /**< >= 0 */
    /** FedProx (Li et al. 2020): prox_mu (w - centre) is added to the gradient. >= 0 */
    float prox_mu;
    const float *centre; /**< NULL = the parameters at the start of the call */
    /** SCAFFOLD (Karimireddy et al. 2020): w -= lr correction at each step, beside momentum and not through it, so that
     *  the control variate of option II, (x - y) / (steps lr), has the right size with momentum as well. NULL = none */
    const float *correction;
    uint64_t seed; /**< of the order of samples, drawn anew for each epoch */
    /** After each epoch; @p m as far as it is. May read the parameters and use another ccz_nn. NULL = none */
    void (*on_epoch)(void *arg, uint32_t epoch, const struct ccz_nn_metrics *m);
    void *arg;
};
/**
 * Trains by stochastic gradient descent.
 * @param[out]    out     zeroed unless CCZ_OK
 * @param[in,out] params  undefined after a failure
 * @retval CCZ_E_ARG     nn:data (none, both kinds, no labels), nn:row (an index behind the data), nn:config
 * @retval CCZ_E_FORMAT  nn:label: a class that the network does not have
 * @retval CCZ_E_LIMIT   nn:diverged: the loss is not a finite number
 * @retval CCZ_E_NOMEM   nn:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_nn_train(struct ccz_nn_metrics *out, float *params,
                                         struct ccz_nn *nn, const struct ccz_nn_data *data,
                                         const struct ccz_nn_train_cfg *cfg, struct ccz_err *err);
/**
 * Loss and accuracy, no training. A loss that is not finite is reported as it is.
 * @retval as ccz_nn_train(), without nn:config and nn:diverged
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_nn_evaluate(struct ccz_nn_metrics *out, struct ccz_nn *nn,
                                            const float *params, const struct ccz_nn_data *data,
                                            struct ccz_err *err);
/**
 * The gradient of the mean loss over all rows, at most CCZ_NN_BATCH_MAX.
 * @param[out] gradient  @shape [ccz_nn_params_len()]
 * @param[out] out       may be NULL
 * @retval as ccz_nn_train(); CCZ_E_LIMIT nn:batch: too many rows
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_nn_gradient(float *gradient, struct ccz_nn_metrics *out,
                                            struct ccz_nn *nn, const float *params,
                                            const struct ccz_nn_data *data, struct ccz_err *err);
/**
 * The last layer's values for each row: before softmax or the logistic function.
 * @param[out] scores  @shape [rows * ccz_nn_outputs()]
 * @retval as ccz_nn_evaluate(), without nn:label
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_nn_scores(float *scores, struct ccz_nn *nn, const float *params,
                                          const struct ccz_nn_data *data, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
