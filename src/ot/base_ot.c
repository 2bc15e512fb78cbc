/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base OT over ristretto255: Masny and Rindal, "Endemic Oblivious Transfer", 2019, with a Diffie-Hellman key exchange. The
 * receiver sends two points of which it knows the logarithm of one only after a hash of the other is added:
 * r_c = s G - H_c(r_(1-c)). The sender's a G is one for all: its keys are hashes of a (r_b + H_b(r_(1-b))).
 */
#include "base/ct.h"
#include "ot_priv.h"

#include <cczoo/crypto.h>
#include <cczoo/ristretto.h>

#include <string.h>

enum { POINT = CCZ_RISTRETTO_SIZE, PAIR = 2 * POINT };

struct hash_id {
    uint8_t bytes[3]; /* number of the OT, which of the two */
};

static struct hash_id id_of(size_t i, uint8_t bit)
{
    return (struct hash_id){{(uint8_t)i, (uint8_t)(i >> 8), bit}};
}

/* H_bit of the other point of OT i, in this session. */
static ccz_rc to_group(uint8_t out[POINT], const struct cczi_transcript *t, size_t i, uint8_t bit,
                       const uint8_t other[POINT])
{
    uint8_t wide[64];
    struct hash_id id = id_of(i, bit);
    const struct ccz_span parts[] = {ccz_span_str("cczoo base OT, point"), CCZ_SPAN(t->state, 32),
                                     CCZ_SPAN(id.bytes, 3), CCZ_SPAN(other, POINT)};
    ccz_rc rc = ccz_hash(wide, CCZ_SHA512, parts, 4);
    if (rc == CCZ_OK)
        ccz_ristretto_from_hash(out, wide);
    ccz_wipe(wide, sizeof(wide));
    return rc;
}

static ccz_rc to_key(struct ccz_f128 *key, const struct cczi_transcript *t, size_t i, uint8_t bit,
                     const uint8_t shared[POINT])
{
    uint8_t wide[32] = {0};
    struct hash_id id = id_of(i, bit);
    const struct ccz_span parts[] = {ccz_span_str("cczoo base OT, key"), CCZ_SPAN(t->state, 32),
                                     CCZ_SPAN(id.bytes, 3), CCZ_SPAN(shared, POINT)};
    ccz_rc rc = ccz_hash(wide, CCZ_SHA256, parts, 4);
    memcpy(key, wide, sizeof(*key));
    CCZ_CT_SECRET(key, sizeof(*key));
    ccz_wipe(wide, sizeof(wide));
    return rc;
}

static void swap_if(uint8_t *a, uint8_t *b, size_t size, uint8_t bit)
{
    uint8_t mask = (uint8_t)(0 - bit);
    for (size_t i = 0; i < size; i++) {
        uint8_t d = (a[i] ^ b[i]) & mask;
        a[i] ^= d;
        b[i] ^= d;
    }
}

static uint8_t bit_of(struct ccz_f128 a, size_t i)
{
    return (uint8_t)((i < 64 ? a.lo : a.hi) >> (i & 63) & 1);
}

static ccz_rc bad_point(struct ccz_err *err, size_t i)
{
    return ccz_fail(err, CCZ_E_PEER, "ot:point", (int64_t)i, "the peer sent a malformed point");
}

static ccz_rc own_fault(struct ccz_err *err, ccz_rc rc, size_t i)
{
    return ccz_fail(err, rc, "ot:base", (int64_t)i, "hashing or the random generator failed");
}

/* ----------------------------------------------------------------------------------- receiver */

/* The two points of OT i: pair[0] is r_0. */
static ccz_rc make_pair(uint8_t pair[PAIR], uint8_t secret[32], const struct cczi_transcript *t,
                        size_t i, uint8_t choice)
{
    uint8_t wide[64], own[POINT], hash[POINT];
    uint8_t *other = pair + POINT;
    ccz_rc rc = ccz_random(wide, sizeof(wide));
    if (rc != CCZ_OK)
        return rc;
    ccz_ristretto_from_hash(other, wide); /* nobody knows its logarithm */
    if ((rc = ccz_ristretto_scalar_random(secret)) == CCZ_OK &&
        (rc = ccz_ristretto_mul_base(own, secret)) == CCZ_OK &&
        (rc = to_group(hash, t, i, choice, other)) == CCZ_OK)
        rc = ccz_ristretto_sub(pair, own, hash);
    if (rc == CCZ_OK)
        swap_if(pair, other, POINT, choice);
    ccz_wipe(wide, sizeof(wide)); /* each says which of the two points is which */
    ccz_wipe(own, sizeof(own));
    ccz_wipe(hash, sizeof(hash));
    return rc;
}

ccz_rc cczi_base_ot_recv_send(uint8_t (*secrets)[32], struct ccz_f128 choices, size_t len,
                              struct cczi_transcript *t, struct ccz_chan *chan, struct ccz_err *err)
{
    uint8_t pairs[CCZI_OT_DELTA_BITS][PAIR];
    for (size_t i = 0; i < len; i++) {
        ccz_rc rc = make_pair(pairs[i], secrets[i], t, i, bit_of(choices, i));
        if (rc != CCZ_OK)
            return own_fault(err, rc, i);
    }
    return cczi_transcript_send(t, "base OT points", CCZ_SPAN(pairs, len * PAIR), chan, err);
}

ccz_rc cczi_base_ot_recv_finish(struct ccz_f128 *keys, uint8_t (*secrets)[32],
                                struct ccz_f128 choices, size_t len, struct cczi_transcript *t,
                                struct ccz_chan *chan, struct ccz_err *err)
{
    uint8_t a[POINT], shared[POINT];
    ccz_rc rc = ccz_chan_recv_exact(a, sizeof(a), chan, err);
    if (rc != CCZ_OK)
        return rc;
    if (!ccz_ristretto_valid(a))
        return bad_point(err, 0);
    cczi_transcript_put(t, "base OT answer", CCZ_SPAN(a, sizeof(a)));
    for (size_t i = 0; i < len && rc == CCZ_OK; i++) {
        rc = ccz_ristretto_mul(shared, secrets[i], a);
        if (rc == CCZ_OK)
            rc = to_key(&keys[i], t, i, bit_of(choices, i), shared);
    }
    ccz_wipe(shared, sizeof(shared));
    return rc == CCZ_OK ? CCZ_OK : own_fault(err, rc, 0);
}

/* ------------------------------------------------------------------------------------- sender */

/* a (r_b + H_b(r_(1-b))) for both b of OT i. */
static ccz_rc shared_points(uint8_t shared[2][POINT], const uint8_t pair[PAIR],
                            const uint8_t secret[32], const struct cczi_transcript *t, size_t i)
{
    for (uint8_t b = 0; b < 2; b++) {
        uint8_t hash[POINT];
        ccz_rc rc = to_group(hash, t, i, b, pair + POINT * (1 - b));
        if (rc == CCZ_OK)
            rc = ccz_ristretto_add(hash, hash, pair + POINT * b);
        if (rc == CCZ_OK)
            rc = ccz_ristretto_mul(shared[b], secret, hash);
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

static ccz_rc send_all(struct ccz_f128 (*keys)[2], size_t len, uint8_t secret[32],
                       uint8_t (*shared)[2][POINT], struct cczi_transcript *t,
                       struct ccz_chan *chan, struct ccz_err *err)
{
    uint8_t pairs[CCZI_OT_DELTA_BITS][PAIR], a[POINT];
    ccz_rc rc = ccz_chan_recv_exact(pairs, len * PAIR, chan, err);
    if (rc != CCZ_OK)
        return rc;
    if (ccz_ristretto_scalar_random(secret) != CCZ_OK ||
        ccz_ristretto_mul_base(a, secret) != CCZ_OK)
        return own_fault(err, CCZ_E_INTERNAL, 0);
    for (size_t i = 0; i < len; i++) { /* hashed as the receiver did, before its points are put */
        rc = shared_points(shared[i], pairs[i], secret, t, i);
        if (rc != CCZ_OK)
            return rc == CCZ_E_FORMAT ? bad_point(err, i) : own_fault(err, rc, i);
    }
    cczi_transcript_put(t, "base OT points", CCZ_SPAN(pairs, len * PAIR));
    cczi_transcript_put(t, "base OT answer", CCZ_SPAN(a, sizeof(a)));
    for (size_t i = 0; i < 2 * len && rc == CCZ_OK; i++)
        rc = to_key(&keys[i / 2][i % 2], t, i / 2, i % 2, shared[i / 2][i % 2]);
    if (rc != CCZ_OK)
        return own_fault(err, rc, 0);
    rc = cczi_transcript_check(t, err);
    return rc == CCZ_OK ? ccz_chan_send(chan, CCZ_SPAN(a, sizeof(a)), err) : rc;
}

ccz_rc cczi_base_ot_send(struct ccz_f128 (*keys)[2], size_t len, struct cczi_transcript *t,
                         struct ccz_chan *chan, struct ccz_err *err)
{
    uint8_t secret[32], shared[CCZI_OT_DELTA_BITS][2][POINT];
    ccz_rc rc = send_all(keys, len, secret, shared, t, chan, err);
    ccz_wipe(secret, sizeof(secret));
    ccz_wipe(shared, sizeof(shared));
    return rc;
}
