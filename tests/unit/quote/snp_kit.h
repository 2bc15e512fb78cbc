/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SNP_KIT_H
#define CCZ_SNP_KIT_H
/*
 * AMD's world in memory: PKI, revocation list and reports in the genuine formats, with a knob for every defect that
 * the verifier has to find. snp_kit_default() describes a flawless one; change fields, then snp_kit_new(). Certificates
 * are issued by OpenSSL. RSA keys are made once per process.
 */
#include <cczoo/codec.h>
#include <cczoo/snp.h>
#include <cczoo/x509.h>

#define SNP_KIT_NOW_S INT64_C(1750000000) /* 2025-06-15 */

/* Order of AMD's extensions in snp_kit_cfg.ext. */
enum {
    SNP_EXT_STRUCT_VERSION,
    SNP_EXT_PRODUCT,
    SNP_EXT_BOOT_LOADER,
    SNP_EXT_TEE,
    SNP_EXT_SNP,
    SNP_EXT_SPL_4,
    SNP_EXT_SPL_5,
    SNP_EXT_SPL_6,
    SNP_EXT_SPL_7,
    SNP_EXT_MICROCODE,
    SNP_EXT_FMC,
    SNP_EXT_HWID,
    SNP_EXT_CSP_ID,
    SNP_EXTS
};
/* What becomes of an extension: as it belongs (the default), left out, twice, or these bytes. */
struct snp_kit_ext {
    bool drop, repeat;
    struct ccz_span value;
};

struct snp_kit_cert {
    const char *cn;
    int64_t from_s, until_s;
    bool ca;
    long serial;
    bool forge;    /* a byte of the signature is wrong */
    bool critical; /* has a critical extension that nobody knows */
};

struct snp_kit_cfg {
    enum ccz_snp_product product;
    enum ccz_snp_signer signer;
    uint32_t version;
    struct snp_kit_cert ark, ca, vek;
    bool ca_by_stranger; /* the CA is issued by a key and name that are not the ARK's */
    bool vek_p256;
    struct snp_kit_ext ext[SNP_EXTS];
    bool hwid_wrapped;
    struct {
        bool none, forge, by_ca; /* by_ca: the CA issues it */
        int64_t from_s, until_s;
        long serials[3]; /* 0 = end */
        bool zero;       /* lists serial number 0, too */
    } crl;
    /* report */
    struct ccz_snp_tcb tcb;              /* of the certificate and of every TCB in the report */
    void (*edit)(uint8_t report[1184]);  /* before it is signed */
    void (*spoil)(uint8_t report[1184]); /* afterwards */
    bool table;                          /* certificate table with the VEK behind the report */
    bool table_chain;                    /* also ASK and ARK */
    bool vek_in_collateral;
};

struct snp_kit {
    struct snp_kit_cfg cfg;
    struct ccz_buf ark, ca, vek, crl, evidence;
    struct ccz_key *key; /* the VEK */
    struct ccz_snp_roots roots;
    struct ccz_span veks[1];
    struct ccz_snp_collateral_src src;
};

/* The VEK stands in the collateral, no table. */
void snp_kit_default(struct snp_kit_cfg *cfg, enum ccz_snp_product product,
                     enum ccz_snp_signer signer, uint32_t version);
/* Issues everything and trusts the ARK as simulated; aborts if that fails. */
void snp_kit_new(struct snp_kit *k, const struct snp_kit_cfg *cfg);
void snp_kit_free(struct snp_kit *k);
/* ccz_snp_collateral_new() and ccz_snp_verify() at SNP_KIT_NOW_S. */
ccz_rc snp_kit_verify(struct ccz_claims *claims, const struct snp_kit *k, struct ccz_err *err);
/* Signs 672 bytes of @p report with the VEK, into its signature. */
void snp_kit_sign(const struct snp_kit *k, uint8_t report[1184]);
/* Appends a certificate table. */
struct snp_kit_blob {
    const char *guid; /* 32 hex digits */
    struct ccz_span bytes;
};
#define SNP_GUID_VCEK "63da758de6644564adc5f4b93be8accd"
#define SNP_GUID_VLEK "a8074bc2a25a483eaae639c045a0b8a1"
#define SNP_GUID_ASK  "4ab7b379bbac4fe4a02f05aef327c782"
#define SNP_GUID_ARK  "c0b406a4a803495297433fb6014cd0ae"
void snp_kit_put_table(struct ccz_buf *out, const struct snp_kit_blob *blobs, size_t len);
/* Writes ark.der, ask.der, crl.der and vcek.der or vlek.der into an existing directory. */
void snp_kit_write(const struct snp_kit *k, const char *dir);
#endif
