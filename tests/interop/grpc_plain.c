/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stock gRPC peer on libgrpc: TLS with a certificate, and no evidence. For libgrpc.sh, which expects it to be refused.
 *   grpc-plain client HOST:PORT CERT.pem KEY.pem     accepts any server, exit 0 = the call was answered
 *   grpc-plain server HOST:PORT CERT.pem KEY.pem     asks for no certificate; serves until its standard input ends
 */
#define _DEFAULT_SOURCE
#include <cczoo/base.h>
#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static gpr_timespec deadline(int seconds)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_REALTIME), gpr_time_from_seconds(seconds, GPR_TIMESPAN));
}

static void drain(grpc_completion_queue *cq)
{
    grpc_completion_queue_shutdown(cq);
    while (grpc_completion_queue_next(cq, deadline(10), NULL).type == GRPC_OP_COMPLETE)
        ;
    grpc_completion_queue_destroy(cq);
}

static grpc_tls_credentials_options *options(const char *cert, const char *key)
{
    grpc_tls_credentials_options *o = grpc_tls_credentials_options_create();
    grpc_tls_identity_pairs *pairs = grpc_tls_identity_pairs_create();
    grpc_tls_certificate_verifier *any = grpc_tls_certificate_verifier_no_op_create();
    grpc_tls_identity_pairs_add_pair(pairs, key, cert);
    grpc_tls_certificate_provider *p =
        grpc_tls_certificate_provider_static_data_create(NULL, pairs);
    grpc_tls_credentials_options_set_certificate_provider(o, p);
    grpc_tls_credentials_options_watch_identity_key_cert_pairs(o);
    grpc_tls_credentials_options_set_certificate_verifier(o, any);
    grpc_tls_credentials_options_set_check_call_host(o, 0);
    grpc_tls_certificate_provider_release(p);
    grpc_tls_certificate_verifier_release(any);
    return o;
}

static int run_client(const char *target, grpc_tls_credentials_options *o)
{
    grpc_tls_credentials_options_set_verify_server_cert(o, 0);
    grpc_channel_credentials *creds = grpc_tls_credentials_create(o);
    grpc_channel *channel = grpc_channel_create(target, creds, NULL);
    grpc_completion_queue *cq = grpc_completion_queue_create_for_next(NULL);
    grpc_call *call = grpc_channel_create_call(
        channel, NULL, GRPC_PROPAGATE_DEFAULTS, cq,
        grpc_slice_from_static_string("/greeter.v1.Greeter/SayHello"), NULL, deadline(10), NULL);
    grpc_slice hello = grpc_slice_from_static_string("\n\5plain"), details = grpc_empty_slice();
    grpc_byte_buffer *request = grpc_raw_byte_buffer_create(&hello, 1), *reply = NULL;
    grpc_metadata_array first, last;
    grpc_status_code code = GRPC_STATUS_UNKNOWN;
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
        (void)grpc_completion_queue_next(cq, deadline(20), NULL);
    printf("status %d\n", code);
    grpc_slice_unref(details);
    grpc_metadata_array_destroy(&first);
    grpc_metadata_array_destroy(&last);
    grpc_byte_buffer_destroy(request);
    grpc_byte_buffer_destroy(reply);
    grpc_call_unref(call);
    grpc_channel_destroy(channel);
    grpc_channel_credentials_release(creds);
    drain(cq);
    return code == GRPC_STATUS_OK ? 0 : 1;
}

static int run_server(const char *address, grpc_tls_credentials_options *o)
{
    grpc_server_credentials *creds = grpc_tls_server_credentials_create(o);
    grpc_completion_queue *cq = grpc_completion_queue_create_for_next(NULL);
    grpc_server *server = grpc_server_create(NULL, NULL);
    grpc_server_register_completion_queue(server, cq, NULL);
    int port = grpc_server_add_http2_port(server, address, creds);
    grpc_server_start(server);
    printf("listening %d\n", port);
    (void)fflush(stdout);
    /* nobody gets as far as a call; the queue has to be polled for handshakes */
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    while (poll(&in, 1, 0) == 0) /* until it is closed */
        (void)grpc_completion_queue_next(
            cq, gpr_time_add(gpr_now(GPR_CLOCK_REALTIME), gpr_time_from_millis(100, GPR_TIMESPAN)),
            NULL);
    grpc_server_shutdown_and_notify(server, cq, server);
    grpc_server_cancel_all_calls(server);
    (void)grpc_completion_queue_next(cq, deadline(10), NULL);
    grpc_server_destroy(server);
    grpc_server_credentials_release(creds);
    drain(cq);
    return port > 0 ? 0 : 3;
}

int main(int argc, char **argv)
{
    CCZ_AUTO_BUF cert;
    CCZ_AUTO_BUF key;
    ccz_buf_init(&cert, 65536);
    ccz_buf_init(&key, 65536);
    if (argc != 5 || ccz_file_read(&cert, argv[3], NULL) != CCZ_OK ||
        ccz_file_read(&key, argv[4], NULL) != CCZ_OK)
        return 2;
    ccz_buf_u8(&cert, 0);
    ccz_buf_u8(&key, 0);
    grpc_init();
    grpc_tls_credentials_options *o = options((const char *)cert.ptr, (const char *)key.ptr);
    int status = strcmp(argv[1], "server") == 0 ? run_server(argv[2], o) : run_client(argv[2], o);
    grpc_shutdown();
    return status;
}
