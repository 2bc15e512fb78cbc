/* SPDX-License-Identifier: Apache-2.0 */
/* A party with a new identity while its server and client work, and services for some peers only. */
#define _GNU_SOURCE /* nftw */
#include <cczoo/crypto.h>
#include <cczoo/party.h>
#include <cczoo/rpc.h>

#include "temp_dir.h"

#include <stdatomic.h>
#include <unistd.h>

static void must(ccz_rc rc, const struct ccz_err *err)
{
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err->where, err->msg);
    CHECK(rc == CCZ_OK);
}

static void prepare(void)
{
    struct ccz_err err = {0};
    const struct ccz_sim_cfg cfg = {.now_s = ccz_clock_now_s(ccz_clock_system())};
    temp_setup();
    must(ccz_sim_init(temp_path("a"), &cfg, &err), &err);
}

static void open_party(struct ccz_party **p, bool server, enum ccz_ratls_profile profile,
                       const struct ccz_key *key)
{
    static const char *const h2[] = {"h2", NULL};
    struct ccz_err err = {0};
    const struct ccz_party_cfg cfg = {
        .tee = {.provider = "sim-sgx", .sim_dir = temp_path("a")},
        .trust_sim_dir = temp_path("a/trust"),
        .genuine_only = true,
        .server = server,
        .profile = profile,
        .alpn = profile == CCZ_RATLS_SESSION ? NULL : h2,
        .key = key,
    };
    must(ccz_party_new(p, &cfg, &err), &err);
}

/* ------------------------------------------------------------------------- server and client */

struct world {
    struct ccz_party *server, *client;
    struct ccz_rpc_server *rpc;
    struct ccz_rpc_client *channel;
    char target[32];
    atomic_int started, over;
    enum ccz_rpc_code code;
};

static void on_start(struct ccz_rpc_call *call, void *arg)
{
    struct world *w = arg;
    (void)call;
    atomic_fetch_add(&w->started, 1);
}

static void on_result(void *arg, struct ccz_span response, const struct ccz_rpc_result *res,
                      const struct ccz_err *err)
{
    struct world *w = arg;
    (void)response, (void)err;
    w->code = res->code;
    atomic_fetch_add(&w->over, 1);
}

/* The key that the client came with. */
static void who(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg, (void)request;
    CHECK(ccz_rpc_peer(call)->attested);
    ccz_rpc_reply(call, CCZ_SPAN(ccz_rpc_peer(call)->spki_sha256, 32));
}

static void to_server(void *arg, struct ccz_ratls_ctx *ctx)
{
    ccz_rpc_server_set_ratls(arg, ctx);
}

static void to_client(void *arg, struct ccz_ratls_ctx *ctx)
{
    ccz_rpc_client_set_ratls(arg, ctx);
}

static void open_world(struct world *w, enum ccz_ratls_profile profile, const struct ccz_key *key)
{
    struct ccz_err err = {0};
    memset(w, 0, sizeof(*w));
    open_party(&w->server, true, profile, key);
    open_party(&w->client, false, profile, NULL);
    const struct ccz_rpc_server_cfg s = {.listen = "127.0.0.1:0",
                                         .ratls = ccz_party_ratls(w->server)};
    const struct ccz_rpc_handler hold = {.on_start = on_start};
    must(ccz_rpc_server_new(&w->rpc, &s, &err), &err);
    CHECK(ccz_rpc_server_add(w->rpc, "/t/Hold", &hold, w) == CCZ_OK);
    CHECK(ccz_rpc_server_add_unary(w->rpc, "/t/Who", who, w) == CCZ_OK);
    must(ccz_rpc_server_start(w->rpc, &err), &err);
    (void)snprintf(w->target, sizeof(w->target), "127.0.0.1:%u", ccz_rpc_server_port(w->rpc));
    const struct ccz_rpc_client_cfg c = {
        .target = w->target, .ratls = ccz_party_ratls(w->client), .reconnect = true};
    must(ccz_rpc_client_new(&w->channel, &c, &err), &err);
    CHECK(ccz_party_attach(w->server, to_server, w->rpc) == CCZ_OK);
    CHECK(ccz_party_attach(w->client, to_client, w->channel) == CCZ_OK);
}

static void close_world(struct world *w)
{
    ccz_party_detach(w->server, to_server, w->rpc);
    ccz_party_detach(w->client, to_client, w->channel);
    ccz_rpc_client_free(w->channel);
    ccz_rpc_server_free(w->rpc);
    ccz_party_free(w->client);
    ccz_party_free(w->server);
}

static void client_key(uint8_t spki[32], struct world *w)
{
    CCZ_AUTO_BUF response;
    struct ccz_err err = {0};
    ccz_buf_init(&response, 64);
    must(ccz_rpc_unary(&response, NULL, w->channel, "/t/Who", ccz_span_str(""), NULL, &err), &err);
    CHECK(response.size == 32);
    memcpy(spki, response.ptr, 32);
}

/* The server's key, as a new client with the party's context sees it. */
static void server_key(uint8_t spki[32], struct world *w)
{
    CCZ_AUTO(ccz_rpc_client) c = NULL;
    struct ccz_ratls_peer peer;
    struct ccz_err err = {0};
    const struct ccz_rpc_client_cfg cfg = {.target = w->target,
                                           .ratls = ccz_party_ratls(w->client)};
    must(ccz_rpc_client_new(&c, &cfg, &err), &err);
    must(ccz_rpc_client_connect(&peer, c, &err), &err);
    CHECK(peer.attested);
    memcpy(spki, peer.spki_sha256, 32);
}

static void renew(enum ccz_ratls_profile profile, const struct ccz_key *key)
{
    struct world w;
    struct ccz_err err = {0};
    uint8_t s0[32], s1[32], c0[32], c1[32];
    open_world(&w, profile, key);
    CHECK(ccz_rpc_unary_async(w.channel, "/t/Hold", ccz_span_str(""), NULL, on_result, &w) ==
          CCZ_OK);
    while (!atomic_load(&w.started))
        usleep(1000);
    server_key(s0, &w);
    client_key(c0, &w);
    struct ccz_ratls_ctx *before = ccz_ratls_ctx_ref(ccz_party_ratls(w.server));
    must(ccz_party_renew(w.server, &err), &err);
    must(ccz_party_renew(w.client, &err), &err);
    CHECK(ccz_party_ratls(w.server) != before);
    ccz_ratls_ctx_free(before);
    server_key(s1, &w); /* fresh evidence over a fresh key; a key that was given stays */
    CHECK((memcmp(s0, s1, 32) == 0) == (key != NULL));
    client_key(c1, &w);
    CHECK(memcmp(c0, c1, 32) == 0 && atomic_load(&w.over) == 0); /* the connection is the old one */
    CHECK(ccz_rpc_client_recycle(w.channel) == CCZ_OK);
    for (int i = 0; i < 1000 && memcmp(c0, c1, 32) == 0; i++)
        client_key(c1, &w);
    CHECK(memcmp(c0, c1, 32) != 0 && atomic_load(&w.over) == 0);
    close_world(&w);
    CHECK(atomic_load(&w.over) == 1);
}

static void test_renew_session(void)
{
    prepare();
    renew(CCZ_RATLS_SESSION, NULL);
}

static void test_renew_certificate(void)
{
    prepare();
    renew(CCZ_RATLS_CERTIFICATE, NULL);
}

static void test_renew_key(void)
{
    struct ccz_key *key;
    prepare();
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    renew(CCZ_RATLS_SESSION, key);
    renew(CCZ_RATLS_CERTIFICATE, key);
    ccz_key_free(key);
}

struct told {
    unsigned calls;
    struct ccz_ratls_ctx *ctx;
};

static void on_told(void *arg, struct ccz_ratls_ctx *ctx)
{
    struct told *t = arg;
    t->calls++;
    t->ctx = ctx;
}

static void test_attach(void)
{
    CCZ_AUTO(ccz_party) p = NULL;
    struct ccz_err err = {0};
    struct told a = {0}, b = {0};
    prepare();
    open_party(&p, true, CCZ_RATLS_SESSION, NULL);
    CHECK(ccz_party_attach(p, on_told, &a) == CCZ_OK && ccz_party_attach(p, on_told, &b) == CCZ_OK);
    CHECK(a.calls == 1 && b.calls == 1 && a.ctx == ccz_party_ratls(p));
    must(ccz_party_renew(p, &err), &err);
    CHECK(a.calls == 2 && b.calls == 2 && a.ctx == ccz_party_ratls(p) && b.ctx == a.ctx);
    ccz_party_detach(p, on_told, &a);
    ccz_party_detach(p, on_told, &a); /* not there any more */
    must(ccz_party_renew(p, &err), &err);
    CHECK(a.calls == 2 && b.calls == 3 && b.ctx == ccz_party_ratls(p));
}

/* ------------------------------------------------------------------------------------- guard */

/* The claims of this machine's evidence, and a policy that accepts them. */
static void look(struct ccz_ratls_peer *peer, struct ccz_buf *policy)
{
    static const uint8_t report_data[64];
    CCZ_AUTO(ccz_attester) a = NULL;
    CCZ_AUTO(ccz_verifier) v = NULL;
    CCZ_AUTO_BUF quote;
    struct ccz_err err = {0};
    ccz_buf_init(&quote, CCZ_QUOTE_SIZE_MAX);
    ccz_buf_init(policy, CCZ_POLICY_SIZE_MAX);
    const struct ccz_attester_cfg tee = {.provider = "sim-sgx", .sim_dir = temp_path("a")};
    const struct ccz_verifier_cfg cfg = {.clock = ccz_clock_system(),
                                         .trust_sim_dir = temp_path("a/trust")};
    must(ccz_attester_open(&a, &tee, &err), &err);
    must(ccz_attester_quote(&quote, a, report_data, &err), &err);
    must(ccz_verifier_new(&v, &cfg, &err), &err);
    *peer = (struct ccz_ratls_peer){.attested = true};
    must(ccz_verifier_verify(v, &peer->claims, ccz_buf_span(&quote), &err), &err);
    must(ccz_policy_draft(policy, &peer->claims, &err), &err);
}

static void test_guard(void)
{
    static const struct ccz_clock system_clock;
    struct ccz_party_guard *g;
    struct ccz_ratls_peer peer;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF policy;
    prepare();
    look(&peer, &policy);
    CHECK(ccz_party_guard_new(&g, temp_path("missing"), system_clock, &err) != CCZ_OK && !g);
    CHECK(ccz_party_guard_parse(&g, ccz_span_str("{"), system_clock, &err) == CCZ_E_FORMAT && !g);
    must(ccz_file_write(temp_path("policy.json"), ccz_buf_span(&policy), 0600, CCZ_FILE_CREATE_ONLY,
                        &err),
         &err);
    must(ccz_party_guard_new(&g, temp_path("policy.json"), system_clock, &err), &err);
    must(ccz_party_guard_judge(g, &peer, "/s/M", &err), &err);
    struct ccz_ratls_peer other = peer; /* another program */
    other.claims.mrenclave[0] ^= 1;
    CHECK(ccz_party_guard_judge(g, &other, "/s/M", &err) == CCZ_E_POLICY &&
          strncmp(err.where, "policy:", 7) == 0 && err.got[0] && err.expected[0]);
    other = peer; /* evidence alone counts */
    other.attested = false;
    CHECK(ccz_party_guard_judge(g, &other, "/s/M", &err) == CCZ_E_DENIED &&
          strcmp(err.where, "party:not-attested") == 0);
    other.pinned = true;
    CHECK(ccz_party_guard_judge(g, &other, "/s/M", &err) == CCZ_E_DENIED);
    ccz_party_guard_free(g);
    ccz_party_guard_free(NULL);
    must(ccz_party_guard_parse(&g, ccz_span_str("{\"version\": 1, \"rules\": []}"), system_clock,
                               &err),
         &err);
    CHECK(ccz_party_guard_judge(g, &peer, "/s/M", &err) == CCZ_E_POLICY); /* nobody */
    ccz_party_guard_free(g);
}

/* In a server that accepts every genuine peer. */
static void test_guard_server(void)
{
    static const struct ccz_clock system_clock;
    struct world w;
    struct ccz_party_guard *g;
    struct ccz_ratls_peer peer;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF policy;
    prepare();
    look(&peer, &policy);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 100);
    struct ccz_rpc_result res;
    memset(&w, 0, sizeof(w));
    open_party(&w.server, true, CCZ_RATLS_SESSION, NULL);
    open_party(&w.client, false, CCZ_RATLS_SESSION, NULL);
    must(ccz_party_guard_parse(&g, ccz_buf_span(&policy), system_clock, &err), &err);
    struct ccz_party_guard *nobody;
    must(ccz_party_guard_parse(&nobody, ccz_span_str("{\"version\": 1, \"rules\": []}"),
                               system_clock, &err),
         &err);
    const struct ccz_rpc_server_cfg s = {.listen = "127.0.0.1:0",
                                         .ratls = ccz_party_ratls(w.server)};
    must(ccz_rpc_server_new(&w.rpc, &s, &err), &err);
    CHECK(ccz_rpc_server_add_unary(w.rpc, "/a.A/Who", who, &w) == CCZ_OK);
    CHECK(ccz_rpc_server_add_unary(w.rpc, "/b.B/Who", who, &w) == CCZ_OK);
    CHECK(ccz_rpc_server_guard(w.rpc, "/a.A/", ccz_party_guard_judge, g) == CCZ_OK);
    CHECK(ccz_rpc_server_guard(w.rpc, "/b.B/", ccz_party_guard_judge, nobody) == CCZ_OK);
    must(ccz_rpc_server_start(w.rpc, &err), &err);
    (void)snprintf(w.target, sizeof(w.target), "127.0.0.1:%u", ccz_rpc_server_port(w.rpc));
    const struct ccz_rpc_client_cfg c = {.target = w.target, .ratls = ccz_party_ratls(w.client)};
    must(ccz_rpc_client_new(&w.channel, &c, &err), &err);
    must(ccz_rpc_unary(&out, &res, w.channel, "/a.A/Who", ccz_span_str(""), NULL, &err), &err);
    CHECK(ccz_rpc_unary(&out, &res, w.channel, "/b.B/Who", ccz_span_str(""), NULL, &err) !=
              CCZ_OK &&
          res.code == CCZ_RPC_PERMISSION_DENIED && strcmp(err.where, "policy:empty") == 0);
    ccz_rpc_client_free(w.channel);
    ccz_rpc_server_free(w.rpc);
    ccz_party_free(w.client);
    ccz_party_free(w.server);
    ccz_party_guard_free(g);
    ccz_party_guard_free(nobody);
}

static const struct ccz_test tests[] = {{"party.renew_session", test_renew_session},
                                        {"party.renew_certificate", test_renew_certificate},
                                        {"party.renew_key", test_renew_key},
                                        {"party.attach", test_attach},
                                        {"party.guard", test_guard},
                                        {"party.guard_server", test_guard_server}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
