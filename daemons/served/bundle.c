/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed bundles of models. Nothing is believed of the folder before its signature was checked; the key is the version that the signed
 * manifest names, so that the KMS has the last word on an old one (disabled, below the minimum, destroyed). What was served once in this
 * process is a floor besides.
 */
#include "served.h"

#include "../../cli/key_file.h"

#include <cczoo/bundle.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct served_bundle {
    const struct served_opts *opts;
    struct ccz_attester *attester;
    struct ccz_infer *infer;
    struct ccz_engine *engine;
    struct served_revoke *revoke;
    struct ccz_kms_instance kms; /* where keys come from, at every load */
    pthread_mutex_t lock;        /* of what follows: loads and revocations are of two threads */
    int64_t floor;               /* older versions are refused */
    int64_t served;              /* 0 = none */
    int64_t last;                /* that was served last, and the digest of its manifest */
    uint8_t last_sha256[32];
};

/* ----------------------------------------------------------------------------------------- trust */

/* The key of who must have signed: from a file, or from the KMS, which the host cannot answer for. */
static ccz_rc load_public(struct ccz_pkey **out, struct served_bundle *b, const char *from,
                          struct ccz_err *err)
{
    if (strncmp(from, "secret/", 7) != 0)
        return key_file_load_any(out, from, err);
    struct served_item item = {.name = from};
    ccz_rc rc = served_get_items(&item, 1, b->opts, &b->kms, b->attester, err);
    if (rc != CCZ_OK)
        return rc;
    rc = key_text_public(out, CCZ_SPAN(ccz_secret_view(item.value), ccz_secret_size(item.value)),
                         err);
    ccz_secret_free(item.value);
    return rc == CCZ_OK ? rc : ccz_hint(err, rc, "expected the public key as PEM: FILE.pub");
}

/* Opened as far as signatures and rules go. */
static ccz_rc open_trusted(struct ccz_bundle **out, struct served_bundle *b, struct ccz_err *err)
{
    const struct served_opts *o = b->opts;
    CCZ_AUTO(ccz_pkey) signer = NULL;
    CCZ_AUTO(ccz_pkey) owner = NULL;
    *out = NULL;
    ccz_rc rc = load_public(&signer, b, o->bundle_signer, err);
    if (rc == CCZ_OK && o->bundle_owner)
        rc = load_public(&owner, b, o->bundle_owner, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_pkey *const signers[] = {signer};
    (void)pthread_mutex_lock(&b->lock);
    const int64_t version_min = b->floor;
    (void)pthread_mutex_unlock(&b->lock);
    const struct ccz_bundle_cfg cfg = {.signers = signers,
                                       .signers_len = 1,
                                       .owner = owner,
                                       .name = o->model_name,
                                       .version_min = version_min};
    return ccz_bundle_open(out, o->model_dir, &cfg, err);
}

/* The signer may name any key; who started this server may have said which. */
static ccz_rc check_manifest(const struct served_opts *o, const struct ccz_bundle_manifest *m,
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
    return strcmp(m->engine, o->engine) == 0
               ? CCZ_OK
               : ccz_hint(
                     err,
                     ccz_refuse(err, CCZ_E_POLICY, "served:bundle-engine", m->engine, o->engine),
                     "say --engine as the bundle does");
}

/* -------------------------------------------------------------------------------------- revocation */

static void gone(void *arg, const struct served_held *held, const char *why)
{
    struct served_bundle *b = arg;
    struct ccz_err err = {0};
    (void)pthread_mutex_lock(&b->lock);
    if (b->served == held->version)
        b->served = 0;
    (void)pthread_mutex_unlock(&b->lock);
    /* no call gets it from here on; blocks until those that have it are through */
    ccz_rc rc = ccz_infer_remove(b->infer, held->model, held->version, &err);
    if (rc != CCZ_OK && rc != CCZ_E_NOT_FOUND)
        ccz_log_err(CCZ_LOG_ERROR, "served", "model=not-unloaded", &err);
    else
        ccz_log(CCZ_LOG_WARN, "served",
                "model=unloaded name=%s version=%" PRId64 " key=%s key_version=%u where=%s",
                held->model, held->version, held->item, held->key_version,
                why[0] ? why : "served:kms-grace");
}

/* ------------------------------------------------------------------------------------------ load */

/* With the first bundle that may be loaded: an engine takes a second and hundreds of MB. */
static ccz_rc open_engine(struct served_bundle *b, struct ccz_err *err)
{
    const struct served_opts *o = b->opts;
    const struct ccz_engine_cfg cfg = {.backend = o->engine,
                                       .library = o->tensorflow,
                                       .intra_threads = 1,
                                       .inter_threads = -1}; /* one run per worker, in the worker */
    return b->engine ? CCZ_OK : ccz_engine_open(&b->engine, &cfg, err);
}

static ccz_rc load_model(struct ccz_model **out, struct served_bundle *b, struct ccz_bundle *bundle,
                         const struct ccz_secret *key, struct ccz_err *err)
{
    const struct ccz_bundle_manifest *m = ccz_bundle_manifest(bundle);
    struct ccz_model_file *files = calloc(m->files_len, sizeof(*files));
    CCZ_AUTO(ccz_model) model = NULL;
    if (!files)
        return ccz_fail(err, CCZ_E_NOMEM, "served:model", 0, "out of memory");
    for (size_t i = 0; i < m->files_len; i++)
        files[i] = (struct ccz_model_file){.name = m->file[i].path, .size = m->file[i].size};
    const struct ccz_model_cfg cfg = {
        .files = files, .files_len = m->files_len, .read_at = ccz_bundle_read_at, .arg = bundle};
    ccz_rc rc = ccz_bundle_unlock(bundle, key, err);
    if (rc == CCZ_OK)
        rc = open_engine(b, err);
    if (rc == CCZ_OK)
        rc = ccz_model_load(&model, b->engine, &cfg, err);
    if (rc == CCZ_OK) /* all of it was what was signed, before any of it is used */
        rc = ccz_bundle_finish(bundle, err);
    if (rc == CCZ_OK)
        *out = ccz_model_take(&model);
    free(files);
    return rc;
}

/* A version names one model: clients, and who compares servers, go by it. @param[out] there  it is served already */
static ccz_rc is_new(bool *there, struct served_bundle *b, const struct ccz_bundle_manifest *m,
                     struct ccz_err *err)
{
    (void)pthread_mutex_lock(&b->lock);
    const int64_t last = b->last, served = b->served;
    const bool same = memcmp(b->last_sha256, m->sha256, sizeof(m->sha256)) == 0;
    (void)pthread_mutex_unlock(&b->lock);
    *there = served != 0 && served == m->version && same;
    if (last != m->version || same)
        return CCZ_OK;
    char got[64];
    (void)snprintf(got, sizeof(got), "version %" PRId64 " with another manifest", m->version);
    return ccz_hint(err,
                    ccz_refuse(err, CCZ_E_POLICY, "served:version-reused", got,
                               "the manifest that was served as this version"),
                    "another model needs another version");
}

/* In service from now on, and asked about. */
static ccz_rc publish(struct served_bundle *b, const struct ccz_bundle_manifest *m,
                      struct ccz_model **model, struct ccz_err *err)
{
    struct served_held held = {.version = m->version, .key_version = m->key_version};
    (void)snprintf(held.model, sizeof(held.model), "%s", m->name);
    (void)snprintf(held.item, sizeof(held.item), "%s", m->key);
    (void)pthread_mutex_lock(&b->lock);
    const int64_t before = b->served;
    ccz_rc rc = ccz_infer_add(b->infer, m->name, m->version, model, err);
    if (rc == CCZ_OK) {
        b->served = b->last = m->version;
        memcpy(b->last_sha256, m->sha256, sizeof(b->last_sha256));
        if (b->floor < m->version)
            b->floor = m->version;
    }
    (void)pthread_mutex_unlock(&b->lock);
    if (rc != CCZ_OK)
        return rc;
    if (before)
        served_revoke_let_go(b->revoke, m->name, before);
    rc = served_revoke_hold(b->revoke, &held, &b->kms, err);
    if (rc != CCZ_OK) /* what nobody asks about is not served */
        gone(b, &held, "served:held");
    return rc;
}

ccz_rc served_bundle_load(struct served_bundle *b, struct ccz_err *err)
{
    CCZ_AUTO(ccz_bundle) bundle = NULL;
    CCZ_AUTO(ccz_model) model = NULL;
    const int64_t t0 = ccz_mono_ms();
    bool there = false;
    ccz_rc rc = open_trusted(&bundle, b, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_bundle_manifest *m = ccz_bundle_manifest(bundle);
    rc = check_manifest(b->opts, m, err);
    if (rc == CCZ_OK)
        rc = is_new(&there, b, m, err);
    if (rc != CCZ_OK || there)
        return rc;
    struct served_item key = {.name = m->key, .ask = m->key_version};
    rc = served_get_items(&key, 1, b->opts, &b->kms, b->attester, err);
    if (rc == CCZ_OK)
        rc = load_model(&model, b, bundle, key.value, err);
    ccz_secret_free(key.value);
    if (rc == CCZ_OK)
        rc = publish(b, m, &model, err);
    if (rc == CCZ_OK)
        ccz_log(CCZ_LOG_INFO, "served",
                "model name=%s version=%" PRId64 " files=%zu key=%s key_version=%u loaded_ms=%lld",
                m->name, m->version, m->files_len, m->key, m->key_version,
                (long long)(ccz_mono_ms() - t0));
    return rc;
}

/* ------------------------------------------------------------------------------------ from, to */

ccz_rc served_bundle_new(struct served_bundle **out, const struct served_opts *o,
                         struct ccz_attester *attester, struct ccz_infer *infer,
                         struct ccz_err *err)
{
    *out = NULL;
    struct served_bundle *b = calloc(1, sizeof(*b));
    if (!b)
        return ccz_fail(err, CCZ_E_NOMEM, "served:bundle", 0, "out of memory");
    *b = (struct served_bundle){.opts = o,
                                .attester = attester,
                                .infer = infer,
                                .kms = o->instance,
                                .floor = o->model_version};
    if (pthread_mutex_init(&b->lock, NULL) != 0) {
        free(b);
        return ccz_fail(err, CCZ_E_NOMEM, "served:bundle", 0, "no mutex");
    }
    const struct served_revoke_cfg revoke = {
        .opts = o, .attester = attester, .gone = gone, .arg = b};
    ccz_rc rc = served_revoke_start(&b->revoke, &revoke, err);
    if (rc == CCZ_OK)
        *out = b;
    else
        served_bundle_free(b);
    return rc;
}

void served_bundle_stop(struct served_bundle *b)
{
    if (!b)
        return;
    served_revoke_stop(b->revoke);
    b->revoke = NULL;
}

void served_bundle_free(struct served_bundle *b)
{
    if (!b)
        return;
    served_bundle_stop(b);
    ccz_engine_free(b->engine);
    (void)pthread_mutex_destroy(&b->lock);
    free(b);
}
