/* SPDX-License-Identifier: Apache-2.0 */
/* One whole use with the k-th allocation failing, for every k: nothing leaks (with sanitizers), nothing wrong comes out. */
#define _DEFAULT_SOURCE
#include "nomem.h"
#include "parquet_test.h"

static void test_nomem(void)
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
    struct made m[3];
    for (size_t i = 0; i < 3; i++)
        m[i] = make_column(c[i], 60, i == 1, i + 1);
    struct ccz_pq_meta meta = {"k", "v"};
    size_t ends = 0;
    for (int codec = CCZ_PQ_NONE; codec <= CCZ_PQ_ZSTD;
         codec = codec == CCZ_PQ_GZIP ? CCZ_PQ_ZSTD : codec + 1) {
        bool failed = true;
        for (long k = 0; failed; k++) {
            struct ccz_pq_write_cfg cfg = {.codec = (enum ccz_pq_codec)codec,
                                           .row_group_rows = 40,
                                           .page_size = 100,
                                           .meta = &meta,
                                           .meta_len = 1};
            CCZ_AUTO_BUF out;
            ccz_buf_init(&out, 1 << 20);
            struct ccz_err err = {0};
            nomem_left = k;
            ccz_rc rc = write_made(&out, m, 3, &cfg, 60, &err);
            struct ccz_span file = ccz_buf_span(&out);
            struct ccz_pq_source io = ccz_pq_source_mem(&file);
            CCZ_AUTO(ccz_pq_reader) r = NULL;
            CCZ_AUTO(ccz_pq_scan) s = NULL;
            struct ccz_pq_data d[3];
            if (rc == CCZ_OK)
                rc = ccz_pq_reader_open(&r, &io, NULL, &err);
            if (rc == CCZ_OK)
                rc = ccz_pq_verify(r, &err);
            if (rc == CCZ_OK)
                rc = ccz_pq_scan_open(&s, r, NULL, &err);
            size_t at = 0;
            while (rc == CCZ_OK && (rc = ccz_pq_scan_next(d, s, &err)) == CCZ_OK && d[0].rows > 0) {
                for (size_t i = 0; i < 3; i++)
                    CHECK(same_rows(&m[i], &d[i], at));
                at += d[0].rows;
            }
            failed = nomem_left < 0;
            nomem_left = -1;
            if (rc != CCZ_OK && rc != CCZ_E_NOMEM)
                fprintf(stderr, "%ld: %s %s\n", k, err.where, err.msg);
            CHECK(rc == CCZ_OK || rc == CCZ_E_NOMEM);
            CHECK(failed || at == 60);
            ends = (size_t)k;
        }
        CHECK(ends > 50);
    }
    for (size_t i = 0; i < 3; i++)
        made_free(&m[i]);
}

static const struct ccz_test tests[] = {{"parquet.nomem", test_nomem}};

int main(int argc, char **argv)
{
    (void)nomem_openssl;
    return ccz_test_main(tests, 1, argc, argv);
}
