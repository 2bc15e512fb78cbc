/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte chooses: an IDX file, CIFAR-10 batches, ratings (up to the first NUL byte) and films, or a partition. What
 * is accepted keeps what the header promises. */
#include <cczoo/dataset.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_set(struct ccz_dataset *d)
{
    require(d->len > 0 && d->width > 0 && (d->bytes != NULL) != (d->values != NULL));
    float *x = malloc(d->width * sizeof(*x));
    require(x != NULL);
    for (size_t i = 0; i < d->len; i++) {
        uint32_t label;
        ccz_dataset_gather(x, &label, d, &i, 1);
        require(label < d->classes);
        for (size_t k = 0; k < d->width; k++)
            require(isfinite(x[k]));
    }
    free(x);
    ccz_dataset_free(d);
}

static void idx(struct ccz_span in)
{
    struct ccz_idx x;
    struct ccz_err err = {0};
    if (in.size == 0 || ccz_idx_parse(&x, in, in.ptr[0] % 5, &err) != CCZ_OK)
        return;
    size_t size = 1, sum = 0;
    for (unsigned i = 0; i < x.dims_len; i++)
        size *= x.dims[i];
    require(x.data + size == in.ptr + in.size);
    for (size_t i = 0; i < size; i++)
        sum += x.data[i];
    require(sum <= size * 255);
}

static void movielens(struct ccz_span in)
{
    struct ccz_dataset *d;
    struct ccz_err err = {0};
    const uint8_t *nul = in.size ? memchr(in.ptr, 0, in.size) : NULL;
    size_t first = nul ? (size_t)(nul - in.ptr) : in.size;
    struct ccz_span films = nul ? CCZ_SPAN(nul + 1, in.size - first - 1) : CCZ_SPAN(NULL, 0);
    if (ccz_dataset_movielens_parse(&d, CCZ_SPAN(in.ptr, first), films, 0, &err) == CCZ_OK)
        check_set(d);
    else
        require(!d && err.where[0] != 0);
}

static void partition(struct ccz_span in)
{
    enum { HEADER = 6 };
    uint32_t label[256], part[256];
    struct ccz_err err = {0};
    if (in.size <= HEADER || in.size > 256 + HEADER)
        return;
    const uint8_t *p = in.ptr;
    const struct ccz_dataset_partition_cfg cfg = {.skew = (enum ccz_dataset_skew)(p[0] % 5),
                                                  .parts = p[1],
                                                  .alpha = p[2] / 16.0,
                                                  .per_part = p[3],
                                                  .least = p[4] % 16,
                                                  .balanced = p[4] & 16,
                                                  .seed = p[5]};
    size_t len = in.size - HEADER, count[256] = {0};
    for (size_t i = 0; i < len; i++)
        label[i] = p[HEADER + i];
    if (ccz_dataset_partition(part, label, len, 200, &cfg, &err) != CCZ_OK) {
        require(err.where[0] != 0);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        require(part[i] < cfg.parts ||
                (part[i] == CCZ_DATASET_NO_PART && cfg.skew == CCZ_DATASET_LABELS));
        count[part[i] < cfg.parts ? part[i] : 255] += part[i] < cfg.parts;
    }
    for (size_t i = 0; i < cfg.parts; i++)
        require(count[i] > 0 && count[i] >= cfg.least);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_dataset *d;
    if (size == 0)
        return 0;
    struct ccz_span in = CCZ_SPAN(data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        idx(in);
        break;
    case 1:
        if (ccz_dataset_cifar10_parse(&d, &in, 1, NULL) == CCZ_OK)
            check_set(d);
        break;
    case 2:
        movielens(in);
        break;
    default:
        partition(in);
    }
    return 0;
}
