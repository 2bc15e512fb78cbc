/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a model in a folder of the host: protected files, each decrypted as it is read and bound to its path; or files in clear,
 * for which nobody vouches.
 */
#include "served.h"

#include <cczoo/pf.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct served_folder {
    const char *dir;
    const struct ccz_secret *key; /* NULL: in clear */
    size_t len;
    struct ccz_model_file file[CCZ_MODEL_FILES_MAX];
    struct ccz_pf_reader *reader[CCZ_MODEL_FILES_MAX];
    int fd[CCZ_MODEL_FILES_MAX];
};

static ccz_rc open_protected(struct served_folder *f, size_t i, const char *path, const char *rel,
                             struct ccz_err *err)
{
    char bound[CCZ_PF_PATH_SIZE_MAX + 1];
    ccz_rc rc = ccz_pf_path_normalise(bound, path, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_pf_io io = ccz_pf_io_fd(&f->fd[i]);
    rc = ccz_pf_reader_open(&f->reader[i], &io, f->key,
                            &(struct ccz_pf_cfg){.path = bound, .name = rel}, err);
    if (rc == CCZ_OK)
        f->file[i].size = ccz_pf_reader_size(f->reader[i]);
    return rc;
}

static ccz_rc open_file(void *arg, const char *rel, struct ccz_err *err)
{
    struct served_folder *f = arg;
    char path[4096];
    struct stat st;
    if (f->len == CCZ_MODEL_FILES_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "served:model-files", (int64_t)f->len + 1,
                              CCZ_MODEL_FILES_MAX);
    int n = snprintf(path, sizeof(path), "%s/%s", f->dir, rel);
    if (n < 0 || (size_t)n >= sizeof(path))
        return ccz_fail(err, CCZ_E_LIMIT, "served:path", n, "path of a model file is too long");
    size_t i = f->len++;
    f->fd[i] = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (f->fd[i] < 0 || fstat(f->fd[i], &st) != 0)
        return ccz_fail(err, CCZ_E_IO, "served:open", errno, "cannot open %s", path);
    f->file[i] = (struct ccz_model_file){.name = strdup(rel), .size = (uint64_t)st.st_size};
    if (!f->file[i].name)
        return ccz_fail(err, CCZ_E_NOMEM, "served:model-files", 0, "out of memory");
    return f->key ? open_protected(f, i, path, rel, err) : CCZ_OK;
}

static ccz_rc read_at(void *arg, size_t file, uint64_t offset, void *out, size_t size,
                      struct ccz_err *err)
{
    struct served_folder *f = arg;
    if (f->key)
        return ccz_pf_reader_read(out, f->reader[file], offset, size, err);
    for (size_t done = 0; done < size;) {
        ssize_t n = pread(f->fd[file], (uint8_t *)out + done, size - done, (off_t)(offset + done));
        if (n <= 0)
            return ccz_fail(err, CCZ_E_IO, "served:read", n < 0 ? errno : 0,
                            "%s is shorter than it was, or cannot be read", f->file[file].name);
        done += (size_t)n;
    }
    return CCZ_OK;
}

ccz_rc served_folder_open(struct served_folder **out, const char *dir, const struct ccz_secret *key,
                          struct ccz_err *err)
{
    struct served_folder *f = *out = calloc(1, sizeof(*f));
    if (!f)
        return ccz_fail(err, CCZ_E_NOMEM, "served:model", 0, "out of memory");
    f->dir = dir;
    f->key = key;
    ccz_rc rc = ccz_pf_tree_walk(dir, open_file, f, err);
    if (rc == CCZ_OK && f->len == 0)
        rc = ccz_fail(err, CCZ_E_NOT_FOUND, "served:model", 0, "%s holds no file", dir);
    if (key && (rc == CCZ_E_IO || rc == CCZ_E_NOT_FOUND))
        (void)ccz_hint(
            err, rc,
            "a model folder is one that `cczoo pf encrypt` made, by its name at that time");
    if (rc != CCZ_OK) {
        served_folder_free(f);
        *out = NULL;
    }
    return rc;
}

struct ccz_model_cfg served_folder_cfg(struct served_folder *f)
{
    return (struct ccz_model_cfg){
        .files = f->file, .files_len = f->len, .read_at = read_at, .arg = f};
}

ccz_rc served_folder_load(struct ccz_model **out, struct served_folder *f,
                          struct served_engines *engines, const char *tag, struct ccz_err *err)
{
    struct ccz_model_cfg cfg = served_folder_cfg(f);
    struct ccz_model_kind kind = {0};
    struct ccz_engine *engine = NULL;
    *out = NULL;
    cfg.tag = tag;
    ccz_rc rc = ccz_engine_detect(&kind, cfg.files, cfg.files_len, err);
    if (rc == CCZ_OK)
        rc = served_engines_get(&engine, engines, kind.backend, err);
    return rc == CCZ_OK ? ccz_model_load(out, engine, &cfg, err) : rc;
}

void served_folder_free(struct served_folder *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->len; i++) {
        ccz_pf_reader_free(f->reader[i]);
        if (f->fd[i] >= 0)
            (void)close(f->fd[i]);
        free((void *)(uintptr_t)f->file[i].name);
    }
    free(f);
}
