/* SPDX-License-Identifier: Apache-2.0 */
#include <cczoo/base.h>

#include "copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_FIRST_CAP = 256 };

void ccz_buf_init(struct ccz_buf *b, size_t max_size)
{
    *b = (struct ccz_buf){.max_size = max_size};
}

void ccz_buf_free(struct ccz_buf *b)
{
    if (b->wipe && b->ptr)
        ccz_wipe(b->ptr, b->cap);
    free(b->ptr);
    *b = (struct ccz_buf){.max_size = b->max_size, .wipe = b->wipe};
}

void ccz_buf_clear(struct ccz_buf *b)
{
    if (b->wipe && b->ptr)
        ccz_wipe(b->ptr, b->size);
    b->size = 0;
    b->bad = false;
}

/* One byte more than the data is always kept, so that ccz_buf_str() can terminate in place. */
static bool grow(struct ccz_buf *b, size_t need)
{
    size_t cap = b->cap ? b->cap : BUF_FIRST_CAP;
    while (cap < need + 1)
        cap *= 2;
    uint8_t *p;
    if (b->wipe) { /* realloc would leave a copy behind */
        p = malloc(cap);
        if (p && b->size)
            memcpy(p, b->ptr, b->size);
        if (p && b->ptr)
            ccz_wipe(b->ptr, b->cap);
        if (p)
            free(b->ptr);
    } else {
        p = realloc(b->ptr, cap);
    }
    if (!p)
        return false;
    b->ptr = p;
    b->cap = cap;
    return true;
}

uint8_t *ccz_buf_extend(struct ccz_buf *b, size_t size)
{
    if (b->bad || size > b->max_size - b->size ||
        (b->size + size + 1 > b->cap && !grow(b, b->size + size))) {
        b->bad = true;
        return NULL;
    }
    uint8_t *p = b->ptr + b->size;
    b->size += size;
    return p;
}

void ccz_buf_put(struct ccz_buf *b, const void *p, size_t size)
{
    uint8_t *to = ccz_buf_extend(b, size);
    if (to)
        cczi_copy(to, p, size);
}

void ccz_buf_put_span(struct ccz_buf *b, struct ccz_span s)
{
    ccz_buf_put(b, s.ptr, s.size);
}

void ccz_buf_put_str(struct ccz_buf *b, const char *s)
{
    ccz_buf_put(b, s, strlen(s));
}

void ccz_buf_printf(struct ccz_buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    uint8_t *to = n >= 0 ? ccz_buf_extend(b, (size_t)n) : NULL;
    if (to)
        (void)vsnprintf((char *)to, (size_t)n + 1, fmt, again); /* the NUL uses the spare byte */
    else
        b->bad = true;
    va_end(again);
}

static void put_le(struct ccz_buf *b, uint64_t v, size_t size)
{
    uint8_t *to = ccz_buf_extend(b, size);
    for (size_t i = 0; to && i < size; i++)
        to[i] = (uint8_t)(v >> (8 * i));
}

static void put_be(struct ccz_buf *b, uint64_t v, size_t size)
{
    uint8_t *to = ccz_buf_extend(b, size);
    for (size_t i = 0; to && i < size; i++)
        to[i] = (uint8_t)(v >> (8 * (size - 1 - i)));
}

void ccz_buf_u8(struct ccz_buf *b, uint8_t v)
{
    put_le(b, v, 1);
}

void ccz_buf_le16(struct ccz_buf *b, uint16_t v)
{
    put_le(b, v, 2);
}

void ccz_buf_le32(struct ccz_buf *b, uint32_t v)
{
    put_le(b, v, 4);
}

void ccz_buf_le64(struct ccz_buf *b, uint64_t v)
{
    put_le(b, v, 8);
}

void ccz_buf_be16(struct ccz_buf *b, uint16_t v)
{
    put_be(b, v, 2);
}

void ccz_buf_be32(struct ccz_buf *b, uint32_t v)
{
    put_be(b, v, 4);
}

void ccz_buf_be64(struct ccz_buf *b, uint64_t v)
{
    put_be(b, v, 8);
}

void ccz_buf_consume(struct ccz_buf *b, size_t size)
{
    if (size > b->size)
        size = b->size;
    if (size == 0)
        return;
    memmove(b->ptr, b->ptr + size, b->size - size);
    if (b->wipe)
        ccz_wipe(b->ptr + b->size - size, size);
    b->size -= size;
}

struct ccz_span ccz_buf_span(const struct ccz_buf *b)
{
    return b->bad ? (struct ccz_span){0} : CCZ_SPAN(b->ptr, b->size);
}

const char *ccz_buf_str(struct ccz_buf *b)
{
    if (b->bad || b->size == 0)
        return "";
    b->ptr[b->size] = 0;
    return (const char *)b->ptr;
}
