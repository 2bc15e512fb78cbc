/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_RLWE_KIT_H
#define TEST_RLWE_KIT_H
/* Small parameters, a reproducible generator, and polynomial arithmetic by definition. */
#include "rlwe/rlwe_priv.h"

#include "ccz_test.h"
#include "refused.h"
#include "test_rng.h"

__extension__ typedef unsigned __int128 u128;

/* Everything that most tests need, for one set of parameters. */
struct kit {
    struct test_rng rng;
    struct ccz_rlwe *r;
    struct ccz_rlwe_work *w;
    struct ccz_rlwe_sk *sk;
    struct ccz_rlwe_pk *pk;
};

static inline void kit_work(struct kit *k, unsigned threads)
{
    struct ccz_rlwe_work_cfg cfg = {.threads = threads, .rng = {rng_fill, &k->rng}};
    CHECK(ccz_rlwe_work_new(&k->w, k->r, &cfg, NULL) == CCZ_OK);
}

/* n = 1024, `data` primes of 40 bits (the first has 45), `special` of 45. */
static inline struct ccz_rlwe_cfg kit_cfg(size_t data, size_t special)
{
    struct ccz_rlwe_cfg cfg = {
        .n = 1024, .data_len = data, .special_len = special, .security_insecure = true};
    for (size_t i = 0; i < data + special; i++)
        cfg.bits[i] = i == 0 || i >= data ? 45 : 40;
    return cfg;
}

static inline void kit_init(struct kit *k, size_t data, size_t special, unsigned threads)
{
    struct ccz_rlwe_cfg cfg = kit_cfg(data, special);
    *k = (struct kit){.rng = {.state = 88172645463325252u, .left = -1}};
    CHECK(ccz_rlwe_new(&k->r, &cfg, NULL) == CCZ_OK);
    kit_work(k, threads);
    CHECK(ccz_rlwe_sk_new(&k->sk, k->w, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_pk_new(&k->pk, k->w, k->sk, NULL) == CCZ_OK);
}

static inline void kit_deinit(struct kit *k)
{
    ccz_rlwe_pk_free(k->pk);
    ccz_rlwe_sk_free(k->sk);
    ccz_rlwe_work_free(k->w);
    ccz_rlwe_free(k->r);
}

/* A residue as the number nearest to zero. */
static inline int64_t kit_centre(uint64_t a, uint64_t q)
{
    return a > q / 2 ? (int64_t)a - (int64_t)q : (int64_t)a;
}

/* A ciphertext of random residues: a phase like any other. */
static inline void kit_random_ct(struct kit *k, struct ccz_rlwe_ct *ct, size_t parts, size_t limbs)
{
    CHECK(ccz_rlwe_ct_reserve(ct, parts) == CCZ_OK);
    ct->parts = parts;
    ct->limbs = limbs;
    ct->ntt = true;
    ct->seeded = false;
    memcpy(ct->key_id, ccz_rlwe_sk_id(k->sk), CCZ_RLWE_KEY_ID_SIZE);
    for (size_t p = 0; p < parts; p++)
        for (size_t i = 0; i < limbs * k->r->n; i++)
            ct->c[p][i] = rnd(&k->rng.state) % k->r->mod[i / k->r->n].q;
}

/* Coefficients of the phase, [limbs][n]; the caller frees. */
static inline uint64_t *kit_phase(struct kit *k, const struct ccz_rlwe_ct *ct)
{
    uint64_t *v = ccz_rlwe_words_new(ct->limbs * k->r->n);
    struct ccz_err err = {0};
    CHECK(v);
    CHECK(ccz_rlwe_phase(v, k->w, k->sk, ct, ct->limbs, &err) == CCZ_OK);
    if (ct->ntt)
        ccz_rlwe_inverse(v, k->w, ct->limbs);
    return v;
}

/* Largest |a - b| over all coefficients; it must be the same number modulo every prime. */
static inline int64_t kit_distance(const struct kit *k, const uint64_t *a, const uint64_t *b,
                                   size_t limbs)
{
    int64_t largest = 0;
    const size_t n = k->r->n;
    for (size_t x = 0; x < n; x++) {
        int64_t first = 0;
        for (size_t i = 0; i < limbs; i++) {
            uint64_t q = k->r->mod[i].q, u = a[i * n + x], v = b[i * n + x];
            int64_t d = kit_centre(u >= v ? u - v : u + q - v, q);
            if (i == 0)
                first = d;
            CHECK(d == first);
        }
        int64_t size = first < 0 ? -first : first;
        largest = size > largest ? size : largest;
    }
    return largest;
}
#endif
