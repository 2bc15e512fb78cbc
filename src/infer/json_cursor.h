/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_INFER_JSON_CURSOR_H
#define CCZ_INFER_JSON_CURSOR_H
/* What json_rd.c and json_num.c share: bytes at the cursor, and runs of digits, eight at a time. */
#include "infer/infer_priv.h"

#include <string.h>

static inline int peek(const struct cczi_json *j)
{
    return j->p < j->end ? *j->p : 0; /* 0 is no JSON text: it fails every test */
}

static inline void space(struct cczi_json *j)
{
    while (j->p < j->end && (*j->p == ' ' || *j->p == '\n' || *j->p == '\r' || *j->p == '\t'))
        j->p++;
}

static inline bool digit(int c)
{
    return c >= '0' && c <= '9';
}

#define CCZI_EACH_BYTE(v) (UINT64_MAX / 255 * (v))
/* Eight bytes, the first one lowest. Digits become their values. */
static inline uint64_t cczi_eight(const uint8_t *p)
{
    uint64_t x;
    memcpy(&x, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x ^ CCZI_EACH_BYTE('0');
}
/* How many of cczi_eight() are digits before the first that is none. A sum above 255 reaches the byte behind: that is behind one
 * that is none already. */
static inline unsigned cczi_eight_digits(uint64_t x)
{
    const uint64_t none = ((x + CCZI_EACH_BYTE(0x76)) | x) & CCZI_EACH_BYTE(0x80);
    return none ? (unsigned)__builtin_ctzll(none) / 8 : 8;
}
/* Digits from p on. */
static inline size_t cczi_digits(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *from = p;
    while (end - p >= 8) {
        const unsigned n = cczi_eight_digits(cczi_eight(p));
        p += n;
        if (n < 8)
            return (size_t)(p - from);
    }
    while (p < end && digit(*p))
        p++;
    return (size_t)(p - from);
}

#endif
