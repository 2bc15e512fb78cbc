/* SPDX-License-Identifier: Apache-2.0 */
#include "idx.h"

#include <string.h>
#include <zlib.h>

enum { IDX_SIZE_MAX = 256 << 20, CHUNK = 65536 };

static ccz_rc read_all(struct ccz_buf *out, const char *path, struct ccz_err *err)
{
    gzFile f = gzopen(path, "rbe"); /* reads plain files too */
    if (!f)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "idx:open", 0, "cannot open %s", path);
    int n = 1;
    while (n > 0 && !out->bad) {
        uint8_t chunk[CHUNK];
        n = gzread(f, chunk, sizeof(chunk));
        if (n > 0)
            ccz_buf_put(out, chunk, (size_t)n);
    }
    int closed = gzclose_r(f); /* Z_BUF_ERROR here = the file ends inside its data */
    if (out->bad)
        return ccz_fail(err, CCZ_E_LIMIT, "idx:size", IDX_SIZE_MAX, "%s is larger than %d bytes",
                        path, IDX_SIZE_MAX);
    if (n < 0 || closed != Z_OK)
        return ccz_fail(err, CCZ_E_FORMAT, "idx:gzip", 0, "%s is damaged or cut short", path);
    return CCZ_OK;
}

ccz_rc idx_read(struct idx *out, const char *path, unsigned dims_len, struct ccz_err *err)
{
    memset(out, 0, sizeof(*out));
    ccz_buf_init(&out->bytes, IDX_SIZE_MAX);
    ccz_rc rc = read_all(&out->bytes, path, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&out->bytes));
    uint16_t zero = ccz_rd_be16(&r);
    uint8_t type = ccz_rd_u8(&r), dims = ccz_rd_u8(&r);
    if (r.bad || zero != 0 || type != 8 || dims != dims_len || dims > IDX_DIMS_MAX)
        return ccz_fail(err, CCZ_E_FORMAT, "idx:header", dims,
                        "%s is not an IDX file of bytes with %u dimensions", path, dims_len);
    uint64_t size = 1;
    for (unsigned i = 0; i < dims; i++) {
        out->dims[i] = ccz_rd_be32(&r);
        if (out->dims[i] == 0 || out->dims[i] > IDX_SIZE_MAX || size > IDX_SIZE_MAX / out->dims[i])
            return ccz_fail(err, CCZ_E_FORMAT, "idx:dimension", out->dims[i],
                            "%s has an impossible size", path);
        size *= out->dims[i];
    }
    out->dims_len = dims;
    out->data = ccz_rd_take(&r, size).ptr;
    if (!ccz_rd_done(&r))
        return ccz_fail(err, CCZ_E_FORMAT, "idx:data", (int64_t)size,
                        "%s does not hold the %llu bytes it announces", path,
                        (unsigned long long)size);
    return CCZ_OK;
}

void idx_free(struct idx *x)
{
    ccz_buf_free(&x->bytes);
}
