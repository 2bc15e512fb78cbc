/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many models: what TensorFlow Serving's configuration names, each in a folder of the host with a folder for each version. A version is
 *   a bundle        if it has a manifest: signed, for this name and version, under the key that it names;
 *   in clear        with --models-in-clear-insecure alone: the host may put there what it likes;
 *   else protected files under key/<name of the model>: who may write the configuration cannot serve one model by the name of another.
 * Keys are asked about while their models are served (revoke.c).
 */
#include "served.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCHING_SIZE_MAX = 65536 };

/* The oldest version of a model that is accepted: the largest min_version of the bundles that were. */
struct floor {
    struct floor *next;
    char name[CCZ_BUNDLE_NAME_SIZE];
    int64_t version;
};

struct served_store {
    const struct served_opts *opts;
    struct ccz_attester *attester;
    struct served_engines *engines;
    struct served_work *work;
    struct served_revoke *revoke;
    struct ccz_catalog *catalog;
    struct ccz_catalog_infer ops;
    pthread_mutex_t lock; /* of what follows: versions are loaded by several threads */
    struct ccz_kms_instance kms;
    struct floor *floors;
    struct served_configured seen; /* what the configuration file was at the last look */
};

/* ------------------------------------------------------------------------------ load */

/* Where a warm-up record is read from. */
struct record_reader {
    const struct ccz_model_cfg *cfg;
    size_t file;
    uint64_t at;
};

static ptrdiff_t read_records(void *arg, void *to, size_t size, struct ccz_err *err)
{
    struct record_reader *r = arg;
    const uint64_t left = r->cfg->files[r->file].size - r->at;
    const size_t n = left < size ? (size_t)left : size;
    if (n && r->cfg->read_at(r->cfg->arg, r->file, r->at, to, n, err) != CCZ_OK)
        return -1;
    r->at += n;
    return (ptrdiff_t)n;
}

struct warming {
    struct served_store *store;
    const struct ccz_catalog_item *item;
};

/* --enable_per_model_batching_parameters: batching_params.pbtxt beside the model, for its queue. */
static ccz_rc own_batching(struct served_store *s, const char *model,
                           const struct ccz_model_cfg *cfg, struct ccz_err *err)
{
    struct ccz_serve_batching params;
    size_t i = 0;
    while (i < cfg->files_len && strcmp(cfg->files[i].name, "batching_params.pbtxt") != 0)
        i++;
    if (!s->opts->tfs.model_batching || i == cfg->files_len)
        return CCZ_OK;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, BATCHING_SIZE_MAX);
    const size_t size = (size_t)cfg->files[i].size;
    uint8_t *p = cfg->files[i].size <= BATCHING_SIZE_MAX ? ccz_buf_extend(&text, size) : NULL;
    if (!p)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "served:batching-file", (int64_t)cfg->files[i].size,
                              BATCHING_SIZE_MAX);
    ccz_rc rc = cfg->read_at(cfg->arg, i, 0, p, size, err);
    if (rc == CCZ_OK)
        rc = ccz_serve_read_batching(&params, NULL, ccz_buf_span(&text), CCZ_SERVE_TEXT, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_sched_batching batching = ccz_sched_batching_from(&params);
    return ccz_sched_model(s->work->sched, model,
                           &(struct ccz_sched_model_cfg){.batching = &batching}, err);
}

/* Before a client sees the version: the first run of a model is slow. */
static ccz_rc warm(void *arg, struct ccz_model *model, const struct ccz_model_cfg *cfg,
                   struct ccz_err *err)
{
    const struct warming *w = arg;
    const char *dir = w->item->dir;
    const struct served_tfs *t = &w->store->opts->tfs;
    struct record_reader r = {.cfg = cfg};
    ccz_rc rc = own_batching(w->store, w->item->name, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    while (r.file < cfg->files_len && strcmp(cfg->files[r.file].name, CCZ_SERVE_WARMUP_FILE) != 0)
        r.file++;
    if (!t->warm_up)
        return CCZ_OK;
    if (r.file == cfg->files_len) {
        served_first_run(model);
        return CCZ_OK;
    }
    const struct ccz_serve_warmup how = {
        .read = read_records, .arg = &r, .iterations = (unsigned)t->warm_up_iterations};
    const int64_t t0 = ccz_mono_ns();
    size_t records = 0;
    rc = ccz_serve_warmup_infer(&records, w->store->work->models, model, &how, err);
    ccz_serve_metrics_warmup(w->store->work->metrics, dir,
                             rc == CCZ_OK ? CCZ_RUN_OK : CCZ_RUN_INTERNAL, ccz_mono_ns() - t0);
    ccz_log(CCZ_LOG_INFO, "served", "warm-up dir=%s records=%zu took_ms=%lld", dir, records,
            (long long)((ccz_mono_ns() - t0) / 1000000));
    return rc;
}

/* Files that an engine reads as they are. */
static ccz_rc load_folder(struct ccz_model **out, struct served_store *s,
                          const struct ccz_catalog_item *item, const struct ccz_secret *key,
                          struct ccz_err *err)
{
    struct warming w = {s, item};
    struct served_folder *folder = NULL;
    CCZ_AUTO(ccz_model) model = NULL;
    ccz_rc rc = served_folder_open(&folder, item->dir, key, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_model_cfg cfg = served_folder_cfg(folder);
    rc = served_folder_load(&model, folder, s->engines, s->opts->tfs.saved_model_tag, err);
    if (rc == CCZ_OK)
        rc = warm(&w, model, &cfg, err);
    if (rc == CCZ_OK)
        *out = ccz_model_take(&model);
    served_folder_free(folder);
    return rc;
}

static ccz_rc hold(struct served_store *s, const struct ccz_catalog_item *item, const char *key,
                   uint32_t key_version, struct ccz_err *err)
{
    struct served_held held = {.version = item->version, .key_version = key_version};
    (void)snprintf(held.model, sizeof(held.model), "%s", item->name);
    (void)snprintf(held.item, sizeof(held.item), "%s", key);
    (void)pthread_mutex_lock(&s->lock);
    const struct ccz_kms_instance kms = s->kms;
    (void)pthread_mutex_unlock(&s->lock);
    return served_revoke_hold(s->revoke, &held, &kms, err);
}

static ccz_rc load_protected(struct ccz_model **out, struct served_store *s,
                             const struct ccz_catalog_item *item, struct ccz_err *err)
{
    char name[CCZ_KMS_ITEM_SIZE];
    int n = snprintf(name, sizeof(name), "key/%s", item->name);
    if (n < 0 || (size_t)n >= sizeof(name))
        return ccz_fail(err, CCZ_E_LIMIT, "served:model-name", n,
                        "no key of the KMS has such a name");
    struct served_item key = {.name = name};
    (void)pthread_mutex_lock(&s->lock);
    ccz_rc rc = served_get_items(&key, 1, s->opts, &s->kms, s->attester, err);
    (void)pthread_mutex_unlock(&s->lock);
    if (rc == CCZ_OK)
        rc = load_folder(out, s, item, key.value, err);
    ccz_secret_free(key.value);
    return rc == CCZ_OK ? hold(s, item, name, key.version, err) : rc;
}

/* Under the lock. */
static int64_t floor_of(const struct served_store *s, const char *name)
{
    const struct floor *f = s->floors;
    while (f && strcmp(f->name, name) != 0)
        f = f->next;
    return f ? f->version : 0;
}

/* Under the lock: a bundle was accepted. */
static ccz_rc raise_floor(struct served_store *s, const struct ccz_bundle_manifest *m,
                          struct ccz_err *err)
{
    struct floor *f = s->floors;
    while (f && strcmp(f->name, m->name) != 0)
        f = f->next;
    if (!f) {
        f = calloc(1, sizeof(*f));
        if (!f)
            return ccz_fail(err, CCZ_E_NOMEM, "served:bundle", 0, "out of memory");
        (void)snprintf(f->name, sizeof(f->name), "%s", m->name);
        f->next = s->floors;
        s->floors = f;
    }
    f->version = f->version > m->min_version ? f->version : m->min_version;
    return CCZ_OK;
}

static ccz_rc load_bundle(struct ccz_model **out, struct served_store *s,
                          const struct ccz_catalog_item *item, struct ccz_err *err)
{
    struct warming w = {s, item};
    const struct served_source source = {.opts = s->opts,
                                         .attester = s->attester,
                                         .kms = &s->kms,
                                         .engines = s->engines,
                                         .warm = warm,
                                         .warm_arg = &w};
    struct served_want want = {.dir = item->dir, .name = item->name, .version = item->version};
    CCZ_AUTO(ccz_bundle) bundle = NULL;
    if (!s->opts->bundle_signer)
        return ccz_hint(err,
                        ccz_refuse(err, CCZ_E_POLICY, "served:bundle-signer",
                                   "a bundle, and nobody whose signature counts",
                                   "--bundle-signer"),
                        "say whose bundles this server may load");
    (void)pthread_mutex_lock(
        &s->lock); /* of the KMS, whose identity is fixed by the first answer */
    want.version_min = floor_of(s, item->name);
    ccz_rc rc = served_trust_open(&bundle, &source, &want, err);
    if (rc == CCZ_OK)
        rc = served_trust_load(out, &source, bundle, err);
    if (rc == CCZ_OK)
        rc = raise_floor(s, ccz_bundle_manifest(bundle), err);
    (void)pthread_mutex_unlock(&s->lock);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_bundle_manifest *m = ccz_bundle_manifest(bundle);
    return hold(s, item, m->key, m->key_version, err);
}

static ccz_rc load(void *arg, struct ccz_model **model, const struct ccz_catalog_item *item,
                   struct ccz_err *err)
{
    struct served_store *s = arg;
    const int64_t t0 = ccz_mono_ns();
    *model = NULL;
    ccz_rc rc = ccz_bundle_is(item->dir)   ? load_bundle(model, s, item, err)
                : s->opts->models_in_clear ? load_folder(model, s, item, NULL, err)
                                           : load_protected(model, s, item, err);
    if (rc != CCZ_OK) { /* also one that was loaded, and that nobody would ask about */
        ccz_model_free(*model);
        *model = NULL;
    }
    ccz_serve_metrics_load(s->work->metrics, item->dir, rc == CCZ_OK, ccz_mono_ns() - t0);
    if (rc == CCZ_OK)
        ccz_log(CCZ_LOG_INFO, "served", "model name=%s version=%" PRId64 " loaded_ms=%lld",
                item->name, item->version, (long long)((ccz_mono_ns() - t0) / 1000000));
    return rc;
}

static void ended(void *arg, const struct ccz_catalog_item *item)
{
    struct served_store *s = arg;
    if (s->revoke)
        served_revoke_let_go(s->revoke, item->name, item->version);
}

static void revoked(void *arg, const struct served_held *held, const char *why)
{
    struct served_store *s = arg;
    struct ccz_err err = {0};
    const char *where = why[0] ? why : "served:kms-grace";
    /* nobody has said no: it comes back when the KMS gives the key again */
    ccz_rc rc = why[0] ? ccz_catalog_revoke(s->catalog, held->model, held->version, where, &err)
                       : ccz_catalog_suspend(s->catalog, held->model, held->version, where, &err);
    if (rc != CCZ_OK && rc != CCZ_E_NOT_FOUND)
        ccz_log_err(CCZ_LOG_ERROR, "served", "model=not-unloaded", &err);
    else
        ccz_log(CCZ_LOG_WARN, "served",
                "model=unloaded name=%s version=%" PRId64 " key=%s key_version=%u where=%s",
                held->model, held->version, held->item, held->key_version, where);
}

/* ------------------------------------------------------------------------------ from, to */

static ccz_rc start(struct served_store *s, struct ccz_err *err)
{
    const struct served_tfs *t = &s->opts->tfs;
    struct ccz_catalog_cfg cfg = {.poll_ms = t->poll_s ? t->poll_s * 1000 : CCZ_CATALOG_POLL_ONCE,
                                  .load_threads = (unsigned)t->load_threads,
                                  .retries = t->load_retries ? (unsigned)t->load_retries
                                                             : CCZ_CATALOG_NO_RETRY,
                                  .retry_ms = t->retry_us / 1000 ? t->retry_us / 1000 : 1,
                                  .allow_unavailable_labels = t->unavailable_labels};
    s->ops =
        (struct ccz_catalog_infer){.infer = s->work->models, .arg = s, .load = load, .gone = ended};
    ccz_catalog_use_infer(&cfg, &s->ops);
    ccz_rc rc = ccz_catalog_new(&s->catalog, &cfg, err);
    if (rc != CCZ_OK || !s->opts->kms)
        return rc;
    const struct served_revoke_cfg revoke = {
        .opts = s->opts, .attester = s->attester, .gone = revoked, .arg = s};
    return served_revoke_start(&s->revoke, &revoke, err);
}

ccz_rc served_store_new(struct served_store **out, const struct served_opts *o,
                        struct ccz_attester *attester, struct served_engines *engines,
                        struct served_work *work, struct ccz_err *err)
{
    struct served_store *s = *out = calloc(1, sizeof(*s));
    if (!s)
        return ccz_fail(err, CCZ_E_NOMEM, "served:store", 0, "out of memory");
    *s = (struct served_store){
        .opts = o, .attester = attester, .engines = engines, .work = work, .kms = o->instance};
    (void)pthread_mutex_init(&s->lock, NULL);
    return start(s, err);
}

struct ccz_catalog *served_store_catalog(const struct served_store *s)
{
    return s->catalog;
}

/* The queue of each model; names that are not told share one. */
static ccz_rc set_queues(struct served_store *s, const struct ccz_serve_models *models,
                         struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < models->len; i++)
        rc = ccz_sched_model(s->work->sched, models->model[i].name,
                             &(struct ccz_sched_model_cfg){0}, err);
    return rc;
}

ccz_rc served_store_configure(struct served_store *s, bool wait, struct ccz_err *err)
{
    struct ccz_serve_models models = {0};
    struct ccz_run_status st = {0};
    bool same = false;
    ccz_rc rc = served_config_models(&models, &same, &s->seen, s->opts, err);
    if (rc == CCZ_OK && same) {
        ccz_serve_models_free(&models);
        return CCZ_OK;
    }
    if (rc == CCZ_OK)
        rc = set_queues(s, &models, err);
    if (rc == CCZ_OK && ccz_catalog_replace(s->catalog, &models, wait ? -1 : 0, &st) != CCZ_OK &&
        (wait || st.code != CCZ_RUN_DEADLINE_EXCEEDED))
        rc = ccz_fail(err, ccz_run_rc(st.code), "served:models", st.code, "%.400s", st.msg);
    ccz_serve_models_free(&models);
    if (rc != CCZ_OK)
        s->seen.known = false; /* what is not in effect is tried again */
    return rc;
}

void served_store_stop(struct served_store *s)
{
    if (!s)
        return;
    if (s->catalog)
        ccz_catalog_cancel(s->catalog);
}

void served_store_free(struct served_store *s)
{
    if (!s)
        return;
    served_revoke_stop(
        s->revoke); /* it calls the catalog, whose threads still tell it what they load */
    ccz_catalog_free(s->catalog);
    served_revoke_free(s->revoke);
    for (struct floor *f = s->floors, *next; f; f = next) {
        next = f->next;
        free(f);
    }
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}
