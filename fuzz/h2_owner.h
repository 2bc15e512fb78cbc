/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_FUZZ_H2_OWNER_H
#define CCZ_FUZZ_H2_OWNER_H
/*
 * The other thing that the two HTTP/2 targets share: who owns the engine under test. It feeds what the peer sends, takes
 * what the engine answers, and does what a script tells it. A target says how it differs by the functions declared first.
 */
#include "h2_script.h"

enum { MESSAGE_MAX = 4096, PIECE_MAX = 16384, STEPS_MAX = 2000 };

struct owner {
    struct cczi_h2 *h;
    struct cczi_budget *budget; /* server */
    size_t opened, closed;
    unsigned goaways; /* client */
    uint32_t newest;  /* client: stream */
    bool stuck;       /* the peer takes nothing */
    unsigned pulls;
    struct answer answer;
    size_t memory, scratch; /* bytes allocated before, and by the target itself since */
};

/* Of the target: what holds at any time between calls of the engine, beside check(). */
static void check_own(const struct owner *o, size_t queued, size_t held);
/* Of the target: a stream on which something can be done, or NULL; what only this side does, `what` being 1, 4, 6 or above. */
static bool is_usable(const struct cczi_stream *st);
static void act_own(struct owner *o, struct cczi_stream *st, unsigned what, unsigned size);
/* Of the target: what the peer says in several frames. */
static void put_exchange(struct script *s);

/* A sanitizer looks at every byte. */
static void look_at(struct ccz_span msg)
{
    static volatile uint8_t sink;
    for (size_t i = 0; i < msg.size; i++)
        sink = msg.ptr[i];
    (void)sink;
}

static void on_drained(void *arg, struct cczi_stream *st)
{
    (void)arg;
    require(st->out_size <= CCZI_H2_OUT_LOW);
}

static void pull(struct owner *o, bool failed, size_t size)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 26);
    require(cczi_h2_pull(&out, o->h, size, NULL) == CCZ_OK || failed);
    read_answer(&o->answer, ccz_buf_span(&out));
    if (o->pulls++ % 8 == 0) /* it costs system calls */
        cczi_h2_trim(o->h);
}

static void check(const struct owner *o)
{
    size_t queued = 0;
    require(cczi_h2_buffered(o->h) <= 4 * MESSAGE_MAX + PIECE_MAX);
    require(cczi_h2_streams(o->h) == o->opened - o->closed);
    for (const struct cczi_stream *st = o->h->first; st; st = st->next)
        queued += st->out_size;
    size_t held = allocated() > o->memory ? allocated() - o->memory : 0;
    size_t ours = 2 * queued + o->scratch + o->answer.bytes.cap;
    check_own(o, queued, held > ours ? held - ours : 0);
}

/* @return false if the connection is over */
static bool turn(struct owner *o, struct ccz_span in)
{
    ccz_rc rc = cczi_h2_feed(o->h, in, NULL);
    check(o);
    if (!o->stuck || rc != CCZ_OK)
        pull(o, rc != CCZ_OK, SIZE_MAX / 2);
    return rc == CCZ_OK && !cczi_h2_done(o->h);
}

/* In pieces, as a network would. */
static bool arrive(struct owner *o, struct ccz_span in, size_t piece)
{
    bool alive = true;
    for (size_t at = 0; alive && at < in.size; at += piece)
        alive = turn(o, CCZ_SPAN(in.ptr + at, in.size - at < piece ? in.size - at : piece));
    return alive;
}

/* What handlers and callers do, at any time and from outside of callbacks. */
static void act(struct owner *o, struct script *s)
{
    static const uint8_t bytes[65536];
    unsigned b = take8(s), size = take16(s);
    struct cczi_stream *st = o->h->first;
    for (unsigned i = b >> 4; i && st; i--)
        st = st->next;
    unsigned what = st && is_usable(st) ? b & 15 : 12 + (b & 3);
    switch (what) {
    case 0:
        cczi_stream_send(st, cczi_stream_out(st, CCZ_SPAN(bytes, size), false));
        break;
    case 2:
        cczi_stream_reset(st, size % 16);
        break;
    case 3:
        cczi_stream_pause(st, size & 1);
        break;
    case 5:
        cczi_stream_release_message(st);
        break;
    case 8:
        cczi_stream_set_gzip(st, size & 1);
        break;
    default:
        act_own(o, st, what, size);
        break;
    }
}

static void next(struct owner *o, struct script *s)
{
    unsigned b = take8(s);
    switch (b % 13) {
    case 9:
        put_exchange(s);
        break;
    case 10:
        o->stuck = !o->stuck;
        break;
    case 11:
        pull(o, false, take16(s));
        break;
    case 12:
        act(o, s);
        break;
    default:
        put_frame(s, b % 13, b);
        break;
    }
}

static void follow(struct owner *o, struct ccz_span in, size_t piece)
{
    struct script s;
    bool alive = true;
    script_init(&s, in);
    for (unsigned i = 0; alive && s.left && i < STEPS_MAX; i++) {
        if (o->newest) /* else the script counts what it opens */
            s.newest = o->newest;
        next(o, &s);
        require(!s.wire.bad && !s.fields.bad);
        o->scratch = s.wire.cap + s.fields.cap;
        alive = arrive(o, ccz_buf_span(&s.wire), s.wire.size > 4096 && piece < 64 ? 1021 : piece);
        ccz_buf_clear(&s.wire);
        require(s.credit == UINT64_MAX || o->answer.data <= s.credit);
    }
    script_deinit(&s);
}
#endif
