/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC side: the event loop takes requests in and hands them to the scheduler; answers go back from whatever thread made them. */
#include "served.h"

#include <cczoo/rpc_services.h>

#include <stdlib.h>
#include <string.h>

struct served_grpc {
    struct served_work *work;
    struct ccz_span replica;
    struct ccz_rpc_health *health;
};

static bool cancelled(void *call)
{
    return ccz_rpc_cancelled(call);
}

static void answer(void *call, const struct ccz_run_status *st, struct ccz_span response)
{
    if (st->code == CCZ_RUN_OK)
        ccz_rpc_reply(call, response);
    else
        ccz_rpc_finish(call, (enum ccz_rpc_code)st->code, st->msg); /* the same numbers */
}

static void release(void *call)
{
    ccz_rpc_call_unref(call);
}

static void on_call(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    const struct served_grpc *g = arg;
    const int64_t left_ms = ccz_rpc_time_left_ms(call);
    const int64_t forever_ms = INT64_MAX / 1000000 / 2;
    ccz_rpc_call_ref(call);
    ccz_rpc_add_header(call, "ccz-replica", g->replica);
    const struct ccz_sched_grpc r = {
        .caller = {.call = call,
                   .deadline_ns = left_ms > forever_ms ? 0 : ccz_mono_ns() + left_ms * 1000000,
                   .cancelled = cancelled,
                   .release = release},
        .path = ccz_rpc_call_path(call),
        .request = request, /* stays as long as the call is held */
        .answer = answer,
    };
    ccz_sched_infer_grpc(g->work->infer, &r);
}

ccz_rc served_grpc_new(struct served_grpc **out, struct ccz_rpc_server *server,
                       struct served_work *work, const char *replica, struct ccz_err *err)
{
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return ccz_fail(err, CCZ_E_NOMEM, "served:grpc", 0, "out of memory");
    **out = (struct served_grpc){.work = work, .replica = ccz_span_str(replica)};
    /* Every path: infer.h knows which exist and answers UNIMPLEMENTED for the others. */
    ccz_rpc_server_set_fallback(server, on_call, *out);
    return CCZ_OK;
}

/* the names that TensorFlow Serving answers for, and the real ones: they serve as long as the server does */
static const char *const services[] = {"ModelService", "PredictionService",
                                       "tensorflow.serving.ModelService",
                                       "tensorflow.serving.PredictionService"};
enum { SERVICES_LEN = sizeof(services) / sizeof(services[0]) };

static ccz_rc set_health(struct served_grpc *g, const char *name, bool ready)
{
    return ccz_rpc_health_set(g->health, name, ready ? CCZ_RPC_SERVING : CCZ_RPC_NOT_SERVING);
}

/* ccz_infer_watch_fn */
static void on_change(void *arg, const char *name)
{
    struct served_grpc *g = arg;
    bool taken = false;
    for (size_t i = 0; i < SERVICES_LEN; i++)
        taken = taken || strcmp(name, services[i]) == 0;
    ccz_rc rc = taken ? CCZ_OK : set_health(g, name, ccz_infer_ready(g->work->models, name));
    if (rc == CCZ_OK)
        rc = set_health(g, "", ccz_infer_ready(g->work->models, NULL));
    if (rc != CCZ_OK)
        ccz_log(CCZ_LOG_WARN, "served", "health=unknown model=%s rc=%s", name, ccz_rc_str(rc));
}

ccz_rc served_grpc_health(struct served_grpc *g, struct ccz_rpc_server *server, struct ccz_err *err)
{
    ccz_rc rc = ccz_rpc_health_new(&g->health, server, err);
    for (size_t i = 0; rc == CCZ_OK && i < SERVICES_LEN; i++)
        if (ccz_rpc_health_set(g->health, services[i], CCZ_RPC_SERVING) != CCZ_OK)
            rc = ccz_fail(err, CCZ_E_NOMEM, "served:grpc", 0, "out of memory");
    if (rc == CCZ_OK && set_health(g, "", ccz_infer_ready(g->work->models, NULL)) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_NOMEM, "served:grpc", 0, "out of memory");
    if (rc == CCZ_OK)
        ccz_infer_watch(g->work->models, on_change, g);
    return rc;
}

void served_grpc_leave(struct served_grpc *g)
{
    if (g && g->health)
        ccz_rpc_health_suspend(g->health);
}

void served_grpc_free(struct served_grpc *g)
{
    if (g && g->health)
        ccz_infer_watch(g->work->models, NULL, NULL);
    if (g)
        ccz_rpc_health_free(g->health);
    free(g);
}
