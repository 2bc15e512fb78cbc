/* SPDX-License-Identifier: Apache-2.0 */
/* The software TEE as an AMD processor, judged by the verifier. */
#define _GNU_SOURCE /* nftw */
#include <cczoo/codec.h>
#include <cczoo/tee.h>
#include <cczoo/verifier.h>

#include "temp_dir.h"

#include <sys/stat.h>
#include <unistd.h>

enum { NOW_S = 1750000000, DAY = 86400 };
static int64_t now_s = NOW_S;

static int64_t clock_now(void *arg)
{
    (void)arg;
    return now_s;
}

static void setup(void)
{
    static const char *const names[] = {"a", "b"};
    temp_setup();
    for (int i = 0; i < 2; i++)
        CHECK(ccz_sim_init(temp_path(names[i]), &(struct ccz_sim_cfg){.now_s = NOW_S}, NULL) ==
              CCZ_OK);
}

static struct ccz_verifier *verifier(const char *trust, const struct ccz_policy *policy)
{
    struct ccz_verifier *v = NULL;
    struct ccz_err err = {0};
    const struct ccz_verifier_cfg cfg = {
        .clock = {.now_s = clock_now}, .trust_sim_dir = temp_path(trust), .policy = policy};
    ccz_rc rc = ccz_verifier_new(&v, &cfg, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK);
    return v;
}

static ccz_rc attest(struct ccz_buf *out, const char *platform, bool debug, int vmpl,
                     uint8_t measurement[48], struct ccz_err *err)
{
    CCZ_AUTO(ccz_attester) a = NULL;
    uint8_t report_data[64];
    memset(report_data, 0x77, sizeof(report_data));
    const struct ccz_attester_cfg cfg = {.provider = "sim-snp",
                                         .sim_dir = temp_path(platform),
                                         .sim_debug = debug,
                                         .vmpl_set = vmpl >= 0,
                                         .vmpl = (uint8_t)(vmpl < 0 ? 0 : vmpl)};
    *err = (struct ccz_err){0};
    ccz_buf_init(out, CCZ_QUOTE_SIZE_MAX);
    ccz_rc rc = ccz_attester_open(&a, &cfg, err);
    if (rc != CCZ_OK)
        return rc;
    CHECK(ccz_attester_simulated(a) && strcmp(ccz_attester_tee(a), "snp") == 0);
    CHECK(ccz_attester_measurement(a).size == 48);
    memcpy(measurement, ccz_attester_measurement(a).ptr, 48);
    return ccz_attester_quote(out, a, report_data, err);
}

static void test_verify(void)
{
    uint8_t m[48], report_data[64];
    struct ccz_claims c;
    struct ccz_err err;
    CCZ_AUTO_BUF evidence;
    CCZ_AUTO_BUF debug;
    setup();
    memset(report_data, 0x77, sizeof(report_data));
    CCZ_AUTO(ccz_verifier) v = verifier("a/trust", NULL);
    CHECK(attest(&evidence, "a", false, -1, m, &err) == CCZ_OK);
    CHECK(ccz_verifier_verify(v, &c, ccz_buf_span(&evidence), &err) == CCZ_OK);
    CHECK(c.tee == CCZ_TEE_SNP && c.simulated && c.revocation_checked && !c.debug &&
          c.quote_version == 5 && c.snp.product == CCZ_SNP_MILAN && c.snp.vmpl == 0);
    CHECK(memcmp(c.snp.measurement, m, 48) == 0 && memcmp(c.report_data, report_data, 64) == 0);
    CHECK(c.snp.reported_tcb.snp == 24 && c.snp.reported_tcb.microcode == 219);
    CHECK(attest(&debug, "a", true, -1, m, &err) == CCZ_OK);
    CHECK(ccz_verifier_verify(v, &c, ccz_buf_span(&debug), &err) == CCZ_OK && c.debug);
    /* the report alone: its VCEK is in the trust directory, too */
    CHECK(ccz_verifier_verify(v, &c, ccz_span_sub(ccz_buf_span(&evidence), 0, 1184), &err) ==
          CCZ_OK);
    evidence.ptr[0x50] ^= 1;
    CHECK(ccz_verifier_verify(v, &c, ccz_buf_span(&evidence), &err) == CCZ_E_SIG);
    evidence.ptr[0x50] ^= 1;
    /* another platform has another ARK of the same name */
    CCZ_AUTO(ccz_verifier) other = verifier("b/trust", NULL);
    CHECK(ccz_verifier_verify(other, &c, ccz_buf_span(&evidence), &err) == CCZ_E_SIG &&
          strcmp(err.where, "snp:vek-signature") == 0);
    now_s = NOW_S + 31 * DAY;
    CHECK(ccz_verifier_verify(v, &c, ccz_buf_span(&evidence), &err) == CCZ_E_EXPIRED &&
          strcmp(err.where, "snp:crl-expired") == 0);
}

/* Private files are private, and nothing of the authorities' keys stays. */
static void test_files(void)
{
    static const char *const private_files[] = {"a/platform/snp/vcek_key.pem",
                                                "a/platform/snp/cert_table.bin"};
    static const char *const public_files[] = {"a/trust/snp/ark.pem", "a/trust/snp/ask.pem",
                                               "a/trust/snp/vcek.der", "a/trust/snp/crl.der"};
    struct stat st;
    setup();
    for (size_t i = 0; i < 2; i++)
        CHECK(stat(temp_path(private_files[i]), &st) == 0 && (st.st_mode & 077) == 0);
    CHECK(stat(temp_path("a/platform/snp"), &st) == 0 && (st.st_mode & 077) == 0);
    for (size_t i = 0; i < 4; i++) {
        CCZ_AUTO_BUF text;
        ccz_buf_init(&text, 65536);
        CHECK(stat(temp_path(public_files[i]), &st) == 0 && (st.st_mode & 044) == 044);
        CHECK(ccz_file_read(&text, temp_path(public_files[i]), NULL) == CCZ_OK);
        CHECK(!strstr(ccz_buf_str(&text), "PRIVATE"));
        if (strstr(public_files[i], "vcek")) /* DER: its names are readable */
            CHECK(memmem(text.ptr, text.size, "SIMULATED", 9));
    }
}

static void test_damaged(void)
{
    uint8_t m[48];
    struct ccz_err err;
    struct ccz_claims c;
    CCZ_AUTO_BUF evidence;
    CCZ_AUTO_BUF none;
    CCZ_AUTO_BUF mixed;
    setup();
    CCZ_AUTO(ccz_verifier) v = verifier("a/trust", NULL);
    CHECK(attest(&none, "nowhere", false, -1, m, &err) != CCZ_OK && err.hint[0]);
    CHECK(chmod(temp_path("a/platform/snp/vcek_key.pem"), 0644) == 0);
    CHECK(attest(&evidence, "a", false, -1, m, &err) == CCZ_E_DENIED);
    CHECK(chmod(temp_path("a/platform/snp/vcek_key.pem"), 0600) == 0);
    CHECK(rename(temp_path("b/platform/snp/vcek_key.pem"),
                 temp_path("a/platform/snp/vcek_key.pem")) == 0);
    CHECK(attest(&mixed, "a", false, -1, m, &err) ==
          CCZ_OK); /* a chip with another chip's papers */
    CHECK(ccz_verifier_verify(v, &c, ccz_buf_span(&mixed), &err) == CCZ_E_MISMATCH &&
          strcmp(err.where, "snp:chip-id") == 0);
}

static void test_vmpl(void)
{
    uint8_t m[48];
    struct ccz_err err;
    struct ccz_claims c;
    setup();
    CCZ_AUTO(ccz_verifier) v = verifier("a/trust", NULL);
    for (int vmpl = 0; vmpl <= 3; vmpl++) {
        CCZ_AUTO_BUF evidence;
        CHECK(attest(&evidence, "a", false, vmpl, m, &err) == CCZ_OK);
        CHECK(ccz_verifier_verify(v, &c, ccz_buf_span(&evidence), &err) == CCZ_OK &&
              c.snp.vmpl == (uint32_t)vmpl);
    }
}

static const struct ccz_test tests[] = {
    {"sim_snp.verify", test_verify},
    {"sim_snp.files", test_files},
    {"sim_snp.damaged", test_damaged},
    {"sim_snp.vmpl", test_vmpl},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
