/* SPDX-License-Identifier: Apache-2.0 */
/* Secret, public, switching and Galois keys. */
#include "rlwe_priv.h"

#include "base/ct.h"

#include <stdlib.h>
#include <string.h>

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "rlwe:key", 0, "out of memory");
}

/* ------------------------------------------------------------------------------- secret keys */

ccz_rc cczi_rlwe_sk_alloc(struct ccz_rlwe_sk **out, const struct ccz_rlwe *r)
{
    *out = NULL;
    CCZ_AUTO(ccz_rlwe_sk) sk = calloc(1, sizeof(*sk));
    if (!sk)
        return CCZ_E_NOMEM;
    sk->r = r;
    ccz_rc rc = ccz_secret_new(&sk->coeff, r->n);
    for (size_t i = 0; rc == CCZ_OK && i < r->primes_len; i++)
        rc = ccz_secret_new(&sk->ntt[i], r->n * sizeof(uint64_t) + 64);
    if (rc == CCZ_OK)
        *out = ccz_rlwe_sk_take(&sk);
    return rc;
}

static void expand_limb(void *arg, size_t i, size_t thread)
{
    (void)thread;
    const struct ccz_rlwe_sk *sk = arg;
    const struct ccz_rlwe *r = sk->r;
    uint64_t *limb = (uint64_t *)(uintptr_t)cczi_rlwe_sk_limb(sk, i);
    r->k->reduce_i8(limb, (const int8_t *)ccz_secret_view(sk->coeff), r->n, &r->mod[i]);
    ccz_ntt_forward(limb, limb, r->ntt[i]);
}

void cczi_rlwe_sk_expand(struct ccz_rlwe_sk *sk, struct ccz_rlwe_work *w)
{
    cczi_pool_run(w->pool, sk->r->primes_len, expand_limb, sk);
}

ccz_rc ccz_rlwe_sk_new(struct ccz_rlwe_sk **out, struct ccz_rlwe_work *w, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_rlwe_sk) sk = NULL;
    uint8_t seed[CCZ_RLWE_SEED_SIZE];
    if (cczi_rlwe_sk_alloc(&sk, w->r) != CCZ_OK)
        return no_memory(err);
    ccz_rc rc = cczi_rlwe_seed(w, sk->id, sizeof(sk->id), err);
    if (rc == CCZ_OK)
        rc = cczi_rlwe_seed(w, seed, sizeof(seed), err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_rlwe_small((int8_t *)ccz_secret_bytes(sk->coeff), w, 0, seed, CCZI_RLWE_TERNARY, 0);
    ccz_wipe(seed, sizeof(seed));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "rlwe:random", 0, "the random generator failed");
    cczi_rlwe_sk_expand(sk, w);
    *out = ccz_rlwe_sk_take(&sk);
    return CCZ_OK;
}

void ccz_rlwe_sk_free(struct ccz_rlwe_sk *sk)
{
    if (!sk)
        return;
    ccz_secret_free(sk->coeff);
    for (size_t i = 0; i < CCZ_RLWE_PRIMES_MAX; i++)
        ccz_secret_free(sk->ntt[i]);
    free(sk);
}

const uint8_t *ccz_rlwe_sk_id(const struct ccz_rlwe_sk *sk)
{
    return sk->id;
}

/* ------------------------------------------------------------------------------- public keys */

ccz_rc cczi_rlwe_pk_alloc(struct ccz_rlwe_pk **out, const struct ccz_rlwe *r)
{
    *out = NULL;
    CCZ_AUTO(ccz_rlwe_pk) pk = calloc(1, sizeof(*pk));
    if (!pk)
        return CCZ_E_NOMEM;
    pk->r = r;
    pk->b = ccz_rlwe_words_new(2 * r->data_len * r->n);
    if (!pk->b)
        return CCZ_E_NOMEM;
    pk->a = pk->b + r->data_len * r->n;
    *out = ccz_rlwe_pk_take(&pk);
    return CCZ_OK;
}

void ccz_rlwe_pk_free(struct ccz_rlwe_pk *pk)
{
    if (!pk)
        return;
    ccz_rlwe_words_free(pk->b);
    free(pk);
}

const uint8_t *ccz_rlwe_pk_id(const struct ccz_rlwe_pk *pk)
{
    return pk->id;
}

struct uniform_job {
    struct ccz_rlwe_work *w;
    struct ccz_rlwe_pk *pk;
    struct ccz_rlwe_swk *swk;
    _Atomic int failed; /* rc */
};

static void pk_uniform_limb(void *arg, size_t i, size_t thread)
{
    struct uniform_job *j = arg;
    ccz_rc rc = cczi_rlwe_uniform(j->pk->a + i * j->w->r->n, j->w, thread, j->pk->seed,
                                  CCZI_RLWE_UNIFORM_PK, 0, i);
    if (rc != CCZ_OK)
        j->failed = rc;
}

ccz_rc cczi_rlwe_pk_uniform(struct ccz_rlwe_pk *pk, struct ccz_rlwe_work *w)
{
    struct uniform_job j = {.w = w, .pk = pk};
    cczi_pool_run(w->pool, w->r->data_len, pk_uniform_limb, &j);
    return (ccz_rc)j.failed;
}

struct pk_job {
    struct ccz_rlwe_work *w;
    struct ccz_rlwe_pk *pk;
    const struct ccz_rlwe_sk *sk;
};

/* b = e - a s */
static void pk_limb(void *arg, size_t i, size_t thread)
{
    struct pk_job *j = arg;
    const struct ccz_rlwe *r = j->w->r;
    const struct ccz_modulus *m = &r->mod[i];
    uint64_t *b = j->pk->b + i * r->n, *as = j->w->buf[thread];
    r->k->reduce_i8(b, j->w->small[0], r->n, m);
    ccz_ntt_forward(b, b, r->ntt[i]);
    r->k->mul(as, j->pk->a + i * r->n, cczi_rlwe_sk_limb(j->sk, i), r->n, m);
    r->k->sub(b, b, as, r->n, m);
    CCZ_CT_PUBLIC(b, r->n * sizeof(*b));
}

ccz_rc ccz_rlwe_pk_new(struct ccz_rlwe_pk **out, struct ccz_rlwe_work *w,
                       const struct ccz_rlwe_sk *sk, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rlwe_same(sk->r, w->r, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_rlwe_pk) pk = NULL;
    uint8_t seed[CCZ_RLWE_SEED_SIZE];
    if (cczi_rlwe_pk_alloc(&pk, w->r) != CCZ_OK)
        return no_memory(err);
    memcpy(pk->id, sk->id, sizeof(pk->id));
    rc = cczi_rlwe_seed(w, pk->seed, sizeof(pk->seed), err);
    if (rc == CCZ_OK)
        rc = cczi_rlwe_seed(w, seed, sizeof(seed), err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_rlwe_small(w->small[0], w, 0, seed, CCZI_RLWE_ERROR, 0);
    if (rc == CCZ_OK)
        rc = cczi_rlwe_pk_uniform(pk, w);
    ccz_wipe(seed, sizeof(seed));
    struct pk_job j = {.w = w, .pk = pk, .sk = sk};
    if (rc == CCZ_OK)
        cczi_pool_run(w->pool, w->r->data_len, pk_limb, &j);
    ccz_wipe(w->small[0], w->r->n);
    cczi_rlwe_wipe_bufs(w);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "rlwe:random", 0, "the random generator failed");
    *out = ccz_rlwe_pk_take(&pk);
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------- switching keys */

ccz_rc cczi_rlwe_swk_alloc(struct ccz_rlwe_swk **out, const struct ccz_rlwe *r, uint32_t elt,
                           struct ccz_err *err)
{
    *out = NULL;
    if (r->special_len == 0) {
        ccz_rc rc = ccz_fail(err, CCZ_E_ARG, "rlwe:no-special", 0,
                             "the parameters have no special prime for switching keys");
        return ccz_hint(err, rc, "set special_len to 1 or more");
    }
    CCZ_AUTO(ccz_rlwe_swk) k = calloc(1, sizeof(*k));
    if (!k)
        return no_memory(err);
    k->r = r;
    k->elt = elt;
    if (elt) {
        ccz_rc rc = ccz_galois_new(&k->galois, r->n, elt, err);
        if (rc != CCZ_OK)
            return rc;
    }
    k->v = ccz_rlwe_words_new(r->primes_len * r->dnum * 2 * r->stride);
    if (!k->v)
        return no_memory(err);
    *out = ccz_rlwe_swk_take(&k);
    return CCZ_OK;
}

void ccz_rlwe_swk_free(struct ccz_rlwe_swk *k)
{
    if (!k)
        return;
    ccz_galois_free(k->galois);
    ccz_rlwe_words_free(k->v);
    free(k);
}

const uint8_t *ccz_rlwe_swk_id(const struct ccz_rlwe_swk *k)
{
    return k->id;
}

uint32_t ccz_rlwe_swk_elt(const struct ccz_rlwe_swk *k)
{
    return k->elt;
}

static void swk_uniform_limb(void *arg, size_t i, size_t thread)
{
    struct uniform_job *j = arg;
    for (size_t d = 0; d < j->w->r->dnum; d++) {
        ccz_rc rc = cczi_rlwe_uniform(cczi_rlwe_swk_at(j->swk, i, d, 1), j->w, thread, j->swk->seed,
                                      CCZI_RLWE_UNIFORM_SWK, d, i);
        if (rc != CCZ_OK)
            j->failed = rc;
    }
}

ccz_rc cczi_rlwe_swk_uniform(struct ccz_rlwe_swk *k, struct ccz_rlwe_work *w)
{
    struct uniform_job j = {.w = w, .swk = k};
    cczi_pool_run(w->pool, w->r->primes_len, swk_uniform_limb, &j);
    return (ccz_rc)j.failed;
}

struct swk_job {
    struct ccz_rlwe_work *w;
    struct ccz_rlwe_swk *k;
    const struct ccz_rlwe_sk *sk;
    const struct ccz_galois *back;   /* inverse of the automorphism; NULL: none */
    const struct ccz_rlwe_sk *other; /* of a transfer: what is switched; NULL: none */
    const int8_t *errors;            /* [dnum][n] */
};

/*
 * Digit d modulo prime i: b = e - a t + P g s', where g is 1 modulo the primes of the digit and 0
 * modulo the others. Relinearization: s' = s^2, t = s; transfer: s' is another secret. Automorphism: s' = s and t = its inverse of s,
 * so that digits need not be permuted: the automorphism comes last, on the switched sums.
 */
static void swk_limb(void *arg, size_t i, size_t thread)
{
    struct swk_job *j = arg;
    const struct ccz_rlwe *r = j->w->r;
    const struct ccz_modulus *m = &r->mod[i];
    const uint64_t *s = cczi_rlwe_sk_limb(j->sk, i), *target = s, *from = s;
    uint64_t *other = j->w->buf[thread], *at = other + r->n;
    if (j->back) {
        r->k->galois(other, s, j->back);
        target = other;
    } else if (j->other) {
        from = cczi_rlwe_sk_limb(j->other, i);
    } else {
        r->k->mul(other, s, s, r->n, m);
        from = other;
    }
    for (size_t d = 0; d < r->dnum; d++) {
        uint64_t *b = cczi_rlwe_swk_at(j->k, i, d, 0), *a = cczi_rlwe_swk_at(j->k, i, d, 1);
        r->k->reduce_i8(b, j->errors + d * r->n, r->n, m);
        ccz_ntt_forward(b, b, r->ntt[i]);
        r->k->mul(at, a, target, r->n, m);
        r->k->sub(b, b, at, r->n, m);
        if (i < r->data_len && i / r->alpha == d)
            r->k->mul_const_add(b, from, r->p_mod[i], r->n, m);
        CCZ_CT_PUBLIC(b, r->n * sizeof(*b));
    }
}

static ccz_rc swk_fill(struct ccz_rlwe_swk *k, struct ccz_rlwe_work *w, struct swk_job j,
                       struct ccz_err *err)
{
    const struct ccz_rlwe_sk *sk = j.sk;
    int8_t *errors = malloc(w->r->dnum * w->r->n);
    if (!errors)
        return no_memory(err);
    uint8_t seed[CCZ_RLWE_SEED_SIZE];
    memcpy(k->id, sk->id, sizeof(k->id));
    ccz_rc rc = cczi_rlwe_seed(w, k->seed, sizeof(k->seed), err);
    if (rc == CCZ_OK)
        rc = cczi_rlwe_seed(w, seed, sizeof(seed), err);
    const bool seeded = rc == CCZ_OK;
    for (size_t d = 0; rc == CCZ_OK && d < w->r->dnum; d++)
        rc = cczi_rlwe_small(errors + d * w->r->n, w, 0, seed, CCZI_RLWE_ERROR, d);
    if (rc == CCZ_OK)
        rc = cczi_rlwe_swk_uniform(k, w);
    ccz_wipe(seed, sizeof(seed));
    if (rc == CCZ_OK) {
        j.w = w;
        j.k = k;
        j.errors = errors;
        cczi_pool_run(w->pool, w->r->primes_len, swk_limb, &j);
        cczi_rlwe_wipe_bufs(w);
    }
    ccz_wipe(errors, w->r->dnum * w->r->n);
    free(errors);
    if (rc != CCZ_OK && seeded)
        return ccz_fail(err, rc, "rlwe:random", 0, "the random generator failed");
    return rc;
}

static ccz_rc swk_new(struct ccz_rlwe_swk **out, struct ccz_rlwe_work *w,
                      const struct ccz_rlwe_sk *sk, uint32_t elt, struct ccz_err *err)
{
    *out = NULL;
    const struct ccz_rlwe *r = w->r;
    ccz_rc rc = cczi_rlwe_same(sk->r, r, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_rlwe_swk) k = NULL;
    rc = cczi_rlwe_swk_alloc(&k, r, elt, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_galois) back = NULL;
    if (elt) { /* the inverse of an odd number modulo a power of two, by Newton's iteration */
        uint32_t inverse = elt;
        for (int i = 0; i < 5; i++)
            inverse *= 2 - elt * inverse;
        rc = ccz_galois_new(&back, r->n, inverse & (2 * r->n - 1), err);
        if (rc != CCZ_OK)
            return rc;
    }
    rc = swk_fill(k, w, (struct swk_job){.sk = sk, .back = back}, err);
    if (rc == CCZ_OK)
        *out = ccz_rlwe_swk_take(&k);
    return rc;
}

ccz_rc ccz_rlwe_transfer_new(struct ccz_rlwe_swk **out, struct ccz_rlwe_work *w,
                             const struct ccz_rlwe_sk *sk, const struct ccz_rlwe_sk *from,
                             struct ccz_err *err)
{
    *out = NULL;
    const struct ccz_rlwe *r = w->r;
    ccz_rc rc = cczi_rlwe_same(sk->r, r, err);
    if (rc != CCZ_OK)
        return rc;
    if (from->r->n != r->n)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "rlwe:degree", (int64_t)from->r->n,
                              (int64_t)r->n);
    CCZ_AUTO(ccz_rlwe_swk) k = NULL;
    CCZ_AUTO(ccz_rlwe_sk) other = NULL; /* the same coefficients modulo these primes */
    rc = cczi_rlwe_swk_alloc(&k, r, 0, err);
    if (rc != CCZ_OK)
        return rc;
    if (cczi_rlwe_sk_alloc(&other, r) != CCZ_OK)
        return no_memory(err);
    memcpy(ccz_secret_bytes(other->coeff), ccz_secret_view(from->coeff), r->n);
    cczi_rlwe_sk_expand(other, w);
    k->transfer = true;
    memcpy(k->from_id, from->id, sizeof(k->from_id));
    rc = swk_fill(k, w, (struct swk_job){.sk = sk, .other = other}, err);
    if (rc == CCZ_OK)
        *out = ccz_rlwe_swk_take(&k);
    return rc;
}

const uint8_t *ccz_rlwe_transfer_from(const struct ccz_rlwe_swk *k)
{
    return k->transfer ? k->from_id : NULL;
}

ccz_rc ccz_rlwe_relin_new(struct ccz_rlwe_swk **out, struct ccz_rlwe_work *w,
                          const struct ccz_rlwe_sk *sk, struct ccz_err *err)
{
    return swk_new(out, w, sk, 0, err);
}

ccz_rc ccz_rlwe_galois_new(struct ccz_rlwe_swk **out, struct ccz_rlwe_work *w,
                           const struct ccz_rlwe_sk *sk, uint32_t elt, struct ccz_err *err)
{
    *out = NULL;
    if (elt % 2 == 0 || elt >= 2 * w->r->n)
        return ccz_fail(err, CCZ_E_ARG, "rlwe:galois-element", elt, "%u is not odd and below %zu",
                        elt, 2 * w->r->n);
    return swk_new(out, w, sk, elt, err);
}

/* -------------------------------------------------------------------------------- Galois sets */

/* Takes @p k in its place; an element that is there already is CCZ_E_EXISTS. */
ccz_rc cczi_rlwe_set_add(struct ccz_rlwe_galois_set *s, struct ccz_rlwe_swk *k)
{
    size_t at = 0;
    while (at < s->len && s->keys[at]->elt < k->elt)
        at++;
    if (at < s->len && s->keys[at]->elt == k->elt)
        return CCZ_E_EXISTS;
    struct ccz_rlwe_swk **keys = realloc(s->keys, (s->len + 1) * sizeof(*keys));
    if (!keys)
        return CCZ_E_NOMEM;
    memmove(keys + at + 1, keys + at, (s->len - at) * sizeof(*keys));
    keys[at] = k;
    s->keys = keys;
    s->len++;
    return CCZ_OK;
}

ccz_rc ccz_rlwe_galois_set_new(struct ccz_rlwe_galois_set **out, struct ccz_rlwe_work *w,
                               const struct ccz_rlwe_sk *sk, const uint32_t *elts, size_t len,
                               struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_rlwe_galois_set) s = calloc(1, sizeof(*s));
    if (!s)
        return no_memory(err);
    for (size_t i = 0; i < len; i++) {
        if (ccz_rlwe_galois_find(s, elts[i]))
            continue;
        struct ccz_rlwe_swk *k;
        ccz_rc rc = ccz_rlwe_galois_new(&k, w, sk, elts[i], err);
        if (rc != CCZ_OK)
            return rc;
        if (cczi_rlwe_set_add(s, k) != CCZ_OK) {
            ccz_rlwe_swk_free(k);
            return no_memory(err);
        }
    }
    *out = ccz_rlwe_galois_set_take(&s);
    return CCZ_OK;
}

void ccz_rlwe_galois_set_free(struct ccz_rlwe_galois_set *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->len; i++)
        ccz_rlwe_swk_free(s->keys[i]);
    free(s->keys);
    free(s);
}

const struct ccz_rlwe_swk *ccz_rlwe_galois_find(const struct ccz_rlwe_galois_set *s, uint32_t elt)
{
    for (size_t low = 0, high = s->len; low < high;) {
        size_t mid = (low + high) / 2;
        if (s->keys[mid]->elt == elt)
            return s->keys[mid];
        if (s->keys[mid]->elt < elt)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

size_t ccz_rlwe_galois_len(const struct ccz_rlwe_galois_set *s)
{
    return s->len;
}

uint32_t ccz_rlwe_rotation_elt(size_t n, int64_t steps)
{
    const size_t slots = n / 2;
    size_t places = (size_t)(steps % (int64_t)slots + (int64_t)slots) % slots;
    uint32_t elt = 1;
    for (uint32_t power = 5; places; places >>= 1, power *= power)
        elt = places & 1 ? elt * power : elt;
    return elt & (uint32_t)(2 * n - 1);
}

uint32_t ccz_rlwe_conjugation_elt(size_t n)
{
    return (uint32_t)(2 * n - 1);
}
