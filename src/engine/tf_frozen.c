/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frozen graph: a GraphDef whose variables are constants. It has no signatures, so they come from signatures.json or are what
 * the graph shows: placeholders go in, results that no other operation uses come out.
 */
#include "engine/tf_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    TENSORS_MAX = 1024, /* inputs or outputs of the signature that is made up */
    RANK_MAX = 254,
    NAME_SIZE = 600,
};

struct frozen {
    const struct tf_api *tf;
    struct TF_Graph *graph;
    struct TF_Status *status;
    struct cczi_arena arena;
    struct cczi_graph_tensor *in, *out;
    size_t in_len, out_len;
};

/* Name, type and shape of a place in the graph. False if there is no memory. */
static bool describe(struct cczi_graph_tensor *t, struct frozen *f, struct TF_Output at)
{
    char name[NAME_SIZE];
    const struct tf_api *tf = f->tf;
    const bool only = tf->TF_OperationNumOutputs(at.oper) == 1;
    (void)snprintf(name, sizeof(name), "%s:%d", tf->TF_OperationName(at.oper), at.index);
    t->name = cczi_copy_str(&f->arena, ccz_span_str(name));
    t->key = only ? cczi_copy_str(&f->arena, ccz_span_str(tf->TF_OperationName(at.oper))) : t->name;
    t->dtype = (enum ccz_dtype)tf->TF_OperationOutputType(at);
    if (ccz_dtype_size(t->dtype) == 0 && t->dtype != CCZ_DT_STRING)
        t->dtype = CCZ_DT_INVALID;
    t->rank = tf->TF_GraphGetTensorNumDims(f->graph, at, f->status);
    if (tf->TF_GetCode(f->status) != 0 || t->rank > RANK_MAX)
        t->rank = -1; /* not inferred is as good as unknown */
    int64_t *dims = cczi_alloc(&f->arena, t->rank > 0 ? (size_t)t->rank : 0, sizeof(*dims));
    if (dims && t->rank > 0)
        tf->TF_GraphGetTensorShape(f->graph, at, dims, t->rank, f->status);
    t->dims = dims;
    return t->name && t->key && dims;
}

static bool find(struct cczi_graph_tensor *out, void *arg, bool input, const char *name)
{
    struct frozen *f = arg;
    struct TF_Output at;
    (void)input; /* any tensor of a graph can be fed */
    return cczi_tf_find(&at, f->tf, f->graph, name) && describe(out, f, at);
}

/* A result that nothing uses. Constants and what only belongs to saving and checking are none. */
static bool is_result(const struct tf_api *tf, struct TF_Operation *op)
{
    static const char *const never[] = {
        "Placeholder", "PlaceholderWithDefault", "Const", "SaveV2", "RestoreV2", "Assert"};
    const char *type = tf->TF_OperationOpType(op);
    const int len = tf->TF_OperationNumOutputs(op);
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        if (strcmp(type, never[i]) == 0)
            return false;
    for (int i = 0; i < len; i++)
        if (tf->TF_OperationOutputNumConsumers((struct TF_Output){op, i}) != 0)
            return false;
    return len > 0;
}

static ccz_rc look_for(struct frozen *f, struct ccz_err *err)
{
    struct TF_Operation *op;
    f->in = cczi_alloc(&f->arena, TENSORS_MAX, sizeof(*f->in));
    f->out = cczi_alloc(&f->arena, TENSORS_MAX, sizeof(*f->out));
    bool memory = f->in && f->out, room = true;
    for (size_t pos = 0; memory && room && (op = f->tf->TF_GraphNextOperation(f->graph, &pos));) {
        const int len = f->tf->TF_OperationNumOutputs(op);
        if (strcmp(f->tf->TF_OperationOpType(op), "Placeholder") == 0) {
            room = f->in_len < TENSORS_MAX;
            memory = !room || describe(&f->in[f->in_len++], f, (struct TF_Output){op, 0});
        } else if (is_result(f->tf, op)) {
            for (int i = 0; memory && i < len && (room = f->out_len < TENSORS_MAX); i++) {
                memory = describe(&f->out[f->out_len], f, (struct TF_Output){op, i});
                f->out_len += f->out[f->out_len].dtype != CCZ_DT_INVALID;
            }
        }
    }
    if (!memory)
        return ccz_fail(err, CCZ_E_NOMEM, "engine:signature", 0, "no memory");
    if (!room || f->out_len == 0) {
        ccz_fail(err, CCZ_E_FORMAT, "engine:signature", (int64_t)f->out_len,
                 room ? "nothing comes out of this graph" : "too much goes in or comes out");
        return ccz_hint(err, CCZ_E_FORMAT, "name inputs and outputs in signatures.json");
    }
    return CCZ_OK;
}

static ccz_rc read_signatures(struct ccz_model *m, struct TF_Status *s, struct ccz_span sidecar,
                              struct ccz_err *err)
{
    const struct tf_engine *te = m->engine->state;
    struct frozen f = {.tf = &te->api, .graph = ((struct tf_model *)m->state)->graph, .status = s};
    ccz_rc rc = sidecar.size ? CCZ_OK : look_for(&f, err);
    if (rc == CCZ_OK) {
        const struct cczi_graph g = {
            f.in, f.out, f.in_len, f.out_len, find, &f, "tensors are named OPERATION:NUMBER"};
        rc = cczi_sidecar_signatures(&m->meta, &g, sidecar, err);
    }
    cczi_arena_free(&f.arena);
    return rc;
}

static ccz_rc import(struct ccz_model *m, struct ccz_span model, struct TF_Status *s,
                     struct ccz_err *err)
{
    const struct tf_engine *te = m->engine->state;
    const struct tf_api *tf = &te->api;
    struct tf_model *t = m->state;
    const struct TF_Buffer graph_def = {model.ptr, model.size, NULL};
    struct TF_ImportGraphDefOptions *how = tf->TF_NewImportGraphDefOptions();
    t->graph = tf->TF_NewGraph();
    tf->TF_GraphImportGraphDef(t->graph, &graph_def, how, s);
    tf->TF_DeleteImportGraphDefOptions(how);
    if (tf->TF_GetCode(s) != 0)
        return cczi_tf_failed(tf, s, "engine:load", err);
    struct TF_SessionOptions *options;
    ccz_rc rc = cczi_tf_options(&options, te, s, err);
    if (rc == CCZ_OK) {
        t->session = tf->TF_NewSession(t->graph, options, s);
        rc = tf->TF_GetCode(s) ? cczi_tf_failed(tf, s, "engine:load", err) : CCZ_OK;
    }
    tf->TF_DeleteSessionOptions(options);
    return rc;
}

ccz_rc cczi_tf_load_frozen(struct ccz_model *m, const struct ccz_model_cfg *cfg, size_t file,
                           struct TF_Status *s, struct ccz_err *err)
{
    if (cfg->stage != CCZ_STAGE_MEMORY)
        return ccz_fail(err, CCZ_E_ARG, "engine:stage", (int64_t)cfg->stage,
                        "a frozen graph is loaded from memory only");
    struct cczi_image model, sidecar;
    ccz_rc rc = cczi_files_read(&model, &sidecar, cfg, file, err);
    if (rc != CCZ_OK)
        return rc;
    rc = import(m, CCZ_SPAN(model.bytes, model.size), s, err);
    if (rc == CCZ_OK)
        rc = read_signatures(m, s, CCZ_SPAN(sidecar.bytes, sidecar.size), err);
    cczi_image_free(&model);
    cczi_image_free(&sidecar);
    return rc;
}
