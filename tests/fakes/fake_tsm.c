/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's /sys/kernel/config/tsm/report of a TDX guest, for one program that does not know better: LD_PRELOAD this. A folder that is
 * made there is made in $FAKE_TSM_DIR, with the attributes that the kernel would give it; reading "outblob" runs
 *     $FAKE_TSM_QUOTE HEX FILE
 * which makes the quote over what was written to "inblob". Only what a client in Rust calls is here.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, REPORT_DATA_SIZE = 64 };

static const char root[] = "/sys/kernel/config/tsm/report";
static const char *const attributes[] = {"provider", "generation", "inblob", "outblob"};

/* @return where it is; @p path itself if it is none of ours */
static const char *real_path(char out[PATH_SIZE], const char *path)
{
    const char *dir = getenv("FAKE_TSM_DIR");
    size_t n = sizeof(root) - 1;
    if (!dir || !path || strncmp(path, root, n) != 0 || (path[n] && path[n] != '/'))
        return path;
    (void)snprintf(out, PATH_SIZE, "%s%s", dir, path + n);
    return out;
}

static int real_open(const char *path, int flags, mode_t mode)
{
    int (*next)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    return next(path, flags, mode);
}

static int put(const char *dir, const char *name, const char *text)
{
    char path[PATH_SIZE];
    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
        return -1;
    int fd = real_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return ok ? 0 : -1;
}

/* @p outblob  its path, beside which the others are */
static int make_quote(const char *outblob)
{
    char dir[PATH_SIZE], path[PATH_SIZE], hex[2 * REPORT_DATA_SIZE + 1];
    unsigned char in[REPORT_DATA_SIZE];
    (void)snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(outblob, '/') - outblob), outblob);
    if (snprintf(path, sizeof(path), "%s/inblob", dir) >= (int)sizeof(path))
        return -1;
    int fd = real_open(path, O_RDONLY | O_CLOEXEC, 0), status = -1;
    bool whole = fd >= 0 && read(fd, in, sizeof(in)) == (ssize_t)sizeof(in);
    if (fd >= 0)
        close(fd);
    for (size_t i = 0; i < sizeof(in); i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", in[i]);
    const char *maker = getenv("FAKE_TSM_QUOTE");
    pid_t pid = whole && maker ? fork() : -1;
    if (pid == 0) {
        unsetenv("LD_PRELOAD");
        execl(maker, maker, hex, outblob, (char *)NULL);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        return -1;
    return put(dir, "generation", "1\n"); /* one inblob was written */
}

int mkdir(const char *path, mode_t mode)
{
    char room[PATH_SIZE];
    int (*next)(const char *, mode_t) = (int (*)(const char *, mode_t))dlsym(RTLD_NEXT, "mkdir");
    const char *at = real_path(room, path);
    if (next(at, mode) != 0)
        return -1;
    if (at != path)
        return put(at, "provider", "tdx_guest\n") || put(at, "generation", "0\n") ||
                       put(at, "inblob", "") || put(at, "outblob", "")
                   ? -1
                   : 0;
    return 0;
}

int rmdir(const char *path)
{
    char room[PATH_SIZE], file[PATH_SIZE];
    int (*next)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "rmdir");
    const char *at = real_path(room, path);
    for (size_t i = 0; at != path && i < sizeof(attributes) / sizeof(attributes[0]); i++)
        if (snprintf(file, sizeof(file), "%s/%s", at, attributes[i]) < (int)sizeof(file))
            (void)unlink(file);
    return next(at);
}

static int open_at(const char *path, int flags, mode_t mode)
{
    char room[PATH_SIZE];
    const char *at = real_path(room, path), *name = strrchr(at, '/');
    if (at != path && name && strcmp(name, "/outblob") == 0 && make_quote(at) != 0) {
        errno = EIO;
        return -1;
    }
    return real_open(at, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return open_at(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return open_at(path, flags, mode);
}

int statx(int dir, const char *path, int flags, unsigned mask, struct statx *out)
{
    char room[PATH_SIZE];
    int (*next)(int, const char *, int, unsigned, struct statx *) =
        (int (*)(int, const char *, int, unsigned, struct statx *))dlsym(RTLD_NEXT, "statx");
    return next(dir, real_path(room, path), flags, mask, out);
}
