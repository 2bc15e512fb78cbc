/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_X509_PRIV_H
#define CCZI_X509_PRIV_H
/* What certificates and CRLs share (x509_common.c). Spans borrow from the DER of their object. */
#include "crypto_priv.h"

enum {
    CCZI_X509_EXT_LEN_MAX = 32,
    CCZI_X509_CN_SIZE_MAX = 255,
};

/* Last arc of the extensions below 2.5.29 (id-ce) that are used here; RFC 5280, 4.2.1 and 5.2. */
enum {
    CCZI_CE_SUBJECT_KEY_ID = 14,
    CCZI_CE_KEY_USAGE = 15,
    CCZI_CE_BASIC_CONSTRAINTS = 19,
    CCZI_CE_CRL_NUMBER = 20,
    CCZI_CE_AUTHORITY_KEY_ID = 35,
};

/* KeyUsage bits as they stand in the first byte, bit 0 highest (RFC 5280, 4.2.1.3). */
enum {
    CCZI_KU_DIGITAL_SIGNATURE = 0x80,
    CCZI_KU_KEY_CERT_SIGN = 0x04,
    CCZI_KU_CRL_SIGN = 0x02,
};

struct cczi_ext {
    struct ccz_span oid; /* content bytes */
    struct ccz_span value;
    bool critical;
};
struct cczi_exts {
    struct cczi_ext list[CCZI_X509_EXT_LEN_MAX];
    size_t len;
};

/* The outer shape of certificates and CRLs: SEQUENCE { tbs, AlgorithmIdentifier, BIT STRING }. */
struct cczi_signed {
    struct ccz_span tbs;       /* with tag and length: the bytes that are signed */
    struct ccz_span algorithm; /* with tag and length */
    struct ccz_span signature;
};

/* Certificate or CRL: how errors call it. */
struct cczi_x509_kind {
    const char *name;
    size_t size_max;
    const char *at_size, *at_shape, *at_algorithm, *at_extensions, *at_repeated, *at_signature,
        *at_signature_algorithm, *at_issuer_key;
};

/* Size limit, outer shape, nothing behind it. */
CCZ_MUST_USE ccz_rc cczi_x509_signed(struct cczi_signed *out, struct ccz_span der,
                                     const struct cczi_x509_kind *kind, struct ccz_err *err);
/* RFC 5280, 4.1.1.2: the algorithm named inside the signed part must be the one outside. */
CCZ_MUST_USE ccz_rc cczi_x509_same_algorithm(struct ccz_span inner, const struct cczi_signed *s,
                                             const struct cczi_x509_kind *kind,
                                             struct ccz_err *err);
/* Takes a Name, with its tag and length; sets r->bad if it is malformed inside. */
struct ccz_span cczi_x509_name(struct ccz_rd *r);
/* First commonName of a well-formed Name, "" if there is none. False: too long, of a wide string
 * type, or with a NUL inside, which would make text and bytes disagree. */
bool cczi_x509_cn(char out[CCZI_X509_CN_SIZE_MAX + 1], struct ccz_span name);
/* A refusal that shows common names: they come from a peer, so they are escaped. */
ccz_rc cczi_x509_refuse_cn(struct ccz_err *err, ccz_rc rc, const char *where, const char *got,
                           const char *expected);
/* A refusal that shows the OID of an extension. */
ccz_rc cczi_x509_refuse_ext(struct ccz_err *err, ccz_rc rc, const char *where,
                            const struct cczi_ext *e, const char *expected);
/* Takes a Time in the RFC 5280, 4.1.2.5 form (seconds, Z, no fraction). */
int64_t cczi_x509_time(struct ccz_rd *r);
bool cczi_x509_time_peek(const struct ccz_rd *r);
/* Takes SEQUENCE OF Extension; a repeated one is refused (RFC 5280, 4.2). */
CCZ_MUST_USE ccz_rc cczi_x509_exts(struct cczi_exts *out, struct ccz_rd *r,
                                   const struct cczi_x509_kind *kind, struct ccz_err *err);
/* Extension 2.5.29.ce, or NULL. */
const struct cczi_ext *cczi_x509_ext_ce(const struct cczi_exts *exts, uint8_t ce);
/* What is left to check of an ECDSA signature over the bytes as carried, by the key of @p issuer. */
CCZ_MUST_USE ccz_rc cczi_x509_signature_job(struct ccz_ecdsa_job *out, const struct cczi_signed *s,
                                            const struct ccz_cert *issuer,
                                            const struct cczi_x509_kind *kind, struct ccz_err *err);
/* The same by a key that is given. @p key NULL: not of a kind used here */
CCZ_MUST_USE ccz_rc cczi_x509_key_job(struct ccz_ecdsa_job *out, const struct cczi_signed *s,
                                      const struct ccz_key *key, const struct cczi_x509_kind *kind,
                                      struct ccz_err *err);
/* Why a signature does not hold. @param rc  of its check. @return rc */
ccz_rc cczi_x509_refuse_signature(const struct cczi_x509_kind *kind, ccz_rc rc,
                                  struct ccz_err *err);
/* Checks the signature over the bytes as carried with the key of @p issuer. */
CCZ_MUST_USE ccz_rc cczi_x509_check_signature(const struct cczi_signed *s,
                                              const struct ccz_cert *issuer,
                                              const struct cczi_x509_kind *kind,
                                              struct ccz_err *err);

/* x509.c: true if @p issuer may sign for @p usage: it has no KeyUsage, or one with that bit. */
bool cczi_cert_may(const struct ccz_cert *issuer, uint8_t usage);
/* x509.c: only that the key of @p issuer signed @p c. */
CCZ_MUST_USE ccz_rc cczi_cert_check_signature(const struct ccz_cert *c,
                                              const struct ccz_cert *issuer, struct ccz_err *err);
/* x509.c: content of SubjectKeyIdentifier, empty if there is none. */
struct ccz_span cczi_cert_subject_key_id(const struct ccz_cert *c);

/* x509_issue.c: the pieces of which certificates and CRLs are written. */
void cczi_x509_put_time(struct ccz_buf *b, int64_t t_s);
void cczi_x509_put_ext(struct ccz_buf *b, const char *oid, bool critical, struct ccz_span value);
void cczi_x509_put_authority_key_id(struct ccz_buf *b, struct ccz_span key_id);
void cczi_x509_put_algorithm(struct ccz_buf *b, const struct ccz_key *issuer_key);
/* Subject or issuer; @p org NULL = none. */
void cczi_x509_put_name(struct ccz_buf *b, const char *org, const char *cn);
bool cczi_x509_is_name_text(const char *s); /* 1 to 64 bytes */
/* Appends SEQUENCE { tbs, algorithm, signature } made with @p issuer_key. */
CCZ_MUST_USE ccz_rc cczi_x509_sign(struct ccz_buf *out, struct ccz_span tbs,
                                   const struct ccz_key *issuer_key);
#endif
