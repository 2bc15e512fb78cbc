/* SPDX-License-Identifier: Apache-2.0 */
/* A client of a database: see db_priv.h. */
#include "db_priv.h"

#include <cczoo/ristretto.h>

#include <stdlib.h>
#include <string.h>

enum { BLOCK = CCZI_PSI_ECDH_BLOCK };

struct query {
    struct ccz_chan *chan;
    struct cczi_filter f;
    unsigned threads;
    size_t len;
    struct cczi_psi_rec *items;
    uint64_t *rows;
    struct cczi_psi_mask *masks, *theirs;
    uint8_t (*points)[32];
    uint8_t a[32], inverse[32], key[32];
};

static ccz_rc no_memory(struct ccz_err *err, size_t len)
{
    return ccz_fail(err, CCZ_E_NOMEM, "psi:memory", (int64_t)len, "no memory for entries");
}

static void query_deinit(struct query *q)
{
    ccz_wipe(q->a, sizeof(q->a));
    ccz_wipe(q->inverse, sizeof(q->inverse));
    if (q->items)
        ccz_wipe(q->items, q->len * sizeof(*q->items));
    free(q->items);
    free(q->rows);
    free(q->masks);
    free(q->theirs);
    free(q->points);
}

static ccz_rc query_init(struct query *q, const struct ccz_psi_ids *ids, struct ccz_err *err)
{
    size_t at = 0;
    q->len = (size_t)ids->len;
    q->items = malloc(q->len * sizeof(*q->items) + 1);
    q->rows = malloc(q->len * sizeof(*q->rows) + 1);
    q->masks = malloc(q->len * sizeof(*q->masks) + 1);
    q->points = malloc(BLOCK * sizeof(*q->points));
    if (!q->items || !q->rows || !q->masks || !q->points)
        return no_memory(err, q->len);
    for (size_t p = 0; p < CCZI_PSI_PARTS; p++) {
        struct cczi_psi_rec *recs;
        size_t len;
        ccz_rc rc = cczi_psi_ids_parts(&recs, &len, 0, ids, p, 1, err);
        if (rc != CCZ_OK)
            return rc;
        for (size_t i = 0; i < len; i++, at++) {
            memcpy(q->items[at].b, recs[i].b, 16);
            q->rows[at] = recs[i].row;
        }
        cczi_psi_recs_free(recs, len);
    }
    cczi_db_key(q->key, q->f.name);
    if (ccz_ristretto_scalar_random(q->a) != CCZ_OK ||
        ccz_ristretto_scalar_inv(q->inverse, q->a) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "psi:random", 0, "no randomness");
    return CCZ_OK;
}

void cczi_query_put(uint8_t out[CCZI_QUERY_SIZE], const uint8_t name[32], uint64_t len)
{
    memcpy(out, "PSQ\1", 4);
    memcpy(out + 4, name, 32);
    for (int i = 0; i < 8; i++)
        out[36 + i] = (uint8_t)(len >> 8 * i);
}

static ccz_rc ask(struct query *q, struct ccz_err *err)
{
    uint8_t head[CCZI_QUERY_SIZE];
    cczi_query_put(head, q->f.name, q->len);
    ccz_rc rc = ccz_chan_send(q->chan, CCZ_SPAN(head, sizeof(head)), err);
    for (size_t at = 0; rc == CCZ_OK && at < q->len; at += BLOCK) {
        size_t n = q->len - at < BLOCK ? q->len - at : BLOCK;
        const uint8_t(*points)[32] = (const uint8_t(*)[32])q->points;
        cczi_psi_points(q->points, q->a, q->items + at, n, q->key, q->threads);
        rc = ccz_chan_send(q->chan, CCZ_SPAN(q->points, n * sizeof(*q->points)), err);
        if (rc == CCZ_OK)
            rc = ccz_chan_recv_exact(q->points, n * sizeof(*q->points), q->chan, err);
        if (rc == CCZ_OK)
            rc = cczi_psi_mul(q->points, q->inverse, points, n, q->threads, err);
        if (rc != CCZ_OK)
            break;
        cczi_psi_finish(q->points, q->items + at, points, n, q->key, q->threads);
        for (size_t i = 0; i < n; i++)
            q->masks[at + i] = cczi_psi_mask_from(q->points[i], q->f.mask_size, (uint32_t)(at + i));
    }
    return rc == CCZ_OK ? cczi_psi_masks_sort(&q->masks, q->len, err) : rc;
}

static ccz_rc look_up(struct ccz_psi_result *out, struct query *q, struct ccz_err *err)
{
    size_t most = q->len < q->f.len ? q->len : (size_t)q->f.len;
    uint32_t(*pairs)[2] = malloc(most * sizeof(*pairs) + 1);
    out->rows = malloc(most * sizeof(*out->rows) + 1);
    if (!pairs || !out->rows) {
        free(pairs);
        return no_memory(err, most);
    }
    size_t n = cczi_psi_match(pairs, q->masks, q->len, q->theirs, (size_t)q->f.len);
    for (size_t i = 0; i < n; i++)
        out->rows[i] = q->rows[pairs[i][0]];
    free(pairs);
    out->learned = true;
    out->len = n;
    out->peer_len = q->f.len;
    out->buckets = 1;
    memcpy(out->session, q->f.name, sizeof(out->session));
    return CCZ_OK;
}

static ccz_rc check(const struct query *q, const struct ccz_psi_ids *ids, struct ccz_err *err)
{
    if (memcmp(q->f.prepared, ids->prepared, 32) != 0)
        return ccz_hint(err,
                        ccz_refuse_bytes(err, CCZ_E_MISMATCH, "psi:peer-ids", q->f.prepared, 16,
                                         ids->prepared, 16),
                        "domain, trim and fold_case have to be the same on both sides");
    if (ids->len > q->f.query_len_max)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "psi:query-len", (int64_t)ids->len,
                              (int64_t)q->f.query_len_max);
    return CCZ_OK;
}

ccz_rc ccz_psi_db_query(struct ccz_psi_result **out, struct ccz_chan *chan,
                        const struct ccz_psi_ids *ids, struct ccz_span filter, unsigned threads,
                        struct ccz_err *err)
{
    struct query q = {.chan = chan, .threads = threads};
    struct ccz_err local = {0};
    struct ccz_chan_stats before = ccz_chan_stats(chan);
    *out = NULL;
    CCZ_AUTO(ccz_psi_result) result = calloc(1, sizeof(*result));
    ccz_rc rc = result ? cczi_filter_get(&q.f, filter, &local) : no_memory(&local, 1);
    if (rc == CCZ_OK)
        rc = check(&q, ids, &local);
    if (rc == CCZ_OK)
        rc = query_init(&q, ids, &local);
    if (rc == CCZ_OK)
        rc = cczi_filter_masks(&q.theirs, &q.f, &local); /* before the server hears of us */
    if (rc == CCZ_OK)
        rc = ask(&q, &local);
    if (rc == CCZ_OK)
        rc = look_up(result, &q, &local);
    query_deinit(&q);
    if (rc != CCZ_OK) {
        ccz_chan_close(chan, local.where);
        if (err)
            *err = local;
        return rc;
    }
    struct ccz_chan_stats after = ccz_chan_stats(chan);
    result->sent_size = after.sent_size - before.sent_size;
    result->received_size = after.received_size - before.received_size;
    *out = ccz_psi_result_take(&result);
    return CCZ_OK;
}
