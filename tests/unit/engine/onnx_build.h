/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_ONNX_BUILD_H
#define CCZ_TEST_ONNX_BUILD_H
/* For tests: writes an ONNX file (onnx.proto), and gives it to ccz_model_load(). */
#include <cczoo/codec.h>
#include <cczoo/engine.h>

#include <string.h>

enum { OB_FLOAT = 1, OB_INT64 = 7, OB_BOOL = 9 }; /* TensorProto.DataType */

struct onnx_build {
    struct ccz_buf pb;
    size_t graph;
    struct ccz_model_file files[3];
    struct ccz_span bytes[3];
    size_t len;
};

/* ModelProto {1 ir_version, 8 opset_import {2 version}, 7 graph {... */
static inline void ob_begin(struct onnx_build *b)
{
    *b = (struct onnx_build){0};
    ccz_buf_init(&b->pb, 1 << 20);
    ccz_pb_put_uint(&b->pb, 1, 8);
    size_t opset = ccz_pb_open(&b->pb, 8);
    ccz_pb_put_uint(&b->pb, 2, 17);
    ccz_pb_close(&b->pb, opset);
    b->graph = ccz_pb_open(&b->pb, 7);
    ccz_pb_put_str(&b->pb, 2, "test");
}

/* NodeProto {1 input, 2 output, 4 op_type}; names separated by one blank. Attributes may follow before ob_node_end(). */
static inline size_t ob_node_open(struct onnx_build *b, const char *op, const char *in,
                                  const char *out)
{
    size_t node = ccz_pb_open(&b->pb, 1);
    const char *lists[2] = {in, out};
    for (uint32_t k = 0; k < 2; k++)
        for (const char *s = lists[k]; *s;) {
            size_t n = strcspn(s, " ");
            ccz_pb_put_bytes(&b->pb, k + 1, CCZ_SPAN(s, n));
            s += n + (s[n] == ' ');
        }
    ccz_pb_put_str(&b->pb, 4, op);
    return node;
}

static inline void ob_node(struct onnx_build *b, const char *op, const char *in, const char *out)
{
    ccz_pb_close(&b->pb, ob_node_open(b, op, in, out));
}

/* number 11 = input, 12 = output; a dimension below 0 gets a name; rank -1 = no shape */
static inline void ob_io(struct onnx_build *b, uint32_t number, const char *name, int type,
                         int rank, const int64_t *dims)
{
    size_t info = ccz_pb_open(&b->pb, number);
    ccz_pb_put_str(&b->pb, 1, name);
    size_t t = ccz_pb_open(&b->pb, 2), tensor = ccz_pb_open(&b->pb, 1);
    ccz_pb_put_uint(&b->pb, 1, (uint64_t)type);
    if (rank >= 0) {
        size_t shape = ccz_pb_open(&b->pb, 2);
        for (int i = 0; i < rank; i++) {
            size_t dim = ccz_pb_open(&b->pb, 1);
            if (dims[i] >= 0)
                ccz_pb_put_uint(&b->pb, 1, (uint64_t)dims[i]);
            else
                ccz_pb_put_str(&b->pb, 2, "batch");
            ccz_pb_close(&b->pb, dim);
        }
        ccz_pb_close(&b->pb, shape);
    }
    ccz_pb_close(&b->pb, tensor);
    ccz_pb_close(&b->pb, t);
    ccz_pb_close(&b->pb, info);
}

/* An initializer of one number: TensorProto {2 data_type, 8 name, 9 raw_data} */
static inline void ob_constant(struct onnx_build *b, const char *name, int type,
                               struct ccz_span bytes)
{
    size_t tensor = ccz_pb_open(&b->pb, 5);
    ccz_pb_put_uint(&b->pb, 2, (uint64_t)type);
    ccz_pb_put_str(&b->pb, 8, name);
    ccz_pb_put_bytes(&b->pb, 9, bytes);
    ccz_pb_close(&b->pb, tensor);
}

static inline void ob_float(struct onnx_build *b, const char *name, float v)
{
    ob_constant(b, name, OB_FLOAT, CCZ_SPAN(&v, sizeof(v)));
}

static inline ccz_rc ob_read(void *arg, size_t file, uint64_t offset, void *out, size_t size,
                             struct ccz_err *err)
{
    const struct onnx_build *b = arg;
    struct ccz_span s = ccz_span_sub(b->bytes[file], (size_t)offset, size);
    if (s.size != size)
        return ccz_fail(err, CCZ_E_IO, "test:read", (int64_t)offset, "out of range");
    memcpy(out, s.ptr, size);
    return CCZ_OK;
}

/* @p sidecar: contents of signatures.json, or NULL */
static inline struct ccz_model_cfg ob_cfg(struct onnx_build *b, const char *sidecar)
{
    b->bytes[0] = ccz_buf_span(&b->pb);
    b->files[0] = (struct ccz_model_file){"model.onnx", b->pb.size};
    b->len = 1;
    if (sidecar) {
        b->bytes[1] = ccz_span_str(sidecar);
        b->files[1] = (struct ccz_model_file){"signatures.json", b->bytes[1].size};
        b->len = 2;
    }
    return (struct ccz_model_cfg){
        .files = b->files, .files_len = b->len, .read_at = ob_read, .arg = b};
}

static inline struct ccz_model_cfg ob_end(struct onnx_build *b, const char *sidecar)
{
    ccz_pb_close(&b->pb, b->graph);
    return ob_cfg(b, sidecar);
}

/* half = x / 2, y = half + 2, both of any batch of three */
static inline void ob_half_plus_two(struct onnx_build *b)
{
    static const int64_t any3[] = {-1, 3};
    ob_begin(b);
    ob_node(b, "Mul", "x a", "half");
    ob_node(b, "Add", "half b", "y");
    ob_float(b, "a", 0.5f);
    ob_float(b, "b", 2);
    ob_io(b, 11, "x", OB_FLOAT, 2, any3);
    ob_io(b, 12, "y", OB_FLOAT, 2, any3);
    ob_io(b, 12, "half", OB_FLOAT, 2, any3);
}

#endif
