/* SPDX-License-Identifier: Apache-2.0 */
/* Memory runs out while a party renews its identity: the old one stays in use, and nobody hears of a new one. */
#define _GNU_SOURCE /* nftw */
#include "nomem.h"

#include <cczoo/party.h>

#include "ccz_test.h"
#include "temp_dir.h"

struct told {
    unsigned calls;
    struct ccz_ratls_ctx *ctx;
};

static void on_told(void *arg, struct ccz_ratls_ctx *ctx)
{
    struct told *t = arg;
    t->calls++;
    t->ctx = ctx;
}

static void test_renew_fails(void)
{
    static const char *const h2[] = {"h2", NULL};
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_party) p = NULL;
    struct told told = {0};
    CHECK(nomem_openssl());
    temp_setup();
    const char *sim = temp_path("sim");
    const struct ccz_sim_cfg made = {.now_s = ccz_clock_now_s(ccz_clock_system())};
    CHECK(ccz_sim_init(sim, &made, &err) == CCZ_OK);
    const struct ccz_party_cfg cfg = {.tee = {.provider = "sim-sgx", .sim_dir = sim},
                                      .peer_evidence_optional = true,
                                      .server = true,
                                      .profile = CCZ_RATLS_CERTIFICATE,
                                      .alpn = h2};
    CHECK(ccz_party_new(&p, &cfg, &err) == CCZ_OK);
    nomem_left = 0; /* who cannot be noted is not called */
    CHECK(ccz_party_attach(p, on_told, &told) == CCZ_E_NOMEM && told.calls == 0);
    nomem_left = -1;
    CHECK(ccz_party_attach(p, on_told, &told) == CCZ_OK && told.calls == 1);
    struct ccz_ratls_ctx *before = ccz_party_ratls(p);
    long k = 0;
    for (;; k++) {
        nomem_left = k;
        ccz_rc rc = ccz_party_renew(p, &err);
        bool hit = nomem_left < 0;
        nomem_left = -1;
        if (!hit && rc == CCZ_OK)
            break;
        if (rc == CCZ_OK) { /* one that can be done without */
            CHECK(told.ctx == ccz_party_ratls(p));
            before = told.ctx;
            continue;
        }
        CHECK(ccz_party_ratls(p) == before && told.ctx == before && err.where[0]);
    }
    CHECK(k > 10 && told.ctx == ccz_party_ratls(p) && told.ctx != before);
}

static const struct ccz_test tests[] = {{"party.renew_fails", test_renew_fails}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
