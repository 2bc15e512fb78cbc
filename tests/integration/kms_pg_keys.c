/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, principals and schemas on PostgreSQL; cases of kms_pg_cases.c. */
#define _GNU_SOURCE
#include "kms_pg_fixture.h"

#include <poll.h>

/* ----------------------------------------------------------------- keys that work inside */

/* What was due while no server ran is done once, whichever of two that start together does it; the other goes on. */
void pg_test_rotate_once(void)
{
    enum { KEYS = 12, HOUR_S = 3600 };
    fresh();
    init();
    struct ccz_kms_store *one = open_at(g_info), *two = open_at(g_info);
    char name[16];
    fix_populate(one);
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(name, sizeof(name), "k%d", i);
        const struct cczi_msg_key_req m = {.name = fix_str(name),
                                           .kind = fix_str(i < 2 ? "rsa-2048" : "aes-256-gcm"),
                                           .ops = fix_str(i < 2 ? "sign" : NULL),
                                           .policy = fix_str("server"),
                                           .rotate_every_s = HOUR_S};
        CHECK(use_is(use_make_at(one, &m, FIX_NOW), CCZ_OK, ""));
    }
    struct ccz_kms_check before = fix_check(one);
    /* clocks of two servers are never the same */
    int64_t now_s = FIX_NOW + HOUR_S, other_s = now_s + 7;
    struct ccz_kms_service *a = use_serve(one, &now_s, (struct ccz_kms_quota){0}),
                           *b = use_serve(two, &other_s, (struct ccz_kms_quota){0});
    ccz_kms_service_free(a);
    ccz_kms_service_free(b);
    struct ccz_kms_check after = fix_check(two);
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(name, sizeof(name), "k%d", i);
        CHECK(use_meta(one, name).latest == 2);
    }
    CHECK(after.versions == before.versions + KEYS &&
          after.audit_lines == before.audit_lines + KEYS);
    ccz_kms_store_free(one);
    ccz_kms_store_free(two);
}

/* Whoever is given a role over one server can connect to the other one; who is a stranger stays one. */
void pg_test_new_pin(void)
{
    fresh();
    init();
    struct ccz_kms_store *one = open_at(g_info), *two = open_at(g_info);
    int64_t now_s = FIX_NOW;
    struct ccz_kms_service *a = use_serve(one, &now_s, (struct ccz_kms_quota){0});
    struct ccz_span anne = ccz_span_str("anne's SubjectPublicKeyInfo");
    struct ccz_kms_grant g = {.ns = "*", .roles = CCZ_KMS_ROLE_AUDITOR, .label = "Anne"};
    struct ccz_err err = {0};
    CHECK(ccz_sha256(g.principal, anne) == CCZ_OK);
    CHECK(ccz_kms_service_pin(a, anne, &err) == CCZ_E_DENIED &&
          strcmp(err.where, "kms:admin-unknown") == 0);
    CHECK(ccz_kms_store_grant(two, &g, FIX_NOW, &err) == CCZ_OK);
    ccz_rc rc = CCZ_E_DENIED; /* it looks once a second */
    for (int i = 0; rc != CCZ_OK && i < 200; i++) {
        rc = ccz_kms_service_pin(a, anne, &err);
        if (rc != CCZ_OK)
            (void)poll(NULL, 0, 50);
    }
    CHECK(rc == CCZ_OK);
    CHECK(ccz_kms_service_pin(a, ccz_span_str("another key"), &err) == CCZ_E_DENIED);
    ccz_kms_service_free(a);
    ccz_kms_store_free(one);
    ccz_kms_store_free(two);
}

/* A version that one server makes, the other uses; what one disables, the other refuses, though it has it open. */
void pg_test_keys(void)
{
    fresh();
    init();
    struct ccz_kms_store *one = open_at(g_info), *two = open_at(g_info);
    char first[512], second[512];
    fix_populate(one);
    CHECK(use_is(use_make(one, "k", "aes-256-gcm", NULL, "server"), CCZ_OK, ""));
    CHECK(use_is(use_encrypt(first, sizeof(first), one, "k", "x"), CCZ_OK, ""));
    CHECK(use_is(use_decrypt(two, "k", first, "x"), CCZ_OK, ""));
    CHECK(use_is(use_rotate(two, "k"), CCZ_OK, ""));
    CHECK(use_is(use_encrypt(second, sizeof(second), one, "k", "y"), CCZ_OK, ""));
    CHECK(strncmp(second, "ccz1:2:", 7) == 0);
    CHECK(use_is(use_change(one, "Disable", "k", 0, FIX_NOW), CCZ_OK, ""));
    CHECK(use_is(use_decrypt(two, "k", first, "x"), CCZ_E_DENIED, "kms:key-disabled"));
    CHECK(use_is(use_change(one, "Enable", "k", 0, FIX_NOW), CCZ_OK, ""));
    CHECK(use_is(use_bind(one, "k", "decrypt", "other"), CCZ_OK, ""));
    CHECK(use_is(use_decrypt(two, "k", first, "x"), CCZ_E_POLICY, "policy:mrenclave"));
    /* metadata that go away behind our back do not make it a key that is released */
    sql("DELETE FROM key_meta WHERE name = 'k'");
    CHECK(use_is(fix_release(NULL, two, FIX_WORKLOAD, "key/k", 0, &use_err), CCZ_E_SIG,
                 "kms:key-meta"));
    CHECK(ccz_kms_store_check(NULL, one, &use_err) == CCZ_E_SIG &&
          strcmp(use_err.where, "kms:row-set") == 0);
    ccz_kms_store_free(one);
    ccz_kms_store_free(two);
}

static void read_vector(struct ccz_buf *out, const char *name)
{
    char path[400];
    (void)snprintf(path, sizeof(path), "%s/%s", must_env("CCZ_TEST_VECTORS"), name);
    ccz_buf_init(out, 1 << 20);
    CHECK(ccz_file_read(out, path, NULL) == CCZ_OK);
}

/* The tables of schema 2 that a server of that schema left. */
static void old_tables(void)
{
    struct ccz_buf b;
    char path[300];
    fresh();
    (void)snprintf(path, sizeof(path), "%s/master.key", g_dir);
    read_vector(&b, "master.key");
    CHECK(ccz_file_write(path, ccz_buf_span(&b), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    ccz_buf_free(&b);
    read_vector(&b, "postgresql.sql");
    sql(ccz_buf_str(&b));
    ccz_buf_free(&b);
}

void pg_test_migrate(void)
{
    struct ccz_err err = {0};
    struct ccz_kms_store *s;
    struct ccz_kms_state st = state_at(g_info);
    old_tables();
    CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_E_UNSUPPORTED &&
          strcmp(err.where, "kms:schema") == 0);
    sql("UPDATE admin SET role = 2 WHERE role = 1");
    CHECK(ccz_kms_migrate(&st, FIX_NOW, &err) == CCZ_E_SIG &&
          strcmp(err.where, "kms:row-mac") == 0);
    old_tables();
    sql("DELETE FROM binding WHERE name = 'model'");
    CHECK(ccz_kms_migrate(&st, FIX_NOW, &err) == CCZ_E_SIG &&
          strcmp(err.where, "kms:row-set") == 0);
    old_tables();
    CHECK(ccz_kms_migrate(&st, FIX_NOW, &err) == CCZ_OK);
    CHECK(ccz_kms_migrate(&st, FIX_NOW, &err) == CCZ_E_UNSUPPORTED);
    s = open_at(g_info);
    struct ccz_kms_check c = fix_check(s);
    CHECK(c.versions == 5 && c.policies == 2 && c.bindings == 3 && c.admins == 2 &&
          c.audit_lines == 13);
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK);
    CHECK(fix_put_policy(s, "team/p", fix_policy, false, &err) == CCZ_OK);
    fix_rows(s);
    ccz_kms_store_free(s);
    ccz_kms_store_free(open_at(g_info));
}

/* Schemas 3 and 4 had fewer tables and, but for heads, no other rows: a store of today without the new ones is one of then. Schema 5
 * had no heads of sets of reference values. */
static void migrate_from(int schema, const char *older)
{
    struct ccz_err err = {0};
    struct ccz_kms_store *s;
    struct ccz_kms_state st = state_at(g_info);
    uint8_t id[2][CCZ_KMS_INSTANCE_SIZE];
    fresh();
    init();
    s = open_at(g_info);
    fix_populate(s);
    if (schema == 5)
        fix_rows(s);
    struct ccz_kms_check before = fix_check(s);
    ccz_kms_store_instance(id[0], s);
    fix_drop_heads(s, schema == 5 ? CCZI_KMS_REFERENCE : 0);
    ccz_kms_store_free(s);
    sql(older);
    CHECK(ccz_kms_store_open(&s, &st, &err) == CCZ_E_UNSUPPORTED &&
          strcmp(err.where, "kms:schema") == 0);
    sql("UPDATE policy SET created_s = 0");
    CHECK(ccz_kms_migrate(&st, FIX_NOW, &err) == CCZ_E_SIG &&
          strcmp(err.where, "kms:row-mac") == 0);
    char back[64];
    (void)snprintf(back, sizeof(back), "UPDATE policy SET created_s = %d", FIX_NOW);
    sql(back);
    CHECK(ccz_kms_migrate(&st, FIX_NOW, &err) == CCZ_OK);
    CHECK(ccz_kms_migrate(&st, FIX_NOW, &err) == CCZ_E_UNSUPPORTED);
    s = open_at(g_info);
    ccz_kms_store_instance(id[1], s);
    struct ccz_kms_check after = fix_check(s);
    CHECK(after.item_heads == before.item_heads && after.item_heads > 3);
    CHECK(memcmp(id[0], id[1], sizeof(id[0])) == 0 && after.versions == before.versions &&
          after.policies == before.policies && after.audit_lines == before.audit_lines + 1);
    if (schema != 5)
        fix_rows(s);
    CHECK(fix_check(s).references == 1 && fix_check(s).raw_evidence == 1);
    ccz_kms_store_free(s);
    ccz_kms_store_free(open_at(g_info));
}

void pg_test_migrate_3(void)
{
    migrate_from(3, "DROP TABLE item_head; DROP TABLE reference; DROP TABLE raw_evidence;"
                    " UPDATE kms_schema SET version = 3");
}

void pg_test_migrate_4(void)
{
    migrate_from(4, "DROP TABLE item_head; UPDATE kms_schema SET version = 4");
}

void pg_test_migrate_5(void)
{
    migrate_from(5, "UPDATE kms_schema SET version = 5");
}
