/* SPDX-License-Identifier: Apache-2.0 */
/* Databases and their filters: see db_priv.h. */
#include "db_priv.h"

#include <cczoo/ristretto.h>

#include <stdlib.h>
#include <string.h>

enum {
    VERSION = 1,
    THREADS_MAX = 16,
    KEY_SIZE = CCZI_DB_KEY_SIZE
}; /* scalar, and random bytes of the name */

struct ccz_psi_db {
    struct ccz_secret *key; /* k, then what the name is made of */
    unsigned threads;
    struct cczi_filter f; /* of `filter` */
    struct ccz_buf filter;
};

static ccz_rc no_memory(struct ccz_err *err, uint64_t len)
{
    return ccz_fail(err, CCZ_E_NOMEM, "psi:memory", (int64_t)len, "no memory for entries");
}

/* --------------------------------------------------------------------------------------- filters */

ccz_rc cczi_filter_get(struct cczi_filter *f, struct ccz_span in, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    *f = (struct cczi_filter){0};
    struct ccz_span magic = ccz_rd_take(&r, 3);
    uint8_t version = ccz_rd_u8(&r);
    f->len = ccz_rd_le64(&r);
    f->query_len_max = ccz_rd_le64(&r);
    ccz_rd_copy(&r, f->prepared, 32);
    ccz_rd_copy(&r, f->name, 32);
    bool fits = !r.bad && ccz_span_eq(magic, ccz_span_str("PSF")) && version == VERSION &&
                f->len <= CCZI_DB_LEN_MAX && f->query_len_max > 0 &&
                f->query_len_max <= CCZI_DB_LEN_MAX;
    if (fits) {
        f->mask_size = cczi_psi_mask_size((size_t)f->len, (size_t)f->query_len_max, 1);
        f->masks = ccz_rd_take(&r, cczi_psi_masks_size((size_t)f->len, f->mask_size));
    }
    if (!fits || !ccz_rd_done(&r)) {
        *f = (struct cczi_filter){0};
        return ccz_fail(err, CCZ_E_FORMAT, "psi:filter", (int64_t)in.size,
                        "not a filter, or one of another version or size");
    }
    return CCZ_OK;
}

ccz_rc cczi_filter_masks(struct cczi_psi_mask **out, const struct cczi_filter *f,
                         struct ccz_err *err)
{
    struct ccz_err why = {0};
    *out = malloc((size_t)f->len * sizeof(**out) + 1);
    if (!*out)
        return no_memory(err, f->len);
    if (cczi_psi_masks_all(*out, (size_t)f->len, f->mask_size, f->masks, &why) == CCZ_OK)
        return CCZ_OK;
    free(*out);
    *out = NULL;
    return ccz_fail(err, CCZ_E_FORMAT, "psi:filter", why.aux, "its entries: %s", why.msg);
}

static void put_head(struct ccz_buf *b, const struct cczi_filter *f)
{
    ccz_buf_put_str(b, "PSF");
    ccz_buf_u8(b, VERSION);
    ccz_buf_le64(b, f->len);
    ccz_buf_le64(b, f->query_len_max);
    ccz_buf_put(b, f->prepared, 32);
    ccz_buf_put(b, f->name, 32);
}

void cczi_db_key(uint8_t out[32], const uint8_t name[32])
{
    cczi_psi_derive(out, "cczoo psi database", name, CCZ_SPAN(NULL, 0));
}

/* The name binds the key, so that one can be held against the other. */
static ccz_rc make_name(uint8_t name[32], const struct ccz_secret *key, struct ccz_err *err)
{
    uint8_t in[64];
    const uint8_t *k = ccz_secret_view(key);
    if (ccz_secret_size(key) != KEY_SIZE || ccz_ristretto_mul_base(in, k) != CCZ_OK)
        return ccz_fail(err, CCZ_E_MISMATCH, "psi:filter-key", (int64_t)ccz_secret_size(key),
                        "not the key of a database");
    memcpy(in + 32, k + 32, 32);
    static const uint8_t zero[32];
    cczi_psi_derive(name, "cczoo psi database name", zero, CCZ_SPAN(in, sizeof(in)));
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------- databases */

void ccz_psi_db_free(struct ccz_psi_db *db)
{
    if (!db)
        return;
    ccz_secret_free(db->key);
    ccz_buf_free(&db->filter);
    free(db);
}

static ccz_rc db_alloc(struct ccz_psi_db **out, unsigned threads, struct ccz_err *err)
{
    *out = NULL;
    if (threads > THREADS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "psi:config", threads, THREADS_MAX);
    struct ccz_psi_db *db = calloc(1, sizeof(*db));
    if (!db)
        return no_memory(err, 1);
    db->threads = threads;
    *out = db;
    return CCZ_OK;
}

static ccz_rc draw_key(struct ccz_psi_db *db, struct ccz_err *err)
{
    if (ccz_secret_new(&db->key, KEY_SIZE) != CCZ_OK)
        return no_memory(err, KEY_SIZE);
    uint8_t *k = ccz_secret_bytes(db->key);
    if (ccz_ristretto_scalar_random(k) != CCZ_OK || ccz_random(k + 32, 32) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "psi:random", 0, "no randomness");
    return make_name(db->f.name, db->key, err);
}

/* F of one part of the ids, into masks. */
static ccz_rc add_part(struct cczi_psi_mask *masks, size_t *at, const struct ccz_psi_db *db,
                       const struct ccz_psi_ids *ids, size_t part, struct ccz_err *err)
{
    enum { BLOCK = CCZI_PSI_ECDH_BLOCK };
    struct cczi_psi_rec *recs = NULL;
    size_t len = 0;
    uint8_t key[32];
    struct cczi_psi_rec *items = malloc(BLOCK * sizeof(*items));
    uint8_t(*points)[32] = malloc(BLOCK * sizeof(*points));
    ccz_rc rc = items && points ? cczi_psi_ids_parts(&recs, &len, 0, ids, part, 1, err)
                                : no_memory(err, BLOCK);
    cczi_db_key(key, db->f.name);
    for (size_t i = 0; rc == CCZ_OK && i < len; i += BLOCK) {
        size_t n = len - i < BLOCK ? len - i : BLOCK;
        for (size_t j = 0; j < n; j++)
            memcpy(items[j].b, recs[i + j].b, 16);
        cczi_psi_points(points, ccz_secret_view(db->key), items, n, key, db->threads);
        cczi_psi_finish(points, items, (const uint8_t(*)[32])points, n, key, db->threads);
        for (size_t j = 0; j < n; j++, ++*at)
            masks[*at] = cczi_psi_mask_from(points[j], db->f.mask_size, (uint32_t)*at);
    }
    cczi_psi_recs_free(recs, len);
    cczi_psi_recs_free(items, BLOCK);
    free(points);
    return rc;
}

static ccz_rc make_filter(struct ccz_psi_db *db, const struct ccz_psi_ids *ids, struct ccz_err *err)
{
    size_t len = (size_t)ids->len, at = 0;
    struct cczi_psi_mask *masks = malloc(len * sizeof(*masks) + 1);
    ccz_rc rc = masks ? CCZ_OK : no_memory(err, len);
    for (size_t p = 0; rc == CCZ_OK && p < CCZI_PSI_PARTS; p++)
        rc = add_part(masks, &at, db, ids, p, err);
    if (rc == CCZ_OK)
        rc = cczi_psi_masks_sort(&masks, len, err);
    size_t size = cczi_psi_masks_size(len, db->f.mask_size);
    ccz_buf_init(&db->filter, CCZI_FILTER_HEAD_SIZE + size);
    put_head(&db->filter, &db->f);
    uint8_t *body = ccz_buf_extend(&db->filter, size);
    if (rc == CCZ_OK && !body && size > 0)
        rc = no_memory(err, size);
    if (rc == CCZ_OK)
        cczi_psi_masks_put(body, masks, len, db->f.mask_size);
    free(masks);
    return rc == CCZ_OK ? cczi_filter_get(&db->f, ccz_buf_span(&db->filter), err) : rc;
}

ccz_rc ccz_psi_db_new(struct ccz_psi_db **out, const struct ccz_psi_ids *ids,
                      const struct ccz_psi_db_cfg *cfg, struct ccz_err *err)
{
    CCZ_AUTO(ccz_psi_db) db = NULL;
    *out = NULL;
    ccz_rc rc = db_alloc(&db, cfg->threads, err);
    if (rc != CCZ_OK)
        return rc;
    if (ids->len > CCZI_DB_LEN_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "psi:len", (int64_t)ids->len,
                              (int64_t)CCZI_DB_LEN_MAX);
    if (cfg->query_len_max > CCZI_DB_LEN_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "psi:config", (int64_t)(cfg->query_len_max >> 1),
                              (int64_t)(CCZI_DB_LEN_MAX >> 1));
    db->f.len = ids->len;
    db->f.query_len_max = cfg->query_len_max ? cfg->query_len_max : CCZ_PSI_QUERY_LEN;
    db->f.mask_size = cczi_psi_mask_size((size_t)db->f.len, (size_t)db->f.query_len_max, 1);
    memcpy(db->f.prepared, ids->prepared, 32);
    rc = draw_key(db, err);
    if (rc == CCZ_OK)
        rc = make_filter(db, ids, err);
    if (rc == CCZ_OK)
        *out = ccz_psi_db_take(&db);
    return rc;
}

struct ccz_span ccz_psi_db_filter(const struct ccz_psi_db *db)
{
    return ccz_buf_span(&db->filter);
}

void ccz_psi_db_name(uint8_t name[32], const struct ccz_psi_db *db)
{
    memcpy(name, db->f.name, 32);
}

ccz_rc ccz_psi_db_key(struct ccz_secret **out, const struct ccz_psi_db *db, struct ccz_err *err)
{
    return ccz_secret_from(out, ccz_secret_view(db->key), KEY_SIZE) == CCZ_OK ? CCZ_OK
                                                                              : no_memory(err, 1);
}

ccz_rc ccz_psi_db_open(struct ccz_psi_db **out, struct ccz_span filter,
                       const struct ccz_secret *key, unsigned threads, struct ccz_err *err)
{
    CCZ_AUTO(ccz_psi_db) db = NULL;
    struct cczi_psi_mask *masks = NULL;
    uint8_t name[32];
    *out = NULL;
    ccz_rc rc = db_alloc(&db, threads, err);
    if (rc == CCZ_OK)
        rc = make_name(name, key, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_init(&db->filter, filter.size);
    ccz_buf_put_span(&db->filter, filter);
    if (db->filter.bad || ccz_secret_from(&db->key, ccz_secret_view(key), KEY_SIZE) != CCZ_OK)
        return no_memory(err, filter.size);
    rc = cczi_filter_get(&db->f, ccz_buf_span(&db->filter), err);
    if (rc == CCZ_OK && memcmp(name, db->f.name, 32) != 0)
        rc = ccz_refuse_bytes(err, CCZ_E_MISMATCH, "psi:filter-key", db->f.name, 16, name, 16);
    if (rc == CCZ_OK)
        rc = cczi_filter_masks(&masks, &db->f, err);
    free(masks);
    if (rc == CCZ_OK)
        *out = ccz_psi_db_take(&db);
    return rc;
}

/* ---------------------------------------------------------------------------------------- queries */

static ccz_rc take_query(uint64_t *len, const struct ccz_psi_db *db, struct ccz_chan *chan,
                         uint64_t most, struct ccz_err *err)
{
    uint8_t in[CCZI_QUERY_SIZE];
    ccz_rc rc = ccz_chan_recv_exact(in, sizeof(in), chan, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(in, sizeof(in)));
    if (!ccz_span_eq(ccz_rd_take(&r, 4), ccz_span_str("PSQ\1")))
        return ccz_fail(err, CCZ_E_PEER, "psi:message", 0, "the peer does not speak this protocol");
    struct ccz_span name = ccz_rd_take(&r, 32);
    uint64_t n = ccz_rd_le64(&r);
    if (memcmp(name.ptr, db->f.name, 32) != 0)
        return ccz_hint(
            err,
            ccz_refuse_bytes(err, CCZ_E_MISMATCH, "psi:filter-old", name.ptr, 16, db->f.name, 16),
            "download the filter again");
    most = most && most < db->f.query_len_max ? most : db->f.query_len_max;
    if (n > most)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "psi:query-len", (int64_t)(n >> 1),
                              (int64_t)(most >> 1));
    *len = n;
    return CCZ_OK;
}

ccz_rc ccz_psi_db_serve(uint64_t *len, const struct ccz_psi_db *db, struct ccz_chan *chan,
                        uint64_t most, struct ccz_err *err)
{
    enum { BLOCK = CCZI_PSI_ECDH_BLOCK };
    struct ccz_err local = {0};
    uint64_t n = 0;
    uint8_t(*points)[32] = malloc(BLOCK * sizeof(*points));
    ccz_rc rc = points ? take_query(&n, db, chan, most, &local) : no_memory(&local, BLOCK);
    for (uint64_t at = 0; rc == CCZ_OK && at < n; at += BLOCK) {
        size_t k = n - at < BLOCK ? (size_t)(n - at) : BLOCK;
        rc = ccz_chan_recv_exact(points, k * sizeof(*points), chan, &local);
        if (rc == CCZ_OK)
            rc = cczi_psi_mul(points, ccz_secret_view(db->key), (const uint8_t(*)[32])points, k,
                              db->threads, &local);
        if (rc == CCZ_OK)
            rc = ccz_chan_send(chan, CCZ_SPAN(points, k * sizeof(*points)), &local);
    }
    free(points);
    if (len)
        *len = n;
    if (rc == CCZ_OK)
        return rc;
    ccz_chan_close(chan, local.where);
    if (err)
        *err = local;
    return rc;
}
