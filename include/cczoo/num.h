/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_NUM_H
#define CCZ_NUM_H
/**
 * @file num.h
 * Arithmetic modulo word-sized primes for lattice cryptography: primes, number-theoretic transforms,
 * and kernels over vectors of residues ("limbs" of RNS polynomials).
 * Reading order of the sources: modulus.c, primes.c, ntt.c, ntt_portable.c, kernels_portable.c, fp.h,
 * ntt_fp.h, kernels_fp.h, ifma.h, ntt_ifma.c, ntt_ifma_back.c, kernels_ifma.c, kernels.c, galois.c,
 * baseconv.c; docs/design/num.md says why. Large numbers are in mont.h.
 *
 * A polynomial of Z_q[X]/(X^N + 1) is an array of N words, lowest coefficient first, or, in NTT form,
 * its values at the odd powers of a 2N-th root of unity, in the order of ccz_ntt_position().
 *
 * Kernels come in tiers: portable, avx2, avx512, ifma. The best one that the processor can run and
 * that passes a known-answer test is the default; CCZOO_CPU=portable|avx2|avx512|ifma in the
 * environment chooses a lower one. Vector tiers serve q < 2^50 (CCZ_FAST_BITS); for a larger q they
 * call portable code. All tiers give the same results bit for bit, lazy ones (see below) excepted.
 *
 * Common to all functions unless stated otherwise:
 *  - residues are in [0, q), given and returned;
 *  - "lazy" means in [0, 4 q): congruent, not reduced, and which representative is not specified;
 *  - an output may be the same array as an input (equal pointers), but not overlap it otherwise;
 *  - any n, any alignment; multiples of 8 words aligned to 64 bytes are fastest;
 *  - time and addresses depend on sizes, moduli and pointers only, never on residues, so that they
 *    may be secret; exceptions (uniform) say so;
 *  - nothing here keeps state: objects are read-only once made and may be shared by threads.
 *    Who has several threads gives each its own limbs, or its own range of n.
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_MODULUS_BITS_MAX 61 /* q < 2^61 */
#define CCZ_FAST_BITS        50 /* q < 2^50: all tiers are fast; larger ones are for foreign data */
#define CCZ_NTT_LEN_MIN      8
#define CCZ_NTT_LEN_MAX      65536
#define CCZ_MAC_TERMS_MAX    4096
#define CCZ_CONV_LEN_MAX     64

/* ---------------------------------------------------------------------------------- moduli */

/** An odd modulus and what is derived from it. Public fields: q, bits. A value: copy it freely. */
struct ccz_modulus {
    uint64_t q;
    unsigned bits;                          /**< 2^(bits-1) < q < 2^bits */
    uint64_t ratio[2];                      /**< floor(2^128 / q), low word first */
    uint64_t r52, r104;                     /**< 2^52 mod q, 2^104 mod q */
    uint64_t one_quot, r52_quot, r104_quot; /**< as ccz_mulc.quot, for 1 and these */
};
/**
 * @param q  odd, 3 <= q < 2^61; need not be prime for the kernels
 * @retval CCZ_E_ARG  "num:modulus": anything else
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_modulus_init(struct ccz_modulus *out, uint64_t q,
                                             struct ccz_err *err);

/** A public factor w < q that many residues are multiplied by, with floor(w 2^64 / q) (Shoup). */
struct ccz_mulc {
    uint64_t w, quot;
};
CCZ_API struct ccz_mulc ccz_mulc_from(uint64_t w, const struct ccz_modulus *m);

/* Single residues, for set-up. a, b in [0, q); ccz_mod_reduce() takes any word. Constant time but for
 * the exponent of ccz_mod_pow() and for ccz_mod_inv(). */
CCZ_API uint64_t ccz_mod_reduce(uint64_t a, const struct ccz_modulus *m);
CCZ_API uint64_t ccz_mod_add(uint64_t a, uint64_t b, const struct ccz_modulus *m);
CCZ_API uint64_t ccz_mod_sub(uint64_t a, uint64_t b, const struct ccz_modulus *m);
CCZ_API uint64_t ccz_mod_mul(uint64_t a, uint64_t b, const struct ccz_modulus *m);
CCZ_API uint64_t ccz_mod_pow(uint64_t a, uint64_t e, const struct ccz_modulus *m);
/** 1 / a, or 0 if there is none. */
CCZ_API uint64_t ccz_mod_inv(uint64_t a, const struct ccz_modulus *m);

/* ---------------------------------------------------------------------------------- primes */

/** Exact for every 64-bit number; variable time. @source deterministic Miller-Rabin, 12 bases */
CCZ_API bool ccz_is_prime(uint64_t a);

enum ccz_primes {
    CCZ_PRIMES_BELOW,  /**< the largest below 2^bits, descending */
    CCZ_PRIMES_AROUND, /**< the nearest to 2^bits, alternately below and above it, below first: the
                            product of a chain stays near the power of two. Those above have bits + 1
                            bits. */
};
/**
 * Primes q = 1 mod 2 n, so that ccz_ntt_new() serves length n.
 * @param[out] out       len primes, all different; zeroed on failure
 * @param      bits      10 .. 60; at most 50 (below) or 49 (around) keeps them fast
 * @param      n         power of two, 8 .. 65536
 * @param      avoid     primes not to return (already in use); may be NULL if avoid_len is 0
 * @retval CCZ_E_ARG    "num:primes": bits or n
 * @retval CCZ_E_LIMIT  "num:primes": there are not that many within a factor of two of 2^bits
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ntt_primes(uint64_t *out, size_t len, unsigned bits, size_t n,
                                           enum ccz_primes which, const uint64_t *avoid,
                                           size_t avoid_len, struct ccz_err *err);

/* --------------------------------------------------------------------------------- kernels */

struct ccz_galois;

/**
 * Functions of one tier over vectors of n residues. Arguments of all: r result, m modulus.
 * Calls with 4 q > 2^63 are impossible, as q < 2^61.
 */
struct ccz_kernels {
    const char *name; /**< "portable", "avx2", "avx512", "ifma" */

    void (*add)(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n,
                const struct ccz_modulus *m);
    void (*sub)(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n,
                const struct ccz_modulus *m);
    void (*neg)(uint64_t *r, const uint64_t *a, size_t n, const struct ccz_modulus *m);
    /** r = a b; a may be lazy */
    void (*mul)(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n,
                const struct ccz_modulus *m);
    /** r += a b; a may be lazy */
    void (*mul_add)(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n,
                    const struct ccz_modulus *m);

    /** r = a c; a may be lazy */
    void (*mul_const)(uint64_t *r, const uint64_t *a, struct ccz_mulc c, size_t n,
                      const struct ccz_modulus *m);
    /** r += a c; a may be lazy */
    void (*mul_const_add)(uint64_t *r, const uint64_t *a, struct ccz_mulc c, size_t n,
                          const struct ccz_modulus *m);
    /** r = (a - b) c; b may be lazy. The last step of rescaling and of dividing by special primes. */
    void (*sub_mul_const)(uint64_t *r, const uint64_t *a, const uint64_t *b, struct ccz_mulc c,
                          size_t n, const struct ccz_modulus *m);

    /**
     * r = sum over k < terms of a[k] b[k], plus r itself if @p accumulate; one reduction in the end.
     * @param a, b   arrays of n residues each; a may be lazy
     * @param terms  at most CCZ_MAC_TERMS_MAX; 0 leaves a zero sum
     * r must not be one of the inputs.
     */
    void (*mac)(uint64_t *r, const uint64_t *const *a, const uint64_t *const *b, size_t terms,
                size_t n, const struct ccz_modulus *m, bool accumulate);
    /** Two sums that share a, as in key switching: r[0] = sum a[k] b[2 k], r[1] = sum a[k] b[2 k + 1]. */
    void (*mac2)(uint64_t *const *r, const uint64_t *const *a, const uint64_t *const *b,
                 size_t terms, size_t n, const struct ccz_modulus *m, bool accumulate);
    /** As mac, with scalars s[k] in [0, q) in the place of b[k]; a may be anything below 2^52 too. */
    void (*mac_scalar)(uint64_t *r, const uint64_t *const *a, const uint64_t *s, size_t terms,
                       size_t n, const struct ccz_modulus *m, bool accumulate);

    /** Product of ciphertexts: r[0] = a[0] b[0], r[1] = a[0] b[1] + a[1] b[0], r[2] = a[1] b[1]. */
    void (*tensor)(uint64_t *const *r, const uint64_t *const *a, const uint64_t *const *b, size_t n,
                   const struct ccz_modulus *m);
    /** r[0] = a[0]^2, r[1] = 2 a[0] a[1], r[2] = a[1]^2 */
    void (*tensor_square)(uint64_t *const *r, const uint64_t *const *a, size_t n,
                          const struct ccz_modulus *m);

    /** r = a mod q, any words */
    void (*reduce_u64)(uint64_t *r, const uint64_t *a, size_t n, const struct ccz_modulus *m);
    /** r = a mod q, any signed words */
    void (*reduce_i64)(uint64_t *r, const int64_t *a, size_t n, const struct ccz_modulus *m);
    /** r = a mod q; q > 128 */
    void (*reduce_i8)(uint64_t *r, const int8_t *a, size_t n, const struct ccz_modulus *m);
    /** a in [0, from->q), taken as a number in (-from->q / 2, from->q / 2): r = that mod to->q */
    void (*lift)(uint64_t *r, const uint64_t *a, size_t n, const struct ccz_modulus *from,
                 const struct ccz_modulus *to);
    /**
     * r = floor(1/2 + sum over k < terms of a[k] inv[k]) in double precision, products and sum rounded
     * one by one in this order, with inv[k] = 1 / q[k] as a double; a below 2^61. For ccz_base_conv().
     */
    void (*round_sum)(uint64_t *r, const uint64_t *const *a, const double *inv, size_t terms,
                      size_t n);

    /**
     * Uniform residues from uniform words, by rejection: with k = 52 (q < 2^50) or 64, the low k bits
     * of each word, in order, are dropped if >= floor(2^k / q) q, else reduced mod q and appended.
     * Stops when n are there or the words are used up. At most a quarter of the words is dropped.
     * Time depends on which words are dropped, which says nothing of those that are not.
     * @return number of residues written; words behind the last one needed do not count
     */
    size_t (*uniform)(uint64_t *r, size_t n, const uint64_t *words, size_t words_len,
                      const struct ccz_modulus *m);
    /** Whether all are below @p q: for validating input. */
    bool (*below)(const uint64_t *a, size_t n, uint64_t q);
    /** Automorphism X -> X^g of a polynomial in NTT form; n and g are those of @p g. r is not a. */
    void (*galois)(uint64_t *r, const uint64_t *a, const struct ccz_galois *g);
};

/**
 * Kernels by tier.
 * @param name  "portable", "avx2", "avx512", "ifma"; NULL is the default, chosen at the first call
 * @return NULL if the name is unknown, this machine cannot run the tier or it fails its self test;
 *         never NULL for NULL and "portable"
 */
CCZ_API const struct ccz_kernels *ccz_kernels(const char *name);

/* ------------------------------------------------------------------------------------- NTT */

/** Tables for one (q, n), and for one tier. */
struct ccz_ntt;
/**
 * The root of unity is the smallest primitive 2n-th root mod q, so that NTT forms can be stored.
 * @param[out] out  owned by the caller
 * @param      m    copied; prime, q = 1 mod 2 n
 * @param      n    power of two, 8 .. 65536
 * @param      k    tier of the transforms; NULL is the default
 * @retval CCZ_E_ARG    "num:ntt-len", "num:ntt-prime", "num:ntt-root" (q is not 1 mod 2 n)
 * @retval CCZ_E_NOMEM  no memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ntt_new(struct ccz_ntt **out, const struct ccz_modulus *m, size_t n,
                                        const struct ccz_kernels *k, struct ccz_err *err);
CCZ_API void ccz_ntt_free(struct ccz_ntt *t); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_ntt)
CCZ_API const struct ccz_modulus *ccz_ntt_modulus(const struct ccz_ntt *t);
CCZ_API size_t ccz_ntt_len(const struct ccz_ntt *t);
CCZ_API uint64_t ccz_ntt_root(const struct ccz_ntt *t); /**< psi, of order 2n */

/** Coefficients, reduced or below 2 q, to NTT form. */
CCZ_API void ccz_ntt_forward(uint64_t *r, const uint64_t *a, const struct ccz_ntt *t);
/** The same with a lazy result, for inputs of kernels that take it. */
CCZ_API void ccz_ntt_forward_lazy(uint64_t *r, const uint64_t *a, const struct ccz_ntt *t);
/**
 * Forward transform, lazy result, of a polynomial given modulo another prime: kernel `lift` and
 * ccz_ntt_forward_lazy() in one. For rescaling and for the digits of key switching.
 */
CCZ_API void ccz_ntt_forward_lift_lazy(uint64_t *r, const uint64_t *a,
                                       const struct ccz_modulus *from, const struct ccz_ntt *t);
/** NTT form, in [0, 2 q), to reduced coefficients. */
CCZ_API void ccz_ntt_inverse(uint64_t *r, const uint64_t *a, const struct ccz_ntt *t);

/** Factors of the last stage of an inverse transform that multiplies by a scalar at no cost. */
struct ccz_ntt_scale {
    struct ccz_mulc low, high;
};
CCZ_API struct ccz_ntt_scale ccz_ntt_scale_from(uint64_t s, const struct ccz_ntt *t);
/** As ccz_ntt_inverse(), times the scalar of @p s. */
CCZ_API void ccz_ntt_inverse_scaled(uint64_t *r, const uint64_t *a, const struct ccz_ntt_scale *s,
                                    const struct ccz_ntt *t);

/**
 * Index at which NTT form holds the value at psi^e, e odd (taken mod 2 n): the (e - 1) / 2 of log2(n)
 * bits reversed. (Position i holds the value at psi^(2 reverse(i) + 1).)
 */
CCZ_API size_t ccz_ntt_position(size_t n, uint64_t e);

/* --------------------------------------------------------------------------- automorphisms */

/**
 * Tables for X -> X^g in NTT form, the same for every modulus.
 * @param n  power of two, 8 .. 65536
 * @param g  odd, below 2 n
 * @retval CCZ_E_ARG, CCZ_E_NOMEM  "num:galois"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_galois_new(struct ccz_galois **out, size_t n, uint64_t g,
                                           struct ccz_err *err);
CCZ_API void ccz_galois_free(struct ccz_galois *g); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_galois)
/** The same on coefficients: r = a(X^g) mod X^n + 1. r is not a. */
CCZ_API void ccz_galois_coeff(uint64_t *r, const uint64_t *a, size_t n, uint64_t g,
                              const struct ccz_modulus *m);

/* ------------------------------------------------------------------------- base conversion */

/** Conversion of numbers given modulo several primes (product Q) to other primes p_j. */
struct ccz_base_conv;
enum ccz_conv {
    /** x + u Q for some 0 <= u < from_len, x in [0, Q). The cheapest; 0 converts to 0. */
    CCZ_CONV_FAST,
    /** x in (-Q / 2, Q / 2), unless |x| / Q is within from_len^2 2^-52 of 1/2: then x or x -+ Q. */
    CCZ_CONV_CENTERED,
};
/**
 * @param from, to  1 .. 64 moduli each, copied; those of `from` are prime to each other
 * @retval CCZ_E_ARG, CCZ_E_NOMEM  "num:base-conv"
 * @source fast: Bajard, Eynard, Hasan, Zucca 2016; centred: Halevi, Polyakov, Shoup 2018
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_base_conv_new(struct ccz_base_conv **out,
                                              const struct ccz_modulus *from, size_t from_len,
                                              const struct ccz_modulus *to, size_t to_len,
                                              enum ccz_conv how, struct ccz_err *err);
CCZ_API void ccz_base_conv_free(struct ccz_base_conv *c); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_base_conv)
/**
 * (Q / q_i)^-1 mod q_i, which residues mod q_i are multiplied by first. Who gets them out of an inverse
 * NTT lets ccz_ntt_inverse_scaled() do that and passes scaled = true.
 */
CCZ_API uint64_t ccz_base_conv_factor(const struct ccz_base_conv *c, size_t i);
/**
 * Coefficients, word by word. Works for parts of polynomials too.
 * @param[out] r       to_len arrays of n words; none may be an input
 * @param      a       from_len arrays of n words
 * @param      scaled  a is already multiplied by ccz_base_conv_factor()
 * @param      k       kernels; NULL is the default
 */
CCZ_API void ccz_base_conv(uint64_t *const *r, const uint64_t *const *a, bool scaled, size_t n,
                           const struct ccz_base_conv *c, const struct ccz_kernels *k);

#ifdef __cplusplus
}
#endif
#endif
