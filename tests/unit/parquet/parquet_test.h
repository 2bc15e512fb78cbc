/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PARQUET_TEST_H
#define PARQUET_TEST_H
/* Tables made of a seed, written to memory, read again and compared. */
#include <cczoo/parquet.h>

#include "ccz_test.h"
#include "refused.h"

#include <math.h>

/* One column of a table, with memory of its own. */
struct made {
    struct ccz_pq_column c;
    struct ccz_pq_data d;
    void *values;
    uint8_t *text; /* bytes of all values */
    uint8_t *present, *has_list;
    uint32_t *offset;
};

static inline uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}

static inline size_t slot_size(enum ccz_pq_type t)
{
    static const size_t sizes[] = {
        1, 4, 8, sizeof(struct ccz_span), 4, 8, sizeof(struct ccz_span), sizeof(struct ccz_span)};
    return sizes[t];
}

/* `few`: a small number of different values, so that dictionaries pay and runs are long. */
static inline void make_value(struct made *m, size_t i, bool few, uint64_t *seed, size_t *text_at)
{
    static const int64_t edges[] = {INT64_MIN, INT64_MAX, 0, -1, INT32_MIN, INT32_MAX};
    uint64_t r = (uint64_t)next_random(seed) << 32 | next_random(seed);
    int64_t n = few ? (int64_t)(r % 7) - 3 : r % 16 == 0 ? edges[r / 16 % 6] : (int64_t)r;
    switch (m->c.type) {
    case CCZ_PQ_BOOLEAN:
        ((uint8_t *)m->values)[i] = few ? i / 40 % 2 : r & 1;
        break;
    case CCZ_PQ_INT32:
        ((int32_t *)m->values)[i] = (int32_t)(uint32_t)(uint64_t)n;
        break;
    case CCZ_PQ_INT64:
        ((int64_t *)m->values)[i] = n;
        break;
    case CCZ_PQ_FLOAT:
        ((float *)m->values)[i] = !few && r % 50 == 0 ? NAN : (float)n / 8;
        break;
    case CCZ_PQ_DOUBLE:
        ((double *)m->values)[i] = !few && r % 50 == 0 ? -0.0 : (double)n / 8;
        break;
    default: {
        size_t size = m->c.type == CCZ_PQ_FIXED ? m->c.type_size : few ? (size_t)(n + 3) : r % 13;
        uint8_t *to = m->text + *text_at;
        for (size_t k = 0; k < size; k++)
            to[k] =
                few ? (uint8_t)('a' + (size_t)(n + 3)) : (uint8_t)('a' + next_random(seed) % 26);
        ((struct ccz_span *)m->values)[i] = CCZ_SPAN(to, size);
        *text_at += size;
    }
    }
}

static inline struct made make_column(struct ccz_pq_column c, size_t rows, bool few, uint64_t seed)
{
    struct made m = {.c = c};
    bool list = c.shape == CCZ_PQ_LIST;
    size_t len = rows;
    if (list) {
        m.offset = calloc(rows + 1, sizeof(*m.offset));
        m.has_list = malloc(rows + 1);
        CHECK(m.offset && m.has_list);
        len = 0;
        for (size_t i = 0; i < rows; i++) {
            uint32_t r = next_random(&seed);
            m.has_list[i] = !(c.optional && r % 5 == 0);
            m.offset[i] = (uint32_t)len;
            len += !m.has_list[i] ? 0 : r % 97 == 0 ? 300 : r / 8 % 6;
        }
        m.offset[rows] = (uint32_t)len;
    }
    size_t width = c.type == CCZ_PQ_FIXED ? c.type_size : 16;
    m.values = calloc(len + 1, slot_size(c.type));
    m.text = malloc(len * width + 1);
    m.present = malloc(len + 1);
    CHECK(m.values && m.text && m.present);
    size_t text_at = 0;
    bool nulls = list ? c.element_optional : c.optional;
    for (size_t i = 0; i < len; i++) {
        m.present[i] = !(nulls && (few ? i / 20 % 3 == 1 : next_random(&seed) % 4 == 0));
        if (m.present[i])
            make_value(&m, i, few, &seed, &text_at);
    }
    m.d = (struct ccz_pq_data){.rows = rows, .len = len, .present = nulls ? m.present : NULL};
    m.d.offset = m.offset;
    m.d.has_list = list && c.optional ? m.has_list : NULL;
    m.d.v.b = m.values;
    return m;
}

static inline void made_free(struct made *m)
{
    free(m->values);
    free(m->text);
    free(m->present);
    free(m->has_list);
    free(m->offset);
    *m = (struct made){0};
}

/* Writes the columns in batches of `batch` rows. */
static inline ccz_rc write_made(struct ccz_buf *out, const struct made *m, size_t len,
                                const struct ccz_pq_write_cfg *base, size_t batch,
                                struct ccz_err *err)
{
    struct ccz_pq_column columns[16];
    struct ccz_pq_data in[16];
    CHECK(len <= 16);
    struct ccz_pq_write_cfg cfg = *base;
    for (size_t i = 0; i < len; i++)
        columns[i] = m[i].c;
    cfg.columns = columns;
    cfg.columns_len = len;
    struct ccz_pq_sink sink = ccz_pq_sink_buf(out);
    CCZ_AUTO(ccz_pq_writer) w = NULL;
    ccz_rc rc = ccz_pq_writer_new(&w, &sink, &cfg, err);
    uint32_t *offset = malloc((batch + 1) * sizeof(*offset) * len);
    if (!offset)
        rc = CCZ_E_NOMEM;
    for (size_t at = 0; at < m[0].d.rows && rc == CCZ_OK; at += batch) {
        size_t n = m[0].d.rows - at < batch ? m[0].d.rows - at : batch;
        for (size_t i = 0; i < len; i++) {
            size_t from = m[i].offset ? m[i].offset[at] : at;
            size_t to = m[i].offset ? m[i].offset[at + n] : at + n;
            in[i] = (struct ccz_pq_data){.rows = n, .len = to - from};
            in[i].v.b = (const uint8_t *)m[i].values + from * slot_size(m[i].c.type);
            in[i].present = m[i].d.present ? m[i].d.present + from : NULL;
            in[i].has_list = m[i].d.has_list ? m[i].d.has_list + at : NULL;
            if (m[i].offset) {
                uint32_t *o = offset + i * (batch + 1);
                for (size_t k = 0; k <= n; k++)
                    o[k] = m[i].offset[at + k] - (uint32_t)from;
                in[i].offset = o;
            }
        }
        rc = ccz_pq_writer_put(w, in, err);
    }
    free(offset);
    return rc == CCZ_OK ? ccz_pq_writer_finish(w, err) : rc;
}

static inline bool same_slot(const struct made *m, const struct ccz_pq_data *d, size_t i, size_t k)
{
    bool here = !m->d.present || m->d.present[i], there = !d->present || d->present[k];
    size_t size = slot_size(m->c.type);
    if (here != there)
        return false;
    if (size != sizeof(struct ccz_span)) { /* bits, so that NaN and -0 are told apart */
        static const uint8_t zero[8];
        const uint8_t *want = here ? (const uint8_t *)m->values + i * size : zero;
        return memcmp(want, d->v.b + k * size, size) == 0;
    }
    struct ccz_span want = here ? ((const struct ccz_span *)m->values)[i] : CCZ_SPAN(NULL, 0);
    return ccz_span_eq(want, d->v.bytes[k]);
}

/* Rows at .. at + d->rows - 1 of what was made. */
static inline bool same_rows(const struct made *m, const struct ccz_pq_data *d, size_t at)
{
    if (m->c.shape != CCZ_PQ_LIST) {
        if (d->len != d->rows || d->offset || d->has_list)
            return false;
        for (size_t i = 0; i < d->rows; i++) {
            if (!same_slot(m, d, at + i, i))
                return false;
        }
        return true;
    }
    if (!d->offset || d->offset[0] != 0 || d->offset[d->rows] != d->len)
        return false;
    for (size_t i = 0; i < d->rows; i++) {
        uint32_t from = m->offset[at + i], len = m->offset[at + i + 1] - from;
        if (d->offset[i + 1] - d->offset[i] != len ||
            (!d->has_list || d->has_list[i]) != (m->has_list[at + i] != 0))
            return false;
        for (uint32_t k = 0; k < len; k++) {
            if (!same_slot(m, d, from + k, d->offset[i] + k))
                return false;
        }
    }
    return true;
}

/* Reads everything and compares it. */
static inline void check_made(struct ccz_span file, const struct made *m, size_t len, size_t batch)
{
    struct ccz_err err = {0};
    struct ccz_pq_source io = ccz_pq_source_mem(&file);
    CCZ_AUTO(ccz_pq_reader) r = NULL;
    CCZ_AUTO(ccz_pq_scan) s = NULL;
    ccz_rc rc = ccz_pq_reader_open(&r, &io, NULL, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK && ccz_pq_columns(r) == len && ccz_pq_rows(r) == m[0].d.rows);
    for (size_t i = 0; i < len; i++) {
        const struct ccz_pq_column *c = ccz_pq_column(r, i), *w = &m[i].c;
        CHECK(strcmp(c->name, w->name) == 0 && c->type == w->type && c->meaning == w->meaning);
        CHECK(c->shape == w->shape && c->optional == w->optional && c->type_size == w->type_size);
        CHECK(c->element_optional == (w->shape == CCZ_PQ_LIST && w->element_optional));
    }
    CHECK(ccz_pq_scan_open(&s, r, &(struct ccz_pq_scan_cfg){.batch_rows = batch}, &err) == CCZ_OK);
    struct ccz_pq_data d[16];
    size_t at = 0;
    while ((rc = ccz_pq_scan_next(d, s, &err)) == CCZ_OK && d[0].rows > 0) {
        for (size_t i = 0; i < len; i++)
            CHECK(d[i].rows == d[0].rows && same_rows(&m[i], &d[i], at));
        at += d[0].rows;
    }
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK && at == m[0].d.rows);
    rc = ccz_pq_verify(r, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "verify: %s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK);
}
#endif
