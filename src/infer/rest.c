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
static ccz_rc parse_body(struct cczi_json *root, struct ccz_span *signature,
                         struct ccz_run_status *st, struct cczi_scratch *scratch)
{
    struct cczi_json check = *root, value;
    if (root->p == root->end)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "JSON Parse error: The document is empty");
    if (!cczi_json_skip(&check))
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "JSON Parse error: %s at offset: %zu", check.error,
                                  check.error_at);
    struct ccz_buf m;
    const char *wrong = NULL;
    if (cczi_json_kind(root) != CCZI_OBJECT)
        wrong = " Is not object";
    else if (!cczi_json_member(&value, *root, "signature_name", scratch))
        return CCZ_OK;
    else if (cczi_json_kind(&value) != CCZI_STRING)
        wrong = " not formatted correctly. 'signature_name' key must be a string value.";
    else
        *signature = cczi_json_string(&value, scratch);
    if (!wrong)
        return CCZ_OK;
    ccz_buf_init(&m, 4096);
    ccz_buf_put_str(&m, "JSON Value: ");
    cczi_json_debug(&m, root);
    ccz_buf_put_str(&m, wrong);
    return cczi_status_buf(st, CCZ_RUN_INVALID_ARGUMENT, &m);
}

/* REST names a missing signature differently from gRPC: GetInfoMap(). */
static ccz_rc find_signature(const struct ccz_signature **sig, struct ccz_run_status *st,
                             const struct ccz_model *m, struct ccz_span name)
{
    ccz_rc rc = cczi_find_signature(sig, st, m, name);
    if (name.size == 0)
        name = ccz_span_str("serving_default");
    if (rc != CCZ_OK)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "Serving signature name: \"%.*s\" not found in signature def",
                                  (int)name.size, (const char *)name.ptr);
    if ((*sig)->in_len == 0)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "Failed to get input map for signature: %s", (*sig)->name);
    return CCZ_OK;
}

static ccz_rc run_json(struct ccz_buf *out, struct ccz_run_status *st, struct ccz_model *m,
                       struct cczi_json root, struct ccz_span signature, uint32_t timeout_ms,
                       struct cczi_scratch *scratch)
{
    const struct ccz_signature *sig;
    struct cczi_json_inputs in;
    CCZ_AUTO(ccz_result) r = NULL;
    ccz_rc rc = find_signature(&sig, st, m, signature);
    if (rc == CCZ_OK)
        rc = cczi_json_inputs(&in, st, sig, root, scratch);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_run_req req = {
        .sig = sig, .in = in.in, .in_len = in.in_len, .timeout_ms = timeout_ms};
    rc = ccz_model_run(&r, st, m, &req, NULL);
    return rc == CCZ_OK ? cczi_json_outputs(out, st, r, in.row) : rc;
}

static ccz_rc predict(struct ccz_buf *out, struct ccz_run_status *st, struct ccz_infer *s,
                      const struct cczi_spec *spec, const struct ccz_infer_http *call,
                      struct cczi_scratch *scratch)
{
    struct cczi_json root = {.begin = call->body.ptr,
                             .p = call->body.ptr,
                             .end = call->body.ptr + call->body.size,
                             .c_locale = s->c_locale};
    struct ccz_span signature = {0};
    struct cczi_version *v = NULL;
    ccz_rc rc = parse_body(&root, &signature, st, scratch);
    if (rc == CCZ_OK)
        rc = cczi_acquire(&v, st, s, spec);
    if (rc == CCZ_OK)
        rc = run_json(out, st, v->model, root, signature, call->timeout_ms, scratch);
    cczi_release(s, v);
    return rc;
}

/* ------------------------------------------------------------------------ status, metadata */

static const char *state_name(enum ccz_infer_state s)
{
    switch (s) {
    case CCZ_INFER_START:
        return "START";
    case CCZ_INFER_LOADING:
        return "LOADING";
    case CCZ_INFER_AVAILABLE:
        return "AVAILABLE";
    case CCZ_INFER_UNLOADING:
        return "UNLOADING";
    case CCZ_INFER_END:
        return "END";
    case CCZ_INFER_UNKNOWN:
        break;
    }
    return "UNKNOWN";
}

static void put_status(void *arg, const struct cczi_version *v)
{
    struct cczi_jw *w = arg;
    char version[24];
    (void)snprintf(version, sizeof(version), "%" PRId64, v->version);
    cczi_jw_object(w);
    cczi_jw_member(w, "version", version);
    cczi_jw_member(w, "state", state_name(v->state));
    cczi_jw_key(w, "status");
    cczi_jw_object(w);
    cczi_jw_member(w, "error_code", ccz_run_code_name(v->health.code));
    cczi_jw_member(w, "error_message", v->health.msg);
    cczi_jw_object_end(w);
    cczi_jw_object_end(w);
}

static ccz_rc model_status(struct ccz_buf *out, struct ccz_run_status *st, struct ccz_infer *s,
                           const struct cczi_spec *spec)
{
    struct cczi_jw w = {.out = out, .indent = 1};
    cczi_jw_object(&w);
    cczi_jw_key(&w, "model_version_status");
    cczi_jw_array(&w);
    ccz_rc rc = cczi_status_each(st, s, spec, put_status, &w);
    cczi_jw_array_end(&w);
    cczi_jw_object_end(&w);
    ccz_buf_put_str(out, "\n");
    return rc;
}

static ccz_rc metadata(struct ccz_buf *out, struct ccz_run_status *st, struct ccz_infer *s,
                       const struct cczi_spec *spec)
{
    struct cczi_version *v;
    ccz_rc rc = cczi_acquire(&v, st, s, spec);
    if (rc != CCZ_OK)
        return rc;
    char version[24];
    (void)snprintf(version, sizeof(version), "%" PRId64, v->version);
    struct cczi_jw w = {.out = out, .indent = 1};
    ccz_buf_put_str(out, "{\n\"model_spec\":");
    cczi_jw_object(&w);
    cczi_jw_member(&w, "name", v->name);
    cczi_jw_member(&w, "signature_name", "");
    cczi_jw_member(&w, "version", version);
    cczi_jw_object_end(&w);
    ccz_buf_put_str(out, "\n,\n\"metadata\": {\"signature_def\": ");
    cczi_signature_map_json(out, v->model);
    ccz_buf_put_str(out, "}\n}\n");
    cczi_release(s, v);
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

static ccz_rc dispatch(struct ccz_buf *out, struct ccz_run_status *st, struct ccz_infer *s,
                       const struct ccz_infer_http *call, struct ccz_span path,
                       struct cczi_scratch *scratch)
{
    struct route r;
    struct cczi_spec spec;
    bool post = strcmp(call->method, "POST") == 0 && match_post(&r, path);
    bool get = strcmp(call->method, "GET") == 0 && match_get(&r, path);
    if (post || get) {
        ccz_rc rc = make_spec(&spec, st, &r, scratch);
        if (rc != CCZ_OK)
            return rc;
    }
    if (post && ccz_span_eq(r.method, ccz_span_str("predict")))
        return predict(out, st, s, &spec, call, scratch);
    if (post && (ccz_span_eq(r.method, ccz_span_str("classify")) ||
                 ccz_span_eq(r.method, ccz_span_str("regress"))))
        return ccz_run_status_set(st, CCZ_RUN_UNIMPLEMENTED, "This server does not %.*s",
                                  (int)r.method.size, (const char *)r.method.ptr);
    if (get && spec.name.size == 0)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "Missing model name in request.");
    if (get && ccz_span_eq(r.subresource, ccz_span_str("metadata")))
        return metadata(out, st, s, &spec);
    if (get)
        return model_status(out, st, s, &spec);
    return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "Malformed request: %.32s %.*s",
                              call->method, (int)path.size, (const char *)path.ptr);
}

/* Which of the two interfaces a path belongs to; false: to neither. */
static bool which(bool *v2, struct ccz_span *behind, struct ccz_span path)
{
    *behind = path;
    *v2 = cczi_path_take(behind, "/v2") && (behind->size == 0 || behind->ptr[0] == '/');
    struct ccz_span v1 = path;
    return *v2 || cczi_path_take(&v1, "/v1/");
}

static void put_error(struct ccz_buf *body, const struct ccz_run_status *st)
{
    struct cczi_jw w = {.out = body, .indent = 4};
    cczi_jw_object(&w);
    cczi_jw_member(&w, "error", st->msg);
    cczi_jw_object_end(&w);
}

void ccz_infer_rest(struct ccz_buf *body, struct ccz_infer_http_answer *answer, struct ccz_infer *s,
                    const struct ccz_infer_http *call)
{
    struct ccz_span path = ccz_span_str(call->path), behind;
    const void *query = memchr(path.ptr, '?', path.size);
    if (query)
        path.size = (size_t)((const uint8_t *)query - path.ptr);
    bool v2;
    *answer = (struct ccz_infer_http_answer){.status = 404, .content_type = "text/plain"};
    if (!which(&v2, &behind, path))
        return;
    struct ccz_run_status st = {0};
    struct cczi_scratch scratch;
    cczi_scratch_init(&scratch, s->cfg.input_size_max);
    size_t before = body->size;
    *answer = (struct ccz_infer_http_answer){.status = 200, .content_type = "application/json"};
    ccz_rc rc = v2 ? cczi_v2_rest(body, answer, &st, s, call, behind, &scratch)
                   : dispatch(body, &st, s, call, path, &scratch);
    cczi_scratch_free(&scratch);
    if (rc == CCZ_OK && body->bad)
        rc = ccz_run_status_set(&st, CCZ_RUN_RESOURCE_EXHAUSTED,
                                "the response is larger than %zu bytes", body->max_size);
    if (rc == CCZ_OK)
        return;
    if (st.code == CCZ_RUN_OK)
        (void)ccz_run_status_set(&st, CCZ_RUN_INTERNAL, "%s", ccz_rc_str(rc));
    body->size = before;
    body->bad = false;
    put_error(body, &st);
    *answer = (struct ccz_infer_http_answer){.status = ccz_infer_http_status(st.code),
                                             .content_type = "application/json"};
}
