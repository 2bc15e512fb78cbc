/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quote verification: Intel's algorithm (SGX-TDX-DCAP-QuoteVerificationLibrary), strict where it
 * leaves room. The letters and numbers are those of docs/design/verification.md. Steps A, B and C,
 * which do not depend on the quote, are done in collateral.c; their dates are checked here.
 */
#include "quote/quote_priv.h"

#include <string.h>

static ccz_rc check_config(const struct ccz_verify_cfg *cfg, struct ccz_err *err)
{
    if (cfg->now_s <= 0)
        return ccz_fail(err, CCZ_E_ARG, "quote:config", 0, "no verification time");
    if (!cfg->roots || !cfg->collateral)
        return ccz_fail(err, CCZ_E_ARG, "quote:config", 0, "no %s",
                        cfg->roots ? "collateral" : "roots");
    /* The collateral may have been opened under other roots than the caller trusts now. */
    for (size_t i = 0; i < cfg->roots->len && i < CCZ_ROOTS_MAX; i++) {
        const struct ccz_root *r = &cfg->roots->root[i];
        if (memcmp(r->xy, cfg->collateral->root.xy, sizeof(r->xy)) == 0 &&
            r->simulated == cfg->collateral->root.simulated)
            return CCZ_OK;
    }
    return ccz_fail(err, CCZ_E_UNTRUSTED, "quote:collateral-root", 0,
                    "the root of the collateral is not trusted");
}

/* A, B, C, D.2: every certificate, list and document must be valid now, in both directions. */
static ccz_rc check_dates(const struct cczi_window *windows, size_t len, int64_t now_s,
                          const char *hint, struct ccz_err *err)
{
    for (size_t i = 0; i < len; i++) {
        ccz_rc rc = cczi_window_check(&windows[i], now_s, err);
        if (rc != CCZ_OK)
            return ccz_hint(err, rc, hint);
    }
    return CCZ_OK;
}

/* Where evidence comes from: the cache, or the quote; then it is new and its signatures, which are
 * in `pending`, still have to hold. */
struct source {
    struct cczi_evidence *evidence;
    struct cczi_pending pending;
    bool is_new;
    uint8_t key[CCZI_CACHE_KEY_SIZE];
};

static void source_deinit(struct source *s)
{
    cczi_evidence_free(s->evidence);
    cczi_pending_deinit(&s->pending);
}

/* D.2, D.6, D.7, remembered per attestation key. */
static ccz_rc get_evidence(struct source *s, const struct ccz_quote *q,
                           const struct ccz_verify_cfg *cfg, struct ccz_err *err)
{
    if (cfg->cache) {
        ccz_rc rc = cczi_cache_key(s->key, q, cfg->roots, cfg->collateral);
        if (rc != CCZ_OK)
            return ccz_fail(err, rc, "quote:memory", 0, "could not compute a cache key");
        s->evidence = cczi_cache_get(cfg->cache, s->key);
    }
    s->is_new = !s->evidence;
    return s->is_new
               ? cczi_evidence_new(&s->evidence, &s->pending, q, cfg->roots, cfg->collateral, err)
               : CCZ_OK;
}

/* D.3: TCB info v2 and v3 with id SGX are about SGX, v3 with id TDX about TDX. */
static ccz_rc check_tee(const struct ccz_quote *q, const struct ccz_collateral *c,
                        struct ccz_err *err)
{
    if (c->tcb_info.tee == q->tee)
        return CCZ_OK;
    return ccz_refuse(err, CCZ_E_MISMATCH, "quote:tcb-info-tee", ccz_tee_name(c->tcb_info.tee),
                      ccz_tee_name(q->tee));
}

/* D.4: is the collateral about this platform, under the same root? */
static ccz_rc check_platform(const struct cczi_evidence *e, const struct ccz_collateral *c,
                             struct ccz_err *err)
{
    const struct cczi_tcb_info *t = &c->tcb_info;
    if (memcmp(e->root.xy, c->root.xy, sizeof(c->root.xy)) != 0)
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "quote:root", e->root.xy, sizeof(e->root.xy),
                                c->root.xy, sizeof(c->root.xy));
    if (memcmp(e->pck.fmspc, t->fmspc, sizeof(t->fmspc)) != 0)
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "quote:fmspc", e->pck.fmspc,
                                sizeof(e->pck.fmspc), t->fmspc, sizeof(t->fmspc));
    if (memcmp(e->pck.pce_id, t->pce_id, sizeof(t->pce_id)) != 0)
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "quote:pceid", e->pck.pce_id,
                                sizeof(e->pck.pce_id), t->pce_id, sizeof(t->pce_id));
    return CCZ_OK;
}

/* D.9: header and body, by the attestation key. */
static void collect_signature(struct cczi_sigs *sigs, const struct ccz_quote *q,
                              const struct cczi_evidence *e)
{
    static const struct cczi_sig_refusal refusal = {
        "quote:signature", "the attestation key did not sign header and body", NULL};
    (void)cczi_sigs_add_raw(sigs, e->attest_key, q->signature, q->signed_bytes, &refusal);
}

/* D.10; a revoked TCB has lost its secrets, so that nothing it signed is genuine. */
static ccz_rc evaluate_tcb(struct cczi_tcb_verdict *tcb, const struct cczi_evidence *e,
                           const struct ccz_collateral *c, const struct cczi_td_report *td,
                           const struct cczi_level *qe, struct ccz_err *err)
{
    ccz_rc rc = cczi_tcb_evaluate(tcb, &c->tcb_info, &e->pck, td, qe, err);
    if (rc == CCZ_OK && tcb->status == CCZ_TCB_REVOKED)
        rc = ccz_refuse(err, CCZ_E_REVOKED, "quote:tcb-revoked", ccz_tcb_status_name(tcb->status),
                        "a TCB level that is not revoked");
    return rc;
}

/* D.2 and D.4 to D.9: everything that the signatures are about, then the signatures. */
static ccz_rc check_evidence(const struct cczi_level **qe_level, struct source *s,
                             const struct cczi_sgx_report *qe, const struct ccz_quote *q,
                             const struct ccz_verify_cfg *cfg, struct ccz_err *err)
{
    const struct ccz_collateral *c = cfg->collateral;
    ccz_rc rc = get_evidence(s, q, cfg, err);
    if (rc == CCZ_OK)
        rc = check_dates(s->evidence->windows, CCZI_CHAIN_LEN_MAX, cfg->now_s,
                         "is the clock right?", err);
    if (rc == CCZ_OK)
        rc = check_platform(s->evidence, c, err);
    if (rc == CCZ_OK) /* D.8 */
        rc = cczi_qe_identity_match(qe_level, &c->qe_identity, qe, err);
    if (rc == CCZ_OK)
        collect_signature(&s->pending.sigs, q, s->evidence);
    rc = cczi_sigs_check(&s->pending.sigs, rc, err);
    if (rc == CCZ_OK && s->is_new && cfg->cache)
        cczi_cache_put(cfg->cache, s->key, s->evidence);
    return rc;
}

/* D.2 and D.4 to D.10, with a parsed quote. */
static ccz_rc verify(struct ccz_claims *out, const struct ccz_quote *q,
                     const struct ccz_verify_cfg *cfg, struct ccz_err *err)
{
    __attribute__((cleanup(source_deinit))) struct source s = {0};
    const struct ccz_collateral *c = cfg->collateral;
    const struct cczi_level *qe_level = NULL;
    struct cczi_sgx_report qe;
    struct cczi_td_report td;
    struct cczi_tcb_verdict tcb;
    bool is_td = q->tee == CCZ_TEE_TDX;
    cczi_sgx_report_read(&qe, q->qe_report);
    if (is_td)
        cczi_td_report_read(&td, q->body);

    ccz_rc rc = check_evidence(&qe_level, &s, &qe, q, cfg, err);
    if (rc == CCZ_OK)
        rc = evaluate_tcb(&tcb, s.evidence, c, is_td ? &td : NULL, qe_level, err);
    if (rc == CCZ_OK)
        cczi_claims_fill(out,
                         &(struct cczi_claims_in){q, is_td ? &td : NULL, &qe, s.evidence, c, &tcb});
    return rc;
}

ccz_rc ccz_quote_verify(struct ccz_claims *out, struct ccz_span quote,
                        const struct ccz_verify_cfg *cfg, struct ccz_err *err)
{
    *out = (struct ccz_claims){0};
    ccz_rc rc = check_config(cfg, err);
    struct ccz_quote q;
    if (rc == CCZ_OK) /* D.1 */
        rc = ccz_quote_parse(&q, quote, err);
    if (rc == CCZ_OK)
        rc = check_tee(&q, cfg->collateral, err);
    if (rc == CCZ_OK)
        rc = check_dates(cfg->collateral->windows, cfg->collateral->windows_len, cfg->now_s,
                         "fetch fresh collateral, or check the clock", err);
    if (rc == CCZ_OK)
        rc = verify(out, &q, cfg, err);
    return rc;
}
