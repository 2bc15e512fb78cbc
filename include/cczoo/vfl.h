/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_VFL_H
#define CCZ_VFL_H
/**
 * @file vfl.h
 * Split learning between parties that hold different columns of the same rows: a leader with the labels and the top
 * model, followers with bottom models. Activations go to the leader, their gradients come back; neither columns nor
 * labels leave their owner. The roles are functions that talk over channels (chan.h) and know no network, TLS or TEE.
 *
 * Terms. A *row* is the same person or thing at all parties, at the same index: the order that private set intersection
 * gives (psi.h). A *bottom model* maps a party's columns to *activations*, `width` float32 per row; the *top model* maps
 * the activations of all parties to a loss and to scores. A *step* is one mini-batch, numbered from 1 over the whole
 * training. A *checkpoint* is a party's state after a step.
 *
 * One step t: each follower sends its activations of batch t; the leader computes the loss, their gradients, and the
 * update of the top model; protects the gradients of followers (below) and sends them; each follower applies its own.
 * All derive the same batches from the seed. Every message carries the session, its step, and a digest of the batch's
 * rows under the digest of the alignment: a replayed, lost or foreign message is refused.
 *
 * Pipelining. With `staleness` s a follower sends batch t once it has applied the gradient of batch t-1-s, so that s
 * batches are under way and no party waits for the other: a batch is computed with weights that lack the last s
 * updates. s = 0 is ordinary training. In both cases the order of operations of each party is fixed, so that the same
 * seed gives the same bits. Before each checkpoint and at the end of each epoch nothing is under way.
 *
 * Label protection. A row's gradient tells its label: rare classes have larger gradients, and classes point to opposite
 * sides. By default the leader adds the Gaussian noise that hides the class best for a given power (Marvell); how well
 * two attacks still guess the class from what was sent is measured all the time (struct ccz_vfl_leakage).
 *
 * Workers. A party may run W processes, the same number at all parties: worker k of the leader and worker k of each follower
 * train as above on their share of every batch of W * batch rows, and the workers of one party average their models every so
 * many steps (struct ccz_vfl_team). All that is said of a party and its channels below holds for each worker.
 *
 * Failures. A party that fails closes its channels with the reason, and all others return too. With `checkpoint` the
 * roles can be called again over fresh channels: they agree on the last step that all have stored, and go on from there
 * with the same bits as if nothing had happened. At any moment: files appear by rename, the last two are kept.
 *
 * Threads: two calls are independent if they share no channel and no model. ccz_vfl_lead() runs the leader's own bottom
 * model on a thread of its own. What is not protected: docs/design/vfl.md.
 * Reading order of the sources: align.c, order.c, table.c, protect.c, leak.c, msg.c, checkpoint.c, session.c, mean.c, team.c,
 * follow.c, lead.c, tf.c.
 */
#include <cczoo/chan.h>
#include <cczoo/engine.h>
#include <cczoo/psi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_VFL_PARTIES_MAX    16 /**< followers */
#define CCZ_VFL_INPUTS_MAX     64 /**< tensors of one party's columns */
#define CCZ_VFL_WIDTH_MAX      65536
#define CCZ_VFL_CLASSES_MAX    4096
#define CCZ_VFL_ROWS_MAX       ((size_t)1 << 28)
#define CCZ_VFL_BATCH_MAX      65536
#define CCZ_VFL_INFLIGHT_MAX   16                /**< staleness, at most */
#define CCZ_VFL_STATE_SIZE_MAX ((size_t)1 << 31) /**< bytes of a model's state */
#define CCZ_VFL_DIGEST_SIZE    32
#define CCZ_VFL_WORKERS_MAX    64 /**< of one party */
#define CCZ_VFL_PARTS_MAX      4096

/* ---------------------------------------------------------------------------------- columns */

/**
 * A party's columns: tensors whose first dimension is the number of rows, numbers only. Borrowed; the bytes are not
 * changed and must stay. @shape in[i].dims[0] == rows
 */
struct ccz_vfl_table {
    size_t rows;
    const struct ccz_tensor *in; /**< by the names that the bottom model's inputs have */
    size_t in_len;               /**< 1 .. CCZ_VFL_INPUTS_MAX */
};
/** The leader's labels, by row. */
struct ccz_vfl_labels {
    size_t rows;
    uint32_t classes;      /**< 2 .. CCZ_VFL_CLASSES_MAX; 0 = numbers (regression) */
    const uint32_t *label; /**< [rows], below classes; NULL for numbers */
    const float *value;    /**< [rows], for numbers */
};
/**
 * Digest of an alignment from the ids of its rows, in order: SHA-256 over the lengths and bytes of all. Where the
 * alignment comes from ccz_vfl_align_lead(), take its digest. Who knows candidates for the whole list can try
 * them: it is for parties that share the ids already.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_vfl_alignment(uint8_t out[CCZ_VFL_DIGEST_SIZE],
                                              const struct ccz_span *ids, size_t len,
                                              struct ccz_err *err);

/* --------------------------------------------------------------------------------- alignment */

/** Zeroed: VOLE against malicious parties, no minimum, nothing stored. All sides need the same protocol and minimum. */
struct ccz_vfl_align_cfg {
    const char *kind; /**< "train", "test": tells runs apart; required, at most 32 bytes */
    enum ccz_psi_protocol protocol;
    uint64_t min_intersection; /**< see psi.h; with VOLE it needs trusted_receiver */
    bool trusted_receiver;
    /** File that keeps the alignment (a protected file), so that a training can go on with it; NULL = none. */
    const char *stored;
    const struct ccz_secret *seal; /**< 32 bytes; required with it */
};
/** This party's rows in the common order. */
struct ccz_vfl_rows {
    size_t len;
    size_t *row; /**< [len] of the ids that were given */
    uint8_t digest[CCZ_VFL_DIGEST_SIZE];
    bool stored; /**< taken from the file: all parties had the same one */
};
CCZ_API void ccz_vfl_rows_free(struct ccz_vfl_rows *r); /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_vfl_rows)
/**
 * Finds the rows that all parties have, by private set intersection of the leader with each follower, one after the
 * other. With several followers each also learns which of its rows in common with the leader the others lack.
 * @retval CCZ_E_PEER    vfl:align: malformed message      @retval CCZ_E_NOT_FOUND  vfl:align-empty: no row in common
 * @retval CCZ_E_FORMAT, CCZ_E_SIG   vfl:align-stored, pf:...: the file is damaged; it is not used, and not replaced
 * and those of ccz_psi_run(). On failure all channels are closed, with the reason.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_vfl_align_lead(struct ccz_vfl_rows **out,
                                               struct ccz_chan *const *followers, size_t len,
                                               const struct ccz_psi_ids *ids,
                                               const struct ccz_vfl_align_cfg *cfg,
                                               struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_vfl_align_follow(struct ccz_vfl_rows **out, struct ccz_chan *leader,
                                                 const struct ccz_psi_ids *ids,
                                                 const struct ccz_vfl_align_cfg *cfg,
                                                 struct ccz_err *err);

/* ----------------------------------------------------------------------------------- models */

/** What a piece of a model's state is to several workers of a party. */
enum ccz_vfl_part_kind {
    /** float32: weights, and what an optimizer keeps (momentum, means of squares, powers of its decay rates). */
    CCZ_VFL_PART_MEAN = 1,
    CCZ_VFL_PART_EQUAL, /**< counters, sizes: the same bytes at all workers, or the average is refused */
    /**
     * Random generators: each worker's own, never sent. At the start of a training worker k adds (k - 1) * 0x9e3779b9 to the
     * first four bytes (uint32, little-endian), so that all draw from different streams.
     */
    CCZ_VFL_PART_OWN
};
struct ccz_vfl_part {
    enum ccz_vfl_part_kind kind;
    size_t size; /**< bytes; of MEAN a multiple of 4, of OWN 0 or at least 4 */
};

/**
 * A bottom model: one thread at a time. Floats are finite or the step is refused. `slot` (below CCZ_VFL_INFLIGHT_MAX + 1)
 * names a batch between its forward and its backward; load() forgets all slots. Its state is everything that training
 * changes: weights, optimizer, random generators. The same state and calls give the same bits.
 */
struct ccz_vfl_bottom_ops {
    /** @param[out] act [rows * width] */
    ccz_rc (*forward)(float *act, void *self, unsigned slot, const struct ccz_tensor *in,
                      size_t in_len, struct ccz_err *err);
    /** Applies the gradient [rows * width] of the mean loss, and frees the slot. */
    ccz_rc (*backward)(void *self, unsigned slot, const float *grad, struct ccz_err *err);
    /** Without training: no slot, no dropout. */
    ccz_rc (*infer)(float *act, void *self, const struct ccz_tensor *in, size_t in_len,
                    struct ccz_err *err);
    ccz_rc (*save)(struct ccz_buf *out, void *self, struct ccz_err *err); /**< appends the state */
    ccz_rc (*load)(void *self, struct ccz_span state, struct ccz_err *err);
    void (*free)(void *self);
    /**
     * The pieces of what save() appends, in order; always the same. NULL: the model is for parties of one worker.
     * @param[out] out  the model's, valid as long as it is   @param[out] len  at most CCZ_VFL_PARTS_MAX
     */
    void (*parts)(const struct ccz_vfl_part **out, size_t *len, void *self);
};
struct ccz_vfl_bottom {
    const struct ccz_vfl_bottom_ops *ops;
    void *self;
    size_t width; /**< float32 per row */
};
/** A top model: as above. Activations and gradients are by party: the leader's own first if it has a bottom model. */
struct ccz_vfl_top_ops {
    /**
     * One training step. @param[out] loss  mean over the batch
     * @param[out] grad  grad[p] [rows * width[p]]: of the mean loss by act[p]
     */
    ccz_rc (*step)(double *loss, float *const *grad, void *self, const float *const *act,
                   const struct ccz_vfl_labels *batch, struct ccz_err *err);
    /** @param[out] score [rows * outputs]: probabilities of the classes, of class 1 (outputs 1), or predicted values */
    ccz_rc (*infer)(float *score, void *self, const float *const *act, size_t rows,
                    struct ccz_err *err);
    ccz_rc (*save)(struct ccz_buf *out, void *self, struct ccz_err *err);
    ccz_rc (*load)(void *self, struct ccz_span state, struct ccz_err *err);
    void (*free)(void *self);
    void (*parts)(const struct ccz_vfl_part **out, size_t *len, void *self); /**< as above */
};
struct ccz_vfl_top {
    const struct ccz_vfl_top_ops *ops;
    void *self;
    size_t parties; /**< that it wants activations of, the leader's own bottom model included */
    size_t width[CCZ_VFL_PARTIES_MAX + 1];
    size_t outputs; /**< scores per row */
};
CCZ_API void ccz_vfl_bottom_free(struct ccz_vfl_bottom *b); /**< NULL is fine */
CCZ_API void ccz_vfl_top_free(struct ccz_vfl_top *t);       /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_vfl_bottom)
CCZ_DEFINE_AUTO(ccz_vfl_top)

/**
 * A bottom model in TensorFlow, as models/export_split.py makes it. Signatures:
 *   forward    columns -> act, and what the backward pass needs of it (r000 ..)
 *   backward   grad, r000 .. -> ok                       infer   columns -> act
 *   get_state  nothing -> s000 .., g000 ..              set_state  s000 .., g000 .. -> ok
 * To several workers s... of float32 are PART_MEAN, other s... PART_EQUAL, and g... (random generators) PART_OWN.
 * @param m  borrowed, outlives the bottom model; nothing else may train it
 * @retval CCZ_E_MISMATCH  vfl:signature: a signature or tensor is missing or has another type or shape
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_vfl_bottom_tf(struct ccz_vfl_bottom **out, struct ccz_model *m,
                                              struct ccz_err *err);
/**
 * Likewise a top model. Signatures:
 *   step   act_00 .., label (int32 or float) -> loss, grad_00 ..      infer  act_00 .. -> score
 *   get_state, set_state as above
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_vfl_top_tf(struct ccz_vfl_top **out, struct ccz_model *m,
                                           struct ccz_err *err);

/* ------------------------------------------------------------------------- label protection */

enum ccz_vfl_protect {
    /**
     * Gaussian noise whose covariance minimises the symmetric KL divergence between the gradients of two classes for a
     * power of `power` |difference of the class means|^2. With more classes: noise along all class means, see docs/design/vfl.md.
     * @source Li et al., "Label Leakage and Protection in Two-party Split Learning", ICLR 2022
     */
    CCZ_VFL_MARVELL = 0,
    /** Each row's gradient times 1 + N(0, |largest|^2 / |its own|^2 - 1): equal expected norms. Any labels. Same source. */
    CCZ_VFL_MAX_NORM,
    CCZ_VFL_PROTECT_NONE_INSECURE
};
/** Noise of one step: reproducible from a secret seed, so that a repeated step does not give a second sample. */
struct ccz_vfl_noise;
/** @param seed  CCZ_STREAM_SEED_SIZE (32) bytes, borrowed */
CCZ_API CCZ_MUST_USE ccz_rc ccz_vfl_noise_new(struct ccz_vfl_noise **out,
                                              const struct ccz_secret *seed, struct ccz_err *err);
CCZ_API void ccz_vfl_noise_free(struct ccz_vfl_noise *n);
CCZ_DEFINE_AUTO(ccz_vfl_noise)
/** Starts the noise of (step, party); the same twice gives the same. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_vfl_noise_start(struct ccz_vfl_noise *n, uint64_t step,
                                                uint32_t party, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_vfl_noise_normal(float *out, size_t len, struct ccz_vfl_noise *n,
                                                 struct ccz_err *err);
/**
 * Adds noise to the gradients of a batch, in place.
 * @param grad   [rows * width], rows = batch->rows
 * @param power  of MARVELL; 0 = 8
 * @retval CCZ_E_ARG    vfl:protect: MARVELL without classes
 * @retval CCZ_E_NOMEM  vfl:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_vfl_protect(float *grad, size_t width,
                                            const struct ccz_vfl_labels *batch,
                                            enum ccz_vfl_protect how, double power,
                                            struct ccz_vfl_noise *noise, struct ccz_err *err);
/** Variances of the gradients of one class: along the difference of the class means, and in each other direction. */
struct ccz_vfl_spread {
    double along, across;
};
/** Marvell's optimum for two classes with normal gradients in d dimensions. */
struct ccz_vfl_marvell {
    double along[2];  /**< added variance of class 0 and 1 along m1 - m0 */
    double across[2]; /**< in each other direction */
    double sum_kl;    /**< KL(1 | 0) + KL(0 | 1) afterwards */
};
/**
 * The paper takes the gradients of a class to vary equally in all directions (along = across); those of a network with few
 * outputs do not, and what varies along the means is what the attacks look at.
 * @param delta2  |m1 - m0|^2   @param p  share of class 1, in (0, 1)
 * @param power   bound of p trace(noise of class 1) + (1 - p) trace(noise of class 0)
 */
CCZ_API void ccz_vfl_marvell_solve(struct ccz_vfl_marvell *out,
                                   const struct ccz_vfl_spread spread[2], double delta2, size_t d,
                                   double p, double power);

/**
 * How well a follower can tell class 1 (more than two classes: the rarest one of the batch) from the gradients: area under
 * the ROC curve, folded to 0.5 .. 1. Norm attack: by the gradient's norm. Cosine attack: by the cosine with the gradient
 * of one row known to be of that class. Means over batches in which both kinds occur.
 */
struct ccz_vfl_leakage {
    uint64_t batches;
    double norm, cosine;         /**< folded mean; NaN without a batch */
    double norm_q95, cosine_q95; /**< 95 % of the batches are below (folded each) */
};
/** The two AUCs of one batch, not folded. @return false: only one kind of rows occurs (or no memory) */
CCZ_API bool ccz_vfl_attack(double *norm_auc, double *cosine_auc, const float *grad, size_t width,
                            const struct ccz_vfl_labels *batch);

/* ---------------------------------------------------------------------------------- training */

/** What all parties must agree on; compared before the first step ("vfl:config"). */
struct ccz_vfl_cfg {
    uint32_t epochs; /**< > 0 */
    uint32_t
        batch; /**< rows of a batch, 1 .. CCZ_VFL_BATCH_MAX; the last one of an epoch may be smaller */
    uint32_t eval_batch;       /**< 0 = 1000 */
    uint32_t staleness;        /**< 0 .. CCZ_VFL_INFLIGHT_MAX */
    uint32_t checkpoint_steps; /**< steps between checkpoints; 0 = at the end of each epoch */
    uint64_t seed;             /**< of the order of rows */
    uint32_t workers;          /**< of each party, at most CCZ_VFL_WORKERS_MAX; 0 = 1 */
    uint32_t average_steps;    /**< with several workers: steps between averages; 0 = 16 */
    uint8_t alignment
        [CCZ_VFL_DIGEST_SIZE]; /**< digest of the rows and their order; zeros are refused */
    uint8_t test_alignment[CCZ_VFL_DIGEST_SIZE]; /**< of the test rows, if there are some */
    /** Digest of what the models were exported from (export_split.py: split.json): both sides have the same split. */
    uint8_t schema[CCZ_VFL_DIGEST_SIZE];
};

/** One finished epoch. */
struct ccz_vfl_epoch {
    uint32_t epoch, epochs; /**< from 1 */
    uint64_t step;
    double loss;      /**< of training, mean over its steps and all workers; followers: NaN */
    size_t test_rows; /**< 0 = not evaluated; the first worker does it */
    double accuracy, auc,
        test_loss; /**< of the test rows; NaN where it makes no sense; auc of two classes */
    struct ccz_vfl_leakage raw,
        sent; /**< gradients of this worker before and after protection, worst follower */
    int64_t took_ns, waited_ns;        /**< waited: for the peers */
    uint64_t sent_size, received_size; /**< bytes */
};

/* -------------------------------------------------------------------- several workers of a party */

/**
 * The workers of one party, 1 .. W. Worker 1 has a channel to each of the others, and they have one to it.
 *
 * Rows. An epoch's order of rows is that of one worker. Step t has the next W * batch rows, of which worker k gets the k-th part:
 * `batch` rows, in the last step of an epoch shares that differ by one row at most; a rest of fewer than W rows is left out of
 * the epoch. So who has which row is a function of seed, epoch and W, and all workers have all rows of the party's files.
 *
 * What is averaged, and when. After every `average_steps` steps, before each checkpoint and at the end of each epoch nothing is
 * under way, and the workers of the party replace what is PART_MEAN in their models' states (top, own bottom; a follower: bottom)
 * by its mean: the sum in double precision in the order of the workers, divided by W, rounded once. So the same seed gives the
 * same bits, whoever is faster. With an average after each step, no staleness and an optimizer that is linear in the gradient
 * (SGD, with momentum too) this is, but for rounding, one worker's training with batches of W * batch rows. Others (Adam,
 * Adagrad) average what they keep of each worker's gradients, which is not what they would keep of the mean gradient.
 *
 * What each worker must prove. That it is of this party: HMAC-SHA-256 under the party's key over both sides' fresh numbers, role,
 * number and W, as another party runs the same program with the same measurement, and would be sent the model. The channels'
 * own business is confidentiality: inside RA-TLS (links.h), with the policy that other parties have. Before the first step worker 1
 * compares a digest of all settings, protection, schema, alignment, rows and the shape of the models.
 *
 * Protection. Each worker of the leader protects the gradients of its batches, with noise of its own stream.
 *
 * Failures. A worker that ends or falls silent ends all others of its party ("vfl:worker-lost") and through their channels those of
 * the other parties. Each worker keeps its own two checkpoints, which belong to its number and to W. A worker stores step t
 * before it goes on, and nobody passes the next average without all of its party, so that of the last two states that each has
 * one is common to all workers of all parties: worker 1 of the leader picks the last one.
 */
struct ccz_vfl_team;
struct ccz_vfl_team_cfg {
    uint32_t worker, workers; /**< 1 .. workers; workers 2 .. CCZ_VFL_WORKERS_MAX */
    bool leader;              /**< the party's role */
    const struct ccz_secret
        *key; /**< 32 bytes that only this party's workers have; borrowed for this call */
    int64_t
        timeout_ms; /**< longest wait for a message of another worker; 0 = as the channels have it */
};
/**
 * Proves membership, both ways.
 * @param peers  worker 1: channels to workers 2 .. W, in order; others: one, to worker 1. Borrowed, outlive the team.
 * @retval CCZ_E_ARG       vfl:team: numbers, channels or key out of range
 * @retval CCZ_E_MISMATCH  vfl:workers (another W), vfl:worker (another number), vfl:role
 * @retval CCZ_E_DENIED    vfl:worker-proof: it does not have this party's key
 * @retval CCZ_E_CLOSED, CCZ_E_TIMEOUT ..  vfl:worker-lost, with the reason   @retval CCZ_E_PEER  as below
 * On failure all channels are closed, with the reason.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_vfl_team_join(struct ccz_vfl_team **out,
                                              struct ccz_chan *const *peers, size_t len,
                                              const struct ccz_vfl_team_cfg *cfg,
                                              struct ccz_err *err);
CCZ_API void ccz_vfl_team_free(struct ccz_vfl_team *t); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_vfl_team)
/**
 * Gives the alignment that worker 1 has found to the others, whose files must be the same.
 * @param[in,out] rows  worker 1: its alignment; others: NULL, and set
 * @param len           rows of the files that the alignment picks from
 * @param data          digest of everything in the files that the party trains on
 * @retval CCZ_E_MISMATCH  vfl:worker-data: a worker has other files
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_vfl_team_rows(struct ccz_vfl_rows **rows, struct ccz_vfl_team *t,
                                              size_t len, const uint8_t data[CCZ_VFL_DIGEST_SIZE],
                                              struct ccz_err *err);

/* ------------------------------------------------------------------------------------- roles */

/** What concerns one party alone; zeroed optional fields are the strict choice. */
struct ccz_vfl_run {
    const struct ccz_vfl_cfg *cfg;
    const struct ccz_vfl_table *train,
        *test;          /**< columns; test may be NULL. Leader without a bottom model: NULL */
    int64_t timeout_ms; /**< longest wait for a message of a peer; 0 = as the channels have it */
    /**
     * Path of this party's state, two files: PATH.0 and PATH.1 (the leader's bottom model: PATH.own.0 and .1). Protected files
     * (pf.h). Resumed from if they exist; damaged ones are refused, never skipped. NULL = none. An old pair put back by the
     * host is noticed only if the other parties' do not fit.
     */
    const char *checkpoint;
    const struct ccz_secret *seal; /**< 32 bytes; required with a checkpoint */
    struct ccz_vfl_team
        *team; /**< with cfg->workers > 1; used up by the training, freed by the caller */
    void (*on_epoch)(void *arg, const struct ccz_vfl_epoch *e);
    void (*on_step)(void *arg, uint64_t step, uint64_t steps); /**< after each; may be NULL */
    void *arg;
};
/** The leader's own. */
struct ccz_vfl_lead {
    struct ccz_vfl_top *top;
    struct ccz_vfl_bottom *bottom; /**< its own, or NULL */
    const struct ccz_vfl_labels *labels, *test_labels;
    enum ccz_vfl_protect protect;
    double power;                        /**< of MARVELL; 0 = 8 */
    const struct ccz_secret *noise_seed; /**< 32 bytes, for reproducible runs; NULL = random */
};
struct ccz_vfl_result {
    uint64_t steps;            /**< of the whole training */
    uint64_t resumed;          /**< step it began after in this call */
    struct ccz_vfl_epoch last; /**< zeroed if no epoch ended in this call */
};

/*
 * Errors of both roles. CCZ_E_ARG: vfl:config, vfl:table, vfl:labels, vfl:workers (the team and cfg->workers differ, or fewer
 * rows than workers), vfl:worker-model (a model without parts). CCZ_E_MISMATCH: vfl:config, vfl:alignment, vfl:schema
 * (width or digest), vfl:rows, vfl:role, vfl:signature, vfl:workers (another W), vfl:worker (another number), vfl:worker-config (a
 * worker of the own party has other settings), vfl:worker-state (PART_EQUAL differs). CCZ_E_PEER: vfl:message (malformed), vfl:order (another kind than
 * expected), vfl:session (a message of another run), vfl:batch (another step or other rows: replayed, lost, or shuffled
 * differently), vfl:finite (not a number), vfl:resume (no common step), vfl:worker-step (a worker is at another step). vfl:worker-lost with
 * the rc of its channel. CCZ_E_FORMAT, CCZ_E_SIG: vfl:checkpoint, pf:... .
 * CCZ_E_MISMATCH vfl:checkpoint-config (state of another training). Those of chan.h and of the models. On failure all
 * channels are closed, with the reason.
 */

/** Channels in the order of the top model's parties. @param[out] out  zeroed unless CCZ_OK */
CCZ_API CCZ_MUST_USE ccz_rc ccz_vfl_lead(struct ccz_vfl_result *out,
                                         struct ccz_chan *const *followers, size_t len,
                                         const struct ccz_vfl_lead *lead,
                                         const struct ccz_vfl_run *run, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_vfl_follow(struct ccz_vfl_result *out, struct ccz_chan *leader,
                                           struct ccz_vfl_bottom *bottom,
                                           const struct ccz_vfl_run *run, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
