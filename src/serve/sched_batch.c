/* SPDX-License-Identifier: Apache-2.0 */
/* Batches: which jobs go together, when they are full, how they are run and what each job is given of it. */
#include "serve/sched_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SCRATCH_KEEP ((size_t)64 << 20) /* bytes of a buffer that is kept for the next batch */

/* A job of more rows than a batch holds: its parts, and its outputs as they come in. */
struct ccz_sched_split {
    pthread_mutex_t lock; /* parts may run at the same time */
    size_t left;          /* parts without an outcome */
    struct ccz_run_status st;
    struct ccz_tensor *out; /* [out_len] of all rows, set up by the first part that is done */
    size_t out_len;
    struct ccz_sched_part parts[];
};

/* ------------------------------------------------------------------------ parameters */

void cczi_sched_batching_fill(struct ccz_sched_batching *b)
{
    b->max_batch_size = b->max_batch_size ? b->max_batch_size : 1000;
    b->max_enqueued_batches = b->max_enqueued_batches ? b->max_enqueued_batches : 10;
    if (!b->enable_large_batch_splitting || b->max_execution_batch_size == 0)
        b->max_execution_batch_size = b->max_batch_size;
}

static ccz_rc bad(struct ccz_err *err, const char *name, int64_t got, const char *expected)
{
    return ccz_fail(err, CCZ_E_ARG, "sched:batching", got, "%s: got %" PRId64 ", expected %s", name,
                    got, expected);
}

static ccz_rc check_numbers(const struct ccz_sched_batching *b, struct ccz_err *err)
{
    const struct {
        const char *name;
        int64_t value, max;
    } fields[] = {
        {"max_batch_size", b->max_batch_size, INT32_MAX},
        {"batch_timeout_micros", b->batch_timeout_us, INT64_MAX / 1000000},
        {"max_enqueued_batches", b->max_enqueued_batches, INT32_MAX},
        {"num_batch_threads", b->num_batch_threads, INT32_MAX},
        {"max_execution_batch_size", b->max_execution_batch_size, INT32_MAX},
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (fields[i].value < 0 || fields[i].value > fields[i].max)
            return bad(err, fields[i].name, fields[i].value, "a number of 0 or more");
    return CCZ_OK;
}

ccz_rc ccz_sched_batching_check(const struct ccz_sched_batching *b, struct ccz_err *err)
{
    ccz_rc rc = check_numbers(b, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_sched_batching full = *b;
    cczi_sched_batching_fill(&full);
    if (b->max_execution_batch_size && !b->enable_large_batch_splitting)
        return bad(err, "max_execution_batch_size", b->max_execution_batch_size,
                   "0 without enable_large_batch_splitting");
    if (full.max_execution_batch_size > full.max_batch_size)
        return bad(err, "max_execution_batch_size", b->max_execution_batch_size,
                   "at most max_batch_size");
    if (b->allowed_len > CCZ_SCHED_ALLOWED_MAX)
        return bad(err, "allowed_batch_sizes", (int64_t)b->allowed_len, "at most 64 of them");
    for (size_t i = 0; i < b->allowed_len; i++)
        if (b->allowed_batch_sizes[i] <= (i ? b->allowed_batch_sizes[i - 1] : 0))
            return bad(err, "allowed_batch_sizes", b->allowed_batch_sizes[i],
                       "entries that increase");
    if (b->allowed_len &&
        b->allowed_batch_sizes[b->allowed_len - 1] != full.max_execution_batch_size)
        return bad(err, "allowed_batch_sizes", b->allowed_batch_sizes[b->allowed_len - 1],
                   "the last entry to be max_batch_size (with splitting: "
                   "max_execution_batch_size)");
    return CCZ_OK;
}

/* ------------------------------------------------------------------------ forming */

enum batch_fit cczi_sched_fit(int64_t *rows, struct ccz_run_status *st,
                              const struct ccz_sched_job *j)
{
    const struct ccz_run_req *req = j->req;
    const char *what = req->in_len ? NULL : "Batching Run() must have at least one input tensor";
    for (size_t i = 0; i < req->in_len && !what; i++) {
        if (req->in[i].rank == 0)
            what = "Batching Run() input tensors must have at least one dimension";
        else if (req->in[i].dims[0] != req->in[0].dims[0])
            what = "Batching Run() input tensors must have equal 0th-dimension size";
    }
    if (what) {
        ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "%s", what);
        return FIT_REFUSED;
    }
    *rows = req->in[0].dims[0];
    bool free_rows = *rows > 0 && !req->copy_in && req->in_len == req->sig->in_len;
    for (size_t i = 0; i < req->in_len && free_rows; i++)
        free_rows = req->sig->in[i].unknown_rank ||
                    (req->sig->in[i].rank > 0 && req->sig->in[i].dims[0] < 0);
    return free_rows ? FIT_BATCH : FIT_ALONE;
}

static struct batch *new_batch(struct ccz_sched *s, struct ccz_sched_queue *q, int64_t now_ns)
{
    struct batch *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->due_ns = now_ns + q->batching.batch_timeout_us * 1000;
    memcpy(b->pool, q->batching.thread_pool_name, sizeof(b->pool));
    if (q->batches_tail)
        q->batches_tail->next = b;
    else
        q->batches = b;
    q->batches_tail = b;
    cczi_sched_due_add(s, b);
    return b;
}

static void append(struct batch *b, struct ccz_sched_part *p)
{
    p->next = NULL;
    if (b->tail)
        b->tail->next = p;
    else
        b->head = p;
    b->tail = p;
    b->len++;
    b->rows += p->rows;
}

void cczi_sched_batch_remove(struct ccz_sched *s, struct ccz_sched_queue *q, struct batch *b)
{
    struct batch *before = NULL;
    for (struct batch *at = q->batches; at != b; at = at->next)
        before = at;
    if (before)
        before->next = b->next;
    else
        q->batches = b->next;
    if (q->batches_tail == b)
        q->batches_tail = before;
    if (b->due) {
        q->ready--;
        s->ready--;
    } else {
        cczi_sched_due_remove(s, b);
    }
    for (const struct ccz_sched_part *p = b->head; p; p = p->next)
        if (p->first == 0) /* a job counts where its first row is */
            cczi_sched_release(s, q, p->job->size);
}

/* Batches that wait for the version and signature of @p j, and the one that it may join. */
static size_t enqueued(struct batch **open, const struct ccz_sched_queue *q,
                       const struct ccz_sched_job *j)
{
    size_t n = 0;
    *open = NULL;
    for (struct batch *b = q->batches; b; b = b->next) {
        const struct ccz_sched_job *other = b->head->job;
        if (other->model != j->model || other->req->sig != j->req->sig)
            continue;
        n++;
        if (!b->closed &&
            cczi_sched_alike(other->req, j->req, q->batching.pad_variable_length_inputs))
            *open = b;
    }
    return n;
}

static bool room(struct ccz_run_status *st, const struct ccz_sched_batching *p,
                 const struct batch *open, size_t enqueued_len, int64_t rows)
{
    static const char full[] =
        "The batch scheduling queue to which this task was submitted is full";
    int64_t n = (int64_t)enqueued_len, most = p->max_enqueued_batches,
            size = p->max_execution_batch_size;
    if (p->enable_large_batch_splitting) {
        int64_t capacity = (n < most ? most - n : 0) * size + (open ? size - open->rows : 0);
        if (rows <= capacity)
            return true;
        ccz_run_status_set(st, CCZ_RUN_UNAVAILABLE,
                           "%s; task size is %" PRId64 " but scheduling capacity is only %" PRId64
                           " (num_enqueued_batches=%" PRId64 ", max_enqueued_batches=%" PRId64
                           ", open_batch_size=%" PRId64 ", max_execution_batch_size=%" PRId64 ")",
                           full, rows, capacity, n, most, open ? open->rows : 0, size);
        return false;
    }
    if ((open && open->rows + rows <= size) || n < most)
        return true;
    ccz_run_status_set(st, CCZ_RUN_UNAVAILABLE,
                       "%s; currently %" PRId64
                       " batches enqueued and max_enqueued_batches is %" PRId64,
                       full, n, most);
    return false;
}

static void close_batch(struct ccz_sched *s, struct ccz_sched_queue *q, struct batch *b)
{
    b->closed = true;
    cczi_sched_ready(s, q, b);
}

static struct ccz_sched_split *new_split(const struct ccz_sched_job *j, size_t parts)
{
    struct ccz_sched_split *sp = calloc(1, sizeof(*sp) + parts * sizeof(sp->parts[0]));
    if (!sp)
        return NULL;
    pthread_mutex_init(&sp->lock, NULL);
    sp->left = parts;
    sp->out_len = j->req->fetch ? j->req->fetch_len : j->req->sig->out_len;
    return sp;
}

static void free_split(struct ccz_sched_split *sp)
{
    if (sp->out)
        for (size_t i = 0; i < sp->out_len; i++)
            cczi_sched_gather_free(&sp->out[i]);
    free(sp->out);
    pthread_mutex_destroy(&sp->lock);
    free(sp);
}

/* Batches that parts will go to are there before the first part goes to one: nothing fails half way. */
static bool place(struct ccz_sched *s, struct ccz_sched_queue *q, struct ccz_sched_job *j,
                  struct batch *open, int64_t rows, int64_t now_ns)
{
    int64_t size = q->batching.max_execution_batch_size;
    int64_t first_rows = open && size > open->rows ? size - open->rows : size;
    first_rows = rows < first_rows ? rows : first_rows;
    size_t parts = 1 + (size_t)((rows - first_rows + size - 1) / size);
    if (parts > 1 && !(j->split = new_split(j, parts)))
        return false;
    struct batch *b = open;
    int64_t at = 0;
    for (size_t i = 0; i < parts; i++) {
        if (!b && !(b = new_batch(s, q, now_ns))) {
            if (i == 0)
                return false;
            b = open; /* not even this much memory: a batch that is too large is no harm */
        }
        struct ccz_sched_part *p = parts > 1 ? &j->split->parts[i] : &j->part;
        int64_t n = i ? size : first_rows;
        *p = (struct ccz_sched_part){.job = j, .first = at, .rows = n < rows - at ? n : rows - at};
        at += p->rows;
        append(b, p);
        if (b->rows >= size)
            close_batch(s, q, b);
        open = b;
        b = b->closed ? NULL : b;
    }
    return true;
}

/* A request of some bytes may stand for many: one number that fills a tensor, a context that goes with each example. What waits in a
 * batch is what was decoded. */
size_t cczi_sched_decoded_size(const struct ccz_sched_job *j)
{
    size_t size = 0;
    for (size_t i = 0; i < j->req->in_len; i++) {
        const struct ccz_tensor *t = &j->req->in[i];
        size += t->data.size;
        for (size_t k = 0; t->strings && k < t->len; k++)
            size += sizeof(*t->strings) + t->strings[k].size;
    }
    return size > j->size ? size : j->size;
}

bool cczi_sched_batch_add(struct ccz_run_status *st, struct ccz_sched *s, struct ccz_sched_queue *q,
                          struct ccz_sched_job *j, int64_t rows, int64_t now_ns)
{
    const struct ccz_sched_batching *p = &q->batching;
    if (rows > p->max_batch_size) {
        ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                           "Task size %" PRId64 " is larger than maximum input batch size %" PRId64,
                           rows, p->max_batch_size);
        return false;
    }
    if (!cczi_sched_room(st, s, q, j->size))
        return false;
    struct batch *open;
    size_t n = enqueued(&open, q, j);
    if (!room(st, p, open, n, rows))
        return false;
    if (open && !p->enable_large_batch_splitting &&
        open->rows + rows > p->max_execution_batch_size) {
        close_batch(s, q, open);
        open = NULL;
    }
    if (!place(s, q, j, open, rows, now_ns)) {
        ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "no memory for a batch");
        if (j->split)
            free_split(j->split);
        j->split = NULL;
        return false;
    }
    cczi_sched_hold(s, q, j->size);
    return true;
}

/* ------------------------------------------------------------------------ outcomes */

/* One part less to wait for; with the last one the job is finished. */
static void split_end(struct unit *u, struct ccz_sched_job *j, const struct ccz_run_status *st)
{
    struct ccz_sched_split *sp = j->split;
    pthread_mutex_lock(&sp->lock);
    if (st && sp->st.code == CCZ_RUN_OK)
        sp->st = *st;
    bool last = --sp->left == 0;
    pthread_mutex_unlock(&sp->lock);
    if (!last)
        return;
    bool ok = sp->st.code == CCZ_RUN_OK && sp->out;
    cczi_sched_finish(u, j, &sp->st, ok ? sp->out : NULL, ok ? sp->out_len : 0);
    j->split = NULL;
    free_split(sp);
}

void cczi_sched_part_fail(struct unit *u, struct ccz_sched_part *p, const struct ccz_run_status *st)
{
    if (p->job->split)
        split_end(u, p->job, st);
    else
        cczi_sched_finish(u, p->job, st, NULL, 0);
}

/* Copies what belongs to a part of a split job: the result may be freed before the other parts are done. */
static void split_gather(struct ccz_sched_split *sp, const struct ccz_sched_part *p,
                         const struct ccz_tensor *out, size_t len)
{
    const struct ccz_run_req *req = p->job->req;
    int64_t all = req->in[0].dims[0];
    pthread_mutex_lock(&sp->lock);
    if (len != sp->out_len)
        ccz_run_status_set(&sp->st, CCZ_RUN_INTERNAL, "Wrong number of batched output tensors");
    if (!sp->out && !(sp->out = calloc(len ? len : 1, sizeof(*sp->out))))
        ccz_run_status_set(&sp->st, CCZ_RUN_RESOURCE_EXHAUSTED, "no memory for the outputs");
    for (size_t i = 0; i < len && sp->st.code == CCZ_RUN_OK; i++)
        (void)cczi_sched_gather(&sp->out[i], &sp->st, &out[i], p->first, all);
    pthread_mutex_unlock(&sp->lock);
}

/* ------------------------------------------------------------------------ running */

/* Parts that are run together. */
struct rows {
    struct ccz_sched_part **parts;
    size_t len;
    int64_t rows, padded;
    struct scratch *scratch;
};

static struct scratch *take_scratch(struct ccz_sched *s)
{
    cczi_sched_lock(s);
    struct scratch *m = s->scratch;
    if (m)
        s->scratch = m->next;
    pthread_mutex_unlock(&s->lock);
    return m ? m : calloc(1, sizeof(*m));
}

static void put_scratch(struct ccz_sched *s, struct scratch *m)
{
    if (!m)
        return;
    if (m->cap > SCRATCH_KEEP) {
        free(m->ptr);
        *m = (struct scratch){0};
    }
    cczi_sched_lock(s);
    m->next = s->scratch;
    s->scratch = m;
    pthread_mutex_unlock(&s->lock);
}

/* The least allowed size that holds them. Under the lock: parameters may be changed meanwhile. */
static int64_t padded_rows(struct ccz_sched *s, const struct ccz_sched_queue *q, int64_t rows)
{
    int64_t padded = rows;
    cczi_sched_lock(s);
    const struct ccz_sched_batching *p = &q->batching;
    for (size_t i = 0; i < p->allowed_len; i++)
        if (p->allowed_batch_sizes[i] >= rows) {
            padded = p->allowed_batch_sizes[i];
            break;
        }
    pthread_mutex_unlock(&s->lock);
    return padded;
}

/* The longest of their times; the others are looked at when it is over. */
static uint32_t time_left_ms(const struct ccz_sched *s, const struct rows *r, int64_t now_ns)
{
    int64_t deadline = 0;
    uint32_t limit = 0;
    bool endless = false, unlimited = false;
    for (size_t i = 0; i < r->len; i++) {
        const struct ccz_sched_job *j = r->parts[i]->job;
        endless = endless || !j->deadline_ns;
        unlimited = unlimited || !j->req->timeout_ms;
        deadline = j->deadline_ns > deadline ? j->deadline_ns : deadline;
        limit = j->req->timeout_ms > limit ? j->req->timeout_ms : limit;
    }
    deadline = endless ? 0 : deadline;
    limit = unlimited ? 0 : limit;
    return cczi_sched_left_ms(s, deadline, now_ns, limit);
}

/* A row of input is a row of output, or nobody's rows can be told. */
static bool rows_fit(struct ccz_run_status *st, const struct ccz_result *res, int64_t padded)
{
    for (size_t i = 0; res && i < ccz_result_len(res); i++) {
        const struct ccz_tensor *t = ccz_result_at(res, i);
        const char *what = NULL;
        if (t->rank == 0)
            what = "Batched output tensor has 0 dimensions";
        else if (t->dims[0] != padded)
            what = "Batched output tensor's 0th dimension does not equal the sum of the 0th "
                   "dimension sizes of the input tensors";
        if (what) {
            ccz_run_status_set(st, CCZ_RUN_FAILED_PRECONDITION, "%s", what);
            return false;
        }
    }
    return true;
}

static void give_out(struct ccz_sched *s, struct unit *u, const struct rows *r,
                     const struct ccz_result *res, struct ccz_tensor *views)
{
    size_t len = res ? ccz_result_len(res) : 0;
    int64_t at = 0;
    for (size_t k = 0; k < r->len; k++) {
        struct ccz_sched_part *p = r->parts[k];
        struct ccz_run_status st = {0};
        for (size_t i = 0; i < len; i++)
            views[i] = cczi_sched_rows(ccz_result_at(res, i), at, p->rows);
        at += p->rows;
        if (p->job->split)
            split_gather(p->job->split, p, views, len);
        else if (cczi_sched_gone(&st, s, u, p->job, "The deadline passed while the request was run",
                                 CCZ_RUN_DEADLINE_EXCEEDED))
            cczi_sched_finish(u, p->job, &st, NULL, 0);
        else
            cczi_sched_finish(u, p->job, &st, views, len);
    }
}

static void fail_all(struct unit *u, const struct rows *r, const struct ccz_run_status *st)
{
    for (size_t k = 0; k < r->len; k++)
        cczi_sched_part_fail(u, r->parts[k], st);
}

/* Inputs as they are, if one job is all there is; else put together. */
static bool feed(struct ccz_run_req *req, struct ccz_tensor **in, const struct rows *r,
                 size_t size_max)
{
    const struct ccz_sched_job *j = r->parts[0]->job;
    *req = *j->req;
    if (r->len == 1 && !j->split && r->padded == r->rows)
        return true;
    *in = calloc(req->in_len, sizeof(**in));
    req->in = *in;
    return *in && r->scratch &&
           cczi_sched_merge(*in, r->scratch, r->parts, r->len, r->padded, size_max);
}

static void note_times(const struct rows *r, int64_t run_ns)
{
    for (size_t k = 0; k < r->len; k++)
        if (r->parts[k]->first == 0) { /* of a split job: those of its first rows */
            r->parts[k]->job->times.run_ns = run_ns;
            r->parts[k]->job->times.batch_rows = r->rows;
        }
}

/* False: it failed, and no part has its outcome yet. */
static bool run_rows(struct ccz_run_status *st, struct ccz_sched *s, struct unit *u,
                     const struct rows *r)
{
    struct ccz_run_req req;
    struct ccz_tensor *in = NULL, *views = NULL;
    struct ccz_result *res = NULL;
    int64_t began_ns = ccz_sched_now_ns(s);
    st->code = CCZ_RUN_OK;
    if (!feed(&req, &in, r, s->cfg.bytes_max)) {
        ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "no memory for a batch");
    } else {
        req.timeout_ms = time_left_ms(s, r, began_ns);
        cczi_sched_run(&res, st, r->parts[0]->job, &req);
    }
    size_t len = res ? ccz_result_len(res) : 0;
    if (st->code == CCZ_RUN_OK && len && !(views = calloc(len, sizeof(*views))))
        ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "no memory for the outputs");
    bool ran = st->code == CCZ_RUN_OK, fits = ran && rows_fit(st, res, r->padded);
    if (ran)
        note_times(r, ccz_sched_now_ns(s) - began_ns);
    if (fits)
        give_out(s, u, r, res, views);
    else if (ran)
        fail_all(u, r, st);
    ccz_result_free(res);
    for (size_t k = 0; fits && k < r->len;
         k++) /* not before: an output may have been one of its inputs */
        if (r->parts[k]->job->split)
            split_end(u, r->parts[k]->job, NULL);
    free(views);
    free(in);
    return ran;
}

/* Each as if it were alone. */
static void run_singly(struct ccz_sched *s, struct unit *u, const struct rows *all)
{
    struct ccz_run_status st;
    for (size_t k = 0; k < all->len; k++) {
        struct rows one = {.parts = &all->parts[k], .len = 1, .rows = all->parts[k]->rows};
        one.scratch = all->scratch;
        one.padded = padded_rows(s, u->q, one.rows);
        u->retried++;
        if (cczi_sched_gone(&st, s, u, one.parts[0]->job,
                            "The deadline passed while the request was run",
                            CCZ_RUN_DEADLINE_EXCEEDED) ||
            !run_rows(&st, s, u, &one))
            fail_all(u, &one, &st);
    }
}

/* Before the run: afterwards the jobs are not ours any more. */
static struct ccz_sched_batch_info describe(const struct unit *u, const struct rows *r,
                                            int64_t *numbers, int64_t now_ns)
{
    for (size_t k = 0; k < r->len; k++) {
        numbers[k] = r->parts[k]->rows;
        numbers[r->len + k] = now_ns - r->parts[k]->job->since_ns;
    }
    return (struct ccz_sched_batch_info){.model = u->q->name,
                                         .thread_pool_name = u->batch->pool,
                                         .rows = r->rows,
                                         .padded_rows = r->padded,
                                         .jobs = r->len,
                                         .rows_each = numbers,
                                         .queued_ns = numbers + r->len,
                                         .inputs = r->parts[0]->job->req->in_len};
}

/* Those that somebody waits for. */
static void take_parts(struct rows *r, const struct ccz_sched *s, struct unit *u, int64_t now_ns)
{
    for (struct ccz_sched_part *p = u->batch->head, *next; p; p = next) {
        struct ccz_run_status st;
        next = p->next;
        if (cczi_sched_gone(&st, s, u, p->job,
                            "Run() timeout exceeded while waiting in batching queue",
                            CCZ_RUN_RESOURCE_EXHAUSTED)) {
            cczi_sched_part_fail(u, p, &st);
            continue;
        }
        if (p->first == 0)
            p->job->times.queued_ns += now_ns - p->job->since_ns;
        r->parts[r->len++] = p;
        r->rows += p->rows;
    }
}

void cczi_sched_do_batch(struct ccz_sched *s, struct unit *u)
{
    struct batch *b = u->batch;
    struct rows r = {.parts = calloc(b->len, sizeof(struct ccz_sched_part *))};
    int64_t *numbers = calloc(2 * b->len, sizeof(*numbers)), now_ns = ccz_sched_now_ns(s);
    struct ccz_run_status st = {0};
    if (r.parts && numbers) {
        take_parts(&r, s, u, now_ns);
        r.padded = padded_rows(s, u->q, r.rows);
    } else {
        ccz_run_status_set(&st, CCZ_RUN_RESOURCE_EXHAUSTED, "no memory for a batch");
        for (struct ccz_sched_part *p = b->head, *next; p; p = next) {
            next = p->next;
            cczi_sched_part_fail(u, p, &st);
        }
    }
    if (r.len > 0) {
        r.scratch = take_scratch(s);
        struct ccz_sched_batch_info info = describe(u, &r, numbers, now_ns);
        u->batches++;
        u->batched += r.len;
        if (!run_rows(&st, s, u, &r)) {
            if (r.len == 1)
                fail_all(u, &r, &st);
            else
                run_singly(s, u, &r);
        }
        put_scratch(s, r.scratch);
        info.run_ns = ccz_sched_now_ns(s) - now_ns;
        if (s->cfg.on_batch)
            s->cfg.on_batch(s->cfg.arg, &info);
    }
    free(numbers);
    free(r.parts);
    free(b);
}
