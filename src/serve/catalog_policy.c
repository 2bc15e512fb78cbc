/* SPDX-License-Identifier: Apache-2.0 */
/* Which versions are wanted, and what follows from it. Everything is called with the catalog locked. */
#define _DEFAULT_SOURCE
#include "serve/catalog_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A version that vanished while it is served counts as there, until a newer one that is there is served: what
 * somebody deleted by mistake stays, and old versions may be cleared away. */
static bool is_there(const struct cczi_model *m, const struct cczi_version *v)
{
    if (v->revoked || m->removed)
        return false;
    if (v->on_disk || m->policy == CCZ_SERVE_SPECIFIC)
        return v->on_disk || v->phase == CCZI_SERVED || v->phase == CCZI_LOADING;
    for (const struct cczi_version *n = v->next; n; n = n->next)
        if (n->on_disk && n->phase == CCZI_SERVED)
            return false;
    return v->phase == CCZI_SERVED || v->phase == CCZI_LOADING;
}

static bool is_named(const struct cczi_model *m, int64_t number)
{
    for (size_t i = 0; i < m->named_len; i++)
        if (m->named[i] == number)
            return true;
    return false;
}

void cczi_catalog_want(struct cczi_model *m)
{
    size_t there = 0, at = 0, wanted = 0;
    for (const struct cczi_version *v = m->versions; v; v = v->next)
        there += is_there(m, v);
    for (struct cczi_version *v = m->versions; v; v = v->next) {
        v->wanted = is_there(m, v);
        at += v->wanted;
        if (m->policy == CCZ_SERVE_LATEST)
            v->wanted = v->wanted && there - at < m->latest; /* so many are newer */
        else if (m->policy == CCZ_SERVE_SPECIFIC)
            v->wanted = v->wanted && is_named(m, v->item.version);
        wanted += v->wanted;
    }
    m->missing = m->policy == CCZ_SERVE_SPECIFIC && !m->removed ? m->named_len - wanted : 0;
}

void cczi_catalog_tell(struct ccz_catalog *c, const struct cczi_version *v,
                       enum ccz_infer_state state, enum ccz_run_code code, const char *why)
{
    struct ccz_run_status health = {0};
    if (why)
        (void)ccz_run_status_set(&health, code, "%s", why);
    c->cfg.ops.state(c->cfg.arg, &v->item, state, why ? &health : NULL);
}

void cczi_catalog_withdraw(struct ccz_catalog *c, struct cczi_version *v)
{
    c->cfg.ops.withdraw(c->cfg.arg, &v->item);
    v->phase = CCZI_LEAVING;
    ccz_log(CCZ_LOG_INFO, "serve", "unloading model=%s version=%" PRId64, v->item.name,
            v->item.version);
    pthread_cond_broadcast(&c->changed);
}

static void queue(struct ccz_catalog *c, struct cczi_version *v)
{
    v->phase = CCZI_QUEUED;
    v->attempts = 0;
    cczi_text_set(&v->error, NULL);
    cczi_catalog_tell(c, v, CCZ_INFER_START, CCZ_RUN_OK, NULL);
    pthread_cond_broadcast(&c->changed);
}

/* Enough of what is wanted is served, so that the rest may go. */
static bool enough(const struct cczi_model *m)
{
    size_t need = m->missing, have = 0;
    if (m->removed || (m->policy == CCZ_SERVE_SPECIFIC && m->named_len == 0))
        return true;
    for (const struct cczi_version *v = m->versions; v; v = v->next) {
        need += v->wanted;
        have += v->wanted && v->phase == CCZI_SERVED;
    }
    return need > 0 && have == need;
}

void cczi_catalog_act(struct ccz_catalog *c, struct cczi_model *m)
{
    const bool rest_goes = enough(m);
    for (struct cczi_version *v = m->versions; v; v = v->next) {
        if (v->wanted && v->phase == CCZI_ENDED && !v->given_up && !v->held)
            queue(c, v);
        if (v->wanted)
            continue;
        if (!v->revoked)
            v->given_up = false; /* when it is wanted again, it is tried again */
        if (v->phase == CCZI_QUEUED || v->phase == CCZI_FAILED) {
            v->phase = CCZI_ENDED;
            cczi_catalog_tell(c, v, CCZ_INFER_END, CCZ_RUN_FAILED_PRECONDITION,
                              v->revoked ? v->error : NULL);
            pthread_cond_broadcast(&c->changed);
        }
        if (v->phase == CCZI_SERVED && (rest_goes || v->revoked))
            cczi_catalog_withdraw(c, v);
    }
}

const struct ccz_infer_label *cczi_catalog_labels(struct ccz_catalog *c, const struct cczi_model *m,
                                                  struct ccz_run_status *st)
{
    struct ccz_run_status own = {0};
    const bool any = c->cfg.allow_unavailable_labels;
    for (size_t i = 0; !any && i < m->labels_len; i++) {
        const struct cczi_version *v = cczi_version_find(m, m->labels[i].version);
        if (!v || v->phase != CCZI_SERVED)
            return &m->labels[i];
    }
    c->cfg.ops.labels(c->cfg.arg, m->name, m->labels, m->labels_len, any, st ? st : &own);
    return NULL;
}

bool cczi_model_served(const struct cczi_model *m)
{
    for (const struct cczi_version *v = m->versions; v; v = v->next)
        if (v->phase == CCZI_SERVED)
            return true;
    return false;
}

bool cczi_model_done(const struct cczi_model *m)
{
    bool any = false;
    if (m->removed)
        return true;
    for (const struct cczi_version *v = m->versions; v; v = v->next) {
        if (v->phase == CCZI_QUEUED || v->phase == CCZI_LOADING || v->phase == CCZI_FAILED)
            return false;
        any = any || v->phase == CCZI_SERVED || v->given_up;
    }
    return any && m->scanned;
}
