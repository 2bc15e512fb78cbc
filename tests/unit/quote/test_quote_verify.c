/* SPDX-License-Identifier: Apache-2.0 */
/* Each check of the verification algorithm has an attack here that only this check stops. */
#include "quote/kit.h"
#include "quote/quote_priv.h"

#include "ccz_test.h"

#include <stddef.h>

/* Prints what came instead, so that a table entry can be found. */
static void expect(const char *name, ccz_rc rc, const struct ccz_err *err, ccz_rc want_rc,
                   const char *want_where)
{
    if (rc != want_rc || (rc != CCZ_OK && strcmp(err->where, want_where) != 0)) {
        fprintf(stderr, "%s: got %s at %s (%s), expected %s at %s\n", name, ccz_rc_name(rc),
                rc == CCZ_OK ? "-" : err->where, rc == CCZ_OK ? "" : err->msg, ccz_rc_name(want_rc),
                want_where);
        exit(1);
    }
}

static bool is_zero(const struct ccz_claims *c)
{
    static const struct ccz_claims none;
    return memcmp(c, &none, sizeof(none)) == 0;
}

/* ----------------------------------------------------------------------------- accepted forms */

static void check_claims(const struct ccz_claims *c, const struct kit_cfg *cfg)
{
    uint8_t dd[64];
    memset(dd, 0xdd, sizeof(dd));
    CHECK(c->tee == cfg->tee && c->quote_version == cfg->version && c->simulated && !c->debug);
    CHECK(memcmp(c->report_data, dd, 64) == 0);
    CHECK(memcmp(c->fmspc, cfg->fmspc, 6) == 0 && memcmp(c->pce_id, cfg->pce_id, 2) == 0);
    CHECK(memcmp(c->cpu_svn, cfg->comp, 16) == 0 && memcmp(c->ppid, "kit ppid 0123456", 16) == 0);
    CHECK(c->qe_isv_svn == 8 && c->tcb_eval_number == 17 && c->advisory_len == 0);
    CHECK(c->tcb_status == CCZ_TCB_UP_TO_DATE && c->platform_status == CCZ_TCB_UP_TO_DATE);
    CHECK(c->qe_status == CCZ_TCB_UP_TO_DATE);
    CHECK(c->collateral_issued_s == cfg->tcb_info.from_s);
    CHECK(c->collateral_expires_s == cfg->tcb_info.until_s);
    if (cfg->tee == CCZ_TEE_SGX) {
        CHECK(c->mrenclave[0] == 0xe1 && c->mrenclave[31] == 0xe1 && c->mrsigner[0] == 0x51);
        CHECK(c->isv_prod_id == 7 && c->isv_svn == 2 && c->attributes[0] == 5 && c->mrtd[0] == 0);
        CHECK(c->module_status == CCZ_TCB_NONE);
    } else {
        CHECK(c->mrtd[0] == 0x7d && c->mrtd[47] == 0x7d && c->rtmr[0][0] == 7 &&
              c->rtmr[3][47] == 7);
        CHECK(c->mrseam[0] == 0x5e && c->td_attributes[3] == 0x10 && c->mrenclave[0] == 0);
        CHECK(c->module_status == CCZ_TCB_UP_TO_DATE && c->tee_tcb_svn[0] == 4);
        CHECK(c->tee_tcb_svn2[0] == (cfg->body_type == 3 ? 4 : 0));
    }
}

static void test_accepted(void)
{
    static const struct {
        enum ccz_tee tee;
        uint16_t version, body_type, cert_type;
        bool v2;
    } forms[] = {
        {CCZ_TEE_SGX, 3, 1, 5, false}, {CCZ_TEE_SGX, 3, 1, 5, true},  {CCZ_TEE_SGX, 3, 1, 4, false},
        {CCZ_TEE_SGX, 3, 1, 3, false}, {CCZ_TEE_SGX, 3, 1, 2, false}, {CCZ_TEE_SGX, 3, 1, 1, false},
        {CCZ_TEE_SGX, 4, 1, 5, false}, {CCZ_TEE_TDX, 4, 2, 5, false}, {CCZ_TEE_TDX, 4, 2, 4, false},
        {CCZ_TEE_TDX, 4, 2, 3, false}, {CCZ_TEE_SGX, 5, 1, 5, false}, {CCZ_TEE_TDX, 5, 2, 5, false},
        {CCZ_TEE_TDX, 5, 3, 5, false},
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct kit k;
        struct kit_cfg cfg;
        struct ccz_claims claims;
        struct ccz_err err = {0};
        kit_default(&cfg, forms[i].tee, forms[i].version);
        cfg.body_type = forms[i].body_type;
        cfg.cert_type = forms[i].cert_type;
        cfg.tcb_info_v2 = forms[i].v2;
        kit_new(&k, &cfg);
        expect("accepted", kit_verify(&claims, &k, &err), &err, CCZ_OK, "");
        check_claims(&claims, &cfg);
        kit_free(&k);
    }
}

/* Chains in any order, CRLs in any encoding, hex in either case. */
static void test_encodings(void)
{
    struct kit k;
    struct kit_cfg cfg;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    cfg.cert_type = 1; /* the chain comes from outside, where it can be permuted freely */
    kit_new(&k, &cfg);
    const struct ccz_cert *const c[] = {k.pck, k.ca, k.root};
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int i = 0; i < 6; i++) {
        CCZ_AUTO_BUF pem, ca;
        ccz_buf_init(&pem, 65536);
        ccz_buf_init(&ca, 65536);
        for (int n = 0; n < 3; n++) {
            ccz_pem_put(&pem, "CERTIFICATE", ccz_cert_der(c[orders[i][n]]));
            ccz_buf_put_str(&pem, n == 2 ? "\n" : "\r\n");
            if (orders[i][n] != 0)
                ccz_pem_put(&ca, "CERTIFICATE", ccz_cert_der(c[orders[i][n]]));
        }
        k.src.pck_chain = ccz_buf_span(&pem);
        k.src.pck_crl_chain = ccz_buf_span(&ca);
        expect("order", kit_verify(&claims, &k, &err), &err, CCZ_OK, "");
    }
    k.src.pck_chain = ccz_buf_span(&k.pck_chain);
    k.src.pck_crl_chain = ccz_buf_span(&k.ca_chain);
    CCZ_AUTO_BUF pem, hex;
    ccz_buf_init(&pem, 65536);
    ccz_buf_init(&hex, 65536);
    ccz_pem_put(&pem, "X509 CRL", ccz_buf_span(&k.root_crl));
    for (size_t i = 0; i < k.pck_crl.size; i++)
        ccz_buf_printf(&hex, i % 2 ? "%02x" : "%02X", k.pck_crl.ptr[i]);
    ccz_buf_put_str(&hex, "\n");
    k.src.root_ca_crl = ccz_buf_span(&pem);
    k.src.pck_crl = ccz_buf_span(&hex);
    expect("CRL encodings", kit_verify(&claims, &k, &err), &err, CCZ_OK, "");
    kit_free(&k);
}

/* ------------------------------------------------------------------------- defects by knob */

static void qe_debug(uint8_t *r)
{
    r[48] |= 2;
}
static void qe_misc(uint8_t *r)
{
    r[16] = 1;
}
static void qe_signer(uint8_t *r)
{
    r[128] ^= 1;
}
static void qe_product(uint8_t *r)
{
    r[256] = 2;
}
static void qe_old(uint8_t *r)
{
    r[258] = 4;
}
static void qe_revoked(uint8_t *r)
{
    r[258] = 5;
}
static void qe_unbound(uint8_t *r)
{
    r[320] ^= 1;
}
static void qe_report_data(uint8_t *r)
{
    r[383] = 1;
}
static void seam_signer(uint8_t *b)
{
    b[64] = 1;
}
static void seam_attributes(uint8_t *b)
{
    b[119] = 1;
}
static void svn_no_module(uint8_t *b)
{
    b[1] = 2; /* TCB info knows 1 and 3 */
}
static void svn_module_low(uint8_t *b)
{
    b[0] = 0;
}
static void svn_module_revoked(uint8_t *b)
{
    b[0] = 1;
}
static void svn_late_microcode(uint8_t *b)
{
    b[2] = 0;
}
static void svn_major_zero(uint8_t *b)
{
    b[0] = 0;
    b[1] = 0;
}
static void svn2_no_module(uint8_t *b)
{
    b[585] = 2;
}
static void svn2_revoked(uint8_t *b)
{
    b[584] = 1;
}

struct defect {
    const char *name;
    enum ccz_tee tee;
    void (*make)(struct kit_cfg *c);
    ccz_rc rc;
    const char *where;
};

#define KNOB(fn, statement)                                                                        \
    static void fn(struct kit_cfg *c)                                                              \
    {                                                                                              \
        statement;                                                                                 \
    }
KNOB(d_root_name, c->root.cn = "Kit Root")
KNOB(d_ca_name, c->ca.cn = "Kit SGX CA")
KNOB(d_pck_name, c->pck.cn = "Kit SGX TCB Signing")
KNOB(d_pck_is_ca, c->pck.ca = true)
KNOB(d_tcb_name, c->tcb.cn = "Kit SGX PCK Certificate")
KNOB(d_tcb_is_ca, c->tcb.ca = true)
KNOB(d_ca_not_ca, c->ca.ca = false)
KNOB(d_pck_forged, c->forge_pck = true)
KNOB(d_pck_no_ext, c->no_sgx_extension = true)
KNOB(d_revoke_pck, c->revoke_pck = true)
KNOB(d_revoke_ca, c->revoke_ca = true)
KNOB(d_revoke_tcb, c->revoke_tcb = true)
KNOB(d_qe_forged, c->stranger_signs_qe = true)
KNOB(d_attest_key, c->attest_key_off_curve = true)
KNOB(d_body_forged, c->stranger_signs_body = true)
KNOB(d_qe_unbound, c->edit_qe = qe_unbound)
KNOB(d_qe_report_data, c->edit_qe = qe_report_data)
KNOB(d_qe_debug, c->edit_qe = qe_debug)
KNOB(d_qe_misc, c->edit_qe = qe_misc)
KNOB(d_qe_signer, c->edit_qe = qe_signer)
KNOB(d_qe_product, c->edit_qe = qe_product)
KNOB(d_qe_old, c->edit_qe = qe_old)
KNOB(d_qe_revoked, c->edit_qe = qe_revoked)
KNOB(d_comp_low, c->comp[15] = 0)
KNOB(d_pce_svn_low, c->pce_svn = 4)
KNOB(d_pce_svn_revoked, c->pce_svn = 5)
KNOB(d_seam_signer, c->edit_body = seam_signer)
KNOB(d_seam_attributes, c->edit_body = seam_attributes)
KNOB(d_no_module, c->edit_body = svn_no_module)
KNOB(d_module_low, c->edit_body = svn_module_low)
KNOB(d_module_revoked, c->edit_body = svn_module_revoked)
KNOB(d_late_microcode, c->edit_body = svn_late_microcode)
KNOB(d_major_zero, c->edit_body = svn_major_zero)
KNOB(d_svn2_no_module, c->edit_body = svn2_no_module)
KNOB(d_svn2_revoked, c->edit_body = svn2_revoked)

static const struct defect defects[] = {
    {"root name", CCZ_TEE_SGX, d_root_name, CCZ_E_UNTRUSTED, "collateral:tcb-info-signer-name"},
    {"CA name", CCZ_TEE_SGX, d_ca_name, CCZ_E_UNTRUSTED, "collateral:pck-crl-signer-name"},
    {"CA without CA bit", CCZ_TEE_SGX, d_ca_not_ca, CCZ_E_UNTRUSTED,
     "collateral:pck-crl-signer-name"},
    {"TCB signer name", CCZ_TEE_SGX, d_tcb_name, CCZ_E_UNTRUSTED,
     "collateral:tcb-info-signer-name"},
    {"TCB signer with CA bit", CCZ_TEE_SGX, d_tcb_is_ca, CCZ_E_UNTRUSTED,
     "collateral:tcb-info-signer-name"},
    {"TCB signer revoked", CCZ_TEE_SGX, d_revoke_tcb, CCZ_E_REVOKED,
     "collateral:tcb-info-signer-revoked"},
    {"PCK CA revoked", CCZ_TEE_SGX, d_revoke_ca, CCZ_E_REVOKED,
     "collateral:pck-crl-signer-revoked"},
    {"PCK name", CCZ_TEE_SGX, d_pck_name, CCZ_E_UNTRUSTED, "quote:pck-name"},
    {"PCK with CA bit", CCZ_TEE_SGX, d_pck_is_ca, CCZ_E_UNTRUSTED, "quote:pck-name"},
    {"PCK of another issuer", CCZ_TEE_SGX, d_pck_forged, CCZ_E_SIG, "quote:pck-signature"},
    {"PCK without extension", CCZ_TEE_SGX, d_pck_no_ext, CCZ_E_FORMAT, "quote:pck-extension"},
    {"PCK revoked", CCZ_TEE_SGX, d_revoke_pck, CCZ_E_REVOKED, "quote:pck-revoked"},
    {"QE report signature", CCZ_TEE_SGX, d_qe_forged, CCZ_E_SIG, "quote:qe-signature"},
    {"QE binding", CCZ_TEE_SGX, d_qe_unbound, CCZ_E_SIG, "quote:qe-binding"},
    {"QE report data", CCZ_TEE_SGX, d_qe_report_data, CCZ_E_FORMAT, "quote:qe-report-data"},
    {"QE DEBUG", CCZ_TEE_SGX, d_qe_debug, CCZ_E_MISMATCH, "quote:qe-attributes"},
    {"QE MISCSELECT", CCZ_TEE_SGX, d_qe_misc, CCZ_E_MISMATCH, "quote:qe-miscselect"},
    {"QE MRSIGNER", CCZ_TEE_SGX, d_qe_signer, CCZ_E_MISMATCH, "quote:qe-mrsigner"},
    {"QE ISVPRODID", CCZ_TEE_SGX, d_qe_product, CCZ_E_MISMATCH, "quote:qe-isvprodid"},
    {"QE ISVSVN", CCZ_TEE_SGX, d_qe_old, CCZ_E_MISMATCH, "quote:qe-isvsvn"},
    {"QE revoked", CCZ_TEE_SGX, d_qe_revoked, CCZ_E_REVOKED, "quote:tcb-revoked"},
    {"attestation key", CCZ_TEE_SGX, d_attest_key, CCZ_E_FORMAT, "quote:attest-key"},
    {"quote signature", CCZ_TEE_SGX, d_body_forged, CCZ_E_SIG, "quote:signature"},
    {"component too low", CCZ_TEE_SGX, d_comp_low, CCZ_E_MISMATCH, "quote:tcb-level"},
    {"PCESVN too low", CCZ_TEE_SGX, d_pce_svn_low, CCZ_E_MISMATCH, "quote:tcb-level"},
    {"TCB revoked", CCZ_TEE_SGX, d_pce_svn_revoked, CCZ_E_REVOKED, "quote:tcb-revoked"},
    {"TD signature", CCZ_TEE_TDX, d_body_forged, CCZ_E_SIG, "quote:signature"},
    {"MRSIGNERSEAM", CCZ_TEE_TDX, d_seam_signer, CCZ_E_MISMATCH, "quote:tdx-module-signer"},
    {"SEAMATTRIBUTES", CCZ_TEE_TDX, d_seam_attributes, CCZ_E_MISMATCH,
     "quote:tdx-module-attributes"},
    {"unknown module", CCZ_TEE_TDX, d_no_module, CCZ_E_MISMATCH, "quote:tdx-module"},
    {"module SVN", CCZ_TEE_TDX, d_module_low, CCZ_E_MISMATCH, "quote:tdx-module-svn"},
    {"module revoked", CCZ_TEE_TDX, d_module_revoked, CCZ_E_REVOKED, "quote:tcb-revoked"},
    {"TDX component", CCZ_TEE_TDX, d_late_microcode, CCZ_E_MISMATCH, "quote:tcb-level"},
    {"TDX components of module 0", CCZ_TEE_TDX, d_major_zero, CCZ_E_MISMATCH, "quote:tcb-level"},
    {"running module unknown", CCZ_TEE_TDX, d_svn2_no_module, CCZ_E_MISMATCH, "quote:tdx-module"},
    {"running module revoked", CCZ_TEE_TDX, d_svn2_revoked, CCZ_E_REVOKED, "quote:tcb-revoked"},
};

static void test_defects(void)
{
    for (size_t i = 0; i < sizeof(defects) / sizeof(defects[0]); i++) {
        const struct defect *d = &defects[i];
        struct kit k;
        struct kit_cfg cfg;
        struct ccz_claims claims;
        struct ccz_err err = {0};
        kit_default(&cfg, d->tee, d->tee == CCZ_TEE_SGX ? 3 : 5);
        d->make(&cfg);
        kit_new(&k, &cfg);
        expect(d->name, kit_verify(&claims, &k, &err), &err, d->rc, d->where);
        CHECK(is_zero(&claims) && err.rc == d->rc && err.msg[0]);
        kit_free(&k);
    }
}

/* ------------------------------------------------- parts that do not belong together */

/* The checks of collateral.c about the PCK CA come first; a quote whose own CA is revoked or
 * another one needs collateral that was opened with a different CA under the same root. */
static void test_mixed(void)
{
    struct kit a, b;
    struct kit_cfg cfg;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    kit_new(&a, &cfg);

    /* collateral for another TEE, FMSPC or PCE */
    kit_default(&cfg, CCZ_TEE_TDX, 4);
    kit_new(&b, &cfg);
    struct ccz_collateral_src src = a.src;
    a.src = b.src;
    expect("TEE", kit_verify(&claims, &a, &err), &err, CCZ_E_MISMATCH, "quote:tcb-info-tee");
    a.src = src;
    a.src.qe_identity = b.src.qe_identity;
    expect("identity", kit_verify(&claims, &a, &err), &err, CCZ_E_MISMATCH,
           "collateral:qe-identity-tee");
    kit_free(&b);
    a.src = src;

    kit_default(&cfg, CCZ_TEE_SGX, 3);
    cfg.fmspc[5] ^= 1;
    kit_new(&b, &cfg);
    a.src.tcb_info = b.src.tcb_info;
    expect("FMSPC", kit_verify(&claims, &a, &err), &err, CCZ_E_MISMATCH, "quote:fmspc");
    kit_free(&b);
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    cfg.pce_id[0] ^= 1;
    kit_new(&b, &cfg);
    a.src.tcb_info = b.src.tcb_info;
    expect("PCEID", kit_verify(&claims, &a, &err), &err, CCZ_E_MISMATCH, "quote:pceid");
    kit_free(&b);
    a.src = src;

    /* the CRL of the other PCK CA: another name */
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    cfg.ca.cn = "Kit SGX PCK Processor CA";
    kit_new(&b, &cfg);
    a.src.pck_crl = b.src.pck_crl;
    a.src.pck_crl_chain = b.src.pck_crl_chain;
    expect("CRL issuer", kit_verify(&claims, &a, &err), &err, CCZ_E_MISMATCH,
           "quote:pck-crl-issuer");
    a.src = src;
    /* and the list alone: not by the CA that the chain shows */
    a.src.pck_crl = b.src.pck_crl;
    expect("CRL", kit_verify(&claims, &a, &err), &err, CCZ_E_MISMATCH, "collateral:pck-crl-issuer");
    a.src = src;
    a.src.root_ca_crl = src.pck_crl;
    expect("root CRL", kit_verify(&claims, &a, &err), &err, CCZ_E_MISMATCH,
           "collateral:root-crl-issuer");
    a.src = src;
    a.pck_crl.ptr[a.pck_crl.size - 1] ^= 1; /* the last byte belongs to the signature */
    expect("CRL", kit_verify(&claims, &a, &err), &err, CCZ_E_SIG, "collateral:pck-crl-signature");
    a.pck_crl.ptr[a.pck_crl.size - 1] ^= 1;
    a.root_crl.ptr[a.root_crl.size - 1] ^= 1;
    expect("root CRL", kit_verify(&claims, &a, &err), &err, CCZ_E_SIG,
           "collateral:root-crl-signature");
    kit_free(&b);
    a.src = src;
    kit_free(&a);
}

/* A second PCK CA of the same name under the same root: certificates by hand. */
static void issue(struct ccz_cert **out, const char *cn, const struct ccz_key *key,
                  const struct ccz_cert *issuer, const struct ccz_key *issuer_key, uint64_t serial,
                  bool ca, int64_t from_s, int64_t until_s)
{
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, 65536);
    const struct ccz_cert_cfg cfg = {.cn = cn,
                                     .org = "Kit",
                                     .key = key,
                                     .issuer = issuer,
                                     .issuer_key = issuer_key,
                                     .not_before_s = from_s,
                                     .not_after_s = until_s,
                                     .serial = serial,
                                     .ca = ca};
    CHECK(ccz_cert_issue(&der, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_cert_parse(out, ccz_buf_span(&der), NULL) == CCZ_OK);
}

static void test_second_ca(void)
{
    struct kit k;
    struct kit_cfg cfg;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    kit_new(&k, &cfg);
    CCZ_AUTO(ccz_cert) ca = NULL;
    CCZ_AUTO_BUF chain, crl;
    ccz_buf_init(&chain, 65536);
    ccz_buf_init(&crl, 65536);

    /* another key */
    issue(&ca, cfg.ca.cn, kit_key(6), k.root, kit_key(0), 5, true, cfg.ca.from_s, cfg.ca.until_s);
    ccz_pem_put(&chain, "CERTIFICATE", ccz_cert_der(ca));
    ccz_pem_put(&chain, "CERTIFICATE", ccz_cert_der(k.root));
    CHECK(ccz_crl_issue(&crl, ca, kit_key(6), cfg.pck_crl.from_s, cfg.pck_crl.until_s, NULL, 0) ==
          CCZ_OK);
    k.src.pck_crl_chain = ccz_buf_span(&chain);
    k.src.pck_crl = ccz_buf_span(&crl);
    expect("CRL issuer key", kit_verify(&claims, &k, &err), &err, CCZ_E_MISMATCH,
           "quote:pck-crl-issuer-key");
    ccz_cert_free(ca);
    ca = NULL;

    /* the same key certified again, while the certificate in the quote is revoked */
    issue(&ca, cfg.ca.cn, kit_key(1), k.root, kit_key(0), 6, true, cfg.ca.from_s, cfg.ca.until_s);
    ccz_buf_clear(&chain);
    ccz_pem_put(&chain, "CERTIFICATE", ccz_cert_der(ca));
    ccz_pem_put(&chain, "CERTIFICATE", ccz_cert_der(k.root));
    k.src.pck_crl_chain = ccz_buf_span(&chain);
    k.src.pck_crl = ccz_buf_span(&k.pck_crl);
    expect("CA certified again", kit_verify(&claims, &k, &err), &err, CCZ_OK, "");
    const struct ccz_span serial = ccz_cert_serial(k.ca);
    ccz_buf_clear(&crl);
    CHECK(ccz_crl_issue(&crl, k.root, kit_key(0), cfg.root_crl.from_s, cfg.root_crl.until_s,
                        &serial, 1) == CCZ_OK);
    k.src.root_ca_crl = ccz_buf_span(&crl);
    expect("CA of the quote revoked", kit_verify(&claims, &k, &err), &err, CCZ_E_REVOKED,
           "quote:pck-ca-revoked");
    kit_free(&k);
}

/* Signers of the two documents may differ: each one is checked on its own. */
static void test_second_signer(void)
{
    struct kit k;
    struct kit_cfg cfg;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    kit_new(&k, &cfg);
    CCZ_AUTO(ccz_cert) signer = NULL;
    CCZ_AUTO_BUF chain, crl;
    ccz_buf_init(&chain, 65536);
    ccz_buf_init(&crl, 65536);
    issue(&signer, cfg.tcb.cn, kit_key(3), k.root, kit_key(0), 9, false, cfg.tcb.from_s,
          cfg.tcb.until_s);
    ccz_pem_put(&chain, "CERTIFICATE", ccz_cert_der(signer));
    ccz_pem_put(&chain, "CERTIFICATE", ccz_cert_der(k.root));
    k.src.qe_identity_chain = ccz_buf_span(&chain);
    expect("second signer", kit_verify(&claims, &k, &err), &err, CCZ_OK, "");
    const struct ccz_span serial = ccz_cert_serial(signer);
    CHECK(ccz_crl_issue(&crl, k.root, kit_key(0), cfg.root_crl.from_s, cfg.root_crl.until_s,
                        &serial, 1) == CCZ_OK);
    k.src.root_ca_crl = ccz_buf_span(&crl);
    expect("second signer revoked", kit_verify(&claims, &k, &err), &err, CCZ_E_REVOKED,
           "collateral:qe-identity-signer-revoked");
    kit_free(&k);
}

/* ----------------------------------------------------------------------------------- roots */

/* A self-signed root of the kit's shape with another key, and TCB info by a signer under it. */
static void test_roots(void)
{
    struct kit k;
    struct kit_cfg cfg;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    kit_new(&k, &cfg);
    CCZ_AUTO(ccz_collateral) c = NULL;
    struct ccz_roots kit_roots = k.roots, intel = {0}, both = k.roots;
    CHECK(ccz_roots_add_intel(&intel) == CCZ_OK && intel.len == 1 && !intel.root[0].simulated);
    CHECK(ccz_roots_add_intel(&intel) == CCZ_OK && intel.len == 1);
    CHECK(ccz_roots_add_intel(&both) == CCZ_OK && both.len == 2);

    k.roots = (struct ccz_roots){0};
    expect("no roots", kit_verify(&claims, &k, &err), &err, CCZ_E_UNTRUSTED,
           "collateral:tcb-info-root");
    k.roots = intel;
    expect("Intel only", kit_verify(&claims, &k, &err), &err, CCZ_E_UNTRUSTED,
           "collateral:tcb-info-root");
    CHECK(err.hint[0] != 0);
    k.roots = both;
    expect("both", kit_verify(&claims, &k, &err), &err, CCZ_OK, "");

    /* collateral opened under other roots than the caller trusts at verification */
    CHECK(ccz_collateral_new(&c, &k.src, &kit_roots, &err) == CCZ_OK &&
          ccz_collateral_simulated(c));
    struct ccz_verify_cfg v = {.now_s = KIT_NOW_S, .roots = &intel, .collateral = c};
    struct ccz_span q = ccz_buf_span(&k.quote);
    expect("other roots", ccz_quote_verify(&claims, q, &v, &err), &err, CCZ_E_UNTRUSTED,
           "quote:collateral-root");
    struct ccz_roots genuine = kit_roots; /* the same key, not marked as simulated */
    genuine.root[0].simulated = false;
    v.roots = &genuine;
    expect("mark", ccz_quote_verify(&claims, q, &v, &err), &err, CCZ_E_UNTRUSTED,
           "quote:collateral-root");
    v.roots = NULL;
    expect("config", ccz_quote_verify(&claims, q, &v, &err), &err, CCZ_E_ARG, "quote:config");
    v = (struct ccz_verify_cfg){.now_s = KIT_NOW_S, .roots = &kit_roots};
    expect("config", ccz_quote_verify(&claims, q, &v, &err), &err, CCZ_E_ARG, "quote:config");
    v = (struct ccz_verify_cfg){.roots = &kit_roots, .collateral = c};
    expect("config", ccz_quote_verify(&claims, q, &v, &err), &err, CCZ_E_ARG, "quote:config");

    struct ccz_roots r = kit_roots;
    CHECK(ccz_roots_add_cert(&r, ccz_cert_der(k.root), true, &err) == CCZ_OK && r.len == 1);
    CHECK(ccz_roots_add_cert(&r, ccz_cert_der(k.root), false, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "roots:simulated") == 0 && r.len == 1);
    CHECK(ccz_roots_add_cert(&r, ccz_cert_der(k.ca), true, &err) != CCZ_OK);
    CHECK(strcmp(err.where, "roots:self-signed") == 0);
    CHECK(ccz_roots_add_cert(&r, ccz_buf_span(&k.ca_chain), true, &err) == CCZ_E_FORMAT);
    CHECK(strcmp(err.where, "roots:cert") == 0);
    CHECK(ccz_roots_add_cert(&r, CCZ_SPAN("-", 1), true, &err) == CCZ_E_FORMAT);
    CHECK(ccz_roots_add_cert(&r, (struct ccz_span){0}, true, &err) != CCZ_OK && r.len == 1);
    CCZ_AUTO(ccz_key) p384 = NULL;
    CCZ_AUTO(ccz_cert) wide = NULL;
    CHECK(ccz_key_generate(&p384, CCZ_P384) == CCZ_OK);
    issue(&wide, cfg.root.cn, p384, NULL, NULL, 1, true, cfg.root.from_s, cfg.root.until_s);
    CHECK(ccz_roots_add_cert(&r, ccz_cert_der(wide), true, &err) == CCZ_E_UNSUPPORTED &&
          r.len == 1);
    CHECK(strcmp(err.where, "roots:key") == 0);
    r.len = CCZ_ROOTS_MAX;
    CHECK(ccz_roots_add_intel(&r) == CCZ_E_LIMIT);
    kit_free(&k);
}

/* Two authorities, both trusted: their parts must not be mixed. */
static void test_two_authorities(void)
{
    struct kit k;
    struct kit_cfg cfg;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    kit_new(&k, &cfg);
    CCZ_AUTO(ccz_cert) root = NULL;
    CCZ_AUTO(ccz_cert) signer = NULL;
    CCZ_AUTO(ccz_cert) ca = NULL;
    CCZ_AUTO_BUF tcb_chain, ca_chain, root_crl;
    ccz_buf_init(&tcb_chain, 65536);
    ccz_buf_init(&ca_chain, 65536);
    ccz_buf_init(&root_crl, 65536);
    issue(&root, cfg.root.cn, kit_key(7), NULL, NULL, 1, true, cfg.root.from_s, cfg.root.until_s);
    issue(&signer, cfg.tcb.cn, kit_key(3), root, kit_key(7), 4, false, cfg.tcb.from_s,
          cfg.tcb.until_s);
    issue(&ca, cfg.ca.cn, kit_key(1), root, kit_key(7), 2, true, cfg.ca.from_s, cfg.ca.until_s);
    CHECK(ccz_roots_add_cert(&k.roots, ccz_cert_der(root), true, &err) == CCZ_OK &&
          k.roots.len == 2);
    ccz_pem_put(&tcb_chain, "CERTIFICATE", ccz_cert_der(signer));
    ccz_pem_put(&tcb_chain, "CERTIFICATE", ccz_cert_der(root));
    ccz_pem_put(&ca_chain, "CERTIFICATE", ccz_cert_der(ca));
    ccz_pem_put(&ca_chain, "CERTIFICATE", ccz_cert_der(root));
    CHECK(ccz_crl_issue(&root_crl, root, kit_key(7), cfg.root_crl.from_s, cfg.root_crl.until_s,
                        NULL, 0) == CCZ_OK);

    struct ccz_collateral_src src = k.src;
    k.src.tcb_info_chain = ccz_buf_span(&tcb_chain);
    expect("TCB info", kit_verify(&claims, &k, &err), &err, CCZ_E_MISMATCH, "collateral:root");
    k.src = src;
    k.src.qe_identity_chain = ccz_buf_span(&tcb_chain);
    expect("QE identity", kit_verify(&claims, &k, &err), &err, CCZ_E_MISMATCH, "collateral:root");
    k.src = src;
    k.src.pck_crl_chain = ccz_buf_span(&ca_chain);
    expect("PCK CA", kit_verify(&claims, &k, &err), &err, CCZ_E_MISMATCH, "collateral:root");
    k.src.root_ca_crl = ccz_buf_span(&root_crl);
    k.src.tcb_info_chain = ccz_buf_span(&tcb_chain);
    k.src.qe_identity_chain = ccz_buf_span(&tcb_chain);
    /* all collateral of the second authority, with a CA of the same name and key: only the root
     * tells */
    expect("quote", kit_verify(&claims, &k, &err), &err, CCZ_E_MISMATCH, "quote:root");
    kit_free(&k);
}

/* ----------------------------------------------------------------------------------- chains */

static void test_chains(void)
{
    struct kit k;
    struct kit_cfg cfg;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    cfg.cert_type = 1;
    kit_new(&k, &cfg);
    struct ccz_collateral_src src = k.src;
    const struct ccz_span pem = ccz_buf_span(&k.pck_chain);
    struct {
        struct ccz_span *part;
        const char *where;
    } parts[] = {{&k.src.pck_chain, "quote:pck-chain"},
                 {&k.src.tcb_info_chain, "collateral:tcb-info-chain"},
                 {&k.src.qe_identity_chain, "collateral:qe-identity-chain"},
                 {&k.src.pck_crl_chain, "collateral:pck-crl-chain"}};
    for (size_t i = 0; i < 4; i++) {
        CCZ_AUTO_BUF text;
        ccz_buf_init(&text, 65536);
        const struct ccz_span good = *parts[i].part;
        size_t one = ccz_span_eq(good, pem) ? 4 : 3; /* certificates, with one more */
        ccz_buf_put_span(&text, good);
        ccz_pem_put(&text, "CERTIFICATE", ccz_cert_der(k.root));
        *parts[i].part = ccz_buf_span(&text);
        expect("one more", kit_verify(&claims, &k, &err), &err, CCZ_E_FORMAT, parts[i].where);
        CHECK(strtoul(err.got, NULL, 10) == one);
        ccz_buf_clear(&text);
        ccz_pem_put(&text, "CERTIFICATE", ccz_cert_der(k.root));
        *parts[i].part = ccz_buf_span(&text);
        expect("root alone", kit_verify(&claims, &k, &err), &err, CCZ_E_FORMAT, parts[i].where);
        static const char *const around[] = {"x", " ", "\v", "\t", "# comment\n"};
        for (size_t n = 0; n < 2 * sizeof(around) / sizeof(around[0]); n++) { /* behind, before */
            ccz_buf_clear(&text);
            ccz_buf_put_str(&text, n % 2 ? around[n / 2] : "");
            ccz_buf_put_span(&text, good);
            ccz_buf_put_str(&text, n % 2 ? "" : around[n / 2]);
            *parts[i].part = ccz_buf_span(&text);
            expect("text around", kit_verify(&claims, &k, &err), &err, CCZ_E_FORMAT,
                   parts[i].where);
        }
        *parts[i].part = (struct ccz_span){0};
        if (i > 0) /* a missing PCK chain has its own words */
            expect("missing", kit_verify(&claims, &k, &err), &err, CCZ_E_FORMAT, parts[i].where);
        *parts[i].part = good;
    }
    k.src.pck_chain = (struct ccz_span){0};
    expect("no PCK", kit_verify(&claims, &k, &err), &err, CCZ_E_UNSUPPORTED, "quote:pck-missing");
    k.src = src;
    k.src.pck_crl = (struct ccz_span){0};
    expect("no CRL", kit_verify(&claims, &k, &err), &err, CCZ_E_FORMAT, "collateral:pck-crl");
    k.src = src;
    k.src.root_ca_crl = (struct ccz_span){0};
    expect("no CRL", kit_verify(&claims, &k, &err), &err, CCZ_E_FORMAT, "collateral:root-crl");
    uint8_t *big = calloc(1, CCZ_COLLATERAL_SIZE_MAX + 1);
    CHECK(big != NULL);
    k.src.root_ca_crl = CCZ_SPAN(big, CCZ_COLLATERAL_SIZE_MAX + 1);
    expect("too large", kit_verify(&claims, &k, &err), &err, CCZ_E_LIMIT, "collateral:size");
    free(big);
    CCZ_AUTO(ccz_cert) misnamed = NULL;
    CCZ_AUTO_BUF chain;
    ccz_buf_init(&chain, 65536);
    issue(&misnamed, "Kit SGX PCK Certificate", kit_key(3), k.root, kit_key(0), 4, false,
          cfg.tcb.from_s, cfg.tcb.until_s);
    ccz_pem_put(&chain, "CERTIFICATE", ccz_cert_der(misnamed));
    ccz_pem_put(&chain, "CERTIFICATE", ccz_cert_der(k.root));
    k.src = src;
    k.src.qe_identity_chain = ccz_buf_span(&chain);
    expect("QE signer", kit_verify(&claims, &k, &err), &err, CCZ_E_UNTRUSTED,
           "collateral:qe-identity-signer-name");
    k.src = src;
    CCZ_AUTO(ccz_key) p384 = NULL; /* same name, another curve */
    CCZ_AUTO(ccz_cert) wide = NULL;
    CHECK(ccz_key_generate(&p384, CCZ_P384) == CCZ_OK);
    issue(&wide, cfg.tcb.cn, p384, k.root, kit_key(0), 4, false, cfg.tcb.from_s, cfg.tcb.until_s);
    ccz_buf_clear(&chain);
    ccz_pem_put(&chain, "CERTIFICATE", ccz_cert_der(wide));
    ccz_pem_put(&chain, "CERTIFICATE", ccz_cert_der(k.root));
    k.src.tcb_info_chain = ccz_buf_span(&chain);
    expect("P-384", kit_verify(&claims, &k, &err), &err, CCZ_E_UNSUPPORTED,
           "collateral:tcb-info-chain");
    k.src = src;
    CCZ_AUTO_BUF crl;
    ccz_buf_init(&crl, 65536);
    ccz_pem_put(&crl, "X509 CRL", ccz_buf_span(&k.root_crl));
    ccz_buf_put_str(&crl, "x");
    k.src.root_ca_crl = ccz_buf_span(&crl);
    expect("two lists", kit_verify(&claims, &k, &err), &err, CCZ_E_FORMAT, "collateral:root-crl");
    k.src.root_ca_crl = CCZ_SPAN("30820", 5);
    expect("bad hex", kit_verify(&claims, &k, &err), &err, CCZ_E_FORMAT, "collateral:root-crl");
    k.src.root_ca_crl = CCZ_SPAN("0", 1);
    expect("bad DER", kit_verify(&claims, &k, &err), &err, CCZ_E_FORMAT, "collateral:root-crl");
    kit_free(&k);
}

/* A foreign leaf that the PCK CA did not sign is found by signature, one by a CA that the root did
 * not sign too. */
static void test_forged_links(void)
{
    struct kit k;
    struct kit_cfg cfg;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    kit_new(&k, &cfg);
    CCZ_AUTO(ccz_cert) forged = NULL;
    CCZ_AUTO(ccz_cert) fake_root = NULL;
    CCZ_AUTO_BUF chain;
    ccz_buf_init(&chain, 65536);
    issue(&fake_root, cfg.root.cn, kit_key(6), NULL, NULL, 1, true, cfg.root.from_s,
          cfg.root.until_s);
    struct ccz_collateral_src src = k.src;

    issue(&forged, cfg.tcb.cn, kit_key(3), fake_root, kit_key(6), 4, false, cfg.tcb.from_s,
          cfg.tcb.until_s);
    ccz_pem_put(&chain, "CERTIFICATE", ccz_cert_der(forged));
    ccz_pem_put(&chain, "CERTIFICATE", ccz_cert_der(k.root)); /* same name, not its signature */
    k.src.tcb_info_chain = ccz_buf_span(&chain);
    expect("TCB signer", kit_verify(&claims, &k, &err), &err, CCZ_E_SIG,
           "collateral:tcb-info-signer-signature");
    k.src = src;
    k.src.qe_identity_chain = ccz_buf_span(&chain);
    expect("QE signer", kit_verify(&claims, &k, &err), &err, CCZ_E_SIG,
           "collateral:qe-identity-signer-signature");
    k.src = src;
    ccz_cert_free(forged);
    forged = NULL;
    issue(&forged, cfg.ca.cn, kit_key(1), fake_root, kit_key(6), 2, true, cfg.ca.from_s,
          cfg.ca.until_s);
    ccz_buf_clear(&chain);
    ccz_pem_put(&chain, "CERTIFICATE", ccz_cert_der(forged));
    ccz_pem_put(&chain, "CERTIFICATE", ccz_cert_der(k.root));
    k.src.pck_crl_chain = ccz_buf_span(&chain);
    expect("PCK CA", kit_verify(&claims, &k, &err), &err, CCZ_E_SIG,
           "collateral:pck-crl-signer-signature");
    /* whole chains under the fake root */
    static const char *const where[] = {"collateral:tcb-info-root", "collateral:qe-identity-root",
                                        "collateral:pck-crl-root"};
    for (int i = 0; i < 3; i++) {
        const struct kit_cert *c = i < 2 ? &cfg.tcb : &cfg.ca;
        ccz_cert_free(forged);
        forged = NULL;
        issue(&forged, c->cn, kit_key(i < 2 ? 3 : 1), fake_root, kit_key(6), 2, c->ca, c->from_s,
              c->until_s);
        ccz_buf_clear(&chain);
        ccz_pem_put(&chain, "CERTIFICATE", ccz_cert_der(forged));
        ccz_pem_put(&chain, "CERTIFICATE", ccz_cert_der(fake_root));
        k.src = src;
        *(i == 0   ? &k.src.tcb_info_chain
          : i == 1 ? &k.src.qe_identity_chain
                   : &k.src.pck_crl_chain) = ccz_buf_span(&chain);
        expect("fake root", kit_verify(&claims, &k, &err), &err, CCZ_E_UNTRUSTED, where[i]);
    }
    kit_free(&k);
    /* and in the quote */
    CCZ_AUTO(ccz_collateral) good = NULL;
    kit_new(&k, &cfg);
    CHECK(ccz_collateral_new(&good, &k.src, &k.roots, &err) == CCZ_OK);
    struct ccz_quote q;
    CHECK(ccz_quote_parse(&q, ccz_buf_span(&k.quote), &err) == CCZ_OK);
    ccz_buf_clear(&chain);
    ccz_pem_put(&chain, "CERTIFICATE", ccz_cert_der(k.pck));
    ccz_pem_put(&chain, "CERTIFICATE", ccz_cert_der(k.ca));
    ccz_pem_put(&chain, "CERTIFICATE", ccz_cert_der(fake_root));
    q.cert_data = ccz_buf_span(&chain);
    struct cczi_evidence *e = NULL;
    struct cczi_pending pending = {0};
    expect("quote", cczi_evidence_new(&e, &pending, &q, &k.roots, good, &err), &err,
           CCZ_E_UNTRUSTED, "quote:pck-root");
    CHECK(e == NULL);
    cczi_pending_deinit(&pending);
    kit_free(&k);
}

/* Certificates of another authority that has its own names. */
static void test_foreign_issuers(void)
{
    struct kit a, b;
    struct kit_cfg cfg;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    cfg.cert_type = 1;
    kit_new(&a, &cfg);
    cfg.root.cn = "Other SGX Root CA";
    cfg.ca.cn = "Other SGX PCK Platform CA";
    kit_new(&b, &cfg);
    const struct {
        struct ccz_span *part;
        const struct ccz_cert *certs[3];
        const char *where;
    } cases[] = {
        {&a.src.tcb_info_chain, {b.tcb, a.root}, "collateral:tcb-info-signer-issuer"},
        {&a.src.qe_identity_chain, {b.tcb, a.root}, "collateral:qe-identity-signer-issuer"},
        {&a.src.pck_crl_chain, {b.ca, a.root}, "collateral:pck-crl-signer-issuer"},
        {&a.src.pck_chain, {b.pck, a.ca, a.root}, "quote:pck-issuer"},
        {&a.src.pck_chain, {a.pck, b.ca, a.root}, "quote:pck-issuer"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CCZ_AUTO_BUF pem;
        ccz_buf_init(&pem, 65536);
        for (int n = 0; n < 3 && cases[i].certs[n]; n++)
            ccz_pem_put(&pem, "CERTIFICATE", ccz_cert_der(cases[i].certs[n]));
        struct ccz_span good = *cases[i].part;
        *cases[i].part = ccz_buf_span(&pem);
        expect("issuer", kit_verify(&claims, &a, &err), &err, CCZ_E_MISMATCH, cases[i].where);
        *cases[i].part = good;
    }
    kit_free(&a);
    kit_free(&b);
}

/* ----------------------------------------------------------------------------------- dates */

/* Each date range is made the tightest one in turn; its ends are inside, one second further is
 * refused by name. */
static void test_dates(void)
{
    static const struct {
        size_t from_at, until_at;
        const char *early, *late;
    } ranges[] = {
#define RANGE(field, early, late)                                                                  \
    {offsetof(struct kit_cfg, field.from_s), offsetof(struct kit_cfg, field.until_s), early, late}
        RANGE(tcb_info, "collateral:tcb-info-not-yet-valid", "collateral:tcb-info-expired"),
        RANGE(qe_identity, "collateral:qe-identity-not-yet-valid",
              "collateral:qe-identity-expired"),
        RANGE(pck_crl, "collateral:pck-crl-not-yet-valid", "collateral:pck-crl-expired"),
        RANGE(root_crl, "collateral:root-crl-not-yet-valid", "collateral:root-crl-expired"),
        RANGE(tcb, "collateral:tcb-info-signer-not-yet-valid",
              "collateral:tcb-info-signer-expired"),
        RANGE(root, "collateral:tcb-info-root-not-yet-valid", "collateral:tcb-info-root-expired"),
        RANGE(ca, "collateral:pck-crl-signer-not-yet-valid", "collateral:pck-crl-signer-expired"),
        RANGE(pck, "quote:pck-not-yet-valid", "quote:pck-expired"),
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        struct kit k;
        struct kit_cfg cfg;
        struct ccz_claims claims;
        struct ccz_err err = {0};
        int64_t from_s = KIT_NOW_S - 100, until_s = KIT_NOW_S + 100;
        kit_default(&cfg, CCZ_TEE_SGX, 3);
        memcpy((char *)&cfg + ranges[i].from_at, &from_s, sizeof(from_s));
        memcpy((char *)&cfg + ranges[i].until_at, &until_s, sizeof(until_s));
        kit_new(&k, &cfg);
        CCZ_AUTO(ccz_collateral) c = NULL;
        CCZ_AUTO(ccz_verify_cache) cache = NULL;
        CHECK(ccz_collateral_new(&c, &k.src, &k.roots, &err) == CCZ_OK);
        CHECK(ccz_verify_cache_new(&cache, 4) == CCZ_OK);
        struct ccz_verify_cfg v = {.roots = &k.roots, .collateral = c};
        for (int pass = 0; pass < 2;
             pass++) { /* without and with the cache warm: dates are never cached */
            const struct ccz_span q = ccz_buf_span(&k.quote);
            v.cache = pass ? cache : NULL;
            v.now_s = from_s;
            expect("from", ccz_quote_verify(&claims, q, &v, &err), &err, CCZ_OK, "");
            CHECK(claims.collateral_expires_s == until_s);
            v.now_s = until_s;
            expect("until", ccz_quote_verify(&claims, q, &v, &err), &err, CCZ_OK, "");
            v.now_s = from_s - 1;
            expect("early", ccz_quote_verify(&claims, q, &v, &err), &err, CCZ_E_EXPIRED,
                   ranges[i].early);
            CHECK(is_zero(&claims) && err.got[0] && err.expected[0] && err.hint[0]);
            v.now_s = until_s + 1;
            expect("late", ccz_quote_verify(&claims, q, &v, &err), &err, CCZ_E_EXPIRED,
                   ranges[i].late);
        }
        if (i < 7)
            CHECK(ccz_collateral_expires(c) == until_s);
        kit_free(&k);
    }
}

/* The age of collateral is the age of its oldest part: whoever delivers it may hold back one and renew
 * the others. Not of the root CRL, which Intel renews once a year. */
static void test_issued(void)
{
    static const size_t from_at[] = {
        offsetof(struct kit_cfg, tcb_info.from_s), offsetof(struct kit_cfg, qe_identity.from_s),
        offsetof(struct kit_cfg, pck_crl.from_s), offsetof(struct kit_cfg, root_crl.from_s)};
    for (size_t i = 0; i < 4; i++) {
        struct kit k;
        struct kit_cfg cfg;
        struct ccz_claims claims;
        struct ccz_err err = {0};
        int64_t fresh_s = KIT_NOW_S - 100, old_s = KIT_NOW_S - 5000;
        kit_default(&cfg, CCZ_TEE_SGX, 3);
        for (size_t n = 0; n < 4; n++)
            memcpy((char *)&cfg + from_at[n], n == i ? &old_s : &fresh_s, sizeof(old_s));
        kit_new(&k, &cfg);
        expect("issued", kit_verify(&claims, &k, &err), &err, CCZ_OK, "");
        CHECK(claims.collateral_issued_s == (i < 3 ? old_s : fresh_s));
        kit_free(&k);
    }
}

/* The windows that stand behind others in the table above: chains of the QE identity and the PCK
 * chain, each with certificates of its own. */
static void test_chain_dates(void)
{
    struct kit k;
    struct kit_cfg cfg;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    cfg.cert_type = 1;
    kit_new(&k, &cfg);
    int64_t from_s = KIT_NOW_S - 100, until_s = KIT_NOW_S + 100;
    CCZ_AUTO(ccz_cert) root = NULL;
    CCZ_AUTO(ccz_cert) signer = NULL;
    CCZ_AUTO(ccz_cert) ca = NULL;
    issue(&root, cfg.root.cn, kit_key(0), NULL, NULL, 11, true, from_s, until_s);
    issue(&signer, cfg.tcb.cn, kit_key(3), k.root, kit_key(0), 12, false, from_s, until_s);
    issue(&ca, cfg.ca.cn, kit_key(1), k.root, kit_key(0), 13, true, from_s, until_s);
    const struct {
        struct ccz_span *part;
        const struct ccz_cert *certs[3];
        const char *early, *late;
    } cases[] = {
        {&k.src.qe_identity_chain,
         {signer, k.root},
         "collateral:qe-identity-signer-not-yet-valid",
         "collateral:qe-identity-signer-expired"},
        {&k.src.qe_identity_chain,
         {k.tcb, root},
         "collateral:qe-identity-root-not-yet-valid",
         "collateral:qe-identity-root-expired"},
        {&k.src.pck_crl_chain,
         {k.ca, root},
         "collateral:pck-crl-root-not-yet-valid",
         "collateral:pck-crl-root-expired"},
        {&k.src.pck_chain,
         {k.pck, ca, k.root},
         "quote:pck-ca-not-yet-valid",
         "quote:pck-ca-expired"},
        {&k.src.pck_chain,
         {k.pck, k.ca, root},
         "quote:pck-root-not-yet-valid",
         "quote:pck-root-expired"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CCZ_AUTO_BUF pem;
        CCZ_AUTO(ccz_collateral) c = NULL;
        ccz_buf_init(&pem, 65536);
        for (int n = 0; n < 3 && cases[i].certs[n]; n++)
            ccz_pem_put(&pem, "CERTIFICATE", ccz_cert_der(cases[i].certs[n]));
        struct ccz_span good = *cases[i].part;
        *cases[i].part = ccz_buf_span(&pem);
        CHECK(ccz_collateral_new(&c, &k.src, &k.roots, &err) == CCZ_OK);
        *cases[i].part = good;
        struct ccz_verify_cfg v = {.now_s = from_s, .roots = &k.roots, .collateral = c};
        const struct ccz_span q = ccz_buf_span(&k.quote);
        expect("from", ccz_quote_verify(&claims, q, &v, &err), &err, CCZ_OK, "");
        v.now_s = from_s - 1;
        expect("early", ccz_quote_verify(&claims, q, &v, &err), &err, CCZ_E_EXPIRED,
               cases[i].early);
        v.now_s = until_s + 1;
        expect("late", ccz_quote_verify(&claims, q, &v, &err), &err, CCZ_E_EXPIRED, cases[i].late);
    }
    kit_free(&k);
}

static const struct ccz_test tests[] = {
    {"verify.accepted", test_accepted},
    {"verify.encodings", test_encodings},
    {"verify.defects", test_defects},
    {"verify.mixed", test_mixed},
    {"verify.second_ca", test_second_ca},
    {"verify.second_signer", test_second_signer},
    {"verify.roots", test_roots},
    {"verify.two_authorities", test_two_authorities},
    {"verify.chains", test_chains},
    {"verify.forged_links", test_forged_links},
    {"verify.foreign_issuers", test_foreign_issuers},
    {"verify.dates", test_dates},
    {"verify.issued", test_issued},
    {"verify.chain_dates", test_chain_dates},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
