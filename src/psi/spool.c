/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks of records. A part's last chunk is always in memory; full ones stay there as long as there is room, then they are
 * sealed (AES-256-GCM, a key made for this spool, the chunk's number as nonce, its place as associated data) and appended
 * to a file that has no name any more: it is gone when the process is.
 */
#define _GNU_SOURCE
#include "psi_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK_LEN = 256, FIRST_LEN = 16, SEALED_SIZE = CHUNK_LEN * 24 + CCZ_AEAD_TAG_SIZE };
_Static_assert(sizeof(struct cczi_psi_rec) == 24, "records have no holes");

struct chunk {
    struct cczi_psi_rec *recs; /* in memory, or NULL: in the file */
    uint64_t number;           /* in the file */
};
struct part {
    struct chunk *full;
    size_t full_len, full_cap;
    struct cczi_psi_rec *last;
    size_t last_len, last_cap;
};
struct cczi_spool {
    struct part *parts;
    size_t parts_len;
    uint64_t memory_len, in_memory; /* records in full chunks */
    uint64_t sealed;                /* chunks in the file */
    const char *dir;
    int fd;
    struct ccz_secret *key;
    struct ccz_aead *aead;
    uint8_t *buf; /* SEALED_SIZE */
};

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "psi:memory", 0, "no memory for records");
}

static void free_records(struct cczi_psi_rec *r, size_t len)
{
    if (r)
        ccz_wipe(r, len * sizeof(*r));
    free(r);
}

void cczi_spool_free(struct cczi_spool *s)
{
    if (!s)
        return;
    for (size_t p = 0; s->parts && p < s->parts_len; p++) {
        for (size_t i = 0; i < s->parts[p].full_len; i++)
            free_records(s->parts[p].full[i].recs, CHUNK_LEN);
        free_records(s->parts[p].last, s->parts[p].last_cap);
        free(s->parts[p].full);
    }
    if (s->fd >= 0)
        (void)close(s->fd);
    ccz_aead_free(s->aead);
    ccz_secret_free(s->key);
    free(s->buf);
    free(s->parts);
    free(s);
}

ccz_rc cczi_spool_new(struct cczi_spool **out, const struct cczi_spool_cfg *cfg,
                      struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(cczi_spool) s = calloc(1, sizeof(*s));
    if (!s)
        return no_memory(err);
    s->fd = -1;
    s->memory_len = cfg->memory_len;
    s->dir = cfg->dir;
    s->parts = calloc(cfg->parts, sizeof(*s->parts));
    if (!s->parts)
        return no_memory(err);
    s->parts_len = cfg->parts;
    *out = cczi_spool_take(&s);
    return CCZ_OK;
}

static ccz_rc open_file(struct cczi_spool *s, struct ccz_err *err)
{
    s->fd = ccz_nameless_open(s->dir);
    if (s->fd < 0)
        return ccz_fail(err, CCZ_E_IO, "psi:spool", errno, "no file in %s: %s", s->dir,
                        strerror(errno));
    uint8_t key[32];
    ccz_rc rc = ccz_random(key, sizeof(key));
    if (rc == CCZ_OK)
        rc = ccz_secret_from(&s->key, key, sizeof(key));
    ccz_wipe(key, sizeof(key));
    if (rc == CCZ_OK)
        rc = ccz_aead_new(&s->aead, CCZ_AES_256_GCM);
    s->buf = malloc(SEALED_SIZE);
    return rc == CCZ_OK && s->buf ? CCZ_OK : no_memory(err);
}

static void chunk_place(uint8_t aad[16], size_t part, size_t index)
{
    uint64_t place[2] = {part, index};
    memcpy(aad, place, 16);
}

static void chunk_nonce(uint8_t nonce[CCZ_AEAD_NONCE_SIZE], uint64_t number)
{
    memset(nonce, 0, CCZ_AEAD_NONCE_SIZE);
    memcpy(nonce, &number, sizeof(number));
}

static ccz_rc write_all(const struct cczi_spool *s, uint64_t at, struct ccz_err *err)
{
    for (size_t done = 0; done < SEALED_SIZE;) {
        ssize_t n = pwrite(s->fd, s->buf + done, SEALED_SIZE - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ccz_fail(err, CCZ_E_IO, "psi:spool", errno, "cannot write: %s", strerror(errno));
        done += (size_t)n;
    }
    return CCZ_OK;
}

static ccz_rc seal(struct cczi_spool *s, size_t part, struct chunk *c, struct ccz_err *err)
{
    uint8_t aad[16], nonce[CCZ_AEAD_NONCE_SIZE];
    ccz_rc rc = s->fd < 0 ? open_file(s, err) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    struct part *p = &s->parts[part];
    c->number = s->sealed;
    chunk_place(aad, part, p->full_len);
    chunk_nonce(nonce, c->number);
    rc = ccz_aead_seal(s->aead, s->buf + CCZ_AEAD_TAG_SIZE, s->buf, ccz_secret_view(s->key), nonce,
                       CCZ_SPAN(aad, 16), CCZ_SPAN(p->last, CHUNK_LEN * sizeof(*p->last)));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "psi:spool", 0, "cannot seal");
    rc = write_all(s, c->number * SEALED_SIZE, err);
    s->sealed += rc == CCZ_OK;
    return rc;
}

/* The last chunk is full: it is kept or sealed, and an empty one begins. */
static ccz_rc finish_chunk(struct cczi_spool *s, size_t part, struct ccz_err *err)
{
    struct part *p = &s->parts[part];
    if (p->full_len == p->full_cap) {
        size_t cap = p->full_cap ? 2 * p->full_cap : 4;
        struct chunk *more = realloc(p->full, cap * sizeof(*more));
        if (!more)
            return no_memory(err);
        p->full = more;
        p->full_cap = cap;
    }
    struct chunk c = {0};
    if (s->in_memory + CHUNK_LEN <= s->memory_len) {
        c.recs = p->last;
        p->last = NULL;
        p->last_cap = 0;
        s->in_memory += CHUNK_LEN;
    } else if (!s->dir) {
        return ccz_hint(err,
                        ccz_fail(err, CCZ_E_LIMIT, "psi:memory", (int64_t)s->memory_len,
                                 "more ids than memory_len, and no spool_dir"),
                        "name a directory for a temporary file, or raise memory_len");
    } else {
        ccz_rc rc = seal(s, part, &c, err);
        if (rc != CCZ_OK)
            return rc;
    }
    p->full[p->full_len++] = c;
    p->last_len = 0;
    return CCZ_OK;
}

ccz_rc cczi_spool_put(struct cczi_spool *s, size_t part, const struct cczi_psi_rec *rec,
                      struct ccz_err *err)
{
    struct part *p = &s->parts[part];
    if (p->last_len == p->last_cap && p->last_cap < CHUNK_LEN) {
        size_t cap = p->last_cap ? 2 * p->last_cap : FIRST_LEN;
        struct cczi_psi_rec *more = malloc(cap * sizeof(*more));
        if (!more)
            return no_memory(err);
        if (p->last_len > 0)
            memcpy(more, p->last, p->last_len * sizeof(*more));
        free_records(p->last, p->last_cap);
        p->last = more;
        p->last_cap = cap;
    }
    p->last[p->last_len++] = *rec;
    return p->last_len == CHUNK_LEN ? finish_chunk(s, part, err) : CCZ_OK;
}

uint64_t cczi_spool_len(const struct cczi_spool *s, size_t part)
{
    return (uint64_t)s->parts[part].full_len * CHUNK_LEN + s->parts[part].last_len;
}

int cczi_spool_fd(const struct cczi_spool *s)
{
    return s->fd;
}

static ccz_rc open_chunk(struct cczi_psi_rec *out, const struct cczi_spool *s, size_t part,
                         size_t index, struct ccz_err *err)
{
    uint8_t aad[16], nonce[CCZ_AEAD_NONCE_SIZE];
    uint64_t number = s->parts[part].full[index].number;
    for (size_t done = 0; done < SEALED_SIZE;) {
        ssize_t n =
            pread(s->fd, s->buf + done, SEALED_SIZE - done, (off_t)(number * SEALED_SIZE + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ccz_fail(err, CCZ_E_IO, "psi:spool", n < 0 ? errno : 0, "cannot read back");
        done += (size_t)n;
    }
    chunk_place(aad, part, index);
    chunk_nonce(nonce, number);
    if (ccz_aead_open(s->aead, (uint8_t *)out, s->buf, ccz_secret_view(s->key), nonce,
                      CCZ_SPAN(aad, 16),
                      CCZ_SPAN(s->buf + CCZ_AEAD_TAG_SIZE, CHUNK_LEN * sizeof(*out))) != CCZ_OK)
        return ccz_fail(err, CCZ_E_SIG, "psi:spool-seal", (int64_t)number,
                        "the temporary file was changed");
    return CCZ_OK;
}

ccz_rc cczi_spool_read(struct cczi_psi_rec *out, const struct cczi_spool *s, size_t part,
                       struct ccz_err *err)
{
    const struct part *p = &s->parts[part];
    for (size_t i = 0; i < p->full_len; i++, out += CHUNK_LEN) {
        if (p->full[i].recs) {
            memcpy(out, p->full[i].recs, CHUNK_LEN * sizeof(*out));
            continue;
        }
        ccz_rc rc = open_chunk(out, s, part, i, err);
        if (rc != CCZ_OK)
            return rc;
    }
    if (p->last_len > 0)
        memcpy(out, p->last, p->last_len * sizeof(*out));
    return CCZ_OK;
}
