/* SPDX-License-Identifier: Apache-2.0 */
/* Protected files (pf.h) under a key derived from the caller's, which appear by rename. */
#define _DEFAULT_SOURCE
#include "fl/fl_priv.h"

#include <cczoo/pf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct cczi_hfl_seal {
    struct ccz_newfile file; /* writing */
    int fd;                  /* reading */
    char *path;
    struct ccz_pf_writer *writer;
    struct ccz_pf_reader *reader;
    uint64_t at;
};

/* The format's keys have 16 bytes; those of this module have 32 and serve for nothing else. */
static ccz_rc file_key(struct ccz_secret **out, const struct ccz_secret *key, struct ccz_err *err)
{
    *out = NULL;
    if (!key || ccz_secret_size(key) != CCZ_FL_KEY_SIZE)
        return ccz_refuse_num(err, CCZ_E_ARG, "fl:checkpoint-key",
                              key ? (int64_t)ccz_secret_size(key) : 0, CCZ_FL_KEY_SIZE);
    ccz_rc rc = ccz_secret_derive(out, CCZ_PF_KEY_SIZE, key, "cczoo fl checkpoint");
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "fl:checkpoint-key", 0, "no key can be derived");
}

static struct cczi_hfl_seal *seal_new(const char *path)
{
    struct cczi_hfl_seal *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->fd = s->file.fd = -1;
    s->path = strdup(path);
    if (s->path)
        return s;
    free(s);
    return NULL;
}

void cczi_hfl_seal_close(struct cczi_hfl_seal *s)
{
    if (!s)
        return;
    ccz_pf_reader_free(s->reader);
    ccz_pf_writer_free(s->writer);
    if (s->file.fd >= 0)
        ccz_newfile_abort(&s->file);
    if (s->fd >= 0)
        (void)close(s->fd);
    free(s->path);
    free(s);
}

void cczi_hfl_seal_abort(struct cczi_hfl_seal *s)
{
    cczi_hfl_seal_close(s);
}

ccz_rc cczi_hfl_seal_create(struct cczi_hfl_seal **out, const char *path, const char *bound,
                            const struct ccz_secret *key, uint64_t size, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) pf_key = NULL;
    const struct ccz_pf_cfg cfg = {.path = bound, .name = path};
    *out = NULL;
    ccz_rc rc = file_key(&pf_key, key, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_hfl_seal *s = seal_new(path);
    if (!s)
        return cczi_hfl_no_memory(err);
    rc = ccz_newfile_open(&s->file, s->path, 0600, err);
    if (rc == CCZ_OK) {
        struct ccz_pf_io io = ccz_pf_io_fd(&s->file.fd);
        rc = ccz_pf_writer_new(&s->writer, &io, size, pf_key, &cfg, err);
    }
    if (rc == CCZ_OK)
        *out = s;
    else
        cczi_hfl_seal_abort(s);
    return rc;
}

ccz_rc cczi_hfl_seal_put(struct cczi_hfl_seal *s, struct ccz_span in, struct ccz_err *err)
{
    return ccz_pf_writer_put(s->writer, in, err);
}

ccz_rc cczi_hfl_seal_finish(struct cczi_hfl_seal *s, struct ccz_err *err)
{
    ccz_rc rc = ccz_pf_writer_finish(s->writer, err);
    if (rc == CCZ_OK)
        rc = ccz_newfile_commit(&s->file, CCZ_FILE_REPLACE, err);
    cczi_hfl_seal_abort(s);
    return rc;
}

/* What the protected file says of itself becomes a refusal of the checkpoint. */
static ccz_rc broken(const struct ccz_err *why, struct ccz_err *err)
{
    return ccz_hint(err,
                    ccz_refuse(err, CCZ_E_SIG, "fl:checkpoint-seal",
                               why->got[0] ? why->got : why->msg,
                               why->expected[0] ? why->expected : "what was sealed"),
                    "the file was changed or exchanged, or was sealed with another key");
}

ccz_rc cczi_hfl_seal_open(struct cczi_hfl_seal **out, const char *path, const char *bound,
                          const struct ccz_secret *key, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) pf_key = NULL;
    const struct ccz_pf_cfg cfg = {.path = bound, .name = path};
    struct ccz_err why = {0};
    *out = NULL;
    ccz_rc rc = file_key(&pf_key, key, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_hfl_seal *s = seal_new(path);
    if (!s)
        return cczi_hfl_no_memory(err);
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (s->fd < 0) {
        int e = errno;
        cczi_hfl_seal_close(s);
        return ccz_fail(err, e == ENOENT ? CCZ_E_NOT_FOUND : CCZ_E_IO, "fl:checkpoint", e,
                        "cannot open %.100s: %s", path, strerror(e));
    }
    struct ccz_pf_io io = ccz_pf_io_fd(&s->fd);
    rc = ccz_pf_reader_open(&s->reader, &io, pf_key, &cfg, &why);
    if (rc == CCZ_OK) {
        *out = s;
        return CCZ_OK;
    }
    cczi_hfl_seal_close(s);
    return rc == CCZ_E_NOMEM || rc == CCZ_E_IO
               ? ccz_fail(err, rc, "fl:checkpoint", why.aux, "%.60s: %.110s", why.where, why.msg)
               : broken(&why, err);
}

uint64_t cczi_hfl_seal_size(const struct cczi_hfl_seal *s)
{
    return ccz_pf_reader_size(s->reader);
}

ccz_rc cczi_hfl_seal_get(void *out, struct cczi_hfl_seal *s, uint64_t size, struct ccz_err *err)
{
    struct ccz_err why = {0};
    if (size > cczi_hfl_seal_size(s) - s->at) {
        memset(out, 0, (size_t)size);
        return ccz_fail(err, CCZ_E_FORMAT, "fl:checkpoint-format", (int64_t)s->at,
                        "the file ends too early");
    }
    ccz_rc rc = ccz_pf_reader_read(out, s->reader, s->at, (size_t)size, &why);
    if (rc == CCZ_OK) {
        s->at += size;
        return rc;
    }
    return rc == CCZ_E_SIG
               ? broken(&why, err)
               : ccz_fail(err, rc, "fl:checkpoint", why.aux, "%.60s: %.110s", why.where, why.msg);
}
