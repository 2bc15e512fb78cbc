/* SPDX-License-Identifier: Apache-2.0 */
/* The engine with TensorFlow and the trained image classifier; skipped (77) where either is
 * missing. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "engine/model_dir.h"

#include <cczoo/codec.h>

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define WHERE(err, text) (strcmp((err).where, (text)) == 0)
enum { PIXELS = 28 * 28, TEST_IMAGES = 10000 };

static void skip(const char *what, const char *how)
{
    fprintf(stderr, "skipped: %s is missing (%s)\n", what, how);
    exit(77);
}

static struct ccz_engine *open_engine(int inter_threads)
{
    char lib[MODEL_DIR_PATH_SIZE];
    if (!tf_library(lib))
        skip("TensorFlow", "scripts/fetch-tensorflow");
    setenv("TF_CPP_MIN_LOG_LEVEL", "2", 0);
    struct ccz_engine *e = NULL;
    struct ccz_err err = {0};
    struct ccz_engine_cfg cfg = {.backend = "tensorflow",
                                 .library = lib,
                                 .intra_threads = 1,
                                 .inter_threads = inter_threads};
    if (ccz_engine_open(&e, &cfg, &err) != CCZ_OK) {
        fprintf(stderr, "%s: %s %s %s\n", err.where, err.msg, err.got, err.expected);
        CHECK(false);
    }
    return e;
}

static void open_files(struct model_dir *d)
{
    char dir[MODEL_DIR_PATH_SIZE], version[MODEL_DIR_PATH_SIZE + 2];
    if (!trained_model(dir))
        skip("the trained model", "scripts/train-model");
    (void)snprintf(version, sizeof(version), "%s/1", dir);
    CHECK(model_dir_open(d, version) && d->len >= 3);
}

static struct ccz_model *load(struct ccz_engine *e, enum ccz_model_stage stage)
{
    struct model_dir d;
    open_files(&d);
    struct ccz_model_cfg cfg = model_dir_cfg(&d);
    cfg.stage = stage;
    struct ccz_model *m = NULL;
    struct ccz_err err = {0};
    if (ccz_model_load(&m, e, &cfg, &err) != CCZ_OK) {
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
        CHECK(false);
    }
    model_dir_close(&d);
    return m;
}

static struct ccz_tensor image_tensor(const float *images, size_t len)
{
    return (struct ccz_tensor){.name = "images",
                               .dtype = CCZ_DT_FLOAT,
                               .rank = 4,
                               .dims = {(int64_t)len, 28, 28, 1},
                               .len = len * PIXELS,
                               .data = CCZ_SPAN(images, len * PIXELS * sizeof(float))};
}

/* The n test images as floats in 0..1, and their labels. */
static float *test_images(uint8_t **labels)
{
    static const char folder[] = "/usr/share/datasets/fashion-mnist/";
    char cmd[256];
    uint8_t *raw = malloc(16 + TEST_IMAGES * PIXELS);
    float *out = aligned_alloc(64, TEST_IMAGES * PIXELS * sizeof(float));
    *labels = malloc(8 + TEST_IMAGES);
    CHECK(raw && out && *labels);
    (void)snprintf(cmd, sizeof(cmd), "%st10k-images-idx3-ubyte.gz", folder);
    if (access(cmd, R_OK) != 0)
        skip("Fashion-MNIST", "apt-get install dataset-fashion-mnist");
    (void)snprintf(cmd, sizeof(cmd), "gzip -dc %st10k-images-idx3-ubyte.gz", folder);
    FILE *p = popen(cmd, "r");
    CHECK(p && fread(raw, 1, 16 + TEST_IMAGES * PIXELS, p) == 16 + TEST_IMAGES * PIXELS &&
          pclose(p) == 0);
    for (size_t i = 0; i < TEST_IMAGES * PIXELS; i++)
        out[i] = (float)raw[16 + i] / 255;
    (void)snprintf(cmd, sizeof(cmd), "gzip -dc %st10k-labels-idx1-ubyte.gz", folder);
    p = popen(cmd, "r");
    CHECK(p && fread(*labels, 1, 8 + TEST_IMAGES, p) == 8 + TEST_IMAGES && pclose(p) == 0);
    memmove(*labels, *labels + 8, TEST_IMAGES);
    free(raw);
    return out;
}

/* ---- what the library and the model say of themselves */

static void test_load(void)
{
    CCZ_AUTO(ccz_engine) e = open_engine(-1);
    CHECK(ccz_engine_version(e)[0] == '2' && ccz_engine_version(e)[1] == '.');
    CHECK(strstr(ccz_engine_library(e, 0), "/libtensorflow_cc.so.2"));
    CHECK(strstr(ccz_engine_library(e, 1), "/libtensorflow_framework.so.2") &&
          !ccz_engine_library(e, 2));
    CCZ_AUTO(ccz_model) m = load(e, CCZ_STAGE_MEMORY);
    const struct ccz_signature *s = ccz_model_signature(m, "serving_default");
    CHECK(s && s->runnable && s->in_len == 1 && s->out_len == 2);
    CHECK(strcmp(s->method, "tensorflow/serving/predict") == 0);
    CHECK(strcmp(s->in[0].name, "images") == 0 && s->in[0].dtype == CCZ_DT_FLOAT &&
          s->in[0].rank == 4);
    CHECK(s->in[0].dims[0] == -1 && s->in[0].dims[1] == 28 && s->in[0].dims[3] == 1);
    CHECK(strcmp(s->out[0].name, "classes") == 0 && s->out[0].dtype == CCZ_DT_STRING &&
          s->out[0].rank == 1);
    CHECK(strcmp(s->out[1].name, "scores") == 0 && s->out[1].dtype == CCZ_DT_FLOAT &&
          s->out[1].rank == 2);
    s = ccz_model_signature(m, "__saved_model_init_op");
    CHECK(s && !s->runnable);
    /* A second model of the same engine, staged at the same time as the first one runs. */
    CCZ_AUTO(ccz_model) again = load(e, CCZ_STAGE_TMPFS);
    CHECK(ccz_model_signature(again, "classify"));
}

/* ---- the numbers TensorFlow itself computed */

static void expected(int64_t *correct, char classes_sha256[65])
{
    char dir[MODEL_DIR_PATH_SIZE], path[MODEL_DIR_PATH_SIZE + 16];
    if (!trained_model(dir))
        skip("the trained model", "scripts/train-model");
    (void)snprintf(path, sizeof(path), "%s/model.json", dir);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 20);
    struct ccz_json *j = NULL;
    CHECK(ccz_file_read(&b, path, NULL) == CCZ_OK &&
          ccz_json_parse(&j, ccz_buf_span(&b), NULL) == CCZ_OK);
    CHECK(ccz_json_int(correct, ccz_json_get(j, "test_correct")));
    (void)snprintf(classes_sha256, 65, "%s", ccz_json_str(ccz_json_get(j, "test_classes_sha256")));
    ccz_json_free(j);
}

static void sha256_of(char out[65], const uint8_t *bytes, size_t size)
{
    char path[] = "/dev/shm/ccz-test-XXXXXX", cmd[64];
    int fd = mkstemp(path);
    CHECK(fd >= 0 && write(fd, bytes, size) == (ssize_t)size && close(fd) == 0);
    (void)snprintf(cmd, sizeof(cmd), "sha256sum %s", path);
    FILE *p = popen(cmd, "r");
    CHECK(p && fread(out, 1, 64, p) == 64);
    out[64] = 0;
    pclose(p);
    remove(path);
}

static void test_accuracy(void)
{
    int64_t want = 0;
    char want_digest[65], digest[65];
    expected(&want, want_digest);
    uint8_t *labels, *classes = malloc(TEST_IMAGES);
    float *images = test_images(&labels);
    CCZ_AUTO(ccz_engine) e = open_engine(-1);
    CCZ_AUTO(ccz_model) m = load(e, CCZ_STAGE_MEMORY);
    static const char *const names[10] = {"T-shirt/top", "Trouser",   "Pullover", "Dress",
                                          "Coat",        "Sandal",    "Shirt",    "Sneaker",
                                          "Bag",         "Ankle boot"};
    int64_t correct = 0;
    for (size_t at = 0, len = 64; at < TEST_IMAGES; at += len) {
        len = TEST_IMAGES - at < 64 ? TEST_IMAGES - at : 64;
        struct ccz_tensor in = image_tensor(images + at * PIXELS, len);
        struct ccz_run_req req = {
            .sig = ccz_model_signature(m, "serving_default"), .in = &in, .in_len = 1};
        CCZ_AUTO(ccz_result) r = NULL;
        CHECK(ccz_model_run(&r, NULL, m, &req, NULL) == CCZ_OK);
        const struct ccz_tensor *names_out = ccz_result_at(r, 0), *scores = ccz_result_at(r, 1);
        CHECK(scores->rank == 2 && scores->dims[0] == (int64_t)len && scores->dims[1] == 10 &&
              names_out->len == len);
        const float *s = (const float *)(const void *)scores->data.ptr;
        for (size_t i = 0; i < len; i++, s += 10) {
            uint8_t best = 0;
            for (uint8_t c = 1; c < 10; c++)
                if (s[c] > s[best])
                    best = c;
            CHECK(ccz_span_eq(names_out->strings[i], ccz_span_str(names[best])));
            classes[at + i] = best;
            correct += best == labels[at + i];
        }
    }
    sha256_of(digest, classes, TEST_IMAGES);
    CHECK(correct == want && correct >= 9000);
    CHECK(strcmp(digest, want_digest) == 0); /* not only as many, but the same answers */
    free(images);
    free(labels);
    free(classes);
}

/* ---- strings in, strings out: tf.Example {1 Features {1 map<string, Feature {2 FloatList {1
 * packed}}>}} */

static void test_strings(void)
{
    CCZ_AUTO(ccz_engine) e = open_engine(-1);
    CCZ_AUTO(ccz_model) m = load(e, CCZ_STAGE_MEMORY);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 16);
    size_t features = ccz_pb_open(&b, 1), entry = ccz_pb_open(&b, 1);
    ccz_pb_put_str(&b, 1, "images");
    size_t feature = ccz_pb_open(&b, 2), floats = ccz_pb_open(&b, 2), packed = ccz_pb_open(&b, 1);
    for (size_t i = 0; i < PIXELS; i++)
        ccz_buf_le32(&b, 0x3f000000); /* 0.5 */
    ccz_pb_close(&b, packed);
    ccz_pb_close(&b, floats);
    ccz_pb_close(&b, feature);
    ccz_pb_close(&b, entry);
    ccz_pb_close(&b, features);
    struct ccz_span examples[3] = {ccz_buf_span(&b), ccz_buf_span(&b), ccz_buf_span(&b)};
    struct ccz_tensor in = {.name = "inputs",
                            .dtype = CCZ_DT_STRING,
                            .rank = 1,
                            .dims = {3},
                            .len = 3,
                            .strings = examples};
    struct ccz_run_req req = {.sig = ccz_model_signature(m, "classify"), .in = &in, .in_len = 1};
    CCZ_AUTO(ccz_result) r = NULL;
    CHECK(ccz_model_run(&r, NULL, m, &req, NULL) == CCZ_OK);
    const struct ccz_tensor *classes = ccz_result_at(r, 0);
    CHECK(classes->dtype == CCZ_DT_STRING && classes->rank == 2 && classes->dims[0] == 3 &&
          classes->dims[1] == 10);
    CHECK(ccz_span_eq(classes->strings[10], ccz_span_str("T-shirt/top")));
    CHECK(ccz_span_eq(classes->strings[29], ccz_span_str("Ankle boot")));
    ccz_result_free(ccz_result_take(&r));
    examples[1] = ccz_span_str("\xff\xff");
    struct ccz_run_status st;
    CHECK(ccz_model_run(&r, &st, m, &req, NULL) == CCZ_E_FORMAT &&
          st.code == CCZ_RUN_INVALID_ARGUMENT && !r);
    CHECK(strstr(st.msg, "Could not parse example"));
}

/* ---- refusals */

static void test_errors(void)
{
    CCZ_AUTO(ccz_engine) e = open_engine(-1);
    CCZ_AUTO(ccz_model) m = load(e, CCZ_STAGE_MEMORY);
    float *images = aligned_alloc(64, 64 * PIXELS * sizeof(float));
    memset(images, 0, 64 * PIXELS * sizeof(float));
    struct ccz_tensor in = image_tensor(images, 2);
    struct ccz_run_req req = {
        .sig = ccz_model_signature(m, "serving_default"), .in = &in, .in_len = 1};
    struct ccz_run_status st;
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_result) r = NULL;
    in.rank = 3; /* as many numbers, but no channel dimension */
    CHECK(ccz_model_run(&r, &st, m, &req, &err) == CCZ_E_FORMAT && !r && WHERE(err, "engine:run"));
    CHECK(st.code == CCZ_RUN_INVALID_ARGUMENT &&
          strcmp(st.msg, "input images has shape [2,28,28], the signature says [?,28,28,1]") == 0);
    in = image_tensor(images, 2);
    in.dtype = CCZ_DT_INT32; /* same size, other type */
    CHECK(ccz_model_run(&r, &st, m, &req, &err) != CCZ_OK && st.code != CCZ_RUN_OK && st.msg[0]);
    in = image_tensor(images, 0); /* no image, and one that is not aligned */
    if (ccz_model_run(&r, &st, m, &req, &err) == CCZ_OK)
        CHECK(ccz_result_at(r, 1)->len == 0);
    else /* with AVX-512 TensorFlow's oneDNN convolution refuses an empty batch; without, it answers */
        CHECK(st.code == CCZ_RUN_INVALID_ARGUMENT && strstr(st.msg, "input depth"));
    ccz_result_free(ccz_result_take(&r));
    in = image_tensor(images + 1, 3);
    CHECK(ccz_model_run(&r, &st, m, &req, &err) == CCZ_OK && ccz_result_at(r, 1)->len == 30);
    free(images);
}

/* Once with threads of TensorFlow's own, once in the caller's thread. */
static void run_late(int inter_threads)
{
    CCZ_AUTO(ccz_engine) e = open_engine(inter_threads);
    CCZ_AUTO(ccz_model) m = load(e, CCZ_STAGE_MEMORY);
    size_t len = 1000;
    float *images = aligned_alloc(64, len * PIXELS * sizeof(float));
    memset(images, 0, len * PIXELS * sizeof(float));
    struct ccz_tensor in = image_tensor(images, len);
    struct ccz_run_req req = {.sig = ccz_model_signature(m, "serving_default"),
                              .in = &in,
                              .in_len = 1,
                              .timeout_ms = 60000};
    struct ccz_run_status st;
    CCZ_AUTO(ccz_result) r = NULL;
    CHECK(ccz_model_run(&r, &st, m, &req, NULL) == CCZ_OK);
    ccz_result_free(ccz_result_take(&r));
    req.timeout_ms = 1; /* this batch takes more than a hundred */
    CHECK(ccz_model_run(&r, &st, m, &req, NULL) == CCZ_E_TIMEOUT && !r &&
          st.code == CCZ_RUN_DEADLINE_EXCEEDED);
    req.timeout_ms = 0; /* the model still works */
    CHECK(ccz_model_run(&r, &st, m, &req, NULL) == CCZ_OK);
    ccz_result_free(ccz_result_take(&r));
    free(images);
}

static void test_deadline(void)
{
    run_late(1);
    run_late(-1);
}

/* A model that is damaged is refused when it loads, wherever the damage is. */
static void test_damaged(void)
{
    CCZ_AUTO(ccz_engine) e = open_engine(-1);
    struct model_dir d;
    open_files(&d);
    struct ccz_model_cfg cfg = model_dir_cfg(&d);
    struct ccz_model *m = NULL;
    struct ccz_err err = {0};
    for (size_t i = 0; i < d.len; i++) {
        uint8_t *middle = d.bytes[i].ptr + d.bytes[i].size / 2;
        if (!strstr(d.files[i].name, "variables"))
            continue;
        *middle ^= 1; /* TensorFlow's own checksum; the keyed one is the protected file's */
        CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_FORMAT && !m && WHERE(err, "engine:load"));
        *middle ^= 1;
    }
    cfg.tag = "train";
    CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_FORMAT && WHERE(err, "engine:load"));
    cfg.tag = NULL;
    cfg.stage = (enum ccz_model_stage)2;
    CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_ARG && WHERE(err, "engine:stage"));
    cfg.stage = CCZ_STAGE_TMPFS;
    cfg.tmpfs_dir = "/var/tmp";
    CHECK(ccz_model_load(&m, e, &cfg, &err) == CCZ_E_DENIED && WHERE(err, "engine:tmpfs"));
    model_dir_close(&d);
}

/* ---- threads */

struct job {
    struct ccz_model *m;
    const float *images;
    float scores[8 * 10];
    bool same;
};

static void *run_many(void *arg)
{
    struct job *j = arg;
    j->same = true;
    for (size_t round = 0; round < 60; round++) {
        struct ccz_tensor in = image_tensor(j->images, 8);
        struct ccz_run_req req = {.sig = ccz_model_signature(j->m, "serving_default"),
                                  .in = &in,
                                  .in_len = 1,
                                  .fetch = (size_t[]){1},
                                  .fetch_len = 1};
        CCZ_AUTO(ccz_result) r = NULL;
        if (ccz_model_run(&r, NULL, j->m, &req, NULL) != CCZ_OK) {
            j->same = false;
            break;
        }
        const struct ccz_tensor *s = ccz_result_at(r, 0);
        if (round == 0)
            memcpy(j->scores, s->data.ptr, sizeof(j->scores));
        j->same = j->same && s->data.size == sizeof(j->scores) &&
                  memcmp(j->scores, s->data.ptr, sizeof(j->scores)) == 0;
    }
    return NULL;
}

static void test_threads(void)
{
    uint8_t *labels;
    float *images = test_images(&labels);
    CCZ_AUTO(ccz_engine) e = open_engine(-1);
    CCZ_AUTO(ccz_model) m = load(e, CCZ_STAGE_MEMORY);
    struct job jobs[6], alone[6];
    pthread_t t[6];
    for (size_t i = 0; i < 6; i++) {
        alone[i] = jobs[i] = (struct job){.m = m, .images = images + i * 8 * PIXELS};
        run_many(&alone[i]);
    }
    for (size_t i = 0; i < 6; i++)
        CHECK(pthread_create(&t[i], NULL, run_many, &jobs[i]) == 0);
    /* Another model comes and goes meanwhile. */
    ccz_model_free(load(e, CCZ_STAGE_MEMORY));
    for (size_t i = 0; i < 6; i++) {
        pthread_join(t[i], NULL);
        CHECK(jobs[i].same && alone[i].same);
        CHECK(memcmp(jobs[i].scores, alone[i].scores, sizeof(jobs[i].scores)) == 0);
    }
    free(images);
    free(labels);
}

/* ---- no plaintext on a disk */

#define MARK_SIZE 48
static uint8_t mark[MARK_SIZE]; /* a piece of the weights */
static time_t began;
static atomic_size_t marked_in_ram, marked_elsewhere, looked_at;

static bool holds_mark(int fd)
{
    enum { BLOCK = 1 << 20 };
    uint8_t *b = malloc(BLOCK + MARK_SIZE);
    size_t carried = 0;
    bool found = false;
    off_t at = 0;
    for (ssize_t n; b && !found && (n = pread(fd, b + carried, BLOCK, at)) > 0; at += n) {
        size_t have = carried + (size_t)n;
        found = memmem(b, have, mark, MARK_SIZE) != NULL;
        carried = have < MARK_SIZE ? have : MARK_SIZE - 1;
        memmove(b, b + have - carried, carried);
    }
    free(b);
    return found;
}

static void look_at(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    /* Only what changed since the test began can hold something that the test let out. */
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_ctime >= began) {
        atomic_fetch_add(&looked_at, 1);
        if (holds_mark(fd))
            atomic_fetch_add(
                strncmp(path, "/dev/shm/", 9) == 0 ? &marked_in_ram : &marked_elsewhere, 1);
    }
    close(fd);
}

static int look_at_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    if (type == FTW_F && st->st_ctime >= began)
        look_at(path);
    return 0;
}

/* Everything open, everything mapped, and the folders where programs leave files behind. */
static void look_around(void)
{
    char line[4096], path[4096];
    DIR *d = opendir("/proc/self/fd");
    CHECK(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        (void)snprintf(line, sizeof(line), "/proc/self/fd/%.20s", e->d_name);
        ssize_t n = readlink(line, path, sizeof(path) - 1);
        path[n > 0 ? n : 0] = 0;
        look_at(strncmp(path, "/dev/shm/", 9) == 0
                    ? path
                    : line); /* through the link: deleted files too */
    }
    closedir(d);
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps);
    while (fgets(line, sizeof(line), maps))
        if (sscanf(line, "%*s %*s %*s %*s %*s %4095s", path) == 1 && path[0] == '/')
            look_at(path);
    fclose(maps);
    static const char *const folders[] = {"/tmp", "/var/tmp", "/dev/shm", "/run", "."};
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        (void)nftw(folders[i], look_at_entry, 16, FTW_PHYS | FTW_MOUNT);
}

static atomic_bool loading;

static void *look_while_loading(void *arg)
{
    (void)arg;
    while (atomic_load(&loading))
        look_around();
    return NULL;
}

static void take_mark(const struct model_dir *d)
{
    for (size_t i = 0; i < d->len; i++)
        if (strstr(d->files[i].name, "variables.data"))
            memcpy(mark, d->bytes[i].ptr + d->bytes[i].size / 2, MARK_SIZE);
    size_t zeros = 0;
    for (size_t i = 0; i < MARK_SIZE; i++)
        zeros += mark[i] == 0;
    CHECK(zeros < MARK_SIZE / 4); /* trained weights, not padding */
    struct timespec second = {
        1, 100000000}; /* ctime has a granularity, and files of earlier tests must be older */
    nanosleep(&second, NULL);
    began = time(NULL);
}

/* The search itself finds a mark that lies about: in an open, deleted file and in a folder. */
static void test_search(void)
{
    struct model_dir d;
    open_files(&d);
    take_mark(&d);
    look_around();
    CHECK(marked_elsewhere == 0 && marked_in_ram == 0);
    FILE *deleted = tmpfile(), *kept = fopen("ccz-engine-mark", "wb");
    CHECK(deleted && kept && fwrite("abc", 1, 3, deleted) == 3 &&
          fwrite(mark, 1, MARK_SIZE, deleted) == MARK_SIZE);
    CHECK(fflush(deleted) == 0);
    look_around();
    CHECK(marked_elsewhere == 1);
    CHECK(fwrite(mark, 1, MARK_SIZE, kept) == MARK_SIZE && fclose(kept) == 0);
    fclose(deleted);
    look_around();
    remove("ccz-engine-mark");
    CHECK(marked_elsewhere > 1);
    model_dir_close(&d);
}

/* Looks around before the last file too: then all others are staged in full, for certain. */
static ccz_rc read_and_look(void *arg, size_t file, uint64_t offset, void *out, size_t size,
                            struct ccz_err *err)
{
    const struct model_dir *d = arg;
    if (file + 1 == d->len && offset == 0)
        look_around();
    return model_dir_read(arg, file, offset, out, size, err);
}

static void weights_first(struct model_dir *d)
{
    for (size_t i = 0; i < d->len; i++)
        if (strstr(d->files[i].name, "variables.data")) {
            struct ccz_model_file f = d->files[0];
            struct ccz_buf b = d->bytes[0];
            d->files[0] = d->files[i];
            d->bytes[0] = d->bytes[i];
            d->files[i] = f;
            d->bytes[i] = b;
        }
}

static void load_and_look(enum ccz_model_stage stage, bool forbid_writing)
{
    CCZ_AUTO(ccz_engine) e = open_engine(-1);
    struct model_dir d;
    open_files(&d);
    weights_first(&d);
    take_mark(&d);
    struct rlimit none = {0, 0}, before;
    CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
    none.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    if (forbid_writing)
        CHECK(setrlimit(RLIMIT_FSIZE, &none) == 0);
    pthread_t t;
    atomic_store(&loading, true);
    CHECK(pthread_create(&t, NULL, look_while_loading, NULL) == 0);
    struct ccz_model_cfg cfg = model_dir_cfg(&d);
    cfg.stage = stage;
    cfg.read_at = read_and_look;
    CCZ_AUTO(ccz_model) m = NULL;
    for (int i = 0; i < 2;
         i++) { /* the search is slower than a load: two, so that it sees every phase */
        ccz_model_free(ccz_model_take(&m));
        CHECK(ccz_model_load(&m, e, &cfg, NULL) == CCZ_OK);
    }
    atomic_store(&loading, false);
    pthread_join(t, NULL);
    CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK(marked_elsewhere == 0);
    size_t during = marked_in_ram;
    atomic_store(&marked_in_ram, 0);
    look_around(); /* and nothing stays, not even in RAM */
    CHECK(marked_in_ram == 0 && marked_elsewhere == 0);
    CHECK((during > 0) == (stage == CCZ_STAGE_TMPFS)); /* the search would have seen it */
    model_dir_close(&d);
}

static void test_no_disk_memory(void)
{
    load_and_look(CCZ_STAGE_MEMORY, false);
}

/* Stronger: while the process may not write a single byte to any regular file, the model still
 * loads. */
static void test_no_write_memory(void)
{
    load_and_look(CCZ_STAGE_MEMORY, true);
}

static void test_no_disk_tmpfs(void)
{
    load_and_look(CCZ_STAGE_TMPFS, false);
}

static const struct ccz_test tests[] = {
    {"engine.tf_load", test_load},
    {"engine.tf_accuracy", test_accuracy},
    {"engine.tf_strings", test_strings},
    {"engine.tf_errors", test_errors},
    {"engine.tf_deadline", test_deadline},
    {"engine.tf_damaged", test_damaged},
    {"engine.tf_threads", test_threads},
    {"engine.tf_search", test_search},
    {"engine.tf_no_disk_memory", test_no_disk_memory},
    {"engine.tf_no_write_memory", test_no_write_memory},
    {"engine.tf_no_disk_tmpfs", test_no_disk_tmpfs},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
