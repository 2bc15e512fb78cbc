/* SPDX-License-Identifier: Apache-2.0 */
/* ITU-T X.690 (02/2021): 8.1.2 identifier, 8.1.3 and 10.1 length, 8.2 and 11.1 boolean, 8.3
 * integer, 8.19 object identifier. */
#include <cczoo/codec.h>

#include <string.h>

enum {
    DER_TAG_NUMBER = 0x1f, /* all ones: the tag number follows in more bytes */
    DER_LONG_LENGTH = 0x80,
    DER_LENGTH_SIZE_MAX = 9, /* length of length, eight length bytes */
};

/* 10.1: definite form in the fewest bytes. */
static uint64_t der_length(struct ccz_rd *r)
{
    uint8_t first = ccz_rd_u8(r);
    if (first < DER_LONG_LENGTH)
        return first;
    unsigned n = first & 0x7f;
    if (n == 0 || n > sizeof(uint64_t)) { /* 0 is the indefinite form */
        r->bad = true;
        return 0;
    }
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++)
        v = v << 8 | ccz_rd_u8(r);
    if (v < DER_LONG_LENGTH || v >> (8 * (n - 1)) == 0) /* a shorter form exists */
        r->bad = true;
    return v;
}

struct ccz_span ccz_der_any(uint8_t *tag, struct ccz_rd *r)
{
    uint8_t t = ccz_rd_u8(r);
    /* Tag 0 marks the end of an indefinite length (8.1.5), which DER does not have. */
    if (t == 0 || (t & DER_TAG_NUMBER) == DER_TAG_NUMBER)
        r->bad = true;
    uint64_t size = der_length(r);
    struct ccz_span content = ccz_rd_take(r, size);
    *tag = r->bad ? 0 : t;
    return content;
}

struct ccz_span ccz_der_take(struct ccz_rd *r, uint8_t tag)
{
    if (!ccz_der_peek(r, tag)) {
        r->bad = true;
        return (struct ccz_span){0};
    }
    uint8_t t;
    return ccz_der_any(&t, r);
}

bool ccz_der_peek(const struct ccz_rd *r, uint8_t tag)
{
    return !r->bad && r->left > 0 && r->ptr[0] == tag;
}

uint64_t ccz_der_uint(struct ccz_rd *r, uint8_t tag)
{
    struct ccz_span s = ccz_der_take(r, tag);
    bool padded = s.size > 1 && s.ptr[0] == 0 && s.ptr[1] < 0x80; /* 8.3.2 */
    if (s.size == 0 || s.size > sizeof(uint64_t) || padded || s.ptr[0] >= 0x80) {
        r->bad = true;
        return 0;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < s.size; i++)
        v = v << 8 | s.ptr[i];
    return v;
}

bool ccz_der_bool(struct ccz_rd *r)
{
    struct ccz_span s = ccz_der_take(r, CCZ_DER_BOOLEAN);
    if (s.size != 1 || (s.ptr[0] != 0x00 && s.ptr[0] != 0xff)) { /* 11.1 */
        r->bad = true;
        return false;
    }
    return s.ptr[0] == 0xff;
}

/* One decimal arc without sign or leading zero; *text is left behind it. */
static bool oid_arc(uint64_t *arc, const char **text)
{
    const char *p = *text;
    uint64_t v = 0;
    if (*p == '0' && p[1] >= '0' && p[1] <= '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    if (p == *text)
        return false;
    *arc = v;
    *text = p;
    return true;
}

/* Base 128, most significant group first. @return bytes written, 0 = no room */
static size_t oid_put(uint8_t *out, size_t room, uint64_t v)
{
    size_t n = 1;
    while (n < 10 && v >> (7 * n))
        n++;
    if (n > room)
        return 0;
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)((v >> (7 * (n - 1 - i)) & 0x7f) | (i < n - 1 ? 0x80 : 0));
    return n;
}

size_t ccz_der_oid(uint8_t *out, size_t out_size, const char *dotted)
{
    uint64_t first, arc;
    const char *p = dotted;
    if (!oid_arc(&first, &p) || *p++ != '.' || !oid_arc(&arc, &p))
        return 0;
    /* 8.19.4: the first two arcs share one number, 40 * first + second */
    if (first > 2 || (first < 2 && arc > 39) || arc > UINT64_MAX - 80)
        return 0;
    size_t size = oid_put(out, out_size, 40 * first + arc);
    while (size > 0 && *p != 0) {
        if (*p++ != '.' || !oid_arc(&arc, &p))
            return 0;
        size_t n = oid_put(out + size, out_size - size, arc);
        size = n ? size + n : 0;
    }
    return size;
}

void ccz_der_put(struct ccz_buf *out, uint8_t tag, struct ccz_span content)
{
    size_t mark = ccz_der_open(out, tag);
    ccz_buf_put_span(out, content);
    ccz_der_close(out, mark);
}

void ccz_der_put_uint(struct ccz_buf *out, uint8_t tag, uint64_t v)
{
    uint8_t be[9] = {0}; /* a leading zero keeps values with bit 63 positive */
    for (unsigned i = 0; i < 8; i++)
        be[1 + i] = (uint8_t)(v >> (56 - 8 * i));
    size_t skip = 0;
    while (skip < 8 && be[skip] == 0 && be[skip + 1] < 0x80)
        skip++;
    ccz_der_put(out, tag, CCZ_SPAN(be + skip, sizeof(be) - skip));
}

void ccz_der_put_oid(struct ccz_buf *out, const char *dotted)
{
    uint8_t oid[CCZ_DER_OID_SIZE_MAX];
    size_t size = ccz_der_oid(oid, sizeof(oid), dotted);
    if (size == 0)
        out->bad = true;
    ccz_der_put(out, CCZ_DER_OID, CCZ_SPAN(oid, size));
}

size_t ccz_der_open(struct ccz_buf *out, uint8_t tag)
{
    ccz_buf_u8(out, tag);
    return out->size;
}

void ccz_der_close(struct ccz_buf *out, size_t mark)
{
    if (out->bad)
        return;
    size_t size = out->size - mark, n = 0;
    uint8_t head[DER_LENGTH_SIZE_MAX];
    if (size < DER_LONG_LENGTH) {
        head[n++] = (uint8_t)size;
    } else {
        unsigned bytes = 1;
        while (bytes < sizeof(size) && size >> (8 * bytes))
            bytes++;
        head[n++] = (uint8_t)(DER_LONG_LENGTH | bytes);
        for (unsigned i = bytes; i > 0; i--)
            head[n++] = (uint8_t)(size >> (8 * (i - 1)));
    }
    if (!ccz_buf_extend(out, n)) /* the content moves up to make room for its length */
        return;
    memmove(out->ptr + mark + n, out->ptr + mark, size);
    memcpy(out->ptr + mark, head, n);
}
