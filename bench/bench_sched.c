/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the scheduler itself costs: jobs whose run does nothing.   bench_sched [jobs]      (1000000)
 * One thread submits, as an event loop does, with so many jobs under way at a time; workers do them. Lines, tab-separated:
 *   sched   what, workers, under way, jobs/s, CPU ns a job (all threads), sleepers woken a thousand jobs, p50 and p99 us from
 *           submit to finish
 * "step": no threads at all, what a job costs on one core. "inline": done in submit. "batch": rows of 64 floats put together
 * and run in batches of at most 32. "models": spread over 16 queues. "copy": rows of 150528 floats, batches of 8, in step mode.
 * Last, "metrics": CPU ns to count one request.
 */
#define _POSIX_C_SOURCE 200809L
#include <cczoo/serve_metrics.h>

#include "bench.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

enum { WINDOW_MAX = 1024, ROW = 64, SAMPLES = 1 << 16, IMAGE = 150528 };

struct job {
    struct ccz_sched_job job; /* first */
    struct ccz_run_req req;
    struct ccz_tensor in;
    int64_t began_ns;
    atomic_bool busy;
};

static struct job jobs[WINDOW_MAX];
static float row[IMAGE];
static int64_t took_ns[SAMPLES];
static atomic_size_t taken;
static sem_t freed;
static atomic_bool blocked; /* the submitter waits for a job to become free */
static const int64_t any[2] = {-1, -1};
static const struct ccz_tensor_info input = {
    .name = "x", .dtype = CCZ_DT_FLOAT, .rank = 2, .dims = any};
static const struct ccz_signature sig = {.name = "s", .in = &input, .in_len = 1};

static bool decode(struct ccz_sched_job *j)
{
    j->req = &((struct job *)j)->req;
    return true;
}

static ccz_rc run(struct ccz_result **out, struct ccz_run_status *st, struct ccz_model *m,
                  const struct ccz_run_req *req)
{
    (void)st, (void)m, (void)req;
    *out = NULL;
    return CCZ_OK;
}

static void finish(struct ccz_sched_job *j, const struct ccz_run_status *st,
                   const struct ccz_tensor *out, size_t len)
{
    (void)out, (void)len;
    must(st && st->code == CCZ_RUN_OK, "a job failed");
    struct job *b = (struct job *)j;
    size_t i = atomic_fetch_add_explicit(&taken, 1, memory_order_relaxed);
    if (i % 16 == 0) /* a clock is not free either */
        took_ns[i / 16 % SAMPLES] = wall_ns() - b->began_ns;
}

static void release(struct ccz_sched_job *j)
{
    atomic_store_explicit(&((struct job *)j)->busy, false, memory_order_release);
    if (atomic_exchange(&blocked, false))
        sem_post(&freed);
}

static const struct ccz_sched_job_ops ops = {
    .decode = decode, .run = run, .finish = finish, .release = release};

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

struct plan {
    const char *what;
    unsigned workers;
    size_t window;
    size_t models;
    int64_t columns;
    struct ccz_sched_cfg cfg;
};

static void set_up(const struct plan *p)
{
    for (size_t i = 0; i < p->window; i++) {
        jobs[i].in = (struct ccz_tensor){.name = "x",
                                         .dtype = CCZ_DT_FLOAT,
                                         .rank = 2,
                                         .dims = {1, p->columns},
                                         .len = (size_t)p->columns,
                                         .data = CCZ_SPAN(row, (size_t)p->columns * 4)};
        jobs[i].req = (struct ccz_run_req){.sig = &sig, .in = &jobs[i].in, .in_len = 1};
    }
    atomic_store(&taken, 0);
}

/* Waits until a job is free: spinning would take a core from the workers. */
static void wait_free(struct job *j, struct ccz_sched *s, bool step)
{
    while (atomic_load_explicit(&j->busy, memory_order_acquire)) {
        if (step) {
            must(ccz_sched_step(s), "nothing to do");
            continue;
        }
        atomic_store(&blocked, true);
        if (atomic_load(&j->busy))
            sem_wait(&freed);
        else if (!atomic_exchange(&blocked, false))
            sem_wait(&freed); /* somebody posted meanwhile */
    }
}

static void measure(const struct plan *p, size_t n)
{
    struct ccz_sched *s = NULL;
    struct ccz_sched_cfg cfg = p->cfg;
    struct ccz_run_status st;
    char names[16][2];
    bool step = p->workers == 0;
    cfg.workers = p->workers;
    set_up(p);
    must(ccz_sched_new(&s, &cfg, NULL) == CCZ_OK, "scheduler");
    for (size_t i = 0; i < p->models; i++) {
        names[i][0] = (char)('a' + i), names[i][1] = 0;
        must(ccz_sched_model(s, names[i], &(struct ccz_sched_model_cfg){0}, NULL) == CCZ_OK,
             "model");
    }
    int64_t cpu = cpu_ns(), wall = wall_ns();
    for (size_t i = 0; i < n; i++) {
        struct job *j = &jobs[i % p->window];
        wait_free(j, s, step);
        j->job = (struct ccz_sched_job){.ops = &ops, .size = 256};
        atomic_store_explicit(&j->busy, true, memory_order_relaxed);
        j->began_ns = wall_ns();
        must(ccz_sched_submit(s, CCZ_SPAN(names[i % p->models], 1), &j->job, &st), "submit");
        if (cfg.inline_max_us && i < 64) /* it has to be measured first */
            while (ccz_sched_step(s))
                ;
    }
    must(ccz_sched_drain(s, 60000), "drain");
    wall = wall_ns() - wall;
    cpu = cpu_ns() - cpu;
    struct ccz_sched_stats stats;
    ccz_sched_stats(&stats, s);
    ccz_sched_free(s);
    size_t k = n / 16 < SAMPLES ? n / 16 : SAMPLES;
    qsort(took_ns, k, sizeof(took_ns[0]), by_value);
    printf("sched\t%s\t%u\t%zu\t%.0f\t%.0f\t%.1f\t%.1f\t%.1f\n", p->what, p->workers, p->window,
           (double)n * 1e9 / (double)wall, (double)cpu / (double)n,
           (double)stats.wakes * 1e3 / (double)n, (double)took_ns[k / 2] / 1e3,
           (double)took_ns[k * 99 / 100] / 1e3);
    fflush(stdout);
}

/* What one request is counted as: four calls, between other series. */
static void measure_metrics(size_t n)
{
    struct ccz_serve_metrics *m = NULL;
    char name[64][16];
    must(ccz_serve_metrics_new(&m, NULL) == CCZ_OK, "metrics");
    for (int i = 0; i < 64; i++)
        snprintf(name[i], sizeof(name[i]), "model-%d", i);
    int64_t cpu = cpu_ns();
    for (size_t i = 0; i < n; i++) {
        const char *model = name[i % 64];
        ccz_serve_metrics_runtime(m, model, "Predict", 500000);
        ccz_serve_metrics_run(m, 500000);
        ccz_serve_metrics_latency(m, model, "Predict", false, 700000);
        ccz_serve_metrics_done(m, &(struct ccz_infer_done){.model = model, .api = "Predict"});
    }
    printf("metrics\trequest\t%.0f\n", (double)(cpu_ns() - cpu) / (double)n);
    ccz_serve_metrics_free(m);
}

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    const struct ccz_sched_batching batching = {
        .on = true, .max_batch_size = 32, .max_enqueued_batches = 1000};
    const struct ccz_sched_batching images = {.on = true, .max_batch_size = 8};
    must(n >= 1600 && sem_init(&freed, 0, 0) == 0, "jobs: 1600 or more");
    const struct plan plans[] = {
        {"step", 0, 256, 1, ROW, {0}},
        {"step-models", 0, 256, 16, ROW, {0}},
        {"inline", 0, 256, 1, ROW, {.inline_max_us = 100, .inline_share_percent = 100}},
        {"depth", 1, 256, 1, ROW, {0}},
        {"depth", 2, 256, 1, ROW, {0}},
        {"models", 2, 256, 16, ROW, {0}},
        {"one", 1, 1, 1, ROW, {0}},
        {"one", 2, 1, 1, ROW, {0}},
        {"batch-step", 0, 256, 1, ROW, {.batching = batching}},
        {"batch", 1, 256, 1, ROW, {.batching = batching}},
        {"batch", 2, 256, 1, ROW, {.batching = batching}},
        {"copy-step", 0, 32, 1, IMAGE, {.batching = images}},
    };
    for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
        measure(&plans[i], plans[i].columns == IMAGE ? n / 100 : plans[i].window == 1 ? n / 10 : n);
    measure_metrics(n);
    return 0;
}
