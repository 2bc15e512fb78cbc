/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_MPC_CMP_PRIV_H
#define CCZI_MPC_CMP_PRIV_H
/*
 * The comparison family below the tensors: arrays of shares and rows of bits. It is written over a small table of functions,
 * so that the protocols can be tested exhaustively on OTs that a test deals out, and run in sessions on real ones.
 *
 * A row is a packed vector of bits, one per element: bit i % 64 of word i / 64. Bits behind the last are not looked at.
 */
#include "cmp_kernels.h"

#include "ot/hash.h"

/* Where OTs and messages come from. Both parties make the same calls in the same order. */
struct cczi_cmp_ops {
    /* Sees to it that the takes that follow need no messages: ots[p] random correlated OTs that party p sends. */
    ccz_rc (*reserve)(void *self, const uint64_t ots[2], struct ccz_err *err);
    /* Random correlated OTs t = q + x delta. x: packed. `first` is the number of the first one in its direction, unique. */
    ccz_rc (*take_q)(struct ccz_f128 *q, struct ccz_f128 *delta, uint64_t *first, size_t len,
                     void *self, struct ccz_err *err);
    ccz_rc (*take_t)(struct ccz_f128 *t, uint64_t *x, uint64_t *first, size_t len, void *self,
                     struct ccz_err *err);
    /* One round: sends `out`, then receives `in`; what has size 0 is left out. */
    ccz_rc (*trade)(void *in, size_t in_size, const void *out, size_t out_size, void *self,
                    struct ccz_err *err);
    /* Random words of this party. */
    ccz_rc (*random)(uint64_t *out, size_t len, void *self, struct ccz_err *err);
};

enum { CCZI_CMP_CHUNK = 1024 }; /* elements that go through the caches together; a multiple of 64 */

struct cczi_cmp {
    const struct cczi_cmp_ops *ops;
    void *self;
    unsigned party; /* 0 or 1 */
    struct cczi_hash hash;
    /* scratch: blocks[5][CHUNK], words[4][CHUNK] */
    struct ccz_f128 *blocks;
    uint64_t *words;
};
/* @param key  public, the same at both parties, different in each session */
ccz_rc cczi_cmp_init(struct cczi_cmp *c, const struct cczi_cmp_ops *ops, void *self, unsigned party,
                     const uint8_t key[16], struct ccz_err *err);
void cczi_cmp_deinit(struct cczi_cmp *c); /* wipes; zeroed is fine */
#define CCZI_AUTO_CMP __attribute__((cleanup(cczi_cmp_deinit))) struct cczi_cmp

static inline size_t cczi_words_of(size_t bits)
{
    return (bits + 63) / 64;
}

/* Elements for which a party is the sender in protocols that need one direction only: party 0 for the first half, in whole
 * words, party 1 for the rest. */
struct cczi_range {
    size_t from, len;
};
struct cczi_range cczi_cmp_half(size_t n, unsigned sender);

/* Zeroed words, wiped at the end of a scope. */
struct cczi_store {
    uint64_t *at;
    size_t len;
};
ccz_rc cczi_store_init(struct cczi_store *s, size_t len, struct ccz_err *err);
void cczi_store_deinit(struct cczi_store *s);
#define CCZI_AUTO_STORE __attribute__((cleanup(cczi_store_deinit))) struct cczi_store

/* ------------------------------------------------------------------------------------ messages */

/* Rows and elements one behind the other, without gaps. */
struct cczi_bits {
    uint64_t *w;
    size_t at; /* bits written or read so far */
};
void cczi_bits_put(struct cczi_bits *b, const uint64_t *row, size_t len);
void cczi_bits_get(uint64_t *row, struct cczi_bits *b, size_t len);
/* Elements of `width` bits, 1 to 64; got ones have zeros above. */
void cczi_bits_put_words(struct cczi_bits *b, const uint64_t *v, size_t len, unsigned width);
void cczi_bits_get_words(uint64_t *v, struct cczi_bits *b, size_t len, unsigned width);
/* A message of so many bits, in words to be written to and in bytes. */
static inline size_t cczi_bits_size(uint64_t bits)
{
    return (size_t)((bits + 7) / 8);
}
/* rows[b stride + i / 64] bit i % 64 = bit b of v[i], b < bits */
void cczi_rows_of(uint64_t *rows, size_t stride, const uint64_t *v, size_t len, unsigned bits);
/* The inverse. */
void cczi_words_from(uint64_t *v, const uint64_t *rows, size_t stride, size_t len, unsigned bits);

/*
 * Masks of n OTs with the numbers tweak .., which both parties take with one call: as the kernels say, with a key for every
 * CCZI_HASH_USES hashes. log: of the messages that an OT has.
 */
struct cczi_pads {
    const struct ccz_f128 *in;
    struct ccz_f128 offset;
    size_t len;
    uint64_t tweak;
    unsigned log;
};
void cczi_cmp_pad_bits(uint64_t *lo, uint64_t *hi, const struct cczi_pads *p, struct cczi_hash *h);
void cczi_cmp_pad_words(uint64_t *lo, uint64_t *hi, const struct cczi_pads *p, struct cczi_hash *h);

/* ------------------------------------------------------------------------------------- protocols */

/* z = a and b, z2 = a and b2 (unless NULL). z may be b, and z2 b2. All in one round, two OTs (one each way) per bit of a. */
struct cczi_and {
    const uint64_t *a, *b, *b2;
    uint64_t *z, *z2;
};
ccz_rc cczi_cmp_and(struct cczi_cmp *c, const struct cczi_and *ands, size_t len, size_t n,
                    struct ccz_err *err);

/* Selected values: over all elements of `recv` at one party, which are `send` at the other,
 *   out (sender) + out (receiver) += bit (receiver) a (sender)   modulo 2^width.
 * Several in one batch, 2 rounds. Bits of `out` from width on are garbage. */
struct cczi_cot {
    const uint64_t *a, *a2; /* sender: [n]; a2: a second value for the same bit, or NULL at both */
    const uint64_t *bit;    /* receiver: a row */
    struct cczi_range send, recv;
    unsigned width;
    uint64_t *out, *out2; /* [n] */
};
ccz_rc cczi_cmp_cot(struct cczi_cmp *c, const struct cczi_cot *cots, size_t len,
                    struct ccz_err *err);

/*
 * Shares of [x < y], unsigned, `bits` bits; party 0 has x, party 1 y, in v. With low > 0 also of [x mod 2^low < y mod 2^low]
 * (low < bits; low = bits: `less` is not computed and may be NULL).
 */
ccz_rc cczi_cmp_less(uint64_t *less, uint64_t *less_low, const uint64_t *v, size_t n, unsigned bits,
                     unsigned low, struct cczi_cmp *c, struct ccz_err *err);
/* Shares of [x = y], likewise. */
ccz_rc cczi_cmp_equal(uint64_t *equal, const uint64_t *v, size_t n, unsigned bits,
                      struct cczi_cmp *c, struct ccz_err *err);

/* ------------------------------------------------------------------------------------------ cost */

/* What a protocol needs, for counters, plans, and the reservation of OTs. */
struct cczi_cmp_need {
    uint64_t sent[2]; /* bytes */
    uint64_t ots[2];  /* by sender */
    unsigned rounds;
};
void cczi_need_add(struct cczi_cmp_need *sum, const struct cczi_cmp_need *a);
struct cczi_cmp_need cczi_cmp_less_need(size_t n, unsigned bits, unsigned low);
struct cczi_cmp_need cczi_cmp_equal_need(size_t n, unsigned bits);
/* `doubles` of `len` have a second product. */
struct cczi_cmp_need cczi_cmp_and_need(size_t n, size_t len, size_t doubles);
/* One direction for each element: halves; or both for each. `values`: 1 or 2 per OT. */
struct cczi_cmp_need cczi_cmp_cot_half_need(size_t n, unsigned width);
struct cczi_cmp_need cczi_cmp_cot_both_need(size_t n, unsigned width, unsigned values);

#endif
