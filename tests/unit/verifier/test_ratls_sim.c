/* SPDX-License-Identifier: Apache-2.0 */
/* RA-TLS with genuine-format evidence: software TEE, collateral, verifier and policy together. */
#define _GNU_SOURCE /* nftw */
#include <cczoo/tee.h>
#include <cczoo/verifier.h>

#include "ratls/ratls_ends.h"

#include <ftw.h>
#include <unistd.h>

static char base[] = "/tmp/test_ratls_sim.XXXXXX";

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static void cleanup(void)
{
    (void)nftw(base, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

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
    (void)snprintf(dir, sizeof(dir), "%s/%s", base, name);
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
    CHECK(mkdtemp(base) != NULL && atexit(cleanup) == 0);
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
    (void)snprintf(trust, sizeof(trust), "%s/c/trust", base);
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

static const struct ccz_test tests[] = {
    {"ratls.sim_session", test_session},
    {"ratls.sim_certificate", test_certificate},
    {"ratls.sim_replay", test_replay},
    {"ratls.sim_refused", test_refused},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
