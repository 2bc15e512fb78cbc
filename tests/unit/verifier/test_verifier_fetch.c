/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "pcs/pcs_test.h"

#include <cczoo/verifier.h>

#define REAL_SET   "tdx4-phala-b0c06f-2025-06"
#define REAL_NOW_S INT64_C(1752919234) /* when its publisher verified it */

/* ------------------------------------------------------------------------------------- hook */

struct hook {
    ccz_rc rc;
    int calls;
};

static ccz_rc on_fetch(void *arg, struct ccz_span quote, struct ccz_err *err)
{
    struct hook *h = arg;
    (void)quote;
    h->calls++;
    return h->rc == CCZ_OK ? CCZ_OK : ccz_fail(err, h->rc, "test:fetch", 0, "as told");
}

static void test_hook(void)
{
    temp_setup();
    struct kit k;
    struct hook hook = {.rc = CCZ_E_UNAVAILABLE};
    struct ccz_verifier *v = NULL;
    struct ccz_err err = {0};
    struct ccz_claims claims;
    test_kit(&k, CCZ_TEE_SGX, 1);
    CHECK(ccz_dir_make(temp_path("empty"), 0755, NULL) == CCZ_OK);
    struct ccz_verifier_cfg cfg = {.clock = {test_clock, NULL},
                                   .collateral_dir = temp_path("empty")};
    test_said(ccz_verifier_new(&v, &cfg, &err), &err, CCZ_E_NOT_FOUND, "pcs:empty");
    cfg.fetch = on_fetch;
    cfg.fetch_arg = &hook;
    CHECK(ccz_verifier_new(&v, &cfg, &err) == CCZ_OK);
    test_said(ccz_verifier_verify(v, &claims, ccz_buf_span(&k.quote), &err), &err,
              CCZ_E_UNAVAILABLE, "test:fetch");
    hook.rc = CCZ_OK; /* says that it is there, but it is not */
    test_said(ccz_verifier_verify(v, &claims, ccz_buf_span(&k.quote), &err), &err, CCZ_E_NOT_FOUND,
              "verifier:no-collateral");
    CHECK(hook.calls == 2);
    /* what is no quote is nothing to fetch for */
    CHECK(ccz_verifier_verify(v, &claims, CCZ_SPAN("x", 1), &err) == CCZ_E_FORMAT);
    CHECK(hook.calls == 2);
    ccz_verifier_free(v);
    /* a software TEE's directory is filled if there is no other: all it needs at the start is the root */
    struct ccz_verifier_cfg sim = cfg;
    sim.collateral_dir = NULL;
    sim.trust_sim_dir = temp_path("empty");
    test_said(ccz_verifier_new(&v, &sim, &err), &err, CCZ_E_NOT_FOUND, "file:read");
    CHECK(ccz_file_write(temp_path("empty/root.pem"), ccz_buf_span(&k.root_pem), 0644,
                         CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    CHECK(ccz_verifier_new(&v, &sim, &err) == CCZ_OK);
    hook.calls = 0;
    test_said(ccz_verifier_verify(v, &claims, ccz_buf_span(&k.quote), &err), &err, CCZ_E_NOT_FOUND,
              "verifier:no-collateral");
    CHECK(hook.calls == 1);
    ccz_verifier_free(v);
    sim.fetch = NULL;
    test_said(ccz_verifier_new(&v, &sim, &err), &err, CCZ_E_NOT_FOUND, "pcs:empty");
    kit_free(&k);
}

/* --------------------------------------------------------------------------------- SEV-SNP */

struct snp_world {
    struct kit k;
    struct fake_amd amd;
    struct fake_pcs f;
    struct ccz_http_client *client;
    struct ccz_pcs_store *store;
    struct ccz_verifier *v;
};

static void write_pem(const char *path, struct ccz_span der)
{
    CCZ_AUTO_BUF pem;
    ccz_buf_init(&pem, 1 << 16);
    ccz_pem_put(&pem, "CERTIFICATE", der);
    CHECK(ccz_file_write(path, ccz_buf_span(&pem), 0644, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
}

static void snp_world_new(struct snp_world *w)
{
    struct ccz_err err = {0};
    temp_setup();
    *w = (struct snp_world){0};
    test_kit(&w->k, CCZ_TEE_SGX, 1);
    fake_amd_new(&w->amd, false);
    fake_pcs_open(&w->f, &(struct fake_knobs){.amd = &w->amd});
    w->client = test_client();
    CHECK(ccz_dir_make(temp_path("t"), 0755, NULL) == CCZ_OK);
    CHECK(ccz_file_write(temp_path("t/root.pem"), ccz_buf_span(&w->k.root_pem), 0644,
                         CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    write_pem(temp_path("t/snp-ark.pem"), ccz_buf_span(&w->amd.ark));
    struct ccz_pcs_store_cfg sc =
        test_cfg(temp_path("t"), &w->k.roots, w->client, fake_url(&w->f.site, ""));
    sc.snp_roots = &w->amd.roots;
    w->store = test_store(&sc);
    const struct ccz_verifier_cfg cfg = {.clock = {test_clock, NULL},
                                         .trust_sim_dir = temp_path("t"),
                                         .fetch = ccz_pcs_store_fetch_evidence,
                                         .fetch_arg = w->store};
    test_said(ccz_verifier_new(&w->v, &cfg, &err), &err, CCZ_OK, "");
}

static void snp_world_free(struct snp_world *w)
{
    ccz_verifier_free(w->v);
    ccz_pcs_store_free(w->store);
    ccz_http_client_free(w->client);
    fake_pcs_close(&w->f);
    fake_amd_free(&w->amd);
    kit_free(&w->k);
}

static ccz_rc verify_report(struct snp_world *w, struct ccz_err *err)
{
    struct ccz_claims claims;
    *err = (struct ccz_err){0};
    return ccz_verifier_verify(w->v, &claims, ccz_buf_span(&w->amd.report), err);
}

/* A verifier that knows an ARK and nothing else meets a report without certificates. */
static void test_snp(void)
{
    enum { CHIP_AT = 0x1a0, SIGNATURE_AT = 0x2a0, DAY = 86400 };
    struct snp_world w;
    struct ccz_err err;
    snp_world_new(&w);
    test_said(verify_report(&w, &err), &err, CCZ_OK, "");
    CHECK(fake_pcs_requests(&w.f) == 3);
    test_said(verify_report(&w, &err), &err, CCZ_OK, "");
    /* a forged report of a known chip: nothing is missing, nobody is asked */
    w.amd.report.ptr[SIGNATURE_AT] ^= 1;
    test_said(verify_report(&w, &err), &err, CCZ_E_SIG, "snp:signature");
    w.amd.report.ptr[SIGNATURE_AT] ^= 1;
    CHECK(fake_pcs_requests(&w.f) == 0);
    /* forged ones of others: one request in 10 s */
    fake_pcs_set(&w.f, &(struct fake_knobs){.amd = &w.amd, .on = "?blSPL", .status = 404});
    test_now += 20;
    for (int i = 0; i < 100; i++) {
        w.amd.report.ptr[CHIP_AT] = (uint8_t)i;
        ccz_rc rc = verify_report(&w, &err);
        CHECK(rc == CCZ_E_NOT_FOUND || rc == CCZ_E_UNAVAILABLE);
    }
    CHECK(fake_pcs_requests(&w.f) == 1);
    memcpy(w.amd.report.ptr + CHIP_AT, w.amd.chip_id, 64);
    /* expired, and nothing newer to be had: refused, not bridged; then there is something newer */
    test_now += 31 * DAY;
    fake_pcs_set(&w.f, &(struct fake_knobs){.amd = &w.amd, .on = "/", .status = 503});
    test_said(verify_report(&w, &err), &err, CCZ_E_EXPIRED, "snp:crl-expired");
    CHECK(fake_pcs_requests(&w.f) == 1);
    test_said(verify_report(&w, &err), &err, CCZ_E_EXPIRED, "snp:crl-expired");
    CHECK(fake_pcs_requests(&w.f) == 0);
    struct ccz_buf old = w.amd.crl;
    w.amd.crl = w.amd.later_crl;
    fake_pcs_set(&w.f, &(struct fake_knobs){.amd = &w.amd});
    test_now += 10;
    test_said(verify_report(&w, &err), &err, CCZ_OK, "");
    CHECK(fake_pcs_requests(&w.f) == 2);
    w.amd.crl = old;
    snp_world_free(&w);
}

/* --------------------------------------------------------------------------- real collateral */

static void load(struct ccz_buf *out, const char *file)
{
    const char *env = getenv("CCZOO_VECTORS");
    char path[2048];
    (void)snprintf(path, sizeof(path), "%s/tee/" REAL_SET "/%s",
                   env ? env : CCZ_TEST_SOURCE_DIR "/../shared/vectors", file);
    ccz_buf_init(out, 1 << 20);
    if (ccz_file_read(out, path, NULL) != CCZ_OK) {
        fprintf(stderr, "skipped: no %s\n", path);
        exit(77);
    }
}

enum { REAL_FILES = 7 };
static const char *const real_files[REAL_FILES] = {
    "collateral/tcb_info.json",
    "collateral/tcb_info_issuer_chain.pem",
    "collateral/qe_identity.json",
    "collateral/qe_identity_issuer_chain.pem",
    "collateral/root_ca_crl.der",
    "collateral/pck_crl.der",
    "collateral/pck_crl_issuer_chain.pem",
};

/* A verifier that starts with nothing, on a server that has Intel's documents. */
static void test_real(void)
{
    struct ccz_buf quote, file[REAL_FILES];
    struct fake_pcs f;
    struct ccz_roots roots = {0};
    struct ccz_err err = {0};
    struct ccz_claims claims;
    load(&quote, "evidence.bin");
    for (int i = 0; i < REAL_FILES; i++)
        load(&file[i], real_files[i]);
    temp_setup();
    test_now = REAL_NOW_S;
    CHECK(ccz_roots_add_intel(&roots) == CCZ_OK);
    const struct ccz_collateral_src src = {
        .tcb_info = ccz_buf_span(&file[0]),
        .tcb_info_chain = ccz_buf_span(&file[1]),
        .qe_identity = ccz_buf_span(&file[2]),
        .qe_identity_chain = ccz_buf_span(&file[3]),
        .root_ca_crl = ccz_buf_span(&file[4]),
        .pck_crl = ccz_buf_span(&file[5]),
        .pck_crl_chain = ccz_buf_span(&file[6]),
    };
    fake_pcs_open(&f, &(struct fake_knobs){.serve = {&src}, .crl = FAKE_HEX});
    CCZ_AUTO(ccz_http_client) client = test_client();
    char dir[512];
    (void)snprintf(dir, sizeof(dir), "%s", temp_path("s"));
    struct ccz_pcs_store_cfg sc = test_cfg(dir, &roots, client, fake_url(&f.site, ""));
    CCZ_AUTO(ccz_pcs_store) s = test_store(&sc);
    const struct ccz_verifier_cfg cfg = {.clock = {test_clock, NULL},
                                         .collateral_dir = dir,
                                         .fetch = ccz_pcs_store_fetch_evidence,
                                         .fetch_arg = s};
    CCZ_AUTO(ccz_verifier) v = NULL;
    CHECK(ccz_verifier_new(&v, &cfg, &err) == CCZ_OK);
    test_said(ccz_verifier_verify(v, &claims, ccz_buf_span(&quote), &err), &err, CCZ_OK, err.where);
    CHECK(claims.tee == CCZ_TEE_TDX && claims.tcb_status == CCZ_TCB_UP_TO_DATE);
    CHECK(fake_pcs_requests(&f) == 4);
    CHECK(ccz_verifier_verify(v, &claims, ccz_buf_span(&quote), &err) == CCZ_OK);
    CHECK(fake_pcs_requests(&f) == 0);
    /* expired, and nothing newer to be had: refused, not bridged */
    test_now += 40 * 86400;
    CHECK(ccz_verifier_verify(v, &claims, ccz_buf_span(&quote), &err) == CCZ_E_EXPIRED);
    CHECK(fake_pcs_requests(&f) > 0);
    /* evidence that is not genuine makes nobody ask */
    struct kit k;
    test_kit(&k, CCZ_TEE_SGX, 1);
    test_said(ccz_verifier_verify(v, &claims, ccz_buf_span(&k.quote), &err), &err, CCZ_E_UNTRUSTED,
              "quote:pck-root");
    CHECK(fake_pcs_requests(&f) == 0);
    kit_free(&k);
    fake_pcs_close(&f);
    ccz_buf_free(&quote);
    for (int i = 0; i < REAL_FILES; i++)
        ccz_buf_free(&file[i]);
}

static const struct ccz_test tests[] = {
    {"verifier.fetch_hook", test_hook},
    {"verifier.fetch_snp", test_snp},
    {"verifier.fetch_real", test_real},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
