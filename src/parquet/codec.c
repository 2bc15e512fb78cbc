/* SPDX-License-Identifier: Apache-2.0 */
/* Compression of pages; zlib, zstd and snappy stay in this file. A page is unpacked into memory of exactly the size that its header says
 * and was judged by: what unpacks to more, or to less, is refused, however small it is. */
#include "parquet/format_priv.h"

#include <limits.h>
#include <snappy-c.h>
#include <stddef.h>
#include <stdlib.h>
#include <zlib.h>
#define ZSTD_STATIC_LINKING_ONLY /* for contexts with memory of the caller's */
#include <zstd.h>

enum { WINDOW_MAX = 15, GZIP = 16, GZIP_OR_ZLIB = 32 }; /* added to windowBits */

uint32_t cczi_pq_crc(uint32_t crc, struct ccz_span in)
{
    return (uint32_t)crc32_z(crc, in.ptr, in.size);
}

bool cczi_pq_codec_known(int32_t codec)
{
    return codec == CCZ_PQ_NONE || codec == CCZ_PQ_SNAPPY || codec == CCZ_PQ_GZIP ||
           codec == CCZ_PQ_ZSTD;
}

/* Memory of zlib and zstd: parts of pages are in it, so that it is wiped when freed. Its size stands in front. (Snappy has none but the
 * offsets of its hash table.) */
union head {
    size_t size;
    max_align_t align;
};

static void *take(void *arg, size_t size)
{
    (void)arg;
    union head *h = size <= SIZE_MAX - sizeof(*h) ? malloc(sizeof(*h) + size) : NULL;
    if (!h)
        return NULL;
    h->size = size;
    return h + 1;
}

static void give(void *arg, void *p)
{
    (void)arg;
    union head *h = p ? (union head *)p - 1 : NULL;
    if (h)
        cczi_pq_free(h, sizeof(*h) + h->size, true);
}

static void *take_items(void *arg, uInt len, uInt size)
{
    return take(arg, (size_t)len * size);
}

static const ZSTD_customMem zstd_memory = {take, give, NULL};

static z_stream zlib_stream(void)
{
    return (z_stream){.zalloc = take_items, .zfree = give};
}

/* Members one after the other, as Hadoop may write them. */
static ccz_rc gunzip(uint8_t *out, size_t size, struct ccz_span in)
{
    z_stream z = zlib_stream();
    if (in.size > UINT_MAX || size > UINT_MAX)
        return CCZ_E_FORMAT;
    if (inflateInit2(&z, WINDOW_MAX + GZIP_OR_ZLIB) != Z_OK)
        return CCZ_E_NOMEM;
    uint8_t none;
    z.next_in = (uint8_t *)in.ptr;
    z.avail_in = (uInt)in.size;
    z.next_out = size > 0 ? out : &none;
    z.avail_out = (uInt)size;
    int rc;
    do {
        rc = inflate(&z, Z_FINISH);
    } while (rc == Z_STREAM_END && z.avail_in > 0 && inflateReset(&z) == Z_OK);
    bool whole = rc == Z_STREAM_END && z.avail_in == 0 && z.avail_out == 0;
    inflateEnd(&z);
    return whole ? CCZ_OK : rc == Z_MEM_ERROR ? CCZ_E_NOMEM : CCZ_E_FORMAT;
}

static ccz_rc unzstd(uint8_t *out, size_t size, struct ccz_span in)
{
    ZSTD_DCtx *d = ZSTD_createDCtx_advanced(zstd_memory);
    if (!d)
        return CCZ_E_NOMEM;
    size_t n = ZSTD_decompressDCtx(d, out, size, in.ptr, in.size);
    ZSTD_freeDCtx(d);
    return !ZSTD_isError(n) && n == size ? CCZ_OK : CCZ_E_FORMAT;
}

ccz_rc cczi_pq_unpack(uint8_t *out, size_t size, int32_t codec, struct ccz_span in)
{
    size_t n;
    if (size == 0 && in.size == 0) /* version 2 may have no values, and then nothing to unpack */
        return CCZ_OK;
    switch (codec) {
    case CCZ_PQ_NONE:
        if (in.size != size)
            return CCZ_E_FORMAT;
        memcpy(out, in.ptr, size);
        return CCZ_OK;
    case CCZ_PQ_SNAPPY:
        n = size; /* it refuses to write more */
        return snappy_uncompress((const char *)in.ptr, in.size, (char *)out, &n) == SNAPPY_OK &&
                       n == size
                   ? CCZ_OK
                   : CCZ_E_FORMAT;
    case CCZ_PQ_GZIP:
        return gunzip(out, size, in);
    case CCZ_PQ_ZSTD:
        return unzstd(out, size, in);
    default:
        return CCZ_E_UNSUPPORTED;
    }
}

static ccz_rc gzip(struct ccz_buf *out, int level, struct ccz_span in)
{
    z_stream z = zlib_stream();
    if (deflateInit2(&z, level > 0 ? level : 6, Z_DEFLATED, WINDOW_MAX + GZIP, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return CCZ_E_NOMEM;
    size_t bound = deflateBound(&z, in.size);
    uint8_t *to = in.size <= UINT_MAX && bound <= UINT_MAX ? ccz_buf_extend(out, bound) : NULL;
    int rc = Z_MEM_ERROR;
    if (to) {
        z.next_in = (uint8_t *)in.ptr;
        z.avail_in = (uInt)in.size;
        z.next_out = to;
        z.avail_out = (uInt)bound;
        rc = deflate(&z, Z_FINISH);
        out->size -= z.avail_out;
    }
    deflateEnd(&z);
    return rc == Z_STREAM_END ? CCZ_OK : CCZ_E_NOMEM;
}

static ccz_rc zstd(struct ccz_buf *out, int level, struct ccz_span in)
{
    size_t bound = ZSTD_compressBound(in.size), n = 0;
    uint8_t *to = ccz_buf_extend(out, bound);
    ZSTD_CCtx *c = to ? ZSTD_createCCtx_advanced(zstd_memory) : NULL;
    if (c)
        n = ZSTD_compressCCtx(c, to, bound, in.ptr, in.size, level > 0 ? level : 3);
    ZSTD_freeCCtx(c);
    if (!c || ZSTD_isError(n))
        return CCZ_E_NOMEM;
    out->size -= bound - n;
    return CCZ_OK;
}

ccz_rc cczi_pq_pack(struct ccz_buf *out, enum ccz_pq_codec codec, int level, struct ccz_span in)
{
    size_t bound, n;
    uint8_t *to;
    switch (codec) {
    case CCZ_PQ_NONE:
        ccz_buf_put_span(out, in);
        return out->bad ? CCZ_E_NOMEM : CCZ_OK;
    case CCZ_PQ_SNAPPY:
        n = bound = snappy_max_compressed_length(in.size);
        to = ccz_buf_extend(out, bound);
        if (!to || snappy_compress((const char *)in.ptr, in.size, (char *)to, &n) != SNAPPY_OK)
            return CCZ_E_NOMEM;
        out->size -= bound - n;
        return CCZ_OK;
    case CCZ_PQ_GZIP:
        return gzip(out, level, in);
    default:
        return zstd(out, level, in);
    }
}
