/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_JOSE_PRIV_H
#define CCZI_JOSE_PRIV_H
/* Shared by the sources of src/jose and their tests. */
#include <cczoo/codec.h>
#include <cczoo/jose.h>

#include "crypto/jose_keys.h"

/* -------------------------------------------------------------------------------- jwk.c */

struct ccz_jwk {
    enum ccz_jwk_kind kind;
    enum ccz_jose_alg alg; /* NONE: not said */
    enum ccz_jwk_use use;
    bool no_verify, no_encrypt; /* "key_ops" leaves it out */
    char kid[CCZ_JWK_KID_SIZE_MAX + 1];
    uint8_t a[CCZI_JOSE_RSA_SIZE_MAX], b[48]; /* as in struct ccz_jwk_parts */
    size_t a_size, b_size;
    struct ccz_key *ec;
    struct cczi_jose_rsa *rsa;
};

/* A JWK that has been parsed as JSON; refuses as ccz_jwk_parse() does. */
CCZ_MUST_USE ccz_rc cczi_jwk_from_json(struct ccz_jwk **out, const struct ccz_json *j,
                                       struct ccz_err *err);
/* As ccz_jwk_put(), and for the header of a token also "x5c". */
void cczi_jwk_put_certs(struct ccz_buf *out, const struct ccz_jwk *k, enum ccz_jwk_form form,
                        const struct ccz_span *certs, size_t certs_len);

/* -------------------------------------------------------------------------------- text.c */

/* ccz_refuse() of text that somebody sent: escaped, and cut. */
ccz_rc cczi_refuse_text(struct ccz_err *err, ccz_rc rc, const char *where, struct ccz_span got,
                        const char *expected);
/* Decodes base64url at the end of @p out; @p what names it. where = @p where, FORMAT, or LIMIT if it does not fit. */
CCZ_MUST_USE ccz_rc cczi_get_base64url(struct ccz_buf *out, struct ccz_span text, const char *where,
                                       const char *what, struct ccz_err *err);
/* Appends `"` text `"` as RFC 8785 (3.2.2.2) wants it. Text that is no UTF-8 sets out->bad. */
void cczi_put_jcs_str(struct ccz_buf *out, struct ccz_span text);
/* Appends `"` base64url of @p bytes `"`. */
void cczi_put_base64url_str(struct ccz_buf *out, struct ccz_span bytes);
/* Appends all of @p from to @p out, or says that it does not fit. */
CCZ_MUST_USE ccz_rc cczi_hand_over(struct ccz_buf *out, const struct ccz_buf *from,
                                   const char *where, struct ccz_err *err);

/* -------------------------------------------------------------------------------- jws.c */

struct cczi_jws_keys {
    const struct ccz_jwk *one;
    const struct ccz_jwks *set; /* if there is not one */
};
/* Verifies; appends the payload. @param[out] header  owned by the caller  @param[out] used  may be NULL */
CCZ_MUST_USE ccz_rc cczi_jws_verify(struct ccz_buf *out, struct ccz_json **header,
                                    const struct ccz_jwk **used, struct cczi_jws_keys keys,
                                    struct ccz_span token, struct ccz_err *err);

/* -------------------------------------------------------------------------------- jwe.c */

/* What ccz_jwe_seal() draws; given by tests of known answers. */
struct cczi_jwe_drawn {
    const struct ccz_key *eph;
    uint8_t cek[32], iv[12];
};
CCZ_MUST_USE ccz_rc cczi_jwe_seal_with(struct ccz_buf *out, const struct ccz_jwk *to,
                                       struct ccz_span plaintext,
                                       const struct cczi_jwe_drawn *drawn, struct ccz_err *err);
/* Concat KDF (SP 800-56A, 5.8.1) with SHA-256, as RFC 7518 (4.6.2) uses it. @param out_size  at most 32 */
CCZ_MUST_USE ccz_rc cczi_concat_kdf(uint8_t *out, size_t out_size, struct ccz_span z,
                                    const char *alg, struct ccz_span apu, struct ccz_span apv);

struct ccz_jwe_key {
    struct ccz_jwk *pub;
    struct ccz_key *ec; /* one of the two */
    struct cczi_jose_rsa *rsa;
};

#endif
