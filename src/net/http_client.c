/* SPDX-License-Identifier: Apache-2.0 */
/* The blocking client. libcurl is used only here. */
#define _DEFAULT_SOURCE
#include "net/net_priv.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TIMEOUT_MS = 30000, CONNECT_TIMEOUT_MS = 10000, VALUE_SIZE_MAX = 4096 };

struct ccz_http_client {
    CURL *curl;
    pthread_mutex_t lock; /* one transfer at a time: a handle is for one thread */
    size_t body_size_max;
    bool plain_http_insecure;
    bool (*is_over)(void *arg); /* or NULL */
    void *is_over_arg;
    char *secret_name, *secret_prefix;
    const struct ccz_secret *secret;
    char why[CURL_ERROR_SIZE];
    struct ccz_buf *body, *headers; /* of the transfer in progress */
    size_t body_left;
};

/* ------------------------------------------------------------------------------ life cycle */

static pthread_once_t g_once = PTHREAD_ONCE_INIT;
static bool g_ready; /* written once, before any client exists */

static void global_init(void)
{
    g_ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

static size_t on_body(char *data, size_t one, size_t size, void *arg)
{
    struct ccz_http_client *c = arg;
    (void)one;
    if (size > c->body_left)
        return 0; /* ends the transfer */
    c->body_left -= size;
    ccz_buf_put(c->body, data, size);
    return c->body->bad ? 0 : size;
}

/* Also called for the status line and for the empty line at the end, which have no colon. The fields of an
 * interim answer (or of a proxy) are not those of the answer: each status line starts anew. */
static size_t on_header(char *data, size_t one, size_t size, void *arg)
{
    struct ccz_http_client *c = arg;
    (void)one;
    size_t keep = size;
    while (keep > 0 && (data[keep - 1] == '\n' || data[keep - 1] == '\r'))
        keep--;
    if (keep >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        ccz_buf_clear(c->headers);
        return size;
    }
    if (keep == 0)
        return size;
    if (c->headers->size + keep + 1 > CCZ_HTTP_GET_HEADER_SIZE_MAX) {
        c->headers->bad = true;
        return 0;
    }
    ccz_buf_put(c->headers, data, keep);
    ccz_buf_put_str(c->headers, "\n");
    return c->headers->bad ? 0 : size;
}

/* Nothing but "go on" (0) or "end" (1); how far it is does not matter. */
static int on_progress(void *arg, curl_off_t all, curl_off_t now, curl_off_t up_all,
                       curl_off_t up_now)
{
    const struct ccz_http_client *c = arg;
    (void)all, (void)now, (void)up_all, (void)up_now;
    return c->is_over(c->is_over_arg);
}

static bool set_options(struct ccz_http_client *c, const struct ccz_http_client_cfg *cfg)
{
    CURL *h = c->curl;
    long total = (long)(cfg->timeout_ms ? cfg->timeout_ms : TIMEOUT_MS);
    long connect = (long)(cfg->connect_timeout_ms ? cfg->connect_timeout_ms : CONNECT_TIMEOUT_MS);
    bool ok = curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->why) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_USERAGENT, "cczoo") == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_PROXY, cfg->proxy ? cfg->proxy : "") == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_NOPROXY, "") == CURLE_OK; /* else the environment says */
    ok &= curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, total) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, connect) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_WRITEDATA, c) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK;
    ok &= curl_easy_setopt(h, CURLOPT_HEADERDATA, c) == CURLE_OK;
    if (cfg->ca_file)
        ok &= curl_easy_setopt(h, CURLOPT_CAINFO, cfg->ca_file) == CURLE_OK &&
              curl_easy_setopt(h, CURLOPT_CAPATH, NULL) == CURLE_OK;
    if (cfg->is_over)
        ok &= curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
              curl_easy_setopt(h, CURLOPT_XFERINFODATA, c) == CURLE_OK &&
              curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L) == CURLE_OK;
    if (cfg->any_certificate_insecure)
        ok &= curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 0L) == CURLE_OK &&
              curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 0L) == CURLE_OK;
    return ok;
}

static bool is_token(const char *s)
{
    size_t n =
        strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~");
    return n > 0 && s[n] == 0;
}

/* A header value must not be able to start another header. */
static bool is_value(const struct ccz_secret *s)
{
    const uint8_t *p = ccz_secret_view(s);
    bool ok = ccz_secret_size(s) <= VALUE_SIZE_MAX;
    for (size_t i = 0; i < ccz_secret_size(s); i++)
        ok &= p[i] > 0x20 && p[i] < 0x7f;
    return ok;
}

/* "https://host" would also begin https://host.example. */
static bool has_whole_host(const char *prefix)
{
    const char *host = strstr(prefix, "://");
    return host && strchr(host + 3, '/');
}

static ccz_rc check_cfg(const struct ccz_http_client_cfg *cfg, struct ccz_err *err)
{
    if (cfg->timeout_ms < 0 || cfg->connect_timeout_ms < 0)
        return ccz_fail(err, CCZ_E_ARG, "http:config", 0, "a negative time limit");
    if (!cfg->secret_name)
        return CCZ_OK;
    if (!cfg->secret || !cfg->secret_prefix || !is_token(cfg->secret_name))
        return ccz_fail(err, CCZ_E_ARG, "http:config", 0,
                        "a secret header needs a name, a value and who may see it");
    if (!has_whole_host(cfg->secret_prefix))
        return ccz_fail(err, CCZ_E_ARG, "http:config", 0,
                        "who may see the secret is no URL with a slash behind the host");
    if (!is_value(cfg->secret))
        return ccz_fail(err, CCZ_E_ARG, "http:config", 0,
                        "the value of %s has blanks, line ends or other bytes that no key has",
                        cfg->secret_name);
    return CCZ_OK;
}

ccz_rc ccz_http_client_new(struct ccz_http_client **out, const struct ccz_http_client_cfg *cfg,
                           struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check_cfg(cfg, err);
    if (rc != CCZ_OK)
        return rc;
    (void)pthread_once(&g_once, global_init);
    if (!g_ready)
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "http:library", 0, "libcurl does not start");
    struct ccz_http_client *c = calloc(1, sizeof(*c));
    if (!c || pthread_mutex_init(&c->lock, NULL) != 0) {
        free(c);
        return ccz_fail(err, CCZ_E_NOMEM, "http:memory", 0, "out of memory");
    }
    c->body_size_max = cfg->body_size_max ? cfg->body_size_max : CCZ_HTTP_GET_BODY_SIZE_MAX;
    c->plain_http_insecure = cfg->plain_http_insecure;
    c->is_over = cfg->is_over;
    c->is_over_arg = cfg->is_over_arg;
    c->curl = curl_easy_init();
    bool ok = c->curl && set_options(c, cfg);
    if (ok && cfg->secret_name) {
        c->secret = cfg->secret;
        c->secret_name = strdup(cfg->secret_name);
        c->secret_prefix = strdup(cfg->secret_prefix);
        ok = c->secret_name && c->secret_prefix;
    }
    if (!ok) {
        ccz_http_client_free(c);
        return ccz_fail(err, CCZ_E_NOMEM, "http:memory", 0, "out of memory");
    }
    *out = c;
    return CCZ_OK;
}

void ccz_http_client_free(struct ccz_http_client *c)
{
    if (!c)
        return;
    struct cczi_sigpipe sigpipe;
    cczi_sigpipe_block(&sigpipe); /* kept connections say good-bye */
    if (c->curl)
        curl_easy_cleanup(c->curl);
    cczi_sigpipe_restore(&sigpipe);
    pthread_mutex_destroy(&c->lock);
    free(c->secret_name);
    free(c->secret_prefix);
    free(c);
}

/* ------------------------------------------------------------------------------------ URLs */

static bool is_loopback(const char *host)
{
    unsigned b, c, d;
    int used = 0;
    if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
        return true;
    return sscanf(host, "127.%3u.%3u.%3u%n", &b, &c, &d, &used) == 3 && host[used] == 0 &&
           b < 256 && c < 256 && d < 256;
}

static bool has_part(CURLU *u, CURLUPart part)
{
    char *text = NULL;
    bool there = curl_url_get(u, part, &text, 0) == CURLUE_OK && text;
    curl_free(text);
    return there;
}

static ccz_rc check_url(const struct ccz_http_client *c, const char *url, struct ccz_err *err)
{
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL;
    ccz_rc rc = CCZ_OK;
    bool ok = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
              !has_part(u, CURLUPART_USER) && !has_part(u, CURLUPART_PASSWORD) &&
              (strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0);
    if (!ok) {
        rc = ccz_fail(err, CCZ_E_ARG, "http:url", 0, "no https URL (or one with a user in it)");
        ccz_hint(err, rc, "URLs look like https://host:8081/path");
    } else if (strcmp(scheme, "http") == 0 && !c->plain_http_insecure && !is_loopback(host)) {
        rc = ccz_refuse(err, CCZ_E_DENIED, "http:plain", "http", "https");
        ccz_hint(err, rc, "plain http is for this machine only, unless it is allowed explicitly");
    }
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(u);
    return rc;
}

/* -------------------------------------------------------------------------------- transfer */

static const struct failure {
    CURLcode code;
    ccz_rc rc;
    const char *where, *hint;
} failures[] = {
    {CURLE_URL_MALFORMAT, CCZ_E_ARG, "http:url", NULL},
    {CURLE_COULDNT_RESOLVE_PROXY, CCZ_E_UNAVAILABLE, "http:resolve", "is the proxy's name right?"},
    {CURLE_COULDNT_RESOLVE_HOST, CCZ_E_UNAVAILABLE, "http:resolve",
     "is there a DNS server that knows this name? behind a firewall use a PCCS, a proxy or a "
     "bundle"},
    {CURLE_COULDNT_CONNECT, CCZ_E_UNAVAILABLE, "http:connect",
     "does the firewall allow this host? docs/reference/collateral.md lists what is needed"},
    {CURLE_OPERATION_TIMEDOUT, CCZ_E_TIMEOUT, "http:timeout", NULL},
    {CURLE_PEER_FAILED_VERIFICATION, CCZ_E_UNTRUSTED, "http:certificate",
     "for a self-signed server give its certificate as the authority"},
    {CURLE_SSL_CACERT_BADFILE, CCZ_E_UNTRUSTED, "http:certificate",
     "the file with authorities cannot be read"},
    {CURLE_SSL_CONNECT_ERROR, CCZ_E_PEER, "http:tls", "does the server speak TLS on this port?"},
    {CURLE_ABORTED_BY_CALLBACK, CCZ_E_CLOSED, "http:over", NULL},
    {CURLE_PARTIAL_FILE, CCZ_E_CLOSED, "http:closed", NULL},
    {CURLE_GOT_NOTHING, CCZ_E_CLOSED, "http:closed", NULL},
    {CURLE_RECV_ERROR, CCZ_E_CLOSED, "http:closed", NULL},
    {CURLE_SEND_ERROR, CCZ_E_CLOSED, "http:closed", NULL},
    {CURLE_WEIRD_SERVER_REPLY, CCZ_E_PEER, "http:protocol", NULL},
    {CURLE_OUT_OF_MEMORY, CCZ_E_NOMEM, "http:memory", NULL},
};

static ccz_rc fail_transfer(const struct ccz_http_client *c, CURLcode code, const char *url,
                            struct ccz_err *err)
{
    static const struct failure other = {0, CCZ_E_PEER, "http:protocol", NULL};
    const struct failure *f = &other;
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
        if (failures[i].code == code && f == &other)
            f = &failures[i];
    char why[CCZ_ERR_VALUE_SIZE];
    ccz_escape(why, sizeof(why), ccz_span_str(c->why[0] ? c->why : curl_easy_strerror(code)));
    ccz_rc rc = ccz_fail(err, f->rc, f->where, (int64_t)code, "%.80s: %.100s", url, why);
    return ccz_hint(err, rc, f->hint);
}

/* The list owns a copy of the secret: wiped before it is freed. */
static struct curl_slist *secret_header(const struct ccz_http_client *c)
{
    char line[VALUE_SIZE_MAX + 256];
    int n = snprintf(line, sizeof(line), "%.200s: %.*s", c->secret_name,
                     (int)ccz_secret_size(c->secret), (const char *)ccz_secret_view(c->secret));
    struct curl_slist *list = n > 0 ? curl_slist_append(NULL, line) : NULL;
    ccz_wipe(line, sizeof(line));
    return list;
}

static void free_header(struct curl_slist *list)
{
    if (list)
        ccz_wipe(list->data, strlen(list->data));
    curl_slist_free_all(list);
}

/* What the client is to send; cleared again by clear_request(). */
static bool set_request(struct ccz_http_client *c, const char *url,
                        const struct ccz_http_post *post, struct curl_slist **list)
{
    bool ok = curl_easy_setopt(c->curl, CURLOPT_URL, url) == CURLE_OK;
    if (c->secret && strncmp(url, c->secret_prefix, strlen(c->secret_prefix)) == 0) {
        *list = secret_header(c);
        ok &= *list != NULL;
    }
    if (post) {
        char line[VALUE_SIZE_MAX];
        int n = snprintf(line, sizeof(line), "Content-Type: %s", post->content_type);
        const char *const fields[] = {n > 0 && (size_t)n < sizeof(line) ? line : NULL,
                                      "Expect:", post->field ? post->field : "Expect:"};
        for (size_t i = 0; i < 3; i++) {
            struct curl_slist *more = fields[i] ? curl_slist_append(*list, fields[i]) : NULL;
            ok &= more != NULL;
            *list = more ? more : *list;
        }
        ok &= curl_easy_setopt(c->curl, CURLOPT_POST, 1L) == CURLE_OK &&
              curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->body.size) ==
                  CURLE_OK &&
              curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS,
                               post->body.ptr ? (const char *)post->body.ptr : "") == CURLE_OK;
    }
    return ok && curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, *list) == CURLE_OK;
}

static void clear_request(struct ccz_http_client *c, struct curl_slist *list)
{
    (void)curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
    (void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, NULL);
    (void)curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
    free_header(list);
}

static ccz_rc transfer(unsigned *status, struct ccz_http_client *c, const char *url,
                       const struct ccz_http_post *post, struct ccz_err *err)
{
    long code = 0;
    struct curl_slist *list = NULL;
    c->why[0] = 0;
    CURLcode rc =
        set_request(c, url, post, &list) ? curl_easy_perform(c->curl) : CURLE_OUT_OF_MEMORY;
    if (rc == CURLE_OK)
        rc = curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &code);
    clear_request(c, list);
    if (rc == CURLE_WRITE_ERROR && c->headers->bad)
        return ccz_fail(err, CCZ_E_LIMIT, "http:header-size", 0,
                        "the headers of the answer are larger than %zu bytes",
                        CCZ_HTTP_GET_HEADER_SIZE_MAX);
    if (rc == CURLE_WRITE_ERROR)
        return ccz_fail(err, CCZ_E_LIMIT, "http:body-size", 0, "the answer is larger than allowed");
    if (rc != CURLE_OK)
        return fail_transfer(c, rc, url, err);
    if (code >= 300 && code < 400 && code != 304) {
        ccz_rc moved =
            ccz_fail(err, CCZ_E_PEER, "http:redirect", code, "%.120s answers with a redirect", url);
        return ccz_hint(err, moved, "redirects are not followed: give the final URL");
    }
    *status = (unsigned)code;
    return CCZ_OK;
}

static ccz_rc ask(unsigned *status, struct ccz_buf *body, struct ccz_buf *headers,
                  struct ccz_http_client *c, const char *url, const struct ccz_http_post *post,
                  struct ccz_err *err)
{
    *status = 0;
    ccz_buf_clear(body);
    ccz_buf_clear(headers);
    ccz_rc rc = check_url(c, url, err);
    if (rc != CCZ_OK)
        return rc;
    pthread_mutex_lock(&c->lock);
    c->body = body;
    c->headers = headers;
    c->body_left = c->body_size_max < body->max_size ? c->body_size_max : body->max_size;
    struct cczi_sigpipe sigpipe; /* CURLOPT_NOSIGNAL leaves it to us */
    cczi_sigpipe_block(&sigpipe);
    rc = transfer(status, c, url, post, err);
    cczi_sigpipe_restore(&sigpipe);
    c->body = c->headers = NULL;
    pthread_mutex_unlock(&c->lock);
    if (rc != CCZ_OK) {
        ccz_buf_clear(body);
        ccz_buf_clear(headers);
    }
    return rc;
}

ccz_rc ccz_http_get(unsigned *status, struct ccz_buf *body, struct ccz_buf *headers,
                    struct ccz_http_client *c, const char *url, struct ccz_err *err)
{
    return ask(status, body, headers, c, url, NULL, err);
}

ccz_rc ccz_http_send_post(unsigned *status, struct ccz_buf *body, struct ccz_buf *headers,
                          struct ccz_http_client *c, const struct ccz_http_post *post,
                          struct ccz_err *err)
{
    const char *const texts[] = {post->content_type, post->field ? post->field : ""};
    for (size_t i = 0; i < 2; i++)
        if (!texts[i] || strpbrk(texts[i], "\r\n"))
            return ccz_fail(err, CCZ_E_ARG, "http:post", 0,
                            "a POST needs a content type, and no line end in its headers");
    return ask(status, body, headers, c, post->url, post, err);
}

struct ccz_span ccz_http_field_get(struct ccz_span headers, const char *name)
{
    size_t size = strlen(name);
    while (headers.size > 0) {
        const uint8_t *end = memchr(headers.ptr, '\n', headers.size);
        size_t line = end ? (size_t)(end - headers.ptr) : headers.size;
        if (line > size && headers.ptr[size] == ':' &&
            strncasecmp((const char *)headers.ptr, name, size) == 0) {
            const uint8_t *from = headers.ptr + size + 1, *until = headers.ptr + line;
            while (from < until && (*from == ' ' || *from == '\t'))
                from++;
            while (until > from && strchr(" \t\r", until[-1]))
                until--;
            return (struct ccz_span){from, (size_t)(until - from)};
        }
        line += end != NULL;
        headers = (struct ccz_span){headers.ptr + line, headers.size - line};
    }
    return (struct ccz_span){NULL, 0};
}
