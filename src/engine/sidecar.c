/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures of a model that brings none, as an ONNX file or a frozen graph: either signatures.json names them, or there is one,
 * "serving_default", of everything that goes in and comes out.
 *
 *   {"serving_default": {"method": "tensorflow/serving/predict",
 *                        "inputs": {"images": "input:0"}, "outputs": {"scores": "Softmax:0"}}}
 */
#include "engine/engine_priv.h"

#include <cczoo/codec.h>

#include <string.h>

static const char predict[] = "tensorflow/serving/predict";
static const char sidecar[] = "engine:signatures.json";

static ccz_rc wrong(struct ccz_err *err, const char *what, const char *name)
{
    return ccz_fail(err, CCZ_E_FORMAT, sidecar, 0, "%s: %.100s", what, name);
}

/* "inputs" or "outputs" */
static ccz_rc put_side(struct ccz_buf *out, bool input, const struct ccz_json *side,
                       const struct cczi_graph *g, struct ccz_err *err)
{
    const char *key = NULL;
    const struct ccz_json *v;
    while ((v = ccz_json_next(&key, side)) != NULL) {
        const char *tensor = ccz_json_str(v);
        struct cczi_graph_tensor t = {0};
        if (!tensor || !key[0])
            return wrong(err, "the value of a key is the name of a tensor", key);
        if (!g->find(&t, g->arg, input, tensor)) {
            wrong(err, input ? "the graph has no such input" : "the graph has no such output",
                  tensor);
            return ccz_hint(err, CCZ_E_FORMAT, g->hint);
        }
        cczi_info_put(out, input ? 1 : 2, key, &t);
    }
    return CCZ_OK;
}

static ccz_rc put_signature(struct ccz_buf *out, const char *name, const struct ccz_json *j,
                            const struct cczi_graph *g, struct ccz_err *err)
{
    const struct ccz_json *in = ccz_json_get(j, "inputs"), *outputs = ccz_json_get(j, "outputs"),
                          *method = ccz_json_get(j, "method");
    if (ccz_json_type(in) != CCZ_JSON_OBJECT || ccz_json_type(outputs) != CCZ_JSON_OBJECT ||
        ccz_json_len(outputs) == 0)
        return wrong(err, "a signature has \"inputs\" and \"outputs\", each {KEY: TENSOR}", name);
    if ((method && !ccz_json_str(method)) || ccz_json_len(j) != (method ? 3u : 2u))
        return wrong(err, "besides \"method\" (a text) a signature has nothing else", name);
    const size_t entry = ccz_pb_open(out, 5);
    ccz_pb_put_str(out, 1, name);
    const size_t def = ccz_pb_open(out, 2);
    ccz_rc rc = put_side(out, true, in, g, err);
    if (rc == CCZ_OK)
        rc = put_side(out, false, outputs, g, err);
    ccz_pb_put_str(out, 3, method ? ccz_json_str(method) : predict);
    ccz_pb_close(out, def);
    ccz_pb_close(out, entry);
    return rc;
}

static ccz_rc put_named(struct ccz_buf *out, struct ccz_span json, const struct cczi_graph *g,
                        struct ccz_err *err)
{
    CCZ_AUTO(ccz_json) root = NULL;
    ccz_rc rc = ccz_json_parse(&root, json, err);
    if (rc != CCZ_OK)
        return rc;
    if (ccz_json_type(root) != CCZ_JSON_OBJECT || ccz_json_len(root) == 0)
        return wrong(err, "expected an object", "{NAME: SIGNATURE, ...}");
    const char *name = NULL;
    const struct ccz_json *v;
    while (rc == CCZ_OK && (v = ccz_json_next(&name, root)) != NULL)
        rc = put_signature(out, name, v, g, err);
    return rc;
}

static void put_default(struct ccz_buf *out, const struct cczi_graph *g)
{
    const size_t entry = ccz_pb_open(out, 5);
    ccz_pb_put_str(out, 1, "serving_default");
    const size_t def = ccz_pb_open(out, 2);
    for (size_t i = 0; i < g->in_len; i++)
        cczi_info_put(out, 1, g->in[i].key, &g->in[i]);
    for (size_t i = 0; i < g->out_len; i++)
        cczi_info_put(out, 2, g->out[i].key, &g->out[i]);
    ccz_pb_put_str(out, 3, predict);
    ccz_pb_close(out, def);
    ccz_pb_close(out, entry);
}

ccz_rc cczi_sidecar_signatures(struct cczi_meta *out, const struct cczi_graph *g,
                               struct ccz_span json, struct ccz_err *err)
{
    CCZ_AUTO_BUF meta;
    ccz_buf_init(&meta, SIDECAR_SIZE_MAX * 4);
    ccz_rc rc = CCZ_OK;
    if (json.size)
        rc = put_named(&meta, json, g, err);
    else
        put_default(&meta, g);
    if (rc != CCZ_OK)
        return rc;
    if (meta.bad)
        return ccz_fail(err, CCZ_E_LIMIT, "engine:signature", 0,
                        "the signatures of this model are too large");
    return cczi_meta_parse(out, ccz_buf_span(&meta), err);
}
