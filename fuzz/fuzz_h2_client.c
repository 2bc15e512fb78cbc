/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client engine and a hostile server. First byte: bits 0-2 the size of the pieces in which bytes arrive, bits 4-6 the
 * number of calls at the beginning. Bit 7: the rest is a script (h2_script.h), in which also the owner of the calls acts;
 * otherwise it is what the server sends, byte for byte.
 */
#include "h2_script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGE_MAX = 4096, CALLS_MAX = 16, PIECE_MAX = 16384, STEPS_MAX = 2000 };

struct call {
    struct cczi_stream st; /* first */
    bool responded;
};

struct owner {
    struct cczi_h2 *h;
    size_t opened, closed;
    unsigned goaways;
    uint32_t newest; /* stream */
    bool stuck;      /* the peer takes nothing */
    struct answer answer;
    size_t memory, scratch; /* bytes allocated before, and by the target itself since */
};

/* ------------------------------------------------------------------------------ the owner of calls */

static void on_response(void *arg, struct cczi_stream *st)
{
    (void)arg;
    struct call *c = (struct call *)st;
    require(!c->responded && st->http_status == 200 && st->is_grpc);
    c->responded = true;
}

static void on_message(void *arg, struct cczi_stream *st, struct ccz_span msg)
{
    (void)arg;
    struct call *c = (struct call *)st;
    require(c->responded && !st->has_code && msg.size <= MESSAGE_MAX);
    uint8_t sum = 0; /* a sanitizer looks at every byte */
    for (size_t i = 0; i < msg.size; i++)
        sum = (uint8_t)(sum + msg.ptr[i]);
    require(sum || !sum);
    if (msg.size == 3)
        cczi_stream_reset(st, NGHTTP2_CANCEL);
    if (msg.size == 4)
        cczi_stream_pause(st, true);
    if (msg.size == 5)
        cczi_stream_send(st, cczi_stream_out(st, msg, false));
}

static void on_drained(void *arg, struct cczi_stream *st)
{
    (void)arg;
    require(st->out_size <= CCZI_H2_OUT_LOW);
}

/* The outcome: once, complete, and good only if the server said so. */
static void on_close(void *arg, struct cczi_stream *st)
{
    struct owner *o = arg;
    o->closed++;
    require(!st->h2 && st->has_code && (unsigned)st->code <= CCZ_RPC_UNAUTHENTICATED);
    require(memchr(st->message, 0, sizeof(st->message)));
    require(st->code != CCZ_RPC_OK ||
            (st->has_status && st->remote_closed && st->http_status == 200 && st->is_grpc &&
             cczi_framer_idle(&st->framer)));
    require(!st->refused || !st->headers_done);
    cczi_stream_deinit(st);
    free(st);
}

static void on_goaway(void *arg)
{
    require(((struct owner *)arg)->goaways++ == 0);
}

static const struct cczi_h2_ops ops = {.on_response = on_response,
                                       .on_message = on_message,
                                       .on_drained = on_drained,
                                       .on_close = on_close,
                                       .on_goaway = on_goaway};

static void begin(struct owner *o, unsigned how)
{
    static const char key[] = "x-key";
    struct cczi_md md;
    if (o->opened - o->closed >= CALLS_MAX)
        return;
    struct call *c = calloc(1, sizeof(*c));
    require(c);
    cczi_stream_init(&c->st, MESSAGE_MAX);
    cczi_md_init(&md);
    if (how & 1)
        require(cczi_md_add(&md, ccz_span_str(key), ccz_span_str("value")));
    struct cczi_request rq = {
        .authority = "a", .path = "/a.B/C", .timeout_ms = 1000, .metadata = &md};
    if (cczi_h2_request(o->h, &c->st, &rq, NULL) == CCZ_OK) {
        o->opened++;
        o->newest = (uint32_t)c->st.id;
        cczi_stream_set_gzip(&c->st, how & 16);
        if (how & 2)
            cczi_stream_send(&c->st, cczi_stream_out(&c->st, ccz_span_str("request"), false));
        if (how & 4)
            cczi_stream_half_close(&c->st);
        c->st.framer.keep = how & 8;
    } else {
        cczi_stream_deinit(&c->st);
        free(c);
    }
    cczi_md_free(&md);
}

static void pull(struct owner *o, bool failed, size_t size)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 26);
    require(cczi_h2_pull(&out, o->h, size, NULL) == CCZ_OK || failed);
    read_answer(&o->answer, ccz_buf_span(&out));
    cczi_h2_trim(o->h); /* at the worst moments */
}

/* What holds at any time between calls of the engine. */
static void check(struct owner *o)
{
    size_t queued = 0;
    require(cczi_h2_buffered(o->h) <= 4 * MESSAGE_MAX + PIECE_MAX);
    require(cczi_h2_streams(o->h) == o->opened - o->closed);
    for (const struct cczi_stream *st = o->h->first; st; st = st->next)
        queued += st->out_size;
    size_t held = allocated() > o->memory ? allocated() - o->memory : 0;
    require(held <= (4 << 20) + 2 * queued + o->scratch + o->answer.bytes.cap);
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

/* ------------------------------------------------------------------------------------- the script */

/* What callers do, at any time and from outside of callbacks. */
static void act(struct owner *o, struct script *s)
{
    static const uint8_t bytes[65536];
    unsigned b = take8(s), size = take16(s);
    struct cczi_stream *st = o->h->first;
    for (unsigned i = b >> 4; i && st; i--)
        st = st->next;
    switch (st ? b & 15 : 15) {
    case 0:
        cczi_stream_send(st, cczi_stream_out(st, CCZ_SPAN(bytes, size), false));
        break;
    case 1:
        cczi_stream_half_close(st);
        break;
    case 2:
        cczi_stream_reset(st, size % 16);
        break;
    case 3:
        cczi_stream_pause(st, size & 1);
        break;
    case 4:
        cczi_stream_abandon(st);
        o->closed++;
        cczi_stream_deinit(st);
        free(st);
        break;
    case 5:
        cczi_stream_release_message(st);
        break;
    case 6:
        begin(o, size);
        break;
    case 8:
        cczi_stream_set_gzip(st, size & 1);
        break;
    default:
        if ((b & 3) == 0)
            cczi_h2_ping(o->h);
        else if ((b & 3) == 1)
            cczi_h2_drain(o->h);
        else
            begin(o, size);
        break;
    }
}

/* Headers, messages and trailers as a server sends them, one or all of them. */
static void put_response(struct script *s)
{
    unsigned b =
        take8(s); /* 1 headers, 2 message, 4 trailers, 8 indexed, then number of more fields */
    uint8_t form = b & 8 ? 0x40 : 0;
    uint32_t stream = take_stream(s);
    if (b & 1) {
        put_known(s, 6, form);
        put_known(s, 5, form);
        put_fields(s, b >> 4 & 3);
        put_block(s, stream, take8(s) & ~3u);
        ccz_buf_clear(&s->fields);
    }
    if (b & 2) {
        CCZ_AUTO_BUF body;
        ccz_buf_init(&body, 1 << 22);
        put_message(s, &body, take8(s));
        put_head(s, body.size, NGHTTP2_DATA, 0, stream);
        ccz_buf_put_span(&s->wire, ccz_buf_span(&body));
    }
    if (b & 4) {
        put_known(s, 7, form);
        put_fields(s, b >> 6);
        put_block(s, stream, (take8(s) & ~3u) | 1);
        ccz_buf_clear(&s->fields);
    }
}

static void next(struct owner *o, struct script *s)
{
    unsigned b = take8(s);
    s->newest = o->newest;
    switch (b % 13) {
    case 9:
        put_response(s);
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
        next(o, &s);
        require(!s.wire.bad && !s.fields.bad);
        o->scratch = s.wire.cap + s.fields.cap;
        alive = arrive(o, ccz_buf_span(&s.wire), s.wire.size > 4096 && piece < 64 ? 1021 : piece);
        ccz_buf_clear(&s.wire);
        require(s.credit == UINT64_MAX || o->answer.data <= s.credit);
    }
    script_deinit(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct owner o = {0};
    if (size == 0)
        return 0;
    answer_init(&o.answer, true);
    o.memory = allocated();
    struct cczi_h2_cfg cfg = {.ops = &ops, .arg = &o, .message_size_max = MESSAGE_MAX};
    size_t piece = (size_t)1 << (2 * (data[0] & 7));
    require(cczi_h2_new(&o.h, &cfg) == CCZ_OK);
    for (unsigned i = 0; i < (data[0] >> 4 & 7); i++)
        begin(&o, i * 5);
    pull(&o, false, SIZE_MAX / 2);
    if (data[0] & 0x80)
        follow(&o, CCZ_SPAN(data + 1, size - 1), piece);
    else
        (void)arrive(&o, CCZ_SPAN(data + 1, size - 1), piece);
    cczi_h2_free(o.h);
    require(o.opened == o.closed);
    answer_deinit(&o.answer);
    return 0;
}
