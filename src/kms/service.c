/* SPDX-License-Identifier: Apache-2.0 */
/* The handler behind an RPC server: event loops queue calls, one worker owns the store, and what takes long is done beside it. */
#define _POSIX_C_SOURCE 200809L
#include "gate.h"
#include "quota.h"
#include "use_priv.h"
#include "works.h"

#include <limits.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    QUEUE_MAX = 1024,
    ADDRESS_SIZE = 64,
    METHOD_PATH_SIZE = 64,
    CRYPTO_THREADS = 2,
    CLOCK_BACK_S = 5, /* clocks of several servers differ */
    ROTATION_EVERY_S = 60,
    ROTATION_AGAIN_S = 5, /* while more keys are due than rotate at a time */
    ROTATIONS_MAX = 64,
    /* for keys that nobody knows: strangers must neither keep the worker busy nor the thread that shakes hands */
    PINS_EVERY_MS = 1000,
    PINS_WAIT_MS = 500,
    PINS_FAILED_MS = 10000, /* after a failure: the database is away */
    STALL_MS =
        2000, /* a store that has not answered for so long keeps nobody waiting but those whose calls it has */
    STALL_EVERY_MS = 500
};

/* A copy of everything the handler needs: the request and the peer belong to whoever called. */
struct job {
    struct job *next;
    ccz_kms_answer_fn answer;
    void *arg;
    struct ccz_rpc_call *call; /* of gRPC, to see whether its caller has gone; else NULL */
    bool probe, of;            /* asks whether the store answers; and knows peer.spki_sha256 */
    bool pins;                 /* looks for new principals */
    bool backup;               /* copies the store to the path in `body` */
    struct ccz_ratls_peer peer;
    char address[ADDRESS_SIZE], path[METHOD_PATH_SIZE];
    struct ccz_buf body, evidence;
    uint32_t doors;
    struct ccz_kms_request req; /* of all that, once it is handled */
    const struct cczi_kms_method
        *own;                   /* of the system's own calls, else NULL: then `answer` is NULL */
    struct cczi_kms_work *work; /* to be done, or done */
    struct cczi_kms_place place;
    unsigned passes;
};

struct queue {
    struct job *first, **last;
    size_t len;
};

struct ccz_kms_service {
    struct ccz_kms_service_cfg cfg;
    struct cczi_kms_gate *gate; /* of the gRPC port */
    pthread_t worker;
    struct cczi_kms_entry *batch; /* CCZI_KMS_BATCH_MAX, of the worker */
    pthread_mutex_t lock;         /* everything below */
    pthread_cond_t wake, wake_crypto;
    struct queue calls;
    struct cczi_kms_works works; /* for the crypto threads, with what they are at */
    bool stop, stop_crypto, stop_minder;
    pthread_t minder;
    pthread_cond_t wake_minder;
    int64_t begun_ms;    /* when the worker took the calls that it has in hand; 0: it has none */
    struct ccz_err away; /* why no call is taken: the store does not answer; rc CCZ_OK: it does */
    bool stalled;        /* that is the minder's word; the worker did not look yet */
    _Atomic uint64_t refused; /* calls, since then */
    pthread_t crypto[CCZ_KMS_CRYPTO_THREADS_MAX];
    size_t crypto_threads, crypto_len; /* wanted; there */
    struct timespec look;              /* for rotations next: monotonic time; of the worker */
    size_t rotating;                   /* keys that were found by the last look; of the worker */
    pthread_mutex_t pins_lock; /* who has a role: read by event loops, renewed by the worker */
    struct pins {
        uint8_t (*id)[32];
        size_t len;
    } pins;
    uint64_t roles_seen;         /* count of the store that they are of */
    pthread_cond_t pins_renewed; /* with pins_lock, as is the rest */
    uint64_t pins_turn;          /* counts */
    int64_t pins_next_ms;        /* not looked for again before this */
};

static void queue_init(struct queue *q)
{
    *q = (struct queue){.last = &q->first};
}

static void queue_add(struct queue *q, struct job *j)
{
    j->next = NULL;
    *q->last = j;
    q->last = &j->next;
    q->len++;
}

static void queue_add_first(struct queue *q, struct job *j)
{
    j->next = q->first;
    q->first = j;
    if (!j->next)
        q->last = &j->next;
    q->len++;
}

static struct job *queue_take(struct queue *q)
{
    struct job *j = q->first;
    if (!j)
        return NULL;
    q->first = j->next;
    if (!q->first)
        q->last = &q->first;
    q->len--;
    return j;
}

static void job_free(struct job *j)
{
    cczi_kms_work_free(j->work);
    ccz_buf_free(&j->body);
    ccz_buf_free(&j->evidence);
    if (j->call)
        ccz_rpc_call_unref(j->call);
    free(j);
}

/* --------------------------------------------------------------------------- crypto */

static struct job *job_of(struct cczi_kms_place *p)
{
    return p ? (struct job *)(void *)((char *)p - offsetof(struct job, place)) : NULL;
}

/* Work of calls, see use_priv.h: whatever it takes, the worker goes on with others meanwhile. */
static void *do_works(void *arg)
{
    struct ccz_kms_service *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        struct job *j;
        while (!(j = job_of(cczi_kms_works_take(&s->works, s->crypto_threads))) && !s->stop_crypto)
            pthread_cond_wait(&s->wake_crypto, &s->lock);
        if (!j)
            break;
        pthread_mutex_unlock(&s->lock);
        cczi_kms_work_do(j->work);
        pthread_mutex_lock(&s->lock);
        cczi_kms_works_done(&s->works, &j->place);
        queue_add(&s->calls, j); /* it was admitted before: no limit applies */
        pthread_cond_signal(&s->wake);
        pthread_cond_signal(&s->wake_crypto); /* another making may begin now */
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* @return NULL, or `where` of a refusal */
static const char *queue_work(struct ccz_kms_service *s, struct job *j)
{
    memcpy(j->place.ns, j->work->ns, sizeof(j->place.ns));
    j->place.makes = j->work->makes;
    pthread_mutex_lock(&s->lock);
    const char *where = cczi_kms_works_add(&s->works, &j->place);
    if (!where)
        pthread_cond_signal(&s->wake_crypto);
    pthread_mutex_unlock(&s->lock);
    return where;
}

/* --------------------------------------------------------------------------- worker */

static bool is_past(const struct timespec *t)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > t->tv_sec || (now.tv_sec == t->tv_sec && now.tv_nsec >= t->tv_nsec);
}

/* From now on, for pthread_cond_timedwait(). */
static struct timespec in_ms(int64_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += ms % 1000 * 1000000L;
    t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000L;
    t.tv_nsec %= 1000000000L;
    return t;
}

/* Up to CCZI_KMS_BATCH_MAX jobs as a list, without waiting for more than the first. While one batch is on its way to the disk
 * the next one gathers: the busier, the larger, and nobody waits for company. @return false once stopped and empty; true with
 * no jobs: it is time to look for rotations, or for the store */
static bool take_jobs(struct queue *out, struct ccz_kms_service *s)
{
    int timed_out = 0;
    queue_init(out);
    pthread_mutex_lock(&s->lock);
    /* while it is away nothing is looked for but the store itself: s->look may be long over */
    const struct timespec until = s->away.rc != CCZ_OK ? in_ms(CCZI_KMS_AWAY_MS) : s->look;
    while (!s->calls.first && !(s->stop && s->works.len == 0) && !timed_out)
        timed_out = pthread_cond_timedwait(&s->wake, &s->lock, &until);
    bool more = s->calls.first || timed_out;
    while (out->len < CCZI_KMS_BATCH_MAX && s->calls.first)
        queue_add(out, queue_take(&s->calls));
    pthread_mutex_unlock(&s->lock);
    return more;
}

/* The worker begins to use the store, or is through. */
static void begin_use(struct ccz_kms_service *s)
{
    pthread_mutex_lock(&s->lock);
    s->begun_ms = ccz_mono_ms();
    pthread_mutex_unlock(&s->lock);
}

static void end_use(struct ccz_kms_service *s)
{
    pthread_mutex_lock(&s->lock);
    s->begun_ms = 0;
    pthread_mutex_unlock(&s->lock);
}

/* What the worker knows of the store, before it answers anybody. That it does not stall any more takes a look. */
static void tell_store(struct ccz_kms_service *s, bool looked)
{
    const struct ccz_kms_store *store = s->cfg.store;
    pthread_mutex_lock(&s->lock);
    const bool was = s->away.rc != CCZ_OK, is = store->away_until_ms != 0;
    const bool news = is && (!was || strcmp(s->away.where, store->away.where) != 0);
    const bool over = was && !is && (looked || !s->stalled);
    const uint64_t refused = atomic_load(&s->refused);
    if (is)
        s->away = store->away;
    if (is || looked)
        s->stalled = false;
    if (over) {
        s->away = (struct ccz_err){0};
        atomic_store(&s->refused, 0);
    }
    pthread_mutex_unlock(&s->lock);
    if (news)
        ccz_log(CCZ_LOG_WARN, "kms", "no call is taken until the store is back: where=%s %s",
                store->away.where, store->away.msg);
    if (over)
        ccz_log(CCZ_LOG_WARN, "kms", "the store is back: calls_refused=%llu",
                (unsigned long long)refused);
}

static void finish_job(struct ccz_kms_service *s, struct job *j, struct cczi_kms_entry *e)
{
    s->rotating -= j->own != NULL;
    if (j->call && e->rc == CCZ_OK && (e->call.accepted || e->call.roles))
        cczi_kms_gate_known(s->gate, j->address, ccz_mono_ms());
    if (j->answer && e->rc == CCZ_OK)
        j->answer(j->arg, ccz_buf_span(&e->answer), NULL);
    else if (j->answer)
        j->answer(j->arg, ccz_span_str(e->decision), &e->err);
    job_free(j);
}

/* Answers a call, or passes its work on. */
static void conclude(struct ccz_kms_service *s, struct job *j, struct cczi_kms_entry *e)
{
    if (e->later) {
        j->work = e->work;
        e->work = NULL;
        bool again = ++j->passes < CCZI_KMS_PASSES_MAX;
        const char *where = again ? queue_work(s, j) : "kms:busy";
        if (!where) {
            cczi_kms_entry_deinit(e);
            return;
        }
        cczi_kms_entry_give_up(e, where,
                               again ? "too many calls wait for RSA and large messages"
                                     : "its key changes faster than it is worked with");
    }
    finish_job(s, j, e);
    cczi_kms_entry_deinit(e);
}

static ccz_rc refuse_unknown(const uint8_t id[32], struct ccz_err *err)
{
    char hex[65];
    ccz_hex(hex, id, 32);
    ccz_refuse(err, CCZ_E_DENIED, "kms:admin-unknown", hex,
               "evidence, or a key known to cczoo-kmsd admin");
    return cczi_kms_hint(err, CCZ_E_DENIED);
}

static ccz_rc note_role(void *arg, const struct cczi_kms_admin *a, struct ccz_err *err)
{
    (void)a;
    (void)err;
    *(bool *)arg = true;
    return CCZ_OK;
}

/* Has a role in some namespace. */
static ccz_rc look_up(struct ccz_kms_store *store, const uint8_t id[32], struct ccz_err *err)
{
    bool known = false;
    ccz_rc rc = cczi_kms_admin_each(store, id, note_role, &known, err);
    return rc == CCZ_OK && !known ? refuse_unknown(id, err) : rc;
}

/* Behind the calls that were handled with it, so that its answer says that the worker gets through. */
static void answer_probe(struct ccz_kms_service *s, struct job *j)
{
    struct ccz_err err = {0};
    ccz_rc rc = cczi_kms_begin_read(s->cfg.store, &err);
    if (rc == CCZ_OK) {
        if (j->of)
            rc = look_up(s->cfg.store, j->peer.spki_sha256, &err);
        cczi_kms_rollback(s->cfg.store);
    }
    j->answer(j->arg, (struct ccz_span){0}, rc == CCZ_OK ? NULL : &err);
}

/* Whether a store that was away, or stalled, is back: no call waits for that. What else may be wrong with it, the next call is told. */
static void look_for_store(struct ccz_kms_service *s)
{
    struct ccz_kms_store *store = s->cfg.store;
    struct ccz_err err = {0};
    pthread_mutex_lock(&s->lock);
    const bool stalled = s->stalled;
    pthread_mutex_unlock(&s->lock);
    if (!stalled && (store->away_until_ms == 0 || ccz_mono_ms() < store->away_until_ms))
        return;
    ccz_rc rc = cczi_kms_begin_read(store, &err);
    cczi_kms_rollback(store);
    store->away_until_ms = rc == CCZ_E_UNAVAILABLE ? ccz_mono_ms() + CCZI_KMS_AWAY_MS : 0;
    if (rc == CCZ_E_UNAVAILABLE)
        store->away = err;
    tell_store(s, true);
}

static void back_up(struct ccz_kms_service *s, struct job *j)
{
    struct ccz_err err = {0};
    look_for_store(s); /* else calls would be refused all the while */
    end_use(s);        /* it takes what it takes, and calls wait */
    ccz_rc rc = cczi_kms_db_copy((const char *)j->body.ptr, &s->cfg.store->db, &err);
    begin_use(s);
    j->answer(j->arg, (struct ccz_span){0}, rc == CCZ_OK ? NULL : &err);
}

static ccz_rc load_pins(struct ccz_kms_service *s, struct ccz_err *err);

/* Another server may have given roles. Whoever waits is told in any case. */
static void look_for_pins(struct ccz_kms_service *s)
{
    struct ccz_err err = {0};
    ccz_rc rc = load_pins(s, &err);
    if (rc != CCZ_OK)
        ccz_log(CCZ_LOG_WARN, "kms", "cannot look for new administrators: where=%s %s", err.where,
                err.msg);
    pthread_mutex_lock(&s->pins_lock);
    if (rc != CCZ_OK)
        s->pins_next_ms = ccz_mono_ms() + PINS_FAILED_MS;
    s->pins_turn++;
    pthread_cond_broadcast(&s->pins_renewed);
    pthread_mutex_unlock(&s->pins_lock);
}

/* Calls that found no room in a transaction are the first of the next one. */
static void put_back(struct ccz_kms_service *s, struct job *const *of, struct cczi_kms_entry *e,
                     size_t len)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = len; i-- > 0;) {
        of[i]->work = e[i].work;
        e[i].work = NULL;
        cczi_kms_entry_deinit(&e[i]);
        queue_add_first(&s->calls, of[i]); /* it was admitted before: no limit applies */
    }
    pthread_mutex_unlock(&s->lock);
}

static void handle_jobs(struct ccz_kms_service *s, struct queue *jobs)
{
    struct job *of[CCZI_KMS_BATCH_MAX];
    struct queue probes;
    size_t len = 0;
    queue_init(&probes);
    for (struct job *j; (j = queue_take(jobs)) != NULL;) {
        if (j->probe || j->pins || j->backup) {
            queue_add(&probes, j);
            continue;
        }
        if (j->call &&
            ccz_rpc_cancelled(j->call)) { /* nobody waits: nothing is released or changed */
            job_free(j);
            continue;
        }
        j->req = (struct ccz_kms_request){
            .path = j->path,
            .body = ccz_buf_span(&j->body),
            .peer = &j->peer,
            .address = j->address,
            .now_s = ccz_clock_now_s(s->cfg.clock),
            .info = &s->cfg.info,
            .doors = j->doors,
            .evidence = ccz_buf_span(&j->evidence),
        };
        struct cczi_kms_entry *e = &s->batch[len];
        of[len++] = j;
        cczi_kms_entry_init(e, &j->req);
        if (j->own)
            e->method = j->own;
        e->work = j->work;
        j->work = NULL;
    }
    const size_t passed = len ? cczi_kms_batch_pass(s->cfg.store, s->batch, len) : 0;
    tell_store(s, false);
    end_use(s);
    for (size_t i = 0; i < passed; i++)
        conclude(s, of[i], &s->batch[i]);
    put_back(s, of + passed, s->batch + passed, len - passed);
    begin_use(s);
    for (struct job *j; (j = queue_take(&probes)) != NULL;) {
        if (j->pins)
            look_for_pins(s);
        else if (j->backup)
            back_up(s, j);
        else
            answer_probe(s, j);
        job_free(j);
    }
}

/* The call that rotates a key which is due. */
static struct job *rotation(const char *name)
{
    struct job *j = calloc(1, sizeof(*j));
    if (!j)
        return NULL;
    const struct cczi_msg_key_set_req m = {.name = ccz_span_str(name)};
    j->own = &cczi_kms_rotate_due;
    ccz_buf_init(&j->body, CCZ_KMS_MESSAGE_SIZE_MAX);
    cczi_msg_put(&j->body, cczi_msg_rotate_req, &m);
    if (!j->body.bad)
        return j;
    job_free(j);
    return NULL;
}

/* At the start, and then every minute, whatever the wall clock does meanwhile. */
static void look_for_rotations(struct ccz_kms_service *s)
{
    struct cczi_kms_due due;
    struct ccz_err err = {0};
    if (!is_past(&s->look))
        return;
    cczi_kms_opened_tick(s->cfg.store->opened);
    ccz_rc rc = cczi_kms_rotations_due(&due, s->cfg.store, ccz_clock_now_s(s->cfg.clock), &err);
    if (rc != CCZ_OK)
        ccz_log(CCZ_LOG_WARN, "kms", "cannot look for keys to rotate: where=%s %s", err.where,
                err.msg);
    size_t pick[ROTATIONS_MAX], len = 0;
    uint64_t start = 0;
    if (!s->rotating && due.len && ccz_random(&start, sizeof(start)) == CCZ_OK)
        len = cczi_kms_rotations_pick(pick, ROTATIONS_MAX, &due, start % due.len);
    for (size_t i = 0; i < len; i++) {
        struct job *j = rotation(due.names[pick[i]]);
        if (!j)
            break;
        s->rotating++;
        pthread_mutex_lock(&s->lock);
        queue_add(&s->calls, j);
        pthread_mutex_unlock(&s->lock);
    }
    free(due.names);
    clock_gettime(CLOCK_MONOTONIC, &s->look);
    s->look.tv_sec += due.len > len ? ROTATION_AGAIN_S : ROTATION_EVERY_S;
}

/* Whoever was given a role can connect from now on. */
static void renew_pins(struct ccz_kms_service *s)
{
    struct ccz_err err = {0};
    if (s->cfg.store->roles_changed != s->roles_seen && load_pins(s, &err) != CCZ_OK)
        ccz_log(CCZ_LOG_ERROR, "kms", "new administrators cannot connect yet: where=%s %s",
                err.where, err.msg);
}

static void *work(void *arg)
{
    struct ccz_kms_service *s = arg;
    struct queue jobs;
    queue_init(&jobs);
    do {
        begin_use(s);
        handle_jobs(s, &jobs);
        look_for_store(s);
        if (s->cfg.store->away_until_ms == 0) {
            renew_pins(s);
            look_for_rotations(s);
        }
        end_use(s);
    } while (take_jobs(&jobs, s));
    return NULL;
}

/* ---------------------------------------------------------------------------- minder */

static bool is_call(const struct job *j)
{
    return !j->own && !j->probe && !j->pins && !j->backup;
}

/* Takes what somebody waits for out of the queue. The lock is held. */
static void take_waiting(struct queue *out, struct ccz_kms_service *s)
{
    struct queue rest;
    queue_init(out);
    queue_init(&rest);
    for (struct job *j; (j = queue_take(&s->calls)) != NULL;)
        queue_add(is_call(j) || j->probe ? out : &rest, j);
    for (struct job *j; (j = queue_take(&rest)) != NULL;)
        queue_add(&s->calls, j);
}

static void count_refused(struct ccz_kms_service *s, const struct job *j)
{
    if (is_call(j)) {
        atomic_fetch_add(&s->refused, 1);
        atomic_fetch_add(&s->cfg.store->unrecorded, 1);
    }
}

/* Nothing of them was done. */
static void refuse_waiting(struct ccz_kms_service *s, struct queue *waiting,
                           const struct ccz_err *err)
{
    for (struct job *j; (j = queue_take(waiting)) != NULL;) {
        if (!j->call || !ccz_rpc_cancelled(j->call)) {
            count_refused(s, j);
            j->answer(j->arg, (struct ccz_span){0}, err);
        }
        job_free(j);
    }
}

/* How long the worker has waited for the store. Work that takes long, with many statements, is none. The lock is held. */
static int64_t waits_ms(const struct ccz_kms_service *s, int64_t now_ms)
{
    const int64_t alive_ms = atomic_load(&s->cfg.store->db.alive_ms);
    if (s->begun_ms == 0)
        return 0;
    return now_ms - (alive_ms > s->begun_ms ? alive_ms : s->begun_ms);
}

/* The worker stands in a statement, and has other calls behind it: whose callers may know another server. */
static void *mind(void *arg)
{
    struct ccz_kms_service *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->stop_minder) {
        const int64_t from_ms = ccz_mono_ms();
        const struct timespec next = in_ms(STALL_EVERY_MS);
        (void)pthread_cond_timedwait(&s->wake_minder, &s->lock, &next);
        const int64_t now_ms = ccz_mono_ms(), ms = waits_ms(s, now_ms);
        if (now_ms - from_ms > 2 * STALL_EVERY_MS)
            continue; /* all of the machine stood still */
        if (ms < STALL_MS || (s->away.rc != CCZ_OK && !s->calls.first))
            continue;
        const bool news = s->away.rc == CCZ_OK;
        if (news) {
            s->stalled = true;
            ccz_fail(&s->away, CCZ_E_UNAVAILABLE, "kms:store-stalled", ms,
                     "the store has not answered for %lld ms", (long long)ms);
            (void)cczi_kms_hint(&s->away, CCZ_E_UNAVAILABLE);
        }
        const struct ccz_err err = s->away;
        struct queue waiting;
        take_waiting(&waiting, s);
        pthread_mutex_unlock(&s->lock);
        if (news)
            ccz_log(CCZ_LOG_WARN, "kms", "no call is taken until it does: where=%s %s", err.where,
                    err.msg);
        refuse_waiting(s, &waiting, &err);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ----------------------------------------------------------------------------- loop */

static ccz_rc refuse_busy(struct ccz_err *err)
{
    ccz_fail(err, CCZ_E_LIMIT, "kms:busy", QUEUE_MAX, "too many calls are waiting");
    return cczi_kms_hint(err, CCZ_E_LIMIT);
}

/* @p j stays the caller's when it is refused. */
static ccz_rc queue_job(struct ccz_kms_service *s, struct job *j, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    pthread_mutex_lock(&s->lock);
    if (s->away.rc != CCZ_OK) {
        count_refused(s, j);
        *err = s->away;
        rc = err->rc;
    } else if (s->calls.len >= QUEUE_MAX || s->stop) {
        rc = refuse_busy(err);
    } else {
        queue_add(&s->calls, j);
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* Takes @p j, also when it is refused. */
static ccz_rc give_job(struct ccz_kms_service *s, struct job *j, struct ccz_err *err)
{
    ccz_rc rc = j->body.bad || j->evidence.bad ? refuse_busy(err) : queue_job(s, j, err);
    if (rc != CCZ_OK)
        job_free(j);
    return rc;
}

/* @p call  of gRPC, held until it is answered; or NULL */
static ccz_rc submit(struct ccz_kms_service *s, const struct ccz_kms_request *req,
                     struct ccz_rpc_call *call, ccz_kms_answer_fn answer, void *arg,
                     struct ccz_err *err)
{
    struct job *j = calloc(1, sizeof(*j));
    if (!j)
        return refuse_busy(err);
    if (call)
        ccz_rpc_call_ref(call);
    j->call = call;
    j->answer = answer;
    j->arg = arg;
    j->peer = *req->peer;
    j->doors = req->doors;
    (void)snprintf(j->address, sizeof(j->address), "%s", req->address);
    /* cut: no method has so long a name, and the cut one has none either */
    (void)snprintf(j->path, sizeof(j->path), "%s", req->path);
    ccz_buf_init(&j->body, CCZ_KMS_MESSAGE_SIZE_MAX);
    j->body.wipe = true;
    ccz_buf_put_span(&j->body, req->body);
    ccz_buf_init(&j->evidence, CCZ_QUOTE_SIZE_MAX);
    ccz_buf_put_span(&j->evidence, req->evidence);
    return give_job(s, j, err);
}

ccz_rc ccz_kms_service_call(struct ccz_kms_service *s, const struct ccz_kms_request *req,
                            ccz_kms_answer_fn answer, void *arg, struct ccz_err *err)
{
    return submit(s, req, NULL, answer, arg, err);
}

ccz_rc ccz_kms_service_probe(struct ccz_kms_service *s, const uint8_t *principal,
                             ccz_kms_answer_fn answer, void *arg, struct ccz_err *err)
{
    struct job *j = calloc(1, sizeof(*j));
    if (!j)
        return refuse_busy(err);
    j->answer = answer;
    j->arg = arg;
    j->probe = true;
    j->of = principal != NULL;
    if (j->of)
        memcpy(j->peer.spki_sha256, principal, 32);
    ccz_buf_init(&j->body, 0);
    return give_job(s, j, err);
}

ccz_rc ccz_kms_service_backup(struct ccz_kms_service *s, const char *path, ccz_kms_answer_fn answer,
                              void *arg, struct ccz_err *err)
{
    struct job *j = calloc(1, sizeof(*j));
    if (!j)
        return refuse_busy(err);
    j->answer = answer;
    j->arg = arg;
    j->backup = true;
    ccz_buf_init(&j->body, PATH_MAX);
    ccz_buf_put(&j->body, path, strlen(path) + 1);
    return give_job(s, j, err);
}

static void answer_rpc(void *call, struct ccz_span response, const struct ccz_err *err)
{
    if (err && response.size)
        ccz_rpc_add_trailer(call, "ccz-decision", response);
    if (err)
        ccz_rpc_fail(call, err);
    else
        ccz_rpc_reply(call, response);
}

static void on_call(struct ccz_rpc_call *call, void *service, struct ccz_span request)
{
    const struct ccz_kms_request req = {.path = ccz_rpc_call_path(call),
                                        .body = request,
                                        .peer = ccz_rpc_peer(call),
                                        .address = ccz_rpc_peer_address(call)};
    struct ccz_kms_service *s = service;
    struct ccz_err err = {0};
    if (cczi_kms_gate_pass_call(s->gate, call) &&
        submit(s, &req, call, answer_rpc, call, &err) != CCZ_OK)
        ccz_rpc_fail(call, &err);
}

ccz_rc ccz_kms_service_answers(struct ccz_kms_service *s, struct ccz_err *why)
{
    pthread_mutex_lock(&s->lock);
    ccz_rc rc = s->away.rc;
    if (rc != CCZ_OK && why)
        *why = s->away;
    pthread_mutex_unlock(&s->lock);
    return rc;
}

bool ccz_kms_service_admit(void *service, const char *address)
{
    struct ccz_kms_service *s = service;
    return cczi_kms_gate_admit(s->gate, address, ccz_mono_ms());
}

void ccz_kms_service_metrics(struct ccz_kms_service *s, struct ccz_buf *out)
{
    cczi_kms_gate_metrics(s->gate, out);
    cczi_kms_quotas_metrics(s->cfg.store->quotas, out);
    cczi_kms_batch_metrics(s->cfg.store, ccz_kms_service_answers(s, NULL) != CCZ_OK, out);
}

ccz_rc ccz_kms_service_add(struct ccz_kms_service *s, struct ccz_rpc_server *server)
{
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < cczi_kms_methods_len; i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "%s%s", CCZI_KMS_SERVICE, cczi_kms_methods[i].name);
        rc = ccz_rpc_server_add_unary(server, path, on_call, s);
    }
    return rc;
}

/* The lock is held. */
static bool is_pinned(const struct ccz_kms_service *s, const uint8_t digest[32])
{
    bool found = false;
    for (size_t i = 0; i < s->pins.len; i++)
        found = found || ccz_ct_eq(digest, s->pins.id[i], 32);
    return found;
}

static bool queue_pins_job(struct ccz_kms_service *s)
{
    struct ccz_err err;
    struct job *j = calloc(1, sizeof(*j));
    if (!j)
        return false;
    j->pins = true;
    ccz_buf_init(&j->body, 0);
    return give_job(s, j, &err) == CCZ_OK;
}

/* Has the worker look for new principals, and waits for that. The lock is held, but for the wait. @return false: it was not its time */
static bool ask_for_pins(struct ccz_kms_service *s)
{
    int64_t now_ms = ccz_mono_ms();
    if (now_ms < s->pins_next_ms)
        return false;
    s->pins_next_ms = now_ms + PINS_EVERY_MS;
    uint64_t turn = s->pins_turn;
    const struct timespec until = in_ms(PINS_WAIT_MS);
    int timed_out = 0;
    if (!queue_pins_job(s))
        return false;
    while (s->pins_turn == turn && !timed_out)
        timed_out = pthread_cond_timedwait(&s->pins_renewed, &s->pins_lock, &until);
    return s->pins_turn != turn;
}

ccz_rc ccz_kms_service_pin(void *service, struct ccz_span spki, struct ccz_err *err)
{
    struct ccz_kms_service *s = service;
    uint8_t digest[32];
    ccz_rc rc = ccz_sha256(digest, spki);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:pin", 0, "cannot hash a public key");
    pthread_mutex_lock(&s->pins_lock);
    bool found = is_pinned(s, digest);
    if (!found && ask_for_pins(s))
        found = is_pinned(s, digest);
    pthread_mutex_unlock(&s->pins_lock);
    return found ? CCZ_OK : refuse_unknown(digest, err);
}

/* ------------------------------------------------------------------------ new, free */

static ccz_rc add_admin(void *arg, const struct cczi_kms_admin *a, struct ccz_err *err)
{
    struct pins *l = arg;
    uint8_t(*p)[32] = realloc(l->id, (l->len + 1) * sizeof(*p));
    if (!p)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:service", 0, "out of memory");
    memcpy(p[l->len++], a->id, 32);
    l->id = p;
    return CCZ_OK;
}

/* On failure they stay what they were. */
static ccz_rc load_pins(struct ccz_kms_service *s, struct ccz_err *err)
{
    struct pins l = {0};
    uint64_t seen = s->cfg.store->roles_changed;
    ccz_rc rc = cczi_kms_begin_read(s->cfg.store, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_kms_admin_each(s->cfg.store, NULL, add_admin, &l, err);
    cczi_kms_rollback(s->cfg.store);
    if (rc == CCZ_OK) {
        pthread_mutex_lock(&s->pins_lock);
        struct pins was = s->pins;
        s->pins = l;
        pthread_mutex_unlock(&s->pins_lock);
        s->roles_seen = seen;
        l = was;
    }
    free(l.id);
    return rc;
}

/* The condition of the worker is timed by a clock that nobody sets. */
static void sync_init(struct ccz_kms_service *s)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, &attr);
    pthread_cond_init(&s->wake_minder, &attr);
    pthread_cond_init(&s->wake_crypto, NULL);
    pthread_cond_init(&s->pins_renewed, &attr);
    pthread_mutex_init(&s->pins_lock, NULL);
    pthread_condattr_destroy(&attr);
}

static void sync_deinit(struct ccz_kms_service *s)
{
    pthread_cond_destroy(&s->wake);
    pthread_cond_destroy(&s->wake_minder);
    pthread_cond_destroy(&s->wake_crypto);
    pthread_cond_destroy(&s->pins_renewed);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->pins_lock);
}

static void stop_crypto(struct ccz_kms_service *s)
{
    pthread_mutex_lock(&s->lock);
    s->stop_crypto = true;
    pthread_cond_broadcast(&s->wake_crypto);
    pthread_mutex_unlock(&s->lock);
    while (s->crypto_len)
        pthread_join(s->crypto[--s->crypto_len], NULL);
}

static void stop_minder(struct ccz_kms_service *s)
{
    pthread_mutex_lock(&s->lock);
    s->stop_minder = true;
    pthread_cond_signal(&s->wake_minder);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->minder, NULL);
}

static ccz_rc start_threads(struct ccz_kms_service *s, struct ccz_err *err)
{
    size_t len = s->cfg.crypto_threads ? s->cfg.crypto_threads : CRYPTO_THREADS;
    if (len > CCZ_KMS_CRYPTO_THREADS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "kms:service", (int64_t)len,
                              CCZ_KMS_CRYPTO_THREADS_MAX);
    s->crypto_threads = len;
    bool ok = true;
    for (size_t i = 0; ok && i < len; i++) {
        ok = pthread_create(&s->crypto[i], NULL, do_works, s) == 0;
        s->crypto_len += ok;
    }
    ok = ok && pthread_create(&s->minder, NULL, mind, s) == 0;
    if (ok && pthread_create(&s->worker, NULL, work, s) == 0)
        return CCZ_OK;
    if (ok)
        stop_minder(s);
    stop_crypto(s);
    return ccz_fail(err, CCZ_E_UNAVAILABLE, "kms:service", 0, "cannot start the worker threads");
}

/* A clock that went back lets what has expired be released again. Whether it did, or ran ahead before, nobody here can know. */
static void warn_clock(const struct ccz_kms_service *s)
{
    char now[21], last[21];
    int64_t now_s = ccz_clock_now_s(s->cfg.clock), last_s = s->cfg.store->opened_last_s;
    if (last_s - now_s <= CLOCK_BACK_S)
        return;
    ccz_time_format(now, now_s);
    ccz_time_format(last, last_s);
    ccz_log(CCZ_LOG_WARN, "kms",
            "clock=back now=%s last_line=%s: expiry, tokens and grace go by it; look at NTP", now,
            last);
}

ccz_rc ccz_kms_service_new(struct ccz_kms_service **out, const struct ccz_kms_service_cfg *cfg,
                           struct ccz_err *err)
{
    *out = NULL;
    struct ccz_kms_service *s = calloc(1, sizeof(*s));
    if (!s)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:service", 0, "out of memory");
    s->cfg = *cfg;
    s->cfg.store->clock = &s->cfg.clock;
    s->cfg.store->batch_ms = CCZI_KMS_BATCH_MS;
    warn_clock(s);
    cczi_kms_quotas_limit(s->cfg.store->quotas, &cfg->quota);
    queue_init(&s->calls);
    sync_init(s);
    s->batch = calloc(CCZI_KMS_BATCH_MAX, sizeof(*s->batch));
    ccz_rc rc = s->batch ? load_pins(s, err)
                         : ccz_fail(err, CCZ_E_NOMEM, "kms:service", 0, "out of memory");
    if (rc == CCZ_OK)
        rc = cczi_kms_gate_new(&s->gate, &cfg->rates, err);
    if (rc == CCZ_OK)
        rc = start_threads(s, err);
    if (rc != CCZ_OK) {
        s->cfg.store->clock = NULL;
        sync_deinit(s);
        cczi_kms_gate_free(s->gate);
        free(s->pins.id);
        free(s->batch);
        free(s);
        return rc;
    }
    *out = s;
    return CCZ_OK;
}

void ccz_kms_service_free(struct ccz_kms_service *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->worker, NULL);
    stop_minder(s);
    stop_crypto(s);
    s->cfg.store->clock = NULL;
    sync_deinit(s);
    cczi_kms_gate_free(s->gate);
    free(s->pins.id);
    free(s->batch);
    free(s);
}
