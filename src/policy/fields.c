/* SPDX-License-Identifier: Apache-2.0 */
/* Everything a rule can say. A new claim is one line here and one in docs/reference/policy.md. */
#include "policy/policy_priv.h"

#include <assert.h>
#include <string.h>

#define SGX           (1u << CCZ_TEE_SGX)
#define TDX           (1u << CCZ_TEE_TDX)
#define SNP           (1u << CCZ_TEE_SNP)
#define INTEL         (SGX | TDX)
#define ALL           (SGX | TDX | SNP)
#define CLAIM(member) offsetof(struct ccz_claims, member), sizeof(((struct ccz_claims *)0)->member)
#define DRAFT         CCZI_DRAFT
#define GRACE         CCZI_GRACE
#define ZERO_48                                                                                    \
    "\"000000000000000000000000000000000000000000000000"                                           \
    "000000000000000000000000000000000000000000000000\""
#define ONES_32 "\"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\""
/* Every attribute bit is required as it stands in `value`, but for DEBUG (its own field) and PKS,
 * KL, PERFMON, which are features of the TD. SEPT_VE_DISABLE must be set: without it the host can
 * inject #VE into the guest kernel. The reserved bits include the rest of the "TD under debug"
 * group and MIGRATABLE. */
#define TD_ATTRIBUTES "{\"mask\":\"feffff3fffffff7f\",\"value\":\"0000001000000000\"}"

/* INIT and MODE64BIT must be set, PROVISIONKEY, EINITTOKENKEY and what is reserved must be clear; DEBUG
 * has a field of its own, CET, KSS and AEX-Notify are features of the enclave. MRENCLAVE covers none of
 * it: somebody else may sign the same pages for another mode, in which they are other instructions. */
#define SGX_ATTRIBUTES "{\"mask\":\"3dfbffffffffffff\",\"value\":\"0500000000000000\"}"

/* Bit 17 must be set (the format says so), MIGRATE_MA (18), CXL_ALLOW (21) and what is reserved (26 to
 * 63) clear. DEBUG (19) has a field of its own. SMT (16) and what restricts the host further
 * (SINGLE_SOCKET 20, XTS 22, RAPL 23, ciphertext hiding 24, page swap 25) may be either; the ABI version
 * (0 to 15) is a minimum that the guest asks of its host. */
#define SNP_POLICY "{\"mask\":\"000026fcffffffff\",\"value\":\"0000020000000000\"}"

static const char sim_hint[] = "the evidence comes from a software TEE: a rule accepts it only "
                               "with \"sim\": true, for tests and demos";
static const char debug_hint[] = "whoever runs the machine can read a debug enclave, TD or guest: "
                                 "build and start for production";
static const char measure_hint[] =
    "other code than the rule names: check the build, then `cczoo policy from-evidence`";
static const char tcb_hint[] =
    "update BIOS, microcode and TDX module; until then a rule can grant a dated \"grace\"";
static const char snp_tcb_hint[] =
    "update the SEV firmware and BIOS; until then a rule can grant a dated \"grace\"";
static const char svn_hint[] = "an older, known-vulnerable build: update it";

const struct cczi_field cczi_fields[] = {
    /* name, kind, rules, claim, strict default, flags, hint */
    {"sim", &cczi_kind_flag, ALL, CLAIM(simulated), "false", DRAFT, sim_hint},
    {"debug", &cczi_kind_flag, ALL, CLAIM(debug), "false", 0, debug_hint},
    {"unchecked_revocation", &cczi_kind_flag_not, SNP, CLAIM(revocation_checked), "false", DRAFT,
     "no CRL was at hand: fetch it, or accept that a revoked chip goes unnoticed"},
    /* who: SGX */
    {"mrenclave", &cczi_kind_bytes, SGX, CLAIM(mrenclave), NULL, DRAFT, measure_hint},
    {"mrsigner", &cczi_kind_bytes, SGX, CLAIM(mrsigner), NULL, DRAFT, measure_hint},
    {"isv_prod_id", &cczi_kind_number, SGX, CLAIM(isv_prod_id), NULL, DRAFT, NULL},
    {"isv_svn", &cczi_kind_svn, SGX, CLAIM(isv_svn), NULL, DRAFT | GRACE, svn_hint},
    {"isv_family_id", &cczi_kind_bytes, SGX, CLAIM(isv_family_id), NULL, 0, NULL},
    {"isv_ext_prod_id", &cczi_kind_bytes, SGX, CLAIM(isv_ext_prod_id), NULL, 0, NULL},
    {"config_id", &cczi_kind_bytes, SGX, CLAIM(config_id), NULL, DRAFT, NULL},
    {"config_svn", &cczi_kind_svn, SGX, CLAIM(config_svn), NULL, GRACE, NULL},
    {"attributes", &cczi_kind_mask, SGX, offsetof(struct ccz_claims, attributes), 8, SGX_ATTRIBUTES,
     DRAFT, "the same code in another mode or with keys of the platform: who signed it so?"},
    {"xfrm", &cczi_kind_mask, SGX, offsetof(struct ccz_claims, attributes) + 8, 8, NULL, 0, NULL},
    {"misc_select", &cczi_kind_mask_num, SGX, CLAIM(misc_select), NULL, 0, NULL},
    /* who: TDX */
    {"mrtd", &cczi_kind_bytes, TDX, CLAIM(mrtd), NULL, DRAFT, measure_hint},
    {"rtmr0", &cczi_kind_bytes, TDX, CLAIM(rtmr[0]), NULL, DRAFT, measure_hint},
    {"rtmr1", &cczi_kind_bytes, TDX, CLAIM(rtmr[1]), NULL, DRAFT, measure_hint},
    {"rtmr2", &cczi_kind_bytes, TDX, CLAIM(rtmr[2]), NULL, DRAFT, measure_hint},
    {"rtmr3", &cczi_kind_bytes, TDX, CLAIM(rtmr[3]), NULL, DRAFT, measure_hint},
    {"mrconfigid", &cczi_kind_bytes, TDX, CLAIM(mrconfigid), NULL, DRAFT, NULL},
    {"mrowner", &cczi_kind_bytes, TDX, CLAIM(mrowner), NULL, DRAFT, NULL},
    {"mrownerconfig", &cczi_kind_bytes, TDX, CLAIM(mrownerconfig), NULL, DRAFT, NULL},
    {"mrservicetd", &cczi_kind_bytes, TDX, CLAIM(mrservicetd), ZERO_48, DRAFT,
     "a service TD is bound to this TD and may migrate it: name it to accept it"},
    {"td_attributes", &cczi_kind_mask, TDX, CLAIM(td_attributes), TD_ATTRIBUTES, DRAFT, NULL},
    {"xfam", &cczi_kind_mask, TDX, CLAIM(xfam), NULL, 0, NULL},
    {"mrseam", &cczi_kind_bytes, TDX, CLAIM(mrseam), NULL, 0, NULL},
    {"mrsignerseam", &cczi_kind_bytes, TDX, CLAIM(mrsignerseam), NULL, 0, NULL},
    {"seam_attributes", &cczi_kind_mask, TDX, CLAIM(seam_attributes), NULL, 0, NULL},
    /* who: SNP */
    {"measurement", &cczi_kind_bytes, SNP, CLAIM(snp.measurement), NULL, DRAFT, measure_hint},
    {"host_data", &cczi_kind_bytes, SNP, CLAIM(snp.host_data), NULL, DRAFT, NULL},
    {"id_key_digest", &cczi_kind_bytes, SNP, CLAIM(snp.id_key_digest), NULL, DRAFT, NULL},
    {"author_key_digest", &cczi_kind_bytes, SNP, CLAIM(snp.author_key_digest), NULL, DRAFT, NULL},
    {"family_id", &cczi_kind_bytes, SNP, CLAIM(snp.family_id), NULL, DRAFT, NULL},
    {"image_id", &cczi_kind_bytes, SNP, CLAIM(snp.image_id), NULL, DRAFT, NULL},
    {"guest_svn", &cczi_kind_svn, SNP, CLAIM(snp.guest_svn), NULL, DRAFT | GRACE, svn_hint},
    {"vmpl", &cczi_kind_number, SNP, CLAIM(snp.vmpl), "0", DRAFT,
     "a less privileged level of the guest asked for the report: name it to accept it"},
    {"guest_policy", &cczi_kind_mask, SNP, CLAIM(snp.guest_policy), SNP_POLICY, DRAFT,
     "the guest was started with a weaker policy: migration agent or CXL memory allowed"},
    {"report_id", &cczi_kind_bytes, SNP, CLAIM(snp.report_id), NULL, 0, NULL},
    {"report_id_ma", &cczi_kind_bytes, SNP, CLAIM(snp.report_id_ma), ONES_32, DRAFT,
     "a migration agent is bound to this guest and may read it: name it to accept it"},
    {"product", &cczi_kind_products, SNP, CLAIM(snp.product), NULL, DRAFT,
     "TCB versions of one product line say nothing about another: write a rule for each"},
    {"signer", &cczi_kind_signers, SNP, CLAIM(snp.signer), NULL, DRAFT, NULL},
    {"csp_id", &cczi_kind_text, SNP, CLAIM(snp.csp_id), NULL, DRAFT, NULL},
    {"chip_id", &cczi_kind_bytes, SNP, CLAIM(snp.chip_id), NULL, 0, NULL},
    {"cpuid_family", &cczi_kind_number, SNP, CLAIM(snp.cpuid_family), NULL, 0, NULL},
    {"cpuid_model", &cczi_kind_number, SNP, CLAIM(snp.cpuid_model), NULL, 0, NULL},
    {"cpuid_stepping", &cczi_kind_number, SNP, CLAIM(snp.cpuid_stepping), NULL, 0, NULL},
    /* which platform */
    {"quote_version", &cczi_kind_svn, ALL, CLAIM(quote_version), NULL, 0, NULL},
    {"fmspc", &cczi_kind_bytes, INTEL, CLAIM(fmspc), NULL, 0, NULL},
    {"pce_id", &cczi_kind_bytes, INTEL, CLAIM(pce_id), NULL, 0, NULL},
    {"ppid", &cczi_kind_bytes, INTEL, CLAIM(ppid), NULL, 0, NULL},
    /* how healthy: SNP */
    {"platform_info", &cczi_kind_mask, SNP, CLAIM(snp.platform_info), NULL, 0, NULL},
    {"reported_tcb", &cczi_kind_tcb_whole, SNP, CLAIM(snp.reported_tcb), NULL, DRAFT | GRACE,
     snp_tcb_hint},
    {"committed_tcb", &cczi_kind_tcb, SNP, CLAIM(snp.committed_tcb), NULL, GRACE, snp_tcb_hint},
    {"current_tcb", &cczi_kind_tcb, SNP, CLAIM(snp.current_tcb), NULL, GRACE, snp_tcb_hint},
    {"launch_tcb", &cczi_kind_tcb, SNP, CLAIM(snp.launch_tcb), NULL, GRACE,
     "the guest was started on older firmware: start it again"},
    {"current_version", &cczi_kind_version, SNP, CLAIM(snp.current_version), NULL, GRACE,
     snp_tcb_hint},
    {"committed_version", &cczi_kind_version, SNP, CLAIM(snp.committed_version), NULL, GRACE,
     snp_tcb_hint},
    {"launch_mit_vector", &cczi_kind_mask_num, SNP, CLAIM(snp.launch_mit_vector), NULL, GRACE,
     NULL},
    {"current_mit_vector", &cczi_kind_mask_num, SNP, CLAIM(snp.current_mit_vector), NULL, GRACE,
     NULL},
    /* how healthy: SGX, TDX */
    {"cpu_svn", &cczi_kind_svns, INTEL, CLAIM(cpu_svn), NULL, GRACE, tcb_hint},
    {"tee_tcb_svn", &cczi_kind_svns, TDX, CLAIM(tee_tcb_svn), NULL, GRACE, tcb_hint},
    {"tee_tcb_svn2", &cczi_kind_svns, TDX, CLAIM(tee_tcb_svn2), NULL, GRACE, tcb_hint},
    {"qe_isv_svn", &cczi_kind_svn, INTEL, CLAIM(qe_isv_svn), NULL, GRACE, NULL},
    {"tcb_status", &cczi_kind_statuses, INTEL, CLAIM(tcb_status), "[\"UpToDate\"]", DRAFT | GRACE,
     tcb_hint},
    {"platform_status", &cczi_kind_statuses, INTEL, CLAIM(platform_status), NULL, GRACE, tcb_hint},
    {"qe_status", &cczi_kind_statuses, INTEL, CLAIM(qe_status), NULL, GRACE, tcb_hint},
    {"module_status", &cczi_kind_statuses, TDX, CLAIM(module_status), NULL, GRACE, tcb_hint},
    {"tcb_date", &cczi_kind_since, INTEL, CLAIM(tcb_date_s), NULL, GRACE, tcb_hint},
    {"tcb_eval_number", &cczi_kind_svn, INTEL, CLAIM(tcb_eval_number), NULL, DRAFT | GRACE,
     "the collateral judges by an older list of flaws: fetch it again"},
    {"advisories", &cczi_kind_advisories, INTEL, CLAIM(advisory), NULL, DRAFT | GRACE, tcb_hint},
    {"collateral_max_age_s", &cczi_kind_age, ALL, CLAIM(collateral_issued_s), NULL, 0,
     "fetch the collateral again"},
};
const size_t cczi_fields_len = sizeof(cczi_fields) / sizeof(cczi_fields[0]);
static_assert(sizeof(cczi_fields) / sizeof(cczi_fields[0]) <= CCZI_POLICY_FIELDS_MAX,
              "raise CCZI_POLICY_FIELDS_MAX");

size_t cczi_field_find(const char *name)
{
    size_t i = 0;
    while (i < cczi_fields_len && strcmp(cczi_fields[i].name, name) != 0)
        i++;
    return i;
}

/* A rule that pins no code would accept any enclave or guest of any author on a healthy platform. AMD
 * publishes no TCB statuses: without a minimum, firmware with published exploits would do, and a minimum
 * is one of a product line. */
const struct cczi_pin cczi_pins[] = {
    {CCZ_TEE_SGX, {"mrenclave"}},
    {CCZ_TEE_SGX, {"mrsigner", "isv_prod_id", "isv_svn"}},
    {CCZ_TEE_TDX, {"mrtd"}},
    {CCZ_TEE_SNP, {"measurement", "product", "reported_tcb"}},
};
const size_t cczi_pins_len = sizeof(cczi_pins) / sizeof(cczi_pins[0]);

const char *cczi_pin_text(enum ccz_tee tee)
{
    switch (tee) {
    case CCZ_TEE_SGX:
        return "an sgx rule must name mrenclave, or mrsigner with isv_prod_id and isv_svn";
    case CCZ_TEE_TDX:
        return "a tdx rule must name mrtd";
    default:
        return "an snp rule must name measurement, product and a minimum in reported_tcb";
    }
}
