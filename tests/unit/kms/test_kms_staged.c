/* SPDX-License-Identifier: Apache-2.0 */
/* Policies on trial: they never decide, they end, what they would have done is counted and on record; the roll-out. */
#define _GNU_SOURCE
#include "kms/kms_why_kit.h"

#define HOUR 3600
#define END  (FIX_NOW + 10 * HOUR)

/* As fix_policy, but without leave for anything that is not UpToDate; and one that also takes fix_policy_other's. */
static const char wider[] =
    "{\"version\":1,\"rules\":[{\"name\":\"wide\",\"tee\":\"sgx\",\"sim\":true,\"mrenclave\":["
    "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\","
    "\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"]}]}";

static struct ccz_ratls_peer other(void)
{
    struct ccz_ratls_peer p = fix_peer(FIX_WORKLOAD);
    memset(p.claims.mrenclave, 0xbb, 32);
    return p;
}

static struct ccz_kms_store *populated(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    return s;
}

/* The "staged" member of the last line; the caller frees *e. */
static const struct ccz_json *last_shadow(struct ccz_json **e, struct ccz_kms_store *s)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    struct cczi_msg_decision d = why(&out, s, fix_check(s).audit_lines);
    CHECK(ccz_json_parse(e, d.entry, &err) == CCZ_OK);
    return ccz_json_get(*e, "staged");
}

/* @param where  NULL: it accepts */
static void shadow_is(struct ccz_kms_store *s, const char *verdict, const char *rule,
                      const char *where)
{
    struct ccz_json *e = NULL;
    const struct ccz_json *sh = last_shadow(&e, s);
    if (!verdict) {
        CHECK(sh == NULL);
    } else {
        CHECK(sh && strcmp(ccz_json_str(ccz_json_get(sh, "verdict")), verdict) == 0);
        CHECK(strcmp(ccz_json_str(ccz_json_get(sh, "rule")), rule) == 0);
        CHECK((ccz_json_get(sh, "where") != NULL) == (where != NULL));
        CHECK(!where || strcmp(ccz_json_str(ccz_json_get(sh, "where")), where) == 0);
        CHECK(ccz_json_str(ccz_json_get(sh, "policy_sha256")) != NULL);
    }
    ccz_json_free(e);
}

/* Neither does a stricter one refuse anybody, nor a wider one accept anybody. */
static void test_never_decides(void)
{
    struct ccz_kms_store *s = populated();
    const struct ccz_ratls_peer ours = fix_peer(FIX_WORKLOAD), theirs = other();
    CHECK(release_as(s, &ours, "key/model", FIX_NOW) == CCZ_OK);
    shadow_is(s, NULL, NULL, NULL);
    CHECK(fix_stage(s, "server", fix_policy_other, END, &err) == CCZ_OK);
    CHECK(release_as(s, &ours, "key/model", FIX_NOW) == CCZ_OK);
    shadow_is(s, "reject", "other", "policy:mrenclave");
    REFUSED(release_as(s, &theirs, "key/model", FIX_NOW), CCZ_E_POLICY, "policy:mrenclave");
    shadow_is(s, "accept", "other", NULL);
    CHECK(fix_stage(s, "server", wider, END, &err) == CCZ_OK);
    REFUSED(release_as(s, &theirs, "key/model", FIX_NOW), CCZ_E_POLICY, "policy:mrenclave");
    shadow_is(s, "accept", "wide", NULL);
    CHECK(fix_stage(s, "server", fix_policy_empty, END, &err) == CCZ_OK);
    CHECK(release_as(s, &ours, "key/model", FIX_NOW) == CCZ_OK);
    struct ccz_json *e = NULL;
    const struct ccz_json *sh = last_shadow(&e, s);
    CHECK(strcmp(ccz_json_str(ccz_json_get(sh, "where")), "policy:empty") == 0 &&
          !ccz_json_get(sh, "rule"));
    ccz_json_free(e);
    /* the item is bound to the policy of its name, which is what it was */
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    const struct cczi_msg_name m = {ccz_span_str("server")};
    struct cczi_msg_get_policy_resp p = {0};
    CHECK(fix_msg(&out, s, FIX_ADMIN, "GetPolicy", cczi_msg_name, &m, &err) == CCZ_OK);
    CHECK(cczi_msg_get(&p, cczi_msg_get_policy_resp, ccz_buf_span(&out), &err) == CCZ_OK);
    CHECK(is(p.json, fix_policy));
    /* another policy is not touched by what is staged for this one */
    const struct cczi_msg_bind_req bind = {.item = ccz_span_str("secret/loose"),
                                           .policy = ccz_span_str("other")};
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "Bind", cczi_msg_bind_req, &bind, &err) == CCZ_OK);
    CHECK(release_as(s, &theirs, "secret/loose", FIX_NOW) == CCZ_OK);
    shadow_is(s, NULL, NULL, NULL);
    ccz_kms_store_free(s);
}

/* Its end has come: neither tried nor rolled out, until it is staged again. */
static void test_ended(void)
{
    struct ccz_kms_store *s = populated();
    struct ccz_ratls_peer ours = fix_peer(FIX_WORKLOAD);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    CHECK(fix_stage(s, "server", fix_policy_other, END, &err) == CCZ_OK);
    CHECK(release_as(s, &ours, "key/model", END - 1) == CCZ_OK);
    shadow_is(s, "reject", "other", "policy:mrenclave");
    CHECK(!staged(&out, s, "server", END - 1).ended);
    CHECK(release_as(s, &ours, "key/model", END) == CCZ_OK);
    shadow_is(s, NULL, NULL, NULL);
    struct cczi_msg_staged st = staged(&out, s, "server", END);
    CHECK(st.ended && st.would_refuse == 1 && st.would_accept == 0);
    REFUSED(roll_out(s, "server", fix_policy_other, END), CCZ_E_EXPIRED, "kms:staged-ended");
    CHECK(release_as(s, &ours, "key/model", END) == CCZ_OK); /* still the old one */
    ccz_kms_store_free(s);
}

static void stage_refused(struct ccz_kms_store *s, const struct cczi_msg_stage_req *m, ccz_rc rc,
                          const char *where)
{
    REFUSED(fix_msg(NULL, s, FIX_ADMIN, "StagePolicy", cczi_msg_stage_req, m, &err), rc, where);
}

static void test_refused(void)
{
    struct ccz_kms_store *s = populated();
    const struct cczi_msg_stage_req good = {ccz_span_str("server"), ccz_span_str(fix_policy_other),
                                            END, 0};
    struct cczi_msg_stage_req m = good;
    m.policy = ccz_span_str("absent");
    stage_refused(s, &m, CCZ_E_NOT_FOUND, "kms:not-found");
    m.policy = ccz_span_str("../server");
    stage_refused(s, &m, CCZ_E_FORMAT, "kms:name");
    static const int64_t ends[] = {0, FIX_NOW - 1, FIX_NOW, FIX_NOW + CCZ_KMS_STAGE_S_MAX + 1,
                                   INT64_MAX};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        m = good;
        m.ends_s = (uint64_t)ends[i];
        stage_refused(s, &m, CCZ_E_FORMAT, "kms:stage-end");
    }
    m = good;
    m.json = ccz_span_str("{\"version\":1,\"rules\":[{\"name\":\"x\",\"tee\":\"sgx\"}]}");
    stage_refused(s, &m, CCZ_E_FORMAT, "policy:unpinned");
    m.json = (struct ccz_span){0};
    stage_refused(s, &m, CCZ_E_FORMAT, "json:parse");
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "StagePolicy", cczi_msg_stage_req, &good, &err) == CCZ_OK);
    stage_refused(s, &good, CCZ_E_EXISTS, "kms:staged-exists");
    m = good;
    m.replace = 1;
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "StagePolicy", cczi_msg_stage_req, &m, &err) == CCZ_OK);
    const struct cczi_msg_name none = {ccz_span_str("other")};
    REFUSED(fix_msg(NULL, s, FIX_ADMIN, "GetStaged", cczi_msg_name, &none, &err), CCZ_E_NOT_FOUND,
            "kms:not-staged");
    REFUSED(fix_msg(NULL, s, FIX_ADMIN, "Unstage", cczi_msg_name, &none, &err), CCZ_E_NOT_FOUND,
            "kms:not-staged");
    REFUSED(roll_out(s, "other", fix_policy_other, FIX_NOW), CCZ_E_NOT_FOUND, "kms:not-staged");
    REFUSED(roll_out(s, "absent", fix_policy_other, FIX_NOW), CCZ_E_NOT_FOUND, "kms:not-found");
    const struct cczi_msg_replay_req r = {.policy = ccz_span_str("other")};
    REFUSED(fix_msg(NULL, s, FIX_ADMIN, "Replay", cczi_msg_replay_req, &r, &err), CCZ_E_NOT_FOUND,
            "kms:not-staged");
    ccz_kms_store_free(s);
}

/* What is rolled out is what the caller has looked at, and nothing that was staged since. */
static void test_roll_out(void)
{
    struct ccz_kms_store *s = populated();
    const struct ccz_ratls_peer ours = fix_peer(FIX_WORKLOAD), theirs = other();
    CHECK(fix_stage(s, "server", wider, END, &err) == CCZ_OK);
    CHECK(release_as(s, &ours, "key/model", FIX_NOW) == CCZ_OK);
    CHECK(fix_stage(s, "server", fix_policy_other, END, &err) == CCZ_OK); /* somebody else's */
    REFUSED(roll_out(s, "server", wider, FIX_NOW), CCZ_E_MISMATCH, "kms:staged-changed");
    const struct cczi_msg_roll_out_req none = {.policy = ccz_span_str("server")};
    REFUSED(fix_msg(NULL, s, FIX_ADMIN, "RollOut", cczi_msg_roll_out_req, &none, &err),
            CCZ_E_FORMAT, "kms:request");
    CHECK(release_as(s, &ours, "key/model", FIX_NOW) == CCZ_OK);
    CHECK(roll_out(s, "server", fix_policy_other, FIX_NOW) == CCZ_OK);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    struct cczi_msg_decision d = why(&out, s, fix_check(s).audit_lines);
    CHECK(is(d.op, "RollOut") && is(d.item, "policy/server") && d.policy_sha256.size == 64);
    CHECK(memmem(d.entry.ptr, d.entry.size, "tried: 0 accepted, 1 refused", 28) != NULL);
    REFUSED(release_as(s, &ours, "key/model", FIX_NOW), CCZ_E_POLICY, "policy:mrenclave");
    CHECK(release_as(s, &theirs, "key/model", FIX_NOW) == CCZ_OK);
    shadow_is(s, NULL, NULL, NULL);
    REFUSED(roll_out(s, "server", fix_policy_other, FIX_NOW), CCZ_E_NOT_FOUND, "kms:not-staged");
    CHECK(fix_check(s).staged == 0);
    ccz_kms_store_free(s);
}

static void test_unstage(void)
{
    struct ccz_kms_store *s = populated();
    const struct ccz_ratls_peer ours = fix_peer(FIX_WORKLOAD);
    const struct cczi_msg_name m = {ccz_span_str("server")};
    CHECK(fix_stage(s, "server", wider, END, &err) == CCZ_OK);
    CHECK(release_as(s, &ours, "key/model", FIX_NOW) == CCZ_OK);
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "Unstage", cczi_msg_name, &m, &err) == CCZ_OK);
    CHECK(release_as(s, &ours, "key/model", FIX_NOW) == CCZ_OK);
    shadow_is(s, NULL, NULL, NULL);
    CHECK(fix_check(s).staged == 0);
    /* with its policy goes what is tried beside it */
    CHECK(fix_stage(s, "other", wider, END, &err) == CCZ_OK && fix_check(s).staged == 1);
    const struct cczi_msg_delete_req del = {.target = ccz_span_str("policy/other")};
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &del, &err) == CCZ_OK);
    CHECK(fix_check(s).staged == 0);
    ccz_kms_store_free(s);
}

/* Counted once per release, written once a minute, right at once for whoever asks; another policy starts at nothing. */
static void test_counts(void)
{
    struct ccz_kms_store *s = populated();
    const struct ccz_ratls_peer ours = fix_peer(FIX_WORKLOAD), theirs = other();
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    CHECK(fix_stage(s, "server", fix_policy_other, END, &err) == CCZ_OK);
    struct cczi_msg_staged st = staged(&out, s, "server", FIX_NOW);
    CHECK(st.would_accept == 0 && st.would_refuse == 0 && st.ends_s == END &&
          is(st.json, fix_policy_other));
    for (int i = 0; i < 10; i++) {
        CHECK(release_as(s, &ours, "key/model", FIX_NOW + i) == CCZ_OK);
        REFUSED(release_as(s, &theirs, "key/model", FIX_NOW + i), CCZ_E_POLICY, "policy:mrenclave");
        CHECK(release_as(s, &ours, "secret/db/password", FIX_NOW + i) == CCZ_OK);
    }
    st = staged(&out, s, "server", FIX_NOW + 10);
    CHECK(st.would_accept == 10 && st.would_refuse == 20);
    struct cczi_kms_staged row;
    struct cczi_kms_row keep;
    cczi_kms_row_init(&keep);
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK &&
          cczi_kms_staged_get(&row, &keep, s, "server", &err) == CCZ_OK);
    CHECK(row.would_accept + row.would_refuse == 1); /* of the first */
    cczi_kms_rollback(s);
    CHECK(release_as(s, &ours, "key/model", FIX_NOW + CCZI_KMS_TRIAL_EVERY_S) == CCZ_OK);
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK &&
          cczi_kms_staged_get(&row, &keep, s, "server", &err) == CCZ_OK);
    CHECK(row.would_accept == 10 && row.would_refuse == 21);
    cczi_kms_rollback(s);
    cczi_kms_row_deinit(&keep);
    st = staged(&out, s, "server", FIX_NOW + 60);
    CHECK(st.would_accept == 10 && st.would_refuse == 21);
    /* a refusal that is not the policy's is no trial */
    REFUSED(release_as(s, &ours, "key/absent", FIX_NOW + 61), CCZ_E_NOT_FOUND, "kms:not-found");
    CHECK(staged(&out, s, "server", FIX_NOW + 61).would_refuse == 21);
    CHECK(fix_stage(s, "server", wider, END, &err) == CCZ_OK);
    st = staged(&out, s, "server", FIX_NOW + 62);
    CHECK(st.would_accept == 0 && st.would_refuse == 0);
    ccz_kms_store_free(s);
}

/* What was staged in a transaction that came to nothing is not tried, though it was in there. */
static struct fix_batch g_batch;
static void test_undone(void)
{
    struct ccz_kms_store *s = populated();
    const struct ccz_ratls_peer ours = fix_peer(FIX_WORKLOAD);
    const struct ccz_kms_request req = {.peer = &ours, .now_s = FIX_NOW};
    for (int how = 0; how < 2; how++) {
        struct cczi_kms_call call = {.store = s, .req = &req, .policy = "server"};
        struct cczi_kms_staged st = {
            .policy = "server", .json = ccz_span_str(wider), .ends_s = END};
        CHECK(ccz_sha256(st.sha256, st.json) == CCZ_OK);
        CHECK(cczi_kms_begin(s, &err) == CCZ_OK && cczi_kms_savepoint(s, &err) == CCZ_OK);
        cczi_kms_trials_touch(s->watch->trials, "server");
        CHECK(cczi_kms_staged_put(s, &st, &err) == CCZ_OK);
        cczi_kms_shadow(&call);
        CHECK(call.shadow.tried && call.shadow.accept);
        if (how == 0) {
            CHECK(cczi_kms_savepoint_undo(s, &err) == CCZ_OK);
            call.shadow.tried = false;
            cczi_kms_shadow(&call);
            CHECK(!call.shadow.tried);
        }
        cczi_kms_rollback(s);
        CHECK(release_as(s, &ours, "key/model", FIX_NOW) == CCZ_OK);
        shadow_is(s, NULL, NULL, NULL);
    }
    const struct cczi_msg_stage_req stage = {ccz_span_str("server"), ccz_span_str(wider), END, 1};
    struct fix_batch *b = &g_batch;
    /* in one batch with releases before and after it: in the order of the calls */
    fix_batch_begin(b);
    fix_batch_release(b, FIX_WORKLOAD, "key/model");
    fix_batch_add(b, FIX_ADMIN, "StagePolicy", cczi_msg_stage_req, &stage);
    fix_batch_release(b, FIX_WORKLOAD, "key/model");
    fix_batch_run(b, s);
    CHECK(b->entry[0].rc == CCZ_OK && b->entry[1].rc == CCZ_OK && b->entry[2].rc == CCZ_OK);
    CHECK(!b->entry[0].call.shadow.tried && b->entry[2].call.shadow.tried);
    fix_batch_end(b);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    CHECK(staged(&out, s, "server", FIX_NOW).would_accept == 1);
    ccz_kms_store_free(s);
}

/* What the row says, without what is in memory. */
static uint64_t written(struct ccz_kms_store *s, const char *policy)
{
    struct cczi_kms_staged row = {0};
    struct cczi_kms_row keep;
    cczi_kms_row_init(&keep);
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK);
    CHECK(cczi_kms_staged_get(&row, &keep, s, policy, &err) == CCZ_OK);
    cczi_kms_rollback(s);
    cczi_kms_row_deinit(&keep);
    return row.would_accept + row.would_refuse;
}

/* However many other policies are judged meanwhile. */
static void test_kept(void)
{
    enum { OTHERS = 2 * CCZI_KMS_BATCH_MAX + 20 }; /* more than there are places */
    struct ccz_kms_store *s = populated();
    const struct ccz_ratls_peer ours = fix_peer(FIX_WORKLOAD);
    char name[32];
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    CHECK(fix_stage(s, "server", wider, END, &err) == CCZ_OK);
    CHECK(release_as(s, &ours, "key/model", FIX_NOW) == CCZ_OK);
    CHECK(release_as(s, &ours, "key/model", FIX_NOW) == CCZ_OK);
    CHECK(written(s, "server") == 1 && staged(&out, s, "server", FIX_NOW).would_accept == 2);
    for (int i = 0; i < OTHERS; i++) {
        (void)snprintf(name, sizeof(name), "p%03d", i);
        const struct cczi_msg_bind_req bind = {.item = fix_str("secret/loose"),
                                               .policy = fix_str(name)};
        CHECK(fix_put_policy(s, name, fix_policy, false, &err) == CCZ_OK);
        CHECK(fix_msg(NULL, s, FIX_ADMIN, "Bind", cczi_msg_bind_req, &bind, &err) == CCZ_OK);
        CHECK(release_as(s, &ours, "secret/loose", FIX_NOW) == CCZ_OK);
    }
    CHECK(staged(&out, s, "server", FIX_NOW).would_accept == 2);
    ccz_kms_store_free(s);
}

/* More trials with counts in memory than there are places, one after the other and in one transaction: none is lost. */
static void test_crowd(void)
{
    enum { POLICIES = 2 * CCZI_KMS_BATCH_MAX, NEW = 20 };
    struct ccz_kms_store *s = populated();
    const struct ccz_ratls_peer ours = fix_peer(FIX_WORKLOAD);
    struct fix_batch *b = &g_batch;
    char name[32], item[40];
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    for (int i = 0; i < POLICIES; i++) {
        (void)snprintf(name, sizeof(name), "p%03d", i);
        CHECK(fix_put_policy(s, name, fix_policy, false, &err) == CCZ_OK);
        CHECK(fix_put_secret(s, name, "v", name, false, &err) == CCZ_OK);
        CHECK(fix_stage(s, name, fix_policy_other, END, &err) == CCZ_OK);
        (void)snprintf(item, sizeof(item), "secret/%s", name);
        CHECK(release_as(s, &ours, item, FIX_NOW) == CCZ_OK); /* is written */
    }
    CHECK(written(s, "p000") == 1 && written(s, name) == 1);
    for (int from = 0; from < POLICIES; from += CCZI_KMS_BATCH_MAX) {
        fix_batch_begin(b);
        for (int i = from; i < POLICIES && i < from + CCZI_KMS_BATCH_MAX; i++) {
            (void)snprintf(item, sizeof(item), "secret/p%03d", i);
            fix_batch_release(b, FIX_WORKLOAD, item);
        }
        fix_batch_run(b, s);
        for (size_t i = 0; i < b->len; i++)
            CHECK(b->entry[i].rc == CCZ_OK);
        fix_batch_end(b);
    }
    for (int i = 0; i < NEW; i++) { /* those of before make room for these, written or not */
        (void)snprintf(name, sizeof(name), "q%03d", i);
        const struct cczi_msg_bind_req bind = {.item = fix_str("secret/loose"),
                                               .policy = fix_str(name)};
        CHECK(fix_put_policy(s, name, fix_policy, false, &err) == CCZ_OK);
        CHECK(fix_msg(NULL, s, FIX_ADMIN, "Bind", cczi_msg_bind_req, &bind, &err) == CCZ_OK);
        CHECK(release_as(s, &ours, "secret/loose", FIX_NOW) == CCZ_OK);
    }
    unsigned pending = 0;
    for (int i = 0; i < POLICIES; i++) {
        (void)snprintf(name, sizeof(name), "p%03d", i);
        CHECK(staged(&out, s, name, FIX_NOW).would_refuse == 2);
        pending += written(s, name) == 1;
    }
    CHECK(pending == CCZI_KMS_BATCH_MAX); /* and no more is written than has to be */
    ccz_kms_store_free(s);
}

/* The same text staged once more is a trial of its own. */
static void test_anew(void)
{
    struct ccz_kms_store *s = populated();
    const struct ccz_ratls_peer ours = fix_peer(FIX_WORKLOAD);
    const struct cczi_msg_stage_req stage = {ccz_span_str("server"), ccz_span_str(wider), END, 1};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    for (int i = 0; i < 2; i++) { /* seen by a release, or by GetStaged alone */
        const int64_t now_s = FIX_NOW + 2 * i;
        CHECK(fix_msg_at(NULL, s, FIX_ADMIN, "StagePolicy", cczi_msg_stage_req, &stage, now_s,
                         &err) == CCZ_OK);
        for (int n = 0; n < 3; n++)
            CHECK(release_as(s, &ours, "key/model", now_s) == CCZ_OK);
        CHECK(staged(&out, s, "server", now_s).would_accept == 3 && written(s, "server") == 1);
        CHECK(fix_msg_at(NULL, s, FIX_ADMIN, "StagePolicy", cczi_msg_stage_req, &stage, now_s + 1,
                         &err) == CCZ_OK);
        if (i == 1)
            CHECK(staged(&out, s, "server", now_s + 1).would_accept == 0);
        CHECK(release_as(s, &ours, "key/model", now_s + 1) == CCZ_OK);
        CHECK(staged(&out, s, "server", now_s + 1).would_accept == 1);
    }
    /* by somebody whom the table has not heard of yet: his row gets no counts of the one before */
    struct cczi_kms_staged other = {
        .policy = "server", .json = ccz_span_str(wider), .created_s = FIX_NOW + 10, .ends_s = END};
    CHECK(ccz_sha256(other.sha256, other.json) == CCZ_OK);
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK && cczi_kms_staged_put(s, &other, &err) == CCZ_OK &&
          cczi_kms_commit(s, &err) == CCZ_OK);
    CHECK(release_as(s, &ours, "key/model", FIX_NOW + 2 * CCZI_KMS_TRIAL_EVERY_S) == CCZ_OK);
    CHECK(written(s, "server") == 0);
    ccz_kms_store_free(s);
}

/* A staged row that was changed behind our back stops no release, and decides none. */
static void test_broken(void)
{
    struct ccz_kms_store *s = populated();
    const struct ccz_ratls_peer ours = fix_peer(FIX_WORKLOAD), theirs = other();
    CHECK(fix_stage(s, "server", wider, END, &err) == CCZ_OK);
    CHECK(cczi_kms_db_exec(&s->db, "UPDATE staged SET ends_s = ends_s + 1", &err) == CCZ_OK);
    CHECK(release_as(s, &ours, "key/model", FIX_NOW) == CCZ_OK);
    REFUSED(release_as(s, &theirs, "key/model", FIX_NOW), CCZ_E_POLICY, "policy:mrenclave");
    const struct cczi_msg_name m = {ccz_span_str("server")};
    REFUSED(fix_msg(NULL, s, FIX_ADMIN, "GetStaged", cczi_msg_name, &m, &err), CCZ_E_SIG,
            "kms:row-mac");
    REFUSED(roll_out(s, "server", wider, FIX_NOW), CCZ_E_SIG, "kms:row-mac");
    ccz_kms_store_free(s);
}

/* More policies on trial than are remembered, and a list of them. */
static void test_many(void)
{
    enum { POLICIES = 70 };
    struct ccz_kms_store *s = populated();
    const struct ccz_ratls_peer ours = fix_peer(FIX_WORKLOAD);
    char name[32], item[40];
    for (int i = 0; i < POLICIES; i++) {
        (void)snprintf(name, sizeof(name), "p%02d", i);
        CHECK(fix_put_policy(s, name, fix_policy, false, &err) == CCZ_OK);
        CHECK(fix_put_secret(s, name, "v", name, false, &err) == CCZ_OK);
        CHECK(fix_stage(s, name, fix_policy_other, END, &err) == CCZ_OK);
    }
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < POLICIES; i++) {
            (void)snprintf(item, sizeof(item), "secret/p%02d", i);
            CHECK(release_as(s, &ours, item, FIX_NOW + round) == CCZ_OK);
            shadow_is(s, "reject", "other", "policy:mrenclave");
        }
    struct cczi_msg_staged all[PAGE];
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    const struct cczi_msg_name from = {ccz_span_str("p09")};
    CHECK(fix_msg(&out, s, FIX_AUDITOR, "ListStaged", cczi_msg_name, &from, &err) == CCZ_OK);
    CHECK(rows(all, sizeof(all[0]), cczi_msg_staged, ccz_buf_span(&out), PAGE) == POLICIES - 10);
    CHECK(is(all[0].policy, "p10") && all[0].json.size == 0);
    ccz_kms_store_free(s);
}

/* ANNE proposes, BOB approves, in a namespace that wants one approval. */
enum { ANNE = 0x61, BOB };

static struct ccz_ratls_peer person(int who)
{
    struct ccz_ratls_peer p = {.pinned = true};
    memset(p.spki_sha256, who, 32);
    return p;
}

static ccz_rc call_as(struct ccz_buf *out, struct ccz_kms_store *s, int who, const char *method,
                      const struct cczi_msg_field *fields, const void *msg)
{
    const struct ccz_ratls_peer peer = person(who);
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, CCZ_KMS_MESSAGE_SIZE_MAX);
    cczi_msg_put(&body, fields, msg);
    return fix_call_as(out, s, &peer, method, ccz_buf_span(&body), &err);
}

static void grant(struct ccz_kms_store *s, int who, uint32_t roles)
{
    struct ccz_kms_grant g = {.ns = "team", .roles = roles, .label = "somebody"};
    memset(g.principal, who, 32);
    CHECK(ccz_kms_store_grant(s, &g, FIX_NOW, &err) == CCZ_OK);
}

/* The body of a RollOut of @p json. */
static void roll_out_body(struct ccz_buf *b, const char *json)
{
    uint8_t sha256[32];
    CHECK(ccz_sha256(sha256, ccz_span_str(json)) == CCZ_OK);
    const struct cczi_msg_roll_out_req m = {ccz_span_str("team/p"), CCZ_SPAN(sha256, 32)};
    ccz_buf_init(b, 256);
    cczi_msg_put(b, cczi_msg_roll_out_req, &m);
}

static ccz_rc approve(struct ccz_kms_store *s, int who, const struct cczi_msg_propose_resp *p)
{
    const struct cczi_msg_approve_req m = {p->id, p->sha256};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    return call_as(&out, s, who, "Approve", cczi_msg_approve_req, &m);
}

/* Staging is free, the roll-out is not; what was approved is what was read, whatever is staged since. */
static void test_approvals(void)
{
    struct ccz_kms_store *s = populated();
    const struct ccz_ratls_peer ours = fix_peer(FIX_WORKLOAD), theirs = other();
    CHECK(fix_put_policy(s, "team/p", fix_policy, false, &err) == CCZ_OK);
    CHECK(fix_put_secret(s, "team/s", "v", "team/p", false, &err) == CCZ_OK);
    grant(s, ANNE, CCZ_KMS_ROLE_AUTHOR);
    grant(s, BOB, CCZ_KMS_ROLE_APPROVER);
    CHECK(ccz_kms_store_set_quorum(s, "team", 1, FIX_NOW, &err) == CCZ_OK);
    struct cczi_msg_stage_req stage = {ccz_span_str("team/p"), ccz_span_str(fix_policy_other), END,
                                       1};
    CHECK(call_as(NULL, s, ANNE, "StagePolicy", cczi_msg_stage_req, &stage) == CCZ_OK);
    REFUSED(call_as(NULL, s, BOB, "StagePolicy", cczi_msg_stage_req, &stage), CCZ_E_DENIED,
            "kms:role");
    CCZ_AUTO_BUF body, out;
    roll_out_body(&body, fix_policy_other);
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    const struct ccz_ratls_peer anne = person(ANNE);
    REFUSED(fix_call_as(NULL, s, &anne, "RollOut", ccz_buf_span(&body), &err), CCZ_E_DENIED,
            "kms:approval-needed");
    /* the one who approves sees what it would do */
    const struct cczi_msg_replay_req replayed = {.policy = ccz_span_str("team/p")};
    CHECK(call_as(&out, s, BOB, "Replay", cczi_msg_replay_req, &replayed) == CCZ_OK);
    const struct cczi_msg_name name = {ccz_span_str("team/p")},
                               elsewhere = {ccz_span_str("server")};
    CHECK(call_as(&out, s, BOB, "GetStaged", cczi_msg_name, &name) == CCZ_OK);
    REFUSED(call_as(NULL, s, BOB, "GetStaged", cczi_msg_name, &elsewhere), CCZ_E_DENIED,
            "kms:role");
    const struct cczi_msg_propose_req m = {.method = ccz_span_str("RollOut"),
                                           .body = ccz_buf_span(&body)};
    struct cczi_msg_propose_resp p = {0};
    CHECK(call_as(&out, s, ANNE, "Propose", cczi_msg_propose_req, &m) == CCZ_OK);
    CHECK(cczi_msg_get(&p, cczi_msg_propose_resp, ccz_buf_span(&out), &err) == CCZ_OK);
    CHECK(release_as(s, &ours, "secret/team/s", FIX_NOW) == CCZ_OK); /* trying it out did nothing */
    shadow_is(s, "reject", "other", "policy:mrenclave");
    /* another one is staged meanwhile */
    stage.json = ccz_span_str(wider);
    CHECK(call_as(NULL, s, ANNE, "StagePolicy", cczi_msg_stage_req, &stage) == CCZ_OK);
    REFUSED(approve(s, BOB, &p), CCZ_E_MISMATCH, "kms:staged-changed");
    REFUSED(release_as(s, &theirs, "secret/team/s", FIX_NOW), CCZ_E_POLICY, "policy:mrenclave");
    stage.json = ccz_span_str(fix_policy_other);
    CHECK(call_as(NULL, s, ANNE, "StagePolicy", cczi_msg_stage_req, &stage) == CCZ_OK);
    REFUSED(approve(s, ANNE, &p), CCZ_E_DENIED, "kms:role");
    CHECK(approve(s, BOB, &p) == CCZ_OK);
    REFUSED(release_as(s, &ours, "secret/team/s", FIX_NOW), CCZ_E_POLICY, "policy:mrenclave");
    shadow_is(s, NULL, NULL, NULL);
    CHECK(release_as(s, &theirs, "secret/team/s", FIX_NOW) == CCZ_OK);
    (void)fix_check(s);
    ccz_kms_store_free(s);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"kms.staged_never_decides", test_never_decides},
        {"kms.staged_ended", test_ended},
        {"kms.staged_refused", test_refused},
        {"kms.staged_roll_out", test_roll_out},
        {"kms.staged_unstage", test_unstage},
        {"kms.staged_counts", test_counts},
        {"kms.staged_undone", test_undone},
        {"kms.staged_broken", test_broken},
        {"kms.staged_many", test_many},
        {"kms.staged_kept", test_kept},
        {"kms.staged_crowd", test_crowd},
        {"kms.staged_anew", test_anew},
        {"kms.staged_approvals", test_approvals},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
