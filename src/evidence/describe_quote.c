/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of Intel quotes, in the order of the bytes (layout and sources: quote_parse.c, report.c).
 * This reader is lenient, so that a damaged quote can be looked at; whether a quote is well formed
 * is what ccz_quote_parse() says of it.
 *
 * Names of bits: Intel SDM volume 3D, "ATTRIBUTES", "XCR0" (volume 1, 13.1); "TDX Module ABI
 * Reference", ATTRIBUTES.
 */
#include "evidence_priv.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <string.h>

enum { CERT_PPID_CLEAR = 1, CERT_PCK_LEAF = 4, CERT_PCK_CHAIN = 5, CERT_QE_REPORT = 6 };

static const struct cczi_bit sgx_flags[] = {
    {0, "INIT"}, {1, "DEBUG"}, {2, "MODE64BIT"},  {4, "PROVISIONKEY"}, {5, "EINITTOKENKEY"},
    {6, "CET"},  {7, "KSS"},   {10, "AEXNOTIFY"}, {0, NULL},
};
static const struct cczi_bit misc_bits[] = {{0, "EXINFO"}, {1, "CPINFO"}, {0, NULL}};
static const struct cczi_bit xfrm_bits[] = {
    {0, "X87"},    {1, "SSE"},       {2, "AVX"},       {3, "BNDREGS"},    {4, "BNDCSR"},
    {5, "OPMASK"}, {6, "ZMM_HI256"}, {7, "HI16_ZMM"},  {8, "PT"},         {9, "PKRU"},
    {10, "PASID"}, {11, "CET_U"},    {12, "CET_S"},    {13, "HDC"},       {14, "UINTR"},
    {15, "LBR"},   {16, "HWP"},      {17, "XTILECFG"}, {18, "XTILEDATA"}, {19, "APX"},
    {0, NULL},
};
static const struct cczi_bit td_bits[] = {
    {0, "DEBUG"}, {4, "HGS_PLUS_PROF"},    {5, "PERF_PROF"},   {6, "PMT_PROF"}, {16, "ICSSD"},
    {27, "LASS"}, {28, "SEPT_VE_DISABLE"}, {29, "MIGRATABLE"}, {30, "PKS"},     {31, "KL"},
    {62, "TPA"},  {63, "PERFMON"},         {0, NULL},
};

static uint64_t le64(struct ccz_span v)
{
    struct ccz_rd r = ccz_rd_from(v);
    return ccz_rd_le64(&r);
}

/* --------------------------------------------------------------------------------- rows */

static void put_misc(const struct cczi_out *o, const char *name, struct ccz_span v)
{
    cczi_put_bytes(o, name, v);
    cczi_put_bits(o, "misc_select_bits", v.ptr[0] | (uint64_t)v.ptr[1] << 8, misc_bits);
}

static void put_sgx_attributes(const struct cczi_out *o, const char *name, struct ccz_span v)
{
    cczi_put_bytes(o, name, v);
    cczi_put_bits(o, "flags", le64(ccz_span_sub(v, 0, 8)), sgx_flags);
    cczi_put_bits(o, "xfrm", le64(ccz_span_sub(v, 8, 8)), xfrm_bits);
}

static void put_td_attributes(const struct cczi_out *o, const char *name, struct ccz_span v)
{
    cczi_put_bytes(o, name, v);
    cczi_put_bits(o, "td_attributes_bits", le64(v), td_bits);
}

static void put_xfam(const struct cczi_out *o, const char *name, struct ccz_span v)
{
    cczi_put_bytes(o, name, v);
    cczi_put_bits(o, "xfam_bits", le64(v), xfrm_bits);
}

/* TDX module: security version below its major version, then the microcode that was loaded late. */
static void put_tee_tcb_svn(const struct cczi_out *o, const char *name, struct ccz_span v)
{
    static const char *const parts[] = {"module", "module_major", "microcode"};
    cczi_put_bytes(o, name, v);
    for (size_t i = 0; i < 3; i++) {
        char part[48];
        (void)snprintf(part, sizeof(part), "%s_%s", name, parts[i]);
        cczi_put_number(o, part, v.ptr[i], NULL);
    }
}

static void put_vendor(const struct cczi_out *o, const char *name, struct ccz_span v)
{
    static const uint8_t intel[16] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                      0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};
    cczi_put_bytes(o, name, v);
    cczi_put_text(o, "qe_vendor", memcmp(v.ptr, intel, 16) == 0 ? "Intel" : "unknown");
}

static void put_key_type(const struct cczi_out *o, const char *name, struct ccz_span v)
{
    uint16_t type = (uint16_t)(v.ptr[0] | v.ptr[1] << 8);
    cczi_put_number(o, name, type,
                    type == 2   ? "ECDSA P-256 with SHA-256"
                    : type == 3 ? "ECDSA P-384 with SHA-384"
                                : "unknown");
}

static void put_tee_type(const struct cczi_out *o, const char *name, struct ccz_span v)
{
    struct ccz_rd r = ccz_rd_from(v);
    uint32_t type = ccz_rd_le32(&r);
    cczi_put_number(o, name, type, type == 0 ? "SGX" : type == 0x81 ? "TDX" : "unknown");
}

static const struct cczi_row header_v3[] = {
    {"version", 2, cczi_put_le},          {"attestation_key_type", 2, put_key_type},
    {"reserved_4", 4, cczi_put_reserved}, {"qe_svn", 2, cczi_put_le},
    {"pce_svn", 2, cczi_put_le},          {"qe_vendor_id", 16, put_vendor},
    {"user_data", 20, cczi_put_bytes},
};
static const struct cczi_row header_v4[] = {
    {"version", 2, cczi_put_le},      {"attestation_key_type", 2, put_key_type},
    {"tee_type", 4, put_tee_type},    {"reserved_8", 4, cczi_put_reserved},
    {"qe_vendor_id", 16, put_vendor}, {"user_data", 20, cczi_put_bytes},
};
static const struct cczi_row sgx_report[] = {
    {"cpu_svn", 16, cczi_put_bytes},         {"misc_select", 4, put_misc},
    {"reserved_20", 12, cczi_put_reserved},  {"isv_ext_prod_id", 16, cczi_put_bytes},
    {"attributes", 16, put_sgx_attributes},  {"mrenclave", 32, cczi_put_bytes},
    {"reserved_96", 32, cczi_put_reserved},  {"mrsigner", 32, cczi_put_bytes},
    {"reserved_160", 32, cczi_put_reserved}, {"config_id", 64, cczi_put_bytes},
    {"isv_prod_id", 2, cczi_put_le},         {"isv_svn", 2, cczi_put_le},
    {"config_svn", 2, cczi_put_le},          {"reserved_262", 42, cczi_put_reserved},
    {"isv_family_id", 16, cczi_put_bytes},   {"report_data", 64, cczi_put_bytes},
};
static const struct cczi_row td_report[] = {
    {"tee_tcb_svn", 16, put_tee_tcb_svn},
    {"mrseam", 48, cczi_put_bytes},
    {"mrsignerseam", 48, cczi_put_bytes},
    {"seam_attributes", 8, cczi_put_bytes},
    {"td_attributes", 8, put_td_attributes},
    {"xfam", 8, put_xfam},
    {"mrtd", 48, cczi_put_bytes},
    {"mrconfigid", 48, cczi_put_bytes},
    {"mrowner", 48, cczi_put_bytes},
    {"mrownerconfig", 48, cczi_put_bytes},
    {"rtmr0", 48, cczi_put_bytes},
    {"rtmr1", 48, cczi_put_bytes},
    {"rtmr2", 48, cczi_put_bytes},
    {"rtmr3", 48, cczi_put_bytes},
    {"report_data", 64, cczi_put_bytes},
};
static const struct cczi_row td_report_15[] = {
    /* behind the fields above */
    {"tee_tcb_svn2", 16, put_tee_tcb_svn},
    {"mrservicetd", 48, cczi_put_bytes},
};
#define PUT_ROWS(o, r, rows) cczi_put_rows(o, r, rows, sizeof(rows) / sizeof((rows)[0]))

/* --------------------------------------------------------------------- certification data */

static void describe_pck_id(const struct cczi_out *o, struct ccz_span data, uint16_t type)
{
    static const struct cczi_row rows[] = {
        {"cpu_svn", 16, cczi_put_bytes},
        {"pce_svn", 2, cczi_put_le},
        {"pce_id", 2, cczi_put_bytes},
    };
    struct ccz_rd r = ccz_rd_from(data);
    size_t ppid = type == CERT_PPID_CLEAR ? 16 : type == 2 ? 256 : 384;
    struct ccz_span v = ccz_rd_take(&r, ppid);
    if (!r.bad)
        cczi_put_bytes(o, type == CERT_PPID_CLEAR ? "ppid" : "encrypted_ppid", v);
    PUT_ROWS(o, &r, rows);
}

/* Cuts the next PEM certificate out of a chain: genuine quotes have END and BEGIN in one line. What
 * stands in front of it, or behind the last one, goes to @p outside. */
static bool next_block(struct ccz_span *block, struct ccz_span *outside, struct ccz_span *rest)
{
    static const char end[] = "-----END CERTIFICATE-----";
    size_t size = sizeof(end) - 1, from = 0;
    while (from < rest->size && rest->ptr[from] != '-')
        from++;
    *outside = CCZ_SPAN(rest->ptr, from);
    for (size_t i = from; i + size <= rest->size; i++) {
        if (memcmp(rest->ptr + i, end, size) == 0) {
            *block = CCZ_SPAN(rest->ptr + from, i + size - from);
            *rest = CCZ_SPAN(rest->ptr + i + size, rest->size - i - size);
            return true;
        }
    }
    *outside = *rest;
    return false;
}

/* Line ends and NULs, if all is well. */
static void describe_outside(const struct cczi_out *o, struct ccz_span pem)
{
    CCZ_AUTO_BUF all;
    struct ccz_span block, outside;
    bool more;
    ccz_buf_init(&all, pem.size);
    do {
        more = next_block(&block, &outside, &pem);
        ccz_buf_put_span(&all, outside);
    } while (more);
    cczi_put_bytes(o, "outside_certificates", ccz_buf_span(&all));
}

static const char *role(const struct ccz_cert *cert, struct ccz_span sgx_extension)
{
    if (sgx_extension.ptr)
        return "pck_certificate";
    return ccz_span_eq(ccz_cert_subject(cert), ccz_cert_issuer(cert)) ? "pck_root" : "pck_ca";
}

static ccz_rc describe_chain(struct cczi_out *o, struct ccz_span pem, struct ccz_err *err)
{
    enum { CHAIN_MAX = 8 };
    const char *roles[CHAIN_MAX];
    struct ccz_span block, outside;
    describe_outside(o, pem);
    for (size_t n = 0; n < CHAIN_MAX && next_block(&block, &outside, &pem); n++) {
        CCZ_AUTO(ccz_cert) cert = NULL;
        CCZ_AUTO_BUF der;
        ccz_buf_init(&der, block.size);
        ccz_rc rc = ccz_pem_next(&der, &block, "CERTIFICATE", err);
        if (rc == CCZ_OK)
            rc = ccz_cert_parse(&cert, ccz_buf_span(&der), err);
        if (rc != CCZ_OK) {
            if (err)
                (void)snprintf(err->where, sizeof(err->where), "evidence:certificate-%zu", n + 1);
            return rc;
        }
        struct ccz_span sgx = ccz_cert_ext(NULL, cert, "1.2.840.113741.1.13.1");
        roles[n] = role(cert, sgx);
        unsigned same = 1;
        for (size_t i = 0; i < n; i++)
            same += strcmp(roles[i], roles[n]) == 0;
        char group[32];
        (void)snprintf(group, sizeof(group), same > 1 ? "%s_%u" : "%s", roles[n], same);
        o->group = group;
        cczi_describe_cert(o, cert);
        if (sgx.ptr)
            cczi_describe_sgx_extension(o, sgx);
    }
    return CCZ_OK;
}

static const char *certification_name(uint16_t type)
{
    static const char *const names[] = {
        "unknown",
        "PPID in clear, CPUSVN, PCESVN, PCEID",
        "PPID encrypted with RSA-2048, CPUSVN, PCESVN, PCEID",
        "PPID encrypted with RSA-3072, CPUSVN, PCESVN, PCEID",
        "PCK certificate",
        "PCK certificate chain",
        "QE report certification data",
        "platform manifest",
    };
    return names[type < sizeof(names) / sizeof(names[0]) ? type : 0];
}

/* ------------------------------------------------------------------------- signature data */

static ccz_rc describe_qe(struct cczi_out *o, struct ccz_rd *r, struct ccz_err *err)
{
    static const struct cczi_row signature[] = {{"qe_report_signature", 64, cczi_put_bytes}};
    o->group = "qe_report";
    PUT_ROWS(o, r, sgx_report);
    o->group = "certification";
    PUT_ROWS(o, r, signature);
    struct ccz_span auth = ccz_rd_take(r, ccz_rd_le16(r));
    if (!r->bad)
        cczi_put_bytes(o, "qe_auth_data", auth);
    uint16_t type = ccz_rd_le16(r);
    struct ccz_span data = ccz_rd_take(r, ccz_rd_le32(r));
    if (r->bad)
        return CCZ_OK; /* the parser has said so */
    cczi_put_number(o, "type", type, certification_name(type));
    cczi_put_number(o, "size", data.size, NULL);
    if (type >= CERT_PPID_CLEAR && type < CERT_PCK_LEAF)
        describe_pck_id(o, data, type);
    else if (type == CERT_PCK_LEAF || type == CERT_PCK_CHAIN)
        return describe_chain(o, data, err);
    return CCZ_OK;
}

static ccz_rc describe_signature(struct cczi_out *o, struct ccz_rd *r, uint16_t version,
                                 struct ccz_err *err)
{
    static const struct cczi_row rows[] = {
        {"size", 4, cczi_put_le},
        {"signature", 64, cczi_put_bytes},
        {"attestation_key", 64, cczi_put_bytes},
    };
    o->group = "signature";
    PUT_ROWS(o, r, rows);
    if (version > 3) {
        uint16_t type = ccz_rd_le16(r);
        uint32_t size = ccz_rd_le32(r);
        if (r->bad)
            return CCZ_OK;
        cczi_put_number(o, "certification_type", type, certification_name(type));
        cczi_put_number(o, "certification_size", size, NULL);
        if (type != CERT_QE_REPORT)
            return CCZ_OK;
    }
    return describe_qe(o, r, err);
}

/* ---------------------------------------------------------------------------------- quote */

static void describe_body(struct cczi_out *o, struct ccz_rd *r, uint16_t version, bool td)
{
    enum { BODY_SGX = 1, BODY_TD_15 = 3 };
    uint16_t type = td ? 2 : BODY_SGX;
    if (version > 4) {
        type = ccz_rd_le16(r);
        uint32_t size = ccz_rd_le32(r);
        static const char *const names[] = {"unknown", "SGX report", "TD report 1.0",
                                            "TD report 1.5"};
        if (r->bad)
            return;
        cczi_put_number(o, "body_type", type, names[type <= BODY_TD_15 ? type : 0]);
        cczi_put_number(o, "body_size", size, NULL);
    }
    o->group = type == BODY_SGX ? "sgx_report" : "td_report";
    if (type == BODY_SGX)
        PUT_ROWS(o, r, sgx_report);
    else if (type <= BODY_TD_15)
        PUT_ROWS(o, r, td_report);
    else
        r->bad = true; /* a layout of unknown size: what follows cannot be found */
    if (type == BODY_TD_15)
        PUT_ROWS(o, r, td_report_15);
}

ccz_rc cczi_describe_quote(struct cczi_out *o, struct ccz_span quote, struct ccz_err *err)
{
    struct ccz_quote q;
    ccz_rc rc = ccz_quote_parse(&q, quote, err);
    struct ccz_rd r = ccz_rd_from(quote), peek = r;
    uint16_t version = ccz_rd_le16(&peek);
    (void)ccz_rd_take(&peek, 2);
    bool td = ccz_rd_le32(&peek) != 0 && version > 3;
    o->group = "header";
    if (version > 3)
        PUT_ROWS(o, &r, header_v4);
    else
        PUT_ROWS(o, &r, header_v3);
    describe_body(o, &r, version, td);
    /* one problem is told: the first one, which the parser has if it has any */
    ccz_rc rest = describe_signature(o, &r, version, rc == CCZ_OK ? err : NULL);
    if (rc != CCZ_OK)
        return rc;
    if (q.trailing.size > 0) {
        o->group = "trailing";
        cczi_put_number(o, "zeros", q.trailing.size, NULL);
    }
    struct ccz_platform p;
    bool with_pck = q.cert_type == CERT_PCK_LEAF || q.cert_type == CERT_PCK_CHAIN;
    return rest == CCZ_OK && with_pck ? ccz_quote_platform(&p, &q, err) : rest;
}
