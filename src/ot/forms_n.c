/* SPDX-License-Identifier: Apache-2.0 */
/* 1-of-N OT, N = 2^log, from log correlated OTs each. Messages are of uint8_t or uint64_t. */
#include "ext_priv.h"

enum { MASKS = 4096, N_MAX = 1 << CCZ_OT_EXT_LOG_MAX };

/* A batch: what both sides know of it. */
struct batch {
    size_t len;
    unsigned log, bits;
    size_t chunk; /* items whose masks are made at once */
    uint64_t sent_size, choices_size;
};

/* Messages in an array of the caller's type. */
struct values {
    uint8_t *of8;
    uint64_t *of64;
};
struct inputs {
    const uint8_t *of8;
    const uint64_t *of64;
};

static uint64_t size_of(uint64_t len, uint64_t bits)
{
    return (len * bits + 7) / 8;
}

struct ccz_ot_ext_size ccz_ot_ext_n_size(size_t len, unsigned log, unsigned bits)
{
    return (struct ccz_ot_ext_size){size_of(len, (uint64_t)bits << log), size_of(len, log)};
}

static ccz_rc batch_init(struct batch *b, size_t len, unsigned log, unsigned bits,
                         unsigned bits_max, struct ccz_err *err)
{
    if (log < 1 || log > CCZ_OT_EXT_LOG_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "ot:log", log, CCZ_OT_EXT_LOG_MAX);
    if (bits < 1 || bits > bits_max)
        return ccz_refuse_num(err, CCZ_E_ARG, "ot:bits", bits, bits_max);
    const struct ccz_ot_ext_size size = ccz_ot_ext_n_size(len, log, bits);
    *b = (struct batch){len, log, bits, MASKS >> log, size.from_sender, size.from_receiver};
    ccz_rc rc = cczi_ext_check_len(len, log, err);
    if (rc == CCZ_OK && b->sent_size > CCZ_CHAN_MESSAGE_SIZE_MAX)
        rc = ccz_fail(err, CCZ_E_ARG, "ot:len", (int64_t)len,
                      "a message of %llu bytes, expected at most %zu",
                      (unsigned long long)b->sent_size, CCZ_CHAN_MESSAGE_SIZE_MAX);
    return rc;
}

/* Sum of x^b times row b of each item: q or t of the whole OT. */
static void join(struct ccz_f128 *out, const struct ccz_f128 *rows, size_t len, unsigned log)
{
    for (size_t i = 0; i < len; i++, rows += log) {
        struct ccz_f128 sum = rows[log - 1];
        for (unsigned b = log - 1; b-- > 0;)
            sum = cczi_f128_add(cczi_f128_mulx(sum), rows[b]);
        out[i] = sum;
    }
}

/* j delta for the polynomials j of less than `log` bits */
static void multiples(struct ccz_f128 out[N_MAX], struct ccz_f128 delta, unsigned log)
{
    out[0] = (struct ccz_f128){0};
    for (unsigned b = 0; b < log; b++, delta = cczi_f128_mulx(delta))
        for (size_t j = 0; j < (size_t)1 << b; j++)
            out[j + ((size_t)1 << b)] = cczi_f128_add(out[j], delta);
}

/* -------------------------------------------------------------------------------------- sender */

struct sender {
    struct ccz_f128 delta[N_MAX];
    struct ccz_f128 joined[MASKS / 2], masks[MASKS / 2];
    uint64_t values[MASKS]; /* masks, item by item */
};

/* Masks of n items from item `at`; flips says how the receiver's random choices differ from those it wants. */
static void make_masks(struct sender *w, const struct batch *b, size_t at, size_t n,
                       struct cczi_bits_in *flips, struct ccz_ot_ext *e)
{
    uint8_t flip[MASKS / 2];
    const size_t all = (size_t)1 << b->log;
    for (size_t i = 0; i < n; i++)
        flip[i] = (uint8_t)cczi_bits_get(flips, b->log);
    join(w->joined, cczi_ext_rows(e) + at * b->log, n, b->log);
    for (size_t j = 0; j < all; j++) {
        for (size_t i = 0; i < n; i++)
            w->masks[i] = cczi_f128_add(w->joined[i], w->delta[j ^ flip[i]]);
        cczi_hash_run(w->masks, w->masks, n, e->tweak + at, b->log, &e->soft.hash);
        for (size_t i = 0; i < n; i++)
            w->values[i * all + j] = w->masks[i].lo;
    }
}

static void hide(uint8_t *msg, const struct inputs *m, const struct batch *b,
                 const uint8_t *choices, struct sender *w, struct ccz_ot_ext *e)
{
    struct cczi_bits_in flips = {choices, 0};
    struct cczi_bits_out out = {.at = msg};
    const uint64_t low = cczi_low_bits(b->bits);
    for (size_t at = 0; at < b->len; at += b->chunk) {
        size_t n = b->len - at < b->chunk ? b->len - at : b->chunk;
        make_masks(w, b, at, n, &flips, e);
        for (size_t i = 0; i < n << b->log; i++) {
            size_t k = (at << b->log) + i;
            cczi_bits_put(&out, (w->values[i] ^ (m->of8 ? m->of8[k] : m->of64[k])) & low, b->bits);
        }
    }
    cczi_bits_end(&out);
}

static ccz_rc n_send(const struct inputs *m, const struct batch *b, struct ccz_ot_ext *e,
                     struct ccz_err *err)
{
    CCZI_AUTO_ARRAY choices = {0};
    CCZI_AUTO_ARRAY msg = {0};
    CCZI_AUTO_ARRAY room = {0};
    ccz_rc rc = cczi_msg_init(&choices, b->choices_size, err);
    if (rc == CCZ_OK)
        rc = cczi_msg_init(&msg, b->sent_size, err);
    if (rc == CCZ_OK)
        rc = cczi_array_init(&room, sizeof(struct sender) / sizeof(*room.at), err);
    if (rc == CCZ_OK)
        rc = cczi_ext_need(e, b->len * b->log, err);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv_exact(choices.at, b->choices_size, e->soft.chan, err);
    if (rc != CCZ_OK)
        return rc;
    struct sender *w = (struct sender *)(void *)room.at;
    multiples(w->delta, e->soft.delta, b->log);
    hide((uint8_t *)msg.at, m, b, (const uint8_t *)choices.at, w, e);
    cczi_ext_used(e, b->len * b->log);
    e->tweak += b->len;
    CCZ_CT_PUBLIC(msg.at, b->sent_size); /* masked */
    return ccz_chan_send(e->soft.chan, CCZ_SPAN(msg.at, b->sent_size), err);
}

ccz_rc ccz_ot_ext_n8_send(const uint8_t *m, size_t len, unsigned log, unsigned bits,
                          struct ccz_ot_ext *e, struct ccz_err *err)
{
    assert(e->soft.sender);
    struct batch b;
    ccz_rc rc = batch_init(&b, len, log, bits, 8, err);
    if (rc != CCZ_OK || len == 0)
        return rc;
    return cczi_ext_done(e, n_send(&(struct inputs){.of8 = m}, &b, e, err));
}

ccz_rc ccz_ot_ext_n64_send(const uint64_t *m, size_t len, unsigned log, unsigned bits,
                           struct ccz_ot_ext *e, struct ccz_err *err)
{
    assert(e->soft.sender);
    struct batch b;
    ccz_rc rc = batch_init(&b, len, log, bits, 64, err);
    if (rc != CCZ_OK || len == 0)
        return rc;
    return cczi_ext_done(e, n_send(&(struct inputs){.of64 = m}, &b, e, err));
}

/* ------------------------------------------------------------------------------------ receiver */

/* The random choice of an item, from the lowest bits of its rows. */
static uint64_t choice_of(const struct ccz_f128 *rows, unsigned log)
{
    uint64_t c = 0;
    for (unsigned b = 0; b < log; b++)
        c |= (rows[b].lo & 1) << b;
    return c;
}

static void choose(uint8_t *msg, const uint8_t *c, const struct batch *b,
                   const struct ccz_ot_ext *e)
{
    struct cczi_bits_out out = {.at = msg};
    const struct ccz_f128 *rows = cczi_ext_rows(e);
    const uint64_t low = cczi_low_bits(b->log);
    for (size_t i = 0; i < b->len; i++, rows += b->log)
        cczi_bits_put(&out, (c[i] ^ choice_of(rows, b->log)) & low, b->log);
    cczi_bits_end(&out);
}

/* The wanted one of the next N values, all of which are read. */
static uint64_t pick(struct cczi_bits_in *in, uint64_t wanted, const struct batch *b)
{
    uint64_t r = 0;
    for (uint64_t j = 0; j < (uint64_t)1 << b->log; j++) {
        uint64_t d = j ^ wanted, mask = cczi_ct_barrier64(((d | (0 - d)) >> 63) - 1);
        r |= cczi_bits_get(in, b->bits) & mask;
    }
    return r;
}

static void reveal(const struct values *y, const uint8_t *c, const uint8_t *msg,
                   const struct batch *b, struct ccz_ot_ext *e)
{
    struct ccz_f128 masks[MASKS / 2];
    struct cczi_bits_in in = {msg, 0};
    const uint64_t low = cczi_low_bits(b->bits);
    for (size_t at = 0; at < b->len; at += b->chunk) {
        size_t n = b->len - at < b->chunk ? b->len - at : b->chunk;
        join(masks, cczi_ext_rows(e) + at * b->log, n, b->log);
        cczi_hash_run(masks, masks, n, e->tweak + at, b->log, &e->soft.hash);
        for (size_t i = 0; i < n; i++) {
            uint64_t wanted = c[at + i] & cczi_low_bits(b->log);
            uint64_t v = (pick(&in, wanted, b) ^ masks[i].lo) & low;
            if (y->of8)
                y->of8[at + i] = (uint8_t)v;
            else
                y->of64[at + i] = v;
        }
    }
    ccz_wipe(masks, sizeof(masks));
}

static ccz_rc n_recv(const struct values *y, const uint8_t *c, const struct batch *b,
                     struct ccz_ot_ext *e, struct ccz_err *err)
{
    CCZI_AUTO_ARRAY choices = {0};
    CCZI_AUTO_ARRAY msg = {0};
    ccz_rc rc = cczi_msg_init(&choices, b->choices_size, err);
    if (rc == CCZ_OK)
        rc = cczi_msg_init(&msg, b->sent_size, err);
    if (rc == CCZ_OK)
        rc = cczi_ext_need(e, b->len * b->log, err);
    if (rc != CCZ_OK)
        return rc;
    choose((uint8_t *)choices.at, c, b, e);
    CCZ_CT_PUBLIC(choices.at, b->choices_size); /* hidden by the random choices */
    rc = ccz_chan_send(e->soft.chan, CCZ_SPAN(choices.at, b->choices_size), err);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv_exact(msg.at, b->sent_size, e->soft.chan, err);
    if (rc != CCZ_OK)
        return rc;
    reveal(y, c, (const uint8_t *)msg.at, b, e);
    cczi_ext_used(e, b->len * b->log);
    e->tweak += b->len;
    return CCZ_OK;
}

ccz_rc ccz_ot_ext_n8_recv(uint8_t *y, const uint8_t *c, size_t len, unsigned log, unsigned bits,
                          struct ccz_ot_ext *e, struct ccz_err *err)
{
    assert(!e->soft.sender);
    struct batch b;
    ccz_rc rc = batch_init(&b, len, log, bits, 8, err);
    if (rc != CCZ_OK || len == 0)
        return rc;
    rc = cczi_ext_done(e, n_recv(&(struct values){.of8 = y}, c, &b, e, err));
    if (rc != CCZ_OK)
        memset(y, 0, len);
    return rc;
}

ccz_rc ccz_ot_ext_n64_recv(uint64_t *y, const uint8_t *c, size_t len, unsigned log, unsigned bits,
                           struct ccz_ot_ext *e, struct ccz_err *err)
{
    assert(!e->soft.sender);
    struct batch b;
    ccz_rc rc = batch_init(&b, len, log, bits, 64, err);
    if (rc != CCZ_OK || len == 0)
        return rc;
    rc = cczi_ext_done(e, n_recv(&(struct values){.of64 = y}, c, &b, e, err));
    if (rc != CCZ_OK)
        memset(y, 0, len * sizeof(*y));
    return rc;
}
