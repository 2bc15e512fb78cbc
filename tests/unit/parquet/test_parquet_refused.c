/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are made by hand, field by field, and refused by name; good ones of encodings that the writer does not write. */
#include "parquet/format_priv.h"
#include "parquet_test.h"

/* One page: its header's sizes and checksum are filled unless they are given. */
struct hand_page {
    struct cczi_pq_page_header h;
    struct ccz_span body; /* as stored */
    int32_t lie_size;     /* added to the size */
    bool bad_crc;
};
/* A file of one column and one row group. Zero is the good one. */
struct hand {
    int32_t type, type_size, repetition, converted; /* converted 0: none, else the number + 1 */
    int32_t codec;
    struct hand_page page[4];
    size_t pages;
    int64_t rows, values, rows_file; /* values, rows_file: 0 = rows */
    int64_t lie_offset, lie_chunk_size;
    const char *path, *file_path; /* NULL: "x", none */
    int32_t chunk_type;           /* 0 = type, else the number + 1 */
    struct ccz_span min, max;
    int64_t nulls;              /* 0: none, else the number + 1 */
    size_t groups, columns;     /* 0: 1 */
    bool signed_, crypto, list; /* list: x is LIST, optional, of required elements */
    size_t lie_groups;          /* row groups that the list claims */
    int64_t plain_size;         /* of the chunk; 0: what it is */
    struct ccz_span index;      /* ColumnIndex, behind the pages */
};

static int64_t put_pages(struct ccz_buf *out, const struct hand *f, int64_t *dict)
{
    int64_t plain = 0;
    for (size_t i = 0; i < f->pages; i++) {
        struct cczi_pq_page_header h = f->page[i].h;
        size_t before = out->size;
        if (h.size == 0)
            h.size = (int32_t)f->page[i].body.size;
        if (h.plain_size == 0)
            h.plain_size = h.size;
        h.size += f->page[i].lie_size;
        h.has_crc = true;
        h.crc = cczi_pq_crc(0, f->page[i].body) ^ f->page[i].bad_crc;
        if (h.type == CCZI_PQ_DICT)
            *dict = (int64_t)out->size;
        cczi_pq_page_header_put(out, &h);
        plain += (int64_t)(out->size - before) + (h.plain_size > 0 ? h.plain_size : 0);
        ccz_buf_put_span(out, f->page[i].body);
    }
    return plain;
}

static void put_element(struct cczi_tw *t, const struct hand *f)
{
    for (int i = 0; i < 2 && f->list; i++) {
        cczi_tw_open(t);
        cczi_tw_i32(t, 3, i == 0 ? 1 : 2);
        cczi_tw_binary(t, 4, ccz_span_str(i == 0 ? "x" : "list"));
        cczi_tw_i32(t, 5, 1);
        if (i == 0)
            cczi_tw_i32(t, 6, 3);
        cczi_tw_close(t);
    }
    cczi_tw_open(t);
    cczi_tw_i32(t, 1, f->type);
    if (f->type_size != 0)
        cczi_tw_i32(t, 2, f->type_size);
    cczi_tw_i32(t, 3, f->repetition);
    cczi_tw_binary(t, 4, ccz_span_str(f->list ? "element" : "x"));
    if (f->converted > 0)
        cczi_tw_i32(t, 6, f->converted - 1);
    cczi_tw_close(t);
}

static void put_chunk(struct cczi_tw *t, const struct hand *f, int64_t dict, int64_t size,
                      int64_t plain)
{
    int64_t at = 4 + f->lie_offset;
    cczi_tw_open(t);
    if (f->file_path)
        cczi_tw_binary(t, 1, ccz_span_str(f->file_path));
    cczi_tw_i64(t, 2, at);
    cczi_tw_struct(t, 3);
    cczi_tw_i32(t, 1, f->chunk_type > 0 ? f->chunk_type - 1 : f->type);
    cczi_tw_list(t, 2, CCZI_TH_I32, 1);
    cczi_tw_elem_i32(t, 0);
    cczi_tw_list(t, 3, CCZI_TH_BINARY, f->list ? 3 : 1);
    cczi_tw_elem_binary(t, ccz_span_str(f->path ? f->path : "x"));
    if (f->list) {
        cczi_tw_elem_binary(t, ccz_span_str("list"));
        cczi_tw_elem_binary(t, ccz_span_str("element"));
    }
    cczi_tw_i32(t, 4, f->codec);
    cczi_tw_i64(t, 5, f->values ? f->values : f->rows);
    cczi_tw_i64(t, 6, f->plain_size ? f->plain_size : plain);
    cczi_tw_i64(t, 7, size + f->lie_chunk_size);
    cczi_tw_i64(t, 9, dict > 0 ? at + 1 : at); /* anything behind the dictionary */
    if (dict > 0)
        cczi_tw_i64(t, 11, at);
    if (f->min.ptr || f->max.ptr || f->nulls) {
        cczi_tw_struct(t, 12);
        if (f->nulls)
            cczi_tw_i64(t, 3, f->nulls - 1);
        if (f->max.ptr)
            cczi_tw_binary(t, 5, f->max);
        if (f->min.ptr)
            cczi_tw_binary(t, 6, f->min);
        cczi_tw_close(t);
    }
    cczi_tw_close(t);
    if (f->index.size > 0) {
        cczi_tw_i64(t, 6, 4 + size);
        cczi_tw_i32(t, 7, (int32_t)f->index.size);
    }
    if (f->crypto) {
        cczi_tw_struct(t, 8);
        cczi_tw_struct(t, 1);
        cczi_tw_close(t);
        cczi_tw_close(t);
    }
    cczi_tw_close(t);
}

static void make_file(struct ccz_buf *out, const struct hand *f)
{
    int64_t dict = 0;
    ccz_buf_init(out, 1 << 24);
    ccz_buf_put_str(out, "PAR1");
    int64_t plain = put_pages(out, f, &dict), size = (int64_t)out->size - 4;
    ccz_buf_put_span(out, f->index);
    size_t footer = out->size, groups = f->groups ? f->groups : 1;
    struct cczi_tw t = {.out = out};
    cczi_tw_open(&t);
    cczi_tw_i32(&t, 1, 1);
    cczi_tw_list(&t, 2, CCZI_TH_STRUCT, f->list ? 4 : 2);
    cczi_tw_open(&t);
    cczi_tw_binary(&t, 4, ccz_span_str("schema"));
    cczi_tw_i32(&t, 5, 1);
    cczi_tw_close(&t);
    put_element(&t, f);
    cczi_tw_i64(&t, 3, f->rows_file ? f->rows_file : f->rows * (int64_t)groups);
    cczi_tw_list(&t, 4, CCZI_TH_STRUCT, f->lie_groups ? f->lie_groups : groups);
    for (size_t g = 0; g < groups; g++) {
        cczi_tw_open(&t);
        cczi_tw_list(&t, 1, CCZI_TH_STRUCT, f->columns ? f->columns : 1);
        for (size_t i = 0; i < (f->columns ? f->columns : 1); i++)
            put_chunk(&t, f, dict, size, plain);
        cczi_tw_i64(&t, 2, 0);
        cczi_tw_i64(&t, 3, f->rows);
        cczi_tw_close(&t);
    }
    if (f->lie_groups) { /* so that the list has room */
        static const uint8_t by[CCZ_PQ_ROW_GROUPS_MAX + 2];
        cczi_tw_binary(&t, 6, CCZ_SPAN(by, sizeof(by)));
    }
    if (f->signed_) {
        cczi_tw_struct(&t, 8);
        cczi_tw_struct(&t, 1);
        cczi_tw_binary(&t, 2, ccz_span_str("unique"));
        cczi_tw_close(&t);
        cczi_tw_close(&t);
    }
    cczi_tw_close(&t);
    if (f->signed_)
        memset(ccz_buf_extend(out, CCZI_PQ_SIGNATURE_SIZE), 7, CCZI_PQ_SIGNATURE_SIZE);
    ccz_buf_le32(out, (uint32_t)(out->size - footer));
    ccz_buf_put_str(out, "PAR1");
    CHECK(!out->bad);
}

/* Opens, reads and verifies; the first refusal. */
static ccz_rc use(const struct hand *f, const struct ccz_pq_read_cfg *cfg, struct ccz_err *err)
{
    CCZ_AUTO_BUF out;
    make_file(&out, f);
    struct ccz_span file = ccz_buf_span(&out);
    struct ccz_pq_source io = ccz_pq_source_mem(&file);
    CCZ_AUTO(ccz_pq_reader) r = NULL;
    CCZ_AUTO(ccz_pq_scan) s = NULL;
    struct ccz_pq_data d;
    *err = (struct ccz_err){0};
    ccz_rc rc = ccz_pq_reader_open(&r, &io, cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_pq_scan_open(&s, r, NULL, err);
    while (rc == CCZ_OK && (rc = ccz_pq_scan_next(&d, s, err)) == CCZ_OK && d.rows > 0)
        continue;
    if (rc != CCZ_OK && s) { /* it stays refused */
        struct ccz_err again = {0};
        CHECK(ccz_pq_scan_next(&d, s, &again) == rc && strcmp(again.where, err->where) == 0 &&
              d.rows == 0);
        CHECK(ccz_pq_verify(r, &again) == rc && strcmp(again.where, err->where) == 0);
    }
    return rc == CCZ_OK ? ccz_pq_verify(r, err) : rc;
}

static bool refuses(const struct hand *f, ccz_rc want, const char *where)
{
    struct ccz_err err;
    return is_refused(use(f, NULL, &err), want, &err, where);
}

#define PAGE_V1(n, enc)                                                                            \
    {                                                                                              \
        .type = CCZI_PQ_DATA_V1, .values = (n), .encoding = (enc)                                  \
    }
#define PAGE_DICT(n)                                                                               \
    {                                                                                              \
        .type = CCZI_PQ_DICT, .values = (n), .encoding = CCZI_PQ_PLAIN                             \
    }
#define BYTES(text) CCZ_SPAN(text, sizeof(text) - 1)

/* Three values 1, 2, 3 of INT32. */
static struct hand good(void)
{
    return (struct hand){
        .type = CCZ_PQ_INT32,
        .pages = 1,
        .rows = 3,
        .page = {{.h = PAGE_V1(3, CCZI_PQ_PLAIN), .body = BYTES("\1\0\0\0\2\0\0\0\3\0\0\0")}}};
}

static void test_metadata(void)
{
    struct hand f = good();
    struct ccz_err err;
    CHECK(use(&f, NULL, &err) == CCZ_OK);
    f.rows_file = 4;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:footer"));
    f = good(), f.values = 4;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:column-metadata"));
    f = good(), f.rows = -1;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:row-group"));
    f = good(), f.columns = 2;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:row-group"));
    f = good(), f.lie_offset = -1;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:column-metadata"));
    f = good(), f.lie_offset = 1000;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:column-metadata"));
    f = good(), f.lie_chunk_size = 1;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:column-metadata"));
    f = good(), f.lie_chunk_size = INT64_MAX / 2;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:column-metadata"));
    f = good(), f.path = "y";
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:column-metadata"));
    f = good(), f.chunk_type = CCZ_PQ_INT64 + 1;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:column-metadata"));
    f = good(), f.file_path = "other.parquet";
    CHECK(refuses(&f, CCZ_E_UNSUPPORTED, "parquet:chunk-file"));
    f = good(), f.type = 8;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:schema"));
    f = good(), f.repetition = 3;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:schema"));
    f = good(), f.type = CCZ_PQ_FIXED;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:schema"));
    f.type_size = CCZ_PQ_VALUE_SIZE_MAX + 1;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:schema"));
    f = good(), f.lie_groups = CCZ_PQ_ROW_GROUPS_MAX + 1;
    CHECK(refuses(&f, CCZ_E_LIMIT, "parquet:row-groups"));
    f.lie_groups--; /* as many may be; here they are not */
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:row-group"));
    f = good(), f.list = true, f.repetition = 2; /* a list of lists: it can be verified, not read */
    f.values = 3, f.page[0].body = BYTES("\2\0\0\0\6\0\2\0\0\0\6\3\1\0\0\0\2\0\0\0\3\0\0\0");
    CHECK(refuses(&f, CCZ_E_UNSUPPORTED, "parquet:nested"));
    f = good(), f.codec = 3; /* LZO */
    CHECK(refuses(&f, CCZ_E_UNSUPPORTED, "parquet:codec"));
    f = good(), f.signed_ = true;
    CHECK(refuses(&f, CCZ_E_UNSUPPORTED, "parquet:encrypted"));
    f = good(), f.crypto = true; /* a key, and a file that is not encrypted */
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:footer"));
    f = good();
    CHECK(is_refused(use(&f, &(struct ccz_pq_read_cfg){.rows_max = 2}, &err), CCZ_E_LIMIT, &err,
                     "parquet:rows"));
    CHECK(is_refused(use(&f, &(struct ccz_pq_read_cfg){.footer_size_max = 20}, &err), CCZ_E_LIMIT,
                     &err, "parquet:footer-size"));
    CHECK(is_refused(use(&f, &(struct ccz_pq_read_cfg){.page_size_max = 11}, &err), CCZ_E_LIMIT,
                     &err, "parquet:page-size"));
    CHECK(is_refused(use(&f, &(struct ccz_pq_read_cfg){.batch_size_max = 11}, &err), CCZ_E_LIMIT,
                     &err, "parquet:batch-size"));
}

static void test_ends(void)
{
    static const struct {
        const char *text;
        size_t size;
        const char *where;
    } cases[] = {
        {"", 0, "parquet:size"},
        {"PAR1PAR1", 8, "parquet:size"},
        {"PAR1\0\0\0\0PAR1", 12, "parquet:footer"},
        {"PAR2\0\0\0\0PAR1", 12, "parquet:magic"},
        {"PAR1\0\0\0\0PAR2", 12, "parquet:magic"},
        {"PARE\0\0\0\0PAR1", 12, "parquet:magic"},
        {"PAR1\1\0\0\0PAR1", 12, "parquet:footer"},
        {"PAR1\xff\xff\xff\xffPAR1", 12, "parquet:footer"},
        {"PARE\0\0\0\0PARE", 12, "parquet:footer"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct ccz_span file = CCZ_SPAN(cases[i].text, cases[i].size);
        struct ccz_pq_source io = ccz_pq_source_mem(&file);
        struct ccz_pq_reader *r = NULL;
        struct ccz_err err;
        CHECK(is_refused(ccz_pq_reader_open(&r, &io, NULL, &err), CCZ_E_FORMAT, &err,
                         cases[i].where));
        CHECK(!r);
    }
}

/* What the footer says of the chunk alone. */
static ccz_rc info_of(const struct hand *f, struct ccz_err *err)
{
    CCZ_AUTO_BUF out;
    make_file(&out, f);
    struct ccz_span file = ccz_buf_span(&out);
    struct ccz_pq_source io = ccz_pq_source_mem(&file);
    CCZ_AUTO(ccz_pq_reader) r = NULL;
    struct ccz_pq_chunk_info info;
    CHECK(ccz_pq_reader_open(&r, &io, NULL, NULL) == CCZ_OK);
    ccz_rc rc = ccz_pq_chunk_info(&info, r, 0, 0, err);
    CHECK(rc == CCZ_OK || (!info.has_min && !info.has_max && !info.has_nulls && !info.bytes.ptr));
    ccz_buf_free(&info.bytes);
    return rc;
}

static void test_statistics(void)
{
    struct hand f = good();
    f.min = BYTES("\1\0\0\0");
    f.max = BYTES("\3\0\0\0");
    f.nulls = 1;
    struct ccz_err err;
    CHECK(use(&f, NULL, &err) == CCZ_OK);
    f.min = BYTES("\2\0\0\0");
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:statistics"));
    CHECK(info_of(&f, &err) == CCZ_OK);
    f.min = BYTES("\4\0\0\0");
    CHECK(is_refused(info_of(&f, &err), CCZ_E_FORMAT, &err, "parquet:statistics"));
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:statistics"));
    f.min = BYTES("\1\0\0");
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:statistics"));
    f.min = (struct ccz_span){0};
    f.max = BYTES("\2\0\0\0");
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:statistics"));
    f.max = (struct ccz_span){0};
    f.nulls = 5;
    CHECK(is_refused(info_of(&f, &err), CCZ_E_FORMAT, &err, "parquet:statistics"));
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:statistics"));
    f.nulls = 2; /* fewer than values, and not so many */
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:statistics"));
    f.nulls = -5;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:statistics"));
}

/* Little that says much, or that is read for nothing: bytes behind the values, pages of more bytes than the chunk has. */
static void test_padding(void)
{
    static const uint8_t pad[40];
    uint8_t body[80];
    static const struct {
        int32_t type, encoding, repetition;
        const char *body;
        size_t size, behind_levels; /* where padding goes, from the end; its length in byte 0 */
        const char *where;
    } rows[] = {
        {CCZ_PQ_INT32, CCZI_PQ_RLE_DICTIONARY, 0, "\2\3\x24\0", 4, 0, "parquet:values"},
        {CCZ_PQ_INT32, CCZI_PQ_RLE_DICTIONARY, 0, "\2\6\0", 3, 0, "parquet:values"},
        {CCZ_PQ_INT32, CCZI_PQ_DELTA_BINARY_PACKED, 0, "\x80\1\4\3\2\2\0\0\0\0", 10, 0,
         "parquet:values"},
        {CCZ_PQ_BOOLEAN, CCZI_PQ_RLE, 0, "\2\0\0\0\6\1", 6, 0, "parquet:values"},
        {CCZ_PQ_INT32, CCZI_PQ_PLAIN, 1, "\2\0\0\0\6\1\1\0\0\0\2\0\0\0\3\0\0\0", 18, 12,
         "parquet:levels"},
    };
    struct ccz_err err;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t more = 0; more <= 9; more++) {
            struct hand f = good();
            bool dict = rows[i].encoding == CCZI_PQ_RLE_DICTIONARY;
            struct hand_page *p = &f.page[dict];
            size_t tail = rows[i].behind_levels, head = rows[i].size - tail;
            memcpy(body, rows[i].body, head);
            memcpy(body + head, pad, more);
            memcpy(body + head + more, rows[i].body + head, tail);
            body[0] = (uint8_t)(body[0] + (tail ? more : 0));
            f.type = rows[i].type, f.repetition = rows[i].repetition, f.pages = 1 + dict;
            p->h = (struct cczi_pq_page_header)PAGE_V1(3, rows[i].encoding);
            p->body = CCZ_SPAN(body, rows[i].size + more);
            if (dict)
                f.page[0].h = (struct cczi_pq_page_header)PAGE_DICT(3);
            CHECK(more <= 8 ? use(&f, NULL, &err) == CCZ_OK
                            : refuses(&f, CCZ_E_FORMAT, rows[i].where));
        }
    }
    /* groups of a packed run that no value is in: 5 of 2 bytes, of which one is needed */
    struct hand f = good();
    f.pages = 2;
    f.page[0].h = (struct cczi_pq_page_header)PAGE_DICT(3);
    f.page[1].h = (struct cczi_pq_page_header)PAGE_V1(3, CCZI_PQ_RLE_DICTIONARY);
    f.page[1].body = BYTES("\2\x0b\x24\0\0\0\0\0\0\0\0\0");
    CHECK(use(&f, NULL, &err) == CCZ_OK);
    f.page[1].body = BYTES("\2\x0d\x24\0\0\0\0\0\0\0\0\0\0\0");
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:values"));
    f = good(), f.plain_size = 12; /* headers may be left out of the sum */
    CHECK(use(&f, NULL, &err) == CCZ_OK);
    f.plain_size = 11;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:data-page-header"));
    f = good(), f.page[1] = f.page[0], f.pages = 2, f.rows = 6, f.plain_size = 24;
    CHECK(use(&f, NULL, &err) == CCZ_OK);
    f.plain_size = 23; /* the second page is too much */
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:data-page-header"));
}

/* A chunk without pages has an index without pages. */
static void test_index(void)
{
    struct hand f = {.type = CCZ_PQ_INT32};
    struct ccz_err err;
    f.index = BYTES("\x19\x01\x19\x08\x19\x08\x15\0\0");
    CHECK(use(&f, NULL, &err) == CCZ_OK);
    f.index = BYTES("\x19\x11\1\x19\x08\x19\x08\x15\0\0"); /* a page that is not there */
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:column-index"));
    f.index = BYTES("\x19\x01\x19\x18\1x\x19\x08\x15\0\0"); /* its min */
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:column-index"));
    f.index = BYTES("\x19\x01\x19\x08\x19\x18\1x\x15\0\0"); /* its max */
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:column-index"));
}

static void test_pages(void)
{
    struct hand f = good();
    f.page[0].bad_crc = true;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:page-crc"));
    f = good(), f.page[0].lie_size = 1;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:data-page-header"));
    f = good(), f.page[0].h.plain_size = 13;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:codec"));
    f = good(), f.page[0].h.values = 2; /* fewer than the chunk has, and bytes are left */
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:values"));
    f = good(), f.rows = 2;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:data-page-header"));
    f = good(), f.page[0].h.values = 4, f.rows = 4;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:values"));
    f = good(), f.rows = 4;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:data-page-header")); /* the chunk ends */
    f = good(), f.page[0].h.type = CCZI_PQ_DICT;
    CHECK(
        refuses(&f, CCZ_E_FORMAT, "parquet:data-page-header")); /* nothing behind the dictionary */
    f = good(), f.page[0].h.encoding = CCZI_PQ_RLE;
    CHECK(refuses(&f, CCZ_E_UNSUPPORTED, "parquet:encoding"));
    f = good(), f.page[0].h.encoding = 77;
    CHECK(refuses(&f, CCZ_E_UNSUPPORTED, "parquet:encoding"));
    f = good(), f.page[0].h.encoding = CCZI_PQ_RLE_DICTIONARY;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:values"));
    f = good(), f.page[1] = f.page[0], f.pages = 2, f.rows = 6,
    f.page[1].h = (struct cczi_pq_page_header)PAGE_DICT(3);
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:data-page-header")); /* a dictionary behind a page */
    f = good(), f.page[0].h = (struct cczi_pq_page_header){
                    .type = CCZI_PQ_DATA_V2, .values = 3, .rows = 3, .def_size = 13};
    f.repetition = 1;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:data-page"));
    f.repetition = 0, f.page[0].h.def_size = 1;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:data-page"));
    f.page[0].h.def_size = 0;
    struct ccz_err err;
    CHECK(use(&f, NULL, &err) == CCZ_OK);
    f.page[0].h.nulls = 1;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:levels"));
    f.page[0].h.nulls = 0, f.page[0].h.rows = 2;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:levels"));
}

static void test_levels(void)
{
    struct hand f = {.type = CCZ_PQ_INT32, .repetition = 1, .pages = 1, .rows = 3};
    f.page[0] = (struct hand_page){.h = PAGE_V1(3, CCZI_PQ_PLAIN),
                                   .body = BYTES("\2\0\0\0\6\1\1\0\0\0\2\0\0\0\3\0\0\0")};
    struct ccz_err err;
    CHECK(use(&f, NULL, &err) == CCZ_OK);
    f.page[0].body = BYTES("\2\0\0\0\4\1\1\0\0\0\2\0\0\0\3\0\0\0"); /* a run of 2 */
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:levels"));
    f.page[0].body = BYTES("\2\0\0\0\6\2\1\0\0\0\2\0\0\0\3\0\0\0"); /* level 2 */
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:levels"));
    f.page[0].body = BYTES("\xff\0\0\0\6\1\1\0\0\0\2\0\0\0\3\0\0\0");
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:data-page"));
    f.page[0].body = BYTES("\2\0\0\0\6\0\1\0\0\0"); /* nulls, and a value */
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:values"));
    /* a repeated leaf: [1 2] [3] */
    f = (struct hand){.type = CCZ_PQ_INT32, .repetition = 2, .pages = 1, .rows = 2, .values = 3};
    f.page[0] =
        (struct hand_page){.h = PAGE_V1(3, CCZI_PQ_PLAIN),
                           .body = BYTES("\2\0\0\0\3\2\2\0\0\0\6\1\1\0\0\0\2\0\0\0\3\0\0\0")};
    CHECK(use(&f, NULL, &err) == CCZ_OK);
    f.page[0].body =
        BYTES("\2\0\0\0\3\3\2\0\0\0\6\1\1\0\0\0\2\0\0\0\3\0\0\0"); /* begins inside a list */
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:levels"));
    f.page[0].body = BYTES("\2\0\0\0\3\6\2\0\0\0\6\1\1\0\0\0\2\0\0\0\3\0\0\0"); /* one row */
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:rows"));
    f.page[0].body = BYTES("\2\0\0\0\3\0\2\0\0\0\6\1\1\0\0\0\2\0\0\0\3\0\0\0"); /* three rows */
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:rows"));
    f.page[0].body =
        BYTES("\2\0\0\0\3\2\2\0\0\0\3\6\1\0\0\0\2\0\0\0"); /* an element behind an empty list */
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:levels"));
    f.page[0].h.def_encoding = f.page[0].h.rep_encoding =
        0; /* what the header says is RLE, see cczi_pq_page_header_put() */
    f.rows = 1, f.page[0].body = BYTES("\2\0\0\0\3\6\2\0\0\0\6\1\1\0\0\0\2\0\0\0\3\0\0\0");
    CHECK(use(&f, NULL, &err) == CCZ_OK);
    /* LIST, optional, of required elements: levels up to 2 in two bits */
    f = (struct hand){.type = CCZ_PQ_INT32, .list = true, .pages = 1, .rows = 2, .values = 3};
    f.page[0] =
        (struct hand_page){.h = PAGE_V1(3, CCZI_PQ_PLAIN),
                           .body = BYTES("\2\0\0\0\3\2\2\0\0\0\6\2\1\0\0\0\2\0\0\0\3\0\0\0")};
    CHECK(use(&f, NULL, &err) == CCZ_OK);
    f.page[0].body = BYTES("\2\0\0\0\3\2\2\0\0\0\6\3\1\0\0\0\2\0\0\0\3\0\0\0");
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:levels"));
}

/* A page of few bytes that unpacks to many, or says so. */
static void test_bombs(void)
{
    enum { MUCH = 100 << 20 };
    uint8_t *zeros = calloc(1, MUCH);
    CHECK(zeros);
    for (int codec = CCZ_PQ_NONE; codec <= CCZ_PQ_ZSTD; codec++) {
        if (!cczi_pq_codec_known(codec))
            continue;
        CCZ_AUTO_BUF packed;
        ccz_buf_init(&packed, 2 * (size_t)MUCH);
        size_t size = codec == CCZ_PQ_NONE ? 1000 : MUCH / 16;
        CHECK(cczi_pq_pack(&packed, (enum ccz_pq_codec)codec, 0, CCZ_SPAN(zeros, size)) == CCZ_OK);
        struct hand f = good();
        f.codec = codec;
        f.page[0].body = ccz_buf_span(&packed);
        f.page[0].h.plain_size = 12; /* what it unpacks to does not fit what it says */
        CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:codec"));
        f.page[0].h.plain_size = (int32_t)size + 1;
        CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:codec"));
        f.page[0].h.plain_size = INT32_MAX;
        CHECK(refuses(&f, CCZ_E_LIMIT, "parquet:page-size"));
        f.page[0].h.plain_size = -1;
        CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:data-page-header"));
        for (size_t cut = 0; cut < packed.size && cut < 50;
             cut++) { /* and what does not unpack at all */
            f.page[0].body = CCZ_SPAN(packed.ptr, cut);
            f.page[0].h.plain_size = (int32_t)size;
            if (cut > 0)
                CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:codec"));
        }
    }
    free(zeros);
    /* a run of 2^27 indexes in 5 bytes is read in batches; one more is refused */
    struct hand f = good();
    f.pages = 2;
    f.page[1].h = (struct cczi_pq_page_header)PAGE_V1(1 << 20, CCZI_PQ_PLAIN_DICTIONARY);
    f.page[1].body = BYTES("\0\x80\x80\x80\1"); /* 2^20 times index 0, of no bits */
    f.page[0].h = (struct cczi_pq_page_header)PAGE_DICT(3);
    f.rows = 1 << 20;
    struct ccz_err err;
    CHECK(use(&f, NULL, &err) == CCZ_OK);
    f.rows = f.page[1].h.values = CCZ_PQ_PAGE_VALUES_MAX + 1;
    CHECK(refuses(&f, CCZ_E_LIMIT, "parquet:page-values"));
    /* a list of 2^26 elements in one row: more than a batch may hold */
    f = (struct hand){
        .type = CCZ_PQ_INT64, .repetition = 2, .pages = 2, .rows = 1, .values = 1 << 26};
    f.page[0] = (struct hand_page){.h = PAGE_DICT(1), .body = BYTES("\1\0\0\0\0\0\0\0")};
    f.page[1] = (struct hand_page){
        .h = PAGE_V1(1 << 26, CCZI_PQ_RLE_DICTIONARY),
        .body =
            BYTES("\7\0\0\0\2\0\xfe\xff\xff\x3f\1\5\0\0\0\x80\x80\x80\x40\1\0\x80\x80\x80\x40")};
    CHECK(is_refused(use(&f, &(struct ccz_pq_read_cfg){.batch_size_max = 1 << 20}, &err),
                     CCZ_E_LIMIT, &err, "parquet:batch-size"));
    /* strings that a dictionary repeats: 6.5 MB of text in 4 bytes of indexes */
    static char entry[104] = "\x64\0\0";
    memset(entry + 4, 'x', 100);
    f = (struct hand){.type = CCZ_PQ_BYTES, .pages = 2, .rows = 1 << 16};
    f.page[0] = (struct hand_page){.h = PAGE_DICT(1), .body = CCZ_SPAN(entry, sizeof(entry))};
    f.page[1] = (struct hand_page){.h = PAGE_V1(1 << 16, CCZI_PQ_RLE_DICTIONARY),
                                   .body = BYTES("\0\x80\x80\x08")};
    CHECK(use(&f, NULL, &err) == CCZ_OK);
    CHECK(is_refused(use(&f, &(struct ccz_pq_read_cfg){.batch_size_max = 2 << 20}, &err),
                     CCZ_E_LIMIT, &err, "parquet:batch-size"));
    static uint8_t fixed[100000]; /* 1000 of 100 bytes, in BYTE_STREAM_SPLIT */
    f = (struct hand){.type = CCZ_PQ_FIXED, .type_size = 100, .pages = 1, .rows = 1000};
    f.page[0] = (struct hand_page){.h = PAGE_V1(1000, CCZI_PQ_STREAM_SPLIT),
                                   .body = CCZ_SPAN(fixed, sizeof(fixed))};
    CHECK(use(&f, NULL, &err) == CCZ_OK);
    CHECK(is_refused(use(&f, &(struct ccz_pq_read_cfg){.batch_size_max = 99999}, &err), CCZ_E_LIMIT,
                     &err, "parquet:batch-size"));
}

static void test_values(void)
{
    struct ccz_err err;
    struct hand f = {.type = CCZ_PQ_BYTES, .pages = 1, .rows = 2, .converted = 1};
    f.page[0] = (struct hand_page){.h = PAGE_V1(2, CCZI_PQ_PLAIN),
                                   .body = BYTES("\1\0\0\0a\2\0\0\0\xc3\xa4")};
    CHECK(use(&f, NULL, &err) == CCZ_OK);
    f.page[0].body = BYTES("\1\0\0\0a\2\0\0\0\xc3(");
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:text"));
    f.converted = 0; /* bytes may be anything */
    CHECK(use(&f, NULL, &err) == CCZ_OK);
    f.page[0].body = BYTES("\1\0\0\0a\xff\xff\xff\xff\xc3(");
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:values"));
    f.page[0].body = BYTES("\1\0\0\0a\2\0\0\0bb!");
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:values"));
    /* DELTA_BYTE_ARRAY: "abc", "abd"; prefixes 0 2, suffixes 3 1 */
    f.page[0].h.encoding = CCZI_PQ_DELTA_BYTES;
    f.page[0].body = BYTES("\x80\1\4\2\0\4\0\0\0\0"
                           "\x80\1\4\2\6\3\0\0\0\0"
                           "abcd");
    CHECK(use(&f, NULL, &err) == CCZ_OK);
    f.page[0].body = BYTES("\x80\1\4\2\0\x0a\0\0\0\0"
                           "\x80\1\4\2\6\3\0\0\0\0"
                           "abcd"); /* a prefix of 5 of 3 */
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:values"));
    f.page[0].body = BYTES("\x80\1\4\2\0\1\0\0\0\0"
                           "\x80\1\4\2\6\3\0\0\0\0"
                           "abcd"); /* of -1 */
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:values"));
    f.page[0].body = BYTES("\x80\1\4\2\0\4\0\0\0\0"
                           "\x80\1\4\2\6\3\0\0\0\0"
                           "abc");
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:values"));
    f.page[0].h.encoding = CCZI_PQ_DELTA_LENGTH; /* more lengths than values */
    f.page[0].body = BYTES("\x80\1\4\3\6\0\0\0\0\0"
                           "abcdefghi");
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:values"));
    /* DELTA_BINARY_PACKED with a block of 0, of 96, with 0 miniblocks, of 65 bits, cut off */
    static const struct {
        const char *text;
        size_t size;
    } bad[] = {{"\0\4\3\2\0", 5},
               {"\x60\4\3\2\0", 5},
               {"\x80\1\0\3\2\0", 6},
               {"\x80\1\4\3\2\2\x41\0\0\0", 10},
               {"\x80\1\4\3\2\2\1\0\0\0", 10},
               {"\x80\1\4\2\2\2\0\0\0\0", 10},
               {"\x80", 1}};
    f = good();
    f.page[0].h.encoding = CCZI_PQ_DELTA_BINARY_PACKED;
    f.page[0].body = BYTES("\x80\1\4\3\2\2\0\0\0\0");
    CHECK(use(&f, NULL, &err) == CCZ_OK);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        f.page[0].body = CCZ_SPAN(bad[i].text, bad[i].size);
        CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:values"));
    }
    f.page[0].h.encoding = CCZI_PQ_STREAM_SPLIT;
    f.page[0].body = BYTES("12345678901");
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:values"));
    /* a dictionary of three, and indexes 0 1 3 */
    f = good();
    f.pages = 2;
    f.page[1] =
        (struct hand_page){.h = PAGE_V1(3, CCZI_PQ_RLE_DICTIONARY), .body = BYTES("\2\3\x34\0")};
    f.page[0].h = (struct cczi_pq_page_header)PAGE_DICT(3);
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:values"));
    f.page[1].body = BYTES("\2\3\x24\0"); /* 0 1 2 */
    CHECK(use(&f, NULL, &err) == CCZ_OK);
    f.page[1].body = BYTES("\x21\3\x24\0");
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:values"));
    f.page[1].body = BYTES("\2\3\x24\0");
    f.page[0].h.values = 4;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:dictionary-page"));
    f.page[0].h.values = 2;
    CHECK(refuses(&f, CCZ_E_FORMAT, "parquet:dictionary-page"));
    f.page[0].h.values = 3, f.page[0].h.encoding = CCZI_PQ_RLE;
    CHECK(refuses(&f, CCZ_E_UNSUPPORTED, "parquet:dictionary-page"));
}

static const struct ccz_test tests[] = {
    {"parquet.refused_metadata", test_metadata},     {"parquet.refused_ends", test_ends},
    {"parquet.refused_statistics", test_statistics}, {"parquet.refused_pages", test_pages},
    {"parquet.refused_levels", test_levels},         {"parquet.refused_bombs", test_bombs},
    {"parquet.refused_values", test_values},         {"parquet.refused_padding", test_padding},
    {"parquet.refused_index", test_index},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
