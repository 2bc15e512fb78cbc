/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of the catalog. One makes rounds, one unloads, one or more load; the last two kinds at low priority.
 *
 * A thread inherits the priority of the one that starts it. Engines start the threads that all runs share when the first model
 * is loaded: if that was done at low priority, every request would run at low priority. So the first model of each
 * platform is loaded by a thread of normal priority; nobody is served by that platform yet.
 */
#define _GNU_SOURCE
#include "serve/catalog_priv.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { NICE_DEFAULT = 10, POLL_MS_DEFAULT = 1000, RETRIES_DEFAULT = 5, RETRY_MS_DEFAULT = 60000 };

int64_t cczi_catalog_now_ms(const struct ccz_catalog *c)
{
    return c->cfg.mono_ms ? c->cfg.mono_ms(c->cfg.arg) : ccz_mono_ms();
}

int64_t cczi_catalog_retry(struct ccz_catalog *c)
{
    const int64_t now = cczi_catalog_now_ms(c);
    int64_t next = INT64_MAX;
    for (struct cczi_model *m = c->models; m; m = m->next)
        for (struct cczi_version *v = m->versions; v; v = v->next) {
            if (v->phase != CCZI_FAILED)
                continue;
            if (v->next_ms <= now) {
                v->phase = CCZI_QUEUED;
                pthread_cond_broadcast(&c->changed);
            } else if (v->next_ms < next) {
                next = v->next_ms;
            }
        }
    return next;
}

/* ------------------------------------------------------------------------ loading */

/* As gRPC clients of the status call see it. */
static enum ccz_run_code code_of(ccz_rc rc)
{
    switch (rc) {
    case CCZ_E_ARG:
    case CCZ_E_FORMAT:
        return CCZ_RUN_INVALID_ARGUMENT;
    case CCZ_E_NOMEM:
    case CCZ_E_LIMIT:
        return CCZ_RUN_RESOURCE_EXHAUSTED;
    case CCZ_E_UNSUPPORTED:
        return CCZ_RUN_UNIMPLEMENTED;
    case CCZ_E_SIG:
    case CCZ_E_MISMATCH:
        return CCZ_RUN_DATA_LOSS;
    case CCZ_E_DENIED:
    case CCZ_E_POLICY:
    case CCZ_E_REVOKED:
    case CCZ_E_UNTRUSTED:
        return CCZ_RUN_PERMISSION_DENIED;
    case CCZ_E_NOT_FOUND:
        return CCZ_RUN_NOT_FOUND;
    case CCZ_E_UNAVAILABLE:
    case CCZ_E_IO:
        return CCZ_RUN_UNAVAILABLE;
    default:
        return CCZ_RUN_UNKNOWN;
    }
}

static void failed(struct ccz_catalog *c, struct cczi_version *v, const struct ccz_err *err)
{
    const unsigned retries = c->cfg.retries == CCZ_CATALOG_NO_RETRY ? 0
                             : c->cfg.retries                       ? c->cfg.retries
                                                                    : RETRIES_DEFAULT;
    char text[CCZ_ERR_WHERE_SIZE + CCZ_ERR_MSG_SIZE + 2], line[512];
    (void)snprintf(text, sizeof(text), "%s: %s", err->where, err->msg);
    cczi_text_set(&v->error, text);
    v->given_up = v->attempts > retries || err->rc == CCZ_E_REVOKED;
    v->phase = v->given_up ? CCZI_ENDED : CCZI_FAILED;
    v->next_ms = cczi_catalog_now_ms(c) + (c->cfg.retry_ms ? c->cfg.retry_ms : RETRY_MS_DEFAULT);
    (void)snprintf(line, sizeof(line), "load failed model=%s version=%" PRId64 " attempt=%u of=%u",
                   v->item.name, v->item.version, v->attempts, retries + 1);
    ccz_log_err(CCZ_LOG_ERROR, "serve", line, err);
    if (v->given_up)
        cczi_catalog_tell(c, v, CCZ_INFER_END, code_of(err->rc), text);
}

static void remember_platform(struct ccz_catalog *c, const char *name)
{
    for (const struct cczi_platform *p = c->platforms; p; p = p->next)
        if (strcmp(p->name, name) == 0)
            return;
    const size_t size = strlen(name) + 1;
    struct cczi_platform *p = malloc(sizeof(*p) + size);
    if (!p)
        return; /* the next one is a first one once more */
    memcpy(p->name, name, size);
    p->next = c->platforms;
    c->platforms = p;
}

/* The model is in memory and warm: into service with it, if it is still wanted. Under the lock, so that whoever revokes the
 * version comes before or after. @param[in,out] model  NULL when it is in service */
static void publish(struct ccz_catalog *c, struct cczi_model *m, struct cczi_version *v,
                    void **model)
{
    struct ccz_err err = {0};
    if (v->revoked || !v->wanted || c->stopping) {
        v->phase = CCZI_ENDED;
        cczi_catalog_tell(c, v, CCZ_INFER_END, CCZ_RUN_PERMISSION_DENIED,
                          v->revoked ? v->error : NULL);
        return;
    }
    if (c->cfg.ops.publish(c->cfg.arg, model, &v->item, &err) != CCZ_OK) {
        failed(c, v, &err);
        return;
    }
    v->phase = CCZI_SERVED;
    v->attempts = 0;
    cczi_text_set(&v->error, NULL);
    remember_platform(c, v->item.platform);
    ccz_log(CCZ_LOG_INFO, "serve", "available model=%s version=%" PRId64 " dir=\"%s\"",
            v->item.name, v->item.version, v->item.dir);
    (void)cczi_catalog_labels(c, m, NULL); /* before older versions go that labels point to */
}

static struct cczi_model *model_of(struct ccz_catalog *c, const struct cczi_version *v)
{
    for (struct cczi_model *m = c->models; m; m = m->next)
        for (const struct cczi_version *i = m->versions; i; i = i->next)
            if (i == v)
                return m;
    return NULL; /* not so: who holds a version keeps its model */
}

/* Memory of models goes back to the system: malloc() alone would keep it for ever. */
static void give_back(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

/* Without the lock but where it says so. */
static void load(struct ccz_catalog *c, struct cczi_version *v)
{
    const struct ccz_catalog_ops *ops = &c->cfg.ops;
    struct ccz_err err = {0};
    void *model = NULL;
    pthread_mutex_unlock(&c->lock);
    ccz_rc rc = ops->load(c->cfg.arg, &model, &v->item, &err);
    if (rc == CCZ_OK && ops->warm)
        rc = ops->warm(c->cfg.arg, model, &v->item, &err);
    err.rc = rc;
    if (rc != CCZ_OK && model) {
        ops->unload(c->cfg.arg, model);
        model = NULL;
    }
    pthread_mutex_lock(&c->lock);
    if (rc == CCZ_OK)
        publish(c, model_of(c, v), v, &model);
    else if (v->revoked || !v->wanted)
        publish(c, NULL, v, &model); /* whatever went wrong does not matter any more */
    else
        failed(c, v, &err);
    if (model || rc != CCZ_OK) {
        pthread_mutex_unlock(&c->lock);
        if (model)
            ops->unload(c->cfg.arg, model);
        give_back();
        pthread_mutex_lock(&c->lock);
    }
}

static void unload(struct ccz_catalog *c, struct cczi_version *v)
{
    pthread_mutex_unlock(&c->lock);
    c->cfg.ops.remove(c->cfg.arg, &v->item);
    give_back();
    pthread_mutex_lock(&c->lock);
    v->phase = CCZI_ENDED;
    cczi_catalog_tell(c, v, CCZ_INFER_END, CCZ_RUN_PERMISSION_DENIED, v->revoked ? v->error : NULL);
    ccz_log(CCZ_LOG_INFO, "serve", "unloaded model=%s version=%" PRId64, v->item.name,
            v->item.version);
}

/* ------------------------------------------------------------------------ threads */

static bool known_platform(const struct ccz_catalog *c, const char *name)
{
    const struct cczi_platform *p = c->platforms;
    while (p && strcmp(p->name, name) != 0)
        p = p->next;
    return p != NULL;
}

/* The next version for a worker: models in their order, the newest version first. */
static struct cczi_version *pick(const struct cczi_worker *w)
{
    const enum cczi_phase phase = w->kind == CCZI_UNLOADER ? CCZI_LEAVING : CCZI_QUEUED;
    for (const struct cczi_model *m = w->c->models; m; m = m->next) {
        struct cczi_version *best = NULL;
        for (struct cczi_version *v = m->versions; v; v = v->next) {
            const bool first = !known_platform(w->c, v->item.platform);
            if (v->phase == phase && !v->held &&
                (w->kind == CCZI_UNLOADER || first == (w->kind == CCZI_FIRST_LOADER)))
                best = v;
        }
        if (best)
            return best;
    }
    return NULL;
}

/* Of this thread; never more than it has. It may be forbidden: then it is as fast as the others. */
static void be_nice(int nice)
{
    const id_t self = (id_t)gettid();
    if (getpriority(PRIO_PROCESS, self) < nice)
        (void)setpriority(PRIO_PROCESS, self, nice);
}

static void *work(void *arg)
{
    struct cczi_worker *w = arg;
    struct ccz_catalog *c = w->c;
    if (w->kind != CCZI_FIRST_LOADER)
        be_nice(c->cfg.nice ? c->cfg.nice : NICE_DEFAULT);
    pthread_mutex_lock(&c->lock);
    while (!c->stopping) {
        struct cczi_version *v = pick(w);
        if (!v) {
            pthread_cond_wait(&c->changed, &c->lock);
            continue;
        }
        v->held = true;
        if (w->kind == CCZI_UNLOADER) {
            unload(c, v);
        } else {
            v->phase = CCZI_LOADING;
            v->attempts++;
            cczi_catalog_tell(c, v, CCZ_INFER_LOADING, CCZ_RUN_OK, NULL);
            load(c, v);
        }
        v->held = false;
        struct cczi_model *m = model_of(c, v);
        cczi_catalog_want(m);
        cczi_catalog_act(c, m);
        cczi_catalog_sweep(c);
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static void *poll_rounds(void *arg)
{
    struct ccz_catalog *c = arg;
    const int64_t every = c->cfg.poll_ms ? c->cfg.poll_ms : POLL_MS_DEFAULT;
    int64_t round = ccz_mono_ms();
    pthread_mutex_lock(&c->lock);
    while (!c->stopping) {
        if (every > 0 && ccz_mono_ms() >= round) {
            pthread_mutex_unlock(&c->lock);
            ccz_catalog_poll(c);
            pthread_mutex_lock(&c->lock);
            round = ccz_mono_ms() + every;
        }
        const int64_t retry = cczi_catalog_retry(c);
        const int64_t at = every > 0 && round < retry ? round : retry;
        if (!c->stopping)
            (void)cczi_cond_wait(&c->changed, &c->lock, at);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

ccz_rc cczi_catalog_start(struct ccz_catalog *c, struct ccz_err *err)
{
    const size_t len = 2 + (c->cfg.load_threads ? c->cfg.load_threads : 1);
    int e = 0;
    c->workers = calloc(len, sizeof(*c->workers));
    if (!c->workers)
        return ccz_fail(err, CCZ_E_NOMEM, "catalog:memory", 0, "out of memory");
    for (size_t i = 0; i < len && e == 0; i++) {
        struct cczi_worker *w = &c->workers[i];
        *w = (struct cczi_worker){.c = c, .kind = i < CCZI_LOADER ? (int)i : CCZI_LOADER};
        e = pthread_create(&w->thread, NULL, work, w);
        c->workers_len += e == 0;
    }
    if (e == 0 && !c->cfg.manual) {
        e = pthread_create(&c->poller, NULL, poll_rounds, c);
        c->has_poller = e == 0;
    }
    return e == 0 ? CCZ_OK
                  : ccz_fail(err, CCZ_E_UNAVAILABLE, "catalog:thread", e,
                             "a thread cannot be started");
}

void cczi_catalog_stop(struct ccz_catalog *c)
{
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    for (size_t i = 0; i < c->workers_len; i++)
        pthread_join(c->workers[i].thread, NULL);
    if (c->has_poller)
        pthread_join(c->poller, NULL);
    free(c->workers);
}
