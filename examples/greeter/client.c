/* SPDX-License-Identifier: CC0-1.0 */
/*
 * A gRPC client that verifies the server first; docs/reference/grpc.md goes through it.
 *   greeter-client 127.0.0.1:50051 POLICY SIM_DIR/trust NAME [TIMES]
 */
#include "greeter.ccz-rpc.h"

#include <cczoo/party.h>

#include <stdio.h>
#include <stdlib.h>

static ccz_rc one(struct ccz_rpc_client *client, char *name, struct ccz_err *err)
{
    CCZ_AUTO(Greeter__V1__HelloReply) reply = NULL;
    Greeter__V1__HelloRequest request = GREETER__V1__HELLO_REQUEST__INIT;
    const struct ccz_rpc_call_cfg cfg = {.timeout_ms = 2000};
    request.name = name;
    ccz_rc rc = greeter_v1_greeter_say_hello_call(&reply, NULL, client, &request, &cfg, err);
    if (rc == CCZ_OK)
        (void)puts(reply->text);
    return rc;
}

static ccz_rc many(struct ccz_rpc_client *client, uint32_t times, struct ccz_err *err)
{
    CCZ_AUTO(greeter_v1_greeter_say_hellos) stream = NULL;
    Greeter__V1__HelloRequest request = GREETER__V1__HELLO_REQUEST__INIT;
    struct ccz_rpc_result result = {0};
    request.times = times;
    ccz_rc rc = greeter_v1_greeter_say_hellos_open(&stream, client, &request, NULL, err);
    while (rc == CCZ_OK) {
        CCZ_AUTO(Greeter__V1__HelloReply) reply = NULL;
        rc = greeter_v1_greeter_say_hellos_recv(&reply, &result, stream, err);
        if (rc == CCZ_OK)
            (void)puts(reply->text);
    }
    return rc == CCZ_E_NOT_FOUND && result.code == CCZ_RPC_OK ? CCZ_OK : rc; /* the end */
}

int main(int argc, char **argv)
{
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_party) party = NULL;
    CCZ_AUTO(ccz_rpc_client) client = NULL;
    if (argc != 5 && argc != 6) {
        (void)fputs("usage: greeter-client ADDRESS POLICY TRUST_DIR NAME [TIMES]\n", stderr);
        return 2;
    }
    const struct ccz_party_cfg who = {.policy_file = argv[2], .trust_sim_dir = argv[3]};
    ccz_rc rc = ccz_party_new(&party, &who, &err);
    const struct ccz_rpc_client_cfg cfg = {.target = argv[1],
                                           .ratls = party ? ccz_party_ratls(party) : NULL};
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_new(&client, &cfg, &err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(NULL, client, &err); /* the server is judged here */
    if (rc == CCZ_OK)
        rc = one(client, argv[4], &err);
    if (rc == CCZ_OK && argc == 6)
        rc = many(client, (uint32_t)strtoul(argv[5], NULL, 10), &err);
    if (rc != CCZ_OK)
        (void)fprintf(stderr, "%s: %s: %s\n", err.got[0] ? "refused" : "error", err.where, err.msg);
    return rc == CCZ_OK ? 0 : 1;
}
