/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ANDs of shared bits (Beaver). A triple is made of two random OTs, one in each direction: a party's share of the first factor
 * is its random choice as a receiver, its share of the others the difference of its two masks as a sender, one from each half
 * of the hash. So nothing is sent for triples, and two products with a common factor cost no more OTs than one.
 */
#include "cmp_priv.h"

enum { A, B, B2, C, C2, TRIPLE };

/* n bits of a triple: rows from `row` on. */
static ccz_rc triple_chunk(uint64_t *row[TRIPLE], struct cczi_cmp *c, size_t n, struct ccz_err *err)
{
    struct ccz_f128 *t = c->blocks, *q = t + CCZI_CMP_CHUNK;
    CCZI_AUTO_F128 delta = {0};
    uint64_t *m0[2] = {c->words, c->words + 64}, *m1[2] = {c->words + 128, c->words + 192};
    uint64_t *got[2] = {c->words + 256, c->words + 320}, first_q, first_t;
    ccz_rc rc = c->ops->take_q(q, &delta, &first_q, n, c->self, err);
    if (rc == CCZ_OK)
        rc = c->ops->take_t(t, row[A], &first_t, n, c->self, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_pads pads = {.in = t, .len = n, .tweak = first_t, .log = 1};
    cczi_cmp_pad_bits(got[0], got[1], &pads, &c->hash);
    pads = (struct cczi_pads){.in = q, .len = n, .tweak = first_q, .log = 1};
    cczi_cmp_pad_bits(m0[0], m0[1], &pads, &c->hash);
    pads.offset = delta;
    cczi_cmp_pad_bits(m1[0], m1[1], &pads, &c->hash);
    ccz_wipe(&pads, sizeof(pads));
    for (size_t w = 0; w < cczi_words_of(n); w++) {
        row[B][w] = m0[0][w] ^ m1[0][w];
        row[B2][w] = m0[1][w] ^ m1[1][w];
        row[C][w] = (row[A][w] & row[B][w]) ^ m0[0][w] ^ got[0][w];
        row[C2][w] = (row[A][w] & row[B2][w]) ^ m0[1][w] ^ got[1][w];
    }
    return CCZ_OK;
}

static ccz_rc triple_rows(uint64_t *rows, struct cczi_cmp *c, size_t n, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < n && rc == CCZ_OK; i += CCZI_CMP_CHUNK) {
        uint64_t *row[TRIPLE];
        for (size_t r = 0; r < TRIPLE; r++)
            row[r] = rows + r * cczi_words_of(n) + i / 64;
        rc = triple_chunk(row, c, n - i < CCZI_CMP_CHUNK ? n - i : CCZI_CMP_CHUNK, err);
    }
    return rc;
}

static uint64_t opened_bits(const struct cczi_and *ands, size_t len, size_t n)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < len; i++)
        rows += ands[i].b2 ? 3 : 2;
    return rows * n;
}

static void put_sum(struct cczi_bits *msg, uint64_t *sum, const uint64_t *x, const uint64_t *mask,
                    size_t n)
{
    for (size_t w = 0; w < cczi_words_of(n); w++)
        sum[w] = x[w] ^ mask[w];
    cczi_bits_put(msg, sum, n);
}

static void get_sum(uint64_t *sum, struct cczi_bits *own, struct cczi_bits *peer, uint64_t *scratch,
                    size_t n)
{
    cczi_bits_get(sum, own, n);
    cczi_bits_get(scratch, peer, n);
    for (size_t w = 0; w < cczi_words_of(n); w++)
        sum[w] ^= scratch[w];
}

/* z = c + d b + e a + d e, the last by one party */
static void product(uint64_t *z, const uint64_t *d, const uint64_t *e, const uint64_t *a,
                    const uint64_t *b, const uint64_t *c, size_t n, unsigned party)
{
    uint64_t own = party == 0 ? UINT64_MAX : 0;
    for (size_t w = 0; w < cczi_words_of(n); w++)
        z[w] = c[w] ^ (d[w] & b[w]) ^ (e[w] & a[w]) ^ (d[w] & e[w] & own);
}

ccz_rc cczi_cmp_and(struct cczi_cmp *c, const struct cczi_and *ands, size_t len, size_t n,
                    struct ccz_err *err)
{
    const size_t words = cczi_words_of(n), size = cczi_bits_size(opened_bits(ands, len, n));
    CCZI_AUTO_STORE triples = {0}, msg = {0}, peer = {0}, open = {0};
    ccz_rc rc = cczi_store_init(&triples, len * TRIPLE * words, err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&msg, size / 8 + 1, err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&peer, size / 8 + 1, err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&open, 3 * words, err);
    struct cczi_bits put = {msg.at, 0}, own = {msg.at, 0}, got = {peer.at, 0};
    for (size_t i = 0; i < len && rc == CCZ_OK; i++) {
        const uint64_t *t = triples.at + i * TRIPLE * words;
        rc = triple_rows(triples.at + i * TRIPLE * words, c, n, err);
        if (rc != CCZ_OK)
            break;
        put_sum(&put, open.at, ands[i].a, t + A * words, n);
        put_sum(&put, open.at, ands[i].b, t + B * words, n);
        if (ands[i].b2)
            put_sum(&put, open.at, ands[i].b2, t + B2 * words, n);
    }
    if (rc == CCZ_OK)
        rc = c->ops->trade(peer.at, size, msg.at, size, c->self, err);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++) {
        const uint64_t *t = triples.at + i * TRIPLE * words;
        uint64_t *d = open.at, *e = d + words, *scratch = e + words;
        get_sum(d, &own, &got, scratch, n);
        get_sum(e, &own, &got, scratch, n);
        product(ands[i].z, d, e, t + A * words, t + B * words, t + C * words, n, c->party);
        if (!ands[i].b2)
            continue;
        get_sum(e, &own, &got, scratch, n);
        product(ands[i].z2, d, e, t + A * words, t + B2 * words, t + C2 * words, n, c->party);
    }
    return rc;
}
