/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a run. The receiver knows the common ids by now, or their number while rows are hidden; here it is decided
 * whether it returns them, what the sender is told, and whether both have the same alignment.
 *
 *   receiver                                     sender
 *   rows hidden but wanted:
 *   verdict                       ---->                                   fewer than the minimum: both end
 *                                 <----          how it shuffled          the receiver has rows
 *
 *   verdict                       ---->                                   as above, if none was heard before
 *   BOTH, rows:  confirmation of D, a bit for each entry of the sender's lists
 *                                 <----          confirmation of D
 *   BOTH, cardinality: the number
 *
 * D is a hash of the tags of the common ids in order. Tags are known to the receiver for ids that it has only, so that
 * its bits are no mere claim.
 */
#include "psi_priv.h"

#include <stdlib.h>
#include <string.h>

enum { VERDICT_OK = 1, VERDICT_FEW = 2, CONFIRM_SIZE = 32 };

static ccz_rc no_memory(struct ccz_err *err, size_t len)
{
    return ccz_fail(err, CCZ_E_NOMEM, "psi:memory", (int64_t)len, "no memory for %zu entries", len);
}

ccz_rc cczi_psi_list_new(struct cczi_psi_list **out, size_t len, bool at, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(cczi_psi_list) l = calloc(1, sizeof(*l));
    if (!l)
        return no_memory(err, len);
    l->len = len;
    l->item = cczi_psi_alloc(len, sizeof(*l->item));
    l->tag = cczi_psi_alloc(len, sizeof(*l->tag));
    l->at = at ? cczi_psi_alloc(len, sizeof(*l->at)) : NULL;
    if (!l->item || !l->tag || (at && !l->at))
        return no_memory(err, len);
    *out = cczi_psi_list_take(&l);
    return CCZ_OK;
}

void cczi_psi_list_free(struct cczi_psi_list *l)
{
    if (!l)
        return;
    if (l->tag)
        ccz_wipe(l->tag, l->len * sizeof(*l->tag));
    free(l->item);
    free(l->tag);
    free(l->at);
    free(l->hidden);
    free(l);
}

static size_t matches_size(uint64_t len, uint32_t buckets)
{
    return (cczi_psi_bucket_len(len, buckets) + 7) / 8;
}

/* SHA-256 over a prefix, then tags. */
static ccz_rc digest_start(struct ccz_hasher **out, const struct cczi_psi_run *run,
                           struct ccz_err *err)
{
    ccz_rc rc = ccz_hasher_new(out, CCZ_SHA256);
    if (rc == CCZ_OK)
        rc = ccz_hasher_put(*out, ccz_span_str("cczoo psi alignment"));
    if (rc == CCZ_OK)
        rc = ccz_hasher_put(*out, CCZ_SPAN(run->session, sizeof(run->session)));
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "psi:digest", 0, "cannot hash");
}

ccz_rc cczi_psi_align_init(struct cczi_psi_align *a, const struct cczi_psi_run *run,
                           struct ccz_err *err)
{
    size_t size = run->buckets * matches_size(run->peer_len, run->buckets);
    struct cczi_spool_cfg cfg = run->ids->spool_cfg;
    cfg.parts = run->buckets;
    if (!cfg.dir) /* the ids are in memory, so there is room for their tags */
        cfg.memory_len = UINT64_MAX;
    *a = (struct cczi_psi_align){0};
    ccz_buf_init(&a->matches, size);
    ccz_buf_init(&a->hidden, (size_t)run->own_len * sizeof(struct cczi_psi_hidden));
    if (run->cfg->role == CCZ_PSI_SENDER) /* only who is told anything needs the list */
        return run->cfg->learns == CCZ_PSI_BOTH ? cczi_spool_new(&a->list, &cfg, err) : CCZ_OK;
    uint8_t *bits = ccz_buf_extend(&a->matches, size);
    if (size > 0 && !bits)
        return no_memory(err, size);
    if (size > 0)
        memset(bits, 0, size);
    return digest_start(&a->digest, run, err);
}

void cczi_psi_align_deinit(struct cczi_psi_align *a)
{
    if (a->rows)
        ccz_wipe(a->rows, a->cap * sizeof(*a->rows));
    free(a->rows);
    ccz_buf_free(&a->matches);
    ccz_buf_free(&a->hidden);
    cczi_spool_free(a->list);
    ccz_hasher_free(a->digest);
}

/* ------------------------------------------------------------------------------- buckets */

static ccz_rc add_row(struct cczi_psi_align *a, uint64_t row, struct ccz_err *err)
{
    if (a->len == a->cap) {
        uint64_t cap = a->cap ? 2 * a->cap : 1024;
        uint64_t *more = cczi_psi_alloc(cap, sizeof(*more));
        if (!more)
            return no_memory(err, cap);
        if (a->len > 0)
            memcpy(more, a->rows, a->len * sizeof(*more));
        if (a->rows)
            ccz_wipe(a->rows, a->len * sizeof(*more));
        free(a->rows);
        a->rows = more;
        a->cap = cap;
    }
    a->rows[a->len++] = row;
    return CCZ_OK;
}

/* The sender keeps all its entries. */
static ccz_rc keep_list(struct cczi_psi_align *a, uint32_t bucket, const struct cczi_psi_list *list,
                        const struct cczi_psi_set *set, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < list->len; i++) {
        struct cczi_psi_rec rec = {.row = set->items[list->item[i]].row};
        memcpy(rec.b, list->tag[i], sizeof(rec.b));
        rc = cczi_spool_put(a->list, bucket, &rec, err);
    }
    return rc;
}

/* The number is known, rows are not yet. */
static ccz_rc keep_hidden(struct cczi_psi_align *a, uint32_t bucket,
                          const struct cczi_psi_list *list, uint8_t *bits, size_t peer_len,
                          struct ccz_err *err)
{
    for (size_t i = 0; i < list->len; i++) {
        struct cczi_psi_hidden h = {.bucket = bucket, .place = list->item[i]};
        if (list->at[i] >= peer_len)
            return ccz_fail(err, CCZ_E_INTERNAL, "psi:padding", 0, "a match beyond the list");
        memcpy(h.point, list->hidden[i], sizeof(h.point));
        ccz_buf_put(&a->hidden, &h, sizeof(h));
        bits[list->at[i] / 8] |= (uint8_t)(1u << list->at[i] % 8);
    }
    if (a->hidden.bad)
        return no_memory(err, list->len);
    a->len += list->len;
    return CCZ_OK;
}

ccz_rc cczi_psi_align_put(struct cczi_psi_align *a, const struct cczi_psi_run *run, uint32_t bucket,
                          const struct cczi_psi_list *list, const struct cczi_psi_set *set,
                          struct ccz_err *err)
{
    if (run->cfg->role == CCZ_PSI_SENDER)
        return a->list ? keep_list(a, bucket, list, set, err) : CCZ_OK;
    uint8_t *bits = a->matches.ptr + bucket * ((set->peer_len + 7) / 8);
    if (list->hidden)
        return keep_hidden(a, bucket, list, bits, set->peer_len, err);
    for (size_t i = 0; i < list->len; i++) {
        uint64_t row = set->items[list->item[i]].row;
        if (row == CCZI_PSI_PADDING || list->at[i] >= set->peer_len)
            return ccz_fail(err, CCZ_E_INTERNAL, "psi:padding", 0, "padding is in common");
        ccz_rc rc = add_row(a, row, err);
        if (rc != CCZ_OK)
            return rc;
        bits[list->at[i] / 8] |= (uint8_t)(1u << list->at[i] % 8);
    }
    if (list->len > 0 &&
        ccz_hasher_put(a->digest, CCZ_SPAN(list->tag, list->len * sizeof(*list->tag))) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "psi:digest", 0, "cannot hash");
    return CCZ_OK;
}

/* ----------------------------------------------------------------------------------- end */

static ccz_rc digest_end(uint8_t d[32], struct ccz_hasher *h, uint64_t len, struct ccz_err *err)
{
    if (ccz_hasher_put(h, CCZ_SPAN(&len, sizeof(len))) != CCZ_OK || ccz_hasher_done(d, h) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "psi:digest", 0, "cannot hash");
    return CCZ_OK;
}

static void confirmation(uint8_t out[CONFIRM_SIZE], const uint8_t d[32], enum ccz_psi_role who)
{
    cczi_psi_derive(out, who == CCZ_PSI_SENDER ? "cczoo psi sender" : "cczoo psi receiver", d,
                    CCZ_SPAN(NULL, 0));
}

static void put_digest(struct ccz_psi_result *out, const uint8_t d[32])
{
    cczi_psi_derive(out->digest, "cczoo psi digest", d, CCZ_SPAN(NULL, 0));
}

static ccz_rc too_few(struct ccz_err *err, const struct cczi_psi_run *run)
{
    return ccz_fail(err, CCZ_E_POLICY, "psi:minimum", (int64_t)run->cfg->min_intersection,
                    "fewer common ids than the minimum of %llu",
                    (unsigned long long)run->cfg->min_intersection);
}

static ccz_rc tell_few(const struct cczi_psi_run *run, struct ccz_err *err)
{
    const uint8_t few = VERDICT_FEW;
    ccz_rc rc = ccz_chan_send(run->chan, CCZ_SPAN(&few, 1), err);
    return rc == CCZ_OK ? too_few(err, run) : rc;
}

static ccz_rc check_confirmation(const struct cczi_psi_run *run, const uint8_t d[32],
                                 struct ccz_err *err)
{
    uint8_t got[CONFIRM_SIZE], expected[CONFIRM_SIZE];
    ccz_rc rc = ccz_chan_recv_exact(got, sizeof(got), run->chan, err);
    if (rc != CCZ_OK)
        return rc;
    confirmation(expected, d, CCZ_PSI_SENDER);
    if (!ccz_ct_eq(got, expected, sizeof(got)))
        return ccz_fail(err, CCZ_E_SIG, "psi:alignment", 0, "the alignments differ");
    return CCZ_OK;
}

/* That there are enough, and with BOTH and CARDINALITY how many. */
static ccz_rc tell_number(const struct cczi_psi_align *a, const struct cczi_psi_run *run,
                          struct ccz_err *err)
{
    const uint8_t verdict = VERDICT_OK;
    bool too = run->cfg->learns == CCZ_PSI_BOTH && run->cfg->output == CCZ_PSI_CARDINALITY;
    const struct ccz_span parts[] = {CCZ_SPAN(&verdict, 1), CCZ_SPAN(&a->len, sizeof(a->len))};
    return ccz_chan_send_parts(run->chan, parts, too ? 2 : 1, err);
}

static ccz_rc tell_rows(const struct cczi_psi_align *a, const struct cczi_psi_run *run,
                        const uint8_t d[32], struct ccz_err *err)
{
    const uint8_t verdict = VERDICT_OK;
    uint8_t confirm[CONFIRM_SIZE];
    confirmation(confirm, d, CCZ_PSI_RECEIVER);
    const struct ccz_span parts[] = {CCZ_SPAN(&verdict, 1), CCZ_SPAN(confirm, sizeof(confirm)),
                                     ccz_buf_span(&a->matches)};
    ccz_rc rc = ccz_chan_send_parts(run->chan, parts, 3, err);
    return rc == CCZ_OK ? check_confirmation(run, d, err) : rc;
}

/* Rows and tags of one bucket's hidden matches, [from, to) of the records. */
static ccz_rc resolve_bucket(struct cczi_psi_align *a, const struct cczi_psi_run *run,
                             const struct cczi_psi_hidden *h, size_t n, const uint8_t seed[32],
                             struct ccz_err *err)
{
    size_t parts = CCZI_PSI_PARTS / run->buckets, len = 0;
    size_t padded = cczi_psi_bucket_len(run->own_len, run->buckets);
    struct cczi_psi_rec *recs = NULL;
    uint32_t *order = malloc(padded * sizeof(*order) + 1);
    uint8_t session[32], tag[1][32];
    cczi_psi_bucket_session(session, run, h->bucket);
    ccz_rc rc =
        order ? cczi_psi_shuffled(order, padded, seed, session, err) : no_memory(err, padded);
    if (rc == CCZ_OK)
        rc = cczi_psi_ids_parts(&recs, &len, 0, run->ids, h->bucket * parts, parts, err);
    for (size_t i = 0; rc == CCZ_OK && i < n; i++) {
        struct cczi_psi_rec item;
        if (h[i].place >= padded || order[h[i].place] >= len) {
            rc =
                ccz_fail(err, CCZ_E_PEER, "psi:matches", (int64_t)i, "the peer shuffled otherwise");
            break;
        }
        const struct cczi_psi_rec *rec = &recs[order[h[i].place]];
        memcpy(item.b, rec->b, sizeof(item.b));
        cczi_psi_finish(tag, &item, (const uint8_t(*)[32])h[i].point, 1, session, 1);
        if (ccz_hasher_put(a->digest, CCZ_SPAN(tag[0] + 16, 16)) != CCZ_OK)
            rc = ccz_fail(err, CCZ_E_INTERNAL, "psi:digest", 0, "cannot hash");
        else
            rc = add_row(a, rec->row, err);
    }
    cczi_psi_recs_free(recs, len);
    free(order);
    return rc;
}

/* The number was enough: the sender says how it shuffled, and places become rows. */
static ccz_rc receiver_unhides(struct cczi_psi_align *a, const struct cczi_psi_run *run,
                               struct ccz_err *err)
{
    const uint8_t verdict = VERDICT_OK;
    uint8_t seed[32];
    size_t n = a->hidden.size / sizeof(struct cczi_psi_hidden);
    const struct cczi_psi_hidden *h = (const struct cczi_psi_hidden *)(const void *)a->hidden.ptr;
    ccz_rc rc = ccz_chan_send(run->chan, CCZ_SPAN(&verdict, 1), err);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv_exact(seed, sizeof(seed), run->chan, err);
    a->len = 0;
    for (size_t i = 0, end; rc == CCZ_OK && i < n; i = end) {
        for (end = i; end < n && h[end].bucket == h[i].bucket;)
            end++;
        rc = resolve_bucket(a, run, h + i, end - i, seed, err);
    }
    return rc;
}

static ccz_rc receiver_done(struct ccz_psi_result *out, struct cczi_psi_align *a,
                            const struct cczi_psi_run *run, struct ccz_err *err)
{
    uint8_t d[32];
    if (a->len < run->cfg->min_intersection)
        return tell_few(run, err);
    bool rows = run->cfg->output == CCZ_PSI_ROWS;
    ccz_rc rc = CCZ_OK;
    if (rows && cczi_psi_rows_hidden(run->cfg))
        rc = receiver_unhides(a, run, err);
    if (rc == CCZ_OK)
        rc = digest_end(d, a->digest, a->len, err);
    if (rc != CCZ_OK)
        return rc;
    rc = rows && run->cfg->learns == CCZ_PSI_BOTH ? tell_rows(a, run, d, err)
                                                  : tell_number(a, run, err);
    if (rc != CCZ_OK)
        return rc;
    out->learned = true;
    out->len = a->len;
    if (run->cfg->output == CCZ_PSI_ROWS) {
        out->rows = a->rows;
        a->rows = NULL;
        put_digest(out, d);
    }
    return CCZ_OK;
}

/* The rows and the digest of the entries that the receiver's bits name in one bucket. Padding needs no test: nobody can show
 * its tag. */
static ccz_rc read_matches(struct cczi_psi_align *a, struct ccz_hasher *h, const uint8_t *bits,
                           size_t size, uint32_t bucket, struct ccz_err *err)
{
    size_t len = (size_t)cczi_spool_len(a->list, bucket);
    struct cczi_psi_rec *recs = cczi_psi_alloc(len, sizeof(*recs));
    ccz_rc rc = recs ? cczi_spool_read(recs, a->list, bucket, err) : no_memory(err, len);
    for (size_t i = 0; rc == CCZ_OK && i < 8 * size; i++) {
        if (!(bits[i / 8] >> i % 8 & 1))
            continue;
        if (i >= len)
            rc = ccz_fail(err, CCZ_E_PEER, "psi:matches", (int64_t)i, "a match beyond the list");
        else if (ccz_hasher_put(h, CCZ_SPAN(recs[i].b, sizeof(recs[i].b))) != CCZ_OK)
            rc = ccz_fail(err, CCZ_E_INTERNAL, "psi:digest", 0, "cannot hash");
        else
            rc = add_row(a, recs[i].row, err);
    }
    cczi_psi_recs_free(recs, len);
    return rc;
}

static ccz_rc sender_rows(struct ccz_psi_result *out, struct cczi_psi_align *a,
                          const struct cczi_psi_run *run, struct ccz_span body, struct ccz_err *err)
{
    CCZ_AUTO(ccz_hasher) h = NULL;
    uint8_t d[32], confirm[CONFIRM_SIZE];
    size_t size = matches_size(run->own_len, run->buckets);
    ccz_rc rc = digest_start(&h, run, err);
    for (uint32_t b = 0; rc == CCZ_OK && b < run->buckets; b++)
        rc = read_matches(a, h, body.ptr + CONFIRM_SIZE + b * size, size, b, err);
    if (rc == CCZ_OK)
        rc = digest_end(d, h, a->len, err);
    if (rc != CCZ_OK)
        return rc;
    confirmation(confirm, d, CCZ_PSI_RECEIVER);
    if (!ccz_ct_eq(body.ptr, confirm, sizeof(confirm)))
        return ccz_fail(err, CCZ_E_SIG, "psi:proof", (int64_t)a->len,
                        "the peer cannot show that it has the ids that it claims");
    if (a->len < run->cfg->min_intersection)
        return too_few(err, run);
    confirmation(confirm, d, CCZ_PSI_SENDER);
    rc = ccz_chan_send(run->chan, CCZ_SPAN(confirm, sizeof(confirm)), err);
    if (rc != CCZ_OK)
        return rc;
    out->rows = a->rows;
    a->rows = NULL;
    out->len = a->len;
    put_digest(out, d);
    return CCZ_OK;
}

static ccz_rc sender_number(struct ccz_psi_result *out, const struct cczi_psi_run *run,
                            struct ccz_span body, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(body);
    uint64_t len = ccz_rd_le64(&r);
    uint64_t most = run->own_len < run->peer_len ? run->own_len : run->peer_len;
    if (len > most)
        return ccz_fail(err, CCZ_E_PEER, "psi:matches", 0, "more common ids than there can be");
    if (len < run->cfg->min_intersection)
        return too_few(err, run);
    out->len = len;
    return CCZ_OK;
}

/* The verdict and @p size bytes behind it. @param few  whether it may be that there are too few */
static ccz_rc hear(struct ccz_buf *in, size_t size, bool few, const struct cczi_psi_run *run,
                   struct ccz_err *err)
{
    ccz_buf_init(in, 1 + size);
    ccz_rc rc = ccz_chan_recv(in, run->chan, err);
    if (rc != CCZ_OK)
        return rc;
    if (few && in->size == 1 && in->ptr[0] == VERDICT_FEW)
        return too_few(err, run);
    if (in->size != 1 + size || in->ptr[0] != VERDICT_OK)
        return ccz_refuse_num(err, CCZ_E_PEER, "psi:matches", (int64_t)in->size,
                              (int64_t)(1 + size));
    return CCZ_OK;
}

/* The receiver's verdict on the number, then the seed of the order. */
static ccz_rc sender_unhides(const struct cczi_psi_run *run, struct ccz_err *err)
{
    CCZ_AUTO_BUF in;
    ccz_rc rc = hear(&in, 0, true, run, err);
    if (rc == CCZ_OK)
        rc = ccz_chan_send(run->chan, CCZ_SPAN(run->shuffle, sizeof(run->shuffle)), err);
    return rc;
}

static ccz_rc hear_number(struct ccz_psi_result *out, bool few, const struct cczi_psi_run *run,
                          struct ccz_err *err)
{
    CCZ_AUTO_BUF in;
    bool too = run->cfg->learns == CCZ_PSI_BOTH && run->cfg->output == CCZ_PSI_CARDINALITY;
    size_t size = too ? sizeof(uint64_t) : 0;
    ccz_rc rc = hear(&in, size, few, run, err);
    if (rc == CCZ_OK && too)
        rc = sender_number(out, run, ccz_span_sub(ccz_buf_span(&in), 1, size), err);
    out->learned = too && rc == CCZ_OK;
    return rc;
}

static ccz_rc hear_rows(struct ccz_psi_result *out, struct cczi_psi_align *a, bool few,
                        const struct cczi_psi_run *run, struct ccz_err *err)
{
    CCZ_AUTO_BUF in;
    size_t size = CONFIRM_SIZE + run->buckets * matches_size(run->own_len, run->buckets);
    ccz_rc rc = hear(&in, size, few, run, err);
    if (rc == CCZ_OK)
        rc = sender_rows(out, a, run, ccz_span_sub(ccz_buf_span(&in), 1, size), err);
    out->learned = rc == CCZ_OK;
    return rc;
}

/* Who was shown rows cannot say any more that there are too few. */
static ccz_rc sender_done(struct ccz_psi_result *out, struct cczi_psi_align *a,
                          const struct cczi_psi_run *run, struct ccz_err *err)
{
    bool few = run->cfg->min_intersection > 0, rows = run->cfg->output == CCZ_PSI_ROWS;
    if (rows && cczi_psi_rows_hidden(run->cfg)) {
        ccz_rc rc = sender_unhides(run, err);
        if (rc != CCZ_OK)
            return rc;
        few = false;
    }
    return rows && run->cfg->learns == CCZ_PSI_BOTH ? hear_rows(out, a, few, run, err)
                                                    : hear_number(out, few, run, err);
}

ccz_rc cczi_psi_align_done(struct ccz_psi_result *out, struct cczi_psi_align *a,
                           const struct cczi_psi_run *run, struct ccz_err *err)
{
    return run->cfg->role == CCZ_PSI_SENDER ? sender_done(out, a, run, err)
                                            : receiver_done(out, a, run, err);
}
