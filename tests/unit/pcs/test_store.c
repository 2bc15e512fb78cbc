/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "pcs_test.h"

#include "quote/snp_kit.h"

#include "pcs/pcs_priv.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const char *fake_base(const struct fake_pcs *f)
{
    return fake_url(&f->site, "");
}

/* -------------------------------------------------------------------------------- fetching */

static void test_fetch(void)
{
    temp_setup();
    struct kit k, other, tdx;
    struct fake_pcs f;
    struct ccz_err err = {0};
    test_kit(&k, CCZ_TEE_SGX, 1);
    test_kit(&other, CCZ_TEE_SGX, 2);
    test_kit(&tdx, CCZ_TEE_TDX, 1);
    fake_pcs_open(&f, &(struct fake_knobs){.serve = {&k.src, &other.src, &tdx.src}});
    CCZ_AUTO(ccz_http_client) client = test_client();
    struct ccz_pcs_store_cfg cfg = test_cfg(temp_path("s"), &k.roots, client, fake_base(&f));
    CCZ_AUTO(ccz_pcs_store) s = test_store(&cfg);
    CHECK(ccz_pcs_store_fetch_quote(s, ccz_buf_span(&k.quote), &err) == CCZ_OK);
    CHECK(fake_pcs_requests(&f) == 4 && test_verifies(&k, temp_path("s")));
    CHECK(strcmp(f.last_tcb, "fmspc=00906ED50001") == 0);
    CHECK(access(temp_path("s/00906ed50001-sgx-platform/tcb_info.json"), F_OK) == 0);
    CHECK(ccz_pcs_store_fetch_quote(s, ccz_buf_span(&k.quote), &err) == CCZ_OK);
    CHECK(fake_pcs_requests(&f) == 0);
    /* QE identity and revocation lists are those of the first platform */
    CHECK(ccz_pcs_store_fetch_quote(s, ccz_buf_span(&other.quote), &err) == CCZ_OK);
    CHECK(fake_pcs_requests(&f) == 1 && test_verifies(&other, temp_path("s")));
    CHECK(ccz_pcs_store_fetch_quote(s, ccz_buf_span(&tdx.quote), &err) == CCZ_OK);
    CHECK(fake_pcs_requests(&f) == 2 && test_verifies(&tdx, temp_path("s")));
    /* what is stored outlives the process */
    CCZ_AUTO(ccz_pcs_store) again = test_store(&cfg);
    CHECK(ccz_pcs_store_fetch_quote(again, ccz_buf_span(&k.quote), &err) == CCZ_OK);
    CHECK(fake_pcs_requests(&f) == 0);
    /* another kind of update is another document */
    cfg.update = CCZ_PCS_EARLY;
    cfg.dir = temp_path("early");
    CCZ_AUTO(ccz_pcs_store) early = test_store(&cfg);
    CHECK(ccz_pcs_store_fetch_quote(early, ccz_buf_span(&k.quote), &err) == CCZ_OK);
    CHECK(strcmp(f.last_tcb, "fmspc=00906ED50001&update=early") == 0);
    /* what a killed process left is tidied up */
    CHECK(ccz_dir_make(temp_path("early/.new-x"), 0755, NULL) == CCZ_OK);
    cfg.tcb_eval_number = 17;
    CCZ_AUTO(ccz_pcs_store) changed = test_store(&cfg);
    struct ccz_pcs_want tidy = test_want(&other);
    CHECK(ccz_pcs_store_fetch(changed, &tidy, &err) == CCZ_OK);
    CHECK(access(temp_path("early/.new-x"), F_OK) != 0);
    cfg.dir = temp_path("number");
    CCZ_AUTO(ccz_pcs_store) numbered = test_store(&cfg);
    CHECK(ccz_pcs_store_fetch_quote(numbered, ccz_buf_span(&k.quote), &err) == CCZ_OK);
    CHECK(strcmp(f.last_tcb, "fmspc=00906ED50001&tcbEvaluationDataNumber=17") == 0);
    fake_pcs_close(&f);
    kit_free(&k);
    kit_free(&other);
    kit_free(&tdx);
}

static void test_forms(void)
{
    temp_setup();
    struct kit k;
    struct fake_pcs f;
    char file[512], name[8] = "0", base[64];
    test_kit(&k, CCZ_TEE_TDX, 1);
    (void)snprintf(file, sizeof(file), "%s", temp_path("cert.pem"));
    fake_pcs_open_tls(&f, &(struct fake_knobs){.serve = {&k.src}}, file);
    struct ccz_http_client *client = NULL;
    CHECK(ccz_http_client_new(&client, &(struct ccz_http_client_cfg){.ca_file = file}, NULL) ==
          CCZ_OK);
    for (int i = 0; i < 12; i++) {
        struct ccz_err err = {0};
        name[0] = (char)('a' + i);
        fake_pcs_set(&f, &(struct fake_knobs){.serve = {&k.src},
                                              .crl = (enum fake_crl)(i % 3),
                                              .plus_literally = i / 3 % 2,
                                              .lower_escapes = i / 6});
        (void)snprintf(base, sizeof(base), "%s%s", fake_base(&f),
                       i % 2   ? "/sgx/certification/v4/"
                       : i % 3 ? "/tdx/certification/v4"
                               : "/");
        struct ccz_pcs_store_cfg cfg = test_cfg(temp_path(name), &k.roots, client, base);
        CCZ_AUTO(ccz_pcs_store) s = test_store(&cfg);
        ccz_rc rc = ccz_pcs_store_fetch_quote(s, ccz_buf_span(&k.quote), &err);
        test_said(rc, &err, CCZ_OK, "");
        CHECK(test_verifies(&k, temp_path(name)));
        CCZ_AUTO_BUF crl;
        ccz_buf_init(&crl, 65536);
        (void)snprintf(file, sizeof(file), "%s/00906ed50001-tdx-platform/pck_crl.der",
                       temp_path(name));
        CHECK(ccz_file_read(&crl, file, NULL) == CCZ_OK);
        CHECK(ccz_span_eq(ccz_buf_span(&crl), k.src.pck_crl)); /* whatever the server sent */
    }
    ccz_http_client_free(client);
    fake_pcs_close(&f);
    kit_free(&k);
}

/* ---------------------------------------------------------------------------------- refused */

struct refusal {
    const char *what;
    struct fake_knobs knobs;
    ccz_rc rc;
    const char *where;
};

static void check_refusal(const struct refusal *r, const struct kit *k, struct fake_pcs *f,
                          struct ccz_http_client *client, int number)
{
    char dir[512], name[16];
    struct ccz_err err = {0};
    (void)snprintf(name, sizeof(name), "r%d", number);
    (void)snprintf(dir, sizeof(dir), "%s", temp_path(name));
    struct ccz_pcs_store_cfg cfg = test_cfg(dir, &k->roots, client, fake_base(f));
    struct ccz_pcs_want want = test_want(k);
    CCZ_AUTO(ccz_pcs_store) s = test_store(&cfg);
    fprintf(stderr, "%s\n", r->what);
    fake_pcs_set(f, &r->knobs);
    ccz_rc rc = ccz_pcs_store_fetch(s, &want, &err);
    test_said(rc, &err, r->rc, r->where);
    CHECK(err.msg[0]);
    struct ccz_pcs *set = NULL; /* nothing was stored */
    CHECK(ccz_pcs_load(&set, dir, &k->roots, &err) == CCZ_E_NOT_FOUND);
    /* the server is not asked again at once, neither for the same nor, if it is at fault, for anything */
    (void)fake_pcs_requests(f);
    fake_pcs_set(f, &(struct fake_knobs){.serve = {&k->src}});
    CHECK(ccz_pcs_store_fetch(s, &want, &err) != CCZ_OK);
    CHECK(strcmp(err.where, "pcs:back-off") == 0 || strcmp(err.where, "pcs:not-found") == 0);
    test_now += 3700;
    rc = ccz_pcs_store_fetch(s, &want, &err);
    test_said(rc, &err, CCZ_OK, err.where);
    CHECK(test_verifies(k, dir));
    test_now -= 3700;
}

static char oversize[(1 << 20) + 1];

static void test_refused(void)
{
    temp_setup();
    struct kit k, other, tdx, stale;
    struct kit_cfg cfg;
    struct fake_pcs f;
    test_kit(&k, CCZ_TEE_SGX, 1);
    test_kit(&other, CCZ_TEE_SGX, 2);
    test_kit(&tdx, CCZ_TEE_TDX, 1);
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    cfg.tcb_info.until_s = KIT_NOW_S - 1;
    kit_new(&stale, &cfg);
    memset(oversize, ' ', sizeof(oversize));
    const struct refusal all[] = {
        {"404", {.on = "/tcb", .status = 404}, CCZ_E_NOT_FOUND, "pcs:not-found"},
        {"461", {.on = "/tcb", .status = 461}, CCZ_E_NOT_FOUND, "pcs:not-found"},
        {"410", {.on = "/tcb", .status = 410}, CCZ_E_NOT_FOUND, "pcs:gone"},
        {"400", {.on = "/qe/", .status = 400}, CCZ_E_PEER, "pcs:status"},
        {"401", {.on = "/qe/", .status = 401}, CCZ_E_DENIED, "pcs:denied"},
        {"429", {.on = "/pckcrl", .status = 429, .retry_after = "7"}, CCZ_E_PEER, "pcs:rate"},
        {"500", {.on = "/rootcacrl", .status = 500}, CCZ_E_PEER, "pcs:status"},
        {"503", {.on = "/tcb", .status = 503}, CCZ_E_UNAVAILABLE, "pcs:busy"},
        {"slow", {.on = "/qe/", .delay_ms = 900}, CCZ_E_TIMEOUT, "http:timeout"},
        {"oversize",
         {.on = "/tcb", .body = CCZ_SPAN(oversize, sizeof(oversize))},
         CCZ_E_LIMIT,
         "http:body-size"},
        {"no header", {.on = "/tcb", .no_header = true}, CCZ_E_FORMAT, "pcs:chain-header"},
        {"bad escape", {.on = "/qe/", .bad_escape = true}, CCZ_E_FORMAT, "pcs:chain-header"},
        {"no JSON", {.on = "/tcb", .body = CCZ_SPAN("<html>", 6)}, CCZ_E_FORMAT, "pcs:document"},
        {"no CRL", {.on = "/pckcrl", .body = CCZ_SPAN("3031", 4)}, CCZ_E_FORMAT, "pcs:document"},
        {"chain of another role",
         {.on = "/tcb", .chain = k.src.pck_crl_chain},
         CCZ_E_UNTRUSTED,
         "collateral:tcb-info-signer-name"},
        {"other document", {.on = "/tcb", .body = k.src.qe_identity}, CCZ_E_FORMAT, "pcs:document"},
        {"other FMSPC",
         {.on = "/tcb", .body = other.src.tcb_info},
         CCZ_E_MISMATCH,
         "pcs:other-platform"},
        {"other TEE",
         {.on = "/tcb", .body = tdx.src.tcb_info},
         CCZ_E_MISMATCH,
         "collateral:qe-identity-tee"},
        {"stale", {.on = "/tcb", .body = stale.src.tcb_info}, CCZ_E_EXPIRED, "pcs:stale"},
    };
    fake_pcs_open(&f, &(struct fake_knobs){0});
    CCZ_AUTO(ccz_http_client) client = test_client();
    CCZ_AUTO(ccz_http_client) hasty = client_of(400);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct refusal r = all[i];
        r.knobs.serve[0] = &k.src;
        check_refusal(&r, &k, &f, r.knobs.delay_ms ? hasty : client, (int)i);
    }
    usleep(700000);
    fake_pcs_close(&f);

    /* answers that no web server would give */
    static const struct {
        const char *bytes;
        bool reset;
    } raw[] = {{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"tcbInfo\"", false}, {"", true}};
    for (int i = 0; i < 2; i++) {
        struct fake_site site;
        struct ccz_err err = {0};
        struct ccz_pcs_want want = test_want(&k);
        fake_open_raw(&site, raw[i].bytes, raw[i].reset);
        struct ccz_pcs_store_cfg sc =
            test_cfg(temp_path(i ? "raw1" : "raw0"), &k.roots, client, fake_url(&site, ""));
        CCZ_AUTO(ccz_pcs_store) s = test_store(&sc);
        ccz_rc rc = ccz_pcs_store_fetch(s, &want, &err);
        test_said(rc, &err, CCZ_E_CLOSED, "http:closed");
        fake_close(&site);
    }
    kit_free(&k);
    kit_free(&other);
    kit_free(&tdx);
    kit_free(&stale);
}

/* Who asks, and what is asked for. */
static void test_config(void)
{
    temp_setup();
    struct kit k, forged;
    struct kit_cfg cfg;
    struct fake_pcs f;
    struct ccz_err err = {0};
    test_kit(&k, CCZ_TEE_SGX, 1);
    fake_pcs_open(&f, &(struct fake_knobs){.serve = {&k.src}});
    CCZ_AUTO(ccz_http_client) client = test_client();
    struct ccz_pcs_store_cfg good = test_cfg(temp_path("s"), &k.roots, client, fake_base(&f));
    struct ccz_pcs_store_cfg bad[8];
    for (int i = 0; i < 8; i++)
        bad[i] = good;
    bad[0].dir = NULL;
    bad[1].roots = NULL;
    bad[2].clock.now_s = NULL;
    bad[3].wait_max_s = 1;
    bad[4].reuse_max_s = -1;
    bad[5].intel_url = "pccs:8081";
    bad[6].intel_url = "https://pccs/sgx/certification/v3/";
    bad[7].intel_url = "";
    for (int i = 0; i < 8; i++) {
        struct ccz_pcs_store *s = NULL;
        ccz_rc rc = ccz_pcs_store_new(&s, &bad[i], &err);
        test_said(rc, &err, CCZ_E_ARG, i < 5 ? "pcs:config" : "pcs:url");
        CHECK(!s);
    }
    CCZ_AUTO(ccz_pcs_store) s = test_store(&good);
    const struct ccz_pcs_want none = {.tee = CCZ_TEE_SNP, .ca = CCZ_PCK_CA_PLATFORM};
    const struct ccz_pcs_want no_ca = {.tee = CCZ_TEE_SGX};
    test_said(ccz_pcs_store_fetch(s, &none, &err), &err, CCZ_E_ARG, "pcs:want");
    test_said(ccz_pcs_store_fetch(s, &no_ca, &err), &err, CCZ_E_ARG, "pcs:want");
    /* evidence that is not genuine makes nobody ask */
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    cfg.forge_pck = true;
    kit_new(&forged, &cfg);
    test_said(ccz_pcs_store_fetch_quote(s, ccz_buf_span(&forged.quote), &err), &err, CCZ_E_SIG,
              "quote:pck-signature");
    kit_free(&forged);
    cfg.forge_pck = false;
    cfg.stranger_signs_qe = true;
    kit_new(&forged, &cfg);
    test_said(ccz_pcs_store_fetch_quote(s, ccz_buf_span(&forged.quote), &err), &err, CCZ_E_SIG,
              "quote:qe-signature");
    kit_free(&forged);
    CHECK(fake_pcs_requests(&f) == 0);
    /* offline: what is there is used, nothing else */
    CHECK(ccz_pcs_store_fetch_quote(s, ccz_buf_span(&k.quote), &err) == CCZ_OK);
    good.getter.get = NULL;
    CCZ_AUTO(ccz_pcs_store) offline = test_store(&good);
    test_now += 20 * 86400;
    CHECK(ccz_pcs_store_fetch_quote(offline, ccz_buf_span(&k.quote), &err) == CCZ_OK);
    struct ccz_pcs_want other = test_want(&k);
    other.fmspc[0] ^= 1;
    test_said(ccz_pcs_store_fetch(offline, &other, &err), &err, CCZ_E_UNAVAILABLE, "pcs:offline");
    test_now += 20 * 86400;
    test_said(ccz_pcs_store_fetch_quote(offline, ccz_buf_span(&k.quote), &err), &err,
              CCZ_E_UNAVAILABLE, "pcs:offline");
    fake_pcs_close(&f);
    kit_free(&k);
}

/* --------------------------------------------------------------------------------- back-off */

static void test_back_off(void)
{
    temp_setup();
    struct kit k;
    struct fake_pcs f;
    struct ccz_err err = {0};
    test_kit(&k, CCZ_TEE_SGX, 1);
    struct fake_knobs busy = {.serve = {&k.src}, .on = "/", .status = 429, .retry_after = "100"};
    fake_pcs_open(&f, &busy);
    CCZ_AUTO(ccz_http_client) client = test_client();
    struct ccz_pcs_store_cfg cfg = test_cfg(temp_path("s"), &k.roots, client, fake_base(&f));
    struct ccz_pcs_want want = test_want(&k), other = want;
    other.fmspc[5] = 9;
    CCZ_AUTO(ccz_pcs_store) s = test_store(&cfg);
    test_said(ccz_pcs_store_fetch(s, &want, &err), &err, CCZ_E_PEER, "pcs:rate");
    test_now += 99; /* nobody may ask this server before */
    test_said(ccz_pcs_store_fetch(s, &other, &err), &err, CCZ_E_UNAVAILABLE, "pcs:back-off");
    CHECK(err.aux == 1 && fake_pcs_requests(&f) == 1);
    test_now += 1;
    busy.retry_after = "999999999"; /* bounded */
    fake_pcs_set(&f, &busy);
    test_said(ccz_pcs_store_fetch(s, &want, &err), &err, CCZ_E_PEER, "pcs:rate");
    test_now += 3600;
    busy.retry_after = "Wed, 21 Oct 2015 07:28:00 GMT"; /* not understood: own rule */
    busy.status = 503;
    fake_pcs_set(&f, &busy);
    test_said(ccz_pcs_store_fetch(s, &want, &err), &err, CCZ_E_UNAVAILABLE, "pcs:busy");
    /* third failure in a row: 5 s * 2 * 2 */
    test_now += 19;
    test_said(ccz_pcs_store_fetch(s, &want, &err), &err, CCZ_E_UNAVAILABLE, "pcs:back-off");
    CHECK(err.aux == 1);
    test_now += 1;
    for (int i = 0; i < 8; i++) {
        CHECK(ccz_pcs_store_fetch(s, &want, &err) == CCZ_E_UNAVAILABLE);
        CHECK(strcmp(err.where, "pcs:busy") == 0);
        test_now += 900; /* at most */
    }
    fake_pcs_set(&f, &(struct fake_knobs){.serve = {&k.src}});
    CHECK(ccz_pcs_store_fetch(s, &want, &err) == CCZ_OK);
    (void)fake_pcs_requests(&f);
    /* what does not exist is not asked for within the hour, what does is */
    test_said(ccz_pcs_store_fetch(s, &other, &err), &err, CCZ_E_NOT_FOUND, "pcs:not-found");
    test_now += 3599;
    test_said(ccz_pcs_store_fetch(s, &other, &err), &err, CCZ_E_NOT_FOUND, "pcs:not-found");
    CHECK(fake_pcs_requests(&f) == 1);
    test_now += 1;
    test_said(ccz_pcs_store_fetch(s, &other, &err), &err, CCZ_E_NOT_FOUND, "pcs:not-found");
    CHECK(fake_pcs_requests(&f) == 1);
    fake_pcs_close(&f);
    kit_free(&k);
}

/* A call that may wait does so as long as it may, and tells what the server said. */
static void test_wait(void)
{
    temp_setup();
    struct kit k;
    struct fake_pcs f;
    struct ccz_err err = {0};
    test_kit(&k, CCZ_TEE_SGX, 1);
    fake_pcs_open(
        &f, &(struct fake_knobs){.serve = {&k.src}, .on = "/", .status = 429, .retry_after = "40"});
    CCZ_AUTO(ccz_http_client) client = test_client();
    struct ccz_pcs_store_cfg cfg = test_cfg(temp_path("s"), &k.roots, client, fake_base(&f));
    cfg.wait_max_s = 100;
    cfg.sleep_ms = test_sleep;
    struct ccz_pcs_want want = test_want(&k);
    CCZ_AUTO(ccz_pcs_store) s = test_store(&cfg);
    test_said(ccz_pcs_store_fetch(s, &want, &err), &err, CCZ_E_PEER, "pcs:rate");
    CHECK(test_slept == 80 && fake_pcs_requests(&f) == 3);
    fake_pcs_set(&f, &(struct fake_knobs){.serve = {&k.src}});
    CHECK(ccz_pcs_store_fetch(s, &want, &err) == CCZ_OK);
    CHECK(test_slept == 120 && fake_pcs_requests(&f) == 4);
    fake_pcs_close(&f);
    kit_free(&k);
}

/* ---------------------------------------------------------------------------------- refresh */

static const char *reported(struct ccz_pcs_store *s, const char *what)
{
    static char text[65536];
    CCZ_AUTO_BUF out;
    CCZ_AUTO(ccz_json) json = NULL;
    ccz_buf_init(&out, sizeof(text) - 1);
    ccz_pcs_store_report(&out, s);
    CHECK(ccz_json_parse(&json, ccz_buf_span(&out), NULL) == CCZ_OK);
    (void)snprintf(text, sizeof(text), "%s", ccz_buf_str(&out));
    return strstr(text, what);
}

static void test_refresh(void)
{
    temp_setup();
    struct kit k, later, older;
    struct kit_cfg kc;
    struct fake_pcs f;
    struct ccz_err err = {0};
    int64_t next_s;
    enum { DAY = 86400 };
    test_kit(&k, CCZ_TEE_SGX, 1);
    kit_default(&kc, CCZ_TEE_SGX, 3);
    kc.tcb_info = kc.qe_identity = kc.pck_crl =
        (struct kit_dates){KIT_NOW_S + DAY, KIT_NOW_S + 40 * DAY};
    kc.root_crl = kc.tcb_info;
    kit_new(&later, &kc);
    kc.tcb_info.from_s = KIT_NOW_S - 3 * DAY;
    kit_new(&older, &kc);
    fake_pcs_open(&f, &(struct fake_knobs){.serve = {&k.src}, .max_age = "private, max-age=7200"});
    CCZ_AUTO(ccz_http_client) client = test_client();
    struct ccz_pcs_store_cfg cfg = test_cfg(temp_path("s"), &k.roots, client, fake_base(&f));
    CCZ_AUTO(ccz_pcs_store) s = test_store(&cfg);
    CHECK(ccz_pcs_store_fetch_quote(s, ccz_buf_span(&k.quote), &err) == CCZ_OK);
    CHECK(fake_pcs_requests(&f) == 4);
    CHECK(ccz_pcs_store_refresh(s, &next_s, &err) == CCZ_OK && fake_pcs_requests(&f) == 0);
    CHECK(next_s == KIT_NOW_S + 7200); /* no longer than max-age */
    test_now += 7199;
    CHECK(ccz_pcs_store_refresh(s, &next_s, &err) == CCZ_OK && fake_pcs_requests(&f) == 0);
    test_now += 1;
    fake_pcs_set(&f, &(struct fake_knobs){.serve = {&k.src}});
    CHECK(ccz_pcs_store_refresh(s, &next_s, &err) == CCZ_OK && fake_pcs_requests(&f) == 4);
    CHECK(next_s == test_now + DAY); /* nor than a day */
    /* newer documents are taken */
    test_now += DAY;
    fake_pcs_set(&f, &(struct fake_knobs){.serve = {&later.src}});
    CHECK(ccz_pcs_store_refresh(s, &next_s, &err) == CCZ_OK && fake_pcs_requests(&f) == 4);
    CHECK(reported(s, "\"issued\":\"2025-06-16T15:06:40Z\""));
    /* older ones are not, whoever delivers them: what is there stays, and the report says so */
    test_now += 2 * DAY;
    fake_pcs_set(&f, &(struct fake_knobs){.serve = {&older.src}});
    CHECK(ccz_pcs_store_refresh(s, &next_s, &err) == CCZ_OK);
    CHECK(reported(s, "\"where\":\"pcs:older\"") && reported(s, "\"waiting\":[{\"for\":"));
    CHECK(reported(s, "\"issued\":\"2025-06-16T15:06:40Z\""));
    /* a server that is down: the same, until the end */
    test_now += 2 * DAY;
    fake_pcs_set(&f, &(struct fake_knobs){.on = "/", .status = 500});
    CHECK(ccz_pcs_store_refresh(s, &next_s, &err) == CCZ_OK);
    CHECK(reported(s, "\"where\":\"pcs:status\"") && test_verifies(&later, temp_path("s")));
    CHECK(next_s == test_now + 60);
    test_now = KIT_NOW_S + 40 * DAY;
    CHECK(ccz_pcs_store_refresh(s, &next_s, &err) == CCZ_OK);
    test_now += 1;
    test_said(ccz_pcs_store_refresh(s, &next_s, &err), &err, CCZ_E_UNAVAILABLE, "pcs:back-off");
    CHECK(reported(s, "\"expired\":true"));
    fake_pcs_close(&f);
    kit_free(&k);
    kit_free(&later);
    kit_free(&older);
}

/* A clock that was weeks ahead for a while, as after a start without network time: what was noted then puts nothing
 * off, neither the next refresh nor the next request to a server that failed. */
static void test_clock_back(void)
{
    temp_setup();
    struct kit k;
    struct fake_pcs f;
    struct fake_amd milan;
    struct ccz_err err = {0};
    int64_t next_s;
    enum { AHEAD_S = 20 * 86400 };
    test_kit(&k, CCZ_TEE_SGX, 1);
    fake_amd_new(&milan, false);
    fake_pcs_open(&f, &(struct fake_knobs){.serve = {&k.src}, .amd = &milan});
    CCZ_AUTO(ccz_http_client) client = test_client();
    struct ccz_pcs_store_cfg cfg = test_cfg(temp_path("s"), &k.roots, client, fake_base(&f));
    cfg.snp_roots = &milan.roots;
    CCZ_AUTO(ccz_pcs_store) s = test_store(&cfg);
    struct ccz_pcs_want want = test_want(&k), other = want;
    const struct ccz_pcs_want_amd amd = {.product = "Milan", .vlek = true};
    other.fmspc[5] = 9;
    test_now = KIT_NOW_S + AHEAD_S;
    CHECK(ccz_pcs_store_fetch(s, &want, &err) == CCZ_OK);
    test_said(ccz_pcs_store_fetch_amd(s, &amd, &err), &err, CCZ_OK, err.where);
    CHECK(ccz_pcs_store_refresh(s, &next_s, &err) == CCZ_OK && fake_pcs_requests(&f) == 6);
    test_said(ccz_pcs_store_fetch(s, &other, &err), &err, CCZ_E_NOT_FOUND, "pcs:not-found");
    fake_pcs_set(&f, &(struct fake_knobs){.on = "/", .status = 500});
    other.fmspc[5] = 8;
    test_said(ccz_pcs_store_fetch(s, &other, &err), &err, CCZ_E_PEER, "pcs:status");
    fake_pcs_set(&f, &(struct fake_knobs){.serve = {&k.src}, .amd = &milan});
    (void)fake_pcs_requests(&f);
    test_now = KIT_NOW_S;
    CHECK(ccz_pcs_store_refresh(s, &next_s, &err) == CCZ_OK && fake_pcs_requests(&f) == 6);
    CHECK(ccz_pcs_store_refresh(s, &next_s, &err) == CCZ_OK && fake_pcs_requests(&f) == 0);
    other.fmspc[5] = 9;
    test_said(ccz_pcs_store_fetch(s, &other, &err), &err, CCZ_E_NOT_FOUND, "pcs:not-found");
    CHECK(fake_pcs_requests(&f) == 1);
    test_said(ccz_pcs_store_fetch(s, &other, &err), &err, CCZ_E_NOT_FOUND, "pcs:not-found");
    CHECK(fake_pcs_requests(&f) == 0); /* what is noted now counts */
    fake_pcs_close(&f);
    fake_amd_free(&milan);
    kit_free(&k);
}

/* A root CRL that takes back the signer of what is stored: the bundle is out of use from then on, also for who only
 * loads the directory. */
static void test_revoked(void)
{
    temp_setup();
    struct kit k, revoking;
    struct kit_cfg kc;
    struct fake_pcs f;
    struct ccz_err err = {0};
    int64_t next_s;
    test_kit(&k, CCZ_TEE_SGX, 1);
    kit_default(&kc, CCZ_TEE_SGX, 3);
    kc.fmspc[5] = 1;
    kc.revoke_tcb = true;
    kit_new(&revoking, &kc);
    fake_pcs_open(&f, &(struct fake_knobs){.serve = {&k.src}});
    CCZ_AUTO(ccz_http_client) client = test_client();
    struct ccz_pcs_store_cfg cfg = test_cfg(temp_path("s"), &k.roots, client, fake_base(&f));
    CCZ_AUTO(ccz_pcs_store) s = test_store(&cfg);
    CHECK(ccz_pcs_store_fetch_quote(s, ccz_buf_span(&k.quote), &err) == CCZ_OK);
    test_now += 86400;
    fake_pcs_set(&f, &(struct fake_knobs){.serve = {&revoking.src}});
    CCZ_AUTO(ccz_pcs) before = NULL;
    CCZ_AUTO(ccz_pcs) after = NULL;
    CHECK(ccz_pcs_load(&before, temp_path("s"), &k.roots, &err) == CCZ_OK);
    uint64_t changes = ccz_pcs_store_changes(s);
    CHECK(ccz_pcs_store_refresh(s, &next_s, &err) == CCZ_E_REVOKED);
    CHECK(reported(s, err.where) && strstr(err.hint, "taken out of use"));
    CHECK(ccz_pcs_store_changes(s) > changes);
    test_said(ccz_pcs_load(&after, temp_path("s"), &k.roots, &err), &err, CCZ_E_NOT_FOUND,
              "pcs:empty");
    CHECK(ccz_pcs_store_refresh(s, &next_s, &err) == CCZ_OK); /* nothing is left to refresh */
    fake_pcs_close(&f);
    kit_free(&k);
    kit_free(&revoking);
}

static ccz_rc full_jitter(void *out, size_t size)
{
    const uint32_t v = 8640; /* the whole span: a tenth of a day */
    CHECK(size == sizeof(v));
    memcpy(out, &v, sizeof(v));
    return CCZ_OK;
}

static void test_due(void)
{
    temp_setup();
    struct kit k;
    struct fake_pcs f;
    struct ccz_err err = {0};
    int64_t next_s;
    enum { DAY = 86400 };
    test_kit(&k, CCZ_TEE_SGX, 1);
    fake_pcs_open(&f, &(struct fake_knobs){.serve = {&k.src}});
    CCZ_AUTO(ccz_http_client) client = test_client();
    struct ccz_pcs_store_cfg cfg = test_cfg(temp_path("long"), &k.roots, client, fake_base(&f));
    cfg.reuse_max_s = 365 * DAY;
    CCZ_AUTO(ccz_pcs_store) s = test_store(&cfg);
    CHECK(ccz_pcs_store_fetch_quote(s, ccz_buf_span(&k.quote), &err) == CCZ_OK);
    CHECK(ccz_pcs_store_refresh(s, &next_s, &err) == CCZ_OK);
    CHECK(next_s == KIT_NOW_S + 30 * DAY - 7 * DAY); /* a week before it expires */
    cfg.dir = temp_path("jitter");
    cfg.reuse_max_s = 0;
    cfg.random = full_jitter;
    CCZ_AUTO(ccz_pcs_store) early = test_store(&cfg);
    CHECK(ccz_pcs_store_fetch_quote(early, ccz_buf_span(&k.quote), &err) == CCZ_OK);
    CHECK(ccz_pcs_store_refresh(early, &next_s, &err) == CCZ_OK);
    CHECK(next_s == KIT_NOW_S + DAY - 8640);
    fake_pcs_close(&f);
    kit_free(&k);
}

/* ----------------------------------------------------------------------------- concurrency */

struct asker {
    struct ccz_pcs_store *s;
    struct ccz_pcs_want want;
    ccz_rc rc;
    struct ccz_err err;
};

static void *ask(void *arg)
{
    struct asker *a = arg;
    a->rc = ccz_pcs_store_fetch(a->s, &a->want, &a->err);
    return NULL;
}

enum { ASKERS = 8 };

static void ask_all(struct asker askers[ASKERS], struct ccz_pcs_store *s,
                    const struct ccz_pcs_want *want)
{
    pthread_t threads[ASKERS];
    for (int i = 0; i < ASKERS; i++) {
        askers[i] = (struct asker){.s = s, .want = *want};
        CHECK(pthread_create(&threads[i], NULL, ask, &askers[i]) == 0);
    }
    for (int i = 0; i < ASKERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void test_waiters(void)
{
    temp_setup();
    struct kit k;
    struct fake_pcs f;
    struct asker askers[ASKERS];
    test_kit(&k, CCZ_TEE_SGX, 1);
    fake_pcs_open(&f, &(struct fake_knobs){.serve = {&k.src}, .on = "/tcb", .delay_ms = 250});
    CCZ_AUTO(ccz_http_client) client = test_client();
    struct ccz_pcs_store_cfg cfg = test_cfg(temp_path("s"), &k.roots, client, fake_base(&f));
    CCZ_AUTO(ccz_pcs_store) s = test_store(&cfg);
    struct ccz_pcs_want want = test_want(&k);
    ask_all(askers, s, &want);
    CHECK(fake_pcs_requests(&f) == 1);
    int shared = 0; /* those who came while the first one was waiting have its reason */
    for (int i = 0; i < ASKERS; i++) {
        CHECK(askers[i].rc != CCZ_OK && askers[i].err.rc == askers[i].rc);
        shared += strcmp(askers[i].err.where, "pcs:chain-header") == 0;
    }
    CHECK(shared >= 2);
    fake_pcs_set(&f, &(struct fake_knobs){.serve = {&k.src}});
    test_now += 10;
    ask_all(askers, s, &want);
    CHECK(fake_pcs_requests(&f) == 4);
    for (int i = 0; i < ASKERS; i++)
        CHECK(askers[i].rc == CCZ_OK);
    fake_pcs_close(&f);
    kit_free(&k);
}

/* A process that fetches as soon as it is told from where; forked before there are threads. */
static pid_t start_fetcher(int *to, const struct kit *k)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        char url[64] = "";
        CHECK(close(ends[1]) == 0 && read(ends[0], url, sizeof(url) - 1) > 0);
        CCZ_AUTO(ccz_http_client) client = test_client();
        struct ccz_pcs_store_cfg cfg = test_cfg(temp_path("s"), &k->roots, client, url);
        CCZ_AUTO(ccz_pcs_store) s = test_store(&cfg);
        struct ccz_pcs_want want = test_want(k);
        _exit(ccz_pcs_store_fetch(s, &want, NULL) == CCZ_OK ? 0 : 1);
    }
    close(ends[0]);
    *to = ends[1];
    return child;
}

static void test_processes(void)
{
    enum { PROCESSES = 3 };
    temp_setup();
    struct kit k;
    struct fake_pcs f;
    pid_t child[PROCESSES];
    int to[PROCESSES];
    test_kit(&k, CCZ_TEE_SGX, 1);
    for (int i = 0; i < PROCESSES; i++)
        child[i] = start_fetcher(&to[i], &k);
    fake_pcs_open(&f, &(struct fake_knobs){.serve = {&k.src}});
    for (int i = 0; i < PROCESSES; i++)
        CHECK(write(to[i], fake_base(&f), strlen(fake_base(&f))) > 0);
    for (int i = 0; i < PROCESSES; i++) {
        int status = 0;
        CHECK(waitpid(child[i], &status, 0) == child[i] && status == 0);
        close(to[i]);
    }
    CHECK(fake_pcs_requests(&f) == 4 && test_verifies(&k, temp_path("s")));
    fake_pcs_close(&f);
    kit_free(&k);
}

/* --------------------------------------------------------------------------------- accidents */

static void test_disk_full(void)
{
    temp_setup();
    struct kit k, later;
    struct kit_cfg kc;
    struct fake_pcs f;
    struct ccz_err err = {0};
    test_kit(&k, CCZ_TEE_SGX, 1);
    kit_default(&kc, CCZ_TEE_SGX, 3);
    kc.tcb_info.from_s += 3600;
    kit_new(&later, &kc);
    fake_pcs_open(&f, &(struct fake_knobs){.serve = {&k.src}});
    CCZ_AUTO(ccz_http_client) client = test_client();
    struct ccz_pcs_store_cfg cfg = test_cfg(temp_path("s"), &k.roots, client, fake_base(&f));
    CCZ_AUTO(ccz_pcs_store) s = test_store(&cfg);
    CHECK(ccz_pcs_store_fetch_quote(s, ccz_buf_span(&k.quote), &err) == CCZ_OK);
    fake_pcs_set(&f, &(struct fake_knobs){.serve = {&later.src}});
    test_now += 2 * 86400;
    struct rlimit normal, small;
    int64_t next_s;
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && getrlimit(RLIMIT_FSIZE, &normal) == 0);
    small = normal;
    small.rlim_cur = 1000; /* files cannot grow beyond, as on a full disk */
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHECK(ccz_pcs_store_refresh(s, &next_s, &err) == CCZ_OK);
    CHECK(setrlimit(RLIMIT_FSIZE, &normal) == 0);
    CHECK(reported(s, "\"where\":\"file:write\""));
    CHECK(test_verifies(&k, temp_path("s")));
    CHECK(access(temp_path("s/.new-00906ed50001-sgx-platform"), F_OK) != 0);
    CHECK(ccz_pcs_store_refresh(s, &next_s, &err) == CCZ_OK);
    CHECK(reported(s, "\"issued\":\"2025-06-14T15:06:40Z\"") && reported(s, "\"failures\":[]"));
    fake_pcs_close(&f);
    kit_free(&k);
    kit_free(&later);
}

static bool same_file(const char *path, struct ccz_span want)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 20);
    return ccz_file_read(&b, path, NULL) == CCZ_OK && ccz_span_eq(ccz_buf_span(&b), want);
}

/* Killed between writing and renaming, and (where names cannot be exchanged) between two renames. */
static void test_killed(void)
{
    temp_setup();
    const struct cczi_file one[] = {{"a", ccz_span_str("one")}};
    const struct cczi_file two[] = {{"a", ccz_span_str("two")}, {"b", ccz_span_str("b")}};
    struct ccz_err err = {0};
    CHECK(cczi_dir_stage(temp_base, "x", one, 1, &err) == CCZ_OK);
    CHECK(cczi_dir_commit(temp_base, "x", &err) == CCZ_OK);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (cczi_dir_stage(temp_base, "x", two, 2, &err) != CCZ_OK)
            _exit(1);
        (void)raise(SIGKILL);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    CHECK(same_file(temp_path("x/a"), ccz_span_str("one")));
    CHECK(access(temp_path(".new-x/b"), F_OK) == 0);
    cczi_dir_recover(temp_base);
    CHECK(access(temp_path(".new-x"), F_OK) != 0);
    CHECK(same_file(temp_path("x/a"), ccz_span_str("one")));
    CHECK(cczi_dir_stage(temp_base, "x", two, 2, &err) == CCZ_OK);
    CHECK(cczi_dir_commit(temp_base, "x", &err) == CCZ_OK);
    CHECK(same_file(temp_path("x/a"), ccz_span_str("two")) && access(temp_path("x/b"), F_OK) == 0);
    CHECK(access(temp_path(".new-x"), F_OK) != 0 && access(temp_path(".old-x"), F_OK) != 0);
    CHECK(rename(temp_path("x"), temp_path(".old-x")) == 0);
    cczi_dir_recover(temp_base);
    CHECK(same_file(temp_path("x/a"), ccz_span_str("two")));
    CHECK(access(temp_path(".old-x"), F_OK) != 0);
}

static void on_alarm(int signal)
{
    (void)signal;
}

/* A signal is no reason to go without the lock, or not to get it. */
static void test_lock_signals(void)
{
    temp_setup();
    const struct sigaction act = {.sa_handler = on_alarm};
    struct ccz_err err = {0};
    int fd = -1, pipes[2];
    char byte;
    CHECK(sigaction(SIGALRM, &act, NULL) == 0 && pipe(pipes) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (cczi_lock_fetch(&fd, temp_base, &err) != CCZ_OK || write(pipes[1], "x", 1) != 1)
            _exit(1);
        usleep(300000);
        _exit(0); /* and the lock is free */
    }
    CHECK(read(pipes[0], &byte, 1) == 1);
    (void)ualarm(50000, 0);
    test_said(cczi_lock_fetch(&fd, temp_base, &err), &err, CCZ_OK, "");
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    close(fd);
    close(pipes[0]);
    close(pipes[1]);
}

/* A bundle that is a link to somewhere else is replaced; what it pointed to is left alone. So is what a link with one
 * of our hidden names points to. */
static void test_links(void)
{
    temp_setup();
    const struct cczi_file one[] = {{"a", ccz_span_str("one")}};
    struct ccz_err err = {0};
    CHECK(mkdir(temp_path("away"), 0755) == 0 && mkdir(temp_path("s"), 0755) == 0);
    CHECK(ccz_file_write(temp_path("away/keep"), ccz_span_str("keep"), 0644, CCZ_FILE_REPLACE,
                         NULL) == CCZ_OK);
    static const char *const names[] = {"s/x", "s/.new-x", "s/.old-x", "s/.new-y", "s/.old-y"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        CHECK(symlink("../away", temp_path(names[i])) == 0);
    CHECK(cczi_dir_stage(temp_path("s"), "x", one, 1, &err) == CCZ_OK);
    CHECK(cczi_dir_commit(temp_path("s"), "x", &err) == CCZ_OK);
    cczi_dir_recover(temp_path("s"));
    struct stat st;
    CHECK(lstat(temp_path("s/x"), &st) == 0 && S_ISDIR(st.st_mode));
    CHECK(same_file(temp_path("s/x/a"), ccz_span_str("one")));
    CHECK(same_file(temp_path("away/keep"), ccz_span_str("keep")));
    CHECK(access(temp_path("away/a"), F_OK) != 0);
    for (size_t i = 1; i < 4; i++)
        CHECK(lstat(temp_path(names[i]), &st) != 0);
}

/* ---------------------------------------------------------------------------- certificates */

static void test_pck(void)
{
    temp_setup();
    struct kit k, other;
    struct kit_cfg kc;
    struct fake_pcs f;
    struct ccz_err err = {0};
    kit_default(&kc, CCZ_TEE_SGX, 3);
    kc.cert_type = 3;
    kit_new(&k, &kc);
    test_kit(&other, CCZ_TEE_SGX, 2);
    CCZ_AUTO_BUF leaf;
    ccz_buf_init(&leaf, 65536);
    ccz_pem_put(&leaf, "CERTIFICATE", ccz_cert_der(k.pck));
    struct fake_knobs knobs = {
        .serve = {&k.src}, .pck_leaf = ccz_buf_span(&leaf), .pck_chain = ccz_buf_span(&k.ca_chain)};
    fake_pcs_open(&f, &knobs);
    CCZ_AUTO(ccz_http_client) client = test_client();
    struct ccz_pcs_store_cfg cfg = test_cfg(temp_path("s"), &k.roots, client, fake_base(&f));
    CCZ_AUTO(ccz_pcs_store) s = test_store(&cfg);
    test_said(ccz_pcs_store_fetch_quote(s, ccz_buf_span(&k.quote), &err), &err, CCZ_E_UNSUPPORTED,
              "quote:pck-missing");
    CHECK(fake_pcs_requests(&f) == 0);
    cfg.fetch_pck = true;
    CCZ_AUTO(ccz_pcs_store) asks = test_store(&cfg);
    knobs.on = "/pckcert";
    knobs.chain = ccz_buf_span(&k.tcb_chain); /* not the PCK CA */
    fake_pcs_set(&f, &knobs);
    CHECK(ccz_pcs_store_fetch_quote(asks, ccz_buf_span(&k.quote), &err) != CCZ_OK);
    CHECK(strncmp(err.where, "quote:pck-", 10) == 0);
    knobs.on = NULL;
    fake_pcs_set(&f, &knobs);
    test_now += 60;
    test_said(ccz_pcs_store_fetch_quote(asks, ccz_buf_span(&k.quote), &err), &err, CCZ_OK,
              err.where);
    CHECK(test_verifies(&k, temp_path("s")));
    CHECK(same_file(temp_path("s/00906ed50001-sgx-platform/pck_leaf.pem"), ccz_buf_span(&leaf)));
    /* refreshing keeps it */
    int64_t next_s;
    test_now += 2 * 86400;
    CHECK(ccz_pcs_store_refresh(asks, &next_s, &err) == CCZ_OK);
    CHECK(test_verifies(&k, temp_path("s")));
    fake_pcs_close(&f);
    kit_free(&k);
    kit_free(&other);
}

static const struct ccz_test tests[] = {
    {"store.fetch", test_fetch},
    {"store.forms", test_forms},
    {"store.refused", test_refused},
    {"store.config", test_config},
    {"store.back_off", test_back_off},
    {"store.wait", test_wait},
    {"store.refresh", test_refresh},
    {"store.due", test_due},
    {"store.revoked", test_revoked},
    {"store.clock_back", test_clock_back},
    {"store.waiters", test_waiters},
    {"store.processes", test_processes},
    {"store.disk_full", test_disk_full},
    {"store.killed", test_killed},
    {"store.links", test_links},
    {"store.lock_signals", test_lock_signals},
    {"store.pck", test_pck},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
