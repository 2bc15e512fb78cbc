/* SPDX-License-Identifier: Apache-2.0 */
/* What is looked at before any library is: names of files, ONNX files, signatures.json; and the loader of ONNX Runtime. */
#define _DEFAULT_SOURCE
#include "ccz_test.h"
#include "engine/engine_priv.h"
#include "engine/onnx_build.h"
#include "engine/ort_priv.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define WHERE(err, text) (strcmp((err).where, (text)) == 0)
#define LEN(a)           (sizeof(a) / sizeof((a)[0]))

static void test_detect(void)
{
    static const struct ccz_model_file saved[] = {{"saved_model.pb", 1},
                                                  {"variables/variables.index", 1},
                                                  {"fingerprint.pb", 1},
                                                  {"assets/net.onnx", 1}},
                                       text[] = {{"saved_model.pbtxt", 1}},
                                       onnx[] = {{"signatures.json", 1}, {"net.onnx", 1}},
                                       frozen[] = {{"README", 1}, {"frozen.pb", 1}};
    static const struct ccz_model_file two[] = {{"a.onnx", 1}, {"b.onnx", 1}},
                                       both[] = {{"saved_model.pb", 1}, {"b.onnx", 1}},
                                       mixed[] = {{"a.pb", 1}, {"b.onnx", 1}},
                                       below[] = {{"1/saved_model.pb", 1}, {"1/a.onnx", 1}},
                                       bare[] = {{".onnx", 1}, {"model.ONNX", 1}};
    static const struct {
        const struct ccz_model_file *files;
        size_t len;
        const char *backend;
        enum ccz_model_format format;
        size_t file;
    } rows[] = {
        {saved, LEN(saved), "tensorflow", CCZ_FORMAT_SAVED_MODEL, 0},
        {text, LEN(text), "tensorflow", CCZ_FORMAT_SAVED_MODEL, 0},
        {onnx, LEN(onnx), "onnxruntime", CCZ_FORMAT_ONNX, 1},
        {frozen, LEN(frozen), "tensorflow", CCZ_FORMAT_FROZEN_GRAPH, 1},
        {two, LEN(two), NULL, CCZ_FORMAT_NONE, 0},
        {both, LEN(both), NULL, CCZ_FORMAT_NONE, 0},
        {mixed, LEN(mixed), NULL, CCZ_FORMAT_NONE, 0},
        {below, LEN(below), NULL, CCZ_FORMAT_NONE, 0},
        {bare, LEN(bare), NULL, CCZ_FORMAT_NONE, 0},
        {NULL, 0, NULL, CCZ_FORMAT_NONE, 0},
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct ccz_model_kind k = {"none", CCZ_FORMAT_ONNX, 9};
        struct ccz_err err = {0};
        const ccz_rc rc = ccz_engine_detect(&k, rows[i].files, rows[i].len, &err);
        CHECK(rc == (rows[i].backend ? CCZ_OK : CCZ_E_FORMAT) && k.format == rows[i].format &&
              k.file == rows[i].file);
        if (rows[i].backend)
            CHECK(strcmp(k.backend, rows[i].backend) == 0);
        else
            CHECK(!k.backend && WHERE(err, "engine:model-files") &&
                  strstr(err.hint, "a model folder holds"));
    }
}

/* ---- ONNX files */

static void test_onnx(void)
{
    struct onnx_build b;
    struct ccz_err err = {0};
    ob_half_plus_two(&b);
    struct ccz_model_cfg cfg = ob_end(&b, NULL);
    CHECK(cfg.files_len == 1 && cczi_onnx_check(b.bytes[0], &err) == CCZ_OK);
    for (size_t size = 0; size < b.pb.size; size++) {
        CHECK(cczi_onnx_check(CCZ_SPAN(b.pb.ptr, size), &err) == CCZ_E_FORMAT);
        CHECK(WHERE(err, "engine:onnx"));
    }
    CHECK(!cczi_onnx_shapeless(b.bytes[0], true, "x") &&
          !cczi_onnx_shapeless(b.bytes[0], false, "y"));
    CHECK(cczi_onnx_shapeless(b.bytes[0], true, "y") && cczi_onnx_shapeless(b.bytes[0], true, "z"));
    size_t second = ccz_pb_open(&b.pb, 7); /* two graphs: which is meant? */
    ccz_pb_close(&b.pb, second);
    CHECK(cczi_onnx_check(ccz_buf_span(&b.pb), &err) == CCZ_E_FORMAT && err.aux == 2);
    ccz_buf_free(&b.pb);
}

/* Opens messages one in another, from ModelProto down. */
static ccz_rc nested(const uint32_t *path, size_t len, uint32_t number, bool text,
                     struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    size_t open[128];
    ccz_buf_init(&b, 1 << 16);
    CHECK(len <= LEN(open));
    if (path[0] != 7)
        ccz_pb_close(&b, ccz_pb_open(&b, 7));
    for (size_t i = 0; i < len; i++)
        open[i] = ccz_pb_open(&b, path[i]);
    if (text)
        ccz_pb_put_str(&b, number, "");
    else
        ccz_pb_put_uint(&b, number, 1);
    for (size_t i = len; i-- > 0;)
        ccz_pb_close(&b, open[i]);
    return cczi_onnx_check(ccz_buf_span(&b), err);
}

/* Weights in other files are found wherever a tensor can be. */
static void test_external(void)
{
    static const struct {
        uint32_t path[8];
        size_t len;
    } places[] = {
        {{7, 5}, 2},           /* initializer */
        {{7, 15, 1}, 3},       /* sparse initializer: values */
        {{7, 15, 2}, 3},       /* and indices */
        {{7, 1, 5, 5}, 4},     /* attribute of a node */
        {{7, 1, 5, 10}, 4},    /* list of tensors */
        {{7, 1, 5, 22, 1}, 5}, /* sparse tensor */
        {{7, 1, 5, 23, 1}, 5}, /* list of them */
        {{7, 1, 5, 6, 5}, 5},  /* graph in an attribute */
        {{7, 1, 5, 11, 5}, 5}, /* list of graphs */
        {{25, 7, 5, 5}, 4},    /* function */
        {{25, 11, 5}, 3},      /* default of an attribute of a function */
        {{20, 1, 5}, 3},       /* training */
        {{20, 2, 1, 5, 5}, 5},
    };
    for (size_t i = 0; i < LEN(places); i++) {
        struct ccz_err err = {0};
        CHECK(nested(places[i].path, places[i].len, 14, false, &err) == CCZ_E_UNSUPPORTED &&
              WHERE(err, "engine:external-data") && err.hint[0]);
        CHECK(nested(places[i].path, places[i].len, 13, true, &err) == CCZ_E_UNSUPPORTED);
        CHECK(nested(places[i].path, places[i].len, 2, false, &err) == CCZ_OK); /* data_type */
        CHECK(nested(places[i].path, places[i].len - 1, places[i].path[places[i].len - 1], false,
                     &err) == CCZ_E_FORMAT); /* a number where a message belongs */
    }
    uint32_t deep[99] = {7};
    for (size_t i = 1; i < LEN(deep); i += 3) {
        deep[i] = 1;
        if (i + 2 < LEN(deep)) {
            deep[i + 1] = 5;
            deep[i + 2] = 6;
        }
    }
    struct ccz_err err = {0};
    CHECK(nested(deep, 40, 2, false, &err) == CCZ_OK);
    CHECK(nested(deep, 70, 2, false, &err) == CCZ_E_LIMIT && WHERE(err, "engine:onnx"));
}

/* ---- signatures.json */

static bool find(struct cczi_graph_tensor *out, void *arg, bool input, const char *name)
{
    static const int64_t any3[] = {-1, 3};
    (void)arg;
    if (strcmp(name, input ? "in" : "out") != 0)
        return false;
    *out = (struct cczi_graph_tensor){name, input ? "in:0" : "out:0", CCZ_DT_FLOAT, 2, any3};
    return true;
}

static ccz_rc signatures(struct cczi_meta *m, const char *json, struct ccz_err *err)
{
    static const int64_t any[] = {-1};
    static const struct cczi_graph_tensor in[] = {{"i", "in:0", CCZ_DT_FLOAT, 1, any}},
                                          out[] = {{"o", "out:0", CCZ_DT_INT64, -1, NULL}};
    const struct cczi_graph g = {in, out, 1, 1, find, NULL, "look at the graph"};
    *m = (struct cczi_meta){0};
    return cczi_sidecar_signatures(m, &g, ccz_span_str(json), err);
}

static void test_sidecar(void)
{
    struct cczi_meta m;
    struct ccz_err err = {0};
    CHECK(signatures(&m, "", &err) == CCZ_OK && m.len == 1);
    const struct ccz_signature *s = m.sigs;
    CHECK(strcmp(s->name, "serving_default") == 0 && s->runnable && s->out[0].unknown_rank);
    CHECK(strcmp(s->in[0].name, "i") == 0 && strcmp(s->in[0].tensor_name, "in:0") == 0);
    CHECK(strcmp(s->method, "tensorflow/serving/predict") == 0);
    cczi_meta_free(&m);
    CHECK(signatures(&m,
                     "{\"b\": {\"inputs\": {}, \"outputs\": {\"y\": \"out\"}},"
                     " \"a\": {\"method\": \"m\", \"inputs\": {\"x\": \"in\"},"
                     " \"outputs\": {\"y\": \"out\", \"again\": \"out\"}}}",
                     &err) == CCZ_OK);
    CHECK(m.len == 2 && strcmp(m.sigs[0].name, "a") == 0 && strcmp(m.sigs[0].method, "m") == 0);
    CHECK(m.sigs[0].out_len == 2 && strcmp(m.sigs[0].out[0].name, "again") == 0 &&
          strcmp(m.sigs[0].out[0].tensor_name, "out:0") == 0 && m.sigs[1].in_len == 0);
    cczi_meta_free(&m);
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"s\": []}",
        "{\"s\": {}}",
        "{\"s\": {\"inputs\": {}}}",
        "{\"s\": {\"inputs\": {}, \"outputs\": {}}}",
        "{\"s\": {\"inputs\": [], \"outputs\": {\"y\": \"out\"}}}",
        "{\"s\": {\"inputs\": {}, \"outputs\": {\"y\": 1}}}",
        "{\"s\": {\"inputs\": {}, \"outputs\": {\"\": \"out\"}}}",
        "{\"s\": {\"inputs\": {\"x\": \"out\"}, \"outputs\": {\"y\": \"out\"}}}",
        "{\"s\": {\"inputs\": {}, \"outputs\": {\"y\": \"in\"}}}",
        "{\"s\": {\"inputs\": {}, \"outputs\": {\"y\": \"out\"}, \"method\": 1}}",
        "{\"s\": {\"inputs\": {}, \"outputs\": {\"y\": \"out\"}, \"more\": 1}}",
    };
    for (size_t i = 0; i < LEN(bad); i++) {
        err = (struct ccz_err){0};
        CHECK(signatures(&m, bad[i], &err) == CCZ_E_FORMAT && m.len == 0 &&
              WHERE(err, "engine:signatures.json"));
    }
    CHECK(signatures(&m, "{\"s\": ", &err) != CCZ_OK && m.len == 0);
}

/* ---- one file in memory */

int __real_munmap(void *p, size_t size);
int __wrap_munmap(void *p, size_t size);
static const uint8_t *watched;
static size_t watched_size, left_behind = SIZE_MAX;

/* What lies in a mapping when it is given back (linked with --wrap). */
int __wrap_munmap(void *p, size_t size)
{
    if (p == watched) {
        left_behind = 0;
        for (size_t i = 0; i < watched_size; i++)
            left_behind += watched[i] != 0;
    }
    return __real_munmap(p, size);
}

static ccz_rc read_at(void *arg, size_t file, uint64_t offset, void *out, size_t size,
                      struct ccz_err *err)
{
    uint64_t *next = arg; /* in order, in pieces */
    CHECK(file == 0 && offset == *next && size <= CCZ_MODEL_CHUNK_SIZE);
    memset(out, 'm', size);
    *next += size;
    watched = (const uint8_t *)out - offset;
    watched_size = (size_t)*next;
    return *next > 3000000 ? ccz_fail(err, CCZ_E_IO, "test:read", 0, "damaged") : CCZ_OK;
}

static void test_image(void)
{
    const struct ccz_model_file files[] = {{"model.onnx", 1000001}, {"more", 4000000}};
    uint64_t next = 0;
    struct ccz_model_cfg cfg = {.files = files, .files_len = 1, .read_at = read_at, .arg = &next};
    struct cczi_image i, none;
    struct ccz_err err = {0};
    CHECK(cczi_files_read(&i, &none, &cfg, 0, &err) == CCZ_OK && !none.bytes);
    CHECK(next == 1000001 && i.size == 1000001 && i.bytes[1000000] == 'm' && i.bytes == watched);
    CHECK(left_behind == SIZE_MAX);
    cczi_image_free(&i);
    CHECK(left_behind == 0 && !i.bytes && !i.size);
    cczi_image_free(&i);

    left_behind = SIZE_MAX; /* a reader that refuses in the middle: what it gave is wiped too */
    next = 0;
    cfg.files = &files[1];
    CHECK(cczi_files_read(&i, &none, &cfg, 0, &err) == CCZ_E_IO && !i.bytes && left_behind == 0);
    CHECK(cczi_image_read(&i, &cfg, 0, 3999999, &err) == CCZ_E_LIMIT && WHERE(err, "engine:stage"));
}

/* ---- the loader */

static void test_ort_lib(void)
{
    struct ccz_engine *e = NULL;
    struct ccz_err err = {0};
    struct ccz_engine_cfg cfg = {.backend = "onnxruntime"};
    CHECK(ccz_engine_open(&e, &cfg, &err) == CCZ_E_ARG && WHERE(err, "engine:library"));
    cfg.library = "libonnxruntime.so.1"; /* the loader would search for it */
    CHECK(ccz_engine_open(&e, &cfg, &err) == CCZ_E_ARG && WHERE(err, "engine:library"));
    cfg.library = "/nonexistent/libonnxruntime.so.1";
    CHECK(ccz_engine_open(&e, &cfg, &err) == CCZ_E_UNAVAILABLE && WHERE(err, "engine:dlopen") &&
          strstr(err.hint, "scripts/fetch-onnxruntime"));
    cfg.library = FAKE_TF_DIR "/libtensorflow_framework.so.2"; /* another library */
    CHECK(ccz_engine_open(&e, &cfg, &err) == CCZ_E_UNAVAILABLE && WHERE(err, "engine:symbol"));
    cfg.library = FAKE_ORT;
    CHECK(ccz_engine_open(&e, &cfg, &err) == CCZ_E_UNAVAILABLE && WHERE(err, "engine:version") &&
          strstr(err.msg, "1.16-fake") && err.hint[0]);
    cfg.library = FAKE_ORT_NETWORK; /* of that version too, but it is not even asked for it */
    CHECK(ccz_engine_open(&e, &cfg, &err) == CCZ_E_DENIED && WHERE(err, "engine:network") &&
          strstr(err.msg, "socket") && strstr(err.hint, "fetch-onnxruntime"));
    cfg.library = FAKE_ORT;
    setenv("ORT_LOAD_CONFIG_FROM_MODEL", "1", 1);
    CHECK(ccz_engine_open(&e, &cfg, &err) == CCZ_E_DENIED && WHERE(err, "engine:environment"));
    setenv("ORT_LOAD_CONFIG_FROM_MODEL", "0", 1);
    CHECK(ccz_engine_open(&e, &cfg, &err) == CCZ_E_UNAVAILABLE && WHERE(err, "engine:version"));
    cfg.inter_threads = -2;
    CHECK(ccz_engine_open(&e, &cfg, &err) == CCZ_E_ARG && WHERE(err, "engine:threads") && !e);
}

/* ---- deadlines, without the library */

struct OrtRunOptions {
    atomic_int told;
};

static struct OrtStatus *set_terminate(struct OrtRunOptions *o)
{
    atomic_fetch_add(&o->told, 1);
    return NULL;
}

static void release_status(struct OrtStatus *s)
{
    CHECK(!s);
}

static void test_watch(void)
{
    const struct ort_api api = {.RunOptionsSetTerminate = set_terminate,
                                .ReleaseStatus = release_status};
    struct ort_watch *w = cczi_ort_watch_new(&api);
    struct OrtRunOptions o[4];
    struct ort_alarm a[4];
    const int64_t now = ccz_mono_ms(), far = now + 3600000;
    const int64_t times[4] = {far, now + 20, now - 5, far}; /* of which two come */
    CHECK(w);
    for (size_t i = 0; i < 4; i++) {
        atomic_init(&o[i].told, 0);
        a[i] = (struct ort_alarm){.options = &o[i], .at_ms = times[i]};
        CHECK(cczi_ort_alarm_set(w, &a[i]) == CCZ_OK);
    }
    CHECK(!cczi_ort_alarm_clear(w, &a[3])); /* the first of the list, before its time */
    const struct timespec tick = {0, 1000000};
    while (!atomic_load(&o[1].told) || !atomic_load(&o[2].told))
        nanosleep(&tick, NULL);
    CHECK(ccz_mono_ms() >= times[1]);
    CHECK(cczi_ort_alarm_clear(w, &a[1]) && cczi_ort_alarm_clear(w, &a[2]));
    CHECK(!cczi_ort_alarm_clear(w, &a[0]));
    for (size_t i = 0; i < 4; i++)
        CHECK(atomic_load(&o[i].told) == (i == 1 || i == 2)); /* once */
    cczi_ort_watch_free(w);
    cczi_ort_watch_free(cczi_ort_watch_new(&api)); /* no alarm, no thread */
    cczi_ort_watch_free(NULL);
}

static const struct ccz_test tests[] = {
    {"engine.detect", test_detect},
    {"engine.onnx", test_onnx},
    {"engine.external_data", test_external},
    {"engine.sidecar", test_sidecar},
    {"engine.image", test_image},
    {"engine.ort_lib", test_ort_lib},
    {"engine.ort_watch", test_watch},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, LEN(tests), argc, argv);
}
