/* SPDX-License-Identifier: Apache-2.0 */
/* Dictionaries and titles as bytes: what is accepted is what would be written. */
#include <cczoo/recsys_data.h>

#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ccz_span in = {data, size};
    CCZ_AUTO(ccz_recsys_ids) ids = NULL;
    CCZ_AUTO(ccz_recsys_titles) titles = NULL;
    CCZ_AUTO_BUF b;
    struct ccz_err err = {0};
    ccz_buf_init(&b, size + 64);
    if (ccz_recsys_ids_parse(&ids, in, &err) == CCZ_OK) {
        ccz_recsys_ids_put(&b, ids);
        require(ccz_span_eq(ccz_buf_span(&b), in));
        for (uint32_t n = 0; n < ccz_recsys_ids_len(ids); n++)
            require(ccz_recsys_ids_find(ids, ccz_recsys_ids_get(ids, n)) == n);
    }
    if (ccz_recsys_titles_parse(&titles, in, &err) == CCZ_OK) {
        ccz_buf_clear(&b);
        ccz_recsys_titles_put(&b, titles);
        require(ccz_span_eq(ccz_buf_span(&b), in));
    }
    return 0;
}
