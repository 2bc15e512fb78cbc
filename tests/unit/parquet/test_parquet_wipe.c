/* SPDX-License-Identifier: Apache-2.0 */
/* What was decrypted, or was to be encrypted, is not in memory that is given back. */
#define _GNU_SOURCE /* memmem */
#include "parquet/format_priv.h"

#include "ccz_test.h"

#include <cczoo/parquet_crypt.h>

#include <malloc.h>

/* In every value: as text, and as the bytes of a number. */
static const char mark[] = "mArK4vaL";
enum { MARK = 8, ROWS = 3000, COLUMNS = 8 };

void __real_free(void *p);
void *__real_realloc(void *p, size_t size);
void __wrap_free(void *p);
void *__wrap_realloc(void *p, size_t size);

static size_t given_back; /* blocks with a mark */

static void look(const void *p)
{
    if (p && memmem(p, malloc_usable_size((void *)(uintptr_t)p), mark, MARK))
        given_back++;
}

void __wrap_free(void *p)
{
    look(p);
    __real_free(p);
}

/* It may move, and then the old place is given back as it is. */
void *__wrap_realloc(void *p, size_t size)
{
    look(p);
    return __real_realloc(p, size);
}

static const struct ccz_pq_column columns[COLUMNS] = {
    {.name = "text", .type = CCZ_PQ_BYTES, .meaning = CCZ_PQ_STRING},
    {.name = "lengths", .type = CCZ_PQ_BYTES, .encode = CCZ_PQ_ENCODE_DELTA, .optional = true},
    {.name = "fixed", .type = CCZ_PQ_FIXED, .type_size = MARK, .encode = CCZ_PQ_ENCODE_SPLIT},
    {.name = "user", .type = CCZ_PQ_INT64},
    {.name = "when", .type = CCZ_PQ_INT64, .encode = CCZ_PQ_ENCODE_DELTA, .optional = true},
    {.name = "rating", .type = CCZ_PQ_DOUBLE, .encode = CCZ_PQ_ENCODE_PLAIN},
    {.name = "features", .type = CCZ_PQ_DOUBLE, .shape = CCZ_PQ_LIST, .optional = true},
    {.name = "titles", .type = CCZ_PQ_BYTES, .shape = CCZ_PQ_LIST, .encode = CCZ_PQ_ENCODE_PLAIN},
};

static struct table {
    char text[ROWS][MARK + 4];
    struct ccz_span span[ROWS];
    struct ccz_span fixed[ROWS];
    int64_t number[ROWS];
    uint8_t present[ROWS];
    uint32_t offset[ROWS + 1];
} t;

static void fill(void)
{
    for (uint32_t i = 0; i < ROWS; i++) {
        memcpy(t.text[i], mark, MARK);
        t.text[i][MARK] = (char)('a' + i % 20);
        t.text[i][MARK + 1] = (char)('a' + i / 20 % 20);
        t.text[i][MARK + 2] = (char)('a' + i / 400);
        t.span[i] = CCZ_SPAN(t.text[i], MARK + (i % 3 ? 3 : 1));
        t.fixed[i] = CCZ_SPAN(t.text[i], MARK);
        memcpy(&t.number[i], mark, MARK);
        t.present[i] = i % 5 != 0;
        t.offset[i + 1] = i + 1;
    }
}

static ccz_rc write_table(struct ccz_buf *out, struct ccz_pq_write_cfg cfg)
{
    static const struct ccz_pq_meta pairs[] = {{"mArK4vaL key", "mArK4vaL value"}};
    struct ccz_pq_data d[COLUMNS];
    for (size_t i = 0; i < COLUMNS; i++) {
        d[i] = (struct ccz_pq_data){.rows = ROWS, .len = ROWS, .v.i64 = t.number};
        if (columns[i].type == CCZ_PQ_BYTES)
            d[i].v.bytes = t.span;
        if (columns[i].optional && columns[i].shape == CCZ_PQ_FLAT)
            d[i].present = t.present;
        if (columns[i].shape == CCZ_PQ_LIST)
            d[i].offset = t.offset;
    }
    d[2].v.bytes = t.fixed;
    cfg.columns = columns;
    cfg.columns_len = COLUMNS;
    cfg.meta = pairs;
    cfg.meta_len = 1;
    cfg.page_size = 5000;
    cfg.row_group_rows = 2000;
    struct ccz_pq_sink io = ccz_pq_sink_buf(out);
    CCZ_AUTO(ccz_pq_writer) w = NULL;
    ccz_rc rc = ccz_pq_writer_new(&w, &io, &cfg, NULL);
    if (rc == CCZ_OK)
        rc = ccz_pq_writer_put(w, d, NULL);
    return rc == CCZ_OK ? ccz_pq_writer_finish(w, NULL) : rc;
}

static ccz_rc read_table(struct ccz_span file, const struct ccz_pq_crypt *crypt)
{
    struct ccz_pq_source io = ccz_pq_source_mem(&file);
    struct ccz_pq_read_cfg cfg = {.crypt = crypt};
    struct ccz_pq_data d[COLUMNS];
    struct ccz_pq_chunk_info info;
    CCZ_AUTO(ccz_pq_reader) r = NULL;
    ccz_rc rc = ccz_pq_reader_open(&r, &io, &cfg, NULL);
    for (size_t i = 0; i < COLUMNS && rc == CCZ_OK; i++) {
        rc = ccz_pq_chunk_info(&info, r, 0, i, NULL);
        CHECK(i != 0 || info.has_min);
        ccz_buf_free(&info.bytes);
    }
    for (size_t rows = 100; rows <= 900 && rc == CCZ_OK; rows += 400) {
        CCZ_AUTO(ccz_pq_scan) s = NULL;
        struct ccz_pq_scan_cfg scan = {.batch_rows = rows};
        rc = ccz_pq_scan_open(&s, r, &scan, NULL);
        while (rc == CCZ_OK && (rc = ccz_pq_scan_next(d, s, NULL)) == CCZ_OK && d[0].rows > 0)
            CHECK(memcmp(d[0].v.bytes[0].ptr, mark, MARK) == 0);
    }
    return rc == CCZ_OK ? ccz_pq_verify(r, NULL) : rc;
}

static void test_wipe(void)
{
    static const enum ccz_pq_codec codecs[] = {CCZ_PQ_NONE, CCZ_PQ_SNAPPY, CCZ_PQ_GZIP,
                                               CCZ_PQ_ZSTD};
    static uint8_t bytes[32] = {1};
    CCZ_AUTO(ccz_secret) key = NULL;
    CHECK(ccz_secret_from(&key, bytes, sizeof(bytes)) == CCZ_OK);
    fill();
    for (unsigned i = 0; i < 32; i++) {
        /* In clear nothing is wiped, which is how it is known that marks are found; that comes last, because it leaves some. */
        bool wiped = i < 16;
        struct ccz_pq_encrypt_cfg w = {.footer = {.key = key}, .plain_footer = i & 8};
        struct ccz_pq_decrypt_cfg r = {.footer = {.key = key}};
        CCZ_AUTO(ccz_pq_crypt) write = NULL;
        CCZ_AUTO(ccz_pq_crypt) read = NULL;
        CHECK(ccz_pq_encrypt_new(&write, &w, NULL) == CCZ_OK);
        CHECK(ccz_pq_decrypt_new(&read, &r, NULL) == CCZ_OK);
        struct ccz_pq_write_cfg cfg = {.codec = codecs[i % 4],
                                       .pages_v2 = i & 4,
                                       .no_statistics = false,
                                       .crypt = wiped ? write : NULL};
        CCZ_AUTO_BUF file;
        ccz_buf_init(&file, 1 << 22);
        given_back = 0;
        CHECK(write_table(&file, cfg) == CCZ_OK);
        size_t written = given_back;
        CHECK(read_table(ccz_buf_span(&file), wiped ? read : NULL) == CCZ_OK);
        if (wiped && given_back)
            fprintf(stderr, "round %u: writing gave back %zu, reading %zu\n", i, written,
                    given_back - written);
        /* the pairs of a signed footer are in clear by intention */
        CHECK(wiped ? given_back == 0 : written && given_back > written);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"parquet.wipe", test_wipe}};
    return ccz_test_main(tests, 1, argc, argv);
}
