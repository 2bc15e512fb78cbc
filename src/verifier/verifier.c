/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "verifier/verifier_priv.h"

#include <cczoo/pcs.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CACHE_LEN = 1024, ROOT_CERT_SIZE_MAX = 65536, PATH_SIZE = 4096, HOUR_S = 3600 };

/* Collateral of one authority with the only root it may end in: what a simulated root signs says
 * nothing about genuine platforms, and the other way round. */
struct authority {
    struct ccz_roots roots;
    struct ccz_snp_roots snp_roots;
    struct ccz_pcs *pcs; /* NULL = not configured */
};

/* What was read from disk at one time. Immutable but for the count of references and what was verified with it. */
struct snapshot {
    atomic_uint refs;
    struct authority genuine, simulated;
    struct cczi_verdicts *verdicts; /* NULL = remembers none */
};

struct ccz_verifier {
    struct ccz_clock clock;
    char *collateral_dir, *trust_sim_dir;
    const struct ccz_policy *policy;
    size_t verdicts_len;
    int64_t verdict_age_s;
    ccz_rc (*fetch)(void *arg, struct ccz_span evidence, struct ccz_err *err);
    void *fetch_arg;
    struct ccz_verify_cache *cache; /* outlives reloads: its keys name the collateral's content */
    pthread_mutex_t lock;           /* guards `now` */
    struct snapshot *now;
};

/* -------------------------------------------------------------------------------- snapshots */

static void snapshot_free(struct snapshot *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    ccz_pcs_free(s->genuine.pcs);
    ccz_pcs_free(s->simulated.pcs);
    cczi_verdicts_free(s->verdicts);
    free(s);
}
CCZ_DEFINE_AUTO(snapshot)

static struct snapshot *snapshot_now(struct ccz_verifier *v)
{
    pthread_mutex_lock(&v->lock);
    struct snapshot *s = v->now;
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&v->lock);
    return s;
}

static ccz_rc path_in(char path[PATH_SIZE], const char *dir, const char *name, struct ccz_err *err)
{
    int n = snprintf(path, PATH_SIZE, "%s/%s", dir, name);
    if (n < 0 || n >= PATH_SIZE)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "verifier:path", n, PATH_SIZE - 1);
    return CCZ_OK;
}

/* A software TEE that plays an AMD processor has its ARK in snp/ark.pem, or apart from bundles. */
static ccz_rc add_simulated_ark(struct ccz_snp_roots *roots, const char *dir, struct ccz_err *err)
{
    static const char *const names[] = {"snp-ark.pem", "snp/ark.pem"};
    CCZ_AUTO_BUF ark;
    ccz_buf_init(&ark, ROOT_CERT_SIZE_MAX);
    for (size_t i = 0; i < 2; i++) {
        char path[PATH_SIZE];
        ccz_rc rc = path_in(path, dir, names[i], err);
        if (rc == CCZ_OK && access(path, F_OK) != 0)
            continue;
        if (rc == CCZ_OK)
            rc = ccz_file_read(&ark, path, err);
        return rc == CCZ_OK ? ccz_snp_roots_add_cert(roots, ccz_buf_span(&ark), true, err) : rc;
    }
    return CCZ_OK;
}

ccz_rc ccz_verifier_sim_roots(struct ccz_roots *intel, struct ccz_snp_roots *amd, const char *dir,
                              struct ccz_err *err)
{
    char path[PATH_SIZE];
    CCZ_AUTO_BUF root;
    ccz_buf_init(&root, ROOT_CERT_SIZE_MAX);
    ccz_rc rc = path_in(path, dir, "root.pem", err);
    if (rc == CCZ_OK)
        rc = ccz_file_read(&root, path, err);
    if (rc == CCZ_OK)
        rc = ccz_roots_add_cert(intel, ccz_buf_span(&root), true, err);
    return rc == CCZ_OK ? add_simulated_ark(amd, dir, err) : rc;
}

/* An empty directory is fine if it can be filled. */
static ccz_rc load_bundles(struct authority *a, const char *dir, bool fills, struct ccz_err *err)
{
    struct ccz_err why = {0};
    ccz_rc rc = ccz_pcs_load_all(&a->pcs, dir, &a->roots, &a->snp_roots, &why);
    if (fills && rc == CCZ_E_NOT_FOUND && strcmp(why.where, "pcs:empty") == 0)
        return CCZ_OK;
    if (rc != CCZ_OK && err)
        *err = why;
    return rc;
}

static ccz_rc load_genuine(struct authority *a, const struct ccz_verifier *v, struct ccz_err *err)
{
    ccz_rc rc = ccz_roots_add_intel(&a->roots);
    if (rc == CCZ_OK)
        rc = ccz_snp_roots_add_amd(&a->snp_roots);
    return rc == CCZ_OK ? load_bundles(a, v->collateral_dir, v->fetch, err) : rc;
}

static ccz_rc load_simulated(struct authority *a, const struct ccz_verifier *v, struct ccz_err *err)
{
    const char *dir = v->trust_sim_dir;
    ccz_rc rc = ccz_verifier_sim_roots(&a->roots, &a->snp_roots, dir, err);
    if (rc == CCZ_OK)
        rc = load_bundles(a, dir, v->fetch && !v->collateral_dir, err);
    if (rc == CCZ_OK)
        ccz_log(CCZ_LOG_WARN, "verifier", "SIMULATED platforms are trusted: root=%s/root.pem", dir);
    return rc;
}

static ccz_rc load(struct snapshot **out, const struct ccz_verifier *v, struct ccz_err *err)
{
    CCZ_AUTO(snapshot) s = calloc(1, sizeof(*s));
    if (!s)
        return ccz_fail(err, CCZ_E_NOMEM, "verifier:memory", 0, "out of memory");
    atomic_init(&s->refs, 1);
    ccz_rc rc = CCZ_OK;
    if (v->collateral_dir)
        rc = load_genuine(&s->genuine, v, err);
    if (rc == CCZ_OK && v->trust_sim_dir)
        rc = load_simulated(&s->simulated, v, err);
    if (rc == CCZ_OK && v->verdicts_len > 0 &&
        cczi_verdicts_new(&s->verdicts, v->verdicts_len, v->verdict_age_s) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_NOMEM, "verifier:memory", 0, "out of memory");
    if (rc == CCZ_OK)
        *out = snapshot_take(&s);
    return rc;
}

/* ------------------------------------------------------------------------------ life cycle */

static char *copy(bool *failed, const char *text)
{
    char *c = text ? strdup(text) : NULL;
    if (text && !c)
        *failed = true;
    return c;
}

ccz_rc ccz_verifier_new(struct ccz_verifier **out, const struct ccz_verifier_cfg *cfg,
                        struct ccz_err *err)
{
    *out = NULL;
    if (!cfg->clock.now_s)
        return ccz_fail(err, CCZ_E_ARG, "verifier:config", 0, "no clock");
    if (!cfg->collateral_dir && !cfg->trust_sim_dir) {
        ccz_rc rc = ccz_fail(err, CCZ_E_ARG, "verifier:config", 0, "nothing to trust");
        return ccz_hint(err, rc,
                        "give a collateral directory, or the trust directory of a software TEE");
    }
    if (cfg->verdicts_len > CCZ_VERIFIER_VERDICTS_MAX || cfg->verdict_age_s < 0)
        return ccz_fail(err, CCZ_E_ARG, "verifier:config", (int64_t)cfg->verdicts_len,
                        "at most %d verdicts, and no negative age", CCZ_VERIFIER_VERDICTS_MAX);
    struct ccz_verifier *v = calloc(1, sizeof(*v));
    if (!v || pthread_mutex_init(&v->lock, NULL) != 0) {
        free(v);
        return ccz_fail(err, CCZ_E_NOMEM, "verifier:memory", 0, "out of memory");
    }
    bool failed = false;
    v->clock = cfg->clock;
    v->policy = cfg->policy;
    v->verdicts_len = cfg->verdicts_len;
    v->verdict_age_s = cfg->verdict_age_s ? cfg->verdict_age_s : HOUR_S;
    v->fetch = cfg->fetch;
    v->fetch_arg = cfg->fetch_arg;
    v->collateral_dir = copy(&failed, cfg->collateral_dir);
    v->trust_sim_dir = copy(&failed, cfg->trust_sim_dir);
    ccz_rc rc = ccz_verify_cache_new(&v->cache, CACHE_LEN);
    if (failed || rc != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_NOMEM, "verifier:memory", 0, "out of memory");
    if (rc == CCZ_OK)
        rc = load(&v->now, v, err);
    if (rc == CCZ_OK)
        *out = v;
    else
        ccz_verifier_free(v);
    return rc;
}

void ccz_verifier_free(struct ccz_verifier *v)
{
    if (!v)
        return;
    snapshot_free(v->now);
    ccz_verify_cache_free(v->cache);
    pthread_mutex_destroy(&v->lock);
    free(v->collateral_dir);
    free(v->trust_sim_dir);
    free(v);
}

ccz_rc ccz_verifier_reload(struct ccz_verifier *v, struct ccz_err *err)
{
    struct snapshot *fresh = NULL;
    ccz_rc rc = load(&fresh, v, err);
    if (rc != CCZ_OK)
        return rc;
    pthread_mutex_lock(&v->lock);
    struct snapshot *old = v->now;
    v->now = fresh;
    pthread_mutex_unlock(&v->lock);
    snapshot_free(old);
    return CCZ_OK;
}

int64_t ccz_verifier_expires(struct ccz_verifier *v)
{
    CCZ_AUTO(snapshot) s = snapshot_now(v);
    int64_t a = ccz_pcs_expires(s->genuine.pcs), b = ccz_pcs_expires(s->simulated.pcs);
    return a < b ? a : b;
}

void ccz_verifier_report(struct ccz_buf *out, struct ccz_verifier *v)
{
    CCZ_AUTO(snapshot) s = snapshot_now(v);
    int64_t now_s = ccz_clock_now_s(v->clock);
    ccz_buf_put_str(out, "{\"genuine\":");
    ccz_pcs_report(out, s->genuine.pcs, now_s);
    ccz_buf_put_str(out, ",\"simulated\":");
    ccz_pcs_report(out, s->simulated.pcs, now_s);
    ccz_buf_put_str(out, ",\"verdicts\":");
    cczi_verdicts_report(out, s->verdicts);
    ccz_buf_put_str(out, "}");
}

/* ---------------------------------------------------------------------------- verification */

static ccz_rc refuse_unknown(const struct ccz_platform *p, struct ccz_err *err)
{
    char fmspc[13], got[CCZ_ERR_VALUE_SIZE];
    ccz_hex(fmspc, p->fmspc, sizeof(p->fmspc));
    (void)snprintf(got, sizeof(got), "%s platform %s", ccz_tee_name(p->tee), fmspc);
    ccz_rc rc = ccz_refuse(err, CCZ_E_NOT_FOUND, "verifier:no-collateral", got,
                           "a platform that a bundle is about");
    return ccz_hint(err, rc,
                    "add a bundle with the TCB info of this FMSPC and the CRL of its PCK CA, "
                    "or trust the software TEE that made the quote");
}

/* The collateral for a quote and whose it is. A quote without PCK certificate does not say where it
 * comes from; then the choice must not be needed. */
static ccz_rc choose(const struct ccz_collateral **collateral, const struct authority **whose,
                     const struct snapshot *s, const struct ccz_quote *q, struct ccz_err *err)
{
    const struct authority *all[] = {&s->genuine, &s->simulated};
    struct ccz_platform platform;
    ccz_rc rc = ccz_quote_platform(&platform, q, err);
    if (rc != CCZ_OK && rc != CCZ_E_UNSUPPORTED)
        return rc;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        *whose = all[i];
        *collateral = rc == CCZ_OK ? ccz_pcs_find(all[i]->pcs, &platform)
                                   : ccz_pcs_find_only(all[i]->pcs, q->tee);
        if (*collateral)
            return CCZ_OK;
    }
    return rc == CCZ_OK ? refuse_unknown(&platform, err) : rc;
}

/* What choose() found, and the snapshot that it belongs to. */
struct choice {
    struct snapshot *s;
    const struct ccz_collateral *collateral;
    const struct authority *whose;
};

static ccz_rc choose_now(struct choice *c, struct ccz_verifier *v, const struct ccz_quote *q,
                         struct ccz_err *err)
{
    snapshot_free(c->s);
    c->s = snapshot_now(v);
    return choose(&c->collateral, &c->whose, c->s, q, err);
}

/* Whose directory the fetching function fills. */
static const struct authority *filled(const struct ccz_verifier *v, const struct snapshot *s)
{
    return v->collateral_dir ? &s->genuine : &s->simulated;
}

static bool is_expired(const struct choice *c, const struct ccz_verifier *v, int64_t now_s)
{
    return c->whose == filled(v, c->s) && ccz_collateral_expires(c->collateral) < now_s;
}

/* Asks for what is missing or has expired. Another thread may have read the directory since. */
static ccz_rc choose_or_fetch(struct choice *c, struct ccz_verifier *v, const struct ccz_quote *q,
                              struct ccz_span quote, struct ccz_err *err)
{
    int64_t now_s = ccz_clock_now_s(v->clock);
    ccz_rc rc = choose_now(c, v, q, err);
    bool missing = rc == CCZ_E_NOT_FOUND || rc == CCZ_E_UNSUPPORTED;
    if (!v->fetch || !(missing || (rc == CCZ_OK && is_expired(c, v, now_s))))
        return rc;
    struct ccz_err why = {0};
    ccz_rc fetched = v->fetch(v->fetch_arg, quote, &why);
    if (fetched != CCZ_OK && missing && err)
        *err = why;
    if (fetched != CCZ_OK)
        return missing ? fetched : rc; /* what has expired is refused below */
    rc = choose_now(c, v, q, err);
    if (rc == CCZ_OK && !is_expired(c, v, now_s))
        return CCZ_OK;
    rc = ccz_verifier_reload(v, err);
    return rc == CCZ_OK ? choose_now(c, v, q, err) : rc;
}

static ccz_rc verify_quote(struct choice *c, struct ccz_verifier *v, struct ccz_claims *claims,
                           struct ccz_span quote, int64_t now_s, struct ccz_err *err)
{
    struct ccz_quote q;
    ccz_rc rc = ccz_quote_parse(&q, quote, err);
    if (rc == CCZ_OK)
        rc = choose_or_fetch(c, v, &q, quote, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_verify_cfg cfg = {
        .now_s = now_s, .roots = &c->whose->roots, .collateral = c->collateral, .cache = v->cache};
    return ccz_quote_verify(claims, quote, &cfg, err);
}

/* --------------------------------------------------------------------------------- SEV-SNP */

static ccz_rc refuse_unknown_snp(const struct ccz_snp_report *r, struct ccz_err *err)
{
    char got[CCZ_ERR_VALUE_SIZE];
    (void)snprintf(got, sizeof(got), "snp product line %s, %s",
                   r->claims.product ? ccz_snp_product_name(r->claims.product) : "not named",
                   ccz_snp_signer_name(r->signer));
    ccz_rc rc = ccz_refuse(err, CCZ_E_NOT_FOUND, "verifier:no-collateral", got,
                           "a product line and kind of key that a bundle is about");
    return ccz_hint(err, rc,
                    "add a bundle with ARK, ASK (VCEK) or ASVK (VLEK) and CRL of this line");
}

/* Says only that the report belongs to another collateral. */
static bool is_elsewhere(const struct ccz_err *err)
{
    return strcmp(err->where, "snp:vek-missing") == 0 || strcmp(err->where, "snp:vek-issuer") == 0;
}

/* Nothing in a report says whose it is but its VEK, and one of version 2 does not even name its product line. So every
 * collateral that it may belong to is tried, each under its own roots; there are at most a few. */
static ccz_rc verify_snp(const struct snapshot *s, struct ccz_claims *claims,
                         struct ccz_span evidence, struct ccz_snp_verify_cfg cfg,
                         struct ccz_err *err)
{
    const struct authority *all[] = {&s->genuine, &s->simulated};
    struct ccz_snp_report r;
    struct ccz_err why = {0};
    ccz_rc rc = ccz_snp_report_parse(&r, evidence, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        for (size_t n = 0; n < ccz_pcs_snp_len(all[i]->pcs); n++) {
            struct ccz_err e = {0};
            cfg.collateral = ccz_pcs_snp_at(all[i]->pcs, n).collateral;
            cfg.roots = &all[i]->snp_roots;
            if (ccz_snp_collateral_signer(cfg.collateral) != r.signer ||
                (r.claims.product != CCZ_SNP_NONE &&
                 ccz_snp_collateral_product(cfg.collateral) != r.claims.product))
                continue;
            rc = ccz_snp_verify(claims, evidence, &cfg, &e);
            if (rc == CCZ_OK)
                return CCZ_OK;
            if (why.rc == CCZ_OK || (is_elsewhere(&why) && !is_elsewhere(&e)))
                why = e; /* the reason of the one that fits best */
        }
    }
    if (why.rc == CCZ_OK)
        return refuse_unknown_snp(&r, err);
    if (err)
        *err = why;
    return why.rc;
}

static bool has_valid(const struct authority *a, enum ccz_snp_product product,
                      enum ccz_snp_signer signer, int64_t now_s)
{
    for (size_t i = 0; i < ccz_pcs_snp_len(a->pcs); i++) {
        const struct ccz_snp_collateral *c = ccz_pcs_snp_at(a->pcs, i).collateral;
        if (ccz_snp_collateral_product(c) == product && ccz_snp_collateral_signer(c) == signer)
            return ccz_snp_collateral_expires(c) >= now_s;
    }
    return false;
}

/* Is something not there, or not any more, that a report of its form needs? Reports are anybody's: what there is
 * nothing to fetch for must not cost a request or a reload. */
static bool lacks_snp(const struct ccz_verifier *v, const struct snapshot *s,
                      struct ccz_span evidence, int64_t now_s, const struct ccz_err *why)
{
    struct ccz_snp_report r;
    if (!v->fetch || ccz_snp_report_parse(&r, evidence, NULL) != CCZ_OK)
        return false;
    enum ccz_snp_product product = ccz_snp_report_product(&r);
    return !has_valid(filled(v, s), product, r.signer, now_s) ||
           (r.vek.size == 0 && strcmp(why->where, "snp:vek-missing") == 0);
}

/* Once more with what could be fetched. If that fails, the reason is the better one where something was missing; what
 * has expired stays expired. */
static ccz_rc fetch_snp(struct choice *c, struct ccz_verifier *v, struct ccz_claims *claims,
                        struct ccz_span evidence, const struct ccz_snp_verify_cfg *cfg,
                        struct ccz_err *why)
{
    struct ccz_err e = {0};
    ccz_rc rc = why->rc;
    if (v->fetch(v->fetch_arg, evidence, &e) != CCZ_OK) {
        if (rc == CCZ_E_NOT_FOUND)
            *why = e;
        return why->rc;
    }
    snapshot_free(c->s); /* another thread may have read the directory since */
    c->s = snapshot_now(v);
    rc = verify_snp(c->s, claims, evidence, *cfg, &e);
    if (rc != CCZ_OK && lacks_snp(v, c->s, evidence, cfg->now_s, &e)) {
        rc = ccz_verifier_reload(v, &e);
        snapshot_free(c->s);
        c->s = snapshot_now(v);
        if (rc == CCZ_OK)
            rc = verify_snp(c->s, claims, evidence, *cfg, &e);
    }
    *why = e;
    return rc;
}

static ccz_rc verify(struct choice *c, struct ccz_verifier *v, struct ccz_claims *claims,
                     struct ccz_span evidence, int64_t now_s, struct ccz_err *err)
{
    if (!ccz_snp_is_report(evidence))
        return verify_quote(c, v, claims, evidence, now_s, err);
    const struct ccz_snp_verify_cfg cfg = {.now_s = now_s, .cache = v->cache};
    struct ccz_err why = {0};
    ccz_rc rc = verify_snp(c->s, claims, evidence, cfg, &why);
    if (rc != CCZ_OK && lacks_snp(v, c->s, evidence, now_s, &why))
        rc = fetch_snp(c, v, claims, evidence, &cfg, &why);
    if (rc != CCZ_OK && err)
        *err = why;
    return rc;
}

/* -------------------------------------------------------------------------------- judging */

/* Genuine at @p now_s, and accepted by @p policy (NULL: not asked). Only what was accepted is remembered, so that
 * peers who are refused anyhow push nobody out; the policy is asked every time. */
static ccz_rc judge_with(struct choice *c, struct ccz_verifier *v, struct ccz_claims *claims,
                         struct ccz_span quote, const struct ccz_policy *policy,
                         struct ccz_err *err)
{
    uint8_t key[CCZI_VERDICT_KEY_SIZE];
    int64_t now_s = ccz_clock_now_s(v->clock);
    struct ccz_verdict verdict = {0};
    if (v->verdicts_len && cczi_verdicts_key(key, quote) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "verifier:hash", 0, "evidence could not be hashed");
    bool known = c->s->verdicts && cczi_verdicts_get(claims, c->s->verdicts, key, now_s);
    ccz_rc rc = known ? CCZ_OK : verify(c, v, claims, quote, now_s, err);
    if (rc == CCZ_OK && policy)
        rc = ccz_policy_eval(&verdict, policy, claims, now_s, err);
    if (rc == CCZ_OK && policy && !verdict.accept)
        rc = ccz_fail(err, CCZ_E_INTERNAL, "verifier:verdict", 0,
                      "policy accepted without a verdict");
    if (rc == CCZ_OK && c->s->verdicts && !known)
        cczi_verdicts_put(c->s->verdicts, key, claims, now_s);
    return rc;
}

static ccz_rc judge(struct ccz_verifier *v, struct ccz_claims *claims, struct ccz_span quote,
                    const struct ccz_policy *policy, struct ccz_err *err)
{
    struct choice c = {.s = snapshot_now(v)};
    ccz_rc rc = judge_with(&c, v, claims, quote, policy, err);
    snapshot_free(c.s);
    return rc;
}

ccz_rc ccz_verifier_verify(struct ccz_verifier *v, struct ccz_claims *claims, struct ccz_span quote,
                           struct ccz_err *err)
{
    *claims = (struct ccz_claims){0};
    return judge(v, claims, quote, NULL, err);
}

ccz_rc ccz_verifier_appraise(void *verifier, struct ccz_claims *claims, struct ccz_span quote,
                             struct ccz_err *err)
{
    struct ccz_verifier *v = verifier;
    *claims = (struct ccz_claims){0};
    if (!v->policy) {
        ccz_rc rc =
            ccz_fail(err, CCZ_E_POLICY, "verifier:no-policy", 0, "no policy: nobody is accepted");
        return ccz_hint(err, rc, "configure an appraisal policy");
    }
    ccz_rc rc = judge(v, claims, quote, v->policy, err);
    if (rc != CCZ_OK)
        *claims = (struct ccz_claims){0};
    return rc;
}
