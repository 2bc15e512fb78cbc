/* SPDX-License-Identifier: Apache-2.0 */
/* Making a bundle: encrypt, read back, describe, sign; the folder gets its name last. */
#define _DEFAULT_SOURCE
#include "bundle_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job {
    const struct ccz_bundle_write *w;
    struct ccz_newdir dir;
    struct ccz_bundle_manifest m;
    struct cczi_bundle_keys keys;
};

static bool can_sign(const struct ccz_bundle_signer *s)
{
    return s->sign || (s->key && ccz_pkey_is_private(s->key));
}

/* Into the manifest: who is going to sign. */
static ccz_rc name_signers(struct job *j, struct ccz_err *err)
{
    const struct ccz_bundle_write *w = j->w;
    ccz_rc rc = cczi_bundle_key_id(j->m.signer, w->signer.key, "bundle:signer-key", err);
    if (rc == CCZ_OK && !can_sign(&w->signer))
        rc = ccz_refuse(err, CCZ_E_ARG, "bundle:signer-key", "a public key", "a private key");
    if (rc != CCZ_OK || !w->owner.key)
        return rc;
    rc = cczi_bundle_key_id(j->m.owner, w->owner.key, "bundle:owner-key", err);
    if (rc == CCZ_OK && memcmp(j->m.owner, j->m.signer, sizeof(j->m.owner)) == 0)
        rc = ccz_refuse(err, CCZ_E_ARG, "bundle:owner-key", "the key of the signer",
                        "another key: two signatures of one hand are one");
    return rc;
}

/* Before anything is written: another folder than the one that was meant may hold a million files. */
static ccz_rc survey(void *arg, const char *rel, struct ccz_err *err)
{
    struct job *j = arg;
    char got[CCZ_ERR_VALUE_SIZE];
    if (!cczi_bundle_path_ok(rel)) {
        ccz_escape(got, sizeof(got), ccz_span_str(rel));
        return ccz_refuse(err, CCZ_E_FORMAT, "bundle:member", got,
                          "a path of at most 255 printable characters");
    }
    if (j->m.files_len == CCZ_BUNDLE_FILES_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "bundle:files", CCZ_BUNDLE_FILES_MAX + 1,
                        "%.100s has more than %d files", j->w->in_dir, CCZ_BUNDLE_FILES_MAX);
    memcpy(j->m.file[j->m.files_len++].path, rel, strlen(rel) + 1);
    return CCZ_OK;
}

static int by_path(const void *a, const void *b)
{
    const struct ccz_bundle_file *x = a, *y = b;
    return strcmp(x->path, y->path);
}

static ccz_rc find_files(struct job *j, struct ccz_err *err)
{
    ccz_rc rc = ccz_pf_tree_walk(j->w->in_dir, survey, j, err);
    if (rc == CCZ_OK && j->m.files_len == 0)
        rc = ccz_fail(err, CCZ_E_LIMIT, "bundle:files", 0, "%.100s holds no file", j->w->in_dir);
    if (rc == CCZ_OK)
        qsort(j->m.file, j->m.files_len, sizeof(j->m.file[0]), by_path);
    return rc;
}

/* in_dir to <dir>/files, each file bound to this bundle and its place in it. */
static ccz_rc encrypt(struct job *j, struct ccz_err *err)
{
    char files[CCZI_BUNDLE_PATH_MAX], bound[CCZI_BUNDLE_BOUND_SIZE], hex[33];
    ccz_hex(hex, j->m.id, sizeof(j->m.id));
    (void)snprintf(bound, sizeof(bound), "%s%s", CCZI_BUNDLE_BOUND, hex);
    ccz_rc rc = cczi_bundle_join(files, j->dir.tmp, CCZI_BUNDLE_FILES, err);
    if (rc == CCZ_OK)
        rc = ccz_pf_encrypt_tree(files, j->w->in_dir, j->keys.files,
                                 &(struct ccz_pf_cfg){.path = bound}, err);
    return rc;
}

/* What has been written, not what was meant to be: the source may have changed meanwhile. */
static ccz_rc describe_file(struct job *j, struct ccz_bundle_file *f, uint8_t *chunk,
                            struct ccz_err *err)
{
    char rel[CCZI_BUNDLE_PATH_MAX], path[CCZI_BUNDLE_PATH_MAX];
    struct cczi_bundle_reader r;
    ccz_rc rc = cczi_bundle_reader_open(&r, j->dir.tmp, j->m.id, f->path, j->keys.files, err);
    if (rc == CCZ_OK)
        f->size = ccz_pf_reader_size(r.pf);
    while (rc == CCZ_OK && r.at < f->size) {
        const uint64_t left = f->size - r.at;
        rc = cczi_bundle_reader_next(
            chunk, &r, left < CCZ_BUNDLE_CHUNK_SIZE ? (size_t)left : CCZ_BUNDLE_CHUNK_SIZE, err);
    }
    if (rc == CCZ_OK)
        rc = cczi_bundle_reader_digest(f->digest, &r, j->keys.digest, err);
    cczi_bundle_reader_close(&r);
    if (rc == CCZ_OK)
        rc = cczi_bundle_join(rel, CCZI_BUNDLE_FILES, f->path, err);
    if (rc == CCZ_OK)
        rc = cczi_bundle_join(path, j->dir.tmp, rel, err);
    if (rc == CCZ_OK)
        rc = cczi_bundle_sha256(f->sha256, path, err);
    if (rc == CCZ_OK && j->w->on_file)
        j->w->on_file(j->w->arg, f->path, f->size);
    return rc;
}

static ccz_rc describe(struct job *j, struct ccz_err *err)
{
    CCZ_AUTO_BUF chunk;
    ccz_buf_init(&chunk, CCZ_BUNDLE_CHUNK_SIZE);
    chunk.wipe = true;
    if (!ccz_buf_extend(&chunk, CCZ_BUNDLE_CHUNK_SIZE))
        return ccz_fail(err, CCZ_E_NOMEM, "bundle:memory", 0, "out of memory");
    for (size_t i = 0; i < j->m.files_len; i++) {
        ccz_rc rc = describe_file(j, &j->m.file[i], chunk.ptr, err);
        if (rc != CCZ_OK)
            return rc;
    }
    ccz_rc rc = ccz_bundle_manifest_check(&j->m, err);
    /* and a file that came later is in the folder and not in the manifest */
    return rc == CCZ_OK ? cczi_bundle_folder_check(j->dir.tmp, &j->m, err) : rc;
}

static ccz_rc write_small(const char *dir, const char *name, struct ccz_span bytes,
                          struct ccz_err *err)
{
    char path[CCZI_BUNDLE_PATH_MAX];
    ccz_rc rc = cczi_bundle_join(path, dir, name, err);
    return rc == CCZ_OK ? ccz_file_write(path, bytes, 0644, CCZ_FILE_CREATE_ONLY, err) : rc;
}

static ccz_rc write_signature(const char *dir, const char *name, const struct ccz_bundle_signer *s,
                              struct ccz_span manifest, struct ccz_err *err)
{
    CCZ_AUTO_BUF sig;
    ccz_buf_init(&sig, CCZ_PKEY_SIG_SIZE_MAX);
    ccz_rc rc = cczi_bundle_sign(&sig, s, manifest, err);
    return rc == CCZ_OK ? write_small(dir, name, ccz_buf_span(&sig), err) : rc;
}

static ccz_rc write_manifest(struct job *j, struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, CCZ_BUNDLE_MANIFEST_SIZE_MAX);
    ccz_bundle_manifest_put(&b, &j->m);
    if (b.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "bundle:memory", 0, "out of memory");
    const struct ccz_span manifest = ccz_buf_span(&b);
    ccz_rc rc = ccz_sha256(j->m.sha256, manifest);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "bundle:memory", 0, "cannot hash the manifest");
    rc = write_signature(j->dir.tmp, CCZI_BUNDLE_SIGNATURE, &j->w->signer, manifest, err);
    if (rc == CCZ_OK && can_sign(&j->w->owner))
        rc = write_signature(j->dir.tmp, CCZI_BUNDLE_OWNER, &j->w->owner, manifest, err);
    return rc == CCZ_OK ? write_small(j->dir.tmp, CCZI_BUNDLE_MANIFEST, manifest, err) : rc;
}

/* The manifest given, as far as it can be wrong before there are files. */
static ccz_rc check_given(struct job *j, struct ccz_err *err)
{
    j->m.files_len = 1;
    (void)snprintf(j->m.file[0].path, sizeof(j->m.file[0].path), "file");
    ccz_rc rc = ccz_bundle_manifest_check(&j->m, err);
    j->m.files_len = 0;
    return rc;
}

static ccz_rc save(struct job *j, const char *dir, struct ccz_err *err)
{
    const struct ccz_bundle_manifest *g = j->w->manifest;
    j->m = (struct ccz_bundle_manifest){.version = g->version,
                                        .min_version = g->min_version,
                                        .key_version = g->key_version,
                                        .created_s = g->created_s};
    memcpy(j->m.name, g->name, sizeof(j->m.name));
    memcpy(j->m.engine, g->engine, sizeof(j->m.engine));
    memcpy(j->m.key, g->key, sizeof(j->m.key));
    ccz_rc rc = check_given(j, err);
    if (rc == CCZ_OK)
        rc = name_signers(j, err);
    if (rc == CCZ_OK)
        rc = cczi_bundle_keys_init(&j->keys, j->w->key, err);
    if (rc == CCZ_OK && ccz_random(j->m.id, sizeof(j->m.id)) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_INTERNAL, "bundle:id", 0, "no random bytes");
    if (rc == CCZ_OK)
        rc = find_files(j, err);
    if (rc == CCZ_OK)
        rc = ccz_newdir_open(&j->dir, dir, 0755, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(j->m.key_check, j->keys.check, sizeof(j->m.key_check));
    rc = encrypt(j, err);
    if (rc == CCZ_OK)
        rc = describe(j, err);
    if (rc == CCZ_OK)
        rc = write_manifest(j, err);
    if (rc == CCZ_OK)
        return ccz_newdir_commit(&j->dir, err);
    ccz_newdir_abort(&j->dir);
    return rc;
}

ccz_rc ccz_bundle_save(uint8_t sha256[32], const char *dir, const struct ccz_bundle_write *w,
                       struct ccz_err *err)
{
    if (sha256)
        memset(sha256, 0, 32);
    struct job *j = calloc(1, sizeof(*j));
    if (!j)
        return ccz_fail(err, CCZ_E_NOMEM, "bundle:memory", 0, "out of memory");
    j->w = w;
    ccz_rc rc = save(j, dir, err);
    if (rc == CCZ_OK && sha256)
        memcpy(sha256, j->m.sha256, 32);
    cczi_bundle_keys_deinit(&j->keys);
    free(j);
    return rc;
}

ccz_rc ccz_bundle_countersign(const char *dir, const struct ccz_bundle_signer *owner,
                              struct ccz_err *err)
{
    uint8_t id[32];
    char hex[65];
    CCZ_AUTO_BUF manifest;
    ccz_buf_init(&manifest, CCZ_BUNDLE_MANIFEST_SIZE_MAX);
    struct ccz_bundle_manifest *m = malloc(sizeof(*m));
    if (!m)
        return ccz_fail(err, CCZ_E_NOMEM, "bundle:memory", 0, "out of memory");
    ccz_rc rc = cczi_bundle_key_id(id, owner->key, "bundle:owner-key", err);
    if (rc == CCZ_OK && !can_sign(owner))
        rc = ccz_refuse(err, CCZ_E_ARG, "bundle:owner-key", "a public key", "a private key");
    if (rc == CCZ_OK)
        rc =
            cczi_bundle_read_small(&manifest, dir, CCZI_BUNDLE_MANIFEST, "bundle:no-manifest", err);
    if (rc == CCZ_OK)
        rc = ccz_bundle_manifest_parse(m, ccz_buf_span(&manifest), err);
    if (rc == CCZ_OK && memcmp(id, m->owner, sizeof(id)) != 0) {
        ccz_hex(hex, m->owner, sizeof(m->owner));
        rc = ccz_refuse(err, CCZ_E_UNTRUSTED, "bundle:owner", hex, "the key that is to sign");
    }
    free(m);
    return rc == CCZ_OK
               ? write_signature(dir, CCZI_BUNDLE_OWNER, owner, ccz_buf_span(&manifest), err)
               : rc;
}
