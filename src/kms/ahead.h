/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMS_AHEAD_H
#define CCZI_KMS_AHEAD_H
/*
 * What the calls of a batch will read, asked at once: a database far away answers a batch of releases with two exchanges then, instead
 * of three for each call. These are guesses, from requests that nobody has looked at and rows that nobody has checked, of which rows come
 * next: each call asks for its rows as if there were no guesses, checks what it gets, and asks for itself what nobody has guessed.
 */
#include "kms_priv.h"

struct cczi_kms_guesses;
void cczi_kms_guesses_free(struct cczi_kms_guesses *g); /* NULL is fine */
/* In a transaction, before the first of its calls. A failure is one of the transaction. */
ccz_rc cczi_kms_ahead(struct ccz_kms_store *s, struct cczi_kms_entry *entries, size_t len,
                      struct ccz_err *err);
#endif
