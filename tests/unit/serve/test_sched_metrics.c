/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics: names, labels and buckets as TensorFlow Serving writes them, written down again here. */
#define _DEFAULT_SOURCE
#include "serve/sched_kit.h"

#include <cczoo/serve_metrics.h>

#include <pthread.h>

static const char *text_of(struct ccz_buf *b, struct ccz_serve_metrics *m, struct ccz_sched *s)
{
    ccz_buf_free(b);
    ccz_buf_init(b, 4 << 20);
    ccz_serve_metrics_put(m, s, b);
    CHECK(!b->bad);
    return ccz_buf_str(b);
}

/* The whole line is there, once. */
static void has(const char *text, const char *line)
{
    size_t len = strlen(line);
    int found = 0;
    for (const char *at = text; (at = strstr(at, line)); at += len)
        found += (at == text || at[-1] == '\n') && at[len] == '\n';
    if (found != 1)
        fprintf(stderr, "%d times: %s\n", found, line);
    CHECK(found == 1);
}

static void done(struct ccz_serve_metrics *m, const char *model, const char *api, bool rest,
                 enum ccz_run_code code, size_t examples)
{
    ccz_serve_metrics_done(
        m, &(struct ccz_infer_done){
               .model = model, .api = api, .rest = rest, .code = code, .examples = examples});
}

static void test_names(void)
{
    CCZ_AUTO(ccz_serve_metrics) m = NULL;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 0);
    CHECK(ccz_serve_metrics_new(&m, NULL) == CCZ_OK);
    /* Types are told before there is anything to count, in the order of names. */
    CHECK(strcmp(text_of(&b, m, NULL),
                 "# TYPE :tensorflow:cc:saved_model:load_attempt_count counter\n"
                 "# TYPE :tensorflow:cc:saved_model:load_latency counter\n"
                 "# TYPE :tensorflow:core:graph_run_time_usecs counter\n"
                 "# TYPE :tensorflow:core:graph_run_time_usecs_histogram histogram\n"
                 "# TYPE :tensorflow:core:graph_runs counter\n"
                 "# TYPE :tensorflow:serving:batching_session:input_batch_size histogram\n"
                 "# TYPE :tensorflow:serving:batching_session:padding_size histogram\n"
                 "# TYPE :tensorflow:serving:batching_session:processed_batch_size histogram\n"
                 "# TYPE :tensorflow:serving:batching_session:queuing_latency histogram\n"
                 "# TYPE :tensorflow:serving:batching_session:wrapped_run_count counter\n"
                 "# TYPE :tensorflow:serving:model_warmup_latency histogram\n"
                 "# TYPE :tensorflow:serving:request_count counter\n"
                 "# TYPE :tensorflow:serving:request_example_count_total counter\n"
                 "# TYPE :tensorflow:serving:request_example_counts histogram\n"
                 "# TYPE :tensorflow:serving:request_latency histogram\n"
                 "# TYPE :tensorflow:serving:runtime_latency histogram\n"
                 "# TYPE cczoo_serve_metrics_dropped_total counter\n"
                 "cczoo_serve_metrics_dropped_total 0\n") == 0);
    done(m, "resnet", "Predict", false, CCZ_RUN_OK, 0);
    done(m, "resnet", "Predict", true, CCZ_RUN_OK, 0);
    done(m, "resnet", "Classify", false, CCZ_RUN_INVALID_ARGUMENT, 3);
    done(m, "", "Predict", false, CCZ_RUN_NOT_FOUND, 0);
    done(m, "a\"b\\c\nd", "ModelInfer", true, CCZ_RUN_OK, 0);
    done(m, "resnet", "GetModelStatus", false, CCZ_RUN_OK, 0); /* not counted there either */
    done(m, "resnet", "", true, CCZ_RUN_OK, 0);
    ccz_serve_metrics_warmup(m, "/models/resnet/1", CCZ_RUN_OK, 5000);
    ccz_serve_metrics_load(m, "/models/resnet/1", true, 123456789);
    ccz_serve_metrics_load(m, "/models/resnet/2", false, 1);
    const char *text = text_of(&b, m, NULL);
    has(text, ":tensorflow:serving:request_count{model_name=\"resnet\",status=\"OK\"} 2");
    has(text,
        ":tensorflow:serving:request_count{model_name=\"resnet\",status=\"INVALID_ARGUMENT\"} 1");
    has(text, ":tensorflow:serving:request_count{model_name=\"\",status=\"NOT_FOUND\"} 1");
    has(text, ":tensorflow:serving:request_count{model_name=\"a\\\"b\\\\c\\nd\",status=\"OK\"} 1");
    has(text, ":tensorflow:serving:request_example_count_total{model=\"resnet\"} 3");
    has(text, ":tensorflow:serving:request_example_counts_bucket{model=\"resnet\",le=\"2\"} 0");
    has(text, ":tensorflow:serving:request_example_counts_bucket{model=\"resnet\",le=\"4\"} 1");
    has(text, ":tensorflow:serving:model_warmup_latency_sum{model_path=\"/models/resnet/"
              "1\",status=\"OK\"} 5");
    has(text, ":tensorflow:cc:saved_model:load_attempt_count{model_path=\"/models/resnet/"
              "1\",status=\"success\"} 1");
    has(text, ":tensorflow:cc:saved_model:load_attempt_count{model_path=\"/models/resnet/"
              "2\",status=\"fail\"} 1");
    has(text, ":tensorflow:cc:saved_model:load_latency{model_path=\"/models/resnet/1\"} 123456");
    CHECK(!strstr(text, "GetModelStatus") &&
          !strstr(text, "load_latency{model_path=\"/models/resnet/2"));
    CHECK(ccz_serve_metrics_value(m, ccz_span_str("/tensorflow/serving/request_count")) == 5 &&
          ccz_serve_metrics_value(m, ccz_span_str(":tensorflow:serving:request_count")) == 5 &&
          ccz_serve_metrics_value(m, ccz_span_str("/tensorflow/serving/request_counts")) == 0 &&
          ccz_serve_metrics_value(m, ccz_span_str("request_count")) == 0);
}

/* The bounds as TensorFlow Serving prints them (from a page of 2.x with load_latency_by_stage, whose buckets are the same). */
static const char *const latency_bounds[] = {
    "10",          "18",          "32.4",        "58.32",       "104.976",     "188.957",
    "340.122",     "612.22",      "1102",        "1983.59",     "3570.47",     "6426.84",
    "11568.3",     "20823",       "37481.3",     "67466.4",     "121440",      "218591",
    "393464",      "708235",      "1.27482e+06", "2.29468e+06", "4.13043e+06", "7.43477e+06",
    "1.33826e+07", "2.40887e+07", "4.33596e+07", "7.80473e+07", "1.40485e+08", "2.52873e+08",
    "4.55172e+08", "8.19309e+08", "1.47476e+09", "+Inf"};

static void test_buckets(void)
{
    CCZ_AUTO(ccz_serve_metrics) m = NULL;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 0);
    CHECK(ccz_serve_metrics_new(&m, NULL) == CCZ_OK);
    ccz_serve_metrics_latency(m, "m", "Predict", false,
                              10 * 1000 + 999); /* whole microseconds: 10 */
    ccz_serve_metrics_latency(m, "m", "Predict", false, 11 * 1000);
    ccz_serve_metrics_latency(m, "m", "Predict", false, 1000000 * (int64_t)1000);
    ccz_serve_metrics_latency(m, "m", "Predict", false, 2000000000 * (int64_t)1000);
    ccz_serve_metrics_latency(m, "m", "Predict", true, 7000);
    ccz_serve_metrics_latency(m, "m", "GetModelStatus", true, 7000);
    ccz_serve_metrics_runtime(m, "m", "Predict", 7000);
    const char *text = text_of(&b, m, NULL);
    for (size_t i = 0; i < sizeof(latency_bounds) / sizeof(latency_bounds[0]); i++) {
        char line[256];
        snprintf(line, sizeof(line),
                 ":tensorflow:serving:request_latency_bucket{model_name=\"m\",API=\"Predict\","
                 "entrypoint=\"GRPC\",le=\"%s\"} %d",
                 latency_bounds[i],
                 i == 0   ? 1
                 : i < 20 ? 2
                 : i < 33 ? 3
                          : 4);
        has(text, line);
    }
    has(text, ":tensorflow:serving:request_latency_sum{model_name=\"m\",API=\"Predict\",entrypoint="
              "\"GRPC\"} 2001000021");
    has(text, ":tensorflow:serving:request_latency_count{model_name=\"m\",API=\"Predict\","
              "entrypoint=\"GRPC\"} 4");
    has(text, ":tensorflow:serving:request_latency_count{model_name=\"m\",API=\"predict\","
              "entrypoint=\"REST\"} 1");
    has(text, ":tensorflow:serving:runtime_latency_bucket{model_name=\"m\",API=\"Predict\",runtime="
              "\"TF1\",le=\"10\"} 1");
    CHECK(!strstr(text, "GetModelStatus"));
}

static void test_batches(void)
{
    CCZ_AUTO(ccz_serve_metrics) m = NULL;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 0);
    CHECK(ccz_serve_metrics_new(&m, NULL) == CCZ_OK);
    ccz_serve_metrics_batch(m,
                            &(struct ccz_sched_batch_info){.model = "m",
                                                           .thread_pool_name = "pool",
                                                           .rows = 5,
                                                           .padded_rows = 8,
                                                           .jobs = 2,
                                                           .rows_each = (int64_t[]){4, 1},
                                                           .queued_ns = (int64_t[]){150000, 90000},
                                                           .inputs = 3,
                                                           .run_ns = 1500000});
    ccz_serve_metrics_run(m, 500000);
    const char *text = text_of(&b, m, NULL);
    has(text, ":tensorflow:serving:batching_session:input_batch_size_bucket{le=\"1\"} 3");
    has(text, ":tensorflow:serving:batching_session:input_batch_size_bucket{le=\"4\"} 6");
    has(text, ":tensorflow:serving:batching_session:input_batch_size_bucket{le=\"8192\"} 6");
    has(text, ":tensorflow:serving:batching_session:input_batch_size_sum{} 15");
    has(text, ":tensorflow:serving:batching_session:padding_size_bucket{execution_batch_size=\"8\","
              "le=\"2\"} 0");
    has(text, ":tensorflow:serving:batching_session:padding_size_bucket{execution_batch_size=\"8\","
              "le=\"4\"} 1");
    has(text, ":tensorflow:serving:batching_session:processed_batch_size_bucket{le=\"8\"} 1");
    has(text, ":tensorflow:serving:batching_session:queuing_latency_bucket{thread_pool_name="
              "\"pool\",le=\"100\"} 1");
    has(text, ":tensorflow:serving:batching_session:queuing_latency_bucket{thread_pool_name="
              "\"pool\",le=\"144\"} 1");
    has(text, ":tensorflow:serving:batching_session:queuing_latency_bucket{thread_pool_name="
              "\"pool\",le=\"172.8\"} 2");
    has(text,
        ":tensorflow:serving:batching_session:queuing_latency_sum{thread_pool_name=\"pool\"} 240");
    has(text, ":tensorflow:serving:batching_session:wrapped_run_count{} 1");
    has(text, ":tensorflow:core:graph_runs{} 2");
    has(text, ":tensorflow:core:graph_run_time_usecs{} 2000");
    has(text, ":tensorflow:core:graph_run_time_usecs_histogram_bucket{le=\"1000\"} 1");
    has(text, ":tensorflow:core:graph_run_time_usecs_histogram_bucket{le=\"5.24288e+08\"} 2");
}

/* Labels that come without end cannot take all the memory. */
static void test_limit(void)
{
    CCZ_AUTO(ccz_serve_metrics) m = NULL;
    CCZ_AUTO_BUF b;
    char name[32];
    static char huge[5000];
    ccz_buf_init(&b, 0);
    CHECK(ccz_serve_metrics_new(&m, NULL) == CCZ_OK);
    for (int i = 0; i < CCZ_SERVE_METRICS_MAX + 10; i++) {
        snprintf(name, sizeof(name), "model-%d", i);
        done(m, name, "Predict", false, CCZ_RUN_OK, 0);
    }
    done(m, "model-0", "Predict", false, CCZ_RUN_OK, 0); /* has its own */
    memset(huge, 'h', sizeof(huge) - 1);
    done(m, huge, "Predict", false, CCZ_RUN_OK, 0);
    const char *text = text_of(&b, m, NULL);
    has(text, "cczoo_serve_metrics_dropped_total 11");
    has(text, ":tensorflow:serving:request_count{model_name=\"model-0\",status=\"OK\"} 2");
    CHECK(ccz_serve_metrics_value(m, ccz_span_str("/tensorflow/serving/request_count")) ==
          CCZ_SERVE_METRICS_MAX + 1);
}

/* Clients choose how many rows a batch has: that takes no room from what is counted of requests, nor from other models. */
static void test_reserve(void)
{
    CCZ_AUTO(ccz_serve_metrics) m = NULL;
    CCZ_AUTO_BUF b;
    char name[32];
    ccz_buf_init(&b, 0);
    CHECK(ccz_serve_metrics_new(&m, NULL) == CCZ_OK);
    for (int i = 1; i <= CCZ_SERVE_METRICS_MAX; i++)
        ccz_serve_metrics_batch(m, &(struct ccz_sched_batch_info){.model = "m",
                                                                  .thread_pool_name = "pool",
                                                                  .rows = i,
                                                                  .padded_rows = i,
                                                                  .jobs = 1,
                                                                  .rows_each = (int64_t[]){i},
                                                                  .queued_ns = (int64_t[]){1},
                                                                  .inputs = 1,
                                                                  .run_ns = 1});
    ccz_serve_metrics_runtime(m, "later", "Predict", 1000);
    const char *text = text_of(&b, m, NULL);
    has(text,
        ":tensorflow:serving:batching_session:padding_size_count{execution_batch_size=\"1024\"} 1");
    CHECK(!strstr(text, "padding_size_count{execution_batch_size=\"1025\"}"));
    has(text, ":tensorflow:serving:runtime_latency_count{model_name=\"later\",API=\"Predict\","
              "runtime=\"TF1\"} 1");
    for (int i = 0; i < CCZ_SERVE_METRICS_MAX; i++) { /* of other paths than those of requests */
        snprintf(name, sizeof(name), "/path-%d", i);
        ccz_serve_metrics_load(m, name, false, 1);
    }
    for (int i = 0; i < CCZ_SERVE_METRICS_KEPT / 2; i++) {
        snprintf(name, sizeof(name), "model-%d", i);
        done(m, name, "Predict", false, CCZ_RUN_OK, 0);
    }
    ccz_serve_metrics_latency(m, "model-9", "Predict", false, 1000);
    text = text_of(&b, m, NULL);
    has(text, ":tensorflow:serving:request_count{model_name=\"model-1023\",status=\"OK\"} 1");
    has(text, ":tensorflow:serving:request_latency_count{model_name=\"model-9\",API=\"Predict\","
              "entrypoint=\"GRPC\"} 1");
    CHECK(!strstr(text, "/path-8191"));
}

static const struct ccz_sched_job_ops ops = {kit_cancelled, kit_decode, NULL, kit_finish,
                                             kit_release};

static void test_queues(void)
{
    CCZ_AUTO(ccz_serve_metrics) m = NULL;
    CCZ_AUTO(ccz_sched) s = NULL;
    CCZ_AUTO_BUF b;
    struct kit_job k = {.job = {.ops = &ops, .size = 77}, .answered_by_decode = true};
    ccz_buf_init(&b, 0);
    CHECK(ccz_serve_metrics_new(&m, NULL) == CCZ_OK);
    CHECK(ccz_sched_new(&s, &(struct ccz_sched_cfg){0}, NULL) == CCZ_OK);
    CHECK(ccz_sched_model(s, "A", &(struct ccz_sched_model_cfg){0}, NULL) == CCZ_OK);
    kit_submit(s, "A", &k);
    const char *text = text_of(&b, m, s);
    has(text, "# TYPE cczoo_serve_queue_depth gauge");
    has(text, "cczoo_serve_queue_depth{model_name=\"A\"} 1");
    has(text, "cczoo_serve_queue_depth{model_name=\"\"} 0");
    has(text, "cczoo_serve_queue_bytes{model_name=\"A\"} 77");
    has(text, "cczoo_serve_done_total 0");
    CHECK(ccz_sched_step(s));
    text = text_of(&b, m, s);
    has(text, "cczoo_serve_queue_depth{model_name=\"A\"} 0");
    has(text, "cczoo_serve_done_total 1");
}

static void *count_many(void *arg)
{
    for (int i = 0; i < 2000; i++) {
        done(arg, i % 2 ? "a" : "b", "Predict", false, CCZ_RUN_OK, 1);
        ccz_serve_metrics_latency(arg, "a", "Predict", true, i);
    }
    return NULL;
}

static void test_threads(void)
{
    CCZ_AUTO(ccz_serve_metrics) m = NULL;
    CCZ_AUTO_BUF b;
    pthread_t t[3];
    ccz_buf_init(&b, 0);
    CHECK(ccz_serve_metrics_new(&m, NULL) == CCZ_OK);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&t[i], NULL, count_many, m) == 0);
    CHECK(strlen(text_of(&b, m, NULL)) > 100);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
    CHECK(ccz_serve_metrics_value(m, ccz_span_str("/tensorflow/serving/request_latency")) == 6000 &&
          ccz_serve_metrics_value(m, ccz_span_str("/tensorflow/serving/request_count")) == 6000);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"serve_metrics.names", test_names},     {"serve_metrics.buckets", test_buckets},
        {"serve_metrics.batches", test_batches}, {"serve_metrics.limit", test_limit},
        {"serve_metrics.reserve", test_reserve}, {"serve_metrics.queues", test_queues},
        {"serve_metrics.threads", test_threads},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
