/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a bundle: who signed it, what it is, whether it may be used; then its files, verified while they are read. */
#define _DEFAULT_SOURCE
#include "bundle_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIGNATURE_SIZE_MAX = 256 };

struct ccz_bundle {
    char dir[CCZI_BUNDLE_PATH_MAX];
    struct ccz_bundle_manifest m;
    struct cczi_bundle_keys keys; /* once unlocked */
    bool unlocked;
    struct cczi_bundle_reader reader[CCZ_BUNDLE_FILES_MAX];
};

/* -------------------------------------------------------------------------------------- signatures */

/* Which of the trusted keys has signed these bytes; NULL = none. */
static const struct ccz_pkey *signer_of(const struct ccz_bundle_cfg *cfg, struct ccz_span manifest,
                                        struct ccz_span sig)
{
    for (size_t i = 0; i < cfg->signers_len; i++)
        if (cczi_bundle_signed_by(cfg->signers[i], manifest, sig))
            return cfg->signers[i];
    return NULL;
}

static ccz_rc untrusted(const char *where, const uint8_t got[32], const char *expected,
                        struct ccz_err *err)
{
    char hex[65];
    ccz_hex(hex, got, 32);
    return ccz_hint(
        err, ccz_refuse(err, CCZ_E_UNTRUSTED, where, hex, expected),
        "cczoo model inspect shows who made a bundle; whose are accepted is yours to say");
}

static const char get_again[] = "the bundle was damaged or changed: get it again from who made it";

/* No trusted key verifies. What the manifest says of its signer tells a stranger's bundle from a damaged one; that is all it is good for. */
static ccz_rc not_signed(const struct ccz_bundle_cfg *cfg, struct ccz_span manifest,
                         struct ccz_err *err)
{
    struct ccz_bundle_manifest *m = malloc(sizeof(*m));
    bool stranger = m && ccz_bundle_manifest_parse(m, manifest, NULL) == CCZ_OK;
    for (size_t i = 0; stranger && i < cfg->signers_len; i++) {
        uint8_t id[32];
        if (cczi_bundle_key_id(id, cfg->signers[i], "bundle:trust", NULL) == CCZ_OK &&
            memcmp(id, m->signer, sizeof(id)) == 0)
            stranger = false;
    }
    ccz_rc rc = stranger
                    ? untrusted("bundle:signer", m->signer, "a signer that is trusted", err)
                    : ccz_hint(err,
                               ccz_refuse(err, CCZ_E_SIG, "bundle:signature",
                                          "a manifest or signature that was changed",
                                          "the signature of a trusted signer over manifest.json"),
                               get_again);
    free(m);
    return rc;
}

/* The signature first: nothing of a manifest means anything before. */
static ccz_rc check_signer(struct ccz_bundle *b, const struct ccz_bundle_cfg *cfg,
                           struct ccz_span manifest, struct ccz_err *err)
{
    uint8_t id[32];
    CCZ_AUTO_BUF sig;
    ccz_buf_init(&sig, SIGNATURE_SIZE_MAX);
    ccz_rc rc =
        cczi_bundle_read_small(&sig, b->dir, CCZI_BUNDLE_SIGNATURE, "bundle:no-signature", err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_pkey *key = signer_of(cfg, manifest, ccz_buf_span(&sig));
    if (!key)
        return not_signed(cfg, manifest, err);
    rc = cczi_bundle_key_id(id, key, "bundle:trust", err);
    if (rc == CCZ_OK)
        rc = ccz_bundle_manifest_parse(&b->m, manifest, err);
    if (rc == CCZ_OK && memcmp(id, b->m.signer, sizeof(id)) != 0)
        rc = untrusted("bundle:signer", b->m.signer, "the key that has signed", err);
    return rc;
}

static ccz_rc check_owner(const struct ccz_bundle *b, const struct ccz_bundle_cfg *cfg,
                          struct ccz_span manifest, struct ccz_err *err)
{
    uint8_t id[32];
    char hex[65];
    CCZ_AUTO_BUF sig;
    ccz_buf_init(&sig, SIGNATURE_SIZE_MAX);
    ccz_rc rc = cczi_bundle_key_id(id, cfg->owner, "bundle:trust", err);
    if (rc != CCZ_OK)
        return rc;
    ccz_hex(hex, id, sizeof(id));
    if (memcmp(id, b->m.owner, sizeof(id)) != 0)
        return untrusted("bundle:owner", b->m.owner, hex, err);
    rc = cczi_bundle_read_small(&sig, b->dir, CCZI_BUNDLE_OWNER, "bundle:no-owner-signature", err);
    if (rc != CCZ_OK || cczi_bundle_signed_by(cfg->owner, manifest, ccz_buf_span(&sig)))
        return rc;
    return ccz_hint(err,
                    ccz_refuse(err, CCZ_E_SIG, "bundle:owner-signature",
                               "a signature that does not verify", hex),
                    get_again);
}

/* ------------------------------------------------------------------------------------------ rules */

static ccz_rc rolled_back(const struct ccz_bundle_manifest *m, int64_t version_min,
                          struct ccz_err *err)
{
    char got[64], expected[64];
    (void)snprintf(got, sizeof(got), "version %" PRId64, m->version);
    (void)snprintf(expected, sizeof(expected), "version %" PRId64 " or later", version_min);
    return ccz_hint(err, ccz_refuse(err, CCZ_E_POLICY, "bundle:rolled-back", got, expected),
                    "somebody put back an older bundle, or the new one is not there yet");
}

static ccz_rc check_rules(const struct ccz_bundle_manifest *m, const struct ccz_bundle_cfg *cfg,
                          struct ccz_err *err)
{
    static const char other[] = "this is the bundle of another model or version";
    if (cfg->name && strcmp(cfg->name, m->name) != 0)
        return ccz_hint(err, ccz_refuse(err, CCZ_E_POLICY, "bundle:name", m->name, cfg->name),
                        other);
    if (cfg->version && cfg->version != m->version)
        return ccz_hint(
            err, ccz_refuse_num(err, CCZ_E_POLICY, "bundle:version", m->version, cfg->version),
            other);
    return m->version < cfg->version_min ? rolled_back(m, cfg->version_min, err) : CCZ_OK;
}

static ccz_rc check_cfg(const struct ccz_bundle_cfg *cfg, struct ccz_err *err)
{
    if (cfg->any_signer_insecure || cfg->signers_len > 0)
        return CCZ_OK;
    return ccz_hint(err,
                    ccz_refuse(err, CCZ_E_ARG, "bundle:trust", "no signer that is trusted",
                               "the public key of at least one"),
                    "whose models may be run is for the caller to say");
}

/* ------------------------------------------------------------------------------------------- open */

static ccz_rc open_all(struct ccz_bundle *b, const struct ccz_bundle_cfg *cfg, struct ccz_err *err)
{
    CCZ_AUTO_BUF manifest;
    ccz_buf_init(&manifest, CCZ_BUNDLE_MANIFEST_SIZE_MAX);
    ccz_rc rc =
        cczi_bundle_read_small(&manifest, b->dir, CCZI_BUNDLE_MANIFEST, "bundle:no-manifest", err);
    if (rc != CCZ_OK)
        return rc;
    rc = cfg->any_signer_insecure ? ccz_bundle_manifest_parse(&b->m, ccz_buf_span(&manifest), err)
                                  : check_signer(b, cfg, ccz_buf_span(&manifest), err);
    if (rc == CCZ_OK && cfg->owner && !cfg->any_signer_insecure)
        rc = check_owner(b, cfg, ccz_buf_span(&manifest), err);
    if (rc == CCZ_OK)
        rc = check_rules(&b->m, cfg, err);
    return rc == CCZ_OK ? cczi_bundle_folder_check(b->dir, &b->m, err) : rc;
}

ccz_rc ccz_bundle_open(struct ccz_bundle **out, const char *dir, const struct ccz_bundle_cfg *cfg,
                       struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check_cfg(cfg, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_bundle) b = calloc(1, sizeof(*b));
    if (!b)
        return ccz_fail(err, CCZ_E_NOMEM, "bundle:memory", 0, "out of memory");
    for (size_t i = 0; i < CCZ_BUNDLE_FILES_MAX; i++)
        b->reader[i].fd = -1;
    if (strlen(dir) >= sizeof(b->dir))
        return ccz_fail(err, CCZ_E_LIMIT, "bundle:path-size", 0, "the path is too long");
    memcpy(b->dir, dir, strlen(dir) + 1);
    rc = open_all(b, cfg, err);
    if (rc == CCZ_OK)
        *out = ccz_bundle_take(&b);
    return rc;
}

void ccz_bundle_free(struct ccz_bundle *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < CCZ_BUNDLE_FILES_MAX; i++)
        cczi_bundle_reader_close(&b->reader[i]);
    cczi_bundle_keys_deinit(&b->keys);
    free(b);
}

bool ccz_bundle_is(const char *dir)
{
    char path[CCZI_BUNDLE_PATH_MAX];
    return cczi_bundle_join(path, dir, CCZI_BUNDLE_MANIFEST, NULL) == CCZ_OK &&
           access(path, F_OK) == 0;
}

const struct ccz_bundle_manifest *ccz_bundle_manifest(const struct ccz_bundle *b)
{
    return &b->m;
}

/* ------------------------------------------------------------------------------------------ files */

/* A pass over file @p i has come to its end. */
static ccz_rc compare(struct ccz_bundle *b, size_t i, struct ccz_err *err)
{
    uint8_t digest[32];
    struct cczi_bundle_reader *r = &b->reader[i];
    ccz_rc rc = cczi_bundle_reader_digest(digest, r, b->keys.digest, err);
    if (rc != CCZ_OK)
        return rc;
    if (!ccz_ct_eq(digest, b->m.file[i].digest, sizeof(digest)))
        return ccz_hint(err,
                        ccz_refuse(err, CCZ_E_SIG, "bundle:digest", b->m.file[i].path,
                                   "the contents that were signed"),
                        "whoever wrote this file has the key of the bundle: give it a new one");
    r->complete = true;
    return CCZ_OK;
}

static ccz_rc open_file(struct ccz_bundle *b, size_t i, struct ccz_err *err)
{
    const struct ccz_bundle_file *f = &b->m.file[i];
    struct cczi_bundle_reader *r = &b->reader[i];
    ccz_rc rc = cczi_bundle_reader_open(r, b->dir, b->m.id, f->path, b->keys.files, err);
    if (rc != CCZ_OK)
        return rc;
    const uint64_t size = ccz_pf_reader_size(r->pf);
    if (size != f->size)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "bundle:file-size", (int64_t)size,
                              (int64_t)f->size);
    return size == 0 ? compare(b, i, err) : CCZ_OK;
}

ccz_rc ccz_bundle_unlock(struct ccz_bundle *b, const struct ccz_secret *key, struct ccz_err *err)
{
    for (size_t i = 0; i < b->m.files_len; i++)
        cczi_bundle_reader_close(&b->reader[i]);
    cczi_bundle_keys_deinit(&b->keys);
    b->unlocked = false;
    ccz_rc rc = cczi_bundle_keys_init(&b->keys, key, err);
    if (rc != CCZ_OK)
        return rc;
    if (!ccz_ct_eq(b->keys.check, b->m.key_check, sizeof(b->keys.check)))
        return ccz_hint(err,
                        ccz_refuse(err, CCZ_E_SIG, "bundle:key", "another key",
                                   b->m.key[0] ? b->m.key : "the key that it was packed with"),
                        "the manifest names the item and version of its key");
    for (size_t i = 0; rc == CCZ_OK && i < b->m.files_len; i++)
        rc = open_file(b, i, err);
    b->unlocked = rc == CCZ_OK;
    return rc;
}

static ccz_rc read_next(struct ccz_bundle *b, size_t file, uint64_t offset, void *out, size_t size,
                        struct ccz_err *err)
{
    struct cczi_bundle_reader *r = &b->reader[file];
    const struct ccz_bundle_file *f = &b->m.file[file];
    if (offset > f->size || size > f->size - offset)
        return ccz_fail(err, CCZ_E_ARG, "bundle:read-range", (int64_t)offset,
                        "%.100s ends before that", f->path);
    if (size == 0)
        return CCZ_OK;
    if (r->complete && offset == 0) { /* from the start again, and compared again */
        r->complete = false;
        r->at = 0;
    }
    if (r->complete || offset != r->at)
        return ccz_refuse_num(err, CCZ_E_ARG, "bundle:read-order", (int64_t)offset, (int64_t)r->at);
    ccz_rc rc = cczi_bundle_reader_next(out, r, size, err);
    return rc == CCZ_OK && r->at == f->size ? compare(b, file, err) : rc;
}

ccz_rc ccz_bundle_read_at(void *bundle, size_t file, uint64_t offset, void *out, size_t size,
                          struct ccz_err *err)
{
    struct ccz_bundle *b = bundle;
    ccz_rc rc;
    if (!b->unlocked)
        rc = ccz_fail(err, CCZ_E_ARG, "bundle:locked", 0, "the bundle has no key yet");
    else if (file >= b->m.files_len)
        rc = ccz_fail(err, CCZ_E_ARG, "bundle:read-range", (int64_t)file, "there is no such file");
    else
        rc = read_next(b, file, offset, out, size, err);
    if (rc != CCZ_OK)
        memset(out, 0, size);
    return rc;
}

ccz_rc ccz_bundle_finish(const struct ccz_bundle *b, struct ccz_err *err)
{
    for (size_t i = 0; i < b->m.files_len; i++)
        if (!b->unlocked || !b->reader[i].complete)
            return ccz_refuse(err, CCZ_E_SIG, "bundle:unread", b->m.file[i].path,
                              "each file read to its end and compared");
    return CCZ_OK;
}

/* ----------------------------------------------------------------------------------------- verify */

static ccz_rc verify_sealed(const struct ccz_bundle *b, size_t i, struct ccz_err *err)
{
    char rel[CCZI_BUNDLE_PATH_MAX], path[CCZI_BUNDLE_PATH_MAX];
    uint8_t sha256[32];
    ccz_rc rc = cczi_bundle_join(rel, CCZI_BUNDLE_FILES, b->m.file[i].path, err);
    if (rc == CCZ_OK)
        rc = cczi_bundle_join(path, b->dir, rel, err);
    if (rc == CCZ_OK)
        rc = cczi_bundle_sha256(sha256, path, err);
    if (rc == CCZ_OK && memcmp(sha256, b->m.file[i].sha256, sizeof(sha256)) != 0)
        rc = ccz_hint(err,
                      ccz_refuse(err, CCZ_E_SIG, "bundle:sealed-digest", b->m.file[i].path,
                                 "the protected file that was signed"),
                      get_again);
    return rc;
}

static ccz_rc verify_plain(struct ccz_bundle *b, size_t i, uint8_t *chunk, struct ccz_err *err)
{
    const uint64_t size = b->m.file[i].size;
    ccz_rc rc = CCZ_OK;
    for (uint64_t at = 0; rc == CCZ_OK && at < size;) {
        const size_t n =
            size - at < CCZ_BUNDLE_CHUNK_SIZE ? (size_t)(size - at) : CCZ_BUNDLE_CHUNK_SIZE;
        rc = ccz_bundle_read_at(b, i, at, chunk, n, err);
        at += n;
    }
    return rc;
}

ccz_rc ccz_bundle_verify(struct ccz_bundle *b,
                         void (*on_file)(void *arg, const char *path, uint64_t size), void *arg,
                         struct ccz_err *err)
{
    CCZ_AUTO_BUF chunk;
    ccz_buf_init(&chunk, CCZ_BUNDLE_CHUNK_SIZE);
    chunk.wipe = true;
    if (!ccz_buf_extend(&chunk, CCZ_BUNDLE_CHUNK_SIZE))
        return ccz_fail(err, CCZ_E_NOMEM, "bundle:memory", 0, "out of memory");
    for (size_t i = 0; i < b->m.files_len; i++) {
        ccz_rc rc = verify_sealed(b, i, err);
        if (rc == CCZ_OK && b->unlocked)
            rc = verify_plain(b, i, chunk.ptr, err);
        if (rc != CCZ_OK)
            return rc;
        if (on_file)
            on_file(arg, b->m.file[i].path, b->m.file[i].size);
    }
    return b->unlocked ? ccz_bundle_finish(b, err) : CCZ_OK;
}
