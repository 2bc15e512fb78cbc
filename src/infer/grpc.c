/* SPDX-License-Identifier: Apache-2.0 */
/* The gRPC methods, from
 * tensorflow_serving/apis/{predict,get_model_metadata,get_model_status,model}.proto. */
#include "infer/v2_priv.h"

#include <cczoo/codec.h>

#include <stdlib.h>
#include <string.h>

/* What gRPC itself answers when a message does not parse. */
static ccz_rc unparsable(struct ccz_run_status *st)
{
    return ccz_run_status_set(st, CCZ_RUN_INTERNAL, "Failed to parse the request message");
}

/* ModelSpec {1 name, oneof version_choice {2 Int64Value version {1 value}, 4 version_label}, 3
 * signature_name} */
static bool parse_spec(struct cczi_spec *out, struct ccz_span msg)
{
    *out = (struct cczi_spec){.present = true};
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f, g;
    while (ccz_pb_next(&f, &r)) {
        if (f.wire != CCZ_PB_LEN)
            continue;
        if (f.number == 1) {
            out->name = f.bytes;
        } else if (f.number == 2) {
            struct ccz_rd v = ccz_rd_from(f.bytes);
            out->version = 0;
            while (ccz_pb_next(&g, &v))
                if (g.number == 1 && g.wire == CCZ_PB_VARINT)
                    out->version = (int64_t)g.num;
            r.bad = r.bad || v.bad;
            out->has_version = true;
            out->has_label = false;
        } else if (f.number == 4) {
            out->label = f.bytes;
            out->has_label = true;
            out->has_version = false;
        } else if (f.number == 3) {
            out->signature = f.bytes;
        }
    }
    return !r.bad;
}

static void put_spec(struct ccz_buf *out, uint32_t number, const struct cczi_version *v,
                     const char *signature)
{
    size_t spec = ccz_pb_open(out, number);
    ccz_pb_put_str(out, 1, v->name);
    size_t version = ccz_pb_open(out, 2);
    ccz_pb_put_uint(out, 1, (uint64_t)v->version);
    ccz_pb_close(out, version);
    if (*signature)
        ccz_pb_put_str(out, 3, signature);
    ccz_pb_close(out, spec);
}

/* ------------------------------------------------------------------------ Predict */

/* Of two entries with one key the later counts, as in every protobuf map. */
static bool add_input(struct cczi_predict *p, struct ccz_span entry, struct ccz_run_status *st)
{
    struct cczi_named_proto n;
    if (!cczi_map_entry(&n.name, &n.proto, entry)) {
        (void)unparsable(st);
        return false;
    }
    size_t i = 0;
    while (i < p->in_len && !ccz_span_eq(p->in[i].name, n.name))
        i++;
    if (i == CCZI_NAMES_MAX) {
        (void)ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "more than %d inputs",
                                 CCZI_NAMES_MAX);
        return false;
    }
    p->in[i] = n;
    p->in_len += i == p->in_len;
    return true;
}

/* PredictRequest {1 model_spec, 2 map<string, TensorProto> inputs, 3 rep output_filter} */
static ccz_rc parse_predict(struct cczi_predict *p, struct ccz_span msg, struct ccz_run_status *st)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    p->in_len = p->filter_len = 0;
    p->spec = (struct cczi_spec){0};
    while (ccz_pb_next(&f, &r)) {
        if (f.wire != CCZ_PB_LEN)
            continue;
        if (f.number == 1 && !parse_spec(&p->spec, f.bytes))
            return unparsable(st);
        if (f.number == 2 && !add_input(p, f.bytes, st))
            return ccz_run_rc(st->code);
        if (f.number == 3 && p->filter_len == CCZI_NAMES_MAX)
            return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "more than %d outputs",
                                      CCZI_NAMES_MAX);
        if (f.number == 3)
            p->filter[p->filter_len++] = f.bytes;
    }
    return r.bad ? unparsable(st) : CCZ_OK;
}

/* PredictResponse {1 map<string, TensorProto> outputs, 2 model_spec} */
static void put_predict(struct ccz_buf *out, const struct ccz_result *r,
                        const struct cczi_version *v, const char *signature, bool content)
{
    for (size_t i = 0; i < ccz_result_len(r); i++) {
        const struct ccz_tensor *t = ccz_result_at(r, i);
        size_t entry = ccz_pb_open(out, 1);
        ccz_pb_put_str(out, 1, t->name);
        size_t tensor = ccz_pb_open(out, 2);
        cczi_tensor_encode(out, t, content);
        ccz_pb_close(out, tensor);
        ccz_pb_close(out, entry);
    }
    put_spec(out, 2, v, signature);
}

static ccz_rc run_predict(struct ccz_buf *out, struct ccz_run_status *st, struct ccz_infer *s,
                          const struct cczi_predict *p, const struct ccz_infer_call *call)
{
    struct cczi_version *v;
    ccz_rc rc = cczi_acquire(&v, st, s, &p->spec);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_signature *sig;
    struct cczi_scratch scratch;
    cczi_scratch_init(&scratch, s->cfg.input_size_max);
    CCZ_AUTO(ccz_result) r = NULL;
    rc = cczi_find_signature(&sig, st, v->model, p->spec.signature);
    if (rc == CCZ_OK)
        rc = cczi_predict_run(&r, st, v->model, sig, p, call->timeout_ms, &scratch);
    if (rc == CCZ_OK)
        put_predict(out, r, v, sig->name, s->cfg.tensor_content);
    ccz_result_free(ccz_result_take(&r)); /* before the inputs it may show, and before its model */
    cczi_scratch_free(&scratch);
    cczi_release(s, v);
    return rc;
}

static ccz_rc predict(struct ccz_buf *out, struct ccz_run_status *st, struct ccz_infer *s,
                      const struct ccz_infer_call *call)
{
    struct cczi_predict *p = malloc(sizeof(*p));
    if (!p)
        return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "no memory for the request");
    ccz_rc rc = parse_predict(p, call->request, st);
    if (rc == CCZ_OK)
        rc = run_predict(out, st, s, p, call);
    free(p);
    return rc;
}

/* ------------------------------------------------------------------------ GetModelMetadata */

static const char signature_def[] = "signature_def";

/* GetModelMetadataResponse {1 model_spec, 2 map<string, Any {1 type_url, 2 value}> metadata} */
static void put_metadata(struct ccz_buf *out, const struct cczi_version *v)
{
    put_spec(out, 1, v, "");
    size_t entry = ccz_pb_open(out, 2);
    ccz_pb_put_str(out, 1, signature_def);
    size_t any = ccz_pb_open(out, 2);
    ccz_pb_put_str(out, 1, "type.googleapis.com/tensorflow.serving.SignatureDefMap");
    size_t map = ccz_pb_open(out, 2);
    cczi_signature_map_pb(out, v->model);
    ccz_pb_close(out, map);
    ccz_pb_close(out, any);
    ccz_pb_close(out, entry);
}

/* GetModelMetadataRequest {1 model_spec, 2 rep metadata_field} */
static ccz_rc metadata(struct ccz_buf *out, struct ccz_run_status *st, struct ccz_infer *s,
                       const struct ccz_infer_call *call)
{
    struct cczi_spec spec = {0};
    struct ccz_span unsupported = {0};
    size_t fields = 0;
    struct ccz_rd r = ccz_rd_from(call->request);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r)) {
        if (f.number == 1 && f.wire == CCZ_PB_LEN)
            r.bad = !parse_spec(&spec, f.bytes);
        if (f.number != 2 || f.wire != CCZ_PB_LEN)
            continue;
        fields++;
        if (!unsupported.ptr && !ccz_span_eq(f.bytes, ccz_span_str(signature_def)))
            unsupported = f.bytes;
    }
    if (r.bad)
        return unparsable(st);
    if (!spec.present)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "Missing ModelSpec");
    if (fields == 0)
        return ccz_run_status_set(
            st, CCZ_RUN_INVALID_ARGUMENT,
            "GetModelMetadataRequest must specify at least one metadata_field");
    if (unsupported.ptr)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "Metadata field %.*s is not supported", (int)unsupported.size,
                                  (const char *)unsupported.ptr);
    struct cczi_version *v;
    ccz_rc rc = cczi_acquire(&v, st, s, &spec);
    if (rc == CCZ_OK)
        put_metadata(out, v);
    cczi_release(s, v);
    return rc;
}

/* ------------------------------------------------------------------------ GetModelStatus */

/* GetModelStatusResponse {1 rep ModelVersionStatus {1 version, 2 state, 3 StatusProto {1
 * error_code, 2 error_message}}} */
static void put_status(void *arg, const struct cczi_version *v)
{
    struct ccz_buf *out = arg;
    size_t version = ccz_pb_open(out, 1);
    ccz_pb_put_uint(out, 1, (uint64_t)v->version);
    ccz_pb_put_uint(out, 2, (uint64_t)v->state);
    size_t status = ccz_pb_open(out, 3);
    ccz_pb_put_uint(out, 1, (uint64_t)v->health.code);
    ccz_pb_put_str(out, 2, v->health.msg);
    ccz_pb_close(out, status);
    ccz_pb_close(out, version);
}

/* GetModelStatusRequest {1 model_spec} */
static ccz_rc model_status(struct ccz_buf *out, struct ccz_run_status *st, struct ccz_infer *s,
                           const struct ccz_infer_call *call)
{
    struct cczi_spec spec = {0};
    struct ccz_rd r = ccz_rd_from(call->request);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r))
        if (f.number == 1 && f.wire == CCZ_PB_LEN)
            r.bad = !parse_spec(&spec, f.bytes);
    return r.bad ? unparsable(st) : cczi_status_each(st, s, &spec, put_status, out);
}

/* ------------------------------------------------------------------------ dispatch */

static const struct {
    const char *path;
    ccz_rc (*run)(struct ccz_buf *out, struct ccz_run_status *st, struct ccz_infer *s,
                  const struct ccz_infer_call *call);
} methods[] = {
    {CCZ_INFER_PATH_PREDICT, predict},
    {CCZ_INFER_PATH_METADATA, metadata},
    {CCZ_INFER_PATH_STATUS, model_status},
};

void ccz_infer_grpc(struct ccz_buf *response, struct ccz_run_status *st, struct ccz_infer *s,
                    const struct ccz_infer_call *call)
{
    *st = (struct ccz_run_status){0};
    size_t before = response->size, i = 0, len = sizeof(methods) / sizeof(methods[0]);
    while (i < len && strcmp(methods[i].path, call->path) != 0)
        i++;
    const size_t v2 = sizeof(CCZ_INFER_PATH_V2) - 1;
    ccz_rc rc;
    if (i < len)
        rc = methods[i].run(response, st, s, call);
    else if (strncmp(call->path, CCZ_INFER_PATH_V2, v2) == 0)
        rc = cczi_v2_grpc(response, st, s, call->path + v2, call);
    else
        rc = ccz_run_status_set(st, CCZ_RUN_UNIMPLEMENTED, "unknown method %.200s", call->path);
    if (rc == CCZ_OK && response->bad)
        rc = ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED,
                                "the response is larger than %zu bytes", response->max_size);
    if (rc != CCZ_OK &&
        st->code == CCZ_RUN_OK) /* a failure of the engine that has no code of its own */
        (void)ccz_run_status_set(st, CCZ_RUN_INTERNAL, "%s", ccz_rc_str(rc));
    if (rc != CCZ_OK && !response->bad)
        response->size = before;
}
