/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Silent correlated OT of random bits. A round: correlated GGM trees (Guo, Yang, Wang, Zhang, Xie, Liu, Zhao 2023, "half-tree"),
 * one noise position each, whose leaves are shares of the noise vector times delta; their check, as in spvole.c; the code of
 * dual LPN (code.c). The last outputs are the OTs of the next round: each of its trees takes one per level, and the check 128.
 *
 * In a correlated tree the nodes of each level add up to delta: a node x has the children H(x) and H(x) + x, and the first two are
 * q and q + delta of an OT. So the sum of the left nodes of a level says that of the right ones, and one block per level is enough:
 * q_l + (left sum), of which the receiver with t_l = q_l + b delta takes the sum of side b. Its noise is on the other side: b is
 * the lowest bit of t_l. The leaf that it lacks is delta plus all others, which is just what its share of the noise has to be.
 * Where the noise is, is the receiver's secret: no address depends on it.
 */
#include "ext_priv.h"

#include <cczoo/crypto.h>

#include <stdlib.h>

enum { TREES = 256, DEPTH_MAX = 16, PIECE = 32, CHECK_OTS = 128, TAU_SIZE = 32, BLOCK_BITS = 128 };

struct cczi_silent_shape cczi_silent_shape(unsigned log)
{
    struct cczi_silent_shape s = {.log = log};
    s.lpn.noisy = (size_t)1 << log;
    s.lpn.n = s.lpn.noisy / 8 * 5;
    s.lpn.t = TREES;
    while ((size_t)TREES << s.lpn.depth < s.lpn.noisy)
        s.lpn.depth++;
    s.base = TREES * s.lpn.depth + CHECK_OTS;
    return s;
}

struct ccz_ot_ext_size cczi_silent_round_size(unsigned log)
{
    const struct cczi_silent_shape s = cczi_silent_shape(log);
    return (struct ccz_ot_ext_size){16 * (uint64_t)TREES * (s.lpn.depth - 1) + TAU_SIZE, 32};
}

/* ---------------------------------------------------------------------------------------- set-up */

static ccz_rc first_base(struct cczi_silent *m, struct cczi_soft *s, struct ccz_err *err)
{
    CCZI_AUTO_ARRAY w = {0};
    size_t blocks = (m->shape.base + BLOCK_BITS - 1) / BLOCK_BITS;
    if (s->sender)
        return cczi_soft_send(m->base.at, m->shape.base, NULL, blocks, s, err);
    ccz_rc rc = cczi_array_init(&w, blocks, err);
    if (rc == CCZ_OK)
        rc = cczi_random_f128(w.at, blocks, s->kernels, err);
    if (rc == CCZ_OK)
        rc = cczi_soft_recv(m->base.at, m->shape.base, NULL, w.at, blocks, s, err);
    return rc;
}

ccz_rc cczi_silent_init(struct cczi_silent *m, const struct cczi_silent_shape *shape,
                        struct ccz_err *err)
{
    *m = (struct cczi_silent){.shape = *shape};
    ccz_rc rc = cczi_array_init(&m->base, shape->base, err);
    if (rc == CCZ_OK)
        rc = cczi_array_init(&m->leaves, shape->lpn.noisy, err);
    if (rc == CCZ_OK)
        rc = cczi_array_init(&m->msg, shape->lpn.t * (shape->lpn.depth - 1), err);
    if (rc == CCZ_OK)
        rc = cczi_array_init(&m->scratch, (size_t)1 << shape->lpn.depth, err);
    return rc;
}

void cczi_silent_deinit(struct cczi_silent *m)
{
    cczi_array_deinit(&m->base);
    cczi_array_deinit(&m->leaves);
    cczi_array_deinit(&m->msg);
    cczi_array_deinit(&m->scratch);
}

ccz_rc cczi_silent_new(struct cczi_silent **out, unsigned log, struct cczi_soft *s,
                       struct ccz_err *err)
{
    const struct cczi_silent_shape shape = cczi_silent_shape(log);
    struct cczi_silent *m = calloc(1, sizeof(*m));
    *out = NULL;
    if (!m)
        return ccz_fail(err, CCZ_E_NOMEM, "ot:memory", 0, "out of memory");
    ccz_rc rc = cczi_silent_init(m, &shape, err);
    if (rc == CCZ_OK)
        rc = first_base(m, s, err);
    if (rc == CCZ_OK)
        *out = m;
    else
        cczi_silent_free(m);
    return rc;
}

void cczi_silent_free(struct cczi_silent *m)
{
    if (!m)
        return;
    cczi_silent_deinit(m);
    free(m);
}

/* ----------------------------------------------------------------------------------------- trees */

/* What both sides draw before the trees of a round are sent. The code is fixed when the receiver's noise is, and before the sender
 * can say anything, so that the sender, against whom LPN protects, cannot choose among codes. */
struct public_part {
    struct cczi_keyring ring;
    uint8_t code_seed[32];
};

static void draw_public(struct public_part *r, struct cczi_soft *s)
{
    cczi_keyring_init(&r->ring, s->kernels, &s->t, "silent tree keys");
    cczi_transcript_draw(r->code_seed, &s->t, "silent code");
}

/* Leaves are shares of bits: the lowest bit is the noise, the sender's 0. */
static void clear_low(struct ccz_f128 *a, size_t len)
{
    for (size_t i = 0; i < len; i++)
        a[i].lo &= ~(uint64_t)1;
}

/* Tree i into out; levels take turns between out and scratch so that the last one ends in out. */
static void grow_tree(struct ccz_f128 *out, struct ccz_f128 *msg, size_t i,
                      const struct cczi_silent *m, const struct public_part *r,
                      const struct cczi_soft *s)
{
    const unsigned depth = m->shape.lpn.depth;
    const struct ccz_f128 *q = m->base.at + i * depth;
    struct ccz_f128 *from = depth % 2 ? out : m->scratch.at;
    struct ccz_f128 *to = depth % 2 ? m->scratch.at : out;
    from[0] = q[0];
    from[1] = cczi_f128_add(q[0], s->delta);
    for (unsigned l = 1; l < depth; l++) {
        struct cczi_aes aes;
        cczi_keyring_get(&aes, &r->ring, i * DEPTH_MAX + l);
        msg[l - 1] = cczi_f128_add(s->kernels->halve(to, from, (size_t)1 << l, &aes), q[l]);
        struct ccz_f128 *t = from;
        from = to;
        to = t;
    }
    clear_low(out, (size_t)1 << depth);
}

static uint64_t is_at(size_t i, size_t at)
{
    uint64_t d = (uint64_t)(i ^ at);
    return ((d | (0 - d)) >> 63) - 1;
}

static struct ccz_f128 pick(struct ccz_f128 a, struct ccz_f128 b, uint64_t bit)
{
    return cczi_f128_add(cczi_f128_and(a, bit - 1), cczi_f128_and(b, 0 - bit));
}

/* Sets the children of node `path`, whose address is secret. */
static void put_pair(struct ccz_f128 *a, size_t pairs, size_t path, const struct ccz_f128 value[2])
{
    for (size_t i = 0; i < pairs; i++) {
        uint64_t m = is_at(i, path);
        a[2 * i] = cczi_f128_add(cczi_f128_and(a[2 * i], ~m), cczi_f128_and(value[0], m));
        a[2 * i + 1] = cczi_f128_add(cczi_f128_and(a[2 * i + 1], ~m), cczi_f128_and(value[1], m));
    }
}

/* Leaves as shares: noise at `hole`, where the share is delta plus the sender's, with the noise bit. */
static void finish_leaves(struct ccz_f128 *a, size_t len, size_t hole, struct ccz_f128 share)
{
    share.lo |= 1;
    for (size_t i = 0; i < len; i++) {
        a[i].lo &= ~(uint64_t)1;
        a[i] = cczi_f128_add(a[i], cczi_f128_and(share, is_at(i, hole)));
    }
}

/*
 * Tree i as the receiver knows it; returns the noise position. A node that it lacks is zero. Both children of zero are the same
 * H(0), which is taken out of the sums; they are overwritten, the one on the way to the noise by zero, the other one by what is
 * missing in the sum of its side. `known` is the sum of all nodes of a level but the one that is missing.
 */
static size_t regrow_tree(struct ccz_f128 *out, const struct ccz_f128 *msg, size_t i,
                          const struct cczi_silent *m, const struct public_part *r,
                          const struct cczi_soft *s)
{
    const unsigned depth = m->shape.lpn.depth;
    const struct ccz_f128 *t = m->base.at + i * depth;
    const struct ccz_f128 zero = {0};
    struct ccz_f128 *from = depth % 2 ? out : m->scratch.at;
    struct ccz_f128 *to = depth % 2 ? m->scratch.at : out;
    CCZI_AUTO_F128 known = t[0];
    CCZI_AUTO_F128 missing = {0};
    struct ccz_f128 children[2];
    uint64_t side = t[0].lo & 1;
    size_t path = (size_t)(side ^ 1);
    from[0] = pick(t[0], zero, side);
    from[1] = pick(zero, t[0], side);
    for (unsigned l = 1; l < depth; l++) {
        struct cczi_aes aes;
        struct ccz_f128 weeds[2];
        cczi_keyring_get(&aes, &r->ring, i * DEPTH_MAX + l);
        struct ccz_f128 left = s->kernels->halve(to, from, (size_t)1 << l, &aes);
        left = cczi_f128_add(left, s->kernels->halve(weeds, &zero, 1, &aes));
        side = t[l].lo & 1;
        missing = pick(left, cczi_f128_add(left, known), side);
        missing = cczi_f128_add(missing, cczi_f128_add(t[l], msg[l - 1]));
        children[0] = pick(missing, zero, side);
        children[1] = pick(zero, missing, side);
        put_pair(to, (size_t)1 << l, path, children);
        known = cczi_f128_add(known, missing);
        path = 2 * path + (size_t)(side ^ 1);
        struct ccz_f128 *other = from;
        from = to;
        to = other;
    }
    finish_leaves(out, (size_t)1 << depth, path, known);
    ccz_wipe(children, sizeof(children));
    return path;
}

/* ----------------------------------------------------------------------------------------- check */

/* The last OTs of the base as one element of a VOLE over GF(2^128): sum of x^i times each. Of the receiver's, the lowest bits are
 * the noise that belongs to it. */
struct blind {
    struct ccz_f128 noise, share;
};
static void blind_wipe(struct blind *b)
{
    ccz_wipe(b, sizeof(*b));
}
#define AUTO_BLIND __attribute__((cleanup(blind_wipe))) struct blind

static struct blind blind_of(const struct cczi_silent *m)
{
    const struct ccz_f128 *ot = m->base.at + m->shape.base - CHECK_OTS;
    struct blind b = {{0}, {0}};
    for (size_t i = CHECK_OTS; i-- > 0;) {
        b.share = cczi_f128_add(cczi_f128_mulx(b.share), ot[i]);
        b.noise = cczi_f128_add(cczi_f128_mulx(b.noise), (struct ccz_f128){ot[i].lo & 1, 0});
    }
    return b;
}

static ccz_rc tau_of(uint8_t tau[TAU_SIZE], struct cczi_soft *s, struct ccz_f128 value,
                     struct ccz_err *err)
{
    cczi_transcript_tag(tau, &s->t, "silent combination", value);
    return cczi_transcript_check(&s->t, err);
}

static ccz_rc answer_check(const struct cczi_silent *m, struct cczi_soft *s, struct ccz_err *err)
{
    struct ccz_f128 asked[2]; /* chi, blinded noise */
    uint8_t tau[TAU_SIZE];
    ccz_rc rc = ccz_chan_recv_exact(asked, sizeof(asked), s->chan, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_transcript_put(&s->t, "silent challenge", CCZ_SPAN(asked, sizeof(asked)));
    CCZI_AUTO_F128 sum = s->kernels->poly(m->leaves.at, m->shape.lpn.noisy, asked[0]);
    AUTO_BLIND blind = blind_of(m);
    sum = cczi_f128_add(sum, s->kernels->mul(asked[1], s->delta));
    sum = cczi_f128_add(sum, blind.share);
    rc = tau_of(tau, s, sum, err);
    if (rc == CCZ_OK)
        rc = ccz_chan_send(s->chan, CCZ_SPAN(tau, sizeof(tau)), err);
    return rc;
}

/* x^exponent of squares x^(2^l); the exponent is secret. */
static struct ccz_f128 power(const struct ccz_f128 *squares, size_t exponent, unsigned bits,
                             const struct cczi_ot_kernels *k)
{
    struct ccz_f128 r = {1, 0};
    for (unsigned l = 0; l < bits; l++)
        r = k->mul(r, pick((struct ccz_f128){1, 0}, squares[l], exponent >> l & 1));
    return r;
}

/* Combinations of the noise and of the receiver's shares: sum of e_j chi^(j+1), of w_j chi^(j+1). */
struct sums {
    struct ccz_f128 noise, all;
};
static void sums_wipe(struct sums *s)
{
    ccz_wipe(s, sizeof(*s));
}
#define AUTO_SUMS __attribute__((cleanup(sums_wipe))) struct sums

/* Trees from .. to - 1, from the last to the first, each combined while it is in the cache. */
static void recv_piece(struct sums *sum, const struct ccz_f128 *squares, size_t from, size_t to,
                       struct cczi_silent *m, const struct public_part *r,
                       const struct cczi_soft *s)
{
    const struct cczi_ot_kernels *k = s->kernels;
    const unsigned depth = m->shape.lpn.depth;
    const struct ccz_f128 chi = squares[0];
    for (size_t i = to; i-- > from;) {
        struct ccz_f128 *out = m->leaves.at + (i << depth);
        size_t hole = regrow_tree(out, m->msg.at + i * (depth - 1), i, m, r, s);
        CCZI_AUTO_F128 at = k->mul(power(squares, hole, depth, k), chi);
        sum->noise = cczi_f128_add(k->mul(sum->noise, squares[depth]), at);
        sum->all =
            cczi_f128_add(k->mul(sum->all, squares[depth]), k->poly(out, (size_t)1 << depth, chi));
    }
}

/* ---------------------------------------------------------------------------------------- rounds */

/* Messages of trees come in pieces, from the last to the first, so that both parties are at work. */
static size_t piece_before(size_t to)
{
    return to > PIECE ? to - PIECE : 0;
}

static struct ccz_span piece_of(const struct cczi_silent *m, size_t from, size_t to)
{
    const size_t each = m->shape.lpn.depth - 1;
    return CCZ_SPAN(m->msg.at + from * each, (to - from) * each * sizeof(*m->msg.at));
}

static ccz_rc send_trees(struct cczi_silent *m, const struct public_part *r, struct cczi_soft *s,
                         struct ccz_err *err)
{
    const unsigned depth = m->shape.lpn.depth;
    ccz_rc rc = CCZ_OK;
    for (size_t to = m->shape.lpn.t, from; to > 0 && rc == CCZ_OK; to = from) {
        from = piece_before(to);
        for (size_t i = to; i-- > from;)
            grow_tree(m->leaves.at + (i << depth), m->msg.at + i * (depth - 1), i, m, r, s);
        rc = cczi_transcript_send(&s->t, "silent trees", piece_of(m, from, to), s->chan, err);
    }
    return rc;
}

/* chi must be random, and stay secret until all trees are there. */
static ccz_rc recv_trees(struct sums *sum, struct ccz_f128 chi, struct cczi_silent *m,
                         const struct public_part *r, struct cczi_soft *s, struct ccz_err *err)
{
    struct ccz_f128 squares[DEPTH_MAX + 1] = {chi};
    ccz_rc rc = CCZ_OK;
    for (unsigned l = 0; l < m->shape.lpn.depth; l++)
        squares[l + 1] = s->kernels->mul(squares[l], squares[l]);
    *sum = (struct sums){{0}, {0}};
    for (size_t to = m->shape.lpn.t, from; to > 0 && rc == CCZ_OK; to = from) {
        from = piece_before(to);
        const struct ccz_span piece = piece_of(m, from, to);
        rc = ccz_chan_recv_exact(m->msg.at + from * (m->shape.lpn.depth - 1), piece.size, s->chan,
                                 err);
        if (rc != CCZ_OK)
            return rc;
        cczi_transcript_put(&s->t, "silent trees", piece);
        recv_piece(sum, squares, from, to, m, r, s);
    }
    return rc;
}

/* Noise to outputs; the last ones are set aside. */
static void encode(struct ccz_f128 *out, struct cczi_silent *m, const struct public_part *r,
                   const struct cczi_soft *s)
{
    const struct cczi_lpn *p = &m->shape.lpn;
    cczi_code_one(out, m->leaves.at, p, r->code_seed, s->kernels);
    memcpy(m->base.at, out + p->n - m->shape.base, m->shape.base * sizeof(*out));
}

static ccz_rc round_send(struct ccz_f128 *out, struct cczi_silent *m, struct cczi_soft *s,
                         struct ccz_err *err)
{
    struct public_part r;
    draw_public(&r, s);
    ccz_rc rc = send_trees(m, &r, s, err);
    if (rc == CCZ_OK)
        rc = answer_check(m, s, err);
    if (rc == CCZ_OK)
        encode(out, m, &r, s);
    return rc;
}

/* What follows after the sender's trees are there. */
static ccz_rc check_and_encode(struct ccz_f128 *out, const struct sums *sum, struct ccz_f128 chi,
                               struct cczi_silent *m, const struct public_part *r,
                               struct cczi_soft *s, struct ccz_err *err)
{
    uint8_t tau[TAU_SIZE], expected[TAU_SIZE];
    AUTO_BLIND blind = blind_of(m);
    const struct ccz_f128 asked[2] = {chi, cczi_f128_add(sum->noise, blind.noise)};
    ccz_rc rc = cczi_transcript_send(&s->t, "silent challenge", CCZ_SPAN(asked, sizeof(asked)),
                                     s->chan, err);
    if (rc == CCZ_OK)
        rc = tau_of(expected, s, cczi_f128_add(sum->all, blind.share), err);
    if (rc != CCZ_OK)
        return rc;
    encode(out, m, r, s); /* while the sender answers */
    rc = ccz_chan_recv_exact(tau, sizeof(tau), s->chan, err);
    if (rc == CCZ_OK && !cczi_same(tau, expected, sizeof(tau)))
        rc = ccz_fail(err, CCZ_E_PEER, "ot:silent-check", 0,
                      "the sender's trees are inconsistent: it cheats");
    return rc;
}

static ccz_rc round_recv(struct ccz_f128 *out, struct cczi_silent *m, struct cczi_soft *s,
                         struct ccz_err *err)
{
    struct public_part r;
    struct ccz_f128 chi;
    AUTO_SUMS sum = {{0}, {0}};
    draw_public(&r, s);
    ccz_rc rc = cczi_random_f128(&chi, 1, s->kernels, err);
    if (rc == CCZ_OK)
        rc = recv_trees(&sum, chi, m, &r, s, err);
    if (rc == CCZ_OK)
        rc = check_and_encode(out, &sum, chi, m, &r, s, err);
    return rc;
}

ccz_rc cczi_silent_round(struct ccz_f128 *out, struct cczi_silent *m, struct cczi_soft *s,
                         struct ccz_err *err)
{
    return s->sender ? round_send(out, m, s, err) : round_recv(out, m, s, err);
}
