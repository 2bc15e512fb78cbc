/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC's interop cases with the client of gRPC C-core:   ccore_client CERT_FILE SERVER_NAME HOST:PORT [CASE...]
 */
#define _DEFAULT_SOURCE
#include "ccore.h"
#include "interop_cases.h"

#include <stdio.h>

static const char *cert_file, *server_name;

struct channel {
    grpc_channel *plain, *gzip;
};

struct call {
    grpc_call *call;
    grpc_completion_queue *cq;
    grpc_metadata_array initial, trailing;
    grpc_status_code code;
    grpc_slice message;
    bool has_initial;
};

static void *connect_(const char *target)
{
    struct channel *c = calloc(1, sizeof(*c));
    CCZ_AUTO_BUF pem;
    cc_read_file(&pem, cert_file);
    if (!c)
        return NULL;
    grpc_channel_credentials *creds =
        grpc_ssl_credentials_create_ex(ccz_buf_str(&pem), NULL, NULL, NULL);
    grpc_arg args[3] = {
        {.type = GRPC_ARG_STRING, .key = (char *)(uintptr_t)GRPC_SSL_TARGET_NAME_OVERRIDE_ARG},
        {.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t) "grpc.use_local_subchannel_pool"},
        {.type = GRPC_ARG_INTEGER,
         .key = (char *)(uintptr_t)GRPC_COMPRESSION_CHANNEL_DEFAULT_ALGORITHM}};
    args[0].value.string = (char *)(uintptr_t)server_name;
    args[1].value.integer = 1;
    args[2].value.integer = GRPC_COMPRESS_GZIP;
    grpc_channel_args without = {2, args}, with = {3, args};
    c->plain = grpc_channel_create(target, creds, &without);
    c->gzip = grpc_channel_create(target, creds, &with);
    grpc_channel_credentials_release(creds);
    return c;
}

static void disconnect_(void *channel)
{
    struct channel *c = channel;
    grpc_channel_destroy(c->plain);
    grpc_channel_destroy(c->gzip);
    free(c);
}

static char status_tag; /* of the batch that waits for the status */

static void *open_(void *channel, const struct ic_start *start)
{
    struct channel *ch = channel;
    struct call *c = calloc(1, sizeof(*c));
    int64_t timeout_ms = start->timeout_ms ? start->timeout_ms : 30000;
    if (!c)
        return NULL;
    c->cq = grpc_completion_queue_create_for_pluck(NULL);
    grpc_metadata_array_init(&c->initial);
    grpc_metadata_array_init(&c->trailing);
    grpc_slice path = grpc_slice_from_copied_string(start->path);
    c->call = grpc_channel_create_call(
        start->gzip ? ch->gzip : ch->plain, NULL, GRPC_PROPAGATE_DEFAULTS, c->cq, path, NULL,
        gpr_time_add(gpr_now(GPR_CLOCK_REALTIME), gpr_time_from_millis(timeout_ms, GPR_TIMESPAN)),
        NULL);
    grpc_slice_unref(path);
    grpc_op last = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    last.data.recv_status_on_client.trailing_metadata = &c->trailing;
    last.data.recv_status_on_client.status = &c->code;
    last.data.recv_status_on_client.status_details = &c->message;
    if (grpc_call_start_batch(c->call, &last, 1, &status_tag, NULL) != GRPC_CALL_OK)
        abort();
    grpc_metadata md[2] = {{.key = grpc_slice_from_static_string(IM_ECHO_INITIAL),
                            .value = grpc_slice_from_static_string("test_initial_metadata_value")},
                           {.key = grpc_slice_from_static_string(IM_ECHO_TRAILER),
                            .value = grpc_slice_from_static_buffer("\xab\xab\xab", 3)}};
    grpc_op first = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    first.data.send_initial_metadata.metadata = md;
    first.data.send_initial_metadata.count = start->metadata ? 2 : 0;
    (void)cc_batch(c->call, c->cq, &first, 1); /* if not, the status says why */
    return c;
}

static bool send_(void *call, struct ccz_span msg, bool compressed)
{
    struct call *c = call;
    return cc_send(c->call, c->cq, msg, compressed);
}

static void half_close_(void *call)
{
    struct call *c = call;
    grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    (void)cc_batch(c->call, c->cq, &op, 1);
}

static bool recv_(void *call, struct ccz_buf *msg, bool *compressed)
{
    struct call *c = call;
    grpc_byte_buffer *bytes = NULL;
    grpc_op ops[2] = {{.op = GRPC_OP_RECV_MESSAGE}, {.op = GRPC_OP_RECV_INITIAL_METADATA}};
    ops[0].data.recv_message.recv_message = &bytes;
    ops[1].data.recv_initial_metadata.recv_initial_metadata = &c->initial;
    bool ok = cc_batch(c->call, c->cq, ops, c->has_initial ? 1 : 2);
    c->has_initial = true;
    *compressed = false;
    if (!ok || !bytes)
        return false;
    *compressed = cc_was_compressed(c->call);
    cc_put_bytes(msg, bytes);
    return true;
}

static void cancel_(void *call)
{
    struct call *c = call;
    (void)grpc_call_cancel(c->call, NULL);
}

static void end_(void *call, struct ic_end *end)
{
    struct call *c = call;
    (void)grpc_completion_queue_pluck(c->cq, &status_tag, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    end->code = (int)c->code;
    cc_put_slice(&end->message, c->message);
    const grpc_slice *first = cc_find(&c->initial, IM_ECHO_INITIAL);
    const grpc_slice *last = cc_find(&c->trailing, IM_ECHO_TRAILER);
    if (first)
        cc_put_slice(&end->initial, *first);
    if (last)
        cc_put_slice(&end->trailing, *last);
    grpc_slice_unref(c->message);
    grpc_metadata_array_destroy(&c->initial);
    grpc_metadata_array_destroy(&c->trailing);
    grpc_call_unref(c->call);
    grpc_completion_queue_shutdown(c->cq);
    grpc_completion_queue_destroy(c->cq);
    free(c);
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
    if (argc < 4) {
        fprintf(stderr, "usage: ccore_client CERT_FILE SERVER_NAME HOST:PORT [CASE...]\n");
        return 2;
    }
    cert_file = argv[1];
    server_name = argv[2];
    grpc_init();
    int rc = ic_main(&ops, argc - 2, argv + 2);
    grpc_shutdown();
    return rc;
}
