/* SPDX-License-Identifier: Apache-2.0 */
/* Sums, norms and clipping; SCAFFOLD and staleness. */
#include "agg_priv.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

ccz_rc cczi_agg_refuse_len(struct ccz_err *err, size_t len)
{
    return ccz_refuse_num(err, CCZ_E_ARG, "agg:len", (int64_t)len, (int64_t)CCZ_AGG_LEN_MAX);
}

ccz_rc cczi_agg_refuse_value(struct ccz_err *err, const char *what, int64_t aux, float got)
{
    char text[CCZ_ERR_VALUE_SIZE];
    (void)snprintf(text, sizeof(text), "%g in %s %" PRId64, (double)got, what, aux);
    ccz_rc rc = ccz_refuse(err, CCZ_E_FORMAT, "agg:nonfinite", text, "finite values");
    if (err)
        err->aux = aux;
    return rc;
}

void ccz_agg_add(float *acc, const float *x, float w, size_t len)
{
    cczi_agg_kernels(NULL)->add(acc, x, w, len);
}

void ccz_agg_sub(float *r, const float *a, const float *b, size_t len)
{
    cczi_agg_kernels(NULL)->sub(r, a, b, len);
}

void ccz_agg_axpby(float *y, float a, const float *x, float b, size_t len)
{
    if (b == 0)
        cczi_agg_kernels(NULL)->scale(y, a, x, len);
    else
        cczi_agg_kernels(NULL)->axpby(y, a, x, b, len);
}

void ccz_agg_scale(float *x, float w, size_t len)
{
    cczi_agg_kernels(NULL)->scale(x, w, x, len);
}

size_t ccz_agg_nonfinite(const float *x, size_t len)
{
    const struct cczi_agg_kernels *k = cczi_agg_kernels(NULL);
    size_t i = 0;
    while (i < len) { /* by tiles, so that the first one is found soon */
        size_t n = len - i < CCZI_AGG_TILE ? len - i : CCZI_AGG_TILE;
        if (k->max_abs(x + i, n) >= CCZI_AGG_INF_BITS)
            break;
        i += n;
    }
    while (i < len && isfinite(x[i]))
        i++;
    return i;
}

/* ------------------------------------------------------------------------------ norm, clipping */

void ccz_agg_norm_add(struct ccz_agg_norm *n, const float *x, size_t len)
{
    size_t i = 0;
    for (; i < len && n->len % CCZ_AGG_LANES != 0; i++, n->len++)
        n->lanes[n->len % CCZ_AGG_LANES] += (double)x[i] * (double)x[i];
    size_t whole = (len - i) / CCZ_AGG_LANES * CCZ_AGG_LANES;
    cczi_agg_kernels(NULL)->squares(n->lanes, x + i, whole);
    n->len += whole;
    for (i += whole; i < len; i++, n->len++)
        n->lanes[n->len % CCZ_AGG_LANES] += (double)x[i] * (double)x[i];
}

double ccz_agg_norm_value(const struct ccz_agg_norm *n)
{
    return sqrt(cczi_agg_lanes_sum(n->lanes));
}

ccz_rc ccz_agg_norm_check(const struct ccz_agg_norm *n, double bound, struct ccz_err *err)
{
    double norm = ccz_agg_norm_value(n);
    char got[CCZ_ERR_VALUE_SIZE], expected[CCZ_ERR_VALUE_SIZE];
    (void)snprintf(got, sizeof(got), "norm %.9g", norm);
    (void)snprintf(expected, sizeof(expected), "at most %.9g", bound);
    if (!isfinite(norm))
        return ccz_refuse(err, CCZ_E_FORMAT, "agg:nonfinite", got, "finite values");
    if (bound != 0 && !(norm <= bound)) /* a bound that is NaN lets nothing pass */
        return ccz_refuse(err, CCZ_E_LIMIT, "agg:norm", got, expected);
    return CCZ_OK;
}

/*
 * Relative errors: of the norm below 2^-23, of the factor as a float32 2^-24, of each product 2^-24 (where it is not
 * subnormal: 2^-150 in each of 2^36 elements is 2^-132 in all, less than 2^-51 of the bound). 2^-21 covers them.
 */
float ccz_agg_clip_factor(double norm, double bound)
{
    if (!isfinite(norm) || !(bound >= 0x1p-80))
        return 0;
    if (norm <= bound)
        return 1;
    double f = bound / norm * (1 - 0x1p-21);
    return f < (double)FLT_MIN
               ? 0
               : (float)f; /* a subnormal factor could be rounded up by half of it */
}

double ccz_agg_clip(float *x, size_t len, double bound)
{
    struct ccz_agg_norm n = {.len = 0};
    ccz_agg_norm_add(&n, x, len);
    double norm = ccz_agg_norm_value(&n);
    float f = ccz_agg_clip_factor(norm, bound);
    if (f == 0)
        memset(x, 0, len * sizeof(*x)); /* 0 times an infinity would be NaN */
    else if (f != 1)
        ccz_agg_scale(x, f, len);
    return norm;
}

/* ------------------------------------------------------------------------- SCAFFOLD, staleness */

ccz_rc ccz_agg_scaffold_client(float *dc, float *ci, const float *c, const float *x, const float *y,
                               size_t len, uint64_t steps, float lr, struct ccz_err *err)
{
    if (steps == 0 || !(lr > 0) || !isfinite(lr))
        return ccz_fail(err, CCZ_E_ARG, "agg:scaffold", (int64_t)steps,
                        "got %" PRIu64 " steps at rate %g, expected positive numbers", steps,
                        (double)lr);
    float inverse = (float)(1 / ((double)steps * (double)lr));
    cczi_agg_kernels(NULL)->scaffold(dc, ci, c, x, y, inverse, len);
    return CCZ_OK;
}

void ccz_agg_scaffold_server(float *c, const float *sum, uint64_t clients, size_t len)
{
    ccz_agg_add(c, sum, (float)(1 / (double)clients), len);
}

float ccz_agg_staleness(uint64_t rounds, float exponent)
{
    double t = 1 + (double)rounds;
    if (exponent == 0)
        return 1;
    if (exponent == 0.5f) /* exactly rounded everywhere, unlike pow() */
        return (float)(1 / sqrt(t));
    return exponent == 1 ? (float)(1 / t) : (float)pow(t, -(double)exponent);
}
