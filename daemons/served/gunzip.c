/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of HTTP requests that come compressed. zlib stays in this file. */
#include "served.h"

#include <limits.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

enum { STEP_SIZE = 65536, ANY_HEAD = 32 /* gzip's or zlib's, told apart by zlib */ };

bool served_gunzip_knows(const char *encoding)
{
    return strcasecmp(encoding, "gzip") == 0 || strcasecmp(encoding, "deflate") == 0;
}

/* One stream, to its end: nothing may be missing and nothing may follow. */
bool served_gunzip(struct ccz_buf *out, struct ccz_span in)
{
    z_stream z = {0};
    if (in.size > UINT_MAX || inflateInit2(&z, MAX_WBITS + ANY_HEAD) != Z_OK)
        return false;
    z.next_in = (Bytef *)(uintptr_t)in.ptr;
    z.avail_in = (uInt)in.size;
    int rv = Z_OK;
    while (rv == Z_OK) {
        const size_t left = out->max_size - out->size, step = left < STEP_SIZE ? left : STEP_SIZE;
        uint8_t *p = step ? ccz_buf_extend(out, step) : NULL;
        if (!p)
            break;
        z.next_out = p;
        z.avail_out = (uInt)step;
        rv = inflate(&z, Z_NO_FLUSH);
        out->size -= z.avail_out;
        if (rv == Z_BUF_ERROR && z.avail_in > 0)
            rv = Z_OK; /* the step was full */
    }
    const bool whole = rv == Z_STREAM_END && z.avail_in == 0;
    (void)inflateEnd(&z);
    return whole;
}
