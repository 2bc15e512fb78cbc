/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of SNP reports, in the order of the bytes (layout and sources: snp_report.c), and of the
 * certificate table behind them. Lenient as describe_quote.c is; whether a report is well formed is
 * what ccz_snp_report_parse() says of it.
 */
#include "evidence_priv.h"

#include <cczoo/codec.h>
#include <cczoo/snp.h>

#include <stdio.h>
#include <string.h>

static const struct cczi_bit policy_bits[] = {
    /* above the ABI version; bit 17 is always 1 */
    {16, "SMT"},
    {17, "MUST_BE_ONE"},
    {18, "MIGRATE_MA"},
    {19, "DEBUG"},
    {20, "SINGLE_SOCKET"},
    {21, "CXL_ALLOW"},
    {22, "MEM_AES_256_XTS"},
    {23, "RAPL_DIS"},
    {24, "CIPHERTEXT_HIDING"},
    {25, "PAGE_SWAP_DISABLE"},
    {0, NULL},
};
static const struct cczi_bit platform_bits[] = {
    {0, "SMT_EN"},
    {1, "TSME_EN"},
    {2, "ECC_EN"},
    {3, "RAPL_DIS"},
    {4, "CIPHERTEXT_HIDING"},
    {5, "ALIAS_CHECK_COMPLETE"},
    {7, "TIO_EN"},
    {0, NULL},
};

static uint64_t le64(struct ccz_span v)
{
    struct ccz_rd r = ccz_rd_from(v);
    return ccz_rd_le64(&r);
}

static void put_guest_policy(const struct cczi_out *o, const char *name, struct ccz_span v)
{
    enum { BITS = 16 };
    uint64_t bits = le64(v) >> BITS << BITS;
    cczi_put_bytes(o, name, v);
    cczi_put_number(o, "abi_minor", v.ptr[0], NULL);
    cczi_put_number(o, "abi_major", v.ptr[1], NULL);
    cczi_put_bits(o, "guest_policy_bits", bits, policy_bits);
}

static void put_platform_info(const struct cczi_out *o, const char *name, struct ccz_span v)
{
    cczi_put_bytes(o, name, v);
    cczi_put_bits(o, "platform_info_bits", le64(v), platform_bits);
}

static void put_algorithm(const struct cczi_out *o, const char *name, struct ccz_span v)
{
    struct ccz_rd r = ccz_rd_from(v);
    uint32_t n = ccz_rd_le32(&r);
    cczi_put_number(o, name, n, n == 1 ? "ECDSA P-384 with SHA-384" : "unknown");
}

static void put_flags(const struct cczi_out *o, const char *name, struct ccz_span v)
{
    static const char *const keys[] = {"VCEK",    "VLEK",    "unknown", "unknown",
                                       "unknown", "unknown", "unknown", "none"};
    struct ccz_rd r = ccz_rd_from(v);
    uint32_t n = ccz_rd_le32(&r), key = n >> 2 & 7;
    cczi_put_bytes(o, name, v);
    cczi_put_bool(o, "author_key_en", n & 1);
    cczi_put_bool(o, "mask_chip_key", n & 2);
    cczi_put_number(o, "signing_key", key, keys[key]);
}

/* build, minor, major */
static void put_version(const struct cczi_out *o, const char *name, struct ccz_span v)
{
    char text[16];
    (void)snprintf(text, sizeof(text), "%u.%u.%u", v.ptr[2], v.ptr[1], v.ptr[0]);
    cczi_put_text(o, name, text);
}

static const struct cczi_row rows_first[] = {
    /* 000 to 187 */
    {"version", 4, cczi_put_le},
    {"guest_svn", 4, cczi_put_le},
    {"guest_policy", 8, put_guest_policy},
    {"family_id", 16, cczi_put_bytes},
    {"image_id", 16, cczi_put_bytes},
    {"vmpl", 4, cczi_put_le},
    {"signature_algorithm", 4, put_algorithm},
    {"current_tcb", 8, cczi_put_bytes},
    {"platform_info", 8, put_platform_info},
    {"key_info", 4, put_flags},
    {"reserved_04c", 4, cczi_put_reserved},
    {"report_data", 64, cczi_put_bytes},
    {"measurement", 48, cczi_put_bytes},
    {"host_data", 32, cczi_put_bytes},
    {"id_key_digest", 48, cczi_put_bytes},
    {"author_key_digest", 48, cczi_put_bytes},
    {"report_id", 32, cczi_put_bytes},
    {"report_id_ma", 32, cczi_put_bytes},
    {"reported_tcb", 8, cczi_put_bytes},
};
static const struct cczi_row rows_cpuid[] = {
    /* version 3 and later */
    {"cpuid_family", 1, cczi_put_le},
    {"cpuid_model", 1, cczi_put_le},
    {"cpuid_stepping", 1, cczi_put_le},
};
static const struct cczi_row rows_no_cpuid[] = {{"reserved_188", 3, cczi_put_reserved}};
static const struct cczi_row rows_middle[] = {
    /* 18b to 1f7 */
    {"reserved_18b", 21, cczi_put_reserved}, {"chip_id", 64, cczi_put_bytes},
    {"committed_tcb", 8, cczi_put_bytes},    {"current_version", 3, put_version},
    {"reserved_1eb", 1, cczi_put_reserved},  {"committed_version", 3, put_version},
    {"reserved_1ef", 1, cczi_put_reserved},  {"launch_tcb", 8, cczi_put_bytes},
};
static const struct cczi_row rows_mitigation[] = {
    /* version 5 and later */
    {"launch_mit_vector", 8, cczi_put_bytes},
    {"current_mit_vector", 8, cczi_put_bytes},
};
static const struct cczi_row rows_no_mitigation[] = {{"reserved_1f8", 16, cczi_put_reserved}};
static const struct cczi_row rows_last[] = {
    {"reserved_208", 152, cczi_put_reserved},
    {"signature_r", 72, cczi_put_bytes}, /* little-endian, 48 bytes in use */
    {"signature_s", 72, cczi_put_bytes},
    {"reserved_330", 368, cczi_put_reserved},
};
#define PUT_ROWS(o, r, rows) cczi_put_rows(o, r, rows, sizeof(rows) / sizeof((rows)[0]))

static void put_tcb(struct cczi_out *o, const char *group, const struct ccz_snp_tcb *t)
{
    o->group = group;
    cczi_put_number(o, "fmc", t->fmc, NULL);
    cczi_put_number(o, "boot_loader", t->boot_loader, NULL);
    cczi_put_number(o, "tee", t->tee, NULL);
    cczi_put_number(o, "snp", t->snp, NULL);
    cczi_put_number(o, "microcode", t->microcode, NULL);
}

/* ----------------------------------------------------------------------- certificate table */

/* Extensions of VCEK and VLEK certificates: AMD 57230, below 1.3.6.1.4.1.3704.1. */
static void describe_vek(const struct cczi_out *o, const struct ccz_cert *cert)
{
    static const struct {
        const char *oid, *name;
    } exts[] = {
        {"1.3.6.1.4.1.3704.1.1", "struct_version"}, {"1.3.6.1.4.1.3704.1.2", "product_name"},
        {"1.3.6.1.4.1.3704.1.3.1", "boot_loader"},  {"1.3.6.1.4.1.3704.1.3.2", "tee"},
        {"1.3.6.1.4.1.3704.1.3.3", "snp"},          {"1.3.6.1.4.1.3704.1.3.4", "spl_4"},
        {"1.3.6.1.4.1.3704.1.3.5", "spl_5"},        {"1.3.6.1.4.1.3704.1.3.6", "spl_6"},
        {"1.3.6.1.4.1.3704.1.3.7", "spl_7"},        {"1.3.6.1.4.1.3704.1.3.8", "microcode"},
        {"1.3.6.1.4.1.3704.1.3.9", "fmc"},          {"1.3.6.1.4.1.3704.1.5", "csp_id"}};
    enum { IA5_STRING = 0x16 };
    for (size_t i = 0; i < sizeof(exts) / sizeof(exts[0]); i++) {
        struct ccz_rd r = ccz_rd_from(ccz_cert_ext(NULL, cert, exts[i].oid));
        if (ccz_der_peek(&r, CCZ_DER_INTEGER)) {
            cczi_put_number(o, exts[i].name, ccz_der_uint(&r, CCZ_DER_INTEGER), NULL);
        } else if (ccz_der_peek(&r, IA5_STRING)) {
            char text[128];
            ccz_escape(text, sizeof(text), ccz_der_take(&r, IA5_STRING));
            cczi_put_text(o, exts[i].name, text);
        }
    }
    struct ccz_span id = ccz_cert_ext(NULL, cert, "1.3.6.1.4.1.3704.1.4");
    if (id.size == 66) /* wrapped once more in some certificates */
        id = ccz_span_sub(id, 2, 64);
    if (id.ptr)
        cczi_put_bytes(o, "hw_id", id);
}

static const char *entry_name(struct ccz_span guid)
{
    static const struct {
        const char *guid, *name;
    } known[] = {{"63da758de6644564adc5f4b93be8accd", "vcek"},
                 {"a8074bc2a25a483eaae639c045a0b8a1", "vlek"},
                 {"4ab7b379bbac4fe4a02f05aef327c782", "ask"},
                 {"c0b406a4a803495297433fb6014cd0ae", "ark"}};
    char hex[33];
    ccz_hex(hex, guid.ptr, 16);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(hex, known[i].guid) == 0)
            return known[i].name;
    return "unknown";
}

/* Certificates are shown as far as they parse: the verifier looks at no more than the signer's. */
static bool describe_entry(struct cczi_out *o, struct ccz_rd *r, struct ccz_span table, size_t n)
{
    char group[24];
    struct ccz_span guid = ccz_rd_take(r, 16);
    uint32_t at = ccz_rd_le32(r), size = ccz_rd_le32(r);
    struct ccz_span data = ccz_span_sub(table, at, size);
    (void)snprintf(group, sizeof(group), "certificate_%zu", n);
    o->group = group;
    cczi_put_bytes(o, "guid", guid);
    cczi_put_text(o, "kind", entry_name(guid));
    cczi_put_number(o, "offset", at, NULL);
    cczi_put_number(o, "size", size, NULL);
    CCZ_AUTO(ccz_cert) cert = NULL;
    if (data.size != size)
        return false; /* the file ends before */
    if (ccz_cert_parse(&cert, data, NULL) == CCZ_OK) {
        cczi_describe_cert(o, cert);
        describe_vek(o, cert);
    } else {
        cczi_put_bytes(o, "data", data);
    }
    return true;
}

static void describe_table(struct cczi_out *o, struct ccz_span table)
{
    enum { ENTRY_SIZE = 24, ENTRIES_MAX = 16 };
    static const uint8_t end[16];
    struct ccz_rd r = ccz_rd_from(table);
    for (size_t n = 1; n <= ENTRIES_MAX && r.left >= ENTRY_SIZE; n++) {
        if (memcmp(r.ptr, end, sizeof(end)) == 0 || !describe_entry(o, &r, table, n))
            return;
    }
}

ccz_rc cczi_describe_snp(struct cczi_out *o, struct ccz_span evidence, struct ccz_err *err)
{
    struct ccz_snp_report report;
    ccz_rc rc = ccz_snp_report_parse(&report, evidence, err);
    struct ccz_rd r = ccz_rd_from(evidence), peek = r;
    uint32_t version = ccz_rd_le32(&peek);
    o->group = "snp_report";
    PUT_ROWS(o, &r, rows_first);
    if (version >= 3)
        PUT_ROWS(o, &r, rows_cpuid);
    else
        PUT_ROWS(o, &r, rows_no_cpuid);
    PUT_ROWS(o, &r, rows_middle);
    if (version >= 5)
        PUT_ROWS(o, &r, rows_mitigation);
    else
        PUT_ROWS(o, &r, rows_no_mitigation);
    PUT_ROWS(o, &r, rows_last);
    struct ccz_span alone = ccz_span_sub(evidence, 0, CCZ_SNP_REPORT_SIZE);
    if (rc == CCZ_OK || ccz_snp_report_parse(&report, alone, NULL) == CCZ_OK) {
        const struct ccz_snp_claims *c = &report.claims;
        cczi_put_text(o, "product", ccz_snp_product_name(c->product));
        put_tcb(o, "reported_tcb", &c->reported_tcb);
        put_tcb(o, "current_tcb", &c->current_tcb);
        put_tcb(o, "committed_tcb", &c->committed_tcb);
        put_tcb(o, "launch_tcb", &c->launch_tcb);
    }
    if (!r.bad)
        describe_table(o, CCZ_SPAN(r.ptr, r.left));
    return rc;
}
