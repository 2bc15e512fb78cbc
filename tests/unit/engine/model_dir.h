/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_MODEL_DIR_H
#define CCZ_TEST_MODEL_DIR_H
/*
 * For tests and benches: where TensorFlow and the trained model lie on this machine, and a plain
 * folder as a source of ccz_model_load(). The files are read into memory once, so that no
 * descriptor of a plaintext model is open while a model loads. Include it after `#define
 * _DEFAULT_SOURCE`.
 */
#include <cczoo/engine.h>

#include <dirent.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MODEL_DIR_PATH_SIZE 1024

/* Newest match of a pattern below the cache folder. */
static inline bool cache_find(char out[MODEL_DIR_PATH_SIZE], const char *pattern)
{
    const char *cache = getenv("CCZOO_CACHE"), *home = getenv("HOME");
    char full[MODEL_DIR_PATH_SIZE];
    if (cache && *cache)
        (void)snprintf(full, sizeof(full), "%s/%s", cache, pattern);
    else
        (void)snprintf(full, sizeof(full), "%s/.cache/cczoo/%s", home ? home : "", pattern);
    glob_t g;
    time_t newest = 0;
    bool found = glob(full, 0, NULL, &g) == 0;
    for (size_t i = 0; found && i < g.gl_pathc; i++) {
        struct stat st;
        if (stat(g.gl_pathv[i], &st) == 0 && st.st_mtime > newest) {
            newest = st.st_mtime;
            (void)snprintf(out, MODEL_DIR_PATH_SIZE, "%s", g.gl_pathv[i]);
        }
    }
    globfree(&g);
    return newest > 0;
}

/* libtensorflow_cc.so.2: folder from CCZOO_TF_LIBDIR, else the cache. */
static inline bool tf_library(char out[MODEL_DIR_PATH_SIZE])
{
    const char *dir = getenv("CCZOO_TF_LIBDIR");
    if (!dir || !*dir)
        return cache_find(out, "tensorflow-*/lib/libtensorflow_cc.so.2");
    (void)snprintf(out, MODEL_DIR_PATH_SIZE, "%s/libtensorflow_cc.so.2", dir);
    return true;
}

/* libonnxruntime.so.1: folder from CCZOO_ORT_LIBDIR, else the cache. */
static inline bool ort_library(char out[MODEL_DIR_PATH_SIZE])
{
    const char *dir = getenv("CCZOO_ORT_LIBDIR");
    if (!dir || !*dir)
        return cache_find(out, "onnxruntime-*/lib/libonnxruntime.so.1");
    (void)snprintf(out, MODEL_DIR_PATH_SIZE, "%s/libonnxruntime.so.1", dir);
    return true;
}

/* What scripts/train-model printed: folder from CCZOO_TEST_MODEL, else the cache. */
static inline bool trained_model(char out[MODEL_DIR_PATH_SIZE])
{
    const char *dir = getenv("CCZOO_TEST_MODEL");
    if (!dir || !*dir)
        return cache_find(out, "models/fashion_mnist-*");
    (void)snprintf(out, MODEL_DIR_PATH_SIZE, "%s", dir);
    return true;
}

struct model_dir {
    struct ccz_model_file files[CCZ_MODEL_FILES_MAX];
    struct ccz_buf bytes[CCZ_MODEL_FILES_MAX];
    size_t len;
};

static inline bool model_dir_add(struct model_dir *d, const char *root, const char *below)
{
    char path[MODEL_DIR_PATH_SIZE * 2];
    (void)snprintf(path, sizeof(path), "%s/%s", root, below);
    DIR *dir = opendir(path);
    if (!dir)
        return false;
    bool ok = true;
    for (struct dirent *e; ok && (e = readdir(dir)) != NULL;) {
        char name[MODEL_DIR_PATH_SIZE];
        struct stat st;
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(name, sizeof(name), "%s%s%s", below, *below ? "/" : "", e->d_name);
        (void)snprintf(path, sizeof(path), "%s/%s", root, name);
        if (stat(path, &st) != 0) {
            ok = false;
        } else if (S_ISDIR(st.st_mode)) {
            ok = model_dir_add(d, root, name);
        } else if (d->len < CCZ_MODEL_FILES_MAX) {
            struct ccz_buf *b = &d->bytes[d->len];
            ccz_buf_init(b, (size_t)1 << 31);
            ok = ccz_file_read(b, path, NULL) == CCZ_OK;
            d->files[d->len++] = (struct ccz_model_file){strdup(name), b->size};
        }
    }
    closedir(dir);
    return ok;
}

static inline bool model_dir_open(struct model_dir *d, const char *path)
{
    *d = (struct model_dir){0};
    return model_dir_add(d, path, "");
}

static inline void model_dir_close(struct model_dir *d)
{
    for (size_t i = 0; i < d->len; i++) {
        free((void *)(uintptr_t)d->files[i].name);
        ccz_buf_free(&d->bytes[i]);
    }
}

static inline ccz_rc model_dir_read(void *arg, size_t file, uint64_t offset, void *out, size_t size,
                                    struct ccz_err *err)
{
    const struct model_dir *d = arg;
    struct ccz_span s = ccz_span_sub(ccz_buf_span(&d->bytes[file]), (size_t)offset, size);
    if (s.size != size)
        return ccz_fail(err, CCZ_E_IO, "test:read", (int64_t)offset, "out of range");
    memcpy(out, s.ptr, size);
    return CCZ_OK;
}

static inline struct ccz_model_cfg model_dir_cfg(struct model_dir *d)
{
    return (struct ccz_model_cfg){
        .files = d->files, .files_len = d->len, .read_at = model_dir_read, .arg = d};
}

#endif
