/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of certificates: X.509 itself, the SGX extension of PCK certificates, RA-TLS. */
#include "evidence_priv.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <string.h>

/* ----------------------------------------------------------------------------------- names */

/* "CN=..., O=..." in the order of the certificate; a comma or backslash inside a value gets a
 * backslash. */
static void put_name(const struct cczi_out *o, const char *field, struct ccz_span name)
{
    static const struct {
        uint8_t arc; /* below 2.5.4 */
        const char *text;
    } types[] = {{3, "CN"}, {6, "C"}, {7, "L"}, {8, "ST"}, {10, "O"}, {11, "OU"}};
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_CERT_SIZE_MAX);
    struct ccz_rd r = ccz_rd_from(name);
    struct ccz_rd sets = ccz_rd_from(ccz_der_take(&r, CCZ_DER_SEQUENCE));
    while (sets.left > 0 && !sets.bad) {
        uint8_t tag;
        struct ccz_rd set = ccz_rd_from(ccz_der_take(&sets, CCZ_DER_SET));
        struct ccz_rd pair = ccz_rd_from(ccz_der_take(&set, CCZ_DER_SEQUENCE));
        struct ccz_span oid = ccz_der_take(&pair, CCZ_DER_OID);
        struct ccz_span value = ccz_der_any(&tag, &pair);
        if (pair.bad)
            break;
        const char *type = "?";
        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
            if (oid.size == 3 && oid.ptr[0] == 0x55 && oid.ptr[1] == 4 &&
                oid.ptr[2] == types[i].arc)
                type = types[i].text;
        ccz_buf_printf(&text, "%s%s=", text.size ? ", " : "", type);
        for (size_t i = 0; i < value.size; i++) {
            if (value.ptr[i] == ',' || value.ptr[i] == '\\')
                ccz_buf_u8(&text, '\\');
            ccz_buf_u8(&text, value.ptr[i] ? value.ptr[i] : ' ');
        }
    }
    cczi_put_text(o, field, ccz_buf_str(&text));
}

static void put_key(const struct cczi_out *o, const struct ccz_cert *cert)
{
    static const uint8_t rsa[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1};
    const struct ccz_key *key = ccz_cert_key(cert);
    struct ccz_span spki = ccz_cert_spki(cert);
    if (key) {
        cczi_put_text(o, "key", ccz_key_curve(key) == CCZ_P256 ? "P-256" : "P-384");
    } else {
        char text[32] = "unknown";
        struct ccz_rd r = ccz_rd_from(spki);
        struct ccz_rd seq = ccz_rd_from(ccz_der_take(&r, CCZ_DER_SEQUENCE));
        struct ccz_rd alg = ccz_rd_from(ccz_der_take(&seq, CCZ_DER_SEQUENCE));
        struct ccz_rd bits = ccz_rd_from(ccz_der_take(&seq, CCZ_DER_BIT_STRING));
        (void)ccz_rd_u8(&bits);
        struct ccz_rd pair = ccz_rd_from(ccz_der_take(&bits, CCZ_DER_SEQUENCE));
        struct ccz_span n = ccz_der_take(&pair, CCZ_DER_INTEGER);
        if (!pair.bad && n.size > 1 &&
            ccz_span_eq(ccz_der_take(&alg, CCZ_DER_OID), CCZ_SPAN(rsa, sizeof(rsa))))
            (void)snprintf(text, sizeof(text), "RSA-%zu", 8 * (n.size - (n.ptr[0] == 0)));
        cczi_put_text(o, "key", text);
    }
    uint8_t hash[32];
    if (ccz_sha256(hash, spki) == CCZ_OK)
        cczi_put_bytes(o, "spki_sha256", CCZ_SPAN(hash, sizeof(hash)));
}

void cczi_describe_cert(const struct cczi_out *o, const struct ccz_cert *cert)
{
    uint8_t hash[32];
    put_name(o, "subject", ccz_cert_subject(cert));
    put_name(o, "issuer", ccz_cert_issuer(cert));
    cczi_put_bytes(o, "serial", ccz_cert_serial(cert));
    cczi_put_time(o, "not_before", ccz_cert_not_before(cert));
    cczi_put_time(o, "not_after", ccz_cert_not_after(cert));
    cczi_put_bool(o, "ca", ccz_cert_is_ca(cert));
    put_key(o, cert);
    if (ccz_sha256(hash, ccz_cert_der(cert)) == CCZ_OK)
        cczi_put_bytes(o, "sha256", CCZ_SPAN(hash, sizeof(hash)));
}

/* --------------------------------------------------------------------------- SGX extension */

/* SEQUENCE { OID, value } below the extension's OID: the last arc, and a cursor at the value. */
static struct ccz_rd take_pair(uint8_t *arc, struct ccz_rd *r)
{
    struct ccz_rd pair = ccz_rd_from(ccz_der_take(r, CCZ_DER_SEQUENCE));
    struct ccz_span oid = ccz_der_take(&pair, CCZ_DER_OID);
    *arc = oid.size > 0 ? oid.ptr[oid.size - 1] : 0;
    r->bad = r->bad || pair.bad;
    return pair;
}

static void put_tcb(const struct cczi_out *o, struct ccz_rd *value)
{
    enum { COMPONENTS = 16, PCESVN = 17, CPUSVN = 18 };
    struct ccz_rd list = ccz_rd_from(ccz_der_take(value, CCZ_DER_SEQUENCE));
    while (list.left > 0 && !list.bad) {
        uint8_t arc;
        char name[24];
        struct ccz_rd v = take_pair(&arc, &list);
        (void)snprintf(name, sizeof(name), "component_%02u_svn", arc);
        if (arc == CPUSVN)
            cczi_put_bytes(o, "cpu_svn", ccz_der_take(&v, CCZ_DER_OCTET_STRING));
        else if (arc == PCESVN)
            cczi_put_number(o, "pce_svn", ccz_der_uint(&v, CCZ_DER_INTEGER), NULL);
        else if (arc > 0 && arc <= COMPONENTS)
            cczi_put_number(o, name, ccz_der_uint(&v, CCZ_DER_INTEGER), NULL);
    }
}

static void put_configuration(const struct cczi_out *o, struct ccz_rd *value)
{
    static const char *const names[] = {NULL, "dynamic_platform", "cached_keys", "smt_enabled"};
    struct ccz_rd list = ccz_rd_from(ccz_der_take(value, CCZ_DER_SEQUENCE));
    while (list.left > 0 && !list.bad) {
        uint8_t arc;
        struct ccz_rd v = take_pair(&arc, &list);
        if (arc > 0 && arc < sizeof(names) / sizeof(names[0]))
            cczi_put_bool(o, names[arc], ccz_der_bool(&v));
    }
}

void cczi_describe_sgx_extension(const struct cczi_out *o, struct ccz_span ext)
{
    enum { PPID = 1, TCB, PCEID, FMSPC, SGX_TYPE, INSTANCE, CONFIGURATION };
    static const char *const names[] = {
        NULL, "ppid", NULL, "pce_id", "fmspc", NULL, "platform_instance_id"};
    static const char *const types[] = {"standard", "scalable", "scalable with integrity"};
    struct ccz_rd r = ccz_rd_from(ext);
    struct ccz_rd list = ccz_rd_from(ccz_der_take(&r, CCZ_DER_SEQUENCE));
    while (list.left > 0 && !list.bad) {
        uint8_t arc;
        struct ccz_rd v = take_pair(&arc, &list);
        if (arc == TCB) {
            put_tcb(o, &v);
        } else if (arc == CONFIGURATION) {
            put_configuration(o, &v);
        } else if (arc == SGX_TYPE) {
            uint64_t type = ccz_der_uint(&v, CCZ_DER_ENUMERATED);
            cczi_put_number(o, "sgx_type", type, type < 3 ? types[type] : "unknown");
        } else if (arc > 0 && arc < CONFIGURATION) {
            cczi_put_bytes(o, names[arc], ccz_der_take(&v, CCZ_DER_OCTET_STRING));
        }
    }
}

/* ---------------------------------------------------------------------------------- RA-TLS */

#define OID_DICE         "2.23.133.5.4.9"
#define OID_ENDORSEMENTS "2.23.133.5.4.2"

/* Gramine's, what is meant by it, and those of early rats-tls for TDX and SNP. */
static const char *const legacy_oids[] = {"0.6.9.42.840.113741.1337.6", "1.2.840.113741.1337.6",
                                          "1.2.840.113741.1337.8", "1.2.840.113741.1337.20"};

static bool has(const struct ccz_cert *cert, const char *oid)
{
    return ccz_cert_ext(NULL, cert, oid).ptr != NULL;
}

/* The claims that the report data is a hash of. ccz_ratls_cert_evidence() has accepted their form. */
static void put_claims(struct cczi_out *o, const struct ccz_cert *cert)
{
    struct ccz_rd r = ccz_rd_from(ccz_cert_ext(NULL, cert, OID_DICE));
    (void)ccz_cbor_head(&r, CCZ_CBOR_TAG);
    (void)ccz_cbor_head(&r, CCZ_CBOR_ARRAY);
    (void)ccz_cbor_string(&r, CCZ_CBOR_BYTES);
    struct ccz_rd map = ccz_rd_from(ccz_cbor_string(&r, CCZ_CBOR_BYTES));
    uint64_t len = ccz_cbor_head(&map, CCZ_CBOR_MAP);
    o->group = "claims";
    for (uint64_t i = 0; i < len && !map.bad; i++) {
        char name[256];
        ccz_escape(name, sizeof(name), ccz_cbor_string(&map, CCZ_CBOR_TEXT));
        struct ccz_span value = ccz_cbor_string(&map, CCZ_CBOR_BYTES);
        if (!map.bad)
            cczi_put_bytes(o, name, value);
    }
}

static struct ccz_span report_data(const struct ccz_evidence *e)
{
    enum { SNP_REPORT_DATA = 0x50 };
    struct ccz_quote q;
    struct ccz_span bytes = ccz_evidence_bytes(e);
    if (ccz_evidence_kind(e) == CCZ_EVIDENCE_SNP_REPORT)
        return ccz_span_sub(bytes, SNP_REPORT_DATA, 64);
    return ccz_quote_parse(&q, bytes, NULL) == CCZ_OK ? ccz_quote_report_data(&q)
                                                      : CCZ_SPAN(NULL, 0);
}

ccz_rc cczi_describe_ratls(struct cczi_out *o, const struct ccz_evidence *e, struct ccz_err *err)
{
    bool legacy = false;
    for (size_t i = 0; i < sizeof(legacy_oids) / sizeof(legacy_oids[0]); i++)
        legacy = legacy || has(e->cert, legacy_oids[i]);
    o->group = "certificate";
    cczi_describe_cert(o, e->cert);
    o->group = "ra_tls";
    cczi_put_bool(o, "dice_extension", has(e->cert, OID_DICE));
    cczi_put_bool(o, "legacy_extension", legacy);
    cczi_put_bool(o, "endorsements_extension", has(e->cert, OID_ENDORSEMENTS));
    if (e->cert_rc != CCZ_OK) {
        if (err)
            *err = e->cert_err;
        return e->cert_rc;
    }
    struct ccz_span found = report_data(e);
    cczi_put_text(o, "evidence_from", e->found.format == CCZ_RATLS_FORMAT_DICE ? "dice" : "legacy");
    cczi_put_bytes(o, "report_data_expected", CCZ_SPAN(e->found.report_data, 64));
    cczi_put_bool(o, "report_data_matches_key",
                  ccz_span_eq(found, CCZ_SPAN(e->found.report_data, 64)));
    if (e->found.format == CCZ_RATLS_FORMAT_DICE)
        put_claims(o, e->cert);
    return CCZ_OK;
}
