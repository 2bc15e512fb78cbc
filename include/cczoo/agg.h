/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_AGG_H
#define CCZ_AGG_H
/**
 * @file agg.h
 * The arithmetic of federated aggregation, on plain vectors of float32: sums, norms, clipping, server
 * optimizers, control variates, robust rules, and codecs that make updates small. No network, no files,
 * no threads. Reading order of the sources: agg_priv.h, kernels_body.h, kernels_x86.h, kernels.c, vector.c,
 * opt.c, opt_state.c, robust.c, krum.c, codec.c, topk.c, enc.c, dec.c; docs/design/agg.md says why.
 *
 * Terms. A model is one vector of `len` parameters; an update (delta) is what a client's training adds to
 * it. A server adds updates with weights into an accumulator and hands the mean to an optimizer, which
 * moves the model. Robust rules look at all updates at once instead.
 *
 * Bits. Everything here gives the same bits for the same inputs in every tier of vector code, for any
 * alignment, and however a vector is cut into chunks: elementwise functions round every operation by
 * itself (no fused multiplication), sums over elements have lanes that are chosen by the position of an
 * element in the whole vector. So a run that is resumed from a checkpoint, on another processor too,
 * goes on with the same bits. Sums over *updates* depend on the order of the updates, as all
 * floating-point sums do: who needs the same bits adds them in the same order. Exceptions:
 * ccz_agg_staleness() with exponents other than 0, 1/2 and 1 is as exact as the C library's pow(). The
 * processor has to be in the default mode: round to nearest, subnormal numbers not flushed.
 *
 * Common to all functions unless stated otherwise:
 *  - any alignment of float arrays that C allows; any `len`, 0 too;
 *  - an output may be the same array as an input, but not overlap it otherwise;
 *  - CCZOO_CPU (base.h) chooses the tier; one is used only if it agrees with plain C in a self test;
 *  - objects belong to one thread at a time; functions without objects are pure;
 *  - values are not checked: ccz_agg_norm_add() finds NaN and infinities, robust rules and encoders refuse
 *    them, and sums and optimizers hand on what they get. Check before you add: a sum that took in NaN is lost;
 *  - time depends on the data here and there (top-k, robust rules). Data are as public as the process is.
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Longest vector: 256 GiB of float32. */
#define CCZ_AGG_LEN_MAX ((size_t)1 << 36)

/* ------------------------------------------------------------------------------ sums of vectors */

/** acc[i] += w * x[i] */
CCZ_API void ccz_agg_add(float *acc, const float *x, float w, size_t len);
/** r[i] = a[i] - b[i]: an update from two models */
CCZ_API void ccz_agg_sub(float *r, const float *a, const float *b, size_t len);
/** y[i] = a * x[i] + b * y[i]; y is not read (NaN in it does no harm) if b is 0 */
CCZ_API void ccz_agg_axpby(float *y, float a, const float *x, float b, size_t len);
/** x[i] *= w */
CCZ_API void ccz_agg_scale(float *x, float w, size_t len);
/** Index of the first NaN or infinity, @p len if there is none. */
CCZ_API size_t ccz_agg_nonfinite(const float *x, size_t len);

/* -------------------------------------------------------------------------------- norm, clipping */

#define CCZ_AGG_LANES 32
/**
 * Euclidean norm of a vector that comes in chunks, and whether all of it is finite, in one pass. Zeroed =
 * empty. Squares of floats are exact in double precision; the norm's relative error is below 2^-23 for any
 * length here. Add chunks in their order.
 */
struct ccz_agg_norm {
    double lanes[CCZ_AGG_LANES]; /**< element i is in lane i mod CCZ_AGG_LANES */
    uint64_t len;                /**< elements so far */
};
CCZ_API void ccz_agg_norm_add(struct ccz_agg_norm *n, const float *x, size_t len);
/** The norm so far; infinite or NaN if and only if an element was. */
CCZ_API double ccz_agg_norm_value(const struct ccz_agg_norm *n);
/**
 * Judges an update: all elements finite, and the norm within a bound.
 * @param bound  0 = no bound
 * @retval CCZ_E_FORMAT  agg:nonfinite: there is NaN or an infinity
 * @retval CCZ_E_LIMIT   agg:norm: the norm is above @p bound
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agg_norm_check(const struct ccz_agg_norm *n, double bound,
                                               struct ccz_err *err);
/**
 * Factor that brings a vector of norm @p norm to at most @p bound: 1 if it is there, else a little below
 * bound / norm, so that the clipped vector's exact norm is not above the bound, whatever float32 rounds
 * (the sensitivity that differential privacy counts on). 0 if norm is not finite.
 * Multiply it into the weight of ccz_agg_add(), or clip with ccz_agg_scale().
 * @param bound  > 0, at least 2^-80 (else subnormal results could round above it: the answer is 0)
 */
CCZ_API float ccz_agg_clip_factor(double norm, double bound);
/** Norm, factor and scaling of a whole vector. @return the norm before; not finite: x is all zeros then. */
CCZ_API double ccz_agg_clip(float *x, size_t len, double bound);

/* ----------------------------------------------------------------------------- server optimizers */

/**
 * @source Reddi et al., Adaptive Federated Optimization, ICLR 2021, algorithm 2 (Adagrad, Adam, Yogi);
 * Hsu, Qi, Brown 2019 (FedAvgM). With d the mean update, and lr, beta1, beta2, tau as below:
 *   FedAvg      x += lr d
 *   FedAvgM     m = beta1 m + d;                 x += lr m
 *   the others  m = beta1 m + (1 - beta1) d;     x += lr m / (sqrt(v) + tau), and before that
 *   FedAdagrad  v = v + d^2
 *   FedAdam     v = beta2 v + (1 - beta2) d^2
 *   FedYogi     v = v - (1 - beta2) d^2 sign(v - d^2)
 * m starts at 0 and v at tau^2. No bias correction, as in the paper.
 */
enum ccz_agg_opt_kind {
    CCZ_AGG_FEDAVG,
    CCZ_AGG_FEDAVGM,
    CCZ_AGG_FEDADAGRAD,
    CCZ_AGG_FEDADAM,
    CCZ_AGG_FEDYOGI,
    CCZ_AGG_OPT_KINDS
};
/** "fedavg", "fedavgm", "fedadagrad", "fedadam", "fedyogi" */
CCZ_API const char *ccz_agg_opt_name(enum ccz_agg_opt_kind kind);
/** By that name; CCZ_AGG_OPT_KINDS if there is none. */
CCZ_API enum ccz_agg_opt_kind ccz_agg_opt_from(const char *name);

struct ccz_agg_opt_cfg {
    enum ccz_agg_opt_kind kind;
    float lr;    /**< server learning rate, > 0, at most 2^20 */
    float beta1; /**< [0, 1); not used by FedAvg */
    float beta2; /**< [0, 1); FedAdam and FedYogi */
    float tau;   /**< > 0, at least 2^-60; the adaptive ones: how adaptive, smaller = more */
};
/** The paper's choices: lr 1, beta1 0.9 (0 for FedAdagrad), beta2 0.99, tau 1e-3; adaptive kinds: lr 0.01. */
CCZ_API struct ccz_agg_opt_cfg ccz_agg_opt_defaults(enum ccz_agg_opt_kind kind);

/** An optimizer and its state: no, one (FedAvgM) or two vectors of the model's length. */
struct ccz_agg_opt;
/**
 * @param[out] out  owned by the caller
 * @retval CCZ_E_ARG    agg:opt-kind, agg:opt-lr, agg:opt-beta1, agg:opt-beta2, agg:opt-tau, agg:len
 * @retval CCZ_E_NOMEM  agg:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agg_opt_new(struct ccz_agg_opt **out,
                                            const struct ccz_agg_opt_cfg *cfg, size_t len,
                                            struct ccz_err *err);
CCZ_API void ccz_agg_opt_free(struct ccz_agg_opt *o);
CCZ_DEFINE_AUTO(ccz_agg_opt)
/** Largest element of a mean update that an optimizer takes: its state stays finite for 2^40 rounds and more. */
#define CCZ_AGG_OPT_UPDATE_MAX 0x1p40f
/**
 * One round: moves @p params by the mean update scale * sum[i], as many elements as the optimizer has.
 * @param scale  1 / (sum of the weights)
 * @retval CCZ_E_LIMIT  agg:opt-update (aux: the index): |scale * sum[i]| is above CCZ_AGG_OPT_UPDATE_MAX, or NaN; nothing
 *                      is changed
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agg_opt_step(struct ccz_agg_opt *o, float *params, const float *sum,
                                             float scale, struct ccz_err *err);
CCZ_API uint64_t ccz_agg_opt_rounds(const struct ccz_agg_opt *o); /**< steps done so far */

/** Takes bytes of a state, in order; any failure ends the writing with it. */
typedef ccz_rc (*ccz_agg_write_fn)(void *arg, struct ccz_span bytes, struct ccz_err *err);
/** Gives exactly @p size bytes of a state, in order, or fails. */
typedef ccz_rc (*ccz_agg_read_fn)(void *arg, void *out, size_t size, struct ccz_err *err);
/** Bytes that ccz_agg_opt_save() writes. */
CCZ_API uint64_t ccz_agg_opt_state_size(const struct ccz_agg_opt *o);
/** Writes configuration, rounds and state (little-endian, the same on every machine) in pieces of at most
 *  64 KiB; makes no copy of the state. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agg_opt_save(const struct ccz_agg_opt *o, ccz_agg_write_fn write,
                                             void *arg, struct ccz_err *err);
/**
 * Reads what ccz_agg_opt_save() of an optimizer of the same configuration and length has written. On
 * failure the state is that of a new optimizer.
 * @retval CCZ_E_FORMAT    agg:opt-state: not a state, or of another version; agg:opt-value: NaN, infinity, or a
 *                         negative second moment
 * @retval CCZ_E_MISMATCH  agg:opt-match: configuration or length are others
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agg_opt_load(struct ccz_agg_opt *o, ccz_agg_read_fn read, void *arg,
                                             struct ccz_err *err);

/* ------------------------------------------------------------------ SCAFFOLD, asynchronous rounds */

/**
 * Client side of SCAFFOLD after a local training: dc = (x - y) / (steps * lr) - c, ci += dc.
 * @source Karimireddy et al. 2020, algorithm 1, option II. During training, each step moves by -lr (c - ci) as well. With
 * momentum that goes beside it, not through it: variates then are mean steps, which momentum makes larger than gradients.
 * @param[out]    dc     what the client sends beside its update
 * @param[in,out] ci     the client's own variate, zeros at first; keep the old one until the server has dc
 * @param         c      the server's variate
 * @param         x, y   the model before and after training
 * @param         steps  optimizer steps done, > 0
 * @retval CCZ_E_ARG  agg:scaffold: steps is 0, or lr is not positive and finite
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agg_scaffold_client(float *dc, float *ci, const float *c,
                                                    const float *x, const float *y, size_t len,
                                                    uint64_t steps, float lr, struct ccz_err *err);
/**
 * Server side: c += scale * sum, where sum is that of all dc received. Scale is 1 / (clients in all,
 * sampled or not), which is |S|/N times the mean.
 * @param clients  > 0
 */
CCZ_API void ccz_agg_scaffold_server(float *c, const float *sum, uint64_t clients, size_t len);

/**
 * Weight of an update whose model is @p rounds old, for asynchronous rounds: (1 + rounds)^-exponent.
 * @source Nguyen et al. 2022 (FedBuff): exponent 0.5; Xie et al. 2019 (FedAsync, polynomial)
 * @param exponent  >= 0; 0: always 1
 */
CCZ_API float ccz_agg_staleness(uint64_t rounds, float exponent);

/* ---------------------------------------------------------------------------------- robust rules */

#define CCZ_AGG_ROWS_MAX 1024 /**< updates of a robust rule */

enum ccz_agg_robust_kind {
    CCZ_AGG_MEDIAN, /**< of each coordinate; the mean of the two in the middle for an even number */
    CCZ_AGG_TRIMMED /**< mean of each coordinate without the `trim` smallest and largest values */
};
struct ccz_agg_robust_cfg {
    enum ccz_agg_robust_kind kind;
    uint32_t rows; /**< number of updates, 1 .. CCZ_AGG_ROWS_MAX */
    uint32_t trim; /**< CCZ_AGG_TRIMMED: 2 trim < rows; CCZ_AGG_MEDIAN: 0 */
};
/** A plan for one number of updates, and scratch memory, less than 400 KiB. */
struct ccz_agg_robust;
/**
 * @source Yin et al., Byzantine-Robust Distributed Learning, ICML 2018
 * @retval CCZ_E_ARG    agg:robust-kind, agg:robust-rows, agg:robust-trim
 * @retval CCZ_E_NOMEM  agg:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agg_robust_new(struct ccz_agg_robust **out,
                                               const struct ccz_agg_robust_cfg *cfg,
                                               struct ccz_err *err);
CCZ_API void ccz_agg_robust_free(struct ccz_agg_robust *r);
CCZ_DEFINE_AUTO(ccz_agg_robust)
/**
 * Columns of any range: out[i] from rows[0][i] .. rows[n-1][i]. A column does not depend on the range it is in.
 * @param[out] out   len results; may be one of the rows
 * @param      rows  the configuration's number of arrays of len elements
 * @retval CCZ_E_FORMAT  agg:nonfinite (aux: the row): a value is NaN or infinite; out is zeroed
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agg_robust_run(float *out, struct ccz_agg_robust *r,
                                               const float *const *rows, size_t len,
                                               struct ccz_err *err);

/** Krum: distances between all pairs of updates, added up while these come in chunks. */
struct ccz_agg_krum;
/**
 * @source Blanchard et al., NeurIPS 2017
 * @param rows       n: updates, up to CCZ_AGG_ROWS_MAX; memory is n^2 * 8 + n * 4 KiB
 * @param byzantine  f: how many may be hostile; 2 f + 2 < n
 * @retval CCZ_E_ARG    agg:krum-rows, agg:krum-byzantine
 * @retval CCZ_E_NOMEM  agg:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agg_krum_new(struct ccz_agg_krum **out, uint32_t rows,
                                             uint32_t byzantine, struct ccz_err *err);
CCZ_API void ccz_agg_krum_free(struct ccz_agg_krum *k);
CCZ_DEFINE_AUTO(ccz_agg_krum)
/**
 * The next @p len columns of all updates.
 * @retval CCZ_E_FORMAT  agg:nonfinite (aux: the row): the object takes no more
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agg_krum_add(struct ccz_agg_krum *k, const float *const *rows,
                                             size_t len, struct ccz_err *err);
/**
 * Chooses the @p m updates of lowest score (the sum of the n - f - 2 smallest squared distances to others),
 * the lower row first where scores are equal. m = 1 is Krum, more is Multi-Krum: the result is their mean.
 * @param[out] chosen  m rows, ascending
 * @param[out] scores  n scores; NULL = not wanted
 * @param      m       1 .. n - f
 * @retval CCZ_E_ARG  agg:krum-chosen: m; agg:nonfinite: an earlier ccz_agg_krum_add() failed
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agg_krum_select(uint32_t *chosen, double *scores, uint32_t m,
                                                struct ccz_agg_krum *k, struct ccz_err *err);

/* ---------------------------------------------------------------------------------------- codecs */

/**
 * Encodings of a vector of known length; all numbers little-endian. Both sides know codec, length and
 * parameters beforehand, so that a stream holds values and nothing else:
 *   F32   len float32
 *   F16   len IEEE binary16, rounded to nearest even; beyond 65504: the largest finite value
 *   BF16  len bfloat16, the upper half of a float32, rounded to nearest even, the same at the end
 *   INT8  blocks of `block` elements (the last one as long as what is left): a float32 scale s = max|x| / 127
 *         and one signed byte per element, round(x / s); the value is s times the byte
 *   TOPK  the `topk` values of largest magnitude (the earlier one where magnitudes are equal), zeros left out. For each
 *         65,536 positions: uint32 count, then per value uint16 position in the block, strictly ascending, and float32
 */
enum ccz_agg_codec_kind {
    CCZ_AGG_F32,
    CCZ_AGG_F16,
    CCZ_AGG_BF16,
    CCZ_AGG_INT8,
    CCZ_AGG_TOPK,
    CCZ_AGG_CODECS
};
/** "f32", "f16", "bf16", "int8", "topk" */
CCZ_API const char *ccz_agg_codec_name(enum ccz_agg_codec_kind kind);
/** By that name; CCZ_AGG_CODECS if there is none. */
CCZ_API enum ccz_agg_codec_kind ccz_agg_codec_from(const char *name);

#define CCZ_AGG_BLOCK_DEFAULT 256
#define CCZ_AGG_BLOCK_MAX     4096
struct ccz_agg_codec {
    enum ccz_agg_codec_kind kind; /**< 0: F32, which loses nothing */
    uint32_t block; /**< INT8: elements of a block, a multiple of 32 up to CCZ_AGG_BLOCK_MAX; 0 =
                                       CCZ_AGG_BLOCK_DEFAULT */
    uint64_t topk;  /**< TOPK: values at most, 1 .. len */
};
/**
 * Whether the codec can be used for that length.
 * @param[out] size  bytes of an encoded vector; for TOPK the largest that is accepted
 * @retval CCZ_E_ARG  agg:codec-kind, agg:codec-block, agg:codec-topk, agg:len
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agg_codec_size(uint64_t *size, const struct ccz_agg_codec *codec,
                                               size_t len, struct ccz_err *err);

/** Encodes one vector; bytes are taken out in pieces of any size. */
struct ccz_agg_enc;
/**
 * @param codec, len  as for ccz_agg_codec_size(), same refusals
 * @retval CCZ_E_NOMEM  agg:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agg_enc_new(struct ccz_agg_enc **out,
                                            const struct ccz_agg_codec *codec, size_t len,
                                            struct ccz_err *err);
CCZ_API void ccz_agg_enc_free(struct ccz_agg_enc *e);
CCZ_DEFINE_AUTO(ccz_agg_enc)
/**
 * Starts a vector, and checks it (agg:nonfinite). TOPK finds its threshold here, in three passes.
 *
 * Error feedback: what a codec loses in one round is added to the next update, x + residual is encoded,
 * and x + residual - decoded is the residual for the next round, so that errors do not add up over rounds.
 * @source Seide et al. 2014; Karimireddy et al., ICML 2019
 * @param x         len elements, borrowed and unchanged until all bytes are read
 * @param residual  len elements, or NULL: no error feedback. Borrowed as x
 * @param next      len elements, the new residual: complete once all bytes are read; NULL if and only if residual
 *                  is. May be `residual` itself; two arrays are for who goes back to the old one when the update is not accepted
 * @retval CCZ_E_FORMAT  agg:nonfinite (aux: the index): NaN, infinity, or x + residual is
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agg_enc_begin(struct ccz_agg_enc *e, const float *x,
                                              const float *residual, float *next,
                                              struct ccz_err *err);
/** Bytes of the whole encoding; valid after ccz_agg_enc_begin(). */
CCZ_API uint64_t ccz_agg_enc_size(const struct ccz_agg_enc *e);
/** Gives the next bytes. @return how many, at most @p cap; less only at the end, 0 after it */
CCZ_API size_t ccz_agg_enc_read(void *out, size_t cap, struct ccz_agg_enc *e);

/**
 * Decodes one vector that comes in pieces cut anywhere. Pieces are untrusted. The usual way is to stage a whole
 * update, judge it by a first pass with ccz_agg_dec_norm() and ccz_agg_dec_end(), and add it by a second pass: what
 * the first accepts, the second adds without failing. Memory: 16 KiB, whatever the length.
 *
 * After a failure the object takes nothing (agg:failed) until ccz_agg_dec_reset().
 * @retval CCZ_E_FORMAT  agg:long: more bytes than the vector has; agg:scale: a scale of INT8 is negative or NaN, or so large
 *                       that values would not be finite; agg:byte: the byte -128 (INT8 goes from -127 to 127); agg:topk-count:
 *                       more values than the block has positions, or than `topk` in all; agg:topk-index: positions that do
 *                       not ascend, or beyond the block; agg:topk-value: a value that is 0 or not finite
 */
struct ccz_agg_dec;
/** As ccz_agg_enc_new(). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agg_dec_new(struct ccz_agg_dec **out,
                                            const struct ccz_agg_codec *codec, size_t len,
                                            struct ccz_err *err);
CCZ_API void ccz_agg_dec_free(struct ccz_agg_dec *d);
CCZ_DEFINE_AUTO(ccz_agg_dec)
/** Back to the start of a vector. */
CCZ_API void ccz_agg_dec_reset(struct ccz_agg_dec *d);
/** Adds the next elements: acc[i] += w * x[i]. @param acc  the whole vector, from its element 0 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agg_dec_add(struct ccz_agg_dec *d, float *acc, float w,
                                            struct ccz_span bytes, struct ccz_err *err);
/** Writes the next elements; what a failed decoder leaves in @p out is unspecified. @param out  the whole vector */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agg_dec_to(struct ccz_agg_dec *d, float *out, struct ccz_span bytes,
                                           struct ccz_err *err);
/** Writes nothing: checks the bytes, and adds the elements to a norm (zeroed by the caller before the first piece). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agg_dec_norm(struct ccz_agg_dec *d, struct ccz_agg_norm *n,
                                             struct ccz_span bytes, struct ccz_err *err);
/**
 * To be called once all bytes were given.
 * @retval CCZ_E_FORMAT  agg:short: elements are missing
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_agg_dec_end(struct ccz_agg_dec *d, struct ccz_err *err);
CCZ_API uint64_t ccz_agg_dec_elements(const struct ccz_agg_dec *d); /**< complete ones so far */

#ifdef __cplusplus
}
#endif
#endif
