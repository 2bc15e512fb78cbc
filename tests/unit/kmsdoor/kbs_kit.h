/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KBS_KIT_H
#define KBS_KIT_H
/* What a client of the KBS protocol sends, written from its side: requests, evidence as JSON. */
#include <cczoo/codec.h>
#include <cczoo/jose.h>
#include <cczoo/quote.h>

#include <inttypes.h>
#include <string.h>

static inline void kbs_put_request(struct ccz_buf *out, const char *version, const char *tee)
{
    ccz_buf_printf(out,
                   "{\"version\":\"%s\",\"tee\":\"%s\",\"extra-params\":{\"supported-hash-"
                   "algorithms\":[\"sha256\",\"sha384\",\"sha512\"]}}",
                   version, tee);
}

static inline void kbs_put_array(struct ccz_buf *out, const char *name, const uint8_t *p,
                                 size_t size)
{
    ccz_buf_printf(out, ",\"%s\":[", name);
    for (size_t i = 0; i < size; i++)
        ccz_buf_printf(out, i ? ",%u" : "%u", p[i]);
    ccz_buf_put_str(out, "]");
}

static inline uint64_t kbs_le(const uint8_t *p, size_t size)
{
    uint64_t v = 0;
    for (size_t i = size; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static inline void kbs_put_num(struct ccz_buf *out, const char *name, const uint8_t *p, size_t size)
{
    ccz_buf_printf(out, ",\"%s\":%" PRIu64, name, kbs_le(p, size));
}

static inline void kbs_put_tcb(struct ccz_buf *out, const char *name, const uint8_t *p, int turin)
{
    if (turin)
        ccz_buf_printf(
            out, ",\"%s\":{\"fmc\":%u,\"bootloader\":%u,\"tee\":%u,\"snp\":%u,\"microcode\":%u}",
            name, p[0], p[1], p[2], p[3], p[7]);
    else
        ccz_buf_printf(
            out, ",\"%s\":{\"fmc\":null,\"bootloader\":%u,\"tee\":%u,\"snp\":%u,\"microcode\":%u}",
            name, p[0], p[1], p[6], p[7]);
}

static inline void kbs_put_fw(struct ccz_buf *out, const char *name, const uint8_t *p)
{
    ccz_buf_printf(out, ",\"%s\":{\"major\":%u,\"minor\":%u,\"build\":%u}", name, p[2], p[1], p[0]);
}

/* {"attestation_report":..}: offsets of AMD 56860, section 7.3. @param vek  DER behind the report, or empty */
static inline void kbs_put_snp(struct ccz_buf *out, const uint8_t *r, const char *vek_type,
                               struct ccz_span vek)
{
    uint64_t version = kbs_le(r, 4);
    int turin = version >= 3 && r[0x188] == 0x1a;
    ccz_buf_printf(out, "{\"attestation_report\":{\"version\":%" PRIu64, version);
    kbs_put_num(out, "guest_svn", r + 4, 4);
    kbs_put_num(out, "policy", r + 8, 8);
    kbs_put_array(out, "family_id", r + 0x10, 16);
    kbs_put_array(out, "image_id", r + 0x20, 16);
    kbs_put_num(out, "vmpl", r + 0x30, 4);
    kbs_put_num(out, "sig_algo", r + 0x34, 4);
    kbs_put_tcb(out, "current_tcb", r + 0x38, turin);
    kbs_put_num(out, "plat_info", r + 0x40, 8);
    kbs_put_num(out, "key_info", r + 0x48, 4);
    kbs_put_array(out, "report_data", r + 0x50, 64);
    kbs_put_array(out, "measurement", r + 0x90, 48);
    kbs_put_array(out, "host_data", r + 0xc0, 32);
    kbs_put_array(out, "id_key_digest", r + 0xe0, 48);
    kbs_put_array(out, "author_key_digest", r + 0x110, 48);
    kbs_put_array(out, "report_id", r + 0x140, 32);
    kbs_put_array(out, "report_id_ma", r + 0x160, 32);
    kbs_put_tcb(out, "reported_tcb", r + 0x180, turin);
    if (version >= 3)
        ccz_buf_printf(out, ",\"cpuid_fam_id\":%u,\"cpuid_mod_id\":%u,\"cpuid_step\":%u", r[0x188],
                       r[0x189], r[0x18a]);
    else
        ccz_buf_put_str(out, ",\"cpuid_fam_id\":null,\"cpuid_mod_id\":null,\"cpuid_step\":null");
    kbs_put_array(out, "chip_id", r + 0x1a0, 64);
    kbs_put_tcb(out, "committed_tcb", r + 0x1e0, turin);
    kbs_put_fw(out, "current", r + 0x1e8);
    kbs_put_fw(out, "committed", r + 0x1ec);
    kbs_put_tcb(out, "launch_tcb", r + 0x1f0, turin);
    if (version >= 5) {
        kbs_put_num(out, "launch_mit_vector", r + 0x1f8, 8);
        kbs_put_num(out, "current_mit_vector", r + 0x200, 8);
    } else if (version == 4) {
        ccz_buf_put_str(out, ",\"launch_mit_vector\":null,\"current_mit_vector\":null");
    }
    ccz_buf_put_str(out, ",\"signature\":{\"none\":0");
    kbs_put_array(out, "r", r + 0x2a0, 72);
    kbs_put_array(out, "s", r + 0x2e8, 72);
    ccz_buf_put_str(out, "}}");
    if (vek.size) {
        ccz_buf_printf(
            out, ",\"cert_chain\":[{\"cert_type\":\"ARK\",\"data\":[48]},{\"cert_type\":\"%s\"",
            vek_type);
        kbs_put_array(out, "data", vek.ptr, vek.size);
        ccz_buf_put_str(
            out,
            "},{\"cert_type\":{\"OTHER\":\"00000000-0000-0000-0000-000000000001\"},\"data\":[]}]}");
    } else {
        ccz_buf_put_str(out, ",\"cert_chain\":null}");
    }
}

/* The certificate behind a report, found by its GUID's first bytes; empty if there is none. */
static inline struct ccz_span kbs_vek_of(const char **type, struct ccz_span evidence)
{
    for (size_t at = 1184; at + 24 <= evidence.size; at += 24) {
        const uint8_t *e = evidence.ptr + at;
        *type = e[0] == 0x63 && e[1] == 0xda   ? "VCEK"
                : e[0] == 0xa8 && e[1] == 0x07 ? "VLEK"
                                               : NULL;
        if (*type)
            return ccz_span_sub(evidence, 1184 + kbs_le(e + 16, 4), kbs_le(e + 20, 4));
    }
    return (struct ccz_span){0};
}

static inline void kbs_put_evidence(struct ccz_buf *out, enum ccz_tee tee, struct ccz_span evidence)
{
    if (tee == CCZ_TEE_SNP) {
        const char *type = NULL;
        struct ccz_span vek = kbs_vek_of(&type, evidence);
        kbs_put_snp(out, evidence.ptr, type, vek);
        return;
    }
    ccz_buf_put_str(out,
                    tee == CCZ_TEE_TDX ? "{\"cc_eventlog\":null,\"quote\":\"" : "{\"quote\":\"");
    ccz_base64_put(out, evidence, CCZ_BASE64_STD);
    ccz_buf_put_str(out, "\"}");
}

/* @param init_data  JSON of the member */
static inline void kbs_put_attestation(struct ccz_buf *out, const char *nonce,
                                       const struct ccz_jwk *key, enum ccz_tee tee,
                                       struct ccz_span evidence, const char *init_data)
{
    ccz_buf_printf(out, "{\"init-data\":%s,\"runtime-data\":{\"nonce\":\"%s\",\"tee-pubkey\":",
                   init_data, nonce);
    ccz_jwk_put(out, key, CCZ_JWK_TEE);
    ccz_buf_put_str(out, "},\"tee-evidence\":{\"primary_evidence\":");
    kbs_put_evidence(out, tee, evidence);
    ccz_buf_put_str(out, ",\"additional_evidence\":\"\"}}");
}
#endif
