/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 server on libevent's evhttp. evhttp takes apart what RFC 9112 forbids without complaint
 * where two readers of the same bytes could disagree about where a request ends; is_sound() refuses
 * that. */
#define _GNU_SOURCE
#include "net/http_bound.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
    HTTP_IDLE_MS = 30000,
    HTTP_REST_MS = 100, /* without file descriptors, as in listen.c */
};

struct ccz_http_server {
    struct ccz_http_server_cfg cfg;
    struct event_base *base;
    struct evhttp *http;
    struct evhttp_bound_socket *bound;
    struct cczi_http_bound *counted;
    struct event *rest_ev;
    struct cczi_addr addr;
    uint16_t port;
    size_t active; /* requests that wait for their answer, and answers on their way */
    bool draining;
    void (*on_idle)(void *arg);
    void *idle_arg;
};

struct ccz_http_req {
    struct ccz_http_server *server; /* not used once `gone` is set: the server may go first */
    struct evhttp_request *ev;      /* ours (evhttp_request_own()) until the answer is under way */
    bool gone;                      /* the connection was closed before the answer */
    char peer[CCZ_ADDR_TEXT_SIZE];
};

/* ------------------------------------------------------------------------------------ request */

static const struct method {
    enum evhttp_cmd_type type;
    const char *name;
} methods[] = {
    {EVHTTP_REQ_GET, "GET"}, {EVHTTP_REQ_HEAD, "HEAD"},     {EVHTTP_REQ_POST, "POST"},
    {EVHTTP_REQ_PUT, "PUT"}, {EVHTTP_REQ_DELETE, "DELETE"}, {EVHTTP_REQ_OPTIONS, "OPTIONS"},
};

const char *ccz_http_method(const struct ccz_http_req *req)
{
    enum evhttp_cmd_type type = evhttp_request_get_command(req->ev);
    for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
        if (methods[i].type == type)
            return methods[i].name;
    }
    return ""; /* not reached: evhttp answers other methods with 501 */
}

const char *ccz_http_path(const struct ccz_http_req *req)
{
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req->ev));
    return path ? path : "";
}

const char *ccz_http_query(const struct ccz_http_req *req)
{
    const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(req->ev));
    return query ? query : "";
}

const char *ccz_http_header(const struct ccz_http_req *req, const char *name)
{
    return evhttp_find_header(evhttp_request_get_input_headers(req->ev), name);
}

size_t ccz_http_header_count(const struct ccz_http_req *req, const char *name)
{
    const struct evkeyvalq *fields = evhttp_request_get_input_headers(req->ev);
    size_t n = 0;
    for (const struct evkeyval *f = fields->tqh_first; f; f = f->next.tqe_next)
        n += strcasecmp(f->key, name) == 0;
    return n;
}

/* Where it lies, chain by chain: moved together first, it would be in two places. */
static void wipe(struct evbuffer *in)
{
    struct evbuffer_ptr at;
    struct evbuffer_iovec part;
    size_t left = evbuffer_get_length(in), step = 0;
    for (; left; left -= step) {
        if (evbuffer_ptr_set(in, &at, step, step ? EVBUFFER_PTR_ADD : EVBUFFER_PTR_SET) != 0 ||
            evbuffer_peek(in, -1, &at, &part, 1) < 1 || part.iov_len == 0)
            return; /* not reached: there are so many bytes */
        ccz_wipe(part.iov_base, part.iov_len);
        step = part.iov_len;
    }
}

/* Moves the chains together, once, and leaves nothing where they were: evbuffer_pullup() would. */
static bool gather(struct evbuffer *in)
{
    const size_t size = evbuffer_get_length(in);
    struct evbuffer_iovec room;
    if (evbuffer_get_contiguous_space(in) == size)
        return true;
    struct evbuffer *whole = evbuffer_new();
    bool ok = whole && evbuffer_reserve_space(whole, (ev_ssize_t)size, &room, 1) == 1 &&
              evbuffer_copyout(in, room.iov_base, size) == (ev_ssize_t)size;
    if (ok) {
        room.iov_len = size;
        wipe(in);
        ok = evbuffer_commit_space(whole, &room, 1) == 0 && evbuffer_drain(in, size) == 0 &&
             evbuffer_add_buffer(in, whole) == 0;
    }
    if (whole)
        evbuffer_free(whole);
    return ok;
}

struct ccz_span ccz_http_body(const struct ccz_http_req *req)
{
    struct evbuffer *in = evhttp_request_get_input_buffer(req->ev);
    const uint8_t *body = gather(in) ? evbuffer_pullup(in, -1) : NULL;
    return body ? CCZ_SPAN(body, evbuffer_get_length(in)) : (struct ccz_span){0};
}

void ccz_http_wipe(struct ccz_http_req *req)
{
    wipe(evhttp_request_get_input_buffer(req->ev));
}

const char *ccz_http_peer(const struct ccz_http_req *req)
{
    return req->peer;
}

static struct ssl_st *ssl_of(struct evhttp_request *ev)
{
    struct evhttp_connection *con = evhttp_request_get_connection(ev);
    return bufferevent_openssl_get_ssl(evhttp_connection_get_bufferevent(con));
}

struct ssl_st *ccz_http_ssl(const struct ccz_http_req *req)
{
    return req->gone ? NULL : ssl_of(req->ev);
}

/* ------------------------------------------------------------------------------------- answer */

/* RFC 9112, 6.3: these never carry a body, whatever their fields say. */
static bool has_body(const struct evhttp_request *ev, unsigned status)
{
    return evhttp_request_get_command(ev) != EVHTTP_REQ_HEAD && status != 204 && status != 304;
}

static bool put_fields(struct evhttp_request *ev, const struct ccz_http_answer *a, bool close)
{
    struct evkeyvalq *out = evhttp_request_get_output_headers(ev);
    char size[24];
    (void)snprintf(size, sizeof(size), "%zu", a->body.size);
    bool ok = true;
    if (a->status != 204 && a->status != 304)
        ok = evhttp_add_header(out, "Content-Length", size) == 0;
    if (a->content_type)
        ok = ok && evhttp_add_header(out, "Content-Type", a->content_type) == 0;
    if (close)
        ok = ok && evhttp_add_header(out, "Connection", "close") == 0;
    for (size_t i = 0; ok && i < a->headers_len; i++)
        ok = evhttp_add_header(out, a->headers[i].name, a->headers[i].value) == 0;
    return ok;
}

static void send_answer(struct evhttp_request *ev, const struct ccz_http_answer *a, bool close)
{
    struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(ev));
    struct evbuffer *out = evhttp_request_get_output_buffer(ev);
    bool ok = put_fields(ev, a, close);
    if (ok && has_body(ev, a->status))
        ok = evbuffer_add(out, a->body.ptr, a->body.size) == 0;
    if (!ok) { /* no memory, or a field that would break the frame of the answer */
        evbuffer_drain(out, evbuffer_get_length(out));
        evhttp_send_error(ev, HTTP_INTERNAL, NULL);
        return;
    }
    evhttp_send_reply(ev, (int)a->status, NULL, NULL);
    /* evhttp goes on reading while it writes, without bound; the next request can wait. */
    bufferevent_disable(bev, EV_READ);
}

/* One request less to wait for. */
static void end_active(struct ccz_http_server *s)
{
    s->active--;
    if (s->active == 0 && s->on_idle)
        s->on_idle(s->idle_arg);
}

static struct cczi_http_conn *counted(struct ccz_http_server *s, struct evhttp_connection *con)
{
    return cczi_http_bound_find(s->counted, evhttp_connection_get_bufferevent(con));
}

/* An answer ends in one of two ways: the socket took it all, or its connection broke. */
static void on_sent(struct evhttp_request *ev, void *arg)
{
    struct evhttp_connection *con = evhttp_request_get_connection(ev);
    evhttp_connection_set_closecb(con, NULL, NULL);
    cczi_http_conn_idle(counted(arg, con));
    end_active(arg);
}

static void on_cut(struct evhttp_connection *con, void *arg)
{
    evhttp_connection_set_closecb(con, NULL, NULL);
    end_active(arg);
}

void ccz_http_reply(struct ccz_http_req *req, const struct ccz_http_answer *answer)
{
    if (req->gone) {
        evhttp_request_free(req->ev);
    } else {
        evhttp_connection_set_closecb(evhttp_request_get_connection(req->ev), on_cut, req->server);
        evhttp_request_set_on_complete_cb(req->ev, on_sent, req->server);
        req->ev->flags &= ~EVHTTP_USER_OWNED; /* from here on it goes with its connection */
        cczi_http_conn_answers(counted(req->server, evhttp_request_get_connection(req->ev)),
                               answer->body.size);
        send_answer(req->ev, answer, answer->close || req->server->draining);
    }
    free(req);
}

/* Refuses and closes: what follows on the connection cannot be trusted to be a request. */
static void refuse(struct evhttp_request *ev, int status)
{
    wipe(evhttp_request_get_input_buffer(ev)); /* nobody is asked whether it was a secret */
    evhttp_send_error(ev, status, NULL);       /* adds "Connection: close" */
}

/* ----------------------------------------------------------------------------------- dispatch */

/* RFC 9110, 5.6.2 */
static bool is_token(const char *s)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    if (*s == 0)
        return false;
    for (; *s; s++) {
        bool alnum =
            (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9');
        if (!alnum && !strchr(others, *s))
            return false;
    }
    return true;
}

static bool is_digits(const char *s)
{
    return *s != 0 && strspn(s, "0123456789") == strlen(s);
}

/* True if every reader of RFC 9112 agrees about where this request ends and whom it is for. */
static bool is_sound(struct evhttp_request *ev)
{
    size_t hosts = 0, lengths = 0, codings = 0;
    if (strncmp(evhttp_request_get_uri(ev), "//", 2) ==
        0) /* 3.2.1: a path, or a host and a path? */
        return false;
    struct evkeyvalq *fields = evhttp_request_get_input_headers(ev);
    for (struct evkeyval *f = fields->tqh_first; f; f = f->next.tqe_next) {
        if (!is_token(f->key)) /* 5.1: also a space before the colon */
            return false;
        if (strcasecmp(f->key, "Host") == 0) {
            hosts++;
        } else if (strcasecmp(f->key, "Content-Length") == 0) {
            lengths++;
            if (!is_digits(f->value)) /* 6.3: no sign, no list */
                return false;
        } else if (strcasecmp(f->key, "Transfer-Encoding") == 0) {
            codings++;
            if (strcasecmp(f->value, "chunked") != 0) /* 6.1: evhttp undoes no other coding */
                return false;
        }
    }
    bool http11 = ev->major == 1 && ev->minor >= 1;
    if (http11 ? hosts != 1 : (ev->major != 1 || hosts > 1 || codings > 0)) /* 3.2, 6.1 */
        return false;
    if (lengths + codings > 1) /* 6.3: two answers to the same question */
        return false;
    /* evhttp reads no body for HEAD and would take its bytes for the next request. */
    return evhttp_request_get_command(ev) != EVHTTP_REQ_HEAD || lengths + codings == 0;
}

static void on_gone(struct evhttp_connection *con, void *arg)
{
    struct ccz_http_req *req = arg;
    evhttp_connection_set_closecb(con, NULL, NULL);
    req->gone = true;
    end_active(req->server);
}

static void on_http(struct evhttp_request *ev, void *arg)
{
    struct ccz_http_server *s = arg;
    struct evhttp_connection *con = evhttp_request_get_connection(ev);
    /* Without memory for a connection evhttp makes one on its own: in plain text, and not counted. */
    if (s->cfg.new_ssl && !ssl_of(ev)) {
        refuse(ev, HTTP_BADREQUEST);
        return;
    }
    if (!is_sound(ev)) {
        refuse(ev, HTTP_BADREQUEST);
        return;
    }
    struct ccz_http_req *req = s->draining ? NULL : calloc(1, sizeof(*req));
    if (!req) {
        refuse(ev, HTTP_SERVUNAVAIL);
        return;
    }
    char *ip = NULL;
    uint16_t port = 0;
    evhttp_connection_get_peer(con, &ip, &port);
    (void)snprintf(req->peer, sizeof(req->peer), strchr(ip ? ip : "", ':') ? "[%s]:%u" : "%s:%u",
                   ip ? ip : "", port);
    req->server = s;
    req->ev = ev;
    cczi_http_conn_busy(counted(s, con));
    s->active++;
    evhttp_request_own(ev);
    evhttp_connection_set_closecb(con, on_gone, req);
    s->cfg.on_request(s->cfg.arg, req);
}

/* ----------------------------------------------------------------------------------- listening */

static struct bufferevent *new_tls(struct ccz_http_server *s, bool *refused)
{
    struct ssl_st *ssl = s->cfg.new_ssl(s->cfg.ssl_arg);
    *refused = !ssl;
    if (!ssl)
        return bufferevent_socket_new(s->base, -1, BEV_OPT_CLOSE_ON_FREE);
    struct bufferevent *bev = bufferevent_openssl_socket_new(
        s->base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    if (bev) /* many clients leave without close_notify; HTTP's own framing shows truncation */
        bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    return bev;
}

static void on_input(struct evbuffer *in, const struct evbuffer_cb_info *info, void *arg)
{
    struct ccz_http_counter *c = arg;
    c->input(c, info->orig_size, evbuffer_get_length(in));
}

static void on_output(struct evbuffer *out, const struct evbuffer_cb_info *info, void *arg)
{
    struct ccz_http_counter *c = arg;
    (void)info;
    c->output(c, evbuffer_get_length(out));
}

/* The callbacks go with the buffers, which are freed together with the TLS object. */
static bool tell(const struct ccz_http_server *s, struct bufferevent *bev)
{
    struct ccz_http_counter *c = s->cfg.counter_of(bufferevent_openssl_get_ssl(bev));
    return c && evbuffer_add_cb(bufferevent_get_input(bev), on_input, c) &&
           evbuffer_add_cb(bufferevent_get_output(bev), on_output, c);
}

static struct bufferevent *new_connection(struct event_base *base, void *arg)
{
    struct ccz_http_server *s = arg;
    bool refused = false;
    struct bufferevent *bev = s->cfg.new_ssl
                                  ? new_tls(s, &refused)
                                  : bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    const bool own = s->cfg.new_ssl && s->cfg.counter_of && !refused;
    if (bev && !(own ? tell(s, bev) : cczi_http_bound_add(s->counted, bev, refused))) {
        bufferevent_free(bev);
        bev = NULL; /* on_http() refuses what comes of it */
    }
    return bev;
}

static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    struct ccz_http_server *s = arg;
    struct timeval rest = cczi_timeval(HTTP_REST_MS);
    ccz_log(CCZ_LOG_WARN, "net", "http port=%u resting: cannot accept", s->port);
    if (event_add(s->rest_ev, &rest) == 0) /* else it spins: better than to be deaf */
        evconnlistener_disable(listener);
}

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
    struct ccz_http_server *s = arg;
    (void)fd;
    (void)what;
    evconnlistener_enable(evhttp_bound_socket_get_listener(s->bound));
}

static bool server_init(struct ccz_http_server *s)
{
    const struct ccz_http_server_cfg *cfg = &s->cfg;
    ev_uint16_t allowed = 0;
    for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
        allowed = (ev_uint16_t)(allowed | methods[i].type);
    s->http = evhttp_new(s->base);
    s->rest_ev = evtimer_new(s->base, on_rested, s);
    s->counted = cczi_http_bound_new(s->base, cfg);
    if (!s->http || !s->rest_ev || !s->counted)
        return false;
    struct timeval idle =
        cczi_timeval(cfg->idle_timeout_ms > 0 ? cfg->idle_timeout_ms : HTTP_IDLE_MS);
    evhttp_set_timeout_tv(s->http, &idle);
    evhttp_set_max_headers_size(
        s->http,
        (ev_ssize_t)(cfg->header_size_max ? cfg->header_size_max : CCZ_HTTP_HEADER_SIZE_MAX));
    evhttp_set_max_body_size(
        s->http, (ev_ssize_t)(cfg->body_size_max ? cfg->body_size_max : CCZ_HTTP_BODY_SIZE_MAX));
    evhttp_set_allowed_methods(s->http, allowed);
    evhttp_set_default_content_type(s->http, NULL);
    evhttp_set_gencb(s->http, on_http, s);
    evhttp_set_bevcb(s->http, new_connection, s);
    return true;
}

ccz_rc ccz_http_server_new(struct ccz_http_server **out, struct ccz_loop *loop,
                           const struct ccz_http_server_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_http_server) s = calloc(1, sizeof(*s));
    if (!s)
        return ccz_fail(err, CCZ_E_NOMEM, "net:listen", 0, "out of memory");
    s->cfg = *cfg;
    s->base = loop->base;
    if (!server_init(s))
        return ccz_fail(err, CCZ_E_NOMEM, "net:listen", 0, "out of memory");
    const struct ccz_listen_cfg listen = {.address = cfg->listen, .reuse_port = cfg->reuse_port};
    int fd;
    ccz_rc rc = cczi_listen_socket(&fd, &s->port, &listen, &s->addr, err);
    if (rc != CCZ_OK)
        return rc;
    s->cfg.listen = NULL; /* the caller's text need not live on */
    /* Linux hands it on to what is accepted, whose descriptor evhttp keeps to itself. An answer leaves in several writes:
     * without this the last of them waits for a delayed acknowledgement of the first, some 40 ms. */
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    s->bound = evhttp_accept_socket_with_handle(s->http, fd);
    if (!s->bound) {
        close(fd);
        cczi_unlink_addr(&s->addr);
        return ccz_fail(err, CCZ_E_NOMEM, "net:listen", 0, "out of memory");
    }
    evconnlistener_set_error_cb(evhttp_bound_socket_get_listener(s->bound), on_accept_error);
    *out = ccz_http_server_take(&s);
    return CCZ_OK;
}

/* The port is free again, and nothing wakes up the listener that was. */
static void close_listener(struct ccz_http_server *s)
{
    if (!s->bound)
        return;
    event_del(s->rest_ev);
    evhttp_del_accept_socket(s->http, s->bound);
    cczi_unlink_addr(&s->addr);
    s->bound = NULL;
}

void ccz_http_server_drain(struct ccz_http_server *s, void (*on_idle)(void *arg), void *arg)
{
    close_listener(s);
    s->draining = true;
    s->on_idle = on_idle;
    s->idle_arg = arg;
    if (s->active == 0)
        on_idle(arg);
}

void ccz_http_server_free(struct ccz_http_server *s)
{
    if (!s)
        return;
    struct cczi_sigpipe sigpipe; /* TLS connections say good-bye */
    cczi_sigpipe_block(&sigpipe);
    s->on_idle = NULL;
    if (s->http) {
        close_listener(s);
        evhttp_free(s->http);
    }
    cczi_http_bound_free(s->counted);
    cczi_sigpipe_restore(&sigpipe);
    if (s->rest_ev)
        event_free(s->rest_ev);
    free(s);
}

uint16_t ccz_http_server_port(const struct ccz_http_server *s)
{
    return s->port;
}

void ccz_http_server_stats(struct ccz_http_server_stats *out, const struct ccz_http_server *s)
{
    cczi_http_bound_stats(out, s->counted);
}

/* --------------------------------------------------------------------------- paths and queries */

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

ccz_rc ccz_http_decode(struct ccz_buf *out, struct ccz_span text, struct ccz_err *err)
{
    size_t old = out->size;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.ptr[i];
        if (c == '%') {
            int hi = text.size - i > 2 ? hex_digit(text.ptr[i + 1]) : -1;
            int lo = text.size - i > 2 ? hex_digit(text.ptr[i + 2]) : -1;
            if (hi < 0 || lo < 0 || (hi == 0 && lo == 0)) { /* NUL would end names early */
                out->size = old;
                return ccz_fail(err, CCZ_E_FORMAT, "http:percent", (int64_t)i,
                                "malformed escape at byte %zu", i);
            }
            c = (uint8_t)(hi << 4 | lo);
            i += 2;
        }
        ccz_buf_u8(out, c);
    }
    if (out->bad) {
        out->size = old;
        return ccz_fail(err, CCZ_E_LIMIT, "http:percent", (int64_t)text.size,
                        "the decoded text does not fit in %zu bytes", out->max_size);
    }
    return CCZ_OK;
}

bool ccz_http_query_get(struct ccz_span *value, const char *query, const char *key)
{
    size_t key_size = strlen(key);
    *value = (struct ccz_span){0};
    for (const char *p = query; *p;) {
        size_t size = strcspn(p, "&");
        if (size > key_size && p[key_size] == '=' && memcmp(p, key, key_size) == 0) {
            *value = CCZ_SPAN(p + key_size + 1, size - key_size - 1);
            return true;
        }
        p += size;
        p += *p == '&';
    }
    return false;
}
