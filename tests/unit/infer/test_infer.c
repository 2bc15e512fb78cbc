/* SPDX-License-Identifier: Apache-2.0 */
/* Model server over the echo engine: versions, gRPC methods, tensors, client side. */
#define _DEFAULT_SOURCE
#include "ccz_test.h"
#include "engine/model_build.h"
#include "infer/infer_priv.h"

#include <cczoo/codec.h>

#include <inttypes.h>
#include <stdatomic.h>
#include <unistd.h>

#define WHERE(err, text) (strcmp((err).where, (text)) == 0)

static struct ccz_engine *engine;

/* x: float [-1,3] -> y; n: int32 scalar with a default -> m; s: string -> t */
static struct ccz_model *new_model(void)
{
    struct model_build b;
    if (!engine)
        CHECK(ccz_engine_open(&engine, &(struct ccz_engine_cfg){.backend = "echo"}, NULL) ==
              CCZ_OK);
    mb_begin(&b);
    mb_signature(&b, "serving_default");
    mb_echo(&b, "x", "y", CCZ_DT_FLOAT, 2, (int64_t[]){-1, 3});
    mb_signature_end(&b, "tensorflow/serving/predict");
    mb_signature(&b, "two");
    mb_echo(&b, "x", "y", CCZ_DT_FLOAT, -1, NULL);
    mb_echo(&b, "s", "t", CCZ_DT_STRING, -1, NULL);
    mb_signature_end(&b, "tensorflow/serving/predict");
    mb_signature(&b, "defaults");
    mb_echo(&b, "x", "y", CCZ_DT_FLOAT, -1, NULL);
    mb_echo(&b, "n", "m", CCZ_DT_INT32, 0, NULL);
    size_t entry = ccz_pb_open(&b.pb, 4); /* n = 7 if omitted */
    ccz_pb_put_str(&b.pb, 1, "n");
    size_t tensor = ccz_pb_open(&b.pb, 2);
    ccz_pb_put_uint(&b.pb, 1, CCZ_DT_INT32);
    ccz_pb_put_uint(&b.pb, 7, 7);
    ccz_pb_close(&b.pb, tensor);
    ccz_pb_close(&b.pb, entry);
    mb_signature_end(&b, "tensorflow/serving/predict");
    struct ccz_model_cfg cfg = mb_end(&b);
    struct ccz_model *m = NULL;
    CHECK(ccz_model_load(&m, engine, &cfg, NULL) == CCZ_OK);
    ccz_buf_free(&b.pb);
    return m;
}

static struct ccz_infer *new_server(void)
{
    struct ccz_infer *s = NULL;
    CHECK(ccz_infer_new(&s, NULL) == CCZ_OK);
    struct ccz_model *m = new_model();
    CHECK(ccz_infer_add(s, "echo", 1, &m, NULL) == CCZ_OK && !m);
    return s;
}

static struct ccz_run_status grpc(struct ccz_buf *out, struct ccz_infer *s, const char *path,
                                  const struct ccz_buf *req)
{
    struct ccz_run_status st;
    ccz_buf_free(out);
    ccz_buf_init(out, 1 << 20);
    ccz_infer_grpc(out, &st, s,
                   &(struct ccz_infer_call){.path = path, .request = ccz_buf_span(req)});
    CHECK(st.code == CCZ_RUN_OK || out->size == 0);
    return st;
}

/* ------------------------------------------------------------------------ versions */

static void test_versions(void)
{
    CCZ_AUTO(ccz_infer) s = NULL;
    struct ccz_err err = {0};
    CHECK(ccz_infer_new(&s, &err) == CCZ_OK);
    CHECK(!ccz_infer_ready(s, NULL) && !ccz_infer_ready(s, "m") &&
          ccz_infer_state(s, "m", 1) == CCZ_INFER_UNKNOWN);
    CHECK(ccz_infer_loading(s, "m", 1, &err) == CCZ_OK &&
          ccz_infer_state(s, "m", 1) == CCZ_INFER_LOADING);
    CHECK(ccz_infer_loading(s, "m", 1, &err) == CCZ_E_EXISTS && WHERE(err, "infer:version"));
    CHECK(!ccz_infer_ready(s, NULL));
    struct ccz_model *m = new_model();
    CHECK(ccz_infer_add(s, "m", 1, &m, &err) == CCZ_OK && !m);
    CHECK(ccz_infer_ready(s, NULL) && ccz_infer_ready(s, "m") && !ccz_infer_ready(s, "other"));

    m = new_model(); /* the same again, or an older one, is refused and stays the caller's */
    CHECK(ccz_infer_add(s, "m", 1, &m, &err) == CCZ_E_EXISTS && m && WHERE(err, "infer:version"));
    CHECK(ccz_infer_add(s, "m", 0, &m, &err) == CCZ_E_EXISTS && m &&
          ccz_infer_state(s, "m", 0) == CCZ_INFER_UNKNOWN);
    CHECK(ccz_infer_add(s, "q", -1, &m, &err) == CCZ_E_ARG && WHERE(err, "infer:version"));
    CHECK(ccz_infer_add(s, "m", 3, &m, &err) == CCZ_OK && !m); /* a newer one replaces it */
    CHECK(ccz_infer_state(s, "m", 1) == CCZ_INFER_END &&
          ccz_infer_state(s, "m", 3) == CCZ_INFER_AVAILABLE);

    /* A load that fails leaves the one in service alone. */
    CHECK(ccz_infer_loading(s, "m", 4, &err) == CCZ_OK);
    ccz_infer_failed(s, "m", 4, CCZ_RUN_DATA_LOSS, "block 7 does not verify");
    CHECK(ccz_infer_state(s, "m", 4) == CCZ_INFER_END && ccz_infer_ready(s, "m"));
    ccz_infer_failed(s, "m", 3, CCZ_RUN_DATA_LOSS,
                     "not announced"); /* only what is loading can fail */
    CHECK(ccz_infer_state(s, "m", 3) == CCZ_INFER_AVAILABLE);
    CHECK(ccz_infer_loading(s, "m", 4, &err) == CCZ_OK); /* again, better this time */
    m = new_model();
    CHECK(ccz_infer_add(s, "m", 4, &m, &err) == CCZ_OK &&
          ccz_infer_state(s, "m", 3) == CCZ_INFER_END);

    CHECK(ccz_infer_remove(s, "m", 3, &err) == CCZ_E_NOT_FOUND && WHERE(err, "infer:version"));
    CHECK(ccz_infer_remove(s, "m", 4, &err) == CCZ_OK &&
          ccz_infer_state(s, "m", 4) == CCZ_INFER_END);
    CHECK(!ccz_infer_ready(s, "m"));
    m = new_model();
    CHECK(ccz_infer_add(s, "m", 1, &m, &err) ==
          CCZ_OK); /* with nothing newer in service: back to the old one */

    static const char *const bad[] = {"", "a/b", "a:b", "a\n", "\x7f"};
    m = new_model();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(ccz_infer_add(s, bad[i], 1, &m, &err) == CCZ_E_ARG && m && WHERE(err, "infer:name"));
    char longer[CCZ_INFER_NAME_SIZE_MAX + 2];
    memset(longer, 'a', sizeof(longer));
    longer[sizeof(longer) - 1] = 0;
    CHECK(ccz_infer_add(s, longer, 1, &m, &err) == CCZ_E_ARG && WHERE(err, "infer:name"));
    ccz_model_free(m);
    for (int64_t v = 10; ccz_infer_loading(s, "many", v, &err) == CCZ_OK;)
        v++;
    CHECK(err.rc == CCZ_E_LIMIT && WHERE(err, "infer:versions"));
}

struct caller {
    struct ccz_infer *s;
    atomic_bool stop;
    size_t ok, other;
};

static void *call_all_the_time(void *arg)
{
    struct caller *c = arg;
    float x[3] = {1, 2, 3};
    struct ccz_tensor in = {.name = "x",
                            .dtype = CCZ_DT_FLOAT,
                            .rank = 2,
                            .dims = {1, 3},
                            .len = 3,
                            .data = CCZ_SPAN(x, 12)};
    CCZ_AUTO_BUF req, resp;
    ccz_buf_init(&req, 1000);
    ccz_buf_init(&resp, 1000);
    ccz_infer_encode_predict(&req, "m", NULL, &in, 1, NULL);
    while (!atomic_load(&c->stop)) {
        struct ccz_run_status st;
        ccz_buf_clear(&resp);
        ccz_infer_grpc(&resp, &st, c->s,
                       &(struct ccz_infer_call){.path = CCZ_INFER_PATH_PREDICT,
                                                .request = ccz_buf_span(&req)});
        c->ok += st.code == CCZ_RUN_OK;
        c->other += st.code != CCZ_RUN_OK;
    }
    return NULL;
}

/* Versions are swapped under load: no call fails, none sees a freed model (the sanitizers watch).
 */
static void test_swap(void)
{
    CCZ_AUTO(ccz_infer) s = NULL;
    CHECK(ccz_infer_new(&s, NULL) == CCZ_OK);
    struct ccz_model *m = new_model();
    CHECK(ccz_infer_add(s, "m", 0, &m, NULL) == CCZ_OK);
    struct caller c[3];
    pthread_t t[3];
    for (size_t i = 0; i < 3; i++) {
        c[i] = (struct caller){.s = s};
        CHECK(pthread_create(&t[i], NULL, call_all_the_time, &c[i]) == 0);
    }
    for (int64_t v = 1; v < 100; v++) {
        m = new_model();
        CHECK(ccz_infer_add(s, "m", v, &m, NULL) == CCZ_OK &&
              ccz_infer_state(s, "m", v - 1) == CCZ_INFER_END);
        usleep(1000);
    }
    for (size_t i = 0; i < 3; i++) {
        atomic_store(&c[i].stop, true);
        pthread_join(t[i], NULL);
        CHECK(c[i].ok > 0 && c[i].other == 0);
    }
}

/* ------------------------------------------------------------------------ Predict */

static const float x6[6] = {1, -2, 3.5f, 4, 5, 6};
static struct ccz_tensor tensor_x(void)
{
    return (struct ccz_tensor){.name = "x",
                               .dtype = CCZ_DT_FLOAT,
                               .rank = 2,
                               .dims = {2, 3},
                               .len = 6,
                               .data = CCZ_SPAN(x6, sizeof(x6))};
}

static void test_predict(void)
{
    CCZ_AUTO(ccz_infer) s = new_server();
    CCZ_AUTO_BUF req, resp, scores;
    ccz_buf_init(&req, 1 << 20);
    ccz_buf_init(&resp, 1 << 20);
    ccz_buf_init(&scores, 1 << 10);
    struct ccz_tensor in = tensor_x();
    for (int content = 0; content < 2; content++) {
        ccz_infer_configure(s, &(struct ccz_infer_cfg){.tensor_content = content});
        ccz_buf_clear(&req);
        ccz_infer_encode_predict(&req, "echo", "", &in, 1, "y");
        CHECK(grpc(&resp, s, CCZ_INFER_PATH_PREDICT, &req).code == CCZ_RUN_OK);
        size_t classes = 0;
        ccz_buf_clear(&scores);
        CHECK(ccz_infer_decode_scores(&scores, &classes, ccz_buf_span(&resp), "y", 2, NULL) ==
              CCZ_OK);
        CHECK(classes == 3 && scores.size == sizeof(x6) && memcmp(scores.ptr, x6, sizeof(x6)) == 0);
        CCZ_AUTO(ccz_infer_answer) a = NULL;
        CHECK(ccz_infer_decode_predict(&a, ccz_buf_span(&resp), 4096, NULL) == CCZ_OK);
        CHECK(ccz_infer_answer_version(a) == 1 && !ccz_infer_answer_get(a, "z"));
        const struct ccz_tensor *y = ccz_infer_answer_get(a, "y");
        CHECK(y && y->rank == 2 && y->dims[0] == 2 && y->dims[1] == 3);
        /* Cut anywhere, an answer is refused or lacks what was cut; nothing else happens. */
        for (size_t cut = 0; cut < resp.size; cut++) {
            struct ccz_infer_answer *part = NULL;
            if (ccz_infer_decode_predict(&part, CCZ_SPAN(resp.ptr, cut), 4096, NULL) == CCZ_OK)
                CHECK(ccz_infer_answer_version(part) == -1 || cut == resp.size);
            ccz_infer_answer_free(part);
        }
    }
    struct ccz_err err = {0};
    size_t classes;
    CHECK(ccz_infer_decode_scores(&scores, &classes, ccz_buf_span(&resp), "y", 3, &err) ==
          CCZ_E_FORMAT);
    CHECK(WHERE(err, "infer:scores") && strcmp(err.got, "2") == 0 && classes == 0);
    CHECK(ccz_infer_decode_scores(&scores, &classes, ccz_buf_span(&resp), "q", 2, &err) ==
          CCZ_E_FORMAT);

    /* Two inputs, strings among them, and every output. */
    struct ccz_span words[2] = {ccz_span_str("wort"), CCZ_SPAN("\0\xff", 2)};
    struct ccz_tensor two[2] = {
        tensor_x(),
        {.name = "s", .dtype = CCZ_DT_STRING, .rank = 1, .dims = {2}, .len = 2, .strings = words}};
    ccz_buf_clear(&req);
    ccz_infer_encode_predict(&req, "echo", "two", two, 2, NULL);
    CHECK(grpc(&resp, s, CCZ_INFER_PATH_PREDICT, &req).code == CCZ_RUN_OK);
    CCZ_AUTO(ccz_infer_answer) a = NULL;
    CHECK(ccz_infer_decode_predict(&a, ccz_buf_span(&resp), 1 << 16, NULL) == CCZ_OK);
    CHECK(ccz_infer_answer_get(a, "t")->len == 2 &&
          ccz_span_eq(ccz_infer_answer_get(a, "t")->strings[1], words[1]));
    CHECK(ccz_infer_answer_get(a, "y")->len == 6);
    /* Defaults fill in what is omitted. */
    ccz_buf_clear(&req);
    ccz_infer_encode_predict(&req, "echo", "defaults", two, 1, NULL);
    CHECK(grpc(&resp, s, CCZ_INFER_PATH_PREDICT, &req).code == CCZ_RUN_OK);
    ccz_infer_answer_free(ccz_infer_answer_take(&a));
    CHECK(ccz_infer_decode_predict(&a, ccz_buf_span(&resp), 1 << 16, NULL) == CCZ_OK);
    const struct ccz_tensor *m = ccz_infer_answer_get(a, "m");
    CHECK(m && m->dtype == CCZ_DT_INT32 && m->rank == 0 && m->len == 1 && m->data.ptr[0] == 7 &&
          m->data.size == 4);
}

/* A PredictRequest put together by hand. */
struct req {
    struct ccz_buf b;
};
static void rq_spec(struct req *r, const char *name, int64_t version, const char *label,
                    const char *signature)
{
    ccz_buf_free(&r->b);
    ccz_buf_init(&r->b, 1 << 20);
    size_t spec = ccz_pb_open(&r->b, 1);
    if (name)
        ccz_pb_put_str(&r->b, 1, name);
    if (version >= 0) {
        size_t v = ccz_pb_open(&r->b, 2);
        ccz_pb_put_uint(&r->b, 1, (uint64_t)version);
        ccz_pb_close(&r->b, v);
    }
    if (label)
        ccz_pb_put_str(&r->b, 4, label);
    if (signature)
        ccz_pb_put_str(&r->b, 3, signature);
    ccz_pb_close(&r->b, spec);
}
static void rq_input(struct req *r, const char *name, struct ccz_span proto)
{
    size_t entry = ccz_pb_open(&r->b, 2);
    ccz_pb_put_str(&r->b, 1, name);
    ccz_pb_put_bytes(&r->b, 2, proto);
    ccz_pb_close(&r->b, entry);
}
static void expect(struct ccz_infer *s, const struct req *r, enum ccz_run_code code,
                   const char *text)
{
    CCZ_AUTO_BUF resp;
    ccz_buf_init(&resp, 1 << 20);
    struct ccz_run_status st = grpc(&resp, s, CCZ_INFER_PATH_PREDICT, &r->b);
    if (st.code != code || strcmp(st.msg, text) != 0)
        fprintf(stderr, "got  %s: %s\nwant %s: %s\n", ccz_run_code_name(st.code), st.msg,
                ccz_run_code_name(code), text);
    CHECK(st.code == code && strcmp(st.msg, text) == 0);
}

static void test_predict_errors(void)
{
    CCZ_AUTO(ccz_infer) s = new_server();
    struct req r = {0};
    expect(s, &r, CCZ_RUN_INVALID_ARGUMENT, "Missing ModelSpec");
    rq_spec(&r, NULL, -1, NULL, NULL);
    expect(s, &r, CCZ_RUN_INVALID_ARGUMENT, "ModelSpec has no name specified.");
    rq_spec(&r, "nobody", -1, NULL, NULL);
    expect(s, &r, CCZ_RUN_NOT_FOUND, "Servable not found for request: Latest(nobody)");
    rq_spec(&r, "echo", 7, NULL, NULL);
    expect(s, &r, CCZ_RUN_NOT_FOUND, "Servable not found for request: Specific(echo, 7)");
    rq_spec(&r, "echo", -1, "stable", NULL);
    expect(s, &r, CCZ_RUN_INVALID_ARGUMENT, "Unrecognized servable version label: stable");
    rq_spec(&r, "echo", 1, NULL, "none");
    expect(s, &r, CCZ_RUN_FAILED_PRECONDITION, "Serving signature key \"none\" not found.");
    ccz_buf_free(&r.b);
}

static void test_predict_input_errors(void)
{
    CCZ_AUTO(ccz_infer) s = new_server();
    CCZ_AUTO_BUF xb;
    ccz_buf_init(&xb, 1000);
    struct ccz_tensor t = tensor_x();
    cczi_tensor_encode(&xb, &t, false);
    struct ccz_span x = ccz_buf_span(&xb);
    struct req r = {0};
    rq_spec(&r, "echo", -1, NULL, NULL);
    expect(s, &r, CCZ_RUN_INVALID_ARGUMENT,
           "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing "
           "but required: {x}.");
    rq_input(&r, "x", x);
    rq_input(&r, "b", x);
    rq_input(&r, "a", x);
    expect(s, &r, CCZ_RUN_INVALID_ARGUMENT,
           "input size does not match signature: 3!=1 len({a,b,x}) != len({x}). Sent extra: {a,b}. "
           "Missing but required: {}.");
    rq_spec(&r, "echo", -1, NULL, NULL);
    rq_input(&r, "q", x);
    expect(s, &r, CCZ_RUN_INVALID_ARGUMENT,
           "Signature input alias: x(feed name: x_t:0) not found in request and no default value "
           "provided. Inputs expected to be in the request {q}, or default input alias set: ");
    rq_spec(&r, "echo", -1, NULL, "defaults");
    rq_input(&r, "x", x);
    rq_input(&r, "q", x);
    expect(s, &r, CCZ_RUN_INVALID_ARGUMENT,
           "Inputs contains invalid name. Used request inputs: x, request input: q,x");
    rq_spec(&r, "echo", -1, NULL, NULL);
    rq_input(&r, "x",
             ccz_span_str("\x08\x01\x22\x03"
                          "abc")); /* DT_FLOAT, shape [], three bytes */
    expect(s, &r, CCZ_RUN_INVALID_ARGUMENT, "tensor parsing error: x");
    rq_spec(&r, "echo", -1, NULL, NULL);
    rq_input(&r, "x", ccz_span_str("\x08")); /* cut varint */
    expect(s, &r, CCZ_RUN_INTERNAL, "Failed to parse the request message");
    rq_spec(&r, "echo", -1, NULL, NULL);
    t.dtype = CCZ_DT_INT32;
    ccz_buf_clear(&xb);
    cczi_tensor_encode(&xb, &t, true);
    rq_input(&r, "x", ccz_buf_span(&xb));
    expect(s, &r, CCZ_RUN_INVALID_ARGUMENT,
           "Tensor x_t:0 is int32, expected float"); /* the engine's own words */
    ccz_buf_free(&r.b);
}

static void test_predict_output_errors(void)
{
    CCZ_AUTO(ccz_infer) s = new_server();
    CCZ_AUTO_BUF xb;
    ccz_buf_init(&xb, 1000);
    struct ccz_tensor t = tensor_x();
    cczi_tensor_encode(&xb, &t, false);
    struct ccz_span x = ccz_buf_span(&xb);
    struct req r = {0};
    rq_spec(&r, "echo", -1, NULL, NULL);
    rq_input(&r, "x", x);
    ccz_pb_put_str(&r.b, 3, "z");
    expect(s, &r, CCZ_RUN_INVALID_ARGUMENT,
           "output tensor alias not found in signature: z Outputs expected to be in the set {y}.");
    rq_spec(&r, "echo", -1, NULL, NULL);
    rq_input(&r, "x", x);
    ccz_pb_put_str(&r.b, 3, "y");
    ccz_pb_put_str(&r.b, 3, "y");
    expect(s, &r, CCZ_RUN_INVALID_ARGUMENT, "duplicate output tensor alias: y");

    /* Every cut of a good request is refused, or is a request without its last field. */
    rq_spec(&r, "echo", -1, NULL, NULL);
    size_t spec_only = r.b.size;
    rq_input(&r, "x", x);
    for (size_t cut = 1; cut < r.b.size; cut++) {
        CCZ_AUTO_BUF resp;
        ccz_buf_init(&resp, 1000);
        struct ccz_run_status st;
        ccz_infer_grpc(&resp, &st, s,
                       &(struct ccz_infer_call){.path = CCZ_INFER_PATH_PREDICT,
                                                .request = CCZ_SPAN(r.b.ptr, cut)});
        CHECK(st.code == (cut == spec_only ? CCZ_RUN_INVALID_ARGUMENT : CCZ_RUN_INTERNAL));
    }
    ccz_buf_free(&r.b);
}

/* Of two inputs with one key the later counts, and a oneof keeps its last member. */
static void test_predict_repeats(void)
{
    CCZ_AUTO(ccz_infer) s = new_server();
    CCZ_AUTO_BUF one, two, resp;
    ccz_buf_init(&one, 1000);
    ccz_buf_init(&two, 1000);
    ccz_buf_init(&resp, 1000);
    float f = 9;
    struct ccz_tensor t = {.dtype = CCZ_DT_FLOAT,
                           .rank = 2,
                           .dims = {1, 1},
                           .len = 1,
                           .data = CCZ_SPAN(&f, 4)},
                      x = tensor_x();
    cczi_tensor_encode(&one, &t, true);
    cczi_tensor_encode(&two, &x, true);
    struct req r = {0};
    rq_spec(&r, "echo", 1, "label", NULL);
    expect(s, &r, CCZ_RUN_INVALID_ARGUMENT, "Unrecognized servable version label: label");
    rq_spec(&r, "echo", -1, NULL, NULL);
    rq_input(&r, "x", ccz_buf_span(&one));
    rq_input(&r, "x", ccz_buf_span(&two));
    CHECK(grpc(&resp, s, CCZ_INFER_PATH_PREDICT, &r.b).code == CCZ_RUN_OK);
    CCZ_AUTO(ccz_infer_answer) a = NULL;
    CHECK(ccz_infer_decode_predict(&a, ccz_buf_span(&resp), 1 << 16, NULL) == CCZ_OK);
    CHECK(ccz_infer_answer_get(a, "y")->len == 6);
    rq_spec(&r, "echo", -1, NULL, NULL);
    for (int i = 0; i <= CCZI_NAMES_MAX; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "%d", i);
        rq_input(&r, name, (struct ccz_span){0});
    }
    CHECK(grpc(&resp, s, CCZ_INFER_PATH_PREDICT, &r.b).code == CCZ_RUN_RESOURCE_EXHAUSTED);
    ccz_buf_free(&r.b);
}

/* ------------------------------------------------------------------------ tensors */

/* Shape [n] and a dtype, then values. */
static void tp_begin(struct ccz_buf *b, enum ccz_dtype t, int64_t n)
{
    ccz_buf_clear(b);
    ccz_pb_put_uint(b, 1, (uint64_t)t);
    size_t shape = ccz_pb_open(b, 2), dim = ccz_pb_open(b, 2);
    ccz_pb_put_uint(b, 1, (uint64_t)n);
    ccz_pb_close(b, dim);
    ccz_pb_close(b, shape);
}

static enum cczi_tensor_result decode(struct ccz_tensor *t, const struct ccz_buf *b,
                                      struct cczi_scratch *s)
{
    cczi_scratch_free(s);
    cczi_scratch_init(s, 4096);
    return cczi_tensor_decode(t, ccz_buf_span(b), s);
}

static void test_tensor_forms(void)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 16);
    struct cczi_scratch s = {0};
    struct ccz_tensor t;
    float f[4];
    tp_begin(&b, CCZ_DT_FLOAT, 4); /* fewer values: the last one is repeated */
    ccz_pb_put_float(&b, 5, 1);
    ccz_pb_put_float(&b, 5, 2);
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_OK && t.rank == 1 && t.dims[0] == 4 &&
          t.data.size == 16);
    memcpy(f, t.data.ptr, 16);
    CHECK(f[0] == 1 && f[1] == 2 && f[2] == 2 && f[3] == 2 && ((uintptr_t)t.data.ptr & 63) == 0);
    tp_begin(&b, CCZ_DT_FLOAT, 4); /* packed and complete: seen in place */
    ccz_pb_put_bytes(&b, 5, CCZ_SPAN(x6, 16));
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_OK && t.data.ptr > b.ptr &&
          t.data.ptr < b.ptr + b.size);
    CHECK(memcmp(t.data.ptr, x6, 16) == 0);
    ccz_pb_put_float(&b, 5, 3); /* packed and then single values are one list; too many are cut */
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_OK && memcmp(t.data.ptr, x6, 16) == 0);
    tp_begin(&b, CCZ_DT_FLOAT, 4);
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_OK && t.data.size == 16); /* none: zeros */
    memcpy(f, t.data.ptr, 16);
    CHECK(f[0] == 0 && f[3] == 0);
    ccz_pb_put_bytes(&b, 4, CCZ_SPAN(x6, 16)); /* tensor_content wins, in place */
    ccz_pb_put_float(&b, 5, 1);
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_OK && memcmp(t.data.ptr, x6, 16) == 0 &&
          t.data.ptr < b.ptr + b.size);

    tp_begin(&b, CCZ_DT_INT8, 3); /* int_val: -1 is ten bytes, the low byte counts */
    ccz_pb_put_uint(&b, 7, UINT64_MAX);
    ccz_pb_put_uint(&b, 7, 127);
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_OK && memcmp(t.data.ptr, "\xff\x7f\x7f", 3) == 0);
    tp_begin(&b, CCZ_DT_BOOL, 2);
    ccz_pb_put_uint(&b, 11, 256);
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_OK && memcmp(t.data.ptr, "\1\1", 2) == 0);
    tp_begin(&b, CCZ_DT_HALF, 1);
    ccz_pb_put_uint(&b, 13, 0x3c00);
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_OK && memcmp(t.data.ptr, "\x00\x3c", 2) == 0);
    tp_begin(&b, CCZ_DT_STRING, 3);
    ccz_pb_put_str(&b, 8, "a");
    ccz_pb_put_str(&b, 8, "");
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_OK && t.strings[0].size == 1 && t.strings[2].size == 0);
    tp_begin(&b, CCZ_DT_STRING, 2); /* the list form of tensor_content */
    ccz_pb_put_bytes(&b, 4, CCZ_SPAN("\1\2abb", 5));
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_OK && ccz_span_eq(t.strings[1], ccz_span_str("bb")));
    tp_begin(&b, CCZ_DT_STRING, 2);
    ccz_pb_put_bytes(&b, 4, CCZ_SPAN("\1\2abbc", 6)); /* a byte too many */
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_INVALID && !t.strings);
    tp_begin(&b, CCZ_DT_FLOAT, 0);
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_OK && t.len == 0 && t.data.size == 0);
    cczi_scratch_free(&s);
}

static void test_tensor_refusals(void)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 16);
    struct cczi_scratch s = {0};
    struct ccz_tensor t;
    tp_begin(&b, CCZ_DT_FLOAT, -1);
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_INVALID);
    tp_begin(&b, CCZ_DT_FLOAT, INT64_MAX);
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_INVALID);
    tp_begin(&b, CCZ_DT_FLOAT, 1025); /* one value standing for more memory than allowed */
    ccz_pb_put_float(&b, 5, 1);
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_LIMIT);
    tp_begin(&b, CCZ_DT_STRING, 257);
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_LIMIT);
    tp_begin(&b, CCZ_DT_INVALID, 1);
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_INVALID);
    tp_begin(&b, (enum ccz_dtype)20, 1); /* DT_RESOURCE */
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_INVALID);
    tp_begin(&b, CCZ_DT_FLOAT, 2);
    ccz_pb_put_bytes(&b, 4, CCZ_SPAN(x6, 12));
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_INVALID);
    tp_begin(&b, CCZ_DT_FLOAT, 2);
    ccz_pb_put_bytes(&b, 5, CCZ_SPAN(x6, 7)); /* a packed run that ends inside a value */
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_MALFORMED);
    ccz_buf_clear(&b); /* unknown rank */
    ccz_pb_put_uint(&b, 1, CCZ_DT_FLOAT);
    ccz_pb_put_bytes(&b, 2, ccz_span_str("\x18\x01"));
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_INVALID);
    ccz_buf_clear(&b); /* one dimension too many */
    ccz_pb_put_uint(&b, 1, CCZ_DT_FLOAT);
    size_t shape = ccz_pb_open(&b, 2);
    for (int i = 0; i <= CCZ_TENSOR_RANK_MAX; i++)
        ccz_pb_put_bytes(&b, 2, ccz_span_str("\x08\x01"));
    ccz_pb_close(&b, shape);
    CHECK(decode(&t, &b, &s) == CCZI_TENSOR_INVALID && t.rank == 0);
    cczi_scratch_free(&s);
}

/* Every type there and back, in both forms. */
static void test_tensor_round_trip(void)
{
    static const enum ccz_dtype types[] = {
#define X(name, value, size, text) CCZ_DT_##name,
        CCZ_DTYPE_MAP(X)
#undef X
    };
    uint8_t raw[6 * 8];
    for (size_t i = 0; i < sizeof(raw); i++)
        raw[i] = (uint8_t)(i * 37 + 200);
    struct ccz_span words[6] = {ccz_span_str("a"), {0}, ccz_span_str("ccc"), {0}, {0},
                                ccz_span_str("f")};
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 16);
    struct cczi_scratch s = {0};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]) * 2; i++) {
        struct ccz_tensor in = {.dtype = types[i / 2], .rank = 2, .dims = {2, 3}, .len = 6}, out;
        uint8_t bits[sizeof(raw)];
        for (size_t k = 0; k < sizeof(bits); k++)
            bits[k] = in.dtype == CCZ_DT_BOOL ? raw[k] & 1 : raw[k];
        in.data = CCZ_SPAN(bits, 6 * ccz_dtype_size(in.dtype));
        in.strings = in.dtype == CCZ_DT_STRING ? words : NULL;
        ccz_buf_clear(&b);
        cczi_tensor_encode(&b, &in, i % 2);
        CHECK(decode(&out, &b, &s) == CCZI_TENSOR_OK && out.dtype == in.dtype && out.len == 6 &&
              out.dims[1] == 3);
        CHECK(ccz_span_eq(out.data, in.data));
        for (size_t k = 0; in.strings && k < 6; k++)
            CHECK(ccz_span_eq(out.strings[k], words[k]));
        for (size_t cut = 1; cut < b.size; cut++) { /* never out of bounds (the sanitizers watch) */
            cczi_scratch_free(&s);
            cczi_scratch_init(&s, 4096);
            (void)cczi_tensor_decode(&out, CCZ_SPAN(b.ptr, cut), &s);
        }
    }
    cczi_scratch_free(&s);
}

/* ------------------------------------------------------------------------ metadata, status, other
 * paths */

static void test_metadata(void)
{
    CCZ_AUTO(ccz_infer) s = new_server();
    CCZ_AUTO_BUF req, resp;
    ccz_buf_init(&req, 1000);
    ccz_buf_init(&resp, 1000);
    struct ccz_run_status st = grpc(&resp, s, CCZ_INFER_PATH_METADATA, &req);
    CHECK(st.code == CCZ_RUN_INVALID_ARGUMENT && strcmp(st.msg, "Missing ModelSpec") == 0);
    size_t spec = ccz_pb_open(&req, 1);
    ccz_pb_put_str(&req, 1, "echo");
    ccz_pb_close(&req, spec);
    st = grpc(&resp, s, CCZ_INFER_PATH_METADATA, &req);
    CHECK(strcmp(st.msg, "GetModelMetadataRequest must specify at least one metadata_field") == 0);
    ccz_pb_put_str(&req, 2, "signature_def");
    CHECK(grpc(&resp, s, CCZ_INFER_PATH_METADATA, &req).code == CCZ_RUN_OK);
    /* {1 model_spec, 2 {1 "signature_def", 2 Any {1 url, 2 SignatureDefMap {1 {1 name, 2
     * SignatureDef}}}}} */
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&resp));
    struct ccz_pb_field f;
    struct ccz_span key, any, url, map;
    CHECK(ccz_pb_next(&f, &r) && f.number == 1 && ccz_pb_next(&f, &r) && f.number == 2 &&
          ccz_rd_done(&r));
    CHECK(cczi_map_entry(&key, &any, f.bytes) && ccz_span_eq(key, ccz_span_str("signature_def")));
    CHECK(cczi_map_entry(&url, &map, any));
    CHECK(ccz_span_eq(url, ccz_span_str("type.googleapis.com/tensorflow.serving.SignatureDefMap")));
    size_t signatures = 0;
    for (r = ccz_rd_from(map); ccz_pb_next(&f, &r); signatures++) {
        struct ccz_span name, sig;
        CHECK(cczi_map_entry(&name, &sig, f.bytes));
        struct ccz_rd d = ccz_rd_from(sig);
        while (ccz_pb_next(&f, &d))
            CHECK(f.number != 4); /* no defaults */
    }
    CHECK(signatures == 3);
    ccz_pb_put_str(&req, 2, "weights");
    st = grpc(&resp, s, CCZ_INFER_PATH_METADATA, &req);
    CHECK(st.code == CCZ_RUN_INVALID_ARGUMENT &&
          strcmp(st.msg, "Metadata field weights is not supported") == 0);
    ccz_buf_clear(&req);
    ccz_pb_put_bytes(&req, 1, ccz_span_str("\x0a\x01m"));
    ccz_pb_put_str(&req, 2, "signature_def");
    st = grpc(&resp, s, CCZ_INFER_PATH_METADATA, &req);
    CHECK(st.code == CCZ_RUN_NOT_FOUND &&
          strcmp(st.msg, "Servable not found for request: Latest(m)") == 0);
}

static void test_status(void)
{
    CCZ_AUTO(ccz_infer) s = new_server();
    CHECK(ccz_infer_loading(s, "echo", 2, NULL) == CCZ_OK);
    ccz_infer_failed(s, "echo", 2, CCZ_RUN_DATA_LOSS, "bad block");
    struct req r = {0};
    CCZ_AUTO_BUF resp;
    ccz_buf_init(&resp, 1000);
    rq_spec(&r, "echo", -1, NULL, NULL);
    CHECK(grpc(&resp, s, CCZ_INFER_PATH_STATUS, &r.b).code == CCZ_RUN_OK);
    struct ccz_rd d = ccz_rd_from(ccz_buf_span(&resp));
    struct ccz_pb_field f, g;
    static const struct {
        uint64_t version, state, code;
        const char *msg;
    } want[2] = {{2, 50, 15, "bad block"}, {1, 30, 0, ""}}; /* the newest first */
    for (size_t i = 0; i < 2; i++) {
        CHECK(ccz_pb_next(&f, &d) && f.number == 1);
        struct ccz_rd v = ccz_rd_from(f.bytes);
        CHECK(ccz_pb_next(&g, &v) && g.number == 1 && g.num == want[i].version);
        CHECK(ccz_pb_next(&g, &v) && g.number == 2 && g.num == want[i].state);
        CHECK(ccz_pb_next(&g, &v) && g.number == 3);
        v = ccz_rd_from(g.bytes);
        CHECK(ccz_pb_next(&g, &v) && g.number == 1 && g.num == want[i].code);
        CHECK(ccz_pb_next(&g, &v) && g.number == 2 &&
              ccz_span_eq(g.bytes, ccz_span_str(want[i].msg)));
    }
    CHECK(ccz_rd_done(&d));
    rq_spec(&r, "echo", 9, NULL, NULL);
    struct ccz_run_status st = grpc(&resp, s, CCZ_INFER_PATH_STATUS, &r.b);
    CHECK(st.code == CCZ_RUN_NOT_FOUND &&
          strcmp(st.msg, "Could not find version 9 of model echo") == 0);
    rq_spec(&r, "nobody", -1, NULL, NULL);
    st = grpc(&resp, s, CCZ_INFER_PATH_STATUS, &r.b);
    CHECK(st.code == CCZ_RUN_NOT_FOUND &&
          strcmp(st.msg, "Could not find any versions of model nobody") == 0);
    ccz_buf_clear(&r.b);
    st = grpc(&resp, s, CCZ_INFER_PATH_STATUS, &r.b);
    CHECK(st.code == CCZ_RUN_INVALID_ARGUMENT && strcmp(st.msg, "Missing ModelSpec") == 0);
    st = grpc(&resp, s, "/tensorflow.serving.SessionService/SessionRun", &r.b);
    CHECK(st.code == CCZ_RUN_UNIMPLEMENTED);
    ccz_buf_free(&r.b);
}

/* An answer that does not fit is an error, not half an answer. */
static void test_response_limit(void)
{
    CCZ_AUTO(ccz_infer) s = new_server();
    CCZ_AUTO_BUF req;
    ccz_buf_init(&req, 1000);
    struct ccz_tensor in = tensor_x();
    ccz_infer_encode_predict(&req, "echo", NULL, &in, 1, NULL);
    CCZ_AUTO_BUF resp;
    ccz_buf_init(&resp, 30);
    struct ccz_run_status st;
    ccz_infer_grpc(
        &resp, &st, s,
        &(struct ccz_infer_call){.path = CCZ_INFER_PATH_PREDICT, .request = ccz_buf_span(&req)});
    CHECK(st.code == CCZ_RUN_RESOURCE_EXHAUSTED && ccz_buf_span(&resp).size == 0);
    ccz_infer_configure(
        s, &(struct ccz_infer_cfg){.input_size_max = 64}); /* and neither is an input */
    CHECK(grpc(&resp, s, CCZ_INFER_PATH_PREDICT, &req).code == CCZ_RUN_RESOURCE_EXHAUSTED);
}

/* What a server may answer and a client must refuse. */
static void test_client_refusals(void)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 16);
    struct ccz_infer_answer *a = NULL;
    struct ccz_err err = {0};
    for (int i = 0; i < 2; i++) { /* one output twice */
        size_t entry = ccz_pb_open(&b, 1);
        ccz_pb_put_str(&b, 1, "y");
        size_t t = ccz_pb_open(&b, 2);
        struct ccz_tensor x = tensor_x();
        cczi_tensor_encode(&b, &x, true);
        ccz_pb_close(&b, t);
        ccz_pb_close(&b, entry);
        CHECK(ccz_infer_decode_predict(&a, ccz_buf_span(&b), 4096, &err) ==
              (i ? CCZ_E_FORMAT : CCZ_OK));
        ccz_infer_answer_free(a);
    }
    CHECK(WHERE(err, "infer:response") && !a);
    CHECK(ccz_infer_decode_predict(&a, ccz_buf_span(&b), 16, &err) == CCZ_E_LIMIT &&
          WHERE(err, "infer:tensor"));
    ccz_buf_clear(&b); /* a tensor that claims more than it brings */
    size_t entry = ccz_pb_open(&b, 1);
    ccz_pb_put_str(&b, 1, "y");
    ccz_pb_put_bytes(&b, 2,
                     ccz_span_str("\x08\x01\x12\x04\x12\x02\x08\x02\x22\x04"
                                  "abcd"));
    ccz_pb_close(&b, entry);
    CHECK(ccz_infer_decode_predict(&a, ccz_buf_span(&b), 4096, &err) == CCZ_E_FORMAT &&
          WHERE(err, "infer:tensor") && !a);
}

static const struct ccz_test tests[] = {
    {"infer.versions", test_versions},
    {"infer.swap", test_swap},
    {"infer.predict", test_predict},
    {"infer.predict_errors", test_predict_errors},
    {"infer.predict_input_errors", test_predict_input_errors},
    {"infer.predict_output_errors", test_predict_output_errors},
    {"infer.predict_repeats", test_predict_repeats},
    {"infer.tensor_forms", test_tensor_forms},
    {"infer.tensor_refusals", test_tensor_refusals},
    {"infer.tensor_round_trip", test_tensor_round_trip},
    {"infer.metadata", test_metadata},
    {"infer.status", test_status},
    {"infer.response_limit", test_response_limit},
    {"infer.client_refusals", test_client_refusals},
};

int main(int argc, char **argv)
{
    int rc = ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    ccz_engine_free(engine);
    return rc;
}
