/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials for libgrpc. What decides about a peer:
 *   handshake profile    the hook in OpenSSL judges inside the handshake (ratls_openssl.h, struct ccz_ratls_watch). Then
 *                        libgrpc's verifier is asked, which lets pass only what the hook has accepted: where the hook does
 *                        not run, nobody is.
 *   certificate profile  libgrpc's verifier judges the evidence in the certificate.
 * Both end in peers.c, where the application finds who it talks to.
 */
#define _DEFAULT_SOURCE
#include "grpc_creds_priv.h"

#include <cczoo/codec.h>
#include <cczoo/crypto.h>
#include <cczoo/ratls_openssl.h>
#include <grpc/grpc_security_constants.h>
#include <grpc/support/alloc.h>
#include <grpc/support/string_util.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PEERS_DEFAULT = 4096, HOUR_S = 3600, YEAR_S = 365 * 86400 };
static const char pem_label[] = "CERTIFICATE";

struct ccz_grpc_creds {
    atomic_uint
        refs; /* the owner, and libgrpc's verifier, which ends later, on a thread of its own */
    atomic_bool closed;
    pthread_rwlock_t lock; /* the verifier uses the owner's hooks under its read side */
    struct ccz_grpc_cfg cfg;
    bool judges; /* of each peer a certificate is asked, at least */
    struct ccz_ratls_watch *watch;
    struct cczi_peers peers;
    grpc_tls_certificate_verifier_external external;
    grpc_tls_certificate_verifier *verifier;
    grpc_tls_certificate_provider *provider;
};

static void unref(void *arg)
{
    struct ccz_grpc_creds *c = arg;
    if (atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    cczi_peers_deinit(&c->peers);
    (void)pthread_rwlock_destroy(&c->lock);
    free(c);
}

/* ----------------------------------------------------------------------------------- refusals */

static void tell_refused(struct ccz_grpc_creds *c, const struct ccz_err *why)
{
    if (c->cfg.on_refused)
        c->cfg.on_refused(c->cfg.on_refused_arg, why);
    else
        ccz_log_err(CCZ_LOG_WARN, "grpc", "peer refused", why);
}

/* For libgrpc, which frees it, and shows it to callers of a channel. */
static char *text_of(const struct ccz_err *why)
{
    char text[768];
    if (why->got[0] || why->expected[0])
        (void)snprintf(text, sizeof(text), "%s: got %s, expected %s", why->where, why->got,
                       why->expected);
    else
        (void)snprintf(text, sizeof(text), "%s: %s", why->where, why->msg);
    return gpr_strdup(text);
}

/* ------------------------------------------------------------------------------ certificates */

static ccz_rc der_of(struct ccz_buf *der, struct ccz_span pem, struct ccz_err *err)
{
    ccz_buf_init(der, CCZ_CERT_SIZE_MAX);
    ccz_rc rc = ccz_pem_next(der, &pem, pem_label, err);
    if (rc == CCZ_OK && der->bad)
        rc = ccz_fail(err, CCZ_E_LIMIT, "grpc:certificate", 0, "the certificate is too large");
    return rc;
}

static void on_accepted(void *arg, struct ccz_span cert_der, const struct ccz_ratls_peer *peer)
{
    struct ccz_grpc_creds *c = arg;
    uint8_t hash[32];
    /* what cannot be remembered is refused by the verifier */
    if (ccz_sha256(hash, cert_der) != CCZ_OK ||
        cczi_peers_accepted(&c->peers, hash, peer, ccz_mono_ms()) != CCZ_OK)
        ccz_log(CCZ_LOG_ERROR, "grpc", "no memory for a peer");
}

static void on_hook_refused(void *arg, const struct ccz_err *why)
{
    tell_refused(arg, why);
}

/* The certificate profile; as the RA-TLS engine judges. */
static ccz_rc judge_cert(struct ccz_ratls_peer *peer, const struct ccz_ratls_cfg *cfg,
                         struct ccz_span der, struct ccz_err *err)
{
    CCZ_AUTO(ccz_cert) cert = NULL;
    struct ccz_ratls_evidence evidence;
    ccz_rc rc = ccz_cert_parse(&cert, der, err);
    if (rc == CCZ_OK)
        rc = ccz_sha256(peer->spki_sha256, ccz_cert_spki(cert));
    if (rc != CCZ_OK)
        return rc;
    rc = cfg->appraise ? ccz_ratls_cert_evidence(&evidence, cert, err) : CCZ_E_NOT_FOUND;
    if (rc == CCZ_E_NOT_FOUND && cfg->peer_evidence_optional) {
        if (!cfg->pin)
            return CCZ_OK;
        rc = cfg->pin(cfg->pin_arg, ccz_cert_spki(cert), err);
        peer->pinned = rc == CCZ_OK;
        return rc;
    }
    if (rc == CCZ_OK)
        rc = ccz_ratls_cert_verify(&peer->claims, cert, cfg->appraise, cfg->appraise_arg, err);
    peer->attested = rc == CCZ_OK;
    return rc;
}

/* ------------------------------------------------------------------------- libgrpc's verifier */

static ccz_rc check_peer(struct ccz_grpc_creds *c, const char *pem, struct ccz_err *err)
{
    CCZ_AUTO_BUF der;
    uint8_t hash[32];
    ccz_buf_init(&der, 0);
    if (!pem || !pem[0])
        return ccz_fail(err, CCZ_E_DENIED, "grpc:no-certificate", 0, "the peer has no certificate");
    ccz_rc rc = der_of(&der, ccz_span_str(pem), err);
    if (rc == CCZ_OK)
        rc = ccz_sha256(hash, ccz_buf_span(&der));
    if (rc != CCZ_OK)
        return rc;
    if (c->cfg.ratls.profile == CCZ_RATLS_CERTIFICATE) {
        struct ccz_ratls_peer peer = {0};
        rc = judge_cert(&peer, &c->cfg.ratls, ccz_buf_span(&der), err);
        if (rc == CCZ_OK)
            rc = cczi_peers_accepted(&c->peers, hash, &peer, ccz_mono_ms());
        if (rc != CCZ_OK)
            return rc;
    }
    if (cczi_peers_finish(&c->peers, hash, ccz_mono_ms()))
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_DENIED, "grpc:not-judged", 0,
                    "nobody has judged this peer: a resumed session, or another TLS library");
}

/* Answers at once; @return non-zero for that. */
static int on_verify(void *arg, grpc_tls_custom_verification_check_request *request,
                     grpc_tls_on_custom_verification_check_done_cb callback, void *callback_arg,
                     grpc_status_code *status, char **details)
{
    (void)callback, (void)callback_arg;
    struct ccz_grpc_creds *c = arg;
    struct ccz_err why = {0};
    ccz_rc rc = CCZ_OK;
    (void)pthread_rwlock_rdlock(&c->lock);
    if (c->closed)
        rc = ccz_fail(&why, CCZ_E_CLOSED, "grpc:closed", 0, "these credentials are gone");
    else if (c->judges)
        rc = check_peer(c, request->peer_info.peer_cert, &why);
    if (rc != CCZ_OK && why.rc == CCZ_OK)
        (void)ccz_fail(&why, rc, "grpc:peer", 0, "%s", ccz_rc_name(rc));
    if (rc != CCZ_OK && !c->closed)
        tell_refused(c, &why);
    (void)pthread_rwlock_unlock(&c->lock);
    *status = rc == CCZ_OK ? GRPC_STATUS_OK : GRPC_STATUS_UNAUTHENTICATED;
    if (rc != CCZ_OK)
        *details = text_of(&why);
    return 1;
}

static void on_cancel(void *arg, grpc_tls_custom_verification_check_request *request)
{
    (void)arg, (void)request; /* nothing is ever left open */
}

/* ----------------------------------------------------------------------------------- identity */

static ccz_rc issue(struct ccz_buf *der, struct ccz_key **key, const struct ccz_ratls_cfg *r,
                    struct ccz_err *err)
{
    ccz_rc rc = ccz_key_generate(key, CCZ_P256);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "ratls:key", 0, "no TLS identity key");
    if (r->profile == CCZ_RATLS_CERTIFICATE && r->attest)
        return ccz_ratls_cert_issue(der, *key, r->now_s, r->emit, r->attest, r->attest_arg, err);
    return ccz_cert_issue(der,
                          &(struct ccz_cert_cfg){.cn = "cczoo-ratls",
                                                 .key = *key,
                                                 .not_before_s = r->now_s - HOUR_S,
                                                 .not_after_s = r->now_s + YEAR_S},
                          err);
}

/* libgrpc takes PEM, and keeps a copy. */
static ccz_rc make_provider(struct ccz_grpc_creds *c, struct ccz_span der,
                            const struct ccz_key *key, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) pkcs8 = NULL;
    CCZ_AUTO_BUF cert;
    CCZ_AUTO_BUF secret;
    ccz_buf_init(&cert, 2 * CCZ_CERT_SIZE_MAX);
    ccz_buf_init(&secret, 4096);
    secret.wipe = true;
    ccz_rc rc = ccz_key_to_pkcs8(&pkcs8, key);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "grpc:key", 0, "the key cannot be encoded");
    ccz_pem_put(&cert, pem_label, der);
    ccz_pem_put(&secret, "PRIVATE KEY", CCZ_SPAN(ccz_secret_view(pkcs8), ccz_secret_size(pkcs8)));
    ccz_buf_u8(&cert, 0);
    ccz_buf_u8(&secret, 0);
    if (cert.bad || secret.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "grpc:memory", 0, "out of memory");
    grpc_tls_identity_pairs *pairs = grpc_tls_identity_pairs_create();
    grpc_tls_identity_pairs_add_pair(pairs, (const char *)secret.ptr, (const char *)cert.ptr);
    c->provider = grpc_tls_certificate_provider_static_data_create(NULL, pairs);
    return c->provider ? CCZ_OK
                       : ccz_fail(err, CCZ_E_INTERNAL, "grpc:identity", 0,
                                  "libgrpc does not take the certificate");
}

static ccz_rc give_identity(struct ccz_grpc_creds *c, bool hooked, struct ccz_err *err)
{
    static const struct ccz_ratls_watch_ops ops = {.accepted = on_accepted,
                                                   .refused = on_hook_refused};
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    ccz_rc rc = hooked && c->cfg.ratls.profile == CCZ_RATLS_HANDSHAKE
                    ? ccz_ratls_watch_new(&c->watch, &der, &key, &c->cfg.ratls, &ops, c, err)
                    : issue(&der, &key, &c->cfg.ratls, err);
    return rc == CCZ_OK ? make_provider(c, ccz_buf_span(&der), key, err) : rc;
}

/* ----------------------------------------------------------------------------------- lifetime */

/* The same rules as for a context of the engine. */
static ccz_rc check_cfg(const struct ccz_ratls_cfg *r, struct ccz_err *err)
{
    if (r->profile != CCZ_RATLS_HANDSHAKE && r->profile != CCZ_RATLS_CERTIFICATE)
        return ccz_refuse(err, CCZ_E_ARG, "grpc:profile", "another profile",
                          "CCZ_RATLS_HANDSHAKE or CCZ_RATLS_CERTIFICATE");
    if (r->key || r->alpn)
        return ccz_fail(err, CCZ_E_ARG, "ratls:config", 0,
                        "key and ALPN protocols are libgrpc's business here");
    struct ccz_ratls_cfg probe = *r; /* without the quote that a certificate costs */
    probe.attest = r->profile == CCZ_RATLS_CERTIFICATE ? NULL : r->attest;
    probe.emit = CCZ_RATLS_EMIT_DICE;
    CCZ_AUTO(ccz_ratls_ctx) ctx = NULL;
    return ccz_ratls_ctx_new(&ctx, &probe, err);
}

ccz_rc cczi_grpc_creds_make(struct ccz_grpc_creds **out, const struct ccz_grpc_cfg *cfg,
                            bool hooked, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check_cfg(&cfg->ratls, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_grpc_creds *c = calloc(1, sizeof(*c));
    if (!c || pthread_rwlock_init(&c->lock, NULL) != 0) {
        free(c);
        return ccz_fail(err, CCZ_E_NOMEM, "grpc:memory", 0, "out of memory");
    }
    atomic_init(&c->refs, 1);
    c->cfg = *cfg;
    c->judges = !cfg->ratls.server || cfg->ratls.appraise || cfg->ratls.pin;
    grpc_init();
    rc = cczi_peers_init(&c->peers, cfg->peers_max ? cfg->peers_max : PEERS_DEFAULT);
    if (rc == CCZ_OK)
        rc = give_identity(c, hooked, err);
    if (rc == CCZ_OK) {
        c->external = (grpc_tls_certificate_verifier_external){
            .user_data = c, .verify = on_verify, .cancel = on_cancel, .destruct = unref};
        atomic_fetch_add(&c->refs, 1);
        c->verifier = grpc_tls_certificate_verifier_external_create(&c->external);
        *out = c;
    } else {
        ccz_grpc_creds_free(c);
    }
    return rc;
}

ccz_rc ccz_grpc_creds_new(struct ccz_grpc_creds **out, const struct ccz_grpc_cfg *cfg,
                          struct ccz_err *err)
{
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
    static bool works; /* under it */
    *out = NULL;
    if (cfg->ratls.profile == CCZ_RATLS_HANDSHAKE) {
        (void)pthread_mutex_lock(&once);
        ccz_rc rc = works ? CCZ_OK : cczi_grpc_self_test(true, err);
        works = rc == CCZ_OK;
        (void)pthread_mutex_unlock(&once);
        if (rc != CCZ_OK)
            return rc;
    }
    return cczi_grpc_creds_make(out, cfg, true, err);
}

void ccz_grpc_creds_free(struct ccz_grpc_creds *c)
{
    if (!c)
        return;
    c->closed = true;
    ccz_ratls_watch_free(c->watch);
    (void)pthread_rwlock_wrlock(&c->lock); /* waits for the verifier */
    (void)pthread_rwlock_unlock(&c->lock);
    if (c->verifier)
        grpc_tls_certificate_verifier_release(c->verifier);
    if (c->provider)
        grpc_tls_certificate_provider_release(c->provider);
    unref(c);
    grpc_shutdown();
}

ccz_rc ccz_grpc_creds_renew(struct ccz_grpc_creds *c, int64_t now_s, struct ccz_err *err)
{
    if (c->watch)
        return ccz_ratls_watch_renew(c->watch, now_s, err);
    (void)ccz_fail(err, CCZ_E_UNSUPPORTED, "grpc:renew", 0,
                   "the certificate profile's identity is libgrpc's copy");
    return ccz_hint(err, CCZ_E_UNSUPPORTED, "make new credentials, and a new channel or server");
}

/* ------------------------------------------------------------------------ for libgrpc's callers */

void ccz_grpc_tls_options(grpc_tls_credentials_options *options, struct ccz_grpc_creds *c)
{
    grpc_tls_credentials_options_set_certificate_provider(options, c->provider);
    grpc_tls_credentials_options_watch_identity_key_cert_pairs(options);
    grpc_tls_credentials_options_set_certificate_verifier(options, c->verifier);
    grpc_tls_credentials_options_set_check_call_host(options, 0);
    if (!c->cfg.ratls.server)
        grpc_tls_credentials_options_set_verify_server_cert(options, 0); /* by us instead */
    else
        grpc_tls_credentials_options_set_cert_request_type(
            options, c->judges ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_BUT_DONT_VERIFY
                               : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
}

static ccz_rc check_role(const struct ccz_grpc_creds *c, bool server, struct ccz_err *err)
{
    static const char *const names[] = {"for channels", "for servers"};
    if (c->cfg.ratls.server == server)
        return CCZ_OK;
    return ccz_refuse(err, CCZ_E_ARG, "grpc:role", names[!server], names[server]);
}

ccz_rc ccz_grpc_channel_credentials(grpc_channel_credentials **out, struct ccz_grpc_creds *c,
                                    struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check_role(c, false, err);
    if (rc != CCZ_OK)
        return rc;
    grpc_tls_credentials_options *o = grpc_tls_credentials_options_create();
    ccz_grpc_tls_options(o, c);
    *out = grpc_tls_credentials_create(o); /* takes the options */
    return *out ? CCZ_OK
                : ccz_fail(err, CCZ_E_INTERNAL, "grpc:credentials", 0,
                           "libgrpc does not take the options");
}

ccz_rc ccz_grpc_server_credentials(grpc_server_credentials **out, struct ccz_grpc_creds *c,
                                   struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check_role(c, true, err);
    if (rc != CCZ_OK)
        return rc;
    grpc_tls_credentials_options *o = grpc_tls_credentials_options_create();
    ccz_grpc_tls_options(o, c);
    *out = grpc_tls_server_credentials_create(o);
    return *out ? CCZ_OK
                : ccz_fail(err, CCZ_E_INTERNAL, "grpc:credentials", 0,
                           "libgrpc does not take the options");
}

ccz_rc ccz_grpc_peer(struct ccz_ratls_peer *out, struct ccz_grpc_creds *c, struct ccz_span pem,
                     struct ccz_err *err)
{
    CCZ_AUTO_BUF der;
    uint8_t hash[32];
    memset(out, 0, sizeof(*out));
    ccz_buf_init(&der, 0);
    ccz_rc rc = der_of(&der, pem, err);
    if (rc == CCZ_OK && ccz_sha256(hash, ccz_buf_span(&der)) == CCZ_OK &&
        cczi_peers_find(out, &c->peers, hash))
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_NOT_FOUND, "grpc:no-peer", 0,
                    "nothing is known of a peer with this certificate");
}

ccz_rc ccz_grpc_call_peer(struct ccz_ratls_peer *out, struct ccz_grpc_creds *c, grpc_call *call,
                          struct ccz_err *err)
{
    memset(out, 0, sizeof(*out));
    ccz_rc rc = ccz_fail(err, CCZ_E_NOT_FOUND, "grpc:no-peer", 0,
                         "the peer of this call has no certificate");
    grpc_auth_context *auth = grpc_call_auth_context(call);
    if (!auth)
        return rc;
    grpc_auth_property_iterator it =
        grpc_auth_context_find_properties_by_name(auth, GRPC_X509_PEM_CERT_PROPERTY_NAME);
    const grpc_auth_property *p = grpc_auth_property_iterator_next(&it);
    if (p)
        rc = ccz_grpc_peer(out, c, CCZ_SPAN(p->value, p->value_length), err);
    grpc_auth_context_release(auth);
    return rc;
}
