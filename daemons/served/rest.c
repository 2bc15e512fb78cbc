/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTPS side. The certificate carries the evidence (certificate profile), so that a client that can verify RA-TLS
 * certificates can judge the server here too; curl and browsers see a self-signed certificate.
 */
#include "served.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TIMEOUT_MS = 30000
}; /* of one request, waiting included: the default of TensorFlow Serving */

struct served_rest {
    struct ccz_loop *loop;
    struct ccz_timer *grace;
    int64_t grace_ms;
    struct ccz_http_server *http;
    struct ccz_party *party;
    pthread_mutex_t lock; /* identities */
    /* Every one there was, the newest last: connections of libevent do not say when the last of an old one ended. A
     * renewal is somebody's SIGHUP, and one is some kilobytes. */
    struct ccz_ratls_ctx **identities;
    size_t identities_len;
    struct ccz_infer *infer;
    struct served_pool *pool;
    pthread_t thread;
    bool running;
};

struct rest_job {
    struct served_rest *owner;
    struct ccz_http_req
        *req; /* answered on the loop's thread; what is borrowed from it lives till then */
    const char *method, *path, *json_size;
    struct ccz_span in;
    int64_t deadline_ms;
    struct ccz_buf body; /* the answer */
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

static void answer(void *arg)
{
    struct rest_job *j = arg;
    char size[24];
    (void)snprintf(size, sizeof(size), "%zu", j->answer.json_size);
    const struct ccz_http_field header = {CCZ_INFER_HEADER_JSON_SIZE, size};
    ccz_http_reply(j->req, &(struct ccz_http_answer){.status = j->answer.status,
                                                     .content_type = j->answer.content_type,
                                                     .body = ccz_buf_span(&j->body),
                                                     .headers = &header,
                                                     .headers_len = j->answer.json_size ? 1 : 0});
    ccz_buf_free(&j->body);
    free(j);
}

static void run_job(void *arg)
{
    struct rest_job *j = arg;
    int64_t left_ms = j->deadline_ms - ccz_mono_ms();
    const struct ccz_infer_http call = {.method = j->method,
                                        .path = j->path,
                                        .body = j->in,
                                        .json_size = j->json_size,
                                        .timeout_ms = left_ms > 0 ? (uint32_t)left_ms : 1};
    ccz_infer_rest(&j->body, &j->answer, j->owner->infer, &call);
    if (ccz_loop_post(j->owner->loop, answer, j) != CCZ_OK)
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

static void on_request(void *arg, struct ccz_http_req *req)
{
    struct served_rest *r = arg;
    if (ccz_http_header(req, "Content-Encoding")) {
        refuse(req, 415, "Content-Encoding is not supported, send the body as it is");
        return;
    }
    struct rest_job *j = calloc(1, sizeof(*j));
    if (!j) {
        refuse(req, 503, "out of memory");
        return;
    }
    *j = (struct rest_job){.owner = r,
                           .req = req,
                           .method = ccz_http_method(req),
                           .path = ccz_http_path(req),
                           .json_size = ccz_http_header(req, CCZ_INFER_HEADER_JSON_SIZE),
                           .in = ccz_http_body(req),
                           .deadline_ms = ccz_mono_ms() + TIMEOUT_MS};
    ccz_buf_init(&j->body, CCZ_RPC_MESSAGE_SIZE_MAX);
    if (!served_pool_submit(r->pool, run_job, j, j->in.size)) {
        refuse(req, 503, SERVED_BUSY);
        free(j);
    }
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

ccz_rc served_rest_start(struct served_rest **out, const char *listen, struct ccz_party *party,
                         struct ccz_infer *infer, struct served_pool *pool, struct ccz_err *err)
{
    *out = NULL;
    struct served_rest *r = calloc(1, sizeof(*r));
    if (!r)
        return ccz_fail(err, CCZ_E_NOMEM, "served:rest", 0, "out of memory");
    *r = (struct served_rest){.party = party, .infer = infer, .pool = pool};
    pthread_mutex_init(&r->lock, NULL);
    ccz_rc rc = ccz_loop_new(&r->loop, err);
    if (rc == CCZ_OK && ccz_party_attach(party, on_renewed, r) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_NOMEM, "served:rest", 0, "out of memory");
    if (rc == CCZ_OK && ccz_timer_new(&r->grace, r->loop, stop_loop, r) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_NOMEM, "served:rest", 0, "out of memory");
    const struct ccz_http_server_cfg cfg = {
        .listen = listen, .on_request = on_request, .arg = r, .new_ssl = new_ssl, .ssl_arg = r};
    if (rc == CCZ_OK)
        rc = ccz_http_server_new(&r->http, r->loop, &cfg, err);
    if (rc == CCZ_OK) {
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
