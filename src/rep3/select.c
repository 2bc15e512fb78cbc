/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums of products of bits with a truncated value. x = a + w, a known to rel 0, w to rel 1 and rel 2; a bit is beta + b' modulo 2,
 * beta known to rel 0 and b' to the others, so that as an integer it is b' + sigma beta, sigma = 1 - 2 b'.
 *
 * Truncation. Let z = x + 2^(k-2), in 0 .. 2^(k-1), and the constant be added to w. Then a + w = z + 2^k wrap, and since the highest
 * bit of z is 0, wrap = [a high or w high] = mu + mv - mu mv. So x / 2^d is T = T_a + T_w + 2^(k-d) mu mv, with T_a = floor(a / 2^d) -
 * 2^(k-d) mu, T_w = ceil(w / 2^d) - 2^(k-d) mv - 2^(k-2-d).
 *
 * All of it is linear in what rel 0 knows, T_a, mu, beta T_a, beta, beta mu, with coefficients that the other two know: rel 0 shares
 * these between them (mu and beta mu modulo 2^d alone, since their coefficients are multiples of 2^(k-d)), they compute their summands,
 * and make them replicated.
 */
#include "rep3_priv.h"

#include <string.h>

/* What rel 0 shares: full elements [full][len], then narrow ones of `shift` bits [narrow][len]. */
struct layout {
    bool send_a; /* T_a is shared; else the shares of x are shares of it */
    size_t len, full, narrow;
};

static struct layout layout_of(const struct ccz_rep3_tensor *out, const struct cczi_rep3_select *s)
{
    struct layout l = {.len = out->len};
    l.send_a = s->x && (s->shift > 0 || s->x->x->kind != CCZ_REP3_SHARED);
    l.full = l.send_a + s->terms * (s->x ? 2u : 1u);
    l.narrow = s->shift > 0 ? 1 + s->terms : 0;
    return l;
}

static uint64_t bit_at(const struct cczi_rep3_select *s, const struct cczi_rep3_term *t, size_t i,
                       size_t len)
{
    return s->bits->v.v[t->row * ((len + 63) / 64) + i / 64] >> i % 64 & 1;
}

/* Rel 0: v [full][len], then [narrow][len]. Order: T_a; beta T_a and beta of each term; mu; beta mu of each term. */
static void own_values(uint64_t *v, const struct cczi_rep3_select *s, const struct layout *l,
                       unsigned k)
{
    const size_t n = l->len;
    const uint64_t mask = ccz_ring_mask(k);
    for (size_t i = 0; i < n; i++) {
        uint64_t a = s->x ? s->x->v.v[i] : 0, mu = a >> (k - 1);
        uint64_t ta = s->shift ? ((a >> s->shift) - (mu << (k - s->shift))) & mask : a;
        uint64_t *at = v + i, *low = v + l->full * n + i;
        if (l->send_a) {
            *at = ta;
            at += n;
        }
        if (s->shift)
            *low = mu;
        for (unsigned t = 0; t < s->terms; t++) {
            uint64_t beta = bit_at(s, &s->term[t], i, n);
            if (s->x) {
                *at = ta & -beta;
                at += n;
            }
            *at = beta;
            at += n;
            if (s->shift)
                low[(t + 1) * n] = beta & mu;
        }
    }
}

/* v: shares of those values, at rel 1 and rel 2. Puts and wants. */
static ccz_rc share_values(uint64_t *v, const struct cczi_rep3_select *s, const struct layout *l,
                           struct ccz_rep3 *m, struct ccz_err *err)
{
    const unsigned k = m->cfg.ring_bits, rel = cczi_rep3_rel(m);
    const size_t full = l->full * l->len, narrow = l->narrow * l->len;
    if (rel == 1) {
        cczi_rep3_want(m, CCZI_PREV, v, full, k);
        if (narrow > 0)
            cczi_rep3_want(m, CCZI_PREV, v + full, narrow, s->shift);
        return CCZ_OK;
    }
    if (rel == 2) {
        cczi_rep3_pair(v, full, k, 0, m);
        cczi_rep3_pair(v + full, narrow, s->shift ? s->shift : 1, 0, m);
        return CCZ_OK;
    }
    CCZI_REP3_WORDS pad = {0};
    ccz_rc rc = cczi_rep3_words_init(&pad, full + narrow, err);
    if (rc != CCZ_OK)
        return rc;
    own_values(v, s, l, k);
    cczi_rep3_pair(pad.v, full, k, 0, m);
    cczi_rep3_pair(pad.v + full, narrow, s->shift ? s->shift : 1, 0, m);
    ccz_ring_sub(v, v, pad.v, full, k);
    cczi_rep3_put(m, CCZI_NEXT, v, full, k);
    if (narrow > 0) {
        ccz_ring_sub(v + full, v + full, pad.v + full, narrow, s->shift);
        cczi_rep3_put(m, CCZI_NEXT, v + full, narrow, s->shift);
    }
    return CCZ_OK;
}

/* Rel 1 and rel 2: this party's summand of element i. What both know is added by rel 1. */
static uint64_t summand(const uint64_t *v, size_t i, const struct cczi_rep3_select *s,
                        const struct layout *l, unsigned k, bool first, const uint64_t *a_share)
{
    const size_t n = l->len;
    const unsigned d = s->shift;
    const uint64_t *at = v + i, *low = v + l->full * n + i;
    uint64_t w = s->x ? s->x->v.v[i] : 0, tw = w, mv = 0;
    if (d > 0) {
        w = (w + ((uint64_t)1 << (k - 2))) & ccz_ring_mask(k);
        uint64_t rest = w & ccz_ring_mask(d);
        mv = (w >> (k - 1)) << (k - d); /* times 2^(k-d) */
        tw = (w >> d) + ((rest | -rest) >> 63) - mv - ((uint64_t)1 << (k - 2) >> d);
    }
    uint64_t sum = first ? s->constant : 0, whole = s->whole, ta = 0;
    if (l->send_a) {
        ta = *at;
        at += n;
    } else if (s->x)
        ta = a_share[i];
    for (unsigned t = 0; t < s->terms; t++) {
        const uint64_t b = bit_at(s, &s->term[t], i, n), sign = s->term[t].minus ? -(uint64_t)1 : 1;
        const uint64_t sigma = sign * (1 - 2 * b);
        whole += sign * b;
        sum += first ? sign * b * s->term[t].plus : 0;
        if (s->x) {
            sum += sigma * *at;
            at += n;
        }
        sum += sigma * (tw + s->term[t].plus) * *at;
        at += n;
        if (d > 0)
            sum += sigma * mv * low[(t + 1) * n];
    }
    sum += whole * (ta + (first ? tw : 0));
    if (d > 0)
        sum += whole * mv * *low;
    return sum;
}

/* Summands of rel 1 and rel 2 (e) become SHARED. One round. */
static ccz_rc replicate(struct ccz_rep3_tensor *out, const uint64_t *e, struct ccz_err *err)
{
    struct ccz_rep3 *m = out->m;
    const unsigned rel = cczi_rep3_rel(m), k = m->cfg.ring_bits;
    const size_t n = out->len;
    uint64_t *own = cczi_rep3_plane(out, rel == 1 ? 0 : 1);
    uint64_t *common = cczi_rep3_plane(out, rel == 1 ? 1 : 0);
    if (rel == 0) {
        cczi_rep3_want(m, CCZI_PREV, out->v, n, k);
        cczi_rep3_want(m, CCZI_NEXT, cczi_rep3_plane(out, 1), n, k);
        return cczi_rep3_round(m, err);
    }
    CCZI_REP3_WORDS pad = {0};
    ccz_rc rc = cczi_rep3_words_init(&pad, 2 * n, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_rep3_pair(pad.v, 2 * n, k, 2, m);
    ccz_ring_sub(own, e, pad.v + (rel == 1 ? 0 : n), n, k);
    ccz_ring_add(common, pad.v, pad.v + n, n, k);
    cczi_rep3_put(m, rel == 1 ? CCZI_PREV : CCZI_NEXT, own, n, k);
    return cczi_rep3_round(m, err);
}

ccz_rc cczi_rep3_select(struct ccz_rep3_tensor *out, const struct cczi_rep3_select *s,
                        struct ccz_err *err)
{
    struct ccz_rep3 *m = out->m;
    const unsigned rel = cczi_rep3_rel(m);
    const struct layout l = layout_of(out, s);
    CCZI_REP3_WORDS v = {0};
    CCZI_REP3_WORDS e = {0};
    ccz_rc rc = cczi_rep3_words_init(&v, (l.full + l.narrow) * l.len, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_words_init(&e, l.len, err);
    if (rc == CCZ_OK)
        rc = share_values(v.v, s, &l, m, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_round(m, err);
    if (rc != CCZ_OK)
        return rc;
    if (s->x)
        cczi_rep3_split_end(s->x);
    if (s->bits)
        cczi_rep3_bits_end(s->bits);
    /* Shares of a = x_0 + x_1: x_1 at rel 1, its first, and x_0 at rel 2, its second. */
    const uint64_t *a_share = s->x && !l.send_a ? cczi_rep3_plane(s->x->x, rel == 1 ? 0 : 1) : NULL;
    for (size_t i = 0; i < l.len && rel != 0; i++)
        e.v[i] = summand(v.v, i, s, &l, m->cfg.ring_bits, rel == 1, a_share);
    return replicate(out, e.v, err);
}
