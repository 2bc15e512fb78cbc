/* SPDX-License-Identifier: Apache-2.0 */
/* The REST paths of TensorFlow Serving, from model_servers/http_rest_api_{handler,util}.cc. */
#include "infer/v2_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------------ paths */

/* /v1/models/NAME[/versions/N | /labels/L] and then ":method" or "/metadata", case-insensitive. */
struct route {
    struct ccz_span name, version, label;
    struct ccz_span method, subresource;
};

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

bool cczi_path_take(struct ccz_span *path, const char *text)
{
    size_t size = strlen(text);
    if (path->size < size)
        return false;
    for (size_t i = 0; i < size; i++)
        if (lower(path->ptr[i]) != (uint8_t)text[i])
            return false;
    *path = ccz_span_sub(*path, size, path->size - size);
    return true;
}

bool cczi_path_part(struct ccz_span *part, struct ccz_span *path)
{
    size_t size = 0;
    while (size < path->size && path->ptr[size] != '/' && path->ptr[size] != ':')
        size++;
    *part = ccz_span_sub(*path, 0, size);
    *path = ccz_span_sub(*path, size, path->size - size);
    return size > 0;
}

static bool digits(struct ccz_span s)
{
    for (size_t i = 0; i < s.size; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    return s.size > 0;
}

/* The optional "/versions/N" or "/labels/L". */
static bool take_choice(struct route *r, struct ccz_span *path)
{
    struct ccz_span at = *path;
    if (cczi_path_take(&at, "/versions/") && cczi_path_part(&r->version, &at) &&
        digits(r->version)) {
        *path = at;
        return true;
    }
    r->version = (struct ccz_span){0};
    at = *path;
    if (cczi_path_take(&at, "/labels/") && cczi_path_part(&r->label, &at))
        *path = at;
    else
        r->label = (struct ccz_span){0};
    return true;
}

static bool match_post(struct route *r, struct ccz_span path)
{
    *r = (struct route){0};
    if (!cczi_path_take(&path, "/v1/models/") || !cczi_path_part(&r->name, &path) ||
        !take_choice(r, &path) || !cczi_path_take(&path, ":"))
        return false;
    r->method = path;
    struct ccz_span known[3] = {path, path, path};
    return (cczi_path_take(&known[0], "predict") && !known[0].size) ||
           (cczi_path_take(&known[1], "classify") && !known[1].size) ||
           (cczi_path_take(&known[2], "regress") && !known[2].size);
}

/* What may follow the name: a choice, "/metadata", the end. */
static bool match_rest(struct route *r, struct ccz_span path)
{
    (void)take_choice(r, &path);
    struct ccz_span at = path;
    if (cczi_path_take(&at, "/metadata") && at.size == 0) {
        r->subresource = ccz_span_sub(path, 1, path.size - 1);
        return true;
    }
    return path.size == 0;
}

static bool match_get(struct route *r, struct ccz_span path)
{
    *r = (struct route){0};
    if (!cczi_path_take(&path, "/v1/models"))
        return false;
    struct ccz_span at = path;
    if (cczi_path_take(&at, "/") && cczi_path_part(&r->name, &at) && match_rest(r, at))
        return true;
    *r = (struct route){
        0}; /* the name is optional in the pattern; without one the request is refused below */
    return match_rest(r, path);
}

static int hex(uint8_t c)
{
    c = lower(c);
    return c >= '0' && c <= '9' ? c - '0' : (c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1);
}

struct ccz_span cczi_path_unescape(struct ccz_span s, struct cczi_scratch *scratch)
{
    uint8_t *to = cczi_scratch_take(scratch, s.size, 1);
    size_t n = 0;
    for (size_t i = 0; to && i < s.size; i++) {
        int hi = i + 2 < s.size ? hex(s.ptr[i + 1]) : -1, lo = hi >= 0 ? hex(s.ptr[i + 2]) : -1;
        bool escape = s.ptr[i] == '%' && lo >= 0;
        to[n++] = (uint8_t)(escape ? hi << 4 | lo : s.ptr[i]);
        i += escape ? 2 : 0;
    }
    return CCZ_SPAN(to, n);
}

static ccz_rc make_spec(struct cczi_spec *out, struct ccz_run_status *st, const struct route *r,
                        struct cczi_scratch *scratch)
{
    *out = (struct cczi_spec){.present = true, .name = cczi_path_unescape(r->name, scratch)};
    if (r->label.size) {
        out->has_label = true;
        out->label = cczi_path_unescape(r->label, scratch);
    }
    for (size_t i = 0; i < r->version.size; i++) {
        int64_t d = r->version.ptr[i] - '0';
        if (out->version > (INT64_MAX - d) / 10)
            return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                      "Failed to convert version: %.*s to numeric.",
                                      (int)r->version.size, (const char *)r->version.ptr);
        out->version = out->version * 10 + d;
        out->has_version = true;
    }
    return CCZ_OK;
}

/* ------------------------------------------------------------------------ predict */

/* ParseJson() and FillSignature(). */
static ccz_rc parse_body(struct cczi_json_body *body, struct ccz_span *signature,
                         struct ccz_run_status *st, struct cczi_json root,
                         struct cczi_json_seen *seen, struct cczi_scratch *scratch)
{
    if (root.p == root.end)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "JSON Parse error: The document is empty");
    if (!cczi_json_check(&root, seen))
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "JSON Parse error: %s at offset: %zu", root.error, root.error_at);
    if (cczi_json_kind(&root) != CCZI_OBJECT)
        return cczi_json_error(st, &root, " Is not object");
    cczi_json_body(body, root, scratch);
    struct cczi_json name = body->signature_name;
    if (!name.p)
        return CCZ_OK;
    if (cczi_json_kind(&name) != CCZI_STRING)
        return cczi_json_error(
            st, &root, " not formatted correctly. 'signature_name' key must be a string value.");
    *signature = cczi_json_string(&name, scratch);
    return CCZ_OK;
}

/* REST names a missing signature differently from gRPC: GetInfoMap(). */
static ccz_rc find_signature(const struct ccz_signature **sig, struct ccz_run_status *st,
                             const struct ccz_model *m, struct ccz_span name)
{
    const bool unnamed = name.size == 0;
    ccz_rc rc = cczi_find_signature(sig, st, m, name);
    if (unnamed)
        name = ccz_span_str("serving_default");
    if (rc != CCZ_OK)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "Serving signature name: \"%.*s\" not found in signature def",
                                  (int)name.size, (const char *)name.ptr);
    if ((*sig)->in_len == 0)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "Failed to get input map for signature: %s",
                                  unnamed ? "DEFAULT" : (*sig)->name);
    return CCZ_OK;
}

static ccz_rc put_predict(struct ccz_buf *out, struct ccz_infer_http_answer *http,
                          struct ccz_run_status *st, struct ccz_infer_task *t,
                          const struct ccz_tensor *result)
{
    (void)http;
    const struct cczi_json_inputs *in = t->detail;
    return cczi_json_outputs(out, st, t, result, in->row);
}

static ccz_rc prepare_predict(struct ccz_infer_task *t, struct ccz_run_status *st,
                              const struct cczi_json_body *body, struct ccz_span signature)
{
    const struct ccz_signature *sig;
    struct cczi_json_inputs *in = cczi_scratch_take(&t->scratch, 1, sizeof(*in));
    if (!in)
        return cczi_no_memory(st);
    ccz_rc rc = find_signature(&sig, st, t->v->model, signature);
    if (rc == CCZ_OK)
        rc = cczi_json_inputs(in, st, sig, body, &t->scratch);
    if (rc == CCZ_OK)
        rc = cczi_check_predict(st, t->s, sig);
    if (rc != CCZ_OK)
        return rc;
    t->req.sig = sig;
    t->req.in = in->in;
    t->req.in_len = in->in_len;
    t->detail = in;
    t->answer = put_predict;
    return CCZ_OK;
}

/* TensorFlow Serving reads the examples before it looks for the model; with Predict it is the other way round. */
static ccz_rc prepare_head(struct ccz_infer_task *t, struct ccz_run_status *st,
                           const struct cczi_spec *spec, const struct cczi_json_body *body,
                           struct ccz_span signature, enum cczi_head head)
{
    struct ccz_tensor examples;
    ccz_rc rc = cczi_json_examples(&examples, st, body, &t->scratch);
    if (rc == CCZ_OK)
        rc = cczi_task_acquire(t, st, spec);
    return rc == CCZ_OK ? cczi_head_prepare(t, st, signature, &examples, head) : rc;
}

enum verb { PREDICT, CLASSIFY, REGRESS };
static const struct {
    const char *text, *api;
} verbs[] = {
    [PREDICT] = {"predict", "Predict"},
    [CLASSIFY] = {"classify", "Classify"},
    [REGRESS] = {"regress", "Regress"},
};
enum { VERBS_LEN = sizeof(verbs) / sizeof(verbs[0]) };

static ccz_rc post(struct ccz_infer_task *t, struct ccz_run_status *st,
                   const struct cczi_spec *spec, const struct ccz_infer_http *call, enum verb verb)
{
    struct cczi_json_body body;
    struct cczi_json_seen seen;
    const struct cczi_json root = {.begin = call->body.ptr,
                                   .p = call->body.ptr,
                                   .end = call->body.ptr + call->body.size,
                                   .c_locale = t->s->c_locale};
    struct ccz_span signature = {0};
    t->info.api = verbs[verb].api;
    ccz_rc rc = parse_body(&body, &signature, st, root, &seen, &t->scratch);
    if (rc != CCZ_OK)
        return rc;
    if (verb != PREDICT)
        return prepare_head(t, st, spec, &body, signature,
                            verb == CLASSIFY ? CCZI_CLASSIFY : CCZI_REGRESS);
    rc = cczi_task_acquire(t, st, spec);
    return rc == CCZ_OK ? prepare_predict(t, st, &body, signature) : rc;
}

/* ------------------------------------------------------------------------ status, metadata */

static void put_status(void *arg, const struct cczi_version *v)
{
    struct cczi_jw *w = arg;
    char version[24];
    (void)snprintf(version, sizeof(version), "%" PRId64, v->version);
    cczi_jw_object(w);
    cczi_jw_member(w, "version", version);
    cczi_jw_member(w, "state", cczi_state_name(v->state));
    cczi_jw_key(w, "status");
    cczi_jw_object(w);
    cczi_jw_member(w, "error_code", ccz_run_code_name(v->health.code));
    cczi_jw_member(w, "error_message", v->health.msg);
    cczi_jw_object_end(w);
    cczi_jw_object_end(w);
}

static ccz_rc model_status(struct ccz_infer_task *t, struct ccz_buf *out, struct ccz_run_status *st,
                           const struct cczi_spec *spec)
{
    struct cczi_jw w = {.out = out, .indent = 1};
    t->info.api = "GetModelStatus";
    cczi_jw_object(&w);
    cczi_jw_key(&w, "model_version_status");
    cczi_jw_array(&w);
    ccz_rc rc = cczi_status_each(&t->info.model, st, t->s, spec, put_status, &w);
    cczi_jw_array_end(&w);
    cczi_jw_object_end(&w);
    ccz_buf_put_str(out, "\n");
    return rc;
}

static ccz_rc metadata(struct ccz_infer_task *t, struct ccz_buf *out, struct ccz_run_status *st,
                       const struct cczi_spec *spec)
{
    t->info.api = "GetModelMetadata";
    ccz_rc rc = cczi_task_acquire(t, st, spec);
    if (rc != CCZ_OK)
        return rc;
    char version[24];
    (void)snprintf(version, sizeof(version), "%" PRId64, t->info.version);
    struct cczi_jw w = {.out = out, .indent = 1};
    ccz_buf_put_str(out, "{\n\"model_spec\":");
    cczi_jw_object(&w);
    cczi_jw_member(&w, "name", t->info.model);
    cczi_jw_member(&w, "signature_name", "");
    cczi_jw_member(&w, "version", version);
    cczi_jw_object_end(&w);
    ccz_buf_put_str(out, "\n,\n\"metadata\": {\"signature_def\": ");
    cczi_signature_map_json(out, t->v->model);
    ccz_buf_put_str(out, "}\n}\n");
    return CCZ_OK;
}

/* ------------------------------------------------------------------------ dispatch */

unsigned ccz_infer_http_status(enum ccz_run_code code)
{
    static const unsigned status[] = {
        [CCZ_RUN_OK] = 200,
        [CCZ_RUN_CANCELLED] = 499,
        [CCZ_RUN_UNKNOWN] = 500,
        [CCZ_RUN_INVALID_ARGUMENT] = 400,
        [CCZ_RUN_DEADLINE_EXCEEDED] = 504,
        [CCZ_RUN_NOT_FOUND] = 404,
        [CCZ_RUN_ALREADY_EXISTS] = 409,
        [CCZ_RUN_PERMISSION_DENIED] = 403,
        [CCZ_RUN_RESOURCE_EXHAUSTED] = 429,
        [CCZ_RUN_FAILED_PRECONDITION] = 400,
        [CCZ_RUN_ABORTED] = 409,
        [CCZ_RUN_OUT_OF_RANGE] = 400,
        [CCZ_RUN_UNIMPLEMENTED] = 501,
        [CCZ_RUN_INTERNAL] = 500,
        [CCZ_RUN_UNAVAILABLE] = 503,
        [CCZ_RUN_DATA_LOSS] = 500,
        [CCZ_RUN_UNAUTHENTICATED] = 401,
    };
    return (unsigned)code < sizeof(status) / sizeof(status[0]) ? status[code] : 500;
}

static ccz_rc malformed(struct ccz_run_status *st, const struct ccz_infer_http *call,
                        struct ccz_span path)
{
    return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "Malformed request: %.32s %.*s",
                              call->method, (int)path.size, (const char *)path.ptr);
}

static ccz_rc on_post(struct ccz_infer_task *t, struct ccz_run_status *st, const struct route *r,
                      const struct cczi_spec *spec, const struct ccz_infer_http *call,
                      struct ccz_span path)
{
    for (int i = 0; i < VERBS_LEN; i++) /* matched in any case, known in lower case only */
        if (ccz_span_eq(r->method, ccz_span_str(verbs[i].text)))
            return post(t, st, spec, call, (enum verb)i);
    return malformed(st, call, path);
}

static ccz_rc dispatch(struct ccz_infer_task *t, struct ccz_buf *out, struct ccz_run_status *st,
                       const struct ccz_infer_http *call, struct ccz_span path)
{
    struct route r;
    struct cczi_spec spec;
    const bool is_post = strcmp(call->method, "POST") == 0 && match_post(&r, path);
    const bool is_get = !is_post && strcmp(call->method, "GET") == 0 && match_get(&r, path);
    if (!is_post && !is_get)
        return malformed(st, call, path);
    ccz_rc rc = make_spec(&spec, st, &r, &t->scratch);
    if (rc != CCZ_OK)
        return rc;
    if (is_post)
        return on_post(t, st, &r, &spec, call, path);
    if (spec.name.size == 0)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "Missing model name in request.");
    return ccz_span_eq(r.subresource, ccz_span_str("metadata")) ? metadata(t, out, st, &spec)
                                                                : model_status(t, out, st, &spec);
}

/* Which of the two interfaces a path belongs to; false: to neither. */
static bool which(bool *v2, struct ccz_span *behind, struct ccz_span path)
{
    *behind = path;
    *v2 = cczi_path_take(behind, "/v2") && (behind->size == 0 || behind->ptr[0] == '/');
    struct ccz_span v1 = path;
    return *v2 || cczi_path_take(&v1, "/v1/");
}

/* A browser asks before it sends a page's request: RestApiRequestDispatcher::ProcessRequest(). */
static ccz_rc preflight(struct ccz_infer_http_answer *answer, const struct ccz_infer_http *call)
{
    const char *origin = call->origin ? call->origin : "";
    answer->status = strstr(origin, "http://") || strstr(origin, "https://") ? 200 : 400;
    answer->content_type = "text/plain";
    return CCZ_OK;
}

ccz_rc cczi_rest_begin(struct ccz_infer_task *t, struct ccz_buf *body,
                       struct ccz_infer_http_answer *answer, struct ccz_run_status *st,
                       const struct ccz_infer_http *call)
{
    static const struct ccz_infer_header cors[] = {
        {"Access-Control-Allow-Origin", "*"},
        {"Access-Control-Allow-Methods", "POST, GET"},
        {"Access-Control-Allow-Headers", "Content-Type"},
    };
    struct ccz_span path = ccz_span_str(call->path), behind;
    const void *query = memchr(path.ptr, '?', path.size);
    if (query)
        path.size = (size_t)((const uint8_t *)query - path.ptr);
    bool v2;
    if (!which(&v2, &behind, path)) {
        answer->status = 404;
        answer->content_type = "text/plain";
        return CCZ_OK;
    }
    if (v2)
        return cczi_v2_rest(t, body, answer, st, call, behind);
    if (t->s->cfg.cors) {
        answer->headers = cors;
        answer->headers_len = sizeof(cors) / sizeof(cors[0]);
    }
    if (strcmp(call->method, "OPTIONS") == 0)
        return preflight(answer, call);
    return dispatch(t, body, st, call, path);
}
