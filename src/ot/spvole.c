/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One noise position per tree: GGM trees grown by the sender, of which OTs give the receiver all leaves but one, and a short VOLE
 * that puts noise times delta there. Checked as in Weng, Yang, Katz, Wang 2021 (Wolverine), figure 7: a random linear combination
 * of all leaves, its noise part blinded by one more element of the short VOLE, and a hash to compare.
 * Where the noise is, is the receiver's secret: no address depends on it.
 */
#include "ot_priv.h"

#include <cczoo/crypto.h>

#include <string.h>

enum { PAD_CHUNK = 64, TREE_DEPTH_MAX = 24, BLOCK_BITS = 128, TAU_SIZE = 32 };

/* What the underlying protocols hand over. */
struct seeds {
    struct cczi_array rows; /* OTs, [ots] */
    struct cczi_array comb; /* [ot_blocks], then short VOLE [t], then one more */
    struct cczi_array w;    /* receiver: choices and noise, same order */
    struct cczi_array msg;  /* per tree: two per level, then one */
    struct cczi_array scratch;
    struct cczi_keyring ring;
    size_t ots, ot_blocks, blocks;
};

static ccz_rc seeds_init(struct seeds *x, const struct cczi_lpn *p, bool sender,
                         struct ccz_err *err)
{
    *x = (struct seeds){.ots = p->t * p->depth};
    x->ot_blocks = (x->ots + BLOCK_BITS - 1) / BLOCK_BITS;
    x->blocks = x->ot_blocks + p->t + 1;
    ccz_rc rc = cczi_array_init(&x->rows, x->ots, err);
    if (rc == CCZ_OK)
        rc = cczi_array_init(&x->comb, x->blocks, err);
    if (rc == CCZ_OK && !sender)
        rc = cczi_array_init(&x->w, x->blocks, err);
    if (rc == CCZ_OK)
        rc = cczi_array_init(&x->msg, p->t * (2 * p->depth + 1), err);
    if (rc == CCZ_OK)
        rc = cczi_array_init(&x->scratch, (size_t)2 << p->depth, err);
    return rc;
}

static void seeds_deinit(struct seeds *x)
{
    cczi_array_deinit(&x->rows);
    cczi_array_deinit(&x->comb);
    cczi_array_deinit(&x->w);
    cczi_array_deinit(&x->msg);
    cczi_array_deinit(&x->scratch);
}

/* Messages of OT number `first` and those behind it: hashes of the rows. */
static void make_pads(struct ccz_f128 *pads, const struct ccz_f128 *rows, size_t len, size_t first,
                      struct cczi_soft *s)
{
    cczi_hash_run(pads, rows, len, first, 1, &s->hash);
}

/* Both sides draw the same before the trees are sent. That the code is fixed after the receiver's corrections means that the
 * sender, against whom LPN protects, cannot choose among codes. */
static void draw_public(struct seeds *x, uint8_t code_seed[32], struct cczi_soft *s)
{
    cczi_keyring_init(&x->ring, s->kernels, &s->t, "noise tree keys");
    cczi_transcript_draw(code_seed, &s->t, "code");
}

/* What both compare: hash of a combination that only honest parties have in common. */
static ccz_rc tau_of(uint8_t tau[TAU_SIZE], struct cczi_soft *s, struct ccz_f128 value,
                     struct ccz_err *err)
{
    cczi_transcript_tag(tau, &s->t, "combination", value);
    return cczi_transcript_check(&s->t, err);
}

/* -------------------------------------------------------------------------------------- sender */

/* Grows tree i into `leaves`; msg gets the sums of both sides per level and of all leaves. Levels take turns between
 * scratch and leaves so that the last one ends where it belongs. */
static void grow_tree(struct ccz_f128 *leaves, struct ccz_f128 *msg, struct ccz_f128 root, size_t i,
                      const struct cczi_lpn *p, struct seeds *x)
{
    struct ccz_f128 *from = p->depth % 2 ? x->scratch.at : leaves;
    struct ccz_f128 *to = p->depth % 2 ? leaves : x->scratch.at;
    from[0] = root;
    for (unsigned l = 0; l < p->depth; l++) {
        struct cczi_aes aes;
        cczi_keyring_get(&aes, &x->ring, i * TREE_DEPTH_MAX + l);
        x->ring.kernels->grow(to, from, (size_t)1 << l, &aes);
        cczi_side_sums(msg + (size_t)2 * l, to, (size_t)2 << l);
        struct ccz_f128 *t = from;
        from = to;
        to = t;
    }
    const struct ccz_f128 *last = msg + (size_t)2 * (p->depth - 1);
    msg[(size_t)2 * p->depth] = cczi_f128_add(last[0], last[1]);
}

/* Hides the sums of tree i: those of a level by OT, that of the leaves by the short VOLE. */
static void hide_sums(struct ccz_f128 *msg, size_t i, const struct cczi_lpn *p,
                      const struct seeds *x, struct cczi_soft *s)
{
    struct ccz_f128 rows[2][TREE_DEPTH_MAX], pads[2][TREE_DEPTH_MAX];
    size_t first = i * p->depth;
    for (size_t l = 0; l < p->depth; l++) {
        rows[0][l] = x->rows.at[first + l];
        rows[1][l] = cczi_f128_add(rows[0][l], s->delta);
    }
    for (int b = 0; b < 2; b++) {
        make_pads(pads[b], rows[b], p->depth, first, s);
        for (size_t l = 0; l < p->depth; l++)
            msg[2 * l + (size_t)b] = cczi_f128_add(msg[2 * l + (size_t)b], pads[b][l]);
    }
    msg[2 * p->depth] = cczi_f128_add(msg[2 * p->depth], x->comb.at[x->ot_blocks + i]);
    ccz_wipe(rows, sizeof(rows));
    ccz_wipe(pads, sizeof(pads));
}

static ccz_rc send_trees(struct ccz_f128 *v, const struct cczi_lpn *p, struct seeds *x,
                         struct cczi_soft *s, struct ccz_err *err)
{
    CCZI_AUTO_ARRAY roots;
    ccz_rc rc = cczi_array_init(&roots, p->t, err);
    if (rc == CCZ_OK)
        rc = cczi_random_f128(roots.at, p->t, s->kernels, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < p->t; i++) {
        struct ccz_f128 *msg = x->msg.at + i * (2 * p->depth + 1);
        grow_tree(v + (i << p->depth), msg, roots.at[i], i, p, x);
        hide_sums(msg, i, p, x, s);
    }
    struct ccz_span all = CCZ_SPAN(x->msg.at, x->msg.len * sizeof(*x->msg.at));
    return cczi_transcript_send(&s->t, "noise trees", all, s->chan, err);
}

static ccz_rc answer_check(const struct ccz_f128 *v, const struct cczi_lpn *p,
                           const struct seeds *x, struct cczi_soft *s, struct ccz_err *err)
{
    struct ccz_f128 asked[2]; /* chi, blinded noise */
    uint8_t tau[TAU_SIZE];
    ccz_rc rc = ccz_chan_recv_exact(asked, sizeof(asked), s->chan, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_transcript_put(&s->t, "challenge", CCZ_SPAN(asked, sizeof(asked)));
    struct ccz_f128 sum = s->kernels->poly(v, p->noisy, asked[0]);
    sum = cczi_f128_add(sum, s->kernels->mul(asked[1], s->delta));
    sum = cczi_f128_add(sum, x->comb.at[x->blocks - 1]);
    rc = tau_of(tau, s, sum, err);
    if (rc == CCZ_OK)
        rc = ccz_chan_send(s->chan, CCZ_SPAN(tau, sizeof(tau)), err);
    ccz_wipe(&sum, sizeof(sum));
    return rc;
}

ccz_rc cczi_spvole_send(struct ccz_f128 *v, const struct cczi_lpn *p, uint8_t code_seed[32],
                        struct cczi_soft *s, struct ccz_err *err)
{
    struct seeds x;
    ccz_rc rc = seeds_init(&x, p, true, err);
    if (rc == CCZ_OK)
        rc = cczi_soft_send(x.rows.at, x.ots, x.comb.at, x.blocks, s, err);
    if (rc == CCZ_OK) {
        draw_public(&x, code_seed, s);
        rc = send_trees(v, p, &x, s, err);
    }
    if (rc == CCZ_OK)
        rc = answer_check(v, p, &x, s, err);
    seeds_deinit(&x);
    return rc;
}

/* ------------------------------------------------------------------------------------ receiver */

static uint64_t is_at(size_t i, size_t at)
{
    uint64_t d = (uint64_t)(i ^ at);
    return ((d | (0 - d)) >> 63) - 1;
}

static struct ccz_f128 pick(const struct ccz_f128 two[2], uint64_t bit)
{
    return cczi_f128_add(cczi_f128_and(two[0], bit - 1), cczi_f128_and(two[1], 0 - bit));
}

/* Sets the children of node `path`, whose address is secret, to the two values. */
static void put_pair(struct ccz_f128 *a, size_t pairs, size_t path, const struct ccz_f128 value[2])
{
    for (size_t i = 0; i < pairs; i++) {
        uint64_t m = is_at(i, path);
        a[2 * i] = cczi_f128_add(cczi_f128_and(a[2 * i], ~m), cczi_f128_and(value[0], m));
        a[2 * i + 1] = cczi_f128_add(cczi_f128_and(a[2 * i + 1], ~m), cczi_f128_and(value[1], m));
    }
}

/* The way from the root to the hole: at each level the other side than the OT's choice. */
struct hole {
    size_t at;
    uint64_t choice[TREE_DEPTH_MAX];
    struct ccz_f128 known[TREE_DEPTH_MAX]; /* sums of the chosen sides */
};

static void open_sums(struct hole *h, const struct ccz_f128 *msg, size_t i,
                      const struct cczi_lpn *p, const struct seeds *x, struct cczi_soft *s)
{
    struct ccz_f128 pads[TREE_DEPTH_MAX];
    size_t first = i * p->depth;
    make_pads(pads, x->rows.at + first, p->depth, first, s);
    h->at = 0;
    for (size_t l = 0; l < p->depth; l++) {
        const struct ccz_f128 block = x->w.at[(first + l) / BLOCK_BITS];
        size_t bit = (first + l) % BLOCK_BITS;
        h->choice[l] = (bit < 64 ? block.lo : block.hi) >> (bit & 63) & 1;
        h->known[l] = cczi_f128_add(pick(msg + 2 * l, h->choice[l]), pads[l]);
        h->at = 2 * h->at + (size_t)(h->choice[l] ^ 1);
    }
    ccz_wipe(pads, sizeof(pads));
}

/* Regrows tree i; returns its leaves, zero in the hole, in one half of scratch. What grows out of the zero on the way to the hole
 * is known, taken out of the sums, and overwritten. */
static struct ccz_f128 *regrow_tree(const struct hole *h, size_t i, const struct cczi_lpn *p,
                                    const struct seeds *x)
{
    const struct cczi_ot_kernels *k = x->ring.kernels;
    const struct ccz_f128 zero = {0};
    struct ccz_f128 *from = x->scratch.at, *to = from + ((size_t)1 << p->depth);
    size_t path = 0;
    from[0] = zero;
    for (unsigned l = 0; l < p->depth; l++) {
        struct cczi_aes aes;
        struct ccz_f128 sums[2], weeds[2], children[2];
        cczi_keyring_get(&aes, &x->ring, i * TREE_DEPTH_MAX + l);
        k->grow(to, from, (size_t)1 << l, &aes);
        k->grow(weeds, &zero, 1, &aes);
        cczi_side_sums(sums, to, (size_t)2 << l);
        CCZI_AUTO_F128 missing = cczi_f128_add(h->known[l], pick(sums, h->choice[l]));
        missing = cczi_f128_add(missing, pick(weeds, h->choice[l]));
        children[0] = cczi_f128_and(missing, h->choice[l] - 1);
        children[1] = cczi_f128_and(missing, 0 - h->choice[l]);
        put_pair(to, (size_t)1 << l, path, children);
        ccz_wipe(children, sizeof(children));
        ccz_wipe(sums, sizeof(sums));
        path = 2 * path + (size_t)(h->choice[l] ^ 1);
        struct ccz_f128 *t = from;
        from = to;
        to = t;
    }
    return from;
}

/* Leaves with what belongs into the hole, beside the noise vector. */
static void fill_pairs(struct ccz_f128 (*out)[2], struct ccz_f128 *leaves, size_t len, size_t hole,
                       struct ccz_f128 noise, struct ccz_f128 sum)
{
    struct ccz_f128 sides[2];
    cczi_side_sums(sides, leaves, len);
    sum = cczi_f128_add(sum, cczi_f128_add(sides[0], sides[1]));
    for (size_t j = 0; j < len; j++) {
        uint64_t m = is_at(j, hole);
        leaves[j] = cczi_f128_add(leaves[j], cczi_f128_and(sum, m));
        out[j][0] = cczi_f128_and(noise, m);
        out[j][1] = leaves[j];
    }
}

/* Powers x^(2^l), and x to a secret exponent of `depth` bits. */
static struct ccz_f128 power(const struct ccz_f128 squares[TREE_DEPTH_MAX + 1], size_t exponent,
                             unsigned depth, const struct cczi_ot_kernels *k)
{
    struct ccz_f128 r = {1, 0};
    for (unsigned l = 0; l < depth; l++) {
        const struct ccz_f128 factor[2] = {{1, 0}, squares[l]};
        r = k->mul(r, pick(factor, exponent >> l & 1));
    }
    return r;
}

/* Combinations of both vectors: sum of e_j chi^(j+1) and of w_j chi^(j+1). */
struct sums {
    struct ccz_f128 noise, all;
};

/* From the last tree to the first, so that what is there already moves up by one tree. */
static void recv_trees(struct sums *sum, struct ccz_f128 (*out)[2], struct ccz_f128 chi,
                       const struct cczi_lpn *p, struct seeds *x, struct cczi_soft *s)
{
    const struct cczi_ot_kernels *k = s->kernels;
    struct ccz_f128 squares[TREE_DEPTH_MAX + 1] = {chi};
    for (unsigned l = 0; l < p->depth; l++)
        squares[l + 1] = k->mul(squares[l], squares[l]);
    *sum = (struct sums){0};
    for (size_t i = p->t; i-- > 0;) {
        const struct ccz_f128 *msg = x->msg.at + i * (2 * p->depth + 1);
        const struct ccz_f128 noise = x->w.at[x->ot_blocks + i];
        struct hole h;
        open_sums(&h, msg, i, p, x, s);
        struct ccz_f128 *leaves = regrow_tree(&h, i, p, x);
        fill_pairs(out + (i << p->depth), leaves, (size_t)1 << p->depth, h.at, noise,
                   cczi_f128_add(msg[2 * p->depth], x->comb.at[x->ot_blocks + i]));
        CCZI_AUTO_F128 at = k->mul(power(squares, h.at, p->depth, k), chi);
        sum->noise = cczi_f128_add(k->mul(sum->noise, squares[p->depth]), k->mul(noise, at));
        sum->all = cczi_f128_add(k->mul(sum->all, squares[p->depth]),
                                 k->poly(leaves, (size_t)1 << p->depth, chi));
        ccz_wipe(&h, sizeof(h));
    }
}

static ccz_rc check_trees(const struct sums *sum, struct ccz_f128 chi, const struct seeds *x,
                          struct cczi_soft *s, struct ccz_err *err)
{
    uint8_t tau[TAU_SIZE], expected[TAU_SIZE];
    const struct ccz_f128 asked[2] = {chi, cczi_f128_add(sum->noise, x->w.at[x->blocks - 1])};
    ccz_rc rc =
        cczi_transcript_send(&s->t, "challenge", CCZ_SPAN(asked, sizeof(asked)), s->chan, err);
    if (rc == CCZ_OK)
        rc = tau_of(expected, s, cczi_f128_add(sum->all, x->comb.at[x->blocks - 1]), err);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv_exact(tau, sizeof(tau), s->chan, err);
    if (rc != CCZ_OK)
        return rc;
    if (!cczi_same(tau, expected, sizeof(tau)))
        return ccz_fail(err, CCZ_E_PEER, "vole:check", 0,
                        "the sender's trees are inconsistent: it cheats");
    return CCZ_OK;
}

ccz_rc cczi_spvole_recv(struct ccz_f128 (*out)[2], const struct cczi_lpn *p, uint8_t code_seed[32],
                        struct cczi_soft *s, struct ccz_err *err)
{
    struct seeds x;
    struct sums sum;
    struct ccz_f128 chi;
    ccz_rc rc = seeds_init(&x, p, false, err);
    if (rc == CCZ_OK)
        rc = cczi_random_f128(x.w.at, x.blocks, s->kernels, err);
    if (rc == CCZ_OK)
        rc = cczi_soft_recv(x.rows.at, x.ots, x.comb.at, x.w.at, x.blocks, s, err);
    if (rc == CCZ_OK) {
        draw_public(&x, code_seed, s);
        rc = ccz_chan_recv_exact(x.msg.at, x.msg.len * sizeof(*x.msg.at), s->chan, err);
    }
    if (rc == CCZ_OK) {
        cczi_transcript_put(&s->t, "noise trees",
                            CCZ_SPAN(x.msg.at, x.msg.len * sizeof(*x.msg.at)));
        rc = cczi_random_f128(&chi, 1, s->kernels, err); /* after the sender is bound */
    }
    if (rc == CCZ_OK) {
        recv_trees(&sum, out, chi, p, &x, s);
        rc = check_trees(&sum, chi, &x, s, err);
    }
    ccz_wipe(&sum, sizeof(sum));
    seeds_deinit(&x);
    return rc;
}

uint64_t cczi_spvole_size(const struct cczi_lpn *p, unsigned k)
{
    uint64_t blocks = (p->t * p->depth + BLOCK_BITS - 1) / BLOCK_BITS + p->t + 1;
    return cczi_soft_size(blocks, k) + 16 * (uint64_t)p->t * (2 * p->depth + 1) + 32 + TAU_SIZE;
}
