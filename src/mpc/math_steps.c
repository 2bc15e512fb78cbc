/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions made of straight pieces. All comparisons x >= t are one batch. Their bits fall from 1 to 0 with growing t, so that the
 * sum of two neighbours says, without a message, whether x is in the piece between them; what the piece gives is selected by it. So
 * no piece but the constant ones at the ends costs more than a comparison and a selection.
 */
#include "math_priv.h"

#include <string.h>

ccz_rc cczi_steps(uint64_t *rows, const uint64_t *x, size_t n, const uint64_t *at, unsigned steps,
                  unsigned bits, struct cczi_op *o, struct ccz_err *err)
{
    CCZI_AUTO_STORE d = {0};
    ccz_rc rc = cczi_store_init(&d, steps * n, err);
    for (unsigned j = 0; j < steps && rc == CCZ_OK; j++) {
        const uint64_t c = o->party == 0 ? at[j] : 0;
        for (size_t i = 0; i < n; i++)
            d.at[j * n + i] = x[i] - c;
    }
    if (rc == CCZ_OK)
        rc = cczi_op_sign(rows, d.at, steps * n, bits, o, err);
    if (rc == CCZ_OK)
        cczi_op_not(rows, steps * n, o);
    return rc;
}

/* Bits of the steps to bits of the pieces, without gaps; and the last step's row. */
static ccz_rc bits_of_pieces(uint64_t *pieces, uint64_t *last, uint64_t *steps, unsigned len,
                             size_t n, struct ccz_err *err)
{
    CCZI_AUTO_STORE row = {0};
    const size_t words = cczi_words_of(n);
    ccz_rc rc = cczi_store_init(&row, words, err);
    struct cczi_bits from = {steps, 0}, to = {pieces, 0};
    if (rc != CCZ_OK)
        return rc;
    cczi_bits_get(last, &from, n);
    for (unsigned j = 1; j < len; j++) {
        memcpy(row.at, last, words * sizeof(*last));
        cczi_bits_get(last, &from, n);
        for (size_t w = 0; w < words; w++)
            row.at[w] ^= last[w];
        cczi_bits_put(&to, row.at, n);
    }
    return CCZ_OK;
}

struct selection {
    const struct cczi_pieces *p;
    size_t n;
    uint64_t *sign, *part;   /* [(steps - 1) n] */
    uint64_t *bit, *product; /* [n], of the last step */
    uint64_t *pieces, *last; /* rows */
};

/* Party's part of what its own bits select, and what the other's bits select of it. */
static void lines(struct selection *s, const uint64_t *x, const struct cczi_op *o)
{
    for (unsigned j = 0; j + 1 < s->p->steps; j++)
        for (size_t i = 0; i < s->n; i++) {
            const size_t e = j * s->n + i;
            const uint64_t m = cczi_ct_barrier64(0 - (uint64_t)cczi_row_bit(s->pieces, e));
            const uint64_t v = s->p->b[j] * x[i] + (o->party == 0 ? s->p->a[j] : 0);
            s->sign[e] = (v ^ m) - m;
            s->part[e] = v & m;
        }
    for (size_t i = 0; i < s->n; i++)
        s->bit[i] = cczi_row_bit(s->last, i);
}

/* The value of the last piece, 1, times 2 is what the product of two bits is multiplied with. */
static unsigned last_width(const struct cczi_pieces *p, unsigned k)
{
    return k - p->frac - p->shift - 1;
}

static ccz_rc select_lines(struct selection *s, struct cczi_op *o, struct ccz_err *err)
{
    const struct cczi_range all = {0, (s->p->steps - 1) * s->n};
    const struct cczi_cot cots[] = {
        {.a = s->sign, .bit = s->pieces, .send = all, .recv = all, .width = o->k, .out = s->part},
        {.a = s->bit,
         .bit = s->last,
         .send = cczi_cmp_half(s->n, o->party),
         .recv = cczi_cmp_half(s->n, 1 - o->party),
         .width = last_width(s->p, o->k),
         .out = s->product}};
    return cczi_cmp_cot(&o->c, cots, 2, err);
}

static void sum(uint64_t *out, const struct selection *s)
{
    for (size_t i = 0; i < s->n; i++)
        out[i] = (s->bit[i] - 2 * s->product[i]) << (s->p->frac + s->p->shift);
    for (unsigned j = 0; j + 1 < s->p->steps; j++)
        for (size_t i = 0; i < s->n; i++)
            out[i] += s->part[j * s->n + i];
}

ccz_rc cczi_pieces_run(uint64_t *out, const uint64_t *x, size_t n, const struct cczi_pieces *p,
                       struct cczi_op *o, struct ccz_err *err)
{
    CCZI_AUTO_STORE steps = {0}, rows = {0}, words = {0};
    const size_t len = (p->steps - 1) * n, row = cczi_words_of(n), all = cczi_words_of(len);
    ccz_rc rc = cczi_store_init(&steps, cczi_words_of(p->steps * n), err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&rows, all + row, err);
    if (rc == CCZ_OK)
        rc = cczi_steps(steps.at, x, n, p->at, p->steps, p->bits, o, err);
    if (rc == CCZ_OK)
        rc = bits_of_pieces(rows.at, rows.at + all, steps.at, p->steps, n, err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&words, 2 * len + 2 * n, err);
    if (rc != CCZ_OK)
        return rc;
    struct selection s = {.p = p,
                          .n = n,
                          .sign = words.at,
                          .part = words.at + len,
                          .bit = words.at + 2 * len,
                          .product = words.at + 2 * len + n,
                          .pieces = rows.at,
                          .last = rows.at + all};
    lines(&s, x, o);
    rc = select_lines(&s, o, err);
    if (rc == CCZ_OK)
        sum(out, &s);
    return rc;
}

struct cczi_cmp_need cczi_pieces_need(size_t n, const struct cczi_pieces *p, unsigned k)
{
    const uint64_t len = (uint64_t)(p->steps - 1) * n;
    struct cczi_cmp_need sum = cczi_cmp_less_need(p->steps * n, p->bits, 0), select = {.rounds = 2};
    for (unsigned s = 0; s < 2; s++) {
        const uint64_t half = cczi_cmp_half(n, s).len;
        select.ots[s] = len + half;
        select.sent[s] += cczi_bits_size(len * k + half * last_width(p, k));
        select.sent[1 - s] += cczi_bits_size(len + half);
    }
    cczi_need_add(&sum, &select);
    return sum;
}

void cczi_pieces_plain(uint64_t *out, const uint64_t *x, size_t n, const struct cczi_pieces *p,
                       unsigned k)
{
    const unsigned last = p->steps - 1;
    const uint64_t mask = UINT64_MAX >> (64 - k);
    for (size_t i = 0; i < n; i++) {
        const uint64_t v = x[i];
        uint64_t in = cczi_plain_from(v, p->at[0], k), sum = 0;
        for (unsigned j = 0; j < last; j++) {
            uint64_t next = cczi_plain_from(v, p->at[j + 1], k);
            sum += (in ^ next) & (p->a[j] + p->b[j] * v);
            in = next;
        }
        sum += in & (uint64_t)1 << (p->frac + p->shift);
        out[i] = cczi_plain_floor(sum & mask, p->shift, k);
    }
}
