/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_FEDLR_H
#define CCZ_FEDLR_H
/**
 * @file fedlr.h
 * Federated logistic regression under Paillier encryption: tables and metrics, and the roles of four protocols, each a
 * function that talks over channels (chan.h) and knows nothing of networks, TLS or TEEs.
 *
 * Terms. *Homogeneous*: workers hold different rows of the same columns. *Heterogeneous*: the *guest* holds the labels
 * and some columns, *hosts* hold other columns of the same rows. The *aggregator* adds ciphertexts and has no key. The
 * *arbiter* has the key pair and decrypts what the protocol allows. A *round* is one exchange between all of them: of
 * the heterogeneous protocols one mini-batch, of the others one average of the models. The model is w[0] + sum w[j] x[j].
 *
 * | mode               | who trains                                   | who decrypts      | who has the model at the end |
 * |--------------------|----------------------------------------------|-------------------|------------------------------|
 * | ENCRYPTED_MODEL    | workers, on the encrypted model              | arbiter: averages | arbiter                      |
 * | HOMO               | workers, in plain on their own rows          | workers: averages | workers                      |
 * | HETERO             | guest and hosts, on encrypted residuals      | arbiter: nothing that it could read | each its own part |
 * | HETERO_TWO         | guest and one host, each on the other's      | each the other's gradient, masked   | each its own part |
 *
 * What each party learns, the bounds of the masks and what is not protected: docs/design/fedlr.md. All parties are
 * taken to follow the protocol (semi-honest); what an attested TEE adds is the channel's business.
 *
 * Failures. A party that fails closes its channels with the reason, and all others return too. With `checkpoint` every
 * party stores its state when a round ends; when all roles are called again over fresh channels, they agree on the last
 * round that all have finished, and go on from there. Rounds are idempotent: doing one again gives the same model, up to
 * a rounding in the last place of a gradient.
 *
 * Threads: two calls are independent if they share no channel. Nothing here is global.
 * Reading order of the sources: csv.c, table.c, metrics.c; plain.c (the mathematics without encryption);
 * layout.c (fixed point, slots, masks), msg.c, checkpoint.c, link.c; homo.c, encrypted_model.c; product.c, hetero.c, two.c.
 */
#include <cczoo/chan.h>
#include <cczoo/paillier.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --------------------------------------------------------------------------------- tables */

#define CCZ_FEDLR_ROWS_MAX      ((size_t)1 << 24)
#define CCZ_FEDLR_COLS_MAX      4096
#define CCZ_FEDLR_CSV_SIZE_MAX  ((size_t)1 << 30)
#define CCZ_FEDLR_NAME_SIZE     64 /**< of a column or row, with its NUL */
#define CCZ_FEDLR_LINE_SIZE_MAX 262144

/** Rows of numbers. @shape x[rows * cols] row-major, y[rows] of 0 and 1, id[rows], name[cols] */
struct ccz_fedlr_table {
    size_t rows, cols;
    double *x;
    double *y;                         /**< NULL: no labels */
    char (*id)[CCZ_FEDLR_NAME_SIZE];   /**< NULL: no ids */
    char (*name)[CCZ_FEDLR_NAME_SIZE]; /**< of the columns */
};
/** Zeros, with labels and ids if asked for. @retval CCZ_E_LIMIT fedlr:size @retval CCZ_E_NOMEM fedlr:memory */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_table_new(struct ccz_fedlr_table **out, size_t rows,
                                                size_t cols, bool labels, bool ids,
                                                struct ccz_err *err);
CCZ_API void ccz_fedlr_table_free(struct ccz_fedlr_table *t); /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_fedlr_table)

struct ccz_fedlr_csv_cfg {
    const char *label; /**< column of the label, values 0 and 1; NULL = none */
    bool label_real;   /**< labels are any numbers, for CCZ_FEDLR_SQUARED */
    const char *id;    /**< column that names the row; NULL = none */
};
/**
 * Text of comma-separated values: a header, then rows of the same number of fields. Fields are decimal numbers (and the
 * id any text), without quotes or white space; lines end with LF or CR LF. Independent of the locale.
 * Every refusal names line and column, counted from 1; err->aux is the line.
 * @retval CCZ_E_FORMAT     fedlr:csv-header, fedlr:csv-fields, fedlr:csv-number, fedlr:csv-label, fedlr:csv-id, fedlr:csv-empty
 * @retval CCZ_E_NOT_FOUND  fedlr:csv-column: no column of that name
 * @retval CCZ_E_LIMIT      fedlr:csv-line, fedlr:size
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_csv_parse(struct ccz_fedlr_table **out, struct ccz_span text,
                                                const struct ccz_fedlr_csv_cfg *cfg,
                                                struct ccz_err *err);
/** The same from a file. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_csv_read(struct ccz_fedlr_table **out, const char *path,
                                               const struct ccz_fedlr_csv_cfg *cfg,
                                               struct ccz_err *err);

/** Rows index[0 .. len-1] in that order. @retval CCZ_E_ARG fedlr:index @retval CCZ_E_NOMEM */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_table_rows(struct ccz_fedlr_table **out,
                                                 const struct ccz_fedlr_table *t,
                                                 const size_t *index, size_t len,
                                                 struct ccz_err *err);
/** Columns from .. from + len, with the labels if @p labels (and if there are some). @retval as above */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_table_cols(struct ccz_fedlr_table **out,
                                                 const struct ccz_fedlr_table *t, size_t from,
                                                 size_t len, bool labels, struct ccz_err *err);
/**
 * Rows whose ids are in both tables, ordered by id: row left[i] of @p a belongs to row right[i] of @p b. A plain join of
 * ids that both parties may see; private set intersection is not done here.
 * @param[out] left, right  room for the smaller number of rows; @p len is set
 * @retval CCZ_E_ARG     fedlr:no-ids
 * @retval CCZ_E_FORMAT  fedlr:id-twice: an id recurs in one table
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_align(size_t *left, size_t *right, size_t *len,
                                            const struct ccz_fedlr_table *a,
                                            const struct ccz_fedlr_table *b, struct ccz_err *err);

/** Mean and standard deviation (of the population; 1 where a column is constant) of each column. */
CCZ_API void ccz_fedlr_scale_fit(double *mean, double *sd, const struct ccz_fedlr_table *t);
/** x = (x - mean) / sd, in place. */
CCZ_API void ccz_fedlr_scale_apply(struct ccz_fedlr_table *t, const double *mean, const double *sd);

/** A permutation of 0 .. len-1, the same for the same seed everywhere. Not for secrets. */
CCZ_API void ccz_fedlr_shuffle(size_t *index, size_t len, uint64_t seed);
enum ccz_fedlr_skew {
    CCZ_FEDLR_IID,        /**< equal shares at random */
    CCZ_FEDLR_LABEL_SKEW, /**< ordered by label, then cut: most parts see one label only */
    CCZ_FEDLR_DIRICHLET   /**< shares of each label drawn from Dirichlet(alpha) */
};
/**
 * Deals rows out to parts 0 .. parts-1, each of which gets at least one.
 * @param[out] part  part of each row
 * @param alpha      of DIRICHLET: small = skewed; > 0
 * @retval CCZ_E_ARG  dataset:parts: no part, or more parts than rows; dataset:alpha
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_partition(uint32_t *part, const double *y, size_t rows,
                                                uint32_t parts, enum ccz_fedlr_skew skew,
                                                double alpha, uint64_t seed, struct ccz_err *err);

/* -------------------------------------------------------------------------------- metrics */

struct ccz_fedlr_metrics {
    double auc;      /**< area under the ROC curve; ties count half (exact, by ranks) */
    double ks;       /**< largest difference between the rates of true and false positives */
    double accuracy; /**< of the decision p >= 0.5 */
    double loss;     /**< mean log loss, p cut to [1e-15, 1 - 1e-15] */
};
/**
 * @param p  probabilities  @param y  labels 0 and 1
 * @retval CCZ_E_ARG    fedlr:one-class: both labels must occur
 * @retval CCZ_E_NOMEM  fedlr:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_measure(struct ccz_fedlr_metrics *out, const double *p,
                                              const double *y, size_t len, struct ccz_err *err);

/** How well real numbers are predicted. */
struct ccz_fedlr_fit {
    double rmse; /**< root of the mean squared error */
    double mae;  /**< mean absolute error */
    double r2;   /**< 1 - sum of squared errors / sum of squared distances to the mean */
};
/** @retval CCZ_E_ARG fedlr:one-label: no rows, or all labels are equal */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_measure_fit(struct ccz_fedlr_fit *out, const double *p,
                                                  const double *y, size_t len, struct ccz_err *err);

/** What a model minimises. */
enum ccz_fedlr_loss {
    CCZ_FEDLR_LOGISTIC, /**< labels 0 and 1 */
    CCZ_FEDLR_SQUARED /**< linear regression: half of the mean squared error; heterogeneous modes only. Labels within +-8 and predictions
                             within +-16: standardise */
};
/** Weights: w[0] the intercept (0 for a host), then one for each column. */
struct ccz_fedlr_model {
    size_t len; /**< columns + 1 */
    double *w;
    uint64_t rounds; /**< done */
    bool converged;  /**< ended by `tol` before all rounds were done */
    enum ccz_fedlr_loss loss;
};
CCZ_API void ccz_fedlr_model_free(struct ccz_fedlr_model *m); /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_fedlr_model)
/** p = sigmoid(w x), with the true sigmoid; CCZ_FEDLR_SQUARED: p = w x. @retval CCZ_E_MISMATCH fedlr:columns */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_predict(double *p, const struct ccz_fedlr_model *m,
                                              const struct ccz_fedlr_table *t, struct ccz_err *err);
/**
 * The baseline: logistic regression on one table by Newton's method, penalty l2/2 |w|^2 (without the intercept) beside
 * the mean loss. @retval CCZ_E_INTERNAL fedlr:newton: does not converge
 * @retval CCZ_E_ARG fedlr:no-labels
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_train_central(struct ccz_fedlr_model **out,
                                                    const struct ccz_fedlr_table *t, double l2,
                                                    struct ccz_err *err);

/** The same baseline for either loss. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_fit_central(struct ccz_fedlr_model **out,
                                                  const struct ccz_fedlr_table *t,
                                                  enum ccz_fedlr_loss loss, double l2,
                                                  struct ccz_err *err);

/* ------------------------------------------------------------------------------ protocols */

enum ccz_fedlr_mode {
    CCZ_FEDLR_ENCRYPTED_MODEL = 1,
    CCZ_FEDLR_HOMO,
    CCZ_FEDLR_HETERO,
    CCZ_FEDLR_HETERO_TWO,
    CCZ_FEDLR_HETERO_RLWE /**< as HETERO_TWO, with BFV ciphertexts instead of Paillier's; each party makes a key for the training */
};
/** How ENCRYPTED_MODEL makes the gradient linear in the weights. */
enum ccz_fedlr_sigmoid {
    /** Each row's sigmoid by its tangent at a model that the worker trains on its own rows first. */
    CCZ_FEDLR_TANGENT,
    CCZ_FEDLR_LINEAR /**< 0.5 + 0.25 x w for every row */
};
/** What is done to be fast and small; all of them but for comparisons. */
enum {
    CCZ_FEDLR_DJN = 1,  /**< encryption with short exponents and tables, if the key allows */
    CCZ_FEDLR_PACK = 2, /**< several values per ciphertext */
    CCZ_FEDLR_PRODUCT =
        4, /**< products as multi-exponentiations, values of 11 bits; else one by one, of 43 bits */
    CCZ_FEDLR_ALL = 7
};

/** What all parties of a training must agree on; a digest of it is compared. */
struct ccz_fedlr_cfg {
    enum ccz_fedlr_mode mode;
    uint32_t rounds;      /**< homogeneous: rounds; heterogeneous: epochs. > 0 */
    uint32_t parties;     /**< workers, or hosts; > 0. One for HETERO_TWO */
    uint32_t local_steps; /**< homogeneous: gradient steps between two rounds; 0 = 20 */
    /** Rows of a mini-batch, at most: all have the same number of rows, or one less. 0 = all rows in one. */
    size_t batch_rows;
    double eta;      /**< step size; 0 = 0.5 */
    double decay;    /**< step size in epoch or round e: eta / sqrt(1 + decay e) */
    double momentum; /**< of the heterogeneous protocols, [0, 1) */
    double l1, l2;   /**< penalties l1 |w| + l2/2 |w|^2, not on the intercept */
    /** Stops when the loss (ENCRYPTED_MODEL, HETERO_TWO: every weight) changed by less than this; 0 = never. */
    double tol;
    enum ccz_fedlr_sigmoid sigmoid;
    enum ccz_fedlr_loss loss;
    uint64_t seed;     /**< of the order of rows in mini-batches */
    unsigned optimize; /**< CCZ_FEDLR_*; 0 is none of them */
};
#define CCZ_FEDLR_PARTIES_MAX 64

/** One finished round, for logs. */
struct ccz_fedlr_progress {
    uint64_t round;  /**< from 1 */
    uint64_t rounds; /**< of the whole training */
    double loss;     /**< as this party knows it; NaN if it does not */
    int64_t took_ns;
    uint64_t sent_size, received_size; /**< bytes in this round, all channels of this party */
    const double *w;                   /**< its weights, NULL if it has none; borrowed */
    size_t w_len;
};
/** What concerns one party alone. All-zero but for cfg: no checkpoint, one thread. */
struct ccz_fedlr_run {
    const struct ccz_fedlr_cfg *cfg;
    unsigned threads;   /**< of encryption and products; 0 = 1 */
    int64_t timeout_ms; /**< longest wait for a peer's message; 0 = as the channels have it */
    /**
     * File of this party's state; resumed from if it exists. Its weights are sealed with @p seal (AES-256-GCM); in clear
     * are role, round and digest of the configuration. An older file put back by the host is not noticed.
     */
    const char *checkpoint;
    const struct ccz_secret *seal; /**< 32 bytes; required with a checkpoint */
    /** Of who stores nothing, HOMO's aggregator or HETERO's arbiter: fails with "fedlr:farewell", as who has a checkpoint does, if a party
     *  was lost that may not have stored its last round: it will come again, and needs all of them. Else it returns then. */
    bool stays;
    const uint8_t *key_id;  /**< CCZ_PAILLIER_ID_SIZE bytes: the only key accepted; NULL = any */
    bool key_1024_insecure; /**< accepts keys of 1024 bits, for tests */
    bool
        few_rows_insecure; /**< decrypts sums of fewer rows than there are sums, for measurements */
    void (*on_round)(void *arg, const struct ccz_fedlr_progress *p);
    void *arg;
    struct ccz_paillier_rng rng; /**< zeroed = ccz_random() */
};

/*
 * Errors of all roles. CCZ_E_ARG: fedlr:config, fedlr:no-labels, fedlr:labels (out of range for the loss). CCZ_E_MISMATCH: fedlr:config-digest, fedlr:key-id, fedlr:alignment,
 * fedlr:columns, fedlr:role. CCZ_E_PEER: fedlr:message, fedlr:order (an unexpected message or round), fedlr:resume (no
 * common round). CCZ_E_LIMIT: fedlr:layout (no room for a slot), fedlr:few-rows (heterogeneous: the smallest
 * mini-batch has no more rows than a party gets sums of it, its columns and for the guest two more: refused by who decrypts), fedlr:range (a value exceeds what was declared: the step
 * size is too large). Checkpoints: CCZ_E_FORMAT fedlr:checkpoint, CCZ_E_SIG fedlr:checkpoint-seal, CCZ_E_MISMATCH
 * fedlr:checkpoint-config. With a checkpoint (but for ENCRYPTED_MODEL), CCZ_E_CLOSED fedlr:farewell: this party's last round is stored, another one's may not be:
 * call again for its sake, or take the model with ccz_fedlr_..._stored(). And those of chan.h and paillier.h: what a peer sent is refused by their readers.
 * On failure no model is returned and all channels are closed, with the reason.
 */

/**
 * ENCRYPTED_MODEL and HOMO: adds up what the workers send, weighted by their numbers of rows. Holds no key.
 * @param arbiter  of ENCRYPTED_MODEL, else NULL
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_aggregate(struct ccz_chan *const *workers, size_t len,
                                                struct ccz_chan *arbiter,
                                                const struct ccz_fedlr_run *run,
                                                struct ccz_err *err);
/** ENCRYPTED_MODEL (@p key NULL, @p out is empty: a model without weights) and HOMO (the key of all workers). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_work(struct ccz_fedlr_model **out,
                                           const struct ccz_paillier_key *key,
                                           struct ccz_chan *aggregator,
                                           const struct ccz_fedlr_table *t,
                                           const struct ccz_fedlr_run *run, struct ccz_err *err);
/**
 * ENCRYPTED_MODEL: decrypts averages, checks convergence, encrypts the model again. @p chans is the aggregator's channel.
 * HETERO: decrypts masked gradients for the parties, in any order until all are done; channels of guest and hosts.
 * @param cols  ENCRYPTED_MODEL: columns of the workers' tables
 * @param[out] out  ENCRYPTED_MODEL: the model; else NULL
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_arbitrate(struct ccz_fedlr_model **out,
                                                const struct ccz_paillier_key *key,
                                                struct ccz_chan *const *chans, size_t len,
                                                size_t cols, const struct ccz_fedlr_run *run,
                                                struct ccz_err *err);
/**
 * HETERO, HETERO_TWO (@p arbiter NULL, @p key its own) and HETERO_RLWE (both NULL): the party with labels.
 * @param t  rows aligned with those of the hosts: same ids in the same order, which is checked
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_guest(struct ccz_fedlr_model **out,
                                            const struct ccz_paillier_key *key,
                                            struct ccz_chan *const *hosts, size_t len,
                                            struct ccz_chan *arbiter,
                                            const struct ccz_fedlr_table *t,
                                            const struct ccz_fedlr_run *run, struct ccz_err *err);
/** HETERO, HETERO_TWO (@p arbiter NULL, @p key its own) and HETERO_RLWE (both NULL): a party without labels. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_host(struct ccz_fedlr_model **out,
                                           const struct ccz_paillier_key *key,
                                           struct ccz_chan *guest, struct ccz_chan *arbiter,
                                           const struct ccz_fedlr_table *t,
                                           const struct ccz_fedlr_run *run, struct ccz_err *err);
/**
 * What a finished training has stored, without the others: who was killed when all was done need not find them again.
 * @retval CCZ_E_NOT_FOUND  fedlr:unfinished: there is no state, or none of the last round  @retval others  of checkpoints
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_work_stored(struct ccz_fedlr_model **out,
                                                  const struct ccz_fedlr_table *t,
                                                  const struct ccz_fedlr_run *run,
                                                  struct ccz_err *err); /**< of HOMO */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_arbitrate_stored(
    struct ccz_fedlr_model **out, size_t cols, const struct ccz_fedlr_run *run,
    struct ccz_err *err); /**< of ENCRYPTED_MODEL */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_guest_stored(struct ccz_fedlr_model **out,
                                                   const struct ccz_fedlr_table *t,
                                                   const struct ccz_fedlr_run *run,
                                                   struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_host_stored(struct ccz_fedlr_model **out,
                                                  const struct ccz_fedlr_table *t,
                                                  const struct ccz_fedlr_run *run,
                                                  struct ccz_err *err);
/**
 * Joint prediction: hosts send their part of w x of every row, in clear, and the guest adds up. So the guest learns
 * those sums. Hosts return when the guest has said that it got them. @param[out] p  probabilities of t->rows rows
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_predict_guest(double *p, const struct ccz_fedlr_model *m,
                                                    struct ccz_chan *const *hosts, size_t len,
                                                    const struct ccz_fedlr_table *t,
                                                    struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_fedlr_predict_host(struct ccz_chan *guest,
                                                   const struct ccz_fedlr_model *m,
                                                   const struct ccz_fedlr_table *t,
                                                   struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
