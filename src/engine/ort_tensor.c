/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors of ONNX Runtime: inputs borrow the caller's memory, outputs are looked at in the library's. */
#include "engine/ort_priv.h"

#include <string.h>

/* ONNXTensorElementDataType of each of our types. */
static const struct {
    enum ccz_dtype ours;
    int onnx;
} types[] = {
    {CCZ_DT_FLOAT, 1},   {CCZ_DT_UINT8, 2},     {CCZ_DT_INT8, 3},    {CCZ_DT_UINT16, 4},
    {CCZ_DT_INT16, 5},   {CCZ_DT_INT32, 6},     {CCZ_DT_INT64, 7},   {CCZ_DT_STRING, 8},
    {CCZ_DT_BOOL, 9},    {CCZ_DT_HALF, 10},     {CCZ_DT_DOUBLE, 11}, {CCZ_DT_UINT32, 12},
    {CCZ_DT_UINT64, 13}, {CCZ_DT_BFLOAT16, 16},
};

enum ccz_dtype cczi_ort_dtype(int onnx)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i].onnx == onnx)
            return types[i].ours;
    return CCZ_DT_INVALID;
}

int cczi_ort_type(enum ccz_dtype t)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i].ours == t)
            return types[i].onnx;
    return 0;
}

static struct OrtStatus *feed_strings(struct OrtValue **out, const struct ort_engine *o,
                                      const struct ccz_tensor *t)
{
    const struct ort_api *api = &o->api;
    struct OrtStatus *s = api->CreateTensorAsOrtValue(o->allocator, t->dims, (size_t)t->rank,
                                                      cczi_ort_type(t->dtype), out);
    for (size_t i = 0; !s && i < t->len; i++) { /* by size: a string may hold a NUL */
        char *to = NULL;
        s = api->GetResizedStringTensorElementBuffer(*out, i, t->strings[i].size, &to);
        if (!s && t->strings[i].size)
            memcpy(to, t->strings[i].ptr, t->strings[i].size);
    }
    return s;
}

struct OrtStatus *cczi_ort_feed(struct OrtValue **out, const struct ort_engine *o,
                                const struct ccz_tensor *t)
{
    static const uint8_t nothing[1];
    if (t->dtype == CCZ_DT_STRING)
        return feed_strings(out, o, t);
    /* ONNX Runtime only reads its inputs, so the const may go. */
    const void *data = t->data.size ? t->data.ptr : nothing;
    return o->api.CreateTensorWithDataAsOrtValue(o->cpu, (void *)(uintptr_t)data, t->data.size,
                                                 t->dims, (size_t)t->rank, cczi_ort_type(t->dtype),
                                                 out);
}

static ccz_rc failed(struct ccz_run_status *st, const struct ort_api *api, struct OrtStatus *s,
                     const char *name)
{
    char text[512];
    int code = 0;
    return cczi_ort_ok(api, s, &code, text, sizeof(text))
               ? CCZ_OK
               : ccz_run_status_set(st, CCZ_RUN_INTERNAL, "output %s: %s", name, text);
}

static ccz_rc view_strings(struct ccz_tensor *t, struct cczi_arena *a, const struct ort_engine *o,
                           const struct OrtValue *from, struct ccz_run_status *st)
{
    size_t size = 0;
    ccz_rc rc = failed(st, &o->api, o->api.GetStringTensorDataLength(from, &size), t->name);
    if (rc != CCZ_OK)
        return rc;
    uint8_t *bytes = cczi_alloc(a, size + 1, 1);
    size_t *at = cczi_alloc(a, t->len + 1, sizeof(*at));
    struct ccz_span *v = cczi_alloc(a, t->len, sizeof(*v));
    if (!bytes || !at || !v)
        return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "no memory for output %s",
                                  t->name);
    if (t->len)
        rc = failed(st, &o->api, o->api.GetStringTensorContent(from, bytes, size, at, t->len),
                    t->name);
    at[t->len] = size;
    for (size_t i = 0; rc == CCZ_OK && i < t->len; i++)
        v[i] = CCZ_SPAN(bytes + at[i], at[i + 1] - at[i]);
    t->strings = v;
    return rc;
}

/* Type and shape of @p from into @p t; the rank is checked before any dimension is written. */
static ccz_rc describe(struct ccz_tensor *t, const struct ort_api *api, const struct OrtValue *from,
                       struct ccz_run_status *st)
{
    struct OrtTensorInfo *info = NULL;
    size_t rank = 0;
    int type = 0;
    ccz_rc rc = failed(st, api, api->GetTensorTypeAndShape(from, &info), t->name);
    if (rc == CCZ_OK)
        rc = failed(st, api, api->GetTensorElementType(info, &type), t->name);
    if (rc == CCZ_OK)
        rc = failed(st, api, api->GetDimensionsCount(info, &rank), t->name);
    if (rc == CCZ_OK && rank > CCZ_TENSOR_RANK_MAX)
        rc = ccz_run_status_set(st, CCZ_RUN_UNIMPLEMENTED,
                                "output %s has rank %zu, supported are %d", t->name, rank,
                                CCZ_TENSOR_RANK_MAX);
    if (rc == CCZ_OK)
        rc = failed(st, api, api->GetDimensions(info, t->dims, rank), t->name);
    if (info)
        api->ReleaseTensorTypeAndShapeInfo(info);
    t->rank = (int)rank;
    t->dtype = cczi_ort_dtype(type);
    if (rc == CCZ_OK && (t->dtype == CCZ_DT_INVALID || !ccz_tensor_len(&t->len, t->rank, t->dims)))
        rc = ccz_run_status_set(st, CCZ_RUN_UNIMPLEMENTED,
                                "output %s has an unsupported type or shape", t->name);
    return rc;
}

ccz_rc cczi_ort_view(struct ccz_tensor *t, struct cczi_arena *a, const struct ort_engine *o,
                     struct OrtValue *from, struct ccz_run_status *st)
{
    int tensor = 0;
    ccz_rc rc = failed(st, &o->api, o->api.IsTensor(from, &tensor), t->name);
    if (rc == CCZ_OK && !tensor)
        rc = ccz_run_status_set(st, CCZ_RUN_UNIMPLEMENTED, "output %s is no tensor", t->name);
    if (rc == CCZ_OK)
        rc = describe(t, &o->api, from, st);
    if (rc != CCZ_OK || t->dtype == CCZ_DT_STRING)
        return rc == CCZ_OK ? view_strings(t, a, o, from, st) : rc;
    void *data = NULL;
    rc = failed(st, &o->api, o->api.GetTensorMutableData(from, &data), t->name);
    t->data = CCZ_SPAN(data, t->len * ccz_dtype_size(t->dtype));
    return rc;
}
