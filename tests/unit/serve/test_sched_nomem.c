/* SPDX-License-Identifier: Apache-2.0 */
/* A whole use with each allocation failing in turn: every job has one outcome, and what is answered is right. */
#define _DEFAULT_SOURCE
#include "nomem.h"

#include "infer/infer_kit.h"
#include "serve/sched_kit.h"

#include <cczoo/serve_metrics.h>

enum { JOBS = 5 };

static struct ccz_model *model;
static struct kit_job jobs[JOBS];
static float x[32];
static int32_t n[16];
static struct ccz_span texts[16];
static bool strings_right[JOBS];

static void look_at_strings(struct kit_job *k)
{
    bool ok = k->out_len == 1 && k->out.strings && k->out.len == k->in[0].len;
    for (size_t i = 0; ok && i < k->out.len; i++)
        ok = ccz_span_eq(k->out.strings[i], texts[i]);
    strings_right[k - jobs] = ok;
}

static const struct ccz_sched_job_ops ops = {kit_cancelled, kit_decode, NULL, kit_finish,
                                             kit_release};

static struct kit_job *job(size_t i, int64_t rows, bool strings)
{
    static const size_t first[] = {1}; /* y: outputs are sorted, m before it */
    jobs[i] = (struct kit_job){
        .job = {.ops = &ops, .size = 1, .model = model},
        .on_finish = strings ? look_at_strings : NULL,
        .req = {.sig = ccz_model_signature(model, strings ? "classes" : "serving_default"),
                .in = jobs[i].in,
                .in_len = strings ? 1 : 2}};
    if (strings) {
        jobs[i].in[0] = kit_strings(texts, 1, rows, 1);
        jobs[i].in[0].name = "inputs";
        return &jobs[i];
    }
    jobs[i].req.fetch = first, jobs[i].req.fetch_len = 1;
    jobs[i].in[0] = (struct ccz_tensor){.name = "n",
                                        .dtype = CCZ_DT_INT32,
                                        .rank = 1,
                                        .dims = {rows},
                                        .len = (size_t)rows,
                                        .data = CCZ_SPAN(n, (size_t)rows * 4)};
    jobs[i].in[1] = kit_floats(x, 2, rows, 2);
    jobs[i].in[1].name = "x";
    return &jobs[i];
}

static bool use(struct ccz_err *err)
{
    struct ccz_sched *s = NULL;
    struct ccz_serve_metrics *m = NULL;
    const struct ccz_sched_cfg cfg = {.batching = {.on = true,
                                                   .max_batch_size = 20,
                                                   .enable_large_batch_splitting = true,
                                                   .max_execution_batch_size = 4},
                                      .on_batch = ccz_serve_metrics_batch};
    bool ok = ccz_serve_metrics_new(&m, err) == CCZ_OK;
    struct ccz_sched_cfg with = cfg;
    with.arg = m;
    ok = ok && ccz_sched_new(&s, &with, err) == CCZ_OK;
    ok = ok && ccz_sched_model(s, "m", &(struct ccz_sched_model_cfg){0}, err) == CCZ_OK;
    if (ok) {
        kit_submit(s, "m", job(0, 2, false));
        kit_submit(s, "m", job(1, 9, false)); /* over four batches */
        kit_submit(s, "m", job(2, 3, false));
        kit_submit(s, "m", job(3, 2, true));
        kit_submit(s, "m", job(4, 6, true)); /* over two */
        while (ccz_sched_step(s))
            ;
        CHECK(kit_stats(s).done == JOBS && kit_stats(s).waiting == 0);
    }
    ccz_sched_free(s);
    ccz_serve_metrics_free(m);
    return ok;
}

static void test_nomem(void)
{
    static char text[16][8];
    for (int i = 0; i < 16; i++) {
        x[2 * i] = (float)i / 3, x[2 * i + 1] = (float)i;
        n[i] = i;
        snprintf(text[i], sizeof(text[i]), "t%d", i);
        texts[i] = ccz_span_str(text[i]);
    }
    model = kit_model();
    for (long k = 0;; k++) {
        struct ccz_err err = {0};
        nomem_left = k;
        bool ok = use(&err);
        const bool failed = nomem_left < 0;
        nomem_left = -1;
        if (!ok) {
            CHECK(failed && err.rc == CCZ_E_NOMEM);
            continue;
        }
        for (size_t i = 0; i < JOBS; i++) {
            CHECK(jobs[i].released == 1);
            if (jobs[i].st.code != CCZ_RUN_OK)
                CHECK(failed && jobs[i].st.code == CCZ_RUN_RESOURCE_EXHAUSTED);
            else if (i >= 3)
                CHECK(strings_right[i]);
            else
                CHECK(jobs[i].out.data.size == jobs[i].in[1].data.size &&
                      memcmp(jobs[i].bytes, x, jobs[i].out.data.size) == 0);
        }
        if (!failed) {
            CHECK(k > 20);
            break;
        }
    }
    ccz_model_free(model);
    ccz_engine_free(kit_engine);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"sched.nomem", test_nomem}};
    return nomem_openssl() ? ccz_test_main(tests, 1, argc, argv) : 1;
}
