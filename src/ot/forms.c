/* SPDX-License-Identifier: Apache-2.0 */
/* Random values out of the store, and correlated OT with chosen bits. */
#include "ext_priv.h"

enum { CHUNK = 1024 };

static size_t bytes_of(size_t bits)
{
    return (bits + 7) / 8;
}

static size_t part_of(size_t left)
{
    return left < CHUNK ? left : CHUNK;
}

/* Lowest bits of rows, packed; len is a multiple of 8 but at the end. */
static void low_bits(uint8_t *out, const struct ccz_f128 *a, size_t len)
{
    for (size_t i = 0; i < len; i += 8) {
        uint64_t byte = 0;
        for (size_t k = 0; k < (len - i < 8 ? len - i : 8); k++)
            byte |= (a[i + k].lo & 1) << k;
        out[i / 8] = (uint8_t)byte;
    }
}

static void add_all(struct ccz_f128 *out, const struct ccz_f128 *in, struct ccz_f128 x, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = cczi_f128_add(in[i], x);
}

/* ------------------------------------------------------------------------------- correlated OT */

ccz_rc ccz_ot_ext_rcot_send(struct ccz_f128 *q, size_t len, struct ccz_ot_ext *e,
                            struct ccz_err *err)
{
    assert(e->soft.sender);
    ccz_rc rc = cczi_ext_check_len(len, 1, err);
    if (rc == CCZ_OK && (rc = cczi_ext_take(q, len, e, err)) != CCZ_OK)
        memset(q, 0, len * sizeof(*q));
    return rc;
}

ccz_rc ccz_ot_ext_rcot_recv(struct ccz_f128 *t, uint8_t *x, size_t len, struct ccz_ot_ext *e,
                            struct ccz_err *err)
{
    assert(!e->soft.sender);
    ccz_rc rc = cczi_ext_check_len(len, 1, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_ext_take(t, len, e, err);
    if (rc == CCZ_OK) {
        low_bits(x, t, len);
        return CCZ_OK;
    }
    memset(t, 0, len * sizeof(*t));
    memset(x, 0, bytes_of(len));
    return rc;
}

struct ccz_ot_ext_size ccz_ot_ext_cot_size(size_t len)
{
    return (struct ccz_ot_ext_size){0, bytes_of(len)};
}

static ccz_rc cot_send(struct ccz_f128 *q, size_t len, struct ccz_ot_ext *e, struct ccz_err *err)
{
    CCZI_AUTO_ARRAY msg = {0};
    ccz_rc rc = cczi_msg_init(&msg, bytes_of(len), err);
    if (rc == CCZ_OK)
        rc = cczi_ext_need(e, len, err);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv_exact(msg.at, bytes_of(len), e->soft.chan, err);
    if (rc != CCZ_OK)
        return rc;
    const uint8_t *flips = (const uint8_t *)msg.at;
    const struct ccz_f128 *rows = cczi_ext_rows(e);
    for (size_t i = 0; i < len; i++)
        q[i] = cczi_f128_add(rows[i], cczi_f128_and(e->soft.delta, 0 - cczi_bit_at(flips, i)));
    cczi_ext_used(e, len);
    return CCZ_OK;
}

ccz_rc ccz_ot_ext_cot_send(struct ccz_f128 *q, size_t len, struct ccz_ot_ext *e,
                           struct ccz_err *err)
{
    assert(e->soft.sender);
    ccz_rc rc = cczi_ext_check_len(len, 1, err);
    if (rc != CCZ_OK || len == 0)
        return rc;
    rc = cczi_ext_done(e, cot_send(q, len, e, err));
    if (rc != CCZ_OK)
        memset(q, 0, len * sizeof(*q));
    return rc;
}

/* flips = x + lowest bits of rows */
static void flips_of(uint8_t *flips, const uint8_t *x, const struct ccz_f128 *rows, size_t len)
{
    low_bits(flips, rows, len);
    for (size_t i = 0; i < bytes_of(len); i++)
        flips[i] ^= x[i];
    if (len % 8)
        flips[len / 8] &= (uint8_t)((1u << len % 8) - 1);
}

static ccz_rc cot_recv(struct ccz_f128 *t, const uint8_t *x, size_t len, struct ccz_ot_ext *e,
                       struct ccz_err *err)
{
    CCZI_AUTO_ARRAY msg = {0};
    ccz_rc rc = cczi_msg_init(&msg, bytes_of(len), err);
    if (rc == CCZ_OK)
        rc = cczi_ext_need(e, len, err);
    if (rc != CCZ_OK)
        return rc;
    flips_of((uint8_t *)msg.at, x, cczi_ext_rows(e), len);
    CCZ_CT_PUBLIC(msg.at, bytes_of(len)); /* hidden by the random choices */
    memcpy(t, cczi_ext_rows(e), len * sizeof(*t));
    cczi_ext_used(e, len);
    return ccz_chan_send(e->soft.chan, CCZ_SPAN(msg.at, bytes_of(len)), err);
}

ccz_rc ccz_ot_ext_cot_recv(struct ccz_f128 *t, const uint8_t *x, size_t len, struct ccz_ot_ext *e,
                           struct ccz_err *err)
{
    assert(!e->soft.sender);
    ccz_rc rc = cczi_ext_check_len(len, 1, err);
    if (rc != CCZ_OK || len == 0)
        return rc;
    rc = cczi_ext_done(e, cot_recv(t, x, len, e, err));
    if (rc != CCZ_OK)
        memset(t, 0, len * sizeof(*t));
    return rc;
}

/* ----------------------------------------------------------------------------------- random OT */

/* H of len rows and, with delta, of the same rows + delta; numbers of masks go on. */
static void masks_of(struct ccz_f128 *out, const struct ccz_f128 *rows, size_t len, size_t at,
                     const struct ccz_f128 *delta, struct ccz_ot_ext *e)
{
    if (delta) {
        add_all(out, rows, *delta, len);
        rows = out;
    }
    cczi_hash_run(out, rows, len, e->tweak + at, 1, &e->soft.hash);
}

static ccz_rc random_begin(size_t len, struct ccz_ot_ext *e, struct ccz_err *err)
{
    ccz_rc rc = cczi_ext_check_len(len, 1, err);
    return rc == CCZ_OK ? cczi_ext_need(e, len, err) : rc;
}

static void random_end(size_t len, struct ccz_ot_ext *e)
{
    cczi_ext_used(e, len);
    e->tweak += len;
}

ccz_rc ccz_ot_ext_rot_send(struct ccz_f128 *m, size_t len, struct ccz_ot_ext *e,
                           struct ccz_err *err)
{
    assert(e->soft.sender);
    struct ccz_f128 masks[2][CHUNK];
    ccz_rc rc = random_begin(len, e, err);
    if (rc != CCZ_OK) {
        if (rc != CCZ_E_ARG)
            memset(m, 0, 2 * len * sizeof(*m));
        return rc;
    }
    for (size_t i = 0; i < len; i += CHUNK) {
        size_t n = part_of(len - i);
        masks_of(masks[0], cczi_ext_rows(e) + i, n, i, NULL, e);
        masks_of(masks[1], cczi_ext_rows(e) + i, n, i, &e->soft.delta, e);
        for (size_t k = 0; k < n; k++) {
            m[2 * (i + k)] = masks[0][k];
            m[2 * (i + k) + 1] = masks[1][k];
        }
    }
    random_end(len, e);
    ccz_wipe(masks, sizeof(masks));
    return CCZ_OK;
}

ccz_rc ccz_ot_ext_rot_recv(struct ccz_f128 *m_x, uint8_t *x, size_t len, struct ccz_ot_ext *e,
                           struct ccz_err *err)
{
    assert(!e->soft.sender);
    ccz_rc rc = random_begin(len, e, err);
    if (rc != CCZ_OK) {
        if (rc != CCZ_E_ARG) {
            memset(m_x, 0, len * sizeof(*m_x));
            memset(x, 0, bytes_of(len));
        }
        return rc;
    }
    low_bits(x, cczi_ext_rows(e), len);
    masks_of(m_x, cczi_ext_rows(e), len, 0, NULL, e);
    random_end(len, e);
    return CCZ_OK;
}

ccz_rc ccz_ot_ext_rbit_send(uint8_t *m0, uint8_t *m1, size_t len, struct ccz_ot_ext *e,
                            struct ccz_err *err)
{
    assert(e->soft.sender);
    struct ccz_f128 masks[CHUNK];
    ccz_rc rc = random_begin(len, e, err);
    if (rc != CCZ_OK) {
        if (rc != CCZ_E_ARG) {
            memset(m0, 0, bytes_of(len));
            memset(m1, 0, bytes_of(len));
        }
        return rc;
    }
    for (size_t i = 0; i < len; i += CHUNK) {
        size_t n = part_of(len - i);
        masks_of(masks, cczi_ext_rows(e) + i, n, i, NULL, e);
        low_bits(m0 + i / 8, masks, n);
        masks_of(masks, cczi_ext_rows(e) + i, n, i, &e->soft.delta, e);
        low_bits(m1 + i / 8, masks, n);
    }
    random_end(len, e);
    ccz_wipe(masks, sizeof(masks));
    return CCZ_OK;
}

ccz_rc ccz_ot_ext_rbit_recv(uint8_t *m_x, uint8_t *x, size_t len, struct ccz_ot_ext *e,
                            struct ccz_err *err)
{
    assert(!e->soft.sender);
    struct ccz_f128 masks[CHUNK];
    ccz_rc rc = random_begin(len, e, err);
    if (rc != CCZ_OK) {
        if (rc != CCZ_E_ARG) {
            memset(m_x, 0, bytes_of(len));
            memset(x, 0, bytes_of(len));
        }
        return rc;
    }
    low_bits(x, cczi_ext_rows(e), len);
    for (size_t i = 0; i < len; i += CHUNK) {
        size_t n = part_of(len - i);
        masks_of(masks, cczi_ext_rows(e) + i, n, i, NULL, e);
        low_bits(m_x + i / 8, masks, n);
    }
    random_end(len, e);
    ccz_wipe(masks, sizeof(masks));
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------- triples */

/* With bits m0, m1 of one party and x, m_x of the other: m0 + m_x = (m0 + m1) x, so that m0 + m1 is the one's factor and x the
 * other's. One OT each way gives both cross products. */
static ccz_rc triples(uint8_t *a, uint8_t *b, uint8_t *c, size_t len, struct ccz_ot_ext *sending,
                      struct ccz_ot_ext *receiving, bool first, struct ccz_err *err)
{
    CCZI_AUTO_ARRAY room = {0};
    size_t size = bytes_of(len);
    ccz_rc rc = cczi_msg_init(&room, 2 * (uint64_t)size, err);
    if (rc != CCZ_OK)
        return rc;
    uint8_t *m0 = (uint8_t *)room.at, *m_x = m0 + size; /* m1 goes to a, x to b */
    if (first)
        rc = ccz_ot_ext_rbit_send(m0, a, len, sending, err);
    if (rc == CCZ_OK)
        rc = ccz_ot_ext_rbit_recv(m_x, b, len, receiving, err);
    if (rc == CCZ_OK && !first)
        rc = ccz_ot_ext_rbit_send(m0, a, len, sending, err);
    for (size_t i = 0; i < size && rc == CCZ_OK; i++) {
        a[i] ^= m0[i];
        c[i] = (uint8_t)((a[i] & b[i]) ^ m0[i] ^ m_x[i]);
    }
    return rc;
}

ccz_rc ccz_ot_ext_triples(uint8_t *a, uint8_t *b, uint8_t *c, size_t len,
                          struct ccz_ot_ext *sending, struct ccz_ot_ext *receiving, bool first,
                          struct ccz_err *err)
{
    assert(sending->soft.sender && !receiving->soft.sender);
    ccz_rc rc = cczi_ext_check_len(len, 1, err);
    if (rc != CCZ_OK)
        return rc;
    rc = triples(a, b, c, len, sending, receiving, first, err);
    if (rc != CCZ_OK) {
        memset(a, 0, bytes_of(len));
        memset(b, 0, bytes_of(len));
        memset(c, 0, bytes_of(len));
    }
    return rc;
}
