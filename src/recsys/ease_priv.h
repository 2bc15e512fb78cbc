/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RECSYS_EASE_PRIV_H
#define CCZ_RECSYS_EASE_PRIV_H
/*
 * The inverse of a symmetric positive definite matrix, in place, by blocks: for each block of columns k
 *   D = A_kk^-1 (Cholesky, double precision),  A_ij -= A_ik D A_kj,  A_ik = A_ik D,  A_kk = -D
 * over the lower half. What is left is -A^-1, after n^3 / 2 multiplications, nearly all in one product of tiles.
 */
#include "eval_priv.h"

/* Tiles of every tier divide a block. */
enum { CCZI_EASE_BLOCK = 96 };

struct cczi_ease_kernels {
    const char *name;
    size_t rows, cols; /* of a tile */
    /* c[rows][cols] = or -= a b, over BLOCK terms; a [BLOCK][rows], b [BLOCK][cols] */
    void (*tile)(float *c, size_t stride, const float *a, const float *b, bool set);
    /* y += a x; len a multiple of 16 */
    void (*axpy)(float *y, const float *x, float a, size_t len);
};
extern const struct cczi_ease_kernels cczi_ease_portable, cczi_ease_avx2, cczi_ease_avx512;
/* By name, NULL = the best allowed. NULL if the processor cannot run it, or it failed its self-test. */
const struct cczi_ease_kernels *cczi_ease_kernels(const char *name);
bool cczi_ease_self_test(const struct cczi_ease_kernels *k);

/*
 * a [n][n], n a multiple of BLOCK; the lower half is read, and becomes minus the inverse. Above it there is garbage then.
 * "recsys:singular" with the row, "recsys:memory"
 */
ccz_rc cczi_ease_invert(float *a, size_t n, const struct cczi_ease_kernels *k, unsigned threads,
                        struct ccz_err *err);
/* Floats that it needs besides. */
uint64_t cczi_ease_invert_floats(size_t n);
#endif
