/* SPDX-License-Identifier: Apache-2.0 */
/* Both engines in one process with a classifier of real photos; skipped (77) where a library or the model is missing. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "engine/model_dir.h"

#include <cczoo/codec.h>

#include <math.h>

enum { SIDE = 224, CLASSES = 1000, PHOTO_SIZE = SIDE * SIDE * 3 * (int)sizeof(float) };

static void missing(const char *what, const char *how)
{
    fprintf(stderr, "skipped: %s is missing (%s)\n", what, how);
    exit(77);
}

struct classifier {
    struct ccz_engine *e;
    struct ccz_model *m;
};

static struct classifier load(const char *backend, const char *library, const char *dir,
                              const char *below)
{
    struct classifier c = {0};
    struct model_dir files;
    char path[MODEL_DIR_PATH_SIZE + 32];
    struct ccz_err err = {0};
    (void)snprintf(path, sizeof(path), "%s/%s/1", dir, below);
    CHECK(model_dir_open(&files, path));
    struct ccz_model_kind kind;
    CHECK(ccz_engine_detect(&kind, files.files, files.len, &err) == CCZ_OK &&
          strcmp(kind.backend, backend) == 0);
    struct ccz_engine_cfg cfg = {backend, library, 1, -1};
    struct ccz_model_cfg model = model_dir_cfg(&files);
    if (ccz_engine_open(&c.e, &cfg, &err) != CCZ_OK ||
        ccz_model_load(&c.m, c.e, &model, &err) != CCZ_OK) {
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
        CHECK(false);
    }
    model_dir_close(&files);
    return c;
}

/* Logits of two photos. */
static void classify(float out[2 * CLASSES], const struct classifier *c, const float *photos)
{
    const struct ccz_signature *s = ccz_model_signature(c->m, "serving_default");
    CHECK(s && s->in_len == 1 && s->in[0].rank == 4 && s->in[0].dims[0] == -1 &&
          s->in[0].dims[1] == SIDE && s->in[0].dims[3] == 3);
    CHECK(s->out_len == 2 && strcmp(s->out[0].name, "logits") == 0 &&
          strcmp(s->out[1].name, "scores") == 0 && s->out[1].dims[1] == CLASSES);
    const struct ccz_tensor in = {.name = "images",
                                  .dtype = CCZ_DT_FLOAT,
                                  .rank = 4,
                                  .dims = {2, SIDE, SIDE, 3},
                                  .len = 2 * PHOTO_SIZE / sizeof(float),
                                  .data = CCZ_SPAN(photos, 2 * PHOTO_SIZE)};
    const struct ccz_run_req req = {.sig = s, .in = &in, .in_len = 1};
    CCZ_AUTO(ccz_result) r = NULL;
    CHECK(ccz_model_run(&r, NULL, c->m, &req, NULL) == CCZ_OK);
    CHECK(ccz_result_at(r, 0)->data.size == 2 * CLASSES * sizeof(float));
    memcpy(out, ccz_result_at(r, 0)->data.ptr, 2 * CLASSES * sizeof(float));
    float sum = 0;
    for (size_t i = 0; i < CLASSES; i++)
        sum += ((const float *)(const void *)ccz_result_at(r, 1)->data.ptr)[i];
    CHECK(fabsf(sum - 1) < 1e-4f);
}

/* The five best in their order, as the exporter found them. */
static void check_top(const float *logits, const struct ccz_json *five)
{
    float last = INFINITY;
    CHECK(ccz_json_len(five) == 5);
    for (size_t k = 0; k < 5; k++) {
        float best = -INFINITY;
        int64_t class = -1, want = -2;
        for (int i = 0; i < CLASSES; i++)
            if (logits[i] < last && logits[i] > best) {
                best = logits[i];
                class = i;
            }
        CHECK(ccz_json_int(&want, ccz_json_get(ccz_json_at(five, k), "class")) && want == class);
        last = best;
    }
}

static void test_agree(void)
{
    char dir[MODEL_DIR_PATH_SIZE], tf[MODEL_DIR_PATH_SIZE], ort[MODEL_DIR_PATH_SIZE],
        path[MODEL_DIR_PATH_SIZE + 32];
    if (!tf_library(tf))
        missing("TensorFlow", "scripts/fetch-tensorflow");
    if (!ort_library(ort))
        missing("ONNX Runtime", "scripts/fetch-onnxruntime");
    if (!cache_find(dir, "models/efficientnet_lite0-*"))
        missing("EfficientNet-Lite0", "scripts/fetch-efficientnet");
    setenv("TF_CPP_MIN_LOG_LEVEL", "2", 0);
    static const char *const names[] = {"china", "flower"};
    float *photos = aligned_alloc(64, 2 * PHOTO_SIZE), logits[2][2 * CLASSES];
    CCZ_AUTO_BUF b;
    CCZ_AUTO(ccz_json) json = NULL;
    ccz_buf_init(&b, PHOTO_SIZE);
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s.f32", dir, names[i]);
        ccz_buf_clear(&b);
        CHECK(ccz_file_read(&b, path, NULL) == CCZ_OK && b.size == PHOTO_SIZE);
        memcpy((uint8_t *)photos + i * PHOTO_SIZE, b.ptr, PHOTO_SIZE);
    }
    (void)snprintf(path, sizeof(path), "%s/model.json", dir);
    ccz_buf_clear(&b);
    CHECK(ccz_file_read(&b, path, NULL) == CCZ_OK &&
          ccz_json_parse(&json, ccz_buf_span(&b), NULL) == CCZ_OK);

    struct classifier c[2] = {load("tensorflow", tf, dir, "saved_model"),
                              load("onnxruntime", ort, dir, "onnx")};
    for (size_t k = 0; k < 2; k++) {
        classify(logits[k], &c[k], photos);
        for (size_t i = 0; i < 2; i++)
            check_top(logits[k] + i * CLASSES,
                      ccz_json_get(ccz_json_get(json, "photos"), names[i]));
    }
    for (size_t i = 0; i < 2 * CLASSES; i++)
        CHECK(fabsf(logits[0][i] - logits[1][i]) < 1e-3f);
    for (size_t k = 0; k < 2; k++) {
        ccz_model_free(c[k].m);
        ccz_engine_free(c[k].e);
    }
    free(photos);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"engine.efficientnet", test_agree}};
    return ccz_test_main(tests, 1, argc, argv);
}
