/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset_priv.h"

#include <string.h>
#include <zlib.h>

enum { CHUNK = 65536 };

ccz_rc cczi_dataset_file(struct ccz_buf *out, const char *path, struct ccz_err *err)
{
    gzFile f = gzopen(path, "rbe"); /* reads plain files too */
    if (!f)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "dataset:open", 0, "cannot open %s", path);
    int n = 1;
    while (n > 0 && !out->bad) {
        uint8_t chunk[CHUNK];
        n = gzread(f, chunk, sizeof(chunk));
        if (n > 0)
            ccz_buf_put(out, chunk, (size_t)n);
    }
    int closed = gzclose_r(f); /* Z_BUF_ERROR here = the file ends inside its data */
    if (out->bad)
        return ccz_fail(err, CCZ_E_LIMIT, "dataset:size", (int64_t)out->max_size,
                        "%s is larger than %zu bytes, or than memory", path, out->max_size);
    if (n < 0 || closed != Z_OK)
        return ccz_fail(err, CCZ_E_FORMAT, "dataset:gzip", 0, "%s is damaged or cut short", path);
    return CCZ_OK;
}

ccz_rc ccz_idx_parse(struct ccz_idx *out, struct ccz_span in, unsigned dims_len,
                     struct ccz_err *err)
{
    struct ccz_idx x = {0};
    struct ccz_rd r = ccz_rd_from(in);
    *out = x;
    uint16_t zero = ccz_rd_be16(&r);
    uint8_t type = ccz_rd_u8(&r), dims = ccz_rd_u8(&r);
    if (r.bad || zero != 0 || type != 8 || dims != dims_len || dims == 0 || dims > CCZ_IDX_DIMS_MAX)
        return ccz_fail(err, CCZ_E_FORMAT, "idx:header", dims,
                        "this is not an IDX file of bytes with %u dimensions", dims_len);
    uint64_t size = 1;
    for (unsigned i = 0; i < dims; i++) {
        x.dims[i] = ccz_rd_be32(&r);
        if (x.dims[i] == 0 || x.dims[i] > CCZ_IDX_SIZE_MAX || size > CCZ_IDX_SIZE_MAX / x.dims[i])
            return ccz_fail(err, CCZ_E_FORMAT, "idx:dimension", x.dims[i],
                            "dimension %u of the IDX file is impossible", i);
        size *= x.dims[i];
    }
    x.dims_len = dims;
    x.data = ccz_rd_take(&r, (size_t)size).ptr;
    if (!ccz_rd_done(&r))
        return ccz_fail(err, CCZ_E_FORMAT, "idx:data", (int64_t)size,
                        "the IDX file does not hold the %llu bytes it announces",
                        (unsigned long long)size);
    *out = x;
    return CCZ_OK;
}

ccz_rc ccz_idx_read(struct ccz_idx *out, const char *path, unsigned dims_len, struct ccz_err *err)
{
    struct ccz_buf file;
    memset(out, 0, sizeof(*out));
    ccz_buf_init(&file, CCZ_IDX_SIZE_MAX);
    ccz_rc rc = cczi_dataset_file(&file, path, err);
    if (rc == CCZ_OK)
        rc = ccz_idx_parse(out, ccz_buf_span(&file), dims_len, err);
    if (rc == CCZ_OK)
        out->file = file;
    else
        ccz_buf_free(&file);
    if (rc == CCZ_E_FORMAT)
        (void)ccz_hint(err, rc, path);
    return rc;
}

void ccz_idx_free(struct ccz_idx *x)
{
    ccz_buf_free(&x->file);
    memset(x, 0, sizeof(*x));
}
