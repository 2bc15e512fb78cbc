/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_FL_H
#define CCZ_FL_H
/**
 * @file fl.h
 * Horizontal federated learning: one server and many members train one model; the members' data stay where they are.
 *
 * Terms. The *model* is one flat vector of float32 with a *layout* (names and shapes of its tensors). A *round*: the server
 * sends its model to the members it selected, each trains on its own rows, and sends back its *update*, the difference to the
 * model it was given. The server folds updates into one *accumulator* and steps its model with the weighted mean. The *base* of an
 * update is the model that it is a difference to.
 *
 * Server and client are state machines: messages in, messages out, the time is handed in; no I/O, and no threads of their own but for `threads`. What
 * drives them: ccz_fl_server_attend() and ccz_fl_client_run() over channels (chan.h; deployments: rpc_chan.h inside RA-TLS), the
 * simulator (ten thousand clients, no thread for each), or a test. The messages: proto/fl.proto.
 *
 * Memory of the server: model, accumulator and one staging slot, so three models (`slots` more if asked for; server optimizers
 * keep one or two vectors of their own, SCAFFOLD two, and the robust rules must stage all updates of a round). Uploads are granted
 * one slot at a time. An update is staged whole, checked, then folded: who dies or lies in the middle of one leaves nothing.
 *
 * Reproducible: with `seeded`, who is selected, the seeds of local trainings and the order of folding are functions of (seed,
 * round, names); the same members with the same data give the same bits, also across a resume from a checkpoint.
 *
 * Trust. A member is bound to its name by the driver (evidence, see daemons/fld); everything that it sends is untrusted. A client
 * trusts what its channel attests; beyond that it verifies the signature of each model and that rounds never go back.
 * docs/design/fl.md says what is not protected.
 *
 * Threads: a server may be used from many threads (it has one lock; large copies run outside of it); the messages of one member must
 * come from one thread at a time, and be taken by one thread at a time. A client, a trainer: one thread at a time.
 * Reading order of the sources: layout.c, msg.c, digest.c, transfer.c; server.c, server_round.c, server_upload.c, async.c, record.c,
 * checkpoint.c, attend.c; roster.c; client.c, client_state.c, client_run.c.
 */
#include <cczoo/agg.h>
#include <cczoo/chan.h>
#include <cczoo/crypto.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --------------------------------------------------------------------------------- layout */

#define CCZ_FL_TENSORS_MAX     65536
#define CCZ_FL_RANK_MAX        8
#define CCZ_FL_NAME_SIZE       128                 /**< of a tensor, with its NUL */
#define CCZ_FL_LEN_MAX         (UINT64_C(1) << 38) /**< parameters of a model (1 TiB) */
#define CCZ_FL_DIGEST_SIZE     32
#define CCZ_FL_LAYOUT_SIZE_MAX ((size_t)16 << 20) /**< encoded */

struct ccz_fl_tensor {
    char name[CCZ_FL_NAME_SIZE];    /**< unique, 1..127 printable ASCII characters */
    uint32_t rank;                  /**< 0 = scalar */
    uint64_t dims[CCZ_FL_RANK_MAX]; /**< each >= 1; those from `rank` on are 0 */
    uint64_t offset, len;           /**< elements, set by the layout: tensors in order, no gaps */
};
/** Shape of a flat parameter vector. Read-only once made. */
struct ccz_fl_layout {
    size_t tensors_len;
    struct ccz_fl_tensor *tensors;
    uint64_t len;                       /**< parameters of all tensors; at least 1 */
    uint8_t digest[CCZ_FL_DIGEST_SIZE]; /**< SHA-256 of ccz_fl_layout_encode() */
};
/**
 * @param tensors  name, rank and dims of each are used
 * @retval CCZ_E_ARG    fl:layout-name (empty, too long, not printable, twice), fl:layout-dims (zero, rank above the limit)
 * @retval CCZ_E_LIMIT  fl:layout-tensors, fl:layout-size
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_layout_new(struct ccz_fl_layout **out,
                                              const struct ccz_fl_tensor *tensors, size_t len,
                                              struct ccz_err *err);
CCZ_API void ccz_fl_layout_free(struct ccz_fl_layout *l);
CCZ_DEFINE_AUTO(ccz_fl_layout)
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_layout_copy(struct ccz_fl_layout **out,
                                               const struct ccz_fl_layout *l, struct ccz_err *err);
/** Appends message `Layout` of proto/fl.proto: the one encoding of this layout. */
CCZ_API void ccz_fl_layout_encode(struct ccz_buf *out, const struct ccz_fl_layout *l);
/** @retval CCZ_E_FORMAT fl:layout: not what ccz_fl_layout_encode() makes  @retval those of ccz_fl_layout_new() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_layout_decode(struct ccz_fl_layout **out, struct ccz_span in,
                                                 struct ccz_err *err);
/** The same tensors in the same order? Names the first difference. @retval CCZ_E_MISMATCH fl:layout */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_layout_same(const struct ccz_fl_layout *got,
                                               const struct ccz_fl_layout *expected,
                                               struct ccz_err *err);
/**
 * Digest of a model: SHA-256 over "cczoo fl model 1", NUL, the layout's digest, the round (8 bytes, little-endian) and the SHA-256 of
 * each MiB of the parameters (float32, little-endian; the last piece is shorter). What signatures cover.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_model_digest(uint8_t out[CCZ_FL_DIGEST_SIZE],
                                                const struct ccz_fl_layout *l, uint64_t round,
                                                const float *params, struct ccz_err *err);

/**
 * A model as a plain file (first models, finished ones), which appears by rename; mode 0600.
 * @param sign_key  P-256, private; NULL = not signed
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_model_save(const char *path, const struct ccz_fl_layout *l,
                                              uint64_t round, const float *params,
                                              const struct ccz_key *sign_key, struct ccz_err *err);
/**
 * @param[out] layout, params  free with ccz_fl_layout_free() and free()
 * @param key  must have signed it; NULL = a signature is not looked at
 * @retval CCZ_E_NOT_FOUND, CCZ_E_IO  fl:model-file    @retval CCZ_E_FORMAT fl:model-file, fl:layout
 * @retval CCZ_E_SIG  fl:model-digest, fl:model-signature
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_model_load(struct ccz_fl_layout **layout, float **params,
                                              uint64_t *round, const char *path,
                                              const struct ccz_key *key, struct ccz_err *err);

/* -------------------------------------------------------------------------------- trainer */

/** One local training. */
struct ccz_fl_train_cfg {
    uint64_t round;
    uint32_t epochs, batch;
    float lr, momentum;
    float prox_mu; /**< FedProx: 0 = off; the centre is the parameters set last */
    const float *
        correction; /**< SCAFFOLD: c - c_i: params -= lr * correction at each step, beside momentum and not through it, so that
                         (x - y) / (steps * lr) has the right size with momentum too; NULL = none. @shape [layout->len] */
    uint64_t seed;  /**< order of samples: the same seed gives the same bits */
};
struct ccz_fl_metrics {
    uint64_t samples;      /**< rows that were used (training: of one epoch) */
    double loss, accuracy; /**< means over them; NaN: not known */
    uint64_t steps;        /**< optimizer steps (training) */
};
/**
 * What trains. Optimizer state (momentum) starts at zero in each training, so that a training is a function of (parameters, data,
 * cfg). Calls come from one thread at a time.
 */
struct ccz_fl_trainer_ops {
    /** Borrowed; the same as long as the trainer lives. */
    const struct ccz_fl_layout *(*layout)(void *self);
    ccz_rc (*get)(void *self, float *params, struct ccz_err *err);
    ccz_rc (*set)(void *self, const float *params, struct ccz_err *err);
    ccz_rc (*train)(struct ccz_fl_metrics *out, void *self, const struct ccz_fl_train_cfg *cfg,
                    struct ccz_err *err);
    /** On the trainer's held-out rows, with the parameters as they are. samples = 0: it has none. */
    ccz_rc (*evaluate)(struct ccz_fl_metrics *out, void *self, struct ccz_err *err);
    void (*free)(void *self);
};
/** A trainer by value; `self` belongs to whoever made it. */
struct ccz_fl_trainer {
    const struct ccz_fl_trainer_ops *ops;
    void *self;
};

/* ---------------------------------------------------------------------- how to aggregate */

enum ccz_fl_rule {                /* how the updates of a round become one step */
                   CCZ_FL_MEAN,   /**< weighted mean, streaming */
                   CCZ_FL_MEDIAN, /**< per coordinate; stages all updates, so do those below */
                   CCZ_FL_TRIMMED, /**< mean without the `trim` share at either end, per coordinate */
                   CCZ_FL_KRUM, /**< mean of the `krum_keep` updates with the nearest neighbours (1 = Krum) */
                   CCZ_FL_RULES
};
/** "mean", "median", "trimmed", "krum" */
CCZ_API const char *ccz_fl_rule_name(enum ccz_fl_rule rule);
/** By that name; CCZ_FL_RULES if there is none. */
CCZ_API enum ccz_fl_rule ccz_fl_rule_from(const char *name);

/** What is averaged, and how. A zeroed one is FedAvg. */
struct ccz_fl_agg_cfg {
    enum ccz_fl_rule rule;
    double trim;        /**< TRIMMED: share cut at each end, 0 < trim < 0.5 */
    uint32_t byzantine; /**< KRUM: updates that may be hostile */
    uint32_t krum_keep; /**< KRUM: 0 = 1 */
    struct ccz_agg_opt_cfg
        opt; /**< what the server does with the step; lr 0: ccz_agg_opt_defaults(opt.kind) */
    bool equal_weights; /**< each update counts 1 instead of its samples */
    bool scaffold; /**< control variates (Karimireddy et al.); with MEAN, FEDAVG and F32 only */
    struct ccz_agg_codec
        codec; /**< how updates travel (models travel as F32); INT8 and TOPK with error feedback */
};

/** Who a member is to the others: the public half of a P-256 key, x || y. */
struct ccz_fl_identity {
    char name[65]; /**< CCZ_FL_MEMBER_NAME_SIZE */
    uint8_t xy[64];
};
#define CCZ_FL_ROSTER_MAX                                                                          \
    4097 /**< members: the graph of a roster is complete, see CCZ_SECAGG_DEGREE_MAX */
/**
 * A roster from JSON: {"members": [{"name": "bank-a", "key": "128 hex digits, x || y"}, ..]}, in any order.
 * @param[out] out  in the order of the text; free with free()
 * @retval CCZ_E_FORMAT  json:parse; fl:roster (not of this form); fl:roster-name (malformed, or twice); fl:roster-key (no point of
 *                       P-256, or twice: two names for one member)
 * @retval CCZ_E_LIMIT   fl:roster-len: not 3 .. CCZ_FL_ROSTER_MAX members
 * @retval CCZ_E_NOMEM
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_roster_parse(struct ccz_fl_identity **out, size_t *len,
                                                struct ccz_span json, struct ccz_err *err);
/** Appends this member's entry of a roster: one object of JSON, no newline.
 *  @retval CCZ_E_ARG  fl:member-name; fl:identity: not a key of P-256 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_roster_entry(struct ccz_buf *out, const char *name,
                                                const struct ccz_key *key, struct ccz_err *err);
/**
 * What keeps single updates from the server and the model. All zero = off. Secure aggregation (secagg.h) with the keys that an
 * attested server relays: members must have verified it on their channel; or, with a roster, against a server that nobody trusts. Differential privacy (dp.h) at the level of
 * members: docs/design/fl-privacy.md says what exactly is promised.
 */
struct ccz_fl_privacy {
    bool secagg; /**< at least 3 members in a round, mean, F32, no norm_max */
    /** Borrowed. NULL = attested server. Else only these members are selected, and each must have the same roster. */
    const struct ccz_fl_identity *roster;
    size_t roster_len;
    uint32_t degree,
        threshold; /**< of its graph; both 0 = chosen for a tenth of corrupt members and quorum */
    float range; /**< of a parameter's update (times its weight): beyond it is clipped; 0 = clip */
    double
        clip; /**< L2 norm of an update at most, clipped by the server, with secagg by the member; 0 = no clipping */
    double
        multiplier; /**< noise on the sum, relative to its sensitivity; 0 = none. Needs clip and equal_weights */
    double delta; /**< of the epsilon in records; 0 = 1e-5 */
    bool
        noise_at_members; /**< each adds its part, so that `quorum` of them add enough; else the server adds it */
    double adaptive_rate; /**< the clip follows a quantile of the norms; 0 = fixed */
    double adaptive_quantile,
        adaptive_sigma; /**< 0 = 0.5; noise on the count, see ccz_dp_adaptive */
};

/* --------------------------------------------------------------------------------- server */

#define CCZ_FL_MEMBERS_MAX      ((size_t)1 << 20)
#define CCZ_FL_MEMBER_NAME_SIZE 65                /**< 1..64 of [A-Za-z0-9._-], with the NUL */
#define CCZ_FL_CHUNK_SIZE       ((size_t)1 << 20) /**< parameter bytes in one message, at most */
#define CCZ_FL_MESSAGE_SIZE_MAX                                                                    \
    (CCZ_FL_CHUNK_SIZE + 65536) /**< any message but the welcome, which holds a layout */

/** One finished round: what is logged, plotted and kept. */
struct ccz_fl_record {
    uint64_t round;   /**< from 1; asynchronous: the model's version */
    uint32_t attempt; /**< from 1; more if a round had to begin anew */
    uint32_t selected, delivered, dropped, refused;
    uint64_t samples;            /**< behind the delivered updates */
    struct ccz_fl_metrics train; /**< weighted means as reported after local training */
    struct ccz_fl_metrics
        base_eval; /**< of the model that the round began with, on the members' held-out rows; samples = 0: none */
    struct ccz_fl_metrics
        eval;           /**< of the new model, by the server's own `evaluate`; samples = 0: none */
    double update_norm; /**< L2 norm of the step taken */
    double norm_mean, norm_max;        /**< L2 norms of the members' updates */
    double staleness_mean;             /**< asynchronous */
    uint64_t sent_size, received_size; /**< bytes of messages in this round */
    int64_t start_ms, wait_ms,
        apply_ms; /**< time of the caller's clock: begin; until the last update; for the step */
    int64_t duration_ms;
    double epsilon, delta; /**< differential privacy spent so far; epsilon < 0: none claimed */
    double clip;           /**< of the updates; 0 = none */
    uint64_t private_size; /**< bytes of secure aggregation beyond the vectors */
    int64_t private_ms;    /**< of apply_ms: removing masks, adding noise */
    uint8_t digest[CCZ_FL_DIGEST_SIZE]; /**< of the new model */
};
/** Appends one JSON object, one line, no newline. */
CCZ_API void ccz_fl_record_json(struct ccz_buf *out, const struct ccz_fl_record *r);

struct ccz_fl_server;

/** Functions that the server calls; none may call back into the server unless it says so. Any may be NULL. */
struct ccz_fl_server_hooks {
    /** There may be messages for @p member (or nothing more will come). Called with the server's lock held, from any thread. */
    void (*wake)(void *arg, uint32_t member);
    /** The model of a round is ready and nobody has it yet: evaluate it on data of the server's own. No lock is held. */
    ccz_rc (*evaluate)(struct ccz_fl_metrics *out, void *arg, uint64_t round, const float *params,
                       struct ccz_err *err);
    /**
     * The round is over and nobody has seen its model: make it durable, by ccz_fl_checkpoint_save(). No lock is held. What
     * it returns other than CCZ_OK ends the server: no member ever sees a model that could be lost.
     */
    ccz_rc (*store)(void *arg, const struct ccz_fl_server *s, struct ccz_err *err);
    /** After `store`. No lock is held. */
    void (*on_round)(void *arg, const struct ccz_fl_record *r);
    /** A member's message or update was refused (lock held). */
    void (*on_refusal)(void *arg, const char *member, uint64_t round, const struct ccz_err *why);
    void *wake_arg; /**< of wake */
    void *arg;      /**< of the others */
};

/** All zero but `layout` and `rounds`: FedAvg of everybody who has joined, every selected member must deliver, no time limit. */
struct ccz_fl_server_cfg {
    const struct ccz_fl_layout *layout; /**< copied */
    uint64_t rounds;                    /**< ends after this round; asynchronous: versions */
    /* who */
    uint32_t members_min; /**< a round waits for so many; 0 = 1 */
    uint32_t members_max; /**< 0 = 1024; at most CCZ_FL_MEMBERS_MAX */
    uint32_t sample_len;  /**< members of a round; 0 = all that are there when it begins */
    uint32_t quorum;      /**< updates that a round needs; 0 = all selected */
    int64_t
        round_timeout_ms; /**< then a round closes with what it has, or begins anew without its quorum; 0 = never */
    int64_t stall_ms; /**< an upload without progress for so long gives up its slot; 0 = 30 s */
    uint32_t attempts_max; /**< of one round; 0 = no limit */
    uint32_t
        strikes_max; /**< refused updates in a row after which a member is not selected any more; 0 = 3 */
    bool seeded;
    uint64_t seed;
    /* what members do */
    struct ccz_fl_train_cfg
        train; /**< epochs, batch, lr, momentum, prox_mu; 0 = 1, 32, 0.01, 0, 0; the others are set per round */
    double lr_decay; /**< lr of round r: lr * lr_decay^(r-1); 0 = 1 */
    uint32_t
        eval_every; /**< members evaluate the model that every so many rounds begin with, and the last one; 0 = only the last */
    /* what is done with it */
    struct ccz_fl_agg_cfg agg;
    struct ccz_fl_privacy privacy;
    double norm_max;      /**< larger updates (L2) are refused; 0 = no bound */
    uint64_t samples_max; /**< a member may not claim more; 0 = 2^32 */
    uint32_t slots;       /**< uploads at a time, one model of memory each; 0 = 1 */
    /** While updates are collected the model waits here, in an encrypted file without a name (its key and tags stay in memory), and
     *  takes none: a round then needs accumulator and slots. A folder on a disk, with room for one model. NULL = it stays in memory.
     *  Not for asynchronous rounds. What cannot be written or read back ends the training (fl:spill, fl:spill-seal). Not kept */
    const char *spill_dir;
    /* asynchronous (FedBuff, Nguyen et al.): members train all the time, the model steps after each `buffer_len` updates */
    uint32_t buffer_len; /**< 0 = synchronous rounds */
    uint32_t
        staleness_max; /**< older bases are refused; weights are divided by sqrt(1 + staleness); 0 = 16 */
    /** That remove the masks of secure aggregation at the end of a round, and live no longer than that; 0 = one for each processor
     *  that the process may use, at most 64. The model does not depend on it. */
    unsigned threads;
    const struct ccz_key
        *sign_key; /**< signs each model (P-256, private); NULL = models are not signed. Borrowed */
    struct ccz_fl_server_hooks hooks;
};

/**
 * Settings from a JSON object, as docs/reference/fl.md lists them. What the text does not name stays as it is in @p cfg.
 * @param len  parameters of the model (a share of top-k becomes a number)
 * @retval CCZ_E_FORMAT  json:parse, fl:config-name (no such setting), fl:config-value; @p cfg is unchanged
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_server_cfg_parse(struct ccz_fl_server_cfg *cfg,
                                                    struct ccz_span json, uint64_t len,
                                                    struct ccz_err *err);
/**
 * @param params  the first model (round 0), copied
 * @retval CCZ_E_ARG  fl:cfg-..., the field that contradicts
 * @retval CCZ_E_IO   fl:spill: no file can be made in `spill_dir`
 * @retval CCZ_E_FORMAT  fl:not-finite
 * @retval CCZ_E_NOMEM
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_server_new(struct ccz_fl_server **out,
                                              const struct ccz_fl_server_cfg *cfg,
                                              const float *params, int64_t now_ms,
                                              struct ccz_err *err);
CCZ_API void ccz_fl_server_free(struct ccz_fl_server *s); /**< after all calls have returned */
CCZ_DEFINE_AUTO(ccz_fl_server)

/**
 * A member came (first time, again, or in place of its lost connection). Late joiners are welcome: they are selected from the
 * next round on; who comes again within a round gets its task again unless its update is there.
 * @param[out] member  stands for this name as long as the server lives
 * @retval CCZ_E_EXISTS  fl:member-twice: a member of that name is here
 * @retval CCZ_E_ARG     fl:member-name   @retval CCZ_E_LIMIT fl:members   @retval CCZ_E_CLOSED fl:over
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_server_join(uint32_t *member, struct ccz_fl_server *s,
                                               const char *name, int64_t now_ms,
                                               struct ccz_err *err);
/** The member's connection is gone. What it had begun to upload is dropped. */
CCZ_API void ccz_fl_server_leave(struct ccz_fl_server *s, uint32_t member, int64_t now_ms);
/**
 * One message of @p member. Refused updates are answered to the member and are no error here; anything against the protocol
 * is one, and the caller ends the connection with it.
 * @retval CCZ_E_PEER      fl:message (malformed), fl:order, fl:chunk-offset, fl:chunk-size, fl:hello-version
 * @retval CCZ_E_MISMATCH  fl:layout
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_server_input(struct ccz_fl_server *s, uint32_t member,
                                                struct ccz_span msg, int64_t now_ms,
                                                struct ccz_err *err);
/**
 * The next message to @p member, if there is one: @p msg is cleared and filled. False: none now.
 * A message is at most CCZ_FL_MESSAGE_SIZE_MAX bytes, the welcome CCZ_FL_LAYOUT_SIZE_MAX more.
 */
CCZ_API bool ccz_fl_server_output(struct ccz_buf *msg, struct ccz_fl_server *s, uint32_t member,
                                  int64_t now_ms);
/** Acts on what time alone does: deadlines, stalled uploads. @return when to call again at the latest, INT64_MAX = never. */
CCZ_API int64_t ccz_fl_server_tick(struct ccz_fl_server *s, int64_t now_ms);
/** Ends early: members are told, rounds are not begun any more. */
CCZ_API void ccz_fl_server_stop(struct ccz_fl_server *s, const char *reason);
/** True once no round will begin any more; @p err (may be NULL) then says why if it was not the last round. */
CCZ_API bool ccz_fl_server_over(const struct ccz_fl_server *s, struct ccz_err *err);
/** Nothing is left to be sent to @p member, and nothing will be. */
CCZ_API bool ccz_fl_server_done_with(const struct ccz_fl_server *s, uint32_t member);
CCZ_API uint64_t ccz_fl_server_round(const struct ccz_fl_server *s); /**< finished rounds */
/** The model; it changes when rounds end: only inside the hooks evaluate, store, or when the server is over. NULL: it was over early,
 *  and the file of `spill_dir` is not what was written. */
CCZ_API const float *ccz_fl_server_params(const struct ccz_fl_server *s);
CCZ_API const struct ccz_fl_layout *ccz_fl_server_layout(const struct ccz_fl_server *s);
/** Digest and signature (64 bytes, r || s; false if models are not signed) of the current model; when params may be read. */
CCZ_API bool ccz_fl_server_signature(uint8_t digest[CCZ_FL_DIGEST_SIZE], uint8_t sig[64],
                                     const struct ccz_fl_server *s);
/** Means of what members said of the last model, on their held-out rows; samples = 0: nothing. When the server is over. */
CCZ_API struct ccz_fl_metrics ccz_fl_server_final_eval(const struct ccz_fl_server *s);
/** Prometheus text (version 0.0.4): rounds, members, refusals by where, bytes, seconds, loss, accuracy, epsilon. */
CCZ_API void ccz_fl_server_prometheus(struct ccz_buf *out, const struct ccz_fl_server *s);

/**
 * Serves one member over @p chan (borrowed) until the server is over, the channel ends or the member breaks the protocol; joins,
 * and leaves in any case. Uses a second thread, which sends. The clock is ccz_mono_ms(), for everything of this server. For many
 * members: one call and thread each, and one thread more that calls ccz_fl_server_tick().
 * @retval CCZ_OK  the server is over and has told the member
 * @retval others  of join, of input (the channel was closed with that reason) and of the channel
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_server_attend(struct ccz_fl_server *s, const char *name,
                                                 struct ccz_chan *chan, struct ccz_err *err);

/* ----------------------------------------------------------------------------- checkpoints */

#define CCZ_FL_KEY_SIZE 32 /**< of checkpoints */
/**
 * Writes the server's state as protected file DIR/round-N.ccz: to a new name, fsync, rename; older ones than the last
 * @p keep (0 = 2) are removed. Called by hook `store`.
 * @retval CCZ_E_IO  fl:checkpoint-write
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_checkpoint_save(const char *dir, const struct ccz_secret *key,
                                                   unsigned keep, const struct ccz_fl_server *s,
                                                   struct ccz_err *err);
/**
 * A server that goes on behind the newest checkpoint of @p dir.
 * @param cfg  as for ccz_fl_server_new(); what defines the training must be as it was (fl:checkpoint-config), limits may change
 * @retval CCZ_E_NOT_FOUND  fl:checkpoint: there is none
 * @retval CCZ_E_SIG        fl:checkpoint-seal: changed, or another key; older ones are not tried
 * @retval CCZ_E_FORMAT     fl:checkpoint-format   @retval CCZ_E_MISMATCH fl:checkpoint-config, fl:layout
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_checkpoint_load(struct ccz_fl_server **out, const char *dir,
                                                   const struct ccz_secret *key,
                                                   const struct ccz_fl_server_cfg *cfg,
                                                   int64_t now_ms, struct ccz_err *err);

/* --------------------------------------------------------------------------------- client */

/** What the client did in a round. */
struct ccz_fl_client_record {
    uint64_t round;
    struct ccz_fl_metrics train, base_eval; /**< samples = 0: not evaluated */
    double update_norm;
    bool accepted; /**< false: refused, see `refusal` */
    struct ccz_err refusal;
    int64_t train_ms;
};
struct ccz_fl_client_cfg {
    const char *name; /**< of the member, for its seed; the same after a restart */
    const struct ccz_fl_layout *layout; /**< of the trainer; copied */
    /** Key that signs models. NULL: the first one the server shows is kept for the life of the client (and in its state file); the
     *  channel's attestation vouches for it. */
    const struct ccz_key *server_key;
    bool unsigned_insecure; /**< takes models without a signature */
    /** Sends no update but through secure aggregation, with at least so many others in each sum. @retval CCZ_E_POLICY
     *  fl:not-private, fl:plan-quorum */
    bool secagg_required;
    uint32_t secagg_quorum_min;
    /** Borrowed; NULL = takes the keys that the server relays. Else a plan must be of members of this roster (fl:plan-roster),
     *  and `identity`, private, is this member's key in it. @retval CCZ_E_ARG fl:identity: missing, or not what the roster says */
    const struct ccz_fl_identity *roster;
    size_t roster_len;
    const struct ccz_key *identity;
    /** Memory of the model is given back between rounds (simulation: only those at work have some). */
    bool frugal;
    /**
     * What must survive a restart (control variate, compression error, last round seen), as protected file; NULL = nothing kept on
     * disk. Needed for a bit-identical continuation with SCAFFOLD, INT8 or TOPK.
     */
    const char *state_file;
    const struct ccz_secret *state_key; /**< CCZ_FL_KEY_SIZE bytes; borrowed */
    void (*on_round)(void *arg, const struct ccz_fl_client_record *r);
    /** The last model of the training is here: to be kept, before the server hears that it is; again when it comes again, after a
     *  reconnection. An error ends the client. NULL: not called. */
    ccz_rc (*on_last)(void *arg, uint64_t round, const float *params, struct ccz_err *err);
    void *arg;
};
struct ccz_fl_client;
/** Loads the state file if there is one. @retval those of state files, as for checkpoints */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_client_new(struct ccz_fl_client **out,
                                              const struct ccz_fl_client_cfg *cfg,
                                              struct ccz_err *err);
CCZ_API void ccz_fl_client_free(struct ccz_fl_client *c);
CCZ_DEFINE_AUTO(ccz_fl_client)

enum ccz_fl_event {
    CCZ_FL_WAIT, /**< nothing to do but sending what output gives */
    CCZ_FL_WORK, /**< a model is here and verified: call ccz_fl_client_work() */
    CCZ_FL_OVER /**< the server is done; whether the last model is here: ccz_fl_client_complete() */
};
/** A new connection: what was under way is forgotten, the first message is queued. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_client_start(struct ccz_fl_client *c, struct ccz_err *err);
/**
 * One message of the server.
 * @retval CCZ_E_PEER      fl:message, fl:order, fl:chunk-offset, fl:chunk-size
 * @retval CCZ_E_SIG       fl:model-digest, fl:model-signature, fl:server-key
 * @retval CCZ_E_MISMATCH  fl:layout      @retval CCZ_E_POLICY fl:rollback: an older round than one seen before
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_client_input(enum ccz_fl_event *event, struct ccz_fl_client *c,
                                                struct ccz_span msg, struct ccz_err *err);
/** Trains (or only evaluates) as the task says, and queues the answer. @p t has the layout of the client. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_client_work(struct ccz_fl_client *c,
                                               const struct ccz_fl_trainer *t, struct ccz_err *err);
/** The next message to the server, if there is one: @p msg is cleared and filled. */
CCZ_API bool ccz_fl_client_output(struct ccz_buf *msg, struct ccz_fl_client *c);
/** The model received last, NULL if there is none, another one is on its way, or it was given back; valid until the next input. */
CCZ_API const float *ccz_fl_client_params(const struct ccz_fl_client *c);
CCZ_API uint64_t ccz_fl_client_round(const struct ccz_fl_client *c); /**< of that model */
/** It is the last one of the training; with a state file also after a restart, when the server may be gone. */
CCZ_API bool ccz_fl_client_complete(const struct ccz_fl_client *c);
/** Is this that last model? @retval CCZ_E_MISMATCH fl:last-model: another one, or there is none yet */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_client_is_last(const struct ccz_fl_client *c,
                                                  const struct ccz_fl_layout *layout,
                                                  uint64_t round, const float *params,
                                                  struct ccz_err *err);

/**
 * All of it over a channel, blocking, until the server is done. May be called again with a new channel after an error of the
 * channel: the client goes on.
 * CCZ_OK: the server is done, or ended early when this member was complete. A server that does not wait for everybody may be done before a
 * member has the last model: ccz_fl_client_complete().
 * @param idle_ms  longest silence of the server; 0 = no limit (transports notice dead peers)
 * @retval CCZ_E_CLOSED, CCZ_E_TIMEOUT  of the channel: come again   @retval others  refusals: do not
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_client_run(struct ccz_fl_client *c, struct ccz_chan *chan,
                                              const struct ccz_fl_trainer *t, int64_t idle_ms,
                                              struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
