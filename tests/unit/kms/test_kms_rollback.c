/* SPDX-License-Identifier: Apache-2.0 */
/* Several servers on one database, and what is in it put back to an earlier state: by all means, and also after it grew again. */
#define _GNU_SOURCE
#include "kms/kms_dir.h"

static struct ccz_err err;

static void sql(struct ccz_kms_store *s, const char *text)
{
    CHECK(cczi_kms_db_exec(&s->db, text, &err) == CCZ_OK);
}

/* Another server on the database of @p a: what it has seen is its own. It takes no counter along and signs nothing. */
static struct ccz_kms_store other_server(const struct ccz_kms_store *a)
{
    struct ccz_kms_store b = *a;
    b.lines = (struct cczi_kms_lines){0};
    b.signer = (struct cczi_kms_signer){0};
    b.epoch = NULL;
    b.on_commit = NULL;
    b.on_batch = NULL;
    return b;
}

/* The clock of these tests stands: releases of the same item are the same lines. */
static void release_of(struct ccz_kms_store *s, const char *item, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        CHECK(fix_release(NULL, s, FIX_WORKLOAD, item, 0, &err) == CCZ_OK);
}

static void release(struct ccz_kms_store *s, unsigned times)
{
    release_of(s, "key/model", times);
}

static ccz_rc try_release(struct ccz_kms_store *s)
{
    err = (struct ccz_err){0};
    return fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, &err);
}

/* Lines and head only: the calls of these tests change no other row. */
static void keep(struct ccz_kms_store *s)
{
    sql(s, "CREATE TABLE kept_meta AS SELECT head FROM meta;"
           "CREATE TABLE kept_audit AS SELECT max(seq) AS seq FROM audit");
}

static void put_back(struct ccz_kms_store *s)
{
    sql(s, "UPDATE meta SET head = (SELECT head FROM kept_meta);"
           "DELETE FROM audit WHERE seq > (SELECT seq FROM kept_audit)");
}

static void test_forked_live(void)
{
    struct ccz_kms_store *a = fix_memory_store();
    fix_populate(a);
    struct ccz_kms_store b = other_server(a);
    release(&b, 1);
    release(a, 2); /* lines of others are no fork */
    release(&b, 1);
    keep(a);
    release_of(a, "secret/db/password", 3);
    struct cczi_kms_mark seen = {.seq = a->seen_seq};
    memcpy(seen.hash, a->seen_hash, 32);
    put_back(a);
    CHECK(dir_refused(try_release(a), &err, CCZ_E_SIG, "kms:rolled-back"));
    for (unsigned lines = 1; lines <= 6; lines++) { /* shorter, as long, longer */
        release(&b, 1);                             /* which saw none of the three lines */
        ccz_rc rc = try_release(a);
        CHECK(dir_refused(rc, &err, CCZ_E_SIG, lines <= 3 ? "kms:rolled-back" : "kms:forked"));
        CHECK(err.hint[0]);
        CHECK(a->seen_seq == seen.seq && memcmp(a->seen_hash, seen.hash, 32) == 0);
    }
    CHECK(dir_refused(ccz_kms_store_check(NULL, a, &err), &err, CCZ_E_SIG, "kms:forked"));
    cczi_kms_lines_free(&b.lines);
    ccz_kms_store_free(a);
}

/* What the database shows of the lines of others must be what its sealed end covers. */
static void test_lines_of_others(void)
{
    static const struct {
        const char *sql, *where;
    } tampers[] = {
        {"UPDATE audit SET time_s = time_s + 1 WHERE seq = (SELECT max(seq) FROM audit)",
         "kms:audit-chain"},
        {"UPDATE audit SET prev = zeroblob(32) WHERE seq = (SELECT max(seq) - 1 FROM audit)",
         "kms:audit-chain"},
        {"DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)", "kms:audit-end"},
        {"DELETE FROM audit WHERE seq = (SELECT max(seq) - 1 FROM audit)", "kms:audit-chain"},
        {"UPDATE audit SET entry = x'7b7d' WHERE seq = (SELECT max(seq) - 2 FROM audit)",
         "kms:audit-chain"},
    };
    for (size_t i = 0; i < sizeof(tampers) / sizeof(tampers[0]); i++) {
        struct ccz_kms_store *a = fix_memory_store();
        fix_populate(a);
        struct ccz_kms_store b = other_server(a);
        release(&b, 3);
        sql(a, tampers[i].sql);
        CHECK(dir_refused(try_release(a), &err, CCZ_E_SIG, tampers[i].where));
        cczi_kms_lines_free(&b.lines);
        ccz_kms_store_free(a);
    }
}

/* A server that was idle reads what the others wrote before it holds them up; then as always. */
static void test_far_behind(void)
{
    static struct fix_batch batch;
    struct ccz_kms_store *a = fix_memory_store();
    fix_populate(a);
    struct ccz_kms_store b = other_server(a);
    for (unsigned i = 0; i < 17; i++) { /* 17 times 256: more than are read at once */
        fix_batch_begin(&batch);
        for (unsigned k = 0; k < CCZI_KMS_BATCH_MAX; k++)
            fix_batch_release(&batch, FIX_WORKLOAD, "key/model");
        fix_batch_run(&batch, &b);
        CHECK(batch.entry[0].rc == CCZ_OK);
        fix_batch_end(&batch);
    }
    uint64_t end = b.head.seq;
    CHECK(end - a->seen_seq > 4096);
    release(a, 1);
    CHECK(a->head.seq == end + 1);
    keep(a);
    release_of(a, "secret/db/password", 3);
    put_back(a);
    fix_batch_begin(&batch);
    for (unsigned k = 0; k < CCZI_KMS_BATCH_MAX; k++)
        fix_batch_release(&batch, FIX_WORKLOAD, "key/model");
    for (unsigned i = 0; i < 17; i++)
        fix_batch_run(&batch, &b);
    fix_batch_end(&batch);
    CHECK(dir_refused(try_release(a), &err, CCZ_E_SIG, "kms:forked"));
    cczi_kms_lines_free(&b.lines);
    ccz_kms_store_free(a);
}

/* ------------------------------------------------------------------ an answer that is lost */

static struct ccz_kms_backend lossy;
static bool lose_answer, lose_commit;
static struct ccz_kms_store *meanwhile; /* commits before anybody can ask what became of it */
static unsigned meanwhile_releases;

static enum cczi_kms_step lossy_first(void *db, enum cczi_kms_sql sql_no,
                                      const struct cczi_kms_param *params, size_t len)
{
    const struct ccz_kms_backend *real = cczi_kms_sqlite();
    if (sql_no != CCZI_SQL_COMMIT || (!lose_answer && !lose_commit))
        return real->first(db, sql_no, params, len);
    enum cczi_kms_step done =
        real->first(db, lose_commit ? CCZI_SQL_ROLLBACK : CCZI_SQL_COMMIT, params, len);
    real->end(db, lose_commit ? CCZI_SQL_ROLLBACK : CCZI_SQL_COMMIT);
    CHECK(done == CCZI_KMS_STEP_DONE);
    lose_answer = lose_commit = false;
    if (meanwhile)
        release(meanwhile, meanwhile_releases);
    meanwhile = NULL;
    return CCZI_KMS_STEP_FAILED;
}

static ccz_rc lossy_fail(enum cczi_kms_fault *fault, void *db, struct ccz_err *er)
{
    (void)db;
    *fault = CCZI_KMS_FAULT_UNKNOWN;
    return ccz_fail(er, CCZ_E_UNAVAILABLE, "kms:store-lost", 0, "the answer was lost");
}

static void test_commit_resolved(void)
{
    struct ccz_kms_store *a = fix_memory_store();
    fix_populate(a);
    struct ccz_kms_store b = other_server(a);
    lossy = *cczi_kms_sqlite();
    lossy.first = lossy_first;
    lossy.fail = lossy_fail;
    a->db.ops = &lossy;
    uint64_t before = a->head.seq;
    lose_answer = true; /* it was done, and the other server goes on behind it */
    meanwhile = &b;
    meanwhile_releases = 3;
    a->on_batch = NULL;
    release(a, 1);
    CHECK(a->head.seq == before + 1);
    CHECK(a->seen_seq == before + 4); /* it has seen the three, and does not forget them */
    lose_commit = true;               /* it was not done: another line has its number */
    meanwhile = &b;
    meanwhile_releases = 2;
    release_of(a, "secret/db/password", 1);
    CHECK(a->seen_seq == before + 7 && a->head.seq == before + 7);

    /* put back to where its own line was the end */
    keep(a);
    lose_answer = true;
    meanwhile = &b;
    meanwhile_releases = 3;
    release_of(a, "secret/db/password", 1);
    CHECK(a->seen_seq == before + 11 && a->head.seq == before + 8);
    sql(a, "DELETE FROM audit WHERE seq > (SELECT seq FROM kept_audit);"
           "UPDATE meta SET head = (SELECT head FROM kept_meta)");
    struct ccz_kms_store c = other_server(a); /* started after it */
    c.seen_seq = 0;
    release(&c, 2);
    CHECK(dir_refused(try_release(a), &err, CCZ_E_SIG, "kms:rolled-back"));
    cczi_kms_lines_free(&c.lines);
    cczi_kms_lines_free(&b.lines);
    ccz_kms_store_free(a);
}

/* Lines of the process log about an audit line. */
static unsigned logged;
static void count_logged(void *arg, enum ccz_log_level level, const char *module, const char *line)
{
    (void)level;
    (void)module;
    CHECK(strlen(line) < 2000);
    logged += strstr(line, "StillReleased verdict=reject") && strstr(line, "item=key/model") &&
              strstr(line, (const char *)arg);
}

static void put_held(struct ccz_buf *b, const char *item)
{
    const struct cczi_msg_release_req m = {ccz_span_str(item), 1};
    size_t mark = ccz_pb_open(b, CCZI_MSG_REPEATED);
    cczi_msg_put(b, cczi_msg_release_req, &m);
    ccz_pb_close(b, mark);
}

/* An answer that has become "no" leaves an audit line beside the call; the log speaks of it when it is there, and once. */
static void test_still_log(void)
{
    struct ccz_kms_store *a = fix_memory_store();
    struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    char audit[32];
    CCZ_AUTO_BUF held;
    fix_populate(a);
    peer.claims.mrenclave[0] ^= 1;
    ccz_buf_init(&held, 4096);
    (void)snprintf(audit, sizeof(audit), " audit=%llu", (unsigned long long)a->head.seq + 1);
    ccz_log_install(count_logged, audit, CCZ_LOG_DEBUG);
    put_held(&held, "key/model");
    put_held(&held, "policy/server"); /* ends the call, and undoes what it did */
    CHECK(fix_call_as(NULL, a, &peer, "StillReleased", ccz_buf_span(&held), &err) == CCZ_E_FORMAT);
    CHECK(logged == 0);
    (void)snprintf(audit, sizeof(audit), " audit=%llu", (unsigned long long)a->head.seq + 1);
    lossy = *cczi_kms_sqlite();
    lossy.first = lossy_first;
    lossy.fail = lossy_fail;
    a->db.ops = &lossy;
    lose_commit = true; /* the first try comes to nothing */
    ccz_buf_clear(&held);
    put_held(&held, "key/model");
    uint64_t before = a->head.seq;
    CHECK(fix_call_as(NULL, a, &peer, "StillReleased", ccz_buf_span(&held), &err) == CCZ_OK);
    CHECK(!lose_commit && a->head.seq == before + 1 && logged == 1);
    ccz_log_install(NULL, NULL, CCZ_LOG_ERROR);
    ccz_kms_store_free(a);
}

static const struct ccz_test tests[] = {
    {"kms.forked_live", test_forked_live}, {"kms.lines_of_others", test_lines_of_others},
    {"kms.far_behind", test_far_behind},   {"kms.commit_resolved", test_commit_resolved},
    {"kms.still_log", test_still_log},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
