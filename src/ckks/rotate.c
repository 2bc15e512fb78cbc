/* SPDX-License-Identifier: Apache-2.0 */
/* Rotations and conjugation, hoisted rotations, inner sums. */
#include "ckks_priv.h"

#include <stdio.h>
#include <stdlib.h>

ccz_rc ccz_ckks_galois_new(struct ccz_rlwe_galois_set **out, struct ccz_ckks_eval *e,
                           const struct ccz_rlwe_sk *sk, const int64_t *steps, size_t len,
                           bool conjugation, struct ccz_err *err)
{
    *out = NULL;
    uint32_t *elts = calloc(len + 1, sizeof(*elts));
    if (!elts)
        return ccz_fail(err, CCZ_E_NOMEM, "ckks:galois", 0, "out of memory");
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        uint32_t elt = ccz_rlwe_rotation_elt(e->ctx->n, steps[i]);
        if (elt != 1)
            elts[count++] = elt;
    }
    if (conjugation)
        elts[count++] = ccz_rlwe_conjugation_elt(e->ctx->n);
    ccz_rc rc = ccz_rlwe_galois_set_new(out, e->work, sk, elts, count, err);
    free(elts);
    return rc;
}

static ccz_rc find(const struct ccz_rlwe_swk **out, const struct ccz_rlwe_galois_set *keys,
                   uint32_t elt, const char *what, struct ccz_err *err)
{
    *out = ccz_rlwe_galois_find(keys, elt);
    if (*out)
        return CCZ_OK;
    ccz_rc rc = ccz_fail(err, CCZ_E_NOT_FOUND, "ckks:galois-key", elt, "no key for %s", what);
    return ccz_hint(err, rc, "ask for it when the keys are made: ccz_ckks_galois_new()");
}

static ccz_rc find_rotation(const struct ccz_rlwe_swk **out, const struct ccz_ckks_eval *e,
                            const struct ccz_rlwe_galois_set *keys, int64_t steps,
                            struct ccz_err *err)
{
    char what[64];
    snprintf(what, sizeof(what), "the rotation by %lld", (long long)steps);
    return find(out, keys, ccz_rlwe_rotation_elt(e->ctx->n, steps), what, err);
}

static double switch_noise(const struct ccz_ckks_ct *a)
{
    return cczi_ckks_canon(a->ctx, ccz_rlwe_var_switch(a->ctx->ring, a->ct.limbs));
}

static ccz_rc automorph(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                        const struct ccz_ckks_ct *a, const struct ccz_rlwe_swk *k,
                        struct ccz_err *err)
{
    if (out->ctx != e->ctx)
        return ccz_fail(err, CCZ_E_MISMATCH, "ckks:context", 0, "the output is of another context");
    const struct cczi_ckks_meta meta = {a->scale, a->bound, a->noise + switch_noise(a)};
    ccz_rc rc = ccz_rlwe_automorph(&out->ct, e->work, &a->ct, k, err);
    if (rc == CCZ_OK)
        cczi_ckks_finish(out, out, 2, out->ct.limbs, meta);
    return rc;
}

/* Copies with the evaluator's checks, for rotations by 0. */
static ccz_rc copy(struct ccz_ckks_ct *out, const struct ccz_ckks_ct *a, struct ccz_err *err)
{
    ccz_rc rc = ccz_ckks_copy(out, a);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "ckks:copy", 0, "%s", ccz_rc_str(rc));
}

ccz_rc ccz_ckks_rotate(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                       const struct ccz_ckks_ct *a, int64_t steps,
                       const struct ccz_rlwe_galois_set *keys, struct ccz_err *err)
{
    const struct ccz_rlwe_swk *k;
    ccz_rc rc = cczi_ckks_operand(e, a, err);
    if (rc != CCZ_OK)
        return rc;
    if (ccz_rlwe_rotation_elt(e->ctx->n, steps) == 1)
        return copy(out, a, err);
    rc = find_rotation(&k, e, keys, steps, err);
    return rc == CCZ_OK ? automorph(out, e, a, k, err) : rc;
}

ccz_rc ccz_ckks_conjugate(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                          const struct ccz_ckks_ct *a, const struct ccz_rlwe_galois_set *keys,
                          struct ccz_err *err)
{
    const struct ccz_rlwe_swk *k;
    ccz_rc rc = cczi_ckks_operand(e, a, err);
    if (rc == CCZ_OK)
        rc = find(&k, keys, ccz_rlwe_conjugation_elt(e->ctx->n), "the conjugation", err);
    return rc == CCZ_OK ? automorph(out, e, a, k, err) : rc;
}

enum { ROTATIONS_MAX = 4096 };

/* The rotations that are none by 0, and the keys they need. */
struct plan {
    struct ccz_rlwe_ct **out;
    const struct ccz_rlwe_swk **keys;
    size_t len;
};

static ccz_rc plan_rotations(struct plan *p, struct ccz_ckks_ct *const *out,
                             const struct ccz_ckks_eval *e, const struct ccz_ckks_ct *a,
                             const int64_t *steps, size_t len,
                             const struct ccz_rlwe_galois_set *keys, struct ccz_err *err)
{
    for (size_t i = 0; i < len; i++) {
        if (out[i]->ctx != e->ctx)
            return ccz_fail(err, CCZ_E_MISMATCH, "ckks:context", (int64_t)i,
                            "output %zu is of another context", i);
        if (out[i] == a)
            return ccz_fail(err, CCZ_E_ARG, "ckks:in-place", (int64_t)i, "output %zu is the input",
                            i);
        if (ccz_rlwe_rotation_elt(e->ctx->n, steps[i]) == 1)
            continue;
        ccz_rc rc = find_rotation(&p->keys[p->len], e, keys, steps[i], err);
        if (rc != CCZ_OK)
            return rc;
        p->out[p->len++] = &out[i]->ct;
    }
    return CCZ_OK;
}

ccz_rc ccz_ckks_rotate_many(struct ccz_ckks_ct *const *out, struct ccz_ckks_eval *e,
                            const struct ccz_ckks_ct *a, const int64_t *steps, size_t len,
                            const struct ccz_rlwe_galois_set *keys, struct ccz_err *err)
{
    ccz_rc rc = cczi_ckks_operand(e, a, err);
    if (rc != CCZ_OK)
        return rc;
    if (len > ROTATIONS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "ckks:rotations", (int64_t)len, ROTATIONS_MAX);
    struct plan p = {.out = calloc(len + 1, sizeof(*p.out)),
                     .keys = calloc(len + 1, sizeof(*p.keys))};
    if (p.out && p.keys) {
        rc = plan_rotations(&p, out, e, a, steps, len, keys, err);
        if (rc == CCZ_OK)
            rc = ccz_rlwe_automorph_many(p.out, e->work, &a->ct, p.keys, p.len, err);
    } else {
        rc = ccz_fail(err, CCZ_E_NOMEM, "ckks:rotations", 0, "out of memory");
    }
    free(p.out);
    free(p.keys);
    const bool begun = rc == CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < len; i++) {
        if (ccz_rlwe_rotation_elt(e->ctx->n, steps[i]) == 1)
            rc = copy(out[i], a, err);
        else
            cczi_ckks_finish(
                out[i], out[i], 2, a->ct.limbs,
                (struct cczi_ckks_meta){a->scale, a->bound, a->noise + switch_noise(a)});
    }
    for (size_t i = 0; begun && rc != CCZ_OK && i < len; i++)
        out[i]->ct.parts = 0; /* all or none */
    return rc;
}

ccz_rc ccz_ckks_inner_sum(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                          const struct ccz_ckks_ct *a, size_t len,
                          const struct ccz_rlwe_galois_set *keys, struct ccz_err *err)
{
    ccz_rc rc = cczi_ckks_operand(e, a, err);
    if (rc != CCZ_OK)
        return rc;
    if (len < 1 || len > e->ctx->n / 2 || len & (len - 1))
        return ccz_fail(err, CCZ_E_ARG, "ckks:inner-sum", (int64_t)len,
                        "%zu slots is no power of two up to %zu", len, e->ctx->n / 2);
    /* nothing is written before all keys are found */
    const struct ccz_rlwe_swk *k;
    for (size_t step = 1; rc == CCZ_OK && step < len; step *= 2)
        rc = find_rotation(&k, e, keys, (int64_t)step, err);
    if (rc == CCZ_OK)
        rc = cczi_ckks_fits(e->ctx, a->bound * (double)len, a->ct.limbs, err);
    struct ccz_ckks_ct *turned = NULL;
    if (rc == CCZ_OK)
        rc = cczi_ckks_take(&turned, e, err);
    if (rc == CCZ_OK)
        rc = copy(out, a, err);
    const bool begun = rc == CCZ_OK;
    for (size_t step = 1; rc == CCZ_OK && step < len; step *= 2) {
        rc = ccz_ckks_rotate(turned, e, out, (int64_t)step, keys, err);
        if (rc == CCZ_OK)
            rc = ccz_ckks_add(out, e, out, turned, err);
    }
    if (begun && rc != CCZ_OK)
        out->ct.parts = 0; /* no part of a sum */
    cczi_ckks_give(e, turned);
    return rc;
}
