/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of PostgreSQL before it is needed, and lines of the log that nobody waits for; cases of kms_pg_cases.c. */
#define _GNU_SOURCE
#include "kms_pg_fixture.h"
#include "kms_pg_proxy.h"

enum { MANY = 100 };
static struct fix_batch g_batch;

static void put_many(struct ccz_kms_store *s)
{
    CHECK(fix_put_policy(s, "many", fix_policy, false, NULL) == CCZ_OK);
    for (int i = 0; i < MANY; i++) {
        char name[16], value[16];
        (void)snprintf(name, sizeof(name), "m/%d", i);
        (void)snprintf(value, sizeof(value), "value %d", i);
        CHECK(fix_put_secret(s, name, value, i % 2 ? "server" : "many", false, NULL) == CCZ_OK);
    }
}

/* A new one. @param counted  over the proxy */
static struct ccz_kms_store *store_of_many(bool counted)
{
    fresh();
    init();
    if (counted)
        start_proxy(g_dir);
    struct ccz_kms_store *s = open_at(counted ? g_proxy_info : g_info);
    fix_populate(s);
    put_many(s);
    return s;
}

/* The value that entry @p i was answered with is @p want; NULL: it was refused. */
static bool got(size_t i, const char *want)
{
    struct cczi_kms_entry *e = &g_batch.entry[i];
    struct cczi_msg_release_resp m = {0};
    if (!want || e->rc != CCZ_OK)
        return !want && e->rc != CCZ_OK && e->answer.size == 0;
    return cczi_msg_get(&m, cczi_msg_release_resp, ccz_buf_span(&e->answer), NULL) == CCZ_OK &&
           ccz_span_eq(m.value, ccz_span_str(want));
}

/* A batch of releases of different items is a few exchanges with the database, over one connection, and each gets its own. */
void pg_test_ahead(void)
{
    struct ccz_kms_store *s = store_of_many(true);
    for (int round = 0; round < 3; round++) { /* in the first one statements are prepared */
        uint64_t lines = fix_check(s).audit_lines;
        int conns = g_conns, chunks = g_chunks;
        char item[MANY][24];
        fix_batch_begin(&g_batch);
        for (int i = 0; i < MANY; i++) {
            (void)snprintf(item[i], sizeof(item[i]), "secret/m/%d", (i + 7 * round) % MANY);
            fix_batch_release(&g_batch, FIX_WORKLOAD, item[i]);
        }
        fix_batch_release(&g_batch, FIX_WORKLOAD, item[0]); /* twice */
        fix_batch_release(&g_batch, FIX_STALE, item[1]);
        fix_batch_release(&g_batch, FIX_WORKLOAD, "secret/absent");
        fix_batch_release(&g_batch, FIX_WORKLOAD, "no item");
        struct cczi_msg_release_req old = {fix_str("secret/db/password"), 1}, none = old;
        none.version = 7;
        fix_batch_add(&g_batch, FIX_WORKLOAD, "Release", cczi_msg_release_req, &old);
        fix_batch_add(&g_batch, FIX_WORKLOAD, "Release", cczi_msg_release_req, &none);
        fix_batch_run(&g_batch, s);
        for (int i = 0; i < MANY; i++) {
            char want[16];
            (void)snprintf(want, sizeof(want), "value %d", (i + 7 * round) % MANY);
            CHECK(got((size_t)i, want));
        }
        char first[16];
        (void)snprintf(first, sizeof(first), "value %d", 7 * round);
        CHECK(got(MANY, first) && got(MANY + 1, NULL) && got(MANY + 2, NULL));
        CHECK(got(MANY + 3, NULL) && got(MANY + 4, "correct horse") && got(MANY + 5, NULL));
        fix_batch_end(&g_batch);
        CHECK(g_conns == conns); /* none was given up to begin anew */
        CHECK(round == 0 || g_chunks - chunks < MANY);
        CHECK(fix_check(s).audit_lines == lines + MANY + 6);
    }
    ccz_kms_store_free(s);
}

/* How many messages the database gets for a few releases. */
static int messages(struct ccz_kms_store *s, enum fix_who who, const char *const *items)
{
    int before = g_chunks;
    fix_batch_begin(&g_batch);
    for (int i = 0; i < 4; i++)
        fix_batch_release(&g_batch, who, items[i]);
    fix_batch_run(&g_batch, s);
    for (int i = 0; i < 4; i++)
        CHECK(g_batch.entry[i].rc != CCZ_OK);
    fix_batch_end(&g_batch);
    return g_chunks - before;
}

/* Nothing is asked ahead for who may not call: he would learn by the time that it takes which items there are. */
void pg_test_ahead_nobody(void)
{
    static const char *const there[] = {"secret/m/1", "secret/m/2", "secret/m/3", "secret/m/4"};
    static const char *const absent[] = {"secret/x/1", "secret/x/2", "secret/x/3", "secret/x/4"};
    struct ccz_kms_store *s = store_of_many(true);
    (void)messages(s, FIX_NOBODY, absent); /* prepared */
    int least = messages(s, FIX_NOBODY, absent);
    CHECK(messages(s, FIX_NOBODY, there) == least);
    CHECK(messages(s, FIX_STALE, absent) == least && messages(s, FIX_STALE, there) == least);
    CHECK(messages(s, FIX_WORKLOAD, absent) > least); /* that is what it would be */
    ccz_kms_store_free(s);
}

/* While lines wait the server has nothing to do for us, so that it ends a transaction whose client stands still: others go on. */
void pg_test_line_idle(void)
{
    char info[700];
    void *db;
    struct ccz_err err = {0};
    const struct ccz_kms_backend *ops = ccz_kms_postgresql();
    fresh();
    init();
    (void)snprintf(info, sizeof(info), "%s options='-c idle_in_transaction_session_timeout=500'",
                   g_info);
    CHECK(ops->open(&db, info, false, &err) == CCZ_OK);
    CHECK(ops->first(db, CCZI_SQL_BEGIN, NULL, 0) == CCZI_KMS_STEP_DONE);
    CHECK(ops->first(db, CCZI_SQL_META_GET, NULL, 0) == CCZI_KMS_STEP_ROW);
    ops->end(db, CCZI_SQL_META_GET);
    static const uint8_t entry[600];
    for (int i = 0; i < MANY; i++) {
        const struct cczi_kms_param line[] = {
            {.type = CCZI_KMS_INT, .num = 1000 + i},
            {.type = CCZI_KMS_INT, .num = FIX_NOW},
            {.type = CCZI_KMS_BLOB, .bytes = CCZ_SPAN(entry, sizeof(entry))},
            {.type = CCZI_KMS_BLOB, .bytes = CCZ_SPAN(entry, 32)},
            {.type = CCZI_KMS_BLOB, .bytes = CCZ_SPAN(entry, 32)},
        };
        CHECK(ops->first(db, CCZI_SQL_AUDIT_PUT, line, 5) == CCZI_KMS_STEP_DONE);
        ops->end(db, CCZI_SQL_AUDIT_PUT);
    }
    sql("SET lock_timeout = '20s'; SELECT 1 FROM meta FOR UPDATE");
    enum cczi_kms_fault fault;
    CHECK(ops->first(db, CCZI_SQL_COMMIT, NULL, 0) == CCZI_KMS_STEP_FAILED);
    CHECK(ops->fail(&fault, db, &err) == CCZ_E_UNAVAILABLE && fault == CCZI_KMS_FAULT_AGAIN);
    ops->end(db, CCZI_SQL_COMMIT);
    ops->close(db);
    sql("DO $$ BEGIN ASSERT (SELECT count(*) FROM audit) = 1; END $$");
}

static void add_bind(const char *item, const char *policy)
{
    struct cczi_msg_bind_req m = {.item = fix_str(item), .policy = fix_str(policy)};
    fix_batch_add(&g_batch, FIX_ADMIN, "Bind", cczi_msg_bind_req, &m);
}

/* What a call of the batch changes is so for those behind it, whatever was asked before. */
void pg_test_ahead_changes(void)
{
    struct ccz_kms_store *s = store_of_many(false);
    struct cczi_msg_put_req put = {
        .name = fix_str("m/1"), .value = fix_str("newer"), .new_version = 1};
    struct cczi_msg_delete_req del = {.target = fix_str("secret/m/5")};
    struct cczi_msg_put_policy_req policy = {fix_str("many"), fix_str(fix_policy_other), 1};
    fix_batch_begin(&g_batch);
    fix_batch_release(&g_batch, FIX_WORKLOAD, "secret/m/1");
    fix_batch_add(&g_batch, FIX_ADMIN, "PutSecret", cczi_msg_put_req, &put);
    fix_batch_release(&g_batch, FIX_WORKLOAD, "secret/m/1"); /* 2 */
    fix_batch_release(&g_batch, FIX_WORKLOAD, "secret/m/3");
    add_bind("secret/m/3", "other");
    fix_batch_release(&g_batch, FIX_WORKLOAD, "secret/m/3"); /* 5 */
    fix_batch_release(&g_batch, FIX_WORKLOAD, "secret/m/5");
    fix_batch_add(&g_batch, FIX_ADMIN, "Delete", cczi_msg_delete_req, &del);
    fix_batch_release(&g_batch, FIX_WORKLOAD, "secret/m/5"); /* 8 */
    fix_batch_release(&g_batch, FIX_WORKLOAD, "secret/m/6");
    fix_batch_add(&g_batch, FIX_ADMIN, "PutPolicy", cczi_msg_put_policy_req, &policy);
    fix_batch_release(&g_batch, FIX_WORKLOAD, "secret/m/6"); /* 11 */
    fix_batch_release(&g_batch, FIX_WORKLOAD, "secret/m/7");
    fix_batch_run(&g_batch, s);
    CHECK(got(0, "value 1") && got(2, "newer"));
    CHECK(got(3, "value 3") && g_batch.entry[4].rc == CCZ_OK && got(5, NULL));
    CHECK(got(6, "value 5") && g_batch.entry[7].rc == CCZ_OK && got(8, NULL));
    CHECK(got(9, "value 6") && g_batch.entry[10].rc == CCZ_OK && got(11, NULL));
    CHECK(got(12, "value 7"));
    fix_batch_end(&g_batch);
    /* and what somebody else has changed meanwhile is so for the next batch */
    sql("UPDATE item SET expires_s = 1 WHERE name = 'm/7'");
    fix_batch_begin(&g_batch);
    fix_batch_release(&g_batch, FIX_WORKLOAD, "secret/m/7");
    fix_batch_release(&g_batch, FIX_WORKLOAD, "secret/m/9");
    fix_batch_run(&g_batch, s);
    CHECK(got(0, NULL) && strcmp(g_batch.entry[0].err.where, "kms:row-mac") == 0);
    CHECK(got(1, "value 9"));
    fix_batch_end(&g_batch);
    ccz_kms_store_free(s);
}

static bool g_said;

static void hear(void *arg, enum ccz_log_level level, const char *module, const char *line)
{
    (void)arg, (void)level, (void)module;
    g_said = g_said || strstr(line, "one by one: where=kms:store-constraint");
}

/* Lines are sent without waiting for what becomes of them. One that the database does not take is found before anything is answered: the
 * batch was not done, and each call is tried by itself. */
void pg_test_line_refused(void)
{
    struct ccz_err err = {0};
    char text[160];
    struct ccz_kms_store *s = store_of_many(false);
    const uint64_t lines = fix_check(s).audit_lines;
    (void)snprintf(text, sizeof(text), "ALTER TABLE audit ADD CONSTRAINT room CHECK (seq <= %llu)",
                   (unsigned long long)lines + 2);
    sql(text);
    fix_batch_begin(&g_batch);
    static const char *const items[] = {"secret/m/1", "secret/m/3", "secret/m/5", "secret/m/7"};
    for (int i = 0; i < 4; i++)
        fix_batch_release(&g_batch, FIX_WORKLOAD, items[i]);
    fix_batch_run(&g_batch, s);
    CHECK(got(0, "value 1") && got(1, "value 3") && got(2, NULL) && got(3, NULL));
    CHECK(strcmp(g_batch.entry[3].err.where, "kms:store-constraint") == 0);
    fix_batch_end(&g_batch);
    CHECK(fix_check(s).audit_lines == lines + 2);
    /* a call that reads behind it finds it first: told is that line, and not that the transaction has failed */
    struct cczi_msg_list_req all = {0};
    fix_batch_begin(&g_batch);
    fix_batch_release(&g_batch, FIX_WORKLOAD, "secret/m/9");
    fix_batch_add(&g_batch, FIX_ADMIN, "List", cczi_msg_list_req, &all);
    ccz_log_install(hear, NULL, CCZ_LOG_WARN);
    fix_batch_run(&g_batch, s);
    ccz_log_install(NULL, NULL, CCZ_LOG_WARN);
    CHECK(g_said && got(0, NULL) && g_batch.entry[1].rc == CCZ_OK);
    fix_batch_end(&g_batch);
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "secret/m/9", 0, &err) == CCZ_E_INTERNAL);
    CHECK(strcmp(err.where, "kms:store-constraint") == 0);
    sql("ALTER TABLE audit DROP CONSTRAINT room");
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "secret/m/9", 0, &err) == CCZ_OK);
    CHECK(fix_check(s).audit_lines == lines + 3);
    ccz_kms_store_free(s);
}
