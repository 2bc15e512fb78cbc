/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server of gRPC's interop cases, grpc.testing.TestService, with health and reflection: TLS without attestation on
 * 127.0.0.1.   interop_server [--descriptors FILE] [--break WHAT]   Prints "PORT", then its certificate as PEM, then an
 * empty line; serves until its standard input ends. WHAT is a fault that a case has to find (see main()).
 */
#define _DEFAULT_SOURCE
#include "interop_msg.h"

#include <cczoo/codec.h>
#include <cczoo/rpc_services.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *fault = "";

static bool broken(const char *what)
{
    return strcmp(fault, what) == 0;
}

/* ------------------------------------------------------------------------------------- common */

static void echo_metadata(struct ccz_rpc_call *call)
{
    struct ccz_span first = ccz_rpc_metadata(call, IM_ECHO_INITIAL);
    struct ccz_span last = ccz_rpc_metadata(call, IM_ECHO_TRAILER);
    if (first.ptr)
        ccz_rpc_add_header(call, IM_ECHO_INITIAL, broken("initial") ? CCZ_SPAN("x", 1) : first);
    if (last.ptr)
        ccz_rpc_add_trailer(call, IM_ECHO_TRAILER, broken("trailer") ? CCZ_SPAN("x", 1) : last);
}

/* Ends the call with the status that was asked for. */
static void finish_with(struct ccz_rpc_call *call, const struct im_request *rq)
{
    char message[256] = "";
    if (rq->message.size && rq->message.size < sizeof(message))
        memcpy(message, rq->message.ptr, rq->message.size);
    if (broken("message") && message[0])
        message[0] = '?';
    ccz_rpc_finish(call, broken("code") ? CCZ_RPC_ABORTED : (enum ccz_rpc_code)rq->code, message);
}

static bool as_expected(struct ccz_rpc_call *call, const struct im_request *rq)
{
    bool compressed = ccz_rpc_message_compressed(call);
    if (rq->expect_compressed == IM_UNSET || broken("expect") ||
        compressed == (rq->expect_compressed == IM_TRUE))
        return true;
    ccz_rpc_finish(call, CCZ_RPC_INVALID_ARGUMENT, "compressed or not, against expectation");
    return false;
}

static void send_body(struct ccz_rpc_call *call, size_t size, enum im_bool compressed,
                      const char *server_id)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, IM_MESSAGE_MAX);
    im_put_response(&out, broken("size") && size ? size - 1 : size, server_id);
    if (broken("zeros") && out.size)
        out.ptr[out.size - 1] = 1;
    if (compressed != IM_UNSET)
        ccz_rpc_set_compression(call, (compressed == IM_TRUE) != broken("compression")
                                          ? CCZ_RPC_GZIP
                                          : CCZ_RPC_IDENTITY);
    ccz_rpc_send(call, ccz_buf_span(&out));
}

static void malformed(struct ccz_rpc_call *call)
{
    ccz_rpc_finish(call, CCZ_RPC_INVALID_ARGUMENT, "malformed request, or above a limit");
}

/* ------------------------------------------------------------------------------------- unary */

static void empty_call(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg, (void)request;
    echo_metadata(call);
    ccz_rpc_reply(call, broken("empty") ? CCZ_SPAN("\12\1x", 3) : (struct ccz_span){0});
}

static void unary_call(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg;
    struct im_request rq;
    if (!im_get_request(&rq, IM_SIMPLE, request)) {
        malformed(call);
        return;
    }
    if (!as_expected(call, &rq))
        return;
    echo_metadata(call);
    if (rq.has_status && rq.code) {
        finish_with(call, &rq);
        return;
    }
    char id[32];
    (void)snprintf(id, sizeof(id), "cczoo-%ld", (long)getpid());
    send_body(call, rq.response_size, rq.response_compressed, rq.fill_server_id ? id : NULL);
    ccz_rpc_finish(call, CCZ_RPC_OK, NULL);
}

/* --------------------------------------------------------------------------- client streaming */

static void input_start(struct ccz_rpc_call *call, void *arg)
{
    (void)arg;
    size_t *sum = calloc(1, sizeof(*sum));
    ccz_rpc_call_set_arg(call, sum);
    echo_metadata(call);
    if (!sum)
        ccz_rpc_finish(call, CCZ_RPC_RESOURCE_EXHAUSTED, "out of memory");
}

static void input_message(struct ccz_rpc_call *call, void *arg, struct ccz_span msg)
{
    size_t *sum = arg;
    struct im_request rq;
    if (!im_get_request(&rq, IM_INPUT, msg))
        malformed(call);
    else if (sum && as_expected(call, &rq))
        *sum += rq.body.size;
}

static void input_half_close(struct ccz_rpc_call *call, void *arg)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 64);
    if (!arg)
        return;
    im_put_sum(&out, *(size_t *)arg + broken("sum"));
    ccz_rpc_reply(call, ccz_buf_span(&out));
}

static void input_done(struct ccz_rpc_call *call, void *arg, bool cancelled)
{
    (void)call, (void)cancelled;
    free(arg);
}

/* --------------------------------------------------------- server streaming, both directions */

enum { ITEMS_MAX = 1024 };
/* Answers may be asked for later, so each call has a thread that waits and sends. */
struct output {
    struct ccz_rpc_call *call; /* held */
    pthread_mutex_t lock;
    pthread_cond_t change;
    atomic_int refs;
    bool wait_for_all; /* HalfDuplexCall: nothing before the last request */
    struct im_part items[ITEMS_MAX];
    size_t items_len;
    bool complete, over;
    struct im_request status; /* ends the stream, if set */
    char message[256];
};
static char half_duplex; /* service_arg of HalfDuplexCall */

static void output_unref(struct output *o)
{
    if (atomic_fetch_sub(&o->refs, 1) != 1)
        return;
    ccz_rpc_call_unref(o->call);
    pthread_cond_destroy(&o->change);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

/* Waits for the next item. @return false: no more */
static bool next_item(struct im_part *item, struct output *o, size_t i)
{
    pthread_mutex_lock(&o->lock);
    while (!o->over && !o->complete && (i == o->items_len || o->wait_for_all))
        pthread_cond_wait(&o->change, &o->lock);
    bool more = !o->over && i < o->items_len;
    if (more)
        *item = o->items[i];
    pthread_mutex_unlock(&o->lock);
    return more;
}

static void *answer(void *arg)
{
    struct output *o = arg;
    struct im_part item;
    for (size_t i = 0; next_item(&item, o, i); i++) {
        if (item.interval_us)
            usleep(item.interval_us);
        send_body(o->call, item.size, item.compressed, NULL);
    }
    if (o->status.has_status) {
        o->status.message = ccz_span_str(o->message);
        finish_with(o->call, &o->status);
    } else {
        ccz_rpc_finish(o->call, CCZ_RPC_OK, NULL);
    }
    output_unref(o);
    return NULL;
}

static void output_start(struct ccz_rpc_call *call, void *arg)
{
    pthread_t t;
    struct output *o = calloc(1, sizeof(*o));
    ccz_rpc_call_set_arg(call, o);
    if (o) {
        o->call = call;
        o->wait_for_all = arg == &half_duplex;
        pthread_mutex_init(&o->lock, NULL);
        pthread_cond_init(&o->change, NULL);
        atomic_init(&o->refs, 2);
        ccz_rpc_call_ref(call);
        echo_metadata(call);
        if (pthread_create(&t, NULL, answer, o) == 0) {
            pthread_detach(t);
            return;
        }
        output_unref(o);
    }
    ccz_rpc_finish(call, CCZ_RPC_RESOURCE_EXHAUSTED, "no memory or threads");
}

static void output_message(struct ccz_rpc_call *call, void *arg, struct ccz_span msg)
{
    struct output *o = arg;
    struct im_request rq;
    bool bad = !im_get_request(&rq, IM_OUTPUT, msg);
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    bad |= o->items_len + rq.parts_len > ITEMS_MAX || rq.message.size >= sizeof(o->message);
    for (size_t i = 0; !bad && i < rq.parts_len; i++)
        o->items[o->items_len++] = rq.parts[i];
    if (!bad && rq.has_status && rq.code) {
        o->status = rq;
        if (rq.message.size)
            memcpy(o->message, rq.message.ptr, rq.message.size);
        o->complete = true;
    }
    o->over |= bad;
    if (bad)
        malformed(call);
    pthread_cond_signal(&o->change);
    pthread_mutex_unlock(&o->lock);
}

static void output_half_close(struct ccz_rpc_call *call, void *arg)
{
    (void)call;
    struct output *o = arg;
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    o->complete = true;
    pthread_cond_signal(&o->change);
    pthread_mutex_unlock(&o->lock);
}

static void output_done(struct ccz_rpc_call *call, void *arg, bool cancelled)
{
    (void)call, (void)cancelled;
    struct output *o = arg;
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    o->over = true;
    pthread_cond_signal(&o->change);
    pthread_mutex_unlock(&o->lock);
    output_unref(o);
}

/* -------------------------------------------------------------------------------------- main */

static const struct ccz_rpc_handler input = {input_start, input_message, input_half_close,
                                             input_done, NULL};
static const struct ccz_rpc_handler output = {output_start, output_message, output_half_close,
                                              output_done, NULL};

static ccz_rc add_methods(struct ccz_rpc_server *s)
{
    ccz_rc rc = ccz_rpc_server_add_unary(s, IM_SERVICE "EmptyCall", empty_call, NULL);
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_add_unary(s, IM_SERVICE "UnaryCall", unary_call, NULL);
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_add(s, IM_SERVICE "StreamingInputCall", &input, NULL);
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_add(s, IM_SERVICE "StreamingOutputCall", &output, NULL);
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_add(s, IM_SERVICE "FullDuplexCall", &output, NULL);
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_add(s, IM_SERVICE "HalfDuplexCall", &output, &half_duplex);
    if (rc == CCZ_OK && broken("unimplemented"))
        rc = ccz_rpc_server_add_unary(s, IM_SERVICE "UnimplementedCall", empty_call, NULL);
    return rc;
}

static ccz_rc add_descriptors(struct ccz_rpc_reflection *r, const char *file, struct ccz_err *err)
{
    CCZ_AUTO_BUF set;
    ccz_buf_init(&set, CCZ_RPC_REFLECTION_SIZE_MAX);
    ccz_rc rc = file ? ccz_file_read(&set, file, err) : CCZ_OK;
    return rc == CCZ_OK ? ccz_rpc_reflection_add(r, ccz_buf_span(&set), err) : rc;
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

static ccz_rc serve(struct ccz_ratls_ctx *ctx, const char *descriptors, struct ccz_err *err)
{
    CCZ_AUTO(ccz_rpc_health) health = NULL;
    CCZ_AUTO(ccz_rpc_reflection) reflection = NULL;
    CCZ_AUTO(ccz_rpc_server) server = NULL; /* last, so freed first */
    struct ccz_rpc_server_cfg cfg = {.listen = "127.0.0.1:0", .ratls = ctx, .threads = 2};
    ccz_rc rc = ccz_rpc_server_new(&server, &cfg, err);
    if (rc == CCZ_OK)
        rc = add_methods(server);
    if (rc == CCZ_OK)
        rc = ccz_rpc_health_new(&health, server, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_health_set(health, "grpc.testing.TestService", CCZ_RPC_SERVING);
    if (rc == CCZ_OK)
        rc = ccz_rpc_reflection_new(&reflection, server, err);
    if (rc == CCZ_OK)
        rc = add_descriptors(reflection, descriptors, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_start(server, err);
    if (rc != CCZ_OK)
        return rc;
    print_identity(ctx, ccz_rpc_server_port(server));
    while (getchar() != EOF)
        ;
    ccz_rpc_server_stop(server, 2000);
    return CCZ_OK;
}

int main(int argc, char **argv)
{
    static const char *const h2[] = {"h2", NULL};
    static const char *const faults[] = {"initial", "trailer", "message",      "code",
                                         "expect",  "size",    "zeros",        "compression",
                                         "empty",   "sum",     "unimplemented"};
    const char *descriptors = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--descriptors") == 0)
            descriptors = argv[i + 1];
        for (size_t k = 0;
             strcmp(argv[i], "--break") == 0 && k < sizeof(faults) / sizeof(faults[0]); k++)
            if (strcmp(argv[i + 1], faults[k]) == 0)
                fault = faults[k];
    }
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_ratls_ctx) ctx = NULL;
    struct ccz_ratls_cfg cfg = {.profile = CCZ_RATLS_TLS_ONLY_INSECURE,
                                .server = true,
                                .alpn = h2,
                                .now_s = ccz_clock_now_s(ccz_clock_system())};
    ccz_log_install(ccz_log_stderr, NULL, CCZ_LOG_WARN);
    ccz_rc rc = ccz_ratls_ctx_new(&ctx, &cfg, &err);
    if (rc == CCZ_OK)
        rc = serve(ctx, descriptors, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "interop_server: %s: %s (%s)\n", err.where, err.msg, ccz_rc_str(rc));
    return rc == CCZ_OK ? 0 : 1;
}
