/* SPDX-License-Identifier: Apache-2.0 */
/* Skipping and reading agree about every item, and writing what was read gives the same bytes. */
#include <cczoo/codec.h>

#include <stdlib.h>

static void expect(bool ok)
{
    if (!ok)
        abort();
}

/* Copies one well-formed item by reading and writing. */
static void copy(struct ccz_buf *b, struct ccz_rd *r, unsigned depth)
{
    expect(r->left > 0 && depth <= 16);
    unsigned major = r->ptr[0] >> 5;
    struct ccz_rd at = *r;
    uint64_t items = 0;
    switch (major) {
    case CCZ_CBOR_BYTES:
    case CCZ_CBOR_TEXT:
        ccz_cbor_put_string(b, (enum ccz_cbor_type)major,
                            ccz_cbor_string(r, (enum ccz_cbor_type)major));
        break;
    case 7: /* can only be skipped */
        ccz_cbor_skip(r);
        ccz_buf_put(b, at.ptr, at.left - r->left);
        break;
    default:
        items = ccz_cbor_head(r, (enum ccz_cbor_type)major);
        ccz_cbor_put_head(b, (enum ccz_cbor_type)major, items);
        items = major == CCZ_CBOR_MAP     ? 2 * items
                : major == CCZ_CBOR_ARRAY ? items
                                          : (uint64_t)(major == CCZ_CBOR_TAG);
        break;
    }
    for (uint64_t i = 0; i < items; i++)
        copy(b, r, depth + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_rd skipped = ccz_rd_from(CCZ_SPAN(data, size)), r = skipped;
    while (skipped.left > 0) {
        const uint8_t *from = skipped.ptr;
        ccz_cbor_skip(&skipped);
        if (skipped.bad)
            return 0;
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, size);
        copy(&b, &r, 0);
        expect(!r.bad && r.left == skipped.left);
        expect(ccz_span_eq(ccz_buf_span(&b), CCZ_SPAN(from, (size_t)(skipped.ptr - from))));
    }
    return 0;
}
