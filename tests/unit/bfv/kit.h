/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_BFV_KIT_H
#define TEST_BFV_KIT_H
/* Small parameters, a reproducible generator, and integers of any size by the school's methods. */
#include "bfv/bfv_priv.h"

#include "ccz_test.h"
#include "refused.h"
#include "test_rng.h"

__extension__ typedef unsigned __int128 u128;

/* Everything that most tests need, for one set of parameters. */
struct kit {
    struct test_rng rng;
    struct ccz_bfv *c;
    struct ccz_bfv_eval *e;
    struct ccz_rlwe_sk *sk;
    struct ccz_rlwe_pk *pk;
    struct ccz_bfv_pt *p[3];
    struct ccz_bfv_ct *ct[4];
    size_t n;
};

/* A plaintext modulus: 2^bits, or a prime. */
struct plain {
    uint64_t prime;
    unsigned bits;
};

static inline struct ccz_bfv_cfg kit_cfg(struct plain t, size_t limbs, uint8_t bits)
{
    struct ccz_bfv_cfg cfg = {.ring = {.n = 1024, .data_len = limbs, .security_insecure = true},
                              .plain_prime = t.prime,
                              .plain_bits = t.bits};
    for (size_t i = 0; i < limbs; i++)
        cfg.ring.bits[i] = bits;
    return cfg;
}

static inline void kit_init_cfg(struct kit *k, const struct ccz_bfv_cfg *cfg, unsigned threads)
{
    struct ccz_err err = {0};
    *k = (struct kit){.rng = {.state = 88172645463325252u, .left = -1}, .n = cfg->ring.n};
    ccz_rc rc = ccz_bfv_new(&k->c, cfg, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK);
    struct ccz_rlwe_work_cfg work = {.threads = threads, .rng = {rng_fill, &k->rng}};
    CHECK(ccz_bfv_eval_new(&k->e, k->c, &work, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_sk_new(&k->sk, ccz_bfv_eval_work(k->e), NULL) == CCZ_OK);
    CHECK(ccz_rlwe_pk_new(&k->pk, ccz_bfv_eval_work(k->e), k->sk, NULL) == CCZ_OK);
    for (size_t i = 0; i < 3; i++)
        CHECK(ccz_bfv_pt_new(&k->p[i], k->c, NULL) == CCZ_OK);
    for (size_t i = 0; i < 4; i++)
        CHECK(ccz_bfv_ct_new(&k->ct[i], k->c, NULL) == CCZ_OK);
}

static inline void kit_init(struct kit *k, struct plain t, size_t limbs, uint8_t bits)
{
    struct ccz_bfv_cfg cfg = kit_cfg(t, limbs, bits);
    kit_init_cfg(k, &cfg, 1);
}

static inline void kit_deinit(struct kit *k)
{
    for (size_t i = 0; i < 4; i++)
        ccz_bfv_ct_free(k->ct[i]);
    for (size_t i = 0; i < 3; i++)
        ccz_bfv_pt_free(k->p[i]);
    ccz_rlwe_pk_free(k->pk);
    ccz_rlwe_sk_free(k->sk);
    ccz_bfv_eval_free(k->e);
    ccz_bfv_free(k->c);
}

/* x mod t */
static inline uint64_t mod_t(const struct kit *k, u128 x)
{
    if (!k->c->plain_bits)
        return (uint64_t)(x % k->c->t.q);
    return (uint64_t)x & ~UINT64_C(0) >> (64 - k->c->plain_bits);
}

static inline uint64_t neg_t(const struct kit *k, uint64_t x)
{
    return k->c->plain_bits ? mod_t(k, 0 - x) : (x ? k->c->t.q - x : 0);
}

/* Words in [0, t), many of them at an edge. */
static inline void random_words(struct kit *k, uint64_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint64_t r = rnd(&k->rng.state), kind = rnd(&k->rng.state) % 8;
        out[i] = mod_t(k, r);
        if (kind == 0)
            out[i] = neg_t(k, mod_t(k, 1));
        else if (kind == 1) /* around t / 2 */
            out[i] = k->c->plain_bits ? mod_t(k, (UINT64_C(1) << (k->c->plain_bits - 1)) - r % 2)
                                      : k->c->t.q / 2 + r % 2;
        else if (kind == 2)
            out[i] = 0;
    }
}

/* a b mod X^n + 1 and t, by definition */
static inline void multiply(const struct kit *k, uint64_t *out, const uint64_t *a,
                            const uint64_t *b)
{
    memset(out, 0, k->n * sizeof(*out));
    for (size_t i = 0; i < k->n; i++) {
        for (size_t j = 0; a[i] && j < k->n; j++) {
            uint64_t v = mod_t(k, (u128)a[i] * b[j]);
            size_t at = i + j < k->n ? i + j : i + j - k->n;
            out[at] = mod_t(k, (u128)out[at] + (i + j < k->n ? v : neg_t(k, v)));
        }
    }
}

/* ------------------------------------------------------------------- non-negative integers */

enum { BIG_WORDS = 20 };
struct big {
    uint64_t w[BIG_WORDS];
};

static inline struct big big_from(uint64_t x)
{
    return (struct big){{x}};
}

static inline struct big big_mul_add(struct big a, uint64_t m, uint64_t b)
{
    u128 carry = b;
    for (size_t i = 0; i < BIG_WORDS; i++) {
        carry += (u128)a.w[i] * m;
        a.w[i] = (uint64_t)carry;
        carry >>= 64;
    }
    CHECK(carry == 0);
    return a;
}

static inline struct big big_add(struct big a, struct big b)
{
    u128 carry = 0;
    for (size_t i = 0; i < BIG_WORDS; i++) {
        carry += (u128)a.w[i] + b.w[i];
        a.w[i] = (uint64_t)carry;
        carry >>= 64;
    }
    CHECK(carry == 0);
    return a;
}

static inline int big_cmp(struct big a, struct big b)
{
    for (size_t i = BIG_WORDS; i-- > 0;)
        if (a.w[i] != b.w[i])
            return a.w[i] < b.w[i] ? -1 : 1;
    return 0;
}

static inline struct big big_sub(struct big a, struct big b) /* a >= b */
{
    uint64_t borrow = 0;
    for (size_t i = 0; i < BIG_WORDS; i++) {
        u128 d = (u128)a.w[i] - b.w[i] - borrow;
        a.w[i] = (uint64_t)d;
        borrow = (uint64_t)(d >> 64) & 1;
    }
    CHECK(!borrow);
    return a;
}

static inline struct big big_shift(struct big a, unsigned left)
{
    struct big r = {{0}};
    for (size_t i = left / 64; i < BIG_WORDS; i++) {
        r.w[i] = a.w[i - left / 64] << left % 64;
        if (left % 64 && i > left / 64)
            r.w[i] |= a.w[i - left / 64 - 1] >> (64 - left % 64);
    }
    return r;
}

static inline unsigned big_bits(struct big a)
{
    unsigned bits = 64 * BIG_WORDS;
    while (bits > 0 && !(a.w[(bits - 1) / 64] >> (bits - 1) % 64 & 1))
        bits--;
    return bits;
}

/* floor(a / b) */
static inline struct big big_div(struct big a, struct big b)
{
    struct big quotient = {{0}};
    const unsigned have = big_bits(a), by = big_bits(b);
    for (unsigned bit = have >= by ? have - by + 1 : 0; bit-- > 0;) {
        struct big d = big_shift(b, bit);
        if (big_cmp(a, d) >= 0) {
            a = big_sub(a, d);
            quotient.w[bit / 64] |= UINT64_C(1) << bit % 64;
        }
    }
    return quotient;
}

static inline uint64_t big_mod(struct big a, uint64_t m)
{
    u128 rest = 0;
    for (size_t i = BIG_WORDS; i-- > 0;)
        rest = (rest << 64 | a.w[i]) % m;
    return (uint64_t)rest;
}

static inline struct big big_t(const struct kit *k)
{
    return k->c->plain_bits ? big_shift(big_from(1), k->c->plain_bits) : big_from(k->c->t.q);
}

static inline struct big big_q(const struct kit *k, size_t limbs)
{
    struct big q = big_from(1);
    for (size_t i = 0; i < limbs; i++)
        q = big_mul_add(q, ccz_rlwe_prime(k->c->ring, i), 0);
    return q;
}

/* t a, for t = 2^64 too */
static inline struct big big_times_t(const struct kit *k, struct big a)
{
    return k->c->plain_bits ? big_shift(a, k->c->plain_bits) : big_mul_add(a, k->c->t.q, 0);
}
#endif
