/* SPDX-License-Identifier: Apache-2.0 */
/* Policies in words and as JSON Schema. */
#include "policy/policy_priv.h"

#include "ccz_test.h"

#define NOW INT64_C(1800000000) /* 2027-01-15T08:00:00Z */

static struct ccz_err err;

static const char policy_text[] =
    "{\"version\":1,\"rules\":["
    "{\"name\":\"a\",\"tee\":\"sgx\",\"mrenclave\":"
    "\"1111111111111111111111111111111111111111111111111111111111111111\","
    "\"isv_svn\":[{\"min\":5},3],\"advisories\":{\"deny\":[\"X-1\"],\"allow\":[\"X-2\",\"X-3\"]},"
    "\"grace\":{\"until\":\"2027-01-15T09:00:00Z\",\"tcb_status\":[\"OutOfDate\"]}},"
    "{\"name\":\"b\",\"tee\":\"snp\",\"measurement\":"
    "\"919191919191919191919191919191919191919191919191"
    "919191919191919191919191919191919191919191919191\",\"product\":[\"Milan\",\"Genoa\"],"
    "\"reported_tcb\":{\"boot_loader\":4,\"tee\":{\"min\":0},\"snp\":{\"min\":22},"
    "\"microcode\":{\"min\":213}}}]}";

static struct ccz_claims sgx_claims(void)
{
    struct ccz_claims c = {.tee = CCZ_TEE_SGX,
                           .revocation_checked = true,
                           .isv_svn = 4,
                           .attributes = {5},
                           .tcb_status = CCZ_TCB_OUT_OF_DATE,
                           .collateral_expires_s = NOW + 7200};
    memset(c.mrenclave, 0x11, sizeof(c.mrenclave));
    return c;
}

static struct ccz_policy *parse(const char *text)
{
    struct ccz_policy *p = NULL;
    CHECK(ccz_policy_parse(&p, ccz_span_str(text), &err) == CCZ_OK);
    return p;
}

/* The explanation, parsed. */
static struct ccz_json *explain(const struct ccz_policy *p, const struct ccz_claims *c, int64_t now)
{
    struct ccz_json *j = NULL;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 20);
    CHECK(ccz_policy_explain(&out, p, c, now, CCZ_POLICY_JSON, &err) == CCZ_OK);
    CHECK(ccz_json_parse(&j, ccz_buf_span(&out), &err) == CCZ_OK);
    return j;
}

static const struct ccz_json *field_of(const struct ccz_json *j, size_t rule, const char *name)
{
    const struct ccz_json *fields =
        ccz_json_get(ccz_json_at(ccz_json_get(j, "rules"), rule), "fields");
    for (size_t i = 0; i < ccz_json_len(fields); i++)
        if (strcmp(ccz_json_str(ccz_json_get(ccz_json_at(fields, i), "field")), name) == 0)
            return ccz_json_at(fields, i);
    return NULL;
}

static bool is_str(const struct ccz_json *o, const char *key, const char *want)
{
    const char *s = ccz_json_str(ccz_json_get(o, key));
    if (!s || strcmp(s, want) != 0)
        fprintf(stderr, "%s: %s, expected %s\n", key, s ? s : "(none)", want);
    return s && strcmp(s, want) == 0;
}

static bool is_bool(const struct ccz_json *o, const char *key, bool want)
{
    bool b;
    return ccz_json_bool(&b, ccz_json_get(o, key)) && b == want;
}

static void test_demands(void)
{
    CCZ_AUTO(ccz_policy) p = parse(policy_text);
    CCZ_AUTO(ccz_json) j = explain(p, NULL, NOW);
    CHECK(!ccz_json_get(j, "accept"));
    const struct ccz_json *f = field_of(j, 0, "isv_svn");
    CHECK(is_str(f, "expected", "at least 5, 3") && is_bool(f, "named", true) &&
          is_bool(f, "judged", true) && !ccz_json_get(f, "outcome") && !ccz_json_get(f, "got"));
    CHECK(is_bool(field_of(j, 0, "debug"), "named", false) &&
          is_bool(field_of(j, 0, "debug"), "judged", true));
    CHECK(is_bool(field_of(j, 0, "xfrm"), "judged", false));
    CHECK(is_str(field_of(j, 0, "tcb_status"), "expected",
                 "UpToDate; until 2027-01-15T09:00:00Z also OutOfDate"));
    CHECK(is_str(field_of(j, 0, "advisories"), "expected",
                 "only those that the rule allows: X-2, X-3; none that the rule denies: X-1"));
    CHECK(is_str(ccz_json_at(ccz_json_get(j, "rules"), 0), "grace_until", "2027-01-15T09:00:00Z"));
    CHECK(is_str(field_of(j, 1, "product"), "expected", "Milan, Genoa"));
    CHECK(is_str(field_of(j, 1, "reported_tcb"), "expected",
                 "fmc 0, boot_loader 4, tee at least 0, snp at least 22, microcode at least 213"));
    CHECK(is_bool(field_of(j, 1, "vmpl"), "named", false) &&
          is_str(field_of(j, 1, "vmpl"), "expected", "0"));
    CHECK(!field_of(j, 1, "mrenclave") && !field_of(j, 0, "measurement"));
    CHECK(ccz_json_type(ccz_json_get(ccz_json_at(ccz_json_get(j, "rules"), 1), "grace_until")) ==
          CCZ_JSON_NULL);
    CCZ_AUTO(ccz_json) later = explain(p, NULL, NOW + 3600);
    CHECK(is_str(field_of(later, 0, "tcb_status"), "expected",
                 "UpToDate; ended 2027-01-15T09:00:00Z also OutOfDate"));
}

/* Not only the first refusal: every field with its outcome. */
static void test_outcomes(void)
{
    CCZ_AUTO(ccz_policy) p = parse(policy_text);
    struct ccz_claims c = sgx_claims();
    c.advisory_len = 1;
    (void)snprintf(c.advisory[0], CCZ_ADVISORY_SIZE, "X-4");
    CCZ_AUTO(ccz_json) j = explain(p, &c, NOW);
    CHECK(is_bool(j, "accept", false) && is_str(j, "where", "policy:isv_svn"));
    CHECK(is_bool(ccz_json_at(ccz_json_get(j, "rules"), 0), "accept", false));
    CHECK(is_str(field_of(j, 0, "isv_svn"), "outcome", "fail") &&
          is_str(field_of(j, 0, "isv_svn"), "got", "4"));
    CHECK(is_str(field_of(j, 0, "advisories"), "outcome", "fail") &&
          is_str(field_of(j, 0, "advisories"), "got", "X-4"));
    CHECK(is_str(field_of(j, 0, "tcb_status"), "outcome", "grace"));
    CHECK(is_str(field_of(j, 0, "mrenclave"), "outcome", "pass"));
    CHECK(is_str(field_of(j, 0, "xfrm"), "outcome", "not-judged"));
    CHECK(!ccz_json_get(field_of(j, 1, "vmpl"), "outcome")); /* a rule for another TEE */
    CHECK(is_bool(ccz_json_at(ccz_json_get(j, "rules"), 1), "accept", false));
    c.isv_svn = 5;
    c.advisory_len = 0;
    CCZ_AUTO(ccz_json) yes = explain(p, &c, NOW);
    CHECK(is_bool(yes, "accept", true) && is_str(yes, "rule", "a") &&
          is_str(yes, "grace_until", "2027-01-15T09:00:00Z") &&
          is_bool(ccz_json_at(ccz_json_get(yes, "rules"), 0), "accept", true));
    c.collateral_expires_s = NOW - 1;
    CCZ_AUTO(ccz_json) old = explain(p, &c, NOW);
    CHECK(is_bool(old, "accept", false) && is_str(old, "where", "policy:collateral-expired"));
}

static void test_text(void)
{
    CCZ_AUTO(ccz_policy) p = parse(policy_text);
    CCZ_AUTO(ccz_policy) none = parse("{}");
    struct ccz_claims c = sgx_claims();
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 20);
    CHECK(ccz_policy_explain(&out, p, NULL, NOW, CCZ_POLICY_TEXT, &err) == CCZ_OK);
    const char *text = ccz_buf_str(&out);
    CHECK(strstr(text, "rule \"a\" accepts evidence of tee sgx") &&
          strstr(text, "until 2027-01-15T09:00:00Z also OutOfDate") && strstr(text, "default") &&
          strstr(text, "not judged:") && strstr(text, "chip_id"));
    ccz_buf_clear(&out);
    CHECK(ccz_policy_explain(&out, p, &c, NOW, CCZ_POLICY_TEXT, &err) == CCZ_OK);
    text = ccz_buf_str(&out);
    CHECK(strstr(text, "rule \"a\" refuses:") &&
          strstr(text, "fail   got 4, expected at least 5, 3") &&
          strstr(text, "rule \"b\" refuses: it is about tee snp"));
    ccz_buf_clear(&out);
    CHECK(ccz_policy_explain(&out, none, &c, NOW, CCZ_POLICY_TEXT, &err) == CCZ_OK &&
          strstr(ccz_buf_str(&out), "refuses everybody"));
    CCZ_AUTO_BUF small;
    ccz_buf_init(&small, 300);
    ccz_buf_put_str(&small, "x");
    CHECK(ccz_policy_explain(&small, p, &c, NOW, CCZ_POLICY_TEXT, &err) == CCZ_E_LIMIT &&
          strcmp(err.where, "policy:explain") == 0 && small.size == 1);
    CHECK(strcmp(ccz_policy_outcome_name((enum ccz_policy_outcome)9), "fail") == 0);
}

/* explain and eval are two readers of one judgement. */
static void test_agrees(void)
{
    CCZ_AUTO(ccz_policy) p = parse(policy_text);
    struct ccz_claims base = sgx_claims();
    base.isv_svn = 5;
    for (size_t bit = 0; bit < 8 * sizeof(base.attributes); bit++) {
        struct ccz_claims c = base;
        struct ccz_verdict v;
        c.attributes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CCZ_AUTO(ccz_json) j = explain(p, &c, NOW);
        bool accepts = ccz_policy_eval(&v, p, &c, NOW, NULL) == CCZ_OK;
        CHECK(is_bool(j, "accept", accepts) &&
              is_bool(ccz_json_at(ccz_json_get(j, "rules"), 0), "accept", accepts));
        CHECK(is_str(field_of(j, 0, "attributes"), "outcome", accepts ? "pass" : "fail"));
    }
}

/* -------------------------------------------------------------------------------------- schema */

static const struct ccz_json *def(const struct ccz_json *schema, const char *name)
{
    return ccz_json_get(ccz_json_get(schema, "$defs"), name);
}

/* The members of a rule of @p tee are the fields of that TEE, each with the schema of its kind, and what
 * no field is; the same for its grace. */
static void check_members(const struct ccz_json *schema, enum ccz_tee tee, bool grace)
{
    char name[32];
    (void)snprintf(name, sizeof(name), grace ? "%s_grace" : "%s_rule", ccz_tee_name(tee));
    const struct ccz_json *rule = def(schema, name), *members = ccz_json_get(rule, "properties");
    CHECK(is_bool(rule, "additionalProperties", false));
    size_t len = grace ? 1 : 4; /* until; name, tee, description, grace */
    for (size_t i = 0; i < cczi_fields_len; i++) {
        const struct cczi_field *f = &cczi_fields[i];
        bool want = f->tees & 1u << tee && (!grace || f->flags & CCZI_GRACE);
        const struct ccz_json *m = ccz_json_get(members, f->name);
        char ref[80];
        (void)snprintf(ref, sizeof(ref), "#/$defs/%s", f->name);
        CHECK((m != NULL) == want && (!m || is_str(m, "$ref", ref)));
        len += want;
    }
    CHECK(ccz_json_len(members) == len);
}

static void test_schema(void)
{
    CCZ_AUTO_BUF out, file;
    CCZ_AUTO(ccz_json) j = NULL;
    ccz_buf_init(&out, 1 << 20);
    ccz_buf_init(&file, 1 << 20);
    ccz_policy_schema(&out);
    CHECK(ccz_json_parse(&j, ccz_buf_span(&out), &err) == CCZ_OK);
    for (int t = CCZ_TEE_SGX; t <= CCZ_TEE_SNP; t++) {
        check_members(j, (enum ccz_tee)t, false);
        check_members(j, (enum ccz_tee)t, true);
    }
    for (size_t i = 0; i < cczi_fields_len; i++) {
        CCZ_AUTO_BUF one;
        CCZ_AUTO(ccz_json) d = NULL;
        ccz_buf_init(&one, 1 << 16);
        cczi_fields[i].kind->schema(&one, &cczi_fields[i]);
        CHECK(ccz_json_parse(&d, ccz_buf_span(&one), &err) == CCZ_OK &&
              ccz_json_len(def(j, cczi_fields[i].name)) == ccz_json_len(d));
    }
    CHECK(is_str(def(j, "mrtd") ? ccz_json_at(ccz_json_get(def(j, "mrtd"), "anyOf"), 0) : NULL,
                 "pattern", "^[0-9A-Fa-f]{96}$"));
    CHECK(ccz_file_read(&file, CCZ_TEST_SOURCE_DIR "/docs/reference/policy.schema.json", &err) ==
          CCZ_OK);
    bool same = ccz_span_eq(ccz_buf_span(&out), ccz_buf_span(&file));
    if (!same)
        fprintf(stderr, "run: cczoo policy schema > docs/reference/policy.schema.json\n");
    CHECK(same);
}

/* Each field stands in a row of the reference page, in back quotes, with its TEEs. */
static void test_documented(void)
{
    CCZ_AUTO_BUF page;
    ccz_buf_init(&page, 1 << 20);
    CHECK(ccz_file_read(&page, CCZ_TEST_SOURCE_DIR "/docs/reference/policy.md", &err) == CCZ_OK);
    for (size_t i = 0; i < cczi_fields_len; i++) {
        const struct cczi_field *f = &cczi_fields[i];
        char name[64];
        (void)snprintf(name, sizeof(name), "`%s`",
                       strcmp(f->name, "rtmr1") == 0 || strcmp(f->name, "rtmr2") == 0 ? "rtmr0"
                                                                                      : f->name);
        bool row = false; /* a line of a table that names it in its first cell */
        for (const char *line = ccz_buf_str(&page); line; line = strchr(line, '\n')) {
            line += *line == '\n';
            const char *hit = strstr(line, name),
                       *cell = line[0] == '|' ? strchr(line + 1, '|') : NULL;
            if (!hit || !cell || hit > cell)
                continue;
            const char *end = strchr(line, '\n');
            row = true;
            CHECK(((f->flags & CCZI_GRACE) != 0) == (strncmp(end - 5, "| g |", 5) == 0));
        }
        if (!row)
            fprintf(stderr, "%s stands in no table of policy.md\n", name);
        CHECK(row);
    }
}

static const struct ccz_test tests[] = {
    {"policy.demands", test_demands}, {"policy.outcomes", test_outcomes},
    {"policy.text", test_text},       {"policy.agrees", test_agrees},
    {"policy.schema", test_schema},   {"policy.documented", test_documented},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
