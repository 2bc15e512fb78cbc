/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classify and Regress: the same kind of request, two kinds of answers. Checks, their order and words are those of
 * servables/tensorflow/{classifier,regressor}.cc.
 */
#include "infer/infer_priv.h"

#include <cczoo/codec.h>

#include <inttypes.h>
#include <string.h>

enum { MESSAGE_SIZE_MAX = 1 << 16 };

static const struct {
    const char *method, *noun;
} heads[] = {
    [CCZI_CLASSIFY] = {"tensorflow/serving/classify", "classification"},
    [CCZI_REGRESS] = {"tensorflow/serving/regress", "regression"},
};

static ccz_rc invalid(struct ccz_run_status *st, const char *text)
{
    return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "%s", text);
}

/* ------------------------------------------------------------------------ signatures */

ccz_rc cczi_head_signature(const struct ccz_signature **out, struct ccz_run_status *st,
                           const struct ccz_model *m, struct ccz_span name, const char *text)
{
    if (cczi_find_signature(out, st, m, name) == CCZ_OK)
        return CCZ_OK;
    if (name.size == 0)
        name = ccz_span_str("serving_default");
    return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "%s%.*s", text, (int)name.size,
                              (const char *)name.ptr);
}

/* @p text around the signature. */
static ccz_rc with_signature(struct ccz_run_status *st, const char *text,
                             const struct ccz_signature *sig)
{
    struct ccz_buf m;
    ccz_buf_init(&m, MESSAGE_SIZE_MAX);
    ccz_buf_put_str(&m, text);
    cczi_signature_text(&m, sig);
    return cczi_status_buf(st, CCZ_RUN_INVALID_ARGUMENT, &m);
}

static size_t index_of(const struct ccz_signature *sig, const char *name)
{
    for (size_t i = 0; i < sig->out_len; i++)
        if (strcmp(sig->out[i].name, name) == 0)
            return i;
    return SIZE_MAX;
}

static ccz_rc wants_classes(struct cczi_wants *out, struct ccz_run_status *st,
                            const struct ccz_signature *sig)
{
    if (sig->out_len != 1 && sig->out_len != 2)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "Expected one or two output Tensors, found %zu", sig->out_len);
    if (strcmp(sig->in[0].name, "inputs") != 0)
        return with_signature(st, "No classification inputs found in SignatureDef: ", sig);
    out->classes = index_of(sig, "classes");
    out->scores = index_of(sig, "scores");
    if (out->classes == SIZE_MAX && out->scores == SIZE_MAX)
        return with_signature(
            st,
            "Expected classification signature outputs to contain at least one of "
            "\"classes\" or \"scores\". Signature was: ",
            sig);
    return CCZ_OK;
}

static ccz_rc wants_value(struct cczi_wants *out, struct ccz_run_status *st,
                          const struct ccz_signature *sig)
{
    if (sig->out_len != 1)
        return invalid(st, "Expected one output Tensor.");
    if (strcmp(sig->in[0].name, "inputs") != 0)
        return with_signature(st, "No regression inputs found in SignatureDef: ", sig);
    out->classes = SIZE_MAX;
    out->scores = index_of(sig, "outputs");
    return out->scores == SIZE_MAX
               ? with_signature(st, "No regression outputs found in SignatureDef: ", sig)
               : CCZ_OK;
}

ccz_rc cczi_wants(struct cczi_wants *out, struct ccz_run_status *st, const struct ccz_infer *s,
                  const struct ccz_signature *sig, enum cczi_head head)
{
    *out = (struct cczi_wants){.head = head, .sig = sig};
    if (s->cfg.method_name_check && strcmp(sig->method, heads[head].method) != 0)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "Expected %s signature method_name to be %s. Was: %s",
                                  heads[head].noun, heads[head].method, sig->method);
    if (sig->in_len != 1)
        return invalid(st, "Expected one input Tensor.");
    return head == CCZI_CLASSIFY ? wants_classes(out, st, sig) : wants_value(out, st, sig);
}

/* ------------------------------------------------------------------------ outputs */

/* "[2,3]" as TensorShape::DebugString() */
static ccz_rc wrong_shape(struct ccz_run_status *st, const char *text, const struct ccz_tensor *t)
{
    struct ccz_buf m;
    ccz_buf_init(&m, MESSAGE_SIZE_MAX);
    ccz_buf_put_str(&m, text);
    for (int i = 0; i < t->rank; i++)
        ccz_buf_printf(&m, "%s%" PRId64, i ? "," : "[", t->dims[i]);
    ccz_buf_put_str(&m, t->rank ? "]" : "[]");
    return cczi_status_buf(st, CCZ_RUN_INVALID_ARGUMENT, &m);
}

/* One matrix [examples, classes] of Classify. */
static ccz_rc check_matrix(struct ccz_run_status *st, const char *what, const struct ccz_tensor *t,
                           enum ccz_dtype dtype, size_t len)
{
    if (t->rank != 2)
        return wrong_shape(st, "Expected Tensor shape: [batch_size num_classes] but got ", t);
    if (t->dtype != dtype)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "Expected %s Tensor of %s. Got: %s",
                                  what, ccz_dtype_enum_name(dtype), ccz_dtype_enum_name(t->dtype));
    if (t->dims[0] != (int64_t)len)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "Expected %s output batch size of %zu. Got: %" PRId64, what, len,
                                  t->dims[0]);
    return CCZ_OK;
}

/* PostProcessClassificationResult() */
static ccz_rc check_classes(struct cczi_scores *r, struct ccz_run_status *st)
{
    ccz_rc rc = CCZ_OK;
    if (r->classes)
        rc = check_matrix(st, "classes", r->classes, CCZ_DT_STRING, r->len);
    if (rc == CCZ_OK && r->scores)
        rc = check_matrix(st, "scores", r->scores, CCZ_DT_FLOAT, r->len);
    if (rc == CCZ_OK && r->classes && r->scores && r->classes->dims[1] != r->scores->dims[1])
        rc = ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                "Tensors class and score should match in dim_size(1). Got %" PRId64
                                " vs. %" PRId64,
                                r->classes->dims[1], r->scores->dims[1]);
    if (rc == CCZ_OK)
        r->classes_len = (size_t)(r->classes ? r->classes : r->scores)->dims[1];
    return rc;
}

/* PostProcessRegressionResult() */
static ccz_rc check_value(struct cczi_scores *r, struct ccz_run_status *st)
{
    const struct ccz_tensor *t = r->scores;
    if (t->rank != 1 && (t->rank != 2 || t->dims[1] != 1))
        return wrong_shape(st,
                           "Expected output Tensor shape to be either [batch_size] or "
                           "[batch_size, 1] but got ",
                           t);
    if (t->dims[0] != (int64_t)r->len)
        return ccz_run_status_set(
            st, CCZ_RUN_INVALID_ARGUMENT,
            "Input batch size did not match output batch size: %zu vs. %" PRId64, r->len,
            t->dims[0]);
    if (t->dtype != CCZ_DT_FLOAT)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "Expected output Tensor of DT_FLOAT.  Got: %s",
                                  ccz_dtype_enum_name(t->dtype));
    return CCZ_OK;
}

ccz_rc cczi_scores(struct cczi_scores *out, struct ccz_run_status *st, const struct cczi_wants *w,
                   const struct ccz_tensor *classes, const struct ccz_tensor *scores, size_t len)
{
    *out = (struct cczi_scores){.head = w->head, .classes = classes, .scores = scores, .len = len};
    return w->head == CCZI_CLASSIFY ? check_classes(out, st) : check_value(out, st);
}

static float score_at(const struct cczi_scores *r, size_t i)
{
    float v = 0;
    if (r->scores)
        memcpy(&v, r->scores->data.ptr + i * sizeof(v), sizeof(v));
    return v;
}

/* A float field as protobuf 3 has it: absent if it is +0. */
static size_t float_size(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits ? 5 : 0;
}

static void put_float(struct ccz_buf *out, uint32_t number, float v)
{
    if (float_size(v))
        ccz_pb_put_float(out, number, v);
}

/* Class {1 label, 2 score}; its size is known, so that a thousand classes cost no padded lengths. */
static void put_class(struct ccz_buf *out, struct ccz_span label, float score)
{
    const size_t text = label.size ? 1 + ccz_pb_varint_size(label.size) + label.size : 0;
    ccz_pb_put_tag(out, 1, CCZ_PB_LEN);
    ccz_pb_put_varint(out, text + float_size(score));
    if (label.size)
        ccz_pb_put_bytes(out, 1, label);
    put_float(out, 2, score);
}

void cczi_scores_put(struct ccz_buf *out, const struct cczi_scores *r)
{
    static const struct ccz_span none = {0};
    for (size_t i = 0; i < r->len && !out->bad; i++) {
        if (r->head == CCZI_REGRESS) {
            const float v = score_at(r, i);
            ccz_pb_put_tag(out, 1, CCZ_PB_LEN);
            ccz_pb_put_varint(out, float_size(v));
            put_float(out, 1, v);
            continue;
        }
        const size_t classifications = ccz_pb_open(out, 1);
        for (size_t c = 0; c < r->classes_len; c++) {
            const size_t at = i * r->classes_len + c;
            put_class(out, r->classes ? r->classes->strings[at] : none, score_at(r, at));
        }
        ccz_pb_close(out, classifications);
    }
}

static void json_score(struct cczi_jw *w, float v)
{
    cczi_jw_raw(w);
    ccz_json_put_float(w->out, v);
}

/* MakeJsonFromClassificationResult(), MakeJsonFromRegressionResult() */
void cczi_scores_json(struct ccz_buf *out, const struct cczi_scores *r)
{
    static const struct ccz_span none = {0};
    struct cczi_jw w = {.out = out, .indent = 4};
    cczi_jw_object(&w);
    cczi_jw_key(&w, "results");
    w.single_line = r->head == CCZI_REGRESS;
    cczi_jw_array(&w);
    for (size_t i = 0; i < r->len && !out->bad; i++) {
        if (r->head == CCZI_REGRESS) {
            json_score(&w, score_at(r, i));
            continue;
        }
        w.single_line = true;
        cczi_jw_array(&w);
        for (size_t c = 0; c < r->classes_len; c++) {
            const size_t at = i * r->classes_len + c;
            cczi_jw_array(&w);
            cczi_jw_string(&w, r->classes ? r->classes->strings[at] : none);
            json_score(&w, score_at(r, at));
            cczi_jw_array_end(&w);
        }
        cczi_jw_array_end(&w);
        w.single_line = false;
    }
    cczi_jw_array_end(&w);
    cczi_jw_object_end(&w);
}

/* ------------------------------------------------------------------------ calls */

/* ClassificationResponse, RegressionResponse {1 result, 2 model_spec} */
static ccz_rc put_head(struct ccz_buf *out, struct ccz_infer_http_answer *http,
                       struct ccz_run_status *st, struct ccz_infer_task *t,
                       const struct ccz_tensor *result)
{
    const struct cczi_wants *w = t->detail;
    const struct ccz_tensor *classes = w->classes == SIZE_MAX ? NULL : &result[0];
    const struct ccz_tensor *scores = w->scores == SIZE_MAX ? NULL : &result[classes != NULL];
    struct cczi_scores r;
    ccz_rc rc = cczi_scores(&r, st, w, classes, scores, t->examples);
    if (rc != CCZ_OK)
        return rc;
    if (http) {
        cczi_scores_json(out, &r);
        return CCZ_OK;
    }
    const size_t mark = ccz_pb_open(out, 1);
    cczi_scores_put(out, &r);
    ccz_pb_close(out, mark);
    cczi_spec_put(out, 2, t, w->sig->name);
    return CCZ_OK;
}

/* Classes first, then scores: that is how put_head() finds them. */
static ccz_rc set_request(struct ccz_infer_task *t, struct ccz_run_status *st,
                          const struct cczi_wants *w, const struct ccz_tensor *examples)
{
    struct ccz_tensor *in = cczi_scratch_raw(&t->scratch, 1, sizeof(*in));
    size_t *fetch = cczi_scratch_raw(&t->scratch, 2, sizeof(*fetch)), n = 0;
    if (!in || !fetch)
        return cczi_no_memory(st);
    *in = *examples;
    in->name = w->sig->in[0].name;
    if (w->classes != SIZE_MAX)
        fetch[n++] = w->classes;
    if (w->scores != SIZE_MAX)
        fetch[n++] = w->scores;
    t->req.sig = w->sig;
    t->req.in = in;
    t->req.in_len = 1;
    t->req.fetch = fetch;
    t->req.fetch_len = n;
    t->examples = in->len;
    t->answer = put_head;
    return CCZ_OK;
}

static ccz_rc prepare_wants(struct ccz_infer_task *t, struct ccz_run_status *st,
                            struct ccz_span signature, enum cczi_head head)
{
    const struct ccz_signature *sig;
    struct cczi_wants *w = cczi_scratch_take(&t->scratch, 1, sizeof(*w));
    if (!w)
        return cczi_no_memory(st);
    t->detail = w;
    ccz_rc rc = cczi_head_signature(&sig, st, t->v->model, signature,
                                    "No signature was found with the name: ");
    return rc == CCZ_OK ? cczi_wants(w, st, t->s, sig, head) : rc;
}

ccz_rc cczi_head_prepare(struct ccz_infer_task *t, struct ccz_run_status *st,
                         struct ccz_span signature, const struct ccz_tensor *examples,
                         enum cczi_head head)
{
    ccz_rc rc = prepare_wants(t, st, signature, head);
    return rc == CCZ_OK ? set_request(t, st, t->detail, examples) : rc;
}

/* ClassificationRequest, RegressionRequest {1 model_spec, 2 input} */
static ccz_rc begin_head(struct ccz_infer_task *t, struct ccz_run_status *st,
                         const struct ccz_infer_call *call, enum cczi_head head)
{
    struct cczi_spec spec = {0};
    struct ccz_span input = {0};
    struct ccz_rd r = ccz_rd_from(call->request);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r)) {
        if (f.number == 1 && f.wire == CCZ_PB_LEN)
            r.bad = !cczi_spec_parse(&spec, f.bytes);
        else if (f.number == 2 && f.wire == CCZ_PB_LEN)
            input = f.bytes;
    }
    if (r.bad)
        return cczi_unparsable(st);
    struct ccz_tensor examples;
    ccz_rc rc = cczi_task_acquire(t, st, &spec);
    if (rc == CCZ_OK)
        rc = prepare_wants(t, st, spec.signature, head);
    if (rc == CCZ_OK)
        rc = cczi_examples_pb(&examples, st, input, &t->scratch);
    return rc == CCZ_OK ? set_request(t, st, t->detail, &examples) : rc;
}

ccz_rc cczi_classify_grpc(struct ccz_infer_task *t, struct ccz_buf *out, struct ccz_run_status *st,
                          const struct ccz_infer_call *call)
{
    (void)out;
    return begin_head(t, st, call, CCZI_CLASSIFY);
}

ccz_rc cczi_regress_grpc(struct ccz_infer_task *t, struct ccz_buf *out, struct ccz_run_status *st,
                         const struct ccz_infer_call *call)
{
    (void)out;
    return begin_head(t, st, call, CCZI_REGRESS);
}
