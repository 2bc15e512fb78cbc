/* SPDX-License-Identifier: Apache-2.0 */
/* Whose bundles are served, and how one is loaded: nothing is believed of a folder before its signature was checked. */
#include "served.h"

#include "../../cli/key_file.h"

#include <stdlib.h>
#include <string.h>

/* The key of who must have signed: from a file, or from the KMS, which the host cannot answer for. */
static ccz_rc load_public(struct ccz_pkey **out, const struct served_source *s, const char *from,
                          struct ccz_err *err)
{
    if (strncmp(from, "secret/", 7) != 0)
        return key_file_load_any(out, from, err);
    struct served_item item = {.name = from};
    ccz_rc rc = served_get_items(&item, 1, s->opts, s->kms, s->attester, err);
    if (rc != CCZ_OK)
        return rc;
    rc = key_text_public(out, CCZ_SPAN(ccz_secret_view(item.value), ccz_secret_size(item.value)),
                         err);
    ccz_secret_free(item.value);
    return rc == CCZ_OK ? rc : ccz_hint(err, rc, "expected the public key as PEM: FILE.pub");
}

ccz_rc served_trust_open(struct ccz_bundle **out, const struct served_source *s,
                         const struct served_want *want, struct ccz_err *err)
{
    CCZ_AUTO(ccz_pkey) signer = NULL;
    CCZ_AUTO(ccz_pkey) owner = NULL;
    *out = NULL;
    ccz_rc rc = load_public(&signer, s, s->opts->bundle_signer, err);
    if (rc == CCZ_OK && s->opts->bundle_owner)
        rc = load_public(&owner, s, s->opts->bundle_owner, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_pkey *const signers[] = {signer};
    const struct ccz_bundle_cfg cfg = {.signers = signers,
                                       .signers_len = 1,
                                       .owner = owner,
                                       .name = want->name,
                                       .version = want->version,
                                       .version_min = want->version_min};
    return ccz_bundle_open(out, want->dir, &cfg, err);
}

/* The signer may name any key; who started this server may have said which. */
static ccz_rc check_key(const struct served_opts *o, const struct ccz_bundle_manifest *m,
                        struct ccz_err *err)
{
    if (!m->key[0])
        return ccz_hint(err,
                        ccz_refuse(err, CCZ_E_POLICY, "served:bundle-key", "a key that no KMS has",
                                   o->kms_key ? o->kms_key : "key/NAME of a KMS"),
                        "pack it with --key key/NAME: what no KMS gives, none can take back");
    if (o->kms_key && strcmp(o->kms_key, m->key) != 0)
        return ccz_hint(
            err, ccz_refuse(err, CCZ_E_POLICY, "served:bundle-key", m->key, o->kms_key),
            "--kms-key says which key of the KMS a bundle may be under; without it any");
    if (strcmp(o->engine, "auto") != 0 && strcmp(m->engine, o->engine) != 0)
        return ccz_hint(err,
                        ccz_refuse(err, CCZ_E_POLICY, "served:bundle-engine", m->engine, o->engine),
                        "say --engine as the bundle does");
    return CCZ_OK;
}

/* Files of the bundle, and which of them the engine has read. */
struct reading {
    struct ccz_bundle *bundle;
    bool read[CCZ_BUNDLE_FILES_MAX];
};

static ccz_rc read_at(void *arg, size_t file, uint64_t offset, void *out, size_t size,
                      struct ccz_err *err)
{
    struct reading *r = arg;
    r->read[file] = true;
    return ccz_bundle_read_at(r->bundle, file, offset, out, size, err);
}

/* An engine need not look at every file; that all of them are what was signed is checked all the same. */
static ccz_rc read_rest(struct reading *r, const struct ccz_bundle_manifest *m, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    uint8_t *part = malloc(CCZ_MODEL_CHUNK_SIZE);
    if (!part)
        return ccz_fail(err, CCZ_E_NOMEM, "served:model", 0, "out of memory");
    for (size_t i = 0; rc == CCZ_OK && i < m->files_len; i++) {
        uint64_t size = r->read[i] ? 0 : m->file[i].size, at = 0;
        while (rc == CCZ_OK && at < size) {
            size_t n =
                size - at < CCZ_MODEL_CHUNK_SIZE ? (size_t)(size - at) : CCZ_MODEL_CHUNK_SIZE;
            rc = read_at(r, i, at, part, n, err);
            at += n;
        }
    }
    ccz_wipe(part, CCZ_MODEL_CHUNK_SIZE);
    free(part);
    return rc;
}

static ccz_rc load(struct ccz_model **out, const struct served_source *s, struct ccz_bundle *bundle,
                   const struct ccz_secret *key, struct ccz_err *err)
{
    const struct ccz_bundle_manifest *m = ccz_bundle_manifest(bundle);
    struct ccz_model_file files[CCZ_BUNDLE_FILES_MAX];
    struct reading r = {.bundle = bundle};
    struct ccz_engine *engine = NULL;
    CCZ_AUTO(ccz_model) model = NULL;
    for (size_t i = 0; i < m->files_len; i++)
        files[i] = (struct ccz_model_file){.name = m->file[i].path, .size = m->file[i].size};
    const struct ccz_model_cfg cfg = {
        .files = files, .files_len = m->files_len, .read_at = read_at, .arg = &r};
    ccz_rc rc = ccz_bundle_unlock(bundle, key, err);
    if (rc == CCZ_OK)
        rc = served_engines_get(&engine, s->engines, m->engine, err);
    if (rc == CCZ_OK)
        rc = ccz_model_load(&model, engine, &cfg, err);
    if (rc == CCZ_OK)
        rc = read_rest(&r, m, err);
    if (rc == CCZ_OK) /* all of it was what was signed, before any of it is used */
        rc = ccz_bundle_finish(bundle, err);
    if (rc == CCZ_OK && s->warm)
        rc = s->warm(s->warm_arg, model, &cfg, err);
    else if (rc == CCZ_OK && s->opts->tfs.warm_up)
        served_first_run(model);
    if (rc == CCZ_OK)
        *out = ccz_model_take(&model);
    return rc;
}

ccz_rc served_trust_load(struct ccz_model **out, const struct served_source *s,
                         struct ccz_bundle *bundle, struct ccz_err *err)
{
    const struct ccz_bundle_manifest *m = ccz_bundle_manifest(bundle);
    struct served_item key = {.name = m->key, .ask = m->key_version};
    *out = NULL;
    ccz_rc rc = check_key(s->opts, m, err);
    if (rc == CCZ_OK)
        rc = served_get_items(&key, 1, s->opts, s->kms, s->attester, err);
    if (rc == CCZ_OK)
        rc = load(out, s, bundle, key.value, err);
    ccz_secret_free(key.value);
    return rc;
}
