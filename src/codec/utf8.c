/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec_priv.h"

#include <string.h>

/* RFC 3629, section 4: the second byte's range depends on the first; all others are 80..BF. */
static const struct utf8_row {
    uint8_t first_lo, first_hi, second_lo, second_hi;
    size_t size;
} utf8_rows[] = {
    {0xc2, 0xdf, 0x80, 0xbf, 2},                              /* c0, c1 would be overlong */
    {0xe0, 0xe0, 0xa0, 0xbf, 3},                              /* below a0: overlong */
    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, /* above 9f: surrogates */
    {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4}, /* below 90: overlong */
    {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}, /* above 8f: beyond U+10FFFF */
};

size_t cczi_utf8_size(struct ccz_span s)
{
    if (s.size == 0)
        return 0;
    if (s.ptr[0] < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof(utf8_rows) / sizeof(*utf8_rows); i++) {
        const struct utf8_row *u = &utf8_rows[i];
        if (s.ptr[0] < u->first_lo || s.ptr[0] > u->first_hi)
            continue;
        if (s.size < u->size || s.ptr[1] < u->second_lo || s.ptr[1] > u->second_hi)
            return 0;
        for (size_t k = 2; k < u->size; k++) {
            if (s.ptr[k] < 0x80 || s.ptr[k] > 0xbf)
                return 0;
        }
        return u->size;
    }
    return 0;
}

bool ccz_utf8_ok(struct ccz_span s)
{
    for (size_t i = 0, n = 0; i < s.size; i += n) {
        uint64_t word; /* eight characters of ASCII at once: most text is that */
        for (; s.size - i >= sizeof(word); i += sizeof(word)) {
            memcpy(&word, s.ptr + i, sizeof(word));
            if (word & UINT64_C(0x8080808080808080))
                break;
        }
        if (i == s.size)
            break;
        n = s.ptr[i] < 0x80 ? 1 : cczi_utf8_size((struct ccz_span){s.ptr + i, s.size - i});
        if (n == 0)
            return false;
    }
    return true;
}
