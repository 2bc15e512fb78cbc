/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signs. x = a + w, a known to rel 0, w to rel 1 and to rel 2. The sign of x is the exclusive or of both highest bits and of the
 * carry into that place.
 *
 * The bits below are cut into leaves of 4. Rel 0 shares all products of the bits of a in a leaf (15 of them) between rel 1 and
 * rel 2, who both know w: whether a leaf makes a carry, and whether it hands one on, is a sum of those products with coefficients
 * that both know. So one message of 15 bits replaces three levels of ANDs, and serves any number of comparisons of the same a. What
 * the two have is then made replicated (2 bits), and a tree joins the leaves.
 *
 * Everything is rows: a bit of all elements, 64 to a word.
 */
#include "rep3_priv.h"

#include <string.h>

enum { LEAF = 4, PRODUCTS = 1 << LEAF };

struct compare {
    struct ccz_rep3 *m;
    size_t len, words, t; /* elements; words of a row; thresholds */
    unsigned low;         /* bits left out */
    unsigned carry_bits, leaves;
    size_t product_rows;
};

ccz_rc cczi_rep3_range(struct ccz_rep3_range *out, const struct ccz_rep3 *m,
                       struct ccz_rep3_range range, struct ccz_err *err)
{
    const unsigned k = m->cfg.ring_bits;
    *out = range;
    if (range.bits == 0)
        out->bits = k;
    if (range.skip > k - 2 || out->bits > k || out->bits < range.skip + 2)
        return ccz_fail(err, CCZ_E_ARG, "rep3:range", range.bits,
                        "%u bits, the lowest %u left out, of %u", out->bits, range.skip, k);
    return CCZ_OK;
}

static unsigned leaf_bits(const struct compare *c, unsigned leaf)
{
    unsigned left = c->carry_bits - leaf * LEAF;
    return left < LEAF ? left : LEAF;
}

static struct compare compare_of(const struct cczi_rep3_split *x, size_t t,
                                 const struct ccz_rep3_range *range)
{
    struct compare c = {.m = x->x->m,
                        .len = x->x->len,
                        .words = (x->x->len + 63) / 64,
                        .t = t,
                        .low = range->skip,
                        .carry_bits = range->bits - range->skip - 1};
    c.leaves = (c.carry_bits + LEAF - 1) / LEAF;
    for (unsigned i = 0; i < c.leaves; i++)
        c.product_rows += ((size_t)1 << leaf_bits(&c, i)) - 1;
    return c;
}

/* -------------------------------------------------------------------------- products of bits of a */

/* rows [carry_bits][words] of a; out [product_rows][words] */
static void products(uint64_t *out, const uint64_t *rows, const struct compare *c)
{
    const size_t n = c->words;
    for (unsigned leaf = 0; leaf < c->leaves; leaf++) {
        unsigned last = 1u << leaf_bits(c, leaf);
        for (unsigned s = 1; s < last; s++) {
            unsigned bit = 0, rest = s & (s - 1);
            while (!(s >> bit & 1))
                bit++;
            const uint64_t *row = rows + (leaf * LEAF + bit) * n;
            for (size_t i = 0; i < n; i++)
                out[(s - 1) * n + i] = rest ? row[i] & out[(rest - 1) * n + i] : row[i];
        }
        out += (last - 1) * n;
    }
}

/* p: this party's share of the products; rel 0: they themselves. Puts and wants. */
static ccz_rc share_products(uint64_t *p, const uint64_t *a, const struct compare *c,
                             struct ccz_err *err)
{
    const size_t all = c->product_rows * c->words;
    const unsigned rel = cczi_rep3_rel(c->m);
    if (rel == 1)
        cczi_rep3_pair(p, all, 64, 1, c->m);
    if (rel == 2)
        cczi_rep3_want_rows(c->m, CCZI_NEXT, p, c->product_rows, c->len);
    if (rel != 0)
        return CCZ_OK;
    CCZI_REP3_WORDS rows = {0};
    CCZI_REP3_WORDS pad = {0};
    ccz_rc rc = cczi_rep3_words_init(&rows, c->carry_bits * c->words, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_words_init(&pad, all, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_ring_bit_rows(rows.v, a, c->len, c->low, c->carry_bits);
    products(p, rows.v, c);
    cczi_rep3_pair(pad.v, all, 64, 1, c->m);
    for (size_t i = 0; i < all; i++)
        p[i] ^= pad.v[i];
    cczi_rep3_put_rows(c->m, CCZI_PREV, p, c->product_rows, c->len);
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------- leaves */

enum { BLOCK = 8 }; /* words that are worked on together */

/*
 * Shares of "makes a carry" and "hands a carry on" of one leaf, for n <= BLOCK words. With a_b, w_b the bits of the leaf, b from
 * below: carry' = a_b w_b + (a_b + w_b) carry, on = (a_b + w_b) on, where multiplying by a_b is looking up the entry with b in its
 * set: entry s holds everything times the product of a over s.
 */
struct leaf {
    uint64_t m[PRODUCTS][BLOCK], c[PRODUCTS][BLOCK], on[PRODUCTS][BLOCK];
};
static void leaf_block(uint64_t *g, uint64_t *p, const uint64_t *share, const uint64_t *w,
                       size_t words, size_t n, unsigned bits, uint64_t one, struct leaf *leaf)
{
    uint64_t(*m)[BLOCK] = leaf->m, (*c)[BLOCK] = leaf->c, (*on)[BLOCK] = leaf->on;
    const unsigned sets = 1u << bits;
    memset(c, 0, sizeof(leaf->c));
    for (unsigned s = 0; s < sets; s++)
        for (size_t i = 0; i < BLOCK; i++)
            m[s][i] = on[s][i] = i >= n ? 0 : s == 0 ? one : share[(s - 1) * words + i];
    for (unsigned b = 0; b < bits; b++) {
        const unsigned bit = 1u << b;
        uint64_t wb[BLOCK] = {0};
        memcpy(wb, w + b * words, n * sizeof(*w));
        for (unsigned s = 0; s < sets; s += 2 * bit)
            for (size_t i = 0; i < BLOCK; i++) {
                c[s][i] = (wb[i] & (m[s | bit][i] ^ c[s][i])) ^ c[s | bit][i];
                on[s][i] = on[s | bit][i] ^ (wb[i] & on[s][i]);
            }
    }
    memcpy(g, c[0], n * sizeof(*g));
    if (p)
        memcpy(p, on[0], n * sizeof(*p));
}

/* Of a node: the rows of "makes" and "hands on"; the lowest node has no second one. */
static size_t row_g(size_t node)
{
    return node ? 2 * node - 1 : 0;
}
static size_t row_p(size_t node)
{
    return 2 * node;
}
static size_t node_rows(size_t nodes)
{
    return 2 * nodes - 1;
}

/* e: [t][node_rows][words] of shares; w: rows [t][carry_bits + 1][words] */
static void leaves(uint64_t *e, const uint64_t *share, const uint64_t *w, const struct compare *c)
{
    const size_t n = c->words;
    const uint64_t one = cczi_rep3_rel(c->m) == 1 ? UINT64_MAX : 0;
    struct leaf block;
    for (size_t t = 0; t < c->t; t++) {
        const uint64_t *s = share, *wt = w + t * (c->carry_bits + 1) * n;
        uint64_t *et = e + t * node_rows(c->leaves) * n;
        for (unsigned leaf = 0; leaf < c->leaves; leaf++) {
            const unsigned bits = leaf_bits(c, leaf);
            for (size_t i = 0; i < n; i += BLOCK)
                leaf_block(et + row_g(leaf) * n + i, leaf ? et + row_p(leaf) * n + i : NULL, s + i,
                           wt + leaf * LEAF * n + i, n, n - i < BLOCK ? n - i : BLOCK, bits, one,
                           &block);
            s += (((size_t)1 << bits) - 1) * n;
        }
    }
    ccz_wipe(&block, sizeof(block));
}

/* Rows of which rel 1 and rel 2 have summands (e) become replicated: v[2][rows][words]. One round. */
static ccz_rc replicate(uint64_t *v, const uint64_t *e, size_t rows, const struct compare *c,
                        struct ccz_err *err)
{
    const size_t all = rows * c->words;
    const unsigned rel = cczi_rep3_rel(c->m);
    uint64_t *own = rel == 1 ? v : v + all, *common = rel == 1 ? v + all : v;
    if (rel == 0) {
        cczi_rep3_want_rows(c->m, CCZI_PREV, v, rows, c->len);
        cczi_rep3_want_rows(c->m, CCZI_NEXT, v + all, rows, c->len);
        return cczi_rep3_round(c->m, err);
    }
    CCZI_REP3_WORDS pad = {0};
    ccz_rc rc = cczi_rep3_words_init(&pad, 2 * all, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_rep3_pair(pad.v, 2 * all, 64, 2, c->m);
    for (size_t i = 0; i < all; i++) {
        own[i] = e[i] ^ pad.v[(rel == 1 ? 0 : all) + i];
        common[i] = pad.v[i] ^ pad.v[all + i];
    }
    cczi_rep3_put_rows(c->m, rel == 1 ? CCZI_PREV : CCZI_NEXT, own, rows, c->len);
    return cczi_rep3_round(c->m, err);
}

/* --------------------------------------------------------------------------------------- tree */

/* This party's summand of x y, for a row: x, y of two planes that lie `plane` words apart. */
static void and_row(uint64_t *z, const uint64_t *x, const uint64_t *y, size_t plane, size_t words)
{
    for (size_t i = 0; i < words; i++)
        z[i] = (x[i] & (y[i] ^ y[plane + i])) ^ (x[plane + i] & y[i]);
}

/* Nodes 2q and 2q + 1 become node q, as summands in plane 0 of out; what is left over at the top is copied in both planes. */
static void join(uint64_t *out, size_t out_plane, const uint64_t *in, size_t in_plane, size_t nodes,
                 size_t words)
{
    for (size_t q = 0; q < nodes / 2; q++) {
        const uint64_t *hi = in + row_p(2 * q + 1) * words, *g = in + row_g(2 * q + 1) * words;
        uint64_t *z = out + row_g(q) * words;
        and_row(z, hi, in + row_g(2 * q) * words, in_plane, words);
        for (size_t i = 0; i < words; i++)
            z[i] ^= g[i];
        if (q > 0)
            and_row(out + row_p(q) * words, hi, in + row_p(2 * q) * words, in_plane, words);
    }
    for (unsigned p = 0; p < 2 && nodes % 2; p++) {
        uint64_t *to = out + p * out_plane + row_g(nodes / 2) * words;
        memcpy(to, in + p * in_plane + row_g(nodes - 1) * words, 2 * words * sizeof(*to));
    }
}

/* v [2][t][node_rows(nodes)][words] -> the same of half as many, all of it in place. The last level: summands, not sent. */
static ccz_rc level(uint64_t *v, uint64_t *tmp, size_t nodes, const struct compare *c,
                    struct ccz_err *err)
{
    const size_t half = (nodes + 1) / 2, in_rows = node_rows(nodes), rows = node_rows(half);
    const size_t in_plane = c->t * in_rows * c->words, plane = c->t * rows * c->words;
    const size_t ands = node_rows(nodes / 2);
    for (size_t t = 0; t < c->t; t++) {
        uint64_t *out = tmp + t * rows * c->words;
        join(out, plane, v + t * in_rows * c->words, in_plane, nodes, c->words);
        if (nodes == 2)
            continue;
        cczi_rep3_mask_bits(out, ands * c->words, c->m);
        cczi_rep3_put_rows(c->m, CCZI_PREV, out, ands, c->len);
        cczi_rep3_want_rows(c->m, CCZI_NEXT, out + plane, ands, c->len);
    }
    ccz_rc rc = nodes == 2 ? CCZ_OK : cczi_rep3_round(c->m, err);
    memcpy(v, tmp, 2 * plane * sizeof(*v));
    return rc;
}

static ccz_rc tree(uint64_t *parts, uint64_t *v, const struct compare *c, struct ccz_err *err)
{
    CCZI_REP3_WORDS tmp = {0};
    ccz_rc rc = cczi_rep3_words_init(&tmp, 2 * c->t * node_rows(c->leaves) * c->words, err);
    for (size_t nodes = c->leaves; rc == CCZ_OK && nodes > 1; nodes = (nodes + 1) / 2)
        rc = level(v, tmp.v, nodes, c, err);
    if (rc == CCZ_OK)
        memcpy(parts, v, c->t * c->words * sizeof(*v));
    return rc;
}

/* ---------------------------------------------------------------------------------- all of it */

/* Rows of w + add[t] from the lowest bit to the sign: [t][carry_bits + 1][words]; rel 1 and rel 2. */
static ccz_rc rows_of_w(uint64_t *rows, const uint64_t *w, const uint64_t *add,
                        const struct compare *c, struct ccz_err *err)
{
    CCZI_REP3_WORDS sum = {0};
    ccz_rc rc = cczi_rep3_words_init(&sum, c->len, err);
    for (size_t t = 0; rc == CCZ_OK && t < c->t; t++) {
        for (size_t i = 0; i < c->len; i++)
            sum.v[i] = w[i] + add[t];
        ccz_ring_bit_rows(rows + t * (c->carry_bits + 1) * c->words, sum.v, c->len, c->low,
                          c->carry_bits + 1);
    }
    return rc;
}

/* Highest bits: those of a to the summand of rel 0, those of w to that of rel 1. */
static ccz_rc add_signs(uint64_t *parts, const uint64_t *a, const uint64_t *w_rows,
                        const struct compare *c, struct ccz_err *err)
{
    const unsigned rel = cczi_rep3_rel(c->m);
    CCZI_REP3_WORDS sign = {0};
    ccz_rc rc = cczi_rep3_words_init(&sign, c->words, err);
    if (rc != CCZ_OK)
        return rc;
    if (rel == 0)
        ccz_ring_bit_rows(sign.v, a, c->len, c->low + c->carry_bits, 1);
    for (size_t t = 0; t < c->t && rel < 2; t++) {
        const uint64_t *top =
            rel == 0 ? sign.v : w_rows + (t * (c->carry_bits + 1) + c->carry_bits) * c->words;
        for (size_t i = 0; i < c->words; i++)
            parts[t * c->words + i] ^= top[i];
    }
    return CCZ_OK;
}

ccz_rc cczi_rep3_compare(uint64_t *parts, struct cczi_rep3_split *x, const uint64_t *add,
                         size_t len_t, const struct ccz_rep3_range *range, struct ccz_err *err)
{
    const struct compare c = compare_of(x, len_t, range);
    const unsigned rel = cczi_rep3_rel(c.m);
    const size_t rows = c.t * node_rows(c.leaves);
    CCZI_REP3_WORDS share = {0};
    CCZI_REP3_WORDS e = {0};
    CCZI_REP3_WORDS v = {0};
    CCZI_REP3_WORDS w = {0};
    ccz_rc rc = cczi_rep3_words_init(&share, c.product_rows * c.words, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_words_init(&e, rows * c.words, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_words_init(&v, 2 * rows * c.words, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_words_init(&w, c.t * (c.carry_bits + 1) * c.words, err);
    if (rc == CCZ_OK)
        rc = share_products(share.v, x->v.v, &c, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_round(c.m, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_rep3_split_end(x);
    if (rel != 0) {
        rc = rows_of_w(w.v, x->v.v, add, &c, err);
        leaves(e.v, share.v, w.v, &c);
    }
    if (rc == CCZ_OK)
        rc = replicate(v.v, e.v, rows, &c, err);
    if (rc == CCZ_OK)
        rc = tree(parts, v.v, &c, err);
    return rc == CCZ_OK ? add_signs(parts, x->v.v, w.v, &c, err) : rc;
}
