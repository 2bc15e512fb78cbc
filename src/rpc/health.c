/* SPDX-License-Identifier: Apache-2.0 */
/* The health service: proto/health.proto. */
#include <cczoo/codec.h>
#include <cczoo/rpc_services.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct service {
    struct service *next;
    enum ccz_rpc_serving status;
    size_t name_size;
    char name[];
};

/* A Watch call. Its request is in `name` from on_message() on; it is in the list from on_half_close() to on_done(). */
struct watch {
    struct watch *prev, *next;
    struct ccz_rpc_health *health;
    struct ccz_rpc_call *call;   /* held while in the list */
    const struct service *known; /* NULL: no such service yet */
    struct ccz_buf name;
    enum ccz_rpc_serving told;
    bool asked, listed, telling, ended, gone;
};
enum { TOLD_NOTHING = -1 };

struct ccz_rpc_health {
    pthread_mutex_t lock;
    struct service *services;
    size_t services_len;
    struct watch *first, *last;
    bool stopping;  /* watches end */
    bool suspended; /* and those that have heard it go on */
};

/* ---------------------------------------------------------------------------------- messages */

/* HealthCheckRequest. @return false if malformed */
static bool get_request(struct ccz_span *name, struct ccz_span msg)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    *name = (struct ccz_span){0};
    while (ccz_pb_next(&f, &r)) {
        if (f.number != 1)
            continue;
        if (f.wire != CCZ_PB_LEN)
            return false;
        *name = f.bytes;
    }
    return !r.bad;
}

/* HealthCheckResponse */
static void put_status(struct ccz_buf *out, enum ccz_rpc_serving status)
{
    if (status != CCZ_RPC_SERVING_UNKNOWN)
        ccz_pb_put_uint(out, 1, (uint64_t)status);
}

static void send_status(struct ccz_rpc_call *call, enum ccz_rpc_serving status)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 16);
    put_status(&out, status);
    if (out.bad)
        ccz_rpc_finish(call, CCZ_RPC_RESOURCE_EXHAUSTED, "out of memory");
    else
        ccz_rpc_send(call, ccz_buf_span(&out));
}

/* ---------------------------------------------------------------------------------- services */

static struct service *find(const struct ccz_rpc_health *h, struct ccz_span name)
{
    struct service *s = h->services;
    while (s && !ccz_span_eq(CCZ_SPAN(s->name, s->name_size), name))
        s = s->next;
    return s;
}

static enum ccz_rpc_serving shown(const struct ccz_rpc_health *h, const struct service *s)
{
    if (!s)
        return CCZ_RPC_SERVICE_UNKNOWN;
    return h->stopping || h->suspended ? CCZ_RPC_NOT_SERVING : s->status;
}

static ccz_rc add_service(struct ccz_rpc_health *h, struct ccz_span name,
                          enum ccz_rpc_serving status)
{
    if (h->services_len == CCZ_RPC_HEALTH_LEN_MAX)
        return CCZ_E_LIMIT;
    struct service *s = calloc(1, sizeof(*s) + name.size + 1);
    if (!s)
        return CCZ_E_NOMEM;
    s->status = status;
    s->name_size = name.size;
    if (name.size)
        memcpy(s->name, name.ptr, name.size);
    s->next = h->services;
    h->services = s;
    h->services_len++;
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------- Check, List */

static void check(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    struct ccz_rpc_health *h = arg;
    struct ccz_span name;
    if (!get_request(&name, request)) {
        ccz_rpc_finish(call, CCZ_RPC_INVALID_ARGUMENT, "malformed HealthCheckRequest");
        return;
    }
    pthread_mutex_lock(&h->lock);
    enum ccz_rpc_serving status = shown(h, find(h, name));
    pthread_mutex_unlock(&h->lock);
    if (status == CCZ_RPC_SERVICE_UNKNOWN) {
        ccz_rpc_finish(call, CCZ_RPC_NOT_FOUND, "unknown service");
        return;
    }
    send_status(call, status);
    ccz_rpc_finish(call, CCZ_RPC_OK, NULL);
}

/* HealthListRequest has no fields. */
static void list(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)request;
    struct ccz_rpc_health *h = arg;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_RPC_HEALTH_LEN_MAX * (CCZ_RPC_HEALTH_NAME_SIZE_MAX + 32));
    pthread_mutex_lock(&h->lock);
    for (const struct service *s = h->services; s; s = s->next) {
        size_t entry = ccz_pb_open(&out, 1);
        ccz_pb_put_bytes(&out, 1, CCZ_SPAN(s->name, s->name_size));
        size_t value = ccz_pb_open(&out, 2);
        put_status(&out, shown(h, s));
        ccz_pb_close(&out, value);
        ccz_pb_close(&out, entry);
    }
    pthread_mutex_unlock(&h->lock);
    if (out.bad)
        ccz_rpc_finish(call, CCZ_RPC_RESOURCE_EXHAUSTED, "out of memory");
    else
        ccz_rpc_reply(call, ccz_buf_span(&out));
}

/* -------------------------------------------------------------------------------------- Watch */

static void watch_free(struct watch *w)
{
    if (w->listed)
        ccz_rpc_call_unref(w->call);
    ccz_buf_free(&w->name);
    free(w);
}

/*
 * Tells the watches from @p w on what has changed. Sending may end calls, and so come back here through on_done(): never
 * under the lock. One thread at a time tells a watch, and looks again afterwards, so that the last status told is
 * the newest. Called with the lock held.
 */
static void tell_from(struct ccz_rpc_health *h, struct watch *w)
{
    while (w) {
        if (!w->known)
            w->known = find(h, ccz_buf_span(&w->name));
        enum ccz_rpc_serving status = shown(h, w->known);
        bool news = w->told != status, end = h->stopping;
        if (w->telling || w->ended || !(news || end)) {
            w = w->next;
            continue;
        }
        w->told = status;
        w->telling = true; /* on_done() leaves it to us */
        w->ended = end;
        pthread_mutex_unlock(&h->lock);
        if (news)
            send_status(w->call, status);
        if (end)
            ccz_rpc_finish(w->call, CCZ_RPC_UNAVAILABLE, "the server is stopping");
        pthread_mutex_lock(&h->lock);
        w->telling = false;
        if (w->gone) {
            watch_free(w);
            w = h->first; /* nobody knows what came behind it; those that were told are passed */
        }
    }
}

static void watch_start(struct ccz_rpc_call *call, void *arg)
{
    struct watch *w = calloc(1, sizeof(*w));
    ccz_rpc_call_set_arg(call, w);
    if (!w) {
        ccz_rpc_finish(call, CCZ_RPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    w->health = arg;
    w->call = call;
    w->told = (enum ccz_rpc_serving)TOLD_NOTHING;
    ccz_buf_init(&w->name, CCZ_RPC_HEALTH_NAME_SIZE_MAX);
}

static void watch_message(struct ccz_rpc_call *call, void *arg, struct ccz_span msg)
{
    struct watch *w = arg;
    struct ccz_span name;
    if (!w)
        return;
    if (w->asked) {
        ccz_rpc_finish(call, CCZ_RPC_UNIMPLEMENTED, "more than one message for Watch");
        return;
    }
    w->asked = true;
    if (!get_request(&name, msg)) {
        ccz_rpc_finish(call, CCZ_RPC_INVALID_ARGUMENT, "malformed HealthCheckRequest");
        return;
    }
    ccz_buf_put_span(&w->name, name);
    if (w->name.bad)
        ccz_rpc_finish(call, CCZ_RPC_INVALID_ARGUMENT, "the service's name is too long");
}

static void watch_half_close(struct ccz_rpc_call *call, void *arg)
{
    struct watch *w = arg;
    if (!w || w->name.bad)
        return;
    if (!w->asked) {
        ccz_rpc_finish(call, CCZ_RPC_UNIMPLEMENTED, "no message for Watch");
        return;
    }
    struct ccz_rpc_health *h = w->health;
    ccz_rpc_call_ref(call);
    pthread_mutex_lock(&h->lock);
    w->listed = true;
    w->prev = h->last;
    *(h->last ? &h->last->next : &h->first) = w;
    h->last = w;
    tell_from(h, w);
    pthread_mutex_unlock(&h->lock);
}

static void watch_done(struct ccz_rpc_call *call, void *arg, bool cancelled)
{
    (void)call, (void)cancelled;
    struct watch *w = arg;
    if (!w)
        return;
    struct ccz_rpc_health *h = w->health;
    pthread_mutex_lock(&h->lock);
    if (w->listed) {
        *(w->prev ? &w->prev->next : &h->first) = w->next;
        *(w->next ? &w->next->prev : &h->last) = w->prev;
    }
    w->gone = true;
    bool telling = w->telling;
    pthread_mutex_unlock(&h->lock);
    if (!telling)
        watch_free(w);
}

/* ------------------------------------------------------------------------------------- object */

static void on_stop(void *arg)
{
    struct ccz_rpc_health *h = arg;
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    tell_from(h, h->first);
    pthread_mutex_unlock(&h->lock);
}

ccz_rc ccz_rpc_health_new(struct ccz_rpc_health **out, struct ccz_rpc_server *s,
                          struct ccz_err *err)
{
    static const struct ccz_rpc_handler watching = {.on_start = watch_start,
                                                    .on_message = watch_message,
                                                    .on_half_close = watch_half_close,
                                                    .on_done = watch_done};
    *out = NULL;
    CCZ_AUTO(ccz_rpc_health) h = calloc(1, sizeof(*h));
    if (!h)
        return ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
    pthread_mutex_init(&h->lock, NULL);
    ccz_rc rc = add_service(h, (struct ccz_span){0}, CCZ_RPC_SERVING);
    /* the hook is last: what fails before it leaves no pointer to what is freed here, or the server does not start */
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_add_unary(s, "/grpc.health.v1.Health/Check", check, h);
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_add_unary(s, "/grpc.health.v1.Health/List", list, h);
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_add(s, "/grpc.health.v1.Health/Watch", &watching, h);
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_on_stop(s, on_stop, h);
    if (rc == CCZ_E_NOMEM)
        return ccz_fail(err, rc, "rpc:memory", 0, "out of memory");
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "rpc:health", 0,
                        "the server runs already or has a health service");
    *out = ccz_rpc_health_take(&h);
    return CCZ_OK;
}

void ccz_rpc_health_free(struct ccz_rpc_health *h)
{
    if (!h)
        return;
    while (h->services) {
        struct service *s = h->services;
        h->services = s->next;
        free(s);
    }
    pthread_mutex_destroy(&h->lock);
    free(h);
}

ccz_rc ccz_rpc_health_set(struct ccz_rpc_health *h, const char *service,
                          enum ccz_rpc_serving status)
{
    struct ccz_span name = ccz_span_str(service);
    ccz_rc rc = CCZ_OK;
    if ((unsigned)status > CCZ_RPC_NOT_SERVING || name.size > CCZ_RPC_HEALTH_NAME_SIZE_MAX)
        return CCZ_E_ARG;
    pthread_mutex_lock(&h->lock);
    struct service *s = find(h, name);
    if (s)
        s->status = status;
    else
        rc = add_service(h, name, status);
    if (rc == CCZ_OK)
        tell_from(h, h->first);
    pthread_mutex_unlock(&h->lock);
    return rc;
}

enum ccz_rpc_serving ccz_rpc_health_get(struct ccz_rpc_health *h, const char *service)
{
    pthread_mutex_lock(&h->lock);
    enum ccz_rpc_serving status = shown(h, find(h, ccz_span_str(service)));
    pthread_mutex_unlock(&h->lock);
    return status;
}

void ccz_rpc_health_suspend(struct ccz_rpc_health *h)
{
    pthread_mutex_lock(&h->lock);
    h->suspended = true;
    tell_from(h, h->first);
    pthread_mutex_unlock(&h->lock);
}

void ccz_rpc_health_resume(struct ccz_rpc_health *h)
{
    pthread_mutex_lock(&h->lock);
    h->stopping = h->suspended = false;
    tell_from(h, h->first);
    pthread_mutex_unlock(&h->lock);
}
