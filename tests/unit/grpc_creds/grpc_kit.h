/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_GRPC_KIT_H
#define CCZ_GRPC_KIT_H
/* A server of libgrpc that answers "/t.T/M" with what it was sent, and says who asked; one blocking call to it. */
#include <cczoo/grpc_creds.h>
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

#include "ccz_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

static inline gpr_timespec kit_deadline(int seconds)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_REALTIME), gpr_time_from_seconds(seconds, GPR_TIMESPAN));
}

struct kit_server {
    struct ccz_grpc_creds *creds;
    grpc_completion_queue *cq;
    grpc_server *server;
    void *method;
    int port;
    pthread_t thread;
    atomic_uint calls; /* read it before the peer */
    bool ended;
    ccz_rc peer_rc; /* of the last call */
    struct ccz_ratls_peer peer;
};

static inline void kit_answer(struct kit_server *s, grpc_call *call, grpc_byte_buffer *payload,
                              grpc_metadata_array *md)
{
    int cancelled;
    grpc_op ops[4] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = payload},
        {.op = GRPC_OP_SEND_STATUS_FROM_SERVER,
         .data.send_status_from_server.status = GRPC_STATUS_OK},
        {.op = GRPC_OP_RECV_CLOSE_ON_SERVER, .data.recv_close_on_server.cancelled = &cancelled}};
    s->peer_rc = ccz_grpc_call_peer(&s->peer, s->creds, call, NULL);
    s->calls++;
    CHECK(grpc_call_start_batch(call, ops, 4, call, NULL) == GRPC_CALL_OK);
    grpc_event e;
    do { /* the end of the server may be told first */
        e = grpc_completion_queue_next(s->cq, kit_deadline(20), NULL);
        s->ended |= e.tag == s->server;
        CHECK(e.type == GRPC_OP_COMPLETE);
    } while (e.tag != call);
    grpc_byte_buffer_destroy(payload);
    grpc_metadata_array_destroy(md);
    grpc_call_unref(call);
}

static inline void *kit_serve(void *arg)
{
    struct kit_server *s = arg;
    for (;;) {
        grpc_call *call = NULL;
        grpc_byte_buffer *payload = NULL;
        grpc_metadata_array md;
        gpr_timespec deadline;
        grpc_metadata_array_init(&md);
        CHECK(grpc_server_request_registered_call(s->server, s->method, &call, &deadline, &md,
                                                  &payload, s->cq, s->cq, s) == GRPC_CALL_OK);
        grpc_event e = grpc_completion_queue_next(s->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (e.tag == s && e.success) {
            kit_answer(s, call, payload, &md);
            continue;
        }
        grpc_metadata_array_destroy(&md);
        if (!s->ended) /* two events end it */
            CHECK(grpc_completion_queue_next(s->cq, kit_deadline(20), NULL).type ==
                  GRPC_OP_COMPLETE);
        return NULL;
    }
}

/* @p credentials are taken over */
static inline void kit_open(struct kit_server *s, struct ccz_grpc_creds *creds,
                            grpc_server_credentials *credentials)
{
    *s = (struct kit_server){.creds = creds, .peer_rc = CCZ_E_INTERNAL};
    s->cq = grpc_completion_queue_create_for_next(NULL);
    s->server = grpc_server_create(NULL, NULL);
    grpc_server_register_completion_queue(s->server, s->cq, NULL);
    s->method = grpc_server_register_method(s->server, "/t.T/M", NULL,
                                            GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
    s->port = grpc_server_add_http2_port(s->server, "127.0.0.1:0", credentials);
    CHECK(s->port > 0);
    grpc_server_credentials_release(credentials);
    grpc_server_start(s->server);
    CHECK(pthread_create(&s->thread, NULL, kit_serve, s) == 0);
}

static inline void kit_close(struct kit_server *s)
{
    grpc_server_shutdown_and_notify(s->server, s->cq, s->server);
    grpc_server_cancel_all_calls(s->server);
    CHECK(pthread_join(s->thread, NULL) == 0);
    grpc_server_destroy(s->server);
    grpc_completion_queue_shutdown(s->cq);
    while (grpc_completion_queue_next(s->cq, kit_deadline(20), NULL).type == GRPC_OP_COMPLETE)
        ;
    grpc_completion_queue_destroy(s->cq);
}

struct kit_result {
    grpc_status_code code;
    char message[1024];
    char answer[64];
    ccz_rc peer_rc;
    struct ccz_ratls_peer peer;
};

/* A channel of its own for each call; @p credentials are borrowed. */
static inline void kit_call(struct kit_result *r, int port, struct ccz_grpc_creds *creds,
                            grpc_channel_credentials *credentials)
{
    char target[32];
    grpc_arg local = {.type = GRPC_ARG_INTEGER,
                      .key = (char *)(uintptr_t)GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
                      .value = {.integer = 1}};
    const grpc_channel_args args = {.num_args = 1, .args = &local};
    *r = (struct kit_result){.peer_rc = CCZ_E_INTERNAL};
    (void)snprintf(target, sizeof(target), "127.0.0.1:%d", port);
    grpc_completion_queue *cq = grpc_completion_queue_create_for_next(NULL);
    grpc_channel *channel = grpc_channel_create(target, credentials, &args);
    grpc_call *call = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, cq,
                                               grpc_slice_from_static_string("/t.T/M"), NULL,
                                               kit_deadline(20), NULL);
    grpc_slice text = grpc_slice_from_static_string("hello"), details = grpc_empty_slice();
    grpc_byte_buffer *request = grpc_raw_byte_buffer_create(&text, 1), *response = NULL;
    grpc_metadata_array first, last;
    grpc_metadata_array_init(&first);
    grpc_metadata_array_init(&last);
    grpc_op ops[6] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                      {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = request},
                      {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
                      {.op = GRPC_OP_RECV_INITIAL_METADATA,
                       .data.recv_initial_metadata.recv_initial_metadata = &first},
                      {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &response},
                      {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
                       .data.recv_status_on_client = {.trailing_metadata = &last,
                                                      .status = &r->code,
                                                      .status_details = &details}}};
    CHECK(grpc_call_start_batch(call, ops, 6, call, NULL) == GRPC_CALL_OK);
    CHECK(grpc_completion_queue_next(cq, kit_deadline(30), NULL).tag == call);
    (void)snprintf(r->message, sizeof(r->message), "%.*s", (int)GRPC_SLICE_LENGTH(details),
                   (const char *)GRPC_SLICE_START_PTR(details));
    if (response) {
        grpc_byte_buffer_reader reader;
        CHECK(grpc_byte_buffer_reader_init(&reader, response));
        grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
        (void)snprintf(r->answer, sizeof(r->answer), "%.*s", (int)GRPC_SLICE_LENGTH(all),
                       (const char *)GRPC_SLICE_START_PTR(all));
        grpc_slice_unref(all);
        grpc_byte_buffer_reader_destroy(&reader);
        r->peer_rc = ccz_grpc_call_peer(&r->peer, creds, call, NULL);
    }
    grpc_slice_unref(details);
    grpc_metadata_array_destroy(&first);
    grpc_metadata_array_destroy(&last);
    grpc_byte_buffer_destroy(request);
    grpc_byte_buffer_destroy(response);
    grpc_call_unref(call);
    grpc_channel_destroy(channel);
    grpc_completion_queue_shutdown(cq);
    while (grpc_completion_queue_next(cq, kit_deadline(20), NULL).type == GRPC_OP_COMPLETE)
        ;
    grpc_completion_queue_destroy(cq);
}

#endif
