/* SPDX-License-Identifier: CC0-1.0 */
/* greeter.v1.Greeter on libgrpc's C API, with RA-TLS. Serves until its input ends. */
#include "attested.h"

#include <cczoo/codec.h>
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/support/time.h>

#include <pthread.h>

struct server {
    struct attested me;
    grpc_completion_queue *cq;
    grpc_server *grpc;
    void *say_hello;
};
struct call { /* one at a time is enough for an example */
    grpc_call *grpc;
    grpc_byte_buffer *request, *reply;
    grpc_metadata_array metadata;
    gpr_timespec deadline;
    int cancelled;
};

/* "hello NAME" for a HelloRequest, as a HelloReply. */
static grpc_byte_buffer *say_hello(grpc_byte_buffer *request)
{
    char text[128] = "hello";
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, request))
        return NULL;
    grpc_slice in = grpc_byte_buffer_reader_readall(&reader);
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(GRPC_SLICE_START_PTR(in), GRPC_SLICE_LENGTH(in)));
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r))
        if (f.number == 1 && f.wire == CCZ_PB_LEN)
            (void)snprintf(text, sizeof(text), "hello %.*s",
                           (int)(f.bytes.size < 100 ? f.bytes.size : 100),
                           (const char *)f.bytes.ptr);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 256);
    ccz_pb_put_str(&out, 1, text);
    grpc_slice slice = grpc_slice_from_copied_buffer((const char *)out.ptr, out.size);
    grpc_byte_buffer *reply = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    grpc_slice_unref(in);
    grpc_byte_buffer_reader_destroy(&reader);
    return reply;
}

static bool ask_for_call(struct server *s, struct call *c)
{
    grpc_metadata_array_init(&c->metadata);
    return grpc_server_request_registered_call(s->grpc, s->say_hello, &c->grpc, &c->deadline,
                                               &c->metadata, &c->request, s->cq, s->cq,
                                               s) == GRPC_CALL_OK;
}

static void answer(struct server *s, struct call *c)
{
    struct ccz_ratls_peer peer;
    bool known = ccz_grpc_call_peer(&peer, s->me.creds, c->grpc, NULL) == CCZ_OK && peer.attested;
    grpc_op ops[4] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_RECV_CLOSE_ON_SERVER, .data.recv_close_on_server.cancelled = &c->cancelled},
        {.op = GRPC_OP_SEND_STATUS_FROM_SERVER,
         .data.send_status_from_server.status =
             known ? GRPC_STATUS_OK : GRPC_STATUS_UNAUTHENTICATED},
        {.op = GRPC_OP_SEND_MESSAGE}};
    if (known) {
        attested_print(&peer);
        (void)fflush(stdout);
        ops[3].data.send_message.send_message = c->reply = say_hello(c->request);
    }
    (void)grpc_call_start_batch(c->grpc, ops, c->reply ? 4 : 3, c, NULL);
}

static void forget(struct call *c)
{
    grpc_byte_buffer_destroy(c->request);
    grpc_byte_buffer_destroy(c->reply);
    grpc_metadata_array_destroy(&c->metadata);
    grpc_call_unref(c->grpc);
    *c = (struct call){0};
}

static void serve(struct server *s)
{
    struct call c = {0};
    (void)ask_for_call(s, &c);
    for (;;) {
        grpc_event e = grpc_completion_queue_next(s->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (e.type != GRPC_OP_COMPLETE || e.tag == s->grpc)
            return;
        if (e.tag == s && e.success)
            answer(s, &c);
        else if (e.tag == &c) {
            forget(&c);
            (void)ask_for_call(s, &c);
        }
    }
}

/* In a program with other work, a signal handler's thread would do this. */
static void *wait_for_end(void *arg)
{
    struct server *s = arg;
    while (getchar() != EOF)
        ;
    grpc_server_shutdown_and_notify(s->grpc, s->cq, s->grpc);
    return NULL;
}

int main(int argc, char **argv)
{
    struct server s = {0};
    grpc_server_credentials *creds;
    pthread_t thread;
    int status = attested_open(&s.me, true, argc, argv);
    if (status != 0)
        return status;
    if (ccz_grpc_server_credentials(&creds, s.me.creds, NULL) != CCZ_OK)
        return 3;
    s.cq = grpc_completion_queue_create_for_next(NULL);
    s.grpc = grpc_server_create(NULL, NULL);
    grpc_server_register_completion_queue(s.grpc, s.cq, NULL);
    s.say_hello = grpc_server_register_method(s.grpc, "/greeter.v1.Greeter/SayHello", NULL,
                                              GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
    int port = grpc_server_add_http2_port(s.grpc, argv[1], creds);
    grpc_server_credentials_release(creds);
    if (port <= 0 || pthread_create(&thread, NULL, wait_for_end, &s) != 0)
        return 3;
    grpc_server_start(s.grpc);
    printf("listening %d\n", port);
    (void)fflush(stdout);
    serve(&s);
    (void)pthread_join(thread, NULL);
    grpc_server_destroy(s.grpc);
    grpc_completion_queue_shutdown(s.cq);
    while (grpc_completion_queue_next(s.cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type ==
           GRPC_OP_COMPLETE)
        ;
    grpc_completion_queue_destroy(s.cq);
    attested_close(&s.me);
    return 0;
}
