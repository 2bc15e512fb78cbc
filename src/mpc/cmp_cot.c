/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values that a bit of the other party selects: correlated OT over Z_2^width from random OTs. With the receiver's random choice
 * x, its bit b and masks p_0, p_1: the receiver says d = b + x, so that what it has is p_(b + d). The sender answers with
 * t = a + p_d - p_(1 + d); the receiver's share is p_(b + d) + b t = b a + p_d, the sender's - p_d.
 */
#include "cmp_priv.h"

static size_t chunk_of(struct cczi_range r, size_t i)
{
    return r.len - i < CCZI_CMP_CHUNK ? r.len - i : CCZI_CMP_CHUNK;
}

/* First step of the receiver: masks into the results, corrections into the message. Ranges begin at whole words. */
static ccz_rc correct(struct cczi_bits *msg, struct cczi_cmp *c, const struct cczi_cot *j,
                      struct ccz_err *err)
{
    const struct cczi_range r = j->recv;
    uint64_t *lo = c->words, *hi = lo + CCZI_CMP_CHUNK, *x = hi + CCZI_CMP_CHUNK, first;
    for (size_t i = 0; i < r.len; i += CCZI_CMP_CHUNK) {
        size_t n = chunk_of(r, i);
        ccz_rc rc = c->ops->take_t(c->blocks, x, &first, n, c->self, err);
        if (rc != CCZ_OK)
            return rc;
        const struct cczi_pads pads = {.in = c->blocks, .len = n, .tweak = first, .log = 1};
        cczi_cmp_pad_words(lo, j->a2 ? hi : NULL, &pads, &c->hash);
        for (size_t e = 0; e < n; e++)
            j->out[r.from + i + e] += lo[e];
        for (size_t e = 0; j->a2 && e < n; e++)
            j->out2[r.from + i + e] += hi[e];
        for (size_t w = 0; w < cczi_words_of(n); w++)
            x[w] ^= j->bit[(r.from + i) / 64 + w];
        cczi_bits_put(msg, x, n);
    }
    return CCZ_OK;
}

/* t from masks p0, p1 in place of p1; out -= p_d */
static void answers(uint64_t *p1, uint64_t *out, const uint64_t *p0, const uint64_t *a,
                    const uint64_t *d, size_t n)
{
    for (size_t e = 0; e < n; e++) {
        uint64_t swap = (p0[e] ^ p1[e]) & (0 - (d[e / 64] >> e % 64 & 1));
        uint64_t pd = p0[e] ^ swap, other = p1[e] ^ swap;
        out[e] -= pd;
        p1[e] = a[e] + pd - other;
    }
}

static ccz_rc answer(struct cczi_bits *msg, struct cczi_bits *got, struct cczi_cmp *c,
                     const struct cczi_cot *j, struct ccz_err *err)
{
    const struct cczi_range s = j->send;
    uint64_t *p0 = c->words, *q0 = p0 + CCZI_CMP_CHUNK, *p1 = q0 + CCZI_CMP_CHUNK;
    uint64_t *q1 = p1 + CCZI_CMP_CHUNK, d[CCZI_CMP_CHUNK / 64], first;
    CCZI_AUTO_F128 delta = {0};
    for (size_t i = 0; i < s.len; i += CCZI_CMP_CHUNK) {
        size_t n = chunk_of(s, i), from = s.from + i;
        ccz_rc rc = c->ops->take_q(c->blocks, &delta, &first, n, c->self, err);
        if (rc != CCZ_OK)
            return rc;
        cczi_bits_get(d, got, n);
        struct cczi_pads pads = {.in = c->blocks, .len = n, .tweak = first, .log = 1};
        cczi_cmp_pad_words(p0, j->a2 ? q0 : NULL, &pads, &c->hash);
        pads.offset = delta;
        cczi_cmp_pad_words(p1, j->a2 ? q1 : NULL, &pads, &c->hash);
        ccz_wipe(&pads, sizeof(pads));
        answers(p1, j->out + from, p0, j->a + from, d, n);
        cczi_bits_put_words(msg, p1, n, j->width);
        if (!j->a2)
            continue;
        answers(q1, j->out2 + from, q0, j->a2 + from, d, n);
        cczi_bits_put_words(msg, q1, n, j->width);
    }
    return CCZ_OK;
}

static void select_in(uint64_t *out, const uint64_t *t, const uint64_t *bit, size_t n)
{
    for (size_t e = 0; e < n; e++)
        out[e] += t[e] & cczi_ct_barrier64(0 - (bit[e / 64] >> e % 64 & 1));
}

static void finish(struct cczi_bits *got, struct cczi_cmp *c, const struct cczi_cot *j)
{
    const struct cczi_range r = j->recv;
    for (size_t i = 0; i < r.len; i += CCZI_CMP_CHUNK) {
        size_t n = chunk_of(r, i), from = r.from + i;
        cczi_bits_get_words(c->words, got, n, j->width);
        select_in(j->out + from, c->words, j->bit + from / 64, n);
        if (!j->a2)
            continue;
        cczi_bits_get_words(c->words, got, n, j->width);
        select_in(j->out2 + from, c->words, j->bit + from / 64, n);
    }
}

/* Sizes of the messages: bits there, elements back. */
struct sizes {
    size_t ask_out, ask_in, out, in;
};

static struct sizes sizes_of(const struct cczi_cot *cots, size_t len)
{
    uint64_t ask_out = 0, ask_in = 0, out = 0, in = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned per_ot = cots[i].width * (cots[i].a2 ? 2 : 1);
        ask_out += cots[i].recv.len;
        ask_in += cots[i].send.len;
        out += (uint64_t)cots[i].send.len * per_ot;
        in += (uint64_t)cots[i].recv.len * per_ot;
    }
    return (struct sizes){cczi_bits_size(ask_out), cczi_bits_size(ask_in), cczi_bits_size(out),
                          cczi_bits_size(in)};
}

ccz_rc cczi_cmp_cot(struct cczi_cmp *c, const struct cczi_cot *cots, size_t len,
                    struct ccz_err *err)
{
    const struct sizes z = sizes_of(cots, len);
    CCZI_AUTO_STORE ask = {0}, asked = {0}, out = {0}, in = {0};
    ccz_rc rc = cczi_store_init(&ask, z.ask_out / 8 + 1, err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&asked, z.ask_in / 8 + 1, err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&out, z.out / 8 + 1, err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&in, z.in / 8 + 1, err);
    struct cczi_bits ask_put = {ask.at, 0}, asked_get = {asked.at, 0}, put = {out.at, 0};
    struct cczi_bits got = {in.at, 0};
    for (size_t i = 0; i < len && rc == CCZ_OK; i++)
        rc = correct(&ask_put, c, &cots[i], err);
    if (rc == CCZ_OK)
        rc = c->ops->trade(asked.at, z.ask_in, ask.at, z.ask_out, c->self, err);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++)
        rc = answer(&put, &asked_get, c, &cots[i], err);
    if (rc == CCZ_OK)
        rc = c->ops->trade(in.at, z.in, out.at, z.out, c->self, err);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++)
        finish(&got, c, &cots[i]);
    return rc;
}
