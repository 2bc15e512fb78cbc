/* SPDX-License-Identifier: Apache-2.0 */
/* Verified claims as others read them in attestation results. */
#include "kms_attest.h"

#include <cczoo/codec.h>
#include <cczoo/quote.h>

#include <inttypes.h>
#include <string.h>

/* --------------------------------------------------------------------------------- vector */

static bool is_simulated(const struct ccz_claims *c)
{
    return c->simulated;
}

static bool is_debug(const struct ccz_claims *c)
{
    return c->debug;
}

static bool needs_configuration(const struct ccz_claims *c)
{
    return c->tcb_status == CCZ_TCB_CONFIGURATION_NEEDED ||
           c->tcb_status == CCZ_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED ||
           c->tcb_status == CCZ_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED;
}

/* AMD has no statuses: genuine, and not revoked as far as we were told. */
static bool is_up_to_date(const struct ccz_claims *c)
{
    return c->tee == CCZ_TEE_SNP ? c->revocation_checked : c->tcb_status == CCZ_TCB_UP_TO_DATE;
}

static bool has_known_weakness(const struct ccz_claims *c)
{
    return c->tee == CCZ_TEE_SNP || needs_configuration(c) ||
           c->tcb_status == CCZ_TCB_SW_HARDENING_NEEDED ||
           c->tcb_status == CCZ_TCB_TD_RELAUNCH_ADVISED;
}

/* Values of draft-ietf-rats-ar4si, 2.3.4. What no row is for (outdated, revoked, a status that is new here) is 96. */
static const struct ccz_ear_rule ear_rules[] = {
    {CCZ_EAR_INSTANCE_IDENTITY, 97, is_simulated},
    {CCZ_EAR_INSTANCE_IDENTITY, 2, NULL},
    {CCZ_EAR_CONFIGURATION, 96, is_debug},
    {CCZ_EAR_CONFIGURATION, 32, needs_configuration},
    {CCZ_EAR_CONFIGURATION, 3, NULL},
    {CCZ_EAR_HARDWARE, 97, is_simulated},
    {CCZ_EAR_HARDWARE, 2, is_up_to_date},
    {CCZ_EAR_HARDWARE, 32, has_known_weakness},
};

struct ccz_ear_vector cczi_kms_ear_vector(const struct ccz_claims *c)
{
    return ccz_ear_appraise(ear_rules, sizeof(ear_rules) / sizeof(ear_rules[0]), c);
}

/* --------------------------------------------------------------------------------- claims */

/* One field as hex, lower case, in the order of the evidence. */
struct field {
    const char *name;
    size_t offset, size;
    bool compact;
};
#define FIELD(name, member, compact)                                                               \
    {                                                                                              \
        name, offsetof(struct ccz_claims, member), sizeof(((struct ccz_claims *)0)->member),       \
            compact                                                                                \
    }
static const struct field sgx_fields[] = {
    FIELD("mr_enclave", mrenclave, true),
    FIELD("mr_signer", mrsigner, true),
    FIELD("config_id", config_id, false),
    FIELD("isv_family_id", isv_family_id, false),
    FIELD("isv_ext_prod_id", isv_ext_prod_id, false),
    FIELD("report_data", report_data, false),
};
static const struct field tdx_fields[] = {
    FIELD("mr_td", mrtd, true),
    FIELD("rtmr_0", rtmr[0], true),
    FIELD("rtmr_1", rtmr[1], true),
    FIELD("rtmr_2", rtmr[2], true),
    FIELD("rtmr_3", rtmr[3], true),
    FIELD("mr_config_id", mrconfigid, true),
    FIELD("mr_owner", mrowner, false),
    FIELD("mr_owner_config", mrownerconfig, false),
    FIELD("mr_seam", mrseam, false),
    FIELD("mrsigner_seam", mrsignerseam, false),
    FIELD("mr_servicetd", mrservicetd, false),
    FIELD("seam_attributes", seam_attributes, false),
    FIELD("td_attributes", td_attributes, false),
    FIELD("xfam", xfam, false),
    FIELD("tcb_svn", tee_tcb_svn, false),
    FIELD("tee_tcb_svn2", tee_tcb_svn2, false),
    FIELD("report_data", report_data, false),
};
static const struct field snp_fields[] = {
    FIELD("measurement", snp.measurement, true),
    FIELD("init_data", snp.host_data, true),
    FIELD("chip_id", snp.chip_id, false),
    FIELD("family_id", snp.family_id, false),
    FIELD("image_id", snp.image_id, false),
    FIELD("id_key_digest", snp.id_key_digest, false),
    FIELD("author_key_digest", snp.author_key_digest, false),
    FIELD("report_id", snp.report_id, false),
    FIELD("report_data", report_data, false),
};
#define FIELDS(t) t, sizeof(t) / sizeof((t)[0])

static void put_name(struct ccz_buf *b, const char *name)
{
    char last = b->size ? (char)b->ptr[b->size - 1] : 0;
    ccz_buf_printf(b, "%s\"%s\":", last == '{' ? "" : ",", name);
}

static void put_hex(struct ccz_buf *b, const char *name, const uint8_t *bytes, size_t size)
{
    char hex[2 * 64 + 1];
    put_name(b, name);
    ccz_hex(hex, bytes, size);
    ccz_buf_printf(b, "\"%s\"", hex);
}

static void put_le(struct ccz_buf *b, const char *name, uint64_t v, size_t size)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(v >> 8 * i);
    put_hex(b, name, bytes, size);
}

static void put_num(struct ccz_buf *b, const char *name, uint64_t v)
{
    put_name(b, name);
    ccz_buf_printf(b, "%" PRIu64, v);
}

static void put_bool(struct ccz_buf *b, const char *name, bool v)
{
    put_name(b, name);
    ccz_buf_put_str(b, v ? "true" : "false");
}

static void put_time(struct ccz_buf *b, const char *name, int64_t time_s)
{
    char text[21];
    ccz_time_format(text, time_s);
    put_name(b, name);
    ccz_buf_printf(b, "\"%s\"", text);
}

static void put_fields(struct ccz_buf *b, const struct ccz_claims *c, bool full,
                       const struct field *f, size_t len)
{
    for (; len > 0; f++, len--)
        if (full || f->compact)
            put_hex(b, f->name, (const uint8_t *)c + f->offset, f->size);
}

static void put_sgx(struct ccz_buf *b, const struct ccz_claims *c, bool full)
{
    put_name(b, "body");
    ccz_buf_u8(b, '{');
    put_fields(b, c, full, FIELDS(sgx_fields));
    put_le(b, "isv_prod_id", c->isv_prod_id, 2);
    put_le(b, "isv_svn", c->isv_svn, 2);
    if (full) {
        put_le(b, "config_svn", c->config_svn, 2);
        put_le(b, "misc_select", c->misc_select, 4);
        put_hex(b, "attributes.flags", c->attributes, 8);
        put_hex(b, "attributes.xfrm", c->attributes + 8, 8);
    }
    ccz_buf_u8(b, '}');
}

static void put_tdx(struct ccz_buf *b, const struct ccz_claims *c, bool full)
{
    put_name(b, "quote");
    ccz_buf_put_str(b, "{\"body\":{");
    put_fields(b, c, full, FIELDS(tdx_fields));
    ccz_buf_put_str(b, "}}");
    put_name(b, "td_attributes");
    ccz_buf_u8(b, '{');
    put_bool(b, "debug", c->debug);
    ccz_buf_u8(b, '}');
}

/* Bits of the guest policy and of the platform: AMD 56860, tables 9 and 23. */
static void put_snp(struct ccz_buf *b, const struct ccz_claims *c, bool full)
{
    const struct ccz_snp_claims *s = &c->snp;
    put_fields(b, c, full, FIELDS(snp_fields));
    put_num(b, "vmpl", s->vmpl);
    put_bool(b, "policy_debug_allowed", c->debug);
    put_bool(b, "policy_migrate_ma", s->guest_policy[2] & 4);
    put_bool(b, "policy_smt_allowed", s->guest_policy[2] & 1);
    put_num(b, "reported_tcb_bootloader", s->reported_tcb.boot_loader);
    put_num(b, "reported_tcb_tee", s->reported_tcb.tee);
    put_num(b, "reported_tcb_snp", s->reported_tcb.snp);
    put_num(b, "reported_tcb_microcode", s->reported_tcb.microcode);
    if (!full)
        return;
    put_num(b, "reported_tcb_fmc", s->reported_tcb.fmc);
    put_num(b, "policy_abi_major", s->guest_policy[1]);
    put_num(b, "policy_abi_minor", s->guest_policy[0]);
    put_bool(b, "policy_single_socket", s->guest_policy[2] & 16);
    put_bool(b, "platform_smt_enabled", s->platform_info[0] & 1);
    put_bool(b, "platform_tsme_enabled", s->platform_info[0] & 2);
    put_num(b, "guest_svn", s->guest_svn);
}

static void put_intel_platform(struct ccz_buf *b, const struct ccz_claims *c, bool full)
{
    put_name(b, "tcb_status");
    ccz_buf_printf(b, "\"%s\"", ccz_tcb_status_name(c->tcb_status));
    put_name(b, "advisory_ids");
    ccz_buf_u8(b, '[');
    for (size_t i = 0; i < c->advisory_len; i++) {
        if (i)
            ccz_buf_u8(b, ',');
        ccz_json_put_str(b, ccz_span_str(c->advisory[i]));
    }
    ccz_buf_u8(b, ']');
    if (!full)
        return;
    put_time(b, "tcb_date", c->tcb_date_s);
    put_num(b, "tcb_eval_num", c->tcb_eval_number);
    put_hex(b, "fmspc", c->fmspc, sizeof(c->fmspc));
}

void cczi_kms_ear_claims(struct ccz_buf *out, const struct ccz_claims *c, bool full)
{
    ccz_buf_u8(out, '{');
    if (c->tee == CCZ_TEE_SGX)
        put_sgx(out, c, full);
    else if (c->tee == CCZ_TEE_TDX)
        put_tdx(out, c, full);
    else
        put_snp(out, c, full);
    if (c->tee != CCZ_TEE_SNP)
        put_intel_platform(out, c, full);
    put_bool(out, "debug", c->debug);
    put_bool(out, "simulated", c->simulated);
    if (full) {
        put_bool(out, "revocation_checked", c->revocation_checked);
        put_time(out, "earliest_issue_date", c->collateral_issued_s);
        put_time(out, "earliest_expiration_date", c->collateral_expires_s);
    }
    ccz_buf_u8(out, '}');
}
