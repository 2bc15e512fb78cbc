/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SCHED_PRIV_H
#define CCZ_SCHED_PRIV_H
/*
 * The scheduler's state. One lock for all of it: what is done under it takes tens of nanoseconds, and no function of a job is
 * called there.
 *
 *   sched.c         models, submitting, draining, statistics
 *   sched_fair.c    whose turn it is: deficit round robin over queues, batches that fall due
 *   sched_work.c    workers, one job alone
 *   sched_batch.c   batches: forming, running, splitting of large jobs
 *   sched_tensor.c  rows: put together, padded, taken apart
 */
#include <cczoo/sched.h>

#include <pthread.h>

struct fifo {
    struct ccz_sched_job *head, *tail;
};

struct batch {
    struct batch *next;                /* in the queue, in the order of their first part */
    struct batch *due_prev, *due_next; /* in ccz_sched.due_head */
    struct ccz_sched_part *head, *tail;
    size_t len;
    int64_t rows;
    int64_t due_ns;
    char pool[CCZ_SCHED_POOL_NAME_MAX + 1];
    bool closed; /* takes no more */
    bool due;    /* its timeout passed: no longer in the list */
};

struct ccz_sched_queue {
    struct ccz_sched_queue *next;        /* in its bucket */
    struct ccz_sched_queue *active_next; /* in the round */
    char name[CCZ_SCHED_NAME_SIZE_MAX + 1];
    int64_t weight;
    size_t jobs_max, bytes_max;
    struct ccz_sched_batching batching;

    struct fifo normal, bulk;
    size_t jobs_len;       /* in both */
    size_t waiting, bytes; /* those, and the ones in batches */
    struct batch *batches, *batches_tail;
    size_t ready; /* of them: closed or due */
    int64_t batches_running;

    bool active;
    int64_t deficit_ns; /* what it may still use in this round */
    uint64_t idle_round;
    int64_t job_ns, decode_ns, batch_ns; /* measured: running averages */
    unsigned samples;

    size_t units; /* in work */
    bool removed;
};

/* Memory that batches are put together in, kept for the next one. */
struct scratch {
    struct scratch *next;
    uint8_t *ptr;
    size_t cap;
};

struct worker {
    struct ccz_sched *s;
    pthread_t thread;
    pthread_cond_t wake;
    struct worker *next; /* sleeper below */
    int64_t timer_ns;
    bool sleeping;
};

enum { BUCKETS = 256 }; /* of names */

struct ccz_sched {
    struct ccz_sched_cfg cfg;
    int64_t quantum_ns;
    pthread_mutex_t lock;
    pthread_cond_t idle; /* draining, and no job is left */
    bool draining, stopping;

    struct ccz_sched_queue *buckets[BUCKETS];
    struct ccz_sched_queue others; /* names that nobody told */
    size_t models;

    struct ccz_sched_queue *active, *active_tail;
    size_t active_len;
    uint64_t round;
    struct batch *due_head, *due_tail; /* ascending */
    size_t undecoded, ready;           /* of all queues */
    size_t waiting, bytes;
    size_t inflight; /* submitted, not finished */

    struct worker *workers;
    unsigned workers_len;
    struct worker *sleepers;   /* the last that fell asleep first: its caches are warm */
    struct worker *timekeeper; /* the sleeper that wakes when a batch falls due */
    bool waking;               /* one was woken and has not come yet: it will wake the next */
    size_t running;

    int64_t inline_ns; /* that may be spent on callers' threads now */
    int64_t inline_at_ns;
    bool inlining; /* one at a time */
    struct scratch *scratch;
    struct ccz_sched_stats stats; /* counters only */
};

enum unit_kind { UNIT_NONE, UNIT_JOB, UNIT_BATCH };

/* What a thread does between two looks at the state. */
struct unit {
    enum unit_kind kind;
    struct ccz_sched_queue *q;
    struct ccz_sched_job *job;
    struct batch *batch;
    bool batching;    /* of the queue, when the job was taken */
    bool only_decode; /* the job went into a batch */
    bool is_inline;   /* on the caller's thread */
    bool put_back;    /* the job is decoded, and too large for that */
    int64_t start_ns, charged_ns;
    struct ccz_sched_job *done; /* finished, to be released when the result is freed */
    size_t finished, expired, cancelled, retried, batches, batched;
};

/* ---- sched.c */
void cczi_sched_lock(struct ccz_sched *s);
/* With the lock. */
void cczi_sched_hold(struct ccz_sched *s, struct ccz_sched_queue *q, size_t size);
void cczi_sched_release(struct ccz_sched *s, struct ccz_sched_queue *q, size_t size);
/* False and st: so many more bytes are too many. */
bool cczi_sched_room(struct ccz_run_status *st, struct ccz_sched *s,
                     const struct ccz_sched_queue *q, size_t size);
void cczi_sched_queue_gone(struct ccz_sched_queue *q); /* frees a removed one that nothing needs */
/* Puts a job into its queue, with the lock. @return a sleeper to be signalled after unlocking, or NULL */
struct worker *cczi_sched_enqueue(struct ccz_sched *s, struct ccz_sched_queue *q,
                                  struct ccz_sched_job *j);
void cczi_sched_push(struct fifo *f, struct ccz_sched_job *j);
struct ccz_sched_job *cczi_sched_pop(struct ccz_sched_queue *q);

/* ---- sched_fair.c, with the lock */
void cczi_sched_activate(struct ccz_sched *s, struct ccz_sched_queue *q);
/* Whose turn it is, and what is done: false if there is nothing. */
bool cczi_sched_take(struct unit *u, struct ccz_sched *s, int64_t now_ns);
/* What was done took until now. */
void cczi_sched_settle(struct ccz_sched *s, const struct unit *u, int64_t now_ns);
void cczi_sched_due_add(struct ccz_sched *s, struct batch *b);
void cczi_sched_due_remove(struct ccz_sched *s, struct batch *b);
/* A batch takes no more, or its time has come. */
void cczi_sched_ready(struct ccz_sched *s, struct ccz_sched_queue *q, struct batch *b);

/* ---- sched_work.c */
void *cczi_sched_worker(void *worker);
/* Takes a sleeper out to be signalled after unlocking; NULL if none has to be. With the lock. */
struct worker *cczi_sched_wake(struct ccz_sched *s);
void cczi_sched_do(struct ccz_sched *s, struct unit *u);
/* Nobody needs an answer of @p j any more: sets st. */
bool cczi_sched_gone(struct ccz_run_status *st, const struct ccz_sched *s, struct unit *u,
                     const struct ccz_sched_job *j, const char *expired, enum ccz_run_code code);
void cczi_sched_finish(struct unit *u, struct ccz_sched_job *j, const struct ccz_run_status *st,
                       const struct ccz_tensor *out, size_t len);
/* Releases what was finished: no result is held any more. */
void cczi_sched_release_done(struct unit *u);
/* Phase 2. Whatever is wrong shows in st. */
void cczi_sched_run(struct ccz_result **out, struct ccz_run_status *st,
                    const struct ccz_sched_job *j, const struct ccz_run_req *req);
/* Milliseconds for a run whose deadline this is. @param limit_ms  of the request; 0 = that of the scheduler */
uint32_t cczi_sched_left_ms(const struct ccz_sched *s, int64_t deadline_ns, int64_t now_ns,
                            uint32_t limit_ms);

/* ---- sched_batch.c */
/* Defaults in place of zeros. */
void cczi_sched_batching_fill(struct ccz_sched_batching *b);
enum batch_fit { FIT_ALONE, FIT_BATCH, FIT_REFUSED };
/* How many rows a decoded job has, and whether it may share a run. */
enum batch_fit cczi_sched_fit(int64_t *rows, struct ccz_run_status *st,
                              const struct ccz_sched_job *j);
/* Bytes that a decoded job holds. */
size_t cczi_sched_decoded_size(const struct ccz_sched_job *j);
/* Puts it into batches; false and st if they are full or it is too large. With the lock. */
bool cczi_sched_batch_add(struct ccz_run_status *st, struct ccz_sched *s, struct ccz_sched_queue *q,
                          struct ccz_sched_job *j, int64_t rows, int64_t now_ns);
/* Takes a batch out of its queue, with the lock. */
void cczi_sched_batch_remove(struct ccz_sched *s, struct ccz_sched_queue *q, struct batch *b);
void cczi_sched_do_batch(struct ccz_sched *s, struct unit *u);
/* Rows of a job have failed, or will never run: the job is finished with its last part. */
void cczi_sched_part_fail(struct unit *u, struct ccz_sched_part *p,
                          const struct ccz_run_status *st);

/* ---- sched_tensor.c */
/* The two may stand in one batch. */
bool cczi_sched_alike(const struct ccz_run_req *a, const struct ccz_run_req *b, bool pad);
/* Rows [first, first + rows) of @p t. */
struct ccz_tensor cczi_sched_rows(const struct ccz_tensor *t, int64_t first, int64_t rows);
/**
 * The inputs of parts, one below the other, and @p padded - their rows copies of a row.
 * @param[out] in  [in_len] into the memory of @p m
 * @return false if there is no memory, or it would be more than @p size_max bytes
 */
bool cczi_sched_merge(struct ccz_tensor *in, struct scratch *m, struct ccz_sched_part *const *parts,
                      size_t len, int64_t padded, size_t size_max);
/* Copies rows of outputs into those of a split job. out is set up by the first; false and st if they do not fit or there is no memory. */
bool cczi_sched_gather(struct ccz_tensor *out, struct ccz_run_status *st,
                       const struct ccz_tensor *t, int64_t first, int64_t all);
void cczi_sched_gather_free(struct ccz_tensor *out);

#endif
