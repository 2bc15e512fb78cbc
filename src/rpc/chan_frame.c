/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of a channel: proto/channel.proto. */
#include "chan.h"

#include <cczoo/codec.h>

#include <string.h>

enum { FIELD_KIND = 1, FIELD_DATA = 2 };

static ccz_rc refuse(struct ccz_err *err, const char *what)
{
    return ccz_fail(err, CCZ_E_PEER, "rpc-chan:frame", 0, "%s", what);
}

ccz_rc cczi_chan_frame_get(enum cczi_chan_kind *kind, struct ccz_span *data, struct ccz_span frame,
                           struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(frame);
    struct ccz_pb_field f;
    struct ccz_span bytes = {0};
    uint64_t number = CCZI_CHAN_LAST;
    unsigned seen = 0;
    *kind = CCZI_CHAN_LAST;
    *data = (struct ccz_span){0};
    while (ccz_pb_next(&f, &r)) {
        if (f.number != FIELD_KIND && f.number != FIELD_DATA)
            continue;
        if ((seen & 1u << f.number) ||
            f.wire != (f.number == FIELD_KIND ? CCZ_PB_VARINT : CCZ_PB_LEN))
            return refuse(err, "a field twice or of the wrong type");
        seen |= 1u << f.number;
        if (f.number == FIELD_KIND)
            number = f.num;
        else
            bytes = f.bytes;
    }
    if (r.bad)
        return refuse(err, "malformed");
    if (number > CCZI_CHAN_OPEN)
        return refuse(err, "unknown kind");
    if (number == CCZI_CHAN_MORE && bytes.size == 0)
        return refuse(err, "an empty part");
    *kind = (enum cczi_chan_kind)number;
    *data = bytes;
    return CCZ_OK;
}

void cczi_chan_frame_put(struct ccz_buf *out, enum cczi_chan_kind kind, size_t size)
{
    if (kind != CCZI_CHAN_LAST)
        ccz_pb_put_uint(out, FIELD_KIND, kind);
    if (size == 0)
        return;
    ccz_pb_put_tag(out, FIELD_DATA, CCZ_PB_LEN);
    ccz_pb_put_varint(out, size);
}

bool cczi_chan_name_ok(struct ccz_span name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    if (name.size == 0 || name.size >= CCZ_RPC_CHAN_NAME_SIZE)
        return false;
    for (size_t i = 0; i < name.size; i++)
        if (!memchr(allowed, name.ptr[i], sizeof(allowed) - 1))
            return false;
    return true;
}
