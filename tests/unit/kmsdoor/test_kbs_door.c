/* SPDX-License-Identifier: Apache-2.0 */
/* The KBS protocol over HTTPS with the software TEE: whole exchanges, and everything that must not work. */
#define _GNU_SOURCE
#include "kmsdoor/door_kit.h"
#include "kmsdoor/kbs_door.h"
#include "kmsdoor/kbs_kit.h"

#include <cczoo/codec.h>
#include <cczoo/jose.h>
#include <cczoo/kms_door_kbs.h>
#include <cczoo/tee.h>

#include <pthread.h>

/* ------------------------------------------------------------------------------- fixture */

static struct ccz_verifier *g_verifier;
static uint32_t g_sessions, g_attestations;
static uint32_t g_principal_rate, g_principal_burst; /* 0 = no limit that tests reach */
static const char *g_trust;      /* folder of the software TEE that is trusted */
static const char *g_collateral; /* of genuine platforms, or NULL */

static void add_kbs(struct ccz_kms_door *d)
{
    struct ccz_err err = {0};
    const struct ccz_sim_cfg sim = {.now_s = FIX_NOW - 1000};
    CHECK(ccz_sim_init(dir_path("sim"), &sim, &err) == CCZ_OK);
    CHECK(ccz_sim_init(dir_path("other"), &sim, &err) == CCZ_OK);
    char trust[512];
    (void)snprintf(trust, sizeof(trust), "%s/trust", dir_path(g_trust));
    const struct ccz_verifier_cfg cfg = {
        .clock = {kit_clock, NULL}, .trust_sim_dir = trust, .collateral_dir = g_collateral};
    if (ccz_verifier_new(&g_verifier, &cfg, &err) != CCZ_OK)
        fix_die(err.msg);
    const struct ccz_kms_door_kbs_cfg kbs = {
        .verifier = g_verifier, .sessions = g_sessions, .attestations = g_attestations};
    CHECK(ccz_kms_door_kbs(d, &kbs, &err) == CCZ_OK);
}

static void start(struct kit *k)
{
    const uint32_t many = 100000;
    const struct kit_opts opts = {
        .add = add_kbs,
        .limits = {.address_rate = many,
                   .address_burst = many,
                   .total_rate = many,
                   .total_burst = many,
                   .principal_rate = g_principal_rate ? g_principal_rate : many,
                   .principal_burst = g_principal_burst ? g_principal_burst : many}};
    g_trust = g_trust ? g_trust : "sim";
    kit_open(k, &opts);
}

static void stop(struct kit *k)
{
    kit_close(k);
    ccz_verifier_free(g_verifier);
    g_verifier = NULL;
    g_trust = g_collateral = NULL;
    g_sessions = g_attestations = g_principal_rate = g_principal_burst = 0;
}

struct wait {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool done;
    ccz_rc rc;
};

static void on_answer(void *arg, struct ccz_span response, const struct ccz_err *err)
{
    struct wait *w = arg;
    (void)response;
    pthread_mutex_lock(&w->lock);
    w->done = true;
    w->rc = err ? err->rc : CCZ_OK;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

/* What an administrator does by other ways in. */
static ccz_rc administer(struct kit *k, const char *method, const struct cczi_msg_field *fields,
                         const void *msg)
{
    struct wait w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, CCZ_OK};
    struct ccz_ratls_peer admin = fix_peer(FIX_ADMIN);
    char path[64];
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, CCZ_KMS_MESSAGE_SIZE_MAX);
    cczi_msg_put(&body, fields, msg);
    (void)snprintf(path, sizeof(path), "/cczoo.kms.v1.Kms/%s", method);
    const struct ccz_kms_request req = {
        .path = path, .body = ccz_buf_span(&body), .peer = &admin, .address = "test"};
    CHECK(ccz_kms_service_call(k->service, &req, on_answer, &w, NULL) == CCZ_OK);
    pthread_mutex_lock(&w.lock);
    while (!w.done)
        pthread_cond_wait(&w.wake, &w.lock);
    pthread_mutex_unlock(&w.lock);
    return w.rc;
}

/* A client: an attester of the software TEE, a key, a cookie, a token. */
struct peer {
    struct kit *kit;
    struct ccz_attester *attester;
    enum ccz_tee tee;
    struct ccz_jwe_key *key;
    char nonce[64], cookie[128], token[16384];
};

static void peer_open(struct peer *p, struct kit *k, const char *provider, const char *sim)
{
    struct ccz_err err = {0};
    *p = (struct peer){.kit = k};
    const struct ccz_attester_cfg cfg = {.provider = provider, .sim_dir = dir_path(sim)};
    if (ccz_attester_open(&p->attester, &cfg, &err) != CCZ_OK)
        fix_die(err.msg);
    for (enum ccz_tee t = CCZ_TEE_SGX; t <= CCZ_TEE_SNP; t++)
        if (strcmp(ccz_attester_tee(p->attester), ccz_tee_name(t)) == 0)
            p->tee = t;
    CHECK(ccz_jwe_key_generate(&p->key, CCZ_JWK_P256, NULL) == CCZ_OK);
}

static void peer_close(struct peer *p)
{
    ccz_attester_free(p->attester);
    ccz_jwe_key_free(p->key);
}

/* A string member of a reply. */
static void member(char *out, size_t size, const struct reply *r, const char *name)
{
    CCZ_AUTO(ccz_json) j = NULL;
    out[0] = 0;
    if (ccz_json_parse(&j, CCZ_SPAN(r->body, r->size), NULL) != CCZ_OK)
        return;
    const char *s = ccz_json_str(ccz_json_get(j, name));
    (void)snprintf(out, size, "%s", s ? s : "");
}

/* Refusals are ErrorInformation, whoever refuses. */
static bool refused(const struct reply *r, unsigned status, const char *where)
{
    char type[256], detail[1024], got[64];
    member(type, sizeof(type), r, "type");
    member(detail, sizeof(detail), r, "detail");
    member(got, sizeof(got), r, "where");
    if (r->status == status && strcmp(got, where) == 0 && detail[0] &&
        strncmp(type, "https://github.com/confidential-containers/kbs/errors/", 54) == 0 &&
        type[54])
        return true;
    fprintf(stderr, "%u %s, expected %u %s\n", r->status, r->body, status, where);
    return false;
}

static void take_cookie(struct peer *p, const struct reply *r)
{
    const char *c = strstr(r->headers, "Set-Cookie: kbs-session-id=");
    CHECK(c && strstr(c, "HttpOnly") && strstr(c, "; Secure") && strstr(c, "Path=/kbs/v0;"));
    c += strlen("Set-Cookie: ");
    (void)snprintf(p->cookie, sizeof(p->cookie), "Cookie: %.*s", (int)strcspn(c, ";"), c);
}

static unsigned auth(struct peer *p, struct reply *r)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1024);
    kbs_put_request(&b, "0.4.0", ccz_tee_name(p->tee));
    kit_ask(p->kit, r, &(struct ask){.path = "/kbs/v0/auth", .body = ccz_buf_str(&b)});
    if (r->status == 200) {
        member(p->nonce, sizeof(p->nonce), r, "nonce");
        take_cookie(p, r);
    }
    return r->status;
}

/* What a test does to an attestation on its way. */
struct twist {
    const struct ccz_jwk *show; /* another key than the evidence is over */
    const char *nonce, *cookie; /* others than those of the session */
    const char *query, *init_data;
    enum ccz_tee as;          /* evidence in the form of another TEE */
    struct ccz_span evidence; /* instead of one's own */
    size_t flip;              /* a bit of the evidence, from 1 */
};

static unsigned attest_with(struct peer *p, struct reply *r, const struct twist *t)
{
    uint8_t report_data[64];
    char path[64];
    struct ccz_err err = {0};
    const char *nonce = t->nonce ? t->nonce : p->nonce;
    const struct ccz_rcar_binding b = {.nonce = ccz_span_str(p->nonce),
                                       .tee_key = ccz_jwe_key_public(p->key)};
    CCZ_AUTO_BUF evidence;
    CCZ_AUTO_BUF body;
    ccz_buf_init(&evidence, CCZ_QUOTE_SIZE_MAX);
    ccz_buf_init(&body, 1 << 20);
    CHECK(ccz_rcar_report_data(report_data, &b, CCZ_SHA384, &err) == CCZ_OK);
    if (ccz_attester_quote(&evidence, p->attester, report_data, &err) != CCZ_OK)
        fix_die(err.msg);
    if (t->flip)
        evidence.ptr[(t->flip - 1) / 8] ^= (uint8_t)(1 << (t->flip - 1) % 8);
    kbs_put_attestation(&body, nonce, t->show ? t->show : ccz_jwe_key_public(p->key),
                        t->as ? t->as : p->tee,
                        t->evidence.size ? t->evidence : ccz_buf_span(&evidence),
                        t->init_data ? t->init_data : "null");
    (void)snprintf(path, sizeof(path), "/kbs/v0/attest%s", t->query ? t->query : "");
    kit_ask(p->kit, r,
            &(struct ask){.path = path,
                          .body = ccz_buf_str(&body),
                          .header = t->cookie ? t->cookie : p->cookie});
    if (r->status == 200) {
        member(p->token, sizeof(p->token), r, "token");
        take_cookie(p, r);
    }
    return r->status;
}

static unsigned attest(struct peer *p, struct reply *r)
{
    return attest_with(p, r, &(struct twist){0});
}

static void attested(struct peer *p)
{
    struct reply r;
    CHECK(auth(p, &r) == 200 && attest(p, &r) == 200);
}

static unsigned get(struct peer *p, struct reply *r, const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "/kbs/v0/resource/%s", name);
    return kit_ask(p->kit, r,
                   &(struct ask){.path = path, .header = p->cookie[0] ? p->cookie : NULL});
}

static unsigned get_bearer(struct peer *p, struct reply *r, const char *name, const char *token)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "/kbs/v0/resource/%s", name);
    return kit_ask(p->kit, r, &(struct ask){.path = path, .bearer = token});
}

static bool opens(const struct peer *p, const struct reply *r, const char *want)
{
    CCZ_AUTO_BUF value;
    ccz_buf_init(&value, 65536);
    return ccz_jwe_open(&value, p->key, CCZ_SPAN(r->body, r->size), NULL) == CCZ_OK &&
           ccz_span_eq(ccz_buf_span(&value), ccz_span_str(want));
}

/* A policy that accepts this client's program. */
static void put_policy(struct kit *k, const struct peer *p, const char *name, bool replace)
{
    static const char *const fields[] = {"", "mrenclave", "mrtd", "measurement"};
    char json[1024], hex[97];
    struct ccz_span m = ccz_attester_measurement(p->attester);
    ccz_hex(hex, m.ptr, m.size);
    (void)snprintf(
        json, sizeof(json),
        "{\"version\":1,\"rules\":[{\"name\":\"us\",\"tee\":\"%s\",\"sim\":true,\"%s\":\"%s\"%s}]}",
        ccz_tee_name(p->tee), fields[p->tee], hex,
        p->tee == CCZ_TEE_SNP
            ? ",\"product\":[\"Milan\"],\"reported_tcb\":{\"boot_loader\":{\"min\":0},\"tee\":{"
              "\"min\":0},\"snp\":{\"min\":24},\"microcode\":{\"min\":219}}"
            : ",\"tcb_status\":[\"UpToDate\"]");
    struct cczi_msg_put_policy_req m1 = {ccz_span_str(name), ccz_span_str(json), replace};
    CHECK(administer(k, "PutPolicy", cczi_msg_put_policy_req, &m1) == CCZ_OK);
}

static void put_resource(struct kit *k, const char *name, const char *value, const char *policy)
{
    char path[256];
    struct reply r;
    (void)snprintf(path, sizeof(path), "/kbs/v0/resource/%s?policy=%s", name, policy);
    kit_ask(k, &r, &(struct ask){.path = path, .body = value, .as = "admin"});
    if (r.status != 200)
        fix_die(r.body);
}

/* ------------------------------------------------------------------------------- exchanges */

static void verify_token(struct kit *k, const struct peer *p, bool full)
{
    struct reply r;
    CCZ_AUTO(ccz_jwks) keys = NULL;
    CCZ_AUTO(ccz_json) claims = NULL;
    char hex[33], iss[64];
    uint8_t instance[CCZ_KMS_INSTANCE_SIZE];
    ccz_kms_store_instance(instance, k->store);
    ccz_hex(hex, instance, sizeof(instance));
    (void)snprintf(iss, sizeof(iss), "cczoo-kms:%s", hex);
    CHECK(kit_ask(k, &r, &(struct ask){.path = "/.well-known/jwks.json"}) == 200);
    CHECK(ccz_jwks_parse(&keys, CCZ_SPAN(r.body, r.size), NULL) == CCZ_OK);
    const struct ccz_jwt_rules rules = {.keys = keys, .iss = iss, .now_s = kit_now_s};
    CHECK(ccz_jwt_verify(&claims, &rules, ccz_span_str(p->token), NULL) == CCZ_OK);
    const struct ccz_json *cpu = ccz_json_get(ccz_json_get(claims, "submods"), "cpu0");
    const struct ccz_json *e = ccz_json_get(cpu, "ear.veraison.annotated-evidence");
    const struct ccz_json *run = ccz_json_get(e, "runtime_data_claims");
    CHECK(strcmp(ccz_json_str(ccz_json_get(run, "nonce")), p->nonce) == 0);
    CHECK(ccz_json_get(e, ccz_tee_name(p->tee)));
    CHECK((ccz_json_get(ccz_json_get(e, ccz_tee_name(p->tee)), "earliest_issue_date") != NULL) ==
          full);
    CHECK(strcmp(ccz_json_str(ccz_json_get(cpu, "ear.status")), "contraindicated") ==
          0); /* simulated */
}

/* What the token calls kept evidence is found by an auditor, over REST, and is evidence of this TEE. */
static void check_kept(struct kit *k, const struct peer *p)
{
    struct reply r;
    CCZ_AUTO_BUF claims, evidence, sha256;
    uint8_t digest[32], got[32];
    ccz_buf_init(&claims, 65536);
    ccz_buf_init(&evidence, 65536);
    ccz_buf_init(&sha256, 64);
    const char *body = strchr(p->token, '.') + 1;
    CHECK(ccz_base64_get(&claims, CCZ_SPAN(body, strcspn(body, ".")), CCZ_BASE64_URL, NULL) ==
          CCZ_OK);
    const char *uri = strstr(ccz_buf_str(&claims), "\"raw_evidence\":\"cczoo-kms:");
    CHECK(uri && (uri = strstr(uri, "/evidence/")) != NULL);
    CHECK(ccz_unhex(digest, 32, uri + strlen("/evidence/"), 64) == CCZ_OK);
    ccz_base64_put(&sha256, CCZ_SPAN(digest, 32), CCZ_BASE64_STD);
    char ask[128];
    (void)snprintf(ask, sizeof(ask), "{\"sha256\":\"%s\"}", ccz_buf_str(&sha256));
    CHECK(kit_ask(k, &r, &(struct ask){.path = "/v1/GetEvidence", .body = ask}) == 401);
    CHECK(kit_ask(k, &r, &(struct ask){.path = "/v1/GetEvidence", .body = ask, .as = "admin"}) ==
          200);
    CCZ_AUTO(ccz_json) j = NULL;
    CHECK(ccz_json_parse(&j, CCZ_SPAN(r.body, r.size), NULL) == CCZ_OK);
    CHECK(ccz_base64_get(&evidence, ccz_json_bytes(ccz_json_get(j, "evidence")), CCZ_BASE64_STD,
                         NULL) == CCZ_OK);
    CHECK(ccz_sha256(got, ccz_buf_span(&evidence)) == CCZ_OK && memcmp(got, digest, 32) == 0);
    CHECK(strcmp(ccz_json_str(ccz_json_get(j, "tee")), ccz_tee_name(p->tee)) == 0);
    struct ccz_claims c; /* who has it verifies it without us */
    CHECK(ccz_verifier_verify(g_verifier, &c, ccz_buf_span(&evidence), NULL) == CCZ_OK &&
          c.tee == p->tee);
}

static void exchange(const char *provider)
{
    struct kit k;
    struct peer p;
    struct reply r;
    start(&k);
    peer_open(&p, &k, provider, "sim");
    put_policy(&k, &p, "default/us", false);
    put_resource(&k, "default/key/one", "correct horse", "default/us");
    /* what makes a client attest */
    CHECK(get(&p, &r, "default/key/one") == 401 && refused(&r, 401, "kbs:no-session"));
    CHECK(!strstr(r.body, "decision")); /* nobody decided anything */
    CHECK(auth(&p, &r) == 200 && strlen(p.nonce) == 44);
    CHECK(get(&p, &r, "default/key/one") == 401 && refused(&r, 401, "kbs:session"));
    CHECK(kit_knows(&k, true)); /* that was the administrator's address */
    CHECK(attest(&p, &r) == 200);
    verify_token(&k, &p, false);
    CHECK(get(&p, &r, "default/key/two") == 404 && !kit_knows(&k, false));
    CHECK(get(&p, &r, "default/key/one") == 200 && opens(&p, &r, "correct horse"));
    CHECK(kit_knows(&k, false));
    CHECK(strstr(r.headers, "application/json") && !strstr(r.body, "horse"));
    CHECK(get_bearer(&p, &r, "default/key/one", p.token) == 200 && opens(&p, &r, "correct horse"));
    CHECK(get(&p, &r, "default/key/two") == 404 && refused(&r, 404, "kms:not-found"));
    /* a new version by the same path */
    put_resource(&k, "default/key/one", "battery staple", "default/us&new_version=1");
    CHECK(get(&p, &r, "default/key/one") == 200 && opens(&p, &r, "battery staple"));
    /* again, with all claims */
    CHECK(auth(&p, &r) == 200 &&
          attest_with(&p, &r, &(struct twist){.query = "?claims=full"}) == 200);
    verify_token(&k, &p, true);
    /* and with the evidence kept: the token says where, and an auditor gets the very bytes */
    CHECK(auth(&p, &r) == 200 &&
          attest_with(&p, &r, &(struct twist){.query = "?evidence=keep"}) == 200);
    check_kept(&k, &p);
    peer_close(&p);
    stop(&k);
}

static void test_sgx(void)
{
    exchange("sim-sgx");
}
static void test_tdx(void)
{
    exchange("sim-tdx");
}
static void test_snp(void)
{
    exchange("sim-snp");
}

/* ---------------------------------------------------------------------------- refused: auth */

static void test_auth(void)
{
    struct kit k;
    struct reply r;
    static const struct {
        const char *body;
        unsigned status;
        const char *where;
    } t[] = {
        {"{\"version\":\"0.3.0\",\"tee\":\"sgx\",\"extra-params\":\"\"}", 400, "kbs:version"},
        {"{\"version\":\"0.4.0\",\"tee\":\"sample\",\"extra-params\":\"\"}", 403, "kbs:sample"},
        {"{\"version\":\"0.4.0\",\"tee\":\"cca\",\"extra-params\":\"\"}", 400, "kbs:tee"},
        {"{\"version\":\"0.4.0\"", 400, "kbs:json"},
        {"", 400, "kbs:json"},
    };
    start(&k);
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        kit_ask(&k, &r, &(struct ask){.path = "/kbs/v0/auth", .method = "POST", .body = t[i].body});
        CHECK(refused(&r, t[i].status, t[i].where));
        CHECK(!strstr(r.headers, "Set-Cookie"));
        if (i == 0)
            CHECK(strstr(r.body, "\"supported\":[\"0.4.0\"]") &&
                  strstr(r.body, "errors/ProtocolVersion"));
    }
    char *big = malloc(100001);
    CHECK(big);
    memset(big, 'x', 100000);
    big[100000] = 0;
    kit_ask(&k, &r, &(struct ask){.path = "/kbs/v0/auth", .body = big});
    CHECK(refused(&r, 413, "door:body-size"));
    free(big);
    kit_ask(&k, &r, &(struct ask){.path = "/kbs/v0/auth"});
    CHECK(refused(&r, 405, "door:method"));
    stop(&k);
}

/* -------------------------------------------------------------------------- refused: attest */

static void test_nonces(void)
{
    struct kit k;
    struct peer a, b;
    struct reply r;
    char nonce[64], cookie[128];
    start(&k);
    peer_open(&a, &k, "sim-sgx", "sim");
    peer_open(&b, &k, "sim-sgx", "sim");
    CHECK(auth(&a, &r) == 200 && auth(&b, &r) == 200);
    attest_with(&a, &r, &(struct twist){.cookie = "X: none"});
    CHECK(refused(&r, 401, "kbs:no-session"));
    attest_with(
        &a, &r,
        &(struct twist){.cookie = "Cookie: kbs-session-id=00112233445566778899aabbccddeeff"});
    CHECK(refused(&r, 401, "kbs:session"));
    /* the nonce of another session, with evidence over it */
    attest_with(&a, &r, &(struct twist){.cookie = b.cookie});
    CHECK(refused(&r, 401, "kbs:nonce-session"));
    /* one that was never ours */
    attest_with(&a, &r, &(struct twist){.nonce = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="});
    CHECK(refused(&r, 401, "nonce:foreign"));
    /* twice, whoever the second is */
    memcpy(nonce, a.nonce, sizeof(nonce));
    memcpy(cookie, a.cookie, sizeof(cookie));
    CHECK(attest(&a, &r) == 200);
    CHECK(attest(&a, &r) == 401 && refused(&r, 401, "replay:used"));
    memcpy(b.nonce, nonce, sizeof(nonce));
    memcpy(b.cookie, cookie, sizeof(cookie));
    CHECK(attest(&b, &r) == 401 && refused(&r, 401, "replay:used"));
    /* too late */
    CHECK(auth(&a, &r) == 200);
    kit_now_s += 301;
    CHECK(attest(&a, &r) == 401 && refused(&r, 401, "nonce:age"));
    peer_close(&a);
    peer_close(&b);
    stop(&k);
}

static void test_binding(void)
{
    struct kit k;
    struct peer p, other;
    struct reply r;
    CCZ_AUTO_BUF evidence;
    uint8_t report_data[64] = {1};
    start(&k);
    peer_open(&p, &k, "sim-sgx", "sim");
    peer_open(&other, &k, "sim-tdx", "sim");
    /* a key that was swapped on the way */
    CHECK(auth(&p, &r) == 200);
    attest_with(&p, &r, &(struct twist){.show = ccz_jwe_key_public(other.key)});
    CHECK(refused(&r, 403, "kbs:report-data"));
    /* evidence over something else */
    ccz_buf_init(&evidence, CCZ_QUOTE_SIZE_MAX);
    CHECK(ccz_attester_quote(&evidence, p.attester, report_data, NULL) == CCZ_OK);
    attest_with(&p, &r, &(struct twist){.evidence = ccz_buf_span(&evidence)});
    CHECK(refused(&r, 403, "kbs:report-data"));
    /* a changed bit of the report */
    attest_with(&p, &r, &(struct twist){.flip = 8 * 112 + 1});
    CHECK(refused(&r, 403, "quote:signature"));
    /* genuine evidence of another kind than the session is for */
    ccz_buf_clear(&evidence);
    CHECK(ccz_attester_quote(&evidence, other.attester, report_data, NULL) == CCZ_OK);
    attest_with(&p, &r, &(struct twist){.evidence = ccz_buf_span(&evidence)});
    CHECK(refused(&r, 403, "kbs:tee-kind"));
    /* no quote at all */
    attest_with(&p, &r, &(struct twist){.evidence = ccz_span_str("quote")});
    CHECK(r.status == 400 && strstr(r.body, "\"detail\":"));
    attest_with(&p, &r, &(struct twist){.init_data = "{\"format\":\"toml\",\"body\":\"x = 1\"}"});
    CHECK(refused(&r, 403, "kbs:init-data"));
    /* none of that has used the nonce up */
    CHECK(attest(&p, &r) == 200);
    peer_close(&p);
    peer_close(&other);
    stop(&k);
}

/* Another software TEE than the one that is trusted; none is without being named. */
static void test_untrusted(void)
{
    static const char *const providers[] = {"sim-sgx", "sim-tdx", "sim-snp"};
    struct kit k;
    struct reply r;
    start(&k);
    for (size_t i = 0; i < 3; i++) {
        struct peer p;
        peer_open(&p, &k, providers[i], "other");
        CHECK(auth(&p, &r) == 200);
        CHECK(attest(&p, &r) == 403 && strstr(r.body, "\"type\":") && !strstr(r.body, "token"));
        peer_close(&p);
    }
    stop(&k);
}

static void test_bodies(void)
{
    struct kit k;
    struct reply r;
    struct peer p;
    start(&k);
    peer_open(&p, &k, "sim-sgx", "sim");
    CHECK(auth(&p, &r) == 200);
    char *big = malloc((512 << 10) + 2);
    CHECK(big);
    memset(big, ' ', (512 << 10) + 1);
    big[(512 << 10) + 1] = 0;
    kit_ask(&k, &r, &(struct ask){.path = "/kbs/v0/attest", .body = big, .header = p.cookie});
    CHECK(refused(&r, 413, "door:body-size"));
    free(big);
    kit_ask(&k, &r, &(struct ask){.path = "/kbs/v0/attest", .body = "{}", .header = p.cookie});
    CHECK(refused(&r, 400, "kbs:member"));
    /* who has no session is told so, and his body is not read */
    kit_ask(&k, &r, &(struct ask){.path = "/kbs/v0/attest", .body = "{\"tee-evidence"});
    CHECK(refused(&r, 401, "kbs:no-session"));
    static const char *const forms[] = {"Cookie: kbs-session-id=01",
                                        "Cookie: kbs-session-id=ff112233445566778899aabbccddeeff"};
    for (size_t i = 0; i < 2; i++) {
        kit_ask(&k, &r, &(struct ask){.path = "/kbs/v0/attest", .body = "{", .header = forms[i]});
        CHECK(refused(&r, 401, "kbs:session"));
    }
    kit_ask(&k, &r, &(struct ask){.path = "/kbs/v0/attest", .body = "{", .header = p.cookie});
    CHECK(refused(&r, 400, "kbs:json"));
    peer_close(&p);
    stop(&k);
}

/* ------------------------------------------------------------------------ refused: resource */

static void test_policy_dies(void)
{
    struct kit k;
    struct peer p, q;
    struct reply r;
    start(&k);
    peer_open(&p, &k, "sim-sgx", "sim");
    peer_open(&q, &k, "sim-tdx", "sim");
    put_policy(&k, &p, "a/us", false);
    put_resource(&k, "a/b/c", "value", "a/us");
    attested(&p);
    attested(&q);
    CHECK(get(&p, &r, "a/b/c") == 200);
    CHECK(get_bearer(&p, &r, "a/b/c", p.token) == 200);
    /* a genuine workload, but not one of this resource */
    CHECK(get(&q, &r, "a/b/c") == 403 && strstr(r.body, "errors/PolicyDeny"));
    /* the policy changes: cookie and token were good for five minutes, and are good for nothing */
    struct cczi_msg_put_policy_req m = {ccz_span_str("a/us"), ccz_span_str(fix_policy_other), 1};
    CHECK(administer(&k, "PutPolicy", cczi_msg_put_policy_req, &m) == CCZ_OK);
    CHECK(get(&p, &r, "a/b/c") == 403 && refused(&r, 403, "policy:mrenclave"));
    CHECK(strstr(r.body, "\"decision\":\"D") &&
          !strstr(r.body, "bbbb")); /* not what was expected */
    CHECK(get_bearer(&p, &r, "a/b/c", p.token) == 403 && refused(&r, 403, "policy:mrenclave"));
    put_policy(&k, &p, "a/us", true);
    CHECK(get(&p, &r, "a/b/c") == 200);
    peer_close(&p);
    peer_close(&q);
    stop(&k);
}

/* A token signed by somebody else's key, with everything else as it should be. */
static void forge(char *out, size_t size, const char *genuine, bool none)
{
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO_BUF payload;
    CCZ_AUTO_BUF token;
    ccz_buf_init(&payload, 16384);
    ccz_buf_init(&token, 32768);
    const char *from = strchr(genuine, '.') + 1;
    CHECK(ccz_base64_get(&payload, CCZ_SPAN(from, strcspn(from, ".")), CCZ_BASE64_URL, NULL) ==
          CCZ_OK);
    if (none) {
        (void)snprintf(out, size, "eyJhbGciOiJub25lIn0.%.*s.", (int)strcspn(from, "."), from);
        return;
    }
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    const struct ccz_jws_header header = {.typ = "JWT", .with_jwk = true};
    CHECK(ccz_jws_sign(&token, key, &header, ccz_buf_span(&payload), NULL) == CCZ_OK);
    (void)snprintf(out, size, "%s", ccz_buf_str(&token));
}

static void test_tokens(void)
{
    struct kit k;
    struct peer p, q;
    struct reply r;
    char token[16384];
    start(&k);
    peer_open(&p, &k, "sim-sgx", "sim");
    peer_open(&q, &k, "sim-sgx", "sim");
    put_policy(&k, &p, "a/us", false);
    put_resource(&k, "a/b/c", "value", "a/us");
    attested(&p);
    attested(&q);
    forge(token, sizeof(token), p.token, false);
    CHECK(get_bearer(&p, &r, "a/b/c", token) == 401 && refused(&r, 401, "kbs:token"));
    forge(token, sizeof(token), p.token, true);
    CHECK(get_bearer(&p, &r, "a/b/c", token) == 401 && refused(&r, 401, "kbs:token"));
    (void)snprintf(token, sizeof(token), "%s", p.token);
    token[strlen(token) - 1] ^= 1;
    CHECK(get_bearer(&p, &r, "a/b/c", token) == 401 && refused(&r, 401, "kbs:token"));
    CHECK(get_bearer(&p, &r, "a/b/c", "x") == 401 && refused(&r, 401, "kbs:token"));
    CHECK(strstr(r.headers, "WWW-Authenticate: Bearer"));
    /* a bad token is not excused by a good cookie */
    kit_ask(&k, &r,
            &(struct ask){.path = "/kbs/v0/resource/a/b/c", .bearer = "x", .header = p.cookie});
    CHECK(refused(&r, 401, "kbs:token"));
    kit_ask(&k, &r,
            &(struct ask){.path = "/kbs/v0/resource/a/b/c", .header = "Authorization: Basic eDp5"});
    CHECK(refused(&r, 401, "kbs:token"));
    /* a stolen cookie, or token, gives what only the one who attested opens */
    (void)snprintf(q.cookie, sizeof(q.cookie), "%s", p.cookie);
    CHECK(get(&q, &r, "a/b/c") == 200 && !opens(&q, &r, "value") && opens(&p, &r, "value"));
    CHECK(get_bearer(&q, &r, "a/b/c", p.token) == 200 && !opens(&q, &r, "value"));
    kit_now_s += 300;
    CHECK(get(&p, &r, "a/b/c") == 401 && refused(&r, 401, "kbs:session-expired"));
    CHECK(get_bearer(&p, &r, "a/b/c", p.token) == 401 && refused(&r, 401, "kbs:token-expired"));
    peer_close(&p);
    peer_close(&q);
    stop(&k);
}

static void test_paths(void)
{
    struct kit k;
    struct peer p;
    struct reply r;
    static const struct {
        const char *path;
        unsigned status;
        const char *where;
    } t[] = {
        {"/kbs/v0/resource/a/b", 400, "kbs:path"},
        {"/kbs/v0/resource/a/b/", 400, "kbs:path"},
        {"/kbs/v0/resource/", 400, "kbs:path"},
        {"/kbs/v0/resource/a/b/c/d", 400, "kbs:path"},
        {"/kbs/v0/resource/a%2Fb/c/d", 400, "kbs:path"},
        {"/kbs/v0/resource/a/b%2Fc", 400, "kbs:path"},
        {"/kbs/v0/resource/a/b/%63", 400, "kbs:path"},
        {"/kbs/v0/resource/a/b/c%00", 400, "kbs:path"},
        {"/kbs/v0/resource/a/b/.c", 400, "kbs:path"},
        {"/kbs/v0/resource/a/b/c\xc3\xa4", 400, "kbs:path"},
        {"/kbs/v0/resource/a/../b/c", 400, "door:path"},
        {"/kbs/v0/resource/a/%2e%2e/b/c", 400, "door:path"},
        {"/kbs/v0/resource//b/c", 400, "door:path"},
        {"/kbs/v0/resource/a/b/..", 400, "door:path"},
        {"/kbs/v0/resource-policy", 404, "kbs:plugin"},
        {"/kbs/v0/pkcs11/resource/x", 404, "kbs:plugin"},
        {"/kbs/v0/", 404, "kbs:plugin"},
        {"/kbs/v1/auth", 404, "kbs:plugin"},
    };
    start(&k);
    peer_open(&p, &k, "sim-sgx", "sim");
    attested(&p);
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        kit_ask(&k, &r, &(struct ask){.path = t[i].path, .header = p.cookie});
        CHECK(refused(&r, t[i].status, t[i].where));
    }
    char path[400], name[200];
    memset(name, 'a', sizeof(name));
    name[sizeof(name) - 1] = 0;
    (void)snprintf(path, sizeof(path), "/kbs/v0/resource/%s/b/c", name);
    kit_ask(&k, &r, &(struct ask){.path = path, .header = p.cookie});
    CHECK(refused(&r, 400, "kbs:path"));
    peer_close(&p);
    stop(&k);
}

static void test_admin(void)
{
    struct kit k;
    struct peer p;
    struct reply r;
    const struct ask post = {.path = "/kbs/v0/resource/a/b/c", .body = "value"};
    struct ask a = post;
    start(&k);
    peer_open(&p, &k, "sim-sgx", "sim");
    attested(&p);
    CHECK(kit_ask(&k, &r, &a) == 401 && refused(&r, 401, "door:auth-required"));
    a.header = p.cookie; /* who has attested is no administrator */
    CHECK(kit_ask(&k, &r, &a) == 401 && refused(&r, 401, "door:auth-required"));
    a = post;
    a.bearer = p.token;
    CHECK(kit_ask(&k, &r, &a) == 401 && refused(&r, 401, "door:token-issuer"));
    a = post;
    a.as = "stranger";
    CHECK(kit_ask(&k, &r, &a) == 403 && refused(&r, 403, "kms:admin-unknown"));
    a.as = "auditor";
    CHECK(kit_ask(&k, &r, &a) == 403 && refused(&r, 403, "kms:role"));
    a.as = "admin";
    CHECK(kit_ask(&k, &r, &a) == 200 && strcmp(r.body, "{\"version\":1}") == 0);
    /* what workloads get next is not replaced by accident */
    CHECK(kit_ask(&k, &r, &a) == 409 && refused(&r, 409, "kms:exists"));
    a.path = "/kbs/v0/resource/a/b/c?new_version=2";
    CHECK(kit_ask(&k, &r, &a) == 400 && refused(&r, 400, "kbs:new-version"));
    a.path = "/kbs/v0/resource/a/b/c?new_version=1";
    CHECK(kit_ask(&k, &r, &a) == 200 && strcmp(r.body, "{\"version\":2}") == 0);
    /* bound to nothing: for nobody */
    CHECK(get(&p, &r, "a/b/c") == 403 && refused(&r, 403, "kms:unbound"));
    a.path = "/kbs/v0/resource/a/b/c?policy=a/nowhere&new_version=1";
    CHECK(kit_ask(&k, &r, &a) == 404 && refused(&r, 404, "kms:not-found"));
    put_policy(&k, &p, "a/us", false);
    a.path = "/kbs/v0/resource/a/b/c?new_version=1&policy=a%2F%75s";
    CHECK(kit_ask(&k, &r, &a) == 200 && get(&p, &r, "a/b/c") == 200 && opens(&p, &r, "value"));
    a = (struct ask){.path = "/kbs/v0/resource/a/b/c", .method = "DELETE"};
    CHECK(kit_ask(&k, &r, &a) == 401 && get(&p, &r, "a/b/c") == 200);
    a.as = "admin";
    CHECK(kit_ask(&k, &r, &a) == 200 && get(&p, &r, "a/b/c") == 403 &&
          refused(&r, 403, "kms:deleted"));
    a = post;
    a.as = "admin";
    a.method = "PUT";
    CHECK(kit_ask(&k, &r, &a) == 405 && refused(&r, 405, "door:method"));
    peer_close(&p);
    stop(&k);
}

/* What a page of another site can make a browser send, with the operator's certificate, changes nothing. */
static void test_site(void)
{
    static const char resource[] = "/kbs/v0/resource/a/b/c";
    static const struct {
        const char *path, *method, *header;
    } t[] = {
        {resource, "POST", "Content-Type: text/plain"},
        {resource, "POST", "Content-Type: application/x-www-form-urlencoded"},
        {resource, "POST", "Content-Type: multipart/form-data; boundary=x"},
        {resource, "POST", "Content-Type: application/octet-streams"},
        {resource, "POST", "Content-Type:"},
        {resource, "POST", "Sec-Fetch-Site: cross-site"},
        {resource, "POST", "Sec-Fetch-Site: same-site"},
        {resource, "POST", "Origin: https://evil.example"},
        {resource, "POST", "Origin: null"},
        {resource, "DELETE", "Origin: https://evil.example"},
        {resource, "DELETE", "Sec-Fetch-Site: cross-site"},
        {"/kbs/v0/auth", "POST", "Origin: https://evil.example"},
        {"/kbs/v0/attest", "POST", "Sec-Fetch-Site: cross-site"},
        {"/kbs/v0/else", "PUT", "Sec-Fetch-Site: cross-site"},
        {"/v1/Status", "POST", "Sec-Fetch-Site: cross-site"},
        {"/v1/Status", "POST", "Origin: https://evil.example"},
        {"/v1/Status", "POST", "Content-Type: text/plain"},
    };
    struct kit k;
    struct reply r;
    start(&k);
    unsigned long long before = kit_lines(&k);
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        kit_ask(&k, &r,
                &(struct ask){.path = t[i].path,
                              .method = t[i].method,
                              .body = "{}",
                              .as = "admin",
                              .header = t[i].header});
        if (r.status != 403 || !strstr(r.body, "\"where\":\"door:site\""))
            fprintf(stderr, "%s %s: %u %s\n", t[i].path, t[i].header, r.status, r.body);
        CHECK(r.status == 403 && strstr(r.body, "\"where\":\"door:site\""));
    }
    CHECK(kit_lines(&k) == before);
    /* our own pages, and clients that are no browsers */
    char own[128];
    (void)snprintf(own, sizeof(own), "Origin: %s", k.base);
    const char *const fine[] = {own, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: none",
                                "Content-Type: application/octet-stream",
                                "Content-Type: Application/JSON; charset=utf-8"};
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        const char *path = i ? "/kbs/v0/resource/a/b/c?new_version=1" : resource;
        const struct ask a = {.path = path, .body = "value", .as = "admin", .header = fine[i]};
        CHECK(kit_ask(&k, &r, &a) == 200);
    }
    /* nobody's request is simple by accident: two answers to where it comes from are none */
    const struct ask twice = {.path = resource,
                              .body = "value",
                              .as = "admin",
                              .header = "Origin: https://a\r\nOrigin: https://b"};
    CHECK(kit_ask(&k, &r, &twice) == 400 && refused(&r, 400, "door:header-twice"));
    stop(&k);
}

/* Bounded: the oldest session is forgotten and told to attest again; a full memory of nonces refuses. */
static void test_bounds(void)
{
    struct kit k;
    struct peer p[4];
    struct reply r;
    g_sessions = 2;
    g_attestations = 3;
    start(&k);
    unsigned last = 0;
    for (size_t i = 0; i < 3; i++) {
        peer_open(&p[i], &k, "sim-sgx", "sim");
        attested(&p[i]);
    }
    CHECK(get(&p[0], &r, "a/b/c") == 401 && refused(&r, 401, "kbs:session"));
    CHECK(get_bearer(&p[0], &r, "a/b/c", p[0].token) == 401 && refused(&r, 401, "kbs:token"));
    CHECK(get(&p[1], &r, "a/b/c") == 404 && get(&p[2], &r, "a/b/c") == 404);
    for (size_t i = 0; i < 4 && last != 429; i++)
        CHECK(auth(&p[0], &r) == 200 && (last = attest(&p[0], &r)) != 0);
    CHECK(refused(&r, 429, "replay:full") && strstr(r.headers, "Retry-After: "));
    for (size_t i = 0; i < 3; i++)
        peer_close(&p[i]);
    stop(&k);
}

/* A workload is one principal, by whatever session: what is refused at its rate reaches neither store nor audit log, and its nonce
 * is good for the next try. */
static void test_workload_rate(void)
{
    struct kit k;
    struct peer p, q, other;
    struct reply r;
    unsigned long long asked = 0, lines;
    g_principal_rate = 1;
    g_principal_burst = 4; /* one is the attestation's */
    start(&k);
    peer_open(&p, &k, "sim-tdx", "sim");
    peer_open(&q, &k, "sim-tdx", "sim");
    peer_open(&other, &k, "sim-sgx", "sim");
    CHECK(auth(&q, &r) == 200);
    attested(&p);
    lines = kit_lines(&k);
    while (asked < 100 && get(&p, &r, "a/b/c") == 404)
        asked++;
    CHECK(asked >= 3 && asked < 100 && refused(&r, 429, "door:rate-principal"));
    CHECK(strstr(r.headers, "Retry-After: 1\r") && strstr(r.body, "errors/TooManyRequests"));
    CHECK(kit_lines(&k) == lines + asked);
    /* by its token, and another session of the same program: a slow machine may let some through */
    while (asked < 100 && get_bearer(&p, &r, "a/b/c", p.token) == 404)
        asked++;
    CHECK(refused(&r, 429, "door:rate-principal"));
    unsigned status = attest(&q, &r);
    while (asked++ < 100 && status == 200)
        status = auth(&q, &r) == 200 ? attest(&q, &r) : 0;
    CHECK(refused(&r, 429, "door:rate-principal"));
    while (asked++ < 10000 && attest(&q, &r) == 429)
        ;
    CHECK(r.status == 200); /* with the nonce of that one */
    attested(&other);
    CHECK(atomic_load(&k.door->refused[CCZI_REFUSED_RATE_PRINCIPAL]) >= 3);
    peer_close(&p);
    peer_close(&q);
    peer_close(&other);
    stop(&k);
}

static void test_discovery(void)
{
    struct kit k;
    struct reply r;
    start(&k);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/.well-known/jwks.json"}) == 200);
    CHECK(strstr(r.body, "\"keys\":[{") && strstr(r.body, "\"alg\":\"ES256\"") &&
          !strstr(r.body, "\"d\""));
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/.well-known/openid-configuration"}) == 404);
    CHECK(kit_where(&r, "kbs:issuer"));
    stop(&k);
}

/* Keys cost the KMS an opening of each of them: what strangers ask is answered from what was said last. */
static void test_keys_cached(void)
{
    struct kit k;
    struct reply r;
    start(&k);
    CURL *c = curl_easy_init();
    CHECK(c);
    unsigned before = atomic_load(&kit_clock_reads);
    for (size_t i = 0; i < 50; i++) {
        CHECK(kit_ask_on(c, &k, &r, &(struct ask){.path = "/.well-known/jwks.json"}) == 200);
        CHECK(strstr(r.body, "\"keys\":[{"));
        CHECK(kit_ask_on(c, &k, &r, &(struct ask){.path = "/.well-known/openid-configuration"}) ==
              404);
    }
    CHECK(atomic_load(&kit_clock_reads) - before < 20);
    curl_easy_cleanup(c);
    stop(&k);
}

/* ------------------------------------------------------------------------ genuine platforms */

/* Published evidence of real machines is found genuine, and is not over our nonce. */
static void test_genuine(void)
{
    static const struct {
        const char *set, *tee;
        int64_t now_s;
    } t[] = {
        {"sgx3-automata-00606a-2025-08", "sim-sgx", 1755236700},
        {"tdx4-trustee-50806f-2026-03", "sim-tdx", 0},
        {"snp3-trustee-vlek-milan", "sim-snp", 0},
    };
    const char *env = getenv("CCZOO_VECTORS");
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        char set[1024], path[1100];
        struct kit k;
        struct peer p;
        struct reply r;
        int64_t now_s = 0;
        CCZ_AUTO_BUF evidence;
        CCZ_AUTO_BUF text;
        CCZ_AUTO(ccz_json) meta = NULL;
        ccz_buf_init(&evidence, 65536);
        ccz_buf_init(&text, 65536);
        (void)snprintf(set, sizeof(set), "%s/tee/%s",
                       env ? env : CCZ_TEST_SOURCE_DIR "/../shared/vectors", t[i].set);
        (void)snprintf(path, sizeof(path), "%s/evidence.bin", set);
        if (ccz_file_read(&evidence, path, NULL) != CCZ_OK) {
            fprintf(stderr, "skipped: no %s\n", path);
            exit(77);
        }
        (void)snprintf(path, sizeof(path), "%s/meta.json", set);
        CHECK(ccz_file_read(&text, path, NULL) == CCZ_OK);
        CHECK(ccz_json_parse(&meta, ccz_buf_span(&text), NULL) == CCZ_OK);
        CHECK(ccz_json_int(&now_s,
                           ccz_json_get(ccz_json_get(ccz_json_at(ccz_json_get(meta, "cases"), 0),
                                                     "verification_time"),
                                        "unix")));
        g_collateral = set;
        start(&k);
        kit_now_s = now_s;
        peer_open(&p, &k, t[i].tee, "sim");
        CHECK(auth(&p, &r) == 200);
        attest_with(&p, &r, &(struct twist){.evidence = ccz_buf_span(&evidence)});
        CHECK(refused(&r, 403, "kbs:report-data"));
        evidence.ptr[0x60] ^= 1; /* the same, changed, is not */
        attest_with(&p, &r, &(struct twist){.evidence = ccz_buf_span(&evidence)});
        CHECK(r.status == 403 && !strstr(r.body, "kbs:report-data"));
        peer_close(&p);
        stop(&k);
    }
}

static const struct ccz_test tests[] = {
    {"kbs.rcar_sgx", test_sgx},
    {"kbs.rcar_tdx", test_tdx},
    {"kbs.rcar_snp", test_snp},
    {"kbs.auth_refused", test_auth},
    {"kbs.nonces", test_nonces},
    {"kbs.binding", test_binding},
    {"kbs.untrusted", test_untrusted},
    {"kbs.bodies", test_bodies},
    {"kbs.policy_dies", test_policy_dies},
    {"kbs.tokens", test_tokens},
    {"kbs.paths", test_paths},
    {"kbs.admin", test_admin},
    {"kbs.bounds", test_bounds},
    {"kbs.workload_rate", test_workload_rate},
    {"kbs.discovery", test_discovery},
    {"kbs.genuine", test_genuine},
    {"kbs.site", test_site},
    {"kbs.keys_cached", test_keys_cached},
};

int main(int argc, char **argv)
{
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
