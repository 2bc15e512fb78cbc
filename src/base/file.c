/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include <cczoo/base.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static ccz_rc fail_errno(struct ccz_err *err, const char *where, const char *what, const char *path)
{
    int e = errno;
    return ccz_fail(err, e == ENOENT ? CCZ_E_NOT_FOUND : CCZ_E_IO, where, e, "%s %s: %s", what,
                    path, strerror(e));
}

static ccz_rc read_fd(struct ccz_buf *out, int fd, const char *path, struct ccz_err *err)
{
    for (;;) {
        uint8_t chunk[16384];
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(err, "file:read", "cannot read", path);
        ccz_buf_put(out, chunk, (size_t)n);
        if (out->wipe)
            ccz_wipe(chunk, sizeof(chunk));
        if (out->bad)
            return ccz_fail(err, CCZ_E_LIMIT, "file:size", (int64_t)out->max_size,
                            "%s is larger than %zu bytes", path, out->max_size);
        if (n == 0)
            return CCZ_OK;
    }
}

ccz_rc ccz_file_read(struct ccz_buf *out, const char *path, struct ccz_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, "file:read", "cannot open", path);
    ccz_rc rc = read_fd(out, fd, path, err);
    close(fd);
    return rc;
}

static ccz_rc refuse_mode(const char *path, const struct stat *st, struct ccz_err *err)
{
    char got[CCZ_ERR_VALUE_SIZE], hint[CCZ_ERR_HINT_SIZE];
    bool file = S_ISREG(st->st_mode);
    (void)snprintf(got, sizeof(got), "%04o%s", (unsigned)(st->st_mode & 07777),
                   file ? "" : ", no regular file");
    ccz_refuse(err, CCZ_E_DENIED, "file:permissions", got, "0600");
    (void)snprintf(hint, sizeof(hint), "a key file must be readable by its owner only: %s%s",
                   file ? "chmod 600 " : "", path);
    return ccz_hint(err, CCZ_E_DENIED, hint);
}

ccz_rc ccz_file_read_secret(struct ccz_secret **out, const char *path, size_t max_size,
                            struct ccz_err *err)
{
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, "file:read", "cannot open", path);
    struct stat st;
    ccz_rc rc = CCZ_OK;
    if (fstat(fd, &st) != 0)
        rc = fail_errno(err, "file:read", "cannot stat", path);
    else if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0)
        rc = refuse_mode(path, &st, err);
    struct ccz_buf b;
    ccz_buf_init(&b, max_size);
    b.wipe = true;
    if (rc == CCZ_OK)
        rc = read_fd(&b, fd, path, err);
    close(fd);
    if (rc == CCZ_OK && b.size == 0)
        rc = ccz_fail(err, CCZ_E_FORMAT, "file:size", 0, "%s is empty", path);
    if (rc == CCZ_OK)
        rc = ccz_secret_from(out, b.ptr, b.size);
    ccz_buf_free(&b);
    return rc;
}

static ccz_rc write_all(int fd, struct ccz_span data)
{
    while (data.size) {
        ssize_t n = write(fd, data.ptr, data.size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return CCZ_E_IO;
        data.ptr += n;
        data.size -= (size_t)n;
    }
    return CCZ_OK;
}

/* A rename is durable only once its directory is. */
ccz_rc ccz_sync_parent(const char *path, struct ccz_err *err)
{
    char dir[4096];
    int n = snprintf(dir, sizeof(dir), "%s", path);
    if (n < 0 || (size_t)n >= sizeof(dir))
        return ccz_fail(err, CCZ_E_IO, "file:sync", n, "path is longer than %zu bytes",
                        sizeof(dir));
    char *slash = strrchr(dir, '/');
    if (slash)
        slash[slash == dir] = 0;
    int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return ccz_fail(err, CCZ_E_IO, "file:sync", errno, "cannot open the folder of %s: %s", path,
                        strerror(errno));
    ccz_rc rc = CCZ_OK;
    if (fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP)
        rc = ccz_fail(err, CCZ_E_IO, "file:sync", errno, "cannot sync the folder of %s: %s", path,
                      strerror(errno));
    close(fd);
    return rc;
}

ccz_rc ccz_newfile_open(struct ccz_newfile *f, const char *path, unsigned perm, struct ccz_err *err)
{
    *f = (struct ccz_newfile){.fd = -1, .path = path};
    int n = snprintf(f->tmp, sizeof(f->tmp), "%s.%ld.tmp", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof(f->tmp))
        return ccz_fail(err, CCZ_E_LIMIT, "file:path", n, "path is longer than %zu bytes",
                        sizeof(f->tmp));
    (void)unlink(f->tmp); /* left by a crashed process with our pid */
    f->fd = open(f->tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, perm);
    if (f->fd < 0)
        return fail_errno(err, "file:write", "cannot create", f->tmp);
    if (fchmod(f->fd, perm) != 0) { /* whatever the umask */
        ccz_rc rc = fail_errno(err, "file:write", "cannot set the mode of", f->tmp);
        ccz_newfile_abort(f);
        return rc;
    }
    return CCZ_OK;
}

void ccz_newfile_abort(struct ccz_newfile *f)
{
    if (f->fd < 0)
        return;
    close(f->fd);
    f->fd = -1;
    (void)unlink(f->tmp);
}

/* Gives the finished file its name: link() fails if that exists, rename() replaces it. */
static ccz_rc take_name(const struct ccz_newfile *f, enum ccz_file_mode mode, struct ccz_err *err)
{
    if (mode == CCZ_FILE_REPLACE)
        return rename(f->tmp, f->path) == 0
                   ? CCZ_OK
                   : fail_errno(err, "file:write", "cannot rename to", f->path);
    if (link(f->tmp, f->path) != 0) {
        if (errno != EEXIST)
            return fail_errno(err, "file:write", "cannot create", f->path);
        ccz_fail(err, CCZ_E_EXISTS, "file:exists", 0, "%s exists already", f->path);
        return ccz_hint(err, CCZ_E_EXISTS, "choose another name or move the old file away");
    }
    (void)unlink(f->tmp);
    return CCZ_OK;
}

ccz_rc ccz_newfile_commit(struct ccz_newfile *f, enum ccz_file_mode mode, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    if (fsync(f->fd) != 0)
        rc = fail_errno(err, "file:write", "cannot write", f->tmp);
    if (rc == CCZ_OK)
        rc = take_name(f, mode, err);
    if (rc != CCZ_OK) {
        ccz_newfile_abort(f);
        return rc;
    }
    close(f->fd);
    f->fd = -1;
    return ccz_sync_parent(f->path, err);
}

ccz_rc ccz_file_write(const char *path, struct ccz_span data, unsigned perm,
                      enum ccz_file_mode mode, struct ccz_err *err)
{
    struct ccz_newfile f;
    ccz_rc rc = ccz_newfile_open(&f, path, perm, err);
    if (rc != CCZ_OK)
        return rc;
    if (write_all(f.fd, data) != CCZ_OK) {
        rc = fail_errno(err, "file:write", "cannot write", f.tmp);
        ccz_newfile_abort(&f);
        return rc;
    }
    return ccz_newfile_commit(&f, mode, err);
}

ccz_rc ccz_dir_make(const char *path, unsigned perm, struct ccz_err *err)
{
    char p[4096];
    int n = snprintf(p, sizeof(p), "%s", path);
    if (n <= 0 || (size_t)n >= sizeof(p))
        return ccz_fail(err, CCZ_E_ARG, "file:path", n, "bad directory name");
    for (char *s = p + 1; *s; s++) {
        if (*s != '/')
            continue;
        *s = 0;
        if (mkdir(p, 0755) != 0 && errno != EEXIST)
            return fail_errno(err, "file:mkdir", "cannot create", p);
        *s = '/';
    }
    if (mkdir(p, perm) != 0 && errno != EEXIST)
        return fail_errno(err, "file:mkdir", "cannot create", p);
    struct stat st;
    if (stat(p, &st) != 0 || !S_ISDIR(st.st_mode))
        return ccz_fail(err, CCZ_E_IO, "file:mkdir", 0, "%s is not a directory", p);
    return CCZ_OK;
}

static int64_t system_now_s(void *arg)
{
    (void)arg;
    return (int64_t)time(NULL);
}

struct ccz_clock ccz_clock_system(void)
{
    return (struct ccz_clock){system_now_s, NULL};
}

int64_t ccz_clock_now_s(struct ccz_clock c)
{
    return c.now_s(c.arg);
}

int64_t ccz_mono_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t ccz_mono_ms(void)
{
    return ccz_mono_ns() / 1000000;
}
