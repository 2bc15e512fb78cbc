/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SBOOST_H
#define CCZ_SBOOST_H
/**
 * @file sboost.h
 * Gradient-boosted trees on columns that several parties hold (SecureBoost: Cheng et al., IEEE Intelligent Systems 2021;
 * packing and histogram subtraction: Chen et al., SecureBoost+, 2021). Rows are aligned: the same rows in the same order at all.
 *
 * Terms. The *guest* has the labels and a Paillier key; *hosts* have columns only. g and h are first and second derivative of
 * the loss at a row. A *cut* of a column parts rows into left (x <= cut) and right; every column has at most `bins` - 1 of
 * them, at quantiles of its own values. A *candidate* is a cut of some column; the guest chooses the best one by the sums of
 * g and h left of it.
 *
 * Who learns what. Hosts see g and h encrypted only. Of each node that is split on, a host learns which rows go left: rows of one
 * leaf have similar labels, and who sees the partition learns that much. The guest learns, for each node and host, the sums of g
 * and h left of each candidate, in an order that the host shuffles anew for each node, and which rows go left where a host's
 * candidate won; columns and cuts of a host stay with it. Both learn numbers of rows and of candidates.
 * Parties are semi-honest; docs/design/sboost.md has more.
 *
 * A model is in parts: the guest has the trees, its own cuts and the weights of leaves, each host its cuts, numbered. Prediction takes
 * all of them.
 *
 * The same trees come out wherever the columns are, as sums are exact; with no host at all the guest trains on its own columns,
 * which is the baseline. Of equal candidates the guest's own wins, then those of the hosts in their order; among equal ones of one host
 * its shuffling decides by chance, so that only trainings without such ties repeat to the bit. With `checkpoint` the shuffling follows
 * from the host's seal and its data, and from the number of the run: then all trainings of the same guest's seed repeat to the bit.
 *
 * Failures. A party that fails closes its channels with the reason, and all others return too. With `checkpoint` every party stores
 * its state after each tree, hosts before the guest; when all are called again over fresh channels, they agree on the last tree that
 * all have stored, and go on from there. What comes out is what would have come out.
 * Reading order of the sources: sboost_priv.h, bins.c, loss.c, grow.c, msg.c, state.c, guest.c, host.c, predict.c.
 */
#include <cczoo/chan.h>
#include <cczoo/paillier.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_SBOOST_ROWS_MAX    ((size_t)1 << 20)
#define CCZ_SBOOST_COLS_MAX    ((size_t)1 << 16)
#define CCZ_SBOOST_HOSTS_MAX   16
#define CCZ_SBOOST_CLASSES_MAX 64
#define CCZ_SBOOST_DEPTH_MAX   10
#define CCZ_SBOOST_BINS_MAX    256
#define CCZ_SBOOST_TREES_MAX   ((uint32_t)1 << 20) /**< rounds, times classes with SOFTMAX */

enum ccz_sboost_loss {
    CCZ_SBOOST_LOGISTIC, /**< labels 0 and 1; one output: the probability of 1 */
    CCZ_SBOOST_SQUARED,  /**< any numbers; one output */
    CCZ_SBOOST_SOFTMAX /**< labels 0 .. classes-1; a probability for each, a tree for each in every round */
};

/** What all parties must agree on; a digest of it is compared. Zeros are defaults. */
struct ccz_sboost_cfg {
    enum ccz_sboost_loss loss;
    uint32_t classes; /**< SOFTMAX: 2 .. CCZ_SBOOST_CLASSES_MAX; else 0 */
    uint32_t rounds;  /**< > 0; CCZ_SBOOST_TREES_MAX */
    uint32_t depth;   /**< splits from root to leaf, at most; 0 = 5 */
    uint32_t bins;    /**< 2 .. CCZ_SBOOST_BINS_MAX; 0 = 32 */
    double eta;       /**< weight of each tree, (0, 1]; 0 = 0.3 */
    double lambda;    /**< L2 on leaf weights; >= 0 */
    double gamma;     /**< least gain of a split; >= 0 */
    double min_child; /**< least sum of h on either side; 0 = 1 */
    /**
     * Gradient-based one-side sampling (Ke et al., LightGBM, 2017): of each tree the rows with the `goss_top` share of largest |g|, and of the
     * others a random share `goss_rest` (of all rows), weighted up. 0, 0 = all rows. Fewer rows are encrypted.
     */
    double goss_top, goss_rest;
};

/** Columns of one party. Borrowed. */
struct ccz_sboost_data {
    size_t rows, cols;  /**< a guest may have no column */
    const double *x;    /**< @shape [rows][cols], finite */
    const double *y;    /**< labels, guest only */
    const uint8_t *ids; /**< SHA-256 of the ids in order, 32 bytes, compared; NULL = not compared */
};

/** One finished tree, when its state is stored. */
struct ccz_sboost_progress {
    uint32_t round, tree;         /**< from 1; within the round, from 1 */
    uint32_t splits, host_splits; /**< of a host: its own, both */
    double
        loss; /**< guest: mean over the training rows after the round; NaN before its last tree, and at hosts */
    int64_t took_ns;
    uint64_t sent_size, received_size; /**< all channels, since the last one */
};
/** What concerns one party alone. All-zero but for cfg is fine. */
struct ccz_sboost_run {
    const struct ccz_sboost_cfg *cfg;
    unsigned threads;   /**< of encryption, decryption, packing; 0 = 1 */
    int64_t timeout_ms; /**< longest wait for a message; 0 = as the channels have it */
    /** Guest: of the choice of rows with `goss_rest`; 0 = fresh. Its own affair: hosts see which rows a tree has, and who knew which
     *  of them were drawn would know the others by their large gradients. */
    uint64_t sample_seed;
    /**
     * Name of this party's state, which is in two protected files, NAME.0 and NAME.1 (pf.h), under a key from @p seal; resumed from
     * if they exist. They belong to the role, configuration, seed and data that wrote them. Of two parties each has a name and a
     * seal of its own. An older file put back by the host of a TEE is not noticed; it costs trees, not secrets.
     */
    const char *checkpoint;
    const struct ccz_secret *seal; /**< 32 bytes; required with a checkpoint */
    bool key_1024_insecure;        /**< accepts keys of 1024 bits, for tests */
    void (*on_tree)(void *arg, const struct ccz_sboost_progress *p);
    void *arg;
    struct ccz_paillier_rng rng; /**< zeroed = ccz_random() */
};

struct ccz_sboost_model; /**< the guest's part */
struct ccz_sboost_part;  /**< a host's part */
CCZ_API void ccz_sboost_model_free(struct ccz_sboost_model *m);
CCZ_DEFINE_AUTO(ccz_sboost_model)
CCZ_API void ccz_sboost_part_free(struct ccz_sboost_part *p);
CCZ_DEFINE_AUTO(ccz_sboost_part)
/** Numbers that ccz_sboost_predict_guest() gives for each row. */
CCZ_API size_t ccz_sboost_outputs(const struct ccz_sboost_model *m);
/** JSON: trees as nested arrays of nodes, for people and for archives. */
CCZ_API void ccz_sboost_model_json(struct ccz_buf *out, const struct ccz_sboost_model *m);
CCZ_API void ccz_sboost_part_json(struct ccz_buf *out, const struct ccz_sboost_part *p);

/*
 * Errors of training and prediction. CCZ_E_ARG: sboost:config, sboost:labels, sboost:not-finite, sboost:data. CCZ_E_MISMATCH:
 * sboost:config-digest, sboost:alignment (rows or ids), sboost:role, sboost:model (another number of columns or hosts than it was
 * trained with). CCZ_E_PEER: sboost:message (malformed, another length), sboost:order, sboost:candidate, sboost:split (a side without rows).
 * CCZ_E_LIMIT: sboost:rows. Checkpoints: CCZ_E_PEER sboost:resume (no tree that all have a state of, or of another run), CCZ_E_FORMAT
 * sboost:checkpoint, CCZ_E_MISMATCH sboost:checkpoint-config (of other settings or data), CCZ_E_SIG pf:* (changed, or another key or
 * role). And those of chan.h and paillier.h. On failure nothing is returned and all channels are
 * closed with the reason.
 */

/**
 * @param key    2048 bits or more; NULL without hosts
 * @param hosts  @p len channels (0 .. CCZ_SBOOST_HOSTS_MAX)
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_sboost_guest(struct ccz_sboost_model **out,
                                             const struct ccz_paillier_key *key,
                                             struct ccz_chan *const *hosts, size_t len,
                                             const struct ccz_sboost_data *data,
                                             const struct ccz_sboost_run *run, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_sboost_host(struct ccz_sboost_part **out, struct ccz_chan *guest,
                                            const struct ccz_sboost_data *data,
                                            const struct ccz_sboost_run *run, struct ccz_err *err);

/**
 * What a finished training has stored, without the others: who was killed when all was done need not find them again.
 * @param hosts  how many there were
 * @retval CCZ_E_NOT_FOUND  sboost:unfinished: there is no state, or none of the last tree
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_sboost_guest_stored(struct ccz_sboost_model **out, size_t hosts,
                                                    const struct ccz_sboost_data *data,
                                                    const struct ccz_sboost_run *run,
                                                    struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_sboost_host_stored(struct ccz_sboost_part **out,
                                                   const struct ccz_sboost_data *data,
                                                   const struct ccz_sboost_run *run,
                                                   struct ccz_err *err);

/**
 * Joint prediction. Each host answers for all of its splits which rows go left, so that the guest learns that of every row.
 * @param[out] p  @shape [rows][outputs]
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_sboost_predict_guest(double *p, const struct ccz_sboost_model *m,
                                                     struct ccz_chan *const *hosts, size_t len,
                                                     const struct ccz_sboost_data *data,
                                                     struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_sboost_predict_host(struct ccz_chan *guest,
                                                    const struct ccz_sboost_part *p,
                                                    const struct ccz_sboost_data *data,
                                                    struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
