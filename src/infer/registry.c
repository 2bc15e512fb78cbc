/* SPDX-License-Identifier: Apache-2.0 */
/* Which versions there are, in which state, and who uses them. */
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
    s->c_locale = c;
    ccz_infer_configure(s, &(struct ccz_infer_cfg){0});
    *out = s;
    return CCZ_OK;
}

void ccz_infer_configure(struct ccz_infer *s, const struct ccz_infer_cfg *cfg)
{
    s->cfg = *cfg;
    if (s->cfg.input_size_max == 0)
        s->cfg.input_size_max = (size_t)256 << 20;
}

void ccz_infer_free(struct ccz_infer *s)
{
    if (!s)
        return;
    while (s->versions) {
        struct cczi_version *v = s->versions;
        s->versions = v->next;
        ccz_model_free(v->model);
        free(v);
    }
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    freelocale(s->c_locale);
    free(s);
}

/* ------------------------------------------------------------------------ changing, under the lock
 */

static int order(const struct cczi_version *v, const char *name, int64_t version)
{
    int c = strcmp(v->name, name);
    return c ? c : (v->version > version) - (v->version < version);
}

static struct cczi_version *find(struct ccz_infer *s, const char *name, int64_t version)
{
    for (struct cczi_version *v = s->versions; v; v = v->next)
        if (order(v, name, version) == 0)
            return v;
    return NULL;
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

static bool in_use(const struct cczi_version *v)
{
    return v->state == CCZ_INFER_AVAILABLE || v->state == CCZ_INFER_UNLOADING;
}

/* The entry of a version that is to be loaded: new, or one that has ended. */
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
    struct cczi_version **at = &s->versions;
    while (*at && order(*at, name, version) < 0)
        at = &(*at)->next;
    if (*at && order(*at, name, version) == 0) {
        *out = *at;
        return CCZ_OK;
    }
    if (s->len == CCZ_INFER_VERSIONS_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "infer:versions", (int64_t)s->len + 1,
                              CCZ_INFER_VERSIONS_MAX);
    struct cczi_version *v = calloc(1, sizeof(*v));
    if (!v)
        return ccz_fail(err, CCZ_E_NOMEM, "infer:versions", 0, "no memory");
    memcpy(v->name, name, strlen(name) + 1);
    v->version = version;
    v->state = CCZ_INFER_START;
    v->next = *at;
    *at = v;
    s->len++;
    *out = v;
    return CCZ_OK;
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
    v->state = CCZ_INFER_END;
    pthread_cond_broadcast(&s->changed);
}

/* ------------------------------------------------------------------------ public */

ccz_rc ccz_infer_loading(struct ccz_infer *s, const char *name, int64_t version,
                         struct ccz_err *err)
{
    struct cczi_version *v;
    pthread_mutex_lock(&s->lock);
    ccz_rc rc = enter(&v, s, name, version, err);
    if (rc == CCZ_OK && (in_use(v) || v->state == CCZ_INFER_LOADING))
        rc = ccz_fail(err, CCZ_E_EXISTS, "infer:version", version,
                      "version %" PRId64 " of %s is there already", version, name);
    if (rc == CCZ_OK) {
        v->state = CCZ_INFER_LOADING;
        v->health = (struct ccz_run_status){0};
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

static ccz_rc serve(struct ccz_infer *s, const char *name, int64_t version,
                    struct ccz_model **model, struct ccz_err *err)
{
    for (const struct cczi_version *o = s->versions; o; o = o->next)
        if (strcmp(o->name, name) == 0 && in_use(o) && o->version >= version)
            return ccz_fail(err, CCZ_E_EXISTS, "infer:version", o->version,
                            "version %" PRId64 " of %s is in service", o->version, name);
    struct cczi_version *v;
    ccz_rc rc = enter(&v, s, name, version, err);
    if (rc != CCZ_OK)
        return rc;
    v->model = *model;
    *model = NULL;
    v->health = (struct ccz_run_status){0};
    v->state = CCZ_INFER_AVAILABLE;
    for (bool again = true;
         again;) { /* the list may change while unload() waits: look from its start */
        again = false;
        for (struct cczi_version *o = s->versions; o && !again; o = o->next) {
            if (strcmp(o->name, name) == 0 && o->state == CCZ_INFER_AVAILABLE &&
                o->version < version) {
                unload(s, o);
                again = true;
            }
        }
    }
    return CCZ_OK;
}

ccz_rc ccz_infer_add(struct ccz_infer *s, const char *name, int64_t version,
                     struct ccz_model **model, struct ccz_err *err)
{
    pthread_mutex_lock(&s->lock);
    ccz_rc rc = serve(s, name, version, model, err);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

void ccz_infer_failed(struct ccz_infer *s, const char *name, int64_t version,
                      enum ccz_run_code code, const char *message)
{
    pthread_mutex_lock(&s->lock);
    struct cczi_version *v = find(s, name, version);
    if (v && v->state == CCZ_INFER_LOADING) {
        v->state = CCZ_INFER_END;
        (void)ccz_run_status_set(&v->health, code, "%s", message);
    }
    pthread_mutex_unlock(&s->lock);
}

ccz_rc ccz_infer_remove(struct ccz_infer *s, const char *name, int64_t version, struct ccz_err *err)
{
    pthread_mutex_lock(&s->lock);
    struct cczi_version *v = find(s, name, version);
    ccz_rc rc = CCZ_OK;
    if (v && v->state == CCZ_INFER_AVAILABLE)
        unload(s, v);
    else
        rc = ccz_fail(err, CCZ_E_NOT_FOUND, "infer:version", version,
                      "version %" PRId64 " of %s is not in service", version, name);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

bool ccz_infer_ready(struct ccz_infer *s, const char *name)
{
    bool any = false, all = true;
    pthread_mutex_lock(&s->lock);
    for (const struct cczi_version *v = s->versions; v; v = v->next) {
        bool available = false;
        for (const struct cczi_version *o = s->versions; o; o = o->next)
            available =
                available || (strcmp(o->name, v->name) == 0 && o->state == CCZ_INFER_AVAILABLE);
        any = any || ((!name || strcmp(v->name, name) == 0) && available);
        all = all && available;
    }
    pthread_mutex_unlock(&s->lock);
    return name ? any : any && all;
}

enum ccz_infer_state ccz_infer_state(struct ccz_infer *s, const char *name, int64_t version)
{
    pthread_mutex_lock(&s->lock);
    const struct cczi_version *v = find(s, name, version);
    enum ccz_infer_state state = v ? v->state : CCZ_INFER_UNKNOWN;
    pthread_mutex_unlock(&s->lock);
    return state;
}

/* ------------------------------------------------------------------------ using */

/* For "%.*s": an absent field has no pointer. */
static const char *chars(struct ccz_span s)
{
    return s.ptr ? (const char *)s.ptr : "";
}

static bool named(const struct cczi_version *v, struct ccz_span name)
{
    return ccz_span_eq(ccz_span_str(v->name), name);
}

ccz_rc cczi_acquire(struct cczi_version **out, struct ccz_run_status *st, struct ccz_infer *s,
                    const struct cczi_spec *spec)
{
    *out = NULL;
    if (!spec->present)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "Missing ModelSpec");
    if (spec->name.size == 0)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "ModelSpec has no name specified.");
    if (spec->has_label)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "Unrecognized servable version label: %.*s",
                                  (int)spec->label.size, chars(spec->label));
    pthread_mutex_lock(&s->lock);
    for (struct cczi_version *v = s->versions; v; v = v->next)
        if (v->state == CCZ_INFER_AVAILABLE && named(v, spec->name) &&
            (!spec->has_version || v->version == spec->version))
            *out = v; /* sorted: the last one is the newest */
    if (*out)
        (*out)->uses++;
    pthread_mutex_unlock(&s->lock);
    int size = (int)spec->name.size;
    const char *name = chars(spec->name);
    if (!*out && spec->has_version)
        return ccz_run_status_set(st, CCZ_RUN_NOT_FOUND,
                                  "Servable not found for request: Specific(%.*s, %" PRId64 ")",
                                  size, name, spec->version);
    if (!*out)
        return ccz_run_status_set(st, CCZ_RUN_NOT_FOUND,
                                  "Servable not found for request: Latest(%.*s)", size, name);
    return CCZ_OK;
}

void cczi_release(struct ccz_infer *s, struct cczi_version *v)
{
    if (!v)
        return;
    pthread_mutex_lock(&s->lock);
    v->uses--;
    if (v->uses == 0)
        pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

ccz_rc cczi_status_each(struct ccz_run_status *st, struct ccz_infer *s,
                        const struct cczi_spec *spec, cczi_version_fn fn, void *arg)
{
    if (!spec->present)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "Missing ModelSpec");
    bool found = false;
    pthread_mutex_lock(&s->lock);
    for (const struct cczi_version *v = s->versions; v; v = v->next)
        if (named(v, spec->name) && (!spec->has_version || v->version == spec->version)) {
            fn(arg, v);
            found = true;
        }
    pthread_mutex_unlock(&s->lock);
    int size = (int)spec->name.size;
    const char *name = chars(spec->name);
    if (!found && spec->has_version)
        return ccz_run_status_set(st, CCZ_RUN_NOT_FOUND,
                                  "Could not find version %" PRId64 " of model %.*s", spec->version,
                                  size, name);
    if (!found)
        return ccz_run_status_set(st, CCZ_RUN_NOT_FOUND,
                                  "Could not find any versions of model %.*s", size, name);
    return CCZ_OK;
}
