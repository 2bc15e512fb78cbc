/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_MONT_H
#define CCZ_MONT_H
/**
 * @file mont.h
 * Arithmetic modulo odd numbers of 256 to 8192 bits, many values at a time: products, powers with
 * secret exponents, fixed bases, products of powers, inverses. Made for Paillier encryption, whose
 * moduli are squares; a square modulus has a representation of its own that is 1.6 times faster.
 *
 * Terms. A *context* (struct ccz_mont) holds a modulus m and everything that depends on it. A
 * *resident value* is a number modulo m in the form the arithmetic wants: an array of
 * ccz_mont_len() words, at any address, in memory of the caller. What is in the words depends on the
 * processor and is not unique: only ccz_mont_to_bytes() tells whether two are equal, and nothing
 * but bytes is stored or sent. An *array of values* is count * ccz_mont_len() words without gaps.
 * Any count is allowed; multiples of 8 are best, up to 4 cost half of 8, one or two modulo a square
 * about a third. An output may be an input at the same place (out == a), not overlap it otherwise.
 *
 * Numbers as bytes are big-endian. Everything is constant time in values, secret exponents and the
 * modulus, that is, time and addresses depend on sizes and counts only; functions that end in _var
 * are the exception and say what they leak. The moduli's bit lengths are not secret.
 *
 * Threads: contexts and tables are immutable after creation and may be shared.
 * Ownership: a table borrows its context. What was created is wiped when freed.
 * Errors: allocation and, where said, refused input. Wrong sizes that only the caller can have got
 * wrong are CCZ_E_ARG.
 *
 * Processors: AVX-512 IFMA, 8 or 4 values side by side; x86-64 with MULX and ADX, or portable C, one by
 * one. CCZOO_CPU=portable|avx2|avx512|ifma in the environment chooses a lower one. Results as bytes are
 * the same.
 * Reading order of the sources: mont_priv.h, mont.c, mont_words.h, mont_portable.c, mont_x86.c,
 * mont_conv.c, mont_pow.c, mont_comb.c, mont_inv.c, mont_multi_priv.h, mont_multi.c, mont_buckets.c,
 * mont_ifma.c, mont_ifma.h, mont_split.h. Design: docs/design/mont.md.
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_MONT_BITS_MIN 256
#define CCZ_MONT_BITS_MAX 8192
/** Longest exponent. */
#define CCZ_MONT_EXP_BITS_MAX 16384
/** Most words of a resident value: room for one of any context. */
#define CCZ_MONT_LEN_MAX 160

/* --------------------------------------------------------------------------------- contexts */

struct ccz_mont;
/**
 * A modulus. It may be secret (a factor of a public modulus); its bit length is not.
 * @param modulus  big-endian; zero bytes in front are allowed
 * @retval CCZ_E_ARG    "mont:even"; "mont:size": not CCZ_MONT_BITS_MIN .. CCZ_MONT_BITS_MAX bits
 * @retval CCZ_E_NOMEM
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mont_new(struct ccz_mont **out, struct ccz_span modulus,
                                         struct ccz_err *err);
/**
 * The modulus root^2, with values as pairs (low, high) that mean low + high * root.
 * @param root  as above, CCZ_MONT_BITS_MIN .. CCZ_MONT_BITS_MAX / 2 bits
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mont_new_squared(struct ccz_mont **out, struct ccz_span root,
                                                 struct ccz_err *err);
CCZ_API void ccz_mont_free(struct ccz_mont *m); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_mont)

CCZ_API size_t ccz_mont_len(const struct ccz_mont *m);  /**< words of a resident value */
CCZ_API size_t ccz_mont_size(const struct ccz_mont *m); /**< bytes of a number below the modulus */
/** Bytes of a number below the root; 0 if the context is not that of a square. */
CCZ_API size_t ccz_mont_root_size(const struct ccz_mont *m);
/** Which implementation the context uses: "portable", "x86" or "ifma". */
CCZ_API const char *ccz_mont_tier(const struct ccz_mont *m);

/* ------------------------------------------------------------------------------- conversion */

/**
 * Bytes to resident values; numbers of the modulus' size or longer are reduced, in constant time.
 * @param[out] out  array of @p count values
 * @param in        @p count numbers of @p in_size bytes each, big-endian
 * @param in_size   at most 4 * ccz_mont_size(); longer numbers are CCZ_E_ARG
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mont_from_bytes(const struct ccz_mont *m, uint64_t *out,
                                                const uint8_t *in, size_t in_size, size_t count);
/** @param[out] out  @p count numbers below the modulus, ccz_mont_size() bytes each */
CCZ_API void ccz_mont_to_bytes(const struct ccz_mont *m, uint8_t *out, const uint64_t *in,
                               size_t count);
/**
 * low + high * root mod root^2 of a context of a square; both halves any number of ccz_mont_root_size()
 * bytes. Paillier's 1 + message * n is such a pair.
 * @param low   @p count numbers, or NULL: all are 1
 * @param high  @p count numbers
 */
CCZ_API void ccz_mont_from_pair(const struct ccz_mont *m, uint64_t *out, const uint8_t *low,
                                const uint8_t *high, size_t count);
/** The inverse: quotient and remainder of the values by the root. Paillier's function
 *  L(x) = (x - 1) / n is `high` where `low` is 1. @param[out] low  NULL if not wanted */
CCZ_API void ccz_mont_to_pair(const struct ccz_mont *m, uint8_t *low, uint8_t *high,
                              const uint64_t *in, size_t count);
/** The value 1. */
CCZ_API void ccz_mont_one(const struct ccz_mont *m, uint64_t *out);

/* ------------------------------------------------------------------------------- arithmetic */

/** out[i] = a[i] * b[i] */
CCZ_API void ccz_mont_mul(const struct ccz_mont *m, uint64_t *out, const uint64_t *a,
                          const uint64_t *b, size_t count);
/** out[i] = a[i] * b, with one b for all. */
CCZ_API void ccz_mont_mul_one(const struct ccz_mont *m, uint64_t *out, const uint64_t *a,
                              const uint64_t *b, size_t count);
/** out[i] = a[i]^2 */
CCZ_API void ccz_mont_sqr(const struct ccz_mont *m, uint64_t *out, const uint64_t *a, size_t count);
/** out = product of all a[i]; 1 if there are none. */
CCZ_API void ccz_mont_product(const struct ccz_mont *m, uint64_t *out, const uint64_t *a,
                              size_t count);
/**
 * out[i] = 1 / a[i]. One inversion for all (Montgomery's trick). Leaks the product of all values by
 * time: for public values. For a secret value and a prime modulus use ccz_mont_pow() with m - 2.
 * @retval CCZ_E_FORMAT  "mont:inverse": a value has a factor in common with the modulus;
 *                       err->aux is its index, @p out is zeroed
 * @retval CCZ_E_NOMEM
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mont_inv_var(const struct ccz_mont *m, uint64_t *out,
                                             const uint64_t *a, size_t count, struct ccz_err *err);

/* ----------------------------------------------------------------------------------- powers */

/** out = base^exp mod the modulus of @p m. */
struct ccz_mont_job {
    const struct ccz_mont *m;
    uint64_t *out;        /**< one resident value; may be base */
    const uint64_t *base; /**< one resident value */
    const uint8_t *exp; /**< big-endian, (exp_bits + 7) / 8 bytes, secret; bits above are ignored */
};
/**
 * Powers with secret exponents. Jobs may have different moduli of the same kind and ccz_mont_len():
 * both halves of a decryption share the lanes.
 * @param exp_bits  length of every exponent, 1 .. CCZ_MONT_EXP_BITS_MAX
 * @retval CCZ_E_ARG    "mont:shape": moduli of different size or kind; "mont:exp": exp_bits
 * @retval CCZ_E_NOMEM  outputs untouched
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mont_pow(const struct ccz_mont_job *jobs, size_t jobs_len,
                                         size_t exp_bits, struct ccz_err *err);
/**
 * out[i] = a[i]^exp with one exponent for all. Leaks the exponent, not the values.
 * @param exp  big-endian, at most CCZ_MONT_EXP_BITS_MAX bits; empty or 0 gives 1
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mont_pow_var(const struct ccz_mont *m, uint64_t *out,
                                             const uint64_t *a, size_t count, struct ccz_span exp,
                                             struct ccz_err *err);

/* ------------------------------------------------------------------------------- fixed base */

/** Table of a base for many powers of it: one product per window of the exponent, no squares. */
struct ccz_mont_comb;
#define CCZ_MONT_COMB_WINDOW_MAX 8
/**
 * @param m         must outlive the table
 * @param base      one resident value; may be secret
 * @param exp_bits  longest exponent, 1 .. CCZ_MONT_EXP_BITS_MAX
 * @param window    bits per window, 1 .. CCZ_MONT_COMB_WINDOW_MAX; 0: the library's choice (6).
 *                  The table has ceil(exp_bits / window) * 2^window values.
 * @retval CCZ_E_ARG  "mont:exp", "mont:window"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mont_comb_new(struct ccz_mont_comb **out, const struct ccz_mont *m,
                                              const uint64_t *base, size_t exp_bits,
                                              unsigned window, struct ccz_err *err);
CCZ_API void ccz_mont_comb_free(struct ccz_mont_comb *c); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_mont_comb)
CCZ_API size_t ccz_mont_comb_size(const struct ccz_mont_comb *c); /**< bytes of the table */
/**
 * out[i] = base^exps[i]; the whole table is read whatever the exponents are. Batches of 32 or more
 * read it once for 32.
 * @param exps  @p count numbers of (exp_bits + 7) / 8 bytes each, big-endian, secret; bits above
 *              exp_bits are ignored
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mont_comb_pow(const struct ccz_mont_comb *c, uint64_t *out,
                                              const uint8_t *exps, size_t count,
                                              struct ccz_err *err);

/* ------------------------------------------------------------------------ products of powers */

/**
 * out[j] = product over i of bases[i]^exps[i * stride + j]: a matrix of small signed exponents times a
 * vector of encrypted numbers. Bases are shared by the outputs. About one product per base, output and
 * 8 bits of exponent.
 * Addresses depend on the exponents: for exponents that whoever can observe this machine may know.
 * @shape exps[bases_len][stride] row-major, the first out_len of each row are used
 * @param exp_bits  |exponent| < 2^exp_bits, 1 .. 62; larger ones are CCZ_E_ARG "mont:exp"
 * @retval CCZ_E_FORMAT  "mont:inverse": a base, whatever its exponents, has a factor in common with the
 *                       modulus; err->aux is its index, @p out is zeroed
 * @retval CCZ_E_NOMEM
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mont_multi_pow_var(const struct ccz_mont *m, uint64_t *out,
                                                   size_t out_len, const uint64_t *bases,
                                                   size_t bases_len, const int64_t *exps,
                                                   size_t stride, unsigned exp_bits,
                                                   struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
