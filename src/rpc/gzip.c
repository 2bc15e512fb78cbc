/* SPDX-License-Identifier: Apache-2.0 */
/* Compression of single messages. zlib stays in this file; its state lives during one call only, so that streams that
 * rest in the middle of a message hold none. */
#include "rpc_priv.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    WORTH_SIZE = 64, /* below, head and checksum eat what is gained */
    STEP_SIZE = 65536,
    GZIP_WINDOW = 16, /* added to windowBits: gzip's head and trailer instead of zlib's */
    WINDOW_MAX = 15,
    WINDOW_MIN = 9
};

static const struct {
    const char *name;
    enum cczi_encoding encoding;
} names[] = {
    {"identity", CCZI_IDENTITY}, {"gzip", CCZI_GZIP}, {"deflate", CCZI_DEFLATE} /* RFC 1950 */
};

enum cczi_encoding cczi_encoding_of(struct ccz_span name)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (ccz_span_eq(name, ccz_span_str(names[i].name)))
            return names[i].encoding;
    return CCZI_ENCODING_UNKNOWN;
}

bool cczi_encoding_listed(struct ccz_span list, enum cczi_encoding encoding)
{
    for (size_t from = 0; from < list.size;) {
        size_t to = from;
        while (to < list.size && list.ptr[to] != ',')
            to++;
        struct ccz_span name = ccz_span_sub(list, from, to - from);
        while (name.size && (name.ptr[0] == ' ' || name.ptr[0] == '\t'))
            name = ccz_span_sub(name, 1, name.size - 1);
        while (name.size && (name.ptr[name.size - 1] == ' ' || name.ptr[name.size - 1] == '\t'))
            name.size--;
        if (cczi_encoding_of(name) == encoding)
            return true;
        from = to + 1;
    }
    return false;
}

/* The smallest window that holds the message: small ones need not pay for 256 KiB of state. */
static int window_for(size_t size)
{
    int bits = WINDOW_MIN;
    while (bits < WINDOW_MAX && ((size_t)1 << bits) < size)
        bits++;
    return bits;
}

struct cczi_out *cczi_out_gzip(struct ccz_span msg)
{
    if (msg.size < WORTH_SIZE || msg.size > UINT32_MAX)
        return NULL;
    z_stream z = {0};
    int bits = window_for(msg.size);
    /* level 1: links between servers outrun the higher ones */
    if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, bits + GZIP_WINDOW, bits - 7,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return NULL;
    struct cczi_out *o = malloc(sizeof(*o) + CCZI_PREFIX_SIZE + msg.size);
    int rv = Z_MEM_ERROR;
    if (o) {
        z.next_in = (Bytef *)(uintptr_t)msg.ptr;
        z.avail_in = (uInt)msg.size;
        z.next_out = o->bytes + CCZI_PREFIX_SIZE;
        z.avail_out = (uInt)(msg.size - 1); /* not smaller = not worth it */
        rv = deflate(&z, Z_FINISH);
    }
    size_t size = z.total_out;
    (void)deflateEnd(&z);
    if (rv != Z_STREAM_END) {
        free(o);
        return NULL;
    }
    *o = (struct cczi_out){.size = CCZI_PREFIX_SIZE + size, .refs = 1};
    cczi_out_prefix(o, 1, size);
    return o;
}

/* Memory of zlib, whose window holds what came out last. In front of each block: its size. */
enum { HEAD_SIZE = 16 };

static voidpf alloc_wiped(voidpf arg, uInt len, uInt size)
{
    (void)arg;
    size_t bytes = (size_t)len * size;
    uint8_t *p = calloc(1, HEAD_SIZE + bytes);
    if (!p)
        return NULL;
    memcpy(p, &bytes, sizeof(bytes));
    return p + HEAD_SIZE;
}

static void free_wiped(voidpf arg, voidpf ptr)
{
    (void)arg;
    uint8_t *p = (uint8_t *)ptr - HEAD_SIZE;
    size_t bytes;
    memcpy(&bytes, p, sizeof(bytes));
    ccz_wipe(p, HEAD_SIZE + bytes);
    free(p);
}

/* One step of at most STEP_SIZE bytes into @p out. One byte above the limit is made, to see it. */
static int inflate_step(struct ccz_buf *out, z_stream *z, size_t size_max)
{
    size_t room = size_max + 1 - out->size;
    size_t step = room < STEP_SIZE ? room : STEP_SIZE;
    uint8_t *to = ccz_buf_extend(out, step);
    if (!to)
        return Z_MEM_ERROR;
    z->next_out = to;
    z->avail_out = (uInt)step;
    int rv = inflate(z, Z_NO_FLUSH);
    out->size -= z->avail_out;
    return rv;
}

enum cczi_frame cczi_decompress(struct ccz_buf *out, struct ccz_span in,
                                enum cczi_encoding encoding, size_t size_max)
{
    z_stream z = {0};
    int bits = encoding == CCZI_GZIP ? WINDOW_MAX + GZIP_WINDOW : WINDOW_MAX;
    ccz_buf_clear(out);
    if (out->wipe) {
        z.zalloc = alloc_wiped;
        z.zfree = free_wiped;
    }
    if (inflateInit2(&z, bits) != Z_OK)
        return CCZI_FRAME_NOMEM;
    z.next_in = (Bytef *)(uintptr_t)in.ptr;
    z.avail_in = (uInt)in.size;
    int rv = Z_OK;
    while (rv == Z_OK && out->size <= size_max)
        rv = inflate_step(out, &z, size_max);
    bool whole = rv == Z_STREAM_END && z.avail_in == 0;
    (void)inflateEnd(&z);
    if (out->size > size_max)
        return CCZI_FRAME_TOO_LARGE;
    if (rv == Z_MEM_ERROR)
        return CCZI_FRAME_NOMEM;
    /* Z_BUF_ERROR: the input ends too early; bytes behind the end: what is this? */
    return whole ? CCZI_FRAME_MESSAGE : CCZI_FRAME_BAD_COMPRESSION;
}
