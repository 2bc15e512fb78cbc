/* SPDX-License-Identifier: CC0-1.0 */
/*
 * A gRPC server; docs/reference/grpc.md goes through it.
 *   greeter-server 127.0.0.1:50051 SIM_DIR    attested by a software TEE (cczoo sim init SIM_DIR)
 *   greeter-server 127.0.0.1:50051 tls        without evidence, for stock clients: nobody knows what they talk to
 */
#include "greeter.ccz-rpc.h"

#include <cczoo/party.h>
#include <cczoo/rpc_services.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void say_hello(struct ccz_rpc_call *call, void *arg,
                      const Greeter__V1__HelloRequest *request)
{
    Greeter__V1__HelloReply reply = GREETER__V1__HELLO_REPLY__INIT;
    char text[128];
    (void)arg;
    if (request->name[0] == '\0' || strlen(request->name) > 64) {
        ccz_rpc_finish(call, CCZ_RPC_INVALID_ARGUMENT, "name: 1 to 64 bytes");
        return;
    }
    (void)snprintf(text, sizeof(text), "hello %s", request->name);
    reply.text = text;
    greeter_v1_greeter_say_hello_reply(call, &reply);
}

/* What is left of a call of SayHellos: the stub hands it to each function of the call. */
struct hellos {
    unsigned left;
};

/* No more than the client takes: on_writable goes on where this stops. */
static void more_hellos(struct ccz_rpc_call *call, void *state)
{
    struct hellos *h = state;
    Greeter__V1__HelloReply reply = GREETER__V1__HELLO_REPLY__INIT;
    char text[32];
    for (; h->left > 0 && ccz_rpc_pending(call) < CCZ_RPC_PENDING_HIGH; h->left--) {
        (void)snprintf(text, sizeof(text), "hello, %u to go", h->left - 1);
        reply.text = text;
        greeter_v1_greeter_say_hellos_write(call, &reply);
    }
    if (h->left == 0)
        ccz_rpc_finish(call, CCZ_RPC_OK, NULL);
}

static void *say_hellos(struct ccz_rpc_call *call, void *arg,
                        const Greeter__V1__HelloRequest *request)
{
    struct hellos *h = malloc(sizeof(*h));
    (void)arg;
    if (!h) {
        ccz_rpc_finish(call, CCZ_RPC_RESOURCE_EXHAUSTED, "no memory");
        return NULL;
    }
    h->left = request->times;
    more_hellos(call, h);
    return h;
}

static void hellos_done(struct ccz_rpc_call *call, void *state, bool cancelled)
{
    (void)call, (void)cancelled;
    free(state);
}

static const struct greeter_v1_greeter_service greeter = {
    .say_hello = say_hello,
    .say_hellos = {.on_request = say_hellos, .on_writable = more_hellos, .on_done = hellos_done},
};

int main(int argc, char **argv)
{
    static const char *const h2[] = {"h2", NULL};
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_party) party = NULL;
    CCZ_AUTO(ccz_rpc_health) health = NULL;
    CCZ_AUTO(ccz_rpc_reflection) reflection = NULL;
    CCZ_AUTO(ccz_rpc_server) server = NULL; /* the last one here: ends first */
    if (argc != 3) {
        (void)fputs("usage: greeter-server ADDRESS SIM_DIR|tls\n", stderr);
        return 2;
    }
    ccz_rpc_signals_block(); /* before there are threads: SIGTERM ends ccz_rpc_serve() */
    struct ccz_party_cfg who = {.tee = {.provider = "sim-sgx", .sim_dir = argv[2]},
                                .server = true,
                                .peer_evidence_optional = true};
    if (strcmp(argv[2], "tls") == 0)
        who = (struct ccz_party_cfg){.profile = CCZ_RATLS_TLS_ONLY_INSECURE,
                                     .server = true,
                                     .peer_evidence_optional = true,
                                     .alpn = h2};
    ccz_rc rc = ccz_party_new(&party, &who, &err);
    const struct ccz_rpc_server_cfg cfg = {.listen = argv[1],
                                           .ratls = party ? ccz_party_ratls(party) : NULL};
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_new(&server, &cfg, &err);
    if (rc == CCZ_OK)
        rc = greeter_v1_greeter_register(server, &greeter);
    if (rc == CCZ_OK)
        rc = ccz_rpc_health_new(&health, server, &err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_reflection_new(&reflection, server, &err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_reflection_add(reflection, greeter_descriptors(), &err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_start(server, &err);
    if (rc != CCZ_OK) {
        (void)fprintf(stderr, "error: %s: %s\n", err.where, err.msg);
        return 3;
    }
    (void)printf("listening on port %u\n", ccz_rpc_server_port(server));
    (void)fflush(stdout);
    ccz_rpc_serve((struct ccz_rpc_server *const[]){server}, 1, 5000);
    return 0;
}
