/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published SEV-SNP evidence with its certificates: each case has the verdict that its publisher or the reference
 * evaluation recorded with it, at the recorded time; refusals are listed here with the check that refuses them.
 */
#define _DEFAULT_SOURCE
#include "quote/quote_priv.h"
#include "quote/snp_priv.h"

#include "ccz_test.h"

#include <dirent.h>

enum { FILE_SIZE_MAX = 1 << 20 };

/* Cases with a refusal; every other case with certificates must be accepted. */
static const struct refusal {
    const char *name, *where;
} refusals[] = {
    {"neg-snp2-trustee-milan-byte42", "snp:signature"},
    {"neg-snp2-trustee-milan-tcb", "snp:reported-tcb"}, /* and the signature */
    {"neg-snp2-virtee-milan-xor21", "snp:signature"},
    {"neg-snp3-trustee-vlek-byte42", "snp:signature"},
    {"neg-snp2-trustee-vcek-byte42", "snp:vek"},
    {"neg-snp2-trustee-wrong-ask", "snp:vek-name"}, /* the ASVK in place of the ASK */
};
enum { REFUSALS = sizeof(refusals) / sizeof(refusals[0]), ACCEPTED = 26, WITHOUT_VEK = 10 };

static const char *refused_where(const char *name)
{
    for (size_t i = 0; i < REFUSALS; i++) {
        if (strcmp(refusals[i].name, name) == 0)
            return refusals[i].where;
    }
    return NULL;
}

/* ------------------------------------------------------------------------------------- files */

static const char *root_dir(void)
{
    static char dir[1024];
    const char *env = getenv("CCZOO_VECTORS");
    (void)snprintf(dir, sizeof(dir), "%s/tee",
                   env ? env : CCZ_TEST_SOURCE_DIR "/../shared/vectors");
    DIR *d = opendir(dir);
    if (!d) {
        fprintf(stderr, "skipped: no %s\n", dir);
        exit(77);
    }
    closedir(d);
    return dir;
}

/* Empty if there is no such file. */
static void load(struct ccz_buf *out, const char *set, const char *dir, const char *file)
{
    char path[2048];
    ccz_buf_init(out, FILE_SIZE_MAX);
    (void)snprintf(path, sizeof(path), "%s/%s/%s/%s", root_dir(), set, dir, file);
    if (ccz_file_read(out, path, NULL) != CCZ_OK)
        ccz_buf_clear(out);
}

static int is_snp_set(const struct dirent *e)
{
    return strncmp(e->d_name, "snp", 3) == 0 || strncmp(e->d_name, "neg-snp", 7) == 0;
}

/* Calls @p fn for every set with a report. */
static void each_set(void (*fn)(const char *set, struct ccz_span report,
                                const struct ccz_json *meta))
{
    struct dirent **list;
    int len = scandir(root_dir(), &list, is_snp_set, alphasort);
    CHECK(len > 30);
    for (int i = 0; i < len; i++) {
        CCZ_AUTO_BUF report;
        CCZ_AUTO_BUF text;
        CCZ_AUTO(ccz_json) meta = NULL;
        load(&report, list[i]->d_name, "", "evidence.bin");
        load(&text, list[i]->d_name, "", "meta.json");
        CHECK(ccz_json_parse(&meta, ccz_buf_span(&text), NULL) == CCZ_OK);
        if (report.size > 0)
            fn(list[i]->d_name, ccz_buf_span(&report), meta);
        free(list[i]);
    }
    free(list);
}

struct bundle {
    struct ccz_buf ark, ask, vek;
    struct ccz_span veks[1];
    struct ccz_snp_roots roots;
    struct ccz_snp_collateral_src src;
};

static void bundle_load(struct bundle *b, const char *set, const char *dir)
{
    *b = (struct bundle){0};
    load(&b->ark, set, dir, "ark.der");
    load(&b->ask, set, dir, "ask.der");
    load(&b->vek, set, dir, "vcek.der");
    if (b->vek.size == 0) {
        ccz_buf_free(&b->vek);
        load(&b->vek, set, dir, "vlek.der");
    }
    CHECK(b->ark.size > 0 && b->ask.size > 0 && b->vek.size > 0);
    CHECK(ccz_snp_roots_add_amd(&b->roots) == CCZ_OK);
    b->veks[0] = ccz_buf_span(&b->vek);
    b->src = (struct ccz_snp_collateral_src){
        .ark = ccz_buf_span(&b->ark), .ca = ccz_buf_span(&b->ask), .veks = b->veks, .veks_len = 1};
}

static void bundle_free(struct bundle *b)
{
    ccz_buf_free(&b->ark);
    ccz_buf_free(&b->ask);
    ccz_buf_free(&b->vek);
}

/* Report, and a certificate table with the VEK. */
static void put_evidence(struct ccz_buf *out, struct ccz_span report, struct ccz_span vek,
                         bool vlek)
{
    static const char guids[2][33] = {"63da758de6644564adc5f4b93be8accd",
                                      "a8074bc2a25a483eaae639c045a0b8a1"};
    ccz_buf_init(out, FILE_SIZE_MAX);
    ccz_buf_put_span(out, report);
    CHECK(ccz_unhex(ccz_buf_extend(out, 16), 16, guids[vlek], 32) == CCZ_OK);
    ccz_buf_le32(out, 48);
    ccz_buf_le32(out, (uint32_t)vek.size);
    memset(ccz_buf_extend(out, 24), 0, 24);
    ccz_buf_put_span(out, vek);
}

/* ------------------------------------------------------------------------------------- cases */

static int64_t int_of(const struct ccz_json *o, const char *key)
{
    int64_t n = 0;
    CHECK(ccz_json_int(&n, ccz_json_get(o, key)));
    return n;
}

static void check_tcb(const struct ccz_snp_tcb *t, const struct ccz_json *ref)
{
    CHECK(int_of(ref, "bl") == t->boot_loader && int_of(ref, "tee") == t->tee &&
          int_of(ref, "snp") == t->snp && int_of(ref, "ucode") == t->microcode);
    if (ccz_json_get(ref, "fmc"))
        CHECK(int_of(ref, "fmc") == t->fmc);
}

static void check_facts(const struct ccz_claims *c, const struct ccz_json *meta,
                        const struct ccz_json *ref)
{
    const struct ccz_json *facts = ccz_json_get(meta, "report_facts");
    char hex[17];
    bool debug;
    CHECK(int_of(facts, "ver") == c->quote_version && int_of(facts, "vmpl") == c->snp.vmpl);
    CHECK(int_of(facts, "guest_svn") == c->snp.guest_svn && !c->simulated &&
          !c->revocation_checked);
    CHECK(int_of(facts, "plat_info") == c->snp.platform_info[0]);
    ccz_hex(hex, c->snp.chip_id, 8);
    CHECK(strcmp(hex, ccz_json_str(ccz_json_get(facts, "chip_id_prefix"))) == 0);
    CHECK(strcmp(ccz_snp_product_name(c->snp.product),
                 ccz_json_str(ccz_json_get(meta, "product"))) == 0);
    check_tcb(&c->snp.reported_tcb, ccz_json_get(ref, "reported_tcb"));
    CHECK(ccz_json_bool(&debug, ccz_json_get(ref, "policy_debug_bit19")) && debug == c->debug);
    bool vlek = strcmp(ccz_json_str(ccz_json_get(ref, "vek_kind")), "VLEK") == 0;
    CHECK(c->snp.signer == (vlek ? CCZ_SNP_VLEK : CCZ_SNP_VCEK));
    if (vlek)
        CHECK(strcmp(c->snp.csp_id, ccz_json_str(ccz_json_get(ref, "cert_csp"))) == 0);
}

static size_t accepted, refused;

static ccz_rc verify(struct ccz_claims *claims, struct bundle *b, struct ccz_span report,
                     bool in_table, int64_t time_s, struct ccz_err *err)
{
    CCZ_AUTO(ccz_snp_collateral) c = NULL;
    CCZ_AUTO_BUF evidence;
    struct ccz_snp_report r;
    bool parsed = ccz_snp_report_parse(&r, report, NULL) == CCZ_OK;
    put_evidence(&evidence, report, b->veks[0], parsed && r.signer == CCZ_SNP_VLEK);
    b->src.veks_len = in_table ? 0 : 1;
    ccz_rc rc = ccz_snp_collateral_new(&c, &b->src, &b->roots, err);
    if (rc == CCZ_OK)
        rc = ccz_snp_verify(
            claims, in_table ? ccz_buf_span(&evidence) : report,
            &(struct ccz_snp_verify_cfg){.now_s = time_s, .roots = &b->roots, .collateral = c},
            err);
    return rc;
}

static void run_case(struct ccz_span report, const struct ccz_json *meta,
                     const struct ccz_json *one, const char *set)
{
    const char *name = ccz_json_str(ccz_json_get(one, "case"));
    const char *dir = ccz_json_str(ccz_json_get(one, "collateral_dir"));
    if (!dir)
        return;
    const char *where = refused_where(name);
    int64_t time_s = int_of(ccz_json_get(one, "verification_time"), "unix");
    struct bundle b;
    bundle_load(&b, set, dir);
    for (int in_table = 0; in_table < 2; in_table++) {
        struct ccz_claims claims = {0};
        struct ccz_err err = {0};
        ccz_rc rc = verify(&claims, &b, report, in_table, time_s, &err);
        /* with the VEK in the evidence, the wrong CA shows by the signer it stands for */
        const char *want =
            where && in_table && strcmp(where, "snp:vek-name") == 0 ? "snp:signer" : where;
        bool as_listed = want ? rc != CCZ_OK && strcmp(err.where, want) == 0 : rc == CCZ_OK;
        if (!as_listed)
            fprintf(stderr, "%s: %s at %s: %s; expected %s\n", name, ccz_rc_name(rc), err.where,
                    err.msg, want ? want : "success");
        CHECK(as_listed);
        if (rc == CCZ_OK)
            check_facts(&claims, meta, ccz_json_get(one, "reference_evaluation"));
        accepted += rc == CCZ_OK;
        refused += rc != CCZ_OK;
    }
    bundle_free(&b);
}

static void run_cases(const char *set, struct ccz_span report, const struct ccz_json *meta)
{
    const struct ccz_json *cases = ccz_json_get(meta, "cases");
    for (size_t i = 0; i < ccz_json_len(cases); i++)
        run_case(report, meta, ccz_json_at(cases, i), set);
}

static void test_cases(void)
{
    each_set(run_cases);
    printf("%zu accepted, %zu refused as listed\n", accepted / 2, refused / 2);
    CHECK(accepted == 2 * ACCEPTED && refused == 2 * REFUSALS);
}

/* Certificates were not published: the report parses, and under the collateral of its line its VEK is missing. */
static void run_alone(const char *set, struct ccz_span report, const struct ccz_json *meta)
{
    if (ccz_json_get(ccz_json_at(ccz_json_get(meta, "cases"), 0), "collateral_dir") &&
        ccz_json_str(ccz_json_get(ccz_json_at(ccz_json_get(meta, "cases"), 0), "collateral_dir")))
        return;
    struct ccz_snp_report r;
    struct bundle b;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_snp_collateral) c = NULL;
    CHECK(ccz_snp_report_parse(&r, report, &err) == CCZ_OK);
    CHECK(r.claims.product == CCZ_SNP_MILAN || r.claims.product == CCZ_SNP_NONE);
    bundle_load(&b, r.signer == CCZ_SNP_VLEK ? "snp3-trustee-vlek-milan" : "snp2-virtee-milan",
                "collateral");
    b.src.veks_len = r.signer == CCZ_SNP_VCEK; /* of another chip; a VLEK is of every chip */
    CHECK(ccz_snp_collateral_new(&c, &b.src, &b.roots, &err) == CCZ_OK);
    const struct ccz_snp_verify_cfg v = {.now_s = 1750000000, .roots = &b.roots, .collateral = c};
    ccz_rc rc = ccz_snp_verify(&claims, report, &v, &err);
    if (rc != CCZ_E_NOT_FOUND)
        fprintf(stderr, "%s: %s: %s\n", set, err.where, err.msg);
    CHECK(rc == CCZ_E_NOT_FOUND && strcmp(err.where, "snp:vek-missing") == 0);
    refused++;
    bundle_free(&b);
}

static void test_alone(void)
{
    each_set(run_alone);
    printf("%zu without certificates\n", refused);
    CHECK(refused == WITHOUT_VEK);
}

/* Two VCEKs edited by a publisher to show both forms of hwID: they parse, and do not verify. */
static void test_formats(void)
{
    static const char *const files[] = {"test-vcek-invalid-legacy.der",
                                        "test-vcek-invalid-new.der"};
    struct cczi_vek v[2];
    struct bundle b;
    bundle_load(&b, "snp2-trustee-milan", "collateral");
    for (int i = 0; i < 2; i++) {
        CCZ_AUTO_BUF der;
        CCZ_AUTO(ccz_cert) cert = NULL;
        CCZ_AUTO(ccz_snp_collateral) c = NULL;
        struct ccz_err err = {0};
        load(&der, "snp-vcek-extension-formats", "", files[i]);
        CHECK(ccz_cert_parse(&cert, ccz_buf_span(&der), &err) == CCZ_OK);
        CHECK(cczi_vek_from_cert(&v[i], cert, CCZ_SNP_VCEK, &err) == CCZ_OK);
        for (uint8_t n = 0; n < 64; n++)
            CHECK(v[i].hwid[n] == n);
        b.veks[0] = ccz_buf_span(&der);
        CHECK(ccz_snp_collateral_new(&c, &b.src, &b.roots, &err) == CCZ_E_SIG &&
              strcmp(err.where, "snp:vek-signature") == 0);
    }
    CHECK(v[0].product == CCZ_SNP_MILAN && v[1].product == CCZ_SNP_MILAN);
    bundle_free(&b);
}

/* ------------------------------------------------------------------------------------ damage */

static void run_truncations(const char *set, struct ccz_span report, const struct ccz_json *meta)
{
    (void)set;
    (void)meta;
    struct ccz_snp_report r;
    for (size_t cut = 0; cut < report.size; cut++)
        CHECK(ccz_snp_report_parse(&r, CCZ_SPAN(report.ptr, cut), NULL) != CCZ_OK);
}

static void test_truncated(void)
{
    each_set(run_truncations);
}

static uint32_t seed = 20250615;
static uint32_t rnd(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)seed * below) >> 32);
}

/* Every bit of report, table and VEK once, then pairs of bits, 50,000 in all: none is accepted. */
static void flips(const char *set, int64_t time_s)
{
    enum { FLIPS = 50000 };
    CCZ_AUTO_BUF report;
    CCZ_AUTO_BUF evidence;
    CCZ_AUTO(ccz_snp_collateral) c = NULL;
    CCZ_AUTO(ccz_verify_cache) cache = NULL;
    struct bundle b;
    struct ccz_claims claims;
    load(&report, set, "", "evidence.bin");
    bundle_load(&b, set, "collateral");
    put_evidence(&evidence, ccz_buf_span(&report), b.veks[0], strstr(set, "vlek") != NULL);
    b.src.veks_len = 0;
    CHECK(ccz_snp_collateral_new(&c, &b.src, &b.roots, NULL) == CCZ_OK);
    CHECK(ccz_verify_cache_new(&cache, 4) == CCZ_OK);
    const struct ccz_snp_verify_cfg v = {
        .now_s = time_s, .roots = &b.roots, .collateral = c, .cache = cache};
    CHECK(ccz_snp_verify(&claims, ccz_buf_span(&evidence), &v, NULL) == CCZ_OK);
    const uint32_t bits = (uint32_t)evidence.size * 8;
    for (uint32_t i = 0; i < FLIPS; i++) {
        uint32_t first = i < bits ? i : rnd(bits), second = first;
        if (i >= bits)
            second = (first + 1 + rnd(bits - 1)) % bits;
        evidence.ptr[first / 8] ^= (uint8_t)(1u << first % 8);
        if (second != first)
            evidence.ptr[second / 8] ^= (uint8_t)(1u << second % 8);
        struct ccz_err err = {0};
        ccz_rc rc = ccz_snp_verify(&claims, ccz_buf_span(&evidence), &v, &err);
        if (rc == CCZ_OK || !err.where[0] || !err.msg[0])
            fprintf(stderr, "%s: bits %u and %u: %s\n", set, first, second, ccz_rc_name(rc));
        CHECK(rc != CCZ_OK && err.where[0] && err.msg[0] && claims.tee == CCZ_TEE_NONE);
        evidence.ptr[first / 8] ^= (uint8_t)(1u << first % 8);
        if (second != first)
            evidence.ptr[second / 8] ^= (uint8_t)(1u << second % 8);
    }
    CHECK(ccz_snp_verify(&claims, ccz_buf_span(&evidence), &v, NULL) == CCZ_OK);
    bundle_free(&b);
}

static void test_flips_v2(void)
{
    flips("snp2-virtee-milan", 1712085823);
}
static void test_flips_v3(void)
{
    flips("snp3-microsoft-genoa", 1801793107);
}
static void test_flips_v3_vlek(void)
{
    flips("snp3-trustee-vlek-milan", 1749636861);
}
static void test_flips_v4(void)
{
    flips("snp4-cartridge-gcp-milan", 1774077857);
}
static void test_flips_v5(void)
{
    flips("snp5-microsoft-turin", 1801789473);
}

static const struct ccz_test tests[] = {
    {"snp_vectors.cases", test_cases},
    {"snp_vectors.alone", test_alone},
    {"snp_vectors.formats", test_formats},
    {"snp_vectors.truncated", test_truncated},
    {"snp_vectors.flips_v2", test_flips_v2},
    {"snp_vectors.flips_v3", test_flips_v3},
    {"snp_vectors.flips_v3_vlek", test_flips_v3_vlek},
    {"snp_vectors.flips_v4", test_flips_v4},
    {"snp_vectors.flips_v5", test_flips_v5},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
