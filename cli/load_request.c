/* SPDX-License-Identifier: Apache-2.0 */
#include "load_request.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_SIZE_MAX = 1 << 30 };

const char *const load_api_names[LOAD_API_LEN] = {"grpc", "grpc-v2", "rest", "rest-v2",
                                                  "rest-v2-binary"};

bool load_api_find(enum load_api *out, const char *name)
{
    for (size_t i = 0; i < LOAD_API_LEN; i++) {
        if (strcmp(load_api_names[i], name) == 0) {
            *out = (enum load_api)i;
            return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------------------------ inputs */

static ccz_rc malformed(struct ccz_err *err, const char *what, const char *at)
{
    char got[64];
    ccz_escape(got, sizeof(got), ccz_span_str(at));
    return ccz_hint(err, ccz_refuse(err, CCZ_E_ARG, "load:input", got, what),
                    "for example: images:float[1,28,28,1]=random;mask:int64[1,4]=zeros");
}

static enum ccz_dtype dtype_by_name(const char *name)
{
#define X(id, value, size, text)                                                                   \
    if ((size) > 0 && strcmp(name, text) == 0)                                                     \
        return CCZ_DT_##id;
    CCZ_DTYPE_MAP(X)
#undef X
    return CCZ_DT_INVALID;
}

/* "[1,28,28,1]"; the text is cut into its parts. */
static ccz_rc parse_shape(struct ccz_tensor *t, char *text, struct ccz_err *err)
{
    while (*text) {
        char *end = NULL;
        long long d = strtoll(text, &end, 10);
        if (end == text || d < 0 || t->rank == CCZ_TENSOR_RANK_MAX || (*end && *end != ','))
            return malformed(err, "sizes of dimensions, separated by commas", text);
        t->dims[t->rank++] = d;
        text = *end ? end + 1 : end;
    }
    size_t size = ccz_dtype_size(t->dtype);
    if (!ccz_tensor_len(&t->len, t->rank, t->dims) || t->len > BODY_SIZE_MAX / size)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "load:input", INT64_MAX, BODY_SIZE_MAX);
    return CCZ_OK;
}

/* The same values each time, so that answers can be compared: floats in [0,1), small integers. */
static void put_random(struct ccz_buf *out, const struct ccz_tensor *t)
{
    uint64_t x = UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < t->len; i++) {
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint32_t r = (uint32_t)(x >> 40); /* 24 bits */
        float f = (float)r / 16777216.0f;
        double d = (double)r / 16777216.0;
        uint64_t n = t->dtype == CCZ_DT_BOOL ? r & 1 : r % 100;
        uint16_t half = (uint16_t)(0x3800 + (r & 0x3ff)); /* [0.5, 1) */
        if (t->dtype == CCZ_DT_FLOAT)
            ccz_buf_put(out, &f, sizeof(f));
        else if (t->dtype == CCZ_DT_DOUBLE)
            ccz_buf_put(out, &d, sizeof(d));
        else if (t->dtype == CCZ_DT_HALF)
            ccz_buf_put(out, &half, sizeof(half));
        else
            ccz_buf_put(out, &n, ccz_dtype_size(t->dtype));
    }
}

static void put_zeros(struct ccz_buf *out, size_t size)
{
    uint8_t *p = ccz_buf_extend(out, size);
    if (p)
        memset(p, 0, size);
}

static ccz_rc fill(struct ccz_tensor *t, struct ccz_buf *data, const char *value,
                   struct ccz_err *err)
{
    const size_t size = t->len * ccz_dtype_size(t->dtype);
    ccz_rc rc = CCZ_OK;
    ccz_buf_init(data, BODY_SIZE_MAX);
    if (strcmp(value, "random") == 0)
        put_random(data, t);
    else if (strcmp(value, "zeros") == 0)
        put_zeros(data, size);
    else if (value[0] == '@')
        rc = ccz_file_read(data, value + 1, err);
    else
        return malformed(err, "zeros, random or @FILE", value);
    if (rc == CCZ_OK && data->bad)
        rc = ccz_fail(err, CCZ_E_NOMEM, "load:input", 0, "out of memory");
    if (rc == CCZ_OK && data->size != size)
        rc = ccz_hint(err,
                      ccz_refuse_num(err, CCZ_E_MISMATCH, "load:input-file", (int64_t)data->size,
                                     (int64_t)size),
                      "the file holds the elements as they are, without a header");
    t->data = ccz_buf_span(data);
    return rc;
}

static ccz_rc parse_one(struct load_inputs *in, char *text, struct ccz_err *err)
{
    struct ccz_tensor *t = &in->t[in->len];
    char *type = strchr(text, ':'), *shape = type ? strchr(type, '[') : NULL;
    char *close = shape ? strchr(shape, ']') : NULL;
    if (!close || close[1] != '=' || type == text)
        return malformed(err, "NAME:TYPE[SHAPE]=VALUE", text);
    *type++ = *shape++ = *close = 0;
    *t = (struct ccz_tensor){.name = text, .dtype = dtype_by_name(type)};
    if (t->dtype == CCZ_DT_INVALID)
        return malformed(err, "float, double, int32, int64, uint8, bool, ...", type);
    ccz_rc rc = parse_shape(t, shape, err);
    return rc == CCZ_OK ? fill(t, &in->data[in->len++], close + 2, err) : rc;
}

ccz_rc load_inputs_parse(struct load_inputs *out, const char *text, struct ccz_err *err)
{
    *out = (struct load_inputs){0};
    ccz_buf_init(&out->text, 65536);
    ccz_buf_put_str(&out->text, text);
    ccz_buf_put(&out->text, "", 1);
    if (out->text.bad)
        return ccz_fail(err, CCZ_E_LIMIT, "load:input", 0, "the text is too long");
    char *at = (char *)out->text.ptr;
    ccz_rc rc = CCZ_OK;
    while (rc == CCZ_OK && *at) {
        char *next = strchr(at, ';');
        if (next)
            *next++ = 0;
        if (out->len == LOAD_INPUTS_MAX)
            return ccz_refuse_num(err, CCZ_E_LIMIT, "load:inputs", LOAD_INPUTS_MAX + 1,
                                  LOAD_INPUTS_MAX);
        rc = parse_one(out, at, err);
        at = next ? next : at + strlen(at);
    }
    return rc == CCZ_OK && !out->len ? malformed(err, "at least one input", text) : rc;
}

void load_inputs_free(struct load_inputs *in)
{
    for (size_t i = 0; i < in->len; i++)
        ccz_buf_free(&in->data[i]);
    ccz_buf_free(&in->text);
}

/* ------------------------------------------------------------------------------ v2 */

static const char *v2_type(enum ccz_dtype t)
{
    static const struct {
        enum ccz_dtype dtype;
        const char *name;
    } types[] = {{CCZ_DT_BOOL, "BOOL"},     {CCZ_DT_INT8, "INT8"},     {CCZ_DT_INT16, "INT16"},
                 {CCZ_DT_INT32, "INT32"},   {CCZ_DT_INT64, "INT64"},   {CCZ_DT_UINT8, "UINT8"},
                 {CCZ_DT_UINT16, "UINT16"}, {CCZ_DT_UINT32, "UINT32"}, {CCZ_DT_UINT64, "UINT64"},
                 {CCZ_DT_HALF, "FP16"},     {CCZ_DT_FLOAT, "FP32"},    {CCZ_DT_DOUBLE, "FP64"}};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i].dtype == t)
            return types[i].name;
    return NULL;
}

/* inference.ModelInferRequest {1 model_name, 4 parameters {string_param 3}, 5 inputs {1 name, 2 datatype, 3 shape}, 7 raw} */
static void put_v2_grpc(struct ccz_buf *out, const char *model, const char *signature,
                        const struct load_inputs *in)
{
    ccz_pb_put_str(out, 1, model);
    if (signature) {
        size_t entry = ccz_pb_open(out, 4);
        ccz_pb_put_str(out, 1, "signature_name");
        size_t value = ccz_pb_open(out, 2);
        ccz_pb_put_str(out, 3, signature);
        ccz_pb_close(out, value);
        ccz_pb_close(out, entry);
    }
    for (size_t i = 0; i < in->len; i++) {
        size_t tensor = ccz_pb_open(out, 5);
        ccz_pb_put_str(out, 1, in->t[i].name);
        ccz_pb_put_str(out, 2, v2_type(in->t[i].dtype));
        size_t shape = ccz_pb_open(out, 3); /* packed */
        for (int d = 0; d < in->t[i].rank; d++)
            ccz_pb_put_varint(out, (uint64_t)in->t[i].dims[d]);
        ccz_pb_close(out, shape);
        ccz_pb_close(out, tensor);
    }
    for (size_t i = 0; i < in->len; i++)
        ccz_pb_put_bytes(out, 7, in->t[i].data);
}

/* ------------------------------------------------------------------------------ JSON */

static void put_element(struct ccz_buf *out, const struct ccz_tensor *t, size_t i)
{
    const uint8_t *p = t->data.ptr + i * ccz_dtype_size(t->dtype);
    uint64_t u = 0;
    float f;
    double d;
    switch (t->dtype) {
    case CCZ_DT_FLOAT:
        memcpy(&f, p, sizeof(f));
        ccz_json_put_float(out, f);
        break;
    case CCZ_DT_DOUBLE:
        memcpy(&d, p, sizeof(d));
        ccz_json_put_double(out, d);
        break;
    case CCZ_DT_BOOL:
        ccz_buf_put_str(out, *p ? "true" : "false");
        break;
    case CCZ_DT_UINT8:
    case CCZ_DT_UINT16:
    case CCZ_DT_UINT32:
    case CCZ_DT_UINT64:
        memcpy(&u, p, ccz_dtype_size(t->dtype));
        ccz_buf_printf(out, "%llu", (unsigned long long)u);
        break;
    default: { /* signed: sign-extended from its size */
        const unsigned shift = 64 - 8 * (unsigned)ccz_dtype_size(t->dtype);
        memcpy(&u, p, ccz_dtype_size(t->dtype));
        ccz_buf_printf(out, "%lld", (long long)((int64_t)(u << shift) >> shift));
    }
    }
}

/* Nested lists of the dimensions from @p d on. */
static void put_nested(struct ccz_buf *out, const struct ccz_tensor *t, int d, size_t *at)
{
    if (d == t->rank) {
        put_element(out, t, (*at)++);
        return;
    }
    ccz_buf_put_str(out, "[");
    for (int64_t i = 0; i < t->dims[d]; i++) {
        ccz_buf_put_str(out, i ? "," : "");
        put_nested(out, t, d + 1, at);
    }
    ccz_buf_put_str(out, "]");
}

static void put_key(struct ccz_buf *out, const char *name)
{
    ccz_json_put_str(out, ccz_span_str(name));
    ccz_buf_put_str(out, ":");
}

/* {"signature_name":S,"inputs":{name: nested}}: the column form takes every shape. */
static void put_rest(struct ccz_buf *out, const char *signature, const struct load_inputs *in)
{
    ccz_buf_put_str(out, "{");
    if (signature) {
        put_key(out, "signature_name");
        ccz_json_put_str(out, ccz_span_str(signature));
        ccz_buf_put_str(out, ",");
    }
    bool row = in->len == 1 && in->t[0].rank > 0;
    ccz_buf_put_str(out, row ? "\"instances\":" : "\"inputs\":{");
    for (size_t i = 0; i < in->len; i++) {
        size_t at = 0;
        ccz_buf_put_str(out, i ? "," : "");
        if (!row)
            put_key(out, in->t[i].name);
        put_nested(out, &in->t[i], 0, &at);
    }
    ccz_buf_put_str(out, row ? "}" : "}}");
}

static void put_rest_v2(struct ccz_buf *out, const char *signature, const struct load_inputs *in,
                        bool binary)
{
    ccz_buf_put_str(out, "{\"parameters\":{");
    if (signature) {
        put_key(out, "signature_name");
        ccz_json_put_str(out, ccz_span_str(signature));
    }
    if (binary)
        ccz_buf_printf(out, "%s\"binary_data_output\":true", signature ? "," : "");
    ccz_buf_put_str(out, "},\"inputs\":[");
    for (size_t i = 0; i < in->len; i++) {
        const struct ccz_tensor *t = &in->t[i];
        ccz_buf_put_str(out, i ? ",{\"name\":" : "{\"name\":");
        ccz_json_put_str(out, ccz_span_str(t->name));
        ccz_buf_printf(out, ",\"datatype\":\"%s\",\"shape\":[", v2_type(t->dtype));
        for (int d = 0; d < t->rank; d++)
            ccz_buf_printf(out, "%s%lld", d ? "," : "", (long long)t->dims[d]);
        if (binary) {
            ccz_buf_printf(out, "],\"parameters\":{\"binary_data_size\":%zu}}", t->data.size);
            continue;
        }
        ccz_buf_put_str(out, "],\"data\":[");
        for (size_t k = 0; k < t->len; k++) {
            ccz_buf_put_str(out, k ? "," : "");
            put_element(out, t, k);
        }
        ccz_buf_put_str(out, "]}");
    }
    ccz_buf_put_str(out, "]}");
}

/* ------------------------------------------------------------------------------ requests */

static ccz_rc build_rest(struct load_request *r, const char *model, const char *signature,
                         const struct load_inputs *in)
{
    r->media_type = "application/json";
    if (r->api == LOAD_REST) {
        (void)snprintf(r->path, sizeof(r->path), "/v1/models/%.255s:predict", model);
        put_rest(&r->body, signature, in);
        return CCZ_OK;
    }
    (void)snprintf(r->path, sizeof(r->path), "/v2/models/%.255s/infer", model);
    put_rest_v2(&r->body, signature, in, r->api == LOAD_REST_BIN);
    if (r->api == LOAD_REST_BIN) {
        r->media_type = "application/octet-stream";
        (void)snprintf(r->field, sizeof(r->field), CCZ_INFER_HEADER_JSON_SIZE ": %zu",
                       r->body.size);
        for (size_t i = 0; i < in->len; i++)
            ccz_buf_put(&r->body, in->t[i].data.ptr, in->t[i].data.size);
    }
    return CCZ_OK;
}

/* Types that JSON or v2 have no form for. */
static ccz_rc check_types(enum load_api api, const struct load_inputs *in, struct ccz_err *err)
{
    for (size_t i = 0; i < in->len; i++) {
        enum ccz_dtype t = in->t[i].dtype;
        bool json = api == LOAD_REST || api == LOAD_REST_V2;
        if ((api != LOAD_GRPC && !v2_type(t) && !(api == LOAD_REST && t != CCZ_DT_BFLOAT16)) ||
            (json && t == CCZ_DT_HALF))
            return ccz_refuse(err, CCZ_E_UNSUPPORTED, "load:input-type", ccz_dtype_name(t),
                              "a type that this interface has");
    }
    return CCZ_OK;
}

ccz_rc load_request_build(struct load_request *out, enum load_api api, const char *model,
                          const char *signature, const struct load_inputs *in, struct ccz_err *err)
{
    *out = (struct load_request){.api = api};
    ccz_buf_init(&out->body, BODY_SIZE_MAX);
    ccz_rc rc = check_types(api, in, err);
    if (rc != CCZ_OK)
        return rc;
    if (api == LOAD_GRPC) {
        (void)snprintf(out->path, sizeof(out->path), "%s", CCZ_INFER_PATH_PREDICT);
        ccz_infer_encode_predict(&out->body, model, signature, in->t, in->len, NULL);
    } else if (api == LOAD_GRPC_V2) {
        (void)snprintf(out->path, sizeof(out->path), "%s", CCZ_INFER_PATH_V2 "ModelInfer");
        put_v2_grpc(&out->body, model, signature, in);
    } else {
        rc = build_rest(out, model, signature, in);
    }
    return out->body.bad ? ccz_fail(err, CCZ_E_NOMEM, "load:request", 0, "out of memory") : rc;
}

void load_request_free(struct load_request *r)
{
    ccz_buf_free(&r->body);
}
