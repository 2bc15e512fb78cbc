/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_priv.h"

#include "ccz_test.h"

#define NOW INT64_C(1800000000) /* 2027-01-15T08:00:00Z */

static struct ccz_err err;

/* ------------------------------------------------------------------------------------ helpers */

/* Claims in which every byte that a rule can name has a value of its own. */
static struct ccz_claims good_claims(enum ccz_tee tee)
{
    struct ccz_claims c = {.tee = tee,
                           .tcb_status = CCZ_TCB_UP_TO_DATE,
                           .tcb_date_s = NOW - 1000000,
                           .tcb_eval_number = 17,
                           .collateral_issued_s = NOW - 1000,
                           .collateral_expires_s = NOW + 1000,
                           .qe_isv_svn = 8,
                           .fmspc = {1, 2, 3, 4, 5, 6},
                           .ppid = {7, [15] = 8}};
    if (tee == CCZ_TEE_SGX) {
        c.isv_prod_id = 3;
        c.isv_svn = 5;
        c.config_svn = 2;
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
    c.td_attributes[3] = 0x10;
    c.xfam[0] = 0xe7;
    return c;
}

#define MRENCLAVE                                                                                  \
    "\"mrenclave\":\"1111111111111111111111111111111111111111111111111111111111111111\""
#define MRSIGNER "\"mrsigner\":\"2222222222222222222222222222222222222222222222222222222222222222\""
#define MRTD                                                                                       \
    "\"mrtd\":\"666666666666666666666666666666666666666666666666"                                  \
    "666666666666666666666666666666666666666666666666\""

/* A policy of one rule pinned to good_claims(), with `more` members behind. */
static struct ccz_policy *one_rule(enum ccz_tee tee, const char *more)
{
    struct ccz_policy *p = NULL;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_POLICY_SIZE_MAX);
    ccz_buf_printf(&text, "{\"version\":1,\"rules\":[{\"name\":\"r\",\"tee\":\"%s\",%s%s%s}]}",
                   ccz_tee_name(tee), tee == CCZ_TEE_SGX ? MRENCLAVE : MRTD, more[0] ? "," : "",
                   more);
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

/* Every line of the table that can be drafted from claims: the drafted value accepts them, and the
 * claim with its first or last byte changed (or one less, for a minimum) is refused under the
 * field's own name. */
static void test_fields(void)
{
    size_t tested = 0;
    for (size_t i = 0; i < cczi_fields_len; i++) {
        const struct cczi_field *f = &cczi_fields[i];
        bool minimum = f->kind == &cczi_kind_minimum;
        if (f->kind != &cczi_kind_bytes && f->kind != &cczi_kind_mask &&
            f->kind != &cczi_kind_number && !minimum)
            continue;
        enum ccz_tee tee = f->tees & 1u << CCZ_TEE_SGX ? CCZ_TEE_SGX : CCZ_TEE_TDX;
        struct ccz_claims good = good_claims(tee);
        char where[64];
        (void)snprintf(where, sizeof(where), "policy:%s", f->name);
        CCZ_AUTO_BUF more;
        ccz_buf_init(&more, 4096);
        bool pinned = strcmp(f->name, "mrenclave") == 0 || strcmp(f->name, "mrtd") == 0;
        if (!pinned) {
            ccz_buf_printf(&more, "\"%s\":", f->name);
            f->kind->draft(&more, f, &good);
        }
        for (size_t at = 0; at < f->size; at += f->size - 1) {
            struct ccz_claims bad = good;
            uint8_t *claim = (uint8_t *)&bad + f->offset;
            if (minimum)
                claim[0]--; /* all minima of good_claims() are 2 to 255 */
            else
                claim[at] ^= 0x80;
            check_field(tee, ccz_buf_str(&more), &good, &bad, where);
        }
        tested++;
    }
    CHECK(tested >= 25);
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

/* ------------------------------------------------------------------------------------- parsing */

#define RULE(members)  "{\"version\":1,\"rules\":[{" members "}]}"
#define SGX_RULE(more) RULE("\"name\":\"r\",\"tee\":\"sgx\"," MRENCLAVE more)
#define TDX_RULE(more) RULE("\"name\":\"r\",\"tee\":\"tdx\"," MRTD more)

static const struct {
    const char *text, *where, *path; /* path = how the message begins */
} bad_texts[] = {
    {"", "json:parse", ""},
    {"[]", "policy:type", "policy"},
    {"1", "policy:type", "policy"},
    {"{\"rules\":[]}", "policy:version", "policy"},
    {"{\"version\":2,\"rules\":[]}", "policy:version", "policy"},
    {"{\"version\":\"1\",\"rules\":[]}", "policy:version", "policy"},
    {"{\"version\":1.0,\"rules\":[]}", "policy:version", "policy"},
    {"{\"version\":1,\"rules\":{}}", "policy:type", "policy: rules"},
    {"{\"version\":1,\"rule\":[]}", "policy:unknown-field", "rule:"},
    {"{\"version\":1,\"version\":1}", "json:parse", ""},
    {"{\"version\":1,\"description\":1}", "policy:type", "policy: description"},
    {"{\"version\":1,\"rules\":[1]}", "policy:type", "rules[0]:"},
    {"{\"version\":1,\"rules\":[]}x", "json:parse", ""},
    /* name and tee */
    {RULE("\"tee\":\"sgx\"," MRENCLAVE), "policy:name", "rules[0].name:"},
    {RULE("\"name\":\"\",\"tee\":\"sgx\"," MRENCLAVE), "policy:name", "rules[0].name:"},
    {RULE("\"name\":\"a\\nb\",\"tee\":\"sgx\"," MRENCLAVE), "policy:name", "rules[0].name:"},
    {RULE("\"name\":\"0123456789012345678901234567890123456789012345678901234567890123\",\"tee\":"
          "\"sgx\"," MRENCLAVE),
     "policy:name", "rules[0].name:"},
    {RULE("\"name\":\"r\"," MRENCLAVE), "policy:rule-tee", "rules[0].tee:"},
    {RULE("\"name\":\"r\",\"tee\":\"snp\"," MRENCLAVE), "policy:rule-tee", "rules[0].tee:"},
    {RULE("\"name\":\"r\",\"tee\":\"SGX\"," MRENCLAVE), "policy:rule-tee", "rules[0].tee:"},
    {RULE("\"name\":\"r\",\"tee\":1," MRENCLAVE), "policy:rule-tee", "rules[0].tee:"},
    {"{\"version\":1,\"rules\":[{\"name\":\"r\",\"tee\":\"sgx\"," MRENCLAVE
     "},{\"name\":\"r\",\"tee\":\"tdx\"," MRTD "}]}",
     "policy:duplicate", "rules[1].name:"},
    {SGX_RULE(",\"description\":1"), "policy:type", "rules[0]: description"},
    /* unknown, doubled, of the other TEE */
    {SGX_RULE(",\"mrenclvae\":\"00\""), "policy:unknown-field", "rules[0].mrenclvae:"},
    {SGX_RULE(",\"\\u0007\":1"), "policy:unknown-field", "rules[0].\\x07:"},
    {SGX_RULE(",\"sim\":true,\"sim\":false"), "json:parse", ""},
    {SGX_RULE("," MRTD), "policy:tee-field", "rules[0].mrtd:"},
    {SGX_RULE(",\"td_attributes\":{}"), "policy:tee-field", "rules[0].td_attributes:"},
    {TDX_RULE("," MRENCLAVE), "policy:tee-field", "rules[0].mrenclave:"},
    {TDX_RULE(",\"isv_svn\":{\"min\":1}"), "policy:tee-field", "rules[0].isv_svn:"},
    /* flags */
    {SGX_RULE(",\"sim\":1"), "policy:type", "rules[0].sim:"},
    {SGX_RULE(",\"sim\":\"true\""), "policy:type", "rules[0].sim:"},
    {SGX_RULE(",\"debug\":null"), "policy:type", "rules[0].debug:"},
    /* hex values */
    {SGX_RULE(",\"fmspc\":1"), "policy:type", "rules[0].fmspc:"},
    {SGX_RULE(",\"fmspc\":\"00906ed5000\""), "policy:hex", "rules[0].fmspc:"},
    {SGX_RULE(",\"fmspc\":\"00906ed500001\""), "policy:hex", "rules[0].fmspc:"},
    {SGX_RULE(",\"fmspc\":\"00906ed5000000\""), "policy:hex", "rules[0].fmspc:"},
    {SGX_RULE(",\"fmspc\":\"00906ed500zz\""), "policy:hex", "rules[0].fmspc:"},
    {SGX_RULE(",\"fmspc\":\"\""), "policy:hex", "rules[0].fmspc:"},
    {SGX_RULE(",\"fmspc\":[]"), "policy:list", "rules[0].fmspc:"},
    {SGX_RULE(",\"fmspc\":[\"00906ed50000\",7]"), "policy:type", "rules[0].fmspc[1]:"},
    {SGX_RULE(",\"fmspc\":[[\"00906ed50000\"]]"), "policy:type", "rules[0].fmspc[0]:"},
    {SGX_RULE(",\"fmspc\":[\"00906ed50000\",\"00906ED50000\"]"), "policy:duplicate",
     "rules[0].fmspc[1]:"},
    /* numbers */
    {SGX_RULE(",\"isv_prod_id\":\"1\""), "policy:type", "rules[0].isv_prod_id:"},
    {SGX_RULE(",\"isv_prod_id\":1.5"), "policy:type", "rules[0].isv_prod_id:"},
    {SGX_RULE(",\"isv_prod_id\":-1"), "policy:range", "rules[0].isv_prod_id:"},
    {SGX_RULE(",\"isv_prod_id\":65536"), "policy:range", "rules[0].isv_prod_id:"},
    {SGX_RULE(",\"isv_prod_id\":[1,1]"), "policy:duplicate", "rules[0].isv_prod_id[1]:"},
    {SGX_RULE(",\"isv_prod_id\":{\"min\":1}"), "policy:type", "rules[0].isv_prod_id:"},
    {SGX_RULE(",\"isv_svn\":5"), "policy:type", "rules[0].isv_svn:"},
    {SGX_RULE(",\"isv_svn\":{}"), "policy:type", "rules[0].isv_svn.min:"},
    {SGX_RULE(",\"isv_svn\":{\"min\":65536}"), "policy:range", "rules[0].isv_svn.min:"},
    {SGX_RULE(",\"isv_svn\":{\"min\":1,\"max\":2}"), "policy:unknown-field",
     "rules[0].isv_svn.max:"},
    {SGX_RULE(",\"tcb_eval_number\":{\"min\":4294967296}"), "policy:range",
     "rules[0].tcb_eval_number.min:"},
    {SGX_RULE(",\"collateral_max_age_s\":-1"), "policy:range", "rules[0].collateral_max_age_s:"},
    {SGX_RULE(",\"collateral_max_age_s\":\"1d\""), "policy:type", "rules[0].collateral_max_age_s:"},
    /* masks */
    {SGX_RULE(",\"attributes\":\"05\""), "policy:type", "rules[0].attributes:"},
    {SGX_RULE(",\"attributes\":{\"mask\":\"0500000000000000\"}"), "policy:type",
     "rules[0].attributes.value:"},
    {SGX_RULE(",\"attributes\":{\"value\":\"0500000000000000\"}"), "policy:type",
     "rules[0].attributes.mask:"},
    {SGX_RULE(",\"attributes\":{\"mask\":\"05\",\"value\":\"0500000000000000\"}"), "policy:hex",
     "rules[0].attributes.mask:"},
    {SGX_RULE(",\"attributes\":{\"mask\":\"0400000000000000\",\"value\":\"0500000000000000\"}"),
     "policy:mask", "rules[0].attributes:"},
    {SGX_RULE(
         ",\"attributes\":{\"mask\":\"0500000000000000\",\"value\":\"0500000000000000\",\"x\":1}"),
     "policy:unknown-field", "rules[0].attributes.x:"},
    /* statuses, grace, advisories, times */
    {SGX_RULE(",\"tcb_status\":\"UpToDate\""), "policy:type", "rules[0].tcb_status:"},
    {SGX_RULE(",\"tcb_status\":[]"), "policy:list", "rules[0].tcb_status:"},
    {SGX_RULE(",\"tcb_status\":[\"uptodate\"]"), "policy:status", "rules[0].tcb_status[0]:"},
    {SGX_RULE(",\"tcb_status\":[\"UpToDate\",\"Revoked\"]"), "policy:status",
     "rules[0].tcb_status[1]:"},
    {SGX_RULE(",\"tcb_status\":[1]"), "policy:status", "rules[0].tcb_status[0]:"},
    {SGX_RULE(",\"tcb_status\":[\"UpToDate\",\"UpToDate\"]"), "policy:duplicate",
     "rules[0].tcb_status[1]:"},
    {SGX_RULE(",\"grace\":[]"), "policy:type", "rules[0].grace:"},
    {SGX_RULE(",\"grace\":{\"tcb_status\":[\"OutOfDate\"]}"), "policy:time",
     "rules[0].grace.until:"},
    {SGX_RULE(",\"grace\":{\"until\":\"2027-01-01T00:00:00Z\"}"), "policy:type",
     "rules[0].grace.tcb_status:"},
    {SGX_RULE(",\"grace\":{\"until\":\"2027-01-01\",\"tcb_status\":[\"OutOfDate\"]}"),
     "policy:time", "rules[0].grace.until:"},
    {SGX_RULE(",\"grace\":{\"until\":\"2027-01-01T00:00:00Z\",\"tcb_status\":[\"Revoked\"]}"),
     "policy:status", "rules[0].grace.tcb_status[0]:"},
    {SGX_RULE(
         ",\"grace\":{\"until\":\"2027-01-01T00:00:00Z\",\"tcb_status\":[\"OutOfDate\"],\"x\":1}"),
     "policy:unknown-field", "rules[0].grace.x:"},
    {SGX_RULE(",\"advisories\":[]"), "policy:type", "rules[0].advisories:"},
    {SGX_RULE(",\"advisories\":{}"), "policy:list", "rules[0].advisories:"},
    {SGX_RULE(",\"advisories\":{\"deny\":\"INTEL-SA-00001\"}"), "policy:type",
     "rules[0].advisories.deny:"},
    {SGX_RULE(",\"advisories\":{\"deny\":[\"\"]}"), "policy:advisory",
     "rules[0].advisories.deny[0]:"},
    {SGX_RULE(",\"advisories\":{\"deny\":[1]}"), "policy:advisory", "rules[0].advisories.deny[0]:"},
    {SGX_RULE(",\"advisories\":{\"allow\":[\"012345678901234567890123\"]}"), "policy:advisory",
     "rules[0].advisories.allow[0]:"},
    {SGX_RULE(",\"advisories\":{\"allow\":[\"a\",\"a\"]}"), "policy:duplicate",
     "rules[0].advisories.allow[1]:"},
    {SGX_RULE(",\"tcb_date\":{\"min\":20250101}"), "policy:time", "rules[0].tcb_date.min:"},
    {SGX_RULE(",\"tcb_date\":{\"min\":\"1960-01-01T00:00:00Z\"}"), "policy:time",
     "rules[0].tcb_date.min:"},
    {SGX_RULE(",\"tcb_date\":\"2025-01-01T00:00:00Z\""), "policy:type", "rules[0].tcb_date:"},
    /* nobody in particular */
    {RULE("\"name\":\"r\",\"tee\":\"sgx\""), "policy:unpinned", "rules[0]:"},
    {RULE("\"name\":\"r\",\"tee\":\"tdx\""), "policy:unpinned", "rules[0]:"},
    {RULE("\"name\":\"r\",\"tee\":\"sgx\"," MRSIGNER), "policy:unpinned", "rules[0]:"},
    {RULE("\"name\":\"r\",\"tee\":\"sgx\"," MRSIGNER ",\"isv_prod_id\":1"), "policy:unpinned",
     "rules[0]:"},
    {RULE("\"name\":\"r\",\"tee\":\"sgx\"," MRSIGNER ",\"isv_svn\":{\"min\":1}"), "policy:unpinned",
     "rules[0]:"},
    {RULE("\"name\":\"r\",\"tee\":\"sgx\",\"isv_prod_id\":1,\"isv_svn\":{\"min\":1}"),
     "policy:unpinned", "rules[0]:"},
    {RULE("\"name\":\"r\",\"tee\":\"tdx\",\"rtmr0\":"
          "\"666666666666666666666666666666666666666666666666"
          "666666666666666666666666666666666666666666666666\""),
     "policy:unpinned", "rules[0]:"},
};

static void test_bad_texts(void)
{
    for (size_t i = 0; i < sizeof(bad_texts) / sizeof(bad_texts[0]); i++) {
        struct ccz_policy *p = (struct ccz_policy *)1;
        err = (struct ccz_err){0};
        ccz_rc rc = ccz_policy_parse(&p, ccz_span_str(bad_texts[i].text), &err);
        bool ok = rc == CCZ_E_FORMAT && p == NULL && strcmp(err.where, bad_texts[i].where) == 0 &&
                  strncmp(err.msg, bad_texts[i].path, strlen(bad_texts[i].path)) == 0;
        if (!ok)
            fprintf(stderr, "%s\n  gave %s at %s: %s\n", bad_texts[i].text, ccz_rc_name(rc),
                    err.where, err.msg);
        CHECK(ok);
        CHECK(ccz_policy_parse(&p, ccz_span_str(bad_texts[i].text), NULL) == CCZ_E_FORMAT);
    }
}

static void test_truncation(void)
{
    static const char good[] = SGX_RULE(",\"sim\":true,\"tcb_status\":[\"UpToDate\"],\"grace\":{"
                                        "\"until\":\"2027-01-01T00:00:00Z\",\"tcb_status\":"
                                        "[\"OutOfDate\"]},\"advisories\":{\"deny\":[\"a\"],"
                                        "\"allow\":[\"b\"]},\"isv_prod_id\":[1,2]");
    CCZ_AUTO(ccz_policy) whole = NULL;
    CHECK(ccz_policy_parse(&whole, ccz_span_str(good), &err) == CCZ_OK);
    for (size_t cut = 0; cut < sizeof(good) - 1; cut++) {
        struct ccz_policy *p = NULL;
        CHECK(ccz_policy_parse(&p, CCZ_SPAN(good, cut), &err) == CCZ_E_FORMAT && p == NULL);
    }
}

/* `len` rules, or one rule with a list of `len` values. */
static ccz_rc parse_many(size_t len, bool rules)
{
    CCZ_AUTO(ccz_policy) p = NULL;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 2 * CCZ_POLICY_SIZE_MAX);
    ccz_buf_put_str(&b, "{\"version\":1,\"rules\":[");
    for (size_t i = 0; i < len && rules; i++)
        ccz_buf_printf(&b, "%s{\"name\":\"r%zu\",\"tee\":\"sgx\"," MRENCLAVE "}", i ? "," : "", i);
    if (!rules)
        ccz_buf_put_str(&b, "{\"name\":\"r\",\"tee\":\"sgx\"," MRENCLAVE ",\"isv_prod_id\":[");
    for (size_t i = 0; i < len && !rules; i++)
        ccz_buf_printf(&b, "%s%zu", i ? "," : "", i);
    ccz_buf_put_str(&b, rules ? "]}" : "]}]}");
    return ccz_policy_parse(&p, ccz_buf_span(&b), &err);
}

static void test_limits(void)
{
    CHECK(parse_many(CCZ_POLICY_RULES_MAX, true) == CCZ_OK);
    CHECK(parse_many(CCZ_POLICY_RULES_MAX + 1, true) == CCZ_E_LIMIT &&
          strcmp(err.where, "policy:rules") == 0);
    CHECK(parse_many(CCZ_POLICY_LIST_MAX, false) == CCZ_OK);
    CHECK(parse_many(CCZ_POLICY_LIST_MAX + 1, false) == CCZ_E_LIMIT &&
          strcmp(err.where, "policy:list-size") == 0);
    char *big = calloc(1, CCZ_POLICY_SIZE_MAX + 1);
    struct ccz_policy *p = NULL;
    CHECK(big != NULL);
    memset(big, ' ', CCZ_POLICY_SIZE_MAX + 1);
    memcpy(big, "{}", 2);
    CHECK(ccz_policy_parse(&p, CCZ_SPAN(big, CCZ_POLICY_SIZE_MAX + 1), &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "policy:size") == 0 && p == NULL);
    CHECK(ccz_policy_parse(&p, CCZ_SPAN(big, CCZ_POLICY_SIZE_MAX), &err) == CCZ_OK);
    ccz_policy_free(p);
    free(big);
}

/* Long names and keys of the input end in messages that still begin with the place. */
static void test_long_key(void)
{
    struct ccz_policy *p = NULL;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 65536);
    ccz_buf_put_str(&b,
                    "{\"version\":1,\"rules\":[{\"name\":\"r\",\"tee\":\"sgx\"," MRENCLAVE ",\"");
    for (int i = 0; i < 10000; i++)
        ccz_buf_u8(&b, 'x');
    ccz_buf_put_str(&b, "\":1}]}");
    CHECK(ccz_policy_parse(&p, ccz_buf_span(&b), &err) == CCZ_E_FORMAT);
    CHECK(strncmp(err.msg, "rules[0].xxxx", 13) == 0 && strstr(err.msg, "unknown field") != NULL);
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
    c.tee = CCZ_TEE_SNP;
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
    {"policy.lists", test_lists},
    {"policy.minimum", test_minimum},
    {"policy.mask", test_mask},
    {"policy.sim", test_sim},
    {"policy.debug", test_debug},
    {"policy.sgx_defaults", test_sgx_defaults},
    {"policy.td_defaults", test_td_defaults},
    {"policy.status", test_status},
    {"policy.grace", test_grace},
    {"policy.advisories", test_advisories},
    {"policy.times", test_times},
    {"policy.rules", test_rules},
    {"policy.bad_texts", test_bad_texts},
    {"policy.truncation", test_truncation},
    {"policy.limits", test_limits},
    {"policy.long_key", test_long_key},
    {"policy.draft", test_draft},
    {"policy.draft_refuse", test_draft_refuse},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
