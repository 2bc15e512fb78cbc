/* SPDX-License-Identifier: Apache-2.0 */
/* Claims as bytes and back, by one table. */
#include <cczoo/crypto.h>

#include "quote/snp_priv.h"

#include <assert.h>
#include <string.h>

enum { FORMAT = 1 };

enum kind {
    BYTES,     /* as they are */
    NUM,       /* unsigned, little-endian */
    FLAG,      /* 0 or 1 */
    ENUM,      /* one byte, at most `max` */
    TIME,      /* 8 bytes */
    TEXT,      /* a byte with its length, then the text */
    ADVISORIES /* a byte with how many, then texts */
};

struct field {
    enum kind kind;
    uint8_t tees; /* 1 << enum ccz_tee: claims that have it */
    bool
        passing; /* differs from one evidence of the same workload on the same platform to the next */
    uint8_t max; /* of an ENUM */
    size_t offset, size;
};

#define SGX   (1u << CCZ_TEE_SGX)
#define TDX   (1u << CCZ_TEE_TDX)
#define SNP   (1u << CCZ_TEE_SNP)
#define INTEL (SGX | TDX)
#define ALL   (SGX | TDX | SNP)
#define FIELD(kind, tees, passing, max, member)                                                    \
    {                                                                                              \
        kind, tees, passing, max, offsetof(struct ccz_claims, member),                             \
            sizeof(((struct ccz_claims *)0)->member)                                               \
    }
#define STAYS(kind, tees, member)      FIELD(kind, tees, false, 0, member)
#define PASSES(kind, tees, member)     FIELD(kind, tees, true, 0, member)
#define CHOICE(tees, member, greatest) FIELD(ENUM, tees, false, greatest, member)

/* The order is the format's: what is new goes to the end, under another FORMAT. */
static const struct field fields[] = {
    STAYS(NUM, ALL, quote_version),
    STAYS(FLAG, ALL, simulated),
    STAYS(FLAG, ALL, revocation_checked),
    STAYS(FLAG, ALL, debug),
    PASSES(BYTES, ALL, report_data),
    PASSES(TIME, ALL, collateral_issued_s),
    PASSES(TIME, ALL, collateral_expires_s),
    STAYS(BYTES, SGX, mrenclave),
    STAYS(BYTES, SGX, mrsigner),
    STAYS(NUM, SGX, isv_prod_id),
    STAYS(NUM, SGX, isv_svn),
    STAYS(BYTES, SGX, attributes),
    STAYS(NUM, SGX, misc_select),
    STAYS(BYTES, SGX, config_id),
    STAYS(BYTES, SGX, isv_family_id),
    STAYS(BYTES, SGX, isv_ext_prod_id),
    STAYS(NUM, SGX, config_svn),
    STAYS(BYTES, TDX, mrtd),
    STAYS(BYTES, TDX, rtmr),
    STAYS(BYTES, TDX, mrconfigid),
    STAYS(BYTES, TDX, mrowner),
    STAYS(BYTES, TDX, mrownerconfig),
    STAYS(BYTES, TDX, mrseam),
    STAYS(BYTES, TDX, mrsignerseam),
    STAYS(BYTES, TDX, mrservicetd),
    STAYS(BYTES, TDX, td_attributes),
    STAYS(BYTES, TDX, xfam),
    STAYS(BYTES, TDX, seam_attributes),
    STAYS(BYTES, TDX, tee_tcb_svn),
    STAYS(BYTES, TDX, tee_tcb_svn2),
    STAYS(BYTES, INTEL, cpu_svn),
    STAYS(BYTES, INTEL, fmspc),
    STAYS(BYTES, INTEL, pce_id),
    STAYS(BYTES, INTEL, ppid),
    STAYS(NUM, INTEL, qe_isv_svn),
    CHOICE(INTEL, tcb_status, CCZ_TCB_REVOKED),
    CHOICE(INTEL, platform_status, CCZ_TCB_REVOKED),
    CHOICE(INTEL, qe_status, CCZ_TCB_REVOKED),
    CHOICE(INTEL, module_status, CCZ_TCB_REVOKED),
    PASSES(TIME, INTEL, tcb_date_s),
    PASSES(NUM, INTEL, tcb_eval_number),
    STAYS(ADVISORIES, INTEL, advisory),
    CHOICE(SNP, snp.product, CCZ_SNP_TURIN),
    CHOICE(SNP, snp.signer, CCZ_SNP_VLEK),
    STAYS(NUM, SNP, snp.guest_svn),
    STAYS(NUM, SNP, snp.vmpl),
    STAYS(BYTES, SNP, snp.guest_policy),
    STAYS(BYTES, SNP, snp.platform_info),
    STAYS(BYTES, SNP, snp.measurement),
    STAYS(BYTES, SNP, snp.host_data),
    STAYS(BYTES, SNP, snp.id_key_digest),
    STAYS(BYTES, SNP, snp.author_key_digest),
    STAYS(BYTES, SNP, snp.family_id),
    STAYS(BYTES, SNP, snp.image_id),
    PASSES(BYTES, SNP, snp.report_id),
    STAYS(BYTES, SNP, snp.report_id_ma),
    STAYS(BYTES, SNP, snp.chip_id),
    STAYS(BYTES, SNP, snp.reported_tcb),
    STAYS(BYTES, SNP, snp.current_tcb),
    STAYS(BYTES, SNP, snp.committed_tcb),
    STAYS(BYTES, SNP, snp.launch_tcb),
    STAYS(BYTES, SNP, snp.current_version),
    STAYS(BYTES, SNP, snp.committed_version),
    STAYS(NUM, SNP, snp.launch_mit_vector),
    STAYS(NUM, SNP, snp.current_mit_vector),
    STAYS(NUM, SNP, snp.cpuid_family),
    STAYS(NUM, SNP, snp.cpuid_model),
    STAYS(NUM, SNP, snp.cpuid_stepping),
    STAYS(TEXT, SNP, snp.csp_id),
};
enum { FIELDS_LEN = sizeof(fields) / sizeof(fields[0]) };
static_assert(sizeof(struct ccz_snp_tcb) == 5 && sizeof(struct ccz_snp_version) == 3,
              "one byte per part, in order: they are written as they are");
static_assert(sizeof(enum ccz_tcb_status) == sizeof(unsigned) &&
                  sizeof(enum ccz_snp_product) == sizeof(unsigned) &&
                  sizeof(enum ccz_snp_signer) == sizeof(unsigned),
              "enumerators are read as unsigned numbers");

static const uint8_t *at(const struct field *f, const struct ccz_claims *c)
{
    return (const uint8_t *)c + f->offset;
}

/* ----------------------------------------------------------------------------------- values */

static bool all_zero(const void *p, size_t size)
{
    static const uint8_t zero[CCZ_ADVISORIES_MAX * CCZ_ADVISORY_SIZE]; /* the largest member */
    return memcmp(p, zero, size) == 0;
}

static bool text_ok(const char *s, size_t size, bool may_be_empty)
{
    const char *end = memchr(s, 0, size);
    if (!end || (end == s && !may_be_empty))
        return false;
    return all_zero(end, (size_t)(s + size - end)); /* what is behind it would be lost */
}

static bool advisories_ok(const struct ccz_claims *c)
{
    const size_t len = c->advisory_len;
    if (len > CCZ_ADVISORIES_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!text_ok(c->advisory[i], CCZ_ADVISORY_SIZE, false))
            return false;
        for (size_t k = 0; k < i; k++)
            if (strcmp(c->advisory[i], c->advisory[k]) == 0)
                return false;
    }
    return all_zero((const char *)c->advisory + len * CCZ_ADVISORY_SIZE,
                    sizeof(c->advisory) - len * CCZ_ADVISORY_SIZE);
}

static bool value_ok(const struct field *f, const struct ccz_claims *c)
{
    unsigned e;
    switch (f->kind) {
    case ENUM:
        memcpy(&e, at(f, c), sizeof(e));
        return e <= f->max;
    case TEXT:
        return text_ok((const char *)at(f, c), f->size, true);
    case ADVISORIES:
        return advisories_ok(c);
    default:
        return true;
    }
}

static bool is_zero(const struct field *f, const struct ccz_claims *c)
{
    return all_zero(at(f, c), f->size) && (f->kind != ADVISORIES || c->advisory_len == 0);
}

static bool has(const struct field *f, enum ccz_tee tee)
{
    return (f->tees & 1u << tee) != 0;
}

/* ---------------------------------------------------------------------------------- writing */

static uint64_t number(const struct field *f, const struct ccz_claims *c)
{
    uint64_t v = 0;
    uint16_t v16;
    uint32_t v32;
    switch (f->size) {
    case 1:
        return *at(f, c);
    case sizeof(v16):
        memcpy(&v16, at(f, c), sizeof(v16));
        return v16;
    case sizeof(v32):
        memcpy(&v32, at(f, c), sizeof(v32));
        return v32;
    default:
        memcpy(&v, at(f, c), sizeof(v));
        return v;
    }
}

static void put_text(struct ccz_buf *out, const char *s)
{
    ccz_buf_u8(out, (uint8_t)strlen(s));
    ccz_buf_put_str(out, s);
}

static void put_field(struct ccz_buf *out, const struct field *f, const struct ccz_claims *c)
{
    switch (f->kind) {
    case BYTES:
        ccz_buf_put(out, at(f, c), f->size);
        return;
    case FLAG:
    case NUM:
    case TIME:
        for (size_t i = 0; i < f->size; i++)
            ccz_buf_u8(out, (uint8_t)(number(f, c) >> 8 * i));
        return;
    case ENUM:
        ccz_buf_u8(out, (uint8_t)number(f, c));
        return;
    case TEXT:
        put_text(out, (const char *)at(f, c));
        return;
    case ADVISORIES:
        ccz_buf_u8(out, (uint8_t)c->advisory_len);
        for (size_t i = 0; i < c->advisory_len; i++)
            put_text(out, c->advisory[i]);
        return;
    }
}

static ccz_rc check(const struct ccz_claims *c, struct ccz_err *err)
{
    if (c->tee < CCZ_TEE_SGX || c->tee > CCZ_TEE_SNP)
        return ccz_fail(err, CCZ_E_ARG, "claims:tee", c->tee, "claims of no TEE have no encoding");
    for (size_t i = 0; i < FIELDS_LEN; i++) {
        if (!has(&fields[i], c->tee) && !is_zero(&fields[i], c))
            return ccz_fail(err, CCZ_E_ARG, "claims:other-tee", (int64_t)i,
                            "member %zu does not belong to claims of tee %s", i,
                            ccz_tee_name(c->tee));
        if (!value_ok(&fields[i], c))
            return ccz_fail(err, CCZ_E_ARG, "claims:value", (int64_t)i,
                            "member %zu has a value that no evidence has", i);
    }
    return CCZ_OK;
}

/* @param all  false: only what stays the same */
static ccz_rc put(struct ccz_buf *out, const struct ccz_claims *c, bool all, struct ccz_err *err)
{
    ccz_rc rc = check(c, err);
    if (rc != CCZ_OK)
        return rc;
    size_t before = out->size;
    ccz_buf_u8(out, FORMAT);
    ccz_buf_u8(out, (uint8_t)c->tee);
    for (size_t i = 0; i < FIELDS_LEN; i++)
        if (has(&fields[i], c->tee) && (all || !fields[i].passing))
            put_field(out, &fields[i], c);
    if (!out->bad)
        return CCZ_OK;
    out->size = before;
    return ccz_fail(err, CCZ_E_LIMIT, "claims:put", (int64_t)out->max_size,
                    "no room for the encoding of claims");
}

ccz_rc ccz_claims_put(struct ccz_buf *out, const struct ccz_claims *c, struct ccz_err *err)
{
    return put(out, c, true, err);
}

ccz_rc ccz_claims_identity(uint8_t out[32], const struct ccz_claims *c, struct ccz_err *err)
{
    static const char label[] = "cczoo claims identity"; /* with its NUL */
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, sizeof(label) + CCZ_CLAIMS_SIZE_MAX);
    ccz_buf_put(&b, label, sizeof(label));
    ccz_rc rc = put(&b, c, false, err);
    if (rc == CCZ_OK && ccz_sha256(out, ccz_buf_span(&b)) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_LIMIT, "claims:put", 0, "cannot hash claims");
    if (rc != CCZ_OK)
        memset(out, 0, 32);
    return rc;
}

/* ---------------------------------------------------------------------------------- reading */

static void set_number(uint8_t *to, size_t size, uint64_t v)
{
    uint8_t v8 = (uint8_t)v;
    uint16_t v16 = (uint16_t)v;
    uint32_t v32 = (uint32_t)v;
    switch (size) {
    case 1:
        memcpy(to, &v8, sizeof(v8));
        return;
    case sizeof(v16):
        memcpy(to, &v16, sizeof(v16));
        return;
    case sizeof(v32):
        memcpy(to, &v32, sizeof(v32));
        return;
    default:
        memcpy(to, &v, sizeof(v));
    }
}

/* A text that ends early, or is empty where none may be, has another encoding or none. */
static bool get_text(char *to, size_t size, struct ccz_rd *r)
{
    struct ccz_span s = ccz_rd_take(r, ccz_rd_u8(r));
    if (r->bad || s.size >= size || (s.size && memchr(s.ptr, 0, s.size)))
        return false;
    if (s.size)
        memcpy(to, s.ptr, s.size);
    return true;
}

static bool get_advisories(struct ccz_claims *c, struct ccz_rd *r)
{
    size_t len = ccz_rd_u8(r);
    if (len > CCZ_ADVISORIES_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!get_text(c->advisory[i], CCZ_ADVISORY_SIZE, r))
            return false;
    c->advisory_len = len;
    return true;
}

/* False: a value that is never written. */
static bool get_field(struct ccz_claims *c, const struct field *f, struct ccz_rd *r)
{
    uint8_t *to = (uint8_t *)c + f->offset;
    uint64_t v = 0;
    switch (f->kind) {
    case BYTES:
        ccz_rd_copy(r, to, f->size);
        return true;
    case NUM:
    case TIME:
        for (size_t i = 0; i < f->size; i++)
            v |= (uint64_t)ccz_rd_u8(r) << 8 * i;
        set_number(to, f->size, v);
        return true;
    case FLAG:
        v = ccz_rd_u8(r);
        set_number(to, f->size, v & 1); /* a bool holds nothing else */
        return v <= 1;
    case ENUM:
        set_number(to, f->size, ccz_rd_u8(r));
        return value_ok(f, c);
    case TEXT:
        return get_text((char *)to, f->size, r);
    case ADVISORIES:
        return get_advisories(c, r) && advisories_ok(c);
    }
    return false;
}

static ccz_rc get(struct ccz_claims *c, struct ccz_span in, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    uint8_t format = ccz_rd_u8(&r), tee = ccz_rd_u8(&r);
    if (r.bad)
        return ccz_fail(err, CCZ_E_FORMAT, "claims:size", (int64_t)in.size,
                        "truncated encoding of claims");
    if (format != FORMAT)
        return ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "claims:format", format, FORMAT);
    if (tee < CCZ_TEE_SGX || tee > CCZ_TEE_SNP)
        return ccz_fail(err, CCZ_E_FORMAT, "claims:tee", tee, "there is no TEE %u", tee);
    c->tee = (enum ccz_tee)tee;
    for (size_t i = 0; i < FIELDS_LEN; i++)
        if (has(&fields[i], c->tee) && !get_field(c, &fields[i], &r) && !r.bad)
            return ccz_fail(err, CCZ_E_FORMAT, "claims:value", (int64_t)i,
                            "member %zu has a value that is never written", i);
    return ccz_rd_done(&r) ? CCZ_OK
                           : ccz_fail(err, CCZ_E_FORMAT, "claims:size", (int64_t)in.size,
                                      "truncated encoding of claims, or bytes behind it");
}

ccz_rc ccz_claims_get(struct ccz_claims *out, struct ccz_span in, struct ccz_err *err)
{
    *out = (struct ccz_claims){0};
    ccz_rc rc = get(out, in, err);
    if (rc != CCZ_OK)
        *out = (struct ccz_claims){0};
    return rc;
}
