/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SERVE_H
#define CCZ_SERVE_H
/**
 * @file serve.h
 * What a model server does besides answering: its configuration files, warm-up records, and the catalog, which decides
 * which versions are loaded. No transport, no TLS, no TEE, no engine: models are pointers, and what is done with them is a
 * table of functions. How requests wait, are batched and run: sched.h. Why it is so: docs/design/serving.md.
 *
 * Reading order of the sources: schema.c, config.c, config_models.c, warmup.c, catalog_priv.h, catalog_table.c,
 * catalog_policy.c, catalog_scan.c, catalog_work.c, catalog.c, catalog_infer.c.
 */
#include <cczoo/infer.h>
#include <cczoo/sched.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------ configuration */

/**
 * Files of TensorFlow Serving, and the same messages as bytes. Strict: an unknown field is an error that names it.
 * Every function appends to @p notes (may be NULL) one line of text for each setting that is known and has no effect here.
 * Errors of all: CCZ_E_FORMAT, CCZ_E_LIMIT of ccz_textpb_parse() ("textpb:..", with line and column) or ccz_textpb_check();
 * "serve:..." as told below; CCZ_E_LIMIT "serve:config-size"; CCZ_E_NOMEM "serve:memory".
 */
enum ccz_serve_form { CCZ_SERVE_TEXT, CCZ_SERVE_WIRE };

#define CCZ_SERVE_CONFIG_SIZE_MAX 4194304 /**< bytes of a configuration, in either form */
#define CCZ_SERVE_MODELS_MAX      1024
#define CCZ_SERVE_VERSIONS_MAX    256 /**< that a policy names; that "latest" may ask for */
#define CCZ_SERVE_PATH_SIZE_MAX   3072
#define CCZ_SERVE_NOTES_SIZE_MAX  65536 /**< a good maximum for @p notes */

enum ccz_serve_policy {
    CCZ_SERVE_LATEST,  /**< the `latest` newest ones */
    CCZ_SERVE_ALL,     /**< each that is there */
    CCZ_SERVE_SPECIFIC /**< `versions` */
};
/** ModelConfig. Strings live as long as the list. */
struct ccz_serve_model {
    const char *name;      /**< 1..255 bytes without '/', ':' and control bytes */
    const char *base_path; /**< absolute, without a '/' at its end */
    const char *platform;  /**< "tensorflow", ...; "" = not given: the model's files say it */
    enum ccz_serve_policy policy;
    uint32_t latest;         /**< >= 1 */
    const int64_t *versions; /**< ascending, each once */
    size_t versions_len;
    const struct ccz_infer_label *labels; /**< each once, at most CCZ_INFER_LABELS_MAX */
    size_t labels_len;
};
/** ModelServerConfig. */
struct ccz_serve_models {
    const struct ccz_serve_model *model;
    size_t len;
    void *own; /**< memory of all of it */
};
/**
 * @param[out] out  freed with ccz_serve_models_free()
 * @retval CCZ_E_ARG          "serve:name", "serve:name-again" (with TensorFlow Serving's wording), "serve:base-path" not absolute,
 *                            "serve:version" negative, "serve:label" empty or again, "serve:platform" model_type and model_platform
 * @retval CCZ_E_LIMIT        "serve:models", "serve:versions", "serve:labels", "serve:base-path"
 * @retval CCZ_E_UNSUPPORTED  "serve:base-path" s3://, gs://; "serve:platform" model_type OTHER; "serve:custom" custom_model_config
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_serve_read_models(struct ccz_serve_models *out,
                                                  struct ccz_buf *notes, struct ccz_span in,
                                                  enum ccz_serve_form form, struct ccz_err *err);
CCZ_API void ccz_serve_models_free(struct ccz_serve_models *m); /**< zeroed is fine */
/** One model as --model_name and --model_base_path say it, the policy latest 1. Errors as above. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_serve_one_model(struct ccz_serve_models *out, const char *name,
                                                const char *base_path, const char *platform,
                                                struct ccz_err *err);

/**
 * BatchingParameters, switched on. A number that is given as 0 is refused, though sched.h knows it as "the default".
 * @retval CCZ_E_ARG    "serve:batching" a number out of its range, a name that is too long; others from ccz_sched_batching_check()
 * @retval CCZ_E_LIMIT  "serve:batching" too many allowed_batch_sizes
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_serve_read_batching(struct ccz_sched_batching *out,
                                                    struct ccz_buf *notes, struct ccz_span in,
                                                    enum ccz_serve_form form, struct ccz_err *err);

/** SSLConfig: PEM texts, "" if not given. */
struct ccz_serve_ssl {
    struct ccz_secret *server_key; /**< PEM; NULL if not given */
    char *server_cert, *custom_ca;
    bool client_verify;
};
/** @p in should be kept and wiped like a key. @retval CCZ_E_ARG  "serve:ssl" a key without a certificate, or the other way round;
 *  client_verify without custom_ca */
CCZ_API CCZ_MUST_USE ccz_rc ccz_serve_read_ssl(struct ccz_serve_ssl *out, struct ccz_buf *notes,
                                               struct ccz_span in, enum ccz_serve_form form,
                                               struct ccz_err *err);
CCZ_API void ccz_serve_ssl_free(struct ccz_serve_ssl *s); /**< zeroed is fine */

#define CCZ_SERVE_METRICS_PATH "/monitoring/prometheus/metrics"
/** MonitoringConfig. */
struct ccz_serve_monitoring {
    bool prometheus;
    char path[256]; /**< CCZ_SERVE_METRICS_PATH if not given; begins with '/' */
};
/** @retval CCZ_E_ARG  "serve:monitoring" the path */
CCZ_API CCZ_MUST_USE ccz_rc ccz_serve_read_monitoring(struct ccz_serve_monitoring *out,
                                                      struct ccz_buf *notes, struct ccz_span in,
                                                      enum ccz_serve_form form,
                                                      struct ccz_err *err);

/** tensorflow.ConfigProto, as far as it says something here; 0 = not given. */
struct ccz_serve_session {
    int32_t intra_threads, inter_threads;
};
/** @retval CCZ_E_ARG  "serve:threads" negative */
CCZ_API CCZ_MUST_USE ccz_rc ccz_serve_read_session(struct ccz_serve_session *out,
                                                   struct ccz_buf *notes, struct ccz_span in,
                                                   enum ccz_serve_form form, struct ccz_err *err);
/** PlatformConfigMap: read and without effect, which @p notes says for each platform. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_serve_read_platforms(struct ccz_buf *notes, struct ccz_span in,
                                                     enum ccz_serve_form form, struct ccz_err *err);

/* ------------------------------------------------------------------------ warm-up */

#define CCZ_SERVE_WARMUP_FILE                                                                      \
    "assets.extra/tf_serving_warmup_requests" /**< in the folder of a version */
#define CCZ_SERVE_WARMUP_RECORDS_MAX     1000
#define CCZ_SERVE_WARMUP_RECORD_SIZE_MAX 67108864
#define CCZ_SERVE_WARMUP_TIME_MS         600000
struct ccz_serve_warmup {
    /** Bytes put at @p to (at most @p size), 0 at the end, -1 and @p err on an error. */
    ptrdiff_t (*read)(void *arg, void *to, size_t size, struct ccz_err *err);
    /** Runs one request on the model that is being loaded. @param path  CCZ_INFER_PATH_PREDICT, _CLASSIFY, _REGRESS or _MULTI
     *  @param timeout_ms  what is left of the time, at least 1 */
    ccz_rc (*replay)(void *arg, const char *path, struct ccz_span request, uint32_t timeout_ms,
                     struct ccz_err *err);
    void *arg;
    unsigned iterations;    /**< of each record; 0 = 1 */
    size_t record_size_max; /**< 0 = CCZ_SERVE_WARMUP_RECORD_SIZE_MAX */
    /** That all of it may take; 0 = CCZ_SERVE_WARMUP_TIME_MS. Other models wait for the thread that loads this one. */
    uint32_t time_ms;
    int64_t (*mono_ms)(void *arg); /**< tests: the clock; NULL = the system's */
};
/**
 * Replays the requests of a TFRecord file of PredictionLogs, each one while the next is not read yet. A record
 * without a request does nothing. The buffer is wiped.
 * @param[out] records  replayed, also on an error; may be NULL
 * @retval CCZ_E_FORMAT       "serve:warmup-record" length or data do not have their CRC, or the file ends in a record;
 *                            "serve:warmup-log" no PredictionLog; aux = record, from 1
 * @retval CCZ_E_UNSUPPORTED  "serve:warmup-log" a log of sessions or streams, as there
 * @retval CCZ_E_LIMIT        "serve:warmup-records", "serve:warmup-size", "serve:warmup-time" it takes longer than it may
 * @retval others             from read and replay
 * @source TensorFlow: core/lib/io/record_writer.h, core/lib/hash/crc32c.h; saved_model_warmup_util.cc
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_serve_warmup(size_t *records, const struct ccz_serve_warmup *w,
                                             struct ccz_err *err);

/**
 * The same with requests run by ccz_infer_warm() on @p model, whatever model they name; w->replay and w->mono_ms are not looked at.
 * @retval others  "serve:warmup-run" a request failed: its status
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_serve_warmup_infer(size_t *records, struct ccz_infer *infer,
                                                   struct ccz_model *model,
                                                   const struct ccz_serve_warmup *w,
                                                   struct ccz_err *err);

/* ------------------------------------------------------------------------ catalog */

/**
 * Which versions are served. A model has a folder (base_path) with a folder for each version, whose name is its number.
 * A *round* looks at all of them; by the policy of the model versions are wanted, which low-priority threads load, warm and
 * publish; then those that are wanted no more are taken out of service and freed by another one, which gives the
 * memory back to the system. A load that fails is tried again; an error of one model never concerns another.
 *
 * Last good version. What is served goes out of service only when as many versions as are wanted are available, when the
 * model is configured no more, or by ccz_catalog_revoke(). A base path that is missing, unreadable or empty changes
 * nothing, and a version that vanished from the disk stays, until a newer one that is there is available (a version that the policy
 * names stays as long as it is named). Each is an *alarm*: told by ccz_catalog_each() and logged when it begins and ends.
 */
struct ccz_catalog;
/** A version; texts live as long as the call. */
struct ccz_catalog_item {
    const char *name;
    int64_t version;
    const char *base_path;
    const char *dir; /**< base_path with the folder as it is spelled: ".../00000123" */
    const char *platform;
};
/** What is done with models. Those marked * are called with the catalog locked: they must be short and not call back. */
struct ccz_catalog_ops {
    /** Loads a model. On a low-priority thread. */
    ccz_rc (*load)(void *arg, void **model, const struct ccz_catalog_item *item,
                   struct ccz_err *err);
    /** Warms a loaded model; NULL = nothing to do. A failure fails the load. The same thread. */
    ccz_rc (*warm)(void *arg, void *model, const struct ccz_catalog_item *item,
                   struct ccz_err *err);
    /** Frees a model that was loaded and not published. On the thread that loads. */
    void (*unload)(void *arg, void *model, const struct ccz_catalog_item *item);
    /** Puts it into service: on CCZ_OK the receiver owns *model and sets it to NULL. */
    ccz_rc (*publish)(void *arg, void **model, const struct ccz_catalog_item *item,
                      struct ccz_err *err);
    /** * From now on no new call finds this version. */
    void (*withdraw)(void *arg, const struct ccz_catalog_item *item);
    /** Waits until no call uses it any more, and frees it. On the low-priority thread that unloads. */
    void (*remove)(void *arg, const struct ccz_catalog_item *item);
    /** * A version that is not in service is CCZ_INFER_START, _LOADING or _END; @p health: why it ended, NULL = well. */
    void (*state)(void *arg, const struct ccz_catalog_item *item, enum ccz_infer_state state,
                  const struct ccz_run_status *health);
    /** * The labels of a name, all or none. @p st as of ccz_infer_set_labels(). */
    void (*labels)(void *arg, const char *name, const struct ccz_infer_label *labels, size_t len,
                   bool allow_unavailable, struct ccz_run_status *st);
    /** * A model is configured from now on; or it is gone, and its last version with it. NULL = nothing to do. */
    void (*model)(void *arg, const char *name, bool there);
};
/** Zeroed = the defaults, which are TensorFlow Serving's. */
struct ccz_catalog_cfg {
    struct ccz_catalog_ops ops; /**< all but warm and model are required */
    void *arg;                  /**< of all functions */
    int64_t poll_ms; /**< between rounds; 0 = 1,000; CCZ_CATALOG_POLL_ONCE: the first one only */
    unsigned load_threads;         /**< 0 = 1, so that one model is loaded after the other */
    unsigned retries;              /**< of a load that failed; 0 = 5; CCZ_CATALOG_NO_RETRY */
    int64_t retry_ms;              /**< before each; 0 = 60,000 */
    int nice;                      /**< of the threads that load and unload; 0 = 10; 1..19 */
    bool allow_unavailable_labels; /**< --allow_version_labels_for_unavailable_models */
    /** Tests: no thread of rounds; ccz_catalog_poll() does what there is to do, and time is what `mono_ms` says (NULL = the
     *  system's). */
    bool manual;
    int64_t (*mono_ms)(void *arg);
    /** Tests: lists a folder instead of the file system: each() for each entry that is a folder; @p stamp changes when its content
     *  does. An error is the whole answer. */
    ccz_rc (*list)(void *arg, const char *path,
                   void (*each)(void *to, const char *name, int64_t stamp), void *to,
                   struct ccz_err *err);
};
#define CCZ_CATALOG_POLL_ONCE   (-1)
#define CCZ_CATALOG_NO_RETRY    (~0u)
#define CCZ_CATALOG_ENTRIES_MAX 4096 /**< versions in one folder */
#define CCZ_CATALOG_REVOKED_MAX 4096

/** What is left to say when models are served by infer.h. */
struct ccz_catalog_infer {
    struct ccz_infer *infer;
    void *arg; /**< of the functions below */
    ccz_rc (*load)(void *arg, struct ccz_model **model, const struct ccz_catalog_item *item,
                   struct ccz_err *err);
    ccz_rc (*warm)(void *arg, struct ccz_model *model, const struct ccz_catalog_item *item,
                   struct ccz_err *err); /**< may be NULL */
    /** May be NULL: a version that load() gave a model of has ended and its model is freed, also if it never came into service. The
     *  place to free what ccz_infer_set_user() attached (load() and warm() may attach it: the version is announced by then), and
     *  what load() keeps of it elsewhere. */
    void (*gone)(void *arg, const struct ccz_catalog_item *item);
    /** May be NULL: a version is in service. What belongs to its name, and not to it, is set here. As the functions marked *. */
    void (*published)(void *arg, const struct ccz_catalog_item *item);
    void (*model)(void *arg, const char *name, bool there); /**< as of ccz_catalog_ops */
};
/** Fills in cfg->ops and cfg->arg; @p of outlives the catalog. */
CCZ_API void ccz_catalog_use_infer(struct ccz_catalog_cfg *cfg, struct ccz_catalog_infer *of);

/** Starts the threads. @retval CCZ_E_ARG "catalog:config"; CCZ_E_NOMEM, CCZ_E_UNAVAILABLE "catalog:thread" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_catalog_new(struct ccz_catalog **out,
                                            const struct ccz_catalog_cfg *cfg, struct ccz_err *err);
/** Ends the threads (a load in progress is waited for), takes everything out of service and frees it; NULL is fine. Nobody may be in
 *  another function of it: ccz_catalog_cancel() first, and wait for who was. */
CCZ_API void ccz_catalog_free(struct ccz_catalog *c);
CCZ_DEFINE_AUTO(ccz_catalog)

/**
 * Replaces the configuration: models that are missing from @p models are taken out of service, new ones loaded. Blocks until each
 * *new* model has an available version and is done with its other ones, or has failed, and until versions that labels are to point to are
 * there. One call after the other; the next one ends the waiting of the one before, whose configuration was in effect until then.
 * What is refused is refused before anything has changed, except labels of versions that turn out not to load.
 * @param models      copied
 * @param timeout_ms  < 0 = for ever, as there; the configuration is in effect also when it passes
 * @param[out] st     INVALID_ARGUMENT a platform of a model that is there changes; FAILED_PRECONDITION a label's version is not
 *                    available and will not be; UNKNOWN a new model failed, with the reason; DEADLINE_EXCEEDED, CANCELLED, ABORTED (the
 *                    next configuration came); wording as there
 * @retval as ccz_run_rc(st->code)
 */
CCZ_API ccz_rc ccz_catalog_replace(struct ccz_catalog *c, const struct ccz_serve_models *models,
                                   int64_t timeout_ms, struct ccz_run_status *st);
/** cfg.on_reload of infer.h, @p arg the catalog: reads the ModelServerConfig, then as ccz_catalog_replace() for ever. An empty
 *  one is INVALID_ARGUMENT, as there. */
CCZ_API void ccz_catalog_reload(void *arg, struct ccz_span model_server_config,
                                struct ccz_run_status *st);
/**
 * Start-up: waits until every model is as ccz_catalog_replace() wants new ones. @retval CCZ_E_UNAVAILABLE "catalog:failed" some model failed, told with
 * its reason; CCZ_E_TIMEOUT "catalog:waits" names what is waited for
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_catalog_wait(struct ccz_catalog *c, int64_t timeout_ms,
                                             struct ccz_err *err);
/** The server ends: whoever waits above, now or later, gets CANCELLED or CCZ_E_CLOSED "catalog:cancelled". From any thread. */
CCZ_API void ccz_catalog_cancel(struct ccz_catalog *c);
/** A round, now and in this thread; retries that are due are begun. */
CCZ_API void ccz_catalog_poll(struct ccz_catalog *c);
/** Waits until nothing is being loaded or unloaded; for tests and orderly ends. @retval CCZ_E_TIMEOUT "catalog:busy" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_catalog_settle(struct ccz_catalog *c, int64_t timeout_ms,
                                               struct ccz_err *err);
/**
 * Takes a version out of service at once and for ever, whatever the configuration says, and also if it is not loaded yet: before
 * this returns no new call finds it; it is freed as soon as no call uses it. The policy then chooses among the others.
 * @param version  < 0 = every version that is known now
 * @param why      for status and log
 * @retval CCZ_E_NOT_FOUND  "catalog:name" no such model
 * @retval CCZ_E_LIMIT      "catalog:revoked"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_catalog_revoke(struct ccz_catalog *c, const char *name,
                                               int64_t version, const char *why,
                                               struct ccz_err *err);
/**
 * Takes a version out of service at once, to be loaded again as soon as that is possible: a load that fails because somebody is away
 * (CCZ_E_UNAVAILABLE, _TIMEOUT, _CLOSED) is then tried for ever. Until then it is wanted: no older version takes its place. One that is
 * being loaded is not published, and loaded again later.
 * @param why  for the log
 * @retval CCZ_E_NOT_FOUND  "catalog:version" it is not in service
 */
CCZ_API ccz_rc ccz_catalog_suspend(struct ccz_catalog *c, const char *name, int64_t version,
                                   const char *why, struct ccz_err *err);

/** For logs and metrics. */
struct ccz_catalog_info {
    const char *name;
    int64_t version; /**< -1: the model itself, told first; then `state` is CCZ_INFER_UNKNOWN */
    enum ccz_infer_state state;
    bool wanted;
    bool vanished;     /**< served, and not on the disk */
    unsigned attempts; /**< loads begun */
    /** What is wrong, "" = nothing: of a model its base path; of a version its last load or that it vanished. */
    const char *alarm;
};
/** Calls @p fn for each model and its versions, ascending, with the catalog locked. */
CCZ_API void ccz_catalog_each(struct ccz_catalog *c,
                              void (*fn)(void *arg, const struct ccz_catalog_info *info),
                              void *arg);

#ifdef __cplusplus
}
#endif
#endif
