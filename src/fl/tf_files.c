/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
/* A folder, plain or protected, as a source of ccz_model_load(). */
#include <cczoo/fl_tf.h>
#include <cczoo/pf.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

struct files {
    const char *dir;
    const struct ccz_secret *key; /* NULL: plain */
    size_t len;
    struct ccz_model_file file[CCZ_MODEL_FILES_MAX];
    struct ccz_pf_reader *reader[CCZ_MODEL_FILES_MAX];
    int fd[CCZ_MODEL_FILES_MAX];
};

static ccz_rc failed(const char *path, struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_IO, "fl:model-files", errno, "%.120s: %s", path, strerror(errno));
}

static ccz_rc plain_size(uint64_t *size, int fd, const char *path, struct ccz_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return failed(path, err);
    *size = (uint64_t)st.st_size;
    return CCZ_OK;
}

static ccz_rc protected_size(uint64_t *size, struct files *f, size_t i, const char *path,
                             const char *rel, struct ccz_err *err)
{
    char bound[CCZ_PF_PATH_SIZE_MAX + 1];
    const struct ccz_pf_io io = ccz_pf_io_fd(&f->fd[i]);
    ccz_rc rc = ccz_pf_path_normalise(bound, path, err);
    if (rc == CCZ_OK)
        rc = ccz_pf_reader_open(&f->reader[i], &io, f->key,
                                &(struct ccz_pf_cfg){.path = bound, .name = rel}, err);
    if (rc == CCZ_OK)
        *size = ccz_pf_reader_size(f->reader[i]);
    return rc;
}

static ccz_rc add_file(void *arg, const char *rel, struct ccz_err *err)
{
    struct files *f = arg;
    char path[PATH_SIZE];
    uint64_t size = 0;
    if (f->len == CCZ_MODEL_FILES_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "fl:model-files", (int64_t)f->len + 1,
                              CCZ_MODEL_FILES_MAX);
    int n = snprintf(path, sizeof(path), "%s/%s", f->dir, rel);
    if (n < 0 || (size_t)n >= sizeof(path))
        return ccz_fail(err, CCZ_E_LIMIT, "fl:model-files", n, "path of a model file is too long");
    size_t i = f->len;
    f->fd[i] = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (f->fd[i] < 0)
        return failed(path, err);
    f->len++;
    ccz_rc rc = f->key ? protected_size(&size, f, i, path, rel, err)
                       : plain_size(&size, f->fd[i], path, err);
    if (rc != CCZ_OK)
        return rc;
    f->file[i] = (struct ccz_model_file){.name = strdup(rel), .size = size};
    return f->file[i].name ? CCZ_OK
                           : ccz_fail(err, CCZ_E_NOMEM, "fl:model-files", 0, "out of memory");
}

static ccz_rc read_at(void *arg, size_t file, uint64_t offset, void *out, size_t size,
                      struct ccz_err *err)
{
    struct files *f = arg;
    uint8_t *to = out;
    if (f->key)
        return ccz_pf_reader_read(out, f->reader[file], offset, size, err);
    while (size > 0) {
        ssize_t n = pread(f->fd[file], to, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ccz_fail(err, CCZ_E_IO, "fl:model-files", n < 0 ? errno : 0,
                            "%.120s cannot be read to its end", f->file[file].name);
        to += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return CCZ_OK;
}

ccz_rc ccz_fl_tf_load(struct ccz_model **out, struct ccz_engine *engine, const char *dir,
                      const struct ccz_secret *key, struct ccz_err *err)
{
    struct files *f = calloc(1, sizeof(*f));
    *out = NULL;
    if (!f)
        return ccz_fail(err, CCZ_E_NOMEM, "fl:model-files", 0, "out of memory");
    f->dir = dir;
    f->key = key;
    ccz_rc rc = ccz_pf_tree_walk(dir, add_file, f, err);
    if (rc == CCZ_OK && f->len == 0)
        rc = ccz_fail(err, CCZ_E_NOT_FOUND, "fl:model-files", 0, "%.120s holds no file", dir);
    const struct ccz_model_cfg cfg = {
        .files = f->file, .files_len = f->len, .read_at = read_at, .arg = f};
    if (rc == CCZ_OK)
        rc = ccz_model_load(out, engine, &cfg, err);
    for (size_t i = 0; i < f->len; i++) {
        ccz_pf_reader_free(f->reader[i]);
        close(f->fd[i]);
        free((void *)(uintptr_t)f->file[i].name);
    }
    free(f);
    return rc;
}
