/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/pins.h"
#include "policy/policy_priv.h"

#include "ccz_test.h"

#define NOW INT64_C(1800000000) /* 2027-01-15T08:00:00Z */

static struct ccz_err err;

/* ------------------------------------------------------------------------------------ helpers */

/* Claims of SNP: zero is nowhere a value that a mistake could produce, but where a default demands it. */
static struct ccz_snp_claims good_snp(void)
{
    struct ccz_snp_claims c = {
        .product = CCZ_SNP_MILAN,
        .signer = CCZ_SNP_VCEK,
        .guest_svn = 7,
        .guest_policy = {0x1f, 0, 3},
        .platform_info = {0x25},
        .reported_tcb = {0, 4, 2, 22, 213},
        .current_tcb = {0, 5, 3, 23, 214},
        .committed_tcb = {0, 3, 2, 21, 212},
        .launch_tcb = {0, 4, 2, 22, 211},
        .current_version = {1, 55, 31},
        .committed_version = {1, 55, 21},
        .launch_mit_vector = 0x0807060504030201,
        .current_mit_vector = 0x1817161514131211,
        .cpuid_family = 0x19,
        .cpuid_model = 0x11,
        .cpuid_stepping = 2,
        .csp_id = "CN=cc-us-east-2.amazonaws.com",
    };
    memset(c.measurement, 0x91, 48);
    memset(c.host_data, 0x92, 32);
    memset(c.id_key_digest, 0x93, 48);
    memset(c.author_key_digest, 0x94, 48);
    memset(c.family_id, 0x95, 16);
    memset(c.image_id, 0x96, 16);
    memset(c.report_id, 0x97, 32);
    memset(c.report_id_ma, 0xff, 32);
    memset(c.chip_id, 0x98, 64);
    return c;
}

/* Claims in which every byte that a rule can name has a value of its own. */
static struct ccz_claims good_claims(enum ccz_tee tee)
{
    struct ccz_claims c = {.tee = tee,
                           .quote_version = 4,
                           .revocation_checked = true,
                           .collateral_issued_s = NOW - 1000,
                           .collateral_expires_s = NOW + 1000};
    if (tee == CCZ_TEE_SNP) {
        c.snp = good_snp();
        return c;
    }
    c.tcb_status = c.platform_status = c.qe_status = c.module_status = CCZ_TCB_UP_TO_DATE;
    c.tcb_date_s = NOW - 1000000;
    c.tcb_eval_number = 17;
    c.qe_isv_svn = 8;
    memcpy(c.fmspc, (const uint8_t[]){1, 2, 3, 4, 5, 6}, 6);
    c.pce_id[0] = 9;
    c.ppid[0] = 7, c.ppid[15] = 8;
    for (uint8_t i = 0; i < 16; i++)
        c.cpu_svn[i] = i + 1, c.tee_tcb_svn[i] = i + 3, c.tee_tcb_svn2[i] = i + 5;
    if (tee == CCZ_TEE_SGX) {
        c.isv_prod_id = 3;
        c.isv_svn = 5;
        c.config_svn = 2;
        c.misc_select = 0x01020304;
        c.attributes[0] = 5;
        c.attributes[8] = 0xe7;
        memset(c.mrenclave, 0x11, 32);
        memset(c.mrsigner, 0x22, 32);
        memset(c.config_id, 0x33, 64);
        memset(c.isv_family_id, 0x44, 16);
        memset(c.isv_ext_prod_id, 0x55, 16);
        return c;
    }
    memset(c.mrtd, 0x66, 48);
    for (int i = 0; i < 4; i++)
        memset(c.rtmr[i], 0x70 + i, 48);
    memset(c.mrconfigid, 0x81, 48);
    memset(c.mrowner, 0x82, 48);
    memset(c.mrownerconfig, 0x83, 48);
    memset(c.mrseam, 0x84, 48);
    memset(c.mrsignerseam, 0x85, 48);
    c.td_attributes[3] = 0x10;
    c.xfam[0] = 0xe7;
    return c;
}

/* What pins good_claims(). */
static const char *const pins[] = {[CCZ_TEE_SGX] = MRENCLAVE,
                                   [CCZ_TEE_TDX] = MRTD,
                                   [CCZ_TEE_SNP] = MEASUREMENT "," PRODUCT "," REPORTED_TCB};

/* A policy of one rule pinned to good_claims(), with `more` members behind. */
static struct ccz_policy *one_rule(enum ccz_tee tee, const char *more)
{
    struct ccz_policy *p = NULL;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_POLICY_SIZE_MAX);
    ccz_buf_printf(&text, "{\"version\":1,\"rules\":[{\"name\":\"r\",\"tee\":\"%s\",%s%s%s}]}",
                   ccz_tee_name(tee), pins[tee], more[0] ? "," : "", more);
    ccz_rc rc = ccz_policy_parse(&p, ccz_buf_span(&text), &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s in %s\n", err.where, err.msg, ccz_buf_str(&text));
    CHECK(rc == CCZ_OK);
    return p;
}

static bool accepts_at(const struct ccz_policy *p, const struct ccz_claims *c, int64_t now_s)
{
    struct ccz_verdict v;
    memset(&v, 0xff, sizeof(v));
    err = (struct ccz_err){0};
    ccz_rc rc = ccz_policy_eval(&v, p, c, now_s, &err);
    CHECK(rc == CCZ_OK || rc == CCZ_E_POLICY);
    CHECK(v.accept == (rc == CCZ_OK));
    if (rc != CCZ_OK) {
        CHECK(v.rule[0] == 0 && v.grace_until_s == 0);
        CHECK(strncmp(err.where, "policy:", 7) == 0 && err.got[0] && err.expected[0] &&
              err.rc == rc);
    }
    CHECK(ccz_policy_eval(&v, p, c, now_s, NULL) == rc);
    return rc == CCZ_OK;
}

static bool refuses(const struct ccz_policy *p, const struct ccz_claims *c, const char *where)
{
    if (!accepts_at(p, c, NOW) && strcmp(err.where, where) == 0)
        return true;
    fprintf(stderr, "expected %s, got %s (%s / %s)\n", where, err.where, err.got, err.expected);
    return false;
}

/* One field, claims it accepts and claims it refuses. */
static void check_field(enum ccz_tee tee, const char *more, const struct ccz_claims *good,
                        const struct ccz_claims *bad, const char *where)
{
    CCZ_AUTO(ccz_policy) p = one_rule(tee, more);
    bool ok = accepts_at(p, good, NOW);
    if (!ok)
        fprintf(stderr, "%s refused by %s: %s / %s\n", more, err.where, err.got, err.expected);
    CHECK(ok && refuses(p, bad, where));
}

/* -------------------------------------------------------------------------------- empty, zeroed */

static void test_empty(void)
{
    static const char *const texts[] = {"{}", "{\"version\":1}", "{\"version\":1,\"rules\":[]}",
                                        " {\"rules\":[],\"version\":1}\n"};
    struct ccz_claims c = good_claims(CCZ_TEE_SGX), zero = {0};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        CCZ_AUTO(ccz_policy) p = NULL;
        CHECK(ccz_policy_parse(&p, ccz_span_str(texts[i]), &err) == CCZ_OK);
        CHECK(refuses(p, &c, "policy:empty") && err.hint[0] != 0);
        CHECK(refuses(p, &zero, "policy:empty"));
    }
    ccz_policy_free(NULL);
}

static void test_zeroed_claims(void)
{
    struct ccz_claims zero = {0};
    CCZ_AUTO(ccz_policy) sgx = one_rule(CCZ_TEE_SGX, "\"sim\":true,\"debug\":true");
    CCZ_AUTO(ccz_policy) tdx = one_rule(CCZ_TEE_TDX, "\"sim\":true,\"debug\":true");
    CHECK(refuses(sgx, &zero, "policy:collateral-expired") &&
          refuses(tdx, &zero, "policy:collateral-expired"));
    zero.collateral_expires_s = NOW;
    CHECK(refuses(sgx, &zero, "policy:tee") && strcmp(err.got, "none") == 0 &&
          strcmp(err.expected, "sgx") == 0);
    CHECK(refuses(tdx, &zero, "policy:tee"));
    struct ccz_claims c =
        good_claims(CCZ_TEE_SGX); /* a status that was never set is not a good one */
    c.tcb_status = CCZ_TCB_NONE;
    CHECK(refuses(sgx, &c, "policy:tcb_status"));
}

static void test_expired(void)
{
    struct ccz_claims c = good_claims(CCZ_TEE_SGX);
    CCZ_AUTO(ccz_policy) p = one_rule(CCZ_TEE_SGX, "");
    CHECK(accepts_at(p, &c, c.collateral_expires_s));
    CHECK(!accepts_at(p, &c, c.collateral_expires_s + 1) &&
          strcmp(err.where, "policy:collateral-expired") == 0);
}

/* --------------------------------------------------------------------------------- every field */

/* Kinds whose draft is a minimum: a lower claim is refused. */
static bool drafts_minimum(const struct cczi_kind *k)
{
    return k == &cczi_kind_svn || k == &cczi_kind_svns || k == &cczi_kind_tcb ||
           k == &cczi_kind_tcb_whole || k == &cczi_kind_version;
}

static bool pinned_anyway(const char *field)
{
    return strcmp(field, "mrenclave") == 0 || strcmp(field, "mrtd") == 0 ||
           strcmp(field, "measurement") == 0 || strcmp(field, "reported_tcb") == 0;
}

/* Every line of the table that can be drafted from claims: the drafted value accepts them, and the
 * claim with any of its bytes changed (or one less, for a minimum) is refused under the field's own
 * name. */
static void test_fields(void)
{
    size_t tested = 0;
    for (size_t i = 0; i < cczi_fields_len; i++) {
        const struct cczi_field *f = &cczi_fields[i];
        bool minimum = drafts_minimum(f->kind);
        if (f->kind != &cczi_kind_bytes && f->kind != &cczi_kind_mask &&
            f->kind != &cczi_kind_mask_num && f->kind != &cczi_kind_number && !minimum)
            continue;
        for (int t = CCZ_TEE_SGX; t <= CCZ_TEE_SNP; t++) {
            if (!(f->tees & 1u << t))
                continue;
            struct ccz_claims good = good_claims((enum ccz_tee)t);
            char where[64];
            (void)snprintf(where, sizeof(where), "policy:%s", f->name);
            CCZ_AUTO_BUF more;
            ccz_buf_init(&more, 4096);
            if (!pinned_anyway(f->name)) {
                ccz_buf_printf(&more, "\"%s\":", f->name);
                f->kind->draft(&more, f, &good);
            }
            for (size_t at = 0; at < f->size; at++) {
                struct ccz_claims bad = good;
                uint8_t *claim = (uint8_t *)&bad + f->offset;
                if (minimum && claim[at] == 0)
                    continue;
                claim[at] = minimum ? claim[at] - 1 : claim[at] ^ 0x80;
                check_field((enum ccz_tee)t, ccz_buf_str(&more), &good, &bad, where);
                tested++;
            }
        }
    }
    CHECK(tested >= 1200);
}

/* A claim and where a rule addresses it, or why it does not. */
static const struct {
    const char *claim, *field, *why;
} other_names[] = {
    {"tee", NULL, "the member \"tee\" of a rule"},
    {"report_data", NULL, "bound by the protocol: differs with every handshake"},
    {"collateral_expires", NULL, "always judged: policy:collateral-expired"},
    {"simulated", "sim", NULL},
    {"revocation_checked", "unchecked_revocation", NULL},
    {"rtmr", "rtmr0", NULL},
    {"collateral_issued", "collateral_max_age_s", NULL},
    /* bits by name */
    {"abi_major", "guest_policy", NULL},
    {"abi_minor", "guest_policy", NULL},
    {"smt", "guest_policy", NULL},
    {"migrate_ma", "guest_policy", NULL},
    {"single_socket", "guest_policy", NULL},
    {"cxl", "guest_policy", NULL},
    {"mem_aes_256_xts", "guest_policy", NULL},
    {"rapl_dis", "guest_policy", NULL},
    {"ciphertext_hiding_dram", "guest_policy", NULL},
    {"page_swap_disable", "guest_policy", NULL},
    {"smt_en", "platform_info", NULL},
    {"tsme_en", "platform_info", NULL},
    {"ecc_en", "platform_info", NULL},
    {"rapl_dis_en", "platform_info", NULL},
    {"ciphertext_hiding_dram_en", "platform_info", NULL},
    {"alias_check_complete", "platform_info", NULL},
    {"tio_en", "platform_info", NULL},
};

static bool addressed(const char *claim)
{
    for (size_t i = 0; i < sizeof(other_names) / sizeof(other_names[0]); i++)
        if (strcmp(other_names[i].claim, claim) == 0)
            return other_names[i].why || cczi_field_find(other_names[i].field) < cczi_fields_len;
    return cczi_field_find(claim) < cczi_fields_len;
}

/* Marks what no rule needs to address, as above, and padding. */
static void mark_unaddressed(bool seen[sizeof(struct ccz_claims)])
{
#define MARK(first, last)                                                                          \
    memset(seen + offsetof(struct ccz_claims, first), true,                                        \
           offsetof(struct ccz_claims, last) - offsetof(struct ccz_claims, first))
    MARK(tee, quote_version);
    MARK(report_data, mrenclave);
    MARK(advisory_len, collateral_issued_s);
    memset(seen + offsetof(struct ccz_claims, collateral_expires_s), true, sizeof(int64_t));
#undef MARK
}

/* Every claim of every TEE is addressable: by its name in the JSON of claims, and by its bytes in the
 * structure, so that a claim added to either without a field is found. */
static void test_addressable(void)
{
    bool seen[sizeof(struct ccz_claims)] = {0};
    for (int t = CCZ_TEE_SGX; t <= CCZ_TEE_SNP; t++) {
        struct ccz_claims c = good_claims((enum ccz_tee)t);
        CCZ_AUTO_BUF text;
        CCZ_AUTO(ccz_json) j = NULL;
        ccz_buf_init(&text, 65536);
        ccz_claims_json(&text, &c);
        CHECK(ccz_json_parse(&j, ccz_buf_span(&text), NULL) == CCZ_OK && ccz_json_len(j) > 10);
        const char *key = NULL;
        while (ccz_json_next(&key, j)) {
            if (!addressed(key))
                fprintf(stderr, "%s: no field for claim %s\n", ccz_tee_name(c.tee), key);
            CHECK(addressed(key));
        }
    }
    for (size_t i = 0; i < cczi_fields_len; i++)
        memset(seen + cczi_fields[i].offset, true, cczi_fields[i].size);
    mark_unaddressed(seen);
    size_t run = 0;
    for (size_t i = 0; i < sizeof(seen); i++) {
        run = seen[i] ? 0 : run + 1; /* up to 7 bytes may be padding */
        if (run >= 8)
            fprintf(stderr, "no field for the claim at byte %zu\n", i - 7);
        CHECK(run < 8);
    }
}

static void test_lists(void)
{
    struct ccz_claims good = good_claims(CCZ_TEE_SGX), bad = good;
    const char *two = "\"fmspc\":[\"a0a1a2a3a4a5\",\"010203040506\"],\"isv_prod_id\":[1,2,3]";
    bad.fmspc[0] = 9;
    check_field(CCZ_TEE_SGX, two, &good, &bad, "policy:fmspc");
    CHECK(strcmp(err.got, "090203040506") == 0 &&
          strcmp(err.expected, "a0a1a2a3a4a5 or 1 other") == 0);
    CHECK(strstr(err.msg, "rule \"r\"") != NULL && strstr(err.msg, "fmspc") != NULL);
    bad = good;
    bad.isv_prod_id = 4;
    check_field(CCZ_TEE_SGX, two, &good, &bad, "policy:isv_prod_id");
    CHECK(strcmp(err.got, "4") == 0 && strcmp(err.expected, "1 or 2 others") == 0);
    bad.isv_prod_id = 0x0103; /* not compared by its low byte */
    check_field(CCZ_TEE_SGX, two, &good, &bad, "policy:isv_prod_id");
    good.fmspc[0] = 0xa0, good.fmspc[1] = 0xa1,
    good.fmspc[2] = 0xa2; /* first half of one, rest of the other */
    CCZ_AUTO(ccz_policy) p = one_rule(CCZ_TEE_SGX, two);
    CHECK(refuses(p, &good, "policy:fmspc"));
}

static void test_minimum(void)
{
    struct ccz_claims good = good_claims(CCZ_TEE_SGX), bad = good;
    good.isv_svn = 0x0100; /* both bytes count */
    bad.isv_svn = 0x00ff;
    check_field(CCZ_TEE_SGX, "\"isv_svn\":{\"min\":256}", &good, &bad, "policy:isv_svn");
    CHECK(strcmp(err.got, "255") == 0 && strcmp(err.expected, "at least 256") == 0 &&
          err.hint[0] != 0);
    good.isv_svn = 65535;
    check_field(CCZ_TEE_SGX, "\"isv_svn\":{\"min\":65535}", &good, &bad, "policy:isv_svn");
    good.tcb_eval_number = 0x10000;
    bad.tcb_eval_number = 0xffff;
    bad.isv_svn = 65535;
    check_field(CCZ_TEE_SGX, "\"tcb_eval_number\":{\"min\":65536}", &good, &bad,
                "policy:tcb_eval_number");
}

/* Values, ranges and lists of both. */
static void test_ranges(void)
{
    struct ccz_claims good = good_claims(CCZ_TEE_SGX), bad = good;
    bad.isv_prod_id = 10;
    good.isv_prod_id = 9;
    check_field(CCZ_TEE_SGX, "\"isv_prod_id\":{\"max\":9}", &good, &bad, "policy:isv_prod_id");
    CHECK(strcmp(err.expected, "at most 9") == 0);
    check_field(CCZ_TEE_SGX, "\"isv_prod_id\":{\"min\":9,\"max\":9}", &good, &bad,
                "policy:isv_prod_id");
    CHECK(strcmp(err.expected, "9") == 0);
    check_field(CCZ_TEE_SGX, "\"isv_prod_id\":[{\"min\":2,\"max\":9},30,{\"min\":40}]", &good, &bad,
                "policy:isv_prod_id");
    CHECK(strcmp(err.expected, "2 to 9 or 2 others") == 0);
    bad.isv_prod_id = 1;
    check_field(CCZ_TEE_SGX, "\"isv_prod_id\":[{\"min\":2,\"max\":9},30,{\"min\":40}]", &good, &bad,
                "policy:isv_prod_id");
    good.isv_prod_id = 41, bad.isv_prod_id = 39;
    check_field(CCZ_TEE_SGX, "\"isv_prod_id\":[{\"min\":2,\"max\":9},30,{\"min\":40}]", &good, &bad,
                "policy:isv_prod_id");
    good = bad = good_claims(CCZ_TEE_SGX);
    bad.isv_svn = 6; /* an SVN may be pinned exactly as well */
    check_field(CCZ_TEE_SGX, "\"isv_svn\":5", &good, &bad, "policy:isv_svn");
    good = bad = good_claims(CCZ_TEE_SNP);
    bad.snp.cpuid_model = 0x12; /* claims of one byte */
    check_field(CCZ_TEE_SNP, "\"cpuid_model\":{\"max\":17}", &good, &bad, "policy:cpuid_model");
}

/* SVNs by component: equal, or each at least. */
static void test_svns(void)
{
    struct ccz_claims good = good_claims(CCZ_TEE_TDX), bad = good;
    const char *min = "\"tee_tcb_svn\":{\"min\":\"030405060708090a0b0c0d0e0f101112\"}";
    const char *exact = "\"tee_tcb_svn\":[\"030405060708090a0b0c0d0e0f101112\","
                        "\"00000000000000000000000000000000\"]";
    bad.tee_tcb_svn[15]--;
    bad.tee_tcb_svn[0] = 255; /* one high component does not make up for a low one */
    check_field(CCZ_TEE_TDX, min, &good, &bad, "policy:tee_tcb_svn");
    CHECK(strcmp(err.expected, "each byte at least 030405060708090a0b0c0d0e0f101112") == 0);
    bad = good;
    bad.tee_tcb_svn[3]++;
    check_field(CCZ_TEE_TDX, exact, &good, &bad, "policy:tee_tcb_svn");
    CCZ_AUTO(ccz_policy) p = one_rule(CCZ_TEE_TDX, min);
    CHECK(accepts_at(p, &bad, NOW));
}

/* TCB versions of AMD: what a rule says of a component, and what it leaves out. */
static void test_snp_tcb(void)
{
    struct ccz_claims good = good_claims(CCZ_TEE_SNP), bad = good;
    CCZ_AUTO(ccz_policy) p = one_rule(CCZ_TEE_SNP, "");
    bad.snp.reported_tcb = (struct ccz_snp_tcb){0, 255, 255, 21, 212};
    CHECK(refuses(p, &bad, "policy:reported_tcb") && strcmp(err.got, "snp 21, microcode 212") == 0);
    CHECK(strcmp(err.expected, "fmc 0, boot_loader at least 4, tee at least 2, snp at least 22, "
                               "microcode at least 213") == 0 &&
          err.hint[0]);
    bad = good;
    bad.snp.reported_tcb.fmc = 1; /* a component that the rule does not know of */
    CHECK(refuses(p, &bad, "policy:reported_tcb") && strcmp(err.got, "fmc 1") == 0);
    bad = good;
    bad.snp.product = CCZ_SNP_GENOA; /* the same numbers mean other firmware there */
    CHECK(refuses(p, &bad, "policy:product") && strcmp(err.got, "Genoa") == 0);
    bad = good;
    bad.snp.launch_tcb.microcode = 210;
    bad.snp.launch_tcb.snp = 1; /* not named, not judged */
    check_field(CCZ_TEE_SNP, "\"launch_tcb\":{\"microcode\":[{\"min\":220},211]}", &good, &bad,
                "policy:launch_tcb");
    CHECK(strcmp(err.got, "microcode 210") == 0 &&
          strcmp(err.expected, "microcode at least 220 or 1 other") == 0);
    bad = good;
    bad.snp.committed_tcb.boot_loader = 4;
    check_field(CCZ_TEE_SNP, "\"committed_tcb\":{\"boot_loader\":3,\"tee\":{\"max\":2}}", &good,
                &bad, "policy:committed_tcb");
    struct ccz_claims turin = good;
    turin.snp.product = CCZ_SNP_TURIN;
    turin.snp.reported_tcb.fmc = 1;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 65536);
    CHECK(ccz_policy_draft(&text, &turin, &err) == CCZ_OK);
    CCZ_AUTO(ccz_policy) t = NULL;
    CHECK(ccz_policy_parse(&t, ccz_buf_span(&text), &err) == CCZ_OK && accepts_at(t, &turin, NOW));
    turin.snp.reported_tcb.fmc = 0;
    CHECK(refuses(t, &turin, "policy:reported_tcb"));
}

static void test_versions(void)
{
    struct ccz_claims good = good_claims(CCZ_TEE_SNP), bad = good;
    const char *rule = "\"current_version\":{\"min\":\"1.55.30\"}";
    bad.snp.current_version = (struct ccz_snp_version){1, 54, 255}; /* minor before build */
    check_field(CCZ_TEE_SNP, rule, &good, &bad, "policy:current_version");
    CHECK(strcmp(err.got, "1.54.255") == 0 && strcmp(err.expected, "at least 1.55.30") == 0);
    good.snp.current_version = (struct ccz_snp_version){2, 0, 0};
    check_field(CCZ_TEE_SNP, rule, &good, &bad, "policy:current_version");
    rule = "\"current_version\":[\"1.0.0\",{\"min\":\"2.0.0\",\"max\":\"2.1.255\"}]";
    bad.snp.current_version = (struct ccz_snp_version){2, 2, 0};
    check_field(CCZ_TEE_SNP, rule, &good, &bad, "policy:current_version");
    CHECK(strcmp(err.expected, "1.0.0 or 1 other") == 0);
    bad = good_claims(CCZ_TEE_SNP);
    good = bad;
    good.snp.committed_version.build = 20;
    check_field(CCZ_TEE_SNP, "\"committed_version\":{\"max\":\"1.55.20\"}", &good, &bad,
                "policy:committed_version");
    CHECK(strcmp(err.expected, "at most 1.55.20") == 0);
}

/* Names: product lines, signing keys, statuses of the parts, the provider. */
static void test_names(void)
{
    struct ccz_claims good = good_claims(CCZ_TEE_SNP), bad = good;
    bad.snp.signer = CCZ_SNP_VLEK;
    check_field(CCZ_TEE_SNP, "\"signer\":\"vcek\"", &good, &bad, "policy:signer");
    CHECK(strcmp(err.got, "vlek") == 0 && strcmp(err.expected, "vcek") == 0);
    bad.snp.signer = CCZ_SNP_SIGNER_NONE;
    check_field(CCZ_TEE_SNP, "\"signer\":[\"vcek\",\"vlek\"]", &good, &bad, "policy:signer");
    bad = good;
    bad.snp.csp_id[0] = 'X';
    check_field(CCZ_TEE_SNP, "\"csp_id\":[\"a\",\"CN=cc-us-east-2.amazonaws.com\"]", &good, &bad,
                "policy:csp_id");
    CHECK(strcmp(err.expected, "\"a\" or 1 other") == 0);
    bad.snp.csp_id[0] = 0; /* of a VCEK */
    check_field(CCZ_TEE_SNP, "\"csp_id\":\"CN=cc-us-east-2.amazonaws.com\"", &good, &bad,
                "policy:csp_id");
    good = bad = good_claims(CCZ_TEE_TDX);
    bad.module_status = CCZ_TCB_NONE;
    check_field(CCZ_TEE_TDX, "\"module_status\":[\"UpToDate\"]", &good, &bad,
                "policy:module_status");
    bad = good;
    bad.qe_status = CCZ_TCB_OUT_OF_DATE;
    check_field(CCZ_TEE_TDX, "\"qe_status\":[\"UpToDate\"]", &good, &bad, "policy:qe_status");
    bad = good;
    bad.platform_status = CCZ_TCB_REVOKED;
    check_field(CCZ_TEE_TDX, "\"platform_status\":[\"UpToDate\",\"OutOfDate\"]", &good, &bad,
                "policy:platform_status");
}

static void test_mask(void)
{
    struct ccz_claims good = good_claims(CCZ_TEE_SGX), bad = good;
    const char *rule =
        "\"attributes\":{\"mask\":\"0500000000000080\",\"value\":\"0500000000000000\"}";
    good.attributes[0] = 0x95; /* bits outside the mask do not matter */
    bad.attributes[0] = 0x04;
    check_field(CCZ_TEE_SGX, rule, &good, &bad, "policy:attributes");
    CHECK(strcmp(err.expected, "0500000000000000 under mask 0500000000000080") == 0);
    bad = good;
    bad.attributes[7] = 0x80;
    check_field(CCZ_TEE_SGX, rule, &good, &bad, "policy:attributes");
}

static void test_sim(void)
{
    struct ccz_claims c = good_claims(CCZ_TEE_SGX);
    CCZ_AUTO(ccz_policy) strict = one_rule(CCZ_TEE_SGX, "");
    CCZ_AUTO(ccz_policy) no = one_rule(CCZ_TEE_SGX, "\"sim\":false");
    CCZ_AUTO(ccz_policy) yes = one_rule(CCZ_TEE_SGX, "\"sim\":true");
    CHECK(accepts_at(strict, &c, NOW) && accepts_at(no, &c, NOW) && accepts_at(yes, &c, NOW));
    c.simulated = true;
    CHECK(accepts_at(yes, &c, NOW));
    CHECK(refuses(no, &c, "policy:sim") && refuses(strict, &c, "policy:sim"));
    CHECK(err.hint[0] && strstr(err.hint, "software TEE") != NULL);
}

static void test_debug(void)
{
    for (int tdx = 0; tdx < 2; tdx++) {
        enum ccz_tee tee = tdx ? CCZ_TEE_TDX : CCZ_TEE_SGX;
        struct ccz_claims c = good_claims(tee);
        c.debug = true;
        if (tdx)
            c.td_attributes[0] |= 1;
        else
            c.attributes[0] |= 2;
        CCZ_AUTO(ccz_policy) strict = one_rule(tee, "");
        CCZ_AUTO(ccz_policy) no = one_rule(tee, "\"debug\":false");
        CCZ_AUTO(ccz_policy) yes = one_rule(tee, "\"debug\":true");
        CHECK(refuses(strict, &c, "policy:debug") && err.hint[0] != 0);
        CHECK(refuses(no, &c, "policy:debug") && accepts_at(yes, &c, NOW));
    }
}

/* What an SGX rule means when it says nothing: MRENCLAVE does not cover ATTRIBUTES, and whoever signs
 * the same pages anew chooses them. */
static void test_sgx_defaults(void)
{
    struct ccz_claims good = good_claims(CCZ_TEE_SGX), c = good;
    CCZ_AUTO(ccz_policy) p = one_rule(CCZ_TEE_SGX, "");
    CHECK(accepts_at(p, &good, NOW));
    for (unsigned bit = 0; bit < 64;
         bit++) { /* DEBUG has a field; CET, KSS, AEX-Notify are features */
        c = good;
        c.attributes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (bit == 1 || bit == 6 || bit == 7 || bit == 10)
            CHECK(accepts_at(p, &c, NOW));
        else
            CHECK(refuses(p, &c, "policy:attributes") && err.hint[0] != 0);
    }
    CCZ_AUTO(ccz_policy)
    any = one_rule(CCZ_TEE_SGX,
                   "\"attributes\":{\"mask\":\"0000000000000000\",\"value\":\"0000000000000000\"}");
    CHECK(accepts_at(any, &c, NOW)); /* said aloud, it replaces the default */
}

/* What a TDX rule means when it says nothing. */
static void test_td_defaults(void)
{
    struct ccz_claims good = good_claims(CCZ_TEE_TDX), c = good;
    CCZ_AUTO(ccz_policy) p = one_rule(CCZ_TEE_TDX, "");
    CHECK(accepts_at(p, &good, NOW));
    c.mrservicetd[47] = 1;
    CHECK(refuses(p, &c, "policy:mrservicetd") && err.hint[0] != 0);
    for (unsigned bit = 0; bit < 64;
         bit++) { /* DEBUG has a field of its own; PKS, KL, PERFMON are features */
        c = good;
        c.td_attributes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (bit == 0 || bit == 30 || bit == 31 || bit == 63)
            CHECK(accepts_at(p, &c, NOW));
        else
            CHECK(refuses(p, &c, "policy:td_attributes"));
    }
    CCZ_AUTO(ccz_policy)
    any = one_rule(
        CCZ_TEE_TDX,
        "\"td_attributes\":{\"mask\":\"0000000000000000\",\"value\":\"0000000000000000\"}");
    CHECK(accepts_at(any, &c, NOW)); /* said aloud, it replaces the default */
}

/* What an SNP rule means when it says nothing. */
static void test_snp_defaults(void)
{
    struct ccz_claims good = good_claims(CCZ_TEE_SNP), c = good;
    CCZ_AUTO(ccz_policy) p = one_rule(CCZ_TEE_SNP, "");
    CHECK(accepts_at(p, &good, NOW));
    c.debug = true;
    CHECK(refuses(p, &c, "policy:debug"));
    c = good;
    c.revocation_checked = false;
    CHECK(refuses(p, &c, "policy:unchecked_revocation") && strcmp(err.got, "true") == 0 &&
          strcmp(err.expected, "false") == 0 && err.hint[0]);
    CCZ_AUTO(ccz_policy) unchecked = one_rule(CCZ_TEE_SNP, "\"unchecked_revocation\":true");
    CHECK(accepts_at(unchecked, &c, NOW) && accepts_at(unchecked, &good, NOW));
    c = good;
    c.simulated = true;
    CHECK(refuses(p, &c, "policy:sim"));
    c = good;
    c.snp.vmpl = 1;
    CHECK(refuses(p, &c, "policy:vmpl") && err.hint[0]);
    CCZ_AUTO(ccz_policy) vmpl = one_rule(CCZ_TEE_SNP, "\"vmpl\":{\"max\":2}");
    CHECK(accepts_at(vmpl, &c, NOW));
    c = good;
    c.snp.report_id_ma[31] = 0;
    CHECK(refuses(p, &c, "policy:report_id_ma") && err.hint[0]);
    for (unsigned bit = 0; bit < 64; bit++) { /* 19 is DEBUG; ABI, SMT and restrictions are free */
        c = good;
        c.snp.guest_policy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (bit == 17 || bit == 18 || bit == 21 || bit >= 26)
            CHECK(refuses(p, &c, "policy:guest_policy") && err.hint[0]);
        else
            CHECK(accepts_at(p, &c, NOW));
    }
    CCZ_AUTO(ccz_policy)
    any =
        one_rule(CCZ_TEE_SNP,
                 "\"guest_policy\":{\"mask\":\"0000000000000000\",\"value\":\"0000000000000000\"}");
    CHECK(accepts_at(any, &c, NOW));
}

/* ------------------------------------------------------------------- status, grace, advisories */

static void test_status(void)
{
    CCZ_AUTO(ccz_policy) strict = one_rule(CCZ_TEE_SGX, "");
    CCZ_AUTO(ccz_policy)
    some = one_rule(CCZ_TEE_SGX, "\"tcb_status\":[\"OutOfDate\",\"SWHardeningNeeded\"]");
    struct ccz_claims c = good_claims(CCZ_TEE_SGX);
    for (int s = CCZ_TCB_NONE; s <= CCZ_TCB_REVOKED + 1; s++) {
        c.tcb_status = (enum ccz_tcb_status)s;
        if (s == CCZ_TCB_UP_TO_DATE)
            CHECK(accepts_at(strict, &c, NOW));
        else
            CHECK(refuses(strict, &c, "policy:tcb_status") &&
                  strcmp(err.expected, "UpToDate") == 0 && err.hint[0]);
        if (s == CCZ_TCB_OUT_OF_DATE || s == CCZ_TCB_SW_HARDENING_NEEDED)
            CHECK(accepts_at(some, &c, NOW));
        else
            CHECK(refuses(some, &c, "policy:tcb_status"));
    }
    CHECK(strcmp(err.expected, "SWHardeningNeeded, OutOfDate") == 0);
    CCZ_AUTO(ccz_policy)
    all = one_rule(CCZ_TEE_SGX, "\"tcb_status\":[\"UpToDate\",\"SWHardeningNeeded\","
                                "\"ConfigurationNeeded\",\"ConfigurationAndSWHardeningNeeded\","
                                "\"OutOfDate\",\"OutOfDateConfigurationNeeded\","
                                "\"TDRelaunchAdvised\",\"TDRelaunchAdvisedConfigurationNeeded\"]");
    for (int s = CCZ_TCB_UP_TO_DATE; s < CCZ_TCB_REVOKED; s++) {
        c.tcb_status = (enum ccz_tcb_status)s;
        CHECK(accepts_at(all, &c, NOW));
    }
    c.tcb_status = CCZ_TCB_REVOKED;
    CHECK(refuses(all, &c, "policy:tcb_status"));
    c.tcb_status = (enum ccz_tcb_status)(64 + CCZ_TCB_UP_TO_DATE); /* no status at all */
    CHECK(refuses(all, &c, "policy:tcb_status"));
}

static void test_grace(void)
{
    struct ccz_claims c = good_claims(CCZ_TEE_SGX);
    c.collateral_expires_s = NOW + 1000000;
    CCZ_AUTO(ccz_policy)
    p = one_rule(CCZ_TEE_SGX,
                 "\"grace\":{\"until\":\"2027-01-15T09:00:00Z\",\"tcb_status\":[\"OutOfDate\"]}");
    struct ccz_verdict v;
    CHECK(ccz_policy_eval(&v, p, &c, NOW, &err) == CCZ_OK && v.grace_until_s == 0); /* not needed */
    c.tcb_status = CCZ_TCB_OUT_OF_DATE;
    CHECK(ccz_policy_eval(&v, p, &c, NOW, &err) == CCZ_OK);
    CHECK(v.accept && strcmp(v.rule, "r") == 0 && v.grace_until_s == NOW + 3600);
    CHECK(accepts_at(p, &c, NOW + 3599));
    CHECK(!accepts_at(p, &c, NOW + 3600) && strcmp(err.where, "policy:tcb_status") == 0);
    CHECK(strcmp(err.expected, "UpToDate (grace ended 2027-01-15T09:00:00Z)") == 0);
    c.tcb_status = CCZ_TCB_CONFIGURATION_NEEDED; /* grace is for the named status only */
    CHECK(refuses(p, &c, "policy:tcb_status") && strcmp(err.expected, "UpToDate") == 0);
}

/* Grace lowers any demand on the platform's health, for a time; never who somebody is. */
static void test_grace_fields(void)
{
    struct ccz_claims c = good_claims(CCZ_TEE_SNP);
    CCZ_AUTO(ccz_policy)
    p = one_rule(CCZ_TEE_SNP,
                 "\"grace\":{\"reported_tcb\":{\"boot_loader\":{\"min\":4},\"tee\":{\"min\":2},"
                 "\"snp\":{\"min\":20},\"microcode\":{\"min\":210}},"
                 "\"until\":\"2027-01-15T08:10:00Z\"}");
    struct ccz_verdict v;
    CHECK(ccz_policy_eval(&v, p, &c, NOW, &err) == CCZ_OK && v.grace_until_s == 0);
    c.snp.reported_tcb.snp = 20;
    CHECK(ccz_policy_eval(&v, p, &c, NOW, &err) == CCZ_OK && v.grace_until_s == NOW + 600);
    CHECK(accepts_at(p, &c, NOW + 599) && !accepts_at(p, &c, NOW + 600));
    CHECK(strcmp(err.where, "policy:reported_tcb") == 0 &&
          strstr(err.expected, " (grace ended 2027-01-15T08:10:00Z)") != NULL);
    c.snp.reported_tcb.snp = 19;
    CHECK(refuses(p, &c, "policy:reported_tcb"));
    struct ccz_claims sgx = good_claims(CCZ_TEE_SGX);
    CCZ_AUTO(ccz_policy)
    svn = one_rule(CCZ_TEE_SGX, "\"isv_svn\":{\"min\":6},\"tcb_eval_number\":{\"min\":18},"
                                "\"grace\":{\"until\":\"2027-01-15T09:00:00Z\","
                                "\"isv_svn\":{\"min\":5},\"tcb_eval_number\":{\"min\":17}}");
    CHECK(accepts_at(svn, &sgx, NOW));
    sgx.tcb_status = CCZ_TCB_OUT_OF_DATE; /* not among what is granted */
    CHECK(refuses(svn, &sgx, "policy:tcb_status"));
    sgx.tcb_status = CCZ_TCB_UP_TO_DATE;
    sgx.isv_svn = 4;
    CHECK(refuses(svn, &sgx, "policy:isv_svn"));
}

static void test_advisories(void)
{
    struct ccz_claims none = good_claims(CCZ_TEE_SGX), a = none, ab = none;
    a.advisory_len = 1;
    (void)snprintf(a.advisory[0], CCZ_ADVISORY_SIZE, "INTEL-SA-00001");
    ab.advisory_len = 2;
    (void)snprintf(ab.advisory[0], CCZ_ADVISORY_SIZE, "INTEL-SA-00001");
    (void)snprintf(ab.advisory[1], CCZ_ADVISORY_SIZE, "INTEL-SA-00002");
    check_field(CCZ_TEE_SGX, "\"advisories\":{\"allow\":[\"INTEL-SA-00001\"]}", &a, &ab,
                "policy:advisories");
    CHECK(strcmp(err.got, "INTEL-SA-00002") == 0);
    check_field(CCZ_TEE_SGX, "\"advisories\":{\"deny\":[\"INTEL-SA-00002\"]}", &a, &ab,
                "policy:advisories");
    check_field(CCZ_TEE_SGX, "\"advisories\":{\"allow\":[]}", &none, &a, "policy:advisories");
    check_field(CCZ_TEE_SGX,
                "\"advisories\":{\"deny\":[\"INTEL-SA-00002\"],\"allow\":[\"INTEL-SA-00001\"]}", &a,
                &ab, "policy:advisories");
    /* on both lists: denied */
    check_field(CCZ_TEE_SGX,
                "\"advisories\":{\"deny\":[\"INTEL-SA-00001\"],\"allow\":[\"INTEL-SA-00001\"]}",
                &none, &a, "policy:advisories");
    CCZ_AUTO(ccz_policy) silent = one_rule(CCZ_TEE_SGX, ""); /* the status already judges them */
    CHECK(accepts_at(silent, &ab, NOW));
}

static void test_times(void)
{
    struct ccz_claims good = good_claims(CCZ_TEE_SGX), bad = good;
    good.tcb_date_s = INT64_C(1735689600); /* 2025-01-01 */
    bad.tcb_date_s = good.tcb_date_s - 1;
    check_field(CCZ_TEE_SGX, "\"tcb_date\":{\"min\":\"2025-01-01T00:00:00Z\"}", &good, &bad,
                "policy:tcb_date");
    CHECK(strcmp(err.got, "2024-12-31T23:59:59Z") == 0 &&
          strcmp(err.expected, "2025-01-01T00:00:00Z or later") == 0);
    bad = good;
    bad.collateral_issued_s--;
    check_field(CCZ_TEE_SGX, "\"collateral_max_age_s\":1000", &good, &bad,
                "policy:collateral_max_age_s");
    CHECK(strcmp(err.got, "1001") == 0 && strcmp(err.expected, "at most 1000") == 0);
}

/* --------------------------------------------------------------------------------- many rules */

static void test_rules(void)
{
    static const char text[] =
        "{\"version\":1,\"description\":\"two\",\"rules\":["
        "{\"name\":\"other\",\"tee\":\"sgx\",\"mrenclave\":"
        "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"},"
        "{\"name\":\"td\",\"tee\":\"tdx\"," MRTD "},"
        "{\"name\":\"by signer\",\"tee\":\"sgx\",\"description\":\"releases\"," MRSIGNER
        ",\"isv_prod_id\":3,\"isv_svn\":{\"min\":5}}]}";
    CCZ_AUTO(ccz_policy) p = NULL;
    CHECK(ccz_policy_parse(&p, ccz_span_str(text), &err) == CCZ_OK);
    struct ccz_claims sgx = good_claims(CCZ_TEE_SGX), tdx = good_claims(CCZ_TEE_TDX);
    struct ccz_verdict v;
    CHECK(ccz_policy_eval(&v, p, &sgx, NOW, &err) == CCZ_OK && strcmp(v.rule, "by signer") == 0);
    CHECK(ccz_policy_eval(&v, p, &tdx, NOW, &err) == CCZ_OK && strcmp(v.rule, "td") == 0);
    sgx.isv_svn = 4; /* the rule that came furthest is the one reported, wherever it stands */
    CHECK(refuses(p, &sgx, "policy:isv_svn") && strstr(err.msg, "\"by signer\"") != NULL);
    sgx.mrsigner[0] = 0;
    CHECK(refuses(p, &sgx, "policy:mrsigner"));
    tdx.tcb_status = CCZ_TCB_OUT_OF_DATE;
    CHECK(refuses(p, &tdx, "policy:tcb_status") && strstr(err.msg, "\"td\"") != NULL);
    sgx.simulated = true; /* equally far: the first */
    CHECK(refuses(p, &sgx, "policy:sim") && strstr(err.msg, "\"other\"") != NULL);
    tdx.tee = CCZ_TEE_SNP;
    CHECK(refuses(p, &tdx, "policy:tee"));
}

/* What may be told of a refusal to who may not read the policy: the whole claim, whatever a rule objects to in it. */
static void check_told(const struct ccz_claims *c, const char *more, const char *where,
                       const char *claim, bool part)
{
    CCZ_AUTO(ccz_policy) p = one_rule(c->tee, more);
    struct ccz_verdict v;
    CCZ_AUTO_BUF told;
    ccz_buf_init(&told, 1024);
    CHECK(ccz_policy_eval(&v, p, c, NOW, &err) == CCZ_E_POLICY && strcmp(err.where, where) == 0);
    CHECK(!v.accept && strcmp(v.nearest, "r") == 0);
    ccz_policy_claim(&told, err.where, c, NOW);
    CHECK(strcmp(ccz_buf_str(&told), claim) == 0);
    CHECK((strcmp(err.got, claim) != 0) == part);
}

static void test_told(void)
{
    struct ccz_claims sgx = good_claims(CCZ_TEE_SGX), snp = good_claims(CCZ_TEE_SNP);
    sgx.advisory_len = 2;
    (void)snprintf(sgx.advisory[0], CCZ_ADVISORY_SIZE, "INTEL-SA-00001");
    (void)snprintf(sgx.advisory[1], CCZ_ADVISORY_SIZE, "INTEL-SA-00002");
    check_told(&sgx, "\"advisories\":{\"allow\":[\"INTEL-SA-00001\"]}", "policy:advisories",
               "INTEL-SA-00001, INTEL-SA-00002", true);
    check_told(&sgx, "\"collateral_max_age_s\":0", "policy:collateral_max_age_s", "1000", false);
    snp.snp.committed_tcb = (struct ccz_snp_tcb){0, 1, 2, 3, 4};
    check_told(&snp, "\"committed_tcb\":{\"snp\":{\"min\":9}}", "policy:committed_tcb",
               "boot_loader 1, tee 2, snp 3, microcode 4", true);
    sgx.tcb_status = CCZ_TCB_OUT_OF_DATE;
    check_told(&sgx, "", "policy:tcb_status", "OutOfDate", false);
    CCZ_AUTO_BUF told;
    ccz_buf_init(&told, 1024);
    ccz_policy_claim(&told, "policy:tee", &sgx, NOW);
    CHECK(strcmp(ccz_buf_str(&told), "sgx") == 0);
    ccz_buf_clear(&told);
    ccz_policy_claim(&told, "policy:empty", &sgx, NOW);
    ccz_policy_claim(&told, "policy:collateral-expired", &sgx, NOW);
    ccz_policy_claim(&told, "kms:unbound", &sgx, NOW);
    ccz_policy_claim(&told, "", &sgx, NOW);
    CHECK(told.size == 0);
    CCZ_AUTO(ccz_policy) p = NULL;
    struct ccz_verdict v;
    CHECK(ccz_policy_parse(&p, ccz_span_str("{}"), &err) == CCZ_OK);
    CHECK(ccz_policy_eval(&v, p, &sgx, NOW, &err) == CCZ_E_POLICY && v.nearest[0] == 0);
}

/* --------------------------------------------------------------------------------------- drafts */

static void test_draft(void)
{
    for (int tdx = 0; tdx < 2; tdx++) {
        struct ccz_claims c = good_claims(tdx ? CCZ_TEE_TDX : CCZ_TEE_SGX);
        c.tcb_status = CCZ_TCB_SW_HARDENING_NEEDED;
        c.advisory_len = 2;
        (void)snprintf(c.advisory[0], CCZ_ADVISORY_SIZE, "INTEL-SA-00001");
        (void)snprintf(c.advisory[1], CCZ_ADVISORY_SIZE, "quote\"and\\more");
        CCZ_AUTO_BUF text;
        ccz_buf_init(&text, 65536);
        CHECK(ccz_policy_draft(&text, &c, &err) == CCZ_OK);
        CCZ_AUTO(ccz_policy) p = NULL;
        CHECK(ccz_policy_parse(&p, ccz_buf_span(&text), &err) == CCZ_OK);
        CHECK(accepts_at(p, &c, NOW));
        CHECK(strstr(ccz_buf_str(&text), "\"sim\"") == NULL);
        struct ccz_claims other = c;
        other.simulated = true;
        CHECK(refuses(p, &other, "policy:sim"));
        ccz_buf_clear(&text);
        CHECK(ccz_policy_draft(&text, &other, &err) == CCZ_OK &&
              strstr(ccz_buf_str(&text), "\"sim\": true") != NULL);
        other = c;
        other.tcb_eval_number--;
        CHECK(refuses(p, &other, "policy:tcb_eval_number"));
        other = c;
        (tdx ? other.mrtd : other.mrenclave)[0] ^= 1;
        CHECK(refuses(p, &other, tdx ? "policy:mrtd" : "policy:mrenclave"));
        other = c;
        (void)snprintf(other.advisory[1], CCZ_ADVISORY_SIZE, "INTEL-SA-00003");
        CHECK(refuses(p, &other, "policy:advisories"));
    }
}

static void test_draft_snp(void)
{
    struct ccz_claims c = good_claims(CCZ_TEE_SNP), other = c;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 65536);
    c.snp.csp_id[0] = 0;
    CHECK(ccz_policy_draft(&text, &c, &err) == CCZ_OK);
    CHECK(strstr(ccz_buf_str(&text), "csp_id") == NULL &&
          strstr(ccz_buf_str(&text), "unchecked_revocation") == NULL);
    CCZ_AUTO(ccz_policy) p = NULL;
    CHECK(ccz_policy_parse(&p, ccz_buf_span(&text), &err) == CCZ_OK && accepts_at(p, &c, NOW));
    other.snp.reported_tcb.tee--;
    CHECK(refuses(p, &other, "policy:reported_tcb"));
    other = c;
    other.snp.reported_tcb.tee++;
    CHECK(accepts_at(p, &other, NOW));
    other.snp.guest_policy[2] ^= 1; /* the very policy it was started with */
    CHECK(refuses(p, &other, "policy:guest_policy"));
    other = c;
    other.snp.signer = CCZ_SNP_VLEK;
    CHECK(refuses(p, &other, "policy:signer"));
    c.revocation_checked = false;
    (void)snprintf(c.snp.csp_id, sizeof(c.snp.csp_id), "CN=\"x\"");
    ccz_buf_clear(&text);
    CHECK(ccz_policy_draft(&text, &c, &err) == CCZ_OK);
    CHECK(strstr(ccz_buf_str(&text), "\"csp_id\": \"CN=\\\"x\\\"\"") != NULL &&
          strstr(ccz_buf_str(&text), "\"unchecked_revocation\": true") != NULL);
    CCZ_AUTO(ccz_policy) q = NULL;
    CHECK(ccz_policy_parse(&q, ccz_buf_span(&text), &err) == CCZ_OK && accepts_at(q, &c, NOW));
}

static void test_draft_refuse(void)
{
    struct ccz_claims c = good_claims(CCZ_TEE_SGX);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 65536);
    c.debug = true;
    CHECK(ccz_policy_draft(&b, &c, &err) == CCZ_E_POLICY &&
          strcmp(err.where, "policy:draft-debug") == 0 && err.hint[0]);
    c.debug = false;
    c.tcb_status = CCZ_TCB_REVOKED;
    CHECK(ccz_policy_draft(&b, &c, &err) == CCZ_E_POLICY &&
          strcmp(err.where, "policy:draft-status") == 0);
    c.tcb_status = CCZ_TCB_NONE;
    CHECK(ccz_policy_draft(&b, &c, &err) == CCZ_E_POLICY);
    c.tcb_status = CCZ_TCB_UP_TO_DATE;
    c.tee = CCZ_TEE_SNP; /* without a product line */
    CHECK(ccz_policy_draft(&b, &c, &err) == CCZ_E_POLICY &&
          strcmp(err.where, "policy:draft-signer") == 0);
    c.tee = (enum ccz_tee)(CCZ_TEE_SNP + 1);
    CHECK(ccz_policy_draft(&b, &c, &err) == CCZ_E_POLICY &&
          strcmp(err.where, "policy:draft-tee") == 0);
    CHECK(ccz_policy_draft(&b, &(struct ccz_claims){0}, NULL) == CCZ_E_POLICY && b.size == 0);
    CCZ_AUTO_BUF small;
    ccz_buf_init(&small, 100);
    c = good_claims(CCZ_TEE_TDX);
    CHECK(ccz_policy_draft(&small, &c, &err) == CCZ_E_LIMIT && small.size == 0);
}

static const struct ccz_test tests[] = {
    {"policy.empty", test_empty},
    {"policy.zeroed_claims", test_zeroed_claims},
    {"policy.expired", test_expired},
    {"policy.fields", test_fields},
    {"policy.addressable", test_addressable},
    {"policy.lists", test_lists},
    {"policy.minimum", test_minimum},
    {"policy.ranges", test_ranges},
    {"policy.svns", test_svns},
    {"policy.snp_tcb", test_snp_tcb},
    {"policy.versions", test_versions},
    {"policy.names", test_names},
    {"policy.mask", test_mask},
    {"policy.sim", test_sim},
    {"policy.debug", test_debug},
    {"policy.sgx_defaults", test_sgx_defaults},
    {"policy.td_defaults", test_td_defaults},
    {"policy.snp_defaults", test_snp_defaults},
    {"policy.status", test_status},
    {"policy.grace", test_grace},
    {"policy.grace_fields", test_grace_fields},
    {"policy.advisories", test_advisories},
    {"policy.times", test_times},
    {"policy.rules", test_rules},
    {"policy.told", test_told},
    {"policy.draft", test_draft},
    {"policy.draft_snp", test_draft_snp},
    {"policy.draft_refuse", test_draft_refuse},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
