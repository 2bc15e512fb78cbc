/* SPDX-License-Identifier: Apache-2.0 */
/* What is done to a result before the owner of the key gets it. */
#include "bfv_priv.h"

#include <math.h>
#include <stdlib.h>

void cczi_bfv_drop_deinit(struct cczi_bfv_drop *d)
{
    ccz_base_conv_free(d->conv);
    free(d->scale);
    free(d->inverse);
    *d = (struct cczi_bfv_drop){0};
}

static ccz_rc drop_init(struct cczi_bfv_drop *d, const struct ccz_bfv *c, size_t from, size_t to,
                        struct ccz_err *err)
{
    struct ccz_modulus m[CCZ_RLWE_PRIMES_MAX];
    if (d->from == from && d->to == to)
        return CCZ_OK;
    cczi_bfv_drop_deinit(d);
    for (size_t i = 0; i < from; i++)
        m[i] = *cczi_bfv_modulus(c, i);
    d->scale = calloc(from - to, sizeof(*d->scale));
    d->inverse = calloc(to, sizeof(*d->inverse));
    if (!d->scale || !d->inverse)
        return ccz_fail(err, CCZ_E_NOMEM, "bfv:memory", 0, "out of memory");
    ccz_rc rc = ccz_base_conv_new(&d->conv, m + to, from - to, m, to, CCZ_CONV_CENTERED, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = to; i < from; i++)
        d->scale[i - to] =
            ccz_ntt_scale_from(ccz_base_conv_factor(d->conv, i - to), ccz_rlwe_ntt(c->ring, i));
    for (size_t i = 0; i < to; i++) {
        uint64_t p = 1;
        for (size_t j = to; j < from; j++)
            p = ccz_mod_mul(p, ccz_mod_reduce(m[j].q, &m[i]), &m[i]);
        d->inverse[i] = ccz_mulc_from(ccz_mod_inv(p, &m[i]), &m[i]);
    }
    d->from = from;
    d->to = to;
    return CCZ_OK;
}

enum { CHUNK_LEN = 1024 };

struct job {
    struct ccz_bfv_eval *e;
    const struct ccz_bfv_ct *a;
    struct ccz_bfv_ct *out;
};

/* Coefficients of the primes that go, by part and prime. */
static void inverse_part(void *arg, size_t item)
{
    const struct job *j = arg;
    const struct cczi_bfv_drop *d = &j->e->drop;
    const size_t n = j->e->ctx->n, part = item % 2, i = d->to + item / 2;
    ccz_ntt_inverse_scaled(j->e->poly[part] + i * n, j->a->ct.c[part] + i * n, &d->scale[i - d->to],
                           ccz_rlwe_ntt(j->e->ctx->ring, i));
}

/* Some columns of them, to the primes that stay. */
static void convert_chunk(void *arg, size_t item)
{
    const struct job *j = arg;
    const struct cczi_bfv_drop *d = &j->e->drop;
    const size_t n = j->e->ctx->n, at = item / 2 * CHUNK_LEN;
    uint64_t *r[CCZ_RLWE_PRIMES_MAX];
    const uint64_t *a[CCZ_RLWE_PRIMES_MAX];
    for (size_t i = 0; i < d->from; i++) {
        uint64_t *limb = j->e->poly[item % 2] + i * n + at;
        if (i < d->to)
            r[i] = limb;
        else
            a[i - d->to] = limb;
    }
    ccz_base_conv(r, a, true, CHUNK_LEN, d->conv, j->e->ctx->k);
}

/* (c - [c mod P, centred]) / P */
static void divide_part(void *arg, size_t item)
{
    const struct job *j = arg;
    const struct cczi_bfv_drop *d = &j->e->drop;
    const struct ccz_bfv *c = j->e->ctx;
    const size_t part = item % 2, i = item / 2, at = i * c->n;
    uint64_t *rest = j->e->poly[part] + at;
    ccz_ntt_forward_lazy(rest, rest, ccz_rlwe_ntt(c->ring, i));
    c->k->sub_mul_const(j->out->ct.c[part] + at, j->a->ct.c[part] + at, rest, d->inverse[i], c->n,
                        cczi_bfv_modulus(c, i));
}

ccz_rc ccz_bfv_mod_switch(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e,
                          const struct ccz_bfv_ct *a, size_t limbs, struct ccz_err *err)
{
    const size_t from = a->ct.limbs;
    ccz_rc rc = cczi_bfv_operand(e, a, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_context(out->ctx == e->ctx, err);
    if (rc != CCZ_OK)
        return rc;
    if (limbs < 1 || limbs > from)
        return ccz_refuse_num(err, CCZ_E_ARG, "bfv:limbs", (int64_t)limbs, (int64_t)from);
    if (limbs == from)
        return ccz_bfv_copy(out, a) == CCZ_OK
                   ? CCZ_OK
                   : ccz_fail(err, CCZ_E_NOMEM, "bfv:memory", 0, "out of memory");
    const double log2_p = e->ctx->level[from - 1].log2_q - e->ctx->level[limbs - 1].log2_q;
    const struct cczi_bfv_noise v = cczi_bfv_divided(cczi_bfv_noise_of(a), log2_p, e->ctx->n);
    rc = cczi_bfv_fits(e->ctx, v, limbs, err);
    if (rc == CCZ_OK)
        rc = drop_init(&e->drop, e->ctx, from, limbs, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_output(out, e, out == a, err);
    if (rc != CCZ_OK)
        return rc;
    struct job j = {e, a, out};
    ccz_rlwe_parallel(e->work, 2 * (from - limbs), inverse_part, &j);
    ccz_rlwe_parallel(e->work, 2 * (e->ctx->n / CHUNK_LEN), convert_chunk, &j);
    ccz_rlwe_parallel(e->work, 2 * limbs, divide_part, &j);
    cczi_bfv_finish(out, a, v, a->is_private);
    out->ct.limbs = limbs;
    return CCZ_OK;
}

/* e->tmp = an encryption of the mask, or of zero, with wide noise: all in one transform */
static ccz_rc encrypt_flood(struct ccz_bfv_eval *e, const struct ccz_bfv_pt *mask,
                            const struct ccz_rlwe_pk *pk, unsigned bits, size_t limbs,
                            struct ccz_err *err)
{
    const struct ccz_bfv *c = e->ctx;
    const size_t size = limbs * c->n * sizeof(*e->poly[0]);
    if (mask)
        cczi_bfv_scale_up(e->poly[0], e, mask->m, limbs);
    ccz_rc rc = ccz_rlwe_flood_uniform(e->poly[mask != NULL], e->work, bits, limbs, err);
    for (size_t i = 0; rc == CCZ_OK && mask && i < limbs; i++)
        c->k->add(e->poly[0] + i * c->n, e->poly[0] + i * c->n, e->poly[1] + i * c->n, c->n,
                  cczi_bfv_modulus(c, i));
    if (rc == CCZ_OK)
        rc = ccz_rlwe_encrypt_pk(&e->tmp->ct, e->work, pk, limbs,
                                 (struct ccz_rlwe_msg){.residues = e->poly[0]}, err);
    ccz_wipe(e->poly[0], size);
    ccz_wipe(e->poly[1], size);
    return rc;
}

ccz_rc ccz_bfv_flood(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e, const struct ccz_bfv_ct *a,
                     const struct ccz_bfv_pt *mask, const struct ccz_rlwe_pk *pk,
                     unsigned flood_bits, struct ccz_err *err)
{
    const struct ccz_bfv *c = e->ctx;
    ccz_rc rc = cczi_bfv_operand(e, a, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_context(!mask || mask->ctx == c, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_same_key(ccz_rlwe_pk_id(pk), a->ct.key_id, err);
    if (rc != CCZ_OK)
        return rc;
    if (flood_bits < 1 || flood_bits > CCZ_BFV_FLOOD_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "bfv:flood-bits", flood_bits, 40);
    const struct cczi_bfv_noise with_mask = {a->sigma,
                                             mask ? cczi_bfv_sum(a->fixed, -1) : a->fixed};
    struct cczi_bfv_noise zero = cczi_bfv_fresh_pk(c->n, ccz_rlwe_var_fresh_sk(c->ring));
    const unsigned bits = cczi_bfv_flood_bits(cczi_bfv_plus(with_mask, zero), c->n, flood_bits);
    zero.fixed = (double)bits - 1;
    const struct cczi_bfv_noise v = cczi_bfv_plus(with_mask, zero);
    rc = cczi_bfv_fits(c, v, a->ct.limbs, err);
    if (rc == CCZ_OK)
        rc = encrypt_flood(e, mask, pk, bits, a->ct.limbs, err);
    if (rc != CCZ_OK)
        return rc;
    e->tmp->sigma = zero.sigma;
    e->tmp->fixed = cczi_bfv_sum(zero.fixed, mask ? -1 : -(double)INFINITY);
    rc = ccz_bfv_add(out, e, a, e->tmp, err);
    if (rc == CCZ_OK)
        out->is_private = false;
    return rc;
}
