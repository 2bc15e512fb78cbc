/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MultiInference: several heads over the same examples, computed in one run.
 * Checks and words are those of servables/tensorflow/multi_inference.cc.
 */
#include "infer/infer_priv.h"

#include <cczoo/codec.h>

#include <string.h>

struct head {
    struct cczi_spec spec;
    struct ccz_span method;
    struct cczi_wants wants;
    size_t base; /* of its signature's outputs in those of the run */
};
struct multi {
    struct head *heads;
    size_t len;
    struct ccz_span input;
};

/* InferenceTask {1 model_spec, 2 method_name} */
static bool parse_head(struct head *h, struct ccz_span msg)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r)) {
        if (f.number == 1 && f.wire == CCZ_PB_LEN)
            r.bad = !cczi_spec_parse(&h->spec, f.bytes);
        else if (f.number == 2 && f.wire == CCZ_PB_LEN)
            h->method = f.bytes;
    }
    return !r.bad;
}

/* MultiInferenceRequest {1 rep tasks, 2 input} */
static ccz_rc parse(struct multi *m, struct ccz_run_status *st, struct ccz_span msg,
                    struct cczi_scratch *scratch)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    size_t len = 0;
    while (ccz_pb_next(&f, &r))
        len += f.number == 1 && f.wire == CCZ_PB_LEN;
    if (r.bad)
        return cczi_unparsable(st);
    if (len > CCZI_NAMES_MAX)
        return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "more than %d tasks",
                                  CCZI_NAMES_MAX);
    m->heads = cczi_scratch_take(scratch, len, sizeof(*m->heads));
    if (!m->heads)
        return cczi_no_memory(st);
    r = ccz_rd_from(msg);
    while (ccz_pb_next(&f, &r)) {
        if (f.number == 1 && f.wire == CCZ_PB_LEN && !parse_head(&m->heads[m->len++], f.bytes))
            return cczi_unparsable(st);
        if (f.number == 2 && f.wire == CCZ_PB_LEN)
            m->input = f.bytes;
    }
    return CCZ_OK;
}

static ccz_rc check_head(struct multi *m, struct ccz_run_status *st, const struct ccz_infer_task *t,
                         size_t i)
{
    struct head *h = &m->heads[i];
    const struct ccz_signature *sig;
    if (h->spec.name.size == 0)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "%s",
                                  "Found ModelSpec with an empty model name.");
    if (!ccz_span_eq(h->spec.name, m->heads[0].spec.name))
        return ccz_run_status_set(
            st, CCZ_RUN_INVALID_ARGUMENT, "%s",
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.");
    if (h->spec.signature.size == 0)
        h->spec.signature = ccz_span_str("serving_default");
    for (size_t k = 0; k < i; k++)
        if (ccz_span_eq(m->heads[k].spec.signature, h->spec.signature))
            return ccz_run_status_set(
                st, CCZ_RUN_INVALID_ARGUMENT, "Duplicate evaluation of signature: %.*s",
                (int)h->spec.signature.size, (const char *)h->spec.signature.ptr);
    ccz_rc rc = cczi_head_signature(&sig, st, t->v->model, h->spec.signature,
                                    "Requested signature not found in model graph: ");
    if (rc != CCZ_OK)
        return rc;
    if (ccz_span_eq(h->method, ccz_span_str("tensorflow/serving/classify")))
        return cczi_wants(&h->wants, st, t->s, sig, CCZI_CLASSIFY);
    if (ccz_span_eq(h->method, ccz_span_str("tensorflow/serving/regress")))
        return cczi_wants(&h->wants, st, t->s, sig, CCZI_REGRESS);
    return ccz_run_status_set(st, CCZ_RUN_UNIMPLEMENTED, "Unsupported signature method_name: %.*s",
                              (int)h->method.size,
                              h->method.ptr ? (const char *)h->method.ptr : "");
}

/* The signatures in their order in the model: a model keeps few unions, so the order of a request makes no new one. */
static void sort(const struct ccz_signature **sigs, const struct multi *m)
{
    for (size_t i = 0; i < m->len; i++) {
        size_t at = i;
        for (; at > 0 && sigs[at - 1] > m->heads[i].wants.sig; at--)
            sigs[at] = sigs[at - 1];
        sigs[at] = m->heads[i].wants.sig;
    }
}

/* One signature that stands for all of them: the outputs of each follow those of the one before. */
static ccz_rc unite(struct ccz_infer_task *t, struct ccz_run_status *st, struct multi *m)
{
    const struct ccz_signature **sigs =
        cczi_scratch_take(&t->scratch, m->len, sizeof(const struct ccz_signature *));
    if (!sigs)
        return cczi_no_memory(st);
    sort(sigs, m);
    for (size_t i = 0; i < m->len; i++)
        for (size_t k = 0; sigs[k] != m->heads[i].wants.sig; k++)
            m->heads[i].base += sigs[k]->out_len;
    struct ccz_err err = {0};
    ccz_rc rc = ccz_model_union(&t->req.sig, t->v->model, sigs, m->len, &err);
    if (rc == CCZ_OK) {
        t->united = t->req.sig;
        return CCZ_OK;
    }
    const enum ccz_run_code code = rc == CCZ_E_UNSUPPORTED ? CCZ_RUN_UNIMPLEMENTED
                                   : rc == CCZ_E_ARG       ? CCZ_RUN_INVALID_ARGUMENT
                                                           : CCZ_RUN_RESOURCE_EXHAUSTED;
    return ccz_run_status_set(st, code, "the signatures cannot be computed in one run: %s",
                              err.msg);
}

/* MultiInferenceResponse {1 rep results {1 model_spec, 2 classification_result, 3 regression_result}} */
static ccz_rc put_multi(struct ccz_buf *out, struct ccz_infer_http_answer *http,
                        struct ccz_run_status *st, struct ccz_infer_task *t,
                        const struct ccz_tensor *result)
{
    (void)http;
    const struct multi *m = t->detail;
    for (size_t i = 0; i < m->len; i++) {
        const struct cczi_wants *w = &m->heads[i].wants;
        const struct ccz_tensor *all = &result[m->heads[i].base];
        struct cczi_scores r;
        ccz_rc rc = cczi_scores(&r, st, w, w->classes == SIZE_MAX ? NULL : &all[w->classes],
                                w->scores == SIZE_MAX ? NULL : &all[w->scores], t->examples);
        if (rc != CCZ_OK)
            return rc;
        const size_t one = ccz_pb_open(out, 1);
        cczi_spec_put(out, 1, t, w->sig->name);
        const size_t scores = ccz_pb_open(out, w->head == CCZI_CLASSIFY ? 2 : 3);
        cczi_scores_put(out, &r);
        ccz_pb_close(out, scores);
        ccz_pb_close(out, one);
    }
    return CCZ_OK;
}

ccz_rc cczi_multi_grpc(struct ccz_infer_task *t, struct ccz_buf *out, struct ccz_run_status *st,
                       const struct ccz_infer_call *call)
{
    (void)out;
    struct multi *m = cczi_scratch_take(&t->scratch, 1, sizeof(*m));
    struct ccz_tensor *in = cczi_scratch_take(&t->scratch, 1, sizeof(*in));
    if (!m || !in)
        return cczi_no_memory(st);
    ccz_rc rc = parse(m, st, call->request, &t->scratch);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_spec first = {.present =
                                  true}; /* no task, no model: refused as one without a name */
    if (m->len && m->heads[0].spec.present)
        first = m->heads[0].spec;
    rc = cczi_task_acquire(t, st, &first);
    for (size_t i = 0; rc == CCZ_OK && i < m->len; i++)
        rc = check_head(m, st, t, i);
    if (rc == CCZ_OK)
        rc = cczi_examples_pb(in, st, m->input, &t->scratch);
    if (rc == CCZ_OK)
        rc = unite(t, st, m);
    if (rc != CCZ_OK)
        return rc;
    in->name = t->req.sig->in[0].name;
    t->req.in = in;
    t->req.in_len = 1;
    t->examples = in->len;
    t->detail = m;
    t->answer = put_multi;
    return CCZ_OK;
}
