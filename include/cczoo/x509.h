/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_X509_H
#define CCZ_X509_H
/**
 * @file x509.h
 * Certificates and CRLs (RFC 5280): strict parsing, one-step signature checks, issuing.
 * Part of module crypto (src/crypto/x509*.c). No implicit chain building, no trust store, no clock:
 * the caller says which certificate must have signed which, and at which time.
 */
#include <cczoo/crypto.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A parsed certificate; owns its bytes. Immutable, shareable between threads. */
struct ccz_cert;
#define CCZ_CERT_SIZE_MAX 65536    /**< evidence in a certificate is 5 to 20 KB */
#define CCZ_CRL_SIZE_MAX  16777216 /**< about 400,000 revoked serials */
/** Exactly one DER certificate; trailing bytes are an error. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_cert_parse(struct ccz_cert **out, struct ccz_span der, struct ccz_err *err);
CCZ_API void ccz_cert_free(struct ccz_cert *c);
CCZ_DEFINE_AUTO(ccz_cert)
CCZ_API struct ccz_span ccz_cert_der(const struct ccz_cert *c);
CCZ_API struct ccz_span ccz_cert_subject(const struct ccz_cert *c); /**< DER Name */
CCZ_API struct ccz_span ccz_cert_issuer(const struct ccz_cert *c);  /**< DER Name */
CCZ_API struct ccz_span ccz_cert_serial(const struct ccz_cert *c);  /**< INTEGER content bytes */
CCZ_API struct ccz_span ccz_cert_spki(const struct ccz_cert *c);    /**< SubjectPublicKeyInfo DER as carried */
/** Common name of the subject, "" if none. */
CCZ_API const char *ccz_cert_cn(const struct ccz_cert *c);
/** Seconds since 1970 UTC. */
CCZ_API int64_t ccz_cert_not_before(const struct ccz_cert *c);
CCZ_API int64_t ccz_cert_not_after(const struct ccz_cert *c);
CCZ_API bool ccz_cert_is_ca(const struct ccz_cert *c); /**< basicConstraints CA:TRUE */
/** Public key, borrowed; NULL if it is not P-256 or P-384. */
CCZ_API const struct ccz_key *ccz_cert_key(const struct ccz_cert *c);
/** Value (content of the OCTET STRING) of extension @p oid ("1.2.3"); empty if absent. A certificate with a
 *  repeated extension does not parse. */
CCZ_API struct ccz_span ccz_cert_ext(bool *critical, const struct ccz_cert *c, const char *oid);
/** Issuer name equals @p issuer's subject, @p issuer is a CA, its key signed @p c. Time and CRL are not checked. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_cert_check_issuer(const struct ccz_cert *c, const struct ccz_cert *issuer,
                                                  struct ccz_err *err);
/** not_before <= now_s <= not_after. @retval CCZ_E_EXPIRED */
CCZ_API CCZ_MUST_USE ccz_rc ccz_cert_check_time(const struct ccz_cert *c, int64_t now_s, struct ccz_err *err);

/** A parsed CRL. */
struct ccz_crl;
CCZ_API CCZ_MUST_USE ccz_rc ccz_crl_parse(struct ccz_crl **out, struct ccz_span der, struct ccz_err *err);
CCZ_API void ccz_crl_free(struct ccz_crl *crl);
CCZ_DEFINE_AUTO(ccz_crl)
CCZ_API struct ccz_span ccz_crl_issuer(const struct ccz_crl *crl);
CCZ_API int64_t ccz_crl_this_update(const struct ccz_crl *crl);
CCZ_API int64_t ccz_crl_next_update(const struct ccz_crl *crl);
/** Issuer name equals @p issuer's subject and its key signed the CRL. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_crl_check_issuer(const struct ccz_crl *crl, const struct ccz_cert *issuer,
                                                 struct ccz_err *err);
/** True if @p serial (INTEGER content bytes) is listed. */
CCZ_API bool ccz_crl_revokes(const struct ccz_crl *crl, struct ccz_span serial);

/** What ccz_cert_issue() puts into a certificate. Zero / NULL fields: as documented. */
struct ccz_cert_ext_in {
    const char *oid;
    struct ccz_span value; /**< content of the OCTET STRING */
    bool critical;
};
struct ccz_cert_cfg {
    const char *cn;               /**< subject CN, required */
    const char *org;              /**< subject O, optional */
    const struct ccz_key *key;    /**< subject key (public part is used), required */
    const struct ccz_cert *issuer; /**< NULL = self-signed */
    const struct ccz_key *issuer_key; /**< signing key; NULL = `key` (self-signed) */
    int64_t not_before_s, not_after_s;
    uint64_t serial;              /**< 0 = random 127 bits */
    bool ca;                      /**< basicConstraints CA:TRUE, keyUsage keyCertSign+cRLSign; else digitalSignature */
    const struct ccz_cert_ext_in *ext; /**< further extensions */
    size_t ext_len;
};
/** Appends the DER certificate to @p out_der. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_cert_issue(struct ccz_buf *out_der, const struct ccz_cert_cfg *cfg, struct ccz_err *err);
/** Appends a DER CRL (v2, CRLNumber, AKI). @param serials  revoked serials, INTEGER content bytes */
CCZ_API CCZ_MUST_USE ccz_rc ccz_crl_issue(struct ccz_buf *out_der, const struct ccz_cert *issuer,
                                          const struct ccz_key *issuer_key, int64_t this_update_s,
                                          int64_t next_update_s, const struct ccz_span *serials, size_t len);

#ifdef __cplusplus
}
#endif
#endif
