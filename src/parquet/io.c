/* SPDX-License-Identifier: Apache-2.0 */
/* Sources and sinks: open files, memory. */
#define _DEFAULT_SOURCE
#include <cczoo/parquet.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static ccz_rc fd_read_at(void *out, void *arg, uint64_t offset, size_t size, struct ccz_err *err)
{
    const int *fd = arg;
    uint8_t *to = out;
    while (size > 0) {
        ssize_t n = pread(*fd, to, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ccz_fail(err, CCZ_E_IO, "parquet:read", n < 0 ? errno : 0, "reading failed: %s",
                            n < 0 ? strerror(errno) : "the file ends");
        to += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return CCZ_OK;
}

static ccz_rc fd_size(uint64_t *out, void *arg, struct ccz_err *err)
{
    struct stat st;
    if (fstat(*(const int *)arg, &st) != 0 || !S_ISREG(st.st_mode))
        return ccz_fail(err, CCZ_E_IO, "parquet:read", errno, "not a regular file");
    *out = (uint64_t)st.st_size;
    return CCZ_OK;
}

struct ccz_pq_source ccz_pq_source_fd(const int *fd)
{
    return (struct ccz_pq_source){.read_at = fd_read_at, .size = fd_size, .arg = (void *)fd};
}

static ccz_rc mem_read_at(void *out, void *arg, uint64_t offset, size_t size, struct ccz_err *err)
{
    const struct ccz_span *s = arg;
    if (offset > s->size || size > s->size - offset)
        return ccz_fail(err, CCZ_E_IO, "parquet:read", (int64_t)offset, "behind the end");
    if (size > 0)
        memcpy(out, s->ptr + offset, size);
    return CCZ_OK;
}

static ccz_rc mem_size(uint64_t *out, void *arg, struct ccz_err *err)
{
    (void)err;
    *out = ((const struct ccz_span *)arg)->size;
    return CCZ_OK;
}

struct ccz_pq_source ccz_pq_source_mem(const struct ccz_span *bytes)
{
    return (struct ccz_pq_source){.read_at = mem_read_at, .size = mem_size, .arg = (void *)bytes};
}

static ccz_rc fd_write(void *arg, struct ccz_span in, struct ccz_err *err)
{
    const int *fd = arg;
    while (in.size > 0) {
        ssize_t n = write(*fd, in.ptr, in.size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ccz_fail(err, CCZ_E_IO, "parquet:write", errno, "writing failed: %s",
                            strerror(errno));
        in = ccz_span_sub(in, (size_t)n, in.size - (size_t)n);
    }
    return CCZ_OK;
}

struct ccz_pq_sink ccz_pq_sink_fd(const int *fd)
{
    return (struct ccz_pq_sink){.write = fd_write, .arg = (void *)fd};
}

static ccz_rc buf_write(void *arg, struct ccz_span in, struct ccz_err *err)
{
    struct ccz_buf *b = arg;
    if (b->bad || in.size > b->max_size - b->size)
        return ccz_fail(err, CCZ_E_LIMIT, "parquet:sink", (int64_t)b->max_size,
                        "the buffer holds at most %zu bytes", b->max_size);
    ccz_buf_put_span(b, in);
    return b->bad ? ccz_fail(err, CCZ_E_NOMEM, "parquet:memory", 0, "out of memory") : CCZ_OK;
}

struct ccz_pq_sink ccz_pq_sink_buf(struct ccz_buf *b)
{
    return (struct ccz_pq_sink){.write = buf_write, .arg = b};
}
