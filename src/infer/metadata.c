/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures for GetModelMetadata: SignatureDefMap {1 map<string, SignatureDef>}, and the same as
 * the JSON that protobuf's own printer writes. Default values of inputs stay in the server.
 */
#include "infer/infer_priv.h"

#include <cczoo/codec.h>

#include <inttypes.h>
#include <stdio.h>

/* ------------------------------------------------------------------------ protobuf */

static void put_infos(struct ccz_buf *out, uint32_t number, const struct ccz_tensor_info *t,
                      size_t len)
{
    for (size_t i = 0; i < len; i++) {
        size_t entry = ccz_pb_open(out, number);
        ccz_pb_put_str(out, 1, t[i].name);
        ccz_pb_put_bytes(out, 2, t[i].proto);
        ccz_pb_close(out, entry);
    }
}

void cczi_signature_map_pb(struct ccz_buf *out, const struct ccz_model *m)
{
    const struct ccz_signature *s;
    size_t len = ccz_model_signatures(&s, m);
    for (size_t i = 0; i < len; i++) {
        size_t entry = ccz_pb_open(out, 1);
        ccz_pb_put_str(out, 1, s[i].name);
        size_t sig = ccz_pb_open(out, 2);
        put_infos(out, 1, s[i].in, s[i].in_len);
        put_infos(out, 2, s[i].out, s[i].out_len);
        ccz_pb_put_str(out, 3, s[i].method);
        ccz_pb_close(out, sig);
        ccz_pb_close(out, entry);
    }
}

/* ------------------------------------------------------------------------ JSON */

/* Names of every DataType; a model may declare more types than can be fed. */
static const char *const dtype_names[] = {
    "DT_INVALID",    "DT_FLOAT",  "DT_DOUBLE",    "DT_INT32",   "DT_UINT8",   "DT_INT16",
    "DT_INT8",       "DT_STRING", "DT_COMPLEX64", "DT_INT64",   "DT_BOOL",    "DT_QINT8",
    "DT_QUINT8",     "DT_QINT32", "DT_BFLOAT16",  "DT_QINT16",  "DT_QUINT16", "DT_UINT16",
    "DT_COMPLEX128", "DT_HALF",   "DT_RESOURCE",  "DT_VARIANT", "DT_UINT32",  "DT_UINT64",
};

const char *cczi_dtype_text(uint64_t dtype)
{
    return dtype < sizeof(dtype_names) / sizeof(dtype_names[0]) ? dtype_names[dtype] : NULL;
}

static void put_dtype(struct cczi_jw *w, struct ccz_span info)
{
    struct ccz_rd r = ccz_rd_from(info);
    struct ccz_pb_field f;
    uint64_t dtype = 0;
    while (ccz_pb_next(&f, &r))
        if (f.number == 2 && f.wire == CCZ_PB_VARINT)
            dtype = f.num;
    cczi_jw_key(w, "dtype");
    if (cczi_dtype_text(dtype)) {
        cczi_jw_string(w, ccz_span_str(cczi_dtype_text(dtype)));
    } else {
        cczi_jw_raw(w); /* protobuf prints the number of a value it has no name for */
        ccz_buf_printf(w->out, "%" PRIu64, dtype);
    }
}

/* TensorShapeProto.Dim {1 size, 2 name}; int64 is a string in JSON */
static void put_dim(struct cczi_jw *w, struct ccz_span dim)
{
    struct ccz_rd r = ccz_rd_from(dim);
    struct ccz_pb_field f;
    struct ccz_span name = {0};
    char size[24] = "0";
    while (ccz_pb_next(&f, &r)) {
        if (f.number == 1 && f.wire == CCZ_PB_VARINT)
            (void)snprintf(size, sizeof(size), "%" PRId64, (int64_t)f.num);
        else if (f.number == 2 && f.wire == CCZ_PB_LEN)
            name = f.bytes;
    }
    cczi_jw_object(w);
    cczi_jw_member(w, "size", size);
    cczi_jw_key(w, "name");
    cczi_jw_string(w, name);
    cczi_jw_object_end(w);
}

static void put_shape(struct cczi_jw *w, struct ccz_span shape)
{
    struct ccz_rd r = ccz_rd_from(shape);
    struct ccz_pb_field f;
    bool unknown_rank = false;
    cczi_jw_key(w, "tensor_shape");
    cczi_jw_object(w);
    cczi_jw_key(w, "dim");
    cczi_jw_array(w);
    while (ccz_pb_next(&f, &r)) {
        if (f.number == 2 && f.wire == CCZ_PB_LEN)
            put_dim(w, f.bytes);
        else if (f.number == 3 && f.wire == CCZ_PB_VARINT)
            unknown_rank = f.num != 0;
    }
    cczi_jw_array_end(w);
    cczi_jw_key(w, "unknown_rank");
    cczi_jw_raw(w);
    ccz_buf_put_str(w->out, unknown_rank ? "true" : "false");
    cczi_jw_object_end(w);
}

/* TensorInfo.CooSparse {1 values_tensor_name, 2 indices_tensor_name, 3 dense_shape_tensor_name} */
static void put_sparse(struct cczi_jw *w, struct ccz_span sparse)
{
    static const char *const names[] = {"values_tensor_name", "indices_tensor_name",
                                        "dense_shape_tensor_name"};
    cczi_jw_key(w, "coo_sparse");
    cczi_jw_object(w);
    for (uint32_t i = 0; i < 3; i++) {
        struct ccz_rd r = ccz_rd_from(sparse);
        struct ccz_pb_field f;
        struct ccz_span value = {0};
        while (ccz_pb_next(&f, &r))
            if (f.number == i + 1 && f.wire == CCZ_PB_LEN)
                value = f.bytes;
        cczi_jw_key(w, names[i]);
        cczi_jw_string(w, value);
    }
    cczi_jw_object_end(w);
}

/* TensorInfo: dtype, shape, then the member of the oneof that is set */
static void put_info(struct cczi_jw *w, const struct ccz_tensor_info *t)
{
    struct ccz_rd r = ccz_rd_from(t->proto);
    struct ccz_pb_field f;
    struct ccz_span shape = {0}, name = {0}, sparse = {0};
    bool has_shape = false;
    uint32_t encoding = 0;
    while (ccz_pb_next(&f, &r)) {
        if (f.wire != CCZ_PB_LEN)
            continue;
        if (f.number == 3)
            has_shape = true, shape = f.bytes;
        if (f.number == 1 || f.number == 4 || f.number == 5)
            encoding = f.number;
        if (f.number == 1)
            name = f.bytes;
        else if (f.number == 4)
            sparse = f.bytes;
    }
    cczi_jw_key(w, t->name);
    cczi_jw_object(w);
    put_dtype(w, t->proto);
    if (has_shape)
        put_shape(w, shape);
    if (encoding == 1) {
        cczi_jw_key(w, "name");
        cczi_jw_string(w, name);
    } else if (encoding == 4) {
        put_sparse(w, sparse);
    }
    cczi_jw_object_end(w);
}

static void put_info_map(struct cczi_jw *w, const char *key, const struct ccz_tensor_info *t,
                         size_t len)
{
    cczi_jw_key(w, key);
    cczi_jw_object(w);
    for (size_t i = 0; i < len; i++)
        put_info(w, &t[i]);
    cczi_jw_object_end(w);
}

void cczi_signature_map_json(struct ccz_buf *out, const struct ccz_model *m)
{
    struct cczi_jw w = {.out = out, .indent = 1};
    const struct ccz_signature *s;
    size_t len = ccz_model_signatures(&s, m);
    cczi_jw_object(&w);
    cczi_jw_key(&w, "signature_def");
    cczi_jw_object(&w);
    for (size_t i = 0; i < len; i++) {
        cczi_jw_key(&w, s[i].name);
        cczi_jw_object(&w);
        put_info_map(&w, "inputs", s[i].in, s[i].in_len);
        put_info_map(&w, "outputs", s[i].out, s[i].out_len);
        cczi_jw_member(&w, "method_name", s[i].method);
        put_info_map(&w, "defaults", NULL, 0);
        cczi_jw_object_end(&w);
    }
    cczi_jw_object_end(&w);
    cczi_jw_object_end(&w);
    ccz_buf_put_str(out, "\n");
}
