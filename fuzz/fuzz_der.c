/* SPDX-License-Identifier: Apache-2.0 */
/* Every accepted element has one encoding: writing what was read gives the same bytes. */
#include <cczoo/codec.h>

#include <stdlib.h>

static void expect(bool ok)
{
    if (!ok)
        abort();
}

/* The bytes from @p from to the cursor are exactly what writing gives. */
static void expect_same(const uint8_t *from, const struct ccz_rd *r, struct ccz_buf *b)
{
    expect(!b->bad && ccz_span_eq(ccz_buf_span(b), CCZ_SPAN(from, (size_t)(r->ptr - from))));
}

static void walk(struct ccz_span in, unsigned depth)
{
    struct ccz_rd r = ccz_rd_from(in);
    while (r.left > 0 && !r.bad) {
        const uint8_t *from = r.ptr;
        struct ccz_rd same = r, again = r;
        uint8_t tag;
        struct ccz_span content = ccz_der_any(&tag, &r);
        expect((tag == 0) == r.bad && ccz_der_peek(&again, from[0]));
        if (r.bad)
            return;
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, in.size);
        ccz_der_put(&b, tag, content);
        expect_same(from, &r, &b);
        expect(ccz_der_take(&again, tag).ptr == content.ptr && again.left == r.left);
        uint64_t v = ccz_der_uint(&same, tag);
        if (!same.bad) {
            ccz_buf_clear(&b);
            ccz_der_put_uint(&b, tag, v);
            expect_same(from, &same, &b);
        }
        if ((tag & 0x20) && depth < 16)
            walk(content, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    walk(CCZ_SPAN(data, size), 0);
    return 0;
}
