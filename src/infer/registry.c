/* SPDX-License-Identifier: Apache-2.0 */
/* Which versions there are, in which state, and how that changes. */
#include "infer/infer_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

ccz_rc ccz_infer_new(struct ccz_infer **out, struct ccz_err *err)
{
    *out = NULL;
    struct ccz_infer *s = calloc(1, sizeof(*s));
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!s || !c || pthread_mutex_init(&s->lock, NULL) != 0) {
        free(s);
        if (c)
            freelocale(c);
        return ccz_fail(err, CCZ_E_NOMEM, "infer:new", 0, "no memory");
    }
    (void)pthread_cond_init(&s->changed, NULL); /* cannot fail without attributes */
    (void)pthread_mutex_init(&s->watch_lock, NULL);
    s->c_locale = c;
    ccz_infer_configure(s, &(struct ccz_infer_cfg){0});
    *out = s;
    return CCZ_OK;
}

void ccz_infer_configure(struct ccz_infer *s, const struct ccz_infer_cfg *cfg)
{
    s->cfg = *cfg;
    if (s->cfg.input_size_max == 0)
        s->cfg.input_size_max = (size_t)64 << 20;
}

static void free_labels(struct cczi_label *l)
{
    while (l) {
        struct cczi_label *next = l->next;
        free(l);
        l = next;
    }
}

static void free_name(struct cczi_name *n)
{
    while (n->versions) {
        struct cczi_version *v = n->versions;
        n->versions = v->next;
        ccz_model_free(v->model);
        free(v);
    }
    free_labels(n->labels);
    free(n);
}

void ccz_infer_free(struct ccz_infer *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < CCZI_BUCKETS; i++)
        while (s->names[i]) {
            struct cczi_name *n = s->names[i];
            s->names[i] = n->next;
            free_name(n);
        }
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->watch_lock);
    pthread_mutex_destroy(&s->lock);
    freelocale(s->c_locale);
    free(s);
}

/* ------------------------------------------------------------------------ names, under the lock */

/* FNV-1a; names are the operator's, so nobody gains by making them collide. */
static size_t bucket_of(struct ccz_span name)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < name.size; i++)
        h = (h ^ name.ptr[i]) * 16777619u;
    return h % CCZI_BUCKETS;
}

struct cczi_name *cczi_find_name(const struct ccz_infer *s, struct ccz_span name)
{
    struct cczi_name *n = s->names[bucket_of(name)];
    while (n && (strlen(n->text) != name.size || memcmp(n->text, name.ptr, name.size) != 0))
        n = n->next;
    return n;
}

/* A name is one part of a URL path: "/v1/models/NAME:predict". */
static bool name_ok(const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f || name[i] == '/' || name[i] == ':')
            return false;
    return size > 0 && size <= CCZ_INFER_NAME_SIZE_MAX;
}

/* The entry of a name, made if there is none; NULL without memory. */
static struct cczi_name *enter_name(struct ccz_infer *s, const char *name)
{
    const struct ccz_span text = ccz_span_str(name);
    struct cczi_name *n = cczi_find_name(s, text), **bucket = &s->names[bucket_of(text)];
    if (n)
        return n;
    n = calloc(1, sizeof(*n));
    if (!n)
        return NULL;
    memcpy(n->text, name, text.size + 1);
    n->next = *bucket;
    *bucket = n;
    return n;
}

/* ------------------------------------------------------------------------ versions, under the lock */

static struct cczi_version *find(struct ccz_infer *s, const char *name, int64_t version)
{
    const struct cczi_name *n = cczi_find_name(s, ccz_span_str(name));
    struct cczi_version *v = n ? n->versions : NULL;
    while (v && v->version != version)
        v = v->next;
    return v;
}

static bool in_use(const struct cczi_version *v)
{
    return v->state == CCZ_INFER_AVAILABLE || v->state == CCZ_INFER_UNLOADING;
}

/* Room for one more version: the one that ended first is forgotten. False if all are alive. */
static bool make_room(struct ccz_infer *s)
{
    struct cczi_version **oldest = NULL;
    if (s->len < CCZ_INFER_VERSIONS_MAX)
        return true;
    for (size_t i = 0; i < CCZI_BUCKETS; i++)
        for (struct cczi_name *n = s->names[i]; n; n = n->next)
            for (struct cczi_version **at = &n->versions; *at; at = &(*at)->next)
                if ((*at)->state == CCZ_INFER_END && (!oldest || (*at)->ended < (*oldest)->ended))
                    oldest = at;
    if (!oldest)
        return false;
    struct cczi_version *v = *oldest;
    *oldest = v->next;
    free(v);
    s->len--;
    return true;
}

/* The entry of a version that is to be loaded: new, or one that is known. */
static ccz_rc enter(struct cczi_version **out, struct ccz_infer *s, const char *name,
                    int64_t version, struct ccz_err *err)
{
    *out = NULL;
    if (!name_ok(name)) {
        char shown[64];
        ccz_escape(shown, sizeof(shown), ccz_span_str(name));
        return ccz_refuse(err, CCZ_E_ARG, "infer:name", shown,
                          "1 to 255 bytes without '/', ':' and control bytes");
    }
    if (version < 0)
        return ccz_fail(err, CCZ_E_ARG, "infer:version", version, "a version is not negative");
    *out = find(s, name, version);
    if (*out)
        return CCZ_OK;
    if (!make_room(s))
        return ccz_refuse_num(err, CCZ_E_LIMIT, "infer:versions", (int64_t)s->len + 1,
                              CCZ_INFER_VERSIONS_MAX);
    struct cczi_name *n = enter_name(s, name);
    struct cczi_version *v = n ? calloc(1, sizeof(*v)) : NULL;
    if (!v)
        return ccz_fail(err, CCZ_E_NOMEM, "infer:versions", 0, "no memory");
    struct cczi_version **at = &n->versions;
    while (*at && (*at)->version > version)
        at = &(*at)->next;
    *v = (struct cczi_version){.next = *at, .of = n, .version = version, .state = CCZ_INFER_START};
    *at = v;
    s->len++;
    *out = v;
    return CCZ_OK;
}

static void end(struct ccz_infer *s, struct cczi_version *v)
{
    v->state = CCZ_INFER_END;
    v->user = NULL;
    v->ended = ++s->ended;
}

/* Out of service: new calls do not find it, those in progress are waited for. */
static void unload(struct ccz_infer *s, struct cczi_version *v)
{
    v->state = CCZ_INFER_UNLOADING;
    while (v->uses > 0)
        pthread_cond_wait(&s->changed, &s->lock);
    struct ccz_model *m = v->model;
    v->model = NULL;
    pthread_mutex_unlock(&s->lock); /* freeing takes its time, and concerns nobody else */
    ccz_model_free(m);
    pthread_mutex_lock(&s->lock);
    end(s, v);
    pthread_cond_broadcast(&s->changed);
}

static ccz_rc not_in_service(const char *name, int64_t version, struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOT_FOUND, "infer:version", version,
                    "version %" PRId64 " of %s is not in service", version, name);
}

/* ------------------------------------------------------------------------ who watches */

/* Without the registry's lock: the watcher asks how things stand now, so that the order of two calls does not matter. */
static void tell(struct ccz_infer *s, const char *name)
{
    pthread_mutex_lock(&s->watch_lock);
    if (s->watch)
        s->watch(s->watch_arg, name);
    pthread_mutex_unlock(&s->watch_lock);
}

/* The @p at-th name, copied; false behind the last. Names are only ever added, in front of their bucket. */
static bool copy_name(char out[CCZ_INFER_NAME_SIZE_MAX + 1], struct ccz_infer *s, size_t bucket,
                      size_t at)
{
    pthread_mutex_lock(&s->lock);
    const struct cczi_name *n = s->names[bucket];
    size_t len = 0;
    for (const struct cczi_name *k = n; k; k = k->next)
        len++;
    for (size_t i = at + 1; i < len; i++) /* counted from the oldest */
        n = n->next;
    const bool found = at < len;
    if (found)
        memcpy(out, n->text, strlen(n->text) + 1);
    pthread_mutex_unlock(&s->lock);
    return found;
}

void ccz_infer_watch(struct ccz_infer *s, ccz_infer_watch_fn fn, void *arg)
{
    char name[CCZ_INFER_NAME_SIZE_MAX + 1];
    pthread_mutex_lock(&s->watch_lock);
    s->watch = fn;
    s->watch_arg = arg;
    for (size_t i = 0; fn && i < CCZI_BUCKETS; i++)
        for (size_t at = 0; copy_name(name, s, i, at); at++)
            fn(arg, name);
    pthread_mutex_unlock(&s->watch_lock);
}

/* ------------------------------------------------------------------------ states */

static ccz_rc announce(struct ccz_infer *s, const char *name, int64_t version,
                       enum ccz_infer_state state, const struct ccz_run_status *health, bool once,
                       struct ccz_err *err)
{
    struct cczi_version *v;
    ccz_rc rc = enter(&v, s, name, version, err);
    if (rc != CCZ_OK)
        return rc;
    if (in_use(v) || (once && v->state == state))
        return ccz_fail(err, CCZ_E_EXISTS, "infer:version", version,
                        "version %" PRId64 " of %s is there already", version, name);
    if (state == CCZ_INFER_END && v->state != state)
        end(s, v);
    v->state = state;
    v->health = health ? *health : (struct ccz_run_status){0};
    return CCZ_OK;
}

ccz_rc ccz_infer_announce(struct ccz_infer *s, const char *name, int64_t version,
                          enum ccz_infer_state state, const struct ccz_run_status *health,
                          struct ccz_err *err)
{
    if (state != CCZ_INFER_START && state != CCZ_INFER_LOADING && state != CCZ_INFER_END)
        return ccz_refuse_num(err, CCZ_E_ARG, "infer:state", state, CCZ_INFER_LOADING);
    pthread_mutex_lock(&s->lock);
    ccz_rc rc = announce(s, name, version, state, health, false, err);
    pthread_mutex_unlock(&s->lock);
    if (rc == CCZ_OK)
        tell(s, name);
    return rc;
}

ccz_rc ccz_infer_loading(struct ccz_infer *s, const char *name, int64_t version,
                         struct ccz_err *err)
{
    pthread_mutex_lock(&s->lock);
    ccz_rc rc = announce(s, name, version, CCZ_INFER_LOADING, NULL, true, err);
    pthread_mutex_unlock(&s->lock);
    if (rc == CCZ_OK)
        tell(s, name);
    return rc;
}

void ccz_infer_failed(struct ccz_infer *s, const char *name, int64_t version,
                      enum ccz_run_code code, const char *message)
{
    pthread_mutex_lock(&s->lock);
    struct cczi_version *v = find(s, name, version);
    if (v && (v->state == CCZ_INFER_LOADING || v->state == CCZ_INFER_START)) {
        end(s, v);
        (void)ccz_run_status_set(&v->health, code, "%s", message);
    }
    pthread_mutex_unlock(&s->lock);
    tell(s, name);
}

/* ------------------------------------------------------------------------ in and out of service */

static ccz_rc publish(struct cczi_version **v, struct ccz_infer *s, const char *name,
                      int64_t version, struct ccz_model **model, struct ccz_err *err)
{
    ccz_rc rc = enter(v, s, name, version, err);
    if (rc != CCZ_OK)
        return rc;
    if (in_use(*v))
        return ccz_fail(err, CCZ_E_EXISTS, "infer:version", version,
                        "version %" PRId64 " of %s is in service", version, name);
    (*v)->model = *model;
    *model = NULL;
    (*v)->health = (struct ccz_run_status){0};
    (*v)->state = CCZ_INFER_AVAILABLE;
    return CCZ_OK;
}

ccz_rc ccz_infer_publish(struct ccz_infer *s, const char *name, int64_t version,
                         struct ccz_model **model, struct ccz_err *err)
{
    struct cczi_version *v;
    pthread_mutex_lock(&s->lock);
    ccz_rc rc = publish(&v, s, name, version, model, err);
    pthread_mutex_unlock(&s->lock);
    if (rc == CCZ_OK)
        tell(s, name);
    return rc;
}

/* The newest available version that is older, or NULL. */
static struct cczi_version *older(struct ccz_infer *s, const char *name, int64_t version)
{
    const struct cczi_name *n = cczi_find_name(s, ccz_span_str(name));
    struct cczi_version *o = n ? n->versions : NULL;
    while (o && (o->state != CCZ_INFER_AVAILABLE || o->version >= version))
        o = o->next;
    return o;
}

static ccz_rc add(struct ccz_infer *s, const char *name, int64_t version, struct ccz_model **model,
                  struct ccz_err *err)
{
    const struct cczi_name *n = cczi_find_name(s, ccz_span_str(name));
    for (const struct cczi_version *o = n ? n->versions : NULL; o; o = o->next)
        if (in_use(o) && o->version >= version)
            return ccz_fail(err, CCZ_E_EXISTS, "infer:version", o->version,
                            "version %" PRId64 " of %s is in service", o->version, name);
    struct cczi_version *v;
    ccz_rc rc = publish(&v, s, name, version, model, err);
    /* The list may change while unload() waits: each time it is looked at from its start. */
    for (struct cczi_version *o; rc == CCZ_OK && (o = older(s, name, version));)
        unload(s, o);
    return rc;
}

ccz_rc ccz_infer_add(struct ccz_infer *s, const char *name, int64_t version,
                     struct ccz_model **model, struct ccz_err *err)
{
    pthread_mutex_lock(&s->lock);
    ccz_rc rc = add(s, name, version, model, err);
    pthread_mutex_unlock(&s->lock);
    if (rc == CCZ_OK)
        tell(s, name);
    return rc;
}

ccz_rc ccz_infer_remove(struct ccz_infer *s, const char *name, int64_t version, struct ccz_err *err)
{
    pthread_mutex_lock(&s->lock);
    struct cczi_version *v = find(s, name, version);
    ccz_rc rc = CCZ_OK;
    if (v && in_use(v) && v->model)
        unload(s, v);
    else
        rc = not_in_service(name, version, err);
    pthread_mutex_unlock(&s->lock);
    if (rc == CCZ_OK)
        tell(s, name);
    return rc;
}

ccz_rc ccz_infer_retire(struct ccz_infer *s, const char *name, int64_t version,
                        void (*idle)(void *arg), void *arg, struct ccz_err *err)
{
    pthread_mutex_lock(&s->lock);
    struct cczi_version *v = find(s, name, version);
    const bool found = v && v->state == CCZ_INFER_AVAILABLE;
    const bool now = found && v->uses == 0;
    if (found)
        v->state = CCZ_INFER_UNLOADING;
    if (found && !now) {
        v->idle = idle;
        v->idle_arg = arg;
    }
    pthread_mutex_unlock(&s->lock);
    if (found)
        tell(s, name);
    if (now && idle)
        idle(arg);
    return found ? CCZ_OK : not_in_service(name, version, err);
}

ccz_rc ccz_infer_set_user(struct ccz_infer *s, const char *name, int64_t version, void *user,
                          struct ccz_err *err)
{
    pthread_mutex_lock(&s->lock);
    struct cczi_version *v = find(s, name, version);
    const bool found = v && v->state != CCZ_INFER_END;
    if (found)
        v->user = user;
    pthread_mutex_unlock(&s->lock);
    return found ? CCZ_OK : not_in_service(name, version, err);
}

/* ------------------------------------------------------------------------ labels */

static bool available(const struct cczi_name *n, int64_t version)
{
    for (const struct cczi_version *v = n ? n->versions : NULL; v; v = v->next)
        if (v->version == version)
            return v->state == CCZ_INFER_AVAILABLE;
    return false;
}

/* A label that is new, or that stays where it is. */
static bool harmless(const struct cczi_name *n, const struct ccz_infer_label *label)
{
    for (const struct cczi_label *l = n ? n->labels : NULL; l; l = l->next)
        if (strcmp(l->text, label->label) == 0)
            return l->version == label->version;
    return true;
}

/* ServerCore::UpdateModelVersionLabelMap() */
static ccz_rc check_labels(struct ccz_run_status *st, const struct cczi_name *n, const char *name,
                           const struct ccz_infer_label *labels, size_t len, bool allow_unavailable)
{
    if (len > CCZ_INFER_LABELS_MAX)
        return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED,
                                  "model %.255s has %zu labels, at most %d are allowed", name, len,
                                  CCZ_INFER_LABELS_MAX);
    for (size_t i = 0; i < len; i++) {
        if (labels[i].label[0] == 0)
            return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                      "model %.255s has an empty label", name);
        for (size_t k = 0; k < i; k++)
            if (strcmp(labels[k].label, labels[i].label) == 0)
                return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                          "model %.255s has label %.255s twice", name,
                                          labels[i].label);
        if (!available(n, labels[i].version) && !(allow_unavailable && harmless(n, &labels[i])))
            return ccz_run_status_set(
                st, CCZ_RUN_FAILED_PRECONDITION,
                "Request to assign label to version %" PRId64
                " of model %s, which is not currently available for inference",
                labels[i].version, name);
    }
    return CCZ_OK;
}

static bool copy_labels(struct cczi_label **out, const struct ccz_infer_label *labels, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const size_t size = strlen(labels[i].label) + 1;
        struct cczi_label *l = calloc(1, sizeof(*l) + size);
        if (!l)
            return false;
        l->version = labels[i].version;
        memcpy(l->text, labels[i].label, size);
        l->next = *out;
        *out = l;
    }
    return true;
}

static ccz_rc set_labels(struct ccz_infer *s, const char *name,
                         const struct ccz_infer_label *labels, size_t len, bool allow_unavailable,
                         struct ccz_run_status *st)
{
    struct cczi_name *n = cczi_find_name(s, ccz_span_str(name));
    ccz_rc rc = check_labels(st, n, name, labels, len, allow_unavailable);
    if (rc == CCZ_OK && !n && !name_ok(name))
        rc = ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "a model cannot have this name");
    if (rc != CCZ_OK || (!n && len == 0))
        return rc;
    struct cczi_label *copy = NULL;
    n = n ? n : enter_name(s, name);
    if (!n || !copy_labels(&copy, labels, len)) {
        free_labels(copy);
        return cczi_no_memory(st);
    }
    free_labels(n->labels);
    n->labels = copy;
    return CCZ_OK;
}

ccz_rc ccz_infer_set_labels(struct ccz_infer *s, const char *name,
                            const struct ccz_infer_label *labels, size_t len,
                            bool allow_unavailable, struct ccz_run_status *st)
{
    *st = (struct ccz_run_status){0};
    pthread_mutex_lock(&s->lock);
    ccz_rc rc = set_labels(s, name, labels, len, allow_unavailable, st);
    pthread_mutex_unlock(&s->lock);
    return rc;
}
