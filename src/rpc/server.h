/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_RPC_SERVER_H
#define CCZI_RPC_SERVER_H
/* The server's objects: server.c owns loops and connections, call.c the calls. */
#include "h2.h"
#include "wire/wire.h"

#include <pthread.h>
#include <stdatomic.h>

struct ccz_rpc_server;
struct cczi_worker;

/* What handlers may ask about a peer; outlives the connection if a call does. */
struct cczi_peer {
    atomic_uint refs;
    struct ccz_ratls_peer ratls;
    char address[CCZ_ADDR_TEXT_SIZE];
};
void cczi_peer_unref(struct cczi_peer *p);

struct cczi_method {
    char *path;
    struct ccz_rpc_handler handler; /* if unary is NULL */
    ccz_rpc_unary_fn unary;
    void *arg;
};

/* guard.c */
struct cczi_guard {
    char *prefix;
    size_t size;
    ccz_rpc_guard_fn fn;
    void *arg;
};
struct cczi_guards {
    struct cczi_guard *list;
    size_t len;
};
CCZ_MUST_USE ccz_rc cczi_guards_add(struct cczi_guards *gs, const char *prefix, ccz_rpc_guard_fn fn,
                                    void *arg);
void cczi_guards_free(struct cczi_guards *gs);
/* CCZ_E_ARG: one of them covers none of these methods. "/" covers whatever there is. */
CCZ_MUST_USE ccz_rc cczi_guards_check(const struct cczi_guards *gs,
                                      const struct cczi_method *methods, size_t len,
                                      struct ccz_err *err);
/* @return false: the call was refused, and has its status */
CCZ_MUST_USE bool cczi_guards_pass(const struct cczi_guards *gs, struct ccz_rpc_call *c);

/* One connection; lives on its worker's loop. */
struct cczi_sconn {
    struct cczi_sconn *prev, *next;
    struct cczi_worker *worker;
    struct cczi_wire *wire;
    struct cczi_h2 *h2;     /* NULL until the peer is appraised */
    struct cczi_peer *peer; /* NULL: nobody asks just now, cczi_sconn_peer() */
    struct cczi_sconn *warm_prev, *warm_next;
    int64_t opened_ms, heard_ms;
    int64_t stuck_ms; /* since when its peer takes nothing of stuck_size bytes; 0 = it does */
    size_t stuck_size;
    int64_t unfinished_ms;  /* since when cczi_h2_unfinished(), 0 = it is not */
    int64_t age_ms;         /* of this connection, at which it is drained; 0 = none */
    int64_t drain_ms;       /* since when it is; 0 = it is not */
    bool too_old, recycled; /* why it is drained */
    bool busy;              /* inside feed or pull: flush when it returns */
    bool again;             /* flush was asked for meanwhile */
    bool warm;              /* in the worker's list of those */
};

/* One loop thread. */
struct cczi_worker {
    struct ccz_rpc_server *server;
    struct ccz_loop *loop;
    struct ccz_listener *listener;
    struct ccz_timer *tick;
    struct cczi_deadlines deadlines;
    struct ccz_buf scratch, out;
    bool out_busy; /* a pull fills `out`; what it calls must not */
    struct cczi_sconn *first;
    struct cczi_sconn *cursor; /* next one of a walk over all; conn_close() keeps it valid */
    size_t conns;
    struct cczi_sconn *warm_first, *warm_last; /* warm.c, longest there first */
    size_t warm_len;
    pthread_t thread;
    bool started;      /* the thread runs */
    atomic_bool ended; /* and came to its end */
    bool draining;
    _Atomic int64_t stop_ms; /* calls are cancelled from here on */
};

/* What a handler wants done to its call, when it is not on the loop. */
enum cczi_op_kind { CCZI_OP_HEADER, CCZI_OP_TRAILER, CCZI_OP_START, CCZI_OP_SEND, CCZI_OP_FINISH };
struct cczi_op {
    struct cczi_op *next;
    enum cczi_op_kind kind;
    enum ccz_rpc_code code;
    struct cczi_out *msg;
    size_t key_size, size;
    uint8_t bytes[]; /* key, then value; or the status message */
};

struct ccz_rpc_call {
    struct cczi_stream st; /* first: the engine's streams are calls */
    struct cczi_deadline deadline;
    struct cczi_sconn *conn;    /* loop thread only; NULL once closed */
    struct cczi_worker *worker; /* as conn */
    struct cczi_peer *peer;
    const struct cczi_method *method; /* NULL: the fallback */
    ccz_rpc_unary_fn unary;           /* NULL for streaming methods */
    void *arg;                        /* service_arg, then what the handler set */
    struct ccz_span request;          /* unary: valid as long as the call */
    const char *path;
    int64_t deadline_ms; /* ccz_mono_ms(); INT64_MAX = none */
    atomic_uint refs;
    atomic_bool cancelled;
    bool has_request, started;
    /* any thread */
    pthread_mutex_t lock;
    bool closed; /* the loop may be gone */
    bool posted, nomem;
    struct ccz_loop *loop;
    struct cczi_op *ops, **ops_tail;
};

extern const struct cczi_h2_ops cczi_server_ops; /* call.c; arg is a cczi_sconn */
/* ccz_rpc_fail() with another code. */
void cczi_call_fail_as(struct ccz_rpc_call *c, enum ccz_rpc_code code, const struct ccz_err *err);
/* The method for @p path, or NULL. */
const struct cczi_method *cczi_server_method(const struct ccz_rpc_server *s, const char *path);
const struct cczi_guards *cczi_server_guards(const struct ccz_rpc_server *s);
void cczi_server_fallback(const struct ccz_rpc_server *s, ccz_rpc_unary_fn *fn, void **arg);
struct cczi_stock *cczi_server_stock(const struct ccz_rpc_server *s);
size_t cczi_server_message_max(const struct ccz_rpc_server *s);
/* What is known of the peer; NULL = no memory. Borrowed. */
struct cczi_peer *cczi_sconn_peer(struct cczi_sconn *c);
/* warm.c: it was heard of; it ends; those that are silent give their buffers back. */
void cczi_sconn_warm(struct cczi_sconn *c);
void cczi_sconn_forget_warm(struct cczi_sconn *c);
void cczi_worker_cool(struct cczi_worker *w, int64_t now_ms);
bool cczi_server_running(const struct ccz_rpc_server *s);
/* Sends what the engine has, now or when it returns. The connection may be closed by it. */
void cczi_sconn_flush(struct cczi_sconn *c);
/* @p ms and up to a tenth more or less: connections that came together do not go together. */
int64_t cczi_spread_ms(int64_t ms);
/* Cancels every call of the connection: as if its client had. */
void cczi_sconn_cancel_calls(struct cczi_sconn *c, const char *why);

/* ccz_rpc_server_stop() in parts. The first two are for running servers; all of them do nothing to others. */
void cczi_server_begin_stop(struct ccz_rpc_server *s, int64_t grace_ms);
void cczi_server_hurry_stop(struct ccz_rpc_server *s); /* the grace is over */
bool cczi_server_stopped(const struct ccz_rpc_server *s);
void cczi_server_end_stop(struct ccz_rpc_server *s); /* waits */
#endif
