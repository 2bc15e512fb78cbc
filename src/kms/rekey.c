/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another master key for a store: every row gets a new MAC, every value's key a new wrap, in one transaction, which first
 * checks everything as it is in that transaction: what was put back or taken away before it must not come out as genuine.
 *
 * Order, so that a crash at any point leaves a store that opens: new wrapped key as FILE.next, synced | counter with the
 * MACs of both keys | COMMIT | FILE.next takes its name | counter with the new MAC.
 */
#include "master_priv.h"

#include "kms_priv.h"

#include <stdio.h>
#include <string.h>

static ccz_rc put_meta(struct ccz_kms_store *s, const struct cczi_kms_sealer *to,
                       struct ccz_err *err)
{
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_META_CHECK_SET);
    cczi_q_blob(&q, CCZ_SPAN(to->key_check, sizeof(to->key_check)));
    return cczi_q_end(&q, err);
}

/* What was read is what the last transaction left, row for row: also if somebody wrote to the database while we did. */
static ccz_rc carry_rows(struct cczi_kms_rekey *k, struct ccz_kms_store *s, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    s->looking = true; /* and adds up */
    for (unsigned t = 0; rc == CCZ_OK && t < CCZI_KMS_TABLES; t++)
        rc = cczi_kms_rows_rekey(k, s, (enum cczi_kms_table_id)t, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_items_rekey(k, s, err);
    s->looking = false;
    return rc == CCZ_OK ? cczi_kms_set_is(s, k->was, err) : rc;
}

/* Inside a transaction. After it the store is under the new sealer: what follows is sealed by it. */
static ccz_rc rekey_rows(struct ccz_kms_store *s, struct cczi_kms_sealer *to, const char *provider,
                         int64_t now_s, struct ccz_err *err)
{
    struct ccz_kms_check c = {0};
    struct cczi_kms_walk w = {0};
    ccz_rc rc = cczi_kms_check_here(&c, &w, s, err);
    if (rc == CCZ_OK && s->epoch)
        rc = cczi_kms_epoch_keep(s, now_s, err);
    struct cczi_kms_rekey k = {.to = to, .generation = s->head.generation};
    if (rc == CCZ_OK)
        rc = carry_rows(&k, s, err);
    if (rc == CCZ_OK)
        rc = put_meta(s, to, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(s->head.set, k.set, sizeof(k.set));
    s->head.generation = k.generation;
    s->head_dirty = true;
    char entry[128], check[2 * CCZI_KMS_KEY_CHECK_SIZE + 1];
    ccz_hex(check, to->key_check, sizeof(to->key_check));
    int n = snprintf(
        entry, sizeof(entry),
        "{\"op\":\"rekey\",\"verdict\":\"accept\",\"provider\":\"%s\",\"key_check\":\"%s\"}",
        provider, check);
    struct ccz_kms_receipt receipt;
    return cczi_kms_audit_append(&receipt, s, now_s, CCZ_SPAN(entry, (size_t)n), err);
}

/* The store's sealer and `to` change places around the commit, which seals the head. */
static void swap(struct cczi_kms_sealer *a, struct cczi_kms_sealer *b)
{
    struct cczi_kms_sealer t = *a;
    *a = *b;
    *b = t;
}

/*
 * A COMMIT failed under the new sealer. The store says which key it is under, to whom it lets begin a transaction: that waits for
 * a server process that is still committing. Undone is only what something durable was written over under the old key: the
 * log of a database may hold a commit whose fsync failed, and a power cut would bring it back.
 */
static enum cczi_kms_rekeyed how_it_ended(struct ccz_kms_store *s, struct cczi_kms_sealer *to)
{
    if (cczi_kms_begin(s, NULL) == CCZ_OK) {
        cczi_kms_rollback(s);
        return CCZI_KMS_REKEY_DONE;
    }
    swap(&s->sealer, to);
    if (cczi_kms_begin(s, NULL) != CCZ_OK)
        return CCZI_KMS_REKEY_UNKNOWN;
    s->head_dirty = true;
    return cczi_kms_commit(s, NULL) == CCZ_OK ? CCZI_KMS_REKEY_UNDONE : CCZI_KMS_REKEY_UNKNOWN;
}

static ccz_rc rekey_tx(struct ccz_kms_store *s, struct cczi_kms_sealer *to, const char *provider,
                       int64_t now_s, enum cczi_kms_rekeyed *how, struct ccz_err *err)
{
    *how = CCZI_KMS_REKEY_UNDONE;
    ccz_rc rc = cczi_kms_begin_whole(s, err);
    if (rc != CCZ_OK)
        return rc;
    rc = rekey_rows(s, to, provider, now_s, err);
    if (rc != CCZ_OK) {
        cczi_kms_rollback(s);
        return rc;
    }
    swap(&s->sealer, to);
    rc = cczi_kms_commit(s, err);
    bool done = rc == CCZ_OK || s->db.fault == CCZI_KMS_FAULT_DONE;
    *how = done ? CCZI_KMS_REKEY_DONE : how_it_ended(s, to);
    if (*how == CCZI_KMS_REKEY_DONE) {
        ccz_rc said = done ? rc : CCZ_OK; /* an answer that was lost was a good one */
        ccz_rc settled = cczi_kms_settle(s, said == CCZ_OK ? err : NULL);
        return said == CCZ_OK ? settled : said;
    }
    if (*how == CCZI_KMS_REKEY_UNDONE)
        return rc;
    const struct ccz_err why = err ? *err : (struct ccz_err){0};
    (void)ccz_fail(err, CCZ_E_UNAVAILABLE, "kms:rekey-unknown", 0,
                   "nobody can tell whether the rekey was committed: %s", why.msg);
    return cczi_kms_hint(err, CCZ_E_UNAVAILABLE);
}

ccz_rc ccz_kms_rekey(struct ccz_kms_store *s, struct ccz_kms_master *to, int64_t now_s,
                     struct ccz_err *err)
{
    struct cczi_kms_sealer sealer = {0};
    CCZ_AUTO(ccz_secret) key = NULL;
    /* a store that is damaged already is not worth a key; what counts is the check in the transaction */
    ccz_rc rc = ccz_kms_store_check(NULL, s, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_kms_master_stage(&key, to, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_sealer_init(&sealer, key, s->sealer.id, err);
    if (rc == CCZ_OK && s->epoch)
        rc = cczi_kms_epoch_bind_next(s->epoch, key, err);
    enum cczi_kms_rekeyed how = CCZI_KMS_REKEY_UNDONE;
    if (rc == CCZ_OK)
        rc = rekey_tx(s, &sealer, ccz_kms_master_name(to), now_s, &how, err);
    cczi_kms_sealer_deinit(&sealer);
    if (how == CCZI_KMS_REKEY_DONE) {
        ccz_rc named = cczi_kms_master_promote(to, rc == CCZ_OK ? err : NULL);
        rc = rc == CCZ_OK ? named : rc;
    }
    if (how == CCZI_KMS_REKEY_UNDONE)
        cczi_kms_master_unstage(to);
    if (s->epoch)
        cczi_kms_epoch_settle(s->epoch, how);
    return rc;
}
