/* SPDX-License-Identifier: Apache-2.0 */
/*
 * greeter.v1.Greeter on our own engine, for programs with libgrpc on the other side (libgrpc.sh).
 *   grpc-greeter server|client ADDRESS POLICY SIM_DIR handshake|certificate
 * The server serves until its standard input ends.
 */
#include <cczoo/codec.h>
#include <cczoo/party.h>
#include <cczoo/rpc.h>

#include <stdio.h>
#include <string.h>

static void print_peer(const struct ccz_ratls_peer *peer)
{
    printf("peer: %s, %s\n", peer->attested ? ccz_tee_name(peer->claims.tee) : "not attested",
           peer->fresh ? "fresh" : "not fresh");
    (void)fflush(stdout);
}

static void say_hello(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg;
    struct ccz_rd r = ccz_rd_from(request);
    struct ccz_pb_field f;
    CCZ_AUTO_BUF text;
    CCZ_AUTO_BUF reply;
    ccz_buf_init(&text, 256);
    ccz_buf_init(&reply, 512);
    ccz_buf_put_str(&text, "hello ");
    while (ccz_pb_next(&f, &r))
        if (f.number == 1 && f.wire == CCZ_PB_LEN)
            ccz_buf_put_span(&text, f.bytes);
    ccz_pb_put_bytes(&reply, 1, ccz_buf_span(&text));
    print_peer(ccz_rpc_peer(call));
    if (r.bad || text.bad || reply.bad)
        ccz_rpc_finish(call, CCZ_RPC_INVALID_ARGUMENT, "a name of at most 200 bytes");
    else
        ccz_rpc_reply(call, ccz_buf_span(&reply));
}

static int fail(const struct ccz_err *err)
{
    fprintf(stderr, "refused: %s: %s got %s, expected %s\n", err->where, err->msg, err->got,
            err->expected);
    return 1;
}

static int serve(struct ccz_party *me, const char *address)
{
    CCZ_AUTO(ccz_rpc_server) server = NULL;
    struct ccz_err err = {0};
    const struct ccz_rpc_server_cfg cfg = {.listen = address, .ratls = ccz_party_ratls(me)};
    if (ccz_rpc_server_new(&server, &cfg, &err) != CCZ_OK ||
        ccz_rpc_server_add_unary(server, "/greeter.v1.Greeter/SayHello", say_hello, NULL) !=
            CCZ_OK ||
        ccz_rpc_server_start(server, &err) != CCZ_OK)
        return fail(&err);
    printf("listening %u\n", ccz_rpc_server_port(server));
    (void)fflush(stdout);
    while (getchar() != EOF)
        ;
    ccz_rpc_server_stop(server, 1000);
    return 0;
}

static int ask(struct ccz_party *me, const char *address)
{
    CCZ_AUTO(ccz_rpc_client) client = NULL;
    CCZ_AUTO_BUF request;
    CCZ_AUTO_BUF reply;
    struct ccz_ratls_peer peer;
    struct ccz_err err = {0};
    ccz_buf_init(&request, 256);
    ccz_buf_init(&reply, 4096);
    ccz_pb_put_str(&request, 1, "cczoo");
    const struct ccz_rpc_client_cfg cfg = {.target = address, .ratls = ccz_party_ratls(me)};
    if (ccz_rpc_client_new(&client, &cfg, &err) != CCZ_OK ||
        ccz_rpc_client_connect(&peer, client, &err) != CCZ_OK ||
        ccz_rpc_unary(&reply, NULL, client, "/greeter.v1.Greeter/SayHello", ccz_buf_span(&request),
                      NULL, &err) != CCZ_OK)
        return fail(&err);
    print_peer(&peer);
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&reply));
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r))
        if (f.number == 1 && f.wire == CCZ_PB_LEN)
            printf("%.*s\n", (int)f.bytes.size, (const char *)f.bytes.ptr);
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const h2[] = {"h2", NULL};
    char trust[1024];
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_party) me = NULL;
    if (argc != 6)
        return 2;
    bool server = strcmp(argv[1], "server") == 0;
    ccz_log_install(ccz_log_stderr, NULL, CCZ_LOG_INFO); /* where the server says whom it refused */
    (void)snprintf(trust, sizeof(trust), "%s/trust", argv[4]);
    const struct ccz_party_cfg cfg = {.tee = {.provider = "sim-sgx", .sim_dir = argv[4]},
                                      .trust_sim_dir = trust,
                                      .policy_file = argv[3],
                                      .profile = strcmp(argv[5], "certificate") == 0
                                                     ? CCZ_RATLS_CERTIFICATE
                                                     : CCZ_RATLS_HANDSHAKE,
                                      .server = server,
                                      .alpn = h2};
    if (ccz_party_new(&me, &cfg, &err) != CCZ_OK)
        return fail(&err) + 2;
    return server ? serve(me, argv[2]) : ask(me, argv[2]);
}
