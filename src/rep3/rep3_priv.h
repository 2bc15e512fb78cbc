/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_REP3_PRIV_H
#define CCZI_REP3_PRIV_H
/*
 * What the files of this module share. A protocol begins with cczi_rep3_enter() and ends with cczi_rep3_leave(), puts what it
 * sends and names what it wants, and calls cczi_rep3_round() as often as the other two do, also where it has nothing to send.
 * Control flow depends on shapes alone.
 *
 * Share x_j is known to party j and to party j - 1, and so is the stream of pair j. Protocols in which parties have different
 * parts speak of roles relative to the lead ("rel"): the party that leads is 0, the next one 1. Shares are counted likewise.
 */
#include <cczoo/crypto.h>
#include <cczoo/rep3.h>
#include <cczoo/ring.h>

#include "base/ct.h"

/* ------------------------------------------------------------------------------------ tensors */

struct ccz_rep3_tensor {
    struct ccz_rep3 *m;
    enum ccz_rep3_kind kind;
    struct ccz_rep3_shape shape;
    unsigned frac;
    unsigned planes; /* 2: shares role and role + 1; 1: PUBLIC and PARTS */
    size_t len;      /* elements */
    size_t words;    /* of one plane */
    uint64_t *v;     /* [planes][words] */
};
static inline uint64_t *cczi_rep3_plane(const struct ccz_rep3_tensor *t, unsigned p)
{
    return t->v + p * t->words;
}
size_t cczi_rep3_shape_len(const struct ccz_rep3_shape *s); /* 0: not a shape */
bool cczi_rep3_shape_eq(const struct ccz_rep3_shape *a, const struct ccz_rep3_shape *b);
ccz_rc cczi_rep3_refuse_shape(const struct ccz_rep3_shape *got,
                              const struct ccz_rep3_shape *expected, struct ccz_err *err);
/* Zeroed values. "rep3:shape", "rep3:frac", "rep3:memory" */
ccz_rc cczi_rep3_tensor_new(struct ccz_rep3_tensor **out, struct ccz_rep3 *m,
                            enum ccz_rep3_kind kind, const struct ccz_rep3_shape *shape,
                            uint64_t frac, struct ccz_err *err);
/* Kinds are bits 1 << kind. */
ccz_rc cczi_rep3_want_kind(const struct ccz_rep3_tensor *t, unsigned kinds, struct ccz_err *err);
ccz_rc cczi_rep3_same_session(const struct ccz_rep3_tensor *a, const struct ccz_rep3_tensor *b,
                              struct ccz_err *err);
/* Two BITS tensors of one session and shape. */
ccz_rc cczi_rep3_same_bits(const struct ccz_rep3_tensor *a, const struct ccz_rep3_tensor *b,
                           struct ccz_err *err);
/* The shape of both together, broadcast; t repeated to it (*out borrows t if it has it already, else it is in *own). */
ccz_rc cczi_rep3_broadcast(struct ccz_rep3_shape *out, const struct ccz_rep3_shape *a,
                           const struct ccz_rep3_shape *b, struct ccz_err *err);
ccz_rc cczi_rep3_expanded(const struct ccz_rep3_tensor **out, struct ccz_rep3_tensor **own,
                          const struct ccz_rep3_tensor *t, const struct ccz_rep3_shape *shape,
                          struct ccz_err *err);
/* Makes the bits behind the last one zero, in every plane. */
void cczi_rep3_trim(struct ccz_rep3_tensor *t);

/* ------------------------------------------------------------------------------------ session */

/* A stream of common randomness, read ahead: most draws are short. */
struct cczi_rep3_prf {
    struct ccz_stream *stream; /* NULL: planning, all zero */
    size_t at;
    uint64_t ahead[512];
};
struct cczi_rep3_want {
    uint64_t *out; /* bits 0: rows of packed bits, each in whole words; else elements */
    size_t rows, len;
    unsigned bits;
};
/* What goes one way, and comes from there, in this round. */
struct cczi_rep3_io {
    struct ccz_buf out, in;
    struct cczi_rep3_want *want;
    size_t want_len, want_cap, want_size;
};
struct ccz_rep3 {
    struct ccz_rep3_cfg cfg;
    struct ccz_chan *chan[2]; /* [CCZ_REP3_PREV], [CCZ_REP3_NEXT]; NULL: planning */
    struct cczi_rep3_prf pair[2],
        own; /* with the previous party (pair `role`), with the next (role + 1) */
    struct cczi_rep3_prf common; /* of all three: public numbers */
    struct cczi_rep3_io io[2];
    struct ccz_chan_stats base[2];
    struct ccz_rep3_stats stats;
    unsigned lead;
    bool bad;  /* a stream failed, or there was no memory for a round: noticed at the next round */
    ccz_rc rc; /* first failure, with what it said */
    struct ccz_err err;
};
ccz_rc cczi_rep3_enter(const struct ccz_rep3 *m, struct ccz_err *err);
/* Records a failure and closes both channels. */
ccz_rc cczi_rep3_leave(struct ccz_rep3 *m, ccz_rc rc, struct ccz_err *err);
ccz_rc cczi_rep3_check_frac(const struct ccz_rep3 *m, uint64_t frac, struct ccz_err *err);
static inline unsigned cczi_rep3_rel(const struct ccz_rep3 *m)
{
    return (m->cfg.role + 3 - m->lead) % 3;
}
/* The next operation of this sort has another lead. */
static inline void cczi_rep3_pass_lead(struct ccz_rep3 *m)
{
    m->lead = (m->lead + 1) % 3;
}

/* Words with their length, for cleanup at the end of a scope: wiped. */
struct cczi_rep3_words {
    uint64_t *v;
    size_t len;
};
ccz_rc cczi_rep3_words_init(struct cczi_rep3_words *w, size_t len, struct ccz_err *err);
void cczi_rep3_words_deinit(struct cczi_rep3_words *w);
#define CCZI_REP3_WORDS __attribute__((cleanup(cczi_rep3_words_deinit))) struct cczi_rep3_words

/* --------------------------------------------------------------------------------- randomness */

/* Uniform words below 2^bits that the two holders of share `rel_share` have, and the third has not. Does nothing at the third. */
void cczi_rep3_pair(uint64_t *out, size_t len, unsigned bits, unsigned rel_share,
                    struct ccz_rep3 *m);
/* Uniform words that all three know: no mask, but what low bits of a share are random by. */
void cczi_rep3_common(uint64_t *out, size_t len, unsigned bits, struct ccz_rep3 *m);
void cczi_rep3_own(uint64_t *out, size_t len, unsigned bits, struct ccz_rep3 *m);
/* Adds this party's part of a fresh sharing of zeros: of elements; of rows of words of bits. */
void cczi_rep3_mask(uint64_t *v, size_t len, struct ccz_rep3 *m);
void cczi_rep3_mask_bits(uint64_t *v, size_t words, struct ccz_rep3 *m);

/* ------------------------------------------------------------------------------------- rounds */

enum { CCZI_PREV = CCZ_REP3_PREV, CCZI_NEXT = CCZ_REP3_NEXT };
/* What is put must be masked: from here on it counts as public. */
void cczi_rep3_put(struct ccz_rep3 *m, int to, const uint64_t *v, size_t len, unsigned bits);
void cczi_rep3_put_rows(struct ccz_rep3 *m, int to, const uint64_t *v, size_t rows, size_t len);
/* Filled in by cczi_rep3_round(); `out` must live until then. */
void cczi_rep3_want(struct ccz_rep3 *m, int from, uint64_t *out, size_t len, unsigned bits);
void cczi_rep3_want_rows(struct ccz_rep3 *m, int from, uint64_t *out, size_t rows, size_t len);
/* Sends at most one message each way, then receives one of exactly what is wanted. Counts one round, also if nothing is to do here. */
ccz_rc cczi_rep3_round(struct ccz_rep3 *m, struct ccz_err *err);

/* ---------------------------------------------------------------------------- values in two halves */

/*
 * x = a + w: a is known to rel 0, w to rel 1 and rel 2. v is what this party has. Of SHARED, x_0 + x_1 and x_2: nothing is sent. Of
 * PARTS, those of rel 1 and rel 2 travel between these two in the round that follows.
 */
struct cczi_rep3_split {
    const struct ccz_rep3_tensor *x; /* borrowed */
    struct cczi_rep3_words v, in;
    bool pending;
};
ccz_rc cczi_rep3_split(struct cczi_rep3_split *s, const struct ccz_rep3_tensor *x,
                       struct ccz_err *err);
void cczi_rep3_split_end(struct cczi_rep3_split *s); /* after the round; again: does nothing */
void cczi_rep3_split_deinit(struct cczi_rep3_split *s);
#define CCZI_REP3_SPLIT __attribute__((cleanup(cczi_rep3_split_deinit))) struct cczi_rep3_split
/* The same for rows of bits: b = beta ^ b'. */
struct cczi_rep3_bits {
    struct ccz_rep3 *m;
    struct cczi_rep3_words v, in;
    bool pending;
};
/* parts: this party's summand of each row, not masked yet. */
ccz_rc cczi_rep3_bits_split(struct cczi_rep3_bits *b, struct ccz_rep3 *m, const uint64_t *parts,
                            size_t rows, size_t len, struct ccz_err *err);
/* Of a BITS tensor: nothing is sent. */
ccz_rc cczi_rep3_bits_of(struct cczi_rep3_bits *b, const struct ccz_rep3_tensor *t,
                         struct ccz_err *err);
void cczi_rep3_bits_end(struct cczi_rep3_bits *b);
void cczi_rep3_bits_deinit(struct cczi_rep3_bits *b);
#define CCZI_REP3_BITS __attribute__((cleanup(cczi_rep3_bits_deinit))) struct cczi_rep3_bits

/* --------------------------------------------------------------------------------- protocols */

enum { CCZI_REP3_TERMS = 2 };
/* "rep3:range"; fills in defaults. */
ccz_rc cczi_rep3_range(struct ccz_rep3_range *out, const struct ccz_rep3 *m,
                       struct ccz_rep3_range range, struct ccz_err *err);
/*
 * parts: [len_t][words], rows of this party's summands of [x + add[t] < 0], not masked. The first of its rounds also carries what
 * cczi_rep3_split() has put.
 */
ccz_rc cczi_rep3_compare(uint64_t *parts, struct cczi_rep3_split *x, const uint64_t *add,
                         size_t len_t, const struct ccz_rep3_range *range, struct ccz_err *err);

/* sign bit (T + plus): the bits are row `row`. */
struct cczi_rep3_term {
    size_t row;
    bool minus;
    uint64_t plus;
};
/* constant + whole T + sum of terms, T = x / 2^shift or, without x, 0. */
struct cczi_rep3_select {
    struct cczi_rep3_split *x; /* may be NULL */
    struct cczi_rep3_bits *bits;
    unsigned shift;
    uint64_t constant;
    bool whole;
    struct cczi_rep3_term term[CCZI_REP3_TERMS];
    unsigned terms;
};
/* out: SHARED, with its shape. Two rounds; the first also carries what splits have put. */
ccz_rc cczi_rep3_select(struct ccz_rep3_tensor *out, const struct cczi_rep3_select *s,
                        struct ccz_err *err);
#endif
