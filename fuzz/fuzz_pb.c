/* SPDX-License-Identifier: Apache-2.0 */
/* Fields lie inside the message, one behind the other; writing them and reading again gives the
 * same. */
#include <cczoo/codec.h>

#include <stdlib.h>

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static void put(struct ccz_buf *b, const struct ccz_pb_field *f)
{
    switch (f->wire) {
    case CCZ_PB_VARINT:
        ccz_pb_put_uint(b, f->number, f->num);
        break;
    case CCZ_PB_LEN:
        ccz_pb_put_bytes(b, f->number, f->bytes);
        break;
    case CCZ_PB_I32:
        ccz_pb_put_tag(b, f->number, CCZ_PB_I32);
        ccz_buf_le32(b, (uint32_t)f->num);
        break;
    case CCZ_PB_I64:
        ccz_pb_put_tag(b, f->number, CCZ_PB_I64);
        ccz_buf_le64(b, f->num);
        break;
    }
}

static bool same(const struct ccz_pb_field *a, const struct ccz_pb_field *b)
{
    return a->number == b->number && a->wire == b->wire && a->num == b->num &&
           ccz_span_eq(a->bytes, b->bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(data, size)), again;
    struct ccz_pb_field f, g;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, size); /* the shortest form is never longer than what was read */
    while (ccz_pb_next(&f, &r)) {
        expect(f.number >= 1 && f.number <= 0x1fffffff);
        expect(f.bytes.size <= size && (f.bytes.size == 0 || f.bytes.ptr + f.bytes.size == r.ptr));
        put(&b, &f);
    }
    expect(f.number == 0 && (r.bad || r.left == 0) && !b.bad);
    size_t left = b.size;
    again = ccz_rd_from(ccz_buf_span(&b));
    r = ccz_rd_from(CCZ_SPAN(data, size));
    while (ccz_pb_next(&f, &again)) {
        expect(again.left < left && ccz_pb_next(&g, &r) && same(&f, &g));
        left = again.left;
    }
    expect(ccz_rd_done(&again));
    return 0;
}
