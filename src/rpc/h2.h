/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_RPC_H2_H
#define CCZI_RPC_H2_H
/*
 * gRPC over one HTTP/2 connection as an engine without I/O, threads or time: bytes in by
 * cczi_h2_feed(), bytes out by cczi_h2_pull(). nghttp2 stays behind this header. One file plays
 * both roles: what differs is who opens streams and who ends them with a status.
 *
 * A stream is embedded in an object of the owner (call.c, client.c), who makes and frees it. Its
 * life: server  stream_new() .. on_request() .. on_message()* .. on_half_close() .. on_close()
 *   client  cczi_h2_request() .. on_response() .. on_message()* .. on_close()
 * Callbacks run inside feed, pull and free; they may call every cczi_stream_ function, but not
 * feed, pull or free. What they start is sent by the next pull.
 */
#include "rpc_priv.h"

#include <nghttp2/nghttp2.h>
#include <stdatomic.h>

struct cczi_h2;

/* Memory that peers may make us hold, over all connections of a server: without it, each of many
 * connections could fill its own limit. Counted until a call is freed: handlers keep calls, and with
 * them requests, longer than peers keep their streams. */
struct cczi_budget {
    atomic_uint refs; /* the server's and one of each stream */
    atomic_size_t used;
    size_t max;
    atomic_size_t
        queued;        /* of answers that clients have not taken, as much as handlers have sent */
    size_t queued_max; /* 0 = any */
};
void cczi_budget_unref(struct cczi_budget *b); /* NULL is fine */

struct cczi_stream {
    struct cczi_h2 *h2; /* NULL before it is opened and after it is closed */
    struct cczi_stream *prev, *next;
    int32_t id;
    /* received */
    struct cczi_md in;  /* headers, then trailers; server also ":path", ":authority" */
    size_t trailers_at; /* client: offset in `in` behind the headers */
    size_t header_size; /* as counted by RFC 9113, 6.5.2 */
    struct cczi_framer framer;
    struct cczi_budget *budget;      /* NULL = none */
    size_t counted_body, counted_md; /* bytes of the framer and of `in` that are counted as held */
    size_t unconsumed;               /* flow-control credit held back while paused */
    int64_t timeout_ms;              /* server: grpc-timeout, -1 = none */
    unsigned http_status;
    const char *bad; /* why the headers are refused, or NULL; static text */
    enum ccz_rpc_code bad_code;
    /* to send */
    struct cczi_out *out, **out_tail;
    size_t out_size;
    size_t out_high;    /* writers wait above it, and below a quarter of it no more */
    size_t counted_out; /* of it, in the budget */
    unsigned stalled;   /* turns of cczi_h2_shed() in which none of it left */
    struct cczi_md out_headers, out_trailers;
    atomic_uchar gzip; /* enum cczi_gzip; handlers ask it on any thread */
    /* outcome: server's own, or as received by the client */
    enum ccz_rpc_code code;
    char message[CCZI_MESSAGE_SIZE];
    bool is_post, has_te, is_grpc; /* ":method", "te" and "content-type" as they should be */
    bool is_head;                  /* an answer to it has no body */
    uint8_t http_sent;             /* bytes of the body of cczi_stream_answer_http() */
    bool has_status;               /* client: grpc-status came */
    bool headers_done;             /* the peer's first headers are complete */
    bool trailers_only;            /* client: and they were the last */
    bool remote_closed;            /* the peer sent END_STREAM */
    bool headers_sent, finished, deferred, ended;
    bool has_code; /* code and message are final */
    bool discard;  /* what still arrives is of no interest */
    bool paused;
    bool above;      /* out_size was above the high mark */
    bool takes_gzip; /* the peer's grpc-accept-encoding has it */
    bool refused;    /* client: the server did not begin with it, so it may be sent again */
};

/* What is sent compressed. Once headers or a message may be on their way, nothing new can be announced. */
enum cczi_gzip { CCZI_GZIP_ON = 1, CCZI_GZIP_ANNOUNCED = 2, CCZI_GZIP_FIXED = 4 };
/* Any thread. Turns compression of the following messages on, if that is or can still be announced, or off. */
void cczi_stream_set_gzip(struct cczi_stream *st, bool on);
/* Any thread. One message as the stream sends it now; NULL = no memory. @p lent: see cczi_out_lent() */
struct cczi_out *cczi_stream_out(struct cczi_stream *st, struct ccz_span msg, bool lent);

struct cczi_h2_ops {
    /* Server: the stream for a request that begins; NULL = no memory. */
    struct cczi_stream *(*stream_new)(void *arg);
    /* Server: the request's headers are complete and pass as gRPC. */
    void (*on_request)(void *arg, struct cczi_stream *st);
    /* Client: the response's first headers are complete. */
    void (*on_response)(void *arg, struct cczi_stream *st);
    /* @p msg is borrowed: valid during the callback, with framer.keep until the next message
     * begins. */
    void (*on_message)(void *arg, struct cczi_stream *st, struct ccz_span msg);
    /* Server: no further message will come. */
    void (*on_half_close)(void *arg, struct cczi_stream *st);
    /* out_size fell below the low mark after it had been above the high mark. */
    void (*on_drained)(void *arg, struct cczi_stream *st);
    /* Once per stream, last. Client: code and message are the call's outcome. Server: `ended` tells
     * whether the status was sent. The owner takes the stream back. */
    void (*on_close)(void *arg, struct cczi_stream *st);
    /* Client: the server takes no more calls on this connection. */
    void (*on_goaway)(void *arg);
};

/* What both halves of the engine (h2.c receives, h2_send.c sends) know of a connection. */
struct cczi_h2_cfg {
    bool server;
    const struct cczi_h2_ops *ops;
    void *arg;
    size_t message_size_max;
    unsigned streams_max;       /* server */
    struct cczi_budget *budget; /* server: shared by its connections; NULL = none */
};

enum {
    CCZI_H2_WINDOW_FIRST = 256 << 10, /* of each stream; window.c lets it grow */
    CCZI_H2_WINDOW_MAX = 8 << 20,
    CCZI_H2_CONN_WINDOWS = 4,     /* the connection's is so many times a stream's */
    CCZI_H2_FRAME_MAX = 1 << 18,  /* what we take */
    CCZI_H2_SEND_FRAME = 1 << 16, /* what we send of large messages, if the peer takes it */
    CCZI_H2_HEADER_LIST_MAX = 65536,
    CCZI_H2_OUT_HIGH = CCZ_RPC_PENDING_HIGH, /* per stream: above it writers should wait */
    CCZI_H2_OUT_LOW = CCZI_H2_OUT_HIGH / 4,
    CCZI_H2_RESETS_FREE = 256 /* failed streams a connection may have beyond its good ones */
};

/* What the peer may send ahead (window.c). */
struct cczi_window {
    uint32_t size;   /* of each stream */
    size_t received; /* DATA since the last question, or since its answer */
    size_t rest;     /* so much is received before the next question */
    bool probing;    /* a question is on its way */
};

/* h2_mem.c: the buffer in which nghttp2 builds frames, NULL = not known. */
struct cczi_h2_mem {
    void *frames, *last;
    size_t frames_size, last_size;
};

struct cczi_h2 {
    struct cczi_h2_cfg cfg;
    struct cczi_h2_mem mem;
    nghttp2_session *ng;
    struct cczi_stream *first, *last;
    size_t streams;
    size_t buffered;     /* bytes of incomplete or kept messages */
    size_t queued;       /* bytes of messages that the peer has not taken */
    size_t good, failed; /* streams that ended in order, and those that were reset */
    int32_t open_block;  /* server: stream whose request headers are not complete; 0 = none */
    bool settled;        /* the peer's SETTINGS came */
    bool draining;
    bool notice; /* server: said that it ends, but not yet which calls it takes */
    bool ping_pending;
    struct cczi_window window;
    bool heard;              /* something came */
    struct ccz_err *refusal; /* the peer's GOAWAY said why it refuses us; NULL = it did not */
    /* the pull in progress */
    struct ccz_buf *out;
    size_t out_stop; /* out->size at which to stop */
    bool out_more;   /* stopped for size, there is more */
};
/* Shared by the two halves. */
struct cczi_stream *cczi_h2_stream(struct cczi_h2 *h, int32_t id);
void cczi_h2_attach(struct cczi_h2 *h, struct cczi_stream *st, int32_t id);
void cczi_h2_send_callbacks(nghttp2_session_callbacks *cb);
void cczi_h2_account(struct cczi_stream *st);
CCZ_MUST_USE bool cczi_window_init(struct cczi_h2 *h);
void cczi_window_received(struct cczi_h2 *h, size_t size);
void cczi_window_answered(struct cczi_h2 *h, const uint8_t ping[8]);
nghttp2_mem cczi_h2_mem(struct cczi_h2_mem *m);
void cczi_h2_mem_made(struct cczi_h2_mem *m); /* right after the session */
/* HTTP answer without gRPC in it: 405, 415. */
void cczi_stream_answer_http(struct cczi_stream *st, unsigned status);

CCZ_MUST_USE ccz_rc cczi_h2_new(struct cczi_h2 **out, const struct cczi_h2_cfg *cfg);
/* Closes every stream (on_close), then frees. */
void cczi_h2_free(struct cczi_h2 *h);
/* @retval CCZ_E_PEER, CCZ_E_NOMEM  the connection is dead: pull once more (GOAWAY), then close it
 */
CCZ_MUST_USE ccz_rc cczi_h2_feed(struct cczi_h2 *h, struct ccz_span in, struct ccz_err *err);
/* How much of @p in to feed before what it leads to is sent, if that should happen in between; 0 = not worth it. Two ends that
 * each answer all they got at once would work in turns, one waiting for the other. */
static inline size_t cczi_h2_part(struct ccz_span in)
{
    enum { WORTH_A_SYSTEM_CALL = 8192 };
    return in.size >= WORTH_A_SYSTEM_CALL ? in.size / 2 : 0;
}
/* Appends frames to @p out until there are no more or @p size bytes were appended (and one frame
 * more). */
CCZ_MUST_USE ccz_rc cczi_h2_pull(struct ccz_buf *out, struct cczi_h2 *h, size_t size,
                                 struct ccz_err *err);
/* The peer began with something that costs it little and must not take long: its preface, the headers of a request. */
bool cczi_h2_unfinished(const struct cczi_h2 *h);
bool cczi_h2_wants_pull(const struct cczi_h2 *h);
/* True when nothing is to be sent or expected any more: the connection may be closed. */
bool cczi_h2_done(const struct cczi_h2 *h);
/* GOAWAY: streams in flight end as usual, new ones are refused. A server says it twice: first that no more should come, and
 * which ones it took when the client has heard of that, so that those on their way are served. */
void cczi_h2_drain(struct cczi_h2 *h);
/* Does not wait for the client any longer. */
void cczi_h2_drain_now(struct cczi_h2 *h);
void cczi_h2_ping(struct cczi_h2 *h);
bool cczi_h2_ping_pending(const struct cczi_h2 *h); /* the last PING was not answered */
/* For a connection on which nothing moves: gives memory back that the next frame needs again. */
void cczi_h2_trim(struct cczi_h2 *h);
/* Server: resets the streams that hold output of which nothing has left during the last @p turns calls. @return how many */
size_t cczi_h2_shed(struct cczi_h2 *h, unsigned turns);
size_t cczi_h2_streams(const struct cczi_h2 *h);  /* open streams */
size_t cczi_h2_buffered(const struct cczi_h2 *h); /* bytes of incomplete or kept messages */

void cczi_stream_init(struct cczi_stream *st, size_t message_size_max);
/* Frees what the stream holds. It must be closed. */
void cczi_stream_deinit(struct cczi_stream *st);
/* Queues one message; takes @p msg. Ignored after finish, half close and reset. */
void cczi_stream_send(struct cczi_stream *st, struct cczi_out *msg);
/* Server: sends the headers, unless they are on their way. */
void cczi_stream_start(struct cczi_stream *st);
/* Server: ends the call with a status. What was queued is sent before it. */
void cczi_stream_finish(struct cczi_stream *st, enum ccz_rpc_code code, const char *message);
/* Drops what is queued and not on its way. */
void cczi_stream_drop_output(struct cczi_stream *st);
/* RST_STREAM; on_close follows with the next pull. */
void cczi_stream_reset(struct cczi_stream *st, uint32_t h2_code);
/* RST_STREAM(CANCEL) and no further callback: the owner has the stream back at once. Not from a
 * callback of the same stream. */
void cczi_stream_abandon(struct cczi_stream *st);
/* Stops (and restarts) giving the peer credit for this stream. */
void cczi_stream_pause(struct cczi_stream *st, bool pause);
/* Gives back the memory of a kept message. */
void cczi_stream_release_message(struct cczi_stream *st);

/* refusal.c. @p err: as of a refusal in the session profile, CCZ_E_PEER and "peer:..." @return false: it is none */
CCZ_MUST_USE bool cczi_refusal_parse(struct ccz_err *err, struct ccz_span debug);
/* The same of the first bytes of a server: GOAWAY instead of SETTINGS. */
CCZ_MUST_USE bool cczi_refusal_at_once(struct ccz_err *err, struct ccz_span in);
void cczi_refusal_text(struct ccz_buf *out, const struct ccz_err *why);
/* ccz_ratls_farewell_fn */
void cczi_refusal_by_server(void *arg, struct ccz_buf *out, const struct ccz_err *why);
void cczi_refusal_by_client(void *arg, struct ccz_buf *out, const struct ccz_err *why);

/* Client. */
struct cczi_request {
    const char *authority, *path;
    int64_t timeout_ms;
    unsigned previous_attempts;     /* told if not 0 */
    const struct cczi_md *metadata; /* allowed by cczi_md_allowed() */
};
/* Opens @p st. @retval CCZ_E_UNAVAILABLE this connection opens no more streams */
CCZ_MUST_USE ccz_rc cczi_h2_request(struct cczi_h2 *h, struct cczi_stream *st,
                                    const struct cczi_request *rq, struct ccz_err *err);
void cczi_stream_half_close(struct cczi_stream *st);
#endif
