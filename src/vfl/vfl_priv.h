/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SRC_VFL_PRIV_H
#define CCZ_SRC_VFL_PRIV_H
#include "ckpt/ckpt.h"

#include <cczoo/crypto.h>
#include <cczoo/vfl.h>
#include <math.h>

enum { CCZI_VFL_ALIGN = 64 }; /* of what TensorFlow uses in place */

/* -------------------------------------------------------------------------------- order.c */

/* The steps of a training, as the configuration and the number of rows give them. */
struct cczi_vfl_plan {
    size_t rows, batch, workers, worker; /* worker from 0 */
    uint64_t per_epoch, steps, seed;
    uint32_t checkpoint_steps, average_steps; /* 0: at the end of each epoch; none */
    uint8_t alignment[CCZ_VFL_DIGEST_SIZE];
    size_t *order;  /* rows of the current epoch */
    uint64_t epoch; /* whose order that is, from 1; 0 = none yet */
};
/* worker: from 0, of cfg->workers. CCZ_E_ARG, vfl:workers: fewer rows than workers. */
ccz_rc cczi_vfl_plan_init(struct cczi_vfl_plan *p, const struct ccz_vfl_cfg *cfg, uint32_t worker,
                          size_t rows, struct ccz_err *err);
void cczi_vfl_plan_deinit(struct cczi_vfl_plan *p);
uint64_t cczi_vfl_epoch_of(const struct cczi_vfl_plan *p, uint64_t step); /* from 1 */
/* The last step of the segment behind that step: an average, a checkpoint or the end of an epoch, where nothing is under way. */
uint64_t cczi_vfl_segment_end(const struct cczi_vfl_plan *p, uint64_t step_before);
/* Whether a state is stored after that step. */
bool cczi_vfl_stores(const struct cczi_vfl_plan *p, uint64_t step);
/* Rows of a batch, valid until a step of another epoch is asked for. */
const size_t *cczi_vfl_rows_of(size_t *len, struct cczi_vfl_plan *p, uint64_t step);
enum { CCZI_VFL_BATCH_DIGEST_SIZE = 16 };
/* Of step, alignment and rows. */
ccz_rc cczi_vfl_batch_digest(uint8_t out[CCZI_VFL_BATCH_DIGEST_SIZE],
                             const uint8_t alignment[CCZ_VFL_DIGEST_SIZE], uint64_t step,
                             const size_t *rows, size_t len, struct ccz_err *err);

/* -------------------------------------------------------------------------------- table.c */

/* Zeroed memory for TensorFlow to use in place. */
void *cczi_vfl_alloc(size_t len, size_t size);
ccz_rc cczi_vfl_no_memory(struct ccz_err *err);
ccz_rc cczi_vfl_table_check(const struct ccz_vfl_table *t, const char *what, struct ccz_err *err);
/* Rows gathered into tensors of their own. */
struct cczi_vfl_batch {
    struct ccz_tensor in[CCZ_VFL_INPUTS_MAX];
    size_t in_len;
    uint8_t *memory[CCZ_VFL_INPUTS_MAX];
};
ccz_rc cczi_vfl_batch_init(struct cczi_vfl_batch *b, const struct ccz_vfl_table *t, size_t rows_max,
                           struct ccz_err *err);
void cczi_vfl_batch_deinit(struct cczi_vfl_batch *b);
/* index NULL: rows first, first + 1, .. */
void cczi_vfl_batch_fill(struct cczi_vfl_batch *b, const struct ccz_vfl_table *t,
                         const size_t *index, size_t first, size_t len);
ccz_rc cczi_vfl_labels_check(const struct ccz_vfl_labels *l, const char *what, struct ccz_err *err);
/* Labels of a batch, in memory of their own. */
struct cczi_vfl_label_batch {
    struct ccz_vfl_labels view;
    uint32_t *label;
    float *value;
};
ccz_rc cczi_vfl_label_batch_init(struct cczi_vfl_label_batch *b, const struct ccz_vfl_labels *l,
                                 size_t rows_max, struct ccz_err *err);
void cczi_vfl_label_batch_deinit(struct cczi_vfl_label_batch *b);
void cczi_vfl_label_batch_fill(struct cczi_vfl_label_batch *b, const struct ccz_vfl_labels *l,
                               const size_t *index, size_t len);
bool cczi_vfl_finite(const float *v, size_t len);

/* --------------------------------------------------------------------------------- leak.c */

enum { CCZI_VFL_LEAK_BINS = 101 };
/* Sums of one epoch; kept in checkpoints, so that an interrupted epoch reports the same. */
struct cczi_vfl_leak_sum {
    uint64_t batches;
    double norm, cosine;                                                   /* of AUCs as they are */
    uint32_t norm_bin[CCZI_VFL_LEAK_BINS], cosine_bin[CCZI_VFL_LEAK_BINS]; /* folded, 0.5 .. 1 */
};
void cczi_vfl_leak_add(struct cczi_vfl_leak_sum *s, const float *grad, size_t width,
                       const struct ccz_vfl_labels *batch);
struct ccz_vfl_leakage cczi_vfl_leak_of(const struct cczi_vfl_leak_sum *s);
/* Area under the ROC curve of scores; ties count half. NaN: one class only, or no memory. */
double cczi_vfl_auc(const double *score, const uint8_t *positive, size_t len);

/* ---------------------------------------------------------------------------------- msg.c */

enum cczi_vfl_kind {
    CCZI_VFL_HELLO = 1,
    CCZI_VFL_START, /* step: to go on from */
    CCZI_VFL_ACT,
    CCZI_VFL_GRAD,
    CCZI_VFL_TEST, /* step: first row of the test rows */
    CCZI_VFL_BYE,
    CCZI_VFL_TEAM, /* between workers of a party from here on; BYE too */
    CCZI_VFL_PROOF,
    CCZI_VFL_READY,
    CCZI_VFL_STATE,
    CCZI_VFL_MEAN,
    CCZI_VFL_ROWS,
    CCZI_VFL_KIND_END
};
enum {
    CCZI_VFL_HEADER_SIZE = 64,
    CCZI_VFL_SESSION_SIZE = 16,
    CCZI_VFL_KEPT = CCZI_CKPT_KEPT,
    CCZI_VFL_PROOF_SIZE = 32,
    CCZI_VFL_PIECE_SIZE = 24 /* before its bytes */
};
enum cczi_vfl_role { CCZI_VFL_LEADER = 1, CCZI_VFL_FOLLOWER, CCZI_VFL_OWN };
struct cczi_vfl_hello {
    enum cczi_vfl_role role;
    uint32_t steps_len; /* 1 .. CCZI_VFL_KEPT */
    uint64_t steps[CCZI_VFL_KEPT];
    uint32_t worker, workers; /* from 0; 1 .. */
    uint64_t width, rows, test_rows;
    uint8_t config[32], alignment[32], test_alignment[32], schema[32];
};
struct cczi_vfl_team_hello {
    enum cczi_vfl_role role;
    uint32_t worker, workers; /* from 0; 2 .. */
    uint8_t fresh[32];
};
struct cczi_vfl_ready {
    uint8_t settings[32];
    uint32_t steps_len; /* 0 .. CCZI_VFL_KEPT */
    uint64_t steps[CCZI_VFL_KEPT];
};
struct cczi_vfl_piece {
    uint64_t total, at;
    double value;
    struct ccz_span bytes;
};
struct cczi_vfl_msg {
    enum cczi_vfl_kind kind;
    uint8_t session[CCZI_VFL_SESSION_SIZE];
    uint64_t step;
    uint32_t rows, width;
    uint8_t batch[CCZI_VFL_BATCH_DIGEST_SIZE];
    struct ccz_span body; /* ACT, GRAD, TEST: rows * width float32, little-endian */
    struct cczi_vfl_hello hello;
    struct cczi_vfl_team_hello team;
    uint8_t proof[CCZI_VFL_PROOF_SIZE];
    struct cczi_vfl_ready ready;
    struct cczi_vfl_piece piece;
};
/* CCZ_E_PEER, vfl:message. */
ccz_rc cczi_vfl_msg_parse(struct cczi_vfl_msg *out, struct ccz_span in, struct ccz_err *err);
void cczi_vfl_msg_header(uint8_t out[CCZI_VFL_HEADER_SIZE], const struct cczi_vfl_msg *m);
void cczi_vfl_msg_hello(struct ccz_buf *out, const struct cczi_vfl_hello *h);
void cczi_vfl_msg_team(struct ccz_buf *out, const struct cczi_vfl_team_hello *h);
void cczi_vfl_msg_ready(struct ccz_buf *out, const struct cczi_vfl_ready *y);
void cczi_vfl_msg_piece(uint8_t out[CCZI_VFL_PIECE_SIZE], const struct cczi_vfl_piece *p);

/* --------------------------------------------------------------------------- checkpoint.c */

/* States of this training (ckpt.h). */
ccz_rc cczi_vfl_ckpt_open(struct cczi_ckpt *c, const struct ccz_vfl_run *run,
                          enum cczi_vfl_role role, struct ccz_err *err);
ccz_rc cczi_vfl_config_digest(uint8_t out[32], const struct ccz_vfl_cfg *cfg, struct ccz_err *err);

/* ------------------------------------------------------------------------------ session.c */

struct cczi_vfl_link {
    struct ccz_chan *chan;
    struct ccz_buf in;
    struct cczi_vfl_msg msg; /* what came last; its body lies in `in` */
    struct cczi_vfl_hello peer;
    uint8_t session[CCZI_VFL_SESSION_SIZE];
    struct ccz_chan_stats before; /* at the start of the epoch */
};
void cczi_vfl_link_init(struct cczi_vfl_link *l, struct ccz_chan *chan,
                        const struct ccz_vfl_run *run);
uint32_t cczi_vfl_eval_batch(const struct ccz_vfl_cfg *cfg);
uint32_t cczi_vfl_workers(const struct ccz_vfl_cfg *cfg);
uint32_t cczi_vfl_worker(const struct ccz_vfl_run *run); /* from 0 */
ccz_rc cczi_vfl_run_check(const struct ccz_vfl_run *run, enum cczi_vfl_role role, size_t width,
                          struct ccz_err *err);
ccz_rc cczi_vfl_hello_init(struct cczi_vfl_hello *h, const struct ccz_vfl_run *run,
                           enum cczi_vfl_role role, size_t width, size_t rows, size_t test_rows,
                           const struct cczi_ckpt *c, struct ccz_err *err);
ccz_rc cczi_vfl_send_msg(struct cczi_vfl_link *l, struct cczi_vfl_msg *m, struct ccz_span body,
                         struct ccz_err *err);
ccz_rc cczi_vfl_send_hello(struct cczi_vfl_link *l, const struct cczi_vfl_hello *h,
                           struct ccz_err *err);
/* Checks what both sides have to agree on. width 0: any. */
ccz_rc cczi_vfl_recv_hello(struct cczi_vfl_link *l, const struct cczi_vfl_hello *mine,
                           bool expect_leader, size_t width, struct ccz_err *err);
ccz_rc cczi_vfl_send_floats(struct cczi_vfl_link *l, enum cczi_vfl_kind kind, uint64_t step,
                            const uint8_t *batch, const float *v, size_t rows, size_t width,
                            struct ccz_err *err);
/* Of that very step and batch, finite, copied to @p out. */
ccz_rc cczi_vfl_recv_floats(float *out, struct cczi_vfl_link *l, enum cczi_vfl_kind kind,
                            uint64_t step, const uint8_t *batch, size_t rows, size_t width,
                            struct ccz_err *err);
ccz_rc cczi_vfl_send_plain(struct cczi_vfl_link *l, enum cczi_vfl_kind kind, uint64_t step,
                           struct ccz_err *err);
ccz_rc cczi_vfl_recv_kind(struct cczi_vfl_link *l, enum cczi_vfl_kind kind, size_t size_max,
                          struct ccz_err *err);
/* Ends the links: on failure with the reason, which becomes *err. */
ccz_rc cczi_vfl_end(struct cczi_vfl_link *l, size_t len, ccz_rc rc, const struct ccz_err *reason,
                    struct ccz_err *err);
/* Bytes and waiting since the start of the epoch, which is now. */
void cczi_vfl_traffic(struct ccz_vfl_epoch *e, struct cczi_vfl_link *l, size_t len);

/* --------------------------------------------------------------------------------- mean.c */

/* The pieces of a model's state that its workers share, all or those of two models one behind the other. */
struct cczi_vfl_layout {
    struct ccz_vfl_part *part;
    size_t len, state_size, shared_size,
        floats; /* bytes of save(), of what is sent; numbers to average */
};
/* parts NULL: CCZ_E_ARG, vfl:worker-model. Appends to what is there. */
ccz_rc cczi_vfl_layout_add(struct cczi_vfl_layout *y,
                           void (*parts)(const struct ccz_vfl_part **out, size_t *len, void *self),
                           void *self, struct ccz_err *err);
void cczi_vfl_layout_deinit(struct cczi_vfl_layout *y);
ccz_rc cczi_vfl_layout_digest(uint8_t out[32], const struct cczi_vfl_layout *y,
                              struct ccz_err *err);
/* Appends what is sent of a state of state_size bytes (CCZ_E_INTERNAL, vfl:worker-model: it has another size). */
ccz_rc cczi_vfl_layout_share(struct ccz_buf *out, const struct cczi_vfl_layout *y,
                             struct ccz_span state, struct ccz_err *err);
/* The state with `shared` in it, in place. */
void cczi_vfl_layout_merge(uint8_t *state, const struct cczi_vfl_layout *y, const uint8_t *shared);
/* Worker's (from 0) own streams of random numbers, in place. */
void cczi_vfl_layout_fork(uint8_t *state, const struct cczi_vfl_layout *y, uint32_t worker);
/* sum += what is MEAN in `shared`, which must be finite; what is EQUAL must be as in `first`. */
ccz_rc cczi_vfl_layout_sum(double *sum, const struct cczi_vfl_layout *y, const uint8_t *first,
                           const uint8_t *shared, uint32_t worker, struct ccz_err *err);
void cczi_vfl_layout_mean(uint8_t *shared, const struct cczi_vfl_layout *y, const double *sum,
                          uint32_t workers);

/* --------------------------------------------------------------------------------- team.c */

struct ccz_vfl_team {
    uint32_t worker, workers; /* from 0 */
    bool leader;
    size_t len;                 /* links */
    struct cczi_vfl_link *link; /* worker 1: to the others in order; others: to worker 1 */
    struct ccz_buf came;        /* a whole of pieces */
};
/* Digest of all that the workers of a party must have alike. lead: NULL for a follower. */
ccz_rc cczi_vfl_team_settings(uint8_t out[32], const struct cczi_vfl_hello *mine,
                              const struct cczi_vfl_layout *y, const struct ccz_vfl_lead *lead,
                              struct ccz_err *err);
/* Compares settings and finds the last step that all workers of the party offer. CCZ_E_PEER: vfl:worker-step, or vfl:resume. */
ccz_rc cczi_vfl_team_agree(uint64_t *step, struct ccz_vfl_team *t, const uint8_t settings[32],
                           const uint64_t *steps, size_t len, struct ccz_err *err);
/* Replaces `shared` by the mean over the party, and *value likewise. */
ccz_rc cczi_vfl_team_mean(uint8_t *shared, double *value, struct ccz_vfl_team *t, uint64_t step,
                          const struct cczi_vfl_layout *y, struct ccz_err *err);
/* Ends the links, with the reason if there is one. */
void cczi_vfl_team_end(struct ccz_vfl_team *t, ccz_rc rc, const struct ccz_err *reason);
/* A whole in pieces. */
ccz_rc cczi_vfl_send_whole(struct cczi_vfl_link *l, enum cczi_vfl_kind kind, uint64_t step,
                           double value, struct ccz_span whole, struct ccz_err *err);
/* Of exactly that size; SIZE_MAX: any. */
ccz_rc cczi_vfl_recv_whole(struct ccz_buf *out, double *value, struct cczi_vfl_link *l,
                           enum cczi_vfl_kind kind, uint64_t step, size_t size,
                           struct ccz_err *err);

/* follow.c: CCZI_VFL_OWN is the leader's own bottom model. */
ccz_rc cczi_vfl_follow(struct ccz_vfl_result *out, struct ccz_chan *leader,
                       struct ccz_vfl_bottom *bottom, const struct ccz_vfl_run *run,
                       enum cczi_vfl_role role, struct ccz_err *err);
#endif
