/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Correlated OT over Z_2^bits and products made of it. A pass is one OT per item, whose mask covers `width` elements; a product is one
 * pass per bit of its factor. Messages: passes, in each chunks of items, in each blocks of masks, in each items, in each elements.
 */
#include "ext_priv.h"

enum { CHUNK = 512 };

struct shape {
    size_t len, width;
    unsigned bits, passes;
};
struct pass {
    size_t len, width;
    unsigned bits, shift; /* of elements; all of them count times 2^shift */
    size_t lanes, blocks; /* elements in a mask, masks of an item */
};

static struct pass pass_of(const struct shape *s, unsigned n)
{
    struct pass p = {.len = s->len, .width = s->width, .bits = s->bits - n, .shift = n};
    p.lanes = p.bits > 32 ? 2 : p.bits > 16 ? 4 : p.bits > 8 ? 8 : 16;
    p.blocks = (s->width + p.lanes - 1) / p.lanes;
    return p;
}

static ccz_rc check_shape(const struct shape *s, uint64_t sent_size, struct ccz_err *err)
{
    if (s->bits < 1 || s->bits > 64)
        return ccz_refuse_num(err, CCZ_E_ARG, "ot:bits", s->bits, 64);
    if (s->width == 0)
        return ccz_fail(err, CCZ_E_ARG, "ot:width", 0, "width 0, expected at least 1");
    ccz_rc rc = cczi_ext_check_len(s->len, s->passes, err);
    if (rc == CCZ_OK && s->len > 0 && s->width > CCZ_CHAN_MESSAGE_SIZE_MAX / s->len)
        rc = ccz_fail(err, CCZ_E_ARG, "ot:len", (int64_t)s->len, "%zu x %zu elements, too many",
                      s->len, s->width);
    if (rc == CCZ_OK && sent_size > CCZ_CHAN_MESSAGE_SIZE_MAX)
        rc = ccz_fail(err, CCZ_E_ARG, "ot:len", (int64_t)s->len,
                      "a message of %llu bytes, expected at most %zu",
                      (unsigned long long)sent_size, CCZ_CHAN_MESSAGE_SIZE_MAX);
    return rc;
}

static uint64_t bytes_of(uint64_t bits)
{
    return (bits + 7) / 8;
}

struct ccz_ot_ext_size ccz_ot_ext_ring_size(size_t len, size_t width, unsigned bits)
{
    return (struct ccz_ot_ext_size){bytes_of((uint64_t)len * width * bits), bytes_of(len)};
}

struct ccz_ot_ext_size ccz_ot_ext_mul_size(size_t len, size_t width, unsigned bits)
{
    uint64_t triangle = (uint64_t)bits * (bits + 1) / 2;
    return (struct ccz_ot_ext_size){bytes_of((uint64_t)len * width * triangle),
                                    bytes_of((uint64_t)len * bits)};
}

/* Element number `lane` of a mask. */
static inline uint64_t lane_of(struct ccz_f128 mask, size_t lane, size_t lanes)
{
    const unsigned size = (unsigned)(128 / lanes), at = (unsigned)lane * size;
    return (at < 64 ? mask.lo : mask.hi) >> (at & 63);
}

static size_t lanes_in(const struct pass *p, size_t block)
{
    size_t left = p->width - block * p->lanes;
    return left < p->lanes ? left : p->lanes;
}

static void masks_of(struct ccz_f128 *out, const struct ccz_f128 *rows, size_t n, uint64_t tweak,
                     struct ccz_ot_ext *e)
{
    cczi_hash_run(out, rows, n, tweak, 1, &e->soft.hash);
}

/* -------------------------------------------------------------------------------------- sender */

/* Where the sender's results go: z = r, or z -= r 2^shift. */
struct target {
    uint64_t *z;
    uint64_t low;
    bool subtract;
};

struct sender_room {
    struct ccz_f128 rows[2][CHUNK], masks[2][CHUNK];
};

static void send_block(struct cczi_bits_out *out, const struct target *to, const uint64_t *f,
                       const struct pass *p, size_t at, size_t n, size_t block,
                       const struct sender_room *w)
{
    const uint64_t low = cczi_low_bits(p->bits);
    for (size_t i = 0; i < n; i++)
        for (size_t l = 0; l < lanes_in(p, block); l++) {
            size_t k = (at + i) * p->width + block * p->lanes + l;
            uint64_t r = lane_of(w->masks[0][i], l, p->lanes) & low;
            uint64_t other = lane_of(w->masks[1][i], l, p->lanes);
            cczi_bits_put(out, (r + f[k] - other) & low, p->bits);
            to->z[k] = (to->subtract ? to->z[k] - (r << p->shift) : r) & to->low;
        }
}

/* rows and flips are those of this pass; returns how many masks it took. */
static uint64_t send_pass(struct cczi_bits_out *out, const struct target *to, const uint64_t *f,
                          const struct pass *p, const struct ccz_f128 *rows, const uint8_t *flips,
                          size_t first_flip, uint64_t tweak, struct ccz_ot_ext *e)
{
    struct sender_room w;
    const struct ccz_f128 delta = e->soft.delta;
    for (size_t at = 0; at < p->len; at += CHUNK) {
        size_t n = p->len - at < CHUNK ? p->len - at : CHUNK;
        for (size_t i = 0; i < n; i++) {
            uint64_t flip = 0 - cczi_bit_at(flips, first_flip + at + i);
            w.rows[0][i] = cczi_f128_add(rows[at + i], cczi_f128_and(delta, flip));
            w.rows[1][i] = cczi_f128_add(w.rows[0][i], delta);
        }
        for (size_t b = 0; b < p->blocks; b++) {
            for (int side = 0; side < 2; side++)
                masks_of(w.masks[side], w.rows[side], n, tweak + b * p->len + at, e);
            send_block(out, to, f, p, at, n, b, &w);
        }
    }
    ccz_wipe(&w, sizeof(w));
    return (uint64_t)p->blocks * p->len;
}

/* Both messages, and as many OTs. */
static ccz_rc ring_begin(struct cczi_array *choices, struct cczi_array *msg, size_t ots,
                         const struct ccz_ot_ext_size *size, struct ccz_ot_ext *e,
                         struct ccz_err *err)
{
    ccz_rc rc = cczi_msg_init(choices, size->from_receiver, err);
    if (rc == CCZ_OK)
        rc = cczi_msg_init(msg, size->from_sender, err);
    if (rc == CCZ_OK)
        rc = cczi_ext_need(e, ots, err);
    return rc;
}

static ccz_rc ring_send(const struct target *to, const uint64_t *f, const struct shape *s,
                        const struct ccz_ot_ext_size *size, struct ccz_ot_ext *e,
                        struct ccz_err *err)
{
    CCZI_AUTO_ARRAY choices = {0};
    CCZI_AUTO_ARRAY msg = {0};
    const size_t ots = s->len * s->passes;
    ccz_rc rc = ring_begin(&choices, &msg, ots, size, e, err);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv_exact(choices.at, size->from_receiver, e->soft.chan, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_bits_out out = {.at = (uint8_t *)msg.at};
    for (unsigned n = 0; n < s->passes; n++) {
        const struct pass p = pass_of(s, n);
        e->tweak += send_pass(&out, to, f, &p, cczi_ext_rows(e) + n * s->len,
                              (const uint8_t *)choices.at, n * s->len, e->tweak, e);
    }
    cczi_bits_end(&out);
    cczi_ext_used(e, ots);
    CCZ_CT_PUBLIC(msg.at, size->from_sender); /* masked */
    return ccz_chan_send(e->soft.chan, CCZ_SPAN(msg.at, size->from_sender), err);
}

ccz_rc ccz_ot_ext_ring_send(uint64_t *r, const uint64_t *f, size_t len, size_t width, unsigned bits,
                            struct ccz_ot_ext *e, struct ccz_err *err)
{
    assert(e->soft.sender);
    const struct shape s = {len, width, bits, 1};
    const struct ccz_ot_ext_size size = ccz_ot_ext_ring_size(len, width, bits);
    ccz_rc rc = check_shape(&s, size.from_sender, err);
    if (rc != CCZ_OK || len == 0)
        return rc;
    const struct target to = {r, cczi_low_bits(bits), false};
    rc = cczi_ext_done(e, ring_send(&to, f, &s, &size, e, err));
    if (rc != CCZ_OK)
        memset(r, 0, len * width * sizeof(*r));
    return rc;
}

ccz_rc ccz_ot_ext_mul_send(uint64_t *z, const uint64_t *b, size_t len, size_t width, unsigned bits,
                           struct ccz_ot_ext *e, struct ccz_err *err)
{
    assert(e->soft.sender);
    const struct shape s = {len, width, bits, bits};
    const struct ccz_ot_ext_size size = ccz_ot_ext_mul_size(len, width, bits);
    ccz_rc rc = check_shape(&s, size.from_sender, err);
    if (rc != CCZ_OK || len == 0)
        return rc;
    const struct target to = {z, cczi_low_bits(bits), true};
    memset(z, 0, len * width * sizeof(*z));
    rc = cczi_ext_done(e, ring_send(&to, b, &s, &size, e, err));
    if (rc != CCZ_OK)
        memset(z, 0, len * width * sizeof(*z));
    return rc;
}

/* ------------------------------------------------------------------------------------ receiver */

/* Choices: packed bits, or all bits of the factors of products. */
struct choices {
    const uint8_t *x;
    const uint64_t *a;
};

static uint64_t choice(const struct choices *c, size_t i, unsigned pass)
{
    return c->a ? c->a[i] >> pass & 1 : cczi_bit_at(c->x, i);
}

static void choose(uint8_t *msg, const struct choices *c, const struct shape *s,
                   const struct ccz_ot_ext *e)
{
    struct cczi_bits_out out = {.at = msg};
    const struct ccz_f128 *rows = cczi_ext_rows(e);
    for (unsigned n = 0; n < s->passes; n++, rows += s->len)
        for (size_t i = 0; i < s->len; i++)
            cczi_bits_put(&out, choice(c, i, n) ^ (rows[i].lo & 1), 1);
    cczi_bits_end(&out);
}

static uint64_t recv_pass(uint64_t *z, uint64_t low_z, const struct choices *c,
                          struct cczi_bits_in *in, const struct pass *p,
                          const struct ccz_f128 *rows, uint64_t tweak, struct ccz_ot_ext *e)
{
    struct ccz_f128 masks[CHUNK];
    for (size_t at = 0; at < p->len; at += CHUNK) {
        size_t n = p->len - at < CHUNK ? p->len - at : CHUNK;
        for (size_t b = 0; b < p->blocks; b++) {
            masks_of(masks, rows + at, n, tweak + b * p->len + at, e);
            for (size_t i = 0; i < n; i++) {
                uint64_t x = cczi_ct_barrier64(0 - choice(c, at + i, p->shift));
                for (size_t l = 0; l < lanes_in(p, b); l++) {
                    size_t k = (at + i) * p->width + b * p->lanes + l;
                    uint64_t y = lane_of(masks[i], l, p->lanes) + (cczi_bits_get(in, p->bits) & x);
                    z[k] = (z[k] + (y << p->shift)) & low_z;
                }
            }
        }
    }
    ccz_wipe(masks, sizeof(masks));
    return (uint64_t)p->blocks * p->len;
}

static ccz_rc ring_recv(uint64_t *z, const struct choices *c, const struct shape *s,
                        const struct ccz_ot_ext_size *size, struct ccz_ot_ext *e,
                        struct ccz_err *err)
{
    CCZI_AUTO_ARRAY choices = {0};
    CCZI_AUTO_ARRAY msg = {0};
    const size_t ots = s->len * s->passes;
    ccz_rc rc = ring_begin(&choices, &msg, ots, size, e, err);
    if (rc != CCZ_OK)
        return rc;
    choose((uint8_t *)choices.at, c, s, e);
    CCZ_CT_PUBLIC(choices.at, size->from_receiver); /* hidden by the random choices */
    rc = ccz_chan_send(e->soft.chan, CCZ_SPAN(choices.at, size->from_receiver), err);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv_exact(msg.at, size->from_sender, e->soft.chan, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_bits_in in = {(const uint8_t *)msg.at, 0};
    memset(z, 0, s->len * s->width * sizeof(*z));
    for (unsigned n = 0; n < s->passes; n++) {
        const struct pass p = pass_of(s, n);
        e->tweak += recv_pass(z, cczi_low_bits(s->bits), c, &in, &p, cczi_ext_rows(e) + n * s->len,
                              e->tweak, e);
    }
    cczi_ext_used(e, ots);
    return CCZ_OK;
}

static ccz_rc recv_any(uint64_t *z, const struct choices *c, const struct shape *s,
                       const struct ccz_ot_ext_size *size, struct ccz_ot_ext *e,
                       struct ccz_err *err)
{
    ccz_rc rc = check_shape(s, size->from_sender, err);
    if (rc != CCZ_OK || s->len == 0)
        return rc;
    rc = cczi_ext_done(e, ring_recv(z, c, s, size, e, err));
    if (rc != CCZ_OK)
        memset(z, 0, s->len * s->width * sizeof(*z));
    return rc;
}

ccz_rc ccz_ot_ext_ring_recv(uint64_t *y, const uint8_t *x, size_t len, size_t width, unsigned bits,
                            struct ccz_ot_ext *e, struct ccz_err *err)
{
    assert(!e->soft.sender);
    const struct ccz_ot_ext_size size = ccz_ot_ext_ring_size(len, width, bits);
    return recv_any(y, &(struct choices){.x = x}, &(struct shape){len, width, bits, 1}, &size, e,
                    err);
}

ccz_rc ccz_ot_ext_mul_recv(uint64_t *z, const uint64_t *a, size_t len, size_t width, unsigned bits,
                           struct ccz_ot_ext *e, struct ccz_err *err)
{
    assert(!e->soft.sender);
    const struct ccz_ot_ext_size size = ccz_ot_ext_mul_size(len, width, bits);
    return recv_any(z, &(struct choices){.a = a}, &(struct shape){len, width, bits, bits}, &size, e,
                    err);
}
