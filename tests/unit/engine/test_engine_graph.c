/* SPDX-License-Identifier: Apache-2.0 */
/* TensorFlow with graphs that are written here: frozen ones, and signatures that share their inputs; skipped (77) without it. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "engine/graph_build.h"
#include "engine/model_dir.h"

#define WHERE(err, text) (strcmp((err).where, (text)) == 0)

static struct ccz_engine *open_engine(void)
{
    char lib[MODEL_DIR_PATH_SIZE];
    if (!tf_library(lib)) {
        fprintf(stderr, "skipped: TensorFlow is missing (scripts/fetch-tensorflow)\n");
        exit(77);
    }
    setenv("TF_CPP_MIN_LOG_LEVEL", "3", 0);
    struct ccz_engine *e = NULL;
    struct ccz_engine_cfg cfg = {"tensorflow", lib, 1, -1};
    CHECK(ccz_engine_open(&e, &cfg, NULL) == CCZ_OK);
    return e;
}

struct files {
    struct ccz_model_file files[2];
    struct ccz_span bytes[2];
};

static ccz_rc read_at(void *arg, size_t file, uint64_t offset, void *out, size_t size,
                      struct ccz_err *err)
{
    const struct files *f = arg;
    struct ccz_span s = ccz_span_sub(f->bytes[file], (size_t)offset, size);
    if (s.size != size)
        return ccz_fail(err, CCZ_E_IO, "test:read", (int64_t)offset, "out of range");
    memcpy(out, s.ptr, size);
    return CCZ_OK;
}

static struct ccz_model_cfg frozen_cfg(struct files *f, struct ccz_span graph, const char *sidecar)
{
    *f = (struct files){.files = {{"graph.pb", graph.size}}, .bytes = {graph}};
    if (sidecar) {
        f->bytes[1] = ccz_span_str(sidecar);
        f->files[1] = (struct ccz_model_file){"signatures.json", f->bytes[1].size};
    }
    return (struct ccz_model_cfg){
        .files = f->files, .files_len = sidecar ? 2 : 1, .read_at = read_at, .arg = f};
}

static ccz_rc load_frozen(struct ccz_model **m, struct ccz_engine *e, const char *sidecar,
                          struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    struct files f;
    ccz_buf_init(&b, 1 << 16);
    gb_half_plus_two(&b);
    struct ccz_model_cfg cfg = frozen_cfg(&f, ccz_buf_span(&b), sidecar);
    return ccz_model_load(m, e, &cfg, err);
}

static const float x3[3] = {2, 4, 6};

static struct ccz_tensor input(const char *name)
{
    return (struct ccz_tensor){.name = name,
                               .dtype = CCZ_DT_FLOAT,
                               .rank = 2,
                               .dims = {1, 3},
                               .len = 3,
                               .data = CCZ_SPAN(x3, sizeof(x3))};
}

static float at(const struct ccz_tensor *t, size_t i)
{
    float v;
    CHECK(i < t->len && t->dtype == CCZ_DT_FLOAT);
    memcpy(&v, t->data.ptr + i * sizeof(v), sizeof(v));
    return v;
}

static void test_frozen(void)
{
    CCZ_AUTO(ccz_engine) e = open_engine();
    CCZ_AUTO(ccz_model) m = NULL;
    CHECK(load_frozen(&m, e, NULL, NULL) == CCZ_OK);
    const struct ccz_signature *s;
    CHECK(ccz_model_signatures(&s, m) == 1 && strcmp(s->name, "serving_default") == 0);
    CHECK(s->runnable && s->in_len == 1 && s->out_len == 2);
    CHECK(strcmp(s->in[0].name, "x") == 0 && strcmp(s->in[0].tensor_name, "x:0") == 0 &&
          s->in[0].rank == 2 && s->in[0].dims[0] == -1 && s->in[0].dims[1] == 3);
    CHECK(strcmp(s->out[0].name, "part/y") == 0 && strcmp(s->out[1].name, "z") == 0 &&
          s->out[1].dims[1] == 3); /* half is used, constants are none */
    const struct ccz_tensor in = input("x");
    const struct ccz_run_req req = {.sig = s, .in = &in, .in_len = 1};
    CCZ_AUTO(ccz_result) r = NULL;
    CHECK(ccz_model_run(&r, NULL, m, &req, NULL) == CCZ_OK);
    CHECK(at(ccz_result_at(r, 0), 2) == 5 && at(ccz_result_at(r, 1), 2) == 4);
}

static void test_frozen_sidecar(void)
{
    CCZ_AUTO(ccz_engine) e = open_engine();
    CCZ_AUTO(ccz_model) m = NULL;
    struct ccz_err err = {0};
    CHECK(load_frozen(&m, e,
                      "{\"predict\": {\"inputs\": {\"images\": \"x:0\"},"
                      " \"outputs\": {\"half\": \"half\"}}}",
                      &err) == CCZ_OK); /* a result in the middle of the graph */
    const struct ccz_signature *s = ccz_model_signature(m, "predict");
    CHECK(s && s->runnable && s->out[0].dims[1] == 3);
    const struct ccz_tensor in = input("images");
    const struct ccz_run_req req = {.sig = s, .in = &in, .in_len = 1};
    CCZ_AUTO(ccz_result) r = NULL;
    CHECK(ccz_model_run(&r, NULL, m, &req, NULL) == CCZ_OK && at(ccz_result_at(r, 0), 1) == 2);

    struct ccz_model *none = NULL;
    CHECK(load_frozen(&none, e,
                      "{\"s\": {\"inputs\": {\"x\": \"x:1\"}, \"outputs\": {\"o\": \"half\"}}}",
                      &err) == CCZ_E_FORMAT);
    CHECK(!none && WHERE(err, "engine:signatures.json") && strstr(err.msg, "x:1") && err.hint[0]);
}

static void test_frozen_refused(void)
{
    CCZ_AUTO(ccz_engine) e = open_engine();
    CCZ_AUTO_BUF b;
    struct files f;
    struct ccz_model *m = NULL;
    struct ccz_err err = {0};
    ccz_buf_init(&b, 1 << 16);
    gb_placeholder(&b, "x", 0, NULL);
    gb_const(&b, "c", 1);
    struct ccz_model_cfg cfg = frozen_cfg(&f, ccz_buf_span(&b), NULL);
    CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_FORMAT && !m &&
          WHERE(err, "engine:signature") && strstr(err.hint, "signatures.json"));
    cfg.stage = CCZ_STAGE_TMPFS;
    CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_ARG && WHERE(err, "engine:stage"));
    cfg.stage = CCZ_STAGE_MEMORY;
    gb_node(&b, "NoSuchThing", "y", "x");
    cfg = frozen_cfg(&f, ccz_buf_span(&b), NULL);
    CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_FORMAT && WHERE(err, "engine:load") &&
          strstr(err.msg, "NoSuchThing"));
    f.files[0].name = "model.onnx";
    CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_FORMAT && WHERE(err, "engine:model-files") &&
          strcmp(err.expected, "onnxruntime") == 0);
}

/* Cut anywhere, changed anywhere: an error or a model, never the end of the process. */
static void test_frozen_damaged(void)
{
    CCZ_AUTO(ccz_engine) e = open_engine();
    CCZ_AUTO_BUF b;
    struct files f;
    ccz_buf_init(&b, 1 << 16);
    gb_half_plus_two(&b);
    const size_t whole = b.size;
    struct ccz_err err = {0};
    size_t loaded = 0, refused = 0;
    for (size_t i = 0; i < whole * 9; i++) { /* 8 bits of each byte, then each length */
        struct ccz_model_cfg cfg = frozen_cfg(
            &f, i < whole * 8 ? ccz_buf_span(&b) : CCZ_SPAN(b.ptr, i - whole * 8 + 1), NULL);
        struct ccz_model *m = NULL;
        if (i < whole * 8)
            b.ptr[i / 8] ^= (uint8_t)(1u << i % 8);
        const ccz_rc rc = ccz_model_load(&m, e, &cfg, &err);
        if (i < whole * 8)
            b.ptr[i / 8] ^= (uint8_t)(1u << i % 8);
        loaded += rc == CCZ_OK;
        refused += rc != CCZ_OK && !m && err.where[0];
        ccz_model_free(m);
    }
    CHECK(loaded + refused == whole * 9 && refused > loaded);
}

/* A SavedModel without variables whose signatures share the placeholder, as those of TensorFlow 1 do. */
static void test_union(void)
{
    CCZ_AUTO(ccz_engine) e = open_engine();
    struct model_build b = {0};
    ccz_buf_init(&b.pb, 1 << 16);
    ccz_pb_put_uint(&b.pb, 1, 1);
    b.graph = ccz_pb_open(&b.pb, 2);
    size_t info = ccz_pb_open(&b.pb, 1);
    ccz_pb_put_str(&b.pb, 4, "serve");
    ccz_pb_close(&b.pb, info);
    size_t graph = ccz_pb_open(&b.pb, 2);
    gb_half_plus_two(&b.pb);
    ccz_pb_close(&b.pb, graph);
    static const int64_t any3[] = {-1, 3};
    static const char *const outs[2][2] = {{"part/y:0", "half:0"}, {"z:0", NULL}};
    for (size_t i = 0; i < 2; i++) {
        mb_signature(&b, i ? "regress" : "classify");
        mb_tensor(&b, 1, "inputs", "x:0", CCZ_DT_FLOAT, 2, any3);
        mb_tensor(&b, 2, "scores", outs[i][0], CCZ_DT_FLOAT, 2, any3);
        if (outs[i][1])
            mb_tensor(&b, 2, "classes", outs[i][1], CCZ_DT_FLOAT, 2, any3);
        mb_signature_end(&b, "");
    }
    struct ccz_model_cfg cfg = mb_end(&b);
    CCZ_AUTO(ccz_model) m = NULL;
    struct ccz_err err = {0};
    CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_OK);
    ccz_buf_free(&b.pb);
    const struct ccz_signature *parts[] = {ccz_model_signature(m, "regress"),
                                           ccz_model_signature(m, "classify")},
                               *u = NULL;
    CHECK(ccz_model_union(&u, m, parts, 2, NULL) == CCZ_OK && u->out_len == 3);
    const struct ccz_tensor in = input("inputs");
    struct ccz_run_req req = {.sig = u, .in = &in, .in_len = 1};
    CCZ_AUTO(ccz_result) r = NULL;
    CHECK(ccz_model_run(&r, NULL, m, &req, NULL) == CCZ_OK && ccz_result_len(r) == 3);
    CHECK(strcmp(ccz_result_at(r, 0)->name, "scores") == 0 && at(ccz_result_at(r, 0), 1) == 2);
    CHECK(strcmp(ccz_result_at(r, 1)->name, "classes") == 0 && at(ccz_result_at(r, 1), 1) == 2);
    CHECK(strcmp(ccz_result_at(r, 2)->name, "scores") == 0 && at(ccz_result_at(r, 2), 1) == 4);
    ccz_result_free(ccz_result_take(&r));
    req.fetch = (size_t[]){2, 0};
    req.fetch_len = 2;
    CHECK(ccz_model_run(&r, NULL, m, &req, NULL) == CCZ_OK && at(ccz_result_at(r, 0), 2) == 5 &&
          at(ccz_result_at(r, 1), 2) == 4);
    ccz_result_free(ccz_result_take(&r));
    ccz_model_union_release(m, u);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"engine.tf_frozen", test_frozen},
        {"engine.tf_frozen_sidecar", test_frozen_sidecar},
        {"engine.tf_frozen_refused", test_frozen_refused},
        {"engine.tf_frozen_damaged", test_frozen_damaged},
        {"engine.tf_union", test_union},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
