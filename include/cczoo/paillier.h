/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_PAILLIER_H
#define CCZ_PAILLIER_H
/**
 * @file paillier.h
 * Paillier's additively homomorphic encryption (EUROCRYPT 1999), in batches.
 *
 * Terms. A *key* has the factors of n, a *pub* only n. A *plain* is an array of signed integers
 * m, |m| <= floor(n/3), a *vec* an array of ciphertexts; both carry what is needed to read them:
 * an exponent (value = m * 16^exponent, as python-paillier has it), a packing (several values per
 * integer), and a *bound*: |m| <= 2^bound for every m (packed: for every slot). Bounds come from
 * what callers declare (`bits`), never from the data, and every operation updates them; an
 * operation after which the bound would no longer fit is refused ("paillier:overflow") before it
 * is done. So a sum or product that wraps around cannot be decrypted into a wrong number.
 *
 * Encryption. g = n + 1. Keys made here are of the Damgard-Jurik-Nielsen kind: p = q = 3 mod 4,
 * gcd(p-1, q-1) = 2, h = -x^2 mod n, and a ciphertext is (1 + m n) h_s^a mod n^2 with h_s = h^n mod
 * n^2 and a random exponent a of half the bits of n. That is semantically secure if, besides the
 * decisional composite residuosity assumption, h_s^a with such a short a cannot be told from a
 * random n-th residue of the same Jacobi symbol (the assumption of DJN 2010 and ISO/IEC 18033-6).
 * CCZ_PAILLIER_FULL does without it: r^n with r uniform. A key of others that has no h is always
 * used in this way.
 *
 * What may leave. A vec knows whether its randomness hides what its owner put in. One that was
 * encrypted without randomness, or is the result of an operation with plain numbers of ours, is
 * refused by the writers ("paillier:not-randomised") until ccz_paillier_randomise().
 * Sums and differences of ciphertexts that may leave may leave: who adds up what a *private* choice
 * selects calls ccz_paillier_vec_taint() on the result, and then ccz_paillier_randomise().
 *
 * Time. Decryption, key generation up to the search for primes, encryption, and multiplication by
 * plain numbers one by one do not depend on secrets, plaintexts and multipliers in branches or
 * addresses (@ct below); sizes, `bits`, exponents and packings are public. The bulk product
 * ccz_paillier_matmul() does the same arithmetic for every matrix of a shape, but the addresses it
 * reads depend on the entries: do not run it on a host that watches memory accesses of a TEE if the
 * matrix is to be hidden from it; ccz_paillier_dot() is the constant-time variant.
 *
 * Life cycle. Keys, vecs, plains and pools hold a reference to their pub; objects can be freed in any
 * order. Threads: keys and pubs are immutable from outside and shareable; vecs and plains are not to
 * be changed by two threads. Reading order of the sources: paillier_priv.h, key.c, keygen.c, plain.c,
 * f64.c, bound.c, vec.c, encrypt.c, decrypt.c, ops.c, matmul.c, packing.c, pool.c, wire.c, json.c;
 * words.c and parallel.c when needed.
 *
 * Refusals: where = "paillier:<step>", the steps are listed with each function.
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ----------------------------------------------------------------------------------- keys */

enum {
    CCZ_PAILLIER_BITS_DEFAULT = 3072, /**< 128-bit security (NIST SP 800-57); 2048: 112 bits */
    CCZ_PAILLIER_BITS_MAX = 4096,
    CCZ_PAILLIER_ID_SIZE = 32,
    CCZ_PAILLIER_N_SIZE_MAX = CCZ_PAILLIER_BITS_MAX / 8,
    CCZ_PAILLIER_C_SIZE_MAX = 2 * CCZ_PAILLIER_N_SIZE_MAX
};

/** Source of randomness; an all-zero one is ccz_random(). Tests inject theirs. Thread-safe. */
struct ccz_paillier_rng {
    ccz_rc (*fill)(void *arg, void *out, size_t size);
    void *arg;
};

/** Public key: n, for keys made here h, and what is computed from them once. Counted references. */
struct ccz_paillier_pub;
/** Key pair. Its numbers are kept in ccz_secret memory. */
struct ccz_paillier_key;

struct ccz_paillier_keygen_cfg {
    unsigned bits;               /**< 2048, 3072 or 4096; 0 = CCZ_PAILLIER_BITS_DEFAULT */
    bool bits_1024_insecure;     /**< makes a key of 1024 bits, for tests (then bits = 0 or 1024) */
    struct ccz_paillier_rng rng; /**< of the numbers x; primes come from OpenSSL's generator */
};
/**
 * p and q have half the bits of n each, |p - q| > 2^(bits/2 - 100) (FIPS 186-5, A.1.3),
 * p = q = 3 mod 4, gcd(p-1, q-1) = 2, gcd(n, (p-1)(q-1)) = 1, n has exactly `bits` bits.
 * @param cfg  NULL: all defaults
 * @retval CCZ_E_ARG       paillier:key-bits
 * @retval CCZ_E_INTERNAL  paillier:random, paillier:prime, paillier:self-test
 * @ct except for the number of candidates tried, which is independent of the primes found
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_keygen(struct ccz_paillier_key **out,
                                                const struct ccz_paillier_keygen_cfg *cfg,
                                                struct ccz_err *err);
CCZ_API void ccz_paillier_key_free(struct ccz_paillier_key *k); /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_paillier_key)
/** Its public half; a reference of its own for the caller, ccz_paillier_pub_free(). */
CCZ_API struct ccz_paillier_pub *ccz_paillier_key_pub(const struct ccz_paillier_key *k);
CCZ_API void ccz_paillier_pub_free(struct ccz_paillier_pub *pub); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_paillier_pub)

struct ccz_paillier_pub_cfg {
    bool bits_1024_insecure; /**< accepts n from 1024 bits on (else: from 2048 on), for tests */
};
/**
 * Public key of somebody else from n, big-endian without leading zeros: odd, 2048 to 4096 bits and a
 * multiple of 64 of them, no prime factor below 2^16, not a prime, not a square or higher power.
 * More cannot be seen from outside: whoever made n can have made it badly.
 * @param h    of the DJN variant, 1 < h < n - 1, gcd(h, n) = 1, Jacobi symbol 1;
 *             empty = none, then encryption is r^n
 * @param cfg  NULL: strict
 * @retval CCZ_E_LIMIT     paillier:n-bits
 * @retval CCZ_E_FORMAT    paillier:n-odd, paillier:n-factor, paillier:n-prime, paillier:n-power,
 *                         paillier:h-range, paillier:h-gcd, paillier:h-jacobi,
 *                         paillier:h-order: 1 or -1
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_pub_new(struct ccz_paillier_pub **out, struct ccz_span n,
                                                 struct ccz_span h,
                                                 const struct ccz_paillier_pub_cfg *cfg,
                                                 struct ccz_err *err);
/** Bits of n. */
CCZ_API unsigned ccz_paillier_bits(const struct ccz_paillier_pub *pub);
/** True if ciphertexts are made with h (short exponents, tables). */
CCZ_API bool ccz_paillier_has_djn(const struct ccz_paillier_pub *pub);
/** SHA-256 of "CCZ-Paillier-n" || n big-endian: the same for both sides and for every format. h is not in it. */
CCZ_API void ccz_paillier_id(uint8_t out[CCZ_PAILLIER_ID_SIZE], const struct ccz_paillier_pub *pub);
/** n big-endian, bits/8 bytes. */
CCZ_API void ccz_paillier_n(uint8_t *out, const struct ccz_paillier_pub *pub);
/**
 * Builds the tables for DJN encryption now (otherwise: at the first encryption): some ms and MB.
 * @retval CCZ_E_NOMEM  paillier:tables
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_prepare(const struct ccz_paillier_pub *pub,
                                                 struct ccz_err *err);

/* ------------------------------------------------------------------------- plain numbers */

struct ccz_paillier_plain;
CCZ_API void ccz_paillier_plain_free(struct ccz_paillier_plain *p); /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_paillier_plain)
CCZ_API size_t ccz_paillier_plain_len(const struct ccz_paillier_plain *p); /**< integers */
CCZ_API int32_t ccz_paillier_plain_exponent(const struct ccz_paillier_plain *p);
/** Values: ccz_paillier_plain_len() if not packed. */
CCZ_API size_t ccz_paillier_plain_values(const struct ccz_paillier_plain *p);

/** How numbers become integers: m = round(value * 16^-exponent), |m| < 2^bits. Public. */
struct ccz_paillier_format {
    int32_t exponent; /**< <= 0 for fractions: -10 = steps of 2^-40; [-1024, 1024] */
    unsigned bits;    /**< declared size of |m|; 1 .. bits of n - 3 */
};
/**
 * Several values per integer: sum_i m_i 2^(i * slot_bits), signed, each |m_i| <= 2^(slot_bits - 1) - 1
 * also after all operations. slot_bits - 1 - format.bits are the guard bits: log2 of what the values
 * may be summed up or multiplied by.
 */
struct ccz_paillier_packing {
    unsigned slot_bits; /**< 2 .. 512 */
    unsigned slots;     /**< values per integer; 0 = as many as fit: (bits of n - 2) / slot_bits */
};
/** Largest number of slots of @p slot_bits that fit with @p pub; 0 if none. */
CCZ_API unsigned ccz_paillier_slots(const struct ccz_paillier_pub *pub, unsigned slot_bits);

/**
 * @p bits declares |v[i]| < 2^bits, 1 to 63; exponent 0.
 * @param pack  NULL = one value per integer; the last integer is filled up with zeros
 * @retval CCZ_E_ARG    paillier:bits, paillier:slots
 * @retval CCZ_E_LIMIT  paillier:range: a value is larger than declared
 * @retval CCZ_E_NOMEM  paillier:memory
 * @ct of the values, except that one out of range is reported
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_plain_i64(struct ccz_paillier_plain **out,
                                                   const struct ccz_paillier_pub *pub,
                                                   const int64_t *v, size_t len, unsigned bits,
                                                   const struct ccz_paillier_packing *pack,
                                                   struct ccz_err *err);
/**
 * Fixed point, rounded to nearest, ties to even. @retval as above; a NaN or infinity: paillier:range
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_plain_f64(struct ccz_paillier_plain **out,
                                                   const struct ccz_paillier_pub *pub,
                                                   const double *v, size_t len,
                                                   struct ccz_paillier_format format,
                                                   const struct ccz_paillier_packing *pack,
                                                   struct ccz_err *err);
/**
 * Integers in big-endian residues mod n, bits/8 bytes each: a residue above n/2 stands for a negative
 * integer. @retval CCZ_E_LIMIT  paillier:range: beyond n/3 or format.bits
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_plain_residues(struct ccz_paillier_plain **out,
                                                        const struct ccz_paillier_pub *pub,
                                                        const uint8_t *residues, size_t len,
                                                        struct ccz_paillier_format format,
                                                        struct ccz_err *err);
/**
 * @param[out] v  ccz_paillier_plain_values() numbers (a packed plain: with the zeros of the tail)
 * @retval CCZ_E_LIMIT  paillier:range: does not fit in int64
 * @retval CCZ_E_ARG    paillier:exponent: not 0
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_plain_to_i64(int64_t *v,
                                                      const struct ccz_paillier_plain *p,
                                                      struct ccz_err *err);
/** Correctly rounded (ties to even) value of m * 16^exponent. @retval CCZ_E_LIMIT paillier:range:
 *  beyond the largest double */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_plain_to_f64(double *v, const struct ccz_paillier_plain *p,
                                                      struct ccz_err *err);
/** @param[out] residues  as ccz_paillier_plain_residues() takes them */
CCZ_API void ccz_paillier_plain_to_residues(uint8_t *residues, const struct ccz_paillier_plain *p);
/** python-paillier's choice of exponent for one float without a precision: all 53 bits are kept. It
 *  depends on the value and goes out with the ciphertext: prefer a fixed one. */
CCZ_API int32_t ccz_paillier_f64_exponent(double v);

/* ----------------------------------------------------------------------------- ciphertexts */

struct ccz_paillier_vec;
CCZ_API void ccz_paillier_vec_free(struct ccz_paillier_vec *v); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_paillier_vec)
CCZ_API size_t ccz_paillier_vec_len(const struct ccz_paillier_vec *v);
CCZ_API int32_t ccz_paillier_vec_exponent(const struct ccz_paillier_vec *v);
CCZ_API double ccz_paillier_vec_bound(const struct ccz_paillier_vec *v);
/** slot_bits = 0 if not packed. */
CCZ_API struct ccz_paillier_packing ccz_paillier_vec_packing(const struct ccz_paillier_vec *v);
/** May it leave? See above. */
CCZ_API bool ccz_paillier_vec_randomised(const struct ccz_paillier_vec *v);
/** From now on it may not, until ccz_paillier_randomise(). */
CCZ_API void ccz_paillier_vec_taint(struct ccz_paillier_vec *v);
/** A copy of items from .. from + len. @retval CCZ_E_ARG paillier:index @retval CCZ_E_NOMEM */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_vec_slice(struct ccz_paillier_vec **out,
                                                   const struct ccz_paillier_vec *v, size_t from,
                                                   size_t len, struct ccz_err *err);
/** A copy of items index[0 .. len-1], in this order; an index may recur. @retval as above */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_vec_gather(struct ccz_paillier_vec **out,
                                                    const struct ccz_paillier_vec *v,
                                                    const size_t *index, size_t len,
                                                    struct ccz_err *err);
/** The items of @p len vecs of one key, exponent and packing. @retval CCZ_E_MISMATCH paillier:key,
 *  paillier:exponent, paillier:packing */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_vec_concat(struct ccz_paillier_vec **out,
                                                    const struct ccz_paillier_vec *const *v,
                                                    size_t len, struct ccz_err *err);

enum ccz_paillier_method {
    CCZ_PAILLIER_AUTO, /**< h_s^a if the key has h, else r^n */
    CCZ_PAILLIER_FULL  /**< r^n, r uniform */
};
struct ccz_paillier_pool;
/** How to make random factors; all-zero (or NULL) = AUTO, no pool, one thread, ccz_random(). */
struct ccz_paillier_enc_cfg {
    enum ccz_paillier_method method;
    struct ccz_paillier_pool *pool; /**< taken from there as long as it has some */
    bool pool_only;                 /**< do not fall back to computing them: paillier:pool-empty */
    unsigned threads;               /**< 0 = 1 */
    struct ccz_paillier_rng rng;
};
/**
 * @retval CCZ_E_INTERNAL     paillier:random
 * @retval CCZ_E_UNAVAILABLE  paillier:pool-empty
 * @retval CCZ_E_NOMEM        paillier:memory, paillier:tables
 * @ct of plain numbers and randomness
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_encrypt(struct ccz_paillier_vec **out,
                                                 const struct ccz_paillier_plain *p,
                                                 const struct ccz_paillier_enc_cfg *cfg,
                                                 struct ccz_err *err);
/** 1 + m n without randomness: anybody can read m. To be added to, or randomised. It may not leave. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_encrypt_trivial(struct ccz_paillier_vec **out,
                                                         const struct ccz_paillier_plain *p,
                                                         struct ccz_err *err);
/** New randomness for every item. @retval as ccz_paillier_encrypt(); then some items may have it */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_randomise(struct ccz_paillier_vec *v,
                                                   const struct ccz_paillier_enc_cfg *cfg,
                                                   struct ccz_err *err);

struct ccz_paillier_dec_cfg {
    unsigned threads; /**< 0 = 1 */
};
/**
 * By CRT, mod p^2 and q^2. Inputs are blinded with a random n-th residue, which needs no unblinding.
 * Faults: a wrong half would give away a factor of n. So the numbers of the key are hashed, x^(p-1) =
 * 1 mod p is checked for every item, and the sum of all results against the decryption of the
 * product; nothing is returned if one of these fails.
 * @param cfg  NULL: one thread
 * @retval CCZ_E_MISMATCH  paillier:key
 * @retval CCZ_E_LIMIT     paillier:overflow: a result is beyond n/3 (for who declared bounds
 *                         correctly this cannot happen)
 * @retval CCZ_E_INTERNAL  paillier:fault, paillier:random
 * @ct of the key and the plain numbers, except that an overflow is reported
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_decrypt(struct ccz_paillier_plain **out,
                                                 const struct ccz_paillier_key *k,
                                                 const struct ccz_paillier_vec *v,
                                                 const struct ccz_paillier_dec_cfg *cfg,
                                                 struct ccz_err *err);

/* ------------------------------------------------------------------ operations, in place */

/**
 * v += w, item by item; a @p w of length 1 is added to all.
 * @retval CCZ_E_MISMATCH  paillier:key, paillier:len, paillier:exponent, paillier:packing
 * @retval CCZ_E_LIMIT     paillier:overflow
 * On failure @p v is unchanged; this holds for all operations in place.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_add(struct ccz_paillier_vec *v,
                                             const struct ccz_paillier_vec *w, struct ccz_err *err);
/** v -= w. @retval as ccz_paillier_add() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_sub(struct ccz_paillier_vec *v,
                                             const struct ccz_paillier_vec *w, struct ccz_err *err);
/** v = -v */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_neg(struct ccz_paillier_vec *v, struct ccz_err *err);
/** v += p. @ct of p. The result may not leave. @retval as ccz_paillier_add() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_add_plain(struct ccz_paillier_vec *v,
                                                   const struct ccz_paillier_plain *p,
                                                   struct ccz_err *err);
/**
 * v *= p, item by item (length 1: all with the same); exponents add up. @p p is not packed; a packed v
 * has all slots of an item multiplied by the same number. Time by the declared bits of @p p.
 * @ct of p. The result may not leave.
 * @retval CCZ_E_MISMATCH  paillier:key, paillier:len, paillier:packing
 * @retval CCZ_E_LIMIT     paillier:overflow
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_mul_plain(struct ccz_paillier_vec *v,
                                                   const struct ccz_paillier_plain *p,
                                                   struct ccz_err *err);
/** v *= 2^bits, bits public. @retval CCZ_E_LIMIT paillier:overflow @retval CCZ_E_ARG paillier:bits */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_shift(struct ccz_paillier_vec *v, unsigned bits,
                                               struct ccz_err *err);
/** Lowers the exponent to @p exponent without changing the values (python-paillier:
 *  decrease_exponent_to). @retval CCZ_E_ARG paillier:exponent: larger @retval CCZ_E_LIMIT paillier:overflow */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_rescale(struct ccz_paillier_vec *v, int32_t exponent,
                                                 struct ccz_err *err);

/* -------------------------------------------------------------- operations with fewer results */

/** Sum of all items. @retval CCZ_E_LIMIT paillier:overflow */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_sum(struct ccz_paillier_vec **out,
                                             const struct ccz_paillier_vec *v, struct ccz_err *err);
/**
 * Many sums at once, as histograms need them: item g of the result is the sum of v[index[i]], begin[g] <= i < begin[g + 1]; an item
 * may be in several sums or in none, an empty sum is 0. Which items go where is the caller's and private: the result may not leave.
 * @param begin  @p groups + 1 numbers, ascending  @param threads  0 = 1
 * @retval CCZ_E_ARG    paillier:index
 * @retval CCZ_E_LIMIT  paillier:overflow: the longest sum
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_sums(struct ccz_paillier_vec **out,
                                              const struct ccz_paillier_vec *v,
                                              const uint32_t *index, const size_t *begin,
                                              size_t groups, unsigned threads, struct ccz_err *err);
/** sum_i p_i v_i, one item. @ct of p. @retval as ccz_paillier_mul_plain() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_dot(struct ccz_paillier_vec **out,
                                             const struct ccz_paillier_vec *v,
                                             const struct ccz_paillier_plain *p,
                                             struct ccz_err *err);

/** Matrix of plain integers, by strides, so that it can be read transposed. */
struct ccz_paillier_matrix {
    const int64_t *x; /**< entry (r, c) is x[r * row_stride + c * col_stride] */
    size_t rows;      /**< results */
    size_t cols;      /**< summands: the length of the vec */
    size_t row_stride;
    size_t col_stride;
    unsigned bits;    /**< declared: |x| < 2^bits, 1 to 62 */
    int32_t exponent; /**< what the entries stand for: x * 16^exponent */
};
/**
 * out_r = sum_c x_rc v_c: the kernel of federated regression (v the encrypted weights and x the
 * samples, or v the residuals and x the samples transposed). Multi-exponentiation with shared bases.
 * Not constant time in the addresses read; entries are checked against `bits`. The time also depends on
 * the ciphertexts, which are public if @p v may leave.
 * @param threads  0 = 1
 * @retval CCZ_E_MISMATCH  paillier:len: v has not `cols` items
 * @retval CCZ_E_ARG       paillier:bits
 * @retval CCZ_E_LIMIT     paillier:range, paillier:overflow
 * The result may not leave.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_matmul(struct ccz_paillier_vec **out,
                                                const struct ccz_paillier_vec *v,
                                                const struct ccz_paillier_matrix *m,
                                                unsigned threads, struct ccz_err *err);

/**
 * Packs ciphertexts that are not packed: item i of the result holds values i*slots .. of @p v in its
 * slots ("pack_squeeze": fewer bytes and decryptions). The bound of @p v must fit in the slot.
 * @param pack  slots = 0: as many as fit
 * @retval CCZ_E_ARG       paillier:slots
 * @retval CCZ_E_MISMATCH  paillier:packing: packed already
 * @retval CCZ_E_LIMIT     paillier:overflow
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_squeeze(struct ccz_paillier_vec **out,
                                                 const struct ccz_paillier_vec *v,
                                                 struct ccz_paillier_packing pack, unsigned threads,
                                                 struct ccz_err *err);

/* ------------------------------------------------------------------- precomputed randomness */

/**
 * Store of random n-th residues that do not depend on what will be encrypted. Each is handed out once.
 * Thread-safe. The store is as secret as the plain numbers encrypted with it; it is wiped.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_pool_new(struct ccz_paillier_pool **out,
                                                  const struct ccz_paillier_pub *pub,
                                                  size_t capacity, struct ccz_err *err);
CCZ_API void ccz_paillier_pool_free(struct ccz_paillier_pool *pool); /**< stops its thread */
CCZ_DEFINE_AUTO(ccz_paillier_pool)
/** Computes up to @p len more, as far as the capacity goes; @p cfg->pool is ignored. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_pool_refill(struct ccz_paillier_pool *pool, size_t len,
                                                     const struct ccz_paillier_enc_cfg *cfg,
                                                     struct ccz_err *err);
/** Starts a thread that keeps it full, from ccz_random(). @retval CCZ_E_UNAVAILABLE paillier:thread */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_pool_start(struct ccz_paillier_pool *pool,
                                                    struct ccz_err *err);
CCZ_API size_t ccz_paillier_pool_len(struct ccz_paillier_pool *pool);

/* ------------------------------------------------------------------- compact binary formats */

/*
 * Integers little-endian, residues big-endian of fixed size. All begin with "CCZP", version (1),
 * kind, flags (2 bytes, 0). docs/design/paillier.md has the tables.
 * Errors of the readers: CCZ_E_FORMAT paillier:magic, paillier:version, paillier:kind,
 * paillier:truncated, paillier:trailing; CCZ_E_LIMIT paillier:len; those of ccz_paillier_pub_new().
 */
#define CCZ_PAILLIER_VEC_LEN_MAX 16777216
CCZ_API void ccz_paillier_pub_write(struct ccz_buf *out, const struct ccz_paillier_pub *pub);
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_pub_read(struct ccz_paillier_pub **out, struct ccz_span in,
                                                  const struct ccz_paillier_pub_cfg *cfg,
                                                  struct ccz_err *err);
/** p, q and h. @retval CCZ_E_NOMEM */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_key_write(struct ccz_secret **out,
                                                   const struct ccz_paillier_key *k);
/** Keys of others need not have p = q = 3 mod 4 if they have no h.
 *  @retval CCZ_E_FORMAT  paillier:p-q, and bignum:... of ccz_primes_check() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_key_read(struct ccz_paillier_key **out,
                                                  const struct ccz_secret *in,
                                                  const struct ccz_paillier_pub_cfg *cfg,
                                                  struct ccz_err *err);
/** Bytes that ccz_paillier_vec_write() appends for @p len items. */
CCZ_API size_t ccz_paillier_vec_size(const struct ccz_paillier_pub *pub, size_t len);
/**
 * Key id, exponent, packing, bound and items.
 * @retval CCZ_E_DENIED  paillier:not-randomised: it may not leave
 * @retval CCZ_E_LIMIT   paillier:len; or paillier:buffer: @p out is full
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_vec_write(struct ccz_buf *out,
                                                   const struct ccz_paillier_vec *v,
                                                   struct ccz_err *err);
/** The same without the check: whoever knows what went in may compute what was added. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_vec_write_insecure(struct ccz_buf *out,
                                                            const struct ccz_paillier_vec *v,
                                                            struct ccz_err *err);
/**
 * Untrusted bytes: 0 < c < n^2 and gcd(c, n) = 1 for every item (one gcd for all).
 * @param len_max  items accepted at most
 * @retval CCZ_E_MISMATCH  paillier:key: for another key
 * @retval CCZ_E_FORMAT    paillier:c-range, paillier:c-gcd (aux = index; gcd: -1), paillier:bound,
 *                         paillier:packing, paillier:exponent
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_vec_read(struct ccz_paillier_vec **out,
                                                  const struct ccz_paillier_pub *pub,
                                                  struct ccz_span in, size_t len_max,
                                                  struct ccz_err *err);
/** Bare residues, big-endian, 2 * bits/8 bytes each, with their reading declared by the caller.
 *  @param pack  NULL: not packed @retval as ccz_paillier_vec_read() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_vec_from_residues(struct ccz_paillier_vec **out,
                                                           const struct ccz_paillier_pub *pub,
                                                           const uint8_t *residues, size_t len,
                                                           struct ccz_paillier_format format,
                                                           const struct ccz_paillier_packing *pack,
                                                           struct ccz_err *err);

/* -------------------------------------------------------- JSON as python-paillier has it */

/* {"kty":"DAJ","alg":"PAI-GN1","key_ops":["encrypt"],"n":<base64url>,"kid":...}, with "h" beside n. */
CCZ_API void ccz_paillier_pub_to_json(struct ccz_buf *out, const struct ccz_paillier_pub *pub,
                                      const char *kid);
/** Errors: those of ccz_json_parse() and ccz_paillier_pub_new(); CCZ_E_FORMAT paillier:json. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_pub_from_json(struct ccz_paillier_pub **out,
                                                       struct ccz_span text,
                                                       const struct ccz_paillier_pub_cfg *cfg,
                                                       struct ccz_err *err);
/** {"kty":"DAJ","key_ops":["decrypt"],"p":...,"q":...,"pub":{...},"kid":...}.
 *  @param[out] out  text of a secret: set out->wipe */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_key_to_json(struct ccz_buf *out,
                                                     const struct ccz_paillier_key *k,
                                                     const char *kid, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_key_from_json(struct ccz_paillier_key **out,
                                                       struct ccz_span text,
                                                       const struct ccz_paillier_pub_cfg *cfg,
                                                       struct ccz_err *err);
/**
 * {"v":"<decimal>","e":<exponent>} for one item, an array of them for more. Not packed.
 * @retval CCZ_E_DENIED paillier:not-randomised @retval CCZ_E_MISMATCH paillier:packing
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_vec_to_json(struct ccz_buf *out,
                                                     const struct ccz_paillier_vec *v,
                                                     struct ccz_err *err);
/**
 * One object or an array of objects of one exponent. @param bits declares the size of the integers, 0 =
 * unknown (n/3): then only operations that do not let them grow are possible.
 * @retval CCZ_E_FORMAT  paillier:json, paillier:c-range, paillier:c-gcd, paillier:exponent
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_paillier_vec_from_json(struct ccz_paillier_vec **out,
                                                       const struct ccz_paillier_pub *pub,
                                                       struct ccz_span text, unsigned bits,
                                                       size_t len_max, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
