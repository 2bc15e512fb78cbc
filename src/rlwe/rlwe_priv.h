/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_RLWE_PRIV_H
#define CCZI_RLWE_PRIV_H
/* Objects that the files of rlwe share. */
#include <cczoo/crypto.h>
#include <cczoo/num.h>
#include <cczoo/rlwe.h>

/* Centred binomial errors: difference of two sums of 21 bits, variance eta / 2. */
#define CCZI_RLWE_ETA 21

/*
 * Digits: digit j holds the data primes j * alpha .. of a polynomial; at lower levels the last one is
 * truncated to t primes, so constants exist for every t <= alpha.
 */
/* A product of primes that sums are divided by: P, or P times the last data prime. */
struct cczi_divisor {
    size_t len;
    size_t prime[CCZ_RLWE_SPECIAL_MAX + 1];
    struct ccz_ntt_scale scale[CCZ_RLWE_SPECIAL_MAX + 1]; /* inverse NTT times (D / q)^-1 mod q */
    double inv[CCZ_RLWE_SPECIAL_MAX + 1];                 /* 1 / q */
    uint64_t *conv;         /* [data_len][len + 1]: D / q mod q_i, then -D mod q_i */
    struct ccz_mulc *d_inv; /* [data_len]: 1 / D mod q_i */
};

struct ccz_rlwe {
    size_t n, data_len, special_len, primes_len;
    /* Words from one polynomial to the next in scratch and keys: nine cache lines off a power of two, as
     * sums of products read many at one index, which would all fall into one set of the caches. */
    size_t stride;
    size_t alpha; /* primes per digit */
    size_t dnum;  /* digits at the top level */
    unsigned security;
    double log2_qp;
    uint8_t params_id[CCZ_RLWE_PARAMS_ID_SIZE];
    const struct ccz_kernels *k;
    struct ccz_modulus mod[CCZ_RLWE_PRIMES_MAX];
    struct ccz_ntt *ntt[CCZ_RLWE_PRIMES_MAX];
    struct ccz_mulc p_mod[CCZ_RLWE_PRIMES_MAX]; /* P mod q_i */
    struct ccz_mulc *q_inv;                     /* [last][i]: 1 / q_last mod q_i, i < last */
    struct cczi_divisor
        *div; /* [data_len]: P, then P times data prime 1, 2 ..; NULL: no special primes */
    /* Base conversion of digits of more than one prime (alpha > 1). */
    struct ccz_ntt_scale *scale;     /* [data prime][t - 1]: inverse NTT times (D / q)^-1 mod q */
    uint64_t *conv;                  /* [data prime][t - 1][target]: D / q mod target */
    uint64_t *conv_neg;              /* [digit][t - 1][target]: -D mod target */
    double inv[CCZ_RLWE_PRIMES_MAX]; /* 1 / q */
};

struct cczi_pool;

struct ccz_rlwe_work {
    const struct ccz_rlwe *r;
    struct ccz_rlwe_rng rng;
    struct cczi_pool *pool;
    size_t threads;
    struct ccz_stream **stream; /* per thread */
    uint64_t **buf;             /* per thread: cczi_rlwe_bufs() polynomials */
    uint64_t
        *coeff; /* [data_len + dnum][stride]: a polynomial as digits' coefficients, and roundings */
    uint64_t
        *special; /* [2][special_len + 2][stride]: sums modulo the primes of a divisor, roundings */
    uint64_t *digits; /* [primes_len][dnum][stride]: hoisted digits; made at first use */
    int8_t *small[3]; /* n each: errors and ternary polynomials */
    int64_t *sum;     /* n: message plus error */
};

/* Polynomials of scratch per thread: digits, two sums, two more. */
static inline size_t cczi_rlwe_bufs(const struct ccz_rlwe *r)
{
    return r->dnum + 4;
}

/* Memory that the key owns; every limb starts 64-byte aligned within its ccz_secret. */
struct ccz_rlwe_sk {
    const struct ccz_rlwe *r;
    uint8_t id[CCZ_RLWE_KEY_ID_SIZE];
    struct ccz_secret *coeff;                    /* n times int8_t in -1, 0, 1 */
    struct ccz_secret *ntt[CCZ_RLWE_PRIMES_MAX]; /* per prime */
};
static inline const uint64_t *cczi_rlwe_sk_limb(const struct ccz_rlwe_sk *sk, size_t i)
{
    uintptr_t p = (uintptr_t)ccz_secret_view(sk->ntt[i]);
    return (const uint64_t *)((p + 63) & ~(uintptr_t)63);
}

struct ccz_rlwe_pk {
    const struct ccz_rlwe *r;
    uint8_t id[CCZ_RLWE_KEY_ID_SIZE], seed[CCZ_RLWE_SEED_SIZE];
    uint64_t *b, *a; /* [data_len][n] */
};

/* [prime][digit][b, a][stride] */
struct ccz_rlwe_swk {
    const struct ccz_rlwe *r;
    uint8_t id[CCZ_RLWE_KEY_ID_SIZE], seed[CCZ_RLWE_SEED_SIZE];
    uint8_t
        from_id[CCZ_RLWE_KEY_ID_SIZE]; /* of a transfer key: the key it takes ciphertexts from */
    bool transfer;
    uint32_t elt;
    struct ccz_galois *galois; /* of elt; NULL: relinearization, transfer */
    uint64_t *v;
};
static inline uint64_t *cczi_rlwe_swk_at(const struct ccz_rlwe_swk *k, size_t prime, size_t digit,
                                         size_t half)
{
    return k->v + ((prime * k->r->dnum + digit) * 2 + half) * k->r->stride;
}

struct ccz_rlwe_galois_set {
    struct ccz_rlwe_swk **keys; /* ascending elements */
    size_t len;
};

/* What a stream is for: the first byte of its counter block. Index and limb follow. */
enum cczi_rlwe_domain {
    CCZI_RLWE_UNIFORM_CT = 1,
    CCZI_RLWE_UNIFORM_PK = 2,
    CCZI_RLWE_UNIFORM_SWK = 3,
    CCZI_RLWE_TERNARY = 16,
    CCZI_RLWE_ERROR = 17,
    CCZI_RLWE_FLOOD = 18,
};

/* pool.c: `threads` - 1 helpers. fn gets the number of the thread it runs in. */
ccz_rc cczi_pool_new(struct cczi_pool **out, size_t threads);
void cczi_pool_free(struct cczi_pool *p);
void cczi_pool_run(struct cczi_pool *p, size_t len, void (*fn)(void *arg, size_t i, size_t thread),
                   void *arg);

/* work.c: the first two polynomials of every thread's scratch, which held secrets or what shows them. */
void cczi_rlwe_wipe_bufs(struct ccz_rlwe_work *w);

/* sample.c */
ccz_rc cczi_rlwe_seed(struct ccz_rlwe_work *w, void *out, size_t size, struct ccz_err *err);
/* n residues mod prime `prime`, public, from (seed, domain, index). */
ccz_rc cczi_rlwe_uniform(uint64_t *out, struct ccz_rlwe_work *w, size_t thread, const uint8_t *seed,
                         enum cczi_rlwe_domain domain, size_t index, size_t prime);
/* n values, uniform in {-1, 0, 1} or centred binomial; the stream forgets the seed. @ct */
ccz_rc cczi_rlwe_small(int8_t *out, struct ccz_rlwe_work *w, size_t thread, const uint8_t *seed,
                       enum cczi_rlwe_domain domain, size_t index);

/* keys.c: from coefficients to a whole key; elements of other secrets for switching keys. */
ccz_rc cczi_rlwe_sk_alloc(struct ccz_rlwe_sk **out, const struct ccz_rlwe *r);
void cczi_rlwe_sk_expand(struct ccz_rlwe_sk *sk, struct ccz_rlwe_work *w);
ccz_rc cczi_rlwe_pk_alloc(struct ccz_rlwe_pk **out, const struct ccz_rlwe *r);
ccz_rc cczi_rlwe_swk_alloc(struct ccz_rlwe_swk **out, const struct ccz_rlwe *r, uint32_t elt,
                           struct ccz_err *err);
/* Expands the uniform halves from the seed. */
ccz_rc cczi_rlwe_pk_uniform(struct ccz_rlwe_pk *pk, struct ccz_rlwe_work *w);
ccz_rc cczi_rlwe_swk_uniform(struct ccz_rlwe_swk *k, struct ccz_rlwe_work *w);
ccz_rc cczi_rlwe_set_add(struct ccz_rlwe_galois_set *s, struct ccz_rlwe_swk *k);

/* Common refusals: an object of another context, another key. */
ccz_rc cczi_rlwe_same(const struct ccz_rlwe *have, const struct ccz_rlwe *want,
                      struct ccz_err *err);
ccz_rc cczi_rlwe_same_key(const uint8_t *have, const uint8_t *want, struct ccz_err *err);

/* pack.c: residues of `bits` bits, least significant first, padded to bytes. */
size_t cczi_rlwe_packed_size(size_t n, unsigned bits);
void cczi_rlwe_pack(uint8_t *out, const uint64_t *in, size_t n, unsigned bits);
void cczi_rlwe_unpack(uint64_t *out, const uint8_t *in, size_t n, unsigned bits);
#endif
