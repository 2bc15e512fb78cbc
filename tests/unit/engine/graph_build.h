/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_GRAPH_BUILD_H
#define CCZ_TEST_GRAPH_BUILD_H
/* For tests: writes a GraphDef (tensorflow/core/framework/graph.proto), alone as a frozen graph or inside a SavedModel. */
#include "engine/model_build.h"

/* map entry {1 key, 2 AttrValue}; the value stays open */
static inline void gb_attr(struct ccz_buf *b, const char *key, uint32_t number, uint64_t value)
{
    size_t entry = ccz_pb_open(b, 5);
    ccz_pb_put_str(b, 1, key);
    size_t attr = ccz_pb_open(b, 2);
    ccz_pb_put_uint(b, number, value);
    ccz_pb_close(b, attr);
    ccz_pb_close(b, entry);
}

/* NodeDef {1 name, 2 op, 3 input, 5 attr}; @p inputs separated by one blank; the node stays open */
static inline size_t gb_node_open(struct ccz_buf *b, const char *op, const char *name,
                                  const char *inputs)
{
    size_t node = ccz_pb_open(b, 1);
    ccz_pb_put_str(b, 1, name);
    ccz_pb_put_str(b, 2, op);
    for (const char *s = inputs; *s;) {
        size_t n = strcspn(s, " ");
        ccz_pb_put_bytes(b, 3, CCZ_SPAN(s, n));
        s += n + (s[n] == ' ');
    }
    return node;
}

static inline void gb_node(struct ccz_buf *b, const char *op, const char *name, const char *inputs)
{
    size_t node = gb_node_open(b, op, name, inputs);
    gb_attr(b, "T", 6, CCZ_DT_FLOAT);
    ccz_pb_close(b, node);
}

/* attr "shape" {7 TensorShapeProto {2 dim {1 size}}} */
static inline void gb_placeholder(struct ccz_buf *b, const char *name, int rank,
                                  const int64_t *dims)
{
    size_t node = gb_node_open(b, "Placeholder", name, "");
    gb_attr(b, "dtype", 6, CCZ_DT_FLOAT);
    size_t entry = ccz_pb_open(b, 5);
    ccz_pb_put_str(b, 1, "shape");
    size_t attr = ccz_pb_open(b, 2), shape = ccz_pb_open(b, 7);
    for (int i = 0; i < rank; i++) {
        size_t dim = ccz_pb_open(b, 2);
        ccz_pb_put_uint(b, 1, (uint64_t)dims[i]);
        ccz_pb_close(b, dim);
    }
    ccz_pb_close(b, shape);
    ccz_pb_close(b, attr);
    ccz_pb_close(b, entry);
    ccz_pb_close(b, node);
}

/* attr "value" {8 TensorProto {1 dtype, 2 tensor_shape, 4 tensor_content}} */
static inline void gb_const(struct ccz_buf *b, const char *name, float v)
{
    size_t node = gb_node_open(b, "Const", name, "");
    gb_attr(b, "dtype", 6, CCZ_DT_FLOAT);
    size_t entry = ccz_pb_open(b, 5);
    ccz_pb_put_str(b, 1, "value");
    size_t attr = ccz_pb_open(b, 2), tensor = ccz_pb_open(b, 8);
    ccz_pb_put_uint(b, 1, CCZ_DT_FLOAT);
    ccz_pb_put_str(b, 2, "");
    ccz_pb_put_bytes(b, 4, CCZ_SPAN(&v, sizeof(v)));
    ccz_pb_close(b, tensor);
    ccz_pb_close(b, attr);
    ccz_pb_close(b, entry);
    ccz_pb_close(b, node);
}

/* y = x / 2 + 2, and z = x - 2, for any batch of three. GraphDef {1 node, 4 versions {1 producer}} */
static inline void gb_half_plus_two(struct ccz_buf *b)
{
    gb_placeholder(b, "x", 2, (int64_t[]){-1, 3});
    gb_const(b, "a", 0.5f);
    gb_const(b, "b", 2);
    gb_node(b, "Mul", "half", "x a");
    gb_node(b, "AddV2", "part/y", "half b");
    gb_node(b, "Sub", "z", "x b");
    size_t versions = ccz_pb_open(b, 4);
    ccz_pb_put_uint(b, 1, 1500);
    ccz_pb_close(b, versions);
}

#endif
