/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back end "echo": a graph without operations. The model is one file, saved_model.pb; each output
 * is the input that has the same tensor name. It lets everything above the engine be tested without
 * TensorFlow, with any signature.
 */
#include "engine/engine_priv.h"

#include <stdlib.h>
#include <string.h>

enum { ECHO_MODEL_SIZE_MAX = 16 << 20 };

static ccz_rc echo_open(struct ccz_engine *e, const struct ccz_engine_cfg *cfg, struct ccz_err *err)
{
    (void)e;
    if (cfg->library)
        return ccz_refuse(err, CCZ_E_ARG, "engine:library", cfg->library, "no library");
    return CCZ_OK;
}

static void echo_close(struct ccz_engine *e)
{
    (void)e;
}

/* Keeps saved_model.pb, drops every other file. */
struct echo_sink {
    struct ccz_buf pb;
    bool keep;
};

static ccz_rc sink_dir(void *arg, const char *name, struct ccz_err *err)
{
    (void)arg, (void)name, (void)err;
    return CCZ_OK;
}

static ccz_rc sink_open(void *arg, const char *name, struct ccz_err *err)
{
    (void)err;
    ((struct echo_sink *)arg)->keep = strcmp(name, "saved_model.pb") == 0;
    return CCZ_OK;
}

static ccz_rc sink_write(void *arg, struct ccz_span chunk, struct ccz_err *err)
{
    struct echo_sink *s = arg;
    if (s->keep)
        ccz_buf_put_span(&s->pb, chunk);
    return s->pb.bad ? ccz_fail(err, CCZ_E_LIMIT, "engine:stage", ECHO_MODEL_SIZE_MAX,
                                "saved_model.pb is too large")
                     : CCZ_OK;
}

static ccz_rc sink_close(void *arg, struct ccz_err *err)
{
    (void)arg, (void)err;
    return CCZ_OK;
}

/* The input that an output repeats, or NULL. */
static const struct ccz_tensor_info *source_of(const struct ccz_signature *sig,
                                               const struct ccz_tensor_info *out)
{
    for (size_t i = 0; i < sig->in_len; i++)
        if (strcmp(sig->in[i].tensor_name, out->tensor_name) == 0 && sig->in[i].dtype == out->dtype)
            return &sig->in[i];
    return NULL;
}

static ccz_rc echo_load(struct ccz_model *m, const struct ccz_model_cfg *cfg, struct ccz_err *err)
{
    struct echo_sink s = {0};
    ccz_buf_init(&s.pb, ECHO_MODEL_SIZE_MAX);
    struct ccz_span meta;
    struct cczi_sink sink = {sink_dir, sink_open, sink_write, sink_close, &s};
    ccz_rc rc = cczi_stage_copy(cfg, &sink, err);
    if (rc == CCZ_OK)
        rc = cczi_meta_find(&meta, ccz_buf_span(&s.pb), cfg->tag ? cfg->tag : "serve", err);
    if (rc == CCZ_OK)
        rc = cczi_meta_parse(&m->meta, meta, err);
    ccz_buf_free(&s.pb);
    for (size_t i = 0; rc == CCZ_OK && i < m->meta.len; i++) {
        const struct ccz_signature *sig = &m->meta.sigs[i];
        for (size_t k = 0; rc == CCZ_OK && sig->runnable && k < sig->out_len; k++)
            if (!source_of(sig, &sig->out[k]))
                rc = ccz_fail(err, CCZ_E_FORMAT, "engine:load", 0, "output %.60s repeats no input",
                              sig->out[k].name);
    }
    return rc;
}

static void echo_unload(struct ccz_model *m)
{
    (void)m;
}

static ccz_rc echo_run(struct ccz_result *r, struct ccz_run_status *st, struct ccz_model *m,
                       const struct ccz_run_req *req, const struct ccz_tensor *const *in)
{
    (void)m;
    const struct ccz_signature *sig = req->sig;
    for (size_t i = 0; i < sig->in_len; i++)
        if (in[i]->dtype != sig->in[i].dtype)
            return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "Tensor %s is %s, expected %s",
                                      sig->in[i].tensor_name, ccz_dtype_name(in[i]->dtype),
                                      ccz_dtype_name(sig->in[i].dtype));
    for (size_t i = 0; i < r->len; i++) {
        const struct ccz_tensor_info *out = &sig->out[req->fetch ? req->fetch[i] : i];
        r->out[i] = *in[source_of(sig, out) - sig->in];
        r->out[i].name = out->name;
    }
    return CCZ_OK;
}

static void echo_release(struct ccz_result *r)
{
    (void)r;
}

static ccz_rc echo_unite(struct cczi_arena *a, struct ccz_signature *sig,
                         const struct ccz_signature *const *parts, size_t len, struct ccz_err *err)
{
    (void)a, (void)sig, (void)parts, (void)len, (void)err;
    return CCZ_OK; /* outputs are found by their tensor names, in whichever signature */
}

const struct cczi_backend cczi_backend_echo = {
    .name = "echo",
    .open = echo_open,
    .close = echo_close,
    .load = echo_load,
    .unload = echo_unload,
    .run = echo_run,
    .release = echo_release,
    .unite = echo_unite,
};
