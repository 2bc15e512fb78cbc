/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a bundle: files with contents first, each hashed while it is written, then the manifest with their digests, then
 * its signature. The folder has another name until all of it is on the disk.
 */
#define _DEFAULT_SOURCE
#include "bundle_priv.h"

#include <cczoo/x509.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, CHUNK = 1 << 18, NAME_SIZE = 64 };

struct job {
    const struct ccz_recsys_bundle_write *w;
    char dir[PATH_SIZE]; /* the folder while it is made */
    struct ccz_recsys_manifest manifest;
    struct cczi_bundle_file files[CCZI_PARTS];
};

/* One protected file that grows. */
struct sink {
    struct ccz_newfile file;
    char path[PATH_SIZE + NAME_SIZE];
    struct ccz_pf_writer *pf;
    struct ccz_hasher *hash;
    uint64_t left; /* bytes that still have to come */
};

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "recsys:memory", 0, "out of memory");
}

static ccz_rc sink_open(struct sink *s, const struct job *j, const char *name, uint64_t size,
                        struct ccz_err *err)
{
    char bound[NAME_SIZE];
    *s = (struct sink){.left = size};
    s->file.fd = -1;
    (void)snprintf(s->path, sizeof(s->path), "%s/%s", j->dir, name);
    (void)snprintf(bound, sizeof(bound), "%s%s", CCZ_RECSYS_BUNDLE_BOUND, name);
    ccz_rc rc = ccz_newfile_open(&s->file, s->path, 0600, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_pf_io io = ccz_pf_io_fd(&s->file.fd);
    rc = ccz_pf_writer_new(&s->pf, &io, size, j->w->key,
                           &(struct ccz_pf_cfg){.path = bound, .name = name}, err);
    return rc == CCZ_OK && ccz_hasher_new(&s->hash, CCZ_SHA256) != CCZ_OK ? no_memory(err) : rc;
}

static ccz_rc sink_put(struct sink *s, struct ccz_span bytes, struct ccz_err *err)
{
    if (bytes.size > s->left)
        return ccz_fail(err, CCZ_E_INTERNAL, "recsys:bundle-size", 0, "more than was announced");
    s->left -= bytes.size;
    ccz_rc rc = ccz_pf_writer_put(s->pf, bytes, err);
    return rc == CCZ_OK ? ccz_hasher_put(s->hash, bytes) : rc;
}

static ccz_rc sink_pad(struct sink *s, uint8_t with, struct ccz_err *err)
{
    uint8_t block[4096];
    ccz_rc rc = CCZ_OK;
    memset(block, with, sizeof(block));
    while (rc == CCZ_OK && s->left)
        rc = sink_put(s, CCZ_SPAN(block, s->left < sizeof(block) ? (size_t)s->left : sizeof(block)),
                      err);
    return rc;
}

/* In any case; @p rc is what happened before. */
static ccz_rc sink_close(struct sink *s, uint8_t sha256[32], ccz_rc rc, struct ccz_err *err)
{
    if (rc == CCZ_OK)
        rc = ccz_pf_writer_finish(s->pf, err);
    if (rc == CCZ_OK)
        rc = ccz_hasher_done(sha256, s->hash);
    ccz_pf_writer_free(s->pf);
    ccz_hasher_free(s->hash);
    if (rc == CCZ_OK)
        return ccz_newfile_commit(&s->file, CCZ_FILE_CREATE_ONLY, err);
    ccz_newfile_abort(&s->file);
    return rc;
}

/* ---------------------------------------------------------------------------------- contents */

static ccz_rc put_factors(struct sink *s, const struct ccz_recsys_factors *f, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    const size_t row = f->factors * sizeof(float), rows_max = row < CHUNK ? CHUNK / row : 1;
    CCZ_AUTO_BUF chunk;
    ccz_buf_init(&chunk, rows_max * row);
    chunk.wipe = true;
    for (uint32_t i = 0; rc == CCZ_OK && i < f->len;) {
        ccz_buf_clear(&chunk);
        for (size_t n = 0; n < rows_max && i < f->len; n++, i++)
            ccz_buf_put(&chunk, ccz_recsys_row(f, i), row);
        rc = chunk.bad ? no_memory(err) : sink_put(s, ccz_buf_span(&chunk), err);
    }
    if (rc == CCZ_OK && f->bias)
        rc = sink_put(s, CCZ_SPAN(f->bias, f->len * sizeof(float)), err);
    return rc;
}

static ccz_rc put_seen(struct sink *s, const struct ccz_recsys_csr *m, struct ccz_err *err)
{
    ccz_rc rc = sink_put(s, CCZ_SPAN(m->start, ((size_t)m->rows + 1) * sizeof(*m->start)), err);
    if (rc == CCZ_OK)
        rc = sink_put(s, CCZ_SPAN(m->col, m->len * sizeof(*m->col)), err);
    return rc == CCZ_OK ? sink_put(s, CCZ_SPAN(m->value, m->len * sizeof(*m->value)), err) : rc;
}

/* Dictionaries and titles: made as a whole, for their size is not known before. */
static ccz_rc as_bytes(struct ccz_buf *out, const struct ccz_recsys_contents *c,
                       enum cczi_bundle_part p, struct ccz_err *err)
{
    ccz_buf_init(out, SIZE_MAX >> 1);
    out->wipe = true;
    if (p == CCZI_PART_USER_IDS)
        ccz_recsys_ids_put(out, c->user);
    else if (p == CCZI_PART_ITEM_IDS)
        ccz_recsys_ids_put(out, c->item);
    else if (p == CCZI_PART_TITLES && c->titles)
        ccz_recsys_titles_put(out, c->titles);
    return out->bad ? no_memory(err) : CCZ_OK;
}

static uint64_t part_size(const struct ccz_recsys_contents *c, enum cczi_bundle_part p,
                          const struct ccz_buf *bytes)
{
    const struct ccz_recsys_model *m = c->model;
    if (p == CCZI_PART_USER)
        return cczi_bundle_factors_size(m->user.len, m->user.factors, m->user.bias);
    if (p == CCZI_PART_ITEM)
        return cczi_bundle_factors_size(m->item.len, m->item.factors, m->item.bias);
    if (p == CCZI_PART_SEEN)
        return cczi_bundle_seen_size(c->seen->rows, c->seen->len);
    return bytes->size;
}

static ccz_rc write_part(struct job *j, enum cczi_bundle_part p, struct ccz_err *err)
{
    const struct ccz_recsys_contents *c = &j->w->contents;
    struct cczi_bundle_file *f = &j->files[p];
    CCZ_AUTO_BUF bytes;
    ccz_rc rc = as_bytes(&bytes, c, p, err);
    if (rc != CCZ_OK)
        return rc;
    f->size = part_size(c, p, &bytes);
    if (f->size == 0)
        return CCZ_OK;
    struct sink s;
    rc = sink_open(&s, j, cczi_bundle_part_name(p), cczi_bundle_rounded(f->size), err);
    if (rc == CCZ_OK && p == CCZI_PART_USER)
        rc = put_factors(&s, &c->model->user, err);
    else if (rc == CCZ_OK && p == CCZI_PART_ITEM)
        rc = put_factors(&s, &c->model->item, err);
    else if (rc == CCZ_OK && p == CCZI_PART_SEEN)
        rc = put_seen(&s, c->seen, err);
    else if (rc == CCZ_OK)
        rc = sink_put(&s, ccz_buf_span(&bytes), err);
    if (rc == CCZ_OK)
        rc = sink_pad(&s, 0, err);
    return sink_close(&s, f->sha256, rc, err);
}

/* ------------------------------------------------------------------------ manifest, signature */

static uint64_t round_small(size_t size)
{
    return (size + CCZI_MANIFEST_ROUND - 1) / CCZI_MANIFEST_ROUND * CCZI_MANIFEST_ROUND;
}

static ccz_rc write_small(const struct job *j, const char *name, struct ccz_span bytes,
                          struct ccz_err *err)
{
    struct sink s;
    uint8_t unused[32];
    ccz_rc rc = sink_open(&s, j, name, bytes.size, err);
    if (rc == CCZ_OK)
        rc = sink_put(&s, bytes, err);
    return sink_close(&s, unused, rc, err);
}

/* "CCZRSIG1" || le32 size || certificate || r || s || zeros */
static ccz_rc write_signature(const struct job *j, struct ccz_span manifest, struct ccz_err *err)
{
    static const char label[] = CCZI_BUNDLE_LABEL; /* its NUL ends it */
    const struct ccz_span parts[] = {CCZ_SPAN(label, sizeof(label)), manifest};
    uint8_t sig[64];
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, CCZI_SIGNATURE_SIZE_MAX);
    ccz_rc rc = ccz_ecdsa_sign(sig, j->w->signer, parts, 2);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "recsys:signer", 0, "cannot sign the manifest");
    ccz_buf_put_str(&b, "CCZRSIG1");
    ccz_buf_le32(&b, (uint32_t)j->w->cert.size);
    ccz_buf_put_span(&b, j->w->cert);
    ccz_buf_put(&b, sig, sizeof(sig));
    uint8_t *pad = ccz_buf_extend(&b, (size_t)round_small(b.size) - b.size);
    (void)pad; /* zeroed below: extending does not */
    if (b.bad)
        return no_memory(err);
    const size_t used = 8 + 4 + j->w->cert.size + sizeof(sig);
    memset(b.ptr + used, 0, b.size - used);
    return write_small(j, CCZI_BUNDLE_SIGNATURE, ccz_buf_span(&b), err);
}

static ccz_rc write_manifest(struct job *j, struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, CCZI_MANIFEST_SIZE_MAX);
    cczi_manifest_put(&b, &j->manifest, j->files);
    while (!b.bad && b.size % CCZI_MANIFEST_ROUND)
        ccz_buf_put_str(&b, b.size % CCZI_MANIFEST_ROUND == CCZI_MANIFEST_ROUND - 1 ? "\n" : " ");
    if (b.bad)
        return ccz_fail(err, CCZ_E_LIMIT, "recsys:bundle-size", 0, "the manifest is too large");
    ccz_rc rc = write_small(j, CCZI_BUNDLE_MANIFEST, ccz_buf_span(&b), err);
    if (rc == CCZ_OK)
        rc = ccz_sha256(j->manifest.sha256, ccz_buf_span(&b));
    return rc == CCZ_OK ? write_signature(j, ccz_buf_span(&b), err) : rc;
}

static ccz_rc write_key(const struct job *j, struct ccz_err *err)
{
    char path[PATH_SIZE + NAME_SIZE];
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    ccz_buf_put_str(&b, "{\"key\": ");
    ccz_json_put_str(&b, ccz_span_str(j->manifest.key));
    ccz_buf_printf(&b, ", \"key_version\": %u}\n", j->manifest.key_version);
    (void)snprintf(path, sizeof(path), "%s/%s", j->dir, CCZI_BUNDLE_KEY);
    return b.bad ? no_memory(err)
                 : ccz_file_write(path, ccz_buf_span(&b), 0644, CCZ_FILE_CREATE_ONLY, err);
}

/* --------------------------------------------------------------------------------- all of it */

static ccz_rc check_signer(const struct ccz_recsys_bundle_write *w, struct ccz_err *err)
{
    CCZ_AUTO(ccz_cert) cert = NULL;
    uint8_t xy[64], own[64];
    if (!w->signer || ccz_key_curve(w->signer) != CCZ_P256)
        return ccz_fail(err, CCZ_E_ARG, "recsys:signer", 0, "a P-256 key is needed");
    ccz_rc rc = ccz_cert_parse(&cert, w->cert, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_key *key = ccz_cert_key(cert);
    if (!key || ccz_key_curve(key) != CCZ_P256 || ccz_key_xy(xy, key) != CCZ_OK ||
        ccz_key_xy(own, w->signer) != CCZ_OK || memcmp(xy, own, sizeof(xy)) != 0)
        return ccz_fail(err, CCZ_E_ARG, "recsys:signer", 0, "the certificate is of another key");
    return CCZ_OK;
}

static ccz_rc check_contents(const struct ccz_recsys_bundle_write *w, struct ccz_err *err)
{
    const struct ccz_recsys_contents *c = &w->contents;
    if (!c->model || !c->seen || !c->user || !c->item)
        return ccz_fail(err, CCZ_E_ARG, "recsys:contents", 0, "model, history or ids are missing");
    const struct ccz_recsys_model *m = c->model;
    if (m->user.len == 0 || m->item.len == 0 || m->user.factors != m->item.factors ||
        !m->user.bias != !m->item.bias || c->seen->rows != m->user.len ||
        c->seen->cols != m->item.len || ccz_recsys_ids_len(c->user) != m->user.len ||
        ccz_recsys_ids_len(c->item) != m->item.len ||
        (c->titles && ccz_recsys_titles_len(c->titles) != m->item.len) ||
        w->manifest.als.factors != m->user.factors ||
        w->manifest.als.biases != (m->user.bias != NULL))
        return ccz_fail(err, CCZ_E_ARG, "recsys:contents", 0,
                        "model, history, ids, titles and parameters do not fit each other");
    return CCZ_OK;
}

static ccz_rc write_all(struct job *j, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (int p = 0; rc == CCZ_OK && p < CCZI_PARTS; p++)
        rc = write_part(j, (enum cczi_bundle_part)p, err);
    if (rc == CCZ_OK)
        rc = write_manifest(j, err);
    return rc == CCZ_OK ? write_key(j, err) : rc;
}

/* What a failed attempt leaves: the names are known. */
static void remove_all(const struct job *j)
{
    char path[PATH_SIZE + NAME_SIZE];
    static const char *const others[] = {CCZI_BUNDLE_MANIFEST, CCZI_BUNDLE_SIGNATURE,
                                         CCZI_BUNDLE_KEY};
    for (int p = 0; p < CCZI_PARTS + 3; p++) {
        (void)snprintf(path, sizeof(path), "%s/%s", j->dir,
                       p < CCZI_PARTS ? cczi_bundle_part_name((enum cczi_bundle_part)p)
                                      : others[p - CCZI_PARTS]);
        (void)unlink(path);
    }
    (void)rmdir(j->dir);
}

static ccz_rc publish(const struct job *j, const char *dir, struct ccz_err *err)
{
    /* rename() would replace an empty folder that somebody made meanwhile: that is no loss */
    if (rename(j->dir, dir) != 0)
        return ccz_fail(err, errno == EEXIST || errno == ENOTEMPTY ? CCZ_E_EXISTS : CCZ_E_IO,
                        "recsys:bundle-dir", errno, "cannot make %s: %s", dir, strerror(errno));
    return ccz_sync_parent(dir, err);
}

ccz_rc ccz_recsys_bundle_save(uint8_t sha256[32], const char *dir,
                              const struct ccz_recsys_bundle_write *w, struct ccz_err *err)
{
    struct stat st;
    if (sha256)
        memset(sha256, 0, 32);
    ccz_rc rc = cczi_manifest_check(&w->manifest, err);
    if (rc == CCZ_OK)
        rc = check_contents(w, err);
    if (rc == CCZ_OK)
        rc = check_signer(w, err);
    if (rc != CCZ_OK)
        return rc;
    if (lstat(dir, &st) == 0)
        return ccz_fail(err, CCZ_E_EXISTS, "recsys:bundle-dir", 0, "%s exists already", dir);
    struct job *j = calloc(1, sizeof(*j));
    if (!j)
        return no_memory(err);
    j->w = w;
    j->manifest = w->manifest;
    j->manifest.users = w->contents.model->user.len;
    j->manifest.items = w->contents.model->item.len;
    j->manifest.ratings = w->contents.seen->len;
    j->manifest.mean = w->contents.model->mean;
    const int n = snprintf(j->dir, sizeof(j->dir), "%s.XXXXXX", dir);
    if (n < 0 || (size_t)n >= sizeof(j->dir))
        rc = ccz_fail(err, CCZ_E_LIMIT, "recsys:bundle-dir", n, "the path is too long");
    else if (!mkdtemp(j->dir)) /* mode 0700 */
        rc = ccz_fail(err, CCZ_E_IO, "recsys:bundle-dir", errno,
                      "cannot make a folder beside %s: %s", dir, strerror(errno));
    if (rc == CCZ_OK) {
        rc = write_all(j, err);
        if (rc == CCZ_OK)
            rc = publish(j, dir, err);
        if (rc != CCZ_OK)
            remove_all(j);
        else if (sha256)
            memcpy(sha256, j->manifest.sha256, 32);
    }
    free(j);
    return rc;
}
