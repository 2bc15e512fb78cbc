/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTPS side. The certificate carries the evidence (certificate profile), so that a client that can verify RA-TLS
 * certificates can judge the server here too; curl and browsers see a self-signed certificate, or one
 * of an authority that they know (--cert-from-kms).
 */
#include "served.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct served_rest {
    struct ccz_loop *loop;
    struct ccz_timer *grace;
    int64_t grace_ms;
    struct ccz_http_server *http;
    struct ccz_party *party;
    pthread_mutex_t lock; /* identities */
    /* Every one there was, the newest last: connections of libevent do not say when the last of an old one ended. A
     * renewal is somebody's SIGHUP, or the end of a certificate of the KMS, and one is some kilobytes. */
    struct ccz_ratls_ctx **identities;
    size_t identities_len;
    struct served_work *work;
    int64_t timeout_ms; /* of one request, waiting included */
    pthread_t thread;
    bool running;
};

/* A request, from when it came until it is answered on the loop's thread. */
struct rest_call {
    struct served_rest *owner;
    struct ccz_http_req *req; /* what is borrowed from it lives till the answer */
    struct ccz_buf plain;     /* its body, if that came compressed */
    struct ccz_buf body;      /* the answer, if another thread made it */
    struct ccz_infer_http_answer answer;
};

static struct ssl_st *new_ssl(void *arg)
{
    struct served_rest *r = arg;
    struct ssl_st *ssl = NULL;
    pthread_mutex_lock(&r->lock);
    if (r->identities_len)
        ssl = ccz_tls_native_new(ccz_ratls_tls_ctx(r->identities[r->identities_len - 1]));
    pthread_mutex_unlock(&r->lock);
    return ssl;
}

static void on_renewed(void *arg, struct ccz_ratls_ctx *ctx)
{
    struct served_rest *r = arg;
    pthread_mutex_lock(&r->lock);
    struct ccz_ratls_ctx **list =
        realloc(r->identities, (r->identities_len + 1) * sizeof(struct ccz_ratls_ctx *));
    if (list) {
        r->identities = list;
        list[r->identities_len++] = ccz_ratls_ctx_ref(ctx);
    }
    pthread_mutex_unlock(&r->lock);
    if (!list)
        ccz_log(CCZ_LOG_ERROR, "served-rest", "identity=kept: out of memory");
}

enum { HEADERS_MAX = 8 };

static void reply(const struct rest_call *c, struct ccz_span body)
{
    const struct ccz_infer_http_answer *a = &c->answer;
    struct ccz_http_field headers[HEADERS_MAX];
    size_t len = 0;
    char size[24];
    (void)snprintf(size, sizeof(size), "%zu", a->json_size);
    if (a->json_size)
        headers[len++] = (struct ccz_http_field){CCZ_INFER_HEADER_JSON_SIZE, size};
    for (size_t i = 0; i < a->headers_len && len < HEADERS_MAX; i++)
        headers[len++] = (struct ccz_http_field){a->headers[i].name, a->headers[i].value};
    ccz_http_reply(c->req, &(struct ccz_http_answer){.status = a->status,
                                                     .content_type = a->content_type,
                                                     .body = body,
                                                     .headers = headers,
                                                     .headers_len = len});
}

static void call_free(struct rest_call *c)
{
    ccz_buf_free(&c->plain);
    ccz_buf_free(&c->body);
    free(c);
}

static void reply_later(void *arg)
{
    struct rest_call *c = arg;
    reply(c, ccz_buf_span(&c->body));
    call_free(c);
}

/* On the loop's thread at once, else by way of it. The request's bytes are needed until then (release() comes first, and does
 * nothing: they go with the reply). */
static void on_answer(void *call, const struct ccz_infer_http_answer *a, struct ccz_span body)
{
    struct rest_call *c = call;
    c->answer = *a;
    ccz_buf_put_span(&c->body, body);
    if (c->body.bad)
        c->answer = (struct ccz_infer_http_answer){.status = 503, .content_type = "text/plain"};
}

static void on_release(void *call)
{
    struct rest_call *c = call;
    if (ccz_loop_post(c->owner->loop, reply_later, c) != CCZ_OK)
        abort(); /* out of memory for one queue entry: the request could never be answered */
}

static void refuse(struct ccz_http_req *req, unsigned status, const char *text)
{
    char body[128];
    (void)snprintf(body, sizeof(body), "{ \"error\": \"%s\" }", text);
    ccz_http_reply(req, &(struct ccz_http_answer){.status = status,
                                                  .content_type = "application/json",
                                                  .body = ccz_span_str(body)});
}

/* On whatever thread the request is decoded. */
static unsigned unpack(void *call, struct ccz_span *body, size_t size_max, const char **why)
{
    struct rest_call *c = call;
    ccz_buf_init(&c->plain, size_max < CCZ_HTTP_BODY_SIZE_MAX ? size_max : CCZ_HTTP_BODY_SIZE_MAX);
    if (!served_gunzip(&c->plain, *body)) {
        *why = "the body cannot be decompressed, or is too large";
        return c->plain.size == c->plain.max_size ? 413 : 400;
    }
    *body = ccz_buf_span(&c->plain);
    return 0;
}

/* @param[out] packed  the body is compressed @return false: refused */
static bool check_coding(bool *packed, const struct rest_call *c)
{
    const char *encoding = ccz_http_header(c->req, "Content-Encoding");
    *packed = encoding != NULL;
    /* who looks at another one of several would see other bytes */
    if (!encoding ||
        (ccz_http_header_count(c->req, "Content-Encoding") == 1 && served_gunzip_knows(encoding)))
        return true;
    refuse(c->req, 415, "Content-Encoding is none of gzip, deflate");
    return false;
}

static void on_request(void *arg, struct ccz_http_req *req)
{
    struct served_rest *r = arg;
    bool packed;
    struct rest_call *c = calloc(1, sizeof(*c));
    if (!c) {
        refuse(req, 503, "out of memory");
        return;
    }
    *c = (struct rest_call){.owner = r, .req = req};
    ccz_buf_init(&c->plain, 0);
    ccz_buf_init(&c->body, CCZ_RPC_MESSAGE_SIZE_MAX);
    if (served_work_metrics(r->work, &c->body, req)) {
        c->answer =
            (struct ccz_infer_http_answer){.status = 200, .content_type = SERVED_METRICS_TYPE};
        reply_later(c);
        return;
    }
    if (!check_coding(&packed, c)) {
        call_free(c);
        return;
    }
    const struct ccz_sched_rest call = {
        .caller = {.call = c,
                   .deadline_ns = ccz_mono_ns() + r->timeout_ms * 1000000,
                   .release = on_release},
        .http = {.method = ccz_http_method(req),
                 .path = ccz_http_path(req),
                 .body = ccz_http_body(req),
                 .json_size = ccz_http_header(req, CCZ_INFER_HEADER_JSON_SIZE),
                 .origin = ccz_http_header(req, "Origin")},
        .unpack = packed ? unpack : NULL,
        .answer = on_answer,
    };
    ccz_sched_infer_rest(r->work->infer, &call);
}

static void *loop_main(void *arg)
{
    struct served_rest *r = arg;
    struct ccz_err err;
    if (ccz_loop_run(r->loop, &err) != CCZ_OK)
        ccz_log_err(CCZ_LOG_ERROR, "served", "rest loop ended", &err);
    return NULL;
}

static void stop_loop(void *arg)
{
    struct served_rest *r = arg;
    ccz_loop_stop(r->loop);
}

static void begin_drain(void *arg)
{
    struct served_rest *r = arg;
    ccz_timer_set(r->grace, r->grace_ms, 0);
    ccz_http_server_drain(r->http, stop_loop, r);
}

static void put_metrics(void *arg, struct ccz_buf *out)
{
    const struct served_rest *r = arg;
    struct ccz_http_server_stats st;
    ccz_http_server_stats(&st, r->http);
    const struct {
        const char *reason;
        uint64_t n;
    } refused[] = {{"connections", st.refused_connections},
                   {"address", st.refused_address},
                   {"size", st.refused_size},
                   {"slow", st.refused_slow}};
    ccz_buf_printf(out,
                   "# TYPE cczoo_served_rest_connections gauge\n"
                   "cczoo_served_rest_connections %zu\n"
                   "# TYPE cczoo_served_rest_request_bytes gauge\n"
                   "cczoo_served_rest_request_bytes %zu\n"
                   "# TYPE cczoo_served_rest_refused_total counter\n",
                   st.connections, st.kept_size);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        ccz_buf_printf(out, "cczoo_served_rest_refused_total{reason=\"%s\"} %llu\n",
                       refused[i].reason, (unsigned long long)refused[i].n);
}

ccz_rc served_rest_start(struct served_rest **out, const struct served_rest_cfg *rest,
                         struct ccz_err *err)
{
    *out = NULL;
    struct served_rest *r = calloc(1, sizeof(*r));
    if (!r)
        return ccz_fail(err, CCZ_E_NOMEM, "served:rest", 0, "out of memory");
    *r = (struct served_rest){
        .party = rest->party, .work = rest->work, .timeout_ms = rest->timeout_ms};
    pthread_mutex_init(&r->lock, NULL);
    ccz_rc rc = ccz_loop_new(&r->loop, err);
    if (rc == CCZ_OK && ccz_party_attach(rest->party, on_renewed, r) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_NOMEM, "served:rest", 0, "out of memory");
    if (rc == CCZ_OK && ccz_timer_new(&r->grace, r->loop, stop_loop, r) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_NOMEM, "served:rest", 0, "out of memory");
    const struct ccz_http_server_cfg cfg = {.listen = rest->listen,
                                            .on_request = on_request,
                                            .arg = r,
                                            .new_ssl = new_ssl,
                                            .ssl_arg = r};
    if (rc == CCZ_OK)
        rc = ccz_http_server_new(&r->http, r->loop, &cfg, err);
    if (rc == CCZ_OK) {
        r->work->put_more = put_metrics; /* before any thread asks */
        r->work->more_arg = r;
        int e = pthread_create(&r->thread, NULL, loop_main, r);
        r->running = e == 0;
        if (e != 0)
            rc =
                ccz_fail(err, CCZ_E_UNAVAILABLE, "served:rest", e, "cannot start the HTTPS thread");
    }
    if (rc != CCZ_OK) {
        served_rest_free(r);
        return rc;
    }
    *out = r;
    return CCZ_OK;
}

uint16_t served_rest_port(const struct served_rest *r)
{
    return ccz_http_server_port(r->http);
}

void served_rest_drain(struct served_rest *r, int64_t grace_ms)
{
    if (!r || !r->running)
        return;
    r->grace_ms = grace_ms;
    if (ccz_loop_post(r->loop, begin_drain, r) != CCZ_OK)
        ccz_loop_stop(r->loop); /* without memory to tell it, the loop is stopped as it is */
}

void served_rest_join(struct served_rest *r)
{
    if (!r || !r->running)
        return;
    pthread_join(r->thread, NULL);
    r->running = false;
}

void served_rest_free(struct served_rest *r)
{
    if (!r)
        return;
    r->work->put_more = NULL;
    ccz_http_server_free(r->http);
    ccz_timer_free(r->grace);
    ccz_loop_free(r->loop); /* runs the answers that workers posted meanwhile */
    ccz_party_detach(r->party, on_renewed, r);
    for (size_t i = 0; i < r->identities_len; i++)
        ccz_ratls_ctx_free(r->identities[i]);
    free(r->identities);
    pthread_mutex_destroy(&r->lock);
    free(r);
}
