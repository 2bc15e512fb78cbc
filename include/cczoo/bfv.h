/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_BFV_H
#define CCZ_BFV_H
/**
 * @file bfv.h
 * BFV: exact arithmetic modulo t under encryption (Brakerski, CRYPTO 2012; Fan-Vercauteren, ePrint 2012/144), as secure
 * computation of two parties needs it: one encrypts, the other adds and multiplies by plaintexts of its own and returns
 * the result hidden, many sparse results in one ciphertext. Products of ciphertexts and rotations are not here. Keys:
 * rlwe.h. Reading order of the sources: bfv_priv.h, ctx.c, noise.c, encode.c, scale.c, crypt.c, ops.c, release.c,
 * pack.c, serial.c.
 *
 * Terms. A plaintext is a polynomial of n coefficients modulo t, where t is
 *   an odd prime below 2^50: with t = 1 mod 2n a plaintext is also a vector of n slots modulo t on which sums and products
 *     work slot by slot (SIMD, "batching");
 *   or 2^k, k = 1 .. 64: coefficients alone, for shares over Z_2^k. Products are those of polynomials modulo X^n + 1, in
 *     which inner products and matrices are laid out (Huang et al., Cheetah, USENIX Security 2022).
 * A ciphertext over `limbs` data primes (modulus Q) has the phase (Q / t) m + v, where v is its noise; it decrypts to m as
 * long as |v| < Q / (2 t). Scaling is exact: round(Q m / t), not floor(Q / t) m, and decryption rounds t / Q times the
 * phase exactly, whatever t.
 *
 * Noise. Every ciphertext carries a bound of its noise in two parts: `sigma`, the log2 of a sub-Gaussian parameter of the
 * part that depends on random errors, and `fixed`, the log2 of a bound of the rest (roundings). The noise stays below
 * 10 sigma + fixed but with probability 2^-55 at most, over the errors of the encryptions and for plaintexts chosen
 * without knowledge of them; sums of ciphertexts add their parameters, so that dependent ones are covered. An operation
 * whose result would not decrypt by that bound is refused ("bfv:noise"): honest ciphertexts never decrypt wrongly.
 *
 * Security. Encryption is IND-CPA secure under the parameters' assumption (rlwe.h). **What comes back from the evaluator
 * is another matter.** The owner of the key knows the errors and the uniform part of what it sent, and reads the
 * evaluator's plaintext off an untreated result: c1 is a times that plaintext, and even the roundings of a sum show it.
 * ccz_bfv_flood() hides it (fresh encryption of zero under the public key, and noise wider than what the result carries);
 * ccz_bfv_ct_write() refuses results with private plaintexts in them that were not flooded ("bfv:not-flooded").
 * Ciphertexts are not authenticated (rlwe.h), and who tells a party whether its ciphertexts decrypt gives away the key.
 * The parties are semi-honest here: an owner that sends ciphertexts with more noise than it says weakens the flooding;
 * ccz_bfv_ct_read_fresh() takes no bound from the sender, but cannot see the noise.
 *
 * Threads: context and keys are shareable; an evaluator, a plaintext and a ciphertext belong to one thread at a time.
 * Outputs may be inputs. On failure an output ciphertext is empty or as before, never half written.
 */
#include <cczoo/rlwe.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_BFV_TERMS_MAX 4096 /**< products in one sum */
#define CCZ_BFV_FLOOD_MAX 128  /**< bits */

/* ------------------------------------------------------------------------------------- contexts */

struct ccz_bfv_cfg {
    struct ccz_rlwe_cfg ring; /**< `scheme` and `scheme_param` are set here and must be zero */
    /* Plaintext modulus: exactly one of the two. */
    uint64_t plain_prime; /**< odd prime, 3 .. 2^50, none of the ring's */
    unsigned plain_bits;  /**< t = 2^plain_bits, 1 .. 64 */
};
/** Immutable, shareable between threads, outlives all that is made from it. */
struct ccz_bfv;
/**
 * @retval CCZ_E_ARG  errors of ccz_rlwe_new(); "bfv:scheme"; "bfv:plain" (not one of the two, out of range, not prime, one
 *                    of the ring's primes); "bfv:room": not even a fresh encryption would decrypt (got, expected bits)
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_new(struct ccz_bfv **out, const struct ccz_bfv_cfg *cfg,
                                        struct ccz_err *err);
CCZ_API void ccz_bfv_free(struct ccz_bfv *c); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_bfv)
CCZ_API const struct ccz_rlwe *ccz_bfv_ring(const struct ccz_bfv *c);
CCZ_API double ccz_bfv_log2_t(const struct ccz_bfv *c);
/** n if there are slots, else 0. */
CCZ_API size_t ccz_bfv_slots(const struct ccz_bfv *c);
/** log2(Q / (2 t)) with @p limbs data primes (0: all): the noise that decrypts. */
CCZ_API double ccz_bfv_room(const struct ccz_bfv *c, size_t limbs);

/** What one thread works with: scratch memory, random streams, helper threads. */
struct ccz_bfv_eval;
/** @param cfg  NULL: one thread, the system's generator */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_eval_new(struct ccz_bfv_eval **out, const struct ccz_bfv *c,
                                             const struct ccz_rlwe_work_cfg *cfg,
                                             struct ccz_err *err);
CCZ_API void ccz_bfv_eval_free(struct ccz_bfv_eval *e);
CCZ_DEFINE_AUTO(ccz_bfv_eval)
/** The work space for calls of rlwe.h (keys), borrowed. */
CCZ_API struct ccz_rlwe_work *ccz_bfv_eval_work(struct ccz_bfv_eval *e);

/* ------------------------------------------------------------------------------------- planning */

/** What a computation needs: sums of `terms` products of fresh encryptions with plaintexts, flooded, and returned. */
struct ccz_bfv_goal {
    uint64_t plain_prime; /**< or */
    unsigned plain_bits;
    bool secret_key;     /**< inputs are encrypted under the secret key: less noise */
    bool multiply;       /**< false: sums alone */
    double max_factor;   /**< |coefficient| of the plaintext factors; 0 = t / 2 */
    size_t factor_terms; /**< coefficients of a factor that are not 0; 0 = n */
    size_t terms;        /**< ciphertexts or products in a sum; 0 = 1 */
    unsigned flood_bits; /**< of ccz_bfv_flood(); 0 = results are not flooded */
    unsigned pack;       /**< doublings of ccz_bfv_packer_add(): log2 of results in one; 0 = none */
    size_t n_min;        /**< at least that degree; 0 = any */
    unsigned security;   /**< 128 (0 means 128), 192 or 256 */
};
struct ccz_bfv_plan {
    struct ccz_bfv_cfg cfg; /**< for ccz_bfv_new() */
    size_t return_limbs;    /**< what results are switched down to before they are sent */
    double spare_bits;      /**< of noise, in the tightest place */
};
/**
 * Chooses the smallest degree and modulus that hold the goal, and primes such that few bits come back. Pure.
 * @retval CCZ_E_ARG   "bfv:goal"
 * @retval CCZ_E_LIMIT "bfv:plan": no degree is secure with so many bits; got, expected, hint
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_plan(struct ccz_bfv_plan *out, const struct ccz_bfv_goal *goal,
                                         struct ccz_err *err);

/* -------------------------------------------------------------------------- plaintexts, ciphertexts */

/** A plaintext. Fields are for reading. */
struct ccz_bfv_pt {
    const struct ccz_bfv *ctx;
    uint64_t *m; /**< n coefficients in [0, t) */
    uint64_t *
        factor; /**< [factor_limbs][n]: evaluation form of the coefficients nearest to 0, to multiply with */
    size_t factor_limbs; /**< 0: not prepared */
    double max_abs;      /**< public bound of the coefficients nearest to 0 */
    size_t terms;        /**< public bound of the number of those that are not 0 */
    bool is_public;      /**< may show in results: ccz_bfv_pt_declare_public() */
};
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_pt_new(struct ccz_bfv_pt **out, const struct ccz_bfv *c,
                                           struct ccz_err *err);
CCZ_API void ccz_bfv_pt_free(struct ccz_bfv_pt *p); /**< wipes */
CCZ_DEFINE_AUTO(ccz_bfv_pt)
/**
 * Bounds that may be known to all, and make the noise bound of products smaller: |coefficient| (nearest to 0) at most
 * @p max_abs, at most @p terms of them not 0. Without this call t / 2 and n.
 * @retval CCZ_E_ARG "bfv:declared": not true  @ct but for the refusal
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_pt_declare(struct ccz_bfv_pt *p, double max_abs, size_t terms,
                                               struct ccz_err *err);
/** The plaintext is no secret: results with it need no flooding. Encoding anew takes it back. */
CCZ_API void ccz_bfv_pt_declare_public(struct ccz_bfv_pt *p);
/** Makes the form for products with ciphertexts of up to @p limbs primes (0: all). @ct
 *  @retval CCZ_E_ARG "bfv:limbs"  @retval CCZ_E_MISMATCH "bfv:context"  @retval CCZ_E_NOMEM */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_pt_prepare(struct ccz_bfv_pt *p, struct ccz_bfv_eval *e,
                                               size_t limbs, struct ccz_err *err);

/** A ciphertext. Fields are for reading. */
struct ccz_bfv_ct {
    const struct ccz_bfv *ctx;
    struct ccz_rlwe_ct ct; /**< evaluation form, 2 parts */
    double sigma, fixed;   /**< log2 of the noise's parameters; -INFINITY: none */
    bool
        is_private; /**< a private plaintext is in it that the key's owner could read: flood before it leaves */
};
/** An empty ciphertext; memory comes with the first result. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_ct_new(struct ccz_bfv_ct **out, const struct ccz_bfv *c,
                                           struct ccz_err *err);
CCZ_API void ccz_bfv_ct_free(struct ccz_bfv_ct *ct);
CCZ_DEFINE_AUTO(ccz_bfv_ct)
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_copy(struct ccz_bfv_ct *out, const struct ccz_bfv_ct *in);
/** log2 of the bound of its noise. */
CCZ_API double ccz_bfv_noise_bits(const struct ccz_bfv_ct *ct);

/* ------------------------------------------------------------------------------ encoding, decoding */

/**
 * Slots: @p values in [0, t), at most n; the others are 0. Slot j < n/2 is the value at the root psi^(5^j), slot
 * n/2 + j at psi^(-5^j): two rows, as rotations by automorphisms need them.
 * @retval CCZ_E_ARG "bfv:no-slots" (t is not 1 mod 2n), "bfv:length", "bfv:value"  @ct but for refusals
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_encode(struct ccz_bfv_pt *out, struct ccz_bfv_eval *e,
                                           const uint64_t *values, size_t len, struct ccz_err *err);
/** Coefficients in [0, t), lowest first; the others are 0. For t = 2^64 any word. Negative x: t - |x|. @ct as above */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_encode_coeff(struct ccz_bfv_pt *out, const uint64_t *coeff,
                                                 size_t len, struct ccz_err *err);
/** The first @p len slots; the coefficients are in p->m. @retval CCZ_E_ARG "bfv:no-slots", "bfv:length"  @ct */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_decode(uint64_t *out, size_t len, struct ccz_bfv_eval *e,
                                           const struct ccz_bfv_pt *p, struct ccz_err *err);

/* ------------------------------------------------------------------------ encryption and decryption */

/* Common refusals: CCZ_E_MISMATCH "bfv:context", "bfv:key-id"; CCZ_E_ARG "bfv:level", "bfv:limbs", "bfv:empty",
 * "bfv:not-prepared"; CCZ_E_LIMIT "bfv:noise" (got, expected bits, hint). */

/** Under the secret key; written, such a ciphertext has half the size (one part is a seed).
 *  @param limbs  data primes of the result; 0: all  @ct in key and message */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_encrypt_sk(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e,
                                               const struct ccz_rlwe_sk *sk,
                                               const struct ccz_bfv_pt *p, size_t limbs,
                                               struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_encrypt_pk(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e,
                                               const struct ccz_rlwe_pk *pk,
                                               const struct ccz_bfv_pt *p, size_t limbs,
                                               struct ccz_err *err);
/** round(t / Q * phase) mod t. @ct in key and result  @retval errors of ccz_rlwe_phase() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_decrypt(struct ccz_bfv_pt *out, struct ccz_bfv_eval *e,
                                            const struct ccz_rlwe_sk *sk,
                                            const struct ccz_bfv_ct *in, struct ccz_err *err);
/**
 * The noise that is really there: *out = log2(Q / (2 t)) - log2(max |v|), exact up to the logarithm; 0 or less: it does
 * not decrypt rightly. For the key's owner alone, in tests and when parameters are chosen: not constant time, and an
 * oracle for the key if others learn it.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_noise_budget(double *out, struct ccz_bfv_eval *e,
                                                 const struct ccz_rlwe_sk *sk,
                                                 const struct ccz_bfv_ct *in, struct ccz_err *err);

/* ----------------------------------------------------------------------------------- arithmetic */

CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_add(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e,
                                        const struct ccz_bfv_ct *a, const struct ccz_bfv_ct *b,
                                        struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_sub(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e,
                                        const struct ccz_bfv_ct *a, const struct ccz_bfv_ct *b,
                                        struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_neg(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e,
                                        const struct ccz_bfv_ct *a, struct ccz_err *err);
/** @ct in the plaintext, as all below */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_add_plain(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e,
                                              const struct ccz_bfv_ct *a,
                                              const struct ccz_bfv_pt *p, struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_sub_plain(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e,
                                              const struct ccz_bfv_ct *a,
                                              const struct ccz_bfv_pt *p, struct ccz_err *err);
/** Product with a plaintext prepared for at least the ciphertext's primes: slots one by one, or polynomials modulo
 *  X^n + 1. A zero plaintext gives a transparent ciphertext, which only flooding makes fit to be written. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_mul_plain(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e,
                                              const struct ccz_bfv_ct *a,
                                              const struct ccz_bfv_pt *p, struct ccz_err *err);
/** Sum of @p len (1 .. CCZ_BFV_TERMS_MAX) products a[k] p[k], reduced once. @param out  none of @p a */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_dot_plain(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e,
                                              const struct ccz_bfv_ct *const *a,
                                              const struct ccz_bfv_pt *const *p, size_t len,
                                              struct ccz_err *err);

/* ----------------------------------------------------------------------------- giving results back */

/** Divides by the product of the last primes, with rounding, down to @p limbs: a smaller ciphertext of the same
 *  plaintext. After flooding. @retval CCZ_E_LIMIT "bfv:noise": too few are left for its noise */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_mod_switch(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e,
                                               const struct ccz_bfv_ct *a, size_t limbs,
                                               struct ccz_err *err);
/**
 * Hides how the ciphertext came about from the owner of the key: adds an encryption of zero under @p pk and uniform
 * noise that is 2^flood_bits n times wider than twice the bound of the noise of both. Two ciphertexts of one plaintext are then within
 * statistical distance 2^-flood_bits of each other, up to the security of the encryption of zero; is_private is cleared.
 * @param mask        added to the plaintext on the way, which saves ccz_bfv_add_plain(): the negative of this party's
 *                    share of the result, say; NULL = nothing
 * @param flood_bits  1 .. CCZ_BFV_FLOOD_MAX, 40 is usual  @retval CCZ_E_ARG "bfv:flood-bits"
 * @retval CCZ_E_LIMIT "bfv:noise": the modulus has no room for that much
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_flood(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e,
                                          const struct ccz_bfv_ct *a, const struct ccz_bfv_pt *mask,
                                          const struct ccz_rlwe_pk *pk, unsigned flood_bits,
                                          struct ccz_err *err);

/* ------------------------------------------------------------------------------------ packing */

/**
 * Sparse results into one ciphertext (interleaving: Lu et al., BumbleBee, NDSS 2025; Chen, Dai, Kim, Song, ACNS 2021).
 * Of a result with stride S, a power of two, only the coefficients at multiples of S are of use; S of them fit into one
 * ciphertext, shifted by 0 .. S - 1. Two of stride 2 s become one of stride s: with the automorphism g: X -> X^(n/s + 1),
 * which keeps X^(j s) for even j and negates it for odd j, it is (A + X^s B) / 2 + g((A - X^s B) / 2). The half is taken
 * modulo Q, which is odd, so that every t can be used, 2^k too: what is doubled and halved is the phase itself. Thus
 * plaintext and noise of the useful coefficients stay as they are, but for the noise of one key switch. All other
 * coefficients are garbage modulo Q, of no plaintext; **so results are flooded first, and packed after**: from then on
 * all that is done is public. One key per doubling used, however many ciphertexts there are.
 *
 * Packing has a context of its own, over the primes that results are switched down to and as many special primes, and a
 * secret key of its own: keys for automorphisms are small there, and leave the whole security bound to the modulus of
 * the products. Results come into it with a transfer key (rlwe.h).
 */

/** Configuration of the context that packs ciphertexts of @p c with @p limbs primes.
 *  @retval CCZ_E_ARG "bfv:limbs"  @retval CCZ_E_LIMIT "num:primes" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_pack_cfg(struct ccz_bfv_cfg *out, const struct ccz_bfv *c,
                                             size_t limbs, struct ccz_err *err);

/** Where a result ends: its coefficient i S is the coefficient `offset` + i S of packed ciphertext `output`. */
struct ccz_bfv_place {
    uint32_t output, offset;
};
/**
 * Places of results added in this order, @p len of them. Pure: both parties compute it.
 * @param[out] outputs  packed ciphertexts  @param[out] doublings  bit b: the key for stride 2^b is needed
 * @param strides       powers of two, 1 .. n, in ascending order
 * @retval CCZ_E_ARG "bfv:stride", "bfv:pack-order"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_pack_places(struct ccz_bfv_place *out, size_t *outputs,
                                                uint32_t *doublings, const uint32_t *strides,
                                                size_t len, size_t n, struct ccz_err *err);

/** Keys to bring results into the context of packing and to pack there; immutable. */
struct ccz_bfv_pack_key;
/** @param sk    new, of e's context  @param from  the key results are encrypted under
 *  @param doublings  as of ccz_bfv_pack_places()  @retval CCZ_E_ARG "bfv:stride"; errors of rlwe.h */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_pack_key_new(struct ccz_bfv_pack_key **out,
                                                 struct ccz_bfv_eval *e,
                                                 const struct ccz_rlwe_sk *sk,
                                                 const struct ccz_rlwe_sk *from, uint32_t doublings,
                                                 struct ccz_err *err);
CCZ_API void ccz_bfv_pack_key_free(struct ccz_bfv_pack_key *k);
CCZ_DEFINE_AUTO(ccz_bfv_pack_key)
/** Bytes of ccz_bfv_pack_key_write() for a key of context @p c. n = 8192, 2 + 2 primes of 42 bits: 172 KB for the
 *  transfer and as much for each doubling. */
CCZ_API size_t ccz_bfv_pack_key_size(const struct ccz_bfv *c, uint32_t doublings);
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_pack_key_write(struct ccz_buf *out,
                                                   const struct ccz_bfv_pack_key *k,
                                                   struct ccz_err *err);
/** @param from_id  of the key that results are encrypted under  @param doublings  exactly those must be there
 *  @retval CCZ_E_FORMAT "bfv:pack-key"; errors of the readers of rlwe.h */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_pack_key_read(struct ccz_bfv_pack_key **out,
                                                  struct ccz_bfv_eval *e, struct ccz_span in,
                                                  const uint8_t *from_id, uint32_t doublings,
                                                  struct ccz_err *err);

/** Packs one ciphertext after the other, with memory for log2 n of them. After a failure amid a doubling every call is
 *  refused, "bfv:pack-failed". */
struct ccz_bfv_packer;
/** @param e, k  of one context of packing; borrowed */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_packer_new(struct ccz_bfv_packer **out, struct ccz_bfv_eval *e,
                                               const struct ccz_bfv_pack_key *k,
                                               struct ccz_err *err);
CCZ_API void ccz_bfv_packer_free(struct ccz_bfv_packer *p);
CCZ_DEFINE_AUTO(ccz_bfv_packer)
/**
 * @param in  flooded and switched down, of the context that results come from
 * @retval CCZ_E_POLICY "bfv:not-flooded"  @retval CCZ_E_ARG "bfv:stride", "bfv:pack-order" (strides may not descend),
 *         "bfv:no-key" (a doubling without key)  @retval CCZ_E_LIMIT "bfv:pack-full" finish first; "bfv:noise"
 * @retval CCZ_E_MISMATCH "bfv:plain" (another plaintext modulus), "rlwe:transfer-primes", "rlwe:key-id"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_packer_add(struct ccz_bfv_packer *p,
                                               const struct ccz_bfv_ct *in, uint32_t stride,
                                               struct ccz_err *err);
/** Room for one more result of @p stride in the ciphertext that is being filled. */
CCZ_API bool ccz_bfv_packer_has_room(const struct ccz_bfv_packer *p, uint32_t stride);
/** Ends the ciphertext: @p out (of the context of packing) holds all that was added; the bound of its noise is that of
 *  useful coefficients. Then the next one begins. @retval CCZ_E_ARG "bfv:empty", "bfv:no-key" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_packer_finish(struct ccz_bfv_ct *out, struct ccz_bfv_packer *p,
                                                  struct ccz_err *err);

/* --------------------------------------------------------------------------------- serialization */

/** Format and refusals: rlwe.h; the noise bound goes along (16 bytes). */
CCZ_API size_t ccz_bfv_ct_size(const struct ccz_bfv_ct *ct);
/** @retval CCZ_E_POLICY "bfv:not-flooded"  a private plaintext could be read off it */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_ct_write(struct ccz_buf *out, const struct ccz_bfv_ct *ct,
                                             struct ccz_err *err);
/** For results, at the key's owner. @param key_id  NULL: any key, else 16 bytes
 *  @retval CCZ_E_FORMAT "bfv:meta": the bound is no number, or too large to decrypt; "bfv:form" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_ct_read(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e,
                                            struct ccz_span in, const uint8_t *key_id,
                                            struct ccz_err *err);
/** For inputs, at the evaluator: a seeded ciphertext is taken as fresh under the secret key, another as fresh under the
 *  public key, whatever bound it claims. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bfv_ct_read_fresh(struct ccz_bfv_ct *out, struct ccz_bfv_eval *e,
                                                  struct ccz_span in, const uint8_t *key_id,
                                                  struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
