/* SPDX-License-Identifier: Apache-2.0 */
/* Models, submitting, draining, what is told. */
#define _DEFAULT_SOURCE
#include "serve/sched_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    SPIN =
        64, /* tries for the lock before the kernel is asked to wait: it is held for tens of nanoseconds */
    INLINE_SAMPLES = 16,  /* measured on workers before callers' threads are used */
    TIME_MAX_US = 1000000 /* times of the configuration: their products fit 64 bits */
};
#define INLINE_BURST_NS 2000000 /* that callers' threads may be ahead of their share */

void cczi_sched_lock(struct ccz_sched *s)
{
    for (int i = 0; i < SPIN; i++) {
        if (pthread_mutex_trylock(&s->lock) == 0)
            return;
        for (volatile int pause = 0; pause < 8; pause = pause + 1)
            ;
    }
    pthread_mutex_lock(&s->lock);
}

int64_t ccz_sched_now_ns(const struct ccz_sched *s)
{
    return s->cfg.now_ns ? s->cfg.now_ns(s->cfg.clock_arg) : ccz_mono_ns();
}

/* ------------------------------------------------------------------------ queues */

void cczi_sched_push(struct fifo *f, struct ccz_sched_job *j)
{
    j->next = NULL;
    if (f->tail)
        f->tail->next = j;
    else
        f->head = j;
    f->tail = j;
}

static struct ccz_sched_job *pop(struct fifo *f)
{
    struct ccz_sched_job *j = f->head;
    if (j && !(f->head = j->next))
        f->tail = NULL;
    return j;
}

struct ccz_sched_job *cczi_sched_pop(struct ccz_sched_queue *q)
{
    struct ccz_sched_job *j = pop(q->normal.head ? &q->normal : &q->bulk);
    q->jobs_len -= j != NULL;
    return j;
}

void cczi_sched_hold(struct ccz_sched *s, struct ccz_sched_queue *q, size_t size)
{
    q->waiting++;
    q->bytes += size;
    s->waiting++;
    s->bytes += size;
}

void cczi_sched_release(struct ccz_sched *s, struct ccz_sched_queue *q, size_t size)
{
    q->waiting--;
    q->bytes -= size;
    s->waiting--;
    s->bytes -= size;
}

static unsigned bucket_of(struct ccz_span name)
{
    uint32_t h = 2166136261u; /* FNV-1a; names come from the operator */
    for (size_t i = 0; i < name.size; i++)
        h = (h ^ name.ptr[i]) * 16777619u;
    return h % BUCKETS;
}

static struct ccz_sched_queue *find(const struct ccz_sched *s, struct ccz_span name)
{
    struct ccz_sched_queue *q = name.size ? s->buckets[bucket_of(name)] : NULL;
    while (q && !ccz_span_eq(ccz_span_str(q->name), name))
        q = q->next;
    return q;
}

void cczi_sched_queue_gone(struct ccz_sched_queue *q)
{
    if (q->removed && !q->active && q->units == 0 && q->waiting == 0 && !q->batches)
        free(q);
}

static void queue_configure(struct ccz_sched_queue *q, const struct ccz_sched *s,
                            const struct ccz_sched_model_cfg *cfg)
{
    q->weight = cfg->weight ? cfg->weight : 1;
    q->jobs_max = cfg->jobs_max ? cfg->jobs_max : s->cfg.model_jobs_max;
    q->bytes_max = cfg->bytes_max ? cfg->bytes_max : s->cfg.model_bytes_max;
    q->batching = cfg->batching ? *cfg->batching : s->cfg.batching;
    cczi_sched_batching_fill(&q->batching);
}

ccz_rc ccz_sched_model(struct ccz_sched *s, const char *name, const struct ccz_sched_model_cfg *cfg,
                       struct ccz_err *err)
{
    size_t size = strlen(name);
    if (size == 0 || size > CCZ_SCHED_NAME_SIZE_MAX)
        return ccz_fail(err, CCZ_E_ARG, "sched:model", (int64_t)size,
                        "a name of %zu bytes, expected 1 to %d", size, CCZ_SCHED_NAME_SIZE_MAX);
    if (cfg->weight > CCZ_SCHED_WEIGHT_MAX)
        return ccz_fail(err, CCZ_E_ARG, "sched:weight", cfg->weight,
                        "weight: got %u, expected at most %d", cfg->weight, CCZ_SCHED_WEIGHT_MAX);
    ccz_rc rc = cfg->batching ? ccz_sched_batching_check(cfg->batching, err) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    cczi_sched_lock(s);
    struct ccz_sched_queue *q = find(s, CCZ_SPAN(name, size));
    if (q) {
        queue_configure(q, s, cfg);
    } else if (s->models >= CCZ_SCHED_MODELS_MAX) {
        rc = ccz_fail(err, CCZ_E_LIMIT, "sched:model", CCZ_SCHED_MODELS_MAX,
                      "there are %d models with a queue already", CCZ_SCHED_MODELS_MAX);
    } else if (!(q = calloc(1, sizeof(*q)))) {
        rc = ccz_fail(err, CCZ_E_NOMEM, "sched:model", 0, "out of memory");
    } else {
        memcpy(q->name, name, size);
        queue_configure(q, s, cfg);
        unsigned b = bucket_of(CCZ_SPAN(name, size));
        q->next = s->buckets[b];
        s->buckets[b] = q;
        s->models++;
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

void ccz_sched_model_remove(struct ccz_sched *s, const char *name)
{
    struct ccz_span n = ccz_span_str(name);
    cczi_sched_lock(s);
    struct ccz_sched_queue *q = find(s, n);
    if (q) {
        struct ccz_sched_queue **at = &s->buckets[bucket_of(n)];
        while (*at != q)
            at = &(*at)->next;
        *at = q->next;
        s->models--;
        q->removed = true;
        cczi_sched_queue_gone(q);
    }
    pthread_mutex_unlock(&s->lock);
}

/* ------------------------------------------------------------------------ submitting */

static bool refuse_full(struct ccz_run_status *st, struct ccz_sched *s,
                        const struct ccz_sched_queue *q, const char *what, size_t have, size_t max)
{
    s->stats.refused_full++;
    ccz_run_status_set(st, CCZ_RUN_UNAVAILABLE, "%s; %zu %s wait%s%.64s and the limit is %zu",
                       q->batching.on
                           ? "The batch scheduling queue to which this task was submitted is full"
                           : "The queue to which this request was submitted is full",
                       have, what, q->name[0] ? " for model " : "", q->name, max);
    return false;
}

bool cczi_sched_room(struct ccz_run_status *st, struct ccz_sched *s,
                     const struct ccz_sched_queue *q, size_t size)
{
    if (q->waiting > 0 && (q->bytes > q->bytes_max || size > q->bytes_max - q->bytes))
        return refuse_full(st, s, q, "bytes", q->bytes, q->bytes_max);
    if (s->waiting > 0 && (s->bytes > s->cfg.bytes_max || size > s->cfg.bytes_max - s->bytes))
        return refuse_full(st, s, q, "bytes in all", s->bytes, s->cfg.bytes_max);
    return true;
}

static bool admit(struct ccz_run_status *st, struct ccz_sched *s, const struct ccz_sched_queue *q,
                  size_t size)
{
    if (s->draining) {
        s->stats.refused_drain++;
        ccz_run_status_set(st, CCZ_RUN_UNAVAILABLE, "The server is shutting down");
        return false;
    }
    if (q->waiting >= q->jobs_max)
        return refuse_full(st, s, q, "requests", q->waiting, q->jobs_max);
    if (s->waiting >= s->cfg.jobs_max)
        return refuse_full(st, s, q, "requests in all", s->waiting, s->cfg.jobs_max);
    return cczi_sched_room(st, s, q, size);
}

struct worker *cczi_sched_enqueue(struct ccz_sched *s, struct ccz_sched_queue *q,
                                  struct ccz_sched_job *j)
{
    cczi_sched_push(j->cls == CCZ_SCHED_BULK ? &q->bulk : &q->normal, j);
    q->jobs_len++;
    s->undecoded++;
    cczi_sched_hold(s, q, j->size);
    cczi_sched_activate(s, q);
    return cczi_sched_wake(s);
}

/* Time on callers' threads comes by itself, at their share, up to a burst. */
static bool may_inline(struct ccz_sched *s, const struct ccz_sched_queue *q,
                       const struct ccz_sched_job *j, int64_t now_ns)
{
    if (s->cfg.inline_max_us == 0 || s->inlining || q->batching.on || q->waiting > 0 ||
        q->samples < INLINE_SAMPLES || q->job_ns > s->cfg.inline_max_us * 1000 ||
        j->size > s->cfg.inline_size_max || j->not_inline)
        return false;
    s->inline_ns += (now_ns - s->inline_at_ns) * (int64_t)s->cfg.inline_share_percent / 100;
    s->inline_ns = s->inline_ns < INLINE_BURST_NS ? s->inline_ns : INLINE_BURST_NS;
    s->inline_at_ns = now_ns;
    return s->inline_ns > 0;
}

static void run_inline(struct ccz_sched *s, struct ccz_sched_queue *q, struct ccz_sched_job *j,
                       int64_t now_ns)
{
    struct unit u = {.kind = UNIT_JOB,
                     .q = q,
                     .job = j,
                     .start_ns = now_ns,
                     .charged_ns = q->job_ns,
                     .is_inline = true};
    q->deficit_ns -= u.charged_ns;
    q->units++;
    s->running++;
    s->inlining = true; /* a finish() that submits must not nest */
    pthread_mutex_unlock(&s->lock);
    cczi_sched_do(s, &u);
    int64_t end_ns = ccz_sched_now_ns(s);
    cczi_sched_lock(s);
    s->inlining = false;
    s->inline_ns -= end_ns - now_ns;
    s->stats.inline_done += !u.put_back;
    cczi_sched_settle(s, &u, end_ns);
    pthread_mutex_unlock(&s->lock);
}

bool ccz_sched_submit(struct ccz_sched *s, struct ccz_span model, struct ccz_sched_job *j,
                      struct ccz_run_status *st)
{
    int64_t now_ns = ccz_sched_now_ns(s);
    cczi_sched_lock(s);
    struct ccz_sched_queue *q = find(s, model);
    q = q ? q : &s->others;
    if (!admit(st, s, q, j->size)) {
        pthread_mutex_unlock(&s->lock);
        return false;
    }
    j->queue = q;
    j->since_ns = now_ns;
    j->split = NULL;
    j->decoded = false;
    j->times = (struct ccz_sched_times){0};
    s->inflight++;
    if (may_inline(s, q, j, now_ns)) {
        run_inline(s, q, j, now_ns);
        return true;
    }
    struct worker *w = cczi_sched_enqueue(s, q, j);
    pthread_mutex_unlock(&s->lock);
    if (w)
        pthread_cond_signal(&w->wake);
    return true;
}

/* ------------------------------------------------------------------------ draining */

static struct unit flush_queue(struct ccz_sched *s, struct ccz_sched_queue *q)
{
    struct unit u = {.q = q};
    for (struct ccz_sched_job *j; (j = cczi_sched_pop(q));) {
        s->undecoded--;
        cczi_sched_release(s, q, j->size);
        j->next = u.done;
        u.done = j;
    }
    while (q->batches) {
        struct batch *b = q->batches;
        cczi_sched_batch_remove(s, q, b);
        b->next = u.batch;
        u.batch = b;
    }
    return u;
}

/* With the lock, which is let go of meanwhile: what waits is finished as refused. */
static void flush_one(struct ccz_sched *s, struct ccz_sched_queue *q)
{
    struct unit taken = flush_queue(s, q), u = {.q = q};
    if (!taken.done && !taken.batch)
        return;
    q->units++;
    pthread_mutex_unlock(&s->lock);
    struct ccz_run_status st = {0};
    ccz_run_status_set(&st, CCZ_RUN_UNAVAILABLE, "The server is shutting down");
    while (taken.done) {
        struct ccz_sched_job *j = taken.done;
        taken.done = j->next;
        cczi_sched_finish(&u, j, &st, NULL, 0);
    }
    while (taken.batch) {
        struct batch *b = taken.batch;
        taken.batch = b->next;
        while (b->head) {
            struct ccz_sched_part *p = b->head;
            b->head = p->next;
            cczi_sched_part_fail(&u, p, &st);
        }
        free(b);
    }
    cczi_sched_release_done(&u);
    cczi_sched_lock(s);
    q->units--;
    s->inflight -= u.finished;
    s->stats.done += u.finished;
    s->stats.refused_drain += u.finished;
}

static struct ccz_sched_queue *with_work(const struct ccz_sched *s)
{
    struct ccz_sched_queue *q = s->active;
    while (q && q->jobs_len == 0 && !q->batches)
        q = q->active_next;
    return q;
}

bool ccz_sched_drain(struct ccz_sched *s, int64_t grace_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += grace_ms / 1000;
    until.tv_nsec += grace_ms % 1000 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    cczi_sched_lock(s);
    s->draining = true;
    while (s->due_head) /* nobody comes who could join them */
        cczi_sched_ready(s, s->due_head->head->job->queue, s->due_head);
    struct worker *w = cczi_sched_wake(s);
    pthread_mutex_unlock(&s->lock);
    if (w)
        pthread_cond_signal(&w->wake);
    while (s->workers_len == 0 && grace_ms > 0 && ccz_sched_step(s))
        ;
    cczi_sched_lock(s);
    int e = 0;
    while (s->inflight > 0 && e == 0 && s->workers_len > 0)
        e = pthread_cond_timedwait(&s->idle, &s->lock, &until);
    bool all = s->inflight == 0;
    while (s->due_head) /* a worker decoded one meanwhile */
        cczi_sched_ready(s, s->due_head->head->job->queue, s->due_head);
    for (struct ccz_sched_queue *q; (q = with_work(s));)
        flush_one(s, q);
    pthread_mutex_unlock(&s->lock);
    return all;
}

/* ------------------------------------------------------------------------ new, free */

static ccz_rc start_workers(struct ccz_sched *s, struct ccz_err *err)
{
    s->workers = calloc(s->cfg.workers ? s->cfg.workers : 1, sizeof(*s->workers));
    if (!s->workers)
        return ccz_fail(err, CCZ_E_NOMEM, "sched:new", 0, "out of memory");
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->idle, &attr);
    for (unsigned i = 0; i < s->cfg.workers; i++) { /* all before the first thread looks at them */
        s->workers[i].s = s;
        pthread_cond_init(&s->workers[i].wake, &attr);
    }
    pthread_condattr_destroy(&attr);
    for (; s->workers_len < s->cfg.workers; s->workers_len++) {
        struct worker *w = &s->workers[s->workers_len];
        int e = pthread_create(&w->thread, NULL, cczi_sched_worker, w);
        if (e != 0)
            return ccz_fail(err, CCZ_E_UNAVAILABLE, "sched:new", e, "cannot start worker %u of %u",
                            s->workers_len + 1, s->cfg.workers);
    }
    return CCZ_OK;
}

static void fill_defaults(struct ccz_sched_cfg *c)
{
    c->jobs_max = c->jobs_max ? c->jobs_max : 4096;
    c->bytes_max = c->bytes_max ? c->bytes_max : (size_t)512 << 20;
    c->model_jobs_max = c->model_jobs_max ? c->model_jobs_max : 1024;
    c->model_bytes_max = c->model_bytes_max ? c->model_bytes_max : (size_t)256 << 20;
    c->quantum_us = c->quantum_us ? c->quantum_us : 1000;
    c->inline_share_percent = c->inline_share_percent ? c->inline_share_percent : 50;
    c->inline_size_max = c->inline_size_max ? c->inline_size_max : 16384;
    c->run_ms_max = c->run_ms_max ? c->run_ms_max : 300000;
    cczi_sched_batching_fill(&c->batching);
}

ccz_rc ccz_sched_new(struct ccz_sched **out, const struct ccz_sched_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = ccz_sched_batching_check(&cfg->batching, err);
    if (rc != CCZ_OK)
        return rc;
    if (cfg->workers > CCZ_SCHED_WORKERS_MAX || cfg->inline_share_percent > 100 ||
        cfg->quantum_us < 0 || cfg->quantum_us > TIME_MAX_US || cfg->inline_max_us < 0 ||
        cfg->inline_max_us > TIME_MAX_US)
        return ccz_fail(err, CCZ_E_ARG, "sched:cfg", cfg->workers,
                        "got %u workers, quantum %" PRId64 " us, inline %" PRId64
                        " us and %u %%; expected at most %d, %d, %d and 100",
                        cfg->workers, cfg->quantum_us, cfg->inline_max_us,
                        cfg->inline_share_percent, CCZ_SCHED_WORKERS_MAX, TIME_MAX_US, TIME_MAX_US);
    struct ccz_sched *s = calloc(1, sizeof(*s));
    if (!s)
        return ccz_fail(err, CCZ_E_NOMEM, "sched:new", 0, "out of memory");
    s->cfg = *cfg;
    fill_defaults(&s->cfg);
    s->quantum_ns = s->cfg.quantum_us * 1000;
    s->inline_at_ns = ccz_sched_now_ns(s);
    pthread_mutex_init(&s->lock, NULL);
    queue_configure(&s->others, s, &(struct ccz_sched_model_cfg){0});
    rc = start_workers(s, err);
    if (rc != CCZ_OK) {
        ccz_sched_free(s);
        return rc;
    }
    *out = s;
    return CCZ_OK;
}

static void free_memory(struct ccz_sched *s)
{
    for (struct ccz_sched_queue *q = s->active, *next; q; q = next) {
        next = q->active_next;
        q->active = false;
        cczi_sched_queue_gone(q);
    }
    for (size_t i = 0; i < BUCKETS; i++)
        while (s->buckets[i]) {
            struct ccz_sched_queue *q = s->buckets[i];
            s->buckets[i] = q->next;
            free(q);
        }
    while (s->scratch) {
        struct scratch *m = s->scratch;
        s->scratch = m->next;
        free(m->ptr);
        free(m);
    }
    free(s->workers);
    free(s);
}

void ccz_sched_free(struct ccz_sched *s)
{
    if (!s)
        return;
    (void)ccz_sched_drain(s, 0);
    cczi_sched_lock(s);
    s->stopping = true;
    pthread_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < s->workers_len; i++)
        pthread_cond_signal(&s->workers[i].wake);
    for (unsigned i = 0; i < s->workers_len; i++)
        pthread_join(s->workers[i].thread, NULL);
    for (unsigned i = 0; s->workers && i < s->cfg.workers; i++)
        pthread_cond_destroy(&s->workers[i].wake);
    if (s->workers)
        pthread_cond_destroy(&s->idle);
    pthread_mutex_destroy(&s->lock);
    free_memory(s);
}

/* ------------------------------------------------------------------------ what is told */

void ccz_sched_stats(struct ccz_sched_stats *out, struct ccz_sched *s)
{
    cczi_sched_lock(s);
    *out = s->stats;
    out->waiting = s->waiting;
    out->waiting_bytes = s->bytes;
    out->running = s->running;
    pthread_mutex_unlock(&s->lock);
}

static void tell(const struct ccz_sched_queue *q,
                 void (*each)(void *arg, const struct ccz_sched_model_stats *m), void *arg)
{
    each(arg, &(struct ccz_sched_model_stats){.name = q->name,
                                              .waiting = q->waiting,
                                              .waiting_bytes = q->bytes,
                                              .service_ns = q->job_ns});
}

void ccz_sched_models(struct ccz_sched *s,
                      void (*each)(void *arg, const struct ccz_sched_model_stats *m), void *arg)
{
    cczi_sched_lock(s);
    tell(&s->others, each, arg);
    for (size_t i = 0; i < BUCKETS; i++)
        for (const struct ccz_sched_queue *q = s->buckets[i]; q; q = q->next)
            tell(q, each, arg);
    pthread_mutex_unlock(&s->lock);
}
