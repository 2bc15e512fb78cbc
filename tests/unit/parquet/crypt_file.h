/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_CRYPT_FILE_H
#define CCZ_TEST_CRYPT_FILE_H
/* A small encrypted table, and where its modules are. */
#include "crypt_kms.h"

enum { ROWS = 900, MODULES_MAX = 400, TABLE_SIZE_MAX = 1 << 20 };

static const struct ccz_pq_column table_columns[] = {
    {.name = "user", .type = CCZ_PQ_INT64},
    {.name = "item", .type = CCZ_PQ_BYTES, .meaning = CCZ_PQ_STRING, .optional = true},
    {.name = "rating", .type = CCZ_PQ_FLOAT, .encode = CCZ_PQ_ENCODE_PLAIN},
    {.name = "features", .type = CCZ_PQ_DOUBLE, .shape = CCZ_PQ_LIST},
};
enum { TABLE_COLUMNS = 4 };

/* Values of the table are functions of the row. */
struct table {
    int64_t user[ROWS];
    struct ccz_span item[ROWS];
    uint8_t has_item[ROWS];
    float rating[ROWS];
    double features[2 * ROWS];
    uint32_t offset[ROWS + 1];
};

static inline void table_fill(struct table *t)
{
    static const char *const names[] = {"Alien", "Brazil", "Casablanca", "Dune", ""};
    for (uint32_t i = 0; i < ROWS; i++) {
        t->user[i] = i % 50;
        t->has_item[i] = i % 7 != 0;
        t->item[i] = t->has_item[i] ? ccz_span_str(names[i % 5]) : CCZ_SPAN(NULL, 0);
        t->rating[i] = (float)(i % 10) / 2 + (float)i;
        t->features[2 * i] = i;
        t->features[2 * i + 1] = -(double)i;
        t->offset[i] = 2 * i;
    }
    t->offset[ROWS] = 2 * ROWS;
}

static inline ccz_rc table_write(struct ccz_buf *out, const struct ccz_pq_crypt *crypt,
                                 struct ccz_err *err)
{
    static struct table t;
    table_fill(&t);
    const struct ccz_pq_data data[] = {
        {.rows = ROWS, .len = ROWS, .v.i64 = t.user},
        {.rows = ROWS, .len = ROWS, .v.bytes = t.item, .present = t.has_item},
        {.rows = ROWS, .len = ROWS, .v.f32 = t.rating},
        {.rows = ROWS, .len = 2 * ROWS, .v.f64 = t.features, .offset = t.offset},
    };
    struct ccz_pq_write_cfg cfg = {.columns = table_columns,
                                   .columns_len = TABLE_COLUMNS,
                                   .row_group_rows = 450,
                                   .page_size = 600,
                                   .crypt = crypt};
    struct ccz_pq_sink io = ccz_pq_sink_buf(out);
    CCZ_AUTO(ccz_pq_writer) w = NULL;
    ccz_rc rc = ccz_pq_writer_new(&w, &io, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_pq_writer_put(w, data, err);
    return rc == CCZ_OK ? ccz_pq_writer_finish(w, err) : rc;
}

/* Reads the columns of which bit i is set and compares them. */
static inline ccz_rc table_read(struct ccz_span file, const struct ccz_pq_crypt *crypt,
                                unsigned columns, struct ccz_err *err)
{
    static struct table t;
    table_fill(&t);
    size_t which[TABLE_COLUMNS], len = 0, at = 0;
    for (size_t i = 0; i < TABLE_COLUMNS; i++) {
        if (columns >> i & 1)
            which[len++] = i;
    }
    struct ccz_pq_source io = ccz_pq_source_mem(&file);
    struct ccz_pq_read_cfg cfg = {.crypt = crypt};
    struct ccz_pq_scan_cfg scan = {.columns = which, .columns_len = len, .batch_rows = 100};
    struct ccz_pq_data d[TABLE_COLUMNS];
    CCZ_AUTO(ccz_pq_reader) r = NULL;
    CCZ_AUTO(ccz_pq_scan) s = NULL;
    ccz_rc rc = ccz_pq_reader_open(&r, &io, &cfg, err);
    if (rc == CCZ_OK && len)
        rc = ccz_pq_scan_open(&s, r, &scan, err);
    while (rc == CCZ_OK && len) {
        rc = ccz_pq_scan_next(d, s, err);
        if (rc != CCZ_OK || d[0].rows == 0)
            break;
        for (size_t i = 0; i < d[0].rows; i++, at++) {
            for (size_t c = 0; c < len; c++) {
                size_t n = which[c];
                CHECK(n != 0 || d[c].v.i64[i] == t.user[at]);
                CHECK(n != 1 || ccz_span_eq(d[c].v.bytes[i], t.item[at]));
                CHECK(n != 2 || d[c].v.f32[i] == t.rating[at]);
                CHECK(n != 3 || d[c].v.f64[d[c].offset[i] + 1] == t.features[2 * at + 1]);
            }
        }
    }
    CHECK(rc != CCZ_OK || !len || at == ROWS);
    return rc;
}

/* A module, by what sealed it. */
struct module {
    struct cczi_pq_at at;
    size_t size;
    uint8_t head[32]; /* its first bytes, nonce included: found by them */
    size_t offset;    /* in the file; SIZE_MAX: inside an encrypted footer */
};

/* A hook around the hook of a writer. */
struct tap {
    struct ccz_pq_crypt hook;
    const struct ccz_pq_crypt *inner;
    struct module modules[MODULES_MAX];
    size_t len;
};
static struct tap tap;

static inline ccz_rc tap_seal(struct ccz_buf *out, void *file, const struct cczi_pq_at *at,
                              struct ccz_span in, struct ccz_err *err)
{
    size_t before = out->size;
    ccz_rc rc = tap.inner->seal(out, file, at, in, err);
    if (rc != CCZ_OK)
        return rc;
    struct module *m = &tap.modules[tap.len++];
    CHECK(tap.len <= MODULES_MAX);
    *m = (struct module){.at = *at, .size = out->size - before};
    memcpy(m->head, out->ptr + before, m->size < 32 ? m->size : 32);
    return CCZ_OK;
}

static inline size_t find_bytes(struct ccz_span in, const void *bytes, size_t size)
{
    for (size_t i = 0; i + size <= in.size; i++) {
        if (memcmp(in.ptr + i, bytes, size) == 0)
            return i;
    }
    return SIZE_MAX;
}

/* As table_write(), with tap.modules filled. */
static inline void table_write_tapped(struct ccz_buf *out, const struct ccz_pq_crypt *crypt)
{
    tap.hook = *crypt;
    tap.inner = crypt;
    tap.hook.seal = tap_seal;
    tap.len = 0;
    ccz_buf_clear(out);
    CHECK(table_write(out, &tap.hook, NULL) == CCZ_OK);
    for (size_t i = 0; i < tap.len; i++) {
        struct module *m = &tap.modules[i];
        m->at.key.path = ""; /* it was the writer's */
        m->offset = find_bytes(ccz_buf_span(out), m->head, m->size < 32 ? m->size : 32);
    }
}
#endif
