/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Off the door's thread and back: calls of the KMS, whose answers come on its worker, and work of the doors. What comes
 * back is put on a list and the loop is woken; where memory for that is out, the tick of the door finds it a second later. Once the
 * loop has ended, ccz_kms_door_free() empties the list, so each job comes back exactly once.
 */
#include "door_priv.h"

#include <stdio.h>
#include <string.h>

void cczi_door_list_init(struct cczi_door_list *l)
{
    *l = (struct cczi_door_list){0};
    l->last = &l->first;
}

static void put(struct cczi_door_list *l, struct cczi_door_job *j)
{
    j->next = NULL;
    *l->last = j;
    l->last = &j->next;
    l->len++;
}

static struct cczi_door_job *take(struct cczi_door_list *l)
{
    struct cczi_door_job *j = l->first;
    if (!j)
        return NULL;
    l->first = j->next;
    if (!l->first)
        l->last = &l->first;
    l->len--;
    return j;
}

static void deliver(void *door)
{
    cczi_door_deliver(door);
}

/* From any thread. */
static void come_back(struct cczi_door_job *j)
{
    struct ccz_kms_door *d = j->req.door;
    pthread_mutex_lock(&d->lock);
    put(&d->done, j);
    if (!d->posted) /* under the lock: the door may be freed as soon as the job is seen */
        d->posted = ccz_loop_post(d->loop, deliver, d) == CCZ_OK;
    pthread_mutex_unlock(&d->lock);
}

static struct cczi_door_job *next_done(struct ccz_kms_door *d)
{
    pthread_mutex_lock(&d->lock);
    struct cczi_door_job *j = take(&d->done);
    if (!j)
        d->posted = false;
    pthread_mutex_unlock(&d->lock);
    return j;
}

static void finish(struct cczi_door_job *j)
{
    if (!j->calling) {
        j->worked(&j->req, j->arg);
        return;
    }
    struct ccz_buf response = j->response; /* the next call may need it */
    struct ccz_err err = j->err;
    bool failed = j->failed;
    ccz_buf_init(&j->response, CCZ_KMS_MESSAGE_SIZE_MAX);
    j->response.wipe = true;
    j->done(&j->req, j->arg, ccz_buf_span(&response), failed ? &err : NULL);
    ccz_buf_free(&response);
}

void cczi_door_deliver(struct ccz_kms_door *d)
{
    for (struct cczi_door_job *j; (j = next_done(d)) != NULL;)
        finish(j);
}

/* ---------------------------------------------------------------------------------- calls */

/* On a thread of the service. */
static void on_answer(void *arg, struct ccz_span response, const struct ccz_err *err)
{
    struct cczi_door_job *j = arg;
    j->req.decision[0] = 0;
    if (err) { /* and the response is the id of the decision, or empty */
        j->failed = true;
        j->err = *err;
        if (response.size < sizeof(j->req.decision)) {
            memcpy(j->req.decision, response.size ? (const void *)response.ptr : "", response.size);
            j->req.decision[response.size] = 0;
        }
    } else {
        ccz_buf_put_span(&j->response, response);
        if (j->response.bad) { /* it happened, and its answer is lost: say so rather than nothing */
            j->failed = true;
            ccz_fail(&j->err, CCZ_E_NOMEM, "kms:response", 0, "no memory for the response");
        }
    }
    come_back(j);
}

static bool is_stopping(struct ccz_kms_door *d)
{
    pthread_mutex_lock(&d->lock);
    bool stopping = d->stopping;
    pthread_mutex_unlock(&d->lock);
    return stopping;
}

static ccz_rc submit(struct cczi_door_job *j, const struct cczi_door_call *call,
                     struct ccz_err *err)
{
    struct ccz_kms_door *d = j->req.door;
    char path[96];
    int n = snprintf(path, sizeof(path), "/cczoo.kms.v1.Kms/%s", call->method);
    if (n < 0 || (size_t)n >= sizeof(path))
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "kms:method", n, "there is no such method");
    if (call->body && call->body->bad) /* an empty request may mean something */
        return cczi_door_no_memory(err);
    if (!d->cfg.service || is_stopping(d))
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "door:stopping", 0, "the server ends");
    const struct ccz_kms_request req = {.path = path,
                                        .body = call->body ? ccz_buf_span(call->body)
                                                           : (struct ccz_span){0},
                                        .peer = call->peer ? call->peer : &j->req.auth.peer,
                                        .address = j->req.address,
                                        .evidence = call->evidence};
    return ccz_kms_service_call(d->cfg.service, &req, on_answer, j, err);
}

static struct cczi_door_job *begin_call(struct cczi_door_req *r, cczi_door_done_fn done, void *arg)
{
    struct cczi_door_job *j = (struct cczi_door_job *)r;
    j->calling = true;
    j->req.decision[0] = 0;
    j->done = done;
    j->arg = arg;
    j->failed = false;
    return j;
}

static void refuse_call(struct cczi_door_job *j, const struct ccz_err *err)
{
    j->failed = true;
    j->err = *err;
    come_back(j);
}

void cczi_door_call(struct cczi_door_req *r, const struct cczi_door_call *call,
                    cczi_door_done_fn done, void *arg)
{
    struct cczi_door_job *j = begin_call(r, done, arg);
    struct ccz_err err = {0};
    if (submit(j, call, &err) != CCZ_OK) /* else the job may be back already */
        refuse_call(j, &err);
}

static ccz_rc submit_probe(struct cczi_door_job *j, const uint8_t *principal, struct ccz_err *err)
{
    struct ccz_kms_door *d = j->req.door;
    if (!d->cfg.service || is_stopping(d))
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "door:stopping", 0, "the server ends");
    return ccz_kms_service_probe(d->cfg.service, principal, on_answer, j, err);
}

void cczi_door_probe(struct cczi_door_req *r, const uint8_t *principal, cczi_door_done_fn done,
                     void *arg)
{
    struct cczi_door_job *j = begin_call(r, done, arg);
    struct ccz_err err = {0};
    if (submit_probe(j, principal, &err) != CCZ_OK)
        refuse_call(j, &err);
}

/* --------------------------------------------------------------------------------- workers */

enum { TODO_MAX = 512 };

static void *worker_main(void *arg)
{
    struct ccz_kms_door *d = arg;
    for (;;) {
        pthread_mutex_lock(&d->lock);
        while (!d->todo.first && !d->stopping)
            pthread_cond_wait(&d->wake, &d->lock);
        struct cczi_door_job *j = take(&d->todo);
        pthread_mutex_unlock(&d->lock);
        if (!j)
            return NULL;
        j->work(j->arg);
        come_back(j);
    }
}

ccz_rc cczi_door_work(struct cczi_door_req *r, void (*work)(void *arg),
                      void (*done)(struct cczi_door_req *r, void *arg), void *arg,
                      struct ccz_err *err)
{
    struct cczi_door_job *j = (struct cczi_door_job *)r;
    struct ccz_kms_door *d = r->door;
    j->calling = false;
    j->work = work;
    j->worked = done;
    j->arg = arg;
    pthread_mutex_lock(&d->lock);
    bool room = !d->stopping && d->todo.len < TODO_MAX;
    if (room) {
        put(&d->todo, j);
        pthread_cond_signal(&d->wake);
    }
    pthread_mutex_unlock(&d->lock);
    if (room)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_UNAVAILABLE, "door:busy", TODO_MAX, "too much work is waiting");
}

ccz_rc cczi_door_workers_start(struct ccz_kms_door *d, struct ccz_err *err)
{
    while (d->workers_len < d->cfg.workers) {
        int e = pthread_create(&d->workers[d->workers_len], NULL, worker_main, d);
        if (e != 0)
            return ccz_fail(err, CCZ_E_UNAVAILABLE, "door:threads", e, "cannot start a thread");
        d->workers_len++;
    }
    return CCZ_OK;
}

void cczi_door_workers_stop(struct ccz_kms_door *d)
{
    pthread_mutex_lock(&d->lock);
    d->stopping = true;
    pthread_cond_broadcast(&d->wake);
    pthread_mutex_unlock(&d->lock);
    while (d->workers_len) /* they do first what is queued */
        pthread_join(d->workers[--d->workers_len], NULL);
}
