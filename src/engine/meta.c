/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures of a model, from tensorflow/core/protobuf/meta_graph.proto and saved_model.proto. The
 * graph itself (field 2 of MetaGraphDef, the bulk of the bytes) is skipped.
 */
#include "engine/engine_priv.h"

#include <cczoo/codec.h>

#include <stdlib.h>
#include <string.h>

enum {
    SIGNATURES_MAX = 1024,
    TENSORS_MAX = 4096,   /* inputs, outputs or defaults of one signature */
    SHAPE_RANK_MAX = 254, /* TensorShape::MaxDimensions() */
};

struct cczi_block {
    struct cczi_block *next;
    max_align_t data[];
};

void *cczi_alloc(struct cczi_arena *a, size_t len, size_t size)
{
    if (size && len > (SIZE_MAX - sizeof(struct cczi_block)) / size)
        return NULL;
    struct cczi_block *b = calloc(1, sizeof(*b) + len * size);
    if (!b)
        return NULL;
    b->next = a->head;
    a->head = b;
    return b->data;
}

char *cczi_copy_str(struct cczi_arena *a, struct ccz_span s)
{
    char *p = cczi_alloc(a, s.size + 1, 1);
    if (p && s.size)
        memcpy(p, s.ptr, s.size);
    return p;
}

void cczi_arena_free(struct cczi_arena *a)
{
    while (a->head) {
        struct cczi_block *b = a->head;
        a->head = b->next;
        free(b);
    }
}

void cczi_meta_free(struct cczi_meta *m)
{
    cczi_arena_free(&m->arena);
    *m = (struct cczi_meta){0};
}

/* Sticky like a cursor: parse everything, test once. */
struct parse {
    struct cczi_arena *arena;
    bool bad, nomem;
};

static const char *text(struct parse *p, struct ccz_span s)
{
    if (s.size && memchr(s.ptr, 0, s.size))
        p->bad = true; /* a name that C would read differently from protobuf */
    char *t = cczi_copy_str(p->arena, s);
    p->nomem = p->nomem || !t;
    return t ? t : "";
}

static struct ccz_span bytes(struct parse *p, struct ccz_span s)
{
    const char *copy = s.size ? cczi_copy_str(p->arena, s) : NULL;
    p->nomem = p->nomem || (s.size && !copy);
    return copy ? CCZ_SPAN(copy, s.size) : (struct ccz_span){0};
}

/* How often @p number occurs as a length-delimited field. */
static size_t count(struct parse *p, struct ccz_span msg, uint32_t number)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    size_t n = 0;
    while (ccz_pb_next(&f, &r))
        n += f.number == number && f.wire == CCZ_PB_LEN;
    p->bad = p->bad || r.bad;
    return n;
}

/* A map entry: {1 key, 2 value}. */
static void map_entry(struct parse *p, struct ccz_span *key, struct ccz_span *value,
                      struct ccz_span entry)
{
    *key = *value = (struct ccz_span){0};
    struct ccz_rd r = ccz_rd_from(entry);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r)) {
        if (f.number == 1 && f.wire == CCZ_PB_LEN)
            *key = f.bytes;
        else if (f.number == 2 && f.wire == CCZ_PB_LEN)
            *value = f.bytes;
    }
    p->bad = p->bad || r.bad;
}

/* TensorShapeProto {2 rep dim {1 size}, 3 unknown_rank} */
static void parse_shape(struct parse *p, struct ccz_tensor_info *out, struct ccz_span msg)
{
    size_t rank = count(p, msg, 2), i = 0;
    if (rank > SHAPE_RANK_MAX) {
        p->bad = true;
        return;
    }
    int64_t *dims = cczi_alloc(p->arena, rank, sizeof(*dims));
    p->nomem = p->nomem || !dims;
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f, g;
    while (dims && ccz_pb_next(&f, &r)) {
        if (f.number == 3 && f.wire == CCZ_PB_VARINT)
            out->unknown_rank = f.num != 0;
        if (f.number != 2 || f.wire != CCZ_PB_LEN)
            continue;
        struct ccz_rd d = ccz_rd_from(f.bytes);
        while (ccz_pb_next(&g, &d))
            if (g.number == 1 && g.wire == CCZ_PB_VARINT)
                dims[i] = (int64_t)g.num;
        p->bad = p->bad || d.bad || dims[i] < -1;
        i++;
    }
    p->bad = p->bad || r.bad;
    out->dims = dims;
    out->rank = (int)rank;
}

/* TensorInfo {oneof 1 name | 4 coo_sparse | 5 composite_tensor, 2 dtype, 3 tensor_shape} */
static void parse_info(struct parse *p, struct ccz_tensor_info *out, struct ccz_span name,
                       struct ccz_span msg)
{
    struct ccz_span tensor_name = {0};
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r)) {
        if (f.number == 1 && f.wire == CCZ_PB_LEN)
            tensor_name = f.bytes;
        else if ((f.number == 4 || f.number == 5) && f.wire == CCZ_PB_LEN)
            tensor_name = (struct ccz_span){0}; /* the last member of a oneof counts */
        else if (f.number == 2 && f.wire == CCZ_PB_VARINT && f.num <= CCZ_DT_UINT64)
            out->dtype = (enum ccz_dtype)f.num;
        else if (f.number == 3 && f.wire == CCZ_PB_LEN)
            parse_shape(p, out, f.bytes);
    }
    p->bad = p->bad || r.bad;
    if (strcmp(ccz_dtype_name(out->dtype), "invalid") == 0)
        out->dtype = CCZ_DT_INVALID;
    out->name = text(p, name);
    out->tensor_name = text(p, tensor_name);
    out->proto = bytes(p, msg);
}

static int by_info_name(const void *a, const void *b)
{
    const struct ccz_tensor_info *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* map<string, TensorInfo> in field @p number */
static size_t parse_infos(struct parse *p, struct ccz_tensor_info **out, struct ccz_span sig,
                          uint32_t number)
{
    size_t len = count(p, sig, number), i = 0;
    *out = NULL;
    if (len > TENSORS_MAX) {
        p->bad = true;
        return 0;
    }
    struct ccz_tensor_info *t = cczi_alloc(p->arena, len, sizeof(*t));
    if (!t) {
        p->nomem = true;
        return 0;
    }
    struct ccz_rd r = ccz_rd_from(sig);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r)) {
        if (f.number != number || f.wire != CCZ_PB_LEN)
            continue;
        struct ccz_span key, value;
        map_entry(p, &key, &value, f.bytes);
        parse_info(p, &t[i++], key, value);
    }
    qsort(t, len, sizeof(*t), by_info_name);
    for (i = 1; i < len; i++)
        p->bad =
            p->bad || strcmp(t[i - 1].name, t[i].name) == 0; /* which of the two would be meant? */
    *out = t;
    return len;
}

/* SignatureDef.defaults, map<string, TensorProto> in field 4 */
static void parse_defaults(struct parse *p, struct ccz_tensor_info *in, size_t in_len,
                           struct ccz_span sig)
{
    struct ccz_rd r = ccz_rd_from(sig);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r)) {
        if (f.number != 4 || f.wire != CCZ_PB_LEN)
            continue;
        struct ccz_span key, value;
        map_entry(p, &key, &value, f.bytes);
        for (size_t i = 0; i < in_len; i++)
            if (ccz_span_eq(key, ccz_span_str(in[i].name)))
                in[i].default_proto = bytes(p, value);
    }
}

static bool usable(const struct ccz_tensor_info *t, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (t[i].dtype == CCZ_DT_INVALID || !t[i].tensor_name[0])
            return false;
    return true;
}

/* SignatureDef {1 map inputs, 2 map outputs, 3 method_name, 4 map defaults} */
static void parse_signature(struct parse *p, struct ccz_signature *out, struct ccz_span entry)
{
    struct ccz_span key, sig, method = {0};
    struct ccz_tensor_info *in, *outputs;
    map_entry(p, &key, &sig, entry);
    struct ccz_rd r = ccz_rd_from(sig);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r))
        if (f.number == 3 && f.wire == CCZ_PB_LEN)
            method = f.bytes;
    out->name = text(p, key);
    out->method = text(p, method);
    out->in_len = parse_infos(p, &in, sig, 1);
    out->out_len = parse_infos(p, &outputs, sig, 2);
    parse_defaults(p, in, out->in_len, sig);
    out->in = in;
    out->out = outputs;
    out->runnable =
        out->out_len > 0 && usable(out->in, out->in_len) && usable(out->out, out->out_len);
}

static int by_signature_name(const void *a, const void *b)
{
    const struct ccz_signature *x = a, *y = b;
    return strcmp(x->name, y->name);
}

ccz_rc cczi_meta_parse(struct cczi_meta *out, struct ccz_span meta_graph_def, struct ccz_err *err)
{
    struct cczi_meta m = {0};
    struct parse p = {.arena = &m.arena};
    size_t len = count(&p, meta_graph_def, 5), i = 0;
    p.bad = p.bad || len > SIGNATURES_MAX;
    m.sigs = p.bad ? NULL : cczi_alloc(&m.arena, len, sizeof(*m.sigs));
    p.nomem = !m.sigs;
    struct ccz_rd r = ccz_rd_from(meta_graph_def);
    struct ccz_pb_field f;
    while (m.sigs && ccz_pb_next(&f, &r))
        if (f.number == 5 && f.wire == CCZ_PB_LEN)
            parse_signature(&p, &m.sigs[i++], f.bytes);
    if (!p.bad && !p.nomem) {
        qsort(m.sigs, len, sizeof(*m.sigs), by_signature_name);
        for (i = 1; i < len; i++)
            p.bad = p.bad || strcmp(m.sigs[i - 1].name, m.sigs[i].name) == 0;
    }
    m.len = len;
    if (p.bad || p.nomem) {
        cczi_meta_free(&m);
        return p.bad ? ccz_fail(err, CCZ_E_FORMAT, "engine:signature", 0,
                                "the model's MetaGraphDef is malformed or beyond the limits")
                     : ccz_fail(err, CCZ_E_NOMEM, "engine:signature", 0,
                                "no memory for %zu signatures", len);
    }
    *out = m;
    return CCZ_OK;
}

/* MetaGraphDef {1 meta_info_def {4 rep tags}} */
static bool has_tag(struct ccz_span meta_graph_def, struct ccz_span tag)
{
    struct ccz_rd r = ccz_rd_from(meta_graph_def);
    struct ccz_pb_field f, g;
    bool found = false;
    while (ccz_pb_next(&f, &r)) {
        if (f.number != 1 || f.wire != CCZ_PB_LEN)
            continue;
        struct ccz_rd info = ccz_rd_from(f.bytes);
        while (ccz_pb_next(&g, &info))
            found = found || (g.number == 4 && g.wire == CCZ_PB_LEN && ccz_span_eq(g.bytes, tag));
    }
    return found;
}

/* SavedModel {1 schema_version, 2 rep meta_graphs} */
ccz_rc cczi_meta_find(struct ccz_span *out, struct ccz_span saved_model, const char *tag,
                      struct ccz_err *err)
{
    *out = (struct ccz_span){0};
    struct ccz_rd r = ccz_rd_from(saved_model);
    struct ccz_pb_field f;
    struct ccz_span found = {0};
    while (ccz_pb_next(&f, &r))
        if (f.number == 2 && f.wire == CCZ_PB_LEN && !found.ptr &&
            has_tag(f.bytes, ccz_span_str(tag)))
            found = f.bytes;
    if (r.bad)
        return ccz_fail(err, CCZ_E_FORMAT, "engine:saved-model", (int64_t)saved_model.size,
                        "saved_model.pb is malformed");
    if (!found.ptr)
        return ccz_fail(err, CCZ_E_FORMAT, "engine:tag", 0,
                        "the model has no graph with tag \"%.40s\"", tag);
    *out = found;
    return CCZ_OK;
}
