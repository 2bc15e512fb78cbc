/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SCHED_INFER_H
#define CCZ_SCHED_INFER_H
/**
 * @file sched_infer.h
 * Requests of a model server (infer.h) as jobs of its scheduler (sched.h), with its metrics (serve_metrics.h). A transport hands
 * over a call and is called back with the answer, from any thread.
 *
 * Where a call is done depends on what it asks for:
 *  - runs of models wait in the queue of the model that they name;
 *  - state, metadata and health are answered at once, in the calling thread: they must work when every queue is full;
 *  - reloads and v2's load and unload wait for models to load: each has a thread of its own meanwhile, at most
 *    CCZ_SCHED_INFER_RELOADS_MAX, else UNAVAILABLE.
 *
 * What is refused before it is read (a full queue, a passed deadline) counts in the scheduler's statistics, not in request_count:
 * whether the model is there is not known then, and names that clients make up are no labels.
 */
#include <cczoo/infer.h>
#include <cczoo/sched.h>
#include <cczoo/serve.h>
#include <cczoo/serve_metrics.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_SCHED_INFER_RELOADS_MAX 4

struct ccz_sched_infer;
struct ccz_sched_infer_cfg {
    struct ccz_infer *infer; /**< borrowed, as all three */
    struct ccz_sched *sched; /**< its clock is that of deadlines */
    struct ccz_serve_metrics
        *metrics; /**< latencies and runs; NULL = none. request_count: set ccz_infer_cfg.on_done. */
    size_t answer_size_max; /**< bytes; 0 = 64 MiB. A larger one is refused by infer.h. */
};
/** @retval CCZ_E_NOMEM "sched:infer" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_sched_infer_new(struct ccz_sched_infer **out,
                                                const struct ccz_sched_infer_cfg *cfg,
                                                struct ccz_err *err);
/** After ccz_sched_free(): no call is under way but reloads, which are waited for. NULL is fine. */
CCZ_API void ccz_sched_infer_free(struct ccz_sched_infer *a);
CCZ_DEFINE_AUTO(ccz_sched_infer)

/** What both transports say of a call. */
struct ccz_sched_caller {
    void *call;
    int64_t deadline_ns; /**< 0 = none */
    enum ccz_sched_class cls;
    bool (*cancelled)(void *call); /**< NULL = that cannot be known */
    /** The request's bytes are not needed any more. Once, after answer(). */
    void (*release)(void *call);
};

struct ccz_sched_grpc {
    struct ccz_sched_caller caller;
    const char *path;        /**< until release() */
    struct ccz_span request; /**< until release() */
    /** Once. @param response  one message, empty unless st->code is CCZ_RUN_OK; until it returns */
    void (*answer)(void *call, const struct ccz_run_status *st, struct ccz_span response);
};
/** @p r is copied. It may be answered before this returns. */
CCZ_API void ccz_sched_infer_grpc(struct ccz_sched_infer *a, const struct ccz_sched_grpc *r);

struct ccz_sched_rest {
    struct ccz_sched_caller caller;
    struct ccz_infer_http
        http; /**< what it points to: until release(); its timeout is not looked at */
    /**
     * The body is compressed: undoes that, where it does not hold up others and after there was room for the call. Once at most. NULL =
     * it is as it came.
     * @param[in,out] body  http.body, then what it was before compression, until release()
     * @param size_max      of that
     * @param[out] why      for the client, of a refusal
     * @return 0, or the status of a refusal
     */
    unsigned (*unpack)(void *call, struct ccz_span *body, size_t size_max, const char **why);
    void (*answer)(void *call, const struct ccz_infer_http_answer *answer, struct ccz_span body);
};
CCZ_API void ccz_sched_infer_rest(struct ccz_sched_infer *a, const struct ccz_sched_rest *r);

#ifdef __cplusplus
}
#endif
#endif
