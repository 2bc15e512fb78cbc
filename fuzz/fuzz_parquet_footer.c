/* SPDX-License-Identifier: Apache-2.0 */
/* A footer alone, between magic and length that fit: it is refused by name, or everything that it says can be asked for. A page header that
 * is accepted, written again, is read the same. */
#include "parquet/format_priv.h"

#include <stdlib.h>

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static void page_header(struct ccz_span in)
{
    struct cczi_pq_page_header a, b;
    struct ccz_rd r = ccz_rd_from(in);
    if (!cczi_pq_page_header_read(&a, &r))
        return;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    cczi_pq_page_header_put(&out, &a);
    r = ccz_rd_from(ccz_buf_span(&out));
    expect(cczi_pq_page_header_read(&b, &r) && ccz_rd_done(&r));
    expect(a.type == b.type && a.plain_size == b.plain_size && a.size == b.size &&
           a.values == b.values);
    expect(a.encoding == b.encoding && a.has_crc == b.has_crc && a.crc == b.crc &&
           a.nulls == b.nulls);
    expect(a.rows == b.rows && a.def_size == b.def_size && a.rep_size == b.rep_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { ROOM = 4096 };
    page_header(CCZ_SPAN(data, size));
    struct ccz_rd whole = ccz_rd_from(CCZ_SPAN(data, size));
    struct ccz_span first = cczi_th_struct_bytes(&whole);
    expect(first.size <= size);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 24);
    ccz_buf_put_str(&b, "PAR1");
    uint8_t *room = ccz_buf_extend(&b, ROOM);
    expect(room);
    memset(room, 0, ROOM);
    ccz_buf_put(&b, data, size);
    ccz_buf_le32(&b, (uint32_t)size);
    ccz_buf_put_str(&b, "PAR1");
    if (b.bad)
        return 0;
    struct ccz_span file = ccz_buf_span(&b);
    struct ccz_pq_source io = ccz_pq_source_mem(&file);
    CCZ_AUTO(ccz_pq_reader) r = NULL;
    struct ccz_err err = {0};
    struct ccz_pq_read_cfg cfg = {.page_size_max = 1 << 16, .rows_max = 5000};
    if (ccz_pq_reader_open(&r, &io, &cfg, &err) != CCZ_OK) {
        expect(!r && err.where[0] != 0);
        return 0;
    }
    uint64_t rows = 0;
    for (size_t g = 0; g < ccz_pq_row_groups(r); g++) {
        rows += ccz_pq_row_group_rows(r, g);
        for (size_t i = 0; i < ccz_pq_columns(r) && i < 50; i++) {
            struct ccz_pq_chunk_info info;
            if (ccz_pq_chunk_info(&info, r, g, i, &err) == CCZ_OK) {
                expect(info.nulls <= info.values && info.size <= ROOM);
                ccz_buf_free(&info.bytes);
            }
        }
    }
    expect(rows == ccz_pq_rows(r));
    size_t column;
    for (size_t i = 0; i < ccz_pq_columns(r); i++)
        expect(ccz_pq_find(&column, r, ccz_pq_column(r, i)->path, NULL) != CCZ_E_NOT_FOUND);
    return 0;
}
