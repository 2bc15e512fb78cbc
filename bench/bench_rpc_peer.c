/* SPDX-License-Identifier: Apache-2.0 */
/* Our engine as one of the peers of grpc_peers.sh: client and server are processes of their own. Command line: grpc_peer.h. */
#include "grpc_peer.h"

#include "../tests/unit/ratls/toy_evidence.h"

#include <cczoo/rpc.h>

/* TLS without evidence as stock gRPC speaks it, or the session profile with evidence of a toy: what is
 * measured is the connection after it. */
static struct ccz_ratls_ctx *context(const struct peer_args *a)
{
    static const char *const h2[] = {"h2", NULL};
    static struct toy toy;
    struct ccz_ratls_cfg cfg = {.profile =
                                    a->ra_tls ? CCZ_RATLS_SESSION : CCZ_RATLS_TLS_ONLY_INSECURE,
                                .server = a->server,
                                .now_s = ccz_clock_now_s(ccz_clock_system()),
                                .attest = a->ra_tls ? toy_attest : NULL,
                                .attest_arg = &toy,
                                .appraise = a->ra_tls ? toy_appraise : NULL,
                                .appraise_arg = &toy,
                                .reattest_interval_ms = a->again ? 3600000 : 0,
                                .alpn = a->ra_tls ? NULL : h2};
    struct ccz_ratls_ctx *ctx;
    peer_must(ccz_ratls_ctx_new(&ctx, &cfg, NULL) == CCZ_OK, "RA-TLS context");
    return ctx;
}

/* --------------------------------------------------------------------------------------- server */

static void on_unary(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg;
    ccz_rpc_reply(call, request);
}

/* The messages of a stream are the same bytes again and again, as long as the client takes them. */
static void on_stream_writable(struct ccz_rpc_call *call, void *call_arg)
{
    const struct ccz_buf *msg = call_arg;
    while (ccz_rpc_pending(call) <= CCZ_RPC_PENDING_HIGH && !ccz_rpc_cancelled(call))
        ccz_rpc_send(call, ccz_buf_span(msg));
}

static void on_stream_message(struct ccz_rpc_call *call, void *call_arg, struct ccz_span request)
{
    (void)call_arg;
    struct ccz_buf *msg = calloc(1, sizeof(*msg));
    peer_must(msg && request.size == PEER_REQUEST_SIZE, "request of a stream");
    size_t size = peer_request_size(request.ptr);
    ccz_buf_init(msg, size);
    peer_must(ccz_buf_extend(msg, size) != NULL, "memory");
    memset(msg->ptr, 'x', size);
    ccz_rpc_call_set_arg(call, msg);
    on_stream_writable(call, msg);
}

static void on_stream_done(struct ccz_rpc_call *call, void *call_arg, bool cancelled)
{
    (void)call, (void)cancelled;
    struct ccz_buf *msg = call_arg;
    if (msg)
        ccz_buf_free(msg);
    free(msg);
}

static void serve(const struct peer_args *a)
{
    struct ccz_rpc_server *server;
    struct ccz_rpc_server_cfg cfg = {.listen = "127.0.0.1:0", .ratls = context(a)};
    struct ccz_rpc_handler stream = {.on_message = on_stream_message,
                                     .on_writable = on_stream_writable,
                                     .on_done = on_stream_done};
    peer_must(ccz_rpc_server_new(&server, &cfg, NULL) == CCZ_OK &&
                  ccz_rpc_server_add_unary(server, PEER_UNARY_PATH, on_unary, NULL) == CCZ_OK &&
                  ccz_rpc_server_add(server, PEER_STREAM_PATH, &stream, NULL) == CCZ_OK &&
                  ccz_rpc_server_start(server, NULL) == CCZ_OK,
              "server");
    peer_say_port(ccz_rpc_server_port(server));
    peer_wait_for_end();
}

/* --------------------------------------------------------------------------------------- client */

struct client {
    struct peer_args args;
    struct ccz_rpc_client *rpc;
    struct ccz_span body;
    struct peer_tally tally;
};
struct lane { /* one call at a time */
    struct client *client;
    int64_t from_ns;
};

static void start(struct lane *l);

static void on_answer(void *arg, struct ccz_span response, const struct ccz_rpc_result *res,
                      const struct ccz_err *err)
{
    struct lane *l = arg;
    peer_must(!err && res->code == CCZ_RPC_OK && response.size == l->client->body.size,
              "a call failed");
    l->from_ns = peer_tally_add(&l->client->tally, l->from_ns);
    start(l);
}

static void start(struct lane *l)
{
    static const struct ccz_rpc_call_cfg cfg = {.request_lent = true};
    struct client *c = l->client;
    peer_must(ccz_rpc_unary_async(c->rpc, PEER_UNARY_PATH, c->body, &cfg, on_answer, l) == CCZ_OK,
              "no call");
}

static void run_unary(struct client *c)
{
    static struct lane lanes[PEER_STREAMS_MAX];
    uint8_t *body = calloc(1, c->args.size);
    peer_must(body != NULL, "memory");
    c->body = CCZ_SPAN(body, c->args.size);
    for (unsigned i = 0; i < c->args.streams; i++) {
        lanes[i] = (struct lane){c, peer_now_ns()};
        start(&lanes[i]);
    }
    for (;;) /* on_answer() ends the process */
        pause();
}

static void run_stream(struct client *c)
{
    struct ccz_rpc_call_cfg call = {.timeout_ms = (int64_t)(c->args.seconds * 1e3) + 60000};
    struct ccz_rpc_stream *s;
    struct ccz_buf msg;
    uint8_t request[PEER_REQUEST_SIZE];
    peer_must(c->args.streams == 1, "one stream at a time");
    peer_request(request, c->args.size);
    ccz_buf_init(&msg, c->args.size);
    peer_must(ccz_rpc_stream_open(&s, c->rpc, PEER_STREAM_PATH, &call, NULL) == CCZ_OK &&
                  ccz_rpc_stream_send(s, CCZ_SPAN(request, sizeof(request))) == CCZ_OK &&
                  ccz_rpc_stream_half_close(s) == CCZ_OK,
              "stream");
    for (int64_t from = peer_now_ns();; from = peer_tally_add(&c->tally, from)) {
        ccz_buf_clear(&msg);
        peer_must(ccz_rpc_stream_recv(&msg, s, NULL, NULL) == CCZ_OK && msg.size == c->args.size,
                  "message");
    }
}

int main(int argc, char **argv)
{
    static struct client c;
    peer_args_read(&c.args, argc, argv);
    if (c.args.server)
        serve(&c.args);
    struct ccz_rpc_client_cfg cfg = {.target = c.args.address, .ratls = context(&c.args)};
    peer_must(ccz_rpc_client_new(&c.rpc, &cfg, NULL) == CCZ_OK &&
                  ccz_rpc_client_connect(NULL, c.rpc, NULL) == CCZ_OK,
              "client");
    peer_tally_start(&c.tally, &c.args);
    if (c.args.stream)
        run_stream(&c);
    run_unary(&c);
    return 0;
}
