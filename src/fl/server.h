/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SRC_FL_SERVER_H
#define CCZ_SRC_FL_SERVER_H
/*
 * The server's inside. One lock guards everything; three kinds of work run without it: copying a chunk out of the model
 * (`pins`; out of its file: `reads`), copying and checking a chunk of an upload (`busy` of its slot), and folding or closing (`working`: one thread).
 */
#include "fl/fl_priv.h"

#include <pthread.h>

enum hfl_link { HFL_AWAY, HFL_GREETED, HFL_HERE }; /* GREETED: connected, its hello is awaited */
enum hfl_work {
    HFL_IDLE,
    HFL_SENDING, /* task and model are on their way to it */
    HFL_BUSY,    /* it has them all */
    HFL_OFFERED, /* it waits for a slot */
    HFL_UPLOADING,
};
enum hfl_model { HFL_HELD, HFL_LEAVING, HFL_SPILLED }; /* LEAVING: in memory and in the file */
enum hfl_seat { HFL_NO_SEAT, HFL_OPEN, HFL_DELIVERED, HFL_REFUSED }; /* in this round */

struct hfl_slot;
struct hfl_private;
struct hfl_member {
    char name[CCZ_FL_MEMBER_NAME_SIZE];
    uint32_t id;
    pthread_cond_t changed;
    enum hfl_link link;
    enum hfl_work work;
    enum hfl_seat seat;
    /* to be sent, in this order */
    bool welcome_due, verdict_due, grant_due, private_due, task_due;
    uint32_t number; /* in this round's secure aggregation */
    bool stranger;   /* not in the roster */
    bool keyless;    /* it came again: what it had for that round is gone */
    bool over_sent;
    uint64_t verdict_round;
    struct ccz_err *why; /* of the verdict; NULL: accepted */
    /* the task, and how far its vectors have been sent */
    uint64_t task_round;
    uint32_t task_work;
    uint32_t vector;
    uint64_t at;
    uint64_t tasks; /* given so far */
    /* the update */
    struct cczi_hfl_offer offer;
    struct hfl_slot *slot;
    bool void_upload; /* chunks of an upload that was called off may still come */
    struct hfl_member *next_offered;
    uint64_t accepted; /* last round with an update of this member */
    uint32_t strikes;
    bool banned;
    bool reported; /* final evaluation */
};

/* An upload under way. */
struct hfl_slot {
    struct hfl_member *owner; /* NULL = free */
    uint8_t *bytes;           /* of all vectors, one behind the other */
    uint64_t size[CCZI_HFL_VECTORS];
    uint32_t vector;
    uint64_t at; /* in the vector */
    struct ccz_agg_dec *dec;
    struct ccz_agg_norm norm[CCZI_HFL_VECTORS];
    double norm_value;
    uint64_t staleness;
    int64_t progress_ms;
    bool busy, revoked, ready;
    bool masked; /* by secure aggregation */
};
/* A complete update of a robust rule. */
struct hfl_staged {
    const struct hfl_member *from;
    float *x;
};

/* Means weighted by samples, of what is a number. */
struct hfl_means {
    uint64_t samples, steps;
    double loss, loss_weight, accuracy, accuracy_weight;
};

enum hfl_phase {
    HFL_WAIT,
    HFL_PREPARE,
    HFL_COLLECT,
    HFL_REVEAL,
    HFL_CLOSE,
    HFL_FINAL,
    HFL_OVER_PHASE,
    HFL_PHASES
};

#define HFL_REFUSALS_MAX 32
struct hfl_totals {
    uint64_t sent_size, received_size, accepted, refused, dropped, attempts;
    struct {
        char where[CCZ_ERR_WHERE_SIZE];
        uint64_t count;
    } refusal[HFL_REFUSALS_MAX]; /* the last one: all others */
};

struct ccz_fl_server {
    pthread_mutex_t lock;
    pthread_cond_t quiet;         /* pins or reads went to 0 */
    struct ccz_fl_server_cfg cfg; /* defaults filled in */
    struct ccz_fl_layout *layout;
    uint64_t seed;
    uint8_t run[CCZI_HFL_RUN_SIZE];
    uint8_t config[CCZ_FL_DIGEST_SIZE]; /* digest of what defines the training */
    float *params, *acc;
    float *variate, *acc_variate; /* SCAFFOLD */
    struct ccz_agg_opt *opt;
    uint8_t digest[CCZ_FL_DIGEST_SIZE], sig[CCZI_HFL_SIG_SIZE];
    uint8_t (
        *past)[CCZ_FL_DIGEST_SIZE]; /* asynchronous: of version v at [v % (staleness_max + 1)] */
    uint8_t key[64];
    uint64_t update_size; /* of an encoded update; TOPK: at most */
    /* rounds */
    enum hfl_phase phase;
    uint64_t round; /* finished */
    uint32_t attempt;
    int64_t deadline_ms; /* INT64_MAX = none */
    bool cut;            /* the deadline passed */
    struct ccz_fl_record rec, last;
    double weight_sum, norm_sum, staleness_sum;
    struct hfl_private *private;  /* NULL: neither secure aggregation nor differential privacy */
    struct hfl_means train, eval; /* of this round's updates; eval also of the last model */
    struct ccz_fl_metrics final_eval;
    /* members */
    struct hfl_member **members;
    size_t members_len, members_cap;
    uint32_t *order; /* ids by name */
    uint32_t *seats; /* ids of this round, by name */
    size_t seats_len, next_seat;
    uint32_t here; /* could be selected */
    uint32_t open_here, open_away, delivered, refused, folded;
    struct hfl_member *offered, **offered_tail;
    /* uploads */
    struct hfl_slot *slots;
    struct hfl_staged *staged;
    size_t staged_len;
    unsigned pins, reads;
    bool working;
    struct cczi_hfl_spill *spill; /* NULL: the model stays in memory */
    enum hfl_model model;
    struct ccz_err why;
    struct hfl_totals totals;
};

/* A function named *_locked is called with the lock held, and may let go of it for a while. */

/* server_round.c: phases */
void cczi_hfl_advance_locked(struct ccz_fl_server *s, int64_t now_ms);
void cczi_hfl_over_locked(struct ccz_fl_server *s, const struct ccz_err *why);
void cczi_hfl_give_task_locked(struct ccz_fl_server *s, struct hfl_member *m, uint32_t work);
void cczi_hfl_recount_locked(struct ccz_fl_server *s);
const char *cczi_hfl_phase_name(enum hfl_phase p);
void cczi_hfl_means_add(struct hfl_means *t, const struct ccz_fl_metrics *m);
struct ccz_fl_metrics cczi_hfl_means_of(const struct hfl_means *t);
uint32_t cczi_hfl_quorum(const struct ccz_fl_server *s);
/* Digest and signature of the parameters as the model of @p round. */
ccz_rc cczi_hfl_seal_model(struct ccz_fl_server *s, uint64_t round,
                           uint8_t digest[CCZ_FL_DIGEST_SIZE], uint8_t sig[CCZI_HFL_SIG_SIZE],
                           struct ccz_err *err);
void cczi_hfl_model_ready_locked(struct ccz_fl_server *s, uint64_t round, const uint8_t *digest,
                                 const uint8_t *sig);

/* server_spill.c */
bool cczi_hfl_spill_due(const struct ccz_fl_server *s);
/* @return false: the collecting is over, as the training was stopped or the file cannot be written */
bool cczi_hfl_spill_out_locked(struct ccz_fl_server *s);
/* The memory of free slots goes back to the system. */
void cczi_hfl_spill_make_room_locked(struct ccz_fl_server *s);
/* The model is in memory again. The lock is not held, nobody reads the model. */
ccz_rc cczi_hfl_spill_in(struct ccz_fl_server *s, struct ccz_err *err);

/* server_close.c: the step at the end of a round; the lock is not held */
ccz_rc cczi_hfl_fold(struct ccz_fl_server *s, struct hfl_slot *slot, float weight, bool first,
                     struct ccz_err *err);
/* @param[out] norm  of the mean update */
ccz_rc cczi_hfl_step(double *norm, struct ccz_fl_server *s, struct ccz_err *err);
void cczi_hfl_drop_staged(struct ccz_fl_server *s);

/* server_upload.c */
ccz_rc cczi_hfl_on_offer_locked(struct ccz_fl_server *s, struct hfl_member *m,
                                const struct cczi_hfl_offer *o, int64_t now_ms,
                                struct ccz_err *err);
ccz_rc cczi_hfl_on_chunk_locked(struct ccz_fl_server *s, struct hfl_member *m,
                                const struct cczi_hfl_chunk *c, int64_t now_ms,
                                struct ccz_err *err);
void cczi_hfl_grant_locked(struct ccz_fl_server *s, int64_t now_ms);
/* Folds one update that is ready, if it is its turn. @return true if something changed */
bool cczi_hfl_fold_next_locked(struct ccz_fl_server *s, int64_t now_ms);
/* The member's offer or upload counts no more; @p why (may be NULL) goes to it. */
void cczi_hfl_revoke_locked(struct ccz_fl_server *s, struct hfl_member *m,
                            const struct ccz_err *why);
bool cczi_hfl_filling(const struct ccz_fl_server *s);
void cczi_hfl_slots_free(struct ccz_fl_server *s);

/* server.c */
void cczi_hfl_wake_locked(struct ccz_fl_server *s, struct hfl_member *m);
void cczi_hfl_verdict_locked(struct ccz_fl_server *s, struct hfl_member *m, uint64_t round,
                             const struct ccz_err *why);
ccz_rc cczi_hfl_member_add(struct hfl_member **out, struct ccz_fl_server *s, const char *name,
                           struct ccz_err *err);
/* Waits until there is something for @p m, or it is gone, or @p *stop. For attend.c. */
void cczi_hfl_output_wait(struct ccz_fl_server *s, uint32_t member, const bool *stop);
void cczi_hfl_output_stop(struct ccz_fl_server *s, uint32_t member, bool *stop);

/* server_cfg.c */
ccz_rc cczi_hfl_cfg_check(struct ccz_fl_server_cfg *cfg, uint64_t *update_size,
                          struct ccz_err *err);
ccz_rc cczi_hfl_cfg_digest(uint8_t out[CCZ_FL_DIGEST_SIZE], const struct ccz_fl_server_cfg *cfg,
                           struct ccz_err *err);
/* Everything but the model, which is taken over with zeros in it. */
ccz_rc cczi_hfl_server_make(struct ccz_fl_server **out, const struct ccz_fl_server_cfg *cfg,
                            struct ccz_err *err);
#endif
