/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server of hello.proto. It shows evidence to whoever connects; with --policy, clients have to show some, too.
 * usage: cczoo-greet-server --listen ADDR --port-file FILE --share FILE [--tee NAME --sim-dir DIR]
 *        [--policy FILE --trust-sim|--collateral DIR]
 */
#include "../options.h"
#include "hello.ccz-rpc.h"

#include <cczoo/crypto.h>
#include <cczoo/party.h>
#include <cczoo/rpc_services.h>

#include <stdlib.h>

enum { PIECE_SIZE = 1 << 16, FILE_SIZE_MAX = 1 << 30 };

static const char *o_listen, *o_port_file, *o_share, *o_tee, *o_sim_dir, *o_policy, *o_trust_sim,
    *o_collateral;
static struct ccz_buf shared;

/* What is known about the client was verified before the first call. */
static void say_hello(struct ccz_rpc_call *call, void *arg, const Hello__V1__HelloRequest *request)
{
    const struct ccz_ratls_peer *who = ccz_rpc_peer(call);
    Hello__V1__HelloReply reply = HELLO__V1__HELLO_REPLY__INIT;
    char text[256], id[65] = "anybody";
    (void)arg;
    if (strlen(request->name) > 64) {
        ccz_rpc_finish(call, CCZ_RPC_INVALID_ARGUMENT, "a name has at most 64 bytes");
        return;
    }
    if (who->attested)
        ccz_hex(id, who->claims.mrenclave, sizeof(who->claims.mrenclave));
    (void)snprintf(text, sizeof(text), "hello %s, to me you are %s", request->name, id);
    reply.text = text;
    hello_v1_greeter_say_hello_reply(call, &reply);
}

/* Sum: a stream from the client. */
struct sum {
    struct ccz_hasher *hasher;
    uint64_t size;
};

static void *sum_start(struct ccz_rpc_call *call, void *arg)
{
    struct sum *s = calloc(1, sizeof(*s));
    (void)arg;
    if (!s || ccz_hasher_new(&s->hasher, CCZ_SHA256) != CCZ_OK)
        ccz_rpc_finish(call, CCZ_RPC_RESOURCE_EXHAUSTED, "no memory"); /* nothing follows */
    return s;
}

static void sum_piece(struct ccz_rpc_call *call, void *state, const Hello__V1__Chunk *chunk)
{
    struct sum *s = state;
    s->size += chunk->data.len;
    if (ccz_hasher_put(s->hasher, CCZ_SPAN(chunk->data.data, chunk->data.len)) != CCZ_OK)
        ccz_rpc_finish(call, CCZ_RPC_INTERNAL, "no hash");
}

static void sum_all(struct ccz_rpc_call *call, void *state)
{
    struct sum *s = state;
    uint8_t sha256[32];
    Hello__V1__Digest digest = HELLO__V1__DIGEST__INIT;
    if (ccz_hasher_done(sha256, s->hasher) != CCZ_OK)
        ccz_rpc_finish(call, CCZ_RPC_INTERNAL, "no hash");
    digest.sha256 = (ProtobufCBinaryData){sizeof(sha256), sha256};
    digest.size = s->size;
    hello_v1_files_sum_reply(call, &digest); /* ignored if the call has ended */
}

static void sum_done(struct ccz_rpc_call *call, void *state, bool cancelled)
{
    struct sum *s = state;
    (void)call, (void)cancelled;
    ccz_hasher_free(s ? s->hasher : NULL);
    free(s);
}

/* Fetch: a stream to the client, as far as it takes it; goes on at on_writable. */
static void fetch_more(struct ccz_rpc_call *call, void *state)
{
    size_t *at = state;
    while (*at < shared.size && ccz_rpc_pending(call) < CCZ_RPC_PENDING_HIGH) {
        Hello__V1__Chunk chunk = HELLO__V1__CHUNK__INIT;
        size_t left = shared.size - *at;
        chunk.data.data = shared.ptr + *at;
        chunk.data.len = left < PIECE_SIZE ? left : PIECE_SIZE;
        *at += chunk.data.len;
        hello_v1_files_fetch_write(call, &chunk);
    }
    if (*at == shared.size)
        ccz_rpc_finish(call, CCZ_RPC_OK, NULL);
}

static void *fetch(struct ccz_rpc_call *call, void *arg, const Hello__V1__FetchRequest *request)
{
    size_t *at = calloc(1, sizeof(*at));
    (void)arg, (void)request;
    if (at)
        fetch_more(call, at);
    else
        ccz_rpc_finish(call, CCZ_RPC_RESOURCE_EXHAUSTED, "no memory");
    return at;
}

static void fetch_done(struct ccz_rpc_call *call, void *state, bool cancelled)
{
    (void)call, (void)cancelled;
    free(state);
}

static const struct hello_v1_greeter_service greeter = {.say_hello = say_hello};
static const struct hello_v1_files_service files = {
    .sum = {sum_start, sum_piece, sum_all, NULL, sum_done},
    .fetch = {fetch, fetch_more, fetch_done},
};

/* What a server offers besides: its health, for who distributes calls, and its interface, for tools. */
static ccz_rc add_services(struct ccz_rpc_health **health, struct ccz_rpc_reflection **reflection,
                           struct ccz_rpc_server *server, struct ccz_err *err)
{
    ccz_rc rc = hello_v1_greeter_register(server, &greeter);
    if (rc == CCZ_OK)
        rc = hello_v1_files_register(server, &files);
    if (rc == CCZ_OK)
        rc = ccz_rpc_health_new(health, server, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_reflection_new(reflection, server, err);
    return rc == CCZ_OK ? ccz_rpc_reflection_add(*reflection, hello_descriptors(), err) : rc;
}

static ccz_rc serve(struct ccz_err *err)
{
    CCZ_AUTO(ccz_party) party = NULL;
    CCZ_AUTO(ccz_rpc_health) health = NULL;
    CCZ_AUTO(ccz_rpc_reflection) reflection = NULL;
    CCZ_AUTO(ccz_rpc_server) server = NULL;
    const struct ccz_party_cfg who = {.tee = {.provider = o_tee, .sim_dir = o_sim_dir},
                                      .server = true,
                                      .policy_file = o_policy,
                                      .trust_sim_dir = o_trust_sim,
                                      .collateral_dir = o_collateral,
                                      .peer_evidence_optional = !o_policy};
    ccz_rc rc = ccz_party_new(&party, &who, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_server_cfg cfg = {.listen = o_listen, .ratls = ccz_party_ratls(party)};
    rc = ccz_rpc_server_new(&server, &cfg, err);
    if (rc == CCZ_OK)
        rc = add_services(&health, &reflection, server, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_start(server, err);
    if (rc == CCZ_OK)
        rc = write_port(o_port_file, ccz_rpc_server_port(server), err);
    if (rc == CCZ_OK && ccz_party_simulated(party))
        (void)fputs("SIMULATED: evidence comes from a software TEE\n", stderr);
    if (rc == CCZ_OK)
        ccz_rpc_serve((struct ccz_rpc_server *const[]){server}, 1, 5000);
    return rc;
}

int main(int argc, char **argv)
{
    const struct option opts[] = {{"--listen", &o_listen},       {"--port-file", &o_port_file},
                                  {"--share", &o_share},         {"--tee", &o_tee},
                                  {"--sim-dir", &o_sim_dir},     {"--policy", &o_policy},
                                  {"--trust-sim", &o_trust_sim}, {"--collateral", &o_collateral}};
    struct ccz_err err = {0};
    if (!options(opts, sizeof(opts) / sizeof(*opts), argc, argv) || !o_listen || !o_port_file ||
        !o_share)
        return usage("cczoo-greet-server --listen ADDR --port-file FILE --share FILE ..");
    ccz_process_harden();
    ccz_rpc_signals_block(); /* before there are threads */
    ccz_log_install(ccz_log_stderr, NULL, CCZ_LOG_INFO);
    ccz_buf_init(&shared, FILE_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&shared, o_share, &err);
    if (rc == CCZ_OK)
        rc = serve(&err);
    ccz_buf_free(&shared);
    return verdict(rc, &err);
}
