/* SPDX-License-Identifier: Apache-2.0 */
/* Encryption of a message polynomial, and the phase of a ciphertext. */
#include "rlwe_priv.h"

#include "base/ct.h"

#include <string.h>

struct encrypt_job {
    struct ccz_rlwe_work *w;
    struct ccz_rlwe_ct *out;
    const struct ccz_rlwe_sk *sk;
    const struct ccz_rlwe_pk *pk;
    struct ccz_rlwe_msg m;
    _Atomic int failed; /* rc */
};

/* Residues of error and message in evaluation form: v = NTT(e + coefficients) + residues. */
static void noisy_limb(uint64_t *v, const struct encrypt_job *j, const int8_t *e, size_t i)
{
    const struct ccz_rlwe *r = j->w->r;
    if (j->m.coeff)
        r->k->reduce_i64(v, j->w->sum, r->n, &r->mod[i]);
    else
        r->k->reduce_i8(v, e, r->n, &r->mod[i]);
    if (j->m.residues)
        r->k->add(v, v, j->m.residues + i * r->n, r->n, &r->mod[i]);
    ccz_ntt_forward(v, v, r->ntt[i]);
    if (j->m.poly)
        r->k->add(v, v, j->m.poly + i * r->n, r->n, &r->mod[i]);
}

static void sk_limb(void *arg, size_t i, size_t thread)
{
    struct encrypt_job *j = arg;
    const struct ccz_rlwe *r = j->w->r;
    const struct ccz_modulus *m = &r->mod[i];
    uint64_t *c0 = j->out->c[0] + i * r->n, *a = j->out->c[1] + i * r->n, *as = j->w->buf[thread];
    ccz_rc rc = cczi_rlwe_uniform(a, j->w, thread, j->out->seed, CCZI_RLWE_UNIFORM_CT, 0, i);
    if (rc != CCZ_OK)
        j->failed = rc;
    noisy_limb(c0, j, j->w->small[0], i);
    r->k->mul(as, a, cczi_rlwe_sk_limb(j->sk, i), r->n, m);
    r->k->sub(c0, c0, as, r->n, m);
    CCZ_CT_PUBLIC(c0, r->n * sizeof(*c0));
}

static void pk_limb(void *arg, size_t i, size_t thread)
{
    struct encrypt_job *j = arg;
    const struct ccz_rlwe *r = j->w->r;
    const struct ccz_modulus *m = &r->mod[i];
    uint64_t *c0 = j->out->c[0] + i * r->n, *c1 = j->out->c[1] + i * r->n, *u = j->w->buf[thread];
    r->k->reduce_i8(u, j->w->small[0], r->n, m);
    ccz_ntt_forward_lazy(u, u, r->ntt[i]);
    noisy_limb(c0, j, j->w->small[1], i);
    r->k->mul_add(c0, u, j->pk->b + i * r->n, r->n, m);
    r->k->reduce_i8(c1, j->w->small[2], r->n, m);
    ccz_ntt_forward(c1, c1, r->ntt[i]);
    r->k->mul_add(c1, u, j->pk->a + i * r->n, r->n, m);
    CCZ_CT_PUBLIC(c0, r->n * sizeof(*c0));
    CCZ_CT_PUBLIC(c1, r->n * sizeof(*c1));
}

static ccz_rc prepare(struct ccz_rlwe_ct *out, struct ccz_rlwe_work *w, size_t limbs,
                      struct ccz_err *err)
{
    if (limbs < 1 || limbs > w->r->data_len)
        return ccz_refuse_num(err, CCZ_E_ARG, "rlwe:limbs", (int64_t)limbs,
                              (int64_t)w->r->data_len);
    ccz_rc rc = cczi_rlwe_same(out->ctx, w->r, err);
    if (rc != CCZ_OK)
        return rc;
    out->parts = 0;
    if (ccz_rlwe_ct_reserve(out, 2) != CCZ_OK)
        return ccz_fail(err, CCZ_E_NOMEM, "rlwe:encrypt", 0, "out of memory");
    return CCZ_OK;
}

/* Runs the limbs; the ciphertext is complete or empty. */
static ccz_rc finish(struct encrypt_job *j, size_t limbs, const uint8_t *id, const int8_t *e,
                     void (*limb)(void *arg, size_t i, size_t thread), struct ccz_err *err)
{
    struct ccz_rlwe_work *w = j->w;
    for (size_t i = 0; j->m.coeff && i < w->r->n; i++)
        w->sum[i] = j->m.coeff[i] + e[i];
    if (!j->failed)
        cczi_pool_run(w->pool, limbs, limb, j);
    for (size_t i = 0; i < 3; i++)
        ccz_wipe(w->small[i], w->r->n);
    if (j->m.coeff)
        ccz_wipe(w->sum, w->r->n * sizeof(*w->sum));
    cczi_rlwe_wipe_bufs(w);
    if (j->failed) { /* what masks the message may be missing */
        ccz_wipe(j->out->c[0], limbs * w->r->n * sizeof(*j->out->c[0]));
        return ccz_fail(err, (ccz_rc)j->failed, "rlwe:random", 0, "the random generator failed");
    }
    j->out->parts = 2;
    j->out->limbs = limbs;
    j->out->ntt = true;
    j->out->seeded = j->sk != NULL;
    memcpy(j->out->key_id, id, sizeof(j->out->key_id));
    return CCZ_OK;
}

ccz_rc ccz_rlwe_encrypt_sk(struct ccz_rlwe_ct *out, struct ccz_rlwe_work *w,
                           const struct ccz_rlwe_sk *sk, size_t limbs, struct ccz_rlwe_msg m,
                           struct ccz_err *err)
{
    ccz_rc rc = cczi_rlwe_same(sk->r, w->r, err);
    if (rc == CCZ_OK)
        rc = prepare(out, w, limbs, err);
    if (rc != CCZ_OK)
        return rc;
    uint8_t seed[CCZ_RLWE_SEED_SIZE];
    rc = cczi_rlwe_seed(w, out->seed, sizeof(out->seed), err);
    if (rc == CCZ_OK)
        rc = cczi_rlwe_seed(w, seed, sizeof(seed), err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_rlwe_small(w->small[0], w, 0, seed, CCZI_RLWE_ERROR, 0);
    ccz_wipe(seed, sizeof(seed));
    struct encrypt_job j = {.w = w, .out = out, .sk = sk, .m = m, .failed = rc};
    return finish(&j, limbs, sk->id, w->small[0], sk_limb, err);
}

ccz_rc ccz_rlwe_encrypt_pk(struct ccz_rlwe_ct *out, struct ccz_rlwe_work *w,
                           const struct ccz_rlwe_pk *pk, size_t limbs, struct ccz_rlwe_msg m,
                           struct ccz_err *err)
{
    ccz_rc rc = cczi_rlwe_same(pk->r, w->r, err);
    if (rc == CCZ_OK)
        rc = prepare(out, w, limbs, err);
    if (rc != CCZ_OK)
        return rc;
    uint8_t seed[CCZ_RLWE_SEED_SIZE];
    rc = cczi_rlwe_seed(w, seed, sizeof(seed), err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_rlwe_small(w->small[0], w, 0, seed, CCZI_RLWE_TERNARY, 0);
    for (size_t k = 1; rc == CCZ_OK && k < 3; k++)
        rc = cczi_rlwe_small(w->small[k], w, 0, seed, CCZI_RLWE_ERROR, k);
    ccz_wipe(seed, sizeof(seed));
    struct encrypt_job j = {.w = w, .out = out, .pk = pk, .m = m, .failed = rc};
    return finish(&j, limbs, pk->id, w->small[1], pk_limb, err);
}

struct phase_job {
    struct ccz_rlwe_work *w;
    uint64_t *out;
    const struct ccz_rlwe_sk *sk;
    const struct ccz_rlwe_ct *in;
};

/* Horner's rule in s; a ciphertext in coefficient form is transformed on the way. */
static void phase_limb(void *arg, size_t i, size_t thread)
{
    struct phase_job *j = arg;
    const struct ccz_rlwe *r = j->w->r;
    const struct ccz_modulus *m = &r->mod[i];
    const uint64_t *s = cczi_rlwe_sk_limb(j->sk, i);
    uint64_t *out = j->out + i * r->n, *tmp = j->w->buf[thread];
    for (size_t p = j->in->parts; p-- > 0;) {
        const uint64_t *c = j->in->c[p] + i * r->n;
        const bool first = p + 1 == j->in->parts;
        if (!j->in->ntt && p > 0) {
            ccz_ntt_forward(tmp, c, r->ntt[i]);
            c = tmp;
        }
        if (!first && (j->in->ntt || p > 0))
            r->k->add(out, out, c, r->n, m);
        if (p > 0)
            r->k->mul(out, first ? c : out, s, r->n, m);
    }
    if (!j->in->ntt) {
        ccz_ntt_inverse(out, out, r->ntt[i]);
        r->k->add(out, out, j->in->c[0] + i * r->n, r->n, m);
    }
}

ccz_rc ccz_rlwe_phase(uint64_t *out, struct ccz_rlwe_work *w, const struct ccz_rlwe_sk *sk,
                      const struct ccz_rlwe_ct *in, size_t limbs, struct ccz_err *err)
{
    if (in->parts == 0)
        return ccz_fail(err, CCZ_E_ARG, "rlwe:empty", 0, "the ciphertext is empty");
    if (limbs < 1 || limbs > in->limbs)
        return ccz_refuse_num(err, CCZ_E_ARG, "rlwe:limbs", (int64_t)limbs, (int64_t)in->limbs);
    ccz_rc rc = cczi_rlwe_same(in->ctx, w->r, err);
    if (rc == CCZ_OK)
        rc = cczi_rlwe_same(sk->r, w->r, err);
    if (rc == CCZ_OK)
        rc = cczi_rlwe_same_key(in->key_id, sk->id, err);
    if (rc != CCZ_OK)
        return rc;
    if (ccz_rlwe_ct_transparent(in))
        return ccz_fail(err, CCZ_E_FORMAT, "rlwe:transparent", 0,
                        "the ciphertext shows its message: its other parts are zero");
    struct phase_job j = {.w = w, .out = out, .sk = sk, .in = in};
    cczi_pool_run(w->pool, limbs, phase_limb, &j);
    return CCZ_OK;
}
