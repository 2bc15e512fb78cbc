/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed bundles of models. Nothing is believed of the folder before its signature was checked; the key is the version that the signed
 * manifest names, so that the KMS has the last word on an old one (disabled, below the minimum, destroyed). What was served once in this
 * process is a floor besides.
 */
#include "served.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct served_bundle {
    const struct served_opts *opts;
    struct ccz_attester *attester;
    struct served_engines *engines;
    struct served_single *single;
    struct ccz_kms_instance kms; /* where keys come from, at every load */
    int64_t floor;               /* older versions are refused */
    int64_t last;                /* that was served last, and the digest of its manifest */
    uint8_t last_sha256[32];
};

/* A version names one model: clients, and who compares servers, go by it. @param[out] there  it is served already */
static ccz_rc is_new(bool *there, const struct served_bundle *b,
                     const struct ccz_bundle_manifest *m, struct ccz_err *err)
{
    const bool same = memcmp(b->last_sha256, m->sha256, sizeof(m->sha256)) == 0;
    *there = same && served_single_version(b->single) == m->version;
    if (b->last != m->version || same)
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
    ccz_rc rc = served_single_publish(b->single, &held, &b->kms, model, err);
    if (rc != CCZ_OK)
        return rc;
    b->last = m->version;
    memcpy(b->last_sha256, m->sha256, sizeof(b->last_sha256));
    if (b->floor < m->version)
        b->floor = m->version;
    return CCZ_OK;
}

ccz_rc served_bundle_load(struct served_bundle *b, struct ccz_err *err)
{
    CCZ_AUTO(ccz_bundle) bundle = NULL;
    CCZ_AUTO(ccz_model) model = NULL;
    const int64_t t0 = ccz_mono_ms();
    bool there = false;
    const struct served_source source = {
        .opts = b->opts, .attester = b->attester, .kms = &b->kms, .engines = b->engines};
    const struct served_want want = {
        .dir = b->opts->model_dir, .name = b->opts->model_name, .version_min = b->floor};
    ccz_rc rc = served_trust_open(&bundle, &source, &want, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_bundle_manifest *m = ccz_bundle_manifest(bundle);
    rc = is_new(&there, b, m, err);
    if (rc != CCZ_OK || there)
        return rc;
    rc = served_trust_load(&model, &source, bundle, err);
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
                         struct ccz_attester *attester, struct served_engines *engines,
                         struct served_single *single, struct ccz_err *err)
{
    *out = NULL;
    struct served_bundle *b = calloc(1, sizeof(*b));
    if (!b)
        return ccz_fail(err, CCZ_E_NOMEM, "served:bundle", 0, "out of memory");
    *b = (struct served_bundle){.opts = o,
                                .attester = attester,
                                .engines = engines,
                                .single = single,
                                .kms = o->instance,
                                .floor = o->model_version};
    *out = b;
    return CCZ_OK;
}

void served_bundle_free(struct served_bundle *b)
{
    free(b);
}
