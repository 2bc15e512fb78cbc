/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_LOAD_LOAD_H
#define CCZ_LOAD_LOAD_H
/*
 * Load on a server, and what became of it: when calls are sent, how long they took, which answers came. Knows no
 * protocol: sending is a function. Internal: `cczoo load` and benchmarks.
 * Reading order of the sources: hist.c, drive.c, report.c.
 *
 * Two ways to ask:
 *   closed loop  a number of calls is under way at any time: finds how much a server can do;
 *   open loop    calls are due at a fixed rate, whatever the server does, as users come. A call's latency counts from the
 *                moment it was due, not from when it could be sent: else a server that stops for a second would look
 *                good, because nobody asked it meanwhile ("coordinated omission", G. Tene, "How NOT to Measure
 *                Latency", 2013).
 */
#include <cczoo/base.h>

/* ------------------------------------------------------------------------------ hist.c */

/*
 * Latencies by logarithmic buckets of 128 linear parts each (as HdrHistogram has them): every value is known to 1/128
 * of itself, in 37 KiB whatever is counted. Zeroed = empty. One thread at a time.
 */
enum {
    CCZI_HIST_PART_BITS = 7,
    CCZI_HIST_TOP_BITS = 42 /* 2^42 ns: 73 minutes; more counts as that */
};
enum { CCZI_HIST_BUCKETS = (CCZI_HIST_TOP_BITS - CCZI_HIST_PART_BITS + 1) << CCZI_HIST_PART_BITS };
struct cczi_hist {
    uint64_t count[CCZI_HIST_BUCKETS];
    uint64_t len, min_ns, max_ns;
    double sum_ns;
};
void cczi_hist_add(struct cczi_hist *h, uint64_t ns);
void cczi_hist_merge(struct cczi_hist *into, const struct cczi_hist *from);
/* The least value that at least the share @p q (0..1) of all does not exceed, as the upper edge of its bucket, at most
 * the largest that was seen; 0 if there are none. */
uint64_t cczi_hist_at(const struct cczi_hist *h, double q);
double cczi_hist_mean(const struct cczi_hist *h); /* ns; 0 if there are none */

/* ----------------------------------------------------------------------------- drive.c */

enum {
    CCZI_LOAD_ANSWERS_MAX = 16,   /* different answers that are told apart */
    CCZI_LOAD_SECONDS_MAX = 86400 /* of a run, warm-up not counted */
};
struct cczi_load;
/*
 * Starts one call, and says cczi_load_done() once when it is over: from another thread or later, not from inside this
 * function. Called by the thread of cczi_load_run() and, in a closed loop, from inside cczi_load_done().
 * @param slot  0..in_flight-1: no two calls that are under way have the same
 * A failure to start (no memory) ends the run.
 */
typedef ccz_rc (*cczi_load_send_fn)(void *arg, struct cczi_load *l, unsigned slot,
                                    struct ccz_err *err);
struct cczi_load_cfg {
    double rate; /* calls per second, open loop; 0 = closed loop */
    unsigned
        in_flight; /* closed: calls under way; open: at most so many, those that are due wait (and it counts) */
    int64_t warm_up_ms;  /* calls due in it are sent, and not counted */
    int64_t duration_ms; /* > 0; nothing is sent after it, what is under way is waited for */
    uint64_t calls_max;  /* counted ones; 0 = as many as there is time for */
    cczi_load_send_fn send;
    void *arg;
};

/* One second of a run. */
struct cczi_load_second {
    uint32_t calls, failed;
    float p50_ms, p99_ms, max_ms;
};
struct cczi_load_answer {
    uint64_t digest, calls;
};
struct cczi_load_result {
    struct cczi_hist ok;     /* latencies of calls that were answered */
    struct cczi_hist failed; /* of those that were refused or lost */
    uint64_t code[32];       /* calls by what the sender said of them: 0 = answered */
    double seconds; /* from the first counted call that was due to the end of the last one */
    uint64_t late; /* open loop: calls that were sent more than a millisecond after they were due */
    struct cczi_load_answer answer[CCZI_LOAD_ANSWERS_MAX];
    size_t
        answers; /* different ones; more than CCZI_LOAD_ANSWERS_MAX are counted in answers_more */
    uint64_t answers_more;
    struct cczi_load_second *second; /* [seconds_len], by when calls ended */
    size_t seconds_len;
};
/*
 * Runs the load; blocks until every call is over.
 * @param[out] out  cczi_load_result_free() in any case
 * @retval CCZ_E_ARG  load:config   @retval CCZ_E_NOMEM
 * @retval others     of the function that sends
 */
CCZ_MUST_USE ccz_rc cczi_load_run(struct cczi_load_result *out, const struct cczi_load_cfg *cfg,
                                  struct ccz_err *err);
/* The call in @p slot is over. @param code  0 = answered, else a gRPC or other code < 32 @param answer  what came; answers
 * that differ in a byte are told apart (by a hash of 64 bits: a count for people, no proof) */
void cczi_load_done(struct cczi_load *l, unsigned slot, unsigned code, struct ccz_span answer);
void cczi_load_result_free(struct cczi_load_result *r);

/* ---------------------------------------------------------------------------- report.c */

/* What was asked of whom, for the reports. */
struct cczi_load_about {
    const char *title; /* e.g. "resnet at 127.0.0.1:8500" */
    const char *api;   /* "grpc", "rest", ... */
    const char *(*code_name)(unsigned code);
    double rate;
    unsigned in_flight;
    size_t request_size; /* bytes of one request */
    const char *machine; /* who measured: processor, load at the beginning */
    bool simulated;
};
/* One JSON object on one line. */
void cczi_load_json(struct ccz_buf *out, const struct cczi_load_result *r,
                    const struct cczi_load_about *about);
/* A few lines for people. */
void cczi_load_text(struct ccz_buf *out, const struct cczi_load_result *r,
                    const struct cczi_load_about *about);
/* A page: latency over time, latency by percentile, calls per second. Simulated runs say so in it. */
void cczi_load_html(struct ccz_buf *out, const struct cczi_load_result *r,
                    const struct cczi_load_about *about);
#endif
