/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_FEDLR_PRIV_H
#define CCZ_FEDLR_PRIV_H
/* Inside federated regression: mathematics in plain, fixed point and slots, messages, state, links. */
#include <cczoo/fedlr.h>

ccz_rc cczi_fl_no_memory(struct ccz_err *err); /* "fedlr:memory" */
/* calloc(), or with *rc set if there is none. */
void *cczi_fl_zeros(size_t len, size_t size);
/* Wiped, as most numbers here come from somebody's rows; NULL is fine. */
void cczi_fl_drop(void *p, size_t len, size_t size);

/* ---- plain.c: what is computed without encryption */

double cczi_fl_sigmoid(double z);
/* What a model predicts where w x is @p z. */
double cczi_fl_output(const struct ccz_fedlr_model *m, double z);
/* w[0] + sum w[j + 1] x[j]. */
double cczi_fl_score(const double *w, const double *x, size_t cols);
ccz_rc cczi_fl_model_new(struct ccz_fedlr_model **out, size_t len, struct ccz_err *err);
/* Step size in round or epoch @p e (from 0). */
double cczi_fl_eta(const struct ccz_fedlr_cfg *cfg, uint64_t e);
uint32_t cczi_fl_local_steps_of(const struct ccz_fedlr_cfg *cfg);
/* Moves @p w by gradient steps on the rows of @p t; mini-batches in the order of (seed, round). */
ccz_rc cczi_fl_descend(double *w, const struct ccz_fedlr_table *t, const struct ccz_fedlr_cfg *cfg,
                       uint64_t round, struct ccz_err *err);
/* Mean loss of @p w with the penalties. */
double cczi_fl_loss(const double *w, const struct ccz_fedlr_table *t,
                    const struct ccz_fedlr_cfg *cfg);
/* L1 as a proximal step: towards 0 by @p by, not beyond. */
double cczi_fl_shrink(double w, double by);
/*
 * The update of ENCRYPTED_MODEL, which is affine in the weights: w <- M w + c are local_steps gradient steps with the
 * sigmoid of each row replaced by a line. @shape m[d * d] row-major, c[d], d = columns + 1
 */
ccz_rc cczi_fl_affine(double *m, double *c, const struct ccz_fedlr_table *t,
                      const struct ccz_fedlr_cfg *cfg, uint64_t round, struct ccz_err *err);
/* The order of rows in epoch @p e, the same at all parties; identity if there are no mini-batches. */
void cczi_fl_order(size_t *index, size_t rows, const struct ccz_fedlr_cfg *cfg, uint64_t e);

/* ---- layout.c: fixed point and slots of the heterogeneous protocols */

enum {
    CCZI_SHARE_FRACTION = 24, /* bits behind the point of residuals */
    CCZI_SHARE_CLIP = 4,      /* a party's part of a residual is cut to +-4, that is w x to +-16 */
    CCZI_SUM_FRACTION = 14,   /* bits behind the point of a sum as the decrypter returns it */
    CCZI_HIDING_BITS =
        64 /* statistical distance 2^-64 of a masked number: a training has millions */
};
struct cczi_fl_layout {
    unsigned slot_bits;   /* of one value: sigma */
    unsigned slots;       /* values per ciphertext: S; 1 = not packed */
    unsigned middle;      /* first bit of the wanted slot of a product: sigma (S - 1) */
    unsigned drop;        /* low bits of that slot that the decrypter keeps for itself */
    unsigned window;      /* bits it returns: sigma - drop <= 64 */
    unsigned x_fraction;  /* bits behind the point of features */
    unsigned x_bits;      /* |x| < 2^x_bits */
    unsigned value_bits;  /* |residual| < 2^value_bits */
    unsigned packed_bits; /* |packed plain| < 2^packed_bits */
    unsigned total_bits;  /* |product| < 2^total_bits */
    unsigned mask_bits;   /* the mask is 2^total_bits + uniform in [0, 2^mask_bits) */
    size_t n_size;        /* bytes of n */
};
/* @param rows of the largest batch. where = "fedlr:layout" */
ccz_rc cczi_fl_layout_of(struct cczi_fl_layout *out, unsigned n_bits, size_t rows, uint32_t parties,
                         unsigned optimize, struct ccz_err *err);
/* The least n with v <= 2^n. */
unsigned cczi_fl_log2_up(uint64_t v);
int64_t cczi_fl_fixed(double v, unsigned fraction, double clip);
/* sum v[i] 2^(i slot_bits) mod n, big-endian. @param n big-endian, as residues are */
void cczi_fl_pack(uint8_t *residue, const int64_t *v, size_t len, const struct cczi_fl_layout *l,
                  const uint8_t *n);
/* A fresh mask, big-endian. */
ccz_rc cczi_fl_mask(uint8_t *residue, const struct cczi_fl_layout *l,
                    const struct ccz_paillier_rng *rng, struct ccz_err *err);
/* Bits [middle + drop, middle + drop + window) of a big-endian number: what leaves the decrypter. */
uint64_t cczi_fl_window(const uint8_t *residue, const struct cczi_fl_layout *l);
/* The sum behind a returned window, from the mask of the item: exact up to +-1 in the last place. */
double cczi_fl_unmask(uint64_t window, const uint8_t *mask, const struct cczi_fl_layout *l);

/* ---- msg.c: formats */

enum cczi_fl_msg_kind {
    CCZI_MSG_HELLO = 1, /* who I am */
    CCZI_MSG_KEY,       /* public key: compact binary format */
    CCZI_MSG_START,     /* first round, total of rows */
    CCZI_MSG_MODEL,     /* encrypted weights */
    CCZI_MSG_UPDATE,    /* a worker's encrypted result, or the sum of them */
    CCZI_MSG_PARTS,     /* encrypted parts of w x */
    CCZI_MSG_RESIDUALS, /* encrypted residuals */
    CCZI_MSG_GRADIENT,  /* masked products */
    CCZI_MSG_WINDOWS,   /* what is returned of them */
    CCZI_MSG_LOSS,      /* encrypted loss, and the one before */
    CCZI_MSG_GO,        /* 1 = go on, 0 = end */
    CCZI_MSG_BYE,       /* nothing is missing any more */
    CCZI_MSG_SCORES,    /* parts of w x in clear, for prediction */
    CCZI_MSG_KIND_LEN
};
enum cczi_fl_role {
    CCZI_ROLE_AGGREGATOR = 1,
    CCZI_ROLE_ARBITER,
    CCZI_ROLE_WORKER,
    CCZI_ROLE_GUEST,
    CCZI_ROLE_HOST,
    CCZI_ROLE_LEN
};
struct cczi_fl_hello {
    enum cczi_fl_role role;
    uint32_t cols;
    uint64_t rows;
    uint64_t round;     /* last round whose end this party stored */
    uint8_t config[32]; /* digest of struct ccz_fedlr_cfg */
    uint8_t ids[32];    /* digest of the ids in order, zero if it has none */
};
#define CCZI_MSG_HEADER_SIZE 16
struct cczi_fl_msg {
    enum cczi_fl_msg_kind kind;
    uint64_t round;
    struct cczi_fl_hello hello; /* HELLO */
    struct {
        uint64_t round, rows;
    } start;              /* START */
    uint8_t go;           /* GO */
    struct ccz_span body; /* KEY, MODEL, UPDATE, PARTS, RESIDUALS, GRADIENT, LOSS: borrowed */
    size_t len;           /* WINDOWS, SCORES: values in `body`, 8 bytes each */
};
/* Untrusted bytes. where = "fedlr:message" */
ccz_rc cczi_fl_msg_parse(struct cczi_fl_msg *out, struct ccz_span in, struct ccz_err *err);
uint64_t cczi_fl_msg_window(const struct cczi_fl_msg *m, size_t i);
double cczi_fl_msg_score(const struct cczi_fl_msg *m, size_t i);
void cczi_fl_msg_begin(struct ccz_buf *out, enum cczi_fl_msg_kind kind, uint64_t round);
void cczi_fl_msg_put_hello(struct ccz_buf *out, const struct cczi_fl_hello *h);
void cczi_fl_msg_put_double(struct ccz_buf *out, double v);

/* ---- checkpoint.c: state of one party */

/* Numbers after `round` rounds; what they mean is the role's business. */
struct cczi_fl_state {
    uint64_t round;
    size_t len;
    double *v;
};
/* The state, and the one a round earlier for going back; both of one length. */
struct cczi_fl_history {
    struct cczi_fl_state now, before;
    bool has_before;
};
ccz_rc cczi_fl_history_new(struct cczi_fl_history *h, size_t len, struct ccz_err *err);
void cczi_fl_history_free(struct cczi_fl_history *h);
/* Reads the file if run->checkpoint says so and it exists. */
ccz_rc cczi_fl_history_load(struct cczi_fl_history *h, enum cczi_fl_role role,
                            const struct ccz_fedlr_run *run, struct ccz_err *err);
/* `now` becomes `before`, @p v the state of the next round; stored if there is a file. */
ccz_rc cczi_fl_history_push(struct cczi_fl_history *h, const double *v, enum cczi_fl_role role,
                            const struct ccz_fedlr_run *run, struct ccz_err *err);
/* Back to the state after @p round rounds. where = "fedlr:resume" */
ccz_rc cczi_fl_history_back(struct cczi_fl_history *h, uint64_t round, struct ccz_err *err);

/* ---- link.c: what all roles do with their channels */

void cczi_fl_config_digest(uint8_t out[32], const struct ccz_fedlr_cfg *cfg);
/* where = "fedlr:config" */
ccz_rc cczi_fl_config_check(const struct ccz_fedlr_run *run, enum cczi_fl_role role, size_t peers,
                            struct ccz_err *err);
/* One role's session: its channels (NULL ones are skipped), buffers and counters. */
#define CCZI_LINKS_MAX (CCZ_FEDLR_PARTIES_MAX + 1)
struct cczi_fl_session {
    const struct ccz_fedlr_run *run;
    enum cczi_fl_role role;
    struct ccz_chan *chan[CCZI_LINKS_MAX];
    size_t len;
    struct ccz_buf in, out;
    struct cczi_fl_msg msg; /* the last one received; borrows `in` */
    struct ccz_paillier_pub *pub;
    uint64_t sent_size, received_size; /* at the beginning of the round */
    int64_t start_ns;
};
ccz_rc cczi_fl_session_init(struct cczi_fl_session *s, const struct ccz_fedlr_run *run,
                            enum cczi_fl_role role, struct ccz_chan *const *chans, size_t len,
                            struct ccz_chan *one_more, struct ccz_err *err);
/* After a failure: closes the channels with the reason, copies it to @p err (may be NULL). Else: tells the others that nothing
 * is missing, and waits until they say so, as who ends first might take the last messages with it. Returns @p rc. */
ccz_rc cczi_fl_unfinished(struct ccz_err *err); /* "fedlr:unfinished" */
ccz_rc cczi_fl_session_end(struct cczi_fl_session *s, ccz_rc rc, const struct ccz_err *reason,
                           struct ccz_err *err);
/* Rows, columns, ids of @p t (may be NULL), rounds of @p h. */
struct cczi_fl_hello cczi_fl_hello_of(const struct cczi_fl_history *h,
                                      const struct ccz_fedlr_table *t);
/* Sends what cczi_fl_msg_begin() and others put into s->out. */
ccz_rc cczi_fl_send(struct cczi_fl_session *s, size_t to, struct ccz_err *err);
/* Receives s->msg, which must be of @p kind and round. where = "fedlr:order" */
ccz_rc cczi_fl_recv(struct cczi_fl_session *s, size_t from, enum cczi_fl_msg_kind kind,
                    uint64_t round, struct ccz_err *err);
/* Sends a hello to everybody; reads and checks one of each. @param theirs s->len of them */
ccz_rc cczi_fl_greet(struct cczi_fl_hello *theirs, struct cczi_fl_session *s,
                     const struct cczi_fl_hello *mine, struct ccz_err *err);
/* A ciphertext message: @p v is refused if it may not leave. */
ccz_rc cczi_fl_send_vec(struct cczi_fl_session *s, size_t to, enum cczi_fl_msg_kind kind,
                        uint64_t round, const struct ccz_paillier_vec *v, struct ccz_err *err);
/* @param len  items expected, under @p pub. where = "fedlr:message" for another number */
ccz_rc cczi_fl_recv_vec(struct ccz_paillier_vec **out, struct cczi_fl_session *s, size_t from,
                        enum cczi_fl_msg_kind kind, uint64_t round,
                        const struct ccz_paillier_pub *pub, size_t len, struct ccz_err *err);
/* A message of at most @p size_max bytes of body, which is borrowed until the next one. */
ccz_rc cczi_fl_recv_body(struct ccz_span *body, struct cczi_fl_session *s, size_t from,
                         enum cczi_fl_msg_kind kind, uint64_t round, size_t size_max,
                         struct ccz_err *err);
/* WINDOWS or SCORES with exactly @p len values. */
ccz_rc cczi_fl_recv_values(struct cczi_fl_session *s, size_t from, enum cczi_fl_msg_kind kind,
                           uint64_t round, size_t len, struct ccz_err *err);
/* where = "fedlr:role" */
ccz_rc cczi_fl_expect_role(const struct cczi_fl_hello *h, enum cczi_fl_role role,
                           struct ccz_err *err);
/* Sends s->pub. */
ccz_rc cczi_fl_send_key(struct cczi_fl_session *s, size_t to, struct ccz_err *err);
ccz_rc cczi_fl_recv_key(struct ccz_paillier_pub **out, struct cczi_fl_session *s, size_t from,
                        struct ccz_err *err);
/* s->pub becomes @p pub, which is taken over in any case. where = "fedlr:key-id" if it is not the pinned one */
ccz_rc cczi_fl_use_key(struct cczi_fl_session *s, struct ccz_paillier_pub *pub,
                       struct ccz_err *err);
ccz_rc cczi_fl_send_start(struct cczi_fl_session *s, size_t to, uint64_t round, uint64_t rows,
                          struct ccz_err *err);
ccz_rc cczi_fl_send_go(struct cczi_fl_session *s, size_t to, uint64_t round, bool go,
                       struct ccz_err *err);
ccz_rc cczi_fl_recv_go(bool *go, struct cczi_fl_session *s, size_t from, uint64_t round,
                       struct ccz_err *err);
void cczi_fl_round_begin(struct cczi_fl_session *s);
/* Time counts from here: what came before was waiting for others. */
void cczi_fl_round_clock(struct cczi_fl_session *s);
/* Tells run->on_round. */
void cczi_fl_round_end(struct cczi_fl_session *s, uint64_t round, uint64_t rounds, double loss,
                       const double *w, size_t w_len);
struct ccz_paillier_enc_cfg cczi_fl_enc(const struct cczi_fl_session *s);

/* ---- homo.c, encrypted_model.c */

/* Of the state of who has the average, behind the weights: the loss, or the largest change; whether it is the last one. */
enum { CCZI_AVERAGE_NOTE, CCZI_AVERAGE_CONVERGED, CCZI_AVERAGE_MORE };
bool cczi_fl_average_wants_more(const struct cczi_fl_history *h, const struct ccz_fedlr_run *run);
/* @p m has room for the weights. where = "fedlr:unfinished" */
ccz_rc cczi_fl_average_model(struct ccz_fedlr_model *m, const struct cczi_fl_history *h,
                             const struct ccz_fedlr_run *run, struct ccz_err *err);
ccz_rc cczi_fl_average_stored(struct ccz_fedlr_model **out, enum cczi_fl_role role, size_t cols,
                              const struct ccz_fedlr_run *run, struct ccz_err *err);

/* Ciphertexts of the homogeneous protocols. */
struct cczi_fl_volume {
    size_t model, update;
};
struct cczi_fl_volume cczi_fl_volume_of(const struct ccz_paillier_pub *pub, size_t cols,
                                        const struct ccz_fedlr_cfg *cfg);
ccz_rc cczi_fl_work_encrypted(struct ccz_fedlr_model *m, struct cczi_fl_session *s,
                              const struct ccz_fedlr_table *t, struct ccz_err *err);
ccz_rc cczi_fl_arbitrate_model(struct ccz_fedlr_model **out, struct cczi_fl_session *s,
                               const struct ccz_paillier_key *key, size_t cols,
                               struct ccz_err *err);

/* ---- product.c: what guest and hosts do with packed ciphertexts */

/* One party's columns. Sums of the guest: intercept, columns, labels; of a host: columns. */
struct cczi_fl_side {
    const struct ccz_fedlr_table *t;
    bool guest, squared;
    size_t sums;
};
struct cczi_fl_side cczi_fl_side_of(const struct ccz_fedlr_table *t, bool guest,
                                    enum ccz_fedlr_loss loss);
/* Rows of one mini-batch. */
struct cczi_fl_batch {
    const size_t *index;
    size_t len;
};
size_t cczi_fl_batches(size_t rows, const struct ccz_fedlr_cfg *cfg);
struct cczi_fl_batch cczi_fl_batch_of(const size_t *order, size_t rows,
                                      const struct ccz_fedlr_cfg *cfg, size_t i);
/* Whether a party may have @p sums of each mini-batch: fewer than the smallest has rows. where = "fedlr:few-rows" */
ccz_rc cczi_fl_enough_rows(const struct ccz_fedlr_run *run, size_t rows, size_t sums,
                           struct ccz_err *err);
size_t cczi_fl_ciphertexts(struct cczi_fl_batch b, const struct cczi_fl_layout *l);
/* A party's part of the residuals in fixed point: w x / 4, of the guest minus (y' / 2), y' = +-1; squared loss: minus y / 4. @shape v[b.len] */
void cczi_fl_shares(int64_t *v, const struct cczi_fl_side *side, const double *w,
                    struct cczi_fl_batch b);
/* The shares as packed plain numbers. */
ccz_rc cczi_fl_packed(struct ccz_paillier_plain **out, const struct ccz_paillier_pub *pub,
                      const int64_t *v, size_t len, const struct cczi_fl_layout *l,
                      struct ccz_err *err);
/*
 * The sums over the rows of packed ciphertexts, masked and fit to leave: to be sent to the decrypter.
 * @param[out] masks  side->sums * l->n_size bytes
 */
ccz_rc cczi_fl_products(struct ccz_paillier_vec **out, uint8_t *masks,
                        const struct ccz_paillier_vec *packed, const struct ccz_paillier_pub *pub,
                        const struct cczi_fl_side *side, struct cczi_fl_batch b,
                        const struct cczi_fl_layout *l, const struct cczi_fl_session *s,
                        struct ccz_err *err);
/* What the share of @p row is multiplied by for sum @p j. */
int64_t cczi_fl_entry(const struct cczi_fl_side *side, size_t row, size_t j, unsigned fraction);
/* The same sums of plain shares. @shape sums[side->sums] */
void cczi_fl_plain_sums(double *sums, const int64_t *v, const struct cczi_fl_side *side,
                        struct cczi_fl_batch b, const struct cczi_fl_layout *l);
/* The decrypter's part: receives masked products, returns their windows. */
ccz_rc cczi_fl_serve_gradient(struct cczi_fl_session *s, size_t peer, uint64_t round,
                              const struct ccz_paillier_key *key, size_t sums,
                              const struct cczi_fl_layout *l, struct ccz_err *err);
/* Receives the windows and adds the sums behind them. */
ccz_rc cczi_fl_recv_sums(double *sums, size_t len, struct cczi_fl_session *s, size_t from,
                         uint64_t round, const uint8_t *masks, const struct cczi_fl_layout *l,
                         struct ccz_err *err);

/* ---- hetero.c, two.c, lattice.c */

/* State of guest and hosts: weights, velocities, then these. */
enum { CCZI_LOSS_PART, CCZI_CHANGE, CCZI_CONVERGED, CCZI_STATE_MORE };
/* Everything that a guest or host has in hand during its training. */
struct cczi_fl_trainer {
    struct cczi_fl_session *s;
    struct cczi_fl_side side;
    struct cczi_fl_history h;
    struct cczi_fl_layout layout, peer_layout; /* HETERO_TWO: of the own key, of the peer's */
    size_t d, batches;
    size_t *order;
    uint64_t order_epoch; /* that `order` is for; UINT64_MAX = none yet */
    double *v;            /* next state */
    double *sums;
    int64_t *shares;
    uint8_t *masks;
};
uint64_t cczi_fl_trainer_rounds(const struct cczi_fl_trainer *t);
struct cczi_fl_batch cczi_fl_trainer_batch(struct cczi_fl_trainer *t);
/* From the sums of the batch to the next weights, in t->v. */
void cczi_fl_trainer_step(struct cczi_fl_trainer *t, size_t rows);
bool cczi_fl_trainer_epoch_ends(const struct cczi_fl_trainer *t);
ccz_rc cczi_fl_trainer_prepare(struct cczi_fl_trainer *t, unsigned n_bits, unsigned peer_bits,
                               struct ccz_err *err);
bool cczi_fl_trainer_wants_more(const struct cczi_fl_trainer *t);
/* Sums that a party gets of a mini-batch, as cczi_fl_side_of() has it. */
size_t cczi_fl_sums_of(const struct cczi_fl_hello *h);
/* Two parties without an arbiter: roles, rows and ids of both. */
ccz_rc cczi_fl_two_agree(struct cczi_fl_hello *theirs, struct cczi_fl_trainer *t,
                         struct ccz_err *err);
/* The round to begin with: both know both positions, so that neither needs to be told. */
ccz_rc cczi_fl_two_resume(struct cczi_fl_trainer *t, const struct cczi_fl_hello *theirs,
                          struct ccz_err *err);
/* The step from the sums of @p rows rows, whether to go on, and the end of the round. */
ccz_rc cczi_fl_two_end(struct cczi_fl_trainer *t, size_t rows, struct ccz_err *err);
ccz_rc cczi_fl_train_lattice(struct cczi_fl_trainer *t, struct ccz_err *err);
ccz_rc cczi_fl_train_two(struct cczi_fl_trainer *t, const struct ccz_paillier_key *key,
                         struct ccz_err *err);
#endif
