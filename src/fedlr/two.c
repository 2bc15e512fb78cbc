/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HETERO_TWO. A round, both sides alike, each with a key of its own:
 *   PARTS     own part of the residuals, packed, under the own key        -> the other
 *   GRADIENT  sums of the other's part times own columns, masked, under the other's key -> the other
 *   WINDOWS   the wanted slot of the other's sums                         -> the other
 * The own part times own columns is computed in plain. When an epoch ends both say whether a weight still moved.
 */
#include "fedlr/fedlr_priv.h"

#include <math.h>
#include <string.h>

static ccz_rc exchange_parts(struct ccz_paillier_vec **theirs, struct cczi_fl_trainer *t,
                             const struct ccz_paillier_pub *peer, struct cczi_fl_batch b,
                             struct ccz_err *err)
{
    struct cczi_fl_session *s = t->s;
    CCZ_AUTO(ccz_paillier_plain) own = NULL;
    CCZ_AUTO(ccz_paillier_vec) parts = NULL;
    const struct ccz_paillier_enc_cfg enc = cczi_fl_enc(s);
    uint64_t r = t->h.now.round;
    cczi_fl_shares(t->shares, &t->side, t->h.now.v, b);
    ccz_rc rc = cczi_fl_packed(&own, s->pub, t->shares, b.len, &t->layout, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_encrypt(&parts, own, &enc, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_send_vec(s, 0, CCZI_MSG_PARTS, r, parts, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_recv_vec(theirs, s, 0, CCZI_MSG_PARTS, r, peer,
                              cczi_fl_ciphertexts(b, &t->peer_layout), err);
    return rc;
}

ccz_rc cczi_fl_two_end(struct cczi_fl_trainer *t, size_t rows, struct ccz_err *err)
{
    struct cczi_fl_session *s = t->s;
    uint64_t r = t->h.now.round;
    ccz_rc rc = CCZ_OK;
    cczi_fl_trainer_step(t, rows);
    double tol = s->run->cfg->tol, *more = t->v + 2 * t->d;
    bool mine = !(tol > 0 && more[CCZI_CHANGE] < tol), other = true;
    if (cczi_fl_trainer_epoch_ends(t)) {
        rc = cczi_fl_send_go(s, 0, r, mine, err);
        if (rc == CCZ_OK)
            rc = cczi_fl_recv_go(&other, s, 0, r, err);
        more[CCZI_CONVERGED] = !mine && !other;
    }
    if (rc == CCZ_OK)
        rc = cczi_fl_history_push(&t->h, t->v, s->role, s->run, err);
    if (rc == CCZ_OK)
        cczi_fl_round_end(s, r + 1, cczi_fl_trainer_rounds(t), NAN, t->h.now.v, t->d);
    return rc;
}

static ccz_rc two_round(struct cczi_fl_trainer *t, const struct ccz_paillier_key *key,
                        const struct ccz_paillier_pub *peer, size_t peer_sums, struct ccz_err *err)
{
    struct cczi_fl_session *s = t->s;
    CCZ_AUTO(ccz_paillier_vec) theirs = NULL;
    CCZ_AUTO(ccz_paillier_vec) products = NULL;
    uint64_t r = t->h.now.round;
    struct cczi_fl_batch b = cczi_fl_trainer_batch(t);
    cczi_fl_round_begin(s);
    ccz_rc rc = exchange_parts(&theirs, t, peer, b, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_products(&products, t->masks, theirs, peer, &t->side, b, &t->peer_layout, s,
                              err);
    if (rc == CCZ_OK)
        rc = cczi_fl_send_vec(s, 0, CCZI_MSG_GRADIENT, r, products, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_serve_gradient(s, 0, r, key, peer_sums, &t->layout, err);
    cczi_fl_plain_sums(t->sums, t->shares, &t->side, b, &t->layout);
    if (rc == CCZ_OK)
        rc = cczi_fl_recv_sums(t->sums, t->side.sums, s, 0, r, t->masks, &t->peer_layout, err);
    if (rc != CCZ_OK)
        return rc;
    return cczi_fl_two_end(t, b.len, err);
}

ccz_rc cczi_fl_two_agree(struct cczi_fl_hello *theirs, struct cczi_fl_trainer *t,
                         struct ccz_err *err)
{
    struct cczi_fl_hello mine = cczi_fl_hello_of(&t->h, t->side.t);
    ccz_rc rc = cczi_fl_greet(theirs, t->s, &mine, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_expect_role(theirs, t->side.guest ? CCZI_ROLE_HOST : CCZI_ROLE_GUEST, err);
    if (rc == CCZ_OK &&
        (theirs->rows != mine.rows || memcmp(theirs->ids, mine.ids, sizeof(mine.ids)) != 0))
        rc = ccz_hint(err,
                      ccz_refuse_bytes(err, CCZ_E_MISMATCH, "fedlr:alignment", theirs->ids,
                                       sizeof(mine.ids), mine.ids, sizeof(mine.ids)),
                      "guest and host need the same rows in the same order");
    return rc;
}

ccz_rc cczi_fl_two_resume(struct cczi_fl_trainer *t, const struct cczi_fl_hello *theirs,
                          struct ccz_err *err)
{
    uint64_t mine = t->h.now.round;
    return cczi_fl_history_back(&t->h, theirs->round < mine ? theirs->round : mine, err);
}

static ccz_rc exchange_keys(struct ccz_paillier_pub **peer, struct cczi_fl_trainer *t,
                            const struct ccz_paillier_key *key, struct ccz_err *err)
{
    struct cczi_fl_session *s = t->s;
    uint8_t id[CCZ_PAILLIER_ID_SIZE];
    const uint8_t *want = s->run->key_id; /* the pinned one, if any, is the peer's */
    s->pub = ccz_paillier_key_pub(key);
    ccz_rc rc = cczi_fl_send_key(s, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_recv_key(peer, s, 0, err);
    if (rc == CCZ_OK)
        ccz_paillier_id(id, *peer);
    if (rc == CCZ_OK && want && memcmp(id, want, sizeof(id)) != 0)
        rc =
            ccz_refuse_bytes(err, CCZ_E_MISMATCH, "fedlr:key-id", id, sizeof(id), want, sizeof(id));
    return rc;
}

ccz_rc cczi_fl_train_two(struct cczi_fl_trainer *t, const struct ccz_paillier_key *key,
                         struct ccz_err *err)
{
    struct cczi_fl_hello theirs;
    CCZ_AUTO(ccz_paillier_pub) peer = NULL;
    ccz_rc rc = cczi_fl_two_agree(&theirs, t, err);
    if (rc == CCZ_OK)
        rc = exchange_keys(&peer, t, key, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_two_resume(t, &theirs, err);
    if (rc == CCZ_OK)
        rc = cczi_fl_trainer_prepare(t, ccz_paillier_bits(t->s->pub), ccz_paillier_bits(peer), err);
    size_t peer_sums = rc == CCZ_OK ? cczi_fl_sums_of(&theirs) : 0;
    if (rc == CCZ_OK)
        rc = cczi_fl_enough_rows(t->s->run, t->side.t->rows, peer_sums, err);
    while (rc == CCZ_OK && cczi_fl_trainer_wants_more(t))
        rc = two_round(t, key, peer, peer_sums, err);
    return rc;
}
