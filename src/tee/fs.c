/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "tee/tee_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int posix_open(void *arg, const char *path, int flags)
{
    (void)arg;
    int fd = open(path, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int64_t posix_read(void *arg, int fd, void *buf, size_t size)
{
    (void)arg;
    ssize_t n = read(fd, buf, size);
    return n < 0 ? -errno : n;
}

static int64_t posix_write(void *arg, int fd, const void *buf, size_t size)
{
    (void)arg;
    ssize_t n = write(fd, buf, size);
    return n < 0 ? -errno : n;
}

static int posix_close(void *arg, int fd)
{
    (void)arg;
    return close(fd) < 0 ? -errno : 0;
}

static int posix_mkdir(void *arg, const char *path)
{
    (void)arg;
    return mkdir(path, 0700) < 0 ? -errno : 0;
}

static int posix_rmdir(void *arg, const char *path)
{
    (void)arg;
    return rmdir(path) < 0 ? -errno : 0;
}

static int64_t posix_now_ms(void *arg)
{
    (void)arg;
    return ccz_mono_ms();
}

static void posix_sleep_ms(void *arg, int64_t ms)
{
    (void)arg;
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL); /* cut short by a signal: the caller looks at the clock anyway */
}

const struct cczi_tee_fs cczi_tee_fs_posix = {
    posix_open,  posix_read,   posix_write,    posix_close, posix_mkdir,
    posix_rmdir, posix_now_ms, posix_sleep_ms, NULL,
};

int cczi_tee_read(struct ccz_buf *out, const struct cczi_tee_fs *fs, const char *path)
{
    int fd = fs->open(fs->arg, path, O_RDONLY);
    if (fd < 0)
        return fd;
    int rc = 0;
    for (;;) {
        uint8_t chunk[4096];
        int64_t n = fs->read(fs->arg, fd, chunk, sizeof(chunk));
        if (n <= 0) {
            rc = (int)n;
            break;
        }
        ccz_buf_put(out, chunk, (size_t)n);
        if (out->bad) {
            rc = -EFBIG;
            break;
        }
    }
    (void)fs->close(fs->arg, fd); /* read-only: nothing can be lost */
    return rc;
}

int cczi_tee_write(const struct cczi_tee_fs *fs, const char *path, struct ccz_span data)
{
    int fd = fs->open(fs->arg, path, O_WRONLY);
    if (fd < 0)
        return fd;
    int64_t n = fs->write(fs->arg, fd, data.ptr, data.size);
    int closed = fs->close(fs->arg, fd);
    if (n < 0)
        return (int)n;
    if ((size_t)n != data.size)
        return -EIO; /* a second write() would replace the first, not continue it */
    return closed;
}
