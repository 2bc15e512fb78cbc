/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMS_STILL_H
#define CCZI_KMS_STILL_H
/*
 * StillReleased: messages, and which "no" is on record already (still.c). That is kept in memory alone and decides nothing: what is
 * forgotten, by a restart or because it is full, is recorded once more. Included by kms_priv.h.
 */
struct cczi_msg_standing {
    uint64_t released;
    struct ccz_span where, decision;
};
struct cczi_msg_still_resp {
    struct ccz_span instance; /* and a Standing for each in field 1 */
};
extern const struct cczi_msg_field cczi_msg_standing[], cczi_msg_still_resp[];

enum { CCZI_KMS_STILL_MAX = 4096 }; /* noes that are remembered */
ccz_rc cczi_kms_still_new(struct cczi_kms_still **out);
void cczi_kms_still_free(struct cczi_kms_still *s); /* NULL is fine */
/* A call begins: what the one before has left belongs to the transaction. */
void cczi_kms_still_call(struct cczi_kms_still *s);
/* The answer for who, item and version in @p id is "no". @return true: it was not before, and has to be recorded */
bool cczi_kms_still_no(struct cczi_kms_still *s, const uint8_t id[32]);
void cczi_kms_still_yes(struct cczi_kms_still *s, const uint8_t id[32]);
/* The transaction is on disk; or it is not, and what was recorded in it neither; or the call alone was undone. */
void cczi_kms_still_commit(struct cczi_kms_still *s);
void cczi_kms_still_drop(struct cczi_kms_still *s);
void cczi_kms_still_undo(struct cczi_kms_still *s);
#endif
