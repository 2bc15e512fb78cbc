/* SPDX-License-Identifier: Apache-2.0 */
/* A gRPC connection between two parties, as in a daemon: evidence of the software TEE, asked for again and again. Then
 * one of them learns from new collateral that the other's platform is not trusted any more. */
#define _GNU_SOURCE /* nftw */
#include <cczoo/party.h>
#include <cczoo/rpc.h>

#include "temp_dir.h"

#include <stdatomic.h>
#include <unistd.h>

enum { INTERVAL_MS = 100 };

static void must(ccz_rc rc, const struct ccz_err *err)
{
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err->where, err->msg);
    CHECK(rc == CCZ_OK);
}

static void sim(const char *name)
{
    struct ccz_err err = {0};
    const struct ccz_sim_cfg cfg = {.now_s = ccz_clock_now_s(ccz_clock_system())};
    must(ccz_sim_init(temp_path(name), &cfg, &err), &err);
}

/* The policy that a first look at this process's evidence drafts. */
static void draft_policy(void)
{
    static const uint8_t report_data[64];
    CCZ_AUTO(ccz_attester) a = NULL;
    CCZ_AUTO(ccz_verifier) v = NULL;
    CCZ_AUTO_BUF quote, text;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    ccz_buf_init(&quote, CCZ_QUOTE_SIZE_MAX);
    ccz_buf_init(&text, CCZ_POLICY_SIZE_MAX);
    const struct ccz_attester_cfg tee = {.provider = "sim-sgx", .sim_dir = temp_path("a")};
    const struct ccz_verifier_cfg cfg = {.clock = ccz_clock_system(),
                                         .trust_sim_dir = temp_path("a/trust")};
    must(ccz_attester_open(&a, &tee, &err), &err);
    must(ccz_attester_quote(&quote, a, report_data, &err), &err);
    must(ccz_verifier_new(&v, &cfg, &err), &err);
    must(ccz_verifier_verify(v, &claims, ccz_buf_span(&quote), &err), &err);
    must(ccz_policy_draft(&text, &claims, &err), &err);
    must(ccz_file_write(temp_path("policy.json"), ccz_buf_span(&text), 0600, CCZ_FILE_CREATE_ONLY,
                        &err),
         &err);
}

static void open_party(struct ccz_party **p, bool server)
{
    struct ccz_err err = {0};
    const struct ccz_party_cfg cfg = {
        .tee = {.provider = "sim-sgx", .sim_dir = temp_path("a")},
        .trust_sim_dir = temp_path("a/trust"),
        .policy_file = temp_path("policy.json"),
        .server = server,
        .require_fresh = true,
        .reattest_interval_ms = server ? INTERVAL_MS : 0,
    };
    must(ccz_party_new(p, &cfg, &err), &err);
}

struct seen {
    atomic_int started, done, over;
    enum ccz_rpc_code code;
    struct ccz_err err;
};

static void on_start(struct ccz_rpc_call *call, void *arg)
{
    struct seen *s = arg;
    CHECK(ccz_rpc_peer(call)->attested && ccz_rpc_peer(call)->fresh);
    atomic_fetch_add(&s->started, 1);
}

static void on_done(struct ccz_rpc_call *call, void *arg, bool cancelled)
{
    struct seen *s = arg;
    (void)call;
    CHECK(cancelled);
    atomic_fetch_add(&s->done, 1);
}

static void on_result(void *arg, struct ccz_span response, const struct ccz_rpc_result *res,
                      const struct ccz_err *err)
{
    struct seen *s = arg;
    (void)response;
    s->code = res->code;
    if (err)
        s->err = *err;
    atomic_fetch_add(&s->over, 1);
}

static void report_rounds(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg, (void)request;
    char text[32];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)ccz_rpc_peer(call)->rounds);
    ccz_rpc_reply(call, ccz_span_str(text));
}

static void wait_for(atomic_int *n)
{
    for (int i = 0; i < 5000 && atomic_load(n) == 0; i++)
        usleep(1000);
    CHECK(atomic_load(n) == 1);
}

static unsigned long rounds(struct ccz_rpc_client *c)
{
    CCZ_AUTO_BUF response;
    struct ccz_err err = {0};
    ccz_buf_init(&response, 64);
    must(ccz_rpc_unary(&response, NULL, c, "/t/Rounds", ccz_span_str(""), NULL, &err), &err);
    return strtoul(ccz_buf_str(&response), NULL, 10);
}

static void test_cut_off(void)
{
    temp_setup();
    sim("a");
    sim("b");
    draft_policy();
    CCZ_AUTO(ccz_party) server = NULL;
    CCZ_AUTO(ccz_party) client = NULL;
    CCZ_AUTO(ccz_rpc_server) rpc = NULL;
    CCZ_AUTO(ccz_rpc_client) channel = NULL;
    struct seen seen = {0};
    struct ccz_err err = {0};
    char target[32];
    open_party(&server, true);
    open_party(&client, false);
    const struct ccz_rpc_server_cfg s = {.listen = "127.0.0.1:0", .ratls = ccz_party_ratls(server)};
    must(ccz_rpc_server_new(&rpc, &s, &err), &err);
    const struct ccz_rpc_handler hold = {.on_start = on_start, .on_done = on_done};
    CHECK(ccz_rpc_server_add(rpc, "/t/Hold", &hold, &seen) == CCZ_OK);
    CHECK(ccz_rpc_server_add_unary(rpc, "/t/Rounds", report_rounds, NULL) == CCZ_OK);
    must(ccz_rpc_server_start(rpc, &err), &err);
    (void)snprintf(target, sizeof(target), "127.0.0.1:%u", ccz_rpc_server_port(rpc));
    const struct ccz_rpc_client_cfg c = {.target = target, .ratls = ccz_party_ratls(client)};
    must(ccz_rpc_client_new(&channel, &c, &err), &err);
    CHECK(ccz_rpc_unary_async(channel, "/t/Hold", ccz_span_str(""), NULL, on_result, &seen) ==
          CCZ_OK);
    wait_for(&seen.started);
    for (int i = 0; i < 100 && rounds(channel) < 2; i++)
        usleep(INTERVAL_MS * 200);
    CHECK(rounds(channel) >= 2 && atomic_load(&seen.over) == 0); /* new calls see renewed claims */

    CHECK(rename(temp_path("a/trust"), temp_path("a/away")) == 0);
    CHECK(rename(temp_path("b/trust"), temp_path("a/trust")) == 0);
    must(ccz_verifier_reload(ccz_party_verifier(server), &err), &err);
    int64_t from = ccz_mono_ms();
    wait_for(&seen.over);
    CHECK(ccz_mono_ms() - from < INTERVAL_MS + 2000);
    wait_for(&seen.done);
    CHECK(seen.code == CCZ_RPC_PERMISSION_DENIED);
    CHECK(strcmp(seen.err.where, "peer:quote:pck-root") == 0);
}

static const struct ccz_test tests[] = {{"party.cut_off", test_cut_off}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
