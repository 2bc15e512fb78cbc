/* SPDX-License-Identifier: Apache-2.0 */
/* The two storages of a protected file: an open file, and a buffer. */
#define _DEFAULT_SOURCE
#include "pf_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static ccz_rc fail_errno(struct ccz_err *err, const char *what)
{
    int e = errno;
    return ccz_fail(err, CCZ_E_IO, "pf:io", e, "%s: %s", what, strerror(e));
}

/* ------------------------------------------------------------------------------------ open file */

static int fd_of(void *arg)
{
    return *(const int *)arg;
}

static ccz_rc fd_read_at(void *out, void *arg, uint64_t offset, size_t size, struct ccz_err *err)
{
    uint8_t *p = out;
    while (size > 0) {
        ssize_t n = pread(fd_of(arg), p, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(err, "cannot read");
        if (n == 0)
            return ccz_fail(err, CCZ_E_IO, "pf:io", (int64_t)offset, "the file became shorter");
        p += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return CCZ_OK;
}

static ccz_rc fd_write_at(void *arg, uint64_t offset, struct ccz_span in, struct ccz_err *err)
{
    while (in.size > 0) {
        ssize_t n = pwrite(fd_of(arg), in.ptr, in.size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(err, "cannot write");
        in.ptr += n;
        offset += (uint64_t)n;
        in.size -= (size_t)n;
    }
    return CCZ_OK;
}

static ccz_rc fd_size(uint64_t *out, void *arg, struct ccz_err *err)
{
    struct stat st;
    *out = 0;
    if (fstat(fd_of(arg), &st) != 0)
        return fail_errno(err, "cannot stat");
    *out = (uint64_t)st.st_size;
    return CCZ_OK;
}

static ccz_rc fd_truncate(void *arg, uint64_t size, struct ccz_err *err)
{
    return ftruncate(fd_of(arg), (off_t)size) == 0 ? CCZ_OK : fail_errno(err, "cannot resize");
}

static ccz_rc fd_flush(void *arg, struct ccz_err *err)
{
    return fsync(fd_of(arg)) == 0 ? CCZ_OK : fail_errno(err, "cannot sync");
}

struct ccz_pf_io ccz_pf_io_fd(const int *fd)
{
    /* the callbacks read through it only */
    return (struct ccz_pf_io){fd_read_at,  fd_write_at, fd_size,
                              fd_truncate, fd_flush,    (void *)(uintptr_t)fd};
}

/* --------------------------------------------------------------------------------------- buffer */

static bool in_range(const struct ccz_buf *b, uint64_t offset, size_t size)
{
    return offset <= b->size && size <= b->size - offset;
}

static ccz_rc buf_read_at(void *out, void *arg, uint64_t offset, size_t size, struct ccz_err *err)
{
    const struct ccz_buf *b = arg;
    if (!in_range(b, offset, size))
        return ccz_fail(err, CCZ_E_IO, "pf:io", (int64_t)offset, "the file became shorter");
    memcpy(out, b->ptr + offset, size);
    return CCZ_OK;
}

static ccz_rc buf_write_at(void *arg, uint64_t offset, struct ccz_span in, struct ccz_err *err)
{
    struct ccz_buf *b = arg;
    if (!in_range(b, offset, in.size)) /* the writer and rekey stay inside the size they set */
        return ccz_fail(err, CCZ_E_IO, "pf:io", (int64_t)offset, "write behind the end");
    memcpy(b->ptr + offset, in.ptr, in.size);
    return CCZ_OK;
}

static ccz_rc buf_size(uint64_t *out, void *arg, struct ccz_err *err)
{
    const struct ccz_buf *b = arg;
    (void)err;
    *out = b->size;
    return CCZ_OK;
}

static ccz_rc buf_truncate(void *arg, uint64_t size, struct ccz_err *err)
{
    struct ccz_buf *b = arg;
    if (size > b->max_size)
        return ccz_fail(err, CCZ_E_LIMIT, "pf:buf-size", (int64_t)size,
                        "a protected file of %llu bytes does not fit into %zu",
                        (unsigned long long)size, b->max_size);
    if (size <= b->size) {
        b->size = (size_t)size;
        return CCZ_OK;
    }
    size_t more = (size_t)size - b->size;
    uint8_t *p = ccz_buf_extend(b, more);
    if (!p)
        return ccz_fail(err, CCZ_E_NOMEM, "pf:memory", (int64_t)size, "no memory");
    memset(p, 0, more);
    return CCZ_OK;
}

static ccz_rc buf_flush(void *arg, struct ccz_err *err)
{
    (void)arg;
    (void)err;
    return CCZ_OK;
}

struct ccz_pf_io ccz_pf_io_buf(struct ccz_buf *b)
{
    return (struct ccz_pf_io){buf_read_at, buf_write_at, buf_size, buf_truncate, buf_flush, b};
}
