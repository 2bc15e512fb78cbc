/* SPDX-License-Identifier: Apache-2.0 */
/* Where bytes come from: a file, a protected file, a pinned one, memory. */
#define _DEFAULT_SOURCE
#include "ingest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ccz_recsys_source {
    int fd; /* -1: none */
    struct ccz_pf_reader *reader;
    struct ccz_pinned *pinned; /* borrowed; in clear, if there is no reader */
    uint64_t at, size;         /* of the reader, or what is pinned */
    struct ccz_span mem;       /* what is left */
    struct ccz_err last;       /* rc CCZ_OK: nothing failed */
};

static ccz_rc source_new(struct ccz_recsys_source **out, struct ccz_err *err)
{
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return cczi_recsys_no_memory(err);
    (*out)->fd = -1;
    return CCZ_OK;
}

void ccz_recsys_source_free(struct ccz_recsys_source *s)
{
    if (!s)
        return;
    ccz_pf_reader_free(s->reader);
    if (s->fd >= 0)
        close(s->fd);
    free(s);
}

ccz_rc ccz_recsys_source_mem(struct ccz_recsys_source **out, struct ccz_span text,
                             struct ccz_err *err)
{
    ccz_rc rc = source_new(out, err);
    if (rc == CCZ_OK)
        (*out)->mem = text;
    return rc;
}

ccz_rc ccz_recsys_source_file(struct ccz_recsys_source **out, const char *path, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_recsys_source) s = NULL;
    ccz_rc rc = source_new(&s, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_recsys_open_regular(&s->fd, path, err);
    if (rc == CCZ_OK)
        *out = ccz_recsys_source_take(&s);
    return rc;
}

ccz_rc ccz_recsys_source_protected(struct ccz_recsys_source **out, const char *path,
                                   const struct ccz_secret *key, const struct ccz_pf_cfg *cfg,
                                   struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_recsys_source) s = NULL;
    ccz_rc rc = ccz_recsys_source_file(&s, path, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_pf_io io = ccz_pf_io_fd(&s->fd);
    struct ccz_pf_cfg c = *cfg;
    if (!c.name)
        c.name = path;
    rc = ccz_pf_reader_open(&s->reader, &io, key, &c, err);
    if (rc != CCZ_OK)
        return rc;
    s->size = ccz_pf_reader_size(s->reader);
    *out = ccz_recsys_source_take(&s);
    return CCZ_OK;
}

ccz_rc ccz_recsys_source_pinned(struct ccz_recsys_source **out, struct ccz_pinned *pinned,
                                const struct ccz_secret *key, const struct ccz_pf_cfg *cfg,
                                struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_recsys_source) s = NULL;
    const struct ccz_pf_io io = {
        .read_at = ccz_pinned_read_at, .size = ccz_pinned_size_at, .arg = pinned};
    ccz_rc rc = source_new(&s, err);
    if (rc == CCZ_OK && key)
        rc = ccz_pf_reader_open(&s->reader, &io, key, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    s->pinned = pinned;
    s->size = key ? ccz_pf_reader_size(s->reader) : ccz_pinned_size(pinned);
    *out = ccz_recsys_source_take(&s);
    return CCZ_OK;
}

/* What has a size and offsets. */
static ptrdiff_t read_at(struct ccz_recsys_source *s, void *to, size_t size)
{
    if (size > s->size - s->at)
        size = (size_t)(s->size - s->at);
    if (size == 0)
        return 0;
    const ccz_rc rc = s->reader ? ccz_pf_reader_read(to, s->reader, s->at, size, &s->last)
                                : ccz_pinned_read_at(to, s->pinned, s->at, size, &s->last);
    if (rc != CCZ_OK)
        return -1;
    s->at += size;
    return (ptrdiff_t)size;
}

ptrdiff_t cczi_recsys_source_read(void *source, void *to, size_t size)
{
    struct ccz_recsys_source *s = source;
    if (s->reader || s->pinned)
        return read_at(s, to, size);
    if (s->fd < 0) {
        const size_t n = s->mem.size < size ? s->mem.size : size;
        if (n > 0)
            memcpy(to, s->mem.ptr, n);
        s->mem = ccz_span_sub(s->mem, n, s->mem.size - n);
        return (ptrdiff_t)n;
    }
    ssize_t n;
    do
        n = read(s->fd, to, size);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        (void)ccz_fail(&s->last, CCZ_E_IO, "recsys:read", errno, "cannot read: %s",
                       strerror(errno));
    return n;
}

ccz_rc cczi_recsys_source_why(const struct ccz_recsys_source *s, ccz_rc rc, struct ccz_err *err)
{
    if (rc != CCZ_E_IO || s->last.rc == CCZ_OK)
        return rc;
    if (err)
        *err = s->last;
    return s->last.rc;
}
