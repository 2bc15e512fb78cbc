/* SPDX-License-Identifier: Apache-2.0 */
/* Open Inference Protocol: types, shapes, raw tensors, and the run that gRPC and REST share. */
#include "infer/v2_priv.h"

#include <inttypes.h>
#include <string.h>

static const struct {
    enum ccz_dtype dtype;
    const char *text;
} datatypes[] = {
    {CCZ_DT_BOOL, "BOOL"},    {CCZ_DT_UINT8, "UINT8"},   {CCZ_DT_UINT16, "UINT16"},
    {CCZ_DT_INT8, "INT8"},    {CCZ_DT_UINT32, "UINT32"}, {CCZ_DT_UINT64, "UINT64"},
    {CCZ_DT_INT16, "INT16"},  {CCZ_DT_INT32, "INT32"},   {CCZ_DT_INT64, "INT64"},
    {CCZ_DT_HALF, "FP16"},    {CCZ_DT_FLOAT, "FP32"},    {CCZ_DT_DOUBLE, "FP64"},
    {CCZ_DT_STRING, "BYTES"}, {CCZ_DT_BFLOAT16, "BF16"},
};
enum { DATATYPES_LEN = sizeof(datatypes) / sizeof(datatypes[0]) };

enum ccz_dtype cczi_v2_dtype(struct ccz_span text)
{
    for (size_t i = 0; i < DATATYPES_LEN; i++)
        if (ccz_span_eq(ccz_span_str(datatypes[i].text), text))
            return datatypes[i].dtype;
    return CCZ_DT_INVALID;
}

const char *cczi_v2_datatype(enum ccz_dtype t)
{
    for (size_t i = 0; i < DATATYPES_LEN; i++)
        if (datatypes[i].dtype == t)
            return datatypes[i].text;
    return "";
}

/* For "%.*s" in messages: an absent text has no pointer, and a long one is cut. */
#define TEXT(s) (int)((s).size < 200 ? (s).size : 200), (s).ptr ? (const char *)(s).ptr : ""

ccz_rc cczi_v2_version(struct cczi_spec *spec, struct ccz_run_status *st, struct ccz_span text)
{
    spec->has_version = text.size > 0;
    spec->version = 0;
    for (size_t i = 0; i < text.size; i++) {
        const int64_t d = text.ptr[i] - '0';
        if (d < 0 || d > 9 || spec->version > (INT64_MAX - d) / 10)
            return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                      "model version \"%.*s\" is no number", TEXT(text));
        spec->version = spec->version * 10 + d;
    }
    return CCZ_OK;
}

ccz_rc cczi_v2_dim(struct cczi_v2_input *in, struct ccz_run_status *st, int64_t size)
{
    if (in->t.rank == CCZ_TENSOR_RANK_MAX)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "input %.*s has more than %d dimensions", TEXT(in->name),
                                  CCZ_TENSOR_RANK_MAX);
    in->t.dims[in->t.rank++] = size;
    return CCZ_OK;
}

ccz_rc cczi_v2_begin(struct cczi_v2_input *in, struct ccz_run_status *st)
{
    in->t.dtype = cczi_v2_dtype(in->datatype);
    if (in->t.dtype == CCZ_DT_INVALID)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "input %.*s has no known datatype: \"%.*s\"", TEXT(in->name),
                                  TEXT(in->datatype));
    if (!ccz_tensor_len(&in->t.len, in->t.rank, in->t.dims))
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "input %.*s has no valid shape",
                                  TEXT(in->name));
    return CCZ_OK;
}

ccz_rc cczi_v2_wrong_len(struct ccz_run_status *st, const struct cczi_v2_input *in, size_t got)
{
    return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                              "input %.*s: its shape asks for %zu values, got %zu", TEXT(in->name),
                              in->t.len, got);
}

/* ------------------------------------------------------------------------ raw values */

static ccz_rc raw_strings(struct cczi_v2_input *in, struct ccz_run_status *st, struct ccz_span raw,
                          struct cczi_scratch *scratch)
{
    if (in->t.len > raw.size / 4) /* before memory is taken for them */
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "input %.*s: %zu bytes are too few for %zu strings",
                                  TEXT(in->name), raw.size, in->t.len);
    struct ccz_span *s = cczi_scratch_take(scratch, in->t.len, sizeof(*s));
    if (!s)
        return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED,
                                  "input %.*s is larger than the server allows", TEXT(in->name));
    struct ccz_rd r = ccz_rd_from(raw);
    for (size_t i = 0; i < in->t.len; i++)
        s[i] = ccz_rd_take(&r, ccz_rd_le32(&r));
    if (!ccz_rd_done(&r))
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "input %.*s: its bytes are not %zu strings, each behind its size",
                                  TEXT(in->name), in->t.len);
    in->t.strings = s;
    return CCZ_OK;
}

ccz_rc cczi_v2_take_raw(struct cczi_v2_input *in, struct ccz_run_status *st, struct ccz_span raw,
                        struct cczi_scratch *scratch)
{
    if (in->t.dtype == CCZ_DT_STRING)
        return raw_strings(in, st, raw, scratch);
    const size_t size = ccz_dtype_size(in->t.dtype);
    if (raw.size != in->t.len * size)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "input %.*s: its shape asks for %zu bytes, got %zu",
                                  TEXT(in->name), in->t.len * size, raw.size);
    for (size_t i = 0; in->t.dtype == CCZ_DT_BOOL && i < raw.size; i++)
        if (raw.ptr[i] > 1) /* another byte would be neither to the code behind */
            return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                      "input %.*s: byte %zu is no BOOL", TEXT(in->name), i);
    in->t.data = raw;
    return CCZ_OK;
}

void cczi_v2_put_raw(struct ccz_buf *out, const struct ccz_tensor *t)
{
    if (t->dtype != CCZ_DT_STRING) {
        ccz_buf_put_span(out, t->data);
        return;
    }
    for (size_t i = 0; i < t->len; i++) {
        if (t->strings[i].size > UINT32_MAX) {
            out->bad = true;
            return;
        }
        ccz_buf_le32(out, (uint32_t)t->strings[i].size);
        ccz_buf_put_span(out, t->strings[i]);
    }
}

/* ------------------------------------------------------------------------ run */

static const struct cczi_v2_input *given(const struct cczi_v2_request *req, const char *name,
                                         size_t *times)
{
    const struct cczi_v2_input *found = NULL;
    *times = 0;
    for (size_t i = 0; i < req->in_len; i++)
        if (ccz_span_eq(req->in[i].name, ccz_span_str(name))) {
            found = &req->in[i];
            ++*times;
        }
    return found;
}

/* Every input once, by name; what is left out has a default. */
static ccz_rc match_inputs(struct ccz_tensor *in, struct ccz_run_status *st,
                           const struct ccz_signature *sig, const struct cczi_v2_request *req,
                           struct cczi_scratch *scratch)
{
    size_t used = 0;
    for (size_t i = 0; i < sig->in_len; i++) {
        const struct ccz_tensor_info *info = &sig->in[i];
        size_t times;
        const struct cczi_v2_input *g = given(req, info->name, &times);
        if (times > 1)
            return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                      "input %.200s is there %zu times", info->name, times);
        if (!g) {
            ccz_rc rc = cczi_default_input(&in[i], st, info, scratch);
            if (rc != CCZ_OK)
                return rc;
            continue;
        }
        if (g->t.dtype != info->dtype)
            return ccz_run_status_set(
                st, CCZ_RUN_INVALID_ARGUMENT, "input %.200s has datatype %s, the model takes %s",
                info->name, cczi_v2_datatype(g->t.dtype), cczi_v2_datatype(info->dtype));
        in[i] = g->t;
        in[i].name = info->name;
        used++;
    }
    for (size_t i = 0; used < req->in_len && i < req->in_len; i++) {
        size_t k = 0;
        while (k < sig->in_len && !ccz_span_eq(req->in[i].name, ccz_span_str(sig->in[k].name)))
            k++;
        if (k == sig->in_len)
            return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "the model has no input %.*s",
                                      TEXT(req->in[i].name));
    }
    return CCZ_OK;
}

static ccz_rc match_outputs(size_t *fetch, struct ccz_run_status *st,
                            const struct ccz_signature *sig, const struct cczi_v2_request *req)
{
    for (size_t i = 0; i < req->outputs_len; i++) {
        size_t k = 0;
        while (k < sig->out_len && !ccz_span_eq(req->outputs[i], ccz_span_str(sig->out[k].name)))
            k++;
        if (k == sig->out_len)
            return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "the model has no output %.*s",
                                      TEXT(req->outputs[i]));
        for (size_t before = 0; before < i; before++)
            if (fetch[before] == k)
                return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                          "output %.200s is asked for twice", sig->out[k].name);
        fetch[i] = k;
    }
    return CCZ_OK;
}

ccz_rc cczi_v2_prepare(struct ccz_infer_task *t, struct ccz_run_status *st,
                       const struct cczi_v2_request *req)
{
    const struct ccz_signature *sig = NULL;
    ccz_rc rc = cczi_task_acquire(t, st, &req->spec);
    if (rc == CCZ_OK)
        rc = cczi_find_signature(&sig, st, t->v->model, req->spec.signature);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_tensor *in = cczi_scratch_raw(&t->scratch, sig->in_len, sizeof(*in));
    size_t *fetch = NULL;
    if (req->outputs_len)
        fetch = cczi_scratch_raw(&t->scratch, req->outputs_len, sizeof(*fetch));
    if (!in || (req->outputs_len && !fetch))
        return cczi_no_memory(st);
    rc = match_inputs(in, st, sig, req, &t->scratch);
    if (rc == CCZ_OK && req->outputs_len)
        rc = match_outputs(fetch, st, sig, req);
    t->info.api = "ModelInfer";
    t->req.sig = sig;
    t->req.in = in;
    t->req.in_len = sig->in_len;
    t->req.fetch = fetch;
    t->req.fetch_len = req->outputs_len;
    return rc;
}

/* ------------------------------------------------------------------------ about models */

const struct ccz_signature *cczi_v2_main_signature(const struct ccz_model *m)
{
    const struct ccz_signature *s = ccz_model_signature(m, "serving_default"), *all;
    const size_t len = ccz_model_signatures(&all, m);
    for (size_t i = 0; !s && i < len; i++)
        if (all[i].runnable)
            s = &all[i];
    return s;
}

const char *cczi_v2_platform(const struct ccz_model *m)
{
    const char *backend = ccz_engine_backend(ccz_model_engine(m));
    return strcmp(backend, "tensorflow") == 0 ? "tensorflow_savedmodel" : backend;
}

static void look(void *arg, const struct cczi_version *v)
{
    bool *ready = arg;
    *ready = *ready || v->state == CCZ_INFER_AVAILABLE;
}

bool cczi_v2_model_ready(struct ccz_infer_task *t, const struct cczi_spec *spec)
{
    bool ready = false;
    struct ccz_run_status st = {0};
    (void)cczi_status_each(&t->info.model, &st, t->s, spec, look, &ready);
    return ready;
}

/* ------------------------------------------------------------------------ repository */

ccz_rc cczi_v2_has_repository(const struct ccz_infer_task *t, struct ccz_run_status *st)
{
    return t->s->cfg.on_repository
               ? CCZ_OK
               : ccz_run_status_set(st, CCZ_RUN_UNIMPLEMENTED,
                                    "this server has no model repository for its clients");
}

const char *cczi_v2_index_state(const struct cczi_version *v)
{
    switch (v->state) {
    case CCZ_INFER_AVAILABLE:
        return "READY";
    case CCZ_INFER_START:
    case CCZ_INFER_LOADING:
        return "LOADING";
    case CCZ_INFER_UNLOADING:
        return "UNLOADING";
    case CCZ_INFER_END:
    case CCZ_INFER_UNKNOWN:
        break;
    }
    return "UNAVAILABLE";
}

ccz_rc cczi_v2_repository(struct ccz_infer_task *t, struct ccz_run_status *st,
                          enum ccz_infer_repository what, struct ccz_span name)
{
    char text[CCZ_INFER_NAME_SIZE_MAX + 1];
    ccz_rc rc = cczi_v2_has_repository(t, st);
    if (rc != CCZ_OK)
        return rc;
    if (name.size == 0 || name.size >= sizeof(text) || memchr(name.ptr, 0, name.size))
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "no model can have this name");
    memcpy(text, name.ptr, name.size);
    text[name.size] = 0;
    t->s->cfg.on_repository(t->s->cfg.arg, what, text, st);
    return ccz_run_rc(st->code);
}
