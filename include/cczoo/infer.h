/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_INFER_H
#define CCZ_INFER_H
/**
 * @file infer.h
 * Model serving as TensorFlow Serving does it: messages in, messages out. No transport, no TLS, no
 * TEE: a daemon hands over the path and bytes of a gRPC call or an HTTP request and sends back what
 * it gets. Codes, JSON and error texts are those of TensorFlow Serving 2.20, so its clients work.
 *
 * Served: PredictionService/Predict, Classify, Regress, MultiInference, GetModelMetadata, ModelService/GetModelStatus,
 * HandleReloadConfigRequest; REST `:predict` (row and column form), `:classify`, `:regress`, model status, metadata.
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
 * Two ways to use it. In one go: ccz_infer_grpc(), ccz_infer_rest(). In parts, for a scheduler: ccz_infer_begin_...()
 * reads the request and gives out a *task* if a model has to run, the caller runs it (alone or in a batch) when and
 * where it likes, ccz_infer_answer_...() writes the answer, ccz_infer_task_free() lets go of the version.
 *
 * Threads: everything may be called by many threads at once, a task by one at a time. A version that is replaced or
 * removed stays until the last call that uses it has ended.
 * Reading order of the sources: scratch.c, registry.c, resolve.c, tensor_pb.c, predict.c, metadata.c, task.c, grpc.c,
 * examples.c, sigtext.c, classify.c, multi.c, reload.c, json_rd.c, json_wr.c, json_tensor.c, json_examples.c, rest.c,
 * v2.c, v2_grpc.c, v2_rest.c, client.c.
 */
#include <cczoo/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------ server, models */

struct ccz_infer;
#define CCZ_INFER_NAME_SIZE_MAX 255
#define CCZ_INFER_VERSIONS_MAX                                                                     \
    1024 /**< versions that are remembered; of more, the one that ended first is forgotten */
#define CCZ_INFER_LABELS_MAX     64 /**< of one name */
#define CCZ_INFER_JSON_DEPTH_MAX 64

enum ccz_infer_repository { CCZ_INFER_REPOSITORY_LOAD, CCZ_INFER_REPOSITORY_UNLOAD };
/** How one call ended; texts live as long as the callback. */
struct ccz_infer_done {
    const char
        *model; /**< "" if the call named none, or a refused call got no further than its name */
    int64_t version; /**< -1 = none served it */
    /** "Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata", "GetModelStatus",
     *  "HandleReloadConfigRequest", "ModelInfer", "" for all else. TensorFlow Serving's metrics name REST calls in lower
     *  case ("predict"). */
    const char *api;
    bool rest;
    enum ccz_run_code code;
    int64_t total_ns; /**< from ccz_infer_begin_...() on */
    size_t examples;  /**< tf.Examples of Classify, Regress, MultiInference; else 0 */
    size_t request_size, response_size;
};

/** Zeroed = the defaults: hooks that are NULL answer UNIMPLEMENTED (on_reload, on_repository) or are not called. */
struct ccz_infer_cfg {
    /** Answers carry numbers in TensorProto.tensor_content instead of the typed fields. */
    bool tensor_content;
    /** Only signatures of the right method_name are run: "tensorflow/serving/classify" by Classify, and so on. */
    bool method_name_check;
    /** REST answers below /v1 carry the headers that let a page of any origin read them. */
    bool cors;
    /** Bytes that the input tensors of one call may take when decoded; 0 = 64 MiB. "1 value stands for
     *  all" makes a short message a large tensor. */
    size_t input_size_max;
    const char *version; /**< of the server, told by v2; NULL = ""; outlives the server */
    /**
     * HandleReloadConfigRequest: puts the serialized ModelServerConfig into effect and says in @p st how that went. May
     * take as long as loading does; the caller of ccz_infer_begin_grpc() waits for it.
     */
    void (*on_reload)(void *arg, struct ccz_span model_server_config, struct ccz_run_status *st);
    /** Value of a counter, for the increases that such a request asks for; 0 if there is none of that name. */
    int64_t (*metric)(void *arg, struct ccz_span name);
    /** v2's repository extension: load or unload @p name. Without it the server does not list its models either. */
    void (*on_repository)(void *arg, enum ccz_infer_repository what, const char *name,
                          struct ccz_run_status *st);
    /** Once for each call: by ccz_infer_begin_...() if it ended there, else by ccz_infer_task_free(). Must not block. */
    void (*on_done)(void *arg, const struct ccz_infer_done *done);
    void *arg; /**< of all hooks */
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
 * Tells what becomes of a version that is not in service, so that the status calls show it.
 * @param version  >= 0
 * @param state    CCZ_INFER_START (it is wanted), CCZ_INFER_LOADING, or CCZ_INFER_END (given up: @p health says why)
 * @param health   shown with it; NULL = OK
 * @retval CCZ_E_ARG     "infer:name" empty, too long or with a control byte, '/' or ':'; "infer:version"; "infer:state"
 * @retval CCZ_E_EXISTS  "infer:version" it is available or unloading
 * @retval CCZ_E_LIMIT   "infer:versions" so many are alive
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_infer_announce(struct ccz_infer *s, const char *name,
                                               int64_t version, enum ccz_infer_state state,
                                               const struct ccz_run_status *health,
                                               struct ccz_err *err);
/** ccz_infer_announce() of CCZ_INFER_LOADING; also CCZ_E_EXISTS if it is loading already. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_infer_loading(struct ccz_infer *s, const char *name,
                                              int64_t version, struct ccz_err *err);
/**
 * Serves @p *model as @p version of @p name from now on, beside the other versions of the name.
 * @param model  on CCZ_OK owned by the server and set to NULL; its engine must outlive the server
 * @retval CCZ_E_EXISTS  "infer:version" this version is in service
 * @retval others        of ccz_infer_announce(), which need not have been called
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_infer_publish(struct ccz_infer *s, const char *name,
                                              int64_t version, struct ccz_model **model,
                                              struct ccz_err *err);
/**
 * As ccz_infer_publish(), with the policy "latest": older versions of the name are then taken out of service and freed
 * as soon as no call uses them; blocks until that is done.
 * @retval CCZ_E_EXISTS  "infer:version" this version is in service, or a newer one is
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_infer_add(struct ccz_infer *s, const char *name, int64_t version,
                                          struct ccz_model **model, struct ccz_err *err);
/** The load announced before failed: END with this error; versions in service stay in service. */
CCZ_API void ccz_infer_failed(struct ccz_infer *s, const char *name, int64_t version,
                              enum ccz_run_code code, const char *message);
/** Takes a version out of service (if ccz_infer_retire() has not done so) and frees it; blocks until no call uses it.
 *  One thread at a time for one version. @retval CCZ_E_NOT_FOUND  "infer:version" it is not in service */
CCZ_API CCZ_MUST_USE ccz_rc ccz_infer_remove(struct ccz_infer *s, const char *name, int64_t version,
                                             struct ccz_err *err);
/**
 * Takes a version out of service without waiting: UNLOADING, new calls do not find it. Frees nothing.
 * @param idle  called once, as soon as no call uses it: by this thread if that is now, else by the one that ends the last
 *              call, so it should only wake a thread that calls ccz_infer_remove(), which does not block then. NULL = none.
 * @retval CCZ_E_NOT_FOUND  "infer:version" it is not available
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_infer_retire(struct ccz_infer *s, const char *name, int64_t version,
                                             void (*idle)(void *arg), void *arg,
                                             struct ccz_err *err);
/**
 * Attaches a pointer of the caller's to a version, which tasks give out again (ccz_infer_task_info.user). Set before
 * ccz_infer_publish(), every task has it. Forgotten when the version ends; the caller frees it after ccz_infer_remove().
 * @retval CCZ_E_NOT_FOUND  "infer:version" never announced, or it has ended
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_infer_set_user(struct ccz_infer *s, const char *name,
                                               int64_t version, void *user, struct ccz_err *err);
struct ccz_infer_label {
    const char *label;
    int64_t version;
};
/**
 * Gives a name these labels and no others, all or none of them.
 * @param allow_unavailable  labels that are new, or stay where they are, may stand for a version that is not available
 * @param[out] st  FAILED_PRECONDITION as TensorFlow Serving words it: a version that is not available;
 *                 RESOURCE_EXHAUSTED more than CCZ_INFER_LABELS_MAX; INVALID_ARGUMENT an empty or repeated label
 */
CCZ_API ccz_rc ccz_infer_set_labels(struct ccz_infer *s, const char *name,
                                    const struct ccz_infer_label *labels, size_t len,
                                    bool allow_unavailable, struct ccz_run_status *st);
/** True if a version of @p name is available (NULL: if every name has one, and there is one; a name whose versions all
 *  ended without an error was taken away and does not count). */
CCZ_API bool ccz_infer_ready(struct ccz_infer *s, const char *name);
/** The server ends soon: as a whole it is not ready any more, and serves on. */
CCZ_API void ccz_infer_leave(struct ccz_infer *s);
/** The state of a version of @p name has changed; ccz_infer_ready() says how it stands. Must not change states itself. */
typedef void (*ccz_infer_watch_fn)(void *arg, const char *name);
/** Calls @p fn once for each name that is known, then after each change, on the thread that made it; one call at a time.
 *  Instead of whoever watched before; NULL = nobody. When this returns no call of the one before is under way or will come. */
CCZ_API void ccz_infer_watch(struct ccz_infer *s, ccz_infer_watch_fn fn, void *arg);
/** CCZ_INFER_UNKNOWN if the server never heard of it. */
CCZ_API enum ccz_infer_state ccz_infer_state(struct ccz_infer *s, const char *name,
                                             int64_t version);

/* ------------------------------------------------------------------------ gRPC */

#define CCZ_INFER_PATH_PREDICT  "/tensorflow.serving.PredictionService/Predict"
#define CCZ_INFER_PATH_CLASSIFY "/tensorflow.serving.PredictionService/Classify"
#define CCZ_INFER_PATH_REGRESS  "/tensorflow.serving.PredictionService/Regress"
#define CCZ_INFER_PATH_MULTI    "/tensorflow.serving.PredictionService/MultiInference"
#define CCZ_INFER_PATH_METADATA "/tensorflow.serving.PredictionService/GetModelMetadata"
#define CCZ_INFER_PATH_STATUS   "/tensorflow.serving.ModelService/GetModelStatus"
#define CCZ_INFER_PATH_RELOAD   "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
/** Open Inference Protocol: followed by ServerLive, ServerReady, ModelReady, ServerMetadata, ModelMetadata, ModelInfer,
 *  RepositoryIndex, RepositoryModelLoad, RepositoryModelUnload. */
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

/**
 * Runs one request of PredictionService on a model that is not in service yet, whatever model and version the request names, and
 * drops the answer: warm-up. cfg.on_done does not hear of it.
 * @param model  nobody else uses it meanwhile
 * @param[out] st  as of ccz_infer_grpc(); UNIMPLEMENTED for other services
 */
CCZ_API void ccz_infer_warm(struct ccz_run_status *st, struct ccz_infer *s, struct ccz_model *model,
                            const struct ccz_infer_call *call);

/* ------------------------------------------------------------------------ REST */

struct ccz_infer_http {
    const char *method; /**< "GET", "POST", ... */
    const char *path;   /**< as on the request line, %-encoded; a query is ignored */
    struct ccz_span
        body; /**< decoded: a Content-Encoding (gzip) is the transport's to undo, within a limit */
    uint32_t timeout_ms; /**< 0 = none */
    /** Header Inference-Header-Content-Length as sent, NULL = absent: v2, the size of the JSON before binary tensors. */
    const char *json_size;
    const char *origin; /**< header Origin as sent, NULL = absent: OPTIONS only */
};
struct ccz_infer_header {
    const char *name, *value;
};
struct ccz_infer_http_answer {
    unsigned status;          /**< HTTP status */
    const char *content_type; /**< static text */
    /** v2: bytes of JSON before binary tensors, to be sent as Inference-Header-Content-Length; 0 = no such header. */
    size_t json_size;
    const struct ccz_infer_header *headers; /**< more headers, static: those of CORS */
    size_t headers_len;
};
#define CCZ_INFER_HEADER_JSON_SIZE "Inference-Header-Content-Length"
/**
 * Answers one HTTP request.
 * @param[out] body    appended; JSON, or empty for a path outside /v1 and /v2, for health and for OPTIONS
 * @param[out] answer  what goes with it
 */
CCZ_API void ccz_infer_rest(struct ccz_buf *body, struct ccz_infer_http_answer *answer,
                            struct ccz_infer *s, const struct ccz_infer_http *call);
/** HTTP status that stands for @p code (INVALID_ARGUMENT 400, NOT_FOUND 404, ...). */
CCZ_API unsigned ccz_infer_http_status(enum ccz_run_code code);

/* ------------------------------------------------------------------------ tasks */

/** A request that was understood: its version is held, its inputs are decoded. One thread at a time. */
struct ccz_infer_task;
struct ccz_infer_task_info {
    const char *model; /**< name as it was published */
    int64_t version;
    const char *api; /**< "Predict", "Classify", "Regress", "MultiInference", "ModelInfer" */
    bool rest;
    struct ccz_model *engine_model; /**< what runs */
    /** What to run: one tensor for each input of the signature, in its order (so in_len is sig->in_len), what to fetch,
     *  and the timeout as it was at the beginning. Copy it to run it with another timeout. Inputs live as long as the
     *  task and may point into the request. */
    const struct ccz_run_req *req;
    void *user; /**< of the version, by ccz_infer_set_user() */
};
/**
 * Reads a request. Three outcomes: @p *out set: something has to run; NULL with CCZ_RUN_OK: @p response has the answer
 * (status, metadata, reload); NULL with another code: refused. Does not block, but for cfg.on_reload and cfg.on_repository.
 * @param call  it and what it points to must live until ccz_infer_task_free()
 */
CCZ_API void ccz_infer_begin_grpc(struct ccz_infer_task **out, struct ccz_buf *response,
                                  struct ccz_run_status *st, struct ccz_infer *s,
                                  const struct ccz_infer_call *call);
/** The same for HTTP: NULL means that @p body and @p answer are complete, whatever the status. */
CCZ_API void ccz_infer_begin_rest(struct ccz_infer_task **out, struct ccz_buf *body,
                                  struct ccz_infer_http_answer *answer, struct ccz_infer *s,
                                  const struct ccz_infer_http *call);
CCZ_API const struct ccz_infer_task_info *ccz_infer_task_info(const struct ccz_infer_task *t);
/**
 * Writes the answer.
 * @param[out] st  an output that does not fit the call (Classify wants a matrix, ...) is refused here
 * @param out      one tensor for each fetched output, in the order of req->fetch (NULL there: of the signature); names
 *                 are not looked at, and they may be views into the result of a batch
 */
CCZ_API void ccz_infer_answer_grpc(struct ccz_buf *response, struct ccz_run_status *st,
                                   struct ccz_infer_task *t, const struct ccz_tensor *out,
                                   size_t len);
/** The same for HTTP. @param[in,out] answer  as ccz_infer_begin_rest() left it */
CCZ_API void ccz_infer_answer_rest(struct ccz_buf *body, struct ccz_infer_http_answer *answer,
                                   struct ccz_infer_task *t, const struct ccz_tensor *out,
                                   size_t len);
/** Instead of ccz_infer_answer_rest(), when the run failed or there was none. @p answer as above. */
CCZ_API void ccz_infer_fail_rest(struct ccz_buf *body, struct ccz_infer_http_answer *answer,
                                 const struct ccz_run_status *st);
/** Tells the task how its run failed, for cfg.on_done alone; a task that nobody answers counts as CANCELLED. */
CCZ_API void ccz_infer_task_failed(struct ccz_infer_task *t, enum ccz_run_code code);
/** Lets go of the version; NULL is fine. Not before the result that was answered with may be freed: an output may be one
 *  of the inputs, so free the result first. */
CCZ_API void ccz_infer_task_free(struct ccz_infer_task *t);
CCZ_DEFINE_AUTO(ccz_infer_task)
/** Name of the model that a request is for, without reading more than its outer fields: for fair queues. Empty if there
 *  is none; not checked in any way; of a path it is what stands there, %-encoded. */
CCZ_API struct ccz_span ccz_infer_peek_grpc(const struct ccz_infer_call *call);
CCZ_API struct ccz_span ccz_infer_peek_rest(const char *path);

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
