/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTPS side. The certificate carries the evidence (certificate profile), so that a client that can verify RA-TLS
 * certificates can judge the server here too; curl and browsers see a self-signed certificate.
 */
#include "served.h"

#include <pthread.h>
#include <stdlib.h>

enum { REST_TIMEOUT_MS = 30000 }; /* TensorFlow Serving's default */

struct served_rest {
    struct ccz_loop *loop;
    struct ccz_http_server *http;
    struct ccz_ratls_ctx *ratls;
    struct ccz_infer *infer;
    struct served_pool *pool;
    pthread_t thread;
    bool running;
};

struct rest_job {
    struct served_rest *owner;
    struct ccz_http_req *req;        /* belongs to the loop's thread */
    struct ccz_buf method, path, in; /* copies for the worker */
    struct ccz_buf body;             /* the answer */
    unsigned status;
    const char *content_type;
};

static struct ssl_st *new_ssl(void *arg)
{
    struct served_rest *r = arg;
    return ccz_tls_native_new(ccz_ratls_tls_ctx(r->ratls));
}

static void job_free(struct rest_job *j)
{
    ccz_buf_free(&j->method);
    ccz_buf_free(&j->path);
    ccz_buf_free(&j->in);
    ccz_buf_free(&j->body);
    free(j);
}

static void answer(void *arg)
{
    struct rest_job *j = arg;
    ccz_http_reply(j->req, &(struct ccz_http_answer){.status = j->status,
                                                     .content_type = j->content_type,
                                                     .body = ccz_buf_span(&j->body)});
    job_free(j);
}

static void run_job(void *arg)
{
    struct rest_job *j = arg;
    const struct ccz_infer_http call = {.method = ccz_buf_str(&j->method),
                                        .path = ccz_buf_str(&j->path),
                                        .body = ccz_buf_span(&j->in),
                                        .timeout_ms = REST_TIMEOUT_MS};
    ccz_infer_rest(&j->body, &j->status, &j->content_type, j->owner->infer, &call);
    if (ccz_loop_post(j->owner->loop, answer, j) != CCZ_OK)
        abort(); /* out of memory for one queue entry: the request could never be answered */
}

static void on_request(void *arg, struct ccz_http_req *req)
{
    struct served_rest *r = arg;
    struct rest_job *j = calloc(1, sizeof(*j));
    if (j) {
        *j = (struct rest_job){.owner = r, .req = req};
        ccz_buf_init(&j->method, CCZ_HTTP_HEADER_SIZE_MAX);
        ccz_buf_init(&j->path, CCZ_HTTP_HEADER_SIZE_MAX);
        ccz_buf_init(&j->in, CCZ_HTTP_BODY_SIZE_MAX);
        ccz_buf_init(&j->body, CCZ_RPC_MESSAGE_SIZE_MAX);
        ccz_buf_put_str(&j->method, ccz_http_method(req));
        ccz_buf_put_str(&j->path, ccz_http_path(req));
        ccz_buf_put_span(&j->in, ccz_http_body(req));
        if (!j->method.bad && !j->path.bad && !j->in.bad && served_pool_submit(r->pool, run_job, j))
            return;
        job_free(j);
    }
    static const char busy[] = "{ \"error\": \"the queue of the model is full\" }";
    ccz_http_reply(req, &(struct ccz_http_answer){.status = 503,
                                                  .content_type = "application/json",
                                                  .body = CCZ_SPAN(busy, sizeof(busy) - 1)});
}

static void *loop_main(void *arg)
{
    struct served_rest *r = arg;
    struct ccz_err err;
    if (ccz_loop_run(r->loop, &err) != CCZ_OK)
        ccz_log(CCZ_LOG_ERROR, "served", "rest loop ended where=%s msg=\"%s\"", err.where, err.msg);
    return NULL;
}

ccz_rc served_rest_start(struct served_rest **out, const char *listen, struct ccz_ratls_ctx *ratls,
                         struct ccz_infer *infer, struct served_pool *pool, struct ccz_err *err)
{
    *out = NULL;
    struct served_rest *r = calloc(1, sizeof(*r));
    if (!r)
        return ccz_fail(err, CCZ_E_NOMEM, "served:rest", 0, "out of memory");
    *r = (struct served_rest){.ratls = ratls, .infer = infer, .pool = pool};
    ccz_rc rc = ccz_loop_new(&r->loop, err);
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

void served_rest_stop(struct served_rest *r)
{
    if (!r || !r->running)
        return;
    ccz_loop_stop(r->loop);
    pthread_join(r->thread, NULL);
    r->running = false;
}

void served_rest_free(struct served_rest *r)
{
    if (!r)
        return;
    served_rest_stop(r);
    ccz_http_server_free(r->http);
    ccz_loop_free(r->loop); /* runs the answers that workers posted meanwhile */
    free(r);
}
