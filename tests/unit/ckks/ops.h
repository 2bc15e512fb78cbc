/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_CKKS_OPS_H
#define TEST_CKKS_OPS_H
/* A small world: n = 1024, four data primes, keys of all kinds, ciphertexts of known numbers. */
#include "ckks/ckks_priv.h"

#include "ccz_test.h"
#include "test_rng.h"

#include <math.h>

enum { N = 1024, SLOTS = N / 2 };
#define SCALE 0x1p40

struct ops {
    struct test_rng rng;
    struct ccz_ckks *c;
    struct ccz_ckks_eval *e;
    struct ccz_rlwe_sk *sk;
    struct ccz_rlwe_pk *pk;
    struct ccz_rlwe_swk *relin;
    struct ccz_rlwe_galois_set *galois;
    struct ccz_ckks_pt *pt, *px, *py;      /* scratch; x and y */
    struct ccz_ckks_ct *cx, *cy, *out;     /* x under the public key, y under the secret one */
    double x[SLOTS], y[SLOTS], got[SLOTS]; /* in [-1, 1] */
};

static inline double ops_unit(uint64_t *state)
{
    return (double)(int64_t)rnd(state) * 0x1p-63;
}

static inline struct ccz_ckks_cfg ops_cfg(size_t special)
{
    struct ccz_ckks_cfg cfg = {.ring = {.n = N,
                                        .data_len = 4,
                                        .special_len = special,
                                        .bits = {45, 40, 40, 40, 45, 45, 45},
                                        .security_insecure = true}};
    return cfg;
}

static inline void ops_init(struct ops *o, size_t special, unsigned threads)
{
    *o = (struct ops){.rng = {.state = 0x9e3779b97f4a7c15, .left = -1}};
    struct ccz_ckks_cfg cfg = ops_cfg(special);
    const struct ccz_rlwe_work_cfg work = {.threads = threads, .rng = {rng_fill, &o->rng}};
    static const int64_t steps[] = {1, 2, 4, 8, -3, 100, 0};
    CHECK(ccz_ckks_new(&o->c, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_ckks_eval_new(&o->e, o->c, &work, NULL) == CCZ_OK);
    struct ccz_rlwe_work *w = ccz_ckks_eval_work(o->e);
    CHECK(ccz_rlwe_sk_new(&o->sk, w, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_pk_new(&o->pk, w, o->sk, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_relin_new(&o->relin, w, o->sk, NULL) == CCZ_OK);
    CHECK(ccz_ckks_galois_new(&o->galois, o->e, o->sk, steps, 7, true, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_galois_len(o->galois) == 7);
    struct ccz_ckks_pt **pts[] = {&o->pt, &o->px, &o->py};
    struct ccz_ckks_ct **cts[] = {&o->cx, &o->cy, &o->out};
    for (size_t i = 0; i < 3; i++) {
        CHECK(ccz_ckks_pt_new(pts[i], o->c, NULL) == CCZ_OK);
        CHECK(ccz_ckks_ct_new(cts[i], o->c, NULL) == CCZ_OK);
    }
    for (size_t i = 0; i < SLOTS; i++) {
        o->x[i] = ops_unit(&o->rng.state);
        o->y[i] = ops_unit(&o->rng.state);
    }
    CHECK(ccz_ckks_encode(o->px, o->e, o->x, SLOTS, SCALE, 4, NULL) == CCZ_OK);
    CHECK(ccz_ckks_encode(o->py, o->e, o->y, SLOTS, SCALE, 4, NULL) == CCZ_OK);
    CHECK(ccz_ckks_encrypt_pk(o->cx, o->e, o->pk, o->px, 0, NULL) == CCZ_OK);
    CHECK(ccz_ckks_encrypt_sk(o->cy, o->e, o->sk, o->py, 0, NULL) == CCZ_OK);
}

static inline void ops_deinit(struct ops *o)
{
    struct ccz_ckks_pt *pts[] = {o->pt, o->px, o->py};
    struct ccz_ckks_ct *cts[] = {o->cx, o->cy, o->out};
    for (size_t i = 0; i < 3; i++) {
        ccz_ckks_pt_free(pts[i]);
        ccz_ckks_ct_free(cts[i]);
    }
    ccz_rlwe_galois_set_free(o->galois);
    ccz_rlwe_swk_free(o->relin);
    ccz_rlwe_pk_free(o->pk);
    ccz_rlwe_sk_free(o->sk);
    ccz_ckks_eval_free(o->e);
    ccz_ckks_free(o->c);
}

/*
 * Decrypts and compares with exact numbers. The error stays below the estimate that the ciphertext
 * carries, and the estimate is not idle: it exceeds the largest error at most 2^slack_bits times.
 */
static inline void ops_check(struct ops *o, const struct ccz_ckks_ct *ct, const long double *want,
                             int slack_bits)
{
    struct ccz_err err = {0};
    ccz_rc rc = ccz_ckks_decrypt(o->pt, o->e, o->sk, ct, &err);
    if (rc == CCZ_OK)
        rc = ccz_ckks_decode(o->got, SLOTS, o->e, o->pt, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK);
    long double largest = 0, size = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        long double d = fabsl((long double)o->got[i] - want[i]);
        largest = d > largest ? d : largest;
        size = fabsl(want[i]) > size ? fabsl(want[i]) : size;
    }
    const double bits = ccz_ckks_error_bits(ct), found = (double)log2l(largest);
    if (!(found <= bits && found >= bits - slack_bits))
        fprintf(stderr, "error 2^%.2f, estimate 2^%.2f\n", found, bits);
    CHECK(found <= bits && found >= bits - slack_bits);
    CHECK((double)size * ct->scale <= ct->bound * (1 + 1e-9));
}

static inline bool ops_refused(ccz_rc rc, ccz_rc want, const struct ccz_err *err, const char *where)
{
    if (rc == want && err->rc == want && strcmp(err->where, where) == 0)
        return true;
    fprintf(stderr, "got %s at %s: %s\n", ccz_rc_name(rc), err->where, err->msg);
    return false;
}
#endif
