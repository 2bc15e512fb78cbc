/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_MPCML_H
#define CCZ_MPCML_H
/**
 * @file mpcml.h
 * Programs of two parties on shares (mpc.h): how one is described, planned and run, and the regressions: logistic and linear,
 * training by columns or rows, scoring. Networks and clusters: mpcml_nn.h.
 *
 * **Terms.** A *program* is a list of private inputs and a computation on a session; it runs on planning sessions as well. A
 * *setting* says where correlated randomness comes from and how messages are put together; all settings compute the same values
 * (bit for bit with CCZ_MPC_TRUNC_FAITHFUL). A *plan* is what a run will cost, known before anything is sent.
 *
 * **Security.** Semi-honest parties, as mpc.h says. Each party learns the configuration, all shapes, and what the configuration
 * reveals to it; ccz_mpcml_run() tells of each reveal (`on_reveal`). The parameters, shapes and setting go into the digest of the
 * session's hello, or for a later program of a session into a round of its own: parties that differ end with
 * "mpc:hello-program" before anything of the inputs is used.
 *
 * **Failure.** As mpc.h: the first failure ends the session at both sides with a reason. Outputs are NULL unless CCZ_OK.
 * Threads: objects are used by one thread at a time; a plan is read-only. Input data is borrowed until the object is freed.
 * Time and addresses depend on shapes and public parameters, but for encoding own inputs from doubles (each party's own affair).
 * Reading order of the sources: mpcml_priv.h, setting.c, run.c, plan.c; lr_cfg.c, lr_data.c, lr_train.c, lr_score.c, lr.c,
 * sim_lr.c.
 */
#include <cczoo/mpc.h>
#include <cczoo/mpc_math.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------------------------- settings */

/** Named ways to run the same program, from what everybody did to what is best: `--optimize`. */
enum ccz_mpcml_optimize {
    CCZ_MPCML_ROUNDS,    /**< the default: he-packed, silent, and independent steps share rounds */
    CCZ_MPCML_OT,        /**< all products from oblivious transfer (SoftSpokenOT) */
    CCZ_MPCML_PAILLIER,  /**< matrix products by Paillier ciphertexts, bits by transfer */
    CCZ_MPCML_HE_EACH,   /**< by lattice ciphertexts, made for each product when it comes */
    CCZ_MPCML_HE_PACKED, /**< by lattice ciphertexts that all products of the run share */
    CCZ_MPCML_SILENT,    /**< he-packed with silent transfers */
    CCZ_MPCML_DEALER,    /**< products' randomness from an attested dealer; shares rounds */
    CCZ_MPCML_OPTIMIZES
};
struct ccz_mpcml_setting {
    enum ccz_mpcml_optimize optimize;
    const char *name; /**< "rounds", "ot", "paillier", "he-each", "he-packed", "silent", "dealer" */
    const char *summary; /**< one line */
    /** OT, HE, PAILLIER, DEALER; MIXED: the cheaper of HE and OT for each kind of need. */
    enum ccz_mpc_source_kind source;
    enum ccz_mpc_ot ot;
    /** False: only transfers are prepared; each product makes its own randomness. */
    bool prepare_all;
    bool one_by_one; /**< programs do independent steps one after the other */
};
CCZ_API const struct ccz_mpcml_setting *ccz_mpcml_setting(enum ccz_mpcml_optimize optimize);
/** By name; NULL: there is none. NULL is the default. */
CCZ_API const struct ccz_mpcml_setting *ccz_mpcml_setting_named(const char *name);

/* ---------------------------------------------------------------------------------- programs */

/**
 * A program. Both parties have the same but for what `self` holds of private values. All functions return at the first failure;
 * after compute() or a failure, reset() frees what belongs to the session, and the program can run again in another one.
 */
struct ccz_mpcml_program {
    const char *name; /**< "lr", "linear", "mlp", ... */
    void *self;
    /** Of name, version, shapes and parameters; not of inputs. */
    uint8_t digest[CCZ_MPC_PROGRAM_SIZE];
    unsigned ring_bits, frac; /**< of the session */
    /** Bound of |element| of PRIVATE factors of products, in units of the last place; 0 = none. Public. */
    uint64_t max_abs;
    /** Makes the PRIVATE tensors, the same in the same order at both parties; sends nothing. */
    ccz_rc (*inputs)(void *self, struct ccz_mpc *m, struct ccz_err *err);
    /** Computes and reveals. @param setting  one_by_one is what a program looks at */
    ccz_rc (*compute)(void *self, struct ccz_mpc *m, const struct ccz_mpcml_setting *setting,
                      struct ccz_err *err);
    void (*reset)(void *self);
};

/** What a connection is like, for plans and choices. Must be the same at both parties: it goes into the digest. */
struct ccz_mpcml_net {
    double bytes_per_s; /**< 0 = 12.5e6 (100 Mbit/s) */
    double rtt_s;       /**< round trip; 0 = 0.001 */
};
struct ccz_mpcml_plan;
/** Zeroed but for role: exact truncation, a network of 100 Mbit/s. All but role, stat_bits, dealer, plan and hooks are the same at both parties. */
struct ccz_mpcml_run_cfg {
    unsigned role;
    const struct ccz_mpcml_setting *setting; /**< NULL: "rounds" */
    enum ccz_mpc_trunc trunc;
    unsigned ot_k; /**< struct ccz_mpc_cfg */
    /** Statistical security of the run, struct ccz_mpc_cfg; 0 = 40; a run that has less ends before its randomness is made,
     *  "mpc:he-distance". Each party's own affair. */
    unsigned stat_bits;
    struct ccz_mpcml_net net;
    struct ccz_chan *dealer; /**< setting "dealer" alone; borrowed; "mpcml:dealer" */
    unsigned paillier_bits;  /**< setting "paillier"; 0 = 3072 */
    /** Of this program and setting, borrowed; NULL: made anew. "mpcml:plan" */
    const struct ccz_mpcml_plan *plan;
    /** For plans alone: of a program that runs on a session behind another one, which compares it (64 bytes, one round) instead of
     *  greeting. Keys and base OTs are counted, though the session may have them. */
    bool later;
    void (*on_reveal)(void *arg, const struct ccz_mpc_reveal *r); /**< as struct ccz_mpc_cfg */
    /** Told of every choice of source before anything is prepared, as struct ccz_mpc_mixed_cfg. May be NULL. */
    void (*on_choice)(void *arg, const char *source, enum ccz_mpc_need_kind kind, size_t needs,
                      const struct ccz_mpc_cost *cost);
    void *arg;
};
/**
 * Runs a program with one peer: plans, greets, prepares randomness, computes.
 * @param[out] stats  counters at the end, also of a run that failed; may be NULL
 * @param chan        borrowed; should be confidential and authenticated (RA-TLS)
 * @retval CCZ_E_ARG   "mpcml:dealer": setting and dealer's channel do not fit
 * @retval CCZ_E_PEER  "mpc:hello-program": other program, shapes, parameters, setting or network; and what mpc.h says
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpcml_run(struct ccz_mpc_stats *stats, struct ccz_chan *chan,
                                          const struct ccz_mpcml_program *program,
                                          const struct ccz_mpcml_run_cfg *cfg, struct ccz_err *err);

/* The pieces of it, for who keeps a session for several programs. */

/** The session's configuration, digest included. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpcml_session_cfg(struct ccz_mpc_cfg *out,
                                                  const struct ccz_mpcml_program *program,
                                                  const struct ccz_mpcml_run_cfg *cfg,
                                                  struct ccz_err *err);
/** The source of a setting, not attached; *out is NULL where a session needs none ("ot"). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpcml_source_new(struct ccz_mpc_source **out, struct ccz_mpc *m,
                                                 const struct ccz_mpcml_program *program,
                                                 const struct ccz_mpcml_run_cfg *cfg,
                                                 struct ccz_err *err);
/** A session with its source attached: both of the above. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpcml_open(struct ccz_mpc **out, struct ccz_chan *chan,
                                           const struct ccz_mpcml_program *program,
                                           const struct ccz_mpcml_run_cfg *cfg,
                                           struct ccz_err *err);
/**
 * Inputs, randomness, computing and reset on a session whose source is attached; any number of programs, one after the other.
 * Before anything else the parties compare what they are about to run (program, bound, setting, network: 32 bytes each way, one round),
 * unless it is the first of the session and what its hello said, "mpc:hello-program".
 * What the program itself refuses ("mpcml:...") does not end the session: the caller closes the channel.
 * @param plan  of program and setting, "mpcml:plan"
 * @retval CCZ_E_ARG  also "mpcml:session": a session of another ring or role than the program's
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpcml_run_on(struct ccz_mpc *m,
                                             const struct ccz_mpcml_program *program,
                                             const struct ccz_mpcml_setting *setting,
                                             const struct ccz_mpcml_plan *plan,
                                             struct ccz_err *err);

/**
 * The offline phase of that alone: inputs, then the randomness of the plan's needs into files (ccz_mpc_store_write()). A later session
 * of the same program, whose source is CCZ_MPC_SOURCE_STORE, runs on them.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpcml_store_on(struct ccz_mpc *m,
                                               const struct ccz_mpcml_program *program,
                                               const struct ccz_mpcml_setting *setting,
                                               const struct ccz_mpcml_plan *plan,
                                               const struct ccz_mpc_store_cfg *store,
                                               struct ccz_err *err);

/* ----------------------------------------------------------------------------------- planner */

#define CCZ_MPCML_ALTERNATIVES 4
/** One source for the needs of one kind. */
struct ccz_mpcml_offer {
    const char *source; /**< "ot", "paillier", "he", "dealer" */
    struct ccz_mpc_cost cost;
    uint64_t key_rounds; /**< of cost.rounds, those of keys */
    double seconds;      /**< (bytes) / bandwidth + rounds rtt / 2 + cpu */
};
/** The needs of one kind: what makes them, and what else could. */
struct ccz_mpcml_choice {
    enum ccz_mpc_need_kind kind; /**< CCZ_MPC_OTS: the transfers of comparisons and truncations */
    size_t needs;
    uint64_t len; /**< elements of results; transfers */
    struct ccz_mpcml_offer chosen;
    struct ccz_mpcml_offer others[CCZ_MPCML_ALTERNATIVES];
    size_t others_len;
};
/** Bytes of both directions; dealer's channels of both parties included. */
struct ccz_mpcml_phase_cost {
    uint64_t size, rounds;
    double cpu_s; /**< of one party; estimate, 0 online */
};
/**
 * What a run will cost. Online bytes and rounds are exact. Offline and set-up ones too, but for bytes of Gilboa products (1 %) and of
 * Paillier ciphertexts (15 %).
 */
struct ccz_mpcml_plan {
    const struct ccz_mpcml_setting *setting;
    struct ccz_mpcml_net net;
    struct ccz_mpcml_choice choices[CCZ_MPC_NEED_KINDS];
    size_t choices_len;
    struct ccz_mpcml_phase_cost phase[CCZ_MPC_PHASES], total;
    double seconds; /**< of all phases on that network */
    double
        distance; /**< struct ccz_mpc_stats, the larger one of both parties: what stat_bits is compared with */
    const struct ccz_mpc_need *needs; /**< what ccz_mpc_prepare() is given; owned by the plan */
    size_t needs_len;
};
/**
 * Runs the program on a planning session of party 0 and asks the sources. Needs no inputs and no peer.
 * @param cfg  as for the run; dealer may be NULL also for setting "dealer"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpcml_plan_new(struct ccz_mpcml_plan **out,
                                               const struct ccz_mpcml_program *program,
                                               const struct ccz_mpcml_run_cfg *cfg,
                                               struct ccz_err *err);
CCZ_API void ccz_mpcml_plan_free(struct ccz_mpcml_plan *p); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_mpcml_plan)
/** A table for people, at most @p size bytes with its NUL; returns what it takes, as snprintf(). */
CCZ_API size_t ccz_mpcml_plan_text(char *out, size_t size, const struct ccz_mpcml_plan *p);

/* ------------------------------------------------------------------------------- regressions */

/*
 * Model: z = x w + b for a row x; prediction s(z), s the sigmoid (logistic) or nothing (linear). Training: stochastic gradient
 * descent over batches of rows, always the same in the same order,
 *     w <- (1 - rate l2) w - rate / batch * sum over the batch of (s(z) - y) x,        the same for b without l2,
 * from w = 0. Each row counts rate / batch: a last batch that is shorter makes a smaller step. For linear regression s(z) - y is
 * clamped to -clip .. clip (Huber loss), which also bounds all numbers.
 *
 * Fixed point (k = 64; f = feature_frac, g = weight_frac). Why nothing overflows: docs/design/mpcml.md.
 *   features  round(gain x 2^f), |x| <= range ("mpcml:range" at the owner else); gain = sqrt(2^s rate / batch), in (1/sqrt(2), 1],
 *             s the integer that makes it so: multiplying by the rate becomes a shift. Without training gain = 1.
 *   weights   w / gain at scale g. One step of a batch truncates once, by 2 f + s bits, the sum of l2's part and the gradient, which
 *             has scale 2 f + g. Everything else is exact: z, s(z) and s(z) - y have scale f + g (the 3-piece sigmoid is
 *             max(0, min(1, z + 1/2)); CHEBYSHEV is computed at scale f on the floor of z).
 *   labels    of logistic regression 0 or 1 ("mpcml:label"); of linear round(y 2^f), |y| <= range
 * With CCZ_MPC_TRUNC_FAITHFUL weights and scores are those of ccz_mpcml_lr_simulate(), bit for bit; with ONE_BIT each step may add
 * one unit of the last place to a weight. CCZ_MPC_TRUNC_LOCAL is refused ("mpcml:trunc"): products use the whole ring.
 */
enum ccz_mpcml_model { CCZ_MPCML_LOGISTIC, CCZ_MPCML_LINEAR };
enum ccz_mpcml_split {
    CCZ_MPCML_COLUMNS, /**< the same rows, aligned; columns of each party */
    CCZ_MPCML_ROWS,    /**< the same columns; rows of each party, with their labels */
};
/** Who gets the weights (and the intercept) in the end. */
enum ccz_mpcml_weights {
    CCZ_MPCML_WEIGHTS_OWN, /**< each party those of its columns, the intercept to who has the labels; COLUMNS alone */
    CCZ_MPCML_WEIGHTS_TO_0, /**< all to one party, or both */
    CCZ_MPCML_WEIGHTS_TO_1,
    CCZ_MPCML_WEIGHTS_TO_BOTH,
    CCZ_MPCML_WEIGHTS_SHARED, /**< nobody: they stay shares */
};
enum ccz_mpcml_score {
    CCZ_MPCML_SCORE_VALUE,  /**< s(z) */
    CCZ_MPCML_SCORE_LINEAR, /**< z */
    CCZ_MPCML_SCORE_CLASS,  /**< logistic: 1 if z >= 0, else 0, and nothing else */
};
/** Where scoring without training has its weights from. */
enum ccz_mpcml_given {
    CCZ_MPCML_GIVEN_OWN,  /**< each party those of its columns, the intercept who has the labels */
    CCZ_MPCML_GIVEN_BY_0, /**< all of one party */
    CCZ_MPCML_GIVEN_BY_1,
    CCZ_MPCML_GIVEN_SHARED, /**< shares of an earlier training */
};

#define CCZ_MPCML_COLUMNS_MAX 65536
#define CCZ_MPCML_ROWS_MAX    ((size_t)1 << 24)
#define CCZ_MPCML_EPOCHS_MAX  ((size_t)1 << 20)
/**
 * Zeroed: logistic, split by columns, 3-piece sigmoid, weights to each its own. Same at both parties.
 * COLUMNS: rows[0] = rows[1]; columns of each, one of both may be 0. ROWS: columns[0] = columns[1]; rows of each.
 */
struct ccz_mpcml_lr_cfg {
    enum ccz_mpcml_model model;
    enum ccz_mpcml_split split;
    size_t rows[2];    /**< for training; both 0: scoring alone. "mpcml:rows" */
    size_t columns[2]; /**< "mpcml:columns" */
    unsigned labels;   /**< COLUMNS: the role that has y; "mpcml:labels" */
    size_t batch;      /**< rows; "mpcml:batch" */
    size_t epochs;     /**< "mpcml:epochs" */
    double rate;       /**< above 0, up to batch; "mpcml:rate" */
    double l2;         /**< 0 to 1 / rate; "mpcml:l2" */
    double clip;       /**< linear: bound of |s(z) - y|; 0 = range; "mpcml:clip" */
    /** 3 pieces, unless said; `range` is not read: it follows from the rest. CHEBYSHEV: only while |z| <= 8 */
    struct ccz_mpc_sigmoid_cfg sigmoid;
    /** Of a permutation of the rows (of each party's rows) before they are cut into batches; 0: as they are. */
    uint64_t seed;
    bool no_intercept;
    unsigned feature_frac; /**< 0 = 14; "mpcml:frac" */
    unsigned weight_frac;  /**< 0 = 20 */
    double
        range; /**< 0 = 16; "mpcml:range": also if weights could outgrow the ring, which is checked beforehand */
    enum ccz_mpcml_weights weights;
    /** Rows to score, with the split above: of COLUMNS the same number at both. 0: none. */
    size_t score_rows[2];
    enum ccz_mpcml_score score;
    unsigned score_to;          /**< CCZ_MPC_TO_...; "mpcml:score-to" */
    enum ccz_mpcml_given given; /**< scoring alone */
    /** Scoring alone: bound of |weight|; 0 = 1024; "mpcml:weight-range". SHARED: of |weight| / gain, a promise. */
    double weight_range;
    double given_gain; /**< CCZ_MPCML_GIVEN_SHARED: as the result of the training said; 0 = 1 */
};
/** One party's. All arrays are borrowed until the object is freed; NULL in objects that are only planned with. */
struct ccz_mpcml_lr_data {
    const double *x;       /**< @shape [rows][columns] of this party, row-major */
    const double *y;       /**< @shape [rows]; who has labels */
    const double *score_x; /**< @shape [score_rows][columns] */
    const double *weights; /**< scoring alone: as ccz_mpcml_lr_result gives them */
    const uint64_t *share; /**< CCZ_MPCML_GIVEN_SHARED: as the result gave it */
};
struct ccz_mpcml_lr;
/**
 * A regression as a program. The program and results are borrowed from the object.
 * @param role  of this party
 * @param data  NULL: for plans
 * @retval CCZ_E_ARG  what struct ccz_mpcml_lr_cfg says; "mpcml:data": an array is missing; "mpcml:range", "mpcml:label": a value,
 *                    of which the error says the place alone
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpcml_lr_new(struct ccz_mpcml_lr **out, unsigned role,
                                             const struct ccz_mpcml_lr_cfg *cfg,
                                             const struct ccz_mpcml_lr_data *data,
                                             struct ccz_err *err);
CCZ_API void ccz_mpcml_lr_free(struct ccz_mpcml_lr *lr); /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_mpcml_lr)
CCZ_API const struct ccz_mpcml_program *ccz_mpcml_lr_program(const struct ccz_mpcml_lr *lr);
/**
 * What a run gave this party. Weights: columns of party 0, columns of party 1 (ROWS: the columns), the intercept if there is one;
 * OWN: this party's columns, and the intercept where the labels are.
 */
struct ccz_mpcml_lr_result {
    const double *weights; /**< of x, not of gain x; NULL: not revealed to this party */
    const int64_t *words;  /**< the same as they are in the ring: w / gain at scale weight_frac */
    size_t weights_len;
    const uint64_t *
        share; /**< this party's shares of all weights after training; with `gain` enough to go on later. Secret */
    size_t share_len;
    double gain;
    const double *
        scores; /**< @shape [all scored rows], ROWS: party 0's rows first; NULL: not to this party */
    const int64_t *score_words;
    size_t scores_len;
};
/** Of the last run that came so far as to compute; zeroed if that failed, or there was none. */
CCZ_API struct ccz_mpcml_lr_result ccz_mpcml_lr_result(const struct ccz_mpcml_lr *lr);

/**
 * The same arithmetic in the clear, with the data of both parties: what training and scoring give with
 * CCZ_MPC_TRUNC_FAITHFUL, bit for bit.
 * @param[out] words        all weights; @shape as struct ccz_mpcml_lr_result for TO_BOTH
 * @param[out] score_words  @shape [all scored rows]; may be NULL
 * @param data              of both parties, in order of roles
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpcml_lr_simulate(int64_t *words, int64_t *score_words,
                                                  const struct ccz_mpcml_lr_cfg *cfg,
                                                  const struct ccz_mpcml_lr_data data[2],
                                                  struct ccz_err *err);
/**
 * What |weight| / gain and that of the intercept stay below in training, whatever the data: the `weight_range` of a scoring with its
 * shares. Without training it is `weight_range`. NaN: the configuration is refused.
 */
CCZ_API double ccz_mpcml_lr_weight_bound(const struct ccz_mpcml_lr_cfg *cfg);
/** How many weights there are in all, the intercept included. */
CCZ_API size_t ccz_mpcml_lr_weights_len(const struct ccz_mpcml_lr_cfg *cfg);

#ifdef __cplusplus
}
#endif
#endif
