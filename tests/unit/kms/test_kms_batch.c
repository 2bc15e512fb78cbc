/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that share a transaction: each succeeds or fails as if it were alone, answers wait for all; parsed policies. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "kms/kms_fixture.h"

#include <sqlite3.h>

/* The receipt inside an answer: in the same field of every one. */
struct with_receipt {
    struct ccz_span receipt;
};
static struct cczi_msg_receipt receipt_in(const struct cczi_kms_entry *e)
{
    static const struct cczi_msg_field fields[] = {
        {CCZI_MSG_RECEIPT, CCZI_MSG_SPAN, offsetof(struct with_receipt, receipt), 65536},
        {0, CCZI_MSG_END, 0, 0}};
    struct cczi_msg_receipt r = {0};
    struct with_receipt m = {{0}};
    CHECK(cczi_msg_get(&m, fields, ccz_buf_span(&e->answer), NULL) == CCZ_OK);
    CHECK(cczi_msg_get(&r, cczi_msg_receipt, m.receipt, NULL) == CCZ_OK);
    return r;
}

static struct fix_batch g_batch;

/* Every kind of failure among calls that succeed. */
static void test_batch(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    struct ccz_kms_check before = fix_check(s);
    struct fix_batch *b = &g_batch;
    static const char *const where[] = {
        "", "kms:evidence-stale", "",          "kms:not-found", "policy:mrenclave",
        "", "kms:request",        "kms:method"};
    fix_batch_begin(b);
    fix_batch_release(b, FIX_WORKLOAD, "key/model");
    fix_batch_release(b, FIX_STALE, "key/model");
    fix_batch_create_key(b, "new", "server");
    fix_batch_put_secret(b, "half", "stored before its policy is looked for", "absent");
    fix_batch_release(b, FIX_WORKLOAD, "key/model");
    b->peer[4].claims.mrenclave[0] ^= 1;
    fix_batch_put_secret(b, "whole", "stays", "server");
    fix_batch_add(b, FIX_ADMIN, "PutSecret", cczi_msg_name, &(struct cczi_msg_name){fix_str("x")});
    ccz_buf_put(&b->body[6], "\x08", 1); /* cut */
    b->req[6].body = ccz_buf_span(&b->body[6]);
    fix_batch_add(b, FIX_ADMIN, "Nonsense", cczi_msg_none, NULL);
    fix_batch_run(b, s);
    for (size_t i = 0; i < b->len; i++) {
        const struct cczi_kms_entry *e = &b->entry[i];
        if (strcmp(e->err.where, where[i]) != 0)
            fprintf(stderr, "call %zu: \"%s\", expected \"%s\"\n", i, e->err.where, where[i]);
        CHECK(strcmp(e->err.where, where[i]) == 0 && (e->rc == CCZ_OK) == (where[i][0] == 0));
        CHECK((e->answer.size != 0) == (e->rc == CCZ_OK));
        /* one line each, in the order of the calls, refusals too */
        CHECK(e->receipt.audit_seq == before.audit_lines + 1 + i);
        CHECK(e->rc != CCZ_OK || receipt_in(e).seq == e->receipt.audit_seq);
    }
    struct ccz_kms_check c = fix_check(s);
    CHECK(c.versions == before.versions + 2 && c.bindings == before.bindings + 2);
    CHECK(c.audit_lines == before.audit_lines + b->len);
    struct ccz_err err = {0};
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "secret/half", 0, &err) == CCZ_E_NOT_FOUND);
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "secret/whole", 0, &err) == CCZ_OK);
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/new", 0, &err) == CCZ_OK);
    fix_batch_end(b);
    ccz_kms_store_free(s);
}

/* A call sees what the ones before it did, and nothing of those that failed. */
static void test_batch_order(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    struct fix_batch *b = &g_batch;
    fix_batch_begin(b);
    fix_batch_release(b, FIX_WORKLOAD, "key/k");
    fix_batch_create_key(b, "k", "absent");
    fix_batch_create_key(b, "k", "server");
    fix_batch_create_key(b, "k", "server");
    fix_batch_release(b, FIX_WORKLOAD, "key/k");
    struct cczi_msg_put_policy_req p = {fix_str("server"), fix_str(fix_policy_other), 1};
    fix_batch_add(b, FIX_ADMIN, "PutPolicy", cczi_msg_put_policy_req, &p);
    fix_batch_release(b, FIX_WORKLOAD, "key/k");
    fix_batch_run(b, s);
    static const char *const where[] = {
        "kms:not-found", "kms:not-found", "", "kms:exists", "", "", "policy:mrenclave"};
    for (size_t i = 0; i < b->len; i++)
        CHECK(strcmp(b->entry[i].err.where, where[i]) == 0);
    fix_batch_end(b);
    CHECK(fix_check(s).versions > 0);
    ccz_kms_store_free(s);
}

/* The k-th call fails after it changed something, for each k: what it did is undone, the others stand. */
static void test_batch_each_fails(void)
{
    enum { LEN = 12 };
    for (int k = 0; k < LEN; k++) {
        struct ccz_kms_store *s = fix_memory_store();
        fix_populate(s);
        struct ccz_kms_check before = fix_check(s);
        struct fix_batch *b = &g_batch;
        fix_batch_begin(b);
        char name[LEN][8], item[24];
        for (int i = 0; i < LEN; i++) {
            (void)snprintf(name[i], sizeof(name[i]), "n%d", i);
            fix_batch_put_secret(b, name[i], "value", i == k ? "absent" : "server");
        }
        fix_batch_run(b, s);
        struct ccz_kms_check c =
            fix_check(s); /* the set of rows and the chain are those of the others */
        CHECK(c.versions == before.versions + LEN - 1 && c.audit_lines == before.audit_lines + LEN);
        for (int i = 0; i < LEN; i++) {
            CHECK((b->entry[i].rc == CCZ_OK) == (i != k));
            (void)snprintf(item, sizeof(item), "secret/%.7s", name[i]);
            CHECK(fix_release(NULL, s, FIX_WORKLOAD, item, 0, NULL) ==
                  (i == k ? CCZ_E_NOT_FOUND : CCZ_OK));
        }
        fix_batch_end(b);
        ccz_kms_store_free(s);
    }
}

/* The database gives the whole transaction up: each call is handled by itself, and once. */
static void test_batch_broken(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    struct ccz_kms_check before = fix_check(s);
    /* a line that is in the way of the third call, and of none after it: then the lines are numbered anew */
    CHECK(cczi_kms_db_exec(&s->db,
                           "INSERT INTO audit SELECT max(seq) + 3, 0, x'', x'', x'' FROM audit",
                           NULL) == CCZ_OK);
    struct fix_batch *b = &g_batch;
    fix_batch_begin(b);
    for (int i = 0; i < 4; i++)
        fix_batch_release(b, FIX_WORKLOAD, "key/model");
    fix_batch_run(b, s);
    CHECK(b->entry[0].rc == CCZ_OK && b->entry[1].rc == CCZ_OK);
    CHECK(b->entry[2].rc != CCZ_OK && !b->entry[2].answer.size && !b->entry[2].receipt.audit_seq);
    CHECK(strcmp(b->entry[2].err.where, "kms:store-constraint") == 0);
    CHECK(b->entry[3].rc != CCZ_OK && !b->entry[3].answer.size);
    fix_batch_end(b);
    CHECK(cczi_kms_db_exec(&s->db, "DELETE FROM audit WHERE hash = x''", NULL) == CCZ_OK);
    CHECK(fix_check(s).audit_lines == before.audit_lines + 2);
    /* no transaction at all */
    CHECK(cczi_kms_db_exec(&s->db, "DELETE FROM meta", NULL) == CCZ_OK);
    fix_batch_begin(b);
    for (int i = 0; i < 3; i++)
        fix_batch_release(b, FIX_WORKLOAD, "key/model");
    fix_batch_run(b, s);
    for (int i = 0; i < 3; i++)
        CHECK(b->entry[i].rc == CCZ_E_SIG && strcmp(b->entry[i].err.where, "kms:head") == 0 &&
              !b->entry[i].answer.size);
    fix_batch_end(b);
    ccz_kms_store_free(s);
}

/* ------------------------------------------------------------------- the hook */

struct seen {
    size_t batches, len;
    uint64_t first, last;
    ccz_rc rc;
};

static ccz_rc on_batch(void *arg, struct ccz_kms_store *s, struct cczi_kms_entry *e, size_t len,
                       struct ccz_err *err)
{
    struct seen *seen = arg;
    CHECK(!cczi_kms_db_in_tx(&s->db)); /* committed */
    seen->batches++;
    seen->len = len;
    seen->first = e[0].receipt.audit_seq;
    seen->last = e[len - 1].receipt.audit_seq;
    CHECK(s->head.seq == seen->last);
    for (size_t i = 0; i < len; i++) {
        struct cczi_msg_release_resp m = {0};
        CHECK(cczi_msg_get(&m, cczi_msg_release_resp, ccz_buf_span(&e[i].answer), NULL) == CCZ_OK);
        CHECK(m.receipt.size == 0); /* not complete yet */
        ccz_buf_printf(&e[i].proof, "proof of %zu", i);
    }
    return seen->rc == CCZ_OK ? CCZ_OK : ccz_fail(err, seen->rc, "test:sign", 0, "no key");
}

static void test_batch_proof(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    uint64_t lines = fix_check(s).audit_lines;
    struct seen seen = {0};
    s->on_batch = on_batch;
    s->on_batch_arg = &seen;
    struct fix_batch *b = &g_batch;
    fix_batch_begin(b);
    for (int i = 0; i < 5; i++)
        fix_batch_release(b, i == 2 ? FIX_NOBODY : FIX_WORKLOAD, "key/model");
    fix_batch_run(b, s);
    CHECK(seen.batches == 1 && seen.len == 5 && seen.first == lines + 1 && seen.last == lines + 5);
    for (int i = 0; i < 5; i++) {
        char want[32];
        (void)snprintf(want, sizeof(want), "proof of %d", i);
        CHECK((b->entry[i].rc == CCZ_OK) == (i != 2));
        if (i == 2) {
            CHECK(b->entry[i].answer.size == 0);
            continue;
        }
        struct cczi_msg_release_resp m = {0};
        CHECK(cczi_msg_get(&m, cczi_msg_release_resp, ccz_buf_span(&b->entry[i].answer), NULL) ==
              CCZ_OK);
        CHECK(ccz_span_eq(m.inclusion, ccz_span_str(want)));
        CHECK(receipt_in(&b->entry[i]).seq == lines + 1 + (uint64_t)i);
    }
    fix_batch_end(b);
    ccz_kms_store_free(s);
}

/* No proof, no answer: what happened is on record and stays, but nothing leaves. Reading goes on. */
static void test_batch_withheld(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    uint64_t lines = fix_check(s).audit_lines;
    struct seen seen = {.rc = CCZ_E_UNAVAILABLE};
    s->on_batch = on_batch;
    s->on_batch_arg = &seen;
    struct fix_batch *b = &g_batch;
    fix_batch_begin(b);
    fix_batch_release(b, FIX_WORKLOAD, "key/model");
    fix_batch_release(b, FIX_STALE, "key/model");
    fix_batch_release(b, FIX_WORKLOAD, "secret/db/password");
    fix_batch_run(b, s);
    CHECK(b->entry[0].rc == CCZ_E_UNAVAILABLE && b->entry[2].rc == CCZ_E_UNAVAILABLE);
    CHECK(!b->entry[0].answer.size && !b->entry[2].answer.size);
    CHECK(strcmp(b->entry[0].err.where, "test:sign") == 0);
    CHECK(strcmp(b->entry[1].err.where, "kms:evidence-stale") == 0);
    fix_batch_end(b);
    CHECK(fix_check(s).audit_lines == lines + 3);
    struct ccz_err err = {0};
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_E_UNAVAILABLE);
    ccz_kms_store_free(s);
}

/* A counter elsewhere that is advanced after each commit. */
struct counter {
    int calls;
    uint64_t seq;
    ccz_rc rc;
    struct ccz_kms_store *store;
};

static ccz_rc advance(void *arg, const struct cczi_kms_head *head, struct ccz_err *err)
{
    struct counter *c = arg;
    c->calls++;
    CHECK(!cczi_kms_db_in_tx(&c->store->db) && head->seq > c->seq);
    if (c->rc != CCZ_OK)
        return ccz_fail(err, c->rc, "test:counter", 0, "no counter");
    c->seq = head->seq;
    return CCZ_OK;
}

/* Once per commit that added lines; where it fails, nothing is told and nothing is done a second time. */
static void test_settled(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    uint64_t lines = fix_check(s).audit_lines;
    struct counter c = {.store = s};
    struct ccz_err err = {0};
    s->on_commit = advance;
    s->on_commit_arg = &c;
    struct fix_batch *b = &g_batch;
    fix_batch_begin(b);
    for (int i = 0; i < 5; i++)
        fix_batch_release(b, FIX_WORKLOAD, "key/model");
    fix_batch_run(b, s);
    CHECK(c.calls == 1 && c.seq == lines + 5);
    fix_batch_end(b);
    CHECK(fix_call(NULL, s, FIX_ADMIN, "Status", (struct ccz_span){0}, &err) == CCZ_OK &&
          c.calls == 1);
    CHECK(fix_release(NULL, s, FIX_STALE, "key/model", 0, &err) == CCZ_E_DENIED && c.calls == 2);
    uint8_t spki[32] = {9};
    CHECK(ccz_kms_store_set_admin(s, spki, CCZ_KMS_ROLE_AUDITOR, FIX_NOW, &err) == CCZ_OK &&
          c.calls == 3);
    c.rc = CCZ_E_UNAVAILABLE;
    fix_batch_begin(b);
    fix_batch_create_key(b, "once", "server");
    fix_batch_release(b, FIX_WORKLOAD, "key/model");
    fix_batch_run(b, s);
    for (int i = 0; i < 2; i++)
        CHECK(b->entry[i].rc == CCZ_E_UNAVAILABLE && !b->entry[i].answer.size &&
              strcmp(b->entry[i].err.where, "test:counter") == 0);
    fix_batch_end(b);
    CHECK(c.calls == 4 && fix_check(s).audit_lines == lines + 9); /* none twice */
    c.rc = CCZ_OK;
    CHECK(fix_call(NULL, s, FIX_ADMIN, "Status", (struct ccz_span){0}, &err) == CCZ_OK);
    CHECK(c.calls == 5 && c.seq == lines + 9); /* made up for at the next occasion */
    ccz_kms_store_free(s);
}

/* A refusal that gets a transaction of its own, as the call's has failed as a whole, is counted as well. */
static void test_settled_refusal(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    uint64_t lines = fix_check(s).audit_lines;
    struct counter c = {.store = s};
    struct ccz_err err = {0};
    static char value[CCZ_KMS_VALUE_SIZE_MAX - 1];
    char pragma[64];
    memset(value, 'v', sizeof(value) - 1);
    sqlite3 *db = *(sqlite3 **)s->db.db; /* the disk is full but for a few pages */
    sqlite3_stmt *st = NULL;
    CHECK(sqlite3_prepare_v2(db, "PRAGMA page_count", -1, &st, NULL) == SQLITE_OK &&
          sqlite3_step(st) == SQLITE_ROW);
    (void)snprintf(pragma, sizeof(pragma), "PRAGMA max_page_count = %d",
                   sqlite3_column_int(st, 0) + 4);
    CHECK(sqlite3_finalize(st) == SQLITE_OK);
    CHECK(cczi_kms_db_exec(&s->db, pragma, NULL) == CCZ_OK);
    s->on_commit = advance;
    s->on_commit_arg = &c;
    CHECK(fix_put_secret(s, "large", value, "server", false, &err) == CCZ_E_IO &&
          strcmp(err.where, "kms:store-full") == 0);
    CHECK(fix_check(s).audit_lines == lines + 1 && c.calls == 1 && c.seq == lines + 1);
    c.rc = CCZ_E_UNAVAILABLE; /* where the counter cannot follow, it is refused all the same */
    CHECK(fix_put_secret(s, "large", value, "server", false, &err) == CCZ_E_IO);
    CHECK(fix_check(s).audit_lines == lines + 2 && c.calls == 2 && c.seq == lines + 1);
    c.rc = CCZ_OK;
    CHECK(fix_release(NULL, s, FIX_STALE, "key/model", 0, &err) == CCZ_E_DENIED);
    CHECK(c.calls == 3 && c.seq == lines + 3); /* and made up for at the next occasion */
    ccz_kms_store_free(s);
}

static bool metrics_say(struct ccz_kms_store *s, int takes, int unrecorded)
{
    CCZ_AUTO_BUF text;
    char want[2][64];
    ccz_buf_init(&text, 65536);
    cczi_kms_batch_metrics(s, false, &text);
    (void)snprintf(want[0], sizeof(want[0]), "\ncczoo_kms_store_takes_lines %d\n", takes);
    (void)snprintf(want[1], sizeof(want[1]), "\ncczoo_kms_unrecorded_total %d\n", unrecorded);
    return strstr(ccz_buf_str(&text), want[0]) && strstr(ccz_buf_str(&text), want[1]);
}

/* Whoever runs the server sees that it can record nothing, though it answers reads. */
static void test_takes_lines(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    struct ccz_err err = {0};
    CHECK(metrics_say(s, 1, 0));
    CHECK(fix_release(NULL, s, FIX_STALE, "key/model", 0, &err) == CCZ_E_DENIED);
    CHECK(metrics_say(s, 1, 0)); /* a refusal that is on record */
    CHECK(cczi_kms_db_exec(&s->db, "ALTER TABLE audit RENAME TO gone", NULL) == CCZ_OK);
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, &err) != CCZ_OK);
    CHECK(metrics_say(s, 0, 1));
    CHECK(fix_call(NULL, s, FIX_ADMIN, "Status", (struct ccz_span){0}, &err) == CCZ_OK);
    CHECK(metrics_say(s, 0, 1)); /* a read says nothing about it */
    struct fix_batch *b = &g_batch;
    fix_batch_begin(b);
    fix_batch_release(b, FIX_WORKLOAD, "key/model");
    fix_batch_release(b, FIX_STALE, "key/model");
    fix_batch_run(b, s);
    CHECK(b->entry[0].rc != CCZ_OK && b->entry[1].rc != CCZ_OK);
    fix_batch_end(b);
    CHECK(metrics_say(s, 0, 3));
    CHECK(cczi_kms_db_exec(&s->db, "ALTER TABLE gone RENAME TO audit", NULL) == CCZ_OK);
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK);
    CHECK(metrics_say(s, 1, 3));
    ccz_kms_store_free(s);
}

/* -------------------------------------------------------------- parsed policies */

static void test_policies(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    struct ccz_err err = {0};
    for (int i = 0; i < 10; i++)
        CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK);
    struct cczi_kms_policies_stat st = cczi_kms_policies_stat(s->policies);
    CHECK(st.parsed == 1 && st.hits == 9 && st.len == 1 && st.json_size == strlen(fix_policy));
    /* a policy of the same name is another row */
    CHECK(fix_put_policy(s, "server", fix_policy_other, true, NULL) == CCZ_OK);
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_E_POLICY);
    CHECK(fix_put_policy(s, "server", fix_policy_empty, true, NULL) == CCZ_OK);
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_E_POLICY);
    CHECK(strcmp(err.where, "policy:empty") == 0);
    st = cczi_kms_policies_stat(s->policies);
    CHECK(st.parsed == 3 && st.len == 3);
    /* the text is read and checked each time all the same */
    CHECK(fix_put_policy(s, "server", fix_policy, true, NULL) == CCZ_OK);
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK);
    CHECK(cczi_kms_db_exec(&s->db, "UPDATE policy SET created_s = 0 WHERE name = 'server'", NULL) ==
          CCZ_OK);
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_E_SIG);

    ccz_kms_store_free(s);
}

/* Bounds: rows are made up, since only their MACs and texts count here. */
static void test_policies_bound(void)
{
    struct ccz_err err = {0};
    struct cczi_kms_policies_stat st;
    struct cczi_kms_policies *c;
    CHECK(cczi_kms_policies_new(&c) == CCZ_OK);
    struct cczi_kms_policy row = {0};
    struct cczi_kms_parsed *p;
    ccz_buf_init(&row.json, CCZ_POLICY_SIZE_MAX);
    ccz_buf_put_str(&row.json, fix_policy);
    for (int i = 0; i < 3 * CCZI_KMS_POLICIES_MAX; i++) {
        row.mac[0] = (uint8_t)i;
        CHECK(cczi_kms_policies_get(&p, c, "server", &row, NULL) == CCZ_OK && p);
        row.mac[0] = 0; /* in use all the time, so it stays */
        CHECK(cczi_kms_policies_get(&p, c, "server", &row, NULL) == CCZ_OK && p);
    }
    st = cczi_kms_policies_stat(c);
    CHECK(st.len == CCZI_KMS_POLICIES_MAX && st.parsed == 3 * CCZI_KMS_POLICIES_MAX);
    while (row.json.size < 900000) /* white space is policy, too */
        ccz_buf_put_str(&row.json, "          ");
    for (int i = 0; i < 10; i++) {
        row.mac[1] = (uint8_t)(1 + i);
        CHECK(cczi_kms_policies_get(&p, c, "server", &row, NULL) == CCZ_OK && p);
        CHECK(cczi_kms_policies_stat(c).json_size <= CCZI_KMS_POLICIES_JSON_MAX);
    }
    ccz_buf_clear(&row.json); /* what does not parse is not kept */
    row.mac[2] = 1;
    uint64_t parsed = cczi_kms_policies_stat(c).parsed;
    CHECK(cczi_kms_policies_get(&p, c, "server", &row, &err) == CCZ_E_FORMAT && !p);
    CHECK(cczi_kms_policies_stat(c).parsed == parsed);
    ccz_buf_free(&row.json);
    cczi_kms_policies_free(c);
}

/* A namespace with more than there is room for pushes its own out, and not those of others. */
static void test_policies_shares(void)
{
    struct cczi_kms_policies *c;
    struct cczi_kms_policy row = {0};
    struct cczi_kms_parsed *p;
    uint8_t small[32] = {1};
    CHECK(cczi_kms_policies_new(&c) == CCZ_OK);
    ccz_buf_init(&row.json, CCZ_POLICY_SIZE_MAX);
    ccz_buf_put_str(&row.json, fix_policy);
    memcpy(row.mac, small, sizeof(small));
    CHECK(cczi_kms_policies_get(&p, c, "team/server", &row, NULL) == CCZ_OK);
    for (int i = 0; i < 3 * CCZI_KMS_POLICIES_MAX; i++) {
        row.mac[1] = (uint8_t)(1 + i);
        CHECK(cczi_kms_policies_get(&p, c, "many/p", &row, NULL) == CCZ_OK);
    }
    CHECK(cczi_kms_policies_stat(c).len == CCZI_KMS_POLICIES_MAX);
    CHECK(cczi_kms_policies_find(&p, c, small));
    while (row.json.size < 900000) /* white space is policy, too */
        ccz_buf_put_str(&row.json, "          ");
    for (int i = 0; i < 10; i++) {
        row.mac[2] = (uint8_t)(1 + i);
        CHECK(cczi_kms_policies_get(&p, c, "large/p", &row, NULL) == CCZ_OK);
        CHECK(cczi_kms_policies_find(&p, c, row.mac));
    }
    CHECK(cczi_kms_policies_stat(c).json_size <= CCZI_KMS_POLICIES_JSON_MAX);
    CHECK(cczi_kms_policies_find(&p, c, small));
    row.mac[1] = 3 * CCZI_KMS_POLICIES_MAX; /* the last one of the others */
    row.mac[2] = 0;
    CHECK(cczi_kms_policies_find(&p, c, row.mac));
    ccz_buf_free(&row.json);
    cczi_kms_policies_free(c);
}

static const struct ccz_test tests[] = {
    {"kms.batch", test_batch},
    {"kms.batch_order", test_batch_order},
    {"kms.batch_each_fails", test_batch_each_fails},
    {"kms.batch_broken", test_batch_broken},
    {"kms.batch_proof", test_batch_proof},
    {"kms.batch_withheld", test_batch_withheld},
    {"kms.settled", test_settled},
    {"kms.settled_refusal", test_settled_refusal},
    {"kms.takes_lines", test_takes_lines},
    {"kms.policies", test_policies},
    {"kms.policies_bound", test_policies_bound},
    {"kms.policies_shares", test_policies_shares},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
