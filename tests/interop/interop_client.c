/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC's interop cases with our client:   interop_client HOST:PORT [CASE...]   TLS without attestation, any certificate.
 * Unary calls go through ccz_rpc_unary(), the others through streams.
 */
#define _DEFAULT_SOURCE
#include "interop_cases.h"

#include <cczoo/rpc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct channel {
    struct ccz_ratls_ctx *ctx;
    struct ccz_rpc_client *client;
};

struct call {
    struct channel *channel;
    struct ccz_rpc_received *received;
    struct ccz_rpc_result result;
    struct ccz_rpc_call_cfg cfg;
    bool unary, done;
    char path[96];
    struct ccz_rpc_md md[2];
    struct ccz_buf request, response;
    struct ccz_rpc_stream *stream;
};

static void report(const char *what, const struct ccz_err *err)
{
    fprintf(stderr, "%s: %s: %s\n", what, err->where, err->msg);
}

static void disconnect_(void *channel)
{
    struct channel *c = channel;
    ccz_rpc_client_free(c->client);
    ccz_ratls_ctx_free(c->ctx);
    free(c);
}

static void *connect_(const char *target)
{
    static const char *const h2[] = {"h2", NULL};
    struct ccz_err err = {0};
    struct channel *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    struct ccz_ratls_cfg cfg = {.profile = CCZ_RATLS_TLS_ONLY_INSECURE,
                                .alpn = h2,
                                .now_s = ccz_clock_now_s(ccz_clock_system())};
    ccz_rc rc = ccz_ratls_ctx_new(&c->ctx, &cfg, &err);
    struct ccz_rpc_client_cfg ccfg = {.target = target, .ratls = c->ctx};
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_new(&c->client, &ccfg, &err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(NULL, c->client, &err);
    if (rc == CCZ_OK)
        return c;
    report("connect", &err);
    disconnect_(c);
    return NULL;
}

static void call_free(struct call *c)
{
    ccz_rpc_stream_free(c->stream);
    ccz_rpc_received_free(c->received);
    ccz_buf_free(&c->request);
    ccz_buf_free(&c->response);
    free(c);
}

static void *open_(void *channel, const struct ic_start *start)
{
    struct ccz_err err = {0};
    struct call *c = calloc(1, sizeof(*c));
    if (!c || ccz_rpc_received_new(&c->received) != CCZ_OK) {
        free(c);
        return NULL;
    }
    c->channel = channel;
    c->unary = start->unary;
    (void)snprintf(c->path, sizeof(c->path), "%s", start->path);
    ccz_buf_init(&c->request, IM_MESSAGE_MAX);
    ccz_buf_init(&c->response, IM_MESSAGE_MAX);
    c->md[0] = (struct ccz_rpc_md){IM_ECHO_INITIAL, ccz_span_str("test_initial_metadata_value")};
    c->md[1] = (struct ccz_rpc_md){IM_ECHO_TRAILER, CCZ_SPAN("\xab\xab\xab", 3)};
    c->cfg = (struct ccz_rpc_call_cfg){.timeout_ms = start->timeout_ms,
                                       .metadata = c->md,
                                       .metadata_len = start->metadata ? 2 : 0,
                                       .compression = start->gzip ? CCZ_RPC_GZIP : CCZ_RPC_IDENTITY,
                                       .received = c->received};
    if (c->unary ||
        ccz_rpc_stream_open(&c->stream, c->channel->client, c->path, &c->cfg, &err) == CCZ_OK)
        return c;
    report(c->path, &err);
    call_free(c);
    return NULL;
}

static bool send_(void *call, struct ccz_span msg, bool compressed)
{
    struct call *c = call;
    if (c->unary) {
        ccz_buf_put_span(&c->request, msg);
        return !c->request.bad && compressed == (c->cfg.compression == CCZ_RPC_GZIP);
    }
    ccz_rpc_stream_set_compression(c->stream, compressed ? CCZ_RPC_GZIP : CCZ_RPC_IDENTITY);
    return ccz_rpc_stream_send(c->stream, msg) == CCZ_OK;
}

static void half_close_(void *call)
{
    struct call *c = call;
    if (!c->unary)
        (void)!ccz_rpc_stream_half_close(c->stream);
}

static bool recv_unary(struct call *c, struct ccz_buf *msg, bool *compressed)
{
    struct ccz_err err = {0};
    if (c->done)
        return false;
    c->done = true;
    ccz_rc rc = ccz_rpc_unary(msg, &c->result, c->channel->client, c->path,
                              ccz_buf_span(&c->request), &c->cfg, &err);
    *compressed = c->result.compressed;
    return rc == CCZ_OK;
}

static bool recv_(void *call, struct ccz_buf *msg, bool *compressed)
{
    struct call *c = call;
    struct ccz_err err = {0};
    *compressed = false;
    if (c->unary)
        return recv_unary(c, msg, compressed);
    if (c->done)
        return false;
    c->done = ccz_rpc_stream_recv(msg, c->stream, &c->result, &err) != CCZ_OK;
    *compressed = !c->done && ccz_rpc_stream_compressed(c->stream);
    return !c->done;
}

static void cancel_(void *call)
{
    struct call *c = call;
    ccz_rpc_stream_cancel(c->stream);
}

static void end_(void *call, struct ic_end *end)
{
    struct call *c = call;
    struct ccz_buf msg;
    struct ccz_rpc_md md;
    bool compressed;
    ccz_buf_init(&msg, IM_MESSAGE_MAX);
    while (recv_(c, &msg, &compressed))
        ccz_buf_clear(&msg);
    ccz_buf_free(&msg);
    end->code = (int)c->result.code;
    ccz_buf_put_span(&end->message, ccz_rpc_received_message(c->received));
    for (size_t at = 0; ccz_rpc_received_header(&md, &at, c->received);)
        if (strcmp(md.key, IM_ECHO_INITIAL) == 0)
            ccz_buf_put_span(&end->initial, md.value);
    for (size_t at = 0; ccz_rpc_received_trailer(&md, &at, c->received);)
        if (strcmp(md.key, IM_ECHO_TRAILER) == 0)
            ccz_buf_put_span(&end->trailing, md.value);
    call_free(c);
}

int main(int argc, char **argv)
{
    static const struct ic_ops ops = {.connect = connect_,
                                      .disconnect = disconnect_,
                                      .open = open_,
                                      .send = send_,
                                      .half_close = half_close_,
                                      .recv = recv_,
                                      .cancel = cancel_,
                                      .end = end_};
    return ic_main(&ops, argc, argv);
}
