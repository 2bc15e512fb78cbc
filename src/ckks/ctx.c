/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts, evaluators, memory of plaintexts and ciphertexts, and the checks that all calls share. */
#include "ckks_priv.h"
#include "fft_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Number of the scheme in the parameter identity. */
enum { SCHEME_CKKS = 1 };

ccz_rc ccz_ckks_new(struct ccz_ckks **out, const struct ccz_ckks_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    if (cfg->ring.scheme || cfg->ring.scheme_param)
        return ccz_fail(err, CCZ_E_ARG, "ckks:scheme", cfg->ring.scheme,
                        "the scheme's number is set by ckks");
    CCZ_AUTO(ccz_ckks) c = calloc(1, sizeof(*c));
    if (!c)
        return ccz_fail(err, CCZ_E_NOMEM, "ckks:context", 0, "out of memory");
    struct ccz_rlwe_cfg ring = cfg->ring;
    ring.scheme = SCHEME_CKKS;
    ccz_rc rc = ccz_rlwe_new(&c->ring, &ring, err);
    if (rc != CCZ_OK)
        return rc;
    c->n = ring.n;
    c->data_len = ring.data_len;
    unsigned log_slots = 0;
    while ((size_t)2 << log_slots < c->n)
        log_slots++;
    c->fft = cczi_fft_new(log_slots, NULL);
    if (!c->fft)
        return ccz_fail(err, CCZ_E_NOMEM, "ckks:context", 0, "out of memory");
    *out = ccz_ckks_take(&c);
    return CCZ_OK;
}

void ccz_ckks_free(struct ccz_ckks *c)
{
    if (!c)
        return;
    ccz_rlwe_free(c->ring);
    cczi_fft_free(c->fft);
    free(c);
}

const struct ccz_rlwe *ccz_ckks_ring(const struct ccz_ckks *c)
{
    return c->ring;
}

size_t ccz_ckks_slots(const struct ccz_ckks *c)
{
    return c->n / 2;
}

ccz_rc ccz_ckks_eval_new(struct ccz_ckks_eval **out, const struct ccz_ckks *c,
                         const struct ccz_rlwe_work_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_ckks_eval) e = calloc(1, sizeof(*e));
    if (!e)
        return ccz_fail(err, CCZ_E_NOMEM, "ckks:eval", 0, "out of memory");
    e->ctx = c;
    e->coeff = (int64_t *)ccz_rlwe_words_new(c->n);
    for (size_t i = 0; i < 2; i++)
        e->slots[i] = (double *)(void *)ccz_rlwe_words_new(c->n + CCZI_FFT_GAP);
    if (!e->coeff || !e->slots[0] || !e->slots[1])
        return ccz_fail(err, CCZ_E_NOMEM, "ckks:eval", 0, "out of memory");
    ccz_rc rc = ccz_rlwe_work_new(&e->work, c->ring, cfg, err);
    if (rc == CCZ_OK)
        *out = ccz_ckks_eval_take(&e);
    return rc;
}

/* Plaintexts and scratch may hold messages. */
static void wipe_free(void *p, size_t size)
{
    if (p)
        ccz_wipe(p, size);
    ccz_rlwe_words_free(p);
}

void ccz_ckks_eval_free(struct ccz_ckks_eval *e)
{
    if (!e)
        return;
    ccz_rlwe_work_free(e->work);
    wipe_free(e->coeff, e->ctx->n * sizeof(*e->coeff));
    for (size_t i = 0; i < 2; i++)
        wipe_free(e->slots[i], (e->ctx->n + CCZI_FFT_GAP) * sizeof(double));
    cczi_ckks_spares_free(e);
    free(e);
}

struct ccz_rlwe_work *ccz_ckks_eval_work(struct ccz_ckks_eval *e)
{
    return e->work;
}

/* -------------------------------------------------------------------------------- plaintexts */

ccz_rc ccz_ckks_pt_new(struct ccz_ckks_pt **out, const struct ccz_ckks *c, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_ckks_pt) p = calloc(1, sizeof(*p));
    if (!p)
        return ccz_fail(err, CCZ_E_NOMEM, "ckks:plaintext", 0, "out of memory");
    p->ctx = c;
    p->coeff = (int64_t *)ccz_rlwe_words_new(c->n);
    p->v = ccz_rlwe_words_new(c->data_len * c->n);
    if (!p->coeff || !p->v)
        return ccz_fail(err, CCZ_E_NOMEM, "ckks:plaintext", 0, "out of memory");
    *out = ccz_ckks_pt_take(&p);
    return CCZ_OK;
}

void ccz_ckks_pt_free(struct ccz_ckks_pt *p)
{
    if (!p)
        return;
    wipe_free(p->coeff, p->ctx->n * sizeof(*p->coeff));
    wipe_free(p->v, p->ctx->data_len * p->ctx->n * sizeof(*p->v));
    free(p);
}

ccz_rc ccz_ckks_pt_declare(struct ccz_ckks_pt *p, double max_value, struct ccz_err *err)
{
    if (!isfinite(max_value) || !(max_value * p->scale >= p->bound))
        return ccz_fail(err, CCZ_E_ARG, "ckks:declared", 0,
                        "the bound %g is not finite or below a value", max_value);
    p->bound = max_value * p->scale;
    p->declared = true;
    return CCZ_OK;
}

ccz_rc ccz_ckks_pt_expand(struct ccz_ckks_pt *p, struct ccz_ckks_eval *e, size_t limbs,
                          struct ccz_err *err)
{
    if (p->ctx != e->ctx)
        return ccz_fail(err, CCZ_E_MISMATCH, "ckks:context", 0,
                        "the plaintext is of another context");
    if (limbs < 1 || limbs > p->ctx->data_len)
        return ccz_refuse_num(err, CCZ_E_ARG, "ckks:limbs", (int64_t)limbs,
                              (int64_t)p->ctx->data_len);
    if (p->limbs >= limbs)
        return CCZ_OK;
    if (!p->has_coeff)
        return ccz_fail(err, CCZ_E_ARG, "ckks:no-coefficients", 0,
                        "the plaintext has residues of %zu primes only and no coefficients",
                        p->limbs);
    ccz_rlwe_from_signed(p->v, e->work, p->coeff, limbs, true);
    p->limbs = limbs;
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------- ciphertexts */

ccz_rc ccz_ckks_ct_new(struct ccz_ckks_ct **out, const struct ccz_ckks *c, struct ccz_err *err)
{
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return ccz_fail(err, CCZ_E_NOMEM, "ckks:ciphertext", 0, "out of memory");
    (*out)->ctx = c;
    ccz_rlwe_ct_init(&(*out)->ct, c->ring);
    return CCZ_OK;
}

void ccz_ckks_ct_free(struct ccz_ckks_ct *ct)
{
    if (!ct)
        return;
    ccz_rlwe_ct_deinit(&ct->ct);
    free(ct);
}

ccz_rc ccz_ckks_copy(struct ccz_ckks_ct *out, const struct ccz_ckks_ct *in)
{
    if (out->ctx != in->ctx)
        return CCZ_E_MISMATCH;
    ccz_rc rc = ccz_rlwe_ct_copy(&out->ct, &in->ct);
    if (rc != CCZ_OK)
        return rc;
    out->scale = in->scale;
    out->bound = in->bound;
    out->noise = in->noise;
    return CCZ_OK;
}

size_t ccz_ckks_level(const struct ccz_ckks_ct *ct)
{
    return ct->ct.parts ? ct->ct.limbs - 1 : 0;
}

double ccz_ckks_error_bits(const struct ccz_ckks_ct *ct)
{
    return log2(ct->noise / ct->scale);
}

double ccz_ckks_headroom_bits(const struct ccz_ckks_ct *ct)
{
    return cczi_ckks_log2_q(ct->ctx, ct->ct.limbs) - 1 - log2(ct->bound);
}

/* ------------------------------------------------------------------------------------ checks */

bool cczi_ckks_same_scale(double a, double b)
{
    return fabs(a / b - 1) <= CCZI_CKKS_SCALE_TOLERANCE;
}

double cczi_ckks_log2_q(const struct ccz_ckks *c, size_t limbs)
{
    double sum = 0;
    for (size_t i = 0; i < limbs; i++)
        sum += log2((double)ccz_rlwe_prime(c->ring, i));
    return sum;
}

double cczi_ckks_canon(const struct ccz_ckks *c, double variance)
{
    return 6 * sqrt((double)c->n * variance);
}

uint64_t cczi_ckks_residue(double x, const struct ccz_modulus *m)
{
    int exponent;
    double mantissa = frexp(fabs(x), &exponent);
    uint64_t r = exponent <= 53 ? ccz_mod_reduce((uint64_t)fabs(x), m)
                                : ccz_mod_reduce((uint64_t)ldexp(mantissa, 53), m);
    if (exponent > 53)
        r = ccz_mod_mul(r, ccz_mod_pow(2, (uint64_t)exponent - 53, m), m);
    return x < 0 ? ccz_mod_sub(0, r, m) : r;
}

ccz_rc cczi_ckks_fits(const struct ccz_ckks *c, double bound, size_t limbs, struct ccz_err *err)
{
    double have = cczi_ckks_log2_q(c, limbs) - 1;
    if (isfinite(bound) && log2(bound) < have)
        return CCZ_OK;
    char got[64], expected[64];
    snprintf(got, sizeof(got), "values times scale up to 2^%.1f", log2(bound));
    snprintf(expected, sizeof(expected), "below 2^%.1f with %zu primes", have, limbs);
    ccz_rc rc = ccz_refuse(err, CCZ_E_ARG, "ckks:overflow", got, expected);
    return ccz_hint(err, rc,
                    "rescale first, or keep more primes, or take smaller values or scales");
}

ccz_rc cczi_ckks_result(const struct ccz_ckks *c, const struct cczi_ckks_meta *meta, size_t limbs,
                        struct ccz_err *err)
{
    if (meta->scale < CCZI_CKKS_SCALE_MAX)
        return cczi_ckks_fits(c, meta->bound, limbs, err);
    ccz_rc rc = ccz_fail(err, CCZ_E_ARG, "ckks:scale", 0, "the result's scale 2^%.1f is too large",
                         log2(meta->scale));
    return ccz_hint(err, rc, "rescale first");
}

ccz_rc cczi_ckks_operand(const struct ccz_ckks_eval *e, const struct ccz_ckks_ct *a,
                         struct ccz_err *err)
{
    if (a->ctx != e->ctx)
        return ccz_fail(err, CCZ_E_MISMATCH, "ckks:context", 0,
                        "the ciphertext is of another context than the evaluator");
    if (a->ct.parts == 0)
        return ccz_fail(err, CCZ_E_ARG, "ckks:empty", 0, "the ciphertext is empty");
    return CCZ_OK;
}

ccz_rc cczi_ckks_pair(const struct ccz_ckks_eval *e, const struct ccz_ckks_ct *a,
                      const struct ccz_ckks_ct *b, struct ccz_err *err)
{
    ccz_rc rc = cczi_ckks_operand(e, a, err);
    if (rc == CCZ_OK)
        rc = cczi_ckks_operand(e, b, err);
    if (rc != CCZ_OK)
        return rc;
    if (memcmp(a->ct.key_id, b->ct.key_id, CCZ_RLWE_KEY_ID_SIZE) != 0)
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "ckks:key-id", b->ct.key_id,
                                CCZ_RLWE_KEY_ID_SIZE, a->ct.key_id, CCZ_RLWE_KEY_ID_SIZE);
    if (a->ct.limbs != b->ct.limbs) {
        rc = ccz_refuse_num(err, CCZ_E_ARG, "ckks:level", (int64_t)b->ct.limbs - 1,
                            (int64_t)a->ct.limbs - 1);
        return ccz_hint(err, rc, "bring the higher one down: ccz_ckks_drop() or ccz_ckks_match()");
    }
    return CCZ_OK;
}

ccz_rc cczi_ckks_scales(double a, double b, struct ccz_err *err)
{
    if (cczi_ckks_same_scale(a, b))
        return CCZ_OK;
    char got[32], expected[32];
    snprintf(got, sizeof(got), "scale 2^%.7f", log2(b));
    snprintf(expected, sizeof(expected), "2^%.7f", log2(a));
    ccz_rc rc = ccz_refuse(err, CCZ_E_ARG, "ckks:scale", got, expected);
    return ccz_hint(err, rc,
                    "bring both to one scale: ccz_ckks_match(), or encode with the other's");
}

ccz_rc cczi_ckks_output(struct ccz_ckks_ct *out, const struct ccz_ckks_eval *e,
                        const struct ccz_ckks_ct *a, const struct ccz_ckks_ct *b, size_t parts,
                        struct ccz_err *err)
{
    if (out->ctx != e->ctx)
        return ccz_fail(err, CCZ_E_MISMATCH, "ckks:context", 0,
                        "the output is of another context than the evaluator");
    if (out != a && out != b)
        out->ct.parts = 0;
    if (ccz_rlwe_ct_reserve(&out->ct, parts) != CCZ_OK)
        return ccz_fail(err, CCZ_E_NOMEM, "ckks:output", 0, "out of memory");
    return CCZ_OK;
}

void cczi_ckks_finish(struct ccz_ckks_ct *out, const struct ccz_ckks_ct *a, size_t parts,
                      size_t limbs, struct cczi_ckks_meta meta)
{
    out->ct.parts = parts;
    out->ct.limbs = limbs;
    out->ct.ntt = true;
    out->ct.seeded = false;
    if (out != a)
        memcpy(out->ct.key_id, a->ct.key_id, sizeof(out->ct.key_id));
    out->scale = meta.scale;
    out->bound = meta.bound;
    out->noise = meta.noise;
}
