/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_ENGINE_H
#define CCZ_ENGINE_H
/**
 * @file engine.h
 * Runs models through TensorFlow's or ONNX Runtime's C library, which is loaded from an explicit path.
 *
 * Terms. An *engine* is one back end with its thread settings. A *model* is a loaded SavedModel, frozen
 * graph or ONNX file: its *signatures* name inputs and outputs (TensorFlow's MetaGraphDef.signature_def).
 * A *run* maps input tensors to output tensors. Life cycle: engine, models of it, runs of them; free in
 * reverse order.
 *
 * Confidentiality. A model comes from a reader callback and is never written to a disk. A SavedModel is
 * staged in TensorFlow's in-memory file system, or on request in a private folder of a tmpfs, and the
 * staged files are deleted before ccz_model_load() returns; one chunk of plaintext exists outside the
 * stage at any time. An ONNX file or a frozen graph is read into private memory, parsed there by the
 * library and wiped. What a library frees it does not wipe; inside a TEE that memory is encrypted, outside
 * use ccz_process_harden(). The libraries that are loaded are part of what a measurement must cover:
 * ccz_engine_library() tells their paths.
 *
 * Back ends, chosen by name (no default, no fallback) or given as functions (ccz_engine_custom()):
 *   "tensorflow"   libtensorflow_cc.so.2 (tested with TensorFlow 2.21); its own log goes to stderr, ruled by
 *                  TF_CPP_MIN_LOG_LEVEL in the environment of the process
 *   "onnxruntime"  libonnxruntime.so.1 (tested with ONNX Runtime 1.28; needs its API 17 = release 1.17), on the CPU;
 *                  its own log is off. Builds that can reach the network are refused: since 1.29 they send usage data
 *   "echo"         no library; an output is the input that has the same tensor name. For tests.
 * ccz_engine_detect() tells which one a model needs.
 *
 * A model without signatures (frozen graph, ONNX) gets one, "serving_default", of everything that goes in and comes out, each
 * under its name in the graph; or those of a file signatures.json beside it (docs/reference/signatures-json.md).
 *
 * Threads: engine and model may be used by many threads at once; a result belongs to one thread.
 * Reading order of the sources: tensor.c, meta.c, engine.c, union.c, custom.c, files.c, sidecar.c, stage.c, echo.c, lib.c,
 * tf*.c, onnx.c, ort*.c.
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------- tensors */

/** Numbers of TensorFlow's DataType, also on the wire. X(name, value, element size, "printed name") */
#define CCZ_DTYPE_MAP(X)                                                                           \
    X(FLOAT, 1, 4, "float")                                                                        \
    X(DOUBLE, 2, 8, "double")                                                                      \
    X(INT32, 3, 4, "int32")                                                                        \
    X(UINT8, 4, 1, "uint8")                                                                        \
    X(INT16, 5, 2, "int16")                                                                        \
    X(INT8, 6, 1, "int8")                                                                          \
    X(STRING, 7, 0, "string")                                                                      \
    X(INT64, 9, 8, "int64")                                                                        \
    X(BOOL, 10, 1, "bool")                                                                         \
    X(BFLOAT16, 14, 2, "bfloat16")                                                                 \
    X(UINT16, 17, 2, "uint16")                                                                     \
    X(HALF, 19, 2, "half")                                                                         \
    X(UINT32, 22, 4, "uint32")                                                                     \
    X(UINT64, 23, 8, "uint64")

enum ccz_dtype {
    CCZ_DT_INVALID = 0,
#define X(name, value, size, text) CCZ_DT_##name = (value),
    CCZ_DTYPE_MAP(X)
#undef X
};
/** Bytes per element; 0 for strings and for types that cannot be fed or fetched. */
CCZ_API size_t ccz_dtype_size(enum ccz_dtype t);
/** "float", "int32", ... as TensorFlow's DataTypeString; "invalid" for a type not in the map. */
CCZ_API const char *ccz_dtype_name(enum ccz_dtype t);
/** "DT_FLOAT", ... as protobuf prints the enum; "DT_INVALID" for a type not in the map. */
CCZ_API const char *ccz_dtype_enum_name(enum ccz_dtype t);

#define CCZ_TENSOR_RANK_MAX 16 /**< dimensions of a tensor that is fed or fetched */

/**
 * A tensor by reference: row-major elements, little-endian.
 * @shape dims[0..rank), each >= 0; len = their product (1 if rank is 0)
 */
struct ccz_tensor {
    const char *name; /**< key in the signature */
    enum ccz_dtype dtype;
    int rank;
    int64_t dims[CCZ_TENSOR_RANK_MAX];
    size_t len;
    struct ccz_span data;           /**< len * ccz_dtype_size() bytes; empty for strings */
    const struct ccz_span *strings; /**< CCZ_DT_STRING: len byte strings, else NULL */
};
/** Elements of a shape into @p len; false if a dimension is negative or the product exceeds 2^40. */
CCZ_API CCZ_MUST_USE bool ccz_tensor_len(size_t *len, int rank, const int64_t *dims);

/* ------------------------------------------------------------------------------- engine */

struct ccz_engine;
struct ccz_engine_cfg {
    const char *backend; /**< "tensorflow", "onnxruntime" or "echo"; required */
    /**
     * Path of libtensorflow_cc.so.2 or libonnxruntime.so.1, with a '/'. libtensorflow_framework.so.2 is
     * loaded from the same folder as the former, before it; no other place is searched for either.
     */
    const char *library;
    int intra_threads; /**< threads inside one operation; 0 = one per core. The first engine of a process decides. */
    int inter_threads; /**< operations at a time; 0 = one per core; -1 = all in the thread that calls ccz_model_run():
                            best when the caller has its own pool of workers */
};
/**
 * Opens a back end. The libraries stay loaded until the process ends: they cannot be unloaded.
 * "onnxruntime": all models share the thread pools that the first engine of the process made; an engine with other numbers gives
 * each of its models pools of its own. Threads without work sleep, they do not spin.
 * @retval CCZ_E_ARG          "engine:backend" unknown name; "engine:library" no explicit path
 * @retval CCZ_E_UNAVAILABLE  "engine:dlopen" cannot be loaded, "engine:origin" the loader took the
 *                            framework library from another folder, "engine:symbol" a function is missing,
 *                            "engine:version" the library is too old
 * @retval CCZ_E_DENIED       "engine:network": an ONNX Runtime that uses functions of the network; "engine:environment":
 *                            ORT_LOAD_CONFIG_FROM_MODEL is set, so models would set options
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_engine_open(struct ccz_engine **out,
                                            const struct ccz_engine_cfg *cfg, struct ccz_err *err);
/** Every model of it must be freed before; NULL is fine. */
CCZ_API void ccz_engine_free(struct ccz_engine *e);
CCZ_DEFINE_AUTO(ccz_engine)
CCZ_API const char *ccz_engine_backend(const struct ccz_engine *e);
/** Version that the library reports ("2.21.0"), or "" for "echo". */
CCZ_API const char *ccz_engine_version(const struct ccz_engine *e);
/** Path of the i-th file that the back end brought into the process, NULL behind the last. */
CCZ_API const char *ccz_engine_library(const struct ccz_engine *e, size_t i);

/* ------------------------------------------------------------------------------- model */

#define CCZ_MODEL_FILES_MAX     256
#define CCZ_MODEL_NAME_SIZE_MAX 255
#define CCZ_MODEL_CHUNK_SIZE    262144 /**< bytes asked from the reader at a time, at most */

struct ccz_model_file {
    const char
        *name; /**< relative, '/' between parts: "saved_model.pb", "variables/variables.index" */
    uint64_t size;
};
/** Where ccz_model_load() puts the plaintext that TensorFlow reads of a SavedModel. */
enum ccz_model_stage {
    CCZ_STAGE_MEMORY, /**< TensorFlow's ram:// file system: heap of this process. All that frozen graphs and ONNX files know */
    CCZ_STAGE_TMPFS /**< a folder of mode 0700 in cfg.tmpfs_dir, which must be a tmpfs or ramfs without
                           swap in the TEE; another file system is refused ("engine:tmpfs") */
};
/** What the files of a model are. */
enum ccz_model_format {
    CCZ_FORMAT_NONE,
    CCZ_FORMAT_SAVED_MODEL,  /**< saved_model.pb or .pbtxt, variables/, assets/ */
    CCZ_FORMAT_FROZEN_GRAPH, /**< one NAME.pb: a serialized GraphDef whose variables are constants */
    CCZ_FORMAT_ONNX          /**< one NAME.onnx, weights inside */
};
struct ccz_model_kind {
    const char *backend; /**< the one that runs it: "tensorflow" or "onnxruntime" */
    enum ccz_model_format format;
    size_t file; /**< number of the .onnx or .pb file */
};
/**
 * Tells by the names of its files what a model is. Nothing is read.
 * @retval CCZ_E_FORMAT  "engine:model-files": none of these, or more than one; the hint says what a model folder holds
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_engine_detect(struct ccz_model_kind *out,
                                              const struct ccz_model_file *files, size_t len,
                                              struct ccz_err *err);
struct ccz_model_cfg {
    const struct ccz_model_file *files;
    size_t files_len; /**< 1..CCZ_MODEL_FILES_MAX, names unique */
    /**
     * Puts bytes [offset, offset+size) of file @p file into @p out; called in order, file by file, so
     * that a protected file is decrypted chunk by chunk. @p out is wiped by the caller. A refusal ends
     * the load with that error.
     */
    ccz_rc (*read_at)(void *arg, size_t file, uint64_t offset, void *out, size_t size,
                      struct ccz_err *err);
    void *arg;
    const char *tag; /**< SavedModel: MetaGraphDef to take; NULL = "serve" */
    enum ccz_model_stage stage;
    const char *tmpfs_dir; /**< CCZ_STAGE_TMPFS only; NULL = "/dev/shm" */
};

/** One input or output of a signature. Strings and spans live as long as the model. */
struct ccz_tensor_info {
    const char *name;        /**< key in the signature */
    const char *tensor_name; /**< "serving_default_images:0"; "" if it is not one dense tensor */
    enum ccz_dtype dtype;    /**< CCZ_DT_INVALID if it cannot be fed or fetched */
    bool unknown_rank;
    int rank;
    const int64_t *dims;   /**< -1 = any */
    struct ccz_span proto; /**< the serialized TensorInfo */
    struct ccz_span
        default_proto; /**< inputs: serialized TensorProto to use when it is omitted, or empty */
};
struct ccz_signature {
    const char *name;                       /**< "serving_default" */
    const char *method;                     /**< "tensorflow/serving/predict", may be "" */
    const struct ccz_tensor_info *in, *out; /**< each sorted by name */
    size_t in_len, out_len;
    bool
        runnable; /**< every input and output is a tensor of the graph with a type in CCZ_DTYPE_MAP */
    const void *bound; /**< the back end's own: where these tensors are in the graph */
};

struct ccz_model;
/**
 * Loads a model and restores its variables. Blocks; may run beside other loads and runs.
 * Of a frozen graph or an ONNX file only that file and signatures.json are read.
 * @retval CCZ_E_ARG          "engine:file-name" a name is absolute, has an empty or ".." part, or repeats
 * @retval CCZ_E_IO           "engine:tmpfs", "engine:stage" the stage cannot be written
 * @retval CCZ_E_FORMAT       "engine:signature" MetaGraphDef malformed; "engine:load" the library refused it;
 *                            "engine:model-files" as ccz_engine_detect(), or another back end runs it;
 *                            "engine:signatures.json" it names what is not in the graph; "engine:onnx" no ONNX file, or damaged
 * @retval CCZ_E_UNSUPPORTED  "engine:external-data" the weights of an ONNX file lie in other files
 * @retval CCZ_E_LIMIT        "engine:stage" a frozen graph or ONNX file of 0 bytes or beyond 2 GiB
 * @retval CCZ_E_UNAVAILABLE  the library has no in-memory file system ("engine:stage", with a hint)
 * @retval others             from read_at
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_model_load(struct ccz_model **out, struct ccz_engine *e,
                                           const struct ccz_model_cfg *cfg, struct ccz_err *err);
/** No run may be in progress; NULL is fine. */
CCZ_API void ccz_model_free(struct ccz_model *m);
CCZ_DEFINE_AUTO(ccz_model)
/** The engine it was loaded by. */
CCZ_API const struct ccz_engine *ccz_model_engine(const struct ccz_model *m);
/** All signatures, sorted by name. */
CCZ_API size_t ccz_model_signatures(const struct ccz_signature **out, const struct ccz_model *m);
/** By name; NULL if there is none. */
CCZ_API const struct ccz_signature *ccz_model_signature(const struct ccz_model *m,
                                                        const char *name);
#define CCZ_MODEL_UNIONS_MAX 64 /**< unions that one model keeps, and that may be in use */
/**
 * One signature for what several say of the same inputs: a run of it computes all their outputs at once. Made on the first call
 * with these signatures in this order, then kept with the model, so that requests can be batched by its address; the one that was
 * not used for longest makes room for another. Threads: any.
 * Each success is followed by one ccz_model_union_release(), after the results of its runs are freed.
 * @param[out] out   inputs of @p sigs[0]; outputs of sigs[0], then those of sigs[1], ..., each with the name that it has there
 *                   (so a name may occur twice and they are not sorted). With len 1: sigs[0] itself.
 * @param      sigs  of @p m, runnable, none twice, none a union
 * @retval CCZ_E_ARG          "engine:union": len is 0, a signature cannot be run or is given twice, or the inputs are not the same
 *                            (names, tensors, types, shapes, defaults)
 * @retval CCZ_E_UNSUPPORTED  "engine:union": this back end runs one signature at a time
 * @retval CCZ_E_LIMIT        "engine:union": CCZ_MODEL_UNIONS_MAX are in use: try again, or run the signatures one after another
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_model_union(const struct ccz_signature **out, struct ccz_model *m,
                                            const struct ccz_signature *const *sigs, size_t len,
                                            struct ccz_err *err);
/** @p sig is not used any more by whoever got it from ccz_model_union(); signatures that are no union are fine. Threads: any. */
CCZ_API void ccz_model_union_release(struct ccz_model *m, const struct ccz_signature *sig);

/* ------------------------------------------------------------------------------- run */

/** Codes of TensorFlow and of gRPC: the same numbers. */
enum ccz_run_code {
    CCZ_RUN_OK = 0,
    CCZ_RUN_CANCELLED,
    CCZ_RUN_UNKNOWN,
    CCZ_RUN_INVALID_ARGUMENT,
    CCZ_RUN_DEADLINE_EXCEEDED,
    CCZ_RUN_NOT_FOUND,
    CCZ_RUN_ALREADY_EXISTS,
    CCZ_RUN_PERMISSION_DENIED,
    CCZ_RUN_RESOURCE_EXHAUSTED,
    CCZ_RUN_FAILED_PRECONDITION,
    CCZ_RUN_ABORTED,
    CCZ_RUN_OUT_OF_RANGE,
    CCZ_RUN_UNIMPLEMENTED,
    CCZ_RUN_INTERNAL,
    CCZ_RUN_UNAVAILABLE,
    CCZ_RUN_DATA_LOSS,
    CCZ_RUN_UNAUTHENTICATED
};
#define CCZ_RUN_MSG_SIZE_MAX 1024 /**< a longer message is cut and ends in "...TRUNCATED" */
/** Outcome for a remote caller: may be sent as it is. Zeroed = OK. */
struct ccz_run_status {
    enum ccz_run_code code;
    char msg[CCZ_RUN_MSG_SIZE_MAX + 16];
};
/** Sets @p st (a longer message is cut as said above) and returns the nearest ccz_rc. */
CCZ_API CCZ_FMT(3, 4) ccz_rc
    ccz_run_status_set(struct ccz_run_status *st, enum ccz_run_code code, const char *fmt, ...);
/** CCZ_OK, CCZ_E_TIMEOUT, CCZ_E_FORMAT, ...: what a local caller switches on. */
CCZ_API ccz_rc ccz_run_rc(enum ccz_run_code code);
/** "OK", "INVALID_ARGUMENT", ...; "UNKNOWN" for a number out of range. */
CCZ_API const char *ccz_run_code_name(enum ccz_run_code code);

struct ccz_run_req {
    const struct ccz_signature *sig; /**< of the model that runs, or a union of some */
    const struct ccz_tensor *in; /**< every input of the signature once, in any order, by name */
    size_t in_len;
    const size_t
        *fetch; /**< indexes into sig->out, without repetition; NULL = all, in their order */
    size_t fetch_len;
    /** 0 = none. A run that takes longer ends with CCZ_RUN_DEADLINE_EXCEEDED. TensorFlow with inter_threads = -1 does not cut it
     *  short before; ONNX Runtime always does, after the operation in progress (a thread of the engine tells it to). */
    uint32_t timeout_ms;
    /** TensorFlow only. For signatures that keep their inputs, as assigned variables do: else variables may go on living in the
     *  caller's memory, where it is aligned, and training changes it. */
    bool copy_in;
};
struct ccz_result; /**< outputs of one run */
/**
 * Runs a signature. TensorFlow uses input data that is aligned to 64 bytes in place unless copy_in is set and copies other once;
 * it uses strings in place. ONNX Runtime uses all data in place and copies strings. So the bytes behind req->in must stay until
 * ccz_result_free(): an output may be one of the inputs.
 * A shape that the signature does not allow is refused before the run, with one exception: where it says [?,1] (or [?,1,1], ...) an
 * input may be a list; then the outputs for which it says so are lists too.
 * @param[out] out  views into the library's own memory; free with ccz_result_free()
 * @param[out] st   code and the library's message; may be NULL
 * @retval CCZ_E_ARG  "engine:run" inputs do not match the signature, or it is not runnable
 * @return else ccz_run_rc() of the code, where = "engine:run"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_model_run(struct ccz_result **out, struct ccz_run_status *st,
                                          struct ccz_model *m, const struct ccz_run_req *req,
                                          struct ccz_err *err);
CCZ_API size_t ccz_result_len(const struct ccz_result *r);
/** i-th output in the order of the request; lives as long as the result. */
CCZ_API const struct ccz_tensor *ccz_result_at(const struct ccz_result *r, size_t i);
CCZ_API void ccz_result_free(struct ccz_result *r); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_result)

/* ------------------------------------------------------------------------------- custom */

/** What a custom back end says of one input or output. */
struct ccz_tensor_spec {
    const char *name; /**< key in the signature */
    enum ccz_dtype dtype;
    int rank;            /**< -1 = any */
    const int64_t *dims; /**< [rank] -1 = any; NULL if rank <= 0 */
    /** Inputs: what is used when the caller leaves it out; NULL = it must be given. Its name is not looked at. */
    const struct ccz_tensor *fallback;
};
struct ccz_signature_spec {
    const char *name;
    const struct ccz_tensor_spec *in, *out;
    size_t in_len, out_len;
};
/** Appends a signature to the description of a model; a failure shows in out->bad. */
CCZ_API void ccz_signature_put(struct ccz_buf *out, const struct ccz_signature_spec *sig);
/** Memory for outputs: zeroed, aligned to 16 bytes, freed with the result; NULL if there is none.
 *  @param len, size  elements, bytes of one */
CCZ_API void *ccz_result_alloc(struct ccz_result *r, size_t len, size_t size);

/** A back end as functions. All are called by many threads at once, with models of its own. */
struct ccz_engine_ops {
    const char *name;    /**< of the back end, as ccz_engine_backend() gives it */
    const char *version; /**< at most 31 bytes; NULL = "" */
    /**
     * Loads a model from the files of @p cfg.
     * @param[out] model       given to the functions below
     * @param[out] signatures  appended with ccz_signature_put()
     */
    ccz_rc (*load)(void **model, struct ccz_buf *signatures, void *arg,
                   const struct ccz_model_cfg *cfg, struct ccz_err *err);
    void (*unload)(void *model); /**< of a model that load() gave out */
    /**
     * @param[out] out  [sig->out_len] fill in rank, dims, len and data or strings, in memory of ccz_result_alloc() or of
     *                  the model; name and dtype are set already
     * @param[out] st   why it failed, by ccz_run_status_set()
     * @param      in   [sig->in_len] in the order of the signature; shapes fit it, and types
     */
    ccz_rc (*run)(struct ccz_tensor *out, struct ccz_result *r, struct ccz_run_status *st,
                  void *model, const struct ccz_signature *sig, const struct ccz_tensor *const *in,
                  uint32_t timeout_ms);
};
/**
 * An engine that calls @p ops: models of another kind behind the same surface.
 * @param ops, arg  borrowed until the engine is freed
 * @retval CCZ_E_ARG    "engine:backend": a function or the name is missing
 * @retval CCZ_E_NOMEM  "engine:backend"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_engine_custom(struct ccz_engine **out,
                                              const struct ccz_engine_ops *ops, void *arg,
                                              struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
