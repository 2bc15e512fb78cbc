/* SPDX-License-Identifier: Apache-2.0 */
/* Claims: what a verified quote or SNP report says, as a structure and as JSON. */
#include "quote/snp_priv.h"

#include <inttypes.h>
#include <string.h>

const char *ccz_tee_name(enum ccz_tee tee)
{
    switch (tee) {
    case CCZ_TEE_NONE:
        return "none";
    case CCZ_TEE_SGX:
        return "sgx";
    case CCZ_TEE_TDX:
        return "tdx";
    case CCZ_TEE_SNP:
        return "snp";
    }
    return "none";
}

const char *ccz_snp_product_name(enum ccz_snp_product p)
{
    switch (p) {
    case CCZ_SNP_NONE:
        return "none";
    case CCZ_SNP_MILAN:
        return "Milan";
    case CCZ_SNP_GENOA:
        return "Genoa";
    case CCZ_SNP_TURIN:
        return "Turin";
    }
    return "none";
}

const char *ccz_snp_signer_name(enum ccz_snp_signer s)
{
    switch (s) {
    case CCZ_SNP_SIGNER_NONE:
        return "none";
    case CCZ_SNP_VCEK:
        return "vcek";
    case CCZ_SNP_VLEK:
        return "vlek";
    }
    return "none";
}

/* --------------------------------------------------------------------------------- filling */

#define COPY(to, from)                                                                             \
    do {                                                                                           \
        _Static_assert(sizeof(to) == sizeof(from), "fields of equal size");                        \
        memcpy(to, from, sizeof(to));                                                              \
    } while (0)

static void fill_sgx(struct ccz_claims *out, const struct ccz_quote *q)
{
    enum { FLAG_DEBUG = 0x02 };
    struct cczi_sgx_report r;
    cczi_sgx_report_read(&r, q->body);
    COPY(out->report_data, r.report_data);
    COPY(out->mrenclave, r.mrenclave);
    COPY(out->mrsigner, r.mrsigner);
    COPY(out->attributes, r.attributes);
    COPY(out->config_id, r.config_id);
    COPY(out->isv_family_id, r.isv_family_id);
    COPY(out->isv_ext_prod_id, r.isv_ext_prod_id);
    out->misc_select = (uint32_t)r.misc_select[0] | (uint32_t)r.misc_select[1] << 8 |
                       (uint32_t)r.misc_select[2] << 16 | (uint32_t)r.misc_select[3] << 24;
    out->isv_prod_id = r.isv_prod_id;
    out->isv_svn = r.isv_svn;
    out->config_svn = r.config_svn;
    out->debug = (r.attributes[0] & FLAG_DEBUG) != 0;
}

static void fill_td(struct ccz_claims *out, const struct cczi_td_report *td)
{
    COPY(out->report_data, td->report_data);
    COPY(out->mrtd, td->mrtd);
    COPY(out->rtmr, td->rtmr);
    COPY(out->mrconfigid, td->mrconfigid);
    COPY(out->mrowner, td->mrowner);
    COPY(out->mrownerconfig, td->mrownerconfig);
    COPY(out->mrseam, td->mrseam);
    COPY(out->mrsignerseam, td->mrsignerseam);
    COPY(out->mrservicetd, td->mrservicetd);
    COPY(out->td_attributes, td->td_attributes);
    COPY(out->xfam, td->xfam);
    COPY(out->seam_attributes, td->seam_attributes);
    COPY(out->tee_tcb_svn, td->tee_tcb_svn);
    COPY(out->tee_tcb_svn2, td->tee_tcb_svn2);
    /* Bits 7:0 are the group "TD under debug": with any of them set the host may read the TD. */
    out->debug = td->td_attributes[0] != 0;
}

void cczi_claims_fill(struct ccz_claims *out, const struct cczi_claims_in *in)
{
    const struct ccz_collateral *c = in->collateral;
    *out = (struct ccz_claims){
        .tee = in->quote->tee,
        .quote_version = in->quote->version,
        .simulated = in->evidence->root.simulated,
        .revocation_checked = true,
        .qe_isv_svn = in->qe->isv_svn,
        .tcb_status = in->tcb->status,
        .platform_status = in->tcb->platform,
        .qe_status = in->tcb->qe,
        .module_status = in->tcb->module,
        .tcb_date_s = in->tcb->date_s,
        .tcb_eval_number = c->tcb_info.eval_number < c->qe_identity.eval_number
                               ? c->tcb_info.eval_number
                               : c->qe_identity.eval_number,
        .advisory_len = in->tcb->advisories.len,
        .collateral_issued_s = c->issued_s,
        .collateral_expires_s = c->expires_s,
    };
    COPY(out->advisory, in->tcb->advisories.id);
    COPY(out->cpu_svn, in->evidence->pck.cpu_svn);
    COPY(out->fmspc, in->evidence->pck.fmspc);
    COPY(out->pce_id, in->evidence->pck.pce_id);
    COPY(out->ppid, in->evidence->pck.ppid);
    for (size_t i = 0; i < CCZI_CHAIN_LEN_MAX; i++) {
        if (in->evidence->windows[i].until_s < out->collateral_expires_s)
            out->collateral_expires_s = in->evidence->windows[i].until_s;
    }
    if (in->td)
        fill_td(out, in->td);
    else
        fill_sgx(out, in->quote);
}

void cczi_claims_fill_snp(struct ccz_claims *out, const struct ccz_snp_report *r,
                          const struct cczi_evidence *vek, const struct ccz_snp_collateral *c)
{
    enum { POLICY_DEBUG_BYTE = 2, POLICY_DEBUG = 0x08 }; /* bit 19 */
    *out = (struct ccz_claims){
        .tee = CCZ_TEE_SNP,
        .quote_version = (uint16_t)r->version,
        .simulated = c->root.simulated,
        .revocation_checked = c->crl != NULL,
        .snp = r->claims,
        .debug = (r->claims.guest_policy[POLICY_DEBUG_BYTE] & POLICY_DEBUG) != 0,
        .collateral_issued_s = c->issued_s,
        .collateral_expires_s = c->expires_s,
    };
    memcpy(out->report_data, r->report_data.ptr, sizeof(out->report_data));
    COPY(out->snp.csp_id, vek->vek.csp_id);
    if (vek->windows[0].until_s < out->collateral_expires_s)
        out->collateral_expires_s = vek->windows[0].until_s;
}

/* ------------------------------------------------------------------------------------ JSON */

static void put_hex(struct ccz_buf *out, const char *name, const void *bytes, size_t size)
{
    char hex[2 * 64 + 1];
    ccz_hex(hex, bytes, size);
    ccz_buf_printf(out, ",\"%s\":\"%s\"", name, hex);
}

static void put_num(struct ccz_buf *out, const char *name, uint32_t v)
{
    ccz_buf_printf(out, ",\"%s\":%u", name, v);
}

static void put_bool(struct ccz_buf *out, const char *name, bool v)
{
    ccz_buf_printf(out, ",\"%s\":%s", name, v ? "true" : "false");
}

static void put_date(struct ccz_buf *out, const char *name, int64_t t_s)
{
    char text[21];
    ccz_time_format(text, t_s);
    ccz_buf_printf(out, ",\"%s\":\"%s\"", name, text);
}

static void put_status(struct ccz_buf *out, const char *name, enum ccz_tcb_status s)
{
    ccz_buf_printf(out, ",\"%s\":\"%s\"", name, ccz_tcb_status_name(s));
}

#define PUT_HEX(out, c, field) put_hex(out, #field, (c)->field, sizeof((c)->field))

static void put_sgx(struct ccz_buf *out, const struct ccz_claims *c)
{
    PUT_HEX(out, c, mrenclave);
    PUT_HEX(out, c, mrsigner);
    put_num(out, "isv_prod_id", c->isv_prod_id);
    put_num(out, "isv_svn", c->isv_svn);
    PUT_HEX(out, c, attributes);
    put_num(out, "misc_select", c->misc_select);
    PUT_HEX(out, c, config_id);
    PUT_HEX(out, c, isv_family_id);
    PUT_HEX(out, c, isv_ext_prod_id);
    put_num(out, "config_svn", c->config_svn);
}

static void put_td(struct ccz_buf *out, const struct ccz_claims *c)
{
    PUT_HEX(out, c, mrtd);
    ccz_buf_put_str(out, ",\"rtmr\":[");
    for (int i = 0; i < 4; i++) {
        char hex[2 * 48 + 1];
        ccz_hex(hex, c->rtmr[i], 48);
        ccz_buf_printf(out, "%s\"%s\"", i ? "," : "", hex);
    }
    ccz_buf_put_str(out, "]");
    PUT_HEX(out, c, mrconfigid);
    PUT_HEX(out, c, mrowner);
    PUT_HEX(out, c, mrownerconfig);
    PUT_HEX(out, c, mrseam);
    PUT_HEX(out, c, mrsignerseam);
    PUT_HEX(out, c, mrservicetd);
    PUT_HEX(out, c, td_attributes);
    PUT_HEX(out, c, xfam);
    PUT_HEX(out, c, seam_attributes);
    PUT_HEX(out, c, tee_tcb_svn);
    PUT_HEX(out, c, tee_tcb_svn2);
}

static void put_tcb(struct ccz_buf *out, const struct ccz_claims *c)
{
    put_status(out, "tcb_status", c->tcb_status);
    put_status(out, "platform_status", c->platform_status);
    put_status(out, "qe_status", c->qe_status);
    put_status(out, "module_status", c->module_status);
    put_date(out, "tcb_date", c->tcb_date_s);
    put_num(out, "tcb_eval_number", c->tcb_eval_number);
    ccz_buf_put_str(out, ",\"advisories\":[");
    for (size_t i = 0; i < c->advisory_len && i < CCZ_ADVISORIES_MAX; i++) {
        if (i)
            ccz_buf_put_str(out, ",");
        ccz_json_put_str(out, ccz_span_str(c->advisory[i]));
    }
    ccz_buf_put_str(out, "]");
}

static void put_u64(struct ccz_buf *out, const char *name, uint64_t v)
{
    ccz_buf_printf(out, ",\"%s\":%" PRIu64, name, v);
}

static void put_snp_tcb(struct ccz_buf *out, const char *name, const struct ccz_snp_tcb *t)
{
    ccz_buf_printf(out,
                   ",\"%s\":{\"fmc\":%u,\"boot_loader\":%u,\"tee\":%u,\"snp\":%u,\"microcode\":%u}",
                   name, t->fmc, t->boot_loader, t->tee, t->snp, t->microcode);
}

static void put_snp_version(struct ccz_buf *out, const char *name, const struct ccz_snp_version *v)
{
    ccz_buf_printf(out, ",\"%s\":{\"major\":%u,\"minor\":%u,\"build\":%u}", name, v->major,
                   v->minor, v->build);
}

struct bit {
    const char *name;
    uint8_t bit;
};

/* Bits of a little-endian u64 by name. */
static void put_bits(struct ccz_buf *out, const uint8_t field[8], const struct bit *bits,
                     size_t len)
{
    for (size_t i = 0; i < len; i++)
        put_bool(out, bits[i].name, (field[bits[i].bit / 8] >> bits[i].bit % 8 & 1) != 0);
}

static void put_snp_platform(struct ccz_buf *out, const struct ccz_snp_claims *s)
{
    static const struct bit policy[] = {
        {"smt", 16},
        {"migrate_ma", 18},
        {"single_socket", 20},
        {"cxl", 21},
        {"mem_aes_256_xts", 22},
        {"rapl_dis", 23},
        {"ciphertext_hiding_dram", 24},
        {"page_swap_disable", 25},
    };
    static const struct bit platform[] = {
        {"smt_en", 0},
        {"tsme_en", 1},
        {"ecc_en", 2},
        {"rapl_dis_en", 3},
        {"ciphertext_hiding_dram_en", 4},
        {"alias_check_complete", 5},
        {"tio_en", 7},
    };
    PUT_HEX(out, s, guest_policy);
    put_num(out, "abi_major", s->guest_policy[1]);
    put_num(out, "abi_minor", s->guest_policy[0]);
    put_bits(out, s->guest_policy, policy, sizeof(policy) / sizeof(policy[0]));
    PUT_HEX(out, s, platform_info);
    put_bits(out, s->platform_info, platform, sizeof(platform) / sizeof(platform[0]));
}

static void put_snp(struct ccz_buf *out, const struct ccz_snp_claims *s)
{
    ccz_buf_printf(out, ",\"product\":\"%s\",\"signer\":\"%s\"", ccz_snp_product_name(s->product),
                   ccz_snp_signer_name(s->signer));
    ccz_buf_put_str(out, ",\"csp_id\":");
    ccz_json_put_str(out, ccz_span_str(s->csp_id));
    PUT_HEX(out, s, measurement);
    PUT_HEX(out, s, host_data);
    put_num(out, "vmpl", s->vmpl);
    put_num(out, "guest_svn", s->guest_svn);
    put_snp_platform(out, s);
    PUT_HEX(out, s, id_key_digest);
    PUT_HEX(out, s, author_key_digest);
    PUT_HEX(out, s, family_id);
    PUT_HEX(out, s, image_id);
    PUT_HEX(out, s, report_id);
    PUT_HEX(out, s, report_id_ma);
    PUT_HEX(out, s, chip_id);
    put_snp_tcb(out, "reported_tcb", &s->reported_tcb);
    put_snp_tcb(out, "current_tcb", &s->current_tcb);
    put_snp_tcb(out, "committed_tcb", &s->committed_tcb);
    put_snp_tcb(out, "launch_tcb", &s->launch_tcb);
    put_snp_version(out, "current_version", &s->current_version);
    put_snp_version(out, "committed_version", &s->committed_version);
    put_u64(out, "launch_mit_vector", s->launch_mit_vector);
    put_u64(out, "current_mit_vector", s->current_mit_vector);
    put_num(out, "cpuid_family", s->cpuid_family);
    put_num(out, "cpuid_model", s->cpuid_model);
    put_num(out, "cpuid_stepping", s->cpuid_stepping);
}

/* What comes from Intel's PCK certificate and collateral. */
static void put_intel(struct ccz_buf *out, const struct ccz_claims *c)
{
    PUT_HEX(out, c, cpu_svn);
    PUT_HEX(out, c, fmspc);
    PUT_HEX(out, c, pce_id);
    PUT_HEX(out, c, ppid);
    put_num(out, "qe_isv_svn", c->qe_isv_svn);
    put_tcb(out, c);
}

void ccz_claims_json(struct ccz_buf *out, const struct ccz_claims *c)
{
    ccz_buf_printf(out, "{\"tee\":\"%s\"", ccz_tee_name(c->tee));
    put_num(out, "quote_version", c->quote_version);
    put_bool(out, "simulated", c->simulated);
    put_bool(out, "revocation_checked", c->revocation_checked);
    put_bool(out, "debug", c->debug);
    PUT_HEX(out, c, report_data);
    if (c->tee == CCZ_TEE_SGX)
        put_sgx(out, c);
    if (c->tee == CCZ_TEE_TDX)
        put_td(out, c);
    if (c->tee == CCZ_TEE_SNP)
        put_snp(out, &c->snp);
    else
        put_intel(out, c);
    put_date(out, "collateral_issued", c->collateral_issued_s);
    put_date(out, "collateral_expires", c->collateral_expires_s);
    ccz_buf_put_str(out, "}");
}
