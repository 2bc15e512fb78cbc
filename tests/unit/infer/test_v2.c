/* SPDX-License-Identifier: Apache-2.0 */
/* Open Inference Protocol over the echo engine: REST with and without binary tensors, gRPC with and without raw contents. */
#define _DEFAULT_SOURCE
#include "ccz_test.h"
#include "engine/model_build.h"
#include "infer/v2_priv.h"

#include <cczoo/codec.h>

#include <inttypes.h>

static struct ccz_engine *engine;
static struct ccz_infer *server;

static void one(struct model_build *b, const char *signature, enum ccz_dtype t)
{
    mb_signature(b, signature);
    mb_echo(b, "x", "y", t, -1, NULL);
    mb_signature_end(b, "tensorflow/serving/predict");
}

static void start(void)
{
    struct model_build b;
    ccz_infer_free(server); /* of the test before, when all run in one process */
    ccz_engine_free(engine);
    CHECK(ccz_engine_open(&engine, &(struct ccz_engine_cfg){.backend = "echo"}, NULL) == CCZ_OK);
    mb_begin(&b);
    mb_signature(&b, "serving_default");
    mb_echo(&b, "x", "y", CCZ_DT_FLOAT, 2, (int64_t[]){-1, 3});
    mb_echo(&b, "n", "m", CCZ_DT_INT32, 0, NULL);
    size_t entry = ccz_pb_open(&b.pb, 4); /* n = 7 if omitted */
    ccz_pb_put_str(&b.pb, 1, "n");
    size_t tensor = ccz_pb_open(&b.pb, 2);
    ccz_pb_put_uint(&b.pb, 1, CCZ_DT_INT32);
    ccz_pb_put_uint(&b.pb, 7, 7);
    ccz_pb_close(&b.pb, tensor);
    ccz_pb_close(&b.pb, entry);
    mb_signature_end(&b, "tensorflow/serving/predict");
#define X(name, value, size, text) one(&b, text, CCZ_DT_##name);
    CCZ_DTYPE_MAP(X)
#undef X
    struct ccz_model_cfg cfg = mb_end(&b);
    struct ccz_model *m = NULL;
    CHECK(ccz_model_load(&m, engine, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_infer_new(&server, NULL) == CCZ_OK &&
          ccz_infer_add(server, "echo model", 3, &m, NULL) == CCZ_OK);
    ccz_infer_configure(server, &(struct ccz_infer_cfg){.version = "9.8", .input_size_max = 4096});
    ccz_buf_free(&b.pb);
}

/* ------------------------------------------------------------------------ REST */

static struct ccz_buf answer;
static struct ccz_infer_http_answer head;

static unsigned http(const char *method, const char *path, struct ccz_span body,
                     const char *json_size)
{
    ccz_buf_free(&answer);
    ccz_buf_init(&answer, 1 << 20);
    /* exact-size copy: a sanitizer then sees a read behind the body */
    uint8_t *copy = malloc(body.size ? body.size : 1);
    CHECK(copy);
    if (body.size)
        memcpy(copy, body.ptr, body.size);
    ccz_infer_rest(&answer, &head, server,
                   &(struct ccz_infer_http){.method = method,
                                            .path = path,
                                            .body = CCZ_SPAN(copy, body.size),
                                            .json_size = json_size});
    free(copy);
    return head.status;
}

static unsigned get(const char *path)
{
    return http("GET", path, (struct ccz_span){0}, NULL);
}

static void want(unsigned status, unsigned got, const char *text)
{
    const bool same = status == got && strcmp(ccz_buf_str(&answer), text) == 0;
    if (!same)
        fprintf(stderr, "got  %u %s\nwant %u %s\n", got, ccz_buf_str(&answer), status, text);
    CHECK(same);
}

static void want_error(unsigned status, unsigned got, const char *text)
{
    struct ccz_json *j = NULL;
    CHECK(ccz_json_parse(&j, ccz_buf_span(&answer), NULL) == CCZ_OK);
    const char *msg = ccz_json_str(ccz_json_get(j, "error"));
    const bool same = status == got && msg && strcmp(msg, text) == 0;
    if (!same)
        fprintf(stderr, "got  %u %s\nwant %u %s\n", got, msg ? msg : "-", status, text);
    CHECK(same && ccz_json_len(j) == 1 && head.json_size == 0 &&
          strcmp(head.content_type, "application/json") == 0);
    ccz_json_free(j);
}

#define MODEL "/v2/models/echo%20model"
#define INFER MODEL "/infer"
static unsigned post(const char *body)
{
    return http("POST", INFER, ccz_span_str(body), NULL);
}

static void test_rest_paths(void)
{
    start();
    static const char *const good[] = {"/v2/health/live", "/v2/health/ready", MODEL "/ready",
                                       MODEL "/versions/3/ready", MODEL "/ready?x=1"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK(get(good[i]) == 200 && answer.size == 0);
    CHECK(get(MODEL "/versions/4/ready") == 400 && answer.size == 0);
    CHECK(get("/v2/models/other/ready") == 400 && answer.size == 0);
    CHECK(ccz_infer_loading(server, "other", 1, NULL) == CCZ_OK); /* one model is not there yet */
    CHECK(get("/v2/health/live") == 200 && get("/v2/health/ready") == 400);
    want(200, get("/v2"),
         "{\"name\":\"cczoo\",\"version\":\"9.8\",\"extensions\":[\"binary_tensor_data\"]}");
    CHECK(get("/v2/") == 200 && strcmp(head.content_type, "application/json") == 0);
    static const char metadata[] =
        "{\"name\":\"echo model\",\"versions\":[\"3\"],\"platform\":\"echo\",\"inputs\":["
        "{\"name\":\"n\",\"datatype\":\"INT32\",\"shape\":[]},"
        "{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-1,3]}],\"outputs\":["
        "{\"name\":\"m\",\"datatype\":\"INT32\",\"shape\":[]},"
        "{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[-1,3]}]}";
    want(200, get(MODEL), metadata);
    want(200, get(MODEL "/versions/3"), metadata);
    want_error(404, get(MODEL "/versions/4"),
               "Servable not found for request: Specific(echo model, 4)");
    want_error(400, get(MODEL "/versions/3x/ready"), "model version \"3x\" is no number");
    want_error(400, get(MODEL "/versions/9223372036854775808"),
               "model version \"9223372036854775808\" is no number");
    static const char *const bad[] = {"/v2/x",          "/v2/health",   "/v2/models/",
                                      "/v2/models/a/b", MODEL "/infer", MODEL "/versions/"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[128];
        (void)snprintf(text, sizeof(text), "there is no GET %s", bad[i]);
        want_error(404, get(bad[i]), text);
    }
    want_error(404, http("POST", "/v2/health/live", (struct ccz_span){0}, NULL),
               "there is no POST /v2/health/live");
    CHECK(get("/v2x") == 404 && answer.size == 0);
}

static void test_rest_infer(void)
{
    start();
    want(
        200,
        post("{\"id\":\"q\\u00e91\",\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[2,"
             "3],"
             "\"data\":[1,2.5,-3,4,5,6]}]}"),
        "{\"model_name\":\"echo model\",\"model_version\":\"3\",\"id\":\"q\xc3\xa9"
        "1\",\"outputs\":[{\"name\":\"m\",\"datatype\":\"INT32\",\"shape\":[],\"data\":[7]},"
        "{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[2,3],\"data\":[1.0,2.5,-3.0,4.0,5.0,6.0]}"
        "]}");
    CHECK(strcmp(head.content_type, "application/json") == 0 && head.json_size == 0);
    /* nested data, a version, one output, an input with a default that is given */
    want(200,
         http("POST", MODEL "/versions/3/infer",
              ccz_span_str(
                  "{\"inputs\":[{\"name\":\"n\",\"datatype\":\"INT32\",\"shape\":[],\"data\":"
                  "[-4]},{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":"
                  "[[1,2,3]]}],\"outputs\":[{\"name\":\"m\"}]}"),
              NULL),
         "{\"model_name\":\"echo model\",\"model_version\":\"3\",\"outputs\":[{\"name\":\"m\","
         "\"datatype\":\"INT32\",\"shape\":[],\"data\":[-4]}]}");
    want(200,
         post("{\"parameters\":{\"signature_name\":\"string\"},\"inputs\":[{\"name\":\"x\","
              "\"datatype\":\"BYTES\",\"shape\":[2],\"data\":[\"a\\\"b\",\"\"]}]}"),
         "{\"model_name\":\"echo model\",\"model_version\":\"3\",\"outputs\":[{\"name\":\"y\","
         "\"datatype\":\"BYTES\",\"shape\":[2],\"data\":[\"a\\\"b\",\"\"]}]}");
    want(200,
         post("{\"parameters\":{\"signature_name\":\"uint64\"},\"inputs\":[{\"name\":\"x\","
              "\"datatype\":\"UINT64\",\"shape\":[0,4],\"data\":[]}]}"),
         "{\"model_name\":\"echo model\",\"model_version\":\"3\",\"outputs\":[{\"name\":\"y\","
         "\"datatype\":\"UINT64\",\"shape\":[0,4],\"data\":[]}]}");
}

static unsigned post_binary(const char *json, struct ccz_span bytes)
{
    char size[24];
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, 1 << 16);
    ccz_buf_put_str(&body, json);
    (void)snprintf(size, sizeof(size), "%zu", strlen(json));
    ccz_buf_put_span(&body, bytes);
    return http("POST", INFER, ccz_buf_span(&body), size);
}

static void test_rest_binary(void)
{
    start();
    const float x[3] = {1, -2, 0.5f};
    static const char request[] =
        "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],\"parameters\":{"
        "\"binary_data_size\":12}}],\"parameters\":{\"binary_data_output\":true}}";
    CHECK(post_binary(request, CCZ_SPAN(x, sizeof(x))) == 200);
    CHECK(strcmp(head.content_type, "application/octet-stream") == 0);
    static const char json[] =
        "{\"model_name\":\"echo model\",\"model_version\":\"3\",\"outputs\":[{\"name\":\"m\","
        "\"datatype\":\"INT32\",\"shape\":[],\"parameters\":{\"binary_data_size\":4}},{\"name\":"
        "\"y\",\"datatype\":\"FP32\",\"shape\":[1,3],\"parameters\":{\"binary_data_size\":12}}]}";
    CHECK(head.json_size == strlen(json) && answer.size == head.json_size + 16);
    CHECK(memcmp(answer.ptr, json, head.json_size) == 0);
    const int32_t seven = 7;
    CHECK(memcmp(answer.ptr + head.json_size, &seven, 4) == 0 &&
          memcmp(answer.ptr + head.json_size + 4, x, 12) == 0);

    /* one output in bytes, one in JSON; two inputs whose bytes follow in their order */
    const uint8_t both[16] = {9, 0, 0, 0, 0, 0, 128, 63, 0, 0, 0, 64, 0, 0, 64, 64};
    CHECK(post_binary(
              "{\"inputs\":[{\"name\":\"n\",\"datatype\":\"INT32\",\"shape\":[],\"parameters\":{"
              "\"binary_data_size\":4}},{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],"
              "\"parameters\":{\"binary_data_size\":12}}],\"outputs\":[{\"name\":\"y\"},"
              "{\"name\":\"m\",\"parameters\":{\"binary_data\":true}}]}",
              CCZ_SPAN(both, 16)) == 200);
    CHECK(answer.size == head.json_size + 4 && answer.ptr[head.json_size] == 9);
    CHECK(strstr((const char *)answer.ptr, "\"data\":[1.0,2.0,3.0]"));

    const uint8_t strings[] = {1, 0, 0, 0, 'a', 0, 0, 0, 0, 3, 0, 0, 0, 0, 255, 'z'};
    CHECK(post_binary(
              "{\"parameters\":{\"signature_name\":\"string\",\"binary_data_output\":true},"
              "\"inputs\":[{\"name\":\"x\",\"datatype\":\"BYTES\",\"shape\":[3],\"parameters\":{"
              "\"binary_data_size\":16}}]}",
              CCZ_SPAN(strings, 16)) == 200);
    CHECK(answer.size == head.json_size + 16 &&
          memcmp(answer.ptr + head.json_size, strings, 16) == 0);
    const uint8_t half[2] = {0, 60}; /* no form in JSON, but as bytes */
    CHECK(post_binary(
              "{\"parameters\":{\"signature_name\":\"half\",\"binary_data_output\":true},"
              "\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP16\",\"shape\":[1],\"parameters\":{"
              "\"binary_data_size\":2}}]}",
              CCZ_SPAN(half, 2)) == 200);
    want_error(400,
               post_binary(
                   "{\"parameters\":{\"signature_name\":\"half\"},\"inputs\":[{\"name\":\"x\","
                   "\"datatype\":\"FP16\",\"shape\":[1],\"parameters\":{\"binary_data_size\":2}}]}",
                   CCZ_SPAN(half, 2)),
               "output y of type FP16 has no form in JSON: ask for it as bytes");
}

/* REST as TensorFlow Serving has it: an input with a default may be left out, of all instances or of none. */
static void test_defaults(void)
{
    start();
#define PREDICT "/v1/models/echo%20model:predict"
    want(200, http("POST", PREDICT, ccz_span_str("{\"inputs\":{\"x\":[[1,2,3]]}}"), NULL),
         "{\n    \"outputs\": {\n        \"m\": 7,\n        \"y\": [\n            [\n              "
         "  1.0,\n"
         "                2.0,\n                3.0\n            ]\n        ]\n    }\n}");
    want_error(400, http("POST", PREDICT, ccz_span_str("{\"inputs\":{\"n\":1}}"), NULL),
               "Missing named input: x in 'inputs' object.");
    want_error(400, http("POST", PREDICT, ccz_span_str("{\"instances\":[{\"x\":[1,2,3]}]}"), NULL),
               "Tensor name: m has no shape information "); /* the echo of a default has no rows */
    static const char *const uneven[] = {
        "{\"instances\":[{\"x\":[1,2,3]},{\"x\":[1,2,3],\"n\":1}]}",
        "{\"instances\":[{\"x\":[1,2,3]},{\"x\":[1,2,3],\"n\":1,\"n\":1}]}",
        "{\"instances\":[{\"x\":[1,2,3],\"n\":1},{\"x\":[1,2,3]}]}"};
    for (size_t i = 0; i < 3; i++)
        CHECK(http("POST", PREDICT, ccz_span_str(uneven[i]), NULL) == 400 &&
              strstr(ccz_buf_str(&answer), "Failed to process element: 1 of 'instances' list. "
                                           "JSON object"));
}

#define X_IS(rest) "{\"inputs\":[{\"name\":\"x\"," rest "}]}"
#define STRINGS(n)                                                                                 \
    "{\"parameters\":{\"signature_name\":\"string\"},\"inputs\":[{\"name\":\"x\",\"datatype\":"    \
    "\"BYTES\",\"shape\":[" n "],\"parameters\":{\"binary_data_size\":5}}]}"
static void test_rest_refuses(void)
{
    start();
    static const struct {
        const char *body, *text;
    } bad[] = {
        {"", "JSON Parse error: The document is empty"},
        {"[]", "the request is no JSON object"},
        {"{}", "\"inputs\" is missing"},
        {"{\"inputs\":1}", "\"inputs\" is of the wrong kind"},
        {"{\"inputs\":[1]}", "an input is no object"},
        {"{\"id\":1,\"inputs\":[]}", "\"id\" is of the wrong kind"},
        {"{\"inputs\":[]}", "input x is missing and has no default"},
        {X_IS("\"datatype\":\"FP32\",\"shape\":[1,3]"), "\"data\" is missing"},
        {X_IS("\"shape\":[1,3],\"data\":[1,2,3]"), "\"datatype\" is missing"},
        {X_IS("\"datatype\":\"FP33\",\"shape\":[1,3],\"data\":[1,2,3]"),
         "input x has no known datatype: \"FP33\""},
        {X_IS("\"datatype\":\"FP64\",\"shape\":[1,3],\"data\":[1,2,3]"),
         "input x has datatype FP64, the model takes FP32"},
        {X_IS("\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2]"),
         "Encountered list at unexpected size: 2 at level: 0 expected size: 3"},
        {X_IS("\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[[1,2,3,4]]"),
         "Encountered list at unexpected size: 4 at level: 1 expected size: 3"},
        {X_IS("\"datatype\":\"FP32\",\"shape\":[3],\"data\":[1,2,3]"),
         "input x has shape [3], the signature says [?,3]"},
        {X_IS("\"datatype\":\"FP32\",\"shape\":[-1,3],\"data\":[1,2,3]"), "a dimension is no size"},
        {X_IS("\"datatype\":\"FP32\",\"shape\":[1.5,3],\"data\":[1,2,3]"),
         "a dimension is no size"},
        {X_IS("\"datatype\":\"FP32\",\"shape\":[9223372036854775807,3],\"data\":[1,2,3]"),
         "input x has no valid shape"},
        {X_IS("\"datatype\":\"FP32\",\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],\"data\":[1]"),
         "input x has more than 16 dimensions"},
        {X_IS("\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,\"3\"]"),
         "JSON Value: \"3\" Type: String is not of expected type: float"},
        {X_IS("\"datatype\":\"FP32\",\"shape\":[1,3],\"parameters\":{\"binary_data_size\":12}"),
         "\"binary_data_size\" is more than what follows the JSON"},
        {"{\"inputs\":[{\"name\":\"z\",\"datatype\":\"FP32\",\"shape\":[1],\"data\":[1]},{\"name\":"
         "\"x\","
         "\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,3]}]}",
         "the model has no input z"},
        {"{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,3]},{"
         "\"name\":"
         "\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,3]}]}",
         "input x is there 2 times"},
        {"{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,3]}],"
         "\"outputs\":[{\"name\":\"z\"}]}",
         "the model has no output z"},
        {"{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,3]}],"
         "\"outputs\":[{\"name\":\"y\"},{\"name\":\"y\"}]}",
         "output y is asked for twice"},
        {"{\"parameters\":{\"binary_data_output\":1},\"inputs\":[]}",
         "\"binary_data_output\" is no bool"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        want_error(400, post(bad[i].body), bad[i].text);
    want_error(400, post("{\"parameters\":{\"signature_name\":\"no\"},\"inputs\":[]}"),
               "Serving signature key \"no\" not found.");
    want_error(404, http("POST", "/v2/models/q/infer", ccz_span_str("{\"inputs\":[]}"), NULL),
               "Servable not found for request: Latest(q)");
    static const char *const sizes[] = {"", "x", "3x", "-1", "14", "99999999999999999999999999"};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        want_error(400, http("POST", INFER, ccz_span_str("{\"inputs\":[]}"), sizes[i]),
                   "header Inference-Header-Content-Length is no size within the body");
    static const char two[] = X_IS("\"datatype\":\"FP32\",\"shape\":[1,3],\"parameters\":{"
                                   "\"binary_data_size\":8}");
    want_error(400, post_binary(two, CCZ_SPAN("12345678", 8)),
               "input x: its shape asks for 12 bytes, got 8");
    want_error(400, post_binary(two, CCZ_SPAN("123456789", 9)),
               "input x: its shape asks for 12 bytes, got 8");
    want_error(400, post_binary(STRINGS("1"), CCZ_SPAN("\1\0\0\0abc", 7)),
               "2 bytes behind the last binary input");
    want_error(400, post_binary(STRINGS("1"), CCZ_SPAN("\2\0\0\0a", 5)),
               "input x: its bytes are not 1 strings, each behind its size");
    want_error(400, post_binary(STRINGS("99999999"), CCZ_SPAN("\1\0\0\0a", 5)),
               "input x: 5 bytes are too few for 99999999 strings");
    /* beyond the server's limit for inputs */
    CCZ_AUTO_BUF large;
    ccz_buf_init(&large, 1 << 16);
    ccz_buf_put_str(
        &large, "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[400,3],\"data\":[1");
    for (size_t i = 1; i < 1200; i++)
        ccz_buf_put_str(&large, ",1");
    ccz_buf_put_str(&large, "]}]}");
    want_error(429, http("POST", INFER, ccz_buf_span(&large), NULL),
               "input x is larger than the server allows");
}

/* ------------------------------------------------------------------------ gRPC */

static struct ccz_run_status call(struct ccz_buf *out, const char *method, struct ccz_span request)
{
    struct ccz_run_status st;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s%s", CCZ_INFER_PATH_V2, method);
    ccz_buf_free(out);
    ccz_buf_init(out, 1 << 20);
    uint8_t *copy = malloc(request.size ? request.size : 1);
    CHECK(copy);
    if (request.size)
        memcpy(copy, request.ptr, request.size);
    ccz_infer_grpc(out, &st, server,
                   &(struct ccz_infer_call){.path = path, .request = CCZ_SPAN(copy, request.size)});
    free(copy);
    CHECK(st.code == CCZ_RUN_OK || out->size == 0);
    return st;
}

static struct ccz_span model_request(struct ccz_buf *b, const char *name, const char *version)
{
    ccz_buf_free(b);
    ccz_buf_init(b, 1000);
    ccz_pb_put_str(b, 1, name);
    ccz_pb_put_str(b, 2, version);
    return ccz_buf_span(b);
}

/* The n-th field of that number; empty if there are fewer. */
static struct ccz_span field(struct ccz_span msg, uint32_t number, size_t n)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r))
        if (f.number == number && f.wire == CCZ_PB_LEN && n-- == 0)
            return f.bytes;
    CHECK(!r.bad);
    return (struct ccz_span){0};
}

static bool is(struct ccz_span s, const char *text)
{
    return ccz_span_eq(s, ccz_span_str(text));
}

static void test_grpc_metadata(void)
{
    start();
    CCZ_AUTO_BUF out, req;
    ccz_buf_init(&out, 1);
    ccz_buf_init(&req, 1000);
    static const uint8_t yes[] = {8, 1}, no[] = {8, 0};
    const struct ccz_span none = {0};
    CHECK(call(&out, "ServerLive", none).code == CCZ_RUN_OK && out.size == 2 &&
          memcmp(out.ptr, yes, 2) == 0);
    CHECK(call(&out, "ServerReady", none).code == CCZ_RUN_OK && memcmp(out.ptr, yes, 2) == 0);
    CHECK(call(&out, "ServerMetadata", none).code == CCZ_RUN_OK);
    CHECK(is(field(ccz_buf_span(&out), 1, 0), "cczoo") &&
          is(field(ccz_buf_span(&out), 2, 0), "9.8"));
    CHECK(is(field(ccz_buf_span(&out), 3, 0), "binary_tensor_data"));
    CHECK(call(&out, "ModelReady", model_request(&req, "echo model", "")).code == CCZ_RUN_OK &&
          memcmp(out.ptr, yes, 2) == 0);
    CHECK(call(&out, "ModelReady", model_request(&req, "echo model", "4")).code == CCZ_RUN_OK &&
          memcmp(out.ptr, no, 2) == 0);
    CHECK(call(&out, "ModelReady", model_request(&req, "other", "")).code == CCZ_RUN_OK &&
          memcmp(out.ptr, no, 2) == 0);
    CHECK(call(&out, "ModelReady", model_request(&req, "echo model", "x")).code ==
          CCZ_RUN_INVALID_ARGUMENT);
    CHECK(call(&out, "ModelMetadata", model_request(&req, "echo model", "3")).code == CCZ_RUN_OK);
    const struct ccz_span m = ccz_buf_span(&out);
    CHECK(is(field(m, 1, 0), "echo model") && is(field(m, 2, 0), "3") &&
          is(field(m, 3, 0), "echo"));
    const struct ccz_span x = field(m, 4, 1), y = field(m, 5, 1);
    CHECK(is(field(x, 1, 0), "x") && is(field(x, 2, 0), "FP32") && is(field(y, 1, 0), "y"));
    struct ccz_rd shape = ccz_rd_from(field(x, 3, 0));
    CHECK(ccz_pb_varint(&shape) == UINT64_MAX && ccz_pb_varint(&shape) == 3 && ccz_rd_done(&shape));
    CHECK(call(&out, "ModelMetadata", model_request(&req, "other", "")).code == CCZ_RUN_NOT_FOUND);
    CHECK(call(&out, "ModelStatistics", none).code == CCZ_RUN_UNIMPLEMENTED);
    CHECK(ccz_infer_loading(server, "other", 1, NULL) == CCZ_OK);
    CHECK(call(&out, "ServerReady", none).code == CCZ_RUN_OK && memcmp(out.ptr, no, 2) == 0);
}

struct input {
    const char *name, *datatype;
    size_t rank;
    int64_t dims[3];
    struct ccz_span contents; /* InferTensorContents */
    struct ccz_span raw;
    bool has_raw;
};

static void infer_request(struct ccz_buf *b, const char *signature, const struct input *in,
                          size_t len)
{
    ccz_buf_free(b);
    ccz_buf_init(b, 1 << 20);
    ccz_pb_put_str(b, 1, "echo model");
    ccz_pb_put_str(b, 3, "id 5");
    if (signature) {
        size_t entry = ccz_pb_open(b, 4);
        ccz_pb_put_str(b, 1, "signature_name");
        size_t value = ccz_pb_open(b, 2);
        ccz_pb_put_str(b, 3, signature);
        ccz_pb_close(b, value);
        ccz_pb_close(b, entry);
    }
    for (size_t i = 0; i < len; i++) {
        size_t tensor = ccz_pb_open(b, 5);
        ccz_pb_put_str(b, 1, in[i].name);
        ccz_pb_put_str(b, 2, in[i].datatype);
        for (size_t k = 0; k < in[i].rank; k++)
            ccz_pb_put_uint(b, 3, (uint64_t)in[i].dims[k]);
        if (in[i].contents.size)
            ccz_pb_put_bytes(b, 5, in[i].contents);
        ccz_pb_close(b, tensor);
    }
    for (size_t i = 0; i < len; i++)
        if (in[i].has_raw)
            ccz_pb_put_bytes(b, 7, in[i].raw);
}

static void test_grpc_infer(void)
{
    start();
    CCZ_AUTO_BUF out, req, contents;
    ccz_buf_init(&out, 1);
    ccz_buf_init(&req, 1);
    ccz_buf_init(&contents, 1000);
    const float x[3] = {1, -2, 0.5f};
    ccz_pb_put_bytes(&contents, 6, CCZ_SPAN(x, 12)); /* packed */
    struct input in = {.name = "x",
                       .datatype = "FP32",
                       .rank = 2,
                       .dims = {1, 3},
                       .contents = ccz_buf_span(&contents)};
    infer_request(&req, NULL, &in, 1);
    CHECK(call(&out, "ModelInfer", ccz_buf_span(&req)).code == CCZ_RUN_OK);
    struct ccz_span m = ccz_buf_span(&out);
    CHECK(is(field(m, 1, 0), "echo model") && is(field(m, 2, 0), "3") &&
          is(field(m, 3, 0), "id 5"));
    struct ccz_span y = field(m, 5, 1);
    CHECK(is(field(y, 1, 0), "y") && is(field(y, 2, 0), "FP32") && field(m, 6, 0).size == 0);
    CHECK(ccz_span_eq(field(field(y, 5, 0), 6, 0), CCZ_SPAN(x, 12)));
    /* one value after the other, and a wanted output */
    ccz_buf_clear(&contents);
    for (size_t i = 0; i < 3; i++)
        ccz_pb_put_float(&contents, 6, x[i]);
    in.contents = ccz_buf_span(&contents);
    infer_request(&req, NULL, &in, 1);
    size_t output = ccz_pb_open(&req, 6);
    ccz_pb_put_str(&req, 1, "y");
    ccz_pb_close(&req, output);
    CHECK(call(&out, "ModelInfer", ccz_buf_span(&req)).code == CCZ_RUN_OK);
    m = ccz_buf_span(&out);
    CHECK(is(field(field(m, 5, 0), 1, 0), "y") && field(m, 5, 1).size == 0);
    CHECK(ccz_span_eq(field(field(field(m, 5, 0), 5, 0), 6, 0), CCZ_SPAN(x, 12)));
    /* raw in, raw out */
    in.contents.size = 0;
    in.raw = CCZ_SPAN(x, 12);
    in.has_raw = true;
    infer_request(&req, NULL, &in, 1);
    CHECK(call(&out, "ModelInfer", ccz_buf_span(&req)).code == CCZ_RUN_OK);
    m = ccz_buf_span(&out);
    CHECK(field(field(m, 5, 1), 5, 0).size == 0 && field(m, 6, 0).size == 4);
    CHECK(ccz_span_eq(field(m, 6, 1), CCZ_SPAN(x, 12)));
    /* half has no contents: raw although nobody asked */
    in = (struct input){.name = "x",
                        .datatype = "FP16",
                        .rank = 1,
                        .dims = {2},
                        .raw = CCZ_SPAN("abcd", 4),
                        .has_raw = true};
    infer_request(&req, "half", &in, 1);
    CHECK(call(&out, "ModelInfer", ccz_buf_span(&req)).code == CCZ_RUN_OK &&
          is(field(ccz_buf_span(&out), 6, 0), "abcd"));
}

/* Each type through contents, with the values at its ends. */
static void value(const char *signature, const char *datatype, uint32_t number, const uint64_t *v,
                  size_t len, bool good)
{
    CCZ_AUTO_BUF out, req, contents;
    ccz_buf_init(&out, 1);
    ccz_buf_init(&req, 1);
    ccz_buf_init(&contents, 1000);
    size_t packed = ccz_pb_open(&contents, number);
    for (size_t i = 0; i < len; i++)
        ccz_pb_put_varint(&contents, v[i]);
    ccz_pb_close(&contents, packed);
    const struct input in = {.name = "x",
                             .datatype = datatype,
                             .rank = 1,
                             .dims = {(int64_t)len},
                             .contents = ccz_buf_span(&contents)};
    infer_request(&req, signature, &in, 1);
    const struct ccz_run_status st = call(&out, "ModelInfer", ccz_buf_span(&req));
    if (!good) {
        CHECK(st.code == CCZ_RUN_INVALID_ARGUMENT && strstr(st.msg, "has a value that is no "));
        return;
    }
    CHECK(st.code == CCZ_RUN_OK);
    struct ccz_rd r = ccz_rd_from(field(field(field(ccz_buf_span(&out), 5, 0), 5, 0), number, 0));
    for (size_t i = 0; i < len; i++)
        CHECK(ccz_pb_varint(&r) == v[i]);
    CHECK(ccz_rd_done(&r));
}

static void test_values(void)
{
    start();
    const uint64_t i8[] = {(uint64_t)-128, 127, 0}, u8[] = {255, 0}, flags[] = {0, 1};
    const uint64_t i16[] = {(uint64_t)-32768, 32767}, u16[] = {65535}, u32[] = {UINT32_MAX};
    const uint64_t i32[] = {(uint64_t)INT32_MIN, INT32_MAX}, all[] = {UINT64_MAX, 5};
    value("int8", "INT8", 2, i8, 3, true);
    value("int16", "INT16", 2, i16, 2, true);
    value("int32", "INT32", 2, i32, 2, true);
    value("int64", "INT64", 3, all, 2, true);
    value("uint8", "UINT8", 4, u8, 2, true);
    value("uint16", "UINT16", 4, u16, 1, true);
    value("uint32", "UINT32", 4, u32, 1, true);
    value("uint64", "UINT64", 5, all, 2, true);
    value("bool", "BOOL", 1, flags, 2, true);
    const uint64_t too_large[] = {256}, below[] = {(uint64_t)-129}, at_128[] = {128};
    value("uint8", "UINT8", 4, too_large, 1, false);
    value("int8", "INT8", 2, at_128, 1, false);
    value("int8", "INT8", 2, below, 1, false);
    value("int32", "INT32", 2, u32, 1, false);
    value("uint32", "UINT32", 4, all, 2, false);
    value("bool", "BOOL", 1, at_128, 1, false);
}

static void refuse(const struct input *in, size_t len, enum ccz_run_code code, const char *text)
{
    CCZ_AUTO_BUF out, req;
    ccz_buf_init(&out, 1);
    ccz_buf_init(&req, 1);
    infer_request(&req, NULL, in, len);
    const struct ccz_run_status st = call(&out, "ModelInfer", ccz_buf_span(&req));
    if (st.code != code || strcmp(st.msg, text) != 0)
        fprintf(stderr, "got %d %s\nwant %d %s\n", (int)st.code, st.msg, (int)code, text);
    CHECK(st.code == code && strcmp(st.msg, text) == 0);
}

static void test_grpc_refuses(void)
{
    start();
    CCZ_AUTO_BUF two;
    ccz_buf_init(&two, 100);
    ccz_pb_put_bytes(&two, 6, CCZ_SPAN("12345678", 8));
    const struct input good = {.name = "x",
                               .datatype = "FP32",
                               .rank = 2,
                               .dims = {1, 3},
                               .raw = CCZ_SPAN("123456789012", 12),
                               .has_raw = true};
    struct input in[2] = {good, good};
    in[0].raw.size = 8;
    refuse(in, 1, CCZ_RUN_INVALID_ARGUMENT, "input x: its shape asks for 12 bytes, got 8");
    in[0] = good;
    in[0].contents = ccz_buf_span(&two);
    refuse(in, 1, CCZ_RUN_INVALID_ARGUMENT, "contents beside raw_input_contents");
    in[0].has_raw = false;
    refuse(in, 1, CCZ_RUN_INVALID_ARGUMENT, "input x: its shape asks for 3 values, got 2");
    in[0].dims[0] = 1 << 30;
    refuse(in, 1, CCZ_RUN_INVALID_ARGUMENT,
           "input x: its shape asks for 3221225472 values, 10 bytes cannot hold them");
    in[0] = good;
    in[1].has_raw = false;
    refuse(in, 2, CCZ_RUN_INVALID_ARGUMENT, "1 raw_input_contents for 2 inputs");
    in[0].dims[1] = -1;
    refuse(in, 1, CCZ_RUN_INVALID_ARGUMENT, "input x has no valid shape");
    in[0] = good;
    in[0].datatype = "float";
    refuse(in, 1, CCZ_RUN_INVALID_ARGUMENT, "input x has no known datatype: \"float\"");
    in[0] = (struct input){.name = "x", .datatype = "FP16", .rank = 1, .dims = {0}};
    refuse(in, 1, CCZ_RUN_INVALID_ARGUMENT, "FP16 travels in raw_input_contents only");
    in[0] = (struct input){.name = "x",
                           .datatype = "BOOL",
                           .rank = 1,
                           .dims = {2},
                           .raw = CCZ_SPAN("\1\2", 2),
                           .has_raw = true};
    refuse(in, 1, CCZ_RUN_INVALID_ARGUMENT, "input x: byte 1 is no BOOL");
}

/* A request cut at any byte is answered, never read behind its end (the sanitizers watch). */
static void test_truncated(void)
{
    start();
    CCZ_AUTO_BUF out, req, strings;
    ccz_buf_init(&out, 1);
    ccz_buf_init(&req, 1);
    ccz_buf_init(&strings, 100);
    ccz_pb_put_str(&strings, 8, "abc");
    ccz_pb_put_str(&strings, 8, "");
    const struct input in = {.name = "x",
                             .datatype = "BYTES",
                             .rank = 2,
                             .dims = {1, 2},
                             .contents = ccz_buf_span(&strings)};
    infer_request(&req, "string", &in, 1);
    size_t good = 0;
    for (size_t size = 0; size <= req.size; size++)
        good += call(&out, "ModelInfer", CCZ_SPAN(req.ptr, size)).code == CCZ_RUN_OK;
    CHECK(good == 1);
    static const char json[] =
        "{\"parameters\":{\"signature_name\":\"string\"},\"inputs\":[{\"name\":\"x\",\"datatype\":"
        "\"BYTES\",\"shape\":[1],\"parameters\":{\"binary_data_size\":5}}],\"outputs\":[{\"name\":"
        "\"y\",\"parameters\":{\"binary_data\":true}}]}\1\0\0\0a";
    good = 0;
    for (size_t size = 0; size < sizeof(json); size++) {
        char header[24];
        (void)snprintf(header, sizeof(header), "%zu",
                       size < sizeof(json) - 6 ? size : sizeof(json) - 6);
        good += http("POST", INFER, CCZ_SPAN(json, size), header) == 200;
    }
    CHECK(good == 1);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"v2.rest_paths", test_rest_paths},       {"v2.rest_infer", test_rest_infer},
        {"v2.rest_binary", test_rest_binary},     {"v2.rest_refuses", test_rest_refuses},
        {"v2.grpc_metadata", test_grpc_metadata}, {"v2.grpc_infer", test_grpc_infer},
        {"v2.grpc_refuses", test_grpc_refuses},   {"v2.values", test_values},
        {"v2.truncated", test_truncated},         {"v2.defaults", test_defaults},
    };
    int rc = ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    ccz_buf_free(&answer);
    ccz_infer_free(server);
    ccz_engine_free(engine);
    return rc;
}
