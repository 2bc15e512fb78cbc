/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RECSYS_ALS_PRIV_H
#define CCZ_RECSYS_ALS_PRIV_H
/*
 * Inside alternating least squares. A *system* is A x = b with A = base + diagonal + sum of w y y', for one row. Its `dims`
 * are factors, one more for a bias, rounded up to whole blocks; behind what is real A is 0, and x is.
 */
#include <cczoo/recsys_als.h>

#include "recsys_priv.h"

#include <stdatomic.h>

enum { CCZI_ALS_BLOCK = 16, CCZI_ALS_DIMS_MAX = CCZ_RECSYS_FACTORS_MAX + CCZI_ALS_BLOCK };

/* Matrices are row-major with rows of dims floats, dims a multiple of CCZI_ALS_BLOCK. Of symmetric ones the upper blocks are
 * written, those on the diagonal as a whole. Everything is aligned to 64 bytes. */
struct cczi_als_kernels {
    const char *name;
    /* a += sum over k < len of row_k row_k', rows of p `stride` floats apart, stride >= dims */
    void (*syrk)(float *a, size_t dims, const float *p, size_t stride, size_t len);
    /* out += sum over k < len of row_k row_k', rows of y dims floats apart */
    void (*gram)(double *out, size_t dims, const float *y, size_t len);
    /* p[k] = s[k] y[col[k]], b += t[k] y[col[k]]; s NULL: ones. Floats of p behind `stride` stay */
    void (*gather)(float *p, float *b, size_t dims, const float *y, size_t stride,
                   const uint32_t *col, const float *s, const float *t, size_t len);
    /* x = A^-1 x; a and inverse [dims * CCZI_ALS_BLOCK], limit [dims] are scratch. Where A has a 0 on its diagonal x is 0.
     * False if a pivot is not more than tolerance times its element of the diagonal: x is of no use. */
    bool (*solve)(float *x, float *a, float *inverse, float *limit, size_t dims, float tolerance);
    /* With y_k = y[col[k]] and, unless one = 0, a 1 there: out += sum over k < len of (t[k] - w[k] <y_k, x>) y_k; t NULL: zeros. Up
     * to the next multiple of CCZI_ALS_BLOCK t and w have zeros. */
    void (*residual)(float *out, const float *y, size_t stride, const uint32_t *col, size_t one,
                     const float *t, const float *w, const float *x, size_t len);
    /* sum over k < len of w[k] <y_k, x>^2 */
    float (*curvature)(const float *y, size_t stride, const uint32_t *col, size_t one,
                       const float *w, const float *x, size_t len);
    /* out -= A x, of A the upper blocks are read */
    void (*minus_product)(float *out, const float *a, const float *x, size_t dims);
    float (*quadratic)(const float *a, const float *x, size_t dims); /* x' A x */
    float (*dot)(const float *x, const float *y, size_t dims);
    void (*axpy)(float *y, float a, const float *x, size_t dims); /* y += a x */
};
extern const struct cczi_als_kernels cczi_als_portable, cczi_als_avx2, cczi_als_avx512;
/* By name, NULL = the best allowed. NULL if the processor cannot run it, or it failed its self-test. */
const struct cczi_als_kernels *cczi_als_kernels(const char *name);
/* Whether a tier computes what the portable one does, up to rounding. */
bool cczi_als_self_test(const struct cczi_als_kernels *k);

/* What a thread works with. */
struct cczi_als_work {
    void *memory;                     /* all of it */
    double *exact;                    /* [dims * (dims + 2)] */
    float *a, *a2;                    /* [dims * dims]; a2 for nonneg only */
    float *panel;                     /* [panel_len * dims] */
    float *s, *t;                     /* [CCZI_ALS_TERMS] */
    float *inverse;                   /* [dims * CCZI_ALS_BLOCK] */
    float *limit, *b, *x, *r, *p, *q; /* [dims] */
};

/* All that a call needs, for any side. */
struct cczi_als {
    struct ccz_recsys_als_cfg cfg; /* threads and cg_steps without 0 */
    const struct cczi_als_kernels *k;
    size_t dims, stride; /* of systems, of rows of factors */
    size_t panel_len;    /* rows of a panel */
    size_t work_size;    /* bytes of each thread */
    struct cczi_als_work work[CCZ_THREADS_MAX];
    float *base;     /* [dims * dims] what all rows share, symmetric; NULL: explicit */
    double *gram;    /* [stride * stride] */
    double *partial; /* [CCZI_GRAM_PARTS * stride * stride] */
};
enum { CCZI_GRAM_PARTS = 16, CCZI_ALS_TERMS = 4096 };

/* One side whose rows are to be found. */
struct cczi_als_half {
    const struct ccz_recsys_csr *rows;
    const struct ccz_recsys_factors *fixed;
    struct ccz_recsys_factors *out;
    float mean;
};

/* als.c */
ccz_rc cczi_als_check_cfg(const struct ccz_recsys_als_cfg *cfg, struct ccz_err *err);
/* Rows of columns below cols; values as the kind wants them. */
ccz_rc cczi_als_check_rows(const struct ccz_recsys_csr *m, const struct ccz_recsys_als_cfg *cfg,
                           struct ccz_err *err);
ccz_rc cczi_als_check_model(const struct ccz_recsys_model *m, const struct ccz_recsys_als_cfg *cfg,
                            struct ccz_err *err);
/* Takes the memory; cczi_als_deinit() in any case. The configuration has been checked. */
ccz_rc cczi_als_init(struct cczi_als *als, const struct ccz_recsys_als_cfg *cfg,
                     struct ccz_err *err);
void cczi_als_deinit(struct cczi_als *als);

/* als_gram.c: als->gram = Y' Y, upper blocks; the same for any number of threads */
ccz_rc cczi_als_gram(struct cczi_als *als, const struct ccz_recsys_factors *y, struct ccz_err *err);
/* als->base from als->gram of the fixed side, if the kind has one */
ccz_rc cczi_als_base(struct cczi_als *als, const struct ccz_recsys_factors *fixed,
                     struct ccz_err *err);

/* als_solve.c */
float cczi_als_reg(const struct cczi_als *als, uint64_t ratings, uint32_t others);
/* Weight and target of ratings from .. from + len - 1: w of y y', t of y. */
void cczi_als_terms(float *w, float *t, const struct cczi_als *als, const struct cczi_als_half *h,
                    uint64_t from, size_t len);
/* Solves all rows of a half, whose base is there. */
ccz_rc cczi_als_sweep(struct cczi_als *als, const struct cczi_als_half *h, struct ccz_err *err);
/* w->a and w->b of one row. */
void cczi_als_system(const struct cczi_als *als, struct cczi_als_work *w,
                     const struct cczi_als_half *h, uint32_t row);
/* w->x = A^-1 y of the row whose system is there; y NULL: w->b. In float, or if pivots are too small for that in double. w->a does
 * not stay. */
void cczi_als_exact(const struct cczi_als *als, struct cczi_als_work *w,
                    const struct cczi_als_half *h, uint32_t row, const float *y);

/* als_double.c: the same from the beginning in double; of factors that depend on others some become 0 */
void cczi_als_double(const struct cczi_als *als, struct cczi_als_work *w,
                     const struct cczi_als_half *h, uint32_t row, const float *y);

/* als_nonneg.c: w->x >= 0 that solves w->a, w->b as well as can be; w->a stays, and is mirrored */
void cczi_als_nonneg(const struct cczi_als *als, struct cczi_als_work *w);
/* w->x = A^-1 x of rows and columns where keep > 0, 0 elsewhere; w->a stays. False if it is of no use. */
bool cczi_als_solve_within(const struct cczi_als *als, struct cczi_als_work *w, const float *keep);

/* als_loss.c: als->base stays */
ccz_rc cczi_als_loss(double *loss, struct cczi_als *als, const struct ccz_recsys_model *m,
                     const struct ccz_recsys_csr *by_user, struct ccz_err *err);

/* A pivot that is smaller, relative to the diagonal, leaves hardly a digit to a solution in float. */
static inline float cczi_als_tolerance(size_t dims)
{
    return (float)dims * 0x1p-21f;
}
/* The same where there is a solution in double to turn to. The relative error is some 2^-24 by the pivot's share, and a few times more where
 * ratings weigh very differently (plays of 1 to 100,000). */
static inline float cczi_als_tolerance_exact(size_t dims)
{
    const float least = 0x1p-9f, tolerance = cczi_als_tolerance(dims);
    return tolerance > least ? tolerance : least;
}
#endif
