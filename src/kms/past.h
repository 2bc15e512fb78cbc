/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMS_PAST_H
#define CCZI_KMS_PAST_H
/*
 * Rows that this process has read, written or taken away: by table and key, the generation (seal.c) that none in this place may be
 * older than. One that is was put back from the past, though its MAC is right. What is kept is bounded: a key may push another one
 * out, and then that is forgotten, until all rows are looked at again. Rows that somebody else took away, and what was never seen, are
 * not noticed here.
 */
#include "kms_rows.h"

enum {
    CCZI_KMS_PAST_LEN = 1 << 14, /* a power of two */
    CCZI_KMS_PAST_NEW = 4096,    /* that one transaction notes; more are noted once they are read */
    CCZI_KMS_PAST_ITEM = CCZI_KMS_TABLES, /* tables beside those of rows.c */
    CCZI_KMS_PAST_POLICY
};
struct cczi_kms_past;
CCZ_MUST_USE ccz_rc cczi_kms_past_new(struct cczi_kms_past **out);
void cczi_kms_past_free(struct cczi_kms_past *p); /* NULL is fine */
/* Of a row whose MAC was checked: notes it, or refuses it. Rows of a transaction that may still be undone are not noted: their
 * generations are given out again then. where = "kms:row-older" */
CCZ_MUST_USE ccz_rc cczi_kms_past_check(struct ccz_kms_store *s, unsigned table,
                                        const struct cczi_kms_param *key, size_t len,
                                        const uint8_t mac[32], struct ccz_err *err);

/* Of a row that this transaction has written (@p mac) or taken away (NULL): noted with the commit. */
void cczi_kms_past_note(struct ccz_kms_store *s, unsigned table, const struct cczi_kms_param *key,
                        size_t len, const uint8_t *mac);
/* What the transaction has noted so far, NULL: nothing; as it was at @p noted before, 0 = the start; all of it, once it is committed. */
size_t cczi_kms_past_noted(const struct cczi_kms_past *p);
void cczi_kms_past_undo(struct cczi_kms_past *p, size_t noted);
void cczi_kms_past_commit(struct cczi_kms_past *p);
#endif
