/* SPDX-License-Identifier: Apache-2.0 */
/* Master keys: the file that a wrapped one is in, and what all providers do alike. */
#define _DEFAULT_SOURCE
#include "master_priv.h"

#include "kms_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC "cczkmsm1"
enum { OLD_MAX = 99 }; /* keys of earlier rekeys beside the current one */

static const struct cczi_kms_master_ops *const providers[] = {
    &cczi_master_file, &cczi_master_pkcs11, &cczi_master_tee, &cczi_master_shamir};
enum { PROVIDERS_LEN = sizeof(providers) / sizeof(providers[0]) };

ccz_rc cczi_kms_key_check(uint8_t out[CCZI_KEY_CHECK_SIZE], const uint8_t *key)
{
    struct ccz_span salt = {0};
    return ccz_hkdf(out, CCZI_KEY_CHECK_SIZE, CCZ_SHA256, salt,
                    CCZ_SPAN(key, CCZ_KMS_MASTER_KEY_SIZE), ccz_span_str("cczoo kms v1 key check"));
}

/* ------------------------------------------------------------------------- parsing */

static ccz_rc bad_blob(struct ccz_err *err, struct ccz_span in, const char *what)
{
    return ccz_fail(err, CCZ_E_FORMAT, "kms:master-blob", (int64_t)in.size,
                    "the wrapped master key is not %s", what);
}

ccz_rc cczi_kms_blob_parse(struct cczi_kms_blob *out, struct ccz_span in, struct ccz_err *err)
{
    *out = (struct cczi_kms_blob){0};
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_span magic = ccz_rd_take(&r, 8);
    uint8_t kind = ccz_rd_u8(&r);
    ccz_rd_copy(&r, out->key_check, sizeof(out->key_check));
    if (r.bad || r.left == 0 || !ccz_span_eq(magic, ccz_span_str(MAGIC)) ||
        kind <= CCZI_MASTER_FILE || kind > CCZI_MASTER_SHAMIR) {
        *out = (struct cczi_kms_blob){0};
        return bad_blob(err, in, "one that we write");
    }
    out->kind = kind;
    out->header = CCZ_SPAN(in.ptr, CCZI_MASTER_HEADER_SIZE);
    out->body = CCZ_SPAN(r.ptr, r.left);
    return CCZ_OK;
}

ccz_rc cczi_tee_body_parse(struct cczi_tee_body *out, struct ccz_span in, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct cczi_tee_body b = {.policy = ccz_rd_u8(&r)};
    b.measurement = ccz_rd_take(&r, ccz_rd_u8(&r));
    b.nonce = ccz_rd_take(&r, CCZ_AEAD_NONCE_SIZE);
    b.text = ccz_rd_take(&r, CCZ_KMS_MASTER_KEY_SIZE);
    b.tag = ccz_rd_take(&r, CCZ_AEAD_TAG_SIZE);
    bool ok = ccz_rd_done(&r) &&
              (b.policy == CCZ_SEAL_TO_MEASUREMENT || b.policy == CCZ_SEAL_TO_SIGNER) &&
              b.measurement.size <= 48;
    *out = ok ? b : (struct cczi_tee_body){0};
    return ok ? CCZ_OK : bad_blob(err, in, "sealed by a TEE");
}

ccz_rc cczi_p11_body_parse(struct cczi_p11_body *out, struct ccz_span in, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct cczi_p11_body b = {.mechanism = ccz_rd_u8(&r)};
    b.iv = ccz_rd_take(&r, ccz_rd_le16(&r));
    b.text = ccz_rd_take(&r, ccz_rd_le16(&r));
    bool ok = ccz_rd_done(&r) && b.text.size > 0;
    bool gcm = b.mechanism == CCZI_P11_AES_GCM;
    ok = ok && (gcm || b.mechanism == CCZI_P11_OAEP_SHA1 || b.mechanism == CCZI_P11_OAEP_SHA256);
    ok = ok && b.iv.size == (gcm ? CCZ_AEAD_NONCE_SIZE : 0);
    *out = ok ? b : (struct cczi_p11_body){0};
    return ok ? CCZ_OK : bad_blob(err, in, "wrapped by a token");
}

ccz_rc cczi_shamir_body_parse(struct cczi_shamir_body *out, struct ccz_span in, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct cczi_shamir_body b = {.needed = ccz_rd_u8(&r)};
    b.total = ccz_rd_u8(&r);
    b.set = ccz_rd_take(&r, CCZI_SHARE_ID_SIZE);
    b.commitments = ccz_rd_take(&r, (size_t)b.total * 32);
    bool ok =
        ccz_rd_done(&r) && b.needed >= 2 && b.needed <= b.total && b.total <= CCZ_KMS_SHARES_MAX;
    *out = ok ? b : (struct cczi_shamir_body){0};
    return ok ? CCZ_OK : bad_blob(err, in, "one in shares");
}

/* --------------------------------------------------------------------- open, free */

static ccz_rc bad_spec(struct ccz_err *err, const char *spec)
{
    char got[80]; /* never all of it: somebody may have put a PIN there */
    ccz_escape(got, sizeof(got), CCZ_SPAN(spec, strcspn(spec, ":")));
    return ccz_refuse(err, CCZ_E_ARG, "kms:master-spec", got,
                      "PATH, file:PATH, pkcs11:URI, tee:mrenclave, tee:mrsigner, shamir:K/N");
}

/* A spec with a scheme, or a path. */
static ccz_rc pick(struct ccz_kms_master *m, const char **rest, const char *spec,
                   struct ccz_err *err)
{
    const char *colon = strchr(spec, ':'), *slash = strchr(spec, '/');
    *rest = spec;
    m->ops = &cczi_master_file;
    if (!colon || (slash && slash < colon)) /* "./a:b" and "/a:b" are paths */
        return spec[0] ? CCZ_OK : bad_spec(err, spec);
    size_t n = (size_t)(colon - spec);
    for (size_t i = 0; i < PROVIDERS_LEN; i++) {
        if (strlen(providers[i]->name) == n && memcmp(providers[i]->name, spec, n) == 0) {
            m->ops = providers[i];
            *rest = colon + 1;
            return CCZ_OK;
        }
    }
    return bad_spec(err, spec);
}

ccz_rc ccz_kms_master_open(struct ccz_kms_master **out, const struct ccz_kms_master_cfg *cfg,
                           struct ccz_err *err)
{
    *out = NULL;
    struct ccz_kms_master *fresh = calloc(1, sizeof(*fresh));
    if (!fresh)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:master", 0, "out of memory");
    (void)pthread_mutex_init(&fresh->lock, NULL);
    fresh->ops = &cczi_master_file;
    ccz_buf_init(&fresh->measurement, 64);
    CCZ_AUTO(ccz_kms_master) m = fresh;
    const char *rest = NULL;
    ccz_rc rc = CCZ_OK;
    if (cfg->spec)
        rc = pick(m, &rest, cfg->spec, err);
    if (rc != CCZ_OK)
        return rc;
    const char *name = m->ops->kind == CCZI_MASTER_FILE ? "master.key" : "master.wrapped";
    bool own_path = m->ops->kind == CCZI_MASTER_FILE && rest;
    if (own_path && !rest[0])
        return bad_spec(err, cfg->spec);
    int n = own_path ? snprintf(m->path, sizeof(m->path), "%s", rest)
                     : snprintf(m->path, sizeof(m->path), "%s/%s", cfg->dir, name);
    if (n <= 0 || (size_t)n >= sizeof(m->path) - 8) /* room for ".old.99" */
        return ccz_fail(err, CCZ_E_LIMIT, "kms:path", n, "the path of the master key is too long");
    if (!own_path)
        (void)snprintf(m->elsewhere, sizeof(m->elsewhere), "%s/%s", cfg->dir,
                       m->ops->kind == CCZI_MASTER_FILE ? "master.wrapped" : "master.key");
    rc = m->ops->open(m, rest ? rest : "", cfg, err);
    if (rc == CCZ_OK)
        *out = ccz_kms_master_take(&m);
    return rc;
}

void ccz_kms_master_free(struct ccz_kms_master *m)
{
    if (!m)
        return;
    m->ops->close(m);
    ccz_secret_free(m->seal_key);
    ccz_secret_free(m->shares);
    ccz_secret_free(m->key);
    ccz_buf_free(&m->measurement);
    (void)pthread_mutex_destroy(&m->lock);
    free(m);
}

const char *ccz_kms_master_name(const struct ccz_kms_master *m)
{
    return m->ops->name;
}

/* -------------------------------------------------------------------------- file */

static ccz_rc file_open(struct ccz_kms_master *m, const char *rest,
                        const struct ccz_kms_master_cfg *cfg, struct ccz_err *err)
{
    (void)m;
    (void)rest;
    (void)cfg;
    (void)err;
    return CCZ_OK;
}

static ccz_rc file_wrap(struct ccz_buf *body, struct ccz_kms_master *m, struct ccz_span header,
                        const struct ccz_secret *key, struct ccz_err *err)
{
    (void)m;
    (void)header;
    (void)err;
    ccz_buf_put(body, ccz_secret_view(key), CCZ_KMS_MASTER_KEY_SIZE);
    return CCZ_OK;
}

static ccz_rc file_unwrap(uint8_t *key, struct ccz_kms_master *m, const struct cczi_kms_blob *blob,
                          struct ccz_err *err)
{
    (void)m;
    if (blob->body.size != CCZ_KMS_MASTER_KEY_SIZE)
        return cczi_kms_hint(err,
                             ccz_refuse_num(err, CCZ_E_FORMAT, "kms:master-key-size",
                                            (int64_t)blob->body.size, CCZ_KMS_MASTER_KEY_SIZE));
    memcpy(key, blob->body.ptr, CCZ_KMS_MASTER_KEY_SIZE);
    return CCZ_OK;
}

static void file_close(struct ccz_kms_master *m)
{
    (void)m;
}

const struct cczi_kms_master_ops cczi_master_file = {"file",    CCZI_MASTER_FILE, file_open,
                                                     file_wrap, file_unwrap,      file_close};

/* ---------------------------------------------------------------- wrapped keys on disk */

/* Reads a key file of mode 0600; another provider's is not looked into. */
ccz_rc cczi_kms_master_read(struct ccz_buf *file, struct cczi_kms_blob *blob,
                            struct ccz_kms_master *m, const char *path, struct ccz_err *err)
{
    *blob = (struct cczi_kms_blob){0};
    CCZ_AUTO(ccz_secret) content = NULL;
    ccz_rc rc = ccz_file_read_secret(&content, path, CCZI_BLOB_SIZE_MAX, err);
    if (rc != CCZ_OK)
        return rc;
    file->wipe = true;
    ccz_buf_clear(file);
    ccz_buf_put(file, ccz_secret_view(content), ccz_secret_size(content));
    if (file->bad)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:master", 0, "out of memory");
    if (m->ops->kind == CCZI_MASTER_FILE) {
        blob->body = ccz_buf_span(file);
        return CCZ_OK;
    }
    rc = cczi_kms_blob_parse(blob, ccz_buf_span(file), err);
    if (rc == CCZ_OK && blob->kind != m->ops->kind) {
        const char *got = "another provider";
        for (size_t i = 0; i < PROVIDERS_LEN; i++)
            if (providers[i]->kind == blob->kind)
                got = providers[i]->name;
        rc = ccz_refuse(err, CCZ_E_MISMATCH, "kms:master-kind", got, m->ops->name);
        (void)cczi_kms_hint(err, rc);
    }
    return rc;
}

/* Both or neither: the key in this file, and its check value. */
static ccz_rc unwrap_file(struct ccz_secret **out, uint8_t check[CCZI_KEY_CHECK_SIZE],
                          struct ccz_kms_master *m, const char *path, struct ccz_err *err)
{
    CCZ_AUTO_BUF file;
    ccz_buf_init(&file, CCZI_BLOB_SIZE_MAX);
    struct cczi_kms_blob blob;
    ccz_rc rc = cczi_kms_master_read(&file, &blob, m, path, err);
    CCZ_AUTO(ccz_secret) key = NULL;
    if (rc == CCZ_OK && ccz_secret_new(&key, CCZ_KMS_MASTER_KEY_SIZE) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_NOMEM, "kms:master", 0, "out of memory");
    if (rc == CCZ_OK)
        rc = m->ops->unwrap(ccz_secret_bytes(key), m, &blob, err);
    if (rc == CCZ_OK && cczi_kms_key_check(check, ccz_secret_view(key)) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_INTERNAL, "kms:master", 0, "cannot derive from the master key");
    if (rc == CCZ_OK && blob.kind && !ccz_ct_eq(check, blob.key_check, CCZI_KEY_CHECK_SIZE))
        rc = ccz_fail(err, CCZ_E_SIG, "kms:master-blob", 0,
                      "what came out of the wrapped master key is not what went in");
    if (rc == CCZ_OK)
        *out = ccz_secret_take(&key);
    return rc;
}

static ccz_rc no_readback(struct ccz_err *err, ccz_rc rc, const char *why)
{
    (void)ccz_fail(err, rc, "kms:master-readback", 0,
                   "the new master key was wrapped and does not come back: %s", why);
    return cczi_kms_hint(err, rc);
}

/* A token may wrap with what it does not unwrap with, and wrap for somebody else. Shares are read back where they are made. */
static ccz_rc opens_again(struct ccz_kms_master *m, struct ccz_span file,
                          const struct ccz_secret *key, struct ccz_err *err)
{
    if (m->ops->kind == CCZI_MASTER_SHAMIR)
        return CCZ_OK;
    struct cczi_kms_blob blob = {.body = file};
    struct ccz_err why = {0};
    CCZ_AUTO(ccz_secret) got = NULL;
    ccz_rc rc = m->ops->kind == CCZI_MASTER_FILE ? CCZ_OK : cczi_kms_blob_parse(&blob, file, &why);
    if (rc == CCZ_OK && ccz_secret_new(&got, CCZ_KMS_MASTER_KEY_SIZE) != CCZ_OK)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:master", 0, "out of memory");
    if (rc == CCZ_OK)
        rc = m->ops->unwrap(ccz_secret_bytes(got), m, &blob, &why);
    if (rc != CCZ_OK)
        return no_readback(err, rc, why.msg);
    return ccz_ct_eq(ccz_secret_view(got), ccz_secret_view(key), CCZ_KMS_MASTER_KEY_SIZE)
               ? CCZ_OK
               : no_readback(err, CCZ_E_SIG, "another key came out");
}

/* The file is on the disk as it should be, or is not there any more. */
static ccz_rc write_and_read(const char *path, struct ccz_span file, enum ccz_file_mode mode,
                             struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) got = NULL;
    ccz_rc rc = ccz_file_write(path, file, 0600, mode, err);
    if (rc != CCZ_OK)
        return rc;
    rc = ccz_file_read_secret(&got, path, CCZI_BLOB_SIZE_MAX, NULL);
    if (rc == CCZ_OK && ccz_secret_size(got) == file.size &&
        ccz_ct_eq(ccz_secret_view(got), file.ptr, file.size))
        return CCZ_OK;
    (void)unlink(path);
    return no_readback(err, CCZ_E_IO, "the file that was written has another content");
}

/* Wraps a new key into a file; nobody else knows it until this returns. Nothing takes the place of another file before the
 * provider has opened it again. */
static ccz_rc wrap_file(struct ccz_secret **out, struct ccz_kms_master *m, const char *path,
                        enum ccz_file_mode mode, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) key = NULL;
    uint8_t check[CCZI_KEY_CHECK_SIZE];
    ccz_rc rc = ccz_secret_new(&key, CCZ_KMS_MASTER_KEY_SIZE);
    if (rc == CCZ_OK)
        rc = ccz_random(ccz_secret_bytes(key), CCZ_KMS_MASTER_KEY_SIZE);
    if (rc == CCZ_OK)
        rc = cczi_kms_key_check(check, ccz_secret_view(key));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:master-key-make", 0, "cannot make a master key");
    CCZ_AUTO_BUF file, body;
    ccz_buf_init(&file, CCZI_BLOB_SIZE_MAX);
    ccz_buf_init(&body, CCZI_BLOB_SIZE_MAX);
    file.wipe = body.wipe = true;
    if (m->ops->kind != CCZI_MASTER_FILE) {
        ccz_buf_put_str(&file, MAGIC);
        ccz_buf_u8(&file, (uint8_t)m->ops->kind);
        ccz_buf_put(&file, check, sizeof(check));
    }
    rc = m->ops->wrap(&body, m, ccz_buf_span(&file), key, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_put_span(&file, ccz_buf_span(&body));
    if (file.bad || body.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:master", 0, "out of memory");
    rc = opens_again(m, ccz_buf_span(&file), key, err);
    if (rc == CCZ_OK)
        rc = write_and_read(path, ccz_buf_span(&file), mode, err);
    if (rc == CCZ_OK)
        *out = ccz_secret_take(&key);
    return rc;
}

static void path_with(char out[CCZI_MASTER_PATH_SIZE + 8], const struct ccz_kms_master *m,
                      const char *suffix)
{
    (void)snprintf(out, CCZI_MASTER_PATH_SIZE + 8, "%s%s", m->path, suffix);
}

/* If it comes back after a power cut, it is taken away again, or means nothing. */
static void take_away(const char *path)
{
    struct ccz_err err = {0};
    if (unlink(path) == 0 && ccz_sync_parent(path, &err) != CCZ_OK)
        ccz_log_err(CCZ_LOG_WARN, "kms", "remove", &err);
}

static ccz_rc mark_init(const char *mark, struct ccz_err *err)
{
    static const char text[] = "an init is under way; the key beside this is nobody's yet\n";
    return ccz_file_write(mark, ccz_span_str(text), 0600, CCZ_FILE_REPLACE, err);
}

static ccz_rc key_exists(const struct ccz_kms_master *m, struct ccz_err *err)
{
    (void)ccz_fail(err, CCZ_E_EXISTS, "kms:master-key-exists", 0,
                   "%s is there already, and may be the key of another store", m->path);
    return cczi_kms_hint(err, CCZ_E_EXISTS);
}

/* The master key of an earlier run that did not reach the database is as good as a new one; a shared one is not
 * there any more. */
ccz_rc cczi_kms_master_make(struct ccz_secret **out, struct ccz_kms_master *m, bool reuse,
                            struct ccz_err *err)
{
    *out = NULL;
    char mark[CCZI_MASTER_PATH_SIZE + 8];
    path_with(mark, m, ".init");
    bool shares = m->ops->kind == CCZI_MASTER_SHAMIR, cut_short = access(mark, F_OK) == 0;
    uint8_t check[CCZI_KEY_CHECK_SIZE];
    if (access(m->path, F_OK) == 0) {
        if (!cut_short && (!reuse || shares))
            return key_exists(m, err);
        return shares ? wrap_file(out, m, m->path, CCZ_FILE_REPLACE, err)
                      : unwrap_file(out, check, m, m->path, err);
    }
    ccz_rc rc = mark_init(mark, err); /* before the key: what has no mark is somebody's */
    return rc == CCZ_OK ? wrap_file(out, m, m->path, CCZ_FILE_CREATE_ONLY, err) : rc;
}

void cczi_kms_master_made(const struct ccz_kms_master *m)
{
    char mark[CCZI_MASTER_PATH_SIZE + 8];
    path_with(mark, m, ".init");
    take_away(mark);
}

ccz_rc cczi_kms_master_get(struct ccz_secret **out, bool *is_next, struct ccz_kms_master *m,
                           const uint8_t key_check[CCZI_KEY_CHECK_SIZE], struct ccz_err *err)
{
    *out = NULL;
    *is_next = false;
    uint8_t check[CCZI_KEY_CHECK_SIZE], next_check[CCZI_KEY_CHECK_SIZE];
    CCZ_AUTO(ccz_secret) key = NULL;
    CCZ_AUTO(ccz_secret) next = NULL;
    char next_path[CCZI_MASTER_PATH_SIZE + 8];
    path_with(next_path, m, ".next");
    ccz_rc rc = unwrap_file(&key, check, m, m->path, err);
    bool fits = rc == CCZ_OK && ccz_ct_eq(check, key_check, sizeof(check));
    /* a rekey may have been cut short after its commit */
    if (!fits && access(next_path, F_OK) == 0 &&
        unwrap_file(&next, next_check, m, next_path, NULL) == CCZ_OK &&
        ccz_ct_eq(next_check, key_check, sizeof(next_check))) {
        *out = ccz_secret_take(&next);
        *is_next = true;
        return CCZ_OK;
    }
    if (rc == CCZ_E_NOT_FOUND && m->elsewhere[0] && access(m->path, F_OK) != 0 &&
        access(m->elsewhere, F_OK) == 0) {
        (void)ccz_refuse(err, CCZ_E_MISMATCH, "kms:master-kind",
                         m->ops->kind == CCZI_MASTER_FILE ? "not file" : "file", m->ops->name);
        return cczi_kms_hint(err, CCZ_E_MISMATCH);
    }
    if (rc == CCZ_OK)
        *out = ccz_secret_take(&key);
    return rc;
}

ccz_rc cczi_kms_master_stage(struct ccz_secret **out, struct ccz_kms_master *m, struct ccz_err *err)
{
    *out = NULL;
    char next_path[CCZI_MASTER_PATH_SIZE + 8];
    path_with(next_path, m, ".next");
    return wrap_file(out, m, next_path, CCZ_FILE_REPLACE, err);
}

/* FILE becomes FILE.old, or FILE.old.2, .3, ...: backups need the key of their day, so none takes another one's name. */
static bool keep_old(const struct ccz_kms_master *m)
{
    char old_path[CCZI_MASTER_PATH_SIZE + 8], suffix[8] = ".old";
    for (unsigned n = 2; n <= OLD_MAX; n++) {
        path_with(old_path, m, suffix);
        if (access(old_path, F_OK) != 0)
            return rename(m->path, old_path) == 0 || errno == ENOENT;
        (void)snprintf(suffix, sizeof(suffix), ".old.%u", n % 100);
    }
    errno = EEXIST;
    return false;
}

ccz_rc cczi_kms_master_promote(struct ccz_kms_master *m, struct ccz_err *err)
{
    char next_path[CCZI_MASTER_PATH_SIZE + 8];
    path_with(next_path, m, ".next");
    /* between the two, only FILE.next is there: cczi_kms_master_get() takes that */
    bool ok = keep_old(m) && rename(next_path, m->path) == 0;
    if (!ok)
        return ccz_fail(err, CCZ_E_IO, "kms:master-promote", errno,
                        "the store has a new master key, and %s cannot take its name: %s",
                        next_path, strerror(errno));
    return ccz_sync_parent(m->path, err);
}

void cczi_kms_master_unstage(const struct ccz_kms_master *m)
{
    char next_path[CCZI_MASTER_PATH_SIZE + 8];
    path_with(next_path, m, ".next");
    take_away(next_path);
}
