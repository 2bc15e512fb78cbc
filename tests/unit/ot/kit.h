/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_OT_KIT_H
#define CCZ_TEST_OT_KIT_H
/* Two parties in one process. */
#define _DEFAULT_SOURCE
#include <cczoo/ot.h>

#include "ccz_test.h"

#include <pthread.h>

/* One end runs in a thread of its own; what they do is up to the test. */
struct party {
    struct ccz_chan *chan;
    struct ccz_ot_cfg cfg;
    size_t len;
    struct ccz_f128 delta, *x, *y; /* sender: y = b; receiver: x = a, y = c */
    struct ccz_err err;
    ccz_rc rc;
};

static inline struct ccz_f128 *elements(size_t len)
{
    struct ccz_f128 *p = aligned_alloc(64, (len * sizeof(*p) + 63) / 64 * 64 + 64);
    CHECK(p);
    memset(p, 0xee, (len * sizeof(*p) + 63) / 64 * 64 + 64);
    return p;
}
#endif
