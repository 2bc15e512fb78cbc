/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of the KMS on a real PostgreSQL, which 23-kms-postgresql.sh starts. From the environment:
 *   CCZ_TEST_PG_DIR      folder of its unix socket, port 5499, user tester (superuser), database postgres
 *   CCZ_TEST_PG_RESTART  command that crashes and restarts it
 * Each case empties the database first.
 */
#define _GNU_SOURCE
#include "kms_pg_fixture.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ----------------------------------------------------------------------- the same */

static const struct call {
    const char *method;
    enum fix_who who;
    const char *name; /* of the request, or the item */
    const char *value, *policy;
    uint64_t number;
} calls[] = {
    {"PutPolicy", FIX_ADMIN, "server", fix_policy, NULL, 0},
    {"PutPolicy", FIX_ADMIN, "server", fix_policy, NULL, 0},
    {"PutPolicy", FIX_ADMIN, "Zebra", fix_policy_other, NULL, 0},
    {"PutPolicy", FIX_ADMIN, "a-b", fix_policy_other, NULL, 0},
    {"PutPolicy", FIX_ADMIN, "a/b", fix_policy_other, NULL, 0},
    {"PutSecret", FIX_ADMIN, "db/password", "one", "server", 0},
    {"PutSecret", FIX_ADMIN, "db/password", "two", NULL, 1},
    {"PutSecret", FIX_ADMIN, "db/password", "two", NULL, 0},
    {"PutSecret", FIX_ADMIN, "Upper", "x", "Zebra", 0},
    {"PutSecret", FIX_ADMIN, "lower", "x", NULL, 0},
    {"PutSecret", FIX_ADMIN, "half", "x", "absent", 0},
    {"PutSecret", FIX_STRANGER, "half", "x", "absent", 0},
    {"Release", FIX_WORKLOAD, "secret/db/password", NULL, NULL, 0},
    {"Release", FIX_WORKLOAD, "secret/db/password", NULL, NULL, 1},
    {"Release", FIX_WORKLOAD, "secret/db/password", NULL, NULL, 3},
    {"Release", FIX_WORKLOAD, "secret/Upper", NULL, NULL, 0},
    {"Release", FIX_WORKLOAD, "secret/lower", NULL, NULL, 0},
    {"Bind", FIX_ADMIN, "secret/lower", NULL, "server", 0},
    {"Bind", FIX_ADMIN, "secret/lower", NULL, "a/b", 0},
    {"List", FIX_ADMIN, "", NULL, NULL, 0},
    {"List", FIX_ADMIN, "secret/db/password", NULL, NULL, 0},
    {"List", FIX_ADMIN, "policy/Zebra", NULL, NULL, 0},
    {"Describe", FIX_ADMIN, "secret/db/password", NULL, NULL, 0},
    {"Describe", FIX_ADMIN, "secret/absent", NULL, NULL, 0},
    {"GetPolicy", FIX_ADMIN, "server", NULL, NULL, 0},
    {"Delete", FIX_ADMIN, "policy/server", NULL, NULL, 0},
    {"Disable", FIX_ADMIN, "secret/db/password", NULL, NULL, 0},
    {"Disable", FIX_ADMIN, "secret/db/password", NULL, NULL, 1},
    {"Release", FIX_WORKLOAD, "secret/db/password", NULL, NULL, 0},
    {"Enable", FIX_ADMIN, "secret/db/password", NULL, NULL, 0},
    {"Delete", FIX_ADMIN, "secret/db/password", NULL, "kept", 2},
    {"Release", FIX_WORKLOAD, "secret/db/password", NULL, NULL, 0},
    {"Destroy", FIX_ADMIN, "secret/db/password", NULL, NULL, 2},
    {"Describe", FIX_ADMIN, "secret/db/password", NULL, NULL, 0},
    {"List", FIX_ADMIN, "", NULL, NULL, 0},
    {"Undelete", FIX_ADMIN, "secret/db/password", NULL, NULL, 0},
    {"Delete", FIX_ADMIN, "secret/db/password", NULL, NULL, 2},
    {"Delete", FIX_ADMIN, "secret/db/password", NULL, NULL, 1},
    {"Delete", FIX_ADMIN, "secret/Upper", NULL, NULL, 0},
    {"Delete", FIX_ADMIN, "policy/Zebra", NULL, NULL, 0},
    {"PutReference", FIX_ADMIN, "Team/Set", fix_set, NULL, 0},
    {"PutReference", FIX_ADMIN, "Team/a-b", fix_set, NULL, 0},
    {"PutReference", FIX_ADMIN, "Team/a/b", fix_set, NULL, 0},
    {"PutReference", FIX_ADMIN, "Team/Set", fix_set, NULL, 0},
    {"PutReference", FIX_ADMIN, "Team/Set", fix_set, NULL, 1},
    {"PutReference", FIX_ADMIN, "Team/Set", "{", NULL, 1},
    {"GetReference", FIX_ADMIN, "Team/Set", NULL, NULL, 0},
    {"GetReference", FIX_ADMIN, "Team/Set", NULL, NULL, 1},
    {"GetReference", FIX_ADMIN, "Team/Set", NULL, NULL, 3},
    {"ListReferences", FIX_ADMIN, "", NULL, NULL, 0},
    {"ListReferences", FIX_ADMIN, "Team/Set", NULL, NULL, 0},
    {"DeleteReference", FIX_ADMIN, "Team/Set", NULL, NULL, 0},
    {"DeleteReference", FIX_ADMIN, "Team/Set", NULL, NULL, 0},
    {"ListReferences", FIX_ADMIN, "", NULL, NULL, 0},
    {"SetRole", FIX_ADMIN, "*", NULL, NULL, CCZ_KMS_ROLE_AUDITOR | CCZ_KMS_ROLE_APPROVER},
    {"SetRole", FIX_ADMIN, "Team", NULL, NULL, CCZ_KMS_ROLE_ADMIN},
    {"SetQuorum", FIX_ADMIN, "*", NULL, NULL, 2},
    {"SetQuorum", FIX_ADMIN, "*", NULL, NULL, 1},
    {"PutPolicy", FIX_ADMIN, "late", fix_policy, NULL, 0},
    {"Propose", FIX_ADMIN, "late", fix_policy, NULL, 0},
    {"Propose", FIX_ADMIN, "late", "{", NULL, 0},
    {"Approve", FIX_ADMIN, "late", fix_policy, NULL, 1},
    {"Approve", FIX_AUDITOR, "late", fix_policy_other, NULL, 1},
    {"Approve", FIX_AUDITOR, "late", fix_policy, NULL, 1},
    {"Approve", FIX_AUDITOR, "late", fix_policy, NULL, 1},
    {"GetPolicy", FIX_AUDITOR, "late", NULL, NULL, 0},
    {"Propose", FIX_ADMIN, "later", fix_policy, NULL, 0},
    {"Reject", FIX_AUDITOR, "", NULL, NULL, 2},
    {"ListProposals", FIX_AUDITOR, "", NULL, NULL, 0},
    {"ListRoles", FIX_AUDITOR, "", NULL, NULL, 0},
    {"AuditTail", FIX_ADMIN, "", NULL, NULL, 0},
    {"AuditTail", FIX_ADMIN, "", NULL, NULL, 4},
    {"Status", FIX_ADMIN, "", NULL, NULL, 0},
    {"List", FIX_ADMIN, "", NULL, NULL, 0},
};

static void add_call(struct fix_batch *b, const struct call *c)
{
    struct cczi_msg_put_req put = {.name = fix_str(c->name),
                                   .value = fix_str(c->value),
                                   .policy = fix_str(c->policy),
                                   .new_version = c->number};
    struct cczi_msg_put_policy_req policy = {fix_str(c->name), fix_str(c->value), c->number};
    struct cczi_msg_release_req release = {fix_str(c->name), c->number};
    struct cczi_msg_bind_req bind = {.item = fix_str(c->name), .policy = fix_str(c->policy)};
    struct cczi_msg_delete_req del = {.target = fix_str(c->name), .version = c->number}, now = del;
    now.no_recovery = 1;
    struct cczi_msg_name name = {fix_str(c->name)};
    struct cczi_msg_audit_req tail = {c->number, 0};
    uint8_t auditor[32], sha256[32];
    fix_spki(auditor, FIX_AUDITOR);
    struct cczi_msg_role role = {
        .ns = fix_str(c->name), .principal = CCZ_SPAN(auditor, 32), .roles = c->number};
    struct cczi_msg_quorum quorum = {fix_str(c->name), c->number};
    struct cczi_msg_put_reference_req set = {fix_str(c->name), fix_str(c->value), c->number};
    struct cczi_msg_get_reference_req get_set = {fix_str(c->name), c->number};
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, CCZ_KMS_MESSAGE_SIZE_MAX);
    struct cczi_msg_put_policy_req inner = {fix_str(c->name), fix_str(c->value), 0};
    cczi_msg_put(&body, cczi_msg_put_policy_req, &inner);
    struct cczi_msg_propose_req propose = {fix_str("PutPolicy"), ccz_buf_span(&body), 0};
    CHECK(cczi_kms_proposal_digest(sha256, "PutPolicy", ccz_buf_span(&body), NULL) == CCZ_OK);
    struct cczi_msg_approve_req approve = {c->number, CCZ_SPAN(sha256, 32)};
    struct cczi_msg_proposals_req proposals = {0};
    const struct {
        const char *method;
        const struct cczi_msg_field *fields;
        const void *msg;
    } kinds[] = {
        {"PutSecret", cczi_msg_put_req, &put},
        {"PutPolicy", cczi_msg_put_policy_req, &policy},
        {"PutReference", cczi_msg_put_reference_req, &set},
        {"GetReference", cczi_msg_get_reference_req, &get_set},
        {"Release", cczi_msg_release_req, &release},
        {"Bind", cczi_msg_bind_req, &bind},
        {"Delete", cczi_msg_delete_req,
         strncmp(c->name, "policy/", 7) == 0 || c->policy ? &del : &now},
        {"Disable", cczi_msg_target_req, &del},
        {"Enable", cczi_msg_target_req, &del},
        {"Undelete", cczi_msg_target_req, &del},
        {"Destroy", cczi_msg_target_req, &del},
        {"SetRole", cczi_msg_role, &role},
        {"SetQuorum", cczi_msg_quorum, &quorum},
        {"Propose", cczi_msg_propose_req, &propose},
        {"Approve", cczi_msg_approve_req, &approve},
        {"Reject", cczi_msg_reject_req, &approve},
        {"ListProposals", cczi_msg_proposals_req, &proposals},
        {"ListRoles", cczi_msg_none, NULL},
        {"AuditTail", cczi_msg_audit_req, &tail},
        {"Status", cczi_msg_none, NULL},
        {c->method, cczi_msg_name, &name},
    };
    size_t k = 0;
    while (strcmp(kinds[k].method, c->method) != 0)
        k++;
    fix_batch_add(b, c->who, c->method, kinds[k].fields, kinds[k].msg);
}

static struct fix_batch g_batch, g_other;
enum { CALLS = sizeof(calls) / sizeof(calls[0]) };

/* Line 1 names the store, so that every hash behind it is another one: @p to, new too, goes on from line 1 of @p from. */
static void same_log(struct ccz_kms_store *to, struct ccz_kms_store *from)
{
    static char entry[2048], text[4096];
    char hash[65];
    CHECK(cczi_kms_begin_read(from, NULL) == CCZ_OK && from->head.seq == 1);
    struct cczi_q q = cczi_q_start(&from->db, CCZI_SQL_AUDIT_FROM);
    cczi_q_int(&q, 0);
    cczi_q_int(&q, 1);
    CHECK(cczi_q_row(&q));
    struct ccz_span line = cczi_q_col(&q, 2);
    CHECK(line.size < sizeof(entry) / 2);
    ccz_hex(entry, line.ptr, line.size);
    CHECK(cczi_q_end(&q, NULL) == CCZ_OK);
    cczi_kms_rollback(from);
    ccz_hex(hash, from->head.hash, 32);
    (void)snprintf(text, sizeof(text), "UPDATE audit SET entry = x'%s', hash = x'%s' WHERE seq = 1",
                   entry, hash);
    CHECK(cczi_kms_begin(to, NULL) == CCZ_OK && to->head.seq == 1);
    CHECK(cczi_kms_db_exec(&to->db, text, NULL) == CCZ_OK);
    memcpy(to->head.hash, from->head.hash, 32);
    memcpy(to->head.first, from->head.first, 32);
    to->head.tree = from->head.tree;
    to->head_dirty = true;
    CHECK(cczi_kms_commit(to, NULL) == CCZ_OK);
}

/* The same calls to SQLite and to PostgreSQL: the same answers, refusals and audit lines, byte by byte; each call by
 * itself, and all of them as one batch. */
static void test_parity(void)
{
    for (size_t size = 1; size <= CALLS; size += CALLS - 1) {
        fresh();
        init();
        struct ccz_kms_store *lite = fix_memory_store(), *pg = open_at(g_info);
        lite->on_batch = pg->on_batch =
            NULL; /* each has a key of its own, and signatures are random */
        memcpy(pg->instance, lite->instance,
               sizeof(pg->instance)); /* and each is a KMS of its own */
        same_log(lite, pg);
        for (size_t from = 0; from < CALLS; from += size) {
            fix_batch_begin(&g_batch);
            fix_batch_begin(&g_other);
            for (size_t i = from; i < from + size; i++) {
                add_call(&g_batch, &calls[i]);
                add_call(&g_other, &calls[i]);
            }
            fix_batch_run(&g_batch, lite);
            fix_batch_run(&g_other, pg);
            for (size_t i = 0; i < size; i++) {
                struct cczi_kms_entry *a = &g_batch.entry[i], *b = &g_other.entry[i];
                if (a->rc != b->rc || strcmp(a->err.where, b->err.where) != 0 ||
                    !ccz_span_eq(ccz_buf_span(&a->answer), ccz_buf_span(&b->answer))) {
                    fprintf(stderr, "%s %s: \"%s\" and \"%s\" %s, %zu and %zu bytes\n",
                            calls[from + i].method, calls[from + i].name, a->err.where,
                            b->err.where, b->err.msg, a->answer.size, b->answer.size);
                    exit(1);
                }
            }
            fix_batch_end(&g_batch);
            fix_batch_end(&g_other);
        }
        struct ccz_kms_check a = fix_check(lite), b = fix_check(pg);
        CHECK(memcmp(&a, &b, sizeof(a)) == 0);
        ccz_kms_store_free(lite);
        ccz_kms_store_free(pg);
        pg = open_at(g_info);
        CHECK(fix_check(pg).audit_lines == a.audit_lines);
        ccz_kms_store_free(pg);
    }
}

static void test_init(void)
{
    struct ccz_err err = {0};
    uint8_t spki[32];
    struct ccz_kms_store *s;
    fresh();
    struct ccz_kms_state st = state_at(g_info);
    CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_E_NOT_FOUND);
    init();
    fix_spki(spki, FIX_AUDITOR);
    CHECK(ccz_kms_init(&st, spki, FIX_NOW, &err) == CCZ_E_EXISTS &&
          strcmp(err.where, "kms:init") == 0);
    ccz_kms_store_free(open_at(g_info));
    /* secrets do not belong into arguments */
    char info[600];
    (void)snprintf(info, sizeof(info), "%s password=x", g_info);
    st = state_at(info);
    CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_E_DENIED &&
          strcmp(err.where, "kms:database-password") == 0);
    st = state_at("postgresql://tester:x@localhost/postgres");
    CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_E_DENIED);
    st = state_at("host=/nonexistent port=1 dbname=x");
    CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_E_UNAVAILABLE &&
          strcmp(err.where, "kms:store-connect") == 0);
    st = state_at("no such thing");
    CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_E_FORMAT);
    st.backend = NULL;
    CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_E_ARG);
}

/* A server that does not sync makes promises that it cannot keep. */
static void test_settings(void)
{
    struct ccz_err err = {0};
    struct ccz_kms_store *s;
    fresh();
    init();
    struct ccz_kms_state st = state_at(g_info);
    static const struct {
        const char *off, *on, *got;
    } cases[] = {{"ALTER SYSTEM SET fsync = off", "ALTER SYSTEM RESET fsync", "fsync=off"},
                 {"ALTER SYSTEM SET full_page_writes = off", "ALTER SYSTEM RESET full_page_writes",
                  "full_page_writes=off"}};
    for (size_t i = 0; i < 2; i++) {
        sql(cases[i].off);
        sql("SELECT pg_reload_conf(), pg_sleep(0.5)");
        CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_E_IO &&
              strcmp(err.where, "kms:store-setting") == 0 && strcmp(err.got, cases[i].got) == 0);
        sql(cases[i].on);
        sql("SELECT pg_reload_conf(), pg_sleep(0.5)");
    }
    sql("ALTER ROLE tester SET synchronous_commit = off"); /* this one is ours to set */
    s = open_at(g_info);
    CHECK(s->db.ops->exec(s->db.db,
                          "DO $$BEGIN IF current_setting('synchronous_commit') <> 'on' THEN "
                          "RAISE 'weak'; END IF; END$$",
                          &err) == CCZ_OK);
    ccz_kms_store_free(s);
    sql("ALTER ROLE tester RESET synchronous_commit");
}

static void test_tamper(void)
{
    static const struct {
        const char *sql, *where;
    } tampers[] = {
        {"UPDATE item SET sealed = sealed || '\\x00' WHERE name = 'model'", "kms:row-mac"},
        {"UPDATE binding SET policy = 'other' WHERE name = 'model'", "kms:row-mac"},
        {"UPDATE admin SET roles = 15, kind = 1", "kms:row-mac"},
        {"UPDATE admin SET mac = '\\x00'", "kms:row-mac"},
        {"DELETE FROM policy WHERE name = 'other'", "kms:row-set"},
        {"UPDATE audit SET time_s = 1 WHERE seq = 3", "kms:audit-chain"},
        {"DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)", "kms:audit-end"},
        {"UPDATE meta SET head = '\\x00'", "kms:head"},
        {"DELETE FROM meta", "kms:head"},
        {"UPDATE meta SET key_check = decode(repeat('00', 16), 'hex')", "kms:master-key"},
        {"ALTER TABLE item ALTER created_s TYPE int", "kms:row-mac"},
    };
    struct ccz_err err = {0};
    for (size_t i = 0; i < sizeof(tampers) / sizeof(tampers[0]); i++) {
        fresh();
        init();
        struct ccz_kms_store *s = open_at(g_info);
        fix_populate(s);
        ccz_kms_store_free(s);
        sql(tampers[i].sql);
        struct ccz_kms_state st = state_at(g_info);
        CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_E_SIG);
        if (strcmp(err.where, tampers[i].where) != 0)
            fprintf(stderr, "%s: %s\n", tampers[i].sql, err.where);
        CHECK(strcmp(err.where, tampers[i].where) == 0);
    }
}

/* A statement that fails ends the transaction of its batch, which has no savepoint before it writes: the others are done, it is refused, and
 * that is on record. */
static void test_read_fails(void)
{
    struct fix_batch b;
    fresh();
    init();
    struct ccz_kms_store *s = open_at(g_info);
    fix_populate(s);
    uint64_t seq = s->head.seq;
    sql("ALTER TABLE binding RENAME TO bindings");
    fix_batch_begin(&b);
    fix_batch_create_key(&b, "before", NULL);
    fix_batch_release(&b, FIX_WORKLOAD, "key/model");
    fix_batch_create_key(&b, "behind", NULL);
    fix_batch_run(&b, s);
    CHECK(b.entry[0].rc == CCZ_OK && b.entry[2].rc == CCZ_OK);
    CHECK(b.entry[1].rc == CCZ_E_IO && strcmp(b.entry[1].err.where, "kms:store") == 0);
    CHECK(b.entry[1].receipt.audit_seq != 0 && s->head.seq == seq + 3);
    fix_batch_end(&b);
    sql("ALTER TABLE bindings RENAME TO binding");
    fix_batch_begin(&b);
    fix_batch_release(&b, FIX_WORKLOAD, "key/model");
    fix_batch_run(&b, s);
    CHECK(b.entry[0].rc == CCZ_OK);
    fix_batch_end(&b);
    (void)fix_check(s);
    ccz_kms_store_free(s);
}

/* A replica that was behind takes over. */
static void test_rolled_back(void)
{
    struct ccz_err err = {0};
    fresh();
    init();
    struct ccz_kms_store *s = open_at(g_info);
    fix_populate(s);
    sql("CREATE TABLE kept AS SELECT head FROM meta");
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK);
    sql("UPDATE meta SET head = (SELECT head FROM kept);"
        "DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)");
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_E_SIG &&
          strcmp(err.where, "kms:rolled-back") == 0);
    ccz_kms_store_free(s);
}

/* The same with two servers, of which the other one makes it grow past what this one has seen. */
static void test_forked(void)
{
    struct ccz_err err = {0};
    fresh();
    init();
    struct ccz_kms_store *a = open_at(g_info), *b = open_at(g_info);
    fix_populate(a);
    CHECK(fix_release(NULL, b, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK);
    sql("CREATE TABLE kept AS SELECT head, (SELECT max(seq) FROM audit) AS seq FROM meta");
    for (int i = 0; i < 3; i++)
        CHECK(fix_release(NULL, a, FIX_WORKLOAD, "secret/db/password", 0, &err) == CCZ_OK);
    sql("UPDATE meta SET head = (SELECT head FROM kept);"
        "DELETE FROM audit WHERE seq > (SELECT seq FROM kept)");
    for (int i = 0; i < 4; i++)
        CHECK(fix_release(NULL, b, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK);
    for (int i = 0; i < 2; i++)
        CHECK(fix_release(NULL, a, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_E_SIG &&
              strcmp(err.where, "kms:forked") == 0);
    ccz_kms_store_free(a);
    ccz_kms_store_free(b);
}

static bool put_is(struct ccz_kms_store *s, ccz_rc want, const char *where)
{
    struct ccz_err err = {0};
    ccz_rc rc = fix_put_policy(s, "server", fix_policy, true, &err);
    if (rc != want || strcmp(err.where, where) != 0)
        fprintf(stderr, "%s at %s\n", ccz_rc_name(rc), err.where);
    return rc == want && strcmp(err.where, where) == 0;
}

/* How many have to agree, of two servers: what the other one has changed counts at once, and what somebody else has does not. */
static void test_quorums(void)
{
    uint8_t spki[32];
    fresh();
    init();
    struct ccz_kms_store *a = open_at(g_info), *b = open_at(g_info);
    struct ccz_err err = {0};
    CHECK(fix_put_policy(a, "server", fix_policy, false, &err) == CCZ_OK);
    fix_spki(spki, FIX_AUDITOR);
    CHECK(ccz_kms_store_set_admin(a, spki, CCZ_KMS_ROLE_APPROVER, FIX_NOW, &err) == CCZ_OK);
    CHECK(ccz_kms_store_set_quorum(a, "*", 0, FIX_NOW, &err) == CCZ_OK);
    CHECK(put_is(a, CCZ_OK, "") && put_is(b, CCZ_OK, ""));
    sql("CREATE TABLE free AS SELECT * FROM quorum");
    CHECK(ccz_kms_store_set_quorum(b, "*", 1, FIX_NOW, &err) == CCZ_OK);
    sql("CREATE TABLE kept AS SELECT * FROM quorum");
    CHECK(put_is(a, CCZ_E_DENIED, "kms:approval-needed"));
    sql("DELETE FROM quorum; INSERT INTO quorum SELECT * FROM free");
    CHECK(put_is(a, CCZ_E_SIG, "kms:row-older")); /* it has read a later one */
    CHECK(put_is(b, CCZ_E_SIG, "kms:row-older")); /* it has written it */
    sql("DELETE FROM quorum");
    CHECK(put_is(a, CCZ_E_SIG, "kms:row-set") && put_is(b, CCZ_E_SIG, "kms:row-set"));
    sql("INSERT INTO quorum SELECT * FROM kept");
    CHECK(put_is(a, CCZ_E_DENIED, "kms:approval-needed") &&
          put_is(b, CCZ_E_DENIED, "kms:approval-needed"));
    ccz_kms_store_free(a);
    ccz_kms_store_free(b);
}

/* Another session, which commits before one statement of the store. */
static struct {
    struct ccz_kms_backend ops;
    const struct ccz_kms_backend *real;
    enum cczi_kms_sql at;
    const char *text;
    unsigned wholes;
} g_beside;

static enum cczi_kms_step beside_first(void *db, enum cczi_kms_sql q,
                                       const struct cczi_kms_param *p, size_t n)
{
    g_beside.wholes += q == CCZI_SQL_BEGIN_WHOLE;
    if (q == g_beside.at && g_beside.text && g_beside.wholes) {
        const char *text = g_beside.text;
        g_beside.text = NULL;
        sql(text);
    }
    return g_beside.real->first(db, q, p, n);
}

static struct cczi_msg_approve_req propose_other(struct ccz_buf *out, struct ccz_kms_store *s)
{
    struct ccz_err err = {0};
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 65536);
    ccz_buf_init(out, 65536);
    struct cczi_msg_bind_req bind = {.item = ccz_span_str("key/model"),
                                     .policy = ccz_span_str("other")};
    cczi_msg_put(&b, cczi_msg_bind_req, &bind);
    struct cczi_msg_propose_req m = {ccz_span_str("Bind"), ccz_buf_span(&b), 0};
    struct cczi_msg_propose_resp r = {0};
    CHECK(fix_msg(out, s, FIX_ADMIN, "Propose", cczi_msg_propose_req, &m, &err) == CCZ_OK);
    CHECK(cczi_msg_get(&r, cczi_msg_propose_resp, ccz_buf_span(out), NULL) == CCZ_OK);
    return (struct cczi_msg_approve_req){r.id, r.sha256};
}

/* What several agreed on is done with the rows that were added up, whatever is committed beside it meanwhile; and tried again where
 * that are rows which it writes. */
static void test_whole(void)
{
    static const struct {
        enum cczi_kms_sql at;
        const char *text;
        unsigned wholes;
        bool found;
    } cases[] = {
        {CCZI_SQL_POLICY_GET, "DELETE FROM policy WHERE name = 'other'", 1, true},
        {CCZI_SQL_BIND_DEL, "UPDATE binding SET policy = policy WHERE name = 'model'", 2, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct ccz_err err = {0};
        uint8_t spki[32];
        struct ccz_buf out;
        fresh();
        init();
        struct ccz_kms_store *s = open_at(g_info);
        CHECK(fix_put_policy(s, "server", fix_policy, false, &err) == CCZ_OK &&
              fix_put_policy(s, "other", fix_policy_other, false, &err) == CCZ_OK);
        CHECK(fix_create_key(s, "model", "aes-128", ccz_span_str("0123456789abcdef"), "server",
                             &err) == CCZ_OK);
        fix_spki(spki, FIX_AUDITOR);
        CHECK(ccz_kms_store_set_admin(s, spki, CCZ_KMS_ROLE_APPROVER, FIX_NOW, &err) == CCZ_OK);
        CHECK(ccz_kms_store_set_quorum(s, "*", 1, FIX_NOW, &err) == CCZ_OK);
        struct cczi_msg_approve_req a = propose_other(&out, s);
        g_beside.real = s->db.ops;
        g_beside.ops = *s->db.ops;
        g_beside.ops.first = beside_first;
        g_beside.at = cases[i].at;
        g_beside.text = cases[i].text;
        g_beside.wholes = 0;
        s->db.ops = &g_beside.ops;
        ccz_rc rc = fix_msg(NULL, s, FIX_AUDITOR, "Approve", cczi_msg_approve_req, &a, &err);
        if (rc != CCZ_OK)
            fprintf(stderr, "case %zu: %s %s\n", i, err.where, err.msg);
        CHECK(rc == CCZ_OK && !g_beside.text && g_beside.wholes == cases[i].wholes);
        s->db.ops = g_beside.real;
        rc = ccz_kms_store_check(NULL, s, &err);
        CHECK((rc == CCZ_OK) != cases[i].found);
        CHECK(!cases[i].found || strcmp(err.where, "kms:row-set") == 0);
        ccz_buf_free(&out);
        ccz_kms_store_free(s);
    }
}

/* Another server holds the store and does not go on: every call of a batch is told, after one wait and not one each. */
static void test_locked(void)
{
    char info[700];
    fresh();
    init();
    (void)snprintf(info, sizeof(info), "%s options='-c lock_timeout=400'", g_info);
    struct ccz_kms_store *s = open_at(info);
    fix_populate(s);
    uint64_t lines = fix_check(s).audit_lines;
    sql("BEGIN; SELECT 1 FROM meta FOR UPDATE");
    CHECK(fix_check(s).audit_lines == lines); /* a check waits for nobody */
    fix_batch_begin(&g_batch);
    for (int i = 0; i < 64; i++)
        fix_batch_release(&g_batch, FIX_WORKLOAD, "key/model");
    int64_t from = ccz_mono_ms();
    fix_batch_run(&g_batch, s);
    CHECK(ccz_mono_ms() - from < 64 * 400 / 2);
    for (int i = 0; i < 64; i++)
        CHECK(g_batch.entry[i].rc == CCZ_E_UNAVAILABLE && !g_batch.entry[i].answer.size &&
              strcmp(g_batch.entry[i].err.where, "kms:store-locked") == 0 &&
              g_batch.entry[i].err.hint[0]);
    fix_batch_end(&g_batch);
    sql("COMMIT");
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, NULL) == CCZ_OK);
    CHECK(fix_check(s).audit_lines == lines + 1);
    ccz_kms_store_free(s);
}

/* -------------------------------------------------------------------- no standby */

static void standby(const char *name)
{
    char text[100];
    (void)snprintf(text, sizeof(text), "ALTER SYSTEM SET synchronous_standby_names = '%s'", name);
    sql(text);
    sql("SELECT pg_reload_conf(), pg_sleep(0.5)");
}

struct asked {
    struct ccz_kms_store *s;
    struct ccz_buf out;
    struct ccz_err err;
    ccz_rc rc;
};

static void *ask(void *arg)
{
    struct asked *a = arg;
    a->rc = fix_release(&a->out, a->s, FIX_WORKLOAD, "key/model", 0, &a->err);
    return NULL;
}

/* The standby is away, and an operator ends the wait for it: the server says "COMMIT", and that it may be lost. */
static void test_unreplicated(void)
{
    fresh();
    init();
    struct asked a = {.s = open_at(g_info)};
    ccz_buf_init(&a.out, CCZ_KMS_MESSAGE_SIZE_MAX);
    fix_populate(a.s);
    uint64_t lines = fix_check(a.s).audit_lines;
    pthread_t t;
    standby("nobody");
    CHECK(pthread_create(&t, NULL, ask, &a) == 0);
    sql("DO $$ BEGIN FOR i IN 1..1000 LOOP"
        "  IF EXISTS(SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep') THEN"
        "   PERFORM pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep';"
        "   RETURN;"
        "  END IF;"
        "  PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();"
        " END LOOP; RAISE 'nobody waits'; END $$");
    CHECK(pthread_join(t, NULL) == 0);
    standby("");
    CHECK(a.rc == CCZ_E_UNAVAILABLE && strcmp(a.err.where, "kms:store-unreplicated") == 0);
    CHECK(a.out.size == 0 && a.err.hint[0]);
    CHECK(fix_check(a.s).audit_lines == lines + 1); /* it stays, once */
    CHECK(fix_release(&a.out, a.s, FIX_WORKLOAD, "key/model", 0, &a.err) == CCZ_OK && a.out.size);
    CHECK(fix_check(a.s).audit_lines == lines + 2);
    ccz_buf_free(&a.out);
    ccz_kms_store_free(a.s);
}

/* And nobody ends it: the server of the KMS does not wait for ever. */
static void test_commit_waits(void)
{
    char info[700];
    fresh();
    init();
    (void)snprintf(info, sizeof(info), "%s options='-c lock_timeout=400'", g_info);
    struct asked a = {.s = open_at(info)};
    ccz_buf_init(&a.out, CCZ_KMS_MESSAGE_SIZE_MAX);
    fix_populate(a.s);
    uint64_t lines = fix_check(a.s).audit_lines;
    standby("nobody");
    (void)ask(&a);
    CHECK(a.rc == CCZ_E_UNAVAILABLE && strcmp(a.err.where, "kms:commit-unknown") == 0);
    CHECK(a.out.size == 0);
    (void)ask(&a); /* the one that waits holds the store */
    CHECK(a.rc == CCZ_E_UNAVAILABLE && strcmp(a.err.where, "kms:store-locked") == 0);
    standby("");
    CHECK(fix_release(&a.out, a.s, FIX_WORKLOAD, "key/model", 0, &a.err) == CCZ_OK);
    CHECK(fix_check(a.s).audit_lines == lines + 2);
    ccz_buf_free(&a.out);
    ccz_kms_store_free(a.s);
}

/* ---------------------------------------------------------------- several servers */

enum { BROKEN = 200 }; /* exit status of a server that met what it should not */

static void run_batch(struct ccz_kms_store *s, unsigned who, unsigned i)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "w%u/k%u", who, i);
    fix_batch_begin(&g_batch);
    fix_batch_create_key(&g_batch, name, "server");
    struct cczi_msg_put_req m = {
        .name = fix_str("shared"), .value = fix_str("value"), .new_version = true};
    fix_batch_add(&g_batch, FIX_ADMIN, "PutSecret", cczi_msg_put_req, &m);
    fix_batch_release(&g_batch, FIX_WORKLOAD, "key/model");
    fix_batch_run(&g_batch, s);
}

/* One server: batches of a new key, a new version of a secret that all of them share, and a release; tells each batch
 * that was done. Its exit status is the number of those of which nobody knows. */
static void serve_batches(int fd, unsigned who, unsigned from, unsigned count)
{
    int unknown = 0;
    struct ccz_kms_store *s = open_at(g_info);
    for (unsigned i = from; i < from + count;) {
        run_batch(s, who, i);
        const struct cczi_kms_entry *e = g_batch.entry;
        const char *where = e[0].err.where;
        bool away = strcmp(where, "kms:store-connect") == 0 || strcmp(where, "kms:store-lost") == 0;
        bool unclear = strcmp(where, "kms:commit-unknown") == 0;
        if (e[0].rc != e[1].rc || e[0].rc != e[2].rc || (e[0].rc != CCZ_OK && !away && !unclear)) {
            for (int k = 0; k < 3; k++)
                fprintf(stderr, "server %u, batch %u, call %d: %s: %s\n", who, i, k, e[k].err.where,
                        e[k].err.msg);
            _exit(BROKEN);
        }
        if (e[0].rc == CCZ_OK && write(fd, &i, sizeof(i)) != (ssize_t)sizeof(i))
            _exit(BROKEN);
        unknown += unclear;
        i += !away; /* nothing of it was done: the same again, and "exists" would give it the lie */
        fix_batch_end(&g_batch);
    }
    ccz_kms_store_free(s);
    _exit(unknown);
}

struct worker {
    pid_t pid;
    int fd;
};

static struct worker start_worker(unsigned who, unsigned from, unsigned count)
{
    int fd[2];
    CHECK(pipe(fd) == 0);
    struct worker w = {fork(), fd[0]};
    CHECK(w.pid >= 0);
    if (w.pid == 0) {
        close(fd[0]);
        serve_batches(fd[1], who, from, count);
    }
    close(fd[1]);
    return w;
}

/* Batches that it acknowledged. */
static unsigned acknowledged(struct worker *w)
{
    unsigned i, n = 0;
    while (read(w->fd, &i, sizeof(i)) == (ssize_t)sizeof(i))
        n++;
    close(w->fd);
    return n;
}

static void test_two(void)
{
    enum { EACH = 60, KILLS = 4 };
    fresh();
    init();
    struct ccz_kms_store *s = open_at(g_info);
    fix_populate(s);
    CHECK(fix_put_secret(s, "shared", "value", "server", false, NULL) == CCZ_OK);
    struct ccz_kms_check before = fix_check(s), after;
    struct worker steady = start_worker(1, 0, EACH);
    unsigned acked = 0;
    for (unsigned kill_no = 0; kill_no < KILLS; kill_no++) {
        struct worker w = start_worker(10 + kill_no, 0, 1000000);
        unsigned first;
        CHECK(read(w.fd, &first, sizeof(first)) == (ssize_t)sizeof(first));
        (void)usleep(30000 + 7000 * kill_no);
        CHECK(kill(w.pid, SIGKILL) == 0 && waitpid(w.pid, NULL, 0) == w.pid);
        acked += 1 + acknowledged(&w);
    }
    unsigned steady_acked = acknowledged(&steady);
    int status;
    CHECK(waitpid(steady.pid, &status, 0) == steady.pid && WIFEXITED(status) &&
          WEXITSTATUS(status) == 0);
    CHECK(steady_acked == EACH);
    acked += steady_acked;
    after = fix_check(s); /* one chain, one set of rows, as this third server sees it */
    uint64_t batches = (after.audit_lines - before.audit_lines) / 3;
    CHECK(after.audit_lines == before.audit_lines + 3 * batches); /* all of a batch or nothing */
    CHECK(batches >= acked && batches <= acked + KILLS);
    CHECK(after.versions == before.versions + 2 * batches);
    uint32_t last = 0;
    struct cczi_kms_ref ref = {CCZI_KMS_SECRET, "shared"};
    CHECK(cczi_kms_begin(s, NULL) == CCZ_OK && cczi_kms_item_last(&last, s, &ref, NULL) == CCZ_OK);
    cczi_kms_rollback(s);
    CHECK(last == 1 + batches); /* no update was lost, none was made twice */
    printf("%u batches acknowledged, %u stored\n", acked, (unsigned)batches);
    ccz_kms_store_free(s);
}

/* Connections are ended by the server at any moment, then the server crashes: whatever was acknowledged is there once. */
static void test_server_dies(void)
{
    enum { EACH = 80, ENDS = 12 };
    fresh();
    init();
    struct ccz_kms_store *s = open_at(g_info);
    fix_populate(s);
    CHECK(fix_put_secret(s, "shared", "value", "server", false, NULL) == CCZ_OK);
    struct ccz_kms_check before = fix_check(s);
    ccz_kms_store_free(s);
    struct worker w = start_worker(1, 0, EACH);
    unsigned first;
    CHECK(read(w.fd, &first, sizeof(first)) == (ssize_t)sizeof(first));
    for (int i = 0; i < ENDS; i++) {
        (void)usleep(15000 + 3000 * (unsigned)(i % 5));
        sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'cczoo-kms' AND pid <> pg_backend_pid()");
    }
    CHECK(system(must_env("CCZ_TEST_PG_RESTART")) == 0);
    sql(NULL);
    unsigned acked = 1 + acknowledged(&w);
    int status;
    CHECK(waitpid(w.pid, &status, 0) == w.pid && WIFEXITED(status) && WEXITSTATUS(status) < BROKEN);
    unsigned unknown = (unsigned)WEXITSTATUS(status);
    CHECK(acked + unknown == EACH && unknown < 3);
    s = open_at(g_info);
    struct ccz_kms_check after = fix_check(s);
    uint64_t batches = (after.versions - before.versions) / 2;
    CHECK(batches >= acked && batches <= EACH); /* none lost, none twice */
    CHECK(after.versions == before.versions + 2 * batches);
    CHECK(after.audit_lines == before.audit_lines + 3 * batches);
    printf("%u batches acknowledged, %u unknown, %u stored\n", acked, unknown, (unsigned)batches);
    ccz_kms_store_free(s);
}

static const struct ccz_test tests[] = {
    {"pg.init", test_init},
    {"pg.migrate", pg_test_migrate},
    {"pg.migrate_3", pg_test_migrate_3},
    {"pg.migrate_4", pg_test_migrate_4},
    {"pg.migrate_5", pg_test_migrate_5},
    {"pg.parity", test_parity},
    {"pg.settings", test_settings},
    {"pg.tamper", test_tamper},
    {"pg.read_fails", test_read_fails},
    {"pg.rolled_back", test_rolled_back},
    {"pg.forked", test_forked},
    {"pg.quorums", test_quorums},
    {"pg.whole", test_whole},
    {"pg.locked", test_locked},
    {"pg.unreplicated", test_unreplicated},
    {"pg.commit_waits", test_commit_waits},
    {"pg.commit_cut", pg_test_commit_cut},
    {"pg.commit_unknown", pg_test_commit_unknown},
    {"pg.silent", pg_test_silent},
    {"pg.commit_silent", pg_test_commit_silent},
    {"pg.new_pin", pg_test_new_pin},
    {"pg.keys", pg_test_keys},
    {"pg.ahead", pg_test_ahead},
    {"pg.ahead_changes", pg_test_ahead_changes},
    {"pg.ahead_nobody", pg_test_ahead_nobody},
    {"pg.line_idle", pg_test_line_idle},
    {"pg.line_refused", pg_test_line_refused},
    {"pg.rotate_once", pg_test_rotate_once},
    {"pg.two", test_two},
    {"pg.server_dies", test_server_dies},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
