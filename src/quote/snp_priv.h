/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_SNP_PRIV_H
#define CCZI_SNP_PRIV_H
/* What the files about SEV-SNP share. */
#include "quote/quote_priv.h"

#include <cczoo/snp.h>

/* Decodes TCB_VERSION of @p product (NONE as Milan). False if bytes that are reserved there are in use. */
bool cczi_snp_tcb_read(struct ccz_snp_tcb *out, const uint8_t raw[8], enum ccz_snp_product product);
/* The four TCBs of a report of @p product, from its signed bytes. "snp:tcb-reserved" */
CCZ_MUST_USE ccz_rc cczi_snp_tcbs_read(struct ccz_snp_claims *out, struct ccz_span signed_bytes,
                                       enum ccz_snp_product product, struct ccz_err *err);

/* Certificates of a table, empty if absent. "snp:table" and below */
struct cczi_snp_table {
    struct ccz_span vcek, vlek, ca, ark;
};
CCZ_MUST_USE ccz_rc cczi_snp_table_read(struct cczi_snp_table *out, struct ccz_span table,
                                        struct ccz_err *err);

/* AMD's extensions of VEK certificates: last arcs of the OIDs and their order in an array. */
enum cczi_vek_ext {
    CCZI_VEK_STRUCT_VERSION,
    CCZI_VEK_PRODUCT,
    CCZI_VEK_BOOT_LOADER,
    CCZI_VEK_TEE,
    CCZI_VEK_SNP,
    CCZI_VEK_SPL_4, /* reserved, with 5 to 7 */
    CCZI_VEK_SPL_5,
    CCZI_VEK_SPL_6,
    CCZI_VEK_SPL_7,
    CCZI_VEK_MICROCODE,
    CCZI_VEK_FMC,
    CCZI_VEK_HWID,
    CCZI_VEK_CSP_ID,
    CCZI_VEK_EXTS
};
extern const char *const cczi_vek_oids[CCZI_VEK_EXTS];
/* Reads extension values (ptr NULL: absent) of a VEK of kind @p signer. "snp:vek-extensions" */
CCZ_MUST_USE ccz_rc cczi_vek_read(struct cczi_vek *out, const struct ccz_span values[CCZI_VEK_EXTS],
                                  enum ccz_snp_signer signer, struct ccz_err *err);
CCZ_MUST_USE ccz_rc cczi_vek_from_cert(struct cczi_vek *out, const struct ccz_cert *cert,
                                       enum ccz_snp_signer signer, struct ccz_err *err);

enum { CCZI_SNP_WINDOWS = 3 };
struct cczi_snp_vek_entry {
    uint8_t key[CCZI_CACHE_KEY_SIZE];
    struct cczi_evidence *evidence; /* vek, attest_key and windows[0] */
};
struct ccz_snp_collateral {
    uint8_t id[32]; /* digest of ARK, CA and CRL */
    struct ccz_snp_root root;
    enum ccz_snp_signer signer;
    struct ccz_cert *ark, *ca;
    struct ccz_crl *crl;                          /* NULL if none was given */
    struct cczi_window windows[CCZI_SNP_WINDOWS]; /* of ARK, CA, CRL */
    size_t windows_len;
    int64_t issued_s, expires_s;
    struct cczi_snp_vek_entry *veks;
    size_t veks_len;
};

/* Names a VEK's certificate under one collateral. */
CCZ_MUST_USE ccz_rc cczi_snp_vek_key(uint8_t key[CCZI_CACHE_KEY_SIZE],
                                     const struct ccz_snp_collateral *c, struct ccz_span cert);
/* Verifies a VEK certificate (DER or PEM) under @p c: names, issuer, revocation, extensions. */
CCZ_MUST_USE ccz_rc cczi_snp_vek_new(struct cczi_evidence **out, struct ccz_span cert,
                                     const struct ccz_snp_collateral *c, struct ccz_err *err);
/* True if all @p size bytes are zero. */
bool cczi_is_zero(const uint8_t *p, size_t size);

void cczi_claims_fill_snp(struct ccz_claims *out, const struct ccz_snp_report *r,
                          const struct cczi_evidence *vek, const struct ccz_snp_collateral *c);
#endif
