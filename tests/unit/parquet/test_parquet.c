/* SPDX-License-Identifier: Apache-2.0 */
/* What is written is read again: every type, encoding, codec, version of pages, shape; nulls, lists, empty files, many pages and groups. */
#define _DEFAULT_SOURCE
#include "parquet_test.h"

#include <fcntl.h>
#include <unistd.h>

enum { FILE_MAX = 64 << 20 };
static const enum ccz_pq_codec codecs[] = {CCZ_PQ_NONE, CCZ_PQ_SNAPPY, CCZ_PQ_GZIP, CCZ_PQ_ZSTD};

static bool encode_fits(enum ccz_pq_type t, enum ccz_pq_encode e)
{
    bool is_int = t == CCZ_PQ_INT32 || t == CCZ_PQ_INT64;
    switch (e) {
    case CCZ_PQ_ENCODE_DELTA:
        return is_int || t == CCZ_PQ_BYTES;
    case CCZ_PQ_ENCODE_SPLIT:
        return is_int || t == CCZ_PQ_FLOAT || t == CCZ_PQ_DOUBLE || t == CCZ_PQ_FIXED;
    case CCZ_PQ_ENCODE_RLE:
        return t == CCZ_PQ_BOOLEAN;
    default:
        return true;
    }
}

static void round_trip(const struct made *m, size_t len, const struct ccz_pq_write_cfg *cfg,
                       size_t write_batch, size_t read_batch)
{
    struct ccz_err err = {0};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, FILE_MAX);
    ccz_rc rc = write_made(&out, m, len, cfg, write_batch, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK);
    check_made(ccz_buf_span(&out), m, len, read_batch);
}

/* One column of a type and encoding, in all shapes, with all codecs and versions. */
static void all_of(enum ccz_pq_type type, enum ccz_pq_encode encode)
{
    for (unsigned v = 0; v < 128; v++) {
        struct ccz_pq_column c = {.name = "v", .type = type, .encode = encode};
        c.shape = v & 1 ? CCZ_PQ_LIST : CCZ_PQ_FLAT;
        c.optional = v & 2;
        c.element_optional = (v & 1) && (v & 4);
        c.type_size = type == CCZ_PQ_FIXED ? 5 : 0;
        if (!(v & 1) && (v & 4))
            continue;
        struct ccz_pq_write_cfg cfg = {.codec = codecs[v >> 4 & 3], .pages_v2 = v & 8};
        cfg.page_size = v & 64 ? 100 : 4096;
        cfg.row_group_rows = v & 64 ? 250 : 0;
        struct made m = make_column(c, 600, v & 64 ? v & 2 : !(v & 2), v + 1);
        round_trip(&m, 1, &cfg, v & 64 ? 77 : 600, v & 64 ? 64 : 0);
        made_free(&m);
    }
}

static void test_types(void)
{
    for (int t = CCZ_PQ_BOOLEAN; t <= CCZ_PQ_FIXED; t++) {
        for (int e = CCZ_PQ_ENCODE_AUTO; e <= CCZ_PQ_ENCODE_RLE; e++) {
            if (t != CCZ_PQ_INT96 && encode_fits((enum ccz_pq_type)t, (enum ccz_pq_encode)e))
                all_of((enum ccz_pq_type)t, (enum ccz_pq_encode)e);
        }
    }
}

/* The table that recommenders need: ratings, and factors as lists; columns side by side in batches that do not fit their pages. */
static void test_table(void)
{
    static const struct ccz_pq_column c[] = {
        {.name = "user", .type = CCZ_PQ_INT64},
        {.name = "item", .type = CCZ_PQ_BYTES, .meaning = CCZ_PQ_STRING, .optional = true},
        {.name = "rating", .type = CCZ_PQ_FLOAT, .optional = true},
        {.name = "time",
         .type = CCZ_PQ_INT64,
         .meaning = CCZ_PQ_TIME_MS,
         .encode = CCZ_PQ_ENCODE_DELTA},
        {.name = "day", .type = CCZ_PQ_INT32, .meaning = CCZ_PQ_DATE},
        {.name = "count", .type = CCZ_PQ_INT32, .meaning = CCZ_PQ_UNSIGNED},
        {.name = "small", .type = CCZ_PQ_INT32, .meaning = CCZ_PQ_SIGNED},
        {.name = "json", .type = CCZ_PQ_BYTES, .meaning = CCZ_PQ_JSON},
        {.name = "us", .type = CCZ_PQ_INT64, .meaning = CCZ_PQ_TIME_US},
        {.name = "ns", .type = CCZ_PQ_INT64, .meaning = CCZ_PQ_TIME_NS},
        {.name = "features", .type = CCZ_PQ_FLOAT, .shape = CCZ_PQ_LIST},
        {.name = "f\xc3\xbcr alle",
         .type = CCZ_PQ_DOUBLE,
         .shape = CCZ_PQ_LIST,
         .optional = true,
         .element_optional = true},
    };
    enum { LEN = sizeof(c) / sizeof(*c) };
    for (unsigned v = 0; v < 4; v++) {
        struct made m[LEN];
        for (size_t i = 0; i < LEN; i++)
            m[i] = make_column(c[i], 20000, i % 2 == v % 2, i + v);
        struct ccz_pq_write_cfg cfg = {.codec = codecs[v], .pages_v2 = v & 1, .page_size = 5000};
        cfg.row_group_rows = 6000;
        round_trip(m, LEN, &cfg, 1234, 999);
        for (size_t i = 0; i < LEN; i++)
            made_free(&m[i]);
    }
}

static void test_empty(void)
{
    struct ccz_pq_column c = {.name = "x", .type = CCZ_PQ_INT32};
    struct ccz_pq_column l = {.name = "y", .type = CCZ_PQ_FLOAT, .shape = CCZ_PQ_LIST};
    struct made m[2] = {make_column(c, 0, false, 1), make_column(l, 0, false, 1)};
    struct ccz_pq_write_cfg cfg = {.codec = CCZ_PQ_ZSTD};
    round_trip(m, 2, &cfg, 10, 10);
    made_free(&m[0]);
    made_free(&m[1]);
    /* rows without a single value */
    for (unsigned v = 0; v < 16; v++) {
        struct ccz_pq_column n = {
            .name = "n", .type = v & 1 ? CCZ_PQ_BYTES : CCZ_PQ_DOUBLE, .optional = true};
        n.encode = v & 2 ? CCZ_PQ_ENCODE_AUTO : v & 1 ? CCZ_PQ_ENCODE_DELTA : CCZ_PQ_ENCODE_SPLIT;
        n.shape = v & 4 ? CCZ_PQ_LIST : CCZ_PQ_FLAT;
        struct made k = make_column(n, 500, false, 1);
        memset(k.present, 0, 500);
        if (v & 4) {
            memset(k.offset, 0, 501 * sizeof(*k.offset));
            memset(k.has_list, v & 8 ? 1 : 0, 500);
            k.d.len = 0;
        }
        cfg.pages_v2 = v & 8;
        cfg.codec = codecs[v >> 2];
        round_trip(&k, 1, &cfg, 100, 100);
        made_free(&k);
    }
}

static void test_groups(void)
{
    struct ccz_pq_column c = {.name = "x", .type = CCZ_PQ_INT64, .optional = true};
    struct made m = make_column(c, 3000, false, 9);
    struct ccz_pq_write_cfg cfg = {.row_group_rows = 1};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, FILE_MAX);
    CHECK(write_made(&out, &m, 1, &cfg, 700, NULL) == CCZ_OK);
    struct ccz_span file = ccz_buf_span(&out);
    check_made(file, &m, 1, 5);
    struct ccz_pq_source io = ccz_pq_source_mem(&file);
    CCZ_AUTO(ccz_pq_reader) r = NULL;
    CHECK(ccz_pq_reader_open(&r, &io, NULL, NULL) == CCZ_OK && ccz_pq_row_groups(r) == 3000);
    CHECK(ccz_pq_row_group_rows(r, 17) == 1 && ccz_pq_row_group_rows(r, 3000) == 0);
    CCZ_AUTO(ccz_pq_scan) s = NULL; /* a part of them */
    struct ccz_pq_scan_cfg part = {.row_group = 100, .row_groups_len = 50};
    CHECK(ccz_pq_scan_open(&s, r, &part, NULL) == CCZ_OK);
    struct ccz_pq_data d;
    size_t at = 100;
    for (; ccz_pq_scan_next(&d, s, NULL) == CCZ_OK && d.rows > 0; at += d.rows)
        CHECK(same_rows(&m, &d, at));
    CHECK(at == 150 && ccz_pq_scan_next(&d, s, NULL) == CCZ_OK && d.rows == 0);
    /* a row group ends by its size, too */
    ccz_buf_clear(&out);
    cfg = (struct ccz_pq_write_cfg){.row_group_size = 3000, .page_size = 64};
    c.encode = CCZ_PQ_ENCODE_PLAIN;
    m.c = c;
    CHECK(write_made(&out, &m, 1, &cfg, 100, NULL) == CCZ_OK);
    file = ccz_buf_span(&out);
    CCZ_AUTO(ccz_pq_reader) q = NULL;
    CHECK(ccz_pq_reader_open(&q, &io, NULL, NULL) == CCZ_OK);
    CHECK(ccz_pq_row_groups(q) > 5 && ccz_pq_row_groups(q) < 15);
    check_made(file, &m, 1, 0);
    made_free(&m);
}

/* A dictionary that fills up: pages before keep their indexes, pages behind are PLAIN. */
static void test_dictionary(void)
{
    struct ccz_pq_column c = {.name = "x", .type = CCZ_PQ_INT64};
    struct made m = make_column(c, 600000, true, 3);
    int64_t *v = m.values;
    for (size_t i = 300000; i < 600000; i++)
        v[i] = (int64_t)i; /* all different */
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, FILE_MAX);
    struct ccz_pq_write_cfg cfg = {.page_size = 100000};
    CHECK(write_made(&out, &m, 1, &cfg, 100000, NULL) == CCZ_OK);
    struct ccz_span file = ccz_buf_span(&out);
    check_made(file, &m, 1, 0);
    struct ccz_pq_source io = ccz_pq_source_mem(&file);
    CCZ_AUTO(ccz_pq_reader) r = NULL;
    struct ccz_pq_chunk_info info;
    CHECK(ccz_pq_reader_open(&r, &io, NULL, NULL) == CCZ_OK);
    CHECK(ccz_pq_chunk_info(&info, r, 0, 0, NULL) == CCZ_OK);
    CHECK(info.encodings == (1U << 0 | 1U << 3 | 1U << 8)); /* PLAIN, RLE, RLE_DICTIONARY */
    CHECK(info.min.i64 == -3 && info.max.i64 == 599999 && info.nulls == 0 && info.values == 600000);
    CHECK(info.size < 4000000 && info.key == CCZ_PQ_KEY_NONE && info.codec == CCZ_PQ_NONE);
    ccz_buf_free(&info.bytes);
    /* few values pay: 3 bits instead of 64 */
    for (size_t i = 300000; i < 600000; i++)
        v[i] = v[i - 300000];
    ccz_buf_clear(&out);
    CHECK(write_made(&out, &m, 1, &cfg, 100000, NULL) == CCZ_OK && out.size < 300000);
    made_free(&m);
}

static void bounds_of(struct ccz_pq_chunk_info *info, const struct made *m, bool no_statistics)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, FILE_MAX);
    struct ccz_pq_write_cfg cfg = {.no_statistics = no_statistics};
    CHECK(write_made(&out, m, 1, &cfg, 1000, NULL) == CCZ_OK);
    struct ccz_span file = ccz_buf_span(&out);
    struct ccz_pq_source io = ccz_pq_source_mem(&file);
    CCZ_AUTO(ccz_pq_reader) r = NULL;
    CHECK(ccz_pq_reader_open(&r, &io, NULL, NULL) == CCZ_OK);
    CHECK(ccz_pq_chunk_info(info, r, 0, 0, NULL) == CCZ_OK);
    CHECK(ccz_pq_chunk_info(&(struct ccz_pq_chunk_info){0}, r, 0, 1, NULL) == CCZ_E_ARG);
}

static void test_statistics(void)
{
    struct ccz_pq_chunk_info info;
    struct made m = make_column(
        (struct ccz_pq_column){.name = "f", .type = CCZ_PQ_FLOAT, .optional = true}, 4, false, 1);
    static const float values[] = {NAN, 0.0F, 2.5F, 7};
    memcpy(m.values, values, sizeof(values));
    memcpy(m.present, (uint8_t[]){1, 1, 1, 0}, 4);
    bounds_of(&info, &m, false);
    CHECK(info.has_min && info.min.f32 == 0 && signbit(info.min.f32) && info.max.f32 == 2.5F);
    CHECK(info.has_nulls && info.nulls == 1 && info.values == 4);
    bounds_of(&info, &m, true);
    CHECK(!info.has_min && !info.has_max && !info.has_nulls);
    ((float *)m.values)[1] = NAN;
    ((float *)m.values)[2] = NAN; /* NaN alone: no bounds */
    bounds_of(&info, &m, false);
    CHECK(!info.has_min && !info.has_max && info.nulls == 1);
    made_free(&m);

    m = make_column(
        (struct ccz_pq_column){.name = "s", .type = CCZ_PQ_BYTES, .meaning = CCZ_PQ_STRING}, 3,
        false, 1);
    struct ccz_span *s = m.values;
    s[0] = ccz_span_str("b");
    s[1] = ccz_span_str("\xc3\xa4"); /* unsigned bytes: behind all of ASCII */
    s[2] = ccz_span_str("ba");
    bounds_of(&info, &m, false);
    CHECK(ccz_span_eq(info.min.bytes, s[0]) && ccz_span_eq(info.max.bytes, s[1]));
    ccz_buf_free(&info.bytes);
    static char longer[300];
    memset(longer, 'x', sizeof(longer) - 1);
    s[0] = ccz_span_str(longer); /* too long for a bound */
    bounds_of(&info, &m, false);
    CHECK(!info.has_min && !info.has_max && info.has_nulls);
    made_free(&m);

    m = make_column(
        (struct ccz_pq_column){.name = "u", .type = CCZ_PQ_INT32, .meaning = CCZ_PQ_UNSIGNED}, 2,
        false, 1);
    ((int32_t *)m.values)[0] = -1;
    ((int32_t *)m.values)[1] = 5;
    bounds_of(&info, &m, false);
    CHECK(info.min.i32 == 5 && info.max.i32 == -1);
    made_free(&m);
}

static void test_meta(void)
{
    struct ccz_pq_meta pairs[] = {{"data", "sha256:00"},
                                  {"org.apache.spark.sql.parquet.row.metadata", "{}"}};
    struct made m =
        make_column((struct ccz_pq_column){.name = "f", .type = CCZ_PQ_INT32}, 4, false, 1);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, FILE_MAX);
    struct ccz_pq_write_cfg cfg = {.meta = pairs, .meta_len = 2};
    CHECK(write_made(&out, &m, 1, &cfg, 4, NULL) == CCZ_OK);
    struct ccz_span file = ccz_buf_span(&out);
    struct ccz_pq_source io = ccz_pq_source_mem(&file);
    CCZ_AUTO(ccz_pq_reader) r = NULL;
    CHECK(ccz_pq_reader_open(&r, &io, NULL, NULL) == CCZ_OK);
    CHECK(strcmp(ccz_pq_meta(r, "data"), "sha256:00") == 0 && !ccz_pq_meta(r, "dat"));
    CHECK(strncmp(ccz_pq_created_by(r), "cczoo version ", 14) == 0);
    size_t column;
    struct ccz_err err;
    CHECK(ccz_pq_find(&column, r, "f", &err) == CCZ_OK && column == 0);
    CHECK(is_refused(ccz_pq_find(&column, r, "g", &err), CCZ_E_NOT_FOUND, &err, "parquet:column"));
    CHECK(!ccz_pq_column(r, 1));
    made_free(&m);
}

/* The same through files. */
static void test_fd(void)
{
    char path[] = "/tmp/parquet-XXXXXX";
    int fd = mkstemp(path), none = open("/dev/null", O_RDONLY);
    CHECK(fd >= 0 && none >= 0 && unlink(path) == 0);
    struct made m =
        make_column((struct ccz_pq_column){.name = "f", .type = CCZ_PQ_INT32}, 40000, false, 1);
    struct ccz_pq_write_cfg cfg = {.columns = &m.c, .columns_len = 1};
    struct ccz_pq_sink sink = ccz_pq_sink_fd(&fd), bad = ccz_pq_sink_fd(&none);
    struct ccz_err err;
    CCZ_AUTO(ccz_pq_writer) w = NULL;
    CCZ_AUTO(ccz_pq_writer) x = NULL;
    CHECK(is_refused(ccz_pq_writer_new(&x, &bad, &cfg, &err), CCZ_E_IO, &err, "parquet:write"));
    CHECK(ccz_pq_writer_new(&w, &sink, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_pq_writer_put(w, &m.d, NULL) == CCZ_OK && ccz_pq_writer_finish(w, NULL) == CCZ_OK);
    CHECK(is_refused(ccz_pq_writer_put(w, &m.d, &err), CCZ_E_ARG, &err, "parquet:writer"));
    struct ccz_pq_source io = ccz_pq_source_fd(&fd), no = ccz_pq_source_fd(&none);
    CCZ_AUTO(ccz_pq_reader) r = NULL;
    CHECK(is_refused(ccz_pq_reader_open(&r, &no, NULL, &err), CCZ_E_IO, &err, "parquet:read"));
    CHECK(ccz_pq_reader_open(&r, &io, NULL, NULL) == CCZ_OK);
    CCZ_AUTO(ccz_pq_scan) s = NULL;
    struct ccz_pq_data d;
    CHECK(ccz_pq_scan_open(&s, r, NULL, NULL) == CCZ_OK);
    CHECK(ccz_pq_scan_next(&d, s, NULL) == CCZ_OK && d.rows == 40000 && same_rows(&m, &d, 0));
    close(fd);
    close(none);
    made_free(&m);
}

static const struct ccz_test tests[] = {
    {"parquet.types", test_types},
    {"parquet.table", test_table},
    {"parquet.empty", test_empty},
    {"parquet.groups", test_groups},
    {"parquet.dictionary", test_dictionary},
    {"parquet.statistics", test_statistics},
    {"parquet.meta", test_meta},
    {"parquet.fd", test_fd},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
