/* SPDX-License-Identifier: Apache-2.0 */
/* A round: what lies in the folders of the models. */
#define _DEFAULT_SOURCE
#include "serve/catalog_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct found {
    int64_t number, stamp;
    char folder[64]; /* a number with zeros in front of it */
};
struct folder {
    struct found *found;
    size_t len, cap;
    bool many, no_memory;
};
/* A model of the round; texts are copies, so that files are looked at without the lock. */
struct target {
    char *name, *base_path;
};

bool cczi_catalog_number(int64_t *out, const char *folder)
{
    int64_t v = 0;
    size_t i = 0;
    *out = 0;
    for (; folder[i] >= '0' && folder[i] <= '9'; i++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, folder[i] - '0', &v))
            return false;
    *out = v;
    return i > 0 && folder[i] == 0 && i < sizeof(((struct found *)NULL)->folder);
}

/* ------------------------------------------------------------------------ folders */

static ccz_rc list_system(const char *path, void (*each)(void *to, const char *name, int64_t stamp),
                          void *to, struct ccz_err *err)
{
    DIR *d = opendir(path);
    const struct dirent *e;
    struct stat st;
    if (!d)
        return ccz_fail(err, errno == ENOENT ? CCZ_E_NOT_FOUND : CCZ_E_IO, "catalog:base-path",
                        errno, "cannot list %s: %s", path, strerror(errno));
    for (errno = 0; (e = readdir(d)) != NULL; errno = 0)
        if (fstatat(dirfd(d), e->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode)) /* links, too */
            each(to, e->d_name, (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
    const int failed = errno;
    closedir(d);
    return failed ? ccz_fail(err, CCZ_E_IO, "catalog:base-path", failed, "cannot list %s: %s", path,
                             strerror(failed))
                  : CCZ_OK;
}

static void add(void *to, const char *name, int64_t stamp)
{
    struct folder *f = to;
    int64_t number;
    if (!cczi_catalog_number(&number, name))
        return;
    if (f->len == CCZ_CATALOG_ENTRIES_MAX) {
        f->many = true;
        return;
    }
    if (f->len == f->cap) {
        const size_t cap = f->cap ? 2 * f->cap : 16;
        struct found *more = realloc(f->found, cap * sizeof(*more));
        if (!more) {
            f->no_memory = true;
            return;
        }
        f->found = more;
        f->cap = cap;
    }
    struct found *n = &f->found[f->len++];
    *n = (struct found){.number = number, .stamp = stamp};
    (void)snprintf(n->folder, sizeof(n->folder), "%s", name);
}

/* By number; of the same one (1, 01) the shortest first, which is the one that counts. */
static int by_number(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    const size_t m = strlen(x->folder), n = strlen(y->folder);
    return (m > n) - (m < n);
}

static ccz_rc list_versions(struct folder *f, struct ccz_catalog *c, const char *path,
                            struct ccz_err *err)
{
    *f = (struct folder){0};
    ccz_rc rc =
        c->cfg.list ? c->cfg.list(c->cfg.arg, path, add, f, err) : list_system(path, add, f, err);
    if (rc != CCZ_OK)
        return rc;
    if (f->no_memory)
        return ccz_fail(err, CCZ_E_NOMEM, "catalog:memory", 0, "no memory to list %s", path);
    if (f->many)
        return ccz_fail(err, CCZ_E_LIMIT, "catalog:entries", CCZ_CATALOG_ENTRIES_MAX + 1,
                        "got more than %d versions in %s", CCZ_CATALOG_ENTRIES_MAX, path);
    if (f->len == 0)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "catalog:versions", 0,
                        "No versions of servable found under base path %s. Did you forget to name "
                        "your leaf directory as a number (eg. '/1/')?",
                        path);
    qsort(f->found, f->len, sizeof(*f->found), by_number);
    return CCZ_OK;
}

bool cczi_catalog_on_disk(struct ccz_catalog *c, const char *path, int64_t version)
{
    struct folder f;
    bool there = false;
    ccz_rc rc = list_versions(&f, c, path, NULL);
    for (size_t i = 0; rc == CCZ_OK && i < f.len; i++)
        there = there || f.found[i].number == version;
    free(f.found);
    return there;
}

/* ------------------------------------------------------------------------ merging, under the lock */

static void set_alarm(struct cczi_model *m, const char *text)
{
    const bool same = text && m->alarm ? strcmp(text, m->alarm) == 0 : !text && !m->alarm;
    if (same)
        return;
    if (text)
        ccz_log(CCZ_LOG_WARN, "serve", "alarm model=%s what=\"%s\": what is served stays", m->name,
                text);
    else
        ccz_log(CCZ_LOG_INFO, "serve", "alarm ended model=%s", m->name);
    cczi_text_set(&m->alarm, text);
}

static void see(struct ccz_catalog *c, struct cczi_model *m, const struct found *f)
{
    struct cczi_version *v = cczi_version_enter(m, f->number, f->folder);
    if (!v || v->seen) /* no memory: the next round sees it; or a second spelling */
        return;
    const char *why = cczi_revoked_why(c, m->name, f->number);
    if (why && !v->revoked) {
        v->revoked = v->given_up = true;
        cczi_text_set(&v->error, why);
    }
    if (v->given_up && !v->revoked && v->stamp != f->stamp)
        v->given_up = false; /* somebody has worked on it */
    v->stamp = f->stamp;
    v->seen = true;
}

static void merge(struct ccz_catalog *c, struct cczi_model *m, const struct folder *f)
{
    for (struct cczi_version *v = m->versions; v; v = v->next)
        v->seen = false;
    for (size_t i = 0; i < f->len; i++)
        see(c, m, &f->found[i]);
    for (struct cczi_version *v = m->versions; v; v = v->next) {
        if (v->on_disk && !v->seen && v->phase == CCZI_SERVED)
            ccz_log(CCZ_LOG_WARN, "serve",
                    "alarm model=%s version=%" PRId64 " what=\"its folder vanished\": it stays",
                    m->name, v->item.version);
        v->on_disk = v->seen;
    }
    m->scanned = true;
    cczi_catalog_want(m);
    cczi_catalog_act(c, m);
}

static void scan(struct ccz_catalog *c, const struct target *t)
{
    struct folder f;
    struct ccz_err err = {0};
    ccz_rc rc = list_versions(&f, c, t->base_path, &err);
    pthread_mutex_lock(&c->lock);
    struct cczi_model *m = cczi_model_find(c, t->name);
    if (m && !m->removed && strcmp(m->base_path, t->base_path) == 0) {
        set_alarm(m, rc == CCZ_OK ? NULL : err.msg);
        if (rc == CCZ_OK)
            merge(c, m, &f);
    }
    cczi_catalog_sweep(c);
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    free(f.found);
}

/* @return how many; those that there is no memory for are left to the next round */
static size_t targets(struct target **out, struct ccz_catalog *c)
{
    size_t len = 0, n = 0;
    pthread_mutex_lock(&c->lock);
    for (const struct cczi_model *m = c->models; m; m = m->next)
        len++;
    struct target *t = calloc(len + 1, sizeof(*t));
    for (const struct cczi_model *m = c->models; t && m; m = m->next) {
        if (m->removed)
            continue;
        t[n] = (struct target){strdup(m->name), strdup(m->base_path)};
        n++;
    }
    pthread_mutex_unlock(&c->lock);
    *out = t;
    return n;
}

void ccz_catalog_poll(struct ccz_catalog *c)
{
    struct target *t;
    pthread_mutex_lock(&c->rounds);
    const size_t len = targets(&t, c);
    for (size_t i = 0; i < len; i++) {
        if (t[i].name && t[i].base_path)
            scan(c, &t[i]);
        free(t[i].name);
        free(t[i].base_path);
    }
    free(t);
    pthread_mutex_lock(&c->lock);
    (void)cczi_catalog_retry(c);
    pthread_mutex_unlock(&c->lock);
    pthread_mutex_unlock(&c->rounds);
}
