/* SPDX-License-Identifier: Apache-2.0 */
/* Channels of a client: each is a call of its own, as in stream.c. */
#define _DEFAULT_SOURCE
#include "chan.h"
#include "client.h"

#include "base/condwait.h"

#include <stdio.h>

#define OPEN_TIMEOUT_MS INT64_C(30000)
#define LIFETIME_MS     (INT64_C(7) * 24 * 3600 * 1000)

static struct cczi_ccall *call_of(const struct cczi_chan *c)
{
    return (struct cczi_ccall *)c->st;
}

/* --------------------------------------------------------------------------- of the channel */

static void flush(struct cczi_chan *c)
{
    if (c->st && call_of(c)->conn)
        cczi_cconn_flush(call_of(c)->conn);
}

static void end(struct cczi_chan *c)
{
    if (c->st)
        cczi_stream_half_close(c->st);
}

static void abort_call(struct cczi_chan *c)
{
    cczi_ccall_cancel(call_of(c));
}

static void refuse(struct cczi_chan *c, const struct ccz_err *why)
{
    struct cczi_stream *st = c->st;
    st->code = ccz_rpc_code_of(why->rc);
    (void)snprintf(st->message, sizeof(st->message), "%s: %s", why->where, why->msg);
    st->has_code = true;
    cczi_stream_reset(st, NGHTTP2_CANCEL);
}

static const struct cczi_chan_side client_side = {
    .flush = flush, .end = end, .abort = abort_call, .refuse = refuse};

/* ------------------------------------------------------------------------------ of the call */

static void on_started(void *user)
{
    struct cczi_chan *c = user;
    c->peer = call_of(c)->conn->peer; /* not of the client, which may have others */
    cczi_chan_started(c);
}

static void on_message(void *user, struct ccz_span msg)
{
    cczi_chan_frame(user, msg);
}

static void on_writable(void *user)
{
    cczi_chan_writable(user);
}

static void on_over(void *user, const struct ccz_rpc_result *result, const struct ccz_err *err)
{
    (void)result;
    cczi_chan_over(user, err);
}

static const struct cczi_ccall_ops call_ops = {
    .started = on_started, .message = on_message, .writable = on_writable, .over = on_over};

/* ------------------------------------------------------------------------------ for the user */

static ccz_rc start(struct cczi_chan *c, struct ccz_rpc_client *client,
                    const struct ccz_rpc_chan_cfg *cfg, struct ccz_err *err)
{
    const struct ccz_rpc_md md[] = {{"ccz-channel", ccz_span_str(c->channel)},
                                    {"ccz-party", ccz_span_str(c->party)}};
    struct ccz_rpc_call_cfg call_cfg = {.timeout_ms =
                                            cfg->lifetime_ms > 0 ? cfg->lifetime_ms : LIFETIME_MS,
                                        .metadata = md,
                                        .metadata_len = 2,
                                        .wait_for_ready = cfg->wait_for_ready};
    struct cczi_ccall *call;
    ccz_rc rc = cczi_ccall_new(&call, client, CCZI_CHAN_PATH, &call_cfg, err);
    if (rc != CCZ_OK)
        return rc;
    call->ops = &call_ops;
    call->user = c;
    c->owner = client;
    c->loop = client->loop;
    c->st = &call->st;
    c->st->out_high = c->limits.send_size_max;
    c->refs = 2; /* nobody else knows it yet */
    if (cczi_client_submit(call))
        return CCZ_OK;
    c->refs = 1;
    cczi_ccall_free(call);
    return ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
}

/* Until the server let us in. */
static ccz_rc wait_open(struct cczi_chan *c, int64_t timeout_ms, struct ccz_err *err)
{
    int64_t deadline = cczi_deadline_ms(timeout_ms);
    ccz_rc rc = CCZ_OK;
    pthread_mutex_lock(&c->lock);
    while (!c->opened && !c->over && cczi_cond_wait(&c->changed, &c->lock, deadline))
        ;
    if (c->opened) {
        rc = CCZ_OK;
    } else if (!c->over) {
        rc = ccz_fail(err, CCZ_E_TIMEOUT, "rpc-chan:open-timeout", timeout_ms,
                      "the channel was not opened within %lld ms", (long long)timeout_ms);
        c->own_closed = c->abort = true;
    } else {
        const struct ccz_err *why = c->open_err.rc != CCZ_OK ? &c->open_err : &c->why;
        rc = why->rc;
        if (err)
            *err = *why;
    }
    pthread_mutex_unlock(&c->lock);
    return rc;
}

ccz_rc ccz_rpc_chan_connect(struct ccz_chan **out, struct ccz_rpc_client *client,
                            const struct ccz_rpc_chan_cfg *cfg, struct ccz_err *err)
{
    struct cczi_chan *c;
    const char *channel = cfg->channel ? cfg->channel : "default";
    const char *party = cfg->party ? cfg->party : "client";
    *out = NULL;
    if (!cczi_chan_name_ok(ccz_span_str(channel)) || !cczi_chan_name_ok(ccz_span_str(party)))
        return ccz_fail(err, CCZ_E_ARG, "rpc-chan:name", 0,
                        "names of channels and parties have 1 to %d of [A-Za-z0-9._-]",
                        CCZ_RPC_CHAN_NAME_SIZE - 1);
    ccz_rc rc = cczi_chan_new(&c, &client_side, &cfg->limits, err);
    if (rc != CCZ_OK)
        return rc;
    (void)snprintf(c->channel, sizeof(c->channel), "%s", channel);
    (void)snprintf(c->party, sizeof(c->party), "%s", party);
    rc = start(c, client, cfg, err);
    if (rc == CCZ_OK) {
        rc = wait_open(c, cfg->open_timeout_ms > 0 ? cfg->open_timeout_ms : OPEN_TIMEOUT_MS, err);
        if (rc == CCZ_OK)
            return cczi_chan_wrap(out, c, client->target, err);
        cczi_chan_discard(c, "not opened");
        return rc;
    }
    cczi_chan_unref(c);
    return rc;
}
