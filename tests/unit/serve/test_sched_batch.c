/* SPDX-License-Identifier: Apache-2.0 */
/* Batches, over models in C whose rows do not look at each other: what a job is answered must not depend on its company. */
#define _DEFAULT_SOURCE
#include "serve/sched_kit.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>

enum { MS = 1000000, JOBS = 64, RUNS = 256 };

/* ------------------------------------------------------------------------ the model */

static struct ccz_engine *engine;
static struct ccz_model *model;
static int64_t run_rows[RUNS]; /* dimension 0 of each run's first input */
static uint32_t run_timeout[RUNS];
static atomic_int runs;
static void (*_Atomic while_running)(void);
static int64_t clock_ns;
static int64_t run_takes_ns; /* of that clock */

static void put(struct ccz_buf *out, const char *name, struct ccz_tensor_spec in,
                struct ccz_tensor_spec y, struct ccz_tensor_spec z)
{
    const struct ccz_tensor_spec outs[] = {y, z};
    ccz_signature_put(
        out, &(struct ccz_signature_spec){
                 .name = name, .in = &in, .in_len = 1, .out = outs, .out_len = z.name ? 2 : 1});
}

static ccz_rc load(void **m, struct ccz_buf *out, void *arg, const struct ccz_model_cfg *cfg,
                   struct ccz_err *err)
{
    static int any;
    static const int64_t rows[] = {-1, -1}, one[] = {1, -1};
    const struct ccz_tensor_spec x = {.name = "x", .dtype = CCZ_DT_FLOAT, .rank = 2, .dims = rows},
                                 y = {.name = "y", .dtype = CCZ_DT_FLOAT, .rank = -1}, none = {0};
    (void)arg, (void)cfg, (void)err;
    *m = &any;
    put(out, "rows", x, y,
        (struct ccz_tensor_spec){.name = "z", .dtype = CCZ_DT_FLOAT, .rank = -1});
    put(out, "scalar", x, y, none);
    put(out, "shrink", x, y, none);
    put(out, "any", (struct ccz_tensor_spec){.name = "x", .dtype = CCZ_DT_FLOAT, .rank = -1}, y,
        none);
    put(out, "one",
        (struct ccz_tensor_spec){.name = "x", .dtype = CCZ_DT_FLOAT, .rank = 2, .dims = one}, y,
        none);
    put(out, "strings", (struct ccz_tensor_spec){.name = "x", .dtype = CCZ_DT_STRING, .rank = -1},
        (struct ccz_tensor_spec){.name = "y", .dtype = CCZ_DT_STRING, .rank = -1}, none);
    return CCZ_OK;
}

static void unload(void *m)
{
    (void)m;
}

static bool give(struct ccz_tensor *t, struct ccz_result *r, int rank, int64_t d0, int64_t d1)
{
    size_t size = t->dtype == CCZ_DT_STRING ? sizeof(struct ccz_span) : 4;
    t->rank = rank;
    t->dims[0] = d0, t->dims[1] = d1;
    t->len = (size_t)(rank > 0 ? d0 : 1) * (size_t)(rank > 1 ? d1 : 1);
    void *p = ccz_result_alloc(r, t->len ? t->len : 1, size);
    if (t->dtype == CCZ_DT_STRING)
        t->strings = p;
    else
        t->data = CCZ_SPAN(p, t->len * size);
    return p != NULL;
}

/* y = a sum whose order is fixed, and whose bits show it; z = x with each row turned round. */
static ccz_rc sums(struct ccz_tensor *out, struct ccz_result *r, struct ccz_run_status *st,
                   const struct ccz_tensor *x, bool both)
{
    int64_t cols = x->rank > 1 ? x->dims[1] : 1;
    const float *v = (const float *)(const void *)x->data.ptr;
    CHECK(give(&out[0], r, 1, x->dims[0], 0) && (!both || give(&out[1], r, 2, x->dims[0], cols)));
    for (int64_t i = 0; i < x->dims[0]; i++) {
        float sum = 0;
        for (int64_t k = 0; k < cols; k++) {
            float a = v[i * cols + k];
            if (isnan(a))
                return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "row with a NaN");
            sum = sum * 1.0001f + a / (float)(k + 3);
            if (both)
                ((float *)(uintptr_t)out[1].data.ptr)[i * cols + cols - 1 - k] = a;
        }
        ((float *)(uintptr_t)out[0].data.ptr)[i] = sum;
    }
    return CCZ_OK;
}

static ccz_rc run(struct ccz_tensor *out, struct ccz_result *r, struct ccz_run_status *st, void *m,
                  const struct ccz_signature *sig, const struct ccz_tensor *const *in,
                  uint32_t timeout_ms)
{
    const struct ccz_tensor *x = in[0];
    int n = atomic_fetch_add(&runs, 1);
    (void)m;
    if (n < RUNS) {
        run_rows[n] = x->dims[0];
        run_timeout[n] = timeout_ms;
    }
    void (*then)(void) = atomic_exchange(&while_running, NULL); /* once */
    if (then)
        then();
    if (run_takes_ns)
        clock_ns += run_takes_ns;
    if (strcmp(sig->name, "scalar") == 0)
        return give(&out[0], r, 0, 1, 1) ? CCZ_OK : CCZ_E_NOMEM;
    if (strcmp(sig->name, "shrink") == 0)
        return give(&out[0], r, 1, x->dims[0] / 2, 1) ? CCZ_OK : CCZ_E_NOMEM;
    if (strcmp(sig->name, "strings") != 0)
        return sums(out, r, st, x, strcmp(sig->name, "rows") == 0);
    CHECK(give(&out[0], r, 1, x->dims[0], 1));
    for (size_t i = 0; i < x->len; i++) { /* twice the text */
        uint8_t *p = ccz_result_alloc(r, 2 * x->strings[i].size + 1, 1);
        CHECK(p);
        memcpy(p, x->strings[i].ptr, x->strings[i].size);
        memcpy(p + x->strings[i].size, x->strings[i].ptr, x->strings[i].size);
        ((struct ccz_span *)(uintptr_t)out[0].strings)[i] = CCZ_SPAN(p, 2 * x->strings[i].size);
    }
    return CCZ_OK;
}

static const struct ccz_engine_ops engine_ops = {
    .name = "rows", .load = load, .unload = unload, .run = run};

/* ------------------------------------------------------------------------ jobs */

static struct kit_job jobs[JOBS];
static float values[JOBS][1024];
static struct ccz_span texts[JOBS][8];
static char joined_strings[JOBS][256]; /* output strings, each with a '|' */

static void note_strings(struct kit_job *k)
{
    char *at = joined_strings[k - jobs];
    *at = '\0';
    for (size_t i = 0; k->out_len && k->out.strings && i < k->out.len; i++)
        at +=
            sprintf(at, "%.*s|", (int)k->out.strings[i].size, (const char *)k->out.strings[i].ptr);
}

static const struct ccz_sched_job_ops ops = {kit_cancelled, kit_decode, NULL, kit_finish,
                                             kit_release};

static struct kit_job *job(size_t i, const char *sig, int64_t rows, int64_t cols)
{
    jobs[i] = (struct kit_job){
        .job = {.ops = &ops, .size = 10, .model = model},
        .on_finish = note_strings,
        .req = {.sig = ccz_model_signature(model, sig), .in = jobs[i].in, .in_len = 1}};
    size_t len = (size_t)(rows * cols);
    CHECK(len <= 1024 && jobs[i].req.sig);
    for (size_t k = 0; k < len; k++)
        values[i][k] = (float)((int)((i * 7919 + k * 104729) % 2003) - 1000) / 7.0f;
    jobs[i].in[0] = (struct ccz_tensor){.name = "x",
                                        .dtype = CCZ_DT_FLOAT,
                                        .rank = 2,
                                        .dims = {rows, cols},
                                        .len = len,
                                        .data = CCZ_SPAN(values[i], len * 4)};
    return &jobs[i];
}

static struct kit_job *text_job(size_t i, size_t rows)
{
    static const char *const words[] = {"alpha", "", "be", "gamma-delta", "e"};
    job(i, "strings", 0, 0);
    for (size_t k = 0; k < rows; k++)
        texts[i][k] = ccz_span_str(words[(i + k) % 5]);
    jobs[i].in[0] = (struct ccz_tensor){.name = "x",
                                        .dtype = CCZ_DT_STRING,
                                        .rank = 1,
                                        .dims = {(int64_t)rows},
                                        .len = rows,
                                        .strings = texts[i]};
    return &jobs[i];
}

/* What the job is answered is bit for bit what the model says to it alone. */
static void check_answer(struct kit_job *k)
{
    struct ccz_result *r = NULL;
    CHECK(k->released == 1 && k->st.code == CCZ_RUN_OK);
    int before = atomic_load(&runs);
    CHECK(ccz_model_run(&r, NULL, model, &k->req, NULL) == CCZ_OK);
    atomic_store(&runs, before);
    const struct ccz_tensor *want = ccz_result_at(r, 0);
    CHECK(k->out_len == ccz_result_len(r) && k->out.rank == want->rank && k->out.len == want->len &&
          k->out.dtype == want->dtype &&
          memcmp(k->out.dims, want->dims, (size_t)want->rank * sizeof(want->dims[0])) == 0 &&
          k->out.data.size == want->data.size &&
          (!want->data.size || memcmp(k->bytes, want->data.ptr, want->data.size) == 0));
    if (want->strings) {
        char text[256] = "", *at = text;
        for (size_t i = 0; i < want->len; i++)
            at += sprintf(at, "%.*s|", (int)want->strings[i].size,
                          (const char *)want->strings[i].ptr);
        CHECK(strcmp(text, joined_strings[k - jobs]) == 0);
    }
    ccz_result_free(r);
}

static void failed_with(const struct kit_job *k, enum ccz_run_code code, const char *text)
{
    if (k->st.code != code || strcmp(k->st.msg, text) != 0)
        fprintf(stderr, "got %d: %s\n", (int)k->st.code, k->st.msg);
    CHECK(k->released == 1 && k->out_len == 0 && k->st.code == code &&
          strcmp(k->st.msg, text) == 0);
}

static struct ccz_sched *sched;
static struct ccz_sched_batch_info told; /* of the last batch */
static int64_t told_padding, told_rows0, told_queued0;

static void on_batch(void *arg, const struct ccz_sched_batch_info *b)
{
    CHECK(arg == &told);
    told = *b;
    told_padding = b->padded_rows - b->rows;
    told_rows0 = b->rows_each[0];
    told_queued0 = b->queued_ns[0];
}

static struct ccz_sched *new_sched(struct ccz_sched_batching b)
{
    struct ccz_sched *s = NULL;
    struct ccz_err err = {0};
    if (!model) {
        CHECK(ccz_engine_custom(&engine, &engine_ops, NULL, &err) == CCZ_OK);
        CHECK(ccz_model_load(&model, engine,
                             &(struct ccz_model_cfg){.files = &(struct ccz_model_file){"m", 0},
                                                     .files_len = 1},
                             &err) == CCZ_OK);
    }
    b.on = true;
    clock_ns = 1000 * (int64_t)MS;
    CHECK(ccz_sched_new(&s,
                        &(struct ccz_sched_cfg){.batching = b,
                                                .now_ns = kit_now,
                                                .clock_arg = &clock_ns,
                                                .on_batch = on_batch,
                                                .arg = &told},
                        &err) == CCZ_OK);
    CHECK(ccz_sched_model(s, "A", &(struct ccz_sched_model_cfg){0}, &err) == CCZ_OK);
    atomic_store(&runs, 0);
    return sched = s;
}

static void step_all(struct ccz_sched *s)
{
    while (ccz_sched_step(s))
        ;
}

/* ------------------------------------------------------------------------ forming */

static void test_identical(void)
{
    CCZ_AUTO(ccz_sched) s = new_sched((struct ccz_sched_batching){.max_batch_size = 40});
    static const size_t only_z[] = {1};
    for (size_t i = 0; i < 24; i++) { /* four kinds, among each other */
        struct kit_job *k = i % 4 == 0 ? text_job(i, 1 + i % 5)
                                       : job(i, "rows", 1 + (int64_t)i % 5, i % 4 == 1 ? 7 : 3);
        if (i % 4 == 3)
            k->req.fetch = only_z, k->req.fetch_len = 1;
        kit_submit(s, "A", k);
    }
    step_all(s);
    for (size_t i = 0; i < 24; i++)
        check_answer(&jobs[i]);
    CHECK(runs == 4 && kit_stats(s).batches == 4 && kit_stats(s).batched_jobs == 24 &&
          kit_stats(s).retried == 0);
    CHECK(jobs[0].job.times.batch_rows == 16 && jobs[0].job.times.batch_rows == run_rows[0]);
    CHECK(told.inputs == 1 && strcmp(told.model, "A") == 0 && told.jobs == 6);
}

static void test_timeout(void)
{
    CCZ_AUTO(ccz_sched)
    s = new_sched((struct ccz_sched_batching){.max_batch_size = 8, .batch_timeout_us = 5000});
    kit_submit(s, "A", job(0, "rows", 2, 3));
    CHECK(ccz_sched_step(s) && !ccz_sched_step(s) && runs == 0);
    struct ccz_sched_stats st = kit_stats(s);
    CHECK(st.waiting == 1 && st.waiting_bytes == 10 && jobs[0].finished == 0);
    clock_ns += 5 * MS - 1;
    CHECK(!ccz_sched_step(s));
    kit_submit(s, "A", job(1, "rows", 1, 3)); /* joins, and does not make it wait longer */
    CHECK(ccz_sched_step(s) && !ccz_sched_step(s));
    clock_ns += 1;
    CHECK(ccz_sched_step(s) && runs == 1 && run_rows[0] == 3 && told_queued0 == 5 * MS);
    CHECK(jobs[0].job.times.queued_ns == 5 * MS && jobs[1].job.times.queued_ns == 1);
    check_answer(&jobs[0]);
    check_answer(&jobs[1]);

    for (size_t i = 0; i < 5;
         i++) /* full: not waited for. What does not fit any more closes it, too. */
        kit_submit(s, "A", job(i, "rows", i < 2 ? 4 : 3, 3));
    step_all(s);
    CHECK(runs == 3 && run_rows[1] == 8 && run_rows[2] == 6 && jobs[4].finished == 0);
    clock_ns += 5 * MS;
    step_all(s);
    CHECK(runs == 4 && run_rows[3] == 3 && kit_stats(s).waiting == 0);
}

static void later(void)
{
    clock_ns += 3 * MS;
}

/* With a timeout of 0, jobs that are there are decoded first, for no longer than a run takes. */
static void test_greedy(void)
{
    CCZ_AUTO(ccz_sched) s = new_sched((struct ccz_sched_batching){.max_batch_size = 100});
    while_running = later; /* the measured run: 3 ms */
    kit_submit(s, "A", job(0, "rows", 1, 3));
    step_all(s);
    CHECK(runs == 1);
    for (size_t i = 0; i < 20; i++) {
        struct kit_job *k = job(i, "rows", 1, 3);
        k->clock = &clock_ns;
        k->decode_ns = MS / 2;
        kit_submit(s, "A", k);
    }
    step_all(s);
    CHECK(runs == 4 && run_rows[1] == 7 && run_rows[2] >= 6 &&
          run_rows[1] + run_rows[2] + run_rows[3] == 20);
}

/* Batches are charged like jobs: a model that is batched and one that is not take equal time, not equal requests. */
static void test_shares(void)
{
    CCZ_AUTO(ccz_sched) s = new_sched((struct ccz_sched_batching){.max_batch_size = 4});
    CHECK(ccz_sched_model(
              s, "B", &(struct ccz_sched_model_cfg){.batching = &(struct ccz_sched_batching){0}},
              NULL) == CCZ_OK);
    run_takes_ns = 8 * MS;
    for (size_t i = 0; i < 52; i++) /* 13 batches of A */
        kit_submit(s, "A", job(i, "rows", 1, 3));
    for (size_t i = 52; i < 64; i++)
        kit_submit(s, "B", job(i, "rows", 1, 3));
    int of_a = 0;
    while (jobs[61].released == 0)
        CHECK(ccz_sched_step(s));
    for (int i = 0; i < runs; i++)
        of_a += run_rows[i] == 4;
    CHECK(of_a >= 9 && of_a <= 11); /* against 10 of B */
    step_all(s);
    run_takes_ns = 0;
    CHECK(runs == 25);
}

/* ------------------------------------------------------------------------ padding */

static void test_padding(void)
{
    CCZ_AUTO(ccz_sched)
    s = new_sched((struct ccz_sched_batching){
        .max_batch_size = 8, .allowed_batch_sizes = {2, 4, 8}, .allowed_len = 3});
    for (size_t i = 0; i < 3; i++)
        kit_submit(s, "A", job(i, "rows", 1 + (int64_t)i % 2, 3));
    step_all(s);
    CHECK(runs == 1 && run_rows[0] == 4 && told_padding == 0);
    kit_submit(s, "A", job(3, "rows", 3, 3));
    kit_submit(s, "A", job(4, "rows", 2, 3));
    kit_submit(s, "A", text_job(5, 3)); /* alone, and padded all the same */
    step_all(s);
    CHECK(runs == 3 && run_rows[1] == 8 && run_rows[2] == 4 && told_padding == 1 &&
          told_rows0 == 3);
    for (size_t i = 0; i < 6; i++)
        check_answer(&jobs[i]);
    CHECK(jobs[3].job.times.batch_rows == 5);
}

/* Shorter rows are filled up with the tensor's first element; only then do they share a batch. */
static void test_variable(void)
{
    for (int pad = 0; pad < 2; pad++) {
        CCZ_AUTO(ccz_sched)
        s = new_sched((struct ccz_sched_batching){.pad_variable_length_inputs = pad == 1});
        static const size_t z[] = {1};
        for (size_t i = 0; i < 3; i++) {
            struct kit_job *k = job(i, "rows", 2, (int64_t[]){2, 4, 3}[i]);
            k->req.fetch = z, k->req.fetch_len = 1;
            kit_submit(s, "A", k);
        }
        kit_submit(s, "A", job(3, "rows", 2, 0)); /* nothing to fill with: not with the others */
        step_all(s);
        CHECK(runs == (pad ? 2 : 4) && jobs[3].released);
        for (size_t i = 0; i < 3; i++) {
            int64_t cols = jobs[i].in[0].dims[1];
            const float *out = (const float *)(const void *)jobs[i].bytes;
            if (!pad)
                check_answer(&jobs[i]);
            CHECK(jobs[i].out.dims[0] == 2 && jobs[i].out.dims[1] == (pad ? 4 : cols));
            for (int64_t r = 0; pad && r < 2; r++)
                for (int64_t c = 0; c < 4; c++) /* z turns rows round: padding comes first */
                    CHECK(out[r * 4 + 3 - c] == values[i][c < cols ? r * cols + c : 0]);
        }
    }
}

/* Three dimensions, each shorter in one of them. */
static void test_variable_3d(void)
{
    CCZ_AUTO(ccz_sched)
    s = new_sched((struct ccz_sched_batching){.pad_variable_length_inputs = true});
    static const int64_t dims[2][3] = {{1, 2, 3}, {2, 3, 2}};
    for (size_t i = 0; i < 2; i++) {
        struct kit_job *k = job(i, "any", dims[i][0], dims[i][1] * dims[i][2]);
        k->in[0].rank = 3;
        memcpy(k->in[0].dims, dims[i], sizeof(dims[i]));
        kit_submit(s, "A", k);
    }
    step_all(s);
    CHECK(runs == 1 && run_rows[0] == 3);
    /* "any" sums dims[1] of the columns that it sees as a matrix [3, 3]: its first line of each row of [3, 3, 3] */
    const float *y = (const float *)(const void *)jobs[1].bytes;
    float want[3];
    for (int row = 0; row < 3;
         row++) { /* rows 0..2 of the flat 3-column view: all of job 0's padded row */
        float line[3];
        for (int c = 0; c < 3; c++)
            line[c] = row < 2 ? values[0][row * 3 + c] : values[0][0];
        want[row] = 0;
        for (int c = 0; c < 3; c++)
            want[row] = want[row] * 1.0001f + line[c] / (float)(c + 3);
    }
    CHECK(memcmp(jobs[0].bytes, &want[0], 4) == 0 && memcmp(&y[0], &want[1], 4) == 0 &&
          memcmp(&y[1], &want[2], 4) == 0);
}

/* ------------------------------------------------------------------------ large jobs */

static void test_split(void)
{
    CCZ_AUTO(ccz_sched)
    s = new_sched((struct ccz_sched_batching){.max_batch_size = 30,
                                              .enable_large_batch_splitting = true,
                                              .max_execution_batch_size = 8,
                                              .batch_timeout_us = 1000});
    kit_submit(s, "A", job(0, "rows", 3, 5));
    kit_submit(s, "A", job(1, "rows", 25, 5)); /* 5 + 8 + 8 + 4 */
    kit_submit(s, "A", job(2, "rows", 2, 5));
    kit_submit(s, "A", job(3, "rows", 2, 5)); /* exactly full */
    step_all(s);
    CHECK(runs == 4 && run_rows[0] == 8 && run_rows[1] == 8 && run_rows[2] == 8 &&
          run_rows[3] == 8);
    for (size_t i = 0; i < 4; i++)
        check_answer(&jobs[i]);
    CHECK(kit_stats(s).batched_jobs == 7 && kit_stats(s).done == 4 && kit_stats(s).waiting == 0 &&
          kit_stats(s).waiting_bytes == 0);
    struct kit_job *k = text_job(4, 8); /* strings are gathered, too */
    kit_submit(s, "A", text_job(5, 3));
    kit_submit(s, "A", k);
    step_all(s);
    clock_ns += MS;
    step_all(s);
    CHECK(runs == 6);
    check_answer(&jobs[4]);
    check_answer(&jobs[5]);

    kit_submit(s, "A", job(0, "rows", 31, 5));
    kit_submit(s, "A", job(1, "rows", 20, 5)); /* one of its parts is bad, and nobody else's */
    kit_submit(s, "A", job(2, "rows", 1, 5));
    values[1][17 * 5] = NAN;
    step_all(s);
    clock_ns += MS;
    step_all(s);
    failed_with(&jobs[0], CCZ_RUN_INVALID_ARGUMENT,
                "Task size 31 is larger than maximum input batch size 30");
    failed_with(&jobs[1], CCZ_RUN_INVALID_ARGUMENT, "row with a NaN");
    check_answer(&jobs[2]);
    CHECK(kit_stats(s).waiting == 0);
}

/* ------------------------------------------------------------------------ failures */

static void test_singly(void)
{
    CCZ_AUTO(ccz_sched)
    s = new_sched((struct ccz_sched_batching){.allowed_batch_sizes = {4, 1000}, .allowed_len = 2});
    for (size_t i = 0; i < 5; i++)
        kit_submit(s, "A", job(i, "rows", 2, 3));
    values[3][4] = NAN;
    step_all(s);
    CHECK(runs == 6 && kit_stats(s).retried == 5 && run_rows[0] == 1000 && run_rows[1] == 4);
    for (size_t i = 0; i < 5; i++)
        if (i != 3)
            check_answer(&jobs[i]);
    failed_with(&jobs[3], CCZ_RUN_INVALID_ARGUMENT, "row with a NaN");

    kit_submit(s, "A", job(0, "rows", 2, 3)); /* alone it is run once */
    values[0][0] = NAN;
    step_all(s);
    CHECK(runs == 7 && kit_stats(s).retried == 5);
    failed_with(&jobs[0], CCZ_RUN_INVALID_ARGUMENT, "row with a NaN");
}

static void test_outputs(void)
{
    CCZ_AUTO(ccz_sched) s = new_sched((struct ccz_sched_batching){0});
    for (size_t i = 0; i < 4; i++)
        kit_submit(s, "A", job(i, i < 2 ? "scalar" : "shrink", 2, 3));
    step_all(s);
    for (size_t i = 0; i < 4; i++)
        failed_with(&jobs[i], CCZ_RUN_FAILED_PRECONDITION,
                    i < 2 ? "Batched output tensor has 0 dimensions"
                          : "Batched output tensor's 0th dimension does not equal the sum of the "
                            "0th dimension sizes of the input tensors");
    CHECK(runs == 2);
}

static void test_inputs(void)
{
    CCZ_AUTO(ccz_sched) s = new_sched((struct ccz_sched_batching){.max_batch_size = 4});
    struct kit_job *k = job(0, "any", 1, 1);
    k->in[0].rank = 0;
    kit_submit(s, "A", k);
    k = job(1, "rows", 2, 3);
    k->in[1] = k->in[0];
    k->in[1].dims[0] = 1;
    k->req.in_len = 2;
    kit_submit(s, "A", k);
    k = job(2, "rows", 2, 3);
    k->req.in_len = 0;
    kit_submit(s, "A", k);
    kit_submit(s, "A", job(3, "rows", 5, 3));
    kit_submit(s, "A", job(4, "one", 1, 3)); /* a batch of one by its signature: alone */
    kit_submit(s, "A", job(5, "one", 1, 3));
    kit_submit(s, "A", job(6, "rows", 0, 3)); /* no rows: alone */
    kit_submit(s, "A", job(7, "rows", 1, 3));
    jobs[7].req.copy_in = true;
    step_all(s);
    failed_with(&jobs[0], CCZ_RUN_INVALID_ARGUMENT,
                "Batching Run() input tensors must have at least one dimension");
    failed_with(&jobs[1], CCZ_RUN_INVALID_ARGUMENT,
                "Batching Run() input tensors must have equal 0th-dimension size");
    failed_with(&jobs[2], CCZ_RUN_INVALID_ARGUMENT,
                "Batching Run() must have at least one input tensor");
    failed_with(&jobs[3], CCZ_RUN_INVALID_ARGUMENT,
                "Task size 5 is larger than maximum input batch size 4");
    for (size_t i = 4; i < 8; i++)
        check_answer(&jobs[i]);
    CHECK(runs == 4 && kit_stats(s).batches == 0);
}

/* ------------------------------------------------------------------------ full */

static void fill_up(void) /* while the only batch that may run does */
{
    for (size_t i = 1; i < 8; i++)
        kit_submit(sched, "A", job(i, "rows", 3, 3));
    kit_submit(sched, "A", job(8, "any", 3, 3)); /* another signature has room of its own */
    step_all(sched);
    CHECK(runs == 1);
}

static void test_full(void)
{
    CCZ_AUTO(ccz_sched)
    s = new_sched((struct ccz_sched_batching){
        .max_batch_size = 6, .max_enqueued_batches = 3, .num_batch_threads = 1});
    while_running = fill_up;
    kit_submit(s, "A", job(0, "rows", 1, 3));
    step_all(s);
    for (size_t i = 0; i < 9; i++)
        if (i != 7)
            check_answer(&jobs[i]);
    failed_with(&jobs[7], CCZ_RUN_UNAVAILABLE,
                "The batch scheduling queue to which this task was submitted is full; currently 3 "
                "batches enqueued and max_enqueued_batches is 3");
    CHECK(runs == 5);
}

static void fill_split(void)
{
    kit_submit(sched, "A", job(1, "rows", 5, 3));
    kit_submit(sched, "A", job(2, "rows", 8, 3)); /* 7 fit */
    kit_submit(sched, "A", job(3, "rows", 7, 3));
    step_all(sched);
}

static void test_full_split(void)
{
    CCZ_AUTO(ccz_sched)
    s = new_sched((struct ccz_sched_batching){.max_batch_size = 12,
                                              .max_enqueued_batches = 3,
                                              .num_batch_threads = 1,
                                              .enable_large_batch_splitting = true,
                                              .max_execution_batch_size = 4});
    while_running = fill_split;
    kit_submit(s, "A", job(0, "rows", 1, 3));
    step_all(s);
    failed_with(&jobs[2], CCZ_RUN_UNAVAILABLE,
                "The batch scheduling queue to which this task was submitted is full; task size is "
                "8 but scheduling capacity is only 7 (num_enqueued_batches=2, "
                "max_enqueued_batches=3, open_batch_size=1, max_execution_batch_size=4)");
    check_answer(&jobs[0]);
    check_answer(&jobs[1]);
    check_answer(&jobs[3]);
    /* Before it is decoded, a job is refused in the same words. */
    CHECK(ccz_sched_model(s, "A", &(struct ccz_sched_model_cfg){.jobs_max = 1}, NULL) == CCZ_OK);
    kit_submit(s, "A", job(4, "rows", 1, 3));
    kit_refused(s, "A", job(5, "rows", 1, 3),
                "The batch scheduling queue to which this task was submitted is full");
}

/* ------------------------------------------------------------------------ nobody waits any more */

static void test_gone(void)
{
    CCZ_AUTO(ccz_sched) s = new_sched((struct ccz_sched_batching){.batch_timeout_us = 5000});
    for (size_t i = 0; i < 5; i++) {
        struct kit_job *k = job(i, "rows", 1, 3);
        k->job.deadline_ns = clock_ns + (i == 1 ? 4 : i == 2 ? 7 : 60) * MS;
        kit_submit(s, "A", k);
    }
    step_all(s);
    jobs[3].gone = true;
    clock_ns += 5 * MS;
    while_running = later;
    step_all(s);
    CHECK(runs == 1 && run_rows[0] == 3 && run_timeout[0] == 55); /* the longest that is left */
    check_answer(&jobs[0]);
    failed_with(&jobs[1], CCZ_RUN_RESOURCE_EXHAUSTED,
                "Run() timeout exceeded while waiting in batching queue");
    failed_with(&jobs[2], CCZ_RUN_DEADLINE_EXCEEDED,
                "The deadline passed while the request was run");
    failed_with(&jobs[3], CCZ_RUN_CANCELLED, "The caller went away");
    check_answer(&jobs[4]);
    CHECK(kit_stats(s).expired == 2 && kit_stats(s).cancelled == 1);
    for (size_t i = 0; i < 2; i++) { /* one without a deadline: none for all */
        kit_submit(s, "A", job(i, "rows", 1, 3));
        jobs[i].job.deadline_ns = i ? clock_ns + 90 * MS : 0;
        jobs[i].req.timeout_ms = 170 + (uint32_t)i;
    }
    step_all(s);
    clock_ns += 5 * MS;
    step_all(s);
    CHECK(runs == 2 && run_timeout[1] == 171);
}

static void test_drain(void)
{
    for (int grace = 0; grace < 2; grace++) {
        CCZ_AUTO(ccz_sched)
        s = new_sched((struct ccz_sched_batching){.max_batch_size = 20,
                                                  .batch_timeout_us = 5000,
                                                  .enable_large_batch_splitting = true,
                                                  .max_execution_batch_size = 4});
        kit_submit(s, "A", job(0, "rows", 1, 3));
        kit_submit(s, "B", job(1, "rows", 2, 3)); /* B is not told: the parameters of cfg */
        kit_submit(s, "A", job(2, "rows", 13, 3));
        for (int i = 0; i < 3; i++)
            CHECK(ccz_sched_step(s));
        kit_submit(s, "A", job(3, "rows", 1, 3));
        CHECK(ccz_sched_drain(s, grace * 60000) == (grace == 1));
        for (size_t i = 0; i < 4; i++)
            if (grace)
                check_answer(&jobs[i]);
            else if (jobs[i].st.code != CCZ_RUN_OK)
                failed_with(&jobs[i], CCZ_RUN_UNAVAILABLE, "The server is shutting down");
        CHECK(kit_stats(s).done == 4 && kit_stats(s).waiting == 0 &&
              kit_stats(s).waiting_bytes == 0);
    }
}

/* ------------------------------------------------------------------------ parameters */

static void test_parameters(void)
{
    static const struct {
        struct ccz_sched_batching b;
        const char *msg; /* NULL = fine */
    } cases[] = {
        {{0}, NULL},
        {{.max_batch_size = -1}, "max_batch_size: got -1, expected a number of 0 or more"},
        {{.batch_timeout_us = -5}, "batch_timeout_micros: got -5, expected a number of 0 or more"},
        {{.max_enqueued_batches = -1},
         "max_enqueued_batches: got -1, expected a number of 0 or more"},
        {{.num_batch_threads = -1}, "num_batch_threads: got -1, expected a number of 0 or more"},
        {{.max_execution_batch_size = 5},
         "max_execution_batch_size: got 5, expected 0 without enable_large_batch_splitting"},
        {{.max_execution_batch_size = 5, .max_batch_size = 4, .enable_large_batch_splitting = true},
         "max_execution_batch_size: got 5, expected at most max_batch_size"},
        {{.allowed_batch_sizes = {2, 2}, .allowed_len = 2, .max_batch_size = 2},
         "allowed_batch_sizes: got 2, expected entries that increase"},
        {{.allowed_batch_sizes = {0, 2}, .allowed_len = 2, .max_batch_size = 2},
         "allowed_batch_sizes: got 0, expected entries that increase"},
        {{.allowed_batch_sizes = {2, 3}, .allowed_len = 2, .max_batch_size = 4},
         "allowed_batch_sizes: got 3, expected the last entry to be max_batch_size (with "
         "splitting: "
         "max_execution_batch_size)"},
        {{.allowed_batch_sizes = {2, 3},
          .allowed_len = 2,
          .max_batch_size = 4,
          .enable_large_batch_splitting = true,
          .max_execution_batch_size = 3},
         NULL},
        {{.allowed_batch_sizes = {1000}, .allowed_len = 1}, NULL},
        {{.allowed_len = CCZ_SCHED_ALLOWED_MAX + 1},
         "allowed_batch_sizes: got 65, expected at most 64 of them"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ccz_err err = {0};
        ccz_rc rc = ccz_sched_batching_check(&cases[i].b, &err);
        CHECK(rc == (cases[i].msg ? CCZ_E_ARG : CCZ_OK));
        if (cases[i].msg)
            CHECK(strcmp(err.where, "sched:batching") == 0 && strcmp(err.msg, cases[i].msg) == 0);
    }
    struct ccz_sched *s = NULL;
    struct ccz_err err = {0};
    CHECK(ccz_sched_new(&s, &(struct ccz_sched_cfg){.batching.max_batch_size = -1}, &err) ==
              CCZ_E_ARG &&
          !s);
    s = new_sched((struct ccz_sched_batching){0});
    CHECK(ccz_sched_model(s, "B",
                          &(struct ccz_sched_model_cfg){
                              .batching = &(struct ccz_sched_batching){.num_batch_threads = -1}},
                          &err) == CCZ_E_ARG);
    CHECK(
        ccz_sched_model(s, "B", /* off for this one */
                        &(struct ccz_sched_model_cfg){.batching = &(struct ccz_sched_batching){0}},
                        &err) == CCZ_OK);
    kit_submit(s, "B", job(0, "scalar", 1, 3));
    step_all(s);
    CHECK(jobs[0].st.code == CCZ_RUN_OK && kit_stats(s).batches == 0);
    ccz_sched_free(s);
}

/* ------------------------------------------------------------------------ workers */

static void *submit_rounds(void *arg)
{
    struct kit_job *mine = arg;
    size_t first = (size_t)(mine - jobs);
    for (size_t i = 0; i < 16; i++) {
        struct ccz_run_status st;
        CHECK(ccz_sched_submit(sched, ccz_span_str(i % 2 ? "A" : "B"), &jobs[first + i].job, &st));
    }
    return NULL;
}

/* Real threads and a real clock: batches that fall due are run by workers that slept, large jobs by several at once. */
static void test_workers(void)
{
    ccz_sched_free(new_sched((struct ccz_sched_batching){0})); /* loads the model */
    const struct ccz_sched_batching b = {.on = true,
                                         .max_batch_size = 64,
                                         .batch_timeout_us = 300,
                                         .max_enqueued_batches = 1000,
                                         .enable_large_batch_splitting = true,
                                         .max_execution_batch_size = 8};
    struct ccz_sched *s = NULL;
    CHECK(ccz_sched_new(&s, &(struct ccz_sched_cfg){.workers = 3, .batching = b}, NULL) == CCZ_OK);
    sched = s;
    for (int round = 0; round < 20; round++) {
        pthread_t t[4];
        for (size_t i = 0; i < JOBS; i++)
            (void)(i % 8 == 7 ? text_job(i, 3)
                              : job(i, "rows", i % 8 == 5 ? 40 : 1 + (int64_t)i % 3, 3));
        if (round % 2)
            values[9][2] = NAN;
        for (size_t i = 0; i < 4; i++)
            CHECK(pthread_create(&t[i], NULL, submit_rounds, &jobs[16 * i]) == 0);
        for (size_t i = 0; i < 4; i++)
            CHECK(pthread_join(t[i], NULL) == 0);
        while (kit_stats(s).done < (uint64_t)JOBS * (uint64_t)(round + 1))
            sched_yield();
        for (size_t i = 0; i < JOBS; i++)
            if (round % 2 && i == 9)
                failed_with(&jobs[i], CCZ_RUN_INVALID_ARGUMENT, "row with a NaN");
            else
                check_answer(&jobs[i]);
    }
    CHECK(ccz_sched_drain(s, 60000));
    ccz_sched_free(s);
}

/* Of a model that is not batched: takes until the forming batch of another was run. */
static ccz_rc run_long(struct ccz_result **out, struct ccz_run_status *st, struct ccz_model *m,
                       const struct ccz_run_req *req)
{
    (void)st, (void)m, (void)req;
    *out = NULL;
    while (kit_stats(sched).done == 0)
        sched_yield();
    return CCZ_OK;
}

/* The worker that would wake for the batch is the one that is woken for work: another has to look at the clock. */
static void test_timekeeper(void)
{
    static const struct ccz_sched_job_ops long_ops = {kit_cancelled, kit_decode, run_long,
                                                      kit_finish, kit_release};
    ccz_sched_free(new_sched((struct ccz_sched_batching){0}));
    struct ccz_sched *s = NULL;
    CHECK(ccz_sched_new(&s, &(struct ccz_sched_cfg){.workers = 2}, NULL) == CCZ_OK);
    sched = s;
    CHECK(ccz_sched_model(
              s, "A",
              &(struct ccz_sched_model_cfg){
                  .batching = &(struct ccz_sched_batching){.on = true, .batch_timeout_us = 30000}},
              NULL) == CCZ_OK);
    kit_submit(s, "A", job(0, "rows", 1, 3));
    struct ccz_sched_stats st = kit_stats(s);
    while (st.done == 0 &&
           (st.wakes == 0 || st.running > 0 || st.waiting == 0)) { /* it waits in a batch */
        sched_yield();
        st = kit_stats(s);
    }
    job(1, "rows", 1, 3)->job.ops = &long_ops;
    kit_submit(s, "B", &jobs[1]);
    while (kit_stats(s).done < 2) /* or for ever */
        sched_yield();
    check_answer(&jobs[0]);
    CHECK(jobs[1].released == 1);
    ccz_sched_free(s);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"batch.identical", test_identical},
        {"batch.timeout", test_timeout},
        {"batch.greedy", test_greedy},
        {"batch.shares", test_shares},
        {"batch.padding", test_padding},
        {"batch.variable", test_variable},
        {"batch.variable_3d", test_variable_3d},
        {"batch.split", test_split},
        {"batch.singly", test_singly},
        {"batch.outputs", test_outputs},
        {"batch.inputs", test_inputs},
        {"batch.full", test_full},
        {"batch.full_split", test_full_split},
        {"batch.gone", test_gone},
        {"batch.drain", test_drain},
        {"batch.parameters", test_parameters},
        {"batch.workers", test_workers},
        {"batch.timekeeper", test_timekeeper},
    };
    int rc = ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    ccz_model_free(model);
    ccz_engine_free(engine);
    return rc;
}
