/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_WIRE_H
#define CCZI_WIRE_H
/* RA-TLS connections on an event loop, with what they need: many deadlines on one timer, threads for handshakes. What rpc and
 * tunnel stand on; not for programs. */
#include <cczoo/ratls.h>

#include <cczoo/net.h>

/* ------------------------------------------------------------- deadline.c: many on one timer */

/* Embedded in what has the deadline. Zeroed = not set. */
struct cczi_deadline {
    int64_t at_ms; /* ccz_mono_ms(); INT64_MAX = never */
    size_t pos;    /* 1 + place in the heap, 0 = not set */
    void (*fn)(struct cczi_deadline *d);
};
struct cczi_deadlines {
    struct cczi_deadline **heap; /* binary heap, earliest first */
    size_t len, cap;
    struct ccz_timer *timer;
    int64_t armed_ms; /* when the timer fires; INT64_MAX = not set */
};
CCZ_MUST_USE ccz_rc cczi_deadlines_init(struct cczi_deadlines *ds, struct ccz_loop *loop);
void cczi_deadlines_deinit(struct cczi_deadlines *ds);
/* Sets or moves. @return false if memory is out; it is not set then */
CCZ_MUST_USE bool cczi_deadline_set(struct cczi_deadlines *ds, struct cczi_deadline *d,
                                    int64_t at_ms);
void cczi_deadline_cancel(struct cczi_deadlines *ds, struct cczi_deadline *d);

/* -------------------------------------------------------------- pool.c: threads for handshakes */

struct cczi_job {
    struct cczi_job *next;
    void (*run)(struct cczi_job *job);
};
struct cczi_wire_pool;
CCZ_MUST_USE ccz_rc cczi_wire_pool_new(struct cczi_wire_pool **out, unsigned threads);
/* Waits for what was submitted. */
void cczi_wire_pool_free(struct cczi_wire_pool *p);
void cczi_wire_pool_submit(struct cczi_wire_pool *p, struct cczi_job *job);

/* --------------------------------------------------------------- wire.c: RA-TLS over a socket */

/*
 * One connection. The steps of the handshake, and of evidence again later (it is made and appraised there, which
 * can take a second on real hardware) run on the pool; everything else, and all callbacks, on the loop's
 * thread. Meanwhile the wire is busy: it reads nothing and takes nothing, and calls on_writable() afterwards.
 * The owner may free or end the wire inside its callbacks.
 */
struct cczi_wire;
struct cczi_wire_ops {
    void (*on_ready)(void *arg);
    void (*on_plain)(void *arg, struct ccz_span data);
    void (*on_writable)(void *arg); /* cczi_wire_writable() is true again, or may be */
    void (*on_attested)(
        void *arg); /* the peer's evidence was renewed: cczi_wire_peer(). NULL is fine */
    /* The peer has ended its direction, in order: no on_plain() any more, what is sent still reaches it. NULL: such
     * an end is on_closed(), with CCZ_E_CLOSED. */
    void (*on_end)(void *arg);
    /* Once, last: the wire is of no use any more; the owner frees it. A refusal of the handshake is
     * sent to the peer by then. */
    void (*on_closed)(void *arg, const struct ccz_err *err);
};
struct cczi_wire_cfg {
    struct ccz_loop *loop;
    struct cczi_wire_pool *pool;
    struct cczi_deadlines *deadlines; /* of this loop; outlives the wire */
    struct ccz_ratls_ctx *ratls;
    ccz_ratls_farewell_fn farewell; /* for refused peers; NULL is fine */
    const struct cczi_wire_ops *ops;
    void *arg;
    struct ccz_buf *scratch;    /* of this loop: plain bytes on their way to on_plain() */
    int64_t connect_timeout_ms; /* clients: TCP connect */
    size_t out_high;            /* as in struct ccz_conn_cfg, 0 = what suits rpc */
    bool keepalive;
    bool
        wipe; /* what was received, as ccz_ratls_set_wipe(); `scratch` is wiped if its owner says so */
};
CCZ_MUST_USE ccz_rc cczi_wire_accept(struct cczi_wire **out, const struct cczi_wire_cfg *cfg,
                                     int fd);
CCZ_MUST_USE ccz_rc cczi_wire_connect(struct cczi_wire **out, const struct cczi_wire_cfg *cfg,
                                      const char *address, struct ccz_err *err);
void cczi_wire_free(struct cczi_wire *w); /* at once; NULL is fine */
void cczi_wire_end(
    struct cczi_wire *w); /* sends what is queued and close_notify first; then frees */
/* Encrypts and queues. Failures come by on_closed(). */
void cczi_wire_send(struct cczi_wire *w, struct ccz_span plain);
/* Ends the own direction behind what was sent; not while busy. on_writable() is called when all of it has left. */
void cczi_wire_send_end(struct cczi_wire *w);
/* Stops and restarts reading from the socket: what was read already is still given to on_plain(), at most CCZ_CONN_READ_SIZE.
 * Paused in on_ready(), nothing is. Resuming may call any callback: not inside one of this wire. */
void cczi_wire_pause(struct cczi_wire *w);
void cczi_wire_resume(struct cczi_wire *w);
size_t cczi_wire_pending(const struct cczi_wire *w); /* bytes that the kernel has not taken */
void cczi_wire_tell_sent(
    struct cczi_wire *w); /* on_writable() is called when there are none any more */
/* What was sent leaves now instead of at the end of the loop's turn. */
void cczi_wire_push(struct cczi_wire *w);
bool cczi_wire_writable(const struct cczi_wire *w);
void cczi_wire_trim(
    struct cczi_wire
        *w); /* idle: gives back buffers that hold nothing; they come back by themselves */
bool cczi_wire_busy(const struct cczi_wire *w); /* do not end it now, unless at once */
const struct ccz_ratls_peer *cczi_wire_peer(const struct cczi_wire *w); /* NULL until ready */
const char *cczi_wire_address(const struct cczi_wire *w);
#endif
