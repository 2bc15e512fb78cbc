/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_INFER_H
#define CCZ_INFER_H
/**
 * @file infer.h
 * Model serving as TensorFlow Serving does it: messages in, messages out. No transport, no TLS, no
 * TEE: a daemon hands over the path and bytes of a gRPC call or an HTTP request and sends back what
 * it gets. Codes, JSON and error texts are those of TensorFlow Serving 2.20, so its clients work.
 *
 * Served: PredictionService/Predict, PredictionService/GetModelMetadata, ModelService/GetModelStatus;
 * REST `:predict` (row and column form), model status, metadata.
 * And the same models under the Open Inference Protocol, "v2" (KServe, Triton): inference.GRPCInferenceService and REST
 * below /v2. It knows no signatures: one request, one set of inputs; the parameter "signature_name" of a request chooses
 * another signature than serving_default. The binary tensor extension ("binary_tensor_data") is spoken on REST.
 *
 * Differences on purpose, each stricter:
 *  - a JSON number that does not fit the input's integer type is refused (there: cut to the low bits);
 *  - JSON nested deeper than CCZ_INFER_JSON_DEPTH_MAX and tensors beyond the limits are refused;
 *  - output strings that are no UTF-8 are sent with U+FFFD (there: invalid JSON);
 *  - metadata never carries the default values of inputs.
 * One is more generous: with REST, too, an input that has a default may be left out.
 *
 * Threads: everything may be called by many threads at once. A version that is replaced or removed
 * stays until the last call that uses it has ended.
 * Reading order of the sources: scratch.c, registry.c, tensor_pb.c, predict.c, metadata.c, grpc.c, json_rd.c,
 * json_wr.c, json_tensor.c, rest.c, v2.c, v2_grpc.c, v2_rest.c, client.c.
 */
#include <cczoo/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------ server, models */

struct ccz_infer;
#define CCZ_INFER_NAME_SIZE_MAX  255
#define CCZ_INFER_VERSIONS_MAX   1024 /**< versions that a server ever knew, ended ones included */
#define CCZ_INFER_JSON_DEPTH_MAX 64

/** Zeroed = the defaults. */
struct ccz_infer_cfg {
    /** Answers carry numbers in TensorProto.tensor_content instead of the typed fields. */
    bool tensor_content;
    /** Bytes that the input tensors of one call may take when decoded; 0 = 256 MiB. "1 value stands for
     *  all" makes a short message a large tensor. */
    size_t input_size_max;
    const char *version; /**< of the server, told by v2; NULL = ""; outlives the server */
};
CCZ_API CCZ_MUST_USE ccz_rc ccz_infer_new(struct ccz_infer **out, struct ccz_err *err);
/** Before the first call. */
CCZ_API void ccz_infer_configure(struct ccz_infer *s, const struct ccz_infer_cfg *cfg);
/** No call may be in progress. Frees every model; NULL is fine. */
CCZ_API void ccz_infer_free(struct ccz_infer *s);
CCZ_DEFINE_AUTO(ccz_infer)

/** States of a version; the numbers of ModelVersionStatus.State. */
enum ccz_infer_state {
    CCZ_INFER_UNKNOWN = 0,
    CCZ_INFER_START = 10,
    CCZ_INFER_LOADING = 20,
    CCZ_INFER_AVAILABLE = 30,
    CCZ_INFER_UNLOADING = 40,
    CCZ_INFER_END = 50
};
/**
 * Announces that @p version of @p name is being loaded, so that the status calls show it.
 * @param version  >= 0
 * @retval CCZ_E_ARG     "infer:name" empty, too long or with a control byte, '/' or ':'; "infer:version"
 * @retval CCZ_E_EXISTS  "infer:version" it is loading or available
 * @retval CCZ_E_LIMIT   "infer:versions"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_infer_loading(struct ccz_infer *s, const char *name,
                                              int64_t version, struct ccz_err *err);
/**
 * Serves @p *model as @p version of @p name from now on. Policy "latest": older versions of the name
 * are then taken out of service and freed as soon as no call uses them; blocks until that is done.
 * @param model  on CCZ_OK owned by the server and set to NULL; its engine must outlive the server
 * @retval CCZ_E_EXISTS  "infer:version" this version is available, or a newer one is
 * @retval others        of ccz_infer_loading(), which need not have been called
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_infer_add(struct ccz_infer *s, const char *name, int64_t version,
                                          struct ccz_model **model, struct ccz_err *err);
/** The load announced before failed: END with this error; versions in service stay in service. */
CCZ_API void ccz_infer_failed(struct ccz_infer *s, const char *name, int64_t version,
                              enum ccz_run_code code, const char *message);
/** Takes a version out of service and frees it; blocks until no call uses it. @retval CCZ_E_NOT_FOUND */
CCZ_API CCZ_MUST_USE ccz_rc ccz_infer_remove(struct ccz_infer *s, const char *name, int64_t version,
                                             struct ccz_err *err);
/** True if a version of @p name is available (NULL: if every name ever added or announced has one). */
CCZ_API bool ccz_infer_ready(struct ccz_infer *s, const char *name);
/** CCZ_INFER_UNKNOWN if the server never heard of it. */
CCZ_API enum ccz_infer_state ccz_infer_state(struct ccz_infer *s, const char *name,
                                             int64_t version);

/* ------------------------------------------------------------------------ gRPC */

#define CCZ_INFER_PATH_PREDICT  "/tensorflow.serving.PredictionService/Predict"
#define CCZ_INFER_PATH_METADATA "/tensorflow.serving.PredictionService/GetModelMetadata"
#define CCZ_INFER_PATH_STATUS   "/tensorflow.serving.ModelService/GetModelStatus"
/** Open Inference Protocol: followed by ServerLive, ServerReady, ModelReady, ServerMetadata, ModelMetadata, ModelInfer. */
#define CCZ_INFER_PATH_V2 "/inference.GRPCInferenceService/"

struct ccz_infer_call {
    const char *path;        /**< "/package.Service/Method" */
    struct ccz_span request; /**< one message; borrowed until the call returns */
    uint32_t timeout_ms;     /**< what is left of the deadline; 0 = none */
};
/**
 * Answers one unary call. Never fails otherwise than through @p st: an unknown path is UNIMPLEMENTED.
 * @param[out] response  one message, appended; empty unless st->code is CCZ_RUN_OK
 */
CCZ_API void ccz_infer_grpc(struct ccz_buf *response, struct ccz_run_status *st,
                            struct ccz_infer *s, const struct ccz_infer_call *call);

/* ------------------------------------------------------------------------ REST */

struct ccz_infer_http {
    const char *method;   /**< "GET", "POST", ... */
    const char *path;     /**< as on the request line, %-encoded; a query is ignored */
    struct ccz_span body; /**< decoded (no Content-Encoding) */
    uint32_t timeout_ms;  /**< 0 = none */
    /** Header Inference-Header-Content-Length as sent, NULL = absent: v2, the size of the JSON before binary tensors. */
    const char *json_size;
};
struct ccz_infer_http_answer {
    unsigned status;          /**< HTTP status */
    const char *content_type; /**< static text */
    /** v2: bytes of JSON before binary tensors, to be sent as Inference-Header-Content-Length; 0 = no such header. */
    size_t json_size;
};
#define CCZ_INFER_HEADER_JSON_SIZE "Inference-Header-Content-Length"
/**
 * Answers one HTTP request.
 * @param[out] body    appended; JSON, or empty for a path outside /v1 and /v2 and for health
 * @param[out] answer  what goes with it
 */
CCZ_API void ccz_infer_rest(struct ccz_buf *body, struct ccz_infer_http_answer *answer,
                            struct ccz_infer *s, const struct ccz_infer_http *call);
/** HTTP status that stands for @p code (INVALID_ARGUMENT 400, NOT_FOUND 404, ...). */
CCZ_API unsigned ccz_infer_http_status(enum ccz_run_code code);

/* ------------------------------------------------------------------------ client side */

/**
 * Appends a PredictRequest.
 * @param signature  NULL or "" = "serving_default"
 * @param in         named tensors; numbers travel in tensor_content
 * @param output     the one output wanted, or NULL for all
 */
CCZ_API void ccz_infer_encode_predict(struct ccz_buf *out, const char *model, const char *signature,
                                      const struct ccz_tensor *in, size_t in_len,
                                      const char *output);

struct ccz_infer_answer; /**< a parsed PredictResponse */
/**
 * Parses a PredictResponse. Tensors may point into @p response, which must outlive the answer.
 * @retval CCZ_E_FORMAT  "infer:response" malformed, "infer:tensor" a tensor does not fit its shape
 * @retval CCZ_E_LIMIT   "infer:tensor" more than @p size_max bytes when decoded
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_infer_decode_predict(struct ccz_infer_answer **out,
                                                     struct ccz_span response, size_t size_max,
                                                     struct ccz_err *err);
CCZ_API void ccz_infer_answer_free(struct ccz_infer_answer *a);
CCZ_DEFINE_AUTO(ccz_infer_answer)
/** Output by name, or NULL. */
CCZ_API const struct ccz_tensor *ccz_infer_answer_get(const struct ccz_infer_answer *a,
                                                      const char *name);
/** Version that answered, -1 if the response does not say. */
CCZ_API int64_t ccz_infer_answer_version(const struct ccz_infer_answer *a);
/**
 * Shortcut for classifiers: output @p name as floats.
 * @param[out] scores   appended: rows * classes floats, native order
 * @param[out] classes  floats per row, >= 1
 * @param rows          images that were sent; another number of rows is refused
 * @retval CCZ_E_FORMAT  "infer:scores" no such output, or it is not a float matrix of @p rows rows
 * @retval others        of ccz_infer_decode_predict()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_infer_decode_scores(struct ccz_buf *scores, size_t *classes,
                                                    struct ccz_span response, const char *name,
                                                    size_t rows, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
