/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_MPC_PRIV_H
#define CCZI_MPC_PRIV_H
/*
 * What the files of this module share. A protocol is written like this:
 *
 *   ccz_rc ccz_mpc_something(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a, struct ccz_err *err)
 *   {
 *       struct ccz_mpc *m = a->m;
 *       *out = NULL;
 *       ccz_rc rc = cczi_mpc_enter(m, err);
 *       if (rc != CCZ_OK)
 *           return rc;                         // the session has failed before
 *       rc = something(out, m, a, err);        // refuses, computes, sends
 *       return cczi_mpc_leave(m, rc, err);     // on failure: ends the session, closes the channel
 *   }
 *
 * Messages of a step are put together and travel in one round: cczi_mpc_put.. and cczi_mpc_want.. in the same order at both
 * parties, then cczi_mpc_round(). Everything works in planning sessions too, where received values are zero: never make
 * control flow depend on values, only on shapes.
 */
#include <cczoo/mpc.h>
#include <cczoo/ot_ext.h>

#include "base/ct.h"

struct ccz_stream;

/* ------------------------------------------------------------------------------------ tensors */

struct ccz_mpc_tensor {
    struct ccz_mpc *m;
    enum ccz_mpc_kind kind;
    unsigned owner; /* of PRIVATE; else 0 */
    struct ccz_mpc_shape shape;
    unsigned frac;
    size_t len;   /* elements */
    size_t words; /* of v: len, or len / 64 rounded up for BITS */
    uint64_t *v;  /* values or this party's share; NULL: PRIVATE, and the other party's */
    uint64_t id;  /* PRIVATE: number in the session */
    struct ccz_mpc_tensor *prev, *next; /* PRIVATE: those alive */
};
size_t cczi_mpc_shape_len(const struct ccz_mpc_shape *s); /* 0: not a shape, "mpc:shape" */
bool cczi_mpc_shape_eq(const struct ccz_mpc_shape *a, const struct ccz_mpc_shape *b);
enum { CCZI_SHAPE_TEXT = 96 };
void cczi_mpc_shape_text(char out[CCZI_SHAPE_TEXT], const struct ccz_mpc_shape *s);
ccz_rc cczi_mpc_refuse_shape(const struct ccz_mpc_shape *got, const struct ccz_mpc_shape *expected,
                             struct ccz_err *err);
ccz_rc cczi_mpc_check_frac(const struct ccz_mpc *m, uint64_t frac, struct ccz_err *err);
/* Makes the bits behind the last one zero. */
void cczi_mpc_trim(struct ccz_mpc_tensor *t);
/* Zeroed values. Refuses shapes ("mpc:shape"), frac ("mpc:frac"). */
ccz_rc cczi_mpc_tensor_new(struct ccz_mpc_tensor **out, struct ccz_mpc *m, enum ccz_mpc_kind kind,
                           unsigned owner, struct ccz_mpc_shape shape, unsigned frac,
                           struct ccz_err *err);
/* The shape of both together, broadcast; t repeated to a shape (*out borrows t if it has it already, else it is in *own). */
ccz_rc cczi_mpc_broadcast(struct ccz_mpc_shape *out, const struct ccz_mpc_shape *a,
                          const struct ccz_mpc_shape *b, struct ccz_err *err);
ccz_rc cczi_mpc_expanded(const struct ccz_mpc_tensor **out, struct ccz_mpc_tensor **own,
                         const struct ccz_mpc_tensor *t, const struct ccz_mpc_shape *shape,
                         struct ccz_err *err);
/* Kind, owner and shape of a; zeroed values. */
ccz_rc cczi_mpc_like(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *a, uint64_t frac,
                     struct ccz_err *err);
/* A SHARED (BITS stay BITS) view of any kind for protocols that want shares: *out borrows t if it is SHARED, else it is in *own. */
ccz_rc cczi_mpc_as_shared(const struct ccz_mpc_tensor **out, struct ccz_mpc_tensor **own,
                          const struct ccz_mpc_tensor *t, struct ccz_err *err);
/* Refusals: "mpc:kind" unless t is of one of the kinds (bits 1 << kind); what = the name of the operand. */
ccz_rc cczi_mpc_want_kind(const struct ccz_mpc_tensor *t, unsigned kinds, const char *what,
                          struct ccz_err *err);
ccz_rc cczi_mpc_same_session(const struct ccz_mpc_tensor *a, const struct ccz_mpc_tensor *b,
                             struct ccz_err *err);
/* Two BITS tensors of one shape. */
ccz_rc cczi_mpc_want_bit_pair(const struct ccz_mpc_tensor *a, const struct ccz_mpc_tensor *b,
                              struct ccz_err *err);

/* ------------------------------------------------------------------------------------ session */

ccz_rc cczi_mpc_enter(struct ccz_mpc *m, struct ccz_err *err);
ccz_rc cczi_mpc_leave(struct ccz_mpc *m, ccz_rc rc, struct ccz_err *err);
unsigned cczi_mpc_role(const struct ccz_mpc *m);
unsigned cczi_mpc_bits(const struct ccz_mpc *m); /* k */
uint64_t cczi_mpc_mask(const struct ccz_mpc *m); /* 2^k - 1 */
static inline bool cczi_mpc_is_ring(unsigned k)
{
    return k == 8 || k == 16 || k == 32 || k == 64;
}
bool cczi_mpc_planning(const struct ccz_mpc *m);
/* Whether a mode of truncation is allowed in this ring, and the refusal: "mpc:trunc". */
bool cczi_mpc_trunc_fits(enum ccz_mpc_trunc mode, unsigned ring_bits);
ccz_rc cczi_mpc_refuse_local(unsigned ring_bits, struct ccz_err *err);
struct ccz_chan *
cczi_mpc_chan(struct ccz_mpc *m); /* for protocols of other modules; NULL when planning */
const uint8_t *cczi_mpc_session(
    const struct ccz_mpc *m); /* 32 bytes that both parties have, fresh for each session */
/*
 * To be said before results under statistical masks are made: the distance that they add to what each role gives away. Refuses
 * what is beyond cfg.stat_bits, "mpc:he-distance".
 */
ccz_rc cczi_mpc_distance_add(struct ccz_mpc *m, const double more[2], struct ccz_err *err);
/* Counters go to this phase from now on; returns the one before, to be put back. */
enum ccz_mpc_phase cczi_mpc_phase(struct ccz_mpc *m, enum ccz_mpc_phase phase);
/* Sends through the channel by other modules (OT, ...) in trips; when planning also their bytes. */
void cczi_mpc_count_rounds(struct ccz_mpc *m, uint64_t rounds);
void cczi_mpc_count_plan(struct ccz_mpc *m, uint64_t sent_size, uint64_t sent_len,
                         uint64_t received_size, uint64_t received_len);

/* Zeroed memory of len elements of size bytes; "mpc:memory". Wiped by cczi_mpc_wipe_free(). */
ccz_rc cczi_mpc_alloc(void *out, size_t len, size_t size, struct ccz_err *err);
void cczi_mpc_wipe_free(void *p, size_t size);
/* Words with their length, for cleanup at the end of a scope. */
struct cczi_words {
    uint64_t *v;
    size_t len;
};
ccz_rc cczi_words_init(struct cczi_words *w, size_t len, struct ccz_err *err);
void cczi_words_deinit(struct cczi_words *w); /* wipes */
#define CCZI_AUTO_WORDS __attribute__((cleanup(cczi_words_deinit))) struct cczi_words

/* --------------------------------------------------------------------------------- randomness */

/* Uniform elements below 2^bits: the same at both parties (a stream of a common seed) or this party's own. */
ccz_rc cczi_mpc_common(uint64_t *out, size_t len, unsigned bits, struct ccz_mpc *m,
                       struct ccz_err *err);
ccz_rc cczi_mpc_random(uint64_t *out, size_t len, unsigned bits, struct ccz_mpc *m,
                       struct ccz_err *err);
/* Packed bits: (len + 63) / 64 words; the rest of the last word is zero. A random shared bit is just a random bit of each. */
ccz_rc cczi_mpc_common_bits(uint64_t *out, size_t len, struct ccz_mpc *m, struct ccz_err *err);
ccz_rc cczi_mpc_random_bits(uint64_t *out, size_t len, struct ccz_mpc *m, struct ccz_err *err);

/* ------------------------------------------------------------------------------------- rounds */

/* Elements of `bits` bits (1 .. 64) one behind the other, each call's run rounded up to bytes: (len bits + 7) / 8. Values are masked. */
void cczi_mpc_put(struct ccz_mpc *m, const uint64_t *v, size_t len, unsigned bits);
void cczi_mpc_put_bits(struct ccz_mpc *m, const uint64_t *v,
                       size_t len); /* packed, (len + 7) / 8 bytes */
void cczi_mpc_put_raw(struct ccz_mpc *m, const void *p, size_t size);
/* Filled in by cczi_mpc_round(); `out` must live until then. Values are below 2^bits; packed bits behind the last are zero. */
void cczi_mpc_want(struct ccz_mpc *m, uint64_t *out, size_t len, unsigned bits);
void cczi_mpc_want_bits(struct ccz_mpc *m, uint64_t *out, size_t len);
void cczi_mpc_want_raw(struct ccz_mpc *m, void *out, size_t size);
/* Both: v is this party's share, and after the round the value, at both parties. */
void cczi_mpc_open_sum(struct ccz_mpc *m, uint64_t *v, size_t len, unsigned bits);
void cczi_mpc_open_xor(struct ccz_mpc *m, uint64_t *v, size_t len);
/* Sends what was put as one message if there is any, then receives one message of exactly what is wanted, if anything is. Counts
 * one round. "chan:size", "mpc:memory" and what the channel says. */
ccz_rc cczi_mpc_round(struct ccz_mpc *m, struct ccz_err *err);

/* -------------------------------------------------------------------------- oblivious transfer */

/*
 * ot_ext.h in both directions: `sender` = the role that sends. Each wrapper sets the direction up at its first use (phase SETUP), fills
 * the store if ccz_mpc_prepare() has not (phase OFFLINE), then does the form in the phase of the caller, counts its rounds, and when
 * planning counts its bytes and does nothing else. Not to be called with puts pending.
 */
/* The object of a direction, ready, with `len` OTs in its store: for forms that have no wrapper here. *out is NULL when planning. */
ccz_rc cczi_mpc_ot(struct ccz_ot_ext **out, struct ccz_mpc *m, unsigned sender, size_t len,
                   struct ccz_err *err);
/* What a form sent, when planning; `rounds` in any case. */
void cczi_mpc_ot_count(struct ccz_mpc *m, unsigned sender, struct ccz_ot_ext_size size,
                       uint64_t rounds);

/* Random OT of 128 bits. Sender: out[2 len]; receiver: out[len] and its random choices (packed). 0 rounds. */
ccz_rc cczi_mpc_rot(struct ccz_mpc *m, unsigned sender, struct ccz_f128 *out, uint8_t *choices,
                    size_t len, struct ccz_err *err);
/* 1-of-N OT, N = 2^log, of bytes of 1 .. 8 bits, or words of 1 .. 64. Sender: msgs[len N]; receiver: choice[len], out[len]. 2 rounds. */
ccz_rc cczi_mpc_ot_n8(struct ccz_mpc *m, unsigned sender, uint8_t *out, const uint8_t *msgs,
                      const uint8_t *choice, size_t len, unsigned log, unsigned bits,
                      struct ccz_err *err);
ccz_rc cczi_mpc_ot_n64(struct ccz_mpc *m, unsigned sender, uint64_t *out, const uint64_t *msgs,
                       const uint8_t *choice, size_t len, unsigned log, unsigned bits,
                       struct ccz_err *err);
/* out (sender) + out (receiver) = x_i f[i width + j] modulo 2^bits: x packed, the receiver's; f the sender's. 2 rounds. */
ccz_rc cczi_mpc_cot_sum(struct ccz_mpc *m, unsigned sender, uint64_t *out, const uint64_t *f,
                        const uint8_t *x, size_t len, size_t width, unsigned bits,
                        struct ccz_err *err);

/* --------------------------------------------------------------------- correlated randomness */

/* Next item in order: a prepared one, if it is for this need ("mpc:need-order" else), or one made now. May be called with puts
 * pending: what the source sends travels on its own. */
ccz_rc cczi_mpc_take(struct ccz_mpc_item *item, struct ccz_mpc *m, const struct ccz_mpc_need *need,
                     struct ccz_err *err);
void cczi_mpc_item_deinit(struct ccz_mpc_item *item); /* wipes */
#define CCZI_AUTO_ITEM __attribute__((cleanup(cczi_mpc_item_deinit))) struct ccz_mpc_item
/* Lengths in words that an item of this need has; "mpc:need". v_len is that of party 1 - owner. */
ccz_rc cczi_mpc_item_lens(struct ccz_mpc_item *lens, const struct ccz_mpc_need *need,
                          struct ccz_err *err);
bool cczi_mpc_is_cross(enum ccz_mpc_need_kind kind);
bool cczi_mpc_need_eq(const struct ccz_mpc_need *a, const struct ccz_mpc_need *b);
enum { CCZI_NEED_WORDS = 18 };
void cczi_mpc_need_words(uint64_t out[CCZI_NEED_WORDS], const struct ccz_mpc_need *n);
/* For sources: prepare is called in phase OFFLINE, with no puts pending; it may use rounds, transfers and the session's streams. */

/* z = x and y of len packed bits: begin takes a triple and puts the openings, then (others' puts and) cczi_mpc_round(), then end. */
struct cczi_mpc_and {
    struct ccz_mpc *m;
    struct ccz_mpc_item triple;
    uint64_t *open; /* d, e: [2][words] */
    size_t len, words;
};
ccz_rc cczi_mpc_and_begin(struct cczi_mpc_and *p, struct ccz_mpc *m, const uint64_t *x,
                          const uint64_t *y, size_t len, struct ccz_err *err);
void cczi_mpc_and_end(uint64_t *z, struct cczi_mpc_and *p); /* also frees; z = NULL: only frees */
/* All three. 1 round. Like begin and round a step of an operation: a failure is returned and does not end the session, which is
 * for the operation's cczi_mpc_leave(). z is then left as it was. */
ccz_rc cczi_mpc_and_bits(struct ccz_mpc *m, uint64_t *z, const uint64_t *x, const uint64_t *y,
                         size_t len, struct ccz_err *err);

#endif
