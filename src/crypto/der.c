/* SPDX-License-Identifier: Apache-2.0 */
/* DER, X.690 (02/2021) clauses 8 and 10: the reader and writer under x509*.c. */
#include "crypto_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------------------- reading */

/* 10.1: the rest of a length whose first byte is @p first, 0x80 or more: the definite form with the
 * fewest bytes. Four length bytes are more than any input here. */
static size_t long_length(struct ccz_rd *r, uint8_t first)
{
    unsigned n = first & 0x7fu;
    size_t v = 0;
    if (n == 0 || n > 4) /* 0x80 is the indefinite form */
        r->bad = true;
    for (unsigned i = 0; i < n && !r->bad; i++)
        v = v << 8 | ccz_rd_u8(r);
    if (v < 0x80 || v >> (8 * (n - 1)) == 0) /* a shorter form exists */
        r->bad = true;
    return v;
}

bool cczi_der_peek(const struct ccz_rd *r, uint8_t tag)
{
    return !r->bad && r->left > 0 && r->ptr[0] == tag;
}

struct ccz_span cczi_der_take(struct ccz_rd *r, uint8_t tag)
{
    if (r->bad || r->left < 2 || r->ptr[0] != tag) {
        r->bad = true;
        return (struct ccz_span){0};
    }
    uint8_t first = r->ptr[1];
    r->ptr += 2;
    r->left -= 2;
    return ccz_rd_take(r, first < 0x80 ? first : long_length(r, first));
}

struct ccz_span cczi_der_whole(struct ccz_rd *r, uint8_t tag)
{
    const uint8_t *from = r->ptr;
    if (tag == 0 && r->left > 0)
        tag = r->ptr[0];
    if (tag == 0 || (tag & 0x1f) == 0x1f) /* 8.1.2.4: tag numbers above 30 do not occur in X.509 */
        r->bad = true;
    (void)cczi_der_take(r, tag);
    return r->bad ? (struct ccz_span){0} : CCZ_SPAN(from, (size_t)(r->ptr - from));
}

struct ccz_span cczi_der_integer(struct ccz_rd *r)
{
    struct ccz_span v = cczi_der_take(r, CCZI_DER_INTEGER);
    bool padded = v.size > 1 && v.ptr[0] == 0 && v.ptr[1] < 0x80; /* 8.3.2 */
    if (v.size == 0 || v.ptr[0] >= 0x80 || padded)
        r->bad = true;
    return r->bad ? (struct ccz_span){0} : v;
}

bool cczi_der_default_false(struct ccz_rd *r)
{
    if (!cczi_der_peek(r, CCZI_DER_BOOLEAN))
        return false;
    struct ccz_span v = cczi_der_take(r, CCZI_DER_BOOLEAN);
    if (v.size != 1 || v.ptr[0] != 0xff) /* 11.1 TRUE is 0xff; 11.5 a default is not encoded */
        r->bad = true;
    return !r->bad;
}

/* One decimal arc; *text is left behind it. */
static bool oid_arc(uint64_t *arc, const char **text)
{
    const char *p = *text;
    *arc = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (*arc > UINT64_MAX / 10 - 1)
            return false;
        *arc = *arc * 10 + (uint64_t)(*p - '0');
    }
    bool some = p != *text;
    *text = p;
    return some;
}

/* 8.19.2: base 128, most significant group first. @return bytes written, 0 = no room */
static size_t oid_put(uint8_t *out, size_t room, uint64_t v)
{
    size_t n = 1;
    while (n < 10 && v >> (7 * n) != 0)
        n++;
    if (n > room)
        return 0;
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)((v >> (7 * (n - 1 - i)) & 0x7f) | (i + 1 < n ? 0x80u : 0));
    return n;
}

size_t cczi_der_oid(uint8_t *out, size_t out_size, const char *dotted)
{
    uint64_t first, arc;
    const char *p = dotted;
    if (!oid_arc(&first, &p) || *p++ != '.' || !oid_arc(&arc, &p))
        return 0;
    if (first > 2 ||
        (first < 2 && arc > 39)) /* 8.19.4: both share one number, 40 * first + second */
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

void cczi_der_oid_text(char *out, size_t out_size, struct ccz_span oid)
{
    uint64_t arc = 0;
    size_t used = 0;
    bool whole = false; /* the last byte ended an arc */
    for (size_t i = 0; i < oid.size && arc <= UINT64_MAX >> 7 && used < out_size; i++) {
        arc = arc << 7 | (oid.ptr[i] & 0x7f);
        whole = oid.ptr[i] < 0x80;
        if (!whole)
            continue;
        if (used == 0) { /* 8.19.4: 40 * first + second, the first at most 2 */
            uint64_t first = arc < 80 ? arc / 40 : 2;
            used += (size_t)snprintf(out, out_size, "%" PRIu64, first);
            arc -= 40 * first;
        }
        used += (size_t)snprintf(out + used, out_size - used, ".%" PRIu64, arc);
        arc = 0;
    }
    if (!whole || used >= out_size)
        (void)snprintf(out, out_size, "?");
}

/* ------------------------------------------------------------------------------- writing */

size_t cczi_der_open(struct ccz_buf *b, uint8_t tag)
{
    ccz_buf_u8(b, tag);
    return b->size;
}

void cczi_der_close(struct ccz_buf *b, size_t mark)
{
    size_t size = b->size - mark;
    uint8_t head[1 + sizeof(size)];
    size_t n = 1;
    if (size < 0x80) {
        head[0] = (uint8_t)size;
    } else {
        size_t bytes = 1;
        while (bytes < sizeof(size) && size >> (8 * bytes) != 0)
            bytes++;
        head[0] = (uint8_t)(0x80 | bytes);
        for (; n <= bytes; n++)
            head[n] = (uint8_t)(size >> (8 * (bytes - n)));
    }
    if (!ccz_buf_extend(b, n))
        return;
    memmove(b->ptr + mark + n, b->ptr + mark, size); /* room for the length before the content */
    memcpy(b->ptr + mark, head, n);
}

void cczi_der_put(struct ccz_buf *b, uint8_t tag, struct ccz_span content)
{
    size_t mark = cczi_der_open(b, tag);
    ccz_buf_put_span(b, content);
    cczi_der_close(b, mark);
}

void cczi_der_put_oid(struct ccz_buf *b, const char *dotted)
{
    uint8_t oid[64];
    size_t size = cczi_der_oid(oid, sizeof(oid), dotted);
    if (size == 0)
        b->bad = true;
    cczi_der_put(b, CCZI_DER_OID, CCZ_SPAN(oid, size));
}
