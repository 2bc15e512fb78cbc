/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A back end out of somebody's functions. Its signatures take the way of every other one, through a MetaGraphDef, so that
 * metadata, defaults and checks work without knowing where a model comes from.
 */
#include "engine/engine_priv.h"

#include <cczoo/codec.h>

#include <stdlib.h>
#include <string.h>

enum { SIGNATURES_SIZE_MAX = 1 << 20 };

struct custom {
    struct cczi_backend backend; /* the functions below, under the name of the operations */
    const struct ccz_engine_ops *ops;
    void *arg;
};

/* ------------------------------------------------------------------------ describing */

static void put_shape(struct ccz_buf *out, uint32_t number, int rank, const int64_t *dims)
{
    size_t shape = ccz_pb_open(out, number);
    for (int i = 0; i < rank; i++) {
        size_t dim = ccz_pb_open(out, 2);
        ccz_pb_put_uint(out, 1, (uint64_t)dims[i]);
        ccz_pb_close(out, dim);
    }
    if (rank < 0)
        ccz_pb_put_uint(out, 3, 1);
    ccz_pb_close(out, shape);
}

/* Map entry {1 name, 2 TensorInfo {1 name, 2 dtype, 3 tensor_shape}} */
void cczi_info_put(struct ccz_buf *out, uint32_t number, const char *key,
                   const struct cczi_graph_tensor *t)
{
    size_t entry = ccz_pb_open(out, number);
    ccz_pb_put_str(out, 1, key);
    size_t info = ccz_pb_open(out, 2);
    ccz_pb_put_str(out, 1, t->name);
    ccz_pb_put_uint(out, 2, (uint64_t)t->dtype);
    put_shape(out, 3, t->rank, t->dims);
    ccz_pb_close(out, info);
    ccz_pb_close(out, entry);
}

static void put_info(struct ccz_buf *out, uint32_t number, const struct ccz_tensor_spec *t)
{
    /* there is no graph whose tensors have other names */
    cczi_info_put(out, number, t->name,
                  &(struct cczi_graph_tensor){t->name, t->name, t->dtype, t->rank, t->dims});
}

/* Map entry {1 name, 2 TensorProto {1 dtype, 2 tensor_shape, 4 tensor_content, 8 string_val}} */
static void put_fallback(struct ccz_buf *out, const struct ccz_tensor_spec *t)
{
    const struct ccz_tensor *v = t->fallback;
    size_t entry = ccz_pb_open(out, 4);
    ccz_pb_put_str(out, 1, t->name);
    size_t tensor = ccz_pb_open(out, 2);
    ccz_pb_put_uint(out, 1, (uint64_t)v->dtype);
    put_shape(out, 2, v->rank, v->dims);
    if (v->dtype == CCZ_DT_STRING)
        for (size_t i = 0; i < v->len; i++)
            ccz_pb_put_bytes(out, 8, v->strings[i]);
    else if (v->len)
        ccz_pb_put_bytes(out, 4, v->data);
    ccz_pb_close(out, tensor);
    ccz_pb_close(out, entry);
    out->bad = out->bad || !cczi_well_formed(v) || v->dtype != t->dtype;
}

void ccz_signature_put(struct ccz_buf *out, const struct ccz_signature_spec *sig)
{
    size_t entry = ccz_pb_open(out, 5);
    ccz_pb_put_str(out, 1, sig->name);
    size_t def = ccz_pb_open(out, 2);
    for (size_t i = 0; i < sig->in_len; i++)
        put_info(out, 1, &sig->in[i]);
    for (size_t i = 0; i < sig->out_len; i++)
        put_info(out, 2, &sig->out[i]);
    ccz_pb_put_str(out, 3, "tensorflow/serving/predict");
    for (size_t i = 0; i < sig->in_len; i++)
        if (sig->in[i].fallback)
            put_fallback(out, &sig->in[i]);
    ccz_pb_close(out, def);
    ccz_pb_close(out, entry);
}

/* ------------------------------------------------------------------------ running */

static const struct custom *custom_of(const struct ccz_model *m)
{
    return m->engine->state;
}

static ccz_rc custom_load(struct ccz_model *m, const struct ccz_model_cfg *cfg, struct ccz_err *err)
{
    const struct custom *c = custom_of(m);
    CCZ_AUTO_BUF signatures;
    ccz_buf_init(&signatures, SIGNATURES_SIZE_MAX);
    ccz_rc rc = c->ops->load(&m->state, &signatures, c->arg, cfg, err);
    if (rc == CCZ_OK && signatures.bad)
        rc = ccz_fail(err, CCZ_E_INTERNAL, "engine:signature", 0,
                      "back end %.40s describes its model wrongly", c->ops->name);
    return rc == CCZ_OK ? cczi_meta_parse(&m->meta, ccz_buf_span(&signatures), err) : rc;
}

static void custom_unload(struct ccz_model *m)
{
    if (m->state)
        custom_of(m)->ops->unload(m->state);
}

/* A number of the wrong width would be read out of bounds by whoever trusts the signature. */
static ccz_rc check_types(struct ccz_run_status *st, const struct ccz_signature *sig,
                          const struct ccz_tensor *const *in)
{
    for (size_t i = 0; i < sig->in_len; i++)
        if (in[i]->dtype != sig->in[i].dtype)
            return ccz_run_status_set(
                st, CCZ_RUN_INVALID_ARGUMENT, "input %.200s is %s, the signature says %s",
                sig->in[i].name, ccz_dtype_name(in[i]->dtype), ccz_dtype_name(sig->in[i].dtype));
    return CCZ_OK;
}

static ccz_rc custom_run(struct ccz_result *r, struct ccz_run_status *st, struct ccz_model *m,
                         const struct ccz_run_req *req, const struct ccz_tensor *const *in)
{
    const struct ccz_signature *sig = req->sig;
    ccz_rc rc = check_types(st, sig, in);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_tensor *all = cczi_alloc(&r->arena, sig->out_len, sizeof(*all));
    if (!all)
        return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "no memory for the outputs");
    for (size_t i = 0; i < sig->out_len; i++)
        all[i] = (struct ccz_tensor){.name = sig->out[i].name, .dtype = sig->out[i].dtype};
    rc = custom_of(m)->ops->run(all, r, st, m->state, sig, in, req->timeout_ms);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < sig->out_len; i++)
        if (all[i].dtype != sig->out[i].dtype || !cczi_well_formed(&all[i]))
            return ccz_run_status_set(st, CCZ_RUN_INTERNAL,
                                      "output %.200s does not fit its own shape", all[i].name);
    for (size_t i = 0; i < r->len; i++)
        r->out[i] = all[req->fetch ? req->fetch[i] : i];
    return CCZ_OK;
}

static void custom_release(struct ccz_result *r)
{
    (void)r; /* everything is in its arena */
}

void *ccz_result_alloc(struct ccz_result *r, size_t len, size_t size)
{
    return cczi_alloc(&r->arena, len, size);
}

static void custom_close(struct ccz_engine *e)
{
    free(e->state);
}

ccz_rc ccz_engine_custom(struct ccz_engine **out, const struct ccz_engine_ops *ops, void *arg,
                         struct ccz_err *err)
{
    *out = NULL;
    if (!ops->name || !ops->name[0] || !ops->load || !ops->unload || !ops->run)
        return ccz_fail(err, CCZ_E_ARG, "engine:backend", 0,
                        "a custom back end needs a name and three functions");
    struct ccz_engine *e = calloc(1, sizeof(*e));
    struct custom *c = calloc(1, sizeof(*c));
    const size_t size = ops->version ? strlen(ops->version) : 0;
    if (!e || !c || size >= sizeof(e->version)) {
        const bool nomem = !e || !c;
        free(e);
        free(c);
        return nomem ? ccz_fail(err, CCZ_E_NOMEM, "engine:backend", 0, "no memory")
                     : ccz_fail(err, CCZ_E_ARG, "engine:backend", (int64_t)size,
                                "the version of a back end has at most 31 bytes");
    }
    *c = (struct custom){.backend = {.name = ops->name,
                                     .close = custom_close,
                                     .load = custom_load,
                                     .unload = custom_unload,
                                     .run = custom_run,
                                     .release = custom_release},
                         .ops = ops,
                         .arg = arg};
    e->backend = &c->backend;
    e->state = c;
    memcpy(e->version, ops->version ? ops->version : "", size);
    *out = e;
    return CCZ_OK;
}
