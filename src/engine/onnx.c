/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks through an ONNX file (onnx.proto) before the library does. Weights that lie in other files are refused here: the library
 * would read whatever path, or even address, the model names. And bytes that are no protobuf never reach it.
 */
#include "engine/engine_priv.h"

#include <cczoo/codec.h>

#include <string.h>

enum { DEPTH_MAX = 60 }; /* of graphs in attributes of nodes in graphs ...; protobuf stops at 100 */

enum message { NONE, MODEL, TRAINING, FUNCTION, GRAPH, NODE, ATTRIBUTE, SPARSE, TENSOR };
enum {
    MODEL_GRAPH = 7,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    TENSOR_EXTERNAL_DATA = 13, /* repeated StringStringEntryProto */
    TENSOR_DATA_LOCATION = 14, /* 1 = EXTERNAL */
};

/* Where tensors can be: {message, field, message in it}. */
static const struct {
    uint8_t outer;
    uint8_t field;
    uint8_t inner;
} parts[] = {
    {MODEL, MODEL_GRAPH, GRAPH}, {MODEL, 20, TRAINING},   {MODEL, 25, FUNCTION},
    {TRAINING, 1, GRAPH},        {TRAINING, 2, GRAPH},    {FUNCTION, 7, NODE},
    {FUNCTION, 11, ATTRIBUTE},   {GRAPH, 1, NODE},        {GRAPH, 5, TENSOR},
    {GRAPH, 15, SPARSE},         {NODE, 5, ATTRIBUTE},    {ATTRIBUTE, 5, TENSOR},
    {ATTRIBUTE, 6, GRAPH},       {ATTRIBUTE, 10, TENSOR}, {ATTRIBUTE, 11, GRAPH},
    {ATTRIBUTE, 22, SPARSE},     {ATTRIBUTE, 23, SPARSE}, {SPARSE, 1, TENSOR},
    {SPARSE, 2, TENSOR},
};

static enum message inner_of(enum message outer, uint32_t field)
{
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (parts[i].outer == outer && parts[i].field == field)
            return (enum message)parts[i].inner;
    return NONE;
}

static ccz_rc malformed(struct ccz_err *err, size_t depth)
{
    return ccz_fail(err, CCZ_E_FORMAT, "engine:onnx", (int64_t)depth,
                    "this is no ONNX file, or it is cut or damaged");
}

static ccz_rc look(enum message kind, struct ccz_span msg, int depth, struct ccz_err *err)
{
    if (depth == DEPTH_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "engine:onnx", depth, "graphs are nested too deep");
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    ccz_rc rc = CCZ_OK;
    while (rc == CCZ_OK && ccz_pb_next(&f, &r)) {
        if (kind == TENSOR &&
            ((f.number == TENSOR_EXTERNAL_DATA && f.wire == CCZ_PB_LEN) ||
             (f.number == TENSOR_DATA_LOCATION && f.wire == CCZ_PB_VARINT && f.num != 0))) {
            ccz_fail(err, CCZ_E_UNSUPPORTED, "engine:external-data", 0,
                     "the weights of this model lie in other files");
            return ccz_hint(err, CCZ_E_UNSUPPORTED,
                            "save it in one file: onnx.save(onnx.load(IN), OUT)");
        }
        const enum message inner = inner_of(kind, f.number);
        if (inner != NONE && f.wire == CCZ_PB_LEN)
            rc = look(inner, f.bytes, depth + 1, err);
        else if (inner != NONE)
            rc = malformed(err, (size_t)depth);
    }
    return rc == CCZ_OK && r.bad ? malformed(err, (size_t)depth) : rc;
}

/* The last field @p number of @p msg, as protobuf takes it; empty if there is none. */
static struct ccz_span member(struct ccz_span msg, uint32_t number)
{
    struct ccz_span out = {0};
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r))
        if (f.number == number && f.wire == CCZ_PB_LEN)
            out = f.bytes;
    return out;
}

ccz_rc cczi_onnx_check(struct ccz_span model, struct ccz_err *err)
{
    size_t graphs = 0;
    ccz_rc rc = look(MODEL, model, 0, err);
    struct ccz_rd r = ccz_rd_from(model);
    struct ccz_pb_field f;
    while (rc == CCZ_OK && ccz_pb_next(&f, &r))
        graphs += f.number == MODEL_GRAPH;
    if (rc == CCZ_OK && graphs != 1)
        return ccz_fail(err, CCZ_E_FORMAT, "engine:onnx", (int64_t)graphs,
                        "an ONNX file has one graph, this one has %zu", graphs);
    return rc;
}

/* ValueInfoProto {1 name, 2 TypeProto {1 Tensor {1 elem_type, 2 shape}}} */
bool cczi_onnx_shapeless(struct ccz_span model, bool input, const char *name)
{
    struct ccz_rd r = ccz_rd_from(member(model, MODEL_GRAPH));
    struct ccz_pb_field f, g;
    bool shape = false;
    while (ccz_pb_next(&f, &r)) {
        if (f.number != (input ? GRAPH_INPUT : GRAPH_OUTPUT) || f.wire != CCZ_PB_LEN ||
            !ccz_span_eq(member(f.bytes, 1), ccz_span_str(name)))
            continue;
        struct ccz_rd t = ccz_rd_from(member(member(f.bytes, 2), 1));
        while (ccz_pb_next(&g, &t))
            shape = shape || g.number == 2;
    }
    return !shape;
}
