/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The circuit: parameters, where values lie in slots, adding up, the sigmoid. Scales are never forced: each
 * ciphertext carries its own, and where two are added the one of a constant is chosen so that they agree.
 */
#include "helr/helr_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------ parameters */

size_t cczi_helr_primes(unsigned degree)
{
    return degree == 3 ? 4 : 5; /* w . x, then 2 or 3 levels for the polynomial, and q_0 */
}

/* 218 bits are what n = 8192 allows at 128-bit security: exactly depth 3 at a scale of 2^40, with 9 bits above
 * it in q_0 for the result. Depth 4 needs n = 16384. */
void cczi_helr_ring(struct ccz_rlwe_cfg *ring, unsigned degree)
{
    memset(ring, 0, sizeof(*ring));
    ring->n = degree == 3 ? 8192 : 16384;
    ring->data_len = cczi_helr_primes(degree);
    ring->special_len = 1;
    for (size_t i = 1; i < ring->data_len; i++)
        ring->bits[i] = CCZI_HELR_SCALE_BITS;
    ring->bits[0] = ring->bits[ring->data_len] = 49;
}

/* -------------------------------------------------------------------------------------- packing */

/* Row s, features of block b: slot b * rows_max + s, the first in the real part, the second in the imaginary
 * one. per_ct = 1 leaves the imaginary parts unused. */
void cczi_helr_pack(struct ccz_complex *slots, size_t n, const struct ccz_helr_layout *l, size_t ct,
                    const double *x, size_t rows, size_t features)
{
    size_t parts = l->per_ct == 1 ? 1 : 2, first = ct * l->per_ct;
    memset(slots, 0, n / 2 * sizeof(*slots));
    for (size_t f = 0; f < l->per_ct && first + f < features; f++) {
        struct ccz_complex *block = slots + f / parts * l->rows_max;
        const double *from = x + first + f;
        for (size_t s = 0; s < rows; s++) {
            if (f % parts == 0)
                block[s].re = from[s * features];
            else
                block[s].im = from[s * features];
        }
    }
}

/* The real part of (x + i y)(v - i w) is x v + y w; adding the conjugate doubles it, so weights are halved. */
void cczi_helr_pack_weights(struct ccz_complex *slots, size_t n, const struct ccz_helr_layout *l,
                            size_t ct, const double *w, size_t features)
{
    size_t parts = l->per_ct == 1 ? 1 : 2, first = ct * l->per_ct;
    memset(slots, 0, n / 2 * sizeof(*slots));
    for (size_t f = 0; f < l->per_ct && first + f < features; f++) {
        struct ccz_complex *block = slots + f / parts * l->rows_max;
        for (size_t s = 0; s < l->rows_max; s++) {
            if (f % parts == 0)
                block[s].re = w[first + f] / (double)parts;
            else
                block[s].im = -w[first + f] / (double)parts;
        }
    }
}

/* Rotations by n / 4, n / 8, ..: with 2^i blocks these are the multiples of a block that keys of any larger
 * layout hold too. */
int64_t cczi_helr_step(size_t n, unsigned i)
{
    return i == 0 ? 0 : (int64_t)(n / 2 >> i);
}

/* ------------------------------------------------------------------------------------ work space */

ccz_rc cczi_helr_work_new(struct cczi_helr_work **out, const struct ccz_ckks *c,
                          const struct ccz_rlwe_work_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    struct cczi_helr_work *w = calloc(1, sizeof(*w));
    if (!w)
        return ccz_fail(err, CCZ_E_NOMEM, "helr:memory", 0, "out of memory");
    ccz_rc rc = ccz_ckks_eval_new(&w->eval, c, cfg, err);
    for (size_t i = 0; i < CCZI_HELR_CHUNK && rc == CCZ_OK; i++)
        rc = ccz_ckks_ct_new(&w->in[i], c, err);
    for (size_t i = 0; i < CCZI_HELR_TMP && rc == CCZ_OK; i++)
        rc = ccz_ckks_ct_new(&w->tmp[i], c, err);
    if (rc == CCZ_OK)
        rc = ccz_ckks_ct_new(&w->sum, c, err);
    if (rc == CCZ_OK)
        *out = w;
    else
        cczi_helr_work_free(w);
    return rc;
}

void cczi_helr_work_free(struct cczi_helr_work *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < CCZI_HELR_CHUNK; i++)
        ccz_ckks_ct_free(w->in[i]);
    for (size_t i = 0; i < CCZI_HELR_TMP; i++)
        ccz_ckks_ct_free(w->tmp[i]);
    ccz_ckks_ct_free(w->sum);
    ccz_ckks_eval_free(w->eval);
    free(w);
}

/* ------------------------------------------------------------------------------------ adding up */

/* Before the rescale: a key switch adds an error of fixed size, which the division then makes vanish. */
ccz_rc cczi_helr_sum_up(struct cczi_helr_work *w, const struct ccz_helr_layout *l,
                        const struct ccz_rlwe_galois_set *galois, const struct ccz_ckks_ct *bias,
                        struct ccz_err *err)
{
    struct ccz_ckks_ct *sum = w->sum, *turned = w->tmp[0];
    size_t n = 2 * ccz_ckks_slots(sum->ctx);
    ccz_rc rc = CCZ_OK;
    for (unsigned i = 0; i < l->switches && rc == CCZ_OK; i++) {
        rc = i == 0 ? ccz_ckks_conjugate(turned, w->eval, sum, galois, err)
                    : ccz_ckks_rotate(turned, w->eval, sum, cczi_helr_step(n, i), galois, err);
        if (rc == CCZ_OK)
            rc = ccz_ckks_add(sum, w->eval, sum, turned, err);
    }
    if (rc == CCZ_OK && bias)
        rc = ccz_ckks_add(sum, w->eval, sum, bias, err);
    return rc == CCZ_OK ? ccz_ckks_rescale(sum, w->eval, sum, err) : rc;
}

/* -------------------------------------------------------------------------------------- sigmoid */

void cczi_helr_fold(struct cczi_helr_poly *p, unsigned degree, double radius)
{
    double c[4];
    memset(p, 0, sizeof(*p));
    ccz_helr_sigmoid(c, degree, radius);
    unsigned top = (degree - 1) / 2;
    p->degree = degree;
    p->radius = radius;
    double a = pow(fabs(c[top]), 1.0 / degree);
    p->fold = c[top] < 0 ? -a : a;
    /* c_k t^(2k+1) = (c_k / a^(2k+1)) u^(2k+1); the odd power keeps the sign of the fold */
    double power = p->fold;
    for (unsigned k = 0; k < top; k++, power *= p->fold * p->fold)
        p->q[k] = c[k] / power;
}

/* out = a b, relinearized, rescaled. a may be b; where a is at a higher level, out is none of them. */
static ccz_rc product(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e, const struct ccz_ckks_ct *a,
                      const struct ccz_ckks_ct *b, const struct ccz_rlwe_swk *relin,
                      struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    if (ccz_ckks_level(a) > ccz_ckks_level(b)) {
        rc = ccz_ckks_drop(out, e, a, ccz_ckks_level(b) + 1, err);
        a = out;
    }
    if (rc == CCZ_OK)
        rc = a == b ? ccz_ckks_square(out, e, a, err) : ccz_ckks_mul(out, e, a, b, err);
    return rc == CCZ_OK ? ccz_ckks_relin_rescale(out, e, out, relin, err) : rc;
}

/* Degree 7: u (v + q2) v^2 + u (q1 v + q0), both before their relinearization, so that one serves both. */
static ccz_rc degree_7(struct ccz_ckks_ct *out, struct cczi_helr_work *w, const double q[3],
                       const struct ccz_ckks_ct *u, const struct ccz_ckks_ct *v,
                       const struct ccz_rlwe_swk *relin, struct ccz_err *err)
{
    struct ccz_ckks_eval *e = w->eval;
    struct ccz_ckks_ct *a = w->tmp[1], *b = w->tmp[2], *c = w->tmp[3], *d = w->tmp[4];
    const struct ccz_rlwe *ring = ccz_ckks_ring(v->ctx);
    double last = (double)ccz_rlwe_prime(ring, v->ct.limbs - 1);
    ccz_rc rc = ccz_ckks_add_scalar(a, e, v, q[2], err);
    if (rc == CCZ_OK)
        rc = product(d, e, u, a, relin, err); /* u (v + q2) */
    if (rc == CCZ_OK)
        rc = product(b, e, v, v, relin, err);
    /* c = q1 v, at the scale that makes u c one with d b */
    double scale = rc == CCZ_OK ? d->scale * b->scale / u->scale / v->scale * last : 1;
    if (rc == CCZ_OK)
        rc = ccz_ckks_mul_scalar(c, e, v, q[1], scale, err);
    if (rc == CCZ_OK)
        rc = ccz_ckks_rescale(c, e, c, err);
    if (rc == CCZ_OK)
        rc = ccz_ckks_add_scalar(c, e, c, q[0], err);
    if (rc == CCZ_OK)
        rc = ccz_ckks_mul(d, e, d, b, err);
    if (rc == CCZ_OK)
        rc = ccz_ckks_drop(a, e, u, ccz_ckks_level(c) + 1, err);
    if (rc == CCZ_OK)
        rc = ccz_ckks_mul(a, e, a, c, err);
    if (rc == CCZ_OK)
        rc = ccz_ckks_add(out, e, d, a, err);
    return rc == CCZ_OK ? ccz_ckks_relin_rescale(out, e, out, relin, err) : rc;
}

ccz_rc cczi_helr_sigmoid(struct ccz_ckks_ct **out, struct cczi_helr_work *w,
                         const struct cczi_helr_poly *p, const struct ccz_rlwe_swk *relin,
                         struct ccz_err *err)
{
    struct ccz_ckks_eval *e = w->eval;
    struct ccz_ckks_ct *u = w->sum, *v = w->tmp[0], *a = w->tmp[1], *r = w->tmp[5];
    *out = NULL;
    /* The bound so far assumes that all features are extreme at once. Beyond the radius the score means
     * nothing anyway, so that one that wraps harms nobody. */
    double bound = fabs(p->fold) * p->radius * u->scale;
    u->bound = u->bound < bound ? u->bound : bound;
    ccz_rc rc = product(v, e, u, u, relin, err);
    if (rc == CCZ_OK && p->degree == 7) {
        rc = degree_7(r, w, p->q, u, v, relin, err);
    } else if (rc == CCZ_OK) {
        const struct ccz_ckks_ct *inner = v;
        if (p->degree == 5) { /* v (v + q1) */
            rc = ccz_ckks_add_scalar(a, e, v, p->q[1], err);
            if (rc == CCZ_OK)
                rc = product(a, e, v, a, relin, err);
            inner = a;
        }
        if (rc == CCZ_OK)
            rc = ccz_ckks_add_scalar(w->tmp[2], e, inner, p->q[0], err);
        if (rc == CCZ_OK)
            rc = product(r, e, u, w->tmp[2], relin, err);
    }
    if (rc == CCZ_OK)
        rc = ccz_ckks_add_scalar(r, e, r, 0.5, err);
    if (rc == CCZ_OK)
        *out = r;
    return rc;
}
