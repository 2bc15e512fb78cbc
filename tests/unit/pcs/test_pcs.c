/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* nftw */
#include <cczoo/pcs.h>

#include "ccz_test.h"
#include "quote/kit.h"
#include "temp_dir.h"

#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------- directories */

static void make_kit(struct kit *k, enum ccz_tee tee, uint8_t fmspc)
{
    struct kit_cfg cfg;
    kit_default(&cfg, tee, tee == CCZ_TEE_SGX ? 3 : 4);
    cfg.fmspc[5] = fmspc;
    kit_new(k, &cfg);
}

/* ------------------------------------------------------------------------------------- tests */

static void test_set(void)
{
    temp_setup();
    struct kit sgx, tdx, other;
    make_kit(&sgx, CCZ_TEE_SGX, 1);
    make_kit(&tdx, CCZ_TEE_TDX, 1);
    make_kit(&other, CCZ_TEE_SGX, 2);
    (void)temp_make_dir("set");
    kit_write(&sgx, temp_path("set"));
    kit_write(&tdx, temp_make_dir("set/tdx"));
    kit_write(&other, temp_make_dir("set/a-second"));
    kit_write(&other, temp_make_dir("set/.hidden"));
    (void)temp_make_dir("set/no-bundle");

    CCZ_AUTO(ccz_pcs) p = NULL;
    struct ccz_err err = {0};
    ccz_rc rc = ccz_pcs_load(&p, temp_path("set"), &sgx.roots, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK && ccz_pcs_len(p) == 3);
    CHECK(strcmp(ccz_pcs_at(p, 0).name, ".") == 0 &&
          strcmp(ccz_pcs_at(p, 1).name, "a-second") == 0);
    CHECK(strcmp(ccz_pcs_at(p, 2).name, "tdx") == 0);
    CHECK(ccz_pcs_expires(p) == sgx.cfg.tcb_info.until_s);

    const struct kit *const kits[] = {&sgx, &tdx, &other};
    static const size_t at[] = {0, 2, 1};
    for (int i = 0; i < 3; i++) { /* each quote finds its own collateral and verifies with it */
        struct ccz_quote q;
        struct ccz_platform platform;
        struct ccz_claims claims;
        CHECK(ccz_quote_parse(&q, ccz_buf_span(&kits[i]->quote), NULL) == CCZ_OK);
        CHECK(ccz_quote_platform(&platform, &q, NULL) == CCZ_OK);
        const struct ccz_collateral *c = ccz_pcs_find(p, &platform);
        CHECK(c && c == ccz_pcs_at(p, at[i]).collateral);
        const struct ccz_verify_cfg cfg = {
            .now_s = KIT_NOW_S, .roots = &kits[i]->roots, .collateral = c};
        CHECK(ccz_quote_verify(&claims, ccz_buf_span(&kits[i]->quote), &cfg, NULL) == CCZ_OK);
        platform.fmspc[0] ^= 1;
        CHECK(ccz_pcs_find(p, &platform) == NULL);
        platform.fmspc[0] ^= 1;
        platform.pck_issuer[0] ^= 1;
        CHECK(ccz_pcs_find(p, &platform) == NULL);
    }
    CHECK(ccz_pcs_find_only(p, CCZ_TEE_TDX) == ccz_pcs_at(p, 2).collateral);
    CHECK(ccz_pcs_find_only(p, CCZ_TEE_SGX) == NULL && ccz_pcs_find_only(p, CCZ_TEE_SNP) == NULL);
    CHECK(ccz_pcs_len(NULL) == 0 && ccz_pcs_expires(NULL) == INT64_MAX);
    kit_free(&sgx);
    kit_free(&tdx);
    kit_free(&other);
}

static void test_report(void)
{
    temp_setup();
    struct kit k;
    make_kit(&k, CCZ_TEE_TDX, 7);
    kit_write(&k, temp_base);
    CCZ_AUTO(ccz_pcs) p = NULL;
    CHECK(ccz_pcs_load(&p, temp_base, &k.roots, NULL) == CCZ_OK);
    for (int late = 0; late < 2; late++) {
        int64_t now_s = k.cfg.tcb_info.until_s + (late ? 1 : -60);
        CCZ_AUTO_BUF text;
        CCZ_AUTO(ccz_json) json = NULL;
        int64_t left;
        bool expired, simulated;
        ccz_buf_init(&text, 65536);
        ccz_pcs_report(&text, p, now_s);
        CHECK(ccz_json_parse(&json, ccz_buf_span(&text), NULL) == CCZ_OK &&
              ccz_json_len(json) == 1);
        const struct ccz_json *one = ccz_json_at(json, 0);
        CHECK(strcmp(ccz_json_str(ccz_json_get(one, "name")), ".") == 0);
        CHECK(strcmp(ccz_json_str(ccz_json_get(one, "tee")), "tdx") == 0);
        CHECK(strcmp(ccz_json_str(ccz_json_get(one, "fmspc")), "00906ed50007") == 0);
        CHECK(strcmp(ccz_json_str(ccz_json_get(one, "expires")), "2025-07-15T15:06:40Z") == 0);
        CHECK(strcmp(ccz_json_str(ccz_json_get(one, "issued")), "2025-06-14T15:06:40Z") == 0);
        CHECK(ccz_json_int(&left, ccz_json_get(one, "seconds_left")) && left == (late ? -1 : 60));
        CHECK(ccz_json_bool(&expired, ccz_json_get(one, "expired")) && expired == (late != 0));
        CHECK(ccz_json_bool(&simulated, ccz_json_get(one, "simulated")) && simulated);
    }
    kit_free(&k);
}

static void check_refused(const struct kit *k, const char *dir, ccz_rc want, const char *where)
{
    struct ccz_pcs *p = NULL;
    struct ccz_err err = {0};
    ccz_rc rc = ccz_pcs_load(&p, dir, &k->roots, &err);
    if (rc != want || strcmp(err.where, where) != 0)
        fprintf(stderr, "%s: %s at %s: %s\n", dir, ccz_rc_name(rc), err.where, err.msg);
    CHECK(rc == want && p == NULL && strcmp(err.where, where) == 0);
}

static void test_refused(void)
{
    temp_setup();
    static const char *const required[] = {
        "tcb_info_issuer_chain.pem", "qe_identity.json", "qe_identity_issuer_chain.pem",
        "pck_crl_issuer_chain.pem",  "root_ca_crl.der",  "pck_crl.der"};
    struct kit k, same;
    make_kit(&k, CCZ_TEE_SGX, 1);
    make_kit(&same, CCZ_TEE_SGX, 1);
    check_refused(&k, temp_path("absent"), CCZ_E_IO, "pcs:dir");
    check_refused(&k, temp_make_dir("empty"), CCZ_E_NOT_FOUND, "pcs:empty");
    (void)temp_make_dir("one");
    kit_write(&k, temp_make_dir("one/x"));
    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
        char file[512];
        (void)snprintf(file, sizeof(file), "%s/one/x/%s", temp_base, required[i]);
        CHECK(unlink(file) == 0);
        check_refused(&k, temp_path("one"), CCZ_E_NOT_FOUND, "pcs:incomplete");
        kit_write(&k, temp_path("one/x"));
    }
    /* a bundle that is not genuine: nothing is loaded, and the message names it */
    struct ccz_pcs *p = NULL;
    struct ccz_err err = {0};
    struct ccz_roots none = {0};
    CHECK(ccz_pcs_load(&p, temp_path("one"), &none, &err) == CCZ_E_UNTRUSTED && p == NULL);
    CHECK(strcmp(err.where, "collateral:tcb-info-root") == 0 &&
          strstr(err.msg, "bundle x: ") == err.msg);
    kit_write(&same, temp_make_dir("one/y"));
    check_refused(&k, temp_path("one"), CCZ_E_EXISTS, "pcs:duplicate");
    char name[CCZ_PCS_NAME_MAX + 8] = "one/";
    memset(name + 4, 'n', CCZ_PCS_NAME_MAX + 1);
    (void)temp_make_dir(name);
    check_refused(&k, temp_path("one"), CCZ_E_LIMIT, "pcs:name");
    kit_free(&k);
    kit_free(&same);
}

/* pck_leaf.pem and pck_sign_chain.pem complete quotes that carry no certificate. */
static void test_pck_chain(void)
{
    temp_setup();
    struct kit k;
    struct kit_cfg cfg;
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    cfg.cert_type = 3;
    kit_new(&k, &cfg);
    kit_write(&k, temp_base);
    for (int with = 0; with < 2; with++) {
        CCZ_AUTO(ccz_pcs) p = NULL;
        struct ccz_claims claims;
        struct ccz_err err = {0};
        if (with) {
            CCZ_AUTO_BUF leaf;
            ccz_buf_init(&leaf, 65536);
            ccz_pem_put(&leaf, "CERTIFICATE", ccz_cert_der(k.pck));
            CHECK(ccz_file_write(temp_path("pck_leaf.pem"), ccz_buf_span(&leaf), 0644,
                                 CCZ_FILE_REPLACE, NULL) == CCZ_OK);
            CHECK(ccz_file_write(temp_path("pck_sign_chain.pem"), ccz_buf_span(&k.ca_chain), 0644,
                                 CCZ_FILE_REPLACE, NULL) == CCZ_OK);
        }
        CHECK(ccz_pcs_load(&p, temp_base, &k.roots, &err) == CCZ_OK);
        const struct ccz_verify_cfg v = {
            .now_s = KIT_NOW_S, .roots = &k.roots, .collateral = ccz_pcs_find_only(p, CCZ_TEE_SGX)};
        ccz_rc rc = ccz_quote_verify(&claims, ccz_buf_span(&k.quote), &v, &err);
        CHECK(with ? rc == CCZ_OK
                   : rc == CCZ_E_UNSUPPORTED && strcmp(err.where, "quote:pck-missing") == 0);
    }
    kit_free(&k);
}

static const struct ccz_test tests[] = {
    {"pcs.set", test_set},
    {"pcs.report", test_report},
    {"pcs.refused", test_refused},
    {"pcs.pck_chain", test_pck_chain},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
