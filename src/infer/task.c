/* SPDX-License-Identifier: Apache-2.0 */
/* One call: read, run by whoever wants to, answered. */
#include "infer/v2_priv.h"

#include <cczoo/codec.h>

#include <stdlib.h>
#include <string.h>

enum {
    ALIGN = 64,
    FIRST = 2048,                /* scratch beside the task: what a small request needs */
    WARM_RESPONSE_MAX = 1 << 30, /* what a warm-up's answer may take, as gRPC's clients would */
};

ccz_rc cczi_no_memory(struct ccz_run_status *st)
{
    return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "no memory for the request");
}

/* ------------------------------------------------------------------------ life */

static struct ccz_infer_task *new_task(struct ccz_infer *s, bool rest, size_t request_size)
{
    const size_t head = (sizeof(struct ccz_infer_task) + ALIGN - 1) / ALIGN * ALIGN;
    struct ccz_infer_task *t = aligned_alloc(ALIGN, head + FIRST);
    if (!t)
        return NULL;
    *t = (struct ccz_infer_task){.info = {.version = -1, .api = "", .rest = rest},
                                 .s = s,
                                 .code = CCZ_RUN_CANCELLED,
                                 .request_size = request_size};
    t->info.req = &t->req;
    cczi_scratch_init(&t->scratch, s->cfg.input_size_max);
    cczi_scratch_lend(&t->scratch, (uint8_t *)t + head, FIRST);
    if (s->cfg.on_done)
        t->began_ns = ccz_mono_ns();
    return t;
}

static void report(const struct ccz_infer_task *t)
{
    const struct ccz_infer_cfg *cfg = &t->s->cfg;
    if (!cfg->on_done || t->only)
        return;
    const struct ccz_infer_done done = {.model = t->info.model ? t->info.model : "",
                                        .version = t->info.version,
                                        .api = t->info.api,
                                        .rest = t->info.rest,
                                        .code = t->code,
                                        .total_ns = ccz_mono_ns() - t->began_ns,
                                        .examples = t->examples,
                                        .request_size = t->request_size,
                                        .response_size = t->response_size};
    cfg->on_done(cfg->arg, &done);
}

void ccz_infer_task_free(struct ccz_infer_task *t)
{
    if (!t)
        return;
    report(t);
    cczi_scratch_free(&t->scratch);
    if (t->united)
        ccz_model_union_release(t->v->model, t->united);
    cczi_release(t->s, t->v);
    free(t);
}

const struct ccz_infer_task_info *ccz_infer_task_info(const struct ccz_infer_task *t)
{
    return &t->info;
}

void ccz_infer_task_failed(struct ccz_infer_task *t, enum ccz_run_code code)
{
    t->code = code;
}

ccz_rc cczi_task_acquire(struct ccz_infer_task *t, struct ccz_run_status *st,
                         const struct cczi_spec *spec)
{
    ccz_rc rc = CCZ_OK;
    if (t->only) {
        t->v = t->only;
        t->v->uses = 1; /* nobody else has it */
        t->info.model = "";
    } else {
        rc = cczi_acquire(&t->v, &t->info.model, st, t->s, spec);
    }
    if (rc != CCZ_OK)
        return rc;
    t->info.version = t->v->version;
    t->info.engine_model = t->v->model;
    t->info.user = t->v->user;
    return CCZ_OK;
}

size_t cczi_task_outputs(const struct ccz_infer_task *t)
{
    return t->req.fetch ? t->req.fetch_len : t->req.sig->out_len;
}

const struct ccz_tensor_info *cczi_task_output(const struct ccz_infer_task *t, size_t i)
{
    return &t->req.sig->out[t->req.fetch ? t->req.fetch[i] : i];
}

/* ------------------------------------------------------------------------ answers */

/* Puts right what a handler left: an answer that did not fit, a failure without a code, half an answer. */
static bool settle(struct ccz_buf *out, struct ccz_run_status *st, ccz_rc rc, size_t before)
{
    if (rc == CCZ_OK && out->bad)
        rc = ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED,
                                "the response is larger than %zu bytes", out->max_size);
    if (rc == CCZ_OK)
        return true;
    if (st->code == CCZ_RUN_OK)
        (void)ccz_run_status_set(st, CCZ_RUN_INTERNAL, "%s", ccz_rc_str(rc));
    out->size = before;
    out->bad = false;
    return false;
}

static void put_error(struct ccz_buf *body, const struct ccz_run_status *st)
{
    struct cczi_jw w = {.out = body, .indent = 4};
    cczi_jw_object(&w);
    cczi_jw_member(&w, "error", st->msg);
    cczi_jw_object_end(&w);
}

void ccz_infer_fail_rest(struct ccz_buf *body, struct ccz_infer_http_answer *answer,
                         const struct ccz_run_status *st)
{
    put_error(body, st);
    answer->status = ccz_infer_http_status(st->code);
    answer->content_type = "application/json";
    answer->json_size = 0;
}

static ccz_rc write_answer(struct ccz_buf *out, struct ccz_infer_http_answer *http,
                           struct ccz_run_status *st, struct ccz_infer_task *t,
                           const struct ccz_tensor *result, size_t len)
{
    *st = (struct ccz_run_status){0};
    if (len != cczi_task_outputs(t))
        return ccz_run_status_set(st, CCZ_RUN_INTERNAL, "the run gave %zu outputs instead of %zu",
                                  len, cczi_task_outputs(t));
    return t->answer(out, http, st, t, result);
}

void ccz_infer_answer_grpc(struct ccz_buf *response, struct ccz_run_status *st,
                           struct ccz_infer_task *t, const struct ccz_tensor *out, size_t len)
{
    const size_t before = response->size;
    (void)settle(response, st, write_answer(response, NULL, st, t, out, len), before);
    t->code = st->code;
    t->response_size = response->size - before;
}

void ccz_infer_answer_rest(struct ccz_buf *body, struct ccz_infer_http_answer *answer,
                           struct ccz_infer_task *t, const struct ccz_tensor *out, size_t len)
{
    struct ccz_run_status st;
    const size_t before = body->size;
    answer->status = 200;
    answer->content_type = "application/json";
    answer->json_size = 0;
    if (!settle(body, &st, write_answer(body, answer, &st, t, out, len), before))
        ccz_infer_fail_rest(body, answer, &st);
    t->code = st.code;
    t->response_size = body->size - before;
}

/* ------------------------------------------------------------------------ begin */

static void begin_grpc(struct ccz_infer_task **out, struct ccz_buf *response,
                       struct ccz_run_status *st, struct ccz_infer *s,
                       const struct ccz_infer_call *call, struct cczi_version *only)
{
    *out = NULL;
    *st = (struct ccz_run_status){0};
    struct ccz_infer_task *t = new_task(s, false, call->request.size);
    if (!t) {
        (void)cczi_no_memory(st);
        return;
    }
    t->only = only;
    const size_t before = response->size;
    cczi_grpc_fn begin = cczi_grpc_method(&t->info.api, call->path);
    t->req.timeout_ms = call->timeout_ms;
    ccz_rc rc =
        begin ? begin(t, response, st, call)
              : ccz_run_status_set(st, CCZ_RUN_UNIMPLEMENTED, "unknown method %.200s", call->path);
    if (settle(response, st, rc, before) && t->answer) {
        *out = t;
        return;
    }
    t->code = st->code;
    t->response_size = response->size - before;
    ccz_infer_task_free(t);
}

void ccz_infer_begin_grpc(struct ccz_infer_task **out, struct ccz_buf *response,
                          struct ccz_run_status *st, struct ccz_infer *s,
                          const struct ccz_infer_call *call)
{
    begin_grpc(out, response, st, s, call, NULL);
}

void ccz_infer_begin_rest(struct ccz_infer_task **out, struct ccz_buf *body,
                          struct ccz_infer_http_answer *answer, struct ccz_infer *s,
                          const struct ccz_infer_http *call)
{
    *out = NULL;
    *answer = (struct ccz_infer_http_answer){.status = 200, .content_type = "application/json"};
    struct ccz_run_status st = {0};
    struct ccz_infer_task *t = new_task(s, true, call->body.size);
    if (!t) {
        (void)cczi_no_memory(&st);
        ccz_infer_fail_rest(body, answer, &st);
        return;
    }
    const size_t before = body->size;
    t->req.timeout_ms = call->timeout_ms;
    ccz_rc rc = cczi_rest_begin(t, body, answer, &st, call);
    if (!settle(body, &st, rc, before)) {
        t->answer = NULL;
        ccz_infer_fail_rest(body, answer, &st);
    }
    if (t->answer) {
        *out = t;
        return;
    }
    t->code = st.code;
    t->response_size = body->size - before;
    ccz_infer_task_free(t);
}

/* ------------------------------------------------------------------------ in one go */

/* Runs the task alone; @p st says what went wrong. */
static struct ccz_result *run(struct ccz_infer_task *t, struct ccz_run_status *st)
{
    struct ccz_result *r = NULL;
    ccz_rc rc = ccz_model_run(&r, st, t->info.engine_model, &t->req, NULL);
    if (rc != CCZ_OK &&
        st->code == CCZ_RUN_OK) /* a failure of the engine without a code of its own */
        (void)ccz_run_status_set(st, CCZ_RUN_INTERNAL, "%s", ccz_rc_str(rc));
    if (!r)
        ccz_infer_task_failed(t, st->code);
    return r;
}

static void answer_grpc(struct ccz_buf *response, struct ccz_run_status *st, struct ccz_infer *s,
                        const struct ccz_infer_call *call, struct cczi_version *only)
{
    CCZ_AUTO(ccz_infer_task) t = NULL;
    begin_grpc(&t, response, st, s, call, only);
    if (!t)
        return;
    struct ccz_result *r = run(t, st);
    if (r)
        ccz_infer_answer_grpc(response, st, t, ccz_result_at(r, 0), ccz_result_len(r));
    ccz_result_free(r); /* before the inputs it may show, and before its model */
}

void ccz_infer_grpc(struct ccz_buf *response, struct ccz_run_status *st, struct ccz_infer *s,
                    const struct ccz_infer_call *call)
{
    answer_grpc(response, st, s, call, NULL);
}

void ccz_infer_warm(struct ccz_run_status *st, struct ccz_infer *s, struct ccz_model *model,
                    const struct ccz_infer_call *call)
{
    static const char service[] = "/tensorflow.serving.PredictionService/";
    struct cczi_version only = {.version = 0, .state = CCZ_INFER_LOADING, .model = model};
    CCZ_AUTO_BUF response;
    ccz_buf_init(&response, WARM_RESPONSE_MAX);
    if (strncmp(call->path, service, sizeof(service) - 1) != 0)
        (void)ccz_run_status_set(st, CCZ_RUN_UNIMPLEMENTED, "unknown method %.200s", call->path);
    else
        answer_grpc(&response, st, s, call, &only);
}

void ccz_infer_rest(struct ccz_buf *body, struct ccz_infer_http_answer *answer, struct ccz_infer *s,
                    const struct ccz_infer_http *call)
{
    CCZ_AUTO(ccz_infer_task) t = NULL;
    ccz_infer_begin_rest(&t, body, answer, s, call);
    if (!t)
        return;
    struct ccz_run_status st;
    struct ccz_result *r = run(t, &st);
    if (r)
        ccz_infer_answer_rest(body, answer, t, ccz_result_at(r, 0), ccz_result_len(r));
    else
        ccz_infer_fail_rest(body, answer, &st);
    ccz_result_free(r);
}

/* ------------------------------------------------------------------------ peeking */

/* The first field @p number that holds bytes. */
static struct ccz_span first_field(struct ccz_span msg, uint32_t number)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r))
        if (f.number == number && f.wire == CCZ_PB_LEN)
            return f.bytes;
    return (struct ccz_span){0};
}

struct ccz_span ccz_infer_peek_grpc(const struct ccz_infer_call *call)
{
    const char *path = call->path;
    if (strncmp(path, CCZ_INFER_PATH_V2, sizeof(CCZ_INFER_PATH_V2) - 1) == 0)
        return first_field(call->request, 1);
    if (strcmp(path, CCZ_INFER_PATH_RELOAD) == 0)
        return (struct ccz_span){0};
    struct ccz_span spec = first_field(call->request, 1);
    if (strcmp(path, CCZ_INFER_PATH_MULTI) == 0)
        spec = first_field(spec, 1);
    return first_field(spec, 1);
}

struct ccz_span ccz_infer_peek_rest(const char *path)
{
    struct ccz_span at = ccz_span_str(path), name = {0};
    const void *query = memchr(at.ptr, '?', at.size);
    if (query)
        at.size = (size_t)((const uint8_t *)query - at.ptr);
    if (cczi_path_take(&at, "/v1/models/") || cczi_path_take(&at, "/v2/models/"))
        (void)cczi_path_part(&name, &at);
    return name;
}
