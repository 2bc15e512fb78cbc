/* SPDX-License-Identifier: Apache-2.0 */
/* A server that keeps its collateral fresh from a fake PCCS, under a clock that the test moves. */
#define _GNU_SOURCE
#include "pcs/pcs_test.h"

#include <cczoo/party.h>

#include <time.h>

struct world {
    struct kit k;
    struct fake_pcs f;
    struct ccz_party_cfg cfg;
    char dir[512], url[128];
};

static void world_new(struct world *w)
{
    temp_setup();
    *w = (struct world){0};
    test_kit(&w->k, CCZ_TEE_SGX, 1);
    fake_pcs_open(&w->f, &(struct fake_knobs){.serve = {&w->k.src}});
    (void)snprintf(w->dir, sizeof(w->dir), "%s", temp_path("t"));
    (void)snprintf(w->url, sizeof(w->url), "%s", fake_url(&w->f.site, ""));
    CHECK(ccz_dir_make(w->dir, 0755, NULL) == CCZ_OK);
    CHECK(ccz_file_write(temp_path("t/root.pem"), ccz_buf_span(&w->k.root_pem), 0644,
                         CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    w->cfg = (struct ccz_party_cfg){.trust_sim_dir = w->dir,
                                    .collateral_from = w->url,
                                    .genuine_only = true,
                                    .server = true,
                                    .clock = {test_clock, NULL}};
}

static void world_free(struct world *w)
{
    fake_pcs_close(&w->f);
    kit_free(&w->k);
}

static struct ccz_party *open_party(const struct world *w)
{
    struct ccz_party *p = NULL;
    struct ccz_err err = {0};
    test_said(ccz_party_new(&p, &w->cfg, &err), &err, CCZ_OK, "");
    return p;
}

static ccz_rc verify(struct ccz_party *p, struct ccz_span evidence, struct ccz_err *err)
{
    struct ccz_claims claims;
    *err = (struct ccz_err){0};
    return ccz_verifier_verify(ccz_party_verifier(p), &claims, evidence, err);
}

/* A peer that comes again until it is told something else than to come again. */
static ccz_rc insist(struct ccz_party *p, struct ccz_span evidence, struct ccz_err *err)
{
    ccz_rc rc;
    for (int i = 0; i < 1000; i++) {
        rc = verify(p, evidence, err);
        if (strcmp(err->where, "party:collateral-pending") != 0)
            return rc;
        usleep(10000);
    }
    return rc;
}

static int64_t monotonic_ms(void)
{
    struct timespec t;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

static void test_server(void)
{
    struct world w;
    struct ccz_err err;
    world_new(&w);
    CCZ_AUTO(ccz_party) p = open_party(&w);
    struct ccz_span quote = ccz_buf_span(&w.k.quote);
    /* the thread that serves never waits, however long the PCCS takes (and what it says then is useless) */
    struct fake_knobs knobs = {.serve = {&w.k.src}, .on = "/", .delay_ms = 4000};
    fake_pcs_set(&w.f, &knobs);
    int64_t before_ms = monotonic_ms();
    test_said(verify(p, quote, &err), &err, CCZ_E_UNAVAILABLE, "party:collateral-pending");
    usleep(100000); /* now the keeper waits */
    test_said(verify(p, quote, &err), &err, CCZ_E_UNAVAILABLE, "party:collateral-pending");
    CHECK(err.hint[0] && monotonic_ms() - before_ms < 3500);
    knobs = (struct fake_knobs){.serve = {&w.k.src}};
    fake_pcs_set(&w.f, &knobs);
    CHECK(insist(p, quote, &err) != CCZ_OK); /* that fetch has failed */
    test_now += 60;                          /* the back-off is over */
    (void)fake_pcs_requests(&w.f);
    test_said(insist(p, quote, &err), &err, CCZ_OK, err.where);
    CHECK(fake_pcs_requests(&w.f) == 4);
    /* expired and nothing newer to be had: refused, not bridged, and the server is not asked all the time */
    knobs =
        (struct fake_knobs){.serve = {&w.k.src}, .on = "/", .status = 503, .retry_after = "600"};
    fake_pcs_set(&w.f, &knobs);
    test_now += 31 * 86400;
    for (int i = 0; i < 50; i++) {
        CHECK(verify(p, quote, &err) == CCZ_E_EXPIRED);
        usleep(2000);
    }
    CHECK(fake_pcs_requests(&w.f) <= 1);
    ccz_party_free(p);
    p = NULL;
    world_free(&w);
}

/* Strangers cause neither requests nor memory. */
static void test_strangers(void)
{
    enum { MANY = 200 };
    struct world w;
    struct ccz_err err;
    struct kit other;
    world_new(&w);
    test_kit(&other, CCZ_TEE_SGX, 7);
    CCZ_AUTO(ccz_party) p = open_party(&w);
    for (int i = 0; i < MANY; i++) {
        other.quote.ptr[other.quote.size - 1] = 0;
        other.quote.ptr[100] = (uint8_t)i; /* in the body: another piece of evidence each time */
        (void)!verify(p, ccz_buf_span(&other.quote), &err);
    }
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 1 << 20);
    usleep(300000);
    CHECK(fake_pcs_requests(&w.f) <= 1); /* one URL, then it is known not to be there */
    test_said(insist(p, ccz_buf_span(&w.k.quote), &err), &err, CCZ_OK, err.where);
    ccz_party_collateral_report(&text, p);
    CHECK(strstr(ccz_buf_str(&text), "\"store\":{\"from\":\"http://127.0.0.1") != NULL);
    CHECK(strstr(ccz_buf_str(&text), "\"simulated\":[{\"name\":\"00906ed50001-sgx-platform\"") !=
          NULL);
    kit_free(&other);
    ccz_party_free(p);
    p = NULL;
    world_free(&w);
}

/* A client has nobody else to serve: it waits. */
static void test_client_waits(void)
{
    struct world w;
    struct ccz_err err;
    world_new(&w);
    w.cfg.server = false;
    CCZ_AUTO(ccz_party) p = open_party(&w);
    test_said(verify(p, ccz_buf_span(&w.k.quote), &err), &err, CCZ_OK, err.where);
    struct ccz_party *none = NULL;
    struct ccz_party_cfg cfg = w.cfg;
    cfg.trust_sim_dir = NULL;
    test_said(ccz_party_new(&none, &cfg, &err), &err, CCZ_E_ARG, "party:collateral");
    ccz_party_free(p);
    p = NULL;
    world_free(&w);
}

static const struct ccz_test tests[] = {
    {"party.keeper", test_server},
    {"party.keeper_strangers", test_strangers},
    {"party.keeper_client", test_client_waits},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
