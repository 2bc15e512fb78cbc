/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing, state folder, integrity against an attacker with write access to the database. */
#define _GNU_SOURCE
#include "kms/kms_whole.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* -------------------------------------------------------------------- sealing */

static void test_names(void)
{
    char out[CCZ_KMS_NAME_SIZE], max[CCZ_KMS_NAME_SIZE + 1];
    memset(max, 'a', sizeof(max));
    const char *good[] = {"a", "models/fmnist", "A-b_c.9", "a/b/c", "0"};
    const char *bad[] = {"",     "/",    "a/",  "/a",   "a//b", ".",        "..",
                         "a/.b", "../x", "a b", "a\nb", "a=b",  "\xc3\xa4", "a\"b"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK(cczi_kms_name(out, ccz_span_str(good[i]), NULL) == CCZ_OK &&
              strcmp(out, good[i]) == 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ccz_err err = {0};
        CHECK(cczi_kms_name(out, ccz_span_str(bad[i]), &err) == CCZ_E_FORMAT && out[0] == 0);
        CHECK(strcmp(err.where, "kms:name") == 0);
    }
    CHECK(cczi_kms_name(out, CCZ_SPAN(max, 128), NULL) == CCZ_OK);
    CHECK(cczi_kms_name(out, CCZ_SPAN(max, 129), NULL) == CCZ_E_FORMAT);
    CHECK(cczi_kms_name(out, CCZ_SPAN("a\0b", 3), NULL) == CCZ_E_FORMAT);

    struct cczi_kms_ref ref;
    char text[CCZ_KMS_ITEM_SIZE];
    CHECK(cczi_kms_ref_parse(&ref, ccz_span_str("secret/a/b"), NULL) == CCZ_OK &&
          ref.kind == CCZI_KMS_SECRET);
    cczi_kms_ref_print(text, &ref);
    CHECK(strcmp(text, "secret/a/b") == 0);
    CHECK(cczi_kms_ref_parse(&ref, ccz_span_str("key/"), NULL) == CCZ_E_FORMAT);
    CHECK(cczi_kms_ref_parse(&ref, ccz_span_str("keys/a"), NULL) == CCZ_E_FORMAT);
    CHECK(cczi_kms_ref_parse(&ref, ccz_span_str("a"), NULL) == CCZ_E_FORMAT && ref.kind == 0);
    CHECK(cczi_kms_alg_size(ccz_span_str("aes-128")) == 16 &&
          cczi_kms_alg_size(ccz_span_str("aes-256")) == 32);
    CHECK(cczi_kms_alg_size(ccz_span_str("aes-12")) == 0 &&
          cczi_kms_alg_size(ccz_span_str("")) == 0);
}

static void test_seal(void)
{
    struct ccz_secret *master = fix_master(1);
    struct cczi_kms_sealer s, other;
    struct cczi_kms_sealer twin; /* another store under the same master key */
    static const uint8_t id[32] = {1}, other_id[32] = {2};
    CHECK(cczi_kms_sealer_init(&s, master, id, NULL) == CCZ_OK);
    CHECK(cczi_kms_sealer_init(&twin, master, other_id, NULL) == CCZ_OK);
    CHECK(memcmp(s.key_check, twin.key_check, sizeof(s.key_check)) == 0);
    ccz_secret_bytes(master)[31] ^= 1;
    CHECK(cczi_kms_sealer_init(&other, master, id, NULL) == CCZ_OK);
    CHECK(memcmp(s.key_check, other.key_check, sizeof(s.key_check)) != 0);
    ccz_secret_free(master);

    struct cczi_kms_slot slot = {.ref = {CCZI_KMS_KEY, "model"}, .version = 2, .alg = "aes-128"};
    struct ccz_span value = ccz_span_str("0123456789abcdef");
    struct ccz_buf sealed, again;
    ccz_buf_init(&sealed, 1024);
    ccz_buf_init(&again, 1024);
    CHECK(cczi_kms_seal(&sealed, &s, &slot, value, NULL) == CCZ_OK);
    CHECK(cczi_kms_seal(&again, &s, &slot, value, NULL) == CCZ_OK);
    CHECK(!ccz_span_eq(ccz_buf_span(&sealed),
                       ccz_buf_span(&again))); /* a fresh key and nonce each time */
    CHECK(memmem(sealed.ptr, sealed.size, value.ptr, value.size) == NULL);

    struct ccz_secret *out;
    struct ccz_err err = {0};
    CHECK(cczi_kms_unseal(&out, &s, &slot, ccz_buf_span(&sealed), &err) == CCZ_OK);
    CHECK(ccz_secret_size(out) == 16 && memcmp(ccz_secret_view(out), value.ptr, 16) == 0);
    ccz_secret_free(out);

    /* any other place */
    struct cczi_kms_slot moved[] = {slot, slot, slot, slot};
    moved[0].ref.kind = CCZI_KMS_SECRET;
    moved[1].version = 1;
    (void)snprintf(moved[2].ref.name, sizeof(moved[2].ref.name), "modem");
    (void)snprintf(moved[3].alg, sizeof(moved[3].alg), "aes-256");
    for (size_t i = 0; i < 4; i++)
        CHECK(cczi_kms_unseal(&out, &s, &moved[i], ccz_buf_span(&sealed), &err) == CCZ_E_SIG &&
              out == NULL);
    CHECK(strcmp(err.where, "kms:seal") == 0);
    /* name and algorithm must not run into each other */
    struct cczi_kms_slot shifted = {.ref = {CCZI_KMS_KEY, "modelaes-"}, .version = 2, .alg = "128"};
    CHECK(cczi_kms_unseal(&out, &s, &shifted, ccz_buf_span(&sealed), NULL) == CCZ_E_SIG);
    CHECK(cczi_kms_unseal(&out, &other, &slot, ccz_buf_span(&sealed), NULL) == CCZ_E_SIG);
    CHECK(cczi_kms_unseal(&out, &twin, &slot, ccz_buf_span(&sealed), NULL) == CCZ_E_SIG);
    cczi_kms_sealer_deinit(&twin);

    for (size_t i = 0; i < sealed.size; i++) { /* every bit counts, every truncation is an error */
        for (unsigned bit = 0; bit < 8; bit++) {
            sealed.ptr[i] ^= (uint8_t)(1u << bit);
            CHECK(cczi_kms_unseal(&out, &s, &slot, ccz_buf_span(&sealed), NULL) == CCZ_E_SIG &&
                  out == NULL);
            sealed.ptr[i] ^= (uint8_t)(1u << bit);
        }
        CHECK(cczi_kms_unseal(&out, &s, &slot, CCZ_SPAN(sealed.ptr, i), NULL) == CCZ_E_SIG &&
              out == NULL);
    }
    CHECK(cczi_kms_seal(&again, &s, &slot, ccz_span_str(""), &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "kms:value-size") == 0);
    ccz_buf_free(&sealed);
    ccz_buf_free(&again);
    cczi_kms_sealer_deinit(&s);
    cczi_kms_sealer_deinit(&other);
}

static void test_head(void)
{
    struct ccz_secret *master = fix_master(1);
    struct cczi_kms_sealer s;
    struct cczi_kms_sealer old;
    static const uint8_t id[32] = {1};
    CHECK(cczi_kms_sealer_init(&s, master, id, NULL) == CCZ_OK);
    CHECK(cczi_kms_sealer_init(&old, master, NULL, NULL) == CCZ_OK);
    ccz_secret_free(master);
    struct cczi_kms_head h = {.generation = (uint64_t)1 << 40}, out;
    memset(h.hash, 1, 32);
    memset(h.set, 2, 32);
    memset(h.first, 4, 32);
    struct ccz_buf b;
    ccz_buf_init(&b, 4096);
    CHECK(cczi_kms_head_seal(&b, &s, &h, NULL) == CCZ_OK);
    size_t least = b.size;
    h.seq = h.tree.size = CCZ_KMS_TREE_SIZE_MAX - 1; /* the largest frontier */
    memset(h.tree.node, 3, 48 * sizeof(h.tree.node[0]));
    ccz_buf_clear(&b);
    CHECK(cczi_kms_head_seal(&b, &s, &h, NULL) == CCZ_OK && b.size == least + 48 * 32 &&
          b.size <= CCZI_KMS_HEAD_SIZE_MAX);
    CHECK(cczi_kms_head_unseal(&out, &s, ccz_buf_span(&b), NULL) == CCZ_OK &&
          memcmp(&out, &h, sizeof(h)) == 0);
    ccz_buf_put(&b, h.tree.node, 64); /* more than any head has */
    CHECK(cczi_kms_head_unseal(&out, &s, ccz_buf_span(&b), NULL) == CCZ_E_SIG);
    h.seq = h.tree.size = 3;
    memset(h.tree.node + 2, 0, sizeof(h.tree.node) - sizeof(h.tree.node[0]) * 2);
    ccz_buf_clear(&b);
    CHECK(cczi_kms_head_seal(&b, &s, &h, NULL) == CCZ_OK);
    CHECK(memmem(b.ptr, b.size, h.set, 32) == NULL &&
          memmem(b.ptr, b.size, h.tree.node, 16) == NULL);
    CHECK(cczi_kms_head_unseal(&out, &s, ccz_buf_span(&b), NULL) == CCZ_OK &&
          memcmp(&out, &h, sizeof(h)) == 0);
    struct ccz_err err = {0};
    for (size_t i = 0; i < b.size; i++) {
        b.ptr[i] ^= 0x40;
        CHECK(cczi_kms_head_unseal(&out, &s, ccz_buf_span(&b), &err) == CCZ_E_SIG && out.seq == 0);
        CHECK(strcmp(err.where, i < 32 ? "kms:store-identity" : "kms:head") == 0);
        b.ptr[i] ^= 0x40;
        CHECK(cczi_kms_head_unseal(&out, &s, CCZ_SPAN(b.ptr, i), &err) == CCZ_E_SIG);
    }
    CHECK(strcmp(err.where, "kms:head") == 0);
    CHECK(cczi_kms_head_unseal(&out, &old, ccz_buf_span(&b), &err) == CCZ_E_SIG);
    CHECK(cczi_kms_head_seal(&b, &old, &h, &err) == CCZ_E_ARG); /* it only reads */
    /* a head without the tree of its lines was written before there was an id, and never with one */
    h.seq = 4;
    ccz_buf_clear(&b);
    CHECK(cczi_kms_head_seal(&b, &s, &h, NULL) == CCZ_OK);
    CHECK(cczi_kms_head_unseal(&out, &s, ccz_buf_span(&b), &err) == CCZ_E_SIG && out.seq == 0);
    ccz_buf_free(&b);
    cczi_kms_sealer_deinit(&s);
    cczi_kms_sealer_deinit(&old);
}

/* ---------------------------------------------------------------- state folder */

static unsigned mode_of(const char *path)
{
    struct stat st;
    CHECK(stat(path, &st) == 0);
    return (unsigned)st.st_mode & 07777;
}

static void test_init(void)
{
    dir_fresh();
    struct ccz_err err;
    CHECK(try_open(&err) == CCZ_E_NOT_FOUND && err.hint[0] != 0);
    init_store();
    CHECK(mode_of(dir_path("master.key")) == 0600 && mode_of(dir_path("kms.sqlite")) == 0600);
    CHECK(try_open(&err) == CCZ_OK);

    uint8_t spki[32] = {0};
    struct ccz_kms_state st = state();
    CHECK(ccz_kms_init(&st, spki, FIX_NOW, &err) == CCZ_E_EXISTS &&
          strcmp(err.where, "kms:init") == 0);
    CHECK(try_open(&err) == CCZ_OK);

    /* one user at a time */
    uint8_t id[2][CCZ_KMS_INSTANCE_SIZE];
    struct ccz_kms_store *s = open_store();
    ccz_kms_store_instance(id[0], s);
    ccz_kms_store_free(s);
    s = open_store(); /* the same KMS after a restart */
    ccz_kms_store_instance(id[1], s);
    CHECK(memcmp(id[0], id[1], sizeof(id[0])) == 0);
    CHECK(mode_of(dir_path("kms.sqlite-wal")) == 0600);
    CHECK(try_open(&err) == CCZ_E_UNAVAILABLE && strcmp(err.where, "kms:store-busy") == 0);
    ccz_kms_store_free(s);

    /* the master key: not open to others, not another one, not absent, of the right size */
    CHECK(chmod(dir_path("master.key"), 0640) == 0);
    CHECK(try_open(&err) == CCZ_E_DENIED && strcmp(err.where, "file:permissions") == 0);
    CHECK(rename(dir_path("master.key"), dir_path("kept")) == 0);
    CHECK(try_open(&err) == CCZ_E_NOT_FOUND);
    uint8_t wrong[32] = {9};
    CHECK(ccz_file_write(dir_path("master.key"), CCZ_SPAN(wrong, 32), 0600, CCZ_FILE_REPLACE,
                         NULL) == CCZ_OK);
    CHECK(try_open(&err) == CCZ_E_SIG && strcmp(err.where, "kms:master-key") == 0 && err.got[0] &&
          err.expected[0]);
    CHECK(ccz_file_write(dir_path("master.key"), CCZ_SPAN(wrong, 31), 0600, CCZ_FILE_REPLACE,
                         NULL) == CCZ_OK);
    CHECK(try_open(&err) == CCZ_E_FORMAT && strcmp(err.where, "kms:master-key-size") == 0);
    CHECK(chmod(dir_path("kept"), 0600) == 0 &&
          rename(dir_path("kept"), dir_path("master.key")) == 0);
    CHECK(try_open(&err) == CCZ_OK);

    /* not a database at all */
    CHECK(ccz_file_write(dir_path("kms.sqlite"), ccz_span_str("garbage garbage garbage"), 0600,
                         CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    CHECK(try_open(&err) == CCZ_E_SIG && strcmp(err.where, "kms:store-corrupt") == 0);
}

/* Killed between the steps of init: the next init completes it, with the key that is there. */
static void test_init_interrupted(void)
{
    dir_fresh();
    uint8_t key[32], spki[32];
    memset(key, 7, sizeof(key));
    CHECK(ccz_file_write(dir_path("master.key"), CCZ_SPAN(key, 32), 0600, CCZ_FILE_REPLACE, NULL) ==
          CCZ_OK);
    CHECK(ccz_file_write(dir_path("kms.sqlite"), ccz_span_str(""), 0600, CCZ_FILE_REPLACE, NULL) ==
          CCZ_OK);
    CHECK(ccz_file_write(dir_path("master.key.init"), ccz_span_str(""), 0600, CCZ_FILE_REPLACE,
                         NULL) == CCZ_OK);
    struct ccz_err err;
    CHECK(try_open(&err) == CCZ_E_NOT_FOUND); /* an empty database is not a store */
    fix_spki(spki, FIX_ADMIN);
    init_store();
    struct ccz_buf b;
    ccz_buf_init(&b, 64);
    CHECK(ccz_file_read(&b, dir_path("master.key"), NULL) == CCZ_OK && b.size == 32 &&
          memcmp(b.ptr, key, 32) == 0);
    ccz_buf_free(&b);
    CHECK(try_open(&err) == CCZ_OK);
}

static void test_admins(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    uint8_t admin[32], auditor[32];
    fix_spki(admin, FIX_ADMIN);
    fix_spki(auditor, FIX_AUDITOR);
    struct ccz_err err = {0};
    struct cczi_kms_admin a;
    CHECK(ccz_kms_store_set_admin(s, auditor, CCZ_KMS_ROLE_AUDITOR, FIX_NOW, &err) == CCZ_OK);
    CHECK(cczi_kms_admin_get(&a, s, auditor, CCZI_KMS_NS_ALL, NULL) == CCZ_OK &&
          a.roles == CCZ_KMS_ROLE_AUDITOR);
    /* neither removed nor demoted: somebody must be able to administer */
    CHECK(ccz_kms_store_set_admin(s, admin, CCZ_KMS_ROLE_NONE, FIX_NOW, &err) == CCZ_E_DENIED);
    CHECK(ccz_kms_store_set_admin(s, admin, CCZ_KMS_ROLE_AUDITOR, FIX_NOW, &err) == CCZ_E_DENIED);
    CHECK(strcmp(err.where, "kms:last-admin") == 0);
    CHECK(cczi_kms_admin_get(&a, s, admin, CCZI_KMS_NS_ALL, NULL) == CCZ_OK &&
          a.roles == CCZ_KMS_ROLE_ADMIN);
    CHECK(ccz_kms_store_set_admin(s, auditor, CCZ_KMS_ROLE_ADMIN, FIX_NOW, &err) == CCZ_OK);
    CHECK(ccz_kms_store_set_admin(s, admin, CCZ_KMS_ROLE_NONE, FIX_NOW, &err) == CCZ_OK);
    CHECK(cczi_kms_admin_get(&a, s, admin, CCZI_KMS_NS_ALL, NULL) == CCZ_E_NOT_FOUND);
    struct ccz_kms_check c;
    CHECK(ccz_kms_store_check(&c, s, NULL) == CCZ_OK && c.admins == 1 && c.audit_lines == 4);
    ccz_kms_store_free(s);
}

/* ------------------------------------------------------------------- tampering */

/* The attacker's access: the file, without the master key, while the KMS is not running. */
static void attack(const char *sql)
{
    sqlite3 *db;
    char *msg = NULL;
    CHECK(sqlite3_open(dir_path("kms.sqlite"), &db) == SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &msg) != SQLITE_OK) {
        fprintf(stderr, "attack failed: %s: %s\n", sql, msg);
        exit(1);
    }
    CHECK(sqlite3_close(db) == SQLITE_OK);
}

static void copy_db(const char *from, const char *to)
{
    struct ccz_buf b;
    ccz_buf_init(&b, 16 << 20);
    CHECK(ccz_file_read(&b, dir_path(from), NULL) == CCZ_OK);
    CHECK(ccz_file_write(dir_path(to), ccz_buf_span(&b), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    ccz_buf_free(&b);
}

static const struct tamper {
    const char *sql, *where;
} tampers[] = {
    /* each column of each table */
    {"UPDATE item SET name = 'model2' WHERE name = 'model'", "kms:row-mac"},
    {"UPDATE item SET version = 7 WHERE name = 'model'", "kms:row-mac"},
    {"UPDATE item SET kind = 2 WHERE name = 'model'", "kms:row-mac"},
    {"UPDATE item SET kind = 9 WHERE name = 'model'", "kms:row-mac"},
    {"UPDATE item SET version = 4294967297 WHERE name = 'model'", "kms:row-mac"},
    {"UPDATE item SET alg = 'aes-256' WHERE name = 'model'", "kms:row-mac"},
    {"UPDATE item SET created_s = created_s + 1 WHERE name = 'model'", "kms:row-mac"},
    {"UPDATE item SET mac = zeroblob(32) WHERE name = 'model'", "kms:row-mac"},
    {"UPDATE item SET enabled = 0 WHERE name = 'model'", "kms:row-mac"},
    {"UPDATE item SET enabled = 2 WHERE name = 'model'", "kms:row-mac"},
    {"UPDATE item SET expires_s = 1 WHERE name = 'model'", "kms:row-mac"},
    {"UPDATE item SET delete_after_s = 1 WHERE name = 'model'", "kms:row-mac"},
    {"UPDATE item SET metadata = CAST('{}' AS BLOB) WHERE name = 'model'", "kms:row-mac"},
    {"UPDATE item SET sealed = (SELECT sealed FROM item WHERE name = 'loose') WHERE name = 'model'",
     "kms:row-mac"},
    {"UPDATE item SET sealed = zeroblob(length(sealed)) WHERE name = 'model'", "kms:row-mac"},
    {"UPDATE binding SET policy = 'other' WHERE name = 'model'", "kms:row-mac"},
    {"UPDATE binding SET name = 'tight' WHERE name = 'db/password'", "kms:row-mac"},
    {"UPDATE binding SET kind = 2 WHERE name = 'model'", "kms:row-mac"},
    {"UPDATE binding SET kind = 3 WHERE name = 'model'", "kms:row-mac"},
    {"UPDATE binding SET op = 1 WHERE name = 'model'", "kms:row-mac"},
    {"UPDATE binding SET mac = zeroblob(32) WHERE name = 'model'", "kms:row-mac"},
    {"UPDATE policy SET json = (SELECT json FROM policy WHERE name = 'other') WHERE name = "
     "'server'",
     "kms:row-mac"},
    {"UPDATE policy SET sha256 = zeroblob(32) WHERE name = 'server'", "kms:row-mac"},
    {"UPDATE policy SET created_s = 0 WHERE name = 'server'", "kms:row-mac"},
    {"UPDATE policy SET name = 'swap' WHERE name = 'server'", "kms:row-mac"},
    {"UPDATE policy SET mac = zeroblob(32) WHERE name = 'server'", "kms:row-mac"},
    {"UPDATE admin SET roles = 15 WHERE roles = 1", "kms:row-mac"},
    {"UPDATE admin SET roles = 4294967311 WHERE roles = 15", "kms:row-mac"},
    {"UPDATE admin SET kind = 1 WHERE roles = 15", "kms:row-mac"},
    {"UPDATE admin SET namespace = 'team' WHERE roles = 15", "kms:row-mac"},
    {"UPDATE admin SET label = 'somebody' WHERE roles = 15", "kms:row-mac"},
    {"UPDATE admin SET spki_sha256 = zeroblob(32) WHERE roles = 15", "kms:row-mac"},
    {"UPDATE admin SET mac = zeroblob(32) WHERE roles = 1", "kms:row-mac"},
    {"UPDATE quorum SET needed = 1", "kms:row-mac"},
    {"UPDATE quorum SET namespace = 'tea'", "kms:row-mac"},
    {"UPDATE quorum SET mac = zeroblob(32)", "kms:row-mac"},
    {"UPDATE proposal SET id = 2", "kms:row-mac"},
    {"UPDATE proposal SET namespace = 'tea'", "kms:row-mac"},
    {"UPDATE proposal SET method = 'Bind'", "kms:row-mac"},
    {"UPDATE proposal SET body = x'00'", "kms:row-mac"},
    {"UPDATE proposal SET proposer = zeroblob(32)", "kms:row-mac"},
    {"UPDATE proposal SET created_s = 0", "kms:row-mac"},
    {"UPDATE proposal SET expires_s = 9999999999", "kms:row-mac"},
    {"UPDATE proposal SET state = 1", "kms:row-mac"},
    {"UPDATE proposal SET mac = zeroblob(32)", "kms:row-mac"},
    {"UPDATE approval SET proposal = 2", "kms:row-mac"},
    {"UPDATE approval SET approver = zeroblob(32)", "kms:row-mac"},
    {"UPDATE approval SET time_s = 0", "kms:row-mac"},
    {"UPDATE approval SET mac = zeroblob(32)", "kms:row-mac"},
    {"UPDATE key_meta SET name = 'l'", "kms:row-mac"},
    {"UPDATE key_meta SET meta = x'00'", "kms:row-mac"},
    {"UPDATE key_meta SET mac = zeroblob(32)", "kms:row-mac"},
    {"UPDATE staged SET policy = 'other'", "kms:row-mac"},
    {"UPDATE staged SET json = x'00'", "kms:row-mac"},
    {"UPDATE staged SET sha256 = x'00'", "kms:row-mac"},
    {"UPDATE staged SET created_s = 0", "kms:row-mac"},
    {"UPDATE staged SET ends_s = 0", "kms:row-mac"},
    {"UPDATE staged SET would_accept = 0", "kms:row-mac"},
    {"UPDATE staged SET would_refuse = 0", "kms:row-mac"},
    {"UPDATE staged SET mac = zeroblob(32)", "kms:row-mac"},
    {"UPDATE evidence SET sha256 = zeroblob(32)", "kms:row-mac"},
    {"UPDATE evidence SET tee = 2", "kms:row-mac"},
    {"UPDATE evidence SET claims = x'00'", "kms:row-mac"},
    {"UPDATE evidence SET evidence = x'00'", "kms:row-mac"},
    {"UPDATE evidence SET first_s = 0", "kms:row-mac"},
    {"UPDATE evidence SET last_s = 0", "kms:row-mac"},
    {"UPDATE evidence SET accepted = 0", "kms:row-mac"},
    {"UPDATE evidence SET refused = 0", "kms:row-mac"},
    {"UPDATE evidence SET mac = zeroblob(32)", "kms:row-mac"},
    {"UPDATE reference SET name = 'x'", "kms:row-mac"},
    {"UPDATE reference SET version = 2", "kms:row-mac"},
    {"UPDATE reference SET json = x'00'", "kms:row-mac"},
    {"UPDATE reference SET sha256 = zeroblob(31)", "kms:row-mac"},
    {"UPDATE reference SET created_s = 0", "kms:row-mac"},
    {"UPDATE reference SET mac = zeroblob(32)", "kms:row-mac"},
    {"UPDATE raw_evidence SET sha256 = zeroblob(32)", "kms:row-mac"},
    {"UPDATE raw_evidence SET namespace = 'x'", "kms:row-mac"},
    {"UPDATE raw_evidence SET tee = 2", "kms:row-mac"},
    {"UPDATE raw_evidence SET time_s = 0", "kms:row-mac"},
    {"UPDATE raw_evidence SET evidence = x'00'", "kms:row-mac"},
    {"UPDATE raw_evidence SET mac = zeroblob(32)", "kms:row-mac"},
    /* rows that are genuine in themselves: taken away */
    {"DELETE FROM item WHERE name = 'model'", "kms:row-set"},
    {"DELETE FROM item WHERE name = 'db/password' AND version = 2", "kms:row-set"},
    {"DELETE FROM binding WHERE name = 'model'", "kms:row-set"},
    {"DELETE FROM policy WHERE name = 'other'", "kms:row-set"},
    {"DELETE FROM admin WHERE roles = 1", "kms:row-set"},
    {"DELETE FROM quorum", "kms:row-set"},
    {"DELETE FROM proposal", "kms:row-set"},
    {"DELETE FROM approval", "kms:row-set"},
    {"DELETE FROM key_meta", "kms:row-set"},
    {"DELETE FROM staged", "kms:row-set"},
    {"DELETE FROM evidence", "kms:row-set"},
    {"DELETE FROM reference", "kms:row-set"},
    {"DELETE FROM raw_evidence", "kms:row-set"},
    /* and brought back from an older copy of the database */
    {"DELETE FROM binding; INSERT INTO binding SELECT * FROM old.binding", "kms:row-set"},
    {"DELETE FROM policy; INSERT INTO policy SELECT * FROM old.policy", "kms:row-set"},
    {"DELETE FROM admin; INSERT INTO admin SELECT * FROM old.admin", "kms:row-set"},
    {"INSERT INTO item SELECT * FROM old.item WHERE name = 'deleted'", "kms:row-set"},
    {"UPDATE meta SET head = (SELECT head FROM old.meta)", "kms:row-set"},
    /* the audit chain */
    {"UPDATE audit SET entry = CAST(replace(CAST(entry AS TEXT), 'accept', 'reject') AS BLOB) "
     "WHERE seq = 3",
     "kms:audit-chain"},
    {"UPDATE audit SET time_s = 1 WHERE seq = 3", "kms:audit-chain"},
    {"UPDATE audit SET hash = zeroblob(32) WHERE seq = 3", "kms:audit-chain"},
    {"UPDATE audit SET prev = zeroblob(32) WHERE seq = 3", "kms:audit-chain"},
    {"DELETE FROM audit WHERE seq = 3", "kms:audit-chain"},
    {"DELETE FROM audit WHERE seq = 1", "kms:audit-chain"},
    {"UPDATE audit SET seq = 0 WHERE seq = 1", "kms:audit-chain"},
    {"DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)", "kms:audit-end"},
    {"DELETE FROM audit", "kms:audit-end"},
    /* the record that holds it all together */
    {"UPDATE meta SET head = zeroblob(length(head))", "kms:head"},
    {"UPDATE meta SET head = x''", "kms:head"},
    {"DELETE FROM meta", "kms:head"},
    {"UPDATE meta SET key_check = zeroblob(16)", "kms:master-key"},
};

static void test_tamper(void)
{
    dir_fresh();
    init_store();
    /* an older copy: another binding and policy, a key that is deleted later, an auditor who is
     * removed later */
    struct ccz_kms_store *s = open_store();
    fix_populate(s);
    fix_rows(s);
    CHECK(fix_create_key(s, "deleted", "aes-256", (struct ccz_span){0}, "server", NULL) == CCZ_OK);
    ccz_kms_store_free(s);
    copy_db("kms.sqlite", "old.sqlite");
    s = open_store();
    struct cczi_msg_delete_req del = {.target = ccz_span_str("key/deleted"), .no_recovery = 1};
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &del, NULL) == CCZ_OK);
    struct cczi_msg_bind_req bind = {.item = ccz_span_str("secret/loose"),
                                     .policy = ccz_span_str("other")};
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "Bind", cczi_msg_bind_req, &bind, NULL) == CCZ_OK);
    CHECK(fix_put_policy(s, "server", fix_policy_empty, true, NULL) == CCZ_OK);
    uint8_t spki[32];
    fix_spki(spki, FIX_STRANGER);
    CHECK(ccz_kms_store_set_admin(s, spki, CCZ_KMS_ROLE_AUDITOR, FIX_NOW, NULL) == CCZ_OK);
    ccz_kms_store_free(s);
    copy_db("kms.sqlite", "good.sqlite");

    char sql[1024];
    for (size_t i = 0; i < sizeof(tampers) / sizeof(tampers[0]); i++) {
        copy_db("good.sqlite", "kms.sqlite");
        (void)snprintf(sql, sizeof(sql), "ATTACH '%s' AS old; BEGIN; %s; COMMIT;",
                       dir_path("old.sqlite"), tampers[i].sql);
        attack(sql);
        struct ccz_err err;
        ccz_rc rc = try_open(&err);
        if (rc != CCZ_E_SIG || strcmp(err.where, tampers[i].where) != 0) {
            fprintf(stderr, "%s\n  gave %s at %s (%s), expected %s\n", tampers[i].sql,
                    ccz_rc_name(rc), err.where, err.msg, tampers[i].where);
            exit(1);
        }
    }
    copy_db("good.sqlite", "kms.sqlite");
    struct ccz_err err;
    CHECK(try_open(&err) == CCZ_OK); /* it was not the copying */
}

/* Replaces the audit lines first..last by others: numbered `shift` higher, with entry "{}", each with the hash that
 * belongs to it, as somebody without the master key can make them. */
static void rewrite_chain(int64_t first, int64_t last, int64_t shift)
{
    sqlite3 *db;
    sqlite3_stmt *get, *set;
    CHECK(sqlite3_open(dir_path("kms.sqlite"), &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, "CREATE TEMP TABLE was AS SELECT * FROM audit ORDER BY seq", NULL, NULL,
                       NULL) == SQLITE_OK);
    CHECK(sqlite3_exec(db, "DELETE FROM audit", NULL, NULL, NULL) == SQLITE_OK);
    CHECK(sqlite3_prepare_v2(db, "SELECT seq, time_s, entry, prev, hash FROM was", -1, &get,
                             NULL) == SQLITE_OK);
    CHECK(sqlite3_prepare_v2(db, "INSERT INTO audit VALUES (?, ?, ?, ?, ?)", -1, &set, NULL) ==
          SQLITE_OK);
    uint8_t before[32] = {0};
    while (sqlite3_step(get) == SQLITE_ROW) {
        int64_t seq = sqlite3_column_int64(get, 0);
        bool change = seq >= first && seq <= last;
        for (int col = 0; col < 5; col++)
            sqlite3_bind_value(set, col + 1, sqlite3_column_value(get, col));
        if (change) {
            uint8_t numbers[16];
            uint64_t n[2] = {(uint64_t)(seq + shift), (uint64_t)sqlite3_column_int64(get, 1)};
            for (size_t i = 0; i < 16; i++)
                numbers[i] = (uint8_t)(n[i / 8] >> (8 * (i % 8)));
            const struct ccz_span parts[] = {CCZ_SPAN(before, 32), CCZ_SPAN(numbers, 16),
                                             ccz_span_str("{}")};
            uint8_t hash[32];
            CHECK(ccz_hash(hash, CCZ_SHA256, parts, 3) == CCZ_OK);
            sqlite3_bind_int64(set, 1, seq + shift);
            sqlite3_bind_blob(set, 3, "{}", 2, SQLITE_STATIC);
            sqlite3_bind_blob(set, 4, before, 32, SQLITE_TRANSIENT);
            sqlite3_bind_blob(set, 5, hash, 32, SQLITE_TRANSIENT);
            memcpy(before, hash, 32);
        } else {
            memcpy(before, sqlite3_column_blob(get, 4), 32);
        }
        CHECK(sqlite3_step(set) == SQLITE_DONE && sqlite3_reset(set) == SQLITE_OK);
    }
    CHECK(sqlite3_finalize(get) == SQLITE_OK && sqlite3_finalize(set) == SQLITE_OK);
    CHECK(sqlite3_close(db) == SQLITE_OK);
}

static void test_chain_rewritten(void)
{
    dir_fresh();
    init_store();
    struct ccz_kms_store *s = open_store();
    fix_populate(s);
    ccz_kms_store_free(s);
    copy_db("kms.sqlite", "good.sqlite");
    const struct {
        int64_t first, last, shift;
        const char *where;
    } cases[] = {
        {1, 1000, 0, "kms:audit-end"}, /* all of it: consistent in itself */
        {3, 3, 0, "kms:audit-chain"}, /* one line: right in itself, not what the next one follows */
        {3, 1000, 1, "kms:audit-chain"}, /* a gap in the numbers */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        copy_db("good.sqlite", "kms.sqlite");
        rewrite_chain(cases[i].first, cases[i].last, cases[i].shift);
        struct ccz_err err;
        CHECK(try_open(&err) == CCZ_E_SIG && strcmp(err.where, cases[i].where) == 0);
    }
}

/* While the KMS runs, each row is checked as it is used. */
static void test_tamper_live(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    struct ccz_err err = {0};
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK);
    CHECK(cczi_kms_db_exec(
              &s->db, "UPDATE policy SET json = CAST(json || ' ' AS BLOB) WHERE name = 'server'",
              NULL) == CCZ_OK);
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_E_SIG);
    CHECK(strcmp(err.where, "kms:row-mac") == 0);
    CHECK(cczi_kms_db_exec(&s->db, "UPDATE admin SET roles = 15 WHERE roles = 1", NULL) == CCZ_OK);
    CHECK(fix_call(NULL, s, FIX_AUDITOR, "Status", (struct ccz_span){0}, &err) == CCZ_E_SIG);
    CHECK(strcmp(err.where, "kms:row-mac") == 0);
    CHECK(cczi_kms_db_exec(&s->db, "UPDATE item SET sealed = CAST(sealed || x'00' AS BLOB)",
                           NULL) == CCZ_OK);
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "secret/db/password", 0, &err) == CCZ_E_SIG);
    CHECK(strcmp(err.where, "kms:row-mac") == 0);
    ccz_kms_store_free(s);
}

/* What an administrator is shown is held to its MAC as what a workload is given. */
static void test_tamper_shown(void)
{
    static const struct {
        const char *sql;
        bool described;    /* also by Describe of key/model */
        const char *where; /* NULL = "kms:row-mac" */
    } cases[] = {
        {"UPDATE item SET enabled = 0 WHERE name = 'model'", true, NULL},
        {"UPDATE item SET metadata = x'7b7d' WHERE name = 'model'", true, NULL},
        {"UPDATE item SET created_s = created_s + 1 WHERE name = 'model'", true, NULL},
        {"UPDATE item SET expires_s = 1 WHERE name = 'model'", true, NULL},
        {"UPDATE item SET delete_after_s = 1 WHERE name = 'model'", true, NULL},
        {"UPDATE item SET alg = 'aes-256' WHERE name = 'model'", true, NULL},
        {"UPDATE item SET version = 7 WHERE name = 'model'", true, "kms:row-set"},
        {"UPDATE binding SET policy = 'other' WHERE name = 'model'", true, NULL},
        {"UPDATE policy SET created_s = created_s + 1 WHERE name = 'server'", false, NULL},
        {"UPDATE policy SET name = 'renamed' WHERE name = 'server'", false, NULL},
    };
    struct cczi_msg_describe_req describe = {.item = fix_str("key/model")};
    struct cczi_msg_name from = {{0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ccz_kms_store *s = fix_memory_store();
        struct ccz_err err = {0};
        fix_populate(s);
        CHECK(cczi_kms_db_exec(&s->db, cases[i].sql, &err) == CCZ_OK);
        ccz_rc rc =
            fix_msg(NULL, s, FIX_AUDITOR, "Describe", cczi_msg_describe_req, &describe, &err);
        const char *where = cases[i].where ? cases[i].where : "kms:row-mac";
        CHECK(cases[i].described ? rc == CCZ_E_SIG && strcmp(err.where, where) == 0 : rc == CCZ_OK);
        err = (struct ccz_err){0};
        CHECK(fix_msg(NULL, s, FIX_AUDITOR, "List", cczi_msg_name, &from, &err) == CCZ_E_SIG &&
              strcmp(err.where, where) == 0);
        ccz_kms_store_free(s);
    }
}

/* The whole of it is put back to an earlier state while the KMS runs: consistent in itself, but not what it has seen. */
static void test_rolled_back(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    struct ccz_err err = {0};
    CHECK(cczi_kms_db_exec(&s->db, "CREATE TABLE kept AS SELECT head FROM meta", NULL) == CCZ_OK);
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK);
    CHECK(cczi_kms_db_exec(&s->db,
                           "UPDATE meta SET head = (SELECT head FROM kept);"
                           "DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)",
                           NULL) == CCZ_OK);
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_E_SIG);
    CHECK(strcmp(err.where, "kms:rolled-back") == 0 && err.hint[0]);
    CHECK(ccz_kms_store_check(NULL, s, &err) == CCZ_E_SIG &&
          strcmp(err.where, "kms:rolled-back") == 0);
    ccz_kms_store_free(s);
}

/* No value and no master key in any file of the database. */
static void test_no_plaintext(void)
{
    dir_fresh();
    init_store();
    struct ccz_kms_store *s = open_store();
    fix_populate(s);
    const char *files[] = {"kms.sqlite", "kms.sqlite-wal"};
    struct ccz_buf master;
    ccz_buf_init(&master, 64);
    CHECK(ccz_file_read(&master, dir_path("master.key"), NULL) == CCZ_OK);
    bool seen_policy = false;
    for (size_t i = 0; i < 2; i++) {
        struct ccz_buf b;
        ccz_buf_init(&b, 16 << 20);
        CHECK(ccz_file_read(&b, dir_path(files[i]), NULL) == CCZ_OK);
        CHECK(memmem(b.ptr, b.size, "0123456789abcdef", 16) == NULL);
        CHECK(memmem(b.ptr, b.size, "correct horse", 13) == NULL);
        CHECK(memmem(b.ptr, b.size, master.ptr, 32) == NULL);
        seen_policy = seen_policy || memmem(b.ptr, b.size, fix_policy, strlen(fix_policy)) != NULL;
        ccz_buf_free(&b);
    }
    CHECK(seen_policy); /* the search does find what is there in clear */
    ccz_buf_free(&master);
    ccz_kms_store_free(s);
}

/* What a copy has is what was there when it was made; one that cannot be made leaves the last one, and nothing beside it. */
static void test_backup(void)
{
    dir_fresh();
    init_store();
    struct ccz_kms_store *s = open_store();
    struct ccz_err err = {0};
    fix_populate(s);
    char copy[400];
    (void)snprintf(copy, sizeof(copy), "%s", dir_path("copy/kms.sqlite"));
    CHECK(cczi_kms_db_copy(copy, &s->db, &err) == CCZ_E_IO ||
          err.rc == CCZ_E_NOT_FOUND); /* no such folder */
    CHECK(strncmp(err.where, "file:", 5) == 0);
    CHECK(mkdir(dir_path("copy"), 0700) == 0);
    CHECK(cczi_kms_db_copy(copy, &s->db, &err) == CCZ_OK && mode_of(copy) == 0600);
    struct ccz_kms_check then, now;
    CHECK(ccz_kms_store_check(&then, s, &err) == CCZ_OK && then.versions > 0);
    CHECK(fix_create_key(s, "later", "aes-256", (struct ccz_span){0}, "server", &err) == CCZ_OK);
    CHECK(ccz_kms_store_check(&now, s, &err) == CCZ_OK && now.versions == then.versions + 1);

    struct rlimit was, small;
    CHECK(getrlimit(RLIMIT_FSIZE, &was) == 0);
    small = was;
    small.rlim_cur = 20000;
    (void)signal(SIGXFSZ, SIG_IGN); /* as the daemon does: the write fails instead */
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHECK(cczi_kms_db_copy(copy, &s->db, &err) == CCZ_E_IO);
    CHECK(setrlimit(RLIMIT_FSIZE, &was) == 0);
    CHECK(strcmp(err.where, "kms:store-full") == 0);
    CHECK(unlink(copy) == 0 && rmdir(dir_path("copy")) == 0); /* there was nothing else in it */
    CHECK(mkdir(dir_path("copy"), 0700) == 0);

    CHECK(cczi_kms_db_copy(copy, &s->db, &err) == CCZ_OK);
    struct ccz_kms_backend none = *s->db.ops; /* one with tools of its own */
    none.copy = NULL;
    struct cczi_kms_db other = {.ops = &none, .db = s->db.db};
    CHECK(cczi_kms_db_copy(copy, &other, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "kms:backup") == 0 && err.hint[0]);
    ccz_kms_store_free(s);
    CHECK(rename(dir_path("master.key"), dir_path("copy/master.key")) == 0);
    const struct ccz_kms_state restored = {.dir = dir_path("copy")};
    CHECK(ccz_kms_store_open(&s, &restored, &err) == CCZ_OK);
    CHECK(ccz_kms_store_check(&then, s, &err) == CCZ_OK && then.versions == now.versions);
    ccz_kms_store_free(s);
}

static const struct ccz_test tests[] = {
    {"kms.names", test_names},
    {"kms.seal", test_seal},
    {"kms.head", test_head},
    {"kms.init", test_init},
    {"kms.init_interrupted", test_init_interrupted},
    {"kms.admins", test_admins},
    {"kms.tamper", test_tamper},
    {"kms.chain_rewritten", test_chain_rewritten},
    {"kms.tamper_live", test_tamper_live},
    {"kms.tamper_shown", test_tamper_shown},
    {"kms.rolled_back", test_rolled_back},
    {"kms.no_plaintext", test_no_plaintext},
    {"kms.backup", test_backup},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
