/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DBA during a rekey, a hand in the state folder, two stores under one master key, answers that are lost, columns that change
 * between check and use.
 */
#define _GNU_SOURCE
#include "kms/kms_hook.h"

#include <sqlite3.h>

/* ---------------------------------------------------------------------- rekey */

static struct ccz_kms_store *g_store;
static const char *g_sql;

/* The DBA is at work while the new master key is wrapped. */
static ccz_rc wrap_and_write(struct ccz_buf *body, struct ccz_kms_master *m, struct ccz_span header,
                             const struct ccz_secret *key, struct ccz_err *e)
{
    sql(g_store, g_sql);
    return cczi_master_file.wrap(body, m, header, key, e);
}

static void rekey_race(bool in_transaction)
{
    static const char *const attacks[] = {
        "DELETE FROM binding WHERE name = 'model'; INSERT INTO binding SELECT * FROM kept_binding",
        "DELETE FROM item WHERE name = 'db/password' AND version = 2",
        "DELETE FROM policy WHERE name = 'server'; INSERT INTO policy SELECT * FROM kept_policy",
        "DELETE FROM quorum",
        "INSERT INTO admin SELECT * FROM kept_admin", /* in the transaction it stays without a MAC */
    };
    for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]) - in_transaction; i++) {
        dir_make();
        CCZ_AUTO(ccz_kms_store) s = NULL;
        CHECK(dir_init(NULL, NULL, &err) == CCZ_OK && dir_open(&s, NULL, NULL, &err) == CCZ_OK);
        fix_populate(s);
        fix_rows(s);
        sql(s, "CREATE TABLE kept_binding AS SELECT * FROM binding WHERE name = 'model';"
               "CREATE TABLE kept_admin AS SELECT * FROM admin WHERE roles = 1;"
               "CREATE TABLE kept_policy AS SELECT * FROM policy WHERE name = 'server'");
        CHECK(bind_other(s) == CCZ_OK && dismiss(s) == CCZ_OK);
        CHECK(fix_put_policy(s, "server", fix_policy_other, true, &err) == CCZ_OK);
        dir_copy("kms/master.key", "other/was");
        CCZ_AUTO(ccz_kms_master) to = dir_master(NULL, NULL);
        struct cczi_kms_master_ops ops = cczi_master_file;
        if (in_transaction) { /* when all was checked, and the first row is written */
            hook(s);
            h.on = CCZI_SQL_ADMIN_REKEY;
            h.sql = attacks[i];
        } else {
            ops.wrap = wrap_and_write;
            to->ops = &ops;
            g_store = s;
            g_sql = attacks[i];
        }
        err = (struct ccz_err){0};
        CHECK(dir_refused(ccz_kms_rekey(s, to, FIX_NOW, &err), &err, CCZ_E_SIG, "kms:row-set"));
        CHECK(in_transaction || set_refused(s)); /* under the old key, and the evidence is there */
        CHECK(!in_transaction ||
              ccz_kms_store_check(NULL, s, &err) == CCZ_OK); /* SQLite undid it */
        if (in_transaction)
            s->db.ops = h.real;
        ccz_kms_store_free(ccz_kms_store_take(&s));
        CHECK(in_transaction ||
              dir_refused(dir_try(NULL, NULL, &err), &err, CCZ_E_SIG, "kms:row-set"));
        CHECK(!dir_has("kms/master.key.old") && !dir_has("kms/master.key.next"));
        char cmd[1000];
        (void)snprintf(cmd, sizeof(cmd), "cmp -s '%s' '%s'", dir_path("kms/master.key"),
                       dir_path("other/was"));
        CHECK(system(cmd) == 0);
    }
}

static void test_rekey_race(void)
{
    rekey_race(false);
    rekey_race(true);

    /* the log as well is checked where it is carried over */
    dir_make();
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CHECK(dir_init(NULL, NULL, &err) == CCZ_OK && dir_open(&s, NULL, NULL, &err) == CCZ_OK);
    fix_populate(s);
    CCZ_AUTO(ccz_kms_master) to = dir_master(NULL, NULL);
    struct cczi_kms_master_ops ops = cczi_master_file;
    ops.wrap = wrap_and_write;
    to->ops = &ops;
    g_store = s;
    g_sql = "UPDATE audit SET time_s = 1 WHERE seq = 2";
    err = (struct ccz_err){0};
    CHECK(dir_refused(ccz_kms_rekey(s, to, FIX_NOW, &err), &err, CCZ_E_SIG, "kms:audit-chain"));
}

static struct ccz_kms_epoch *counter(void)
{
    struct ccz_kms_epoch *e = NULL;
    char spec[420];
    (void)snprintf(spec, sizeof(spec), "file:%s", dir_path("other/counter"));
    const struct ccz_kms_epoch_cfg cfg = {.spec = spec, .dir = dir_path("kms")};
    CHECK(ccz_kms_epoch_open(&e, &cfg, &err) == CCZ_OK);
    return e;
}

static ccz_rc try_counted(void)
{
    CCZ_AUTO(ccz_kms_epoch) e = counter();
    return dir_try(NULL, e, &err);
}

static bool second_mac(void)
{
    static const uint8_t none[32];
    CCZ_AUTO(ccz_secret) b = NULL;
    CHECK(ccz_file_read_secret(&b, dir_path("other/counter"), 1024, &err) == CCZ_OK &&
          ccz_secret_size(b) == CCZI_EPOCH_SIZE);
    return memcmp(ccz_secret_view(b) + CCZI_EPOCH_SIZE - 32, none, 32) != 0;
}

static struct ccz_kms_store *counted_store(struct ccz_kms_epoch **e)
{
    struct ccz_kms_store *s = NULL;
    dir_make();
    *e = counter();
    CHECK(dir_init(NULL, *e, &err) == CCZ_OK && dir_open(&s, NULL, *e, &err) == CCZ_OK);
    fix_populate(s);
    return s;
}

/* The answer to the COMMIT of a rekey is lost, and the database is away: the counter must know both keys until one is seen. */
static void test_epoch_rekey_unknown(void)
{
    for (int done = 0; done < 2; done++)
        for (int away = 0; away < 2; away++) {
            struct ccz_kms_epoch *e = NULL;
            struct ccz_kms_store *s = counted_store(&e);
            CCZ_AUTO(ccz_kms_master) to = dir_master(NULL, NULL);
            hook(s);
            h.commit = done ? LOSE_DONE : LOSE_UNDONE;
            h.away = away;
            ccz_rc rc = ccz_kms_rekey(s, to, FIX_NOW, &err);
            CHECK((rc == CCZ_OK) == (done && !away));
            CHECK(!away || (strcmp(err.where, "kms:rekey-unknown") == 0 && err.hint[0]));
            CHECK(second_mac() == away);
            CHECK(dir_has("kms/master.key.next") == away);
            s->db.ops = h.real;
            ccz_kms_store_free(s);
            ccz_kms_epoch_free(e);
            CHECK(second_mac() == away); /* an orderly end forgets nothing either */
            CHECK(try_counted() == CCZ_OK);
            CHECK(!second_mac()); /* one of the two was seen */
            CHECK(dir_has("kms/master.key.old") == done);
            CHECK(try_counted() == CCZ_OK);
        }
}

/* ------------------------------------------------------------ two stores, one master key */

static ccz_rc init_in(const char *name, enum fix_who who, bool reuse)
{
    uint8_t spki[32];
    char key[400];
    fix_spki(spki, who);
    (void)snprintf(key, sizeof(key), "%s", dir_path("shared.key"));
    const struct ccz_kms_state st = {
        .dir = dir_path(name), .master_key = key, .reuse_master_key = reuse};
    err = (struct ccz_err){0};
    return ccz_kms_init(&st, spki, FIX_NOW, &err);
}

static ccz_rc open_in(struct ccz_kms_store **out, const char *name)
{
    char key[400];
    (void)snprintf(key, sizeof(key), "%s", dir_path("shared.key"));
    const struct ccz_kms_state st = {.dir = dir_path(name), .master_key = key};
    err = (struct ccz_err){0};
    return ccz_kms_store_open(out, &st, &err);
}

/* What a query of a closed database makes of it: a statement for another one. */
static void statement_of(char out[4096], const char *file, const char *query)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    CHECK(sqlite3_open(dir_path(file), &db) == SQLITE_OK);
    CHECK(sqlite3_prepare_v2(db, query, -1, &st, NULL) == SQLITE_OK &&
          sqlite3_step(st) == SQLITE_ROW);
    int n = snprintf(out, 4096, "%s", (const char *)sqlite3_column_text(st, 0));
    CHECK(n > 0 && n < 4096);
    CHECK(sqlite3_finalize(st) == SQLITE_OK && sqlite3_close(db) == SQLITE_OK);
}

static void test_store_identity(void)
{
    dir_make();
    CHECK(init_in("kms", FIX_ADMIN, false) == CCZ_OK);
    /* not by accident */
    CHECK(dir_refused(init_in("b", FIX_STRANGER, false), &err, CCZ_E_EXISTS,
                      "kms:master-key-exists") &&
          err.hint[0]);
    CHECK(init_in("b", FIX_STRANGER, true) == CCZ_OK);
    CCZ_AUTO(ccz_kms_store) a = NULL;
    CCZ_AUTO(ccz_kms_store) b = NULL;
    CHECK(open_in(&a, "kms") == CCZ_OK && open_in(&b, "b") == CCZ_OK);
    uint8_t id[2][CCZ_KMS_INSTANCE_SIZE];
    ccz_kms_store_instance(id[0], a);
    ccz_kms_store_instance(id[1], b);
    CHECK(memcmp(id[0], id[1], sizeof(id[0])) != 0);
    CHECK(memcmp(a->sealer.id, b->sealer.id, 32) != 0);
    fix_populate(a);

    /* live: the administrator of the one is nobody in the other */
    static char text[4096];
    ccz_kms_store_free(ccz_kms_store_take(&b));
    statement_of(text, "b/kms.sqlite",
                 "SELECT 'INSERT INTO admin VALUES(' || quote(spki_sha256) || ',' ||"
                 " quote(namespace) || ',' || kind || ',' || roles || ',' || quote(label) || ',' ||"
                 " quote(mac) || ')' FROM admin");
    sql(a, text);
    CHECK(dir_refused(fix_call(NULL, a, FIX_STRANGER, "Status", (struct ccz_span){0}, &err), &err,
                      CCZ_E_SIG, "kms:row-mac"));
    sql(a, "DELETE FROM admin WHERE roles = 15 AND spki_sha256 = x'" /* FIX_STRANGER */
           "1212121212121212121212121212121212121212121212121212121212121212'");
    CHECK(ccz_kms_store_check(NULL, a, &err) == CCZ_OK);
    /* the record that holds it all together */
    statement_of(text, "b/kms.sqlite", "SELECT 'UPDATE meta SET head = ' || quote(head) FROM meta");
    sql(a, "CREATE TABLE kept AS SELECT * FROM meta");
    sql(a, text);
    CHECK(dir_refused(ccz_kms_store_check(NULL, a, &err), &err, CCZ_E_SIG, "kms:store-identity"));
    CHECK(err.hint[0]);
    sql(a, "UPDATE meta SET head = (SELECT head FROM kept); DROP TABLE kept");
    CHECK(ccz_kms_store_check(NULL, a, &err) == CCZ_OK);
    ccz_kms_store_free(ccz_kms_store_take(&a));

    /* the whole database of the one in the folder of the other */
    dir_copy("kms/kms.sqlite", "other/kms.sqlite");
    dir_copy("b/kms.sqlite", "kms/kms.sqlite");
    CHECK(dir_refused(open_in(&a, "kms"), &err, CCZ_E_SIG, "kms:store-identity"));
    CHECK(err.got[0] && err.expected[0]);
    dir_copy("other/kms.sqlite", "kms/kms.sqlite");
    CHECK(open_in(&a, "kms") == CCZ_OK);
    ccz_kms_store_free(ccz_kms_store_take(&a));

    /* a folder that does not know yet learns, a damaged one refuses */
    CHECK(unlink(dir_path("kms/store.id")) == 0);
    CHECK(open_in(&a, "kms") == CCZ_OK && dir_has("kms/store.id"));
    ccz_kms_store_free(ccz_kms_store_take(&a));
    CHECK(ccz_file_write(dir_path("kms/store.id"), ccz_span_str("what\n"), 0600, CCZ_FILE_REPLACE,
                         &err) == CCZ_OK);
    CHECK(dir_refused(open_in(&a, "kms"), &err, CCZ_E_SIG, "kms:store-identity"));
}

/* An init that was cut short goes on with its key; a key of a store that is there is not taken for one of those. */
static void test_init_key(void)
{
    dir_make();
    CCZ_AUTO(ccz_kms_master) m = dir_master(NULL, NULL);
    CCZ_AUTO(ccz_secret) key = NULL;
    CHECK(cczi_kms_master_make(&key, m, false, &err) == CCZ_OK); /* and the lights go out */
    CHECK(dir_has("kms/master.key") && dir_has("kms/master.key.init"));
    CHECK(dir_init(NULL, NULL, &err) == CCZ_OK && !dir_has("kms/master.key.init"));
    CCZ_AUTO(ccz_secret) still = NULL;
    CHECK(ccz_file_read_secret(&still, dir_path("kms/master.key"), 32, &err) == CCZ_OK &&
          memcmp(ccz_secret_view(still), ccz_secret_view(key), 32) == 0);
    CHECK(dir_try(NULL, NULL, &err) == CCZ_OK);

    /* the mark of an init that came to an end is taken away by the next start */
    CHECK(ccz_file_write(dir_path("kms/master.key.init"), ccz_span_str("x"), 0600, CCZ_FILE_REPLACE,
                         &err) == CCZ_OK);
    CHECK(dir_try(NULL, NULL, &err) == CCZ_OK && !dir_has("kms/master.key.init"));

    /* shares of a store whose database is elsewhere are not replaced */
    dir_make();
    CCZ_AUTO(ccz_kms_master) two = dir_master("shamir:2/2", NULL);
    CHECK(dir_init(two, NULL, &err) == CCZ_OK);
    CHECK(rename(dir_path("kms/kms.sqlite"), dir_path("other/kms.sqlite")) == 0);
    dir_copy("kms/master.wrapped", "other/was");
    CCZ_AUTO(ccz_kms_master) again = dir_master("shamir:2/2", NULL);
    CHECK(dir_refused(dir_init(again, NULL, &err), &err, CCZ_E_EXISTS, "kms:master-key-exists"));
    char cmd[1000];
    (void)snprintf(cmd, sizeof(cmd), "cmp -s '%s' '%s'", dir_path("kms/master.wrapped"),
                   dir_path("other/was"));
    CHECK(system(cmd) == 0);
}

/* The check value in clear is a hint, and who writes it moves no key file. */
static void test_promote_hint(void)
{
    dir_make();
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CHECK(dir_init(NULL, NULL, &err) == CCZ_OK && dir_open(&s, NULL, NULL, &err) == CCZ_OK);
    CCZ_AUTO(ccz_kms_master) m = dir_master(NULL, NULL);
    CCZ_AUTO(ccz_secret) key = NULL;
    CHECK(cczi_kms_master_stage(&key, m, &err) == CCZ_OK); /* of a rekey that was cut short */
    uint8_t check[CCZI_KEY_CHECK_SIZE];
    char hex[2 * CCZI_KEY_CHECK_SIZE + 1], text[200];
    CHECK(cczi_kms_key_check(check, ccz_secret_view(key)) == CCZ_OK);
    ccz_hex(hex, check, sizeof(check));
    sql(s, "CREATE TABLE kept AS SELECT * FROM meta");
    (void)snprintf(text, sizeof(text), "UPDATE meta SET key_check = x'%s'", hex);
    sql(s, text);
    ccz_kms_store_free(ccz_kms_store_take(&s));
    CHECK(dir_refused(dir_try(NULL, NULL, &err), &err, CCZ_E_SIG, "kms:head"));
    CHECK(dir_has("kms/master.key.next") && !dir_has("kms/master.key.old"));
    struct cczi_kms_db db;
    CHECK(cczi_kms_db_open(&db, cczi_kms_sqlite(), dir_path("kms/kms.sqlite"), false, &err) ==
          CCZ_OK);
    CHECK(cczi_kms_db_exec(&db, "UPDATE meta SET key_check = (SELECT key_check FROM kept)", &err) ==
          CCZ_OK);
    cczi_kms_db_close(&db);
    CHECK(dir_try(NULL, NULL, &err) == CCZ_OK);
}

/* ------------------------------------------------------------ between check and use */

/* A copy that went on elsewhere shows the counter the hash that it wants to see, after it was checked. */
static void test_fork_column(void)
{
    struct ccz_kms_epoch *e = NULL;
    struct ccz_kms_store *s = counted_store(&e);
    ccz_kms_store_free(s);
    ccz_kms_epoch_free(e);
    dir_copy("kms", "copy");
    e = counter();
    CHECK(dir_open(&s, NULL, e, &err) == CCZ_OK);
    CHECK(fix_put_secret(s, "ours", "v", NULL, false, &err) == CCZ_OK);
    uint64_t seq = s->head.seq;
    char hex[65], text[200];
    ccz_hex(hex, s->head.hash, 32);
    ccz_kms_store_free(s);
    ccz_kms_epoch_free(e);
    dir_copy("copy", "kms");
    dir_copy("other/counter", "other/kept");
    CHECK(unlink(dir_path("other/counter")) == 0);
    char spec[420];
    (void)snprintf(spec, sizeof(spec), "file:%s", dir_path("other/counter"));
    const struct ccz_kms_epoch_cfg lost = {
        .spec = spec, .dir = dir_path("kms"), .accept_lost = true};
    CHECK(ccz_kms_epoch_open(&e, &lost, &err) == CCZ_OK && dir_open(&s, NULL, e, &err) == CCZ_OK);
    CHECK(fix_put_secret(s, "theirs", "v", NULL, false, &err) == CCZ_OK);
    CHECK(fix_put_secret(s, "more", "v", NULL, false, &err) == CCZ_OK);
    ccz_kms_store_free(s);
    ccz_kms_epoch_free(e);
    dir_copy("other/kept", "other/counter");
    CHECK(dir_refused(try_counted(), &err, CCZ_E_SIG, "kms:forked"));

    (void)snprintf(text, sizeof(text), "UPDATE audit SET hash = x'%s' WHERE seq = %llu", hex,
                   (unsigned long long)seq);
    for (unsigned begins = 1; begins < 3; begins++) {
        memset(&h, 0, sizeof(h));
        h.real = cczi_kms_sqlite();
        h.ops = *h.real;
        h.ops.first = hook_first;
        h.sql = text;
        h.begins = begins;
        e = counter();
        s = NULL;
        char path[400];
        (void)snprintf(path, sizeof(path), "%s", dir_path("kms/kms.sqlite"));
        const struct ccz_kms_state st = {
            .dir = dir_path("kms"), .epoch = e, .backend = &h.ops, .database = path};
        err = (struct ccz_err){0};
        CHECK(dir_refused(ccz_kms_store_open(&s, &st, &err), &err, CCZ_E_SIG, "kms:forked") && !s);
        ccz_kms_epoch_free(e);
    }
}

/* What a checkpoint calls the log does not come out of a column that anybody may write. */
static void test_origin_column(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    char origin[CCZ_KMS_ORIGIN_SIZE];
    memcpy(origin, s->signer.origin, sizeof(origin));
    CHECK(origin[0]);
    cczi_kms_signer_deinit(&s->signer);
    sql(s, "UPDATE audit SET hash = zeroblob(32) WHERE seq = 1");
    CHECK(cczi_kms_signer_ensure(s, FIX_NOW, &err) == CCZ_OK);
    CHECK(strcmp(origin, s->signer.origin) == 0);
    ccz_kms_store_free(s);
}

/* A COMMIT that was lost and undone is not made good by a line that has the right hash in its column. */
static void test_commit_column(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    CHECK(fix_put_secret(s, "before", "v", NULL, false, &err) == CCZ_OK);
    hook(s);
    h.commit = LOSE_UNDONE;
    h.forge = s;
    err = (struct ccz_err){0};
    CHECK(fix_put_secret(s, "x", "v", NULL, false, &err) != CCZ_OK && !h.forge && !h.sql);
    s->db.ops = h.real;
    sql(s, "DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)");
    CHECK(ccz_kms_store_check(NULL, s, &err) == CCZ_OK);
    CHECK(fix_put_secret(s, "x", "v", NULL, false, &err) == CCZ_OK);

    /* while others went on: the chain tells, from the line to the end */
    uint64_t seq = s->head.seq;
    uint8_t hash[32];
    bool yes;
    memcpy(hash, s->head.hash, sizeof(hash));
    CHECK(fix_put_secret(s, "y", "v", NULL, false, &err) == CCZ_OK);
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK);
    CHECK(cczi_kms_audit_holds(&yes, s, seq, hash, &err) == CCZ_OK && yes);
    CHECK(cczi_kms_audit_holds(&yes, s, seq + 1, hash, &err) == CCZ_OK && !yes);
    CHECK(cczi_kms_audit_holds(&yes, s, seq + 2, hash, &err) == CCZ_OK && !yes);
    hash[0] ^= 1;
    CHECK(cczi_kms_audit_holds(&yes, s, seq, hash, &err) == CCZ_OK && !yes);
    char hex[65], text[200];
    ccz_hex(hex, hash, 32);
    (void)snprintf(text, sizeof(text), "UPDATE audit SET hash = x'%s' WHERE seq = %llu", hex,
                   (unsigned long long)seq);
    sql(s, text);
    CHECK(cczi_kms_audit_holds(&yes, s, seq, hash, &err) == CCZ_E_SIG && !yes);
    sql(s, "DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)");
    CHECK(cczi_kms_audit_holds(&yes, s, seq + 1, hash, &err) == CCZ_E_SIG && !yes);
    cczi_kms_rollback(s);
    ccz_kms_store_free(s);
}

/* A refusal whose call was handled alone, after the transaction as a whole failed, is counted like every other line. */
static void test_refusal_counted(void)
{
    struct ccz_kms_epoch *e = NULL;
    struct ccz_kms_store *s = counted_store(&e);
    hook(s);
    h.commit = FULL;
    uint64_t seq = s->head.seq;
    CHECK(fix_put_secret(s, "x", "v", NULL, false, &err) == CCZ_E_UNAVAILABLE);
    CHECK(s->head.seq == seq + 1 && e->saved.seq == seq + 1);
    s->db.ops = h.real;
    ccz_kms_store_free(s);
    ccz_kms_epoch_free(e);
    CHECK(try_counted() == CCZ_OK);
}

static struct fix_batch g_batch; /* large */

/* Who comes while the database is away is refused at once, and on the log, without another attempt; afterwards all is as it was. */
static void test_away(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    uint64_t lines = fix_check(s).audit_lines;
    hook(s);
    h.lost = h.away = true;
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_E_UNAVAILABLE);
    CHECK(strcmp(err.where, "test:lost") == 0 && h.asked > 1 && s->away_until_ms > 0);
    s->away_until_ms = INT64_MAX;
    unsigned asked = h.asked;
    fix_batch_begin(&g_batch);
    fix_batch_release(&g_batch, FIX_WORKLOAD, "key/model");
    fix_batch_put_secret(&g_batch, "new", "value", "server");
    fix_batch_run(&g_batch, s);
    for (size_t i = 0; i < 2; i++)
        CHECK(g_batch.entry[i].rc == CCZ_E_UNAVAILABLE && !g_batch.entry[i].answer.size &&
              strcmp(g_batch.entry[i].err.where, "test:lost") == 0);
    fix_batch_end(&g_batch);
    CHECK(h.asked == asked);
    s->away_until_ms = 1; /* long ago */
    s->db.ops = h.real;
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK);
    CHECK(s->away_until_ms == 0 && fix_check(s).audit_lines == lines + 1);
    ccz_kms_store_free(s);
}

static const struct ccz_test tests[] = {
    {"kms.rekey_race", test_rekey_race},
    {"kms.epoch_rekey_unknown", test_epoch_rekey_unknown},
    {"kms.store_identity", test_store_identity},
    {"kms.init_key", test_init_key},
    {"kms.promote_hint", test_promote_hint},
    {"kms.fork_column", test_fork_column},
    {"kms.origin_column", test_origin_column},
    {"kms.commit_column", test_commit_column},
    {"kms.refusal_counted", test_refusal_counted},
    {"kms.away", test_away},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
