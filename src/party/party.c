/* SPDX-License-Identifier: Apache-2.0 */
#include "party/party_priv.h"

#include <cczoo/crypto.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERDICTS_LEN = 1024, ALPN_LEN_MAX = 8, ALPN_SIZE_MAX = 255 };

struct user {
    ccz_party_renewed_fn fn;
    void *arg;
};

struct ccz_party {
    /* what a new identity is made of */
    struct ccz_ratls_cfg ratls_cfg;
    struct ccz_clock clock;
    struct ccz_key *key; /* NULL = a fresh one each time */
    char *alpn[ALPN_LEN_MAX + 1];
    pthread_mutex_t renew_lock; /* one renewal at a time; the users */
    struct user *users;
    size_t users_len;
    pthread_mutex_t lock; /* ratls */
    struct ccz_attester *attester;
    struct ccz_attester *owned_attester; /* NULL if borrowed */
    struct ccz_policy *policy;
    struct ccz_verifier *verifier;
    struct cczi_keeper *keeper; /* NULL = offline */
    struct ccz_ratls_ctx *ratls;
    bool simulated;
};

static ccz_rc attest(void *arg, struct ccz_buf *quote, const uint8_t report_data[64],
                     struct ccz_err *err)
{
    return ccz_attester_quote(quote, arg, report_data, err);
}

static ccz_rc appraise_genuine(void *arg, struct ccz_claims *claims, struct ccz_span quote,
                               struct ccz_err *err)
{
    return ccz_verifier_verify(arg, claims, quote, err);
}

static ccz_rc load_policy(struct ccz_policy **out, const char *file, struct ccz_err *err)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_POLICY_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&text, file, err);
    return rc == CCZ_OK ? ccz_policy_parse(out, ccz_buf_span(&text), err) : rc;
}

static ccz_rc open_verifier(struct ccz_party *p, const struct ccz_party_cfg *cfg,
                            struct ccz_clock clock, struct ccz_err *err)
{
    if (cfg->policy_file && cfg->genuine_only) /* one of them would not be asked: the policy */
        return ccz_fail(err, CCZ_E_ARG, "party:policy", 0,
                        "a policy was given, and that none decides");
    bool appraises = cfg->policy_file || cfg->genuine_only;
    if (!appraises && cfg->peer_evidence_optional)
        return CCZ_OK;
    if (!appraises) {
        ccz_fail(err, CCZ_E_ARG, "party:policy", 0,
                 "no appraisal policy was given for the peer's evidence");
        return ccz_hint(err, CCZ_E_ARG,
                        "name a policy file with --policy; an absent policy never accepts anybody");
    }
    ccz_rc rc = cfg->policy_file ? load_policy(&p->policy, cfg->policy_file, err) : CCZ_OK;
    if (rc == CCZ_OK && cfg->collateral_from)
        rc = cczi_keeper_new(&p->keeper, cfg, clock, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_verifier_cfg v = {.clock = clock,
                                       .collateral_dir = cfg->collateral_dir,
                                       .trust_sim_dir = cfg->trust_sim_dir,
                                       .policy = p->policy,
                                       .verdicts_len =
                                           cfg->profile == CCZ_RATLS_CERTIFICATE ? VERDICTS_LEN : 0,
                                       .fetch = p->keeper ? cczi_keeper_fetch : NULL,
                                       .fetch_arg = p->keeper};
    rc = ccz_verifier_new(&p->verifier, &v, err);
    return rc == CCZ_OK && p->keeper ? cczi_keeper_start(p->keeper, p->verifier, err) : rc;
}

/* What the caller lent, and renewals need. */
static ccz_rc keep_identity(struct ccz_party *p, const struct ccz_party_cfg *cfg,
                            struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) der = NULL;
    ccz_rc rc = cfg->key ? ccz_key_to_pkcs8(&der, cfg->key) : CCZ_OK;
    if (rc == CCZ_OK && cfg->key)
        rc = ccz_key_from_pkcs8(&p->key, der, err);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "party:key", 0, "the TLS identity could not be kept");
    for (size_t i = 0; cfg->alpn && cfg->alpn[i]; i++) {
        if (i == ALPN_LEN_MAX || strlen(cfg->alpn[i]) > ALPN_SIZE_MAX)
            return ccz_fail(err, CCZ_E_ARG, "party:alpn", (int64_t)i,
                            "more than %d protocols, or a name above %d bytes", ALPN_LEN_MAX,
                            ALPN_SIZE_MAX);
        p->alpn[i] = calloc(1, strlen(cfg->alpn[i]) + 1);
        if (!p->alpn[i])
            return ccz_fail(err, CCZ_E_NOMEM, "party:new", 0, "out of memory");
        memcpy(p->alpn[i], cfg->alpn[i], strlen(cfg->alpn[i]));
    }
    return CCZ_OK;
}

static ccz_rc make_ratls(struct ccz_ratls_ctx **out, const struct ccz_party *p, struct ccz_err *err)
{
    struct ccz_ratls_cfg r = p->ratls_cfg;
    r.now_s = ccz_clock_now_s(p->clock);
    return ccz_ratls_ctx_new(out, &r, err);
}

static ccz_rc open_ratls(struct ccz_party *p, const struct ccz_party_cfg *cfg, struct ccz_err *err)
{
    ccz_rc rc = keep_identity(p, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    p->ratls_cfg = (struct ccz_ratls_cfg){
        .profile = cfg->profile,
        .server = cfg->server,
        .key = p->key,
        .attest = p->attester ? attest : NULL,
        .attest_arg = p->attester,
        .appraise = !p->verifier        ? NULL
                    : cfg->genuine_only ? appraise_genuine
                                        : ccz_verifier_appraise,
        .appraise_arg = p->verifier,
        .peer_evidence_optional = cfg->peer_evidence_optional,
        .pin = cfg->pin,
        .pin_arg = cfg->pin_arg,
        .alpn = cfg->alpn ? (const char *const *)p->alpn : NULL,
        .emit = cfg->emit,
        .certify = cfg->certify,
        .certify_arg = cfg->certify_arg,
        .require_fresh = cfg->require_fresh,
        .reattest_interval_ms = cfg->reattest_interval_ms,
        .reattest_timeout_ms = cfg->reattest_timeout_ms,
    };
    return make_ratls(&p->ratls, p, err);
}

ccz_rc ccz_party_new(struct ccz_party **out, const struct ccz_party_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    struct ccz_clock clock = cfg->clock.now_s ? cfg->clock : ccz_clock_system();
    CCZ_AUTO(ccz_party) p = calloc(1, sizeof(*p));
    if (!p)
        return ccz_fail(err, CCZ_E_NOMEM, "party:new", 0, "out of memory");
    pthread_mutex_init(&p->lock, NULL);
    pthread_mutex_init(&p->renew_lock, NULL);
    p->clock = clock;
    if (cfg->attester && cfg->tee.provider)
        return ccz_fail(err, CCZ_E_ARG, "party:evidence", 0,
                        "two sources of own evidence were given");
    ccz_rc rc = cfg->tee.provider ? ccz_attester_open(&p->owned_attester, &cfg->tee, err) : CCZ_OK;
    p->attester = cfg->attester ? cfg->attester : p->owned_attester;
    if (rc == CCZ_OK)
        rc = open_verifier(p, cfg, clock, err);
    if (rc == CCZ_OK)
        rc = open_ratls(p, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    p->simulated = cfg->trust_sim_dir || (p->attester && ccz_attester_simulated(p->attester));
    *out = ccz_party_take(&p);
    return CCZ_OK;
}

void ccz_party_free(struct ccz_party *p)
{
    if (!p)
        return;
    ccz_ratls_ctx_free(p->ratls);
    cczi_keeper_free(p->keeper);
    ccz_verifier_free(p->verifier);
    ccz_policy_free(p->policy);
    ccz_attester_free(p->owned_attester);
    ccz_key_free(p->key);
    for (size_t i = 0; i < ALPN_LEN_MAX; i++)
        free(p->alpn[i]);
    free(p->users);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->renew_lock);
    free(p);
}

struct ccz_ratls_ctx *ccz_party_ratls(struct ccz_party *p)
{
    pthread_mutex_lock(&p->lock);
    struct ccz_ratls_ctx *ctx = p->ratls;
    pthread_mutex_unlock(&p->lock);
    return ctx;
}

/* ----------------------------------------------------------------------------------- renewal */

ccz_rc ccz_party_attach(struct ccz_party *p, ccz_party_renewed_fn fn, void *arg)
{
    pthread_mutex_lock(&p->renew_lock);
    struct user *list = realloc(p->users, (p->users_len + 1) * sizeof(*list));
    if (list) {
        p->users = list;
        list[p->users_len++] = (struct user){fn, arg};
        fn(arg, p->ratls); /* only renewals change it, and none runs */
    }
    pthread_mutex_unlock(&p->renew_lock);
    return list ? CCZ_OK : CCZ_E_NOMEM;
}

void ccz_party_detach(struct ccz_party *p, ccz_party_renewed_fn fn, void *arg)
{
    pthread_mutex_lock(&p->renew_lock);
    for (size_t i = p->users_len; i-- > 0;)
        if (p->users[i].fn == fn && p->users[i].arg == arg) {
            memmove(&p->users[i], &p->users[i + 1], (p->users_len - i - 1) * sizeof(p->users[0]));
            p->users_len--;
            break;
        }
    pthread_mutex_unlock(&p->renew_lock);
}

ccz_rc ccz_party_renew(struct ccz_party *p, struct ccz_err *err)
{
    struct ccz_ratls_ctx *fresh;
    pthread_mutex_lock(&p->renew_lock);
    ccz_rc rc = make_ratls(&fresh, p, err);
    if (rc == CCZ_OK) {
        pthread_mutex_lock(&p->lock);
        struct ccz_ratls_ctx *old = p->ratls;
        p->ratls = fresh;
        pthread_mutex_unlock(&p->lock);
        for (size_t i = 0; i < p->users_len; i++)
            p->users[i].fn(p->users[i].arg, fresh);
        ccz_ratls_ctx_free(old); /* its connections hold it as long as they last */
    }
    pthread_mutex_unlock(&p->renew_lock);
    return rc;
}

static ccz_rc tell_reload(const char *module, const char *what, ccz_rc rc,
                          const struct ccz_err *err)
{
    char text[64];
    (void)snprintf(text, sizeof(text), "reload %s=kept", what);
    if (rc == CCZ_OK)
        ccz_log(CCZ_LOG_INFO, module, "reload %s=new", what);
    else
        ccz_log_err(CCZ_LOG_ERROR, module, text, err);
    return rc;
}

ccz_rc ccz_party_reload(struct ccz_party *p, const char *module)
{
    struct ccz_err err = {0}, why = {0};
    ccz_rc rc = CCZ_OK;
    if (p->verifier)
        rc = tell_reload(module, "collateral", ccz_verifier_reload(p->verifier, &err), &err);
    ccz_rc renewed = tell_reload(module, "identity", ccz_party_renew(p, &why), &why);
    return renewed == CCZ_OK ? rc : renewed;
}

void ccz_party_ratls_cfg(struct ccz_ratls_cfg *out, const struct ccz_party *p)
{
    *out = p->ratls_cfg;
    out->key = NULL;
    out->alpn = NULL;
    out->now_s = ccz_clock_now_s(p->clock);
}

ccz_rc ccz_party_cert_issue(struct ccz_buf *out_der, struct ccz_party *p, const struct ccz_key *key,
                            struct ccz_err *err)
{
    if (!p->attester)
        return ccz_fail(err, CCZ_E_ARG, "party:evidence", 0, "this party has no evidence to give");
    return ccz_ratls_cert_issue(out_der, key, ccz_clock_now_s(p->clock), CCZ_RATLS_EMIT_DICE,
                                attest, p->attester, err);
}

ccz_rc ccz_party_cert_judge(struct ccz_claims *claims, struct ccz_party *p, struct ccz_span der,
                            struct ccz_err *err)
{
    *claims = (struct ccz_claims){0};
    if (!p->ratls_cfg.appraise)
        return ccz_fail(err, CCZ_E_ARG, "party:policy", 0, "this party judges nobody");
    CCZ_AUTO(ccz_cert) cert = NULL;
    ccz_rc rc = ccz_cert_parse(&cert, der, err);
    return rc == CCZ_OK ? ccz_ratls_cert_verify(claims, cert, p->ratls_cfg.appraise,
                                                p->ratls_cfg.appraise_arg, err)
                        : rc;
}

struct ccz_attester *ccz_party_attester(struct ccz_party *p)
{
    return p->attester;
}

struct ccz_verifier *ccz_party_verifier(struct ccz_party *p)
{
    return p->verifier;
}

void ccz_party_collateral_report(struct ccz_buf *out, struct ccz_party *p)
{
    if (!p->verifier) {
        ccz_buf_put_str(out, "null");
        return;
    }
    ccz_buf_put_str(out, "{\"verifier\":");
    ccz_verifier_report(out, p->verifier);
    ccz_buf_put_str(out, ",\"store\":");
    cczi_keeper_report(out, p->keeper);
    ccz_buf_put_str(out, "}");
}

bool ccz_party_simulated(const struct ccz_party *p)
{
    return p->simulated;
}
