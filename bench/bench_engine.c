/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Examples per second of a model inside this process: what a server is compared with.
 *
 *   bench_engine [--engine NAME] [--threads N] [--intra N] [--inter N] [--batch N] [--seconds S] [--lib FILE] [--model DIR]
 *
 * --engine tensorflow (as set, with the trained image classifier) or onnxruntime; DIR/1 holds the model, whose serving_default has
 * inputs of floats with the batch in front. --threads workers call ccz_model_run() in a loop; --intra and --inter as in struct
 * ccz_engine_cfg. Without --batch: 1 and 32. One tab-separated line per measurement: name, batch, threads, intra, inter, examples/s,
 * median latency of one call in ms, CPU time of one call in the thread that makes it in ms (all there is with --intra 1 --inter -1,
 * and hardly touched by what else the machine does), engine.
 */
#define _DEFAULT_SOURCE
#include "../tests/unit/engine/model_dir.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { BATCH_MAX = 1024, THREADS_MAX = 64, SAMPLES_MAX = 1 << 20, INPUTS_MAX = 8 };

struct worker {
    struct ccz_model *model;
    const struct ccz_signature *sig;
    struct ccz_tensor in[INPUTS_MAX];
    atomic_bool *stop;
    uint64_t calls;
    float *ms;     /* of the first SAMPLES_MAX calls */
    double cpu_ms; /* of all calls */
    pthread_t thread;
};

static int fail(const char *what, const struct ccz_err *err)
{
    fprintf(stderr, "error: %s: %s: %s\n", what, err->where, err->msg);
    return 1;
}

static double cpu_ms(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct ccz_run_req req = {.sig = w->sig, .in = w->in, .in_len = w->sig->in_len};
    const double cpu_from = cpu_ms();
    while (!atomic_load(w->stop)) {
        struct ccz_err err = {0};
        CCZ_AUTO(ccz_result) r = NULL;
        int64_t from = ccz_mono_ns();
        if (ccz_model_run(&r, NULL, w->model, &req, &err) != CCZ_OK)
            exit(fail("run", &err));
        if (w->calls < SAMPLES_MAX)
            w->ms[w->calls] = (float)(ccz_mono_ns() - from) / 1e6f;
        w->calls++;
    }
    w->cpu_ms = cpu_ms() - cpu_from;
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Numbers for every input; what is open, the batch too, gets the size of the batch. */
static void make_inputs(struct worker *w, size_t batch)
{
    for (size_t i = 0; i < w->sig->in_len; i++) {
        const struct ccz_tensor_info *want = &w->sig->in[i];
        struct ccz_tensor *t = &w->in[i];
        *t = (struct ccz_tensor){.name = want->name, .dtype = want->dtype, .rank = want->rank};
        for (int k = 0; k < t->rank && k < CCZ_TENSOR_RANK_MAX; k++)
            t->dims[k] = want->dims[k] < 0 ? (int64_t)batch : want->dims[k];
        if (t->dtype != CCZ_DT_FLOAT || !ccz_tensor_len(&t->len, t->rank, t->dims))
            exit(2);
        float *x = aligned_alloc(64, (t->len * sizeof(float) + 63) / 64 * 64);
        if (!x)
            exit(1);
        for (size_t k = 0; k < t->len; k++)
            x[k] = (float)(k * 31 % 256) / 255;
        t->data = CCZ_SPAN(x, t->len * sizeof(float));
    }
}

static void measure(struct ccz_model *m, size_t batch, unsigned threads, double seconds,
                    const struct ccz_engine_cfg *cfg)
{
    static struct worker workers[THREADS_MAX];
    atomic_bool stop = false;
    for (unsigned i = 0; i < threads; i++) {
        struct worker *w = &workers[i];
        *w = (struct worker){
            .model = m, .sig = ccz_model_signature(m, "serving_default"), .stop = &stop};
        w->ms = malloc(SAMPLES_MAX * sizeof(float));
        if (!w->ms || !w->sig || w->sig->in_len > INPUTS_MAX)
            exit(1);
        make_inputs(w, batch);
    }
    int64_t from = ccz_mono_ns();
    for (unsigned i = 0; i < threads; i++)
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            exit(1);
    while ((double)(ccz_mono_ns() - from) < seconds * 1e9) {
        struct timespec t = {0, 10000000};
        nanosleep(&t, NULL);
    }
    atomic_store(&stop, true);
    uint64_t calls = 0;
    double cpu = 0;
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        calls += workers[i].calls;
        cpu += workers[i].cpu_ms;
    }
    double took = (double)(ccz_mono_ns() - from) / 1e9;
    size_t n = workers[0].calls < SAMPLES_MAX ? workers[0].calls : SAMPLES_MAX;
    qsort(workers[0].ms, n, sizeof(float), by_value);
    printf("engine.run\t%zu\t%u\t%d\t%d\t%.1f\t%.3f\t%.3f\t%s\n", batch, threads,
           cfg->intra_threads, cfg->inter_threads, (double)calls * (double)batch / took,
           n ? (double)workers[0].ms[n / 2] : 0.0, calls ? cpu / (double)calls : 0.0, cfg->backend);
    for (unsigned i = 0; i < threads; i++) {
        for (size_t k = 0; k < workers[i].sig->in_len; k++)
            free((void *)(uintptr_t)workers[i].in[k].data.ptr);
        free(workers[i].ms);
    }
}

int main(int argc, char **argv)
{
    unsigned threads = 1;
    size_t batch = 0;
    double seconds = 3;
    char lib[MODEL_DIR_PATH_SIZE] = "", dir[MODEL_DIR_PATH_SIZE] = "",
         version[MODEL_DIR_PATH_SIZE + 2];
    struct ccz_engine_cfg cfg = {
        .backend = "tensorflow", .library = lib, .intra_threads = 1, .inter_threads = -1};
    (void)trained_model(dir);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--engine") == 0)
            cfg.backend = argv[i + 1];
        else if (strcmp(argv[i], "--threads") == 0)
            threads = (unsigned)atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--intra") == 0)
            cfg.intra_threads = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--inter") == 0)
            cfg.inter_threads = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--batch") == 0)
            batch = (size_t)atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = atof(argv[i + 1]);
        else if (strcmp(argv[i], "--lib") == 0)
            (void)snprintf(lib, sizeof(lib), "%s", argv[i + 1]);
        else if (strcmp(argv[i], "--model") == 0)
            (void)snprintf(dir, sizeof(dir), "%s", argv[i + 1]);
    }
    if (!*lib)
        (void)(strcmp(cfg.backend, "onnxruntime") == 0 ? ort_library(lib) : tf_library(lib));
    if (!*lib || !*dir || threads < 1 || threads > THREADS_MAX || batch > BATCH_MAX) {
        fprintf(stderr,
                "error: no library or model (scripts/fetch-tensorflow, scripts/fetch-onnxruntime, "
                "scripts/train-model), or a bad option\n");
        return 2;
    }
    struct ccz_err err = {0};
    struct model_dir files;
    (void)snprintf(version, sizeof(version), "%s/1", dir);
    if (!model_dir_open(&files, version)) {
        fprintf(stderr, "error: cannot read %s\n", version);
        return 1;
    }
    CCZ_AUTO(ccz_engine) e = NULL;
    int64_t from = ccz_mono_ns();
    if (ccz_engine_open(&e, &cfg, &err) != CCZ_OK)
        return fail("open", &err);
    printf("engine.open\t%.0f ms\n", (double)(ccz_mono_ns() - from) / 1e6);
    CCZ_AUTO(ccz_model) m = NULL;
    struct ccz_model_cfg load = model_dir_cfg(&files);
    from = ccz_mono_ns();
    if (ccz_model_load(&m, e, &load, &err) != CCZ_OK)
        return fail("load", &err);
    printf("engine.load\t%.0f ms\n", (double)(ccz_mono_ns() - from) / 1e6);
    measure(m, batch ? batch : 1, threads, 0.5, &cfg); /* first calls build TensorFlow's executor */
    if (batch) {
        measure(m, batch, threads, seconds, &cfg);
    } else {
        measure(m, 1, threads, seconds, &cfg);
        measure(m, 32, threads, seconds, &cfg);
    }
    model_dir_close(&files);
    return 0;
}
