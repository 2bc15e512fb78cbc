/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PSI from Diffie-Hellman over ristretto255, in blocks. H maps items to the group under the run's session.
 *
 * Rows at once: an oblivious pseudorandom function (Jarecki, Kiayias, Krawczyk 2014), F(x) = hash(x, b H(x)).
 *
 *   receiver: a                                  sender: b
 *   a H(y)                        ---->
 *                                 <----          b a H(y), in the same order
 *   F(y) = hash(y, 1/a b a H(y))  <----          first bytes of all F(x), ascending
 *
 * Rows hidden, for a number alone or for a minimum (Meadows 1986; Huberman, Franklin, Hogg 1999):
 *
 *   a H(y)                        ---->
 *                                 <----          b a H(y), shuffled; b H(x), in random order
 *   how many a b H(x) are among them: a number and places in both lists, but no items. If rows are wanted and the number
 *   is large enough, the sender then says how it shuffled (align.c).
 *
 * While one side computes a block, the other one computes its neighbour.
 */
#include "psi_priv.h"

#include <cczoo/ristretto.h>

#include <stdlib.h>
#include <string.h>

enum { BLOCK = CCZI_PSI_ECDH_BLOCK, WINDOW = 4 };

/* One bucket's state, either side. */
struct ecdh {
    struct cczi_psi_run *run;
    const struct cczi_psi_set *set;
    unsigned threads;
    size_t mask_size;
    uint8_t s[32], inverse[32]; /* a and 1/a, or b */
    uint8_t (*points)[32];      /* [BLOCK] of the block at hand */
    uint8_t (*out)[32];         /* [len] F of each item; rows hidden: points */
    struct cczi_psi_mask *masks, *theirs;
};

static void ecdh_deinit(struct ecdh *e)
{
    ccz_wipe(e->s, sizeof(e->s));
    ccz_wipe(e->inverse, sizeof(e->inverse));
    if (e->points)
        ccz_wipe(e->points, BLOCK * sizeof(*e->points));
    if (e->out)
        ccz_wipe(e->out, e->set->len * sizeof(*e->out));
    free(e->points);
    free(e->out);
    free(e->masks);
    free(e->theirs);
}

static ccz_rc no_memory(struct ccz_err *err, size_t len)
{
    return ccz_fail(err, CCZ_E_NOMEM, "psi:memory", (int64_t)len, "no memory for %zu entries", len);
}

static ccz_rc ecdh_init(struct ecdh *e, struct cczi_psi_run *run, const struct cczi_psi_set *set,
                        struct ccz_err *err)
{
    *e = (struct ecdh){.run = run, .set = set, .threads = run->cfg->threads};
    bool sender = run->cfg->role == CCZ_PSI_SENDER;
    e->mask_size = run->cfg->protocol == CCZ_PSI_UNBALANCED
                       ? cczi_psi_mask_size(sender ? set->len : set->peer_len,
                                            sender ? set->peer_len : set->len, run->buckets)
                       : CCZI_PSI_MASK_SIZE_MAX;
    e->points = malloc(BLOCK * sizeof(*e->points));
    e->out = malloc(set->len * sizeof(*e->out));
    e->masks = malloc(set->len * sizeof(*e->masks));
    e->theirs = malloc(set->peer_len * sizeof(*e->theirs));
    if (!e->points || !e->out || !e->masks || !e->theirs)
        return no_memory(err, set->len);
    if (ccz_ristretto_scalar_random(e->s) != CCZ_OK ||
        ccz_ristretto_scalar_inv(e->inverse, e->s) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "psi:random", 0, "no randomness");
    return CCZ_OK;
}

/* Fisher and Yates. Bias: a word of 64 bits modulo at most 2^32, below 2^-32 per step. */
ccz_rc cczi_psi_shuffled(uint32_t *out, size_t len, const uint8_t seed[32],
                         const uint8_t session[32], struct ccz_err *err)
{
    CCZ_AUTO(ccz_stream) stream = NULL;
    static const uint8_t iv[CCZ_STREAM_IV_SIZE];
    uint8_t key[32];
    uint64_t words[64];
    cczi_psi_derive(key, "cczoo psi shuffle", seed, CCZ_SPAN(session, 32));
    ccz_rc rc = ccz_stream_new(&stream);
    if (rc == CCZ_OK)
        rc = ccz_stream_start(stream, key, iv);
    for (size_t i = 0; i < len; i++)
        out[i] = (uint32_t)i;
    for (size_t i = len, w = 64; rc == CCZ_OK && i > 1; i--, w++) {
        if (w == 64) {
            rc = ccz_stream_read(words, stream, sizeof(words));
            w = 0;
        }
        size_t k = words[w] % i;
        uint32_t t = out[i - 1];
        out[i - 1] = out[k];
        out[k] = t;
    }
    ccz_wipe(key, sizeof(key));
    ccz_wipe(words, sizeof(words));
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "psi:memory", 0, "cannot shuffle");
}

static size_t block_len(size_t len, size_t at)
{
    return len - at < BLOCK ? len - at : BLOCK;
}

static ccz_rc send_points(const struct ecdh *e, const uint8_t (*points)[32], size_t len,
                          struct ccz_err *err)
{
    return ccz_chan_send(e->run->chan, CCZ_SPAN(points, len * sizeof(*points)), err);
}

static ccz_rc recv_points(struct ecdh *e, size_t len, struct ccz_err *err)
{
    return ccz_chan_recv_exact(e->points, len * sizeof(*e->points), e->run->chan, err);
}

/* a H(y) of the next block. */
static ccz_rc send_blinded(struct ecdh *e, size_t at, struct ccz_err *err)
{
    size_t n = block_len(e->set->len, at);
    cczi_psi_points(e->points, e->s, e->set->items + at, n, e->set->session, e->threads);
    return send_points(e, (const uint8_t(*)[32])e->points, n, err);
}

static ccz_rc list_of(struct cczi_psi_list **out, struct ecdh *e, const uint32_t (*pairs)[2],
                      size_t n, bool hidden, struct ccz_err *err)
{
    CCZ_AUTO(cczi_psi_list) list = NULL;
    ccz_rc rc = cczi_psi_list_new(&list, n, true, err);
    if (rc != CCZ_OK)
        return rc;
    if (hidden && !(list->hidden = malloc(n * sizeof(*list->hidden) + 1)))
        return no_memory(err, n);
    for (size_t i = 0; i < n; i++) {
        list->item[i] = pairs[i][0];
        list->at[i] = pairs[i][1];
        if (!hidden)
            memcpy(list->tag[i], e->out[pairs[i][0]] + 16, 16);
    }
    *out = cczi_psi_list_take(&list);
    return CCZ_OK;
}

/* The receiver's masks against the sender's, both sorted. */
static ccz_rc match(struct cczi_psi_list **out, struct ecdh *e, bool hidden, struct ccz_err *err)
{
    size_t len = e->set->len, peer = e->set->peer_len;
    uint32_t(*pairs)[2] = malloc((len < peer ? len : peer) * sizeof(*pairs));
    if (!pairs)
        return no_memory(err, len);
    size_t n = cczi_psi_match(pairs, e->masks, len, e->theirs, peer);
    ccz_rc rc = list_of(out, e, (const uint32_t(*)[2])pairs, n, hidden, err);
    free(pairs);
    return rc;
}

/* --------------------------------------------------------------------------------- rows at once */

/* The sender's answer to the block at @p at, to F of these items. */
static ccz_rc take_answer(struct ecdh *e, size_t at, struct ccz_err *err)
{
    size_t n = block_len(e->set->len, at);
    ccz_rc rc = recv_points(e, n, err);
    if (rc == CCZ_OK)
        rc = cczi_psi_mul(e->points, e->inverse, (const uint8_t(*)[32])e->points, n, e->threads,
                          err);
    if (rc == CCZ_OK)
        cczi_psi_finish(e->out + at, e->set->items + at, (const uint8_t(*)[32])e->points, n,
                        e->set->session, e->threads);
    return rc;
}

static ccz_rc recv_masks(struct ecdh *e, struct ccz_err *err)
{
    size_t size = cczi_psi_masks_size(e->set->peer_len, e->mask_size);
    ccz_rc rc = CCZ_OK;
    for (size_t at = 0; rc == CCZ_OK && at < e->set->peer_len; at += BLOCK) {
        uint8_t beat; /* a block of masks is made: the peer is alive */
        rc = ccz_chan_recv_exact(&beat, 1, e->run->chan, err);
        if (rc == CCZ_OK && beat != 0)
            rc = ccz_refuse_num(err, CCZ_E_PEER, "psi:message", beat, 0);
    }
    if (rc != CCZ_OK)
        return rc;
    uint8_t *in = malloc(size);
    if (!in)
        return no_memory(err, e->set->peer_len);
    rc = ccz_chan_recv_exact(in, size, e->run->chan, err);
    if (rc == CCZ_OK)
        rc = cczi_psi_masks_all(e->theirs, e->set->peer_len, e->mask_size, CCZ_SPAN(in, size), err);
    free(in);
    return rc;
}

static ccz_rc receive_rows(struct cczi_psi_list **out, struct ecdh *e, struct ccz_err *err)
{
    size_t len = e->set->len, answered = 0;
    ccz_rc rc = CCZ_OK;
    for (size_t at = 0; rc == CCZ_OK && at < len; at += BLOCK) {
        rc = send_blinded(e, at, err);
        if (rc == CCZ_OK && at >= (size_t)WINDOW * BLOCK) {
            rc = take_answer(e, answered, err);
            answered += BLOCK;
        }
    }
    for (; rc == CCZ_OK && answered < len; answered += BLOCK)
        rc = take_answer(e, answered, err);
    if (rc == CCZ_OK)
        rc = recv_masks(e, err);
    for (size_t i = 0; i < len; i++)
        e->masks[i] = cczi_psi_mask_from(e->out[i], e->mask_size, (uint32_t)i);
    if (rc == CCZ_OK)
        rc = cczi_psi_masks_sort(&e->masks, len, err);
    return rc == CCZ_OK ? match(out, e, false, err) : rc;
}

static ccz_rc send_masks(struct ecdh *e, struct ccz_err *err)
{
    static const uint8_t beat;
    size_t len = e->set->len, size = cczi_psi_masks_size(len, e->mask_size);
    ccz_rc rc = CCZ_OK;
    for (size_t at = 0; rc == CCZ_OK && at < len; at += BLOCK) {
        size_t n = block_len(len, at);
        cczi_psi_points(e->points, e->s, e->set->items + at, n, e->set->session, e->threads);
        cczi_psi_finish(e->out + at, e->set->items + at, (const uint8_t(*)[32])e->points, n,
                        e->set->session, e->threads);
        rc = ccz_chan_send(e->run->chan, CCZ_SPAN(&beat, 1), err);
    }
    for (size_t i = 0; i < len; i++)
        e->masks[i] = cczi_psi_mask_from(e->out[i], e->mask_size, (uint32_t)i);
    if (rc == CCZ_OK)
        rc = cczi_psi_masks_sort(&e->masks, len, err);
    if (rc != CCZ_OK)
        return rc;
    uint8_t *body = malloc(size);
    if (!body)
        return no_memory(err, len);
    cczi_psi_masks_put(body, e->masks, len, e->mask_size);
    rc = ccz_chan_send(e->run->chan, CCZ_SPAN(body, size), err);
    free(body);
    return rc;
}

/* The common order is that of the masks. */
static ccz_rc send_rows(struct cczi_psi_list **out, struct ecdh *e, struct ccz_err *err)
{
    CCZ_AUTO(cczi_psi_list) list = NULL;
    ccz_rc rc = cczi_psi_list_new(&list, e->set->len, false, err);
    for (size_t at = 0; rc == CCZ_OK && at < e->set->peer_len; at += BLOCK) {
        size_t n = block_len(e->set->peer_len, at);
        rc = recv_points(e, n, err);
        if (rc == CCZ_OK)
            rc = cczi_psi_mul(e->points, e->s, (const uint8_t(*)[32])e->points, n, e->threads, err);
        if (rc == CCZ_OK)
            rc = send_points(e, (const uint8_t(*)[32])e->points, n, err);
    }
    if (rc == CCZ_OK)
        rc = send_masks(e, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < e->set->len; i++) {
        list->item[i] = e->masks[i].at;
        memcpy(list->tag[i], e->out[e->masks[i].at] + 16, 16);
    }
    *out = cczi_psi_list_take(&list);
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------------- rows hidden */

/* Masks of points under a key that the peer does not know: it cannot choose points that are slow to sort. */
static ccz_rc masks_of(struct cczi_psi_mask *masks, const uint8_t (*points)[32], size_t len,
                       size_t first, const struct cczi_ro *ro)
{
    struct cczi_digest hash[64];
    for (size_t i = 0; i < len; i += 64) {
        size_t n = len - i < 64 ? len - i : 64;
        cczi_ro_hash(hash, ro, points + i, n);
        for (size_t j = 0; j < n; j++)
            masks[i + j] = cczi_psi_mask_from((const uint8_t *)hash[j].w, CCZI_PSI_MASK_SIZE_MAX,
                                              (uint32_t)(first + i + j));
    }
    return CCZ_OK;
}

static ccz_rc sort_different(struct cczi_psi_mask **masks, size_t len, struct ccz_err *err)
{
    ccz_rc rc = cczi_psi_masks_sort(masks, len, err);
    for (size_t i = 1; rc == CCZ_OK && i < len; i++) {
        if ((*masks)[i].hi == (*masks)[i - 1].hi && (*masks)[i].lo == (*masks)[i - 1].lo)
            rc = ccz_fail(err, CCZ_E_PEER, "psi:points", (*masks)[i].at, "the same point twice");
    }
    return rc;
}

/* b a H(y), shuffled, then b H(x); @p theirs keeps the latter. */
static ccz_rc take_both(struct ecdh *e, uint8_t (*theirs)[32], struct ccz_err *err)
{
    struct cczi_ro ro;
    uint8_t key[32];
    ccz_rc rc = CCZ_OK;
    if (ccz_random(key, sizeof(key)) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "psi:random", 0, "no randomness");
    cczi_ro_init(&ro, "cczoo psi sort", key);
    for (size_t at = 0; rc == CCZ_OK && at < e->set->len; at += BLOCK) {
        size_t n = block_len(e->set->len, at);
        rc = recv_points(e, n, err);
        for (size_t i = 0; rc == CCZ_OK && i < n; i++)
            if (!ccz_ristretto_valid(e->points[i]))
                rc = ccz_fail(err, CCZ_E_PEER, "psi:point", (int64_t)(at + i),
                              "not a canonical encoding of ristretto255, or the identity");
        if (rc == CCZ_OK)
            rc = masks_of(e->masks + at, (const uint8_t(*)[32])e->points, n, at, &ro);
    }
    for (size_t at = 0; rc == CCZ_OK && at < e->set->peer_len; at += BLOCK) {
        size_t n = block_len(e->set->peer_len, at);
        rc = recv_points(e, n, err);
        if (rc != CCZ_OK)
            break;
        memcpy(theirs + at, e->points, n * sizeof(*theirs));
        rc = cczi_psi_mul(e->points, e->s, (const uint8_t(*)[32])e->points, n, e->threads, err);
        if (rc == CCZ_OK)
            rc = masks_of(e->theirs + at, (const uint8_t(*)[32])e->points, n, at, &ro);
    }
    ccz_wipe(key, sizeof(key));
    return rc;
}

static ccz_rc receive_hidden(struct cczi_psi_list **out, struct ecdh *e, struct ccz_err *err)
{
    CCZ_AUTO(cczi_psi_list) list = NULL;
    uint8_t(*theirs)[32] = malloc(e->set->peer_len * sizeof(*theirs));
    ccz_rc rc = theirs ? CCZ_OK : no_memory(err, e->set->peer_len);
    for (size_t at = 0; rc == CCZ_OK && at < e->set->len; at += BLOCK)
        rc = send_blinded(e, at, err);
    if (rc == CCZ_OK)
        rc = take_both(e, theirs, err);
    if (rc == CCZ_OK)
        rc = sort_different(&e->masks, e->set->len, err);
    if (rc == CCZ_OK)
        rc = sort_different(&e->theirs, e->set->peer_len, err);
    if (rc == CCZ_OK)
        rc = match(&list, e, true, err);
    for (size_t i = 0; rc == CCZ_OK && i < list->len; i++)
        memcpy(list->hidden[i], theirs[list->at[i]], sizeof(*list->hidden));
    free(theirs);
    if (rc == CCZ_OK)
        *out = cczi_psi_list_take(&list);
    return rc;
}

/* b a H(y) of all blocks, then in shuffled order back. */
static ccz_rc answer_shuffled(struct ecdh *e, struct ccz_err *err)
{
    size_t len = e->set->peer_len;
    uint8_t(*all)[32] = malloc(len * sizeof(*all));
    uint32_t *order = malloc(len * sizeof(*order));
    ccz_rc rc = all && order ? cczi_psi_shuffled(order, len, e->run->shuffle, e->set->session, err)
                             : no_memory(err, len);
    for (size_t at = 0; rc == CCZ_OK && at < len; at += BLOCK) {
        size_t n = block_len(len, at);
        rc = recv_points(e, n, err);
        if (rc == CCZ_OK)
            rc = cczi_psi_mul(all + at, e->s, (const uint8_t(*)[32])e->points, n, e->threads, err);
    }
    for (size_t at = 0; rc == CCZ_OK && at < len; at += BLOCK) {
        size_t n = block_len(len, at);
        for (size_t i = 0; i < n; i++)
            memcpy(e->points[i], all[order[at + i]], sizeof(*e->points));
        rc = send_points(e, (const uint8_t(*)[32])e->points, n, err);
    }
    free(order);
    free(all);
    return rc;
}

/* b H(x) in an order that is never told. */
static ccz_rc send_own(struct cczi_psi_list *list, struct ecdh *e, struct ccz_err *err)
{
    size_t len = e->set->len;
    uint8_t seed[32];
    struct cczi_psi_rec *items = malloc(BLOCK * sizeof(*items));
    if (!items || ccz_random(seed, sizeof(seed)) != CCZ_OK) {
        free(items);
        return no_memory(err, BLOCK);
    }
    ccz_rc rc = cczi_psi_shuffled(list->item, len, seed, e->set->session, err);
    for (size_t at = 0; rc == CCZ_OK && at < len; at += BLOCK) {
        size_t n = block_len(len, at);
        for (size_t i = 0; i < n; i++)
            items[i] = e->set->items[list->item[at + i]];
        cczi_psi_points(e->points, e->s, items, n, e->set->session, e->threads);
        cczi_psi_finish(e->out, items, (const uint8_t(*)[32])e->points, n, e->set->session,
                        e->threads);
        for (size_t i = 0; i < n; i++)
            memcpy(list->tag[at + i], e->out[i] + 16, 16);
        rc = send_points(e, (const uint8_t(*)[32])e->points, n, err);
    }
    ccz_wipe(seed, sizeof(seed));
    cczi_psi_recs_free(items, BLOCK);
    return rc;
}

static ccz_rc send_hidden(struct cczi_psi_list **out, struct ecdh *e, struct ccz_err *err)
{
    CCZ_AUTO(cczi_psi_list) list = NULL;
    ccz_rc rc = cczi_psi_list_new(&list, e->set->len, false, err);
    if (rc == CCZ_OK)
        rc = answer_shuffled(e, err);
    if (rc == CCZ_OK)
        rc = send_own(list, e, err);
    if (rc == CCZ_OK)
        *out = cczi_psi_list_take(&list);
    return rc;
}

ccz_rc cczi_psi_ecdh_bucket(struct cczi_psi_list **out, struct cczi_psi_run *run,
                            const struct cczi_psi_set *set, struct ccz_err *err)
{
    struct ecdh e;
    *out = NULL;
    bool sender = run->cfg->role == CCZ_PSI_SENDER, hidden = cczi_psi_rows_hidden(run->cfg);
    ccz_rc rc = ecdh_init(&e, run, set, err);
    if (rc == CCZ_OK && sender)
        rc = hidden ? send_hidden(out, &e, err) : send_rows(out, &e, err);
    else if (rc == CCZ_OK)
        rc = hidden ? receive_hidden(out, &e, err) : receive_rows(out, &e, err);
    ecdh_deinit(&e);
    return rc;
}
