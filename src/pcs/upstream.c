/* SPDX-License-Identifier: Apache-2.0 */
/* Asking a server without being a burden: what each answer says about asking again. */
#include "pcs/pcs_priv.h"

#include <cczoo/crypto.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    NOT_FOUND_S = 3600,
    BACK_OFF_MIN_S = 5,
    BACK_OFF_MAX_S = 900,
    RETRY_AFTER_MAX_S = 3600,
    SHUT_MAX_S = 3600, /* the longest of all these */
    ORIGIN_SIZE = 512,
};

/* --------------------------------------------------------------------------------- answers */

void cczi_answer_init(struct cczi_answer *a)
{
    ccz_buf_init(&a->body, CCZ_PCS_ANSWER_SIZE_MAX);
    ccz_buf_init(&a->headers, CCZ_PCS_HEADERS_SIZE_MAX);
}

void cczi_answer_free(struct cczi_answer *a)
{
    ccz_buf_free(&a->body);
    ccz_buf_free(&a->headers);
}

struct ccz_span cczi_header(const struct cczi_answer *a, const char *name)
{
    struct ccz_span left = ccz_buf_span(&a->headers);
    size_t size = strlen(name);
    while (left.size > 0) {
        const uint8_t *end = memchr(left.ptr, '\n', left.size);
        size_t line = end ? (size_t)(end - left.ptr) : left.size;
        if (line > size && left.ptr[size] == ':' &&
            strncasecmp((const char *)left.ptr, name, size) == 0) {
            struct ccz_span v = {left.ptr + size + 1, line - size - 1};
            while (v.size > 0 && *v.ptr == ' ')
                v = ccz_span_sub(v, 1, v.size - 1);
            return v;
        }
        line += end != NULL;
        left = ccz_span_sub(left, line, left.size - line);
    }
    return (struct ccz_span){NULL, 0};
}

/* Digits at the start of @p s, at most @p max; -1 if there are none. */
static int64_t number(struct ccz_span s, int64_t max)
{
    int64_t v = -1;
    for (size_t i = 0; i < s.size && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++) {
        v = (v < 0 ? 0 : v) * 10 + (s.ptr[i] - '0');
        if (v > max)
            return max;
    }
    return v;
}

int64_t cczi_max_age(const struct cczi_answer *a)
{
    static const char key[] = "max-age=";
    struct ccz_span v = cczi_header(a, "Cache-Control");
    for (size_t i = 0; i + sizeof(key) - 1 < v.size; i++)
        if (strncasecmp((const char *)v.ptr + i, key, sizeof(key) - 1) == 0)
            return number(ccz_span_sub(v, i + sizeof(key) - 1, v.size - i - sizeof(key) + 1),
                          INT32_MAX);
    return -1;
}

int64_t cczi_jitter(const struct cczi_upstream *u, int64_t span_s)
{
    uint32_t r = 0;
    if (span_s <= 0 || u->random(&r, sizeof(r)) != CCZ_OK)
        return 0; /* refreshing a little early needs no good randomness, but a later one none at all */
    return (int64_t)(r % (uint64_t)(span_s + 1));
}

/* ----------------------------------------------------------------------------------- gates */

/* "https://host:port" */
static void origin_of(char origin[ORIGIN_SIZE], const char *url)
{
    const char *host = strstr(url, "://");
    size_t size = host ? (size_t)(host - url) + 3 : 0;
    size += strcspn(url + size, "/?#");
    (void)snprintf(origin, ORIGIN_SIZE, "%.*s", (int)size, url);
}

/* "https://host:port pace": for documents that are given at a pace */
static void pace_key(char key[ORIGIN_SIZE], const char *url)
{
    char origin[ORIGIN_SIZE];
    origin_of(origin, url);
    (void)snprintf(key, ORIGIN_SIZE, "%.*s pace", ORIGIN_SIZE - 6, origin);
}

static bool is_server(const char *key)
{
    const char *host = strstr(key, "://");
    return host && !strpbrk(host + 3, "/?#");
}

static const struct cczi_gate *gate_look(const struct cczi_upstream *u, const char *key)
{
    for (size_t i = 0; i < CCZI_GATES; i++)
        if (strcmp(u->gates[i].key, key) == 0)
            return &u->gates[i];
    return NULL;
}

static struct cczi_gate *gate_find(struct cczi_upstream *u, const char *key)
{
    const struct cczi_gate *g = gate_look(u, key);
    return g ? &u->gates[g - u->gates] : NULL;
}

/* The gate for @p key; of its kind, the one that opens first makes room for a new one. */
static struct cczi_gate *gate_take(struct cczi_upstream *u, const char *key)
{
    struct cczi_gate *g = gate_find(u, key);
    if (g)
        return g;
    size_t from = is_server(key) ? 0 : CCZI_SERVER_GATES;
    size_t to = is_server(key) ? CCZI_SERVER_GATES : CCZI_GATES;
    g = &u->gates[from];
    for (size_t i = from + 1; i < to; i++)
        if (u->gates[i].until_s < g->until_s)
            g = &u->gates[i];
    *g = (struct cczi_gate){0};
    (void)snprintf(g->key, sizeof(g->key), "%s", key);
    return g;
}

static void shut(struct cczi_upstream *u, const char *key, int64_t seconds, ccz_rc rc,
                 const char *why)
{
    struct cczi_gate *g = gate_take(u, key);
    int64_t now_s = ccz_clock_now_s(u->clock), until_s = now_s + seconds;
    if (until_s > g->until_s || g->until_s - now_s > SHUT_MAX_S)
        g->until_s = until_s;
    g->rc = rc;
    (void)snprintf(g->why, sizeof(g->why), "%s", why);
    g->failures += rc != CCZ_OK;
}

/* 5 s, 10 s, .. 15 min, and up to a quarter more, so that many verifiers do not come back together. */
static int64_t back_off_s(const struct cczi_upstream *u, unsigned failures)
{
    int64_t s = BACK_OFF_MIN_S;
    for (unsigned i = 0; i < failures && s < BACK_OFF_MAX_S; i++)
        s *= 2;
    s = s < BACK_OFF_MAX_S ? s : BACK_OFF_MAX_S;
    return s + cczi_jitter(u, s / 4);
}

static void shut_failing(struct cczi_upstream *u, const char *key, int64_t retry_after_s, ccz_rc rc,
                         const char *why)
{
    struct cczi_gate *g = gate_find(u, key);
    int64_t s = retry_after_s > 0 ? retry_after_s : back_off_s(u, g ? g->failures : 0);
    shut(u, key, s, rc, why);
}

void cczi_upstream_reject(struct cczi_upstream *u, const char *url, const struct ccz_err *err)
{
    shut_failing(u, url, 0, err->rc, err->msg);
}

/* How long the gate for @p key is still shut: 0 = open. Fails if that is longer than @p left_s. */
static ccz_rc shut_for(int64_t *wait_s, const struct cczi_upstream *u, const char *key,
                       const char *origin, int64_t left_s, struct ccz_err *err)
{
    const struct cczi_gate *g = gate_look(u, key);
    *wait_s = g ? g->until_s - ccz_clock_now_s(u->clock) : 0;
    if (*wait_s < 0 || *wait_s > SHUT_MAX_S) /* longer: the clock was set back since */
        *wait_s = 0;
    if (*wait_s > 0 && g->rc == CCZ_E_NOT_FOUND)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "pcs:not-found", *wait_s, "%.100s: %.80s", key,
                        g->why);
    if (*wait_s <= left_s)
        return CCZ_OK;
    ccz_rc rc = ccz_fail(err, CCZ_E_UNAVAILABLE, "pcs:back-off", *wait_s,
                         "%.60s is not asked for another %lld s: %.90s", origin, (long long)*wait_s,
                         g->why);
    return ccz_hint(err, rc, "wait, or raise how long a fetch may wait");
}

/* Passes the gates, waiting as long as *left_s allows. */
static ccz_rc pass(struct cczi_upstream *u, const char *const keys[3], const char *origin,
                   int64_t *left_s, struct ccz_err *err)
{
    for (int i = 0; i < 3 && keys[i]; i++) {
        int64_t wait_s;
        ccz_rc rc = shut_for(&wait_s, u, keys[i], origin, *left_s, err);
        if (rc != CCZ_OK)
            return rc;
        if (wait_s == 0)
            continue;
        *left_s -= wait_s;
        pthread_mutex_unlock(u->lock);
        u->sleep_ms(u->sleep_arg, wait_s * 1000);
        pthread_mutex_lock(u->lock);
    }
    return CCZ_OK;
}

ccz_rc cczi_upstream_may_ask(const struct cczi_upstream *u, const char *url, struct ccz_err *err)
{
    char origin[ORIGIN_SIZE], pace[ORIGIN_SIZE];
    int64_t wait_s;
    origin_of(origin, url);
    pace_key(pace, url);
    const char *const keys[] = {url, origin, pace};
    ccz_rc rc = CCZ_OK;
    for (int i = 0; i < 3 && rc == CCZ_OK; i++)
        rc = shut_for(&wait_s, u, keys[i], origin, u->wait_max_s, err);
    return rc;
}

/* -------------------------------------------------------------------------------- judgement */

static const struct verdict {
    unsigned status;
    ccz_rc rc;
    const char *where, *hint;
} verdicts[] = {
    {400, CCZ_E_PEER, "pcs:status", "did the server expect another kind of request?"},
    {401, CCZ_E_DENIED, "pcs:denied", "does the server want a subscription key?"},
    {403, CCZ_E_DENIED, "pcs:denied", "does the server want a subscription key?"},
    {404, CCZ_E_NOT_FOUND, "pcs:not-found", NULL},
    {410, CCZ_E_NOT_FOUND, "pcs:gone", "this TCB evaluation data number is not served any more"},
    {429, CCZ_E_PEER, "pcs:rate", "a PCCS or the cache of one verifier saves requests"},
    {461, CCZ_E_NOT_FOUND, "pcs:not-found", "the PCCS does not know this platform: register it"},
    {462, CCZ_E_NOT_FOUND, "pcs:not-found", "the PCCS has no certificates of this platform"},
    {503, CCZ_E_UNAVAILABLE, "pcs:busy", NULL},
};

static ccz_rc judge(const struct cczi_answer *a, unsigned status, const char *url,
                    struct ccz_err *err)
{
    static const struct verdict other = {0, CCZ_E_PEER, "pcs:status", NULL};
    const struct verdict *v = &other;
    if (status == 200)
        return CCZ_OK;
    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
        if (verdicts[i].status == status)
            v = &verdicts[i];
    char said[64];
    struct ccz_span text = cczi_header(a, "Error-Message");
    ccz_escape(said, sizeof(said), text.size ? text : cczi_header(a, "Error-Code"));
    ccz_rc rc = ccz_fail(err, v->rc, v->where, (int64_t)status, "%.110s answers %u%s%.60s", url,
                         status, said[0] ? ": " : "", said);
    return ccz_hint(err, rc, v->hint);
}

/* What the outcome means for the next request. */
static void remember(struct cczi_upstream *u, const char *origin, const char *url,
                     const struct cczi_answer *a, unsigned status, const struct ccz_err *err)
{
    struct cczi_gate *g = gate_find(u, origin);
    if (err->rc == CCZ_OK) {
        if (g)
            *g = (struct cczi_gate){0};
        return;
    }
    if (err->rc == CCZ_E_NOT_FOUND) {
        shut(u, url, NOT_FOUND_S, err->rc, err->msg);
        return;
    }
    int64_t after_s = -1;
    if (status == 429 || status == 503)
        after_s = number(cczi_header(a, "Retry-After"), RETRY_AFTER_MAX_S);
    shut_failing(u, origin, after_s, err->rc, err->msg);
}

static bool worth_waiting(ccz_rc rc, unsigned status)
{
    return status == 429 || status == 503 ||
           (status == 0 && (rc == CCZ_E_UNAVAILABLE || rc == CCZ_E_CLOSED || rc == CCZ_E_TIMEOUT));
}

static ccz_rc refuse_offline(struct ccz_err *err)
{
    ccz_rc rc = ccz_fail(err, CCZ_E_UNAVAILABLE, "pcs:offline", 0, "no network is configured");
    return ccz_hint(err, rc, "import a bundle, or configure where to fetch from");
}

ccz_rc cczi_upstream_get_paced(struct cczi_upstream *u, struct cczi_answer *a, const char *url,
                               int64_t pace_s, struct ccz_err *err)
{
    char origin[ORIGIN_SIZE], pace[ORIGIN_SIZE];
    struct ccz_err why = {0};
    int64_t left_s = u->wait_max_s;
    if (!u->getter.get)
        return refuse_offline(err);
    origin_of(origin, url);
    pace_key(pace, url);
    const char *const keys[] = {url, origin, pace_s ? pace : NULL};
    for (bool asked = false;; asked = true) {
        struct ccz_err shut_why = {0};
        if (pass(u, keys, origin, &left_s, &shut_why) != CCZ_OK) {
            if (!asked)
                why = shut_why; /* else what the server said is the better reason */
            break;
        }
        unsigned status = 0;
        why = (struct ccz_err){0};
        if (pace_s) /* whatever comes of it */
            shut(u, pace, pace_s, CCZ_OK, "the server's limit");
        pthread_mutex_unlock(u->lock);
        why.rc = u->getter.get(u->getter.arg, &status, &a->body, &a->headers, url, &why);
        pthread_mutex_lock(u->lock);
        if (why.rc == CCZ_OK)
            why.rc = judge(a, status, url, &why);
        remember(u, origin, url, a, status, &why);
        if (!worth_waiting(why.rc, status))
            break;
    }
    if (err && why.rc != CCZ_OK)
        *err = why;
    return why.rc;
}

ccz_rc cczi_upstream_get(struct cczi_upstream *u, struct cczi_answer *a, const char *url,
                         struct ccz_err *err)
{
    return cczi_upstream_get_paced(u, a, url, 0, err);
}
