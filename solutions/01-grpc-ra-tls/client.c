/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of hello.proto. It judges the server by --policy before it sends anything; with --tee it shows evidence, too.
 * usage: cczoo-greet-client --target ADDR --policy FILE --trust-sim|--collateral DIR [--tee NAME --sim-dir DIR] --call CALL
 *        CALL is hello (with --name NAME), sum (of standard input) or fetch (to standard output)
 */
#include "../options.h"
#include "hello.ccz-rpc.h"

#include <cczoo/party.h>

enum { PIECE_SIZE = 1 << 16 };

static const char *o_target, *o_policy, *o_trust_sim, *o_collateral, *o_tee, *o_sim_dir, *o_call,
    *o_name;

static ccz_rc hello(struct ccz_rpc_client *c, struct ccz_err *err)
{
    CCZ_AUTO(Hello__V1__HelloReply) reply = NULL;
    Hello__V1__HelloRequest request = HELLO__V1__HELLO_REQUEST__INIT;
    const struct ccz_rpc_call_cfg cfg = {.timeout_ms = 5000};
    request.name = (char *)o_name;
    ccz_rc rc = hello_v1_greeter_say_hello_call(&reply, NULL, c, &request, &cfg, err);
    if (rc == CCZ_OK)
        (void)printf("%s\n", reply->text);
    return rc;
}

static ccz_rc sum(struct ccz_rpc_client *c, struct ccz_err *err)
{
    static uint8_t piece[PIECE_SIZE];
    CCZ_AUTO(hello_v1_files_sum) stream = NULL;
    CCZ_AUTO(Hello__V1__Digest) digest = NULL;
    Hello__V1__Chunk chunk = HELLO__V1__CHUNK__INIT;
    char hex[65] = "";
    ccz_rc rc = hello_v1_files_sum_open(&stream, c, NULL, err);
    chunk.data.data = piece;
    for (ccz_rc sent = rc; sent == CCZ_OK;) {
        chunk.data.len = fread(piece, 1, sizeof(piece), stdin);
        if (chunk.data.len == 0)
            break;
        sent = hello_v1_files_sum_send(stream, &chunk); /* waits while the server is busy */
    }
    if (rc == CCZ_OK && ferror(stdin))
        return ccz_fail(err, CCZ_E_IO, "client:input", 0, "standard input cannot be read");
    if (rc == CCZ_OK) /* if not all was sent, it tells why */
        rc = hello_v1_files_sum_finish(&digest, NULL, stream, err);
    if (rc == CCZ_OK && digest->sha256.len != 32)
        rc = ccz_refuse_num(err, CCZ_E_FORMAT, "client:digest", (int64_t)digest->sha256.len, 32);
    if (rc != CCZ_OK)
        return rc;
    ccz_hex(hex, digest->sha256.data, digest->sha256.len);
    (void)printf("%s  %llu bytes\n", hex, (unsigned long long)digest->size);
    return CCZ_OK;
}

static ccz_rc fetch(struct ccz_rpc_client *c, struct ccz_err *err)
{
    CCZ_AUTO(hello_v1_files_fetch) stream = NULL;
    Hello__V1__FetchRequest request = HELLO__V1__FETCH_REQUEST__INIT;
    struct ccz_rpc_result result = {0};
    ccz_rc rc = hello_v1_files_fetch_open(&stream, c, &request, NULL, err);
    while (rc == CCZ_OK) {
        CCZ_AUTO(Hello__V1__Chunk) chunk = NULL;
        rc = hello_v1_files_fetch_recv(&chunk, &result, stream, err);
        if (rc == CCZ_OK && fwrite(chunk->data.data, 1, chunk->data.len, stdout) != chunk->data.len)
            rc = ccz_fail(err, CCZ_E_IO, "client:output", 0, "standard output cannot be written");
    }
    return rc == CCZ_E_NOT_FOUND && result.code == CCZ_RPC_OK ? CCZ_OK : rc; /* the end */
}

static ccz_rc run(struct ccz_err *err)
{
    CCZ_AUTO(ccz_party) party = NULL;
    CCZ_AUTO(ccz_rpc_client) client = NULL;
    struct ccz_ratls_peer server;
    const struct ccz_party_cfg who = {.tee = {.provider = o_tee, .sim_dir = o_sim_dir},
                                      .policy_file = o_policy,
                                      .trust_sim_dir = o_trust_sim,
                                      .collateral_dir = o_collateral};
    ccz_rc rc = ccz_party_new(&party, &who, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_client_cfg cfg = {.target = o_target, .ratls = ccz_party_ratls(party)};
    rc = ccz_rpc_client_new(&client, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(&server, client, err); /* evidence, and nothing else yet */
    if (rc != CCZ_OK)
        return rc;
    (void)fprintf(stderr, "attested%s%s\n", server.fresh ? ", for this session" : "",
                  server.claims.simulated ? " (SIMULATED)" : "");
    return strcmp(o_call, "sum") == 0     ? sum(client, err)
           : strcmp(o_call, "fetch") == 0 ? fetch(client, err)
                                          : hello(client, err);
}

int main(int argc, char **argv)
{
    const struct option opts[] = {{"--target", &o_target},
                                  {"--policy", &o_policy},
                                  {"--trust-sim", &o_trust_sim},
                                  {"--collateral", &o_collateral},
                                  {"--tee", &o_tee},
                                  {"--sim-dir", &o_sim_dir},
                                  {"--call", &o_call},
                                  {"--name", &o_name}};
    struct ccz_err err = {0};
    o_call = "hello", o_name = "world";
    if (!options(opts, sizeof(opts) / sizeof(*opts), argc, argv) || !o_target || !o_policy)
        return usage("cczoo-greet-client --target ADDR --policy FILE ..");
    return verdict(run(&err), &err);
}
