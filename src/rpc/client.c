/* SPDX-License-Identifier: Apache-2.0 */
/* The client: life of the channel, unary calls, and what their outcome tells. */
#define _DEFAULT_SOURCE
#include "client.h"

#include "base/condwait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONNECTIONS_MAX = 256,
    CALL_TIMEOUT_MS = 30000,
    CONNECT_TIMEOUT_MS = 10000,
    BACKOFF_MAX_MS = 5000,
    KEEPALIVE_MS = 310000, /* stock servers end connections that PING more often than every 300 s */
    TRIM_MS = 500
};

/* ------------------------------------------------------------------------------------- calls */

static ccz_rc add_metadata(struct cczi_ccall *call, const struct ccz_rpc_call_cfg *cfg,
                           struct ccz_err *err)
{
    for (size_t i = 0; i < cfg->metadata_len; i++) {
        struct ccz_span key = ccz_span_str(cfg->metadata[i].key), value = cfg->metadata[i].value;
        if (!cczi_md_allowed(key, value) || !cczi_md_add(&call->metadata, key, value))
            return ccz_fail(err, CCZ_E_ARG, "rpc:metadata", (int64_t)i,
                            "metadata is reserved, malformed, or too much");
    }
    return CCZ_OK;
}

ccz_rc cczi_ccall_new(struct cczi_ccall **out, struct ccz_rpc_client *c, const char *path,
                      const struct ccz_rpc_call_cfg *cfg, struct ccz_err *err)
{
    static const struct ccz_rpc_call_cfg defaults;
    *out = NULL;
    if (!cfg)
        cfg = &defaults;
    if (path[0] != '/')
        return ccz_fail(err, CCZ_E_ARG, "rpc:path", 0, "a path is /package.Service/Method");
    size_t path_size = strlen(path) + 1;
    struct cczi_ccall *call = calloc(1, sizeof(*call) + path_size);
    if (!call)
        return ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
    memcpy(call->path, path, path_size);
    call->client = c;
    cczi_stream_init(&call->st, c->cfg.message_size_max);
    cczi_framer_set_stock(&call->st.framer, c->stock);
    cczi_md_init(&call->metadata);
    call->deadline_ms = cczi_deadline_ms(cfg->timeout_ms > 0 ? cfg->timeout_ms : CALL_TIMEOUT_MS);
    call->retries_left = cfg->retries;
    call->wait = cfg->wait_for_ready || cfg->retries > 0;
    call->wait_refused = cfg->wait_for_ready;
    call->compression = cfg->compression;
    call->received = cfg->received;
    if (call->received)
        cczi_received_clear(call->received);
    cczi_stream_set_gzip(&call->st, cfg->compression == CCZ_RPC_GZIP);
    ccz_rc rc = add_metadata(call, cfg, err);
    if (rc != CCZ_OK) {
        cczi_ccall_free(call);
        return rc;
    }
    *out = call;
    return CCZ_OK;
}

void cczi_ccall_free(struct cczi_ccall *call)
{
    cczi_stream_deinit(&call->st);
    cczi_md_free(&call->metadata);
    cczi_out_free(call->request);
    free(call);
}

void cczi_client_take_incoming(struct ccz_rpc_client *c)
{
    pthread_mutex_lock(&c->lock);
    struct cczi_ccall *list = c->incoming;
    c->incoming = NULL;
    c->incoming_tail = &c->incoming;
    c->posted = false;
    pthread_mutex_unlock(&c->lock);
    if (!list)
        return;
    cczi_channel_start(c);
    cczi_channel_hold(c); /* calls that come together leave together */
    while (list) {
        struct cczi_ccall *call = list;
        list = call->next;
        call->prev = NULL;
        call->next = c->calls;
        if (c->calls)
            c->calls->prev = call;
        c->calls = call;
        cczi_channel_call(call);
    }
    cczi_channel_release(c);
}

static void on_incoming(void *arg)
{
    cczi_client_take_incoming(arg);
}

bool cczi_client_submit(struct cczi_ccall *call)
{
    struct ccz_rpc_client *c = call->client;
    bool ok = true, here = ccz_loop_is_current(c->loop) && c->feeding;
    pthread_mutex_lock(&c->lock);
    if (!c->posted && !here) /* calls that come together are taken together */
        ok = c->posted = ccz_loop_post(c->loop, on_incoming, c) == CCZ_OK;
    if (ok) {
        call->next = NULL;
        *c->incoming_tail = call;
        c->incoming_tail = &call->next;
    }
    pthread_mutex_unlock(&c->lock);
    return ok;
}

/* ----------------------------------------------------------------------------------- outcome */

static void take_text(char *out, size_t size, const struct cczi_md *md, const char *key)
{
    cczi_percent_get(out, size, cczi_md_get(md, key));
}

/* The server's status as an error; a refusal by ccz_rpc_fail() is rebuilt in full. */
static void describe_status(struct cczi_ccall *call)
{
    const struct cczi_md *md = &call->st.in;
    struct ccz_rpc_result *res = &call->result;
    char where[CCZ_ERR_WHERE_SIZE], rc_text[16];
    take_text(where, sizeof(where), md, "ccz-where");
    take_text(rc_text, sizeof(rc_text), md, "ccz-rc");
    const char *msg = res->message;
    size_t where_size = strlen(where);
    if (where_size && strncmp(msg, where, where_size) == 0 &&
        strncmp(msg + where_size, ": ", 2) == 0)
        msg += where_size + 2;
    (void)ccz_fail(&call->err, ccz_rpc_rc_of(res->code), where_size ? where : "rpc:status",
                   rc_text[0] ? strtol(rc_text, NULL, 10) : (int64_t)res->code, "%s%s%s",
                   where_size ? "" : ccz_rpc_code_name(res->code),
                   where_size || !msg[0] ? "" : ": ", msg);
    take_text(call->err.got, sizeof(call->err.got), md, "ccz-got");
    take_text(call->err.expected, sizeof(call->err.expected), md, "ccz-expected");
    take_text(call->err.hint, sizeof(call->err.hint), md, "ccz-hint");
}

static void trim_later(struct ccz_rpc_client *c)
{
    if (c->trim.pos == 0 && !cczi_deadline_set(&c->deadlines, &c->trim, ccz_mono_ms() + TRIM_MS))
        (void)cczi_stock_trim(c->stock);
}

void cczi_ccall_finish(struct cczi_ccall *call)
{
    struct ccz_rpc_client *c = call->client;
    struct ccz_rpc_result *res = &call->result;
    cczi_deadline_cancel(&c->deadlines, &call->timer);
    cczi_ccall_unpark(call);
    *(call->prev ? &call->prev->next : &c->calls) = call->next;
    if (call->next)
        call->next->prev = call->prev;
    ccz_escape(res->replica, sizeof(res->replica), cczi_md_get(&call->st.in, "ccz-replica"));
    if (res->code != CCZ_RPC_OK && call->err.rc == CCZ_OK)
        describe_status(call);
    if (call->received)
        cczi_received_take(call->received, &call->st);
    const struct ccz_err *err = res->code == CCZ_RPC_OK ? NULL : &call->err;
    if (call->ops)
        call->ops->over(call->user, res, err);
    else
        call->done(call->done_arg, err ? (struct ccz_span){0} : call->response, res, err);
    cczi_ccall_free(call);
    if (!c->calls && !c->stopping)
        trim_later(c);
}

void cczi_ccall_fail(struct cczi_ccall *call, enum ccz_rpc_code code, const struct ccz_err *why)
{
    call->result.code = code;
    (void)snprintf(call->result.message, sizeof(call->result.message), "%s: %s", why->where,
                   why->msg);
    call->err = *why;
    cczi_ccall_finish(call);
}

/* ------------------------------------------------------------------------------------- unary */

ccz_rc ccz_rpc_unary_async(struct ccz_rpc_client *c, const char *path, struct ccz_span request,
                           const struct ccz_rpc_call_cfg *cfg, ccz_rpc_done_fn done, void *arg)
{
    struct cczi_ccall *call;
    ccz_rc rc = cczi_ccall_new(&call, c, path, cfg, NULL);
    if (rc != CCZ_OK)
        return rc;
    call->st.framer.keep = true;
    call->done = done;
    call->done_arg = arg;
    call->request = cczi_stream_out(&call->st, request, cfg && cfg->request_lent);
    if (call->request && cczi_client_submit(call))
        return CCZ_OK;
    cczi_ccall_free(call);
    return CCZ_E_NOMEM;
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool over;
    struct ccz_buf *response;
    struct ccz_rpc_result *result;
    struct ccz_err err;
};

static void on_unary_done(void *arg, struct ccz_span response, const struct ccz_rpc_result *result,
                          const struct ccz_err *err)
{
    struct waiter *w = arg;
    *w->result = *result;
    if (err) {
        w->err = *err;
    } else {
        ccz_buf_put_span(w->response, response);
    }
    pthread_mutex_lock(&w->lock);
    w->over = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

ccz_rc ccz_rpc_unary(struct ccz_buf *response, struct ccz_rpc_result *result,
                     struct ccz_rpc_client *c, const char *path, struct ccz_span request,
                     const struct ccz_rpc_call_cfg *cfg, struct ccz_err *err)
{
    struct ccz_rpc_call_cfg mine = cfg ? *cfg : (struct ccz_rpc_call_cfg){0};
    struct ccz_rpc_result own;
    struct waiter w = {.response = response, .result = result ? result : &own};
    memset(w.result, 0, sizeof(*w.result));
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.cond, NULL);
    mine.request_lent = true; /* whose owner waits here */
    ccz_rc rc = ccz_rpc_unary_async(c, path, request, &mine, on_unary_done, &w);
    if (rc == CCZ_OK) {
        pthread_mutex_lock(&w.lock);
        while (!w.over)
            pthread_cond_wait(&w.cond, &w.lock);
        pthread_mutex_unlock(&w.lock);
        rc = w.err.rc;
        if (rc == CCZ_OK && response->bad)
            rc = ccz_fail(&w.err, CCZ_E_LIMIT, "rpc:response", 0,
                          "the response does not fit the caller's buffer");
    } else {
        w.result->code = rc == CCZ_E_ARG ? CCZ_RPC_INVALID_ARGUMENT : CCZ_RPC_RESOURCE_EXHAUSTED;
        (void)ccz_fail(&w.err, rc, "rpc:call", 0, "%s",
                       rc == CCZ_E_ARG ? "malformed path or metadata" : "out of memory");
    }
    pthread_cond_destroy(&w.cond);
    pthread_mutex_destroy(&w.lock);
    if (rc != CCZ_OK && err)
        *err = w.err;
    return rc;
}

/* ------------------------------------------------------------------------------------ channel */

/* Without calls, memory for their messages is given back step by step. */
static void on_trim(struct cczi_deadline *d)
{
    struct ccz_rpc_client *c =
        (struct ccz_rpc_client *)((char *)d - offsetof(struct ccz_rpc_client, trim));
    if (!cczi_stock_trim(c->stock) && !c->calls)
        trim_later(c);
}

static void *run_client(void *arg)
{
    struct ccz_rpc_client *c = arg;
    struct ccz_err err = {0};
    if (ccz_loop_run(c->loop, &err) != CCZ_OK)
        ccz_log_err(CCZ_LOG_ERROR, "rpc", "loop ended", &err);
    return NULL;
}

static ccz_rc client_init(struct ccz_rpc_client *c, struct ccz_err *err)
{
    ccz_rc rc = ccz_loop_new(&c->loop, err);
    if (rc != CCZ_OK)
        return rc;
    if (!c->stock || cczi_deadlines_init(&c->deadlines, c->loop) != CCZ_OK ||
        cczi_wire_pool_new(&c->pool, 1) != CCZ_OK)
        return ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "no memory or threads");
    c->started = pthread_create(&c->thread, NULL, run_client, c) == 0;
    return c->started
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_UNAVAILABLE, "rpc:thread", 0, "a thread could not be started");
}

ccz_rc ccz_rpc_client_new(struct ccz_rpc_client **out, const struct ccz_rpc_client_cfg *cfg,
                          struct ccz_err *err)
{
    *out = NULL;
    if (!cfg->target || !cfg->ratls || cfg->connections > CONNECTIONS_MAX ||
        cfg->message_size_max > UINT32_MAX || cfg->keepalive_ms < 0)
        return ccz_fail(
            err, CCZ_E_ARG, "rpc:config", 0,
            "needed: a target, an RA-TLS context, at most %d connections, messages below 4 GiB",
            CONNECTIONS_MAX);
    CCZ_AUTO(ccz_rpc_client) c = calloc(1, sizeof(*c));
    if (!c)
        return ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
    c->cfg = *cfg;
    c->cfg.ratls = ccz_ratls_ctx_ref(cfg->ratls);
    c->target = strdup(cfg->target);
    c->cfg.keepalive_ms = cfg->keepalive_ms ? cfg->keepalive_ms : KEEPALIVE_MS;
    c->cfg.connections = cfg->connections ? cfg->connections : 1;
    c->cfg.message_size_max =
        cfg->message_size_max ? cfg->message_size_max : CCZ_RPC_MESSAGE_SIZE_MAX;
    c->cfg.connect_timeout_ms =
        cfg->connect_timeout_ms ? cfg->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    c->cfg.backoff_max_ms = cfg->backoff_max_ms ? cfg->backoff_max_ms : BACKOFF_MAX_MS;
    c->incoming_tail = &c->incoming;
    c->stock = cczi_stock_new();
    c->trim.fn = on_trim;
    ccz_buf_init(&c->scratch, 1 << 18);
    ccz_buf_init(&c->out, CCZ_CONN_OUT_SIZE_MAX);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    ccz_rc rc = c->target ? cczi_target_init(c, err)
                          : ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
    if (rc == CCZ_OK)
        rc = client_init(c, err);
    if (rc == CCZ_OK)
        *out = ccz_rpc_client_take(&c);
    return rc;
}

static void on_stop(void *arg)
{
    struct ccz_rpc_client *c = arg;
    on_incoming(c); /* what was submitted is cancelled too, not forgotten */
    cczi_channel_stop(c);
    ccz_loop_stop(c->loop);
}

void ccz_rpc_client_free(struct ccz_rpc_client *c)
{
    if (!c)
        return;
    if (c->started) {
        if (ccz_loop_post(c->loop, on_stop, c) != CCZ_OK)
            ccz_loop_stop(c->loop);
        pthread_join(c->thread, NULL);
    }
    cczi_wire_pool_free(c->pool);
    cczi_channel_stop(c); /* only if the loop could not be told */
    cczi_deadlines_deinit(&c->deadlines);
    ccz_loop_free(c->loop);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    ccz_buf_free(&c->scratch);
    ccz_buf_free(&c->out);
    cczi_target_deinit(c);
    ccz_ratls_ctx_free(c->cfg.ratls);
    cczi_stock_unref(c->stock);
    free(c->target);
    free(c);
}

void ccz_rpc_client_set_ratls(struct ccz_rpc_client *c, struct ccz_ratls_ctx *ctx)
{
    pthread_mutex_lock(&c->lock);
    struct ccz_ratls_ctx *old = c->cfg.ratls;
    c->cfg.ratls = ccz_ratls_ctx_ref(ctx);
    pthread_mutex_unlock(&c->lock);
    ccz_ratls_ctx_free(old);
}

static void on_recycle(void *arg)
{
    cczi_channel_recycle(arg);
}

ccz_rc ccz_rpc_client_recycle(struct ccz_rpc_client *c)
{
    return ccz_loop_post(c->loop, on_recycle, c);
}

static void on_connect(void *arg)
{
    cczi_channel_start(arg);
}

ccz_rc ccz_rpc_client_connect(struct ccz_ratls_peer *peer, struct ccz_rpc_client *c,
                              struct ccz_err *err)
{
    pthread_mutex_lock(&c->lock);
    /* without reconnection the first failure was the last: it is still the answer */
    uint64_t before = c->cfg.reconnect ? c->failures : 0;
    ccz_rc rc = ccz_loop_post(c->loop, on_connect, c);
    while (rc == CCZ_OK && !c->ready && !c->final && !(c->unreachable && c->failures != before))
        pthread_cond_wait(&c->changed, &c->lock);
    if (rc != CCZ_OK) {
        (void)ccz_fail(err, rc, "rpc:memory", 0, "out of memory");
    } else if (!c->ready) {
        struct ccz_err why = c->last_err;
        if (why.rc == CCZ_OK) /* its addresses went, and nothing had failed */
            (void)ccz_fail(&why, CCZ_E_UNAVAILABLE, "rpc:not-connected", 0, "no connection to %s",
                           c->target);
        rc = why.rc;
        if (err)
            *err = why;
    } else if (peer) {
        *peer = c->peer;
    }
    pthread_mutex_unlock(&c->lock);
    return rc;
}
