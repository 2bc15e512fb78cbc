/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products with matrices in the clear. With R, C the powers of two from rows and cols on, x repeated with
 * period C and D = min(R, C), slot j of
 *   z = sum over k < D of diagonal_k * rotate(x, k),  diagonal_k[j] = M[j mod R][(j + k) mod C],
 * is the part of (M x)[j mod R] from D of the columns; the slots j + R, j + 2 R .. have the others. With
 * k = g b + i the giant step g b is taken out of the sum over the baby steps i:
 *   z = sum over g of rotate(sum over i of rotate(diagonal_k, -g b) * rotate(x, i), g b).
 */
#include "ckks_priv.h"

#include <stdlib.h>
#include <string.h>

/* What one hoisted rotation costs, of one that is not: it saves transforms, not the reading of its key. */
#define HOISTED 0.75

struct shape {
    size_t row_period, col_period;
    size_t diagonals, baby;
};

struct ccz_ckks_matrix {
    const struct ccz_ckks *ctx;
    struct shape shape;
    size_t giants;
    struct ccz_ckks_pt **diagonal; /* rotated for their giant step; NULL: all 0 */
};

static size_t power_from(size_t x)
{
    size_t p = 1;
    while (p < x)
        p *= 2;
    return p;
}

static struct shape shape_of(size_t rows, size_t cols)
{
    struct shape s = {.row_period = power_from(rows), .col_period = power_from(cols)};
    double best = 1e300;
    s.diagonals = s.row_period < s.col_period ? s.row_period : s.col_period;
    for (size_t b = 1; b <= s.diagonals; b++) {
        double cost = HOISTED * (double)(b - 1) + (double)((s.diagonals + b - 1) / b - 1);
        if (cost < best) {
            best = cost;
            s.baby = b;
        }
    }
    return s;
}

size_t ccz_ckks_matrix_steps(int64_t *steps, size_t rows, size_t cols)
{
    size_t len = 0;
    if (rows == 0 || cols == 0 || rows > CCZ_RLWE_N_MAX / 2 || cols > CCZ_RLWE_N_MAX / 2)
        return 0;
    struct shape s = shape_of(rows, cols);
    for (size_t i = 1; i < s.baby; i++)
        steps[len++] = (int64_t)i;
    for (size_t k = s.baby; k < s.diagonals; k += s.baby)
        steps[len++] = (int64_t)k;
    for (size_t k = s.row_period; k < s.col_period; k *= 2)
        steps[len++] = (int64_t)k;
    return len;
}

/* ---------------------------------------------------------------------------------- the matrix */

void ccz_ckks_matrix_free(struct ccz_ckks_matrix *m)
{
    if (!m)
        return;
    for (size_t k = 0; m->diagonal && k < m->shape.diagonals; k++)
        ccz_ckks_pt_free(m->diagonal[k]);
    free(m->diagonal);
    free(m);
}

/* The diagonal k in all slots, moved right by its giant step. @return false: all 0 */
static bool fill_diagonal(double *slots, size_t len, const struct shape *s, const double *m,
                          size_t rows, size_t cols, size_t k)
{
    bool any = false;
    size_t giant = k / s->baby * s->baby;
    for (size_t j = 0; j < len; j++) {
        size_t at = j + len - giant; /* giant <= len: of one period or less */
        size_t row = at % s->row_period, col = (at + k) % s->col_period;
        slots[j] = row < rows && col < cols ? m[row * cols + col] : 0;
        any |= slots[j] != 0;
    }
    return any;
}

static ccz_rc fill(struct ccz_ckks_matrix *m, struct ccz_ckks_eval *e, double *slots,
                   const double *values, size_t rows, size_t cols, double scale, size_t limbs,
                   struct ccz_err *err)
{
    size_t len = ccz_ckks_slots(m->ctx);
    bool any = false;
    for (size_t k = 0; k < m->shape.diagonals; k++) {
        if (!fill_diagonal(slots, len, &m->shape, values, rows, cols, k))
            continue;
        any = true;
        ccz_rc rc = ccz_ckks_pt_new(&m->diagonal[k], m->ctx, err);
        if (rc == CCZ_OK)
            rc = ccz_ckks_encode(m->diagonal[k], e, slots, len, scale, limbs, err);
        if (rc != CCZ_OK)
            return rc;
    }
    if (!any)
        return ccz_fail(err, CCZ_E_ARG, "ckks:matrix-zero", 0, "the matrix has only zeros");
    return CCZ_OK;
}

ccz_rc ccz_ckks_matrix_new(struct ccz_ckks_matrix **out, struct ccz_ckks_eval *e, const double *m,
                           size_t rows, size_t cols, double scale, size_t limbs,
                           struct ccz_err *err)
{
    size_t len = ccz_ckks_slots(e->ctx), most = rows > cols ? rows : cols;
    *out = NULL;
    if (rows == 0 || cols == 0 || most > len)
        return ccz_refuse_num(err, CCZ_E_ARG, "ckks:matrix-size",
                              rows == 0 || cols == 0 ? 0 : (int64_t)most, (int64_t)len);
    if (limbs == 0)
        return ccz_refuse_num(err, CCZ_E_ARG, "ckks:limbs", 0, (int64_t)e->ctx->data_len);
    CCZ_AUTO(ccz_ckks_matrix) made = calloc(1, sizeof(*made));
    double *slots = malloc(len * sizeof(*slots));
    if (made) {
        made->ctx = e->ctx;
        made->shape = shape_of(rows, cols);
        made->giants = (made->shape.diagonals + made->shape.baby - 1) / made->shape.baby;
        made->diagonal = calloc(made->shape.diagonals, sizeof(struct ccz_ckks_pt *));
    }
    ccz_rc rc = CCZ_OK;
    if (!made || !slots || !made->diagonal)
        rc = ccz_fail(err, CCZ_E_NOMEM, "ckks:matrix", 0, "out of memory");
    rc = rc == CCZ_OK ? fill(made, e, slots, m, rows, cols, scale, limbs, err) : rc;
    if (slots)
        ccz_wipe(slots, len * sizeof(*slots)); /* the matrix may be a secret of its own */
    free(slots);
    if (rc == CCZ_OK)
        *out = ccz_ckks_matrix_take(&made);
    return rc;
}

/* --------------------------------------------------------------------------------- the product */

/* A product on the way. */
struct work {
    struct ccz_ckks_eval *e;
    const struct ccz_ckks_matrix *m;
    const struct ccz_rlwe_galois_set *keys;
    const struct ccz_ckks_ct **turned; /* [baby]: rotations of the input; NULL: not needed */
    const struct ccz_ckks_ct **cts;    /* [baby]: those of one giant step .. */
    const struct ccz_ckks_pt **pts;    /* .. and their diagonals */
    struct ccz_ckks_ct **made;         /* [baby]: those of `turned` that are ours */
    int64_t *steps;
    struct ccz_ckks_ct *sum, *part;
};

static bool baby_needed(const struct ccz_ckks_matrix *m, size_t i)
{
    for (size_t k = i; k < m->shape.diagonals; k += m->shape.baby)
        if (m->diagonal[k])
            return true;
    return false;
}

static ccz_rc turn(struct work *w, const struct ccz_ckks_ct *a, struct ccz_err *err)
{
    size_t len = 0;
    w->turned[0] = a;
    for (size_t i = 1; i < w->m->shape.baby; i++) {
        if (!baby_needed(w->m, i))
            continue;
        ccz_rc rc = cczi_ckks_take(&w->made[len], w->e, err);
        if (rc != CCZ_OK)
            return rc;
        w->turned[i] = w->made[len];
        w->steps[len++] = (int64_t)i;
    }
    return len ? ccz_ckks_rotate_many(w->made, w->e, a, w->steps, len, w->keys, err) : CCZ_OK;
}

/* Adds what one giant step stands for. */
static ccz_rc add_giant(struct work *w, size_t giant, bool *empty, struct ccz_err *err)
{
    const struct shape *s = &w->m->shape;
    size_t len = 0;
    for (size_t i = 0; i < s->baby && giant + i < s->diagonals; i++) {
        if (!w->m->diagonal[giant + i])
            continue;
        w->cts[len] = w->turned[i];
        w->pts[len++] = w->m->diagonal[giant + i];
    }
    if (len == 0)
        return CCZ_OK;
    struct ccz_ckks_ct *to = *empty ? w->sum : w->part;
    ccz_rc rc = ccz_ckks_dot_plain(to, w->e, w->cts, w->pts, len, err);
    if (rc == CCZ_OK && giant > 0)
        rc = ccz_ckks_rotate(to, w->e, to, (int64_t)giant, w->keys, err);
    if (rc == CCZ_OK && !*empty)
        rc = ccz_ckks_add(w->sum, w->e, w->sum, w->part, err);
    *empty = false;
    return rc;
}

static ccz_rc product(struct work *w, const struct ccz_ckks_ct *a, struct ccz_err *err)
{
    const struct shape *s = &w->m->shape;
    bool empty = true;
    ccz_rc rc = turn(w, a, err);
    for (size_t g = 0; g < w->m->giants && rc == CCZ_OK; g++)
        rc = add_giant(w, g * s->baby, &empty, err);
    for (size_t k = s->row_period; k < s->col_period && rc == CCZ_OK; k *= 2) {
        rc = ccz_ckks_rotate(w->part, w->e, w->sum, (int64_t)k, w->keys, err);
        rc = rc == CCZ_OK ? ccz_ckks_add(w->sum, w->e, w->sum, w->part, err) : rc;
    }
    return rc;
}

static ccz_rc start(struct work *w, struct ccz_err *err)
{
    size_t baby = w->m->shape.baby;
    w->turned = calloc(baby, sizeof(*w->turned));
    w->cts = calloc(baby, sizeof(*w->cts));
    w->pts = calloc(baby, sizeof(*w->pts));
    w->made = calloc(baby, sizeof(*w->made));
    w->steps = calloc(baby, sizeof(*w->steps));
    if (!w->turned || !w->cts || !w->pts || !w->made || !w->steps)
        return ccz_fail(err, CCZ_E_NOMEM, "ckks:matrix", 0, "out of memory");
    ccz_rc rc = cczi_ckks_take(&w->sum, w->e, err);
    return rc == CCZ_OK ? cczi_ckks_take(&w->part, w->e, err) : rc;
}

static void finish(struct work *w)
{
    for (size_t i = 0; w->made && i < w->m->shape.baby; i++)
        cczi_ckks_give(w->e, w->made[i]);
    cczi_ckks_give(w->e, w->sum);
    cczi_ckks_give(w->e, w->part);
    free(w->turned);
    free(w->cts);
    free(w->pts);
    free(w->made);
    free(w->steps);
}

ccz_rc ccz_ckks_matrix_mul(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                           const struct ccz_ckks_matrix *m, const struct ccz_ckks_ct *a,
                           const struct ccz_rlwe_galois_set *keys, struct ccz_err *err)
{
    struct work w = {.e = e, .m = m, .keys = keys};
    ccz_rc rc = cczi_ckks_operand(e, a, err);
    if (rc != CCZ_OK)
        return rc;
    rc = start(&w, err);
    rc = rc == CCZ_OK ? product(&w, a, err) : rc;
    rc = rc == CCZ_OK ? cczi_ckks_hand_out(out, w.sum, err) : rc;
    finish(&w);
    return rc;
}
