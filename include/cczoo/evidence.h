/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_EVIDENCE_H
#define CCZ_EVIDENCE_H
/**
 * @file evidence.h
 * Evidence as people meet it: a file of unknown kind is opened, described field by field, or
 * appraised. Nothing here decides whether evidence is genuine: that is quote.h, snp.h and
 * verifier.h. Pure: no I/O, no clock, no network.
 *
 * Terms: *evidence* is an Intel quote or an AMD SNP report; its *container* is a certificate that
 * carries it and binds it to a key (ratls.h); its *encoding* is how the bytes are written down.
 *
 * Reading order of the sources: open.c (what a file is), describe.c (fields, groups),
 * describe_quote.c, describe_cert.c, describe_snp.c.
 */
#include <cczoo/ratls.h>
#include <cczoo/x509.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ccz_evidence_kind {
    CCZ_EVIDENCE_NONE = 0, /**< a certificate without usable evidence */
    CCZ_EVIDENCE_QUOTE,
    CCZ_EVIDENCE_SNP_REPORT
};
CCZ_API const char *
ccz_evidence_kind_name(enum ccz_evidence_kind k); /**< "none", "quote", "snp-report" */

#define CCZ_EVIDENCE_FILE_MAX 1048576
/** An opened file; owns its bytes. Immutable, shareable between threads. */
struct ccz_evidence;
/**
 * Finds out what @p file is and takes it out of its encoding and container:
 *   quote, SNP report (certificate table behind it included) or certificate, each as bytes, hex
 *   (any case, "0x", white space) or base64 (either alphabet, white space);
 *   PEM "CERTIFICATE" or "TRUSTED CERTIFICATE" (Gramine): the first block, text around it is skipped;
 *   JSON with a member "quote" that is hex or base64.
 * Success says what the file is meant to be, not that it is well formed: that is for describe and
 * appraise to tell, so that the sound part of a damaged file can be looked at.
 * @param[out] out  owned by the caller
 * @param file      copied; untrusted, at most CCZ_EVIDENCE_FILE_MAX
 * @retval CCZ_E_LIMIT   evidence:size
 * @retval CCZ_E_FORMAT  evidence:empty, evidence:text, evidence:pem, evidence:json, evidence:kind;
 *                       what ccz_cert_parse() says
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_evidence_open(struct ccz_evidence **out, struct ccz_span file,
                                              struct ccz_err *err);
CCZ_API void ccz_evidence_free(struct ccz_evidence *e); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_evidence)
CCZ_API enum ccz_evidence_kind ccz_evidence_kind(const struct ccz_evidence *e);
/** The quote or report; empty if the certificate has none. Borrowed. */
CCZ_API struct ccz_span ccz_evidence_bytes(const struct ccz_evidence *e);
/** The container, borrowed; NULL if there is none. */
CCZ_API const struct ccz_cert *ccz_evidence_cert(const struct ccz_evidence *e);

/** How a field is to be shown. */
enum ccz_field_kind {
    CCZ_FIELD_BYTES,  /**< bytes */
    CCZ_FIELD_NUMBER, /**< number, not negative; text may say what it means */
    CCZ_FIELD_TEXT,   /**< text */
    CCZ_FIELD_BOOL,   /**< number 0 or 1 */
    CCZ_FIELD_TIME,   /**< number, seconds since 1970 UTC */
    CCZ_FIELD_NAMES   /**< names of the bits that are set in the field before */
};
/** One field of the file; everything is borrowed for the time of the call. */
struct ccz_field {
    const char *group; /**< lower_case, e.g. "td_report"; the fields of a group come in one run */
    const char *name;  /**< lower_case, once in its group; in group "claims" untrusted */
    enum ccz_field_kind kind;
    struct ccz_span bytes;
    int64_t number;
    const char *text; /**< untrusted where it comes from the file: escape before printing */
    const char *const *names;
    size_t names_len;
};
typedef void (*ccz_field_fn)(void *arg, const struct ccz_field *field);
/**
 * Calls @p fn for each field that the file holds: container, header, report, signature,
 * certification data, certificates. **Nothing is verified.** On failure the fields in front of the
 * defect have been shown, and @p err says what is wrong.
 * @retval CCZ_OK  complete and well formed
 * @return otherwise what ccz_quote_parse(), ccz_snp_report_parse(), ccz_ratls_cert_evidence() or
 *         ccz_cert_parse() say of it
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_evidence_describe(const struct ccz_evidence *e, ccz_field_fn fn,
                                                  void *arg, struct ccz_err *err);

/**
 * Has the evidence judged by @p appraise and, if it came in a certificate, checks that it is bound
 * to the certificate's key (ccz_ratls_cert_verify()).
 * @param[out] claims  zeroed on failure
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_evidence_appraise(struct ccz_claims *claims,
                                                  const struct ccz_evidence *e,
                                                  ccz_ratls_appraise_fn appraise,
                                                  void *appraise_arg, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
