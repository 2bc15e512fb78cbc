/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC C-core as one of the peers of grpc_peers.sh: its C interface with one completion queue and one thread on each side, with
 * registered methods, every operation of a unary call in one batch. Command line: grpc_peer.h. The server reads
 * its identity from the files that PEER_KEY and PEER_CERT name; the client takes any certificate.
 */
#include "grpc_peer.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <pthread.h>

static char *read_file(const char *variable)
{
    const char *path = getenv(variable);
    FILE *f = path ? fopen(path, "r") : NULL;
    char *text = calloc(1, 65536);
    peer_must(f && text && fread(text, 1, 65535, f) > 0, variable);
    (void)fclose(f);
    return text;
}

static gpr_timespec forever(void)
{
    return gpr_inf_future(GPR_CLOCK_MONOTONIC);
}

static grpc_event next(grpc_completion_queue *cq)
{
    return grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
}

/* One message of these bytes; they are shared, not copied. Sending empties the buffer. */
static grpc_byte_buffer *message_of(grpc_slice bytes)
{
    return grpc_raw_byte_buffer_create(&bytes, 1);
}

static grpc_slice bytes_of_size(size_t size)
{
    grpc_slice bytes = grpc_slice_malloc(size);
    memset(GRPC_SLICE_START_PTR(bytes), 'x', size);
    return bytes;
}

static void start_batch(grpc_call *call, const grpc_op *ops, size_t len, void *tag)
{
    peer_must(grpc_call_start_batch(call, ops, len, tag, NULL) == GRPC_CALL_OK, "batch");
}

/* --------------------------------------------------------------------------------------- server */

static grpc_server *server;
static grpc_completion_queue *cq;

enum state { S_WAITING, S_ANSWERED, S_STREAMING };
struct scall {
    enum state state;
    void *method;
    bool is_stream;
    grpc_call *call;
    grpc_metadata_array metadata;
    gpr_timespec deadline;
    grpc_byte_buffer *request;
    grpc_slice text; /* of each message of a stream */
    int cancelled;
};

static void expect(struct scall *c)
{
    c->state = S_WAITING;
    grpc_metadata_array_init(&c->metadata);
    peer_must(grpc_server_request_registered_call(server, c->method, &c->call, &c->deadline,
                                                  &c->metadata, &c->request, cq, cq,
                                                  c) == GRPC_CALL_OK,
              "request");
}

static struct scall *scall_new(void *method, bool is_stream)
{
    struct scall *c = calloc(1, sizeof(*c));
    peer_must(c != NULL, "memory");
    c->method = method;
    c->is_stream = is_stream;
    expect(c);
    return c;
}

static void answer(struct scall *c)
{
    grpc_op ops[4] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                      {.op = GRPC_OP_SEND_MESSAGE},
                      {.op = GRPC_OP_SEND_STATUS_FROM_SERVER},
                      {.op = GRPC_OP_RECV_CLOSE_ON_SERVER}};
    ops[1].data.send_message.send_message = c->request; /* an echo, whose bytes are shared too */
    ops[2].data.send_status_from_server.status = GRPC_STATUS_OK;
    ops[3].data.recv_close_on_server.cancelled = &c->cancelled;
    c->state = S_ANSWERED;
    start_batch(c->call, ops, 4, c);
}

static void send_next(struct scall *c)
{
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    op.data.send_message.send_message = message_of(c->text);
    start_batch(c->call, &op, 1, c);
    grpc_byte_buffer_destroy(op.data.send_message.send_message);
}

static void begin_stream(struct scall *c)
{
    grpc_byte_buffer_reader reader;
    peer_must(grpc_byte_buffer_reader_init(&reader, c->request) == 1, "request of a stream");
    grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
    peer_must(GRPC_SLICE_LENGTH(all) == PEER_REQUEST_SIZE, "request of a stream");
    size_t size = peer_request_size(GRPC_SLICE_START_PTR(all));
    grpc_slice_unref(all);
    grpc_byte_buffer_reader_destroy(&reader);
    c->text = bytes_of_size(size);
    c->state = S_STREAMING;
    grpc_op op = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    start_batch(c->call, &op, 1, c);
}

static void release(struct scall *c)
{
    if (c->request)
        grpc_byte_buffer_destroy(c->request);
    if (c->state == S_STREAMING)
        grpc_slice_unref(c->text);
    c->request = NULL;
    grpc_metadata_array_destroy(&c->metadata);
    grpc_call_unref(c->call);
    c->call = NULL;
    expect(c);
}

static void on_server_event(struct scall *c, bool success)
{
    if (c->state == S_WAITING) {
        peer_must(success, "server stopped");
        if (!c->request) /* the client went before it had sent it */
            release(c);
        else if (c->is_stream)
            begin_stream(c);
        else
            answer(c);
    } else if (c->state == S_STREAMING && success) { /* what was sent is taken */
        send_next(c);
    } else {
        release(c);
    }
}

static void *run_server(void *arg)
{
    (void)arg;
    for (;;) {
        grpc_event ev = next(cq);
        on_server_event(ev.tag, ev.success);
    }
    return NULL;
}

static void serve(void)
{
    pthread_t thread;
    grpc_ssl_pem_key_cert_pair pair = {.private_key = read_file("PEER_KEY"),
                                       .cert_chain = read_file("PEER_CERT")};
    grpc_server_credentials *creds = grpc_ssl_server_credentials_create_ex(
        NULL, &pair, 1, GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE, NULL);
    server = grpc_server_create(NULL, NULL);
    cq = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(server, cq, NULL);
    void *unary = grpc_server_register_method(server, PEER_UNARY_PATH, NULL,
                                              GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
    void *stream = grpc_server_register_method(server, PEER_STREAM_PATH, NULL,
                                               GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
    int port = grpc_server_add_http2_port(server, "127.0.0.1:0", creds);
    peer_must(unary && stream && port > 0, "server");
    grpc_server_start(server);
    for (int i = 0; i < PEER_STREAMS_MAX; i++)
        scall_new(unary, false);
    for (int i = 0; i < 4; i++)
        scall_new(stream, true);
    peer_must(pthread_create(&thread, NULL, run_server, NULL) == 0, "thread");
    peer_say_port((unsigned)port);
    peer_wait_for_end();
}

/* --------------------------------------------------------------------------------------- client */

static int accept_any(void *user, grpc_tls_custom_verification_check_request *request,
                      grpc_tls_on_custom_verification_check_done_cb callback, void *callback_arg,
                      grpc_status_code *status, char **details)
{
    (void)user, (void)request, (void)callback, (void)callback_arg, (void)details;
    *status = GRPC_STATUS_OK;
    return 1;
}

static void no_cancel(void *user, grpc_tls_custom_verification_check_request *request)
{
    (void)user, (void)request;
}

static void no_destruct(void *user)
{
    (void)user;
}

static grpc_channel *connect_to(const char *address)
{
    static grpc_tls_certificate_verifier_external any = {
        .verify = accept_any, .cancel = no_cancel, .destruct = no_destruct};
    grpc_tls_certificate_verifier *verifier = grpc_tls_certificate_verifier_external_create(&any);
    grpc_tls_credentials_options *options = grpc_tls_credentials_options_create();
    grpc_tls_credentials_options_set_verify_server_cert(options, 0);
    grpc_tls_credentials_options_set_check_call_host(options, 0);
    grpc_tls_credentials_options_set_certificate_verifier(options, verifier);
    grpc_tls_certificate_verifier_release(verifier);
    grpc_channel_credentials *creds = grpc_tls_credentials_create(options);
    return grpc_channel_create(address, creds, NULL);
}

struct lane {
    grpc_call *call;
    grpc_byte_buffer *response;
    grpc_metadata_array initial, trailing;
    grpc_status_code status;
    grpc_slice details;
    int64_t from_ns;
};

static void lane_begin(struct lane *l, grpc_channel *channel, void *method)
{
    grpc_metadata_array_init(&l->initial);
    grpc_metadata_array_init(&l->trailing);
    l->call = grpc_channel_create_registered_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, cq,
                                                  method, forever(), NULL);
}

static void start_unary(struct lane *l, grpc_channel *channel, void *method, grpc_slice body)
{
    grpc_op ops[6] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},  {.op = GRPC_OP_SEND_MESSAGE},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}, {.op = GRPC_OP_RECV_INITIAL_METADATA},
        {.op = GRPC_OP_RECV_MESSAGE},           {.op = GRPC_OP_RECV_STATUS_ON_CLIENT}};
    lane_begin(l, channel, method);
    ops[1].data.send_message.send_message = message_of(body);
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &l->initial;
    ops[4].data.recv_message.recv_message = &l->response;
    ops[5].data.recv_status_on_client.trailing_metadata = &l->trailing;
    ops[5].data.recv_status_on_client.status = &l->status;
    ops[5].data.recv_status_on_client.status_details = &l->details;
    start_batch(l->call, ops, 6, l);
    grpc_byte_buffer_destroy(ops[1].data.send_message.send_message);
}

static void lane_end(struct lane *l)
{
    grpc_byte_buffer_destroy(l->response);
    l->response = NULL;
    grpc_slice_unref(l->details);
    grpc_metadata_array_destroy(&l->initial);
    grpc_metadata_array_destroy(&l->trailing);
    grpc_call_unref(l->call);
}

static void run_unary(const struct peer_args *a, struct peer_tally *tally, grpc_channel *channel)
{
    static struct lane lanes[PEER_STREAMS_MAX];
    void *method = grpc_channel_register_call(channel, PEER_UNARY_PATH, NULL, NULL);
    grpc_slice body = bytes_of_size(a->size);
    for (unsigned i = 0; i < a->streams; i++) {
        lanes[i].from_ns = peer_now_ns();
        start_unary(&lanes[i], channel, method, body);
    }
    for (;;) {
        struct lane *l = next(cq).tag;
        peer_must(l->status == GRPC_STATUS_OK && l->response &&
                      grpc_byte_buffer_length(l->response) == a->size,
                  "a call failed");
        l->from_ns = peer_tally_add(tally, l->from_ns);
        lane_end(l);
        start_unary(l, channel, method, body);
    }
}

static void run_stream(const struct peer_args *a, struct peer_tally *tally, grpc_channel *channel)
{
    static struct lane l;
    void *method = grpc_channel_register_call(channel, PEER_STREAM_PATH, NULL, NULL);
    uint8_t request[PEER_REQUEST_SIZE];
    peer_must(a->streams == 1, "one stream at a time");
    peer_request(request, a->size);
    grpc_slice slice = grpc_slice_from_copied_buffer((const char *)request, sizeof(request));
    grpc_op ops[4] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                      {.op = GRPC_OP_SEND_MESSAGE},
                      {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
                      {.op = GRPC_OP_RECV_INITIAL_METADATA}};
    lane_begin(&l, channel, method);
    ops[1].data.send_message.send_message = message_of(slice);
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &l.initial;
    start_batch(l.call, ops, 4, &l);
    peer_must(next(cq).success, "stream");
    for (l.from_ns = peer_now_ns();; l.from_ns = peer_tally_add(tally, l.from_ns)) {
        grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
        op.data.recv_message.recv_message = &l.response;
        start_batch(l.call, &op, 1, &l);
        peer_must(next(cq).success && l.response && grpc_byte_buffer_length(l.response) == a->size,
                  "message");
        grpc_byte_buffer_destroy(l.response);
    }
}

int main(int argc, char **argv)
{
    static struct peer_tally tally;
    struct peer_args a;
    peer_args_read(&a, argc, argv);
    grpc_init();
    if (a.server)
        serve();
    cq = grpc_completion_queue_create_for_next(NULL);
    grpc_channel *channel = connect_to(a.address);
    peer_tally_start(&tally, &a);
    if (a.stream)
        run_stream(&a, &tally, channel);
    run_unary(&a, &tally, channel);
    return 0;
}
