/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Krum and Multi-Krum. Distances are added up over blocks of columns whose borders are those of the whole vector, so that
 * they do not depend on how it is cut into chunks.
 */
#include "agg_priv.h"

#include <math.h>
#include <stdlib.h>

enum { COLS = 1024 };

struct ccz_agg_krum {
    size_t rows, byzantine;
    size_t fill;      /* columns in the tile */
    bool failed;      /* a value was not finite */
    float *tile;      /* [rows][COLS] */
    double *distance; /* [rows][rows]: squared, of whole blocks; i < j are used */
    double *row;      /* [rows] scratch: what one row is away from the others */
};

ccz_rc ccz_agg_krum_new(struct ccz_agg_krum **out, uint32_t rows, uint32_t byzantine,
                        struct ccz_err *err)
{
    *out = NULL;
    if (rows < 3 || rows > CCZ_AGG_ROWS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "agg:krum-rows", rows, CCZ_AGG_ROWS_MAX);
    if (byzantine > (rows - 3) / 2)
        return ccz_refuse_num(err, CCZ_E_ARG, "agg:krum-byzantine", byzantine, (rows - 3) / 2);
    CCZ_AUTO(ccz_agg_krum) k = calloc(1, sizeof(*k));
    size_t n = rows;
    if (k) {
        k->rows = n;
        k->byzantine = byzantine;
        k->tile = aligned_alloc(64, n * COLS * sizeof(float));
        k->distance = calloc(n * n, sizeof(double));
        k->row = malloc(n * sizeof(double));
    }
    if (!k || !k->tile || !k->distance || !k->row)
        return ccz_fail(err, CCZ_E_NOMEM, "agg:memory", rows, "no memory for distances");
    *out = ccz_agg_krum_take(&k);
    return CCZ_OK;
}

void ccz_agg_krum_free(struct ccz_agg_krum *k)
{
    if (!k)
        return;
    free(k->tile);
    free(k->distance);
    free(k->row);
    free(k);
}

/* Of what is in the tile, which is COLS or padded with zeros. */
static double tile_distance(const struct ccz_agg_krum *k, size_t i, size_t j)
{
    double lanes[CCZ_AGG_LANES];
    cczi_agg_kernels(NULL)->distance(lanes, k->tile + i * COLS, k->tile + j * COLS, COLS);
    return cczi_agg_lanes_sum(lanes);
}

static void add_block(struct ccz_agg_krum *k)
{
    for (size_t i = 0; i < k->rows; i++) {
        for (size_t j = i + 1; j < k->rows; j++)
            k->distance[i * k->rows + j] += tile_distance(k, i, j);
    }
    k->fill = 0;
}

ccz_rc ccz_agg_krum_add(struct ccz_agg_krum *k, const float *const *rows, size_t len,
                        struct ccz_err *err)
{
    const struct cczi_agg_kernels *kernels = cczi_agg_kernels(NULL);
    if (k->failed)
        return ccz_fail(err, CCZ_E_FORMAT, "agg:nonfinite", 0, "an earlier value was not finite");
    for (size_t at = 0; at < len;) {
        size_t n = len - at < COLS - k->fill ? len - at : COLS - k->fill;
        for (size_t i = 0; i < k->rows; i++) {
            float *to = k->tile + i * COLS + k->fill;
            memcpy(to, rows[i] + at, n * sizeof(*to));
            if (kernels->max_abs(to, n) < CCZI_AGG_INF_BITS)
                continue;
            k->failed = true;
            return cczi_agg_refuse_value(err, "row", (int64_t)i, to[ccz_agg_nonfinite(to, n)]);
        }
        k->fill += n;
        at += n;
        if (k->fill == COLS)
            add_block(k);
    }
    return CCZ_OK;
}

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static double score(struct ccz_agg_krum *k, size_t i)
{
    size_t n = 0, nearest = k->rows - k->byzantine - 2;
    double sum = 0;
    for (size_t j = 0; j < k->rows; j++) {
        if (j == i)
            continue;
        size_t lo = i < j ? i : j, hi = i < j ? j : i;
        k->row[n++] = k->distance[lo * k->rows + hi] + (k->fill ? tile_distance(k, lo, hi) : 0);
    }
    qsort(k->row, n, sizeof(*k->row), ascending);
    for (size_t j = 0; j < nearest; j++)
        sum += k->row[j];
    return sum;
}

ccz_rc ccz_agg_krum_select(uint32_t *chosen, double *scores, uint32_t m, struct ccz_agg_krum *k,
                           struct ccz_err *err)
{
    if (k->failed)
        return ccz_fail(err, CCZ_E_ARG, "agg:nonfinite", 0, "an earlier value was not finite");
    if (m < 1 || m > k->rows - k->byzantine)
        return ccz_refuse_num(err, CCZ_E_ARG, "agg:krum-chosen", m,
                              (int64_t)(k->rows - k->byzantine));
    double all[CCZ_AGG_ROWS_MAX];
    bool taken[CCZ_AGG_ROWS_MAX] = {0};
    for (size_t i = 0; i < k->rows; i++) /* the part that is not filled counts nothing */
        memset(k->tile + i * COLS + k->fill, 0, (COLS - k->fill) * sizeof(float));
    for (size_t i = 0; i < k->rows; i++)
        all[i] = score(k, i);
    for (uint32_t c = 0; c < m; c++) {
        size_t best = k->rows;
        for (size_t i = 0; i < k->rows; i++) {
            if (!taken[i] && (best == k->rows || all[i] < all[best]))
                best = i;
        }
        taken[best] = true;
    }
    for (uint32_t i = 0, c = 0; i < k->rows; i++) {
        if (taken[i])
            chosen[c++] = i;
    }
    if (scores)
        memcpy(scores, all, k->rows * sizeof(*scores));
    return CCZ_OK;
}
