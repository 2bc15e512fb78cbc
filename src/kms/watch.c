/* SPDX-License-Identifier: Apache-2.0 */
/* What is watched beside the decisions, along with the transactions that they are made in. */
#include "kms_priv.h"
#include "unable.h"

#include <stdlib.h>

ccz_rc cczi_kms_watch_new(struct cczi_kms_watch **out)
{
    struct cczi_kms_watch *w = calloc(1, sizeof(*w));
    *out = w;
    if (!w)
        return CCZ_E_NOMEM;
    ccz_rc rc = cczi_kms_seen_new(&w->seen);
    if (rc == CCZ_OK)
        rc = cczi_kms_trials_new(&w->trials);
    if (rc == CCZ_OK)
        rc = cczi_kms_still_new(&w->still);
    if (rc == CCZ_OK)
        rc = cczi_kms_unable_new(&w->unable);
    if (rc != CCZ_OK) {
        cczi_kms_watch_free(w);
        *out = NULL;
    }
    return rc;
}

void cczi_kms_watch_free(struct cczi_kms_watch *w)
{
    if (!w)
        return;
    cczi_kms_seen_free(w->seen);
    cczi_kms_trials_free(w->trials);
    cczi_kms_still_free(w->still);
    cczi_kms_unable_free(w->unable);
    free(w);
}

void cczi_kms_watch_begin(struct cczi_kms_watch *w, const uint8_t head[32])
{
    if (!w)
        return;
    cczi_kms_seen_drop(w->seen);
    cczi_kms_trials_begin(w->trials, head);
    cczi_kms_still_drop(w->still);
}

void cczi_kms_watch_commit(struct cczi_kms_watch *w, const uint8_t head[32])
{
    if (!w)
        return;
    cczi_kms_seen_commit(w->seen);
    cczi_kms_trials_commit(w->trials, head);
    cczi_kms_still_commit(w->still);
}

void cczi_kms_watch_drop(struct cczi_kms_watch *w)
{
    if (!w)
        return;
    cczi_kms_seen_drop(w->seen);
    cczi_kms_trials_drop(w->trials);
    cczi_kms_still_drop(w->still);
}

void cczi_kms_watch_note(const struct cczi_kms_call *call)
{
    struct cczi_kms_watch *w = call->store->watch;
    if (!w || !call->judged)
        return;
    cczi_kms_seen_note(w->seen, call);
    cczi_kms_trials_note(w->trials, call);
}

void cczi_kms_watch_call(struct cczi_kms_watch *w)
{
    if (w)
        cczi_kms_still_call(w->still);
}

void cczi_kms_watch_undo(struct cczi_kms_watch *w)
{
    if (!w)
        return;
    cczi_kms_trials_undo(w->trials);
    cczi_kms_still_undo(w->still);
}

/* In a savepoint of its own: what was decided stands, whatever becomes of this. */
static ccz_rc flush(struct ccz_kms_store *s, ccz_rc (*fn)(struct ccz_kms_store *, struct ccz_err *),
                    struct ccz_err *err)
{
    struct ccz_err why = {0};
    ccz_rc rc = cczi_kms_savepoint(s, err);
    if (rc != CCZ_OK)
        return rc;
    rc = fn(s, &why);
    if (rc == CCZ_OK)
        return cczi_kms_savepoint_keep(s, err);
    if (!cczi_kms_db_in_tx(&s->db) || s->db.fault != CCZI_KMS_FAULT_NONE) {
        *err = why;
        return rc;
    }
    ccz_log_err(CCZ_LOG_WARN, "kms", "what was seen is not written", &why);
    return cczi_kms_savepoint_undo(s, err);
}

ccz_rc cczi_kms_watch_flush(struct ccz_kms_store *s, struct ccz_err *err)
{
    if (!s->watch)
        return CCZ_OK;
    cczi_kms_watch_call(s->watch);
    ccz_rc rc = cczi_kms_seen_due(s->watch->seen) ? flush(s, cczi_kms_seen_flush, err) : CCZ_OK;
    if (rc == CCZ_OK && cczi_kms_trials_due(s->watch->trials))
        rc = flush(s, cczi_kms_trials_flush, err);
    return rc;
}
