/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMS_MEMO_H
#define CCZI_KMS_MEMO_H
/*
 * Rows that this transaction has read and checked, the last one of each kind: calls of a batch are often about the same key, and
 * one call asks for the same head twice. They are good until a row is written, something is undone or the transaction ends
 * (cczi_kms_db.as_of); who writes to the database behind our back meanwhile is read by the next transaction. What is asked for
 * is filled in, with true, or is to be read.
 */
#include "kms_priv.h"

struct cczi_kms_memo;
CCZ_MUST_USE ccz_rc cczi_kms_memo_new(struct cczi_kms_memo **out);
void cczi_kms_memo_free(struct cczi_kms_memo *m); /* NULL is fine */
/* Of tables of which calls read one row after another; others are not kept. The key columns of @p r are given. */
bool cczi_kms_memo_row(struct cczi_kms_row *r, struct ccz_kms_store *s, enum cczi_kms_table_id t);
void cczi_kms_memo_keep_row(struct ccz_kms_store *s, enum cczi_kms_table_id t,
                            const struct cczi_kms_row *r);
/* out->slot.ref and .version are given. */
bool cczi_kms_memo_item(struct cczi_kms_item *out, struct ccz_kms_store *s);
void cczi_kms_memo_keep_item(struct ccz_kms_store *s, const struct cczi_kms_item *it);
bool cczi_kms_memo_policy(struct cczi_kms_policy *out, struct ccz_kms_store *s, const char *name);
void cczi_kms_memo_keep_policy(struct ccz_kms_store *s, const char *name,
                               const struct cczi_kms_policy *p);
#endif
