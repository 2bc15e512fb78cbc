/* SPDX-License-Identifier: Apache-2.0 */
/* State folder, transactions, integrity of rows. */
#define _POSIX_C_SOURCE 200809L
#include "ahead.h"
#include "kms_priv.h"
#include "looks.h"
#include "memo.h"
#include "past.h"
#include "quota.h"
#include "use_priv.h"

#include "master_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PATH_SIZE = 4096,
    CATCH_UP_LINES = 4096, /* of other servers, read while all of them wait */
    RETRY_FIRST_MS =
        25 /* doubled each time: CCZI_KMS_RETRIES of them last 3 s, a restart of PostgreSQL */
};

struct paths {
    char db[PATH_SIZE];
};

static ccz_rc paths_of(struct paths *out, const struct ccz_kms_state *state, struct ccz_err *err)
{
    int n = snprintf(out->db, PATH_SIZE, "%s/kms.sqlite", state->dir);
    if (n < 0 || n >= PATH_SIZE || (state->master_key && strlen(state->master_key) >= PATH_SIZE))
        return ccz_fail(err, CCZ_E_LIMIT, "kms:path", 0,
                        "the path of the state folder is too long");
    return CCZ_OK;
}

/* -------------------------------------------------------------------- transactions */

/* Never a step back: the end of one's own transaction may be behind what another server was seen to add. */
static void remember_end(struct ccz_kms_store *s)
{
    if (s->head.seq < s->seen_seq)
        return;
    s->seen_seq = s->head.seq;
    memcpy(s->seen_hash, s->head.hash, 32);
}

/* This process has seen a later state: what is there now is an older one, of another copy or replica. Or one that went
 * back and grew again by lines of others: then it does not continue what was seen. */
static ccz_rc not_older(struct ccz_kms_store *s, struct ccz_err *err)
{
    bool older = s->head.seq < s->seen_seq ||
                 (s->head.seq == s->seen_seq && !ccz_ct_eq(s->head.hash, s->seen_hash, 32));
    if (older && s->seen_seq) {
        ccz_refuse_num(err, CCZ_E_SIG, "kms:rolled-back", (int64_t)s->head.seq,
                       (int64_t)s->seen_seq);
        return cczi_kms_hint(err, CCZ_E_SIG);
    }
    if (s->seen_seq && s->head.seq > s->seen_seq) {
        bool continues;
        ccz_rc rc = cczi_kms_audit_holds(&continues, s, s->seen_seq, s->seen_hash, err);
        if (rc != CCZ_OK)
            return rc;
        if (!continues) {
            (void)ccz_fail(err, CCZ_E_SIG, "kms:forked", (int64_t)s->seen_seq,
                           "audit line %llu is another one than this server has seen",
                           (unsigned long long)s->seen_seq);
            return cczi_kms_hint(err, CCZ_E_SIG);
        }
    }
    remember_end(s);
    return CCZ_OK;
}

ccz_rc cczi_kms_settle(struct ccz_kms_store *s, struct ccz_err *err)
{
    if (!s->on_commit || s->settled_seq == s->head.seq)
        return CCZ_OK;
    ccz_rc rc = s->on_commit(s->on_commit_arg, &s->head, err);
    if (rc == CCZ_OK)
        s->settled_seq = s->head.seq;
    return rc;
}

static ccz_rc head_load(struct ccz_kms_store *s, enum cczi_kms_sql how, struct ccz_err *err)
{
    uint8_t key_check[CCZI_KMS_KEY_CHECK_SIZE];
    struct cczi_q q = cczi_q_start(&s->db, how);
    ccz_rc rc = CCZ_OK;
    bool found = cczi_q_row(&q);
    if (found) {
        cczi_q_col_bytes(key_check, sizeof(key_check), &q, 0);
        /* a master key that is not the one of this store would fail everywhere, and hide why */
        if (!ccz_ct_eq(key_check, s->sealer.key_check, sizeof(key_check))) {
            ccz_refuse_bytes(err, CCZ_E_SIG, "kms:master-key", s->sealer.key_check,
                             sizeof(key_check), key_check, sizeof(key_check));
            rc = cczi_kms_hint(err, CCZ_E_SIG);
        } else {
            rc = cczi_kms_head_unseal(&s->head, &s->sealer, cczi_q_col(&q, 1), err);
        }
    }
    rc = cczi_q_end_after(&q, rc, err);
    if (rc == CCZ_OK && !found)
        return ccz_fail(err, CCZ_E_SIG, "kms:head", 0, "the record of the set of rows is missing");
    return rc;
}

static ccz_rc statement(struct ccz_kms_store *s, enum cczi_kms_sql sql, struct ccz_err *err)
{
    struct cczi_q q = cczi_q_start(&s->db, sql);
    return cczi_q_end(&q, err);
}

/* @param[out] behind  more than @p most lines of other servers are to be read: nothing was begun */
static ccz_rc begin(bool *behind, struct ccz_kms_store *s, bool writes, uint64_t most,
                    struct ccz_err *err)
{
    *behind = false;
    s->db.fault = CCZI_KMS_FAULT_NONE;
    s->head_dirty = false;
    s->quorums.known_here = false;
    s->quorums.changes = 0;
    s->db.savepoint = CCZI_KMS_SAVEPOINT_NONE;
    cczi_kms_past_undo(s->past, 0);
    const uint64_t counted = s->epoch ? cczi_kms_epoch_last(s->epoch) : 0;
    bool lock = writes && s->db.ops->moves && s->whole_next;
    s->whole = !writes || !s->db.ops->moves || lock;
    ccz_rc rc = statement(s,
                          lock     ? CCZI_SQL_BEGIN_WHOLE
                          : writes ? CCZI_SQL_BEGIN
                                   : CCZI_SQL_BEGIN_READ,
                          err);
    if (rc == CCZ_OK && lock)
        rc = statement(s, CCZI_SQL_LOCK, err);
    if (rc == CCZ_OK)
        rc = head_load(s, writes ? CCZI_SQL_META_GET : CCZI_SQL_META_READ, err);
    s->begun_generation = s->head.generation;
    *behind = rc == CCZ_OK && s->seen_seq && s->head.seq > s->seen_seq &&
              s->head.seq - s->seen_seq > most;
    if (*behind) {
        cczi_kms_rollback(s);
        return CCZ_OK;
    }
    if (rc == CCZ_OK)
        rc = not_older(s, err);
    cczi_kms_lines_start(&s->lines, &s->head.tree);
    if (rc == CCZ_OK && s->epoch)
        rc = cczi_kms_epoch_seen(counted, &s->head, err);
    if (rc == CCZ_OK)
        cczi_kms_watch_begin(s->watch, s->head.hash);
    else
        cczi_kms_rollback(s);
    return rc;
}

ccz_rc cczi_kms_begin(struct ccz_kms_store *s, struct ccz_err *err)
{
    bool behind;
    ccz_rc rc = begin(&behind, s, true, CATCH_UP_LINES, err);
    if (rc != CCZ_OK || !behind)
        return rc;
    rc = cczi_kms_begin_read(s, err); /* which holds up nobody */
    if (rc != CCZ_OK)
        return rc;
    cczi_kms_rollback(s);
    return begin(&behind, s, true, UINT64_MAX, err);
}

ccz_rc cczi_kms_begin_whole(struct ccz_kms_store *s, struct ccz_err *err)
{
    s->whole_next = true;
    return cczi_kms_begin(s, err);
}

ccz_rc cczi_kms_begin_read(struct ccz_kms_store *s, struct ccz_err *err)
{
    bool behind;
    return begin(&behind, s, false, UINT64_MAX, err);
}

void cczi_kms_retry_pause(unsigned n)
{
    int64_t ms = (int64_t)RETRY_FIRST_MS << (n < 16 ? n : 16);
    (void)nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static ccz_rc head_write(struct ccz_kms_store *s, struct ccz_err *err)
{
    CCZ_AUTO_BUF head;
    ccz_buf_init(&head, CCZI_KMS_HEAD_SIZE_MAX);
    ccz_rc rc = cczi_kms_head_seal(&head, &s->sealer, &s->head, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_HEAD_SET);
    cczi_q_blob(&q, ccz_buf_span(&head));
    return cczi_q_end(&q, err);
}

/*
 * No answer came to COMMIT. Its last audit line tells: it is there, or nothing of the transaction is. Asking waits for
 * the row of meta, so that a server process that is still committing has come to an end.
 */
static ccz_rc resolve_commit(struct ccz_kms_store *s, struct ccz_err *err)
{
    struct cczi_kms_head want = s->head;
    struct cczi_kms_lines lines = s->lines; /* asking begins transactions of its own */
    struct cczi_kms_watch *watch = s->watch;
    struct cczi_kms_past *past = s->past;
    s->lines = (struct cczi_kms_lines){0};
    s->watch = NULL;
    s->past = NULL;
    bool there = false;
    ccz_rc rc = CCZ_E_UNAVAILABLE;
    const int64_t until = ccz_mono_ms() + s->resolve_ms;
    for (unsigned n = 0; n == 0 || (n < CCZI_KMS_RETRIES && rc != CCZ_OK && ccz_mono_ms() < until);
         n++) {
        if (n)
            cczi_kms_retry_pause(n);
        rc = cczi_kms_begin(s, err);
        if (rc == CCZ_OK)
            rc = cczi_kms_audit_holds(&there, s, want.seq, want.hash, err);
        cczi_kms_rollback(s);
        if (rc != CCZ_OK && s->db.fault == CCZI_KMS_FAULT_NONE)
            break; /* it answers, and this is its answer */
    }
    cczi_kms_lines_free(&s->lines);
    s->lines = lines;
    s->watch = watch;
    s->past = past;
    if (rc != CCZ_OK) {
        s->unreachable =
            s->db.fault != CCZI_KMS_FAULT_NONE; /* else it has answered, as by "kms:store-locked" */
        if (s->unreachable)
            s->away = *err;
        s->db.fault = CCZI_KMS_FAULT_UNKNOWN;
        ccz_fail(err, CCZ_E_UNAVAILABLE, "kms:commit-unknown", (int64_t)want.seq,
                 "the database went away while audit line %llu was committed",
                 (unsigned long long)want.seq);
        return cczi_kms_hint(err, CCZ_E_UNAVAILABLE);
    }
    s->head = want; /* another server may be ahead already; callers want their own */
    if (there)
        return CCZ_OK;
    s->db.fault = CCZI_KMS_FAULT_AGAIN;
    ccz_fail(err, CCZ_E_UNAVAILABLE, "kms:store-lost", (int64_t)want.seq,
             "the connection was lost before the commit");
    return cczi_kms_hint(err, CCZ_E_UNAVAILABLE);
}

ccz_rc cczi_kms_commit(struct ccz_kms_store *s, struct ccz_err *err)
{
    bool dirty = s->head_dirty;
    ccz_rc rc = dirty ? head_write(s, err) : CCZ_OK;
    if (rc == CCZ_OK) {
        rc = statement(s, CCZI_SQL_COMMIT, err);
        if (rc != CCZ_OK && s->db.fault == CCZI_KMS_FAULT_UNKNOWN)
            rc = dirty ? resolve_commit(s, err) : CCZ_OK; /* nothing was changed: nothing to know */
    }
    if (rc != CCZ_OK && s->db.fault != CCZI_KMS_FAULT_DONE) {
        s->head_dirty = dirty; /* asking has begun others */
        cczi_kms_rollback(s);
        return rc;
    }
    s->head_dirty = false;
    s->whole_next = false;
    cczi_kms_quorums_commit(s);
    cczi_kms_past_commit(s->past);
    cczi_kms_watch_commit(s->watch, s->head.hash);
    if (dirty) {
        remember_end(s);
        atomic_store(&s->takes_nothing, false);
    }
    return rc; /* from here on nothing may say that it was not done: it would be done again */
}

void cczi_kms_rollback(struct ccz_kms_store *s)
{
    if (s->head_dirty) /* what was counted in it never was */
        cczi_kms_quotas_forget(s->quotas);
    s->head_dirty = false;
    cczi_kms_watch_drop(s->watch);
    if (!cczi_kms_db_in_tx(&s->db))
        return;
    enum cczi_kms_fault fault = s->db.fault;
    (void)statement(s, CCZI_SQL_ROLLBACK,
                    NULL); /* if even this fails, there is no commit record: the same */
    s->db.fault = fault;   /* why it came to this stays known */
}

static struct cczi_kms_before as_of_now(const struct ccz_kms_store *s)
{
    return (struct cczi_kms_before){.head = s->head,
                                    .dirty = s->head_dirty,
                                    .lines = s->lines.len,
                                    .noted = cczi_kms_past_noted(s->past),
                                    .quorums = s->quorums};
}

ccz_rc cczi_kms_savepoint(struct ccz_kms_store *s, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_db_savepoint(&s->db, err); /* one around this is outside of it */
    s->before = as_of_now(s);
    return rc == CCZ_OK ? statement(s, CCZI_SQL_SAVEPOINT, err) : rc;
}

void cczi_kms_savepoint_lazy(struct ccz_kms_store *s)
{
    s->before = as_of_now(s);
    s->before.lazy = true;
    s->db.savepoint = CCZI_KMS_SAVEPOINT_DUE;
}

void cczi_kms_savepoint_last(struct ccz_kms_store *s)
{
    if (s->db.savepoint == CCZI_KMS_SAVEPOINT_DUE)
        s->db.savepoint = CCZI_KMS_SAVEPOINT_NONE;
}

/* Whether the database has the savepoint; a lazy one is over with this. */
static bool take_savepoint(struct ccz_kms_store *s)
{
    bool set = !s->before.lazy || s->db.savepoint == CCZI_KMS_SAVEPOINT_SET;
    if (s->before.lazy)
        s->db.savepoint = CCZI_KMS_SAVEPOINT_NONE;
    return set;
}

ccz_rc cczi_kms_savepoint_keep(struct ccz_kms_store *s, struct ccz_err *err)
{
    return take_savepoint(s) ? statement(s, CCZI_SQL_RELEASE, err) : CCZ_OK;
}

ccz_rc cczi_kms_savepoint_undo(struct ccz_kms_store *s, struct ccz_err *err)
{
    s->head = s->before.head;
    s->head_dirty = s->before.dirty;
    /* what was only looked at is known as well after a call that is refused, or each of them would look at all rows again; not what a look
     * began to add up and came to no end with */
    if (s->quorums.changes != s->before.quorums.changes || !s->quorums.known_here)
        s->quorums = s->before.quorums;
    cczi_kms_lines_cut(&s->lines, s->before.lines);
    cczi_kms_past_undo(s->past, s->before.noted);
    cczi_kms_watch_undo(s->watch);
    if (!take_savepoint(s))
        return CCZ_OK;
    ccz_rc rc = statement(s, CCZI_SQL_UNDO, err); /* which leaves it open */
    return rc == CCZ_OK ? statement(s, CCZI_SQL_RELEASE, err) : rc;
}

/* -------------------------------------------------------------------- rows */

ccz_rc cczi_kms_trial_begin(struct ccz_kms_store *s, struct ccz_err *err)
{
    ccz_rc rc = ccz_random(s->trial_key, sizeof(s->trial_key));
    s->trial = rc == CCZ_OK;
    return s->trial ? CCZ_OK : ccz_fail(err, rc, "kms:row-mac", 0, "cannot try this out");
}

void cczi_kms_trial_end(struct ccz_kms_store *s)
{
    s->trial = false;
    ccz_wipe(s->trial_key, sizeof(s->trial_key));
}

/* What a row of a trial has in place of its MAC: says nothing about it to whoever does not have the key. */
static ccz_rc trial_mac(uint8_t mac[CCZI_KMS_ROW_MAC_SIZE], const struct ccz_kms_store *s)
{
    uint8_t full[32];
    ccz_rc rc = ccz_hmac(full, CCZ_SHA256, CCZ_SPAN(s->trial_key, sizeof(s->trial_key)),
                         &CCZ_SPAN(mac, CCZI_KMS_ROW_MAC_SIZE), 1);
    enum { GENERATION_SIZE = 8 }; /* stays: a check reads it */
    if (rc == CCZ_OK)
        memcpy(mac + GENERATION_SIZE, full, CCZI_KMS_ROW_MAC_SIZE - GENERATION_SIZE);
    ccz_wipe(full, sizeof(full));
    return rc;
}

/* @p s  NULL, or a store with a trial: one of its rows is as good */
static ccz_rc check_mac(const struct ccz_kms_store *s, const struct cczi_kms_sealer *sealer,
                        const char *table, const struct ccz_span *fields, size_t len,
                        const uint8_t mac[32], struct ccz_err *err)
{
    uint8_t want[CCZI_KMS_ROW_MAC_SIZE];
    ccz_rc rc = cczi_kms_row_mac(want, sealer, cczi_kms_row_generation(mac), table, fields, len);
    bool same = rc == CCZ_OK && ccz_ct_eq(want, mac, sizeof(want));
    if (rc == CCZ_OK && !same && s && s->trial) {
        rc = trial_mac(want, s);
        same = rc == CCZ_OK && ccz_ct_eq(want, mac, sizeof(want));
    }
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:row-mac", 0, "cannot compute the MAC of a row");
    if (same)
        return CCZ_OK;
    ccz_fail(err, CCZ_E_SIG, "kms:row-mac", 0,
             "a row of table \"%s\" was changed outside of the KMS", table);
    return cczi_kms_hint(err, CCZ_E_SIG);
}

ccz_rc cczi_kms_row_check(const struct ccz_kms_store *s, const char *table,
                          const struct ccz_span *fields, size_t len, const uint8_t mac[32],
                          struct ccz_err *err)
{
    return check_mac(s, &s->sealer, table, fields, len, mac, err);
}

ccz_rc cczi_kms_row_check_by(const struct cczi_kms_sealer *sealer, const char *table,
                             const struct ccz_span *fields, size_t len, const uint8_t mac[32],
                             struct ccz_err *err)
{
    return check_mac(NULL, sealer, table, fields, len, mac, err);
}

ccz_rc cczi_kms_row_add(uint8_t mac[32], struct ccz_kms_store *s, const char *table,
                        const struct ccz_span *fields, size_t len)
{
    s->head_dirty = true;
    ccz_rc rc = cczi_kms_row_mac(mac, &s->sealer, ++s->head.generation, table, fields, len);
    if (rc == CCZ_OK && s->trial)
        rc = trial_mac(mac, s);
    return rc == CCZ_OK ? cczi_kms_set_add(s->head.set, &s->sealer, mac) : rc;
}

ccz_rc cczi_kms_row_remove(struct ccz_kms_store *s, const uint8_t mac[32])
{
    s->head_dirty = true;
    return cczi_kms_set_remove(s->head.set, &s->sealer, mac);
}

ccz_rc cczi_kms_rekey_row(uint8_t mac[32], struct cczi_kms_rekey *k, const struct ccz_kms_store *s,
                          const uint8_t old[32], const char *table, const struct ccz_span *fields,
                          size_t len, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_set_add(k->was, &s->sealer, old);
    if (rc == CCZ_OK)
        rc = cczi_kms_row_mac(mac, k->to, ++k->generation, table, fields, len);
    if (rc == CCZ_OK)
        rc = cczi_kms_set_add(k->set, k->to, mac);
    return rc == CCZ_OK ? rc
                        : ccz_fail(err, rc, "kms:row-mac", 0, "cannot compute the MAC of a row");
}

ccz_rc cczi_kms_set_is(const struct ccz_kms_store *s, const uint8_t set[32], struct ccz_err *err)
{
    if (ccz_ct_eq(set, s->head.set, sizeof(s->head.set)))
        return CCZ_OK;
    (void)ccz_fail(err, CCZ_E_SIG, "kms:row-set", 0,
                   "rows were added, removed or replaced by earlier ones outside of the KMS");
    return cczi_kms_hint(err, CCZ_E_SIG);
}

/* -------------------------------------------------------------------- init and open */

static ccz_rc first_rows(struct ccz_kms_store *s, const uint8_t admin_spki_sha256[32],
                         int64_t now_s, struct ccz_err *err)
{
    CCZ_AUTO_BUF head;
    ccz_buf_init(&head, CCZI_KMS_HEAD_SIZE_MAX);
    s->head = (struct cczi_kms_head){0};
    ccz_rc rc = cczi_kms_head_seal(&head, &s->sealer, &s->head, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_META_PUT);
    cczi_q_blob(&q, CCZ_SPAN(s->sealer.key_check, sizeof(s->sealer.key_check)));
    cczi_q_blob(&q, ccz_buf_span(&head));
    rc = cczi_q_end(&q, err);
    struct cczi_kms_admin a = {.ns = CCZI_KMS_NS_ALL, .roles = CCZ_KMS_ROLE_ADMIN};
    memcpy(a.id, admin_spki_sha256, sizeof(a.id));
    if (rc == CCZ_OK)
        rc = cczi_kms_admin_put(s, &a, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_instance_make(s, now_s, err);
    char hex[65], id[2 * CCZI_KMS_STORE_ID_SIZE + 1], entry[256];
    ccz_hex(hex, admin_spki_sha256, 32);
    ccz_hex(id, s->sealer.id, sizeof(s->sealer.id));
    /* line 1 names the log, and so the log is that of this store and no other */
    int n = snprintf(entry, sizeof(entry),
                     "{\"op\":\"init\",\"verdict\":\"accept\",\"admin\":\"%s\",\"store\":\"%s\"}",
                     hex, id);
    struct ccz_kms_receipt receipt;
    if (rc == CCZ_OK)
        rc = cczi_kms_audit_append(&receipt, s, now_s, CCZ_SPAN(entry, (size_t)n), err);
    return rc;
}

/* Tables, sealed head, first administrator and first audit line: one transaction. */
static ccz_rc populate(struct ccz_kms_store *s, const uint8_t admin_spki_sha256[32],
                       const struct ccz_kms_approvals *approvals, int64_t now_s,
                       struct ccz_err *err)
{
    ccz_rc rc = statement(s, CCZI_SQL_BEGIN, err);
    s->whole = true; /* nobody else has these tables */
    if (rc == CCZ_OK)
        rc = cczi_kms_db_create(&s->db, err);
    if (rc == CCZ_OK)
        rc = first_rows(s, admin_spki_sha256, now_s, err);
    if (rc == CCZ_OK && approvals)
        rc = cczi_kms_first_roles(s, approvals, now_s, err);
    if (rc == CCZ_OK && s->epoch)
        rc = cczi_kms_counted_put(s, now_s, err);
    return rc == CCZ_OK ? cczi_kms_commit(s, err) : rc; /* closing the database rolls back */
}

/* The provider that the caller gives, or the key in a file. `own` frees what is made here. */
static ccz_rc provider_of(struct ccz_kms_master **out, struct ccz_kms_master **own,
                          const struct ccz_kms_state *state, struct ccz_err *err)
{
    *out = state->master;
    if (*out)
        return CCZ_OK;
    char spec[PATH_SIZE + 8];
    (void)snprintf(spec, sizeof(spec), "file:%s", state->master_key ? state->master_key : "");
    const struct ccz_kms_master_cfg cfg = {.spec = state->master_key ? spec : NULL,
                                           .dir = state->dir};
    ccz_rc rc = ccz_kms_master_open(own, &cfg, err);
    *out = *own;
    return rc;
}

static ccz_rc count(void *epoch, const struct cczi_kms_head *head, struct ccz_err *err)
{
    return cczi_kms_epoch_advance(epoch, head, err);
}

/* From now on the counter follows each commit. */
static void follow(struct ccz_kms_store *s, struct ccz_kms_epoch *epoch)
{
    s->epoch = epoch;
    if (epoch) {
        s->on_commit = count;
        s->on_commit_arg = epoch;
    }
}

/* A sealer for a store that is new, with an id that no store has. */
static ccz_rc new_sealer(struct cczi_kms_sealer *out, const struct ccz_secret *master,
                         struct ccz_err *err)
{
    uint8_t id[CCZI_KMS_STORE_ID_SIZE];
    ccz_rc rc = ccz_random(id, sizeof(id));
    return rc == CCZ_OK ? cczi_kms_sealer_init(out, master, id, err)
                        : ccz_fail(err, rc, "kms:store-identity", 0, "cannot name a store");
}

/* A store in a folder that says that its store is counted would not open. An init that was cut short may have left that. */
static ccz_rc not_marked(const char *dir, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_epoch_required(dir, err);
    if (rc != CCZ_E_DENIED)
        return rc;
    (void)ccz_fail(err, rc, "kms:epoch-required", 0,
                   "the file epoch in %s says that its store has a counter, and none is given; if "
                   "that was an init that failed, remove it",
                   dir);
    return cczi_kms_hint(err, rc);
}

/* The counter is there before the first line, so that no crash leaves a store without. */
static ccz_rc first_key(struct ccz_kms_store *s, struct ccz_kms_master *m,
                        const struct ccz_kms_state *state, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) master = NULL;
    ccz_rc rc = cczi_kms_master_make(&master, m, state->reuse_master_key, err);
    if (rc == CCZ_OK)
        rc = new_sealer(&s->sealer, master, err);
    if (rc == CCZ_OK && state->epoch)
        rc = cczi_kms_epoch_bind(state->epoch, master, err);
    if (rc == CCZ_OK && state->epoch)
        rc = cczi_kms_epoch_first(state->epoch, err);
    follow(s, state->epoch);
    return rc;
}

struct meta {
    uint8_t key_check[CCZI_KMS_KEY_CHECK_SIZE];
    struct ccz_buf head;
};

/* In clear, and nobody's word yet. */
static ccz_rc read_meta(struct meta *m, struct ccz_kms_store *s, struct ccz_err *err)
{
    ccz_buf_init(&m->head, CCZI_KMS_HEAD_SIZE_MAX);
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_META_READ);
    if (cczi_q_row(&q)) {
        cczi_q_col_bytes(m->key_check, sizeof(m->key_check), &q, 0);
        ccz_buf_put_span(&m->head, cczi_q_col(&q, 1));
    }
    return cczi_q_end(&q, err);
}

/* Of the store as it lies there; of an older schema also the one that it will have. */
static ccz_rc make_sealers(struct ccz_kms_store *s, const struct ccz_secret *master,
                           const struct meta *meta, bool old, struct ccz_err *err)
{
    uint8_t id[CCZI_KMS_STORE_ID_SIZE];
    ccz_rc rc = CCZ_OK;
    if (old) {
        rc = new_sealer(&s->next, master, err);
        return rc == CCZ_OK ? cczi_kms_sealer_init(&s->sealer, master, NULL, err) : rc;
    }
    rc = cczi_kms_head_id(id, ccz_buf_span(&meta->head), err);
    return rc == CCZ_OK ? cczi_kms_sealer_init(&s->sealer, master, id, err) : rc;
}

/* The check value in clear tells which of two keys a rekey left. It is a hint: FILE.next takes FILE's place when the head opens
 * under it, which nobody can have sealed but a rekey. */
static ccz_rc take_key(struct ccz_kms_store *s, struct ccz_kms_master *m, const struct meta *meta,
                       bool old, struct ccz_secret **master, struct ccz_err *err)
{
    bool next = false;
    struct cczi_kms_head head;
    ccz_rc rc = cczi_kms_master_get(master, &next, m, meta->key_check, err);
    if (rc == CCZ_OK)
        rc = make_sealers(s, *master, meta, old, err);
    if (rc == CCZ_OK && next)
        rc = cczi_kms_head_unseal(&head, &s->sealer, ccz_buf_span(&meta->head), err);
    if (rc == CCZ_OK && next)
        rc = cczi_kms_master_promote(m, err);
    if (rc == CCZ_OK && ccz_ct_eq(s->sealer.key_check, meta->key_check, sizeof(meta->key_check)))
        cczi_kms_master_made(m);
    return rc;
}

static ccz_rc load_key(struct ccz_kms_store *s, const struct ccz_kms_state *state, bool old,
                       struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) master = NULL;
    CCZ_AUTO(ccz_kms_master) own = NULL;
    struct ccz_kms_master *m = NULL;
    struct meta meta = {{0}, {0}};
    ccz_rc rc = read_meta(&meta, s, err);
    if (rc == CCZ_OK)
        rc = provider_of(&m, &own, state, err);
    if (rc == CCZ_OK)
        rc = take_key(s, m, &meta, old, &master, err);
    ccz_buf_free(&meta.head);
    if (rc == CCZ_OK && state->epoch)
        rc = cczi_kms_epoch_bind(state->epoch, master, err);
    return rc;
}

static ccz_rc open_db(struct ccz_kms_store *s, const struct ccz_kms_state *state, const char *file,
                      bool create, struct ccz_err *err)
{
    if ((state->backend != NULL) != (state->database != NULL))
        return ccz_fail(err, CCZ_E_ARG, "kms:store-open", 0,
                        "a back end and the name of its database come together");
    return state->backend ? cczi_kms_db_open(&s->db, state->backend, state->database, create, err)
                          : cczi_kms_db_open(&s->db, cczi_kms_sqlite(), file, create, err);
}

ccz_rc ccz_kms_init(const struct ccz_kms_state *state, const uint8_t admin_spki_sha256[32],
                    int64_t now_s, struct ccz_err *err)
{
    return ccz_kms_init_with(state, admin_spki_sha256, NULL, now_s, err);
}

ccz_rc ccz_kms_init_with(const struct ccz_kms_state *state, const uint8_t admin_spki_sha256[32],
                         const struct ccz_kms_approvals *approvals, int64_t now_s,
                         struct ccz_err *err)
{
    struct paths p;
    ccz_rc rc = paths_of(&p, state, err);
    if (rc == CCZ_OK)
        rc = ccz_dir_make(state->dir, 0700, err);
    CCZ_AUTO(ccz_kms_store) s = calloc(1, sizeof(*s));
    if (rc != CCZ_OK || !s)
        return rc != CCZ_OK ? rc : ccz_fail(err, CCZ_E_NOMEM, "kms:init", 0, "out of memory");
    rc = open_db(s, state, p.db, true, err);
    int64_t schema = 0;
    if (rc == CCZ_OK)
        rc = cczi_kms_db_schema(&schema, &s->db, err);
    if (rc == CCZ_OK &&
        schema != 0) { /* before any key is made: never a new key beside an old database */
        ccz_fail(err, CCZ_E_EXISTS, "kms:init", schema, "%s is initialised already",
                 state->database ? "the database" : state->dir);
        return cczi_kms_hint(err, CCZ_E_EXISTS);
    }
    if (rc == CCZ_OK && !state->epoch)
        rc = not_marked(state->dir, err);
    CCZ_AUTO(ccz_kms_master) own = NULL;
    struct ccz_kms_master *m = NULL;
    if (rc == CCZ_OK)
        rc = provider_of(&m, &own, state, err);
    if (rc == CCZ_OK)
        rc = first_key(s, m, state, err);
    if (rc == CCZ_OK) /* before the database: that one says whether the init came to an end */
        rc = cczi_kms_identity_put(state->dir, s->sealer.id, err);
    if (rc == CCZ_OK)
        rc = populate(s, admin_spki_sha256, approvals, now_s, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_kms_master_made(m);
    return cczi_kms_settle(s, err);
}

/* What an open store has besides its rows. */
static ccz_rc equip(struct ccz_kms_store *s, struct ccz_err *err)
{
    s->on_batch = cczi_kms_sign_batch;
    s->resolve_ms = CCZI_KMS_RESOLVE_MS;
    ccz_rc rc = cczi_kms_policies_new(&s->policies);
    if (rc == CCZ_OK)
        rc = cczi_kms_watch_new(&s->watch);
    if (rc == CCZ_OK)
        rc = cczi_kms_opened_new(&s->opened);
    if (rc == CCZ_OK)
        rc = cczi_kms_importer_new(&s->importer);
    if (rc == CCZ_OK)
        rc = cczi_kms_looks_new(&s->looks);
    if (rc == CCZ_OK)
        rc = cczi_kms_quotas_new(&s->quotas);
    if (rc == CCZ_OK)
        rc = cczi_kms_past_new(&s->past);
    if (rc == CCZ_OK)
        rc = cczi_kms_memo_new(&s->memo);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "kms:store-open", 0, "out of memory");
}

static ccz_rc not_initialised(struct ccz_err *err, const char *dir)
{
    ccz_fail(err, CCZ_E_NOT_FOUND, "kms:store-open", 0, "%s holds no initialised KMS", dir);
    return cczi_kms_hint(err, CCZ_E_NOT_FOUND);
}

ccz_rc cczi_kms_store_open_schema(struct ccz_kms_store **out, const struct ccz_kms_state *state,
                                  int64_t schema, struct ccz_err *err)
{
    *out = NULL;
    struct paths p;
    ccz_rc rc = paths_of(&p, state, err);
    CCZ_AUTO(ccz_kms_store) s = calloc(1, sizeof(*s));
    if (rc != CCZ_OK || !s)
        return rc != CCZ_OK ? rc : ccz_fail(err, CCZ_E_NOMEM, "kms:store-open", 0, "out of memory");
    rc = open_db(s, state, p.db, false, err);
    if (rc == CCZ_E_NOT_FOUND)
        return not_initialised(err, state->dir);
    int64_t found = 0;
    if (rc == CCZ_OK)
        rc = cczi_kms_db_schema(&found, &s->db, err);
    if (rc == CCZ_OK && found == 0)
        return not_initialised(err, state->dir);
    bool older = schema == 0 && found < CCZI_KMS_SCHEMA;
    if (rc == CCZ_OK && found != schema && !older) {
        ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "kms:schema", found,
                       schema ? schema : CCZI_KMS_SCHEMA - 1);
        return cczi_kms_hint(err, CCZ_E_UNSUPPORTED);
    }
    if (rc == CCZ_OK && !state->epoch)
        rc = cczi_kms_epoch_required(state->dir, err);
    if (rc == CCZ_OK) {
        s->no_heads = found < CCZI_KMS_SCHEMA_HEADS;
        s->no_set_heads = found < CCZI_KMS_SCHEMA_SETS;
        rc = load_key(s, state, found < CCZI_KMS_SCHEMA_ID, err);
    }
    if (rc == CCZ_OK)
        rc = equip(s, err);
    if (rc == CCZ_OK)
        *out = ccz_kms_store_take(&s);
    return rc;
}

/* The check and the comparison with the counter are about the same lines: one transaction. */
static ccz_rc check_counted(struct ccz_kms_store *s, struct ccz_kms_epoch *epoch,
                            struct ccz_err *err)
{
    struct ccz_kms_check c = {0};
    struct cczi_kms_walk w = {0};
    struct ccz_err lost = {0};
    ccz_rc counter = epoch ? cczi_kms_epoch_load(&w.at, epoch, &lost) : CCZ_OK;
    ccz_rc rc = cczi_kms_begin_read(s, err);
    if (rc != CCZ_OK)
        return rc;
    if (epoch) /* which line to look for; what it says counts once all rows are checked */
        rc = cczi_kms_epoch_load_past(&counter, &w.at, epoch, s, &lost, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_check_here(&c, &w, s, err);
    s->opened_last_s = w.last_s;
    if (rc == CCZ_OK && !epoch)
        rc = cczi_kms_epoch_required_by(s, err);
    const struct cczi_kms_head head = s->head;
    cczi_kms_rollback(s);
    return rc == CCZ_OK && epoch
               ? cczi_kms_epoch_compare(epoch, counter, &lost, &head, w.at_hash, err)
               : rc;
}

ccz_rc ccz_kms_store_open(struct ccz_kms_store **out, const struct ccz_kms_state *state,
                          struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_kms_store) s = NULL;
    ccz_rc rc = cczi_kms_store_open_schema(&s, state, CCZI_KMS_SCHEMA, err);
    if (rc == CCZ_OK)
        rc = check_counted(s, state->epoch, err);
    if (rc == CCZ_OK) /* the id is proved now */
        rc = cczi_kms_identity_check(state->dir, s->sealer.id, err);
    if (rc == CCZ_OK)
        follow(s, state->epoch);
    if (rc == CCZ_OK)
        *out = ccz_kms_store_take(&s);
    return rc;
}

ccz_rc cczi_kms_store_memory(struct ccz_kms_store **out, const struct ccz_secret *master,
                             const uint8_t admin_spki_sha256[32], int64_t now_s,
                             struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_kms_store) s = calloc(1, sizeof(*s));
    if (!s)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:store-open", 0, "out of memory");
    ccz_rc rc = cczi_kms_db_open(&s->db, cczi_kms_sqlite(), ":memory:", true, err);
    if (rc == CCZ_OK)
        rc = new_sealer(&s->sealer, master, err);
    if (rc == CCZ_OK)
        rc = populate(s, admin_spki_sha256, NULL, now_s, err);
    if (rc == CCZ_OK)
        rc = equip(s, err);
    if (rc == CCZ_OK)
        *out = ccz_kms_store_take(&s);
    return rc;
}

void ccz_kms_store_instance(uint8_t out[CCZ_KMS_INSTANCE_SIZE], const struct ccz_kms_store *s)
{
    memcpy(out, s->instance, CCZ_KMS_INSTANCE_SIZE);
}

void ccz_kms_store_free(struct ccz_kms_store *s)
{
    if (!s)
        return;
    cczi_kms_db_close(&s->db);
    cczi_kms_sealer_deinit(&s->sealer);
    cczi_kms_sealer_deinit(&s->next);
    cczi_kms_signer_deinit(&s->signer);
    cczi_kms_token_keys_deinit(&s->token);
    cczi_kms_lines_free(&s->lines);
    cczi_kms_policies_free(s->policies);
    cczi_kms_looks_free(s->looks);
    cczi_kms_quotas_free(s->quotas);
    cczi_kms_past_free(s->past);
    cczi_kms_memo_free(s->memo);
    cczi_kms_guesses_free(s->guesses);
    cczi_kms_watch_free(s->watch);
    cczi_kms_blocks_free(s->blocks);
    cczi_kms_opened_free(s->opened);
    cczi_kms_importer_free(s->importer);
    free(s);
}

/* -------------------------------------------------------------------- check */

ccz_rc cczi_kms_tables_check(struct ccz_kms_check *out, uint8_t set[32], struct ccz_kms_store *s,
                             struct ccz_err *err)
{
    uint64_t *const counts[CCZI_KMS_TABLES] = {
        [CCZI_KMS_T_ADMIN] = &out->admins,         [CCZI_KMS_T_BINDING] = &out->bindings,
        [CCZI_KMS_T_QUORUM] = &out->quorums,       [CCZI_KMS_T_PROPOSAL] = &out->proposals,
        [CCZI_KMS_T_APPROVAL] = &out->approvals,   [CCZI_KMS_T_KEY_META] = &out->keys,
        [CCZI_KMS_T_STAGED] = &out->staged,        [CCZI_KMS_T_EVIDENCE] = &out->evidence,
        [CCZI_KMS_T_REFERENCE] = &out->references, [CCZI_KMS_T_RAW] = &out->raw_evidence,
        [CCZI_KMS_T_HEAD] = &out->item_heads,
    };
    ccz_rc rc = CCZ_OK;
    for (unsigned t = 0; rc == CCZ_OK && t < CCZI_KMS_TABLES; t++)
        rc = cczi_kms_rows_check(counts[t], set, s, (enum cczi_kms_table_id)t, err);
    return rc;
}

static ccz_rc check_rows(struct ccz_kms_check *out, struct ccz_kms_store *s, bool values,
                         struct ccz_err *err)
{
    uint8_t set[32] = {0};
    const int64_t from_ms = ccz_mono_ms();
    s->db.as_of++; /* what is used behind it is what is added up here */
    s->looking = true;
    ccz_rc rc = cczi_kms_tables_check(out, set, s, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_items_check(&out->versions, set, s, values, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_policies_check(&out->policies, set, s, err);
    s->looking = false;
    /* each row is genuine; is it the set that the last change left? */
    if (rc == CCZ_OK)
        rc = cczi_kms_set_is(s, set, err);
    s->quorums.known_here = rc == CCZ_OK;
    if (s->looks)
        cczi_kms_looks_took(s->looks, ccz_mono_ms() - from_ms);
    return rc;
}

ccz_rc cczi_kms_rows_whole(struct ccz_kms_store *s, struct ccz_err *err)
{
    struct ccz_kms_check c = {0};
    if (s->whole)
        return check_rows(&c, s, false, err);
    s->whole_next = true;
    s->db.fault = CCZI_KMS_FAULT_AGAIN;
    return ccz_fail(err, CCZ_E_UNAVAILABLE, "kms:store-whole", 0,
                    "all rows are to be looked at, which takes a transaction of another kind");
}

ccz_rc cczi_kms_check_here(struct ccz_kms_check *out, struct cczi_kms_walk *w,
                           struct ccz_kms_store *s, struct ccz_err *err)
{
    ccz_rc rc = check_rows(out, s, true, err);
    if (rc == CCZ_OK) { /* nothing was changed in this transaction yet */
        cczi_kms_quorums_commit(s);
        rc = cczi_kms_instance_load(s, err);
    }
    if (rc == CCZ_OK)
        rc = cczi_kms_audit_check_all(w, s, err);
    out->audit_lines = w->lines;
    return rc;
}

ccz_rc ccz_kms_store_check(struct ccz_kms_check *out, struct ccz_kms_store *s, struct ccz_err *err)
{
    struct ccz_kms_check c = {0};
    struct cczi_kms_walk w = {0};
    ccz_rc rc = cczi_kms_begin_read(s, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_kms_check_here(&c, &w, s, err);
    cczi_kms_rollback(s);
    if (out)
        *out = rc == CCZ_OK ? c : (struct ccz_kms_check){0};
    return rc;
}
