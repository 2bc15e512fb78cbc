/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_QUOTE_PRIV_H
#define CCZI_QUOTE_PRIV_H
/* What the files of the module share: reports, certificate chains, TCB info, QE identity, evidence.
 */
#include <cczoo/codec.h>
#include <cczoo/quote.h>
#include <cczoo/x509.h>

#include <stdatomic.h>

/* Gives a refusal of a lower module the name of the check that failed here. */
ccz_rc cczi_at(struct ccz_err *err, ccz_rc rc, const char *where);

/* ------------------------------------------------------------------------------- reports */

enum { CCZI_SGX_REPORT_SIZE = 384, CCZI_TD_REPORT_10_SIZE = 584, CCZI_TD_REPORT_15_SIZE = 648 };
enum { CCZI_SVN_LEN = 16 }; /* components of CPUSVN and of TEE_TCB_SVN */

/* REPORTBODY of an SGX enclave (SDM volume 3D, "REPORT"). */
struct cczi_sgx_report {
    uint8_t cpu_svn[16];
    uint8_t misc_select[4]; /* little-endian image, as in QE identity */
    uint8_t isv_ext_prod_id[16];
    uint8_t attributes[16]; /* flags u64, XFRM u64 */
    uint8_t mrenclave[32], mrsigner[32];
    uint8_t config_id[64];
    uint16_t isv_prod_id, isv_svn, config_svn;
    uint8_t isv_family_id[16];
    uint8_t report_data[64];
};
void cczi_sgx_report_read(struct cczi_sgx_report *out, struct ccz_span body);

/* TD report 1.0 and 1.5; the last two fields are zero in 1.0. */
struct cczi_td_report {
    uint8_t tee_tcb_svn[CCZI_SVN_LEN]; /* at launch of the TD */
    uint8_t mrseam[48], mrsignerseam[48];
    uint8_t seam_attributes[8], td_attributes[8], xfam[8];
    uint8_t mrtd[48], mrconfigid[48], mrowner[48], mrownerconfig[48];
    uint8_t rtmr[4][48];
    uint8_t report_data[64];
    bool has_15;
    uint8_t tee_tcb_svn2[CCZI_SVN_LEN]; /* running now */
    uint8_t mrservicetd[48];
};
void cczi_td_report_read(struct cczi_td_report *out, struct ccz_span body);

/* ---------------------------------------------------------------------------- signatures */

/* How a signature that does not verify is refused. */
struct cczi_sig_refusal {
    const char *where, *text, *hint;
};
enum { CCZI_SIGS_MAX = 12 }; /* ten are the most: collateral with two signers, and three roots */
struct cczi_sigs {
    struct ccz_ecdsa_job job[CCZI_SIGS_MAX];
    const struct cczi_sig_refusal *refusal[CCZI_SIGS_MAX];
    size_t len;
    ccz_rc rc; /* of collecting */
};
/* What @p job borrows, and @p refusal, must stay until cczi_sigs_check(). @return the job in @p s */
const struct ccz_ecdsa_job *cczi_sigs_add(struct cczi_sigs *s, const struct ccz_ecdsa_job *job,
                                          const struct cczi_sig_refusal *refusal);
/* A raw signature r || s by a P-256 key over SHA-256. */
const struct ccz_ecdsa_job *cczi_sigs_add_raw(struct cczi_sigs *s, const struct ccz_key *key,
                                              struct ccz_span sig, struct ccz_span signed_bytes,
                                              const struct cczi_sig_refusal *refusal);
/* Checks all. @p later is what came after they were collected: if it is a refusal, already in
 * *err, it is the result unless one of the signatures fails, which comes first. */
CCZ_MUST_USE ccz_rc cczi_sigs_check(struct cczi_sigs *s, ccz_rc later, struct ccz_err *err);

/* -------------------------------------------------------------------------- certificates */

/* Takes one PEM certificate; *pem is left behind it. CCZ_E_NOT_FOUND: only line ends and NULs are
 * left. */
CCZ_MUST_USE ccz_rc cczi_pem_cert(struct ccz_cert **out, struct ccz_span *pem, struct ccz_err *err);
/* Skips line ends and final NULs; is that all? */
bool cczi_pem_at_end(struct ccz_span *pem);

enum { CCZI_CERTS_MAX = 6 }; /* three chains of two */
/* A certificate, and whose signature on it was collected: NULL = none yet. */
struct cczi_seen {
    struct ccz_cert *cert;
    const struct ccz_cert *issuer;
};
struct cczi_certs {
    const struct cczi_certs *older; /* of collateral, whose signatures hold; NULL = none */
    struct cczi_seen seen[CCZI_CERTS_MAX];
    size_t len;
};
/* As cczi_pem_cert(); *out belongs to @p c or its older ones, and is the same for the same bytes. */
CCZ_MUST_USE ccz_rc cczi_certs_take(const struct ccz_cert **out, struct cczi_certs *c,
                                    struct ccz_span *pem, struct ccz_err *err);
/* ccz_cert_check_issuer() with the signature put in @p sigs, unless it has been before. */
CCZ_MUST_USE ccz_rc cczi_certs_link(struct cczi_certs *c, struct cczi_sigs *sigs,
                                    const struct ccz_cert *cert, const struct ccz_cert *issuer,
                                    const struct cczi_sig_refusal *refusal, struct ccz_err *err);
void cczi_certs_free(struct cczi_certs *c);

/* -------------------------------------------------------------------------------- chains */

enum { CCZI_CHAIN_LEN_MAX = 3 };

/* A date range and the two ways to be outside of it. */
struct cczi_window {
    int64_t from_s, until_s;  /* both inside */
    const char *early, *late; /* where */
};
ccz_rc cczi_window_check(const struct cczi_window *w, int64_t now_s, struct ccz_err *err);

/* What a chain must look like; index 0 is the end entity, the last one the root. */
struct cczi_chain_rule {
    size_t len;
    bool leaf_is_ca;
    const char *cn[CCZI_CHAIN_LEN_MAX]; /* part of the subject's common name */
    const char *where_chain;            /* syntax, number, no root among them */
    const char *where_name;
    const char
        *where_issuer; /* a certificate does not name the next one, or that may not sign it */
    struct cczi_sig_refusal signature; /* it did not */
    const char *where_root;
    const char *early[CCZI_CHAIN_LEN_MAX], *late[CCZI_CHAIN_LEN_MAX];
};
extern const struct cczi_chain_rule cczi_chain_pck, cczi_chain_tcb_info, cczi_chain_qe_identity,
    cczi_chain_pck_crl;

struct cczi_chain {
    const struct ccz_cert *cert[CCZI_CHAIN_LEN_MAX]; /* borrowed from a struct cczi_certs */
    size_t len;
    const struct ccz_root *root; /* the trusted root it ends in, borrowed from the roots */
};
/* PEM certificates in any order -> a chain whose names hold and whose root is trusted. Its
 * signatures are in @p sigs. */
CCZ_MUST_USE ccz_rc cczi_chain_read(struct cczi_chain *out, struct cczi_certs *certs,
                                    struct cczi_sigs *sigs, struct ccz_span pem,
                                    const struct cczi_chain_rule *rule,
                                    const struct ccz_roots *roots, struct ccz_err *err);
/* Validity of certificate @p i. */
struct cczi_window cczi_chain_window(const struct cczi_chain *c, size_t i,
                                     const struct cczi_chain_rule *rule);

/* One CRL in DER, PEM or hex of DER; refusals are at @p where. */
CCZ_MUST_USE ccz_rc cczi_crl_read(struct ccz_crl **out, struct ccz_span in, const char *where,
                                  struct ccz_err *err);

/* The trusted root with this key, or NULL. */
const struct ccz_root *cczi_roots_find(const struct ccz_roots *roots, const struct ccz_cert *cert);

/* ----------------------------------------------------------------------------------- PCK */

/* SGX extension of a PCK certificate, 1.2.840.113741.1.13.1. */
struct cczi_pck {
    uint8_t ppid[16];
    uint8_t comp_svn[CCZI_SVN_LEN];
    uint16_t pce_svn;
    uint8_t cpu_svn[16];
    uint8_t pce_id[2];
    uint8_t fmspc[6];
};
CCZ_MUST_USE ccz_rc cczi_pck_ext_parse(struct cczi_pck *out, struct ccz_span ext,
                                       struct ccz_err *err);
CCZ_MUST_USE ccz_rc cczi_pck_from_cert(struct cczi_pck *out, const struct ccz_cert *leaf,
                                       struct ccz_err *err);
/* @param name  DER name of a CA */
enum ccz_pck_ca cczi_pck_ca_of(struct ccz_span name);

/* ------------------------------------------------------------------------ JSON, with a sticky
 * error */

/* Reader of required members: the first failure stays, later reads give zeros; test `rc` once. */
struct cczi_fields {
    ccz_rc rc;
    const char *where;
    struct ccz_err *err;
};
void cczi_fields_fail(struct cczi_fields *f, ccz_rc rc, const char *key, const char *what);
const struct ccz_jnode *cczi_field_node(struct cczi_fields *f, const struct ccz_jnode *o,
                                        const char *key, enum ccz_json_type type);
struct ccz_span cczi_field_str(struct cczi_fields *f, const struct ccz_jnode *o, const char *key);
uint32_t cczi_field_uint(struct cczi_fields *f, const struct ccz_jnode *o, const char *key,
                         uint32_t max);
int64_t cczi_field_date(struct cczi_fields *f, const struct ccz_jnode *o, const char *key);
/* Hex text of exactly @p size bytes, either case. */
void cczi_field_hex(struct cczi_fields *f, void *out, size_t size, const struct ccz_jnode *o,
                    const char *key);

struct cczi_advisories {
    char id[CCZ_ADVISORIES_MAX][CCZ_ADVISORY_SIZE];
    size_t len;
};
/* Adds what is not there yet. CCZ_E_LIMIT: no room, nothing is ever dropped silently. */
CCZ_MUST_USE ccz_rc cczi_advisories_add(struct cczi_advisories *to,
                                        const struct cczi_advisories *from);

/* {tcbStatus, tcbDate, advisoryIDs?} of one TCB level of any kind. */
struct cczi_level {
    enum ccz_tcb_status status;
    int64_t date_s;
    struct cczi_advisories advisories;
};
/* Which tcbStatus values a level may have. */
enum cczi_level_kind { CCZI_LEVEL_PLATFORM, CCZI_LEVEL_ENCLAVE /* UpToDate, OutOfDate, Revoked */ };
void cczi_level_read(struct cczi_level *out, struct cczi_fields *f, const struct ccz_jnode *o,
                     enum cczi_level_kind kind);

/* Levels of an enclave or a TDX module: one SVN each. Sorted, highest first, no two the same. */
struct cczi_svn_level {
    uint16_t isv_svn;
    struct cczi_level level;
};
struct cczi_svn_levels {
    struct cczi_svn_level *list;
    size_t len;
};
void cczi_svn_levels_read(struct cczi_svn_levels *out, struct cczi_fields *f,
                          const struct ccz_jnode *o);
/* First level with isv_svn <= @p svn, or NULL. */
const struct cczi_level *cczi_svn_levels_find(const struct cczi_svn_levels *l, uint16_t svn);

/* ------------------------------------------------------------------------------ TCB info */

struct cczi_tcb_level {
    uint8_t sgx[CCZI_SVN_LEN];
    uint16_t pce_svn;
    uint8_t tdx[CCZI_SVN_LEN]; /* zero for SGX */
    struct cczi_level level;
};
/* Expected MRSIGNERSEAM and SEAMATTRIBUTES of a TDX module. */
struct cczi_tdx_module {
    uint8_t mrsigner[48];
    uint8_t attributes[8], attributes_mask[8];
};
struct cczi_tdx_module_identity {
    uint8_t version; /* of "TDX_xx" */
    struct cczi_tdx_module module;
    struct cczi_svn_levels levels;
};
struct cczi_tcb_info {
    enum ccz_tee tee;
    int64_t issued_s, next_update_s;
    uint8_t fmspc[6], pce_id[2];
    uint32_t eval_number;
    struct cczi_tdx_module module; /* TDX */
    struct cczi_tdx_module_identity *identities;
    size_t identities_len;
    struct cczi_tcb_level *levels; /* sorted, highest first, no two the same */
    size_t levels_len;
};
/* @param o  the value of "tcbInfo"; owned parts of *out are freed by cczi_tcb_info_deinit() also on
 * failure */
CCZ_MUST_USE ccz_rc cczi_tcb_info_read(struct cczi_tcb_info *out, const struct ccz_jnode *o,
                                       struct ccz_err *err);
void cczi_tcb_info_deinit(struct cczi_tcb_info *t);

/* --------------------------------------------------------------------------- QE identity */

struct cczi_qe_identity {
    enum ccz_tee tee; /* whose quotes this QE makes: "QE" SGX, "TD_QE" TDX */
    int64_t issued_s, next_update_s;
    uint32_t eval_number;
    uint8_t misc_select[4], misc_select_mask[4];
    uint8_t attributes[16], attributes_mask[16];
    uint8_t mrsigner[32];
    uint16_t isv_prod_id;
    struct cczi_svn_levels levels;
};
/* @param o  the value of "enclaveIdentity" */
CCZ_MUST_USE ccz_rc cczi_qe_identity_read(struct cczi_qe_identity *out, const struct ccz_jnode *o,
                                          struct ccz_err *err);
void cczi_qe_identity_deinit(struct cczi_qe_identity *q);
/* Is this report one of that enclave? @param[out] level  its TCB level, borrowed */
CCZ_MUST_USE ccz_rc cczi_qe_identity_match(const struct cczi_level **level,
                                           const struct cczi_qe_identity *q,
                                           const struct cczi_sgx_report *report,
                                           struct ccz_err *err);

/* ---------------------------------------------------------------------------- collateral */

enum { CCZI_WINDOWS_MAX = 10 };
struct ccz_collateral {
    uint8_t id[32]; /* digest of all parts: two collaterals with one id are the same */
    struct ccz_root root;
    struct cczi_tcb_info tcb_info;
    struct cczi_qe_identity qe_identity;
    struct cczi_certs certs;  /* of all chains */
    struct cczi_chain pck_ca; /* PCK CA, root: who issued the PCK CRL */
    uint8_t pck_issuer[32];   /* SHA-256 of the name of the PCK CA */
    struct ccz_crl *root_crl, *pck_crl;
    struct ccz_buf pck_ca_pem,
        pck_pem; /* to complete the chains of quotes that do not carry them */
    struct cczi_window windows[CCZI_WINDOWS_MAX];
    size_t windows_len;
    int64_t issued_s, expires_s;
};

/* ------------------------------------------------------------------------ TCB evaluation */

struct cczi_tcb_verdict {
    enum ccz_tcb_status status, platform, qe, module;
    int64_t date_s;
    struct cczi_advisories advisories;
};
/* @param td  NULL for SGX. CCZ_E_MISMATCH: no level matches, or not the expected TDX module */
CCZ_MUST_USE ccz_rc cczi_tcb_evaluate(struct cczi_tcb_verdict *out,
                                      const struct cczi_tcb_info *info, const struct cczi_pck *pck,
                                      const struct cczi_td_report *td, const struct cczi_level *qe,
                                      struct ccz_err *err);
enum ccz_tcb_status cczi_tcb_converge(enum ccz_tcb_status platform, enum ccz_tcb_status qe,
                                      enum ccz_tcb_status module);
enum ccz_tcb_status cczi_tcb_relaunch(enum ccz_tcb_status launch, enum ccz_tcb_status current);
/* Status of a PCS spelling; CCZ_TCB_NONE if unknown. */
enum ccz_tcb_status cczi_tcb_status_from(struct ccz_span name);

/* ------------------------------------------------------------------------------ evidence */

/* What an AMD VEK certificate says (snp_vek.c). */
struct cczi_vek {
    enum ccz_snp_product product;
    struct ccz_snp_tcb tcb;
    uint8_t hwid[64]; /* VCEK: of the chip, in the form of the report's chip id */
    char csp_id[64];  /* VLEK: the provider */
};

/* What holds for every quote of one attestation key: PCK chain, QE report and its signature; for SNP, the VEK's
 * certificate. Immutable but for the count of references. */
struct cczi_evidence {
    atomic_uint refs;
    struct cczi_pck pck;
    struct cczi_vek vek; /* SNP */
    struct ccz_key *attest_key;
    struct cczi_window windows[CCZI_CHAIN_LEN_MAX]; /* of PCK leaf, PCK CA, root; SNP: of the VEK */
    struct ccz_root root;
};
/* A verification under way: what its signatures borrow. Zeroed = nothing yet. */
struct cczi_pending {
    struct cczi_certs certs;
    struct cczi_chain chain; /* PCK leaf, PCK CA, root */
    struct cczi_sigs sigs;
};
static inline void cczi_pending_deinit(struct cczi_pending *p)
{
    cczi_certs_free(&p->certs);
}
/* Checks PCK chain, revocation, QE report and the binding of the attestation key; their signatures
 * are in p->sigs: *out is nothing to rely on before they are checked. Without collateral (tests)
 * revocation is not checked. */
CCZ_MUST_USE ccz_rc cczi_evidence_new(struct cczi_evidence **out, struct cczi_pending *p,
                                      const struct ccz_quote *q, const struct ccz_roots *roots,
                                      const struct ccz_collateral *collateral, struct ccz_err *err);
struct cczi_evidence *cczi_evidence_ref(struct cczi_evidence *e);
void cczi_evidence_free(struct cczi_evidence *e); /* drops one reference; NULL is fine */
static inline void cczi_evidence_freep(struct cczi_evidence **e)
{
    cczi_evidence_free(*e);
}

enum { CCZI_CACHE_KEY_SIZE = 32 };
CCZ_MUST_USE ccz_rc cczi_cache_key(uint8_t key[CCZI_CACHE_KEY_SIZE], const struct ccz_quote *q,
                                   const struct ccz_roots *roots,
                                   const struct ccz_collateral *collateral);
/* A new reference, or NULL. */
struct cczi_evidence *cczi_cache_get(struct ccz_verify_cache *c,
                                     const uint8_t key[CCZI_CACHE_KEY_SIZE]);
/* Takes a reference of its own. */
void cczi_cache_put(struct ccz_verify_cache *c, const uint8_t key[CCZI_CACHE_KEY_SIZE],
                    struct cczi_evidence *e);

/* -------------------------------------------------------------------------------- claims */

struct cczi_claims_in {
    const struct ccz_quote *quote;
    const struct cczi_td_report *td; /* NULL for SGX */
    const struct cczi_sgx_report *qe;
    const struct cczi_evidence *evidence;
    const struct ccz_collateral *collateral;
    const struct cczi_tcb_verdict *tcb;
};
void cczi_claims_fill(struct ccz_claims *out, const struct cczi_claims_in *in);
#endif
