/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations of a party that must not come to life: each would accept more than it says. */
#define _GNU_SOURCE /* nftw */
#include <cczoo/party.h>
#include <cczoo/x509.h>

#include "temp_dir.h"

#include <unistd.h>

static void setup(void)
{
    static const char nobody[] = "{}";
    struct ccz_err err = {0};
    static bool done; /* when all run in one process */
    if (done)
        return;
    done = true;
    temp_setup();
    const struct ccz_sim_cfg sim = {.now_s = ccz_clock_now_s(ccz_clock_system())};
    CHECK(ccz_sim_init(temp_path("sim"), &sim, &err) == CCZ_OK);
    CHECK(ccz_file_write(temp_path("policy.json"), CCZ_SPAN(nobody, sizeof(nobody) - 1), 0600,
                         CCZ_FILE_CREATE_ONLY, &err) == CCZ_OK);
}

static void refuse(struct ccz_party_cfg cfg, const char *where)
{
    struct ccz_party *p = (struct ccz_party *)&cfg;
    struct ccz_err err = {0};
    ccz_rc rc = ccz_party_new(&p, &cfg, &err);
    if (rc != CCZ_E_ARG || strcmp(err.where, where) != 0)
        fprintf(stderr, "expected %s, got %s: %s\n", where, err.where, err.msg);
    CHECK(rc == CCZ_E_ARG && p == NULL && strcmp(err.where, where) == 0);
}

static void accept(struct ccz_party_cfg cfg, bool appraises)
{
    CCZ_AUTO(ccz_party) p = NULL;
    struct ccz_err err = {0};
    ccz_rc rc = ccz_party_new(&p, &cfg, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK && (ccz_party_verifier(p) != NULL) == appraises);
    CHECK(ccz_party_simulated(p) == (cfg.trust_sim_dir || cfg.tee.provider));
}

static void test_config(void)
{
    setup();
    const char *trust = temp_path("sim/trust"), *policy = temp_path("policy.json");
    const struct ccz_attester_cfg tee = {.provider = "sim-sgx", .sim_dir = temp_path("sim")};
    accept((struct ccz_party_cfg){.trust_sim_dir = trust, .policy_file = policy}, true);
    accept((struct ccz_party_cfg){.trust_sim_dir = trust, .genuine_only = true}, true);
    accept((struct ccz_party_cfg){.tee = tee, .server = true, .peer_evidence_optional = true},
           false);

    /* the zeroed profile is the fresh one; the certificate profile is refused where that is demanded */
    accept((struct ccz_party_cfg){.trust_sim_dir = trust,
                                  .policy_file = policy,
                                  .require_fresh = true},
           true);
    refuse((struct ccz_party_cfg){.trust_sim_dir = trust,
                                  .policy_file = policy,
                                  .profile = CCZ_RATLS_CERTIFICATE,
                                  .require_fresh = true},
           "ratls:config");
    refuse((struct ccz_party_cfg){0},
           "party:policy"); /* the zeroed one trusts nobody, and says so */
    refuse((struct ccz_party_cfg){.trust_sim_dir = trust}, "party:policy");
    refuse((struct ccz_party_cfg){.policy_file = policy}, "verifier:config"); /* nothing to trust */
    /* a policy that nothing asks: the reader of the configuration thinks it decides */
    refuse(
        (struct ccz_party_cfg){.trust_sim_dir = trust, .policy_file = policy, .genuine_only = true},
        "party:policy");
    /* evidence that nothing can appraise */
    refuse((struct ccz_party_cfg){.trust_sim_dir = trust,
                                  .policy_file = policy,
                                  .profile = CCZ_RATLS_TLS_ONLY_INSECURE},
           "ratls:config");
    refuse((struct ccz_party_cfg){.tee = tee,
                                  .attester = (struct ccz_attester *)temp_base,
                                  .peer_evidence_optional = true},
           "party:evidence");
}

/* Evidence in a certificate that is kept: judged by policy, bound to its key. */
static void test_cert(void)
{
    struct ccz_err err = {0};
    setup();
    const struct ccz_attester_cfg tee = {.provider = "sim-sgx", .sim_dir = temp_path("sim")};
    CCZ_AUTO(ccz_party) trainer = NULL;
    CCZ_AUTO(ccz_party) judge = NULL;
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO_BUF der;
    struct ccz_claims claims;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    CHECK(ccz_party_new(
              &trainer,
              &(struct ccz_party_cfg){.tee = tee, .server = true, .peer_evidence_optional = true},
              &err) == CCZ_OK);
    CHECK(ccz_party_new(&judge,
                        &(struct ccz_party_cfg){.trust_sim_dir = temp_path("sim/trust"),
                                                .genuine_only = true},
                        &err) == CCZ_OK);
    CHECK(ccz_party_cert_issue(&der, judge, key, &err) == CCZ_E_ARG &&
          strcmp(err.where, "party:evidence") == 0);
    CHECK(ccz_party_cert_issue(&der, trainer, key, &err) == CCZ_OK);
    const ccz_rc rc = ccz_party_cert_judge(&claims, judge, ccz_buf_span(&der), &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK && claims.simulated);
    CCZ_AUTO_BUF policy;
    ccz_buf_init(&policy, CCZ_POLICY_SIZE_MAX);
    for (int changed = 0; changed < 2;
         changed++) { /* a policy for this program, and one for another */
        CCZ_AUTO(ccz_party) p = NULL;
        struct ccz_claims got;
        claims.mrenclave[5] ^= (uint8_t)changed;
        ccz_buf_clear(&policy);
        CHECK(ccz_policy_draft(&policy, &claims, &err) == CCZ_OK);
        CHECK(ccz_file_write(temp_path("drafted.json"), ccz_buf_span(&policy), 0600,
                             CCZ_FILE_REPLACE, &err) == CCZ_OK);
        CHECK(ccz_party_new(&p,
                            &(struct ccz_party_cfg){.trust_sim_dir = temp_path("sim/trust"),
                                                    .policy_file = temp_path("drafted.json")},
                            &err) == CCZ_OK);
        CHECK(ccz_party_cert_judge(&got, p, ccz_buf_span(&der), &err) ==
              (changed ? CCZ_E_POLICY : CCZ_OK));
        CHECK(got.simulated == !changed);
        CHECK(!changed || strcmp(err.where, "policy:mrenclave") == 0);
    }
    CHECK(ccz_party_cert_judge(&claims, trainer, ccz_buf_span(&der), &err) == CCZ_E_ARG &&
          strcmp(err.where, "party:policy") == 0 && !claims.simulated);
    CHECK(ccz_party_cert_judge(&claims, judge, CCZ_SPAN(der.ptr, der.size - 1), &err) ==
          CCZ_E_FORMAT);
}

static const struct ccz_test tests[] = {{"party.config", test_config}, {"party.cert", test_cert}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
