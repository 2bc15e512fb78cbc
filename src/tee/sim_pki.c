/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and certificates of a simulated platform, in the shape of Intel's ("SGX PCK Certificate and
 * Certificate Revocation List Profile Specification"): root -> PCK Platform CA -> PCK leaf, root ->
 * TCB signing.
 */
#include "tee/sim_priv.h"

#include <cczoo/codec.h>
#include <stdio.h>
#include <string.h>

#define SGX_EXTENSION "1.2.840.113741.1.13.1"
#define ORGANISATION  "CCZoo software TEE"
enum {
    DAY_S = 86400,
    COLLATERAL_S = 30 * DAY_S,      /* as PCS issues it */
    CERT_EXTRA_S = 7 * 365 * DAY_S, /* as Intel issues PCK certificates */
    EXT_SIZE_MAX = 4096,
    SGX_TYPE_SCALABLE = 1
};

/* ------------------------------------------------------------------------------ SGX extension */

static void der_put(struct ccz_buf *out, uint8_t tag, struct ccz_span content)
{
    ccz_buf_u8(out, tag);
    if (content.size >= 256) {
        ccz_buf_u8(out, 0x82);
        ccz_buf_be16(out, (uint16_t)content.size); /* EXT_SIZE_MAX < 64 KiB */
    } else {
        if (content.size >= 128)
            ccz_buf_u8(out, 0x81);
        ccz_buf_u8(out, (uint8_t)content.size);
    }
    ccz_buf_put_span(out, content);
}

/* SEQUENCE { OID <SGX_EXTENSION><suffix>, value } */
static void entry_put(struct ccz_buf *out, const char *suffix, uint8_t tag, struct ccz_span value)
{
    char dotted[48];
    uint8_t oid[16];
    (void)snprintf(dotted, sizeof(dotted), SGX_EXTENSION "%s", suffix);
    size_t oid_size = ccz_der_oid(oid, sizeof(oid), dotted);
    CCZ_AUTO_BUF entry;
    ccz_buf_init(&entry, EXT_SIZE_MAX);
    der_put(&entry, CCZ_DER_OID, CCZ_SPAN(oid, oid_size));
    der_put(&entry, tag, value);
    if (entry.bad || oid_size == 0)
        out->bad = true;
    der_put(out, CCZ_DER_SEQUENCE, ccz_buf_span(&entry));
}

static void entry_uint(struct ccz_buf *out, const char *suffix, uint8_t tag, uint16_t v)
{
    uint8_t b[3] = {0, (uint8_t)(v >> 8), (uint8_t)v};
    size_t from = 2; /* the shortest form whose top bit is clear: INTEGER is signed */
    while (from > 0 && (b[from - 1] != 0 || (b[from] & 0x80) != 0))
        from--;
    entry_put(out, suffix, tag, CCZ_SPAN(b + from, 3 - from));
}

static void tcb_put(struct ccz_buf *out)
{
    CCZ_AUTO_BUF tcb;
    ccz_buf_init(&tcb, EXT_SIZE_MAX);
    for (unsigned i = 0; i < 16; i++) {
        char suffix[16];
        (void)snprintf(suffix, sizeof(suffix), ".2.%u", i + 1);
        entry_uint(&tcb, suffix, CCZ_DER_INTEGER, cczi_sim_tcb.cpu_svn[i]);
    }
    entry_uint(&tcb, ".2.17", CCZ_DER_INTEGER, cczi_sim_tcb.pce_svn);
    entry_put(&tcb, ".2.18", CCZ_DER_OCTET_STRING, CCZ_SPAN(cczi_sim_tcb.cpu_svn, 16));
    out->bad = out->bad || tcb.bad;
    entry_put(out, ".2", CCZ_DER_SEQUENCE, ccz_buf_span(&tcb));
}

static void configuration_put(struct ccz_buf *out)
{
    static const uint8_t yes[1] = {0xff};
    CCZ_AUTO_BUF conf;
    ccz_buf_init(&conf, EXT_SIZE_MAX);
    entry_put(&conf, ".7.1", CCZ_DER_BOOLEAN, CCZ_SPAN(yes, 1)); /* dynamic platform */
    entry_put(&conf, ".7.2", CCZ_DER_BOOLEAN, CCZ_SPAN(yes, 1)); /* cached keys */
    entry_put(&conf, ".7.3", CCZ_DER_BOOLEAN, CCZ_SPAN(yes, 1)); /* SMT enabled */
    out->bad = out->bad || conf.bad;
    entry_put(out, ".7", CCZ_DER_SEQUENCE, ccz_buf_span(&conf));
}

/* All elements that a certificate of the Platform CA carries. */
static ccz_rc sgx_extension(struct ccz_buf *out)
{
    uint8_t id[32]; /* PPID, platform instance id */
    if (ccz_random(id, sizeof(id)) != CCZ_OK)
        return CCZ_E_INTERNAL;
    CCZ_AUTO_BUF ext;
    ccz_buf_init(&ext, EXT_SIZE_MAX);
    entry_put(&ext, ".1", CCZ_DER_OCTET_STRING, CCZ_SPAN(id, 16));
    tcb_put(&ext);
    entry_put(&ext, ".3", CCZ_DER_OCTET_STRING, CCZ_SPAN(cczi_sim_tcb.pce_id, 2));
    entry_put(&ext, ".4", CCZ_DER_OCTET_STRING, CCZ_SPAN(cczi_sim_tcb.fmspc, 6));
    entry_uint(&ext, ".5", CCZ_DER_ENUMERATED, SGX_TYPE_SCALABLE);
    entry_put(&ext, ".6", CCZ_DER_OCTET_STRING, CCZ_SPAN(id + 16, 16));
    configuration_put(&ext);
    der_put(out, CCZ_DER_SEQUENCE, ccz_buf_span(&ext));
    return ext.bad || out->bad ? CCZ_E_NOMEM : CCZ_OK;
}

/* ------------------------------------------------------------------------------- certificates */

static ccz_rc issue(struct ccz_cert **out, const struct ccz_cert_cfg *cfg, struct ccz_err *err)
{
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, 16384);
    ccz_rc rc = ccz_cert_issue(&der, cfg, err);
    return rc == CCZ_OK ? ccz_cert_parse(out, ccz_buf_span(&der), err) : rc;
}

static ccz_rc issue_authorities(struct cczi_sim_pki *p, int64_t not_after_s, struct ccz_err *err)
{
    ccz_rc rc = issue(&p->root,
                      &(struct ccz_cert_cfg){.cn = "SIMULATED SGX Root CA",
                                             .org = ORGANISATION,
                                             .key = p->root_key,
                                             .not_before_s = p->now_s,
                                             .not_after_s = not_after_s,
                                             .ca = true},
                      err);
    if (rc == CCZ_OK)
        rc = issue(&p->ca,
                   &(struct ccz_cert_cfg){.cn = "SIMULATED SGX PCK Platform CA",
                                          .org = ORGANISATION,
                                          .key = p->ca_key,
                                          .issuer = p->root,
                                          .issuer_key = p->root_key,
                                          .not_before_s = p->now_s,
                                          .not_after_s = not_after_s,
                                          .ca = true},
                   err);
    if (rc == CCZ_OK)
        rc = issue(&p->tcb,
                   &(struct ccz_cert_cfg){.cn = "SIMULATED SGX TCB Signing",
                                          .org = ORGANISATION,
                                          .key = p->tcb_key,
                                          .issuer = p->root,
                                          .issuer_key = p->root_key,
                                          .not_before_s = p->now_s,
                                          .not_after_s = not_after_s},
                   err);
    return rc;
}

static ccz_rc issue_pck(struct cczi_sim_pki *p, int64_t not_after_s, struct ccz_err *err)
{
    CCZ_AUTO_BUF value;
    ccz_buf_init(&value, EXT_SIZE_MAX);
    ccz_rc rc = sgx_extension(&value);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "tee:sim-pki", 0, "cannot build the SGX extension");
    struct ccz_cert_ext_in ext = {.oid = SGX_EXTENSION, .value = ccz_buf_span(&value)};
    return issue(&p->pck,
                 &(struct ccz_cert_cfg){.cn = "SIMULATED SGX PCK Certificate",
                                        .org = ORGANISATION,
                                        .key = p->pck_key,
                                        .issuer = p->ca,
                                        .issuer_key = p->ca_key,
                                        .not_before_s = p->now_s,
                                        .not_after_s = not_after_s,
                                        .ext = &ext,
                                        .ext_len = 1},
                 err);
}

ccz_rc cczi_sim_pki_new(struct cczi_sim_pki *out, const struct ccz_sim_cfg *cfg,
                        struct ccz_err *err)
{
    struct cczi_sim_pki p = {.now_s = cfg->now_s};
    p.next_update_s = cfg->now_s + (cfg->valid_s ? cfg->valid_s : COLLATERAL_S);
    int64_t not_after_s = p.next_update_s + CERT_EXTRA_S;
    struct ccz_key **keys[] = {&p.root_key, &p.ca_key, &p.tcb_key, &p.pck_key};
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && rc == CCZ_OK; i++)
        if ((rc = ccz_key_generate(keys[i], CCZ_P256)) != CCZ_OK)
            ccz_fail(err, rc, "tee:sim-pki", 0, "cannot generate a key");
    if (rc == CCZ_OK)
        rc = issue_authorities(&p, not_after_s, err);
    if (rc == CCZ_OK)
        rc = issue_pck(&p, not_after_s, err);
    if (rc != CCZ_OK) {
        cczi_sim_pki_deinit(&p);
        return rc;
    }
    *out = p;
    return CCZ_OK;
}

void cczi_sim_pki_deinit(struct cczi_sim_pki *p)
{
    ccz_cert_free(p->root);
    ccz_cert_free(p->ca);
    ccz_cert_free(p->tcb);
    ccz_cert_free(p->pck);
    ccz_key_free(p->root_key);
    ccz_key_free(p->ca_key);
    ccz_key_free(p->tcb_key);
    ccz_key_free(p->pck_key);
    *p = (struct cczi_sim_pki){0};
}

void cczi_sim_pem_chain(struct ccz_buf *out, const struct ccz_cert *const *certs, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ccz_pem_put(out, "CERTIFICATE", ccz_cert_der(certs[i]));
}
