/* SPDX-License-Identifier: Apache-2.0 */
/* Channels of a server: who may open one, and the queue of those that wait to be accepted. */
#define _DEFAULT_SOURCE
#include "chan.h"
#include "server.h"

#include "base/condwait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHANNELS_MAX = 64 };

struct ccz_rpc_chan_server {
    struct ccz_rpc_chan_server_cfg cfg;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct cczi_chan *waiting, **waiting_tail;
    unsigned waiting_len;
    unsigned open_len; /* calls that are not over */
    bool stopped;
};

static struct ccz_rpc_call *call_of(const struct cczi_chan *c)
{
    return (struct ccz_rpc_call *)c->st;
}

/* --------------------------------------------------------------------------- of the channel */

static void flush(struct cczi_chan *c)
{
    if (c->st && call_of(c)->conn)
        cczi_sconn_flush(call_of(c)->conn);
}

static void end(struct cczi_chan *c)
{
    if (c->st)
        cczi_stream_finish(c->st, CCZ_RPC_OK, NULL);
}

static void abort_call(struct cczi_chan *c)
{
    struct cczi_sconn *conn = call_of(c)->conn;
    cczi_stream_reset(c->st, NGHTTP2_CANCEL); /* a status could wait for flow control */
    if (conn)
        cczi_sconn_flush(conn);
}

static void refuse(struct cczi_chan *c, const struct ccz_err *why)
{
    ccz_rpc_fail(call_of(c), why);
}

static const struct cczi_chan_side server_side = {
    .flush = flush, .end = end, .abort = abort_call, .refuse = refuse};

/* ------------------------------------------------------------------------------ of the queue */

/* Broke before it was accepted; who closed in order may have left messages. */
static bool is_dead(struct cczi_chan *c)
{
    pthread_mutex_lock(&c->lock);
    bool dead = c->over && !c->peer_closed;
    pthread_mutex_unlock(&c->lock);
    return dead;
}

/* The first that waits under that name; dead ones on the way are dropped. The lock is held. */
static struct cczi_chan *find(struct ccz_rpc_chan_server *s, const char *channel, const char *party)
{
    struct cczi_chan **at = &s->waiting, *found = NULL;
    while (*at && !found) {
        struct cczi_chan *c = *at;
        bool dead = is_dead(c);
        if (!dead && ((channel && strcmp(channel, c->channel) != 0) ||
                      (party && strcmp(party, c->party) != 0))) {
            at = &c->next_waiting;
            continue;
        }
        *at = c->next_waiting;
        if (!*at)
            s->waiting_tail = at;
        s->waiting_len--;
        if (dead)
            cczi_chan_unref(c);
        else
            found = c;
    }
    return found;
}

/* ------------------------------------------------------------------------------ of the call */

static ccz_rc name_from(char out[CCZ_RPC_CHAN_NAME_SIZE], const struct ccz_rpc_call *call,
                        const char *key, struct ccz_err *err)
{
    struct ccz_span name = ccz_rpc_metadata(call, key);
    if (!cczi_chan_name_ok(name))
        return ccz_fail(err, CCZ_E_ARG, "rpc-chan:name", 0,
                        "metadata %s has to be 1 to %d of [A-Za-z0-9._-]", key,
                        CCZ_RPC_CHAN_NAME_SIZE - 1);
    memcpy(out, name.ptr, name.size);
    out[name.size] = 0;
    return CCZ_OK;
}

/* Takes a place among the open ones. */
static ccz_rc enter(struct ccz_rpc_chan_server *s, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    pthread_mutex_lock(&s->lock);
    (void)find(s, "", NULL); /* no such name: drops the dead ones */
    if (s->stopped)
        rc = ccz_fail(err, CCZ_E_UNAVAILABLE, "rpc-chan:stopped", 0,
                      "the server takes no more channels");
    else if (s->open_len >= s->cfg.channels_max || s->waiting_len >= s->cfg.channels_max)
        rc = ccz_fail(err, CCZ_E_LIMIT, "rpc-chan:channels", (int64_t)s->cfg.channels_max,
                      "%u channels are open", s->cfg.channels_max);
    s->open_len += rc == CCZ_OK;
    pthread_mutex_unlock(&s->lock);
    return rc;
}

static void leave(struct ccz_rpc_chan_server *s)
{
    pthread_mutex_lock(&s->lock);
    s->open_len--;
    pthread_mutex_unlock(&s->lock);
}

static ccz_rc open_channel(struct cczi_chan **out, struct ccz_rpc_chan_server *s,
                           struct ccz_rpc_call *call, struct ccz_err *err)
{
    char channel[CCZ_RPC_CHAN_NAME_SIZE], party[CCZ_RPC_CHAN_NAME_SIZE];
    const struct ccz_ratls_peer *peer = ccz_rpc_peer(call);
    struct cczi_chan *c;
    ccz_rc rc = name_from(channel, call, "ccz-channel", err);
    if (rc == CCZ_OK)
        rc = name_from(party, call, "ccz-party", err);
    if (rc == CCZ_OK && s->cfg.allow)
        rc = s->cfg.allow(s->cfg.allow_arg, channel, party, peer, err);
    if (rc == CCZ_OK)
        rc = enter(s, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_chan_new(&c, &server_side, &s->cfg.limits, err);
    if (rc != CCZ_OK) {
        leave(s);
        return rc;
    }
    memcpy(c->channel, channel, sizeof(channel));
    memcpy(c->party, party, sizeof(party));
    c->peer = *peer;
    c->owner = s;
    c->loop = call->loop;
    c->st = &call->st;
    c->st->out_high = c->limits.send_size_max;
    c->started = c->opened = true;
    c->refs = 2; /* of the call, and of the queue */
    *out = c;
    return CCZ_OK;
}

static void on_start(struct ccz_rpc_call *call, void *arg)
{
    struct ccz_rpc_chan_server *s = arg;
    struct cczi_chan *c;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF frame;
    ccz_buf_init(&frame, 16);
    ccz_rc rc = open_channel(&c, s, call, &err);
    if (rc != CCZ_OK) {
        ccz_rpc_call_set_arg(call, NULL);
        err.rc = rc;
        ccz_rpc_fail(call, &err);
        return;
    }
    ccz_rpc_call_set_arg(call, c);
    cczi_chan_frame_put(&frame, CCZI_CHAN_OPEN, 0);
    ccz_rpc_send(call, ccz_buf_span(&frame));
    pthread_mutex_lock(&s->lock);
    bool stopped = s->stopped; /* meanwhile */
    if (!stopped) {
        *s->waiting_tail = c;
        s->waiting_tail = &c->next_waiting;
        s->waiting_len++;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    if (stopped)
        cczi_chan_discard(c, "the server takes no more channels");
}

static void on_message(struct ccz_rpc_call *call, void *arg, struct ccz_span msg)
{
    (void)call;
    if (arg)
        cczi_chan_frame(arg, msg);
}

static void on_half_close(struct ccz_rpc_call *call, void *arg)
{
    (void)call;
    if (arg)
        cczi_chan_half_close(arg);
}

static void on_writable(struct ccz_rpc_call *call, void *arg)
{
    (void)call;
    if (arg)
        cczi_chan_writable(arg);
}

static void on_done(struct ccz_rpc_call *call, void *arg, bool cancelled)
{
    struct cczi_chan *c = arg;
    struct ccz_err err;
    if (!c)
        return;
    leave(c->owner);
    if (cancelled)
        ccz_fail(&err, CCZ_E_CLOSED, "rpc-chan:lost", 0, "%s",
                 call->st.has_code && call->st.message[0]
                     ? call->st.message
                     : "the connection was lost, or the peer gave up");
    cczi_chan_over(c, cancelled ? &err : NULL);
}

/* ------------------------------------------------------------------------------ for the user */

ccz_rc ccz_rpc_chan_server_new(struct ccz_rpc_chan_server **out, struct ccz_rpc_server *server,
                               const struct ccz_rpc_chan_server_cfg *cfg, struct ccz_err *err)
{
    static const struct ccz_rpc_chan_server_cfg defaults;
    static const struct ccz_rpc_handler handler = {.on_start = on_start,
                                                   .on_message = on_message,
                                                   .on_half_close = on_half_close,
                                                   .on_done = on_done,
                                                   .on_writable = on_writable};
    *out = NULL;
    struct ccz_rpc_chan_server *s = calloc(1, sizeof(*s));
    if (!s)
        return ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
    s->cfg = cfg ? *cfg : defaults;
    if (!s->cfg.channels_max)
        s->cfg.channels_max = CHANNELS_MAX;
    s->waiting_tail = &s->waiting;
    pthread_mutex_init(&s->lock, NULL);
    cczi_cond_init(&s->changed);
    ccz_rc rc = ccz_rpc_server_add(server, CCZI_CHAN_PATH, &handler, s);
    if (rc != CCZ_OK) {
        ccz_rpc_chan_server_free(s);
        return ccz_fail(err, rc, "rpc-chan:method", 0, "%s cannot be added: %s", CCZI_CHAN_PATH,
                        ccz_rc_str(rc));
    }
    *out = s;
    return CCZ_OK;
}

ccz_rc ccz_rpc_chan_accept(struct ccz_chan **out, struct ccz_rpc_chan_server *s,
                           const char *channel, const char *party, int64_t timeout_ms,
                           struct ccz_err *err)
{
    int64_t deadline = cczi_deadline_ms(timeout_ms);
    bool time_left = true;
    struct cczi_chan *c = NULL;
    *out = NULL;
    pthread_mutex_lock(&s->lock);
    while (!s->stopped && !(c = find(s, channel, party)) && time_left)
        time_left = cczi_cond_wait(&s->changed, &s->lock, deadline);
    bool stopped = s->stopped;
    pthread_mutex_unlock(&s->lock);
    if (c)
        return cczi_chan_wrap(out, c, c->party, err);
    if (stopped)
        return ccz_fail(err, CCZ_E_CLOSED, "rpc-chan:stopped", 0,
                        "the server takes no more channels");
    return ccz_fail(err, CCZ_E_TIMEOUT, "rpc-chan:accept-timeout", timeout_ms,
                    "no channel %s of %s within %lld ms", channel ? channel : "(any)",
                    party ? party : "(anybody)", (long long)timeout_ms);
}

void ccz_rpc_chan_server_stop(struct ccz_rpc_chan_server *s)
{
    pthread_mutex_lock(&s->lock);
    struct cczi_chan *list = s->waiting;
    s->waiting = NULL;
    s->waiting_tail = &s->waiting;
    s->waiting_len = 0;
    s->stopped = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    while (list) {
        struct cczi_chan *c = list;
        list = c->next_waiting;
        cczi_chan_discard(c, "the server takes no more channels");
    }
}

void ccz_rpc_chan_server_free(struct ccz_rpc_chan_server *s)
{
    if (!s)
        return;
    ccz_rpc_chan_server_stop(s);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
