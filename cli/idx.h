/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_IDX_H
#define CCZ_CLI_IDX_H
/* The IDX container of MNIST and Fashion-MNIST: be16 0, type 8 (bytes), number of dimensions, be32 sizes, data. */
#include <cczoo/base.h>

#define IDX_DIMS_MAX 4

struct idx {
    struct ccz_buf bytes; /* the whole file, decompressed */
    unsigned dims_len;
    uint32_t dims[IDX_DIMS_MAX];
    const uint8_t *data; /* product of dims bytes, in `bytes` */
};
/* Reads a plain or gzip-compressed file. Free with idx_free(), also after a failure. */
ccz_rc idx_read(struct idx *out, const char *path, unsigned dims_len, struct ccz_err *err);
void idx_free(struct idx *x);

#endif
