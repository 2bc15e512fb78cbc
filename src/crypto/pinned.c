/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are read as they were hashed. */
#define _DEFAULT_SOURCE
#include <cczoo/crypto.h>
#include <cczoo/pinned.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = CCZ_PINNED_CHUNK_SIZE };

struct ccz_pinned {
    int fd;
    uint64_t size;
    uint8_t sha256[32];
    struct ccz_buf chunks; /* their digests, one behind the other */
    uint8_t *held;         /* one chunk, compared; nobody else writes there */
    uint64_t which;        /* UINT64_MAX: none */
};

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "pinned:memory", 0, "out of memory");
}

static ccz_rc changed(struct ccz_err *err, const char *got)
{
    return ccz_hint(err,
                    ccz_refuse(err, CCZ_E_SIG, "pinned:changed", got,
                               "the file as it was when its digest was taken"),
                    "somebody writes to the file while it is read");
}

static ccz_rc open_regular(int *fd, uint64_t *size, const char *path, struct ccz_err *err)
{
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is not waited for */
    if (*fd < 0)
        return ccz_fail(err, errno == ENOENT ? CCZ_E_NOT_FOUND : CCZ_E_IO, "pinned:open", errno,
                        "cannot open %.120s: %s", path, strerror(errno));
    if (fstat(*fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < 0)
        return ccz_fail(err, CCZ_E_IO, "pinned:open", 0, "%.120s is not a regular file", path);
    *size = (uint64_t)st.st_size;
    return *size <= CCZ_PINNED_SIZE_MAX
               ? CCZ_OK
               : ccz_refuse_num(err, CCZ_E_LIMIT, "pinned:size", (int64_t)*size,
                                (int64_t)CCZ_PINNED_SIZE_MAX);
}

/* Up to @p size bytes: fewer only at the end of the file. */
static ccz_rc take(size_t *got, const struct ccz_pinned *p, uint64_t offset, size_t size,
                   struct ccz_err *err)
{
    for (*got = 0; *got < size;) {
        const ssize_t n = pread(p->fd, p->held + *got, size - *got, (off_t)(offset + *got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ccz_fail(err, CCZ_E_IO, "pinned:read", errno, "cannot read: %s",
                            strerror(errno));
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return CCZ_OK;
}

/* Up to the size that the file had when it was opened, whatever somebody appends meanwhile. */
static ccz_rc pin(struct ccz_pinned *p, struct ccz_err *err)
{
    CCZ_AUTO(ccz_hasher) whole = NULL;
    size_t n = 0;
    ccz_rc rc = ccz_hasher_new(&whole, CCZ_SHA256) == CCZ_OK ? CCZ_OK : no_memory(err);
    for (uint64_t at = 0; rc == CCZ_OK && at < p->size; at += n) {
        const size_t size = p->size - at < CHUNK ? (size_t)(p->size - at) : CHUNK;
        rc = take(&n, p, at, size, err);
        if (rc == CCZ_OK && n < size)
            rc = changed(err, "a file that is cut while it is pinned");
        uint8_t *digest = rc == CCZ_OK ? ccz_buf_extend(&p->chunks, 32) : NULL;
        const struct ccz_span bytes = CCZ_SPAN(p->held, n);
        if (rc == CCZ_OK && (!digest || ccz_sha256(digest, bytes) != CCZ_OK ||
                             ccz_hasher_put(whole, bytes) != CCZ_OK))
            rc = no_memory(err);
    }
    if (rc == CCZ_OK)
        rc = take(&n, p, p->size, 1, err);
    if (rc == CCZ_OK && n)
        rc = changed(err, "a file that grows while it is pinned");
    if (rc == CCZ_OK && ccz_hasher_done(p->sha256, whole) != CCZ_OK)
        rc = no_memory(err);
    return rc;
}

ccz_rc ccz_pinned_open(struct ccz_pinned **out, const char *path, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_pinned) p = calloc(1, sizeof(*p));
    if (!p)
        return no_memory(err);
    p->fd = -1;
    p->which = UINT64_MAX;
    ccz_buf_init(&p->chunks, SIZE_MAX >> 1);
    p->held = malloc(CHUNK);
    ccz_rc rc = p->held ? open_regular(&p->fd, &p->size, path, err) : no_memory(err);
    if (rc == CCZ_OK)
        rc = pin(p, err);
    if (rc == CCZ_OK)
        *out = ccz_pinned_take(&p);
    return rc;
}

void ccz_pinned_free(struct ccz_pinned *p)
{
    if (!p)
        return;
    if (p->fd >= 0)
        close(p->fd);
    ccz_buf_free(&p->chunks);
    free(p->held);
    free(p);
}

const uint8_t *ccz_pinned_sha256(const struct ccz_pinned *p)
{
    return p->sha256;
}

uint64_t ccz_pinned_size(const struct ccz_pinned *p)
{
    return p->size;
}

ccz_rc ccz_pinned_size_at(uint64_t *out, void *pinned, struct ccz_err *err)
{
    (void)err;
    *out = ((const struct ccz_pinned *)pinned)->size;
    return CCZ_OK;
}

/* Chunk @p which is in `held`, and is what it was. */
static ccz_rc hold(struct ccz_pinned *p, uint64_t which, struct ccz_err *err)
{
    const uint64_t left = p->size - which * CHUNK;
    const size_t size = left < CHUNK ? (size_t)left : CHUNK;
    uint8_t digest[32];
    size_t got;
    if (p->which == which)
        return CCZ_OK;
    p->which = UINT64_MAX; /* until it is compared */
    ccz_rc rc = take(&got, p, which * CHUNK, size, err);
    if (rc == CCZ_OK && got == size && ccz_sha256(digest, CCZ_SPAN(p->held, size)) != CCZ_OK)
        rc = no_memory(err);
    if (rc == CCZ_OK &&
        (got < size || memcmp(digest, p->chunks.ptr + (size_t)which * 32, sizeof(digest)) != 0)) {
        char text[64];
        (void)snprintf(text, sizeof(text), "chunk %llu is %s", (unsigned long long)which,
                       got < size ? "cut short" : "another one");
        return changed(err, text);
    }
    if (rc == CCZ_OK)
        p->which = which;
    return rc;
}

ccz_rc ccz_pinned_read_at(void *out, void *pinned, uint64_t offset, size_t size,
                          struct ccz_err *err)
{
    struct ccz_pinned *p = pinned;
    uint8_t *to = out;
    if (offset > p->size || size > p->size - offset)
        return ccz_fail(err, CCZ_E_IO, "pinned:range", (int64_t)offset, "behind the end");
    while (size > 0) {
        const uint64_t which = offset / CHUNK;
        const size_t in = (size_t)(offset % CHUNK), n = size < CHUNK - in ? size : CHUNK - in;
        ccz_rc rc = hold(p, which, err);
        if (rc != CCZ_OK)
            return rc;
        memcpy(to, p->held + in, n);
        to += n;
        offset += n;
        size -= n;
    }
    return CCZ_OK;
}
