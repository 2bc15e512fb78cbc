/* SPDX-License-Identifier: Apache-2.0 */
/* For test_parquet_plain.py and test_hyparquet.sh: Parquet files as JSON, and written again by our writer.
 *   parquet-peer dump FILE                           schema and all values
 *   parquet-peer copy IN OUT CODEC 1|2 ENCODE PAGE   with pages of that version and size; columns that ENCODE does not fit: AUTO
 *   parquet-peer verify FILE
 * Floats are printed as the bits they have, bytes as hex. A refusal is "refused: WHERE: MESSAGE" on stderr, and exit 1. */
#include <cczoo/parquet.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COLUMNS_MAX = 256 };

static int refused(const struct ccz_err *err)
{
    fprintf(stderr, "refused: %s: %s\n", err->where, err->msg);
    return 1;
}

static void print_text(const char *s)
{
    putchar('"');
    for (; *s; s++)
        printf(*s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
    putchar('"');
}

static void print_value(const struct ccz_pq_column *c, const struct ccz_pq_data *d, size_t i)
{
    uint64_t bits = 0;
    if (d->present && !d->present[i]) {
        printf("null");
        return;
    }
    switch (c->type) {
    case CCZ_PQ_BOOLEAN:
        printf(d->v.b[i] ? "true" : "false");
        break;
    case CCZ_PQ_INT32:
        printf("%" PRId32, d->v.i32[i]);
        break;
    case CCZ_PQ_INT64:
        printf("%" PRId64, d->v.i64[i]);
        break;
    case CCZ_PQ_FLOAT:
        memcpy(&bits, &d->v.f32[i], 4);
        printf("%" PRIu64, bits);
        break;
    case CCZ_PQ_DOUBLE:
        memcpy(&bits, &d->v.f64[i], 8);
        printf("%" PRIu64, bits);
        break;
    default:
        putchar('"');
        for (size_t k = 0; k < d->v.bytes[i].size; k++)
            printf("%02x", d->v.bytes[i].ptr[k]);
        putchar('"');
    }
}

static void print_rows(const struct ccz_pq_column *c, const struct ccz_pq_data *d, bool *first)
{
    for (size_t row = 0; row < d->rows; row++) {
        printf(*first ? "" : ",");
        *first = false;
        if (c->shape != CCZ_PQ_LIST) {
            print_value(c, d, row);
        } else if (d->has_list && !d->has_list[row]) {
            printf("null");
        } else {
            putchar('[');
            for (uint32_t i = d->offset[row]; i < d->offset[row + 1]; i++) {
                printf(i > d->offset[row] ? "," : "");
                print_value(c, d, i);
            }
            putchar(']');
        }
    }
}

static ccz_rc dump_column(const struct ccz_pq_reader *r, size_t i, struct ccz_err *err)
{
    const struct ccz_pq_column *c = ccz_pq_column(r, i);
    printf("{\"name\":");
    print_text(c->name);
    printf(",\"path\":");
    print_text(c->path);
    printf(",\"type\":%d,\"meaning\":%d,\"shape\":%d,\"optional\":%d,\"element_optional\":%d",
           (int)c->type, (int)c->meaning, (int)c->shape, c->optional, c->element_optional);
    CCZ_AUTO(ccz_pq_scan) s = NULL;
    struct ccz_pq_data d;
    bool first = true;
    if (c->shape == CCZ_PQ_NESTED) {
        printf("}");
        return CCZ_OK;
    }
    printf(",\"values\":[");
    struct ccz_pq_scan_cfg cfg = {.columns = &i, .columns_len = 1, .batch_rows = 1000};
    ccz_rc rc = ccz_pq_scan_open(&s, r, &cfg, err);
    while (rc == CCZ_OK && (rc = ccz_pq_scan_next(&d, s, err)) == CCZ_OK && d.rows > 0)
        print_rows(c, &d, &first);
    printf("]}");
    return rc;
}

static ccz_rc dump(const struct ccz_pq_reader *r, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    printf("{\"rows\":%" PRIu64 ",\"groups\":%zu,\"columns\":[", ccz_pq_rows(r),
           ccz_pq_row_groups(r));
    for (size_t i = 0; i < ccz_pq_columns(r) && rc == CCZ_OK; i++) {
        printf(i > 0 ? "," : "");
        rc = dump_column(r, i, err);
    }
    printf("]}\n");
    return rc;
}

static bool encode_fits(enum ccz_pq_type t, enum ccz_pq_encode e)
{
    bool is_int = t == CCZ_PQ_INT32 || t == CCZ_PQ_INT64;
    return e <= CCZ_PQ_ENCODE_PLAIN ||
           (e == CCZ_PQ_ENCODE_DELTA && (is_int || t == CCZ_PQ_BYTES)) ||
           (e == CCZ_PQ_ENCODE_SPLIT &&
            (is_int || t == CCZ_PQ_FLOAT || t == CCZ_PQ_DOUBLE || t == CCZ_PQ_FIXED)) ||
           (e == CCZ_PQ_ENCODE_RLE && t == CCZ_PQ_BOOLEAN);
}

static ccz_rc copy(const struct ccz_pq_reader *r, char **arg, struct ccz_err *err)
{
    struct ccz_pq_column columns[COLUMNS_MAX];
    struct ccz_pq_data d[COLUMNS_MAX];
    size_t numbers[COLUMNS_MAX], len = 0;
    for (size_t i = 0; i < ccz_pq_columns(r) && len < COLUMNS_MAX; i++) {
        struct ccz_pq_column c = *ccz_pq_column(r, i);
        if (c.shape == CCZ_PQ_NESTED)
            continue;
        if (c.type == CCZ_PQ_INT96) {
            c.type = CCZ_PQ_FIXED;
            c.type_size = 12;
        }
        c.meaning = c.meaning == CCZ_PQ_OTHER ? CCZ_PQ_PLAIN : c.meaning;
        enum ccz_pq_encode e = (enum ccz_pq_encode)atoi(arg[3]);
        c.encode = encode_fits(c.type, e) ? e : CCZ_PQ_ENCODE_AUTO;
        numbers[len] = i;
        columns[len++] = c;
    }
    int fd = open(arg[0], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    struct ccz_pq_sink sink = ccz_pq_sink_fd(&fd);
    struct ccz_pq_write_cfg cfg = {.columns = columns,
                                   .columns_len = len,
                                   .codec = (enum ccz_pq_codec)atoi(arg[1]),
                                   .pages_v2 = arg[2][0] == '2',
                                   .page_size = (size_t)atoi(arg[4]),
                                   .row_group_rows = 900};
    struct ccz_pq_scan_cfg scan = {.columns = numbers, .columns_len = len, .batch_rows = 700};
    CCZ_AUTO(ccz_pq_writer) w = NULL;
    CCZ_AUTO(ccz_pq_scan) s = NULL;
    ccz_rc rc = ccz_pq_writer_new(&w, &sink, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_pq_scan_open(&s, r, &scan, err);
    while (rc == CCZ_OK && (rc = ccz_pq_scan_next(d, s, err)) == CCZ_OK && d[0].rows > 0)
        rc = ccz_pq_writer_put(w, d, err);
    if (rc == CCZ_OK)
        rc = ccz_pq_writer_finish(w, err);
    close(fd);
    return rc;
}

int main(int argc, char **argv)
{
    struct ccz_err err = {0};
    if (argc < 3 || (strcmp(argv[1], "copy") == 0 && argc != 8)) {
        fprintf(stderr,
                "usage: parquet-peer dump|verify FILE | copy IN OUT CODEC 1|2 ENCODE PAGE\n");
        return 2;
    }
    int fd = open(argv[2], O_RDONLY);
    struct ccz_pq_source io = ccz_pq_source_fd(&fd);
    CCZ_AUTO(ccz_pq_reader) r = NULL;
    ccz_rc rc = ccz_pq_reader_open(&r, &io, NULL, &err);
    if (rc == CCZ_OK && strcmp(argv[1], "dump") == 0)
        rc = dump(r, &err);
    else if (rc == CCZ_OK && strcmp(argv[1], "verify") == 0)
        rc = ccz_pq_verify(r, &err);
    else if (rc == CCZ_OK)
        rc = copy(r, argv + 3, &err);
    close(fd);
    return rc == CCZ_OK ? 0 : refused(&err);
}
