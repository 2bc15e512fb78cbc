/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset_priv.h"

#include <stdlib.h>
#include <string.h>

static ccz_rc from_idx(struct ccz_dataset **out, const struct ccz_idx *images,
                       const struct ccz_idx *labels, uint32_t classes, struct ccz_err *err)
{
    CCZ_AUTO(ccz_dataset) d = NULL;
    struct ccz_dataset_shape shape = {.len = images->dims[0],
                                      .rank = 3,
                                      .dims = {images->dims[1], images->dims[2], 1},
                                      .classes = classes,
                                      .bytes = true};
    if (images->dims[0] != labels->dims[0])
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "dataset:labels", labels->dims[0],
                              images->dims[0]);
    for (size_t i = 0; classes == 0 && i < labels->dims[0]; i++)
        if (labels->data[i] >= shape.classes)
            shape.classes = labels->data[i] + 1U;
    ccz_rc rc = ccz_dataset_new(&d, &shape, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(d->bytes, images->data, d->len * d->width);
    for (size_t i = 0; i < d->len; i++)
        d->label[i] = labels->data[i];
    rc = cczi_dataset_labels(d, err);
    if (rc == CCZ_OK)
        *out = ccz_dataset_take(&d);
    return rc;
}

ccz_rc ccz_dataset_idx(struct ccz_dataset **out, const char *images, const char *labels,
                       uint32_t classes, struct ccz_err *err)
{
    struct ccz_idx x, y = {0};
    *out = NULL;
    ccz_rc rc = ccz_idx_read(&x, images, 3, err);
    if (rc == CCZ_OK)
        rc = ccz_idx_read(&y, labels, 1, err);
    if (rc == CCZ_OK)
        rc = from_idx(out, &x, &y, classes, err);
    ccz_idx_free(&x);
    ccz_idx_free(&y);
    return rc;
}

/* ------------------------------------------------------------------------------------ CIFAR-10 */

enum { CIFAR_SIDE = 32, CIFAR_CHANNELS = 3, CIFAR_PLANE = CIFAR_SIDE * CIFAR_SIDE };

ccz_rc ccz_dataset_cifar10_parse(struct ccz_dataset **out, const struct ccz_span *batches,
                                 size_t len, struct ccz_err *err)
{
    CCZ_AUTO(ccz_dataset) d = NULL;
    struct ccz_dataset_shape shape = {
        .rank = 3, .dims = {CIFAR_SIDE, CIFAR_SIDE, CIFAR_CHANNELS}, .classes = 10, .bytes = true};
    *out = NULL;
    for (size_t b = 0; b < len; b++) {
        if (batches[b].size == 0 || batches[b].size % CCZ_CIFAR10_RECORD_SIZE != 0)
            return ccz_fail(err, CCZ_E_FORMAT, "cifar10:size", (int64_t)batches[b].size,
                            "batch %zu has %zu bytes, not a number of records of %d bytes", b,
                            batches[b].size, CCZ_CIFAR10_RECORD_SIZE);
        shape.len += batches[b].size / CCZ_CIFAR10_RECORD_SIZE;
    }
    ccz_rc rc = ccz_dataset_new(&d, &shape, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t b = 0, n = 0; b < len; b++) {
        const uint8_t *end = batches[b].ptr + batches[b].size;
        for (const uint8_t *p = batches[b].ptr; p < end; p += CCZ_CIFAR10_RECORD_SIZE, n++) {
            uint8_t *to = d->bytes + n * d->width;
            d->label[n] = p[0];
            for (size_t i = 0; i < d->width; i++) /* planes of colour become channels */
                to[i] = p[1 + i % CIFAR_CHANNELS * CIFAR_PLANE + i / CIFAR_CHANNELS];
        }
    }
    rc = cczi_dataset_labels(d, err);
    if (rc == CCZ_OK)
        *out = ccz_dataset_take(&d);
    return rc;
}

ccz_rc ccz_dataset_cifar10(struct ccz_dataset **out, const char *const *paths, size_t paths_len,
                           struct ccz_err *err)
{
    struct ccz_buf *file = calloc(paths_len + 1, sizeof(*file));
    struct ccz_span *batch = calloc(paths_len + 1, sizeof(*batch));
    *out = NULL;
    ccz_rc rc =
        file && batch ? CCZ_OK : ccz_fail(err, CCZ_E_NOMEM, "dataset:memory", 0, "out of memory");
    for (size_t i = 0; rc == CCZ_OK && i < paths_len; i++) {
        ccz_buf_init(&file[i], CCZ_IDX_SIZE_MAX);
        rc = cczi_dataset_file(&file[i], paths[i], err);
        batch[i] = ccz_buf_span(&file[i]);
    }
    if (rc == CCZ_OK)
        rc = ccz_dataset_cifar10_parse(out, batch, paths_len, err);
    for (size_t i = 0; file && i < paths_len; i++)
        ccz_buf_free(&file[i]);
    free(file);
    free(batch);
    return rc;
}
