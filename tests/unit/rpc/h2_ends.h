/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_H2_ENDS_H
#define CCZ_H2_ENDS_H
/* Ends of the HTTP/2 engine over memory, which count what happens to them. */
#include "rpc/h2.h"

#include "ccz_test.h"

struct end {
    struct cczi_h2 *h;
    bool echo, pause;
    unsigned requests, messages, half_closes, closes, responses, goaways, drained;
    enum ccz_rpc_code code;
    char message[CCZI_MESSAGE_SIZE];
    bool ended, refused;
    size_t bytes;
    struct cczi_stream *last;
};

static inline struct cczi_stream *new_stream(size_t max)
{
    struct cczi_stream *st = malloc(sizeof(*st));
    CHECK(st);
    cczi_stream_init(st, max);
    return st;
}

static inline struct cczi_stream *stream_new(void *arg)
{
    struct end *e = arg;
    e->last = new_stream(e->h->cfg.message_size_max);
    return e->last;
}

static inline void on_request(void *arg, struct cczi_stream *st)
{
    struct end *e = arg;
    e->requests++;
    if (e->pause)
        cczi_stream_pause(st, true);
}

static inline void on_response(void *arg, struct cczi_stream *st)
{
    (void)st;
    ((struct end *)arg)->responses++;
}

static inline void on_message(void *arg, struct cczi_stream *st, struct ccz_span msg)
{
    struct end *e = arg;
    e->messages++;
    e->bytes += msg.size;
    if (e->echo)
        cczi_stream_send(st, cczi_out_new(msg, NULL));
}

static inline void on_half_close(void *arg, struct cczi_stream *st)
{
    struct end *e = arg;
    e->half_closes++;
    if (e->echo)
        cczi_stream_finish(st, CCZ_RPC_OK, NULL);
}

static inline void on_drained(void *arg, struct cczi_stream *st)
{
    (void)st;
    ((struct end *)arg)->drained++;
}

static inline void on_close(void *arg, struct cczi_stream *st)
{
    struct end *e = arg;
    e->closes++;
    e->code = st->code;
    e->ended = st->ended;
    e->refused = st->refused;
    memcpy(e->message, st->message, sizeof(e->message));
    CHECK(!st->h2);
    cczi_stream_deinit(st);
    free(st);
}

static inline void on_goaway(void *arg)
{
    ((struct end *)arg)->goaways++;
}

static const struct cczi_h2_ops ops = {stream_new,    on_request, on_response, on_message,
                                       on_half_close, on_drained, on_close,    on_goaway};

static inline void open_end(struct end *e, bool server, size_t max)
{
    memset(e, 0, sizeof(*e));
    struct cczi_h2_cfg cfg = {
        .server = server, .ops = &ops, .arg = e, .message_size_max = max, .streams_max = 8};
    CHECK(cczi_h2_new(&e->h, &cfg) == CCZ_OK);
}

/* Everything that `from` has to say, in pieces of `step` bytes. */
static inline bool move(struct end *to, struct end *from, size_t step)
{
    struct ccz_err err;
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 1 << 26);
    CHECK(cczi_h2_pull(&wire, from->h, 1 << 20, &err) == CCZ_OK);
    for (size_t at = 0; at < wire.size; at += step)
        CHECK(cczi_h2_feed(to->h,
                           CCZ_SPAN(wire.ptr + at, wire.size - at < step ? wire.size - at : step),
                           &err) == CCZ_OK);
    return wire.size > 0;
}

static inline void run(struct end *c, struct end *s, size_t step)
{
    bool more = true;
    for (int i = 0; more && i < 1000; i++) {
        more = move(s, c, step);
        more |= move(c, s, step);
    }
}

static inline struct cczi_stream *request(struct end *c, const char *path)
{
    static struct cczi_md none;
    struct cczi_stream *st = new_stream(c->h->cfg.message_size_max);
    struct cczi_request rq = {
        .authority = "test", .path = path, .timeout_ms = 1000, .metadata = &none};
    CHECK(cczi_h2_request(c->h, st, &rq, NULL) == CCZ_OK);
    return st;
}
#endif
