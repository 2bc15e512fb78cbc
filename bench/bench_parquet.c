/* SPDX-License-Identifier: Apache-2.0 */
/* Ratings as Parquet, in memory, on one core:
 *     taskset -c 1 bench_parquet [ROWS] [FILE]       4,000,000 rows by default; FILE: gets what was written last (zstd)
 * One line per measurement, tab separated: name, codec, million rows a second (best of the passes), bytes a row.
 * Rows: user and item (INT64, from 200,000 and 20,000), rating (FLOAT, ten values), time (INT64, ascending). */
#include <cczoo/parquet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PASSES = 3, COLUMNS = 4 };

static int64_t *user, *item, *when;
static float *rating;

static void must(ccz_rc rc, const struct ccz_err *err)
{
    if (rc != CCZ_OK) {
        fprintf(stderr, "bench_parquet: %s: %s\n", err->where, err->msg);
        exit(1);
    }
}

static void make(size_t rows)
{
    uint64_t seed = 1;
    user = malloc(rows * sizeof(*user));
    item = malloc(rows * sizeof(*item));
    when = malloc(rows * sizeof(*when));
    rating = malloc(rows * sizeof(*rating));
    must(user && item && when && rating ? CCZ_OK : CCZ_E_NOMEM,
         &(struct ccz_err){.where = "memory"});
    for (size_t i = 0; i < rows; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t r = seed >> 20;
        user[i] = (int64_t)(r % 200000) * 7;
        item[i] = (int64_t)((r >> 18) % 20000);
        rating[i] = (float)(1 + r % 10) / 2;
        when[i] = 1000000000000 + (int64_t)i * 900 + (int64_t)(r % 900);
    }
}

static void write_rows(struct ccz_buf *out, size_t rows, enum ccz_pq_codec codec)
{
    static const struct ccz_pq_column columns[COLUMNS] = {{.name = "user", .type = CCZ_PQ_INT64},
                                                          {.name = "item", .type = CCZ_PQ_INT64},
                                                          {.name = "rating", .type = CCZ_PQ_FLOAT},
                                                          {.name = "time",
                                                           .type = CCZ_PQ_INT64,
                                                           .meaning = CCZ_PQ_TIME_MS,
                                                           .encode = CCZ_PQ_ENCODE_DELTA}};
    struct ccz_pq_write_cfg cfg = {.columns = columns, .columns_len = COLUMNS, .codec = codec};
    struct ccz_pq_data d[COLUMNS] = {{rows, rows, .v.i64 = user},
                                     {rows, rows, .v.i64 = item},
                                     {rows, rows, .v.f32 = rating},
                                     {rows, rows, .v.i64 = when}};
    struct ccz_err err = {0};
    struct ccz_pq_sink sink = ccz_pq_sink_buf(out);
    struct ccz_pq_writer *w = NULL;
    ccz_buf_clear(out);
    must(ccz_pq_writer_new(&w, &sink, &cfg, &err), &err);
    must(ccz_pq_writer_put(w, d, &err), &err);
    must(ccz_pq_writer_finish(w, &err), &err);
    ccz_pq_writer_free(w);
}

static void read_rows(const struct ccz_buf *in, size_t rows)
{
    struct ccz_span file = CCZ_SPAN(in->ptr, in->size);
    struct ccz_pq_source io = ccz_pq_source_mem(&file);
    struct ccz_err err = {0};
    struct ccz_pq_reader *r = NULL;
    struct ccz_pq_scan *s = NULL;
    struct ccz_pq_data d[COLUMNS];
    size_t at = 0;
    must(ccz_pq_reader_open(&r, &io, NULL, &err), &err);
    must(ccz_pq_scan_open(&s, r, NULL, &err), &err);
    for (;; at += d[0].rows) {
        must(ccz_pq_scan_next(d, s, &err), &err);
        if (d[0].rows == 0)
            break;
        must(memcmp(d[0].v.i64, user + at, d[0].rows * sizeof(*user)) == 0 ? CCZ_OK
                                                                           : CCZ_E_INTERNAL,
             &(struct ccz_err){.where = "other values"});
    }
    must(at == rows ? CCZ_OK : CCZ_E_INTERNAL, &(struct ccz_err){.where = "rows"});
    ccz_pq_scan_free(s);
    ccz_pq_reader_free(r);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        enum ccz_pq_codec codec;
    } codecs[] = {{"none", CCZ_PQ_NONE},
                  {"snappy", CCZ_PQ_SNAPPY},
                  {"gzip", CCZ_PQ_GZIP},
                  {"zstd", CCZ_PQ_ZSTD}};
    size_t rows = argc > 1 ? (size_t)atol(argv[1]) : 4000000;
    make(rows);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, SIZE_MAX / 2);
    for (size_t c = 0; c < sizeof(codecs) / sizeof(*codecs); c++) {
        int64_t best_write = INT64_MAX, best_read = INT64_MAX;
        for (int pass = 0; pass < PASSES; pass++) {
            int64_t t0 = ccz_mono_ns();
            write_rows(&out, rows, codecs[c].codec);
            int64_t t1 = ccz_mono_ns();
            read_rows(&out, rows);
            int64_t t2 = ccz_mono_ns();
            best_write = t1 - t0 < best_write ? t1 - t0 : best_write;
            best_read = t2 - t1 < best_read ? t2 - t1 : best_read;
        }
        double per_row = (double)out.size / (double)rows;
        printf("write\t%s\t%.1f\t%.1f\n", codecs[c].name, (double)rows * 1e3 / (double)best_write,
               per_row);
        printf("read\t%s\t%.1f\t%.1f\n", codecs[c].name, (double)rows * 1e3 / (double)best_read,
               per_row);
    }
    FILE *f = argc > 2 ? fopen(argv[2], "wb") : NULL;
    if (f) {
        size_t n = fwrite(out.ptr, 1, out.size, f);
        must(n == out.size && fclose(f) == 0 ? CCZ_OK : CCZ_E_IO,
             &(struct ccz_err){.where = "file"});
    }
    free(user);
    free(item);
    free(rating);
    free(when);
    return 0;
}
