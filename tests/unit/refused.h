/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_REFUSED_H
#define CCZ_TEST_REFUSED_H
/* Whether a call has been refused with that code, there; if not, what it did is printed. */
#include <cczoo/base.h>

#include <stdio.h>
#include <string.h>

static inline bool is_refused(ccz_rc rc, ccz_rc want, const struct ccz_err *err, const char *where)
{
    if (rc == want && err->rc == want && strcmp(err->where, where) == 0)
        return true;
    fprintf(stderr, "got %s at %s: %s\n", ccz_rc_name(rc), err->where, err->msg);
    return false;
}
#endif
