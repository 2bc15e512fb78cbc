/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SERVE_METRICS_H
#define CCZ_SERVE_METRICS_H
/**
 * @file serve_metrics.h
 * What a model server tells Prometheus: the metrics of TensorFlow Serving by name, label and bucket, so that its dashboards and
 * alerts go on working, and a few of our own (names that begin with cczoo_serve_).
 *
 *   :tensorflow:cc:saved_model:load_attempt_count{model_path,status}   :tensorflow:cc:saved_model:load_latency{model_path}
 *   :tensorflow:core:graph_runs, graph_run_time_usecs, graph_run_time_usecs_histogram
 *   :tensorflow:serving:request_count{model_name,status}               :tensorflow:serving:request_latency{model_name,API,entrypoint}
 *   :tensorflow:serving:runtime_latency{model_name,API,runtime}        :tensorflow:serving:model_warmup_latency{model_path,status}
 *   :tensorflow:serving:request_example_counts{model}                  :tensorflow:serving:request_example_count_total{model}
 *   :tensorflow:serving:batching_session:input_batch_size, processed_batch_size, padding_size{execution_batch_size},
 *                       queuing_latency{thread_pool_name}, wrapped_run_count
 *
 * Times are microseconds, in buckets 10 * 1.8^k, as there; the others have the buckets that they have there. Differences: a value
 * that is a bucket's bound counts in that bucket (Prometheus's "le"; there: in the next), and sums are written with all digits.
 *
 * What a client sends can make no new series: names of models are labels only if a model of that name is there
 * (struct ccz_infer_done), and there are at most CCZ_SERVE_METRICS_MAX series. But sizes of batches, which are labels of padding_size: of
 * them there are at most CCZ_SERVE_METRICS_PADDING_MAX; and CCZ_SERVE_METRICS_KEPT series are for request_count and request_latency alone.
 *
 * Threads: everything from any thread.
 */
#include <cczoo/infer.h>
#include <cczoo/sched.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_SERVE_METRICS_MAX                                                                      \
    8192 /**< series; a value that would need another is counted as dropped */
#define CCZ_SERVE_METRICS_PADDING_MAX 1024
#define CCZ_SERVE_METRICS_KEPT        2048

struct ccz_serve_metrics;
/** @retval CCZ_E_NOMEM "serve:metrics" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_serve_metrics_new(struct ccz_serve_metrics **out,
                                                  struct ccz_err *err);
CCZ_API void ccz_serve_metrics_free(struct ccz_serve_metrics *m); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_serve_metrics)

/**
 * A call has ended: request_count, and examples if there were any. Of Predict, Classify, Regress, MultiInference and
 * ModelInfer; others count nowhere, as there. Fits ccz_infer_cfg.on_done.
 */
CCZ_API void ccz_serve_metrics_done(void *metrics, const struct ccz_infer_done *done);
/** A call was answered: request_latency. @p rest: entrypoint REST, whose API is written as in its path ("predict"). */
CCZ_API void ccz_serve_metrics_latency(struct ccz_serve_metrics *m, const char *model,
                                       const char *api, bool rest, int64_t total_ns);
/** A job's share in a run: runtime_latency. */
CCZ_API void ccz_serve_metrics_runtime(struct ccz_serve_metrics *m, const char *model,
                                       const char *api, int64_t run_ns);
/** A run of an engine: graph_runs and its times. */
CCZ_API void ccz_serve_metrics_run(struct ccz_serve_metrics *m, int64_t run_ns);
/** A batch was run: batching_session, and a run of an engine. Fits ccz_sched_cfg.on_batch. */
CCZ_API void ccz_serve_metrics_batch(void *metrics, const struct ccz_sched_batch_info *b);
/** A version was warmed up. @param path  folder of the version */
CCZ_API void ccz_serve_metrics_warmup(struct ccz_serve_metrics *m, const char *path,
                                      enum ccz_run_code code, int64_t took_ns);
/** A load has ended. @param took_ns  counts if it succeeded */
CCZ_API void ccz_serve_metrics_load(struct ccz_serve_metrics *m, const char *path, bool ok,
                                    int64_t took_ns);

/**
 * Appends the text of version 0.0.4: about 5 kB for each series of a histogram (two for each model and API that is used), so
 * @p out should hold 64 MiB where there are many models; if it does not, it is bad, and not half a page.
 * @param s  whose queues are told, for autoscaling: cczoo_serve_queue_depth{model_name} and the like; NULL = none
 */
CCZ_API void ccz_serve_metrics_put(struct ccz_serve_metrics *m, struct ccz_sched *s,
                                   struct ccz_buf *out);
/** Sum over all labels of a counter, or count of a histogram, by TensorFlow's name ("/tensorflow/serving/request_count") or
 *  Prometheus's; 0 if there is none. Fits ccz_infer_cfg.metric. */
CCZ_API int64_t ccz_serve_metrics_value(void *metrics, struct ccz_span name);

#ifdef __cplusplus
}
#endif
#endif
