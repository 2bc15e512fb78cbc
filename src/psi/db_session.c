/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client that has, or has not, the filter of a server's database:
 *
 *   hello: "PSH", version, what it has (1), 3 bytes 0, minimum (8), name of its filter (32)       ---->
 *   offer: "PSO", version, the filter follows (1), 3 bytes 0, minimum (8), name (32), size (8)    <----
 *   the filter in blocks                                                                          <----
 *   a query (db_query.c)                                                                          ---->
 */
#include "db_priv.h"

#include <string.h>

enum { VERSION = 1, BLOCK = 1 << 17 };

static void put_head(struct ccz_buf *out, const char *magic, uint8_t what, uint64_t minimum,
                     const uint8_t name[32])
{
    ccz_buf_put(out, magic, 3);
    ccz_buf_u8(out, VERSION);
    ccz_buf_u8(out, what);
    ccz_buf_u8(out, 0);
    ccz_buf_le16(out, 0);
    ccz_buf_le64(out, minimum);
    ccz_buf_put(out, name, 32);
}

ccz_rc cczi_db_head_get(struct cczi_db_head *h, struct ccz_span in, bool offer, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    *h = (struct cczi_db_head){0};
    bool good = ccz_span_eq(ccz_rd_take(&r, 3), ccz_span_str(offer ? "PSO" : "PSH"));
    uint8_t version = ccz_rd_u8(&r);
    h->what = ccz_rd_u8(&r);
    uint32_t zero = ccz_rd_u8(&r);
    zero |= ccz_rd_le16(&r);
    h->minimum = ccz_rd_le64(&r);
    ccz_rd_copy(&r, h->name, sizeof(h->name));
    h->size = offer ? ccz_rd_le64(&r) : 0;
    if (good && !r.bad && version != VERSION)
        return ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "psi:version", version, VERSION);
    if (!good || zero != 0 || h->what > CCZI_DB_WANTS || !ccz_rd_done(&r))
        return ccz_fail(err, CCZ_E_PEER, "psi:message", (int64_t)in.size,
                        "the peer does not speak this protocol");
    return CCZ_OK;
}

static ccz_rc recv_head(struct cczi_db_head *h, struct ccz_chan *chan, bool offer,
                        struct ccz_err *err)
{
    CCZ_AUTO_BUF in;
    ccz_buf_init(&in, CCZI_DB_OFFER_SIZE);
    ccz_rc rc = ccz_chan_recv(&in, chan, err);
    return rc == CCZ_OK ? cczi_db_head_get(h, ccz_buf_span(&in), offer, err) : rc;
}

/* Both sides look: neither is to go on under terms that it did not say. */
static ccz_rc same_minimum(uint64_t theirs, uint64_t mine, struct ccz_err *err)
{
    if (theirs == mine)
        return CCZ_OK;
    return ccz_refuse_num(err, CCZ_E_MISMATCH, "psi:peer-minimum", (int64_t)(theirs & INT64_MAX),
                          (int64_t)(mine & INT64_MAX));
}

/* --------------------------------------------------------------------------------------- server */

static ccz_rc send_filter(struct ccz_chan *chan, struct ccz_span filter, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t at = 0; rc == CCZ_OK && at < filter.size; at += BLOCK) {
        size_t n = filter.size - at < BLOCK ? filter.size - at : BLOCK;
        rc = ccz_chan_send(chan, CCZ_SPAN(filter.ptr + at, n), err);
    }
    return rc;
}

static ccz_rc welcome(const struct ccz_psi_db *db, struct ccz_chan *chan,
                      const struct ccz_psi_db_terms *terms, struct ccz_err *err)
{
    struct cczi_db_head h;
    uint8_t name[32];
    struct ccz_span filter = ccz_psi_db_filter(db);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZI_DB_OFFER_SIZE);
    if (terms->min_intersection > 0 && !terms->trusted_client)
        return ccz_hint(err,
                        ccz_fail(err, CCZ_E_UNSUPPORTED, "psi:minimum-untrusted", 0,
                                 "a minimum is kept by the client's program"),
                        "verify that program, and say that it is trusted");
    ccz_rc rc = recv_head(&h, chan, false, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_psi_db_name(name, db);
    bool send = h.what == CCZI_DB_WANTS;
    put_head(&out, "PSO", send, terms->min_intersection, name);
    ccz_buf_le64(&out, filter.size);
    rc = out.bad ? ccz_fail(err, CCZ_E_NOMEM, "psi:memory", 0, "out of memory")
                 : ccz_chan_send(chan, ccz_buf_span(&out), err);
    if (rc == CCZ_OK)
        rc = same_minimum(h.minimum, terms->min_intersection, err);
    return rc == CCZ_OK && send ? send_filter(chan, filter, err) : rc;
}

ccz_rc ccz_psi_db_answer(uint64_t *len, const struct ccz_psi_db *db, struct ccz_chan *chan,
                         const struct ccz_psi_db_terms *terms, struct ccz_err *err)
{
    struct ccz_err local = {0};
    if (len)
        *len = 0;
    ccz_rc rc = welcome(db, chan, terms, &local);
    if (rc == CCZ_OK)
        return ccz_psi_db_serve(len, db, chan, terms->query_len_max, err);
    ccz_chan_close(chan, local.where);
    if (err)
        *err = local;
    return rc;
}

/* --------------------------------------------------------------------------------------- client */

static ccz_rc recv_filter(struct ccz_buf *filter, struct ccz_chan *chan,
                          const struct cczi_db_head *h, struct ccz_err *err)
{
    struct cczi_filter f;
    CCZ_AUTO_BUF fresh = {0};
    if (h->size > filter->max_size)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "psi:filter-size", (int64_t)(h->size & INT64_MAX),
                              (int64_t)filter->max_size);
    ccz_buf_init(&fresh, (size_t)h->size);
    ccz_rc rc = CCZ_OK;
    while (rc == CCZ_OK && fresh.size < h->size) {
        size_t before = fresh.size;
        rc = ccz_chan_recv(&fresh, chan, err); /* more than was announced does not fit */
        if (rc == CCZ_OK && fresh.size == before)
            rc = ccz_fail(err, CCZ_E_PEER, "psi:message", 0, "an empty piece of a filter");
    }
    if (rc == CCZ_OK)
        rc = cczi_filter_get(&f, ccz_buf_span(&fresh), err);
    if (rc == CCZ_OK && memcmp(f.name, h->name, sizeof(f.name)) != 0)
        rc = ccz_refuse_bytes(err, CCZ_E_PEER, "psi:filter-name", f.name, 16, h->name, 16);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_clear(filter);
    ccz_buf_put_span(filter, ccz_buf_span(&fresh));
    return filter->bad ? ccz_fail(err, CCZ_E_NOMEM, "psi:memory", (int64_t)h->size,
                                  "no memory for the filter")
                       : CCZ_OK;
}

/* With the server's filter in the end. */
static ccz_rc meet(struct ccz_buf *filter, struct ccz_chan *chan,
                   const struct ccz_psi_db_ask_cfg *cfg, struct ccz_err *err)
{
    struct cczi_filter f = {0};
    struct cczi_db_head h;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZI_DB_OFFER_SIZE);
    bool wants = filter->size == 0 || cfg->refresh;
    ccz_rc rc = filter->size > 0 ? cczi_filter_get(&f, ccz_buf_span(filter), err) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    put_head(&out, "PSH", wants ? CCZI_DB_WANTS : 0, cfg->min_intersection, f.name);
    rc = out.bad ? ccz_fail(err, CCZ_E_NOMEM, "psi:memory", 0, "out of memory")
                 : ccz_chan_send(chan, ccz_buf_span(&out), err);
    if (rc == CCZ_OK)
        rc = recv_head(&h, chan, true, err);
    if (rc == CCZ_OK)
        rc = same_minimum(h.minimum, cfg->min_intersection, err);
    if (rc == CCZ_OK && (h.what == CCZI_DB_WANTS) != wants)
        rc = ccz_fail(err, CCZ_E_PEER, "psi:message", h.what, "a filter that nobody asked for");
    if (rc == CCZ_OK && !wants && memcmp(h.name, f.name, sizeof(f.name)) != 0)
        rc = ccz_hint(
            err, ccz_refuse_bytes(err, CCZ_E_MISMATCH, "psi:filter-old", f.name, 16, h.name, 16),
            "the server has another database now: download its filter");
    return rc == CCZ_OK && wants ? recv_filter(filter, chan, &h, err) : rc;
}

ccz_rc ccz_psi_db_ask(struct ccz_psi_result **out, struct ccz_chan *chan,
                      const struct ccz_psi_ids *ids, struct ccz_buf *filter,
                      const struct ccz_psi_db_ask_cfg *cfg, struct ccz_err *err)
{
    CCZ_AUTO(ccz_psi_result) r = NULL;
    struct ccz_err local = {0};
    struct ccz_chan_stats before = ccz_chan_stats(chan);
    *out = NULL;
    ccz_rc rc = meet(filter, chan, cfg, &local);
    if (rc == CCZ_OK)
        rc = ccz_psi_db_query(&r, chan, ids, ccz_buf_span(filter), cfg->threads, &local);
    if (rc == CCZ_OK && r->len < cfg->min_intersection)
        rc = ccz_fail(&local, CCZ_E_POLICY, "psi:minimum", 0,
                      "fewer ids are common than the minimum of %llu",
                      (unsigned long long)cfg->min_intersection);
    if (rc != CCZ_OK) {
        ccz_chan_close(chan, local.where);
        if (err)
            *err = local;
        return rc;
    }
    struct ccz_chan_stats after = ccz_chan_stats(chan);
    r->sent_size = after.sent_size - before.sent_size;
    r->received_size = after.received_size - before.received_size;
    *out = ccz_psi_result_take(&r);
    return CCZ_OK;
}
