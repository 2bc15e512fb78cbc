/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_RPC_CHAN_H
#define CCZI_RPC_CHAN_H
/*
 * A channel between a blocking user and one gRPC call, the same for both roles. chan.c: the user's side and what happens
 * on the loop; chan_frame.c: the frames; chan_client.c and chan_server.c: the calls.
 */
#include "h2.h"

#include <cczoo/net.h>
#include <cczoo/rpc_chan.h>

#include <pthread.h>

#define CCZI_CHAN_PATH "/cczoo.Channel/Open"

/* -------------------------------------------------------------------------- chan_frame.c */

enum cczi_chan_kind { CCZI_CHAN_LAST, CCZI_CHAN_MORE, CCZI_CHAN_CLOSE, CCZI_CHAN_OPEN };
enum { CCZI_CHAN_FRAME_SIZE = 1 << 18 }; /* data in one frame, at most */
/* Frame in proto/channel.proto. @p data is borrowed. @retval CCZ_E_PEER "rpc-chan:frame" */
CCZ_MUST_USE ccz_rc cczi_chan_frame_get(enum cczi_chan_kind *kind, struct ccz_span *data,
                                        struct ccz_span frame, struct ccz_err *err);
/* Head of a frame; @p size bytes of data follow. */
void cczi_chan_frame_put(struct ccz_buf *out, enum cczi_chan_kind kind, size_t size);
bool cczi_chan_name_ok(struct ccz_span name);

/* -------------------------------------------------------------------------------- chan.c */

struct cczi_chan_message {
    struct cczi_chan_message *next;
    struct ccz_buf bytes;
};

struct cczi_chan {
    /* fixed after the channel is made */
    const struct cczi_chan_side *side;
    struct ccz_loop *loop;
    struct ccz_rpc_chan_limits limits;
    char channel[CCZ_RPC_CHAN_NAME_SIZE], party[CCZ_RPC_CHAN_NAME_SIZE];
    struct ccz_ratls_peer peer; /* client: set before `opened` */
    void *owner;                /* client: the client; server: the channel server */

    /* loop only */
    struct cczi_stream *st; /* NULL once over */
    bool started;           /* the call has a connection */
    bool ended;             /* our direction is closed */

    pthread_mutex_t lock; /* for everything below */
    pthread_cond_t changed;
    unsigned refs; /* of the user and of the call */
    bool posted;   /* on_kick() comes */
    /* to send */
    struct cczi_out *out, **out_tail;
    size_t out_size;
    bool above; /* the connection's queue is full: senders wait */
    bool own_closed, abort;
    /* received */
    struct cczi_chan_message *in, **in_tail; /* whole messages */
    size_t in_size;                          /* of them, with a bit for each */
    struct ccz_buf part;                     /* the message that is coming */
    uint64_t progress;                       /* changes with every frame */
    bool paused, resume;
    bool opened;
    /* outcome: no more will come; why.rc is set with the first of the two */
    bool peer_closed, over;
    struct ccz_err why;
    struct ccz_err open_err; /* client: why it was not opened */
    /* server: in the queue of those that wait for ccz_rpc_chan_accept() */
    struct cczi_chan *next_waiting;
};

/* What differs between the roles; on the loop, without the lock. */
struct cczi_chan_side {
    void (*flush)(struct cczi_chan *c); /* the stream was given something to send */
    void (*end)(struct cczi_chan *c);   /* our direction ends in order, after what was sent */
    void (*abort)(struct cczi_chan *c); /* the call ends at once */
    /* From the stream's own callback: the call ends with c->why. */
    void (*refuse)(struct cczi_chan *c, const struct ccz_err *why);
};

/* One reference. @retval CCZ_E_NOMEM */
CCZ_MUST_USE ccz_rc cczi_chan_new(struct cczi_chan **out, const struct cczi_chan_side *side,
                                  const struct ccz_rpc_chan_limits *limits, struct ccz_err *err);
/* Gives up one reference. */
void cczi_chan_unref(struct cczi_chan *c);
/* A ccz_chan around @p c, whose user's reference it takes over in any case. */
CCZ_MUST_USE ccz_rc cczi_chan_wrap(struct ccz_chan **out, struct cczi_chan *c, const char *address,
                                   struct ccz_err *err);
/* Ends it for a user who never got it: closes with @p reason and gives up the user's reference. */
void cczi_chan_discard(struct cczi_chan *c, const char *reason);

/* On the loop. */
void cczi_chan_started(struct cczi_chan *c);
void cczi_chan_frame(struct cczi_chan *c, struct ccz_span frame);
void cczi_chan_half_close(struct cczi_chan *c); /* server: the client ended its direction */
void cczi_chan_writable(struct cczi_chan *c);
/* The call is over; gives up its reference. @p why NULL: in order */
void cczi_chan_over(struct cczi_chan *c, const struct ccz_err *why);
#endif
