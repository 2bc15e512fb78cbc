/* SPDX-License-Identifier: Apache-2.0 */
/* The model server with TensorFlow and the trained classifier; skipped (77) where either is missing. */
#define _DEFAULT_SOURCE
#include "ccz_test.h"
#include "engine/model_dir.h"

#include <cczoo/codec.h>
#include <cczoo/infer.h>

#include <pthread.h>
#include <stdatomic.h>

enum { PIXELS = 28 * 28, IMAGES = 32 };

static struct ccz_engine *engine;

/* A version's folder, loaded by TensorFlow. */
static struct ccz_model *load_from(const char *dir)
{
    char lib[MODEL_DIR_PATH_SIZE];
    if (!tf_library(lib)) {
        fprintf(stderr, "skipped: TensorFlow is missing (scripts/fetch-tensorflow)\n");
        exit(77);
    }
    setenv("TF_CPP_MIN_LOG_LEVEL", "2", 0);
    struct ccz_engine_cfg cfg = {
        .backend = "tensorflow", .library = lib, .intra_threads = 1, .inter_threads = -1};
    if (!engine)
        CHECK(ccz_engine_open(&engine, &cfg, NULL) == CCZ_OK);
    struct model_dir d;
    CHECK(model_dir_open(&d, dir));
    struct ccz_model_cfg files = model_dir_cfg(&d);
    struct ccz_model *m = NULL;
    CHECK(ccz_model_load(&m, engine, &files, NULL) == CCZ_OK);
    model_dir_close(&d);
    return m;
}

static struct ccz_model *load(void)
{
    char dir[MODEL_DIR_PATH_SIZE], version[MODEL_DIR_PATH_SIZE + 2];
    if (!trained_model(dir)) {
        fprintf(stderr, "skipped: the trained model is missing (scripts/train-model)\n");
        exit(77);
    }
    (void)snprintf(version, sizeof(version), "%s/1", dir);
    return load_from(version);
}

static struct ccz_infer *serve(void)
{
    struct ccz_infer *s = NULL;
    struct ccz_model *m = load();
    CHECK(ccz_infer_new(&s, NULL) == CCZ_OK && ccz_infer_add(s, "fashion", 1, &m, NULL) == CCZ_OK);
    return s;
}

static const float *images(void)
{
    static float x[IMAGES * PIXELS];
    for (size_t i = 0; i < IMAGES * PIXELS; i++)
        x[i] = (float)((i * 2654435761u >> 7) % 256) / 256; /* exact as decimals */
    return x;
}

static struct ccz_tensor tensor(size_t len)
{
    return (struct ccz_tensor){.name = "images",
                               .dtype = CCZ_DT_FLOAT,
                               .rank = 4,
                               .dims = {(int64_t)len, 28, 28, 1},
                               .len = len * PIXELS,
                               .data = CCZ_SPAN(images(), len * PIXELS * sizeof(float))};
}

/* Scores straight from the engine. */
static void direct(float scores[IMAGES * 10])
{
    CCZ_AUTO(ccz_model) m = load();
    struct ccz_tensor in = tensor(IMAGES);
    struct ccz_run_req req = {.sig = ccz_model_signature(m, "serving_default"),
                              .in = &in,
                              .in_len = 1,
                              .fetch = (size_t[]){1},
                              .fetch_len = 1};
    CCZ_AUTO(ccz_result) r = NULL;
    CHECK(ccz_model_run(&r, NULL, m, &req, NULL) == CCZ_OK);
    CHECK(ccz_result_at(r, 0)->data.size == IMAGES * 10 * sizeof(float));
    memcpy(scores, ccz_result_at(r, 0)->data.ptr, IMAGES * 10 * sizeof(float));
}

/* gRPC gives the engine's own numbers, bit by bit, in either form of the answer. */
static void test_grpc(void)
{
    float want[IMAGES * 10];
    direct(want);
    CCZ_AUTO(ccz_infer) s = serve();
    CCZ_AUTO_BUF req, resp, scores;
    ccz_buf_init(&req, 1 << 20);
    struct ccz_tensor in = tensor(IMAGES);
    ccz_infer_encode_predict(&req, "fashion", NULL, &in, 1, NULL);
    ccz_buf_init(&resp, 1 << 20);
    ccz_buf_init(&scores, 1 << 20);
    for (int content = 0; content < 2; content++) {
        struct ccz_run_status st;
        size_t classes = 0;
        ccz_infer_configure(s, &(struct ccz_infer_cfg){.tensor_content = content});
        ccz_buf_clear(&resp);
        ccz_buf_clear(&scores);
        ccz_infer_grpc(&resp, &st, s,
                       &(struct ccz_infer_call){.path = CCZ_INFER_PATH_PREDICT,
                                                .request = ccz_buf_span(&req),
                                                .timeout_ms = 60000});
        CHECK(st.code == CCZ_RUN_OK);
        CHECK(ccz_infer_decode_scores(&scores, &classes, ccz_buf_span(&resp), "scores", IMAGES,
                                      NULL) == CCZ_OK);
        CHECK(classes == 10 && memcmp(scores.ptr, want, sizeof(want)) == 0);
        CCZ_AUTO(ccz_infer_answer) a = NULL;
        CHECK(ccz_infer_decode_predict(&a, ccz_buf_span(&resp), 1 << 20, NULL) == CCZ_OK);
        const struct ccz_tensor *names = ccz_infer_answer_get(a, "classes");
        CHECK(names && names->dtype == CCZ_DT_STRING && names->len == IMAGES);
        CHECK(names->strings[0].size > 0);
    }
}

/* REST gives them too: its decimals read back as the same floats. */
static void test_rest(void)
{
    float want[IMAGES * 10];
    direct(want);
    CCZ_AUTO(ccz_infer) s = serve();
    CCZ_AUTO_BUF body, answer;
    ccz_buf_init(&body, 1 << 24);
    ccz_buf_init(&answer, 1 << 20);
    ccz_buf_put_str(&body, "{\"instances\":[");
    for (size_t i = 0; i < IMAGES * PIXELS; i++) { /* [[[v],...],...] per image */
        size_t at = i % PIXELS;
        ccz_buf_printf(&body, "%s%s[%.9g]%s%s", i ? "," : "",
                       at == 0   ? "[["
                       : at % 28 ? ""
                                 : "[",
                       (double)images()[i], at % 28 == 27 ? "]" : "", at == PIXELS - 1 ? "]" : "");
    }
    ccz_buf_put_str(&body, "]}");
    struct ccz_infer_http_answer head;
    ccz_infer_rest(&answer, &head, s,
                   &(struct ccz_infer_http){.method = "POST",
                                            .path = "/v1/models/fashion:predict",
                                            .body = ccz_buf_span(&body)});
    if (head.status != 200)
        fprintf(stderr, "%s\n", ccz_buf_str(&answer));
    CHECK(head.status == 200);
    struct ccz_json *j = NULL;
    CHECK(ccz_json_parse(&j, ccz_buf_span(&answer), NULL) == CCZ_OK);
    const struct ccz_json *rows = ccz_json_get(j, "predictions");
    CHECK(ccz_json_len(rows) == IMAGES);
    for (size_t i = 0; i < IMAGES; i++) {
        const struct ccz_json *row = ccz_json_at(rows, i);
        CHECK(ccz_json_str(ccz_json_get(row, "classes")));
        for (size_t k = 0; k < 10; k++) {
            double v;
            CHECK(ccz_json_real(&v, ccz_json_at(ccz_json_get(row, "scores"), k)));
            CHECK((float)v == want[i * 10 + k]);
        }
    }
    ccz_json_free(j);
    ccz_buf_clear(&answer);
    ccz_infer_rest(
        &answer, &head, s,
        &(struct ccz_infer_http){
            .method = "POST",
            .path = "/v1/models/fashion:predict",
            .body = ccz_span_str("{\"instances\":[1]}")}); /* refused before TensorFlow sees it */
    CHECK(head.status == 400 && strstr(ccz_buf_str(&answer), "has shape [1]"));
}

struct caller {
    struct ccz_infer *s;
    struct ccz_span request;
    atomic_bool *stop;
    size_t ok, other;
};

static void *call_all_the_time(void *arg)
{
    struct caller *c = arg;
    CCZ_AUTO_BUF resp;
    ccz_buf_init(&resp, 1 << 20);
    while (!atomic_load(c->stop)) {
        struct ccz_run_status st;
        ccz_buf_clear(&resp);
        ccz_infer_grpc(
            &resp, &st, c->s,
            &(struct ccz_infer_call){.path = CCZ_INFER_PATH_PREDICT, .request = c->request});
        c->ok += st.code == CCZ_RUN_OK;
        c->other += st.code != CCZ_RUN_OK;
    }
    return NULL;
}

/* A new version takes over while clients call: no call fails. */
static void test_swap(void)
{
    CCZ_AUTO(ccz_infer) s = serve();
    CCZ_AUTO_BUF req;
    ccz_buf_init(&req, 1 << 20);
    struct ccz_tensor in = tensor(4);
    ccz_infer_encode_predict(&req, "fashion", NULL, &in, 1, "scores");
    atomic_bool stop = false;
    struct caller c[2];
    pthread_t t[2];
    for (size_t i = 0; i < 2; i++) {
        c[i] = (struct caller){.s = s, .request = ccz_buf_span(&req), .stop = &stop};
        CHECK(pthread_create(&t[i], NULL, call_all_the_time, &c[i]) == 0);
    }
    for (int64_t v = 2; v < 6; v++) {
        struct ccz_model *m = load();
        CHECK(ccz_infer_loading(s, "fashion", v, NULL) == CCZ_OK);
        CHECK(ccz_infer_add(s, "fashion", v, &m, NULL) == CCZ_OK);
        CHECK(ccz_infer_state(s, "fashion", v - 1) == CCZ_INFER_END);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < 2; i++) {
        pthread_join(t[i], NULL);
        CHECK(c[i].ok > 0 && c[i].other == 0);
    }
}

/* ------------------------------------------------------------------------ half_plus_two */

#define HALF_PLUS_TWO CCZ_TEST_SOURCE_DIR "/tests/vectors/tfserving/half_plus_two/00000123"

static struct ccz_infer *serve_half(void)
{
    struct ccz_infer *s = NULL;
    struct ccz_model *m = load_from(HALF_PLUS_TWO);
    CHECK(ccz_infer_new(&s, NULL) == CCZ_OK &&
          ccz_infer_publish(s, "half", 123, &m, NULL) == CCZ_OK);
    return s;
}

static void want_rest(struct ccz_infer *s, const char *verb, const char *body, unsigned status,
                      const char *want)
{
    CCZ_AUTO_BUF answer;
    char path[64];
    struct ccz_infer_http_answer head;
    ccz_buf_init(&answer, 1 << 16);
    (void)snprintf(path, sizeof(path), "/v1/models/half/versions/123:%s", verb);
    ccz_infer_rest(
        &answer, &head, s,
        &(struct ccz_infer_http){.method = "POST", .path = path, .body = ccz_span_str(body)});
    if (head.status != status || strcmp(ccz_buf_str(&answer), want) != 0)
        fprintf(stderr, "got  %u %s\nwant %u %s\n", head.status, ccz_buf_str(&answer), status,
                want);
    CHECK(head.status == status && strcmp(ccz_buf_str(&answer), want) == 0);
}

/* What TensorFlow Serving's own test asks over REST, with its answers. */
static void test_rest_heads(void)
{
    CCZ_AUTO(ccz_infer) s = serve_half();
    want_rest(s, "classify",
              "{\"signature_name\":\"classify_x_to_y\",\"examples\":[{\"x\":2.0},{\"x\":[5.0]}]}",
              200, "{\n    \"results\": [[[\"\", 3.0]], [[\"\", 4.5]]\n    ]\n}");
    want_rest(
        s, "regress",
        "{\"signature_name\":\"regress_x_to_y\",\"context\":{\"x\":4.0},\"examples\":[{\"x\":2.0},"
        "{}]}",
        200, "{\n    \"results\": [3.0, 4.0]\n}");
    want_rest(s, "predict", "{\"instances\":[[2.0],[3.0],[4.0]]}", 200,
              "{\n    \"predictions\": [[3.0], [3.5], [4.0]\n    ]\n}");
}

/* ExampleList {1 Example {1 Features {1 {1 "x", 2 Feature {2 FloatList {1 x}}}}}} as field 2. */
static void put_example(struct ccz_buf *b, float x)
{
    const size_t input = ccz_pb_open(b, 2), list = ccz_pb_open(b, 1), example = ccz_pb_open(b, 1),
                 features = ccz_pb_open(b, 1), entry = ccz_pb_open(b, 1);
    ccz_pb_put_str(b, 1, "x");
    const size_t feature = ccz_pb_open(b, 2), floats = ccz_pb_open(b, 2);
    ccz_pb_put_float(b, 1, x);
    const size_t open[] = {floats, feature, entry, features, example, list, input};
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
        ccz_pb_close(b, open[i]);
}

static void put_task(struct ccz_buf *b, const char *signature, const char *method)
{
    const size_t task = ccz_pb_open(b, 1), spec = ccz_pb_open(b, 1);
    ccz_pb_put_str(b, 1, "half");
    ccz_pb_put_str(b, 3, signature);
    ccz_pb_close(b, spec);
    ccz_pb_put_str(b, 2, method);
    ccz_pb_close(b, task);
}

/* The first field @p number of a message. */
static struct ccz_span field(struct ccz_span msg, uint32_t number)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r))
        if (f.number == number)
            return f.bytes;
    return (struct ccz_span){0};
}

/* Two heads, one run. */
static void test_multi(void)
{
    CCZ_AUTO(ccz_infer) s = serve_half();
    CCZ_AUTO_BUF req, resp;
    ccz_buf_init(&req, 1 << 16);
    ccz_buf_init(&resp, 1 << 16);
    put_task(&req, "regress_x_to_y", "tensorflow/serving/regress");
    put_task(&req, "classify_x_to_y", "tensorflow/serving/classify");
    put_example(&req, 2);
    struct ccz_run_status st;
    ccz_infer_grpc(
        &resp, &st, s,
        &(struct ccz_infer_call){.path = CCZ_INFER_PATH_MULTI, .request = ccz_buf_span(&req)});
    if (st.code != CCZ_RUN_OK)
        fprintf(stderr, "%s\n", st.msg);
    CHECK(st.code == CCZ_RUN_OK);
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&resp));
    struct ccz_pb_field f;
    CHECK(ccz_pb_next(&f, &r) && f.number == 1);
    CHECK(ccz_span_eq(field(field(f.bytes, 3), 1), CCZ_SPAN("\x0d\0\0\x40\x40", 5))); /* 3.0 */
    CHECK(ccz_pb_next(&f, &r) && f.number == 1);
    CHECK(ccz_span_eq(field(field(field(f.bytes, 2), 1), 1), CCZ_SPAN("\x15\0\0\x40\x40", 5)));
    CHECK(ccz_rd_done(&r));
}

static const struct ccz_test tests[] = {
    {"infer.tf_grpc", test_grpc},   {"infer.tf_rest", test_rest},
    {"infer.tf_swap", test_swap},   {"infer.tf_rest_heads", test_rest_heads},
    {"infer.tf_multi", test_multi},
};

int main(int argc, char **argv)
{
    int rc = ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    ccz_engine_free(engine);
    return rc;
}
