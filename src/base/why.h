/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_BASE_WHY_H
#define CCZI_BASE_WHY_H
/* Why something ended, kept by long-lived objects of which there are many: a struct ccz_err is 720 bytes, and most never
 * fail. */
#include <cczoo/base.h>

#include <stdlib.h>

/* Zeroed = nothing failed. */
struct cczi_why {
    ccz_rc rc;
    struct ccz_err *err; /* NULL although rc says failure: there was no memory for the reason */
};

/* The first reason stays. */
static inline void cczi_why_set(struct cczi_why *w, ccz_rc rc, const struct ccz_err *err)
{
    if (w->rc != CCZ_OK || rc == CCZ_OK)
        return;
    w->rc = rc;
    w->err = malloc(sizeof(*w->err));
    if (w->err) {
        *w->err = *err;
        w->err->rc = rc;
    }
}

/* @return its rc; @p err may be NULL */
static inline ccz_rc cczi_why_get(const struct cczi_why *w, struct ccz_err *err)
{
    if (err && w->err)
        *err = *w->err;
    else if (w->rc != CCZ_OK)
        (void)ccz_fail(err, w->rc, "base:memory", 0, "no memory was left to keep the reason");
    return w->rc;
}

static inline void cczi_why_free(struct cczi_why *w)
{
    free(w->err);
    *w = (struct cczi_why){0};
}
#endif
