/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of items, and rows that were seen: a DBA takes rows away or puts them back as they were, beside a running server. */
#define _GNU_SOURCE
#include "kms/kms_hook.h"
#include "kms/quota.h"
#include "kms/use_fixture.h"

static bool gone(ccz_rc rc, const struct ccz_err *e)
{
    return dir_refused(rc, e, CCZ_E_SIG, "kms:row-set");
}

static bool older(ccz_rc rc, const struct ccz_err *e)
{
    return dir_refused(rc, e, CCZ_E_SIG, "kms:row-older");
}

static ccz_rc release(struct ccz_kms_store *s, const char *item, uint32_t version)
{
    err = (struct ccz_err){0};
    return fix_release(NULL, s, FIX_WORKLOAD, item, version, &err);
}

static ccz_rc destroy(struct ccz_kms_store *s, const char *item, uint32_t version)
{
    struct cczi_msg_delete_req m = {
        .target = ccz_span_str(item), .version = version, .no_recovery = 1};
    err = (struct ccz_err){0};
    return fix_msg(NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &m, &err);
}

static struct ccz_kms_store *store(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    CHECK(fix_put_policy(s, "server", fix_policy, false, &err) == CCZ_OK &&
          fix_put_policy(s, "other", fix_policy_other, false, &err) == CCZ_OK);
    CHECK(fix_put_secret(s, "word", "old", "server", false, &err) == CCZ_OK);
    sql(s, "CREATE TABLE kept_head AS SELECT * FROM item_head WHERE name = 'word'");
    CHECK(fix_put_secret(s, "word", "new", NULL, true, &err) == CCZ_OK);
    return s;
}

/* The latest version is taken away: the one before is not released in its place. */
static void test_version(void)
{
    struct ccz_kms_store *s = store();
    CHECK(release(s, "secret/word", 0) == CCZ_OK && release(s, "secret/word", 1) == CCZ_OK);
    sql(s, "CREATE TABLE kept AS SELECT * FROM item WHERE name = 'word';"
           "DELETE FROM item WHERE name = 'word' AND version = 2");
    CHECK(gone(release(s, "secret/word", 0), &err) && err.hint[0]);
    CHECK(gone(release(s, "secret/word", 2), &err));
    CHECK(release(s, "secret/word", 1) == CCZ_OK); /* who asks for an older one, is told so */
    /* nor with the head: then there is no such item */
    sql(s, "DELETE FROM item_head WHERE name = 'word'");
    CHECK(release(s, "secret/word", 0) == CCZ_E_NOT_FOUND);
    CHECK(release(s, "secret/word", 1) == CCZ_E_NOT_FOUND);
    /* nor with an earlier head, for a server that has seen the later one */
    sql(s, "INSERT INTO item_head SELECT * FROM kept_head");
    CHECK(older(release(s, "secret/word", 0), &err) && err.hint[0]);
    forget(s); /* for another one it holds, until all rows are looked at */
    CHECK(release(s, "secret/word", 0) == CCZ_OK);
    CHECK(set_refused(s));
    ccz_kms_store_free(s);
}

/* Heads follow what there is. */
static void test_life(void)
{
    struct ccz_kms_store *s = store();
    struct ccz_kms_check c = fix_check(s);
    CHECK(fix_put_secret(s, "word", "third", NULL, true, &err) == CCZ_OK);
    CHECK(destroy(s, "secret/word", 2) == CCZ_OK && release(s, "secret/word", 0) == CCZ_OK);
    CHECK(release(s, "secret/word", 2) == CCZ_E_NOT_FOUND);
    CHECK(destroy(s, "secret/word", 3) == CCZ_E_DENIED && /* or its number would come again */
          strcmp(err.where, "kms:latest-version") == 0);
    CHECK(release(s, "secret/word", 3) == CCZ_OK && fix_check(s).item_heads == c.item_heads);
    CHECK(destroy(s, "secret/word", 0) == CCZ_OK);
    CHECK(fix_check(s).item_heads == c.item_heads - 1);
    CHECK(release(s, "secret/word", 0) == CCZ_E_NOT_FOUND);
    CHECK(fix_put_secret(s, "word", "again", "server", false, &err) == CCZ_OK);
    CHECK(release(s, "secret/word", 0) == CCZ_OK && fix_check(s).item_heads == c.item_heads);
    ccz_kms_store_free(s);
}

/* The binding of one operation is taken away: the laxer one of release does not decide in its place. */
static void test_binding(void)
{
    struct ccz_kms_store *s = store();
    char sealed[512];
    CHECK(use_is(use_make(s, "k", "aes-256-gcm", NULL, "server"), CCZ_OK, ""));
    CHECK(use_is(use_encrypt(sealed, sizeof(sealed), s, "k", "x"), CCZ_OK, ""));
    CHECK(use_is(use_decrypt(s, "k", sealed, "x"), CCZ_OK, ""));
    CHECK(use_is(use_bind(s, "k", "decrypt", "other"), CCZ_OK, ""));
    CHECK(use_is(use_decrypt(s, "k", sealed, "x"), CCZ_E_POLICY, "policy:mrenclave"));
    sql(s, "CREATE TABLE kept_binding AS SELECT * FROM binding WHERE name = 'k' AND op != 0;"
           "DELETE FROM binding WHERE name = 'k' AND op != 0");
    CHECK(gone(use_decrypt(s, "k", sealed, "x"), &use_err));
    CHECK(use_is(use_encrypt(sealed, sizeof(sealed), s, "k", "x"), CCZ_OK, "")); /* not its own */
    sql(s, "CREATE TABLE kept_heads AS SELECT * FROM item_head;"
           "DELETE FROM item_head WHERE name = 'k'");
    CHECK(gone(use_decrypt(s, "k", sealed, "x"), &use_err));
    sql(s, "INSERT INTO item_head SELECT * FROM kept_heads WHERE name = 'k';"
           "INSERT INTO binding SELECT * FROM kept_binding");
    CHECK(use_is(use_decrypt(s, "k", sealed, "x"), CCZ_E_POLICY, "policy:mrenclave"));
    CHECK(ccz_kms_store_check(NULL, s, &err) == CCZ_OK);
    /* an author takes it away */
    CHECK(use_is(use_bind(s, "k", "decrypt", NULL), CCZ_OK, ""));
    CHECK(use_is(use_decrypt(s, "k", sealed, "x"), CCZ_OK, ""));
    /* what was taken away does not come back */
    sql(s, "INSERT INTO binding SELECT * FROM kept_binding");
    CHECK(older(use_decrypt(s, "k", sealed, "x"), &use_err)); /* this server took it away */
    forget(s);
    CHECK(gone(use_decrypt(s, "k", sealed, "x"), &use_err));
    sql(s, "DELETE FROM binding WHERE name = 'k' AND op != 0");
    CHECK(use_is(use_decrypt(s, "k", sealed, "x"), CCZ_OK, ""));
    /* and that of release: nothing is left */
    sql(s, "DELETE FROM binding WHERE name = 'word'");
    CHECK(gone(release(s, "secret/word", 0), &err));
    ccz_kms_store_free(s);
}

/* A binding of an item that was destroyed does not decide about the next one of that name. */
static void test_binding_again(void)
{
    struct ccz_kms_store *s = store();
    sql(s, "CREATE TABLE kept_word AS SELECT * FROM binding WHERE name = 'word'");
    CHECK(destroy(s, "secret/word", 0) == CCZ_OK);
    CHECK(fix_put_secret(s, "word", "for others", NULL, false, &err) == CCZ_OK);
    CHECK(release(s, "secret/word", 0) == CCZ_E_DENIED && strcmp(err.where, "kms:unbound") == 0);
    sql(s, "INSERT INTO binding SELECT * FROM kept_word");
    forget(s);
    CHECK(gone(release(s, "secret/word", 0), &err));
    ccz_kms_store_free(s);
}

/* Rows of the past, each of a kind that decides something, once a later one was seen: read, or written by this server. */
static void past(bool read_later)
{
    static const struct {
        const char *keep, *back;
    } rows[] = {
        {"CREATE TABLE kept AS SELECT * FROM policy WHERE name = 'server'",
         "DELETE FROM policy WHERE name = 'server'; INSERT INTO policy SELECT * FROM kept"},
        {"CREATE TABLE kept AS SELECT * FROM binding WHERE name = 'word'",
         "DELETE FROM binding WHERE name = 'word'; INSERT INTO binding SELECT * FROM kept"},
        {"CREATE TABLE kept AS SELECT * FROM item WHERE name = 'word' AND version = 2",
         "DELETE FROM item WHERE name = 'word' AND version = 2; INSERT INTO item SELECT * FROM "
         "kept"},
    };
    struct cczi_msg_bind_req bind_it = {.item = ccz_span_str("secret/word"),
                                        .policy = ccz_span_str("other")};
    struct cczi_msg_delete_req disable = {.target = ccz_span_str("secret/word")};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ccz_kms_store *s = store();
        CHECK(release(s, "secret/word", 0) == CCZ_OK);
        sql(s, rows[i].keep);
        ccz_rc rc =
            i == 0   ? fix_put_policy(s, "server", fix_policy_other, true, &err)
            : i == 1 ? fix_msg(NULL, s, FIX_ADMIN, "Bind", cczi_msg_bind_req, &bind_it, &err)
                     : fix_msg(NULL, s, FIX_ADMIN, "Disable", cczi_msg_target_req, &disable, &err);
        CHECK(rc == CCZ_OK);
        rc = read_later ? release(s, "secret/word", 0) : CCZ_E_DENIED;
        CHECK(rc == CCZ_E_POLICY || rc == CCZ_E_DENIED);
        sql(s, rows[i].back);
        CHECK(older(release(s, "secret/word", 0), &err));
        CHECK(set_refused(s)); /* a look says what it is by the whole */
        forget(s);
        CHECK(release(s, "secret/word", 0) == CCZ_OK);
        ccz_kms_store_free(s);
    }
}

static void test_past(void)
{
    past(true);
    past(false);
}

/* What this server has taken away is past, whoever has read it: a version, its head and a policy. */
static void test_past_gone(void)
{
    struct ccz_kms_store *s = store();
    sql(s, "CREATE TABLE kept AS SELECT * FROM item WHERE name = 'word';"
           "CREATE TABLE kept_heads AS SELECT * FROM item_head;"
           "CREATE TABLE kept_policy AS SELECT * FROM policy WHERE name = 'other'");
    CHECK(destroy(s, "secret/word", 1) == CCZ_OK);
    sql(s, "INSERT INTO item SELECT * FROM kept WHERE version = 1");
    CHECK(older(release(s, "secret/word", 1), &err));
    CHECK(destroy(s, "secret/word", 0) == CCZ_E_SIG);
    sql(s, "DELETE FROM item WHERE name = 'word' AND version = 1");
    CHECK(destroy(s, "secret/word", 0) == CCZ_OK);
    CHECK(release(s, "secret/word", 0) == CCZ_E_NOT_FOUND);
    sql(s,
        "INSERT INTO item SELECT * FROM kept; INSERT INTO item_head SELECT * FROM kept_heads WHERE "
        "name = 'word'");
    CHECK(older(release(s, "secret/word", 0), &err));
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK);
    CHECK(cczi_kms_policy_delete(s, "other", &err) == CCZ_OK && cczi_kms_commit(s, &err) == CCZ_OK);
    sql(s, "INSERT INTO policy SELECT * FROM kept_policy");
    CHECK(older(fix_put_policy(s, "other", fix_policy, true, &err), &err));
    forget(s); /* as another server, which has seen none of it: the head misses its bindings */
    CHECK(gone(release(s, "secret/word", 1), &err) && set_refused(s));
    ccz_kms_store_free(s);
}

/* What a transaction wrote that was undone is no past of anything: its generations are given out again. */
static void test_past_undone(void)
{
    struct ccz_kms_store *s = store();
    struct cczi_kms_binding b;
    const struct cczi_kms_ref word = {CCZI_KMS_SECRET, "word"}, other = {CCZI_KMS_SECRET, "later"};
    CHECK(fix_put_secret(s, "later", "x", "server", false, &err) == CCZ_OK);
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK);
    for (int i = 0; i < 10; i++) { /* read again within it */
        CHECK(cczi_kms_binding_put(s, &word, 0, "other", &err) == CCZ_OK);
        CHECK(cczi_kms_binding_get(&b, s, &word, 0, &err) == CCZ_OK);
    }
    cczi_kms_rollback(s);
    CHECK(release(s, "secret/word", 0) == CCZ_OK);
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK);
    CHECK(cczi_kms_binding_put(s, &other, 0, "other", &err) == CCZ_OK);
    CHECK(cczi_kms_binding_put(s, &word, 0, "server", &err) == CCZ_OK);
    CHECK(cczi_kms_commit(s, &err) == CCZ_OK);
    CHECK(release(s, "secret/word", 0) == CCZ_OK && release(s, "secret/word", 0) == CCZ_OK);
    /* nor what one call of several took away or wrote, when it was refused */
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK && cczi_kms_savepoint(s, &err) == CCZ_OK);
    CHECK(cczi_kms_binding_delete(s, &word, 0, &err) == CCZ_OK);
    CHECK(cczi_kms_savepoint_undo(s, &err) == CCZ_OK && cczi_kms_savepoint(s, &err) == CCZ_OK);
    CHECK(cczi_kms_binding_put(s, &other, 0, "server", &err) == CCZ_OK);
    CHECK(cczi_kms_savepoint_keep(s, &err) == CCZ_OK && cczi_kms_commit(s, &err) == CCZ_OK);
    CHECK(release(s, "secret/word", 0) == CCZ_OK && release(s, "secret/later", 0) == CCZ_OK);
    (void)fix_check(s);
    ccz_kms_store_free(s);
}

/* ------------------------------------------------------- one transaction, many calls */

static unsigned count(struct fix_batch *b, struct ccz_kms_store *s, enum cczi_kms_sql of)
{
    hook(s);
    h.count = of;
    fix_batch_run(b, s);
    s->db.ops = h.real;
    fix_batch_end(b);
    return h.counted;
}

/* Calls of one batch about one item read its rows once, and what one of them writes is what the next one reads. */
static void test_memo(void)
{
    static const enum cczi_kms_sql reads[] = {CCZI_SQL_ITEM_GET, CCZI_SQL_HEADS_GET,
                                              CCZI_SQL_BIND_GET, CCZI_SQL_POLICY_GET};
    struct ccz_kms_store *s = store();
    struct fix_batch b;
    for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++) {
        fix_batch_begin(&b);
        for (int n = 0; n < 5; n++)
            fix_batch_release(&b, FIX_WORKLOAD, "secret/word");
        CHECK(count(&b, s, reads[i]) == 1);
    }
    struct cczi_msg_put_req put = {
        .name = ccz_span_str("word"), .value = ccz_span_str("newest"), .new_version = 1};
    struct cczi_msg_bind_req other = {.item = ccz_span_str("secret/word"),
                                      .policy = ccz_span_str("other")};
    struct cczi_msg_put_policy_req laxer = {ccz_span_str("other"), ccz_span_str(fix_policy), 1};
    fix_batch_begin(&b);
    fix_batch_release(&b, FIX_WORKLOAD, "secret/word");
    fix_batch_add(&b, FIX_ADMIN, "PutSecret", cczi_msg_put_req, &put);
    fix_batch_release(&b, FIX_WORKLOAD, "secret/word");
    fix_batch_add(&b, FIX_ADMIN, "Bind", cczi_msg_bind_req, &other);
    fix_batch_release(&b, FIX_WORKLOAD, "secret/word");
    fix_batch_add(&b, FIX_ADMIN, "PutPolicy", cczi_msg_put_policy_req, &laxer);
    fix_batch_release(&b, FIX_WORKLOAD, "secret/word");
    fix_batch_run(&b, s);
    CHECK(b.entry[0].rc == CCZ_OK && b.entry[1].rc == CCZ_OK && b.entry[2].rc == CCZ_OK);
    CHECK(memmem(b.entry[0].answer.ptr, b.entry[0].answer.size, "new", 3) &&
          !memmem(b.entry[0].answer.ptr, b.entry[0].answer.size, "newest", 6) &&
          memmem(b.entry[2].answer.ptr, b.entry[2].answer.size, "newest", 6));
    CHECK(b.entry[3].rc == CCZ_OK && b.entry[4].rc == CCZ_E_POLICY);
    CHECK(b.entry[5].rc == CCZ_OK && b.entry[6].rc == CCZ_OK);
    fix_batch_end(&b);
    (void)fix_check(s);
    ccz_kms_store_free(s);
}

/* What is undone was never read: the next call of the batch has the rows as they were. */
static void test_memo_undone(void)
{
    struct ccz_kms_store *s = store();
    struct cczi_kms_binding b;
    const struct cczi_kms_ref word = {CCZI_KMS_SECRET, "word"};
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK);
    cczi_kms_savepoint_lazy(s);
    CHECK(cczi_kms_binding_put(s, &word, 0, "other", &err) == CCZ_OK);
    CHECK(cczi_kms_binding_get(&b, s, &word, 0, &err) == CCZ_OK && !strcmp(b.policy, "other"));
    CHECK(cczi_kms_savepoint_undo(s, &err) == CCZ_OK);
    CHECK(cczi_kms_binding_get(&b, s, &word, 0, &err) == CCZ_OK && !strcmp(b.policy, "server"));
    CHECK(cczi_kms_commit(s, &err) == CCZ_OK);
    /* nor is what another transaction has read */
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK);
    CHECK(cczi_kms_binding_get(&b, s, &word, 0, &err) == CCZ_OK);
    cczi_kms_rollback(s);
    CHECK(cczi_kms_binding_get(&b, s, &word, 0, &err) ==
          CCZ_OK); /* and outside of one nothing is kept */
    h.real = s->db.ops;
    CHECK(h.real->exec(s->db.db, "DELETE FROM binding WHERE name = 'word'", &err) == CCZ_OK);
    CHECK(cczi_kms_binding_get(&b, s, &word, 0, &err) == CCZ_E_NOT_FOUND);
    CHECK(gone(release(s, "secret/word", 0), &err));
    ccz_kms_store_free(s);
}

/* Calls that write nothing but their audit line need no savepoint; the others have one that is undone alone. */
static void test_lazy(void)
{
    struct ccz_kms_store *s = store();
    struct fix_batch b;
    CHECK(release(s, "secret/word", 0) == CCZ_OK); /* the workload is seen, which is written */
    fix_batch_begin(&b);
    fix_batch_release(&b, FIX_WORKLOAD, "secret/word");
    fix_batch_release(&b, FIX_STRANGER, "secret/word"); /* refused */
    CHECK(count(&b, s, CCZI_SQL_SAVEPOINT) == 0);
    fix_batch_begin(&b);
    fix_batch_put_secret(&b, "one", "x", "server");
    fix_batch_put_secret(&b, "two", "x", "no such policy"); /* refused when it was written */
    fix_batch_put_secret(&b, "three", "x", "server");
    CHECK(count(&b, s, CCZI_SQL_UNDO) == 1);
    CHECK(release(s, "secret/one", 0) == CCZ_OK && release(s, "secret/three", 0) == CCZ_OK);
    CHECK(release(s, "secret/two", 0) == CCZ_E_NOT_FOUND);
    (void)fix_check(s);
    ccz_kms_store_free(s);
}

/* ---------------------------------------------------------------- reviewed sequences */

/* A call of a batch changes a quorum; a look that the next call makes finds a row that a DBA has damaged, and he puts it right again.
 * What the first one changed is committed, and stays what this server knows of quorums. */
static void test_quorum_look_fails(void)
{
    struct ccz_kms_store *s = store();
    uint32_t needed = 0;
    CHECK(ccz_kms_store_check(NULL, s, &err) == CCZ_OK); /* quorums are known: there are none */
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK);
    cczi_kms_savepoint_lazy(s);
    CHECK(cczi_kms_quorum_put(s, "*", 1, &err) == CCZ_OK);
    CHECK(cczi_kms_savepoint_keep(s, &err) == CCZ_OK);
    cczi_kms_savepoint_lazy(s);
    sql(s, "UPDATE policy SET created_s = created_s + 1 WHERE name = 'other'");
    CHECK(cczi_kms_rows_whole(s, &err) == CCZ_E_SIG);
    CHECK(cczi_kms_savepoint_undo(s, &err) == CCZ_OK);
    sql(s, "UPDATE policy SET created_s = created_s - 1 WHERE name = 'other'");
    CHECK(cczi_kms_commit(s, &err) == CCZ_OK);
    sql(s, "DELETE FROM quorum"); /* the DBA */
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK);
    err = (struct ccz_err){0};
    ccz_rc rc = cczi_kms_approvals_needed(&needed, s, "*", &err);
    CHECK(gone(rc, &err)); /* and not: CCZ_OK, none are needed */
    cczi_kms_rollback(s);
    ccz_kms_store_free(s);
}

/* The answer to COMMIT is lost and nothing was committed: the batch runs again. Who was refused for want of room the first time
 * must not have the one before him, who took it, refused now: nothing of it is there. */
static void test_quota_again(void)
{
    struct ccz_kms_store *s = store();
    struct fix_batch b;
    cczi_kms_quotas_limit(s->quotas, &(struct ccz_kms_quota){.items = 1});
    hook(s);
    h.commit = LOSE_UNDONE;
    fix_batch_begin(&b);
    fix_batch_put_secret(&b, "n/first", "x", NULL);
    fix_batch_put_secret(&b, "n/second", "x", NULL);
    fix_batch_run(&b, s);
    CHECK(b.entry[0].rc == CCZ_OK); /* there is room for one */
    CHECK(b.entry[1].rc == CCZ_E_LIMIT);
    fix_batch_end(&b);
    s->db.ops = h.real;
    (void)fix_check(s);
    ccz_kms_store_free(s);
}

/* SQLite takes a whole transaction back by itself when a statement that reads finds no memory or a bad sector (sqlite3VdbeHalt). The look for a
 * policy on trial is one whose failure refuses nobody: what is written after it is outside of any transaction. */
static struct {
    bool armed, failed;
} away;

static enum cczi_kms_step taken_back_first(void *db, enum cczi_kms_sql q,
                                           const struct cczi_kms_param *p, size_t n)
{
    if (!away.armed || q != CCZI_SQL_STAGED_GET)
        return h.real->first(db, q, p, n);
    away.armed = false;
    away.failed = true;
    CHECK(h.real->exec(db, "ROLLBACK", &err) == CCZ_OK);
    return CCZI_KMS_STEP_FAILED;
}

static ccz_rc taken_back_fail(enum cczi_kms_fault *fault, void *db, struct ccz_err *e)
{
    if (!away.failed)
        return h.real->fail(fault, db, e);
    away.failed = false;
    *fault = CCZI_KMS_FAULT_NONE;
    return ccz_fail(e, CCZ_E_IO, "kms:store", 0, "the hook reads a bad sector");
}

static void test_taken_back(void)
{
    struct ccz_kms_store *s = store();
    struct fix_batch b;
    hook(s);
    h.ops.first = taken_back_first;
    h.ops.fail = taken_back_fail;
    away.armed = true;
    fix_batch_begin(&b);
    fix_batch_put_secret(&b, "one", "x", "server");
    fix_batch_release(&b, FIX_WORKLOAD, "secret/word");
    fix_batch_run(&b, s);
    CHECK(!away.armed); /* it was reached */
    s->db.ops = h.real;
    /* whatever was answered holds, and the store goes on */
    CHECK(b.entry[0].rc == CCZ_OK && b.entry[1].rc == CCZ_OK);
    fix_batch_end(&b);
    CHECK(release(s, "secret/word", 0) == CCZ_OK);
    CHECK(release(s, "secret/one", 0) == CCZ_OK);
    CHECK(ccz_kms_store_check(NULL, s, &err) == CCZ_OK);
    ccz_kms_store_free(s);
}

static const struct ccz_test tests[] = {
    {"kms.head_version", test_version},
    {"kms.head_life", test_life},
    {"kms.head_binding", test_binding},
    {"kms.head_binding_again", test_binding_again},
    {"kms.past", test_past},
    {"kms.past_gone", test_past_gone},
    {"kms.past_undone", test_past_undone},
    {"kms.memo", test_memo},
    {"kms.memo_undone", test_memo_undone},
    {"kms.savepoint_lazy", test_lazy},
    {"kms.quorum_look_fails", test_quorum_look_fails},
    {"kms.quota_again", test_quota_again},
    {"kms.taken_back", test_taken_back},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
