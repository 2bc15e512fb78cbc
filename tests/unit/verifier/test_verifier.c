/* SPDX-License-Identifier: Apache-2.0 */
/* The whole way: software TEE makes evidence and collateral, the verifier judges it. */
#define _GNU_SOURCE /* nftw */
#include "verifier/verifier_priv.h"

#include <cczoo/codec.h>
#include <cczoo/tee.h>

#include "temp_dir.h"

#include <pthread.h>
#include <unistd.h>

enum { NOW_S = 1750000000, DAY = 86400 };

static int64_t now_s = NOW_S;
static int64_t clock_now(void *arg)
{
    (void)arg;
    return now_s;
}

static void must(ccz_rc rc, const struct ccz_err *err)
{
    if (rc != CCZ_OK) {
        fprintf(stderr, "%s: %s\n", err->where, err->msg);
        exit(1);
    }
}

/* One simulated platform per name. */
static void sim(const char *name, const struct ccz_sim_cfg *more)
{
    struct ccz_sim_cfg cfg = more ? *more : (struct ccz_sim_cfg){0};
    struct ccz_err err = {0};
    if (cfg.now_s == 0)
        cfg.now_s = NOW_S;
    must(ccz_sim_init(temp_path(name), &cfg, &err), &err);
}

static void setup(void)
{
    temp_setup();
    sim("a", NULL);
}

static void quote(struct ccz_buf *out, const char *platform, const char *provider, bool debug)
{
    CCZ_AUTO(ccz_attester) a = NULL;
    struct ccz_err err = {0};
    uint8_t report_data[64];
    memset(report_data, 0x77, sizeof(report_data));
    const struct ccz_attester_cfg cfg = {
        .provider = provider, .sim_dir = temp_path(platform), .sim_debug = debug};
    ccz_buf_init(out, CCZ_QUOTE_SIZE_MAX);
    must(ccz_attester_open(&a, &cfg, &err), &err);
    must(ccz_attester_quote(out, a, report_data, &err), &err);
}

static void open_verifier(struct ccz_verifier **v, const char *platform,
                          const struct ccz_policy *policy)
{
    char trust[64];
    struct ccz_err err = {0};
    (void)snprintf(trust, sizeof(trust), "%s/trust", platform);
    const struct ccz_verifier_cfg cfg = {
        .clock = {clock_now, NULL}, .trust_sim_dir = temp_path(trust), .policy = policy};
    must(ccz_verifier_new(v, &cfg, &err), &err);
}

static void open_remembering(struct ccz_verifier **v, const struct ccz_policy *policy, size_t len)
{
    struct ccz_err err = {0};
    const struct ccz_verifier_cfg cfg = {.clock = {clock_now, NULL},
                                         .trust_sim_dir = temp_path("a/trust"),
                                         .policy = policy,
                                         .verdicts_len = len};
    must(ccz_verifier_new(v, &cfg, &err), &err);
}

/* How many verdicts are remembered, and how often one was used. */
static void expect_verdicts(struct ccz_verifier *v, int remembered, int hits)
{
    char want[80];
    CCZ_AUTO_BUF report;
    ccz_buf_init(&report, 65536);
    ccz_verifier_report(&report, v);
    (void)snprintf(want, sizeof(want), "\"verdicts\":{\"remembered\":%d,\"hits\":%d}}", remembered,
                   hits);
    if (!strstr(ccz_buf_str(&report), want))
        fprintf(stderr, "%s, want %s\n", ccz_buf_str(&report), want);
    CHECK(strstr(ccz_buf_str(&report), want));
}

static void policy_for(struct ccz_policy **out, const struct ccz_claims *claims)
{
    CCZ_AUTO_BUF text;
    struct ccz_err err = {0};
    ccz_buf_init(&text, CCZ_POLICY_SIZE_MAX);
    must(ccz_policy_draft(&text, claims, &err), &err);
    must(ccz_policy_parse(out, ccz_buf_span(&text), &err), &err);
}

static bool is_zero(const struct ccz_claims *c)
{
    static const struct ccz_claims none;
    return memcmp(c, &none, sizeof(none)) == 0;
}

/* ------------------------------------------------------------------------------------- tests */

static void test_verify(void)
{
    setup();
    static const char *const providers[] = {"sim-sgx", "sim-tdx"};
    CCZ_AUTO(ccz_verifier) v = NULL;
    open_verifier(&v, "a", NULL);
    for (int i = 0; i < 2; i++) {
        CCZ_AUTO_BUF q;
        struct ccz_claims claims;
        struct ccz_err err = {0};
        quote(&q, "a", providers[i], false);
        for (int again = 0; again < 2; again++) {
            must(ccz_verifier_verify(v, &claims, ccz_buf_span(&q), &err), &err);
            CHECK(claims.tee == (i ? CCZ_TEE_TDX : CCZ_TEE_SGX) && claims.simulated &&
                  !claims.debug);
            CHECK(claims.report_data[0] == 0x77 && claims.report_data[63] == 0x77);
            CHECK(claims.tcb_status == CCZ_TCB_UP_TO_DATE);
        }
        q.ptr[100] ^= 1;
        CHECK(ccz_verifier_verify(v, &claims, ccz_buf_span(&q), &err) == CCZ_E_SIG);
        CHECK(strcmp(err.where, "quote:signature") == 0 && is_zero(&claims));
    }
    struct ccz_claims claims;
    struct ccz_err err = {0};
    CHECK(ccz_verifier_verify(v, &claims, CCZ_SPAN("x", 1), &err) == CCZ_E_FORMAT);
    CHECK(strcmp(err.where, "quote:header") == 0);
}

/* The same formats under another root: not trusted, whatever the quote says about itself. */
static void test_other_platform(void)
{
    setup();
    sim("b", NULL);
    CCZ_AUTO(ccz_verifier) v = NULL;
    CCZ_AUTO_BUF q;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    open_verifier(&v, "a", NULL);
    quote(&q, "b", "sim-sgx", false);
    ccz_rc rc = ccz_verifier_verify(v, &claims, ccz_buf_span(&q), &err);
    CHECK(rc == CCZ_E_UNTRUSTED && strcmp(err.where, "quote:pck-root") == 0 && is_zero(&claims));
}

/* A simulated bundle is no collateral of genuine hardware. */
static void test_separate(void)
{
    setup();
    struct ccz_verifier *v = NULL;
    struct ccz_err err = {0};
    struct ccz_verifier_cfg cfg = {.clock = {clock_now, NULL},
                                   .collateral_dir = temp_path("a/trust")};
    CHECK(ccz_verifier_new(&v, &cfg, &err) == CCZ_E_UNTRUSTED && v == NULL);
    CHECK(strcmp(err.where, "collateral:tcb-info-root") == 0);
    cfg.collateral_dir = NULL;
    CHECK(ccz_verifier_new(&v, &cfg, &err) == CCZ_E_ARG &&
          strcmp(err.where, "verifier:config") == 0);
    cfg.trust_sim_dir = temp_path("a/trust");
    cfg.clock.now_s = NULL;
    CHECK(ccz_verifier_new(&v, &cfg, &err) == CCZ_E_ARG &&
          strcmp(err.where, "verifier:config") == 0);
    cfg.clock.now_s = clock_now;
    cfg.trust_sim_dir = temp_path("a/platform"); /* the private half has no root.pem */
    CHECK(ccz_verifier_new(&v, &cfg, &err) != CCZ_OK && v == NULL);
}

static void test_no_collateral(void)
{
    setup();
    CCZ_AUTO_BUF q;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    quote(&q, "a", "sim-tdx", false);
    /* only the bundle for SGX is left */
    static const char *const files[] = {"tcb_info.json",
                                        "tcb_info_issuer_chain.pem",
                                        "qe_identity.json",
                                        "qe_identity_issuer_chain.pem",
                                        "pck_crl_issuer_chain.pem",
                                        "root_ca_crl.der",
                                        "pck_crl.der"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char name[128];
        (void)snprintf(name, sizeof(name), "a/trust/tdx/%s", files[i]);
        CHECK(unlink(temp_path(name)) == 0);
    }
    CCZ_AUTO(ccz_verifier) v = NULL;
    open_verifier(&v, "a", NULL);
    CHECK(ccz_verifier_verify(v, &claims, ccz_buf_span(&q), &err) == CCZ_E_NOT_FOUND);
    CHECK(strcmp(err.where, "verifier:no-collateral") == 0 && strstr(err.got, "tdx platform ") &&
          err.hint[0]);
}

static void test_appraise(void)
{
    setup();
    CCZ_AUTO(ccz_verifier) plain = NULL;
    CCZ_AUTO(ccz_verifier) v = NULL;
    CCZ_AUTO(ccz_policy) policy = NULL;
    CCZ_AUTO_BUF good, debug, other;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    quote(&good, "a", "sim-sgx", false);
    quote(&debug, "a", "sim-sgx", true);
    quote(&other, "a", "sim-tdx", false);
    open_verifier(&plain, "a", NULL);
    must(ccz_verifier_verify(plain, &claims, ccz_buf_span(&good), &err), &err);
    CHECK(ccz_verifier_appraise(plain, &claims, ccz_buf_span(&good), &err) == CCZ_E_POLICY);
    CHECK(strcmp(err.where, "verifier:no-policy") == 0 && is_zero(&claims));

    must(ccz_verifier_verify(plain, &claims, ccz_buf_span(&good), &err), &err);
    policy_for(&policy, &claims);
    open_verifier(&v, "a", policy);
    must(ccz_verifier_appraise(v, &claims, ccz_buf_span(&good), &err), &err);
    CHECK(claims.tee == CCZ_TEE_SGX);
    CHECK(ccz_verifier_appraise(v, &claims, ccz_buf_span(&debug), &err) == CCZ_E_POLICY);
    CHECK(strncmp(err.where, "policy:", 7) == 0 && is_zero(&claims));
    CHECK(ccz_verifier_appraise(v, &claims, ccz_buf_span(&other), &err) == CCZ_E_POLICY);
    CHECK(is_zero(&claims));
    good.ptr[100] ^= 1; /* not genuine: the policy is not even asked */
    CHECK(ccz_verifier_appraise(v, &claims, ccz_buf_span(&good), &err) == CCZ_E_SIG &&
          is_zero(&claims));
}

static void test_status(void)
{
    setup();
    static const struct {
        const char *status;
        bool revoke_pck;
        ccz_rc rc;
        const char *where;
        enum ccz_tcb_status want;
    } cases[] = {
        {"UpToDate", false, CCZ_OK, "", CCZ_TCB_UP_TO_DATE},
        {"SWHardeningNeeded", false, CCZ_OK, "", CCZ_TCB_SW_HARDENING_NEEDED},
        {"ConfigurationNeeded", false, CCZ_OK, "", CCZ_TCB_CONFIGURATION_NEEDED},
        {"ConfigurationAndSWHardeningNeeded", false, CCZ_OK, "",
         CCZ_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED},
        {"OutOfDate", false, CCZ_OK, "", CCZ_TCB_OUT_OF_DATE},
        {"OutOfDateConfigurationNeeded", false, CCZ_OK, "",
         CCZ_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED},
        {"Revoked", false, CCZ_E_REVOKED, "quote:tcb-revoked", CCZ_TCB_NONE},
        {"UpToDate", true, CCZ_E_REVOKED, "quote:pck-revoked", CCZ_TCB_NONE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "status-%zu", i);
        sim(name, &(struct ccz_sim_cfg){.tcb_status = cases[i].status,
                                        .revoke_pck = cases[i].revoke_pck});
        CCZ_AUTO(ccz_verifier) v = NULL;
        open_verifier(&v, name, NULL);
        for (int td = 0; td < 2; td++) {
            CCZ_AUTO_BUF q;
            struct ccz_claims claims;
            struct ccz_err err = {0};
            quote(&q, name, td ? "sim-tdx" : "sim-sgx", false);
            CHECK(ccz_verifier_verify(v, &claims, ccz_buf_span(&q), &err) == cases[i].rc);
            CHECK(claims.tcb_status == cases[i].want && strcmp(err.where, cases[i].where) == 0);
        }
    }
}

/* Collateral grows old while the verifier runs; reload takes the fresh one and keeps the old one on
 * failure. */
static void test_reload(void)
{
    setup();
    CCZ_AUTO(ccz_verifier) v = NULL;
    CCZ_AUTO_BUF q, report;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    open_verifier(&v, "a", NULL);
    quote(&q, "a", "sim-sgx", false);
    must(ccz_verifier_verify(v, &claims, ccz_buf_span(&q), &err), &err);
    int64_t expires_s = ccz_verifier_expires(v);
    CHECK(expires_s == claims.collateral_expires_s && expires_s == NOW_S + 30 * DAY);
    now_s = expires_s + 1;
    CHECK(ccz_verifier_verify(v, &claims, ccz_buf_span(&q), &err) == CCZ_E_EXPIRED);
    CHECK(strcmp(err.where, "collateral:tcb-info-expired") == 0 && err.hint[0]);
    now_s = NOW_S - 1;
    CHECK(ccz_verifier_verify(v, &claims, ccz_buf_span(&q), &err) == CCZ_E_EXPIRED);
    CHECK(strcmp(err.where, "collateral:tcb-info-not-yet-valid") == 0);
    now_s = NOW_S;

    ccz_buf_init(&report, 65536);
    ccz_verifier_report(&report, v);
    CCZ_AUTO(ccz_json) json = NULL;
    CHECK(ccz_json_parse(&json, ccz_buf_span(&report), NULL) == CCZ_OK);
    CHECK(ccz_json_len(ccz_json_get(json, "simulated")) == 3 &&
          ccz_json_len(ccz_json_get(json, "genuine")) == 0);

    CHECK(rename(temp_path("a/trust"), temp_path("a/away")) == 0);
    CHECK(ccz_verifier_reload(v, &err) != CCZ_OK);
    must(ccz_verifier_verify(v, &claims, ccz_buf_span(&q), &err), &err);
    /* another authority in its place: the old quote is not accepted any more, remembered or not */
    sim("b", NULL);
    CHECK(rename(temp_path("b/trust"), temp_path("a/trust")) == 0);
    must(ccz_verifier_reload(v, &err), &err);
    CHECK(ccz_verifier_verify(v, &claims, ccz_buf_span(&q), &err) == CCZ_E_UNTRUSTED);
    CCZ_AUTO_BUF fresh;
    quote(&fresh, "b", "sim-sgx", false);
    must(ccz_verifier_verify(v, &claims, ccz_buf_span(&fresh), &err), &err);
}

/* Replaces the trusted authority, and reads it, while a reload under way has read the old one. */
static struct ccz_verifier *overtaken;
static void overtake(void *arg, enum ccz_log_level level, const char *module, const char *line)
{
    (void)arg, (void)level, (void)module, (void)line;
    struct ccz_verifier *v = overtaken;
    struct ccz_err err = {0};
    if (!v)
        return;
    overtaken = NULL;
    CHECK(rename(temp_path("a/trust"), temp_path("a/away")) == 0);
    CHECK(rename(temp_path("b/trust"), temp_path("a/trust")) == 0);
    must(ccz_verifier_reload(v, &err), &err);
}

/* What was read earlier never takes the place of what was read later: that would bring back revoked platforms. */
static void test_overtaken(void)
{
    setup();
    sim("b", NULL);
    CCZ_AUTO(ccz_verifier) v = NULL;
    CCZ_AUTO_BUF old, fresh;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    open_verifier(&v, "a", NULL);
    quote(&old, "a", "sim-sgx", false);
    quote(&fresh, "b", "sim-sgx", false);
    must(ccz_verifier_verify(v, &claims, ccz_buf_span(&old), &err), &err);
    overtaken = v;
    ccz_log_install(overtake, NULL, CCZ_LOG_WARN);
    must(ccz_verifier_reload(v, &err), &err);
    CHECK(!overtaken);
    CHECK(ccz_verifier_verify(v, &claims, ccz_buf_span(&old), &err) == CCZ_E_UNTRUSTED);
    must(ccz_verifier_verify(v, &claims, ccz_buf_span(&fresh), &err), &err);
    must(ccz_verifier_reload(v, &err), &err); /* and the next one counts again */
    must(ccz_verifier_verify(v, &claims, ccz_buf_span(&fresh), &err), &err);
}

/* A hit gives what a verification would; any other byte is other evidence; failures are not kept. */
static void test_verdicts(void)
{
    setup();
    CCZ_AUTO(ccz_verifier) plain = NULL;
    CCZ_AUTO(ccz_verifier) v = NULL;
    CCZ_AUTO(ccz_policy) policy = NULL;
    CCZ_AUTO_BUF good, debug;
    struct ccz_claims want, claims;
    struct ccz_err err = {0};
    quote(&good, "a", "sim-sgx", false);
    quote(&debug, "a", "sim-sgx", true);
    open_verifier(&plain, "a", NULL);
    must(ccz_verifier_verify(plain, &want, ccz_buf_span(&good), &err), &err);
    policy_for(&policy, &want);
    open_remembering(&v, policy, 8);
    expect_verdicts(v, 0, 0);
    for (int i = 0; i < 3; i++) {
        memset(&claims, 0xee, sizeof(claims));
        must(ccz_verifier_appraise(v, &claims, ccz_buf_span(&good), &err), &err);
        CHECK(memcmp(&claims, &want, sizeof(want)) == 0);
        expect_verdicts(v, 1, i);
    }
    for (int i = 0; i < 2; i++) { /* refused by the policy, genuine or not: not remembered */
        CHECK(ccz_verifier_appraise(v, &claims, ccz_buf_span(&debug), &err) == CCZ_E_POLICY);
        CHECK(is_zero(&claims));
    }
    for (size_t i = 0; i < good.size; i += 97) {
        good.ptr[i] ^= 1;
        CHECK(ccz_verifier_appraise(v, &claims, ccz_buf_span(&good), &err) != CCZ_OK);
        CHECK(is_zero(&claims));
        CHECK(ccz_verifier_appraise(v, &claims, CCZ_SPAN(good.ptr, i), &err) != CCZ_OK);
        good.ptr[i] ^= 1;
    }
    expect_verdicts(v, 1, 2);
    must(ccz_verifier_reload(v, &err), &err); /* new collateral: nothing is known */
    expect_verdicts(v, 0, 0);
    must(ccz_verifier_verify(v, &claims, ccz_buf_span(&debug), &err), &err); /* no policy asked */
    expect_verdicts(v, 1, 0);
    /* known as genuine, which the policy does not care about */
    CHECK(ccz_verifier_appraise(v, &claims, ccz_buf_span(&debug), &err) == CCZ_E_POLICY);
    CHECK(is_zero(&claims));
    expect_verdicts(v, 1, 1);
    /* the platform is revoked by the collateral of a reload: what was known does not save it */
    sim("b", &(struct ccz_sim_cfg){.revoke_pck = true});
    CHECK(rename(temp_path("a/trust"), temp_path("a/away")) == 0);
    CHECK(rename(temp_path("b/trust"), temp_path("a/trust")) == 0);
    must(ccz_verifier_reload(v, &err), &err);
    CHECK(ccz_verifier_appraise(v, &claims, ccz_buf_span(&good), &err) != CCZ_OK);
    expect_verdicts(v, 0, 0);
    expect_verdicts(plain, 0, 0);
}

/* Never outside of the validity of what stands behind it, nor before it was made, nor above its age. */
static void test_verdicts_time(void)
{
    setup();
    CCZ_AUTO(ccz_verifier) v = NULL;
    CCZ_AUTO(ccz_policy) policy = NULL;
    CCZ_AUTO_BUF q;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    quote(&q, "a", "sim-tdx", false);
    open_verifier(&v, "a", NULL);
    must(ccz_verifier_verify(v, &claims, ccz_buf_span(&q), &err), &err);
    policy_for(&policy, &claims);
    ccz_verifier_free(v);
    open_remembering(&v, policy, 8);
    int64_t expires_s = ccz_verifier_expires(v);
    now_s = NOW_S + 100;
    must(ccz_verifier_appraise(v, &claims, ccz_buf_span(&q), &err), &err);
    static const struct {
        int64_t at;
        int hits;
    } steps[] = {{100, 1}, {100 + 3600, 2}, {100 + 3601, 2}, {100 + 3602, 3}, {100, 3}, {101, 4}};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        now_s = NOW_S + steps[i].at; /* a verification that is not a hit makes a new entry */
        must(ccz_verifier_appraise(v, &claims, ccz_buf_span(&q), &err), &err);
        expect_verdicts(v, 1, steps[i].hits);
    }
    now_s = expires_s - 60;
    must(ccz_verifier_appraise(v, &claims, ccz_buf_span(&q), &err), &err);
    now_s = expires_s;
    must(ccz_verifier_appraise(v, &claims, ccz_buf_span(&q), &err), &err);
    expect_verdicts(v, 1, 5);
    now_s = expires_s + 1;
    CHECK(ccz_verifier_appraise(v, &claims, ccz_buf_span(&q), &err) == CCZ_E_EXPIRED);
    CHECK(strcmp(err.where, "collateral:tcb-info-expired") == 0 && is_zero(&claims));
    now_s = NOW_S - 1;
    CHECK(ccz_verifier_appraise(v, &claims, ccz_buf_span(&q), &err) == CCZ_E_EXPIRED);
    expect_verdicts(v, 1, 5);
}

/* Bounded: the least recently used is forgotten. */
static void test_verdicts_bound(void)
{
    setup();
    struct cczi_verdicts *v = NULL;
    struct ccz_claims in = {.collateral_expires_s = NOW_S + 60}, out;
    uint8_t key[6][32] = {0};
    CHECK(cczi_verdicts_new(&v, 4, 3600) == CCZ_OK);
    for (uint8_t i = 0; i < 6; i++) {
        key[i][31] = i;
        in.isv_svn = i;
        if (i == 4)
            CHECK(cczi_verdicts_get(&out, v, key[0], NOW_S)); /* now 1 is the oldest */
        cczi_verdicts_put(v, key[i], &in, NOW_S);
    }
    for (uint8_t i = 0; i < 6; i++) {
        bool kept = i != 1 && i != 2;
        out.isv_svn = 99;
        CHECK(cczi_verdicts_get(&out, v, key[i], NOW_S) == kept);
        CHECK(out.isv_svn == (kept ? i : 99));
        CHECK(!cczi_verdicts_get(&out, v, key[i], NOW_S - 1));
        CHECK(cczi_verdicts_get(&out, v, key[i], NOW_S + 60) == kept);
        CHECK(!cczi_verdicts_get(&out, v, key[i], NOW_S + 61));
    }
    in.collateral_expires_s = 0; /* claims that do not say until when */
    cczi_verdicts_put(v, key[0], &in, NOW_S);
    CHECK(!cczi_verdicts_get(&out, v, key[0], NOW_S));
    cczi_verdicts_free(v);

    struct ccz_verifier *refused = NULL;
    struct ccz_err err = {0};
    struct ccz_verifier_cfg cfg = {.clock = {clock_now, NULL},
                                   .trust_sim_dir = temp_path("a/trust"),
                                   .verdicts_len = CCZ_VERIFIER_VERDICTS_MAX + 1};
    CHECK(ccz_verifier_new(&refused, &cfg, &err) == CCZ_E_ARG && !refused);
    cfg.verdicts_len = 1;
    cfg.verdict_age_s = -1;
    CHECK(ccz_verifier_new(&refused, &cfg, &err) == CCZ_E_ARG &&
          strcmp(err.where, "verifier:config") == 0);
}

struct job {
    struct ccz_verifier *v;
    struct ccz_span quote;
};

static void *verify_often(void *arg)
{
    const struct job *j = arg;
    for (int i = 0; i < 100; i++) {
        struct ccz_claims claims;
        CHECK(ccz_verifier_verify(j->v, &claims, j->quote, NULL) == CCZ_OK);
    }
    return NULL;
}

static void test_threads(void)
{
    setup();
    CCZ_AUTO(ccz_verifier) v = NULL;
    CCZ_AUTO_BUF q;
    open_remembering(&v, NULL, 4);
    quote(&q, "a", "sim-tdx", false);
    struct job job = {v, ccz_buf_span(&q)};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, verify_often, &job) == 0);
    for (int i = 0; i < 20; i++) /* readers keep what they hold */
        CHECK(ccz_verifier_reload(v, NULL) == CCZ_OK);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static const struct ccz_test tests[] = {
    {"verifier.verify", test_verify},
    {"verifier.other_platform", test_other_platform},
    {"verifier.separate", test_separate},
    {"verifier.no_collateral", test_no_collateral},
    {"verifier.appraise", test_appraise},
    {"verifier.status", test_status},
    {"verifier.reload", test_reload},
    {"verifier.overtaken", test_overtaken},
    {"verifier.threads", test_threads},
    {"verifier.verdicts", test_verdicts},
    {"verifier.verdicts_time", test_verdicts_time},
    {"verifier.verdicts_bound", test_verdicts_bound},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
