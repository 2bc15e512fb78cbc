/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CRYPTO_H
#define CCZ_CRYPTO_H
/**
 * @file crypto.h
 * Randomness, hash, MAC, KDF, AEAD, random streams and P-256 / P-384 keys. Certificates: x509.h. TLS: tls.h.
 * OpenSSL 3 is used only in src/crypto. Reading order: rng.c, hash.c, aead.c, ctr.c, stream.c, x25519.c, ec.c, p256*.c;
 * then der.c, x509_common.c, x509.c, x509_crl.c, x509_issue.c; then tls_ctx.c, tls.c. Files that are read as they were hashed: pinned.h.
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------- randomness */

/** @p size random bytes from OpenSSL's DRBG. @retval CCZ_E_INTERNAL the generator failed: stop */
CCZ_API CCZ_MUST_USE ccz_rc ccz_random(void *out, size_t size);

/* ------------------------------------------------------------------- hash, MAC, KDF */

enum ccz_hash { CCZ_SHA256, CCZ_SHA384, CCZ_SHA512 };
#define CCZ_HASH_SIZE_MAX 64
CCZ_API size_t ccz_hash_size(enum ccz_hash alg); /**< 32, 48, 64 */
/** Hash of the concatenation of @p len parts. @param[out] out  ccz_hash_size(alg) bytes */
CCZ_API CCZ_MUST_USE ccz_rc ccz_hash(void *out, enum ccz_hash alg, const struct ccz_span *parts,
                                     size_t len);
/** SHA-256 of one span, 32 bytes. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_sha256(void *out, struct ccz_span in);

/** SHA-256 of each of @p len messages of @p size bytes that lie one behind the other: 16 at a time where the processor has AVX-512,
 *  more than twice as fast as one after the other. @p size may be 0. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_sha256_each(uint8_t (*out)[32], const void *in, size_t size,
                                            size_t len);

/** Streaming hash. */
struct ccz_hasher;
CCZ_API CCZ_MUST_USE ccz_rc ccz_hasher_new(struct ccz_hasher **out, enum ccz_hash alg);
CCZ_API CCZ_MUST_USE ccz_rc ccz_hasher_put(struct ccz_hasher *h, struct ccz_span in);
/** Writes the digest and makes @p h ready for a new message. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_hasher_done(void *out, struct ccz_hasher *h);
CCZ_API void ccz_hasher_free(struct ccz_hasher *h);
CCZ_DEFINE_AUTO(ccz_hasher)

CCZ_API CCZ_MUST_USE ccz_rc ccz_hmac(void *out, enum ccz_hash alg, struct ccz_span key,
                                     const struct ccz_span *parts, size_t len);
/** HKDF (RFC 5869), @p out_size <= 255 * hash size. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_hkdf(void *out, size_t out_size, enum ccz_hash alg,
                                     struct ccz_span salt, struct ccz_span ikm,
                                     struct ccz_span info);
/**
 * A key for one purpose out of another one: HKDF-SHA-256 without salt.
 * @param info  the purpose; each its own
 * @retval CCZ_E_ARG  @p from is NULL or empty  @retval CCZ_E_NOMEM
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_secret_derive(struct ccz_secret **out, size_t size,
                                              const struct ccz_secret *from, const char *info);
/** AES-128-CMAC (RFC 4493). @param[out] out 16 bytes @param key 16 bytes */
CCZ_API CCZ_MUST_USE ccz_rc ccz_aes_cmac(uint8_t out[16], const uint8_t key[16],
                                         struct ccz_span in);

/* ---------------------------------------------------------------------------- AEAD */

/** AES-192 is there for formats of others (Parquet): nothing of ours uses it. */
enum ccz_aead_alg { CCZ_AES_128_GCM, CCZ_AES_256_GCM, CCZ_CHACHA20_POLY1305, CCZ_AES_192_GCM };
/** Reusable context: one key schedule per call, no allocation per call. Not shareable between
 * threads. */
struct ccz_aead;
#define CCZ_AEAD_TAG_SIZE   16
#define CCZ_AEAD_NONCE_SIZE 12
CCZ_API CCZ_MUST_USE ccz_rc ccz_aead_new(struct ccz_aead **out, enum ccz_aead_alg alg);
CCZ_API void ccz_aead_free(struct ccz_aead *a);
CCZ_DEFINE_AUTO(ccz_aead)
CCZ_API size_t ccz_aead_key_size(enum ccz_aead_alg alg);
/** @param[out] out in.size bytes, may be in.ptr (in place) @param[out] tag 16 bytes
 *  The caller guarantees that (key, nonce) never repeats. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_aead_seal(struct ccz_aead *a, uint8_t *out, uint8_t tag[16],
                                          const uint8_t *key, const uint8_t nonce[12],
                                          struct ccz_span aad, struct ccz_span in);
/** @retval CCZ_E_SIG  the tag does not match; @p out is zeroed */
CCZ_API CCZ_MUST_USE ccz_rc ccz_aead_open(struct ccz_aead *a, uint8_t *out, const uint8_t tag[16],
                                          const uint8_t *key, const uint8_t nonce[12],
                                          struct ccz_span aad, struct ccz_span in);

/* --------------------------------------------------------------------------- counter mode */

/**
 * AES in counter mode (SP 800-38A, 6.5), for formats of others that ask for it. It hides and does not
 * protect: who flips a bit of the ciphertext flips that bit of the text, and nobody notices. Reusable
 * like struct ccz_aead; not shareable between threads.
 */
struct ccz_ctr;
#define CCZ_CTR_IV_SIZE 16
/** @param key_size  16, 24 or 32 bytes. @retval CCZ_E_ARG  another size */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ctr_new(struct ccz_ctr **out, size_t key_size);
CCZ_API void ccz_ctr_free(struct ccz_ctr *c); /**< NULL is fine; the key schedule is wiped */
CCZ_DEFINE_AUTO(ccz_ctr)
/** Encrypts or decrypts, which is the same. The caller guarantees that no counter block of a key repeats.
 *  @param[out] out  in.size bytes, may be in.ptr; zeroed on failure  @param iv  first counter block, counts up big-endian */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ctr_apply(struct ccz_ctr *c, uint8_t *out, const uint8_t *key,
                                          const uint8_t iv[CCZ_CTR_IV_SIZE], struct ccz_span in);

/* ------------------------------------------------------------------------ random stream */

/**
 * Expands a seed: the key stream of AES-256-CTR (SP 800-38A; the 16-byte counter block counts up
 * big-endian). For samplers that need gigabytes per second; the stream of a (seed, iv) never changes,
 * so both are used for one purpose once. Reusable, no allocation per call; not shareable between threads.
 */
struct ccz_stream;
#define CCZ_STREAM_SEED_SIZE 32
#define CCZ_STREAM_IV_SIZE   16
CCZ_API CCZ_MUST_USE ccz_rc ccz_stream_new(struct ccz_stream **out);
CCZ_API void ccz_stream_free(struct ccz_stream *s); /**< NULL is fine; the key schedule is wiped */
CCZ_DEFINE_AUTO(ccz_stream)
/** Starts the stream of @p seed at the counter block @p iv; a NULL seed keeps the last one. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_stream_start(struct ccz_stream *s,
                                             const uint8_t seed[CCZ_STREAM_SEED_SIZE],
                                             const uint8_t iv[CCZ_STREAM_IV_SIZE]);
/** The next @p size bytes. @retval CCZ_E_ARG not started  @ct in the seed */
CCZ_API CCZ_MUST_USE ccz_rc ccz_stream_read(void *out, struct ccz_stream *s, size_t size);

/* ------------------------------------------------------------- elliptic-curve keys */

/**
 * Keys for identities (P-256) and for the certificates of others (P-384): FIPS 186-5, SEC 1.
 * Private halves exist only inside OpenSSL's key object, in a ccz_secret, or in a file of mode
 * 0600. Signatures of P-256 are verified by code of our own (docs/design/p256.md), everything else
 * is OpenSSL's. where = "key:point" | "key:spki" | "key:curve" | "key:pkcs8" | "key:pair" |
 * "key:pem" | "key:sign".
 */
enum ccz_curve { CCZ_P256, CCZ_P384 };
/** A key pair, or a public key only. Immutable after creation, shareable between threads. */
struct ccz_key;
CCZ_API CCZ_MUST_USE ccz_rc ccz_key_generate(struct ccz_key **out, enum ccz_curve curve);
/**
 * @param[out] out  public key, owned by the caller
 * @param xy        raw big-endian x || y, 64 (P-256) or 96 (P-384) bytes
 * @retval CCZ_E_FORMAT  wrong size, or not a point of the curve
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_key_from_xy(struct ccz_key **out, enum ccz_curve curve,
                                            struct ccz_span xy);
/**
 * SubjectPublicKeyInfo in DER (RFC 5480): named curve, uncompressed point.
 * @retval CCZ_E_UNSUPPORTED  another kind of key, a compressed point, trailing bytes
 * @retval CCZ_E_FORMAT       not a point of the curve
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_key_from_spki(struct ccz_key **out, struct ccz_span spki,
                                              struct ccz_err *err);
/**
 * Private key: unencrypted PKCS#8 in DER (RFC 5958), nothing behind it. The public half is checked
 * against the private one (a wrong one would make signatures leak the key).
 * @retval CCZ_E_FORMAT, CCZ_E_UNSUPPORTED
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_key_from_pkcs8(struct ccz_key **out, const struct ccz_secret *der,
                                               struct ccz_err *err);
/** @retval CCZ_E_ARG  @p k has no private half */
CCZ_API CCZ_MUST_USE ccz_rc ccz_key_to_pkcs8(struct ccz_secret **out, const struct ccz_key *k);
/** Reads a PEM file with one "PRIVATE KEY" block (PKCS#8) that nobody but its owner can read.
 *  @retval CCZ_E_DENIED  "file:permissions": chmod 600 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_key_load(struct ccz_key **out, const char *path,
                                         struct ccz_err *err);
/** Writes such a file with mode 0600. @retval CCZ_E_EXISTS  a key file is never overwritten */
CCZ_API CCZ_MUST_USE ccz_rc ccz_key_save(const struct ccz_key *k, const char *path,
                                         struct ccz_err *err);
CCZ_API void ccz_key_free(struct ccz_key *k); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_key)
CCZ_API enum ccz_curve ccz_key_curve(const struct ccz_key *k);
/** Raw x || y. @param[out] out 64 or 96 bytes */
CCZ_API CCZ_MUST_USE ccz_rc ccz_key_xy(uint8_t *out, const struct ccz_key *k);
/** Appends the SubjectPublicKeyInfo in DER, uncompressed point: 91 (P-256) or 120 (P-384) bytes. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_key_spki(struct ccz_buf *out, const struct ccz_key *k);

/**
 * ECDSA over the concatenated parts, with SHA-256 (P-256) or SHA-384 (P-384).
 * @param[out] sig  raw big-endian r || s, 64 or 96 bytes
 * @retval CCZ_E_ARG  @p k has no private half
 * @ct in the private key and the nonce (OpenSSL's implementation)
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ecdsa_sign(uint8_t *sig, const struct ccz_key *k,
                                           const struct ccz_span *parts, size_t len);
/** @param sig  raw r || s. @retval CCZ_E_SIG  does not verify; also a wrong size, r or s out of
 * range. @ct none: public data */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ecdsa_verify(const struct ccz_key *k, const uint8_t *sig,
                                             size_t sig_size, const struct ccz_span *parts,
                                             size_t len);
/** As ccz_ecdsa_verify() for one P-256 verification with a raw key used once (no key object kept).
 *  @retval CCZ_E_FORMAT  @p xy is not a point of the curve */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ecdsa_verify_p256(const uint8_t xy[64], const uint8_t sig[64],
                                                  struct ccz_span msg);

/* --------------------------------------------------------------------- key agreement */

#define CCZ_X25519_SIZE 32
/**
 * X25519 (RFC 7748). Any 32 random bytes are a private key.
 * @param[out] pub  public key of @p priv  @ct in @p priv
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_x25519_public(uint8_t pub[CCZ_X25519_SIZE],
                                              const uint8_t priv[CCZ_X25519_SIZE]);
/**
 * What two parties have in common: not uniform, goes into ccz_hkdf() with both public keys.
 * @param peer  public key of the other; untrusted
 * @retval CCZ_E_PEER  a point of small order: the result would be 0 whatever the private key; @p out is zeroed
 * @ct in @p priv
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_x25519(uint8_t out[CCZ_X25519_SIZE],
                                       const uint8_t priv[CCZ_X25519_SIZE],
                                       const uint8_t peer[CCZ_X25519_SIZE]);
/**
 * A private key for many agreements: what belongs to it alone, which is half of ccz_x25519(), is done once. Used by one thread at a
 * time; wiped when it is freed.
 */
struct ccz_x25519_key;
CCZ_API CCZ_MUST_USE ccz_rc ccz_x25519_key_new(struct ccz_x25519_key **out,
                                               const uint8_t priv[CCZ_X25519_SIZE]);
CCZ_API void ccz_x25519_key_free(struct ccz_x25519_key *k); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_x25519_key)
/** As ccz_x25519_public(). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_x25519_key_public(uint8_t pub[CCZ_X25519_SIZE],
                                                  const struct ccz_x25519_key *k);
/** As ccz_x25519(). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_x25519_key_agree(uint8_t out[CCZ_X25519_SIZE],
                                                 struct ccz_x25519_key *k,
                                                 const uint8_t peer[CCZ_X25519_SIZE]);

/** How the two numbers of a signature are written. */
enum ccz_sig_form {
    CCZ_SIG_RAW, /**< big-endian r || s, 64 or 96 bytes */
    CCZ_SIG_DER, /**< Ecdsa-Sig-Value (RFC 3279, 2.2.3) in strict DER, as in a certificate */
};
/** One signature to check; the caller keeps what it borrows until the call returns. */
struct ccz_ecdsa_job {
    const struct ccz_key *key; /**< borrowed; keys of both curves may be mixed */
    struct ccz_span sig;       /**< borrowed; untrusted */
    enum ccz_sig_form form;
    uint8_t digest[CCZ_HASH_SIZE_MAX]; /**< hash of what was signed */
    size_t digest_size;                /**< 32, 48 or 64; cut to the curve's size (FIPS 186-5) */
    ccz_rc rc;                         /**< [out] CCZ_OK or why this one does not verify */
};
/**
 * Checks many signatures at once: P-256 signatures share work and, on processors that can, are
 * computed side by side (docs/design/p256.md). Each job gets the rc that it would get alone.
 * @return CCZ_OK if all verify, else the rc of the first job that does not
 * @retval CCZ_E_SIG  does not verify; also a malformed signature, r or s out of range
 * @retval CCZ_E_ARG  a job's digest_size is none of the above
 * @ct none: public data. @thread safe
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_ecdsa_verify_batch(struct ccz_ecdsa_job *jobs, size_t len);

#ifdef __cplusplus
}
#endif
#endif
