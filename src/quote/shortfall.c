/* SPDX-License-Identifier: Apache-2.0 */
/* How far a platform is from a TCB level: the comparison of tcb.c, told number by number. */
#include "quote/quote_priv.h"

#include <string.h>

/* ---------------------------------------------------------------------------------------- names */

/* Categories and types as TCB info v3 gives them wherever it does (test radar_vectors.component_names); other
 * components have no published name. */
static const struct component {
    const char *name, *remedy;
} unnamed = {"platform firmware", "update BIOS and microcode"};
#define BIOS       "update the BIOS"
#define MICROCODE  "update the microcode that the host's operating system loads"
#define TDX_MODULE "update the TDX module"
#define SOFTWARE   "update the SGX platform software of the host"

static const struct component sgx_components[CCZI_SVN_LEN] = {
    [0] = {"Early Microcode Update", BIOS},
    [1] = {"SGX Late Microcode Update", MICROCODE},
    [2] = {"TXT SINIT", "update the TXT SINIT module that the host loads"},
    [3] = {"BIOS", BIOS},
    [4] = {"BIOS", BIOS},
    [5] = {"BIOS", BIOS},
    [7] = {"SEAMLDR ACM", "update the SEAM loader of the host"},
};
static const struct component tdx_components[CCZI_SVN_LEN] = {
    [0] = {"TDX Module", TDX_MODULE},
    [1] = {"TDX Module", TDX_MODULE},
    [2] = {"TDX Late Microcode Update", MICROCODE},
};
static const struct component others[] = {
    [CCZ_SVN_PCE] = {"provisioning certification enclave", SOFTWARE},
    [CCZ_SVN_TDX_MODULE] = {"TDX Module", TDX_MODULE},
    [CCZ_SVN_QE] = {"quoting enclave", SOFTWARE},
};

static const struct component *component(const struct ccz_svn_short *s)
{
    bool sgx = s->kind == CCZ_SVN_SGX_COMPONENT;
    const struct component *c = NULL;
    if (sgx || s->kind == CCZ_SVN_TDX_COMPONENT) {
        if (s->index >= 1 && s->index <= CCZI_SVN_LEN)
            c = &(sgx ? sgx_components : tdx_components)[s->index - 1];
    } else if ((unsigned)s->kind < sizeof(others) / sizeof(others[0])) {
        c = &others[s->kind];
    }
    return c && c->name ? c : &unnamed;
}

const char *ccz_svn_name(const struct ccz_svn_short *s)
{
    return component(s)->name;
}

const char *ccz_svn_remedy(const struct ccz_svn_short *s)
{
    return s->at_launch ? "launch the TD again" : component(s)->remedy;
}

/* ----------------------------------------------------------------------------------- comparison */

/* What is judged. Without a TD report 1.5 nobody knows what runs now: it is what the TD was launched on. */
struct subject {
    struct cczi_pck pck;
    bool is_td;
    uint8_t launch[CCZI_SVN_LEN], now[CCZI_SVN_LEN];
    uint16_t qe_svn;
};

static void add(struct ccz_shortfall *s, enum ccz_svn_kind kind, size_t index, uint16_t have,
                uint16_t need)
{
    if (have < need && s->len < CCZ_SHORTFALL_MAX)
        s->item[s->len++] = (struct ccz_svn_short){
            .kind = kind, .index = (uint8_t)index, .have = have, .need = need};
}

/* An SVN of the TD: now too low, or at launch only. */
static void add_td(struct ccz_shortfall *s, enum ccz_svn_kind kind, size_t index, uint16_t now,
                   uint16_t launch, uint16_t need)
{
    size_t before = s->len;
    add(s, kind, index, now < need ? now : launch, need);
    if (s->len > before)
        s->item[before].at_launch = now >= need;
}

/* Modules of a major version above 0 have levels of their own instead of the components 1 and 2. */
static bool counts(const uint8_t svn[CCZI_SVN_LEN], size_t i)
{
    return svn[1] == 0 || i >= 2;
}

static void compare_level(struct ccz_shortfall *s, const struct subject *x,
                          const struct cczi_tcb_level *l)
{
    s->target = l->level.status;
    s->target_date_s = l->level.date_s;
    s->len = 0;
    for (size_t i = 0; i < CCZI_SVN_LEN; i++)
        add(s, CCZ_SVN_SGX_COMPONENT, i + 1, x->pck.comp_svn[i], l->sgx[i]);
    add(s, CCZ_SVN_PCE, 0, x->pck.pce_svn, l->pce_svn);
    for (size_t i = 0; i < CCZI_SVN_LEN && x->is_td; i++) {
        uint8_t now = counts(x->now, i) ? x->now[i] : UINT8_MAX;
        uint8_t launch = counts(x->launch, i) ? x->launch[i] : UINT8_MAX;
        add_td(s, CCZ_SVN_TDX_COMPONENT, i + 1, now, launch, l->tdx[i]);
    }
}

static unsigned deficit(const struct ccz_shortfall *s)
{
    unsigned sum = 0;
    for (size_t i = 0; i < s->len; i++)
        sum += s->item[i].need - s->item[i].have;
    return sum;
}

/* The level of status @p want that lacks the least. @return false if there is none. */
static bool nearest(struct ccz_shortfall *out, const struct subject *x,
                    const struct cczi_tcb_info *info, enum ccz_tcb_status want)
{
    bool found = false;
    for (size_t i = 0; i < info->levels_len; i++) {
        if (info->levels[i].level.status != want)
            continue;
        struct ccz_shortfall s = {.eval_number = info->eval_number};
        compare_level(&s, x, &info->levels[i]);
        if (!found || s.len < out->len || (s.len == out->len && deficit(&s) < deficit(out)))
            *out = s;
        found = true;
    }
    return found;
}

/* Lowest SVN that is up to date; 0 = none. */
static uint16_t lowest_good(const struct cczi_svn_levels *l)
{
    uint16_t svn = 0;
    for (size_t i = 0; i < l->len; i++)
        if (l->list[i].level.status == CCZ_TCB_UP_TO_DATE)
            svn = l->list[i].isv_svn;
    return svn;
}

/* Enclaves and modules: short as well if no version is good enough any more. */
static void add_svn(struct ccz_shortfall *s, enum ccz_svn_kind kind, uint16_t now, uint16_t launch,
                    const struct cczi_svn_levels *l)
{
    uint16_t need = lowest_good(l);
    if (need > 0 || l->list[l->len - 1].level.status == CCZ_TCB_UP_TO_DATE)
        add_td(s, kind, 0, now, launch, need);
    else if (s->len < CCZ_SHORTFALL_MAX)
        s->item[s->len++] = (struct ccz_svn_short){.kind = kind, .have = now};
}

static const struct cczi_svn_levels *module_levels(const struct cczi_tcb_info *info, uint8_t major)
{
    for (size_t i = 0; i < info->identities_len; i++)
        if (info->identities[i].version == major)
            return &info->identities[i].levels;
    return NULL;
}

static ccz_rc compare_module(struct ccz_shortfall *s, const struct subject *x,
                             const struct cczi_tcb_info *info, struct ccz_err *err)
{
    const uint8_t major[] = {x->now[1], x->launch[1]};
    for (size_t i = 0; i < 2; i++)
        if (major[i] > 0 && !module_levels(info, major[i]))
            return ccz_fail(err, CCZ_E_MISMATCH, "quote:tdx-module", major[i],
                            "TCB info knows no TDX module of major version %u", major[i]);
    if (major[0] > 0 && major[0] == major[1]) {
        add_svn(s, CCZ_SVN_TDX_MODULE, x->now[0], x->launch[0], module_levels(info, major[0]));
        return CCZ_OK;
    }
    size_t before = s->len;
    if (major[0] > 0)
        add_svn(s, CCZ_SVN_TDX_MODULE, x->now[0], x->now[0], module_levels(info, major[0]));
    if (major[1] > 0 && s->len == before) { /* another module than runs now */
        add_svn(s, CCZ_SVN_TDX_MODULE, x->launch[0], x->launch[0], module_levels(info, major[1]));
        if (s->len > before)
            s->item[before].at_launch = true;
    }
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------- the quote */

/* Its own PCK certificate, or the one that came with the collateral. */
static ccz_rc read_pck(struct cczi_pck *out, const struct ccz_quote *q,
                       const struct ccz_collateral *c, struct ccz_err *err)
{
    enum { CERT_PCK_LEAF = 4, CERT_PCK_CHAIN = 5 };
    bool own = q->cert_type == CERT_PCK_LEAF || q->cert_type == CERT_PCK_CHAIN;
    struct ccz_span pem = own ? q->cert_data : ccz_buf_span(&c->pck_pem);
    if (pem.size == 0)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "quote:pck-missing", q->cert_type,
                        "neither quote nor collateral has a PCK certificate");
    CCZ_AUTO(ccz_cert) leaf = NULL;
    ccz_rc rc;
    do { /* in any order */
        ccz_cert_free(leaf);
        leaf = NULL;
        rc = cczi_pem_cert(&leaf, &pem, err);
    } while (rc == CCZ_OK && ccz_cert_is_ca(leaf));
    if (rc != CCZ_OK)
        return cczi_at(err, rc == CCZ_E_NOT_FOUND ? CCZ_E_FORMAT : rc, "quote:pck-chain");
    return cczi_pck_from_cert(out, leaf, err);
}

static ccz_rc read_subject(struct subject *x, struct ccz_span quote, const struct ccz_collateral *c,
                           struct ccz_err *err)
{
    struct ccz_quote q;
    struct cczi_sgx_report qe;
    struct cczi_td_report td;
    *x = (struct subject){0};
    ccz_rc rc = ccz_quote_parse(&q, quote, err);
    if (rc == CCZ_OK && q.tee != c->tcb_info.tee)
        rc = ccz_refuse(err, CCZ_E_MISMATCH, "quote:tcb-info-tee", ccz_tee_name(c->tcb_info.tee),
                        ccz_tee_name(q.tee));
    if (rc == CCZ_OK)
        rc = read_pck(&x->pck, &q, c, err);
    if (rc != CCZ_OK)
        return rc;
    if (memcmp(x->pck.fmspc, c->tcb_info.fmspc, sizeof(x->pck.fmspc)) != 0)
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "quote:fmspc", x->pck.fmspc,
                                sizeof(x->pck.fmspc), c->tcb_info.fmspc, sizeof(x->pck.fmspc));
    cczi_sgx_report_read(&qe, q.qe_report);
    x->qe_svn = qe.isv_svn;
    x->is_td = q.tee == CCZ_TEE_TDX;
    if (x->is_td) {
        cczi_td_report_read(&td, q.body);
        memcpy(x->launch, td.tee_tcb_svn, sizeof(x->launch));
        memcpy(x->now, td.has_15 ? td.tee_tcb_svn2 : td.tee_tcb_svn, sizeof(x->now));
    }
    return CCZ_OK;
}

ccz_rc ccz_collateral_shortfall(struct ccz_shortfall *out, const struct ccz_collateral *c,
                                struct ccz_span quote, enum ccz_tcb_status want,
                                struct ccz_err *err)
{
    static const enum ccz_tcb_status best[] = {CCZ_TCB_UP_TO_DATE, CCZ_TCB_SW_HARDENING_NEEDED,
                                               CCZ_TCB_CONFIGURATION_NEEDED,
                                               CCZ_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED};
    struct subject x;
    struct ccz_shortfall s = {0};
    *out = (struct ccz_shortfall){0};
    ccz_rc rc = read_subject(&x, quote, c, err);
    bool found = false;
    for (size_t i = 0; i < sizeof(best) / sizeof(best[0]) && rc == CCZ_OK && !found; i++)
        if (want == CCZ_TCB_NONE || want == best[i])
            found = nearest(&s, &x, &c->tcb_info, best[i]);
    if (rc == CCZ_OK && !found)
        rc = ccz_fail(err, CCZ_E_NOT_FOUND, "quote:shortfall-status", want,
                      "the collateral has no TCB level of status %s", ccz_tcb_status_name(want));
    if (rc == CCZ_OK && x.is_td)
        rc = compare_module(&s, &x, &c->tcb_info, err);
    if (rc != CCZ_OK)
        return rc;
    add_svn(&s, CCZ_SVN_QE, x.qe_svn, x.qe_svn, &c->qe_identity.levels);
    *out = s;
    return CCZ_OK;
}
