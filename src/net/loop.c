/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* eventfd */
#include "net/net_priv.h"

#include "base/condwait.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------------ mailbox */

struct post {
    void (*fn)(void *arg);
    void *arg;
};

struct posts {
    struct post *items;
    size_t len, cap;
};

struct cczi_mail {
    pthread_mutex_t mutex;
    struct posts queue; /* filled by posters */
    struct posts batch; /* being run by the loop; only it touches this one */
    bool stop, closed;
    int fd; /* eventfd: readable while there is something to do */
    atomic_uint refs;
};

static struct cczi_mail *mail_new(void)
{
    struct cczi_mail *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (m->fd < 0) {
        free(m);
        return NULL;
    }
    pthread_mutex_init(&m->mutex, NULL);
    atomic_init(&m->refs, 1);
    return m;
}

struct cczi_mail *cczi_mail_ref(struct cczi_mail *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void cczi_mail_unref(struct cczi_mail *m)
{
    if (atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) > 1)
        return;
    close(m->fd);
    pthread_mutex_destroy(&m->mutex);
    free(m->queue.items);
    free(m->batch.items);
    free(m);
}

/* Cannot fail: the counter never comes near its maximum, as the loop resets it. */
static void mail_wake(struct cczi_mail *m)
{
    uint64_t one = 1;
    ssize_t n = write(m->fd, &one, sizeof(one));
    (void)n;
}

static bool posts_push(struct posts *q, struct post p)
{
    if (q->len == q->cap) {
        size_t cap = q->cap ? 2 * q->cap : 64;
        struct post *items = realloc(q->items, cap * sizeof(*items));
        if (!items)
            return false;
        q->items = items;
        q->cap = cap;
    }
    q->items[q->len++] = p;
    return true;
}

/* Posting and stopping wake the loop before they let go of the mutex: what they set off may end in
 * the loop's being freed, which takes the mutex first. */
ccz_rc cczi_mail_post(struct cczi_mail *m, void (*fn)(void *arg), void *arg)
{
    ccz_rc rc = CCZ_OK;
    pthread_mutex_lock(&m->mutex);
    if (m->closed)
        rc = CCZ_E_CLOSED;
    else if (!posts_push(&m->queue, (struct post){fn, arg}))
        rc = CCZ_E_NOMEM;
    else if (m->queue.len == 1) /* the loop takes all at once: later posts need no wake-up */
        mail_wake(m);
    pthread_mutex_unlock(&m->mutex);
    return rc;
}

/* Runs what is queued now; what these functions post waits for the next turn. @return number run */
static size_t mail_run(struct cczi_mail *m, bool *stop)
{
    pthread_mutex_lock(&m->mutex);
    struct posts batch = m->queue;
    m->queue = m->batch; /* the two arrays swap roles, so that a busy loop allocates nothing */
    m->batch = batch;
    *stop = m->stop;
    m->stop = false;
    pthread_mutex_unlock(&m->mutex);
    for (size_t i = 0; i < batch.len; i++)
        batch.items[i].fn(batch.items[i].arg);
    m->batch.len = 0;
    return batch.len;
}

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
    struct ccz_loop *loop = arg;
    uint64_t count;
    bool stop;
    (void)what;
    ssize_t n = read(fd, &count, sizeof(count)); /* before the queue, or a wake-up could be lost */
    (void)n;
    mail_run(loop->mail, &stop);
    if (stop)
        event_base_loopbreak(loop->base);
}

ccz_rc ccz_loop_post(struct ccz_loop *loop, void (*fn)(void *arg), void *arg)
{
    return cczi_mail_post(loop->mail, fn, arg);
}

void cczi_loop_unended(struct ccz_loop *loop)
{
    if (loop->finishing && LIST_EMPTY(&loop->ended))
        ccz_loop_stop(loop);
}

void ccz_loop_finish(struct ccz_loop *loop)
{
    loop->finishing = true;
    cczi_loop_unended(loop);
}

void ccz_loop_stop(struct ccz_loop *loop)
{
    pthread_mutex_lock(&loop->mail->mutex);
    loop->mail->stop = true;
    mail_wake(loop->mail);
    pthread_mutex_unlock(&loop->mail->mutex);
}

/* ---------------------------------------------------------------------------- end of a turn */

struct timeval cczi_timeval(int64_t ms)
{
    if (ms < 0)
        ms = 0;
    return (struct timeval){.tv_sec = (time_t)(ms / 1000),
                            .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
}

void cczi_loop_turn_end(struct ccz_loop *loop)
{
    if (loop->turn_due)
        return;
    loop->turn_due = true;
    if (loop->in_turn_end) {
        /* Output made by on_drained() waits for the next turn, or two fast ends could keep the loop
         * here for ever. */
        static const struct timeval now = {0};
        if (event_add(loop->turn_ev, &now) == 0)
            return; /* else there is no memory: better in this turn than never */
    }
    event_active(loop->turn_ev, EV_TIMEOUT, 0); /* goes behind the events active in this turn */
}

static void bury_dead(struct ccz_loop *loop)
{
    struct ccz_conn *c;
    while ((c = LIST_FIRST(&loop->dead)) != NULL)
        cczi_conn_bury(c);
}

static void on_turn_end(evutil_socket_t fd, short what, void *arg)
{
    struct ccz_loop *loop = arg;
    (void)fd;
    (void)what;
    loop->turn_due = false;
    loop->in_turn_end = true;
    for (size_t n = loop->dirty_len; n > 0 && !TAILQ_EMPTY(&loop->dirty); n--)
        cczi_conn_flush(TAILQ_FIRST(&loop->dirty));
    loop->in_turn_end = false;
    bury_dead(loop);
}

/* --------------------------------------------------------------------------------- life cycle */

/* libevent writes its warnings to stderr unless told otherwise; a library has no business there. */
static void on_libevent_log(int severity, const char *text)
{
    static const enum ccz_log_level levels[] = {
        [EVENT_LOG_DEBUG] = CCZ_LOG_DEBUG,
        [EVENT_LOG_MSG] = CCZ_LOG_INFO,
        [EVENT_LOG_WARN] = CCZ_LOG_WARN,
        [EVENT_LOG_ERR] = CCZ_LOG_ERROR,
    };
    char line[256];
    ccz_escape(line, sizeof(line), ccz_span_str(text));
    ccz_log(levels[severity & 3], "net", "libevent=\"%s\"", line);
}

static void set_log(void)
{
    event_set_log_callback(on_libevent_log);
}

static struct event_base *base_new(void)
{
    struct event_config *cfg = event_config_new();
    if (!cfg)
        return NULL;
    /* No locks: only the loop's thread touches the base. No EVENT_* environment variables: what a
     * process does in an enclave must not depend on what its host sets. */
    event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(cfg, EVENT_BASE_FLAG_IGNORE_ENV);
    struct event_base *base = event_base_new_with_config(cfg);
    event_config_free(cfg);
    return base;
}

static bool loop_init(struct ccz_loop *loop)
{
    TAILQ_INIT(&loop->dirty);
    LIST_INIT(&loop->ended);
    LIST_INIT(&loop->dead);
    SLIST_INIT(&loop->signals);
    atomic_init(&loop->running, false);
    loop->base = base_new();
    loop->mail = mail_new();
    if (!loop->base || !loop->mail)
        return false;
    loop->turn_ev = event_new(loop->base, -1, 0, on_turn_end, loop);
    loop->mail_ev = event_new(loop->base, loop->mail->fd, EV_READ | EV_PERSIST, on_mail, loop);
    return loop->turn_ev && loop->mail_ev && event_add(loop->mail_ev, NULL) == 0;
}

ccz_rc ccz_loop_new(struct ccz_loop **out, struct ccz_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_log);
    *out = NULL;
    CCZ_AUTO(ccz_loop) loop = calloc(1, sizeof(*loop));
    if (!loop || !loop_init(loop))
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "net:loop", errno, "cannot make an event loop: %s",
                        strerror(errno));
    *out = ccz_loop_take(&loop);
    return CCZ_OK;
}

/* Runs what is still posted and closes the mailbox at a moment when it is empty. */
static void mail_close(struct cczi_mail *m)
{
    bool closed = false, stop;
    while (!closed) {
        mail_run(m, &stop);
        pthread_mutex_lock(&m->mutex);
        closed = m->closed = m->queue.len == 0;
        pthread_mutex_unlock(&m->mutex);
    }
}

void ccz_loop_free(struct ccz_loop *loop)
{
    if (!loop)
        return;
    if (loop->mail)
        mail_close(loop->mail);
    struct ccz_conn *c;
    loop->finishing = false;
    while ((c = LIST_FIRST(&loop->ended)) != NULL)
        ccz_conn_free(c);
    bury_dead(loop);
    struct cczi_signal *s;
    while ((s = SLIST_FIRST(&loop->signals)) != NULL) {
        SLIST_REMOVE_HEAD(&loop->signals, next);
        event_free(s->ev);
        free(s);
    }
    if (loop->mail_ev)
        event_free(loop->mail_ev);
    if (loop->turn_ev)
        event_free(loop->turn_ev);
    if (loop->base)
        event_base_free(loop->base);
    if (loop->mail)
        cczi_mail_unref(loop->mail);
    free(loop);
}

ccz_rc ccz_loop_run(struct ccz_loop *loop, struct ccz_err *err)
{
    loop->thread = pthread_self();
    atomic_store_explicit(&loop->running, true, memory_order_release);
    struct cczi_sigpipe sigpipe;
    cczi_sigpipe_block(&sigpipe);
    int n = event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
    int why = errno;
    cczi_sigpipe_restore(&sigpipe);
    atomic_store_explicit(&loop->running, false, memory_order_release);
    if (n < 0)
        return ccz_fail(err, CCZ_E_IO, "net:run", why, "the event loop failed: %s", strerror(why));
    return CCZ_OK;
}

bool ccz_loop_is_current(const struct ccz_loop *loop)
{
    return atomic_load_explicit(&loop->running, memory_order_acquire) &&
           pthread_equal(loop->thread, pthread_self());
}

/* ------------------------------------------------------------------------------------ signals */

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
    struct cczi_signal *s = arg;
    (void)what;
    s->fn(s->arg, (int)signo);
}

ccz_rc ccz_loop_on_signal(struct ccz_loop *loop, int signo, void (*fn)(void *arg, int signo),
                          void *arg, struct ccz_err *err)
{
    struct cczi_signal *s = calloc(1, sizeof(*s));
    if (!s)
        return ccz_fail(err, CCZ_E_NOMEM, "net:signal", signo, "out of memory");
    s->fn = fn;
    s->arg = arg;
    s->ev = evsignal_new(loop->base, signo, on_signal, s);
    if (!s->ev || evsignal_add(s->ev, NULL) != 0) {
        if (s->ev)
            event_free(s->ev);
        free(s);
        return ccz_fail(err, CCZ_E_ARG, "net:signal", signo, "signal %d cannot be handled", signo);
    }
    SLIST_INSERT_HEAD(&loop->signals, s, next);
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------- timers */

struct ccz_timer {
    struct event *ev;
    void (*fn)(void *arg);
    void *arg;
    int64_t due_ms; /* on the clock of ccz_mono_ms() */
    int64_t period_ms;
};

static bool timer_arm(struct ccz_timer *t)
{
    struct timeval tv = cczi_timeval(t->due_ms - ccz_mono_ms());
    return event_add(t->ev, &tv) == 0;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct ccz_timer *t = arg;
    (void)fd;
    (void)what;
    /* libevent counts on the coarse clock and from the start of the turn, so it may be early. */
    if (ccz_mono_ms() < t->due_ms && timer_arm(t))
        return;
    if (t->period_ms > 0) {
        t->due_ms = cczi_deadline_ms(t->period_ms);
        (void)timer_arm(t); /* its place in libevent's heap has just become free */
    }
    t->fn(t->arg); /* last: it may free t */
}

ccz_rc ccz_timer_new(struct ccz_timer **out, struct ccz_loop *loop, void (*fn)(void *arg),
                     void *arg)
{
    *out = NULL;
    struct ccz_timer *t = calloc(1, sizeof(*t));
    if (!t)
        return CCZ_E_NOMEM;
    t->fn = fn;
    t->arg = arg;
    t->ev = evtimer_new(loop->base, on_timer, t);
    if (!t->ev) {
        free(t);
        return CCZ_E_NOMEM;
    }
    *out = t;
    return CCZ_OK;
}

void ccz_timer_free(struct ccz_timer *t)
{
    if (!t)
        return;
    event_free(t->ev);
    free(t);
}

bool ccz_timer_set(struct ccz_timer *t, int64_t delay_ms, int64_t period_ms)
{
    t->due_ms = cczi_deadline_ms(delay_ms);
    t->period_ms = period_ms;
    return timer_arm(t);
}

void ccz_timer_now(struct ccz_timer *t)
{
    t->due_ms = ccz_mono_ms();
    t->period_ms = 0;
    event_del(t->ev);
    event_active(t->ev, EV_TIMEOUT, 0);
}

void ccz_timer_cancel(struct ccz_timer *t)
{
    t->period_ms = 0;
    event_del(t->ev);
}
