/* SPDX-License-Identifier: Apache-2.0 */
#include <cczoo/base.h>

#include <string.h>

struct ccz_span ccz_span_str(const char *s)
{
    return CCZ_SPAN(s, strlen(s));
}

struct ccz_span ccz_span_sub(struct ccz_span s, size_t from, size_t size)
{
    if (from > s.size || size > s.size - from)
        return (struct ccz_span){0};
    return (struct ccz_span){s.ptr ? s.ptr + from : NULL, size};
}

bool ccz_span_eq(struct ccz_span a, struct ccz_span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.ptr, b.ptr, a.size) == 0);
}

struct ccz_rd ccz_rd_from(struct ccz_span in)
{
    return (struct ccz_rd){.ptr = in.ptr, .left = in.size};
}

struct ccz_span ccz_rd_take(struct ccz_rd *r, size_t size)
{
    if (r->bad || size > r->left) {
        r->bad = true;
        return (struct ccz_span){0};
    }
    struct ccz_span out = {r->ptr, size};
    if (size > 0) /* ptr may be NULL in an empty cursor */
        r->ptr += size;
    r->left -= size;
    return out;
}

void ccz_rd_copy(struct ccz_rd *r, void *out, size_t size)
{
    struct ccz_span s = ccz_rd_take(r, size);
    if (s.size != size)
        memset(out, 0, size);
    else if (size > 0)
        memcpy(out, s.ptr, size);
}

static uint64_t rd_le(struct ccz_rd *r, size_t size)
{
    struct ccz_span s = ccz_rd_take(r, size);
    uint64_t v = 0;
    for (size_t i = 0; i < s.size; i++)
        v |= (uint64_t)s.ptr[i] << (8 * i);
    return v;
}

static uint64_t rd_be(struct ccz_rd *r, size_t size)
{
    struct ccz_span s = ccz_rd_take(r, size);
    uint64_t v = 0;
    for (size_t i = 0; i < s.size; i++)
        v = v << 8 | s.ptr[i];
    return v;
}

uint8_t ccz_rd_u8(struct ccz_rd *r)
{
    if (r->bad || r->left == 0) {
        r->bad = true;
        return 0;
    }
    r->left--;
    return *r->ptr++;
}

uint16_t ccz_rd_le16(struct ccz_rd *r)
{
    return (uint16_t)rd_le(r, 2);
}

uint32_t ccz_rd_le32(struct ccz_rd *r)
{
    return (uint32_t)rd_le(r, 4);
}

uint64_t ccz_rd_le64(struct ccz_rd *r)
{
    return rd_le(r, 8);
}

uint16_t ccz_rd_be16(struct ccz_rd *r)
{
    return (uint16_t)rd_be(r, 2);
}

uint32_t ccz_rd_be32(struct ccz_rd *r)
{
    return (uint32_t)rd_be(r, 4);
}

uint64_t ccz_rd_be64(struct ccz_rd *r)
{
    return rd_be(r, 8);
}

bool ccz_rd_done(const struct ccz_rd *r)
{
    return !r->bad && r->left == 0;
}
