/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCB evaluation: PCS API v4 documentation, "Get TCB Info", steps to determine the TCB level; the
 * merge and relaunch rules of Intel's quote verification library. Step D.10 of
 * docs/design/verification.md.
 */
#include "quote/quote_priv.h"

#include <string.h>

static const struct {
    enum ccz_tcb_status status;
    const char *name;
} status_names[] = {
    {CCZ_TCB_UP_TO_DATE, "UpToDate"},
    {CCZ_TCB_SW_HARDENING_NEEDED, "SWHardeningNeeded"},
    {CCZ_TCB_CONFIGURATION_NEEDED, "ConfigurationNeeded"},
    {CCZ_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED, "ConfigurationAndSWHardeningNeeded"},
    {CCZ_TCB_OUT_OF_DATE, "OutOfDate"},
    {CCZ_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED, "OutOfDateConfigurationNeeded"},
    {CCZ_TCB_TD_RELAUNCH_ADVISED, "TDRelaunchAdvised"},
    {CCZ_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED, "TDRelaunchAdvisedConfigurationNeeded"},
    {CCZ_TCB_REVOKED, "Revoked"},
};
enum { STATUS_NAMES_LEN = sizeof(status_names) / sizeof(status_names[0]) };

const char *ccz_tcb_status_name(enum ccz_tcb_status s)
{
    for (size_t i = 0; i < STATUS_NAMES_LEN; i++) {
        if (status_names[i].status == s)
            return status_names[i].name;
    }
    return "None";
}

enum ccz_tcb_status cczi_tcb_status_from(struct ccz_span name)
{
    for (size_t i = 0; i < STATUS_NAMES_LEN; i++) {
        if (ccz_span_eq(ccz_span_str(status_names[i].name), name))
            return status_names[i].status;
    }
    return CCZ_TCB_NONE;
}

/* ------------------------------------------------------------------------- platform level */

static bool all_at_least(const uint8_t *have, const uint8_t *need, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (have[i] < need[i])
            return false;
    }
    return true;
}

/* @param svn  TEE_TCB_SVN, NULL for SGX. A TDX module of major version above 0 (component 1) has an
 * identity and levels of its own, so that components 0 and 1, its versions, are left to those. */
static bool level_reached(const struct cczi_tcb_level *l, const struct cczi_pck *pck,
                          const uint8_t *svn)
{
    if (!all_at_least(pck->comp_svn, l->sgx, CCZI_SVN_LEN) || pck->pce_svn < l->pce_svn)
        return false;
    size_t first = svn && svn[1] > 0 ? 2 : 0;
    return !svn || all_at_least(svn + first, l->tdx + first, CCZI_SVN_LEN - first);
}

static ccz_rc match_platform(const struct cczi_level **out, const struct cczi_tcb_info *info,
                             const struct cczi_pck *pck, const uint8_t *svn, struct ccz_err *err)
{
    for (size_t i = 0; i < info->levels_len; i++) { /* highest first */
        if (level_reached(&info->levels[i], pck, svn)) {
            *out = &info->levels[i].level;
            return CCZ_OK;
        }
    }
    /* got and expected: SGX components, PCESVN, TDX components; expected is the lowest level there
     * is */
    const struct cczi_tcb_level *low = &info->levels[info->levels_len - 1];
    uint8_t got[2 * CCZI_SVN_LEN + 2] = {0}, want[2 * CCZI_SVN_LEN + 2] = {0};
    memcpy(got, pck->comp_svn, CCZI_SVN_LEN);
    memcpy(want, low->sgx, CCZI_SVN_LEN);
    got[CCZI_SVN_LEN] = (uint8_t)(pck->pce_svn >> 8);
    got[CCZI_SVN_LEN + 1] = (uint8_t)pck->pce_svn;
    want[CCZI_SVN_LEN] = (uint8_t)(low->pce_svn >> 8);
    want[CCZI_SVN_LEN + 1] = (uint8_t)low->pce_svn;
    if (svn) {
        memcpy(got + CCZI_SVN_LEN + 2, svn, CCZI_SVN_LEN);
        memcpy(want + CCZI_SVN_LEN + 2, low->tdx, CCZI_SVN_LEN);
    }
    size_t size = svn ? sizeof(got) : CCZI_SVN_LEN + 2;
    ccz_rc rc = ccz_refuse_bytes(err, CCZ_E_MISMATCH, "quote:tcb-level", got, size, want, size);
    return ccz_hint(
        err, rc,
        "the platform is below every TCB level that Intel still lists: update its firmware");
}

/* ---------------------------------------------------------------------------- TDX module */

/* SEAM attribute bits that the mask leaves out must be zero: nobody said what they mean. */
static ccz_rc check_module(const struct cczi_tdx_module *want, const struct cczi_td_report *td,
                           struct ccz_err *err)
{
    if (memcmp(td->mrsignerseam, want->mrsigner, sizeof(want->mrsigner)) != 0)
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "quote:tdx-module-signer", td->mrsignerseam,
                                sizeof(td->mrsignerseam), want->mrsigner, sizeof(want->mrsigner));
    uint8_t expected[sizeof(want->attributes)];
    for (size_t i = 0; i < sizeof(expected); i++)
        expected[i] = want->attributes[i] & want->attributes_mask[i];
    if (memcmp(td->seam_attributes, expected, sizeof(expected)) != 0)
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "quote:tdx-module-attributes",
                                td->seam_attributes, sizeof(td->seam_attributes), expected,
                                sizeof(expected));
    return CCZ_OK;
}

/* @param[out] out  level of the module, NULL for major version 0, which has none */
static ccz_rc match_module(const struct cczi_level **out, const struct cczi_tcb_info *info,
                           const struct cczi_td_report *td, const uint8_t *svn, struct ccz_err *err)
{
    *out = NULL;
    uint8_t minor = svn[0], major = svn[1];
    if (major == 0)
        return check_module(&info->module, td, err);
    for (size_t i = 0; i < info->identities_len; i++) {
        const struct cczi_tdx_module_identity *id = &info->identities[i];
        if (id->version != major)
            continue;
        ccz_rc rc = check_module(&id->module, td, err);
        if (rc != CCZ_OK)
            return rc;
        *out = cczi_svn_levels_find(&id->levels, minor);
        if (!*out)
            return ccz_refuse_num(err, CCZ_E_MISMATCH, "quote:tdx-module-svn", minor,
                                  id->levels.list[id->levels.len - 1].isv_svn);
        return CCZ_OK;
    }
    return ccz_fail(err, CCZ_E_MISMATCH, "quote:tdx-module", major,
                    "TCB info knows no TDX module of major version %u", major);
}

/* --------------------------------------------------------------------------------- merging */

enum ccz_tcb_status cczi_tcb_converge(enum ccz_tcb_status platform, enum ccz_tcb_status qe,
                                      enum ccz_tcb_status module)
{
    if (platform == CCZ_TCB_REVOKED || qe == CCZ_TCB_REVOKED || module == CCZ_TCB_REVOKED)
        return CCZ_TCB_REVOKED;
    if (qe != CCZ_TCB_OUT_OF_DATE && module != CCZ_TCB_OUT_OF_DATE)
        return platform;
    if (platform == CCZ_TCB_UP_TO_DATE || platform == CCZ_TCB_SW_HARDENING_NEEDED)
        return CCZ_TCB_OUT_OF_DATE;
    if (platform == CCZ_TCB_CONFIGURATION_NEEDED ||
        platform == CCZ_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED)
        return CCZ_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED;
    return platform; /* out of date already */
}

static bool out_of_date(enum ccz_tcb_status s)
{
    return s == CCZ_TCB_OUT_OF_DATE || s == CCZ_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED;
}

static bool needs_configuration(enum ccz_tcb_status s)
{
    return s == CCZ_TCB_CONFIGURATION_NEEDED ||
           s == CCZ_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED ||
           s == CCZ_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED;
}

/* A TD that was launched on an old TCB, and the TCB it runs on now. Updated under it: launch it
 * again. The other way round cannot happen on an honest platform; the worse status is the answer.
 */
enum ccz_tcb_status cczi_tcb_relaunch(enum ccz_tcb_status launch, enum ccz_tcb_status current)
{
    if (launch == CCZ_TCB_REVOKED || current == CCZ_TCB_REVOKED)
        return CCZ_TCB_REVOKED;
    if (out_of_date(launch) && !out_of_date(current))
        return needs_configuration(launch) || needs_configuration(current)
                   ? CCZ_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED
                   : CCZ_TCB_TD_RELAUNCH_ADVISED;
    return out_of_date(current) && !out_of_date(launch) ? current : launch;
}

/* ------------------------------------------------------------------------------ evaluation */

struct subject {
    const struct cczi_tcb_info *info;
    const struct cczi_pck *pck;
    const struct cczi_td_report *td;
    const struct cczi_level *qe;
};

static ccz_rc add_level(struct cczi_tcb_verdict *v, const struct cczi_level *l, struct ccz_err *err)
{
    if (l->date_s < v->date_s)
        v->date_s = l->date_s;
    if (cczi_advisories_add(&v->advisories, &l->advisories) != CCZ_OK)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "quote:advisories", CCZ_ADVISORIES_MAX + 1,
                              CCZ_ADVISORIES_MAX);
    return CCZ_OK;
}

/* One whole evaluation; @p svn as in level_reached(). Dates and advisories are added to *v. */
static ccz_rc evaluate(struct cczi_tcb_verdict *v, const struct subject *s, const uint8_t *svn,
                       struct ccz_err *err)
{
    const struct cczi_level *platform = NULL, *module = NULL;
    ccz_rc rc = svn ? match_module(&module, s->info, s->td, svn, err) : CCZ_OK;
    if (rc == CCZ_OK)
        rc = match_platform(&platform, s->info, s->pck, svn, err);
    if (rc != CCZ_OK)
        return rc;
    rc = add_level(v, platform, err);
    if (rc == CCZ_OK)
        rc = add_level(v, s->qe, err);
    if (rc == CCZ_OK && module)
        rc = add_level(v, module, err);
    v->platform = platform->status;
    v->qe = s->qe->status;
    v->module = module ? module->status : CCZ_TCB_NONE;
    v->status = cczi_tcb_converge(v->platform, v->qe, v->module);
    return rc;
}

ccz_rc cczi_tcb_evaluate(struct cczi_tcb_verdict *out, const struct cczi_tcb_info *info,
                         const struct cczi_pck *pck, const struct cczi_td_report *td,
                         const struct cczi_level *qe, struct ccz_err *err)
{
    const struct subject s = {info, pck, td, qe};
    *out = (struct cczi_tcb_verdict){.date_s = INT64_MAX};
    if (td &&
        td->has_15) { /* first what runs now, so that the parts reported are those of the launch */
        ccz_rc rc = evaluate(out, &s, td->tee_tcb_svn2, err);
        if (rc != CCZ_OK)
            return rc;
    }
    enum ccz_tcb_status current = out->status;
    ccz_rc rc = evaluate(out, &s, td ? td->tee_tcb_svn : NULL, err);
    if (rc == CCZ_OK && td && td->has_15)
        out->status = cczi_tcb_relaunch(out->status, current);
    return rc;
}
