/* SPDX-License-Identifier: Apache-2.0 */
/* The public calls: choosing a back end, and what holds for every one of them. */
#include "engine/engine_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct cczi_backend *const backends[] = {
    &cczi_backend_tensorflow, &cczi_backend_onnxruntime, &cczi_backend_echo};

ccz_rc ccz_engine_open(struct ccz_engine **out, const struct ccz_engine_cfg *cfg,
                       struct ccz_err *err)
{
    *out = NULL;
    const struct cczi_backend *b = NULL;
    for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
        if (cfg->backend && strcmp(cfg->backend, backends[i]->name) == 0)
            b = backends[i];
    if (!b)
        return ccz_refuse(err, CCZ_E_ARG, "engine:backend", cfg->backend ? cfg->backend : "none",
                          "tensorflow, onnxruntime or echo");
    CCZ_AUTO(ccz_engine) e = calloc(1, sizeof(*e));
    if (!e)
        return ccz_fail(err, CCZ_E_NOMEM, "engine:backend", 0, "no memory");
    e->backend = b;
    ccz_rc rc = b->open(e, cfg, err);
    if (rc == CCZ_OK)
        *out = ccz_engine_take(&e);
    return rc;
}

void ccz_engine_free(struct ccz_engine *e)
{
    if (!e)
        return;
    e->backend->close(e);
    for (size_t i = 0; i < sizeof(e->libraries) / sizeof(e->libraries[0]); i++)
        free(e->libraries[i]);
    free(e);
}

const char *ccz_engine_backend(const struct ccz_engine *e)
{
    return e->backend->name;
}

const char *ccz_engine_version(const struct ccz_engine *e)
{
    return e->version;
}

const char *ccz_engine_library(const struct ccz_engine *e, size_t i)
{
    return i < sizeof(e->libraries) / sizeof(e->libraries[0]) ? e->libraries[i] : NULL;
}

/* ------------------------------------------------------------------------------- model */

ccz_rc ccz_model_load(struct ccz_model **out, struct ccz_engine *e, const struct ccz_model_cfg *cfg,
                      struct ccz_err *err)
{
    *out = NULL;
    struct ccz_model *fresh = calloc(1, sizeof(*fresh));
    if (!fresh)
        return ccz_fail(err, CCZ_E_NOMEM, "engine:load", 0, "no memory");
    fresh->engine = e;
    ccz_rc rc = cczi_unions_init(&fresh->unions, err);
    if (rc != CCZ_OK) {
        free(fresh);
        return rc;
    }
    CCZ_AUTO(ccz_model) m = fresh;
    rc = e->backend->load(m, cfg, err);
    if (rc == CCZ_OK)
        *out = ccz_model_take(&m);
    return rc;
}

void ccz_model_free(struct ccz_model *m)
{
    if (!m)
        return;
    m->engine->backend->unload(m);
    cczi_unions_free(&m->unions);
    cczi_meta_free(&m->meta);
    free(m);
}

const struct ccz_engine *ccz_model_engine(const struct ccz_model *m)
{
    return m->engine;
}

size_t ccz_model_signatures(const struct ccz_signature **out, const struct ccz_model *m)
{
    *out = m->meta.sigs;
    return m->meta.len;
}

const struct ccz_signature *ccz_model_signature(const struct ccz_model *m, const char *name)
{
    for (size_t i = 0; i < m->meta.len; i++)
        if (strcmp(m->meta.sigs[i].name, name) == 0)
            return &m->meta.sigs[i];
    return NULL;
}

/* ------------------------------------------------------------------------------- run */

bool cczi_well_formed(const struct ccz_tensor *t)
{
    size_t len;
    if (t->rank < 0 || t->rank > CCZ_TENSOR_RANK_MAX || !ccz_tensor_len(&len, t->rank, t->dims) ||
        len != t->len)
        return false;
    if (t->dtype == CCZ_DT_STRING)
        return t->strings || len == 0;
    size_t size = ccz_dtype_size(t->dtype);
    return size && t->data.size == len * size;
}

/* Puts the inputs into the order of the signature. */
static ccz_rc match(const struct ccz_tensor **in, const struct ccz_run_req *req,
                    struct ccz_err *err)
{
    const struct ccz_signature *sig = req->sig;
    if (!sig->runnable)
        return ccz_fail(err, CCZ_E_ARG, "engine:run", 0, "signature %.60s cannot be run",
                        sig->name);
    if (req->in_len != sig->in_len)
        return ccz_refuse_num(err, CCZ_E_ARG, "engine:run", (int64_t)req->in_len,
                              (int64_t)sig->in_len);
    for (size_t i = 0; i < sig->in_len; i++) {
        in[i] = NULL;
        for (size_t k = 0; k < req->in_len; k++)
            if (strcmp(req->in[k].name, sig->in[i].name) == 0)
                in[i] = &req->in[k];
        if (!in[i] || !cczi_well_formed(in[i]))
            return ccz_fail(err, CCZ_E_ARG, "engine:run", (int64_t)i,
                            "input %.60s is missing or inconsistent", sig->in[i].name);
    }
    for (size_t i = 0; req->fetch && i < req->fetch_len; i++)
        if (req->fetch[i] >= sig->out_len)
            return ccz_fail(err, CCZ_E_ARG, "engine:run", (int64_t)i, "no output number %zu",
                            req->fetch[i]);
    return CCZ_OK;
}

static void put_shape(struct ccz_buf *b, int rank, const int64_t *dims)
{
    for (int i = 0; i < rank; i++) {
        ccz_buf_put_str(b, i ? "," : "[");
        if (dims[i] < 0)
            ccz_buf_put_str(b, "?");
        else
            ccz_buf_printf(b, "%" PRId64, dims[i]);
    }
    ccz_buf_put_str(b, rank ? "]" : "[]");
}

/* Kernels check shapes too, but some of oneDNN's abort the process instead of refusing: a request must not get
 * that far. */
static bool fits(const struct ccz_tensor_info *want, const struct ccz_tensor *t)
{
    if (want->unknown_rank)
        return true;
    bool ok = t->rank == want->rank;
    for (int i = 0; ok && i < t->rank; i++)
        ok = want->dims[i] < 0 || want->dims[i] == t->dims[i];
    return ok;
}

/* [?,1] or [?,1,1]: rows of one number each. */
static bool is_column(const struct ccz_tensor_info *t)
{
    bool ok = !t->unknown_rank && t->rank > 1;
    for (int i = 1; ok && i < t->rank; i++)
        ok = t->dims[i] == 1;
    return ok;
}

/*
 * TensorFlow Serving's users send a list of numbers where the signature says [?,1]: it feeds the list, and most graphs answer
 * with a list. Here a kernel never sees a shape that was not declared: the list becomes a column, and columns of the answer lists.
 */
static ccz_rc fit_list(const struct ccz_tensor **in, const struct ccz_tensor_info *want,
                       struct cczi_arena *arena)
{
    if (!is_column(want) || (*in)->rank != 1)
        return CCZ_OK;
    struct ccz_tensor *column = cczi_alloc(arena, 1, sizeof(*column));
    if (!column)
        return CCZ_E_NOMEM;
    *column = **in;
    column->rank = want->rank;
    for (int i = 1; i < want->rank; i++)
        column->dims[i] = 1;
    *in = column;
    return CCZ_OK;
}

static void lists_of_columns(struct ccz_result *r, const struct ccz_run_req *req)
{
    for (size_t i = 0; i < r->len; i++) {
        const struct ccz_tensor_info *info = &req->sig->out[req->fetch ? req->fetch[i] : i];
        struct ccz_tensor *t = &r->out[i];
        if (is_column(info) && t->rank == info->rank && (int64_t)t->len == t->dims[0])
            t->rank = 1;
    }
}

/* @param[out] lists  some input was a list */
static ccz_rc check_shapes(bool *lists, struct ccz_run_status *st, const struct ccz_signature *sig,
                           const struct ccz_tensor **in, struct cczi_arena *arena)
{
    *lists = false;
    for (size_t i = 0; i < sig->in_len; i++) {
        const struct ccz_tensor *as_sent = in[i];
        if (fit_list(&in[i], &sig->in[i], arena) != CCZ_OK)
            return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "no memory for the request");
        *lists |= in[i] != as_sent;
        if (fits(&sig->in[i], in[i]))
            continue;
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, CCZ_RUN_MSG_SIZE_MAX);
        ccz_buf_printf(&b, "input %.200s has shape ", sig->in[i].name);
        put_shape(&b, as_sent->rank, as_sent->dims);
        ccz_buf_put_str(&b, ", the signature says ");
        put_shape(&b, sig->in[i].rank, sig->in[i].dims);
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "%s", ccz_buf_str(&b));
    }
    return CCZ_OK;
}

ccz_rc ccz_model_run(struct ccz_result **out, struct ccz_run_status *st, struct ccz_model *m,
                     const struct ccz_run_req *req, struct ccz_err *err)
{
    *out = NULL;
    struct ccz_run_status own;
    st = st ? st : &own;
    *st = (struct ccz_run_status){0};
    CCZ_AUTO(ccz_result) r = calloc(1, sizeof(*r));
    if (!r)
        return ccz_fail(err, CCZ_E_NOMEM, "engine:run", 0, "no memory");
    r->backend = m->engine->backend;
    r->len = req->fetch ? req->fetch_len : req->sig->out_len;
    r->out = cczi_alloc(&r->arena, r->len, sizeof(*r->out));
    const struct ccz_tensor **in =
        cczi_alloc(&r->arena, req->sig->in_len, sizeof(const struct ccz_tensor *));
    if (!r->out || !in)
        return ccz_fail(err, CCZ_E_NOMEM, "engine:run", 0, "no memory");
    ccz_rc rc = match(in, req, err);
    if (rc != CCZ_OK) {
        ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "%s", "inputs do not match the signature");
        return rc;
    }
    int64_t began_ms = ccz_mono_ms();
    bool lists;
    rc = check_shapes(&lists, st, req->sig, in, &r->arena);
    if (rc == CCZ_OK)
        rc = r->backend->run(r, st, m, req, in);
    if (rc == CCZ_OK && lists)
        lists_of_columns(r, req);
    /* TensorFlow cannot interrupt a run in the caller's thread: late is late all the same. */
    if (rc == CCZ_OK && req->timeout_ms && ccz_mono_ms() - began_ms > (int64_t)req->timeout_ms)
        rc = ccz_run_status_set(st, CCZ_RUN_DEADLINE_EXCEEDED,
                                "The run took longer than %" PRIu32 " ms", req->timeout_ms);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "engine:run", (int64_t)st->code, "%.180s", st->msg);
    *out = ccz_result_take(&r);
    return CCZ_OK;
}

size_t ccz_result_len(const struct ccz_result *r)
{
    return r->len;
}

const struct ccz_tensor *ccz_result_at(const struct ccz_result *r, size_t i)
{
    return i < r->len ? &r->out[i] : NULL;
}

void ccz_result_free(struct ccz_result *r)
{
    if (!r)
        return;
    r->backend->release(r);
    cczi_arena_free(&r->arena);
    free(r);
}
