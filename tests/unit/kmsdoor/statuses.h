/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_STATUSES_H
#define CCZ_STATUSES_H
/* Tables of refusals and the HTTP statuses that they have. */
#include "ccz_test.h"

#include <cczoo/base.h>
#include <stdio.h>

struct status_case {
    ccz_rc rc;
    const char *where;
    unsigned status;
};

static inline void check_statuses(const struct status_case *t, size_t len,
                                  unsigned (*status_of)(const struct ccz_err *err))
{
    unsigned wrong = 0;
    for (size_t i = 0; i < len; i++) {
        struct ccz_err err = {0};
        (void)ccz_fail(&err, t[i].rc, t[i].where, 0, "x");
        unsigned got = status_of(&err);
        if (got != t[i].status)
            fprintf(stderr, "%s: %u, expected %u\n", t[i].where, got, t[i].status);
        wrong += got != t[i].status;
    }
    CHECK(wrong == 0);
}
#endif
