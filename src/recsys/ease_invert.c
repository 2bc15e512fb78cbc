/* SPDX-License-Identifier: Apache-2.0 */
/* The inverse by blocks of columns; see ease_priv.h. Each element's operations have one order, whatever the threads. */
#include "ease_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = CCZI_EASE_BLOCK, BLOCK_LEN = BLOCK * BLOCK };

/* One block of columns on its way. Row blocks of these are [BLOCK][BLOCK], panels by tiles of rows or of columns. */
struct sweep {
    float *a;
    size_t n, blocks, k;
    const struct cczi_ease_kernels *kern;
    float *diagonal;          /* [n] as it was */
    float inverse[BLOCK_LEN]; /* D */
    float *inverse_cols;      /* D by tiles of columns */
    float *cols;              /* the old columns A_ik by tiles of columns, [blocks * BLOCK_LEN] */
    float *next;              /* the new ones A_ik D by tiles of rows */
};

uint64_t cczi_ease_invert_floats(size_t n)
{
    return 2 * (uint64_t)n * BLOCK + BLOCK_LEN + n;
}

/* in [BLOCK rows][BLOCK] to [BLOCK / width][BLOCK columns][width rows] */
static void pack(float *out, const float *in, size_t width)
{
    for (size_t t = 0; t < BLOCK; t += width)
        for (size_t p = 0; p < BLOCK; p++)
            for (size_t r = 0; r < width; r++)
                *out++ = in[(t + r) * BLOCK + p];
}

/* Block (i, k) of the symmetric matrix, of which the lower half is kept. */
static void get_block(float out[BLOCK_LEN], const struct sweep *s, size_t i)
{
    for (size_t r = 0; r < BLOCK; r++)
        for (size_t p = 0; p < BLOCK; p++)
            out[r * BLOCK + p] = i > s->k ? s->a[(i * BLOCK + r) * s->n + s->k * BLOCK + p]
                                          : s->a[(s->k * BLOCK + p) * s->n + i * BLOCK + r];
}

static void put_block(struct sweep *s, size_t i, const float in[BLOCK_LEN])
{
    for (size_t r = 0; r < BLOCK; r++)
        for (size_t p = 0; p < BLOCK; p++) {
            float *to = i > s->k ? &s->a[(i * BLOCK + r) * s->n + s->k * BLOCK + p]
                                 : &s->a[(s->k * BLOCK + p) * s->n + i * BLOCK + r];
            *to = in[r * BLOCK + p];
        }
}

/* What blocks before have taken away from an element of the diagonal was rounded to single precision, 2^-24 of it n / BLOCK times and
 * within each block: a pivot that is not above a quarter of the n-fold of that may be nothing but rounding errors. */
static double least_pivot(size_t n, float diagonal)
{
    return (double)n * 0x1p-26 * (double)diagonal;
}

/* Cholesky of the lower half, then the inverse of the factor, then their product. False: a pivot is not above its limit. */
static bool invert_block(double d[BLOCK_LEN], const struct sweep *s, size_t *row)
{
    for (size_t j = 0; j < BLOCK; j++) {
        double *dj = d + j * BLOCK, pivot = dj[j];
        for (size_t p = 0; p < j; p++)
            pivot -= dj[p] * dj[p];
        *row = j;
        if (!(pivot > least_pivot(s->n, s->diagonal[s->k * BLOCK + j])) || !isfinite(pivot))
            return false;
        dj[j] = sqrt(pivot);
        for (size_t i = j + 1; i < BLOCK; i++) {
            double sum = d[i * BLOCK + j];
            for (size_t p = 0; p < j; p++)
                sum -= d[i * BLOCK + p] * dj[p];
            d[i * BLOCK + j] = sum / dj[j];
        }
    }
    for (size_t j = 0; j < BLOCK; j++) { /* L becomes its inverse, column by column */
        d[j * BLOCK + j] = 1 / d[j * BLOCK + j];
        for (size_t i = j + 1; i < BLOCK; i++) {
            double sum = 0;
            for (size_t p = j; p < i; p++)
                sum -= d[i * BLOCK + p] * d[p * BLOCK + j];
            d[i * BLOCK + j] = sum / d[i * BLOCK + i];
        }
    }
    for (size_t i = 0; i < BLOCK;
         i++) /* rows and columns behind i are all that is needed for (i, j) */
        for (size_t j = 0; j <= i; j++) {
            double sum = 0;
            for (size_t p = i; p < BLOCK; p++)
                sum += d[p * BLOCK + i] * d[p * BLOCK + j];
            d[j * BLOCK + i] =
                sum; /* above the diagonal, where L^-1 is not; the diagonal itself is read for the last time */
        }
    return true;
}

static ccz_rc begin_block(struct sweep *s, struct ccz_err *err)
{
    double d[BLOCK_LEN];
    size_t row;
    for (size_t r = 0; r < BLOCK; r++)
        for (size_t p = 0; p < BLOCK; p++)
            d[r * BLOCK + p] =
                p <= r ? (double)s->a[(s->k * BLOCK + r) * s->n + s->k * BLOCK + p] : 0;
    const bool ok = invert_block(d, s, &row);
    for (size_t r = 0; ok && r < BLOCK; r++)
        for (size_t p = 0; p < BLOCK; p++)
            s->inverse[r * BLOCK + p] = (float)(p >= r ? d[r * BLOCK + p] : d[p * BLOCK + r]);
    ccz_wipe(d, sizeof(d));
    if (!ok)
        return ccz_fail(err, CCZ_E_ARG, "recsys:singular", (int64_t)(s->k * BLOCK + row),
                        "the matrix is not positive definite in single precision; expected more "
                        "regularization");
    pack(s->inverse_cols, s->inverse, s->kern->cols); /* symmetric: rows are columns */
    return CCZ_OK;
}

/* Old and new columns of some blocks of rows. */
static ccz_rc some_columns(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    struct sweep *s = arg;
    const size_t rows = s->kern->rows, cols = s->kern->cols;
    float old[BLOCK_LEN], by_rows[BLOCK_LEN], next[BLOCK_LEN];
    (void)err;
    for (size_t i = from; i < from + len; i++) {
        if (i == s->k)
            continue;
        get_block(old, s, i);
        pack(s->cols + i * BLOCK_LEN, old, cols);
        pack(by_rows, old, rows);
        for (size_t r = 0; r < BLOCK; r += rows)
            for (size_t c = 0; c < BLOCK; c += cols)
                s->kern->tile(next + r * BLOCK + c, BLOCK, by_rows + r * BLOCK,
                              s->inverse_cols + c * BLOCK, true);
        pack(s->next + i * BLOCK_LEN, next, rows);
    }
    ccz_wipe(old, sizeof(old));
    ccz_wipe(by_rows, sizeof(by_rows));
    ccz_wipe(next, sizeof(next));
    return CCZ_OK;
}

static void update_row(struct sweep *s, size_t i)
{
    const size_t rows = s->kern->rows, cols = s->kern->cols;
    if (i == s->k)
        return;
    for (size_t j = 0; j <= i; j++) {
        if (j == s->k)
            continue;
        for (size_t c = 0; c < BLOCK; c += cols)
            for (size_t r = 0; r < BLOCK; r += rows)
                if (j < i || c < r + rows) /* on the diagonal only tiles that reach it */
                    s->kern->tile(s->a + (i * BLOCK + r) * s->n + j * BLOCK + c, s->n,
                                  s->next + i * BLOCK_LEN + r * BLOCK,
                                  s->cols + j * BLOCK_LEN + c * BLOCK, false);
    }
}

/* Row i from above and row i from below together have the same work for every i. */
static ccz_rc some_updates(void *arg, size_t from, size_t len, struct ccz_err *err)
{
    struct sweep *s = arg;
    (void)err;
    for (size_t i = from; i < from + len; i++) {
        update_row(s, i);
        if (s->blocks - 1 - i != i)
            update_row(s, s->blocks - 1 - i);
    }
    return CCZ_OK;
}

/* The new columns are in place of the old ones. */
static void end_block(struct sweep *s)
{
    const size_t rows = s->kern->rows;
    float next[BLOCK_LEN];
    for (size_t i = 0; i < s->blocks; i++) {
        if (i == s->k)
            continue;
        const float *in = s->next + i * BLOCK_LEN;
        for (size_t t = 0; t < BLOCK; t += rows)
            for (size_t p = 0; p < BLOCK; p++)
                for (size_t r = 0; r < rows; r++)
                    next[(t + r) * BLOCK + p] = *in++;
        put_block(s, i, next);
    }
    ccz_wipe(next, sizeof(next));
    for (size_t r = 0; r < BLOCK; r++)
        for (size_t p = 0; p < BLOCK; p++)
            s->a[(s->k * BLOCK + r) * s->n + s->k * BLOCK + p] = -s->inverse[r * BLOCK + p];
}

ccz_rc cczi_ease_invert(float *a, size_t n, const struct cczi_ease_kernels *k, unsigned threads,
                        struct ccz_err *err)
{
    const uint64_t floats = cczi_ease_invert_floats(n);
    float *room = cczi_recsys_alloc(floats, sizeof(*room));
    struct sweep *s = calloc(1, sizeof(*s));
    ccz_rc rc = room && s ? CCZ_OK : cczi_recsys_no_memory(err);
    if (rc == CCZ_OK)
        *s = (struct sweep){.a = a,
                            .n = n,
                            .blocks = n / BLOCK,
                            .kern = k,
                            .cols = room,
                            .next = room + n * BLOCK,
                            .inverse_cols = room + 2 * n * BLOCK,
                            .diagonal = room + 2 * n * BLOCK + BLOCK_LEN};
    for (size_t i = 0; rc == CCZ_OK && i < n; i++)
        s->diagonal[i] = a[i * n + i];
    for (size_t b = 0; rc == CCZ_OK && b < n / BLOCK; b++) {
        s->k = b;
        rc = begin_block(s, err);
        if (rc == CCZ_OK)
            rc = ccz_parallel(some_columns, s, s->blocks, 1, threads, err);
        if (rc == CCZ_OK)
            rc = ccz_parallel(some_updates, s, (s->blocks + 1) / 2, 1, threads, err);
        if (rc == CCZ_OK)
            end_block(s);
    }
    cczi_recsys_wipe_free(room, floats * sizeof(*room));
    cczi_recsys_wipe_free(s, sizeof(*s));
    return rc;
}
