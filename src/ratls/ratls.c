/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: TLS first, then what the profile asks for, then application bytes.
 *   SESSION      cczi_session inside the TLS session (session.c), then, if one side wants it, evidence again from time
 *                to time (frames.c, rounds.c)
 *   HANDSHAKE    evidence beside the peer's certificate, made and appraised inside the TLS handshake (handshake.c)
 *   CERTIFICATE  evidence in the peer's certificate, appraised inside the TLS handshake (cert.c)
 *   TLS_ONLY     the peer's key is shown to the pin hook, if any
 */
#include "base/why.h"
#include "ratls_priv.h"

#include <cczoo/codec.h>

#include <stdlib.h>
#include <string.h>

#define OWN_ALPN "ccz-ratls/" /* and a version */
enum { FAREWELL_SIZE_MAX = 4096, ALPN_LEN_MAX = 8 };
enum { HOUR_S = 3600, DAY_S = 86400, SPKI_SIZE_MAX = 1024, REATTEST_TIMEOUT_MS = 60000 };

struct ccz_ratls {
    struct ccz_ratls_ctx *ctx;
    struct ccz_tls *tls;
    struct cczi_session *session; /* while it has a purpose: version 1 ends with its last message */
    bool ready;
    bool framed; /* version 2, and ready */
    bool ended;  /* this side writes no more */
    bool wipe;   /* what was read */
    struct cczi_frames frames;
    int64_t next_ms;         /* of the next challenge; 0 = no call has told the time yet */
    int64_t deadline_ms;     /* of the answer to the open one */
    struct cczi_why failure; /* rc != CCZ_OK: this connection is dead, and why */
    struct ccz_buf peer_spki;
    struct ccz_ratls_peer peer;
    ccz_ratls_farewell_fn farewell; /* NULL = an alert has to do */
    void *farewell_arg;
    struct ccz_err *refused; /* the handshake ends only for the farewell */
};

/* ---------------------------------------------------------------------------------- context */

static ccz_rc refuse_cfg(struct ccz_err *err, const char *what)
{
    return ccz_fail(err, CCZ_E_ARG, "ratls:config", 0, "%s", what);
}

/* Stock clients beside ours: they show no evidence, so nothing may be asked of anybody; and what they can check is in our
 * certificate. */
static ccz_rc check_stock(const struct ccz_ratls_cfg *cfg, struct ccz_err *err)
{
    if (!cfg->alpn)
        return CCZ_OK;
    if (!cfg->server)
        return refuse_cfg(err, "a client of the session profile has its own ALPN protocol");
    if (cfg->appraise || cfg->pin)
        return refuse_cfg(err, "clients are judged, which stock clients cannot be");
    if (!cfg->attest)
        return refuse_cfg(err, "stock clients are to be served, without evidence for them");
    for (size_t i = 0; cfg->alpn[i]; i++)
        if (strncmp(cfg->alpn[i], OWN_ALPN, sizeof(OWN_ALPN) - 1) == 0)
            return refuse_cfg(err, "stock clients do not speak the session profile's protocol");
    return CCZ_OK;
}

static ccz_rc check_demands(const struct ccz_ratls_cfg *cfg, struct ccz_err *err)
{
    bool session = cfg->profile == CCZ_RATLS_SESSION;
    if (cfg->require_fresh && !session && cfg->profile != CCZ_RATLS_HANDSHAKE)
        return refuse_cfg(err, "fresh evidence is required, which this profile does not have");
    if (cfg->reattest_interval_ms < 0 || cfg->reattest_timeout_ms < 0)
        return refuse_cfg(err, "negative time");
    if (cfg->reattest_interval_ms > 0 && (!session || !cfg->appraise))
        return refuse_cfg(err,
                          "evidence again needs the session profile, and somebody to appraise it");
    if (cfg->reattest_timeout_ms > 0 && cfg->reattest_interval_ms == 0)
        return refuse_cfg(err, "a time to answer is set, but nothing is ever asked");
    const bool carries = cczi_ratls_cert_carries(cfg);
    if (cfg->emit != CCZ_RATLS_EMIT_DICE &&
        (!carries || (unsigned)cfg->emit > CCZ_RATLS_EMIT_LEGACY))
        return refuse_cfg(err, "extensions are chosen, but no certificate will carry evidence");
    if (cfg->certify && (!carries || cfg->emit != CCZ_RATLS_EMIT_DICE))
        return refuse_cfg(err, "somebody issues certificates, but none of these carries evidence");
    return CCZ_OK;
}

/* A hook that would never be called, or a demand nobody checks, is a mistake to report, not to
 * ignore. */
static ccz_rc check_cfg(const struct ccz_ratls_cfg *cfg, struct ccz_err *err)
{
    bool judges = cfg->appraise != NULL;
    switch (cfg->profile) {
    case CCZ_RATLS_SESSION:
        if (check_stock(cfg, err) != CCZ_OK)
            return CCZ_E_ARG;
        break;
    case CCZ_RATLS_CERTIFICATE:
    case CCZ_RATLS_HANDSHAKE:
        break;
    case CCZ_RATLS_TLS_ONLY_INSECURE:
        if (cfg->attest || judges)
            return refuse_cfg(err, "TLS without attestation neither gives nor appraises evidence");
        break;
    default:
        return refuse_cfg(err, "unknown profile");
    }
    if (cfg->profile != CCZ_RATLS_TLS_ONLY_INSECURE && !judges && !cfg->peer_evidence_optional)
        return refuse_cfg(err, "evidence is required of the peer but nothing appraises it");
    if (cfg->pin && judges && !cfg->peer_evidence_optional)
        return refuse_cfg(err, "a pin is for peers without evidence, and evidence is required");
    if (cfg->key && ccz_key_curve(cfg->key) != CCZ_P256)
        return refuse_cfg(err, "the TLS identity must be a P-256 key");
    return check_demands(cfg, err);
}

/* One that is for another key, or without evidence over it, would be noticed by peers at the earliest. */
static ccz_rc certify(struct ccz_buf *der, const struct ccz_ratls_cfg *cfg,
                      const struct ccz_key *key, struct ccz_err *err)
{
    CCZ_AUTO(ccz_cert) cert = NULL;
    CCZ_AUTO_BUF spki;
    struct ccz_ratls_evidence evidence;
    ccz_buf_init(&spki, 256);
    ccz_rc rc = cfg->certify(cfg->certify_arg, der, key, err);
    if (rc == CCZ_OK)
        rc = ccz_cert_parse(&cert, ccz_buf_span(der), err);
    if (rc == CCZ_OK)
        rc = ccz_key_spki(&spki, key);
    if (rc == CCZ_OK && !ccz_span_eq(ccz_cert_spki(cert), ccz_buf_span(&spki)))
        return ccz_refuse(err, CCZ_E_MISMATCH, "ratls:certified", "a certificate of another key",
                          "one of the key that was asked for");
    return rc == CCZ_OK ? ccz_ratls_cert_evidence(&evidence, cert, err) : rc;
}

bool cczi_ratls_cert_carries(const struct ccz_ratls_cfg *cfg)
{
    const bool for_stock = cfg->profile == CCZ_RATLS_SESSION && cfg->alpn;
    return (cfg->profile == CCZ_RATLS_CERTIFICATE || for_stock) && cfg->attest;
}

ccz_rc cczi_ratls_make_cert(struct ccz_buf *der, const struct ccz_ratls_cfg *cfg,
                            const struct ccz_key *key, struct ccz_err *err)
{
    if (cfg->certify)
        return certify(der, cfg, key, err);
    if (cczi_ratls_cert_carries(cfg))
        return ccz_ratls_cert_issue(der, key, cfg->now_s, cfg->emit, cfg->attest, cfg->attest_arg,
                                    err);
    /* Peers of these two look at the key alone, so a day says nothing more than that nobody should keep
     * the certificate; stock TLS peers do look at the dates of theirs. */
    bool key_alone = cfg->profile == CCZ_RATLS_SESSION || cfg->profile == CCZ_RATLS_HANDSHAKE;
    int64_t valid_s = key_alone ? DAY_S : 365 * (int64_t)DAY_S;
    return ccz_cert_issue(der,
                          &(struct ccz_cert_cfg){.cn = "cczoo-ratls",
                                                 .key = key,
                                                 .not_before_s = cfg->now_s - HOUR_S,
                                                 .not_after_s = cfg->now_s + valid_s},
                          err);
}

ccz_rc cczi_ratls_hash_key(struct ccz_ratls_peer *peer, struct ccz_span spki, struct ccz_err *err)
{
    ccz_rc rc = ccz_sha256(peer->spki_sha256, spki);
    return rc == CCZ_OK ? CCZ_OK
                        : ccz_fail(err, rc, "ratls:hash", 0, "the peer's key could not be hashed");
}

/* The peer's SubjectPublicKeyInfo as carried. */
static ccz_rc take_peer_key(struct ccz_ratls *r, const struct ccz_cert *cert, struct ccz_err *err)
{
    struct ccz_span spki = ccz_cert_spki(cert);
    ccz_buf_clear(&r->peer_spki);
    ccz_buf_put_span(&r->peer_spki, spki);
    if (r->peer_spki.bad)
        return ccz_fail(err, CCZ_E_LIMIT, "ratls:peer-key", (int64_t)spki.size,
                        "the peer's key is too large");
    return CCZ_OK;
}

ccz_rc cczi_ratls_check_pin(struct ccz_ratls_peer *peer, const struct ccz_ratls_cfg *cfg,
                            struct ccz_span spki, struct ccz_err *err)
{
    if (!cfg->pin)
        return CCZ_OK;
    ccz_rc rc = cfg->pin(cfg->pin_arg, spki, err);
    peer->pinned = rc == CCZ_OK;
    return rc;
}

/* A certificate with evidence is appraised even if evidence is optional. */
ccz_rc cczi_ratls_judge_cert(struct ccz_ratls_peer *peer, const struct ccz_ratls_cfg *cfg,
                             const struct ccz_cert *cert, struct ccz_err *err)
{
    struct ccz_span spki = ccz_cert_spki(cert);
    struct ccz_ratls_evidence evidence;
    ccz_rc rc = cczi_ratls_hash_key(peer, spki, err);
    if (rc != CCZ_OK)
        return rc;
    if (!cfg->appraise)
        return cczi_ratls_check_pin(peer, cfg, spki, err);
    /* Only a missing extension makes a peer one "without evidence"; whatever the appraisal says
     * about evidence that is there, also "not found", is final. */
    rc = ccz_ratls_cert_evidence(&evidence, cert, err);
    if (rc == CCZ_E_NOT_FOUND && cfg->peer_evidence_optional)
        return cczi_ratls_check_pin(peer, cfg, spki, err);
    if (rc == CCZ_OK)
        rc = cczi_ratls_appraise_cert(&peer->claims, &evidence, cfg->appraise, cfg->appraise_arg,
                                      err);
    peer->attested = rc == CCZ_OK;
    return rc;
}

static ccz_rc take_peer_cert(struct ccz_cert **cert, struct ccz_ratls *r, struct ccz_span der,
                             struct ccz_err *err)
{
    ccz_rc rc = ccz_cert_parse(cert, der, err);
    return rc == CCZ_OK ? take_peer_key(r, *cert, err) : rc;
}

static ccz_rc judge_peer(struct ccz_ratls *r, struct ccz_span der, struct ccz_err *err)
{
    struct ccz_ratls_ctx *ctx = r->ctx;
    CCZ_AUTO(ccz_cert) cert = NULL;
    ccz_rc rc = take_peer_cert(&cert, r, der, err);
    if (rc != CCZ_OK)
        return rc;
    switch (ctx->cfg.profile) {
    case CCZ_RATLS_SESSION: /* judged later, by evidence over this key */
        return cczi_ratls_hash_key(&r->peer, ccz_cert_spki(cert), err);
    case CCZ_RATLS_CERTIFICATE:
        return cczi_ratls_judge_cert(&r->peer, &ctx->cfg, cert, err);
    case CCZ_RATLS_HANDSHAKE: /* here only where nothing is asked: on_peer_proof() */
    case CCZ_RATLS_TLS_ONLY_INSECURE:
        rc = cczi_ratls_hash_key(&r->peer, ccz_cert_spki(cert), err);
        return rc == CCZ_OK ? cczi_ratls_check_pin(&r->peer, &ctx->cfg, ccz_cert_spki(cert), err)
                            : rc;
    }
    return ccz_fail(err, CCZ_E_INTERNAL, "ratls:config", 0, "unknown profile");
}

/* Of a TLS hook: the verdict goes into the handshake, or waits for words that say why it is none. */
static ccz_rc tell_verdict(struct ccz_ratls *r, ccz_rc rc, const struct ccz_err *why)
{
    if (rc == CCZ_OK || !r->farewell || r->ctx->cfg.profile == CCZ_RATLS_SESSION)
        return rc;
    r->refused = malloc(sizeof(*r->refused));
    if (!r->refused)
        return rc;
    *r->refused = *why;
    r->refused->rc = rc;
    return CCZ_OK; /* advance() refuses it, once there is a session to say so in */
}

static ccz_rc refuse_native(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_UNSUPPORTED, "ratls:native", 0,
                    "peers are judged over RA-TLS connections only");
}

/* ccz_tls_verify_fn: runs inside the handshake, which proves possession of the key. */
static ccz_rc on_peer_cert(void *arg, void *conn_arg, struct ccz_span der, struct ccz_err *err)
{
    (void)arg;
    struct ccz_ratls *r = conn_arg;
    /* without one, a native TLS object: nobody would ask what is known about its peer */
    return r ? tell_verdict(r, judge_peer(r, der, err), err) : refuse_native(err);
}

/* ccz_tls_proof.verify: the handshake profile, where the peer was asked. */
static ccz_rc on_peer_proof(void *arg, void *conn_arg, struct ccz_span der, const uint8_t nonce[],
                            struct ccz_span quote, struct ccz_err *err)
{
    (void)arg;
    struct ccz_ratls *r = conn_arg;
    CCZ_AUTO(ccz_cert) cert = NULL;
    if (!r)
        return refuse_native(err);
    ccz_rc rc = take_peer_cert(&cert, r, der, err);
    if (rc == CCZ_OK)
        rc = cczi_handshake_judge(&r->peer, &r->ctx->cfg, ccz_cert_spki(cert), nonce, quote, err);
    return tell_verdict(r, rc, err);
}

ccz_rc cczi_ratls_ctx_prepare(struct ccz_ratls_ctx **out, struct ccz_buf *der,
                              const struct ccz_key **key, const struct ccz_ratls_cfg *cfg,
                              struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check_cfg(cfg, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_ratls_ctx) ctx = calloc(1, sizeof(*ctx));
    if (!ctx)
        return ccz_fail(err, CCZ_E_NOMEM, "ratls:memory", 0, "out of memory");
    atomic_init(&ctx->refs, 1);
    ctx->cfg = *cfg;
    ctx->cfg.key = NULL; /* borrowed during this call only; TLS keeps its own reference */
    ctx->cfg.alpn = NULL;
    ctx->stock = cfg->profile == CCZ_RATLS_SESSION && cfg->alpn;
    ccz_buf_init(&ctx->spki, SPKI_SIZE_MAX);
    if (!cfg->key)
        rc = ccz_key_generate(&ctx->own_key, CCZ_P256);
    *key = cfg->key ? cfg->key : ctx->own_key;
    if (rc == CCZ_OK)
        rc = ccz_key_spki(&ctx->spki, *key);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "ratls:key", 0, "no TLS identity key");
    rc = cczi_ratls_make_cert(der, cfg, *key, err);
    if (rc == CCZ_OK)
        *out = ccz_ratls_ctx_take(&ctx);
    return rc;
}

/* Who wants evidence again talks to nobody who cannot give it; who does not, needs no frames, but answers. Then those of stock
 * clients, if any. */
static ccz_rc session_alpn(const char *out[ALPN_LEN_MAX + 1], const struct ccz_ratls_cfg *cfg,
                           struct ccz_err *err)
{
    size_t len = 0;
    if (!cfg->reattest_interval_ms)
        out[len++] = CCZ_RATLS_ALPN;
    out[len++] = CCZ_RATLS_ALPN_2;
    for (size_t i = 0; cfg->alpn && cfg->alpn[i]; i++) {
        if (len == ALPN_LEN_MAX)
            return refuse_cfg(err, "too many ALPN protocols");
        out[len++] = cfg->alpn[i];
    }
    out[len] = NULL;
    return CCZ_OK;
}

ccz_rc ccz_ratls_ctx_new(struct ccz_ratls_ctx **out, const struct ccz_ratls_cfg *cfg,
                         struct ccz_err *err)
{
    bool session = cfg->profile == CCZ_RATLS_SESSION;
    const char *alpn[ALPN_LEN_MAX + 1];
    const struct ccz_tls_proof proof = cczi_handshake_proof(cfg, on_peer_proof);
    const struct ccz_key *key;
    CCZ_AUTO(ccz_ratls_ctx) ctx = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    *out = NULL;
    ccz_rc rc = cczi_ratls_ctx_prepare(&ctx, &der, &key, cfg, err);
    if (rc == CCZ_OK && session)
        rc = session_alpn(alpn, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    rc = ccz_tls_ctx_new(
        &ctx->tls,
        &(struct ccz_tls_cfg){.server = cfg->server,
                              .cert_der = ccz_buf_span(&der),
                              .key = key,
                              .require_peer_cert =
                                  (session && !cfg->alpn) || cfg->appraise || cfg->pin,
                              .verify = on_peer_cert,
                              .verify_arg = ctx,
                              .proof = cfg->profile == CCZ_RATLS_HANDSHAKE ? &proof : NULL,
                              .alpn = session ? alpn : cfg->alpn},
        err);
    if (rc == CCZ_OK)
        *out = ccz_ratls_ctx_take(&ctx);
    return rc;
}

struct ccz_ratls_ctx *ccz_ratls_ctx_ref(struct ccz_ratls_ctx *ctx)
{
    atomic_fetch_add(&ctx->refs, 1);
    return ctx;
}

void ccz_ratls_ctx_free(struct ccz_ratls_ctx *ctx)
{
    if (!ctx || atomic_fetch_sub(&ctx->refs, 1) != 1)
        return;
    ccz_tls_ctx_free(ctx->tls);
    ccz_key_free(ctx->own_key);
    ccz_buf_free(&ctx->spki);
    free(ctx);
}

void ccz_ratls_ctx_traits(struct ccz_ratls_traits *out, const struct ccz_ratls_ctx *ctx)
{
    const struct ccz_ratls_cfg *cfg = &ctx->cfg;
    *out = (struct ccz_ratls_traits){.server = cfg->server,
                                     .attests = cfg->attest != NULL,
                                     .appraises = cfg->appraise != NULL,
                                     .judges = cfg->pin || !cfg->peer_evidence_optional};
    if (cfg->profile == CCZ_RATLS_TLS_ONLY_INSECURE)
        out->judges = cfg->pin != NULL; /* nothing is demanded there, whatever the flag says */
}

struct ccz_tls_ctx *ccz_ratls_tls_ctx(struct ccz_ratls_ctx *ctx)
{
    return ctx->tls;
}

/* ------------------------------------------------------------------------------- connection */

ccz_rc ccz_ratls_new(struct ccz_ratls **out, struct ccz_ratls_ctx *ctx)
{
    *out = NULL;
    CCZ_AUTO(ccz_ratls) r = calloc(1, sizeof(*r));
    if (!r)
        return CCZ_E_NOMEM;
    r->ctx = ccz_ratls_ctx_ref(ctx);
    ccz_buf_init(&r->peer_spki, SPKI_SIZE_MAX);
    cczi_frames_init(&r->frames);
    ccz_rc rc = ccz_tls_new(&r->tls, ctx->tls, r, NULL);
    if (rc == CCZ_OK)
        *out = ccz_ratls_take(&r);
    return rc;
}

static void close_session(struct ccz_ratls *r)
{
    if (r->session)
        cczi_session_deinit(r->session);
    free(r->session);
    r->session = NULL;
}

void ccz_ratls_free(struct ccz_ratls *r)
{
    if (!r)
        return;
    ccz_tls_free(r->tls);
    close_session(r);
    cczi_why_free(&r->failure);
    cczi_frames_deinit(&r->frames);
    ccz_buf_free(&r->peer_spki);
    free(r->refused);
    ccz_ratls_ctx_free(r->ctx); /* last: TLS and session use it */
    free(r);
}

void ccz_ratls_set_farewell(struct ccz_ratls *r, ccz_ratls_farewell_fn fn, void *arg)
{
    r->farewell = fn;
    r->farewell_arg = arg;
}

void ccz_ratls_set_wipe(struct ccz_ratls *r)
{
    r->wipe = true;
    r->frames.piece.wipe = true;
    ccz_tls_set_wipe(r->tls);
}

ccz_rc ccz_ratls_feed(struct ccz_ratls *r, struct ccz_span wire)
{
    return ccz_tls_feed(r->tls, wire);
}

void ccz_ratls_lend(struct ccz_ratls *r, struct ccz_span wire)
{
    ccz_tls_lend(r->tls, wire);
}

ccz_rc ccz_ratls_settle(struct ccz_ratls *r)
{
    return ccz_tls_settle(r->tls);
}

/* A plain TLS peer is a common mistake of wiring: it gets a reason of its own. The TLS engine
 * noticed it itself ("tls:alpn"), or the peer did (alert no_application_protocol). */
static ccz_rc explain_tls_failure(const struct ccz_ratls *r, ccz_rc rc, struct ccz_err *err)
{
    enum { NO_APPLICATION_PROTOCOL = 120 }; /* RFC 7301, 3.2 */
    bool alerted = strcmp(err->where, "tls:peer-alert") == 0 && err->aux == NO_APPLICATION_PROTOCOL;
    if (strcmp(err->where, "tls:alpn") != 0 && !alerted)
        return rc;
    (void)ccz_refuse(err, CCZ_E_PEER, "ratls:alpn", alerted ? "another protocol" : err->got,
                     r->ctx->cfg.reattest_interval_ms ? CCZ_RATLS_ALPN_2 : CCZ_RATLS_ALPN);
    return ccz_hint(err, CCZ_E_PEER,
                    "the peer does not speak RA-TLS (" CCZ_RATLS_ALPN_2
                    " where evidence is asked for again): wrong port, or not our program");
}

static ccz_rc open_session(struct ccz_ratls *r, struct ccz_err *err)
{
    bool framed = strcmp(ccz_tls_alpn(r->tls), CCZ_RATLS_ALPN_2) == 0;
    struct cczi_session_in in = {.cfg = &r->ctx->cfg,
                                 .version = framed ? CCZI_RATLS_VERSION_2 : CCZI_RATLS_VERSION,
                                 .own_spki = ccz_buf_span(&r->ctx->spki),
                                 .peer_spki = ccz_buf_span(&r->peer_spki)};
    ccz_rc rc = ccz_tls_export(in.exporter, sizeof(in.exporter), r->tls, CCZI_RATLS_EXPORTER_LABEL,
                               (struct ccz_span){0});
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "ratls:exporter", 0, "the TLS session exports no keying material");
    r->session = malloc(sizeof(*r->session));
    rc = r->session ? cczi_session_init(r->session, &in, err)
                    : ccz_fail(err, CCZ_E_NOMEM, "ratls:memory", 0, "out of memory");
    if (rc == CCZ_OK) /* what comes behind the last message may be in it */
        r->session->in.wipe = r->wipe;
    ccz_wipe(in.exporter, sizeof(in.exporter));
    return rc;
}

/* Plain bytes of TLS into the session until TLS has no more or the session is over. */
static ccz_rc pump_session(struct ccz_ratls *r, struct ccz_err *err)
{
    struct cczi_session *s = r->session;
    for (bool more = true; more && !cczi_session_ready(s);) {
        size_t before = s->in.size;
        ccz_rc rc = ccz_tls_read(&s->in, r->tls, err);
        if (rc == CCZ_E_CLOSED)
            return ccz_fail(err, CCZ_E_CLOSED, "ratls:closed", 0,
                            "the peer closed the connection before the attestation ended");
        if (rc != CCZ_OK)
            return rc;
        more = s->in.size != before;
        rc = cczi_session_step(s, err);
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

/* Runs the session and sends what it has to say: also, and above all, why it refuses. */
static ccz_rc run_session(struct ccz_ratls *r, struct ccz_err *err)
{
    struct cczi_session *s = r->session;
    struct ccz_err unsent = {
        0}; /* a peer that cannot be written to will not read our reason either */
    ccz_rc rc = pump_session(r, err);
    ccz_rc sent = ccz_tls_write(r->tls, ccz_buf_span(&s->out), rc == CCZ_OK ? err : &unsent);
    ccz_buf_clear(&s->out);
    if (rc == CCZ_OK)
        rc = sent;
    if (rc != CCZ_OK || !cczi_session_ready(s))
        return rc;
    memcpy(s->peer.spki_sha256, r->peer.spki_sha256, sizeof(s->peer.spki_sha256));
    r->peer = s->peer;
    r->framed = s->with.version == CCZI_RATLS_VERSION_2;
    r->ready = true;
    ccz_buf_free(&s->out); /* both held evidence */
    if (s->in.size == 0)
        ccz_buf_free(&s->in);
    if (s->in.size == 0 && !r->framed)
        close_session(r);
    return CCZ_OK;
}

/* Sends what stands in the session's buffer, and why it ends if it does. */
static ccz_rc send_round(struct ccz_ratls *r, ccz_rc rc, struct ccz_err *err)
{
    struct cczi_session *s = r->session;
    struct ccz_err unsent = {0};
    if (rc != CCZ_OK && !cczi_session_peer_says(err))
        cczi_ratls_put_refusal(&s->out, err);
    ccz_rc sent = ccz_tls_write(r->tls, ccz_buf_span(&s->out), rc == CCZ_OK ? err : &unsent);
    ccz_buf_clear(&s->out);
    return rc == CCZ_OK ? sent : rc;
}

/* The message between application bytes that ccz_ratls_read() came upon. */
static ccz_rc run_round(struct ccz_ratls *r, struct ccz_err *err)
{
    uint8_t type;
    struct ccz_span body;
    if (!cczi_frames_message(&type, &body, &r->frames))
        return CCZ_OK;
    ccz_rc rc = send_round(r, cczi_round_message(r->session, type, body, err), err);
    cczi_frames_next(&r->frames);
    r->peer.claims = r->session->peer.claims;
    r->peer.rounds = r->session->peer.rounds;
    return rc;
}

/* The peer was refused in the handshake that is over now. */
static ccz_rc say_farewell(struct ccz_ratls *r, struct ccz_err *err)
{
    CCZ_AUTO_BUF words;
    ccz_buf_init(&words, FAREWELL_SIZE_MAX);
    *err = *r->refused;
    r->farewell(r->farewell_arg, &words, err);
    struct ccz_err unsent = {0}; /* whoever cannot be told was refused all the same */
    ccz_rc sent = words.size ? ccz_tls_write(r->tls, ccz_buf_span(&words), &unsent) : CCZ_OK;
    if (sent != CCZ_OK)
        ccz_log(CCZ_LOG_DEBUG, "ratls", "farewell=unsent where=%s", unsent.where);
    return err->rc;
}

/* TLS alone is what it speaks: only where such protocols are offered, which is where nothing is asked of clients. */
static bool is_stock(const struct ccz_ratls *r)
{
    return r->ctx->stock && ccz_tls_ready(r->tls) &&
           strncmp(ccz_tls_alpn(r->tls), OWN_ALPN, sizeof(OWN_ALPN) - 1) != 0;
}

static ccz_rc advance(struct ccz_ratls *r, struct ccz_err *err)
{
    bool session = r->ctx->cfg.profile == CCZ_RATLS_SESSION && !is_stock(r);
    if (!session || !ccz_tls_ready(r->tls)) { /* behind the handshake: an alert may be waiting */
        ccz_rc rc = ccz_tls_step(r->tls, err);
        if (rc != CCZ_OK)
            return session ? explain_tls_failure(r, rc, err) : rc;
        if (!ccz_tls_ready(r->tls))
            return CCZ_OK;
    }
    if (r->refused)
        return say_farewell(r, err);
    if (!session || is_stock(r)) {
        r->ready = true;
        return CCZ_OK;
    }
    if (!r->ready && !r->session) {
        ccz_rc rc = open_session(r, err);
        if (rc != CCZ_OK)
            return rc;
    }
    if (!r->ready)
        return run_session(r, err);
    return r->framed ? run_round(r, err) : CCZ_OK;
}

static ccz_rc failed(const struct ccz_ratls *r, struct ccz_err *err)
{
    return cczi_why_get(&r->failure, err);
}

/* The end of this connection; the peer has been told why. */
static ccz_rc fail(struct ccz_ratls *r, ccz_rc rc, const struct ccz_err *why, struct ccz_err *err)
{
    cczi_why_set(&r->failure, rc, why);
    memset(&r->peer, 0, sizeof(r->peer));
    ccz_tls_close(r->tls);
    return failed(r, err);
}

ccz_rc ccz_ratls_step(struct ccz_ratls *r, struct ccz_err *err)
{
    if (r->failure.rc != CCZ_OK)
        return failed(r, err);
    struct ccz_err why = {0};
    ccz_rc rc = advance(r, &why);
    return rc == CCZ_OK ? CCZ_OK : fail(r, rc, &why, err);
}

bool ccz_ratls_step_answers(const struct ccz_ratls *r)
{
    uint8_t type;
    struct ccz_span body;
    return ccz_ratls_ready(r) && r->framed && cczi_frames_message(&type, &body, &r->frames) &&
           type == CCZI_RATLS_CHALLENGE;
}

bool ccz_ratls_step_due(const struct ccz_ratls *r)
{
    uint8_t type;
    struct ccz_span body;
    if (r->failure.rc != CCZ_OK)
        return false;
    return !r->ready || (r->framed && cczi_frames_message(&type, &body, &r->frames));
}

bool ccz_ratls_ready(const struct ccz_ratls *r)
{
    return r->ready && r->failure.rc == CCZ_OK;
}

static ccz_rc not_ready(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_ARG, "ratls:not-ready", 0, "the peer has not been appraised");
}

/* Application bytes that came in one record with the last message of the session. */
static void take_leftover(struct ccz_buf *out, struct ccz_buf *in)
{
    size_t room = out->max_size - out->size;
    size_t size = in->size < room ? in->size : room;
    ccz_buf_put(out, in->ptr, size);
    ccz_buf_consume(in, size);
}

/* cczi_plain_fn: what came behind the session's last message, then what TLS has. */
static ccz_rc read_plain(void *arg, struct ccz_buf *out, struct ccz_err *err)
{
    struct ccz_ratls *r = arg;
    if (r->session && r->session->in.size) {
        take_leftover(out, &r->session->in);
        if (r->session->in.size == 0 && !r->framed)
            close_session(r);
        else if (r->session->in.size == 0)
            ccz_buf_free(&r->session->in);
        return CCZ_OK; /* what is behind it is for the next call: it may be the end, or a failure */
    }
    return ccz_tls_read(out, r->tls, err);
}

ccz_rc ccz_ratls_read(struct ccz_buf *out, struct ccz_ratls *r, struct ccz_err *err)
{
    if (r->failure.rc != CCZ_OK)
        return failed(r, err);
    if (!r->ready)
        return not_ready(err);
    if (!r->framed)
        return read_plain(r, out, err);
    static const char ours[] = "ratls:";
    struct ccz_err why = {0};
    ccz_rc rc = cczi_frames_read(out, &r->frames, r->session, read_plain, r, &why);
    if (rc != CCZ_OK && rc != CCZ_E_CLOSED &&
        strncmp(why.where, ours, sizeof(ours) - 1) == 0) /* else TLS keeps it */
        return fail(r, send_round(r, rc, &why), &why, err);
    if (rc != CCZ_OK && err)
        *err = why;
    return rc;
}

ccz_rc ccz_ratls_write(struct ccz_ratls *r, struct ccz_span plain, struct ccz_err *err)
{
    if (r->failure.rc != CCZ_OK)
        return failed(r, err);
    if (!r->ready)
        return not_ready(err);
    if (r->ended && plain.size > 0)
        return ccz_fail(err, CCZ_E_ARG, "ratls:ended", 0, "write behind the own end");
    if (!r->framed || plain.size == 0 || plain.size > CCZI_RATLS_DATA_MAX)
        return ccz_tls_write(r->tls, plain, err);
    uint8_t bytes[CCZI_RATLS_HEAD_SIZE] = {CCZI_RATLS_DATA, (uint8_t)plain.size,
                                           (uint8_t)(plain.size >> 8), (uint8_t)(plain.size >> 16),
                                           (uint8_t)(plain.size >> 24)};
    return ccz_tls_write_both(r->tls, CCZ_SPAN(bytes, sizeof(bytes)), plain, err);
}

ccz_rc ccz_ratls_end(struct ccz_ratls *r, struct ccz_err *err)
{
    if (r->failure.rc != CCZ_OK)
        return failed(r, err);
    if (!r->ready)
        return not_ready(err);
    if (r->ended)
        return CCZ_OK;
    static const uint8_t end[CCZI_RATLS_HEAD_SIZE] = {CCZI_RATLS_END};
    ccz_rc rc = CCZ_OK;
    if (r->framed) /* not close_notify: this side may be asked for evidence, or ask */
        rc = ccz_tls_write(r->tls, CCZ_SPAN(end, sizeof(end)), err);
    else
        ccz_tls_close(r->tls);
    r->ended = rc == CCZ_OK;
    return rc;
}

/* --------------------------------------------------------------------------- evidence again */

/* Something can be asked: the peer gave evidence, and speaks the version in which it can be renewed. */
static bool can_ask(const struct ccz_ratls *r)
{
    return ccz_ratls_ready(r) && r->framed && r->peer.attested;
}

static int64_t after(int64_t now_ms, int64_t wait_ms)
{
    return wait_ms > INT64_MAX - now_ms ? INT64_MAX : now_ms + wait_ms;
}

ccz_rc ccz_ratls_reattest(struct ccz_ratls *r, int64_t now_ms, struct ccz_err *err)
{
    const struct ccz_ratls_cfg *cfg = &r->ctx->cfg;
    if (r->failure.rc != CCZ_OK)
        return failed(r, err);
    if (!r->ready)
        return not_ready(err);
    if (!can_ask(r))
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "ratls:reattest", 0,
                        "the peer gave no evidence, or its protocol cannot renew it");
    if (r->session->challenged)
        return CCZ_OK;
    struct ccz_err why = {0};
    ccz_rc rc = send_round(r, cczi_round_challenge(r->session, &why), &why);
    if (rc != CCZ_OK)
        return fail(r, rc, &why, err);
    r->deadline_ms =
        after(now_ms, cfg->reattest_timeout_ms ? cfg->reattest_timeout_ms : REATTEST_TIMEOUT_MS);
    r->next_ms = after(now_ms, cfg->reattest_interval_ms);
    return CCZ_OK;
}

ccz_rc ccz_ratls_tick(int64_t *next_ms, struct ccz_ratls *r, int64_t now_ms, struct ccz_err *err)
{
    const struct ccz_ratls_cfg *cfg = &r->ctx->cfg;
    *next_ms = INT64_MAX;
    if (r->failure.rc != CCZ_OK)
        return failed(r, err);
    if (!can_ask(r))
        return CCZ_OK;
    if (r->session->challenged && now_ms >= r->deadline_ms) {
        struct ccz_err why;
        (void)ccz_fail(&why, CCZ_E_TIMEOUT, "ratls:reattest-timeout", now_ms - r->deadline_ms,
                       "no fresh evidence came in time");
        return fail(r, send_round(r, CCZ_E_TIMEOUT, &why), &why, err);
    }
    if (cfg->reattest_interval_ms && r->next_ms == 0)
        r->next_ms = after(now_ms, cfg->reattest_interval_ms);
    if (cfg->reattest_interval_ms && !r->session->challenged && now_ms >= r->next_ms) {
        ccz_rc rc = ccz_ratls_reattest(r, now_ms, err);
        if (rc != CCZ_OK)
            return rc;
    }
    if (r->session->challenged)
        *next_ms = r->deadline_ms;
    else if (cfg->reattest_interval_ms)
        *next_ms = r->next_ms;
    return CCZ_OK;
}

ccz_rc ccz_ratls_drain(struct ccz_buf *out, struct ccz_ratls *r)
{
    return ccz_tls_drain(out, r->tls);
}

size_t ccz_ratls_pending(const struct ccz_ratls *r)
{
    return ccz_tls_pending(r->tls);
}

void ccz_ratls_trim(struct ccz_ratls *r)
{
    ccz_tls_trim(r->tls);
    if (r->frames.message.size == 0)
        ccz_buf_free(&r->frames.message);
    if (r->frames.piece_at == r->frames.piece.size) {
        ccz_buf_free(&r->frames.piece);
        r->frames.piece_at = 0;
    }
}

void ccz_ratls_close(struct ccz_ratls *r)
{
    ccz_tls_close(r->tls);
}

const struct ccz_ratls_peer *ccz_ratls_peer(const struct ccz_ratls *r)
{
    return ccz_ratls_ready(r) ? &r->peer : NULL;
}
