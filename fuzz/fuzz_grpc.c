/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's bytes behind TLS, into the server engine. First byte: bits 0-2 set the size of the
 * pieces in which they arrive; unless bit 3 is set, the connection preface and empty SETTINGS come
 * before them.
 */
#include "rpc/h2.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGE_MAX = 4096, STREAMS_MAX = 8, PIECE_MAX = 16384 };

struct owner {
    struct cczi_h2 *h;
    size_t opened, closed;
};

static void require(bool ok)
{
    if (!ok)
        abort();
}

static struct cczi_stream *stream_new(void *arg)
{
    struct owner *o = arg;
    struct cczi_stream *st = malloc(sizeof(*st));
    require(st);
    cczi_stream_init(st, MESSAGE_MAX);
    o->opened++;
    return st;
}

static void on_request(void *arg, struct cczi_stream *st)
{
    (void)arg;
    struct ccz_span path = cczi_md_get(&st->in, ":path");
    st->framer.keep = path.size > 1 && path.ptr[1] == 'k';
    if (path.size > 1 && path.ptr[1] == 'p')
        cczi_stream_pause(st, true);
}

static void on_message(void *arg, struct cczi_stream *st, struct ccz_span msg)
{
    (void)arg;
    require(msg.size <= MESSAGE_MAX);
    cczi_stream_send(st, cczi_out_new(msg, NULL));
    if (msg.size == 3)
        cczi_stream_finish(st, CCZ_RPC_ABORTED, "three");
    if (msg.size == 4)
        cczi_stream_reset(st, NGHTTP2_CANCEL);
}

static void on_half_close(void *arg, struct cczi_stream *st)
{
    (void)arg;
    cczi_stream_finish(st, CCZ_RPC_OK, NULL);
}

static void on_drained(void *arg, struct cczi_stream *st)
{
    (void)arg;
    require(st->out_size <= CCZI_H2_OUT_LOW);
}

static void on_close(void *arg, struct cczi_stream *st)
{
    ((struct owner *)arg)->closed++;
    require(!st->h2);
    cczi_stream_deinit(st);
    free(st);
}

static const struct cczi_h2_ops ops = {.stream_new = stream_new,
                                       .on_request = on_request,
                                       .on_message = on_message,
                                       .on_half_close = on_half_close,
                                       .on_drained = on_drained,
                                       .on_close = on_close};

/* @return false if the connection is over */
static bool turn(struct owner *o, struct ccz_span in, size_t *sent)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 26);
    ccz_rc rc = cczi_h2_feed(o->h, in, NULL);
    require(cczi_h2_pull(&out, o->h, 1 << 20, NULL) == CCZ_OK || rc != CCZ_OK);
    *sent += out.size;
    require(cczi_h2_buffered(o->h) <= 4 * MESSAGE_MAX + PIECE_MAX);
    require(cczi_h2_streams(o->h) == o->opened - o->closed);
    return rc == CCZ_OK && !cczi_h2_done(o->h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    struct owner o = {0};
    struct cczi_h2_cfg cfg = {.server = true,
                              .ops = &ops,
                              .arg = &o,
                              .message_size_max = MESSAGE_MAX,
                              .streams_max = STREAMS_MAX};
    if (size == 0)
        return 0;
    size_t piece = (size_t)1 << (2 * (data[0] & 7)), sent = 0;
    require(cczi_h2_new(&o.h, &cfg) == CCZ_OK);
    bool alive = (data[0] & 8) || turn(&o, CCZ_SPAN(preface, sizeof(preface) - 1), &sent);
    for (size_t at = 1; alive && at < size; at += piece)
        alive = turn(&o, CCZ_SPAN(data + at, size - at < piece ? size - at : piece), &sent);
    require(sent <= 65536 + 64 * size); /* no amplification to speak of */
    cczi_h2_free(o.h);
    require(o.opened == o.closed);
    return 0;
}
