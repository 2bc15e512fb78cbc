/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset_priv.h"

#include <stdlib.h>
#include <string.h>

static size_t number_size(bool bytes)
{
    return bytes ? sizeof(uint8_t) : sizeof(float);
}

/* Numbers of a sample; 0 if the shape is beyond the limits. */
static size_t width_of(const struct ccz_dataset_shape *s)
{
    uint64_t width = 1;
    if (s->rank == 0 || s->rank > CCZ_DATASET_RANK_MAX)
        return 0;
    for (unsigned i = 0; i < s->rank; i++) {
        width *= s->dims[i];
        if (width == 0 || width > CCZ_DATASET_SIZE_MAX)
            return 0;
    }
    return (size_t)width;
}

ccz_rc ccz_dataset_new(struct ccz_dataset **out, const struct ccz_dataset_shape *shape,
                       struct ccz_err *err)
{
    size_t width = width_of(shape), len = shape->len;
    *out = NULL;
    if (width == 0 || len == 0 || len > CCZ_DATASET_LEN_MAX || shape->classes == 0 ||
        shape->classes > CCZ_DATASET_CLASSES_MAX ||
        width > CCZ_DATASET_SIZE_MAX / number_size(shape->bytes) / len)
        return ccz_fail(err, CCZ_E_LIMIT, "dataset:size", (int64_t)len,
                        "%zu samples of %zu numbers, %u classes: nothing, or too much", len, width,
                        shape->classes);
    CCZ_AUTO(ccz_dataset) d = calloc(1, sizeof(*d));
    if (d) {
        d->len = len;
        d->width = width;
        d->rank = shape->rank;
        memcpy(d->dims, shape->dims, shape->rank * sizeof(*d->dims));
        d->classes = shape->classes;
        for (unsigned i = 0; i < 4; i++)
            d->deviation[i] = 1;
        d->bytes = shape->bytes ? calloc(len, width) : NULL;
        d->values = shape->bytes ? NULL : calloc(len, width * sizeof(*d->values));
        d->label = calloc(len, sizeof(*d->label));
        d->group = shape->groups ? calloc(len, sizeof(*d->group)) : NULL;
    }
    if (!d || (!d->bytes && !d->values) || !d->label || (shape->groups && !d->group))
        return ccz_fail(err, CCZ_E_NOMEM, "dataset:memory", 0, "out of memory");
    *out = ccz_dataset_take(&d);
    return CCZ_OK;
}

void ccz_dataset_free(struct ccz_dataset *d)
{
    if (!d)
        return;
    if (d->bytes)
        ccz_wipe(d->bytes, d->len * d->width);
    if (d->values)
        ccz_wipe(d->values, d->len * d->width * sizeof(*d->values));
    if (d->label)
        ccz_wipe(d->label, d->len * sizeof(*d->label));
    if (d->group)
        ccz_wipe(d->group, d->len * sizeof(*d->group));
    free(d->bytes);
    free(d->values);
    free(d->label);
    free(d->group);
    free(d);
}

ccz_rc ccz_dataset_select(struct ccz_dataset **out, const struct ccz_dataset *d,
                          const size_t *index, size_t len, struct ccz_err *err)
{
    struct ccz_dataset_shape shape = {.len = len,
                                      .rank = d->rank,
                                      .classes = d->classes,
                                      .bytes = d->bytes != NULL,
                                      .groups = d->group != NULL};
    CCZ_AUTO(ccz_dataset) n = NULL;
    *out = NULL;
    memcpy(shape.dims, d->dims, sizeof(shape.dims));
    for (size_t i = 0; i < len; i++)
        if (index[i] >= d->len)
            return ccz_fail(err, CCZ_E_ARG, "dataset:index", (int64_t)index[i],
                            "sample %zu is asked for, there are %zu", index[i], d->len);
    ccz_rc rc = ccz_dataset_new(&n, &shape, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(n->mean, d->mean, sizeof(n->mean));
    memcpy(n->deviation, d->deviation, sizeof(n->deviation));
    for (size_t i = 0; i < len; i++) {
        size_t from = index[i] * d->width, to = i * d->width;
        if (d->bytes)
            memcpy(&n->bytes[to], &d->bytes[from], d->width);
        else
            memcpy(&n->values[to], &d->values[from], d->width * sizeof(*d->values));
        n->label[i] = d->label[index[i]];
        if (d->group)
            n->group[i] = d->group[index[i]];
    }
    *out = ccz_dataset_take(&n);
    return CCZ_OK;
}

/* Bytes of one sample as numbers. */
static void normalise(float *x, const uint8_t *bytes, const struct ccz_dataset *d)
{
    size_t channels = d->dims[d->rank - 1] <= 4 ? d->dims[d->rank - 1] : 1;
    for (size_t c = 0; c < channels; c++) {
        float scale = 1 / (255 * d->deviation[c]), shift = d->mean[c] / d->deviation[c];
        for (size_t i = c; i < d->width; i += channels)
            x[i] = (float)bytes[i] * scale - shift;
    }
}

void ccz_dataset_gather(float *x, uint32_t *label, const struct ccz_dataset *d, const size_t *index,
                        size_t len)
{
    for (size_t i = 0; i < len; i++) {
        size_t from = index ? index[i] : i;
        if (d->bytes)
            normalise(x + i * d->width, d->bytes + from * d->width, d);
        else
            memcpy(x + i * d->width, d->values + from * d->width, d->width * sizeof(*x));
        if (label)
            label[i] = d->label[from];
    }
}

ccz_rc cczi_dataset_labels(const struct ccz_dataset *d, struct ccz_err *err)
{
    for (size_t i = 0; i < d->len; i++)
        if (d->label[i] >= d->classes)
            return ccz_fail(err, CCZ_E_FORMAT, "dataset:label", (int64_t)i,
                            "label %u of sample %zu, there are %u classes", d->label[i], i,
                            d->classes);
    return CCZ_OK;
}
