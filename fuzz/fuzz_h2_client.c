/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client engine and a hostile server. First byte: bits 0-2 the size of the pieces in which bytes arrive, bits 4-6 the
 * number of calls at the beginning. Bit 7: the rest is a script (h2_script.h), in which also the owner of the calls acts;
 * otherwise it is what the server sends, byte for byte.
 */
#include "h2_owner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CALLS_MAX = 16 };

struct call {
    struct cczi_stream st; /* first */
    bool responded;
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
    look_at(msg);
    if (msg.size == 3)
        cczi_stream_reset(st, NGHTTP2_CANCEL);
    if (msg.size == 4)
        cczi_stream_pause(st, true);
    if (msg.size == 5)
        cczi_stream_send(st, cczi_stream_out(st, msg, false));
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

static void check_own(const struct owner *o, size_t queued, size_t held)
{
    (void)o, (void)queued;
    require(held <= 4 << 20);
}

/* ------------------------------------------------------------------------------------- the script */

static bool is_usable(const struct cczi_stream *st)
{
    (void)st;
    return true;
}

static void act_own(struct owner *o, struct cczi_stream *st, unsigned what, unsigned size)
{
    switch (what) {
    case 1:
        cczi_stream_half_close(st);
        break;
    case 4:
        cczi_stream_abandon(st);
        o->closed++;
        cczi_stream_deinit(st);
        free(st);
        break;
    case 6:
        begin(o, size);
        break;
    default:
        if ((what & 3) == 0)
            cczi_h2_ping(o->h);
        else if ((what & 3) == 1)
            cczi_h2_drain(o->h);
        else
            begin(o, size);
        break;
    }
}

/* Headers, messages and trailers as a server sends them, one or all of them. */
static void put_exchange(struct script *s)
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
