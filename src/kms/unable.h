/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMS_UNABLE_H
#define CCZI_KMS_UNABLE_H
/*
 * Calls of the system's own that were refused, and are tried again every few seconds: a rotation of a key whose namespace has no room,
 * say. Each would leave a line each time, without anybody's call. So what is on record already (key and reason) leaves no line for an
 * hour, and of one namespace no more keys than a look takes. In memory alone; a restart records them once more. One thread.
 */
#include <cczoo/kms.h>

enum {
    CCZI_KMS_UNABLE_MAX = 4096,  /* remembered; the oldest goes first */
    CCZI_KMS_UNABLE_NS_MAX = 16, /* of a namespace: what comes behind so many leaves no line */
    CCZI_KMS_UNABLE_EVERY_S = 3600
};
struct cczi_kms_call;
struct cczi_kms_unable;
CCZ_MUST_USE ccz_rc cczi_kms_unable_new(struct cczi_kms_unable **out);
void cczi_kms_unable_free(struct cczi_kms_unable *u); /* NULL is fine */
/* Whether the refusal @p where of @p call is to be recorded. */
bool cczi_kms_unable_is_news(const struct cczi_kms_unable *u, const struct cczi_kms_call *call,
                             const char *where);
/* It is on disk. */
void cczi_kms_unable_recorded(struct cczi_kms_unable *u, const struct cczi_kms_call *call,
                              const char *where);
#endif
