/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_QUOTE_KIT_H
#define CCZ_QUOTE_KIT_H
/*
 * A whole attestation world in memory: PKI, collateral and quotes in the genuine formats, with a
 * knob for every defect that the verifier has to find. kit_default() describes a flawless one;
 * change fields, then kit_new(). Keys are made once per process.
 */
#include <cczoo/codec.h>
#include <cczoo/quote.h>
#include <cczoo/x509.h>

#define KIT_NOW_S INT64_C(1750000000) /* 2025-06-15 */
enum { KIT_PLATFORMS = 64 };

struct kit_cert {
    const char *cn;
    int64_t from_s, until_s;
    bool ca;
};
struct kit_dates {
    int64_t from_s, until_s;
};
/* Replaces the first `from` in a document before it is signed. */
struct kit_edit {
    const char *from, *to;
};
enum { KIT_EDITS = 3 };

struct kit_cfg {
    enum ccz_tee tee;
    uint16_t version, body_type, cert_type;
    /* its number: each has a PCK key and an attestation key of its own */
    unsigned platform;
    /* PKI */
    struct kit_cert root, ca, pck, tcb;
    bool revoke_ca, revoke_pck, revoke_tcb;
    bool forge_pck; /* the PCK CA's signature does not verify */
    struct kit_dates root_crl, pck_crl;
    /* platform, as in the PCK certificate */
    uint8_t comp[16], fmspc[6], pce_id[2];
    uint16_t pce_svn;
    bool no_sgx_extension;
    /* documents */
    struct kit_dates tcb_info, qe_identity;
    struct kit_edit tcb_edit[KIT_EDITS], qe_edit[KIT_EDITS];
    bool tcb_info_v2;
    /* reports, before they are signed */
    void (*edit_qe)(uint8_t report[384]);
    void (*edit_body)(uint8_t *body);
    void (*edit_header)(uint8_t header[48]);
    bool stranger_signs_qe, stranger_signs_body;
    bool attest_key_off_curve;
    uint8_t tee_tcb_svn[16], tee_tcb_svn2[16];
};

struct kit {
    struct kit_cfg cfg;
    struct ccz_cert *root, *ca, *pck, *tcb;
    struct ccz_buf root_pem, pck_chain, ca_chain, tcb_chain;
    struct ccz_buf root_crl, pck_crl, tcb_info, qe_identity;
    struct ccz_buf quote;
    struct ccz_roots roots;
    struct ccz_collateral_src src;
};

/* @p version 3 (SGX), 4 (either) or 5 (either; TDX gets a TD report 1.5). */
void kit_default(struct kit_cfg *cfg, enum ccz_tee tee, uint16_t version);
/* Issues everything; aborts if that fails. */
void kit_new(struct kit *k, const struct kit_cfg *cfg);
void kit_free(struct kit *k);
/* ccz_collateral_new() and ccz_quote_verify() at KIT_NOW_S. */
ccz_rc kit_verify(struct ccz_claims *claims, const struct kit *k, struct ccz_err *err);
/* Writes root.pem and the collateral into an existing directory, as a bundle of pcs.h. */
void kit_write(const struct kit *k, const char *dir);
/* A key of the same world, by number: 0..7, behind them those of platforms 1 and up; borrowed. */
const struct ccz_key *kit_key(size_t i);
/* Signs @p inner and wraps it: {"<member>":<inner>,"signature":"<hex>"}. */
void kit_sign_json(struct ccz_buf *out, const char *member, struct ccz_span inner);
#endif
