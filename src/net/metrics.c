/* SPDX-License-Identifier: Apache-2.0 */
/* What a program tells Prometheus: one page over HTTP, on a thread of its own. */
#define _DEFAULT_SOURCE
#include <cczoo/net.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_SIZE_MAX = 4 << 20,
    BODY_SIZE_MAX = 1024,
    CONNECTIONS_MAX = 64,
    KEPT_SIZE_MAX = 4 << 20,
    REQUEST_MS = 10000
};

struct ccz_metrics {
    struct ccz_loop *loop;
    struct ccz_http_server *http;
    void (*put)(void *arg, struct ccz_buf *out);
    void *arg;
    pthread_t thread;
    bool running;
};

static void answer(struct ccz_http_req *req, unsigned status, const char *type,
                   struct ccz_span body)
{
    static const struct ccz_http_field allow = {"Allow", "GET, HEAD"};
    ccz_http_reply(req, &(struct ccz_http_answer){.status = status,
                                                  .content_type = type,
                                                  .body = body,
                                                  .headers = &allow,
                                                  .headers_len = status == 405});
}

static void refuse(struct ccz_http_req *req, unsigned status, const char *text)
{
    answer(req, status, "text/plain; charset=utf-8", ccz_span_str(text));
}

static void on_request(void *arg, struct ccz_http_req *req)
{
    struct ccz_metrics *m = arg;
    const char *method = ccz_http_method(req);
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, TEXT_SIZE_MAX);
    if (strcmp(ccz_http_path(req), "/metrics") != 0) {
        refuse(req, 404, "metrics are at /metrics\n");
    } else if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        refuse(req, 405, "metrics are read, by GET\n");
    } else {
        m->put(m->arg, &text);
        if (text.bad) /* half of them would look like zeros */
            refuse(req, 500, "the metrics do not fit\n");
        else
            answer(req, 200, "text/plain; version=0.0.4; charset=utf-8", ccz_buf_span(&text));
    }
}

static void *loop_main(void *arg)
{
    struct ccz_metrics *m = arg;
    struct ccz_err err = {0};
    if (ccz_loop_run(m->loop, &err) != CCZ_OK)
        ccz_log_err(CCZ_LOG_ERROR, "net", "metrics are served no longer", &err);
    return NULL;
}

ccz_rc ccz_metrics_start(struct ccz_metrics **out, const struct ccz_metrics_cfg *cfg,
                         struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_metrics) m = calloc(1, sizeof(*m));
    if (!m)
        return ccz_fail(err, CCZ_E_NOMEM, "net:metrics", 0, "out of memory");
    m->put = cfg->put;
    m->arg = cfg->arg;
    const struct ccz_http_server_cfg http = {
        .listen = cfg->listen,
        .on_request = on_request,
        .arg = m,
        .body_size_max = BODY_SIZE_MAX,
        .connections_max = CONNECTIONS_MAX,
        .address_connections_max = CONNECTIONS_MAX, /* a proxy before it is one address */
        .kept_size_max = KEPT_SIZE_MAX,
        .request_timeout_ms = REQUEST_MS};
    ccz_rc rc = ccz_loop_new(&m->loop, err);
    if (rc == CCZ_OK)
        rc = ccz_http_server_new(&m->http, m->loop, &http, err);
    if (rc != CCZ_OK)
        return rc;
    int e = pthread_create(&m->thread, NULL, loop_main, m);
    m->running = e == 0;
    if (e != 0)
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "net:metrics", e, "no thread could be started");
    *out = ccz_metrics_take(&m);
    return CCZ_OK;
}

uint16_t ccz_metrics_port(const struct ccz_metrics *m)
{
    return ccz_http_server_port(m->http);
}

void ccz_metrics_free(struct ccz_metrics *m)
{
    if (!m)
        return;
    if (m->running) {
        ccz_loop_stop(m->loop);
        (void)pthread_join(m->thread, NULL);
    }
    ccz_http_server_free(m->http);
    ccz_loop_free(m->loop);
    free(m);
}
