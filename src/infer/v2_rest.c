/* SPDX-License-Identifier: Apache-2.0 */
/* REST paths below /v2 of the Open Inference Protocol, with its extension for binary tensors. */
#include "infer/v2_priv.h"

#include <cczoo/codec.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static CCZ_FMT(2, 3) ccz_rc invalid(struct ccz_run_status *st, const char *fmt, ...)
{
    char text[CCZ_RUN_MSG_SIZE_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "%s", text);
}

/* ------------------------------------------------------------------------ request */

struct body {
    struct cczi_json root;
    struct cczi_json_seen seen;
    struct ccz_span binary;  /* behind the JSON, what is not taken yet */
    struct ccz_span *wanted; /* names of outputs */
    bool *binary_output;     /* of each wanted output */
    bool all_binary;         /* of every output that says nothing */
    struct cczi_scratch *scratch;
};

/* The header says how much of the body is JSON; tensors as bytes follow. */
static ccz_rc split(struct body *b, struct ccz_run_status *st, const struct ccz_infer_http *call)
{
    size_t size = call->body.size;
    if (call->json_size) {
        size = 0;
        for (const char *p = call->json_size; *p; p++) {
            if (*p < '0' || *p > '9' || size > call->body.size)
                return invalid(st, "header %s is no size within the body",
                               CCZ_INFER_HEADER_JSON_SIZE);
            size = size * 10 + (size_t)(*p - '0');
        }
        if (size > call->body.size || !call->json_size[0])
            return invalid(st, "header %s is no size within the body", CCZ_INFER_HEADER_JSON_SIZE);
    }
    b->binary = ccz_span_sub(call->body, size, call->body.size - size);
    b->root.begin = b->root.p = call->body.ptr;
    b->root.end = call->body.ptr + size;
    if (size == 0)
        return invalid(st, "JSON Parse error: The document is empty");
    if (!cczi_json_check(&b->root, &b->seen))
        return invalid(st, "JSON Parse error: %s at offset: %zu", b->root.error, b->root.error_at);
    return cczi_json_kind(&b->root) == CCZI_OBJECT ? CCZ_OK
                                                   : invalid(st, "the request is no JSON object");
}

/* Member @p key of one kind; false with a status if it is of another, or must be there and is not. */
static bool member(struct cczi_json *value, struct ccz_run_status *st, const struct body *b,
                   struct cczi_json object, const char *key, enum cczi_json_kind kind, bool must)
{
    *value = (struct cczi_json){0};
    if (!cczi_json_member(value, object, key, b->scratch)) {
        if (must)
            (void)invalid(st, "\"%s\" is missing", key);
        return !must;
    }
    struct cczi_json at = *value;
    if (cczi_json_kind(&at) == kind)
        return true;
    (void)invalid(st, "\"%s\" is of the wrong kind", key);
    return false;
}

static bool flag(bool *out, struct ccz_run_status *st, const struct body *b,
                 struct cczi_json object, const char *key)
{
    struct cczi_json v;
    if (!cczi_json_member(&v, object, key, b->scratch))
        return true;
    const enum cczi_json_kind kind = cczi_json_kind(&v);
    *out = kind == CCZI_TRUE;
    if (kind != CCZI_TRUE && kind != CCZI_FALSE)
        (void)invalid(st, "\"%s\" is no bool", key);
    return kind == CCZI_TRUE || kind == CCZI_FALSE;
}

static ccz_rc read_shape(struct cczi_v2_input *in, struct ccz_run_status *st, struct cczi_json j)
{
    cczi_json_enter(&j);
    for (bool first = true; cczi_json_more(&j, first); first = false) {
        if (cczi_json_kind(&j) != CCZI_NUMBER)
            return invalid(st, "a dimension is no number");
        const struct cczi_num n = cczi_json_num(&j);
        if (!n.integer || n.negative || n.magnitude > INT64_MAX)
            return invalid(st, "a dimension is no size");
        ccz_rc rc = cczi_v2_dim(in, st, (int64_t)n.magnitude);
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

/* "binary_data_size" of an input's parameters: its values are the next bytes behind the JSON. */
static ccz_rc read_binary(struct cczi_v2_input *in, struct ccz_run_status *st, struct body *b,
                          struct cczi_json size)
{
    if (cczi_json_kind(&size) != CCZI_NUMBER)
        return invalid(st, "\"binary_data_size\" is no number");
    const struct cczi_num n = cczi_json_num(&size);
    if (!n.integer || n.negative || n.magnitude > b->binary.size)
        return invalid(st, "\"binary_data_size\" is more than what follows the JSON");
    const struct ccz_span raw = ccz_span_sub(b->binary, 0, (size_t)n.magnitude);
    b->binary = ccz_span_sub(b->binary, raw.size, b->binary.size - raw.size);
    return cczi_v2_take_raw(in, st, raw, b->scratch);
}

static ccz_rc read_input(struct cczi_v2_input *in, struct ccz_run_status *st, struct body *b,
                         struct cczi_json j)
{
    struct cczi_json name, datatype, shape, parameters, data, size;
    if (!member(&name, st, b, j, "name", CCZI_STRING, true) ||
        !member(&datatype, st, b, j, "datatype", CCZI_STRING, true) ||
        !member(&shape, st, b, j, "shape", CCZI_ARRAY, true) ||
        !member(&parameters, st, b, j, "parameters", CCZI_OBJECT, false))
        return ccz_run_rc(st->code);
    in->name = cczi_json_string(&name, b->scratch);
    in->datatype = cczi_json_string(&datatype, b->scratch);
    ccz_rc rc = read_shape(in, st, shape);
    if (rc == CCZ_OK)
        rc = cczi_v2_begin(in, st);
    if (rc != CCZ_OK)
        return rc;
    const bool binary =
        parameters.p && cczi_json_member(&size, parameters, "binary_data_size", b->scratch);
    if (!member(&data, st, b, j, "data", CCZI_ARRAY, !binary))
        return ccz_run_rc(st->code);
    if (binary && data.p)
        return invalid(st, "an input has both \"data\" and \"binary_data_size\"");
    return binary ? read_binary(in, st, b, size)
                  : cczi_json_values(&in->t, st, in->name, data, b->scratch);
}

static ccz_rc read_inputs(struct cczi_v2_request *req, struct ccz_run_status *st, struct body *b,
                          struct cczi_json j)
{
    const size_t len = (size_t)cczi_json_elements(j);
    if (len > CCZI_NAMES_MAX)
        return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "more than %d inputs",
                                  CCZI_NAMES_MAX);
    req->in = cczi_scratch_take(b->scratch, len + 1, sizeof(*req->in));
    if (!req->in)
        return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "no memory for the request");
    cczi_json_enter(&j);
    while (cczi_json_more(&j, req->in_len == 0)) {
        struct cczi_json at = j;
        if (cczi_json_kind(&at) != CCZI_OBJECT)
            return invalid(st, "an input is no object");
        ccz_rc rc = read_input(&req->in[req->in_len], st, b, at);
        if (rc != CCZ_OK)
            return rc;
        req->in_len++;
        (void)cczi_json_skip(&j);
    }
    if (b->binary.size)
        return invalid(st, "%zu bytes behind the last binary input", b->binary.size);
    return CCZ_OK;
}

static ccz_rc read_outputs(struct cczi_v2_request *req, struct ccz_run_status *st, struct body *b,
                           struct cczi_json j)
{
    const size_t len = (size_t)cczi_json_elements(j);
    if (len > CCZI_NAMES_MAX)
        return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "more than %d outputs",
                                  CCZI_NAMES_MAX);
    req->outputs = cczi_scratch_take(b->scratch, len + 1, sizeof(*req->outputs));
    b->binary_output = cczi_scratch_take(b->scratch, len + 1, sizeof(*b->binary_output));
    if (!req->outputs || !b->binary_output)
        return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "no memory for the request");
    cczi_json_enter(&j);
    for (size_t i = 0; cczi_json_more(&j, i == 0); i++) {
        struct cczi_json at = j, name, parameters;
        if (cczi_json_kind(&at) != CCZI_OBJECT)
            return invalid(st, "an output is no object");
        if (!member(&name, st, b, at, "name", CCZI_STRING, true) ||
            !member(&parameters, st, b, at, "parameters", CCZI_OBJECT, false))
            return ccz_run_rc(st->code);
        req->outputs[i] = cczi_json_string(&name, b->scratch);
        b->binary_output[i] = b->all_binary;
        if (parameters.p && !flag(&b->binary_output[i], st, b, parameters, "binary_data"))
            return ccz_run_rc(st->code);
        req->outputs_len++;
        (void)cczi_json_skip(&j);
    }
    return CCZ_OK;
}

static ccz_rc read_request(struct cczi_v2_request *req, struct ccz_run_status *st, struct body *b)
{
    struct cczi_json id, parameters, signature, inputs, outputs;
    if (!member(&id, st, b, b->root, "id", CCZI_STRING, false) ||
        !member(&parameters, st, b, b->root, "parameters", CCZI_OBJECT, false) ||
        !member(&inputs, st, b, b->root, "inputs", CCZI_ARRAY, true) ||
        !member(&outputs, st, b, b->root, "outputs", CCZI_ARRAY, false))
        return ccz_run_rc(st->code);
    if (id.p)
        req->id = cczi_json_string(&id, b->scratch);
    if (parameters.p) {
        if (!member(&signature, st, b, parameters, "signature_name", CCZI_STRING, false) ||
            !flag(&b->all_binary, st, b, parameters, "binary_data_output"))
            return ccz_run_rc(st->code);
        if (signature.p)
            req->spec.signature = cczi_json_string(&signature, b->scratch);
    }
    ccz_rc rc = read_inputs(req, st, b, inputs);
    return rc == CCZ_OK && outputs.p ? read_outputs(req, st, b, outputs) : rc;
}

/* ------------------------------------------------------------------------ answer */

static void put_member(struct ccz_buf *out, const char *before, struct ccz_span text)
{
    ccz_buf_put_str(out, before);
    ccz_json_put_str(out, text);
}

static void put_dims(struct ccz_buf *out, int rank, const int64_t *dims)
{
    ccz_buf_put_str(out, "\"shape\":[");
    for (int i = 0; i < rank; i++)
        ccz_buf_printf(out, "%s%" PRId64, i ? "," : "", dims[i]);
    ccz_buf_put_str(out, "]");
}

static ccz_rc put_output(struct ccz_buf *out, struct ccz_buf *binary, struct ccz_run_status *st,
                         const struct ccz_tensor *t, const char *name, bool as_bytes)
{
    put_member(out, "{\"name\":", ccz_span_str(name));
    ccz_buf_printf(out, ",\"datatype\":\"%s\",", cczi_v2_datatype(t->dtype));
    put_dims(out, t->rank, t->dims);
    if (as_bytes) {
        const size_t before = binary->size;
        cczi_v2_put_raw(binary, t);
        ccz_buf_printf(out, ",\"parameters\":{\"binary_data_size\":%zu}}", binary->size - before);
        return CCZ_OK;
    }
    ccz_buf_put_str(out, ",\"data\":[");
    struct cczi_jw w = {.out = out, .single_line = true};
    for (size_t i = 0; i < t->len && !out->bad; i++) {
        ccz_buf_put_str(out, i ? "," : "");
        if (t->dtype == CCZ_DT_STRING)
            ccz_json_put_str(out, t->strings[i]);
        else if (!cczi_json_put_value(&w, t, i))
            return invalid(st, "output %.200s of type %s has no form in JSON: ask for it as bytes",
                           name, cczi_v2_datatype(t->dtype));
    }
    ccz_buf_put_str(out, "]}");
    return CCZ_OK;
}

/* What the answer needs of the request. */
struct asked {
    struct ccz_span id;
    const bool *binary; /* of each output that was asked for by name; NULL = all the same */
    bool all_binary;
};

static ccz_rc put_answer(struct ccz_buf *out, struct ccz_infer_http_answer *answer,
                         struct ccz_run_status *st, struct ccz_infer_task *t,
                         const struct ccz_tensor *result)
{
    const struct asked *a = t->detail;
    CCZ_AUTO_BUF binary;
    ccz_buf_init(&binary, out->max_size);
    const size_t begin = out->size, len = cczi_task_outputs(t);
    bool any = false;
    put_member(out, "{\"model_name\":", ccz_span_str(t->info.model));
    ccz_buf_printf(out, ",\"model_version\":\"%" PRId64 "\"", t->info.version);
    if (a->id.ptr)
        put_member(out, ",\"id\":", a->id);
    ccz_buf_put_str(out, ",\"outputs\":[");
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < len; i++) {
        const bool as_bytes = a->binary ? a->binary[i] : a->all_binary;
        any = any || as_bytes;
        ccz_buf_put_str(out, i ? "," : "");
        rc = put_output(out, &binary, st, &result[i], cczi_task_output(t, i)->name, as_bytes);
    }
    ccz_buf_put_str(out, "]}");
    if (rc == CCZ_OK && any) {
        answer->json_size = out->size - begin;
        answer->content_type = "application/octet-stream";
        ccz_buf_put_span(out, ccz_buf_span(&binary));
        out->bad = out->bad || binary.bad;
    }
    return rc;
}

static ccz_rc infer(struct ccz_infer_task *t, struct ccz_run_status *st,
                    const struct cczi_spec *spec, const struct ccz_infer_http *call)
{
    struct cczi_v2_request req = {.spec = *spec};
    struct body b = {.root = {.c_locale = t->s->c_locale}, .scratch = &t->scratch};
    struct asked *asked = cczi_scratch_take(&t->scratch, 1, sizeof(*asked));
    if (!asked)
        return cczi_no_memory(st);
    ccz_rc rc = split(&b, st, call);
    if (rc == CCZ_OK)
        rc = read_request(&req, st, &b);
    if (rc == CCZ_OK && t->scratch.full)
        rc = ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED,
                                "the request is larger than the server allows");
    if (rc == CCZ_OK)
        rc = cczi_v2_prepare(t, st, &req);
    *asked = (struct asked){.id = req.id,
                            .binary = req.outputs_len ? b.binary_output : NULL,
                            .all_binary = b.all_binary};
    t->detail = asked;
    t->answer = put_answer;
    return rc;
}

/* ------------------------------------------------------------------------ about server and models */

static void server_metadata(struct ccz_buf *out, const struct ccz_infer_cfg *cfg)
{
    put_member(out, "{\"name\":\"" CCZI_V2_SERVER "\",\"version\":",
               ccz_span_str(cfg->version ? cfg->version : ""));
    ccz_buf_printf(out, ",\"extensions\":[\"" CCZI_V2_EXTENSION "\"%s]}",
                   cfg->on_repository ? ",\"" CCZI_V2_REPOSITORY "\"" : "");
}

static void put_tensors(struct ccz_buf *out, const char *key, const struct ccz_tensor_info *t,
                        size_t len)
{
    static const int64_t any = -1;
    ccz_buf_printf(out, ",\"%s\":[", key);
    for (size_t i = 0; i < len; i++) {
        ccz_buf_put_str(out, i ? "," : "");
        put_member(out, "{\"name\":", ccz_span_str(t[i].name));
        ccz_buf_printf(out, ",\"datatype\":\"%s\",", cczi_v2_datatype(t[i].dtype));
        put_dims(out, t[i].unknown_rank ? 1 : t[i].rank, t[i].unknown_rank ? &any : t[i].dims);
        ccz_buf_put_str(out, "}");
    }
    ccz_buf_put_str(out, "]");
}

struct versions {
    struct ccz_buf *out;
    size_t len;
};

static void put_available(void *arg, const struct cczi_version *v)
{
    struct versions *p = arg;
    if (v->state == CCZ_INFER_AVAILABLE)
        ccz_buf_printf(p->out, "%s\"%" PRId64 "\"", p->len++ ? "," : "", v->version);
}

static ccz_rc model_metadata(struct ccz_infer_task *t, struct ccz_buf *out,
                             struct ccz_run_status *st, const struct cczi_spec *spec)
{
    ccz_rc rc = cczi_task_acquire(t, st, spec);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_signature *sig = cczi_v2_main_signature(t->v->model);
    struct versions versions = {.out = out};
    put_member(out, "{\"name\":", ccz_span_str(t->info.model));
    ccz_buf_put_str(out, ",\"versions\":[");
    rc = cczi_status_each(&t->info.model, st, t->s, spec, put_available, &versions);
    put_member(out, "],\"platform\":", ccz_span_str(cczi_v2_platform(t->v->model)));
    put_tensors(out, "inputs", sig ? sig->in : NULL, sig ? sig->in_len : 0);
    put_tensors(out, "outputs", sig ? sig->out : NULL, sig ? sig->out_len : 0);
    ccz_buf_put_str(out, "}");
    return rc;
}

/* Nothing but a status: 200, or 400 as the protocol wants any of the 4xx. */
static ccz_rc say_ready(struct ccz_infer_http_answer *answer, bool ready)
{
    answer->status = ready ? 200 : 400;
    answer->content_type = "text/plain";
    return CCZ_OK;
}

/* ------------------------------------------------------------------------ repository extension */

static void put_index(void *arg, const struct cczi_version *v)
{
    struct versions *p = arg;
    put_member(p->out, p->len++ ? ",{\"name\":" : "{\"name\":", ccz_span_str(v->of->text));
    ccz_buf_printf(p->out, ",\"version\":\"%" PRId64 "\",\"state\":\"%s\"", v->version,
                   cczi_v2_index_state(v));
    put_member(p->out, ",\"reason\":", ccz_span_str(v->health.msg));
    ccz_buf_put_str(p->out, "}");
}

static ccz_rc repository_index(struct ccz_infer_task *t, struct ccz_buf *out,
                               struct ccz_run_status *st)
{
    struct versions p = {.out = out};
    ccz_rc rc = cczi_v2_has_repository(t, st);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_put_str(out, "[");
    cczi_each(t->s, put_index, &p);
    ccz_buf_put_str(out, "]");
    return CCZ_OK;
}

/* ------------------------------------------------------------------------ dispatch */

static ccz_rc no_path(struct ccz_run_status *st, const struct ccz_infer_http *call)
{
    return ccz_run_status_set(st, CCZ_RUN_NOT_FOUND, "there is no %.16s %.200s", call->method,
                              call->path);
}

/* Behind "/repository/": index, models/NAME/load, models/NAME/unload; always POST. */
static ccz_rc on_repository(struct ccz_infer_task *t, struct ccz_buf *out,
                            struct ccz_run_status *st, const struct ccz_infer_http *call,
                            struct ccz_span path)
{
    struct ccz_span name;
    if (ccz_span_eq(path, ccz_span_str("index")))
        return repository_index(t, out, st);
    if (!cczi_path_take(&path, "models/") || !cczi_path_part(&name, &path))
        return no_path(st, call);
    name = cczi_path_unescape(name, &t->scratch);
    if (ccz_span_eq(path, ccz_span_str("/load")))
        return cczi_v2_repository(t, st, CCZ_INFER_REPOSITORY_LOAD, name);
    if (ccz_span_eq(path, ccz_span_str("/unload")))
        return cczi_v2_repository(t, st, CCZ_INFER_REPOSITORY_UNLOAD, name);
    return no_path(st, call);
}

/* Behind "/models/": NAME[/versions/V][/ready | /infer] */
static ccz_rc on_model(struct ccz_infer_task *t, struct ccz_buf *out,
                       struct ccz_infer_http_answer *answer, struct ccz_run_status *st,
                       const struct ccz_infer_http *call, struct ccz_span path)
{
    struct cczi_spec spec = {.present = true};
    struct ccz_span name, version = {0};
    const bool get = strcmp(call->method, "GET") == 0, post = strcmp(call->method, "POST") == 0;
    if (!cczi_path_part(&name, &path) ||
        (cczi_path_take(&path, "/versions/") && !cczi_path_part(&version, &path)))
        return no_path(st, call);
    spec.name = cczi_path_unescape(name, &t->scratch);
    ccz_rc rc = cczi_v2_version(&spec, st, version);
    if (rc != CCZ_OK)
        return rc;
    if (get && path.size == 0)
        return model_metadata(t, out, st, &spec);
    if (get && ccz_span_eq(path, ccz_span_str("/ready")))
        return say_ready(answer, cczi_v2_model_ready(t, &spec));
    if (post && ccz_span_eq(path, ccz_span_str("/infer")))
        return infer(t, st, &spec, call);
    return no_path(st, call);
}

ccz_rc cczi_v2_rest(struct ccz_infer_task *t, struct ccz_buf *out,
                    struct ccz_infer_http_answer *answer, struct ccz_run_status *st,
                    const struct ccz_infer_http *call, struct ccz_span path)
{
    const bool get = strcmp(call->method, "GET") == 0;
    if (cczi_path_take(&path, "/models/"))
        return on_model(t, out, answer, st, call, path);
    if (strcmp(call->method, "POST") == 0 && cczi_path_take(&path, "/repository/"))
        return on_repository(t, out, st, call, path);
    if (get && ccz_span_eq(path, ccz_span_str("/health/live")))
        return say_ready(answer, true);
    if (get && ccz_span_eq(path, ccz_span_str("/health/ready")))
        return say_ready(answer, ccz_infer_ready(t->s, NULL));
    if (!get || (path.size && !ccz_span_eq(path, ccz_span_str("/"))))
        return no_path(st, call);
    server_metadata(out, &t->s->cfg);
    return CCZ_OK;
}
