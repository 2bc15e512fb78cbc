/* SPDX-License-Identifier: Apache-2.0 */
/* REST over the echo engine: every path, form, type and error text. */
#define _DEFAULT_SOURCE
#include "ccz_test.h"
#include "engine/engine_priv.h"
#include "engine/model_build.h"
#include "infer/infer_priv.h"

#include <cczoo/codec.h>

#include <math.h>

static struct ccz_engine *engine;
static struct ccz_infer *server;

static void one(struct model_build *b, const char *signature, enum ccz_dtype t)
{
    mb_signature(b, signature);
    mb_echo(b, "x", "y", t, -1, NULL);
    mb_signature_end(b, "tensorflow/serving/predict");
}

/* One signature per type, and some with several inputs and outputs. */
static void start(void)
{
    struct model_build b;
    ccz_infer_free(server); /* of the test before, when all run in one process */
    ccz_engine_free(engine);
    CHECK(ccz_engine_open(&engine, &(struct ccz_engine_cfg){.backend = "echo"}, NULL) == CCZ_OK);
    mb_begin(&b);
    mb_signature(&b, "serving_default");
    mb_echo(&b, "x", "y", CCZ_DT_FLOAT, 2, (int64_t[]){-1, 3});
    mb_signature_end(&b, "tensorflow/serving/predict");
#define X(name, value, size, text) one(&b, text, CCZ_DT_##name);
    CCZ_DTYPE_MAP(X)
#undef X
    mb_signature(&b, "two");
    mb_echo(&b, "a", "a_out", CCZ_DT_INT32, -1, NULL);
    mb_echo(&b, "b", "b_out", CCZ_DT_STRING, -1, NULL);
    mb_signature_end(&b, "");
    mb_signature(&b, "blob");
    mb_echo(&b, "blob", "blob_bytes", CCZ_DT_STRING, -1, NULL);
    mb_signature_end(&b, "");
    mb_signature(&b, "none");
    mb_signature_end(&b, "");
    struct ccz_model_cfg cfg = mb_end(&b);
    struct ccz_model *m = NULL;
    CHECK(ccz_model_load(&m, engine, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_infer_new(&server, NULL) == CCZ_OK &&
          ccz_infer_add(server, "echo model", 1, &m, NULL) == CCZ_OK);
    ccz_buf_free(&b.pb);
}

static struct ccz_buf answer;

static unsigned http(const char *method, const char *path, struct ccz_span body)
{
    struct ccz_infer_http_answer head = {0};
    ccz_buf_free(&answer);
    ccz_buf_init(&answer, 4 << 20);
    /* exact-size copy: a sanitizer then sees a read behind the body */
    uint8_t *copy = malloc(body.size ? body.size : 1);
    CHECK(copy);
    if (body.size)
        memcpy(copy, body.ptr, body.size);
    ccz_infer_rest(&answer, &head, server,
                   &(struct ccz_infer_http){
                       .method = method, .path = path, .body = CCZ_SPAN(copy, body.size)});
    free(copy);
    CHECK(strcmp(head.content_type,
                 head.status == 404 && answer.size == 0 ? "text/plain" : "application/json") == 0);
    CHECK(head.json_size == 0);
    return head.status;
}

static void want(unsigned status, unsigned got_status, const char *text)
{
    if (status != got_status || strcmp(ccz_buf_str(&answer), text) != 0)
        fprintf(stderr, "got  %u %s\nwant %u %s\n", got_status, ccz_buf_str(&answer), status, text);
    CHECK(status == got_status && strcmp(ccz_buf_str(&answer), text) == 0);
}

/* The message of an error answer. */
static void want_error(unsigned status, unsigned got_status, const char *text)
{
    struct ccz_json *j = NULL;
    CHECK(ccz_json_parse(&j, ccz_buf_span(&answer), NULL) == CCZ_OK);
    const char *msg = ccz_json_str(ccz_json_get(j, "error"));
    if (status != got_status || !msg || strcmp(msg, text) != 0)
        fprintf(stderr, "got  %u %s\nwant %u %s\n", got_status, msg ? msg : ccz_buf_str(&answer),
                status, text);
    CHECK(status == got_status && msg && strcmp(msg, text) == 0 && ccz_json_len(j) == 1);
    ccz_json_free(j);
}

#define PREDICT "/v1/models/echo%20model:predict"
static unsigned post(const char *body)
{
    return http("POST", PREDICT, ccz_span_str(body));
}

/* ------------------------------------------------------------------------ paths */

static void test_paths(void)
{
    start();
    static const char ok[] = "{\"instances\":[[1,2,3]]}";
    static const char *const good[] = {
        PREDICT, "/V1/Models/echo%20model:predict", "/v1/models/echo%20model/versions/1:predict",
        "/v1/models/echo%20model/versions/0001:predict", PREDICT "?trace=1"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK(http("POST", good[i], ccz_span_str(ok)) == 200);
    CHECK(http("GET", "/metrics", (struct ccz_span){0}) == 404 && answer.size == 0);
    CHECK(http("GET", "/v1", (struct ccz_span){0}) == 404 && answer.size == 0);
    static const struct {
        const char *method, *path;
    } malformed[] = {
        {"POST", "/v1/models/echo%20model"},
        {"POST", "/v1/models/a:frobnicate"},
        {"POST", "/v1/models/a/versions/x:predict"},
        {"POST", "/v1/models/:predict"},
        {"POST", "/v1/models/a/b:predict"},
        {"POST", "/v1/models/a:predict/"},
        {"POST", "/v1/models/a:PREDICT"},
        {"POST", "/v1/models/a/versions/:predict"},
        {"GET", "/v1/models/a:predict"},
        {"GET", "/v1/models/a/versions/1/labels/b"},
        {"GET", "/v1/models/a/metadata/x"},
        {"GET", "/v1/models/a/"},
        {"GET", "/v1/x"},
        {"PUT", "/v1/models/a"},
        {"DELETE", "/v1/models/a"},
        {"GET", "/v1/"},
    };
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        char text[128];
        unsigned status = http(malformed[i].method, malformed[i].path, ccz_span_str(ok));
        (void)snprintf(text, sizeof(text), "Malformed request: %s %s", malformed[i].method,
                       malformed[i].path);
        want_error(400, status, text);
    }
    want_error(400, http("GET", "/v1/models", (struct ccz_span){0}),
               "Missing model name in request.");
    want_error(404, http("POST", "/v1/models/a:predict", ccz_span_str(ok)),
               "Servable not found for request: Latest(a)");
    want_error(404, http("POST", "/v1/models/a%2fb/versions/7:predict", ccz_span_str(ok)),
               "Servable not found for request: Specific(a/b, 7)");
    want_error(400, http("POST", "/v1/models/a/labels/l%20x:predict", ccz_span_str(ok)),
               "Unrecognized servable version label: l x");
    want_error(400,
               http("POST", "/v1/models/a/versions/9223372036854775808:predict", ccz_span_str(ok)),
               "Failed to convert version: 9223372036854775808 to numeric.");
    want_error(404, http("GET", "/v1/models/a%zz", (struct ccz_span){0}),
               "Could not find any versions of model a%zz");
    want_error(404, http("GET", "/v1/models/metadata", (struct ccz_span){0}),
               "Could not find any versions of model metadata");
}

static void test_status(void)
{
    start();
    CHECK(ccz_infer_loading(server, "echo model", 2, NULL) == CCZ_OK);
    ccz_infer_failed(server, "echo model", 2, CCZ_RUN_DATA_LOSS, "block \"7\"");
    CHECK(ccz_infer_loading(server, "other", 5, NULL) == CCZ_OK);
    want(200, http("GET", "/v1/models/echo%20model", (struct ccz_span){0}),
         "{\n \"model_version_status\": [\n  {\n   \"version\": \"2\",\n   \"state\": \"END\",\n"
         "   \"status\": {\n    \"error_code\": \"DATA_LOSS\",\n"
         "    \"error_message\": \"block \\\"7\\\"\"\n   }\n  },\n"
         "  {\n   \"version\": \"1\",\n   \"state\": \"AVAILABLE\",\n   \"status\": {\n"
         "    \"error_code\": \"OK\",\n    \"error_message\": \"\"\n   }\n  }\n ]\n}\n");
    want(200, http("GET", "/v1/models/other/versions/5", (struct ccz_span){0}),
         "{\n \"model_version_status\": [\n  {\n   \"version\": \"5\",\n   \"state\": "
         "\"LOADING\",\n   \"status\": {\n"
         "    \"error_code\": \"OK\",\n    \"error_message\": \"\"\n   }\n  }\n ]\n}\n");
    want_error(404, http("GET", "/v1/models/other/versions/6", (struct ccz_span){0}),
               "Could not find version 6 of model other");
}

static void test_metadata(void)
{
    start();
    CHECK(http("GET", "/v1/models/echo%20model/metadata", (struct ccz_span){0}) == 200);
    struct ccz_json *j = NULL;
    CHECK(ccz_json_parse(&j, ccz_buf_span(&answer), NULL) == CCZ_OK);
    const struct ccz_json *spec = ccz_json_get(j, "model_spec");
    CHECK(strcmp(ccz_json_str(ccz_json_get(spec, "name")), "echo model") == 0);
    CHECK(strcmp(ccz_json_str(ccz_json_get(spec, "version")), "1") == 0);
    const struct ccz_json *map =
        ccz_json_get(ccz_json_get(ccz_json_get(j, "metadata"), "signature_def"), "signature_def");
    CHECK(ccz_json_len(map) == 18);
    const struct ccz_json *sig = ccz_json_get(map, "serving_default"),
                          *x = ccz_json_get(ccz_json_get(sig, "inputs"), "x");
    CHECK(strcmp(ccz_json_str(ccz_json_get(x, "dtype")), "DT_FLOAT") == 0);
    CHECK(strcmp(ccz_json_str(ccz_json_get(x, "name")), "x_t:0") == 0);
    const struct ccz_json *dims = ccz_json_get(ccz_json_get(x, "tensor_shape"), "dim");
    CHECK(strcmp(ccz_json_str(ccz_json_get(ccz_json_at(dims, 0), "size")), "-1") == 0);
    CHECK(strcmp(ccz_json_str(ccz_json_get(ccz_json_at(dims, 1), "size")), "3") == 0);
    CHECK(strcmp(ccz_json_str(ccz_json_get(sig, "method_name")), "tensorflow/serving/predict") ==
          0);
    CHECK(ccz_json_type(ccz_json_get(sig, "defaults")) == CCZ_JSON_OBJECT);
    bool unknown = false;
    x = ccz_json_get(ccz_json_get(ccz_json_get(map, "bool"), "outputs"), "y");
    CHECK(ccz_json_bool(&unknown, ccz_json_get(ccz_json_get(x, "tensor_shape"), "unknown_rank")) &&
          unknown);
    ccz_json_free(j);
    /* The layout of protobuf's printer. */
    static const char begin[] = "{\n\"model_spec\":{\n \"name\": \"echo model\",\n "
                                "\"signature_name\": \"\",\n \"version\": \"1\"\n}\n,\n"
                                "\"metadata\": {\"signature_def\": {\n \"signature_def\": {\n  "
                                "\"bfloat16\": {\n   \"inputs\": {\n"
                                "    \"x\": {\n     \"dtype\": \"DT_BFLOAT16\",\n     "
                                "\"tensor_shape\": {\n      \"dim\": [],\n";
    CHECK(strncmp(ccz_buf_str(&answer), begin, sizeof(begin) - 1) == 0);
    want_error(404, http("GET", "/v1/models/q/metadata", (struct ccz_span){0}),
               "Servable not found for request: Latest(q)");
}

/* ------------------------------------------------------------------------ forms */

static void test_row(void)
{
    start();
    want(200, post("{\"instances\": [[1.0, 2, -3e0], [0.25, 1e30, 0]]}"),
         "{\n    \"predictions\": [[1.0, 2.0, -3.0], [0.25, 1e30, 0.0]\n    ]\n}");
    want(200, post("{\"signature_name\":\"int32\",\"instances\":[7,-2147483648]}"),
         "{\n    \"predictions\": [7, -2147483648\n    ]\n}");
    want(200,
         post("{\"signature_name\":\"two\",\"instances\":[{\"b\":\"x\",\"a\":[1,2]},{\"a\":[3,4],"
              "\"b\":{\"b64\":\"eQ==\"}}]}"),
         "{\n    \"predictions\": [\n        {\n            \"a_out\": [1, 2],\n            "
         "\"b_out\": \"x\"\n        },\n"
         "        {\n            \"a_out\": [3, 4],\n            \"b_out\": \"y\"\n        }\n    "
         "]\n}");
    want(200, post("{\"signature_name\":\"blob\",\"instances\":[{\"b64\":\"AP8=\"},\"a\"]}"),
         "{\n    \"predictions\": [{\n            \"b64\": \"AP8=\"\n        }, {\n            "
         "\"b64\": \"YQ==\"\n        }\n    ]\n}");
}

static void test_column(void)
{
    start();
    want(200, post("{\"inputs\": [[1, 2, 3]]}"),
         "{\n    \"outputs\": [\n        [\n            1.0,\n            2.0,\n            3.0\n  "
         "      ]\n    ]\n}");
    want(200, post("{\"inputs\": {\"x\": [[1, 2, 3]], \"more\": 1}}"),
         "{\n    \"outputs\": [\n        [\n            1.0,\n            2.0,\n            3.0\n  "
         "      ]\n    ]\n}");
    want(200, post("{\"signature_name\":\"bool\",\"inputs\": true}"),
         "{\n    \"outputs\": true\n}");
    want(200, post("{\"signature_name\":\"string\",\"inputs\": {\"b64\":\"YQ==\"}}"),
         "{\n    \"outputs\": \"a\"\n}");
    want(200, post("{\"signature_name\":\"float\",\"inputs\": []}"), "{\n    \"outputs\": []\n}");
    want(200, post("{\"signature_name\":\"float\",\"inputs\": [[],[]]}"),
         "{\n    \"outputs\": [\n        [],\n        []\n    ]\n}");
    want(200, post("{\"signature_name\":\"two\",\"inputs\":{\"a\":[1],\"b\":\"q\"}}"),
         "{\n    \"outputs\": {\n        \"a_out\": [\n            1\n        ],\n        "
         "\"b_out\": \"q\"\n    }\n}");
}

/* Values of each type, through a scalar in column form. */
static void value(const char *type, const char *in, const char *out)
{
    char body[256], text[256];
    (void)snprintf(body, sizeof(body), "{\"signature_name\":\"%s\",\"inputs\":%s}", type, in);
    (void)snprintf(text, sizeof(text), "{\n    \"outputs\": %s\n}", out);
    want(200, post(body), text);
}

static void test_values(void)
{
    start();
    value("float", "0.1", "0.1");
    value("float", "16777217", "16777216.0"); /* not a float */
    value("float", "-0.0", "-0.0");
    value("float", "-0", "0.0");
    value("float", "1e39", "Infinity");
    value("float", "NaN", "NaN");
    value("float", "-Infinity", "-Infinity");
    value("float", "Inf", "Infinity");
    value("float", "3.4028234663852886e+38", "3.4028235e38");
    value("float", "18446744073709551616", "1.8446744e19"); /* 2^64: no integer any more */
    value("double", "0.1", "0.1");
    value("double", "123456789012345678", "1.2345678901234568e17");
    value("double", "2.2250738585072011e-308", "2.225073858507201e-308");
    value("double", "1.7976931348623157e308", "1.7976931348623157e308");
    value("double", "0.000000000000000000000000000000000000000000000000000000000000001", "1e-63");
    value("double", "9007199254740993.0", "9007199254740992.0"); /* a tie: to even */
    value("double", "1e-400", "0.0");
    value("int8", "-128", "-128");
    value("uint8", "255", "255");
    value("int16", "-32768", "-32768");
    value("int64", "-9223372036854775808", "-9223372036854775808");
    value("int64", "9223372036854775807", "9223372036854775807");
    value("uint32", "4294967295", "4294967295");
    value("uint64", "18446744073709551615", "18446744073709551615");
    value("bool", "false", "false");
    value("string", "\"\\u00e9\\ud83d\\ude00\\n\\\"\\/\"", "\"\xc3\xa9\xf0\x9f\x98\x80\\n\\\"/\"");
    value("string", "\"\"", "\"\"");
}

/* ------------------------------------------------------------------------ refusals */

static void refuse(const char *type, const char *in, const char *text)
{
    char body[512];
    (void)snprintf(body, sizeof(body), "{\"signature_name\":\"%s\",\"inputs\":%s}", type, in);
    want_error(400, post(body), text);
}

static void test_value_errors(void)
{
    start();
    refuse("float", "\"1\"", "JSON Value: \"1\" Type: String is not of expected type: float");
    refuse("float", "null", "JSON Value: null Type: Null is not of expected type: float");
    refuse("float", "[true]", "JSON Value: true Type: True is not of expected type: float");
    refuse("float", "[{\"b64\":\"YQ==\"}]",
           "JSON Value: {\n    \"b64\": \"YQ==\"\n} Type: Object is not of expected type: float");
    refuse("int32", "1.5", "JSON Value: 1.5 Type: Number is not of expected type: int32");
    refuse("int32", "1.0", "JSON Value: 1.0 Type: Number is not of expected type: int32");
    refuse("int32", "2147483648",
           "JSON Value: 2147483648 Type: Number is not of expected type: int32");
    refuse("int8", "128", "JSON Value: 128 Type: Number is not of expected type: int8");
    refuse("uint8", "-1", "JSON Value: -1 Type: Number is not of expected type: uint8");
    refuse("uint8", "256", "JSON Value: 256 Type: Number is not of expected type: uint8");
    refuse("uint64", "-1", "JSON Value: -1 Type: Number is not of expected type: uint64");
    refuse("int64", "9223372036854775808",
           "JSON Value: 9223372036854775808 Type: Number is not of expected type: int64");
    refuse("bool", "1", "JSON Value: 1 Type: Number is not of expected type: bool");
    refuse("string", "1", "JSON Value: 1 Type: Number is not of expected type: string");
    refuse("string", "[{\"b64\":1}]",
           "JSON Value: {\n    \"b64\": 1\n} not formatted correctly for base64 data");
    refuse("string", "[{\"b64\":\"YQ==\",\"x\":1}]",
           "JSON Value: {\n    \"b64\": \"YQ==\",\n    \"x\": 1\n} not formatted correctly for "
           "base64 data");
    refuse("string", "{\"b64\":\"_-==\"}", "Unable to base64 decode");
    refuse("float", "[[1,2],[3]]",
           "Encountered list at unexpected size: 1 at level: 1 expected size: 2");
    refuse("float", "[[1,2],[\"x\"]]",
           "Encountered list at unexpected size: 1 at level: 1 expected size: 2");
    refuse("float", "[[1,2],[3,4,5]]",
           "Encountered list at unexpected size: 3 at level: 1 expected size: 2");
    refuse("float", "[1,[2]]", "Encountered list at unexpected level: 1 expected < 1");
    refuse("float", "[[1],2]",
           "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2");
    refuse("float", "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "A tensor has at most 16 dimensions");
    want_error(501, post("{\"signature_name\":\"half\",\"inputs\":1}"),
               "Conversion of JSON Value: 1 to type: half");
    want_error(400, post("{\"signature_name\":\"half\",\"instances\":[1]}"),
               "Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: Conversion "
               "of JSON Value: 1 to type: half");
}

static void test_form_errors(void)
{
    start();
    want_error(400, post(""), "JSON Parse error: The document is empty");
    want_error(400, post("[1]"), "JSON Value: [1] Is not object");
    want_error(400, post("{}"), "Missing 'inputs' or 'instances' key");
    want_error(400, post("{\"signature_name\": 100 }"),
               "JSON Value: {\n    \"signature_name\": 100\n} not formatted correctly. "
               "'signature_name' key must be a string value.");
    want_error(400, post("{\"signature_name\": \"q\" }"),
               "Serving signature name: \"q\" not found in signature def");
    want_error(400, post("{\"signature_name\": \"none\" }"),
               "Failed to get input map for signature: none");
    want_error(400, post("{\"inputs\":1,\"instances\":[1]}"),
               "JSON Value: {\n    \"inputs\": 1,\n    \"instances\": [1]\n} Not formatted "
               "correctly expecting only one of "
               "'inputs' or 'instances' keys to exist ");
    want_error(400, post("{\"instances\":1}"),
               "JSON Value: {\n    \"instances\": 1\n} Expecting 'instances' to be an list/array");
    want_error(400, post("{\"instances\":[]}"),
               "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array");
    want_error(400, post("{\"instances\":[[1,2,3],{\"x\":[1,2,3]}]}"),
               "Expecting value/list but got object at item 1 of input list");
    want_error(400, post("{\"instances\":[{\"x\":[1,2,3]},[1,2,3]]}"),
               "Expecting object but got list at item 1 of input list");
    want_error(400, post("{\"instances\":[[1,2],[3]]}"),
               "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
               "Expecting tensor size: 2 but got: 1");
    want_error(400, post("{\"instances\":[[[1,2],[3,4]],[1,2,3,4]]}"),
               "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
               "Expecting shape [2,2] but got: [4]");
    want_error(400, post("{\"instances\":[[1,\"a\"]]}"),
               "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: JSON "
               "Value: \"a\" Type: String is "
               "not of expected type: float");
    want_error(400, post("{\"signature_name\":\"two\",\"instances\":[1]}"),
               "instances is a plain list, but expecting list of objects as multiple input tensors "
               "required as per "
               "tensorinfo_map");
    want_error(400, post("{\"signature_name\":\"two\",\"inputs\":[1]}"),
               "inputs is a plain value/list, but expecting an object as multiple input tensors "
               "required as per "
               "tensorinfo_map");
    want_error(400, post("{\"signature_name\":\"two\",\"inputs\":{\"a\":1}}"),
               "Missing named input: b in 'inputs' object.");
    want_error(400, post("{\"signature_name\":\"two\",\"instances\":[{\"a\":1}]}"),
               "Failed to process element: 0 of 'instances' list. JSON object: {\n    \"a\": 1\n} "
               "keys must be equal to: a,b");
    want_error(400,
               post("{\"signature_name\":\"two\",\"instances\":[{\"a\":1,\"a\":2,\"b\":\"\"}]}"),
               "Failed to process element: 0 of 'instances' list. JSON object: {\n    \"a\": 1,\n  "
               "  \"a\": 2,\n    \"b\": \"\"\n} "
               "keys must be equal to: a,b");
    want_error(400,
               post("{\"signature_name\":\"two\",\"instances\":[{\"a\":1,\"b\":\"\",\"c\":2}]}"),
               "Failed to process element: 0 key: c of 'instances' list. Error: INVALID_ARGUMENT: "
               "JSON object: does not have "
               "named input: c");
}

/* A default signature without inputs is not called by its name. */
static void test_no_inputs(void)
{
    start();
    struct model_build b;
    mb_begin(&b);
    mb_signature(&b, "serving_default");
    mb_signature_end(&b, "");
    struct ccz_model_cfg cfg = mb_end(&b);
    struct ccz_model *m = NULL;
    CHECK(ccz_model_load(&m, engine, &cfg, NULL) == CCZ_OK &&
          ccz_infer_publish(server, "bare", 1, &m, NULL) == CCZ_OK);
    ccz_buf_free(&b.pb);
    want_error(400, http("POST", "/v1/models/bare:predict", ccz_span_str("{\"inputs\":1}")),
               "Failed to get input map for signature: DEFAULT");
}

/* Outputs that have no row form. */
static void test_output_errors(void)
{
    start();
    want_error(400, post("{\"signature_name\":\"bfloat16\",\"instances\":[1]}"),
               "Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: Conversion "
               "of JSON Value: 1 to type: "
               "bfloat16");
    struct ccz_buf out;
    ccz_buf_init(&out, 1000);
    struct ccz_tensor t[2] = {
        {.name = "a", .dtype = CCZ_DT_FLOAT, .len = 1, .data = CCZ_SPAN("\0\0\0", 4)},
        {.name = "b",
         .dtype = CCZ_DT_HALF,
         .rank = 1,
         .dims = {2},
         .len = 2,
         .data = CCZ_SPAN("\0\0\0", 4)}};
    static const struct ccz_tensor_info names[2] = {{.name = "a"}, {.name = "b"}};
    struct ccz_signature sig = {.out = names, .out_len = 1};
    const struct ccz_infer_task task = {.req = {.sig = &sig}};
    struct ccz_run_status st;
    CHECK(cczi_json_outputs(&out, &st, &task, t, true) == CCZ_E_FORMAT);
    CHECK(strcmp(st.msg, "Tensor name: a has no shape information ") == 0);
    t[0].rank = 1;
    t[0].dims[0] = 1;
    sig.out_len = 2;
    CHECK(cczi_json_outputs(&out, &st, &task, t, true) == CCZ_E_FORMAT);
    CHECK(strcmp(st.msg, "Tensor name: b has inconsistent batch size: 2 expecting: 1") == 0);
    CHECK(cczi_json_outputs(&out, &st, &task, t, false) == CCZ_E_FORMAT);
    CHECK(strcmp(st.msg, "Failed to write JSON value for tensor type: half") == 0);
    sig.out_len = 0;
    CHECK(cczi_json_outputs(&out, &st, &task, t, false) == CCZ_E_FORMAT);
    CHECK(strcmp(st.msg, "Cannot convert empty tensor map to JSON") == 0);
    ccz_buf_free(&out);
}

/* ------------------------------------------------------------------------ JSON text */

static void test_parse_errors(void)
{
    start();
    static const struct {
        const char *text, *error;
        int at;
    } bad[] = {
        {" ", "The document is empty.", 1},
        {" }", "The document is empty.", 1},
        {"this is bad json", "Invalid value.", 1},
        {"{", "Missing a name for object member.", 1},
        {"{\"a\"}", "Missing a colon after a name of object member.", 4},
        {"{\"a\":}", "Invalid value.", 5},
        {"{\"a\":1", "Missing a comma or '}' after an object member.", 6},
        {"{\"a\":1,}", "Missing a name for object member.", 7},
        {"{\"a\":[1 2]}", "Missing a comma or ']' after an array element.", 8},
        {"{\"a\":[1,]}", "Invalid value.", 8},
        {"{\"a\":[1}", "Missing a comma or ']' after an array element.", 7},
        {"{\"a\":nul}", "Invalid value.", 8},
        {"{\"a\":01}", "Missing a comma or '}' after an object member.", 6},
        {"{\"a\":1.}", "Miss fraction part in number.", 7},
        {"{\"a\":1e}", "Miss exponent in number.", 7},
        {"{\"a\":-}", "Invalid value.", 6},
        {"{\"a\":+1}", "Invalid value.", 5},
        {"{\"a\":1e400}", "Number too big to be stored in double.", 5},
        {"{\"a\":\"x", "Missing a closing quotation mark in string.", 7},
        {"{\"a\":\"\n\"}", "Invalid escape character in string.", 6},
        {"{\"a\":\"\\x\"}", "Invalid escape character in string.", 6},
        {"{\"a\":\"\\u12g4\"}", "Incorrect hex digit after \\u escape in string.", 6},
        {"{\"a\":\"\\ud800\"}", "The surrogate pair in string is invalid.", 6},
        {"{\"a\":\"\\udc00\"}", "The surrogate pair in string is invalid.", 6},
        {"{\"a\":\"\\ud800\\u0041\"}", "The surrogate pair in string is invalid.", 6},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[128];
        (void)snprintf(text, sizeof(text), "JSON Parse error: %s at offset: %d", bad[i].error,
                       bad[i].at);
        want_error(400, post(bad[i].text), text);
    }
    char deep[CCZ_INFER_JSON_DEPTH_MAX * 2 + 32] = "{\"a\":";
    memset(deep + 5, '[', CCZ_INFER_JSON_DEPTH_MAX);
    CHECK(post(deep) == 400 && strstr(ccz_buf_str(&answer), "Nested too deeply."));
    /* What follows the first value is not looked at, as in TensorFlow Serving. */
    CHECK(post("{\"instances\":[[1,2,3]]} trailing") == 200);
    /* Cut at every byte: an error, never a read behind the text (the copy is exact). */
    static const char whole[] = "{\"signature_name\":\"two\",\"instances\":[{\"a\":[1,-2.5e3],"
                                "\"b\":\"\\u00e9\\ud83d\\ude00\"},null,"
                                "true,false,{\"b64\":\"YQ==\"},NaN,Infinity]}";
    for (size_t cut = 0; cut < sizeof(whole) - 1; cut++)
        CHECK(http("POST", PREDICT, CCZ_SPAN(whole, cut)) == 400);
}

/* The cursor's numbers against strtod(), and its values. */
static void test_numbers(void)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    uint64_t seed = 1;
    for (int i = 0; i < 20000; i++) {
        char text[64];
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        int digits = 1 + (int)(seed >> 60), exponent = (int)(seed >> 40 & 63) - 32;
        (void)snprintf(text, sizeof(text), "[%s%.*ge%d]", seed >> 39 & 1 ? "-" : "", digits,
                       (double)(seed >> 11) * 0x1p-40, exponent);
        char *e = strstr(text + 1, "e"), *second = e ? strstr(e + 1, "e") : NULL;
        if (second) /* printf chose an exponent itself */
            memcpy(second, "]", 2);
        struct cczi_json j = {
            .begin = (const uint8_t *)text, .p = (const uint8_t *)text, .c_locale = c};
        j.end = j.begin + strlen(text);
        struct cczi_json check = j;
        CHECK(cczi_json_skip(&check) && check.p == j.end);
        cczi_json_enter(&j);
        CHECK(cczi_json_more(&j, true));
        struct cczi_num n = cczi_json_num(&j);
        double want_value = strtod(text + 1, NULL);
        CHECK(memcmp(&n.real, &want_value, sizeof(double)) == 0 && *j.p == ']');
    }
    freelocale(c);
}

/* Lists that are not passed again, and numbers that are taken in one go, are answered as small ones are. */
static void test_large(void)
{
    enum { ROWS = 20000 };
    static const struct {
        size_t row;
        const char *text, *error;
    } cases[] = {
        {0, "[1,2,3]", NULL},
        {19999, "[1.5,\"x\",3]", "JSON Value: \"x\" Type: String is not of expected type: float"},
        {19999, "[1.5,2.5]", "Encountered list at unexpected size: 2 at level: 1 expected size: 3"},
        {100, "[1,2,3,4]", "Encountered list at unexpected size: 4 at level: 1 expected size: 3"},
        {100, "[1,2,[3]]", "Encountered list at unexpected level: 2 expected < 2"},
        {19999, "7",
         "JSON Value: 7 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"},
    };
    start();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CCZ_AUTO_BUF body;
        ccz_buf_init(&body, 1 << 20);
        ccz_buf_put_str(&body, "{\"signature_name\":\"float\",\"inputs\":[");
        for (size_t k = 0; k < ROWS; k++)
            ccz_buf_printf(&body, "%s%s", k ? ", " : "",
                           k == cases[i].row ? cases[i].text : "[0.25, -1,NaN]");
        ccz_buf_put_str(&body, "]}");
        if (cases[i].error) {
            want_error(400, http("POST", PREDICT, ccz_buf_span(&body)), cases[i].error);
            continue;
        }
        CHECK(http("POST", PREDICT, ccz_buf_span(&body)) == 200);
        const char *at = ccz_buf_str(&answer);
        CHECK(strstr(at, "1.0") && (at = strstr(at, "2.0")) && strstr(at, "3.0"));
        size_t n = 0;
        while ((at = strstr(at + 1, "NaN")))
            n++;
        CHECK(n == ROWS - 1);
    }
}

/* Messages show at most about 256 bytes of a value. */
static void test_debug_limit(void)
{
    start();
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, 1 << 16);
    ccz_buf_put_str(&body, "{\"instances\":");
    for (int i = 0; i < 2000; i++)
        ccz_buf_printf(&body, "%s%d", i ? "," : "{\"a\":[", i);
    ccz_buf_put_str(&body, "]}}");
    CHECK(http("POST", PREDICT, ccz_buf_span(&body)) == 400);
    CHECK(answer.size < 400 &&
          strstr(ccz_buf_str(&answer), "Expecting 'instances' to be an list/array"));
    ccz_buf_clear(&body); /* one long string: the message is cut as a whole */
    ccz_buf_put_str(&body, "{\"instances\":\"");
    for (int i = 0; i < 2000; i++)
        ccz_buf_put_str(&body, "\\u0041a");
    ccz_buf_put_str(&body, "\"}");
    CHECK(http("POST", PREDICT, ccz_buf_span(&body)) == 400 &&
          strstr(ccz_buf_str(&answer), "...TRUNCATED"));
}

static const struct ccz_test tests[] = {
    {"rest.paths", test_paths},
    {"rest.status", test_status},
    {"rest.metadata", test_metadata},
    {"rest.row", test_row},
    {"rest.column", test_column},
    {"rest.values", test_values},
    {"rest.value_errors", test_value_errors},
    {"rest.form_errors", test_form_errors},
    {"rest.no_inputs", test_no_inputs},
    {"rest.output_errors", test_output_errors},
    {"rest.parse_errors", test_parse_errors},
    {"rest.numbers", test_numbers},
    {"rest.large", test_large},
    {"rest.debug_limit", test_debug_limit},
};

int main(int argc, char **argv)
{
    int rc = ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    ccz_buf_free(&answer);
    ccz_infer_free(server);
    ccz_engine_free(engine);
    return rc;
}
