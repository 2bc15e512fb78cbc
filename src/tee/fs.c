/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "tee/tee_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
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

static int posix_ioctl(void *arg, int fd, unsigned long request, void *data)
{
    (void)arg;
    int rc = ioctl(fd, request, data);
    return rc < 0 ? -errno : rc;
}

static int posix_wait(void *arg, int fd, bool for_write, int64_t timeout_ms)
{
    (void)arg;
    struct pollfd p = {.fd = fd, .events = for_write ? POLLOUT : POLLIN};
    int64_t ms = timeout_ms < 0 ? 0 : timeout_ms < INT_MAX ? timeout_ms : INT_MAX;
    int n = poll(&p, 1, (int)ms);
    return n < 0 ? -errno : n;
}

static int64_t posix_send(void *arg, int fd, const void *buf, size_t size)
{
    (void)arg;
    ssize_t n = send(fd, buf, size, MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

/* struct sockaddr_vm of <linux/vm_sockets.h>, which is not installed everywhere. */
struct vsock_addr {
    sa_family_t family;
    uint16_t reserved;
    uint32_t port, cid;
    uint8_t zero[4];
};
_Static_assert(sizeof(struct vsock_addr) == sizeof(struct sockaddr), "ABI of AF_VSOCK");

static int finish_connect(int fd, int64_t timeout_ms)
{
    int64_t end_ms = ccz_mono_ms() + timeout_ms;
    int n;
    while ((n = posix_wait(NULL, fd, true, end_ms - ccz_mono_ms())) == -EINTR)
        ;
    if (n <= 0)
        return n < 0 ? n : -ETIMEDOUT;
    int e = 0;
    socklen_t size = sizeof(e);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &size) < 0 ? -errno : -e;
}

static int posix_connect(void *arg, uint32_t cid, uint32_t port, int64_t timeout_ms)
{
    (void)arg;
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    struct vsock_addr to = {.family = AF_VSOCK, .port = port, .cid = cid};
    int e = connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;
    if (e == -EINPROGRESS || e == -EINTR) /* goes on in the background in both cases */
        e = finish_connect(fd, timeout_ms);
    if (e == 0)
        return fd;
    (void)close(fd);
    return e;
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
    posix_open,    posix_read, posix_write, posix_close,  posix_mkdir,    posix_rmdir, posix_ioctl,
    posix_connect, posix_send, posix_wait,  posix_now_ms, posix_sleep_ms, NULL,
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

int cczi_tee_read_number(uint64_t *out, const struct cczi_tee_fs *fs, const char *path)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 32);
    int e = cczi_tee_read(&text, fs, path);
    if (e < 0)
        return e;
    uint64_t v = 0;
    size_t i = 0;
    for (; i < text.size && text.ptr[i] >= '0' && text.ptr[i] <= '9' && v < UINT64_MAX / 10 - 1;
         i++)
        v = v * 10 + (uint64_t)(text.ptr[i] - '0');
    if (i == 0 || i + 1 != text.size || text.ptr[i] != '\n')
        return -EPROTO;
    *out = v;
    return 0;
}
