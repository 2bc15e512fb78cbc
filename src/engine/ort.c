/* SPDX-License-Identifier: Apache-2.0 */
/* Back end "onnxruntime": ONNX files through CreateSessionFromArray() and Run(). A model never has a path. */
#include "engine/ort_priv.h"

#include <cczoo/codec.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TENSORS_MAX = 4096 }; /* inputs or outputs of a graph */

struct ort_model {
    struct OrtSession *session;
};
struct ort_result {
    const struct ort_api *api;
    struct OrtValue **in, **out;
    size_t in_len, out_len;
};

/* ------------------------------------------------------------------------------- engine */

static ccz_rc ort_open(struct ccz_engine *e, const struct ccz_engine_cfg *cfg, struct ccz_err *err)
{
    if (cfg->intra_threads < 0 || cfg->inter_threads < -1)
        return ccz_fail(err, CCZ_E_ARG, "engine:threads", 0,
                        "intra_threads >= 0 and inter_threads >= -1");
    struct ort_engine *o = calloc(1, sizeof(*o));
    if (!o)
        return ccz_fail(err, CCZ_E_NOMEM, "engine:backend", 0, "no memory");
    e->state = o;
    o->intra_threads = cfg->intra_threads;
    o->inter_threads = cfg->inter_threads;
    o->watch = cczi_ort_watch_new(&o->api);
    if (!o->watch)
        return ccz_fail(err, CCZ_E_NOMEM, "engine:backend", 0, "no memory");
    return cczi_ort_lib_open(e, o, cfg->library, err);
}

static void ort_close(struct ccz_engine *e)
{
    struct ort_engine *o = e->state;
    if (o) {
        cczi_ort_watch_free(o->watch);
        cczi_ort_lib_close(o);
    }
    free(o);
}

/* ------------------------------------------------------------------------------- load */

/* What the graph takes or gives, in its order. */
struct side {
    struct cczi_graph_tensor *t;
    size_t len;
};
struct graph {
    struct side in, out;
};

static bool find(struct cczi_graph_tensor *out, void *arg, bool input, const char *name)
{
    const struct graph *g = arg;
    const struct side *s = input ? &g->in : &g->out;
    for (size_t i = 0; i < s->len; i++)
        if (strcmp(s->t[i].name, name) == 0) {
            *out = s->t[i];
            return true;
        }
    return false;
}

/* Type and shape of one; leaves dtype invalid if it is no tensor, or one of a type that we have not. */
static ccz_rc read_info(struct cczi_graph_tensor *t, struct cczi_arena *a,
                        const struct ort_api *api, const struct OrtTypeInfo *info,
                        struct ccz_err *err)
{
    const struct OrtTensorInfo *tensor = NULL;
    int kind = 0, type = 0;
    size_t rank = 0;
    ccz_rc rc = cczi_ort_check(api, api->GetOnnxTypeFromTypeInfo(info, &kind), CCZ_E_FORMAT,
                               "engine:signature", err);
    if (rc != CCZ_OK || kind != ORT_TYPE_TENSOR)
        return rc;
    rc = cczi_ort_check(api, api->CastTypeInfoToTensorInfo(info, &tensor), CCZ_E_FORMAT,
                        "engine:signature", err);
    if (rc == CCZ_OK)
        rc = cczi_ort_check(api, api->GetTensorElementType(tensor, &type), CCZ_E_FORMAT,
                            "engine:signature", err);
    if (rc == CCZ_OK)
        rc = cczi_ort_check(api, api->GetDimensionsCount(tensor, &rank), CCZ_E_FORMAT,
                            "engine:signature", err);
    int64_t *dims = rc == CCZ_OK ? cczi_alloc(a, rank, sizeof(*dims)) : NULL;
    if (rc == CCZ_OK && !dims)
        rc = ccz_fail(err, CCZ_E_NOMEM, "engine:signature", 0, "no memory");
    if (rc == CCZ_OK)
        rc = cczi_ort_check(api, api->GetDimensions(tensor, dims, rank), CCZ_E_FORMAT,
                            "engine:signature", err);
    for (size_t i = 0; rc == CCZ_OK && i < rank; i++)
        dims[i] = dims[i] < 0 ? -1 : dims[i]; /* symbolic */
    t->dtype = cczi_ort_dtype(type);
    t->rank = (int)rank;
    t->dims = dims;
    return rc;
}

static ccz_rc read_one(struct cczi_graph_tensor *t, struct cczi_arena *a,
                       const struct ort_engine *o, const struct OrtSession *s, bool input, size_t i,
                       struct ccz_err *err)
{
    const struct ort_api *api = &o->api;
    struct OrtTypeInfo *info = NULL;
    char *name = NULL;
    ccz_rc rc = cczi_ort_check(api,
                               input ? api->SessionGetInputName(s, i, o->allocator, &name)
                                     : api->SessionGetOutputName(s, i, o->allocator, &name),
                               CCZ_E_FORMAT, "engine:signature", err);
    if (rc != CCZ_OK)
        return rc;
    t->key = t->name = cczi_copy_str(a, ccz_span_str(name));
    if (!t->name)
        rc = ccz_fail(err, CCZ_E_NOMEM, "engine:signature", 0, "no memory");
    api->ReleaseStatus(api->AllocatorFree(o->allocator, name));
    if (rc == CCZ_OK)
        rc = cczi_ort_check(api,
                            input ? api->SessionGetInputTypeInfo(s, i, &info)
                                  : api->SessionGetOutputTypeInfo(s, i, &info),
                            CCZ_E_FORMAT, "engine:signature", err);
    if (rc == CCZ_OK)
        rc = read_info(t, a, api, info, err);
    if (info)
        api->ReleaseTypeInfo(info);
    return rc;
}

static ccz_rc read_side(struct side *out, struct cczi_arena *a, const struct ort_engine *o,
                        const struct OrtSession *s, bool input, struct ccz_span model,
                        struct ccz_err *err)
{
    const struct ort_api *api = &o->api;
    size_t len = 0;
    ccz_rc rc = cczi_ort_check(
        api, input ? api->SessionGetInputCount(s, &len) : api->SessionGetOutputCount(s, &len),
        CCZ_E_FORMAT, "engine:signature", err);
    if (rc == CCZ_OK && len > TENSORS_MAX)
        rc = ccz_fail(err, CCZ_E_LIMIT, "engine:signature", (int64_t)len,
                      "a graph has at most %d inputs and outputs", TENSORS_MAX);
    out->t = rc == CCZ_OK ? cczi_alloc(a, len, sizeof(*out->t)) : NULL;
    if (rc == CCZ_OK && !out->t)
        rc = ccz_fail(err, CCZ_E_NOMEM, "engine:signature", 0, "no memory");
    for (size_t i = 0; rc == CCZ_OK && i < len; i++) {
        struct cczi_graph_tensor t = {0};
        rc = read_one(&t, a, o, s, input, i, err);
        if (rc == CCZ_OK && t.rank == 0 && cczi_onnx_shapeless(model, input, t.name))
            t.rank = -1; /* ONNX Runtime does not tell this from a scalar */
        /* Classifiers of other tools give a sequence of maps besides their tensors: it cannot be fetched, they can. */
        if (input || t.dtype != CCZ_DT_INVALID)
            out->t[out->len++] = t;
    }
    return rc;
}

static ccz_rc read_signatures(struct ccz_model *m, struct ccz_span model, struct ccz_span sidecar,
                              struct ccz_err *err)
{
    const struct ort_engine *o = m->engine->state;
    const struct ort_model *t = m->state;
    struct cczi_arena a = {0};
    struct graph g = {0};
    ccz_rc rc = read_side(&g.in, &a, o, t->session, true, model, err);
    if (rc == CCZ_OK)
        rc = read_side(&g.out, &a, o, t->session, false, model, err);
    if (rc == CCZ_OK) {
        const struct cczi_graph graph = {
            g.in.t,
            g.out.t,
            g.in.len,
            g.out.len,
            find,
            &g,
            "without signatures.json the signature shows the names of the graph"};
        rc = cczi_sidecar_signatures(&m->meta, &graph, sidecar, err);
    }
    cczi_arena_free(&a);
    return rc;
}

static bool several_operations(const struct ort_engine *o)
{
    return o->inter_threads == 0 || o->inter_threads > 1;
}

static ccz_rc session_options(struct OrtSessionOptions **out, const struct ort_engine *o,
                              struct ccz_err *err)
{
    static const char *const entries[][2] = {
        {"session.load_model_format", "ONNX"}, /* what was checked, not ORT's own format */
        {"session.intra_op.allow_spinning", "0"},
        {"session.inter_op.allow_spinning", "0"},
    };
    const struct ort_api *api = &o->api;
    ccz_rc rc =
        cczi_ort_check(api, api->CreateSessionOptions(out), CCZ_E_NOMEM, "engine:load", err);
    for (size_t i = 0; rc == CCZ_OK && i < sizeof(entries) / sizeof(entries[0]); i++)
        rc = cczi_ort_check(api, api->AddSessionConfigEntry(*out, entries[i][0], entries[i][1]),
                            CCZ_E_UNAVAILABLE, "engine:threads", err);
    if (rc == CCZ_OK && several_operations(o))
        rc = cczi_ort_check(api, api->SetSessionExecutionMode(*out, ORT_PARALLEL),
                            CCZ_E_UNAVAILABLE, "engine:threads", err);
    if (rc == CCZ_OK && !o->own_pools)
        return cczi_ort_check(api, api->DisablePerSessionThreads(*out), CCZ_E_UNAVAILABLE,
                              "engine:threads", err);
    if (rc == CCZ_OK)
        rc = cczi_ort_check(api, api->SetIntraOpNumThreads(*out, o->intra_threads),
                            CCZ_E_UNAVAILABLE, "engine:threads", err);
    if (rc == CCZ_OK && several_operations(o))
        rc = cczi_ort_check(api, api->SetInterOpNumThreads(*out, o->inter_threads),
                            CCZ_E_UNAVAILABLE, "engine:threads", err);
    return rc;
}

static ccz_rc load_image(struct ccz_model *m, struct ccz_span model, struct ccz_span sidecar,
                         struct ccz_err *err)
{
    const struct ort_engine *o = m->engine->state;
    struct ort_model *t = m->state;
    struct OrtSessionOptions *options = NULL;
    ccz_rc rc = cczi_onnx_check(model, err);
    if (rc == CCZ_OK)
        rc = session_options(&options, o, err);
    if (rc == CCZ_OK)
        rc = cczi_ort_check(
            &o->api,
            o->api.CreateSessionFromArray(o->env, model.ptr, model.size, options, &t->session),
            CCZ_E_FORMAT, "engine:load", err);
    if (options)
        o->api.ReleaseSessionOptions(options);
    return rc == CCZ_OK ? read_signatures(m, model, sidecar, err) : rc;
}

static ccz_rc ort_load(struct ccz_model *m, const struct ccz_model_cfg *cfg, struct ccz_err *err)
{
    if (cfg->stage != CCZ_STAGE_MEMORY)
        return ccz_fail(err, CCZ_E_ARG, "engine:stage", (int64_t)cfg->stage,
                        "onnxruntime loads a model from memory only");
    m->state = calloc(1, sizeof(struct ort_model));
    if (!m->state)
        return ccz_fail(err, CCZ_E_NOMEM, "engine:load", 0, "no memory");
    struct ccz_model_kind kind;
    struct cczi_image model, sidecar;
    ccz_rc rc = cczi_files_kind(&kind, cfg, cczi_backend_onnxruntime.name, err);
    if (rc == CCZ_OK)
        rc = cczi_files_read(&model, &sidecar, cfg, kind.file, err);
    if (rc != CCZ_OK)
        return rc;
    rc = load_image(m, CCZ_SPAN(model.bytes, model.size), CCZ_SPAN(sidecar.bytes, sidecar.size),
                    err);
    cczi_image_free(&model);
    cczi_image_free(&sidecar);
    return rc;
}

static void ort_unload(struct ccz_model *m)
{
    const struct ort_engine *o = m->engine->state;
    struct ort_model *t = m->state;
    if (t && t->session)
        o->api.ReleaseSession(t->session);
    free(t);
#ifdef __GLIBC__
    (void)malloc_trim(0); /* as for TensorFlow: else the process keeps the pages of the weights */
#endif
}

/* Outputs are fetched by the names that the union keeps. */
static ccz_rc ort_unite(struct cczi_arena *a, struct ccz_signature *sig,
                        const struct ccz_signature *const *parts, size_t len, struct ccz_err *err)
{
    (void)a, (void)sig, (void)parts, (void)len, (void)err;
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------- run */

/* A code that callers know; what the caller cannot have caused is INTERNAL. */
static enum ccz_run_code run_code(int ort_code)
{
    switch (ort_code) {
    case ORT_INVALID_ARGUMENT:
        return CCZ_RUN_INVALID_ARGUMENT;
    case ORT_NOT_IMPLEMENTED:
        return CCZ_RUN_UNIMPLEMENTED;
    default:
        return CCZ_RUN_INTERNAL;
    }
}

static ccz_rc outcome(struct ccz_run_status *st, const struct ort_api *api, struct OrtStatus *s)
{
    char text[CCZ_RUN_MSG_SIZE_MAX + 2];
    int code = 0;
    return cczi_ort_ok(api, s, &code, text, sizeof(text))
               ? CCZ_OK
               : ccz_run_status_set(st, run_code(code), "%s", text);
}

static ccz_rc session_run(struct ort_result *r, struct ccz_run_status *st,
                          const struct ort_engine *o, const struct ort_model *m,
                          const char *const *in_names, const char *const *out_names,
                          uint32_t timeout_ms)
{
    const struct ort_api *api = &o->api;
    const struct OrtValue *const *in = (const struct OrtValue *const *)r->in;
    if (timeout_ms == 0)
        return outcome(
            st, api,
            api->Run(m->session, NULL, in_names, in, r->in_len, out_names, r->out_len, r->out));
    struct ort_alarm alarm = {.at_ms = ccz_mono_ms() + timeout_ms};
    ccz_rc rc = outcome(st, api, api->CreateRunOptions(&alarm.options));
    if (rc != CCZ_OK)
        return rc;
    if (cczi_ort_alarm_set(o->watch, &alarm) == CCZ_OK) {
        struct OrtStatus *s = api->Run(m->session, alarm.options, in_names, in, r->in_len,
                                       out_names, r->out_len, r->out);
        const bool rang = cczi_ort_alarm_clear(o->watch, &alarm);
        rc = outcome(st, api, s);
        if (rc != CCZ_OK && rang)
            rc = ccz_run_status_set(st, CCZ_RUN_DEADLINE_EXCEEDED,
                                    "The run was ended after %" PRIu32 " ms", timeout_ms);
    } else {
        rc = ccz_run_status_set(st, CCZ_RUN_UNAVAILABLE, "no thread for the deadline of the run");
    }
    api->ReleaseRunOptions(alarm.options);
    return rc;
}

/* Views of what was computed; the same output may be asked for under two names. */
static ccz_rc view_all(struct ccz_result *r, const struct ort_engine *o, struct ccz_run_status *st,
                       const struct ccz_signature *sig, const size_t *fetch)
{
    const struct ort_result *run = r->state;
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < r->len; i++) {
        r->out[i].name = sig->out[fetch ? fetch[i] : i].name;
        rc = run->out[i]
                 ? cczi_ort_view(&r->out[i], &r->arena, o, run->out[i], st)
                 : ccz_run_status_set(st, CCZ_RUN_INTERNAL, "output %s is missing", r->out[i].name);
    }
    return rc;
}

static ccz_rc ort_run(struct ccz_result *r, struct ccz_run_status *st, struct ccz_model *m,
                      const struct ccz_run_req *req, const struct ccz_tensor *const *in)
{
    const struct ort_engine *o = m->engine->state;
    const struct ccz_signature *sig = req->sig;
    struct cczi_arena *a = &r->arena;
    struct ort_result *run = cczi_alloc(a, 1, sizeof(*run));
    const char **in_names = cczi_alloc(a, sig->in_len, sizeof(char *));
    const char **out_names = cczi_alloc(a, r->len, sizeof(char *));
    struct OrtValue **values = cczi_alloc(a, sig->in_len + r->len, sizeof(struct OrtValue *));
    if (!run || !in_names || !out_names || !values)
        return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "no memory");
    *run = (struct ort_result){&o->api, values, values + sig->in_len, sig->in_len, r->len};
    r->state = run;
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < sig->in_len; i++) {
        in_names[i] = sig->in[i].tensor_name;
        rc = outcome(st, &o->api, cczi_ort_feed(&run->in[i], o, in[i]));
    }
    for (size_t i = 0; i < r->len; i++)
        out_names[i] = sig->out[req->fetch ? req->fetch[i] : i].tensor_name;
    if (rc == CCZ_OK)
        rc = session_run(run, st, o, m->state, in_names, out_names, req->timeout_ms);
    return rc == CCZ_OK ? view_all(r, o, st, sig, req->fetch) : rc;
}

static void ort_release(struct ccz_result *r)
{
    const struct ort_result *run = r->state;
    if (!run)
        return;
    for (size_t i = 0; i < run->out_len; i++)
        if (run->out[i])
            run->api->ReleaseValue(run->out[i]);
    for (size_t i = 0; i < run->in_len; i++)
        if (run->in[i])
            run->api->ReleaseValue(run->in[i]);
}

const struct cczi_backend cczi_backend_onnxruntime = {
    .name = "onnxruntime",
    .open = ort_open,
    .close = ort_close,
    .load = ort_load,
    .unload = ort_unload,
    .run = ort_run,
    .release = ort_release,
    .unite = ort_unite,
};
