/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A state: magic (8), version 1, 7 bytes 0, digest of what it belongs to (32), step (8), sizes of `extra` and of the state (8
 * each), both. The file is a protected file (pf.h) bound to the role, under HKDF(seal).
 */
#define _DEFAULT_SOURCE
#include "ckpt/ckpt.h"

#include <cczoo/crypto.h>
#include <cczoo/pf.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VERSION = 1, HEAD_SIZE = 8 + 1 + 1 + 6 + 32 + 8 + 8 + 8, TAIL_SIZE = 16 };

struct head {
    uint64_t step, extra_size, state_size;
};

static ccz_rc no_memory(const struct cczi_ckpt *c, struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, c->kind->where, 0, "out of memory");
}

static ccz_rc parse_head(struct head *h, struct ccz_span in, const struct cczi_ckpt *c,
                         const char *path, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    uint8_t config[32];
    bool good = ccz_span_eq(ccz_rd_take(&r, sizeof(c->kind->magic)), CCZ_SPAN(c->kind->magic, 8));
    good &= ccz_rd_u8(&r) == VERSION;
    (void)ccz_rd_u8(&r);
    good &= ccz_rd_le16(&r) == 0;
    good &= ccz_rd_le32(&r) == 0;
    ccz_rd_copy(&r, config, sizeof(config));
    h->step = ccz_rd_le64(&r);
    h->extra_size = ccz_rd_le64(&r);
    h->state_size = ccz_rd_le64(&r);
    good &= h->extra_size <= c->kind->extra_size_max && h->state_size <= c->kind->state_size_max &&
            r.left == h->extra_size + h->state_size;
    if (!good || r.bad)
        return ccz_fail(err, CCZ_E_FORMAT, c->kind->where, (int64_t)in.size,
                        "%.120s holds no state", path);
    if (memcmp(config, c->config, sizeof(config)) != 0)
        return ccz_hint(
            err,
            ccz_refuse_bytes(err, CCZ_E_MISMATCH, c->kind->where_config, config, 32, c->config, 32),
            "the state is of a training with other settings, rows or models");
    return CCZ_OK;
}

/* The whole plaintext, verified. */
static ccz_rc read_state(struct ccz_buf *out, const struct cczi_ckpt *c, size_t which,
                         struct ccz_err *err)
{
    const struct ccz_pf_cfg pf = {.path = c->bound};
    ccz_buf_init(out, HEAD_SIZE + c->kind->extra_size_max + c->kind->state_size_max);
    out->wipe = true;
    return ccz_pf_decrypt_to_buf(out, c->path[which], c->key, &pf, err);
}

static ccz_rc look(struct cczi_ckpt *c, size_t which, struct ccz_err *err)
{
    struct stat st;
    struct head h;
    CCZ_AUTO_BUF b = {0};
    if (lstat(c->path[which], &st) != 0)
        return CCZ_OK;
    ccz_rc rc = read_state(&b, c, which, err);
    if (rc == CCZ_OK)
        rc = parse_head(&h, ccz_buf_span(&b), c, c->path[which], err);
    if (rc == CCZ_OK) {
        c->have[which] = true;
        c->step[which] = h.step;
    }
    return rc;
}

/* What a process that was killed left of a file it was writing: PATH.0.PID.tmp, see ccz_newfile_open(). */
static void clear_leftovers(const char *path)
{
    char folder[4096];
    const char *name = strrchr(path, '/');
    int n = name ? snprintf(folder, sizeof(folder), "%.*s", (int)(name - path + 1), path)
                 : snprintf(folder, sizeof(folder), "./");
    name = name ? name + 1 : path;
    size_t size = strlen(name);
    DIR *d = n > 0 && (size_t)n < sizeof(folder) ? opendir(folder) : NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        const char *rest = e->d_name + size;
        if (strncmp(e->d_name, name, size) != 0 || *rest != '.')
            continue;
        char *end;
        long pid = strtol(rest + 1, &end, 10);
        if (pid > 0 && strcmp(end, ".tmp") == 0)
            (void)unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d)
        (void)closedir(d);
}

static ccz_rc derive_key(struct cczi_ckpt *c, const struct ccz_secret *seal, struct ccz_err *err)
{
    ccz_rc rc = seal && ccz_secret_size(seal) == CCZI_CKPT_SEAL_SIZE
                    ? ccz_secret_derive(&c->key, CCZ_PF_KEY_SIZE, seal, c->kind->info)
                    : CCZ_E_ARG;
    return rc == CCZ_OK ? rc
                        : ccz_fail(err, rc, c->kind->where, 0,
                                   "no key: a seal of %d bytes is needed", CCZI_CKPT_SEAL_SIZE);
}

ccz_rc cczi_ckpt_open(struct cczi_ckpt *c, const struct cczi_ckpt_kind *kind, const char *path,
                      const char *bound, const struct ccz_secret *seal, const uint8_t *config,
                      struct ccz_err *err)
{
    *c = (struct cczi_ckpt){.kind = kind, .last = -1, .bound = bound};
    if (!path)
        return CCZ_OK;
    memcpy(c->config, config, sizeof(c->config));
    ccz_rc rc = derive_key(c, seal, err);
    for (size_t i = 0; rc == CCZ_OK && i < CCZI_CKPT_KEPT; i++) {
        size_t size = strlen(path) + TAIL_SIZE;
        c->path[i] = malloc(size);
        if (!c->path[i])
            return no_memory(c, err);
        (void)snprintf(c->path[i], size, "%s.%zu", path, i);
        clear_leftovers(c->path[i]);
        rc = look(c, i, err);
    }
    return rc;
}

void cczi_ckpt_close(struct cczi_ckpt *c)
{
    for (size_t i = 0; i < CCZI_CKPT_KEPT; i++)
        free(c->path[i]);
    ccz_secret_free(c->key);
    *c = (struct cczi_ckpt){.last = -1};
}

static void put_head(struct ccz_buf *out, const struct cczi_ckpt *c, uint64_t step,
                     struct ccz_span extra, struct ccz_span state)
{
    ccz_buf_put(out, c->kind->magic, sizeof(c->kind->magic));
    ccz_buf_u8(out, VERSION);
    ccz_buf_u8(out, 0);
    ccz_buf_le16(out, 0);
    ccz_buf_le32(out, 0);
    ccz_buf_put(out, c->config, sizeof(c->config));
    ccz_buf_le64(out, step);
    ccz_buf_le64(out, extra.size);
    ccz_buf_le64(out, state.size);
    ccz_buf_put_span(out, extra);
}

ccz_rc cczi_ckpt_save(struct cczi_ckpt *c, uint64_t step, struct ccz_span extra,
                      struct ccz_span state, struct ccz_err *err)
{
    if (!c->path[0])
        return CCZ_OK;
    int which = c->last < 0 ? 0 : 1 - c->last;
    struct ccz_newfile f;
    CCZ_AUTO_BUF head;
    CCZ_AUTO(ccz_pf_writer) w = NULL;
    const struct ccz_pf_cfg pf = {.path = c->bound};
    ccz_buf_init(&head, HEAD_SIZE + c->kind->extra_size_max);
    head.wipe = true;
    put_head(&head, c, step, extra, state);
    if (head.bad || state.size > c->kind->state_size_max)
        return no_memory(c, err);
    ccz_rc rc = ccz_newfile_open(&f, c->path[which], 0600, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_pf_io io = ccz_pf_io_fd(&f.fd);
    rc = ccz_pf_writer_new(&w, &io, head.size + state.size, c->key, &pf, err);
    if (rc == CCZ_OK)
        rc = ccz_pf_writer_put(w, ccz_buf_span(&head), err);
    if (rc == CCZ_OK)
        rc = ccz_pf_writer_put(w, state, err);
    if (rc == CCZ_OK)
        rc = ccz_pf_writer_finish(w, err);
    if (rc == CCZ_OK)
        rc = ccz_newfile_commit(&f, CCZ_FILE_REPLACE, err);
    ccz_newfile_abort(&f);
    if (rc == CCZ_OK) {
        c->last = which;
        c->have[which] = true;
        c->step[which] = step;
    }
    return rc;
}

ccz_rc cczi_ckpt_load(struct ccz_buf *state, void *extra, size_t extra_size, struct cczi_ckpt *c,
                      uint64_t step, struct ccz_err *err)
{
    int which = -1;
    for (int i = 0; i < CCZI_CKPT_KEPT; i++)
        if (c->have[i] && c->step[i] == step)
            which = i;
    if (which < 0)
        return ccz_fail(err, CCZ_E_NOT_FOUND, c->kind->where, (int64_t)step,
                        "no state of step %llu", (unsigned long long)step);
    CCZ_AUTO_BUF b = {0};
    struct head h;
    ccz_rc rc = read_state(&b, c, (size_t)which, err);
    if (rc == CCZ_OK)
        rc = parse_head(&h, ccz_buf_span(&b), c, c->path[which], err);
    if (rc == CCZ_OK && (h.step != step || h.extra_size != extra_size))
        rc = ccz_fail(err, CCZ_E_FORMAT, c->kind->where, (int64_t)h.step,
                      "the state changed while it was in use");
    if (rc != CCZ_OK)
        return rc;
    if (extra_size)
        memcpy(extra, b.ptr + HEAD_SIZE, extra_size);
    ccz_buf_put(state, b.ptr + HEAD_SIZE + extra_size, (size_t)h.state_size);
    c->last = which;
    return state->bad ? no_memory(c, err) : CCZ_OK;
}
