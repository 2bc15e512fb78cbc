/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles of recommenders: whose they may be, with which key, and how a newer one takes the place of an older one. */
#include "served.h"

#include <cczoo/recsys_order.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct served_als {
    const struct served_opts *opts;
    struct ccz_attester *attester;
    struct served_single *single;
    struct ccz_kms_instance kms;   /* where keys and orders come from, at every load */
    struct ccz_party *judge;       /* of trainers */
    struct ccz_recsys_order order; /* as the KMS had it at the last load */
    struct ccz_recsys_engine_cfg cfg;
    struct ccz_engine *engine;
    uint64_t loaded,
        served; /* versions: of the model that was loaded last, of the one that was in service last */
    uint8_t loaded_sha256[32], served_sha256[32]; /* of their manifests */
};

static ccz_rc judge(void *arg, struct ccz_span cert, struct ccz_err *err)
{
    struct served_als *a = arg;
    struct ccz_claims claims;
    ccz_rc rc = ccz_party_cert_judge(&claims, a->judge, cert, err);
    return rc == CCZ_OK ? CCZ_OK
                        : ccz_hint(err, rc,
                                   "the bundle was not made by a program that "
                                   "--trainer-policy accepts");
}

ccz_rc served_als_new(struct served_als **out, const struct served_opts *o,
                      struct ccz_attester *attester, struct served_single *single,
                      struct ccz_err *err)
{
    *out = NULL;
    struct served_als *a = calloc(1, sizeof(*a));
    if (!a)
        return ccz_fail(err, CCZ_E_NOMEM, "served:als", 0, "out of memory");
    *a = (struct served_als){.opts = o, .attester = attester, .single = single, .kms = o->instance};
    const struct ccz_party_cfg party = {.collateral_dir = o->collateral,
                                        .trust_sim_dir = o->trust_sim,
                                        .collateral_from = o->collateral_from,
                                        .collateral_ca_file = o->collateral_ca_file,
                                        .policy_file = o->trainer_policy};
    a->cfg = (struct ccz_recsys_engine_cfg){.bundle = {.trainer = judge,
                                                       .arg = a,
                                                       .name = o->model_name,
                                                       .order = o->order ? &a->order : NULL},
                                            .oblivious = o->oblivious,
                                            .version = &a->loaded,
                                            .sha256 = a->loaded_sha256};
    ccz_rc rc = ccz_party_new(&a->judge, &party, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_engine(&a->engine, &a->cfg, err);
    if (rc == CCZ_OK)
        *out = a;
    else
        served_als_free(a);
    return rc;
}

/* A version names one model: clients, and who compares servers, go by it. */
static ccz_rc check_same(const struct served_als *a, struct ccz_err *err)
{
    if (memcmp(a->loaded_sha256, a->served_sha256, sizeof(a->served_sha256)) == 0)
        return CCZ_OK;
    char hex[2][65], got[128], expected[128];
    ccz_hex(hex[0], a->loaded_sha256, 32);
    ccz_hex(hex[1], a->served_sha256, 32);
    (void)snprintf(got, sizeof(got), "version %" PRIu64 ", manifest %s", a->loaded, hex[0]);
    (void)snprintf(expected, sizeof(expected), "manifest %s", hex[1]);
    return ccz_hint(err, ccz_refuse(err, CCZ_E_POLICY, "recsys:version-reused", got, expected),
                    "another model needs a new version of its key");
}

/* The latest key, and the latest order with it. */
static ccz_rc ask_kms(struct ccz_secret **key, struct served_als *a, struct ccz_err *err)
{
    const struct served_opts *o = a->opts;
    struct served_item items[] = {{.name = o->kms_key}, {.name = o->order}};
    CCZ_AUTO(ccz_secret) order = NULL;
    ccz_rc rc = served_get_items(items, o->order ? 2 : 1, o, &a->kms, a->attester, err);
    if (rc != CCZ_OK)
        return rc;
    *key = items[0].value;
    a->cfg.bundle.key_version = items[0].version;
    order = items[1].value;
    return o->order ? ccz_recsys_order_parse(
                          &a->order, CCZ_SPAN(ccz_secret_view(order), ccz_secret_size(order)), err)
                    : CCZ_OK;
}

/* In service from now on, and asked about. */
static ccz_rc publish(struct served_als *a, struct ccz_model **model, struct ccz_err *err)
{
    struct served_held held = {.version = (int64_t)a->loaded,
                               .key_version = a->cfg.bundle.key_version};
    (void)snprintf(held.model, sizeof(held.model), "%s", a->opts->model_name);
    (void)snprintf(held.item, sizeof(held.item), "%s", a->opts->kms_key);
    ccz_rc rc = served_single_publish(a->single, &held, &a->kms, model, err);
    if (rc != CCZ_OK)
        return rc;
    a->served = a->loaded;
    memcpy(a->served_sha256, a->loaded_sha256, sizeof(a->served_sha256));
    return CCZ_OK;
}

ccz_rc served_als_load(struct served_als *a, struct ccz_err *err)
{
    const struct served_opts *o = a->opts;
    CCZ_AUTO(ccz_secret) key = NULL;
    CCZ_AUTO(ccz_recsys_folder) folder = NULL;
    CCZ_AUTO(ccz_model) model = NULL;
    const int64_t t0 = ccz_mono_ms();
    a->cfg.bundle.version_min = a->served ? a->served : (uint64_t)o->model_version;
    ccz_rc rc = ask_kms(&key, a, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_folder_open(&folder, o->model_dir, key, a->cfg.bundle.key_version, err);
    if (rc == CCZ_OK)
        rc = ccz_model_load(&model, a->engine, ccz_recsys_folder_files(folder), err);
    if (rc != CCZ_OK)
        return rc;
    if (a->loaded == a->served)
        rc = check_same(a, err);
    if (rc == CCZ_OK && served_single_version(a->single) == (int64_t)a->loaded) {
        ccz_log(CCZ_LOG_INFO, "served", "model name=%s version=%" PRIu64 " unchanged",
                o->model_name, a->served);
        return CCZ_OK;
    }
    if (rc == CCZ_OK)
        rc = publish(a, &model, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_log(CCZ_LOG_INFO, "served", "model name=%s version=%llu key_version=%u loaded_ms=%lld",
            o->model_name, (unsigned long long)a->served, a->cfg.bundle.key_version,
            (long long)(ccz_mono_ms() - t0));
    return CCZ_OK;
}

void served_als_free(struct served_als *a)
{
    if (!a)
        return;
    ccz_engine_free(a->engine);
    ccz_party_free(a->judge);
    free(a);
}
