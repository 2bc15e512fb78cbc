/* SPDX-License-Identifier: Apache-2.0 */
/* Titles: texts one behind the other, found by item number. */
#include "ingest.h"

#include <stdlib.h>
#include <string.h>

enum { MAGIC_SIZE = 8 };
static const char magic[MAGIC_SIZE + 1] = "CCZRTTL1";
static const uint64_t text_size_max = UINT64_C(1) << 36;

struct ccz_recsys_titles {
    uint32_t len;
    uint64_t *at;   /* [len] */
    uint32_t *size; /* [len]; 0: not known */
    uint8_t *text;
    uint64_t text_size, text_cap;
};

static ccz_rc titles_new(struct ccz_recsys_titles **out, uint32_t len, struct ccz_err *err)
{
    CCZ_AUTO(ccz_recsys_titles) t = calloc(1, sizeof(*t));
    if (t) {
        t->len = len;
        t->at = cczi_recsys_alloc(len, sizeof(*t->at));
        t->size = cczi_recsys_alloc(len, sizeof(*t->size));
    }
    if (!t || !t->at || !t->size)
        return cczi_recsys_no_memory(err);
    *out = ccz_recsys_titles_take(&t);
    return CCZ_OK;
}

void ccz_recsys_titles_free(struct ccz_recsys_titles *t)
{
    if (!t)
        return;
    free(t->at);
    free(t->size);
    cczi_recsys_wipe_free(t->text, (size_t)t->text_size);
    free(t);
}

static ccz_rc add(struct ccz_recsys_titles *t, uint32_t item, struct ccz_span text,
                  struct ccz_err *err)
{
    if (t->text_size + text.size > text_size_max)
        return ccz_fail(err, CCZ_E_LIMIT, "recsys:titles", item, "titles of more than 64 GiB");
    if (t->text_size + text.size > t->text_cap) {
        const uint64_t cap = 2 * (t->text_size + text.size) + CCZ_RECSYS_TITLE_SIZE_MAX;
        void *p = t->text;
        if (!cczi_recsys_move(&p, t->text_size, cap))
            return cczi_recsys_no_memory(err);
        t->text = p;
        t->text_cap = cap;
    }
    if (text.size > 0)
        memcpy(t->text + t->text_size, text.ptr, text.size);
    t->at[item] = t->text_size;
    t->size[item] = (uint32_t)text.size;
    t->text_size += text.size;
    return CCZ_OK;
}

/* At most CCZ_RECSYS_TITLE_SIZE_MAX bytes, no half character at the end. */
static struct ccz_span cut(struct ccz_span text)
{
    if (text.size <= CCZ_RECSYS_TITLE_SIZE_MAX)
        return text;
    text.size = CCZ_RECSYS_TITLE_SIZE_MAX;
    while (text.size > 0 && (text.ptr[text.size] & 0xc0) == 0x80)
        text.size--;
    return text;
}

static ccz_rc read_title(struct ccz_recsys_titles *t, const struct cczi_recsys_records *r,
                         const struct ccz_recsys_ids *items, struct ccz_err *err)
{
    struct ccz_recsys_id id;
    if (!ccz_recsys_id_parse(&id, ccz_recsys_ids_kind(items),
                             cczi_recsys_records_field(r, COLUMN_ITEM))) {
        const uint64_t line = cczi_recsys_records_line(r);
        return ccz_fail(err, CCZ_E_FORMAT, "recsys:id", (int64_t)line,
                        "line %llu: no id of an item", (unsigned long long)line);
    }
    const uint32_t item = ccz_recsys_ids_find(items, id);
    return item == CCZ_RECSYS_NONE
               ? CCZ_OK
               : add(t, item, cut(cczi_recsys_records_field(r, COLUMN_TITLE)), err);
}

ccz_rc ccz_recsys_titles_read(struct ccz_recsys_titles **out, struct ccz_recsys_source *source,
                              const struct ccz_recsys_format *format,
                              const struct ccz_recsys_ids *items, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_recsys_titles) t = NULL;
    ccz_rc rc = titles_new(&t, ccz_recsys_ids_len(items), err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_recsys_records r;
    bool end = false;
    rc = cczi_recsys_records_open(&r, source, format, 1 << COLUMN_ITEM | 1 << COLUMN_TITLE, err);
    while (rc == CCZ_OK && !end) {
        rc = cczi_recsys_records_next(&end, &r, err);
        if (rc == CCZ_OK && !end)
            rc = read_title(t, &r, items, err);
    }
    cczi_recsys_records_close(&r);
    if (rc == CCZ_OK)
        *out = ccz_recsys_titles_take(&t);
    return rc;
}

uint32_t ccz_recsys_titles_len(const struct ccz_recsys_titles *t)
{
    return t->len;
}

struct ccz_span ccz_recsys_titles_get(const struct ccz_recsys_titles *t, uint32_t item)
{
    if (item >= t->len || t->size[item] == 0)
        return (struct ccz_span){0};
    return CCZ_SPAN(t->text + t->at[item], t->size[item]);
}

void ccz_recsys_titles_put(struct ccz_buf *out, const struct ccz_recsys_titles *t)
{
    ccz_buf_put(out, magic, MAGIC_SIZE);
    ccz_buf_le32(out, t->len);
    for (uint32_t i = 0; i < t->len; i++) {
        ccz_buf_le32(out, t->size[i]);
        ccz_buf_put_span(out, ccz_recsys_titles_get(t, i));
    }
}

static ccz_rc bad_file(struct ccz_err *err, const struct ccz_rd *r, struct ccz_span in)
{
    return ccz_fail(err, CCZ_E_FORMAT, "recsys:titles-file", (int64_t)(in.size - r->left),
                    "no titles, cut short, or bytes behind them");
}

ccz_rc ccz_recsys_titles_parse(struct ccz_recsys_titles **out, struct ccz_span in,
                               struct ccz_err *err)
{
    *out = NULL;
    struct ccz_rd r = ccz_rd_from(in);
    char head[MAGIC_SIZE];
    ccz_rd_copy(&r, head, sizeof(head));
    const uint32_t len = ccz_rd_le32(&r);
    if (r.bad || memcmp(head, magic, MAGIC_SIZE) != 0 || len > CCZ_RECSYS_LEN_MAX ||
        len > r.left / 4)
        return bad_file(err, &r, in);
    CCZ_AUTO(ccz_recsys_titles) t = NULL;
    ccz_rc rc = titles_new(&t, len, err);
    for (uint32_t i = 0; rc == CCZ_OK && i < len; i++) {
        const uint32_t size = ccz_rd_le32(&r);
        const struct ccz_span text = ccz_rd_take(&r, size);
        if (r.bad || size > CCZ_RECSYS_TITLE_SIZE_MAX)
            return bad_file(err, &r, in);
        rc = add(t, i, text, err);
    }
    if (rc == CCZ_OK && !ccz_rd_done(&r))
        return bad_file(err, &r, in);
    if (rc == CCZ_OK)
        *out = ccz_recsys_titles_take(&t);
    return rc;
}
