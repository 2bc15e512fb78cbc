/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of reference values, and policies that name them. */
#include "policy/policy_priv.h"

#include "ccz_test.h"

#define NOW INT64_C(1800000000) /* 2027-01-15T08:00:00Z */
#define ONE "1111111111111111111111111111111111111111111111111111111111111111"
#define TWO "2222222222222222222222222222222222222222222222222222222222222222"
#define LONG                                                                                       \
    "666666666666666666666666666666666666666666666666"                                             \
    "666666666666666666666666666666666666666666666666"
#define SET(values) "{\"version\":1,\"values\":[" values "]}"
#define V1          "{\"name\":\"1.4.2\",\"value\":\"" ONE "\"}"
#define V2          "{\"name\":\"1.4.3\",\"value\":\"" TWO "\"}"
#define REF(name)   "{\"reference\":\"" name "\"}"

static struct ccz_err err;

static struct ccz_reference *set_of(const char *json)
{
    struct ccz_reference *r = NULL;
    if (ccz_reference_parse(&r, ccz_span_str(json), &err) != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(r != NULL);
    return r;
}

/* A policy with one rule: of @p tee, with these members. */
static ccz_rc parse_rule(struct ccz_policy **p, const char *tee, const char *members)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_POLICY_SIZE_MAX);
    ccz_buf_printf(&text, "{\"version\":1,\"rules\":[{\"name\":\"r\",\"tee\":\"%s\",%s}]}", tee,
                   members);
    err = (struct ccz_err){0};
    return ccz_policy_parse(p, ccz_buf_span(&text), &err);
}

static struct ccz_policy *rule(const char *tee, const char *members)
{
    struct ccz_policy *p = NULL;
    CHECK(parse_rule(&p, tee, members) == CCZ_OK);
    return p;
}

static void give(struct ccz_policy *p, size_t i, uint32_t version, const char *json)
{
    CCZ_AUTO(ccz_reference) set = json ? set_of(json) : NULL;
    CHECK(ccz_policy_resolve(p, i, version, set, &err) == CCZ_OK);
}

static struct ccz_claims sgx(uint8_t fill)
{
    struct ccz_claims c = {.tee = CCZ_TEE_SGX,
                           .tcb_status = CCZ_TCB_UP_TO_DATE,
                           .collateral_expires_s = NOW + 1000000};
    c.attributes[0] = 5;
    memset(c.mrenclave, fill, sizeof(c.mrenclave));
    return c;
}

static bool accepts(struct ccz_verdict *v, const struct ccz_policy *p, uint8_t fill, int64_t now_s)
{
    struct ccz_claims c = sgx(fill);
    err = (struct ccz_err){0};
    ccz_rc rc = ccz_policy_eval(v, p, &c, now_s, &err);
    CHECK(v->accept == (rc == CCZ_OK));
    return v->accept;
}

static void test_sets(void)
{
    CCZ_AUTO(ccz_reference) r = set_of(SET(V1 "," V2));
    CHECK(ccz_reference_len(r) == 2 && ccz_reference_size(r) == 32);
    CCZ_AUTO(ccz_reference)
    small =
        set_of("{\"version\":1,\"description\":\"d\",\"values\":[{\"name\":\"a\",\"value\":\"Ab\","
               "\"description\":\"d\",\"until\":\"2027-01-01T00:00:00Z\"}]}");
    CHECK(ccz_reference_len(small) == 1 && ccz_reference_size(small) == 1);
}

static void test_bad_sets(void)
{
    static const struct {
        const char *text, *where, *path;
    } bad[] = {
        {"", "json:parse", ""},
        {"[]", "policy:type", "policy"},
        {"{}", "policy:version", "policy"},
        {"{\"version\":2,\"values\":[" V1 "]}", "policy:version", "policy"},
        {"{\"version\":1}", "policy:type", "values:"},
        {"{\"version\":1,\"values\":{}}", "policy:type", "values:"},
        {SET(""), "policy:list", "values:"},
        {"{\"version\":1,\"value\":[" V1 "]}", "policy:unknown-field", "value:"},
        {"{\"version\":1,\"description\":1,\"values\":[" V1 "]}", "policy:type", "policy:"},
        {SET("1"), "policy:type", "values[0]:"},
        {SET("{\"name\":\"a\"}"), "policy:hex", "values[0].value:"},
        {SET("{\"value\":\"00\"}"), "policy:name", "values[0].name:"},
        {SET("{\"name\":\"a;b\",\"value\":\"00\"}"), "policy:name", "values[0].name:"},
        {SET("{\"name\":\"a\",\"value\":\"\"}"), "policy:hex", "values[0].value:"},
        {SET("{\"name\":\"a\",\"value\":\"0\"}"), "policy:hex", "values[0].value:"},
        {SET("{\"name\":\"a\",\"value\":\"000\"}"), "policy:hex", "values[0].value:"},
        {SET("{\"name\":\"a\",\"value\":\"0g\"}"), "policy:hex", "values[0].value:"},
        {SET("{\"name\":\"a\",\"value\":1}"), "policy:hex", "values[0].value:"},
        {SET("{\"name\":\"a\",\"value\":\"" ONE ONE "00\"}"), "policy:hex", "values[0].value:"},
        {SET("{\"name\":\"a\",\"value\":\"00\",\"until\":1}"), "policy:time", "values[0].until:"},
        {SET("{\"name\":\"a\",\"value\":\"00\",\"until\":\"1970-01-01T00:00:00Z\"}"), "policy:time",
         "values[0].until:"},
        {SET("{\"name\":\"a\",\"value\":\"00\",\"end\":1}"), "policy:unknown-field",
         "values[0].end:"},
        {SET("{\"name\":\"a\",\"value\":\"00\",\"description\":1}"), "policy:type", "values[0]:"},
        {SET(V1 "," V1), "policy:duplicate", "values[1].name:"},
        {SET(V1 ",{\"name\":\"b\",\"value\":\"" ONE "\"}"), "policy:duplicate", "values[1].value:"},
        {SET(V1 ",{\"name\":\"b\",\"value\":\"" LONG "\"}"), "policy:hex", "values[1].value:"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ccz_reference *r = NULL;
        err = (struct ccz_err){0};
        ccz_rc rc = ccz_reference_parse(&r, ccz_span_str(bad[i].text), &err);
        bool ok = rc == CCZ_E_FORMAT && !r && strcmp(err.where, bad[i].where) == 0 &&
                  strncmp(err.msg, bad[i].path, strlen(bad[i].path)) == 0;
        if (!ok)
            fprintf(stderr, "%s: %d %s: %s\n", bad[i].text, rc, err.where, err.msg);
        CHECK(ok);
    }
}

static void test_truncation(void)
{
    static const char text[] = SET(V1 "," V2);
    for (size_t n = 0; n + 1 < sizeof(text); n++) {
        struct ccz_reference *r = NULL;
        CHECK(ccz_reference_parse(&r, CCZ_SPAN(text, n), &err) != CCZ_OK && !r);
    }
}

/* How a policy may say it, and how not. */
static void test_named(void)
{
    CCZ_AUTO(ccz_policy)
    p = rule("sgx", "\"mrenclave\":" REF("team/server") ",\"config_id\":" REF("c"));
    CHECK(strcmp(ccz_policy_reference(p, 0), "team/server") == 0 &&
          strcmp(ccz_policy_reference(p, 1), "c") == 0 && !ccz_policy_reference(p, 2));
    static const struct {
        const char *members, *where;
    } bad[] = {
        {"\"mrenclave\":{}", "policy:reference-name"},
        {"\"mrenclave\":{\"reference\":1}", "policy:reference-name"},
        {"\"mrenclave\":" REF(""), "policy:reference-name"},
        {"\"mrenclave\":" REF("a b"), "policy:reference-name"},
        {"\"mrenclave\":{\"references\":\"a\"}", "policy:unknown-field"},
        {"\"mrenclave\":{\"reference\":\"a\",\"version\":1}", "policy:unknown-field"},
        {"\"mrenclave\":[" REF("a") "]", "policy:type"},
        {"\"mrenclave\":\"" ONE "\",\"isv_svn\":" REF("a"), "policy:unknown-field"}, /* no bytes */
        {"\"mrenclave\":" REF("a") ",\"config_id\":" REF("a"), "policy:reference-size"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ccz_policy *q = NULL;
        ccz_rc rc = parse_rule(&q, "sgx", bad[i].members);
        if (rc != CCZ_E_FORMAT || strcmp(err.where, bad[i].where) != 0)
            fprintf(stderr, "%s: %d %s: %s\n", bad[i].members, rc, err.where, err.msg);
        CHECK(rc == CCZ_E_FORMAT && !q && strcmp(err.where, bad[i].where) == 0);
    }
}

/* A set that is not there refuses everybody: those of other rules too. */
static void test_missing(void)
{
    static const char text[] =
        "{\"version\":1,\"rules\":[{\"name\":\"plain\",\"tee\":\"sgx\",\"mrenclave\":\"" ONE
        "\"},{\"name\":\"refers\",\"tee\":\"sgx\",\"mrenclave\":{\"reference\":\"gone\"}}]}";
    CCZ_AUTO(ccz_policy) p = NULL;
    struct ccz_verdict v;
    CHECK(ccz_policy_parse(&p, ccz_span_str(text), &err) == CCZ_OK);
    CHECK(!accepts(&v, p, 0x11, NOW) && strcmp(err.where, "policy:reference") == 0);
    CHECK(strstr(err.msg, "\"gone\"") && err.got[0] && err.expected[0] && err.hint[0]);
    CHECK(ccz_policy_resolved(p, &err) == CCZ_E_NOT_FOUND &&
          strcmp(err.where, "policy:reference") == 0 && strstr(err.msg, "\"gone\""));
    give(p, 0, 1, SET(V2));
    CHECK(ccz_policy_resolved(p, &err) == CCZ_OK);
    CHECK(accepts(&v, p, 0x11, NOW) && strcmp(v.rule, "plain") == 0 && v.references[0] == 0);
    give(p, 0, 0, NULL); /* it went away */
    CHECK(!accepts(&v, p, 0x11, NOW) && strcmp(err.where, "policy:reference") == 0);
}

static void test_decides(void)
{
    CCZ_AUTO(ccz_policy) p = rule("sgx", "\"mrenclave\":" REF("team/server"));
    struct ccz_verdict v;
    give(p, 0, 3, SET(V1 "," V2));
    CHECK(accepts(&v, p, 0x11, NOW) && strcmp(v.references, "mrenclave=team/server@3:1.4.2") == 0);
    CHECK(accepts(&v, p, 0x22, NOW) && strcmp(v.references, "mrenclave=team/server@3:1.4.3") == 0);
    CHECK(!accepts(&v, p, 0x33, NOW) && strcmp(err.where, "policy:mrenclave") == 0);
    CHECK(v.references[0] == 0 && strcmp(v.nearest, "r") == 0);
    CHECK(strncmp(err.got, "3333", 4) == 0 &&
          strncmp(err.expected, "team/server@3: 1.4.2 1111", 25) == 0 &&
          strstr(err.expected, " or 1 other"));
    give(p, 0, 4, SET(V2)); /* another version takes the place of the first */
    CHECK(!accepts(&v, p, 0x11, NOW));
    CHECK(accepts(&v, p, 0x22, NOW) && strcmp(v.references, "mrenclave=team/server@4:1.4.3") == 0);
    /* two fields, two sets */
    CCZ_AUTO(ccz_policy) q = rule("sgx", "\"mrenclave\":" REF("a") ",\"mrsigner\":" REF("b"));
    give(q, 0, 1, SET(V1));
    give(q, 1, 2,
         SET("{\"name\":\"us\",\"value\":"
             "\"0000000000000000000000000000000000000000000000000000000000000000\"}"));
    CHECK(accepts(&v, q, 0x11, NOW) &&
          strcmp(v.references, "mrenclave=a@1:1.4.2; mrsigner=b@2:us") == 0);
}

/* The end of a value is enforced, and told. */
static void test_ends(void)
{
    CCZ_AUTO(ccz_policy) p = rule("sgx", "\"mrenclave\":" REF("s"));
    struct ccz_verdict v;
    give(p, 0, 1,
         SET("{\"name\":\"old\",\"value\":\"" ONE "\",\"until\":\"2027-01-15T08:00:00Z\"}," V2));
    CHECK(accepts(&v, p, 0x11, NOW - 1) && strcmp(v.references, "mrenclave=s@1:old") == 0);
    CHECK(!accepts(&v, p, 0x11, NOW) && strcmp(err.where, "policy:mrenclave") == 0 &&
          strstr(err.expected, "s@1: old ended 2027-01-15T08:00:00Z"));
    CHECK(accepts(&v, p, 0x22, NOW));
    CHECK(!accepts(&v, p, 0x33, NOW) && !strstr(err.expected, "ended"));
}

static void test_size(void)
{
    CCZ_AUTO(ccz_policy) p = rule("sgx", "\"mrenclave\":" REF("s"));
    struct ccz_verdict v;
    give(p, 0, 1, SET("{\"name\":\"a\",\"value\":\"" LONG "\"}"));
    CHECK(!accepts(&v, p, 0x66, NOW) && strcmp(err.where, "policy:reference-size") == 0 &&
          strstr(err.got, "48") && strstr(err.expected, "32"));
    CHECK(ccz_policy_resolved(p, &err) == CCZ_E_MISMATCH &&
          strcmp(err.where, "policy:reference-size") == 0);
    give(p, 0, 2, SET("{\"name\":\"a\",\"value\":\"11\"}")); /* not a prefix either */
    CHECK(!accepts(&v, p, 0x11, NOW) && strcmp(err.where, "policy:reference-size") == 0);
}

static void test_limits(void)
{
    CCZ_AUTO_BUF text;
    struct ccz_reference *r = NULL;
    ccz_buf_init(&text, 1 << 20);
    ccz_buf_put_str(&text, "{\"version\":1,\"values\":[");
    for (unsigned i = 0; i <= CCZ_REFERENCE_VALUES_MAX; i++)
        ccz_buf_printf(&text, "%s{\"name\":\"%u\",\"value\":\"%04x\"}", i ? "," : "", i, i);
    ccz_buf_put_str(&text, "]}");
    CHECK(ccz_reference_parse(&r, ccz_buf_span(&text), &err) == CCZ_E_LIMIT && !r);
    ccz_buf_clear(&text);
    for (unsigned i = 0; i <= CCZ_REFERENCE_SIZE_MAX; i++)
        ccz_buf_u8(&text, ' ');
    CHECK(ccz_reference_parse(&r, ccz_buf_span(&text), &err) == CCZ_E_LIMIT && !r);
    /* sets of a policy */
    struct ccz_policy *p = NULL;
    ccz_buf_clear(&text);
    ccz_buf_put_str(&text, "{\"version\":1,\"rules\":[");
    for (unsigned i = 0; i <= CCZ_POLICY_REFERENCES_MAX; i++)
        ccz_buf_printf(&text,
                       "%s{\"name\":\"%u\",\"tee\":\"sgx\",\"mrenclave\":{\"reference\":\"s%u\"}}",
                       i ? "," : "", i, i);
    ccz_buf_put_str(&text, "]}");
    CHECK(ccz_policy_parse(&p, ccz_buf_span(&text), &err) == CCZ_E_LIMIT && !p &&
          strcmp(err.where, "policy:references") == 0);
    /* fields of a rule */
    CHECK(
        parse_rule(
            &p, "tdx",
            "\"mrtd\":" REF("s") ",\"rtmr0\":" REF("s") ",\"rtmr1\":" REF("s") ",\"rtmr2\":" REF("s") ",\"rtmr3\":" REF(
                "s") ",\"mrconfigid\":" REF("s") ",\"mrowner\":" REF("s") ",\"mrownerconfig\""
                                                                          ":" REF("s") ",\"mrseam"
                                                                                       "\":" REF(
                                                                                           "s")) ==
            CCZ_E_LIMIT &&
        strcmp(err.where, "policy:references") == 0);
}

static void test_explained(void)
{
    CCZ_AUTO(ccz_policy) p = rule("sgx", "\"mrenclave\":" REF("team/server"));
    struct ccz_claims c = sgx(0x22);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 20);
    CHECK(ccz_policy_explain(&out, p, &c, NOW, CCZ_POLICY_TEXT, &err) == CCZ_OK);
    CHECK(strstr(ccz_buf_str(&out), "rule \"r\" refuses") &&
          strstr(ccz_buf_str(&out), "the reference values \"team/server\" are not at hand"));
    ccz_buf_clear(&out);
    CHECK(ccz_policy_explain(&out, p, &c, NOW, CCZ_POLICY_JSON, &err) == CCZ_OK);
    CHECK(strstr(ccz_buf_str(&out), "\"accept\":false,\"where\":\"policy:reference\""));
    give(p, 0, 7, SET(V1 "," V2));
    ccz_buf_clear(&out);
    CHECK(ccz_policy_explain(&out, p, NULL, NOW, CCZ_POLICY_TEXT, &err) == CCZ_OK);
    CHECK(strstr(ccz_buf_str(&out), "team/server@7: 1.4.2 " ONE ", 1.4.3 " TWO));
    ccz_buf_clear(&out);
    CHECK(ccz_policy_explain(&out, p, &c, NOW, CCZ_POLICY_JSON, &err) == CCZ_OK);
    CHECK(strstr(ccz_buf_str(&out), "\"accept\":true,\"where\":null"));
}

static const struct ccz_test tests[] = {
    {"reference.sets", test_sets},
    {"reference.bad_sets", test_bad_sets},
    {"reference.truncation", test_truncation},
    {"reference.named", test_named},
    {"reference.missing", test_missing},
    {"reference.decides", test_decides},
    {"reference.ends", test_ends},
    {"reference.size", test_size},
    {"reference.limits", test_limits},
    {"reference.explained", test_explained},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
