/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SCHED_H
#define CCZ_SCHED_H
/**
 * @file sched.h
 * Which request runs when, on which thread, and together with which others.
 *
 * Terms. A *job* is one request, in three phases: decode (bytes to tensors), run, finish (tensors to the answer, which is
 * sent). Jobs of one model wait in its *queue*. *Workers* are the threads that do the phases. A *batch* is the inputs of
 * several decoded jobs of one model version, signature and shape, put together along dimension 0 and run at once; each job is
 * given its rows of the outputs.
 *
 * Life of a job:   submit -> [queue] -> decode -> [batch that is forming] -> run -> finish -> release
 * The second wait is there with batching only. A job is finished and released exactly once, whatever happens; one that was not
 * taken (ccz_sched_submit() said false) is neither.
 *
 * Fairness. Models take turns by deficit round robin: each turn a queue may use `quantum_us` of workers' time, times its weight.
 * What is charged is what was measured, so that a model whose requests take 100 ms gets one of them run where another gets a
 * hundred of 1 ms. A model that had the workers to itself owes nothing to one that comes later; one that used more than its share
 * while others waited pays it back in turns, also after a pause.
 *
 * Deadlines and clients that went away are looked at when a job leaves its queue, before it is run and before it is answered.
 *
 * Batching is TensorFlow Serving's, with its parameters and texts, and these differences:
 *  - tensors of different shapes make different batches (there: the batch fails), unless pad_variable_length_inputs is set;
 *  - a batch that fails is run again, each of its jobs alone: a bad input fails nobody else;
 *  - the batch that is forming is taken by a worker once its timeout has passed and no job of the model is left to decode, at
 *    the latest one run time of the model after that. So with a timeout of 0 batches are as large as the load makes them;
 *  - signatures with a fixed dimension 0, and jobs of no rows, run alone.
 *
 * Threads: everything may be called from any thread. Functions of jobs are called without a lock held; finish() may submit.
 * Reading order of the sources: sched_priv.h, sched.c, sched_fair.c, sched_work.c, sched_batch.c, sched_tensor.c, sched_infer.c.
 */
#include <cczoo/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------ batching */

#define CCZ_SCHED_ALLOWED_MAX   64
#define CCZ_SCHED_POOL_NAME_MAX 63

/** tensorflow.serving.BatchingParameters. A 0 stands for TensorFlow Serving's default. */
struct ccz_sched_batching {
    bool on;
    int64_t max_batch_size;       /**< rows of one request, and of a batch; 0 = 1000 */
    int64_t batch_timeout_us;     /**< how long a batch waits for more */
    int64_t max_enqueued_batches; /**< of a version and signature, that wait to be run; 0 = 10 */
    int64_t
        num_batch_threads; /**< batches of a model that run at a time; 0 = no limit but the workers */
    char thread_pool_name[CCZ_SCHED_POOL_NAME_MAX + 1]; /**< label of metrics */
    /** Rows are padded up to the least of these that holds the batch, with copies of a row of it. Ascending; the last one is
     *  the largest batch. */
    int64_t allowed_batch_sizes[CCZ_SCHED_ALLOWED_MAX];
    size_t allowed_len;
    /** Dimensions behind the first may differ: the shorter ones are padded with the tensor's first element. What a job is
     *  answered then depends on its company, as it does there. */
    bool pad_variable_length_inputs;
    bool enable_large_batch_splitting; /**< a request may have more rows than a batch holds */
    int64_t max_execution_batch_size;  /**< with splitting: rows of a batch; 0 = max_batch_size */
};
/**
 * @retval CCZ_E_ARG  "sched:batching": a negative number, sizes that do not ascend, a last one that is not the largest batch,
 *                    max_execution_batch_size without splitting or above max_batch_size
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_sched_batching_check(const struct ccz_sched_batching *b,
                                                     struct ccz_err *err);

/* ------------------------------------------------------------------------ jobs */

struct ccz_sched;
struct ccz_sched_job;

/** Within a model, a bulk job is taken when no normal one waits. */
enum ccz_sched_class { CCZ_SCHED_NORMAL, CCZ_SCHED_BULK };

struct ccz_sched_job_ops {
    /** Nobody waits for the answer any more. NULL = that cannot be known. */
    bool (*cancelled)(const struct ccz_sched_job *j);
    /** Phase 1. True: j->model and j->req are set and stay until finish(). False: there is nothing to run; the answer or the
     *  refusal is there and finish() sends it. */
    bool (*decode)(struct ccz_sched_job *j);
    /** Phase 2; NULL = ccz_model_run(). All jobs of a model must have the same. @p req is the job's with what is left of its
     *  time, or that of a batch. */
    ccz_rc (*run)(struct ccz_result **out, struct ccz_run_status *st, struct ccz_model *m,
                  const struct ccz_run_req *req);
    /**
     * Phase 3: makes the answer and sends it.
     * @param st   NULL if decode() said false; else why there are no outputs, or code CCZ_RUN_OK
     * @param out  [len] of the signature or its fetch list, in that order; valid until finish() returns
     */
    void (*finish)(struct ccz_sched_job *j, const struct ccz_run_status *st,
                   const struct ccz_tensor *out, size_t len);
    /** The result is freed, which may have held on to the inputs: job, model and inputs are the caller's again. */
    void (*release)(struct ccz_sched_job *j);
};

/** What a job took, to be read in finish(). */
struct ccz_sched_times {
    int64_t queued_ns;  /**< waited, in the queue and in a batch */
    int64_t run_ns;     /**< the run; of a batch: of all of it */
    int64_t batch_rows; /**< rows that were run together, without padding; 0 = not in a batch */
};

/** Rows of a job in a batch; the scheduler's own. */
struct ccz_sched_part {
    struct ccz_sched_part *next;
    struct ccz_sched_job *job;
    int64_t first, rows;
};

/** A request. Zero it, set the first four; embed it in what belongs to it. */
struct ccz_sched_job {
    const struct ccz_sched_job_ops *ops;
    size_t
        size; /**< bytes that it holds while it waits; in a batch those of its inputs, if they are more */
    int64_t deadline_ns; /**< on the scheduler's clock; 0 = none */
    enum ccz_sched_class cls;
    bool not_inline; /**< decode() takes long, e.g. decompresses: always on a worker */

    struct ccz_model *model; /**< set by decode() */
    const struct ccz_run_req *req;

    struct ccz_sched_times times; /**< told by the scheduler */

    struct ccz_sched_job *next; /**< from here on the scheduler's own */
    struct ccz_sched_queue *queue;
    struct ccz_sched_split *split;
    struct ccz_sched_part part;
    int64_t since_ns;
    bool decoded;
};

/* ------------------------------------------------------------------------ scheduler */

/** What a batch was, told when it has run. */
struct ccz_sched_batch_info {
    const char *model;
    const char *thread_pool_name;
    int64_t rows, padded_rows; /**< without and with padding */
    size_t jobs;               /**< parts of jobs */
    const int64_t *rows_each;  /**< [jobs] */
    const int64_t *queued_ns;  /**< [jobs] in the batch */
    size_t inputs;             /**< tensors of the signature */
    int64_t run_ns;            /**< what it took, with putting together and taking apart */
};

/** Zeroed = the defaults. */
struct ccz_sched_cfg {
    unsigned workers; /**< threads; 0 = none: whoever calls ccz_sched_step() works */
    /** Jobs that wait and their bytes, in all; 0 = 4096, 512 MiB. What is beyond is refused. Inputs of a batch take no more bytes either:
     *  jobs that would, filled up to one shape, are run alone. */
    size_t jobs_max, bytes_max;
    /** The same for one model that has no numbers of its own; 0 = 1024, 256 MiB. A job that is larger than the bytes is taken
     *  when none waits. */
    size_t model_jobs_max, model_bytes_max;
    int64_t quantum_us;                 /**< 0 = 1000 */
    struct ccz_sched_batching batching; /**< of models that have none of their own */
    /**
     * A job whose model takes no longer than this, as measured, and whose queue is empty, is done in ccz_sched_submit()
     * itself: no thread has to be woken for it. 0 = never. Not with batching.
     */
    int64_t inline_max_us;
    unsigned inline_share_percent; /**< of time that may be spent so; 0 = 50 */
    /** Bytes of such a job, and of its inputs: one that turns out to be larger when it is decoded waits for a worker. 0 = 16 KiB */
    size_t inline_size_max;
    uint32_t run_ms_max; /**< no run takes longer, whatever its deadline; 0 = 300 s */
    /** For tests: a clock that does not move by itself; ccz_sched_poke() tells that it moved. */
    int64_t (*now_ns)(void *clock_arg);
    void *clock_arg;
    void (*on_batch)(void *arg,
                     const struct ccz_sched_batch_info *b); /**< any worker; may be NULL */
    void *arg;
};
/** @retval CCZ_E_ARG "sched:batching"; "sched:cfg" more than CCZ_SCHED_WORKERS_MAX workers, a share above 100, a time
 *                    below 0 or above a second
 *  @retval CCZ_E_NOMEM, CCZ_E_UNAVAILABLE "sched:new": memory, threads */
CCZ_API CCZ_MUST_USE ccz_rc ccz_sched_new(struct ccz_sched **out, const struct ccz_sched_cfg *cfg,
                                          struct ccz_err *err);
#define CCZ_SCHED_WORKERS_MAX 1024
/** Refuses what waits, waits for what runs, ends the workers. Nobody may submit any more; NULL is fine. */
CCZ_API void ccz_sched_free(struct ccz_sched *s);
CCZ_DEFINE_AUTO(ccz_sched)
/** The clock that deadlines are on: CLOCK_MONOTONIC, as ccz_mono_ns(), unless cfg says otherwise. */
CCZ_API int64_t ccz_sched_now_ns(const struct ccz_sched *s);

#define CCZ_SCHED_MODELS_MAX    4096
#define CCZ_SCHED_NAME_SIZE_MAX 255
#define CCZ_SCHED_WEIGHT_MAX    1000
/** Zeroed = what ccz_sched_cfg says. */
struct ccz_sched_model_cfg {
    unsigned weight; /**< share against others; 0 = 1 */
    size_t jobs_max, bytes_max;
    const struct ccz_sched_batching *batching; /**< NULL = that of ccz_sched_cfg */
};
/**
 * Gives a model a queue of its own, or changes it. Jobs of names that were not told share one queue: names come from clients.
 * @retval CCZ_E_ARG    "sched:model" name empty or too long; "sched:weight"; "sched:batching"
 * @retval CCZ_E_LIMIT  "sched:model" @retval CCZ_E_NOMEM "sched:model"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_sched_model(struct ccz_sched *s, const char *name,
                                            const struct ccz_sched_model_cfg *cfg,
                                            struct ccz_err *err);
/** Later jobs of that name go where unknown names go; those that wait are done. */
CCZ_API void ccz_sched_model_remove(struct ccz_sched *s, const char *name);

/**
 * Hands over a job. It may be finished before this returns.
 * @param model   name, for the queue; empty or unknown is fine
 * @param[out] st  set if it is refused, UNAVAILABLE: a queue is full, or the server shuts down
 * @return false: refused, the job is the caller's
 */
CCZ_API CCZ_MUST_USE bool ccz_sched_submit(struct ccz_sched *s, struct ccz_span model,
                                           struct ccz_sched_job *j, struct ccz_run_status *st);

/**
 * Refuses new jobs, does those that are there; batches that form are run at once.
 * @return false if some were left after @p grace_ms: those that waited are finished as UNAVAILABLE, those that run go on
 */
CCZ_API bool ccz_sched_drain(struct ccz_sched *s, int64_t grace_ms);

/** Does one thing in the calling thread: decodes a job (without batching: does all of it) or runs a batch. False: nothing to do. */
CCZ_API bool ccz_sched_step(struct ccz_sched *s);
/** The clock of cfg moved: workers look again. */
CCZ_API void ccz_sched_poke(struct ccz_sched *s);

/* ------------------------------------------------------------------------ what is told */

struct ccz_sched_stats {
    size_t waiting, waiting_bytes; /**< jobs that were submitted and do not run yet */
    size_t running;                /**< workers that are busy */
    uint64_t done;                 /**< jobs finished, whatever the outcome */
    uint64_t refused_full, refused_drain;
    uint64_t expired, cancelled; /**< found to be so before the answer was made */
    uint64_t inline_done;
    uint64_t batches, batched_jobs, retried; /**< batches run; jobs in them; jobs run again alone */
    uint64_t wakes;                          /**< sleeping workers that were woken: system calls */
};
CCZ_API void ccz_sched_stats(struct ccz_sched_stats *out, struct ccz_sched *s);
struct ccz_sched_model_stats {
    const char *name; /**< "" = all that have no queue of their own */
    size_t waiting, waiting_bytes;
    int64_t service_ns; /**< measured: one job, running average; 0 = not yet */
};
/** Calls @p each for every queue, with a lock held: it must not call the scheduler. */
CCZ_API void ccz_sched_models(struct ccz_sched *s,
                              void (*each)(void *arg, const struct ccz_sched_model_stats *m),
                              void *arg);

#ifdef __cplusplus
}
#endif
#endif
