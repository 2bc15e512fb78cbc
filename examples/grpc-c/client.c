/* SPDX-License-Identifier: CC0-1.0 */
/* One call of greeter.v1.Greeter/SayHello with libgrpc's C API, with RA-TLS. */
#include "attested.h"

#include <cczoo/codec.h>
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/support/time.h>

enum { DEADLINE_S = 20 };

static gpr_timespec deadline(void)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_REALTIME),
                        gpr_time_from_seconds(DEADLINE_S, GPR_TIMESPAN));
}

static grpc_byte_buffer *hello_request(const char *name)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 256);
    ccz_pb_put_str(&out, 1, name);
    grpc_slice slice = grpc_slice_from_copied_buffer((const char *)out.ptr, out.size);
    grpc_byte_buffer *request = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return request;
}

static void print_reply(grpc_byte_buffer *reply)
{
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, reply))
        return;
    grpc_slice in = grpc_byte_buffer_reader_readall(&reader);
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(GRPC_SLICE_START_PTR(in), GRPC_SLICE_LENGTH(in)));
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r))
        if (f.number == 1 && f.wire == CCZ_PB_LEN)
            printf("%.*s\n", (int)f.bytes.size, (const char *)f.bytes.ptr);
    grpc_slice_unref(in);
    grpc_byte_buffer_reader_destroy(&reader);
}

/* @return the status of the call */
static grpc_status_code say_hello(struct attested *me, grpc_channel *channel,
                                  grpc_completion_queue *cq)
{
    grpc_call *call = grpc_channel_create_call(
        channel, NULL, GRPC_PROPAGATE_DEFAULTS, cq,
        grpc_slice_from_static_string("/greeter.v1.Greeter/SayHello"), NULL, deadline(), NULL);
    grpc_byte_buffer *request = hello_request("libgrpc"), *reply = NULL;
    grpc_metadata_array first, last;
    grpc_status_code code = GRPC_STATUS_UNKNOWN;
    grpc_slice details = grpc_empty_slice();
    struct ccz_ratls_peer peer;
    grpc_metadata_array_init(&first);
    grpc_metadata_array_init(&last);
    const grpc_op ops[6] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                            {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = request},
                            {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
                            {.op = GRPC_OP_RECV_INITIAL_METADATA,
                             .data.recv_initial_metadata.recv_initial_metadata = &first},
                            {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &reply},
                            {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
                             .data.recv_status_on_client = {.trailing_metadata = &last,
                                                            .status = &code,
                                                            .status_details = &details}}};
    if (grpc_call_start_batch(call, ops, 6, call, NULL) == GRPC_CALL_OK)
        (void)grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    if (reply && ccz_grpc_call_peer(&peer, me->creds, call, NULL) == CCZ_OK) {
        attested_print(&peer);
        print_reply(reply);
    }
    if (code != GRPC_STATUS_OK)
        fprintf(stderr, "status %d: %.*s\n", code, (int)GRPC_SLICE_LENGTH(details),
                (const char *)GRPC_SLICE_START_PTR(details));
    grpc_slice_unref(details);
    grpc_metadata_array_destroy(&first);
    grpc_metadata_array_destroy(&last);
    grpc_byte_buffer_destroy(request);
    grpc_byte_buffer_destroy(reply);
    grpc_call_unref(call);
    return code;
}

int main(int argc, char **argv)
{
    struct attested me;
    grpc_channel_credentials *creds;
    int status = attested_open(&me, false, argc, argv);
    if (status != 0)
        return status;
    if (ccz_grpc_channel_credentials(&creds, me.creds, NULL) != CCZ_OK)
        return 3;
    grpc_completion_queue *cq = grpc_completion_queue_create_for_next(NULL);
    grpc_channel *channel = grpc_channel_create(argv[1], creds, NULL);
    grpc_status_code code = say_hello(&me, channel, cq);
    grpc_channel_destroy(channel);
    grpc_channel_credentials_release(creds);
    grpc_completion_queue_shutdown(cq);
    while (grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type ==
           GRPC_OP_COMPLETE)
        ;
    grpc_completion_queue_destroy(cq);
    attested_close(&me);
    return code == GRPC_STATUS_OK ? 0 : 1;
}
