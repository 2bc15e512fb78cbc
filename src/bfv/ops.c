/* SPDX-License-Identifier: Apache-2.0 */
/* Sums and products with plaintexts. */
#include "bfv_priv.h"

#include <stdlib.h>
#include <string.h>

/* One prime of an operation. */
struct job {
    const struct ccz_bfv *c;
    struct ccz_bfv_eval *e;
    uint64_t *out[2];
    const uint64_t *a[2], *b[2];
    uint64_t *plain; /* [limbs][n] */
    const struct ccz_bfv_ct *const *list;
    const struct ccz_bfv_pt *const *factors;
    size_t len;
};

static struct job job_from(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e,
                           const struct ccz_bfv_ct *a, const struct ccz_bfv_ct *b)
{
    struct job j = {.c = e->ctx, .e = e};
    for (size_t p = 0; p < 2; p++) {
        j.out[p] = out->ct.c[p];
        j.a[p] = a->ct.c[p];
        j.b[p] = b ? b->ct.c[p] : NULL;
    }
    return j;
}

/* ------------------------------------------------------------------------------- ciphertexts */

static void add_limb(void *arg, size_t i)
{
    const struct job *j = arg;
    const size_t n = j->c->n, at = i * n;
    for (size_t p = 0; p < 2; p++)
        j->c->k->add(j->out[p] + at, j->a[p] + at, j->b[p] + at, n, cczi_bfv_modulus(j->c, i));
}

static void sub_limb(void *arg, size_t i)
{
    const struct job *j = arg;
    const size_t n = j->c->n, at = i * n;
    for (size_t p = 0; p < 2; p++)
        j->c->k->sub(j->out[p] + at, j->a[p] + at, j->b[p] + at, n, cczi_bfv_modulus(j->c, i));
}

static void neg_limb(void *arg, size_t i)
{
    const struct job *j = arg;
    const size_t n = j->c->n, at = i * n;
    for (size_t p = 0; p < 2; p++)
        j->c->k->neg(j->out[p] + at, j->a[p] + at, n, cczi_bfv_modulus(j->c, i));
}

static ccz_rc check_pair(const struct ccz_bfv_eval *e, const struct ccz_bfv_ct *a,
                         const struct ccz_bfv_ct *b, struct ccz_err *err)
{
    ccz_rc rc = cczi_bfv_operand(e, a, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_operand(e, b, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_same_key(b->ct.key_id, a->ct.key_id, err);
    if (rc != CCZ_OK || a->ct.limbs == b->ct.limbs)
        return rc;
    rc = ccz_refuse_num(err, CCZ_E_ARG, "bfv:level", (int64_t)b->ct.limbs, (int64_t)a->ct.limbs);
    return ccz_hint(err, rc, "bring both to as many primes: ccz_bfv_mod_switch()");
}

static ccz_rc combine(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e, const struct ccz_bfv_ct *a,
                      const struct ccz_bfv_ct *b, void (*limb)(void *arg, size_t i),
                      struct ccz_err *err)
{
    ccz_rc rc = check_pair(e, a, b, err);
    if (rc != CCZ_OK)
        return rc;
    const struct cczi_bfv_noise v = cczi_bfv_plus(cczi_bfv_noise_of(a), cczi_bfv_noise_of(b));
    const bool is_private = a->is_private || b->is_private;
    rc = cczi_bfv_fits(e->ctx, v, a->ct.limbs, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_output(out, e, out == a || out == b, err);
    if (rc != CCZ_OK)
        return rc;
    struct job j = job_from(out, e, a, b);
    ccz_rlwe_parallel(e->work, a->ct.limbs, limb, &j);
    cczi_bfv_finish(out, a, v, is_private);
    return CCZ_OK;
}

ccz_rc ccz_bfv_add(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e, const struct ccz_bfv_ct *a,
                   const struct ccz_bfv_ct *b, struct ccz_err *err)
{
    return combine(out, e, a, b, add_limb, err);
}

ccz_rc ccz_bfv_sub(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e, const struct ccz_bfv_ct *a,
                   const struct ccz_bfv_ct *b, struct ccz_err *err)
{
    return combine(out, e, a, b, sub_limb, err);
}

ccz_rc ccz_bfv_neg(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e, const struct ccz_bfv_ct *a,
                   struct ccz_err *err)
{
    ccz_rc rc = cczi_bfv_operand(e, a, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_output(out, e, out == a, err);
    if (rc != CCZ_OK)
        return rc;
    struct job j = job_from(out, e, a, NULL);
    ccz_rlwe_parallel(e->work, a->ct.limbs, neg_limb, &j);
    cczi_bfv_finish(out, a, cczi_bfv_noise_of(a), a->is_private);
    return CCZ_OK;
}

/* -------------------------------------------------------------------------------- plaintexts */

static void copy_second(const struct job *j, size_t at)
{
    if (j->out[1] != j->a[1])
        memcpy(j->out[1] + at, j->a[1] + at, j->c->n * sizeof(uint64_t));
}

static void add_plain_limb(void *arg, size_t i)
{
    const struct job *j = arg;
    const size_t n = j->c->n, at = i * n;
    ccz_ntt_forward(j->plain + at, j->plain + at, ccz_rlwe_ntt(j->c->ring, i));
    j->c->k->add(j->out[0] + at, j->a[0] + at, j->plain + at, n, cczi_bfv_modulus(j->c, i));
    copy_second(j, at);
}

static void sub_plain_limb(void *arg, size_t i)
{
    const struct job *j = arg;
    const size_t n = j->c->n, at = i * n;
    ccz_ntt_forward(j->plain + at, j->plain + at, ccz_rlwe_ntt(j->c->ring, i));
    j->c->k->sub(j->out[0] + at, j->a[0] + at, j->plain + at, n, cczi_bfv_modulus(j->c, i));
    copy_second(j, at);
}

static ccz_rc combine_plain(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e,
                            const struct ccz_bfv_ct *a, const struct ccz_bfv_pt *p,
                            void (*limb)(void *arg, size_t i), struct ccz_err *err)
{
    const size_t limbs = a->ct.limbs;
    const struct cczi_bfv_noise v = {a->sigma, cczi_bfv_sum(a->fixed, -1)};
    ccz_rc rc = cczi_bfv_operand(e, a, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_context(p->ctx == e->ctx, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_fits(e->ctx, v, limbs, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_output(out, e, out == a, err);
    if (rc != CCZ_OK)
        return rc;
    struct job j = job_from(out, e, a, NULL);
    j.plain = e->poly[0];
    cczi_bfv_scale_up(j.plain, e, p->m, limbs);
    ccz_rlwe_parallel(e->work, limbs, limb, &j);
    ccz_wipe(j.plain, limbs * e->ctx->n * sizeof(*j.plain));
    cczi_bfv_finish(out, a, v, a->is_private || !p->is_public);
    return CCZ_OK;
}

ccz_rc ccz_bfv_add_plain(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e, const struct ccz_bfv_ct *a,
                         const struct ccz_bfv_pt *p, struct ccz_err *err)
{
    return combine_plain(out, e, a, p, add_plain_limb, err);
}

ccz_rc ccz_bfv_sub_plain(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e, const struct ccz_bfv_ct *a,
                         const struct ccz_bfv_pt *p, struct ccz_err *err)
{
    return combine_plain(out, e, a, p, sub_plain_limb, err);
}

/* ---------------------------------------------------------------------------------- products */

static ccz_rc check_factor(const struct ccz_bfv_eval *e, const struct ccz_bfv_ct *a,
                           const struct ccz_bfv_pt *p, struct ccz_err *err)
{
    ccz_rc rc = cczi_bfv_operand(e, a, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_context(p->ctx == e->ctx, err);
    if (rc != CCZ_OK || p->factor_limbs >= a->ct.limbs)
        return rc;
    rc = ccz_refuse_num(err, CCZ_E_ARG, "bfv:not-prepared", (int64_t)p->factor_limbs,
                        (int64_t)a->ct.limbs);
    return ccz_hint(err, rc, "call ccz_bfv_pt_prepare() for at least that many primes");
}

static void mul_limb(void *arg, size_t i)
{
    const struct job *j = arg;
    const size_t n = j->c->n, at = i * n;
    for (size_t p = 0; p < 2; p++)
        j->c->k->mul(j->out[p] + at, j->a[p] + at, j->b[0] + at, n, cczi_bfv_modulus(j->c, i));
}

ccz_rc ccz_bfv_mul_plain(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e, const struct ccz_bfv_ct *a,
                         const struct ccz_bfv_pt *p, struct ccz_err *err)
{
    ccz_rc rc = check_factor(e, a, p, err);
    if (rc != CCZ_OK)
        return rc;
    const struct cczi_bfv_noise v = cczi_bfv_times(cczi_bfv_noise_of(a), p->max_abs, p->terms);
    rc = cczi_bfv_fits(e->ctx, v, a->ct.limbs, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_output(out, e, out == a, err);
    if (rc != CCZ_OK)
        return rc;
    struct job j = job_from(out, e, a, NULL);
    j.b[0] = p->factor;
    ccz_rlwe_parallel(e->work, a->ct.limbs, mul_limb, &j);
    cczi_bfv_finish(out, a, v, a->is_private || !p->is_public);
    return CCZ_OK;
}

static void dot_limb(void *arg, size_t i)
{
    const struct job *j = arg;
    const size_t n = j->c->n, at = i * n;
    const uint64_t **a = j->e->list + i * 3 * j->len, **b = a + j->len;
    uint64_t *out[2] = {j->out[0] + at, j->out[1] + at};
    for (size_t k = 0; k < j->len; k++) {
        a[k] = j->factors[k]->factor + at;
        b[2 * k] = j->list[k]->ct.c[0] + at;
        b[2 * k + 1] = j->list[k]->ct.c[1] + at;
    }
    j->c->k->mac2(out, a, b, j->len, n, cczi_bfv_modulus(j->c, i), false);
}

/* Operands of a sum, and the bound of its noise. */
static ccz_rc check_sum(struct cczi_bfv_noise *v, bool *is_private, const struct ccz_bfv_ct *out,
                        const struct ccz_bfv_eval *e, const struct ccz_bfv_ct *const *a,
                        const struct ccz_bfv_pt *const *p, size_t len, struct ccz_err *err)
{
    if (len < 1 || len > CCZ_BFV_TERMS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "bfv:length", (int64_t)len, CCZ_BFV_TERMS_MAX);
    for (size_t k = 0; k < len; k++) {
        ccz_rc rc = check_pair(e, a[0], a[k], err);
        if (rc == CCZ_OK)
            rc = check_factor(e, a[k], p[k], err);
        if (rc == CCZ_OK && a[k] == out)
            rc = ccz_fail(err, CCZ_E_ARG, "bfv:overlap", (int64_t)k,
                          "the sum may not be one of its terms");
        if (rc != CCZ_OK)
            return rc;
        const struct cczi_bfv_noise term =
            cczi_bfv_times(cczi_bfv_noise_of(a[k]), p[k]->max_abs, p[k]->terms);
        *v = k ? cczi_bfv_plus(*v, term) : term;
        *is_private |= a[k]->is_private || !p[k]->is_public;
    }
    return cczi_bfv_fits(e->ctx, *v, a[0]->ct.limbs, err);
}

ccz_rc ccz_bfv_dot_plain(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e,
                         const struct ccz_bfv_ct *const *a, const struct ccz_bfv_pt *const *p,
                         size_t len, struct ccz_err *err)
{
    struct cczi_bfv_noise v = {0};
    bool is_private = false;
    ccz_rc rc = check_sum(&v, &is_private, out, e, a, p, len, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_output(out, e, false, err);
    if (rc != CCZ_OK)
        return rc;
    const size_t limbs = a[0]->ct.limbs, need = limbs * 3 * len;
    if (need > e->list_cap) {
        const uint64_t **list = realloc(e->list, need * sizeof(*list));
        if (!list)
            return ccz_fail(err, CCZ_E_NOMEM, "bfv:memory", 0, "out of memory");
        e->list = list;
        e->list_cap = need;
    }
    struct job j = job_from(out, e, a[0], NULL);
    j.list = a;
    j.factors = p;
    j.len = len;
    ccz_rlwe_parallel(e->work, limbs, dot_limb, &j);
    cczi_bfv_finish(out, a[0], v, is_private);
    return CCZ_OK;
}
