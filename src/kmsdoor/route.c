/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to its handler, and from the handler's answer to the client. */
#include "door_priv.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ERR_JSON_SIZE_MAX = 8192 };

/* --------------------------------------------------------------------------------- routes */

ccz_rc cczi_door_route(struct ccz_kms_door *d, const struct cczi_door_route *route,
                       struct ccz_err *err)
{
    for (size_t i = 0; i < d->routes_len; i++)
        if (strcmp(d->routes[i].path, route->path) == 0)
            return ccz_fail(err, CCZ_E_EXISTS, "door:route", (int64_t)i, "two routes for %s",
                            route->path);
    if (d->routes_len == CCZI_DOOR_ROUTES_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "door:route", CCZI_DOOR_ROUTES_MAX, "too many routes");
    d->routes[d->routes_len++] = *route;
    return CCZ_OK;
}

/* The route of the longest path that covers @p path; NULL = none. */
static const struct cczi_door_route *find_route(const struct ccz_kms_door *d, const char *path)
{
    const struct cczi_door_route *best = NULL;
    size_t best_size = 0;
    for (size_t i = 0; i < d->routes_len; i++) {
        const char *p = d->routes[i].path;
        size_t n = strlen(p);
        bool covers = p[n - 1] == '/' ? strncmp(path, p, n) == 0 : strcmp(path, p) == 0;
        if (covers && n > best_size) {
            best = &d->routes[i];
            best_size = n;
        }
    }
    return best;
}

static bool has_word(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = words; (p = strstr(p, word)) != NULL; p += n)
        if ((p == words || p[-1] == ' ') && (p[n] == ' ' || p[n] == 0))
            return true;
    return false;
}

static bool allows(const struct cczi_door_route *route, const char *method)
{
    return has_word(route->methods, strcmp(method, "HEAD") == 0 ? "GET" : method);
}

/* One name has one spelling here: no empty segment, none of dots, decoded or not; no byte that is not printable ASCII. */
static bool is_sound(const char *path)
{
    if (path[0] != '/')
        return false;
    size_t dots = 0, others = 0;
    for (const char *p = path + 1; *p; p++) {
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || *p == '\\')
            return false;
        if (*p == '/') {
            if (others == 0) /* "//", "/./", "/../" */
                return false;
            dots = others = 0;
        } else if (*p == '.' || strncmp(p, "%2e", 3) == 0 || strncmp(p, "%2E", 3) == 0) {
            dots++;
            p += *p == '%' ? 2 : 0;
        } else {
            others++;
        }
    }
    return dots == 0 || others != 0;
}

/* ------------------------------------------------------------------------------- replies */

static bool has_header(const struct ccz_http_answer *a, const char *name)
{
    for (size_t i = 0; i < a->headers_len; i++)
        if (strcasecmp(a->headers[i].name, name) == 0)
            return true;
    return false;
}

void cczi_door_reply(struct cczi_door_req *r, const struct ccz_http_answer *answer)
{
    enum { HEADERS_MAX = 16 };
    struct cczi_door_job *j = (struct cczi_door_job *)r;
    struct ccz_kms_door *d = r->door;
    struct ccz_http_field headers[HEADERS_MAX + 2] = {{"X-Content-Type-Options", "nosniff"}};
    struct ccz_http_answer a = *answer;
    size_t extra = a.headers_len < HEADERS_MAX ? a.headers_len : HEADERS_MAX;
    if (extra)
        memcpy(headers + 1, a.headers, extra * sizeof(*headers));
    if (!has_header(&a, "Cache-Control"))
        headers[1 + extra++] = (struct ccz_http_field){"Cache-Control", "no-store"};
    a.headers = headers;
    a.headers_len = extra + 1;
    struct cczi_door_count *count =
        &d->count[j->route ? (size_t)(j->route - d->routes) : CCZI_DOOR_ROUTES_MAX];
    atomic_fetch_add(&count->by_class[a.status / 100 % 6], 1);
    atomic_fetch_add(&count->us, (uint64_t)(ccz_mono_ns() / 1000 - j->from_us));
    cczi_door_conn_busy(r, false);
    ccz_http_wipe(r->http); /* who was refused before the handler may have sent a secret */
    ccz_http_reply(r->http, &a);
    d->requests--;
    atomic_store(&d->requests_now, d->requests);
    ccz_buf_free(&j->response);
    free(j);
}

void cczi_door_reply_json(struct cczi_door_req *r, unsigned status, struct ccz_span json)
{
    cczi_door_reply(r, &(struct ccz_http_answer){
                           .status = status, .content_type = "application/json", .body = json});
}

ccz_rc cczi_door_no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "door:memory", 0, "out of memory");
}

void cczi_door_reply_built(struct cczi_door_req *r, const struct ccz_buf *json)
{
    struct ccz_err err = {0};
    if (json->bad) {
        (void)cczi_door_no_memory(&err);
        cczi_door_reply_err(r, &err);
    } else {
        cczi_door_reply_json(r, 200, ccz_buf_span(json));
    }
}

static const struct {
    ccz_rc rc;
    unsigned status;
} statuses[] = {
    {CCZ_E_ARG, 400},       {CCZ_E_FORMAT, 400},  {CCZ_E_LIMIT, 400},    {CCZ_E_UNSUPPORTED, 400},
    {CCZ_E_POLICY, 403},    {CCZ_E_DENIED, 403},  {CCZ_E_EXPIRED, 403},  {CCZ_E_REVOKED, 403},
    {CCZ_E_UNTRUSTED, 403}, {CCZ_E_SIG, 403},     {CCZ_E_MISMATCH, 409}, {CCZ_E_EXISTS, 409},
    {CCZ_E_NOT_FOUND, 404}, {CCZ_E_TIMEOUT, 503}, {CCZ_E_CLOSED, 503},   {CCZ_E_UNAVAILABLE, 503},
    {CCZ_E_NOMEM, 503},     {CCZ_E_IO, 503},      {CCZ_E_PEER, 502},     {CCZ_E_INTERNAL, 500},
};
/* Where the reason says more than the kind of failure. */
static const struct {
    const char *where;
    unsigned status;
} exceptions[] = {
    {"kms:method", 404},
    {"door:not-found", 404},
    {"door:method", 405},
    {"door:body-size", 413},
    {"door:content-type", 415},
    {"door:content-encoding", 415},
    {"door:rate-address", 429},
    {"door:rate-principal", 429},
    {"door:rate-total", 429},
    {"kms:token-key-soon", 429},
    {"kms:look-rate", 429},
    {"kms:token-keys", 409},
    {"door:busy", 503},
    {"door:requests", 503},
    {"kms:busy", 503},
    {"kms:busy-namespace", 503},
    {"kms:import-busy", 503},
    {"kms:response", 500},
    /* allowed, but not in the state that things are in */
    {"kms:policy-in-use", 409},
    {"kms:latest-version", 409},
    {"kms:versions", 409},
    {"kms:quota-items", 409},
    {"kms:quota-versions", 409},
    {"kms:quota-bytes", 409},
    {"kms:quota-policies", 409},
    {"kms:quota-policy-bytes", 409},
    {"kms:not-deleted", 409},
    {"kms:recovery-window", 409},
    {"kms:last-admin", 409},
    {"kms:quorum-unreachable", 409},
    {"kms:quorum-none", 409},
    {"kms:proposal-closed", 409},
    {"kms:proposal-outdated", 409},
    {"kms:proposal-expired", 409},
    /* the database was changed behind our back: nothing that the client could do better */
    {"kms:row-mac", 500},
    {"kms:row-set", 500},
    {"kms:head", 500},
    {"kms:audit-chain", 500},
    {"kms:audit-end", 500},
    {"kms:audit-tree", 500},
    {"kms:rolled-back", 500},
    {"kms:forked", 500},
    {"kms:epoch-mac", 500},
    {"kms:epoch-lost", 500},
    {"kms:seal", 500},
    {"kms:store-corrupt", 500},
    {"kms:key-meta", 500},
    {"kms:instance", 500},
    {"kms:key-mac", 400},
};

/* Of somebody we do not know, a refusal is the question who he is; but not what went wrong here. */
static bool asks_who(const struct ccz_err *err, const struct cczi_door_auth *auth)
{
    bool ours = err->rc == CCZ_E_UNAVAILABLE || err->rc == CCZ_E_NOMEM || err->rc == CCZ_E_INTERNAL;
    return (strncmp(err->where, "door:token", 10) == 0 && !ours) ||
           (auth && auth->kind == CCZI_DOOR_NOBODY && !auth->peer.attested &&
            (strcmp(err->where, "kms:admin-required") == 0 ||
             strcmp(err->where, "door:auth-required") == 0));
}

unsigned cczi_door_status(const struct ccz_err *err, const struct cczi_door_auth *auth)
{
    if (asks_who(err, auth))
        return 401;
    for (size_t i = 0; i < sizeof(exceptions) / sizeof(*exceptions); i++)
        if (strcmp(err->where, exceptions[i].where) == 0)
            return exceptions[i].status;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++)
        if (statuses[i].rc == err->rc)
            return statuses[i].status;
    return 500;
}

static void put_member(struct ccz_buf *out, const char *name, const char *value)
{
    if (!value[0])
        return;
    ccz_buf_put_str(out, out->ptr[out->size - 1] == '{' ? "\"" : ",\"");
    ccz_buf_put_str(out, name);
    ccz_buf_put_str(out, "\":");
    ccz_json_put_str(out, ccz_span_str(value));
}

void cczi_door_err_json(struct ccz_buf *out, const struct ccz_err *err)
{
    ccz_buf_put_str(out, "{");
    if (out->bad)
        return;
    put_member(out, "where", err->where);
    put_member(out, "message", err->msg);
    put_member(out, "got", err->got);
    put_member(out, "expected", err->expected);
    put_member(out, "hint", err->hint);
    ccz_buf_put_str(out, "}");
}

/* Their texts have addresses, users and statements of the database, and some are told before anybody has said who he is. */
static bool is_of_database(const struct ccz_err *err)
{
    return strncmp(err->where, "kms:store", 9) == 0 ||
           strcmp(err->where, "kms:commit-unknown") == 0 ||
           strcmp(err->where, "kms:database-password") == 0;
}

/* The service logs what it refuses; this is for what never gets there. At most so many lines a second: a flood of requests is
 * no flood of lines, and the metrics count them all. */
static void log_refusal(struct cczi_door_req *r, unsigned status, const struct ccz_err *err)
{
    static const struct cczi_rate lines = {10, 50};
    struct ccz_kms_door *d = r->door;
    const struct cczi_door_route *route = ((struct cczi_door_job *)r)->route;
    uint32_t wait_s;
    char peer[CCZ_ADDR_TEXT_SIZE], what[192];
    /* of other protocols: what their own checks refuse, but for the question who it is, with which stock clients begin */
    bool theirs =
        route && route->put_err && !r->decision[0] && strcmp(err->where, "kbs:no-session") != 0;
    if (!theirs && strncmp(err->where, "door:", 5) != 0 && !is_of_database(err) &&
        strcmp(err->where, "kms:admin-unknown") != 0)
        return;
    if (!cczi_bucket_take(&wait_s, &d->log_lines, lines, ccz_mono_ms())) {
        d->unlogged++;
        return;
    }
    ccz_escape(peer, sizeof(peer), ccz_span_str(r->address));
    (void)snprintf(what, sizeof(what), "refused route=%s status=%u peer=%s unlogged=%llu",
                   route ? route->name : "none", status, peer, (unsigned long long)d->unlogged);
    d->unlogged = 0;
    ccz_log_err(CCZ_LOG_WARN, "kms-door", what, err);
}

/* Into an object that is complete. */
static void put_decision(struct ccz_buf *json, const char *decision)
{
    if (!decision[0] || json->bad || json->size < 2 || json->ptr[json->size - 1] != '}')
        return;
    json->size--;
    put_member(json, "decision", decision);
    ccz_buf_put_str(json, "}");
}

/* "GET POST" -> "GET, HEAD, POST" */
static void put_allow(char *out, size_t size, const struct cczi_door_route *route)
{
    size_t n = 0;
    for (const char *p = route->methods; *p && n + 16 < size;) {
        size_t word = strcspn(p, " ");
        bool get = word == 3 && memcmp(p, "GET", 3) == 0;
        int w = snprintf(out + n, size - n, "%s%.*s%s", n ? ", " : "", (int)word, p,
                         get ? ", HEAD" : "");
        n += w > 0 ? (size_t)w : 0;
        p += word + (p[word] == ' ');
    }
    out[n < size ? n : size - 1] = 0;
}

void cczi_door_reply_err_as(struct cczi_door_req *r, unsigned status, const struct ccz_err *err)
{
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, ERR_JSON_SIZE_MAX);
    const struct cczi_door_route *route = ((struct cczi_door_job *)r)->route;
    struct ccz_err bare = {0};
    log_refusal(r, status, err);
    if (is_of_database(err)) {
        ccz_fail(&bare, err->rc, err->where, 0, "the log of the server says more");
        err = &bare;
    }
    if (route && route->put_err)
        status = route->put_err(&json, status, err);
    else
        cczi_door_err_json(&json, err);
    put_decision(&json, r->decision);
    struct ccz_http_field headers[3];
    char wait[24], allow[64];
    size_t n = 0;
    if (status == 429 || status == 503) {
        bool told = status == 429 && err->aux > 0;
        (void)snprintf(wait, sizeof(wait), "%lld", told ? (long long)err->aux : 1LL);
        headers[n++] = (struct ccz_http_field){"Retry-After", wait};
    }
    if (status == 401)
        headers[n++] = (struct ccz_http_field){"WWW-Authenticate", "Bearer realm=\"cczoo-kms\""};
    if (status == 405 && route) {
        put_allow(allow, sizeof(allow), route);
        headers[n++] = (struct ccz_http_field){"Allow", allow};
    }
    cczi_door_reply(r, &(struct ccz_http_answer){.status = status,
                                                 .content_type = "application/json",
                                                 .body = ccz_buf_span(&json),
                                                 .headers = headers,
                                                 .headers_len = n});
}

void cczi_door_reply_err(struct cczi_door_req *r, const struct ccz_err *err)
{
    cczi_door_reply_err_as(r, cczi_door_status(err, &r->auth), err);
}

/* ------------------------------------------------------------------------------ dispatch */

static ccz_rc slow_down(struct ccz_kms_door *d, enum cczi_door_refusal why, const char *where,
                        uint32_t wait_s, struct ccz_err *err)
{
    cczi_door_refused(d, why);
    ccz_fail(err, CCZ_E_LIMIT, where, wait_s, "too many requests, come again in %u s", wait_s);
    return CCZ_E_LIMIT;
}

static ccz_rc check_rates(struct cczi_door_req *r, int64_t now_ms, struct ccz_err *err)
{
    struct ccz_kms_door *d = r->door;
    const struct ccz_kms_door_limits *l = &d->limits;
    struct cczi_rate_addr addr;
    uint32_t wait_s;
    cczi_rate_addr_of(&addr, r->address);
    if (!cczi_rates_take(&wait_s, &d->by_address, CCZ_SPAN(addr.bytes, sizeof(addr.bytes)),
                         (struct cczi_rate){l->address_rate, l->address_burst}, now_ms))
        return slow_down(d, CCZI_REFUSED_RATE_ADDRESS, "door:rate-address", wait_s, err);
    if (!cczi_bucket_take(&wait_s, &d->total, (struct cczi_rate){l->total_rate, l->total_burst},
                          now_ms))
        return slow_down(d, CCZI_REFUSED_RATE_TOTAL, "door:rate-total", wait_s, err);
    return CCZ_OK;
}

static ccz_rc take_principal(struct ccz_kms_door *d, const uint8_t id[32], int64_t now_ms,
                             struct ccz_err *err)
{
    const struct cczi_rate rate = {d->limits.principal_rate, d->limits.principal_burst};
    uint32_t wait_s;
    if (cczi_rates_take(&wait_s, &d->by_principal, CCZ_SPAN(id, 32), rate, now_ms))
        return CCZ_OK;
    return slow_down(d, CCZI_REFUSED_RATE_PRINCIPAL, "door:rate-principal", wait_s, err);
}

/* Once for each request. */
static ccz_rc check_principal(struct cczi_door_req *r, int64_t now_ms, struct ccz_err *err)
{
    struct cczi_door_job *j = (struct cczi_door_job *)r;
    if (r->auth.kind == CCZI_DOOR_NOBODY || memcmp(j->paid, r->auth.id, sizeof(j->paid)) == 0)
        return CCZ_OK;
    ccz_rc rc = take_principal(r->door, r->auth.id, now_ms, err);
    if (rc == CCZ_OK)
        memcpy(j->paid, r->auth.id, sizeof(j->paid));
    return rc;
}

ccz_rc cczi_door_workload(struct cczi_door_req *r, const struct ccz_claims *claims,
                          struct ccz_err *err)
{
    uint8_t id[32];
    ccz_rc rc = ccz_claims_identity(id, claims, err);
    return rc == CCZ_OK ? take_principal(r->door, id, ccz_mono_ms(), err) : rc;
}

/* Two of them: which one counts? */
static ccz_rc check_headers(const struct cczi_door_req *r, struct ccz_err *err)
{
    static const char *const once[] = {"Authorization",    "Content-Type",   "Content-Encoding",
                                       "Origin",           "Sec-Fetch-Site", "X-Vault-Token",
                                       "X-Vault-Namespace"};
    for (size_t i = 0; i < sizeof(once) / sizeof(*once); i++)
        if (ccz_http_header_count(r->http, once[i]) > 1)
            return ccz_refuse(err, CCZ_E_FORMAT, "door:header-twice", once[i], "one of them");
    const char *coding = ccz_http_header(r->http, "Content-Encoding");
    if (coding && strcmp(coding, "identity") != 0)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "door:content-encoding", 0,
                        "bodies are taken as they are, without a coding");
    return CCZ_OK;
}

/* Of the request as such, before anybody is asked who he is. */
static ccz_rc check_request(struct cczi_door_job *j, struct ccz_err *err)
{
    struct cczi_door_req *r = &j->req;
    const struct ccz_kms_door *d = r->door;
    const char *method = ccz_http_method(r->http);
    j->route = find_route(d, r->path); /* which says how refusals look */
    if (!is_sound(r->path))
        return ccz_fail(err, CCZ_E_FORMAT, "door:path", 0,
                        "empty and dot segments, and bytes that are not printable, are refused");
    if (!j->route)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "door:not-found", 0, "there is nothing at this path");
    r->rest = r->path + strlen(j->route->path);
    if (!allows(j->route, method)) {
        return ccz_refuse(err, CCZ_E_UNSUPPORTED, "door:method", method, j->route->methods);
    }
    ccz_rc rc = check_headers(r, err);
    if (rc != CCZ_OK)
        return rc;
    size_t size = ccz_http_body(r->http).size, max = j->route->body_size_max;
    if (max > d->limits.body_size_max)
        max = d->limits.body_size_max;
    if (size > max)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "door:body-size", (int64_t)size, (int64_t)max);
    return CCZ_OK;
}

/* Of this type or with parameters behind it. */
static bool is_type(const char *value, const char *type)
{
    size_t n = strlen(type);
    return value && strncasecmp(value, type, n) == 0 &&
           (value[n] == 0 || value[n] == ';' || value[n] == ' ');
}

/* scheme://host:port of a page that came from here; behind a proxy that ends TLS the scheme is not ours to know. */
static bool is_own_origin(const struct cczi_door_req *r, const char *origin)
{
    const char *host = ccz_http_header(r->http, "Host"), *at = strstr(origin, "://");
    if (!host || !at || (ccz_http_ssl(r->http) && strncmp(origin, "https://", 8) != 0))
        return false;
    return strcasecmp(at + 3, host) == 0;
}

/* No browser sends one of these on behalf of another site without asking first, which is refused (OPTIONS: 405). */
static bool is_no_simple_request(const struct cczi_door_req *r)
{
    static const char *const headers[] = {"Authorization", "X-Vault-Token", "X-Vault-Request"};
    const char *type = ccz_http_header(r->http, "Content-Type");
    for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++)
        if (ccz_http_header(r->http, headers[i]))
            return true;
    return strcmp(ccz_http_method(r->http), "POST") != 0 || is_type(type, "application/json") ||
           is_type(type, "application/octet-stream");
}

/* A page of another site can make a browser send requests that carry the client certificate of whoever looks at the page. For
 * all routes, so that no protocol can forget it. What a browser says about where a request is from decides; what says nothing
 * must not be one that a page could have sent. */
static ccz_rc check_site(const struct cczi_door_req *r, struct ccz_err *err)
{
    const char *method = ccz_http_method(r->http);
    const char *site = ccz_http_header(r->http, "Sec-Fetch-Site");
    const char *origin = ccz_http_header(r->http, "Origin");
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
        return CCZ_OK;
    bool from_here = site     ? strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0
                     : origin ? is_own_origin(r, origin)
                              : true;
    if (!from_here)
        return ccz_fail(err, CCZ_E_DENIED, "door:site", 0, "a request from a page of another site");
    if (r->auth.kind != CCZI_DOOR_PINNED || is_no_simple_request(r))
        return CCZ_OK;
    ccz_fail(err, CCZ_E_DENIED, "door:site", 0, "a page of another site could have sent this");
    return ccz_hint(err, err->rc,
                    "Content-Type: application/json (of /kbs: application/octet-stream), a token, "
                    "or X-Vault-Request: true");
}

static ccz_rc admit(struct cczi_door_job *j, struct ccz_err *err)
{
    struct cczi_door_req *r = &j->req;
    struct ccz_kms_door *d = r->door;
    int64_t now_ms = ccz_mono_ms();
    ccz_rc rc = check_request(j, err);
    bool rated = rc != CCZ_OK || !(j->route->flags & CCZI_DOOR_NO_RATE);
    if (rc != CCZ_OK)
        cczi_door_refused(d, CCZI_REFUSED_REQUEST);
    struct ccz_err slow = {0};
    if (rated && check_rates(r, now_ms, &slow) != CCZ_OK) { /* rubbish counts, too */
        *err = slow;
        return slow.rc;
    }
    if (rc != CCZ_OK)
        return rc;
    if (d->requests > d->limits.requests && rated) {
        cczi_door_refused(d, CCZI_REFUSED_REQUESTS);
        return ccz_fail(err, CCZ_E_LIMIT, "door:requests", d->limits.requests,
                        "too many requests wait for their answers");
    }
    if (d->cfg.sealed && rated)
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "kms:sealed", 0,
                        "this KMS waits for shares of its master key");
    rc = cczi_door_identify(r, j->route->flags, err);
    if (rc != CCZ_OK)
        cczi_door_refused(d, CCZI_REFUSED_TOKEN);
    else if ((rc = check_site(r, err)) != CCZ_OK)
        cczi_door_refused(d, CCZI_REFUSED_REQUEST);
    return rc == CCZ_OK && rated ? check_principal(r, now_ms, err) : rc;
}

static void on_known(struct cczi_door_req *r, void *arg, struct ccz_span response,
                     const struct ccz_err *err)
{
    const struct cczi_door_route *route = arg;
    (void)response;
    if (!err) {
        cczi_door_conn_known(r);
        route->fn(r, route->arg);
        return;
    }
    cczi_door_refused(r->door, CCZI_REFUSED_UNKNOWN);
    cczi_door_reply_err(r, err);
}

static void enter(struct cczi_door_job *j)
{
    struct cczi_door_req *r = &j->req;
    struct ccz_err err = {0};
    if (!(j->route->flags & CCZI_DOOR_KNOWN)) {
        j->route->fn(r, j->route->arg);
    } else if (r->auth.kind == CCZI_DOOR_NOBODY) {
        ccz_fail(&err, CCZ_E_DENIED, "door:auth-required", 0,
                 "neither a client certificate nor a token was shown");
        (void)ccz_hint(&err, err.rc,
                       "a certificate around an administrator's key is enough: curl --cert, --key");
        cczi_door_refused(r->door, CCZI_REFUSED_UNKNOWN);
        cczi_door_reply_err(r, &err);
    } else {
        cczi_door_probe(r, r->auth.id, on_known, (void *)(uintptr_t)j->route);
    }
}

static void on_admin(struct cczi_door_req *r, void *arg, struct ccz_span response,
                     const struct ccz_err *err)
{
    struct cczi_door_job *j = arg;
    (void)response;
    if (!err) {
        cczi_door_conn_known(r);
        j->admin(r, j->admin_arg);
        return;
    }
    cczi_door_refused(r->door, CCZI_REFUSED_UNKNOWN);
    cczi_door_reply_err(r, err);
}

void cczi_door_admin(struct cczi_door_req *r, cczi_door_fn fn, void *arg)
{
    struct cczi_door_job *j = (struct cczi_door_job *)r;
    struct ccz_err err = {0};
    ccz_rc rc = cczi_door_identify(r, 0, &err);
    enum cczi_door_refusal why = CCZI_REFUSED_TOKEN;
    if (rc == CCZ_OK && r->auth.kind == CCZI_DOOR_NOBODY) {
        rc = ccz_fail(&err, CCZ_E_DENIED, "door:auth-required", 0,
                      "neither a client certificate nor a token was shown");
        why = CCZI_REFUSED_UNKNOWN;
    }
    if (rc != CCZ_OK)
        cczi_door_refused(r->door, why);
    else
        rc = check_principal(r, ccz_mono_ms(), &err);
    if (rc != CCZ_OK) {
        cczi_door_reply_err(r, &err);
        return;
    }
    j->admin = fn;
    j->admin_arg = arg;
    cczi_door_probe(r, r->auth.id, on_admin, j);
}

static void refuse_plainly(struct ccz_http_req *http)
{
    ccz_http_wipe(http);
    ccz_http_reply(http, &(struct ccz_http_answer){.status = 503, .close = true});
}

void cczi_door_on_request(void *door, struct ccz_http_req *http)
{
    struct ccz_kms_door *d = door;
    struct cczi_door_job *j = calloc(1, sizeof(*j));
    if (!j) {
        refuse_plainly(http);
        return;
    }
    j->req = (struct cczi_door_req){.http = http,
                                    .door = d,
                                    .path = ccz_http_path(http),
                                    .rest = "",
                                    .address = ccz_http_peer(http)};
    j->from_us = ccz_mono_ns() / 1000;
    ccz_buf_init(&j->response, CCZ_KMS_MESSAGE_SIZE_MAX);
    j->response.wipe = true;
    d->requests++;
    atomic_store(&d->requests_now, d->requests);
    cczi_door_conn_busy(&j->req, true);
    struct ccz_err err = {0};
    if (admit(j, &err) != CCZ_OK)
        cczi_door_reply_err(&j->req, &err);
    else
        enter(j);
}
