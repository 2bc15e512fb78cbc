/* SPDX-License-Identifier: Apache-2.0 */
/* Streams the files of a model to where a back end reads them: one wiped chunk of plaintext at a
 * time. */
#define _GNU_SOURCE
#include "engine/engine_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* "a/b.c": no empty part, no part that begins with a dot, printable ASCII. So it stays below its
 * folder. */
static bool name_ok(const char *name)
{
    size_t size = strlen(name);
    if (size == 0 || size > CCZ_MODEL_NAME_SIZE_MAX || name[size - 1] == '/')
        return false;
    for (size_t i = 0; i < size; i++) {
        bool first = i == 0 || name[i - 1] == '/';
        if (name[i] <= ' ' || name[i] > '~' || (first && (name[i] == '/' || name[i] == '.')))
            return false;
    }
    return true;
}

ccz_rc cczi_files_check(const struct ccz_model_cfg *cfg, struct ccz_err *err)
{
    if (cfg->files_len == 0 || cfg->files_len > CCZ_MODEL_FILES_MAX)
        return ccz_fail(err, CCZ_E_ARG, "engine:files", (int64_t)cfg->files_len,
                        "a model has 1 to %d files", CCZ_MODEL_FILES_MAX);
    for (size_t i = 0; i < cfg->files_len; i++) {
        bool repeats = false;
        for (size_t k = 0; k < i; k++)
            repeats = repeats || strcmp(cfg->files[i].name, cfg->files[k].name) == 0;
        if (!name_ok(cfg->files[i].name) || repeats) {
            char shown[64];
            ccz_escape(shown, sizeof(shown), ccz_span_str(cfg->files[i].name));
            return ccz_refuse(err, CCZ_E_ARG, "engine:file-name", shown,
                              repeats ? "unique names" : "a relative path of plain parts");
        }
    }
    return CCZ_OK;
}

/* The folders above a file, outermost first; a sink accepts that one exists already. */
static ccz_rc make_dirs(const struct cczi_sink *sink, const char *name, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (const char *s = strchr(name, '/'); rc == CCZ_OK && s; s = strchr(s + 1, '/')) {
        char dir[CCZ_MODEL_NAME_SIZE_MAX + 1] = {0};
        memcpy(dir, name, (size_t)(s - name));
        rc = sink->dir(sink->arg, dir, err);
    }
    return rc;
}

static ccz_rc copy_file(const struct ccz_model_cfg *cfg, size_t i, const struct cczi_sink *sink,
                        uint8_t *chunk, struct ccz_err *err)
{
    const struct ccz_model_file *f = &cfg->files[i];
    ccz_rc rc = sink->open(sink->arg, f->name, err);
    if (rc != CCZ_OK)
        return rc;
    for (uint64_t at = 0; rc == CCZ_OK && at < f->size;) {
        size_t size =
            f->size - at < CCZ_MODEL_CHUNK_SIZE ? (size_t)(f->size - at) : CCZ_MODEL_CHUNK_SIZE;
        rc = cfg->read_at(cfg->arg, i, at, chunk, size, err);
        if (rc == CCZ_OK)
            rc = sink->write(sink->arg, CCZ_SPAN(chunk, size), err);
        at += size;
    }
    ccz_rc closed = sink->close(sink->arg, rc == CCZ_OK ? err : NULL);
    return rc != CCZ_OK ? rc : closed;
}

ccz_rc cczi_stage_copy(const struct ccz_model_cfg *cfg, const struct cczi_sink *sink,
                       struct ccz_err *err)
{
    ccz_rc rc = cczi_files_check(cfg, err);
    if (rc != CCZ_OK)
        return rc;
    size_t size = 1; /* of the largest piece */
    for (size_t i = 0; i < cfg->files_len; i++)
        size = cfg->files[i].size > size ? (size_t)cfg->files[i].size : size;
    size = size < CCZ_MODEL_CHUNK_SIZE ? size : CCZ_MODEL_CHUNK_SIZE;
    CCZ_AUTO(ccz_secret) chunk = NULL; /* kept out of core dumps, wiped on every way out */
    rc = ccz_secret_new(&chunk, size);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "engine:stage", 0, "no memory for a chunk");
    for (size_t i = 0; rc == CCZ_OK && i < cfg->files_len; i++)
        rc = make_dirs(sink, cfg->files[i].name, err);
    for (size_t i = 0; rc == CCZ_OK && i < cfg->files_len; i++)
        rc = copy_file(cfg, i, sink, ccz_secret_bytes(chunk), err);
    return rc;
}

/* ------------------------------------------------------------------- a private folder in RAM */

static ccz_rc tmpfs_errno(struct ccz_err *err, const char *what, const char *name)
{
    int e = errno;
    return ccz_fail(err, CCZ_E_IO, "engine:tmpfs", e, "cannot %s %.80s: %s", what, name,
                    strerror(e));
}

ccz_rc cczi_tmpfs_open(struct cczi_tmpfs *t, const struct ccz_model_cfg *cfg, struct ccz_err *err)
{
    *t = (struct cczi_tmpfs){.dir_fd = -1, .file_fd = -1, .cfg = cfg};
    const char *base = cfg->tmpfs_dir ? cfg->tmpfs_dir : "/dev/shm";
    int n = snprintf(t->path, sizeof(t->path), "%s/cczoo-XXXXXX", base);
    if (n < 0 || (size_t)n >= sizeof(t->path)) {
        t->path[0] = 0;
        return ccz_fail(err, CCZ_E_ARG, "engine:tmpfs", n, "the folder name is too long");
    }
    if (!mkdtemp(t->path)) {
        t->path[0] = 0;
        return tmpfs_errno(err, "make a folder in", base);
    }
    /* From here on the folder is reached through its descriptor: it cannot be swapped for another.
     */
    struct stat st;
    struct statfs fs;
    t->dir_fd = open(t->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    ccz_rc rc = CCZ_OK;
    if (t->dir_fd < 0 || fstat(t->dir_fd, &st) != 0 || fstatfs(t->dir_fd, &fs) != 0)
        rc = tmpfs_errno(err, "open", t->path);
    else if (st.st_uid != geteuid() || (st.st_mode & 07777) != 0700)
        rc = ccz_fail(err, CCZ_E_DENIED, "engine:tmpfs", (int64_t)st.st_mode, "%s is not private",
                      t->path);
    else if (fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC)
        rc = ccz_hint(
            err,
            ccz_refuse(err, CCZ_E_DENIED, "engine:tmpfs", base, "a folder of a tmpfs or ramfs"),
            "a model in clear is never written to a disk");
    if (rc != CCZ_OK)
        cczi_tmpfs_remove(t);
    return rc;
}

static ccz_rc tmpfs_dir(void *arg, const char *name, struct ccz_err *err)
{
    struct cczi_tmpfs *t = arg;
    if (mkdirat(t->dir_fd, name, 0700) != 0 && errno != EEXIST)
        return tmpfs_errno(err, "make", name);
    return CCZ_OK;
}

static ccz_rc tmpfs_file(void *arg, const char *name, struct ccz_err *err)
{
    struct cczi_tmpfs *t = arg;
    t->file_fd =
        openat(t->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return t->file_fd < 0 ? tmpfs_errno(err, "create", name) : CCZ_OK;
}

static ccz_rc tmpfs_write(void *arg, struct ccz_span chunk, struct ccz_err *err)
{
    struct cczi_tmpfs *t = arg;
    while (chunk.size) {
        ssize_t n = write(t->file_fd, chunk.ptr, chunk.size);
        if (n < 0 && errno != EINTR)
            return tmpfs_errno(err, "write in", t->path);
        if (n > 0)
            chunk = ccz_span_sub(chunk, (size_t)n, chunk.size - (size_t)n);
    }
    return CCZ_OK;
}

static ccz_rc tmpfs_close(void *arg, struct ccz_err *err)
{
    struct cczi_tmpfs *t = arg;
    int rc = close(t->file_fd);
    t->file_fd = -1;
    return rc != 0 ? tmpfs_errno(err, "close a file in", t->path) : CCZ_OK;
}

ccz_rc cczi_tmpfs_fill(struct cczi_tmpfs *t, struct ccz_err *err)
{
    struct cczi_sink sink = {tmpfs_dir, tmpfs_file, tmpfs_write, tmpfs_close, t};
    return cczi_stage_copy(t->cfg, &sink, err);
}

/* Removes what cczi_stage_copy() can have made: the names are known, nothing is searched. */
void cczi_tmpfs_remove(struct cczi_tmpfs *t)
{
    for (size_t i = 0; t->dir_fd >= 0 && i < t->cfg->files_len; i++)
        if (name_ok(t->cfg->files[i].name))
            (void)unlinkat(t->dir_fd, t->cfg->files[i].name, 0);
    for (size_t i = 0; t->dir_fd >= 0 && i < t->cfg->files_len; i++) {
        char dir[CCZ_MODEL_NAME_SIZE_MAX + 1] = {0};
        if (!name_ok(t->cfg->files[i].name))
            continue;
        (void)snprintf(dir, sizeof(dir), "%s", t->cfg->files[i].name);
        for (char *s;
             (s = strrchr(dir, '/')) != NULL;) { /* innermost first; a folder still in use stays */
            *s = 0;
            (void)unlinkat(t->dir_fd, dir, AT_REMOVEDIR);
        }
    }
    if (t->dir_fd >= 0)
        close(t->dir_fd);
    t->dir_fd = -1;
    if (t->path[0])
        (void)rmdir(t->path);
    t->path[0] = 0;
}
