/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CODEC_TEST_H
#define CODEC_TEST_H
/* Shared by the tests of codec. */
#include <cczoo/codec.h>

#include "ccz_test.h"

/* Spaces in @p hex are for the reader. */
static inline struct ccz_span unhex(uint8_t *room, const char *hex)
{
    char digits[256];
    size_t len = 0;
    for (; *hex; hex++) {
        CHECK(len < sizeof(digits));
        if (*hex != ' ')
            digits[len++] = *hex;
    }
    CHECK(ccz_unhex(room, len / 2, digits, len) == CCZ_OK);
    return CCZ_SPAN(room, len / 2);
}

static inline bool span_is(struct ccz_span s, const char *text)
{
    return ccz_span_eq(s, ccz_span_str(text));
}
#endif
