/* SPDX-License-Identifier: Apache-2.0 */
/* The loops of ring.h, compiled once for each tier: the compiler vectorizes them. RING(name) gives the tier's names. */
#include <string.h>

static void RING(add)(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t len,
                      uint64_t mask)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (a[i] + b[i]) & mask;
}

static void RING(sub)(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t len,
                      uint64_t mask)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (a[i] - b[i]) & mask;
}

static void RING(mul)(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t len,
                      uint64_t mask)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (a[i] * b[i]) & mask;
}

static void RING(scale)(uint64_t *out, const uint64_t *a, uint64_t x, size_t len, uint64_t mask)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (a[i] * x) & mask;
}

static void RING(mul_add)(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t len,
                          uint64_t mask)
{
    for (size_t i = 0; i < len; i++)
        r[i] = (r[i] + a[i] * b[i]) & mask;
}

/* Products of 32-bit halves have their low 32 bits right, whatever is above: one multiplication instead of three. */
static inline uint64_t RING(low)(uint64_t a, uint64_t b)
{
    return (uint64_t)(uint32_t)a * (uint32_t)b;
}

/*
 * ROWS rows of r and COLS columns at a time stay in registers while k runs. b is read in rows, so that no operand is copied.
 * `full` is a constant at each call: two versions.
 */
enum { RING(ROWS) = 4, RING(COLS) = 32 };
static inline __attribute__((always_inline)) void RING(tile)(uint64_t *r, const uint64_t *a,
                                                             const uint64_t *b, size_t rows,
                                                             size_t k, size_t n, size_t cols,
                                                             bool wide, uint64_t mask)
{
    uint64_t sum[RING(ROWS)][RING(COLS)];
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            sum[i][j] = r[i * n + j];
    for (size_t l = 0; l < k; l++)
        for (size_t i = 0; i < rows; i++) {
            uint64_t x = a[i * k + l];
            for (size_t j = 0; j < cols; j++)
                sum[i][j] += wide ? x * b[l * n + j] : RING(low)(x, b[l * n + j]);
        }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            r[i * n + j] = sum[i][j] & mask;
}

static inline __attribute__((always_inline)) void RING(band)(uint64_t *r, const uint64_t *a,
                                                             const uint64_t *b, size_t rows,
                                                             size_t k, size_t n, bool wide,
                                                             uint64_t mask)
{
    size_t j = 0;
    for (; j + RING(COLS) <= n; j += RING(COLS)) {
        if (rows == RING(ROWS))
            RING(tile)(r + j, a, b + j, RING(ROWS), k, n, RING(COLS), wide, mask);
        else
            for (size_t i = 0; i < rows; i++)
                RING(tile)(r + i * n + j, a + i * k, b + j, 1, k, n, RING(COLS), wide, mask);
    }
    for (size_t left = n - j; left >= 8; j += 8, left -= 8)
        for (size_t i = 0; i < rows; i++)
            RING(tile)(r + i * n + j, a + i * k, b + j, 1, k, n, 8, wide, mask);
    if (j < n)
        for (size_t i = 0; i < rows; i++)
            RING(tile)(r + i * n + j, a + i * k, b + j, 1, k, n, n - j, wide, mask);
}

/* Matrix times vector: inner products. */
static inline __attribute__((always_inline)) void RING(vector)(uint64_t *r, const uint64_t *a,
                                                               const uint64_t *b, size_t m,
                                                               size_t k, bool wide, uint64_t mask)
{
    for (size_t i = 0; i < m; i++) {
        uint64_t sum = r[i];
        for (size_t l = 0; l < k; l++)
            sum += wide ? a[i * k + l] * b[l] : RING(low)(a[i * k + l], b[l]);
        r[i] = sum & mask;
    }
}

static void RING(matmul_add)(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t m, size_t k,
                             size_t n, uint64_t mask)
{
    bool wide = mask > UINT32_MAX;
    if (n == 1 && wide)
        RING(vector)(r, a, b, m, k, true, mask);
    else if (n == 1)
        RING(vector)(r, a, b, m, k, false, mask);
    else
        for (size_t i = 0; i < m; i += RING(ROWS)) {
            size_t rows = m - i < RING(ROWS) ? m - i : RING(ROWS);
            if (wide)
                RING(band)(r + i * n, a + i * k, b, rows, k, n, true, mask);
            else
                RING(band)(r + i * n, a + i * k, b, rows, k, n, false, mask);
        }
}

const struct cczi_ring_kernels RING_TABLE = {.add = RING(add),
                                             .sub = RING(sub),
                                             .mul = RING(mul),
                                             .scale = RING(scale),
                                             .mul_add = RING(mul_add),
                                             .matmul_add = RING(matmul_add)};
