/* SPDX-License-Identifier: Apache-2.0 */
#include "kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum key { KEY_ROOT, KEY_CA, KEY_PCK, KEY_TCB, KEY_ATTEST, KEY_STRANGER, KEYS = 8 };
enum { YEAR = 31536000, DAY = 86400, DOC_SIZE = 65536 };

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "kit: %s\n", what);
        abort();
    }
}

const struct ccz_key *kit_key(size_t i)
{
    static struct ccz_key *keys[KEYS + 2 * KIT_PLATFORMS];
    must(i < sizeof(keys) / sizeof(keys[0]), "platform");
    if (!keys[i])
        must(ccz_key_generate(&keys[i], CCZ_P256) == CCZ_OK, "key");
    return keys[i];
}

static size_t pck_key(const struct kit_cfg *c)
{
    return c->platform ? KEYS + 2 * (c->platform - 1) : KEY_PCK;
}

static size_t attest_key(const struct kit_cfg *c)
{
    return c->platform ? KEYS + 2 * (c->platform - 1) + 1 : KEY_ATTEST;
}

void kit_default(struct kit_cfg *cfg, enum ccz_tee tee, uint16_t version)
{
    const struct kit_dates wide = {KIT_NOW_S - DAY, KIT_NOW_S + 30 * DAY};
    *cfg = (struct kit_cfg){
        .tee = tee,
        .version = version,
        .body_type = tee == CCZ_TEE_SGX ? 1
                     : version == 5     ? 3
                                        : 2,
        .cert_type = 5,
        .root = {"Kit SGX Root CA", KIT_NOW_S - 5 * YEAR, KIT_NOW_S + 20 * YEAR, true},
        .ca = {"Kit SGX PCK Platform CA", KIT_NOW_S - 4 * YEAR, KIT_NOW_S + 10 * YEAR, true},
        .pck = {"Kit SGX PCK Certificate", KIT_NOW_S - 3 * YEAR, KIT_NOW_S + 4 * YEAR, false},
        .tcb = {"Kit SGX TCB Signing", KIT_NOW_S - 4 * YEAR, KIT_NOW_S + 5 * YEAR, false},
        .root_crl = wide,
        .pck_crl = wide,
        .tcb_info = wide,
        .qe_identity = wide,
        .fmspc = {0x00, 0x90, 0x6e, 0xd5, 0x00, 0x01},
        .pce_svn = 11,
        .tee_tcb_svn = {4, 1, 5},
        .tee_tcb_svn2 = {4, 1, 5},
    };
    memset(cfg->comp, 5, sizeof(cfg->comp));
}

/* ------------------------------------------------------------------------------------- PKI */

static void put_ext_uint(struct ccz_buf *b, const char *oid, uint64_t v)
{
    size_t m = ccz_der_open(b, CCZ_DER_SEQUENCE);
    ccz_der_put_oid(b, oid);
    ccz_der_put_uint(b, CCZ_DER_INTEGER, v);
    ccz_der_close(b, m);
}

static void put_ext_octets(struct ccz_buf *b, const char *oid, const void *p, size_t size)
{
    size_t m = ccz_der_open(b, CCZ_DER_SEQUENCE);
    ccz_der_put_oid(b, oid);
    ccz_der_put(b, CCZ_DER_OCTET_STRING, CCZ_SPAN(p, size));
    ccz_der_close(b, m);
}

#define SGX_OID "1.2.840.113741.1.13.1"

static void put_sgx_extension(struct ccz_buf *b, const struct kit_cfg *cfg)
{
    static const uint8_t ppid[16] = "kit ppid 0123456", instance[16] = "kit instance 012";
    char oid[64];
    size_t all = ccz_der_open(b, CCZ_DER_SEQUENCE);
    put_ext_octets(b, SGX_OID ".1", ppid, sizeof(ppid));
    size_t pair = ccz_der_open(b, CCZ_DER_SEQUENCE);
    ccz_der_put_oid(b, SGX_OID ".2");
    size_t tcb = ccz_der_open(b, CCZ_DER_SEQUENCE);
    for (unsigned i = 0; i < 16; i++) {
        (void)snprintf(oid, sizeof(oid), SGX_OID ".2.%u", i + 1);
        put_ext_uint(b, oid, cfg->comp[i]);
    }
    put_ext_uint(b, SGX_OID ".2.17", cfg->pce_svn);
    put_ext_octets(b, SGX_OID ".2.18", cfg->comp, 16);
    ccz_der_close(b, tcb);
    ccz_der_close(b, pair);
    put_ext_octets(b, SGX_OID ".3", cfg->pce_id, 2);
    put_ext_octets(b, SGX_OID ".4", cfg->fmspc, 6);
    pair = ccz_der_open(b, CCZ_DER_SEQUENCE);
    ccz_der_put_oid(b, SGX_OID ".5");
    ccz_der_put_uint(b, CCZ_DER_ENUMERATED, 1);
    ccz_der_close(b, pair);
    put_ext_octets(b, SGX_OID ".6", instance, sizeof(instance));
    pair = ccz_der_open(b, CCZ_DER_SEQUENCE);
    ccz_der_put_oid(b, SGX_OID ".7");
    size_t list = ccz_der_open(b, CCZ_DER_SEQUENCE);
    for (unsigned i = 1; i <= 3; i++) {
        (void)snprintf(oid, sizeof(oid), SGX_OID ".7.%u", i);
        size_t m = ccz_der_open(b, CCZ_DER_SEQUENCE);
        ccz_der_put_oid(b, oid);
        ccz_der_put(b, CCZ_DER_BOOLEAN, CCZ_SPAN("\xff", 1));
        ccz_der_close(b, m);
    }
    ccz_der_close(b, list);
    ccz_der_close(b, pair);
    ccz_der_close(b, all);
}

static struct ccz_cert *issue(const struct kit_cert *c, size_t key, uint64_t serial,
                              const struct ccz_cert *issuer, size_t issuer_key,
                              const struct ccz_cert_ext_in *ext)
{
    struct ccz_cert_cfg cfg = {
        .cn = c->cn,
        .org = "Kit",
        .key = kit_key(key),
        .issuer = issuer,
        .issuer_key = issuer ? kit_key(issuer_key) : NULL,
        .not_before_s = c->from_s,
        .not_after_s = c->until_s,
        .serial = serial,
        .ca = c->ca,
        .ext = ext,
        .ext_len = ext != NULL,
    };
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, DOC_SIZE);
    struct ccz_cert *out = NULL;
    struct ccz_err err;
    must(ccz_cert_issue(&der, &cfg, &err) == CCZ_OK, err.msg);
    must(ccz_cert_parse(&out, ccz_buf_span(&der), &err) == CCZ_OK, err.msg);
    return out;
}

static void put_chain(struct ccz_buf *out, const struct ccz_cert *const *certs, size_t len)
{
    ccz_buf_init(out, DOC_SIZE);
    for (size_t i = 0; i < len; i++)
        ccz_pem_put(out, "CERTIFICATE", ccz_cert_der(certs[i]));
}

static void make_crl(struct ccz_buf *out, const struct ccz_cert *issuer, enum key key,
                     const struct kit_dates *d, const struct ccz_span *serials, size_t len)
{
    ccz_buf_init(out, DOC_SIZE);
    must(ccz_crl_issue(out, issuer, kit_key(key), d->from_s, d->until_s, serials, len) == CCZ_OK,
         "CRL");
}

/* The last byte of a certificate belongs to its signature. */
static void forge(struct ccz_cert **cert)
{
    uint8_t der[DOC_SIZE];
    struct ccz_span old = ccz_cert_der(*cert);
    must(old.size <= sizeof(der), "size");
    memcpy(der, old.ptr, old.size);
    der[old.size - 1] ^= 1;
    size_t size = old.size;
    ccz_cert_free(*cert);
    must(ccz_cert_parse(cert, CCZ_SPAN(der, size), NULL) == CCZ_OK, "parse what was forged");
}

static void make_pki(struct kit *k)
{
    const struct kit_cfg *c = &k->cfg;
    CCZ_AUTO_BUF sgx;
    ccz_buf_init(&sgx, DOC_SIZE);
    put_sgx_extension(&sgx, c);
    const struct ccz_cert_ext_in ext = {.oid = SGX_OID, .value = ccz_buf_span(&sgx)};
    struct kit_cert ca = c->ca;
    ca.ca = true; /* issuing asks for it; the certificate that is shown may lack it */
    k->root = issue(&c->root, KEY_ROOT, 1, NULL, KEY_ROOT, NULL);
    CCZ_AUTO(ccz_cert) issuer = issue(&ca, KEY_CA, 2, k->root, KEY_ROOT, NULL);
    k->ca = issue(&c->ca, KEY_CA, 2, k->root, KEY_ROOT, NULL);
    k->pck = issue(&c->pck, pck_key(c), 3, issuer, KEY_CA, c->no_sgx_extension ? NULL : &ext);
    if (c->forge_pck)
        forge(&k->pck);
    k->tcb = issue(&c->tcb, KEY_TCB, 4, k->root, KEY_ROOT, NULL);
    put_chain(&k->root_pem, (const struct ccz_cert *[]){k->root}, 1);
    put_chain(&k->pck_chain, (const struct ccz_cert *[]){k->pck, k->ca, k->root}, 3);
    put_chain(&k->ca_chain, (const struct ccz_cert *[]){k->ca, k->root}, 2);
    put_chain(&k->tcb_chain, (const struct ccz_cert *[]){k->tcb, k->root}, 2);

    struct ccz_span serials[2];
    size_t len = 0;
    if (c->revoke_ca)
        serials[len++] = ccz_cert_serial(k->ca);
    if (c->revoke_tcb)
        serials[len++] = ccz_cert_serial(k->tcb);
    make_crl(&k->root_crl, k->root, KEY_ROOT, &c->root_crl, serials, len);
    serials[0] = ccz_cert_serial(k->pck);
    make_crl(&k->pck_crl, issuer, KEY_CA, &c->pck_crl, serials, c->revoke_pck);
}

/* ------------------------------------------------------------------------------- documents */

static void put_dates(struct ccz_buf *b, const struct kit_dates *d)
{
    char from[21], until[21];
    ccz_time_format(from, d->from_s);
    ccz_time_format(until, d->until_s);
    ccz_buf_printf(b, "\"issueDate\":\"%s\",\"nextUpdate\":\"%s\",", from, until);
}

static void put_components_v3(struct ccz_buf *b, const char *name, const uint8_t svn[16])
{
    ccz_buf_printf(b, "\"%s\":[", name);
    for (int i = 0; i < 16; i++)
        ccz_buf_printf(b, "%s{\"svn\":%u}", i ? "," : "", svn[i]);
    ccz_buf_put_str(b, "]");
}

static const struct {
    uint8_t comp;
    unsigned pce_svn;
    uint8_t tdx[16];
    const char *status, *advisories;
} levels[] = {
    {5, 11, {4, 0, 5}, "UpToDate", NULL},
    {5, 10, {4, 0, 5}, "SWHardeningNeeded", "\"INTEL-SA-00001\""},
    {4, 9, {3, 0, 4}, "ConfigurationNeeded", "\"INTEL-SA-00002\""},
    {3, 8, {3, 0, 3}, "ConfigurationAndSWHardeningNeeded", "\"INTEL-SA-00001\",\"INTEL-SA-00002\""},
    {2, 7, {2, 0, 2}, "OutOfDate", "\"INTEL-SA-00003\""},
    {1, 6, {1, 0, 1}, "OutOfDateConfigurationNeeded", "\"INTEL-SA-00003\",\"INTEL-SA-00002\""},
    {1, 5, {1, 0, 1}, "Revoked", "\"INTEL-SA-00004\""},
};

static void put_levels(struct ccz_buf *b, const struct kit_cfg *c)
{
    ccz_buf_put_str(b, "\"tcbLevels\":[");
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        uint8_t comp[16];
        memset(comp, levels[i].comp, sizeof(comp));
        ccz_buf_printf(b, "%s{\"tcb\":{", i ? "," : "");
        if (c->tcb_info_v2) {
            for (unsigned n = 1; n <= 16; n++)
                ccz_buf_printf(b, "\"sgxtcbcomp%02usvn\":%u,", n, comp[n - 1]);
        } else {
            put_components_v3(b, "sgxtcbcomponents", comp);
            ccz_buf_put_str(b, ",");
        }
        ccz_buf_printf(b, "\"pcesvn\":%u", levels[i].pce_svn);
        if (c->tee == CCZ_TEE_TDX) {
            ccz_buf_put_str(b, ",");
            put_components_v3(b, "tdxtcbcomponents", levels[i].tdx);
        }
        ccz_buf_printf(b, "},\"tcbDate\":\"20%02zu-01-01T00:00:00Z\",\"tcbStatus\":\"%s\"", 24 - i,
                       levels[i].status);
        if (levels[i].advisories)
            ccz_buf_printf(b, ",\"advisoryIDs\":[%s]", levels[i].advisories);
        ccz_buf_put_str(b, "}");
    }
    ccz_buf_put_str(b, "]");
}

#define ZEROS_48                                                                                   \
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" \
    "0000"
#define MODULE                                                                                     \
    "\"mrsigner\":\"" ZEROS_48                                                                     \
    "\",\"attributes\":\"0000000000000000\",\"attributesMask\":\"FFFFFFFFFFFFFFFF\""

static void put_modules(struct ccz_buf *b)
{
    ccz_buf_put_str(
        b,
        "\"tdxModule\":{" MODULE "},\"tdxModuleIdentities\":["
        "{\"id\":\"TDX_03\"," MODULE ",\"tcbLevels\":[{\"tcb\":{\"isvsvn\":1},\"tcbDate\":"
        "\"2024-02-01T00:00:00Z\",\"tcbStatus\":\"UpToDate\"}]},"
        "{\"id\":\"TDX_01\"," MODULE ",\"tcbLevels\":["
        "{\"tcb\":{\"isvsvn\":4},\"tcbDate\":\"2024-03-13T00:00:00Z\",\"tcbStatus\":\"UpToDate\"},"
        "{\"tcb\":{\"isvsvn\":2},\"tcbDate\":\"2023-08-09T00:00:00Z\",\"tcbStatus\":\"OutOfDate\","
        "\"advisoryIDs\":[\"INTEL-SA-00005\"]},"
        "{\"tcb\":{\"isvsvn\":1},\"tcbDate\":\"2022-08-09T00:00:00Z\",\"tcbStatus\":\"Revoked\"}]}]"
        ",");
}

static void put_tcb_info(struct ccz_buf *b, const struct kit_cfg *c)
{
    char fmspc[13], pce_id[5];
    ccz_hex(fmspc, c->fmspc, sizeof(c->fmspc));
    ccz_hex(pce_id, c->pce_id, sizeof(c->pce_id));
    ccz_buf_put_str(b, "{");
    if (!c->tcb_info_v2)
        ccz_buf_printf(b, "\"id\":\"%s\",", c->tee == CCZ_TEE_SGX ? "SGX" : "TDX");
    ccz_buf_printf(b, "\"version\":%d,", c->tcb_info_v2 ? 2 : 3);
    put_dates(b, &c->tcb_info);
    ccz_buf_printf(
        b, "\"fmspc\":\"%s\",\"pceId\":\"%s\",\"tcbType\":0,\"tcbEvaluationDataNumber\":18,", fmspc,
        pce_id);
    if (c->tee == CCZ_TEE_TDX)
        put_modules(b);
    put_levels(b, c);
    ccz_buf_put_str(b, "}");
}

static void put_qe_identity(struct ccz_buf *b, const struct kit_cfg *c)
{
    ccz_buf_printf(b, "{\"id\":\"%s\",\"version\":2,", c->tee == CCZ_TEE_SGX ? "QE" : "TD_QE");
    put_dates(b, &c->qe_identity);
    ccz_buf_put_str(
        b,
        "\"tcbEvaluationDataNumber\":17,\"miscselect\":\"00000000\",\"miscselectMask\":"
        "\"FFFFFFFF\","
        "\"attributes\":\"11000000000000000000000000000000\","
        "\"attributesMask\":\"FBFFFFFFFFFFFFFF0000000000000000\","
        "\"mrsigner\":\"8C4F5775D796503E96137F77C68A829A0056AC8DED70140B081B094490C57BFF\","
        "\"isvprodid\":1,"
        "\"tcbLevels\":[{\"tcb\":{\"isvsvn\":8},\"tcbDate\":\"2024-03-13T00:00:00Z\",\"tcbStatus\":"
        "\"UpToDate\"},"
        "{\"tcb\":{\"isvsvn\":6},\"tcbDate\":\"2021-11-10T00:00:00Z\",\"tcbStatus\":\"OutOfDate\","
        "\"advisoryIDs\":[\"INTEL-SA-00006\"]},"
        "{\"tcb\":{\"isvsvn\":5},\"tcbDate\":\"2020-11-11T00:00:00Z\",\"tcbStatus\":\"Revoked\"}]"
        "}");
}

static void edit(struct ccz_buf *out, struct ccz_buf *in, const struct kit_edit edits[KIT_EDITS])
{
    ccz_buf_init(out, DOC_SIZE);
    ccz_buf_put_span(out, ccz_buf_span(in));
    for (int i = 0; i < KIT_EDITS && edits[i].from; i++) {
        CCZ_AUTO_BUF old;
        ccz_buf_init(&old, DOC_SIZE);
        ccz_buf_put_span(&old, ccz_buf_span(out));
        const char *text = ccz_buf_str(&old), *at = strstr(text, edits[i].from);
        must(at != NULL, edits[i].from);
        ccz_buf_clear(out);
        ccz_buf_put(out, text, (size_t)(at - text));
        ccz_buf_put_str(out, edits[i].to);
        ccz_buf_put_str(out, at + strlen(edits[i].from));
    }
}

void kit_sign_json(struct ccz_buf *out, const char *member, struct ccz_span inner)
{
    uint8_t sig[64];
    char hex[129];
    must(ccz_ecdsa_sign(sig, kit_key(KEY_TCB), &inner, 1) == CCZ_OK, "sign");
    ccz_hex(hex, sig, sizeof(sig));
    ccz_buf_init(out, DOC_SIZE);
    ccz_buf_printf(out, "{\"%s\":", member);
    ccz_buf_put_span(out, inner);
    ccz_buf_printf(out, ",\"signature\":\"%s\"}", hex);
}

static void make_documents(struct kit *k)
{
    CCZ_AUTO_BUF plain, edited;
    ccz_buf_init(&plain, DOC_SIZE);
    put_tcb_info(&plain, &k->cfg);
    edit(&edited, &plain, k->cfg.tcb_edit);
    kit_sign_json(&k->tcb_info, "tcbInfo", ccz_buf_span(&edited));
    ccz_buf_free(&edited);
    ccz_buf_clear(&plain);
    put_qe_identity(&plain, &k->cfg);
    edit(&edited, &plain, k->cfg.qe_edit);
    kit_sign_json(&k->qe_identity, "enclaveIdentity", ccz_buf_span(&edited));
}

/* ----------------------------------------------------------------------------------- quote */

static const uint8_t vendor[16] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                   0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};
static const uint8_t auth[32] = "authentication data of the kit.";

static void make_body(uint8_t body[648], const struct kit_cfg *c)
{
    memset(body, 0, 648);
    if (c->body_type == 1) {
        memset(body, 5, 16);          /* CPUSVN */
        body[48] = 0x05;              /* ATTRIBUTES: INIT, MODE64BIT */
        memset(body + 64, 0xe1, 32);  /* MRENCLAVE */
        memset(body + 128, 0x51, 32); /* MRSIGNER */
        body[256] = 7;                /* ISVPRODID */
        body[258] = 2;                /* ISVSVN */
        memset(body + 320, 0xdd, 64);
    } else {
        memcpy(body, c->tee_tcb_svn, 16);
        memset(body + 16, 0x5e, 48);  /* MRSEAM */
        body[123] = 0x10;             /* TDATTRIBUTES: SEPT_VE_DISABLE */
        memset(body + 136, 0x7d, 48); /* MRTD */
        memset(body + 328, 0x07, 192);
        memset(body + 520, 0xdd, 64);
        memcpy(body + 584, c->tee_tcb_svn2, 16);
    }
    if (c->edit_body)
        c->edit_body(body);
}

static void make_qe_report(uint8_t report[384], const struct kit_cfg *c,
                           const uint8_t attest_xy[64])
{
    memset(report, 0, 384);
    memset(report, 5, 16);
    report[48] = 0x15; /* INIT, MODE64BIT, PROVISIONKEY */
    must(ccz_unhex(report + 128, 32,
                   "8C4F5775D796503E96137F77C68A829A0056AC8DED70140B081B094490C57BFF",
                   64) == CCZ_OK,
         "MRSIGNER");
    report[256] = 1;
    report[258] = 8;
    const struct ccz_span bound[] = {CCZ_SPAN(attest_xy, 64), CCZ_SPAN(auth, sizeof(auth))};
    must(ccz_hash(report + 320, CCZ_SHA256, bound, 2) == CCZ_OK, "hash");
    if (c->edit_qe)
        c->edit_qe(report);
}

static void put_certification(struct ccz_buf *b, const struct kit *k)
{
    static const uint16_t sizes[] = {0, 36, 276, 404};
    CCZ_AUTO_BUF data;
    ccz_buf_init(&data, DOC_SIZE);
    if (k->cfg.cert_type == 5) {
        ccz_buf_put_span(&data, ccz_buf_span(&k->pck_chain));
        ccz_buf_u8(&data, 0);
    } else if (k->cfg.cert_type == 4) {
        ccz_pem_put(&data, "CERTIFICATE", ccz_cert_der(k->pck));
    } else if (k->cfg.cert_type < 4) {
        memset(ccz_buf_extend(&data, sizes[k->cfg.cert_type]), 0xaa, sizes[k->cfg.cert_type]);
    }
    ccz_buf_le16(b, k->cfg.cert_type);
    ccz_buf_le32(b, (uint32_t)data.size);
    ccz_buf_put_span(b, ccz_buf_span(&data));
}

static void put_qe_part(struct ccz_buf *b, const struct kit *k, const uint8_t attest_xy[64])
{
    uint8_t report[384], sig[64];
    make_qe_report(report, &k->cfg, attest_xy);
    const struct ccz_span signed_report = CCZ_SPAN(report, sizeof(report));
    must(ccz_ecdsa_sign(sig, kit_key(k->cfg.stranger_signs_qe ? KEY_STRANGER : pck_key(&k->cfg)),
                        &signed_report, 1) == CCZ_OK,
         "sign");
    ccz_buf_put_span(b, signed_report);
    ccz_buf_put(b, sig, 64);
    ccz_buf_le16(b, sizeof(auth));
    ccz_buf_put(b, auth, sizeof(auth));
    put_certification(b, k);
}

static void put_header(struct ccz_buf *b, const struct kit_cfg *c)
{
    uint8_t header[48] = {0};
    header[0] = (uint8_t)c->version;
    header[2] = 2;
    header[4] = c->tee == CCZ_TEE_TDX ? 0x81 : 0;
    if (c->version == 3) {
        header[8] = 8;
        header[10] = 11;
    }
    memcpy(header + 12, vendor, sizeof(vendor));
    memset(header + 28, 0x1d, 20);
    if (c->edit_header)
        c->edit_header(header);
    ccz_buf_put(b, header, sizeof(header));
}

static void make_quote(struct kit *k)
{
    static const uint16_t sizes[] = {0, 384, 584, 648};
    const struct kit_cfg *c = &k->cfg;
    uint8_t body[648], xy[64], sig[64];
    struct ccz_buf *b = &k->quote;
    ccz_buf_init(b, DOC_SIZE);
    put_header(b, c);
    if (c->version == 5) {
        ccz_buf_le16(b, c->body_type);
        ccz_buf_le32(b, sizes[c->body_type]);
    }
    make_body(body, c);
    ccz_buf_put(b, body, sizes[c->body_type]);
    const struct ccz_span signed_bytes = ccz_buf_span(b);
    must(ccz_ecdsa_sign(sig, kit_key(c->stranger_signs_body ? KEY_STRANGER : attest_key(c)),
                        &signed_bytes, 1) == CCZ_OK,
         "sign");
    must(ccz_key_xy(xy, kit_key(attest_key(c))) == CCZ_OK, "xy");
    if (c->attest_key_off_curve)
        xy[63] ^= 1;

    CCZ_AUTO_BUF data, qe;
    ccz_buf_init(&data, DOC_SIZE);
    ccz_buf_init(&qe, DOC_SIZE);
    put_qe_part(&qe, k, xy);
    ccz_buf_put(&data, sig, 64);
    ccz_buf_put(&data, xy, 64);
    if (c->version > 3) {
        ccz_buf_le16(&data, 6);
        ccz_buf_le32(&data, (uint32_t)qe.size);
    }
    ccz_buf_put_span(&data, ccz_buf_span(&qe));
    ccz_buf_le32(b, (uint32_t)data.size);
    ccz_buf_put_span(b, ccz_buf_span(&data));
    must(!b->bad && !data.bad && !qe.bad, "quote");
}

/* ------------------------------------------------------------------------------------ whole */

void kit_new(struct kit *k, const struct kit_cfg *cfg)
{
    *k = (struct kit){.cfg = *cfg};
    make_pki(k);
    make_documents(k);
    make_quote(k);
    struct ccz_err err;
    must(ccz_roots_add_cert(&k->roots, ccz_buf_span(&k->root_pem), true, &err) == CCZ_OK, "root");
    k->src = (struct ccz_collateral_src){
        .tcb_info = ccz_buf_span(&k->tcb_info),
        .tcb_info_chain = ccz_buf_span(&k->tcb_chain),
        .qe_identity = ccz_buf_span(&k->qe_identity),
        .qe_identity_chain = ccz_buf_span(&k->tcb_chain),
        .root_ca_crl = ccz_buf_span(&k->root_crl),
        .pck_crl = ccz_buf_span(&k->pck_crl),
        .pck_crl_chain = ccz_buf_span(&k->ca_chain),
    };
    if (cfg->cert_type < 4)
        k->src.pck_chain = ccz_buf_span(&k->pck_chain);
}

void kit_free(struct kit *k)
{
    struct ccz_buf *bufs[] = {&k->root_pem,  &k->pck_chain,   &k->ca_chain,
                              &k->tcb_chain, &k->root_crl,    &k->pck_crl,
                              &k->tcb_info,  &k->qe_identity, &k->quote};
    for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++)
        ccz_buf_free(bufs[i]);
    ccz_cert_free(k->root);
    ccz_cert_free(k->ca);
    ccz_cert_free(k->pck);
    ccz_cert_free(k->tcb);
}

ccz_rc kit_verify(struct ccz_claims *claims, const struct kit *k, struct ccz_err *err)
{
    CCZ_AUTO(ccz_collateral) c = NULL;
    *claims = (struct ccz_claims){0};
    ccz_rc rc = ccz_collateral_new(&c, &k->src, &k->roots, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_verify_cfg cfg = {.now_s = KIT_NOW_S, .roots = &k->roots, .collateral = c};
    return ccz_quote_verify(claims, ccz_buf_span(&k->quote), &cfg, err);
}

void kit_write(const struct kit *k, const char *dir)
{
    const struct {
        const char *name;
        struct ccz_span data;
    } files[] = {
        {"root.pem", ccz_buf_span(&k->root_pem)},
        {"tcb_info.json", k->src.tcb_info},
        {"tcb_info_issuer_chain.pem", k->src.tcb_info_chain},
        {"qe_identity.json", k->src.qe_identity},
        {"qe_identity_issuer_chain.pem", k->src.qe_identity_chain},
        {"pck_crl_issuer_chain.pem", k->src.pck_crl_chain},
        {"root_ca_crl.der", k->src.root_ca_crl},
        {"pck_crl.der", k->src.pck_crl},
    };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char path[4096];
        (void)snprintf(path, sizeof(path), "%s/%s", dir, files[i].name);
        must(ccz_file_write(path, files[i].data, 0644, CCZ_FILE_REPLACE, NULL) == CCZ_OK, path);
    }
}
