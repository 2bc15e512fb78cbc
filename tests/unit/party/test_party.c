/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations of a party that must not come to life: each would accept more than it says. */
#define _GNU_SOURCE /* nftw */
#include <cczoo/party.h>

#include "temp_dir.h"

#include <unistd.h>

static void setup(void)
{
    static const char nobody[] = "{}";
    struct ccz_err err = {0};
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

static const struct ccz_test tests[] = {{"party.config", test_config}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
