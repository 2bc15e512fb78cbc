/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CKKS_H
#define CCZ_CKKS_H
/**
 * @file ckks.h
 * CKKS: approximate arithmetic on vectors of n/2 complex or real numbers under encryption, in residue
 * number systems (Cheon-Han-Kim-Kim-Song, SAC 2018). Keys: rlwe.h. Reading order of the sources:
 * ckks_priv.h, ctx.c, fft_priv.h, fft.c, encode.c, decode.c, crypt.c, linear_ops.c, mul.c, rotate.c, serial.c,
 * plan.c, linear.c, poly.c, sigmoid.c.
 *
 * Terms. A plaintext is a polynomial whose values at the primitive 2n-th roots of unity are the numbers
 * (slots) times `scale`. A ciphertext over `limbs` data primes has level limbs - 1: the number of
 * rescales left. Multiplying multiplies scales; rescale divides by the last prime and drops it.
 * Every object carries
 *   scale  exact ratio of the primes that were divided by (a double, never rounded to a power of two);
 *   bound  of |slot| * scale, as given by the encoder and grown by each operation;
 *   noise  of the error in a slot, times scale: 6 standard deviations of the heuristic estimate under
 *          which coefficients of errors are independent (Gentry-Halevi-Smart, CRYPTO 2012, appendix A;
 *          Cheon-Kim-Kim-Song, ASIACRYPT 2017, section 3.5). An estimate, not a proof: held
 *          against exact arithmetic in the tests.
 * Nothing is adjusted silently: operands of different level or of scales whose ratio differs from 1 by
 * more than 2^-20 are refused, with a hint that names the call to make. ccz_ckks_match() does both.
 * An operation whose result could exceed the modulus (bound >= Q_level / 2) is refused: "ckks:overflow".
 *
 * Threads: context and keys are shareable; an evaluator, a ciphertext or a plaintext belongs to one
 * thread at a time. Outputs may be inputs unless stated. On failure an output ciphertext is empty or
 * as before, never half written. Outputs keep their memory: in a loop nothing is allocated.
 *
 * Security. Encryption is IND-CPA secure under the parameters' assumption (rlwe.h). It is NOT secure once
 * decryptions are given away: a CKKS decryption holds the error of its ciphertext, and from a few of
 * them the secret key follows by linear algebra (Li-Micciancio, EUROCRYPT 2021, ePrint 2020/1533,
 * IND-CPA-D). Whoever lets results leave the key owner (a client that publishes its score, one of
 * several parties) uses ccz_ckks_decrypt_shared(), which adds Gaussian noise far above that error
 * (Li-Micciancio-Schultz-Sorrell, CRYPTO 2022, ePrint 2022/816). Never retry or average decryptions of one
 * ciphertext for others, and do not let them choose its circuit beyond what the estimate covers.
 * Results of computations also show what was computed to the key owner (no circuit privacy).
 * Scale, bound and noise of a ciphertext are public: see ccz_ckks_pt_declare().
 */
#include <cczoo/rlwe.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------- contexts */

/** Parameters: rlwe.h; `scheme` and `scheme_param` are set here and must be zero. */
struct ccz_ckks_cfg {
    struct ccz_rlwe_cfg ring;
};
/** Immutable, shareable between threads, outlives all that is made from it. */
struct ccz_ckks;
/** Errors of ccz_rlwe_new(). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_new(struct ccz_ckks **out, const struct ccz_ckks_cfg *cfg,
                                         struct ccz_err *err);
CCZ_API void ccz_ckks_free(struct ccz_ckks *c); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_ckks)
CCZ_API const struct ccz_rlwe *ccz_ckks_ring(const struct ccz_ckks *c);
CCZ_API size_t ccz_ckks_slots(const struct ccz_ckks *c); /**< n / 2 */

/** What one thread works with: scratch memory, random streams, helper threads. */
struct ccz_ckks_eval;
/** @param cfg  NULL: one thread, the system's generator */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_eval_new(struct ccz_ckks_eval **out, const struct ccz_ckks *c,
                                              const struct ccz_rlwe_work_cfg *cfg,
                                              struct ccz_err *err);
CCZ_API void ccz_ckks_eval_free(struct ccz_ckks_eval *e);
CCZ_DEFINE_AUTO(ccz_ckks_eval)
/** The work space for calls of rlwe.h (keys), borrowed. */
CCZ_API struct ccz_rlwe_work *ccz_ckks_eval_work(struct ccz_ckks_eval *e);

/* ------------------------------------------------------------------------------------------- planning */

#define CCZ_CKKS_DEPTH_MAX 60
#define CCZ_CKKS_WHY_SIZE  768

/** What a computation needs. All zero but `precision_bits`: additions alone of values up to 1. */
struct ccz_ckks_goal {
    unsigned depth;          /**< rescales on the way, at most CCZ_CKKS_DEPTH_MAX */
    unsigned precision_bits; /**< error of results below 2^-this (6 standard deviations), 1 .. 48 */
    double
        max_value; /**< bound of |slot| of every value on the way, products included; 0 means 1 */
    /**
     * By how much a level amplifies errors at most; 0 means 1: means, dot products with weights whose
     * sum is at most 1, polynomials of slope at most 1 (sigmoids). Squaring values up to v: 2 v.
     */
    double gain;
    size_t slots;          /**< at least that many */
    unsigned security;     /**< 128 (0 means 128), 192 or 256 */
    bool no_key_switching; /**< no product of ciphertexts, no rotation: no special primes */
};
/** Parameters for it. */
struct ccz_ckks_plan {
    struct ccz_ckks_cfg cfg;     /**< for ccz_ckks_new() */
    double scale;                /**< to encode with: 2^scale_bits */
    unsigned scale_bits;         /**< of every prime that a rescale drops, too */
    unsigned base_len;           /**< primes that are left after `depth` rescales: 1 or 2 */
    unsigned bits, max_bits;     /**< of the modulus, and what the security level allows */
    double error_bits;           /**< log2 of the error estimated at the end */
    char why[CCZ_CKKS_WHY_SIZE]; /**< the choice in words, lines with \n */
};
/**
 * Chooses the smallest degree whose table row holds the modulus that the goal needs, scale and chain by
 * a noise model, and the number of special primes that makes key switching cheapest within the row.
 * The model: the error of a fresh public-key encryption; per level that times `gain`, and what
 * relinearization and rescaling add; one rotation in the end. Sums of many ciphertexts on the way err
 * more: log2(terms) / 2 bits of precision for independent errors.
 * Pure and deterministic.
 * @param[out] out  zeroed unless CCZ_OK
 * @retval CCZ_E_ARG   "ckks:plan-goal": a field is out of range
 * @retval CCZ_E_LIMIT "ckks:plan-slots", "ckks:plan-precision" (primes below 2^50 hold no such scale),
 *                     "ckks:plan-modulus" (no degree is secure with so many bits); got, expected, hint
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_plan(struct ccz_ckks_plan *out,
                                          const struct ccz_ckks_goal *goal, struct ccz_err *err);

/* -------------------------------------------------------------------------- plaintexts, ciphertexts */

/** A plaintext. Fields are for reading; encoders and ccz_ckks_pt_expand() write them. */
struct ccz_ckks_pt {
    const struct ccz_ckks *ctx;
    int64_t *
        coeff; /**< n signed coefficients, |c| < 2^61, if has_coeff: enough to encrypt and to add */
    uint64_t *v; /**< [limbs][n], evaluation form over the first `limbs` data primes */
    bool has_coeff;
    size_t limbs;  /**< 0: only coefficients so far */
    double scale;  /**< > 0 */
    double bound;  /**< of |slot| * scale; data-dependent unless declared */
    bool declared; /**< the bound is public: ccz_ckks_pt_declare() */
    double noise;  /**< bound of the encoding's rounding error in a slot, times scale */
};
/** Memory for coefficients and all data primes. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_pt_new(struct ccz_ckks_pt **out, const struct ccz_ckks *c,
                                            struct ccz_err *err);
CCZ_API void ccz_ckks_pt_free(struct ccz_ckks_pt *p); /**< wipes */
CCZ_DEFINE_AUTO(ccz_ckks_pt)
/**
 * States |slot| <= @p max_value for every slot, a bound that may be known to all: encryption passes it
 * on, ciphertexts carry it in the clear. Without this call an encryption carries the largest |slot|
 * rounded up to a power of two, at least 1: the magnitude of larger values shows.
 * @retval CCZ_E_ARG "ckks:declared": it is smaller than a value, or not finite
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_pt_declare(struct ccz_ckks_pt *p, double max_value,
                                                struct ccz_err *err);
/** Makes the residues of @p limbs data primes from the coefficients, if they are not there yet.
 *  @retval CCZ_E_ARG "ckks:limbs", "ckks:no-coefficients" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_pt_expand(struct ccz_ckks_pt *p, struct ccz_ckks_eval *e,
                                               size_t limbs, struct ccz_err *err);

/** A ciphertext. Fields are for reading. */
struct ccz_ckks_ct {
    const struct ccz_ckks *ctx;
    struct ccz_rlwe_ct ct; /**< evaluation form */
    double scale, bound, noise;
};
/** An empty ciphertext; memory comes with the first result. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_ct_new(struct ccz_ckks_ct **out, const struct ccz_ckks *c,
                                            struct ccz_err *err);
CCZ_API void ccz_ckks_ct_free(struct ccz_ckks_ct *ct);
CCZ_DEFINE_AUTO(ccz_ckks_ct)
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_copy(struct ccz_ckks_ct *out, const struct ccz_ckks_ct *in);
CCZ_API size_t ccz_ckks_level(const struct ccz_ckks_ct *ct); /**< limbs - 1 */
/** log2 of the estimated error of a decrypted slot (noise / scale): about -25 for a fresh ciphertext of
 *  scale 2^40 at n = 8192. */
CCZ_API double ccz_ckks_error_bits(const struct ccz_ckks_ct *ct);
/** log2(Q_level / 2 / bound): bits by which values may still grow before they wrap. */
CCZ_API double ccz_ckks_headroom_bits(const struct ccz_ckks_ct *ct);

/* --------------------------------------------------------------------------------- encoding, decoding */

/** A complex number. */
struct ccz_complex {
    double re, im;
};
/**
 * Encodes numbers: values[j] * scale into slot j, rounded per coefficient (ties to even); the other slots
 * are 0. The result is the same to the bit on every processor.
 * @param[out] out     coefficients, and residues of @p limbs data primes; empty unless CCZ_OK
 * @param      values  finite; at most n/2 of them
 * @param      scale   finite, >= 1
 * @param      limbs   0: coefficients alone, which suffice to encrypt and to add. Values whose product
 *                     with the scale reaches 2^61 need it: they have residues only (v, no coeff)
 * @retval CCZ_E_MISMATCH "ckks:context"
 * @retval CCZ_E_ARG "ckks:slots", "ckks:scale", "ckks:limbs"; "ckks:value" (aux: which one) not finite;
 *         "ckks:overflow": |value| * scale is not below Q / 2 of @p limbs (0: all) data primes
 * @error of a slot times scale: 6 standard deviations in out->noise: rounding 1/12 per coefficient, and
 *        2^-48 of the largest value for doubles
 * @ct but for refusals, for values whose product with the scale reaches 2^61, and for what the processor's
 *     floating point takes longer for (subnormal numbers)
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_encode(struct ccz_ckks_pt *out, struct ccz_ckks_eval *e,
                                            const double *values, size_t len, double scale,
                                            size_t limbs, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_encode_complex(struct ccz_ckks_pt *out,
                                                    struct ccz_ckks_eval *e,
                                                    const struct ccz_complex *values, size_t len,
                                                    double scale, size_t limbs,
                                                    struct ccz_err *err);
/** The same number in all n/2 slots: two coefficients, no transform. Not constant time. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_encode_const(struct ccz_ckks_pt *out, struct ccz_ckks_eval *e,
                                                  struct ccz_complex value, double scale,
                                                  size_t limbs, struct ccz_err *err);
/**
 * The first @p len slots, real parts. Only as many primes are used as in->bound and in->noise need
 * (exact centred residues of one or two, more for large scales).
 * @param[out] out  zeroed unless CCZ_OK; finite numbers
 * @retval CCZ_E_MISMATCH "ckks:context"  @retval CCZ_E_ARG "ckks:slots", "ckks:empty"
 * @retval CCZ_E_FORMAT "ckks:value": no finite number in a slot, as a scale that somebody made up can bring about
 * @error  2^-48 of the largest slot, besides what in->noise says
 * @ct but for the floating point's subnormal numbers
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_decode(double *out, size_t len, struct ccz_ckks_eval *e,
                                            const struct ccz_ckks_pt *in, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_decode_complex(struct ccz_complex *out, size_t len,
                                                    struct ccz_ckks_eval *e,
                                                    const struct ccz_ckks_pt *in,
                                                    struct ccz_err *err);

/* ------------------------------------------------------------------------ encryption and decryption */

/**
 * Under the secret key; written, such a ciphertext has half the size (one part is a seed).
 * @param limbs  data primes of the result; 0: all
 * @retval CCZ_E_ARG "ckks:limbs", "ckks:scale", "ckks:overflow"  @retval CCZ_E_MISMATCH "ckks:context"
 * @ct in key and message
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_encrypt_sk(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                                const struct ccz_rlwe_sk *sk,
                                                const struct ccz_ckks_pt *p, size_t limbs,
                                                struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_encrypt_pk(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                                const struct ccz_rlwe_pk *pk,
                                                const struct ccz_ckks_pt *p, size_t limbs,
                                                struct ccz_err *err);
/**
 * Decrypts for the owner of the key. The plaintext holds the error of the ciphertext: do not give it,
 * nor what is decoded from it, to others (see Security above).
 * The result is in evaluation form over in->limbs primes (or fewer: what its bound needs).
 * @retval CCZ_E_MISMATCH "rlwe:key-id", "ckks:context"  @retval CCZ_E_FORMAT "rlwe:transparent"
 * @ct in the key
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_decrypt(struct ccz_ckks_pt *out, struct ccz_ckks_eval *e,
                                             const struct ccz_rlwe_sk *sk,
                                             const struct ccz_ckks_ct *in, struct ccz_err *err);
/**
 * As ccz_ckks_decrypt() for results that others get to see: adds rounded Gaussian noise whose standard
 * deviation per coefficient is 2^flood_bits times that of the estimated error.
 * For s bits of statistical security against an adversary that sees k such decryptions,
 * flood_bits = s / 2 + log2(12 k) / 2 (ePrint 2022/816, as in OpenFHE's noise flooding);
 * e.g. s = 40, k = 1000: 27. The result loses as many bits of precision (out->noise says what is left).
 * The security rests on the estimate holding for the circuit that was run: of a ciphertext that was read, in->noise
 * is what its sender says (at least that of a fresh one is taken).
 * @param flood_bits  1 .. 58   @retval CCZ_E_ARG "ckks:flood-bits"
 * @retval CCZ_E_LIMIT "ckks:flood-precision"  less than one bit of the scale would be left, or the noise exceeds 2^57
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_decrypt_shared(struct ccz_ckks_pt *out,
                                                    struct ccz_ckks_eval *e,
                                                    const struct ccz_rlwe_sk *sk,
                                                    const struct ccz_ckks_ct *in,
                                                    unsigned flood_bits, struct ccz_err *err);

/* ----------------------------------------------------------------------------------- arithmetic */

/* Common refusals: CCZ_E_MISMATCH "ckks:context", "ckks:key-id"; CCZ_E_ARG "ckks:level" (hint:
 * ccz_ckks_drop() or ccz_ckks_match()), "ckks:scale" (hint: ccz_ckks_match()), "ckks:empty",
 * "ckks:overflow" (hint: rescale first). */

CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_add(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                         const struct ccz_ckks_ct *a, const struct ccz_ckks_ct *b,
                                         struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_sub(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                         const struct ccz_ckks_ct *a, const struct ccz_ckks_ct *b,
                                         struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_neg(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                         const struct ccz_ckks_ct *a, struct ccz_err *err);
/** Plaintexts must be expanded to at least the ciphertext's limbs: CCZ_E_ARG "ckks:plain-limbs". */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_add_plain(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                               const struct ccz_ckks_ct *a,
                                               const struct ccz_ckks_pt *p, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_sub_plain(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                               const struct ccz_ckks_ct *a,
                                               const struct ccz_ckks_pt *p, struct ccz_err *err);
/** Scale becomes the product. A zero plaintext gives a transparent ciphertext: CCZ_E_ARG "ckks:zero". */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_mul_plain(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                               const struct ccz_ckks_ct *a,
                                               const struct ccz_ckks_pt *p, struct ccz_err *err);
/** Adds @p value to every slot. @retval CCZ_E_ARG "ckks:value": not finite */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_add_scalar(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                                const struct ccz_ckks_ct *a, double value,
                                                struct ccz_err *err);
/**
 * Multiplies every slot by round(value * scale) / scale: no encoding, one pass.
 * @param scale  of the factor; 1 for a small integer. Not 0: the result would be transparent
 * @retval CCZ_E_ARG "ckks:value" not finite; "ckks:zero": rounds to 0
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_mul_scalar(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                                const struct ccz_ckks_ct *a, double value,
                                                double scale, struct ccz_err *err);
/**
 * Weighted sum of @p len (1 .. 4096) ciphertexts, sum round(value[k] * scale) a[k]: reads each once,
 * reduces once. For a linear model in the clear over one feature per ciphertext.
 * @param out  none of @p a. Zero weights are skipped; all zero: "ckks:zero". All of one level, scale and
 *             key, with 2 parts.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_dot_scalar(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                                const struct ccz_ckks_ct *const *a,
                                                const double *value, size_t len, double scale,
                                                struct ccz_err *err);
/** Sum of products with expanded plaintexts of one scale; as above. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_dot_plain(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                               const struct ccz_ckks_ct *const *a,
                                               const struct ccz_ckks_pt *const *p, size_t len,
                                               struct ccz_err *err);
/** Product of ciphertexts of 2 parts: 3 parts. @retval CCZ_E_ARG "ckks:parts" (hint: relinearize) */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_mul(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                         const struct ccz_ckks_ct *a, const struct ccz_ckks_ct *b,
                                         struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_square(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                            const struct ccz_ckks_ct *a, struct ccz_err *err);
/** Sum of products a[k] b[k], 3 parts, reduced once. @param out  none of the inputs  @param len 1 .. 2048 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_dot(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                         const struct ccz_ckks_ct *const *a,
                                         const struct ccz_ckks_ct *const *b, size_t len,
                                         struct ccz_err *err);
/** 3 parts to 2. @retval CCZ_E_MISMATCH "rlwe:key-id" a key of another secret */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_relin(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                           const struct ccz_ckks_ct *a,
                                           const struct ccz_rlwe_swk *k, struct ccz_err *err);
/** ccz_ckks_relin() and ccz_ckks_rescale() in one, a fifth cheaper. For the product of two ciphertexts. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_relin_rescale(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                                   const struct ccz_ckks_ct *a,
                                                   const struct ccz_rlwe_swk *k,
                                                   struct ccz_err *err);
/** Divides by the last prime (scale too) and drops it. @retval CCZ_E_ARG "rlwe:last-prime" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_rescale(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                             const struct ccz_ckks_ct *a, struct ccz_err *err);
/** Forgets primes down to @p limbs; value and scale stay. @retval CCZ_E_ARG "rlwe:drop", "ckks:overflow" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_drop(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                          const struct ccz_ckks_ct *a, size_t limbs,
                                          struct ccz_err *err);
/**
 * Brings @p a to @p limbs and, if its scale is not @p scale already, to that scale: by a multiplication
 * with the constant scale * q / a->scale and one rescale, so it needs one level more then.
 * @retval CCZ_E_ARG "ckks:match": no level left for it, or the constant is below 2^20 (imprecise)
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_match(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                           const struct ccz_ckks_ct *a, size_t limbs, double scale,
                                           struct ccz_err *err);

/* ------------------------------------------------------------------------------------- rotations */

/** Keys for exactly these rotations (steps to the left, negative to the right; 0 is ignored), and for
 *  the conjugation if asked. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_galois_new(struct ccz_rlwe_galois_set **out,
                                                struct ccz_ckks_eval *e,
                                                const struct ccz_rlwe_sk *sk, const int64_t *steps,
                                                size_t len, bool conjugation, struct ccz_err *err);
/** Slot i of the result is slot i + steps (mod n/2). @retval CCZ_E_NOT_FOUND "ckks:galois-key" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_rotate(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                            const struct ccz_ckks_ct *a, int64_t steps,
                                            const struct ccz_rlwe_galois_set *keys,
                                            struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_conjugate(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                               const struct ccz_ckks_ct *a,
                                               const struct ccz_rlwe_galois_set *keys,
                                               struct ccz_err *err);
/** Many rotations of one ciphertext, decomposed once. @param out  @p len ciphertexts, none is @p a */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_rotate_many(struct ccz_ckks_ct *const *out,
                                                 struct ccz_ckks_eval *e,
                                                 const struct ccz_ckks_ct *a, const int64_t *steps,
                                                 size_t len, const struct ccz_rlwe_galois_set *keys,
                                                 struct ccz_err *err);
/** Every slot becomes the sum of the @p len slots from it on: a power of two, <= n/2. Needs the keys of
 *  rotations 1, 2, 4 .. len/2. @retval CCZ_E_ARG "ckks:inner-sum" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_inner_sum(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                               const struct ccz_ckks_ct *a, size_t len,
                                               const struct ccz_rlwe_galois_set *keys,
                                               struct ccz_err *err);

/* ----------------------------------------------------------------------------------------- linear maps */

/** At least as many steps as any matrix needs. */
#define CCZ_CKKS_MATRIX_STEPS_MAX 512
/**
 * Rotations that the product with a rows x cols matrix takes: whoever has the secret key makes Galois keys
 * for exactly these (ccz_ckks_galois_new()), knowing nothing else of the matrix.
 * @param[out] steps  room for CCZ_CKKS_MATRIX_STEPS_MAX  @return how many; 0 if a size is 0 or above 32768
 */
CCZ_API size_t ccz_ckks_matrix_steps(int64_t *steps, size_t rows, size_t cols);
/** A matrix in the clear, as plaintexts of its diagonals. Immutable, shareable between threads. */
struct ccz_ckks_matrix;
/**
 * With R and C the powers of two from rows and cols on, the product takes a vector that is repeated with
 * period C over all slots (slot j holds x[j mod C], 0 from cols on), and gives y = M x repeated with period
 * R. It costs about 2 sqrt(min(R, C)) rotations (generalized diagonals, Halevi-Shoup, CRYPTO 2014; baby
 * steps hoisted, CRYPTO 2018), and log2(C / R) more if R < C. One row is a dot product.
 * @param m      rows x cols, row-major, finite
 * @param scale  of the diagonals; take the prime that the rescale after the product drops
 * @param limbs  data primes: the product takes ciphertexts of at most so many
 * @retval CCZ_E_ARG "ckks:matrix-size" a side is 0 or above n/2, "ckks:matrix-zero": nothing but zeros
 * @retval errors of ccz_ckks_encode()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_matrix_new(struct ccz_ckks_matrix **out,
                                                struct ccz_ckks_eval *e, const double *m,
                                                size_t rows, size_t cols, double scale,
                                                size_t limbs, struct ccz_err *err);
CCZ_API void ccz_ckks_matrix_free(struct ccz_ckks_matrix *m);
CCZ_DEFINE_AUTO(ccz_ckks_matrix)
/** out = m a, not rescaled. @param out may be @p a  @retval CCZ_E_NOT_FOUND "ckks:galois-key" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_matrix_mul(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                                const struct ccz_ckks_matrix *m,
                                                const struct ccz_ckks_ct *a,
                                                const struct ccz_rlwe_galois_set *keys,
                                                struct ccz_err *err);

/* ----------------------------------------------------------------------------------------- polynomials */

#define CCZ_CKKS_DEGREE_MAX 255

enum ccz_ckks_basis {
    CCZ_CKKS_POWERS,    /**< sum of coeff[k] x^k */
    CCZ_CKKS_CHEBYSHEV, /**< sum of coeff[k] T_k(x), x in [-1, 1]: for degrees above about 8 */
};
/** Levels that a polynomial of that degree takes: log2(degree + 1), rounded up. */
CCZ_API unsigned ccz_ckks_poly_depth(size_t degree);
/**
 * Lowers the bound that the ciphertext carries: the caller promises that |slot| <= @p max_value. Bounds
 * of sums and products are those of the worst case; who knows better says so, or meets "ckks:overflow" early.
 * A broken promise garbles the result, nothing else.
 * @retval CCZ_E_ARG "ckks:value": not finite, or <= 0
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_assume(struct ccz_ckks_ct *ct, double max_value,
                                            struct ccz_err *err);
/**
 * Every slot becomes the polynomial's value there: Paterson-Stockmeyer with as few products of ciphertexts
 * as the depth allows, coefficients that are 0 costing nothing. The depth is that of
 * ccz_ckks_poly_depth(), the scale of the result exactly @p scale.
 * @param coeff   degree + 1 coefficients, finite. Leading ones that are 0 are dropped
 * @param scale   0: that of @p a
 * @param relin   relinearization key
 * @param out     may be @p a
 * @retval CCZ_E_ARG "ckks:poly-degree" above CCZ_CKKS_DEGREE_MAX, or constant; "ckks:value" not finite;
 *         "ckks:scale" negative or not finite; "ckks:poly-depth" fewer levels than it takes (got, expected); "ckks:poly-range" Chebyshev and
 *         a bound above 1 (hint: ccz_ckks_assume())
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_poly(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                          const struct ccz_ckks_ct *a, enum ccz_ckks_basis basis,
                                          const double *coeff, size_t degree, double scale,
                                          const struct ccz_rlwe_swk *relin, struct ccz_err *err);

/* ------------------------------------------------------------------------------------ approximations */

/**
 * Chebyshev coefficients of @p f over [low, high]: interpolation at the degree + 1 Chebyshev points, for
 * CCZ_CKKS_CHEBYSHEV in x = (2 t - low - high) / (high - low). Nearly minimax for smooth functions.
 * @param[out] coeff  degree + 1  @param degree at most CCZ_CKKS_DEGREE_MAX
 * @retval CCZ_E_ARG "ckks:interval", "ckks:poly-degree", "ckks:value": @p f gives something not finite
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_chebyshev(double *coeff, size_t degree,
                                               double (*f)(void *arg, double t), void *arg,
                                               double low, double high, struct ccz_err *err);

enum ccz_sigmoid {
    CCZ_SIGMOID_LEAST_SQUARES, /**< least mean square error over the interval */
    CCZ_SIGMOID_MINIMAX,       /**< least maximal error over the interval (Remez) */
    CCZ_SIGMOID_HE_TOOLKIT,    /**< 0.5 + 0.15012 x - 0.001593008 x^3, degree 3 only: what Intel's
                                    he-toolkit and the logistic regression of the original use */
};
/**
 * Coefficients in powers of x that approximate 1 / (1 + exp(-x)) for |x| <= radius; coeff[0] is 1/2, the
 * other even ones are 0.
 * @param[out] coeff      degree + 1
 * @param      degree     3, 5 or 7
 * @param      radius     0.5 .. 32
 * @param[out] max_error  largest error over the interval; may be NULL
 * @retval CCZ_E_ARG "ckks:sigmoid": degree or radius
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_sigmoid(double *coeff, double *max_error, size_t degree,
                                             double radius, enum ccz_sigmoid how,
                                             struct ccz_err *err);

/* --------------------------------------------------------------------------------- serialization */

/** Format and refusals: rlwe.h; scale, bound and noise go along (24 bytes) and are checked:
 *  "ckks:meta" unless finite, 0 < scale < 2^1000, 0 <= noise, bound < Q_level / 2. */
CCZ_API size_t ccz_ckks_ct_size(const struct ccz_ckks_ct *ct);
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_ct_write(struct ccz_buf *out, const struct ccz_ckks_ct *ct,
                                              struct ccz_err *err);
/** @param key_id  NULL: any key, else 16 bytes. The sender's `bound` and `noise` are claims: results that
 *  leave the key owner rest on the owner's own bookkeeping. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ckks_ct_read(struct ccz_ckks_ct *out, struct ccz_ckks_eval *e,
                                             struct ccz_span in, const uint8_t *key_id,
                                             struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
