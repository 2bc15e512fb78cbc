/* SPDX-License-Identifier: Apache-2.0 */
/* REST :classify and :regress: tf.Examples out of JSON, results as JSON, every error text. */
#define _DEFAULT_SOURCE
#include "infer_kit.h"

/* Begins a call; NULL = it was answered at once: status and body are there. */
static struct ccz_infer_task *begin(struct ccz_infer *s, struct ccz_infer_http_answer *a,
                                    struct ccz_buf *body, const char *verb, const char *text)
{
    char path[64];
    struct ccz_infer_task *t = NULL;
    (void)snprintf(path, sizeof(path), "/v1/models/m:%s", verb);
    ccz_buf_free(body);
    ccz_buf_init(body, 1 << 16);
    ccz_infer_begin_rest(
        &t, body, a, s,
        &(struct ccz_infer_http){.method = "POST", .path = path, .body = ccz_span_str(text)});
    return t;
}

static void refuse(struct ccz_infer *s, const char *verb, const char *text, unsigned status,
                   const char *want)
{
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, 1);
    struct ccz_infer_http_answer a;
    struct ccz_infer_task *t = begin(s, &a, &body, verb, text);
    struct ccz_json *j = NULL;
    CHECK(!t && ccz_json_parse(&j, ccz_buf_span(&body), NULL) == CCZ_OK);
    const char *got = ccz_json_str(ccz_json_get(j, "error"));
    if (a.status != status || !got || strcmp(got, want) != 0)
        fprintf(stderr, "got  %u %s\nwant %u %s\n", a.status, got ? got : "", status, want);
    CHECK(a.status == status && got && strcmp(got, want) == 0);
    ccz_json_free(j);
}

/* ------------------------------------------------------------------------ examples */

/* What an example says of one feature, as text: "b:a,c" bytes, "f:1.5" floats, "i:1,2" integers, "-" nothing at all. */
static void show(struct ccz_buf *out, struct ccz_span example, const char *feature)
{
    struct ccz_rd r = ccz_rd_from(example), m, l, v;
    struct ccz_pb_field f;
    struct ccz_span key, value, last = {0};
    bool there = false;
    while (ccz_pb_next(&f, &r)) /* Example {1 Features {1 map}}; merged messages repeat it */
        for (m = ccz_rd_from(f.bytes); ccz_pb_next(&f, &m);) {
            CHECK(f.number == 1 && cczi_map_entry(&key, &value, f.bytes));
            if (!ccz_span_eq(key, ccz_span_str(feature)))
                continue;
            last = value;
            there = true;
        }
    CHECK(!r.bad);
    ccz_buf_put_str(out, there ? "" : "-");
    for (l = ccz_rd_from(last); ccz_pb_next(&f, &l);) {
        const uint32_t kind = f.number;
        CHECK(kind >= 1 && kind <= 3 && f.wire == CCZ_PB_LEN);
        ccz_buf_put_str(out, kind == 1 ? "b:" : (kind == 2 ? "f:" : "i:"));
        v = ccz_rd_from(f.bytes);
        for (bool first = true; ccz_pb_next(&f, &v); first = false) {
            ccz_buf_put_str(out, first ? "" : ",");
            if (kind == 1)
                ccz_buf_put_span(out, f.bytes);
            else if (kind == 2)
                ccz_buf_printf(out, "%g", (double)ccz_pb_as_float(f.num));
            else
                ccz_buf_printf(out, "%lld", (long long)f.num);
        }
        CHECK(!v.bad);
    }
}

/* Feature "a" of the first example. */
static void want_feature(struct ccz_infer *s, const char *json, const char *want)
{
    CCZ_AUTO_BUF body, text;
    char request[512];
    ccz_buf_init(&body, 1);
    ccz_buf_init(&text, 4096);
    struct ccz_infer_http_answer a;
    (void)snprintf(request, sizeof(request),
                   "{\"signature_name\":\"regress\",\"examples\":[{\"a\":%s}]}", json);
    CCZ_AUTO(ccz_infer_task) t = begin(s, &a, &body, "regress", request);
    CHECK(t && ccz_infer_task_info(t)->req->in[0].len == 1);
    show(&text, ccz_infer_task_info(t)->req->in[0].strings[0], "a");
    if (strcmp(ccz_buf_str(&text), want) != 0)
        fprintf(stderr, "%s\ngot  %s\nwant %s\n", json, ccz_buf_str(&text), want);
    CHECK(strcmp(ccz_buf_str(&text), want) == 0);
}

static void test_features(void)
{
    CCZ_AUTO(ccz_infer) s = kit_server(NULL);
    want_feature(s, "1", "i:1");
    want_feature(s, "-9223372036854775808", "i:-9223372036854775808");
    want_feature(s, "9223372036854775807", "i:9223372036854775807");
    want_feature(s, "[1,2,-3]", "i:1,2,-3");
    want_feature(s, "true", "i:1");
    want_feature(s, "[7,false,true]", "i:7,0,1");
    want_feature(s, "1.5", "f:1.5");
    want_feature(s, "[1.0,2e0]", "f:1,2");
    want_feature(s, "18446744073709551616", "f:1.84467e+19"); /* 2^64 is no integer any more */
    want_feature(s, "NaN", "f:nan");
    want_feature(s, "\"x\\u00e9\"", "b:x\xc3\xa9");
    want_feature(s, "[\"x\",{\"b64\":\"eXo=\"},\"\"]", "b:x,yz,");
    want_feature(s, "[]", "");
    want_feature(s, "1,\"a\":\"later\"",
                 "b:later"); /* of two features with one name the later counts */
}

/* The context stands in each example, unless it has the feature itself. */
static void test_context(void)
{
    CCZ_AUTO(ccz_infer) s = kit_server(NULL);
    CCZ_AUTO_BUF body, text;
    ccz_buf_init(&body, 1);
    ccz_buf_init(&text, 4096);
    struct ccz_infer_http_answer a;
    CCZ_AUTO(ccz_infer_task)
    t = begin(s, &a, &body, "classify",
              "{\"signature_name\":\"classify\",\"context\":{\"c\":1,\"d\":\"x\"},"
              "\"examples\":[{\"e\":2.5},{\"c\":[8,9]},{}]}");
    CHECK(t && ccz_infer_task_info(t)->req->in[0].len == 3 &&
          strcmp(ccz_infer_task_info(t)->api, "Classify") == 0);
    for (size_t i = 0; i < 3; i++) {
        static const char *const names[] = {"c", "d", "e"};
        for (int k = 0; k < 3; k++) {
            show(&text, ccz_infer_task_info(t)->req->in[0].strings[i], names[k]);
            ccz_buf_put_str(&text, ";");
        }
    }
    CHECK(strcmp(ccz_buf_str(&text), "i:1;b:x;f:2.5;i:8,9;b:x;-;i:1;b:x;-;") == 0);
}

static void test_feature_errors(void)
{
    CCZ_AUTO(ccz_infer) s = kit_server(NULL);
    static const struct {
        const char *value, *want;
    } cases[] = {
        {"null", "Feature: a has element with unexpected JSON type: Null"},
        {"[[1]]", "Feature: a has element with unexpected JSON type: Array"},
        {"{}", "Feature: a has element with unexpected JSON type: Object"},
        {"{\"b64\":1}", "Feature: a has element with unexpected JSON type: Object"},
        {"{\"b64\":\"eQ==\",\"c\":1}", "Feature: a has element with unexpected JSON type: Object"},
        {"{\"b64\":\"e\"}", "Unable to base64 decode"},
        {"9223372036854775808", "Feature: a has uint64_t element. Only int64_t is supported."},
        {"[1,1.5]", "Unexpected element type in feature: a expecting type: int64"},
        {"[1.5,1]", "Unexpected element type in feature: a expecting type: float"},
        {"[1.5,true]", "Unexpected element type in feature: a expecting type: float"},
        {"[\"x\",1]", "Unexpected element type in feature: a expecting type: bytes"},
        {"[true,\"x\"]", "Unexpected element type in feature: a expecting type: int64"},
        {"[1,{\"b64\":\"eQ==\"}]", "Unexpected element type in feature: a expecting type: int64"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[256];
        (void)snprintf(text, sizeof(text), "{\"examples\":[{\"a\":%s}]}", cases[i].value);
        refuse(s, "classify", text, 400, cases[i].want);
        (void)snprintf(text, sizeof(text), "{\"context\":{\"a\":%s},\"examples\":[{}]}",
                       cases[i].value);
        refuse(s, "regress", text, 400, cases[i].want);
    }
    refuse(s, "classify", "{\"examples\":[1]}", 400,
           "Example must be JSON object but got JSON Number");
    refuse(s, "classify", "{\"context\":[],\"examples\":[{}]}", 400,
           "Example must be JSON object but got JSON Array");
    refuse(s, "classify", "{}", 400,
           "JSON Value: {} When method is classify, key 'examples' is expected and was not found");
    refuse(s, "regress", "{\"examples\":{}}", 400,
           "JSON Value: {\n    \"examples\": {}\n} Expecting 'examples' value to be an list/array");
    refuse(s, "regress", "{\"examples\":[]}", 400,
           "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array");
    refuse(s, "classify", "", 400, "JSON Parse error: The document is empty");
    refuse(s, "classify", "{\"examples\":[{\"a\":1}", 400,
           "JSON Parse error: Missing a comma or ']' after an array element. at offset: 20");
    refuse(s, "classify", "{\"signature_name\":1,\"examples\":[{}]}", 400,
           "JSON Value: {\n    \"signature_name\": 1,\n    \"examples\": [{}]\n} not formatted "
           "correctly. 'signature_name' key must be a string value.");
    refuse(s, "classify", "{\"signature_name\":\"none\",\"examples\":[{}]}", 400,
           "No signature was found with the name: none");
    refuse(s, "regress", "{\"signature_name\":\"classify\",\"examples\":[{}]}", 400,
           "Expected one output Tensor.");
    CHECK(ccz_infer_remove(s, "m", 3, NULL) == CCZ_OK);
    refuse(s, "regress", "{\"examples\":[{}]}", 404, "Servable not found for request: Latest(m)");
    refuse(s, "regress", "{\"examples\":[null]}", 400, /* what is read first is refused first */
           "Example must be JSON object but got JSON Null");
}

/* ------------------------------------------------------------------------ results */

static void want_results(struct ccz_infer *s, const char *verb, const char *signature,
                         const struct ccz_tensor *out, size_t len, unsigned status,
                         const char *want)
{
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, 1);
    char request[128];
    struct ccz_infer_http_answer a;
    (void)snprintf(request, sizeof(request), "{\"signature_name\":\"%s\",\"examples\":[{},{}]}",
                   signature);
    CCZ_AUTO(ccz_infer_task) t = begin(s, &a, &body, verb, request);
    CHECK(t);
    ccz_infer_answer_rest(&body, &a, t, out, len);
    if (a.status != status || strcmp(ccz_buf_str(&body), want) != 0)
        fprintf(stderr, "got  %u %s\nwant %u %s\n", a.status, ccz_buf_str(&body), status, want);
    CHECK(a.status == status && strcmp(ccz_buf_str(&body), want) == 0 &&
          strcmp(a.content_type, "application/json") == 0);
}

static void test_results(void)
{
    CCZ_AUTO(ccz_infer) s = kit_server(NULL);
    static const float f[4] = {0.1f, 2, -1e-7f, 1e30f};
    const struct ccz_span w[4] = {ccz_span_str("a\""), ccz_span_str("b"), {0}, ccz_span_str("d")};
    const struct ccz_tensor both[2] = {kit_strings(w, 2, 2, 2), kit_floats(f, 2, 2, 2)};
    want_results(s, "classify", "classify", both, 2, 200,
                 "{\n    \"results\": [[[\"a\\\"\", 0.1], [\"b\", 2.0]], [[\"\", -1e-7], [\"d\", "
                 "1e30]]\n    ]\n}");
    want_results(
        s, "classify", "scores", &both[1], 1, 200,
        "{\n    \"results\": [[[\"\", 0.1], [\"\", 2.0]], [[\"\", -1e-7], [\"\", 1e30]]\n    "
        "]\n}");
    want_results(s, "classify", "classes", &both[0], 1, 200,
                 "{\n    \"results\": [[[\"a\\\"\", 0.0], [\"b\", 0.0]], [[\"\", 0.0], [\"d\", "
                 "0.0]]\n    ]\n}");
    const struct ccz_tensor value = kit_floats(f, 1, 2, 0);
    want_results(s, "regress", "regress", &value, 1, 200, "{\n    \"results\": [0.1, 2.0]\n}");
    const struct ccz_tensor wide = kit_floats(f, 1, 4, 0);
    want_results(
        s, "regress", "regress", &wide, 1, 400,
        "{\n    \"error\": \"Input batch size did not match output batch size: 2 vs. 4\"\n}");
}

/* Every cut is refused; a limit on the memory of a call holds. */
static void test_bounds(void)
{
    static const char whole[] =
        "{\"signature_name\":\"classify\",\"context\":{\"c\":[1,2]},\"examples\":[{\"e\":{\"b64\":"
        "\"eXo=\"}},{\"f\":[1.5,2.5],\"g\":\"\\u00e9\"}]}";
    CCZ_AUTO(ccz_infer) s = kit_server(NULL);
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, 1 << 16);
    struct ccz_infer_http_answer a;
    for (size_t cut = 0; cut < sizeof(whole) - 1; cut++) {
        uint8_t *copy = malloc(cut + 1);
        struct ccz_infer_task *t = NULL;
        CHECK(copy);
        memcpy(copy, whole, cut);
        ccz_buf_clear(&body);
        ccz_infer_begin_rest(&t, &body, &a, s,
                             &(struct ccz_infer_http){.method = "POST",
                                                      .path = "/v1/models/m:classify",
                                                      .body = CCZ_SPAN(copy, cut)});
        CHECK(!t && a.status == 400);
        free(copy);
    }
    struct ccz_infer_task *t = begin(s, &a, &body, "classify", whole);
    CHECK(t);
    ccz_infer_task_free(t);
    for (size_t max = 1; max < 400; max += 20) { /* as many bytes as they may take, and fewer */
        ccz_infer_configure(s, &(struct ccz_infer_cfg){.input_size_max = max});
        t = begin(s, &a, &body, "classify", whole);
        CHECK(t || a.status == 429);
        ccz_infer_task_free(t);
    }
}

static const struct ccz_test tests[] = {
    {"rest_heads.features", test_features},     {"rest_heads.context", test_context},
    {"rest_heads.errors", test_feature_errors}, {"rest_heads.results", test_results},
    {"rest_heads.bounds", test_bounds},
};

int main(int argc, char **argv)
{
    int rc = ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    ccz_engine_free(kit_engine);
    return rc;
}
