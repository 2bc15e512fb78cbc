/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_INFER_KIT_H
#define CCZ_TEST_INFER_KIT_H
/* For tests of tasks: a server over the echo engine with the heads of Classify and Regress, requests by hand. */
#include "ccz_test.h"
#include "engine/model_build.h"
#include "infer/infer_priv.h"

#include <cczoo/codec.h>

static struct ccz_engine *kit_engine;

#define KIT_CLASSIFY "tensorflow/serving/classify"
#define KIT_REGRESS  "tensorflow/serving/regress"

/* A signature over strings; names of outputs, NULL ends them. */
static inline void kit_head(struct model_build *b, const char *name, const char *input,
                            const char *const *outputs, const char *method)
{
    mb_signature(b, name);
    mb_tensor(b, 1, input, "examples:0", CCZ_DT_STRING, 1, (int64_t[]){-1});
    for (; *outputs; outputs++)
        mb_tensor(b, 2, *outputs, "examples:0", CCZ_DT_STRING, 1, (int64_t[]){-1});
    mb_signature_end(b, method);
}
#define KIT_OUT(...) ((const char *const[]){__VA_ARGS__, NULL})

static inline struct ccz_model *kit_model(void)
{
    struct model_build b;
    struct ccz_model *m = NULL;
    if (!kit_engine)
        CHECK(ccz_engine_open(&kit_engine, &(struct ccz_engine_cfg){.backend = "echo"}, NULL) ==
              CCZ_OK);
    mb_begin(&b);
    mb_signature(&b, "serving_default");
    mb_echo(&b, "x", "y", CCZ_DT_FLOAT, 2, (int64_t[]){-1, 2});
    mb_echo(&b, "n", "m", CCZ_DT_INT32, -1, NULL);
    mb_signature_end(&b, "my/method");
    kit_head(&b, "classify", "inputs", KIT_OUT("classes", "scores"), KIT_CLASSIFY);
    kit_head(&b, "scores", "inputs", KIT_OUT("scores"), KIT_CLASSIFY);
    kit_head(&b, "classes", "inputs", KIT_OUT("classes"), KIT_CLASSIFY);
    kit_head(&b, "regress", "inputs", KIT_OUT("outputs"), KIT_REGRESS);
    kit_head(&b, "other_input", "in", KIT_OUT("scores"), KIT_CLASSIFY);
    kit_head(&b, "other_output", "inputs", KIT_OUT("logits"), KIT_CLASSIFY);
    kit_head(&b, "three", "inputs", KIT_OUT("a", "b", "scores"), KIT_CLASSIFY);
    mb_signature(&b, "elsewhere"); /* reads another tensor than the rest */
    mb_tensor(&b, 1, "inputs", "other:0", CCZ_DT_STRING, 1, (int64_t[]){-1});
    mb_tensor(&b, 2, "scores", "other:0", CCZ_DT_STRING, 1, (int64_t[]){-1});
    mb_signature_end(&b, KIT_CLASSIFY);
    struct ccz_model_cfg cfg = mb_end(&b);
    CHECK(ccz_model_load(&m, kit_engine, &cfg, NULL) == CCZ_OK);
    ccz_buf_free(&b.pb);
    return m;
}

static inline struct ccz_infer *kit_server(const struct ccz_infer_cfg *cfg)
{
    struct ccz_infer *s = NULL;
    struct ccz_model *m = kit_model();
    CHECK(ccz_infer_new(&s, NULL) == CCZ_OK);
    if (cfg)
        ccz_infer_configure(s, cfg);
    CHECK(ccz_infer_publish(s, "m", 3, &m, NULL) == CCZ_OK && !m);
    return s;
}

/* Field 1 of most requests. */
static inline void kit_spec(struct ccz_buf *b, const char *name, const char *signature)
{
    size_t spec = ccz_pb_open(b, 1);
    if (name)
        ccz_pb_put_str(b, 1, name);
    if (signature)
        ccz_pb_put_str(b, 3, signature);
    ccz_pb_close(b, spec);
}

/* Input with "one" and "", as field 2; behind a context if there is one. */
static inline void kit_input(struct ccz_buf *b, const char *context)
{
    size_t input = ccz_pb_open(b, 2), list = ccz_pb_open(b, context ? 2 : 1);
    ccz_pb_put_str(b, 1, "one");
    if (context)
        ccz_pb_put_str(b, 2, context);
    ccz_pb_put_str(b, 1, "");
    ccz_pb_close(b, list);
    ccz_pb_close(b, input);
}

static inline void want_status(const struct ccz_run_status *st, enum ccz_run_code code,
                               const char *text)
{
    if (st->code != code || strcmp(st->msg, text) != 0)
        fprintf(stderr, "got  %s: %s\nwant %s: %s\n", ccz_run_code_name(st->code), st->msg,
                ccz_run_code_name(code), text);
    CHECK(st->code == code && strcmp(st->msg, text) == 0);
}

/* Begins a call that must become a task. */
static inline struct ccz_infer_task *kit_begin(struct ccz_infer *s, const char *path,
                                               const struct ccz_buf *req)
{
    struct ccz_infer_task *t = NULL;
    struct ccz_run_status st;
    CCZ_AUTO_BUF response;
    ccz_buf_init(&response, 1 << 16);
    ccz_infer_begin_grpc(
        &t, &response, &st, s,
        &(struct ccz_infer_call){.path = path, .request = ccz_buf_span(req), .timeout_ms = 77});
    want_status(&st, CCZ_RUN_OK, "");
    CHECK(t && response.size == 0);
    return t;
}

/* Begins a call that must be refused. */
static inline void kit_refuse(struct ccz_infer *s, const char *path, const struct ccz_buf *req,
                              enum ccz_run_code code, const char *text)
{
    struct ccz_infer_task *t = NULL;
    struct ccz_run_status st;
    CCZ_AUTO_BUF response;
    ccz_buf_init(&response, 1 << 16);
    ccz_infer_begin_grpc(&t, &response, &st, s,
                         &(struct ccz_infer_call){.path = path, .request = ccz_buf_span(req)});
    want_status(&st, code, text);
    CHECK(!t && response.size == 0);
}

static inline struct ccz_tensor kit_floats(const float *v, int rank, int64_t a, int64_t b)
{
    const size_t len = (size_t)a * (size_t)(rank > 1 ? b : 1);
    return (struct ccz_tensor){.dtype = CCZ_DT_FLOAT,
                               .rank = rank,
                               .dims = {a, b},
                               .len = len,
                               .data = CCZ_SPAN(v, len * sizeof(float))};
}

static inline struct ccz_tensor kit_strings(const struct ccz_span *v, int rank, int64_t a,
                                            int64_t b)
{
    return (struct ccz_tensor){.dtype = CCZ_DT_STRING,
                               .rank = rank,
                               .dims = {a, b},
                               .len = (size_t)a * (size_t)(rank > 1 ? b : 1),
                               .strings = v};
}

#endif
