/* SPDX-License-Identifier: Apache-2.0 */
/* SEV-SNP: claims as JSON. */
#include <cczoo/codec.h>

#include "quote/snp_kit.h"

#include "ccz_test.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static void set_debug(uint8_t *r)
{
    r[0x0a] |= 0x08;
}

static int64_t int_at(const struct ccz_json *j, const char *object, const char *key)
{
    int64_t n = -1;
    CHECK(ccz_json_int(&n, ccz_json_get(object ? ccz_json_get(j, object) : j, key)));
    return n;
}

static bool bool_at(const struct ccz_json *j, const char *key)
{
    bool b = false;
    CHECK(ccz_json_bool(&b, ccz_json_get(j, key)));
    return b;
}

static void test_json(void)
{
    struct snp_kit k;
    struct snp_kit_cfg cfg;
    struct ccz_claims c;
    snp_kit_default(&cfg, CCZ_SNP_TURIN, CCZ_SNP_VLEK, 5);
    cfg.edit = set_debug;
    snp_kit_new(&k, &cfg);
    CHECK(snp_kit_verify(&c, &k, NULL) == CCZ_OK);
    CCZ_AUTO_BUF text;
    CCZ_AUTO(ccz_json) j = NULL;
    ccz_buf_init(&text, 65536);
    ccz_claims_json(&text, &c);
    CHECK(!text.bad && ccz_json_parse(&j, ccz_buf_span(&text), NULL) == CCZ_OK);
    CHECK(strcmp(ccz_json_str(ccz_json_get(j, "tee")), "snp") == 0);
    CHECK(strcmp(ccz_json_str(ccz_json_get(j, "product")), "Turin") == 0);
    CHECK(strcmp(ccz_json_str(ccz_json_get(j, "signer")), "vlek") == 0);
    CHECK(strcmp(ccz_json_str(ccz_json_get(j, "csp_id")), "CN=cc-kit.example") == 0);
    CHECK(strcmp(ccz_json_str(ccz_json_get(j, "guest_policy")), "1f000b0000000000") == 0);
    CHECK(bool_at(j, "debug") && bool_at(j, "smt") && !bool_at(j, "migrate_ma") &&
          !bool_at(j, "single_socket") && bool_at(j, "smt_en") && !bool_at(j, "tsme_en") &&
          bool_at(j, "ecc_en") && bool_at(j, "alias_check_complete"));
    CHECK(bool_at(j, "simulated") && bool_at(j, "revocation_checked"));
    CHECK(int_at(j, NULL, "abi_major") == 0 && int_at(j, NULL, "abi_minor") == 31);
    const char *tcbs[] = {"reported_tcb", "current_tcb", "committed_tcb", "launch_tcb"};
    for (size_t i = 0; i < LEN(tcbs); i++)
        CHECK(int_at(j, tcbs[i], "fmc") == 1 && int_at(j, tcbs[i], "boot_loader") == 4 &&
              int_at(j, tcbs[i], "tee") == 1 && int_at(j, tcbs[i], "snp") == 24 &&
              int_at(j, tcbs[i], "microcode") == 219);
    CHECK(int_at(j, "current_version", "minor") == 55 &&
          int_at(j, "committed_version", "build") == 29);
    CHECK(int_at(j, NULL, "launch_mit_vector") == 11 && int_at(j, NULL, "cpuid_family") == 0x1a);
    CHECK(int_at(j, NULL, "vmpl") == 0 && int_at(j, NULL, "guest_svn") == 3);
    CHECK(strlen(ccz_json_str(ccz_json_get(j, "measurement"))) == 96);
    CHECK(strlen(ccz_json_str(ccz_json_get(j, "chip_id"))) == 128);
    CHECK(!ccz_json_get(j, "fmspc") && !ccz_json_get(j, "tcb_status") && !ccz_json_get(j, "mrtd"));
    snp_kit_free(&k);
}

static const struct ccz_test tests[] = {
    {"snp.json", test_json},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
