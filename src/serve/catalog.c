/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog as its callers see it. */
#define _DEFAULT_SOURCE
#include "serve/catalog_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ccz_rc ccz_catalog_new(struct ccz_catalog **out, const struct ccz_catalog_cfg *cfg,
                       struct ccz_err *err)
{
    const struct ccz_catalog_ops *o = &cfg->ops;
    *out = NULL;
    if (!o->load || !o->unload || !o->publish || !o->withdraw || !o->remove || !o->state ||
        !o->labels || cfg->nice < 0 || cfg->nice > 19 || cfg->load_threads > 64 ||
        cfg->retry_ms < 0 || cfg->poll_ms < CCZ_CATALOG_POLL_ONCE)
        return ccz_fail(err, CCZ_E_ARG, "catalog:config", 0,
                        "got no function, or a number out of its range, expected those of serve.h");
    struct ccz_catalog *c = calloc(1, sizeof(*c));
    if (!c)
        return ccz_fail(err, CCZ_E_NOMEM, "catalog:memory", 0, "out of memory");
    c->cfg = *cfg;
    pthread_mutex_init(&c->configs, NULL);
    pthread_mutex_init(&c->rounds, NULL);
    pthread_mutex_init(&c->lock, NULL);
    cczi_cond_init(&c->changed);
    ccz_rc rc = cczi_catalog_start(c, err);
    if (rc == CCZ_OK)
        *out = c;
    else
        ccz_catalog_free(c);
    return rc;
}

void ccz_catalog_free(struct ccz_catalog *c)
{
    if (!c)
        return;
    cczi_catalog_stop(c);
    for (struct cczi_model *m = c->models; m; m = m->next)
        for (struct cczi_version *v = m->versions; v; v = v->next) {
            if (v->phase == CCZI_SERVED)
                cczi_catalog_withdraw(c, v);
            if (v->phase == CCZI_LEAVING)
                c->cfg.ops.remove(c->cfg.arg, &v->item);
        }
    for (struct cczi_model *m; (m = c->models) != NULL;) {
        c->models = m->next;
        cczi_catalog_forget(c, m);
    }
    for (struct cczi_revoked *r; (r = c->revoked) != NULL;) {
        c->revoked = r->next;
        free(r->why);
        free(r);
    }
    for (struct cczi_platform *p; (p = c->platforms) != NULL;) {
        c->platforms = p->next;
        free(p);
    }
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    pthread_mutex_destroy(&c->rounds);
    pthread_mutex_destroy(&c->configs);
    free(c);
}

/* ------------------------------------------------------------------------ waiting */

/* The first model that is not done (of the fresh ones, or all), or NULL. */
static const struct cczi_model *undone(const struct ccz_catalog *c, bool fresh)
{
    for (const struct cczi_model *m = c->models; m; m = m->next)
        if ((m->fresh || !fresh) && !cczi_model_done(m))
            return m;
    return NULL;
}

/* Under the lock. @return what was still waited for when the time was over */
static const struct cczi_model *wait_done(struct ccz_catalog *c, bool fresh, int64_t timeout_ms)
{
    const int64_t end = timeout_ms < 0 ? INT64_MAX : cczi_deadline_ms(timeout_ms);
    const struct cczi_model *m;
    bool in_time = true;
    while ((m = undone(c, fresh)) != NULL && in_time && !c->cancelled &&
           !(fresh && c->next_configs > 0))
        in_time = cczi_cond_wait(&c->changed, &c->lock, end);
    return m;
}

/* Models that ended without a version in service, as TensorFlow Serving lists them. @return how many */
static size_t list_failed(char *out, size_t size, const struct ccz_catalog *c, bool fresh)
{
    size_t models = 0, n = 0;
    out[0] = 0;
    for (const struct cczi_model *m = c->models; m; m = m->next) {
        if (m->removed || (fresh && !m->fresh) || cczi_model_served(m) || !cczi_model_done(m))
            continue;
        models++;
        for (const struct cczi_version *v = m->versions; v; v = v->next, n = strlen(out))
            if (v->given_up && n < size)
                (void)snprintf(out + n, size - n,
                               "{{name: %s version: %" PRId64 "} due to error: %s}, ", m->name,
                               v->item.version, v->error ? v->error : "no memory to tell it");
    }
    return models;
}

/* Why it waits, for people. */
static const char *reason(const struct cczi_model *m)
{
    for (const struct cczi_version *v = m->versions; v; v = v->next)
        if (v->phase == CCZI_FAILED && v->error)
            return v->error;
    return m->alarm ? m->alarm : "it is being loaded";
}

ccz_rc ccz_catalog_wait(struct ccz_catalog *c, int64_t timeout_ms, struct ccz_err *err)
{
    char text[CCZ_ERR_MSG_SIZE];
    ccz_rc rc = CCZ_OK;
    pthread_mutex_lock(&c->lock);
    const struct cczi_model *m = wait_done(c, false, timeout_ms);
    if (m && c->cancelled) {
        rc = ccz_fail(err, CCZ_E_CLOSED, "catalog:cancelled", 0, "the server is ending");
    } else if (m) {
        rc = ccz_fail(err, CCZ_E_TIMEOUT, "catalog:waits", 0, "model %s is not available: %s",
                      m->name, reason(m));
    } else {
        const size_t n = list_failed(text, sizeof(text), c, false);
        if (n > 0)
            rc = ccz_fail(err, CCZ_E_UNAVAILABLE, "catalog:failed", (int64_t)n,
                          "%zu model(s) did not become available: {%s}", n, text);
    }
    pthread_mutex_unlock(&c->lock);
    return rc;
}

void ccz_catalog_cancel(struct ccz_catalog *c)
{
    pthread_mutex_lock(&c->lock);
    c->cancelled = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static bool busy(const struct ccz_catalog *c)
{
    for (const struct cczi_model *m = c->models; m; m = m->next)
        for (const struct cczi_version *v = m->versions; v; v = v->next)
            if (v->held || v->phase == CCZI_QUEUED || v->phase == CCZI_LOADING ||
                v->phase == CCZI_LEAVING)
                return true;
    return false;
}

ccz_rc ccz_catalog_settle(struct ccz_catalog *c, int64_t timeout_ms, struct ccz_err *err)
{
    const int64_t end = cczi_deadline_ms(timeout_ms);
    bool in_time = true;
    pthread_mutex_lock(&c->lock);
    while (busy(c) && in_time)
        in_time = cczi_cond_wait(&c->changed, &c->lock, end);
    const bool still = busy(c);
    pthread_mutex_unlock(&c->lock);
    return still ? ccz_fail(err, CCZ_E_TIMEOUT, "catalog:busy", timeout_ms,
                            "models are still being loaded or unloaded")
                 : CCZ_OK;
}

/* ------------------------------------------------------------------------ replacing */

/* A platform of a model that is there stays. */
static ccz_rc check_platforms(struct ccz_catalog *c, const struct ccz_serve_models *models,
                              struct ccz_run_status *st)
{
    ccz_rc rc = CCZ_OK;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; rc == CCZ_OK && i < models->len; i++) {
        const struct ccz_serve_model *n = &models->model[i];
        const struct cczi_model *m = cczi_model_find(c, n->name);
        if (m && strcmp(m->platform, n->platform) != 0)
            rc = ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                    "Illegal to change a model's platform. For model %s platform "
                                    "was %s and new platform requested is %s",
                                    n->name, m->platform, n->platform);
    }
    pthread_mutex_unlock(&c->lock);
    return rc;
}

static ccz_rc refuse_label(struct ccz_run_status *st, const char *name, int64_t version)
{
    return ccz_run_status_set(st, CCZ_RUN_FAILED_PRECONDITION,
                              "Request to assign label to version %" PRId64
                              " of model %s, which is not currently available for inference",
                              version, name);
}

/* A label's version is served, or lies there to be loaded. */
static ccz_rc check_labels(struct ccz_catalog *c, const struct ccz_serve_models *models,
                           struct ccz_run_status *st)
{
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; !c->cfg.allow_unavailable_labels && rc == CCZ_OK && i < models->len; i++) {
        const struct ccz_serve_model *n = &models->model[i];
        for (size_t k = 0; rc == CCZ_OK && k < n->labels_len; k++) {
            const int64_t number = n->labels[k].version;
            pthread_mutex_lock(&c->lock);
            const struct cczi_model *m = cczi_model_find(c, n->name);
            const struct cczi_version *v = m ? cczi_version_find(m, number) : NULL;
            const bool served = v && v->phase == CCZI_SERVED;
            pthread_mutex_unlock(&c->lock);
            if (!served && !cczi_catalog_on_disk(c, n->base_path, number))
                rc = refuse_label(st, n->name, number);
        }
    }
    return rc;
}

/* Every model of the configuration, as entries that belong to nobody yet. @return false: no memory */
static bool make_models(struct cczi_model **out, const struct ccz_serve_models *models)
{
    struct cczi_model **end = out;
    *out = NULL;
    for (size_t i = 0; i < models->len; i++, end = &(*end)->next)
        if ((*end = cczi_model_new(&models->model[i])) == NULL)
            return false;
    return true;
}

static void free_models(struct cczi_model *m)
{
    while (m) {
        struct cczi_model *next = m->next;
        cczi_model_free(m);
        m = next;
    }
}

/* Under the lock; cannot fail. */
static void commit(struct ccz_catalog *c, struct cczi_model *made)
{
    struct cczi_model **end = &c->models;
    for (; *end; end = &(*end)->next)
        (*end)->removed = true;
    while (made) {
        struct cczi_model *next = made->next, *m = cczi_model_find(c, made->name);
        made->next = NULL;
        if (m) {
            cczi_model_assign(m, made);
        } else {
            made->fresh = true;
            *end = made;
            end = &made->next;
            if (c->cfg.ops.model)
                c->cfg.ops.model(c->cfg.arg, made->name, true);
        }
        made = next;
    }
    for (struct cczi_model *m = c->models; m; m = m->next) {
        struct ccz_run_status st = {0};
        cczi_catalog_want(m);
        cczi_catalog_act(c, m);
        if (m->removed)
            c->cfg.ops.labels(c->cfg.arg, m->name, NULL, 0, false, &st);
    }
    cczi_catalog_sweep(c);
    pthread_cond_broadcast(&c->changed);
}

/* What has become of the new configuration. Under the lock. */
static ccz_rc outcome(struct ccz_catalog *c, const struct cczi_model *waits,
                      struct ccz_run_status *st)
{
    char text[CCZ_RUN_MSG_SIZE_MAX];
    const size_t n = list_failed(text, sizeof(text), c, true);
    if (n > 0)
        return ccz_run_status_set(st, CCZ_RUN_UNKNOWN,
                                  "%zu model(s) did not become available: {%s}", n, text);
    if (waits && c->cancelled)
        return ccz_run_status_set(st, CCZ_RUN_CANCELLED, "the server is ending");
    if (waits && c->next_configs > 0)
        return ccz_run_status_set(st, CCZ_RUN_ABORTED,
                                  "another configuration has come before model %s was available",
                                  waits->name);
    if (waits)
        return ccz_run_status_set(st, CCZ_RUN_DEADLINE_EXCEEDED,
                                  "model %s is not available yet: %s", waits->name, reason(waits));
    for (const struct cczi_model *m = c->models; m; m = m->next) {
        const struct ccz_infer_label *bad = m->removed ? NULL : cczi_catalog_labels(c, m, st);
        if (bad)
            return refuse_label(st, m->name, bad->version);
        if (st->code != CCZ_RUN_OK)
            return ccz_run_rc(st->code);
    }
    return CCZ_OK;
}

/* Some label has no version in service yet. */
static bool label_waits(const struct ccz_catalog *c, const struct cczi_model *m)
{
    for (size_t i = 0; !c->cfg.allow_unavailable_labels && i < m->labels_len; i++) {
        const struct cczi_version *v = cczi_version_find(m, m->labels[i].version);
        if (!v || v->phase != CCZI_SERVED)
            return true;
    }
    return false;
}

static ccz_rc replace(struct ccz_catalog *c, const struct ccz_serve_models *models,
                      int64_t timeout_ms, struct ccz_run_status *st)
{
    struct cczi_model *made;
    ccz_rc rc = check_platforms(c, models, st);
    if (rc == CCZ_OK)
        rc = check_labels(c, models, st);
    if (rc != CCZ_OK)
        return rc;
    if (!make_models(&made, models)) {
        free_models(made);
        return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "out of memory");
    }
    pthread_mutex_lock(&c->lock);
    for (struct cczi_model *m = c->models; m; m = m->next)
        m->fresh = m->removed; /* one that comes again while it goes is new */
    commit(c, made);
    pthread_mutex_unlock(&c->lock);
    ccz_catalog_poll(c);
    pthread_mutex_lock(&c->lock);
    for (struct cczi_model *m = c->models; m; m = m->next)
        m->fresh = m->fresh || (!m->removed && label_waits(c, m));
    rc = outcome(c, wait_done(c, true, timeout_ms), st);
    pthread_mutex_unlock(&c->lock);
    return rc;
}

ccz_rc ccz_catalog_replace(struct ccz_catalog *c, const struct ccz_serve_models *models,
                           int64_t timeout_ms, struct ccz_run_status *st)
{
    *st = (struct ccz_run_status){0};
    pthread_mutex_lock(&c->lock);
    c->next_configs++;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    pthread_mutex_lock(&c->configs);
    pthread_mutex_lock(&c->lock);
    c->next_configs--;
    pthread_mutex_unlock(&c->lock);
    ccz_rc rc = replace(c, models, timeout_ms, st);
    pthread_mutex_unlock(&c->configs);
    ccz_log(rc == CCZ_OK ? CCZ_LOG_INFO : CCZ_LOG_ERROR, "serve", "config models=%zu code=%s",
            models->len, ccz_run_code_name(st->code));
    return rc;
}

void ccz_catalog_reload(void *arg, struct ccz_span model_server_config, struct ccz_run_status *st)
{
    struct ccz_serve_models models;
    struct ccz_err err = {0};
    *st = (struct ccz_run_status){0};
    ccz_rc rc =
        model_server_config.size == 0
            ? CCZ_E_UNSUPPORTED
            : ccz_serve_read_models(&models, NULL, model_server_config, CCZ_SERVE_WIRE, &err);
    if (rc == CCZ_OK) {
        (void)ccz_catalog_replace(arg, &models, -1, st);
        ccz_serve_models_free(&models);
    } else if (model_server_config.size == 0 || strcmp(err.where, "serve:custom") == 0) {
        (void)ccz_run_status_set(
            st, CCZ_RUN_INVALID_ARGUMENT,
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only "
            "ModelConfigList is currently supported");
    } else {
        (void)ccz_run_status_set(
            st, rc == CCZ_E_NOMEM ? CCZ_RUN_RESOURCE_EXHAUSTED : CCZ_RUN_INVALID_ARGUMENT, "%s",
            err.msg);
    }
}

/* ------------------------------------------------------------------------ revoking, looking */

static bool remember(struct ccz_catalog *c, const char *name, int64_t version, const char *why)
{
    const size_t size = strlen(name) + 1;
    if (cczi_revoked_why(c, name, version))
        return true;
    struct cczi_revoked *r = malloc(sizeof(*r) + size);
    char *text = malloc(strlen(why) + sizeof("revoked: "));
    if (!r || !text) {
        free(r);
        free(text);
        return false;
    }
    (void)sprintf(text, "revoked: %s", why);
    memcpy(r->name, name, size);
    r->version = version;
    r->why = text;
    r->next = c->revoked;
    c->revoked = r;
    c->revoked_len++;
    return true;
}

/* Takes effect at once, also if there was no memory to remember it for later. */
static bool revoke_one(struct ccz_catalog *c, const char *name, int64_t version,
                       struct cczi_version *v, const char *why)
{
    const bool remembered = remember(c, name, version, why);
    const char *text = cczi_revoked_why(c, name, version);
    if (!v)
        return remembered;
    v->revoked = v->given_up = true;
    cczi_text_set(&v->error, text ? text : why);
    if (v->phase == CCZI_SERVED)
        cczi_catalog_withdraw(c, v);
    else if (v->phase == CCZI_ENDED)
        cczi_catalog_tell(c, v, CCZ_INFER_END, CCZ_RUN_PERMISSION_DENIED, v->error);
    ccz_log(CCZ_LOG_WARN, "serve", "revoked model=%s version=%" PRId64, name, version);
    return remembered;
}

ccz_rc ccz_catalog_revoke(struct ccz_catalog *c, const char *name, int64_t version, const char *why,
                          struct ccz_err *err)
{
    bool remembered = true, known = false;
    pthread_mutex_lock(&c->lock);
    struct cczi_model *m = cczi_model_find(c, name);
    const bool full = c->revoked_len >= CCZ_CATALOG_REVOKED_MAX;
    for (struct cczi_version *v = m ? m->versions : NULL; v; v = v->next)
        if (version < 0 || v->item.version == version) {
            known = true;
            remembered = revoke_one(c, name, v->item.version, v, why) && remembered;
        }
    if (m && version >= 0 && !known && !full)
        remembered = revoke_one(c, name, version, NULL, why);
    if (m) {
        cczi_catalog_want(m);
        cczi_catalog_act(c, m);
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    if (!m)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "catalog:name", 0, "no model of this name");
    if (!known && full)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "catalog:revoked", CCZ_CATALOG_REVOKED_MAX + 1,
                              CCZ_CATALOG_REVOKED_MAX);
    return remembered ? CCZ_OK
                      : ccz_fail(err, CCZ_E_NOMEM, "catalog:memory", 0,
                                 "it is out of service, but there is no memory to remember it");
}

ccz_rc ccz_catalog_suspend(struct ccz_catalog *c, const char *name, int64_t version,
                           const char *why, struct ccz_err *err)
{
    pthread_mutex_lock(&c->lock);
    struct cczi_model *m = cczi_model_find(c, name);
    struct cczi_version *v = m ? cczi_version_find(m, version) : NULL;
    const bool known = v && (v->phase == CCZI_SERVED || v->phase == CCZI_LOADING);
    if (known) {
        v->suspended = v->put_off = true;
        if (v->phase == CCZI_SERVED)
            cczi_catalog_withdraw(c, v); /* who unloads it queues it again */
        ccz_log(CCZ_LOG_WARN, "serve", "suspended model=%s version=%" PRId64 " why=\"%s\"", name,
                version, why);
    }
    pthread_mutex_unlock(&c->lock);
    return known ? CCZ_OK
                 : ccz_fail(err, CCZ_E_NOT_FOUND, "catalog:version", version,
                            "this version is not in service");
}

static enum ccz_infer_state state_of(enum cczi_phase p)
{
    static const enum ccz_infer_state states[] = {
        [CCZI_ENDED] = CCZ_INFER_END,        [CCZI_QUEUED] = CCZ_INFER_START,
        [CCZI_LOADING] = CCZ_INFER_LOADING,  [CCZI_FAILED] = CCZ_INFER_LOADING,
        [CCZI_SERVED] = CCZ_INFER_AVAILABLE, [CCZI_LEAVING] = CCZ_INFER_UNLOADING};
    return states[p];
}

void ccz_catalog_each(struct ccz_catalog *c,
                      void (*fn)(void *arg, const struct ccz_catalog_info *info), void *arg)
{
    pthread_mutex_lock(&c->lock);
    for (const struct cczi_model *m = c->models; m; m = m->next) {
        struct ccz_catalog_info i = {.name = m->name,
                                     .version = -1,
                                     .wanted = !m->removed,
                                     .alarm = m->alarm ? m->alarm : ""};
        fn(arg, &i);
        for (const struct cczi_version *v = m->versions; v; v = v->next) {
            const bool vanished = v->phase == CCZI_SERVED && !v->on_disk;
            i = (struct ccz_catalog_info){.name = m->name,
                                          .version = v->item.version,
                                          .state = state_of(v->phase),
                                          .wanted = v->wanted,
                                          .vanished = vanished,
                                          .attempts = v->attempts,
                                          .alarm = v->error   ? v->error
                                                   : vanished ? "its folder vanished"
                                                              : ""};
            fn(arg, &i);
        }
    }
    pthread_mutex_unlock(&c->lock);
}
