/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verification of SEV-SNP reports: AMD 56860 (section 7.3) and AMD 57230. The numbers are those of
 * docs/design/verification.md, "SEV-SNP". Steps 1 and 2 (ARK, CA, CRL, and VEKs that come with the collateral) are done in
 * snp_chain.c when collateral is opened; their dates are checked here. Comparisons come before the signature because
 * they are cheap and name the mistake: a report with the certificate of another chip or TCB fails both.
 */
#include "quote/snp_priv.h"

#include <stdio.h>
#include <string.h>

static ccz_rc check_config(const struct ccz_snp_verify_cfg *cfg, struct ccz_err *err)
{
    if (cfg->now_s <= 0)
        return ccz_fail(err, CCZ_E_ARG, "snp:config", 0, "no verification time");
    if (!cfg->roots || !cfg->collateral)
        return ccz_fail(err, CCZ_E_ARG, "snp:config", 0, "no %s",
                        cfg->roots ? "collateral" : "roots");
    /* The collateral may have been opened under other roots than the caller trusts now. */
    const struct ccz_snp_root *root = &cfg->collateral->root;
    for (size_t i = 0; i < cfg->roots->len && i < CCZ_SNP_ROOTS_MAX; i++) {
        const struct ccz_snp_root *r = &cfg->roots->root[i];
        if (memcmp(r->spki_sha256, root->spki_sha256, sizeof(r->spki_sha256)) == 0 &&
            r->product == root->product && r->simulated == root->simulated)
            return CCZ_OK;
    }
    return ccz_fail(err, CCZ_E_UNTRUSTED, "snp:collateral-root", 0,
                    "the root of the collateral is not trusted");
}

/* 4: signed at all, and by a key that this collateral is about? Decodes the TCBs of version 2 anew, because only now
 * the product line is known. */
static ccz_rc check_signer(struct ccz_snp_report *r, const struct ccz_snp_collateral *c,
                           struct ccz_err *err)
{
    if (r->chip_key_masked) { /* MASK_CHIP_KEY: zeros in place of a signature */
        ccz_rc rc = ccz_fail(err, CCZ_E_UNSUPPORTED, "snp:chip-key-masked", 0,
                             "the host has masked the chip's key: the report is not signed");
        return ccz_hint(err, rc, "the host must not set MASK_CHIP_KEY in SNP_CONFIG");
    }
    if (r->signer != c->signer)
        return ccz_refuse(err, CCZ_E_MISMATCH, "snp:signer", ccz_snp_signer_name(c->signer),
                          ccz_snp_signer_name(r->signer));
    if (r->claims.product != CCZ_SNP_NONE && r->claims.product != c->root.product)
        return ccz_refuse(err, CCZ_E_MISMATCH, "snp:product", ccz_snp_product_name(c->root.product),
                          ccz_snp_product_name(r->claims.product));
    r->claims.product = c->root.product;
    return cczi_snp_tcbs_read(&r->claims, r->signed_bytes, c->root.product, err);
}

/* 3: ARK, CA and CRL must be valid now, in both directions. */
static ccz_rc check_dates(const struct ccz_snp_collateral *c, int64_t now_s, struct ccz_err *err)
{
    for (size_t i = 0; i < c->windows_len; i++) {
        ccz_rc rc = cczi_window_check(&c->windows[i], now_s, err);
        if (rc != CCZ_OK)
            return ccz_hint(err, rc, "fetch fresh collateral, or check the clock");
    }
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------- signature */

/* 10: r and s stand little-endian in the report. */
static ccz_rc check_signature(const struct ccz_snp_report *r, const struct cczi_evidence *vek,
                              struct ccz_err *err)
{
    enum { INT_SIZE = 72, SIZE = 48 };
    uint8_t sig[2 * SIZE];
    for (size_t i = 0; i < SIZE; i++) {
        sig[i] = r->signature.ptr[SIZE - 1 - i];
        sig[SIZE + i] = r->signature.ptr[INT_SIZE + SIZE - 1 - i];
    }
    ccz_rc rc = ccz_ecdsa_verify(vek->attest_key, sig, sizeof(sig), &r->signed_bytes, 1);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "snp:signature", 0, "the %s did not sign the report",
                        r->signer == CCZ_SNP_VLEK ? "VLEK" : "VCEK");
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------------- VEK */

static bool same_tcb(const struct ccz_snp_tcb *a, const struct ccz_snp_tcb *b)
{
    return a->fmc == b->fmc && a->boot_loader == b->boot_loader && a->tee == b->tee &&
           a->snp == b->snp && a->microcode == b->microcode;
}

enum fit { FIT_NONE, FIT_CHIP, FIT_CHIP_NOW, FIT_TCB, FIT_TCB_NOW };

/* How well a certificate of the collateral fits; what does not fit fully is refused later, with its reason. */
static enum fit fit(const struct cczi_evidence *vek, const struct ccz_snp_report *r, int64_t now_s)
{
    const struct ccz_snp_claims *c = &r->claims;
    if (r->signer == CCZ_SNP_VCEK && memcmp(vek->vek.hwid, c->chip_id, sizeof(c->chip_id)) != 0)
        return FIT_NONE;
    bool now = now_s >= vek->windows[0].from_s && now_s <= vek->windows[0].until_s;
    if (same_tcb(&vek->vek.tcb, &c->reported_tcb))
        return now ? FIT_TCB_NOW : FIT_TCB;
    return now ? FIT_CHIP_NOW : FIT_CHIP;
}

/* A chip has one VCEK per TCB. VLEKs of one TCB may be several (regions, years): then the signature tells. */
static struct cczi_evidence *find_vek(const struct ccz_snp_collateral *c,
                                      const struct ccz_snp_report *r, int64_t now_s)
{
    struct cczi_evidence *best = NULL;
    enum fit best_fit = FIT_NONE;
    for (size_t i = 0; i < c->veks_len; i++) {
        struct cczi_evidence *e = c->veks[i].evidence;
        enum fit f = fit(e, r, now_s);
        if (f == FIT_TCB_NOW && best_fit == FIT_TCB_NOW && check_signature(r, best, NULL) != CCZ_OK)
            best = e;
        if (f > best_fit) {
            best = e;
            best_fit = f;
        }
    }
    return best ? cczi_evidence_ref(best) : NULL;
}

/* A certificate that comes with the evidence: known from the collateral, remembered, or verified now. */
static ccz_rc get_carried(struct cczi_evidence **out, struct ccz_span cert,
                          const struct ccz_snp_verify_cfg *cfg, struct ccz_err *err)
{
    uint8_t key[CCZI_CACHE_KEY_SIZE];
    const struct ccz_snp_collateral *c = cfg->collateral;
    ccz_rc rc = cczi_snp_vek_key(key, c, cert);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "snp:memory", 0, "could not compute a cache key");
    for (size_t i = 0; i < c->veks_len; i++) {
        if (memcmp(c->veks[i].key, key, sizeof(key)) == 0) {
            *out = cczi_evidence_ref(c->veks[i].evidence);
            return CCZ_OK;
        }
    }
    *out = cfg->cache ? cczi_cache_get(cfg->cache, key) : NULL;
    if (*out)
        return CCZ_OK;
    rc = cczi_snp_vek_new(out, cert, c, err);
    if (rc == CCZ_OK && cfg->cache)
        cczi_cache_put(cfg->cache, key, *out);
    return rc;
}

/* 5, 6: the VEK's certificate, its chain and its dates. */
static ccz_rc get_vek(struct cczi_evidence **out, const struct ccz_snp_report *r,
                      const struct ccz_snp_verify_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = CCZ_OK;
    if (r->vek.size > 0) {
        rc = get_carried(out, r->vek, cfg, err);
    } else {
        *out = find_vek(cfg->collateral, r, cfg->now_s);
        if (!*out) {
            rc = ccz_fail(err, CCZ_E_NOT_FOUND, "snp:vek-missing", 0,
                          "neither evidence nor collateral has the %s certificate",
                          ccz_snp_signer_name(r->signer));
            ccz_hint(err, rc, "AMD's KDS delivers it by chip id and reported TCB");
        }
    }
    if (rc == CCZ_OK)
        rc = cczi_window_check(&(*out)->windows[0], cfg->now_s, err);
    return rc;
}

/* ----------------------------------------------------------------------------------- binding */

static ccz_rc refuse_tcb(struct ccz_err *err, const char *where, const struct ccz_snp_tcb *got,
                         const char *relation, const struct ccz_snp_tcb *expected)
{
    char text[2][CCZ_ERR_VALUE_SIZE];
    const struct ccz_snp_tcb *tcb[] = {got, expected};
    for (int i = 0; i < 2; i++)
        (void)snprintf(text[i], sizeof(text[i]),
                       "%sfmc %u, boot loader %u, tee %u, snp %u, microcode %u", i ? relation : "",
                       tcb[i]->fmc, tcb[i]->boot_loader, tcb[i]->tee, tcb[i]->snp,
                       tcb[i]->microcode);
    return ccz_refuse(err, CCZ_E_MISMATCH, where, text[0], text[1]);
}

/* 7: the VEK is derived from the TCB that the report is made under. */
static ccz_rc check_reported_tcb(const struct ccz_snp_claims *c, const struct cczi_evidence *vek,
                                 struct ccz_err *err)
{
    if (same_tcb(&c->reported_tcb, &vek->vek.tcb))
        return CCZ_OK;
    ccz_rc rc = refuse_tcb(err, "snp:reported-tcb", &c->reported_tcb,
                           "that of the certificate: ", &vek->vek.tcb);
    return ccz_hint(err, rc, "the certificate is for another TCB of the firmware");
}

/* 8: a VCEK is of one chip. Zeros are AMD's way to mask the chip's id (MASK_CHIP_ID); the signature says the same with
 * more weight, and a policy that lists chips does not find zeros there. VLEKs are of no chip. */
static ccz_rc check_chip_id(const struct ccz_snp_claims *c, const struct cczi_evidence *vek,
                            struct ccz_err *err)
{
    enum { SIZE_TURIN = 8 };
    if (c->product == CCZ_SNP_TURIN &&
        !cczi_is_zero(c->chip_id + SIZE_TURIN, sizeof(c->chip_id) - SIZE_TURIN))
        return ccz_fail(err, CCZ_E_FORMAT, "snp:chip-id-reserved", 0,
                        "a chip id of Turin has 8 bytes; further ones are in use");
    if (c->signer == CCZ_SNP_VLEK || cczi_is_zero(c->chip_id, sizeof(c->chip_id)) ||
        memcmp(c->chip_id, vek->vek.hwid, sizeof(c->chip_id)) == 0)
        return CCZ_OK;
    return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "snp:chip-id", c->chip_id, sizeof(c->chip_id),
                            vek->vek.hwid, sizeof(vek->vek.hwid));
}

/* ------------------------------------------------------------------------------- consistency */

static bool tcb_at_most(const struct ccz_snp_tcb *a, const struct ccz_snp_tcb *b)
{
    return a->fmc <= b->fmc && a->boot_loader <= b->boot_loader && a->tee <= b->tee &&
           a->snp <= b->snp && a->microcode <= b->microcode;
}

static uint32_t version_number(const struct ccz_snp_version *v)
{
    return (uint32_t)v->major << 16 | (uint32_t)v->minor << 8 | v->build;
}

/* 9: what the firmware guarantees by itself: it reports at most what is committed, commits at most what runs, and
 * starts no guest whose policy asks for a newer interface. (The launch TCB is bound to none of them: a guest may come
 * from another host.) */
static ccz_rc check_consistency(const struct ccz_snp_claims *c, struct ccz_err *err)
{
    if (!tcb_at_most(&c->reported_tcb, &c->committed_tcb))
        return refuse_tcb(err, "snp:tcb-reported", &c->reported_tcb, "at most the committed ",
                          &c->committed_tcb);
    if (!tcb_at_most(&c->committed_tcb, &c->current_tcb))
        return refuse_tcb(err, "snp:tcb-committed", &c->committed_tcb, "at most the current ",
                          &c->current_tcb);
    if (version_number(&c->committed_version) > version_number(&c->current_version))
        return ccz_fail(err, CCZ_E_MISMATCH, "snp:version-committed", 0,
                        "committed firmware %u.%u.%u is newer than the current %u.%u.%u",
                        c->committed_version.major, c->committed_version.minor,
                        c->committed_version.build, c->current_version.major,
                        c->current_version.minor, c->current_version.build);
    unsigned abi = (unsigned)c->guest_policy[1] << 8 | c->guest_policy[0];
    if (abi > version_number(&c->current_version) >> 8)
        return ccz_fail(err, CCZ_E_MISMATCH, "snp:policy-abi", abi,
                        "the guest policy asks for ABI %u.%u, the firmware has %u.%u",
                        c->guest_policy[1], c->guest_policy[0], c->current_version.major,
                        c->current_version.minor);
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------ the algorithm */

ccz_rc ccz_snp_verify(struct ccz_claims *out, struct ccz_span evidence,
                      const struct ccz_snp_verify_cfg *cfg, struct ccz_err *err)
{
    *out = (struct ccz_claims){0};
    __attribute__((cleanup(cczi_evidence_freep))) struct cczi_evidence *vek = NULL;
    struct ccz_snp_report r;
    ccz_rc rc = check_config(cfg, err);
    if (rc == CCZ_OK) /* 0 */
        rc = ccz_snp_report_parse(&r, evidence, err);
    if (rc == CCZ_OK)
        rc = check_dates(cfg->collateral, cfg->now_s, err);
    if (rc == CCZ_OK)
        rc = check_signer(&r, cfg->collateral, err);
    if (rc == CCZ_OK)
        rc = get_vek(&vek, &r, cfg, err);
    if (rc == CCZ_OK)
        rc = check_reported_tcb(&r.claims, vek, err);
    if (rc == CCZ_OK)
        rc = check_chip_id(&r.claims, vek, err);
    if (rc == CCZ_OK)
        rc = check_consistency(&r.claims, err);
    if (rc == CCZ_OK)
        rc = check_signature(&r, vek, err);
    if (rc == CCZ_OK)
        cczi_claims_fill_snp(out, &r, vek, cfg->collateral);
    return rc;
}
