/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CHAN_H
#define CCZ_CHAN_H
/**
 * @file chan.h
 * Channels: messages of bytes between two parties, in order, whole and each once. Algorithms of two or more parties
 * are written over this interface and know no network: tests and single-process demos use ccz_chan_pair(), deployments
 * the adapter over gRPC inside RA-TLS (rpc_chan.h).
 *
 * A channel has two ends. Messages have borders: one receive yields what one send took. What travels is not
 * authenticated or encrypted here; that is the transport's business. Queues are not wiped: no secrets in the clear.
 *
 * Waiting: every call ends within the channel's time limit (ccz_chan_set_timeout()) with CCZ_E_TIMEOUT or earlier.
 * **Exchange rule**: a send into a direction in which nothing is under way does not wait for the peer, whatever the
 * message's size. So two parties may both send one message and then both receive. Beyond that, sends wait while more than
 * the channel's queue limit is under way.
 *
 * Errors are sticky per direction: after the first failed send every later send returns the same error, likewise for
 * receives, so that a run of calls needs one test at its end. The one exception is CCZ_E_TIMEOUT of a receive: nothing
 * was consumed, and the message may still come. After an orderly close of the peer, what it had sent is still received;
 * then receives end with CCZ_E_CLOSED, "chan:closed" and the peer's reason.
 *
 * Ownership and threads: each end is owned by one party and freed once by it. One thread may send while another one
 * receives; more need a lock of their own. Any thread may close; only ccz_chan_free() must come after the others have
 * returned. Closing or freeing an end wakes the waiting calls of both ends.
 * Reading order of the sources: chan.c (the interface), pair.c (in memory), fault.c (for tests).
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_CHAN_TIMEOUT_MS INT64_C(60000) /**< default limit of one call */
#define CCZ_CHAN_MESSAGE_SIZE_MAX                                                                  \
    ((size_t)1 << 30) /**< larger messages are refused, "chan:message-size" */
#define CCZ_CHAN_QUEUE_SIZE ((size_t)16 << 20) /**< default queue limit per direction */
#define CCZ_CHAN_NAME_SIZE  64

struct ccz_chan;

/**
 * Sends one message (copied).
 * @retval CCZ_E_TIMEOUT  the queue stayed full, "chan:send-timeout"
 * @retval CCZ_E_CLOSED   this end or the peer's is closed, "chan:closed"; the message holds the reason
 * @retval CCZ_E_LIMIT    above CCZ_CHAN_MESSAGE_SIZE_MAX, "chan:message-size"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_chan_send(struct ccz_chan *c, struct ccz_span msg,
                                          struct ccz_err *err);
/** As ccz_chan_send(), for one message that lies in @p len pieces (a header and a body, say). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_chan_send_parts(struct ccz_chan *c, const struct ccz_span *parts,
                                                size_t len, struct ccz_err *err);
/** As ccz_chan_send(), with the message's own memory where the transport can take it instead of a copy: for large messages.
 *  @p msg is empty afterwards, in any case. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_chan_send_buf(struct ccz_chan *c, struct ccz_buf *msg,
                                              struct ccz_err *err);
/**
 * Receives one message, appended to @p msg.
 * @retval CCZ_E_TIMEOUT  none came, "chan:recv-timeout"; may be called again
 * @retval CCZ_E_CLOSED   the channel is closed and everything that came before was received, "chan:closed"
 * @retval CCZ_E_LIMIT    the message does not fit msg->max_size, "chan:message-size"; it is lost, @p msg is unchanged
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_chan_recv(struct ccz_buf *msg, struct ccz_chan *c,
                                          struct ccz_err *err);
/** As ccz_chan_recv() with a time limit of its own; 0 = only what is there already. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_chan_recv_within(struct ccz_buf *msg, struct ccz_chan *c,
                                                 int64_t timeout_ms, struct ccz_err *err);
/**
 * Receives one message of exactly @p size bytes to @p out.
 * @retval CCZ_E_PEER  the message has another size, "chan:size" with got and expected; sticky, @p out is zeroed
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_chan_recv_exact(void *out, size_t size, struct ccz_chan *c,
                                                struct ccz_err *err);

/** Time limit of each call from now on; 0 = CCZ_CHAN_TIMEOUT_MS, INT64_MAX = none. Any thread. */
CCZ_API void ccz_chan_set_timeout(struct ccz_chan *c, int64_t timeout_ms);
/**
 * Ends both directions; messages sent before still reach the peer, which then sees CCZ_E_CLOSED with @p reason (one
 * line; NULL = "closed by the peer"). What the peer sent and nobody received is dropped. Does not wait. The first close
 * counts. Any thread.
 */
CCZ_API void ccz_chan_close(struct ccz_chan *c, const char *reason);
/**
 * Closes because of @p err, with its `where`: what it says besides, values and paths, stays here. If it is that another peer
 * closed ("chan:closed"), what that one said is passed on.
 */
CCZ_API void ccz_chan_close_error(struct ccz_chan *c, const struct ccz_err *err);
CCZ_API void ccz_chan_free(struct ccz_chan *c); /**< closes if need be; NULL is fine */
CCZ_DEFINE_AUTO(ccz_chan)

/** What passed one end so far. */
struct ccz_chan_stats {
    uint64_t sent_len, sent_size;         /**< messages and their bytes, accepted by send */
    uint64_t received_len, received_size; /**< likewise, delivered by recv */
    uint64_t
        rounds; /**< receives that directly followed a send: round trips of a party that does both in
                              one thread */
    int64_t waited_ns; /**< time spent inside recv */
};
CCZ_API struct ccz_chan_stats ccz_chan_stats(const struct ccz_chan *c); /**< any thread */
/** For messages: the name given at creation, "party-b" or "10.0.0.2:4433/train". */
CCZ_API const char *ccz_chan_name(const struct ccz_chan *c);

/* --------------------------------------------------------------------------- in one process */

struct ccz_chan_pair_cfg {
    size_t
        queue_size_max; /**< bytes under way per direction before senders wait; 0 = CCZ_CHAN_QUEUE_SIZE */
    const char *name[2]; /**< of the ends; NULL = "pair-0", "pair-1" */
};
/** Two ends of a new channel. @p cfg may be NULL. Both are NULL unless CCZ_OK. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_chan_pair(struct ccz_chan **a, struct ccz_chan **b,
                                          const struct ccz_chan_pair_cfg *cfg, struct ccz_err *err);

/* -------------------------------------------------------------------------- other transports */

/** A transport. Calls follow the thread rules above; sizes are checked and errors kept by the caller. */
struct ccz_chan_ops {
    /** Takes one message (copies) or waits at most @p timeout_ms. */
    ccz_rc (*send)(void *self, const struct ccz_span *parts, size_t len, int64_t timeout_ms,
                   struct ccz_err *err);
    /** Appends one message to @p msg (sets msg->bad if it does not fit) or waits at most @p timeout_ms. */
    ccz_rc (*recv)(struct ccz_buf *msg, void *self, int64_t timeout_ms, struct ccz_err *err);
    /** Called at most once; wakes send and recv. @p reason is never NULL. */
    void (*close)(void *self, const char *reason);
    /** Last; close came before. */
    void (*free)(void *self);
    /** As send, may take @p msg's memory over, and leaves it empty then; never one that is to be wiped. NULL: send is used. */
    ccz_rc (*send_buf)(void *self, struct ccz_buf *msg, int64_t timeout_ms, struct ccz_err *err);
};
/** @param self  taken over in any case: freed by ops->free (after ops->close) also if this fails */
CCZ_API CCZ_MUST_USE ccz_rc ccz_chan_new(struct ccz_chan **out, const struct ccz_chan_ops *ops,
                                         void *self, const char *name, struct ccz_err *err);
/** The transport's object if @p c is of that kind, else NULL. */
CCZ_API void *ccz_chan_self(const struct ccz_chan *c, const struct ccz_chan_ops *ops);

/* --------------------------------------------------------------------------------- for tests */

/** What goes wrong, counted in messages of that direction from 1; 0 = never. */
struct ccz_chan_fault_cfg {
    uint64_t send_cut_after,
        recv_cut_after; /**< the channel breaks after so many messages, "chan:cut" */
    uint64_t send_shorten,
        recv_shorten;              /**< this message loses its last byte (empty ones gain one) */
    uint64_t send_flip, recv_flip; /**< this message has one bit flipped in the middle */
    uint64_t send_repeat;          /**< this message is sent twice */
    uint64_t send_drop;            /**< this message is not sent */
    int64_t delay_ms;              /**< before every receive */
};
/** Wraps @p inner (taken over in any case) so that a test can break it at a chosen place. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_chan_fault_new(struct ccz_chan **out, struct ccz_chan *inner,
                                               const struct ccz_chan_fault_cfg *cfg,
                                               struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
