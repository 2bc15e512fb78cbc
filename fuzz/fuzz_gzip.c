/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed messages through the framer. First byte: bit 0 the encoding, bit 1 whether messages are kept, bits 2-4 the size of
 * the pieces in which the rest arrives. What comes out stays within the limit. */
#include "rpc/rpc_priv.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGE_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t piece = (size_t)1 << (2 * ((data[0] >> 2) & 7));
    struct cczi_framer f;
    enum cczi_frame got = CCZI_FRAME_MORE;
    cczi_framer_init(&f, MESSAGE_MAX);
    f.encoding = data[0] & 1 ? CCZI_DEFLATE : CCZI_GZIP;
    f.keep = data[0] & 2;
    for (size_t at = 1; at < size && got == CCZI_FRAME_MORE; at += piece) {
        struct ccz_span msg, chunk = CCZ_SPAN(data + at, size - at < piece ? size - at : piece);
        while ((got = cczi_framer_next(&msg, &f, &chunk)) == CCZI_FRAME_MESSAGE)
            if (msg.size > MESSAGE_MAX || cczi_framer_held(&f) > MESSAGE_MAX + 1)
                abort();
    }
    cczi_framer_free(&f);
    return 0;
}
