/* SPDX-License-Identifier: Apache-2.0 */
/* Models and versions of the catalog, as data. */
#define _DEFAULT_SOURCE
#include "serve/catalog_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cczi_text_set(char **to, const char *text)
{
    free(*to);
    *to = text ? strdup(text) : NULL;
}

static void free_version(struct cczi_version *v)
{
    free(v->texts);
    free(v->error);
    free(v);
}

void cczi_model_free(struct cczi_model *m)
{
    if (!m)
        return;
    while (m->versions) {
        struct cczi_version *v = m->versions;
        m->versions = v->next;
        free_version(v);
    }
    free(m->name);
    free(m->base_path);
    free(m->platform);
    free(m->named);
    free(m->labels);
    free(m->alarm);
    free(m);
}

/* One piece of memory for labels and their texts; NULL: none, or no memory. */
static struct ccz_infer_label *copy_labels(const struct ccz_infer_label *from, size_t len)
{
    size_t size = len * sizeof(*from);
    for (size_t i = 0; i < len; i++)
        size += strlen(from[i].label) + 1;
    struct ccz_infer_label *to = malloc(size);
    char *text = to ? (char *)(to + len) : NULL;
    for (size_t i = 0; to && i < len; i++) {
        const size_t n = strlen(from[i].label) + 1;
        to[i] = (struct ccz_infer_label){memcpy(text, from[i].label, n), from[i].version};
        text += n;
    }
    return to;
}

struct cczi_model *cczi_model_new(const struct ccz_serve_model *from)
{
    struct cczi_model *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->name = strdup(from->name);
    m->base_path = strdup(from->base_path);
    m->platform = strdup(from->platform);
    m->policy = from->policy;
    m->latest = from->latest;
    m->named_len = from->versions_len;
    m->labels_len = from->labels_len;
    m->named = malloc(m->named_len * sizeof(*m->named) + 1);
    m->labels = copy_labels(from->labels, from->labels_len);
    if (!m->name || !m->base_path || !m->platform || !m->named ||
        (m->labels_len > 0 && !m->labels)) {
        cczi_model_free(m);
        return NULL;
    }
    if (m->named_len > 0)
        memcpy(m->named, from->versions, m->named_len * sizeof(*m->named));
    return m;
}

void cczi_model_assign(struct cczi_model *m, struct cczi_model *from)
{
    const struct cczi_model old = *m;
    m->scanned = old.scanned && strcmp(old.base_path, from->base_path) == 0;
    m->removed = false;
    m->base_path = from->base_path;
    m->platform = from->platform;
    m->policy = from->policy;
    m->latest = from->latest;
    m->named = from->named;
    m->named_len = from->named_len;
    m->labels = from->labels;
    m->labels_len = from->labels_len;
    from->base_path = old.base_path;
    from->platform = old.platform;
    from->named = old.named;
    from->labels = old.labels;
    cczi_model_free(from);
}

struct cczi_model *cczi_model_find(struct ccz_catalog *c, const char *name)
{
    struct cczi_model *m = c->models;
    while (m && strcmp(m->name, name) != 0)
        m = m->next;
    return m;
}

struct cczi_version *cczi_version_find(const struct cczi_model *m, int64_t number)
{
    struct cczi_version *v = m->versions;
    while (v && v->item.version != number)
        v = v->next;
    return v;
}

/* Where it is, as the configuration says now. False: no memory, and nothing has changed. */
static bool set_texts(struct cczi_version *v, const struct cczi_model *m, const char *folder)
{
    const size_t base = strlen(m->base_path), name = strlen(folder), platform = strlen(m->platform);
    char *t = malloc(base + 1 + base + 1 + name + 1 + platform + 1);
    if (!t)
        return false;
    memcpy(t, m->base_path, base + 1);
    const int dir = sprintf(t + base + 1, "%s/%s", base > 1 ? m->base_path : "", folder);
    char *const p = t + base + 1 + dir + 1;
    memcpy(p, m->platform, platform + 1);
    free(v->texts);
    v->texts = t;
    v->item.name = m->name;
    v->item.base_path = t;
    v->item.dir = t + base + 1;
    v->item.platform = p;
    return true;
}

struct cczi_version *cczi_version_enter(struct cczi_model *m, int64_t number, const char *folder)
{
    struct cczi_version **at = &m->versions;
    while (*at && (*at)->item.version < number)
        at = &(*at)->next;
    struct cczi_version *v = *at;
    if (v && v->item.version == number) {
        const bool used = v->held || v->phase == CCZI_SERVED || v->phase == CCZI_LEAVING;
        return used || set_texts(v, m, folder) ? v : NULL;
    }
    v = calloc(1, sizeof(*v));
    if (!v || !set_texts(v, m, folder)) {
        free(v);
        return NULL;
    }
    v->item.version = number;
    v->next = *at;
    *at = v;
    return v;
}

const char *cczi_revoked_why(const struct ccz_catalog *c, const char *name, int64_t version)
{
    for (const struct cczi_revoked *r = c->revoked; r; r = r->next)
        if (r->version == version && strcmp(r->name, name) == 0)
            return r->why;
    return NULL;
}

static void sweep_versions(struct cczi_model *m)
{
    for (struct cczi_version **at = &m->versions; *at;) {
        struct cczi_version *v = *at;
        const bool stays =
            v->phase != CCZI_ENDED || v->held || (!m->removed && (v->on_disk || v->wanted));
        if (stays) {
            at = &v->next;
            continue;
        }
        *at = v->next;
        free_version(v);
    }
}

void cczi_catalog_forget(struct ccz_catalog *c, struct cczi_model *m)
{
    if (c->cfg.ops.model)
        c->cfg.ops.model(c->cfg.arg, m->name, false);
    cczi_model_free(m);
}

void cczi_catalog_sweep(struct ccz_catalog *c)
{
    for (struct cczi_model **at = &c->models; *at;) {
        struct cczi_model *m = *at;
        sweep_versions(m);
        if (!m->removed || m->versions) {
            at = &m->next;
            continue;
        }
        *at = m->next;
        cczi_catalog_forget(c, m);
    }
}
