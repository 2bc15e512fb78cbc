/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KMS_HOOK_H
#define KMS_HOOK_H
/* Somebody who may write to the database of a running store ("the DBA"), and a back end that loses answers. */
#include "kms/kms_dir.h"
#include "kms/past.h"

static struct ccz_err err; /* of the last call */

static inline void sql(struct ccz_kms_store *s, const char *text)
{
    err = (struct ccz_err){0};
    if (cczi_kms_db_exec(&s->db, text, &err) != CCZ_OK)
        fprintf(stderr, "%s: %s\n", text, err.msg);
    CHECK(err.rc == CCZ_OK);
}

static inline bool set_refused(struct ccz_kms_store *s)
{
    err = (struct ccz_err){0};
    return dir_refused(ccz_kms_store_check(NULL, s, &err), &err, CCZ_E_SIG, "kms:row-set");
}

/* As a server that has seen no row yet. */
static inline void forget(struct ccz_kms_store *s)
{
    cczi_kms_past_free(s->past);
    CHECK(cczi_kms_past_new(&s->past) == CCZ_OK);
}

static inline ccz_rc bind(struct ccz_kms_store *s, const char *policy)
{
    struct cczi_msg_bind_req m = {.item = ccz_span_str("key/model"),
                                  .policy = ccz_span_str(policy)};
    return fix_msg(NULL, s, FIX_ADMIN, "Bind", cczi_msg_bind_req, &m, &err);
}

static inline ccz_rc bind_other(struct ccz_kms_store *s)
{
    return bind(s, "other");
}

static inline ccz_rc dismiss(struct ccz_kms_store *s)
{
    uint8_t spki[32];
    fix_spki(spki, FIX_AUDITOR);
    return ccz_kms_store_set_admin(s, spki, CCZ_KMS_ROLE_NONE, FIX_NOW, &err);
}

/* A back end in front of SQLite: loses the answer of a COMMIT, or fails it, and runs the DBA's statement before a BEGIN. */
static struct {
    struct ccz_kms_backend ops;
    const struct ccz_kms_backend *real;
    enum { ANSWERS, LOSE_DONE, LOSE_UNDONE, FULL } commit; /* of the next COMMIT */
    bool lost, unknown;
    bool away;                   /* no connection after it was lost */
    unsigned asked;              /* for how many statements there was none */
    struct ccz_kms_store *forge; /* its line, as far as columns go, once the COMMIT was undone */
    char line[256];
    uint8_t binding[32]; /* MAC of the binding that was written last */
    const char *sql;
    unsigned begins;         /* to let pass before `sql` is run */
    enum cczi_kms_sql on;    /* or the statement that it is run before; BEGIN = none */
    enum cczi_kms_sql count; /* this one; BEGIN = none */
    unsigned counted;
} h;

static inline enum cczi_kms_step hook_first(void *db, enum cczi_kms_sql q,
                                            const struct cczi_kms_param *p, size_t n)
{
    bool begin = q == CCZI_SQL_BEGIN || q == CCZI_SQL_BEGIN_READ;
    h.asked += h.lost && h.away;
    h.counted += h.count && q == h.count;
    if (h.lost && h.away)
        return CCZI_KMS_STEP_FAILED;
    if (h.sql && (h.on ? q == h.on : begin && h.begins-- == 0)) {
        CHECK(h.real->exec(db, h.sql, &err) == CCZ_OK);
        h.sql = NULL;
    }
    if (q == CCZI_SQL_BIND_PUT) {
        CHECK(p[n - 1].bytes.size == sizeof(h.binding));
        memcpy(h.binding, p[n - 1].bytes.ptr, sizeof(h.binding));
    }
    if (q != CCZI_SQL_COMMIT || h.commit == ANSWERS)
        return h.real->first(db, q, p, n);
    bool done = h.commit == LOSE_DONE;
    h.lost = true;
    h.unknown = h.commit != FULL;
    enum cczi_kms_step st = h.real->first(db, done ? CCZI_SQL_COMMIT : CCZI_SQL_ROLLBACK, NULL, 0);
    h.real->end(db, done ? CCZI_SQL_COMMIT : CCZI_SQL_ROLLBACK);
    CHECK(st == CCZI_KMS_STEP_DONE);
    h.commit = ANSWERS;
    if (h.forge) {
        char hex[65];
        ccz_hex(hex, h.forge->head.hash, 32);
        (void)snprintf(h.line, sizeof(h.line),
                       "INSERT INTO audit VALUES (%llu, 0, x'', zeroblob(32), x'%s')",
                       (unsigned long long)h.forge->head.seq, hex);
        h.sql = h.line;
        h.forge = NULL;
    }
    return CCZI_KMS_STEP_FAILED;
}

static inline ccz_rc hook_fail(enum cczi_kms_fault *fault, void *db, struct ccz_err *e)
{
    if (!h.lost)
        return h.real->fail(fault, db, e);
    h.lost = h.away;
    *fault = h.unknown ? CCZI_KMS_FAULT_UNKNOWN
             : h.away  ? CCZI_KMS_FAULT_AGAIN
                       : CCZI_KMS_FAULT_NONE;
    h.unknown = false;
    return ccz_fail(e, CCZ_E_UNAVAILABLE, "test:lost", 0, "the hook lost the answer");
}

static inline bool hook_in_tx(const void *db)
{
    return !(h.lost && h.away) && h.real->in_tx(db);
}

static inline void hook(struct ccz_kms_store *s)
{
    memset(&h, 0, sizeof(h));
    h.real = s->db.ops;
    h.ops = *h.real;
    h.ops.first = hook_first;
    h.ops.fail = hook_fail;
    h.ops.in_tx = hook_in_tx;
    s->db.ops = &h.ops;
}

#endif
