/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deficit round robin. A queue is charged what was measured of it (sched_settle), and before that what it took on average, so
 * that several workers do not all spend the same credit. Rounds in which no queue has credit are not gone through one by one.
 */
#include "serve/sched_priv.h"

enum {
    AVERAGE_SHIFT = 3, /* a running average moves by an eighth of the difference */
    GRACE_NS =
        100000 /* that a batch may wait for jobs that are being decoded, however fast its model is */
};

static int64_t credit_ns(const struct ccz_sched *s, const struct ccz_sched_queue *q)
{
    return s->quantum_ns * q->weight;
}

/* Queues that were idle pay back meanwhile, and save nothing. */
void cczi_sched_activate(struct ccz_sched *s, struct ccz_sched_queue *q)
{
    if (q->active)
        return;
    uint64_t rounds = s->round - q->idle_round;
    int64_t credit = credit_ns(s, q);
    if (q->deficit_ns < 0 && rounds < (uint64_t)(-q->deficit_ns / credit + 1))
        q->deficit_ns += (int64_t)rounds * credit;
    else
        q->deficit_ns = 0;
    if (q->deficit_ns > 0)
        q->deficit_ns = 0;
    q->active = true;
    q->active_next = NULL;
    if (s->active_tail)
        s->active_tail->active_next = q;
    else
        s->active = q;
    s->active_tail = q;
    s->active_len++;
}

static struct ccz_sched_queue *pop_active(struct ccz_sched *s)
{
    struct ccz_sched_queue *q = s->active;
    s->active = q->active_next;
    if (!s->active)
        s->active_tail = NULL;
    s->active_len--;
    q->active = false;
    return q;
}

static void rotate(struct ccz_sched *s)
{
    if (s->active == s->active_tail)
        return;
    struct ccz_sched_queue *q = s->active;
    s->active = q->active_next;
    q->active_next = NULL;
    s->active_tail->active_next = q;
    s->active_tail = q;
}

/* ------------------------------------------------------------------------ batches that fall due */

void cczi_sched_due_add(struct ccz_sched *s, struct batch *b)
{
    struct batch *before = s->due_tail; /* all timeouts alike: it is the last */
    while (before && before->due_ns > b->due_ns)
        before = before->due_prev;
    b->due_prev = before;
    b->due_next = before ? before->due_next : s->due_head;
    if (b->due_next)
        b->due_next->due_prev = b;
    else
        s->due_tail = b;
    if (before)
        before->due_next = b;
    else
        s->due_head = b;
}

void cczi_sched_due_remove(struct ccz_sched *s, struct batch *b)
{
    if (b->due_prev)
        b->due_prev->due_next = b->due_next;
    else
        s->due_head = b->due_next;
    if (b->due_next)
        b->due_next->due_prev = b->due_prev;
    else
        s->due_tail = b->due_prev;
    b->due_prev = b->due_next = NULL;
}

void cczi_sched_ready(struct ccz_sched *s, struct ccz_sched_queue *q, struct batch *b)
{
    if (b->due)
        return; /* it is already */
    cczi_sched_due_remove(s, b);
    b->due = true;
    q->ready++;
    s->ready++;
    cczi_sched_activate(s, q);
}

static void mark_due(struct ccz_sched *s, int64_t now_ns)
{
    while (s->due_head && (s->draining || s->due_head->due_ns <= now_ns))
        cczi_sched_ready(s, s->due_head->head->job->queue, s->due_head);
}

/* ------------------------------------------------------------------------ turns */

/* A forming batch waits for the jobs that are there to be decoded, but no longer than a run would have made them wait. */
static struct batch *runnable_batch(const struct ccz_sched *s, const struct ccz_sched_queue *q,
                                    int64_t now_ns)
{
    int64_t threads = q->batching.num_batch_threads;
    if (q->ready == 0 || (threads > 0 && q->batches_running >= threads))
        return NULL;
    int64_t grace = q->batch_ns > GRACE_NS ? q->batch_ns : GRACE_NS;
    bool now = q->jobs_len == 0 || s->draining;
    for (struct batch *b = q->batches; b; b = b->next)
        if (b->closed || (b->due && (now || now_ns >= b->due_ns + grace)))
            return b;
    return NULL;
}

static enum unit_kind next_of(struct batch **b, const struct ccz_sched *s,
                              const struct ccz_sched_queue *q, int64_t now_ns)
{
    *b = runnable_batch(s, q, now_ns);
    return *b ? UNIT_BATCH : q->jobs_len ? UNIT_JOB : UNIT_NONE;
}

/* Gives every queue that could go on the same number of rounds, as many as the first of them needs. */
static bool new_round(struct ccz_sched *s, int64_t now_ns)
{
    struct batch *b;
    int64_t rounds = INT64_MAX;
    for (struct ccz_sched_queue *q = s->active; q; q = q->active_next)
        if (next_of(&b, s, q, now_ns) != UNIT_NONE) {
            int64_t n = -q->deficit_ns / credit_ns(s, q) + 1;
            rounds = n < rounds ? n : rounds;
        }
    if (rounds == INT64_MAX)
        return false;
    s->round += (uint64_t)rounds;
    for (struct ccz_sched_queue *q = s->active; q; q = q->active_next) {
        int64_t credit = credit_ns(s, q);
        int64_t deficit = q->deficit_ns + rounds * credit;
        q->deficit_ns = deficit < credit ? deficit : credit;
    }
    return true;
}

static void fill_unit(struct unit *u, struct ccz_sched *s, struct ccz_sched_queue *q,
                      struct batch *b, int64_t now_ns)
{
    *u = (struct unit){.kind = b ? UNIT_BATCH : UNIT_JOB,
                       .q = q,
                       .batch = b,
                       .batching = q->batching.on,
                       .start_ns = now_ns};
    if (b) {
        u->charged_ns = q->batch_ns;
        cczi_sched_batch_remove(s, q, b);
        q->batches_running++;
    } else {
        u->charged_ns = u->batching ? q->decode_ns : q->job_ns;
        u->job = cczi_sched_pop(q);
        s->undecoded--;
        cczi_sched_release(s, q, u->job->size);
    }
    q->deficit_ns -= u->charged_ns;
    q->units++;
    s->running++;
}

bool cczi_sched_take(struct unit *u, struct ccz_sched *s, int64_t now_ns)
{
    mark_due(s, now_ns);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t n = s->active_len; n > 0; n--) {
            struct ccz_sched_queue *q = s->active;
            struct batch *b;
            enum unit_kind kind = next_of(&b, s, q, now_ns);
            if (kind == UNIT_NONE && q->jobs_len == 0 && q->ready == 0) {
                pop_active(s);
                q->idle_round = s->round;
                cczi_sched_queue_gone(q);
                continue;
            }
            if (kind != UNIT_NONE && q->deficit_ns > 0) {
                fill_unit(u, s, q, b, now_ns);
                return true;
            }
            rotate(s);
        }
        if (!new_round(s, now_ns))
            return false;
    }
    return false; /* not reached: new_round() gave one of them credit */
}

static void average(int64_t *mean, int64_t value, bool first)
{
    *mean = first ? value : *mean + ((value - *mean) >> AVERAGE_SHIFT);
}

void cczi_sched_settle(struct ccz_sched *s, const struct unit *u, int64_t now_ns)
{
    struct ccz_sched_queue *q = u->q;
    int64_t took = now_ns - u->start_ns;
    q->deficit_ns -= took - u->charged_ns;
    if (u->kind == UNIT_BATCH) {
        q->batches_running--;
        average(&q->batch_ns, took, q->batch_ns == 0);
    } else if (u->batching) {
        average(&q->decode_ns, took, q->decode_ns == 0);
    } else {
        average(&q->job_ns, took, q->samples == 0);
        q->samples += q->samples < UINT32_MAX;
    }
    q->units--;
    s->running--;
    s->inflight -= u->finished;
    s->stats.done += u->finished;
    s->stats.expired += u->expired;
    s->stats.cancelled += u->cancelled;
    s->stats.retried += u->retried;
    s->stats.batches += u->batches;
    s->stats.batched_jobs += u->batched;
    if (s->draining && s->inflight == 0)
        pthread_cond_broadcast(&s->idle);
    cczi_sched_queue_gone(q);
}
