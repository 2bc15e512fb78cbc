/* SPDX-License-Identifier: Apache-2.0 */
/* Orders. Invariants: what is accepted may be written, and is then written and read as the same. */
#include <cczoo/recsys_order.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(struct ccz_buf *out, const struct ccz_recsys_order *o)
{
    ccz_buf_init(out, 1 << 20);
    ccz_recsys_order_put(out, o);
    if (out->bad)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_recsys_order o, again;
    struct ccz_buf first, second;
    if (ccz_recsys_order_parse(&o, CCZ_SPAN(data, size), NULL) != CCZ_OK)
        return 0;
    put(&first, &o);
    if (first.size >
        CCZ_RECSYS_ORDER_SIZE_MAX) { /* escapes take more room than what they stand for */
        ccz_buf_free(&first);
        return 0;
    }
    if (ccz_recsys_order_check(&o, NULL) != CCZ_OK ||
        ccz_recsys_order_parse(&again, ccz_buf_span(&first), NULL) != CCZ_OK)
        abort();
    put(&second, &again);
    if (!ccz_span_eq(ccz_buf_span(&first), ccz_buf_span(&second)))
        abort();
    ccz_buf_free(&first);
    ccz_buf_free(&second);
    return 0;
}
