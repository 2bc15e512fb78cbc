/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_PCS_H
#define CCZ_PCS_H
/**
 * @file pcs.h
 * Collateral on disk: a bundle is a directory whose files are PCS (or PCCS) answers, unchanged. A
 * bundle directory holds one bundle, or sub-directories that do, or both:
 *
 *   DIR/                                DIR/
 *     tcb_info.json                       00806f050000-tdx/tcb_info.json ..
 *     tcb_info_issuer_chain.pem           00906ed50000-sgx/tcb_info.json ..
 *     qe_identity.json
 *     qe_identity_issuer_chain.pem      issuer chains are PEM: the response headers,
 * percent-decoded pck_crl_issuer_chain.pem          optional, for quotes that carry no PCK
 * certificate: root_ca_crl.der                     pck_leaf.pem (PCK certificate),
 * pck_sign_chain.pem (its CA, root) pck_crl.der
 *
 * JSON must stay byte for byte as delivered, because that is what is signed. CRLs may be DER, PEM
 * or hex of DER, whatever the file's name says. A directory without tcb_info.json is no bundle and
 * is skipped; one with it must be complete and genuine, or nothing is loaded: a set that silently
 * lacks a platform would look like an attack later.
 *
 * Everything in a bundle is public and signed, so that its files need no protection beyond their
 * freshness: whoever can replace them can only hold back updates until the old ones expire.
 *
 * Reading order of the sources: bundle.c (one directory), snp_bundle.c (AMD's), pcs.c (the set).
 */
#include <cczoo/quote.h>
#include <cczoo/snp.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_PCS_LEN_MAX  256 /**< bundles in a set */
#define CCZ_PCS_NAME_MAX 128 /**< bytes of the name of a sub-directory */

/** A set of collateral, at most one per platform. Immutable, shareable between threads. */
struct ccz_pcs;
/**
 * Loads a bundle directory and the ones directly below it (names with a leading dot are skipped).
 * @param roots  what each bundle's chains must end in
 * @retval CCZ_E_NOT_FOUND  "pcs:empty": no bundle there
 * @retval CCZ_E_EXISTS     "pcs:duplicate": two bundles for one platform
 * @retval CCZ_E_LIMIT      "pcs:len", "pcs:name"
 * @retval CCZ_E_IO         "pcs:dir" or "file:read"
 * @return otherwise what ccz_collateral_new() says, with the bundle's name in err->msg
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pcs_load(struct ccz_pcs **out, const char *dir,
                                         const struct ccz_roots *roots, struct ccz_err *err);
/**
 * As ccz_pcs_load(), for AMD's bundles, too. One is a directory with the certificates of one product line and kind
 * of VEK: ark.der, ask.der or asvk.der (or .pem), optionally crl.der (or .pem) of the ARK, and any number of VEKs:
 * vcek.der, vlek.der, *.vek.der. It must be genuine as a whole, as Intel's must.
 * @param intel, amd  what bundles must end in; NULL = bundles of that vendor are skipped
 * @retval CCZ_E_NOT_FOUND  also "pcs:incomplete": an ARK without ASK or ASVK
 * @retval CCZ_E_FORMAT     also "pcs:snp-files": an empty file
 * @retval CCZ_E_EXISTS     also "pcs:duplicate": two bundles for one product line and kind of VEK; "pcs:snp-files":
 *                          a part twice, in DER and PEM
 * @return otherwise as ccz_pcs_load(), or what ccz_snp_collateral_new() says
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pcs_load_all(struct ccz_pcs **out, const char *dir,
                                             const struct ccz_roots *intel,
                                             const struct ccz_snp_roots *amd, struct ccz_err *err);
CCZ_API void ccz_pcs_free(struct ccz_pcs *p); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_pcs)

struct ccz_pcs_entry {
    const char *name; /**< of the sub-directory, "." for the directory itself; borrowed */
    const struct ccz_collateral *collateral; /**< borrowed from the set */
};
CCZ_API size_t ccz_pcs_len(const struct ccz_pcs *p); /**< NULL has none */
/** @param i  below ccz_pcs_len(), in the order of names */
CCZ_API struct ccz_pcs_entry ccz_pcs_at(const struct ccz_pcs *p, size_t i);
/** Collateral for @p platform, borrowed; NULL if there is none. */
CCZ_API const struct ccz_collateral *ccz_pcs_find(const struct ccz_pcs *p,
                                                  const struct ccz_platform *platform);
/** The only collateral for @p tee, borrowed; NULL if there is none or more than one. */
CCZ_API const struct ccz_collateral *ccz_pcs_find_only(const struct ccz_pcs *p, enum ccz_tee tee);

/** AMD's bundles in the set, in the order of names. */
struct ccz_pcs_snp_entry {
    const char *name;                            /**< borrowed */
    const struct ccz_snp_collateral *collateral; /**< borrowed from the set */
};
CCZ_API size_t ccz_pcs_snp_len(const struct ccz_pcs *p); /**< NULL has none */
CCZ_API struct ccz_pcs_snp_entry ccz_pcs_snp_at(const struct ccz_pcs *p, size_t i);

/** Earliest expiry in the set, seconds since 1970 UTC; INT64_MAX if empty. */
CCZ_API int64_t ccz_pcs_expires(const struct ccz_pcs *p);
/**
 * Expiry report: a JSON array with one object per bundle:
 * {"name", "tee", "fmspc", "issued", "expires", "seconds_left", "expired", "simulated"};
 * seconds_left is negative once expired. AMD's have "product", "signer" and "crl" (a revocation list is there) in
 * place of "fmspc", and no "issued" (null) without a revocation list.
 */
CCZ_API void ccz_pcs_report(struct ccz_buf *out, const struct ccz_pcs *p, int64_t now_s);

#ifdef __cplusplus
}
#endif
#endif
