/* SPDX-License-Identifier: Apache-2.0 */
/* Back end "tensorflow": SavedModels through TF_LoadSessionFromSavedModel(), runs through TF_SessionRun(). */
#include "engine/tf_priv.h"

#include <cczoo/codec.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONFIG_INTRA_OP_THREADS = 2, /* fields of tensorflow.ConfigProto, core/protobuf/config.proto */
    CONFIG_INTER_OP_THREADS = 5,
    CONFIG_SIZE_MAX = 64,
    RUN_TIMEOUT_MS = 2, /* field of tensorflow.RunOptions */
    RUN_OPTIONS_SIZE_MAX = 32,
};

/* Where the tensors of one signature are in the graph, in the order of the signature: ccz_signature.bound. */
struct tf_signature {
    const struct TF_Output *in, *out;
};
struct tf_result {
    const struct tf_api *api;
    struct TF_Tensor **in, **out;
    size_t in_len;
};

/* ------------------------------------------------------------------------------- engine */

static void put_threads(struct ccz_buf *config, uint32_t field, int threads)
{
    if (threads != 0)
        ccz_pb_put_uint(config, field,
                        (uint64_t)(int64_t)threads); /* int32: negative is sign-extended */
}

static ccz_rc tf_open(struct ccz_engine *e, const struct ccz_engine_cfg *cfg, struct ccz_err *err)
{
    if (cfg->intra_threads < 0 || cfg->inter_threads < -1)
        return ccz_fail(err, CCZ_E_ARG, "engine:threads", 0,
                        "intra_threads >= 0 and inter_threads >= -1");
    struct tf_engine *t = calloc(1, sizeof(*t));
    if (!t)
        return ccz_fail(err, CCZ_E_NOMEM, "engine:backend", 0, "no memory");
    e->state = t;
    ccz_buf_init(&t->config, CONFIG_SIZE_MAX);
    put_threads(&t->config, CONFIG_INTRA_OP_THREADS, cfg->intra_threads);
    put_threads(&t->config, CONFIG_INTER_OP_THREADS, cfg->inter_threads);
    if (t->config.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "engine:threads", 0, "no memory");
    return cczi_tf_lib_open(e, &t->api, cfg->library, err);
}

static void tf_close(struct ccz_engine *e)
{
    struct tf_engine *t = e->state;
    if (t)
        ccz_buf_free(&t->config);
    free(t);
}

/* ------------------------------------------------------------------------------- load */

ccz_rc cczi_tf_failed(const struct tf_api *tf, const struct TF_Status *s, const char *where,
                      struct ccz_err *err)
{
    const int code = tf->TF_GetCode(s);
    const char *text = tf->TF_Message(s);
    if (!text[0]) /* so for a saved_model.pb that ends early */
        return ccz_fail(err, CCZ_E_FORMAT, where, code,
                        "TensorFlow refused it with %s, no reason given",
                        ccz_run_code_name((enum ccz_run_code)code));
    return ccz_fail(err, CCZ_E_FORMAT, where, code, "%.180s", text);
}

/* An operation or output that is not there makes a signature unusable. */
bool cczi_tf_find(struct TF_Output *out, const struct tf_api *tf, struct TF_Graph *g,
                  const char *tensor_name)
{
    char name[512];
    const char *colon = strrchr(tensor_name, ':');
    size_t size = colon ? (size_t)(colon - tensor_name) : strlen(tensor_name);
    if (size == 0 || size >= sizeof(name))
        return false;
    memcpy(name, tensor_name, size);
    name[size] = 0;
    int index = 0;
    for (const char *s = colon ? colon + 1 : ""; *s; s++) {
        if (*s < '0' || *s > '9' || index > 1000000)
            return false;
        index = index * 10 + (*s - '0');
    }
    out->oper = tf->TF_GraphOperationByName(g, name);
    out->index = index;
    return out->oper && index < tf->TF_OperationNumOutputs(out->oper);
}

static bool find_outputs(struct TF_Output *out, const struct tf_api *tf, struct TF_Graph *g,
                         const struct ccz_tensor_info *t, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!cczi_tf_find(&out[i], tf, g, t[i].tensor_name))
            return false;
    return true;
}

static ccz_rc bind_signatures(struct ccz_model *m, struct ccz_err *err)
{
    const struct tf_model *t = m->state;
    const struct tf_engine *te = m->engine->state;
    struct cczi_arena *a = &m->meta.arena;
    for (size_t i = 0; i < m->meta.len; i++) {
        struct ccz_signature *s = &m->meta.sigs[i];
        struct tf_signature *at = cczi_alloc(a, 1, sizeof(*at));
        struct TF_Output *in = cczi_alloc(a, s->in_len, sizeof(*in));
        struct TF_Output *out = cczi_alloc(a, s->out_len, sizeof(*out));
        if (!at || !in || !out)
            return ccz_fail(err, CCZ_E_NOMEM, "engine:load", 0, "no memory");
        s->runnable = s->runnable && find_outputs(in, &te->api, t->graph, s->in, s->in_len) &&
                      find_outputs(out, &te->api, t->graph, s->out, s->out_len);
        *at = (struct tf_signature){in, out};
        s->bound = at;
    }
    return CCZ_OK;
}

static ccz_rc tf_unite(struct cczi_arena *a, struct ccz_signature *sig,
                       const struct ccz_signature *const *parts, size_t len, struct ccz_err *err)
{
    struct tf_signature *at = cczi_alloc(a, 1, sizeof(*at));
    struct TF_Output *out = cczi_alloc(a, sig->out_len, sizeof(*out));
    if (!at || !out)
        return ccz_fail(err, CCZ_E_NOMEM, "engine:union", 0, "no memory");
    *at = (struct tf_signature){((const struct tf_signature *)parts[0]->bound)->in, out};
    for (size_t i = 0; i < len; i++) {
        const struct tf_signature *part = parts[i]->bound;
        memcpy(out, part->out, parts[i]->out_len * sizeof(*out));
        out += parts[i]->out_len;
    }
    sig->bound = at;
    return CCZ_OK;
}

ccz_rc cczi_tf_options(struct TF_SessionOptions **out, const struct tf_engine *te,
                       struct TF_Status *s, struct ccz_err *err)
{
    *out = te->api.TF_NewSessionOptions();
    te->api.TF_SetConfig(*out, te->config.ptr, te->config.size, s);
    return te->api.TF_GetCode(s) ? cczi_tf_failed(&te->api, s, "engine:threads", err) : CCZ_OK;
}

/* Reads the staged folder @p dir. */
static ccz_rc load_dir(struct ccz_model *m, const char *dir, const char *tag, struct TF_Status *s,
                       struct ccz_err *err)
{
    const struct tf_engine *te = m->engine->state;
    const struct tf_api *tf = &te->api;
    struct tf_model *t = m->state;
    struct TF_SessionOptions *options;
    struct TF_Buffer *meta = tf->TF_NewBuffer();
    ccz_rc rc = cczi_tf_options(&options, te, s, err);
    if (rc == CCZ_OK) {
        t->graph = tf->TF_NewGraph();
        t->session =
            tf->TF_LoadSessionFromSavedModel(options, NULL, dir, &tag, 1, t->graph, meta, s);
        rc = tf->TF_GetCode(s) ? cczi_tf_failed(tf, s, "engine:load", err) : CCZ_OK;
    }
    if (rc == CCZ_OK)
        rc = cczi_meta_parse(&m->meta, CCZ_SPAN(meta->data, meta->length), err);
    tf->TF_DeleteBuffer(meta);
    tf->TF_DeleteSessionOptions(options);
    return rc;
}

static ccz_rc load_from_memory(struct ccz_model *m, const struct ccz_model_cfg *cfg,
                               struct TF_Status *s, struct ccz_err *err)
{
    struct tf_engine *te = m->engine->state;
    struct tf_ram ram = {.api = &te->api, .cfg = cfg, .status = s};
    /* ram:// is one name space per process: the engine's address keeps engines apart. */
    (void)snprintf(ram.path, sizeof(ram.path), "ram://cczoo-%p-%" PRIuFAST64, (void *)te,
                   atomic_fetch_add(&te->loads, 1));
    ccz_rc rc = cczi_tf_ram_fill(&ram, err);
    if (rc == CCZ_OK)
        rc = load_dir(m, ram.path, cfg->tag ? cfg->tag : "serve", s, err);
    cczi_tf_ram_remove(&ram);
    return rc;
}

static ccz_rc load_from_tmpfs(struct ccz_model *m, const struct ccz_model_cfg *cfg,
                              struct TF_Status *s, struct ccz_err *err)
{
    struct cczi_tmpfs tmp;
    ccz_rc rc = cczi_tmpfs_open(&tmp, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_tmpfs_fill(&tmp, err);
    if (rc == CCZ_OK)
        rc = load_dir(m, tmp.path, cfg->tag ? cfg->tag : "serve", s, err);
    cczi_tmpfs_remove(&tmp);
    return rc;
}

static ccz_rc load_saved(struct ccz_model *m, const struct ccz_model_cfg *cfg, struct TF_Status *s,
                         struct ccz_err *err)
{
    switch (cfg->stage) {
    case CCZ_STAGE_MEMORY:
        return load_from_memory(m, cfg, s, err);
    case CCZ_STAGE_TMPFS:
        return load_from_tmpfs(m, cfg, s, err);
    default:
        return ccz_fail(err, CCZ_E_ARG, "engine:stage", (int64_t)cfg->stage, "no such stage");
    }
}

static ccz_rc tf_load(struct ccz_model *m, const struct ccz_model_cfg *cfg, struct ccz_err *err)
{
    const struct tf_engine *te = m->engine->state;
    struct ccz_model_kind kind;
    ccz_rc rc = cczi_files_kind(&kind, cfg, cczi_backend_tensorflow.name, err);
    if (rc != CCZ_OK)
        return rc;
    m->state = calloc(1, sizeof(struct tf_model));
    if (!m->state)
        return ccz_fail(err, CCZ_E_NOMEM, "engine:load", 0, "no memory");
    struct TF_Status *s = te->api.TF_NewStatus();
    rc = kind.format == CCZ_FORMAT_FROZEN_GRAPH ? cczi_tf_load_frozen(m, cfg, kind.file, s, err)
                                                : load_saved(m, cfg, s, err);
    te->api.TF_DeleteStatus(s);
    return rc == CCZ_OK ? bind_signatures(m, err) : rc;
}

static void tf_unload(struct ccz_model *m)
{
    const struct tf_engine *te = m->engine->state;
    struct tf_model *t = m->state;
    if (!t)
        return;
    struct TF_Status *s = te->api.TF_NewStatus();
    if (t->session) {
        te->api.TF_CloseSession(t->session, s);
        te->api.TF_DeleteSession(t->session, s);
    }
    if (t->graph)
        te->api.TF_DeleteGraph(t->graph);
    te->api.TF_DeleteStatus(s);
    free(t);
#ifdef __GLIBC__
    (void)malloc_trim(
        0); /* weights are many small blocks: without this the process keeps their pages */
#endif
}

/* ------------------------------------------------------------------------------- run */

static void keep(void *data, size_t size, void *arg)
{
    (void)data, (void)size, (void)arg; /* the memory is the caller's, until ccz_result_free() */
}

static struct TF_Tensor *string_tensor(const struct tf_api *tf, const struct ccz_tensor *t)
{
    struct TF_Tensor *out =
        tf->TF_AllocateTensor(CCZ_DT_STRING, t->dims, t->rank, t->len * sizeof(struct TF_TString));
    struct TF_TString *s = out ? tf->TF_TensorData(out) : NULL;
    for (size_t i = 0; s && i < t->len; i++) {
        tf->TF_StringInit(&s[i]);
        tf->TF_StringAssignView(&s[i], t->strings[i].size ? (const char *)t->strings[i].ptr : "",
                                t->strings[i].size);
    }
    return out;
}

static struct TF_Tensor *input_tensor(const struct tf_api *tf, const struct ccz_tensor *t,
                                      bool copy)
{
    if (t->dtype == CCZ_DT_STRING)
        return string_tensor(tf, t);
    if (t->len == 0)
        return tf->TF_AllocateTensor((int)t->dtype, t->dims, t->rank, 0);
    if (copy) {
        struct TF_Tensor *out =
            tf->TF_AllocateTensor((int)t->dtype, t->dims, t->rank, t->data.size);
        if (out)
            memcpy(tf->TF_TensorData(out), t->data.ptr, t->data.size);
        return out;
    }
    /* TensorFlow only reads what it does not own, so the const may go. */
    return tf->TF_NewTensor((int)t->dtype, t->dims, t->rank, (void *)(uintptr_t)t->data.ptr,
                            t->data.size, keep, NULL);
}

static bool string_views(struct ccz_tensor *t, struct cczi_arena *a, const struct tf_api *tf,
                         const struct TF_Tensor *from)
{
    const struct TF_TString *s = tf->TF_TensorData(from);
    struct ccz_span *v = cczi_alloc(a, t->len, sizeof(*v));
    for (size_t i = 0; v && i < t->len; i++)
        v[i] = CCZ_SPAN(tf->TF_StringGetDataPointer(&s[i]), tf->TF_StringGetSize(&s[i]));
    t->strings = v;
    return v != NULL;
}

/* Describes one output in place. */
static ccz_rc output_tensor(struct ccz_tensor *t, struct cczi_arena *a, const struct tf_api *tf,
                            const struct TF_Tensor *from, struct ccz_run_status *st)
{
    t->dtype = (enum ccz_dtype)tf->TF_TensorType(from);
    t->rank = tf->TF_NumDims(from);
    if (t->rank < 0 || t->rank > CCZ_TENSOR_RANK_MAX)
        return ccz_run_status_set(st, CCZ_RUN_UNIMPLEMENTED,
                                  "output %s has rank %d, supported are %d", t->name, t->rank,
                                  CCZ_TENSOR_RANK_MAX);
    for (int i = 0; i < t->rank; i++)
        t->dims[i] = tf->TF_Dim(from, i);
    size_t size = ccz_dtype_size(t->dtype);
    if (!ccz_tensor_len(&t->len, t->rank, t->dims) || (size == 0 && t->dtype != CCZ_DT_STRING))
        return ccz_run_status_set(st, CCZ_RUN_UNIMPLEMENTED,
                                  "output %s has an unsupported type or shape", t->name);
    if (t->dtype == CCZ_DT_STRING)
        return string_views(t, a, tf, from)
                   ? CCZ_OK
                   : ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "no memory");
    t->data = CCZ_SPAN(tf->TF_TensorData(from), tf->TF_TensorByteSize(from));
    if (t->data.size != t->len * size)
        return ccz_run_status_set(st, CCZ_RUN_INTERNAL, "output %s has %zu bytes", t->name,
                                  t->data.size);
    return CCZ_OK;
}

static struct TF_Buffer *run_options(const struct tf_api *tf, uint32_t timeout_ms)
{
    if (timeout_ms == 0)
        return NULL;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, RUN_OPTIONS_SIZE_MAX);
    ccz_pb_put_uint(&b, RUN_TIMEOUT_MS, timeout_ms);
    return tf->TF_NewBufferFromString(b.ptr, b.size);
}

static ccz_rc session_run(struct tf_result *tr, struct ccz_run_status *st, const struct tf_model *t,
                          const struct ccz_run_req *req, const struct tf_signature *at,
                          struct TF_Output *fetch, size_t fetch_len)
{
    const struct tf_api *tf = tr->api;
    for (size_t i = 0; i < fetch_len; i++)
        fetch[i] = at->out[req->fetch ? req->fetch[i] : i];
    struct TF_Buffer *options = run_options(tf, req->timeout_ms);
    struct TF_Status *s = tf->TF_NewStatus(); /* one per call: a status is not thread-safe */
    tf->TF_SessionRun(t->session, options, at->in, tr->in, (int)tr->in_len, fetch, tr->out,
                      (int)fetch_len, NULL, 0, NULL, s);
    ccz_rc rc = CCZ_OK;
    if (tf->TF_GetCode(s) != 0)
        rc = ccz_run_status_set(st, (enum ccz_run_code)tf->TF_GetCode(s), "%s", tf->TF_Message(s));
    tf->TF_DeleteStatus(s);
    if (options)
        tf->TF_DeleteBuffer(options);
    return rc;
}

static ccz_rc tf_run(struct ccz_result *r, struct ccz_run_status *st, struct ccz_model *m,
                     const struct ccz_run_req *req, const struct ccz_tensor *const *in)
{
    const struct tf_engine *te = m->engine->state;
    const struct tf_model *t = m->state;
    const struct ccz_signature *sig = req->sig;
    struct tf_result *tr = cczi_alloc(&r->arena, 1, sizeof(*tr));
    struct TF_Output *fetch = cczi_alloc(&r->arena, r->len, sizeof(*fetch));
    if (!tr || !fetch)
        return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "no memory");
    tr->api = &te->api;
    tr->in = cczi_alloc(&r->arena, sig->in_len, sizeof(struct TF_Tensor *));
    tr->out = cczi_alloc(&r->arena, r->len, sizeof(struct TF_Tensor *));
    if (!tr->in || !tr->out)
        return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "no memory");
    tr->in_len = sig->in_len;
    r->state = tr;
    for (size_t i = 0; i < sig->in_len; i++) {
        tr->in[i] = input_tensor(&te->api, in[i], req->copy_in);
        if (!tr->in[i])
            return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "no memory for input %s",
                                      sig->in[i].name);
    }
    ccz_rc rc = session_run(tr, st, t, req, sig->bound, fetch, r->len);
    for (size_t i = 0; rc == CCZ_OK && i < r->len; i++) {
        r->out[i].name = sig->out[req->fetch ? req->fetch[i] : i].name;
        rc = output_tensor(&r->out[i], &r->arena, &te->api, tr->out[i], st);
    }
    return rc;
}

static void tf_release(struct ccz_result *r)
{
    struct tf_result *tr = r->state;
    if (!tr)
        return;
    for (size_t i = 0; i < r->len; i++)
        if (tr->out[i])
            tr->api->TF_DeleteTensor(tr->out[i]);
    for (size_t i = 0; i < tr->in_len; i++)
        if (tr->in[i])
            tr->api->TF_DeleteTensor(tr->in[i]);
}

const struct cczi_backend cczi_backend_tensorflow = {
    .name = "tensorflow",
    .open = tf_open,
    .close = tf_close,
    .load = tf_load,
    .unload = tf_unload,
    .run = tf_run,
    .release = tf_release,
    .unite = tf_unite,
};
