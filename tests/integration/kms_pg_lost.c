/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that are lost between the store and PostgreSQL; cases of kms_pg_cases.c. */
#define _GNU_SOURCE
#include "kms_pg_fixture.h"
#include "kms_pg_proxy.h"

static struct fix_batch g_batch;

/* The connection is cut before COMMIT reaches the server, or after it was done and before its answer arrives: either
 * way each call is done exactly once and answered. */
void pg_test_commit_cut(void)
{
    fresh();
    init();
    start_proxy(g_dir);
    struct ccz_kms_store *s = open_at(g_proxy_info);
    fix_populate(s);
    static const enum cut cuts[] = {BEFORE, AFTER, BEFORE, AFTER};
    for (int i = 0; i < 4; i++) {
        struct ccz_kms_check before = fix_check(s), after;
        int seen = g_cuts;
        g_cut = cuts[i];
        fix_batch_begin(&g_batch);
        char name[3][16];
        for (int k = 0; k < 3; k++) {
            (void)snprintf(name[k], sizeof(name[k]), "c%d/%d", i, k);
            fix_batch_put_secret(&g_batch, name[k], "value", "server");
        }
        fix_batch_release(&g_batch, FIX_STALE, "key/model");
        fix_batch_run(&g_batch, s);
        CHECK(g_cuts == seen + 1 && g_cut == PASS);
        for (int k = 0; k < 3; k++) /* "exists" would be a second try of what was done already */
            CHECK(g_batch.entry[k].rc == CCZ_OK && g_batch.entry[k].answer.size);
        CHECK(g_batch.entry[3].rc == CCZ_E_DENIED);
        fix_batch_end(&g_batch);
        after = fix_check(s);
        CHECK(after.versions == before.versions + 3 && after.audit_lines == before.audit_lines + 4);
    }
    ccz_kms_store_free(s);
}

/* The server stays away after COMMIT was sent: nobody knows, so nothing is answered. */
void pg_test_commit_unknown(void)
{
    struct ccz_err err = {0};
    fresh();
    init();
    start_proxy(g_dir);
    struct ccz_kms_store *s = open_at(g_proxy_info);
    fix_populate(s);
    struct ccz_buf out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    uint64_t lines = fix_check(s).audit_lines;
    g_cut = AFTER_AND_AWAY;
    CHECK(fix_release(&out, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_E_UNAVAILABLE &&
          !out.size);
    CHECK(strcmp(err.where, "kms:commit-unknown") == 0 && err.hint[0]);
    CHECK(fix_release(&out, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_E_UNAVAILABLE &&
          !out.size);
    CHECK(strcmp(err.where, "kms:store-connect") == 0);
    g_cut =
        PASS; /* it is back: the line of the first call is there, none of those that were refused */
    ccz_rc rc = CCZ_E_UNAVAILABLE; /* at once, for a while: nobody waits for attempts of others */
    for (int i = 0; i < 200 && rc == CCZ_E_UNAVAILABLE; i++) {
        CHECK(strcmp(err.where, "kms:store-connect") == 0 && !out.size);
        (void)poll(NULL, 0, 50);
        rc = fix_release(&out, s, FIX_WORKLOAD, "key/model", 0, &err);
    }
    CHECK(rc == CCZ_OK && out.size);
    CHECK(fix_check(s).audit_lines == lines + 2);
    ccz_buf_free(&out);
    ccz_kms_store_free(s);
}

/* A server that keeps its connection and does not answer a statement inside a transaction: that is given up, what it holds is free
 * again, and nothing of it was done. */
void pg_test_silent(void)
{
    struct ccz_err err = {0};
    char info[900];
    fresh();
    init();
    start_proxy(g_dir);
    (void)snprintf(info, sizeof(info),
                   "%s options='-c lock_timeout=400 -c idle_in_transaction_session_timeout=1s'",
                   g_proxy_info);
    struct ccz_kms_store *s = open_at(info);
    fix_populate(s);
    struct ccz_buf out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    static const enum cczi_kms_sql at[] = {CCZI_SQL_BIND_GET, CCZI_SQL_AUDIT_PUT,
                                           CCZI_SQL_HEAD_SET};
    for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++) {
        CHECK(fix_release(&out, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK); /* prepared */
        uint64_t lines = fix_check(s).audit_lines;
        (void)snprintf(g_silent_at, sizeof(g_silent_at), "s%d", (int)at[i]);
        g_cut = SILENT;
        (void)alarm(60);
        ccz_rc rc = fix_release(&out, s, FIX_WORKLOAD, "key/model", 0, &err);
        CHECK(g_cut == PASS);
        for (int n = 0; rc != CCZ_OK && n < 100;
             n++) { /* it was told in time for another try, or not */
            CHECK(strcmp(err.where, n ? "kms:store-locked" : "kms:store-timeout") == 0 &&
                  !out.size);
            rc = fix_release(&out, s, FIX_WORKLOAD, "key/model", 0, &err);
        }
        (void)alarm(0);
        CHECK(rc == CCZ_OK && out.size && g_asked == (int)i + 1);
        CHECK(fix_check(s).audit_lines == lines + 1);
    }
    ccz_buf_free(&out);
    ccz_kms_store_free(s);
}

/* It stands still after a COMMIT, for new connections as well: asking what became of it has an end. */
void pg_test_commit_silent(void)
{
    struct ccz_err err = {0};
    char info[900];
    fresh();
    init();
    start_proxy(g_dir);
    (void)snprintf(info, sizeof(info), "%s connect_timeout=2 options='-c lock_timeout=400'",
                   g_proxy_info);
    struct ccz_kms_store *s = open_at(info);
    fix_populate(s);
    struct ccz_buf out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    s->resolve_ms = 0; /* asks once in any case */
    g_cut = AFTER_AND_SILENT;
    (void)alarm(120);
    CHECK(fix_release(&out, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_E_UNAVAILABLE &&
          !out.size);
    (void)alarm(0);
    CHECK(strcmp(err.where, "kms:commit-unknown") == 0);
    CHECK(g_asked == 2); /* the COMMIT, and the one question */
    ccz_buf_free(&out);
    ccz_kms_store_free(s);
}
