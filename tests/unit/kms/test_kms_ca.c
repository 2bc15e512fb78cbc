/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that issue certificates: what OpenSSL and a verifier of evidence see in one, and every request that gets none. */
#include "ccz_test.h"
#include "kms/use_fixture.h"

#include <cczoo/x509.h>

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define NAMES               "als.example,10.0.0.7"
#define IS(rc, want, where) CHECK(use_is(rc, want, where))

/* ---------------------------------------------------------------------------- evidence */

/* Evidence of a TEE that exists here alone: who measured what over which report data, believed if its first byte says so. */
struct fake {
    char genuine[4]; /* "FAKE", or no evidence */
    uint8_t report_data[64];
    uint8_t mrenclave[32];
    int64_t expires_s;
};
static struct fake next; /* what attest() says, but for report data */

static ccz_rc attest(void *arg, struct ccz_buf *quote, const uint8_t report_data[64],
                     struct ccz_err *err)
{
    (void)arg;
    (void)err;
    memcpy(next.report_data, report_data, 64);
    ccz_buf_put(quote, &next, sizeof(next));
    return CCZ_OK;
}

static ccz_rc appraise(void *arg, struct ccz_claims *claims, struct ccz_span quote,
                       struct ccz_err *err)
{
    (void)arg;
    struct fake f;
    if (quote.size != sizeof(f) || memcmp(quote.ptr, "FAKE", 4) != 0)
        return ccz_refuse(err, CCZ_E_SIG, "test:evidence", "made up", "genuine");
    memcpy(&f, quote.ptr, sizeof(f));
    *claims = fix_peer(FIX_WORKLOAD).claims;
    memcpy(claims->report_data, f.report_data, 64);
    memcpy(claims->mrenclave, f.mrenclave, 32);
    claims->collateral_expires_s = f.expires_s;
    return CCZ_OK;
}

static void honest(void)
{
    memcpy(next.genuine, "FAKE", 4);
    memset(next.mrenclave, 0xaa, 32);
    next.expires_s = FIX_NOW + 30 * 86400;
}

/* ------------------------------------------------------------------------------- calls */

struct asked {
    struct ccz_key *key;
    struct ccz_buf csr, response;
    struct cczi_msg_issue_req m;
    struct cczi_msg_issue_resp r; /* borrows from response */
    struct ccz_ratls_peer peer;
    bool no_verifier;
    int64_t now_s;
};

/* An honest request. */
static void begin(struct asked *a)
{
    *a = (struct asked){.now_s = FIX_NOW, .peer = fix_peer(FIX_WORKLOAD)};
    a->peer.claims.collateral_expires_s = FIX_NOW + 30 * 86400;
    ccz_buf_init(&a->csr, CCZ_CERT_SIZE_MAX);
    ccz_buf_init(&a->response, CCZ_KMS_MESSAGE_SIZE_MAX);
    honest();
    CHECK(ccz_key_generate(&a->key, CCZ_P256) == CCZ_OK);
    CHECK(ccz_ratls_csr_make(&a->csr, a->key, attest, NULL, NULL) == CCZ_OK);
    a->m = (struct cczi_msg_issue_req){.key = ccz_span_str("ca"),
                                       .names = ccz_span_str("als.example"),
                                       .csr = ccz_buf_span(&a->csr)};
}

static void end(struct asked *a)
{
    ccz_buf_free(&a->csr);
    ccz_buf_free(&a->response);
    ccz_key_free(a->key);
}

static ccz_rc ask(struct asked *a, struct ccz_kms_store *s)
{
    const struct ccz_kms_info info = {.version = "test",
                                      .tee = "sim-sgx",
                                      .simulated = true,
                                      .started_s = FIX_NOW,
                                      .appraise = a->no_verifier ? NULL : appraise};
    struct ccz_buf body;
    ccz_buf_init(&body, CCZ_KMS_MESSAGE_SIZE_MAX);
    cczi_msg_put(&body, cczi_msg_issue_req, &a->m);
    const struct ccz_kms_request req = {.path = CCZI_KMS_SERVICE "IssueCertificate",
                                        .body = ccz_buf_span(&body),
                                        .peer = &a->peer,
                                        .address = "192.0.2.1:4711",
                                        .now_s = a->now_s,
                                        .info = &info};
    use_err = (struct ccz_err){0};
    ccz_buf_clear(&a->response);
    a->r = (struct cczi_msg_issue_resp){0};
    ccz_rc rc = ccz_kms_handle(&a->response, s, &req, &use_err);
    ccz_buf_free(&body);
    CHECK(rc != CCZ_OK ||
          cczi_msg_get(&a->r, cczi_msg_issue_resp, ccz_buf_span(&a->response), NULL) == CCZ_OK);
    CHECK(rc == CCZ_OK || a->response.size == 0);
    return rc;
}

static struct ccz_kms_store *store(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    IS(use_make_ca(s, "ca", NAMES, NULL), CCZ_OK, "");
    IS(use_bind(s, "ca", "issue", "server"), CCZ_OK, "");
    return s;
}

static void done(struct ccz_kms_store *s)
{
    (void)fix_check(s);
    ccz_kms_store_free(s);
}

static struct ccz_cert *cert_of(struct ccz_span der)
{
    struct ccz_cert *c = NULL;
    CHECK(ccz_cert_parse(&c, der, NULL) == CCZ_OK);
    return c;
}

/* ------------------------------------------------------------------------------- tests */

static X509 *x509_of(struct ccz_span der)
{
    const uint8_t *p = der.ptr;
    X509 *x = d2i_X509(NULL, &p, (long)der.size);
    CHECK(x);
    return x;
}

/* What a TLS client does with the chain, whose time is @p now_s. */
static int judged(struct ccz_span der, struct ccz_span ca, int64_t now_s)
{
    X509 *issuer = x509_of(ca), *leaf = x509_of(der);
    X509_STORE *st = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    CHECK(st && ctx && X509_STORE_add_cert(st, issuer) == 1);
    CHECK(X509_STORE_CTX_init(ctx, st, leaf, NULL) == 1);
    X509_VERIFY_PARAM *how = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(how, now_s);
    X509_VERIFY_PARAM_set_flags(how, X509_V_FLAG_X509_STRICT);
    CHECK(X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER) == 1);
    int ok = X509_verify_cert(ctx), why = X509_STORE_CTX_get_error(ctx);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(st);
    X509_free(leaf);
    X509_free(issuer);
    ERR_clear_error();
    return ok == 1 ? X509_V_OK : why;
}

static void test_make(void)
{
    struct ccz_kms_store *s = store();
    struct asked a;
    begin(&a);
    IS(ask(&a, s), CCZ_OK, "");
    X509 *ca = x509_of(a.r.ca);
    CHECK(X509_check_ca(ca) == 1 && X509_get_pathlen(ca) == 0);
    CHECK(X509_self_signed(ca, 1) == 1);
    CHECK(X509_get_key_usage(ca) & KU_KEY_CERT_SIGN);
    int critical = 0;
    NAME_CONSTRAINTS *nc = X509_get_ext_d2i(ca, NID_name_constraints, &critical, NULL);
    CHECK(nc && critical == 1 && sk_GENERAL_SUBTREE_num(nc->permittedSubtrees) == 2);
    NAME_CONSTRAINTS_free(nc);
    X509_free(ca);
    end(&a);
    done(s);
}

static void test_make_refused(void)
{
    struct ccz_kms_store *s = store();
    const struct cczi_msg_key_req good = {.name = ccz_span_str("new"),
                                          .kind = ccz_span_str("ecdsa-p384"),
                                          .ops = ccz_span_str("issue,public-key"),
                                          .names = ccz_span_str(NAMES)};
    struct cczi_msg_key_req m = good;
    m.names = (struct ccz_span){0};
    IS(use_make_at(s, &m, FIX_NOW), CCZ_E_FORMAT, "kms:ca-names");
    m.names = ccz_span_str("*.example");
    IS(use_make_at(s, &m, FIX_NOW), CCZ_E_FORMAT, "x509:names");
    m = good;
    m.ops = ccz_span_str("sign,verify"); /* names of a key that issues nothing */
    IS(use_make_at(s, &m, FIX_NOW), CCZ_E_FORMAT, "kms:ca-names");
    m.ops = ccz_span_str("issue,sign"); /* whoever signs a chosen text could sign a certificate */
    IS(use_make_at(s, &m, FIX_NOW), CCZ_E_DENIED, "kms:key-usage");
    m.ops = ccz_span_str("issue,export");
    IS(use_make_at(s, &m, FIX_NOW), CCZ_E_DENIED, "kms:key-usage");
    m = good;
    m.kind = ccz_span_str("ed25519");
    IS(use_make_at(s, &m, FIX_NOW), CCZ_E_UNSUPPORTED, "kms:key-op");
    m = good;
    m.exportable = 1;
    IS(use_make_at(s, &m, FIX_NOW), CCZ_E_DENIED, "kms:ca-key");
    m = good;
    m.unattested_insecure = 1;
    IS(use_make_at(s, &m, FIX_NOW), CCZ_E_DENIED, "kms:ca-key");
    m = good;
    m.rotate_every_s = 86400;
    IS(use_make_at(s, &m, FIX_NOW), CCZ_E_DENIED, "kms:ca-key");
    IS(use_make_at(s, &good, FIX_NOW), CCZ_OK, "");
    /* a key of all operations issues nothing */
    IS(use_make(s, "all", "ecdsa-p256", NULL, "server"), CCZ_OK, "");
    struct asked a;
    begin(&a);
    a.m.key = ccz_span_str("all");
    IS(ask(&a, s), CCZ_E_DENIED, "kms:key-usage");
    end(&a);
    done(s);
}

static void test_issue(void)
{
    struct ccz_kms_store *s = store();
    for (int both = 0; both < 2; both++) {
        struct asked a;
        struct ccz_claims claims;
        begin(&a);
        if (both)
            a.m.names = ccz_span_str("10.0.0.7,als.example");
        IS(ask(&a, s), CCZ_OK, "");
        CHECK(a.r.version == 1 && a.r.receipt.size && a.r.instance.size == 16);
        CHECK(a.r.not_after_s == FIX_NOW + 86400);
        CHECK(judged(a.r.certificate, a.r.ca, FIX_NOW + 10) == X509_V_OK);
        X509 *x = x509_of(a.r.certificate);
        CHECK(X509_check_host(x, "als.example", 0, 0, NULL) == 1);
        CHECK(X509_check_ip_asc(x, "10.0.0.7", 0) == both);
        CHECK(X509_check_host(x, "cczoo workload", 0, 0, NULL) == 0);
        CHECK(X509_get_extended_key_usage(x) == XKU_SSL_SERVER && X509_check_ca(x) == 0);
        X509_free(x);
        /* and who verifies evidence finds it, bound to the key of this certificate */
        CCZ_AUTO(ccz_cert) c = cert_of(a.r.certificate);
        CCZ_AUTO_BUF spki;
        ccz_buf_init(&spki, 256);
        CHECK(ccz_ratls_cert_verify(&claims, c, appraise, NULL, NULL) == CCZ_OK);
        CHECK(claims.mrenclave[0] == 0xaa);
        CHECK(ccz_key_spki(&spki, a.key) == CCZ_OK);
        CHECK(ccz_span_eq(ccz_cert_spki(c), ccz_buf_span(&spki)));
        end(&a);
    }
    done(s);
}

static void test_life(void)
{
    struct ccz_kms_store *s = store();
    struct asked a;
    begin(&a);
    a.m.life_s = 60;
    IS(ask(&a, s), CCZ_OK, "");
    CHECK(a.r.not_after_s == FIX_NOW + 60);
    CHECK(judged(a.r.certificate, a.r.ca, FIX_NOW + 61) == X509_V_ERR_CERT_HAS_EXPIRED);
    CHECK(judged(a.r.certificate, a.r.ca, FIX_NOW - 200) == X509_V_OK);
    a.m.life_s = 59;
    IS(ask(&a, s), CCZ_E_ARG, "kms:cert-life");
    a.m.life_s = 7 * 86400 + 1;
    IS(ask(&a, s), CCZ_E_ARG, "kms:cert-life");
    a.m.life_s = 7 * 86400;
    IS(ask(&a, s), CCZ_OK, "");
    CHECK(a.r.not_after_s == FIX_NOW + 7 * 86400);
    /* no longer than what the session was judged by */
    a.peer.claims.collateral_expires_s = FIX_NOW + 500;
    IS(ask(&a, s), CCZ_OK, "");
    CHECK(a.r.not_after_s == FIX_NOW + 500);
    a.peer.claims.collateral_expires_s = FIX_NOW;
    IS(ask(&a, s), CCZ_E_EXPIRED, "kms:cert-expired");
    end(&a);
    /* nor than what the request was judged by */
    begin(&a);
    next.expires_s = FIX_NOW + 400;
    ccz_buf_clear(&a.csr);
    CHECK(ccz_ratls_csr_make(&a.csr, a.key, attest, NULL, NULL) == CCZ_OK);
    a.m.csr = ccz_buf_span(&a.csr);
    IS(ask(&a, s), CCZ_OK, "");
    CHECK(a.r.not_after_s == FIX_NOW + 400);
    next.expires_s = FIX_NOW - 1;
    ccz_buf_clear(&a.csr);
    CHECK(ccz_ratls_csr_make(&a.csr, a.key, attest, NULL, NULL) == CCZ_OK);
    a.m.csr = ccz_buf_span(&a.csr);
    CHECK(ask(&a, s) == CCZ_E_POLICY && strncmp(use_err.where, "policy:", 7) == 0);
    end(&a);
    /* nor than the key itself */
    const struct cczi_msg_key_set_req set = {.name = ccz_span_str("ca"),
                                             .expires_s = FIX_NOW + 300};
    IS(use_set_at(s, "SetExpiry", cczi_msg_set_expiry_req, &set, FIX_NOW), CCZ_OK, "");
    begin(&a);
    IS(ask(&a, s), CCZ_OK, "");
    CHECK(a.r.not_after_s == FIX_NOW + 300);
    end(&a);
    done(s);
}

/* Nor than the policy accepts both: an accepted value that ends, a grace. */
static void test_life_policy(void)
{
#define AA         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define UNTIL      "\"until\":\"2023-11-14T23:00:00Z\"" /* FIX_NOW + 2800 */
#define GRACE      "\"grace\":{" UNTIL ",\"tcb_status\":[\"OutOfDate\"]}"
#define RULE(n, x) "{\"name\":\"" n "\",\"tee\":\"sgx\",\"sim\":true," x "}"
    static const struct {
        const char *rules;
        int64_t after_s;
    } t[] = {
        {RULE("a", "\"mrenclave\":{\"reference\":\"builds\"}"), 2800},
        {RULE("a", "\"mrenclave\":\"" AA "\",\"tcb_status\":[\"UpToDate\"]," GRACE), 86400},
        {RULE("a", "\"mrenclave\":\"" AA "\",\"tcb_status\":[\"OutOfDate\"],\"grace\":{" UNTIL
                   ",\"tcb_status\":[\"UpToDate\"]}"),
         2800},
        /* another rule goes on where the first one ends */
        {RULE("a", "\"mrenclave\":{\"reference\":\"builds\"}") "," RULE("b",
                                                                        "\"mrenclave\":\"" AA "\""),
         86400},
    };
    struct ccz_kms_store *s = store();
    const struct cczi_msg_put_reference_req set = {
        ccz_span_str("builds"),
        ccz_span_str("{\"version\":1,\"values\":[{\"name\":\"1.0\",\"value\":\"" AA "\"," UNTIL
                     "}]}"),
        0};
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "PutReference", cczi_msg_put_reference_req, &set, NULL) ==
          CCZ_OK);
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        char policy[1024];
        struct asked a;
        (void)snprintf(policy, sizeof(policy), "{\"version\":1,\"rules\":[%s]}", t[i].rules);
        CHECK(fix_put_policy(s, "server", policy, true, NULL) == CCZ_OK);
        begin(&a);
        a.m.life_s = 86400;
        IS(ask(&a, s), CCZ_OK, "");
        CHECK((int64_t)a.r.not_after_s == FIX_NOW + t[i].after_s);
        end(&a);
    }
    done(s);
}

/* A request whose signature holds, with the extensions given. */
static void request_with(struct asked *a, const struct ccz_cert_ext_in *ext, size_t len)
{
    ccz_buf_clear(&a->csr);
    CHECK(ccz_csr_make(&a->csr, a->key, "x", ext, len, NULL) == CCZ_OK);
    a->m.csr = ccz_buf_span(&a->csr);
}

static void test_request_refused(void)
{
    struct ccz_kms_store *s = store();
    struct asked a, other;
    begin(&a);
    begin(&other);
    CCZ_AUTO(ccz_csr) mine = NULL;
    CCZ_AUTO(ccz_csr) theirs = NULL;
    CHECK(ccz_csr_parse(&mine, a.m.csr, NULL) == CCZ_OK);
    CHECK(ccz_csr_parse(&theirs, other.m.csr, NULL) == CCZ_OK);
    size_t len;
    const struct ccz_cert_ext_in own = ccz_csr_exts(&len, mine)[0],
                                 foreign = ccz_csr_exts(&len, theirs)[0];
    /* not signed by the key that it names */
    a.csr.ptr[a.csr.size - 1] ^= 1;
    IS(ask(&a, s), CCZ_E_SIG, "x509:csr-signature");
    a.csr.ptr[a.csr.size - 1] ^= 1;
    IS(ask(&a, s), CCZ_OK, "");
    /* evidence over another key */
    request_with(&a, &foreign, 1);
    IS(ask(&a, s), CCZ_E_SIG, "ratls:cert-key");
    request_with(&a, NULL, 0);
    IS(ask(&a, s), CCZ_E_NOT_FOUND, "ratls:no-evidence");
    /* what nobody has looked at would be in the certificate */
    const struct ccz_cert_ext_in more[] = {own, {"2.5.29.19", ccz_span_str("ca"), false}};
    request_with(&a, more, 2);
    IS(ask(&a, s), CCZ_E_FORMAT, "ratls:csr-extensions");
    /* evidence that is not genuine; that says other report data */
    next.genuine[0] = 'f';
    ccz_buf_clear(&a.csr);
    CHECK(ccz_ratls_csr_make(&a.csr, a.key, attest, NULL, NULL) == CCZ_OK);
    a.m.csr = ccz_buf_span(&a.csr);
    IS(ask(&a, s), CCZ_E_SIG, "test:evidence");
    CCZ_AUTO_BUF quote;
    ccz_buf_init(&quote, 4096);
    ccz_buf_put_span(&quote, own.value);
    for (size_t i = 0; i + 4 < quote.size; i++)
        if (memcmp(quote.ptr + i, "FAKE", 4) == 0)
            quote.ptr[i + 4] ^= 1; /* the first byte of report data */
    const struct ccz_cert_ext_in bent = {own.oid, ccz_buf_span(&quote), false};
    request_with(&a, &bent, 1);
    IS(ask(&a, s), CCZ_E_SIG, "ratls:report-data");
    request_with(&a, &own, 1);
    a.no_verifier = true;
    IS(ask(&a, s), CCZ_E_UNSUPPORTED, "kms:cert-evidence");
    a.no_verifier = false;
    IS(ask(&a, s), CCZ_OK, "");
    end(&a);
    end(&other);
    done(s);
}

static void test_names_refused(void)
{
    static const struct {
        const char *names;
        ccz_rc rc;
        const char *where;
    } bad[] = {
        {"other.example", CCZ_E_DENIED, "x509:name-not-allowed"},
        {"a.als.example", CCZ_E_DENIED, "x509:name-not-allowed"},
        {"als.example,10.0.0.8", CCZ_E_DENIED, "x509:name-not-allowed"},
        {"localhost", CCZ_E_DENIED, "x509:name-not-allowed"},
        {"*.als.example", CCZ_E_FORMAT, "x509:names"},
        {"ALS.example", CCZ_E_FORMAT, "x509:names"},
        {"", CCZ_E_FORMAT, "x509:names"},
    };
    struct ccz_kms_store *s = store();
    struct asked a;
    begin(&a);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        a.m.names = ccz_span_str(bad[i].names);
        IS(ask(&a, s), bad[i].rc, bad[i].where);
    }
    end(&a);
    done(s);
}

static void test_workload_refused(void)
{
    struct ccz_kms_store *s = store();
    struct asked a;
    /* the caller is the right workload, the evidence in the request that of another */
    begin(&a);
    memset(next.mrenclave, 0xbb, 32);
    ccz_buf_clear(&a.csr);
    CHECK(ccz_ratls_csr_make(&a.csr, a.key, attest, NULL, NULL) == CCZ_OK);
    a.m.csr = ccz_buf_span(&a.csr);
    IS(ask(&a, s), CCZ_E_DENIED, "kms:cert-workload");
    /* and the other way round */
    honest();
    ccz_buf_clear(&a.csr);
    CHECK(ccz_ratls_csr_make(&a.csr, a.key, attest, NULL, NULL) == CCZ_OK);
    a.m.csr = ccz_buf_span(&a.csr);
    memset(a.peer.claims.mrenclave, 0xbb, 32);
    IS(ask(&a, s), CCZ_E_POLICY, "policy:mrenclave");
    end(&a);
    begin(&a);
    IS(use_bind(s, "ca", "issue", "other"), CCZ_OK, "");
    IS(ask(&a, s), CCZ_E_POLICY, "policy:mrenclave");
    IS(use_bind(s, "ca", "issue", NULL), CCZ_OK, "");
    IS(ask(&a, s), CCZ_E_DENIED, "kms:unbound");
    IS(use_bind(s, "ca", "public-key", "server"), CCZ_OK, ""); /* says nothing of issuing */
    IS(ask(&a, s), CCZ_E_DENIED, "kms:unbound");
    end(&a);
    done(s);
}

static ccz_rc target(struct ccz_kms_store *s, const char *method)
{
    const struct cczi_msg_delete_req m = {.target = ccz_span_str("key/ca")};
    use_err = (struct ccz_err){0};
    bool del = strcmp(method, "Delete") == 0;
    return fix_msg(NULL, s, FIX_ADMIN, method, del ? cczi_msg_delete_req : cczi_msg_target_req, &m,
                   &use_err);
}

static void test_states(void)
{
    struct ccz_kms_store *s = store();
    struct asked a;
    begin(&a);
    IS(target(s, "Disable"), CCZ_OK, "");
    IS(ask(&a, s), CCZ_E_DENIED, "kms:key-disabled");
    IS(target(s, "Enable"), CCZ_OK, "");
    IS(ask(&a, s), CCZ_OK, "");
    IS(target(s, "Delete"), CCZ_OK, "");
    IS(ask(&a, s), CCZ_E_DENIED, "kms:key-deleting");
    IS(target(s, "Undelete"), CCZ_OK, "");
    const struct cczi_msg_key_set_req set = {.name = ccz_span_str("ca"), .expires_s = FIX_NOW + 60};
    IS(use_set_at(s, "SetExpiry", cczi_msg_set_expiry_req, &set, FIX_NOW), CCZ_OK, "");
    a.now_s = FIX_NOW + 60;
    IS(ask(&a, s), CCZ_E_EXPIRED, "kms:key-expired");
    a.now_s = FIX_NOW;
    a.m.version = 2;
    IS(ask(&a, s), CCZ_E_NOT_FOUND, "kms:key-version");
    a.m.version = 1;
    IS(ask(&a, s), CCZ_OK, "");
    a.m.key = ccz_span_str("absent");
    IS(ask(&a, s), CCZ_E_NOT_FOUND, "kms:not-found");
    end(&a);
    done(s);
}

static void test_never_leaves(void)
{
    struct ccz_kms_store *s = store();
    struct use_got g;
    const struct cczi_msg_key_set_req set = {.name = ccz_span_str("ca"), .rotate_every_s = 86400};
    const struct cczi_msg_use_req sign = {.key = ccz_span_str("ca"), .text = ccz_span_str("x")};
    use_got_init(&g);
    IS(use_bind(s, "ca", NULL, "server"), CCZ_OK, "");
    use_err = (struct ccz_err){0};
    IS(fix_release(NULL, s, FIX_WORKLOAD, "key/ca", 0, &use_err), CCZ_E_DENIED, "kms:key-usage");
    IS(use(&g, s, "Sign", cczi_msg_sign_req, &sign), CCZ_E_DENIED, "kms:key-usage");
    IS(use(&g, s, "PublicKey", cczi_msg_public_key_req, &sign), CCZ_OK, "");
    IS(use_bind(s, "ca", "sign", "server"), CCZ_E_DENIED, "kms:key-usage");
    IS(use_set_at(s, "Rotate", cczi_msg_rotate_req, &set, FIX_NOW), CCZ_E_DENIED, "kms:ca-rotate");
    IS(use_set_at(s, "SetPeriod", cczi_msg_set_period_req, &set, FIX_NOW), CCZ_E_DENIED,
       "kms:ca-rotate");
    const struct cczi_msg_key_req in = {.name = ccz_span_str("in"),
                                        .kind = ccz_span_str("ecdsa-p256"),
                                        .ops = ccz_span_str("issue,public-key")};
    use_err = (struct ccz_err){0};
    IS(fix_msg(NULL, s, FIX_ADMIN, "ImportToken", cczi_msg_import_token_req, &in, &use_err),
       CCZ_E_DENIED, "kms:ca-key");
    use_got_deinit(&g);
    done(s);
}

static void test_quorum(void)
{
    struct ccz_kms_store *s = store();
    for (int i = 0; i < 2; i++) {
        struct ccz_kms_grant grant = {.ns = "pay", .roles = CCZ_KMS_ROLE_ADMIN};
        fix_spki(grant.principal, i ? FIX_AUDITOR : FIX_ADMIN);
        CHECK(ccz_kms_store_grant(s, &grant, FIX_NOW, NULL) == CCZ_OK);
    }
    CHECK(ccz_kms_store_set_quorum(s, "pay", 1, FIX_NOW, NULL) == CCZ_OK);
    IS(use_make_ca(s, "pay/ca", NAMES, NULL), CCZ_E_DENIED, "kms:approval-needed");
    IS(use_make(s, "pay/pair", "ecdsa-p256", NULL, NULL), CCZ_OK, ""); /* that vouches for nobody */
    struct ccz_buf body, shown;
    ccz_buf_init(&body, 4096);
    ccz_buf_init(&shown, 4096);
    const struct cczi_msg_key_req m = {.name = ccz_span_str("pay/ca"),
                                       .kind = ccz_span_str("ecdsa-p256"),
                                       .ops = ccz_span_str("issue,public-key"),
                                       .names = ccz_span_str(NAMES)};
    cczi_msg_put(&body, cczi_msg_generate_req, &m);
    const struct cczi_msg_propose_req propose = {.method = ccz_span_str("Generate"),
                                                 .body = ccz_buf_span(&body)};
    use_err = (struct ccz_err){0};
    IS(fix_msg(NULL, s, FIX_ADMIN, "Propose", cczi_msg_propose_req, &propose, &use_err), CCZ_OK,
       "");
    struct cczi_msg_approve_req approve = {.id = 1};
    uint8_t digest[32];
    CHECK(cczi_kms_proposal_digest(digest, "Generate", ccz_buf_span(&body), NULL) == CCZ_OK);
    approve.sha256 = CCZ_SPAN(digest, 32);
    IS(fix_msg(NULL, s, FIX_AUDITOR, "Approve", cczi_msg_approve_req, &approve, &use_err), CCZ_OK,
       "");
    struct ccz_kms_proposal p = {.body = ccz_buf_span(&body)};
    (void)snprintf(p.method, sizeof(p.method), "Generate");
    ccz_kms_proposal_print(&shown, &p);
    CHECK(strstr(ccz_buf_str(&shown), "names=" NAMES)); /* approvers see what it may vouch for */
    struct asked a;
    begin(&a);
    a.m.key = ccz_span_str("pay/ca");
    IS(ask(&a, s), CCZ_E_DENIED, "kms:unbound");
    end(&a);
    ccz_buf_free(&body);
    ccz_buf_free(&shown);
    done(s);
}

/* @param odd  a field behind it that this version does not know @return the text, in @p out */
static const char *shown(struct ccz_buf *out, const char *method,
                         const struct cczi_msg_field *fields, const void *msg, bool odd)
{
    struct ccz_kms_proposal p = {.id = 1};
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, 4096);
    cczi_msg_put(&body, fields, msg);
    if (odd)
        ccz_pb_put_uint(&body, 30, 7);
    p.body = ccz_buf_span(&body);
    (void)snprintf(p.method, sizeof(p.method), "%s", method);
    ccz_buf_clear(out);
    ccz_kms_proposal_print(out, &p);
    return ccz_buf_str(out);
}

/* What is agreed to is shown to its end. */
static void test_shown(void)
{
    CCZ_AUTO_BUF names, out;
    ccz_buf_init(&names, 1024);
    ccz_buf_init(&out, 4096);
    for (int i = 0; i < 50; i++)
        ccz_buf_printf(&names, "host%02d.example,", i);
    ccz_buf_put_str(&names, "\"bank\".example");
    const struct cczi_msg_key_req ca = {.name = ccz_span_str("pay/ca"),
                                        .kind = ccz_span_str("ecdsa-p256"),
                                        .ops = ccz_span_str("issue"),
                                        .names = ccz_buf_span(&names)};
    CHECK(strstr(shown(&out, "Generate", cczi_msg_generate_req, &ca, false),
                 "host49.example,\\x22bank\\x22.example expires_s=0"));
    const struct cczi_msg_delete_req del = {.target = ccz_span_str("key/a"), .recovery_s = 86400};
    static const char text[] = "Delete target=key/a version=0 recovery_s=86400";
    CHECK(strcmp(shown(&out, "Delete", cczi_msg_delete_req, &del, false), text) == 0);
    CHECK(strstr(shown(&out, "Delete", cczi_msg_delete_req, &del, true),
                 " request=")); /* the bytes */
    /* of each that may be proposed it is known what it is made of */
    uint32_t field;
    for (size_t i = 0; i < cczi_kms_methods_len; i++)
        CHECK(cczi_kms_methods[i].guarded ==
              cczi_kms_request_known(&field, cczi_kms_methods[i].name, (struct ccz_span){0}));
    /* a year of five digits is none of four */
    const struct cczi_msg_key_set_req far = {.name = ccz_span_str("k"), .expires_s = 317368281600};
    CHECK(strcmp(shown(&out, "SetExpiry", cczi_msg_set_expiry_req, &far, false),
                 "SetExpiry key=k expires 9999-12-31T23:59:59Z expires_s=317368281600") == 0);
}

static void test_recorded(void)
{
    struct ccz_kms_store *s = store();
    struct asked a;
    struct ccz_buf out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    begin(&a);
    uint64_t before = fix_check(s).audit_lines;
    IS(ask(&a, s), CCZ_OK, "");
    CCZ_AUTO(ccz_cert) c = cert_of(a.r.certificate);
    char serial[64], sha[65], want[64 + 32];
    uint8_t digest[32];
    ccz_hex(serial, ccz_cert_serial(c).ptr, ccz_cert_serial(c).size);
    CHECK(ccz_sha256(digest, a.r.certificate) == CCZ_OK);
    ccz_hex(sha, digest, 32);
    const struct cczi_msg_audit_req tail = {.after_seq = before};
    CHECK(fix_msg(&out, s, FIX_AUDITOR, "AuditTail", cczi_msg_audit_req, &tail, NULL) == CCZ_OK);
    ccz_buf_u8(&out, 0);
    /* the text of the line stands in the answer as it is */
    const char *text = NULL;
    for (size_t i = 0; i + 5 < out.size && !text; i++)
        if (memcmp(out.ptr + i, "{\"op\"", 5) == 0)
            text = (const char *)out.ptr + i;
    CHECK(text && strstr(text, "\"op\":\"IssueCertificate\",\"verdict\":\"accept\""));
    (void)snprintf(want, sizeof(want), "\"serial\":\"%s\"", serial);
    CHECK(strstr(text, want) && strstr(text, sha));
    CHECK(strstr(text, "\"names\":\"als.example\""));
    /* two certificates never have one number */
    struct asked b;
    begin(&b);
    IS(ask(&b, s), CCZ_OK, "");
    CCZ_AUTO(ccz_cert) d = cert_of(b.r.certificate);
    CHECK(!ccz_span_eq(ccz_cert_serial(c), ccz_cert_serial(d)));
    /* a refusal is on record, and names no certificate */
    a.m.names = ccz_span_str("other.example");
    before = fix_check(s).audit_lines;
    IS(ask(&a, s), CCZ_E_DENIED, "x509:name-not-allowed");
    CHECK(fix_check(s).audit_lines == before + 1);
    end(&a);
    end(&b);
    ccz_buf_free(&out);
    done(s);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"kms.ca_make", test_make},
        {"kms.ca_make_refused", test_make_refused},
        {"kms.ca_issue", test_issue},
        {"kms.ca_life", test_life},
        {"kms.ca_life_policy", test_life_policy},
        {"kms.ca_request_refused", test_request_refused},
        {"kms.ca_names_refused", test_names_refused},
        {"kms.ca_workload_refused", test_workload_refused},
        {"kms.ca_states", test_states},
        {"kms.ca_never_leaves", test_never_leaves},
        {"kms.ca_quorum", test_quorum},
        {"kms.proposal_shown", test_shown},
        {"kms.ca_recorded", test_recorded},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
