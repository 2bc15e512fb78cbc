/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RPC_H
#define CCZ_RPC_H
/**
 * @file rpc.h
 * gRPC over HTTP/2 (nghttp2) inside RA-TLS, client and server. Messages are bytes here; encode them with
 * the protobuf functions of codec.h. Speaks the gRPC protocol "PROTOCOL-HTTP2" as stock peers do.
 *
 * Threads: a server runs `threads` event loops sharing the port; a call belongs to the loop of its
 * connection. Handlers run on that loop and must not block: hand long work to a pool and answer from any
 * thread (ccz_rpc_send / ccz_rpc_finish are thread-safe on a call that is held with ccz_rpc_call_ref()).
 * A client channel owns one background loop thread; its functions may be called from any thread.
 * Handshakes (evidence is made and appraised there) run on threads of their own and disturb no call. Where the RA-TLS
 * context says so (reattest_interval_ms), connections ask for evidence again; one that is refused ends its calls with
 * the reason. Making evidence holds up its own connection.
 * Reading order of the sources: status.c, md.c, gzip.c, frame.c; h2.c, h2_send.c (the engine); guard.c, refusal.c,
 * call.c, server.c, signals.c; client.c, received.c, target.c, channel.c, stream.c; channels (rpc_chan.h): chan_frame.c,
 * chan.c, chan_client.c, chan_server.c.
 */
#include <cczoo/ratls.h>

#ifdef __cplusplus
extern "C" {
#endif

/** gRPC status codes, and the same as error names. */
enum ccz_rpc_code {
    CCZ_RPC_OK = 0,
    CCZ_RPC_CANCELLED,
    CCZ_RPC_UNKNOWN,
    CCZ_RPC_INVALID_ARGUMENT,
    CCZ_RPC_DEADLINE_EXCEEDED,
    CCZ_RPC_NOT_FOUND,
    CCZ_RPC_ALREADY_EXISTS,
    CCZ_RPC_PERMISSION_DENIED,
    CCZ_RPC_RESOURCE_EXHAUSTED,
    CCZ_RPC_FAILED_PRECONDITION,
    CCZ_RPC_ABORTED,
    CCZ_RPC_OUT_OF_RANGE,
    CCZ_RPC_UNIMPLEMENTED,
    CCZ_RPC_INTERNAL,
    CCZ_RPC_UNAVAILABLE,
    CCZ_RPC_DATA_LOSS,
    CCZ_RPC_UNAUTHENTICATED
};
CCZ_API const char *ccz_rpc_code_name(enum ccz_rpc_code c);
CCZ_API enum ccz_rpc_code
ccz_rpc_code_of(ccz_rc rc); /**< E_DENIED -> PERMISSION_DENIED, E_POLICY too, ... */
CCZ_API ccz_rc ccz_rpc_rc_of(enum ccz_rpc_code c); /**< the inverse, nearest */

#define CCZ_RPC_MESSAGE_SIZE_MAX ((size_t)64 << 20) /**< default limit of one message */

/**
 * How messages are sent; each is compressed by itself, and goes as it is if that is not smaller. Both sides always take
 * gzip (and deflate, as other gRPC peers send it), within the size limit of messages: decompression stops there.
 * Not for messages in which secrets stand beside what others may choose: sizes tell about the secrets (CRIME).
 */
enum ccz_rpc_compression { CCZ_RPC_IDENTITY = 0, CCZ_RPC_GZIP };

/** One field of metadata. Keys are lower case; the value of a "-bin" key is raw bytes. */
struct ccz_rpc_md {
    const char *key;
    struct ccz_span value;
};

/* -------------------------------------------------------------------------------- server */

struct ccz_rpc_server;
struct ccz_rpc_call; /**< one call on the server */

/** Callbacks of one call; all run on the call's loop. NULL = not of interest. */
struct ccz_rpc_handler {
    /** First: headers are in. Set per-call state with ccz_rpc_call_set_arg(). May finish at once. */
    void (*on_start)(struct ccz_rpc_call *call, void *service_arg);
    /** One request message; borrowed, valid during the callback. */
    void (*on_message)(struct ccz_rpc_call *call, void *call_arg, struct ccz_span msg);
    /** The client sent its last message. */
    void (*on_half_close)(struct ccz_rpc_call *call, void *call_arg);
    /** Exactly once, last: call_arg may be freed. @p cancelled: reset, deadline, or connection lost. */
    void (*on_done)(struct ccz_rpc_call *call, void *call_arg, bool cancelled);
    /** What was sent has left, after ccz_rpc_pending() had been above CCZ_RPC_PENDING_HIGH. */
    void (*on_writable)(struct ccz_rpc_call *call, void *call_arg);
};
/** Shortcut for unary methods: one request, then answer with ccz_rpc_reply() now or later. @p request stays
 *  valid until the call is finished; with ccz_rpc_call_ref(), until ccz_rpc_call_unref(). */
typedef void (*ccz_rpc_unary_fn)(struct ccz_rpc_call *call, void *service_arg,
                                 struct ccz_span request);

struct ccz_rpc_server_cfg {
    const char *listen;          /**< "127.0.0.1:8443"; port 0 = any */
    unsigned threads;            /**< 0 = 1 */
    struct ccz_ratls_ctx *ratls; /**< required; the server holds a reference */
    size_t
        message_size_max; /**< 0 = CCZ_RPC_MESSAGE_SIZE_MAX; of compressed messages: decompressed */
    /** Bytes of requests (headers, messages that are incomplete or wait for their handler, calls that are
     *  over for the client but still held) over all connections; what comes above it ends with
     *  RESOURCE_EXHAUSTED: at once for connections that hold more than 64 KiB of it, for all at twice as much. Answers
     *  that clients do not take are limited to four times as much in the same way, and from half of that on calls of
     *  which nothing has left for 10 s are reset. 0 = 8 times message_size_max, at least 256 MiB */
    size_t requests_size_max;
    unsigned streams_max;     /**< concurrent calls per connection, 0 = 256 */
    unsigned connections_max; /**< 0 = 4096 */
    int64_t
        handshake_timeout_ms; /**< 0 = 10 s; also for the HTTP/2 preface, and for the headers of a request */
    int64_t keepalive_ms; /**< PING when idle this long; 0 = 60 s. Closed if it is not answered
                                       for as long again, at most 20 s */
    int64_t
        connection_age_ms; /**< older connections (each with its own 10 % more or less) get no new
                                       calls: clients connect, and attest, again; 0 = any age */
    int64_t
        connection_age_grace_ms; /**< calls of an old connection may last so much longer, then they end
                                       with UNAVAILABLE; 0 = as long as they take */
    /** For servers of secrets: memory that held messages, received or to be sent, is overwritten before it is freed or used for
     *  something else, in TLS, HTTP/2, compression of requests and calls. Not what handlers copy, metadata, and answers that
     *  are compressed. Costs a pass over each byte. */
    bool wipe;
    /** Asked when a connection was accepted, before its handshake; false closes it without a word. On the loop: no waiting in it.
     *  @p address  "ip:port". NULL = all are welcome */
    bool (*admit)(void *arg, const char *address);
    void *admit_arg;
};
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_server_new(struct ccz_rpc_server **out,
                                               const struct ccz_rpc_server_cfg *cfg,
                                               struct ccz_err *err);
/** @param path "/package.Service/Method"; register before start; @p handler is copied. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_server_add(struct ccz_rpc_server *s, const char *path,
                                               const struct ccz_rpc_handler *handler,
                                               void *service_arg);
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_server_add_unary(struct ccz_rpc_server *s, const char *path,
                                                     ccz_rpc_unary_fn fn, void *service_arg);
/** Handler for paths nobody registered; without it they end with UNIMPLEMENTED. */
CCZ_API void ccz_rpc_server_set_fallback(struct ccz_rpc_server *s, ccz_rpc_unary_fn fn,
                                         void *service_arg);
/**
 * Judges the peer of a call before any handler, fallback or answer about unknown methods. "/package.Service/" covers the
 * calls of a service, "/package.Service/Method" that path alone, "/" all calls; the longest that covers a call decides,
 * the others are not asked. Without one the call goes through. Runs on the call's loop: no waiting in it. Paths are compared
 * as they are: if a fallback takes them another way (case, "//", "?"), guard its service or "/".
 * @param peer  as of the beginning of the call: `attested` or `pinned` may be false where evidence is optional
 * @return CCZ_OK, or a failure with its reason in @p err, which the client gets in full, as by ccz_rpc_fail(); where that
 *         would be PERMISSION_DENIED and the peer is neither attested nor pinned, as UNAUTHENTICATED
 */
typedef ccz_rc (*ccz_rpc_guard_fn)(void *arg, const struct ccz_ratls_peer *peer, const char *path,
                                   struct ccz_err *err);
/** Register before start.
 *  @retval CCZ_E_ARG  also for a @p prefix of another form: it would cover no call
 *  @retval CCZ_E_EXISTS, CCZ_E_NOMEM */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_server_guard(struct ccz_rpc_server *s, const char *prefix,
                                                 ccz_rpc_guard_fn fn, void *arg);
/** Called at the beginning of ccz_rpc_server_stop(), in order of registration, on its thread: say that the service ends, finish streams
 *  that would not end by themselves. Register before start. @retval CCZ_E_ARG, CCZ_E_NOMEM */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_server_on_stop(struct ccz_rpc_server *s, void (*fn)(void *arg),
                                                   void *arg);
/** Path of the method number @p i, NULL behind the last; sorted once started. */
CCZ_API const char *ccz_rpc_server_method_path(const struct ccz_rpc_server *s, size_t i);
/** Starts the loop threads; returns once the port is open.
 *  @retval CCZ_E_ARG  "rpc:guard": without a fallback, a guard other than "/" covers no method: it is a typo, or its service is
 *                     not there. The server is as before */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_server_start(struct ccz_rpc_server *s, struct ccz_err *err);
CCZ_API uint16_t ccz_rpc_server_port(const struct ccz_rpc_server *s);
/** GOAWAY, lets calls in flight end for at most @p grace_ms, then cancels them; blocks until stopped. Not from
 *  a handler. */
CCZ_API void ccz_rpc_server_stop(struct ccz_rpc_server *s, int64_t grace_ms);
CCZ_API void ccz_rpc_server_free(struct ccz_rpc_server *s);
CCZ_DEFINE_AUTO(ccz_rpc_server)
/**
 * New connections use @p ctx (another key, newer evidence) from here on; old ones go on with theirs, which lives until the
 * last of them ended. The server holds a reference. Any thread.
 */
CCZ_API void ccz_rpc_server_set_ratls(struct ccz_rpc_server *s, struct ccz_ratls_ctx *ctx);
/** Connections that exist now get no new calls (GOAWAY) and end with those they have: clients come again, and see the
 *  newest identity. Any thread. @retval CCZ_E_NOMEM some loop could not be told */
CCZ_API ccz_rc ccz_rpc_server_recycle(struct ccz_rpc_server *s);

/**
 * For daemons: SIGTERM and SIGINT end the program in order. Call ccz_rpc_signals_block() in main() before any other
 * thread exists; they inherit it. ccz_rpc_serve() returns after one of the signals came and the servers, all at the
 * same time, were stopped as by ccz_rpc_server_stop(); a second signal ends the grace at once.
 */
CCZ_API void ccz_rpc_signals_block(void);
CCZ_API void ccz_rpc_serve(struct ccz_rpc_server *const *servers, size_t servers_len,
                           int64_t grace_ms);

CCZ_API const char *ccz_rpc_call_path(const struct ccz_rpc_call *c);
/** As of the beginning of the call. */
CCZ_API const struct ccz_ratls_peer *ccz_rpc_peer(const struct ccz_rpc_call *c);
CCZ_API const char *ccz_rpc_peer_address(const struct ccz_rpc_call *c); /**< "ip:port" for logs */
/** Request metadata value (decoded for "-bin"); empty if absent. */
CCZ_API struct ccz_span ccz_rpc_metadata(const struct ccz_rpc_call *c, const char *key);
/** All of it, in order of arrival, repeated keys too: `for (size_t at = 0; ccz_rpc_metadata_next(&md, &at, c);)`. Views are
 *  valid as long as the call. */
CCZ_API CCZ_MUST_USE bool ccz_rpc_metadata_next(struct ccz_rpc_md *md, size_t *at,
                                                const struct ccz_rpc_call *c);
/** The message that on_message() or the unary function was given had been compressed; inside these only. */
CCZ_API bool ccz_rpc_message_compressed(const struct ccz_rpc_call *c);
/** Milliseconds until the client's deadline; INT64_MAX if none, 0 if it passed. */
CCZ_API int64_t ccz_rpc_time_left_ms(const struct ccz_rpc_call *c);
CCZ_API void ccz_rpc_call_set_arg(struct ccz_rpc_call *c, void *call_arg);
CCZ_API void ccz_rpc_call_ref(struct ccz_rpc_call *c); /**< keeps @p c valid across threads */
CCZ_API void ccz_rpc_call_unref(struct ccz_rpc_call *c);
CCZ_API bool ccz_rpc_cancelled(const struct ccz_rpc_call *c); /**< any thread; long work polls it */
/** Adds response header metadata ("-bin" keys: raw bytes); before the first ccz_rpc_send(). Thread-safe. Keys:
 *  [0-9a-z_.-]+ without "grpc-" (but "grpc-status-details-bin", "grpc-retry-pushback-ms") and HTTP's own; other values: printable ASCII. What gRPC forbids is left out. */
CCZ_API void ccz_rpc_add_header(struct ccz_rpc_call *c, const char *key, struct ccz_span value);
CCZ_API void ccz_rpc_add_trailer(struct ccz_rpc_call *c, const char *key, struct ccz_span value);
/** Sends the header metadata now, before there is a message. Thread-safe; nothing if it was sent. */
CCZ_API void ccz_rpc_send_headers(struct ccz_rpc_call *c);
/** For messages sent from now on. Only a choice before the first ccz_rpc_send() or ccz_rpc_send_headers() can bring gzip in, and only
 *  if the client takes it; later ones switch within that. Thread-safe. */
CCZ_API void ccz_rpc_set_compression(struct ccz_rpc_call *c, enum ccz_rpc_compression compression);
#define CCZ_RPC_PENDING_HIGH ((size_t)1 << 20)
/** Bytes sent by the handler that the client's flow control has not taken; on the call's loop only. A stream
 *  that stops at CCZ_RPC_PENDING_HIGH and goes on at on_writable() never holds much memory. */
CCZ_API size_t ccz_rpc_pending(const struct ccz_rpc_call *c);
/** Sends one message (copied). Thread-safe. */
CCZ_API void ccz_rpc_send(struct ccz_rpc_call *c, struct ccz_span msg);
/** Ends the call. Thread-safe; later sends are ignored. @p message may be NULL; percent-encoded on the wire. */
CCZ_API void ccz_rpc_finish(struct ccz_rpc_call *c, enum ccz_rpc_code code, const char *message);
/** ccz_rpc_send() + finish with OK. */
CCZ_API void ccz_rpc_reply(struct ccz_rpc_call *c, struct ccz_span msg);
/** finish with the code of err->rc; message "where: msg", and trailers "ccz-rc", "ccz-where", "ccz-got",
 *  "ccz-expected", "ccz-hint" so that the client can show the refusal in full. */
CCZ_API void ccz_rpc_fail(struct ccz_rpc_call *c, const struct ccz_err *err);
/** finish with a rich status: @p details is an encoded google.rpc.Status, sent as grpc-status-details-bin. */
CCZ_API void ccz_rpc_fail_details(struct ccz_rpc_call *c, enum ccz_rpc_code code,
                                  const char *message, struct ccz_span details);

/* -------------------------------------------------------------------------------- client */

struct ccz_rpc_client;
struct ccz_rpc_client_cfg {
    /** "host:port", or several: "a:1,b:2". A name stands for all its addresses, at most 64 over all; it is looked up again when a
     *  connection is lost. Calls go in turn to the addresses that are ready; an address that fails does not fail
     *  calls as long as there is another. ":authority" is the first entry. */
    const char *target;
    struct ccz_ratls_ctx *ratls; /**< required; the client holds a reference */
    unsigned connections;        /**< parallel connections to each address, used in turn; 0 = 1 */
    size_t message_size_max;     /**< 0 = CCZ_RPC_MESSAGE_SIZE_MAX */
    int64_t
        keepalive_ms; /**< PING when the server was silent this long while calls run; 0 = 310 s: stock servers end
                               connections that do it more often than every 300 s. The connection is lost if the answer
                               does not come for as long again, at most 20 s */
    bool keepalive_idle;        /**< also while no calls run */
    int64_t connect_timeout_ms; /**< connect + handshake + appraisal; 0 = 10 s */
    int64_t backoff_max_ms;     /**< reconnect back-off 100 ms, doubling, jittered; 0 = 5 s */
    bool reconnect; /**< false: the first connection failure is final and returned by calls */
};
/** @retval CCZ_E_FORMAT "net:address" @retval CCZ_E_ARG "rpc:config", "rpc:target" @retval CCZ_E_NOMEM */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_client_new(struct ccz_rpc_client **out,
                                               const struct ccz_rpc_client_cfg *cfg,
                                               struct ccz_err *err);
/** Cancels what is running. Not inside a callback of the client (`done`): it waits for the thread that those run on. */
CCZ_API void ccz_rpc_client_free(struct ccz_rpc_client *c);
CCZ_DEFINE_AUTO(ccz_rpc_client)
/** Blocks until every connection of one address is ready, or all addresses have failed: the place where a server's
 *  evidence is judged before anything is sent. @p peer (may be NULL) describes the newest connection. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_client_connect(struct ccz_ratls_peer *peer,
                                                   struct ccz_rpc_client *c, struct ccz_err *err);

/** New connections use @p ctx from here on, as with servers. Any thread. */
CCZ_API void ccz_rpc_client_set_ratls(struct ccz_rpc_client *c, struct ccz_ratls_ctx *ctx);
/** Every connection is replaced by a new one, and ends with the calls it has. Any thread. @retval CCZ_E_NOMEM */
CCZ_API ccz_rc ccz_rpc_client_recycle(struct ccz_rpc_client *c);

/**
 * What came besides messages: header metadata, trailer metadata, and the rich status. Made by the caller and named in
 * struct ccz_rpc_call_cfg; each call that names it clears and fills it. One call at a time.
 */
struct ccz_rpc_received;
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_received_new(struct ccz_rpc_received **out);
CCZ_API void ccz_rpc_received_free(struct ccz_rpc_received *r); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_rpc_received)
/** Fields in order of arrival, repeated keys too: `for (size_t at = 0; ccz_rpc_received_header(&md, &at, r);)`. A response that is
 *  nothing but a status has trailers only. */
CCZ_API CCZ_MUST_USE bool ccz_rpc_received_header(struct ccz_rpc_md *md, size_t *at,
                                                  const struct ccz_rpc_received *r);
CCZ_API CCZ_MUST_USE bool ccz_rpc_received_trailer(struct ccz_rpc_md *md, size_t *at,
                                                   const struct ccz_rpc_received *r);
/** First value of @p key, headers before trailers; ptr NULL if absent. */
CCZ_API struct ccz_span ccz_rpc_received_get(const struct ccz_rpc_received *r, const char *key);
/** grpc-message in full, decoded, terminated, untrusted and not escaped; "" if none. */
CCZ_API struct ccz_span ccz_rpc_received_message(const struct ccz_rpc_received *r);
/** grpc-status-details-bin: bytes of a google.rpc.Status; ptr NULL if absent. */
CCZ_API struct ccz_span ccz_rpc_received_details(const struct ccz_rpc_received *r);

struct ccz_rpc_call_cfg {
    int64_t timeout_ms; /**< 0 = 30 s; sent as grpc-timeout; INT64_MAX = none */
    const struct ccz_rpc_md *metadata;
    size_t metadata_len;
    unsigned retries; /**< further attempts after UNAVAILABLE, for idempotent methods only; what a
                              server refused unbegun (GOAWAY) is sent again in any case. The server can say when, or
                              that not, by "grpc-retry-pushback-ms"; it is told of earlier attempts */
    bool
        request_lent; /**< ccz_rpc_unary_async(): the request stays as it is until `done` runs, and is not copied */
    bool wait_for_ready;                  /**< wait for a connection instead of failing at once */
    enum ccz_rpc_compression compression; /**< of requests */
    /** Filled when the call is over: before the unary call returns or its `done` runs; of a stream, inside
     *  ccz_rpc_stream_headers() and the ccz_rpc_stream_recv() that says how it ended. NULL = not of interest */
    struct ccz_rpc_received *received;
};
/** What came back besides the message. */
struct ccz_rpc_result {
    enum ccz_rpc_code code;
    char message[256]; /**< grpc-message, decoded, cut */
    char replica[64];  /**< response header "ccz-replica", or "" */
    unsigned attempts;
    bool compressed; /**< the response of a unary call came compressed */
};
/**
 * Blocking unary call; not from a ccz_rpc_done_fn. @param[out] response appended @param[out] result may be NULL
 * @retval the rc of ccz_rpc_rc_of(result->code); err carries the peer's where / got / expected / hint and its
 *         rc as aux if given (ccz_rpc_fail()). If no connection could be made, the rc and reason of that:
 *         a refused server is CCZ_E_POLICY, CCZ_E_SIG, ..., a refusing one CCZ_E_PEER.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_unary(struct ccz_buf *response, struct ccz_rpc_result *result,
                                          struct ccz_rpc_client *c, const char *path,
                                          struct ccz_span request,
                                          const struct ccz_rpc_call_cfg *cfg, struct ccz_err *err);
/** Called once on the channel's thread; @p response is borrowed; @p err is NULL on success. */
typedef void (*ccz_rpc_done_fn)(void *arg, struct ccz_span response,
                                const struct ccz_rpc_result *result, const struct ccz_err *err);
/** Unary call without waiting. @p request is copied (but see request_lent). @p done always runs exactly once if this returned CCZ_OK. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_unary_async(struct ccz_rpc_client *c, const char *path,
                                                struct ccz_span request,
                                                const struct ccz_rpc_call_cfg *cfg,
                                                ccz_rpc_done_fn done, void *arg);

/** A streaming call, used from one thread at a time (reading and writing may be two threads). */
struct ccz_rpc_stream;
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_stream_open(struct ccz_rpc_stream **out,
                                                struct ccz_rpc_client *c, const char *path,
                                                const struct ccz_rpc_call_cfg *cfg,
                                                struct ccz_err *err);
/** Blocks while flow control is closed. @retval CCZ_E_CLOSED the call is over: read the result @retval CCZ_E_NOMEM nothing is sent */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_stream_send(struct ccz_rpc_stream *s, struct ccz_span msg);
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_stream_half_close(struct ccz_rpc_stream *s);
/** Next message, appended to @p msg. @retval CCZ_E_NOT_FOUND end of stream with status OK;
 *  any other error: the call's status */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_stream_recv(struct ccz_buf *msg, struct ccz_rpc_stream *s,
                                                struct ccz_rpc_result *result, struct ccz_err *err);
/** Waits for the response's header metadata and puts it into the `received` of the call's configuration, if any.
 *  @retval CCZ_E_CLOSED the call was over before any came: read the result */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_stream_headers(struct ccz_rpc_stream *s);
/** For messages sent from now on, of a stream that was opened with CCZ_RPC_GZIP; else nothing. */
CCZ_API void ccz_rpc_stream_set_compression(struct ccz_rpc_stream *s,
                                            enum ccz_rpc_compression compression);
/** The message that ccz_rpc_stream_recv() gave last had been compressed; on the reader's thread. */
CCZ_API bool ccz_rpc_stream_compressed(const struct ccz_rpc_stream *s);
CCZ_API void ccz_rpc_stream_cancel(struct ccz_rpc_stream *s);
CCZ_API void ccz_rpc_stream_free(struct ccz_rpc_stream *s); /**< cancels if still open */
CCZ_DEFINE_AUTO(ccz_rpc_stream)

#ifdef __cplusplus
}
#endif
#endif
