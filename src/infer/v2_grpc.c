/* SPDX-License-Identifier: Apache-2.0 */
/* inference.GRPCInferenceService of the Open Inference Protocol (open_inference_grpc.proto). */
#include "infer/v2_priv.h"

#include <cczoo/codec.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------------ contents */

/* Where the values of a type are in InferTensorContents, and where InferParameter keeps a text. */
static const struct contents {
    enum ccz_dtype dtype;
    uint32_t field;
    enum ccz_pb_wire wire;
} table[] = {
    {CCZ_DT_BOOL, 1, CCZ_PB_VARINT},   {CCZ_DT_INT8, 2, CCZ_PB_VARINT},
    {CCZ_DT_INT16, 2, CCZ_PB_VARINT},  {CCZ_DT_INT32, 2, CCZ_PB_VARINT},
    {CCZ_DT_INT64, 3, CCZ_PB_VARINT},  {CCZ_DT_UINT8, 4, CCZ_PB_VARINT},
    {CCZ_DT_UINT16, 4, CCZ_PB_VARINT}, {CCZ_DT_UINT32, 4, CCZ_PB_VARINT},
    {CCZ_DT_UINT64, 5, CCZ_PB_VARINT}, {CCZ_DT_FLOAT, 6, CCZ_PB_I32},
    {CCZ_DT_DOUBLE, 7, CCZ_PB_I64},    {CCZ_DT_STRING, 8, CCZ_PB_LEN},
};
enum { PARAMETER_STRING = 3 };

static const struct contents *contents_of(enum ccz_dtype t)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].dtype == t)
            return &table[i];
    return NULL;
}

struct sink {
    const struct contents *c;
    size_t size, len, seen; /* bytes of an element, elements that fit, elements that came */
    uint8_t *to;
    struct ccz_span *strings;
    bool overflow; /* a value that its type cannot hold */
};

static bool fits(uint64_t v, size_t size, enum ccz_dtype t)
{
    if (t == CCZ_DT_BOOL)
        return v <= 1;
    if (size == 8 || t == CCZ_DT_FLOAT)
        return true;
    const uint64_t half = (uint64_t)1 << (size * 8 - 1);
    if (t == CCZ_DT_INT8 || t == CCZ_DT_INT16 || t == CCZ_DT_INT32)
        return v + half < 2 * half; /* negative ones come as 64 bits */
    return v < 2 * half;
}

static void put(struct sink *s, uint64_t v)
{
    if (s->seen < s->len) {
        s->overflow = s->overflow || !fits(v, s->size, s->c->dtype);
        for (size_t i = 0; i < s->size; i++)
            s->to[s->seen * s->size + i] = (uint8_t)(v >> (8 * i));
    }
    s->seen++;
}

static bool put_packed(struct sink *s, struct ccz_span run)
{
    struct ccz_rd r = ccz_rd_from(run);
    while (r.left && !r.bad) {
        if (s->c->wire == CCZ_PB_VARINT)
            put(s, ccz_pb_varint(&r));
        else
            put(s, s->c->wire == CCZ_PB_I32 ? ccz_rd_le32(&r) : ccz_rd_le64(&r));
    }
    return !r.bad;
}

static bool fill(struct sink *s, struct ccz_span msg)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    bool ok = true;
    while (ok && ccz_pb_next(&f, &r)) {
        if (f.number != s->c->field)
            continue;
        if (s->strings && f.wire == CCZ_PB_LEN) {
            if (s->seen < s->len)
                s->strings[s->seen] = f.bytes;
            s->seen++;
        } else if (!s->strings && f.wire == s->c->wire) {
            put(s, f.num);
        } else if (!s->strings && f.wire == CCZ_PB_LEN) {
            ok = put_packed(s, f.bytes);
        }
    }
    return ok && !r.bad;
}

static ccz_rc take_contents(struct cczi_v2_input *in, struct ccz_run_status *st,
                            struct ccz_span msg, struct cczi_scratch *scratch)
{
    const bool text = in->t.dtype == CCZ_DT_STRING;
    struct sink s = {.c = contents_of(in->t.dtype),
                     .size = text ? sizeof(struct ccz_span) : ccz_dtype_size(in->t.dtype),
                     .len = in->t.len};
    if (!s.c)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "%s travels in raw_input_contents only",
                                  cczi_v2_datatype(in->t.dtype));
    if (s.len > msg.size) /* a value takes a byte or more: before memory is taken for them */
        return ccz_run_status_set(
            st, CCZ_RUN_INVALID_ARGUMENT,
            "input %.*s: its shape asks for %zu values, %zu bytes cannot hold them",
            (int)(in->name.size < 200 ? in->name.size : 200),
            in->name.ptr ? (const char *)in->name.ptr : "", in->t.len, msg.size);
    void *memory = cczi_scratch_raw(scratch, s.len, s.size);
    if (!memory)
        return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED,
                                  "an input is larger than the server allows");
    s.strings = text ? memory : NULL;
    s.to = memory;
    if (!fill(&s, msg))
        return cczi_unparsable(st);
    if (s.seen != s.len)
        return cczi_v2_wrong_len(st, in, s.seen);
    if (s.overflow)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "an input has a value that is no %s",
                                  cczi_v2_datatype(in->t.dtype));
    in->t.strings = s.strings;
    in->t.data = text ? (struct ccz_span){0} : CCZ_SPAN(s.to, s.len * s.size);
    return CCZ_OK;
}

static void put_contents(struct ccz_buf *out, const struct ccz_tensor *t)
{
    const struct contents *c = contents_of(t->dtype);
    const size_t size = ccz_dtype_size(t->dtype);
    if (t->dtype == CCZ_DT_STRING) {
        for (size_t i = 0; i < t->len; i++)
            ccz_pb_put_bytes(out, c->field, t->strings[i]);
        return;
    }
    if (c->wire != CCZ_PB_VARINT) { /* little-endian on the wire as in memory */
        ccz_pb_put_bytes(out, c->field, t->data);
        return;
    }
    const size_t mark = ccz_pb_open(out, c->field);
    const bool is_signed =
        t->dtype == CCZ_DT_INT8 || t->dtype == CCZ_DT_INT16 || t->dtype == CCZ_DT_INT32;
    for (size_t i = 0; i < t->len; i++) {
        uint64_t v = 0;
        for (size_t k = 0; k < size; k++)
            v |= (uint64_t)t->data.ptr[i * size + k] << (8 * k);
        if (is_signed && v >> (8 * size - 1))
            v |= ~(uint64_t)0 << (8 * size - 1);
        ccz_pb_put_varint(out, v);
    }
    ccz_pb_close(out, mark);
}

/* ------------------------------------------------------------------------ ModelInfer */

/* A parameter {1 key, 2 InferParameter}; only the name of the signature means something here. */
static bool parse_parameter(struct ccz_span *signature, struct ccz_span entry)
{
    struct ccz_span key, value;
    if (!cczi_map_entry(&key, &value, entry))
        return false;
    if (!ccz_span_eq(key, ccz_span_str("signature_name")))
        return true;
    struct ccz_rd r = ccz_rd_from(value);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r))
        if (f.number == PARAMETER_STRING && f.wire == CCZ_PB_LEN)
            *signature = f.bytes;
    return !r.bad;
}

static bool put_dims(struct cczi_v2_input *in, struct ccz_run_status *st, struct ccz_span packed)
{
    struct ccz_rd r = ccz_rd_from(packed);
    while (r.left && !r.bad)
        if (cczi_v2_dim(in, st, (int64_t)ccz_pb_varint(&r)) != CCZ_OK)
            return false;
    return !r.bad;
}

/* InferInputTensor {1 name, 2 datatype, 3 rep shape, 4 parameters, 5 contents} */
static ccz_rc parse_input(struct cczi_v2_input *in, struct ccz_span *contents,
                          struct ccz_run_status *st, struct ccz_span msg)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    bool ok = true;
    while (ok && ccz_pb_next(&f, &r)) {
        if (f.number == 3 && f.wire == CCZ_PB_VARINT)
            ok = cczi_v2_dim(in, st, (int64_t)f.num) == CCZ_OK;
        if (f.wire != CCZ_PB_LEN)
            continue;
        if (f.number == 1)
            in->name = f.bytes;
        else if (f.number == 2)
            in->datatype = f.bytes;
        else if (f.number == 3)
            ok = put_dims(in, st, f.bytes);
        else if (f.number == 5)
            *contents = f.bytes;
    }
    if (st->code != CCZ_RUN_OK)
        return ccz_run_rc(st->code);
    return ok && !r.bad ? cczi_v2_begin(in, st) : cczi_unparsable(st);
}

/* How many there are of what a request repeats. */
struct counts {
    size_t inputs, outputs, raw;
};

static bool count(struct counts *n, struct ccz_span msg)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    *n = (struct counts){0};
    while (ccz_pb_next(&f, &r)) {
        n->inputs += f.number == 5 && f.wire == CCZ_PB_LEN;
        n->outputs += f.number == 6 && f.wire == CCZ_PB_LEN;
        n->raw += f.number == 7 && f.wire == CCZ_PB_LEN;
    }
    return !r.bad;
}

/* A wanted output {1 name, 2 parameters} */
static bool parse_output(struct ccz_span *name, struct ccz_span msg)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r))
        if (f.number == 1 && f.wire == CCZ_PB_LEN)
            *name = f.bytes;
    return !r.bad;
}

/* ModelInferRequest {1 model_name, 2 model_version, 3 id, 4 parameters, 5 inputs, 6 outputs, 7 raw_input_contents} */
static ccz_rc parse_infer(struct cczi_v2_request *req, struct ccz_span *contents,
                          struct ccz_span *raw, struct ccz_run_status *st, struct ccz_span msg)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    size_t raws = 0;
    ccz_rc rc = CCZ_OK;
    req->spec.present = true;
    while (rc == CCZ_OK && ccz_pb_next(&f, &r)) {
        bool ok = true;
        if (f.wire != CCZ_PB_LEN)
            continue;
        if (f.number == 1)
            req->spec.name = f.bytes;
        else if (f.number == 2)
            rc = cczi_v2_version(&req->spec, st, f.bytes);
        else if (f.number == 3)
            req->id = f.bytes;
        else if (f.number == 4)
            ok = parse_parameter(&req->spec.signature, f.bytes);
        else if (f.number == 5) {
            rc = parse_input(&req->in[req->in_len], &contents[req->in_len], st, f.bytes);
            req->in_len++;
        } else if (f.number == 6)
            ok = parse_output(&req->outputs[req->outputs_len++], f.bytes);
        else if (f.number == 7)
            raw[raws++] = f.bytes;
        if (!ok)
            return cczi_unparsable(st);
    }
    return rc == CCZ_OK && r.bad ? cczi_unparsable(st) : rc;
}

static ccz_rc take_values(struct cczi_v2_request *req, struct ccz_run_status *st,
                          const struct counts *n, const struct ccz_span *contents,
                          const struct ccz_span *raw, struct cczi_scratch *scratch)
{
    if (n->raw && n->raw != req->in_len)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "%zu raw_input_contents for %zu inputs", n->raw, req->in_len);
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < req->in_len; i++) {
        if (n->raw && contents[i].size)
            return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                      "contents beside raw_input_contents");
        rc = n->raw ? cczi_v2_take_raw(&req->in[i], st, raw[i], scratch)
                    : take_contents(&req->in[i], st, contents[i], scratch);
    }
    return rc;
}

static void put_version(struct ccz_buf *out, uint32_t number, int64_t version)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%" PRId64, version);
    ccz_pb_put_str(out, number, text);
}

/* What the answer needs of the request. */
struct asked {
    struct ccz_span id;
    bool raw;
};

/* FP16 and BF16 have no contents: an answer with one of them is raw. */
static bool must_be_raw(const struct ccz_tensor *result, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!contents_of(result[i].dtype))
            return true;
    return false;
}

/* InferOutputTensor {1 name, 2 datatype, 3 shape, 5 contents} */
static void put_output(struct ccz_buf *out, const char *name, const struct ccz_tensor *t, bool raw)
{
    ccz_pb_put_str(out, 1, name);
    ccz_pb_put_str(out, 2, cczi_v2_datatype(t->dtype));
    const size_t shape = ccz_pb_open(out, 3);
    for (int k = 0; k < t->rank; k++)
        ccz_pb_put_varint(out, (uint64_t)t->dims[k]);
    ccz_pb_close(out, shape);
    if (raw)
        return;
    const size_t contents = ccz_pb_open(out, 5);
    put_contents(out, t);
    ccz_pb_close(out, contents);
}

/* ModelInferResponse {1 model_name, 2 model_version, 3 id, 4 parameters, 5 outputs, 6 raw_output_contents} */
static ccz_rc put_infer(struct ccz_buf *out, struct ccz_infer_http_answer *http,
                        struct ccz_run_status *st, struct ccz_infer_task *t,
                        const struct ccz_tensor *result)
{
    (void)http, (void)st;
    const struct asked *a = t->detail;
    const size_t len = cczi_task_outputs(t);
    const bool raw = a->raw || must_be_raw(result, len);
    ccz_pb_put_str(out, 1, t->info.model);
    put_version(out, 2, t->info.version);
    if (a->id.size)
        ccz_pb_put_bytes(out, 3, a->id);
    for (size_t i = 0; i < len; i++) {
        const size_t tensor = ccz_pb_open(out, 5);
        put_output(out, cczi_task_output(t, i)->name, &result[i], raw);
        ccz_pb_close(out, tensor);
    }
    for (size_t i = 0; raw && i < len; i++) {
        const size_t bytes = ccz_pb_open(out, 6);
        cczi_v2_put_raw(out, &result[i]);
        ccz_pb_close(out, bytes);
    }
    return CCZ_OK;
}

static ccz_rc infer(struct ccz_infer_task *t, struct ccz_buf *out, struct ccz_run_status *st,
                    const struct ccz_infer_call *call)
{
    (void)out;
    struct counts n;
    struct cczi_v2_request req = {0};
    struct cczi_scratch *scratch = &t->scratch;
    if (!count(&n, call->request))
        return cczi_unparsable(st);
    if (n.inputs > CCZI_NAMES_MAX || n.outputs > CCZI_NAMES_MAX || n.raw > CCZI_NAMES_MAX)
        return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "more than %d tensors",
                                  CCZI_NAMES_MAX);
    struct ccz_span *contents = cczi_scratch_take(scratch, n.inputs, sizeof(*contents));
    struct ccz_span *raw = cczi_scratch_take(scratch, n.raw, sizeof(*raw));
    struct asked *asked = cczi_scratch_take(scratch, 1, sizeof(*asked));
    req.in = cczi_scratch_take(scratch, n.inputs, sizeof(*req.in));
    req.outputs = cczi_scratch_take(scratch, n.outputs, sizeof(*req.outputs));
    if (!contents || !raw || !req.in || !req.outputs || !asked)
        return cczi_no_memory(st);
    ccz_rc rc = parse_infer(&req, contents, raw, st, call->request);
    if (rc == CCZ_OK)
        rc = take_values(&req, st, &n, contents, raw, scratch);
    if (rc == CCZ_OK)
        rc = cczi_v2_prepare(t, st, &req);
    *asked = (struct asked){.id = req.id, .raw = n.raw > 0};
    t->detail = asked;
    t->answer = put_infer;
    return rc;
}

/* ------------------------------------------------------------------------ the others */

static ccz_rc server_live(struct ccz_infer_task *t, struct ccz_buf *out, struct ccz_run_status *st,
                          const struct ccz_infer_call *call)
{
    (void)t, (void)st, (void)call;
    ccz_pb_put_uint(out, 1, 1);
    return CCZ_OK;
}

static ccz_rc server_ready(struct ccz_infer_task *t, struct ccz_buf *out, struct ccz_run_status *st,
                           const struct ccz_infer_call *call)
{
    (void)st, (void)call;
    ccz_pb_put_uint(out, 1, ccz_infer_ready(t->s, NULL));
    return CCZ_OK;
}

/* Both requests that name a model: {1 name, 2 version} */
static ccz_rc parse_model(struct cczi_spec *spec, struct ccz_run_status *st, struct ccz_span msg)
{
    *spec = (struct cczi_spec){.present = true};
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    ccz_rc rc = CCZ_OK;
    while (rc == CCZ_OK && ccz_pb_next(&f, &r)) {
        if (f.number == 1 && f.wire == CCZ_PB_LEN)
            spec->name = f.bytes;
        if (f.number == 2 && f.wire == CCZ_PB_LEN)
            rc = cczi_v2_version(spec, st, f.bytes);
    }
    return rc == CCZ_OK && r.bad ? cczi_unparsable(st) : rc;
}

static ccz_rc model_ready(struct ccz_infer_task *t, struct ccz_buf *out, struct ccz_run_status *st,
                          const struct ccz_infer_call *call)
{
    struct cczi_spec spec;
    ccz_rc rc = parse_model(&spec, st, call->request);
    if (rc == CCZ_OK)
        ccz_pb_put_uint(out, 1, cczi_v2_model_ready(t, &spec));
    return rc;
}

static ccz_rc server_metadata(struct ccz_infer_task *t, struct ccz_buf *out,
                              struct ccz_run_status *st, const struct ccz_infer_call *call)
{
    (void)st, (void)call;
    ccz_pb_put_str(out, 1, CCZI_V2_SERVER);
    ccz_pb_put_str(out, 2, t->s->cfg.version ? t->s->cfg.version : "");
    ccz_pb_put_str(out, 3, CCZI_V2_EXTENSION);
    if (t->s->cfg.on_repository)
        ccz_pb_put_str(out, 3, CCZI_V2_REPOSITORY);
    return CCZ_OK;
}

static void put_tensors(struct ccz_buf *out, uint32_t number, const struct ccz_tensor_info *t,
                        size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const size_t tensor = ccz_pb_open(out, number);
        ccz_pb_put_str(out, 1, t[i].name);
        ccz_pb_put_str(out, 2, cczi_v2_datatype(t[i].dtype));
        const size_t shape = ccz_pb_open(out, 3);
        if (t[i].unknown_rank)
            ccz_pb_put_varint(out, (uint64_t)-1);
        for (int k = 0; !t[i].unknown_rank && k < t[i].rank; k++)
            ccz_pb_put_varint(out, (uint64_t)t[i].dims[k]);
        ccz_pb_close(out, shape);
        ccz_pb_close(out, tensor);
    }
}

static void put_available(void *arg, const struct cczi_version *v)
{
    if (v->state == CCZ_INFER_AVAILABLE)
        put_version(arg, 2, v->version);
}

/* ModelMetadataResponse {1 name, 2 rep versions, 3 platform, 4 rep inputs, 5 rep outputs} */
static ccz_rc model_metadata(struct ccz_infer_task *t, struct ccz_buf *out,
                             struct ccz_run_status *st, const struct ccz_infer_call *call)
{
    struct cczi_spec spec;
    ccz_rc rc = parse_model(&spec, st, call->request);
    if (rc == CCZ_OK)
        rc = cczi_task_acquire(t, st, &spec);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_signature *sig = cczi_v2_main_signature(t->v->model);
    ccz_pb_put_str(out, 1, t->info.model);
    rc = cczi_status_each(&t->info.model, st, t->s, &spec, put_available, out);
    ccz_pb_put_str(out, 3, cczi_v2_platform(t->v->model));
    if (sig) {
        put_tensors(out, 4, sig->in, sig->in_len);
        put_tensors(out, 5, sig->out, sig->out_len);
    }
    return rc;
}

/* ------------------------------------------------------------------------ repository extension */

/* ModelIndex {1 name, 2 version, 3 state, 4 reason} */
static void put_index(void *arg, const struct cczi_version *v)
{
    struct ccz_buf *out = arg;
    const size_t model = ccz_pb_open(out, 1);
    ccz_pb_put_str(out, 1, v->of->text);
    put_version(out, 2, v->version);
    ccz_pb_put_str(out, 3, cczi_v2_index_state(v));
    ccz_pb_put_str(out, 4, v->health.msg);
    ccz_pb_close(out, model);
}

static ccz_rc repository_index(struct ccz_infer_task *t, struct ccz_buf *out,
                               struct ccz_run_status *st, const struct ccz_infer_call *call)
{
    (void)call;
    ccz_rc rc = cczi_v2_has_repository(t, st);
    if (rc == CCZ_OK)
        cczi_each(t->s, put_index, out);
    return rc;
}

/* {1 repository_name, 2 model_name, 3 parameters}; both answers are empty */
static ccz_rc repository_change(struct ccz_infer_task *t, struct ccz_run_status *st,
                                const struct ccz_infer_call *call, enum ccz_infer_repository what)
{
    struct ccz_rd r = ccz_rd_from(call->request);
    struct ccz_pb_field f;
    struct ccz_span name = {0};
    while (ccz_pb_next(&f, &r))
        if (f.number == 2 && f.wire == CCZ_PB_LEN)
            name = f.bytes;
    return r.bad ? cczi_unparsable(st) : cczi_v2_repository(t, st, what, name);
}

static ccz_rc repository_load(struct ccz_infer_task *t, struct ccz_buf *out,
                              struct ccz_run_status *st, const struct ccz_infer_call *call)
{
    (void)out;
    return repository_change(t, st, call, CCZ_INFER_REPOSITORY_LOAD);
}

static ccz_rc repository_unload(struct ccz_infer_task *t, struct ccz_buf *out,
                                struct ccz_run_status *st, const struct ccz_infer_call *call)
{
    (void)out;
    return repository_change(t, st, call, CCZ_INFER_REPOSITORY_UNLOAD);
}

cczi_grpc_fn cczi_v2_grpc(const char **api, const char *method)
{
    static const struct {
        const char *name;
        cczi_grpc_fn begin;
    } methods[] = {
        {"ModelInfer", infer},
        {"ServerLive", server_live},
        {"ServerReady", server_ready},
        {"ModelReady", model_ready},
        {"ServerMetadata", server_metadata},
        {"ModelMetadata", model_metadata},
        {"RepositoryIndex", repository_index},
        {"RepositoryModelLoad", repository_load},
        {"RepositoryModelUnload", repository_unload},
    };
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (strcmp(methods[i].name, method) == 0) {
            *api = i == 0 ? methods[i].name : "";
            return methods[i].begin;
        }
    return NULL;
}
