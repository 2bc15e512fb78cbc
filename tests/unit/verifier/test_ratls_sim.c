/* SPDX-License-Identifier: Apache-2.0 */
/* RA-TLS with genuine-format evidence: software TEE, collateral, verifier and policy together. */
#define _GNU_SOURCE /* nftw */
#include <cczoo/codec.h>
#include <cczoo/tee.h>
#include <cczoo/verifier.h>

#include "ratls/ratls_ends.h"
#include "temp_dir.h"

#include <unistd.h>

static int64_t clock_now(void *arg)
{
    (void)arg;
    return RATLS_NOW;
}

static void must(ccz_rc rc, const struct ccz_err *err)
{
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err->where, err->msg);
    CHECK(rc == CCZ_OK);
}

/* A platform: its attester, and a verifier that trusts it and a policy for what runs on it. */
struct party {
    struct ccz_attester *attester;
    struct ccz_verifier *verifier;
    struct ccz_policy *policy;
    struct ccz_buf keep;         /* last quote made */
    const struct ccz_buf *stale; /* this one is given instead of a new one */
};

static ccz_rc attest(void *arg, struct ccz_buf *quote, const uint8_t report_data[64],
                     struct ccz_err *err)
{
    struct party *p = arg;
    if (p->stale) {
        ccz_buf_put_span(quote, ccz_buf_span(p->stale));
        return CCZ_OK;
    }
    ccz_rc rc = ccz_attester_quote(quote, p->attester, report_data, err);
    ccz_buf_clear(&p->keep);
    ccz_buf_put_span(&p->keep, ccz_buf_span(quote));
    return rc;
}

static void open_party(struct party *p, const char *name, const char *provider)
{
    struct ccz_err err = {0};
    char dir[256], trust[300];
    memset(p, 0, sizeof(*p));
    ccz_buf_init(&p->keep, CCZ_QUOTE_SIZE_MAX);
    (void)snprintf(dir, sizeof(dir), "%s/%s", temp_base, name);
    (void)snprintf(trust, sizeof(trust), "%s/trust", dir);
    must(ccz_sim_init(dir, &(struct ccz_sim_cfg){.now_s = RATLS_NOW}, &err), &err);
    must(ccz_attester_open(&p->attester,
                           &(struct ccz_attester_cfg){.provider = provider, .sim_dir = dir}, &err),
         &err);
    struct ccz_verifier_cfg cfg = {.clock = {clock_now, NULL}, .trust_sim_dir = trust};
    must(ccz_verifier_new(&p->verifier, &cfg, &err), &err);

    /* the policy that a first, trusted look at the evidence drafts */
    static const uint8_t report_data[64];
    struct ccz_claims claims;
    CCZ_AUTO_BUF quote;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&quote, CCZ_QUOTE_SIZE_MAX);
    ccz_buf_init(&text, CCZ_POLICY_SIZE_MAX);
    must(ccz_attester_quote(&quote, p->attester, report_data, &err), &err);
    must(ccz_verifier_verify(p->verifier, &claims, ccz_buf_span(&quote), &err), &err);
    must(ccz_policy_draft(&text, &claims, &err), &err);
    must(ccz_policy_parse(&p->policy, ccz_buf_span(&text), &err), &err);
    ccz_verifier_free(p->verifier);
    cfg.policy = p->policy;
    must(ccz_verifier_new(&p->verifier, &cfg, &err), &err);
}

static void close_party(struct party *p)
{
    ccz_attester_free(p->attester);
    ccz_verifier_free(p->verifier);
    ccz_policy_free(p->policy);
    ccz_buf_free(&p->keep);
}

static void setup(void)
{
    temp_setup();
}

static void make(struct end *e, bool server, enum ccz_ratls_profile profile, struct party *own,
                 struct ccz_verifier *judge)
{
    make_end(e, server, profile);
    e->cfg.attest = attest;
    e->cfg.attest_arg = own;
    e->cfg.appraise = ccz_verifier_appraise;
    e->cfg.appraise_arg = judge;
}

static void both_ways(const char *provider, enum ccz_ratls_profile profile)
{
    struct party p;
    struct end c, s;
    open_party(&p, provider, provider);
    make(&c, false, profile, &p, p.verifier);
    make(&s, true, profile, &p, p.verifier);
    open_and_run(&c, &s);
    must(c.rc, &c.err);
    must(s.rc, &s.err);
    CHECK(ccz_ratls_ready(c.r) && ccz_ratls_ready(s.r));
    const struct ccz_ratls_peer *peer = ccz_ratls_peer(c.r);
    CHECK(peer->attested && peer->claims.simulated &&
          peer->claims.tcb_status == CCZ_TCB_UP_TO_DATE);
    CHECK(peer->claims.tee == (strcmp(provider, "sim-tdx") == 0 ? CCZ_TEE_TDX : CCZ_TEE_SGX));
    CHECK(peer->fresh == (profile == CCZ_RATLS_SESSION));
    close_end(&c);
    close_end(&s);
    close_party(&p);
}

static void test_session(void)
{
    setup();
    both_ways("sim-sgx", CCZ_RATLS_SESSION);
    both_ways("sim-tdx", CCZ_RATLS_SESSION);
}

static void test_certificate(void)
{
    setup();
    both_ways("sim-sgx", CCZ_RATLS_CERTIFICATE);
    both_ways("sim-tdx", CCZ_RATLS_CERTIFICATE);
}

/* Yesterday's evidence of the right enclave on the right platform. */
static void test_replay(void)
{
    struct party p;
    struct end c, s;
    struct ccz_buf old;
    setup();
    open_party(&p, "a", "sim-sgx");
    struct party thief = p;
    make(&c, false, CCZ_RATLS_SESSION, &p, p.verifier);
    make(&s, true, CCZ_RATLS_SESSION, &p, p.verifier);
    open_and_run(&c, &s);
    CHECK(ccz_ratls_ready(c.r) && p.keep.size > 1000);
    close_end(&c);
    close_end(&s);
    ccz_buf_init(&old, CCZ_QUOTE_SIZE_MAX);
    ccz_buf_put_span(&old, ccz_buf_span(&p.keep));
    thief.stale = &old;
    make(&c, false, CCZ_RATLS_SESSION, &p, p.verifier);
    make(&s, true, CCZ_RATLS_SESSION, &thief, p.verifier);
    open_and_run(&c, &s);
    CHECK(c.rc == CCZ_E_SIG && strcmp(c.err.where, "ratls:report-data") == 0);
    CHECK(s.rc == CCZ_E_PEER && strcmp(s.err.where, "peer:ratls:report-data") == 0);
    close_end(&c);
    close_end(&s);
    /* with one bit of its report data corrected, it is no longer evidence */
    old.ptr[48 + 320] ^= 1;
    open_and_run(&c, &s);
    CHECK(c.rc == CCZ_E_SIG && strcmp(c.err.where, "quote:signature") == 0);
    close_end(&c);
    close_end(&s);
    ccz_buf_free(&old);
    close_party(&p);
}

/* Evidence of another platform, of another kind of TEE, and no policy at all. */
static void test_refused(void)
{
    struct party p, other, tdx;
    struct end c, s;
    struct ccz_err err = {0};
    setup();
    open_party(&p, "a", "sim-sgx");
    open_party(&other, "b", "sim-sgx");
    open_party(&tdx, "c", "sim-tdx");
    make(&c, false, CCZ_RATLS_SESSION, &p, p.verifier);
    make(&s, true, CCZ_RATLS_SESSION, &other, p.verifier);
    open_and_run(&c, &s);
    CHECK(c.rc != CCZ_OK && strncmp(c.err.where, "quote:", 6) == 0 && !ccz_ratls_ready(c.r));
    CHECK(s.rc == CCZ_E_PEER && strncmp(s.err.where, "peer:quote:", 11) == 0);
    close_end(&c);
    close_end(&s);

    struct ccz_verifier *mixed = NULL; /* trusts platform c, but wants what the policy of a says */
    char trust[300];
    (void)snprintf(trust, sizeof(trust), "%s/c/trust", temp_base);
    struct ccz_verifier_cfg cfg = {
        .clock = {clock_now, NULL}, .trust_sim_dir = trust, .policy = p.policy};
    must(ccz_verifier_new(&mixed, &cfg, &err), &err);
    make(&c, false, CCZ_RATLS_SESSION, &p, mixed);
    make(&s, true, CCZ_RATLS_SESSION, &tdx, p.verifier);
    open_and_run(&c, &s);
    CHECK(c.rc == CCZ_E_POLICY && strcmp(c.err.where, "policy:tee") == 0);
    CHECK(s.rc == CCZ_E_PEER && strcmp(s.err.where, "peer:policy:tee") == 0);
    close_end(&c);
    close_end(&s);
    ccz_verifier_free(mixed);
    cfg.policy = NULL;
    must(ccz_verifier_new(&mixed, &cfg, &err), &err);
    make(&c, false, CCZ_RATLS_SESSION, &p, mixed);
    make(&s, true, CCZ_RATLS_SESSION, &tdx, p.verifier);
    open_and_run(&c, &s);
    CHECK(c.rc != CCZ_OK && !ccz_ratls_ready(c.r) && s.rc != CCZ_OK);
    close_end(&c);
    close_end(&s);
    ccz_verifier_free(mixed);
    close_party(&p);
    close_party(&other);
    close_party(&tdx);
}

/* ----------------------------------------------------- collateral that comes with the certificate */

/* Endorsements extension over the files of a bundle; @p flip: this byte of the TCB info is changed, or -1. */
static void put_endorsements(struct ccz_buf *out, const char *dir, long flip)
{
    static const char *const files[] = {"tcb_info.json",
                                        "tcb_info_issuer_chain.pem",
                                        "pck_crl.der",
                                        "root_ca_crl.der",
                                        "pck_crl_issuer_chain.pem",
                                        "qe_identity.json",
                                        "qe_identity_issuer_chain.pem"};
    ccz_cbor_put_head(out, CCZ_CBOR_TAG, 60000);
    ccz_cbor_put_head(out, CCZ_CBOR_ARRAY, 8);
    ccz_buf_put(out, "\x1a\0\0\0\3", 5);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char path[400];
        struct ccz_err err = {0};
        CCZ_AUTO_BUF part;
        ccz_buf_init(&part, 65536);
        (void)snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
        must(ccz_file_read(&part, path, &err), &err);
        if (i == 0 && flip >= 0)
            part.ptr[flip] ^= 1;
        ccz_cbor_put_string(out, CCZ_CBOR_BYTES, ccz_buf_span(&part));
    }
    CHECK(!out->bad);
}

/* Verifies the evidence of a certificate with nothing but its own endorsements and a root. */
static ccz_rc verify_offline(struct ccz_span der, const struct ccz_roots *roots,
                             struct ccz_err *err)
{
    CCZ_AUTO(ccz_cert) cert = NULL;
    CCZ_AUTO(ccz_collateral) collateral = NULL;
    struct ccz_ratls_evidence e;
    struct ccz_collateral_src src;
    struct ccz_claims claims;
    must(ccz_cert_parse(&cert, der, err), err);
    must(ccz_ratls_cert_evidence(&e, cert, err), err);
    must(ccz_ratls_cert_endorsements(&src, cert, err), err);
    ccz_rc rc = ccz_collateral_new(&collateral, &src, roots, err);
    if (rc == CCZ_OK)
        rc = ccz_quote_verify(
            &claims, e.quote,
            &(struct ccz_verify_cfg){.now_s = RATLS_NOW, .roots = roots, .collateral = collateral},
            err);
    CHECK(rc != CCZ_OK || memcmp(claims.report_data, e.report_data, 64) == 0);
    return rc;
}

static void test_endorsements(void)
{
    struct party p;
    struct ccz_err err = {0};
    struct ccz_roots sim = {0}, intel = {0};
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO(ccz_cert) plain = NULL;
    CCZ_AUTO_BUF plain_der, root;
    char dir[300], file[320];
    setup();
    open_party(&p, "a", "sim-sgx");
    ccz_buf_init(&plain_der, CCZ_CERT_SIZE_MAX);
    ccz_buf_init(&root, 65536);
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    must(ccz_ratls_cert_issue(&plain_der, key, RATLS_NOW, CCZ_RATLS_EMIT_DICE, attest, &p, &err),
         &err);
    must(ccz_cert_parse(&plain, ccz_buf_span(&plain_der), &err), &err);
    (void)snprintf(file, sizeof(file), "%s/a/trust/root.pem", temp_base);
    (void)snprintf(dir, sizeof(dir), "%s/a/trust/sgx", temp_base);
    must(ccz_file_read(&root, file, &err), &err);
    must(ccz_roots_add_cert(&sim, ccz_buf_span(&root), true, &err), &err);
    CHECK(ccz_roots_add_intel(&intel) == CCZ_OK);
    for (long flip = -1; flip < 400; flip += 50) {
        CCZ_AUTO_BUF value, der;
        ccz_buf_init(&value, 65536);
        ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
        put_endorsements(&value, dir, flip);
        const struct ccz_cert_ext_in ext[] = {
            {.oid = "2.23.133.5.4.9", .value = ccz_cert_ext(NULL, plain, "2.23.133.5.4.9")},
            {.oid = "2.23.133.5.4.2", .value = ccz_buf_span(&value)}};
        must(ccz_cert_issue(&der,
                            &(struct ccz_cert_cfg){.cn = "offline",
                                                   .key = key,
                                                   .not_before_s = RATLS_NOW,
                                                   .not_after_s = RATLS_NOW + 60,
                                                   .ext = ext,
                                                   .ext_len = 2},
                            &err),
             &err);
        CHECK((verify_offline(ccz_buf_span(&der), &sim, &err) == CCZ_OK) == (flip < 0));
        CHECK(verify_offline(ccz_buf_span(&der), &intel, &err) != CCZ_OK);
    }
    close_party(&p);
}

/* ------------------------------------------------- certificates by other implementations, all of them DEBUG */

/* What a genuine platform would say about the quote, so that only the policy is left to refuse it. */
static ccz_rc peek(void *arg, struct ccz_claims *claims, struct ccz_span quote, struct ccz_err *err)
{
    enum { ATTRIBUTES = 48, MRENCLAVE = 64, REPORT_DATA = 320, DEBUG = 2 };
    struct ccz_quote q;
    struct ccz_verdict verdict;
    ccz_rc rc = ccz_quote_parse(&q, quote, err);
    if (rc != CCZ_OK)
        return rc;
    claims->tee = q.tee;
    memcpy(claims->report_data, q.body.ptr + REPORT_DATA, 64);
    memcpy(claims->attributes, q.body.ptr + ATTRIBUTES, 16);
    memcpy(claims->mrenclave, q.body.ptr + MRENCLAVE, 32);
    claims->debug = (claims->attributes[0] & DEBUG) != 0;
    claims->tcb_status = CCZ_TCB_UP_TO_DATE;
    claims->collateral_issued_s = claims->tcb_date_s = RATLS_NOW;
    claims->collateral_expires_s = RATLS_NOW + 60;
    const struct ccz_policy *policy = arg;
    return policy ? ccz_policy_eval(&verdict, policy, claims, RATLS_NOW, err) : CCZ_OK;
}

/* The policy that pins this very enclave and says nothing else. */
static void pin_enclave(struct ccz_policy **policy, const struct ccz_claims *claims)
{
    char hex[65], text[400];
    struct ccz_err err = {0};
    ccz_hex(hex, claims->mrenclave, 32);
    (void)snprintf(
        text, sizeof(text),
        "{\"version\":1,\"rules\":[{\"name\":\"x\",\"tee\":\"sgx\",\"mrenclave\":\"%s\"}]}", hex);
    must(ccz_policy_parse(policy, ccz_span_str(text), &err), &err);
}

static void test_foreign(void)
{
    static const char *const names[] = {"gramine-cert.pem", "intel-sgxsdk-cert.pem",
                                        "rats-tls-cert.pem"};
    const char *vectors = getenv("CCZOO_VECTORS");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[1024];
        struct ccz_err err = {0};
        struct ccz_claims claims;
        CCZ_AUTO(ccz_cert) cert = NULL;
        CCZ_AUTO(ccz_policy) policy = NULL;
        CCZ_AUTO_BUF pem, der;
        ccz_buf_init(&pem, CCZ_CERT_SIZE_MAX);
        ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
        (void)snprintf(path, sizeof(path), "%s/certs/%s",
                       vectors ? vectors : CCZ_TEST_SOURCE_DIR "/../shared/vectors", names[i]);
        if (ccz_file_read(&pem, path, NULL) != CCZ_OK) {
            fprintf(stderr, "skipped: %s is absent\n", path);
            exit(77);
        }
        struct ccz_span text = ccz_buf_span(&pem);
        if (ccz_pem_next(&der, &text, "CERTIFICATE", NULL) != CCZ_OK) {
            text = ccz_buf_span(&pem);
            must(ccz_pem_next(&der, &text, "TRUSTED CERTIFICATE", &err), &err);
        }
        must(ccz_cert_parse(&cert, ccz_buf_span(&der), &err), &err);
        must(ccz_ratls_cert_verify(&claims, cert, peek, NULL, &err), &err);
        CHECK(claims.debug);
        pin_enclave(&policy, &claims);
        CHECK(ccz_ratls_cert_verify(&claims, cert, peek, policy, &err) == CCZ_E_POLICY);
        CHECK(strcmp(err.where, "policy:debug") == 0);
    }
}

static const struct ccz_test tests[] = {
    {"ratls.sim_session", test_session},
    {"ratls.sim_certificate", test_certificate},
    {"ratls.sim_replay", test_replay},
    {"ratls.sim_refused", test_refused},
    {"ratls.sim_endorsements", test_endorsements},
    {"ratls.sim_foreign", test_foreign},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
