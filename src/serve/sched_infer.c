/* SPDX-License-Identifier: Apache-2.0 */
/* Binds requests of infer.h to jobs of sched.h: both transports, and where what kind of call is done. */
#define _DEFAULT_SOURCE
#include <cczoo/sched_infer.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MIB = 1 << 20, SMALL_BODY = 1 << 16 /* of calls that run no model */ };

struct ccz_sched_infer {
    struct ccz_sched_infer_cfg cfg;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    unsigned reloads; /* threads that are under way */
};

/* One call, of either transport. */
struct call {
    struct ccz_sched_job job; /* first */
    struct ccz_sched_infer *owner;
    struct ccz_sched_caller caller;
    bool rest;
    int64_t began_ns;
    struct ccz_infer_task *task;
    struct ccz_buf out;
    struct ccz_run_status st; /* gRPC */
    struct ccz_infer_call grpc;
    struct ccz_infer_http http;
    unsigned (*unpack)(void *call, struct ccz_span *body, size_t size_max, const char **why);
    size_t body_max;
    struct ccz_infer_http_answer answer; /* REST */
    void (*answer_grpc)(void *call, const struct ccz_run_status *st, struct ccz_span response);
    void (*answer_rest)(void *call, const struct ccz_infer_http_answer *answer,
                        struct ccz_span body);
};

static struct call *call_of(const struct ccz_sched_job *j)
{
    return (struct call *)(uintptr_t)j;
}

/* ------------------------------------------------------------------------ phases */

static bool cancelled(const struct ccz_sched_job *j)
{
    const struct call *c = call_of(j);
    return c->caller.cancelled && c->caller.cancelled(c->caller.call);
}

/* False: the refusal is there. */
static bool unpack(struct call *c)
{
    const char *why = "";
    if (!c->unpack)
        return true;
    c->answer.status = c->unpack(c->caller.call, &c->http.body, c->body_max, &why);
    c->answer.content_type = "application/json";
    if (c->answer.status)
        ccz_buf_printf(&c->out, "{ \"error\": \"%s\" }", why);
    return c->answer.status == 0;
}

static bool decode(struct ccz_sched_job *j)
{
    struct call *c = call_of(j);
    if (!unpack(c))
        return false;
    if (c->http.body.size > j->size) /* it stays as long as the job waits in a batch */
        j->size = c->http.body.size;
    if (c->rest)
        ccz_infer_begin_rest(&c->task, &c->out, &c->answer, c->owner->cfg.infer, &c->http);
    else
        ccz_infer_begin_grpc(&c->task, &c->out, &c->st, c->owner->cfg.infer, &c->grpc);
    if (!c->task)
        return false;
    const struct ccz_infer_task_info *info = ccz_infer_task_info(c->task);
    j->model = info->engine_model;
    j->req = info->req;
    return true;
}

/* The outcome of the run, as an answer of the transport. */
static void encode(struct call *c, const struct ccz_run_status *st, const struct ccz_tensor *out,
                   size_t len)
{
    bool ok = st->code == CCZ_RUN_OK;
    if (c->task && !ok)
        ccz_infer_task_failed(c->task, st->code);
    if (c->rest && ok) {
        ccz_infer_answer_rest(&c->out, &c->answer, c->task, out, len);
    } else if (c->rest) {
        ccz_infer_fail_rest(&c->out, &c->answer, st);
    } else if (ok) {
        ccz_infer_answer_grpc(&c->out, &c->st, c->task, out, len);
    } else {
        c->st = *st;
    }
}

static void send_answer(struct call *c)
{
    if (c->rest)
        c->answer_rest(c->caller.call, &c->answer, ccz_buf_span(&c->out));
    else
        c->answer_grpc(c->caller.call, &c->st,
                       c->st.code == CCZ_RUN_OK ? ccz_buf_span(&c->out) : (struct ccz_span){0});
}

static bool answered_ok(const struct call *c)
{
    return c->rest ? c->answer.status == 200 : c->st.code == CCZ_RUN_OK;
}

static void measure(const struct call *c)
{
    struct ccz_serve_metrics *m = c->owner->cfg.metrics;
    if (!m || !c->task)
        return;
    const struct ccz_infer_task_info *info = ccz_infer_task_info(c->task);
    if (c->job.times.run_ns > 0) {
        ccz_serve_metrics_runtime(m, info->model, info->api, c->job.times.run_ns);
        if (c->job.times.batch_rows == 0) /* else the batch has counted it */
            ccz_serve_metrics_run(m, c->job.times.run_ns);
    }
    if (answered_ok(c)) /* as there: what failed has no latency */
        ccz_serve_metrics_latency(m, info->model, info->api, c->rest,
                                  ccz_sched_now_ns(c->owner->cfg.sched) - c->began_ns);
}

static void finish(struct ccz_sched_job *j, const struct ccz_run_status *st,
                   const struct ccz_tensor *out, size_t len)
{
    struct call *c = call_of(j);
    if (st)
        encode(c, st, out, len);
    send_answer(c);
    measure(c);
}

static void release(struct ccz_sched_job *j)
{
    struct call *c = call_of(j);
    ccz_infer_task_free(c->task); /* before the request, which its inputs may point into */
    c->caller.release(c->caller.call);
    ccz_buf_free(&c->out);
    free(c);
}

static const struct ccz_sched_job_ops ops = {
    .cancelled = cancelled, .decode = decode, .finish = finish, .release = release};

/* ------------------------------------------------------------------------ where */

enum place { PLACE_HERE, PLACE_QUEUE, PLACE_THREAD };

static bool ends_with(struct ccz_span text, const char *end)
{
    size_t size = strlen(end);
    return text.size >= size &&
           strncasecmp((const char *)text.ptr + text.size - size, end, size) == 0;
}

static enum place place_of_grpc(const char *path)
{
    static const struct {
        const char *path;
        enum place place;
    } calls[] = {
        {CCZ_INFER_PATH_PREDICT, PLACE_QUEUE},
        {CCZ_INFER_PATH_CLASSIFY, PLACE_QUEUE},
        {CCZ_INFER_PATH_REGRESS, PLACE_QUEUE},
        {CCZ_INFER_PATH_MULTI, PLACE_QUEUE},
        {CCZ_INFER_PATH_V2 "ModelInfer", PLACE_QUEUE},
        {CCZ_INFER_PATH_RELOAD, PLACE_THREAD},
        {CCZ_INFER_PATH_V2 "RepositoryModelLoad", PLACE_THREAD},
        {CCZ_INFER_PATH_V2 "RepositoryModelUnload", PLACE_THREAD},
    };
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if (strcmp(path, calls[i].path) == 0)
            return calls[i].place;
    return PLACE_HERE;
}

/* Posts run a model, but for those of the repository: a path that is none of either is refused quickly wherever it is. */
static enum place place_of_rest(const struct ccz_infer_http *http)
{
    const char *query = strchr(http->path, '?');
    struct ccz_span path =
        CCZ_SPAN(http->path, query ? (size_t)(query - http->path) : strlen(http->path));
    if (strcmp(http->method, "POST") != 0)
        return PLACE_HERE;
    if (strncasecmp(http->path, "/v2/repository/", 15) == 0)
        return ends_with(path, "/load") || ends_with(path, "/unload") ? PLACE_THREAD : PLACE_HERE;
    return PLACE_QUEUE;
}

/* All phases, here. */
static void do_call(struct call *c)
{
    (void)decode(&c->job); /* never a task: none of these runs a model */
    if (c->task) {
        struct ccz_run_status st = {0};
        ccz_run_status_set(&st, CCZ_RUN_INTERNAL, "This call was not expected to run a model");
        finish(&c->job, &st, NULL, 0);
    } else {
        finish(&c->job, NULL, NULL, 0);
    }
    release(&c->job);
}

static void refuse(struct call *c, const struct ccz_run_status *st)
{
    finish(&c->job, st, NULL, 0);
    release(&c->job);
}

static void *reload_main(void *arg)
{
    struct call *c = arg;
    struct ccz_sched_infer *a = c->owner;
    do_call(c);
    pthread_mutex_lock(&a->lock);
    a->reloads--;
    pthread_cond_broadcast(&a->ended);
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static void start_reload(struct call *c)
{
    struct ccz_sched_infer *a = c->owner;
    pthread_t thread;
    pthread_mutex_lock(&a->lock);
    bool ok = a->reloads < CCZ_SCHED_INFER_RELOADS_MAX &&
              pthread_create(&thread, NULL, reload_main, c) == 0;
    a->reloads += ok;
    pthread_mutex_unlock(&a->lock);
    if (ok) {
        pthread_detach(thread);
        return;
    }
    struct ccz_run_status st = {0};
    ccz_run_status_set(&st, CCZ_RUN_UNAVAILABLE, "%d reloads are under way already",
                       CCZ_SCHED_INFER_RELOADS_MAX);
    refuse(c, &st);
}

static void go(struct call *c, enum place place, struct ccz_span model, size_t size)
{
    struct ccz_run_status st;
    c->job.ops = &ops;
    c->job.size = size;
    c->job.deadline_ns = c->caller.deadline_ns;
    c->job.cls = c->caller.cls;
    if (place == PLACE_HERE)
        do_call(c);
    else if (place == PLACE_THREAD)
        start_reload(c);
    else if (!ccz_sched_submit(c->owner->cfg.sched, model, &c->job, &st))
        refuse(c, &st);
}

/* NULL: no memory. */
static struct call *new_call(struct ccz_sched_infer *a, const struct ccz_sched_caller *caller)
{
    struct call *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->owner = a;
    c->caller = *caller;
    c->began_ns = ccz_sched_now_ns(a->cfg.sched);
    ccz_buf_init(&c->out, a->cfg.answer_size_max);
    return c;
}

void ccz_sched_infer_grpc(struct ccz_sched_infer *a, const struct ccz_sched_grpc *r)
{
    struct call *c = new_call(a, &r->caller);
    if (!c) {
        struct ccz_run_status st = {.code = CCZ_RUN_RESOURCE_EXHAUSTED, .msg = "out of memory"};
        r->answer(r->caller.call, &st, (struct ccz_span){0});
        r->caller.release(r->caller.call);
        return;
    }
    c->grpc = (struct ccz_infer_call){.path = r->path, .request = r->request};
    c->answer_grpc = r->answer;
    enum place place = place_of_grpc(r->path);
    go(c, place, place == PLACE_QUEUE ? ccz_infer_peek_grpc(&c->grpc) : (struct ccz_span){0},
       r->request.size);
}

void ccz_sched_infer_rest(struct ccz_sched_infer *a, const struct ccz_sched_rest *r)
{
    struct call *c = new_call(a, &r->caller);
    if (!c) {
        struct ccz_infer_http_answer answer = {.status = 503, .content_type = "application/json"};
        r->answer(r->caller.call, &answer, ccz_span_str("{ \"error\": \"out of memory\" }"));
        r->caller.release(r->caller.call);
        return;
    }
    c->rest = true;
    c->http = r->http;
    c->http.timeout_ms = 0; /* the scheduler looks at the deadline */
    c->answer_rest = r->answer;
    enum place place = place_of_rest(&c->http);
    c->unpack = r->unpack;
    c->body_max = place == PLACE_QUEUE ? SIZE_MAX : SMALL_BODY;
    c->job.not_inline = r->unpack != NULL;
    go(c, place, place == PLACE_QUEUE ? ccz_infer_peek_rest(c->http.path) : (struct ccz_span){0},
       r->http.body.size);
}

/* ------------------------------------------------------------------------ new, free */

ccz_rc ccz_sched_infer_new(struct ccz_sched_infer **out, const struct ccz_sched_infer_cfg *cfg,
                           struct ccz_err *err)
{
    struct ccz_sched_infer *a = *out = calloc(1, sizeof(*a));
    if (!a)
        return ccz_fail(err, CCZ_E_NOMEM, "sched:infer", 0, "out of memory");
    a->cfg = *cfg;
    a->cfg.answer_size_max = cfg->answer_size_max ? cfg->answer_size_max : (size_t)64 * MIB;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->ended, NULL);
    return CCZ_OK;
}

void ccz_sched_infer_free(struct ccz_sched_infer *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    while (a->reloads > 0)
        pthread_cond_wait(&a->ended, &a->lock);
    pthread_mutex_unlock(&a->lock);
    pthread_cond_destroy(&a->ended);
    pthread_mutex_destroy(&a->lock);
    free(a);
}
