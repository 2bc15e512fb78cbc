/* SPDX-License-Identifier: Apache-2.0 */
/* However large batches are the values are the same; what can be read, written by our writer, is read again and equal; what is verified can
 * be read. */
#include <cczoo/parquet.h>

#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 8, BATCH = 50 };

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static uint64_t mix(uint64_t h, const void *p, size_t size)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < size; i++)
        h = (h ^ b[i]) * UINT64_C(0x100000001b3);
    return h;
}

/* What a column says, the same however it is cut into batches. */
static uint64_t digest(uint64_t h, const struct ccz_pq_column *c, const struct ccz_pq_data *d)
{
    static const size_t sizes[] = {1, 4, 8, 0, 4, 8, 0, 0};
    size_t size = sizes[c->type];
    for (size_t i = 0; i < d->rows; i++) {
        size_t from = d->offset ? d->offset[i] : i, to = d->offset ? d->offset[i + 1] : i + 1;
        uint8_t there = !d->has_list || d->has_list[i];
        h = mix(h, &there, 1);
        expect(from <= to && to <= d->len && (there || from == to));
        for (size_t k = from; k < to; k++) {
            uint8_t present = !d->present || d->present[k];
            h = mix(h, &present, 1);
            if (size > 0)
                h = mix(h, d->v.b + k * size, size);
            else
                h = mix(h, d->v.bytes[k].ptr, d->v.bytes[k].size);
        }
    }
    return h;
}

/* @param[out] h  [COLUMNS]  @param w  NULL: nothing is written again */
static ccz_rc scan(uint64_t *h, const struct ccz_pq_reader *r, const size_t *columns, size_t len,
                   size_t batch, struct ccz_pq_writer *w)
{
    CCZ_AUTO(ccz_pq_scan) s = NULL;
    struct ccz_pq_data d[COLUMNS];
    struct ccz_pq_scan_cfg cfg = {.columns = columns, .columns_len = len, .batch_rows = batch};
    ccz_rc rc = ccz_pq_scan_open(&s, r, &cfg, NULL);
    uint64_t rows = 0;
    memset(h, 0, COLUMNS * sizeof(*h));
    while (rc == CCZ_OK && (rc = ccz_pq_scan_next(d, s, NULL)) == CCZ_OK && d[0].rows > 0) {
        for (size_t i = 0; i < len; i++) {
            expect(d[i].rows == d[0].rows && d[i].rows <= batch);
            h[i] = digest(h[i], ccz_pq_column(r, columns[i]), &d[i]);
        }
        rows += d[0].rows;
        if (w)
            expect(ccz_pq_writer_put(w, d, NULL) == CCZ_OK);
    }
    expect(rc != CCZ_OK || rows == ccz_pq_rows(r));
    return rc;
}

static void again(const struct ccz_pq_reader *r, const size_t *columns, size_t len,
                  const uint64_t *h)
{
    struct ccz_pq_column c[COLUMNS];
    char names[COLUMNS][8];
    for (size_t i = 0; i < len; i++) {
        c[i] = *ccz_pq_column(r, columns[i]);
        names[i][0] = (char)('a' + i);
        names[i][1] = 0;
        c[i].name = names[i]; /* theirs may be twice the same, or have dots */
        c[i].meaning = c[i].meaning == CCZ_PQ_OTHER ? CCZ_PQ_PLAIN : c[i].meaning;
    }
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 64 << 20);
    struct ccz_pq_sink sink = ccz_pq_sink_buf(&out);
    struct ccz_pq_write_cfg cfg = {
        .columns = c, .columns_len = len, .pages_v2 = h[0] & 1, .page_size = 200};
    struct ccz_pq_writer *w = NULL;
    uint64_t same[COLUMNS];
    expect(ccz_pq_writer_new(&w, &sink, &cfg, NULL) == CCZ_OK);
    expect(scan(same, r, columns, len, BATCH, w) == CCZ_OK &&
           ccz_pq_writer_finish(w, NULL) == CCZ_OK);
    ccz_pq_writer_free(w);
    struct ccz_span file = ccz_buf_span(&out);
    struct ccz_pq_source io = ccz_pq_source_mem(&file);
    CCZ_AUTO(ccz_pq_reader) q = NULL;
    size_t all[COLUMNS] = {0, 1, 2, 3, 4, 5, 6, 7};
    expect(ccz_pq_reader_open(&q, &io, NULL, NULL) == CCZ_OK && ccz_pq_verify(q, NULL) == CCZ_OK);
    expect(scan(same, q, all, len, BATCH, NULL) == CCZ_OK);
    expect(memcmp(same, h, len * sizeof(*h)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_span file = {data, size};
    struct ccz_pq_source io = ccz_pq_source_mem(&file);
    struct ccz_pq_read_cfg cfg = {
        .page_size_max = 1 << 16, .batch_size_max = 1 << 18, .rows_max = 5000};
    CCZ_AUTO(ccz_pq_reader) r = NULL;
    struct ccz_err err = {0};
    if (ccz_pq_reader_open(&r, &io, &cfg, &err) != CCZ_OK) {
        expect(!r && err.where[0] != 0);
        return 0;
    }
    size_t columns[COLUMNS], len = 0;
    for (size_t i = 0; i < ccz_pq_columns(r) && len < COLUMNS; i++) {
        const struct ccz_pq_column *c = ccz_pq_column(r, i);
        if (c->shape != CCZ_PQ_NESTED && c->type != CCZ_PQ_INT96)
            columns[len++] = i;
    }
    uint64_t h[COLUMNS], one[COLUMNS];
    ccz_rc verified = ccz_pq_verify(r, &err);
    if (len == 0)
        return 0;
    ccz_rc rc = scan(h, r, columns, len, BATCH, NULL);
    expect(verified != CCZ_OK || rc == CCZ_OK || rc == CCZ_E_LIMIT);
    if (rc != CCZ_OK)
        return 0;
    expect(scan(one, r, columns, len, 1, NULL) == CCZ_OK && memcmp(h, one, len * sizeof(*h)) == 0);
    again(r, columns, len, h);
    return 0;
}
