/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server engine and a hostile client. First byte: bits 0-2 the size of the pieces in which bytes arrive; unless bit 3 is
 * set, the connection preface and empty SETTINGS come before them. Bit 7: the rest is a script (h2_script.h), in which also
 * the owner of the calls acts; otherwise it is what the client sends, byte for byte.
 */
#include "h2_owner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    STREAMS_MAX = 8,
    BUDGET = 16384,
    QUEUED = 1 << 18,
    HELD_MAX = BUDGET + STREAMS_MAX * (CCZI_MD_SIZE_MAX + MESSAGE_MAX)
};

struct call {
    struct cczi_stream st; /* first */
    bool requested, half_closed;
};

/* ------------------------------------------------------------------------------ the owner of calls */

static struct cczi_stream *stream_new(void *arg)
{
    struct owner *o = arg;
    struct call *c = calloc(1, sizeof(*c));
    require(c);
    cczi_stream_init(&c->st, MESSAGE_MAX);
    o->opened++;
    return &c->st;
}

static void on_request(void *arg, struct cczi_stream *st)
{
    (void)arg;
    struct call *c = (struct call *)st;
    struct ccz_span path = cczi_md_get(&st->in, ":path");
    char letter = path.size > 1 ? (char)path.ptr[1] : 0;
    require(!c->requested && st->is_post && st->is_grpc && st->has_te && !st->bad);
    c->requested = true;
    st->framer.keep = letter == 'k';
    if (letter == 'p' || letter == 's')
        cczi_stream_pause(st, true);
    if (letter == 'a')
        cczi_stream_finish(st, CCZ_RPC_OK, NULL);
}

static void on_message(void *arg, struct cczi_stream *st, struct ccz_span msg)
{
    (void)arg;
    struct call *c = (struct call *)st;
    require(c->requested && !c->half_closed && !st->finished && msg.size <= MESSAGE_MAX);
    look_at(msg);
    cczi_stream_send(st, cczi_stream_out(st, msg, false));
    if (msg.size == 3)
        cczi_stream_finish(st, CCZ_RPC_ABORTED, "three");
    if (msg.size == 4)
        cczi_stream_reset(st, NGHTTP2_CANCEL);
}

static void on_half_close(void *arg, struct cczi_stream *st)
{
    (void)arg;
    struct call *c = (struct call *)st;
    struct ccz_span path = cczi_md_get(&st->in, ":path");
    require(c->requested && !c->half_closed);
    c->half_closed = true;
    if (path.size < 2 || path.ptr[1] != 's') /* "/stop": only the script ends it */
        cczi_stream_finish(st, CCZ_RPC_OK, NULL);
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

static void check_own(const struct owner *o, size_t queued, size_t held)
{
    size_t used = atomic_load(&o->budget->used);
    require(cczi_h2_streams(o->h) <= STREAMS_MAX);
    require(used <= HELD_MAX);
    require(used >= cczi_h2_buffered(o->h));
    require(atomic_load(&o->budget->queued) == queued);
    require(held <= 2 << 20);
}

/* ------------------------------------------------------------------------------------- the script */

static bool is_usable(const struct cczi_stream *st)
{
    return ((const struct call *)st)->requested;
}

static void act_own(struct owner *o, struct cczi_stream *st, unsigned what, unsigned size)
{
    static const uint8_t bytes[4096];
    bool full;
    switch (what) {
    case 1:
        cczi_stream_finish(st, (enum ccz_rpc_code)(size % 20), size & 0x100 ? "text %\n" : NULL);
        break;
    case 4:
        cczi_stream_drop_output(st);
        break;
    case 6: /* until its limit is met */
        full = !st->headers_sent &&
               !cczi_md_add(size & 1 ? &st->out_headers : &st->out_trailers,
                            ccz_span_str("x-out-bin"), CCZ_SPAN(bytes, size & 0xfff));
        require(!full || st->out_headers.len || st->out_trailers.len);
        break;
    case 7:
        cczi_stream_drop_output(st); /* as at a deadline */
        cczi_stream_finish(st, CCZ_RPC_DEADLINE_EXCEEDED, "late");
        break;
    default:
        if ((what & 3) == 0)
            cczi_h2_drain(o->h);
        else if ((what & 3) == 1)
            cczi_h2_ping(o->h);
        else if ((what & 3) == 2)
            (void)cczi_h2_shed(o->h, size & 3);
        break;
    }
}

/* A whole request: the headers that pass as gRPC, more fields, a message. */
static void put_exchange(struct script *s)
{
    static const unsigned path[] = {2, 8, 9, 10};
    unsigned b =
        take8(s); /* 1 indexed, 2 no message, 4 ended; then path, and number of more fields */
    open_stream(s);
    for (unsigned i = 0; i < 6; i++)
        put_known(s, i == 2 ? path[b >> 3 & 3] : i, b & 1 ? 0x40 : 0);
    put_fields(s, b >> 5);
    put_block(s, s->newest, take8(s) & ~3u);
    ccz_buf_clear(&s->fields);
    if (b & 2)
        return;
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, 1 << 22);
    put_message(s, &body, take8(s));
    put_head(s, body.size, NGHTTP2_DATA, b & 4 ? NGHTTP2_FLAG_END_STREAM : 0, s->newest);
    ccz_buf_put_span(&s->wire, ccz_buf_span(&body));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char preface[] = NGHTTP2_CLIENT_MAGIC "\0\0\0\4\0\0\0\0\0";
    if (size == 0)
        return 0;
    struct owner o = {.budget = calloc(1, sizeof(*o.budget))};
    require(o.budget);
    atomic_init(&o.budget->refs, 1);
    o.budget->max = BUDGET;
    o.budget->queued_max = QUEUED;
    answer_init(&o.answer, false);
    o.memory = allocated();
    struct cczi_h2_cfg cfg = {.server = true,
                              .ops = &ops,
                              .arg = &o,
                              .message_size_max = MESSAGE_MAX,
                              .streams_max = STREAMS_MAX,
                              .budget = o.budget};
    size_t piece = (size_t)1 << (2 * (data[0] & 7));
    struct ccz_span rest = CCZ_SPAN(data + 1, size - 1);
    require(cczi_h2_new(&o.h, &cfg) == CCZ_OK);
    bool alive = (data[0] & 8) || turn(&o, CCZ_SPAN(preface, sizeof(preface) - 1));
    if (alive && (data[0] & 0x80))
        follow(&o, rest, piece);
    else if (alive)
        arrive(&o, rest, piece);
    cczi_h2_free(o.h);
    require(o.opened == o.closed);
    require(atomic_load(&o.budget->used) == 0 && atomic_load(&o.budget->queued) == 0 &&
            atomic_load(&o.budget->refs) == 1);
    cczi_budget_unref(o.budget);
    answer_deinit(&o.answer);
    return 0;
}
