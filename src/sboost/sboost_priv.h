/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SBOOST_PRIV_H
#define CCZ_SBOOST_PRIV_H
/* Inside boosted trees: cuts, derivatives, nodes and their rows, messages. */
#include "ckpt/ckpt.h"

#include <cczoo/dataset.h>
#include <cczoo/sboost.h>

ccz_rc cczi_sb_no_memory(struct ccz_err *err); /* "sboost:memory" */
/* The configuration with its defaults filled in. where = "sboost:config" */
ccz_rc cczi_sb_config(struct ccz_sboost_cfg *out, const struct ccz_sboost_cfg *cfg,
                      struct ccz_err *err);
void cczi_sb_config_digest(uint8_t out[32], const struct ccz_sboost_cfg *cfg);
unsigned cczi_sb_log2_up(uint64_t v);

/* ---- bins.c: columns as small numbers */

struct cczi_sb_bins {
    size_t rows, cols;
    unsigned bins;
    double *
        cut; /* [cols][bins - 1], ascending; INFINITY: there is no further cut, everything is left of it */
    uint8_t *bin; /* [cols][rows]: cuts below the value, so that x <= cut[c] is bin <= c */
};
/* where = "sboost:not-finite", "sboost:data" */
ccz_rc cczi_sb_bins_new(struct cczi_sb_bins *out, const struct ccz_sboost_data *d, unsigned bins,
                        struct ccz_err *err);
void cczi_sb_bins_free(struct cczi_sb_bins *b);

/* ---- loss.c: derivatives in fixed point */

/* g and h of one tree, scaled so that the largest is 1, in steps of 2^-fraction; `packed` is g 2^h_bits + h. */
struct cczi_sb_steps {
    unsigned fraction, h_bits, bits; /* |packed| < 2^bits; sums of all rows have less than 63 */
    double g_unit, h_unit;           /* what a step stands for */
    int64_t *packed;                 /* [rows] */
    uint8_t *in;                     /* [rows] 1: the row is part of this tree's sums */
    size_t in_len;
};
/* where = "sboost:rows": too many for sums that fit */
ccz_rc cczi_sb_steps_new(struct cczi_sb_steps *s, size_t rows, struct ccz_err *err);
void cczi_sb_steps_free(struct cczi_sb_steps *s);
/* Derivatives at @p score for output @p k of @p cfg; rows are sampled as it says, by @p rng. @shape score[rows][outputs], tmp[2 * rows] */
void cczi_sb_steps_fill(struct cczi_sb_steps *s, double *tmp, const double *score, const double *y,
                        size_t rows, uint32_t k, struct ccz_seeded rng,
                        const struct ccz_sboost_cfg *cfg);
struct cczi_sb_sum {
    int64_t g, h;
};
struct cczi_sb_sum cczi_sb_unpack(int64_t packed, const struct cczi_sb_steps *s);
uint32_t cczi_sb_outputs(const struct ccz_sboost_cfg *cfg);
/* where = "sboost:labels" */
ccz_rc cczi_sb_labels_check(const struct ccz_sboost_data *d, const struct ccz_sboost_cfg *cfg,
                            struct ccz_err *err);
/* Scores that training begins with. @shape base[outputs] */
void cczi_sb_base(double *base, const struct ccz_sboost_data *d, const struct ccz_sboost_cfg *cfg);
/* Scores to outputs, in place. */
void cczi_sb_output(double *score, const struct ccz_sboost_cfg *cfg);
double cczi_sb_mean_loss(const double *score, const double *y, size_t rows,
                         const struct ccz_sboost_cfg *cfg);

/* ---- grow.c: the nodes of one tree and their rows */

#define CCZI_SB_NODES_MAX ((size_t)2 << CCZ_SBOOST_DEPTH_MAX)
enum { CCZI_SB_NONE = -1, CCZI_SB_OWN = 0 /* of the guest; host i: i + 1 */ };
struct cczi_sb_node {
    size_t from, len; /* rows */
    uint32_t depth;
    int32_t parent, left, right; /* CCZI_SB_NONE: a leaf */
    int32_t party;               /* whose split, or CCZI_SB_NONE */
    uint32_t split;              /* own: column; of a host: its number for it */
    double cut;                  /* own */
    double weight;               /* leaves */
};
struct cczi_sb_tree {
    struct cczi_sb_node *node;
    size_t len, cap;
};
void cczi_sb_tree_free(struct cczi_sb_tree *t);
/* A tree while it grows: rows of node n are row[from .. from + len). */
struct cczi_sb_grow {
    struct cczi_sb_tree tree;
    uint32_t *row, *tmp;
    size_t rows;
};
ccz_rc cczi_sb_grow_new(struct cczi_sb_grow *g, size_t rows, struct ccz_err *err);
void cczi_sb_grow_free(struct cczi_sb_grow *g);
/* A root with all rows. */
ccz_rc cczi_sb_grow_begin(struct cczi_sb_grow *g, struct ccz_err *err);
/* @param left  bit i: row i of the node goes left. where = "sboost:split": a side without rows */
ccz_rc cczi_sb_grow_split(struct cczi_sb_grow *g, size_t node, const uint8_t *left,
                          struct ccz_err *err);
size_t cczi_sb_bitmap_size(size_t len);
bool cczi_sb_bit(const uint8_t *bits, size_t i);

/* ---- msg.c: formats */

enum cczi_sb_kind {
    CCZI_SB_HELLO = 1,  /* both */
    CCZI_SB_KEY,        /* guest: public key */
    CCZI_SB_TREE,       /* guest: a tree begins; bitmap of its rows, or nothing: all */
    CCZI_SB_GRADIENTS,  /* guest: ciphertexts of the next rows */
    CCZI_SB_NODE,       /* guest: candidates of this node, please */
    CCZI_SB_CANDIDATES, /* host: ciphertexts */
    CCZI_SB_CHOOSE,     /* guest: number of the candidate that won */
    CCZI_SB_LEFT,       /* host: bitmap of the node's rows; and its number for the split */
    CCZI_SB_SPLIT,      /* guest: the node is split by somebody else's; bitmap */
    CCZI_SB_DONE,       /* guest: no more trees; or prediction is over */
    CCZI_SB_ANSWERS,    /* host, prediction: a bitmap of all rows for each split */
    CCZI_SB_START,      /* guest: number of the run; `tree` are there already */
    CCZI_SB_SAVE,       /* guest: store the state, `tree` are there */
    CCZI_SB_SAVED,      /* host: done */
    CCZI_SB_KIND_LEN
};
#define CCZI_SB_RUN_SIZE 16
/* States that a party has, of one run. */
struct cczi_sb_states {
    uint32_t len;                   /* 0: none, it can begin anew */
    uint32_t trees[CCZI_CKPT_KEPT]; /* that were there; 0 beyond `len` */
    uint8_t run[CCZI_SB_RUN_SIZE];
};
struct cczi_sb_hello {
    bool guest;
    uint64_t rows;
    uint32_t cols;
    uint8_t config[32], ids[32];
    struct cczi_sb_states have;
};
#define CCZI_SB_HEADER_SIZE 16
struct cczi_sb_msg {
    enum cczi_sb_kind kind;
    uint32_t tree, node;
    struct cczi_sb_hello hello; /* HELLO; of ANSWERS: rows and ids */
    uint32_t number;            /* CHOOSE: candidate; LEFT: split; ANSWERS: splits */
    struct ccz_span
        body; /* KEY, GRADIENTS, CANDIDATES: an object of paillier.h; bitmaps; START: the run. Borrowed */
};
/* Untrusted bytes. where = "sboost:message" */
ccz_rc cczi_sb_msg_parse(struct cczi_sb_msg *out, struct ccz_span in, struct ccz_err *err);
void cczi_sb_msg_begin(struct ccz_buf *out, enum cczi_sb_kind kind, size_t tree, size_t node);
void cczi_sb_msg_put_hello(struct ccz_buf *out, const struct cczi_sb_hello *h);

/* One party's channels and buffers. */
struct cczi_sb_session {
    const struct ccz_sboost_run *run;
    struct ccz_sboost_cfg cfg; /* with defaults */
    struct ccz_chan *chan[CCZ_SBOOST_HOSTS_MAX];
    size_t cols[CCZ_SBOOST_HOSTS_MAX];                /* what each said in its greeting */
    struct cczi_sb_states have[CCZ_SBOOST_HOSTS_MAX]; /* likewise */
    size_t len;
    struct ccz_buf in, out;
    struct cczi_sb_msg msg; /* the last one received; borrows `in` */
};
ccz_rc cczi_sb_session_init(struct cczi_sb_session *s, const struct ccz_sboost_run *run,
                            struct ccz_chan *const *chans, size_t len, struct ccz_err *err);
/* After a failure closes the channels with the reason. Returns @p rc. */
ccz_rc cczi_sb_session_end(struct cczi_sb_session *s, ccz_rc rc, const struct ccz_err *reason,
                           struct ccz_err *err);
ccz_rc cczi_sb_send(struct cczi_sb_session *s, size_t to, struct ccz_err *err);
ccz_rc cczi_sb_send_all(struct cczi_sb_session *s, struct ccz_err *err);
/* Any message of at most @p size_max bytes. */
ccz_rc cczi_sb_recv(struct cczi_sb_session *s, size_t from, size_t size_max, struct ccz_err *err);
/* Of this kind, tree and node. where = "sboost:order" */
ccz_rc cczi_sb_expect(struct cczi_sb_session *s, size_t from, enum cczi_sb_kind kind, size_t tree,
                      size_t node, size_t size_max, struct ccz_err *err);
/* Greets everybody, compares rows, ids and configuration. @param have  NULL: no states */
ccz_rc cczi_sb_greet(struct cczi_sb_session *s, bool guest, const struct ccz_sboost_data *d,
                     const struct cczi_sb_states *have, struct ccz_err *err);
/* Bytes so far, all channels. */
void cczi_sb_count(uint64_t *sent, uint64_t *received, const struct cczi_sb_session *s);
/* Ciphertexts in one GRADIENTS message, at most. */
enum { CCZI_SB_BATCH = 1024 };
/* Slots of packed candidates. */
unsigned cczi_sb_slot_bits(unsigned value_bits, size_t rows, const struct ccz_sboost_cfg *cfg);

/* ---- state.c: what is stored after each tree */

/* States of a party, by the number of trees that were there. */
struct cczi_sb_store {
    struct cczi_ckpt files;
    struct cczi_sb_states have;
    struct ccz_buf state; /* to be filled before saving, and after loading what was stored */
    uint8_t belongs[32];  /* digest of role, configuration, data and seed */
};
bool cczi_sb_kept(const struct cczi_sb_store *st); /* false: nothing is stored */
/* where = "sboost:config", "sboost:checkpoint", "sboost:checkpoint-config", "pf:..". cczi_sb_store_close() in any case. */
ccz_rc cczi_sb_store_open(struct cczi_sb_store *st, const struct cczi_sb_session *s, bool guest,
                          const struct ccz_sboost_data *d, struct ccz_err *err);
void cczi_sb_store_close(struct cczi_sb_store *st);
/* A secret of this party for this run. @param out  32 bytes; for one purpose, `info` */
ccz_rc cczi_sb_store_secret(uint8_t out[32], const struct cczi_sb_store *st,
                            const struct ccz_sboost_run *run, const char *info,
                            struct ccz_err *err);
bool cczi_sb_offers(const struct cczi_sb_states *have, uint32_t trees);
ccz_rc cczi_sb_store_save(struct cczi_sb_store *st, uint32_t trees, struct ccz_err *err);
ccz_rc cczi_sb_store_load(struct cczi_sb_store *st, uint32_t trees, struct ccz_err *err);
/* where = "sboost:resume" */
ccz_rc cczi_sb_no_resume(uint32_t trees, const char *what, struct ccz_err *err);

/* ---- models */

struct ccz_sboost_model {
    struct ccz_sboost_cfg cfg;
    size_t cols, hosts;
    uint32_t outputs;
    double *base;
    struct cczi_sb_tree *tree; /* [rounds][outputs] */
    size_t trees;
};
struct cczi_sb_cut {
    uint32_t col;
    double cut;
};
struct ccz_sboost_part {
    size_t cols, len, cap;
    struct cczi_sb_cut *split;
};
/* Trees and splits as states have them. False: malformed, or no memory */
void cczi_sb_put_trees(struct ccz_buf *out, const struct ccz_sboost_model *m);
bool cczi_sb_take_trees(struct ccz_sboost_model *m, uint32_t trees, struct ccz_rd *r);
void cczi_sb_put_splits(struct ccz_buf *out, const struct ccz_sboost_part *p);
bool cczi_sb_take_splits(struct ccz_sboost_part *p, struct ccz_rd *r);
#endif
