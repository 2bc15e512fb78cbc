/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many models: what TensorFlow Serving's configuration names, each in a folder of the host with a folder for each version. A version is
 *   a bundle        if it has a manifest: signed, for this name and version, under the key that it names;
 *   in clear        with --models-in-clear-insecure alone: the host may put there what it likes;
 *   else protected files under key/<name of the model>: who may write the configuration cannot serve one model by the name of another. Nobody
 *                   has signed which version they are: not where --bundle-signer is said, unless --unsigned-too is.
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

/* What a version says of the queue of its model, for when it comes into service. */
struct own_batching {
    struct own_batching *next;
    int64_t version;
    struct ccz_sched_batching batching;
    char model[];
};

struct served_store {
    const struct served_opts *opts;
    struct ccz_attester *attester;
    struct served_engines *engines;
    struct served_work *work;
    struct served_revoke *revoke;
    struct ccz_catalog *catalog;
    struct ccz_catalog_infer ops;
    pthread_mutex_t
        lock; /* of what follows: versions are loaded by several threads. Never held while something is waited for */
    bool stopped; /* the scheduler is left alone: it ends before the catalog */
    struct ccz_kms_instance kms;
    struct floor *floors;
    struct own_batching *batching; /* of versions that are loaded */
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
    struct ccz_sched_batching batching; /* out: on, if the version has its own */
};

/* --enable_per_model_batching_parameters: batching_params.pbtxt beside the model. */
static ccz_rc read_batching(struct warming *w, const struct ccz_model_cfg *cfg, struct ccz_err *err)
{
    size_t i = 0;
    while (i < cfg->files_len && strcmp(cfg->files[i].name, "batching_params.pbtxt") != 0)
        i++;
    if (!w->store->opts->tfs.model_batching || i == cfg->files_len)
        return CCZ_OK;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, BATCHING_SIZE_MAX);
    const size_t size = (size_t)cfg->files[i].size;
    uint8_t *p = cfg->files[i].size <= BATCHING_SIZE_MAX ? ccz_buf_extend(&text, size) : NULL;
    if (!p)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "served:batching-file", (int64_t)cfg->files[i].size,
                              BATCHING_SIZE_MAX);
    ccz_rc rc = cfg->read_at(cfg->arg, i, 0, p, size, err);
    return rc == CCZ_OK ? ccz_serve_read_batching(&w->batching, NULL, ccz_buf_span(&text),
                                                  CCZ_SERVE_TEXT, err)
                        : rc;
}

/* Before a client sees the version: the first run of a model is slow. */
static ccz_rc warm(void *arg, struct ccz_model *model, const struct ccz_model_cfg *cfg,
                   struct ccz_err *err)
{
    struct warming *w = arg;
    const char *dir = w->item->dir;
    const struct served_tfs *t = &w->store->opts->tfs;
    struct record_reader r = {.cfg = cfg};
    ccz_rc rc = read_batching(w, cfg, err);
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
static ccz_rc load_folder(struct ccz_model **out, struct warming *w, const struct ccz_secret *key,
                          struct ccz_err *err)
{
    const struct served_store *s = w->store;
    struct served_folder *folder = NULL;
    CCZ_AUTO(ccz_model) model = NULL;
    ccz_rc rc = served_folder_open(&folder, w->item->dir, key, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_model_cfg cfg = served_folder_cfg(folder);
    rc = served_folder_load(&model, folder, s->engines, s->opts->tfs.saved_model_tag, err);
    if (rc == CCZ_OK)
        rc = warm(w, model, &cfg, err);
    if (rc == CCZ_OK)
        *out = ccz_model_take(&model);
    served_folder_free(folder);
    return rc;
}

/* Which KMS keys come from, as far as that is known: loads ask it at the same time, each with a copy. */
static struct ccz_kms_instance kms_of(struct served_store *s)
{
    (void)pthread_mutex_lock(&s->lock);
    const struct ccz_kms_instance kms = s->kms;
    (void)pthread_mutex_unlock(&s->lock);
    return kms;
}

/* The first answer decides, for all loads: one that was given by another KMS meanwhile is refused. */
static ccz_rc same_kms(struct served_store *s, const struct ccz_kms_instance *got,
                       struct ccz_err *err)
{
    struct ccz_kms_release info = {0};
    memcpy(info.instance, got->id, sizeof(info.instance));
    (void)pthread_mutex_lock(&s->lock);
    ccz_rc rc = ccz_kms_instance_check(&s->kms, &info, err);
    (void)pthread_mutex_unlock(&s->lock);
    return rc;
}

static ccz_rc hold(struct served_store *s, const struct ccz_catalog_item *item, const char *key,
                   uint32_t key_version, struct ccz_err *err)
{
    struct served_held held = {.version = item->version, .key_version = key_version};
    (void)snprintf(held.model, sizeof(held.model), "%s", item->name);
    (void)snprintf(held.item, sizeof(held.item), "%s", key);
    const struct ccz_kms_instance kms = kms_of(s);
    return served_revoke_hold(s->revoke, &held, &kms, err);
}

static ccz_rc load_protected(struct ccz_model **out, struct warming *w, struct ccz_err *err)
{
    struct served_store *s = w->store;
    char name[CCZ_KMS_ITEM_SIZE];
    if (s->opts->bundle_signer && !s->opts->unsigned_too)
        return ccz_hint(err,
                        ccz_refuse(err, CCZ_E_POLICY, "served:unsigned",
                                   "a folder without manifest.json", "a bundle"),
                        "with --bundle-signer every version must be signed; --unsigned-too accepts "
                        "protected files under key/NAME as well");
    int n = snprintf(name, sizeof(name), "key/%s", w->item->name);
    if (n < 0 || (size_t)n >= sizeof(name))
        return ccz_fail(err, CCZ_E_LIMIT, "served:model-name", n,
                        "no key of the KMS has such a name");
    struct served_item key = {.name = name};
    struct ccz_kms_instance kms = kms_of(s);
    ccz_rc rc = served_get_items(&key, 1, s->opts, &kms, s->attester, err);
    if (rc == CCZ_OK)
        rc = same_kms(s, &kms, err);
    if (rc == CCZ_OK)
        rc = load_folder(out, w, key.value, err);
    ccz_secret_free(key.value);
    return rc == CCZ_OK ? hold(s, w->item, name, key.version, err) : rc;
}

/* Under the lock. */
static struct floor *floor_of(const struct served_store *s, const char *name)
{
    struct floor *f = s->floors;
    while (f && strcmp(f->name, name) != 0)
        f = f->next;
    return f;
}

/* Under the lock. NULL: no memory. */
static struct floor *enter_floor(struct served_store *s, const char *name)
{
    struct floor *f = floor_of(s, name);
    if (!f && (f = calloc(1, sizeof(*f))) != NULL) {
        (void)snprintf(f->name, sizeof(f->name), "%s", name);
        f->next = s->floors;
        s->floors = f;
    }
    return f;
}

/* A bundle was accepted: unless one that forbids it was accepted while it was loaded. */
static ccz_rc raise_floor(struct served_store *s, const struct ccz_bundle_manifest *m,
                          struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    (void)pthread_mutex_lock(&s->lock);
    struct floor *f = enter_floor(s, m->name);
    if (!f)
        rc = ccz_fail(err, CCZ_E_NOMEM, "served:bundle", 0, "out of memory");
    else if (m->version < f->version)
        rc = ccz_refuse_num(err, CCZ_E_POLICY, "served:rolled-back", m->version, f->version);
    else if (f->version < m->min_version)
        f->version = m->min_version;
    (void)pthread_mutex_unlock(&s->lock);
    return rc;
}

static int64_t oldest(struct served_store *s, const char *name)
{
    (void)pthread_mutex_lock(&s->lock);
    const struct floor *f = floor_of(s, name);
    const int64_t version = f ? f->version : 0;
    (void)pthread_mutex_unlock(&s->lock);
    return version;
}

static ccz_rc load_bundle(struct ccz_model **out, struct warming *w, struct ccz_err *err)
{
    struct served_store *s = w->store;
    struct ccz_kms_instance kms = kms_of(s);
    const struct served_source source = {.opts = s->opts,
                                         .attester = s->attester,
                                         .kms = &kms,
                                         .engines = s->engines,
                                         .warm = warm,
                                         .warm_arg = w};
    const struct served_want want = {.dir = w->item->dir,
                                     .name = w->item->name,
                                     .version = w->item->version,
                                     .version_min = oldest(s, w->item->name)};
    CCZ_AUTO(ccz_bundle) bundle = NULL;
    if (!s->opts->bundle_signer)
        return ccz_hint(err,
                        ccz_refuse(err, CCZ_E_POLICY, "served:bundle-signer",
                                   "a bundle, and nobody whose signature counts",
                                   "--bundle-signer"),
                        "say whose bundles this server may load");
    ccz_rc rc = served_trust_open(&bundle, &source, &want, err);
    if (rc == CCZ_OK)
        rc = served_trust_load(out, &source, bundle, err);
    if (rc == CCZ_OK)
        rc = same_kms(s, &kms, err);
    if (rc == CCZ_OK)
        rc = raise_floor(s, ccz_bundle_manifest(bundle), err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_bundle_manifest *m = ccz_bundle_manifest(bundle);
    return hold(s, w->item, m->key, m->key_version, err);
}

/* Until the version ends. */
static ccz_rc keep_batching(const struct warming *w, struct ccz_err *err)
{
    struct served_store *s = w->store;
    const size_t size = strlen(w->item->name) + 1;
    struct own_batching *b = w->batching.on ? malloc(sizeof(*b) + size) : NULL;
    if (!w->batching.on)
        return CCZ_OK;
    if (!b)
        return ccz_fail(err, CCZ_E_NOMEM, "served:store", 0, "out of memory");
    b->version = w->item->version;
    b->batching = w->batching;
    memcpy(b->model, w->item->name, size);
    (void)pthread_mutex_lock(&s->lock);
    b->next = s->batching;
    s->batching = b;
    (void)pthread_mutex_unlock(&s->lock);
    return CCZ_OK;
}

static ccz_rc load(void *arg, struct ccz_model **model, const struct ccz_catalog_item *item,
                   struct ccz_err *err)
{
    struct served_store *s = arg;
    struct warming w = {.store = s, .item = item};
    const int64_t t0 = ccz_mono_ns();
    *model = NULL;
    ccz_rc rc = ccz_bundle_is(item->dir)   ? load_bundle(model, &w, err)
                : s->opts->models_in_clear ? load_folder(model, &w, NULL, err)
                                           : load_protected(model, &w, err);
    if (rc == CCZ_OK)
        rc = keep_batching(&w, err);
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

/* ------------------------------------------------------------------------------ in service, and not any more */

/* Under the lock: where a pointer to the version's parameters stands, or the end of the list. */
static struct own_batching **find_batching(struct served_store *s,
                                           const struct ccz_catalog_item *item)
{
    struct own_batching **at = &s->batching;
    while (*at && ((*at)->version != item->version || strcmp((*at)->model, item->name) != 0))
        at = &(*at)->next;
    return at;
}

/* Under the lock. Without a queue of its own a model shares one, which is no reason to refuse a configuration. */
static void set_queue(struct served_store *s, const char *model,
                      const struct ccz_sched_batching *batching)
{
    struct ccz_err err = {0};
    const struct ccz_sched_model_cfg cfg = {.batching = batching};
    if (!s->stopped && ccz_sched_model(s->work->sched, model, &cfg, &err) != CCZ_OK)
        ccz_log_err(CCZ_LOG_ERROR, "served", "queue=shared", &err);
}

/* The queue is as the version that came into service last wants it. */
static void published(void *arg, const struct ccz_catalog_item *item)
{
    struct served_store *s = arg;
    (void)pthread_mutex_lock(&s->lock);
    const struct own_batching *own = *find_batching(s, item);
    if (s->opts->tfs.model_batching)
        set_queue(s, item->name, own ? &own->batching : NULL);
    (void)pthread_mutex_unlock(&s->lock);
}

/* However it was configured: by the file or by a client. */
static void configured(void *arg, const char *model, bool there)
{
    struct served_store *s = arg;
    (void)pthread_mutex_lock(&s->lock);
    if (there)
        set_queue(s, model, NULL);
    else if (!s->stopped)
        ccz_sched_model_remove(s->work->sched, model);
    (void)pthread_mutex_unlock(&s->lock);
}

static void ended(void *arg, const struct ccz_catalog_item *item)
{
    struct served_store *s = arg;
    if (s->revoke)
        served_revoke_let_go(s->revoke, item->name, item->version);
    (void)pthread_mutex_lock(&s->lock);
    struct own_batching **at = find_batching(s, item), *b = *at;
    if (b)
        *at = b->next;
    (void)pthread_mutex_unlock(&s->lock);
    free(b);
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
    s->ops = (struct ccz_catalog_infer){.infer = s->work->models,
                                        .arg = s,
                                        .load = load,
                                        .gone = ended,
                                        .published = published,
                                        .model = configured};
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
    if (rc == CCZ_OK && ccz_catalog_replace(s->catalog, &models, wait ? -1 : 0, &st) != CCZ_OK &&
        (wait || st.code != CCZ_RUN_DEADLINE_EXCEEDED))
        rc = ccz_fail(err, ccz_run_rc(st.code), "served:models", st.code, "%.400s", st.msg);
    ccz_serve_models_free(&models);
    if (rc != CCZ_OK)
        s->seen.known = false; /* what is not in effect is tried again */
    return rc;
}

ccz_rc served_store_reload(struct served_store *s, struct ccz_err *err)
{
    s->seen.known = false;
    return served_store_configure(s, false, err);
}

void served_store_stop(struct served_store *s)
{
    if (!s)
        return;
    (void)pthread_mutex_lock(&s->lock);
    s->stopped = true;
    (void)pthread_mutex_unlock(&s->lock);
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
