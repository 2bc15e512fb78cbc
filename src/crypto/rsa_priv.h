/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_RSA_PRIV_H
#define CCZI_RSA_PRIV_H
/*
 * RSA signatures and RSAES-OAEP (RFC 8017) on OpenSSL's objects. Which keys are taken is decided by who reads them: pkey.c and
 * jose_keys.c draw the line at different places. OpenSSL's error queue is left empty.
 * @p hash  a known one, its size checked by the caller  @p key  of at most CCZI_RSA_SIZE_MAX bytes
 */
#include <cczoo/crypto.h>

#include <openssl/evp.h>

enum { CCZI_RSA_SIZE_MAX = 512 };

/* Whether a key that somebody shows may be used to check what he signed: an RSA key of 2048 to 4096 bits, its exponent odd and at most
 * 2^64 - 1. OpenSSL bounds the exponent of moduli above 3,072 bits alone; with one as long as the modulus, which costs its owner
 * nothing, each check is a full exponentiation and costs several times a whole handshake. */
bool cczi_rsa_cheap(const EVP_PKEY *key);

/* RSASSA-PSS (MGF1 with the same hash, salt as long as the hash) or RSASSA-PKCS1-v1_5.
 * @param[out] sig  as large as the modulus  @param digest  of @p hash  @retval CCZ_E_INTERNAL  OpenSSL cannot */
CCZ_MUST_USE ccz_rc cczi_rsa_sign(uint8_t sig[CCZI_RSA_SIZE_MAX], size_t *sig_size, EVP_PKEY *key,
                                  enum ccz_hash hash, bool pss, struct ccz_span digest);
/* @retval CCZ_E_SIG  does not verify; also a signature of another size than the modulus  @retval CCZ_E_INTERNAL  OpenSSL cannot */
CCZ_MUST_USE ccz_rc cczi_rsa_verify(EVP_PKEY *key, enum ccz_hash hash, bool pss,
                                    struct ccz_span digest, struct ccz_span sig);

/* RSAES-OAEP, MGF1 with the same hash, no label. @retval CCZ_E_INTERNAL  OpenSSL cannot; also if @p in is too large */
CCZ_MUST_USE ccz_rc cczi_oaep_seal(uint8_t out[CCZI_RSA_SIZE_MAX], size_t *out_size, EVP_PKEY *key,
                                   enum ccz_hash hash, struct ccz_span in);
/* @param[out] out  to be wiped by the caller; zero on failure
 * @param key  with its private half
 * @retval CCZ_E_SIG  does not open; also another size than the modulus  @retval CCZ_E_INTERNAL  OpenSSL cannot */
CCZ_MUST_USE ccz_rc cczi_oaep_open(uint8_t out[CCZI_RSA_SIZE_MAX], size_t *out_size, EVP_PKEY *key,
                                   enum ccz_hash hash, struct ccz_span in);

#endif
