/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RLWE_H
#define CCZ_RLWE_H
/**
 * @file rlwe.h
 * What the lattice schemes share (ring learning with errors): parameters and their security check, RNS
 * polynomials, sampling, keys, encryptions of zero, the phase, hybrid key switching, serialization.
 * Schemes: ckks.h, bfv.h. Reading order of the sources: rlwe_priv.h, params.c, ctx.c, sample.c, keys.c,
 * encrypt.c, modulus.c, switch.c, pack.c, serial.c.
 *
 * Terms. The ring is Z[X]/(X^n + 1), n = 2^10 .. 2^16. The ciphertext modulus Q = q_0 * .. * q_{L-1} is a
 * product of data primes; P = p_0 * .. * p_{alpha-1} of special primes that exist in switching keys alone.
 * Every prime is 1 mod 2n and below 2^50. A polynomial modulo a prefix of the primes is an array
 * uint64_t[limbs][n], limb i with residues in [0, q_i), 64-byte aligned; "ntt" says it is in evaluation
 * form, in the order of num.h. A ciphertext has 2 (3 after a product) parts over the first `limbs` data
 * primes; its phase is c0 + c1 s + c2 s^2. A modulus is dropped from the end; q_0 stays.
 *
 * Life cycle: a context (immutable, shared by threads, outlives all that is made from it); keys
 * (immutable after creation, shareable); a work space per thread (scratch memory, random streams,
 * optional helper threads): no call allocates once the work space and the outputs are warm.
 *
 * Security. Secrets are uniform ternary, errors centred binomial with eta = 21 (sigma 3.24, support
 * +-21), as the standard allows; uniform polynomials come from AES-256-CTR under a fresh 32-byte seed.
 * log2(Q P) is held against the table of the HomomorphicEncryption.org standard (Albrecht et al., 2018;
 * ePrint 2019/939, table 1: classical attacks, ternary secret) and refused above it. n = 65536 is not in that table: the
 * bounds are those that OpenFHE 1.5 ships (stdlatticeparms.h), from the same estimator.
 * No branch and no address depends on a secret key, an error or a message in key generation, encryption
 * and phase (tests/ct/ct_rlwe.c); rejection happens for public polynomials only.
 * Switching keys hold functions of the secret key encrypted under that key: as everywhere, security rests on
 * circular security too.
 * Ciphertexts are not authenticated: who changes one changes what it decrypts to. The readers here keep
 * malformed ones out (ranges, sizes, parameter and key identity, transparent ciphertexts), not forged
 * ones; use a channel with integrity.
 *
 * @source Albrecht et al., Homomorphic Encryption Standard 2018; Lyubashevsky-Peikert-Regev, EUROCRYPT
 *         2010; Cheon-Han-Kim-Kim-Song, SAC 2018 (full RNS); Han-Ki, CT-RSA 2020 (hybrid key switching);
 *         Halevi-Shoup, CRYPTO 2018 (hoisting)
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_RLWE_N_MIN          1024
#define CCZ_RLWE_N_MAX          65536
#define CCZ_RLWE_PRIMES_MAX     64 /**< data and special primes together */
#define CCZ_RLWE_PRIME_BITS_MIN 22
#define CCZ_RLWE_PRIME_BITS_MAX 50 /**< primes are below 2^50 */
#define CCZ_RLWE_SPECIAL_MAX    8
#define CCZ_RLWE_PARAMS_ID_SIZE 32
#define CCZ_RLWE_KEY_ID_SIZE    16
#define CCZ_RLWE_SEED_SIZE      32
#define CCZ_RLWE_META_SIZE_MAX  64 /**< bytes a scheme stores with a ciphertext */

/* ----------------------------------------------------------------------------------- parameters */

/** Parameters. All-zero fields are the strict choice. */
struct ccz_rlwe_cfg {
    size_t n; /**< ring degree, a power of two in [CCZ_RLWE_N_MIN, CCZ_RLWE_N_MAX] */
    /**
     * Sizes of the data primes q_0 .. then of the special primes. For b bits the primes nearest to 2^b
     * are taken, from both sides, so that the product of all stays below 2^(sum of bits); a 50-bit prime
     * is always below. All primes are distinct.
     */
    uint8_t bits[CCZ_RLWE_PRIMES_MAX];
    /** Instead of `bits` (then all zero): the primes themselves, checked: prime, 1 mod 2n, distinct, range. */
    uint64_t primes[CCZ_RLWE_PRIMES_MAX];
    size_t data_len;    /**< data primes, >= 1 */
    size_t special_len; /**< special primes (alpha); 0: no key switching */
    /** Required security in bits: 128 (0 means 128), 192 or 256. */
    unsigned security;
    /** Accept any n and modulus. For tests and for showing what others do; never for data. */
    bool security_insecure;
    /** Mixed into the parameter identity: what a scheme adds (its number, e.g. a plaintext modulus). */
    uint32_t scheme;
    uint64_t scheme_param;
};

/** Largest log2(Q P) in bits for @p n and security 128, 192 or 256; 0: no such row. */
CCZ_API unsigned ccz_rlwe_max_bits(size_t n, unsigned security);

/** Parameters with all tables. Immutable, shareable between threads. */
struct ccz_rlwe;
/**
 * @param[out] out  owned by the caller, outlives everything made from it
 * @retval CCZ_E_ARG    "rlwe:degree", "rlwe:prime-count", "rlwe:prime-bits" (got, expected)
 * @retval CCZ_E_ARG    "rlwe:prime" (not prime, not 1 mod 2n), "rlwe:prime-twice", "rlwe:security-level"
 * @retval CCZ_E_ARG    "rlwe:special-size": P is smaller than the product of a digit (alpha data primes)
 * @retval CCZ_E_POLICY "rlwe:security": log2(Q P) above the table (got, expected, hint)
 * @retval CCZ_E_NOMEM
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_new(struct ccz_rlwe **out, const struct ccz_rlwe_cfg *cfg,
                                         struct ccz_err *err);
CCZ_API void ccz_rlwe_free(struct ccz_rlwe *r); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_rlwe)
CCZ_API size_t ccz_rlwe_n(const struct ccz_rlwe *r);
CCZ_API size_t ccz_rlwe_data_len(const struct ccz_rlwe *r);
CCZ_API size_t ccz_rlwe_special_len(const struct ccz_rlwe *r);
/** Prime @p i: data primes first, then the special ones. */
CCZ_API uint64_t ccz_rlwe_prime(const struct ccz_rlwe *r, size_t i);
/** log2 of Q P. */
CCZ_API double ccz_rlwe_log2_qp(const struct ccz_rlwe *r);
/** Bits of security of the table row that holds: 256, 192, 128, or 0 (insecure). */
CCZ_API unsigned ccz_rlwe_security(const struct ccz_rlwe *r);
/** SHA-256 over the canonical parameters; two parties compare it. Borrowed, 32 bytes. */
CCZ_API const uint8_t *ccz_rlwe_params_id(const struct ccz_rlwe *r);

struct ccz_ntt;
/** NTT tables of prime @p i (num.h), borrowed. */
CCZ_API const struct ccz_ntt *ccz_rlwe_ntt(const struct ccz_rlwe *r, size_t i);

/* ----------------------------------------------------------------------------------- work space */

/** Source of seeds. Every call must return fresh, unpredictable bytes: the same seed twice breaks
 *  every key and message made from it. */
struct ccz_rlwe_rng {
    ccz_rc (*fill)(void *arg, void *out, size_t size);
    void *arg;
};

/** Zero: one thread, the system's generator. */
struct ccz_rlwe_work_cfg {
    unsigned threads; /**< 0 and 1: the caller's alone; 2..16: helpers share the limbs of a call */
    struct ccz_rlwe_rng rng; /**< fill NULL: ccz_random(). For tests. */
};
/** Scratch memory, random streams and helper threads of one calling thread. */
struct ccz_rlwe_work;
/** @retval CCZ_E_ARG "rlwe:threads"  @retval CCZ_E_NOMEM  @retval CCZ_E_UNAVAILABLE no thread */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_work_new(struct ccz_rlwe_work **out, const struct ccz_rlwe *r,
                                              const struct ccz_rlwe_work_cfg *cfg,
                                              struct ccz_err *err);
CCZ_API void ccz_rlwe_work_free(struct ccz_rlwe_work *w); /**< wipes the scratch */
CCZ_DEFINE_AUTO(ccz_rlwe_work)
/** The context @p w was made for. */
CCZ_API const struct ccz_rlwe *ccz_rlwe_work_ctx(const struct ccz_rlwe_work *w);
/**
 * Runs fn(arg, i) for i = 0 .. len-1, spread over the threads of @p w; returns when all are done.
 * For callers that split over limbs; @p fn may not use @p w.
 */
CCZ_API void ccz_rlwe_parallel(struct ccz_rlwe_work *w, size_t len, void (*fn)(void *arg, size_t i),
                               void *arg);

/* ----------------------------------------------------------------------------------- polynomials */

/** @p words words, 64-byte aligned, not initialised; NULL: no memory. ccz_rlwe_words_free() returns it. */
CCZ_API uint64_t *ccz_rlwe_words_new(size_t words);
CCZ_API void ccz_rlwe_words_free(uint64_t *v); /**< NULL is fine */

/** Signed coefficients (|c| < 2^62) to residues of the first @p limbs data primes, then NTT if @p ntt.
 *  @shape out[limbs][n], coeff[n]  @ct in coeff */
CCZ_API void ccz_rlwe_from_signed(uint64_t *out, struct ccz_rlwe_work *w, const int64_t *coeff,
                                  size_t limbs, bool ntt);
/** In place: coefficient to evaluation form and back, first @p limbs data primes. @shape v[limbs][n] @ct */
CCZ_API void ccz_rlwe_forward(uint64_t *v, struct ccz_rlwe_work *w, size_t limbs);
CCZ_API void ccz_rlwe_inverse(uint64_t *v, struct ccz_rlwe_work *w, size_t limbs);

/**
 * A ciphertext of any scheme. Fields are for reading; change them through calls.
 * Limb i of part p: c[p] + i * n. Zero-initialise with ccz_rlwe_ct_init().
 */
struct ccz_rlwe_ct {
    const struct ccz_rlwe *ctx;
    uint64_t *c[3];   /**< parts, in one allocation with room for all data primes */
    size_t parts;     /**< 2 or 3; 0: nothing in it */
    size_t limbs;     /**< data primes q_0 .. q_{limbs-1} */
    size_t cap_parts; /**< parts allocated */
    bool ntt;         /**< evaluation form */
    bool seeded;      /**< c[1] is the expansion of `seed`: written as 32 bytes */
    uint8_t seed[CCZ_RLWE_SEED_SIZE];
    uint8_t key_id[CCZ_RLWE_KEY_ID_SIZE]; /**< of the secret key it decrypts under */
};
CCZ_API void ccz_rlwe_ct_init(struct ccz_rlwe_ct *ct,
                              const struct ccz_rlwe *r); /**< allocates nothing */
CCZ_API void ccz_rlwe_ct_deinit(struct ccz_rlwe_ct *ct);
/** Room for @p parts parts; contents of the parts in use are kept. @retval CCZ_E_NOMEM */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_ct_reserve(struct ccz_rlwe_ct *ct, size_t parts);
/** Deep copy of the parts and limbs in use. @p out may be @p in. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_ct_copy(struct ccz_rlwe_ct *out, const struct ccz_rlwe_ct *in);
/** Forgets the last data primes, down to @p limbs (no division: the plaintext stays as it is).
 *  @retval CCZ_E_ARG "rlwe:drop" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_ct_drop(struct ccz_rlwe_ct *ct, size_t limbs,
                                             struct ccz_err *err);
/** True iff every residue of c1 (and c2) is zero: such a ciphertext shows its message. Public data. */
CCZ_API bool ccz_rlwe_ct_transparent(const struct ccz_rlwe_ct *ct);

/* ------------------------------------------------------------------------------------------ keys */

/** Secret key; in memory of ccz_secret only. */
struct ccz_rlwe_sk;
/** @ct in the key. @retval CCZ_E_INTERNAL the generator failed  @retval CCZ_E_NOMEM */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_sk_new(struct ccz_rlwe_sk **out, struct ccz_rlwe_work *w,
                                            struct ccz_err *err);
CCZ_API void ccz_rlwe_sk_free(struct ccz_rlwe_sk *sk);
CCZ_DEFINE_AUTO(ccz_rlwe_sk)
/** Random identity, the same in everything made from @p sk. Borrowed, 16 bytes. */
CCZ_API const uint8_t *ccz_rlwe_sk_id(const struct ccz_rlwe_sk *sk);

/** Public key over the data primes. */
struct ccz_rlwe_pk;
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_pk_new(struct ccz_rlwe_pk **out, struct ccz_rlwe_work *w,
                                            const struct ccz_rlwe_sk *sk, struct ccz_err *err);
CCZ_API void ccz_rlwe_pk_free(struct ccz_rlwe_pk *pk);
CCZ_DEFINE_AUTO(ccz_rlwe_pk)
CCZ_API const uint8_t *ccz_rlwe_pk_id(const struct ccz_rlwe_pk *pk);

/**
 * Switching key: from one secret to another, in ceil(L / alpha) digits over all primes.
 * n=8192, 4+1 primes: 2.6 MB; n=32768, 15+3: 47 MB (half of it written: one of two halves is a seed).
 */
struct ccz_rlwe_swk;
/** For products: s^2 to s. @retval CCZ_E_ARG "rlwe:no-special" parameters without special primes */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_relin_new(struct ccz_rlwe_swk **out, struct ccz_rlwe_work *w,
                                               const struct ccz_rlwe_sk *sk, struct ccz_err *err);
/** For the automorphism X -> X^elt, @p elt odd in [1, 2n).
 *  @retval CCZ_E_ARG "rlwe:galois-element", "rlwe:no-special" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_galois_new(struct ccz_rlwe_swk **out, struct ccz_rlwe_work *w,
                                                const struct ccz_rlwe_sk *sk, uint32_t elt,
                                                struct ccz_err *err);
CCZ_API void ccz_rlwe_swk_free(struct ccz_rlwe_swk *k);
CCZ_DEFINE_AUTO(ccz_rlwe_swk)
CCZ_API const uint8_t *ccz_rlwe_swk_id(const struct ccz_rlwe_swk *k);
/** 0: relinearization key; else the automorphism's element. */
CCZ_API uint32_t ccz_rlwe_swk_elt(const struct ccz_rlwe_swk *k);

/**
 * For ccz_rlwe_transfer(): from @p from, a key of another context of the same degree, to @p sk, a key of the work
 * space's context. The two keys should be independent: then what is made under @p from keeps the security of its own
 * parameters, and this key is but an encryption under @p sk. (One secret under two moduli would lean on both at once.)
 * @retval CCZ_E_ARG "rlwe:no-special"  @retval CCZ_E_MISMATCH "rlwe:degree"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_transfer_new(struct ccz_rlwe_swk **out,
                                                  struct ccz_rlwe_work *w,
                                                  const struct ccz_rlwe_sk *sk,
                                                  const struct ccz_rlwe_sk *from,
                                                  struct ccz_err *err);
/** Identity of the key that a transfer key takes ciphertexts from, borrowed; NULL: another switching key. */
CCZ_API const uint8_t *ccz_rlwe_transfer_from(const struct ccz_rlwe_swk *k);

/** Switching keys for a set of automorphisms: exactly those asked for. */
struct ccz_rlwe_galois_set;
/** @param elts  distinct odd elements; duplicates are made once */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_galois_set_new(struct ccz_rlwe_galois_set **out,
                                                    struct ccz_rlwe_work *w,
                                                    const struct ccz_rlwe_sk *sk,
                                                    const uint32_t *elts, size_t len,
                                                    struct ccz_err *err);
CCZ_API void ccz_rlwe_galois_set_free(struct ccz_rlwe_galois_set *s);
CCZ_DEFINE_AUTO(ccz_rlwe_galois_set)
/** The key for @p elt, borrowed; NULL: not in the set. */
CCZ_API const struct ccz_rlwe_swk *ccz_rlwe_galois_find(const struct ccz_rlwe_galois_set *s,
                                                        uint32_t elt);
CCZ_API size_t ccz_rlwe_galois_len(const struct ccz_rlwe_galois_set *s);
/** Element of the rotation by @p steps places to the left (negative: right) of n/2 slots: 5^steps mod 2n. */
CCZ_API uint32_t ccz_rlwe_rotation_elt(size_t n, int64_t steps);
/** Element of the conjugation: 2n - 1. */
CCZ_API uint32_t ccz_rlwe_conjugation_elt(size_t n);

/* ---------------------------------------------------------------------- encryption and decryption */

/**
 * What an encryption carries: @p coeff, signed coefficients (|c| < 2^61) that share one NTT with the
 * error, or @p residues in coefficient form, which share it too, or @p poly, residues in evaluation form
 * (limb i at + i * n); or none of them (zero). Borrowed; @ct.
 */
struct ccz_rlwe_msg {
    const int64_t *coeff;
    const uint64_t *poly;
    const uint64_t *residues;
};
/**
 * Under the secret key: (m + e - a s, a), a from a fresh seed, so half the size when written.
 * @param[out] out  2 parts, evaluation form, `seeded`
 * @param limbs     1 .. data primes  @retval CCZ_E_ARG "rlwe:limbs"
 * @retval CCZ_E_MISMATCH "rlwe:params" key of another context
 * @ct in key, error and message
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_encrypt_sk(struct ccz_rlwe_ct *out, struct ccz_rlwe_work *w,
                                                const struct ccz_rlwe_sk *sk, size_t limbs,
                                                struct ccz_rlwe_msg m, struct ccz_err *err);
/** Under the public key: (b u + e0 + m, a u + e1), directly over @p limbs data primes. As above otherwise. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_encrypt_pk(struct ccz_rlwe_ct *out, struct ccz_rlwe_work *w,
                                                const struct ccz_rlwe_pk *pk, size_t limbs,
                                                struct ccz_rlwe_msg m, struct ccz_err *err);
/**
 * Phase c0 + c1 s + c2 s^2 in the form (evaluation or coefficient) of the ciphertext.
 * @param limbs  only the first @p limbs primes are computed (1 .. in->limbs): enough if the phase is short
 * @shape out[limbs][n]
 * @retval CCZ_E_MISMATCH "rlwe:params", "rlwe:key-id"  @retval CCZ_E_ARG "rlwe:limbs", "rlwe:empty"
 * @retval CCZ_E_FORMAT  "rlwe:transparent"  @ct in the key
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_phase(uint64_t *out, struct ccz_rlwe_work *w,
                                           const struct ccz_rlwe_sk *sk,
                                           const struct ccz_rlwe_ct *in, size_t limbs,
                                           struct ccz_err *err);
/** n signed coefficients of rounded Gaussian noise of standard deviation @p sigma (< 2^58), for flooding
 *  (hides the error of a decryption that leaves the key owner). Not constant time (libm). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_flood(int64_t *out, struct ccz_rlwe_work *w, double sigma,
                                           struct ccz_err *err);

#define CCZ_RLWE_FLOOD_BITS_MAX 1024
/** Uniform coefficients in [-2^(bits-1), 2^(bits-1)), as residues of the first @p limbs data primes, coefficient form:
 *  flooding wider than a word. @shape out[limbs][n]  @ct
 *  @retval CCZ_E_ARG "rlwe:flood" (bits), "rlwe:limbs" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_flood_uniform(uint64_t *out, struct ccz_rlwe_work *w,
                                                   unsigned bits, size_t limbs,
                                                   struct ccz_err *err);

/* ---------------------------------------------------------------------------------- key switching */

/**
 * Digits of one polynomial, extended to all primes, in evaluation form: the costly half of a key
 * switch, done once for many rotations of one ciphertext. Lives in the work space: valid until the next
 * call that decomposes with the same work space.
 */
struct ccz_rlwe_digits {
    const uint64_t *poly; /**< what was decomposed, borrowed: its own residues are digits too */
    size_t limbs;
};
/** @param poly  evaluation form, [limbs][n]. @retval CCZ_E_ARG "rlwe:no-special" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_decompose(struct ccz_rlwe_digits *out, struct ccz_rlwe_work *w,
                                               const uint64_t *poly, size_t limbs,
                                               struct ccz_err *err);
/**
 * Parts of the switched polynomial: out0 + out1 t ~ poly s', with t the key's target; divided by P and
 * rounded. @p add0 (may be NULL, may be out0) is added to out0, @p add1 to out1.
 * For a Galois key the automorphism is applied to the sums at the end (to @p add0 too): out = elt(add + switched).
 * Outputs must not be the decomposed polynomial.
 * @shape out0[limbs][n], out1[limbs][n], evaluation form
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_switch(uint64_t *out0, uint64_t *out1, struct ccz_rlwe_work *w,
                                            const struct ccz_rlwe_digits *d,
                                            const struct ccz_rlwe_swk *k, const uint64_t *add0,
                                            const uint64_t *add1, struct ccz_err *err);
/** 3 parts to 2. @p out may be @p in. Evaluation form only. A ciphertext of 2 parts is copied.
 *  @retval CCZ_E_MISMATCH "rlwe:params", "rlwe:key-id"  @retval CCZ_E_ARG "rlwe:relin-key", "rlwe:form" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_relinearize(struct ccz_rlwe_ct *out, struct ccz_rlwe_work *w,
                                                 const struct ccz_rlwe_ct *in,
                                                 const struct ccz_rlwe_swk *k, struct ccz_err *err);
/** ccz_rlwe_relinearize() and ccz_rlwe_rescale() in one: a division by P times the last prime, which costs
 *  a fifth less and rounds once. Refusals of both. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_relinearize_rescale(struct ccz_rlwe_ct *out,
                                                         struct ccz_rlwe_work *w,
                                                         const struct ccz_rlwe_ct *in,
                                                         const struct ccz_rlwe_swk *k,
                                                         struct ccz_err *err);
/** The automorphism of @p k on a ciphertext of 2 parts. @p out may be @p in.
 *  @retval CCZ_E_ARG "rlwe:galois-key", "rlwe:parts", "rlwe:form" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_automorph(struct ccz_rlwe_ct *out, struct ccz_rlwe_work *w,
                                               const struct ccz_rlwe_ct *in,
                                               const struct ccz_rlwe_swk *k, struct ccz_err *err);
/**
 * The automorphisms of all @p keys on one ciphertext, decomposed once (hoisting): each but the first
 * costs about a third. @param[out] out  @p len different ciphertexts, none of them @p in ("rlwe:output")
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_automorph_many(struct ccz_rlwe_ct *const *out,
                                                    struct ccz_rlwe_work *w,
                                                    const struct ccz_rlwe_ct *in,
                                                    const struct ccz_rlwe_swk *const *keys,
                                                    size_t len, struct ccz_err *err);
/**
 * A ciphertext of 2 parts of another context, whose primes are the first data primes of the work space's, under its
 * key: the phase stays the same but for the noise of a key switch. @param[out] out  of the work space's context
 * @retval CCZ_E_MISMATCH "rlwe:params" (key), "rlwe:key-id", "rlwe:transfer-primes"
 * @retval CCZ_E_ARG "rlwe:transfer-key", "rlwe:parts", "rlwe:form", "rlwe:empty"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_transfer(struct ccz_rlwe_ct *out, struct ccz_rlwe_work *w,
                                              const struct ccz_rlwe_ct *in,
                                              const struct ccz_rlwe_swk *k, struct ccz_err *err);
/** Divides by the last data prime, rounds to the nearest and drops it, every part. @p out may be @p in.
 *  Either form. @retval CCZ_E_ARG "rlwe:last-prime" only q_0 is left */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_rescale(struct ccz_rlwe_ct *out, struct ccz_rlwe_work *w,
                                             const struct ccz_rlwe_ct *in, struct ccz_err *err);

/** Variance of one coefficient of what switching a polynomial of @p limbs limbs adds (heuristic of
 *  Han-Ki 2020, uniform digits); of a fresh encryption under the secret / the public key; of a rounded
 *  division (rescale) of 2 parts. */
CCZ_API double ccz_rlwe_var_switch(const struct ccz_rlwe *r, size_t limbs);
CCZ_API double ccz_rlwe_var_fresh_sk(const struct ccz_rlwe *r);
CCZ_API double ccz_rlwe_var_fresh_pk(const struct ccz_rlwe *r);
CCZ_API double ccz_rlwe_var_round(const struct ccz_rlwe *r, size_t parts);

/* ---------------------------------------------------------------------------------- serialization */

/**
 * Everything written starts with "CCZH", version 1, kind, parameter identity and key identity; residues
 * are packed to the width of their prime, least significant bit first, each limb padded to bytes. The
 * reader accepts exactly what the writer makes: no trailing bytes, unused bits zero, residues below the
 * prime. All input is untrusted; nothing is allocated before the size of the input has been checked.
 * where of the readers (CCZ_E_FORMAT unless said): "rlwe:magic", "rlwe:version" (CCZ_E_UNSUPPORTED), "rlwe:kind",
 * "rlwe:params" and "rlwe:key-id" (CCZ_E_MISMATCH), "rlwe:header", "rlwe:size", "rlwe:residue",
 * "rlwe:padding", "rlwe:transparent", "rlwe:secret".
 */
enum ccz_rlwe_kind {
    CCZ_RLWE_KIND_CT = 1,
    CCZ_RLWE_KIND_SK = 2,
    CCZ_RLWE_KIND_PK = 3,
    CCZ_RLWE_KIND_SWK = 4,
    CCZ_RLWE_KIND_GALOIS = 5,
    CCZ_RLWE_KIND_TRANSFER = 6,
};
/** Bytes of ccz_rlwe_ct_write(). */
CCZ_API size_t ccz_rlwe_ct_size(const struct ccz_rlwe_ct *ct, size_t meta_size);
/** @param meta  what the scheme stores beside (scale ..), at most CCZ_RLWE_META_SIZE_MAX bytes.
 *  @retval CCZ_E_LIMIT "rlwe:buffer" out->max_size
 *  @retval CCZ_E_FORMAT "rlwe:transparent": what would be sent is the message */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_ct_write(struct ccz_buf *out, const struct ccz_rlwe_ct *ct,
                                              struct ccz_span meta, struct ccz_err *err);
/**
 * @param[out] out   initialised; its context is the expected one; memory is reused
 * @param[out] meta  @p meta_size bytes, exactly that many must be there
 * @param key_id     NULL: any key, else 16 bytes
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_ct_read(struct ccz_rlwe_ct *out, void *meta, size_t meta_size,
                                             struct ccz_rlwe_work *w, struct ccz_span in,
                                             const uint8_t *key_id, struct ccz_err *err);
/** The secret key: 2 bits per coefficient. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_sk_write(struct ccz_secret **out, const struct ccz_rlwe_sk *sk,
                                              struct ccz_err *err);
/** @ct in the key */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_sk_read(struct ccz_rlwe_sk **out, struct ccz_rlwe_work *w,
                                             const struct ccz_secret *in, struct ccz_err *err);
/** Bytes of ccz_rlwe_pk_write(). */
CCZ_API size_t ccz_rlwe_pk_size(const struct ccz_rlwe *r);
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_pk_write(struct ccz_buf *out, const struct ccz_rlwe_pk *pk,
                                              struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_pk_read(struct ccz_rlwe_pk **out, struct ccz_rlwe_work *w,
                                             struct ccz_span in, const uint8_t *key_id,
                                             struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_swk_write(struct ccz_buf *out, const struct ccz_rlwe_swk *k,
                                               struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_swk_read(struct ccz_rlwe_swk **out, struct ccz_rlwe_work *w,
                                              struct ccz_span in, const uint8_t *key_id,
                                              struct ccz_err *err);
/** Transfer keys have a kind of their own; the functions above refuse them, "rlwe:kind". */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_transfer_write(struct ccz_buf *out,
                                                    const struct ccz_rlwe_swk *k,
                                                    struct ccz_err *err);
/** @param from_id, key_id  of the keys it leads from and to; NULL: any */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_transfer_read(struct ccz_rlwe_swk **out,
                                                   struct ccz_rlwe_work *w, struct ccz_span in,
                                                   const uint8_t *from_id, const uint8_t *key_id,
                                                   struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_galois_set_write(struct ccz_buf *out,
                                                      const struct ccz_rlwe_galois_set *s,
                                                      struct ccz_err *err);
CCZ_API CCZ_MUST_USE ccz_rc ccz_rlwe_galois_set_read(struct ccz_rlwe_galois_set **out,
                                                     struct ccz_rlwe_work *w, struct ccz_span in,
                                                     const uint8_t *key_id, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
