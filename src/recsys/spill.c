/* SPDX-License-Identifier: Apache-2.0 */
/* Runs on disk: protected files without a name. */
#define _DEFAULT_SOURCE
#include "spill.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reading starts at the first block behind the head of a protected file, where it is fastest. */
enum { HEAD_SIZE = 3072 };
static const char bound[] = "run";

struct cczi_recsys_run {
    int fd;
    unsigned width;
    uint64_t len;
    struct ccz_secret *key;
    struct ccz_pf_writer *writer;
    struct ccz_pf_reader *reader;
    uint64_t size, at; /* plaintext bytes: all, and read from the file so far */
    /* [RECORD_WIDTH_MAX * 4 + buffer_size], aligned; [next, end) is not given out; what is left of a record moves in front */
    uint8_t *bytes;
    size_t buffer_size, next, end;
};

/* Not durable on purpose: what a crash leaves is of no use to anybody. */
static ccz_rc no_flush(void *arg, struct ccz_err *err)
{
    (void)arg;
    (void)err;
    return CCZ_OK;
}

static struct ccz_pf_io run_io(const struct cczi_recsys_run *r)
{
    struct ccz_pf_io io = ccz_pf_io_fd(&r->fd);
    io.flush = no_flush;
    return io;
}

static ccz_rc open_file(struct cczi_recsys_run *r, const char *dir, struct ccz_err *err)
{
    r->fd = ccz_nameless_open(dir);
    if (r->fd >= 0)
        return CCZ_OK;
    return ccz_fail(err, errno == ENOENT ? CCZ_E_NOT_FOUND : CCZ_E_IO, "recsys:spill", errno,
                    "cannot make a file in %s: %s", dir, strerror(errno));
}

ccz_rc cczi_recsys_run_new(struct cczi_recsys_run **out, const char *dir, uint64_t len,
                           unsigned width, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(cczi_recsys_run) r = calloc(1, sizeof(*r));
    if (!r)
        return cczi_recsys_no_memory(err);
    r->fd = -1;
    r->len = len;
    r->width = width;
    r->size = len * width * sizeof(uint32_t);
    ccz_rc rc = ccz_pf_key_generate(&r->key, err);
    if (rc == CCZ_OK)
        rc = open_file(r, dir, err);
    const struct ccz_pf_io io = run_io(r);
    if (rc == CCZ_OK)
        rc = ccz_pf_writer_new(&r->writer, &io, r->size, r->key,
                               &(struct ccz_pf_cfg){.path = bound, .name = "a run on disk"}, err);
    if (rc == CCZ_OK)
        *out = cczi_recsys_run_take(&r);
    return rc;
}

void cczi_recsys_run_free(struct cczi_recsys_run *r)
{
    if (!r)
        return;
    ccz_pf_writer_free(r->writer);
    ccz_pf_reader_free(r->reader);
    ccz_secret_free(r->key);
    cczi_recsys_wipe_free(r->bytes, RECORD_WIDTH_MAX * sizeof(uint32_t) + r->buffer_size);
    if (r->fd >= 0)
        close(r->fd);
    free(r);
}

ccz_rc cczi_recsys_run_put(struct cczi_recsys_run *r, const uint32_t *rec, uint64_t len,
                           struct ccz_err *err)
{
    return ccz_pf_writer_put(
        r->writer, CCZ_SPAN((const void *)rec, (size_t)len * r->width * sizeof(*rec)), err);
}

ccz_rc cczi_recsys_run_end(struct cczi_recsys_run *r, struct ccz_err *err)
{
    ccz_rc rc = ccz_pf_writer_finish(r->writer, err);
    ccz_pf_writer_free(r->writer);
    r->writer = NULL;
    return rc;
}

uint64_t cczi_recsys_run_len(const struct cczi_recsys_run *r)
{
    return r->len;
}

uint64_t cczi_recsys_run_size(const struct cczi_recsys_run *r)
{
    const off_t size = lseek(r->fd, 0, SEEK_END);
    return size > 0 ? (uint64_t)size : 0;
}

ccz_rc cczi_recsys_run_start(struct cczi_recsys_run *r, size_t size, struct ccz_err *err)
{
    const struct ccz_pf_io io = run_io(r);
    r->bytes = cczi_recsys_alloc(RECORD_WIDTH_MAX * sizeof(uint32_t) + size, 1);
    r->buffer_size = r->bytes ? size : 0;
    if (!r->bytes)
        return cczi_recsys_no_memory(err);
    r->at = 0;
    r->next = r->end = RECORD_WIDTH_MAX * sizeof(uint32_t);
    return ccz_pf_reader_open(&r->reader, &io, r->key,
                              &(struct ccz_pf_cfg){.path = bound, .name = "a run on disk"}, err);
}

static ccz_rc refill(struct cczi_recsys_run *r, struct ccz_err *err)
{
    const size_t front = RECORD_WIDTH_MAX * sizeof(uint32_t), left = r->end - r->next;
    memmove(r->bytes + front - left, r->bytes + r->next, left);
    size_t size = r->at == 0 ? HEAD_SIZE + r->buffer_size / CCZ_PF_NODE_SIZE * CCZ_PF_NODE_SIZE -
                                   CCZ_PF_NODE_SIZE
                             : r->buffer_size / CCZ_PF_NODE_SIZE * CCZ_PF_NODE_SIZE;
    if (size > r->size - r->at)
        size = (size_t)(r->size - r->at);
    ccz_rc rc = ccz_pf_reader_read(r->bytes + front, r->reader, r->at, size, err);
    r->at += size;
    r->next = front - left;
    r->end = front + size;
    return rc;
}

ccz_rc cczi_recsys_run_next(const uint32_t **rec, struct cczi_recsys_run *r, struct ccz_err *err)
{
    const size_t size = r->width * sizeof(uint32_t);
    *rec = NULL;
    if (r->end - r->next < size && r->at < r->size) {
        ccz_rc rc = refill(r, err);
        if (rc != CCZ_OK)
            return rc;
    }
    if (r->end - r->next < size)
        return CCZ_OK;
    *rec = (const uint32_t *)(const void *)(r->bytes + r->next); /* `left` is a multiple of 4 */
    r->next += size;
    return CCZ_OK;
}
