/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc.testing.TestService on gRPC C-core:   ccore_server CERT_FILE KEY_FILE   Prints its port; serves until its standard
 * input ends. A thread per call.
 */
#define _DEFAULT_SOURCE
#include "ccore.h"
#include "interop_msg.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

struct call {
    grpc_call *call;
    grpc_completion_queue *cq; /* of its own */
    grpc_call_details details;
    grpc_metadata_array md;
    bool started; /* initial metadata are out */
    char message[256];
    struct im_request last; /* the status that a request asked for */
};

static grpc_server *server;
static grpc_completion_queue *calls;

/* ------------------------------------------------------------------------------------- calls */

/* Headers, with compression if a message may want it. */
static void begin(struct call *c, bool gzip)
{
    grpc_metadata md[2];
    size_t len = 0;
    const grpc_slice *first = cc_find(&c->md, IM_ECHO_INITIAL);
    if (c->started)
        return;
    c->started = true;
    if (first)
        md[len++] =
            (grpc_metadata){.key = grpc_slice_from_static_string(IM_ECHO_INITIAL), .value = *first};
    if (gzip)
        md[len++] =
            (grpc_metadata){.key = grpc_slice_from_static_string("grpc-internal-encoding-request"),
                            .value = grpc_slice_from_static_string("gzip")};
    grpc_op op = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    op.data.send_initial_metadata.metadata = md;
    op.data.send_initial_metadata.count = len;
    (void)cc_batch(c->call, c->cq, &op, 1);
}

static bool next_message(struct call *c, struct ccz_buf *msg, bool *compressed)
{
    grpc_byte_buffer *bytes = NULL;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &bytes;
    ccz_buf_clear(msg);
    if (!cc_batch(c->call, c->cq, &op, 1) || !bytes)
        return false;
    *compressed = cc_was_compressed(c->call);
    cc_put_bytes(msg, bytes);
    return true;
}

static void send_body(struct call *c, size_t size, enum im_bool compressed)
{
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, IM_MESSAGE_MAX);
    im_put_response(&msg, size, NULL);
    begin(c, compressed != IM_UNSET);
    (void)cc_send(c->call, c->cq, ccz_buf_span(&msg), compressed == IM_TRUE);
}

static grpc_status_code refuse(struct call *c, const char *why)
{
    (void)snprintf(c->message, sizeof(c->message), "%s", why);
    return GRPC_STATUS_INVALID_ARGUMENT;
}

static grpc_status_code asked(struct call *c, const struct im_request *rq)
{
    size_t n = rq->message.size < sizeof(c->message) ? rq->message.size : sizeof(c->message) - 1;
    if (n)
        memcpy(c->message, rq->message.ptr, n);
    c->message[n] = 0;
    return (grpc_status_code)rq->code;
}

static bool as_expected(const struct im_request *rq, bool compressed)
{
    return rq->expect_compressed == IM_UNSET || compressed == (rq->expect_compressed == IM_TRUE);
}

static grpc_status_code empty_call(struct call *c, struct ccz_buf *msg)
{
    bool compressed;
    if (!next_message(c, msg, &compressed))
        return refuse(c, "no message");
    begin(c, false);
    (void)cc_send(c->call, c->cq, (struct ccz_span){0}, false);
    return GRPC_STATUS_OK;
}

static grpc_status_code unary_call(struct call *c, struct ccz_buf *msg)
{
    bool compressed;
    struct im_request rq;
    if (!next_message(c, msg, &compressed) || !im_get_request(&rq, IM_SIMPLE, ccz_buf_span(msg)))
        return refuse(c, "malformed");
    if (!as_expected(&rq, compressed))
        return refuse(c, "compressed or not, against expectation");
    if (rq.has_status && rq.code)
        return asked(c, &rq);
    send_body(c, rq.response_size, rq.response_compressed);
    return GRPC_STATUS_OK;
}

static grpc_status_code input_call(struct call *c, struct ccz_buf *msg)
{
    size_t sum = 0;
    bool compressed;
    while (next_message(c, msg, &compressed)) {
        struct im_request rq;
        if (!im_get_request(&rq, IM_INPUT, ccz_buf_span(msg)))
            return refuse(c, "malformed");
        if (!as_expected(&rq, compressed))
            return refuse(c, "compressed or not, against expectation");
        sum += rq.body.size;
    }
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 64);
    im_put_sum(&out, sum);
    begin(c, false);
    (void)cc_send(c->call, c->cq, ccz_buf_span(&out), false);
    return GRPC_STATUS_OK;
}

static void answer(struct call *c, const struct im_part *parts, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (parts[i].interval_us)
            usleep(parts[i].interval_us);
        send_body(c, parts[i].size, parts[i].compressed);
    }
}

static grpc_status_code output_call(struct call *c, struct ccz_buf *msg, bool half_duplex)
{
    struct im_part kept[64];
    size_t kept_len = 0;
    bool compressed;
    while (next_message(c, msg, &compressed)) {
        struct im_request rq;
        if (!im_get_request(&rq, IM_OUTPUT, ccz_buf_span(msg)) ||
            kept_len + rq.parts_len > sizeof(kept) / sizeof(kept[0]))
            return refuse(c, "malformed");
        if (rq.has_status && rq.code)
            return asked(c, &rq);
        if (!half_duplex) {
            answer(c, rq.parts, rq.parts_len);
            continue;
        }
        memcpy(kept + kept_len, rq.parts, rq.parts_len * sizeof(kept[0]));
        kept_len += rq.parts_len;
    }
    answer(c, kept, kept_len);
    return GRPC_STATUS_OK;
}

static grpc_status_code dispatch(struct call *c, struct ccz_buf *msg)
{
    grpc_slice m = c->details.method;
    if (grpc_slice_str_cmp(m, IM_SERVICE "EmptyCall") == 0)
        return empty_call(c, msg);
    if (grpc_slice_str_cmp(m, IM_SERVICE "UnaryCall") == 0)
        return unary_call(c, msg);
    if (grpc_slice_str_cmp(m, IM_SERVICE "StreamingInputCall") == 0)
        return input_call(c, msg);
    if (grpc_slice_str_cmp(m, IM_SERVICE "StreamingOutputCall") == 0 ||
        grpc_slice_str_cmp(m, IM_SERVICE "FullDuplexCall") == 0)
        return output_call(c, msg, false);
    if (grpc_slice_str_cmp(m, IM_SERVICE "HalfDuplexCall") == 0)
        return output_call(c, msg, true);
    return GRPC_STATUS_UNIMPLEMENTED;
}

static void *serve(void *arg)
{
    struct call *c = arg;
    int cancelled = 0;
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, IM_MESSAGE_MAX);
    grpc_status_code code = dispatch(c, &msg);
    begin(c, false);
    const grpc_slice *last = cc_find(&c->md, IM_ECHO_TRAILER);
    grpc_metadata trailer = {.key = grpc_slice_from_static_string(IM_ECHO_TRAILER)};
    grpc_slice message = grpc_slice_from_copied_string(c->message);
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_STATUS_FROM_SERVER},
                      {.op = GRPC_OP_RECV_CLOSE_ON_SERVER}};
    if (last)
        trailer.value = *last;
    ops[0].data.send_status_from_server.trailing_metadata = &trailer;
    ops[0].data.send_status_from_server.trailing_metadata_count = last ? 1 : 0;
    ops[0].data.send_status_from_server.status = code;
    ops[0].data.send_status_from_server.status_details = &message;
    ops[1].data.recv_close_on_server.cancelled = &cancelled;
    (void)cc_batch(c->call, c->cq, ops, 2);
    grpc_slice_unref(message);
    grpc_call_details_destroy(&c->details);
    grpc_metadata_array_destroy(&c->md);
    grpc_call_unref(c->call);
    grpc_completion_queue_shutdown(c->cq);
    grpc_completion_queue_destroy(c->cq);
    free(c);
    return NULL;
}

/* ------------------------------------------------------------------------------------ server */

static struct call *wait_for_call(void)
{
    struct call *c = calloc(1, sizeof(*c));
    if (!c)
        abort();
    c->cq = grpc_completion_queue_create_for_pluck(NULL);
    grpc_call_details_init(&c->details);
    grpc_metadata_array_init(&c->md);
    if (grpc_server_request_call(server, &c->call, &c->details, &c->md, c->cq, calls, c) !=
        GRPC_CALL_OK)
        abort();
    return c;
}

static void *accept_calls(void *arg)
{
    (void)arg;
    (void)wait_for_call();
    for (;;) {
        grpc_event e = grpc_completion_queue_next(calls, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        pthread_t t;
        if (e.type != GRPC_OP_COMPLETE || !e.success)
            return NULL;
        (void)wait_for_call();
        if (pthread_create(&t, NULL, serve, e.tag) != 0)
            abort();
        pthread_detach(t);
    }
}

int main(int argc, char **argv)
{
    CCZ_AUTO_BUF cert, key;
    pthread_t t;
    if (argc != 3) {
        fprintf(stderr, "usage: ccore_server CERT_FILE KEY_FILE\n");
        return 2;
    }
    cc_read_file(&cert, argv[1]);
    cc_read_file(&key, argv[2]);
    grpc_init();
    grpc_ssl_pem_key_cert_pair pair = {ccz_buf_str(&key), ccz_buf_str(&cert)};
    grpc_server_credentials *creds = grpc_ssl_server_credentials_create_ex(
        NULL, &pair, 1, GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE, NULL);
    calls = grpc_completion_queue_create_for_next(NULL);
    server = grpc_server_create(NULL, NULL);
    grpc_server_register_completion_queue(server, calls, NULL);
    int port = grpc_server_add_http2_port(server, "127.0.0.1:0", creds);
    grpc_server_start(server);
    if (port == 0 || pthread_create(&t, NULL, accept_calls, NULL) != 0)
        return 1;
    printf("%d\n", port);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    _exit(0); /* calls may be in their threads */
}
