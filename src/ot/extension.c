/* SPDX-License-Identifier: Apache-2.0 */
/* Correlated and random OT in messages of a bounded number of rows. */
#include "ot_priv.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH_BLOCKS = 1024, BLOCK_BITS = 128, HASH_LEN = 256 };
#define BATCH_LEN ((size_t)BATCH_BLOCKS * BLOCK_BITS)

struct ccz_ot_sender {
    struct cczi_soft soft;
};
struct ccz_ot_receiver {
    struct cczi_soft soft;
};

ccz_rc ccz_ot_sender_new(struct ccz_ot_sender **out, struct ccz_chan *chan,
                         const struct ccz_ot_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_ot_sender) s = calloc(1, sizeof(*s));
    if (!s)
        return ccz_fail(err, CCZ_E_NOMEM, "ot:memory", 0, "out of memory");
    ccz_rc rc = cczi_soft_init(&s->soft, true, CCZI_OT_EXTENSION, 0, chan, cfg, err);
    if (rc == CCZ_OK)
        *out = ccz_ot_sender_take(&s);
    return rc;
}

ccz_rc ccz_ot_receiver_new(struct ccz_ot_receiver **out, struct ccz_chan *chan,
                           const struct ccz_ot_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_ot_receiver) r = calloc(1, sizeof(*r));
    if (!r)
        return ccz_fail(err, CCZ_E_NOMEM, "ot:memory", 0, "out of memory");
    ccz_rc rc = cczi_soft_init(&r->soft, false, CCZI_OT_EXTENSION, 0, chan, cfg, err);
    if (rc == CCZ_OK)
        *out = ccz_ot_receiver_take(&r);
    return rc;
}

void ccz_ot_sender_free(struct ccz_ot_sender *s)
{
    if (!s)
        return;
    cczi_soft_deinit(&s->soft);
    free(s);
}

void ccz_ot_receiver_free(struct ccz_ot_receiver *r)
{
    if (!r)
        return;
    cczi_soft_deinit(&r->soft);
    free(r);
}

const struct ccz_f128 *ccz_ot_sender_delta(const struct ccz_ot_sender *s)
{
    return &s->soft.delta;
}

static ccz_rc check_len(size_t len, struct ccz_err *err)
{
    if (len == 0 || len > CCZ_OT_LEN_MAX)
        return ccz_fail(err, CCZ_E_ARG, "ot:len", (int64_t)len, "length %zu, expected 1 to %zu",
                        len, CCZ_OT_LEN_MAX);
    return CCZ_OK;
}

static size_t batch_len(size_t left)
{
    return left < BATCH_LEN ? left : BATCH_LEN;
}

static size_t blocks_of(size_t len)
{
    return (len + BLOCK_BITS - 1) / BLOCK_BITS;
}

ccz_rc ccz_cot_send(struct ccz_f128 *q, size_t len, struct ccz_ot_sender *s, struct ccz_err *err)
{
    ccz_rc rc = check_len(len, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < len && rc == CCZ_OK; i += BATCH_LEN) {
        size_t n = batch_len(len - i);
        rc = cczi_soft_send(q + i, n, NULL, blocks_of(n), &s->soft, err);
    }
    if (rc != CCZ_OK)
        memset(q, 0, len * sizeof(*q));
    return rc;
}

/* Choices of a batch as blocks; what is behind the last is zero. */
static void to_blocks(struct ccz_f128 *w, const uint8_t *x, size_t len)
{
    memset(w, 0, blocks_of(len) * sizeof(*w));
    memcpy(w, x, (len + 7) / 8);
    if (len % BLOCK_BITS) {
        struct ccz_f128 *last = &w[len / BLOCK_BITS];
        size_t n = len % BLOCK_BITS;
        last->lo &= n < 64 ? ((uint64_t)1 << n) - 1 : UINT64_MAX;
        last->hi &= n > 64 ? ((uint64_t)1 << (n - 64)) - 1 : 0;
    }
}

ccz_rc ccz_cot_recv(struct ccz_f128 *t, const uint8_t *x, size_t len, struct ccz_ot_receiver *r,
                    struct ccz_err *err)
{
    CCZI_AUTO_ARRAY w = {0};
    ccz_rc rc = check_len(len, err);
    if (rc == CCZ_OK)
        rc = cczi_array_init(&w, blocks_of(batch_len(len)), err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < len && rc == CCZ_OK; i += BATCH_LEN) {
        size_t n = batch_len(len - i);
        to_blocks(w.at, x + i / 8, n);
        rc = cczi_soft_recv(t + i, n, NULL, w.at, blocks_of(n), &r->soft, err);
    }
    if (rc != CCZ_OK)
        memset(t, 0, len * sizeof(*t));
    return rc;
}

/* Rows to pairs of messages, in place: q is the upper half of m, so that pairs overtake rows only at the end. */
static void to_pairs(struct ccz_f128 *m, const struct ccz_f128 *q, size_t len, uint64_t tweak,
                     struct cczi_soft *soft)
{
    struct ccz_f128 rows[2][HASH_LEN];
    for (size_t i = 0; i < len; i += HASH_LEN) {
        size_t n = len - i < HASH_LEN ? len - i : HASH_LEN;
        for (size_t k = 0; k < n; k++) {
            rows[0][k] = q[i + k];
            rows[1][k] = cczi_f128_add(q[i + k], soft->delta);
        }
        for (int b = 0; b < 2; b++)
            cczi_hash_run(rows[b], rows[b], n, tweak + i, 1, &soft->hash);
        for (size_t k = 0; k < n; k++) {
            m[2 * (i + k)] = rows[0][k];
            m[2 * (i + k) + 1] = rows[1][k];
        }
    }
    ccz_wipe(rows, sizeof(rows));
}

ccz_rc ccz_ot_send(struct ccz_f128 *m, size_t len, struct ccz_ot_sender *s, struct ccz_err *err)
{
    struct cczi_soft *soft = &s->soft;
    ccz_rc rc = check_len(len, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < len && rc == CCZ_OK; i += BATCH_LEN) { /* hashed while in the cache */
        size_t n = batch_len(len - i);
        struct ccz_f128 *to = m + 2 * i, *q = to + n;
        rc = cczi_soft_send(q, n, NULL, blocks_of(n), soft, err);
        if (rc == CCZ_OK)
            to_pairs(to, q, n, soft->ots, soft);
        soft->ots += n;
    }
    if (rc != CCZ_OK)
        memset(m, 0, 2 * len * sizeof(*m));
    return rc;
}

ccz_rc ccz_ot_recv(struct ccz_f128 *m_x, const uint8_t *x, size_t len, struct ccz_ot_receiver *r,
                   struct ccz_err *err)
{
    struct cczi_soft *soft = &r->soft;
    ccz_rc rc = check_len(len, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < len && rc == CCZ_OK; i += BATCH_LEN) {
        size_t n = batch_len(len - i);
        rc = ccz_cot_recv(m_x + i, x + i / 8, n, r, err);
        if (rc == CCZ_OK)
            cczi_hash_run(m_x + i, m_x + i, n, soft->ots, 1, &soft->hash);
        soft->ots += n;
    }
    if (rc != CCZ_OK)
        memset(m_x, 0, len * sizeof(*m_x));
    return rc;
}
