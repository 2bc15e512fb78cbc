/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials in a real libgrpc, server and channel in one process, with evidence of a toy. */
#define _DEFAULT_SOURCE
#include "grpc_creds/grpc_creds_priv.h"

#include "ccz_test.h"
#include "grpc_creds/grpc_kit.h"
#include "ratls/ratls_ends.h"

#include "../fakes/fake_site.h"

#include <grpc/support/log.h>
#include <stdlib.h>
#include <unistd.h>

struct one {
    struct toy toy;
    struct ccz_grpc_cfg cfg;
    struct ccz_grpc_creds *creds;
    atomic_uint refused;
    struct ccz_err why, err;
};

static void on_refused(void *arg, const struct ccz_err *why)
{
    struct one *o = arg;
    if (atomic_fetch_add(&o->refused, 1) == 0)
        o->why = *why;
}

static void quiet(gpr_log_func_args *args)
{
    (void)args; /* refused handshakes, which libgrpc logs as errors */
}

static void make(struct one *o, bool server, enum ccz_ratls_profile profile)
{
    memset(o, 0, sizeof(*o));
    gpr_set_log_function(quiet);
    o->cfg = (struct ccz_grpc_cfg){.ratls = {.profile = profile,
                                             .server = server,
                                             .now_s = RATLS_NOW,
                                             .attest = toy_attest,
                                             .attest_arg = &o->toy,
                                             .appraise = toy_appraise,
                                             .appraise_arg = &o->toy},
                                   .on_refused = on_refused,
                                   .on_refused_arg = o};
}

static void start(struct one *o)
{
    CHECK(ccz_grpc_creds_new(&o->creds, &o->cfg, &o->err) == CCZ_OK);
}

/* Both ends from their credentials on, one call. */
static void talk(struct kit_result *r, struct kit_server *s, struct one *client, struct one *server)
{
    grpc_server_credentials *sc;
    grpc_channel_credentials *cc;
    CHECK(ccz_grpc_server_credentials(&sc, server->creds, NULL) == CCZ_OK);
    CHECK(ccz_grpc_channel_credentials(&cc, client->creds, NULL) == CCZ_OK);
    kit_open(s, server->creds, sc);
    kit_call(r, s->port, client->creds, cc);
    grpc_channel_credentials_release(cc);
    kit_close(s);
}

static void start_both(struct one *c, struct one *s, enum ccz_ratls_profile profile)
{
    make(c, false, profile);
    make(s, true, profile);
    start(c);
    start(s);
}

static void end_both(struct one *c, struct one *s)
{
    ccz_grpc_creds_free(c->creds);
    ccz_grpc_creds_free(s->creds);
}

static void test_self_test(void)
{
    struct ccz_err err = {0};
    CHECK(cczi_grpc_self_test(true, &err) == CCZ_OK);
    CHECK(cczi_grpc_self_test(true, &err) == CCZ_OK);
}

/* Without the hook, as in a libgrpc with another TLS library, nobody is connected, and the reason is named. */
static void test_other_tls(void)
{
    struct ccz_err err = {0};
    gpr_set_log_function(quiet);
    CHECK(cczi_grpc_self_test(false, &err) == CCZ_E_UNSUPPORTED);
    CHECK(strcmp(err.where, "grpc:self-test") == 0 && strstr(err.hint, "OpenSSL"));
    CHECK(strncmp(err.got, "not connected, evidence made 0 and 0", 36) == 0);

    struct one c, s; /* the second lock alone: the verifier says why */
    struct kit_result r;
    struct kit_server server;
    make(&c, false, CCZ_RATLS_HANDSHAKE);
    make(&s, true, CCZ_RATLS_HANDSHAKE);
    CHECK(cczi_grpc_creds_make(&c.creds, &c.cfg, false, NULL) == CCZ_OK);
    CHECK(cczi_grpc_creds_make(&s.creds, &s.cfg, false, NULL) == CCZ_OK);
    talk(&r, &server, &c, &s);
    CHECK(r.code == GRPC_STATUS_UNAVAILABLE && server.calls == 0);
    CHECK(strcmp(c.why.where, "grpc:not-judged") == 0 && c.toy.appraised == 0);
    end_both(&c, &s);
}

static void test_profile(enum ccz_ratls_profile profile, bool fresh)
{
    struct one c, s;
    struct kit_result r;
    struct kit_server server;
    start_both(&c, &s, profile);
    for (unsigned i = 1; i <= 2; i++) {
        talk(&r, &server, &c, &s);
        CHECK(r.code == GRPC_STATUS_OK && strcmp(r.answer, "hello") == 0 && server.calls == 1);
        CHECK(r.peer_rc == CCZ_OK && r.peer.attested && r.peer.fresh == fresh);
        CHECK(server.peer_rc == CCZ_OK && server.peer.attested && server.peer.fresh == fresh);
        CHECK(r.peer.claims.isv_svn == 7 && server.peer.claims.isv_svn == 7);
        CHECK(memcmp(r.peer.spki_sha256, server.peer.spki_sha256, 32) != 0);
        CHECK(c.toy.appraised >= i && s.toy.appraised >= i);
        CHECK(c.toy.attested == (fresh ? i : 1) && s.toy.attested == (fresh ? i : 1));
        CHECK(c.refused == 0 && s.refused == 0);
    }
    end_both(&c, &s);
}

static void test_handshake(void)
{
    test_profile(CCZ_RATLS_HANDSHAKE, true);
}

static void test_certificate(void)
{
    test_profile(CCZ_RATLS_CERTIFICATE, false);
}

static void test_refused(void)
{
    static const enum ccz_ratls_profile profiles[] = {CCZ_RATLS_HANDSHAKE, CCZ_RATLS_CERTIFICATE};
    for (size_t p = 0; p < 2; p++) {
        for (int by_server = 0; by_server < 2; by_server++) {
            struct one c, s, *judge = by_server ? &s : &c;
            struct kit_result r;
            struct kit_server server;
            start_both(&c, &s, profiles[p]);
            judge->toy.appraise_rc = CCZ_E_POLICY;
            talk(&r, &server, &c, &s);
            CHECK(r.code == GRPC_STATUS_UNAVAILABLE && server.calls == 0);
            CHECK(judge->refused > 0 && judge->why.rc == CCZ_E_POLICY);
            CHECK(strcmp(judge->why.where, "policy:mrenclave") == 0 &&
                  strcmp(judge->why.got, "11aa") == 0);
            if (p == 1 && !by_server) /* libgrpc hands the verifier's text to the caller */
                CHECK(strstr(r.message, "policy:mrenclave: got 11aa, expected 22bb"));
            end_both(&c, &s);
        }
    }
}

static ccz_rc pin(void *arg, struct ccz_span spki, struct ccz_err *err)
{
    const bool *good = arg;
    CHECK(spki.size == 91);
    return *good ? CCZ_OK : ccz_refuse(err, CCZ_E_DENIED, "test:pin", "other key", "this key");
}

/* One-way: clients without evidence; and servers that ask for nothing. */
static void test_no_evidence(void)
{
    static const enum ccz_ratls_profile profiles[] = {CCZ_RATLS_HANDSHAKE, CCZ_RATLS_CERTIFICATE};
    for (size_t p = 0; p < 2; p++) {
        for (int how = 0; how < 5; how++) { /* required, optional, bad pin, good pin, not asked */
            struct one c, s;
            struct kit_result r;
            struct kit_server server;
            bool good = how == 3;
            make(&c, false, profiles[p]);
            make(&s, true, profiles[p]);
            c.cfg.ratls.attest = NULL;
            s.cfg.ratls.peer_evidence_optional = how > 0;
            s.cfg.ratls.pin = how == 2 || how == 3 ? pin : NULL;
            s.cfg.ratls.pin_arg = &good;
            if (how == 4)
                s.cfg.ratls.appraise = NULL;
            start(&c);
            start(&s);
            talk(&r, &server, &c, &s);
            if (how == 0 || how == 2) {
                CHECK(r.code == GRPC_STATUS_UNAVAILABLE && server.calls == 0);
                CHECK(strcmp(s.why.where, how ? "test:pin" : "ratls:no-evidence") == 0);
            } else {
                CHECK(r.code == GRPC_STATUS_OK && r.peer.attested && !server.peer.attested);
                CHECK(server.peer_rc == (how == 4 ? CCZ_E_NOT_FOUND : CCZ_OK));
                CHECK(server.peer.pinned == (how == 3));
            }
            end_both(&c, &s);
        }
    }
    /* profiles that do not fit */
    struct one c, s;
    struct kit_result r;
    struct kit_server server;
    make(&c, false, CCZ_RATLS_HANDSHAKE);
    make(&s, true, CCZ_RATLS_CERTIFICATE);
    start(&c);
    start(&s);
    talk(&r, &server, &c, &s);
    CHECK(r.code == GRPC_STATUS_UNAVAILABLE && server.calls == 0);
    CHECK(strcmp(c.why.where, "ratls:no-evidence") == 0);
    end_both(&c, &s);
}

static void test_peers(void)
{
    struct cczi_peers p;
    struct ccz_ratls_peer bare = {0}, good = {.attested = true}, got;
    uint8_t id[6][32] = {{0}};
    for (int i = 0; i < 6; i++)
        id[i][1] = (uint8_t)(4 * i); /* 1024 buckets: all in one, chained */
    CHECK(cczi_peers_init(&p, 3) == CCZ_OK);
    CHECK(!cczi_peers_find(&got, &p, id[0]) && !cczi_peers_finish(&p, id[0], 1000));
    CHECK(cczi_peers_accepted(&p, id[0], &good, 1000) == CCZ_OK);
    CHECK(cczi_peers_accepted(&p, id[0], &good, 1000) == CCZ_OK);
    CHECK(cczi_peers_finish(&p, id[0], 1000) && cczi_peers_finish(&p, id[0], 1000));
    CHECK(!cczi_peers_finish(&p, id[0], 1000)); /* once for each */
    CHECK(cczi_peers_accepted(&p, id[1], &good, 1000) == CCZ_OK);
    CHECK(cczi_peers_accepted(&p, id[2], &bare, 1000) == CCZ_OK && p.len == 3);
    CHECK(cczi_peers_find(&got, &p, id[2]) && !got.attested);
    CHECK(cczi_peers_accepted(&p, id[3], &bare, 1000) == CCZ_OK &&
          p.len == 3); /* 2 goes, though newer */
    CHECK(!cczi_peers_find(&got, &p, id[2]) && cczi_peers_find(&got, &p, id[0]) && got.attested);
    CHECK(cczi_peers_accepted(&p, id[4], &good, 1000) == CCZ_OK); /* 3 goes */
    CHECK(cczi_peers_accepted(&p, id[5], &good, 1000) == CCZ_OK); /* 1 goes: not used since */
    CHECK(!cczi_peers_find(&got, &p, id[1]) && cczi_peers_find(&got, &p, id[0]) && p.len == 3);
    cczi_peers_deinit(&p);
}

/* What a handshake that never ended leaves lets no later one pass. */
static void test_pending(void)
{
    enum { LIMIT_MS = 1000 * CCZI_PEER_PENDING_S, FROM = 5000 };
    struct cczi_peers p;
    struct ccz_ratls_peer good = {.attested = true}, got;
    const uint8_t id[32] = {1};
    CHECK(cczi_peers_init(&p, 3) == CCZ_OK);
    for (int64_t wait = LIMIT_MS; wait < 4 * LIMIT_MS; wait += 999) {
        CHECK(cczi_peers_accepted(&p, id, &good, FROM + wait) == CCZ_OK);
        CHECK(!cczi_peers_finish(&p, id, FROM + 2 * wait));
        cczi_peers_deinit(&p);
        CHECK(cczi_peers_init(&p, 3) == CCZ_OK);
    }
    CHECK(cczi_peers_accepted(&p, id, &good, FROM) == CCZ_OK);
    CHECK(cczi_peers_finish(&p, id, FROM + LIMIT_MS - 1000));
    CHECK(!cczi_peers_finish(&p, id, FROM + LIMIT_MS - 1000));
    CHECK(cczi_peers_accepted(&p, id, &good, FROM + LIMIT_MS) == CCZ_OK); /* never ends */
    CHECK(cczi_peers_accepted(&p, id, &good, FROM + LIMIT_MS) == CCZ_OK);
    CHECK(cczi_peers_accepted(&p, id, &good, FROM + LIMIT_MS + 15000) == CCZ_OK);
    CHECK(cczi_peers_finish(&p, id, FROM + LIMIT_MS + 16000)); /* takes an old one */
    CHECK(cczi_peers_finish(&p, id, FROM + LIMIT_MS + 21000)); /* the old ones are over */
    CHECK(!cczi_peers_finish(&p, id, FROM + LIMIT_MS + 21000));
    CHECK(cczi_peers_find(&got, &p, id) && got.attested); /* who it was is still known */
    cczi_peers_deinit(&p);
}

static void hello(void *arg, struct fake_answer *out, const struct ccz_http_req *req)
{
    (void)arg, (void)req;
    out->body = ccz_span_str("hello from the web");
}

static ccz_rc get(const struct ccz_http_client_cfg *cfg, const char *url)
{
    CCZ_AUTO(ccz_http_client) client = NULL;
    CCZ_AUTO_BUF body;
    CCZ_AUTO_BUF headers;
    unsigned status;
    ccz_buf_init(&body, 4096);
    ccz_buf_init(&headers, 4096);
    CHECK(ccz_http_client_new(&client, cfg, NULL) == CCZ_OK);
    return ccz_http_get(&status, &body, &headers, client, url, NULL);
}

/* libcurl, and an HTTPS server of libevent, in a process whose libgrpc is hooked: curl goes on judging by authorities. */
static void test_foreign(void)
{
    char dir[] = "/tmp/ccz-grpc-XXXXXX", file[64], other[64];
    struct fake_site site, stranger;
    struct one c, s;
    struct kit_result r;
    struct kit_server server;
    CHECK(mkdtemp(dir));
    (void)snprintf(file, sizeof(file), "%s/a.pem", dir);
    (void)snprintf(other, sizeof(other), "%s/b.pem", dir);
    start_both(&c, &s, CCZ_RATLS_HANDSHAKE);
    fake_open_tls(&site, hello, NULL, file);
    fake_open_tls(&stranger, hello, NULL, other);
    for (int i = 0; i < 2; i++) { /* before and after the hook had work */
        const struct ccz_http_client_cfg right = {.ca_file = file}, wrong = {.ca_file = other};
        CHECK(get(&right, fake_url(&site, "/")) == CCZ_OK);
        CHECK(get(&wrong, fake_url(&site, "/")) == CCZ_E_UNTRUSTED);
        talk(&r, &server, &c, &s);
        CHECK(r.code == GRPC_STATUS_OK);
    }
    CHECK(c.toy.appraised == 2 && s.toy.appraised == 2 && c.refused == 0 && s.refused == 0);
    fake_close(&site);
    fake_close(&stranger);
    end_both(&c, &s);
    CHECK(unlink(file) == 0 && unlink(other) == 0 && rmdir(dir) == 0);
}

static void test_renew(void)
{
    struct one c, s;
    struct kit_result r;
    struct kit_server server;
    grpc_server_credentials *sc;
    grpc_channel_credentials *cc;
    start_both(&c, &s, CCZ_RATLS_HANDSHAKE);
    CHECK(ccz_grpc_server_credentials(&sc, s.creds, NULL) == CCZ_OK);
    CHECK(ccz_grpc_channel_credentials(&cc, c.creds, NULL) == CCZ_OK);
    kit_open(&server, s.creds, sc);
    kit_call(&r, server.port, c.creds, cc);
    uint8_t of_s[32], of_c[32];
    CHECK(server.calls == 1);
    memcpy(of_s, r.peer.spki_sha256, 32);
    memcpy(of_c, server.peer.spki_sha256, 32);
    CHECK(r.code == GRPC_STATUS_OK && ccz_grpc_creds_renew(s.creds, RATLS_NOW, NULL) == CCZ_OK);
    CHECK(ccz_grpc_creds_renew(c.creds, RATLS_NOW, NULL) == CCZ_OK);
    kit_call(&r, server.port, c.creds, cc);
    CHECK(r.code == GRPC_STATUS_OK && r.peer.attested && server.calls == 2);
    CHECK(server.peer.attested);
    CHECK(memcmp(of_s, r.peer.spki_sha256, 32) != 0);
    CHECK(memcmp(of_c, server.peer.spki_sha256, 32) != 0);
    grpc_channel_credentials_release(cc);
    kit_close(&server);
    end_both(&c, &s);
    make(&s, true, CCZ_RATLS_CERTIFICATE);
    start(&s);
    CHECK(ccz_grpc_creds_renew(s.creds, RATLS_NOW, &s.err) == CCZ_E_UNSUPPORTED && s.err.hint[0]);
    ccz_grpc_creds_free(s.creds);
}

/* The credentials are gone, their server is still there. */
static void test_closed(void)
{
    static const enum ccz_ratls_profile profiles[] = {CCZ_RATLS_HANDSHAKE, CCZ_RATLS_CERTIFICATE};
    for (size_t p = 0; p < 2; p++) {
        struct one c, s;
        struct kit_result r;
        struct kit_server server;
        grpc_server_credentials *sc;
        grpc_channel_credentials *cc;
        start_both(&c, &s, profiles[p]);
        CHECK(ccz_grpc_server_credentials(&sc, s.creds, NULL) == CCZ_OK);
        CHECK(ccz_grpc_channel_credentials(&cc, c.creds, NULL) == CCZ_OK);
        grpc_init(); /* the server's own */
        kit_open(&server, s.creds, sc);
        ccz_grpc_creds_free(s.creds);
        kit_call(&r, server.port, c.creds, cc);
        CHECK(r.code == GRPC_STATUS_UNAVAILABLE && server.calls == 0);
        CHECK(s.toy.appraised == 0 && s.toy.attested == p && s.refused == 0); /* no hook ran */
        grpc_channel_credentials_release(cc);
        kit_close(&server);
        ccz_grpc_creds_free(c.creds);
        grpc_shutdown();
    }
}

static void test_config(void)
{
    struct one o;
    make(&o, true, CCZ_RATLS_SESSION);
    CHECK(ccz_grpc_creds_new(&o.creds, &o.cfg, &o.err) == CCZ_E_ARG &&
          strcmp(o.err.where, "grpc:profile") == 0);
    static const enum ccz_ratls_profile profiles[] = {CCZ_RATLS_HANDSHAKE, CCZ_RATLS_CERTIFICATE};
    for (size_t p = 0; p < 2; p++) {
        make(&o, true, profiles[p]);
        o.cfg.ratls.appraise = NULL; /* nobody judges, and evidence is required */
        CHECK(ccz_grpc_creds_new(&o.creds, &o.cfg, &o.err) == CCZ_E_ARG &&
              strcmp(o.err.where, "ratls:config") == 0 && !o.creds);
    }
    o.cfg.ratls.appraise = toy_appraise;
    o.cfg.ratls.require_fresh = true; /* which this profile does not have */
    CHECK(ccz_grpc_creds_new(&o.creds, &o.cfg, &o.err) == CCZ_E_ARG);
    o.cfg.ratls.require_fresh = false;
    o.toy.broken = true;
    CHECK(ccz_grpc_creds_new(&o.creds, &o.cfg, &o.err) == CCZ_E_UNAVAILABLE &&
          strcmp(o.err.where, "toy:attest") == 0);
    o.toy.broken = false;
    start(&o);
    grpc_channel_credentials *cc;
    CHECK(ccz_grpc_channel_credentials(&cc, o.creds, &o.err) == CCZ_E_ARG && !cc &&
          strcmp(o.err.where, "grpc:role") == 0);
    struct ccz_ratls_peer peer;
    CHECK(ccz_grpc_peer(&peer, o.creds, ccz_span_str("no PEM"), &o.err) == CCZ_E_NOT_FOUND);
    ccz_grpc_creds_free(o.creds);
}

static const struct ccz_test tests[] = {
    {"grpc_creds.self_test", test_self_test}, {"grpc_creds.self_test_other_tls", test_other_tls},
    {"grpc_creds.handshake", test_handshake}, {"grpc_creds.certificate", test_certificate},
    {"grpc_creds.refused", test_refused},     {"grpc_creds.no_evidence", test_no_evidence},
    {"grpc_creds.peers", test_peers},         {"grpc_creds.pending", test_pending},
    {"grpc_creds.foreign", test_foreign},     {"grpc_creds.renew", test_renew},
    {"grpc_creds.closed", test_closed},       {"grpc_creds.config", test_config},
};

int main(int argc, char **argv)
{
    grpc_init();
    int status = ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    /* connections end on threads of the library, which its shutdown does not wait for: a leak is what is left behind them */
    grpc_shutdown_blocking();
    usleep(300000);
    return status;
}
