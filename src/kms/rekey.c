/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another master key for a store: every row gets a new MAC, every value's key a new wrap, in one transaction.
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

/* Inside a transaction. After it the store is under the new sealer: what follows is sealed by it. */
static ccz_rc rekey_rows(struct ccz_kms_store *s, struct cczi_kms_sealer *to, const char *provider,
                         int64_t now_s, struct ccz_err *err)
{
    uint8_t set[32] = {0};
    ccz_rc rc = CCZ_OK;
    for (unsigned t = 0; rc == CCZ_OK && t < CCZI_KMS_TABLES; t++)
        rc = cczi_kms_rows_rekey(set, s, to, (enum cczi_kms_table_id)t, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_items_rekey(set, s, to, err);
    if (rc == CCZ_OK)
        rc = put_meta(s, to, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(s->head.set, set, sizeof(set));
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

static ccz_rc rekey_tx(struct ccz_kms_store *s, struct cczi_kms_sealer *to, const char *provider,
                       int64_t now_s, bool *committed, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_begin(s, err);
    if (rc != CCZ_OK)
        return rc;
    rc = rekey_rows(s, to, provider, now_s, err);
    if (rc != CCZ_OK) {
        cczi_kms_rollback(s);
        return rc;
    }
    swap(&s->sealer, to);
    rc = cczi_kms_commit(s, err);
    /* a commit whose answer was lost: the store says which key it is under */
    struct ccz_err ignored = {0};
    *committed = rc == CCZ_OK;
    if (rc != CCZ_OK && cczi_kms_begin(s, &ignored) == CCZ_OK) {
        cczi_kms_rollback(s);
        *committed = true;
    }
    if (!*committed)
        swap(&s->sealer, to);
    return rc == CCZ_OK ? cczi_kms_settle(s, err) : rc;
}

ccz_rc ccz_kms_rekey(struct ccz_kms_store *s, struct ccz_kms_master *to, int64_t now_s,
                     struct ccz_err *err)
{
    struct cczi_kms_sealer sealer = {0};
    CCZ_AUTO(ccz_secret) key = NULL;
    ccz_rc rc = ccz_kms_store_check(NULL, s, err); /* damage must not get a new MAC */
    if (rc == CCZ_OK)
        rc = cczi_kms_master_stage(&key, to, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_sealer_init(&sealer, key, err);
    if (rc == CCZ_OK && s->epoch)
        rc = cczi_kms_epoch_bind_next(s->epoch, key, err);
    bool committed = false;
    if (rc == CCZ_OK)
        rc = rekey_tx(s, &sealer, ccz_kms_master_name(to), now_s, &committed, err);
    cczi_kms_sealer_deinit(&sealer);
    if (committed) {
        ccz_rc named = cczi_kms_master_promote(to, rc == CCZ_OK ? err : NULL);
        rc = rc == CCZ_OK ? named : rc;
    }
    if (s->epoch)
        cczi_kms_epoch_settle(s->epoch, committed);
    return rc;
}
