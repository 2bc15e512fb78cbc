/* SPDX-License-Identifier: Apache-2.0 */
/* Page headers, and the pages of a chunk one after the other: read, checked, opened, unpacked and cut into levels and values. */
#include "parquet/format_priv.h"

enum { READ_SIZE = 65536, HEADER_SIZE_MAX = 1048576, SEALED_LEN_SIZE = 4 };

/* ---------------------------------------------------------------------------------- PageHeader */

static void read_v1(struct cczi_pq_page_header *h, struct ccz_rd *r)
{
    struct cczi_th s = {0};
    while (cczi_th_next(r, &s)) {
        switch (s.id) {
        case 1:
            h->values = cczi_th_i32(r, &s);
            break;
        case 2:
            h->encoding = cczi_th_i32(r, &s);
            break;
        case 3:
            h->def_encoding = cczi_th_i32(r, &s);
            break;
        case 4:
            h->rep_encoding = cczi_th_i32(r, &s);
            break;
        case 5:
            if (cczi_th_is_struct(r, &s))
                cczi_pq_stats_thrift(&h->stats, r);
            break;
        default:
            cczi_th_skip(r, &s);
        }
    }
    r->bad |= (s.seen & 0x1e) != 0x1e;
}

static void read_dict(struct cczi_pq_page_header *h, struct ccz_rd *r)
{
    struct cczi_th s = {0};
    while (cczi_th_next(r, &s)) {
        if (s.id == 1)
            h->values = cczi_th_i32(r, &s);
        else if (s.id == 2)
            h->encoding = cczi_th_i32(r, &s);
        else
            cczi_th_skip(r, &s);
    }
    r->bad |= (s.seen & 0x6) != 0x6;
}

static void read_v2(struct cczi_pq_page_header *h, struct ccz_rd *r)
{
    struct cczi_th s = {0};
    int32_t *const numbers[] = {NULL,         &h->values,   &h->nulls,   &h->rows,
                                &h->encoding, &h->def_size, &h->rep_size};
    h->packed = true;
    h->def_encoding = h->rep_encoding = CCZI_PQ_RLE;
    while (cczi_th_next(r, &s)) {
        if (s.id >= 1 && s.id <= 6)
            *numbers[s.id] = cczi_th_i32(r, &s);
        else if (s.id == 7)
            h->packed = cczi_th_bool(r, &s);
        else if (s.id == 8 && cczi_th_is_struct(r, &s))
            cczi_pq_stats_thrift(&h->stats, r);
        else
            cczi_th_skip(r, &s);
    }
    r->bad |= (s.seen & 0x7e) != 0x7e;
}

bool cczi_pq_page_header_read(struct cczi_pq_page_header *h, struct ccz_rd *r)
{
    *h = (struct cczi_pq_page_header){0};
    struct cczi_th s = {0};
    while (cczi_th_next(r, &s)) {
        bool is_struct = s.id >= 5 && s.id <= 8 && cczi_th_is_struct(r, &s);
        if (s.id == 1)
            h->type = cczi_th_i32(r, &s);
        else if (s.id == 2)
            h->plain_size = cczi_th_i32(r, &s);
        else if (s.id == 3)
            h->size = cczi_th_i32(r, &s);
        else if (s.id == 4)
            h->crc = (uint32_t)cczi_th_i32(r, &s);
        else if (s.id == 5 && is_struct)
            read_v1(h, r);
        else if (s.id == 7 && is_struct)
            read_dict(h, r);
        else if (s.id == 8 && is_struct)
            read_v2(h, r);
        else
            cczi_th_skip(r, &s);
    }
    h->has_crc = cczi_th_has(&s, 4);
    static const unsigned part_of[] = {
        [CCZI_PQ_DATA_V1] = 5, [CCZI_PQ_INDEX_PAGE] = 6, [CCZI_PQ_DICT] = 7, [CCZI_PQ_DATA_V2] = 8};
    bool type_ok = h->type >= 0 && h->type <= CCZI_PQ_DATA_V2 && h->type != CCZI_PQ_INDEX_PAGE;
    uint64_t parts = s.seen & 0x1e0;
    return !r->bad && (s.seen & 0xe) == 0xe && type_ok &&
           parts == UINT64_C(1) << part_of[h->type] && h->values >= 0 && h->plain_size >= 0 &&
           h->size >= 0 && h->nulls >= 0 && h->rows >= 0 && h->def_size >= 0 && h->rep_size >= 0;
}

void cczi_pq_page_header_put(struct ccz_buf *out, const struct cczi_pq_page_header *h)
{
    struct cczi_tw w = {.out = out};
    cczi_tw_open(&w);
    cczi_tw_i32(&w, 1, h->type);
    cczi_tw_i32(&w, 2, h->plain_size);
    cczi_tw_i32(&w, 3, h->size);
    if (h->has_crc)
        cczi_tw_i32(&w, 4, (int32_t)h->crc);
    if (h->type == CCZI_PQ_DATA_V1) {
        cczi_tw_struct(&w, 5);
        cczi_tw_i32(&w, 1, h->values);
        cczi_tw_i32(&w, 2, h->encoding);
        cczi_tw_i32(&w, 3, CCZI_PQ_RLE);
        cczi_tw_i32(&w, 4, CCZI_PQ_RLE);
    } else if (h->type == CCZI_PQ_DICT) {
        cczi_tw_struct(&w, 7);
        cczi_tw_i32(&w, 1, h->values);
        cczi_tw_i32(&w, 2, h->encoding);
    } else {
        cczi_tw_struct(&w, 8);
        cczi_tw_i32(&w, 1, h->values);
        cczi_tw_i32(&w, 2, h->nulls);
        cczi_tw_i32(&w, 3, h->rows);
        cczi_tw_i32(&w, 4, h->encoding);
        cczi_tw_i32(&w, 5, h->def_size);
        cczi_tw_i32(&w, 6, h->rep_size);
        cczi_tw_bool(&w, 7, h->packed);
    }
    cczi_tw_close(&w);
    cczi_tw_close(&w);
}

/* ------------------------------------------------------------------------------------- the file */

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "parquet:memory", 0, "out of memory");
}

/* At least @p size bytes from p->pos on are in the window; the caller knows that the chunk has them. */
static ccz_rc need(const uint8_t **at, struct cczi_pq_pages *p, size_t size, struct ccz_err *err)
{
    uint64_t from = p->pos - p->window_at;
    if (from > p->window.size || size > p->window.size - from) {
        uint64_t left = p->end - p->pos;
        size_t want = size > READ_SIZE ? size : left < READ_SIZE ? (size_t)left : READ_SIZE;
        ccz_buf_clear(&p->window);
        uint8_t *to = ccz_buf_extend(&p->window, want);
        if (!to && want > 0)
            return no_memory(err);
        p->window_at = p->pos;
        ccz_rc rc = want > 0 ? p->r->io.read_at(to, p->r->io.arg, p->pos, want, err) : CCZ_OK;
        if (rc != CCZ_OK) {
            ccz_buf_clear(&p->window);
            return rc;
        }
        from = 0;
    }
    *at = p->window.ptr + from;
    return CCZ_OK;
}

ccz_rc cczi_pq_module(struct ccz_buf *out, const struct ccz_pq_reader *r,
                      const struct cczi_pq_at *at, uint64_t offset, uint64_t size,
                      struct ccz_err *err)
{
    bool sealed = at->key.kind != CCZ_PQ_KEY_NONE;
    uint64_t room = offset < r->data_end ? r->data_end - offset : 0;
    ccz_buf_clear(out);
    if (sealed && size == 0) {
        uint8_t head[SEALED_LEN_SIZE];
        if (room < sizeof(head))
            return cczi_pq_fail(err, CCZ_E_FORMAT, at, "it lies outside the file");
        ccz_rc rc = r->io.read_at(head, r->io.arg, offset, sizeof(head), err);
        if (rc != CCZ_OK)
            return rc;
        struct ccz_rd rd = ccz_rd_from(CCZ_SPAN(head, sizeof(head)));
        size = (uint64_t)ccz_rd_le32(&rd) + sizeof(head);
    }
    if (size > room || (sealed && size < SEALED_LEN_SIZE))
        return cczi_pq_fail(err, CCZ_E_FORMAT, at, "it lies outside the file");
    if (size > r->cfg.page_size_max)
        return cczi_pq_fail(err, CCZ_E_LIMIT, at, "it is larger than page_size_max");
    CCZ_AUTO_BUF stored;
    ccz_buf_init(&stored, r->cfg.page_size_max);
    struct ccz_buf *to = sealed ? &stored : out;
    uint8_t *p = ccz_buf_extend(to, (size_t)size);
    if (!p && size > 0)
        return no_memory(err);
    ccz_rc rc = size > 0 ? r->io.read_at(p, r->io.arg, offset, (size_t)size, err) : CCZ_OK;
    if (rc == CCZ_OK && sealed)
        rc = r->cfg.crypt->open(out, r->file, at, ccz_buf_span(&stored), err);
    return rc == CCZ_OK && out->bad ? no_memory(err) : rc;
}

ccz_rc cczi_pq_admit(const struct ccz_pq_reader *r, const struct cczi_pq_at *at,
                     struct ccz_err *err)
{
    struct cczi_pq_at page = *at;
    page.module = CCZI_PQ_DATA_PAGE;
    page.page = -1;
    return r->begun && at->key.kind == CCZ_PQ_KEY_NONE && r->cfg.crypt->plain
               ? r->cfg.crypt->plain(r->file, &page, err)
               : CCZ_OK;
}

/* ------------------------------------------------------------------------------------- the pages */

ccz_rc cczi_pq_pages_open(struct cczi_pq_pages *p, const struct ccz_pq_reader *r, size_t group,
                          size_t column, struct ccz_err *err)
{
    *p = (struct cczi_pq_pages){.r = r, .leaf = &r->schema.leaves[column], .first = true};
    bool wipe = r->cfg.crypt;
    cczi_pq_buf_init(&p->hold, r->cfg.footer_size_max, wipe);
    cczi_pq_buf_init(&p->window, r->cfg.page_size_max + READ_SIZE, wipe);
    cczi_pq_buf_init(&p->header, HEADER_SIZE_MAX, wipe);
    cczi_pq_buf_init(&p->sealed, r->cfg.page_size_max, wipe);
    cczi_pq_buf_init(&p->plain, r->cfg.page_size_max, wipe);
    ccz_rc rc = cczi_pq_chunk_read(&p->chunk, &p->at, &p->hold, r, group, column, err);
    if (rc == CCZ_OK)
        rc = cczi_pq_admit(r, &p->at, err);
    if (rc != CCZ_OK)
        return rc;
    if (!cczi_pq_codec_known(p->chunk.codec)) {
        char place[CCZI_PQ_AT_SIZE];
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "parquet:codec", p->chunk.codec,
                        "%s: codec %d is not supported", cczi_pq_at_text(place, &p->at),
                        (int)p->chunk.codec);
    }
    p->pos = (uint64_t)(p->chunk.dict_page > 0 ? p->chunk.dict_page : p->chunk.data_page);
    p->end = p->pos + (uint64_t)p->chunk.size;
    p->values_left = (uint64_t)p->chunk.values;
    p->plain_left = (uint64_t)p->chunk.plain_size;
    return CCZ_OK;
}

void cczi_pq_pages_close(struct cczi_pq_pages *p)
{
    ccz_buf_free(&p->hold);
    ccz_buf_free(&p->window);
    ccz_buf_free(&p->header);
    ccz_buf_free(&p->sealed);
    ccz_buf_free(&p->plain);
}

/* A header in clear says its size only by being read: first in what a read gives, then in as much as one may have. */
static ccz_rc plain_header(struct cczi_pq_pages *p, struct ccz_err *err)
{
    uint64_t left = p->end - p->pos;
    size_t some = left < 512 ? (size_t)left : 512;
    size_t most = left < HEADER_SIZE_MAX ? (size_t)left : HEADER_SIZE_MAX;
    const uint8_t *at = NULL;
    for (;;) {
        ccz_rc rc = need(&at, p, some, err);
        if (rc != CCZ_OK)
            return rc;
        struct ccz_rd r = ccz_rd_from(CCZ_SPAN(at, some));
        if (cczi_pq_page_header_read(&p->h, &r)) {
            /* Statistics are views: they move into a buffer that stays. */
            ccz_buf_clear(&p->header);
            ccz_buf_put(&p->header, at, some - r.left);
            if (p->header.bad)
                return no_memory(err);
            r = ccz_rd_from(ccz_buf_span(&p->header));
            if (!cczi_pq_page_header_read(&p->h, &r))
                return cczi_pq_fail(err, CCZ_E_INTERNAL, &p->at, "read twice, and not the same");
            p->pos += p->header.size;
            return CCZ_OK;
        }
        if (some == most)
            return cczi_pq_fail(err, CCZ_E_FORMAT, &p->at, "malformed header");
        some = some < most / 16 ? some * 16 : most;
    }
}

static ccz_rc sealed_header(struct cczi_pq_pages *p, struct ccz_err *err)
{
    const uint8_t *at;
    if (p->end - p->pos < SEALED_LEN_SIZE)
        return cczi_pq_fail(err, CCZ_E_FORMAT, &p->at, "it is cut off");
    ccz_rc rc = need(&at, p, SEALED_LEN_SIZE, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(at, SEALED_LEN_SIZE));
    uint64_t size = (uint64_t)ccz_rd_le32(&r) + SEALED_LEN_SIZE;
    if (size > p->end - p->pos || size > HEADER_SIZE_MAX)
        return cczi_pq_fail(err, CCZ_E_FORMAT, &p->at, "it is cut off");
    rc = need(&at, p, (size_t)size, err);
    ccz_buf_clear(&p->header);
    if (rc == CCZ_OK)
        rc = p->r->cfg.crypt->open(&p->header, p->r->file, &p->at, CCZ_SPAN(at, (size_t)size), err);
    if (rc != CCZ_OK)
        return rc;
    if (p->header.bad)
        return no_memory(err);
    p->pos += size;
    r = ccz_rd_from(ccz_buf_span(&p->header));
    if (!cczi_pq_page_header_read(&p->h, &r) || !cczi_th_ends(&r, true))
        return cczi_pq_fail(err, CCZ_E_FORMAT, &p->at, "malformed header");
    return CCZ_OK;
}

static ccz_rc over_limit(struct cczi_pq_pages *p, const char *where, int64_t got, uint64_t max,
                         struct ccz_err *err)
{
    char place[CCZI_PQ_AT_SIZE];
    return ccz_fail(err, CCZ_E_LIMIT, where, got, "%s: %lld, more than %llu",
                    cczi_pq_at_text(place, &p->at), (long long)got, (unsigned long long)max);
}

static ccz_rc check_header(struct cczi_pq_pages *p, bool dict_first, struct ccz_err *err)
{
    const struct cczi_pq_page_header *h = &p->h;
    bool is_dict = h->type == CCZI_PQ_DICT, sealed = p->chunk.key.kind != CCZ_PQ_KEY_NONE;
    if ((is_dict && !p->first) || (sealed && is_dict != dict_first))
        return cczi_pq_fail(err, CCZ_E_FORMAT, &p->at,
                            "a dictionary where none is, or none where it is");
    uint64_t max = p->r->cfg.page_size_max;
    if ((uint64_t)h->size > max || (uint64_t)h->plain_size > max)
        return over_limit(p, "parquet:page-size", h->size > h->plain_size ? h->size : h->plain_size,
                          max, err);
    if (h->values > CCZ_PQ_PAGE_VALUES_MAX)
        return over_limit(p, "parquet:page-values", h->values, CCZ_PQ_PAGE_VALUES_MAX, err);
    if ((uint64_t)h->size > p->end - p->pos)
        return cczi_pq_fail(err, CCZ_E_FORMAT, &p->at, "the page ends behind its chunk");
    if ((uint64_t)h->plain_size > p->plain_left)
        return cczi_pq_fail(err, CCZ_E_FORMAT, &p->at,
                            "the pages unpack to more bytes than the chunk says");
    if (!is_dict && (uint64_t)h->values > p->values_left)
        return cczi_pq_fail(err, CCZ_E_FORMAT, &p->at, "more values than the chunk has");
    return CCZ_OK;
}

/* Bytes of levels in front of the values, of version 1: 4 bytes of size, then that many. */
static bool take_levels(struct ccz_span *out, struct ccz_rd *r, unsigned max)
{
    *out = (struct ccz_span){0};
    if (max > 0)
        *out = ccz_rd_take(r, ccz_rd_le32(r));
    return !r->bad;
}

static ccz_rc split_v1(struct cczi_pq_pages *p, struct ccz_span body, struct ccz_err *err)
{
    if ((p->leaf->max_rep > 0 && p->h.rep_encoding != CCZI_PQ_RLE) ||
        (p->leaf->max_def > 0 && p->h.def_encoding != CCZI_PQ_RLE)) {
        char place[CCZI_PQ_AT_SIZE];
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "parquet:encoding", p->h.def_encoding,
                        "%s: levels not in RLE", cczi_pq_at_text(place, &p->at));
    }
    struct ccz_rd r = ccz_rd_from(body);
    if (!take_levels(&p->levels_rep, &r, p->leaf->max_rep) ||
        !take_levels(&p->levels_def, &r, p->leaf->max_def))
        return cczi_pq_fail(err, CCZ_E_FORMAT, &p->at, "levels end behind the page");
    p->values = CCZ_SPAN(r.ptr, r.left);
    return CCZ_OK;
}

static ccz_rc unpack(struct ccz_span *out, struct cczi_pq_pages *p, struct ccz_span in, size_t size,
                     bool packed, struct ccz_err *err)
{
    int32_t codec = packed ? p->chunk.codec : CCZ_PQ_NONE;
    if (codec == CCZ_PQ_NONE && in.size == size) {
        *out = in;
        return CCZ_OK;
    }
    ccz_buf_clear(&p->plain);
    uint8_t *to = ccz_buf_extend(&p->plain, size);
    if (!to && size > 0)
        return no_memory(err);
    ccz_rc rc = cczi_pq_unpack(to, size, codec, in);
    if (rc == CCZ_E_NOMEM)
        return no_memory(err);
    char place[CCZI_PQ_AT_SIZE];
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "parquet:codec", p->at.page,
                        "%s: does not unpack to the %zu bytes of its header",
                        cczi_pq_at_text(place, &p->at), size);
    *out = CCZ_SPAN(to, size);
    return CCZ_OK;
}

static ccz_rc split_v2(struct cczi_pq_pages *p, struct ccz_span body, struct ccz_err *err)
{
    size_t rep = (size_t)p->h.rep_size, def = (size_t)p->h.def_size;
    if (rep > body.size || def > body.size - rep || rep + def > (size_t)p->h.plain_size ||
        (p->leaf->max_rep == 0 && rep > 0) || (p->leaf->max_def == 0 && def > 0) ||
        p->h.rows > p->h.values || p->h.nulls > p->h.values)
        return cczi_pq_fail(err, CCZ_E_FORMAT, &p->at, "levels do not fit the page");
    p->levels_rep = ccz_span_sub(body, 0, rep);
    p->levels_def = ccz_span_sub(body, rep, def);
    struct ccz_span in = ccz_span_sub(body, rep + def, body.size - rep - def);
    return unpack(&p->values, p, in, (size_t)p->h.plain_size - rep - def, p->h.packed, err);
}

static ccz_rc check_crc(struct cczi_pq_pages *p, struct ccz_span stored, struct ccz_err *err)
{
    if (!p->h.has_crc || cczi_pq_crc(0, stored) == p->h.crc)
        return CCZ_OK;
    char place[CCZI_PQ_AT_SIZE];
    return ccz_fail(err, CCZ_E_FORMAT, "parquet:page-crc", p->at.page,
                    "%s: the checksum does not match", cczi_pq_at_text(place, &p->at));
}

/* The stored bytes of the page, opened. The checksum is of what is stored; an encrypted page is opened first, so that a change is called
 * what it is, and the checksum remains for pages in counter mode. */
static ccz_rc read_body(struct ccz_span *out, struct cczi_pq_pages *p, struct ccz_err *err)
{
    const uint8_t *at;
    ccz_rc rc = need(&at, p, (size_t)p->h.size, err);
    if (rc != CCZ_OK)
        return rc;
    *out = CCZ_SPAN(at, (size_t)p->h.size);
    p->pos += (uint64_t)p->h.size;
    struct ccz_span stored = *out;
    if (p->chunk.key.kind == CCZ_PQ_KEY_NONE)
        return check_crc(p, stored, err);
    if (out->size < SEALED_LEN_SIZE)
        return cczi_pq_fail(err, CCZ_E_FORMAT, &p->at, "it is cut off");
    ccz_buf_clear(&p->sealed);
    rc = p->r->cfg.crypt->open(&p->sealed, p->r->file, &p->at, stored, err);
    *out = ccz_buf_span(&p->sealed);
    if (rc == CCZ_OK && p->sealed.bad)
        return no_memory(err);
    return rc == CCZ_OK ? check_crc(p, stored, err) : rc;
}

ccz_rc cczi_pq_pages_next(struct cczi_pq_pages *p, struct ccz_err *err)
{
    if (p->pos == p->end && p->values_left == 0)
        return CCZ_E_NOT_FOUND;
    bool sealed = p->chunk.key.kind != CCZ_PQ_KEY_NONE;
    bool dict_first = p->first && p->chunk.dict_page > 0;
    int32_t number = p->next_page;
    p->at.module = dict_first ? CCZI_PQ_DICT_PAGE_HEADER : CCZI_PQ_DATA_PAGE_HEADER;
    p->at.page = dict_first ? -1 : number;
    p->header_at = p->pos;
    if (p->pos == p->end)
        return cczi_pq_fail(err, CCZ_E_FORMAT, &p->at, "the chunk ends before its values do");
    ccz_rc rc = sealed ? sealed_header(p, err) : plain_header(p, err);
    if (rc == CCZ_OK)
        rc = check_header(p, dict_first, err);
    if (rc != CCZ_OK)
        return rc;
    bool is_dict = p->h.type == CCZI_PQ_DICT;
    p->first = false;
    p->at.module = is_dict ? CCZI_PQ_DICT_PAGE : CCZI_PQ_DATA_PAGE;
    p->at.page = is_dict ? -1 : number;
    p->next_page += !is_dict;
    struct ccz_span body;
    rc = read_body(&body, p, err);
    if (rc == CCZ_OK && p->h.type != CCZI_PQ_DATA_V2)
        rc = unpack(&p->values, p, body, (size_t)p->h.plain_size, true, err);
    if (rc == CCZ_OK && p->h.type == CCZI_PQ_DATA_V1)
        rc = split_v1(p, p->values, err);
    if (rc == CCZ_OK && p->h.type == CCZI_PQ_DATA_V2)
        rc = split_v2(p, body, err);
    if (rc == CCZ_OK && !is_dict)
        p->values_left -= (uint64_t)p->h.values;
    p->plain_left -= (uint64_t)p->h.plain_size;
    return rc;
}
