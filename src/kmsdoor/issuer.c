/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Issuers of tokens. Each token is verified with the keys of the issuer that it names, by the algorithm that the key says;
 * what the token itself says about keys is not looked at. Fetching blocks, so a thread does it; verifying never waits for it.
 */
#define _DEFAULT_SOURCE
#include "door_priv.h"

#include <cczoo/codec.h>
#include <cczoo/jose.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    AGE_MAX_S = 3600,
    FETCH_EVERY_MS = 3600 * 1000,
    FETCH_AGAIN_MS = 60 * 1000, /* after a failure, and for keys that are not there */
    FETCH_TIMEOUT_MS = 10000,
    TOKEN_SIZE_MAX = 16384
};

struct issuer {
    char *iss, *aud, *typ, *file, *url;
    int64_t skew_s, age_max_s;
    struct ccz_http_client *client; /* of the thread, or of the start */
    struct ccz_jwks *keys;          /* under the lock; NULL = none yet */
    int64_t fetched_ms;             /* when it was tried last */
    bool failed, wanted;            /* the last try; a token named a key that is not there */
};
struct cczi_issuers {
    struct issuer of[CCZ_KMS_DOOR_ISSUERS_MAX];
    size_t len;
    bool any_url;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool running, stop, hurry;
    int64_t again_ms;
};

/* ------------------------------------------------------------------------------------ keys */

static void log_keys(const struct issuer *i, size_t len, size_t left_out, const struct ccz_err *err)
{
    char iss[128], what[192];
    ccz_escape(iss, sizeof(iss), ccz_span_str(i->iss));
    if (err) {
        (void)snprintf(what, sizeof(what), "keys=kept issuer=\"%s\"", iss);
        ccz_log_err(CCZ_LOG_ERROR, "kms-door", what, err);
    } else {
        ccz_log(CCZ_LOG_INFO, "kms-door", "keys=%zu left_out=%zu issuer=\"%s\"", len, left_out,
                iss);
    }
}

/* Keys that can verify nothing would be a configuration that looks right. */
static ccz_rc take_keys(struct cczi_issuers *s, struct issuer *i, struct ccz_span json,
                        struct ccz_err *err)
{
    CCZ_AUTO(ccz_jwks) keys = NULL;
    ccz_rc rc = ccz_jwks_parse(&keys, json, err);
    if (rc == CCZ_OK && ccz_jwks_len(keys) == 0)
        rc = ccz_fail(err, CCZ_E_FORMAT, "door:issuer-keys", 0, "there is no usable key in it");
    if (rc != CCZ_OK)
        return rc;
    size_t len = ccz_jwks_len(keys), left_out = ccz_jwks_left_out(keys);
    pthread_mutex_lock(&s->lock);
    struct ccz_jwks *old = i->keys;
    i->keys = ccz_jwks_take(&keys);
    pthread_mutex_unlock(&s->lock);
    ccz_jwks_free(old);
    log_keys(i, len, left_out, NULL);
    return CCZ_OK;
}

static ccz_rc read_file(struct cczi_issuers *s, struct issuer *i, struct ccz_err *err)
{
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, CCZ_JWKS_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&json, i->file, err);
    return rc == CCZ_OK ? take_keys(s, i, ccz_buf_span(&json), err) : rc;
}

static ccz_rc fetch(struct cczi_issuers *s, struct issuer *i, struct ccz_err *err)
{
    CCZ_AUTO_BUF body, headers;
    ccz_buf_init(&body, CCZ_JWKS_SIZE_MAX);
    ccz_buf_init(&headers, CCZ_HTTP_GET_HEADER_SIZE_MAX);
    unsigned status = 0;
    ccz_rc rc = ccz_http_get(&status, &body, &headers, i->client, i->url, err);
    if (rc == CCZ_OK && status != 200)
        rc = ccz_refuse_num(err, CCZ_E_PEER, "door:issuer-status", status, 200);
    return rc == CCZ_OK ? take_keys(s, i, ccz_buf_span(&body), err) : rc;
}

static bool is_stopped(void *issuers)
{
    struct cczi_issuers *s = issuers;
    pthread_mutex_lock(&s->lock);
    bool stop = s->stop;
    pthread_mutex_unlock(&s->lock);
    return stop;
}

static void try_fetch(struct cczi_issuers *s, struct issuer *i)
{
    struct ccz_err err = {0};
    bool failed = fetch(s, i, &err) != CCZ_OK;
    if (failed && !is_stopped(s)) /* which ends a fetch, and is nobody's fault */
        log_keys(i, 0, 0, &err);
    pthread_mutex_lock(&s->lock);
    i->failed = failed;
    i->wanted = false;
    i->fetched_ms = ccz_mono_ms();
    pthread_mutex_unlock(&s->lock);
}

/* Milliseconds until this issuer is due; under the lock. */
static int64_t due_in(const struct cczi_issuers *s, const struct issuer *i, int64_t now_ms)
{
    if (!i->url)
        return FETCH_EVERY_MS;
    if (s->hurry || i->fetched_ms == 0)
        return 0;
    int64_t every = i->failed || i->wanted ? s->again_ms : FETCH_EVERY_MS;
    int64_t left = i->fetched_ms + every - now_ms;
    return left > 0 ? left : 0;
}

static void sleep_until(struct cczi_issuers *s, int64_t ms)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)(ms / 1000);
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    (void)pthread_cond_timedwait(&s->wake, &s->lock, &t);
}

static void *fetch_main(void *arg)
{
    struct cczi_issuers *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        bool due[CCZ_KMS_DOOR_ISSUERS_MAX] = {false}, any = false;
        int64_t now_ms = ccz_mono_ms(), least = FETCH_EVERY_MS;
        for (size_t n = 0; n < s->len; n++) {
            int64_t in = due_in(s, &s->of[n], now_ms);
            due[n] = s->of[n].url && in == 0;
            any = any || due[n];
            least = in < least ? in : least;
        }
        s->hurry = false;
        if (!any) {
            sleep_until(s, least);
            continue;
        }
        pthread_mutex_unlock(&s->lock);
        for (size_t n = 0; n < s->len && !is_stopped(s); n++)
            if (due[n])
                try_fetch(s, &s->of[n]);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ----------------------------------------------------------------------------------- tokens */

/* The claim "iss" of a token that nobody has verified yet: which keys are to be tried, and nothing else. */
static ccz_rc peek_issuer(struct issuer **out, struct cczi_issuers *s, struct ccz_span token,
                          struct ccz_err *err)
{
    CCZ_AUTO_BUF payload;
    ccz_buf_init(&payload, TOKEN_SIZE_MAX);
    CCZ_AUTO(ccz_json) claims = NULL;
    const uint8_t *first = memchr(token.ptr, '.', token.size);
    const uint8_t *from = first ? first + 1 : NULL, *end = token.ptr + token.size;
    const uint8_t *second = from ? memchr(from, '.', (size_t)(end - from)) : NULL;
    const char *iss = NULL;
    ccz_rc rc = CCZ_E_FORMAT;
    if (second)
        rc =
            ccz_base64_get(&payload, CCZ_SPAN(from, (size_t)(second - from)), CCZ_BASE64_URL, NULL);
    if (rc == CCZ_OK)
        rc = ccz_json_parse(&claims, ccz_buf_span(&payload), NULL);
    if (rc == CCZ_OK)
        iss = ccz_json_str(ccz_json_get(claims, "iss"));
    if (rc == CCZ_E_NOMEM)
        return ccz_fail(err, rc, "door:token", 0, "out of memory");
    if (!iss)
        return ccz_fail(err, CCZ_E_FORMAT, "door:token", 0, "it is no token with an issuer");
    for (size_t n = 0; n < s->len; n++)
        if (strcmp(iss, s->of[n].iss) == 0) {
            *out = &s->of[n];
            return CCZ_OK;
        }
    char got[CCZ_ERR_VALUE_SIZE];
    ccz_escape(got, sizeof(got), ccz_span_str(iss));
    return ccz_refuse(err, CCZ_E_UNTRUSTED, "door:token-issuer", got, "a configured issuer");
}

/* "jwt:exp" -> "door:token-exp": which of the two ends it is about stays visible. */
static ccz_rc as_token_error(struct ccz_err *err, ccz_rc rc)
{
    char where[CCZ_ERR_WHERE_SIZE];
    const char *step = err ? strchr(err->where, ':') : NULL;
    if (!step)
        return rc;
    (void)snprintf(where, sizeof(where), "door:token-%.32s", step + 1);
    memcpy(err->where, where, sizeof(where));
    return rc;
}

static ccz_rc verify_locked(struct ccz_json **claims, struct cczi_issuers *s, struct issuer *i,
                            struct ccz_span token, int64_t now_s, struct ccz_err *err)
{
    if (!i->keys) {
        ccz_fail(err, CCZ_E_UNAVAILABLE, "door:token-keys", 0,
                 "the keys of this issuer are not known yet");
        return CCZ_E_UNAVAILABLE;
    }
    const struct ccz_jwt_rules rules = {.keys = i->keys,
                                        .iss = i->iss,
                                        .aud = i->aud,
                                        .typ = i->typ,
                                        .now_s = now_s,
                                        .skew_s = i->skew_s,
                                        .age_max_s = i->age_max_s};
    ccz_rc rc = ccz_jwt_verify(claims, &rules, token, err);
    if (rc == CCZ_E_NOT_FOUND && i->url && !i->wanted) { /* keys were changed over there? */
        i->wanted = true;
        pthread_cond_signal(&s->wake);
    }
    return rc == CCZ_OK ? rc : as_token_error(err, rc);
}

ccz_rc cczi_issuers_verify(uint8_t id[32], struct cczi_issuers *s, struct ccz_span token,
                           int64_t now_s, struct ccz_err *err)
{
    memset(id, 0, 32);
    if (token.size > TOKEN_SIZE_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "door:token", (int64_t)token.size, TOKEN_SIZE_MAX);
    struct issuer *i = NULL;
    ccz_rc rc = peek_issuer(&i, s, token, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_json *parsed = NULL;
    pthread_mutex_lock(&s->lock);
    rc = verify_locked(&parsed, s, i, token, now_s, err);
    pthread_mutex_unlock(&s->lock);
    CCZ_AUTO(ccz_json) claims = parsed;
    if (rc != CCZ_OK)
        return rc;
    const char *sub = ccz_json_str(ccz_json_get(claims, "sub"));
    if (!sub || !*sub)
        return ccz_fail(err, CCZ_E_DENIED, "door:token-subject", 0, "the token names no subject");
    rc = ccz_kms_door_subject(id, i->iss, sub, err);
    return rc == CCZ_E_ARG
               ? ccz_fail(err, CCZ_E_DENIED, "door:token-subject", 0, "the subject is too long")
               : rc;
}

/* ------------------------------------------------------------------------------- new, free */

static ccz_rc copy(char **out, const char *text, struct ccz_err *err)
{
    *out = text ? strdup(text) : NULL;
    return !text || *out ? CCZ_OK : ccz_fail(err, CCZ_E_NOMEM, "door:issuer", 0, "out of memory");
}

/* Whoever is between us and plain http could make tokens of his own. */
static bool is_safe_url(const char *url)
{
    static const char *const safe[] = {"https://", "http://127.0.0.1:", "http://127.0.0.1/",
                                       "http://[::1]:", "http://[::1]/"};
    for (size_t n = 0; n < sizeof(safe) / sizeof(*safe); n++)
        if (strncmp(url, safe[n], strlen(safe[n])) == 0)
            return true;
    return false;
}

static ccz_rc check_issuer(const struct cczi_issuers *s, const struct ccz_kms_door_issuer *c,
                           struct ccz_err *err)
{
    if (!c->iss || !c->iss[0] || !c->aud || !c->aud[0] || !!c->jwks_file == !!c->jwks_url)
        return ccz_fail(err, CCZ_E_ARG, "door:issuer", 0,
                        "an issuer has a name, an audience, and its keys in a file or at a URL");
    if (c->jwks_url && !is_safe_url(c->jwks_url))
        return ccz_fail(err, CCZ_E_ARG, "door:issuer", 0,
                        "keys are fetched by https alone, or from this machine");
    if (c->skew_s < 0 || c->skew_s > CCZ_JWT_SKEW_MAX_S || c->age_max_s < -1)
        return ccz_fail(err, CCZ_E_ARG, "door:issuer", c->skew_s, "clocks are wrong by 0 to %d s",
                        CCZ_JWT_SKEW_MAX_S);
    for (size_t n = 0; n < s->len; n++) /* which keys, and which audience, would be a guess */
        if (strcmp(s->of[n].iss, c->iss) == 0)
            return ccz_fail(err, CCZ_E_ARG, "door:issuer", (int64_t)n, "an issuer is given twice");
    return CCZ_OK;
}

static ccz_rc add(struct cczi_issuers *s, const struct ccz_kms_door_issuer *c, struct ccz_err *err)
{
    ccz_rc rc = check_issuer(s, c, err);
    if (rc != CCZ_OK)
        return rc;
    struct issuer *i = &s->of[s->len++];
    i->skew_s = c->skew_s;
    i->age_max_s = c->age_max_s == 0 ? AGE_MAX_S : c->age_max_s < 0 ? 0 : c->age_max_s;
    if ((rc = copy(&i->iss, c->iss, err)) != CCZ_OK ||
        (rc = copy(&i->aud, c->aud, err)) != CCZ_OK ||
        (rc = copy(&i->typ, c->typ, err)) != CCZ_OK ||
        (rc = copy(&i->file, c->jwks_file, err)) != CCZ_OK ||
        (rc = copy(&i->url, c->jwks_url, err)) != CCZ_OK)
        return rc;
    if (i->file)
        return read_file(s, i, err);
    s->any_url = true;
    const struct ccz_http_client_cfg http = {.timeout_ms = FETCH_TIMEOUT_MS,
                                             .body_size_max = CCZ_JWKS_SIZE_MAX,
                                             .ca_file = c->jwks_ca_file,
                                             .is_over = is_stopped,
                                             .is_over_arg = s};
    return ccz_http_client_new(&i->client, &http, err);
}

ccz_rc cczi_issuers_new(struct cczi_issuers **out, const struct ccz_kms_door_issuer *cfg,
                        size_t len, struct ccz_err *err)
{
    *out = NULL;
    if (len > CCZ_KMS_DOOR_ISSUERS_MAX)
        return ccz_fail(err, CCZ_E_ARG, "door:issuer", (int64_t)len, "at most %d issuers",
                        CCZ_KMS_DOOR_ISSUERS_MAX);
    struct cczi_issuers *s = calloc(1, sizeof(*s));
    if (!s)
        return ccz_fail(err, CCZ_E_NOMEM, "door:issuer", 0, "out of memory");
    pthread_condattr_t attr;
    s->again_ms = FETCH_AGAIN_MS;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &attr);
    pthread_condattr_destroy(&attr);
    ccz_rc rc = CCZ_OK;
    for (size_t n = 0; rc == CCZ_OK && n < len; n++)
        rc = add(s, &cfg[n], err);
    if (rc == CCZ_OK)
        *out = s;
    else
        cczi_issuers_free(s);
    return rc;
}

void cczi_issuers_set_again(struct cczi_issuers *s, int64_t ms)
{
    s->again_ms = ms;
}

ccz_rc cczi_issuers_start(struct cczi_issuers *s, struct ccz_err *err)
{
    if (!s->any_url)
        return CCZ_OK;
    int e = pthread_create(&s->thread, NULL, fetch_main, s);
    if (e != 0)
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "door:threads", e, "cannot start a thread");
    s->running = true;
    return CCZ_OK;
}

void cczi_issuers_end(struct cczi_issuers *s)
{
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

void cczi_issuers_stop(struct cczi_issuers *s)
{
    cczi_issuers_end(s);
    if (s->running)
        pthread_join(s->thread, NULL);
    s->running = false;
}

ccz_rc cczi_issuers_reload(struct cczi_issuers *s)
{
    ccz_rc last = CCZ_OK;
    for (size_t n = 0; n < s->len; n++) {
        struct ccz_err err = {0};
        ccz_rc rc = s->of[n].file ? read_file(s, &s->of[n], &err) : CCZ_OK;
        if (rc != CCZ_OK) {
            log_keys(&s->of[n], 0, 0, &err);
            last = rc;
        }
    }
    pthread_mutex_lock(&s->lock);
    s->hurry = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    return last;
}

void cczi_issuers_free(struct cczi_issuers *s)
{
    if (!s)
        return;
    cczi_issuers_stop(s);
    for (size_t n = 0; n < s->len; n++) {
        struct issuer *i = &s->of[n];
        free(i->iss);
        free(i->aud);
        free(i->typ);
        free(i->file);
        free(i->url);
        ccz_http_client_free(i->client);
        ccz_jwks_free(i->keys);
    }
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
