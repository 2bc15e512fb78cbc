/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CKKS_KIT_H
#define CCZ_CKKS_KIT_H
/* What tests of ckks share: random numbers, small contexts with keys. Include ccz_test.h first. */
#include "test_rng.h"

#include <cczoo/ckks.h>

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

static uint64_t random_state = 1;

static inline uint64_t random_bits(void)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* In [-1, 1) */
static inline double random_unit(void)
{
    return (double)(int64_t)random_bits() * 0x1p-63;
}

/* A context of `levels` + 1 data primes and one special prime, and what works with it. */
struct kit {
    struct test_rng rng; /* always the same numbers: errors have long tails */
    struct ccz_ckks *ctx;
    struct ccz_ckks_eval *eval;
    struct ccz_rlwe_sk *sk;
    struct ccz_rlwe_pk *pk;
    struct ccz_rlwe_swk *relin;
    struct ccz_ckks_pt *pt;
    size_t slots;
    double scale;
};

static inline void kit_eval(struct kit *k)
{
    k->rng = (struct test_rng){.state = 0x9e3779b97f4a7c15, .left = -1};
    const struct ccz_rlwe_work_cfg work = {.rng = {rng_fill, &k->rng}};
    CHECK(ccz_ckks_eval_new(&k->eval, k->ctx, &work, NULL) == CCZ_OK);
}

/* n may be small: tests of arithmetic need no security. */
static inline void kit_init(struct kit *k, size_t n, unsigned first_bits, unsigned bits,
                            size_t levels)
{
    struct ccz_ckks_cfg cfg = {
        .ring = {.n = n, .data_len = levels + 1, .special_len = 1, .security_insecure = true}};
    for (size_t i = 0; i <= levels + 1; i++)
        cfg.ring.bits[i] = (uint8_t)(i == 0 || i == levels + 1 ? first_bits : bits);
    *k = (struct kit){.slots = n / 2, .scale = ldexp(1, (int)bits)};
    CHECK(ccz_ckks_new(&k->ctx, &cfg, NULL) == CCZ_OK);
    kit_eval(k);
    CHECK(ccz_ckks_pt_new(&k->pt, k->ctx, NULL) == CCZ_OK);
}

static inline void kit_keys(struct kit *k)
{
    struct ccz_rlwe_work *w = ccz_ckks_eval_work(k->eval);
    CHECK(ccz_rlwe_sk_new(&k->sk, w, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_pk_new(&k->pk, w, k->sk, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_relin_new(&k->relin, w, k->sk, NULL) == CCZ_OK);
}

static inline void kit_deinit(struct kit *k)
{
    ccz_rlwe_swk_free(k->relin);
    ccz_rlwe_pk_free(k->pk);
    ccz_rlwe_sk_free(k->sk);
    ccz_ckks_pt_free(k->pt);
    ccz_ckks_eval_free(k->eval);
    ccz_ckks_free(k->ctx);
}

static inline struct ccz_ckks_ct *kit_ct(const struct kit *k)
{
    struct ccz_ckks_ct *ct = NULL;
    CHECK(ccz_ckks_ct_new(&ct, k->ctx, NULL) == CCZ_OK);
    return ct;
}

/* All slots, real, at the kit's scale and all primes. */
static inline void kit_encrypt(struct ccz_ckks_ct *out, struct kit *k, const double *values)
{
    CHECK(ccz_ckks_encode(k->pt, k->eval, values, k->slots, k->scale, 0, NULL) == CCZ_OK);
    CHECK(ccz_ckks_encrypt_pk(out, k->eval, k->pk, k->pt, 0, NULL) == CCZ_OK);
}

/* Decrypts, and holds every slot against what is expected: within the ciphertext's own estimate. */
static inline void kit_expect(struct kit *k, const struct ccz_ckks_ct *ct, const double *want)
{
    double *got = malloc(k->slots * sizeof(*got)), worst = 0;
    CHECK(got && ccz_ckks_decrypt(k->pt, k->eval, k->sk, ct, NULL) == CCZ_OK);
    CHECK(ccz_ckks_decode(got, k->slots, k->eval, k->pt, NULL) == CCZ_OK);
    for (size_t j = 0; j < k->slots; j++)
        worst = fmax(worst, fabs(got[j] - want[j]));
    if (!(worst <= ct->noise / ct->scale))
        fprintf(stderr, "error 2^%.1f, estimate 2^%.1f\n", log2(worst), ccz_ckks_error_bits(ct));
    CHECK(worst <= ct->noise / ct->scale);
    free(got);
}

#endif
