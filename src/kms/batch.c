/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls in one transaction: who may do this, do it, record it, commit, answer. The order is the security argument: an
 * answer is made inside a transaction that also holds its audit line, and handed out only after that transaction is on
 * disk.
 */
#include "ahead.h"
#include "kms_priv.h"
#include "unable.h"
#include "use_priv.h"

#include <cczoo/codec.h>

#include <string.h>

enum { RECEIPT_ROOM = 128 + CCZI_KMS_PROOF_SIZE_MAX, LOG_SIZE_MAX = CCZ_KMS_HELD_MAX * 8192 };

void cczi_kms_entry_init(struct cczi_kms_entry *e, const struct ccz_kms_request *req)
{
    *e = (struct cczi_kms_entry){.req = req, .method = cczi_kms_method_find(req->path)};
    ccz_buf_init(&e->answer, CCZ_KMS_MESSAGE_SIZE_MAX);
    e->answer.wipe = true;
    ccz_buf_init(&e->proof, CCZI_KMS_PROOF_SIZE_MAX);
    ccz_buf_init(&e->log, LOG_SIZE_MAX);
}

void cczi_kms_entry_deinit(struct cczi_kms_entry *e)
{
    ccz_buf_free(&e->answer);
    ccz_buf_free(&e->proof);
    ccz_buf_free(&e->log);
    cczi_kms_work_free(e->work);
    e->work = NULL;
}

static const char *op_of(const struct cczi_kms_entry *e)
{
    return e->method ? e->method->name : "unknown";
}

/* As before the first try. */
static void reset(struct cczi_kms_entry *e, struct ccz_kms_store *s)
{
    e->rc = CCZ_OK;
    e->err = (struct ccz_err){0};
    e->receipt = (struct ccz_kms_receipt){0};
    e->decision[0] = 0;
    e->at = *e->req;
    e->call = (struct cczi_kms_call){
        .store = s,
        .req = &e->at,
        .work = &e->work,
        .log = &e->log,
        .system = e->method == &cczi_kms_rotate_due,
        .reads = e->method && !e->method->recorded,
    };
    e->later = false;
    ccz_buf_free(&e->answer); /* freed, not cleared: it may hold a value */
    ccz_buf_clear(&e->proof);
    ccz_buf_clear(&e->log);
}

/* Everything that an accepted call is, but for the commit. */
static ccz_rc accept(struct cczi_kms_entry *e)
{
    const struct cczi_kms_method *m = e->method;
    if (!m)
        return ccz_fail(&e->err, CCZ_E_UNSUPPORTED, "kms:method", 0, "there is no such method");
    ccz_rc rc = cczi_kms_authorize(&e->call, m, &e->err);
    if (rc == CCZ_OK)
        rc = m->run(&e->answer, &e->call, &e->err);
    if (rc == CCZ_OK && (e->answer.bad || e->answer.size > e->answer.max_size - RECEIPT_ROOM))
        rc = ccz_fail(&e->err, CCZ_E_LIMIT, "kms:response", (int64_t)e->answer.max_size,
                      "the response is too large");
    cczi_kms_savepoint_last(e->call.store);
    if (rc == CCZ_OK && m->recorded && !e->call.quiet)
        rc = cczi_kms_record(&e->receipt, &e->call, m->name, NULL, &e->err);
    return rc;
}

/* One call inside the transaction. An error is one of the transaction: that of the call is in e->rc. */
static ccz_rc run_one(struct ccz_kms_store *s, struct cczi_kms_entry *e, struct ccz_err *err)
{
    ccz_rc rc;
    cczi_kms_watch_call(s->watch);
    cczi_kms_savepoint_lazy(s);
    e->rc = accept(e);
    if (e->rc == CCZ_OK) {
        cczi_kms_watch_note(&e->call);
        return cczi_kms_savepoint_keep(s, err);
    }
    e->receipt = (struct ccz_kms_receipt){0};
    ccz_buf_free(&e->answer);
    ccz_buf_clear(&e->log); /* what it recorded is undone */
    if (!cczi_kms_db_in_tx(&s->db) || s->db.fault != CCZI_KMS_FAULT_NONE) { /* all of it is lost */
        *err = e->err;
        return e->rc;
    }
    rc = cczi_kms_savepoint_undo(s, err);
    e->later = e->call.later;
    if (rc != CCZ_OK || e->later)
        return rc;
    cczi_kms_watch_note(&e->call);
    e->call.quiet =
        e->call.system && !cczi_kms_unable_is_news(s->watch->unable, &e->call, e->err.where);
    return e->call.quiet ? CCZ_OK : cczi_kms_record(&e->receipt, &e->call, op_of(e), &e->err, err);
}

/* The calls in their order, until they have had their time. @param[in,out] len  of them; of those that were run */
static ccz_rc run_all(struct ccz_kms_store *s, struct cczi_kms_entry *entries, size_t *len,
                      struct ccz_err *err)
{
    const int64_t until_ms = s->batch_ms ? ccz_mono_ms() + s->batch_ms : INT64_MAX;
    ccz_rc rc = CCZ_OK;
    size_t n = 0;
    do
        rc = run_one(s, &entries[n], err);
    while (++n < *len && rc == CCZ_OK && (!s->batch_ms || ccz_mono_ms() < until_ms));
    if (rc == CCZ_OK)
        *len = n;
    return rc;
}

/* @param[in,out] all  how many calls there are; of which so many were run, and the rest are for another transaction
 * @param guess  what they read is asked ahead; not again where that may be why it failed
 * @param[out] begun  false: the store itself does not answer, whatever the calls are */
static ccz_rc try_once(bool *begun, struct ccz_kms_store *s, struct cczi_kms_entry *entries,
                       size_t *all, bool guess, struct ccz_err *err)
{
    const size_t len = *all;
    for (size_t i = 0; i < len; i++)
        reset(&entries[i], s);
    ccz_rc rc = cczi_kms_begin(s, err);
    *begun = rc == CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && s->clock && i < len; i++) /* however long that took */
        entries[i].at.now_s = ccz_clock_now_s(*s->clock);
    if (rc == CCZ_OK && guess)
        rc = cczi_kms_ahead(s, entries, len, err);
    if (rc == CCZ_OK)
        rc = run_all(s, entries, all, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_watch_flush(s, err);
    if (rc == CCZ_OK)
        return cczi_kms_commit(s, err); /* nothing is answered before this */
    cczi_kms_rollback(s);
    return rc;
}

/* A database that could not be reached a moment ago: who waits learns it at once, instead of one after the other when the attempt of each
 * has come to its end, and can go to another server. */
static bool is_away(struct ccz_kms_store *s, struct ccz_err *err)
{
    if (s->away_until_ms == 0 || ccz_mono_ms() >= s->away_until_ms)
        return false;
    s->db.fault = CCZI_KMS_FAULT_NONE;
    *err = s->away;
    return true;
}

/* From the start again where the database says that it may succeed then. @param[in,out] len  as of try_once() */
static ccz_rc transact(bool *begun, struct ccz_kms_store *s, struct cczi_kms_entry *entries,
                       size_t *len, struct ccz_err *err)
{
    *begun = false;
    if (is_away(s, err)) {
        for (size_t i = 0; i < *len; i++)
            reset(&entries[i], s);
        return err->rc;
    }
    const int64_t until = ccz_mono_ms() + CCZI_KMS_RETRY_MS;
    s->whole_next = false;
    ccz_rc rc = try_once(begun, s, entries, len, true, err);
    if (rc != CCZ_OK && s->whole_next && s->db.fault == CCZI_KMS_FAULT_AGAIN)
        rc = try_once(begun, s, entries, len, true, err); /* one of them looks at all rows */
    for (unsigned n = 1; n < CCZI_KMS_RETRIES && rc != CCZ_OK &&
                         s->db.fault == CCZI_KMS_FAULT_AGAIN && ccz_mono_ms() < until;
         n++) {
        ccz_log(CCZ_LOG_WARN, "kms", "a transaction of %zu calls starts again: where=%s %s", *len,
                err->where, err->msg);
        cczi_kms_retry_pause(n);
        rc = try_once(begun, s, entries, len, false, err);
    }
    /* of these calls it is unknown whether they were done; of others nothing was, and s->away says why */
    const bool unknown = rc == CCZ_E_UNAVAILABLE && s->db.fault == CCZI_KMS_FAULT_UNKNOWN;
    const bool away = rc == CCZ_E_UNAVAILABLE && !*begun && s->db.fault == CCZI_KMS_FAULT_AGAIN;
    s->away_until_ms = away || (unknown && s->unreachable) ? ccz_mono_ms() + CCZI_KMS_AWAY_MS : 0;
    if (away)
        s->away = *err;
    return rc;
}

static void count_unrecorded(struct ccz_kms_store *s, size_t len)
{
    atomic_fetch_add(&s->unrecorded, len);
    atomic_store(&s->takes_nothing, true);
}

void cczi_kms_batch_metrics(struct ccz_kms_store *s, bool away, struct ccz_buf *out)
{
    ccz_buf_printf(out,
                   "# HELP cczoo_kms_unrecorded_total Calls that were refused and are not in the "
                   "audit log: the store did not take it, or their work found no place.\n"
                   "# TYPE cczoo_kms_unrecorded_total counter\n"
                   "cczoo_kms_unrecorded_total %llu\n",
                   (unsigned long long)atomic_load(&s->unrecorded));
    ccz_buf_printf(out,
                   "# HELP cczoo_kms_store_takes_lines 0 = the last line that was to be written "
                   "could not be: a full disk, a database that is away.\n"
                   "# TYPE cczoo_kms_store_takes_lines gauge\n"
                   "cczoo_kms_store_takes_lines %d\n",
                   !atomic_load(&s->takes_nothing) && !away);
}

/* A refusal is on record too. If that fails, the call is refused all the same and the log says so. */
static void record_refusal(struct ccz_kms_store *s, struct cczi_kms_entry *e)
{
    struct ccz_err err = {0};
    ccz_rc rc = cczi_kms_begin(s, &err);
    if (rc == CCZ_OK) {
        rc = cczi_kms_record(&e->receipt, &e->call, op_of(e), &e->err, &err);
        if (rc == CCZ_OK)
            rc = cczi_kms_commit(s, &err);
        else
            cczi_kms_rollback(s);
    }
    if (rc == CCZ_OK) { /* the counter outside follows every commit, whatever was recorded */
        if (cczi_kms_settle(s, &err) != CCZ_OK)
            ccz_log(CCZ_LOG_ERROR, "kms",
                    "a refusal is on record, its counter is behind: where=%s %s", err.where,
                    err.msg);
        return;
    }
    e->receipt = (struct ccz_kms_receipt){0};
    count_unrecorded(s, 1);
    ccz_log(CCZ_LOG_ERROR, "kms", "a refusal could not be recorded: where=%s %s", err.where,
            err.msg);
}

static void fail(struct cczi_kms_entry *e, ccz_rc rc, const struct ccz_err *why)
{
    e->rc = rc;
    e->err = *why;
    e->later = false;
    ccz_buf_free(&e->answer);
}

static void put_receipt(struct cczi_kms_entry *e)
{
    struct cczi_msg_receipt m = {.seq = e->receipt.audit_seq,
                                 .sha256 = CCZ_SPAN(e->receipt.audit_sha256, 32),
                                 .time_s = (uint64_t)e->receipt.time_s};
    /* beside the receipt and not in it, where older clients expect few bytes */
    if (e->proof.size)
        ccz_pb_put_bytes(&e->answer, CCZI_MSG_INCLUSION, ccz_buf_span(&e->proof));
    size_t mark = ccz_pb_open(&e->answer, CCZI_MSG_RECEIPT);
    cczi_msg_put(&e->answer, cczi_msg_receipt, &m);
    ccz_pb_close(&e->answer, mark);
    if (!e->answer.bad && !e->proof.bad)
        return;
    struct ccz_err err = {0};
    ccz_rc rc = ccz_fail(&err, CCZ_E_NOMEM, "kms:response", 0, "no memory for the response");
    fail(e, rc, &err);
}

/* Each ends with a line end, and has none in it. */
static void log_others(const struct ccz_buf *lines)
{
    struct ccz_span in = ccz_buf_span(lines);
    const uint8_t *end;
    while (in.size && (end = memchr(in.ptr, '\n', in.size)) != NULL) {
        ccz_log(CCZ_LOG_WARN, "kms", "%.*s", (int)(end - in.ptr), (const char *)in.ptr);
        in.size -= (size_t)(end + 1 - in.ptr);
        in.ptr = end + 1;
    }
}

/* The transaction is on disk: proofs, receipts, log lines. */
static void finish(struct ccz_kms_store *s, struct cczi_kms_entry *entries, size_t len)
{
    struct ccz_err err = {0};
    ccz_rc rc = cczi_kms_settle(s, &err);
    if (rc == CCZ_OK && s->on_batch)
        rc = s->on_batch(s->on_batch_arg, s, entries, len, &err);
    for (size_t i = 0; i < len; i++) {
        struct cczi_kms_entry *e = &entries[i];
        bool recorded = e->rc == CCZ_OK && e->receipt.audit_seq != 0;
        if (e->later)
            continue;
        log_others(&e->log);
        if ((recorded || (e->rc == CCZ_OK && e->call.shows_log)) && rc != CCZ_OK)
            fail(e, rc, &err);
        else if (recorded)
            put_receipt(e);
        if (e->call.system && e->rc != CCZ_OK && e->receipt.audit_seq)
            cczi_kms_unable_recorded(s->watch->unable, &e->call, e->err.where);
        if (recorded || (e->rc != CCZ_OK && !e->call.quiet))
            cczi_kms_log_call(&e->call, op_of(e), e->rc == CCZ_OK ? NULL : &e->err, &e->receipt);
    }
}

/* The database is away or held by others, or its last word is lost or no good: no call was done as far as anybody may rely on,
 * none can be recorded, and asking again for each would wait as long each time. */
static void give_up(struct ccz_kms_store *s, struct cczi_kms_entry *entries, size_t len, ccz_rc rc,
                    const struct ccz_err *why)
{
    count_unrecorded(s, len);
    for (size_t i = 0; i < len; i++) {
        struct cczi_kms_entry *e = &entries[i];
        e->receipt = (struct ccz_kms_receipt){0};
        if (e->rc == CCZ_OK || e->later)
            fail(e, rc, why);
        cczi_kms_log_call(&e->call, op_of(e), &e->err, &e->receipt);
    }
}

static void handle_one(struct ccz_kms_store *s, struct cczi_kms_entry *e)
{
    struct ccz_err err = {0};
    bool begun;
    size_t one = 1;
    ccz_rc rc = transact(&begun, s, e, &one, &err);
    if (rc == CCZ_OK) {
        finish(s, e, 1);
    } else if (!begun || s->db.fault != CCZI_KMS_FAULT_NONE) {
        give_up(s, e, 1, rc, &err);
    } else {
        if (e->rc == CCZ_OK || e->later)
            fail(e, rc, &err);
        record_refusal(s, e);
        cczi_kms_log_call(&e->call, op_of(e), &e->err, &e->receipt);
    }
}

/* @return how many of them, from the first on */
static size_t pass(struct ccz_kms_store *s, struct cczi_kms_entry *entries, size_t len)
{
    struct ccz_err err = {0};
    bool begun = true;
    const bool several = len > 1;
    ccz_rc rc = several ? transact(&begun, s, entries, &len, &err) : CCZ_OK;
    if (several && rc == CCZ_OK) {
        finish(s, entries, len);
        return len;
    }
    if (rc != CCZ_OK && (!begun || s->db.fault != CCZI_KMS_FAULT_NONE)) {
        give_up(s, entries, len, rc, &err);
        return len;
    }
    if (several)
        ccz_log(CCZ_LOG_WARN, "kms", "a batch of %zu calls is handled one by one: where=%s %s", len,
                err.where, err.msg);
    for (size_t i = 0; i < len; i++)
        handle_one(s, &entries[i]);
    return len;
}

size_t cczi_kms_batch_pass(struct ccz_kms_store *s, struct cczi_kms_entry *entries, size_t len)
{
    const size_t passed = pass(s, entries, len);
    for (size_t i = 0; i < passed; i++)
        if (!entries[i].later)
            cczi_kms_tell(&entries[i]); /* behind the last line that is for us */
    return passed;
}

void cczi_kms_entry_give_up(struct cczi_kms_entry *e, const char *where, const char *why)
{
    struct ccz_err err = {0};
    ccz_rc rc = ccz_fail(&err, CCZ_E_LIMIT, where, CCZI_KMS_PASSES_MAX, "%s", why);
    fail(e, cczi_kms_hint(&err, rc), &err);
    atomic_fetch_add(&e->call.store->unrecorded, 1); /* the store would have taken its line */
    cczi_kms_log_call(&e->call, op_of(e), &e->err, &e->receipt);
}

void cczi_kms_handle_batch(struct ccz_kms_store *s, struct cczi_kms_entry *entries, size_t len)
{
    for (size_t passed = 0; passed < len;)
        passed += cczi_kms_batch_pass(s, entries + passed, len - passed);
    for (size_t i = 0; i < len; i++) {
        struct cczi_kms_entry *e = &entries[i];
        for (unsigned n = 1; e->later && n < CCZI_KMS_PASSES_MAX; n++) {
            cczi_kms_work_do(e->work);
            cczi_kms_batch_pass(s, e, 1);
        }
        if (e->later)
            cczi_kms_entry_give_up(e, "kms:busy", "its key changes faster than it is worked with");
    }
}

ccz_rc ccz_kms_handle(struct ccz_buf *response, struct ccz_kms_store *store,
                      const struct ccz_kms_request *req, struct ccz_err *err)
{
    struct cczi_kms_entry e;
    cczi_kms_entry_init(&e, req);
    cczi_kms_handle_batch(store, &e, 1);
    size_t before = response->size;
    if (e.rc == CCZ_OK) {
        ccz_buf_put_span(response, ccz_buf_span(&e.answer));
        if (response->bad) {
            response->size = before;
            e.rc = ccz_fail(&e.err, CCZ_E_LIMIT, "kms:response", (int64_t)response->max_size,
                            "the response is too large");
        }
    }
    if (err && e.rc != CCZ_OK)
        *err = e.err;
    cczi_kms_entry_deinit(&e);
    return e.rc;
}
