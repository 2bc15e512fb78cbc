/* SPDX-License-Identifier: Apache-2.0 */
/* From named TensorProtos to a run: the checks of TensorFlow Serving, in its order and with its
 * words. */
#include "infer/infer_priv.h"

#include <stdlib.h>
#include <string.h>

enum { MESSAGE_SIZE_MAX = 1 << 16 }; /* cut to CCZ_RUN_MSG_SIZE_MAX when it becomes a status */
static const char serving_default[] = "serving_default";

ccz_rc cczi_status_buf(struct ccz_run_status *st, enum ccz_run_code code, struct ccz_buf *msg)
{
    ccz_rc rc = ccz_run_status_set(st, code, "%s", ccz_buf_str(msg));
    ccz_buf_free(msg);
    return rc;
}

static int by_bytes(const void *a, const void *b)
{
    const struct ccz_span *x = a, *y = b;
    size_t size = x->size < y->size ? x->size : y->size;
    int c = size ? memcmp(x->ptr, y->ptr, size) : 0;
    return c ? c : (x->size > y->size) - (x->size < y->size);
}

void cczi_put_names(struct ccz_buf *out, const struct ccz_span *names, size_t len)
{
    struct ccz_span *sorted = malloc((len ? len : 1) * sizeof(*sorted));
    if (!sorted) {
        out->bad = true;
        return;
    }
    for (size_t i = 0; i < len; i++)
        sorted[i] = names[i];
    qsort(sorted, len, sizeof(*sorted), by_bytes);
    for (size_t i = 0; i < len; i++) {
        ccz_buf_put_str(out, i ? "," : "");
        ccz_buf_put_span(out, sorted[i]);
    }
    free(sorted);
}

ccz_rc cczi_find_signature(const struct ccz_signature **out, struct ccz_run_status *st,
                           const struct ccz_model *m, struct ccz_span name)
{
    if (name.size == 0)
        name = CCZ_SPAN(serving_default, sizeof(serving_default) - 1);
    const struct ccz_signature *s;
    size_t len = ccz_model_signatures(&s, m);
    *out = NULL;
    for (size_t i = 0; i < len; i++)
        if (ccz_span_eq(ccz_span_str(s[i].name), name))
            *out = &s[i];
    if (!*out)
        return ccz_run_status_set(st, CCZ_RUN_FAILED_PRECONDITION,
                                  "Serving signature key \"%.*s\" not found.", (int)name.size,
                                  (const char *)name.ptr);
    return CCZ_OK;
}

/* VerifySignature() of predict_util.cc */
ccz_rc cczi_check_predict(struct ccz_run_status *st, const struct ccz_infer *s,
                          const struct ccz_signature *sig)
{
    static const char predict[] = "tensorflow/serving/predict",
                      classify[] = "tensorflow/serving/classify",
                      regress[] = "tensorflow/serving/regress";
    if (!s->cfg.method_name_check || strcmp(sig->method, predict) == 0 ||
        strcmp(sig->method, classify) == 0 || strcmp(sig->method, regress) == 0)
        return CCZ_OK;
    return ccz_run_status_set(
        st, CCZ_RUN_INTERNAL,
        "Expected prediction signature method_name to be one of {%s, %s, %s}. Was: %s", predict,
        classify, regress, sig->method);
}

/* ------------------------------------------------------------------------ inputs: what is wrong with them */

/* Made for messages only: a good request needs none of it. */
struct names {
    struct ccz_span *sent, *wanted, *pick;
    size_t sent_len, wanted_len;
};

static bool contains(const struct ccz_span *names, size_t len, struct ccz_span name)
{
    for (size_t i = 0; i < len; i++)
        if (ccz_span_eq(names[i], name))
            return true;
    return false;
}

/* Appends the names of @p a that are not in @p b. */
static void put_difference(struct ccz_buf *out, struct ccz_span *pick, const struct ccz_span *a,
                           size_t a_len, const struct ccz_span *b, size_t b_len)
{
    size_t n = 0;
    for (size_t i = 0; i < a_len; i++)
        if (!contains(b, b_len, a[i]))
            pick[n++] = a[i];
    cczi_put_names(out, pick, n);
}

static bool take_names(struct names *n, const struct ccz_signature *sig,
                       const struct cczi_predict *req, struct cczi_scratch *scratch)
{
    n->sent_len = req->in_len;
    n->wanted_len = sig->in_len;
    n->sent = cczi_scratch_take(scratch, n->sent_len + 1, sizeof(struct ccz_span));
    n->wanted = cczi_scratch_take(scratch, n->wanted_len + 1, sizeof(struct ccz_span));
    n->pick = cczi_scratch_take(scratch, n->sent_len + n->wanted_len + 1, sizeof(struct ccz_span));
    if (!n->sent || !n->wanted || !n->pick)
        return false;
    for (size_t i = 0; i < n->sent_len; i++)
        n->sent[i] = req->in[i].name;
    for (size_t i = 0; i < n->wanted_len; i++)
        n->wanted[i] = ccz_span_str(sig->in[i].name);
    return true;
}

/* VerifyRequestInputsSize() of predict_util.cc */
static ccz_rc wrong_count(struct ccz_run_status *st, const struct ccz_signature *sig,
                          const struct cczi_predict *req, struct cczi_scratch *scratch)
{
    struct names n;
    if (!take_names(&n, sig, req, scratch))
        return cczi_no_memory(st);
    struct ccz_buf b;
    ccz_buf_init(&b, MESSAGE_SIZE_MAX);
    ccz_buf_printf(&b, "input size does not match signature: %zu!=%zu len({", n.sent_len,
                   n.wanted_len);
    cczi_put_names(&b, n.sent, n.sent_len);
    ccz_buf_put_str(&b, "}) != len({");
    cczi_put_names(&b, n.wanted, n.wanted_len);
    ccz_buf_put_str(&b, "}). Sent extra: {");
    put_difference(&b, n.pick, n.sent, n.sent_len, n.wanted, n.wanted_len);
    ccz_buf_put_str(&b, "}. Missing but required: {");
    put_difference(&b, n.pick, n.wanted, n.wanted_len, n.sent, n.sent_len);
    ccz_buf_put_str(&b, "}.");
    return cczi_status_buf(st, CCZ_RUN_INVALID_ARGUMENT, &b);
}

static ccz_rc missing_input(struct ccz_run_status *st, const struct ccz_signature *sig, size_t i,
                            const struct cczi_predict *req, struct cczi_scratch *scratch)
{
    struct names n;
    if (!take_names(&n, sig, req, scratch))
        return cczi_no_memory(st);
    struct ccz_buf b;
    ccz_buf_init(&b, MESSAGE_SIZE_MAX);
    ccz_buf_printf(&b,
                   "Signature input alias: %s(feed name: %s) not found in request and no default "
                   "value provided. "
                   "Inputs expected to be in the request {",
                   sig->in[i].name, sig->in[i].tensor_name);
    cczi_put_names(&b, n.sent, n.sent_len);
    ccz_buf_put_str(&b, "}, or default input alias set: ");
    size_t len = 0;
    for (size_t k = 0; k < sig->in_len; k++)
        if (sig->in[k].default_proto.size)
            n.pick[len++] = n.wanted[k];
    cczi_put_names(&b, n.pick, len);
    return cczi_status_buf(st, CCZ_RUN_INVALID_ARGUMENT, &b);
}

static ccz_rc unknown_input(struct ccz_run_status *st, const struct ccz_signature *sig,
                            const struct cczi_predict *req, struct cczi_scratch *scratch)
{
    struct names n;
    if (!take_names(&n, sig, req, scratch))
        return cczi_no_memory(st);
    struct ccz_buf b;
    size_t used = 0;
    for (size_t i = 0; i < n.sent_len; i++)
        if (contains(n.wanted, n.wanted_len, n.sent[i]))
            n.pick[used++] = n.sent[i];
    ccz_buf_init(&b, MESSAGE_SIZE_MAX);
    ccz_buf_put_str(&b, "Inputs contains invalid name. Used request inputs: ");
    cczi_put_names(&b, n.pick, used);
    ccz_buf_put_str(&b, ", request input: ");
    cczi_put_names(&b, n.sent, n.sent_len);
    return cczi_status_buf(st, CCZ_RUN_INVALID_ARGUMENT, &b);
}

/* ------------------------------------------------------------------------ inputs */

static bool count_fits(const struct ccz_signature *sig, size_t sent)
{
    bool defaults = false;
    for (size_t i = 0; i < sig->in_len; i++)
        defaults = defaults || sig->in[i].default_proto.size > 0;
    return sent == sig->in_len || (sent < sig->in_len && defaults);
}

static ccz_rc decode_input(struct ccz_tensor *t, struct ccz_run_status *st,
                           const struct ccz_tensor_info *info, struct ccz_span proto,
                           struct cczi_scratch *scratch)
{
    switch (cczi_tensor_decode(t, proto, scratch)) {
    case CCZI_TENSOR_OK:
        t->name = info->name;
        return CCZ_OK;
    case CCZI_TENSOR_MALFORMED:
        return ccz_run_status_set(st, CCZ_RUN_INTERNAL, "Failed to parse the request message");
    case CCZI_TENSOR_LIMIT:
        return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED,
                                  "input %s is larger than the server allows", info->name);
    case CCZI_TENSOR_INVALID:
        break;
    }
    return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "tensor parsing error: %s", info->name);
}

ccz_rc cczi_default_input(struct ccz_tensor *t, struct ccz_run_status *st,
                          const struct ccz_tensor_info *info, struct cczi_scratch *scratch)
{
    if (info->default_proto.size == 0)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "input %.200s is missing and has no default", info->name);
    return decode_input(t, st, info, info->default_proto, scratch);
}

/* GetInputValues() of cc/saved_model/util.cc */
static ccz_rc decode_inputs(struct ccz_tensor *in, struct ccz_run_status *st,
                            const struct ccz_signature *sig, const struct cczi_predict *req,
                            struct cczi_scratch *scratch)
{
    size_t used = 0;
    for (size_t i = 0; i < sig->in_len; i++) {
        const struct ccz_span name = ccz_span_str(sig->in[i].name);
        const struct ccz_span *proto = NULL;
        for (size_t k = 0; k < req->in_len && !proto; k++)
            if (ccz_span_eq(req->in[k].name, name))
                proto = &req->in[k].proto;
        if (!proto && sig->in[i].default_proto.size == 0)
            return missing_input(st, sig, i, req, scratch);
        used += proto != NULL;
        ccz_rc rc = decode_input(&in[i], st, &sig->in[i], proto ? *proto : sig->in[i].default_proto,
                                 scratch);
        if (rc != CCZ_OK)
            return rc;
    }
    return used == req->in_len ? CCZ_OK : unknown_input(st, sig, req, scratch);
}

/* ------------------------------------------------------------------------ outputs */

static ccz_rc unknown_output(struct ccz_run_status *st, const struct ccz_signature *sig,
                             struct ccz_span alias)
{
    struct ccz_buf b;
    ccz_buf_init(&b, MESSAGE_SIZE_MAX);
    ccz_buf_put_str(&b, "output tensor alias not found in signature: ");
    ccz_buf_put_span(&b, alias);
    ccz_buf_put_str(&b, " Outputs expected to be in the set {");
    for (size_t i = 0; i < sig->out_len; i++) /* sorted already */
        ccz_buf_printf(&b, "%s%s", i ? "," : "", sig->out[i].name);
    ccz_buf_put_str(&b, "}.");
    return cczi_status_buf(st, CCZ_RUN_INVALID_ARGUMENT, &b);
}

static ccz_rc pick_outputs(size_t *fetch, struct ccz_run_status *st,
                           const struct ccz_signature *sig, const struct cczi_predict *req)
{
    for (size_t i = 0; i < req->filter_len; i++) {
        size_t k = 0;
        while (k < sig->out_len && !ccz_span_eq(ccz_span_str(sig->out[k].name), req->filter[i]))
            k++;
        if (k == sig->out_len)
            return unknown_output(st, sig, req->filter[i]);
        for (size_t before = 0; before < i; before++)
            if (fetch[before] == k)
                return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                          "duplicate output tensor alias: %s", sig->out[k].name);
        fetch[i] = k;
    }
    return CCZ_OK;
}

ccz_rc cczi_predict_prepare(struct ccz_infer_task *t, struct ccz_run_status *st,
                            const struct ccz_signature *sig, const struct cczi_predict *req)
{
    ccz_rc rc = cczi_check_predict(st, t->s, sig);
    if (rc != CCZ_OK)
        return rc;
    if (!count_fits(sig, req->in_len))
        return wrong_count(st, sig, req, &t->scratch);
    struct ccz_tensor *in = cczi_scratch_raw(&t->scratch, sig->in_len, sizeof(*in));
    size_t *fetch = NULL;
    if (req->filter_len)
        fetch = cczi_scratch_raw(&t->scratch, req->filter_len, sizeof(*fetch));
    if (!in || (req->filter_len && !fetch))
        return cczi_no_memory(st);
    rc = decode_inputs(in, st, sig, req, &t->scratch);
    if (rc == CCZ_OK && req->filter_len)
        rc = pick_outputs(fetch, st, sig, req);
    t->req.sig = sig;
    t->req.in = in;
    t->req.in_len = sig->in_len;
    t->req.fetch = fetch;
    t->req.fetch_len = req->filter_len;
    return rc;
}
