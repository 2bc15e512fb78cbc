/* SPDX-License-Identifier: Apache-2.0 */
/* Values and bits in two halves: one that rel 0 knows, one that both others know. */
#include "rep3_priv.h"

#include <string.h>

/* v: this party's masked part. rel 1 and rel 2 tell each other theirs; rel 0 keeps its own to itself. */
static int trade_with(const struct ccz_rep3 *m)
{
    return cczi_rep3_rel(m) == 1 ? CCZI_NEXT : CCZI_PREV;
}

ccz_rc cczi_rep3_split(struct cczi_rep3_split *s, const struct ccz_rep3_tensor *x,
                       struct ccz_err *err)
{
    struct ccz_rep3 *m = x->m;
    const unsigned rel = cczi_rep3_rel(m), k = m->cfg.ring_bits;
    s->x = x;
    ccz_rc rc = cczi_rep3_words_init(&s->v, x->len, err);
    if (rc != CCZ_OK)
        return rc;
    if (x->kind == CCZ_REP3_SHARED && rel == 0)
        ccz_ring_add(s->v.v, x->v, cczi_rep3_plane(x, 1), x->len, k);
    else
        memcpy(s->v.v, cczi_rep3_plane(x, x->kind == CCZ_REP3_SHARED && rel == 1), /* x_2 */
               x->len * sizeof(*s->v.v));
    if (x->kind == CCZ_REP3_SHARED)
        return CCZ_OK;
    cczi_rep3_mask(s->v.v, x->len, m);
    if (rel == 0)
        return CCZ_OK;
    rc = cczi_rep3_words_init(&s->in, x->len, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_rep3_put(m, trade_with(m), s->v.v, x->len, k);
    cczi_rep3_want(m, trade_with(m), s->in.v, x->len, k);
    s->pending = true;
    return CCZ_OK;
}

void cczi_rep3_split_end(struct cczi_rep3_split *s)
{
    if (s->pending)
        ccz_ring_add(s->v.v, s->v.v, s->in.v, s->v.len, s->x->m->cfg.ring_bits);
    s->pending = false;
}

void cczi_rep3_split_deinit(struct cczi_rep3_split *s)
{
    cczi_rep3_words_deinit(&s->v);
    cczi_rep3_words_deinit(&s->in);
}

ccz_rc cczi_rep3_bits_split(struct cczi_rep3_bits *b, struct ccz_rep3 *m, const uint64_t *parts,
                            size_t rows, size_t len, struct ccz_err *err)
{
    const size_t words = rows * ((len + 63) / 64);
    b->m = m;
    ccz_rc rc = cczi_rep3_words_init(&b->v, words, err);
    if (rc == CCZ_OK)
        rc = cczi_rep3_words_init(&b->in, words, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(b->v.v, parts, words * sizeof(*parts));
    cczi_rep3_mask_bits(b->v.v, words, m);
    if (cczi_rep3_rel(m) == 0)
        return CCZ_OK;
    cczi_rep3_put_rows(m, trade_with(m), b->v.v, rows, len);
    cczi_rep3_want_rows(m, trade_with(m), b->in.v, rows, len);
    b->pending = true;
    return CCZ_OK;
}

ccz_rc cczi_rep3_bits_of(struct cczi_rep3_bits *b, const struct ccz_rep3_tensor *t,
                         struct ccz_err *err)
{
    const unsigned rel = cczi_rep3_rel(t->m);
    b->m = t->m;
    ccz_rc rc = cczi_rep3_words_init(&b->v, t->words, err);
    for (size_t i = 0; rc == CCZ_OK && i < t->words; i++)
        b->v.v[i] = rel == 0   ? t->v[i] ^ cczi_rep3_plane(t, 1)[i]
                    : rel == 1 ? cczi_rep3_plane(t, 1)[i]
                               : t->v[i];
    return rc;
}

void cczi_rep3_bits_end(struct cczi_rep3_bits *b)
{
    for (size_t i = 0; b->pending && i < b->v.len; i++)
        b->v.v[i] ^= b->in.v[i];
    b->pending = false;
}

void cczi_rep3_bits_deinit(struct cczi_rep3_bits *b)
{
    cczi_rep3_words_deinit(&b->v);
    cczi_rep3_words_deinit(&b->in);
}
