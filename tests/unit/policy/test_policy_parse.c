/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that are no policy, each with where and at which JSON path it is refused. */
#include "policy/pins.h"
#include "policy/policy_priv.h"

#include "ccz_test.h"

static struct ccz_err err;

#define RULE(members)  "{\"version\":1,\"rules\":[{" members "}]}"
#define SGX_RULE(more) RULE("\"name\":\"r\",\"tee\":\"sgx\"," MRENCLAVE more)
#define TDX_RULE(more) RULE("\"name\":\"r\",\"tee\":\"tdx\"," MRTD more)
#define SNP_PINS       MEASUREMENT "," PRODUCT "," REPORTED_TCB
#define SNP_RULE(more) RULE("\"name\":\"r\",\"tee\":\"snp\"," SNP_PINS more)

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
    {RULE("\"name\":\"r\",\"tee\":\"none\"," MRENCLAVE), "policy:rule-tee", "rules[0].tee:"},
    {RULE("\"name\":\"r\",\"tee\":\"snp\"," MRENCLAVE), "policy:tee-field", "rules[0].mrenclave:"},
    {SNP_RULE(",\"tcb_status\":[\"UpToDate\"]"), "policy:tee-field", "rules[0].tcb_status:"},
    {SNP_RULE(",\"advisories\":{\"deny\":[\"a\"]}"), "policy:tee-field", "rules[0].advisories:"},
    {SNP_RULE(",\"grace\":{\"until\":\"2027-01-01T00:00:00Z\",\"tcb_status\":[\"OutOfDate\"]}"),
     "policy:tee-field", "rules[0].grace.tcb_status:"},
    {SGX_RULE(",\"unchecked_revocation\":true"), "policy:tee-field",
     "rules[0].unchecked_revocation:"},
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
    {SGX_RULE(",\"isv_prod_id\":{\"min\":2,\"max\":1}"), "policy:range", "rules[0].isv_prod_id:"},
    {SGX_RULE(",\"isv_prod_id\":[]"), "policy:list", "rules[0].isv_prod_id:"},
    {SGX_RULE(",\"isv_prod_id\":[1,{\"max\":65536}]"), "policy:range",
     "rules[0].isv_prod_id[1].max:"},
    {SGX_RULE(",\"isv_prod_id\":{\"max\":null}"), "policy:type", "rules[0].isv_prod_id.max:"},
    {SGX_RULE(",\"isv_svn\":\"5\""), "policy:type", "rules[0].isv_svn:"},
    {SGX_RULE(",\"isv_svn\":{}"), "policy:type", "rules[0].isv_svn:"},
    {SGX_RULE(",\"isv_svn\":{\"min\":65536}"), "policy:range", "rules[0].isv_svn.min:"},
    {SGX_RULE(",\"isv_svn\":{\"min\":1,\"x\":2}"), "policy:unknown-field", "rules[0].isv_svn.x:"},
    {SGX_RULE(",\"quote_version\":70000"), "policy:range", "rules[0].quote_version:"},
    {SNP_RULE(",\"cpuid_family\":256"), "policy:range", "rules[0].cpuid_family:"},
    {SNP_RULE(",\"vmpl\":4294967296"), "policy:range", "rules[0].vmpl:"},
    /* SVNs by component, versions, names */
    {SGX_RULE(",\"cpu_svn\":{}"), "policy:type", "rules[0].cpu_svn.min:"},
    {SGX_RULE(",\"cpu_svn\":{\"min\":\"00\"}"), "policy:hex", "rules[0].cpu_svn.min:"},
    {SGX_RULE(",\"cpu_svn\":{\"max\":\"00\"}"), "policy:unknown-field", "rules[0].cpu_svn.max:"},
    {SGX_RULE(",\"cpu_svn\":[]"), "policy:list", "rules[0].cpu_svn:"},
    {SNP_RULE(",\"current_tcb\":{}"), "policy:list", "rules[0].current_tcb:"},
    {SNP_RULE(",\"current_tcb\":1"), "policy:type", "rules[0].current_tcb:"},
    {SNP_RULE(",\"current_tcb\":{\"spl\":1}"), "policy:unknown-field", "rules[0].current_tcb.spl:"},
    {SNP_RULE(",\"current_tcb\":{\"snp\":256}"), "policy:range", "rules[0].current_tcb.snp:"},
    {SNP_RULE(",\"current_tcb\":{\"snp\":[1,1]}"), "policy:duplicate",
     "rules[0].current_tcb.snp[1]:"},
    {SNP_RULE(",\"current_version\":1"), "policy:version-text", "rules[0].current_version:"},
    {SNP_RULE(",\"current_version\":\"1.55\""), "policy:version-text", "rules[0].current_version:"},
    {SNP_RULE(",\"current_version\":\"1.55.\""), "policy:version-text",
     "rules[0].current_version:"},
    {SNP_RULE(",\"current_version\":\"1..5\""), "policy:version-text", "rules[0].current_version:"},
    {SNP_RULE(",\"current_version\":\"1.55.256\""), "policy:version-text",
     "rules[0].current_version:"},
    {SNP_RULE(",\"current_version\":\"1.55.21.3\""), "policy:version-text",
     "rules[0].current_version:"},
    {SNP_RULE(",\"current_version\":\"0001.5.2\""), "policy:version-text",
     "rules[0].current_version:"},
    {SNP_RULE(",\"current_version\":{\"min\":\"2.0.0\",\"max\":\"1.0.0\"}"), "policy:range",
     "rules[0].current_version:"},
    {SNP_RULE(",\"current_version\":{}"), "policy:type", "rules[0].current_version:"},
    {SNP_RULE(",\"signer\":\"none\""), "policy:name-of", "rules[0].signer:"},
    {SNP_RULE(",\"signer\":[\"vcek\",\"vcek\"]"), "policy:duplicate", "rules[0].signer[1]:"},
    {SNP_RULE(",\"signer\":1"), "policy:name-of", "rules[0].signer:"},
    {SNP_RULE(",\"csp_id\":\"\""), "policy:text", "rules[0].csp_id:"},
    {SNP_RULE(",\"csp_id\":1"), "policy:type", "rules[0].csp_id:"},
    {SNP_RULE(",\"csp_id\":\"0123456789012345678901234567890123456789012345678901234567890123\""),
     "policy:text", "rules[0].csp_id:"},
    {TDX_RULE(",\"module_status\":[\"None\"]"), "policy:status", "rules[0].module_status[0]:"},
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
    {SGX_RULE(",\"grace\":{\"until\":\"2027-01-01T00:00:00Z\"}"), "policy:grace",
     "rules[0].grace:"},
    {SGX_RULE(",\"grace\":{\"until\":\"2027-01-01T00:00:00Z\"," MRENCLAVE "}"), "policy:grace",
     "rules[0].grace.mrenclave:"},
    {SGX_RULE(",\"grace\":{\"until\":\"2027-01-01T00:00:00Z\",\"debug\":true}"), "policy:grace",
     "rules[0].grace.debug:"},
    {SGX_RULE(",\"grace\":{\"until\":\"2027-01-01T00:00:00Z\",\"isv_svn\":{\"min\":1}}"),
     "policy:grace", "rules[0].grace.isv_svn:"},
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
    {RULE("\"name\":\"r\",\"tee\":\"snp\"," PRODUCT "," REPORTED_TCB), "policy:unpinned",
     "rules[0]:"},
    {RULE("\"name\":\"r\",\"tee\":\"snp\"," MEASUREMENT "," REPORTED_TCB), "policy:unpinned",
     "rules[0]:"},
    {RULE("\"name\":\"r\",\"tee\":\"snp\"," MEASUREMENT "," PRODUCT), "policy:unpinned",
     "rules[0]:"},
    {RULE("\"name\":\"r\",\"tee\":\"snp\"," MEASUREMENT "," PRODUCT
          ",\"reported_tcb\":{\"snp\":{\"min\":8},\"boot_loader\":{\"min\":1},\"tee\":0}"),
     "policy:tcb", "rules[0].reported_tcb.microcode:"},
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

static const struct ccz_test tests[] = {
    {"policy.bad_texts", test_bad_texts},
    {"policy.truncation", test_truncation},
    {"policy.limits", test_limits},
    {"policy.long_key", test_long_key},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
