/* SPDX-License-Identifier: Apache-2.0 */
/* Compression of pages; zlib, zstd and snappy stay in this file. A page is unpacked into memory of exactly the size that its header says
 * and was judged by: what unpacks to more, or to less, is refused, however small it is. */
#include "parquet/format_priv.h"

#include <limits.h>
#include <snappy-c.h>
#include <zlib.h>
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

/* Members one after the other, as Hadoop may write them. */
static ccz_rc gunzip(uint8_t *out, size_t size, struct ccz_span in)
{
    z_stream z = {0};
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
        n = ZSTD_decompress(out, size, in.ptr, in.size);
        return !ZSTD_isError(n) && n == size ? CCZ_OK : CCZ_E_FORMAT;
    default:
        return CCZ_E_UNSUPPORTED;
    }
}

static ccz_rc gzip(struct ccz_buf *out, int level, struct ccz_span in)
{
    z_stream z = {0};
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
        bound = ZSTD_compressBound(in.size);
        to = ccz_buf_extend(out, bound);
        n = to ? ZSTD_compress(to, bound, in.ptr, in.size, level > 0 ? level : 3) : 0;
        if (!to || ZSTD_isError(n))
            return CCZ_E_NOMEM;
        out->size -= bound - n;
        return CCZ_OK;
    }
}
