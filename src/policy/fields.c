/* SPDX-License-Identifier: Apache-2.0 */
/* Everything a rule can say. A new claim is one line here and one in docs/reference/policy.md. */
#include "policy/policy_priv.h"

#include <assert.h>
#include <string.h>

#define SGX           (1u << CCZ_TEE_SGX)
#define TDX           (1u << CCZ_TEE_TDX)
#define CLAIM(member) offsetof(struct ccz_claims, member), sizeof(((struct ccz_claims *)0)->member)
#define NO_CLAIM      0, 0
#define ZERO_48                                                                                    \
    "\"000000000000000000000000000000000000000000000000"                                           \
    "000000000000000000000000000000000000000000000000\""
/* Every attribute bit is required as it stands in `value`, but for DEBUG (its own field) and PKS,
 * KL, PERFMON, which are features of the TD. SEPT_VE_DISABLE must be set: without it the host can
 * inject #VE into the guest kernel. The reserved bits include the rest of the "TD under debug"
 * group and MIGRATABLE. */
#define TD_ATTRIBUTES "{\"mask\":\"feffff3fffffff7f\",\"value\":\"0000001000000000\"}"

/* INIT and MODE64BIT must be set, PROVISIONKEY, EINITTOKENKEY and what is reserved must be clear; DEBUG
 * has a field of its own, CET, KSS and AEX-Notify are features of the enclave. MRENCLAVE covers none of
 * it: somebody else may sign the same pages for another mode, in which they are other instructions. */
#define SGX_ATTRIBUTES "{\"mask\":\"3dfbffffffffffff\",\"value\":\"0500000000000000\"}"

static const char sim_hint[] = "the evidence comes from a software TEE: a rule accepts it only "
                               "with \"sim\": true, for tests and demos";
static const char debug_hint[] =
    "whoever runs the machine can read a debug enclave or TD: build and sign for production";
static const char measure_hint[] =
    "other code than the rule names: check the build, then `cczoo policy from-evidence`";
static const char tcb_hint[] =
    "update BIOS, microcode and TDX module; until then a rule can grant a dated \"grace\"";

const struct cczi_field cczi_fields[] = {
    /* name, kind, rules, claim, strict default, drafted, hint */
    {"sim", &cczi_kind_flag, SGX | TDX, CLAIM(simulated), "false", true, sim_hint},
    {"debug", &cczi_kind_flag, SGX | TDX, CLAIM(debug), "false", false, debug_hint},
    {"mrenclave", &cczi_kind_bytes, SGX, CLAIM(mrenclave), NULL, true, measure_hint},
    {"mrsigner", &cczi_kind_bytes, SGX, CLAIM(mrsigner), NULL, true, measure_hint},
    {"isv_prod_id", &cczi_kind_number, SGX, CLAIM(isv_prod_id), NULL, true, NULL},
    {"isv_svn", &cczi_kind_minimum, SGX, CLAIM(isv_svn), NULL, true,
     "an older, known-vulnerable build: update it"},
    {"isv_family_id", &cczi_kind_bytes, SGX, CLAIM(isv_family_id), NULL, false, NULL},
    {"isv_ext_prod_id", &cczi_kind_bytes, SGX, CLAIM(isv_ext_prod_id), NULL, false, NULL},
    {"config_id", &cczi_kind_bytes, SGX, CLAIM(config_id), NULL, true, NULL},
    {"config_svn", &cczi_kind_minimum, SGX, CLAIM(config_svn), NULL, false, NULL},
    {"attributes", &cczi_kind_mask, SGX, offsetof(struct ccz_claims, attributes), 8, SGX_ATTRIBUTES,
     true, "the same code in another mode or with keys of the platform: who signed it so?"},
    {"xfrm", &cczi_kind_mask, SGX, offsetof(struct ccz_claims, attributes) + 8, 8, NULL, false,
     NULL},
    {"mrtd", &cczi_kind_bytes, TDX, CLAIM(mrtd), NULL, true, measure_hint},
    {"rtmr0", &cczi_kind_bytes, TDX, CLAIM(rtmr[0]), NULL, true, measure_hint},
    {"rtmr1", &cczi_kind_bytes, TDX, CLAIM(rtmr[1]), NULL, true, measure_hint},
    {"rtmr2", &cczi_kind_bytes, TDX, CLAIM(rtmr[2]), NULL, true, measure_hint},
    {"rtmr3", &cczi_kind_bytes, TDX, CLAIM(rtmr[3]), NULL, true, measure_hint},
    {"mrconfigid", &cczi_kind_bytes, TDX, CLAIM(mrconfigid), NULL, true, NULL},
    {"mrowner", &cczi_kind_bytes, TDX, CLAIM(mrowner), NULL, true, NULL},
    {"mrownerconfig", &cczi_kind_bytes, TDX, CLAIM(mrownerconfig), NULL, true, NULL},
    {"mrservicetd", &cczi_kind_bytes, TDX, CLAIM(mrservicetd), ZERO_48, true,
     "a service TD is bound to this TD and may migrate it: name it to accept it"},
    {"td_attributes", &cczi_kind_mask, TDX, CLAIM(td_attributes), TD_ATTRIBUTES, true, NULL},
    {"xfam", &cczi_kind_mask, TDX, CLAIM(xfam), NULL, false, NULL},
    {"mrseam", &cczi_kind_bytes, TDX, CLAIM(mrseam), NULL, false, NULL},
    {"fmspc", &cczi_kind_bytes, SGX | TDX, CLAIM(fmspc), NULL, false, NULL},
    {"ppid", &cczi_kind_bytes, SGX | TDX, CLAIM(ppid), NULL, false, NULL},
    {"qe_isv_svn", &cczi_kind_minimum, SGX | TDX, CLAIM(qe_isv_svn), NULL, false, NULL},
    {"grace", &cczi_kind_grace, SGX | TDX, NO_CLAIM, NULL, false, NULL},
    {"tcb_status", &cczi_kind_statuses, SGX | TDX, CLAIM(tcb_status), "[\"UpToDate\"]", true,
     tcb_hint},
    {"tcb_date", &cczi_kind_since, SGX | TDX, CLAIM(tcb_date_s), NULL, false, tcb_hint},
    {"tcb_eval_number", &cczi_kind_minimum, SGX | TDX, CLAIM(tcb_eval_number), NULL, true,
     "the collateral judges by an older list of flaws: fetch it again"},
    {"advisories", &cczi_kind_advisories, SGX | TDX, CLAIM(advisory), NULL, true, tcb_hint},
    {"collateral_max_age_s", &cczi_kind_age, SGX | TDX, CLAIM(collateral_issued_s), NULL, false,
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
