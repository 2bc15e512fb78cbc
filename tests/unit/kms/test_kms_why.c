/* SPDX-License-Identifier: Apache-2.0 */
/* Ids of decisions, what the refused are told and what is on record, who may read it. */
#define _GNU_SOURCE
#include "kms/kms_why_kit.h"

static void test_ids(void)
{
    static const char *const bad[] = {"",
                                      "D",
                                      "17",
                                      "d17",
                                      "D0",
                                      "D017",
                                      "D+1",
                                      "D-1",
                                      "D 1",
                                      "D1 ",
                                      " D1",
                                      "D1x",
                                      "D1.0",
                                      "D0x11",
                                      "DD17",
                                      "D9223372036854775808",
                                      "D99999999999999999999",
                                      "D1\n"};
    char text[CCZ_KMS_DECISION_SIZE];
    uint64_t seq = 1;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        seq = 1;
        REFUSED(ccz_kms_decision_parse(&seq, ccz_span_str(bad[i]), &err), CCZ_E_FORMAT,
                "kms:decision");
        CHECK(seq == 0);
    }
    REFUSED(ccz_kms_decision_parse(&seq, CCZ_SPAN("D1\0", 3), &err), CCZ_E_FORMAT, "kms:decision");
    static const uint64_t good[] = {1, 17, 1000000, INT64_MAX};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ccz_kms_decision_print(text, good[i]);
        CHECK(ccz_kms_decision_parse(&seq, ccz_span_str(text), &err) == CCZ_OK && seq == good[i]);
    }
}

/* Everything that a decision is about, for auditors; for others where, their own claim and the number. */
static void test_why(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    CHECK(fix_put_secret(s, "team/theirs", "v", NULL, false, &err) == CCZ_OK);
    CHECK(fix_put_policy(s, "team/p", fix_policy_other, false, &err) == CCZ_OK);
    const struct cczi_msg_bind_req bind = {.item = ccz_span_str("secret/team/theirs"),
                                           .policy = ccz_span_str("team/p")};
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "Bind", cczi_msg_bind_req, &bind, &err) == CCZ_OK);
    const struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    REFUSED(release_as(s, &peer, "secret/team/theirs", FIX_NOW), CCZ_E_POLICY, "policy:mrenclave");
    char see[64];
    const uint64_t seq = fix_check(s).audit_lines;
    (void)snprintf(see, sizeof(see), "see decision D%llu", (unsigned long long)seq);
    CHECK(strncmp(err.got, "aaaaaaaa", 8) == 0 && strcmp(err.expected, see) == 0);
    CHECK(strstr(err.msg, "other") == NULL && strstr(err.hint, see + 13) != NULL);
    struct cczi_msg_decision d = why(&out, s, seq);
    char sha256[65];
    uint8_t digest[32];
    CHECK(ccz_sha256(digest, ccz_span_str(fix_policy_other)) == CCZ_OK);
    ccz_hex(sha256, digest, 32);
    CHECK(is(d.op, "Release") && is(d.verdict, "reject") && is(d.item, "secret/team/theirs"));
    CHECK(is(d.policy, "team/p") && is(d.policy_sha256, sha256) && is(d.rule, "other"));
    CHECK(is(d.where, "policy:mrenclave") && d.time_s == FIX_NOW && d.version == 1);
    CHECK(is(d.got, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    CHECK(is(d.expected, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"));
    CHECK(is(d.reason, "rule \"other\" does not accept this mrenclave"));
    /* the line itself, which the hash is of */
    struct ccz_kms_audit_line l = {.seq = seq, .time_s = FIX_NOW, .entry = d.entry};
    memcpy(l.prev, d.prev.ptr, 32);
    memcpy(l.hash, d.hash.ptr, 32);
    CHECK(ccz_kms_audit_check(&l, &err) == CCZ_OK);
    /* an accepted one */
    CHECK(release_as(s, &peer, "key/model", FIX_NOW) == CCZ_OK);
    d = why(&out, s, seq + 1); /* asking why leaves no line */
    CHECK(is(d.verdict, "accept") && is(d.rule, "server") && is(d.policy, "server") &&
          d.where.size == 0 && d.expected.size == 0 && d.grace_until.size == 0);
    /* and one of the store's own */
    d = why(&out, s, 1);
    CHECK(is(d.op, "init") && d.item.size == 0);
    ccz_kms_store_free(s);
}

static ccz_rc ask(struct ccz_kms_store *s, enum fix_who who, uint64_t seq)
{
    char id[CCZ_KMS_DECISION_SIZE];
    ccz_kms_decision_print(id, seq);
    const struct cczi_msg_name m = {ccz_span_str(id)};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_rc rc = fix_msg(&out, s, who, "Why", cczi_msg_name, &m, &err);
    CHECK((out.size != 0) == (rc == CCZ_OK));
    return rc;
}

/* A key that is auditor of namespace @p ns alone. */
static void set_auditor(struct ccz_kms_store *s, enum fix_who who, const char *ns)
{
    struct cczi_kms_admin a = {.roles = CCZ_KMS_ROLE_AUDITOR};
    fix_spki(a.id, who);
    (void)snprintf(a.ns, sizeof(a.ns), "%s", ns);
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK && cczi_kms_admin_put(s, &a, &err) == CCZ_OK &&
          cczi_kms_commit(s, &err) == CCZ_OK);
}

/* Decisions are read by auditors of what they are about: not by workloads, not even their own. */
static void test_who(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    set_auditor(s, FIX_STRANGER, "db");
    const struct ccz_ratls_peer peer = workload(7);
    REFUSED(release_as(s, &peer, "secret/db/password", FIX_NOW), CCZ_E_POLICY, "policy:mrenclave");
    REFUSED(release_as(s, &peer, "key/model", FIX_NOW), CCZ_E_POLICY, "policy:mrenclave");
    const uint64_t model = fix_check(s).audit_lines, db = model - 1;
    CHECK(ask(s, FIX_ADMIN, db) == CCZ_OK && ask(s, FIX_ADMIN, model) == CCZ_OK);
    CHECK(ask(s, FIX_AUDITOR, db) == CCZ_OK && ask(s, FIX_AUDITOR, model) == CCZ_OK);
    CHECK(ask(s, FIX_STRANGER, db) == CCZ_OK); /* of namespace db */
    REFUSED(ask(s, FIX_STRANGER, model), CCZ_E_DENIED, "kms:role");
    REFUSED(ask(s, FIX_STRANGER, 1), CCZ_E_DENIED, "kms:role"); /* about no item */
    /* what he may not read and what is not there look alike to him */
    struct ccz_err denied = err;
    REFUSED(ask(s, FIX_STRANGER, 1000000), CCZ_E_DENIED, "kms:role");
    CHECK(strcmp(denied.msg, err.msg) == 0 && strcmp(denied.got, err.got) == 0);
    REFUSED(ask(s, FIX_ADMIN, 1000000), CCZ_E_NOT_FOUND, "kms:decision");
    REFUSED(ask(s, FIX_WORKLOAD, db), CCZ_E_DENIED, "kms:admin-required");
    REFUSED(ask(s, FIX_STALE, db), CCZ_E_DENIED, "kms:admin-required");
    REFUSED(ask(s, FIX_NOBODY, db), CCZ_E_DENIED, "kms:admin-required");
    const struct cczi_msg_name m = {ccz_span_str("17")};
    REFUSED(fix_msg(NULL, s, FIX_ADMIN, "Why", cczi_msg_name, &m, &err), CCZ_E_FORMAT,
            "kms:decision");
    ccz_kms_store_free(s);
}

/* A line that was changed since is not passed on as a decision. */
static void test_changed(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    CHECK(cczi_kms_db_exec(&s->db, "UPDATE audit SET entry = x'7b7d' WHERE seq = 3", &err) ==
          CCZ_OK);
    REFUSED(ask(s, FIX_ADMIN, 3), CCZ_E_SIG, "kms:audit-chain");
    ccz_kms_store_free(s);
}

/* Policies that expect different things of the same claims, in the same place. */
static const struct {
    const char *one, *two; /* members of the rule */
    const char *where, *got;
} pairs[] = {
    {"\"mrenclave\":\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"",
     "\"mrenclave\":[\"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\","
     "\"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd\"]",
     "policy:mrenclave", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
    {"MRE,\"isv_svn\":{\"min\":6}", "MRE,\"isv_svn\":[9,10]", "policy:isv_svn", "5"},
    {"MRE,\"tcb_status\":[\"UpToDate\"]",
     "MRE,\"tcb_status\":[\"SWHardeningNeeded\"],\"grace\":{\"until\":\"2020-01-01T00:00:00Z\","
     "\"tcb_status\":[\"OutOfDate\"]}",
     "policy:tcb_status", "OutOfDate"},
    {"MRE,\"advisories\":{\"deny\":[\"INTEL-SA-00002\"]}",
     "MRE,\"advisories\":{\"allow\":[\"INTEL-SA-00002\"]}", "policy:advisories",
     "INTEL-SA-00001, INTEL-SA-00002"},
    {"MRE,\"xfrm\":{\"mask\":\"ff00000000000000\",\"value\":\"0100000000000000\"}",
     "MRE,\"xfrm\":{\"mask\":\"0f00000000000000\",\"value\":\"0700000000000000\"}", "policy:xfrm",
     "0300000000000000"},
    {"MRE,\"collateral_max_age_s\":5", "MRE,\"collateral_max_age_s\":500",
     "policy:collateral_max_age_s", "1000"},
    {"MRE,\"tcb_date\":{\"min\":\"2024-01-01T00:00:00Z\"}",
     "MRE,\"tcb_date\":{\"min\":\"2025-06-01T00:00:00Z\"}", "policy:tcb_date",
     "2023-11-13T18:26:40Z"},
};

/* The told error, without the number of the decision, which is all that may differ. */
static void told(struct ccz_err *out, struct ccz_kms_store *s, const char *rule, const char *name,
                 size_t pair)
{
    static const char mre[] =
        "\"mrenclave\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"";
    char json[2048];
    bool same = strncmp(rule, "MRE", 3) == 0;
    (void)snprintf(
        json, sizeof(json),
        "{\"version\":1,\"rules\":[{\"name\":\"%s\",\"tee\":\"sgx\",\"sim\":true,%s%s%s}]}", name,
        same ? mre : "", rule + (same ? 3 : 0),
        strstr(rule, "tcb_status") ? "" : ",\"tcb_status\":[\"OutOfDate\"]");
    struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    peer.claims.isv_svn = 5;
    peer.claims.tcb_status = CCZ_TCB_OUT_OF_DATE;
    peer.claims.attributes[8] = 3;
    peer.claims.advisory_len = 2;
    (void)snprintf(peer.claims.advisory[0], CCZ_ADVISORY_SIZE, "INTEL-SA-00001");
    (void)snprintf(peer.claims.advisory[1], CCZ_ADVISORY_SIZE, "INTEL-SA-00002");
    CHECK(fix_put_policy(s, "server", json, true, &err) == CCZ_OK);
    REFUSED(release_as(s, &peer, "key/model", FIX_NOW), CCZ_E_POLICY, pairs[pair].where);
    CHECK(strcmp(err.got, pairs[pair].got) == 0);
    *out = err;
    char id[CCZ_KMS_DECISION_SIZE], see[CCZ_ERR_VALUE_SIZE];
    ccz_kms_decision_print(id, fix_check(s).audit_lines);
    (void)snprintf(see, sizeof(see), "see decision %s", id);
    CHECK(strcmp(out->expected, see) == 0);
    char *at[] = {strstr(out->msg, id), strstr(out->expected, id), strstr(out->hint, id)};
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
        if (at[i])
            memmove(at[i], at[i] + strlen(id), strlen(at[i] + strlen(id)) + 1);
    /* an auditor reads all of it */
    CCZ_AUTO_BUF full;
    ccz_buf_init(&full, CCZ_KMS_MESSAGE_SIZE_MAX);
    struct cczi_msg_decision d = why(&full, s, fix_check(s).audit_lines);
    CHECK(is(d.rule, name) && d.expected.size && is(d.where, pairs[pair].where));
}

/* A refusal tells nothing of what the policy expects: another policy, the same words. */
static void test_told(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct ccz_err one = {0}, two = {0};
        told(&one, s, pairs[i].one, "alpha", i);
        told(&two, s, pairs[i].two, "omega", i);
        CHECK(strcmp(one.where, two.where) == 0 && strcmp(one.got, two.got) == 0);
        CHECK(strcmp(one.expected, two.expected) == 0 && strcmp(one.msg, two.msg) == 0);
        CHECK(strcmp(one.hint, two.hint) == 0 && one.aux == two.aux && one.rc == two.rc);
    }
    ccz_kms_store_free(s);
}

/* Refusals that are no policy's are told in full: nothing of a policy is in them. */
static void test_told_others(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    const struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    REFUSED(release_as(s, &peer, "secret/loose", FIX_NOW), CCZ_E_DENIED, "kms:unbound");
    CHECK(strcmp(err.expected, "an item bound to a policy") == 0);
    const struct cczi_msg_delete_req m = {.target = ccz_span_str("key/model")};
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "Disable", cczi_msg_target_req, &m, &err) == CCZ_OK);
    REFUSED(release_as(s, &peer, "key/model", FIX_NOW), CCZ_E_DENIED, "kms:disabled");
    REFUSED(fix_put_policy(s, "new", "{\"version\":1,\"rules\":[{}]}", false, &err), CCZ_E_FORMAT,
            "policy:name");
    CHECK(strstr(err.msg, "rules[0]") != NULL);
    ccz_kms_store_free(s);
}

/* Every refusal that is on record says which decision it is, to whoever asked by whatever door. */
static struct fix_batch g_batch;
static void test_batch(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    struct fix_batch *b = &g_batch;
    const uint64_t before = fix_check(s).audit_lines;
    fix_batch_begin(b);
    fix_batch_release(b, FIX_WORKLOAD, "key/model");
    fix_batch_release(b, FIX_WORKLOAD, "secret/loose");
    fix_batch_release(b, FIX_WORKLOAD, "key/model");
    b->peer[2].claims.debug = true;
    fix_batch_release(b, FIX_NOBODY, "key/model");
    fix_batch_run(b, s);
    static const char *const ids[] = {"", "D2", "D3", "D4"};
    for (size_t i = 0; i < b->len; i++) {
        char want[CCZ_KMS_DECISION_SIZE] = "";
        if (ids[i][0])
            ccz_kms_decision_print(want, before + 1 + i);
        CHECK(strcmp(b->entry[i].decision, want) == 0);
    }
    CHECK(strstr(b->entry[2].err.expected, b->entry[2].decision) != NULL);
    fix_batch_end(b);
    ccz_kms_store_free(s);
}

/* What could not be recorded has no number; it is refused all the same, and as little is told. */
static void test_unrecorded(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    const struct ccz_ratls_peer peer = workload(1);
    CHECK(cczi_kms_db_exec(&s->db, "ALTER TABLE audit RENAME TO elsewhere", &err) == CCZ_OK);
    REFUSED(release_as(s, &peer, "key/model", FIX_NOW), CCZ_E_POLICY, "policy:mrenclave");
    CHECK(strcmp(err.expected, "not on record") == 0 && err.hint[0] == 0);
    ccz_kms_store_free(s);
}

/* A rule that accepts for a time only says so on record. */
static void test_grace(void)
{
    static const char json[] =
        "{\"version\":1,\"rules\":[{\"name\":\"server\",\"tee\":\"sgx\",\"sim\":true,\"mrenclave\":"
        "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"grace\":{\"until\":"
        "\"2023-11-15T00:00:00Z\",\"tcb_status\":[\"OutOfDate\"]}}]}";
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    CHECK(fix_put_policy(s, "server", json, true, &err) == CCZ_OK);
    struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    peer.claims.tcb_status = CCZ_TCB_OUT_OF_DATE;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    CHECK(release_as(s, &peer, "key/model", FIX_NOW) == CCZ_OK);
    struct cczi_msg_decision d = why(&out, s, fix_check(s).audit_lines);
    CHECK(is(d.verdict, "accept") && is(d.grace_until, "2023-11-15T00:00:00Z"));
    REFUSED(release_as(s, &peer, "key/model", FIX_NOW + 6400), CCZ_E_POLICY, "policy:tcb_status");
    d = why(&out, s, fix_check(s).audit_lines);
    CHECK(d.grace_until.size == 0 && is(d.expected, "UpToDate (grace ended 2023-11-15T00:00:00Z)"));
    ccz_kms_store_free(s);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"kms.why_ids", test_ids},     {"kms.why", test_why},
        {"kms.why_who", test_who},     {"kms.why_changed", test_changed},
        {"kms.why_told", test_told},   {"kms.why_told_others", test_told_others},
        {"kms.why_batch", test_batch}, {"kms.why_unrecorded", test_unrecorded},
        {"kms.why_grace", test_grace},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
