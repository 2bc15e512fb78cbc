/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CATALOG_KIT_H
#define CATALOG_KIT_H
/*
 * The catalog with models that are numbers: what it loads, publishes and takes away is written down, in which order, and may fail when a
 * test wants it to. Nothing sleeps: a round is a call, time is a variable. Define _GNU_SOURCE first.
 */
#include <cczoo/codec.h>
#include <cczoo/serve.h>

#include "refused.h"
#include "temp_dir.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/resource.h>

enum { SETTLE_MS = 60000, EVENTS_SIZE = 8192 };

/* The world around the catalog. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char events[EVENTS_SIZE]; /* "load a 1;publish a 1;..." in their order */
    int64_t now_ms;
    int fail_loads; /* the next so many loads fail */
    int fail_at;    /* 1: load, 2: load with a model given out, 3: warm, 4: publish */
    ccz_rc fail_rc;
    int64_t fail_version; /* 0: any */
    bool hold_load;       /* loads wait until it is false */
    bool hold_remove;
    int loaded;        /* models alive */
    char served[1024]; /* " a/1 a/2 " */
    char state[1024];  /* the last told of each: " a/1=END(why) " */
    char labels[256];
    int list_error; /* errno of lists */
    const char *list_error_path;
    int nice[3]; /* of rounds, loads, removals */
} w = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct ccz_err err;
static struct ccz_run_status st;

static inline void event(const char *what, const struct ccz_catalog_item *i)
{
    const size_t n = strlen(w.events);
    (void)snprintf(w.events + n, sizeof(w.events) - n, "%s %s %" PRId64 ";", what, i->name,
                   i->version);
    pthread_cond_broadcast(&w.changed);
}

static inline void id_of(char *out, size_t size, const struct ccz_catalog_item *i)
{
    (void)snprintf(out, size, " %s/%" PRId64 " ", i->name, i->version);
}

static inline bool served(const char *id)
{
    char text[80];
    (void)snprintf(text, sizeof(text), " %s ", id);
    pthread_mutex_lock(&w.lock);
    const bool is = strstr(w.served, text) != NULL;
    pthread_mutex_unlock(&w.lock);
    return is;
}

static inline bool fails(int at, const struct ccz_catalog_item *i)
{
    if (w.fail_at != at || w.fail_loads == 0 || (w.fail_version && w.fail_version != i->version))
        return false;
    w.fail_loads--;
    return true;
}

static inline int priority(void)
{
    return getpriority(PRIO_PROCESS, (id_t)gettid());
}

static inline ccz_rc load(void *arg, void **model, const struct ccz_catalog_item *i,
                          struct ccz_err *e)
{
    (void)arg;
    pthread_mutex_lock(&w.lock);
    event("load", i);
    w.nice[1] = priority();
    while (w.hold_load)
        pthread_cond_wait(&w.changed, &w.lock);
    const bool fail = fails(1, i), late = fails(2, i);
    if (!fail) {
        *model = malloc(1);
        CHECK(*model);
        w.loaded++;
    }
    pthread_mutex_unlock(&w.lock);
    return fail || late
               ? ccz_fail(e, w.fail_rc ? w.fail_rc : CCZ_E_SIG, "test:load", 0, "damaged file")
               : CCZ_OK;
}

static inline ccz_rc warm(void *arg, void *model, const struct ccz_catalog_item *i,
                          struct ccz_err *e)
{
    (void)arg;
    (void)model;
    pthread_mutex_lock(&w.lock);
    const bool fail = fails(3, i);
    pthread_mutex_unlock(&w.lock);
    return fail ? ccz_fail(e, CCZ_E_FORMAT, "test:warm", 0, "a record is refused") : CCZ_OK;
}

static inline void unload(void *arg, void *model, const struct ccz_catalog_item *i)
{
    (void)arg;
    CHECK(i->version > 0 && i->name[0]);
    pthread_mutex_lock(&w.lock);
    w.loaded--;
    pthread_mutex_unlock(&w.lock);
    free(model);
}

static inline ccz_rc publish(void *arg, void **model, const struct ccz_catalog_item *i,
                             struct ccz_err *e)
{
    char id[80];
    (void)arg;
    pthread_mutex_lock(&w.lock);
    const bool fail = fails(4, i);
    if (!fail) {
        event("publish", i);
        id_of(id, sizeof(id), i);
        CHECK(!strstr(w.served, id));
        strcat(w.served, id);
        free(*model);
        *model = NULL;
    }
    pthread_mutex_unlock(&w.lock);
    return fail ? ccz_fail(e, CCZ_E_NOMEM, "test:publish", 0, "no memory") : CCZ_OK;
}

static inline void cut(char *from, const char *text, size_t size)
{
    char *at = strstr(from, text);
    CHECK(at);
    memmove(at, at + size, strlen(at + size) + 1);
}

static inline void withdraw(void *arg, const struct ccz_catalog_item *i)
{
    char id[80];
    (void)arg;
    pthread_mutex_lock(&w.lock);
    event("withdraw", i);
    id_of(id, sizeof(id), i);
    cut(w.served, id, strlen(id));
    pthread_mutex_unlock(&w.lock);
}

static inline void remove_version(void *arg, const struct ccz_catalog_item *i)
{
    (void)arg;
    pthread_mutex_lock(&w.lock);
    w.nice[2] = priority();
    while (w.hold_remove)
        pthread_cond_wait(&w.changed, &w.lock);
    event("remove", i);
    w.loaded--;
    pthread_mutex_unlock(&w.lock);
}

static inline void state(void *arg, const struct ccz_catalog_item *i, enum ccz_infer_state s,
                         const struct ccz_run_status *health)
{
    char id[80];
    (void)arg;
    pthread_mutex_lock(&w.lock);
    id_of(id, sizeof(id), i);
    id[strlen(id) - 1] = '=';
    char *old = strstr(w.state, id);
    if (old)
        memmove(old, strchr(old, ')') + 1, strlen(strchr(old, ')')));
    const size_t n = strlen(w.state);
    (void)snprintf(w.state + n, sizeof(w.state) - n, "%s%d(%s%s%.80s)", id, (int)s,
                   health ? ccz_run_code_name(health->code) : "", health ? " " : "",
                   health ? health->msg : "");
    pthread_mutex_unlock(&w.lock);
}

static inline void labels(void *arg, const char *name, const struct ccz_infer_label *l, size_t len,
                          bool any, struct ccz_run_status *s)
{
    (void)arg;
    (void)s;
    pthread_mutex_lock(&w.lock);
    (void)snprintf(w.labels, sizeof(w.labels), "%s%s:", name, any ? "(any)" : "");
    for (size_t i = 0; i < len; i++) {
        const size_t n = strlen(w.labels);
        (void)snprintf(w.labels + n, sizeof(w.labels) - n, " %s=%" PRId64, l[i].label,
                       l[i].version);
    }
    pthread_mutex_unlock(&w.lock);
}

static inline int64_t clock_ms(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&w.lock);
    const int64_t now = w.now_ms;
    pthread_mutex_unlock(&w.lock);
    return now;
}

static inline struct ccz_catalog_cfg config(void)
{
    return (struct ccz_catalog_cfg){
        .ops = {load, warm, unload, publish, withdraw, remove_version, state, labels},
        .manual = true,
        .mono_ms = clock_ms};
}

static inline struct ccz_catalog *open_catalog(const struct ccz_catalog_cfg *cfg)
{
    struct ccz_catalog *c;
    CHECK(ccz_catalog_new(&c, cfg, &err) == CCZ_OK);
    return c;
}

/* Ends a test: whatever was loaded is freed. */
static inline void close_catalog(struct ccz_catalog *c)
{
    ccz_catalog_free(c);
    CHECK(w.loaded == 0 && w.served[0] == 0);
    w.events[0] = w.state[0] = w.labels[0] = 0;
    w.fail_loads = w.list_error = w.fail_at = 0;
    w.fail_version = 0;
    w.fail_rc = CCZ_OK;
    w.now_ms = 0;
}

static inline void settle(struct ccz_catalog *c)
{
    CHECK(ccz_catalog_settle(c, SETTLE_MS, &err) == CCZ_OK);
}

static inline void round_of(struct ccz_catalog *c)
{
    ccz_catalog_poll(c);
    settle(c);
}

static inline bool happened(const char *events)
{
    const bool same = strcmp(w.events, events) == 0;
    if (!same)
        fprintf(stderr, "got %s, expected %s\n", w.events, events);
    w.events[0] = 0;
    return same;
}

static inline void version(const char *model, const char *folder)
{
    char name[128];
    CHECK(snprintf(name, sizeof(name), "%s/%s", model, folder) < (int)sizeof(name));
    (void)temp_make_dir(name);
}

static inline void gone(const char *name)
{
    CHECK(rmdir(temp_path(name)) == 0);
}

/* A configuration: text in which @ is the folder of the test. */
static inline ccz_rc configure(struct ccz_catalog *c, const char *text, int64_t timeout_ms)
{
    struct ccz_serve_models m;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 65536);
    ccz_buf_put_str(&b, "model_config_list {");
    for (; *text; text++) {
        if (*text == '@')
            ccz_buf_put_str(&b, temp_base);
        else
            ccz_buf_u8(&b, (uint8_t)*text);
    }
    ccz_buf_put_str(&b, "}");
    CHECK(ccz_serve_read_models(&m, NULL, ccz_buf_span(&b), CCZ_SERVE_TEXT, &err) == CCZ_OK);
    ccz_rc rc = ccz_catalog_replace(c, &m, timeout_ms, &st);
    ccz_serve_models_free(&m);
    return rc;
}

#define A "config { name: 'a' base_path: '@/a' model_platform: 'tensorflow' "
#define B "config { name: 'b' base_path: '@/b' model_platform: 'tensorflow' "

struct look {
    const char *name;
    int64_t version;
    char alarm[400];
    bool vanished, found;
    enum ccz_infer_state state;
};

static inline void see(void *arg, const struct ccz_catalog_info *i)
{
    struct look *l = arg;
    if (strcmp(i->name, l->name) != 0 || i->version != l->version)
        return;
    l->found = true;
    l->vanished = i->vanished;
    l->state = i->state;
    (void)snprintf(l->alarm, sizeof(l->alarm), "%s", i->alarm);
}

static inline struct look look(struct ccz_catalog *c, const char *name, int64_t number)
{
    struct look l = {.name = name, .version = number};
    ccz_catalog_each(c, see, &l);
    return l;
}

#define FRESH(fn)                                                                                  \
    static void fresh_##fn(void)                                                                   \
    {                                                                                              \
        (void)nftw(temp_base, temp_remove, 8, FTW_DEPTH | FTW_PHYS);                               \
        CHECK(mkdir(temp_base, 0700) == 0);                                                        \
        fn();                                                                                      \
    }
#endif
