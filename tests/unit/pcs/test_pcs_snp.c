/* SPDX-License-Identifier: Apache-2.0 */
/* AMD's bundles in a set of collateral. */
#define _GNU_SOURCE /* nftw */
#include <cczoo/codec.h>
#include <cczoo/pcs.h>

#include "ccz_test.h"
#include "quote/kit.h"
#include "quote/snp_kit.h"
#include "temp_dir.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static void make(struct snp_kit *k, enum ccz_snp_product product, enum ccz_snp_signer signer)
{
    struct snp_kit_cfg cfg;
    snp_kit_default(&cfg, product, signer, 3);
    snp_kit_new(k, &cfg);
}

static void write_file(const char *name, struct ccz_span bytes)
{
    CHECK(ccz_file_write(temp_path(name), bytes, 0644, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
}

static void write_pem(const char *name, struct ccz_span der)
{
    CCZ_AUTO_BUF pem;
    ccz_buf_init(&pem, 65536);
    ccz_pem_put(&pem, "CERTIFICATE", der);
    write_file(name, ccz_buf_span(&pem));
}

static ccz_rc load(struct ccz_pcs **p, const char *dir, const struct snp_kit *k,
                   struct ccz_err *err)
{
    *err = (struct ccz_err){0};
    return ccz_pcs_load_all(p, temp_path(dir), NULL, &k->roots, err);
}

static ccz_rc verify(const struct ccz_pcs *p, size_t i, const struct snp_kit *k)
{
    struct ccz_claims claims;
    const struct ccz_snp_verify_cfg cfg = {
        .now_s = SNP_KIT_NOW_S, .roots = &k->roots, .collateral = ccz_pcs_snp_at(p, i).collateral};
    return ccz_snp_verify(&claims, ccz_buf_span(&k->evidence), &cfg, NULL);
}

/* Bundles of both vendors in one set, of AMD in all kinds; each vendor's roots alone give only its own. */
static void test_set(void)
{
    temp_setup();
    struct kit intel;
    struct kit_cfg cfg;
    struct snp_kit vcek, vlek;
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_pcs) all = NULL;
    CCZ_AUTO(ccz_pcs) amd = NULL;
    CCZ_AUTO(ccz_pcs) only_intel = NULL;
    kit_default(&cfg, CCZ_TEE_TDX, 4);
    kit_new(&intel, &cfg);
    make(&vcek, CCZ_SNP_MILAN, CCZ_SNP_VCEK);
    make(&vlek, CCZ_SNP_MILAN, CCZ_SNP_VLEK);
    (void)temp_make_dir("set");
    snp_kit_write(&vlek, temp_path("set")); /* a bundle in the directory itself */
    kit_write(&intel, temp_make_dir("set/intel"));
    snp_kit_write(&vcek, temp_make_dir("set/milan"));
    CHECK(ccz_pcs_load_all(&all, temp_path("set"), &intel.roots, &vcek.roots, &err) == CCZ_OK);
    CHECK(ccz_pcs_len(all) == 1 && ccz_pcs_snp_len(all) == 2);
    CHECK(strcmp(ccz_pcs_snp_at(all, 0).name, ".") == 0 &&
          strcmp(ccz_pcs_snp_at(all, 1).name, "milan") == 0);
    CHECK(ccz_snp_collateral_signer(ccz_pcs_snp_at(all, 0).collateral) == CCZ_SNP_VLEK);
    CHECK(verify(all, 0, &vlek) == CCZ_OK && verify(all, 1, &vcek) == CCZ_OK);
    CHECK(verify(all, 0, &vcek) == CCZ_E_MISMATCH);
    CHECK(load(&amd, "set", &vcek, &err) == CCZ_OK);
    CHECK(ccz_pcs_len(amd) == 0 && ccz_pcs_snp_len(amd) == 2);
    CHECK(ccz_pcs_expires(amd) == SNP_KIT_NOW_S + 30 * 86400);
    CHECK(ccz_pcs_load(&only_intel, temp_path("set"), &intel.roots, &err) == CCZ_OK);
    CHECK(ccz_pcs_len(only_intel) == 1 && ccz_pcs_snp_len(only_intel) == 0);
    CHECK(ccz_pcs_snp_len(NULL) == 0);
    kit_free(&intel);
    snp_kit_free(&vcek);
    snp_kit_free(&vlek);
}

/* PEM and DER, any number of VEKs, no CRL, no VEK. */
static void test_forms(void)
{
    temp_setup();
    struct snp_kit k, other;
    struct ccz_err err;
    make(&k, CCZ_SNP_GENOA, CCZ_SNP_VCEK);
    make(&other, CCZ_SNP_GENOA, CCZ_SNP_VCEK);
    (void)temp_make_dir("set");
    write_pem("set/ark.pem", k.src.ark);
    write_pem("set/asvk.pem", k.src.ca); /* the name of the file says nothing */
    CCZ_AUTO(ccz_pcs) none = NULL;
    CHECK(load(&none, "set", &k, &err) == CCZ_OK && ccz_pcs_snp_len(none) == 1);
    CHECK(ccz_pcs_expires(none) == k.cfg.ca.until_s && verify(none, 0, &k) == CCZ_E_NOT_FOUND);
    write_file("set/c0c1-0401.vek.der", k.veks[0]);
    write_file("set/c0c1-0402.vek.der", other.veks[0]);
    write_file("set/.old.vek.der", ccz_span_str("hidden"));
    write_file("set/notes.txt", ccz_span_str("ignored"));
    write_file("set/crl.der", k.src.crl);
    CCZ_AUTO(ccz_pcs) p = NULL;
    CHECK(load(&p, "set", &k, &err) == CCZ_OK && verify(p, 0, &k) == CCZ_OK);
    CHECK(ccz_pcs_expires(p) == k.cfg.crl.until_s);
    snp_kit_free(&k);
    snp_kit_free(&other);
}

static void refused(const char *dir, const struct snp_kit *k, ccz_rc want, const char *where)
{
    struct ccz_err err;
    struct ccz_pcs *p = NULL;
    ccz_rc rc = load(&p, dir, k, &err);
    if (rc != want || strcmp(err.where, where) != 0)
        fprintf(stderr, "%s at %s: %s; expected %s\n", ccz_rc_name(rc), err.where, err.msg, where);
    CHECK(rc == want && !p && strcmp(err.where, where) == 0);
}

static void test_refused(void)
{
    temp_setup();
    struct snp_kit k, vlek;
    make(&k, CCZ_SNP_MILAN, CCZ_SNP_VCEK);
    make(&vlek, CCZ_SNP_MILAN, CCZ_SNP_VLEK);
    (void)temp_make_dir("set");
    refused("set", &k, CCZ_E_NOT_FOUND, "pcs:empty");
    refused("nowhere", &k, CCZ_E_IO, "pcs:dir");
    (void)temp_make_dir("set/a");
    write_file("set/a/ark.der", k.src.ark);
    refused("set", &k, CCZ_E_NOT_FOUND, "pcs:incomplete");
    snp_kit_write(&k, temp_path("set/a"));
    const struct ccz_snp_roots roots = k.roots;
    k.roots = (struct ccz_snp_roots){0};
    refused("set", &k, CCZ_E_UNTRUSTED, "snp:root");
    k.roots = roots;
    write_pem("set/a/ark.pem", k.src.ark);
    refused("set", &k, CCZ_E_EXISTS, "pcs:snp-files");
    CHECK(remove(temp_path("set/a/ark.pem")) == 0);
    write_pem("set/a/asvk.pem", vlek.src.ca);
    refused("set", &k, CCZ_E_EXISTS, "pcs:snp-files");
    CHECK(remove(temp_path("set/a/asvk.pem")) == 0);
    write_file("set/a/vlek.der", vlek.veks[0]); /* of another CA */
    refused("set", &k, CCZ_E_UNTRUSTED, "snp:vek-name");
    CHECK(remove(temp_path("set/a/vlek.der")) == 0);
    write_file("set/a/x.vek.der", ccz_span_str("no certificate"));
    refused("set", &k, CCZ_E_FORMAT, "snp:vek");
    CHECK(remove(temp_path("set/a/x.vek.der")) == 0);
    write_file("set/a/crl.der", ccz_span_str(""));
    refused("set", &k, CCZ_E_FORMAT, "pcs:snp-files");
    write_file("set/a/crl.der", ccz_span_str("no list"));
    refused("set", &k, CCZ_E_FORMAT, "snp:crl");
    write_file("set/a/crl.der", k.src.crl);
    snp_kit_write(&k, temp_make_dir("set/b"));
    refused("set", &k, CCZ_E_EXISTS, "pcs:duplicate");
    snp_kit_free(&k);
    snp_kit_free(&vlek);
}

static void test_report(void)
{
    temp_setup();
    struct snp_kit k;
    struct ccz_err err;
    CCZ_AUTO(ccz_pcs) p = NULL;
    CCZ_AUTO(ccz_json) j = NULL;
    CCZ_AUTO_BUF text;
    make(&k, CCZ_SNP_TURIN, CCZ_SNP_VLEK);
    (void)temp_make_dir("set");
    snp_kit_write(&k, temp_make_dir("set/turin"));
    CHECK(load(&p, "set", &k, &err) == CCZ_OK);
    ccz_buf_init(&text, 65536);
    ccz_pcs_report(&text, p, SNP_KIT_NOW_S + 31 * 86400);
    CHECK(ccz_json_parse(&j, ccz_buf_span(&text), &err) == CCZ_OK && ccz_json_len(j) == 1);
    const struct ccz_json *one = ccz_json_at(j, 0);
    int64_t left;
    bool expired, simulated, crl;
    CHECK(strcmp(ccz_json_str(ccz_json_get(one, "name")), "turin") == 0);
    CHECK(strcmp(ccz_json_str(ccz_json_get(one, "tee")), "snp") == 0);
    CHECK(strcmp(ccz_json_str(ccz_json_get(one, "product")), "Turin") == 0);
    CHECK(strcmp(ccz_json_str(ccz_json_get(one, "signer")), "vlek") == 0);
    CHECK(strcmp(ccz_json_str(ccz_json_get(one, "issued")), "2025-06-14T15:06:40Z") == 0);
    CHECK(strcmp(ccz_json_str(ccz_json_get(one, "expires")), "2025-07-15T15:06:40Z") == 0);
    CHECK(ccz_json_int(&left, ccz_json_get(one, "seconds_left")) && left == -86400);
    CHECK(ccz_json_bool(&expired, ccz_json_get(one, "expired")) && expired);
    CHECK(ccz_json_bool(&simulated, ccz_json_get(one, "simulated")) && simulated);
    CHECK(ccz_json_bool(&crl, ccz_json_get(one, "crl")) && crl);
    snp_kit_free(&k);
}

static int is_dir_with_chain(const struct dirent *e)
{
    return strncmp(e->d_name, "snp", 3) == 0;
}

/* Published sets are bundles as they are. */
static void test_vectors(void)
{
    char root[1024];
    const char *env = getenv("CCZOO_VECTORS");
    (void)snprintf(root, sizeof(root), "%s/tee",
                   env ? env : CCZ_TEST_SOURCE_DIR "/../shared/vectors");
    struct dirent **list;
    int len = scandir(root, &list, is_dir_with_chain, alphasort);
    if (len < 0) {
        fprintf(stderr, "skipped: no %s\n", root);
        exit(77);
    }
    struct ccz_snp_roots amd = {0};
    size_t loaded = 0;
    CHECK(ccz_snp_roots_add_amd(&amd) == CCZ_OK);
    for (int i = 0; i < len; i++) {
        char dir[2048];
        CCZ_AUTO(ccz_pcs) p = NULL;
        struct ccz_err err = {0};
        (void)snprintf(dir, sizeof(dir), "%s/%s/collateral", root, list[i]->d_name);
        if (access(dir, F_OK) == 0) {
            CHECK(ccz_pcs_load_all(&p, dir, NULL, &amd, &err) == CCZ_OK && ccz_pcs_snp_len(p) == 1);
            CHECK(!ccz_snp_collateral_simulated(ccz_pcs_snp_at(p, 0).collateral));
            loaded++;
        }
        free(list[i]);
    }
    free(list);
    printf("%zu directories\n", loaded);
    CHECK(loaded >= 20);
}

static const struct ccz_test tests[] = {
    {"pcs_snp.set", test_set},         {"pcs_snp.forms", test_forms},
    {"pcs_snp.refused", test_refused}, {"pcs_snp.report", test_report},
    {"pcs_snp.vectors", test_vectors},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
