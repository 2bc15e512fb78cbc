/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What two peers send. Input: a byte that chooses role, ring and truncation, then messages, each behind its length (2 bytes,
 * little-endian), for both channels in turn. Anything ends in a result or in a refusal; outputs of a refusal are zero.
 */
#include "rep3/whole.h"

#include "tape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct tape t = {.rest = ccz_rd_from(CCZ_SPAN(data + 1, size - 1)), .framed = true};
    const struct ccz_rep3_cfg cfg = {.role = (data[0] & 3) % 3,
                                     .ring_bits = data[0] & 4 ? 32 : 64,
                                     .trunc =
                                         data[0] & 8 ? CCZ_REP3_TRUNC_FAST : CCZ_REP3_TRUNC_SAFE};
    uint64_t out[7 * WHOLE];
    CCZ_AUTO(ccz_chan) prev = tape_chan(&t);
    CCZ_AUTO(ccz_chan) next = tape_chan(&t);
    CCZ_AUTO(ccz_rep3) m = NULL;
    for (int i = 0; i < 7 * WHOLE; i++)
        out[i] = 0;
    struct ccz_err e = {0};
    ccz_rc rc = ccz_rep3_new(&m, prev, next, &cfg, &e);
    if (rc == CCZ_OK)
        rc = whole(out, m, &e);
    if (rc != CCZ_OK && (e.rc != rc || !*e.where))
        abort();
    if (rc != CCZ_OK && (out[6 * WHOLE] | out[6 * WHOLE + 1]) != 0) /* of the last reveal */
        abort();
    return 0;
}
