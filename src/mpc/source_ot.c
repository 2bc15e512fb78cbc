/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products from oblivious transfer. Of a b = (a0 + a1)(b0 + b1) each party computes a_i b_i alone; a0 b1 and a1 b0 are
 * products of one party's number with the other's (Gilboa, CRYPTO 1999): who has a chooses with its bits, who has b
 * sends. Bit triples are random transfers in both directions, for which nothing is sent.
 */
#include "session.h"

#include <cczoo/ring.h>

#include <stdlib.h>
#include <string.h>

struct source {
    struct ccz_mpc *m;
};

enum {
    CHUNK = 1 << 18,   /* elements of one message: 70 MB at most */
    FILL_MAX = 1 << 26 /* transfers made at once; 16 bytes each */
};

/* A matrix product of which one party has the left factor and the other the right one. */
struct cross {
    size_t m, k, n;
    unsigned left;       /* role that has the left one */
    const uint64_t *own; /* this party's factor */
    uint64_t *c;         /* its share of the result is added here */
};

/* ------------------------------------------------------------------------------------- costs */

/* What a list takes: transfers that each role sends, and bytes of the forms. */
struct tally {
    uint64_t ots[2], size, rounds;
    double elements; /* ring elements that transfers carry, for the estimate of processor time */
};

static void tally_mul(struct tally *t, unsigned sender, size_t len, size_t width, unsigned bits)
{
    struct ccz_ot_ext_size s = ccz_ot_ext_mul_size(len, width, bits);
    t->ots[sender] += (uint64_t)len * bits;
    t->size += s.from_sender + s.from_receiver;
    t->rounds += 2;
    t->elements += (double)len * (double)width * bits;
}

/* Whether the bits of the left factor choose. Whose are fewer. */
static bool left_chooses(const struct cross *x)
{
    return x->m <= x->n;
}

/* Rows of the chooser's factor (left: rows; right: rows as well) in one message. */
static size_t step_of(const struct cross *x)
{
    size_t per = left_chooses(x) ? x->k * x->n : x->n * x->m;
    size_t all = left_chooses(x) ? x->m : x->k;
    size_t step = CHUNK / per > 0 ? CHUNK / per : 1;
    return step < all ? step : all;
}

static void tally_cross(struct tally *t, const struct cross *x, unsigned bits)
{
    bool left = left_chooses(x);
    size_t all = left ? x->m : x->k, step = step_of(x), row = left ? x->k : x->n;
    for (size_t i = 0; i < all; i += step) {
        size_t n = all - i < step ? all - i : step;
        tally_mul(t, left ? 1 - x->left : x->left, n * row, left ? x->n : x->m, bits);
    }
}

/* The matrix products of a need; how many. `item` may be NULL for costs. */
static unsigned crosses_of(struct cross out[2], const struct ccz_mpc *m,
                           const struct ccz_mpc_need *need, const struct ccz_mpc_item *item)
{
    static const struct ccz_mpc_item none;
    const unsigned role = m->cfg.role;
    const struct ccz_mpc_item *t = item ? item : &none;
    if (need->kind == CCZ_MPC_MATMUL) {
        for (unsigned left = 0; left < 2; left++)
            out[left] =
                (struct cross){need->m, need->k, need->n, left, role == left ? t->a : t->b, t->c};
        return 2;
    }
    if (need->kind == CCZ_MPC_CROSS_MATMUL) {
        out[0] = (struct cross){
            need->m, need->k, need->n, need->owner, role == need->owner ? t->x : t->v, t->c};
        return 1;
    }
    if (need->kind != CCZ_MPC_CROSS_CONV2D)
        return 0;
    const struct ccz_mpc_conv *c = &need->conv;
    out[0] = (struct cross){c->batch * c->oh * c->ow,
                            c->kh * c->kw * c->c,
                            c->o,
                            1 - need->owner,
                            role == need->owner ? t->x : t->v,
                            t->c};
    return 1;
}

/* Elementwise products of a need in which `sender` sends. */
static size_t elements_of(const struct ccz_mpc_need *need, unsigned sender)
{
    switch (need->kind) {
    case CCZ_MPC_MUL:
        return need->n;
    case CCZ_MPC_SQUARE:
        return sender == 0 ? need->n : 0;
    case CCZ_MPC_CROSS_MUL:
        return sender == need->owner ? need->n : 0;
    default:
        return 0;
    }
}

static struct tally tally_of(const struct ccz_mpc *m, const struct ccz_mpc_need *needs, size_t len)
{
    const unsigned bits = m->cfg.ring_bits;
    struct tally t = {0};
    uint64_t elements[2] = {0};
    for (size_t i = 0; i < len; i++) {
        struct cross x[2];
        unsigned n = crosses_of(x, m, &needs[i], NULL);
        for (unsigned j = 0; j < n; j++)
            tally_cross(&t, &x[j], bits);
        for (unsigned s = 0; s < 2; s++) {
            elements[s] += elements_of(&needs[i], s);
            t.ots[s] += needs[i].kind == CCZ_MPC_AND ? needs[i].n : 0;
        }
    }
    for (unsigned s = 0; s < 2; s++)
        for (uint64_t at = 0; at < elements[s]; at += CHUNK)
            tally_mul(&t, s, (size_t)(elements[s] - at < CHUNK ? elements[s] - at : CHUNK), 1,
                      bits);
    return t;
}

static ccz_rc ot_cost(struct ccz_mpc_cost *out, void *self, const struct ccz_mpc_need *needs,
                      size_t len, struct ccz_err *err)
{
    struct ccz_mpc *m = ((struct source *)self)->m;
    struct tally t = tally_of(m, needs, len);
    struct ccz_ot_ext_cfg cfg = cczi_mpc_ot_cfg(m);
    (void)err;
    *out = (struct ccz_mpc_cost){.size = t.size, .rounds = t.rounds, .ots = {t.ots[0], t.ots[1]}};
    for (unsigned s = 0; s < 2; s++) {
        if (t.ots[s] == 0)
            continue;
        struct ccz_ot_ext_size setup = ccz_ot_ext_setup_size(&cfg);
        struct ccz_ot_ext_size all = ccz_ot_ext_total_size(&cfg, (size_t)t.ots[s]);
        uint64_t setup_size = setup.from_sender + setup.from_receiver;
        if (!m->ot[s] && !m->ot_planned[s])
            out->setup_size += setup_size;
        out->size += all.from_sender + all.from_receiver - setup_size;
        out->rounds++;
    }
    /* rough, for choosing between sources: transfers, and elements under their masks */
    double per_ot = m->cfg.ot == CCZ_MPC_OT_SILENT ? 100e-9 : 50e-9;
    out->cpu_s = (double)(t.ots[0] + t.ots[1]) * per_ot + t.elements * 10e-9;
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------ matrix products */

/* z = products of the chooser's numbers with the sender's rows, in one message each way. */
static ccz_rc mul(uint64_t *z, struct ccz_mpc *m, unsigned sender, const uint64_t *in, size_t len,
                  size_t width, struct ccz_err *err)
{
    const unsigned bits = m->cfg.ring_bits;
    struct ccz_ot_ext *e;
    ccz_rc rc = cczi_mpc_ot(&e, m, sender, len * bits, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_mpc_count_rounds(m, 2);
    return m->cfg.role == sender ? ccz_ot_ext_mul_send(z, in, len, width, bits, e, err)
                                 : ccz_ot_ext_mul_recv(z, in, len, width, bits, e, err);
}

/* Left chooses: number (i, l) with row l of the right factor. */
static ccz_rc cross_left(const struct cross *x, struct ccz_mpc *m, struct ccz_err *err)
{
    const bool chooses = m->cfg.role == x->left;
    const size_t step = step_of(x), kn = x->k * x->n;
    CCZI_AUTO_WORDS z = {0};
    CCZI_AUTO_WORDS rows = {0};
    ccz_rc rc = cczi_words_init(&z, step * kn, err);
    if (rc == CCZ_OK && !chooses)
        rc = cczi_words_init(&rows, step * kn, err);
    for (size_t i = 0; i < step && rc == CCZ_OK && !chooses; i++)
        memcpy(rows.v + i * kn, x->own, kn * sizeof(*x->own));
    for (size_t i = 0; i < x->m && rc == CCZ_OK; i += step) {
        size_t n = x->m - i < step ? x->m - i : step;
        rc = mul(z.v, m, 1 - x->left, chooses ? x->own + i * x->k : rows.v, n * x->k, x->n, err);
        for (size_t r = 0; r < n && rc == CCZ_OK; r++)
            for (size_t l = 0; l < x->k; l++)
                ccz_ring_add(x->c + (i + r) * x->n, x->c + (i + r) * x->n,
                             z.v + (r * x->k + l) * x->n, x->n, m->cfg.ring_bits);
    }
    return rc;
}

/* Right chooses: number (l, j) with column l of the left factor. */
static ccz_rc cross_right(const struct cross *x, struct ccz_mpc *m, struct ccz_err *err)
{
    const bool chooses = m->cfg.role != x->left;
    const size_t step = step_of(x), mn = x->m * x->n;
    const uint64_t mask = cczi_mpc_mask(m);
    CCZI_AUTO_WORDS z = {0};
    CCZI_AUTO_WORDS columns = {0};
    ccz_rc rc = cczi_words_init(&z, step * mn, err);
    if (rc == CCZ_OK && !chooses)
        rc = cczi_words_init(&columns, step * mn, err);
    for (size_t l = 0; l < x->k && rc == CCZ_OK; l += step) {
        size_t n = x->k - l < step ? x->k - l : step;
        for (size_t at = 0; !chooses && at < n * mn; at++)
            columns.v[at] = x->own[at % x->m * x->k + l + at / mn];
        rc = mul(z.v, m, x->left, chooses ? x->own + l * x->n : columns.v, n * x->n, x->m, err);
        for (size_t at = 0; at < n * mn && rc == CCZ_OK; at++) {
            uint64_t *c = &x->c[at % x->m * x->n + at / x->m % x->n];
            *c = (*c + z.v[at]) & mask;
        }
    }
    return rc;
}

/* The inputs of a convolution become windows, at the party that has them. */
static ccz_rc make_crosses(const struct ccz_mpc_item *item, const struct ccz_mpc_need *need,
                           struct ccz_mpc *m, struct ccz_err *err)
{
    struct cross x[2];
    CCZI_AUTO_WORDS windows = {0};
    unsigned n = crosses_of(x, m, need, item);
    ccz_rc rc = CCZ_OK;
    if (need->kind == CCZ_MPC_CROSS_CONV2D && m->cfg.role != need->owner) {
        rc = cczi_words_init(&windows, x[0].m * x[0].k, err);
        if (rc == CCZ_OK)
            cczi_mpc_windows(windows.v, item->v, &need->conv);
        x[0].own = windows.v;
    }
    for (unsigned j = 0; j < n && rc == CCZ_OK; j++)
        rc = left_chooses(&x[j]) ? cross_left(&x[j], m, err) : cross_right(&x[j], m, err);
    return rc;
}

/* --------------------------------------------------------------------------- elementwise products */

/* What this party brings to the elementwise products of a need in that direction. */
static const uint64_t *factor_of(const struct ccz_mpc_item *t, const struct ccz_mpc_need *need,
                                 bool sends, const struct ccz_mpc *m)
{
    if (need->kind == CCZ_MPC_CROSS_MUL)
        return m->cfg.role == need->owner ? t->x : t->v;
    return need->kind == CCZ_MPC_SQUARE || !sends ? t->a : t->b;
}

/* All of one direction, joined and cut into messages. */
static ccz_rc make_elements(struct ccz_mpc_item *items, const struct ccz_mpc_need *needs,
                            size_t len, unsigned sender, struct ccz_mpc *m, struct ccz_err *err)
{
    const unsigned bits = m->cfg.ring_bits;
    size_t all = 0, at = 0;
    CCZI_AUTO_WORDS in = {0};
    CCZI_AUTO_WORDS z = {0};
    for (size_t i = 0; i < len; i++)
        all += elements_of(&needs[i], sender);
    if (all == 0)
        return CCZ_OK;
    ccz_rc rc = cczi_words_init(&in, all, err);
    if (rc == CCZ_OK)
        rc = cczi_words_init(&z, all, err);
    for (size_t i = 0; i < len && rc == CCZ_OK; at += elements_of(&needs[i], sender), i++)
        if (elements_of(&needs[i], sender))
            memcpy(in.v + at, factor_of(&items[i], &needs[i], m->cfg.role == sender, m),
                   needs[i].n * sizeof(*in.v));
    for (at = 0; at < all && rc == CCZ_OK; at += CHUNK)
        rc = mul(z.v + at, m, sender, in.v + at, all - at < CHUNK ? all - at : CHUNK, 1, err);
    at = 0;
    for (size_t i = 0; i < len && rc == CCZ_OK; at += elements_of(&needs[i], sender), i++) {
        size_t n = elements_of(&needs[i], sender);
        uint64_t *c = items[i].c;
        ccz_ring_add(c, c, z.v + at, n, bits);
        if (needs[i].kind == CCZ_MPC_SQUARE) /* a0 a1 + a1 a0 */
            ccz_ring_add(c, c, z.v + at, n, bits);
    }
    return rc;
}

/* ---------------------------------------------------------------------------------------- bits */

/* len bits from bit `at` of a packed array to words. */
static void copy_bits(uint64_t *out, const uint8_t *in, size_t at, size_t len)
{
    memset(out, 0, (len + 63) / 64 * sizeof(*out));
    for (size_t i = 0; i < len; i += 8) {
        size_t byte = (at + i) / 8, off = (at + i) % 8, left = len - i < 8 ? len - i : 8;
        unsigned v = (unsigned)in[byte] >> off;
        if (off + left > 8)
            v |= (unsigned)in[byte + 1] << (8 - off);
        out[i / 64] |= (uint64_t)(v & ((1u << left) - 1)) << i % 64;
    }
}

static ccz_rc make_bits(struct ccz_mpc_item *items, const struct ccz_mpc_need *needs, size_t len,
                        struct ccz_mpc *m, struct ccz_err *err)
{
    struct ccz_ot_ext *e[2];
    const unsigned role = m->cfg.role;
    size_t all = 0, at = 0;
    uint8_t *abc = NULL;
    for (size_t i = 0; i < len; i++)
        all += needs[i].kind == CCZ_MPC_AND ? needs[i].n : 0;
    if (all == 0)
        return CCZ_OK;
    const size_t size = (all + 7) / 8;
    ccz_rc rc = cczi_mpc_alloc(&abc, 3 * size, 1, err);
    for (unsigned s = 0; s < 2 && rc == CCZ_OK; s++)
        rc = cczi_mpc_ot(&e[s], m, s, all, err);
    if (rc == CCZ_OK)
        rc = ccz_ot_ext_triples(abc, abc + size, abc + 2 * size, all, e[role], e[1 - role],
                                role == 0, err);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++) {
        if (needs[i].kind != CCZ_MPC_AND)
            continue;
        copy_bits(items[i].a, abc, at, needs[i].n);
        copy_bits(items[i].b, abc + size, at, needs[i].n);
        copy_bits(items[i].c, abc + 2 * size, at, needs[i].n);
        at += needs[i].n;
    }
    cczi_mpc_wipe_free(abc, 3 * size);
    return rc;
}

/* ------------------------------------------------------------------------------------- source */

/* Random shares of the factors, and what this party can multiply alone. */
static ccz_rc draw(struct ccz_mpc_item *t, const struct ccz_mpc_need *need, struct ccz_mpc *m,
                   struct ccz_err *err)
{
    const unsigned bits = m->cfg.ring_bits;
    ccz_rc rc = CCZ_OK;
    if (need->kind == CCZ_MPC_AND)
        return CCZ_OK; /* the transfers draw them */
    if (t->a)
        rc = cczi_mpc_random(t->a, t->a_len, bits, m, err);
    if (rc == CCZ_OK && t->b)
        rc = cczi_mpc_random(t->b, t->b_len, bits, m, err);
    if (rc == CCZ_OK && t->v)
        rc = cczi_mpc_random(t->v, t->v_len, bits, m, err);
    if (rc != CCZ_OK)
        return rc;
    if (need->kind == CCZ_MPC_MUL)
        ccz_ring_mul(t->c, t->a, t->b, need->n, bits);
    else if (need->kind == CCZ_MPC_SQUARE)
        ccz_ring_mul(t->c, t->a, t->a, need->n, bits);
    else if (need->kind == CCZ_MPC_MATMUL)
        ccz_ring_matmul_add(t->c, t->a, t->b, need->m, need->k, need->n, bits);
    return CCZ_OK;
}

static ccz_rc ot_prepare(struct ccz_mpc_item *items, void *self, const struct ccz_mpc_need *needs,
                         size_t len, struct ccz_err *err)
{
    struct ccz_mpc *m = ((struct source *)self)->m;
    const struct tally t = tally_of(m, needs, len);
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < len && rc == CCZ_OK; i++)
        rc = draw(&items[i], &needs[i], m, err);
    for (unsigned s = 0; s < 2 && rc == CCZ_OK; s++)
        if (t.ots[s] > 0 && t.ots[s] <= FILL_MAX) /* above: in the course of it */
            rc = cczi_mpc_ot_fill(m, s, (size_t)t.ots[s], err);
    for (unsigned s = 0; s < 2 && rc == CCZ_OK; s++)
        rc = make_elements(items, needs, len, s, m, err);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++)
        rc = make_crosses(&items[i], &needs[i], m, err);
    return rc == CCZ_OK ? make_bits(items, needs, len, m, err) : rc;
}

static bool ot_can(void *self, const struct ccz_mpc_need *need)
{
    (void)self;
    return need->kind != CCZ_MPC_OTS;
}

ccz_rc ccz_mpc_source_ot_new(struct ccz_mpc_source **out, struct ccz_mpc *m, struct ccz_err *err)
{
    static const struct ccz_mpc_source_ops ops = {
        .name = "ot", .can = ot_can, .cost = ot_cost, .prepare = ot_prepare, .free = free};
    struct source *s = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_alloc(&s, 1, sizeof(*s), err);
    if (rc != CCZ_OK)
        return rc;
    s->m = m;
    return ccz_mpc_source_new(out, CCZ_MPC_SOURCE_OT, &ops, s, err);
}
