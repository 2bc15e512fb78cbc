/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ATTESTATION_REPORT of AMD 56860, section 7.3: 1184 bytes, little-endian. Offsets:
 *   000 version        004 guest SVN       008 guest policy   010 family id       020 image id
 *   030 VMPL           034 algorithm       038 current TCB    040 platform info   048 flags
 *   04c reserved       050 report data     090 measurement    0c0 host data       0e0 id key digest
 *   110 author key     140 report id       160 report id MA   180 reported TCB    188 CPUID (v3)
 *   18b reserved       1a0 chip id         1e0 committed TCB  1e8 current version
 *   1ec committed      1f0 launch TCB      1f8 launch, 200 current mitigations (v5)
 *   208 reserved       2a0 signature: r, s with 72 bytes each, reserved
 * What a version does not define is reserved, and reserved bytes are zero: once they have a meaning, they may change
 * that of others.
 */
#include "quote/snp_priv.h"

#include <stdio.h>
#include <string.h>

enum { SIGNED_SIZE = 0x2a0, SIGNATURE_SIZE = 512, INT_SIZE = 72, INT_USED = 48 };
enum {
    AT_CURRENT_TCB = 0x38,
    AT_REPORTED_TCB = 0x180,
    AT_COMMITTED_TCB = 0x1e0,
    AT_LAUNCH_TCB = 0x1f0
};
enum { VERSION_MIN = 2, VERSION_CPUID = 3, VERSION_MITIGATION = 5, VERSION_MAX = 5 };
enum { VMPL_MAX = 3, ALGORITHM_ECDSA_P384_SHA384 = 1 };

#define POLICY_MUST_BE_ONE (UINT64_C(1) << 17)
#define POLICY_RESERVED    (~UINT64_C(0) << 26)
enum {
    FLAG_AUTHOR_KEY_EN = 0x01,
    FLAG_MASK_CHIP_KEY = 0x02,
    FLAG_SIGNING_KEY = 0x1c,
    FLAG_SIGNING_KEY_SHIFT = 2
};
enum { SIGNING_KEY_VCEK = 0, SIGNING_KEY_VLEK = 1, SIGNING_KEY_NONE = 7 };

bool cczi_is_zero(const uint8_t *p, size_t size)
{
    uint8_t any = 0;
    for (size_t i = 0; i < size; i++)
        any |= p[i];
    return any == 0;
}

bool ccz_snp_is_report(struct ccz_span evidence)
{
    struct ccz_rd r = ccz_rd_from(evidence);
    (void)ccz_rd_le16(&r);
    return ccz_rd_le16(&r) == 0 && evidence.size >= CCZ_SNP_REPORT_SIZE;
}

/* ------------------------------------------------------------------------------ TCB_VERSION */

bool cczi_snp_tcb_read(struct ccz_snp_tcb *out, const uint8_t raw[8], enum ccz_snp_product product)
{
    if (product == CCZ_SNP_TURIN) {
        *out = (struct ccz_snp_tcb){.fmc = raw[0],
                                    .boot_loader = raw[1],
                                    .tee = raw[2],
                                    .snp = raw[3],
                                    .microcode = raw[7]};
        return cczi_is_zero(raw + 4, 3);
    }
    *out = (struct ccz_snp_tcb){
        .boot_loader = raw[0], .tee = raw[1], .snp = raw[6], .microcode = raw[7]};
    return cczi_is_zero(raw + 2, 4);
}

ccz_rc cczi_snp_tcbs_read(struct ccz_snp_claims *out, struct ccz_span signed_bytes,
                          enum ccz_snp_product product, struct ccz_err *err)
{
    const struct {
        struct ccz_snp_tcb *to;
        size_t at;
    } tcbs[] = {{&out->current_tcb, AT_CURRENT_TCB},
                {&out->reported_tcb, AT_REPORTED_TCB},
                {&out->committed_tcb, AT_COMMITTED_TCB},
                {&out->launch_tcb, AT_LAUNCH_TCB}};
    for (size_t i = 0; i < sizeof(tcbs) / sizeof(tcbs[0]); i++) {
        const uint8_t *raw = signed_bytes.ptr + tcbs[i].at;
        if (cczi_snp_tcb_read(tcbs[i].to, raw, product) || product == CCZ_SNP_NONE)
            continue; /* of an unknown product line, the reserved bytes are not known either */
        char got[17], expected[64];
        ccz_hex(got, raw, 8);
        (void)snprintf(expected, sizeof(expected), "a TCB version of %s at offset 0x%zx",
                       ccz_snp_product_name(product), tcbs[i].at);
        return ccz_refuse(err, CCZ_E_FORMAT, "snp:tcb-reserved", got, expected);
    }
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------ fields */

/* Fields that do not become claims. */
struct head {
    uint32_t algorithm, flags;
    uint64_t policy;
    size_t
        used; /* offset of the first reserved byte that is in use, 0 if none (there the version stands) */
};

static void take_reserved(struct head *h, struct ccz_rd *r, size_t size)
{
    size_t at = CCZ_SNP_REPORT_SIZE - r->left;
    struct ccz_span s = ccz_rd_take(r, size);
    for (size_t i = 0; i < s.size && h->used == 0; i++) {
        if (s.ptr[i])
            h->used = at + i;
    }
}

static void take_version(struct ccz_snp_version *out, struct head *h, struct ccz_rd *r)
{
    out->build = ccz_rd_u8(r);
    out->minor = ccz_rd_u8(r);
    out->major = ccz_rd_u8(r);
    take_reserved(h, r, 1);
}

#define TAKE(r, field) ccz_rd_copy(r, field, sizeof(field))

/* 000 to 187 */
static void read_first(struct ccz_snp_report *out, struct head *h, struct ccz_rd *r)
{
    struct ccz_snp_claims *c = &out->claims;
    out->version = ccz_rd_le32(r);
    c->guest_svn = ccz_rd_le32(r);
    struct ccz_rd policy = *r;
    h->policy = ccz_rd_le64(&policy);
    TAKE(r, c->guest_policy);
    TAKE(r, c->family_id);
    TAKE(r, c->image_id);
    c->vmpl = ccz_rd_le32(r);
    h->algorithm = ccz_rd_le32(r);
    (void)ccz_rd_take(r, 8); /* current TCB */
    TAKE(r, c->platform_info);
    h->flags = ccz_rd_le32(r);
    take_reserved(h, r, 4);
    out->report_data = ccz_rd_take(r, 64);
    TAKE(r, c->measurement);
    TAKE(r, c->host_data);
    TAKE(r, c->id_key_digest);
    TAKE(r, c->author_key_digest);
    TAKE(r, c->report_id);
    TAKE(r, c->report_id_ma);
    (void)ccz_rd_take(r, 8); /* reported TCB */
}

/* 188 to the end */
static void read_rest(struct ccz_snp_report *out, struct head *h, struct ccz_rd *r)
{
    struct ccz_snp_claims *c = &out->claims;
    if (out->version >= VERSION_CPUID) {
        c->cpuid_family = ccz_rd_u8(r);
        c->cpuid_model = ccz_rd_u8(r);
        c->cpuid_stepping = ccz_rd_u8(r);
    } else {
        take_reserved(h, r, 3);
    }
    take_reserved(h, r, 21);
    TAKE(r, c->chip_id);
    (void)ccz_rd_take(r, 8); /* committed TCB */
    take_version(&c->current_version, h, r);
    take_version(&c->committed_version, h, r);
    (void)ccz_rd_take(r, 8); /* launch TCB */
    if (out->version >= VERSION_MITIGATION) {
        c->launch_mit_vector = ccz_rd_le64(r);
        c->current_mit_vector = ccz_rd_le64(r);
    } else {
        take_reserved(h, r, 16);
    }
    take_reserved(h, r, SIGNED_SIZE - 0x208);
    struct ccz_rd signature = *r;
    out->signature = ccz_rd_take(&signature, SIGNATURE_SIZE);
    for (int i = 0; i < 2; i++) { /* r and s: 384 of 576 bits */
        (void)ccz_rd_take(r, INT_USED);
        take_reserved(h, r, INT_SIZE - INT_USED);
    }
    take_reserved(h, r, SIGNATURE_SIZE - 2 * INT_SIZE);
}

/* Product lines by CPUID family and model. Genoa includes Bergamo and Siena, which share its keys. */
static enum ccz_snp_product product_of(uint8_t family, uint8_t model)
{
    if (family == 0x19 && model <= 0x0f)
        return CCZ_SNP_MILAN;
    if (family == 0x19 && ((model >= 0x10 && model <= 0x1f) || (model >= 0xa0 && model <= 0xaf)))
        return CCZ_SNP_GENOA;
    if (family == 0x1a && model <= 0x11)
        return CCZ_SNP_TURIN;
    return CCZ_SNP_NONE;
}

/* ------------------------------------------------------------------------------------ checks */

static ccz_rc check_version(const struct ccz_snp_report *r, struct ccz_err *err)
{
    if (r->version >= VERSION_MIN && r->version <= VERSION_MAX)
        return CCZ_OK;
    char got[16];
    (void)snprintf(got, sizeof(got), "%u", r->version);
    return ccz_refuse(err, CCZ_E_UNSUPPORTED, "snp:version", got, "2, 3, 4 or 5");
}

static ccz_rc check_policy(const struct head *h, struct ccz_err *err)
{
    char got[24];
    (void)snprintf(got, sizeof(got), "0x%llx", (unsigned long long)h->policy);
    if (!(h->policy & POLICY_MUST_BE_ONE))
        return ccz_refuse(err, CCZ_E_FORMAT, "snp:policy", got, "bit 17 set");
    if (h->policy & POLICY_RESERVED)
        return ccz_refuse(err, CCZ_E_FORMAT, "snp:policy-reserved", got, "bits 63:26 zero");
    return CCZ_OK;
}

static ccz_rc read_flags(struct ccz_snp_report *r, const struct head *h, struct ccz_err *err)
{
    const uint32_t known = FLAG_AUTHOR_KEY_EN | FLAG_MASK_CHIP_KEY | FLAG_SIGNING_KEY;
    r->author_key_en = (h->flags & FLAG_AUTHOR_KEY_EN) != 0;
    r->chip_key_masked = (h->flags & FLAG_MASK_CHIP_KEY) != 0;
    if (h->flags & ~known)
        return ccz_fail(err, CCZ_E_FORMAT, "snp:flags", h->flags, "reserved bits of the flags 0x%x",
                        h->flags);
    if (!r->author_key_en &&
        !cczi_is_zero(r->claims.author_key_digest, sizeof(r->claims.author_key_digest)))
        return ccz_fail(err, CCZ_E_FORMAT, "snp:author-key", 0,
                        "the digest of an author key, and AUTHOR_KEY_EN clear");
    uint32_t key = (h->flags & FLAG_SIGNING_KEY) >> FLAG_SIGNING_KEY_SHIFT;
    if (key == SIGNING_KEY_VCEK || key == SIGNING_KEY_VLEK) {
        r->signer = key == SIGNING_KEY_VCEK ? CCZ_SNP_VCEK : CCZ_SNP_VLEK;
        r->claims.signer = r->signer;
        return CCZ_OK;
    }
    ccz_rc rc = ccz_fail(err, CCZ_E_UNSUPPORTED, "snp:signing-key", key,
                         "signing key %u is neither VCEK nor VLEK", key);
    return ccz_hint(err, rc, key == SIGNING_KEY_NONE ? "the host has the report not signed" : NULL);
}

static ccz_rc check_fields(struct ccz_snp_report *r, const struct head *h, struct ccz_err *err)
{
    struct ccz_snp_claims *c = &r->claims;
    if (h->algorithm != ALGORITHM_ECDSA_P384_SHA384)
        return ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "snp:signature-algorithm", h->algorithm,
                              ALGORITHM_ECDSA_P384_SHA384);
    ccz_rc rc = check_policy(h, err);
    if (rc == CCZ_OK)
        rc = read_flags(r, h, err);
    if (rc != CCZ_OK)
        return rc;
    if (c->vmpl > VMPL_MAX) /* 0xffffffff: the host asked for this report, not the guest */
        return ccz_refuse_num(err, CCZ_E_FORMAT, "snp:vmpl", c->vmpl, VMPL_MAX);
    if (h->used)
        return ccz_fail(err, CCZ_E_FORMAT,
                        h->used < SIGNED_SIZE ? "snp:reserved" : "snp:signature-reserved",
                        (int64_t)h->used, "reserved byte at offset 0x%zx is in use", h->used);
    if (r->version < VERSION_CPUID)
        return CCZ_OK;
    c->product = product_of(c->cpuid_family, c->cpuid_model);
    if (c->product == CCZ_SNP_NONE)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "snp:cpuid", c->cpuid_model,
                        "family 0x%02x model 0x%02x is no known product line", c->cpuid_family,
                        c->cpuid_model);
    return CCZ_OK;
}

static ccz_rc check_size(size_t size, struct ccz_err *err)
{
    const size_t max = CCZ_SNP_REPORT_SIZE + CCZ_SNP_TABLE_SIZE_MAX;
    if (size < CCZ_SNP_REPORT_SIZE)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "snp:size", (int64_t)size, CCZ_SNP_REPORT_SIZE);
    if (size > max)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "snp:size", (int64_t)size, (int64_t)max);
    return CCZ_OK;
}

ccz_rc ccz_snp_report_parse(struct ccz_snp_report *out, struct ccz_span evidence,
                            struct ccz_err *err)
{
    *out = (struct ccz_snp_report){0};
    ccz_rc rc = check_size(evidence.size, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_snp_report r = {0};
    struct head h = {0};
    struct ccz_rd rd = ccz_rd_from(ccz_span_sub(evidence, 0, CCZ_SNP_REPORT_SIZE));
    r.signed_bytes = ccz_span_sub(evidence, 0, SIGNED_SIZE);
    read_first(&r, &h, &rd);
    rc = check_version(&r, err);
    if (rc == CCZ_OK) {
        read_rest(&r, &h, &rd);
        rc = ccz_rd_done(&rd)
                 ? check_fields(&r, &h, err)
                 : ccz_fail(err, CCZ_E_INTERNAL, "snp:size", 0, "fields and size differ");
    }
    if (rc == CCZ_OK)
        rc = cczi_snp_tcbs_read(&r.claims, r.signed_bytes, r.claims.product, err);
    struct cczi_snp_table table;
    if (rc == CCZ_OK)
        rc = cczi_snp_table_read(
            &table,
            ccz_span_sub(evidence, CCZ_SNP_REPORT_SIZE, evidence.size - CCZ_SNP_REPORT_SIZE), err);
    if (rc != CCZ_OK)
        return rc;
    r.reported_tcb = ccz_span_sub(r.signed_bytes, AT_REPORTED_TCB, 8);
    r.vek = r.signer == CCZ_SNP_VLEK ? table.vlek : table.vcek;
    r.ca = table.ca;
    r.ark = table.ark;
    *out = r;
    return CCZ_OK;
}
