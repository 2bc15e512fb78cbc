/* SPDX-License-Identifier: Apache-2.0 */
/* How fast calls and handshakes may come in over gRPC: the buckets by a clock of the test's own, then over the network. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "kms/gate.h"
#include "kms/kms_dir.h"
#include "kms/kms_net.h"
#include "kms/rate.h"

static const char *pass(struct cczi_kms_gate *g, const struct ccz_ratls_peer *peer,
                        const char *address, int64_t now_ms)
{
    static struct ccz_err err;
    uint32_t wait_s = 0;
    err = (struct ccz_err){0};
    ccz_rc rc = cczi_kms_gate_pass(&wait_s, g, peer, address, now_ms, &err);
    CHECK(rc == CCZ_OK || (rc == CCZ_E_LIMIT && wait_s >= 1 && err.hint[0]));
    return rc == CCZ_OK ? "" : err.where;
}

static void test_gate(void)
{
    const struct ccz_kms_rates rates = {.address_rate = 10,
                                        .address_burst = 5,
                                        .principal_rate = 10,
                                        .principal_burst = 3,
                                        .total_rate = 10,
                                        .total_burst = 12};
    const struct ccz_ratls_peer nobody = {0};
    struct ccz_ratls_peer w = fix_peer(FIX_WORKLOAD), other = w, pinned = fix_peer(FIX_ADMIN);
    struct cczi_kms_gate *g;
    struct ccz_err err = {0};
    CHECK(cczi_kms_gate_new(&g, &rates, &err) == CCZ_OK);
    const int64_t t = ccz_mono_ms() + 1000;
    for (int i = 0; i < 3; i++)
        CHECK(!*pass(g, &w, "192.0.2.1:80", t));
    CHECK(strcmp(pass(g, &w, "192.0.2.1:80", t), "kms:rate-principal") == 0);
    w.spki_sha256[0] ^=
        1; /* the same workload under another key, from another address: the same one */
    w.claims.report_data[0] ^= 1;
    CHECK(strcmp(pass(g, &w, "192.0.2.2:80", t), "kms:rate-principal") == 0);
    other.claims.mrenclave[0] ^= 1; /* another one */
    CHECK(!*pass(g, &other, "192.0.2.2:80", t));
    CHECK(!*pass(g, &w, "192.0.2.2:80", t + 100)); /* a tenth of a second later there is one more */
    /* the address: whoever calls from there, and nobody elsewhere */
    CHECK(!*pass(g, &nobody, "192.0.2.2:81", t + 100) &&
          !*pass(g, &pinned, "192.0.2.2:82", t + 100));
    CHECK(!*pass(g, &nobody, "192.0.2.2:81", t + 100));
    CHECK(strcmp(pass(g, &pinned, "192.0.2.2:83", t + 100), "kms:rate-address") == 0);
    CHECK(!*pass(g, &pinned, "192.0.2.3:80", t + 100));
    /* everybody: 12 and 1 were there, 9 are gone; what was refused before has cost nothing of it */
    for (int i = 0; i < 4; i++)
        CHECK(!*pass(g, &nobody, "192.0.2.4:80", t + 100));
    CHECK(strcmp(pass(g, &nobody, "192.0.2.5:80", t + 100), "kms:rate-total") == 0);
    CHECK(!*pass(g, &nobody, "192.0.2.5:80", t + 1000));
    cczi_kms_gate_free(g);
    cczi_kms_gate_free(NULL);
}

static bool admit(struct cczi_kms_gate *g, unsigned net, unsigned host, int64_t now_ms)
{
    char address[32];
    (void)snprintf(address, sizeof(address), "10.%u.%u.%u:80", net, host / 250, host % 250);
    return cczi_kms_gate_admit(g, address, now_ms);
}

/* A crowd of addresses uses up what there is for everybody, and keeps nobody out who was here before and is somebody. */
static void test_crowd(void)
{
    enum { ALL = 40, KEPT = ALL / 4, DAY_MS = 24 * 3600 * 1000 };
    const struct ccz_kms_rates rates = {.handshake_rate = 4,
                                        .handshake_burst = 20,
                                        .handshake_total_rate = 4,
                                        .handshake_total_burst = ALL};
    const struct ccz_ratls_peer w = fix_peer(FIX_WORKLOAD);
    struct cczi_kms_gate *g;
    struct ccz_err err = {0};
    CHECK(cczi_kms_gate_new(&g, &rates, &err) == CCZ_OK);
    int64_t t = ccz_mono_ms() + 1000;
    cczi_kms_gate_known(g, "10.1.0.1:80", t);
    cczi_kms_gate_known(g, "10.1.0.2:80", t);
    CHECK(!*pass(g, &w, "10.1.0.3:80", t)); /* attested, which may be anybody */
    unsigned in = 0;
    for (unsigned i = 0; i < 2 * ALL; i++)
        in += admit(g, 0, i, t);
    CHECK(in == ALL - KEPT);
    CHECK(!admit(g, 1, 3, t));
    for (in = 0; in < KEPT; in++)
        CHECK(admit(g, 1, 1 + in % 2, t));
    CHECK(!admit(g, 1, 1, t) && !admit(g, 1, 2, t));
    /* in a second three come into the one bucket and one into the other */
    t += 1000;
    for (in = 0; admit(g, 2, in, t);)
        in++;
    CHECK(in == 3 && admit(g, 1, 1, t) && !admit(g, 1, 2, t));
    /* for a day from the last call */
    cczi_kms_gate_known(g, "10.1.0.1:81", t);
    t += DAY_MS - 1000;
    for (in = 0; admit(g, 3, in, t);)
        in++;
    CHECK(in == ALL - KEPT && admit(g, 1, 1, t) && !admit(g, 1, 2, t));
    t += 1000;
    while (admit(g, 4, ++in, t))
        ;
    CHECK(!admit(g, 1, 1, t));
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 65536);
    cczi_kms_gate_metrics(g, &text);
    CHECK(strstr(ccz_buf_str(&text), "{reason=\"rate_handshakes_total\"} "));
    CHECK(strstr(ccz_buf_str(&text), "{reason=\"rate_handshakes\"} 0\n"));
    cczi_kms_gate_free(g);
}

/* Those who are known are as many as fit, the latest. */
static void test_crowd_known(void)
{
    enum { MANY = 3 * CCZI_RATES_SETS * CCZI_RATES_WAYS };
    static struct cczi_shakes s;
    struct cczi_rate_addr addr;
    const int64_t t = 1000000;
    uint32_t wait_s;
    unsigned in[2] = {0};
    CHECK(cczi_shakes_init(&s, (struct cczi_rate){4, 4 * MANY}, t) == CCZ_OK);
    s.open_rate = (struct cczi_rate){0};
    for (unsigned i = 0; i < MANY; i++) {
        char address[32];
        (void)snprintf(address, sizeof(address), "10.%u.%u.%u:1", i >> 16, i >> 8 & 255, i & 255);
        cczi_rate_addr_of(&addr, address);
        cczi_shakes_known(&s, &addr, t + i);
    }
    for (unsigned i = 0; i < MANY; i++) {
        char address[32];
        (void)snprintf(address, sizeof(address), "10.%u.%u.%u:1", i >> 16, i >> 8 & 255, i & 255);
        cczi_rate_addr_of(&addr, address);
        in[i >= MANY - MANY / 6] += cczi_shakes_take(&wait_s, &s, &addr, t + MANY);
    }
    CHECK(in[0] + in[1] <= MANY / 3);
    CHECK(in[1] > MANY / 6 - MANY / 60); /* a set of four can have more of the latest than fit */
}

static void test_metrics(void)
{
    struct cczi_kms_gate *g;
    struct ccz_err err = {0};
    const struct ccz_ratls_peer nobody = {0};
    const struct ccz_kms_rates rates = {
        .address_rate = 1, .address_burst = 2, .handshake_rate = 1, .handshake_burst = 3};
    CHECK(cczi_kms_gate_new(&g, &rates, &err) == CCZ_OK);
    const int64_t t = ccz_mono_ms() + 1000;
    unsigned in = 0;
    for (int i = 0; i < 10; i++) {
        in += cczi_kms_gate_admit(g, "192.0.2.1:80", t);
        (void)pass(g, &nobody, "192.0.2.1:80", t);
    }
    CHECK(in == 3 && cczi_kms_gate_admit(g, "192.0.2.2:80", t));
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 65536);
    cczi_kms_gate_metrics(g, &text);
    const char *s = ccz_buf_str(&text);
    CHECK(strstr(s, "cczoo_kms_rpc_calls_total 2\n"));
    CHECK(strstr(s, "cczoo_kms_rpc_refused_total{reason=\"rate_handshakes\"} 7\n"));
    CHECK(strstr(s, "cczoo_kms_rpc_refused_total{reason=\"rate_address\"} 8\n"));
    CHECK(strstr(s, "cczoo_kms_rpc_refused_total{reason=\"rate_total\"} 0\n"));
    cczi_kms_gate_free(g);
}

/* ------------------------------------------------------------------------------- network */

/* Calls, until the server finds that there were too many. @return how many it took before @param[out] pushback_ms  when to come again */
static unsigned until_slow(struct client *c, uint64_t *pushback_ms, struct ccz_err *err)
{
    CCZ_AUTO(ccz_rpc_received) received = NULL;
    CHECK(ccz_rpc_received_new(&received) == CCZ_OK);
    const struct ccz_rpc_call_cfg cfg = {.received = received};
    for (unsigned n = 0; n < 2000; n++) {
        struct ccz_rpc_result res;
        CCZ_AUTO_BUF response;
        ccz_buf_init(&response, 65536);
        if (ccz_rpc_unary(&response, &res, c->rpc, CCZI_KMS_SERVICE "TokenKeys",
                          (struct ccz_span){0}, &cfg, err) == CCZ_OK)
            continue;
        CHECK(res.code == CCZ_RPC_RESOURCE_EXHAUSTED);
        char ms[16];
        struct ccz_span v = ccz_rpc_received_get(received, "grpc-retry-pushback-ms");
        CHECK(v.size && v.size < sizeof(ms));
        memcpy(ms, v.ptr, v.size);
        ms[v.size] = 0;
        *pushback_ms = strtoull(ms, NULL, 10);
        return n;
    }
    return 2000;
}

/* Each rate by itself; others go on, and nothing of it is in the log. */
static void test_rates(void)
{
    static const struct {
        struct ccz_kms_rates rates;
        const char *where;
        bool others;
    } cases[] = {{{.address_rate = 1, .address_burst = 5}, "kms:rate-address", false},
                 {{.principal_rate = 1, .principal_burst = 5}, "kms:rate-principal", true},
                 {{.total_rate = 1, .total_burst = 5}, "kms:rate-total", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct server s;
        struct client c, admin;
        struct ccz_err err = {0};
        uint64_t pushback_ms;
        struct ccz_kms_status before = {0};
        serve_kms_as(&s, 1, &cases[i].rates, &(struct ccz_rpc_server_cfg){0});
        CHECK(connect_as(&c, &s, NULL, &err) == CCZ_OK);
        CHECK(connect_as(&admin, &s, s.admin, &err) == CCZ_OK);
        unsigned n = until_slow(&c, &pushback_ms, &err);
        CHECK(n >= 5 && n < 2000);
        CHECK(strcmp(err.where, cases[i].where) == 0 && err.hint[0] && pushback_ms >= 1000);
        CHECK((ccz_kms_get_status(&before, admin.rpc, &err) == CCZ_OK) == cases[i].others);
        CHECK(cases[i].others || strcmp(err.where, cases[i].where) == 0);
        CHECK(!cases[i].others || before.audit_seq <= 2); /* init, and the key for tokens */
        CCZ_AUTO_BUF text;
        ccz_buf_init(&text, 65536);
        ccz_kms_service_metrics(s.service, &text);
        CHECK(strstr(ccz_buf_str(&text), "cczoo_kms_rpc_refused_total{reason=\"rate_") != NULL);
        leave(&c);
        leave(&admin);
        stop(&s);
    }
}

static void test_rates_handshakes(void)
{
    struct server s;
    struct client in, c;
    struct ccz_err err = {0};
    struct ccz_kms_status st;
    serve_kms_as(&s, 1, &(struct ccz_kms_rates){.handshake_rate = 1, .handshake_burst = 5},
                 &(struct ccz_rpc_server_cfg){0});
    CHECK(connect_as(&in, &s, s.admin, &err) == CCZ_OK);
    unsigned n = 0;
    ccz_rc rc = CCZ_OK;
    while (rc == CCZ_OK && n < 500) {
        rc = connect_as(&c, &s, NULL, &err);
        leave(&c);
        n += rc == CCZ_OK;
    }
    CHECK(n >= 4 && n < 500);
    CHECK(ccz_kms_get_status(&st, in.rpc, &err) == CCZ_OK); /* who is in stays */
    leave(&in);
    stop(&s);
}

enum { CROWD = 4000, CROWD_KEPT = CROWD / 4 };

/* How many handshakes from here are let in, of as many as may be kept, when a crowd has used up the others. */
static unsigned let_in(struct ccz_kms_service *s)
{
    char address[32];
    bool in = true;
    for (unsigned i = 0; in; i++) {
        (void)snprintf(address, sizeof(address), "10.0.%u.%u:80", i / 250, i % 250);
        in = ccz_kms_service_admit(s, address);
    }
    unsigned n = 0;
    while (n < CROWD_KEPT && ccz_kms_service_admit(s, "127.0.0.1:9"))
        n++;
    return n;
}

static void fill(struct ccz_kms_store *store)
{
    uint8_t spki[32];
    fix_spki(spki, FIX_ADMIN);
    CHECK(ccz_kms_store_set_admin(store, spki, CCZ_KMS_ROLE_ADMIN, FIX_NOW, NULL) == CCZ_OK);
    fix_populate(store);
}

/* Who called with a role, or was accepted by a policy, is known; not who was refused, or asked for what everybody may have. */
static void test_known(void)
{
    const struct ccz_kms_rates rates = {.handshake_rate = 4,
                                        .handshake_burst = CROWD,
                                        .handshake_total_rate = 4,
                                        .handshake_total_burst = CROWD};
    serve_fill = fill;
    for (unsigned i = 0; i < 2; i++) {
        struct server s;
        struct client w, admin;
        struct ccz_err err = {0};
        struct ccz_rpc_result res;
        struct ccz_kms_status st;
        CCZ_AUTO(ccz_secret) value = NULL;
        CCZ_AUTO_BUF keys;
        ccz_buf_init(&keys, 65536);
        serve_kms_as(&s, 1, &rates, &(struct ccz_rpc_server_cfg){0});
        CHECK(connect_as(&w, &s, NULL, &err) == CCZ_OK);
        CHECK(connect_as(&admin, &s, s.admin, &err) == CCZ_OK);
        CHECK(ccz_rpc_unary(&keys, &res, w.rpc, CCZI_KMS_SERVICE "TokenKeys", (struct ccz_span){0},
                            &(struct ccz_rpc_call_cfg){0}, &err) == CCZ_OK);
        CHECK(ccz_kms_release(&value, NULL, w.rpc, "secret/loose", 0, &err) == CCZ_E_DENIED);
        CHECK(let_in(s.service) < CROWD_KEPT); /* three a second */
        if (i == 0)
            CHECK(ccz_kms_get_status(&st, admin.rpc, &err) == CCZ_OK);
        else
            CHECK(ccz_kms_release(&value, NULL, w.rpc, "secret/db/password", 0, &err) == CCZ_OK);
        CHECK(let_in(s.service) == CROWD_KEPT);
        leave(&w);
        leave(&admin);
        stop(&s);
    }
    serve_fill = NULL;
}

/* A sealed KMS lets anybody try shares: not as fast as he likes. */
static void test_unseal_rate(void)
{
    dir_make();
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_kms_master) made = dir_master("shamir:2/3", NULL);
    CHECK(dir_init(made, NULL, &err) == CCZ_OK);
    CCZ_AUTO(ccz_kms_master) m = dir_master("shamir:", NULL);
    CCZ_AUTO(ccz_kms_sealed) sealed = NULL;
    CHECK(ccz_kms_sealed_new(&sealed, m, NULL, NULL, &err) == CCZ_OK);
    struct server s = {0};
    CHECK(ccz_key_generate(&s.admin, CCZ_P256) == CCZ_OK);
    listen_as(&s, &(struct ccz_rpc_server_cfg){.admit = ccz_kms_sealed_admit, .admit_arg = sealed},
              ccz_kms_sealed_pin, NULL);
    CHECK(ccz_kms_sealed_add(sealed, s.rpc) == CCZ_OK);
    start(&s);
    struct client c;
    struct ccz_kms_shares have;
    CHECK(connect_as(&c, &s, s.admin, &err) == CCZ_OK);
    CCZ_AUTO(ccz_secret) wrong = fix_master(0x41);
    unsigned n = 0;
    while (n < 20000) {
        CHECK(ccz_kms_unseal(&have, c.rpc, wrong, &err) != CCZ_OK);
        if (strcmp(err.where, "kms:share") != 0)
            break;
        n++;
    }
    CHECK(n >= CCZ_KMS_SHARES_MAX && n < 20000);
    CHECK(strcmp(err.where, "kms:rate-address") == 0);
    leave(&c);
    unsigned in = 0;
    while (in < 500 && connect_as(&c, &s, NULL, &err) == CCZ_OK) {
        leave(&c);
        in++;
    }
    leave(&c);
    CHECK(in >= CCZ_KMS_SHARES_MAX - 1 && in < 500); /* handshakes have a rate, too */
    stop(&s);
}

static const struct ccz_test tests[] = {
    {"kms.gate", test_gate},          {"kms.gate_metrics", test_metrics},
    {"kms.gate_crowd", test_crowd},   {"kms.gate_crowd_known", test_crowd_known},
    {"kms.rates", test_rates},        {"kms.rates_handshakes", test_rates_handshakes},
    {"kms.gate_answers", test_known}, {"kms.unseal_rate", test_unseal_rate},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
