/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_CRYPTO_PRIV_H
#define CCZI_CRYPTO_PRIV_H
/* Shared by the files of src/crypto only. */
#include <cczoo/x509.h>

/* ---------------------------------------------------------------------------------- ec.c */

/* OpenSSL's key pair object, borrowed; NULL if @p k has no private half. */
struct evp_pkey_st;
struct evp_pkey_st *cczi_key_pair(const struct ccz_key *k);

/* PKCS#8 in DER, all of it; NULL (and OpenSSL's queue not empty) if it is something else. Owned by the caller. */
struct evp_pkey_st *cczi_pkcs8_read(struct ccz_span der);
ccz_rc cczi_pkcs8_write(struct ccz_secret **out, struct evp_pkey_st *pair);
/* Whether the halves of a pair and its numbers belong together: a wrong public half would make signatures leak the key. */
bool cczi_pair_ok(struct evp_pkey_st *pair);

/* ECDSA of a hash, which is cut to the curve's size. @param[out] sig raw r || s @retval CCZ_E_ARG no private half */
ccz_rc cczi_ecdsa_sign_digest(uint8_t *sig, const struct ccz_key *k, struct ccz_span digest);
/* Appends the ECDSA-Sig-Value of a raw r || s of 64 or 96 bytes. */
void cczi_ecdsa_put_der(struct ccz_buf *out, const uint8_t *raw, size_t raw_size);

/* ------------------------------------------------------------------------ sha256_avx512.c */

enum { CCZI_SHA_LANES = 16 };
/* SHA-256 of that many messages of @p size bytes, a multiple of 64, one behind the other. The processor has AVX-512.
 * @return false: it was not compiled in, and did nothing */
bool cczi_sha256_lanes(uint8_t (*out)[32], const uint8_t *in, size_t size);

/* --------------------------------------------------------------------------------- der.c */

/* DER (X.690) as X.509 needs it. Module codec has a public reader, but it is in the same layer. */
enum {
    CCZI_DER_BOOLEAN = 0x01,
    CCZI_DER_INTEGER = 0x02,
    CCZI_DER_BIT_STRING = 0x03,
    CCZI_DER_OCTET_STRING = 0x04,
    CCZI_DER_OID = 0x06,
    CCZI_DER_ENUMERATED = 0x0a,
    CCZI_DER_UTF8_STRING = 0x0c,
    CCZI_DER_PRINTABLE_STRING = 0x13,
    CCZI_DER_TELETEX_STRING = 0x14,
    CCZI_DER_IA5_STRING = 0x16,
    CCZI_DER_UTC_TIME = 0x17,
    CCZI_DER_GENERALIZED_TIME = 0x18,
    CCZI_DER_SEQUENCE = 0x30,
    CCZI_DER_SET = 0x31,
};
#define CCZI_DER_CONTEXT(n) ((uint8_t)(0xa0 | (n))) /* constructed, explicit tag */

/* Takes one element with @p tag: its content, borrowed. Any deviation from DER sets r->bad. */
struct ccz_span cczi_der_take(struct ccz_rd *r, uint8_t tag);
/* As cczi_der_take(), but the element with its tag and length, and any tag for tag 0. */
struct ccz_span cczi_der_whole(struct ccz_rd *r, uint8_t tag);
/* True if the next element has @p tag. */
bool cczi_der_peek(const struct ccz_rd *r, uint8_t tag);
/* INTEGER content in its only valid form: not empty, minimal, not negative. */
struct ccz_span cczi_der_integer(struct ccz_rd *r);
/* A BOOLEAN DEFAULT FALSE, where DER leaves FALSE out: absent = false, present must be TRUE. */
bool cczi_der_default_false(struct ccz_rd *r);
/* Content bytes of dotted "1.2.840": @return bytes written, 0 if it is no OID or does not fit. */
size_t cczi_der_oid(uint8_t *out, size_t out_size, const char *dotted);
/* Dotted text of OID content bytes; "?" if malformed or too long for @p out. For messages. */
void cczi_der_oid_text(char *out, size_t out_size, struct ccz_span oid);

/* Writing: `size_t m = cczi_der_open(b, tag); ... cczi_der_close(b, m);` */
size_t cczi_der_open(struct ccz_buf *b, uint8_t tag);
void cczi_der_close(struct ccz_buf *b, size_t mark);
void cczi_der_put(struct ccz_buf *b, uint8_t tag, struct ccz_span content);
void cczi_der_put_oid(struct ccz_buf *b, const char *dotted);

#endif
