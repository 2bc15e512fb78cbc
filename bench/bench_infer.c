/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What serving costs beside the model: calls with 32 images of 28x28 floats, and with 4 floats, to the echo engine,
 * which computes nothing. One tab-separated line per measurement: name, calls/s, MB/s of request
 * bytes. "split" is begin, answer and free of a task without any run.
 */
#define _DEFAULT_SOURCE
#include "../tests/unit/engine/model_build.h"

#include <cczoo/infer.h>

#include <stdlib.h>

enum { IMAGES = 32, PIXELS = 28 * 28, SMALL = 4, RUN_NS = 1000000000 };

static struct ccz_infer *serve(struct ccz_engine *e)
{
    struct model_build b;
    mb_begin(&b);
    mb_signature(&b, "serving_default");
    mb_echo(&b, "images", "scores", CCZ_DT_FLOAT, -1, NULL);
    mb_signature_end(&b, "tensorflow/serving/predict");
    struct ccz_model_cfg cfg = mb_end(&b);
    struct ccz_model *m = NULL;
    struct ccz_infer *s = NULL;
    if (ccz_model_load(&m, e, &cfg, NULL) != CCZ_OK || ccz_infer_new(&s, NULL) != CCZ_OK ||
        ccz_infer_add(s, "m", 1, &m, NULL) != CCZ_OK)
        exit(1);
    ccz_buf_free(&b.pb);
    return s;
}

static void report(const char *name, uint64_t calls, int64_t ns, size_t size)
{
    double s = (double)ns / 1e9;
    printf("%s\t%.0f\t%.0f\n", name, (double)calls / s, (double)calls * (double)size / s / 1e6);
}

static struct ccz_tensor images(const float *x)
{
    return (struct ccz_tensor){.name = "images",
                               .dtype = CCZ_DT_FLOAT,
                               .rank = 4,
                               .dims = {IMAGES, 28, 28, 1},
                               .len = IMAGES * PIXELS,
                               .data = CCZ_SPAN(x, IMAGES * PIXELS * sizeof(float))};
}

static struct ccz_tensor row(const float *x)
{
    return (struct ccz_tensor){.name = "images",
                               .dtype = CCZ_DT_FLOAT,
                               .rank = 2,
                               .dims = {1, SMALL},
                               .len = SMALL,
                               .data = CCZ_SPAN(x, SMALL * sizeof(float))};
}

static void split(struct ccz_buf *response, struct ccz_run_status *st, struct ccz_infer *s,
                  const struct ccz_infer_call *call, const struct ccz_tensor *out)
{
    struct ccz_infer_task *t = NULL;
    ccz_infer_begin_grpc(&t, response, st, s, call);
    if (!t)
        exit(1);
    ccz_infer_answer_grpc(response, st, t, out, 1);
    ccz_infer_task_free(t);
}

struct how {
    bool content, split;
};

static void bench_grpc(struct ccz_infer *s, const struct ccz_tensor *in, const char *name,
                       struct how how)
{
    struct ccz_buf req, resp;
    ccz_buf_init(&req, 1 << 24);
    ccz_buf_init(&resp, 1 << 24);
    ccz_infer_encode_predict(&req, "m", NULL, in, 1, NULL);
    ccz_infer_configure(s, &(struct ccz_infer_cfg){.tensor_content = how.content});
    const struct ccz_infer_call call = {.path = CCZ_INFER_PATH_PREDICT,
                                        .request = ccz_buf_span(&req)};
    uint64_t calls = 0;
    int64_t from = ccz_mono_ns();
    while (ccz_mono_ns() - from < RUN_NS)
        for (int i = 0; i < 16; i++, calls++) {
            struct ccz_run_status st;
            ccz_buf_clear(&resp);
            if (how.split)
                split(&resp, &st, s, &call, in);
            else
                ccz_infer_grpc(&resp, &st, s, &call);
            if (st.code != CCZ_RUN_OK)
                exit(1);
        }
    report(name, calls, ccz_mono_ns() - from, req.size);
    ccz_buf_free(&req);
    ccz_buf_free(&resp);
}

static void bench_rest(struct ccz_infer *s, const char *name, const float *x, size_t rows,
                       size_t cols)
{
    struct ccz_buf body, answer;
    ccz_buf_init(&body, 1 << 24);
    ccz_buf_init(&answer, 1 << 24);
    ccz_buf_put_str(&body, "{\"instances\":[");
    for (size_t i = 0; i < rows * cols; i++)
        ccz_buf_printf(&body, "%s%.9g%s", i % cols ? "," : (i ? ",[" : "["), (double)x[i],
                       i % cols == cols - 1 ? "]" : "");
    ccz_buf_put_str(&body, "]}");
    uint64_t calls = 0;
    int64_t from = ccz_mono_ns();
    for (; ccz_mono_ns() - from < RUN_NS; calls++) {
        struct ccz_infer_http_answer head;
        ccz_buf_clear(&answer);
        ccz_infer_rest(&answer, &head, s,
                       &(struct ccz_infer_http){.method = "POST",
                                                .path = "/v1/models/m:predict",
                                                .body = ccz_buf_span(&body)});
        if (head.status != 200)
            exit(1);
    }
    report(name, calls, ccz_mono_ns() - from, body.size);
    ccz_buf_free(&body);
    ccz_buf_free(&answer);
}

int main(void)
{
    struct ccz_engine *e = NULL;
    float *x = malloc(IMAGES * PIXELS * sizeof(float));
    if (!x || ccz_engine_open(&e, &(struct ccz_engine_cfg){.backend = "echo"}, NULL) != CCZ_OK)
        return 1;
    for (size_t i = 0; i < IMAGES * PIXELS; i++)
        x[i] = (float)(i * 31 % 256) / 255;
    struct ccz_infer *s = serve(e);
    const struct ccz_tensor many = images(x), few = row(x);
    bench_grpc(s, &many, "infer.grpc.content", (struct how){.content = true});
    bench_grpc(s, &many, "infer.grpc.typed", (struct how){0});
    bench_grpc(s, &few, "infer.grpc.small", (struct how){.content = true});
    bench_grpc(s, &few, "infer.grpc.small.split", (struct how){.content = true, .split = true});
    bench_rest(s, "infer.rest", x, IMAGES, PIXELS);
    bench_rest(s, "infer.rest.small", x, 1, SMALL);
    ccz_infer_free(s);
    ccz_engine_free(e);
    free(x);
    return 0;
}
