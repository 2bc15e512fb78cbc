/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Polynomials of a ciphertext (Paterson and Stockmeyer, SIAM J. Comput. 2, 1973; scales chosen from the
 * result backwards as in Bossuat, Mouchet, Troncoso-Pastoriza, Hubaux, EUROCRYPT 2021).
 *
 * c[0..d] is split at the power of two j <= d: c = q P_j + r, where P_k is x^k or T_k(x). A part whose
 * basis elements exist with enough primes is a sum of products with scalars. Everything is computed before
 * its rescale (but constants after it), at `limbs` primes and a wanted scale, from which those of q
 * follow: so both sides of a sum have the same scale, but for the rounding of doubles. q is one level above; what is left
 * of it after k splits has degree 1 at the top, and every r has a level more than it needs.
 */
#include "ckks_priv.h"

#include <math.h>
#include <string.h>

enum { POWERS_MAX = CCZ_CKKS_DEGREE_MAX + 1, BABY_LOG_MAX = 5 };

struct poly {
    struct ccz_ckks_eval *e;
    const struct ccz_rlwe_swk *relin;
    enum ccz_ckks_basis basis;
    size_t top;  /* primes of the input */
    size_t baby; /* parts of degree below this are sums, if there are enough primes */
    double coeff[POWERS_MAX];
    /* P_k, once it was needed; [1] is a copy of the input */
    struct ccz_ckks_ct *power[POWERS_MAX];
};

static unsigned log2_floor(size_t x)
{
    unsigned r = 0;
    while (x >>= 1)
        r++;
    return r;
}

static unsigned log2_ceil(size_t x)
{
    return x <= 1 ? 0 : log2_floor(x - 1) + 1;
}

unsigned ccz_ckks_poly_depth(size_t degree)
{
    return log2_ceil(degree + 1);
}

/* In place: c[j..d] becomes q, c[0..j-1] r. Chebyshev: T_(j+i) = 2 T_j T_i - T_(j-i). */
static void split(double *c, size_t d, size_t j, enum ccz_ckks_basis basis)
{
    if (basis != CCZ_CKKS_CHEBYSHEV)
        return;
    for (size_t i = 1; i <= d - j; i++) {
        c[j - i] -= c[j + i];
        c[j + i] *= 2;
    }
}

static size_t trimmed(const double *c, size_t d)
{
    while (d > 0 && c[d] == 0)
        d--;
    return d;
}

/* Whether c is a sum of what exists with `limbs` primes. */
static bool is_sum(const struct poly *p, const double *c, size_t d, size_t limbs)
{
    if (d >= p->baby && (d & (d - 1) || d == 0))
        return d == 0;
    for (size_t k = 1; k <= d; k++) {
        if (c[k] != 0 && (p->top - log2_ceil(k) < limbs || (k >= p->baby && k != d)))
            return false;
    }
    return true;
}

/* ----------------------------------------------------------------------- how many products it takes */

static void count_power(const struct poly *p, bool *have, size_t *products, size_t k)
{
    if (k <= 1 || have[k])
        return;
    size_t i = (size_t)1 << log2_floor(k - 1), j = k - i;
    count_power(p, have, products, i);
    count_power(p, have, products, j);
    if (p->basis == CCZ_CKKS_CHEBYSHEV)
        count_power(p, have, products, i - j);
    have[k] = true;
    ++*products;
}

static void count(const struct poly *p, bool *have, size_t *products, double *c, size_t d,
                  size_t limbs)
{
    d = trimmed(c, d);
    if (is_sum(p, c, d, limbs)) {
        for (size_t k = 1; k <= d; k++)
            if (c[k] != 0)
                count_power(p, have, products, k);
        return;
    }
    size_t j = (size_t)1 << log2_floor(d);
    split(c, d, j, p->basis);
    count_power(p, have, products, j);
    if (d > j) {
        count(p, have, products, c + j, d - j, limbs + 1);
        ++*products;
    }
    count(p, have, products, c, j - 1, limbs);
}

/* The length of sums that takes the fewest products. */
static void choose_baby(struct poly *p, size_t d)
{
    size_t best = SIZE_MAX, best_baby = 2, limbs = p->top - ccz_ckks_poly_depth(d) + 1;
    for (unsigned log = 1; log <= BABY_LOG_MAX; log++) {
        bool have[POWERS_MAX] = {false};
        double c[POWERS_MAX];
        size_t products = 0;
        memcpy(c, p->coeff, sizeof(c));
        p->baby = (size_t)1 << log;
        count(p, have, &products, c, d, limbs);
        if (products < best) {
            best = products;
            best_baby = p->baby;
        }
    }
    p->baby = best_baby;
}

/* ----------------------------------------------------------------------------------------- powers */

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* out = a b at the fewer primes of both and relinearized, not rescaled. */
static ccz_rc multiply(struct ccz_ckks_ct *out, struct poly *p, const struct ccz_ckks_ct *a,
                       const struct ccz_ckks_ct *b, size_t limbs, struct ccz_err *err)
{
    struct ccz_ckks_ct *low[2] = {NULL, NULL};
    const struct ccz_ckks_ct *in[2] = {a, b};
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < 2 && rc == CCZ_OK; i++) {
        if (in[i]->ct.limbs == limbs)
            continue;
        rc = cczi_ckks_take(&low[i], p->e, err);
        rc = rc == CCZ_OK ? ccz_ckks_drop(low[i], p->e, in[i], limbs, err) : rc;
        in[i] = low[i];
    }
    if (rc == CCZ_OK)
        rc = a == b ? ccz_ckks_square(out, p->e, in[0], err)
                    : ccz_ckks_mul(out, p->e, in[0], in[1], err);
    cczi_ckks_give(p->e, low[0]);
    cczi_ckks_give(p->e, low[1]);
    return rc == CCZ_OK ? ccz_ckks_relin(out, p->e, out, p->relin, err) : rc;
}

/* out += a c at the primes and the scale of out. A factor that rounds to 0 is part of the error. */
static ccz_rc add_scaled(struct ccz_ckks_ct *out, struct poly *p, const struct ccz_ckks_ct *a,
                         double c, struct ccz_err *err)
{
    struct ccz_ckks_ct *term;
    double scale = out->scale / a->scale;
    if (fabs(c * scale) <= 0.5) {
        out->noise += fabs(c * scale) * a->bound;
        return CCZ_OK;
    }
    ccz_rc rc = cczi_ckks_take(&term, p->e, err);
    if (rc != CCZ_OK)
        return rc;
    rc = ccz_ckks_drop(term, p->e, a, out->ct.limbs, err);
    rc = rc == CCZ_OK ? ccz_ckks_mul_scalar(term, p->e, term, c, scale, err) : rc;
    rc = rc == CCZ_OK ? ccz_ckks_add(out, p->e, out, term, err) : rc;
    cczi_ckks_give(p->e, term);
    return rc;
}

/* |T_k| <= 1, which bounds of products do not know. */
static void bound_by_one(struct ccz_ckks_ct *ct)
{
    double bound = ct->scale * (1 + 0x1p-10);
    ct->bound = ct->bound > bound ? bound : ct->bound;
}

static ccz_rc make_power(struct poly *p, size_t k, struct ccz_err *err);

/* T_(i+j) = 2 T_i T_j - T_(i-j), from the product in out. */
static ccz_rc finish_chebyshev(struct ccz_ckks_ct *out, struct poly *p, size_t difference,
                               struct ccz_err *err)
{
    ccz_rc rc = ccz_ckks_add(out, p->e, out, out, err);
    if (rc == CCZ_OK && difference > 0)
        rc = make_power(p, difference, err);
    if (rc == CCZ_OK && difference > 0)
        rc = add_scaled(out, p, p->power[difference], -1, err);
    rc = rc == CCZ_OK ? ccz_ckks_rescale(out, p->e, out, err) : rc;
    if (rc == CCZ_OK && difference == 0)
        rc = ccz_ckks_add_scalar(out, p->e, out, -1, err);
    bound_by_one(out);
    return rc;
}

/* Depth log2(k), rounded up: a power of two is a square, another number the largest one below plus the
 * rest. At most log2(k) calls deep. */
static ccz_rc make_power(struct poly *p, size_t k, struct ccz_err *err)
{
    if (p->power[k])
        return CCZ_OK;
    size_t i = (size_t)1 << log2_floor(k - 1), j = k - i;
    ccz_rc rc = make_power(p, i, err);
    rc = rc == CCZ_OK ? make_power(p, j, err) : rc;
    rc = rc == CCZ_OK ? cczi_ckks_take(&p->power[k], p->e, err) : rc;
    if (rc != CCZ_OK)
        return rc;
    struct ccz_ckks_ct *out = p->power[k];
    const struct ccz_ckks_ct *a = p->power[i], *b = p->power[j];
    rc = multiply(out, p, a, b, min_size(a->ct.limbs, b->ct.limbs), err);
    if (rc == CCZ_OK && p->basis == CCZ_CKKS_CHEBYSHEV)
        return finish_chebyshev(out, p, i - j, err);
    return rc == CCZ_OK ? ccz_ckks_rescale(out, p->e, out, err) : rc;
}

/* ------------------------------------------------------------------------------------- evaluation */

/* out = a c at so many primes and this scale. @retval CCZ_E_ARG "ckks:zero" */
static ccz_rc set_scaled(struct ccz_ckks_ct *out, struct poly *p, const struct ccz_ckks_ct *a,
                         double c, size_t limbs, double scale, struct ccz_err *err)
{
    ccz_rc rc = ccz_ckks_drop(out, p->e, a, limbs, err);
    return rc == CCZ_OK ? ccz_ckks_mul_scalar(out, p->e, out, c, scale / a->scale, err) : rc;
}

/* The terms of degree 1 to d, added to out, or its value if it is `empty`. */
static ccz_rc add_sum(struct ccz_ckks_ct *out, struct poly *p, const double *c, size_t d,
                      bool empty, size_t limbs, double scale, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t k = d; k >= 1 && rc == CCZ_OK; k--) {
        if (c[k] == 0)
            continue;
        rc = make_power(p, k, err);
        if (rc == CCZ_OK && empty)
            rc = set_scaled(out, p, p->power[k], c[k], limbs, scale, err);
        else if (rc == CCZ_OK)
            rc = add_scaled(out, p, p->power[k], c[k], err);
        empty = false;
    }
    return rc;
}

static ccz_rc evaluate(struct ccz_ckks_ct *out, struct poly *p, double *c, size_t d, size_t limbs,
                       double scale, struct ccz_err *err);

/* out = q P_j, q = c[j..d] with a level more. */
static ccz_rc lead(struct ccz_ckks_ct *out, struct poly *p, double *c, size_t d, size_t j,
                   size_t limbs, double scale, struct ccz_err *err)
{
    ccz_rc rc = make_power(p, j, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_ckks_ct *power = p->power[j];
    if (d == j) /* q is a number */
        return set_scaled(out, p, power, c[j], limbs, scale, err);
    double dropped = (double)ccz_rlwe_prime(p->e->ctx->ring, limbs);
    rc = evaluate(out, p, c + j, d - j, limbs + 1, scale / power->scale * dropped, err);
    rc = rc == CCZ_OK ? ccz_ckks_rescale(out, p->e, out, err) : rc;
    if (rc == CCZ_OK && c[j] != 0)
        rc = ccz_ckks_add_scalar(out, p->e, out, c[j], err);
    return rc == CCZ_OK ? multiply(out, p, out, power, limbs, err) : rc;
}

/* out = the polynomial without c[0], at `limbs` primes and `scale`, not rescaled. c[d] is not 0, d > 0. At
 * most log2(d) calls deep. */
static ccz_rc evaluate(struct ccz_ckks_ct *out, struct poly *p, double *c, size_t d, size_t limbs,
                       double scale, struct ccz_err *err)
{
    if (is_sum(p, c, d, limbs))
        return add_sum(out, p, c, d, true, limbs, scale, err);
    size_t j = (size_t)1 << log2_floor(d);
    struct ccz_ckks_ct *rest = NULL;
    split(c, d, j, p->basis);
    ccz_rc rc = lead(out, p, c, d, j, limbs, scale, err);
    d = trimmed(c, j - 1);
    if (rc != CCZ_OK || is_sum(p, c, d, limbs))
        return rc == CCZ_OK ? add_sum(out, p, c, d, false, limbs, scale, err) : rc;
    rc = cczi_ckks_take(&rest, p->e, err);
    rc = rc == CCZ_OK ? evaluate(rest, p, c, d, limbs, scale, err) : rc;
    rc = rc == CCZ_OK ? ccz_ckks_add(out, p->e, out, rest, err) : rc;
    cczi_ckks_give(p->e, rest);
    return rc;
}

static ccz_rc check(const struct ccz_ckks_eval *e, const struct ccz_ckks_ct *a,
                    enum ccz_ckks_basis basis, const double *coeff, size_t degree, size_t *d,
                    struct ccz_err *err)
{
    ccz_rc rc = cczi_ckks_operand(e, a, err);
    if (rc != CCZ_OK)
        return rc;
    if (degree > CCZ_CKKS_DEGREE_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "ckks:poly-degree", (int64_t)degree,
                              CCZ_CKKS_DEGREE_MAX);
    for (size_t i = 0; i <= degree; i++)
        if (!isfinite(coeff[i]))
            return ccz_fail(err, CCZ_E_ARG, "ckks:value", (int64_t)i,
                            "coefficient %zu is not finite", i);
    *d = trimmed(coeff, degree);
    if (*d == 0)
        return ccz_fail(err, CCZ_E_ARG, "ckks:poly-degree", 0, "the polynomial is constant");
    if (a->ct.limbs <= ccz_ckks_poly_depth(*d)) {
        rc = ccz_refuse_num(err, CCZ_E_ARG, "ckks:poly-depth", (int64_t)a->ct.limbs - 1,
                            (int64_t)ccz_ckks_poly_depth(*d));
        return ccz_hint(err, rc, "the ciphertext has fewer levels than the polynomial takes");
    }
    if (basis == CCZ_CKKS_CHEBYSHEV && a->bound > a->scale * (1 + 0x1p-10)) {
        rc = ccz_fail(err, CCZ_E_ARG, "ckks:poly-range", 0, "values up to %.3g, expected 1",
                      a->bound / a->scale);
        return ccz_hint(err, rc, "ccz_ckks_assume() if you know them to be within [-1, 1]");
    }
    return CCZ_OK;
}

ccz_rc ccz_ckks_poly(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e, const struct ccz_ckks_ct *a,
                     enum ccz_ckks_basis basis, const double *coeff, size_t degree, double scale,
                     const struct ccz_rlwe_swk *relin, struct ccz_err *err)
{
    struct poly p = {.e = e, .relin = relin, .basis = basis, .top = a->ct.limbs};
    struct ccz_ckks_ct *result = NULL;
    size_t d = 0;
    ccz_rc rc = check(e, a, basis, coeff, degree, &d, err);
    if (rc == CCZ_OK && !(isfinite(scale) && scale >= 0))
        rc = ccz_fail(err, CCZ_E_ARG, "ckks:scale", 0, "the scale %g is not 0 or positive", scale);
    if (rc != CCZ_OK)
        return rc;
    memcpy(p.coeff, coeff, (d + 1) * sizeof(*coeff));
    choose_baby(&p, d);
    size_t limbs = p.top - ccz_ckks_poly_depth(d) + 1;
    double dropped = (double)ccz_rlwe_prime(e->ctx->ring, limbs - 1);
    rc = cczi_ckks_take(&p.power[1], e, err);
    rc = rc == CCZ_OK ? ccz_ckks_copy(p.power[1], a) : rc;
    rc = rc == CCZ_OK ? cczi_ckks_take(&result, e, err) : rc;
    if (rc == CCZ_OK)
        rc = evaluate(result, &p, p.coeff, d, limbs, (scale > 0 ? scale : a->scale) * dropped, err);
    rc = rc == CCZ_OK ? ccz_ckks_rescale(result, e, result, err) : rc;
    if (rc == CCZ_OK && p.coeff[0] != 0)
        rc = ccz_ckks_add_scalar(result, e, result, p.coeff[0], err);
    rc = rc == CCZ_OK ? cczi_ckks_hand_out(out, result, err) : rc;
    cczi_ckks_give(e, result);
    for (size_t i = 0; i < POWERS_MAX; i++)
        cczi_ckks_give(e, p.power[i]);
    return rc;
}

ccz_rc ccz_ckks_assume(struct ccz_ckks_ct *ct, double max_value, struct ccz_err *err)
{
    if (!isfinite(max_value) || max_value <= 0)
        return ccz_fail(err, CCZ_E_ARG, "ckks:value", 0, "the bound %g is not positive and finite",
                        max_value);
    double bound = max_value * ct->scale;
    ct->bound = ct->bound > bound ? bound : ct->bound;
    return CCZ_OK;
}
