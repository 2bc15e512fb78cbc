/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_CRYPTO_JOSE_KEYS_H
#define CCZI_CRYPTO_JOSE_KEYS_H
/*
 * What JSON Web Algorithms (RFC 7518, RFC 8037) need beside crypto.h: key agreement on NIST curves, AES key wrap, RSA and
 * Ed25519 of others. For module jose; not exported. OpenSSL's error queue is left empty.
 */
#include <cczoo/crypto.h>

/* x-coordinate of the shared point (SEC 1, 3.3.1), 32 (P-256) or 48 (P-384) bytes, leading zeros kept.
 * @param mine  with its private half  @param peer  of the same curve
 * @retval CCZ_E_ARG  no private half, or another curve  @ct in the private key (OpenSSL's implementation) */
CCZ_MUST_USE ccz_rc cczi_jose_ecdh(uint8_t *out, const struct ccz_key *mine,
                                   const struct ccz_key *peer);

enum { CCZI_JOSE_KW_OVERHEAD = 8 };
/* AES-256 key wrap (RFC 3394) with the default initial value.
 * @param[out] out  in.size + 8 bytes  @param in  a multiple of 8 from 16 to 64 bytes, else CCZ_E_ARG */
CCZ_MUST_USE ccz_rc cczi_jose_kw_wrap(uint8_t *out, const uint8_t kek[32], struct ccz_span in);
/* @param[out] out  in.size - 8 bytes; zeroed on failure
 * @retval CCZ_E_SIG  not wrapped with that key; also any other size */
CCZ_MUST_USE ccz_rc cczi_jose_kw_unwrap(uint8_t *out, const uint8_t kek[32], struct ccz_span in);

/* An RSA key of 2048 to 4096 bits with an odd exponent from 65537 to 2^32 - 1 (FIPS 186-5, 5.1). Immutable, shareable. */
enum { CCZI_JOSE_RSA_BITS_MIN = 2048, CCZI_JOSE_RSA_SIZE_MAX = 512, CCZI_JOSE_RSA_E_SIZE_MAX = 4 };
struct cczi_jose_rsa;
/* @param n, e  big-endian without leading zeros  @retval CCZ_E_FORMAT  out of the range above, or an even modulus */
CCZ_MUST_USE ccz_rc cczi_jose_rsa_public(struct cczi_jose_rsa **out, struct ccz_span n,
                                         struct ccz_span e);
/* Private key: unencrypted PKCS#8 in DER, nothing behind it; the pair is checked.
 * @retval CCZ_E_FORMAT  no such key, or inconsistent  @retval CCZ_E_UNSUPPORTED  another kind of key, or out of range */
CCZ_MUST_USE ccz_rc cczi_jose_rsa_from_pkcs8(struct cczi_jose_rsa **out,
                                             const struct ccz_secret *der);
void cczi_jose_rsa_free(struct cczi_jose_rsa *k); /* NULL is fine */
/* Modulus and exponent, big-endian without leading zeros; the rest of the arrays is zero. */
CCZ_MUST_USE ccz_rc cczi_jose_rsa_numbers(uint8_t n[CCZI_JOSE_RSA_SIZE_MAX], size_t *n_size,
                                          uint8_t e[CCZI_JOSE_RSA_E_SIZE_MAX], size_t *e_size,
                                          const struct cczi_jose_rsa *k);
/* RSASSA with SHA-256: PKCS1-v1_5, or PSS with MGF1-SHA-256 and a salt of 32 bytes (RFC 7518, 3.5).
 * @retval CCZ_E_SIG  does not verify; also a signature of another size than the modulus */
CCZ_MUST_USE ccz_rc cczi_jose_rsa_verify(const struct cczi_jose_rsa *k, bool pss,
                                         struct ccz_span sig, struct ccz_span msg);
/* RSAES-OAEP with SHA-256, MGF1-SHA-256, no label. @param[out] out  512 bytes of room  @param in  at most 64 bytes */
CCZ_MUST_USE ccz_rc cczi_jose_oaep_seal(uint8_t out[CCZI_JOSE_RSA_SIZE_MAX], size_t *out_size,
                                        const struct cczi_jose_rsa *k, struct ccz_span in);
/* @param[out] out  @p size bytes; zeroed on failure
 * @retval CCZ_E_SIG  not made for that key, or not @p size bytes. Who tells a sender so tells him about the padding:
 *                    go on with a random key instead (RFC 7516, 11.5).  @retval CCZ_E_ARG  no private half */
CCZ_MUST_USE ccz_rc cczi_jose_oaep_open(uint8_t *out, size_t size, const struct cczi_jose_rsa *k,
                                        struct ccz_span in);

enum { CCZI_JOSE_ED25519_SIZE = 32, CCZI_JOSE_ED25519_SIG_SIZE = 64 };
/* A canonical point of the prime-order group that is not its neutral element: what key generation gives (RFC 8032, 5.1.5). */
bool cczi_jose_ed25519_ok(const uint8_t pub[CCZI_JOSE_ED25519_SIZE]);
/* @retval CCZ_E_SIG  does not verify; also a signature that is not canonical */
CCZ_MUST_USE ccz_rc cczi_jose_ed25519_verify(const uint8_t pub[CCZI_JOSE_ED25519_SIZE],
                                             struct ccz_span sig, struct ccz_span msg);

#endif
