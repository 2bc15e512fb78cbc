/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_RPC_CLIENT_H
#define CCZI_RPC_CLIENT_H
/*
 * The client's objects. client.c: the channel and unary calls; target.c: addresses and the choice among them; channel.c:
 * connections, what a call does when there is none, retries; stream.c: streaming calls.
 */
#include "h2.h"
#include "wire/wire.h"

#include <pthread.h>

struct ccz_rpc_client;
struct cczi_slot;

/* One connection. It leaves its slot when the server asks for that (GOAWAY) and ends with its last
 * call. */
struct cczi_cconn {
    struct cczi_cconn *prev, *next; /* all of the client */
    struct ccz_rpc_client *client;
    struct cczi_slot *slot; /* NULL: no new calls */
    struct cczi_wire *wire;
    struct cczi_h2 *h2; /* NULL until ready */
    int64_t heard_ms;
    struct cczi_deadline keepalive;
    bool busy, again;           /* as in the server, and while the client holds */
    struct ccz_err why;         /* it was lost, or is about to be */
    struct ccz_ratls_peer peer; /* once ready; of the wire, which a step may have on the pool */
};

/* A place for one of the parallel connections to an address. */
struct cczi_slot {
    struct cczi_address *address;
    struct cczi_cconn *conn;    /* NULL: resting */
    struct cczi_deadline timer; /* connecting: limit; resting: next attempt */
    unsigned failures;          /* in a row */
};

struct cczi_address {
    struct cczi_entry *entry;
    char text[CCZ_ADDR_TEXT_SIZE];
    unsigned next_slot;
    struct cczi_slot slots[]; /* cfg.connections */
};

/* One of the entries of a target: an address, or a name that stands for several. */
struct cczi_entry {
    struct ccz_rpc_client *client;
    char *text;
    bool is_name, started;
    /* names */
    struct ccz_lookup *lookup;
    struct cczi_deadline
        timer; /* next look-up, after one that failed; of a literal: next attempt to make its address */
    unsigned failures; /* of these in a row */
    int64_t looked_ms;
    char (*found)[CCZ_ADDR_TEXT_SIZE];
    size_t found_len;
    bool v6, used;  /* the family in use */
    unsigned flips; /* of the family, since a connection was ready */
    unsigned seed;  /* failures that its slots began with */
};

struct ccz_rpc_received {
    struct cczi_md md; /* headers, then trailers */
    size_t trailers_at;
    struct ccz_buf message; /* grpc-message, decoded */
};
/* received.c */
void cczi_received_init(struct ccz_rpc_received *r);
void cczi_received_deinit(struct ccz_rpc_received *r);
void cczi_received_clear(struct ccz_rpc_received *r);
/* Takes the metadata out of a stream that is over. */
void cczi_received_take(struct ccz_rpc_received *r, struct cczi_stream *st);
void cczi_received_move(struct ccz_rpc_received *to, struct ccz_rpc_received *from);
/* Empty if memory is out. */
void cczi_received_copy_headers(struct ccz_rpc_received *r, const struct cczi_stream *st);

/* Whom a streaming call belongs to: stream.c, chan_client.c. All run on the loop. */
struct cczi_ccall_ops {
    void (*started)(void *user); /* the call has a connection: send what waits */
    void (*headers)(void *user); /* of the response; NULL = not of interest */
    void (*message)(void *user, struct ccz_span msg);
    void (*writable)(void *user);
    void (*over)(void *user, const struct ccz_rpc_result *result, const struct ccz_err *err);
};

/* A call, from its start to its outcome; on the loop's thread unless said otherwise. */
struct cczi_ccall {
    struct cczi_stream st; /* first: of the current attempt */
    struct cczi_ccall *prev,
        *next; /* all running calls of the client, or the list of incoming ones */
    struct ccz_rpc_client *client;
    struct cczi_cconn *conn;           /* of the current attempt; NULL: parked or resting */
    const struct cczi_slot *last_slot; /* a retry prefers another one; compared only */
    struct cczi_deadline timer;        /* deadline, or the end of a rest before that */
    struct cczi_md metadata;
    struct cczi_out *request; /* unary; a reference for further attempts */
    int64_t deadline_ms;
    unsigned retries_left, messages;
    enum ccz_rpc_compression compression;
    bool wait;         /* for a connection, as long as the deadline allows */
    bool wait_refused; /* also while servers refuse us, or we them */
    bool parked;
    struct cczi_ccall *park_prev, *park_next; /* of the parked calls, oldest first */
    struct ccz_span response;                 /* unary: in the framer of st */
    struct ccz_rpc_result result;
    struct ccz_rpc_received *received; /* to be filled at the end, or NULL */
    struct ccz_err err;
    ccz_rpc_done_fn done; /* unary */
    void *done_arg;
    const struct cczi_ccall_ops *ops; /* or these: a streaming call */
    void *user;
    char path[];
};

struct ccz_rpc_client {
    struct ccz_rpc_client_cfg cfg;
    char *target;
    struct ccz_loop *loop;
    struct cczi_wire_pool *pool;
    pthread_t thread;
    bool started;
    /* any thread */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* ready, unreachable, failures */
    struct cczi_ccall *incoming, **incoming_tail;
    bool posted;
    bool ready;                 /* one address has all its connections */
    bool unreachable;           /* none has, and each has failed */
    bool final;                 /* as `failed` */
    uint64_t failures;          /* connection failures so far */
    struct ccz_err last_err;    /* of the last one */
    struct ccz_ratls_peer peer; /* of the newest connection */
    /* loop thread */
    struct cczi_deadlines deadlines;
    struct cczi_stock *stock;  /* any thread */
    struct cczi_deadline trim; /* of the stock, after the last call */
    struct ccz_buf scratch, out;
    bool out_busy; /* as in the server */
    struct cczi_entry *entries;
    size_t entries_len;
    struct cczi_address **addresses;
    size_t addresses_len, next_address;
    struct cczi_cconn *conns;
    struct cczi_ccall *calls;
    struct cczi_ccall *parked_first, *parked_last;
    size_t parked_len;
    unsigned holds; /* while calls start together, connections do not send */
    bool feeding;   /* received bytes are worked on: what is submitted then is taken afterwards */
    bool failed;    /* for good: reconnect is off, or there was no memory to try again */
    bool stopping;
};

/* client.c */
/* @retval CCZ_E_ARG  rpc:path, rpc:metadata */
CCZ_MUST_USE ccz_rc cczi_ccall_new(struct cczi_ccall **out, struct ccz_rpc_client *c,
                                   const char *path, const struct ccz_rpc_call_cfg *cfg,
                                   struct ccz_err *err);
void cczi_ccall_free(struct cczi_ccall *call);
/* Any thread: hands the call to the loop. @return false if memory is out (nothing was handed over)
 */
CCZ_MUST_USE bool cczi_client_submit(struct cczi_ccall *call);
/* Starts what was submitted. */
void cczi_client_take_incoming(struct ccz_rpc_client *c);
/* The call is over: result and err are set; tells the owner and frees it. */
void cczi_ccall_finish(struct cczi_ccall *call);
/* As a local outcome with @p why. */
void cczi_ccall_fail(struct cczi_ccall *call, enum ccz_rpc_code code, const struct ccz_err *why);

/* target.c; all but the first and the last on the loop */
/* @retval CCZ_E_FORMAT net:address @retval CCZ_E_ARG rpc:target */
CCZ_MUST_USE ccz_rc cczi_target_init(struct ccz_rpc_client *c, struct ccz_err *err);
void cczi_target_start(struct ccz_rpc_client *c);
void cczi_target_stop(struct ccz_rpc_client *c); /* no timers and look-ups any more */
/* A connection to one of the entry's addresses was lost or could not be made. Slots of the entry may be gone afterwards. */
void cczi_entry_lost(struct cczi_entry *e);
/* As ccz_rpc_client.ready and .unreachable. */
void cczi_target_judge(bool *ready, bool *unreachable, const struct ccz_rpc_client *c);
/* A connection is being made, or about to be, whose last attempt did not fail. */
bool cczi_target_may_come(const struct ccz_rpc_client *c);
/* There is a connection, or one is being made or has not been tried. */
bool cczi_target_alive(const struct ccz_rpc_client *c);
/* The next ready connection in turn, NULL if none; another address than that of @p last, if there is one, or at least another
 * slot. */
struct cczi_cconn *cczi_target_pick(struct ccz_rpc_client *c, const struct cczi_slot *last);
void cczi_target_deinit(struct ccz_rpc_client *c);

/* channel.c */
void cczi_slot_start(struct cczi_slot *slot); /* connects; if it failed before, after a rest */
/* The slot will be gone; what runs on its connection ends as usual. */
void cczi_slot_close(struct cczi_slot *slot);
int64_t cczi_backoff_ms(const struct ccz_rpc_client *c, unsigned failures);
void cczi_channel_note_failure(struct ccz_rpc_client *c, const struct ccz_err *err);
/* There was no memory to try again: a failure for good. cczi_channel_changed() follows as above. */
void cczi_channel_no_memory(struct ccz_rpc_client *c);
/* Addresses came, went or failed. */
void cczi_channel_changed(struct ccz_rpc_client *c);
void cczi_channel_recycle(struct ccz_rpc_client *c);
void cczi_channel_start(struct ccz_rpc_client *c); /* begins to connect, once */
void cczi_channel_call(struct cczi_ccall *call);   /* starts, parks or fails it */
void cczi_channel_stop(struct ccz_rpc_client *c);  /* cancels all, closes all */
/* Sends what the engine has, now or when it returns or the hold ends. The connection may be gone after it. */
void cczi_cconn_flush(struct cczi_cconn *conn);
void cczi_channel_hold(struct ccz_rpc_client *c);
void cczi_channel_release(struct ccz_rpc_client *c);
void cczi_ccall_cancel(struct cczi_ccall *call); /* ends with CANCELLED */
void cczi_ccall_unpark(struct cczi_ccall *call);
#endif
