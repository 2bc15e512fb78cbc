/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions of the KBS protocol.
 *
 * An id is one byte that names the TEE and 15 bytes of HMAC-SHA-256 over that and the nonce. Between /auth and /attest it is all there is: nobody
 * fills a table by asking for nonces, and a nonce does not fit another session's id. Both keys are drawn at the start, so that nothing from
 * before it is good afterwards.
 */
#include "kbs_priv.h"

#include <cczoo/crypto.h>

#include <stdlib.h>
#include <string.h>

enum { KEY_SIZE = 32 };

static const char id_purpose[] = "cczoo kbs session v1";
static const char cookie_name[] = "kbs-session-id";

/* Attested sessions: two tables of chains, one list from the oldest to the newest. All live equally long, so that the oldest is the first to
 * expire. Their keys are a MAC and a hash: nobody chooses which chain they are in. */
struct cczi_kbs_sessions {
    struct ccz_secret *nonce_key, *id_key;
    struct ccz_replay *used;
    int64_t auth_s;
    size_t len, len_max, buckets; /* a power of two */
    struct cczi_kbs_session **by_id, **by_token;
    struct cczi_kbs_session *oldest, *newest;
};

/* ------------------------------------------------------------------------------ new, free */

static ccz_rc draw(struct ccz_secret **out)
{
    ccz_rc rc = ccz_secret_new(out, KEY_SIZE);
    return rc == CCZ_OK ? ccz_random(ccz_secret_bytes(*out), KEY_SIZE) : rc;
}

ccz_rc cczi_kbs_sessions_new(struct cczi_kbs_sessions **out,
                             const struct cczi_kbs_sessions_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    if (cfg->len < 1 || cfg->len > CCZI_KBS_SESSIONS_MAX || cfg->used < 1 ||
        cfg->used > CCZ_REPLAY_LEN_MAX || cfg->auth_s < 1 || cfg->auth_s > CCZ_NONCE_AGE_MAX_S)
        return ccz_fail(err, CCZ_E_ARG, "kbs:config", (int64_t)cfg->len,
                        "1 to %d sessions and attestations, nonces of 1 to %d seconds",
                        CCZI_KBS_SESSIONS_MAX, CCZ_NONCE_AGE_MAX_S);
    struct cczi_kbs_sessions *s = calloc(1, sizeof(*s));
    if (!s)
        return ccz_fail(err, CCZ_E_NOMEM, "kbs:memory", 0, "out of memory");
    s->len_max = cfg->len;
    s->auth_s = cfg->auth_s;
    for (s->buckets = 16; s->buckets < cfg->len;)
        s->buckets *= 2;
    s->by_id = calloc(s->buckets, sizeof(*s->by_id));
    s->by_token = calloc(s->buckets, sizeof(*s->by_token));
    ccz_rc rc = s->by_id && s->by_token ? CCZ_OK : CCZ_E_NOMEM;
    if (rc == CCZ_OK)
        rc = draw(&s->nonce_key);
    if (rc == CCZ_OK)
        rc = draw(&s->id_key);
    if (rc == CCZ_OK)
        rc = ccz_replay_new(&s->used, cfg->used, err);
    if (rc != CCZ_OK) {
        cczi_kbs_sessions_free(s);
        return ccz_fail(err, rc, "kbs:memory", 0, "cannot make the table of sessions");
    }
    *out = s;
    return CCZ_OK;
}

void cczi_kbs_session_unref(struct cczi_kbs_session *e)
{
    if (!e || --e->refs > 0)
        return;
    ccz_jwk_free(e->tee_key);
    free(e);
}

void cczi_kbs_sessions_free(struct cczi_kbs_sessions *s)
{
    if (!s)
        return;
    while (s->oldest) {
        struct cczi_kbs_session *next = s->oldest->newer;
        cczi_kbs_session_unref(s->oldest);
        s->oldest = next;
    }
    free(s->by_id);
    free(s->by_token);
    ccz_replay_free(s->used);
    ccz_secret_free(s->nonce_key);
    ccz_secret_free(s->id_key);
    free(s);
}

size_t cczi_kbs_sessions_len(const struct cczi_kbs_sessions *s)
{
    return s->len;
}

/* ------------------------------------------------------------------------------------ ids */

static ccz_rc id_of(uint8_t id[CCZI_KBS_ID_SIZE], const struct cczi_kbs_sessions *s, uint8_t tee,
                    struct ccz_span nonce, struct ccz_err *err)
{
    uint8_t mac[32];
    const struct ccz_span parts[] = {CCZ_SPAN(id_purpose, sizeof(id_purpose)), CCZ_SPAN(&tee, 1),
                                     nonce};
    ccz_rc rc = ccz_hmac(mac, CCZ_SHA256, CCZ_SPAN(ccz_secret_view(s->id_key), KEY_SIZE), parts, 3);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kbs:session-id", 0, "cannot make the id of a session");
    id[0] = tee;
    memcpy(id + 1, mac, CCZI_KBS_ID_SIZE - 1);
    return CCZ_OK;
}

static ccz_rc id_get(uint8_t id[CCZI_KBS_ID_SIZE], struct ccz_span cookie, struct ccz_err *err)
{
    if (cookie.size == 0)
        return ccz_refuse(err, CCZ_E_DENIED, "kbs:no-session", "no session and no token",
                          "the cookie of POST /kbs/v0/auth, or a token of POST /kbs/v0/attest");
    /* not quoted: a cookie is a credential */
    if (ccz_unhex(id, CCZI_KBS_ID_SIZE, (const char *)cookie.ptr, cookie.size) != CCZ_OK)
        return ccz_refuse(err, CCZ_E_DENIED, "kbs:session", "a cookie of another form",
                          "32 hex digits");
    return CCZ_OK;
}

ccz_rc cczi_kbs_begin(struct cczi_kbs_begun *out, const struct cczi_kbs_sessions *s,
                      enum ccz_tee tee, int64_t now_s, struct ccz_err *err)
{
    uint8_t id[CCZI_KBS_ID_SIZE];
    *out = (struct cczi_kbs_begun){0};
    ccz_rc rc = ccz_nonce_new(out->nonce, s->nonce_key, now_s);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kbs:nonce", 0, "cannot make a nonce");
    rc = id_of(id, s, (uint8_t)tee, CCZ_SPAN(out->nonce, CCZ_NONCE_TEXT_SIZE), err);
    if (rc != CCZ_OK)
        return rc;
    ccz_hex(out->id, id, sizeof(id));
    out->expires_s = now_s + s->auth_s;
    return CCZ_OK;
}

ccz_rc cczi_kbs_resume(struct cczi_kbs_open *out, const struct cczi_kbs_sessions *s,
                       struct ccz_span cookie, struct ccz_span nonce, int64_t now_s,
                       struct ccz_err *err)
{
    uint8_t want[CCZI_KBS_ID_SIZE];
    struct cczi_kbs_open o;
    *out = (struct cczi_kbs_open){.tee = CCZ_TEE_NONE};
    ccz_rc rc = id_get(o.id, cookie, err);
    if (rc == CCZ_OK && (o.id[0] < CCZ_TEE_SGX || o.id[0] > CCZ_TEE_SNP))
        rc = ccz_refuse(err, CCZ_E_DENIED, "kbs:session", "an id that was not made here",
                        "the cookie of POST /kbs/v0/auth");
    if (rc == CCZ_OK)
        rc = ccz_nonce_check(o.nonce, nonce, s->nonce_key, now_s, s->auth_s, CCZI_KBS_SKEW_S, err);
    if (rc == CCZ_OK)
        rc = id_of(want, s, o.id[0], nonce, err);
    if (rc == CCZ_OK && !ccz_ct_eq(want, o.id, sizeof(want)))
        rc = ccz_refuse(err, CCZ_E_DENIED, "kbs:nonce-session", "the nonce of another session",
                        "the nonce that came with this cookie");
    if (rc != CCZ_OK)
        return rc;
    o.tee = (enum ccz_tee)o.id[0];
    *out = o;
    return CCZ_OK;
}

ccz_rc cczi_kbs_spend(struct cczi_kbs_sessions *s, const struct cczi_kbs_open *o, int64_t now_s,
                      struct ccz_err *err)
{
    return ccz_replay_use(s->used, o->nonce, now_s + s->auth_s + CCZI_KBS_SKEW_S, now_s, err);
}

/* ------------------------------------------------------------------------------- attested */

static size_t bucket(const struct cczi_kbs_sessions *s, const uint8_t *random)
{
    size_t h;
    memcpy(&h, random, sizeof(h));
    return h & (s->buckets - 1);
}

/* The first byte of an id is no random one. */
static struct cczi_kbs_session **id_chain(const struct cczi_kbs_sessions *s, const uint8_t *id)
{
    return &s->by_id[bucket(s, id + 1)];
}

static struct cczi_kbs_session **token_chain(const struct cczi_kbs_sessions *s,
                                             const uint8_t *sha256)
{
    return &s->by_token[bucket(s, sha256)];
}

static void forget_oldest(struct cczi_kbs_sessions *s)
{
    struct cczi_kbs_session *e = s->oldest, **at = id_chain(s, e->id);
    while (*at != e)
        at = &(*at)->by_id;
    *at = e->by_id;
    at = token_chain(s, e->token_sha256);
    while (*at != e)
        at = &(*at)->by_token;
    *at = e->by_token;
    s->oldest = e->newer;
    if (!s->oldest)
        s->newest = NULL;
    s->len--;
    cczi_kbs_session_unref(e);
}

ccz_rc cczi_kbs_attested(struct cczi_kbs_sessions *s, const struct cczi_kbs_open *o,
                         const struct ccz_ratls_peer *peer, struct ccz_jwk **tee_key,
                         struct ccz_span token, int64_t expires_s, struct ccz_err *err)
{
    struct cczi_kbs_session *e = calloc(1, sizeof(*e));
    if (!e)
        return ccz_fail(err, CCZ_E_NOMEM, "kbs:memory", 0, "out of memory");
    ccz_rc rc = ccz_sha256(e->token_sha256, token);
    if (rc != CCZ_OK) {
        free(e);
        return ccz_fail(err, rc, "kbs:hash", 0, "cannot hash a token");
    }
    if (s->len == s->len_max)
        forget_oldest(s);
    e->refs = 1;
    e->peer = *peer;
    e->tee_key = ccz_jwk_take(tee_key);
    e->expires_s = expires_s;
    memcpy(e->id, o->id, sizeof(e->id));
    struct cczi_kbs_session **chain = id_chain(s, e->id);
    e->by_id = *chain;
    *chain = e;
    chain = token_chain(s, e->token_sha256);
    e->by_token = *chain;
    *chain = e;
    if (s->newest)
        s->newest->newer = e;
    else
        s->oldest = e;
    s->newest = e;
    s->len++;
    return CCZ_OK;
}

ccz_rc cczi_kbs_by_cookie(struct cczi_kbs_session **out, const struct cczi_kbs_sessions *s,
                          struct ccz_span cookie, int64_t now_s, struct ccz_err *err)
{
    uint8_t id[CCZI_KBS_ID_SIZE];
    *out = NULL;
    ccz_rc rc = id_get(id, cookie, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_kbs_session *e = *id_chain(s, id);
    while (e && !ccz_ct_eq(e->id, id, sizeof(id)))
        e = e->by_id;
    if (!e)
        return ccz_refuse(err, CCZ_E_DENIED, "kbs:session", "a session that has not attested",
                          "POST /kbs/v0/attest first");
    if (now_s >= e->expires_s)
        return ccz_refuse(err, CCZ_E_EXPIRED, "kbs:session-expired", "a session that has ended",
                          "POST /kbs/v0/auth again");
    e->refs++;
    *out = e;
    return CCZ_OK;
}

ccz_rc cczi_kbs_by_token(struct cczi_kbs_session **out, const struct cczi_kbs_sessions *s,
                         struct ccz_span token, int64_t now_s, struct ccz_err *err)
{
    uint8_t sha256[32];
    *out = NULL;
    ccz_rc rc = ccz_sha256(sha256, token);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kbs:hash", 0, "cannot hash a token");
    struct cczi_kbs_session *e = *token_chain(s, sha256);
    while (e && !ccz_ct_eq(e->token_sha256, sha256, sizeof(sha256)))
        e = e->by_token;
    if (!e)
        return ccz_refuse(err, CCZ_E_DENIED, "kbs:token",
                          "a token that was not given here, or is forgotten",
                          "the token of POST /kbs/v0/attest, as it was given");
    if (now_s >= e->expires_s)
        return ccz_refuse(err, CCZ_E_EXPIRED, "kbs:token-expired", "a token that has ended",
                          "POST /kbs/v0/auth again");
    e->refs++;
    *out = e;
    return CCZ_OK;
}

/* -------------------------------------------------------------------------------- cookies */

struct ccz_span cczi_kbs_cookie(const char *header)
{
    struct ccz_span found = {0};
    size_t n = sizeof(cookie_name) - 1;
    for (const char *p = header; p && *p;) {
        p += strspn(p, " \t;");
        size_t size = strcspn(p, ";");
        if (size > n && memcmp(p, cookie_name, n) == 0 && p[n] == '=') {
            if (found.ptr) /* which of them is meant, nobody can tell */
                return (struct ccz_span){0};
            found = CCZ_SPAN(p + n + 1, size - n - 1);
        }
        p += size;
    }
    while (found.size && (found.ptr[found.size - 1] == ' ' || found.ptr[found.size - 1] == '\t'))
        found.size--;
    return found;
}

/* IMF-fixdate (RFC 9110, 5.6.7), in no locale. */
static void put_date(struct ccz_buf *out, int64_t time_s)
{
    static const char days[][4] = {"Thu", "Fri", "Sat", "Sun",
                                   "Mon", "Tue", "Wed"}; /* 1970-01-01 */
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    char t[21]; /* YYYY-MM-DDThh:mm:ssZ */
    ccz_time_format(t, time_s);
    int month = (t[5] - '0') * 10 + (t[6] - '0');
    if (month < 1 || month > 12)
        return;
    ccz_buf_printf(out, "%s, %.2s %s %.4s %.8s GMT", days[time_s / 86400 % 7], t + 8,
                   months[month - 1], t, t + 11);
}

void cczi_kbs_set_cookie(struct ccz_buf *out, const char *id, int64_t now_s, int64_t expires_s,
                         bool tls)
{
    ccz_buf_printf(out, "%s=%s; Path=/kbs/v0; Max-Age=%lld; Expires=", cookie_name, id,
                   (long long)(expires_s - now_s));
    put_date(out, expires_s);
    ccz_buf_printf(out, "; HttpOnly; SameSite=Strict%s", tls ? "; Secure" : "");
}
