/* SPDX-License-Identifier: Apache-2.0 */
/* SNP reports in the verifier: simulated ones by the kit, genuine ones from the published vectors. */
#define _GNU_SOURCE /* nftw */
#include <cczoo/codec.h>
#include <cczoo/verifier.h>

#include "ccz_test.h"
#include "quote/kit.h"
#include "quote/snp_kit.h"
#include "temp_dir.h"

#include <sys/stat.h>
#include <unistd.h>

static int64_t now_s = SNP_KIT_NOW_S;

static int64_t clock_now(void *arg)
{
    (void)arg;
    return now_s;
}

/* A trust directory: Intel's simulated root and bundle, snp/ark.pem with its bundle (VCEK), and one of VLEKs. */
struct world {
    struct kit intel;
    struct snp_kit vcek, vlek, genoa;
};

static void make(struct snp_kit *k, enum ccz_snp_product product, enum ccz_snp_signer signer,
                 uint32_t version, bool table)
{
    struct snp_kit_cfg cfg;
    snp_kit_default(&cfg, product, signer, version);
    cfg.crl.until_s = SNP_KIT_NOW_S + INT64_C(5) * 31536000;
    cfg.table = table;
    snp_kit_new(k, &cfg);
}

static void write_pem(const char *name, struct ccz_span der)
{
    CCZ_AUTO_BUF pem;
    ccz_buf_init(&pem, 65536);
    ccz_pem_put(&pem, "CERTIFICATE", der);
    CHECK(ccz_file_write(temp_path(name), ccz_buf_span(&pem), 0644, CCZ_FILE_REPLACE, NULL) ==
          CCZ_OK);
}

static void setup(struct world *w)
{
    struct kit_cfg cfg;
    temp_setup();
    kit_default(&cfg, CCZ_TEE_TDX, 4);
    kit_new(&w->intel, &cfg);
    make(&w->vcek, CCZ_SNP_MILAN, CCZ_SNP_VCEK, 3, false);
    make(&w->vlek, CCZ_SNP_MILAN, CCZ_SNP_VLEK, 3, true);
    make(&w->genoa, CCZ_SNP_GENOA, CCZ_SNP_VCEK, 5, true);
    kit_write(&w->intel, temp_make_dir("trust"));
    snp_kit_write(&w->vcek, temp_make_dir("trust/snp"));
    CHECK(remove(temp_path("trust/snp/ark.der")) == 0);
    write_pem("trust/snp/ark.pem", w->vcek.src.ark);
    snp_kit_write(&w->vlek, temp_make_dir("trust/vlek"));
}

static void teardown(struct world *w)
{
    kit_free(&w->intel);
    snp_kit_free(&w->vcek);
    snp_kit_free(&w->vlek);
    snp_kit_free(&w->genoa);
}

static ccz_rc open_dirs(struct ccz_verifier **v, const char *genuine, const char *sim,
                        struct ccz_err *err)
{
    *err = (struct ccz_err){0};
    const struct ccz_verifier_cfg cfg = {
        .clock = {.now_s = clock_now}, .collateral_dir = genuine, .trust_sim_dir = sim};
    return ccz_verifier_new(v, &cfg, err);
}

static ccz_rc verify(struct ccz_verifier *v, struct ccz_claims *c, const struct snp_kit *k,
                     struct ccz_err *err)
{
    *err = (struct ccz_err){0};
    return ccz_verifier_verify(v, c, ccz_buf_span(&k->evidence), err);
}

static void test_accepted(void)
{
    struct world w;
    struct ccz_claims c;
    struct ccz_err err;
    setup(&w);
    CCZ_AUTO(ccz_verifier) v = NULL;
    CHECK(open_dirs(&v, NULL, temp_path("trust"), &err) == CCZ_OK);
    for (int twice = 0; twice < 2; twice++) {
        CHECK(verify(v, &c, &w.vcek, &err) == CCZ_OK && c.tee == CCZ_TEE_SNP && c.simulated);
        CHECK(c.snp.signer == CCZ_SNP_VCEK && c.revocation_checked);
        CHECK(verify(v, &c, &w.vlek, &err) == CCZ_OK && c.snp.signer == CCZ_SNP_VLEK);
    }
    now_s = KIT_NOW_S; /* the same second */
    CHECK(ccz_verifier_verify(v, &c, ccz_buf_span(&w.intel.quote), &err) == CCZ_OK &&
          c.tee == CCZ_TEE_TDX);
    CHECK(ccz_verifier_expires(v) == KIT_NOW_S + 30 * 86400); /* Intel's is the first */
    CCZ_AUTO_BUF text;
    CCZ_AUTO(ccz_json) j = NULL;
    ccz_buf_init(&text, 65536);
    ccz_verifier_report(&text, v);
    CHECK(ccz_json_parse(&j, ccz_buf_span(&text), NULL) == CCZ_OK);
    CHECK(ccz_json_len(ccz_json_get(j, "simulated")) == 3 &&
          ccz_json_len(ccz_json_get(j, "genuine")) == 0);
    teardown(&w);
}

static void test_refused(void)
{
    struct world w;
    struct ccz_claims c;
    struct ccz_err err;
    setup(&w);
    CCZ_AUTO(ccz_verifier) v = NULL;
    CHECK(open_dirs(&v, NULL, temp_path("trust"), &err) == CCZ_OK);
    CHECK(verify(v, &c, &w.genoa, &err) == CCZ_E_NOT_FOUND &&
          strcmp(err.where, "verifier:no-collateral") == 0 && strstr(err.got, "Genoa"));
    w.vcek.evidence.ptr[0x90] ^= 1;
    CHECK(verify(v, &c, &w.vcek, &err) == CCZ_E_SIG && strcmp(err.where, "snp:signature") == 0);
    w.vcek.evidence.ptr[0x90] ^= 1;
    w.vcek.evidence.ptr[0] = 6;
    CHECK(verify(v, &c, &w.vcek, &err) == CCZ_E_UNSUPPORTED &&
          strcmp(err.where, "snp:version") == 0);
    w.vcek.evidence.ptr[0] = 3;
    w.vcek.evidence.ptr[0x1a0] ^= 1;
    CHECK(verify(v, &c, &w.vcek, &err) == CCZ_E_NOT_FOUND &&
          strcmp(err.where, "snp:vek-missing") == 0);
    w.vcek.evidence.ptr[0x1a0] ^= 1;
    struct snp_kit
        stranger; /* the same names and ARK key, another VEK: known to nobody, and carried */
    make(&stranger, CCZ_SNP_MILAN, CCZ_SNP_VCEK, 2, true);
    CHECK(verify(v, &c, &stranger, &err) == CCZ_OK);
    stranger.evidence.ptr[stranger.evidence.size - 9] ^= 1;
    CHECK(verify(v, &c, &stranger, &err) == CCZ_E_SIG &&
          strcmp(err.where, "snp:vek-signature") == 0);
    now_s += INT64_C(10) * 31536000;
    CHECK(verify(v, &c, &w.vcek, &err) == CCZ_E_EXPIRED &&
          strcmp(err.where, "snp:crl-expired") == 0);
    CHECK(c.tee == CCZ_TEE_NONE);
    snp_kit_free(&stranger);
    teardown(&w);
}

/* What is simulated is not loaded as genuine; without an ARK in the trust directory nothing simulated is. */
static void test_authorities(void)
{
    struct world w;
    struct ccz_err err;
    setup(&w);
    struct ccz_verifier *v = NULL;
    CHECK(open_dirs(&v, temp_path("trust/vlek"), NULL, &err) == CCZ_E_UNTRUSTED && !v &&
          strcmp(err.where, "snp:root") == 0);
    CHECK(rename(temp_path("trust/snp/ark.pem"), temp_path("trust/snp/ark.der")) == 0);
    CHECK(open_dirs(&v, NULL, temp_path("trust"), &err) == CCZ_E_UNTRUSTED && !v &&
          strcmp(err.where, "snp:root") == 0);
    CHECK(rename(temp_path("trust/snp/ark.der"), temp_path("trust/snp/ark.pem")) == 0);
    write_pem("trust/snp/ark.pem", w.vcek.src.ca);
    CHECK(open_dirs(&v, NULL, temp_path("trust"), &err) == CCZ_E_UNTRUSTED && !v &&
          strcmp(err.where, "roots:name") == 0);
    teardown(&w);
}

static const char *vectors(const char *file)
{
    static char text[4][2048];
    static unsigned turn;
    char *p = text[turn++ % 4];
    const char *env = getenv("CCZOO_VECTORS");
    (void)snprintf(p, sizeof(text[0]), "%s/tee/%s",
                   env ? env : CCZ_TEST_SOURCE_DIR "/../shared/vectors", file);
    return p;
}

/* Genuine and simulated Milan beside each other: each is what it is. */
static void test_genuine(void)
{
    struct world w;
    struct ccz_claims c;
    struct ccz_err err;
    CCZ_AUTO_BUF report;
    ccz_buf_init(&report, 65536);
    if (access(vectors("snp2-virtee-milan"), F_OK) != 0) {
        fprintf(stderr, "skipped: no %s\n", vectors(""));
        exit(77);
    }
    CHECK(ccz_file_read(&report, vectors("snp2-virtee-milan/evidence.bin"), &err) == CCZ_OK);
    setup(&w);
    CCZ_AUTO(ccz_verifier) v = NULL;
    CHECK(open_dirs(&v, vectors("snp2-virtee-milan/collateral"), temp_path("trust"), &err) ==
          CCZ_OK);
    CHECK(ccz_verifier_verify(v, &c, ccz_buf_span(&report), &err) == CCZ_OK && !c.simulated &&
          c.quote_version == 2 && c.snp.product == CCZ_SNP_MILAN && !c.revocation_checked);
    CHECK(verify(v, &c, &w.vcek, &err) == CCZ_OK && c.simulated);
    CHECK(verify(v, &c, &w.vlek, &err) == CCZ_OK && c.simulated);
    w.vcek.evidence.ptr[0x90] ^= 1; /* the reason is that of the collateral it belongs to */
    CHECK(verify(v, &c, &w.vcek, &err) == CCZ_E_SIG && strcmp(err.where, "snp:signature") == 0);
    report.ptr[0x90] ^= 1;
    CHECK(ccz_verifier_verify(v, &c, ccz_buf_span(&report), &err) == CCZ_E_SIG);
    teardown(&w);
}

static const struct ccz_test tests[] = {
    {"verifier_snp.accepted", test_accepted},
    {"verifier_snp.refused", test_refused},
    {"verifier_snp.authorities", test_authorities},
    {"verifier_snp.genuine", test_genuine},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
