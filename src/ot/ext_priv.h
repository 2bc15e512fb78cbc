/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_OT_EXT_PRIV_H
#define CCZI_OT_EXT_PRIV_H
/* The store of correlated OTs, for the forms made of them. */
#include "ot_priv.h"

#include <cczoo/ot_ext.h>

#include <assert.h>
#include <string.h>

struct cczi_silent;

struct ccz_ot_ext {
    struct cczi_soft soft;
    struct cczi_silent *silent; /* or NULL */
    struct cczi_array rows;     /* q or t; in use are [at, end) */
    size_t at, end;
    uint64_t tweak; /* of the next mask */
    ccz_rc broken;  /* the first failure */
};

/* Makes sure that len OTs lie at cczi_ext_rows(). */
ccz_rc cczi_ext_need(struct ccz_ot_ext *e, size_t len, struct ccz_err *err);
static inline struct ccz_f128 *cczi_ext_rows(const struct ccz_ot_ext *e)
{
    return e->rows.at + e->at;
}
/* The first len of them are used up. */
static inline void cczi_ext_used(struct ccz_ot_ext *e, size_t len)
{
    e->at += len;
}
/* Fills out[len] as ccz_ot_ext_prepare() and a copy would, without the way through the store where that is possible. */
ccz_rc cczi_ext_take(struct ccz_f128 *out, size_t len, struct ccz_ot_ext *e, struct ccz_err *err);
/* Marks the object unusable if rc is not CCZ_OK. */
static inline ccz_rc cczi_ext_done(struct ccz_ot_ext *e, ccz_rc rc)
{
    if (rc != CCZ_OK && e->broken == CCZ_OK)
        e->broken = rc;
    return rc;
}
ccz_rc cczi_ext_check_len(size_t len, size_t ots_each, struct ccz_err *err);

/* ----------------------------------------------------------------------------- silent engine */

/* Outputs of a round are n; `base` of them are the OTs of the next one. */
struct cczi_silent_shape {
    unsigned log;
    struct cczi_lpn lpn;
    size_t base;
};
struct cczi_silent {
    struct cczi_silent_shape shape;
    struct cczi_array base;    /* OTs of the next round */
    struct cczi_array leaves;  /* the noise vector */
    struct cczi_array msg;     /* [trees][depth - 1] */
    struct cczi_array scratch; /* a level */
};
struct cczi_silent_shape cczi_silent_shape(unsigned log);
/* Memory alone, for tests with shapes too small to be safe; deinit is for what init failed with, too. */
ccz_rc cczi_silent_init(struct cczi_silent *m, const struct cczi_silent_shape *shape,
                        struct ccz_err *err);
void cczi_silent_deinit(struct cczi_silent *m);
/* Base OTs by SoftSpokenOT. */
ccz_rc cczi_silent_new(struct cczi_silent **out, unsigned log, struct cczi_soft *s,
                       struct ccz_err *err);
void cczi_silent_free(struct cczi_silent *m);
/* One round: out has room for n rows, the first n - base can be used. */
ccz_rc cczi_silent_round(struct ccz_f128 *out, struct cczi_silent *m, struct cczi_soft *s,
                         struct ccz_err *err);
struct ccz_ot_ext_size cczi_silent_round_size(unsigned log);

/* --------------------------------------------------------------------------- bits of messages */

/* Values of 1 .. 64 bits, one behind the other, lowest bit first. */
struct cczi_bits_out {
    uint8_t *at;
    uint64_t word;
    unsigned n; /* bits in word, below 64 */
};
static inline void cczi_bits_put(struct cczi_bits_out *b, uint64_t value, unsigned bits)
{
    b->word |= value << b->n;
    b->n += bits;
    if (b->n < 64)
        return;
    for (int i = 0; i < 8; i++)
        b->at[i] = (uint8_t)(b->word >> 8 * i);
    b->at += 8;
    b->n -= 64;
    b->word = b->n == 0 ? 0 : value >> (bits - b->n);
}
static inline void cczi_bits_end(struct cczi_bits_out *b)
{
    for (unsigned i = 0; 8 * i < b->n; i++)
        *b->at++ = (uint8_t)(b->word >> 8 * i);
    b->n = 0;
}

/* The reader needs 8 readable bytes behind the message. */
enum { CCZI_BITS_SLACK = 8 };
struct cczi_bits_in {
    const uint8_t *at;
    uint64_t bit;
};
static inline uint64_t cczi_bits_load(const uint8_t *p)
{
    uint64_t r = 0;
    for (int i = 0; i < 8; i++)
        r |= (uint64_t)p[i] << 8 * i;
    return r;
}
static inline uint64_t cczi_bits_get(struct cczi_bits_in *b, unsigned bits)
{
    const uint8_t *p = b->at + b->bit / 8;
    unsigned skip = b->bit % 8;
    uint64_t r = cczi_bits_load(p) >> skip;
    if (skip + bits > 64)
        r |= (uint64_t)p[8] << (64 - skip);
    b->bit += bits;
    return bits == 64 ? r : r & (((uint64_t)1 << bits) - 1);
}
static inline uint64_t cczi_low_bits(unsigned bits)
{
    return UINT64_MAX >> (64 - bits);
}
static inline uint64_t cczi_bit_at(const uint8_t *packed, size_t i)
{
    return packed[i / 8] >> i % 8 & 1;
}

/* A message in memory: wiped, with the slack of the reader. */
ccz_rc cczi_msg_init(struct cczi_array *a, uint64_t size, struct ccz_err *err);
#endif
