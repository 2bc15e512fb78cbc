/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_MPCML_NN_H
#define CCZ_MPCML_NN_H
/**
 * @file mpcml_nn.h
 * Inference of two parties: the server's weights and the client's images stay with their owners, the client gets the result.
 * Networks are chains of layers (perceptrons, networks of the LeNet type), read from a file that models/export_mpc.py writes.
 *
 * **Ideal functionality.** A trusted third takes the weights of the server and the images of the client, computes the
 * network in fixed point as ccz_mpcml_nn_simulate() does, and gives the client what cfg.output says: the most likely class of each
 * image, or the logits. The server gets nothing. Both know the network without its weights (layers, sizes, `weight_max`, range of
 * inputs), the configuration and how many images there are. Security is that of mpc.h: semi-honest. Results say something about
 * weights, logits much more than classes: who may ask for how many is the server's to limit.
 *
 * **Fixed point.** Images and what leaves a hidden layer have cfg.frac fraction bits, weights cfg.weight_frac, biases and
 * sums frac + weight_frac. Sums are truncated only where the next weights come; behind a ReLU, so the value is known not to be negative (a
 * transfer of weight_frac bits instead of a comparison). A ReLU before maximum pooling is done behind it, where fewer values are left: the
 * result is the same. Logits and comparisons for the class use sums that are not truncated.
 * With CCZ_MPC_TRUNC_FAITHFUL results are those of the simulation, bit by bit; with ONE_BIT they are off by at most
 * ccz_mpcml_nn_range.deviation units of the last place; LOCAL is refused, "mpcml:trunc".
 *
 * **Range.** Every value has to stay within a quarter of the ring, |v| < 2^(k-2). The server holds its own weights to that by
 * interval arithmetic over all inputs in the network's range, so that no image can overflow, and refuses before anything
 * is sent, "mpcml:range": then take a larger ring or fewer fraction bits. The client refuses images outside of the range, "mpcml:input".
 *
 * Bytes online, w = k/8: each dense layer or convolution, its input's elements times w, client to server; comparisons,
 * pools and truncations: ccz_mpc_cmp_cost(); the result. A plan (mpcml.h) says them exactly.
 *
 * The randomness of all images of a run is made in one step (but for setting "he-each"), whose messages hold 1 GiB at most: some
 * thousand images of a network of the LeNet type. More of them are several runs.
 *
 * Statistical distance of a run: near 2^-44 at most in one list (plan: `distance`), 2^-56 for each result with "he-each"; beyond 2^-40 it is refused,
 * "mpc:he-distance". That of several runs with the same weights adds up: for S of them a server sets stat_bits to 40 + log2 S (mpcml.h).
 *
 * Threads and ownership: as mpc.h. A network that nobody changes may be used by many threads.
 * Reading order of the sources: nn_priv.h, nn_file.c, nn_steps.c, nn_range.c, nn_plain.c, nn_run.c.
 */
#include <cczoo/mpcml.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------ networks */

#define CCZ_MPCML_NETWORK_LAYERS_MAX 64
#define CCZ_MPCML_NETWORK_SIDE_MAX   4096 /**< height, width, channels, outputs, windows */
#define CCZ_MPCML_NETWORK_WIDTH_MAX  ((size_t)1 << 20) /**< values of one image in any layer */
#define CCZ_MPCML_NETWORK_PARAMS_MAX ((size_t)1 << 24) /**< weights and biases */
#define CCZ_MPCML_NETWORK_SIZE_MAX                                                                 \
    (64 + 24 * CCZ_MPCML_NETWORK_LAYERS_MAX + 4 * CCZ_MPCML_NETWORK_PARAMS_MAX)
#define CCZ_MPCML_NETWORK_WEIGHT_MAX 32768u

enum ccz_mpcml_layer_kind {
    CCZ_MPCML_DENSE =
        1, /**< weights [in, out], bias [out]; behind FLATTEN, or an input of 1 x 1 x n */
    CCZ_MPCML_CONV2D, /**< weights [kh, kw, channels, out], bias [out]; zero padding on all sides */
    CCZ_MPCML_MAX_POOL, /**< kh x kw; what does not fill a window is left out */
    CCZ_MPCML_AVG_POOL, /**< likewise */
    CCZ_MPCML_RELU,
    CCZ_MPCML_FLATTEN, /**< [height][width][channel] in this order */
    CCZ_MPCML_SOFTMAX, /**< last; the client computes it from logits, ccz_mpcml_softmax() */
    CCZ_MPCML_ARGMAX,  /**< last */
};
struct ccz_mpcml_layer {
    enum ccz_mpcml_layer_kind kind;
    uint32_t out;         /**< DENSE, CONV2D; else 0 */
    uint32_t kh, kw;      /**< CONV2D, pools; else 0 */
    uint32_t stride, pad; /**< CONV2D; pools have no pad; else 0 */
};
/** What both parties know of a network. */
struct ccz_mpcml_spec {
    uint32_t height, width, channels; /**< of an image; a row of n numbers is 1 x 1 x n */
    float input_min, input_max;       /**< of every number of an image */
    uint32_t
        weight_max; /**< |weight| of dense layers and convolutions is not above it (biases may be): 1 .. 32768 */
    size_t layers_len;
    struct ccz_mpcml_layer layers[CCZ_MPCML_NETWORK_LAYERS_MAX];
};

struct ccz_mpcml_network;
/**
 * @param params  weights, then bias, of every layer that has them, in order; copied; NULL: a network without weights, the client's
 * @retval CCZ_E_FORMAT  "mpcml:net-layer" (a kind or number that makes no sense there), "mpcml:net-shape" (a layer does not fit what comes
 *                       before), "mpcml:net-last" (nothing linear at the end), "mpcml:net-input" (range), "mpcml:net-weight" (not finite,
 *                       or above weight_max), "mpcml:net-params" (params_len)
 * @retval CCZ_E_LIMIT   "mpcml:net-size": beyond the limits above
 * @retval CCZ_E_NOMEM   "mpcml:memory"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpcml_network_new(struct ccz_mpcml_network **out,
                                                  const struct ccz_mpcml_spec *spec,
                                                  const float *params, size_t params_len,
                                                  struct ccz_err *err);
CCZ_API void ccz_mpcml_network_free(struct ccz_mpcml_network *net); /**< NULL is fine; wipes */
CCZ_DEFINE_AUTO(ccz_mpcml_network)
CCZ_API const struct ccz_mpcml_spec *ccz_mpcml_network_spec(const struct ccz_mpcml_network *net);
CCZ_API bool ccz_mpcml_network_has_weights(const struct ccz_mpcml_network *net);
CCZ_API size_t
ccz_mpcml_network_inputs(const struct ccz_mpcml_network *net); /**< numbers of an image */
CCZ_API size_t ccz_mpcml_network_outputs(const struct ccz_mpcml_network *net); /**< logits */
CCZ_API size_t ccz_mpcml_network_params_len(const struct ccz_mpcml_network *net);

/**
 * A network from a file, all little-endian: "cczoo-nn", u32 version 1, u32 flags (bit 0: with weights), u32 height, width,
 * channels, f32 input_min, input_max, u32 weight_max, u32 layers; of each layer u32 kind (the numbers above), out, kh, kw,
 * stride, pad; with weights f32 params. Nothing else before the end.
 * @param in  untrusted
 * @retval CCZ_E_FORMAT  "mpcml:net-magic", "mpcml:net-version", "mpcml:net-flags", "mpcml:net-truncated" (fewer bytes than it says, or
 *                       more), and as ccz_mpcml_network_new()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpcml_network_read(struct ccz_mpcml_network **out,
                                                   struct ccz_span in, struct ccz_err *err);
/** The file of a network. @param[out] out  wiped when freed, if it has weights @param weights  false: without, as clients get it. @retval CCZ_E_ARG "mpcml:weights": there are none */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpcml_network_write(struct ccz_buf *out,
                                                    const struct ccz_mpcml_network *net,
                                                    bool weights, struct ccz_err *err);
/** Logits of one image in doubles: the reference that fixed point is compared with. "mpcml:weights" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpcml_network_logits(double *out,
                                                     const struct ccz_mpcml_network *net,
                                                     const float *image, struct ccz_err *err);
/** exp(v_i) / sum exp(v): what a client makes of logits. @p out may be @p v. */
CCZ_API void ccz_mpcml_softmax(double *out, const double *v, size_t len);

/* ----------------------------------------------------------------------------------- inference */

enum ccz_mpcml_nn_output {
    CCZ_MPCML_NN_CLASS,  /**< [images]: number of the largest logit, the first of equals */
    CCZ_MPCML_NN_LOGITS, /**< [images, outputs], frac + weight_frac fraction bits */
};
#define CCZ_MPCML_NN_IMAGES_MAX ((size_t)1 << 20)
#define CCZ_MPCML_NN_BATCH_MAX  4096
/** The same at both parties; part of the program's digest. Zero, but for images: the server is party 0, ring of 32 bits, the class alone. */
struct ccz_mpcml_nn_cfg {
    unsigned server;    /**< role of who has the weights: "mpcml:role" */
    unsigned ring_bits; /**< 32 or 64; 0 = 32; "mpcml:ring" */
    size_t images;      /**< 1 .. CCZ_MPCML_NN_IMAGES_MAX; "mpcml:images" */
    size_t
        batch; /**< so many at once (memory, rounds): 1 .. CCZ_MPCML_NN_BATCH_MAX; 0 = all, but not more than that; "mpcml:batch" */
    unsigned
        frac; /**< of images and activations; 0 = 8 in a ring of 32 bits, else 16; "mpcml:frac" */
    unsigned weight_frac; /**< 0 = 10 in a ring of 32 bits, else 16; "mpcml:frac" */
    enum ccz_mpcml_nn_output
        output; /**< a network that ends with ARGMAX gives no logits: "mpcml:output" */
};

/** What fixed point does to a network, whatever the image. */
struct ccz_mpcml_nn_range {
    double bits; /**< log2 of the largest |element| anywhere; has to be below k - 2 */
    double
        deviation; /**< of a logit with ONE_BIT from the simulation: at most, in units of the last place */
};
/** @retval CCZ_E_LIMIT "mpcml:range": beyond the ring; @p out is filled in nevertheless, and says what the error does not. CCZ_E_ARG "mpcml:weights", and those of cfg */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpcml_nn_range(struct ccz_mpcml_nn_range *out,
                                               const struct ccz_mpcml_network *net,
                                               const struct ccz_mpcml_nn_cfg *cfg,
                                               struct ccz_err *err);
/** Length of the output. */
CCZ_API size_t ccz_mpcml_nn_output_len(const struct ccz_mpcml_network *net,
                                       const struct ccz_mpcml_nn_cfg *cfg);
/** Its fraction bits. */
CCZ_API unsigned ccz_mpcml_nn_output_frac(const struct ccz_mpcml_nn_cfg *cfg);
/**
 * The same computation on plain fixed-point numbers, by who has both.
 * @param[out] out     output_len elements of the ring
 * @param      images  [images][height][width][channel]
 * @retval CCZ_E_LIMIT "mpcml:range", CCZ_E_ARG "mpcml:input", "mpcml:weights", and those of cfg
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpcml_nn_simulate(uint64_t *out,
                                                  const struct ccz_mpcml_network *net,
                                                  const struct ccz_mpcml_nn_cfg *cfg,
                                                  const float *images, struct ccz_err *err);

struct ccz_mpcml_nn;
/**
 * Inference as a program. The program and results are borrowed from the object.
 * @param role    of this party
 * @param net     borrowed; with weights at the server
 * @param images  the client's, borrowed; NULL at the server
 * Without weights at the server, or images at the client, the object is good for plans alone: a run says "mpcml:weights", "mpcml:data".
 * @retval CCZ_E_LIMIT "mpcml:range"; CCZ_E_ARG "mpcml:input" (a number outside of the network's range, or not a number), and those of cfg
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpcml_nn_new(struct ccz_mpcml_nn **out, unsigned role,
                                             const struct ccz_mpcml_network *net,
                                             const struct ccz_mpcml_nn_cfg *cfg,
                                             const float *images, struct ccz_err *err);
CCZ_API void ccz_mpcml_nn_free(struct ccz_mpcml_nn *nn); /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_mpcml_nn)
/** Its digest is of the network without weights and the configuration. A run reveals, to the client alone, "class" or "logits". */
CCZ_API const struct ccz_mpcml_program *ccz_mpcml_nn_program(const struct ccz_mpcml_nn *nn);
/** Of the last run: output_len elements at the client, for ccz_mpc_decode(). NULL before one has succeeded, and at the server. */
CCZ_API const uint64_t *ccz_mpcml_nn_output(const struct ccz_mpcml_nn *nn);

#ifdef __cplusplus
}
#endif
#endif
