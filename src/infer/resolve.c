/* SPDX-License-Identifier: Apache-2.0 */
/* Which version a call means, who uses it, and what there is to tell of the others. */
#include "infer/infer_priv.h"

#include <inttypes.h>

/* For "%.*s": an absent field has no pointer. */
static const char *chars(struct ccz_span s)
{
    return s.ptr ? (const char *)s.ptr : "";
}

/* ServerCore::GetModelVersionForLabel() */
static bool find_label(int64_t *version, const struct cczi_name *n, struct ccz_span label)
{
    for (const struct cczi_label *l = n ? n->labels : NULL; l; l = l->next)
        if (ccz_span_eq(ccz_span_str(l->text), label)) {
            *version = l->version;
            return true;
        }
    return false;
}

/* The newest available version, or the one that is wanted. */
static struct cczi_version *choose(const struct cczi_name *n, bool any, int64_t version)
{
    struct cczi_version *v = n ? n->versions : NULL;
    while (v && (v->state != CCZ_INFER_AVAILABLE || (!any && v->version != version)))
        v = v->next;
    return v;
}

ccz_rc cczi_acquire(struct cczi_version **out, const char **name, struct ccz_run_status *st,
                    struct ccz_infer *s, const struct cczi_spec *spec)
{
    *out = NULL;
    *name = NULL;
    if (!spec->present)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "Missing ModelSpec");
    if (spec->name.size == 0)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "ModelSpec has no name specified.");
    int64_t version = spec->version;
    pthread_mutex_lock(&s->lock);
    const struct cczi_name *n = cczi_find_name(s, spec->name);
    const bool labelled = spec->has_label && find_label(&version, n, spec->label);
    const bool specific = spec->has_version || labelled;
    if (labelled || !spec->has_label)
        *out = choose(n, !specific, version);
    if (*out)
        (*out)->uses++;
    pthread_mutex_unlock(&s->lock);
    *name = n ? n->text : NULL;
    if (*out)
        return CCZ_OK;
    if (spec->has_label && !labelled)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT,
                                  "Unrecognized servable version label: %.*s",
                                  (int)spec->label.size, chars(spec->label));
    if (specific)
        return ccz_run_status_set(st, CCZ_RUN_NOT_FOUND,
                                  "Servable not found for request: Specific(%.*s, %" PRId64 ")",
                                  (int)spec->name.size, chars(spec->name), version);
    return ccz_run_status_set(st, CCZ_RUN_NOT_FOUND, "Servable not found for request: Latest(%.*s)",
                              (int)spec->name.size, chars(spec->name));
}

void cczi_release(struct ccz_infer *s, struct cczi_version *v)
{
    if (!v)
        return;
    pthread_mutex_lock(&s->lock);
    v->uses--;
    void (*idle)(void *) = v->uses == 0 ? v->idle : NULL;
    void *arg = v->idle_arg;
    if (v->uses == 0)
        v->idle = NULL;
    if (v->uses == 0 && v->state != CCZ_INFER_AVAILABLE)
        pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    if (idle)
        idle(arg);
}

/* ------------------------------------------------------------------------ telling */

/* A label says nothing to TensorFlow Serving here: it shows all versions then, and so it is done here. */
ccz_rc cczi_status_each(const char **name, struct ccz_run_status *st, struct ccz_infer *s,
                        const struct cczi_spec *spec, cczi_version_fn fn, void *arg)
{
    *name = NULL;
    if (!spec->present)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "Missing ModelSpec");
    bool found = false;
    pthread_mutex_lock(&s->lock);
    const struct cczi_name *n = cczi_find_name(s, spec->name);
    for (const struct cczi_version *v = n ? n->versions : NULL; v; v = v->next)
        if (!spec->has_version || v->version == spec->version) {
            fn(arg, v);
            found = true;
        }
    pthread_mutex_unlock(&s->lock);
    *name = n ? n->text : NULL;
    if (found)
        return CCZ_OK;
    if (spec->has_version)
        return ccz_run_status_set(st, CCZ_RUN_NOT_FOUND,
                                  "Could not find version %" PRId64 " of model %.*s", spec->version,
                                  (int)spec->name.size, chars(spec->name));
    return ccz_run_status_set(st, CCZ_RUN_NOT_FOUND, "Could not find any versions of model %.*s",
                              (int)spec->name.size, chars(spec->name));
}

void cczi_each(struct ccz_infer *s, cczi_version_fn fn, void *arg)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < CCZI_BUCKETS; i++)
        for (const struct cczi_name *n = s->names[i]; n; n = n->next)
            for (const struct cczi_version *v = n->versions; v; v = v->next)
                fn(arg, v);
    pthread_mutex_unlock(&s->lock);
}

const char *cczi_state_name(enum ccz_infer_state s)
{
    switch (s) {
    case CCZ_INFER_START:
        return "START";
    case CCZ_INFER_LOADING:
        return "LOADING";
    case CCZ_INFER_AVAILABLE:
        return "AVAILABLE";
    case CCZ_INFER_UNLOADING:
        return "UNLOADING";
    case CCZ_INFER_END:
        return "END";
    case CCZ_INFER_UNKNOWN:
        break;
    }
    return "UNKNOWN";
}

/* What readiness asks of one name. */
struct standing {
    bool available, wanted; /* wanted: alive, or ended with an error */
};

static struct standing standing_of(const struct cczi_name *n)
{
    struct standing out = {0};
    for (const struct cczi_version *v = n->versions; v; v = v->next) {
        out.available = out.available || v->state == CCZ_INFER_AVAILABLE;
        out.wanted = out.wanted || v->state != CCZ_INFER_END || v->health.code != CCZ_RUN_OK;
    }
    return out;
}

bool ccz_infer_ready(struct ccz_infer *s, const char *name)
{
    bool any = false, all = true;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; !name && i < CCZI_BUCKETS; i++)
        for (const struct cczi_name *n = s->names[i]; n; n = n->next) {
            const struct standing st = standing_of(n);
            any = any || st.available;
            all = all && (st.available || !st.wanted);
        }
    const bool leaving = !name && s->leaving;
    const struct cczi_name *one = name ? cczi_find_name(s, ccz_span_str(name)) : NULL;
    if (one)
        any = standing_of(one).available;
    pthread_mutex_unlock(&s->lock);
    return any && all && !leaving;
}

void ccz_infer_leave(struct ccz_infer *s)
{
    pthread_mutex_lock(&s->lock);
    s->leaving = true;
    pthread_mutex_unlock(&s->lock);
}

enum ccz_infer_state ccz_infer_state(struct ccz_infer *s, const char *name, int64_t version)
{
    pthread_mutex_lock(&s->lock);
    const struct cczi_name *n = cczi_find_name(s, ccz_span_str(name));
    const struct cczi_version *v = n ? n->versions : NULL;
    while (v && v->version != version)
        v = v->next;
    enum ccz_infer_state state = v ? v->state : CCZ_INFER_UNKNOWN;
    pthread_mutex_unlock(&s->lock);
    return state;
}
