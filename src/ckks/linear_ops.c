/* SPDX-License-Identifier: Apache-2.0 */
/* Sums, plaintext and scalar operations, weighted sums, changes of level. */
#include "ckks_priv.h"

#include <math.h>
#include <string.h>

/* One prime of an operation on the parts of ciphertexts. */
struct job {
    const struct ccz_kernels *k;
    const struct ccz_ckks *c;
    uint64_t *out[3];
    const uint64_t *a[3], *b[3];
    size_t a_parts, b_parts, parts;
    double factor;                         /* an integer */
    const struct ccz_ckks_ct *const *list; /* of weighted sums */
    const struct ccz_ckks_pt *const *plain;
    const double *value;
    size_t len;
    double scale;
};

static struct job job_from(const struct ccz_ckks_ct *out, const struct ccz_ckks_ct *a,
                           const struct ccz_ckks_ct *b)
{
    struct job j = {.k = ccz_kernels(NULL), .c = out->ctx, .a_parts = a ? a->ct.parts : 0};
    for (size_t p = 0; p < 3; p++) {
        j.out[p] = out->ct.c[p];
        j.a[p] = a ? a->ct.c[p] : NULL;
        j.b[p] = b ? b->ct.c[p] : NULL;
    }
    j.b_parts = b ? b->ct.parts : 0;
    j.parts = j.a_parts > j.b_parts ? j.a_parts : j.b_parts;
    return j;
}

static const struct ccz_modulus *modulus(const struct job *j, size_t i)
{
    return ccz_ntt_modulus(ccz_rlwe_ntt(j->c->ring, i));
}

/* ------------------------------------------------------------------------------------- sums */

/* A part that one of the two lacks is that of the other. */
static void add_limb(void *arg, size_t i)
{
    const struct job *j = arg;
    const size_t n = j->c->n, at = i * n;
    for (size_t p = 0; p < j->parts; p++) {
        uint64_t *out = j->out[p] + at;
        if (p < j->a_parts && p < j->b_parts)
            j->k->add(out, j->a[p] + at, j->b[p] + at, n, modulus(j, i));
        else
            memmove(out, (p < j->a_parts ? j->a[p] : j->b[p]) + at, n * sizeof(*out));
    }
}

static void sub_limb(void *arg, size_t i)
{
    const struct job *j = arg;
    const size_t n = j->c->n, at = i * n;
    for (size_t p = 0; p < j->parts; p++) {
        uint64_t *out = j->out[p] + at;
        if (p < j->a_parts && p < j->b_parts)
            j->k->sub(out, j->a[p] + at, j->b[p] + at, n, modulus(j, i));
        else if (p < j->a_parts)
            memmove(out, j->a[p] + at, n * sizeof(*out));
        else
            j->k->neg(out, j->b[p] + at, n, modulus(j, i));
    }
}

static ccz_rc combine(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e, const struct ccz_ckks_ct *a,
                      const struct ccz_ckks_ct *b, void (*limb)(void *arg, size_t i),
                      struct ccz_err *err)
{
    ccz_rc rc = cczi_ckks_pair(e, a, b, err);
    if (rc == CCZ_OK)
        rc = cczi_ckks_scales(a->scale, b->scale, err);
    const struct cczi_ckks_meta meta = {a->scale, a->bound + b->bound, a->noise + b->noise};
    if (rc == CCZ_OK)
        rc = cczi_ckks_fits(e->ctx, meta.bound, a->ct.limbs, err);
    const size_t limbs = a->ct.limbs, parts = a->ct.parts > b->ct.parts ? a->ct.parts : b->ct.parts;
    if (rc == CCZ_OK)
        rc = cczi_ckks_output(out, e, a, b, parts, err);
    if (rc != CCZ_OK)
        return rc;
    struct job j = job_from(out, a, b);
    ccz_rlwe_parallel(e->work, limbs, limb, &j);
    cczi_ckks_finish(out, a, parts, limbs, meta);
    return CCZ_OK;
}

ccz_rc ccz_ckks_add(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e, const struct ccz_ckks_ct *a,
                    const struct ccz_ckks_ct *b, struct ccz_err *err)
{
    return combine(out, e, a, b, add_limb, err);
}

ccz_rc ccz_ckks_sub(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e, const struct ccz_ckks_ct *a,
                    const struct ccz_ckks_ct *b, struct ccz_err *err)
{
    return combine(out, e, a, b, sub_limb, err);
}

static void neg_limb(void *arg, size_t i)
{
    const struct job *j = arg;
    const size_t n = j->c->n, at = i * n;
    for (size_t p = 0; p < j->a_parts; p++)
        j->k->neg(j->out[p] + at, j->a[p] + at, n, modulus(j, i));
}

/* An operation with one ciphertext, the checks of which are done. */
static ccz_rc unary(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e, const struct ccz_ckks_ct *a,
                    struct job *j, void (*limb)(void *arg, size_t i), struct cczi_ckks_meta meta,
                    struct ccz_err *err)
{
    const size_t limbs = a->ct.limbs, parts = a->ct.parts;
    ccz_rc rc = cczi_ckks_result(e->ctx, &meta, limbs, err);
    if (rc == CCZ_OK)
        rc = cczi_ckks_output(out, e, a, NULL, parts, err);
    if (rc != CCZ_OK)
        return rc;
    struct job full = job_from(out, a, NULL);
    full.b[0] = j->b[0];
    full.factor = j->factor;
    ccz_rlwe_parallel(e->work, limbs, limb, &full);
    cczi_ckks_finish(out, a, parts, limbs, meta);
    return CCZ_OK;
}

ccz_rc ccz_ckks_neg(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e, const struct ccz_ckks_ct *a,
                    struct ccz_err *err)
{
    ccz_rc rc = cczi_ckks_operand(e, a, err);
    if (rc != CCZ_OK)
        return rc;
    struct job j = {0};
    return unary(out, e, a, &j, neg_limb, (struct cczi_ckks_meta){a->scale, a->bound, a->noise},
                 err);
}

/* -------------------------------------------------------------------------------- plaintexts */

static ccz_rc check_plain(const struct ccz_ckks_eval *e, const struct ccz_ckks_ct *a,
                          const struct ccz_ckks_pt *p, struct ccz_err *err)
{
    ccz_rc rc = cczi_ckks_operand(e, a, err);
    if (rc != CCZ_OK)
        return rc;
    if (p->ctx != e->ctx)
        return ccz_fail(err, CCZ_E_MISMATCH, "ckks:context", 0,
                        "the plaintext is of another context");
    if (p->limbs < a->ct.limbs) {
        rc = ccz_refuse_num(err, CCZ_E_ARG, "ckks:plain-limbs", (int64_t)p->limbs,
                            (int64_t)a->ct.limbs);
        return ccz_hint(err, rc, "call ccz_ckks_pt_expand(), or encode for that many primes");
    }
    return CCZ_OK;
}

static void copy_rest(const struct job *j, size_t at)
{
    for (size_t p = 1; p < j->a_parts; p++)
        if (j->out[p] != j->a[p])
            memcpy(j->out[p] + at, j->a[p] + at, j->c->n * sizeof(uint64_t));
}

static void add_plain_limb(void *arg, size_t i)
{
    const struct job *j = arg;
    const size_t n = j->c->n, at = i * n;
    j->k->add(j->out[0] + at, j->a[0] + at, j->b[0] + at, n, modulus(j, i));
    copy_rest(j, at);
}

static void sub_plain_limb(void *arg, size_t i)
{
    const struct job *j = arg;
    const size_t n = j->c->n, at = i * n;
    j->k->sub(j->out[0] + at, j->a[0] + at, j->b[0] + at, n, modulus(j, i));
    copy_rest(j, at);
}

static void mul_plain_limb(void *arg, size_t i)
{
    const struct job *j = arg;
    const size_t n = j->c->n, at = i * n;
    for (size_t p = 0; p < j->a_parts; p++)
        j->k->mul(j->out[p] + at, j->a[p] + at, j->b[0] + at, n, modulus(j, i));
}

static ccz_rc combine_plain(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                            const struct ccz_ckks_ct *a, const struct ccz_ckks_pt *p,
                            void (*limb)(void *arg, size_t i), struct ccz_err *err)
{
    ccz_rc rc = check_plain(e, a, p, err);
    if (rc == CCZ_OK)
        rc = cczi_ckks_scales(a->scale, p->scale, err);
    if (rc != CCZ_OK)
        return rc;
    struct job j = {.b = {p->v}};
    return unary(out, e, a, &j, limb,
                 (struct cczi_ckks_meta){a->scale, a->bound + p->bound, a->noise + p->noise}, err);
}

ccz_rc ccz_ckks_add_plain(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                          const struct ccz_ckks_ct *a, const struct ccz_ckks_pt *p,
                          struct ccz_err *err)
{
    return combine_plain(out, e, a, p, add_plain_limb, err);
}

ccz_rc ccz_ckks_sub_plain(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                          const struct ccz_ckks_ct *a, const struct ccz_ckks_pt *p,
                          struct ccz_err *err)
{
    return combine_plain(out, e, a, p, sub_plain_limb, err);
}

static ccz_rc refuse_zero(struct ccz_err *err)
{
    ccz_rc rc =
        ccz_fail(err, CCZ_E_ARG, "ckks:zero", 0, "a product with zero is a transparent ciphertext");
    return ccz_hint(err, rc, "leave the term out");
}

static bool is_zero(const struct ccz_ckks_pt *p, size_t limbs)
{
    for (size_t i = 0; i < limbs * p->ctx->n; i++)
        if (p->v[i])
            return false;
    return true;
}

/* Error of a product: what either error does to the other factor. */
static struct cczi_ckks_meta product(double scale_a, double bound_a, double noise_a, double scale_b,
                                     double bound_b, double noise_b)
{
    return (struct cczi_ckks_meta){scale_a * scale_b, bound_a * bound_b,
                                   bound_a * noise_b + bound_b * noise_a + noise_a * noise_b};
}

ccz_rc ccz_ckks_mul_plain(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                          const struct ccz_ckks_ct *a, const struct ccz_ckks_pt *p,
                          struct ccz_err *err)
{
    ccz_rc rc = check_plain(e, a, p, err);
    if (rc != CCZ_OK)
        return rc;
    if (is_zero(p, a->ct.limbs))
        return refuse_zero(err);
    struct job j = {.b = {p->v}};
    return unary(out, e, a, &j, mul_plain_limb,
                 product(a->scale, a->bound, a->noise, p->scale, p->bound, p->noise), err);
}

/* ----------------------------------------------------------------------------------- scalars */

/* value * scale as an integer. */
static ccz_rc scalar(double *out, double value, double scale, struct ccz_err *err)
{
    *out = rint(value * scale);
    if (isfinite(*out) && isfinite(value) && scale > 0)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_ARG, "ckks:value", 0, "%g at scale %g is no finite number", value,
                    scale);
}

static void add_scalar_limb(void *arg, size_t i)
{
    enum { STEP = 512 };
    const struct job *j = arg;
    const size_t n = j->c->n, at = i * n;
    const uint64_t w = cczi_ckks_residue(j->factor, modulus(j, i));
    uint64_t step[STEP];
    for (size_t x = 0; x < STEP; x++)
        step[x] = w;
    for (size_t x = at; x < at + n; x += STEP)
        j->k->add(j->out[0] + x, j->a[0] + x, step, STEP, modulus(j, i));
    copy_rest(j, at);
}

ccz_rc ccz_ckks_add_scalar(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                           const struct ccz_ckks_ct *a, double value, struct ccz_err *err)
{
    struct job j = {0};
    ccz_rc rc = cczi_ckks_operand(e, a, err);
    if (rc == CCZ_OK)
        rc = scalar(&j.factor, value, a->scale, err);
    if (rc != CCZ_OK)
        return rc;
    /* a double has 53 bits: the rest of a large constant is error */
    const double noise = a->noise + 0.5 + fabs(j.factor) * 0x1p-53;
    return unary(out, e, a, &j, add_scalar_limb,
                 (struct cczi_ckks_meta){a->scale, a->bound + fabs(j.factor), noise}, err);
}

static void mul_scalar_limb(void *arg, size_t i)
{
    const struct job *j = arg;
    const size_t n = j->c->n, at = i * n;
    const struct ccz_modulus *m = modulus(j, i);
    const struct ccz_mulc w = ccz_mulc_from(cczi_ckks_residue(j->factor, m), m);
    for (size_t p = 0; p < j->a_parts; p++)
        j->k->mul_const(j->out[p] + at, j->a[p] + at, w, n, m);
}

ccz_rc ccz_ckks_mul_scalar(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                           const struct ccz_ckks_ct *a, double value, double scale,
                           struct ccz_err *err)
{
    struct job j = {0};
    ccz_rc rc = cczi_ckks_operand(e, a, err);
    if (rc == CCZ_OK)
        rc = scalar(&j.factor, value, scale, err);
    if (rc != CCZ_OK)
        return rc;
    if (j.factor == 0)
        return refuse_zero(err);
    const double off = fabs(value * scale - j.factor) + fabs(j.factor) * 0x1p-53;
    return unary(out, e, a, &j, mul_scalar_limb,
                 product(a->scale, a->bound, a->noise, scale, fabs(j.factor), off), err);
}

/* ----------------------------------------------------------------------------- weighted sums */

/* Ciphertexts that one pass reads: more streams at a time are slower (caches, prefetching). */
enum { TERMS = 8 };

/* Terms of a pass with the residues of their factors; those whose factor is zero are left out. */
struct pass {
    const uint64_t *a[TERMS];
    uint64_t w[TERMS];
    size_t len;
};

static size_t fill(struct pass *s, const struct job *j, size_t from, size_t part, size_t i)
{
    for (s->len = 0; from < j->len && s->len < TERMS; from++) {
        double factor = rint(j->value[from] * j->scale);
        if (factor == 0)
            continue;
        s->w[s->len] = cczi_ckks_residue(factor, modulus(j, i));
        s->a[s->len++] = j->list[from]->ct.c[part] + i * j->c->n;
    }
    return from;
}

static void dot_scalar_limb(void *arg, size_t item)
{
    const struct job *j = arg;
    const size_t n = j->c->n, i = item / 2, part = item % 2;
    struct pass s;
    for (size_t from = 0, pass = 0; from < j->len; pass++) {
        from = fill(&s, j, from, part, i);
        j->k->mac_scalar(j->out[part] + i * n, s.a, s.w, s.len, n, modulus(j, i), pass > 0);
    }
}

/* Both parts at once, so that each plaintext is read once. */
static void dot_plain_limb(void *arg, size_t i)
{
    const struct job *j = arg;
    const size_t n = j->c->n, at = i * n;
    const uint64_t *p[TERMS], *c[2 * TERMS];
    uint64_t *out[2] = {j->out[0] + at, j->out[1] + at};
    for (size_t from = 0; from < j->len; from += TERMS) {
        size_t len = 0;
        for (size_t k = from; k < j->len && len < TERMS; k++, len++) {
            p[len] = j->plain[k]->v + at;
            c[2 * len] = j->list[k]->ct.c[0] + at;
            c[2 * len + 1] = j->list[k]->ct.c[1] + at;
        }
        j->k->mac2(out, p, c, len, n, modulus(j, i), from > 0);
    }
}

static ccz_rc check_list(const struct ccz_ckks_eval *e, const struct ccz_ckks_ct *out,
                         const struct ccz_ckks_ct *const *a, size_t len, struct ccz_err *err)
{
    if (len < 1 || len > CCZ_MAC_TERMS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "ckks:terms", (int64_t)len, CCZ_MAC_TERMS_MAX);
    for (size_t k = 0; k < len; k++) {
        ccz_rc rc = cczi_ckks_pair(e, a[0], a[k], err);
        if (rc == CCZ_OK)
            rc = cczi_ckks_scales(a[0]->scale, a[k]->scale, err);
        if (rc != CCZ_OK)
            return rc;
        if (a[k]->ct.parts != 2) {
            rc = ccz_refuse_num(err, CCZ_E_ARG, "ckks:parts", (int64_t)a[k]->ct.parts, 2);
            return ccz_hint(err, rc, "relinearize first");
        }
        if (a[k] == out)
            return ccz_fail(err, CCZ_E_ARG, "ckks:in-place", (int64_t)k,
                            "the output is an input of the sum");
    }
    return CCZ_OK;
}

static ccz_rc dot(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e, struct job *j,
                  struct cczi_ckks_meta meta, struct ccz_err *err)
{
    const struct ccz_ckks_ct *a = j->list[0];
    ccz_rc rc = cczi_ckks_result(e->ctx, &meta, a->ct.limbs, err);
    if (rc == CCZ_OK)
        rc = cczi_ckks_output(out, e, NULL, NULL, 2, err);
    if (rc != CCZ_OK)
        return rc;
    j->k = ccz_kernels(NULL);
    j->c = e->ctx;
    for (size_t p = 0; p < 2; p++)
        j->out[p] = out->ct.c[p];
    if (j->value)
        ccz_rlwe_parallel(e->work, 2 * a->ct.limbs, dot_scalar_limb, j);
    else
        ccz_rlwe_parallel(e->work, a->ct.limbs, dot_plain_limb, j);
    cczi_ckks_finish(out, a, 2, a->ct.limbs, meta);
    return CCZ_OK;
}

static void accumulate(struct cczi_ckks_meta *sum, struct cczi_ckks_meta term)
{
    sum->scale = term.scale;
    sum->bound += term.bound;
    sum->noise += term.noise;
}

ccz_rc ccz_ckks_dot_scalar(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                           const struct ccz_ckks_ct *const *a, const double *value, size_t len,
                           double scale, struct ccz_err *err)
{
    struct cczi_ckks_meta meta = {0};
    ccz_rc rc = check_list(e, out, a, len, err);
    for (size_t k = 0; rc == CCZ_OK && k < len; k++) {
        double factor;
        rc = scalar(&factor, value[k], scale, err);
        const double off = fabs(value[k] * scale - factor) + fabs(factor) * 0x1p-53;
        accumulate(&meta, product(a[k]->scale, a[k]->bound, a[k]->noise, scale, fabs(factor), off));
    }
    if (rc != CCZ_OK)
        return rc;
    if (meta.bound == 0)
        return refuse_zero(err);
    meta.scale = a[0]->scale * scale;
    struct job j = {.list = a, .value = value, .len = len, .scale = scale};
    return dot(out, e, &j, meta, err);
}

ccz_rc ccz_ckks_dot_plain(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                          const struct ccz_ckks_ct *const *a, const struct ccz_ckks_pt *const *p,
                          size_t len, struct ccz_err *err)
{
    struct cczi_ckks_meta meta = {0};
    bool zero = true;
    ccz_rc rc = check_list(e, out, a, len, err);
    for (size_t k = 0; rc == CCZ_OK && k < len; k++) {
        rc = check_plain(e, a[k], p[k], err);
        if (rc == CCZ_OK)
            rc = cczi_ckks_scales(p[0]->scale, p[k]->scale, err);
        if (rc != CCZ_OK)
            return rc;
        zero = zero && is_zero(p[k], a[0]->ct.limbs);
        accumulate(&meta, product(a[k]->scale, a[k]->bound, a[k]->noise, p[k]->scale, p[k]->bound,
                                  p[k]->noise));
    }
    if (rc != CCZ_OK)
        return rc;
    if (zero)
        return refuse_zero(err);
    meta.scale = a[0]->scale * p[0]->scale;
    struct job j = {.list = a, .plain = p, .len = len};
    return dot(out, e, &j, meta, err);
}

/* ------------------------------------------------------------------------------------ levels */

ccz_rc ccz_ckks_rescale(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                        const struct ccz_ckks_ct *a, struct ccz_err *err)
{
    ccz_rc rc = cczi_ckks_operand(e, a, err);
    if (rc != CCZ_OK)
        return rc;
    if (out->ctx != e->ctx)
        return ccz_fail(err, CCZ_E_MISMATCH, "ckks:context", 0, "the output is of another context");
    const double q = (double)ccz_rlwe_prime(e->ctx->ring, a->ct.limbs - 1);
    const double rounding = cczi_ckks_canon(e->ctx, ccz_rlwe_var_round(e->ctx->ring, a->ct.parts));
    const struct cczi_ckks_meta meta = {a->scale / q, a->bound / q, a->noise / q + rounding};
    rc = ccz_rlwe_rescale(&out->ct, e->work, &a->ct, err);
    if (rc == CCZ_OK)
        cczi_ckks_finish(out, out, out->ct.parts, out->ct.limbs, meta);
    return rc;
}

ccz_rc ccz_ckks_drop(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e, const struct ccz_ckks_ct *a,
                     size_t limbs, struct ccz_err *err)
{
    ccz_rc rc = cczi_ckks_operand(e, a, err);
    if (rc != CCZ_OK)
        return rc;
    if (limbs < 1 || limbs > a->ct.limbs)
        return ccz_refuse_num(err, CCZ_E_ARG, "rlwe:drop", (int64_t)limbs, (int64_t)a->ct.limbs);
    rc = cczi_ckks_fits(e->ctx, a->bound, limbs, err);
    if (rc == CCZ_OK)
        rc = cczi_ckks_output(out, e, a, NULL, a->ct.parts, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t p = 0; out != a && p < a->ct.parts; p++)
        memcpy(out->ct.c[p], a->ct.c[p], limbs * e->ctx->n * sizeof(uint64_t));
    const bool seeded = a->ct.seeded;
    cczi_ckks_finish(out, a, a->ct.parts, limbs,
                     (struct cczi_ckks_meta){a->scale, a->bound, a->noise});
    out->ct.seeded = seeded;
    if (out != a)
        memcpy(out->ct.seed, a->ct.seed, sizeof(out->ct.seed));
    return CCZ_OK;
}

ccz_rc ccz_ckks_match(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e, const struct ccz_ckks_ct *a,
                      size_t limbs, double scale, struct ccz_err *err)
{
    ccz_rc rc = cczi_ckks_operand(e, a, err);
    if (rc != CCZ_OK)
        return rc;
    if (cczi_ckks_same_scale(a->scale, scale))
        return ccz_ckks_drop(out, e, a, limbs, err);
    if (limbs < 1 || limbs >= a->ct.limbs)
        return ccz_fail(err, CCZ_E_ARG, "ckks:match", (int64_t)limbs,
                        "a change of scale to %zu primes needs one more, the ciphertext has %zu",
                        limbs, a->ct.limbs);
    const double factor = scale * (double)ccz_rlwe_prime(e->ctx->ring, limbs) / a->scale;
    if (!(factor >= 0x1p20) || !isfinite(factor))
        return ccz_fail(err, CCZ_E_ARG, "ckks:match", (int64_t)limbs,
                        "the change of scale by 2^%.1f is not precise", log2(scale / a->scale));
    rc = ccz_ckks_drop(out, e, a, limbs + 1, err);
    if (rc != CCZ_OK)
        return rc;
    rc = ccz_ckks_mul_scalar(out, e, out, 1, factor, err);
    if (rc == CCZ_OK)
        rc = ccz_ckks_rescale(out, e, out, err);
    if (rc == CCZ_OK)
        out->scale = scale; /* equal but for the last bits of the division */
    else
        out->ct.parts = 0; /* neither the input nor the result */
    return rc;
}
