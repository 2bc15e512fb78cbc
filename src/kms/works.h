/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMS_WORKS_H
#define CCZI_KMS_WORKS_H
/*
 * Which work between two transactions (use_priv.h) is done next, and how much of it may wait. Namespaces share the threads: each
 * gets its turn whatever the others have waiting, and none may fill the queue. Making and importing keys takes as long as many
 * uses: it counts as so many, and one thread is always left for uses, where there is more than one. One thread at a time.
 */
#include <cczoo/kms.h>

enum {
    CCZI_KMS_WORKS_MAX =
        256, /* in all; a namespace that has none there is let in beyond that, up to twice as many */
    CCZI_KMS_WORKS_NS_MAX = 64,   /* of one namespace, */
    CCZI_KMS_WORKS_MAKE_MAX = 16, /* of which so many make or import keys */
    CCZI_KMS_WORKS_MAKE_COST = 64 /* a making counts as so many uses */
};
/* A place in the queue, of whoever waits; from add to done. */
struct cczi_kms_place {
    struct cczi_kms_place *next;
    char ns[CCZ_KMS_NAME_SIZE];
    bool makes, doing;
    uint64_t ends; /* in the time of the queue: one use takes 1 */
};
struct cczi_kms_works {
    struct cczi_kms_place *first; /* in the order in which they came */
    size_t len, doing, making;    /* all; being done; and of those that make */
    uint64_t now;
};
/* @param place  with ns and makes set. @return NULL, or `where` of a refusal: "kms:busy", "kms:busy-namespace" */
CCZ_MUST_USE const char *cczi_kms_works_add(struct cczi_kms_works *w, struct cczi_kms_place *place);
/* The next to be done by one of @p threads. @return NULL: there is none that may begin now */
struct cczi_kms_place *cczi_kms_works_take(struct cczi_kms_works *w, size_t threads);
void cczi_kms_works_done(struct cczi_kms_works *w, struct cczi_kms_place *place);

#endif
