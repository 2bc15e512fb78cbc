/* SPDX-License-Identifier: Apache-2.0 */
/* The engine without TensorFlow: choice of back end, loader, staging, signatures, echo. */
#define _DEFAULT_SOURCE
#include "ccz_test.h"
#include "engine/engine_priv.h"
#include "engine/model_build.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define WHERE(err, text) (strcmp((err).where, (text)) == 0)

static void test_backend(void)
{
    struct ccz_engine *e = NULL;
    struct ccz_err err = {0};
    CHECK(ccz_engine_open(&e, &(struct ccz_engine_cfg){.backend = "onnx"}, &err) == CCZ_E_ARG &&
          !e);
    CHECK(WHERE(err, "engine:backend") && strcmp(err.got, "onnx") == 0);
    CHECK(ccz_engine_open(&e, &(struct ccz_engine_cfg){0}, &err) == CCZ_E_ARG &&
          WHERE(err, "engine:backend"));
    CHECK(ccz_engine_open(&e, &(struct ccz_engine_cfg){.backend = "echo", .library = "/x"}, &err) ==
          CCZ_E_ARG);
    CHECK(WHERE(err, "engine:library"));

    CHECK(ccz_engine_open(&e, &(struct ccz_engine_cfg){.backend = "echo"}, &err) == CCZ_OK);
    CHECK(strcmp(ccz_engine_backend(e), "echo") == 0 && strcmp(ccz_engine_version(e), "") == 0);
    CHECK(ccz_engine_library(e, 0) == NULL && ccz_engine_library(e, 99) == NULL);
    ccz_engine_free(e);
    ccz_engine_free(NULL);

    struct ccz_engine_cfg tf = {.backend = "tensorflow"};
    CHECK(ccz_engine_open(&e, &tf, &err) == CCZ_E_ARG && WHERE(err, "engine:library"));
    tf.library = "libtensorflow_cc.so.2"; /* the loader would search for it */
    CHECK(ccz_engine_open(&e, &tf, &err) == CCZ_E_ARG && WHERE(err, "engine:library"));
    tf.library = "/nonexistent/libtensorflow_cc.so.2";
    CHECK(ccz_engine_open(&e, &tf, &err) == CCZ_E_UNAVAILABLE && WHERE(err, "engine:dlopen") &&
          err.hint[0]);
    tf.intra_threads = -1;
    CHECK(ccz_engine_open(&e, &tf, &err) == CCZ_E_ARG && WHERE(err, "engine:threads") && !e);
}

static void copy_file(const char *to, const char *from)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 24);
    CHECK(ccz_file_read(&b, from, NULL) == CCZ_OK);
    CHECK(ccz_file_write(to, ccz_buf_span(&b), 0755, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
}

#define CC        "libtensorflow_cc.so.2"
#define FRAMEWORK "libtensorflow_framework.so.2"

/* Each case runs in its own process (one ctest each): loaded libraries stay. */
static void test_lib_beside(void)
{
    struct ccz_engine *e = NULL;
    struct ccz_err err = {0};
    struct ccz_engine_cfg cfg = {.backend = "tensorflow", .library = FAKE_TF_DIR "/" CC};
    CHECK(ccz_engine_open(&e, &cfg, &err) == CCZ_OK);
    CHECK(strcmp(ccz_engine_version(e), "0.0-fake") == 0);
    CHECK(strstr(ccz_engine_library(e, 0), "/" CC) &&
          strstr(ccz_engine_library(e, 1), "/" FRAMEWORK));
    CHECK(!ccz_engine_library(e, 2));
    ccz_engine_free(e);
}

static void test_lib_origin(void)
{
    /* A framework library of another folder is in the process already: the dynamic loader takes
     * that one for the dependency, by name, although the right one was loaded by path. */
    char dir[] = "/tmp/ccz-engine-XXXXXX", path[128];
    CHECK(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/" FRAMEWORK, dir);
    copy_file(path, FAKE_TF_DIR "/" FRAMEWORK);
    CHECK(dlopen(path, RTLD_NOW));
    struct ccz_engine *e = NULL;
    struct ccz_err err = {0};
    struct ccz_engine_cfg cfg = {.backend = "tensorflow", .library = FAKE_TF_DIR "/" CC};
    CHECK(ccz_engine_open(&e, &cfg, &err) == CCZ_E_UNAVAILABLE && !e &&
          WHERE(err, "engine:origin"));
    CHECK(strstr(err.got, dir) && strstr(err.expected, FRAMEWORK));
    unlink(path);
    rmdir(dir);
}

static void test_lib_symbol(void)
{
    /* Libraries of the right names without the functions. */
    char dir[] = "/tmp/ccz-engine-XXXXXX", cc[128], framework[128];
    CHECK(mkdtemp(dir));
    (void)snprintf(cc, sizeof(cc), "%s/" CC, dir);
    (void)snprintf(framework, sizeof(framework), "%s/" FRAMEWORK, dir);
    copy_file(cc, FAKE_TF_DIR "/" FRAMEWORK);
    struct ccz_engine *e = NULL;
    struct ccz_err err = {0};
    struct ccz_engine_cfg cfg = {.backend = "tensorflow", .library = cc};
    CHECK(ccz_engine_open(&e, &cfg, &err) == CCZ_E_UNAVAILABLE &&
          WHERE(err, "engine:dlopen")); /* one alone */
    copy_file(framework, FAKE_TF_DIR "/" FRAMEWORK);
    CHECK(ccz_engine_open(&e, &cfg, &err) == CCZ_E_UNAVAILABLE && !e &&
          WHERE(err, "engine:symbol"));
    CHECK(strstr(err.msg, "TF_Version"));
    unlink(cc);
    unlink(framework);
    rmdir(dir);
}

/* ------------------------------------------------------------------------------- staging */

static struct ccz_engine *echo_engine(void)
{
    struct ccz_engine *e = NULL;
    CHECK(ccz_engine_open(&e, &(struct ccz_engine_cfg){.backend = "echo"}, NULL) == CCZ_OK);
    return e;
}

static void test_file_names(void)
{
    struct model_build b;
    mb_begin(&b);
    struct ccz_model_cfg cfg = mb_end(&b);
    CCZ_AUTO(ccz_engine) e = echo_engine();
    static const char *const bad[] = {"",    "/saved_model.pb", "../x", "a/../b", "a//b", "a/",
                                      "./a", ".hidden",         "a/.b", "a b",    "a\n",  "\x80"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ccz_model *m = NULL;
        struct ccz_err err = {0};
        b.file.name = bad[i];
        CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_ARG && !m &&
              WHERE(err, "engine:file-name"));
    }
    struct ccz_model_file twice[2] = {{"saved_model.pb", b.pb.size}, {"saved_model.pb", b.pb.size}};
    struct ccz_model *m = NULL;
    struct ccz_err err = {0};
    cfg.files = twice;
    cfg.files_len = 2;
    CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_ARG && WHERE(err, "engine:file-name"));
    CHECK(strcmp(err.expected, "unique names") == 0);
    cfg.files_len = 0;
    CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_ARG && WHERE(err, "engine:files"));
    cfg.files_len = CCZ_MODEL_FILES_MAX + 1;
    CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_ARG && WHERE(err, "engine:files"));
    ccz_buf_free(&b.pb);
}

/* A reader that checks how it is called, and can refuse. */
struct reader {
    size_t file;
    uint64_t at, refuse_at;
    size_t calls;
};

static ccz_rc read_checked(void *arg, size_t file, uint64_t offset, void *out, size_t size,
                           struct ccz_err *err)
{
    struct reader *r = arg;
    CHECK(size > 0 && size <= CCZ_MODEL_CHUNK_SIZE);
    if (file != r->file) {
        CHECK(file == r->file + 1);
        r->file = file;
        r->at = 0;
    }
    CHECK(offset == r->at);
    r->at += size;
    r->calls++;
    if (r->refuse_at && r->at > r->refuse_at)
        return ccz_fail(err, CCZ_E_SIG, "test:block", 7, "a block does not verify");
    memset(out, (int)file + 1, size);
    return CCZ_OK;
}

static const struct ccz_model_file stage_files[] = {
    {"saved_model.pb", 3},
    {"variables/deep/data", 3 * CCZ_MODEL_CHUNK_SIZE + 1},
    {"variables/index", 0}};

static bool exists(const char *dir, const char *name)
{
    char path[256];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s%s%s", dir, name ? "/" : "", name ? name : "");
    return stat(path, &st) == 0;
}

static void test_stage_tmpfs(void)
{
    struct reader r = {0};
    struct ccz_model_cfg cfg = {
        .files = stage_files, .files_len = 3, .read_at = read_checked, .arg = &r};
    struct cczi_tmpfs t;
    struct ccz_err err = {0};
    struct stat st;
    CHECK(cczi_tmpfs_open(&t, &cfg, &err) == CCZ_OK);
    char path[sizeof(t.path)];
    memcpy(path, t.path, sizeof(path));
    CHECK(strncmp(path, "/dev/shm/", 9) == 0 && stat(path, &st) == 0 &&
          (st.st_mode & 07777) == 0700);
    CHECK(cczi_tmpfs_fill(&t, &err) == CCZ_OK && r.calls == 5);
    for (size_t i = 0; i < 3; i++) {
        char name[256];
        (void)snprintf(name, sizeof(name), "%s/%s", path, stage_files[i].name);
        CHECK(stat(name, &st) == 0 && (uint64_t)st.st_size == stage_files[i].size &&
              (st.st_mode & 07777) == 0600);
    }
    cczi_tmpfs_remove(&t);
    CHECK(!exists(path, NULL));

    /* A reader that refuses in the middle: its error comes back, nothing stays. */
    r = (struct reader){.refuse_at = 2 * CCZ_MODEL_CHUNK_SIZE};
    CHECK(cczi_tmpfs_open(&t, &cfg, &err) == CCZ_OK);
    memcpy(path, t.path, sizeof(path));
    CHECK(cczi_tmpfs_fill(&t, &err) == CCZ_E_SIG && WHERE(err, "test:block") && err.aux == 7);
    CHECK(exists(path, "variables/deep/data"));
    cczi_tmpfs_remove(&t);
    CHECK(!exists(path, NULL));
}

static void test_stage_disk(void)
{
    /* A folder that is not in RAM is refused, before any byte is asked for. */
    struct reader r = {0};
    char here[64] = "/var/tmp/ccz-engine-XXXXXX";
    CHECK(mkdtemp(here));
    struct ccz_model_cfg cfg = {.files = stage_files,
                                .files_len = 3,
                                .read_at = read_checked,
                                .arg = &r,
                                .tmpfs_dir = here};
    struct cczi_tmpfs t;
    struct ccz_err err = {0};
    ccz_rc rc = cczi_tmpfs_open(&t, &cfg, &err);
    if (rc == CCZ_OK) { /* some machines have /var/tmp in RAM */
        cczi_tmpfs_remove(&t);
        rmdir(here);
        exit(77);
    }
    CHECK(rc == CCZ_E_DENIED && WHERE(err, "engine:tmpfs") && err.hint[0] && r.calls == 0);
    CHECK(rmdir(here) == 0); /* empty again */
    cfg.tmpfs_dir = "/nonexistent";
    CHECK(cczi_tmpfs_open(&t, &cfg, &err) == CCZ_E_IO && WHERE(err, "engine:tmpfs"));
}

/* ------------------------------------------------------------------------------- signatures */

static void build_two(struct model_build *b)
{
    mb_begin(b);
    mb_signature(b, "z");
    mb_echo(b, "x", "y", CCZ_DT_FLOAT, 2, (int64_t[]){-1, 3});
    mb_echo(b, "names", "names_out", CCZ_DT_STRING, -1, NULL);
    mb_signature_end(b, "tensorflow/serving/predict");
    mb_signature(b, "__saved_model_init_op");
    mb_tensor(b, 2, "__saved_model_init_op", "NoOp", CCZ_DT_INVALID, -1, NULL);
    mb_signature_end(b, "");
}

static void test_signatures(void)
{
    struct model_build b;
    build_two(&b);
    struct ccz_model_cfg cfg = mb_end(&b);
    CCZ_AUTO(ccz_engine) e = echo_engine();
    CCZ_AUTO(ccz_model) m = NULL;
    CHECK(ccz_model_load(&m, e, &cfg, NULL) == CCZ_OK);
    const struct ccz_signature *s;
    CHECK(ccz_model_signatures(&s, m) == 2);
    CHECK(strcmp(s[0].name, "__saved_model_init_op") == 0 && !s[0].runnable);
    CHECK(strcmp(s[1].name, "z") == 0 && s[1].runnable && s[1].in_len == 2 && s[1].out_len == 2);
    CHECK(strcmp(s[1].method, "tensorflow/serving/predict") == 0);
    const struct ccz_tensor_info *names = &s[1].in[0], *x = &s[1].in[1]; /* sorted */
    CHECK(strcmp(names->name, "names") == 0 && names->dtype == CCZ_DT_STRING &&
          names->unknown_rank);
    CHECK(strcmp(x->name, "x") == 0 && strcmp(x->tensor_name, "x_t:0") == 0 &&
          x->dtype == CCZ_DT_FLOAT);
    CHECK(x->rank == 2 && x->dims[0] == -1 && x->dims[1] == 3 && !x->unknown_rank &&
          x->proto.size > 0);
    CHECK(ccz_model_signature(m, "z") == &s[1] && !ccz_model_signature(m, "serving_default"));
    ccz_model_free(ccz_model_take(&m));

    struct ccz_err err = {0};
    cfg.tag = "train";
    CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_FORMAT && !m && WHERE(err, "engine:tag"));
    cfg.tag = NULL;
    /* Cut at every byte: the outermost length no longer fits. */
    size_t whole = b.pb.size;
    for (size_t size = 1; size < whole; size++) {
        b.file.size = size;
        CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_FORMAT && !m);
    }
    ccz_buf_free(&b.pb);
}

static ccz_rc load_bytes(struct model_build *b, struct ccz_err *err)
{
    struct ccz_model_cfg cfg = mb_end(b);
    CCZ_AUTO(ccz_engine) e = echo_engine();
    struct ccz_model *m = NULL;
    ccz_rc rc = ccz_model_load(&m, e, &cfg, err);
    CHECK((rc == CCZ_OK) == (m != NULL));
    ccz_model_free(m);
    ccz_buf_free(&b->pb);
    return rc;
}

static void test_signature_refusals(void)
{
    struct model_build b;
    struct ccz_err err = {0};
    mb_begin(&b); /* the same signature twice */
    mb_signature(&b, "s");
    mb_signature_end(&b, "");
    mb_signature(&b, "s");
    mb_signature_end(&b, "");
    CHECK(load_bytes(&b, &err) == CCZ_E_FORMAT && WHERE(err, "engine:signature"));
    mb_begin(&b); /* the same input twice */
    mb_signature(&b, "s");
    mb_tensor(&b, 1, "x", "a:0", CCZ_DT_FLOAT, 0, NULL);
    mb_tensor(&b, 1, "x", "b:0", CCZ_DT_FLOAT, 0, NULL);
    mb_signature_end(&b, "");
    CHECK(load_bytes(&b, &err) == CCZ_E_FORMAT && WHERE(err, "engine:signature"));
    mb_begin(&b); /* a dimension below -1 */
    mb_signature(&b, "s");
    mb_tensor(&b, 1, "x", "a:0", CCZ_DT_FLOAT, 1, (int64_t[]){-2});
    mb_signature_end(&b, "");
    CHECK(load_bytes(&b, &err) == CCZ_E_FORMAT && WHERE(err, "engine:signature"));
    mb_begin(&b); /* a name with a NUL */
    mb_signature(&b, "s");
    ccz_pb_put_bytes(&b.pb, 3, CCZ_SPAN("a\0b", 3));
    ccz_pb_close(&b.pb, b.sig);
    ccz_pb_close(&b.pb, b.entry);
    CHECK(load_bytes(&b, &err) == CCZ_E_FORMAT && WHERE(err, "engine:signature"));
    mb_begin(&b); /* echo: an output that no input feeds, or one of another type */
    mb_signature(&b, "s");
    mb_tensor(&b, 1, "x", "a:0", CCZ_DT_FLOAT, 0, NULL);
    mb_tensor(&b, 2, "y", "a:0", CCZ_DT_INT32, 0, NULL);
    mb_signature_end(&b, "");
    CHECK(load_bytes(&b, &err) == CCZ_E_FORMAT && WHERE(err, "engine:load"));
}

/* ------------------------------------------------------------------------------- run */

static struct ccz_model *load_two(struct ccz_engine *e)
{
    struct model_build b;
    build_two(&b);
    struct ccz_model_cfg cfg = mb_end(&b);
    struct ccz_model *m = NULL;
    CHECK(ccz_model_load(&m, e, &cfg, NULL) == CCZ_OK);
    ccz_buf_free(&b.pb);
    return m;
}

static const float x6[6] = {1, 2, 3, 4, 5, 6};
static const struct ccz_span names2[2] = {{(const uint8_t *)"a", 1}, {(const uint8_t *)"\0b", 2}};
static const struct ccz_tensor two_inputs[2] = {
    {.name = "x",
     .dtype = CCZ_DT_FLOAT,
     .rank = 2,
     .dims = {2, 3},
     .len = 6,
     .data = {(const uint8_t *)x6, sizeof(x6)}},
    {.name = "names", .dtype = CCZ_DT_STRING, .rank = 1, .dims = {2}, .len = 2, .strings = names2}};

static void test_echo_run(void)
{
    CCZ_AUTO(ccz_engine) e = echo_engine();
    CCZ_AUTO(ccz_model) m = load_two(e);
    struct ccz_run_req req = {.sig = ccz_model_signature(m, "z"), .in = two_inputs, .in_len = 2};
    struct ccz_run_status st;
    CCZ_AUTO(ccz_result) r = NULL;
    CHECK(ccz_model_run(&r, &st, m, &req, NULL) == CCZ_OK && st.code == CCZ_RUN_OK);
    const struct ccz_tensor *names = ccz_result_at(r, 0), *y = ccz_result_at(r, 1);
    CHECK(ccz_result_len(r) == 2 && !ccz_result_at(r, 2));
    CHECK(strcmp(names->name, "names_out") == 0 && names->strings[1].size == 2);
    CHECK(strcmp(y->name, "y") == 0 && y->data.ptr == (const uint8_t *)x6);
    ccz_result_free(ccz_result_take(&r));
    req.fetch = (size_t[]){1};
    req.fetch_len = 1;
    CHECK(ccz_model_run(&r, NULL, m, &req, NULL) == CCZ_OK && ccz_result_len(r) == 1);
    CHECK(strcmp(ccz_result_at(r, 0)->name, "y") == 0);
}

/* What does not fit its own description or the signature never reaches a back end. */
static void test_run_refusals(void)
{
    CCZ_AUTO(ccz_engine) e = echo_engine();
    CCZ_AUTO(ccz_model) m = load_two(e);
    struct ccz_tensor in[2] = {two_inputs[0], two_inputs[1]};
    struct ccz_tensor bad[8];
    for (size_t i = 0; i < 8; i++)
        bad[i] = in[0];
    bad[0].data.size--;
    bad[1].len = 5;
    bad[2].dims[0] = -2;
    bad[3].rank = CCZ_TENSOR_RANK_MAX + 1;
    bad[4].dtype = (enum ccz_dtype)13;
    bad[5].dims[1] = INT64_MAX;
    bad[6].name = "other";
    bad[7].rank = -1;
    struct ccz_run_req req = {.sig = ccz_model_signature(m, "z"), .in = in, .in_len = 2};
    struct ccz_err err = {0};
    struct ccz_run_status st;
    CCZ_AUTO(ccz_result) r = NULL;
    for (size_t i = 0; i < 8; i++) {
        in[0] = bad[i];
        CHECK(ccz_model_run(&r, &st, m, &req, &err) == CCZ_E_ARG && !r && WHERE(err, "engine:run"));
        CHECK(st.code == CCZ_RUN_INVALID_ARGUMENT);
    }
    in[0] = two_inputs[0];
    in[0].dtype = CCZ_DT_INT32; /* consistent, but not what the signature says */
    CHECK(ccz_model_run(&r, &st, m, &req, &err) == CCZ_E_FORMAT);
    CHECK(st.code == CCZ_RUN_INVALID_ARGUMENT);
    in[0] = two_inputs[0];
    in[1].strings = NULL;
    CHECK(ccz_model_run(&r, &st, m, &req, &err) == CCZ_E_ARG);
    in[1] = two_inputs[1];
    req.in_len = 1;
    CHECK(ccz_model_run(&r, &st, m, &req, &err) == CCZ_E_ARG);
    req.in_len = 2;
    req.fetch = (size_t[]){2};
    req.fetch_len = 1;
    CHECK(ccz_model_run(&r, &st, m, &req, &err) == CCZ_E_ARG);
    req.sig = ccz_model_signature(m, "__saved_model_init_op");
    CHECK(ccz_model_run(&r, &st, m, &req, &err) == CCZ_E_ARG && !r);
}

/* A list where the signature says [?,1], as TensorFlow Serving's users send it; a back end sees a column. */
static void test_lists(void)
{
    struct model_build b;
    mb_begin(&b);
    mb_signature(&b, "any");
    mb_echo(&b, "pairs", "pairs", CCZ_DT_FLOAT, 2, (int64_t[]){-1, 2});
    mb_echo(&b, "x", "y", CCZ_DT_FLOAT, 3, (int64_t[]){-1, 1, 1});
    mb_signature_end(&b, "");
    mb_signature(&b, "two");
    mb_echo(&b, "x", "y", CCZ_DT_FLOAT, 2, (int64_t[]){2, 1});
    mb_signature_end(&b, "");
    CCZ_AUTO(ccz_engine) e = echo_engine();
    CCZ_AUTO(ccz_model) m = NULL;
    struct ccz_model_cfg cfg = mb_end(&b);
    CHECK(ccz_model_load(&m, e, &cfg, NULL) == CCZ_OK);
    ccz_buf_free(&b.pb);
    struct ccz_tensor in[2] = {two_inputs[0], two_inputs[0]};
    in[0].name = "pairs";
    in[0].dims[0] = 3;
    in[0].dims[1] = 2;
    in[1].rank = 1;
    in[1].dims[0] = (int64_t)(in[1].len = 3);
    in[1].data.size = 3 * sizeof(float);
    struct ccz_run_req req = {.sig = ccz_model_signature(m, "any"), .in = in, .in_len = 2};
    struct ccz_run_status st;
    CCZ_AUTO(ccz_result) r = NULL;
    CHECK(ccz_model_run(&r, &st, m, &req, NULL) == CCZ_OK && in[1].rank == 1);
    const struct ccz_tensor *pairs = ccz_result_at(r, 0), *y = ccz_result_at(r, 1);
    CHECK(pairs->rank == 2 && y->rank == 1 && y->dims[0] == 3 && y->len == 3);
    ccz_result_free(ccz_result_take(&r));
    in[1].rank = 3;
    in[1].dims[1] = in[1].dims[2] = 1;
    CHECK(ccz_model_run(&r, &st, m, &req, NULL) == CCZ_OK && ccz_result_at(r, 1)->rank == 3);
    ccz_result_free(ccz_result_take(&r));
    in[1].rank = 2; /* neither what it says nor a list */
    CHECK(ccz_model_run(&r, &st, m, &req, NULL) == CCZ_E_FORMAT && !r &&
          strcmp(st.msg, "input x has shape [3,1], the signature says [?,1,1]") == 0);
    in[1].rank = 1;
    req = (struct ccz_run_req){.sig = ccz_model_signature(m, "two"), .in = in + 1, .in_len = 1};
    CHECK(ccz_model_run(&r, &st, m, &req, NULL) == CCZ_E_FORMAT && !r &&
          strcmp(st.msg, "input x has shape [3], the signature says [2,1]") == 0);
}

/* ------------------------------------------------------------------------------- union */

/* "classes" and "scores" say the same of x as "both", each a part; every other signature differs in one thing. */
static void build_shared(struct model_build *b)
{
    static const int64_t any3[] = {-1, 3}, any4[] = {-1, 4}, three[] = {3};
    static const struct {
        const char *name, *in, *tensor;
        enum ccz_dtype dtype;
        int rank;
        const int64_t *dims;
        const char *out[2];
    } sigs[] = {
        {"both", "x", "a:0", CCZ_DT_FLOAT, 2, any3, {"first", "second"}},
        {"first", "x", "a:0", CCZ_DT_FLOAT, 2, any3, {"out", NULL}},
        {"other_dims", "x", "a:0", CCZ_DT_FLOAT, 2, any4, {"out", NULL}},
        {"other_key", "y", "a:0", CCZ_DT_FLOAT, 2, any3, {"out", NULL}},
        {"other_rank", "x", "a:0", CCZ_DT_FLOAT, 1, three, {"out", NULL}},
        {"other_tensor", "x", "b:0", CCZ_DT_FLOAT, 2, any3, {"out", NULL}},
        {"other_type", "x", "a:0", CCZ_DT_INT32, 2, any3, {"out", NULL}},
        {"unknown_rank", "x", "a:0", CCZ_DT_FLOAT, -1, NULL, {"out", NULL}},
        {"unusable", "x", "a:0", CCZ_DT_INVALID, 2, any3, {"out", NULL}},
    };
    mb_begin(b);
    for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
        mb_signature(b, sigs[i].name);
        mb_tensor(b, 1, sigs[i].in, sigs[i].tensor, sigs[i].dtype, sigs[i].rank, sigs[i].dims);
        for (size_t k = 0; k < 2 && sigs[i].out[k]; k++)
            mb_tensor(b, 2, sigs[i].out[k], sigs[i].tensor, sigs[i].dtype, sigs[i].rank,
                      sigs[i].dims);
        mb_signature_end(b, "");
    }
    mb_signature(b, "more_inputs");
    mb_tensor(b, 1, "x", "a:0", CCZ_DT_FLOAT, 2, any3);
    mb_tensor(b, 1, "z", "c:0", CCZ_DT_FLOAT, 2, any3);
    mb_tensor(b, 2, "out", "a:0", CCZ_DT_FLOAT, 2, any3);
    mb_signature_end(b, "");
    mb_signature(b, "with_default");
    mb_tensor(b, 1, "x", "a:0", CCZ_DT_FLOAT, 2, any3);
    mb_tensor(b, 2, "out", "a:0", CCZ_DT_FLOAT, 2, any3);
    size_t entry = ccz_pb_open(&b->pb, 4);
    ccz_pb_put_str(&b->pb, 1, "x");
    ccz_pb_put_str(&b->pb, 2, "\x08\x01");
    ccz_pb_close(&b->pb, entry);
    mb_signature_end(b, "");
    for (int i = 0; i < 10; i++) { /* more pairs than one model keeps */
        char name[16];
        (void)snprintf(name, sizeof(name), "part%d", i);
        mb_signature(b, name);
        mb_echo(b, "x", "y", CCZ_DT_FLOAT, 2, any3);
        mb_signature_end(b, "");
    }
}

static void union_refuses(struct ccz_model *m)
{
    static const char *const other[] = {"other_dims",   "other_key",  "other_rank",
                                        "other_tensor", "other_type", "unknown_rank",
                                        "more_inputs",  "unusable",   "with_default"};
    const struct ccz_signature *both = ccz_model_signature(m, "both"), *u = both;
    struct ccz_err err = {0};
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        const struct ccz_signature *pair[] = {both, ccz_model_signature(m, other[i])};
        CHECK(pair[1] && ccz_model_union(&u, m, pair, 2, &err) == CCZ_E_ARG && !u);
        CHECK(WHERE(err, "engine:union") && strstr(err.msg, other[i]));
    }
    CHECK(ccz_model_union(&u, m, &both, 0, &err) == CCZ_E_ARG && WHERE(err, "engine:union"));
    CHECK(ccz_model_union(&u, m, (const struct ccz_signature *[]){both, both}, 2, &err) ==
              CCZ_E_ARG &&
          strstr(err.msg, "twice"));
    const struct ccz_signature foreign = *both;
    const struct ccz_signature *given = &foreign; /* one alone is looked at, too */
    CHECK(ccz_model_union(&u, m, &given, 1, &err) == CCZ_E_ARG && !u);
}

static const struct ccz_signature *unite(struct ccz_model *m, int i, int k)
{
    struct ccz_err err = {0};
    char a[16], b[16];
    (void)snprintf(a, sizeof(a), "part%d", i);
    (void)snprintf(b, sizeof(b), "part%d", k);
    const struct ccz_signature *pair[] = {ccz_model_signature(m, a), ccz_model_signature(m, b)},
                               *u = NULL;
    ccz_rc rc = ccz_model_union(&u, m, pair, 2, &err);
    CHECK(rc == CCZ_OK || (rc == CCZ_E_LIMIT && !u && WHERE(err, "engine:union")));
    return u;
}

/* @param kept  unions that the caller has in use */
static void union_limit(struct ccz_model *m, size_t kept)
{
    const struct ccz_signature *used[90];
    size_t made = 0;
    /* whoever asks for all there are keeps nobody else from the usual one */
    for (int i = 0; i < 90; i++) {
        const int a = i / 9, b = i % 9 + (i % 9 >= a);
        const struct ccz_signature *u = unite(m, a, b);
        CHECK(u && u->out_len == 2);
        ccz_model_union_release(m, u);
    }
    /* those in use stay */
    for (int i = 0; i < 90; i++) {
        const int a = i / 9, b = i % 9 + (i % 9 >= a);
        const struct ccz_signature *u = unite(m, a, b);
        if (u)
            used[made++] = u;
    }
    CHECK(made + kept == CCZ_MODEL_UNIONS_MAX && !unite(m, 9, 8));
    CHECK(unite(m, 0, 1) == used[0]); /* twice in use */
    ccz_model_union_release(m, used[0]);
    CHECK(!unite(m, 9, 8));
    ccz_model_union_release(m, used[0]);
    const struct ccz_signature *last = unite(m, 9, 8);
    CHECK(last != NULL);
    ccz_model_union_release(m, last);
    for (size_t i = 1; i < made; i++)
        ccz_model_union_release(m, used[i]);
    ccz_model_union_release(m, ccz_model_signature(m, "part0")); /* no union: nothing to release */
}

static void test_union(void)
{
    struct model_build b;
    build_shared(&b);
    struct ccz_model_cfg cfg = mb_end(&b);
    CCZ_AUTO(ccz_engine) e = echo_engine();
    CCZ_AUTO(ccz_model) m = NULL;
    CHECK(ccz_model_load(&m, e, &cfg, NULL) == CCZ_OK);
    ccz_buf_free(&b.pb);
    const struct ccz_signature *both = ccz_model_signature(m, "both"),
                               *first = ccz_model_signature(m, "first"), *u = NULL, *v = NULL;
    CHECK(ccz_model_union(&u, m, &both, 1, NULL) == CCZ_OK && u == both);
    const struct ccz_signature *pair[] = {both, first}, *turned[] = {first, both};
    CHECK(ccz_model_union(&u, m, pair, 2, NULL) == CCZ_OK && u != both && u->runnable);
    CHECK(strcmp(u->name, "both|first") == 0 && u->in == both->in && u->in_len == 1);
    CHECK(u->out_len == 3 && strcmp(u->out[0].name, "first") == 0 &&
          strcmp(u->out[1].name, "second") == 0 && strcmp(u->out[2].name, "out") == 0);
    CHECK(ccz_model_union(&v, m, pair, 2, NULL) == CCZ_OK && v == u);
    CHECK(ccz_model_union(&v, m, turned, 2, NULL) == CCZ_OK && v != u &&
          strcmp(v->out[0].name, "out") == 0);
    const struct ccz_signature *w = v;
    const struct ccz_signature *of_union[] = {u, first};
    CHECK(ccz_model_union(&v, m, of_union, 2, NULL) == CCZ_E_ARG && !v);

    struct ccz_run_req req = {.sig = u, .in = two_inputs, .in_len = 1};
    CCZ_AUTO(ccz_result) r = NULL;
    CHECK(ccz_model_run(&r, NULL, m, &req, NULL) == CCZ_OK && ccz_result_len(r) == 3);
    CHECK(strcmp(ccz_result_at(r, 2)->name, "out") == 0 &&
          ccz_result_at(r, 2)->data.ptr == (const uint8_t *)x6);
    union_refuses(m);
    union_limit(m, 2);
    ccz_model_union_release(m, u);
    ccz_model_union_release(m, u);
    ccz_model_union_release(m, w);
}

static void test_values(void)
{
    CHECK(ccz_dtype_size(CCZ_DT_FLOAT) == 4 && ccz_dtype_size(CCZ_DT_STRING) == 0 &&
          ccz_dtype_size((enum ccz_dtype)8) == 0);
    CHECK(strcmp(ccz_dtype_name(CCZ_DT_HALF), "half") == 0 &&
          strcmp(ccz_dtype_name((enum ccz_dtype)99), "invalid") == 0);
    CHECK(strcmp(ccz_dtype_enum_name(CCZ_DT_INT64), "DT_INT64") == 0);
    size_t len;
    CHECK(ccz_tensor_len(&len, 0, NULL) && len == 1);
    CHECK(ccz_tensor_len(&len, 2, (int64_t[]){3, 0}) && len == 0);
    CHECK(!ccz_tensor_len(&len, 1, (int64_t[]){-1}) && len == 0);
    CHECK(!ccz_tensor_len(&len, 2, (int64_t[]){(int64_t)1 << 32, (int64_t)1 << 32}));
    CHECK(!ccz_tensor_len(&len, 3, (int64_t[]){0, (int64_t)1 << 32, (int64_t)1 << 32}));

    struct ccz_run_status st;
    CHECK(ccz_run_status_set(&st, CCZ_RUN_DEADLINE_EXCEEDED, "%d", 5) == CCZ_E_TIMEOUT &&
          strcmp(st.msg, "5") == 0);
    char longer[CCZ_RUN_MSG_SIZE_MAX + 2];
    memset(longer, 'a', sizeof(longer));
    longer[sizeof(longer) - 1] = 0; /* one more than fits */
    CHECK(ccz_run_status_set(&st, CCZ_RUN_INTERNAL, "%s", longer) == CCZ_E_INTERNAL);
    CHECK(strlen(st.msg) == CCZ_RUN_MSG_SIZE_MAX + 12 &&
          strcmp(st.msg + CCZ_RUN_MSG_SIZE_MAX, "...TRUNCATED") == 0);
    CHECK(ccz_run_status_set(&st, CCZ_RUN_INTERNAL, "%s", longer + 1) == CCZ_E_INTERNAL);
    CHECK(strlen(st.msg) == CCZ_RUN_MSG_SIZE_MAX);
    CHECK(strcmp(ccz_run_code_name(CCZ_RUN_UNAUTHENTICATED), "UNAUTHENTICATED") == 0);
    CHECK(strcmp(ccz_run_code_name((enum ccz_run_code)17), "UNKNOWN") == 0);
    CHECK(ccz_run_rc((enum ccz_run_code) - 1) == CCZ_E_INTERNAL);
}

static const struct ccz_test tests[] = {
    {"engine.backend", test_backend},
    {"engine.lib_beside", test_lib_beside},
    {"engine.lib_origin", test_lib_origin},
    {"engine.lib_symbol", test_lib_symbol},
    {"engine.file_names", test_file_names},
    {"engine.stage_tmpfs", test_stage_tmpfs},
    {"engine.stage_disk", test_stage_disk},
    {"engine.signatures", test_signatures},
    {"engine.signature_refusals", test_signature_refusals},
    {"engine.echo_run", test_echo_run},
    {"engine.run_refusals", test_run_refusals},
    {"engine.lists", test_lists},
    {"engine.union", test_union},
    {"engine.values", test_values},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
