/* SPDX-License-Identifier: Apache-2.0 */
/* Dictionaries as bytes, and in protected files piece by piece: a second copy in memory is never made. */
#define _DEFAULT_SOURCE
#include "ids.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAGIC_SIZE = 8, HEAD_SIZE = 16 };
static const char magic[MAGIC_SIZE + 1] = "CCZRIDS1";

/* -------------------------------------------------------------------------------------- writing */

static void put_head(struct ccz_buf *out, const struct ccz_recsys_ids *ids)
{
    ccz_buf_put(out, magic, MAGIC_SIZE);
    ccz_buf_le32(out, (uint32_t)ids->kind);
    ccz_buf_le32(out, ids->len);
}

static void put_id(struct ccz_buf *out, struct ccz_recsys_id id)
{
    if (id.kind == CCZ_RECSYS_ID_INT) {
        ccz_buf_le64(out, (uint64_t)id.num);
        return;
    }
    ccz_buf_le32(out, (uint32_t)id.text.size);
    ccz_buf_put_span(out, id.text);
}

void ccz_recsys_ids_put(struct ccz_buf *out, const struct ccz_recsys_ids *ids)
{
    put_head(out, ids);
    for (uint32_t n = 0; n < ids->len; n++)
        put_id(out, ccz_recsys_ids_get(ids, n));
}

static uint64_t file_size(const struct ccz_recsys_ids *ids)
{
    return HEAD_SIZE + (ids->kind == CCZ_RECSYS_ID_INT ? (uint64_t)ids->len * 8
                                                       : (uint64_t)ids->len * 4 + ids->text_size);
}

static ccz_rc write_to(const struct ccz_recsys_ids *ids, struct ccz_newfile *f,
                       const struct ccz_secret *key, const char *bound, struct ccz_err *err)
{
    CCZ_AUTO(ccz_pf_writer) w = NULL;
    const struct ccz_pf_io io = ccz_pf_io_fd(&f->fd);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, HEAD_SIZE + 4 + CCZ_RECSYS_ID_SIZE_MAX);
    b.wipe = true;
    const struct ccz_pf_cfg cfg = {.path = bound, .name = f->path};
    ccz_rc rc = ccz_pf_writer_new(&w, &io, file_size(ids), key, &cfg, err);
    put_head(&b, ids);
    for (uint32_t n = 0; rc == CCZ_OK && n <= ids->len; n++) {
        if (b.bad)
            return cczi_recsys_no_memory(err);
        rc = ccz_pf_writer_put(w, ccz_buf_span(&b), err);
        ccz_buf_clear(&b);
        if (n < ids->len)
            put_id(&b, ccz_recsys_ids_get(ids, n));
    }
    return rc == CCZ_OK ? ccz_pf_writer_finish(w, err) : rc;
}

ccz_rc ccz_recsys_ids_save(const struct ccz_recsys_ids *ids, const char *path,
                           const struct ccz_secret *key, const char *bound, struct ccz_err *err)
{
    struct ccz_newfile f;
    ccz_rc rc = ccz_newfile_open(&f, path, 0600, err);
    if (rc != CCZ_OK)
        return rc;
    rc = write_to(ids, &f, key, bound, err);
    if (rc == CCZ_OK)
        return ccz_newfile_commit(&f, CCZ_FILE_CREATE_ONLY, err);
    ccz_newfile_abort(&f);
    return rc;
}

/* -------------------------------------------------------------------------------------- reading */

/* Bytes in order, from memory or from a protected file. */
struct feed {
    struct ccz_span mem;
    struct ccz_pf_reader *file; /* NULL: mem */
    uint64_t at, size;
};

static ccz_rc bad_file(struct ccz_err *err, uint64_t at, const char *what)
{
    return ccz_fail(err, CCZ_E_FORMAT, "recsys:ids-file", (int64_t)at, "%s", what);
}

static ccz_rc take(void *out, struct feed *f, size_t size, struct ccz_err *err)
{
    if (size > f->size - f->at)
        return bad_file(err, f->at, "cut short");
    const uint64_t at = f->at;
    f->at += size;
    if (f->file)
        return ccz_pf_reader_read(out, f->file, at, size, err);
    memcpy(out, f->mem.ptr + at, size);
    return CCZ_OK;
}

static ccz_rc take_id(struct ccz_recsys_ids *ids, struct feed *f, struct ccz_err *err)
{
    uint8_t bytes[CCZ_RECSYS_ID_SIZE_MAX];
    const uint64_t at = f->at;
    struct ccz_recsys_id id = {.kind = ids->kind};
    ccz_rc rc = take(bytes, f, ids->kind == CCZ_RECSYS_ID_INT ? 8 : 4, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(bytes, 8));
    if (ids->kind == CCZ_RECSYS_ID_INT) {
        id.num = (int64_t)ccz_rd_le64(&r);
    } else {
        const uint32_t size = ccz_rd_le32(&r);
        if (size == 0 || size > CCZ_RECSYS_ID_SIZE_MAX)
            return bad_file(err, at, "an impossible size");
        rc = take(bytes, f, size, err);
        id.text = CCZ_SPAN(bytes, size);
    }
    const uint32_t next = ids->len;
    uint32_t number = 0;
    if (rc == CCZ_OK)
        rc = ccz_recsys_ids_add(&number, ids, id, err);
    ccz_wipe(bytes, sizeof(bytes));
    return rc == CCZ_OK && number != next ? bad_file(err, at, "an id is there twice") : rc;
}

static ccz_rc take_all(struct ccz_recsys_ids **out, struct feed *f, struct ccz_err *err)
{
    uint8_t head[HEAD_SIZE];
    ccz_rc rc = take(head, f, sizeof(head), err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(head + MAGIC_SIZE, HEAD_SIZE - MAGIC_SIZE));
    const uint32_t kind = ccz_rd_le32(&r), len = ccz_rd_le32(&r);
    if (memcmp(head, magic, MAGIC_SIZE) != 0 || kind > CCZ_RECSYS_ID_INT)
        return bad_file(err, 0, "no dictionary");
    CCZ_AUTO(ccz_recsys_ids) ids = NULL;
    rc = ccz_recsys_ids_new(&ids, (enum ccz_recsys_id_kind)kind, err);
    for (uint32_t n = 0; rc == CCZ_OK && n < len; n++)
        rc = take_id(ids, f, err);
    if (rc == CCZ_OK && f->at != f->size)
        return bad_file(err, f->at, "bytes behind the last id");
    if (rc == CCZ_OK)
        *out = ccz_recsys_ids_take(&ids);
    return rc;
}

ccz_rc ccz_recsys_ids_parse(struct ccz_recsys_ids **out, struct ccz_span in, struct ccz_err *err)
{
    *out = NULL;
    return take_all(out, &(struct feed){.mem = in, .size = in.size}, err);
}

ccz_rc cczi_recsys_open_regular(int *fd, const char *path, struct ccz_err *err)
{
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0)
        return ccz_fail(err, errno == ENOENT ? CCZ_E_NOT_FOUND : CCZ_E_IO, "recsys:open", errno,
                        "cannot open %s: %s", path, strerror(errno));
    if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode))
        return CCZ_OK;
    close(*fd);
    *fd = -1;
    return ccz_fail(err, CCZ_E_IO, "recsys:open", 0, "%s is not a regular file", path);
}

ccz_rc ccz_recsys_ids_load(struct ccz_recsys_ids **out, const char *path,
                           const struct ccz_secret *key, const char *bound, struct ccz_err *err)
{
    *out = NULL;
    int fd;
    ccz_rc rc = cczi_recsys_open_regular(&fd, path, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_pf_reader) r = NULL;
    const struct ccz_pf_io io = ccz_pf_io_fd(&fd);
    rc = ccz_pf_reader_open(&r, &io, key, &(struct ccz_pf_cfg){.path = bound, .name = path}, err);
    if (rc == CCZ_OK)
        rc = take_all(out, &(struct feed){.file = r, .size = ccz_pf_reader_size(r)}, err);
    close(fd);
    return rc;
}
