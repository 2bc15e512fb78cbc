/* SPDX-License-Identifier: Apache-2.0 */
/* RA-TLS over a connection of the event loop. */
#define _DEFAULT_SOURCE
#include "wire.h"

#include "base/why.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

enum {
    LINGER_MS = 2000,   /* for the peer to read why it was refused, or our last answers */
    OUT_KEEP = 1 << 16, /* of a larger buffer, many connections would have one each for nothing */
    OUT_HIGH =
        1
        << 17 /* encrypted bytes that the kernel has not taken: more would only leave the caches */
};

struct cczi_wire {
    struct cczi_job job; /* first: the handshake step on the pool */
    struct cczi_wire_cfg cfg;
    struct ccz_conn *conn;
    struct ccz_ratls *ratls;
    struct ccz_buf out; /* for the socket */
    /* result of the job */
    struct cczi_why step;
    bool stepping;   /* the job has the engine: hands off */
    bool failing;    /* fail_later(): no step any more, on_conn_closed() comes */
    bool held;       /* a message about evidence waits until the peer has read more */
    bool open;       /* on_ready() was called */
    bool paused;     /* by the owner */
    bool ended;      /* on_end() was called */
    bool waiting;    /* decrypted bytes may wait for cczi_wire_resume() */
    uint64_t rounds; /* of evidence again, that the owner knows of */
    struct cczi_deadline again;
    bool in_callback;
    bool freed;           /* by the owner, while stepping or in a callback */
    bool closed;          /* on_closed() was called */
    struct cczi_why lost; /* the connection ended while stepping */
};

static void destroy(struct cczi_wire *w)
{
    ccz_conn_free(w->conn);
    ccz_ratls_free(w->ratls);
    ccz_buf_free(&w->out);
    cczi_why_free(&w->step);
    cczi_why_free(&w->lost);
    free(w);
}

/* After a callback: true if the owner freed the wire in it. */
static bool gone(struct cczi_wire *w)
{
    w->in_callback = false;
    if (!w->freed)
        return false;
    if (!w->stepping) /* else step_done() does it */
        destroy(w);
    return true;
}

static void tell_closed(struct cczi_wire *w, const struct ccz_err *err)
{
    if (w->closed)
        return;
    w->closed = true;
    w->in_callback = true;
    w->cfg.ops->on_closed(w->cfg.arg, err);
    (void)gone(w);
}

static void start_step(struct cczi_wire *w);

static void resume_reading(struct cczi_wire *w)
{
    if (!w->paused && !w->stepping && !w->held)
        ccz_conn_resume(w->conn);
}

/* Ends the wire from a place where the owner cannot be called: at the end of the turn, and whatever memory there is. */
static void fail_later(struct cczi_wire *w, ccz_rc rc, const char *what)
{
    if (w->stepping || w->closed)
        return;
    struct ccz_err err;
    w->failing = true;
    cczi_why_set(&w->step, ccz_fail(&err, rc, "wire:send", 0, "%s", what), &err);
    ccz_conn_pause(w->conn);
    ccz_conn_fail(w->conn, ENOMEM);
}

static void flush(struct cczi_wire *w)
{
    if (!w->conn || w->out.size == 0)
        return;
    ccz_rc rc = ccz_conn_write(w->conn, ccz_buf_span(&w->out));
    if (w->out.cap > OUT_KEEP)
        ccz_buf_free(&w->out); /* the next connection's block then, and still in the caches */
    else
        ccz_buf_clear(&w->out);
    if (rc == CCZ_E_LIMIT || rc == CCZ_E_NOMEM) /* CCZ_E_CLOSED: on_conn_closed() comes by itself */
        fail_later(w, rc, "the connection takes no more bytes");
}

/* The engine has failed, and has told the peer why. */
static void end_failed(struct cczi_wire *w, const struct ccz_err *err)
{
    if (ccz_ratls_drain(&w->out, w->ratls) == CCZ_OK)
        flush(w);
    if (w->conn)
        ccz_conn_end(w->conn, LINGER_MS);
    w->conn = NULL;
    tell_closed(w, err);
}

/* Timers of evidence again. @return false if the wire is over */
static bool run_timers(struct cczi_wire *w)
{
    struct ccz_err err = {0};
    int64_t next_ms;
    ccz_rc rc = ccz_ratls_tick(&next_ms, w->ratls, ccz_mono_ms(), &err);
    if (rc == CCZ_OK && next_ms != INT64_MAX &&
        !cczi_deadline_set(w->cfg.deadlines, &w->again, next_ms))
        rc = ccz_fail(&err, CCZ_E_NOMEM, "wire:memory", 0, "out of memory");
    if (rc != CCZ_OK) {
        end_failed(w, &err);
        return false;
    }
    if (ccz_ratls_pending(w->ratls))
        cczi_wire_send(w, (struct ccz_span){0});
    return true;
}

static void on_again(struct cczi_deadline *d)
{
    struct cczi_wire *w = (struct cczi_wire *)((char *)d - offsetof(struct cczi_wire, again));
    if (!w->stepping && !w->closed)
        (void)run_timers(w);
}

/* The peer has ended its direction. @return false if the wire is over */
static bool tell_end(struct cczi_wire *w, const struct ccz_err *err)
{
    if (!w->cfg.ops->on_end) {
        tell_closed(w, err);
        return false;
    }
    if (w->ended)
        return true;
    w->ended = true;
    w->in_callback = true;
    w->cfg.ops->on_end(w->cfg.arg);
    return !gone(w) && !w->closed;
}

/* Decrypted bytes to the owner, until there are no more. @return false if the wire is over */
static bool read_plain(struct cczi_wire *w)
{
    struct ccz_buf *plain = w->cfg.scratch;
    struct ccz_err err = {0};
    ccz_rc rc;
    for (;;) {
        ccz_buf_clear(plain);
        rc = ccz_ratls_read(plain, w->ratls, &err);
        if (rc != CCZ_OK || plain->size == 0)
            break;
        w->in_callback = true;
        w->cfg.ops->on_plain(w->cfg.arg, ccz_buf_span(plain));
        if (plain->wipe)
            ccz_buf_clear(plain);
        if (gone(w))
            return false;
    }
    ccz_rc settled = ccz_ratls_settle(w->ratls);
    if (settled != CCZ_OK && (rc == CCZ_OK || rc == CCZ_E_CLOSED)) {
        (void)ccz_fail(&err, settled, "wire:memory", 0, "received bytes could not be stored");
        tell_closed(w, &err);
        return false;
    }
    if (rc == CCZ_OK)
        return true;
    if (rc == CCZ_E_CLOSED)
        return tell_end(w, &err);
    end_failed(w, &err);
    return false;
}

static void after_reading(struct cczi_wire *w)
{
    if (ccz_ratls_pending(w->ratls)) /* answers of TLS itself (key update) */
        cczi_wire_send(w, (struct ccz_span){0});
    if (w->stepping || w->failing || !ccz_ratls_step_due(w->ratls))
        return;
    if (cczi_wire_writable(w) || !ccz_ratls_step_answers(w->ratls)) {
        start_step(w); /* evidence is made or judged: not on this thread */
    } else {           /* a peer that asks and does not read must not fill memory with answers */
        w->held = true;
        ccz_conn_pause(w->conn);
    }
}

/* What the engine has, behind a step. */
static void deliver(struct cczi_wire *w)
{
    if (w->paused)
        w->waiting = true;
    else if (read_plain(w))
        after_reading(w);
}

/* ---------------------------------------------------------------------------------- handshake */

/* The engine is back: what the owner has to know. @return false if the wire is over */
static bool tell_stepped(struct cczi_wire *w)
{
    const struct ccz_ratls_peer *peer = ccz_ratls_peer(w->ratls);
    w->in_callback = true;
    if (!w->open) {
        w->open = true;
        w->cfg.ops->on_ready(w->cfg.arg);
    } else {
        if (peer->rounds != w->rounds && w->cfg.ops->on_attested)
            w->cfg.ops->on_attested(w->cfg.arg);
        w->rounds = peer->rounds;
        if (!w->freed)
            w->cfg.ops->on_writable(w->cfg.arg); /* nothing was taken meanwhile */
    }
    return !gone(w) && !w->closed && run_timers(w);
}

/* On the loop again, after run_step(). */
static void step_done(void *arg)
{
    struct cczi_wire *w = arg;
    w->stepping = false;
    if (w->freed) {
        destroy(w);
        return;
    }
    flush(w);
    if (w->step.rc != CCZ_OK || w->lost.rc != CCZ_OK) {
        /* what was refused says more than how the connection ended */
        struct ccz_err why;
        (void)cczi_why_get(w->step.rc != CCZ_OK ? &w->step : &w->lost, &why);
        if (w->lost.rc == CCZ_OK) {
            ccz_conn_end(w->conn, LINGER_MS);
            w->conn = NULL;
        }
        tell_closed(w, &why);
        return;
    }
    resume_reading(w);
    if (ccz_ratls_ready(w->ratls) && tell_stepped(w))
        deliver(w);
}

static void run_step(struct cczi_job *job)
{
    struct cczi_wire *w = (struct cczi_wire *)job;
    struct ccz_err err;
    ccz_rc rc = ccz_ratls_step(w->ratls, &err);
    ccz_rc drained = ccz_ratls_drain(&w->out, w->ratls);
    if (rc == CCZ_OK && drained != CCZ_OK)
        rc = ccz_fail(&err, drained, "wire:memory", 0, "out of memory");
    cczi_why_set(&w->step, rc, &err);
    /* the loop must hear of it, or the wire would hang for ever */
    while (ccz_loop_post(w->cfg.loop, step_done, w) != CCZ_OK)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void start_step(struct cczi_wire *w)
{
    w->stepping = true;
    cczi_deadline_cancel(w->cfg.deadlines, &w->again);
    ccz_conn_pause(w->conn);
    cczi_wire_pool_submit(w->cfg.pool, &w->job);
}

/* --------------------------------------------------------------------------------- connection */

static void on_open(struct ccz_conn *c, void *arg)
{
    (void)c;
    start_step(arg);
}

static void on_data(struct ccz_conn *c, void *arg, struct ccz_span data)
{
    (void)c;
    struct cczi_wire *w = arg;
    if (ccz_ratls_ready(w->ratls)) {
        ccz_ratls_lend(w->ratls, data);
        if (read_plain(w))
            after_reading(w);
        return;
    }
    ccz_rc rc = ccz_ratls_feed(w->ratls, data);
    if (rc != CCZ_OK) {
        struct ccz_err err;
        (void)ccz_fail(&err, rc, "wire:memory", 0, "received bytes could not be stored");
        tell_closed(w, &err);
    } else {
        start_step(w);
    }
}

static void on_drained(struct ccz_conn *c, void *arg)
{
    (void)c;
    struct cczi_wire *w = arg;
    if (w->stepping || !ccz_ratls_ready(w->ratls))
        return;
    w->in_callback = true;
    w->cfg.ops->on_writable(w->cfg.arg);
    if (gone(w) || w->closed || !w->held || w->stepping)
        return;
    w->held = false;
    start_step(w); /* which pauses; step_done() resumes */
}

static void on_conn_closed(struct ccz_conn *c, void *arg, const struct ccz_err *err)
{
    (void)c;
    struct cczi_wire *w = arg;
    struct ccz_err why;
    if (w->ended && err->rc == CCZ_E_CLOSED) /* in order: what is sent may still arrive */
        return;
    if (w->stepping) {
        cczi_why_set(&w->lost, err->rc, err);
    } else if (w->failing) {
        (void)cczi_why_get(&w->step, &why);
        tell_closed(w, &why);
    } else {
        tell_closed(w, err);
    }
}

static const struct ccz_conn_ops conn_ops = {
    .on_open = on_open, .on_data = on_data, .on_drained = on_drained, .on_closed = on_conn_closed};

static struct cczi_wire *wire_new(const struct cczi_wire_cfg *cfg)
{
    struct cczi_wire *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->cfg = *cfg;
    w->job.run = run_step;
    w->again.fn = on_again;
    ccz_buf_init(&w->out, CCZ_CONN_OUT_SIZE_MAX);
    if (ccz_ratls_new(&w->ratls, cfg->ratls) == CCZ_OK) {
        ccz_ratls_set_farewell(w->ratls, cfg->farewell, NULL);
        if (cfg->wipe)
            ccz_ratls_set_wipe(w->ratls);
        return w;
    }
    destroy(w);
    return NULL;
}

ccz_rc cczi_wire_accept(struct cczi_wire **out, const struct cczi_wire_cfg *cfg, int fd)
{
    *out = NULL;
    struct cczi_wire *w = wire_new(cfg);
    struct ccz_conn *conn = NULL;
    const struct ccz_conn_cfg conn_cfg = {.ops = &conn_ops,
                                          .arg = w,
                                          .out_high = cfg->out_high ? cfg->out_high : OUT_HIGH,
                                          .keepalive = cfg->keepalive};
    ccz_rc rc = ccz_conn_adopt(&conn, cfg->loop, fd, &conn_cfg);
    if (rc != CCZ_OK || !w) {
        ccz_conn_free(conn);
        if (w)
            destroy(w);
        return CCZ_E_NOMEM;
    }
    w->conn = conn;
    *out = w;
    return CCZ_OK;
}

ccz_rc cczi_wire_connect(struct cczi_wire **out, const struct cczi_wire_cfg *cfg,
                         const char *address, struct ccz_err *err)
{
    *out = NULL;
    struct cczi_wire *w = wire_new(cfg);
    if (!w)
        return ccz_fail(err, CCZ_E_NOMEM, "wire:memory", 0, "out of memory");
    struct ccz_conn_cfg conn = {.ops = &conn_ops,
                                .arg = w,
                                .out_high = cfg->out_high ? cfg->out_high : OUT_HIGH,
                                .keepalive = cfg->keepalive,
                                .connect_timeout_ms = cfg->connect_timeout_ms};
    ccz_rc rc = ccz_conn_connect(&w->conn, cfg->loop, address, &conn, err);
    if (rc != CCZ_OK) {
        destroy(w);
        return rc;
    }
    *out = w;
    return CCZ_OK;
}

void cczi_wire_free(struct cczi_wire *w)
{
    if (!w)
        return;
    w->closed = true; /* no callback any more */
    cczi_deadline_cancel(w->cfg.deadlines, &w->again);
    if (!w->stepping && !w->in_callback) {
        destroy(w);
        return;
    }
    w->freed = true;
    ccz_conn_free(w->conn);
    w->conn = NULL;
}

void cczi_wire_end(struct cczi_wire *w)
{
    if (w->conn && !w->stepping) {
        ccz_ratls_close(w->ratls);
        if (ccz_ratls_drain(&w->out, w->ratls) == CCZ_OK)
            flush(w);
        ccz_conn_end(w->conn, LINGER_MS);
        w->conn = NULL;
    }
    cczi_wire_free(w);
}

void cczi_wire_send(struct cczi_wire *w, struct ccz_span plain)
{
    if (!w->conn || w->closed || w->stepping)
        return;
    ccz_rc rc = ccz_ratls_write(w->ratls, plain, NULL);
    if (rc == CCZ_OK)
        rc = ccz_ratls_drain(&w->out, w->ratls);
    if (rc == CCZ_OK)
        flush(w);
    else
        fail_later(w, rc, "TLS could not encrypt");
}

void cczi_wire_send_end(struct cczi_wire *w)
{
    if (!w->conn || w->closed || w->stepping)
        return;
    ccz_rc rc = ccz_ratls_end(w->ratls, NULL);
    if (rc == CCZ_OK)
        rc = ccz_ratls_drain(&w->out, w->ratls);
    if (rc != CCZ_OK) {
        fail_later(w, rc, "TLS could not end");
        return;
    }
    flush(w);
    if (w->conn)
        ccz_conn_tell_sent(w->conn);
}

void cczi_wire_pause(struct cczi_wire *w)
{
    w->paused = true;
    if (w->conn)
        ccz_conn_pause(w->conn);
}

void cczi_wire_resume(struct cczi_wire *w)
{
    w->paused = false;
    if (!w->conn || w->closed || w->stepping)
        return;
    resume_reading(w);
    if (!w->waiting)
        return;
    w->waiting = false;
    deliver(w);
}

void cczi_wire_tell_sent(struct cczi_wire *w)
{
    if (w->conn && !w->closed)
        ccz_conn_tell_sent(w->conn);
}

size_t cczi_wire_pending(const struct cczi_wire *w)
{
    return w->conn ? ccz_conn_pending(w->conn) : 0;
}

void cczi_wire_push(struct cczi_wire *w)
{
    if (w->conn && !w->closed)
        ccz_conn_push(w->conn);
}

bool cczi_wire_writable(const struct cczi_wire *w)
{
    return w->conn && !w->stepping && ccz_conn_writable(w->conn);
}

void cczi_wire_trim(struct cczi_wire *w)
{
    if (w->stepping || !w->conn)
        return;
    ccz_ratls_trim(w->ratls);
    ccz_conn_trim(w->conn);
    if (w->out.size == 0)
        ccz_buf_free(&w->out);
}

bool cczi_wire_busy(const struct cczi_wire *w)
{
    return w->stepping;
}

const struct ccz_ratls_peer *cczi_wire_peer(const struct cczi_wire *w)
{
    return ccz_ratls_peer(w->ratls);
}

const char *cczi_wire_address(const struct cczi_wire *w)
{
    return w->conn ? ccz_conn_peer(w->conn) : "";
}
