/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_DER_TEXT_H
#define CCZ_DER_TEXT_H
/* DER as text, so that a test shows structure and no lengths: `30(020101 0c('abc'))`.
 * Hex pairs are bytes, a pair before `(` is a tag whose length is filled in, quotes hold ASCII. */
#include "crypto/crypto_priv.h"

#include <string.h>

static void der_text(struct ccz_buf *out, const char *text)
{
    size_t marks[16], depth = 0;
    for (const char *p = text; *p && !out->bad; p++) {
        uint8_t byte;
        if (*p == ' ') {
            continue;
        } else if (*p == ')') {
            CHECK(depth > 0);
            cczi_der_close(out, marks[--depth]);
        } else if (*p == '\'') {
            const char *end = strchr(++p, '\'');
            CHECK(end != NULL);
            ccz_buf_put(out, p, (size_t)(end - p));
            p = end;
        } else {
            CHECK(p[1] && ccz_unhex(&byte, 1, p, 2) == CCZ_OK);
            p++;
            if (p[1] == '(') {
                CHECK(depth < 16);
                marks[depth++] = cczi_der_open(out, byte);
                p++;
            } else {
                ccz_buf_u8(out, byte);
            }
        }
    }
    CHECK(depth == 0 && !out->bad);
}

/* For the whole run of one test: everything lives in one pool. */
static struct ccz_span DER(const char *text) {
    static uint8_t pool[1 << 18];
    static size_t used;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, sizeof(pool) - used);
    der_text(&b, text);
    if (b.size > 0)
        memcpy(pool + used, b.ptr, b.size);
    used += b.size;
    return CCZ_SPAN(pool + used - b.size, b.size);
}
#endif
