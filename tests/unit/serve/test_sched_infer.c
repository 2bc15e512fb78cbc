/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of both transports through the scheduler: answered as infer.h alone answers them; where each kind of call is done. */
#define _DEFAULT_SOURCE
#include "infer/infer_kit.h"

#include <cczoo/sched_infer.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { CALLS = 12 };

static struct call {
    int answered;
    atomic_int released;
    bool gone;
    struct ccz_buf request;
    struct ccz_run_status st;
    struct ccz_infer_http_answer http;
    struct ccz_buf response;
} calls[CALLS];

static struct ccz_infer *infer;
static struct ccz_sched *sched;
static struct ccz_sched_infer *binding;
static struct ccz_serve_metrics *metrics;

static bool cancelled(void *arg)
{
    return ((struct call *)arg)->gone;
}

static void answer_grpc(void *arg, const struct ccz_run_status *st, struct ccz_span response)
{
    struct call *c = arg;
    CHECK(c->answered++ == 0 && c->released == 0);
    c->st = *st;
    ccz_buf_put_span(&c->response, response);
}

static void answer_rest(void *arg, const struct ccz_infer_http_answer *answer, struct ccz_span body)
{
    struct call *c = arg;
    CHECK(c->answered++ == 0 && c->released == 0);
    c->http = *answer;
    ccz_buf_put_span(&c->response, body);
}

static void release(void *arg)
{
    struct call *c = arg;
    CHECK(c->answered == 1);
    ccz_buf_free(&c->request); /* whoever still looks at it is found out by asan */
    CHECK(atomic_fetch_add(&c->released, 1) == 0);
}

static struct call *fresh(size_t i)
{
    ccz_buf_free(&calls[i].response);
    calls[i] = (struct call){0};
    ccz_buf_init(&calls[i].request, 1 << 16);
    ccz_buf_init(&calls[i].response, 1 << 16);
    return &calls[i];
}

/* Rows of x (two columns) and n. */
static struct call *predict(size_t i, const char *model, int64_t rows)
{
    struct call *c = fresh(i);
    float x[16];
    int32_t n[8];
    for (int64_t k = 0; k < 2 * rows; k++)
        x[k] = (float)(i * 100) + (float)k / 3;
    for (int64_t k = 0; k < rows; k++)
        n[k] = (int32_t)(i * 10) + (int32_t)k;
    struct ccz_tensor in[2] = {kit_floats(x, 2, rows, 2), {0}};
    in[0].name = "x";
    in[1] = (struct ccz_tensor){.name = "n",
                                .dtype = CCZ_DT_INT32,
                                .rank = 1,
                                .dims = {rows},
                                .len = (size_t)rows,
                                .data = CCZ_SPAN(n, (size_t)rows * 4)};
    ccz_infer_encode_predict(&c->request, model, NULL, in, 2, NULL);
    return c;
}

static void call_grpc(struct call *c, const char *path, int64_t deadline_ns)
{
    ccz_sched_infer_grpc(binding, &(struct ccz_sched_grpc){.caller = {.call = c,
                                                                      .deadline_ns = deadline_ns,
                                                                      .cancelled = cancelled,
                                                                      .release = release},
                                                           .path = path,
                                                           .request = ccz_buf_span(&c->request),
                                                           .answer = answer_grpc});
}

static void call_rest(struct call *c, const char *method, const char *path)
{
    ccz_sched_infer_rest(
        binding, &(struct ccz_sched_rest){
                     .caller = {.call = c, .release = release},
                     .http = {.method = method, .path = path, .body = ccz_buf_span(&c->request)},
                     .answer = answer_rest});
}

static void on_reload(void *arg, struct ccz_span config, struct ccz_run_status *st);

static void begin(struct ccz_sched_cfg cfg)
{
    CHECK(ccz_serve_metrics_new(&metrics, NULL) == CCZ_OK);
    infer = kit_server(&(struct ccz_infer_cfg){.on_done = ccz_serve_metrics_done,
                                               .metric = ccz_serve_metrics_value,
                                               .on_reload = on_reload,
                                               .arg = metrics});
    cfg.on_batch = ccz_serve_metrics_batch;
    cfg.arg = metrics;
    CHECK(ccz_sched_new(&sched, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_sched_model(sched, "m", &(struct ccz_sched_model_cfg){0}, NULL) == CCZ_OK);
    CHECK(ccz_sched_infer_new(
              &binding,
              &(struct ccz_sched_infer_cfg){.infer = infer, .sched = sched, .metrics = metrics},
              NULL) == CCZ_OK);
}

static void end(void)
{
    ccz_sched_free(sched);
    ccz_sched_infer_free(binding);
    ccz_infer_free(infer);
    ccz_serve_metrics_free(metrics);
    ccz_engine_free(kit_engine);
    kit_engine = NULL;
    for (size_t i = 0; i < CALLS; i++)
        ccz_buf_free(&calls[i].response);
}

static void step_all(void)
{
    while (ccz_sched_step(sched))
        ;
}

static int64_t counted(const char *name)
{
    return ccz_serve_metrics_value(metrics, ccz_span_str(name));
}

/* ------------------------------------------------------------------------ answers */

static void same_as_alone(size_t i, int64_t rows)
{
    struct ccz_run_status st;
    CCZ_AUTO_BUF request, want;
    ccz_buf_init(&want, 1 << 16);
    struct call got = calls[i];
    ccz_buf_init(&calls[i].response, 0);
    struct call *again = predict(i, "m", rows);
    ccz_buf_init(&request, 1 << 16);
    ccz_buf_put_span(&request, ccz_buf_span(&again->request));
    ccz_buf_free(&again->request);
    ccz_infer_grpc(&want, &st, infer,
                   &(struct ccz_infer_call){.path = CCZ_INFER_PATH_PREDICT,
                                            .request = ccz_buf_span(&request)});
    CHECK(got.answered == 1 && got.released == 1 && got.st.code == CCZ_RUN_OK &&
          st.code == CCZ_RUN_OK && want.size > 20 &&
          ccz_span_eq(ccz_buf_span(&got.response), ccz_buf_span(&want)));
    ccz_buf_free(&got.response);
}

static void test_grpc(void)
{
    for (int batched = 0; batched < 2; batched++) {
        begin((struct ccz_sched_cfg){.batching = {.on = batched == 1}});
        for (size_t i = 0; i < 3; i++)
            call_grpc(predict(i, "m", 1 + (int64_t)i), CCZ_INFER_PATH_PREDICT, 0);
        call_grpc(predict(3, "unknown", 1), CCZ_INFER_PATH_PREDICT, 0);
        CHECK(calls[0].answered == 0);
        step_all();
        CHECK(calls[3].answered == 1 && calls[3].st.code == CCZ_RUN_NOT_FOUND &&
              calls[3].response.size == 0);
        CHECK(counted("/tensorflow/serving/request_count") == 4 &&
              counted("/tensorflow/serving/request_latency") == 3 &&
              counted("/tensorflow/serving/runtime_latency") == 3 &&
              counted("/tensorflow/core/graph_runs") == (batched ? 1 : 3) &&
              counted(":tensorflow:serving:batching_session:wrapped_run_count") == batched);
        for (size_t i = 0; i < 3; i++)
            same_as_alone(i, 1 + (int64_t)i);
        end();
    }
}

static void test_rest(void)
{
    static const char body[] = "{\"instances\":[{\"x\":[1.5,2],\"n\":7},{\"x\":[3,4],\"n\":8}]}";
    begin((struct ccz_sched_cfg){.batching = {.on = true}});
    for (size_t i = 0; i < 2; i++) {
        ccz_buf_put_str(&fresh(i)->request, body);
        call_rest(&calls[i], "POST", "/v1/models/m:predict");
    }
    ccz_buf_put_str(&fresh(2)->request, "{");
    call_rest(&calls[2], "POST", "/v1/models/m:predict");
    CHECK(calls[0].answered == 0 && calls[2].answered == 0);
    step_all();
    CCZ_AUTO_BUF want;
    ccz_buf_init(&want, 1 << 16);
    struct ccz_infer_http_answer answer;
    ccz_infer_rest(&want, &answer, infer,
                   &(struct ccz_infer_http){.method = "POST",
                                            .path = "/v1/models/m:predict",
                                            .body = ccz_span_str(body)});
    CHECK(answer.status == 200);
    for (size_t i = 0; i < 2; i++)
        CHECK(calls[i].http.status == 200 && calls[i].released == 1 &&
              ccz_span_eq(ccz_buf_span(&calls[i].response), ccz_buf_span(&want)));
    CHECK(calls[2].http.status == 400 && calls[2].released == 1);
    CHECK(counted("/tensorflow/serving/batching_session/wrapped_run_count") == 1 &&
          counted("/tensorflow/serving/request_latency") == 2);
    end();
}

/* ------------------------------------------------------------------------ refused */

static void test_refused(void)
{
    begin((struct ccz_sched_cfg){.model_jobs_max = 2});
    call_grpc(predict(0, "m", 1), CCZ_INFER_PATH_PREDICT, 1); /* long ago */
    call_grpc(predict(1, "m", 1), CCZ_INFER_PATH_PREDICT, 0);
    calls[1].gone = true;
    call_grpc(predict(2, "m", 1), CCZ_INFER_PATH_PREDICT, 0);
    CHECK(calls[2].released == 1 && calls[2].st.code == CCZ_RUN_UNAVAILABLE);
    ccz_buf_put_str(&fresh(3)->request, "{}");
    call_rest(&calls[3], "POST", "/v1/models/m:predict");
    CHECK(calls[3].released == 1 && calls[3].http.status == 503 &&
          strcmp(calls[3].http.content_type, "application/json") == 0 &&
          strstr(ccz_buf_str(&calls[3].response), "is full"));
    /* State and health are told when nothing else is. */
    call_rest(fresh(4), "GET", "/v1/models/m");
    CHECK(calls[4].released == 1 && calls[4].http.status == 200);
    call_rest(fresh(5), "GET", "/v2/health/ready");
    CHECK(calls[5].released == 1 && calls[5].http.status == 200);
    kit_spec(&fresh(6)->request, "m", NULL);
    call_grpc(&calls[6], CCZ_INFER_PATH_STATUS, 0);
    CHECK(calls[6].released == 1 && calls[6].st.code == CCZ_RUN_OK && calls[6].response.size > 0);
    step_all();
    CHECK(calls[0].released == 1 && calls[0].st.code == CCZ_RUN_DEADLINE_EXCEEDED);
    CHECK(calls[1].released == 1 && calls[1].st.code == CCZ_RUN_CANCELLED);
    CHECK(counted("/tensorflow/serving/request_count") == 0);
    CHECK(ccz_sched_drain(sched, 0));
    call_grpc(predict(7, "m", 1), CCZ_INFER_PATH_PREDICT, 0);
    CHECK(calls[7].released == 1 && calls[7].st.code == CCZ_RUN_UNAVAILABLE &&
          strcmp(calls[7].st.msg, "The server is shutting down") == 0);
    end();
}

/* ------------------------------------------------------------------------ reloads */

static atomic_int reloading;
static atomic_bool may_end;

static void on_reload(void *arg, struct ccz_span config, struct ccz_run_status *st)
{
    (void)arg, (void)config;
    atomic_fetch_add(&reloading, 1);
    while (!may_end)
        sched_yield();
    *st = (struct ccz_run_status){0};
}

/* They wait for models to load: neither the caller nor a worker waits with them. */
static void test_reload(void)
{
    begin((struct ccz_sched_cfg){0});
    for (size_t i = 0; i <= CCZ_SCHED_INFER_RELOADS_MAX; i++) {
        struct ccz_buf *b = &fresh(i)->request;
        size_t config = ccz_pb_open(b, 1); /* {1 model_config_list {}} */
        ccz_pb_close(b, ccz_pb_open(b, 1));
        ccz_pb_close(b, config);
        call_grpc(&calls[i], CCZ_INFER_PATH_RELOAD, 0);
        CHECK(calls[i].released == (i == CCZ_SCHED_INFER_RELOADS_MAX));
    }
    CHECK(calls[CCZ_SCHED_INFER_RELOADS_MAX].st.code == CCZ_RUN_UNAVAILABLE);
    while (reloading < CCZ_SCHED_INFER_RELOADS_MAX)
        sched_yield();
    call_grpc(predict(8, "m", 1), CCZ_INFER_PATH_PREDICT, 0); /* and models run meanwhile */
    step_all();
    CHECK(calls[8].st.code == CCZ_RUN_OK && calls[8].released == 1);
    atomic_store(&may_end, true);
    ccz_sched_infer_free(binding); /* waits for them */
    binding = NULL;
    for (size_t i = 0; i < CCZ_SCHED_INFER_RELOADS_MAX; i++)
        CHECK(calls[i].released == 1 && calls[i].st.code == CCZ_RUN_OK);
    end();
}

/* Workers, both transports, versions that are replaced meanwhile. */
static void test_workers(void)
{
    begin((struct ccz_sched_cfg){
        .workers = 2, .batching = {.on = true, .batch_timeout_us = 100}, .inline_max_us = 50});
    for (int64_t round = 0; round < 40; round++) {
        for (size_t i = 0; i < CALLS; i++)
            if (i % 2) {
                call_grpc(predict(i, "m", 1 + (int64_t)i % 4), CCZ_INFER_PATH_PREDICT, 0);
            } else {
                ccz_buf_put_str(&fresh(i)->request, "{\"instances\":[{\"x\":[1,2],\"n\":7}]}");
                call_rest(&calls[i], "POST", "/v1/models/m:predict");
            }
        if (round % 8 == 7) {
            struct ccz_model *m = kit_model();
            CHECK(ccz_infer_add(infer, "m", 4 + round, &m, NULL) == CCZ_OK);
        }
        for (size_t i = 0; i < CALLS; i++) {
            while (calls[i].released == 0)
                sched_yield();
            CHECK(i % 2 ? calls[i].st.code == CCZ_RUN_OK : calls[i].http.status == 200);
        }
    }
    CHECK(ccz_sched_drain(sched, 60000));
    CHECK(counted("/tensorflow/serving/request_count") == (int64_t)40 * CALLS);
    end();
}

/* A body that is longer than what came. */
static int unpacked;
static size_t unpack_max;

static unsigned unpack(void *arg, struct ccz_span *body, size_t size_max, const char **why)
{
    static const char plain[] = "{\"instances\":[{\"x\":[1.5,2],\"n\":7},{\"x\":[3,4],\"n\":8}]}";
    (void)arg;
    unpacked++;
    unpack_max = size_max;
    if (ccz_span_eq(*body, ccz_span_str("bad"))) {
        *why = "it is broken";
        return 415;
    }
    *body = ccz_span_str(plain);
    return 0;
}

static void call_packed(struct call *c, const char *path, const char *body)
{
    ccz_buf_put_str(&c->request, body);
    ccz_sched_infer_rest(
        binding, &(struct ccz_sched_rest){
                     .caller = {.call = c, .release = release},
                     .http = {.method = "POST", .path = path, .body = ccz_buf_span(&c->request)},
                     .unpack = unpack,
                     .answer = answer_rest});
}

/* Compressed bodies are undone by workers, once there was room; by the caller's thread only for calls of a few bytes. */
static void test_unpack(void)
{
    begin((struct ccz_sched_cfg){.model_jobs_max = 2, .inline_max_us = 1000000});
    for (int i = 0; i < 20; i++) { /* measured: plain ones run inline from here on */
        ccz_buf_put_str(&fresh(0)->request, "{\"instances\":[{\"x\":[1.5,2],\"n\":7}]}");
        call_rest(&calls[0], "POST", "/v1/models/m:predict");
        step_all();
        CHECK(calls[0].http.status == 200);
    }
    ccz_buf_put_str(&fresh(0)->request, "{\"instances\":[{\"x\":[1.5,2],\"n\":7}]}");
    call_rest(&calls[0], "POST", "/v1/models/m:predict");
    CHECK(calls[0].released == 1);
    call_packed(fresh(0), "/v1/models/m:predict", "packed");
    call_packed(fresh(1), "/v1/models/m:predict", "bad");
    call_packed(fresh(2), "/v1/models/m:predict", "packed");
    CHECK(unpacked == 0 && calls[0].answered == 0);
    CHECK(calls[2].http.status == 503 && calls[2].released == 1); /* no room: not looked at */
    step_all();
    CHECK(unpacked == 2 && unpack_max == SIZE_MAX);
    CHECK(calls[0].http.status == 200 && strstr(ccz_buf_str(&calls[0].response), "predictions"));
    CHECK(calls[1].http.status == 415 && calls[1].released == 1 &&
          strcmp(ccz_buf_str(&calls[1].response), "{ \"error\": \"it is broken\" }") == 0);
    call_packed(fresh(3), "/v2/repository/index", "packed");
    CHECK(calls[3].released == 1 && unpacked == 3 && unpack_max <= 65536);
    end();
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"sched_infer.grpc", test_grpc},       {"sched_infer.rest", test_rest},
        {"sched_infer.refused", test_refused}, {"sched_infer.reload", test_reload},
        {"sched_infer.workers", test_workers}, {"sched_infer.unpack", test_unpack},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
