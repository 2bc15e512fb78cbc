/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are cut or changed anywhere; sources and sinks that fail; what a writer refuses. */
#include "parquet_test.h"

enum { FILE_MAX = 16 << 20 };

/* A small file with every kind of page: two row groups, a dictionary, nulls, a list. */
static void small_file(struct ccz_buf *out, struct made m[3], bool v2, enum ccz_pq_codec codec)
{
    static const struct ccz_pq_column c[3] = {
        {.name = "user", .type = CCZ_PQ_INT64},
        {.name = "item", .type = CCZ_PQ_BYTES, .meaning = CCZ_PQ_STRING, .optional = true},
        {.name = "factors",
         .type = CCZ_PQ_FLOAT,
         .shape = CCZ_PQ_LIST,
         .optional = true,
         .element_optional = true},
    };
    for (size_t i = 0; i < 3; i++)
        m[i] = make_column(c[i], 40, i == 1, i + 1);
    struct ccz_pq_write_cfg cfg = {
        .codec = codec, .pages_v2 = v2, .row_group_rows = 25, .page_size = 60};
    ccz_buf_init(out, FILE_MAX);
    CHECK(write_made(out, m, 3, &cfg, 40, NULL) == CCZ_OK);
}

/* Reads everything there is. @param[out] same  it is what was made */
static ccz_rc read_all(struct ccz_span file, const struct made *m, bool *same, struct ccz_err *err)
{
    struct ccz_pq_source io = ccz_pq_source_mem(&file);
    struct ccz_pq_read_cfg cfg = {
        .page_size_max = 1 << 20, .batch_size_max = 1 << 20, .rows_max = 1 << 20};
    CCZ_AUTO(ccz_pq_reader) r = NULL;
    CCZ_AUTO(ccz_pq_scan) s = NULL;
    struct ccz_pq_data d[3] = {0};
    size_t at = 0;
    ccz_rc rc = ccz_pq_reader_open(&r, &io, &cfg, err);
    *same = rc == CCZ_OK && ccz_pq_columns(r) == 3;
    if (rc == CCZ_OK)
        rc = ccz_pq_verify(r, err);
    if (rc != CCZ_OK || !*same)
        return rc;
    rc = ccz_pq_scan_open(&s, r, &(struct ccz_pq_scan_cfg){.batch_rows = 17}, err);
    while (rc == CCZ_OK && (rc = ccz_pq_scan_next(d, s, err)) == CCZ_OK && d[0].rows > 0) {
        for (size_t i = 0; i < 3 && *same; i++) {
            const struct ccz_pq_column *c = ccz_pq_column(r, i);
            *same = c->type == m[i].c.type && c->shape == m[i].c.shape && at + d[0].rows <= 40 &&
                    same_rows(&m[i], &d[i], at);
        }
        at += d[0].rows;
    }
    *same = *same && rc == CCZ_OK && at == 40;
    return rc;
}

static void test_cut(void)
{
    for (unsigned v = 0; v < 4; v++) {
        struct made m[3];
        CCZ_AUTO_BUF out;
        small_file(&out, m, v & 1, v & 2 ? CCZ_PQ_ZSTD : CCZ_PQ_NONE);
        bool same;
        struct ccz_err err;
        CHECK(read_all(ccz_buf_span(&out), m, &same, &err) == CCZ_OK && same);
        for (size_t size = 0; size < out.size; size++) {
            uint8_t *copy = malloc(size + 1); /* so that reading behind the end is seen */
            CHECK(copy);
            memcpy(copy, out.ptr, size);
            err = (struct ccz_err){0};
            ccz_rc rc = read_all(CCZ_SPAN(copy, size), m, &same, &err);
            CHECK(rc != CCZ_OK && err.rc == rc && strncmp(err.where, "parquet:", 8) == 0);
            free(copy);
        }
        for (size_t i = 0; i < 3; i++)
            made_free(&m[i]);
    }
}

/* Every bit of the file, one at a time: refused, or read with no more harm than a wrong name or a wrong value of metadata. */
static void test_flips(void)
{
    for (unsigned v = 0; v < 2; v++) {
        struct made m[3];
        CCZ_AUTO_BUF out;
        small_file(&out, m, v & 1, v & 1 ? CCZ_PQ_SNAPPY : CCZ_PQ_NONE);
        size_t footer = out.size - 8 - (out.ptr[out.size - 8] | (size_t)out.ptr[out.size - 7] << 8);
        size_t crc = 0, quiet = 0;
        for (size_t i = 0; i < out.size * 8; i++) {
            bool same;
            struct ccz_err err = {0};
            out.ptr[i / 8] ^= (uint8_t)(1 << (i % 8));
            ccz_rc rc = read_all(ccz_buf_span(&out), m, &same, &err);
            out.ptr[i / 8] ^= (uint8_t)(1 << (i % 8));
            CHECK(rc == CCZ_OK || strncmp(err.where, "parquet:", 8) == 0);
            crc += strcmp(err.where, "parquet:page-crc") == 0;
            quiet += i / 8 < footer && rc == CCZ_OK && !same;
        }
        CHECK(crc > footer * 8 / 3); /* the bodies of all pages */
        CHECK(quiet == 0);           /* values differ only where the footer was changed */
        for (size_t i = 0; i < 3; i++)
            made_free(&m[i]);
    }
}

/* ------------------------------------------------------------------------- sources and sinks that fail */

struct failing {
    struct ccz_span file;
    size_t left;
};

static ccz_rc failing_read_at(void *out, void *arg, uint64_t offset, size_t size,
                              struct ccz_err *err)
{
    struct failing *f = arg;
    if (f->left-- == 0)
        return ccz_fail(err, CCZ_E_IO, "test:read", 0, "the disk is gone");
    CHECK(offset + size <= f->file.size);
    memcpy(out, f->file.ptr + offset, size);
    return CCZ_OK;
}

static ccz_rc failing_size(uint64_t *out, void *arg, struct ccz_err *err)
{
    struct failing *f = arg;
    if (f->left-- == 0)
        return ccz_fail(err, CCZ_E_IO, "test:read", 0, "the disk is gone");
    *out = f->file.size;
    return CCZ_OK;
}

static ccz_rc failing_write(void *arg, struct ccz_span in, struct ccz_err *err)
{
    struct failing *f = arg;
    (void)in;
    return f->left-- == 0 ? ccz_fail(err, CCZ_E_IO, "test:write", 0, "the disk is full") : CCZ_OK;
}

static void test_io(void)
{
    struct made m[3];
    CCZ_AUTO_BUF out;
    small_file(&out, m, false, CCZ_PQ_GZIP);
    struct failing f = {.file = ccz_buf_span(&out)};
    struct ccz_pq_source io = {.read_at = failing_read_at, .size = failing_size, .arg = &f};
    size_t k = 0;
    for (bool failed = true; failed; k++) {
        CCZ_AUTO(ccz_pq_reader) r = NULL;
        struct ccz_err err = {0};
        f.left = k;
        ccz_rc rc = ccz_pq_reader_open(&r, &io, NULL, &err);
        if (rc == CCZ_OK)
            rc = ccz_pq_verify(r, &err);
        failed = f.left == SIZE_MAX;
        CHECK(failed ? is_refused(rc, CCZ_E_IO, &err, "test:read") : rc == CCZ_OK);
    }
    CHECK(k > 9);
    struct ccz_pq_sink sink = {.write = failing_write, .arg = &f};
    struct ccz_pq_write_cfg cfg = {.columns = &m[0].c, .columns_len = 1, .row_group_rows = 10};
    k = 0;
    for (bool failed = true; failed; k++) {
        CCZ_AUTO(ccz_pq_writer) w = NULL;
        struct ccz_err err = {0};
        f.left = k;
        ccz_rc rc = ccz_pq_writer_new(&w, &sink, &cfg, &err);
        if (rc == CCZ_OK)
            rc = ccz_pq_writer_put(w, &m[0].d, &err);
        if (rc == CCZ_OK)
            rc = ccz_pq_writer_finish(w, &err);
        failed = f.left == SIZE_MAX;
        CHECK(failed ? is_refused(rc, CCZ_E_IO, &err, "test:write") : rc == CCZ_OK);
        if (failed && w)
            CHECK(is_refused(ccz_pq_writer_finish(w, &err), CCZ_E_ARG, &err, "parquet:writer"));
    }
    CHECK(k > 5);
    CCZ_AUTO_BUF tight;
    ccz_buf_init(&tight, 100);
    struct ccz_err err;
    CHECK(is_refused(write_made(&tight, m, 3, &cfg, 40, &err), CCZ_E_LIMIT, &err, "parquet:sink"));
    for (size_t i = 0; i < 3; i++)
        made_free(&m[i]);
}

/* -------------------------------------------------------------------------------- what a writer refuses */

static bool column_refused(struct ccz_pq_column c)
{
    struct ccz_pq_column two[2] = {{.name = "a", .type = CCZ_PQ_INT32}, c};
    struct ccz_pq_write_cfg cfg = {.columns = two, .columns_len = 2};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1000);
    struct ccz_pq_sink sink = ccz_pq_sink_buf(&out);
    CCZ_AUTO(ccz_pq_writer) w = NULL;
    struct ccz_err err;
    ccz_rc rc = ccz_pq_writer_new(&w, &sink, &cfg, &err);
    return is_refused(rc, CCZ_E_ARG, &err, "parquet:column") && !w && out.size == 0;
}

static void test_writer_columns(void)
{
    char longer[CCZ_PQ_NAME_SIZE_MAX + 2];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = 0;
    CHECK(column_refused((struct ccz_pq_column){.name = "a", .type = CCZ_PQ_INT32}));
    CHECK(column_refused((struct ccz_pq_column){.name = "", .type = CCZ_PQ_INT32}));
    CHECK(column_refused((struct ccz_pq_column){.type = CCZ_PQ_INT32}));
    CHECK(column_refused((struct ccz_pq_column){.name = "b.c", .type = CCZ_PQ_INT32}));
    CHECK(column_refused((struct ccz_pq_column){.name = "\xff", .type = CCZ_PQ_INT32}));
    CHECK(column_refused((struct ccz_pq_column){.name = longer, .type = CCZ_PQ_INT32}));
    CHECK(column_refused((struct ccz_pq_column){.name = "b", .type = CCZ_PQ_INT96}));
    CHECK(column_refused((struct ccz_pq_column){.name = "b", .type = CCZ_PQ_FIXED}));
    CHECK(
        column_refused((struct ccz_pq_column){.name = "b", .type = CCZ_PQ_INT32, .type_size = 4}));
    CHECK(column_refused((struct ccz_pq_column){.name = "b", .shape = CCZ_PQ_NESTED}));
    CHECK(column_refused(
        (struct ccz_pq_column){.name = "b", .meaning = CCZ_PQ_STRING, .type = CCZ_PQ_INT32}));
    CHECK(column_refused(
        (struct ccz_pq_column){.name = "b", .meaning = CCZ_PQ_DATE, .type = CCZ_PQ_INT64}));
    CHECK(column_refused(
        (struct ccz_pq_column){.name = "b", .meaning = CCZ_PQ_TIME_US, .type = CCZ_PQ_INT32}));
    CHECK(column_refused(
        (struct ccz_pq_column){.name = "b", .meaning = CCZ_PQ_UNSIGNED, .type = CCZ_PQ_FLOAT}));
    CHECK(column_refused(
        (struct ccz_pq_column){.name = "b", .meaning = CCZ_PQ_OTHER, .type = CCZ_PQ_INT32}));
    CHECK(column_refused(
        (struct ccz_pq_column){.name = "b", .encode = CCZ_PQ_ENCODE_DELTA, .type = CCZ_PQ_FLOAT}));
    CHECK(column_refused(
        (struct ccz_pq_column){.name = "b", .encode = CCZ_PQ_ENCODE_SPLIT, .type = CCZ_PQ_BYTES}));
    CHECK(column_refused(
        (struct ccz_pq_column){.name = "b", .encode = CCZ_PQ_ENCODE_RLE, .type = CCZ_PQ_INT32}));
    struct ccz_pq_sink sink = {0};
    struct ccz_pq_writer *w = NULL;
    struct ccz_err err;
    struct ccz_pq_column c = {.name = "a", .type = CCZ_PQ_INT32};
    struct ccz_pq_write_cfg cfg = {.columns = &c};
    CHECK(is_refused(ccz_pq_writer_new(&w, &sink, &cfg, &err), CCZ_E_ARG, &err, "parquet:columns"));
    cfg.columns_len = 1;
    cfg.codec = (enum ccz_pq_codec)3;
    CHECK(is_refused(ccz_pq_writer_new(&w, &sink, &cfg, &err), CCZ_E_ARG, &err, "parquet:level"));
    cfg.codec = CCZ_PQ_GZIP;
    cfg.level = 10;
    CHECK(is_refused(ccz_pq_writer_new(&w, &sink, &cfg, &err), CCZ_E_ARG, &err, "parquet:level"));
    cfg.level = 0;
    cfg.meta = &(struct ccz_pq_meta){"k", "\xff"};
    cfg.meta_len = 1;
    CHECK(is_refused(ccz_pq_writer_new(&w, &sink, &cfg, &err), CCZ_E_ARG, &err, "parquet:meta"));
}

static ccz_rc put_one(struct ccz_pq_column c, struct ccz_pq_data d, struct ccz_err *err)
{
    c.name = "a";
    struct ccz_pq_write_cfg cfg = {.columns = &c, .columns_len = 1};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 64 << 20);
    struct ccz_pq_sink sink = ccz_pq_sink_buf(&out);
    CCZ_AUTO(ccz_pq_writer) w = NULL;
    CHECK(ccz_pq_writer_new(&w, &sink, &cfg, NULL) == CCZ_OK);
    ccz_rc rc = ccz_pq_writer_put(w, &d, err);
    struct ccz_err after;
    CHECK(rc == CCZ_OK ||
          is_refused(ccz_pq_writer_finish(w, &after), CCZ_E_ARG, &after, "parquet:writer"));
    return rc;
}

/* A list that no page holds is refused before its elements are looked at. */
static void check_list_size(struct ccz_pq_column list)
{
    const uint32_t offset[2] = {0, (1U << 28) + 1}; /* of 4 bytes each */
    const int32_t none[1] = {0};
    struct ccz_pq_data d = {.rows = 1, .len = offset[1], .v.i32 = none, .offset = offset};
    struct ccz_err err;
    CHECK(is_refused(put_one(list, d, &err), CCZ_E_LIMIT, &err, "parquet:list-size"));
}

static void test_writer_values(void)
{
    struct ccz_err err;
    struct ccz_pq_column i = {.type = CCZ_PQ_INT32},
                         s = {.type = CCZ_PQ_BYTES, .meaning = CCZ_PQ_STRING};
    struct ccz_pq_column l = {.type = CCZ_PQ_INT32, .shape = CCZ_PQ_LIST},
                         x = {.type = CCZ_PQ_FIXED, .type_size = 3};
    int32_t v[4] = {1, 2, 3, 4};
    uint8_t null[4] = {1, 0, 1, 1}, bools[2] = {0, 2};
    struct ccz_pq_data d = {.rows = 4, .len = 4, .v.i32 = v, .present = null};
    CHECK(is_refused(put_one(i, d, &err), CCZ_E_ARG, &err, "parquet:null"));
    d.len = 3;
    CHECK(is_refused(put_one(i, d, &err), CCZ_E_ARG, &err, "parquet:offset"));
    d = (struct ccz_pq_data){.rows = 2, .len = 2, .v.b = bools};
    CHECK(is_refused(put_one((struct ccz_pq_column){.type = CCZ_PQ_BOOLEAN}, d, &err), CCZ_E_ARG,
                     &err, "parquet:boolean"));
    struct ccz_span text = ccz_span_str("a\xff"), fixed = ccz_span_str("four");
    d = (struct ccz_pq_data){.rows = 1, .len = 1, .v.bytes = &text};
    CHECK(is_refused(put_one(s, d, &err), CCZ_E_ARG, &err, "parquet:text"));
    s.meaning = CCZ_PQ_PLAIN;
    CHECK(put_one(s, d, &err) == CCZ_OK);
    d.v.bytes = &fixed;
    CHECK(is_refused(put_one(x, d, &err), CCZ_E_ARG, &err, "parquet:value-size"));
    uint8_t *much = calloc(1, CCZ_PQ_VALUE_SIZE_MAX + 1);
    CHECK(much);
    text = CCZ_SPAN(much, CCZ_PQ_VALUE_SIZE_MAX + 1);
    d.v.bytes = &text;
    CHECK(is_refused(put_one(s, d, &err), CCZ_E_LIMIT, &err, "parquet:value-size"));
    text.size--;
    CHECK(put_one(s, d, &err) == CCZ_OK);
    free(much);
    uint32_t offset[3] = {0, 3, 4}, down[3] = {0, 5, 4}, late[3] = {1, 3, 4};
    uint8_t no_list[2] = {1, 0};
    d = (struct ccz_pq_data){.rows = 2, .len = 4, .v.i32 = v, .offset = offset};
    CHECK(put_one(l, d, &err) == CCZ_OK);
    d.present = null;
    CHECK(is_refused(put_one(l, d, &err), CCZ_E_ARG, &err, "parquet:null"));
    d.present = NULL;
    d.has_list = no_list; /* not optional */
    CHECK(is_refused(put_one(l, d, &err), CCZ_E_ARG, &err, "parquet:null"));
    l.optional = true; /* a null list that has elements */
    CHECK(is_refused(put_one(l, d, &err), CCZ_E_ARG, &err, "parquet:null"));
    d.has_list = NULL;
    const uint32_t *bad[] = {down, late, NULL};
    for (size_t k = 0; k < 3; k++) {
        d.offset = bad[k];
        CHECK(is_refused(put_one(l, d, &err), CCZ_E_ARG, &err, "parquet:offset"));
    }
    check_list_size(l);
    struct made m[2] = {make_column((struct ccz_pq_column){.name = "a"}, 5, false, 1),
                        make_column((struct ccz_pq_column){.name = "b"}, 5, false, 1)};
    m[1].d.rows = m[1].d.len = 4; /* columns of different lengths */
    struct ccz_pq_column two[2] = {m[0].c, m[1].c};
    struct ccz_pq_data in[2] = {m[0].d, m[1].d};
    struct ccz_pq_write_cfg cfg = {.columns = two, .columns_len = 2};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1000);
    struct ccz_pq_sink sink = ccz_pq_sink_buf(&out);
    CCZ_AUTO(ccz_pq_writer) w = NULL;
    CHECK(ccz_pq_writer_new(&w, &sink, &cfg, NULL) == CCZ_OK);
    CHECK(is_refused(ccz_pq_writer_put(w, in, &err), CCZ_E_ARG, &err, "parquet:rows"));
    made_free(&m[0]);
    made_free(&m[1]);
}

static void test_scan_refused(void)
{
    struct made m[3];
    CCZ_AUTO_BUF out;
    small_file(&out, m, false, CCZ_PQ_NONE);
    struct ccz_span file = ccz_buf_span(&out);
    struct ccz_pq_source io = ccz_pq_source_mem(&file);
    CCZ_AUTO(ccz_pq_reader) r = NULL;
    CHECK(ccz_pq_reader_open(&r, &io, NULL, NULL) == CCZ_OK);
    struct ccz_pq_scan *s = NULL;
    struct ccz_err err;
    size_t column = 3;
    struct ccz_pq_scan_cfg cfg = {.columns = &column, .columns_len = 1};
    CHECK(is_refused(ccz_pq_scan_open(&s, r, &cfg, &err), CCZ_E_ARG, &err, "parquet:column"));
    cfg = (struct ccz_pq_scan_cfg){.row_group = 3};
    CHECK(is_refused(ccz_pq_scan_open(&s, r, &cfg, &err), CCZ_E_ARG, &err, "parquet:row-group"));
    cfg = (struct ccz_pq_scan_cfg){.row_group = 1, .row_groups_len = 2};
    CHECK(is_refused(ccz_pq_scan_open(&s, r, &cfg, &err), CCZ_E_ARG, &err, "parquet:row-group"));
    cfg = (struct ccz_pq_scan_cfg){.batch_rows = CCZ_PQ_BATCH_ROWS_MAX + 1};
    CHECK(is_refused(ccz_pq_scan_open(&s, r, &cfg, &err), CCZ_E_ARG, &err, "parquet:batch-rows"));
    CHECK(!s);
    for (size_t i = 0; i < 3; i++)
        made_free(&m[i]);
}

static const struct ccz_test tests[] = {
    {"parquet.cut", test_cut},
    {"parquet.flips", test_flips},
    {"parquet.io", test_io},
    {"parquet.writer_columns", test_writer_columns},
    {"parquet.writer_values", test_writer_values},
    {"parquet.scan_refused", test_scan_refused},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
