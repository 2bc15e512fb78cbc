/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_NET_H
#define CCZ_NET_H
/**
 * @file net.h
 * Event loop, timers, stream sockets, listeners, an HTTP/1.1 server, metrics, and a blocking HTTP(S) client. No
 * protocol above the byte stream except HTTP/1.1; TLS is the caller's engine (tls.h) between ccz_conn and its
 * messages, but for the client, which has its own.
 *
 * Threading rule: an object belongs to the loop it was made with, and is used on the thread that runs
 * that loop (or before any thread runs it). The exceptions are ccz_loop_post(), ccz_loop_stop() and
 * ccz_loop_is_current(), which any thread may call. Callbacks run on the loop's thread and must not block.
 * Callbacks are never entered from inside a call of the same object: failures met by ccz_conn_write() or
 * ccz_conn_connect() are told by on_closed() later. Connections, timers and listeners may be freed inside
 * their own callbacks, an HTTP server may not.
 *
 * libevent and libcurl are used only in src/net. Signals of the peer (SIGPIPE) never reach the process.
 * Reading order of the sources: sigpipe.c, loop.c, addr.c, resolve.c, lookup.c, conn.c, listen.c, http.c, http_bound.c, http_client.c, metrics.c.
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------- loop */

struct ccz_loop;
/** @retval CCZ_E_UNAVAILABLE  net:loop: no epoll, eventfd or memory */
CCZ_API CCZ_MUST_USE ccz_rc ccz_loop_new(struct ccz_loop **out, struct ccz_err *err);
/**
 * Frees a loop that is not running. Functions still posted are run first, so that each accepted
 * ccz_loop_post() runs exactly once. Connections, timers, listeners and servers of the loop must have
 * been freed; connections given to ccz_conn_end() are closed here.
 */
CCZ_API void ccz_loop_free(struct ccz_loop *loop);
CCZ_DEFINE_AUTO(ccz_loop)
/** Runs callbacks until ccz_loop_stop(). @retval CCZ_E_IO  net:run: the poller failed */
CCZ_API CCZ_MUST_USE ccz_rc ccz_loop_run(struct ccz_loop *loop, struct ccz_err *err);
/** Ends ccz_loop_run() after the current callback; also if it comes before the run. Any thread. */
CCZ_API void ccz_loop_stop(struct ccz_loop *loop);
/** As ccz_loop_stop(), but not before the last connection that was given to ccz_conn_end() is over: what was
 *  written is sent. On the loop's thread. */
CCZ_API void ccz_loop_finish(struct ccz_loop *loop);
/**
 * Runs @p fn on the loop's thread, in order of posting. Any thread.
 * @retval CCZ_E_NOMEM  nothing was posted
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_loop_post(struct ccz_loop *loop, void (*fn)(void *arg), void *arg);
/** True on the thread that is inside ccz_loop_run(). Any thread. */
CCZ_API bool ccz_loop_is_current(const struct ccz_loop *loop);
/**
 * Calls @p fn on the loop's thread whenever signal @p signo arrives, until the loop is freed. One loop of
 * a process handles signals; other threads need not block them.
 * @retval CCZ_E_ARG  net:signal
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_loop_on_signal(struct ccz_loop *loop, int signo,
                                               void (*fn)(void *arg, int signo), void *arg,
                                               struct ccz_err *err);

/* ------------------------------------------------------------------------------------ timers */

/** Made once, set often. */
struct ccz_timer;
CCZ_API CCZ_MUST_USE ccz_rc ccz_timer_new(struct ccz_timer **out, struct ccz_loop *loop,
                                          void (*fn)(void *arg), void *arg);
CCZ_API void ccz_timer_free(struct ccz_timer *t); /**< cancels; NULL is fine */
CCZ_DEFINE_AUTO(ccz_timer)
/**
 * Fires in @p delay_ms (never early; usually within 5 ms), then every @p period_ms if that is not 0.
 * Replaces what was set before. Negative delays count as 0, INT64_MAX is never.
 * @return false: no memory for one more timer of the loop; @p t is not set. A timer that is set already can always be moved.
 */
CCZ_API bool ccz_timer_set(struct ccz_timer *t, int64_t delay_ms, int64_t period_ms);
/** Fires once, in this turn of the loop, before it looks at any socket again. On the loop's thread. */
CCZ_API void ccz_timer_now(struct ccz_timer *t);
CCZ_API void ccz_timer_cancel(struct ccz_timer *t); /**< fn is not called any more */

/* ------------------------------------------------------------------------------- connections */

/**
 * Addresses: "127.0.0.1:8443", "[::1]:8443", "name:8443", "unix:/run/x.sock". Ports are 0..65535;
 * 0 makes sense for listening only. Text forms of peers are the same, names excepted.
 */
#define CCZ_ADDR_TEXT_SIZE 128 /**< holds any address text with its NUL */

struct ccz_conn;
/** All optional except on_closed. `arg` is ccz_conn_cfg.arg. */
struct ccz_conn_ops {
    /** ccz_conn_connect() succeeded. Not called for adopted sockets. */
    void (*on_open)(struct ccz_conn *c, void *arg);
    /** Bytes arrived; @p data is valid during the callback and at most CCZ_CONN_READ_SIZE. */
    void (*on_data)(struct ccz_conn *c, void *arg, struct ccz_span data);
    /** The pending output fell to the low mark after it had risen above the high mark; or all of it was sent after
     *  ccz_conn_tell_sent() or ccz_conn_shutdown(). */
    void (*on_drained)(struct ccz_conn *c, void *arg);
    /**
     * The connection ends without the owner's doing. Once with CCZ_E_CLOSED: nothing more arrives, but the peer may only have
     * closed its side, and what is written still reaches it. And once with any other reason, perhaps after that: nothing moves
     * any more, nor does on_drained() come. The owner still frees @p c (or ends it, to send what is pending).
     *  - CCZ_E_CLOSED       net:eof: the peer ended its stream in order
     *  - CCZ_E_IO           net:read, net:write: aux = errno (ECONNRESET, EPIPE, ENOMEM, ...)
     *  - CCZ_E_UNAVAILABLE  net:connect: no address accepted, aux = errno of the last; net:resolve: aux = EAI_*
     *  - CCZ_E_TIMEOUT      net:connect-timeout
     */
    void (*on_closed)(struct ccz_conn *c, void *arg, const struct ccz_err *err);
};
#define CCZ_CONN_READ_SIZE    65536               /**< one read, one on_data */
#define CCZ_CONN_OUT_SIZE_MAX ((size_t)256 << 20) /**< default bound of pending output */
#define CCZ_CONN_OUT_HIGH     ((size_t)1 << 20)   /**< default high mark */
struct ccz_conn_cfg {
    const struct ccz_conn_ops *ops; /**< required, outlives the connection */
    void *arg;
    size_t out_size_max;        /**< 0 = CCZ_CONN_OUT_SIZE_MAX */
    size_t out_high;            /**< 0 = CCZ_CONN_OUT_HIGH; the low mark is a quarter of it */
    int64_t connect_timeout_ms; /**< names, all addresses and handshake together; 0 = 10 s */
    bool
        keepalive; /**< SO_KEEPALIVE, with the system's times: a peer that vanished is noticed, unless reading is paused */
};
/**
 * Starts connecting; the result comes through on_open() or on_closed(). Names are resolved off the loop;
 * their addresses are tried in order.
 * @retval CCZ_E_FORMAT  net:address   @retval CCZ_E_NOMEM
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_conn_connect(struct ccz_conn **out, struct ccz_loop *loop,
                                             const char *address, const struct ccz_conn_cfg *cfg,
                                             struct ccz_err *err);
/** Takes a connected stream socket and makes it non-blocking; @p fd is closed even on failure. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_conn_adopt(struct ccz_conn **out, struct ccz_loop *loop, int fd,
                                           const struct ccz_conn_cfg *cfg);
/** Closes at once, pending output is lost; no callback follows. NULL is fine. */
CCZ_API void ccz_conn_free(struct ccz_conn *c);
/**
 * Gives @p c up: pending output is sent, the stream ended and the peer's end awaited, all within
 * @p timeout_ms; then it is freed, and at once if there is no memory for the limit. No callback follows.
 */
CCZ_API void ccz_conn_end(struct ccz_conn *c, int64_t timeout_ms);
/** As ccz_conn_free(), and the peer sees an error instead of an end (TCP: reset; unix sockets have no such thing). */
CCZ_API void ccz_conn_reset(struct ccz_conn *c);
/** As if writing had failed with errno @p why: nothing more is sent, on_closed() says CCZ_E_IO at the end of the turn. For owners
 *  that meet a failure where they cannot be called back; needs no memory. Nothing if @p c is not open. */
CCZ_API void ccz_conn_fail(struct ccz_conn *c, int why);
/** Ends the outgoing stream behind what is pending; reading goes on. on_drained() says when it is done, on_closed() if
 *  it cannot be. */
CCZ_API void ccz_conn_shutdown(struct ccz_conn *c);
/** Calls on_drained(), once, when nothing is pending any more. */
CCZ_API void ccz_conn_tell_sent(struct ccz_conn *c);
/**
 * Queues @p data (copied). What was queued during one loop turn leaves in one system call at its end;
 * large data meeting an empty queue goes straight to the socket.
 * @retval CCZ_E_CLOSED  the connection is not open (any more); on_closed() tells why. Or it was shut down
 * @retval CCZ_E_LIMIT   out_size_max would be exceeded; nothing of @p data was queued
 * @retval CCZ_E_NOMEM   nothing of @p data was queued or sent. Where the kernel has taken a part already, on_closed() tells of it
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_conn_write(struct ccz_conn *c, struct ccz_span data);
/** Sends what is queued now instead of at the end of the turn: when the peer can work on it while we go on. */
CCZ_API void ccz_conn_push(struct ccz_conn *c);
CCZ_API size_t
ccz_conn_pending(const struct ccz_conn *c); /**< queued bytes the kernel has not taken */
/** Gives back the output buffer if nothing is queued; it comes back by itself. For idle connections. */
CCZ_API void ccz_conn_trim(struct ccz_conn *c);
/** False from crossing the high mark until on_drained(): a good moment to stop producing. */
CCZ_API bool ccz_conn_writable(const struct ccz_conn *c);
/** Stops and restarts on_data() (flow control). While paused, the peer's end goes unnoticed too. */
CCZ_API void ccz_conn_pause(struct ccz_conn *c);
CCZ_API void ccz_conn_resume(struct ccz_conn *c);
/** Peer's address for logs, borrowed; "unix:" for unnamed sockets, "" before on_open(). */
CCZ_API const char *ccz_conn_peer(const struct ccz_conn *c);
CCZ_API struct ccz_loop *ccz_conn_loop(const struct ccz_conn *c);

/** @param[out] is_name  it holds a name that has to be looked up @retval CCZ_E_FORMAT  net:address */
CCZ_API CCZ_MUST_USE ccz_rc ccz_address_check(bool *is_name, const char *address,
                                              struct ccz_err *err);
/** One look-up of a name under way. */
struct ccz_lookup;
#define CCZ_LOOKUP_MAX 64 /**< addresses of one name */
/** @p addresses are literals for ccz_conn_connect(), in the system's order, valid during the call; @p err is NULL unless there are none:
 *  CCZ_E_UNAVAILABLE (net:resolve, aux = EAI_*), CCZ_E_NOMEM. */
typedef void (*ccz_lookup_fn)(void *arg, const char (*addresses)[CCZ_ADDR_TEXT_SIZE], size_t len,
                              const struct ccz_err *err);
/** Looks the name of @p address up, off the loop. @p done runs once on the loop, not inside this call; @p out is gone then.
 *  @retval CCZ_E_FORMAT  net:address @retval CCZ_E_ARG  net:resolve: no name @retval CCZ_E_NOMEM */
CCZ_API CCZ_MUST_USE ccz_rc ccz_lookup_start(struct ccz_lookup **out, struct ccz_loop *loop,
                                             const char *address, ccz_lookup_fn done, void *arg,
                                             struct ccz_err *err);
CCZ_API void ccz_lookup_cancel(struct ccz_lookup *l); /**< done does not run; NULL is fine */

/* ---------------------------------------------------------------------------------- listener */

struct ccz_listener;
struct ccz_listen_cfg {
    const char
        *address; /**< required, no name; port 0 = any free port. A unix path must not exist. */
    bool
        reuse_port; /**< several loops, each with its own listener, share the port (SO_REUSEPORT) */
    int backlog;    /**< 0 = 1024, cut by the kernel to its maximum */
    /** A connection came: @p fd is non-blocking and the callee's (ccz_conn_adopt() or close()). */
    void (*on_accept)(void *arg, int fd, const char *peer);
    void *arg;
};
/**
 * Out of file descriptors, accepting rests for 100 ms instead of spinning.
 * @retval CCZ_E_FORMAT  net:address
 * @retval CCZ_E_IO      net:listen, aux = errno (EADDRINUSE, EACCES, ...)
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_listen(struct ccz_listener **out, struct ccz_loop *loop,
                                       const struct ccz_listen_cfg *cfg, struct ccz_err *err);
CCZ_API void ccz_listener_free(struct ccz_listener *l); /**< NULL is fine; removes a unix path */
CCZ_DEFINE_AUTO(ccz_listener)
CCZ_API uint16_t ccz_listener_port(const struct ccz_listener *l); /**< the bound port; 0 for unix */

/* --------------------------------------------------------------------------- HTTP/1.1 server */

struct ssl_st; /* OpenSSL's SSL, type-erased */
struct ccz_http_server;
/** One request and its answer-to-be. */
struct ccz_http_req;

#define CCZ_HTTP_HEADER_SIZE_MAX                                                                   \
    ((size_t)16 << 10)                            /**< default limit of request line and headers */
#define CCZ_HTTP_BODY_SIZE_MAX ((size_t)64 << 20) /**< default limit of a request body */

/** Told of each change of what a connection holds: bytes that came in and were not taken by the parser, before and after; bytes of
 *  answers that the socket has not taken. On the loop's thread; must not close the connection, but may shut its socket down. */
struct ccz_http_counter {
    void (*input)(struct ccz_http_counter *c, size_t before, size_t now);
    void (*output)(struct ccz_http_counter *c, size_t now);
};

struct ccz_http_server_cfg {
    const char *listen; /**< as ccz_listen_cfg.address */
    bool reuse_port;
    /**
     * Called for each request with its whole body. Must answer by ccz_http_reply() exactly once, at once
     * or later, on the loop's thread. Methods: GET, HEAD, POST, PUT, DELETE, OPTIONS (others get 501).
     */
    void (*on_request)(void *arg, struct ccz_http_req *req);
    void *arg;
    /**
     * TLS: returns a new server-side SSL object, which the connection takes over; NULL refuses the
     * connection. Without this function the server speaks plain HTTP.
     */
    struct ssl_st *(*new_ssl)(void *ssl_arg);
    void *ssl_arg;
    size_t header_size_max; /**< 0 = CCZ_HTTP_HEADER_SIZE_MAX; more is answered with 400 or 413 */
    size_t body_size_max;   /**< 0 = CCZ_HTTP_BODY_SIZE_MAX; more is answered with 413 */
    int64_t
        idle_timeout_ms; /**< no byte read or written for so long closes; 0 = 30 s. Not counted while
                                  the answer is awaited. */
    /* All connections together. Whoever is above a limit is closed without an answer, and counted. */
    unsigned connections_max;         /**< open at once; 0 = 1024 */
    unsigned address_connections_max; /**< of them from one IPv4 address or IPv6 /64; 0 = half.
                                           Unix sockets have none. */
    /** Bytes of requests that are not answered yet; one address may have half. Above it who has been sending for longest is cut,
     *  and never a request that is whole, or of less than 32 KiB. 0 = 256 MiB, but at least two of the largest bodies. */
    size_t kept_size_max;
    int64_t
        request_timeout_ms; /**< from its first byte, or that of a handshake, to its last; 0 = 120 s */
    /** new_ssl() bounds all that for itself, nothing is counted here; whom to tell what is held of a connection, which lives as long
     *  as its TLS object. NULL = counted here. */
    struct ccz_http_counter *(*counter_of)(struct ssl_st *ssl);
};
/** @retval as ccz_listen() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_http_server_new(struct ccz_http_server **out, struct ccz_loop *loop,
                                                const struct ccz_http_server_cfg *cfg,
                                                struct ccz_err *err);
/**
 * Before freeing, where requests must not be lost: closes the port, lets what on_request() was given be
 * answered, and ends each connection with its answer. Requests that come after this are refused with 503.
 * @param on_idle  called each time nothing is left to be answered or sent, for the first time perhaps
 *                 inside this call; a good moment for ccz_loop_stop(). It must not free the server.
 */
CCZ_API void ccz_http_server_drain(struct ccz_http_server *s, void (*on_idle)(void *arg),
                                   void *arg);
/** Closes all connections; requests not answered yet stay valid until they are. */
CCZ_API void ccz_http_server_free(struct ccz_http_server *s);
CCZ_DEFINE_AUTO(ccz_http_server)
CCZ_API uint16_t ccz_http_server_port(const struct ccz_http_server *s);
struct ccz_http_server_stats {
    size_t connections, kept_size; /**< now */
    /** Connections closed since the start: over connections_max, over address_connections_max, over kept_size_max (or more
     *  than one request), over request_timeout_ms. */
    uint64_t refused_connections, refused_address, refused_size, refused_slow;
};
/** Any thread. */
CCZ_API void ccz_http_server_stats(struct ccz_http_server_stats *out,
                                   const struct ccz_http_server *s);

/* What is returned here is borrowed from the request and valid until ccz_http_reply(), even if the client
 * goes away first. */
CCZ_API const char *ccz_http_method(const struct ccz_http_req *req); /**< "GET", ... */
CCZ_API const char *ccz_http_path(const struct ccz_http_req *req); /**< as sent, still %-encoded */
CCZ_API const char *
ccz_http_query(const struct ccz_http_req *req); /**< behind '?', encoded; "" if none */
/** Value of the first header @p name (any case), NULL if absent. */
CCZ_API const char *ccz_http_header(const struct ccz_http_req *req, const char *name);
/** How many headers of that name there are: where more than one would be read differently by others. */
CCZ_API size_t ccz_http_header_count(const struct ccz_http_req *req, const char *name);
CCZ_API struct ccz_span ccz_http_body(const struct ccz_http_req *req);
/** Overwrites the body where it lies, for secrets in requests; the views of it stay valid. */
CCZ_API void ccz_http_wipe(struct ccz_http_req *req);
CCZ_API const char *ccz_http_peer(const struct ccz_http_req *req); /**< "ip:port" */
/** The connection's TLS object (peer certificate, exporter); NULL for plain HTTP, or if the client has gone. */
CCZ_API struct ssl_st *ccz_http_ssl(const struct ccz_http_req *req);

struct ccz_http_field {
    const char *name, *value; /**< no CR or LF */
};
struct ccz_http_answer {
    unsigned status;          /**< 200..599 */
    const char *content_type; /**< NULL = none */
    struct ccz_span body;     /**< copied; left out for HEAD and 204, 304 */
    const struct ccz_http_field *headers;
    size_t headers_len;
    bool close; /**< end the connection after this answer */
};
/** Answers and frees @p req; does nothing else if the client has gone. */
CCZ_API void ccz_http_reply(struct ccz_http_req *req, const struct ccz_http_answer *answer);

/* --------------------------------------------------------------------------------- metrics */

/**
 * What a program tells Prometheus: GET /metrics over plain HTTP, on a loop and thread of its own. Anybody who reaches the address
 * reads it: it is for loopback and networks of the operator, and the text holds nothing that he may not see.
 */
struct ccz_metrics;
struct ccz_metrics_cfg {
    const char *listen; /**< as ccz_listen_cfg.address */
    /** Appends text of version 0.0.4 to @p out, at most 4 MiB; what fails there is answered with 500. Called on the thread of
     *  the metrics, until ccz_metrics_free(). */
    void (*put)(void *arg, struct ccz_buf *out);
    void *arg;
};
/** @retval as ccz_listen()  @retval CCZ_E_UNAVAILABLE  net:metrics: no thread */
CCZ_API CCZ_MUST_USE ccz_rc ccz_metrics_start(struct ccz_metrics **out,
                                              const struct ccz_metrics_cfg *cfg,
                                              struct ccz_err *err);
CCZ_API uint16_t ccz_metrics_port(const struct ccz_metrics *m);
/** Ends the thread, from any other one. NULL is fine. */
CCZ_API void ccz_metrics_free(struct ccz_metrics *m);
CCZ_DEFINE_AUTO(ccz_metrics)

/* ---------------------------------------------------------------------------- HTTP(S) client */

/**
 * A blocking client for fetching public documents and asking services: GET and POST, HTTP/1.1, connections are kept between
 * calls. Any thread may call; calls of one client wait for each other. Independent of any loop: do not
 * call it on a loop's thread.
 *
 * Strict by default: https only, TLS 1.2 or later, the system's certificate authorities, no redirects
 * (whoever answers must be whom the URL names), no credentials in URLs, and no environment variables: a
 * proxy is used only if it is configured.
 */
struct ccz_http_client;
#define CCZ_HTTP_GET_BODY_SIZE_MAX   ((size_t)4 << 20) /**< default limit of a body */
#define CCZ_HTTP_GET_HEADER_SIZE_MAX ((size_t)64 << 10)
struct ccz_http_client_cfg {
    int64_t timeout_ms;         /**< of a whole GET; 0 = 30 s */
    int64_t connect_timeout_ms; /**< name look-up, connection, TLS; 0 = 10 s */
    size_t body_size_max;       /**< 0 = CCZ_HTTP_GET_BODY_SIZE_MAX */
    const char *ca_file;        /**< PEM authorities instead of the system's; NULL = the system's */
    const char *proxy;          /**< e.g. "http://proxy:3128"; NULL = direct */
    const char *secret_name; /**< a header with a secret value, e.g. a subscription key; or NULL */
    const struct ccz_secret *secret; /**< its value, borrowed until ccz_http_client_free() */
    const char *
        secret_prefix; /**< URLs that get the secret begin with this, e.g. "https://host/"; required
                                    with secret_name: a key is shown to its owner only */
    /** NULL, or asked in the thread of a request, about once a second while nothing comes: true ends it. For programs that end. */
    bool (*is_over)(void *arg);
    void *is_over_arg;
    bool any_certificate_insecure; /**< accept whatever certificate the server shows */
    bool plain_http_insecure;      /**< http:// to other hosts than this one's loopback */
};
/** @param cfg texts are copied @retval CCZ_E_ARG  http:config @retval CCZ_E_NOMEM, CCZ_E_UNAVAILABLE */
CCZ_API CCZ_MUST_USE ccz_rc ccz_http_client_new(struct ccz_http_client **out,
                                                const struct ccz_http_client_cfg *cfg,
                                                struct ccz_err *err);
CCZ_API void ccz_http_client_free(struct ccz_http_client *c); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_http_client)
/**
 * GET @p url. Success means that a whole answer came, whatever its status says (but see redirects).
 * @param[out] status   100..599; 0 on failure
 * @param[out] body     cleared, then filled up to the smaller of body->max_size and body_size_max
 * @param[out] headers  cleared, then one line "Name: value\n" for each field; for ccz_http_field_get()
 * @retval CCZ_E_ARG          http:url: malformed, or with credentials
 * @retval CCZ_E_DENIED       http:plain: not https, and neither loopback nor allowed
 * @retval CCZ_E_UNAVAILABLE  http:resolve, http:connect
 * @retval CCZ_E_UNTRUSTED    http:certificate
 * @retval CCZ_E_PEER         http:tls, http:protocol, http:redirect
 * @retval CCZ_E_TIMEOUT      http:timeout
 * @retval CCZ_E_CLOSED       http:closed: the answer ended early; http:over: is_over() said so
 * @retval CCZ_E_LIMIT        http:body-size, http:header-size
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_http_get(unsigned *status, struct ccz_buf *body,
                                         struct ccz_buf *headers, struct ccz_http_client *c,
                                         const char *url, struct ccz_err *err);
/** A request with a body. Texts without CR or LF; borrowed during the call. */
struct ccz_http_post {
    const char *url;
    const char *content_type; /**< required */
    const char *field;        /**< one more header line "Name: value", or NULL */
    struct ccz_span body;
};
/**
 * POST: as ccz_http_get(), whatever it answers. For services that may be asked twice: when a kept connection turns out to
 * be closed, and nothing of an answer came, it is sent again.
 * @retval CCZ_E_ARG  http:post: no content type, or a line end in a text @retval others  of ccz_http_get()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_http_send_post(unsigned *status, struct ccz_buf *body,
                                               struct ccz_buf *headers, struct ccz_http_client *c,
                                               const struct ccz_http_post *post,
                                               struct ccz_err *err);
/** Value of the first field @p name (any case) in header lines, without surrounding blanks; ptr is NULL if
 *  it is absent. */
CCZ_API struct ccz_span ccz_http_field_get(struct ccz_span headers, const char *name);

/**
 * Appends @p text with %XX decoded (RFC 3986, 2.1); '+' stays.
 * @retval CCZ_E_FORMAT  http:percent: malformed escape, or %00
 * @retval CCZ_E_LIMIT   http:percent: beyond out->max_size
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_http_decode(struct ccz_buf *out, struct ccz_span text,
                                            struct ccz_err *err);
/**
 * Value of the first `key=value` in a query, as sent. @return false (and *value empty) if absent
 */
CCZ_API CCZ_MUST_USE bool ccz_http_query_get(struct ccz_span *value, const char *query,
                                             const char *key);

#ifdef __cplusplus
}
#endif
#endif
