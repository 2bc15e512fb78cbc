/* SPDX-License-Identifier: Apache-2.0 */
/* One chunk as batches. Levels are decoded a part at a time; values come densely, without nulls, and are then spread over their slots. */
#include "parquet/format_priv.h"

#include <stdlib.h>

static ccz_rc fail_at(struct ccz_err *err, ccz_rc rc, const struct cczi_pq_cursor *c,
                      const char *where, const char *what)
{
    char place[CCZI_PQ_AT_SIZE];
    return ccz_fail(err, rc, where, c->pages.at.page, "%s: %s",
                    cczi_pq_at_text(place, &c->pages.at), what);
}

static ccz_rc fail_values(struct ccz_err *err, ccz_rc rc, const struct cczi_pq_cursor *c)
{
    return fail_at(err, rc, c, c->values.where, c->values.what);
}

/* ------------------------------------------------------------------------------------- the batch */

/* Room for @p more slots. */
static ccz_rc grow(struct cczi_pq_cursor *c, size_t more, struct ccz_err *err)
{
    struct cczi_pq_batch *b = &c->batch;
    size_t size = c->pages.leaf->slot_size, max = c->pages.r->cfg.batch_size_max / size;
    if (more <= b->cap - b->len)
        return CCZ_OK;
    if (max > UINT32_MAX)
        max = UINT32_MAX; /* offsets have 32 bits */
    if (b->len > max || more > max - b->len)
        return fail_at(err, CCZ_E_LIMIT, c, "parquet:batch-size", "more than batch_size_max");
    size_t cap = b->cap < max / 2 ? b->cap * 2 : max;
    cap = cap > b->len + more ? cap : b->len + more;
    uint8_t *slots = cczi_pq_resize(b->slots, b->slots_size, cap * size, b->wipe);
    if (slots) {
        b->slots = slots;
        b->slots_size = cap * size;
    }
    uint8_t *present = cczi_pq_resize(b->present, b->present_size, cap, b->wipe);
    if (present) {
        b->present = present;
        b->present_size = cap;
    }
    if (!slots || !present)
        return ccz_fail(err, CCZ_E_NOMEM, "parquet:memory", 0, "out of memory");
    b->cap = cap;
    return CCZ_OK;
}

static void free_rows(struct cczi_pq_batch *b)
{
    cczi_pq_free(b->offset, (b->rows_cap + 1) * sizeof(*b->offset), b->wipe);
    cczi_pq_free(b->has_list, b->rows_cap, b->wipe);
    b->offset = NULL;
    b->has_list = NULL;
    b->rows_cap = 0;
}

static ccz_rc begin_batch(struct cczi_pq_cursor *c, size_t rows, struct ccz_err *err)
{
    struct cczi_pq_batch *b = &c->batch;
    b->len = b->rows = b->nulls = 0;
    b->no_list = false;
    ccz_buf_clear(&b->arena);
    if (rows <= b->rows_cap)
        return CCZ_OK;
    free_rows(b);
    b->offset = malloc((rows + 1) * sizeof(*b->offset));
    b->has_list = malloc(rows);
    bool there = b->offset && b->has_list;
    b->rows_cap = there ? rows : 0;
    return there ? CCZ_OK : ccz_fail(err, CCZ_E_NOMEM, "parquet:memory", 0, "out of memory");
}

/* @p have values, which lie densely from slot @p at on, to those of the @p len slots that are present. From the end on, so that
 * nothing is overwritten that is still to be moved. */
static void spread(struct cczi_pq_batch *b, size_t at, size_t len, size_t have, size_t size)
{
    uint8_t *base = b->slots + at * size;
    for (size_t i = len; have < i;) {
        i--;
        if (b->present[at + i])
            memmove(base + i * size, base + --have * size, size);
        else
            memset(base + i * size, 0, size);
    }
}

static void give(struct ccz_pq_data *out, struct cczi_pq_cursor *c)
{
    struct cczi_pq_batch *b = &c->batch;
    const struct cczi_pq_leaf *l = c->pages.leaf;
    *out = (struct ccz_pq_data){.rows = b->rows, .len = b->len};
    if (l->slot_size == sizeof(struct ccz_span)) {
        struct ccz_span *s = (struct ccz_span *)b->slots;
        const uint8_t *p = b->arena.ptr;
        for (size_t i = 0; i < b->len; i++) {
            if (s[i].size > 0) {
                s[i].ptr = p;
                p += s[i].size;
            }
        }
        out->v.bytes = s;
    } else {
        out->v.b = b->slots;
    }
    out->present = b->nulls > 0 ? b->present : NULL;
    if (l->c.shape == CCZ_PQ_LIST) {
        b->offset[b->rows] = (uint32_t)b->len;
        out->offset = b->offset;
        out->has_list = b->no_list ? b->has_list : NULL;
    }
}

/* ------------------------------------------------------------------------------------- the pages */

static ccz_rc open_page(struct cczi_pq_cursor *c, struct ccz_err *err)
{
    struct cczi_pq_pages *p = &c->pages;
    const struct cczi_pq_leaf *l = p->leaf;
    cczi_hybrid_init(&c->rep, p->levels_rep, cczi_width(l->max_rep));
    cczi_hybrid_init(&c->def, p->levels_def, cczi_width(l->max_def));
    c->slots_left = (size_t)p->h.values;
    c->level_at = c->level_len = 0;
    c->page_nulls = c->page_rows = 0;
    ccz_rc rc =
        cczi_pq_values_init(&c->values, l, &c->dict, p->h.encoding, p->values, (size_t)p->h.values);
    if (rc != CCZ_OK)
        return fail_values(err, rc, c);
    c->in_page = true;
    if (c->on_page)
        c->on_page(c->arg, c);
    return CCZ_OK;
}

/* What a page says of itself, once all of it was read. */
static ccz_rc close_page(struct cczi_pq_cursor *c, struct ccz_err *err)
{
    const struct cczi_pq_page_header *h = &c->pages.h;
    c->in_page = false;
    if (cczi_hybrid_rest(&c->rep) > CCZI_PQ_PADDING_MAX ||
        cczi_hybrid_rest(&c->def) > CCZI_PQ_PADDING_MAX)
        return fail_at(err, CCZ_E_FORMAT, c, "parquet:levels", "bytes behind the last level");
    if (!cczi_pq_values_done(&c->values))
        return fail_at(err, CCZ_E_FORMAT, c, "parquet:values", "bytes behind the last value");
    if (h->type == CCZI_PQ_DATA_V2 &&
        ((uint64_t)h->nulls != c->page_nulls || (uint64_t)h->rows != c->page_rows))
        return fail_at(err, CCZ_E_FORMAT, c, "parquet:levels",
                       "another number of nulls or rows than the header says");
    return CCZ_OK;
}

/* A page with slots left; CCZ_E_NOT_FOUND (no err): there is none. */
static ccz_rc next_page(struct cczi_pq_cursor *c, struct ccz_err *err)
{
    while (c->slots_left == 0 && c->level_at == c->level_len) {
        ccz_rc rc = c->in_page ? close_page(c, err) : CCZ_OK;
        if (rc == CCZ_OK)
            rc = cczi_pq_pages_next(&c->pages, err);
        if (rc == CCZ_OK)
            rc = c->pages.h.type == CCZI_PQ_DICT ? cczi_pq_dict_read(&c->dict, &c->pages, err)
                                                 : open_page(c, err);
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------------------- levels */

static bool levels_ok(const uint8_t *v, size_t len, unsigned max)
{
    uint8_t top = 0;
    for (size_t i = 0; i < len; i++)
        top = v[i] > top ? v[i] : top;
    return top <= max;
}

static ccz_rc fill_levels(struct cczi_pq_cursor *c, size_t want, struct ccz_err *err)
{
    const struct cczi_pq_leaf *l = c->pages.leaf;
    if (c->level_at < c->level_len)
        return CCZ_OK;
    size_t n = c->slots_left < want ? c->slots_left : want;
    n = n < CCZI_PQ_LEVELS_LEN ? n : CCZI_PQ_LEVELS_LEN;
    if ((l->max_rep > 0 &&
         !(cczi_hybrid_get8(c->rep_level, &c->rep, n) && levels_ok(c->rep_level, n, l->max_rep))) ||
        !cczi_hybrid_get8(c->def_level, &c->def, n) || !levels_ok(c->def_level, n, l->max_def))
        return fail_at(err, CCZ_E_FORMAT, c, "parquet:levels",
                       "levels end too early or are too high");
    c->slots_left -= n;
    c->level_at = 0;
    c->level_len = n;
    return CCZ_OK;
}

/* ----------------------------------------------------------------------------------- flat columns */

/* @p len slots, of which `have` are present, behind those there are; present[] is filled. */
static ccz_rc put_slots(struct cczi_pq_cursor *c, size_t len, size_t have, struct ccz_err *err)
{
    struct cczi_pq_batch *b = &c->batch;
    ccz_rc rc = cczi_pq_values_get(b, b->len, &c->values, have);
    if (rc != CCZ_OK)
        return fail_values(err, rc, c);
    if (have < len)
        spread(b, b->len, len, have, c->pages.leaf->slot_size);
    b->len += len;
    b->nulls += len - have;
    c->nulls += len - have;
    c->page_nulls += len - have;
    return CCZ_OK;
}

static ccz_rc flat_part(struct cczi_pq_cursor *c, size_t rows, struct ccz_err *err)
{
    struct cczi_pq_batch *b = &c->batch;
    size_t n = rows, have;
    if (c->pages.leaf->max_def == 0) {
        n = n < c->slots_left ? n : c->slots_left;
        c->slots_left -= n;
        have = n;
    } else {
        ccz_rc rc = fill_levels(c, rows, err);
        if (rc != CCZ_OK)
            return rc;
        n = n < c->level_len - c->level_at ? n : c->level_len - c->level_at;
        have = 0;
        for (size_t i = 0; i < n; i++)
            have += c->def_level[c->level_at + i];
        memcpy(b->present + b->len, c->def_level + c->level_at, n); /* the highest level is 1 */
        c->level_at += n;
    }
    if (c->pages.leaf->max_def == 0)
        memset(b->present + b->len, 1, n);
    ccz_rc rc = put_slots(c, n, have, err);
    b->rows += n;
    c->page_rows += n;
    c->rows_begun += n;
    return rc;
}

static ccz_rc next_flat(struct cczi_pq_cursor *c, size_t rows, struct ccz_err *err)
{
    ccz_rc rc = grow(c, rows, err);
    while (rc == CCZ_OK && c->batch.rows < rows) {
        rc = next_page(c, err);
        if (rc == CCZ_OK)
            rc = flat_part(c, rows - c->batch.rows, err);
    }
    return rc;
}

/* ------------------------------------------------------------------------------------------ lists */

/* Slots of the level buffer up to the row behind the last one that is wanted. @param[out] full  that row begins here */
static ccz_rc list_part(struct cczi_pq_cursor *c, size_t rows, bool *full, struct ccz_err *err)
{
    const struct cczi_pq_leaf *l = c->pages.leaf;
    struct cczi_pq_batch *b = &c->batch;
    ccz_rc rc = fill_levels(c, CCZI_PQ_LEVELS_LEN, err);
    if (rc == CCZ_OK)
        rc = grow(c, c->level_len - c->level_at, err);
    if (rc != CCZ_OK)
        return rc;
    size_t len = 0, have = 0;
    for (; c->level_at < c->level_len; c->level_at++) {
        uint8_t rep = c->rep_level[c->level_at], def = c->def_level[c->level_at];
        if (rep == 0) {
            if (b->rows == rows) {
                *full = true;
                break;
            }
            b->offset[b->rows] = (uint32_t)(b->len + len);
            b->has_list[b->rows] = def >= l->def_list;
            b->no_list |= def < l->def_list;
            b->rows++;
            c->page_rows++;
            c->rows_begun++;
            c->last_empty = def < l->def_elem;
        } else if (b->rows == 0 || c->last_empty || def < l->def_elem) {
            return fail_at(err, CCZ_E_FORMAT, c, "parquet:levels",
                           "an element that belongs to no list");
        }
        if (def >= l->def_elem) {
            b->present[b->len + len] = def == l->max_def;
            len++;
            have += def == l->max_def;
        } else {
            c->page_nulls++;
            c->nulls++;
        }
    }
    return put_slots(c, len, have, err);
}

static ccz_rc next_list(struct cczi_pq_cursor *c, size_t rows, struct ccz_err *err)
{
    bool full = false;
    while (!full) {
        ccz_rc rc = next_page(c, err);
        if (rc == CCZ_E_NOT_FOUND && c->batch.rows == rows)
            return CCZ_OK; /* the last row ends with the chunk */
        if (rc == CCZ_OK)
            rc = list_part(c, rows, &full, err);
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------- the cursor */

ccz_rc cczi_pq_cursor_open(struct cczi_pq_cursor *c, const struct ccz_pq_reader *r, size_t group,
                           size_t column, struct ccz_err *err)
{
    struct cczi_pq_batch batch = c->batch; /* its memory serves the next chunk */
    size_t size = r->schema.leaves[column].slot_size;
    batch.cap =
        batch.slots_size / size < batch.present_size ? batch.slots_size / size : batch.present_size;
    batch.slot_size = size;
    batch.wipe = r->cfg.crypt;
    struct ccz_buf last = c->values.last;
    cczi_pq_pages_close(&c->pages);
    cczi_pq_dict_free(&c->dict);
    *c = (struct cczi_pq_cursor){.batch = batch, .values.last = last};
    ccz_buf_clear(&c->batch.arena);
    c->batch.arena.max_size = r->cfg.batch_size_max;
    c->batch.arena.wipe = c->values.last.wipe = c->batch.wipe;
    c->rows_left = r->groups[group].rows;
    return cczi_pq_pages_open(&c->pages, r, group, column, err);
}

ccz_rc cczi_pq_cursor_next(struct ccz_pq_data *out, struct cczi_pq_cursor *c, size_t rows,
                           struct ccz_err *err)
{
    ccz_rc rc = begin_batch(c, rows, err);
    if (rc == CCZ_OK)
        rc = c->pages.leaf->c.shape == CCZ_PQ_LIST ? next_list(c, rows, err)
                                                   : next_flat(c, rows, err);
    if (rc == CCZ_E_NOT_FOUND)
        rc = fail_at(err, CCZ_E_FORMAT, c, "parquet:rows", "fewer rows than the row group has");
    c->rows_left -= rc == CCZ_OK ? rows : 0;
    if (rc == CCZ_OK)
        give(out, c);
    return rc;
}

ccz_rc cczi_pq_cursor_end(struct cczi_pq_cursor *c, struct ccz_err *err)
{
    ccz_rc rc = next_page(c, err);
    if (rc == CCZ_E_NOT_FOUND)
        return CCZ_OK;
    return rc == CCZ_OK
               ? fail_at(err, CCZ_E_FORMAT, c, "parquet:rows", "more rows than the row group has")
               : rc;
}

void cczi_pq_cursor_close(struct cczi_pq_cursor *c)
{
    cczi_pq_pages_close(&c->pages);
    cczi_pq_dict_free(&c->dict);
    cczi_pq_values_free(&c->values);
    cczi_pq_free(c->batch.slots, c->batch.slots_size, c->batch.wipe);
    cczi_pq_free(c->batch.present, c->batch.present_size, c->batch.wipe);
    free_rows(&c->batch);
    ccz_buf_free(&c->batch.arena);
    *c = (struct cczi_pq_cursor){0};
}
