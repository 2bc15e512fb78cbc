/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KMS_PG_FIXTURE_H
#define KMS_PG_FIXTURE_H
/* A store on the PostgreSQL that 23-kms-postgresql.sh starts; for kms_pg_cases.c and what it is linked with. */
#include "ccz_test.h"
#include "kms/kms_fixture.h"
#include "kms/use_fixture.h"

#include "kms_pg/kms_pg.h"

#include <unistd.h>

static char g_dir[256], g_info[512];

static inline const char *must_env(const char *name)
{
    const char *v = getenv(name);
    if (!v)
        fix_die(name);
    return v;
}

/* A connection of its own: what an operator does with psql. */
static inline void sql(const char *text)
{
    static void *db;
    struct ccz_err err = {0};
    const struct ccz_kms_backend *ops = ccz_kms_postgresql();
    if (!text) { /* after a restart of the server */
        if (db)
            ops->close(db);
        db = NULL;
        return;
    }
    if (!db && ops->open(&db, g_info, false, &err) != CCZ_OK)
        fix_die(err.msg);
    if (ops->exec(db, text, &err) != CCZ_OK)
        fix_die(err.msg);
}

static inline void remove_dir(void)
{
    char cmd[300];
    (void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", g_dir);
    if (g_dir[0])
        (void)!system(cmd);
}

static inline struct ccz_kms_state state_at(const char *info)
{
    return (struct ccz_kms_state){
        .dir = g_dir, .backend = ccz_kms_postgresql(), .database = info, .reuse_master_key = true};
}

static inline struct ccz_kms_store *open_at(const char *info)
{
    struct ccz_kms_store *s;
    struct ccz_kms_state st = state_at(info);
    struct ccz_err err = {0};
    if (ccz_kms_store_open(&s, &st, &err) != CCZ_OK) {
        fprintf(stderr, "open: %s: %s\n", err.where, err.msg);
        exit(1);
    }
    return s;
}

/* An empty database, a folder with the master key of the fixture. */
static inline void fresh(void)
{
    static bool registered;
    char path[300];
    remove_dir();
    (void)snprintf(g_info, sizeof(g_info), "host=%s port=5499 user=tester dbname=postgres",
                   must_env("CCZ_TEST_PG_DIR"));
    (void)snprintf(g_dir, sizeof(g_dir), "%s/cczoo-kms-XXXXXX", must_env("TMPDIR"));
    CHECK(mkdtemp(g_dir) != NULL && (registered || atexit(remove_dir) == 0));
    registered = true;
    (void)snprintf(path, sizeof(path), "%s/master.key", g_dir);
    uint8_t key[32];
    memset(key, 1, sizeof(key));
    CHECK(ccz_file_write(path, CCZ_SPAN(key, 32), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
}

static inline void init(void)
{
    uint8_t spki[32];
    struct ccz_kms_state st = state_at(g_info);
    struct ccz_err err = {0};
    fix_spki(spki, FIX_ADMIN);
    if (ccz_kms_init(&st, spki, FIX_NOW, &err) != CCZ_OK)
        fix_die(err.msg);
}

/* Cases of the other files. */
void pg_test_commit_cut(void);
void pg_test_commit_unknown(void);
void pg_test_silent(void);
void pg_test_commit_silent(void);
void pg_test_rotate_once(void);
void pg_test_new_pin(void);
void pg_test_keys(void);
void pg_test_ahead(void);
void pg_test_ahead_changes(void);
void pg_test_ahead_nobody(void);
void pg_test_line_idle(void);
void pg_test_line_refused(void);
void pg_test_migrate(void);
void pg_test_migrate_3(void);
void pg_test_migrate_4(void);
void pg_test_migrate_5(void);

#endif
