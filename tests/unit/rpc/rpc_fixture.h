/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RPC_FIXTURE_H
#define CCZ_RPC_FIXTURE_H
/* A server with every kind of method, and a client, over 127.0.0.1. */
#define _DEFAULT_SOURCE
#include <cczoo/rpc.h>

#include "ccz_test.h"
#include "ratls/toy_evidence.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

struct fixture {
    struct toy server_toy, client_toy;
    struct ccz_ratls_ctx *server_ctx, *client_ctx;
    struct ccz_rpc_server *server;
    struct ccz_rpc_client *client;
    char target[64];
    atomic_int started, done, cancelled, echoes, later;
    atomic_bool release; /* lets "hold" calls end */
    void (*before_start)(struct fixture *f);
};

/* ----------------------------------------------------------------------------------- methods */

static void echo(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    struct fixture *f = arg;
    atomic_fetch_add(&f->echoes, 1);
    ccz_rpc_reply(call, request);
}

static void metadata(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg, (void)request;
    ccz_rpc_add_header(call, "x-text", ccz_rpc_metadata(call, "x-text"));
    ccz_rpc_add_header(call, "ccz-replica", ccz_span_str("server-1"));
    ccz_rpc_add_header(call, "X-Upper", ccz_span_str("not allowed"));
    ccz_rpc_add_trailer(call, "x-raw-bin", ccz_rpc_metadata(call, "x-raw-bin"));
    ccz_rpc_reply(call, ccz_rpc_metadata(call, "x-raw-bin"));
}

static void refuse(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg, (void)request;
    struct ccz_err err;
    (void)ccz_refuse(&err, CCZ_E_POLICY, "policy:mrenclave", "11 %aa\n", "22bb");
    (void)ccz_hint(&err, CCZ_E_POLICY, "add it to the policy");
    ccz_rpc_fail(call, &err);
}

/* How much time the client gives it. */
static void time_left(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg, (void)request;
    ccz_rpc_reply(call, ccz_span_str(ccz_rpc_time_left_ms(call) == INT64_MAX ? "none" : "some"));
}

static void status(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg;
    ccz_rpc_finish(call, request.size ? (enum ccz_rpc_code)request.ptr[0] : CCZ_RPC_OK,
                   "as asked: 100 %, \xc3\xa9");
}

/* Answers from another thread, when the request says so. */
static void *answer_later(void *arg)
{
    struct ccz_rpc_call *call = arg;
    struct ccz_span request = ccz_rpc_metadata(call, "x-text");
    for (int i = 0; i < 20 && !ccz_rpc_cancelled(call); i++)
        usleep(1000);
    ccz_rpc_add_header(call, "ccz-replica", ccz_span_str("thread"));
    ccz_rpc_send(call, request);
    ccz_rpc_finish(call, CCZ_RPC_OK, NULL);
    ccz_rpc_call_unref(call);
    return NULL;
}

static void later(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    struct fixture *f = arg;
    (void)request;
    pthread_t t;
    atomic_fetch_add(&f->later, 1);
    ccz_rpc_call_ref(call);
    CHECK(pthread_create(&t, NULL, answer_later, call) == 0);
    pthread_detach(t);
}

/* Never answers: until cancelled. */
static void hold_start(struct ccz_rpc_call *call, void *arg)
{
    struct fixture *f = arg;
    (void)call;
    atomic_fetch_add(&f->started, 1);
}

static void hold_done(struct ccz_rpc_call *call, void *arg, bool cancelled)
{
    struct fixture *f = arg;
    CHECK(ccz_rpc_cancelled(call) == cancelled);
    atomic_fetch_add(&f->done, 1);
    atomic_fetch_add(&f->cancelled, cancelled);
}

/* Client streaming: the sum of the sizes, as text. */
struct sum {
    struct fixture *f;
    size_t size, len;
};

static void sum_start(struct ccz_rpc_call *call, void *arg)
{
    struct sum *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->f = arg;
    ccz_rpc_call_set_arg(call, s);
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

static void sum_done(struct ccz_rpc_call *call, void *arg, bool cancelled)
{
    (void)call, (void)cancelled;
    struct sum *s = arg;
    atomic_fetch_add(&s->f->done, 1);
    free(s);
}

/* Bidirectional: each message comes back. */
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

/* Server streaming: COUNT messages of 1000 bytes, produced only while they are taken. */
struct count {
    size_t left;
    size_t pending_max;
};

static void produce(struct ccz_rpc_call *call, struct count *n)
{
    static const uint8_t block[1000];
    while (n->left && ccz_rpc_pending(call) <= CCZ_RPC_PENDING_HIGH) {
        n->left--;
        ccz_rpc_send(call, CCZ_SPAN(block, sizeof(block)));
        if (ccz_rpc_pending(call) > n->pending_max)
            n->pending_max = ccz_rpc_pending(call);
    }
    if (n->left == 0)
        ccz_rpc_finish(call, CCZ_RPC_OK, NULL);
}

static void count_message(struct ccz_rpc_call *call, void *arg, struct ccz_span msg)
{
    (void)arg;
    char text[16] = "";
    struct count *n = calloc(1, sizeof(*n));
    CHECK(n && msg.size < sizeof(text));
    memcpy(text, msg.ptr, msg.size);
    n->left = strtoul(text, NULL, 10);
    ccz_rpc_call_set_arg(call, n);
}

static void count_half_close(struct ccz_rpc_call *call, void *arg)
{
    produce(call, arg);
}

static void count_done(struct ccz_rpc_call *call, void *arg, bool cancelled)
{
    (void)call, (void)cancelled;
    struct count *n = arg;
    CHECK(n->pending_max < 2 * CCZ_RPC_PENDING_HIGH);
    free(n);
}

static void count_writable(struct ccz_rpc_call *call, void *arg)
{
    produce(call, arg);
}

static void add_methods(struct fixture *f)
{
    struct ccz_rpc_server *s = f->server;
    struct ccz_rpc_handler hold = {.on_start = hold_start, .on_done = hold_done};
    struct ccz_rpc_handler sum = {.on_start = sum_start,
                                  .on_message = sum_message,
                                  .on_half_close = sum_half_close,
                                  .on_done = sum_done};
    struct ccz_rpc_handler bidi = {.on_message = bidi_message, .on_half_close = bidi_half_close};
    struct ccz_rpc_handler count = {.on_message = count_message,
                                    .on_half_close = count_half_close,
                                    .on_done = count_done,
                                    .on_writable = count_writable};
    CHECK(ccz_rpc_server_add_unary(s, "/t.T/Echo", echo, f) == CCZ_OK);
    CHECK(ccz_rpc_server_add_unary(s, "/t.T/Echo", echo, f) == CCZ_E_EXISTS);
    CHECK(ccz_rpc_server_add_unary(s, "/t.T/Metadata", metadata, f) == CCZ_OK);
    CHECK(ccz_rpc_server_add_unary(s, "/t.T/Refuse", refuse, f) == CCZ_OK);
    CHECK(ccz_rpc_server_add_unary(s, "/t.T/Status", status, f) == CCZ_OK);
    CHECK(ccz_rpc_server_add_unary(s, "/t.T/Later", later, f) == CCZ_OK);
    CHECK(ccz_rpc_server_add_unary(s, "/t.T/Left", time_left, f) == CCZ_OK);
    CHECK(ccz_rpc_server_add(s, "/t.T/Hold", &hold, f) == CCZ_OK);
    CHECK(ccz_rpc_server_add(s, "/t.T/Sum", &sum, f) == CCZ_OK);
    CHECK(ccz_rpc_server_add(s, "/t.T/Bidi", &bidi, f) == CCZ_OK);
    CHECK(ccz_rpc_server_add(s, "/t.T/Count", &count, f) == CCZ_OK);
}

/* ---------------------------------------------------------------------------------- fixture */

static struct ccz_ratls_ctx *make_ctx(enum ccz_ratls_profile profile, bool server, struct toy *toy)
{
    static const char *const h2[] = {"h2", NULL};
    bool plain = profile == CCZ_RATLS_TLS_ONLY_INSECURE;
    struct ccz_ratls_ctx *ctx = NULL;
    struct ccz_ratls_cfg cfg = {.profile = profile,
                                .server = server,
                                .now_s = INT64_C(1767225600),
                                .attest = plain ? NULL : toy_attest,
                                .attest_arg = toy,
                                .appraise = plain ? NULL : toy_appraise,
                                .appraise_arg = toy,
                                .alpn = profile == CCZ_RATLS_SESSION ? NULL : h2};
    CHECK(ccz_ratls_ctx_new(&ctx, &cfg, NULL) == CCZ_OK);
    return ctx;
}

static void start_server(struct fixture *f, enum ccz_ratls_profile profile,
                         struct ccz_rpc_server_cfg cfg)
{
    struct ccz_err err = {0};
    if (!f->server_ctx)
        f->server_ctx = make_ctx(profile, true, &f->server_toy);
    cfg.ratls = f->server_ctx;
    cfg.listen = cfg.listen ? cfg.listen : "127.0.0.1:0";
    CHECK(ccz_rpc_server_new(&f->server, &cfg, &err) == CCZ_OK);
    add_methods(f);
    if (f->before_start)
        f->before_start(f);
    ccz_rc rc = ccz_rpc_server_start(f->server, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK);
    (void)snprintf(f->target, sizeof(f->target), "127.0.0.1:%u", ccz_rpc_server_port(f->server));
}

static void make_client(struct fixture *f, enum ccz_ratls_profile profile,
                        struct ccz_rpc_client_cfg cfg)
{
    if (!f->client_ctx)
        f->client_ctx = make_ctx(profile, false, &f->client_toy);
    cfg.ratls = f->client_ctx;
    cfg.target = f->target;
    CHECK(ccz_rpc_client_new(&f->client, &cfg, NULL) == CCZ_OK);
}

static inline void setup(struct fixture *f, enum ccz_ratls_profile profile)
{
    memset(f, 0, sizeof(*f));
    start_server(f, profile, (struct ccz_rpc_server_cfg){0});
    make_client(f, profile, (struct ccz_rpc_client_cfg){.reconnect = true});
}

static void teardown(struct fixture *f)
{
    ccz_rpc_client_free(f->client);
    ccz_rpc_server_free(f->server);
    ccz_ratls_ctx_free(f->client_ctx);
    ccz_ratls_ctx_free(f->server_ctx);
}
#endif
