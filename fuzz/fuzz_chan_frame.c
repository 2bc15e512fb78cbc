/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of channels over gRPC: what is accepted means the same when it is written again. */
#include "rpc/chan.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum cczi_chan_kind kind, again;
    struct ccz_span body, body_again;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, size + 64);
    if (cczi_chan_frame_get(&kind, &body, CCZ_SPAN(data, size), NULL) != CCZ_OK)
        return 0;
    cczi_chan_frame_put(&b, kind, body.size);
    ccz_buf_put_span(&b, body);
    if (b.bad || cczi_chan_frame_get(&again, &body_again, ccz_buf_span(&b), NULL) != CCZ_OK ||
        again != kind || !ccz_span_eq(body, body_again))
        abort();
    return 0;
}
