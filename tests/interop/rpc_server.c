/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gRPC server for stock clients: TLS without attestation on 127.0.0.1. Prints "PORT", then its
 * certificate as PEM, then an empty line; serves until its standard input ends. Driven by
 * test_grpcio.py.
 */
#define _DEFAULT_SOURCE
#include <cczoo/codec.h>
#include <cczoo/rpc.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_int held, cancelled; /* calls of Hold: begun, ended by the client or its deadline */

static void echo(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg;
    ccz_rpc_add_header(call, "x-text", ccz_rpc_metadata(call, "x-text"));
    ccz_rpc_add_header(call, "x-raw-bin", ccz_rpc_metadata(call, "x-raw-bin"));
    ccz_rpc_add_trailer(call, "x-end", ccz_span_str("trailing"));
    ccz_rpc_add_trailer(call, "x-end-bin", CCZ_SPAN("\0\1\xff", 3));
    if (ccz_rpc_message_compressed(call)) { /* told, and answered in kind */
        ccz_rpc_add_header(call, "x-compressed", ccz_span_str("yes"));
        ccz_rpc_set_compression(call, CCZ_RPC_GZIP);
    }
    ccz_rpc_reply(call, request);
}

/* The request is "CODE message". */
static void status(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg;
    char text[256] = "", *message;
    memcpy(text, request.ptr, request.size < 255 ? request.size : 255);
    long code = strtol(text, &message, 10);
    ccz_rpc_add_trailer(call, "grpc-status-details-bin", CCZ_SPAN("\0details", 8));
    ccz_rpc_finish(call, (enum ccz_rpc_code)code, *message == ' ' ? message + 1 : "");
}

static void deadline(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg, (void)request;
    char text[32];
    int64_t left = ccz_rpc_time_left_ms(call);
    (void)snprintf(text, sizeof(text), "%lld", left == INT64_MAX ? -1 : (long long)left);
    ccz_rpc_reply(call, ccz_span_str(text));
}

static void counters(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg, (void)request;
    char text[32];
    (void)snprintf(text, sizeof(text), "%d %d", atomic_load(&held), atomic_load(&cancelled));
    ccz_rpc_reply(call, ccz_span_str(text));
}

static void *answer(void *arg)
{
    usleep(20000);
    ccz_rpc_reply(arg, ccz_span_str("from a thread"));
    ccz_rpc_call_unref(arg);
    return NULL;
}

static void later(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg, (void)request;
    pthread_t t;
    ccz_rpc_call_ref(call);
    if (pthread_create(&t, NULL, answer, call) != 0)
        abort();
    pthread_detach(t);
}

static void hold_start(struct ccz_rpc_call *call, void *arg)
{
    (void)call, (void)arg;
    atomic_fetch_add(&held, 1);
}

static void hold_done(struct ccz_rpc_call *call, void *arg, bool was_cancelled)
{
    (void)call, (void)arg;
    atomic_fetch_add(&cancelled, was_cancelled);
}

struct sum {
    size_t size, len;
};

static void sum_start(struct ccz_rpc_call *call, void *arg)
{
    (void)arg;
    ccz_rpc_call_set_arg(call, calloc(1, sizeof(struct sum)));
}

static void sum_message(struct ccz_rpc_call *call, void *arg, struct ccz_span msg)
{
    (void)call;
    struct sum *s = arg;
    s->size += msg.size;
    s->len++;
}

static void sum_half_close(struct ccz_rpc_call *call, void *arg)
{
    struct sum *s = arg;
    char text[64];
    (void)snprintf(text, sizeof(text), "%zu in %zu", s->size, s->len);
    ccz_rpc_reply(call, ccz_span_str(text));
}

static void sum_done(struct ccz_rpc_call *call, void *arg, bool was_cancelled)
{
    (void)call, (void)was_cancelled;
    free(arg);
}

/* "N": N messages "0", "1", ... */
static void count(struct ccz_rpc_call *call, void *arg, struct ccz_span msg)
{
    (void)arg;
    char text[32] = "";
    memcpy(text, msg.ptr, msg.size < 31 ? msg.size : 31);
    long n = strtol(text, NULL, 10);
    for (long i = 0; i < n; i++) {
        (void)snprintf(text, sizeof(text), "%ld", i);
        ccz_rpc_send(call, ccz_span_str(text));
    }
    ccz_rpc_finish(call, CCZ_RPC_OK, NULL);
}

static void bidi_message(struct ccz_rpc_call *call, void *arg, struct ccz_span msg)
{
    (void)arg;
    ccz_rpc_send(call, msg);
}

static void bidi_half_close(struct ccz_rpc_call *call, void *arg)
{
    (void)arg;
    ccz_rpc_finish(call, CCZ_RPC_OK, NULL);
}

static bool add_methods(struct ccz_rpc_server *s)
{
    static const struct ccz_rpc_handler hold = {.on_start = hold_start, .on_done = hold_done};
    static const struct ccz_rpc_handler sum = {.on_start = sum_start,
                                               .on_message = sum_message,
                                               .on_half_close = sum_half_close,
                                               .on_done = sum_done};
    static const struct ccz_rpc_handler counting = {.on_message = count};
    static const struct ccz_rpc_handler bidi = {.on_message = bidi_message,
                                                .on_half_close = bidi_half_close};
    return ccz_rpc_server_add_unary(s, "/i.I/Echo", echo, NULL) == CCZ_OK &&
           ccz_rpc_server_add_unary(s, "/i.I/Status", status, NULL) == CCZ_OK &&
           ccz_rpc_server_add_unary(s, "/i.I/Deadline", deadline, NULL) == CCZ_OK &&
           ccz_rpc_server_add_unary(s, "/i.I/Counters", counters, NULL) == CCZ_OK &&
           ccz_rpc_server_add_unary(s, "/i.I/Later", later, NULL) == CCZ_OK &&
           ccz_rpc_server_add(s, "/i.I/Hold", &hold, NULL) == CCZ_OK &&
           ccz_rpc_server_add(s, "/i.I/Sum", &sum, NULL) == CCZ_OK &&
           ccz_rpc_server_add(s, "/i.I/Count", &counting, NULL) == CCZ_OK &&
           ccz_rpc_server_add(s, "/i.I/Bidi", &bidi, NULL) == CCZ_OK;
}

static void print_identity(struct ccz_ratls_ctx *ctx, uint16_t port)
{
    CCZ_AUTO(ccz_tls) t = NULL;
    CCZ_AUTO_BUF pem;
    ccz_buf_init(&pem, CCZ_CERT_SIZE_MAX);
    if (ccz_tls_new(&t, ccz_ratls_tls_ctx(ctx), NULL, NULL) != CCZ_OK)
        exit(1);
    ccz_pem_put(&pem, "CERTIFICATE", ccz_tls_own_cert(t));
    printf("%u\n%s\n", port, ccz_buf_str(&pem));
    fflush(stdout);
}

int main(void)
{
    static const char *const h2[] = {"h2", NULL};
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_ratls_ctx) ctx = NULL;
    CCZ_AUTO(ccz_rpc_server) server = NULL;
    struct ccz_ratls_cfg cfg = {.profile = CCZ_RATLS_TLS_ONLY_INSECURE,
                                .server = true,
                                .alpn = h2,
                                .now_s = ccz_clock_now_s(ccz_clock_system())};
    ccz_rc rc = ccz_ratls_ctx_new(&ctx, &cfg, &err);
    struct ccz_rpc_server_cfg scfg = {
        .listen = "127.0.0.1:0", .ratls = ctx, .message_size_max = 40 << 20, .threads = 2};
    ccz_log_install(ccz_log_stderr, NULL, CCZ_LOG_WARN);
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_new(&server, &scfg, &err);
    if (rc == CCZ_OK && !add_methods(server))
        rc = ccz_fail(&err, CCZ_E_NOMEM, "interop:methods", 0, "methods could not be added");
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_start(server, &err);
    if (rc != CCZ_OK) {
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
        return 1;
    }
    print_identity(ctx, ccz_rpc_server_port(server));
    while (getchar() != EOF)
        ;
    ccz_rpc_server_stop(server, 1000);
    return 0;
}
