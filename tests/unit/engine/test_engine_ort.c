/* SPDX-License-Identifier: Apache-2.0 */
/* The engine with ONNX Runtime and models that are written here; skipped (77) where the library is missing. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "engine/model_dir.h"
#include "engine/onnx_build.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#define WHERE(err, text) (strcmp((err).where, (text)) == 0)

static struct ccz_engine *open_with(int intra_threads, int inter_threads)
{
    char lib[MODEL_DIR_PATH_SIZE];
    if (!ort_library(lib)) {
        fprintf(stderr, "skipped: ONNX Runtime is missing (scripts/fetch-onnxruntime)\n");
        exit(77);
    }
    struct ccz_engine *e = NULL;
    struct ccz_err err = {0};
    struct ccz_engine_cfg cfg = {"onnxruntime", lib, intra_threads, inter_threads};
    if (ccz_engine_open(&e, &cfg, &err) != CCZ_OK) {
        fprintf(stderr, "%s: %s %s %s\n", err.where, err.msg, err.got, err.expected);
        CHECK(false);
    }
    return e;
}

static struct ccz_engine *open_engine(void)
{
    return open_with(1, -1);
}

static struct ccz_model *load(struct ccz_engine *e, struct onnx_build *b, const char *sidecar)
{
    struct ccz_model_cfg cfg = ob_end(b, sidecar);
    struct ccz_model *m = NULL;
    struct ccz_err err = {0};
    if (ccz_model_load(&m, e, &cfg, &err) != CCZ_OK) {
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
        CHECK(false);
    }
    ccz_buf_free(&b->pb);
    return m;
}

static struct ccz_model *load_half_plus_two(struct ccz_engine *e, const char *sidecar)
{
    struct onnx_build b;
    ob_half_plus_two(&b);
    return load(e, &b, sidecar);
}

static struct ccz_tensor floats(const char *name, const float *x, int64_t rows)
{
    return (struct ccz_tensor){.name = name,
                               .dtype = CCZ_DT_FLOAT,
                               .rank = 2,
                               .dims = {rows, 3},
                               .len = (size_t)rows * 3,
                               .data = CCZ_SPAN(x, (size_t)rows * 3 * sizeof(float))};
}

static float at(const struct ccz_tensor *t, size_t i)
{
    float v;
    CHECK(i < t->len && t->dtype == CCZ_DT_FLOAT);
    memcpy(&v, t->data.ptr + i * sizeof(v), sizeof(v));
    return v;
}

/* ---- what the library and a graph say of themselves */

static void test_load(void)
{
    CCZ_AUTO(ccz_engine) e = open_engine();
    CHECK(strcmp(ccz_engine_backend(e), "onnxruntime") == 0 && ccz_engine_version(e)[0] == '1');
    CHECK(strstr(ccz_engine_library(e, 0), "/libonnxruntime.so") && !ccz_engine_library(e, 1));
    CCZ_AUTO(ccz_model) m = load_half_plus_two(e, NULL);
    const struct ccz_signature *s;
    CHECK(ccz_model_signatures(&s, m) == 1 && strcmp(s->name, "serving_default") == 0);
    CHECK(s->runnable && s->in_len == 1 && s->out_len == 2);
    CHECK(strcmp(s->method, "tensorflow/serving/predict") == 0);
    CHECK(strcmp(s->in[0].name, "x") == 0 && s->in[0].dtype == CCZ_DT_FLOAT && s->in[0].rank == 2 &&
          s->in[0].dims[0] == -1 && s->in[0].dims[1] == 3);
    CHECK(strcmp(s->out[0].name, "half") == 0 && strcmp(s->out[1].name, "y") == 0);

    /* A scalar and a tensor of which the file says not even the rank. */
    struct onnx_build b;
    ob_begin(&b);
    ob_node(&b, "Identity", "scalar", "a");
    ob_node(&b, "Identity", "any", "b");
    ob_io(&b, 11, "scalar", OB_INT64, 0, NULL);
    ob_io(&b, 11, "any", OB_FLOAT, -1, NULL);
    ob_io(&b, 12, "a", OB_INT64, 0, NULL);
    ob_io(&b, 12, "b", OB_FLOAT, -1, NULL);
    CCZ_AUTO(ccz_model) ranks = load(e, &b, NULL);
    s = ccz_model_signature(ranks, "serving_default");
    CHECK(s->in[0].unknown_rank && !s->in[1].unknown_rank && s->in[1].rank == 0 &&
          s->in[1].dtype == CCZ_DT_INT64);
    CHECK(s->out[1].unknown_rank && !s->out[0].unknown_rank);
}

static ccz_rc load_sidecar(struct ccz_engine *e, const char *json, struct ccz_err *err)
{
    struct onnx_build b;
    struct ccz_model *m = NULL;
    ob_half_plus_two(&b);
    struct ccz_model_cfg cfg = ob_end(&b, json);
    ccz_rc rc = ccz_model_load(&m, e, &cfg, err);
    CHECK((rc == CCZ_OK) == (m != NULL));
    ccz_model_free(m);
    ccz_buf_free(&b.pb);
    return rc;
}

static void test_sidecar(void)
{
    CCZ_AUTO(ccz_engine) e = open_engine();
    CCZ_AUTO(ccz_model)
    m = load_half_plus_two(e, "{\"serving_default\": {\"inputs\": {\"images\": \"x\"},"
                              " \"outputs\": {\"scores\": \"y\"}},"
                              " \"classify\": {\"method\": \"tensorflow/serving/classify\","
                              " \"inputs\": {\"images\": \"x\"}, \"outputs\": {\"h\": \"half\"}}}");
    const struct ccz_signature *s = ccz_model_signature(m, "serving_default");
    CHECK(s && s->out_len == 1 && strcmp(s->out[0].name, "scores") == 0 &&
          strcmp(s->out[0].tensor_name, "y") == 0 && s->out[0].dims[1] == 3);
    CHECK(strcmp(s->in[0].name, "images") == 0 && strcmp(s->in[0].tensor_name, "x") == 0);
    const struct ccz_signature *c = ccz_model_signature(m, "classify");
    CHECK(c && strcmp(c->method, "tensorflow/serving/classify") == 0);
    const float x[3] = {2, 4, 6};
    const struct ccz_tensor in = floats("images", x, 1);
    struct ccz_run_req req = {.sig = s, .in = &in, .in_len = 1};
    CCZ_AUTO(ccz_result) r = NULL;
    CHECK(ccz_model_run(&r, NULL, m, &req, NULL) == CCZ_OK && ccz_result_len(r) == 1);
    CHECK(strcmp(ccz_result_at(r, 0)->name, "scores") == 0 && at(ccz_result_at(r, 0), 2) == 5);

    struct ccz_err err = {0};
    CHECK(load_sidecar(e, "{\"s\": {\"inputs\": {\"i\": \"x\"}, \"outputs\": {\"o\": \"none\"}}}",
                       &err) == CCZ_E_FORMAT);
    CHECK(WHERE(err, "engine:signatures.json") && strstr(err.msg, "none") && err.hint[0]);
    CHECK(load_sidecar(e, "{\"s\": {\"inputs\": {\"i\": \"y\"}, \"outputs\": {\"o\": \"y\"}}}",
                       &err) == CCZ_E_FORMAT); /* an output is no input */
}

/* ---- running */

static void test_run(void)
{
    CCZ_AUTO(ccz_engine) e = open_engine();
    CCZ_AUTO(ccz_model) m = load_half_plus_two(e, NULL);
    const float x[7] = {0, 1, 2, 3, 4, 5, 6};
    struct ccz_tensor in = floats("x", x, 2);
    struct ccz_run_req req = {
        .sig = ccz_model_signature(m, "serving_default"), .in = &in, .in_len = 1};
    struct ccz_run_status st;
    struct ccz_err err = {0};
    struct ccz_result *r = NULL;
    CHECK(ccz_model_run(&r, &st, m, &req, &err) == CCZ_OK && ccz_result_len(r) == 2);
    const struct ccz_tensor *half = ccz_result_at(r, 0), *y = ccz_result_at(r, 1);
    CHECK(half->rank == 2 && half->dims[0] == 2 && half->dims[1] == 3 && at(half, 5) == 2.5f);
    CHECK(strcmp(y->name, "y") == 0 && at(y, 0) == 2 && at(y, 5) == 4.5f);
    ccz_result_free(r);

    in = floats("x", x + 1, 2); /* not aligned to anything wide */
    req.fetch = (size_t[]){1};
    req.fetch_len = 1;
    req.timeout_ms = 60000;
    CHECK(ccz_model_run(&r, &st, m, &req, &err) == CCZ_OK && ccz_result_len(r) == 1 &&
          at(ccz_result_at(r, 0), 5) == 5);
    ccz_result_free(r);
    in = floats("x", NULL, 0); /* an empty batch */
    CHECK(ccz_model_run(&r, &st, m, &req, &err) == CCZ_OK && ccz_result_at(r, 0)->len == 0);
    ccz_result_free(r);

    in = floats("x", x, 2);
    in.rank = 1;
    in.dims[0] = 6;
    CHECK(ccz_model_run(&r, &st, m, &req, &err) == CCZ_E_FORMAT && !r &&
          strcmp(st.msg, "input x has shape [6], the signature says [?,3]") == 0);
    in = floats("x", x, 2);
    in.dtype = CCZ_DT_INT32; /* as wide, another type: the library says so */
    CHECK(ccz_model_run(&r, &st, m, &req, &err) == CCZ_E_FORMAT && !r &&
          st.code == CCZ_RUN_INVALID_ARGUMENT && strstr(st.msg, "tensor(int32)"));
}

/* What only shows while the graph runs: an index behind the end. */
static void test_run_fails(void)
{
    CCZ_AUTO(ccz_engine) e = open_engine();
    struct onnx_build b;
    ob_begin(&b);
    ob_node(&b, "Gather", "x i", "y");
    ob_io(&b, 11, "x", OB_FLOAT, 2, (int64_t[]){-1, 3});
    ob_io(&b, 11, "i", OB_INT64, 1, (int64_t[]){-1});
    ob_io(&b, 12, "y", OB_FLOAT, 2, (int64_t[]){-1, 3});
    CCZ_AUTO(ccz_model) m = load(e, &b, NULL);
    const float x[3] = {1, 2, 3};
    int64_t index = 0;
    const struct ccz_tensor in[] = {floats("x", x, 1),
                                    {.name = "i",
                                     .dtype = CCZ_DT_INT64,
                                     .rank = 1,
                                     .dims = {1},
                                     .len = 1,
                                     .data = CCZ_SPAN(&index, sizeof(index))}};
    struct ccz_run_req req = {
        .sig = ccz_model_signature(m, "serving_default"), .in = in, .in_len = 2};
    struct ccz_run_status st;
    CCZ_AUTO(ccz_result) r = NULL;
    CHECK(ccz_model_run(&r, &st, m, &req, NULL) == CCZ_OK);
    ccz_result_free(ccz_result_take(&r));
    index = 7;
    CHECK(ccz_model_run(&r, &st, m, &req, NULL) != CCZ_OK && !r && strstr(st.msg, "Gather"));
    index = 0; /* and the model still works */
    CHECK(ccz_model_run(&r, &st, m, &req, NULL) == CCZ_OK && at(ccz_result_at(r, 0), 2) == 3);
}

/* Every type goes in and comes out as it is. */
static void test_types(void)
{
    static const int onnx[][2] = {{CCZ_DT_FLOAT, 1},    {CCZ_DT_UINT8, 2},   {CCZ_DT_INT8, 3},
                                  {CCZ_DT_UINT16, 4},   {CCZ_DT_INT16, 5},   {CCZ_DT_INT32, 6},
                                  {CCZ_DT_INT64, 7},    {CCZ_DT_BOOL, 9},    {CCZ_DT_HALF, 10},
                                  {CCZ_DT_DOUBLE, 11},  {CCZ_DT_UINT32, 12}, {CCZ_DT_UINT64, 13},
                                  {CCZ_DT_BFLOAT16, 16}};
    CCZ_AUTO(ccz_engine) e = open_engine();
    uint8_t bytes[4 * 8];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i & 1);
    for (size_t i = 0; i < sizeof(onnx) / sizeof(onnx[0]); i++) {
        struct onnx_build b;
        ob_begin(&b);
        ob_node(&b, "Identity", "x", "y");
        ob_io(&b, 11, "x", onnx[i][1], 1, (int64_t[]){-1});
        ob_io(&b, 12, "y", onnx[i][1], 1, (int64_t[]){-1});
        CCZ_AUTO(ccz_model) m = load(e, &b, NULL);
        const struct ccz_signature *s = ccz_model_signature(m, "serving_default");
        const enum ccz_dtype t = (enum ccz_dtype)onnx[i][0];
        CHECK(s->in[0].dtype == t && s->out[0].dtype == t && s->runnable);
        const struct ccz_tensor in = {.name = "x",
                                      .dtype = t,
                                      .rank = 1,
                                      .dims = {4},
                                      .len = 4,
                                      .data = CCZ_SPAN(bytes, 4 * ccz_dtype_size(t))};
        struct ccz_run_req req = {.sig = s, .in = &in, .in_len = 1};
        CCZ_AUTO(ccz_result) r = NULL;
        CHECK(ccz_model_run(&r, NULL, m, &req, NULL) == CCZ_OK);
        const struct ccz_tensor *y = ccz_result_at(r, 0);
        CHECK(y->dtype == t && y->len == 4 && ccz_span_eq(y->data, in.data));
    }
}

static void test_strings(void)
{
    CCZ_AUTO(ccz_engine) e = open_engine();
    struct onnx_build b;
    ob_begin(&b);
    ob_node(&b, "Identity", "x", "y");
    ob_io(&b, 11, "x", 8, 1, (int64_t[]){-1});
    ob_io(&b, 12, "y", 8, 1, (int64_t[]){-1});
    CCZ_AUTO(ccz_model) m = load(e, &b, NULL);
    const struct ccz_span text[] = {
        CCZ_SPAN("a\0b", 3), {0}, ccz_span_str("longer than a pointer is")};
    struct ccz_tensor in = {
        .name = "x", .dtype = CCZ_DT_STRING, .rank = 1, .dims = {3}, .len = 3, .strings = text};
    struct ccz_run_req req = {
        .sig = ccz_model_signature(m, "serving_default"), .in = &in, .in_len = 1};
    CCZ_AUTO(ccz_result) r = NULL;
    CHECK(ccz_model_run(&r, NULL, m, &req, NULL) == CCZ_OK);
    const struct ccz_tensor *y = ccz_result_at(r, 0);
    CHECK(y->dtype == CCZ_DT_STRING && y->len == 3);
    for (size_t i = 0; i < 3; i++)
        CHECK(ccz_span_eq(y->strings[i], text[i]));
    ccz_result_free(ccz_result_take(&r));
    in.dims[0] = 0;
    in.len = 0;
    CHECK(ccz_model_run(&r, NULL, m, &req, NULL) == CCZ_OK && ccz_result_at(r, 0)->len == 0);
}

/* A loop without an end: only the deadline stops it. AttributeProto {1 name, 6 g, 20 type = GRAPH} */
static void build_endless(struct onnx_build *b)
{
    const int64_t forever = INT64_MAX;
    const uint8_t yes = 1;
    ob_begin(b);
    size_t node = ob_node_open(b, "Loop", "trips yes x", "y"), body = ccz_pb_open(&b->pb, 5);
    ccz_pb_put_str(&b->pb, 1, "body");
    size_t graph = ccz_pb_open(&b->pb, 6);
    ccz_pb_put_str(&b->pb, 2, "body");
    ob_node(b, "Identity", "go", "go_on");
    ob_node(b, "Neg", "v", "v_out");
    ob_io(b, 11, "n", OB_INT64, 0, NULL);
    ob_io(b, 11, "go", OB_BOOL, 0, NULL);
    ob_io(b, 11, "v", OB_FLOAT, 2, (int64_t[]){-1, 3});
    ob_io(b, 12, "go_on", OB_BOOL, 0, NULL);
    ob_io(b, 12, "v_out", OB_FLOAT, 2, (int64_t[]){-1, 3});
    ccz_pb_close(&b->pb, graph);
    ccz_pb_put_uint(&b->pb, 20, 5);
    ccz_pb_close(&b->pb, body);
    ccz_pb_close(&b->pb, node);
    ob_constant(b, "trips", OB_INT64, CCZ_SPAN(&forever, sizeof(forever)));
    ob_constant(b, "yes", OB_BOOL, CCZ_SPAN(&yes, 1));
    ob_io(b, 11, "x", OB_FLOAT, 2, (int64_t[]){-1, 3});
    ob_io(b, 12, "y", OB_FLOAT, 2, (int64_t[]){-1, 3});
}

struct late {
    struct ccz_model *m;
    uint32_t timeout_ms;
    bool ended;
};

static void *run_late(void *arg)
{
    struct late *l = arg;
    const float x[3] = {1, 2, 3};
    const struct ccz_tensor in = floats("x", x, 1);
    const struct ccz_run_req req = {.sig = ccz_model_signature(l->m, "serving_default"),
                                    .in = &in,
                                    .in_len = 1,
                                    .timeout_ms = l->timeout_ms};
    struct ccz_run_status st;
    struct ccz_result *r = NULL;
    l->ended = ccz_model_run(&r, &st, l->m, &req, NULL) == CCZ_E_TIMEOUT && !r &&
               st.code == CCZ_RUN_DEADLINE_EXCEEDED && strstr(st.msg, "ended after");
    return NULL;
}

static void test_deadline(void)
{
    static const int inter[] = {-1, 0, 1, 2}; /* one operation at a time, or several */
    for (size_t k = 0; k < sizeof(inter) / sizeof(inter[0]); k++) {
        CCZ_AUTO(ccz_engine) e = open_with(1, inter[k]);
        struct onnx_build b;
        build_endless(&b);
        CCZ_AUTO(ccz_model) m = load(e, &b, NULL);
        struct late runs[3] = {{m, 60, false}, {m, 10, false}, {m, 30, false}};
        pthread_t t[3];
        for (size_t i = 0; i < 3; i++)
            CHECK(pthread_create(&t[i], NULL, run_late, &runs[i]) == 0);
        for (size_t i = 0; i < 3; i++)
            CHECK(pthread_join(t[i], NULL) == 0 && runs[i].ended);
        CCZ_AUTO(ccz_model) other = load_half_plus_two(e, NULL); /* the engine still works */
        const float x[3] = {1, 2, 3};
        const struct ccz_tensor in = floats("x", x, 1);
        const struct ccz_run_req req = {.sig = ccz_model_signature(other, "serving_default"),
                                        .in = &in,
                                        .in_len = 1,
                                        .timeout_ms = 60000};
        CCZ_AUTO(ccz_result) r = NULL;
        CHECK(ccz_model_run(&r, NULL, other, &req, NULL) == CCZ_OK);
    }
}

static void test_union(void)
{
    CCZ_AUTO(ccz_engine) e = open_engine();
    CCZ_AUTO(ccz_model)
    m = load_half_plus_two(e, "{\"a\": {\"inputs\": {\"i\": \"x\"}, \"outputs\": {\"o\": \"y\"}},"
                              " \"b\": {\"inputs\": {\"i\": \"x\"},"
                              " \"outputs\": {\"h\": \"half\", \"o\": \"y\"}}}");
    const struct ccz_signature *parts[] = {ccz_model_signature(m, "a"),
                                           ccz_model_signature(m, "b")},
                               *u = NULL;
    CHECK(ccz_model_union(&u, m, parts, 2, NULL) == CCZ_OK && u->out_len == 3);
    const float x[3] = {2, 4, 6};
    const struct ccz_tensor in = floats("i", x, 1);
    const struct ccz_run_req req = {.sig = u, .in = &in, .in_len = 1};
    CCZ_AUTO(ccz_result) r = NULL;
    CHECK(ccz_model_run(&r, NULL, m, &req, NULL) == CCZ_OK && ccz_result_len(r) == 3);
    CHECK(at(ccz_result_at(r, 0), 1) == 4 && at(ccz_result_at(r, 1), 1) == 2 &&
          at(ccz_result_at(r, 2), 1) == 4); /* the same tensor twice */
    ccz_result_free(ccz_result_take(&r));
    ccz_model_union_release(m, u);
}

/* ---- threads */

struct job {
    struct ccz_model *m;
    float first;
    bool same;
};

static void *run_many(void *arg)
{
    struct job *j = arg;
    j->same = true;
    for (size_t round = 0; round < 200 && j->same; round++) {
        const float x[3] = {j->first, j->first, j->first};
        const struct ccz_tensor in = floats("x", x, 1);
        const struct ccz_run_req req = {.sig = ccz_model_signature(j->m, "serving_default"),
                                        .in = &in,
                                        .in_len = 1,
                                        .timeout_ms = round % 2 ? 60000 : 0};
        CCZ_AUTO(ccz_result) r = NULL;
        j->same = ccz_model_run(&r, NULL, j->m, &req, NULL) == CCZ_OK &&
                  at(ccz_result_at(r, 1), 2) == j->first / 2 + 2;
    }
    return NULL;
}

/* Several models, several engines: one has the process's pools, one threads of its own. */
static void test_threads(void)
{
    CCZ_AUTO(ccz_engine) one = open_with(1, -1);
    CCZ_AUTO(ccz_engine) two = open_with(2, 2);
    CCZ_AUTO(ccz_model) a = load_half_plus_two(one, NULL);
    CCZ_AUTO(ccz_model) b = load_half_plus_two(two, NULL);
    struct job jobs[6];
    pthread_t t[6];
    for (size_t i = 0; i < 6; i++) {
        jobs[i] = (struct job){i % 2 ? a : b, (float)i * 8, false};
        CHECK(pthread_create(&t[i], NULL, run_many, &jobs[i]) == 0);
    }
    for (int i = 0; i < 5; i++) /* another model comes and goes meanwhile */
        ccz_model_free(load_half_plus_two(one, NULL));
    for (size_t i = 0; i < 6; i++)
        CHECK(pthread_join(t[i], NULL) == 0 && jobs[i].same);
}

/* ---- what is refused */

static void test_refused(void)
{
    CCZ_AUTO(ccz_engine) e = open_engine();
    struct ccz_model *m = NULL;
    struct ccz_err err = {0};
    struct onnx_build b;
    ob_half_plus_two(&b);
    struct ccz_model_cfg cfg = ob_end(&b, NULL);
    cfg.stage = CCZ_STAGE_TMPFS;
    CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_ARG && !m && WHERE(err, "engine:stage"));
    cfg.stage = CCZ_STAGE_MEMORY;
    b.files[0].size++; /* the reader has less: its error comes through */
    CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_IO && WHERE(err, "test:read"));
    b.files[0].size = 0;
    CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_LIMIT && WHERE(err, "engine:stage"));
    b.files[0].name = "saved_model.pb";
    CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_FORMAT && WHERE(err, "engine:model-files") &&
          strcmp(err.expected, "tensorflow") == 0);
    ccz_buf_free(&b.pb);

    ob_begin(&b); /* an operation that does not exist */
    ob_node(&b, "NoSuchThing", "x", "y");
    ob_io(&b, 11, "x", OB_FLOAT, 0, NULL);
    ob_io(&b, 12, "y", OB_FLOAT, 0, NULL);
    cfg = ob_end(&b, NULL);
    CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_FORMAT && WHERE(err, "engine:load") &&
          strstr(err.msg, "NoSuchThing"));
    ccz_buf_free(&b.pb);

    ob_begin(
        &b); /* weights in another file: TensorProto {13 external_data {1 key, 2 value}, 14 data_location} */
    ob_node(&b, "Add", "x w", "y");
    size_t tensor = ccz_pb_open(&b.pb, 5), external;
    ccz_pb_put_uint(&b.pb, 2, OB_FLOAT);
    ccz_pb_put_str(&b.pb, 8, "w");
    external = ccz_pb_open(&b.pb, 13);
    ccz_pb_put_str(&b.pb, 1, "location");
    ccz_pb_put_str(&b.pb, 2, "/etc/passwd");
    ccz_pb_close(&b.pb, external);
    ccz_pb_put_uint(&b.pb, 14, 1);
    ccz_pb_close(&b.pb, tensor);
    ob_io(&b, 11, "x", OB_FLOAT, 0, NULL);
    ob_io(&b, 12, "y", OB_FLOAT, 0, NULL);
    cfg = ob_end(&b, NULL);
    CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_UNSUPPORTED && !m &&
          WHERE(err, "engine:external-data") && err.hint[0]);
    ccz_buf_free(&b.pb);
}

/* Cut anywhere, changed anywhere: an error or a model, never the end of the process. */
static void test_damaged(void)
{
    CCZ_AUTO(ccz_engine) e = open_engine();
    struct onnx_build b;
    ob_half_plus_two(&b);
    struct ccz_model_cfg cfg = ob_end(&b, NULL);
    const size_t whole = b.pb.size;
    struct ccz_err err = {0};
    for (size_t size = 1; size < whole; size++) {
        struct ccz_model *m = NULL;
        b.files[0].size = size;
        CHECK(ccz_model_load(&m, e, &cfg, &err) != CCZ_OK && !m);
        CHECK(WHERE(err, "engine:onnx") || WHERE(err, "engine:load"));
    }
    b.files[0].size = whole;
    size_t loaded = 0, refused = 0;
    for (size_t i = 0; i < whole; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            struct ccz_model *m = NULL;
            b.pb.ptr[i] ^= (uint8_t)(1u << bit);
            const ccz_rc rc = ccz_model_load(&m, e, &cfg, &err);
            b.pb.ptr[i] ^= (uint8_t)(1u << bit);
            loaded += rc == CCZ_OK;
            refused += rc != CCZ_OK && !m && err.where[0];
            ccz_model_free(m);
        }
    CHECK(loaded + refused == whole * 8 && refused > loaded);
    ccz_buf_free(&b.pb);
}

static size_t entries(const char *folder)
{
    size_t n = 0;
    DIR *d = opendir(folder);
    CHECK(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* A model loads and runs while the process may not write one byte to any regular file; nothing is open afterwards that was not
 * before (a database, a log, a connection), and no thread works in the background. */
static void test_quiet(void)
{
    struct rlimit none = {0, 0}, before;
    CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
    none.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &none) == 0);
    const size_t files = entries("/proc/self/fd"), threads = entries("/proc/self/task");
    CCZ_AUTO(ccz_engine) e = open_engine();
    CCZ_AUTO(ccz_model) m = load_half_plus_two(e, NULL);
    const float x[3] = {1, 2, 3};
    const struct ccz_tensor in = floats("x", x, 1);
    const struct ccz_run_req req = {
        .sig = ccz_model_signature(m, "serving_default"), .in = &in, .in_len = 1};
    CCZ_AUTO(ccz_result) r = NULL;
    const ccz_rc rc = ccz_model_run(&r, NULL, m, &req, NULL);
    CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0); /* else a failed check could not say so */
    CHECK(rc == CCZ_OK);
    CHECK(entries("/proc/self/fd") == files && entries("/proc/self/task") == threads);
}

static const struct ccz_test tests[] = {
    {"engine.ort_load", test_load},         {"engine.ort_sidecar", test_sidecar},
    {"engine.ort_run", test_run},           {"engine.ort_run_fails", test_run_fails},
    {"engine.ort_types", test_types},       {"engine.ort_strings", test_strings},
    {"engine.ort_deadline", test_deadline}, {"engine.ort_union", test_union},
    {"engine.ort_threads", test_threads},   {"engine.ort_refused", test_refused},
    {"engine.ort_damaged", test_damaged},   {"engine.ort_quiet", test_quiet},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
