/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC side: the event loop takes requests in, workers run the model, answers go back through the loop. */
#include "served.h"

#include <stdlib.h>

struct served_grpc {
    struct ccz_infer *infer;
    struct served_pool *pool;
    const char *replica;
};

struct grpc_job {
    struct served_grpc *owner;
    struct ccz_rpc_call *call;
    struct ccz_span request; /* stays as long as the call is held */
};

static void job_free(struct grpc_job *j)
{
    ccz_rpc_call_unref(j->call);
    free(j);
}

static void run_job(void *arg)
{
    struct grpc_job *j = arg;
    int64_t left_ms = ccz_rpc_time_left_ms(j->call);
    if (ccz_rpc_cancelled(j->call) || left_ms == 0) { /* nobody waits for it any more */
        job_free(j);
        return;
    }
    CCZ_AUTO_BUF response;
    ccz_buf_init(&response, CCZ_RPC_MESSAGE_SIZE_MAX);
    struct ccz_run_status st = {0};
    const struct ccz_infer_call call = {
        .path = ccz_rpc_call_path(j->call),
        .request = j->request,
        .timeout_ms = left_ms > UINT32_MAX ? 0 : (uint32_t)left_ms,
    };
    ccz_infer_grpc(&response, &st, j->owner->infer, &call);
    ccz_rpc_add_header(j->call, "ccz-replica", ccz_span_str(j->owner->replica));
    if (st.code == CCZ_RUN_OK)
        ccz_rpc_reply(j->call, ccz_buf_span(&response));
    else
        ccz_rpc_finish(j->call, (enum ccz_rpc_code)st.code, st.msg); /* the same numbers */
    job_free(j);
}

static void on_call(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    struct served_grpc *g = arg;
    struct grpc_job *j = calloc(1, sizeof(*j));
    if (!j) {
        ccz_rpc_finish(call, CCZ_RPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    ccz_rpc_call_ref(call);
    *j = (struct grpc_job){.owner = g, .call = call, .request = request};
    if (!served_pool_submit(g->pool, run_job, j, request.size)) {
        ccz_rpc_finish(call, CCZ_RPC_UNAVAILABLE, SERVED_BUSY);
        job_free(j);
    }
}

ccz_rc served_grpc_new(struct served_grpc **out, struct ccz_rpc_server *server,
                       struct ccz_infer *infer, struct served_pool *pool, const char *replica,
                       struct ccz_err *err)
{
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return ccz_fail(err, CCZ_E_NOMEM, "served:grpc", 0, "out of memory");
    **out = (struct served_grpc){.infer = infer, .pool = pool, .replica = replica};
    /* Every path: ccz_infer_grpc() knows which exist and answers UNIMPLEMENTED for the others. */
    ccz_rpc_server_set_fallback(server, on_call, *out);
    return CCZ_OK;
}

void served_grpc_free(struct served_grpc *g)
{
    free(g);
}
