/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_X509_H
#define CCZ_X509_H
/**
 * @file x509.h
 * Certificates and CRLs (RFC 5280): strict parsing, one-step signature checks, issuing.
 * Part of module crypto (src/crypto/x509*.c). No implicit chain building, no trust store, no clock:
 * the caller says which certificate must have signed which, and at which time.
 *
 * Strict means: DER only (one encoding of everything, so that no bit outside the signed part can be
 * changed unnoticed), version 3, each extension once, the same algorithm inside and outside of the
 * signed part, times in the RFC 5280 form. Nothing is re-encoded: signatures are checked over the
 * bytes as carried. Signatures: ECDSA with SHA-256 or SHA-384 (P-256, P-384), and RSASSA-PSS with
 * SHA-384, 3072 to 4096 bits and an exponent of at most 64 (AMD's chains).
 *
 * Each refusal has its own `where`:
 *  - parsing: x509:size, x509:certificate (shape, truncated, trailing), x509:version, x509:serial,
 *    x509:algorithm-mismatch, x509:validity, x509:tbs, x509:extensions, x509:repeated-extension,
 *    x509:common-name, x509:basic-constraints, x509:key-usage, x509:public-key
 *  - issuer: x509:issuer-name, x509:not-ca, x509:issuer-key-usage, x509:path-length,
 *    x509:critical-extension, x509:signature-algorithm, x509:issuer-key, x509:signature
 *  - time: x509:not-yet-valid, x509:expired
 *  - CRLs: the same steps after "x509:crl-", and x509:crl, x509:crl-next-update, x509:crl-entry
 *  - issuing: x509:issue, x509:issue-name, x509:issue-issuer, x509:issue-validity
 *  - certificate requests: x509:csr-size, x509:csr (shape), x509:csr-version, x509:csr-attribute, x509:csr-extensions,
 *    x509:csr-key, x509:csr-signature and the like; names of certificates: x509:names, x509:name-not-allowed
 */
#include <cczoo/crypto.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A parsed certificate; owns its bytes. Immutable, shareable between threads. */
struct ccz_cert;
#define CCZ_CERT_SIZE_MAX 65536    /**< evidence in a certificate is 5 to 20 KB */
#define CCZ_CRL_SIZE_MAX  16777216 /**< about 400,000 revoked serials */
/**
 * Exactly one DER certificate.
 * @param[out] out  owned by the caller, with its own copy of @p der
 * @param der       untrusted, at most CCZ_CERT_SIZE_MAX bytes
 * @retval CCZ_E_FORMAT  malformed, BER, trailing bytes, not version 3, a repeated extension
 * @retval CCZ_E_LIMIT   too large, or more than 32 extensions
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_cert_parse(struct ccz_cert **out, struct ccz_span der,
                                           struct ccz_err *err);
CCZ_API void ccz_cert_free(struct ccz_cert *c); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_cert)
/** The views below live as long as @p c. */
CCZ_API struct ccz_span ccz_cert_der(const struct ccz_cert *c);
CCZ_API struct ccz_span ccz_cert_subject(const struct ccz_cert *c); /**< DER Name */
CCZ_API struct ccz_span ccz_cert_issuer(const struct ccz_cert *c);  /**< DER Name */
CCZ_API struct ccz_span ccz_cert_serial(const struct ccz_cert *c);  /**< INTEGER content bytes */
CCZ_API struct ccz_span
ccz_cert_spki(const struct ccz_cert *c); /**< SubjectPublicKeyInfo DER as carried */
/** First common name of the subject, "" if none. Chosen by its issuer: escape it before printing.
 */
CCZ_API const char *ccz_cert_cn(const struct ccz_cert *c);
/** Seconds since 1970 UTC. */
CCZ_API int64_t ccz_cert_not_before(const struct ccz_cert *c);
CCZ_API int64_t ccz_cert_not_after(const struct ccz_cert *c);
CCZ_API bool ccz_cert_is_ca(const struct ccz_cert *c); /**< basicConstraints CA:TRUE */
/** Public key, borrowed; NULL if it is not P-256 or P-384. */
CCZ_API const struct ccz_key *ccz_cert_key(const struct ccz_cert *c);
/** Value (content of the OCTET STRING) of extension @p oid ("1.2.3"); ptr is NULL if it is absent.
 *  @param[out] critical  may be NULL */
CCZ_API struct ccz_span ccz_cert_ext(bool *critical, const struct ccz_cert *c, const char *oid);
/**
 * One step of a chain: @p c names @p issuer's subject (equal bytes) as its issuer; @p issuer is a
 * CA and may sign certificates (keyUsage, path length 0); neither has a critical extension other
 * than basicConstraints and keyUsage; the key of @p issuer signed @p c. Time and CRL are not
 * checked. For a root, @p issuer is @p c: that proves nothing but that it is whole; pin its bytes
 * or key.
 * @retval CCZ_E_MISMATCH     another issuer
 * @retval CCZ_E_UNTRUSTED    the issuer may not issue this
 * @retval CCZ_E_UNSUPPORTED  critical extension, signature algorithm, or kind of key
 * @retval CCZ_E_SIG          the signature does not verify
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_cert_check_issuer(const struct ccz_cert *c,
                                                  const struct ccz_cert *issuer,
                                                  struct ccz_err *err);
/**
 * As ccz_cert_check_issuer(), with the signature left to be checked together with others: everything
 * else is checked, and nothing about @p c holds before ccz_ecdsa_verify_batch() accepts the job.
 * @param[out] out  borrows from @p c and @p issuer; zeroed on failure
 * @retval CCZ_E_UNSUPPORTED  "x509:issuer-key": also a signature that is not ECDSA
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_cert_issuer_job(struct ccz_ecdsa_job *out, const struct ccz_cert *c,
                                                const struct ccz_cert *issuer, struct ccz_err *err);
/** not_before <= now_s <= not_after. @retval CCZ_E_EXPIRED */
CCZ_API CCZ_MUST_USE ccz_rc ccz_cert_check_time(const struct ccz_cert *c, int64_t now_s,
                                                struct ccz_err *err);

/** A parsed CRL (version 2, complete and direct: one with critical extensions, that is a delta,
 * partial or indirect list, does not parse; nextUpdate is required). Immutable, shareable between
 * threads. */
struct ccz_crl;
/** Exactly one DER CRL of at most CCZ_CRL_SIZE_MAX bytes. @retval CCZ_E_FORMAT, CCZ_E_LIMIT,
 * CCZ_E_UNSUPPORTED */
CCZ_API CCZ_MUST_USE ccz_rc ccz_crl_parse(struct ccz_crl **out, struct ccz_span der,
                                          struct ccz_err *err);
CCZ_API void ccz_crl_free(struct ccz_crl *crl);
CCZ_DEFINE_AUTO(ccz_crl)
CCZ_API struct ccz_span ccz_crl_issuer(const struct ccz_crl *crl); /**< DER Name */
/** Seconds since 1970 UTC; freshness is the caller's rule. */
CCZ_API int64_t ccz_crl_this_update(const struct ccz_crl *crl);
CCZ_API int64_t ccz_crl_next_update(const struct ccz_crl *crl);
/** Issuer name equals @p issuer's subject, @p issuer is a CA that may sign CRLs, its key signed
 * this one.
 *  @retval as ccz_cert_check_issuer() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_crl_check_issuer(const struct ccz_crl *crl,
                                                 const struct ccz_cert *issuer,
                                                 struct ccz_err *err);
/** As ccz_crl_check_issuer(), with the signature left to the caller: see ccz_cert_issuer_job(). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_crl_issuer_job(struct ccz_ecdsa_job *out, const struct ccz_crl *crl,
                                               const struct ccz_cert *issuer, struct ccz_err *err);
/** True if @p serial (ccz_cert_serial() of a certificate by the same issuer) is listed. Binary
 * search. A serial means something only together with its issuer: check ccz_crl_check_issuer()
 * first. */
CCZ_API bool ccz_crl_revokes(const struct ccz_crl *crl, struct ccz_span serial);

/** An extension that ccz_cert_issue() adds to its own (basicConstraints, keyUsage, key
 * identifiers). */
struct ccz_cert_ext_in {
    const char *oid;
    struct ccz_span value; /**< content of the OCTET STRING */
    bool critical;
};
/** What ccz_cert_issue() puts into a certificate. Zero / NULL fields: as documented. */
struct ccz_cert_cfg {
    const char *cn;                   /**< subject CN, required, UTF-8, 1 to 64 bytes */
    const char *org;                  /**< subject O, optional, 1 to 64 bytes */
    const struct ccz_key *key;        /**< subject key (public part is used), required */
    const struct ccz_cert *issuer;    /**< NULL = self-signed */
    const struct ccz_key *issuer_key; /**< signing key; NULL = `key` (self-signed) */
    int64_t not_before_s, not_after_s;
    uint64_t serial; /**< 0 = random 127 bits */
    bool ca; /**< basicConstraints CA:TRUE, keyUsage keyCertSign+cRLSign; else digitalSignature */
    bool no_ca_below;                  /**< with `ca`: path length 0 */
    const struct ccz_cert_ext_in *ext; /**< further extensions */
    size_t ext_len;
};
/**
 * Appends a DER certificate to @p out_der, after reading it back with ccz_cert_parse() and checking
 * its signature with the issuer's certificate.
 * @retval CCZ_E_ARG     names, validity, or only one of issuer and issuer_key
 * @retval CCZ_E_SIG     issuer_key is not the key of issuer
 * @retval CCZ_E_FORMAT  a repeated extension
 * @retval CCZ_E_LIMIT   too large, or no OID
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_cert_issue(struct ccz_buf *out_der, const struct ccz_cert_cfg *cfg,
                                           struct ccz_err *err);
/**
 * Appends a DER CRL: version 2, authorityKeyIdentifier, CRLNumber (the time of issue: it grows).
 * @param serials  @p len revoked serials as in ccz_cert_serial()
 * @retval CCZ_E_ARG  one of them is no such serial
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_crl_issue(struct ccz_buf *out_der, const struct ccz_cert *issuer,
                                          const struct ccz_key *issuer_key, int64_t this_update_s,
                                          int64_t next_update_s, const struct ccz_span *serials,
                                          size_t len);

/* ------------------------------------------------------------------ certificate requests */

/** A request for a certificate (PKCS#10, RFC 2986); owns its bytes. Immutable, shareable between threads. */
struct ccz_csr;
#define CCZ_CSR_EXT_LEN_MAX 8
/**
 * Exactly one DER request for a P-256 or P-384 key, whose signature is checked here: who made what parses had the private key.
 * Strict: version 0, at most one attribute, which asks for extensions (RFC 2985, 5.4.2), at most CCZ_CSR_EXT_LEN_MAX.
 * @param[out] out  owned by the caller, with its own copy of @p der
 * @param der       untrusted, at most CCZ_CERT_SIZE_MAX bytes
 * @retval CCZ_E_FORMAT, CCZ_E_LIMIT, CCZ_E_UNSUPPORTED  "x509:csr..."
 * @retval CCZ_E_SIG  "x509:csr-signature"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_csr_parse(struct ccz_csr **out, struct ccz_span der,
                                          struct ccz_err *err);
CCZ_API void ccz_csr_free(struct ccz_csr *c); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_csr)
/** The views below live as long as @p c. */
CCZ_API struct ccz_span
ccz_csr_spki(const struct ccz_csr *c); /**< SubjectPublicKeyInfo as carried */
CCZ_API const struct ccz_key *ccz_csr_key(const struct ccz_csr *c); /**< never NULL */
/** The extensions it asks for, in its order; what they say is for the issuer to judge. @param[out] len  0..CCZ_CSR_EXT_LEN_MAX */
CCZ_API const struct ccz_cert_ext_in *ccz_csr_exts(size_t *len, const struct ccz_csr *c);
/** As ccz_cert_ext(). */
CCZ_API struct ccz_span ccz_csr_ext(bool *critical, const struct ccz_csr *c, const char *oid);
/**
 * Appends a DER request, signed by @p key.
 * @param cn  subject, 1 to 64 bytes
 * @retval CCZ_E_ARG  name or too many extensions  @retval CCZ_E_LIMIT  too large, or no OID
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_csr_make(struct ccz_buf *out_der, const struct ccz_key *key,
                                         const char *cn, const struct ccz_cert_ext_in *ext,
                                         size_t ext_len, struct ccz_err *err);

/* ---------------------------------------------------------------- names of certificates */

/*
 * DNS names and IP addresses as one text with commas, "als.example,10.0.0.7,fd00::7": each in its only spelling (lower case, no
 * dot at the end, addresses as inet_ntop() writes them), each once, no wildcards.
 */
#define CCZ_NAMES_MAX      16
#define CCZ_NAMES_SIZE_MAX 1024 /**< of the text */
/** @retval CCZ_E_FORMAT, CCZ_E_LIMIT  "x509:names" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_names_check(struct ccz_span names, struct ccz_err *err);
/** Whether each of @p names is one of @p allowed, byte for byte; both are checked ones. @retval CCZ_E_DENIED "x509:name-not-allowed" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_names_within(struct ccz_span names, struct ccz_span allowed,
                                             struct ccz_err *err);
/** Appends the value of subjectAltName (2.5.29.17, RFC 5280, 4.2.1.6) of checked names. */
CCZ_API void ccz_names_put_san(struct ccz_buf *out, struct ccz_span names);
/** Appends the value of nameConstraints (2.5.29.30, RFC 5280, 4.2.1.10): these names, what is below them in DNS, and no others. A
 *  kind of name of which there is none is excluded as a whole. */
CCZ_API void ccz_names_put_constraints(struct ccz_buf *out, struct ccz_span names);

#ifdef __cplusplus
}
#endif
#endif
