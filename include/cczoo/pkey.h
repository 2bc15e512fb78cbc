/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_PKEY_H
#define CCZ_PKEY_H
/**
 * @file pkey.h
 * Key pairs to work with: RSA, ECDSA on P-256 and P-384, Ed25519, as a key service holds them for others; and AES key wrap.
 * A program's own identity is a struct ccz_key (crypto.h), which stands inside the EC keys here.
 * Reading order: pkey.c, rsa.c, pkey_ops.c, kwp.c.
 *
 * What is accepted is narrow: RSA of 2048, 3072 or 4096 bits with the exponent 65537; named curves; PKCS#8 without
 * encryption and nothing behind it; SubjectPublicKeyInfo in its only encoding, so that its hash names the key.
 * where = "pkey:pkcs8" | "pkey:spki" | "pkey:kind" | "pkey:rsa-size" | "pkey:rsa-exponent" | "pkey:pair" |
 * "pkey:private" | "pkey:generate" | "pkey:digest-size" | "pkey:hash" | "pkey:prehashed" | "pkey:padding" | "pkey:sign" |
 * "pkey:signature" | "pkey:oaep" | "pkey:oaep-size", and those of struct ccz_key.
 */
#include <cczoo/crypto.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ccz_pkey_kind {
    CCZ_PKEY_P256 = 1,
    CCZ_PKEY_P384,
    CCZ_PKEY_ED25519,
    CCZ_PKEY_RSA_2048,
    CCZ_PKEY_RSA_3072,
    CCZ_PKEY_RSA_4096
};
/** A key pair, or a public key only. Immutable after creation, shareable between threads. */
struct ccz_pkey;
/** A fresh pair. RSA of 4096 bits takes seconds now and then. @retval CCZ_E_ARG  no such kind */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pkey_generate(struct ccz_pkey **out, enum ccz_pkey_kind kind,
                                              struct ccz_err *err);
/** Where an encoded private key comes from. */
enum ccz_pkey_origin {
    CCZ_PKEY_FOREIGN, /**< everything is checked: primes, product, exponents, public half. RSA: up to a second */
    CCZ_PKEY_OWN /**< written by ccz_pkey_to_pkcs8() and authenticated since: its numbers are not checked again */
};
/**
 * Private key from PKCS#8 (RFC 5958; RFC 8017, RFC 5915 and RFC 8410 inside).
 * @retval CCZ_E_FORMAT       not one such structure; "pkey:pair", "key:pair": its numbers do not belong together
 * @retval CCZ_E_UNSUPPORTED  another kind or size of key
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pkey_from_pkcs8(struct ccz_pkey **out, const struct ccz_secret *der,
                                                enum ccz_pkey_origin origin, struct ccz_err *err);
/** @retval CCZ_E_ARG  "pkey:private": @p k is a public key */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pkey_to_pkcs8(struct ccz_secret **out, const struct ccz_pkey *k,
                                              struct ccz_err *err);
/** Public key from SubjectPublicKeyInfo. @retval CCZ_E_FORMAT  also "pkey:point": an Ed25519 key of small order  @retval CCZ_E_UNSUPPORTED */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pkey_from_spki(struct ccz_pkey **out, struct ccz_span spki,
                                               struct ccz_err *err);
/** Appends the SubjectPublicKeyInfo in DER: at most CCZ_PKEY_SPKI_SIZE_MAX bytes. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pkey_spki(struct ccz_buf *out, const struct ccz_pkey *k);
#define CCZ_PKEY_SPKI_SIZE_MAX 550
CCZ_API void ccz_pkey_free(struct ccz_pkey *k); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_pkey)
CCZ_API enum ccz_pkey_kind ccz_pkey_kind(const struct ccz_pkey *k);
CCZ_API bool ccz_pkey_is_private(const struct ccz_pkey *k);
/** The EC key inside, borrowed: for certificates (x509.h). NULL: it is of another kind. */
CCZ_API const struct ccz_key *ccz_pkey_ec(const struct ccz_pkey *k);
/** "P-256", "P-384", "Ed25519", "RSA-2048", ...; "?" if there is no such kind. */
CCZ_API const char *ccz_pkey_kind_name(enum ccz_pkey_kind kind);

/* -------------------------------------------------------------------------- signatures */

enum ccz_rsa_padding {
    CCZ_RSA_PSS,  /**< RSASSA-PSS, MGF1 with the same hash, salt as long as the hash, no other */
    CCZ_RSA_PKCS1 /**< RSASSA-PKCS1-v1_5, for peers that know nothing else */
};
/** How to sign. All zero: the message itself, SHA-256, raw r || s, PSS. */
struct ccz_sign_how {
    enum ccz_hash hash; /**< not of Ed25519; of P-384 not SHA-256, which is weaker than the curve */
    bool prehashed;     /**< the input is the hash, ccz_hash_size() bytes; never with Ed25519 */
    enum ccz_sig_form form;       /**< ECDSA only */
    enum ccz_rsa_padding padding; /**< RSA only */
    bool
        usual_hash; /**< in place of `hash` what is usual for the key: P-384 SHA-384, else SHA-256 */
};
#define CCZ_PKEY_SIG_SIZE_MAX 512
/**
 * Appends a signature of @p in (FIPS 186-5, RFC 8032, RFC 8017).
 * @retval CCZ_E_ARG          "pkey:private": a public key cannot sign
 * @retval CCZ_E_FORMAT       "pkey:digest-size"
 * @retval CCZ_E_UNSUPPORTED  "pkey:hash", "pkey:prehashed", "pkey:padding"
 * @ct in the private key (OpenSSL's implementation; RSA is blinded)
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pkey_sign(struct ccz_buf *sig, const struct ccz_pkey *k,
                                          const struct ccz_sign_how *how, struct ccz_span in,
                                          struct ccz_err *err);
/** @retval CCZ_E_SIG  "pkey:signature": does not verify, also if malformed. Else as ccz_pkey_sign(). @ct none: public data */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pkey_verify(const struct ccz_pkey *k,
                                            const struct ccz_sign_how *how, struct ccz_span in,
                                            struct ccz_span sig, struct ccz_err *err);

/* -------------------------------------------------------------------- RSA encryption */

/** Largest text of RSAES-OAEP under @p k: size of the modulus - 2 * hash - 2; 0 if @p k is no RSA key. */
CCZ_API size_t ccz_pkey_oaep_room(const struct ccz_pkey *k, enum ccz_hash hash);
/**
 * Appends RSAES-OAEP (RFC 8017, 7.1) of @p in: MGF1 with the same hash, empty label.
 * @retval CCZ_E_LIMIT  "pkey:oaep-size"  @retval CCZ_E_UNSUPPORTED  "pkey:kind": no RSA key
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pkey_oaep_seal(struct ccz_buf *out, const struct ccz_pkey *k,
                                               enum ccz_hash hash, struct ccz_span in,
                                               struct ccz_err *err);
/** @retval CCZ_E_SIG  "pkey:oaep": does not open, whatever the reason; also an empty text  @retval CCZ_E_ARG "pkey:private" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pkey_oaep_open(struct ccz_secret **out, const struct ccz_pkey *k,
                                               enum ccz_hash hash, struct ccz_span in,
                                               struct ccz_err *err);

/* ------------------------------------------------------------------------ AES key wrap */

#define CCZ_KWP_SIZE_MAX 65536 /**< bytes to wrap */
/**
 * Appends AES key wrap with padding (RFC 5649, SP 800-38F KWP) of @p in: 8 bytes more, rounded up to 8. Deterministic: equal
 * keys show as equal; for keys, which do not repeat, that tells nothing.
 * @param kek  16, 24 or 32 bytes
 * @param in   1..CCZ_KWP_SIZE_MAX bytes
 * @retval CCZ_E_ARG  size of @p kek  @retval CCZ_E_LIMIT  size of @p in
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_aes_kwp_wrap(struct ccz_buf *out, struct ccz_span kek,
                                             struct ccz_span in);
/** @retval CCZ_E_SIG  not wrapped under @p kek, or changed; also a wrong size */
CCZ_API CCZ_MUST_USE ccz_rc ccz_aes_kwp_unwrap(struct ccz_secret **out, struct ccz_span kek,
                                               struct ccz_span in);

#ifdef __cplusplus
}
#endif
#endif
