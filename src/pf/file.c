/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files: plaintext in, protected file out, and back. */
#define _DEFAULT_SOURCE
#include "pf_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Plaintext moves in pieces of whole blocks; the first one has the head in front. */
#define PIECE_SIZE (PF_BLOCKS_PER_MHT * PF_NODE_SIZE)

static size_t piece_size(uint64_t offset, uint64_t left)
{
    size_t n = offset == 0 ? PF_HEAD_SIZE + PIECE_SIZE : PIECE_SIZE;
    return left < n ? (size_t)left : n;
}

/* ------------------------------------------------------------------------------ open, create */

/* Neither links nor devices: what is opened must be the file that was named. */
static ccz_rc open_input(int *fd, const char *path, struct ccz_err *err)
{
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (*fd < 0 && errno == ELOOP)
        return cczi_pf_refuse_type(err, path, "is a symbolic link", "a regular file");
    if (*fd < 0) {
        int e = errno;
        return ccz_fail(err, e == ENOENT ? CCZ_E_NOT_FOUND : CCZ_E_IO, "file:read", e,
                        "cannot open %s: %s", path, strerror(e));
    }
    if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode))
        return CCZ_OK;
    close(*fd);
    *fd = -1;
    return cczi_pf_refuse_type(err, path, "is a folder or special file", "a regular file");
}

/* Said before the work; the commit decides (another process may be faster). */
static ccz_rc check_output(const char *path, const struct ccz_pf_cfg *cfg, struct ccz_err *err)
{
    struct stat st;
    if (cfg->replace || lstat(path, &st) != 0)
        return CCZ_OK;
    ccz_fail(err, CCZ_E_EXISTS, "file:exists", 0, "%s exists already", path);
    return ccz_hint(err, CCZ_E_EXISTS, "choose another name or ask for the file to be replaced");
}

/* Commits when `rc` is CCZ_OK, else removes what was written. */
static ccz_rc end_output(struct ccz_newfile *f, ccz_rc rc, const struct ccz_pf_cfg *cfg,
                         struct ccz_err *err)
{
    if (rc == CCZ_OK)
        return ccz_newfile_commit(f, cfg->replace ? CCZ_FILE_REPLACE : CCZ_FILE_CREATE_ONLY, err);
    ccz_newfile_abort(f);
    return rc;
}

/* Memory for one piece of plaintext, wiped when it is freed. */
static ccz_rc piece_alloc(struct ccz_buf *piece, struct ccz_err *err)
{
    ccz_buf_init(piece, PF_HEAD_SIZE + PIECE_SIZE);
    piece->wipe = true;
    if (!ccz_buf_extend(piece, PF_HEAD_SIZE + PIECE_SIZE))
        return ccz_fail(err, CCZ_E_NOMEM, "pf:memory", 0, "no memory");
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------------- encryption */

/* The plaintext file, as the storage that it is. */
struct source {
    struct ccz_pf_io io;
    struct cczi_pf_name name;
    uint64_t size;
};

static ccz_rc source_read(uint8_t *out, struct source *s, uint64_t offset, size_t size,
                          struct ccz_err *err)
{
    ccz_rc rc = s->io.read_at(out, s->io.arg, offset, size, err);
    return rc == CCZ_OK ? CCZ_OK : cczi_pf_io_fail(err, rc, &s->name);
}

static ccz_rc source_size(uint64_t *out, struct source *s, struct ccz_err *err)
{
    ccz_rc rc = s->io.size(out, s->io.arg, err);
    return rc == CCZ_OK ? CCZ_OK : cczi_pf_io_fail(err, rc, &s->name);
}

static ccz_rc encrypt_all(struct ccz_pf_writer *w, struct source *s, struct ccz_err *err)
{
    CCZ_AUTO_BUF piece;
    ccz_rc rc = piece_alloc(&piece, err);
    for (uint64_t offset = 0; offset < s->size && rc == CCZ_OK;) {
        size_t n = piece_size(offset, s->size - offset);
        rc = source_read(piece.ptr, s, offset, n, err);
        if (rc == CCZ_OK)
            rc = ccz_pf_writer_put(w, CCZ_SPAN(piece.ptr, n), err);
        offset += n;
    }
    uint64_t size_now = 0;
    if (rc == CCZ_OK)
        rc = source_size(&size_now, s, err);
    if (rc == CCZ_OK && size_now != s->size)
        rc = ccz_fail(err, CCZ_E_IO, "pf:io", (int64_t)size_now, "%s: grew while it was read",
                      s->name.text);
    return rc == CCZ_OK ? ccz_pf_writer_finish(w, err) : rc;
}

static ccz_rc encrypt_fd(const int *out, const int *in, const char *in_path,
                         const struct ccz_secret *key, const struct ccz_pf_cfg *cfg,
                         struct ccz_err *err)
{
    struct source s = {ccz_pf_io_fd(in), cczi_pf_name(&(struct ccz_pf_cfg){.name = in_path}), 0};
    ccz_rc rc = source_size(&s.size, &s, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_pf_io to = ccz_pf_io_fd(out);
    CCZ_AUTO(ccz_pf_writer) w = NULL;
    rc = ccz_pf_writer_new(&w, &to, s.size, key, cfg, err);
    return rc == CCZ_OK ? encrypt_all(w, &s, err) : rc;
}

ccz_rc ccz_pf_encrypt_file(const char *out_path, const char *in_path, const struct ccz_secret *key,
                           const struct ccz_pf_cfg *cfg, struct ccz_err *err)
{
    char bound[CCZ_PF_PATH_SIZE_MAX + 1];
    struct ccz_pf_cfg c = *cfg;
    c.name = out_path;
    ccz_rc rc = CCZ_OK;
    if (!c.path) {
        rc = ccz_pf_path_normalise(bound, out_path, err);
        c.path = bound;
    }
    if (rc == CCZ_OK)
        rc = check_output(out_path, cfg, err);
    if (rc != CCZ_OK)
        return rc;

    int in;
    rc = open_input(&in, in_path, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_newfile out;
    rc = ccz_newfile_open(&out, out_path, 0644, err);
    if (rc == CCZ_OK)
        rc = end_output(&out, encrypt_fd(&out.fd, &in, in_path, key, &c, err), cfg, err);
    close(in);
    return rc;
}

/* ---------------------------------------------------------------------------------- decryption */

/* A reader and the file below it. */
struct input {
    int fd;
    struct ccz_pf_reader *reader;
};

static void input_close(struct input *in)
{
    ccz_pf_reader_free(in->reader);
    if (in->fd >= 0)
        close(in->fd);
}

static ccz_rc input_open(struct input *in, const char *path, const struct ccz_secret *key,
                         const struct ccz_pf_cfg *cfg, struct ccz_err *err)
{
    *in = (struct input){.fd = -1};
    struct ccz_pf_cfg c = *cfg;
    c.name = path;
    ccz_rc rc = open_input(&in->fd, path, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_pf_io io = ccz_pf_io_fd(&in->fd);
    return ccz_pf_reader_open(&in->reader, &io, key, &c, err);
}

static ccz_rc decrypt_all(const struct ccz_newfile *out, struct ccz_pf_reader *r,
                          struct ccz_err *err)
{
    struct ccz_pf_io to = ccz_pf_io_fd(&out->fd);
    struct cczi_pf_name name = cczi_pf_name(&(struct ccz_pf_cfg){.name = out->path});
    CCZ_AUTO_BUF piece;
    ccz_rc rc = piece_alloc(&piece, err);
    uint64_t size = ccz_pf_reader_size(r);
    for (uint64_t offset = 0; offset < size && rc == CCZ_OK;) {
        size_t n = piece_size(offset, size - offset);
        rc = ccz_pf_reader_read(piece.ptr, r, offset, n, err);
        if (rc != CCZ_OK)
            return rc;
        rc = to.write_at(to.arg, offset, CCZ_SPAN(piece.ptr, n), err);
        if (rc != CCZ_OK)
            return cczi_pf_io_fail(err, rc, &name);
        offset += n;
    }
    return rc;
}

ccz_rc ccz_pf_decrypt_file(const char *out_path, const char *in_path, const struct ccz_secret *key,
                           const struct ccz_pf_cfg *cfg, struct ccz_err *err)
{
    ccz_rc rc = check_output(out_path, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    struct input in;
    rc = input_open(&in, in_path, key, cfg, err);
    struct ccz_newfile out;
    if (rc == CCZ_OK)
        rc = ccz_newfile_open(&out, out_path, 0600, err);
    if (rc == CCZ_OK)
        rc = end_output(&out, decrypt_all(&out, in.reader, err), cfg, err);
    input_close(&in);
    return rc;
}

static ccz_rc decrypt_append(struct ccz_buf *out, struct ccz_pf_reader *r, const char *name,
                             struct ccz_err *err)
{
    uint64_t size = ccz_pf_reader_size(r);
    if (out->bad || size > out->max_size - out->size)
        return ccz_fail(err, CCZ_E_LIMIT, "pf:buf-size", (int64_t)size,
                        "%s: a plaintext of %llu bytes does not fit into %zu", name,
                        (unsigned long long)size, out->max_size);
    uint8_t *p = ccz_buf_extend(out, (size_t)size);
    if (!p) {
        out->bad = false; /* untouched, as after every failure */
        return ccz_fail(err, CCZ_E_NOMEM, "pf:memory", (int64_t)size, "no memory");
    }
    ccz_rc rc = ccz_pf_reader_read(p, r, 0, (size_t)size, err);
    if (rc != CCZ_OK)
        out->size -= (size_t)size;
    return rc;
}

ccz_rc ccz_pf_decrypt_to_buf(struct ccz_buf *out, const char *in_path, const struct ccz_secret *key,
                             const struct ccz_pf_cfg *cfg, struct ccz_err *err)
{
    struct input in;
    ccz_rc rc = input_open(&in, in_path, key, cfg, err);
    if (rc == CCZ_OK)
        rc = decrypt_append(out, in.reader, in_path, err);
    input_close(&in);
    return rc;
}

ccz_rc ccz_pf_inspect_file(struct ccz_pf_info *out, const char *in_path,
                           const struct ccz_secret *key, const struct ccz_pf_cfg *cfg,
                           struct ccz_err *err)
{
    *out = (struct ccz_pf_info){0};
    struct input in;
    ccz_rc rc = input_open(&in, in_path, key, cfg, err);
    if (rc == CCZ_OK)
        ccz_pf_reader_info(out, in.reader);
    input_close(&in);
    return rc;
}
