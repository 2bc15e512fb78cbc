/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_INFER_V2_PRIV_H
#define CCZ_INFER_V2_PRIV_H
/* Open Inference Protocol ("v2"): what its gRPC and REST forms share. */
#include "infer/infer_priv.h"

/* One input of a request; what stands for its values differs between the forms. */
struct cczi_v2_input {
    struct ccz_span name, datatype;
    struct ccz_tensor t; /* rank, dims and len by cczi_v2_shape(), dtype by cczi_v2_begin() */
};
struct cczi_v2_request {
    struct cczi_spec spec; /* name, version, signature */
    struct ccz_span id;
    struct cczi_v2_input *in; /* in scratch */
    size_t in_len;
    struct ccz_span *outputs; /* wanted ones, in scratch; none = all */
    size_t outputs_len;
};

/* "FP32" <-> CCZ_DT_FLOAT; CCZ_DT_INVALID, "" for what the protocol does not know. */
enum ccz_dtype cczi_v2_dtype(struct ccz_span text);
const char *cczi_v2_datatype(enum ccz_dtype t);
/* The version of a request: empty = latest. */
ccz_rc cczi_v2_version(struct cczi_spec *spec, struct ccz_run_status *st, struct ccz_span text);
/* One more dimension. */
ccz_rc cczi_v2_dim(struct cczi_v2_input *in, struct ccz_run_status *st, int64_t size);
/* After the dimensions: elements, and the type. */
ccz_rc cczi_v2_begin(struct cczi_v2_input *in, struct ccz_run_status *st);
/* Values from their bytes: numbers little-endian, strings each behind a le32 of its size. */
ccz_rc cczi_v2_take_raw(struct cczi_v2_input *in, struct ccz_run_status *st, struct ccz_span raw,
                        struct cczi_scratch *scratch);
void cczi_v2_put_raw(struct ccz_buf *out, const struct ccz_tensor *t);
ccz_rc cczi_v2_wrong_len(struct ccz_run_status *st, const struct cczi_v2_input *in, size_t got);
/* Holds the version and sets what has to run; the values of the inputs are there. */
ccz_rc cczi_v2_prepare(struct ccz_infer_task *t, struct ccz_run_status *st,
                       const struct cczi_v2_request *req);
/* The signature that metadata shows: the default one, else the first that runs, else NULL. */
const struct ccz_signature *cczi_v2_main_signature(const struct ccz_model *m);
const char *cczi_v2_platform(const struct ccz_model *m);
bool cczi_v2_model_ready(struct ccz_infer_task *t, const struct cczi_spec *spec);
/* Repository extension: UNIMPLEMENTED without cfg.on_repository. */
ccz_rc cczi_v2_repository(struct ccz_infer_task *t, struct ccz_run_status *st,
                          enum ccz_infer_repository what, struct ccz_span name);
/* "READY", "LOADING", "UNLOADING", "UNAVAILABLE" */
const char *cczi_v2_index_state(const struct cczi_version *v);
ccz_rc cczi_v2_has_repository(const struct ccz_infer_task *t, struct ccz_run_status *st);
#define CCZI_V2_SERVER     "cczoo"
#define CCZI_V2_EXTENSION  "binary_tensor_data"
#define CCZI_V2_REPOSITORY "model_repository"

/* ---- v2_grpc.c: NULL if there is no such method. */
cczi_grpc_fn cczi_v2_grpc(const char **api, const char *method);
/* ---- v2_rest.c: path begins behind "/v2". */
ccz_rc cczi_v2_rest(struct ccz_infer_task *t, struct ccz_buf *out,
                    struct ccz_infer_http_answer *answer, struct ccz_run_status *st,
                    const struct ccz_infer_http *call, struct ccz_span path);
#endif
