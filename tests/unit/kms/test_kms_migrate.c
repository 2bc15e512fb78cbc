/* SPDX-License-Identifier: Apache-2.0 */
/* A state folder that a server of schema 1, 2 or 3 left (tests/vectors/kms/v1 to v3) becomes one of today, or stays as it is. */
#define _GNU_SOURCE
#include "kms/kms_fixture.h"
#include "kms/kms_temp.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

static void copy_one(int schema, const char *name)
{
    char from[400];
    struct ccz_buf b;
    (void)snprintf(from, sizeof(from), "%s/v%d/%s", VECTORS, schema, name);
    ccz_buf_init(&b, 1 << 20);
    CHECK(ccz_file_read(&b, from, NULL) == CCZ_OK);
    CHECK(ccz_file_write(dir_path(name), ccz_buf_span(&b), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    ccz_buf_free(&b);
}

/* A fresh copy of the old state folder. */
static struct ccz_kms_state old_state(int schema)
{
    dir_fresh();
    copy_one(schema, "kms.sqlite");
    copy_one(schema, "master.key");
    return (struct ccz_kms_state){.dir = dir_root};
}

static void attack(const char *sql)
{
    sqlite3 *db;
    CHECK(sqlite3_open(dir_path("kms.sqlite"), &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK && sqlite3_close(db) == SQLITE_OK);
}

/* Schema of the file as it lies there. */
static int64_t schema_of(void)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    CHECK(sqlite3_open(dir_path("kms.sqlite"), &db) == SQLITE_OK);
    CHECK(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL) == SQLITE_OK &&
          sqlite3_step(st) == SQLITE_ROW);
    int64_t v = sqlite3_column_int64(st, 0);
    CHECK(sqlite3_finalize(st) == SQLITE_OK && sqlite3_close(db) == SQLITE_OK);
    return v;
}

static bool released(struct ccz_kms_store *s, const char *item, uint32_t version, const char *value)
{
    struct ccz_buf out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    bool ok = fix_release(&out, s, FIX_WORKLOAD, item, version, NULL) == CCZ_OK &&
              memmem(out.ptr, out.size, value, strlen(value)) != NULL;
    ccz_buf_free(&out);
    return ok;
}

/* What both old folders hold, in a store of today. */
static void check_migrated(struct ccz_kms_store *s)
{
    struct ccz_err err = {0};
    CHECK(released(s, "key/model", 0, "0123456789abcdef"));
    CHECK(released(s, "secret/db/password", 1, "correct horse"));
    CHECK(released(s, "secret/db/password", 2, "battery staple"));
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "secret/loose", 0, &err) == CCZ_E_DENIED);
    struct cczi_msg_delete_req m = {.target = fix_str("key/model")}; /* and it can do what is new */
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "Disable", cczi_msg_target_req, &m, &err) == CCZ_OK);
    CHECK(!released(s, "key/model", 0, ""));
    /* administrators and auditors are what they were, everywhere */
    CHECK(fix_put_policy(s, "team/p", fix_policy, false, &err) == CCZ_OK);
    CHECK(fix_call(NULL, s, FIX_AUDITOR, "Status", (struct ccz_span){0}, &err) == CCZ_OK);
    CHECK(fix_msg(NULL, s, FIX_AUDITOR, "Enable", cczi_msg_target_req, &m, &err) == CCZ_E_DENIED);
}

static void migrate_from(int schema, uint64_t versions, uint64_t bindings, uint64_t lines)
{
    struct ccz_kms_state st = old_state(schema);
    struct ccz_err err = {0};
    struct ccz_kms_store *s;
    uint8_t id[2][CCZ_KMS_INSTANCE_SIZE];
    CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_E_UNSUPPORTED &&
          strcmp(err.where, "kms:schema") == 0);
    CHECK(err.hint[0] && err.got[0] == '0' + schema && schema_of() == schema); /* not by itself */
    CHECK(ccz_kms_migrate(&st, FIX_NOW + 1, &err) == CCZ_OK);
    CHECK(ccz_kms_migrate(&st, FIX_NOW + 1, &err) == CCZ_E_UNSUPPORTED);
    CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_OK);
    struct ccz_kms_check c;
    CHECK(ccz_kms_store_check(&c, s, NULL) == CCZ_OK);
    CHECK(c.versions == versions && c.policies == 2 && c.bindings == bindings && c.admins == 2 &&
          c.audit_lines == lines + 1 && c.quorums + c.proposals + c.keys + c.evidence == 0);
    check_migrated(s);
    ccz_kms_store_instance(id[0], s);
    ccz_kms_store_free(s);
    s = NULL;
    CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_OK);
    ccz_kms_store_instance(id[1], s);
    CHECK(memcmp(id[0], id[1], sizeof(id[0])) == 0);
    ccz_kms_store_free(s);
    sqlite3 *db; /* the old tables are gone */
    CHECK(sqlite3_open(dir_path("kms.sqlite"), &db) == SQLITE_OK);
    const char *const old[] = {"SELECT * FROM item_1", "SELECT * FROM admin_2",
                               "SELECT * FROM binding_2"};
    for (size_t i = 0; i < 3; i++)
        CHECK(sqlite3_exec(db, old[i], NULL, NULL, NULL) == SQLITE_ERROR);
    CHECK(sqlite3_close(db) == SQLITE_OK);
}

static void test_migrate(void)
{
    migrate_from(1, 4, 2, 9);
}

static void test_migrate_2(void)
{
    migrate_from(2, 5, 3, 12);
    /* the states that schema 2 knew stay */
    struct ccz_kms_state st = old_state(2);
    struct ccz_err err = {0};
    struct ccz_kms_store *s;
    CHECK(ccz_kms_migrate(&st, FIX_NOW + 1, &err) == CCZ_OK);
    CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_OK);
    struct cczi_msg_name m = {fix_str("secret/noted")};
    struct ccz_buf out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    CHECK(fix_msg(&out, s, FIX_AUDITOR, "Describe", cczi_msg_name, &m, &err) == CCZ_OK &&
          memmem(out.ptr, out.size, "{\"a\":1}", 7) != NULL);
    ccz_buf_free(&out);
    struct cczi_msg_bind_req bind = {.item = fix_str("secret/loose"), .policy = fix_str("server")};
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "Bind", cczi_msg_bind_req, &bind, &err) == CCZ_OK);
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "secret/loose", 0, &err) == CCZ_E_DENIED &&
          strcmp(err.where, "kms:disabled") == 0);
    ccz_kms_store_free(s);
}

/* From schema 3 on rows stay as they are: also what the store is called, and each MAC. */
static void test_migrate_3(void)
{
    struct ccz_kms_state st = old_state(3);
    struct ccz_err err = {0};
    struct ccz_kms_store *s;
    struct ccz_kms_check c;
    CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_E_UNSUPPORTED &&
          strcmp(err.where, "kms:schema") == 0 && err.hint[0] && schema_of() == 3);
    CHECK(ccz_kms_migrate(&st, FIX_NOW + 1, &err) == CCZ_OK && schema_of() == CCZI_KMS_SCHEMA);
    CHECK(ccz_kms_migrate(&st, FIX_NOW + 1, &err) == CCZ_E_UNSUPPORTED);
    CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_OK);
    CHECK(ccz_kms_store_check(&c, s, NULL) == CCZ_OK);
    CHECK(c.versions == 4 && c.policies == 2 && c.bindings == 2 && c.admins == 4 &&
          c.quorums == 1 && c.staged == 1 && c.evidence == 1 && c.references == 0 &&
          c.raw_evidence == 0 && c.audit_lines == 15);
    CHECK(released(s, "key/model", 0, "0123456789abcdef"));
    CHECK(released(s, "secret/db/password", 2, "battery staple"));
    /* and it can do what is new */
    struct cczi_msg_put_reference_req m = {fix_str("set"), fix_str(fix_set), 0};
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "PutReference", cczi_msg_put_reference_req, &m, &err) ==
          CCZ_OK);
    ccz_kms_store_free(s);
    CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_OK);
    CHECK(ccz_kms_store_check(&c, s, NULL) == CCZ_OK && c.references == 1);
    ccz_kms_store_free(s);
    /* of another store than the folder's: left as it is */
    st = old_state(3);
    char id[65];
    memset(id, 'a', 64);
    CHECK(ccz_file_write(dir_path("store.id"), CCZ_SPAN(id, 64), 0600, CCZ_FILE_REPLACE, NULL) ==
          CCZ_OK);
    err = (struct ccz_err){0};
    CHECK(ccz_kms_migrate(&st, FIX_NOW + 1, &err) == CCZ_E_SIG &&
          strcmp(err.where, "kms:store-identity") == 0 && schema_of() == 3);
}

/* A store of schema 4 is one of today without heads, one of schema 5 without those of sets. */
static struct ccz_kms_state state_from(int schema, struct ccz_kms_check *c)
{
    struct ccz_kms_state st = {.dir = dir_root};
    struct ccz_kms_store *s;
    uint8_t spki[32];
    dir_fresh();
    fix_spki(spki, FIX_ADMIN);
    CHECK(ccz_kms_init(&st, spki, FIX_NOW, NULL) == CCZ_OK &&
          ccz_kms_store_open(&s, &st, NULL) == CCZ_OK);
    fix_populate(s);
    fix_rows(s);
    *c = fix_check(s);
    fix_drop_heads(s, schema == 4 ? 0 : CCZI_KMS_REFERENCE);
    ccz_kms_store_free(s);
    attack(schema == 4 ? "DROP TABLE item_head; PRAGMA user_version = 4"
                       : "PRAGMA user_version = 5");
    return st;
}

static void test_migrate_4(void)
{
    struct ccz_kms_check before, after;
    struct ccz_kms_state st = state_from(4, &before);
    struct ccz_err err = {0};
    struct ccz_kms_store *s;
    CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_E_UNSUPPORTED &&
          strcmp(err.where, "kms:schema") == 0 && schema_of() == 4);
    CHECK(ccz_kms_migrate(&st, FIX_NOW + 1, &err) == CCZ_OK && schema_of() == CCZI_KMS_SCHEMA);
    CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_OK);
    CHECK(ccz_kms_store_check(&after, s, NULL) == CCZ_OK);
    CHECK(after.versions == before.versions && after.item_heads == before.item_heads &&
          after.bindings == before.bindings && after.audit_lines == before.audit_lines + 1);
    CHECK(released(s, "key/model", 0, "0123456789abcdef"));
    /* from now on a binding that goes away is missed, also one from before */
    CHECK(cczi_kms_db_exec(&s->db, "DELETE FROM binding WHERE name = 'model'", NULL) == CCZ_OK);
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_E_SIG &&
          strcmp(err.where, "kms:row-set") == 0);
    ccz_kms_store_free(s);
    /* what was taken away before is not made good by a head that fits */
    st = state_from(4, &before);
    attack("DELETE FROM item WHERE name = 'db/password' AND version = 2");
    CHECK(ccz_kms_migrate(&st, FIX_NOW + 1, &err) == CCZ_E_SIG &&
          strcmp(err.where, "kms:row-set") == 0 && schema_of() == 4);
}

static void test_migrate_5(void)
{
    struct ccz_kms_check before, after;
    struct ccz_kms_state st = state_from(5, &before);
    struct ccz_err err = {0};
    struct ccz_kms_store *s;
    CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_E_UNSUPPORTED &&
          strcmp(err.where, "kms:schema") == 0 && schema_of() == 5);
    CHECK(ccz_kms_migrate(&st, FIX_NOW + 1, &err) == CCZ_OK && schema_of() == CCZI_KMS_SCHEMA);
    CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_OK);
    CHECK(ccz_kms_store_check(&after, s, NULL) == CCZ_OK);
    CHECK(before.references == 1 && after.item_heads == before.item_heads &&
          after.audit_lines == before.audit_lines + 1);
    struct cczi_msg_put_reference_req m = {fix_str("set"), fix_str(fix_set), 1};
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "PutReference", cczi_msg_put_reference_req, &m, &err) ==
          CCZ_OK);
    /* from now on a version that goes away is missed */
    CHECK(cczi_kms_db_exec(&s->db, "DELETE FROM reference WHERE version = 2", NULL) == CCZ_OK);
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "PutReference", cczi_msg_put_reference_req, &m, &err) ==
              CCZ_E_SIG &&
          strcmp(err.where, "kms:row-set") == 0);
    ccz_kms_store_free(s);
}

/* Whatever the old server would have refused is refused, and left as it is. */
static void test_migrate_tampered(void)
{
    static const struct {
        const char *sql, *where;
    } tampers[] = {
        {"UPDATE item SET alg = 'aes-256' WHERE name = 'model'", "kms:row-mac"},
        {"UPDATE item SET kind = 9 WHERE name = 'model'", "kms:row-mac"},
        {"UPDATE item SET version = 0 WHERE name = 'model'", "kms:row-mac"},
        {"UPDATE item SET sealed = (SELECT sealed FROM item WHERE name = 'loose') WHERE name = "
         "'model'",
         "kms:row-mac"},
        {"DELETE FROM item WHERE name = 'loose'", "kms:row-set"},
        {"DELETE FROM item", "kms:row-set"},
        {"DELETE FROM policy WHERE name = 'other'", "kms:row-set"},
        {"DELETE FROM binding WHERE name = 'model'", "kms:row-set"},
        {"DELETE FROM admin WHERE role = 1", "kms:row-set"},
        {"UPDATE binding SET policy = 'other'", "kms:row-mac"},
        {"UPDATE admin SET role = 2", "kms:row-mac"},
        {"UPDATE admin SET role = 3 WHERE role = 1", "kms:row-mac"},
        {"UPDATE admin SET role = 258 WHERE role = 2", "kms:row-mac"},
        {"UPDATE binding SET kind = 3 WHERE name = 'model'", "kms:row-mac"},
        {"UPDATE binding SET kind = 257 WHERE name = 'model'", "kms:row-mac"},
        {"UPDATE audit SET time_s = 1 WHERE seq = 3", "kms:audit-chain"},
        {"DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)", "kms:audit-end"},
        {"UPDATE meta SET head = zeroblob(length(head))", "kms:head"},
        {"UPDATE meta SET key_check = zeroblob(16)", "kms:master-key"},
    };
    for (size_t i = 0; i < 3 * sizeof(tampers) / sizeof(tampers[0]); i++) {
        const size_t k = i / 3;
        const int schema = (int)(i % 3) + 1;
        if (schema == 3 && strstr(tampers[k].sql, "role")) /* a column of its own time */
            continue;
        struct ccz_kms_state st = old_state(schema);
        struct ccz_err err = {0};
        attack(tampers[k].sql);
        ccz_rc rc = ccz_kms_migrate(&st, FIX_NOW, &err);
        if (rc != CCZ_E_SIG || strcmp(err.where, tampers[k].where) != 0)
            fprintf(stderr, "%s: %s\n", tampers[k].sql, err.where);
        CHECK(rc == CCZ_E_SIG && strcmp(err.where, tampers[k].where) == 0);
        CHECK(schema_of() == schema);
    }
}

/* kill -9 at any moment: it is an old store or a new one, and complete. */
static void test_migrate_killed(void)
{
    bool seen[CCZI_KMS_SCHEMA + 1] = {false};
    for (int cycle = 0; cycle < 48; cycle++) {
        const int from = cycle % 3 + 1;
        const uint64_t lines[] = {0, 10, 13, 15};
        struct ccz_kms_state st = old_state(from);
        struct ccz_err err = {0};
        struct ccz_kms_store *s;
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
            _exit(ccz_kms_migrate(&st, FIX_NOW, NULL) == CCZ_OK ? 0 : 1);
        (void)usleep((useconds_t)(cycle * 333));
        CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
        int64_t schema = schema_of();
        CHECK(schema == from || schema == CCZI_KMS_SCHEMA);
        seen[schema] = true;
        CHECK(schema == CCZI_KMS_SCHEMA || ccz_kms_migrate(&st, FIX_NOW, &err) == CCZ_OK);
        CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_OK);
        struct ccz_kms_check c;
        CHECK(ccz_kms_store_check(&c, s, NULL) == CCZ_OK && c.audit_lines == lines[from]);
        ccz_kms_store_free(s);
    }
    CHECK(seen[1] || seen[2] ||
          seen[3]); /* it was early enough once; how often it was late depends on the machine */
}

/* A store of a later server is neither opened nor migrated. */
static void test_schema_newer(void)
{
    struct ccz_kms_state st = old_state(1);
    struct ccz_err err = {0};
    struct ccz_kms_store *s;
    CHECK(ccz_kms_migrate(&st, FIX_NOW, &err) == CCZ_OK);
    attack("PRAGMA user_version = 7");
    CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_E_UNSUPPORTED &&
          strcmp(err.where, "kms:schema") == 0);
    CHECK(strcmp(err.got, "7") == 0 && strcmp(err.expected, "6") == 0);
    CHECK(ccz_kms_migrate(&st, FIX_NOW, &err) == CCZ_E_UNSUPPORTED &&
          strcmp(err.where, "kms:schema") == 0);
    uint8_t spki[32] = {0};
    CHECK(ccz_kms_init(&st, spki, FIX_NOW, &err) == CCZ_E_EXISTS);
}

static const struct ccz_test tests[] = {
    {"kms.migrate", test_migrate},
    {"kms.migrate_2", test_migrate_2},
    {"kms.migrate_3", test_migrate_3},
    {"kms.migrate_4", test_migrate_4},
    {"kms.migrate_5", test_migrate_5},
    {"kms.migrate_tampered", test_migrate_tampered},
    {"kms.migrate_killed", test_migrate_killed},
    {"kms.schema_newer", test_schema_newer},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
