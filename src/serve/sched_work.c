/* SPDX-License-Identifier: Apache-2.0 */
/* Workers: when they sleep and are woken; the phases of a job that runs alone. */
#define _DEFAULT_SOURCE
#include "serve/sched_priv.h"

#include <time.h>

/* ------------------------------------------------------------------------ one job */

bool cczi_sched_gone(struct ccz_run_status *st, const struct ccz_sched *s, struct unit *u,
                     const struct ccz_sched_job *j, const char *expired, enum ccz_run_code code)
{
    if (j->ops->cancelled && j->ops->cancelled(j)) {
        u->cancelled++;
        ccz_run_status_set(st, CCZ_RUN_CANCELLED, "The caller went away");
        return true;
    }
    if (j->deadline_ns && ccz_sched_now_ns(s) >= j->deadline_ns) {
        u->expired++;
        ccz_run_status_set(st, code, "%s", expired);
        return true;
    }
    return false;
}

static bool gone(struct ccz_run_status *st, const struct ccz_sched *s, struct unit *u,
                 const struct ccz_sched_job *j)
{
    return cczi_sched_gone(st, s, u, j, "The deadline passed before the request was run",
                           CCZ_RUN_DEADLINE_EXCEEDED);
}

void cczi_sched_finish(struct unit *u, struct ccz_sched_job *j, const struct ccz_run_status *st,
                       const struct ccz_tensor *out, size_t len)
{
    u->finished++;
    j->ops->finish(j, st, out, len);
    j->next = u->done;
    u->done = j;
}

void cczi_sched_release_done(struct unit *u)
{
    while (u->done) {
        struct ccz_sched_job *j = u->done;
        u->done = j->next;
        j->ops->release(j);
    }
}

void cczi_sched_run(struct ccz_result **out, struct ccz_run_status *st,
                    const struct ccz_sched_job *j, const struct ccz_run_req *req)
{
    *out = NULL;
    st->code = CCZ_RUN_OK;
    st->msg[0] = '\0';
    ccz_rc rc = j->ops->run ? j->ops->run(out, st, j->model, req)
                            : ccz_model_run(out, st, j->model, req, NULL);
    if (rc != CCZ_OK && st->code == CCZ_RUN_OK)
        ccz_run_status_set(st, rc == CCZ_E_NOMEM ? CCZ_RUN_RESOURCE_EXHAUSTED : CCZ_RUN_INTERNAL,
                           "The run failed: %s", ccz_rc_str(rc));
}

uint32_t cczi_sched_left_ms(const struct ccz_sched *s, int64_t deadline_ns, int64_t now_ns,
                            uint32_t limit_ms)
{
    const uint32_t max_ms = s->cfg.run_ms_max;
    limit_ms = limit_ms && limit_ms < max_ms ? limit_ms : max_ms;
    if (deadline_ns == 0)
        return limit_ms;
    int64_t left_ms = (deadline_ns - now_ns + 999999) / 1000000;
    left_ms = left_ms < 1 ? 1 : left_ms;
    return limit_ms < left_ms ? limit_ms : (uint32_t)left_ms;
}

static void run_alone(struct ccz_sched *s, struct unit *u, struct ccz_sched_job *j)
{
    struct ccz_run_status st;
    if (gone(&st, s, u, j)) {
        cczi_sched_finish(u, j, &st, NULL, 0);
        return;
    }
    int64_t began_ns = ccz_sched_now_ns(s);
    struct ccz_run_req req = *j->req;
    req.timeout_ms = cczi_sched_left_ms(s, j->deadline_ns, began_ns, req.timeout_ms);
    CCZ_AUTO(ccz_result) r = NULL;
    cczi_sched_run(&r, &st, j, &req);
    j->times.run_ns = ccz_sched_now_ns(s) - began_ns;
    if (st.code != CCZ_RUN_OK ||
        cczi_sched_gone(&st, s, u, j, "The deadline passed while the request was run",
                        CCZ_RUN_DEADLINE_EXCEEDED))
        cczi_sched_finish(u, j, &st, NULL, 0);
    else
        cczi_sched_finish(u, j, &st, r ? ccz_result_at(r, 0) : NULL, r ? ccz_result_len(r) : 0);
}

/* True if the job waits in a batch now. */
static bool joined(struct ccz_run_status *st, bool *refused, struct ccz_sched *s, struct unit *u)
{
    int64_t rows;
    enum batch_fit fit = cczi_sched_fit(&rows, st, u->job);
    *refused = fit == FIT_REFUSED;
    if (fit != FIT_BATCH)
        return false;
    int64_t now_ns = ccz_sched_now_ns(s);
    u->job->since_ns = now_ns;
    u->job->size = cczi_sched_decoded_size(u->job); /* it counts anew from here on */
    cczi_sched_lock(s);
    bool ok = cczi_sched_batch_add(st, s, u->q, u->job, rows, now_ns);
    pthread_mutex_unlock(&s->lock);
    *refused = !ok;
    return ok;
}

/* A few bytes may stand for many. True: not here; the job waits for a worker, or was refused. */
static bool too_large_here(struct ccz_sched *s, struct unit *u)
{
    struct ccz_sched_job *j = u->job;
    const size_t size = u->is_inline ? cczi_sched_decoded_size(j) : 0;
    struct ccz_run_status st;
    struct worker *w = NULL;
    if (size <= s->cfg.inline_size_max)
        return false;
    cczi_sched_lock(s);
    u->put_back = cczi_sched_room(&st, s, u->q, size);
    if (u->put_back) {
        j->size = size;
        j->decoded = true;
        w = cczi_sched_enqueue(s, u->q, j); /* from here on it is not ours */
    }
    pthread_mutex_unlock(&s->lock);
    if (w)
        pthread_cond_signal(&w->wake);
    if (!u->put_back)
        cczi_sched_finish(u, j, &st, NULL, 0);
    return true;
}

static void do_job(struct ccz_sched *s, struct unit *u)
{
    struct ccz_sched_job *j = u->job;
    struct ccz_run_status st;
    j->times.queued_ns = u->start_ns - j->since_ns;
    bool refused = false;
    if (gone(&st, s, u, j)) {
        cczi_sched_finish(u, j, &st, NULL, 0);
    } else if (!j->decoded && !j->ops->decode(j)) {
        cczi_sched_finish(u, j, NULL, NULL, 0);
    } else if (too_large_here(s, u)) {
        return;
    } else if (u->batching && joined(&st, &refused, s, u)) {
        return;
    } else if (refused) {
        cczi_sched_finish(u, j, &st, NULL, 0);
    } else {
        run_alone(s, u, j);
    }
}

void cczi_sched_do(struct ccz_sched *s, struct unit *u)
{
    if (u->kind == UNIT_BATCH)
        cczi_sched_do_batch(s, u);
    else
        do_job(s, u);
    cczi_sched_release_done(u);
}

bool ccz_sched_step(struct ccz_sched *s)
{
    struct unit u;
    cczi_sched_lock(s);
    bool got = cczi_sched_take(&u, s, ccz_sched_now_ns(s));
    pthread_mutex_unlock(&s->lock);
    if (!got)
        return false;
    cczi_sched_do(s, &u);
    int64_t end_ns = ccz_sched_now_ns(s);
    cczi_sched_lock(s);
    cczi_sched_settle(s, &u, end_ns);
    pthread_mutex_unlock(&s->lock);
    return true;
}

/* ------------------------------------------------------------------------ workers */

/*
 * At most one worker is on its way at a time; when it comes, it wakes the next one if there is more. So a burst of jobs
 * costs its submitter one system call, and workers that are awake are never told anything.
 */
struct worker *cczi_sched_wake(struct ccz_sched *s)
{
    struct worker *w = s->waking ? NULL : s->sleepers;
    if (!w)
        return NULL;
    s->sleepers = w->next;
    w->sleeping = false;
    s->waking = true;
    s->stats.wakes++;
    if (s->timekeeper == w)
        s->timekeeper = NULL;
    return w;
}

void ccz_sched_poke(struct ccz_sched *s)
{
    cczi_sched_lock(s);
    struct worker *w = cczi_sched_wake(s);
    pthread_mutex_unlock(&s->lock);
    if (w)
        pthread_cond_signal(&w->wake);
}

/* A batch falls due before any sleeper would wake, and this worker goes to work: somebody else has to look at the clock. */
static bool clock_unwatched(const struct ccz_sched *s)
{
    return s->due_head && !s->cfg.now_ns &&
           (!s->timekeeper || s->timekeeper->timer_ns > s->due_head->due_ns);
}

static void stop_sleeping(struct ccz_sched *s, struct worker *w)
{
    if (w->sleeping) { /* the timer, or no reason at all: nobody took it out of the list */
        struct worker **at = &s->sleepers;
        while (*at != w)
            at = &(*at)->next;
        *at = w->next;
        w->sleeping = false;
        if (s->timekeeper == w)
            s->timekeeper = NULL;
    } else {
        s->waking = false;
    }
}

static void sleep_until_woken(struct ccz_sched *s, struct worker *w)
{
    w->sleeping = true;
    w->next = s->sleepers;
    s->sleepers = w;
    if (!clock_unwatched(s)) {
        pthread_cond_wait(&w->wake, &s->lock);
    } else {
        s->timekeeper = w;
        w->timer_ns = s->due_head->due_ns;
        const struct timespec until = {w->timer_ns / 1000000000, w->timer_ns % 1000000000};
        pthread_cond_timedwait(&w->wake, &s->lock, &until);
    }
    stop_sleeping(s, w);
}

void *cczi_sched_worker(void *worker)
{
    struct worker *w = worker;
    struct ccz_sched *s = w->s;
    struct unit u;
    cczi_sched_lock(s);
    int64_t now_ns = ccz_sched_now_ns(s);
    for (;;) {
        if (!cczi_sched_take(&u, s, now_ns)) {
            if (s->stopping)
                break;
            sleep_until_woken(s, w);
            now_ns = ccz_sched_now_ns(s);
            continue;
        }
        struct worker *next =
            s->undecoded + s->ready > 0 || clock_unwatched(s) ? cczi_sched_wake(s) : NULL;
        pthread_mutex_unlock(&s->lock);
        if (next)
            pthread_cond_signal(&next->wake);
        cczi_sched_do(s, &u);
        now_ns = ccz_sched_now_ns(s);
        cczi_sched_lock(s);
        cczi_sched_settle(s, &u, now_ns);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}
