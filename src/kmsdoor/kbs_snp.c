/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An SNP report as JSON, field by field, back into the 1184 bytes that its signature covers (AMD 56860, section 7.3), with the certificate table
 * of AMD 56421, section 4.1.8.1, behind it. Numbers are exact up to 2^64 - 1, bytes are arrays of numbers. What is reserved is zero: a report in which
 * it is not has another signature, and JSON has no place for it.
 */
#include "kbs_priv.h"

#include <cczoo/snp.h>

#include <stdio.h>
#include <string.h>

enum { GUID_SIZE = 16, ENTRY_SIZE = 24, VEK_SIZE_MAX = 8192, SIGNATURE_INT = 72, PATH_SIZE = 64 };
enum { TURIN_FAMILY = 0x1a, VERSION_CPUID = 3, VERSION_MITIGATION = 5 };

static const uint8_t guid_vcek[GUID_SIZE] = {0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64,
                                             0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd};
static const uint8_t guid_vlek[GUID_SIZE] = {0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e,
                                             0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8, 0xa1};

/* Reads members of one object; the first that is wrong is kept in `err`. */
struct in {
    const struct ccz_jnode *object;
    const char *path; /* "attestation_report" */
    struct ccz_err *err;
    ccz_rc rc;
};

static void bad(struct in *in, const char *name, const char *expected)
{
    char path[PATH_SIZE];
    if (in->rc != CCZ_OK)
        return;
    (void)snprintf(path, sizeof(path), "%s.%s", in->path, name);
    in->rc = cczi_kbs_missing(in->err, path, expected);
}

static uint64_t uint_of(struct in *in, const char *name, uint64_t max)
{
    uint64_t v;
    if (ccz_jnode_uint(&v, ccz_jnode_get(in->object, name)) && v <= max)
        return v;
    bad(in, name,
        max > UINT32_MAX  ? "a 64-bit number"
        : max > UINT8_MAX ? "a 32-bit number"
                          : "a byte");
    return 0;
}

/* The same of a member that older reports do not have: absent or null is 0. */
static uint64_t uint_or_0(struct in *in, const char *name, uint64_t max)
{
    return ccz_jnode_type(ccz_jnode_get(in->object, name)) == CCZ_JSON_NULL
               ? 0
               : uint_of(in, name, max);
}

/* Elements of an array of bytes, at most @p max. @return false: something else */
static bool put_array(struct ccz_buf *out, const struct ccz_jnode *n, size_t max)
{
    size_t len = ccz_jnode_len(n);
    if (ccz_jnode_type(n) != CCZ_JSON_ARRAY || len > max)
        return false;
    uint8_t *to = ccz_buf_extend(out, len);
    bool ok = to || len == 0;
    size_t i = 0;
    for (const struct ccz_jnode *v = ccz_jnode_first(n); v && ok; v = ccz_jnode_next(v)) {
        uint64_t byte;
        ok = ccz_jnode_uint(&byte, v) && byte <= UINT8_MAX;
        to[i++] = (uint8_t)byte;
    }
    return ok;
}

static void put_bytes(struct ccz_buf *out, struct in *in, const char *name, size_t size)
{
    char expected[48];
    const struct ccz_jnode *n = ccz_jnode_get(in->object, name);
    if (ccz_jnode_len(n) == size && put_array(out, n, size))
        return;
    (void)snprintf(expected, sizeof(expected), "an array of %zu bytes", size);
    bad(in, name, expected);
}

static void put_zeros(struct ccz_buf *out, size_t size)
{
    uint8_t *to = ccz_buf_extend(out, size);
    if (to)
        memset(to, 0, size);
}

/* ---------------------------------------------------------------------------------- parts */

static struct in sub(struct in *in, const char *name)
{
    const struct ccz_jnode *n = ccz_jnode_get(in->object, name);
    if (ccz_jnode_type(n) != CCZ_JSON_OBJECT)
        bad(in, name, "an object");
    return (struct in){n, name, in->err, in->rc};
}

/* TCB_VERSION. @param turin  the layout with FMC */
static void put_tcb(struct ccz_buf *out, struct in *in, const char *name, bool turin)
{
    struct in t = sub(in, name);
    uint8_t fmc = (uint8_t)uint_or_0(&t, "fmc", UINT8_MAX);
    uint8_t bl = (uint8_t)uint_of(&t, "bootloader", UINT8_MAX);
    uint8_t tee = (uint8_t)uint_of(&t, "tee", UINT8_MAX);
    uint8_t snp = (uint8_t)uint_of(&t, "snp", UINT8_MAX);
    uint8_t ucode = (uint8_t)uint_of(&t, "microcode", UINT8_MAX);
    const uint8_t with_fmc[8] = {fmc, bl, tee, snp, 0, 0, 0, ucode};
    const uint8_t without[8] = {bl, tee, 0, 0, 0, 0, snp, ucode};
    if (!turin && fmc)
        bad(&t, "fmc", "null: this processor has none");
    ccz_buf_put(out, turin ? with_fmc : without, 8);
    in->rc = t.rc;
}

static void put_version(struct ccz_buf *out, struct in *in, const char *name)
{
    struct in v = sub(in, name);
    ccz_buf_u8(out, (uint8_t)uint_of(&v, "build", UINT8_MAX));
    ccz_buf_u8(out, (uint8_t)uint_of(&v, "minor", UINT8_MAX));
    ccz_buf_u8(out, (uint8_t)uint_of(&v, "major", UINT8_MAX));
    ccz_buf_u8(out, 0);
    in->rc = v.rc;
}

struct kind {
    uint32_t version;
    bool turin;
};

/* 000 to 18f */
static void put_first(struct ccz_buf *out, struct in *in, const struct kind *k)
{
    ccz_buf_le32(out, k->version);
    ccz_buf_le32(out, (uint32_t)uint_of(in, "guest_svn", UINT32_MAX));
    ccz_buf_le64(out, uint_of(in, "policy", UINT64_MAX));
    put_bytes(out, in, "family_id", 16);
    put_bytes(out, in, "image_id", 16);
    ccz_buf_le32(out, (uint32_t)uint_of(in, "vmpl", UINT32_MAX));
    ccz_buf_le32(out, (uint32_t)uint_of(in, "sig_algo", UINT32_MAX));
    put_tcb(out, in, "current_tcb", k->turin);
    ccz_buf_le64(out, uint_of(in, "plat_info", UINT64_MAX));
    ccz_buf_le32(out, (uint32_t)uint_of(in, "key_info", UINT32_MAX));
    put_zeros(out, 4);
    put_bytes(out, in, "report_data", 64);
    put_bytes(out, in, "measurement", 48);
    put_bytes(out, in, "host_data", 32);
    put_bytes(out, in, "id_key_digest", 48);
    put_bytes(out, in, "author_key_digest", 48);
    put_bytes(out, in, "report_id", 32);
    put_bytes(out, in, "report_id_ma", 32);
    put_tcb(out, in, "reported_tcb", k->turin);
}

/* 188 to 29f. What a version does not have was never in the report, whatever stands in the JSON. */
static void put_second(struct ccz_buf *out, struct in *in, const struct kind *k)
{
    if (k->version >= VERSION_CPUID) {
        ccz_buf_u8(out, (uint8_t)uint_of(in, "cpuid_fam_id", UINT8_MAX));
        ccz_buf_u8(out, (uint8_t)uint_of(in, "cpuid_mod_id", UINT8_MAX));
        ccz_buf_u8(out, (uint8_t)uint_of(in, "cpuid_step", UINT8_MAX));
    } else {
        put_zeros(out, 3);
    }
    put_zeros(out, 21);
    put_bytes(out, in, "chip_id", 64);
    put_tcb(out, in, "committed_tcb", k->turin);
    put_version(out, in, "current");
    put_version(out, in, "committed");
    put_tcb(out, in, "launch_tcb", k->turin);
    if (k->version >= VERSION_MITIGATION) {
        ccz_buf_le64(out, uint_of(in, "launch_mit_vector", UINT64_MAX));
        ccz_buf_le64(out, uint_of(in, "current_mit_vector", UINT64_MAX));
    } else {
        put_zeros(out, 16);
    }
    put_zeros(out, 152);
}

static void put_signature(struct ccz_buf *out, struct in *in)
{
    struct in s = sub(in, "signature");
    put_bytes(out, &s, "r", SIGNATURE_INT);
    put_bytes(out, &s, "s", SIGNATURE_INT);
    put_zeros(out, 512 - 2 * SIGNATURE_INT);
    in->rc = s.rc;
}

static ccz_rc put_report(struct ccz_buf *out, const struct ccz_jnode *primary, struct ccz_err *err)
{
    struct in top = {primary, "primary_evidence", err, CCZ_OK};
    struct in in = sub(&top, "attestation_report");
    struct kind k = {.version = (uint32_t)uint_of(&in, "version", UINT32_MAX)};
    k.turin =
        k.version >= VERSION_CPUID && uint_or_0(&in, "cpuid_fam_id", UINT8_MAX) == TURIN_FAMILY;
    put_first(out, &in, &k);
    put_second(out, &in, &k);
    put_signature(out, &in);
    return in.rc;
}

/* --------------------------------------------------------------------------- certificates */

/* The certificate that signed, if the client sent it: the rest of the chain is the verifier's own. */
struct vek {
    const uint8_t *guid;
    struct ccz_buf der;
};

static ccz_rc bad_certificate(struct ccz_err *err, const char *got, const char *expected)
{
    return ccz_refuse(err, CCZ_E_FORMAT, "kbs:certificates", got, expected);
}

static ccz_rc take_certificate(struct vek *v, const struct ccz_jnode *entry, struct ccz_err *err)
{
    const struct ccz_jnode *type = ccz_jnode_get(entry, "cert_type");
    bool vcek = ccz_span_eq(ccz_jnode_str(type), ccz_span_str("VCEK"));
    bool vlek = ccz_span_eq(ccz_jnode_str(type), ccz_span_str("VLEK"));
    if (ccz_jnode_type(entry) != CCZ_JSON_OBJECT || ccz_jnode_type(type) == CCZ_JSON_NULL)
        return bad_certificate(err, "an entry without cert_type", "cert_type and data");
    if (!vcek && !vlek)
        return CCZ_OK;
    if (v->guid)
        return bad_certificate(err, "two signing certificates", "one VCEK or VLEK");
    v->guid = vcek ? guid_vcek : guid_vlek;
    if (!put_array(&v->der, ccz_jnode_get(entry, "data"), VEK_SIZE_MAX) || v->der.size == 0)
        return bad_certificate(err, vcek ? "VCEK" : "VLEK",
                               "data: an array of bytes, at most 8,192");
    return CCZ_OK;
}

/* One entry, one of zeros, the certificate. */
static void put_table(struct ccz_buf *out, const struct vek *v)
{
    ccz_buf_put(out, v->guid, GUID_SIZE);
    ccz_buf_le32(out, 2 * ENTRY_SIZE);
    ccz_buf_le32(out, (uint32_t)v->der.size);
    put_zeros(out, ENTRY_SIZE);
    ccz_buf_put_span(out, ccz_buf_span(&v->der));
}

static ccz_rc put_certificates(struct ccz_buf *out, const struct ccz_jnode *chain,
                               struct ccz_err *err)
{
    struct vek v = {0};
    ccz_rc rc = CCZ_OK;
    if (ccz_jnode_type(chain) == CCZ_JSON_NULL)
        return CCZ_OK;
    if (ccz_jnode_type(chain) != CCZ_JSON_ARRAY)
        return bad_certificate(err, "cert_chain", "null, or an array of certificates");
    ccz_buf_init(&v.der, VEK_SIZE_MAX);
    for (const struct ccz_jnode *e = ccz_jnode_first(chain); e && rc == CCZ_OK;
         e = ccz_jnode_next(e))
        rc = take_certificate(&v, e, err);
    if (rc == CCZ_OK && v.guid)
        put_table(out, &v);
    ccz_buf_free(&v.der);
    return rc;
}

ccz_rc cczi_kbs_snp_get(struct ccz_buf *out, const struct ccz_jnode *primary, struct ccz_err *err)
{
    size_t before = out->size;
    ccz_rc rc = put_report(out, primary, err);
    if (rc == CCZ_OK)
        rc = put_certificates(out, ccz_jnode_get(primary, "cert_chain"), err);
    if (rc == CCZ_OK && out->bad)
        rc = ccz_fail(err, CCZ_E_LIMIT, "kbs:evidence-size", (int64_t)out->max_size,
                      "no room for the evidence");
    if (rc != CCZ_OK)
        out->size = before;
    return rc;
}
