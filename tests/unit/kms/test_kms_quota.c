/* SPDX-License-Identifier: Apache-2.0 */
/* What one namespace may have in the store: nobody fills it for the others. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "kms/kms_hook.h"
#include "kms/quota.h"
#include "kms/use_fixture.h"

#include <cczoo/kms_reference.h>

static struct ccz_kms_store *g_s;

static bool refused(ccz_rc rc, const char *where)
{
    bool yes = rc == CCZ_E_LIMIT && strcmp(err.where, where) == 0 && err.hint[0];
    if (!yes)
        fprintf(stderr, "%s at \"%s\" (%s), expected \"%s\"\n", ccz_rc_name(rc), err.where, err.msg,
                where);
    return yes;
}

static ccz_rc put(const char *name, const char *value, bool again)
{
    err = (struct ccz_err){0};
    return fix_put_secret(g_s, name, value, NULL, again, &err);
}

static ccz_rc make(const char *name)
{
    ccz_rc rc = use_make(g_s, name, "aes-256-gcm", NULL, "server");
    err = use_err;
    return rc;
}

static ccz_rc destroy(const char *item, uint32_t version)
{
    struct cczi_msg_delete_req m = {
        .target = ccz_span_str(item), .version = version, .no_recovery = 1};
    return fix_msg(NULL, g_s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &m, &err);
}

static void start(const struct ccz_kms_quota *q)
{
    g_s = fix_memory_store();
    cczi_kms_quotas_limit(g_s->quotas, q);
}

static void finish(void)
{
    (void)fix_check(g_s);
    ccz_kms_store_free(g_s);
}

static void test_items(void)
{
    start(&(struct ccz_kms_quota){.items = 4, .versions = 6});
    CHECK(fix_put_policy(g_s, "server", fix_policy, false, &err) == CCZ_OK);
    CHECK(put("a/1", "v", false) == CCZ_OK && put("a/2", "v", false) == CCZ_OK);
    /* one name, twice: a key and a secret */
    CHECK(fix_create_key(g_s, "a/1", "aes-128", (struct ccz_span){0}, NULL, &err) == CCZ_OK);
    CHECK(put("a/3", "v", false) == CCZ_OK);
    CHECK(refused(put("a/4", "v", false), "kms:quota-items") && strcmp(err.got, "5") == 0);
    CHECK(refused(make("a/k"), "kms:quota-items")); /* by whatever method */
    CHECK(put("a/3", "v", true) == CCZ_OK && put("a/3", "v", true) == CCZ_OK);
    CHECK(refused(put("a/3", "v", true), "kms:quota-versions"));
    for (int i = 0; i < 4; i++) /* others have theirs, also those without a namespace */
        CHECK(put((const char *[]){"b/1", "b/2", "1", "2"}[i], "v", false) == CCZ_OK);
    /* what is destroyed makes room */
    CHECK(destroy("secret/a/2", 0) == CCZ_OK);
    CHECK(put("a/4", "v", false) == CCZ_OK);
    CHECK(refused(put("a/5", "v", false), "kms:quota-items"));
    /* what was refused or undone does not count */
    CHECK(put("c/1", "v", false) == CCZ_OK);
    for (int i = 0; i < 20; i++)
        CHECK(put("c/1", "v", false) == CCZ_E_EXISTS);
    for (int i = 0; i < 3; i++)
        CHECK(put((const char *[]){"c/2", "c/3", "c/4"}[i], "v", false) == CCZ_OK);
    CHECK(refused(put("c/5", "v", false), "kms:quota-items"));
    /* a limit that is lowered keeps what is there, readable and all */
    cczi_kms_quotas_limit(g_s->quotas, &(struct ccz_kms_quota){.items = 1});
    CHECK(refused(put("b/3", "v", false), "kms:quota-items"));
    CHECK(put("b/1", "v", true) == CCZ_OK);
    finish();
}

/* Not every put is counted, and no more fit than there is room for. */
static void test_ahead(void)
{
    enum { MANY = 200 };
    char name[32];
    start(&(struct ccz_kms_quota){.items = MANY});
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof(name), "n/%d", i);
        CHECK(put(name, "v", false) == CCZ_OK);
    }
    CHECK(refused(put("n/more", "v", false), "kms:quota-items"));
    finish();
}

/* Who has no room and asks again and again does not have all rows counted each time; what is destroyed is room at once. */
static void test_refused_again(void)
{
    start(&(struct ccz_kms_quota){.items = 2});
    CHECK(put("a/1", "v", false) == CCZ_OK && put("a/2", "v", false) == CCZ_OK);
    hook(g_s);
    h.count = CCZI_SQL_QUOTA_ITEMS;
    for (int i = 0; i < 20; i++)
        CHECK(refused(put("a/3", "v", false), "kms:quota-items"));
    CHECK(h.counted < 10); /* one, and one more for each second that this took */
    CHECK(destroy("secret/a/1", 0) == CCZ_OK && put("a/3", "v", false) == CCZ_OK);
    CHECK(refused(put("a/4", "v", false), "kms:quota-items"));
    g_s->db.ops = h.real;
    finish();
}

static void test_bytes(void)
{
    static char value[4001];
    memset(value, 'x', sizeof(value) - 1);
    start(&(struct ccz_kms_quota){.bytes = 10000});
    CHECK(put("a/1", value, false) == CCZ_OK && put("a/2", value, false) == CCZ_OK);
    CHECK(refused(put("a/3", value, false), "kms:quota-bytes"));
    CHECK(put("a/3", "small", false) == CCZ_OK && put("b/1", value, false) == CCZ_OK);
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 65536);
    cczi_kms_quotas_metrics(g_s->quotas, &text);
    CHECK(strstr(ccz_buf_str(&text), "cczoo_kms_quota_refused_total{of=\"bytes\"} 1\n"));
    CHECK(strstr(ccz_buf_str(&text), "cczoo_kms_quota_refused_total{of=\"items\"} 0\n"));
    CHECK(strstr(ccz_buf_str(&text), "cczoo_kms_quota_most_percent{of=\"bytes\"} 8"));
    CHECK(!strstr(ccz_buf_str(&text), "a/")); /* no names */
    finish();
}

static ccz_rc put_policy(const char *name, size_t size, bool replace)
{
    CCZ_AUTO_BUF json;
    err = (struct ccz_err){0};
    ccz_buf_init(&json, CCZ_POLICY_SIZE_MAX);
    ccz_buf_put_str(&json, fix_policy);
    while (json.size < size) /* white space is policy, too */
        ccz_buf_put_str(&json, " ");
    return fix_put_policy(g_s, name, ccz_buf_str(&json), replace, &err);
}

static void test_policies(void)
{
    start(&(struct ccz_kms_quota){.policies = 3, .policy_bytes = 20000});
    CHECK(put_policy("a/1", 9000, false) == CCZ_OK && put_policy("a/2", 9000, false) == CCZ_OK);
    CHECK(refused(put_policy("a/3", 9000, false), "kms:quota-policy-bytes"));
    CHECK(put_policy("a/3", 1000, false) == CCZ_OK);
    CHECK(refused(put_policy("a/4", 0, false), "kms:quota-policies"));
    CHECK(refused(put_policy("a/3", 9000, true), "kms:quota-policy-bytes"));
    CHECK(put_policy("a/2", 8000, true) == CCZ_OK && put_policy("b/1", 9000, false) == CCZ_OK);
    /* one that is too large already may be made smaller */
    cczi_kms_quotas_limit(g_s->quotas,
                          &(struct ccz_kms_quota){.policies = 3, .policy_bytes = 5000});
    CHECK(refused(put_policy("a/1", 9100, true), "kms:quota-policy-bytes"));
    CHECK(put_policy("a/1", 7000, true) == CCZ_OK);
    /* sets of reference values and policies on trial are policies as well */
    struct cczi_msg_put_reference_req r = {
        .name = ccz_span_str("a/set"),
        .json = ccz_span_str("{\"version\":1,\"values\":[{\"name\":\"1\",\"value\":\""
                             "0000000000000000000000000000000000000000000000000000000000000000"
                             "\"}]}")};
    CHECK(
        refused(fix_msg(NULL, g_s, FIX_ADMIN, "PutReference", cczi_msg_put_reference_req, &r, &err),
                "kms:quota-policies"));
    struct cczi_msg_stage_req st = {.policy = ccz_span_str("a/1"),
                                    .json = ccz_span_str(fix_policy_other),
                                    .ends_s = FIX_NOW + 1000};
    CHECK(refused(fix_msg(NULL, g_s, FIX_ADMIN, "StagePolicy", cczi_msg_stage_req, &st, &err),
                  "kms:quota-policy-bytes"));
    cczi_kms_quotas_limit(g_s->quotas, &(struct ccz_kms_quota){.policies = 3});
    CHECK(fix_msg(NULL, g_s, FIX_ADMIN, "StagePolicy", cczi_msg_stage_req, &st, &err) == CCZ_OK);
    finish();
}

/* What takes the place of something needs no room beside it: a version of reference values that of the oldest, a policy that is rolled
 * out its own text on trial. */
static void test_in_place(void)
{
    char json[256];
    uint8_t sha256[32];
    start(&(struct ccz_kms_quota){.policies = CCZ_KMS_REFERENCE_VERSIONS, .policy_bytes = 20000});
    for (unsigned i = 0; i < CCZ_KMS_REFERENCE_VERSIONS + 2; i++) {
        (void)snprintf(json, sizeof(json),
                       "{\"version\":1,\"values\":[{\"name\":\"%u\",\"value\":\"%064x\"}]}", i, i);
        struct cczi_msg_put_reference_req r = {
            .name = ccz_span_str("a/set"), .json = ccz_span_str(json), .replace = i > 0};
        CHECK(fix_msg(NULL, g_s, FIX_ADMIN, "PutReference", cczi_msg_put_reference_req, &r, &err) ==
              CCZ_OK);
    }
    CHECK(put_policy("b/1", 9000, false) == CCZ_OK);
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_POLICY_SIZE_MAX);
    ccz_buf_put_str(&text, fix_policy_other);
    while (text.size < 9500)
        ccz_buf_put_str(&text, " ");
    struct cczi_msg_stage_req st = {
        .policy = ccz_span_str("b/1"), .json = ccz_buf_span(&text), .ends_s = FIX_NOW + 1000};
    CHECK(fix_msg(NULL, g_s, FIX_ADMIN, "StagePolicy", cczi_msg_stage_req, &st, &err) == CCZ_OK);
    CHECK(ccz_sha256(sha256, ccz_buf_span(&text)) == CCZ_OK);
    struct cczi_msg_roll_out_req out = {ccz_span_str("b/1"), CCZ_SPAN(sha256, 32)};
    CHECK(fix_msg(NULL, g_s, FIX_ADMIN, "RollOut", cczi_msg_roll_out_req, &out, &err) == CCZ_OK);
    finish();
}

static const struct ccz_test tests[] = {{"kms.quota_items", test_items},
                                        {"kms.quota_ahead", test_ahead},
                                        {"kms.quota_refused_again", test_refused_again},
                                        {"kms.quota_bytes", test_bytes},
                                        {"kms.quota_policies", test_policies},
                                        {"kms.quota_in_place", test_in_place}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
