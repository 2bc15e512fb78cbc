/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of TensorFlow Serving in Prometheus's text format. Names, labels and buckets stand in one table. */
#include <cczoo/serve_metrics.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LABELS_MAX = 3, BOUNDS_MAX = 52, KEY_SIZE_MAX = 2048, BUCKETS = 1024 };

/* X(name, kind, path, labels, first bound, growth, bounds) in the order of the paths, which is that of the text. */
#define METRICS(X)                                                                                 \
    X(LOAD_ATTEMPTS, COUNTER, "/tensorflow/cc/saved_model/load_attempt_count",                     \
      LABELS("model_path", "status"), 0, 0, 0)                                                     \
    X(LOAD_LATENCY, COUNTER, "/tensorflow/cc/saved_model/load_latency", LABELS("model_path"), 0,   \
      0, 0)                                                                                        \
    X(RUN_TIME, COUNTER, "/tensorflow/core/graph_run_time_usecs", LABELS(NULL), 0, 0, 0)           \
    X(RUN_TIMES, HISTOGRAM, "/tensorflow/core/graph_run_time_usecs_histogram", LABELS(NULL), 1000, \
      2, 20)                                                                                       \
    X(RUNS, COUNTER, "/tensorflow/core/graph_runs", LABELS(NULL), 0, 0, 0)                         \
    X(INPUT_SIZE, HISTOGRAM, "/tensorflow/serving/batching_session/input_batch_size",              \
      LABELS(NULL), 1, 2, 14)                                                                      \
    X(PADDING, HISTOGRAM, "/tensorflow/serving/batching_session/padding_size",                     \
      LABELS("execution_batch_size"), 1, 2, 14)                                                    \
    X(PROCESSED_SIZE, HISTOGRAM, "/tensorflow/serving/batching_session/processed_batch_size",      \
      LABELS(NULL), 1, 2, 14)                                                                      \
    X(QUEUING, HISTOGRAM, "/tensorflow/serving/batching_session/queuing_latency",                  \
      LABELS("thread_pool_name"), 100, 1.2, 52)                                                    \
    X(WRAPPED_RUNS, COUNTER, "/tensorflow/serving/batching_session/wrapped_run_count",             \
      LABELS(NULL), 0, 0, 0)                                                                       \
    X(WARMUP, HISTOGRAM, "/tensorflow/serving/model_warmup_latency",                               \
      LABELS("model_path", "status"), 10, 1.8, 33)                                                 \
    X(REQUESTS, COUNTER, "/tensorflow/serving/request_count", LABELS("model_name", "status"), 0,   \
      0, 0)                                                                                        \
    X(EXAMPLES, COUNTER, "/tensorflow/serving/request_example_count_total", LABELS("model"), 0, 0, \
      0)                                                                                           \
    X(EXAMPLE_COUNTS, HISTOGRAM, "/tensorflow/serving/request_example_counts", LABELS("model"), 1, \
      2, 15)                                                                                       \
    X(LATENCY, HISTOGRAM, "/tensorflow/serving/request_latency",                                   \
      LABELS("model_name", "API", "entrypoint"), 10, 1.8, 33)                                      \
    X(RUNTIME, HISTOGRAM, "/tensorflow/serving/runtime_latency",                                   \
      LABELS("model_name", "API", "runtime"), 10, 1.8, 33)

enum kind { COUNTER, HISTOGRAM };
enum metric {
#define X(name, kind, path, labels, first, growth, len) name,
    METRICS(X)
#undef X
        METRICS_LEN
};
#define LABELS(...)                                                                                \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
static const struct metric_info {
    enum kind kind;
    const char *path;
    const char *labels[LABELS_MAX];
    double first, growth;
    size_t bounds_len;
} metrics[] = {
#define X(name, kind, path, labels, first, growth, len)                                            \
    [name] = {kind, path, labels, first, growth, len},
    METRICS(X)
#undef X
};

/* One set of label values. */
struct series {
    struct series *next;        /* in its bucket */
    struct series *next_of_all; /* of its metric, as they came */
    enum metric metric;
    uint64_t count; /* value of a counter */
    double sum;
    uint64_t in_bucket[BOUNDS_MAX + 1]; /* not cumulative; the last one is beyond all bounds */
    size_t key_size;
    char key[]; /* values of the labels, each with a NUL */
};

struct ccz_serve_metrics {
    pthread_mutex_t lock;
    double bounds[METRICS_LEN][BOUNDS_MAX];
    struct series *buckets[BUCKETS];
    struct series *first[METRICS_LEN], *last[METRICS_LEN];
    size_t len, padding_len;
    uint64_t dropped;
};

/* ------------------------------------------------------------------------ series */

/* What clients can make more of leaves room for what tells of requests. */
static bool has_room(const struct ccz_serve_metrics *m, enum metric metric)
{
    if (metric == REQUESTS || metric == LATENCY)
        return m->len < CCZ_SERVE_METRICS_MAX;
    return m->len < CCZ_SERVE_METRICS_MAX - CCZ_SERVE_METRICS_KEPT &&
           (metric != PADDING || m->padding_len < CCZ_SERVE_METRICS_PADDING_MAX);
}

/* @p values: as many as the metric has labels. With the lock. NULL: there are too many. */
static struct series *series_of(struct ccz_serve_metrics *m, enum metric metric,
                                const char *const *values)
{
    char key[KEY_SIZE_MAX];
    size_t size = 0;
    uint32_t hash = 2166136261u ^ (uint32_t)metric;
    for (size_t i = 0; i < LABELS_MAX && metrics[metric].labels[i]; i++)
        for (const char *c = values[i]; size < sizeof(key); c++) {
            key[size++] = *c;
            hash = (hash ^ (unsigned char)*c) * 16777619u;
            if (!*c)
                break;
        }
    if (size == sizeof(key) && key[size - 1]) { /* nothing that is served has such names */
        m->dropped++;
        return NULL;
    }
    struct series **at = &m->buckets[hash % BUCKETS], *s = *at;
    while (s && (s->metric != metric || s->key_size != size || memcmp(s->key, key, size) != 0))
        s = s->next;
    if (s)
        return s;
    if (!has_room(m, metric) || !(s = calloc(1, sizeof(*s) + size))) {
        m->dropped++;
        return NULL;
    }
    s->metric = metric;
    s->key_size = size;
    memcpy(s->key, key, size);
    s->next = *at;
    *at = s;
    if (m->last[metric])
        m->last[metric]->next_of_all = s;
    else
        m->first[metric] = s;
    m->last[metric] = s;
    m->len++;
    m->padding_len += metric == PADDING;
    return s;
}

static void add(struct ccz_serve_metrics *m, enum metric metric, const char *const *values,
                uint64_t n)
{
    struct series *s = series_of(m, metric, values);
    if (s)
        s->count += n;
}

static void observe(struct ccz_serve_metrics *m, enum metric metric, const char *const *values,
                    double value, uint64_t times)
{
    struct series *s = series_of(m, metric, values);
    if (!s)
        return;
    size_t b = 0;
    while (b < metrics[metric].bounds_len && value > m->bounds[metric][b])
        b++;
    s->in_bucket[b] += times;
    s->count += times;
    s->sum += value * (double)times;
}

static double us(int64_t ns)
{
    return (double)(ns / 1000); /* whole ones, as there */
}

/* ------------------------------------------------------------------------ what happened */

/* TensorFlow Serving's, and v2's: name in a path of REST. NULL: it is not counted. */
static const char *rest_name(const char *api)
{
    static const char *const names[][2] = {{"Predict", "predict"},
                                           {"Classify", "classify"},
                                           {"Regress", "regress"},
                                           {"MultiInference", "multi"},
                                           {"ModelInfer", "infer"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(api, names[i][0]) == 0)
            return names[i][1];
    return NULL;
}

void ccz_serve_metrics_done(void *arg, const struct ccz_infer_done *done)
{
    struct ccz_serve_metrics *m = arg;
    if (!rest_name(done->api))
        return;
    pthread_mutex_lock(&m->lock);
    add(m, REQUESTS, (const char *[]){done->model, ccz_run_code_name(done->code)}, 1);
    if (done->examples) {
        add(m, EXAMPLES, &done->model, done->examples);
        observe(m, EXAMPLE_COUNTS, &done->model, (double)done->examples, 1);
    }
    pthread_mutex_unlock(&m->lock);
}

void ccz_serve_metrics_latency(struct ccz_serve_metrics *m, const char *model, const char *api,
                               bool rest, int64_t total_ns)
{
    const char *name = rest_name(api);
    if (!name)
        return;
    pthread_mutex_lock(&m->lock);
    observe(m, LATENCY, (const char *[]){model, rest ? name : api, rest ? "REST" : "GRPC"},
            us(total_ns), 1);
    pthread_mutex_unlock(&m->lock);
}

void ccz_serve_metrics_runtime(struct ccz_serve_metrics *m, const char *model, const char *api,
                               int64_t run_ns)
{
    pthread_mutex_lock(&m->lock);
    observe(m, RUNTIME, (const char *[]){model, api, "TF1"}, us(run_ns), 1);
    pthread_mutex_unlock(&m->lock);
}

static void ran(struct ccz_serve_metrics *m, int64_t run_ns)
{
    add(m, RUNS, NULL, 1);
    add(m, RUN_TIME, NULL, (uint64_t)(run_ns / 1000));
    observe(m, RUN_TIMES, NULL, us(run_ns), 1);
}

void ccz_serve_metrics_run(struct ccz_serve_metrics *m, int64_t run_ns)
{
    pthread_mutex_lock(&m->lock);
    ran(m, run_ns);
    pthread_mutex_unlock(&m->lock);
}

void ccz_serve_metrics_batch(void *arg, const struct ccz_sched_batch_info *b)
{
    struct ccz_serve_metrics *m = arg;
    char size[24];
    snprintf(size, sizeof(size), "%" PRId64, b->padded_rows);
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < b->jobs; i++) {
        observe(m, INPUT_SIZE, NULL, (double)b->rows_each[i], b->inputs);
        observe(m, QUEUING, &b->thread_pool_name, us(b->queued_ns[i]), 1);
    }
    observe(m, PADDING, (const char *[]){size}, (double)(b->padded_rows - b->rows), 1);
    observe(m, PROCESSED_SIZE, NULL, (double)b->padded_rows, 1);
    add(m, WRAPPED_RUNS, NULL, 1);
    ran(m, b->run_ns);
    pthread_mutex_unlock(&m->lock);
}

void ccz_serve_metrics_warmup(struct ccz_serve_metrics *m, const char *path, enum ccz_run_code code,
                              int64_t took_ns)
{
    pthread_mutex_lock(&m->lock);
    observe(m, WARMUP, (const char *[]){path, ccz_run_code_name(code)}, us(took_ns), 1);
    pthread_mutex_unlock(&m->lock);
}

void ccz_serve_metrics_load(struct ccz_serve_metrics *m, const char *path, bool ok, int64_t took_ns)
{
    pthread_mutex_lock(&m->lock);
    add(m, LOAD_ATTEMPTS, (const char *[]){path, ok ? "success" : "fail"}, 1);
    if (ok)
        add(m, LOAD_LATENCY, &path, (uint64_t)(took_ns / 1000));
    pthread_mutex_unlock(&m->lock);
}

/* ------------------------------------------------------------------------ text */

/* "/a/b_c" is ":a:b_c" there. */
static void put_name(struct ccz_buf *out, const char *path)
{
    for (; *path; path++)
        ccz_buf_u8(out, *path == '/' ? ':' : (uint8_t)*path);
}

static void put_value(struct ccz_buf *out, const char *value)
{
    for (; *value; value++)
        if (*value == '\n')
            ccz_buf_put_str(out, "\\n");
        else {
            if (*value == '\\' || *value == '"')
                ccz_buf_u8(out, '\\');
            ccz_buf_u8(out, (uint8_t)*value);
        }
}

/* name="value",..: without braces; true if there are any. */
static bool put_labels(struct ccz_buf *out, const struct series *s)
{
    const char *value = s->key;
    const struct metric_info *info = &metrics[s->metric];
    for (size_t i = 0; i < LABELS_MAX && info->labels[i]; i++) {
        ccz_buf_printf(out, "%s%s=\"", i ? "," : "", info->labels[i]);
        put_value(out, value);
        ccz_buf_u8(out, '"');
        value += strlen(value) + 1;
    }
    return info->labels[0] != NULL;
}

static void put_line(struct ccz_buf *out, const struct series *s, const char *suffix)
{
    put_name(out, metrics[s->metric].path);
    ccz_buf_printf(out, "%s{", suffix);
}

static void put_histogram(struct ccz_buf *out, const struct ccz_serve_metrics *m,
                          const struct series *s)
{
    uint64_t cumulative = 0;
    size_t len = metrics[s->metric].bounds_len;
    for (size_t b = 0; b <= len; b++) {
        cumulative += s->in_bucket[b];
        put_line(out, s, "_bucket");
        if (put_labels(out, s))
            ccz_buf_u8(out, ',');
        if (b < len)
            ccz_buf_printf(out, "le=\"%.6g\"} %" PRIu64 "\n", m->bounds[s->metric][b], cumulative);
        else
            ccz_buf_printf(out, "le=\"+Inf\"} %" PRIu64 "\n", cumulative);
    }
    put_line(out, s, "_sum");
    (void)put_labels(out, s);
    ccz_buf_printf(out, "} %.15g\n", s->sum);
    put_line(out, s, "_count");
    (void)put_labels(out, s);
    ccz_buf_printf(out, "} %" PRIu64 "\n", s->count);
}

static void put_metric(struct ccz_buf *out, const struct ccz_serve_metrics *m, enum metric metric)
{
    ccz_buf_put_str(out, "# TYPE ");
    put_name(out, metrics[metric].path);
    ccz_buf_put_str(out, metrics[metric].kind == COUNTER ? " counter\n" : " histogram\n");
    for (const struct series *s = m->first[metric]; s; s = s->next_of_all) {
        if (metrics[metric].kind == HISTOGRAM) {
            put_histogram(out, m, s);
            continue;
        }
        put_line(out, s, "");
        (void)put_labels(out, s);
        ccz_buf_printf(out, "} %" PRIu64 "\n", s->count);
    }
}

struct queue_row {
    char name[CCZ_SCHED_NAME_SIZE_MAX + 1];
    uint64_t fields[3];
};

/* With the scheduler's lock held: copied, to be written afterwards. */
static void keep_queue(void *arg, const struct ccz_sched_model_stats *q)
{
    struct queue_row row = {
        .fields = {q->waiting, q->waiting_bytes, (uint64_t)(q->service_ns / 1000)}};
    memcpy(row.name, q->name, strlen(q->name));
    ccz_buf_put(arg, &row, sizeof(row));
}

static void put_queues(struct ccz_buf *out, struct ccz_sched *s)
{
    static const char *const gauges[] = {"cczoo_serve_queue_depth", "cczoo_serve_queue_bytes",
                                         "cczoo_serve_service_time_us"};
    CCZ_AUTO_BUF rows;
    ccz_buf_init(&rows, (CCZ_SCHED_MODELS_MAX + 1) * sizeof(struct queue_row));
    ccz_sched_models(s, keep_queue, &rows);
    out->bad = out->bad || rows.bad;
    for (int i = 0; i < 3; i++) {
        ccz_buf_printf(out, "# TYPE %s gauge\n", gauges[i]);
        for (size_t at = 0; at < ccz_buf_span(&rows).size; at += sizeof(struct queue_row)) {
            struct queue_row row;
            memcpy(&row, rows.ptr + at, sizeof(row));
            ccz_buf_printf(out, "%s{model_name=\"", gauges[i]);
            put_value(out, row.name);
            ccz_buf_printf(out, "\"} %" PRIu64 "\n", row.fields[i]);
        }
    }
}

static void put_sched(struct ccz_buf *out, struct ccz_sched *s)
{
    struct ccz_sched_stats st;
    ccz_sched_stats(&st, s);
    const struct {
        const char *name;
        uint64_t value;
    } counters[] = {
        {"done_total", st.done},
        {"refused_full_total", st.refused_full},
        {"refused_drain_total", st.refused_drain},
        {"expired_total", st.expired},
        {"cancelled_total", st.cancelled},
        {"inline_total", st.inline_done},
        {"batches_total", st.batches},
        {"batched_total", st.batched_jobs},
        {"retried_total", st.retried},
        {"wakes_total", st.wakes},
    };
    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
        ccz_buf_printf(out, "# TYPE cczoo_serve_%s counter\ncczoo_serve_%s %" PRIu64 "\n",
                       counters[i].name, counters[i].name, counters[i].value);
    ccz_buf_printf(out, "# TYPE cczoo_serve_running gauge\ncczoo_serve_running %zu\n", st.running);
    put_queues(out, s);
}

void ccz_serve_metrics_put(struct ccz_serve_metrics *m, struct ccz_sched *s, struct ccz_buf *out)
{
    pthread_mutex_lock(&m->lock);
    for (int i = 0; i < METRICS_LEN; i++)
        put_metric(out, m, (enum metric)i);
    ccz_buf_printf(out,
                   "# TYPE cczoo_serve_metrics_dropped_total counter\n"
                   "cczoo_serve_metrics_dropped_total %" PRIu64 "\n",
                   m->dropped);
    pthread_mutex_unlock(&m->lock);
    if (s)
        put_sched(out, s);
}

/* The path, or the name that Prometheus sees: they differ in '/' and ':'. */
static bool same_name(const char *path, struct ccz_span name)
{
    if (strlen(path) != name.size)
        return false;
    for (size_t i = 0; i < name.size; i++)
        if ((name.ptr[i] == ':' ? '/' : (char)name.ptr[i]) != path[i])
            return false;
    return true;
}

int64_t ccz_serve_metrics_value(void *arg, struct ccz_span name)
{
    struct ccz_serve_metrics *m = arg;
    uint64_t sum = 0;
    pthread_mutex_lock(&m->lock);
    for (int i = 0; i < METRICS_LEN; i++)
        if (same_name(metrics[i].path, name))
            for (const struct series *s = m->first[i]; s; s = s->next_of_all)
                sum += s->count;
    pthread_mutex_unlock(&m->lock);
    return (int64_t)sum;
}

/* ------------------------------------------------------------------------ new, free */

ccz_rc ccz_serve_metrics_new(struct ccz_serve_metrics **out, struct ccz_err *err)
{
    struct ccz_serve_metrics *m = *out = calloc(1, sizeof(*m));
    if (!m)
        return ccz_fail(err, CCZ_E_NOMEM, "serve:metrics", 0, "out of memory");
    pthread_mutex_init(&m->lock, NULL);
    for (int i = 0; i < METRICS_LEN; i++) { /* multiplied up, as there: the last digits agree */
        double bound = metrics[i].first;
        for (size_t b = 0; b < metrics[i].bounds_len; b++, bound *= metrics[i].growth)
            m->bounds[i][b] = bound;
    }
    return CCZ_OK;
}

void ccz_serve_metrics_free(struct ccz_serve_metrics *m)
{
    if (!m)
        return;
    for (int i = 0; i < METRICS_LEN; i++)
        for (struct series *s = m->first[i], *next; s; s = next) {
            next = s->next_of_all;
            free(s);
        }
    pthread_mutex_destroy(&m->lock);
    free(m);
}
