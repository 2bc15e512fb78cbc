/* SPDX-License-Identifier: Apache-2.0 */
/* The gRPC methods, from
 * tensorflow_serving/apis/{predict,get_model_metadata,get_model_status,model}.proto. */
#include "infer/v2_priv.h"

#include <cczoo/codec.h>

#include <string.h>

ccz_rc cczi_unparsable(struct ccz_run_status *st)
{
    return ccz_run_status_set(st, CCZ_RUN_INTERNAL, "Failed to parse the request message");
}

/* ModelSpec {1 name, oneof version_choice {2 Int64Value version {1 value}, 4 version_label}, 3
 * signature_name} */
bool cczi_spec_parse(struct cczi_spec *out, struct ccz_span msg)
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

void cczi_spec_put(struct ccz_buf *out, uint32_t number, const struct ccz_infer_task *t,
                   const char *signature)
{
    size_t spec = ccz_pb_open(out, number);
    ccz_pb_put_str(out, 1, t->info.model);
    size_t version = ccz_pb_open(out, 2);
    ccz_pb_put_uint(out, 1, (uint64_t)t->info.version);
    ccz_pb_close(out, version);
    if (*signature)
        ccz_pb_put_str(out, 3, signature);
    ccz_pb_close(out, spec);
}

/* ------------------------------------------------------------------------ Predict */

/* Of two entries with one key the later counts, as in every protobuf map. */
static bool add_input(struct cczi_predict *p, struct ccz_span entry)
{
    struct cczi_named_proto n;
    if (!cczi_map_entry(&n.name, &n.proto, entry))
        return false;
    size_t i = 0;
    while (i < p->in_len && !ccz_span_eq(p->in[i].name, n.name))
        i++;
    p->in[i] = n;
    p->in_len += i == p->in_len;
    return true;
}

/* Room for the names of inputs and of the filter: as many as there are. */
static ccz_rc make_room(struct cczi_predict *p, struct ccz_run_status *st, struct ccz_span msg,
                        struct cczi_scratch *scratch)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    size_t inputs = 0, filter = 0;
    while (ccz_pb_next(&f, &r)) {
        inputs += f.number == 2 && f.wire == CCZ_PB_LEN;
        filter += f.number == 3 && f.wire == CCZ_PB_LEN;
    }
    if (r.bad)
        return cczi_unparsable(st);
    if (inputs > CCZI_NAMES_MAX || filter > CCZI_NAMES_MAX)
        return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "more than %d %s", CCZI_NAMES_MAX,
                                  inputs > CCZI_NAMES_MAX ? "inputs" : "outputs");
    p->in = cczi_scratch_raw(scratch, inputs, sizeof(*p->in));
    p->filter = filter ? cczi_scratch_raw(scratch, filter, sizeof(*p->filter)) : NULL;
    return p->in && (p->filter || !filter) ? CCZ_OK : cczi_no_memory(st);
}

/* PredictRequest {1 model_spec, 2 map<string, TensorProto> inputs, 3 rep output_filter} */
static ccz_rc parse_predict(struct cczi_predict *p, struct ccz_run_status *st, struct ccz_span msg,
                            struct cczi_scratch *scratch)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    ccz_rc rc = make_room(p, st, msg, scratch);
    while (rc == CCZ_OK && ccz_pb_next(&f, &r)) {
        bool ok = true;
        if (f.wire != CCZ_PB_LEN)
            continue;
        if (f.number == 1)
            ok = cczi_spec_parse(&p->spec, f.bytes);
        else if (f.number == 2)
            ok = add_input(p, f.bytes);
        else if (f.number == 3)
            p->filter[p->filter_len++] = f.bytes;
        if (!ok)
            rc = cczi_unparsable(st);
    }
    return rc;
}

/* PredictResponse {1 map<string, TensorProto> outputs, 2 model_spec} */
static ccz_rc put_predict(struct ccz_buf *out, struct ccz_infer_http_answer *http,
                          struct ccz_run_status *st, struct ccz_infer_task *t,
                          const struct ccz_tensor *result)
{
    (void)http, (void)st;
    const size_t len = cczi_task_outputs(t);
    for (size_t i = 0; i < len; i++) {
        size_t entry = ccz_pb_open(out, 1);
        ccz_pb_put_str(out, 1, cczi_task_output(t, i)->name);
        size_t tensor = ccz_pb_open(out, 2);
        cczi_tensor_encode(out, &result[i], t->s->cfg.tensor_content);
        ccz_pb_close(out, tensor);
        ccz_pb_close(out, entry);
    }
    cczi_spec_put(out, 2, t, t->req.sig->name);
    return CCZ_OK;
}

static ccz_rc predict(struct ccz_infer_task *t, struct ccz_buf *out, struct ccz_run_status *st,
                      const struct ccz_infer_call *call)
{
    (void)out;
    struct cczi_predict p = {0};
    const struct ccz_signature *sig;
    ccz_rc rc = parse_predict(&p, st, call->request, &t->scratch);
    if (rc == CCZ_OK)
        rc = cczi_task_acquire(t, st, &p.spec);
    if (rc == CCZ_OK)
        rc = cczi_find_signature(&sig, st, t->v->model, p.spec.signature);
    if (rc == CCZ_OK)
        rc = cczi_predict_prepare(t, st, sig, &p);
    t->answer = put_predict;
    return rc;
}

/* ------------------------------------------------------------------------ GetModelMetadata */

static const char signature_def[] = "signature_def";

/* GetModelMetadataResponse {1 model_spec, 2 map<string, Any {1 type_url, 2 value}> metadata} */
static void put_metadata(struct ccz_buf *out, const struct ccz_infer_task *t)
{
    cczi_spec_put(out, 1, t, "");
    size_t entry = ccz_pb_open(out, 2);
    ccz_pb_put_str(out, 1, signature_def);
    size_t any = ccz_pb_open(out, 2);
    ccz_pb_put_str(out, 1, "type.googleapis.com/tensorflow.serving.SignatureDefMap");
    size_t map = ccz_pb_open(out, 2);
    cczi_signature_map_pb(out, t->v->model);
    ccz_pb_close(out, map);
    ccz_pb_close(out, any);
    ccz_pb_close(out, entry);
}

/* GetModelMetadataRequest {1 model_spec, 2 rep metadata_field} */
static ccz_rc metadata(struct ccz_infer_task *t, struct ccz_buf *out, struct ccz_run_status *st,
                       const struct ccz_infer_call *call)
{
    struct cczi_spec spec = {0};
    struct ccz_span unsupported = {0};
    size_t fields = 0;
    struct ccz_rd r = ccz_rd_from(call->request);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r)) {
        if (f.number == 1 && f.wire == CCZ_PB_LEN)
            r.bad = !cczi_spec_parse(&spec, f.bytes);
        if (f.number != 2 || f.wire != CCZ_PB_LEN)
            continue;
        fields++;
        if (!unsupported.ptr && !ccz_span_eq(f.bytes, ccz_span_str(signature_def)))
            unsupported = f.bytes;
    }
    if (r.bad)
        return cczi_unparsable(st);
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
    ccz_rc rc = cczi_task_acquire(t, st, &spec);
    if (rc == CCZ_OK)
        put_metadata(out, t);
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
static ccz_rc model_status(struct ccz_infer_task *t, struct ccz_buf *out, struct ccz_run_status *st,
                           const struct ccz_infer_call *call)
{
    struct cczi_spec spec = {0};
    struct ccz_rd r = ccz_rd_from(call->request);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r))
        if (f.number == 1 && f.wire == CCZ_PB_LEN)
            r.bad = !cczi_spec_parse(&spec, f.bytes);
    return r.bad ? cczi_unparsable(st)
                 : cczi_status_each(&t->info.model, st, t->s, &spec, put_status, out);
}

/* ------------------------------------------------------------------------ dispatch */

cczi_grpc_fn cczi_grpc_method(const char **api, const char *path)
{
    static const struct {
        const char *path, *api;
        cczi_grpc_fn begin;
    } methods[] = {
        {CCZ_INFER_PATH_PREDICT, "Predict", predict},
        {CCZ_INFER_PATH_CLASSIFY, "Classify", cczi_classify_grpc},
        {CCZ_INFER_PATH_REGRESS, "Regress", cczi_regress_grpc},
        {CCZ_INFER_PATH_MULTI, "MultiInference", cczi_multi_grpc},
        {CCZ_INFER_PATH_METADATA, "GetModelMetadata", metadata},
        {CCZ_INFER_PATH_STATUS, "GetModelStatus", model_status},
        {CCZ_INFER_PATH_RELOAD, "HandleReloadConfigRequest", cczi_reload_grpc},
    };
    *api = "";
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (strcmp(methods[i].path, path) == 0) {
            *api = methods[i].api;
            return methods[i].begin;
        }
    const size_t v2 = sizeof(CCZ_INFER_PATH_V2) - 1;
    return strncmp(path, CCZ_INFER_PATH_V2, v2) == 0 ? cczi_v2_grpc(api, path + v2) : NULL;
}
