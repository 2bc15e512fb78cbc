/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a version after it was stored: disabled, expired, deleted, brought back, destroyed; compare and set. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "kms/kms_fixture.h"

enum { DAY_S = 86400 };

static struct ccz_err g_err;

static bool is(ccz_rc rc, ccz_rc want, const char *where)
{
    bool ok = rc == want && (rc == CCZ_OK || strcmp(g_err.where, where) == 0);
    if (!ok)
        fprintf(stderr, "%s at \"%s\" (%s), expected \"%s\"\n", ccz_rc_name(rc), g_err.where,
                g_err.msg, where);
    return ok;
}

static ccz_rc change(struct ccz_kms_store *s, const char *method, const char *target,
                     uint32_t version, int64_t now_s)
{
    struct cczi_msg_delete_req m = {.target = fix_str(target), .version = version};
    g_err = (struct ccz_err){0};
    return fix_msg_at(NULL, s, FIX_ADMIN, method, cczi_msg_target_req, &m, now_s, &g_err);
}

static ccz_rc delete_with(struct ccz_kms_store *s, const char *target, uint32_t version,
                          uint32_t recovery_s, bool no_recovery, int64_t now_s)
{
    struct cczi_msg_delete_req m = {.target = fix_str(target),
                                    .version = version,
                                    .recovery_s = recovery_s,
                                    .no_recovery = no_recovery};
    g_err = (struct ccz_err){0};
    return fix_msg_at(NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &m, now_s, &g_err);
}

static ccz_rc release(struct ccz_kms_store *s, const char *item, uint32_t version, int64_t now_s)
{
    struct cczi_msg_release_req m = {fix_str(item), version};
    struct ccz_buf out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    g_err = (struct ccz_err){0};
    ccz_rc rc =
        fix_msg_at(&out, s, FIX_WORKLOAD, "Release", cczi_msg_release_req, &m, now_s, &g_err);
    CHECK((rc == CCZ_OK) == (out.size != 0));
    ccz_buf_free(&out);
    return rc;
}

static void checked(struct ccz_kms_store *s)
{
    struct ccz_err err = {0};
    if (ccz_kms_store_check(NULL, s, &err) != CCZ_OK)
        fix_die(err.where);
    ccz_kms_store_free(s);
}

static const char password[] = "secret/db/password"; /* two versions, bound */

/* Deleted: released to nobody, there for administrators, brought back as it was. */
static void test_deleted(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    CHECK(is(delete_with(s, password, 2, 0, false, FIX_NOW), CCZ_OK, ""));
    CHECK(is(release(s, password, 2, FIX_NOW), CCZ_E_DENIED, "kms:deleted") && g_err.hint[0]);
    CHECK(is(release(s, password, 0, FIX_NOW), CCZ_E_DENIED,
             "kms:deleted")); /* no older one instead */
    CHECK(is(release(s, password, 1, FIX_NOW), CCZ_OK, ""));
    CHECK(is(delete_with(s, password, 2, 0, false, FIX_NOW), CCZ_E_MISMATCH, "kms:no-change"));
    /* its number and its name stay taken */
    CHECK(
        is(fix_put_secret(s, "db/password", "x", NULL, false, &g_err), CCZ_E_EXISTS, "kms:exists"));
    CHECK(fix_put_secret(s, "db/password", "third", NULL, true, &g_err) == CCZ_OK);
    CHECK(is(release(s, password, 3, FIX_NOW), CCZ_OK, ""));
    /* all the others; a whole item */
    CHECK(is(delete_with(s, password, 0, 0, false, FIX_NOW + 5), CCZ_OK, ""));
    for (uint32_t v = 1; v <= 3; v++)
        CHECK(is(release(s, password, v, FIX_NOW), CCZ_E_DENIED, "kms:deleted"));
    CHECK(is(change(s, "Undelete", password, 0, FIX_NOW + 100 * DAY_S), CCZ_OK,
             "")); /* late, but not too late */
    for (uint32_t v = 0; v <= 3; v++)
        CHECK(is(release(s, password, v, FIX_NOW), CCZ_OK, ""));
    CHECK(is(change(s, "Undelete", password, 0, FIX_NOW), CCZ_E_MISMATCH, "kms:no-change"));
    CHECK(is(change(s, "Undelete", password, 4, FIX_NOW), CCZ_E_NOT_FOUND, "kms:not-found"));
    CHECK(is(change(s, "Undelete", "policy/server", 0, FIX_NOW), CCZ_E_FORMAT, "kms:name"));
    /* the policy of a deleted item cannot go: it would come back under none */
    CHECK(is(delete_with(s, "key/model", 0, 0, false, FIX_NOW), CCZ_OK, ""));
    CHECK(is(delete_with(s, "policy/server", 0, 0, false, FIX_NOW), CCZ_E_DENIED,
             "kms:policy-in-use"));
    checked(s);
}

/* Destroying before the end of the window is refused, to the second; afterwards it is for good. */
static void test_window(void)
{
    static const struct {
        uint32_t asked_s;
        int64_t window_s;
    } cases[] = {{0, 7 * DAY_S}, {DAY_S, DAY_S}, {90 * DAY_S, 90 * DAY_S}};
    for (size_t i = 0; i < 3; i++) {
        struct ccz_kms_store *s = fix_memory_store();
        fix_populate(s);
        int64_t end_s = FIX_NOW + cases[i].window_s;
        CHECK(is(change(s, "Destroy", password, 0, FIX_NOW), CCZ_E_DENIED, "kms:not-deleted"));
        CHECK(is(delete_with(s, password, 0, cases[i].asked_s, false, FIX_NOW), CCZ_OK, ""));
        CHECK(is(change(s, "Destroy", password, 0, FIX_NOW), CCZ_E_DENIED, "kms:recovery-window"));
        CHECK(
            is(change(s, "Destroy", password, 1, end_s - 1), CCZ_E_DENIED, "kms:recovery-window"));
        CHECK(g_err.got[0] && g_err.expected[0] && g_err.hint[0]);
        /* deleting again does not bring the end nearer */
        CHECK(is(delete_with(s, password, 0, DAY_S, false, FIX_NOW - 50 * DAY_S), CCZ_E_MISMATCH,
                 "kms:no-change"));
        CHECK(
            is(change(s, "Destroy", password, 0, end_s - 1), CCZ_E_DENIED, "kms:recovery-window"));
        CHECK(is(release(s, password, 1, end_s + 5), CCZ_E_DENIED,
                 "kms:deleted")); /* nothing goes by itself */
        CHECK(is(change(s, "Destroy", password, 2, end_s), CCZ_E_DENIED, "kms:latest-version"));
        CHECK(is(change(s, "Destroy", password, 1, end_s), CCZ_OK, ""));
        CHECK(is(release(s, password, 1, end_s), CCZ_E_NOT_FOUND, "kms:not-found"));
        CHECK(is(change(s, "Undelete", password, 1, end_s), CCZ_E_NOT_FOUND, "kms:not-found"));
        CHECK(is(change(s, "Destroy", password, 0, end_s), CCZ_OK, ""));
        CHECK(is(change(s, "Destroy", password, 0, end_s), CCZ_E_NOT_FOUND, "kms:not-found"));
        /* a new item of the old name does not inherit the binding */
        CHECK(fix_put_secret(s, "db/password", "fresh", NULL, false, &g_err) == CCZ_OK);
        CHECK(is(release(s, password, 0, FIX_NOW), CCZ_E_DENIED, "kms:unbound"));
        checked(s);
    }
    /* one version of an item that is in use makes the whole call fail, and undoes it */
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    CHECK(is(delete_with(s, password, 2, DAY_S, false, FIX_NOW), CCZ_OK, ""));
    CHECK(is(change(s, "Destroy", password, 0, FIX_NOW + 2 * DAY_S), CCZ_E_DENIED,
             "kms:not-deleted"));
    CHECK(is(change(s, "Undelete", password, 2, FIX_NOW), CCZ_OK, ""));
    CHECK(is(release(s, password, 2, FIX_NOW), CCZ_OK, ""));
    checked(s);
}

/* Without a window only where that is said in as many words. */
static void test_no_recovery(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    CHECK(is(delete_with(s, password, 0, 1, false, FIX_NOW), CCZ_E_LIMIT, "kms:recovery"));
    CHECK(is(delete_with(s, password, 0, DAY_S - 1, false, FIX_NOW), CCZ_E_LIMIT, "kms:recovery"));
    CHECK(is(delete_with(s, password, 0, 90 * DAY_S + 1, false, FIX_NOW), CCZ_E_LIMIT,
             "kms:recovery"));
    CHECK(is(delete_with(s, password, 0, DAY_S, true, FIX_NOW), CCZ_E_FORMAT, "kms:request"));
    CHECK(is(delete_with(s, "policy/other", 0, 0, true, FIX_NOW), CCZ_E_FORMAT, "kms:request"));
    CHECK(is(release(s, password, 1, FIX_NOW), CCZ_OK, ""));
    CHECK(is(delete_with(s, password, 1, 0, true, FIX_NOW), CCZ_OK, ""));
    CHECK(is(change(s, "Undelete", password, 1, FIX_NOW), CCZ_E_NOT_FOUND, "kms:not-found"));
    CHECK(is(delete_with(s, password, 0, 0, true, FIX_NOW), CCZ_OK, ""));
    CHECK(is(release(s, password, 0, FIX_NOW), CCZ_E_NOT_FOUND, "kms:not-found"));
    /* the audit tells the two apart */
    struct ccz_buf out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    struct cczi_msg_audit_req tail = {0, 0};
    CHECK(fix_msg(&out, s, FIX_AUDITOR, "AuditTail", cczi_msg_audit_req, &tail, NULL) == CCZ_OK);
    CHECK(memmem(out.ptr, out.size, "destroyed without recovery", 26) != NULL);
    CHECK(memmem(out.ptr, out.size, "kept until", 10) == NULL);
    CHECK(is(delete_with(s, "key/model", 0, 0, false, FIX_NOW), CCZ_OK, ""));
    CHECK(fix_msg(&out, s, FIX_AUDITOR, "AuditTail", cczi_msg_audit_req, &tail, NULL) == CCZ_OK);
    CHECK(memmem(out.ptr, out.size, "kept until 2023-11-21T22:13:20Z at least", 40) != NULL);
    ccz_buf_free(&out);
    checked(s);
}

static void test_disabled(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    CHECK(is(change(s, "Enable", password, 0, FIX_NOW), CCZ_E_MISMATCH, "kms:no-change"));
    CHECK(is(change(s, "Disable", password, 1, FIX_NOW), CCZ_OK, ""));
    CHECK(is(release(s, password, 1, FIX_NOW), CCZ_E_DENIED, "kms:disabled") && g_err.hint[0]);
    CHECK(is(release(s, password, 2, FIX_NOW), CCZ_OK, ""));
    CHECK(is(change(s, "Disable", password, 0, FIX_NOW), CCZ_OK, "")); /* the one that is left */
    CHECK(is(change(s, "Disable", password, 0, FIX_NOW), CCZ_E_MISMATCH, "kms:no-change"));
    CHECK(is(release(s, password, 0, FIX_NOW), CCZ_E_DENIED, "kms:disabled"));
    /* who may not have it learns nothing of its state */
    CHECK(fix_put_policy(s, "server", fix_policy_other, true, NULL) == CCZ_OK);
    CHECK(is(release(s, password, 0, FIX_NOW), CCZ_E_POLICY, "policy:mrenclave"));
    CHECK(fix_put_policy(s, "server", fix_policy, true, NULL) == CCZ_OK);
    /* deleted and brought back, it is as disabled as before */
    CHECK(is(delete_with(s, password, 0, 0, false, FIX_NOW), CCZ_OK, ""));
    CHECK(is(change(s, "Undelete", password, 0, FIX_NOW), CCZ_OK, ""));
    CHECK(is(release(s, password, 2, FIX_NOW), CCZ_E_DENIED, "kms:disabled"));
    CHECK(is(change(s, "Enable", password, 0, FIX_NOW), CCZ_OK, ""));
    CHECK(is(release(s, password, 1, FIX_NOW), CCZ_OK, "") &&
          is(release(s, password, 2, FIX_NOW), CCZ_OK, ""));
    CHECK(is(change(s, "Disable", "key/absent", 0, FIX_NOW), CCZ_E_NOT_FOUND, "kms:not-found"));
    checked(s);
}

static ccz_rc put(struct ccz_kms_store *s, struct cczi_msg_put_req m)
{
    m.name = fix_str("new");
    m.value = fix_str("value");
    m.policy = fix_str("server");
    g_err = (struct ccz_err){0};
    return fix_msg(NULL, s, FIX_ADMIN, "PutSecret", cczi_msg_put_req, &m, &g_err);
}

static void test_expired(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    CHECK(is(put(s, (struct cczi_msg_put_req){.expires_s = FIX_NOW}), CCZ_E_FORMAT,
             "kms:expiry-past"));
    CHECK(is(put(s, (struct cczi_msg_put_req){.expires_s = FIX_NOW + 10}), CCZ_OK, ""));
    CHECK(is(release(s, "secret/new", 0, FIX_NOW + 9), CCZ_OK, ""));
    CHECK(is(release(s, "secret/new", 0, FIX_NOW + 10), CCZ_E_DENIED, "kms:expired"));
    CHECK(g_err.got[0] && g_err.expected[0]);
    CHECK(is(put(s, (struct cczi_msg_put_req){.new_version = 1}), CCZ_OK,
             "")); /* each version has its own */
    CHECK(is(release(s, "secret/new", 2, FIX_NOW + 10), CCZ_OK, ""));
    CHECK(is(release(s, "secret/new", 1, FIX_NOW + 10), CCZ_E_DENIED, "kms:expired"));
    checked(s);
}

/* Two writers who both saw version 1: one of them wins, the other is told. */
static void test_if_version(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    struct cczi_msg_put_req first = {.check_version = 1, .if_version = 0},
                            second = {.check_version = 1, .if_version = 1};
    CHECK(is(put(s, second), CCZ_E_MISMATCH, "kms:version-conflict"));
    CHECK(is(put(s, first), CCZ_OK, ""));
    CHECK(is(put(s, first), CCZ_E_MISMATCH, "kms:version-conflict") && g_err.hint[0]);
    CHECK(strcmp(g_err.got, "1") == 0 && strcmp(g_err.expected, "0") == 0);
    CHECK(is(put(s, second), CCZ_OK, ""));
    CHECK(is(put(s, second), CCZ_E_MISMATCH, "kms:version-conflict"));
    second.new_version = 1;
    CHECK(is(put(s, second), CCZ_E_FORMAT, "kms:request"));
    /* a deleted version is a version */
    CHECK(is(delete_with(s, "secret/new", 2, 0, false, FIX_NOW), CCZ_OK, ""));
    second = (struct cczi_msg_put_req){.check_version = 1, .if_version = 1};
    CHECK(is(put(s, second), CCZ_E_MISMATCH, "kms:version-conflict"));
    checked(s);
}

static void test_metadata(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    char large[CCZI_KMS_METADATA_SIZE_MAX + 2];
    const char *bad[] = {"x", "[]", "\"text\"", "{", "{\"a\":1,\"a\":2}", "{} {}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(is(put(s, (struct cczi_msg_put_req){.metadata = fix_str(bad[i])}), CCZ_E_FORMAT,
                 "kms:metadata"));
    (void)snprintf(large, sizeof(large), "{\"a\":\"%0*d\"}", CCZI_KMS_METADATA_SIZE_MAX - 8, 0);
    CHECK(strlen(large) == CCZI_KMS_METADATA_SIZE_MAX);
    CHECK(is(put(s, (struct cczi_msg_put_req){.metadata = fix_str(large)}), CCZ_OK, ""));
    large[CCZI_KMS_METADATA_SIZE_MAX] = ' ';
    large[CCZI_KMS_METADATA_SIZE_MAX + 1] = 0;
    CHECK(is(put(s, (struct cczi_msg_put_req){.metadata = fix_str(large), .new_version = 1}),
             CCZ_E_LIMIT, "kms:request"));
    struct cczi_msg_put_req m = {.metadata = fix_str("{\"owner\":\"team blue\"}"),
                                 .new_version = 1,
                                 .expires_s = FIX_NOW + 77};
    CHECK(is(put(s, m), CCZ_OK, ""));
    CHECK(is(change(s, "Disable", "secret/new", 2, FIX_NOW), CCZ_OK, ""));
    CHECK(is(delete_with(s, "secret/new", 2, 0, false, FIX_NOW), CCZ_OK, ""));
    /* all of it is told to auditors */
    struct ccz_buf out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    struct cczi_msg_name name = {fix_str("secret/new")};
    CHECK(fix_msg(&out, s, FIX_AUDITOR, "Describe", cczi_msg_name, &name, NULL) == CCZ_OK);
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&out));
    struct ccz_pb_field f;
    struct cczi_msg_item it = {0};
    while (ccz_pb_next(&f, &r)) {
        it = (struct cczi_msg_item){0};
        CHECK(cczi_msg_get(&it, cczi_msg_item, f.bytes, NULL) == CCZ_OK);
    }
    CHECK(it.version == 2 && it.disabled && it.expires_s == FIX_NOW + 77);
    CHECK(it.delete_after_s == FIX_NOW + 7 * DAY_S && ccz_span_eq(it.metadata, m.metadata));
    ccz_buf_free(&out);
    checked(s);
}

/* ---------------------------------------------------- time that passes before the store is held */

static struct ccz_kms_backend slow;
static int64_t clock_s, wait_s;

static enum cczi_kms_step slow_first(void *db, enum cczi_kms_sql sql,
                                     const struct cczi_kms_param *params, size_t len)
{
    if (sql == CCZI_SQL_BEGIN)
        clock_s += wait_s; /* another server holds it */
    return cczi_kms_sqlite()->first(db, sql, params, len);
}

static int64_t read_clock(void *arg)
{
    return *(int64_t *)arg;
}

static void test_expired_waiting(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    struct cczi_msg_put_req m = {.policy = fix_str("server"), .expires_s = FIX_NOW + 5};
    CHECK(is(put(s, m), CCZ_OK, ""));
    CHECK(is(fix_release(NULL, s, FIX_WORKLOAD, "secret/new", 0, &g_err), CCZ_OK, ""));
    slow = *cczi_kms_sqlite();
    slow.first = slow_first;
    s->db.ops = &slow;
    const struct ccz_clock clock = {read_clock, &clock_s};
    s->clock = &clock;
    clock_s = FIX_NOW;
    static const struct {
        int64_t wait_s;
        ccz_rc rc;
    } cases[] = {{4, CCZ_OK}, {40, CCZ_E_DENIED}};
    for (size_t i = 0; i < 2; i++) {
        static struct fix_batch b;
        wait_s = cases[i].wait_s;
        clock_s = FIX_NOW;
        fix_batch_begin(&b);
        fix_batch_release(&b, FIX_WORKLOAD, "secret/new");
        fix_batch_run(&b, s);
        if (b.entry[0].rc != cases[i].rc)
            fprintf(stderr, "%s %s\n", ccz_rc_name(b.entry[0].rc), b.entry[0].err.where);
        CHECK(b.entry[0].rc == cases[i].rc && b.entry[0].receipt.time_s == FIX_NOW + wait_s);
        CHECK(cases[i].rc == CCZ_OK || strcmp(b.entry[0].err.where, "kms:expired") == 0);
        fix_batch_end(&b);
    }
    s->db.ops = cczi_kms_sqlite();
    s->clock = NULL;
    checked(s);
}

/* More versions than a message holds: page by page, each of them once. */
static void test_describe_pages(void)
{
    enum { VERSIONS = 400 };
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    char large[CCZI_KMS_METADATA_SIZE_MAX + 1];
    (void)snprintf(large, sizeof(large), "{\"a\":\"%0*d\"}", CCZI_KMS_METADATA_SIZE_MAX - 8, 0);
    for (unsigned i = 0; i < VERSIONS; i++)
        CHECK(
            is(put(s, (struct cczi_msg_put_req){.metadata = fix_str(large), .new_version = i > 0}),
               CCZ_OK, ""));
    struct cczi_msg_describe_req m = {fix_str("secret/new"), 0};
    struct ccz_buf out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    unsigned pages = 0, version = 0;
    for (bool more = true; more; pages++, m.after_version = version) {
        struct ccz_err err = {0};
        CHECK(is(fix_msg(&out, s, FIX_AUDITOR, "Describe", cczi_msg_describe_req, &m, &err), CCZ_OK,
                 ""));
        struct ccz_rd r = ccz_rd_from(ccz_buf_span(&out));
        struct ccz_pb_field f;
        more = false;
        while (ccz_pb_next(&f, &r)) {
            struct cczi_msg_item it = {0};
            more = more || f.number == CCZI_MSG_MORE;
            if (f.number != CCZI_MSG_REPEATED)
                continue;
            CHECK(cczi_msg_get(&it, cczi_msg_item, f.bytes, NULL) == CCZ_OK);
            CHECK(it.version == ++version && it.metadata.size == CCZI_KMS_METADATA_SIZE_MAX);
        }
        CHECK(!r.bad);
    }
    CHECK(version == VERSIONS && pages == 2);
    m.after_version = VERSIONS; /* the end, which is no error */
    CHECK(fix_msg(&out, s, FIX_AUDITOR, "Describe", cczi_msg_describe_req, &m, NULL) == CCZ_OK &&
          out.size == 0);
    ccz_buf_free(&out);
    checked(s);
}

static const struct ccz_test tests[] = {
    {"kms.deleted", test_deleted},
    {"kms.window", test_window},
    {"kms.no_recovery", test_no_recovery},
    {"kms.disabled", test_disabled},
    {"kms.expired", test_expired},
    {"kms.if_version", test_if_version},
    {"kms.metadata", test_metadata},
    {"kms.describe_pages", test_describe_pages},
    {"kms.expired_waiting", test_expired_waiting},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
