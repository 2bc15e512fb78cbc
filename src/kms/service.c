/* SPDX-License-Identifier: Apache-2.0 */
/* The handler behind an RPC server: event loops queue calls, one worker owns the store. */
#include "kms_priv.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUE_MAX = 1024, ADDRESS_SIZE = 64, METHOD_PATH_SIZE = 64 };

/* A copy of everything the handler needs: the request and the peer belong to whoever called. */
struct job {
    struct job *next;
    ccz_kms_answer_fn answer;
    void *arg;
    struct ccz_rpc_call *call; /* of gRPC, to see whether its caller has gone; else NULL */
    bool probe;                /* asks nothing but whether the store answers */
    struct ccz_ratls_peer peer;
    char address[ADDRESS_SIZE], path[METHOD_PATH_SIZE];
    struct ccz_buf body;
    uint32_t doors;
    struct ccz_kms_request req; /* of all that, once it is handled */
};

struct ccz_kms_service {
    struct ccz_kms_service_cfg cfg;
    pthread_t worker;
    struct cczi_kms_entry *batch; /* CCZI_KMS_BATCH_MAX, of the worker */
    pthread_mutex_t lock;         /* everything below */
    pthread_cond_t wake;
    struct job *first, **last;
    size_t queued;
    bool stop;
    /* administrators when the service was made; immutable, so pins need no lock */
    uint8_t (*admins)[32];
    size_t admins_len;
};

static void job_free(struct job *j)
{
    ccz_buf_free(&j->body);
    if (j->call)
        ccz_rpc_call_unref(j->call);
    free(j);
}

/* --------------------------------------------------------------------------- worker */

/* Up to CCZI_KMS_BATCH_MAX jobs as a list, without waiting for more than the first; NULL once stopped and empty. While
 * one batch is on its way to the disk the next one gathers: the busier, the larger, and nobody waits for company. */
static struct job *take_jobs(struct ccz_kms_service *s)
{
    pthread_mutex_lock(&s->lock);
    while (!s->first && !s->stop)
        pthread_cond_wait(&s->wake, &s->lock);
    struct job *first = s->first, **end = &s->first;
    for (size_t n = 0; *end && n < CCZI_KMS_BATCH_MAX; n++) {
        end = &(*end)->next;
        s->queued--;
    }
    s->first = *end;
    *end = NULL;
    if (!s->first)
        s->last = &s->first;
    pthread_mutex_unlock(&s->lock);
    return first;
}

/* Behind the calls that came with it, so that its answer says that the worker gets through. */
static void answer_probe(struct ccz_kms_service *s, struct job *j)
{
    struct ccz_err err = {0};
    ccz_rc rc = cczi_kms_begin_read(s->cfg.store, &err);
    if (rc == CCZ_OK)
        cczi_kms_rollback(s->cfg.store);
    j->answer(j->arg, (struct ccz_span){0}, rc == CCZ_OK ? NULL : &err);
}

static void handle_jobs(struct ccz_kms_service *s, struct job *jobs)
{
    struct job *of[CCZI_KMS_BATCH_MAX];
    size_t len = 0;
    for (struct job *j = jobs; j; j = j->next) {
        if (j->probe ||
            (j->call &&
             ccz_rpc_cancelled(j->call))) /* nobody waits: nothing is released or changed */
            continue;
        j->req = (struct ccz_kms_request){
            .path = j->path,
            .body = ccz_buf_span(&j->body),
            .peer = &j->peer,
            .address = j->address,
            .now_s = ccz_clock_now_s(s->cfg.clock),
            .info = &s->cfg.info,
            .doors = j->doors,
        };
        of[len] = j;
        cczi_kms_entry_init(&s->batch[len++], &j->req);
    }
    cczi_kms_handle_batch(s->cfg.store, s->batch, len);
    for (size_t i = 0; i < len; i++) {
        struct cczi_kms_entry *e = &s->batch[i];
        of[i]->answer(of[i]->arg, ccz_buf_span(&e->answer), e->rc == CCZ_OK ? NULL : &e->err);
        cczi_kms_entry_deinit(e);
    }
    for (struct job *j = jobs; j; j = j->next)
        if (j->probe)
            answer_probe(s, j);
}

static void *work(void *arg)
{
    struct ccz_kms_service *s = arg;
    for (struct job *jobs; (jobs = take_jobs(s)) != NULL;) {
        handle_jobs(s, jobs);
        while (jobs) {
            struct job *next = jobs->next;
            job_free(jobs);
            jobs = next;
        }
    }
    return NULL;
}

/* ----------------------------------------------------------------------------- loop */

static bool queue_job(struct ccz_kms_service *s, struct job *j)
{
    pthread_mutex_lock(&s->lock);
    bool room = s->queued < QUEUE_MAX && !s->stop;
    if (room) {
        *s->last = j;
        s->last = &j->next;
        s->queued++;
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    return room;
}

static ccz_rc refuse_busy(struct ccz_err *err)
{
    ccz_fail(err, CCZ_E_LIMIT, "kms:busy", QUEUE_MAX, "too many calls are waiting");
    return cczi_kms_hint(err, CCZ_E_LIMIT);
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
    if (!j->body.bad && queue_job(s, j))
        return CCZ_OK;
    job_free(j);
    return refuse_busy(err);
}

ccz_rc ccz_kms_service_call(struct ccz_kms_service *s, const struct ccz_kms_request *req,
                            ccz_kms_answer_fn answer, void *arg, struct ccz_err *err)
{
    return submit(s, req, NULL, answer, arg, err);
}

ccz_rc ccz_kms_service_probe(struct ccz_kms_service *s, ccz_kms_answer_fn answer, void *arg,
                             struct ccz_err *err)
{
    struct job *j = calloc(1, sizeof(*j));
    if (!j)
        return refuse_busy(err);
    j->answer = answer;
    j->arg = arg;
    j->probe = true;
    ccz_buf_init(&j->body, 0);
    if (queue_job(s, j))
        return CCZ_OK;
    job_free(j);
    return refuse_busy(err);
}

static void answer_rpc(void *call, struct ccz_span response, const struct ccz_err *err)
{
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
    struct ccz_err err = {0};
    if (submit(service, &req, call, answer_rpc, call, &err) != CCZ_OK)
        ccz_rpc_fail(call, &err);
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

ccz_rc ccz_kms_service_pin(void *service, struct ccz_span spki, struct ccz_err *err)
{
    const struct ccz_kms_service *s = service;
    uint8_t digest[32];
    ccz_rc rc = ccz_sha256(digest, spki);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:pin", 0, "cannot hash a public key");
    for (size_t i = 0; i < s->admins_len; i++)
        if (ccz_ct_eq(digest, s->admins[i], sizeof(digest)))
            return CCZ_OK;
    char hex[65];
    ccz_hex(hex, digest, sizeof(digest));
    ccz_refuse(err, CCZ_E_DENIED, "kms:admin-unknown", hex,
               "evidence, or a key known to cczoo-kmsd admin");
    return cczi_kms_hint(err, CCZ_E_DENIED);
}

/* ------------------------------------------------------------------------ new, free */

static ccz_rc add_admin(void *arg, const struct cczi_kms_admin *a, struct ccz_err *err)
{
    struct ccz_kms_service *s = arg;
    uint8_t(*p)[32] = realloc(s->admins, (s->admins_len + 1) * sizeof(*p));
    if (!p)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:service", 0, "out of memory");
    memcpy(p[s->admins_len++], a->spki_sha256, 32);
    s->admins = p;
    return CCZ_OK;
}

static ccz_rc load_admins(struct ccz_kms_service *s, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_begin_read(s->cfg.store, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_kms_admin_each(s->cfg.store, add_admin, s, err);
    cczi_kms_rollback(s->cfg.store);
    return rc;
}

ccz_rc ccz_kms_service_new(struct ccz_kms_service **out, const struct ccz_kms_service_cfg *cfg,
                           struct ccz_err *err)
{
    *out = NULL;
    struct ccz_kms_service *s = calloc(1, sizeof(*s));
    if (!s)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:service", 0, "out of memory");
    s->cfg = *cfg;
    s->last = &s->first;
    s->batch = calloc(CCZI_KMS_BATCH_MAX, sizeof(*s->batch));
    ccz_rc rc = s->batch ? load_admins(s, err)
                         : ccz_fail(err, CCZ_E_NOMEM, "kms:service", 0, "out of memory");
    if (rc == CCZ_OK) {
        pthread_mutex_init(&s->lock, NULL);
        pthread_cond_init(&s->wake, NULL);
        if (pthread_create(&s->worker, NULL, work, s) != 0) {
            pthread_cond_destroy(&s->wake);
            pthread_mutex_destroy(&s->lock);
            rc = ccz_fail(err, CCZ_E_UNAVAILABLE, "kms:service", 0,
                          "cannot start the worker thread");
        }
    }
    if (rc != CCZ_OK) {
        free(s->admins);
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
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s->admins);
    free(s->batch);
    free(s);
}
