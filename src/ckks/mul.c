/* SPDX-License-Identifier: Apache-2.0 */
/* Products of ciphertexts. */
#include "ckks_priv.h"

#include <math.h>
#include <string.h>

struct job {
    const struct ccz_kernels *k;
    const struct ccz_ckks *c;
    uint64_t *out[3];
    const uint64_t *a[2], *b[2];
    const struct ccz_ckks_ct *const *list[2];
    size_t len;
};

static const struct ccz_modulus *modulus(const struct job *j, size_t i)
{
    return ccz_ntt_modulus(ccz_rlwe_ntt(j->c->ring, i));
}

static void tensor_limb(void *arg, size_t i)
{
    const struct job *j = arg;
    const size_t at = i * j->c->n;
    uint64_t *const r[3] = {j->out[0] + at, j->out[1] + at, j->out[2] + at};
    const uint64_t *const a[2] = {j->a[0] + at, j->a[1] + at};
    const uint64_t *const b[2] = {j->b[0] + at, j->b[1] + at};
    if (j->a[0] == j->b[0])
        j->k->tensor_square(r, a, j->c->n, modulus(j, i));
    else
        j->k->tensor(r, a, b, j->c->n, modulus(j, i));
}

static ccz_rc check_factors(const struct ccz_ckks_eval *e, const struct ccz_ckks_ct *a,
                            const struct ccz_ckks_ct *b, struct ccz_err *err)
{
    ccz_rc rc = cczi_ckks_pair(e, a, b, err);
    if (rc != CCZ_OK)
        return rc;
    if (a->ct.parts == 2 && b->ct.parts == 2)
        return CCZ_OK;
    rc = ccz_refuse_num(err, CCZ_E_ARG, "ckks:parts", 3, 2);
    return ccz_hint(err, rc, "relinearize first: ccz_ckks_relin()");
}

static struct cczi_ckks_meta product(const struct ccz_ckks_ct *a, const struct ccz_ckks_ct *b)
{
    return (struct cczi_ckks_meta){a->scale * b->scale, a->bound * b->bound,
                                   a->bound * b->noise + b->bound * a->noise + a->noise * b->noise};
}

ccz_rc ccz_ckks_mul(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e, const struct ccz_ckks_ct *a,
                    const struct ccz_ckks_ct *b, struct ccz_err *err)
{
    ccz_rc rc = check_factors(e, a, b, err);
    const struct cczi_ckks_meta meta = product(a, b);
    if (rc == CCZ_OK)
        rc = cczi_ckks_result(e->ctx, &meta, a->ct.limbs, err);
    if (rc == CCZ_OK)
        rc = cczi_ckks_output(out, e, a, b, 3, err);
    if (rc != CCZ_OK)
        return rc;
    struct job j = {.k = ccz_kernels(NULL), .c = e->ctx};
    for (size_t p = 0; p < 3; p++)
        j.out[p] = out->ct.c[p];
    for (size_t p = 0; p < 2; p++) {
        j.a[p] = a->ct.c[p];
        j.b[p] = b->ct.c[p];
    }
    const size_t limbs = a->ct.limbs;
    ccz_rlwe_parallel(e->work, limbs, tensor_limb, &j);
    cczi_ckks_finish(out, a, 3, limbs, meta);
    return CCZ_OK;
}

ccz_rc ccz_ckks_square(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                       const struct ccz_ckks_ct *a, struct ccz_err *err)
{
    return ccz_ckks_mul(out, e, a, a, err);
}

/* -------------------------------------------------------------------------- sums of products */

enum { TERMS = 32 }; /* products that one pass reads */

/* Part `part` of the sum modulo prime i; the middle one has two products per term. */
static void dot_limb(void *arg, size_t item)
{
    const struct job *j = arg;
    const size_t n = j->c->n, i = item / 3, part = item % 3, at = i * n;
    const uint64_t *a[2 * TERMS], *b[2 * TERMS];
    for (size_t from = 0; from < j->len; from += TERMS) {
        size_t len = 0;
        for (size_t k = from; k < j->len && k < from + TERMS; k++) {
            uint64_t *const *x = j->list[0][k]->ct.c, *const *y = j->list[1][k]->ct.c;
            a[len] = x[part / 2] + at;
            b[len++] = y[part - part / 2] + at;
            if (part == 1) {
                a[len] = x[1] + at;
                b[len++] = y[0] + at;
            }
        }
        j->k->mac(j->out[part] + at, a, b, len, n, modulus(j, i), from > 0);
    }
}

ccz_rc ccz_ckks_dot(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                    const struct ccz_ckks_ct *const *a, const struct ccz_ckks_ct *const *b,
                    size_t len, struct ccz_err *err)
{
    struct cczi_ckks_meta meta = {0};
    ccz_rc rc = CCZ_OK;
    if (len < 1 || len > CCZ_MAC_TERMS_MAX / 2)
        return ccz_refuse_num(err, CCZ_E_ARG, "ckks:terms", (int64_t)len, CCZ_MAC_TERMS_MAX / 2);
    for (size_t k = 0; rc == CCZ_OK && k < len; k++) {
        rc = check_factors(e, a[0], a[k], err);
        if (rc == CCZ_OK)
            rc = check_factors(e, a[0], b[k], err);
        if (rc != CCZ_OK)
            return rc;
        const struct cczi_ckks_meta term = product(a[k], b[k]);
        meta.scale = k ? meta.scale : term.scale;
        meta.bound += term.bound;
        meta.noise += term.noise;
        rc = cczi_ckks_scales(meta.scale, term.scale, err);
        if (rc == CCZ_OK && (out == a[k] || out == b[k]))
            rc = ccz_fail(err, CCZ_E_ARG, "ckks:in-place", (int64_t)k,
                          "the output is an input of the sum");
    }
    if (rc == CCZ_OK)
        rc = cczi_ckks_result(e->ctx, &meta, a[0]->ct.limbs, err);
    if (rc == CCZ_OK)
        rc = cczi_ckks_output(out, e, NULL, NULL, 3, err);
    if (rc != CCZ_OK)
        return rc;
    struct job j = {.k = ccz_kernels(NULL), .c = e->ctx, .list = {a, b}, .len = len};
    for (size_t p = 0; p < 3; p++)
        j.out[p] = out->ct.c[p];
    ccz_rlwe_parallel(e->work, 3 * a[0]->ct.limbs, dot_limb, &j);
    cczi_ckks_finish(out, a[0], 3, a[0]->ct.limbs, meta);
    return CCZ_OK;
}

ccz_rc ccz_ckks_relin(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e, const struct ccz_ckks_ct *a,
                      const struct ccz_rlwe_swk *k, struct ccz_err *err)
{
    ccz_rc rc = cczi_ckks_operand(e, a, err);
    if (rc != CCZ_OK)
        return rc;
    if (out->ctx != e->ctx)
        return ccz_fail(err, CCZ_E_MISMATCH, "ckks:context", 0, "the output is of another context");
    struct cczi_ckks_meta meta = {a->scale, a->bound, a->noise};
    if (a->ct.parts == 3)
        meta.noise += cczi_ckks_canon(e->ctx, ccz_rlwe_var_switch(e->ctx->ring, a->ct.limbs));
    rc = ccz_rlwe_relinearize(&out->ct, e->work, &a->ct, k, err);
    if (rc == CCZ_OK) {
        out->scale = meta.scale;
        out->bound = meta.bound;
        out->noise = meta.noise;
    }
    return rc;
}

ccz_rc ccz_ckks_relin_rescale(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                              const struct ccz_ckks_ct *a, const struct ccz_rlwe_swk *k,
                              struct ccz_err *err)
{
    ccz_rc rc = cczi_ckks_operand(e, a, err);
    if (rc != CCZ_OK)
        return rc;
    if (out->ctx != e->ctx)
        return ccz_fail(err, CCZ_E_MISMATCH, "ckks:context", 0, "the output is of another context");
    const struct ccz_rlwe *r = e->ctx->ring;
    const double q = (double)ccz_rlwe_prime(r, a->ct.limbs - 1);
    double noise = a->noise;
    if (a->ct.parts == 3)
        noise += cczi_ckks_canon(e->ctx, ccz_rlwe_var_switch(r, a->ct.limbs));
    noise = noise / q + cczi_ckks_canon(e->ctx, ccz_rlwe_var_round(r, 2));
    const struct cczi_ckks_meta meta = {a->scale / q, a->bound / q, noise};
    rc = ccz_rlwe_relinearize_rescale(&out->ct, e->work, &a->ct, k, err);
    if (rc == CCZ_OK)
        cczi_ckks_finish(out, out, 2, out->ct.limbs, meta);
    return rc;
}
