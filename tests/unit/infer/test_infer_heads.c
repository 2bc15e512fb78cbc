/* SPDX-License-Identifier: Apache-2.0 */
/* Classify, Regress, MultiInference over gRPC: every answer and every refusal. The runs are done by the tests. */
#define _DEFAULT_SOURCE
#include "infer_kit.h"

static const float four[4] = {0.5f, 0, -1.25f, 2};

/* Answers a task and gives the response. */
static struct ccz_run_status finish(struct ccz_buf *response, struct ccz_infer_task *t,
                                    const struct ccz_tensor *out, size_t len)
{
    struct ccz_run_status st;
    ccz_buf_free(response);
    ccz_buf_init(response, 1 << 16);
    ccz_infer_answer_grpc(response, &st, t, out, len);
    CHECK(st.code == CCZ_RUN_OK || response->size == 0);
    return st;
}

static struct ccz_infer_task *begin(struct ccz_infer *s, const char *path, struct ccz_buf *req,
                                    const char *signature)
{
    ccz_buf_free(req);
    ccz_buf_init(req, 1 << 16);
    kit_spec(req, "m", signature);
    kit_input(req, NULL);
    return kit_begin(s, path, req);
}

/* The bytes that protobuf's C++ writes, for the parts that have one form only. */
static void want_result(const struct ccz_buf *response, const void *bytes, size_t size)
{
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(response));
    struct ccz_pb_field f;
    CCZ_AUTO_BUF flat; /* lengths as short as they can be */
    ccz_buf_init(&flat, 1 << 16);
    CHECK(ccz_pb_next(&f, &r) && f.number == 1 && f.wire == CCZ_PB_LEN);
    struct ccz_rd all = ccz_rd_from(f.bytes);
    while (ccz_pb_next(&f, &all)) {
        CHECK(f.number == 1 && f.wire == CCZ_PB_LEN);
        ccz_pb_put_bytes(&flat, 1, f.bytes);
    }
    CHECK(!all.bad && ccz_span_eq(ccz_buf_span(&flat), CCZ_SPAN(bytes, size)));
    /* model_spec with the resolved version and signature */
    struct cczi_spec spec;
    CHECK(ccz_pb_next(&f, &r) && f.number == 2 && cczi_spec_parse(&spec, f.bytes) &&
          ccz_rd_done(&r));
    CHECK(ccz_span_eq(spec.name, ccz_span_str("m")) && spec.has_version && spec.version == 3 &&
          spec.signature.size > 0);
}

static void test_classify(void)
{
    CCZ_AUTO(ccz_infer) s = kit_server(NULL);
    CCZ_AUTO_BUF req, resp;
    ccz_buf_init(&req, 1 << 16);
    ccz_buf_init(&resp, 1 << 16);
    const struct ccz_span words[4] = {
        ccz_span_str("cat"), ccz_span_str("dog"), {0}, ccz_span_str("\xff")};
    const struct ccz_tensor both[2] = {kit_strings(words, 2, 2, 2), kit_floats(four, 2, 2, 2)};
    struct ccz_infer_task *t = begin(s, CCZ_INFER_PATH_CLASSIFY, &req, "classify");
    const struct ccz_infer_task_info *info = ccz_infer_task_info(t);
    CHECK(strcmp(info->model, "m") == 0 && info->version == 3 &&
          strcmp(info->api, "Classify") == 0 && !info->rest && info->req->timeout_ms == 77);
    CHECK(info->req->in_len == 1 && strcmp(info->req->in[0].name, "inputs") == 0 &&
          info->req->in[0].dtype == CCZ_DT_STRING && info->req->in[0].rank == 1 &&
          info->req->in[0].len == 2 &&
          ccz_span_eq(info->req->in[0].strings[0], ccz_span_str("one")));
    CHECK(info->req->fetch_len == 2 && info->req->fetch[0] == 0 && info->req->fetch[1] == 1);
    CHECK(finish(&resp, t, both, 2).code == CCZ_RUN_OK);
    static const char want[] = "\x0a\x13"
                               "\x0a\x0a\x0a\x03"
                               "cat\x15\0\0\0\x3f"
                               "\x0a\x05\x0a\x03"
                               "dog"
                               "\x0a\x11"
                               "\x0a\x05\x15\0\0\xa0\xbf"
                               "\x0a\x08\x0a\x01\xff\x15\0\0\0\x40";
    want_result(&resp, want, sizeof(want) - 1);
    ccz_infer_task_free(t);

    t = begin(s, CCZ_INFER_PATH_CLASSIFY, &req, "scores"); /* one output of the two */
    CHECK(ccz_infer_task_info(t)->req->fetch_len == 1);
    const struct ccz_tensor scores = kit_floats(four, 2, 2, 1);
    CHECK(finish(&resp, t, &scores, 1).code == CCZ_RUN_OK);
    want_result(&resp, "\x0a\x07\x0a\x05\x15\0\0\0\x3f\x0a\x02\x0a\x00", 13);
    ccz_infer_task_free(t);
    t = begin(s, CCZ_INFER_PATH_CLASSIFY, &req, "classes");
    const struct ccz_tensor classes = kit_strings(words, 2, 2, 0);
    CHECK(finish(&resp, t, &classes, 1).code == CCZ_RUN_OK);
    want_result(&resp, "\x0a\x00\x0a\x00", 4); /* no classes at all */
    ccz_infer_task_free(t);
}

/* One run that is answered with outputs that do not fit. */
static void misfit(struct ccz_infer *s, const char *path, const char *signature,
                   const struct ccz_tensor *out, size_t len, enum ccz_run_code code,
                   const char *text)
{
    CCZ_AUTO_BUF req, resp;
    ccz_buf_init(&req, 1 << 16);
    ccz_buf_init(&resp, 1 << 16);
    CCZ_AUTO(ccz_infer_task) t = begin(s, path, &req, signature);
    const struct ccz_run_status st = finish(&resp, t, out, len);
    want_status(&st, code, text);
}
#define MISFIT(path, signature, text, ...)                                                         \
    misfit(s, path, signature, (const struct ccz_tensor[]){__VA_ARGS__},                           \
           sizeof((const struct ccz_tensor[]){__VA_ARGS__}) / sizeof(struct ccz_tensor),           \
           CCZ_RUN_INVALID_ARGUMENT, text)

static void test_classify_misfits(void)
{
    CCZ_AUTO(ccz_infer) s = kit_server(NULL);
    const struct ccz_span words[4] = {{0}, {0}, {0}, {0}};
    const char *const c = CCZ_INFER_PATH_CLASSIFY;
    MISFIT(c, "scores", "Expected Tensor shape: [batch_size num_classes] but got [2]",
           kit_floats(four, 1, 2, 0));
    MISFIT(c, "scores", "Expected Tensor shape: [batch_size num_classes] but got []",
           kit_floats(four, 0, 1, 0));
    MISFIT(c, "scores", "Expected scores Tensor of DT_FLOAT. Got: DT_STRING",
           kit_strings(words, 2, 2, 1));
    MISFIT(c, "scores", "Expected scores output batch size of 2. Got: 4",
           kit_floats(four, 2, 4, 1));
    MISFIT(c, "classes", "Expected Tensor shape: [batch_size num_classes] but got [4]",
           kit_strings(words, 1, 4, 0));
    MISFIT(c, "classes", "Expected classes Tensor of DT_STRING. Got: DT_FLOAT",
           kit_floats(four, 2, 2, 2));
    MISFIT(c, "classes", "Expected classes output batch size of 2. Got: 1",
           kit_strings(words, 2, 1, 2));
    MISFIT(c, "classify", "Tensors class and score should match in dim_size(1). Got 2 vs. 1",
           kit_strings(words, 2, 2, 2), kit_floats(four, 2, 2, 1));
    misfit(s, c, "classify", NULL, 0, CCZ_RUN_INTERNAL, "the run gave 0 outputs instead of 2");
}

static void test_regress(void)
{
    CCZ_AUTO(ccz_infer) s = kit_server(NULL);
    CCZ_AUTO_BUF req, resp;
    ccz_buf_init(&req, 1 << 16);
    ccz_buf_init(&resp, 1 << 16);
    for (int rank = 1; rank <= 2; rank++) {
        struct ccz_infer_task *t = begin(s, CCZ_INFER_PATH_REGRESS, &req, "regress");
        CHECK(strcmp(ccz_infer_task_info(t)->api, "Regress") == 0);
        const struct ccz_tensor out = kit_floats(four, rank, 2, 1);
        CHECK(finish(&resp, t, &out, 1).code == CCZ_RUN_OK);
        want_result(&resp, "\x0a\x05\x0d\0\0\0\x3f\x0a\x00", 9);
        ccz_infer_task_free(t);
    }
    const char *const r = CCZ_INFER_PATH_REGRESS;
    const struct ccz_span words[4] = {{0}, {0}, {0}, {0}};
    MISFIT(
        r, "regress",
        "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,2]",
        kit_floats(four, 2, 2, 2));
    MISFIT(r, "regress", "Input batch size did not match output batch size: 2 vs. 4",
           kit_floats(four, 1, 4, 0));
    MISFIT(r, "regress", "Expected output Tensor of DT_FLOAT.  Got: DT_STRING",
           kit_strings(words, 1, 2, 0));
}

/* ------------------------------------------------------------------------ what is refused before the run */

static void refuse(struct ccz_infer *s, const char *path, const char *signature,
                   enum ccz_run_code code, const char *text)
{
    CCZ_AUTO_BUF req;
    ccz_buf_init(&req, 1 << 16);
    kit_spec(&req, "m", signature);
    kit_input(&req, NULL);
    kit_refuse(s, path, &req, code, text);
}

static void test_head_refusals(void)
{
    CCZ_AUTO(ccz_infer) s = kit_server(NULL);
    static const char *const paths[] = {CCZ_INFER_PATH_CLASSIFY, CCZ_INFER_PATH_REGRESS};
    for (int i = 0; i < 2; i++) {
        CCZ_AUTO_BUF req;
        ccz_buf_init(&req, 1 << 16);
        kit_refuse(s, paths[i], &req, CCZ_RUN_INVALID_ARGUMENT, "Missing ModelSpec");
        kit_spec(&req, NULL, NULL);
        kit_refuse(s, paths[i], &req, CCZ_RUN_INVALID_ARGUMENT, "ModelSpec has no name specified.");
        ccz_buf_clear(&req);
        kit_spec(&req, "q", NULL);
        kit_refuse(s, paths[i], &req, CCZ_RUN_NOT_FOUND,
                   "Servable not found for request: Latest(q)");
        ccz_buf_clear(&req);
        kit_spec(&req, "m", i ? "regress" : "classify");
        kit_refuse(s, paths[i], &req, CCZ_RUN_INVALID_ARGUMENT, "Input is empty.");
        ccz_pb_put_bytes(&req, 2, ccz_span_str("\x12\x04\x12\x02xx")); /* a context alone */
        kit_refuse(s, paths[i], &req, CCZ_RUN_INVALID_ARGUMENT, "Input is empty.");
        ccz_pb_put_bytes(&req, 2, ccz_span_str("\x0a\x03\x0a\x05"));
        kit_refuse(s, paths[i], &req, CCZ_RUN_INTERNAL, "Failed to parse the request message");
        refuse(s, paths[i], "none", CCZ_RUN_INVALID_ARGUMENT,
               "No signature was found with the name: none");
        refuse(s, paths[i], NULL, CCZ_RUN_INVALID_ARGUMENT, "Expected one input Tensor.");
    }
    refuse(s, paths[0], "three", CCZ_RUN_INVALID_ARGUMENT,
           "Expected one or two output Tensors, found 3");
    refuse(s, paths[1], "classify", CCZ_RUN_INVALID_ARGUMENT, "Expected one output Tensor.");
    static const char other[] =
        "inputs {\n  key: \"in\"\n  value {\n    name: \"examples:0\"\n    dtype: DT_STRING\n"
        "    tensor_shape {\n      dim {\n        size: -1\n      }\n    }\n  }\n}\n"
        "outputs {\n  key: \"scores\"\n  value {\n    name: \"examples:0\"\n    dtype: DT_STRING\n"
        "    tensor_shape {\n      dim {\n        size: -1\n      }\n    }\n  }\n}\n"
        "method_name: \"tensorflow/serving/classify\"\n";
    char text[1024];
    (void)snprintf(text, sizeof(text), "No classification inputs found in SignatureDef: %s", other);
    refuse(s, paths[0], "other_input", CCZ_RUN_INVALID_ARGUMENT, text);
    (void)snprintf(text, sizeof(text), "No regression inputs found in SignatureDef: %s", other);
    refuse(s, paths[1], "other_input", CCZ_RUN_INVALID_ARGUMENT, text);
    static const char tail[] =
        "inputs {\n  key: \"inputs\"\n  value {\n    name: \"examples:0\"\n    dtype: DT_STRING\n"
        "    tensor_shape {\n      dim {\n        size: -1\n      }\n    }\n  }\n}\n"
        "outputs {\n  key: \"logits\"\n  value {\n    name: \"examples:0\"\n    dtype: DT_STRING\n"
        "    tensor_shape {\n      dim {\n        size: -1\n      }\n    }\n  }\n}\n"
        "method_name: \"tensorflow/serving/classify\"\n";
    (void)snprintf(text, sizeof(text),
                   "Expected classification signature outputs to contain at least one of "
                   "\"classes\" or \"scores\". Signature was: %s",
                   tail);
    refuse(s, paths[0], "other_output", CCZ_RUN_INVALID_ARGUMENT, text);
    (void)snprintf(text, sizeof(text), "No regression outputs found in SignatureDef: %s", tail);
    refuse(s, paths[1], "other_output", CCZ_RUN_INVALID_ARGUMENT, text);
}

/* --enable_signature_method_name_check */
static void test_method_names(void)
{
    CCZ_AUTO(ccz_infer) s = kit_server(&(struct ccz_infer_cfg){.method_name_check = true});
    CCZ_AUTO_BUF req;
    ccz_buf_init(&req, 1 << 16);
    refuse(s, CCZ_INFER_PATH_CLASSIFY, "regress", CCZ_RUN_INVALID_ARGUMENT,
           "Expected classification signature method_name to be tensorflow/serving/classify. Was: "
           "tensorflow/serving/regress");
    refuse(s, CCZ_INFER_PATH_REGRESS, "scores", CCZ_RUN_INVALID_ARGUMENT,
           "Expected regression signature method_name to be tensorflow/serving/regress. Was: "
           "tensorflow/serving/classify");
    ccz_infer_task_free(begin(s, CCZ_INFER_PATH_CLASSIFY, &req, "scores"));
    ccz_infer_task_free(begin(s, CCZ_INFER_PATH_REGRESS, &req, "regress"));
    ccz_buf_clear(&req);
    kit_spec(&req, "m", NULL);
    kit_refuse(
        s, CCZ_INFER_PATH_PREDICT, &req, CCZ_RUN_INTERNAL,
        "Expected prediction signature method_name to be one of {tensorflow/serving/predict, "
        "tensorflow/serving/classify, tensorflow/serving/regress}. Was: my/method");
}

/* The context stands before each example: one message behind another is the two merged. */
static void test_context(void)
{
    CCZ_AUTO(ccz_infer) s = kit_server(NULL);
    CCZ_AUTO_BUF req;
    ccz_buf_init(&req, 1 << 16);
    kit_spec(&req, "m", "scores");
    kit_input(&req, "ctx-");
    struct ccz_infer_task *t = kit_begin(s, CCZ_INFER_PATH_CLASSIFY, &req);
    const struct ccz_tensor *in = ccz_infer_task_info(t)->req->in;
    CHECK(in->len == 2 && ccz_span_eq(in->strings[0], ccz_span_str("ctx-one")) &&
          ccz_span_eq(in->strings[1], ccz_span_str("ctx-")));
    ccz_infer_task_free(t);
    /* Many examples behind a long context are more than they look. */
    ccz_infer_configure(s, &(struct ccz_infer_cfg){.input_size_max = 4096});
    ccz_buf_clear(&req);
    kit_spec(&req, "m", "scores");
    size_t input = ccz_pb_open(&req, 2), list = ccz_pb_open(&req, 2),
           context = ccz_pb_open(&req, 2);
    CHECK(ccz_buf_extend(&req, 1000));
    ccz_pb_close(&req, context);
    for (int i = 0; i < 10; i++)
        ccz_pb_put_str(&req, 1, "");
    ccz_pb_close(&req, list);
    ccz_pb_close(&req, input);
    kit_refuse(s, CCZ_INFER_PATH_CLASSIFY, &req, CCZ_RUN_RESOURCE_EXHAUSTED,
               "the examples are larger than the server allows");
}

/* Every cut of a good request is refused or lacks what was cut. */
static void test_truncated(void)
{
    static const char *const paths[] = {CCZ_INFER_PATH_CLASSIFY, CCZ_INFER_PATH_REGRESS,
                                        CCZ_INFER_PATH_MULTI};
    CCZ_AUTO(ccz_infer) s = kit_server(NULL);
    for (int i = 0; i < 3; i++) {
        CCZ_AUTO_BUF req, resp;
        ccz_buf_init(&req, 1 << 16);
        ccz_buf_init(&resp, 1 << 16);
        size_t task = i == 2 ? ccz_pb_open(&req, 1) : 0;
        kit_spec(&req, "m", i == 1 ? "regress" : "classify");
        if (i == 2) {
            ccz_pb_put_str(&req, 2, KIT_CLASSIFY);
            ccz_pb_close(&req, task);
        }
        const size_t spec = req.size;
        kit_input(&req, "context");
        for (size_t cut = 0; cut <= req.size; cut++) {
            uint8_t *copy = malloc(cut + 1);
            CHECK(copy);
            memcpy(copy, req.ptr, cut);
            struct ccz_infer_task *t = NULL;
            struct ccz_run_status st;
            ccz_infer_begin_grpc(
                &t, &resp, &st, s,
                &(struct ccz_infer_call){.path = paths[i], .request = CCZ_SPAN(copy, cut)});
            CHECK((t != NULL) == (cut == req.size));
            if (cut != req.size)
                CHECK(st.code ==
                      (cut == 0 || cut == spec ? CCZ_RUN_INVALID_ARGUMENT : CCZ_RUN_INTERNAL));
            ccz_infer_task_free(t);
            free(copy);
        }
    }
}

/* ------------------------------------------------------------------------ MultiInference */

static void add_task(struct ccz_buf *b, const char *name, const char *signature, const char *method)
{
    size_t task = ccz_pb_open(b, 1);
    kit_spec(b, name, signature);
    ccz_pb_put_str(b, 2, method);
    ccz_pb_close(b, task);
}

static void test_multi(void)
{
    CCZ_AUTO(ccz_infer) s = kit_server(NULL);
    CCZ_AUTO_BUF req, resp;
    ccz_buf_init(&req, 1 << 16);
    ccz_buf_init(&resp, 1 << 16);
    add_task(&req, "m", "regress", KIT_REGRESS);
    add_task(&req, "m", "classify", KIT_CLASSIFY);
    kit_input(&req, NULL);
    CCZ_AUTO(ccz_infer_task) t = kit_begin(s, CCZ_INFER_PATH_MULTI, &req);
    const struct ccz_infer_task_info *info = ccz_infer_task_info(t);
    CHECK(strcmp(info->api, "MultiInference") == 0 && info->req->in_len == 1 &&
          info->req->in[0].len == 2 && !info->req->fetch && info->req->sig->out_len == 3);
    struct ccz_result *r = NULL; /* it can be run: once, for all of them */
    CHECK(ccz_model_run(&r, NULL, info->engine_model, info->req, NULL) == CCZ_OK &&
          ccz_result_len(r) == 3);
    ccz_result_free(r);
    const struct ccz_span words[2] = {ccz_span_str("a"), ccz_span_str("b")};
    /* In the order of the model, whatever that of the request: classes, scores, outputs. */
    struct ccz_tensor out[3] = {kit_strings(words, 2, 2, 1), kit_floats(four, 2, 2, 1),
                                kit_floats(four, 1, 2, 0)};
    CHECK(finish(&resp, t, out, 3).code == CCZ_RUN_OK);
    struct ccz_rd d = ccz_rd_from(ccz_buf_span(&resp));
    struct ccz_pb_field f, g;
    static const char *const names[2] = {"regress", "classify"};
    for (uint32_t i = 0; i < 2; i++) {
        struct cczi_spec spec;
        CHECK(ccz_pb_next(&f, &d) && f.number == 1);
        struct ccz_rd one = ccz_rd_from(f.bytes);
        CHECK(ccz_pb_next(&g, &one) && g.number == 1 && cczi_spec_parse(&spec, g.bytes));
        CHECK(ccz_span_eq(spec.signature, ccz_span_str(names[i])) && spec.version == 3 &&
              ccz_span_eq(spec.name, ccz_span_str("m")));
        CHECK(ccz_pb_next(&g, &one) && g.number == 3 - i && ccz_rd_done(&one));
        struct ccz_rd results = ccz_rd_from(g.bytes);
        size_t len = 0;
        while (ccz_pb_next(&g, &results))
            len += g.number == 1;
        CHECK(len == 2);
    }
    CHECK(ccz_rd_done(&d));
    CCZ_AUTO_BUF turned; /* the same two in the other order are the same run */
    ccz_buf_init(&turned, 1 << 16);
    add_task(&turned, "m", "classify", KIT_CLASSIFY);
    add_task(&turned, "m", "regress", KIT_REGRESS);
    kit_input(&turned, NULL);
    CCZ_AUTO(ccz_infer_task) again = kit_begin(s, CCZ_INFER_PATH_MULTI, &turned);
    CHECK(ccz_infer_task_info(again)->req->sig == info->req->sig);
    out[1] = kit_floats(four, 2, 4, 1);
    const struct ccz_run_status st = finish(&resp, t, out, 3);
    want_status(&st, CCZ_RUN_INVALID_ARGUMENT, "Expected scores output batch size of 2. Got: 4");
}

static void refuse_multi(struct ccz_infer *s, struct ccz_buf *req, enum ccz_run_code code,
                         const char *text)
{
    kit_input(req, NULL);
    kit_refuse(s, CCZ_INFER_PATH_MULTI, req, code, text);
    ccz_buf_clear(req);
}

static void test_multi_refusals(void)
{
    CCZ_AUTO(ccz_infer) s = kit_server(NULL);
    CCZ_AUTO_BUF req;
    ccz_buf_init(&req, 1 << 18);
    refuse_multi(s, &req, CCZ_RUN_INVALID_ARGUMENT, "ModelSpec has no name specified.");
    add_task(&req, "q", "classify", KIT_CLASSIFY);
    refuse_multi(s, &req, CCZ_RUN_NOT_FOUND, "Servable not found for request: Latest(q)");
    add_task(&req, "m", "classify", KIT_CLASSIFY);
    add_task(&req, NULL, "regress", KIT_REGRESS);
    refuse_multi(s, &req, CCZ_RUN_INVALID_ARGUMENT, "Found ModelSpec with an empty model name.");
    add_task(&req, "m", "classify", KIT_CLASSIFY);
    add_task(&req, "n", "regress", KIT_REGRESS);
    refuse_multi(s, &req, CCZ_RUN_INVALID_ARGUMENT,
                 "All ModelSpecs in a MultiInferenceRequest must access the same model name.");
    add_task(&req, "m", "classify", KIT_CLASSIFY);
    add_task(&req, "m", "classify", KIT_REGRESS);
    refuse_multi(s, &req, CCZ_RUN_INVALID_ARGUMENT, "Duplicate evaluation of signature: classify");
    add_task(&req, "m", "none", KIT_CLASSIFY);
    refuse_multi(s, &req, CCZ_RUN_INVALID_ARGUMENT,
                 "Requested signature not found in model graph: none");
    add_task(&req, "m", "classify", "tensorflow/serving/predict");
    refuse_multi(s, &req, CCZ_RUN_UNIMPLEMENTED,
                 "Unsupported signature method_name: tensorflow/serving/predict");
    add_task(&req, "m", NULL, KIT_CLASSIFY); /* serving_default has two inputs */
    refuse_multi(s, &req, CCZ_RUN_INVALID_ARGUMENT, "Expected one input Tensor.");
    add_task(&req, "m", "classify", KIT_CLASSIFY);
    kit_refuse(s, CCZ_INFER_PATH_MULTI, &req, CCZ_RUN_INVALID_ARGUMENT, "Input is empty.");
    for (int i = 0; i <= CCZI_NAMES_MAX; i++)
        add_task(&req, "m", "classify", KIT_CLASSIFY);
    refuse_multi(s, &req, CCZ_RUN_RESOURCE_EXHAUSTED, "more than 1024 tasks");
}

/* What the engine cannot compute at once. */
static void refuse_union(struct ccz_infer *s, const char *one, const char *two,
                         enum ccz_run_code code)
{
    static const char front[] = "the signatures cannot be computed in one run: ";
    CCZ_AUTO_BUF req, resp;
    ccz_buf_init(&req, 1 << 16);
    ccz_buf_init(&resp, 1 << 16);
    add_task(&req, "m", one, KIT_CLASSIFY);
    add_task(&req, "m", two, KIT_CLASSIFY);
    kit_input(&req, NULL);
    struct ccz_run_status st;
    struct ccz_infer_task *t;
    ccz_infer_begin_grpc(
        &t, &resp, &st, s,
        &(struct ccz_infer_call){.path = CCZ_INFER_PATH_MULTI, .request = ccz_buf_span(&req)});
    CHECK(!t && st.code == code && strncmp(st.msg, front, sizeof(front) - 1) == 0 &&
          strlen(st.msg) >= sizeof(front));
}

/* A back end that knows its own signatures only. */
static ccz_rc load(void **model, struct ccz_buf *signatures, void *arg,
                   const struct ccz_model_cfg *cfg, struct ccz_err *err)
{
    (void)arg, (void)cfg, (void)err;
    static const struct ccz_tensor_spec in = {.name = "inputs", .dtype = CCZ_DT_STRING, .rank = -1},
                                        out = {.name = "scores", .dtype = CCZ_DT_FLOAT, .rank = -1};
    static const char *const names[] = {"a", "b"};
    for (int i = 0; i < 2; i++)
        ccz_signature_put(signatures,
                          &(struct ccz_signature_spec){
                              .name = names[i], .in = &in, .out = &out, .in_len = 1, .out_len = 1});
    *model = NULL;
    return CCZ_OK;
}

static void unload(void *model)
{
    (void)model;
}

static ccz_rc run(struct ccz_tensor *out, struct ccz_result *r, struct ccz_run_status *st,
                  void *model, const struct ccz_signature *sig, const struct ccz_tensor *const *in,
                  uint32_t timeout_ms)
{
    (void)out, (void)r, (void)model, (void)sig, (void)in, (void)timeout_ms;
    return ccz_run_status_set(st, CCZ_RUN_INTERNAL, "never called");
}

static void test_multi_unions(void)
{
    CCZ_AUTO(ccz_infer) s = kit_server(NULL);
    refuse_union(s, "scores", "elsewhere", CCZ_RUN_INVALID_ARGUMENT);
    static const struct ccz_engine_ops ops = {
        .name = "single", .load = load, .unload = unload, .run = run};
    static const struct ccz_model_file file = {"any", 0};
    CCZ_AUTO(ccz_engine) e = NULL;
    CCZ_AUTO(ccz_infer) other = NULL; /* freed before its engine */
    struct ccz_model *m = NULL;
    CHECK(ccz_engine_custom(&e, &ops, NULL, NULL) == CCZ_OK);
    CHECK(ccz_model_load(&m, e, &(struct ccz_model_cfg){.files = &file, .files_len = 1}, NULL) ==
          CCZ_OK);
    CHECK(ccz_infer_new(&other, NULL) == CCZ_OK &&
          ccz_infer_publish(other, "m", 1, &m, NULL) == CCZ_OK);
    refuse_union(other, "a", "b", CCZ_RUN_UNIMPLEMENTED);
}

static const struct ccz_test tests[] = {
    {"heads.classify", test_classify},
    {"heads.classify_misfits", test_classify_misfits},
    {"heads.regress", test_regress},
    {"heads.refusals", test_head_refusals},
    {"heads.method_names", test_method_names},
    {"heads.context", test_context},
    {"heads.truncated", test_truncated},
    {"heads.multi", test_multi},
    {"heads.multi_refusals", test_multi_refusals},
    {"heads.multi_unions", test_multi_unions},
};

int main(int argc, char **argv)
{
    int rc = ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    ccz_engine_free(kit_engine);
    return rc;
}
