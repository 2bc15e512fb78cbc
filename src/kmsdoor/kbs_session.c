/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions of the KBS protocol.
 *
 * An id is one byte that names the TEE and 15 bytes of HMAC-SHA-256 over that and the nonce. Between /auth and /attest it is all there is: nobody
 * fills a table by asking for nonces, and a nonce does not fit another session's id. Both keys are drawn at the start, so that nothing from
 * before it is good afterwards.
 */
#include "kbs_priv.h"

#include "base/siphash.h"

#include <cczoo/crypto.h>

#include <stdlib.h>
#include <string.h>

enum {
    KEY_SIZE = 32,
    PLATFORMS = 8192, /* a power of two; platforms that meet in one place share */
    SHARE = 8,        /* this part of a table is one platform's where it gets tight */
    SHARE_MIN = 16
};

/* How much of what is remembered is whose, in two halves that change places as those of the memory of nonces do. */
struct shares {
    uint32_t *current, *older; /* by platform */
    size_t current_len, older_len;
    int64_t
        since_ms; /* of current; monotonic, so that a clock that is set keeps none of them full */
};
struct platform {
    struct cczi_kbs_session *oldest, *newest;
    size_t len;
};

static const char id_purpose[] = "cczoo kbs session v1";
static const char cookie_name[] = "kbs-session-id";

/* Attested sessions: two tables of chains, one list from the oldest to the newest. All live equally long, so that the oldest is the first to
 * expire. Their keys are a MAC and a hash: nobody chooses which chain they are in. */
struct cczi_kbs_sessions {
    struct ccz_secret *nonce_key, *id_key;
    struct ccz_replay *used;
    size_t used_max;
    struct shares shares;
    struct platform *platforms;
    uint64_t platform_key[2];
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
    s->used_max = cfg->used;
    s->shares.current = calloc(PLATFORMS, sizeof(*s->shares.current));
    s->shares.older = calloc(PLATFORMS, sizeof(*s->shares.older));
    s->platforms = calloc(PLATFORMS, sizeof(*s->platforms));
    ccz_rc rc = s->by_id && s->by_token && s->shares.current && s->shares.older && s->platforms
                    ? CCZ_OK
                    : CCZ_E_NOMEM;
    if (rc == CCZ_OK)
        rc = ccz_random(s->platform_key, sizeof(s->platform_key));
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
    free(s->shares.current);
    free(s->shares.older);
    free(s->platforms);
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

static ccz_rc begun_id_get(uint8_t id[CCZI_KBS_ID_SIZE], struct ccz_span cookie,
                           struct ccz_err *err)
{
    ccz_rc rc = id_get(id, cookie, err);
    if (rc == CCZ_OK && (id[0] < CCZ_TEE_SGX || id[0] > CCZ_TEE_SNP))
        rc = ccz_refuse(err, CCZ_E_DENIED, "kbs:session", "an id that was not made here",
                        "the cookie of POST /kbs/v0/auth");
    return rc;
}

ccz_rc cczi_kbs_may_resume(struct ccz_span cookie, struct ccz_err *err)
{
    uint8_t id[CCZI_KBS_ID_SIZE];
    return begun_id_get(id, cookie, err);
}

ccz_rc cczi_kbs_resume(struct cczi_kbs_open *out, const struct cczi_kbs_sessions *s,
                       struct ccz_span cookie, struct ccz_span nonce, int64_t now_s,
                       struct ccz_err *err)
{
    uint8_t want[CCZI_KBS_ID_SIZE];
    struct cczi_kbs_open o;
    *out = (struct cczi_kbs_open){.tee = CCZ_TEE_NONE};
    ccz_rc rc = begun_id_get(o.id, cookie, err);
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

/* By what no program on it can change. Platforms that do not say who they are (a masked chip id) are one. */
static size_t platform_of(const struct cczi_kbs_sessions *s, const struct ccz_claims *c)
{
    uint8_t id[1 + sizeof(c->fmspc) + sizeof(c->ppid) + sizeof(c->snp.chip_id)];
    uint8_t *to = id;
    *to++ = (uint8_t)c->tee;
    memcpy(to, c->fmspc, sizeof(c->fmspc));
    memcpy(to += sizeof(c->fmspc), c->ppid, sizeof(c->ppid));
    memcpy(to += sizeof(c->ppid), c->snp.chip_id, sizeof(c->snp.chip_id));
    return (size_t)cczi_siphash(s->platform_key, id, sizeof(id)) & (PLATFORMS - 1);
}

static size_t share_of(size_t all)
{
    return all / SHARE > SHARE_MIN ? all / SHARE : SHARE_MIN;
}

static void let_time_pass(struct shares *h, int64_t life_ms, int64_t mono_ms)
{
    for (int i = 0; i < 2 && mono_ms - h->since_ms >= life_ms; i++) {
        uint32_t *t = h->older;
        memset(t, 0, PLATFORMS * sizeof(*t));
        h->older = h->current;
        h->older_len = h->current_len;
        h->current = t;
        h->current_len = 0;
        h->since_ms += life_ms;
    }
    if (mono_ms - h->since_ms >= life_ms)
        h->since_ms = mono_ms;
}

/* The nonce says when it was made, and is refused by its age when that was too long ago: it is remembered until then. */
static int64_t end_of(const struct cczi_kbs_sessions *s, const struct cczi_kbs_open *o)
{
    int64_t made_s = 0;
    for (size_t i = 0; i < CCZ_NONCE_TIME_SIZE; i++)
        made_s = made_s << 8 | o->nonce[i];
    return made_s + s->auth_s + CCZI_KBS_SKEW_S;
}

ccz_rc cczi_kbs_spend(struct cczi_kbs_sessions *s, const struct cczi_kbs_open *o,
                      const struct ccz_claims *claims, int64_t now_s, int64_t mono_ms,
                      struct ccz_err *err)
{
    struct shares *h = &s->shares;
    size_t p = platform_of(s, claims);
    let_time_pass(h, 1000 * (s->auth_s + CCZI_KBS_SKEW_S), mono_ms);
    if (h->current_len + h->older_len >= s->used_max / 2 &&
        h->current[p] + h->older[p] >= share_of(s->used_max))
        return ccz_fail(err, CCZ_E_LIMIT, "kbs:platform", (int64_t)share_of(s->used_max),
                        "this platform has attested too often");
    ccz_rc rc = ccz_replay_use(s->used, o->nonce, end_of(s, o), now_s, err);
    if (rc != CCZ_OK)
        return rc;
    h->current[p]++;
    h->current_len++;
    return CCZ_OK;
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

/* The oldest of all, or of its platform. */
static void forget(struct cczi_kbs_sessions *s, struct cczi_kbs_session *e)
{
    struct cczi_kbs_session **at = id_chain(s, e->id);
    while (*at != e)
        at = &(*at)->by_id;
    *at = e->by_id;
    at = token_chain(s, e->token_sha256);
    while (*at != e)
        at = &(*at)->by_token;
    *at = e->by_token;
    *(e->older ? &e->older->newer : &s->oldest) = e->newer;
    *(e->newer ? &e->newer->older : &s->newest) = e->older;
    struct platform *p = &s->platforms[e->platform];
    p->oldest = e->newer_there;
    if (!p->oldest)
        p->newest = NULL;
    p->len--;
    s->len--;
    cczi_kbs_session_unref(e);
}

/* Who has more than its share makes room for itself. */
static void make_room(struct cczi_kbs_sessions *s, size_t platform)
{
    const struct platform *p = &s->platforms[platform];
    if (s->len == s->len_max)
        forget(s, p->len >= share_of(s->len_max) ? p->oldest : s->oldest);
}

static void append(struct cczi_kbs_sessions *s, struct cczi_kbs_session *e)
{
    struct platform *p = &s->platforms[e->platform];
    e->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
    *(p->newest ? &p->newest->newer_there : &p->oldest) = e;
    p->newest = e;
    p->len++;
    s->len++;
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
    e->platform = platform_of(s, &peer->claims);
    make_room(s, e->platform);
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
    append(s, e);
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
