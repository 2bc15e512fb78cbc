/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog with models that are numbers: what it loads, publishes and takes away, and in which order. Nothing sleeps: a round
 * is a call, time is a variable. */
#define _GNU_SOURCE
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

static void event(const char *what, const struct ccz_catalog_item *i)
{
    const size_t n = strlen(w.events);
    (void)snprintf(w.events + n, sizeof(w.events) - n, "%s %s %" PRId64 ";", what, i->name,
                   i->version);
    pthread_cond_broadcast(&w.changed);
}

static void id_of(char *out, size_t size, const struct ccz_catalog_item *i)
{
    (void)snprintf(out, size, " %s/%" PRId64 " ", i->name, i->version);
}

static bool served(const char *id)
{
    char text[80];
    (void)snprintf(text, sizeof(text), " %s ", id);
    pthread_mutex_lock(&w.lock);
    const bool is = strstr(w.served, text) != NULL;
    pthread_mutex_unlock(&w.lock);
    return is;
}

static bool fails(int at, const struct ccz_catalog_item *i)
{
    if (w.fail_at != at || w.fail_loads == 0 || (w.fail_version && w.fail_version != i->version))
        return false;
    w.fail_loads--;
    return true;
}

static int priority(void)
{
    return getpriority(PRIO_PROCESS, (id_t)gettid());
}

static ccz_rc load(void *arg, void **model, const struct ccz_catalog_item *i, struct ccz_err *e)
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

static ccz_rc warm(void *arg, void *model, const struct ccz_catalog_item *i, struct ccz_err *e)
{
    (void)arg;
    (void)model;
    pthread_mutex_lock(&w.lock);
    const bool fail = fails(3, i);
    pthread_mutex_unlock(&w.lock);
    return fail ? ccz_fail(e, CCZ_E_FORMAT, "test:warm", 0, "a record is refused") : CCZ_OK;
}

static void unload(void *arg, void *model)
{
    (void)arg;
    pthread_mutex_lock(&w.lock);
    w.loaded--;
    pthread_mutex_unlock(&w.lock);
    free(model);
}

static ccz_rc publish(void *arg, void **model, const struct ccz_catalog_item *i, struct ccz_err *e)
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

static void cut(char *from, const char *text, size_t size)
{
    char *at = strstr(from, text);
    CHECK(at);
    memmove(at, at + size, strlen(at + size) + 1);
}

static void withdraw(void *arg, const struct ccz_catalog_item *i)
{
    char id[80];
    (void)arg;
    pthread_mutex_lock(&w.lock);
    event("withdraw", i);
    id_of(id, sizeof(id), i);
    cut(w.served, id, strlen(id));
    pthread_mutex_unlock(&w.lock);
}

static void remove_version(void *arg, const struct ccz_catalog_item *i)
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

static void state(void *arg, const struct ccz_catalog_item *i, enum ccz_infer_state s,
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

static void labels(void *arg, const char *name, const struct ccz_infer_label *l, size_t len,
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

static int64_t clock_ms(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&w.lock);
    const int64_t now = w.now_ms;
    pthread_mutex_unlock(&w.lock);
    return now;
}

static struct ccz_catalog_cfg config(void)
{
    return (struct ccz_catalog_cfg){
        .ops = {load, warm, unload, publish, withdraw, remove_version, state, labels},
        .manual = true,
        .mono_ms = clock_ms};
}

static struct ccz_catalog *open_catalog(const struct ccz_catalog_cfg *cfg)
{
    struct ccz_catalog *c;
    CHECK(ccz_catalog_new(&c, cfg, &err) == CCZ_OK);
    return c;
}

/* Ends a test: whatever was loaded is freed. */
static void close_catalog(struct ccz_catalog *c)
{
    ccz_catalog_free(c);
    CHECK(w.loaded == 0 && w.served[0] == 0);
    w.events[0] = w.state[0] = w.labels[0] = 0;
    w.fail_loads = w.list_error = w.fail_at = 0;
    w.fail_version = 0;
    w.fail_rc = CCZ_OK;
    w.now_ms = 0;
}

static void settle(struct ccz_catalog *c)
{
    CHECK(ccz_catalog_settle(c, SETTLE_MS, &err) == CCZ_OK);
}

static void round_of(struct ccz_catalog *c)
{
    ccz_catalog_poll(c);
    settle(c);
}

static bool happened(const char *events)
{
    const bool same = strcmp(w.events, events) == 0;
    if (!same)
        fprintf(stderr, "got %s, expected %s\n", w.events, events);
    w.events[0] = 0;
    return same;
}

static void version(const char *model, const char *folder)
{
    char name[128];
    CHECK(snprintf(name, sizeof(name), "%s/%s", model, folder) < (int)sizeof(name));
    (void)temp_make_dir(name);
}

static void gone(const char *name)
{
    CHECK(rmdir(temp_path(name)) == 0);
}

/* A configuration: text in which @ is the folder of the test. */
static ccz_rc configure(struct ccz_catalog *c, const char *text, int64_t timeout_ms)
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

static void test_latest(void)
{
    const struct ccz_catalog_cfg cfg = config();
    (void)temp_make_dir("a");
    version("a", "1");
    version("a", "2");
    struct ccz_catalog *c = open_catalog(&cfg);
    CHECK(configure(c, A "}", -1) == CCZ_OK && st.code == CCZ_RUN_OK);
    CHECK(happened("load a 2;publish a 2;"));
    round_of(c);
    CHECK(happened(""));
    version("a", "3");
    round_of(c);
    CHECK(happened("load a 3;publish a 3;withdraw a 2;remove a 2;"));
    CHECK(served("a/3") && !served("a/2") && strstr(w.state, " a/2=50()"));
    version("a", "10"); /* by number, not by letters */
    round_of(c);
    CHECK(happened("load a 10;publish a 10;withdraw a 3;remove a 3;"));
    close_catalog(c);
}

static void test_policies(void)
{
    const struct ccz_catalog_cfg cfg = config();
    (void)temp_make_dir("a");
    for (int i = 1; i <= 5; i++)
        version("a", (const char[]){(char)('0' + i), 0});
    struct ccz_catalog *c = open_catalog(&cfg);
    CHECK(configure(c, A "model_version_policy { latest { num_versions: 2 } } }", -1) == CCZ_OK);
    settle(c);
    CHECK(happened("load a 5;publish a 5;load a 4;publish a 4;"));
    CHECK(configure(c, A "model_version_policy { specific { versions: [1, 5] } } }", -1) == CCZ_OK);
    settle(c);
    CHECK(happened("load a 1;publish a 1;withdraw a 4;remove a 4;"));
    CHECK(configure(c, A "model_version_policy { all {} } }", -1) == CCZ_OK);
    settle(c);
    CHECK(happened("load a 4;publish a 4;load a 3;publish a 3;load a 2;publish a 2;"));
    CHECK(configure(c, A "}", -1) == CCZ_OK);
    settle(c);
    CHECK(served("a/5") && strcmp(w.served, " a/5 ") == 0);
    w.events[0] = 0;
    /* rolled back, by hand */
    CHECK(configure(c, A "model_version_policy { specific { versions: 3 } } }", -1) == CCZ_OK);
    settle(c);
    CHECK(happened("load a 3;publish a 3;withdraw a 5;remove a 5;"));
    /* what is named and not there yet: what is served stays until it is */
    CHECK(configure(c, A "model_version_policy { specific { versions: 9 } } }", -1) == CCZ_OK);
    round_of(c);
    CHECK(happened("") && served("a/3"));
    version("a", "9");
    round_of(c);
    CHECK(happened("load a 9;publish a 9;withdraw a 3;remove a 3;"));
    CHECK(configure(c, A "model_version_policy { specific { } } }", -1) ==
          CCZ_OK); /* none, in so many words */
    settle(c);
    CHECK(happened("withdraw a 9;remove a 9;"));
    close_catalog(c);
}

/* Which entries are versions. */
static void test_numbers(void)
{
    const struct ccz_catalog_cfg cfg = config();
    static const char *const rubbish[] = {
        "tmp", "1.bak", "-3", "+4", "0x10", "99999999999999999999", " 5", "6 ", "lost+found"};
    (void)temp_make_dir("a");
    for (size_t i = 0; i < sizeof(rubbish) / sizeof(rubbish[0]); i++)
        version("a", rubbish[i]);
    FILE *f = fopen(temp_path("a/77"), "w"); /* no folder */
    CHECK(f && fclose(f) == 0);
    version("a", "00000123");
    version("a", "0");
    version("a", "9223372036854775807");
    version("a", "0000000000000000000000000000000000000000000000000000000000000009");
    version("a", "007");
    version("a", "7"); /* the same: once */
    (void)temp_make_dir("elsewhere");
    CHECK(symlink(temp_path("elsewhere"), temp_path("a/55")) == 0); /* as Kubernetes mounts them */
    struct ccz_catalog *c = open_catalog(&cfg);
    CHECK(configure(c, A "model_version_policy { all {} } }", -1) == CCZ_OK);
    settle(c);
    CHECK(happened(
        "load a 9223372036854775807;publish a 9223372036854775807;load a 123;publish a 123;"
        "load a 55;publish a 55;load a 7;publish a 7;load a 0;publish a 0;"));
    close_catalog(c);
}

/* The new version is in service before the old one goes, and a request that still runs does not hold up anything else. */
static void test_swap(void)
{
    const struct ccz_catalog_cfg cfg = config();
    (void)temp_make_dir("a");
    (void)temp_make_dir("b");
    version("a", "1");
    version("b", "1");
    struct ccz_catalog *c = open_catalog(&cfg);
    CHECK(configure(c, A "}" B "}", -1) == CCZ_OK);
    w.events[0] = 0;
    w.hold_remove = true;
    version("a", "2");
    ccz_catalog_poll(c);
    pthread_mutex_lock(&w.lock);
    while (!strstr(w.events, "withdraw a 1"))
        pthread_cond_wait(&w.changed, &w.lock);
    pthread_mutex_unlock(&w.lock);
    CHECK(served("a/2") && !served("a/1") && served("b/1"));
    version("b", "2"); /* while the removal of a 1 waits, another model is loaded */
    ccz_catalog_poll(c);
    while (!served("b/2"))
        (void)sched_yield();
    pthread_mutex_lock(&w.lock);
    w.hold_remove = false;
    pthread_cond_broadcast(&w.changed);
    pthread_mutex_unlock(&w.lock);
    settle(c);
    CHECK(strstr(w.events, "remove a 1;") && strstr(w.events, "remove b 1;"));
    CHECK(w.loaded == 2);
    close_catalog(c);
}

struct look {
    const char *name;
    int64_t version;
    char alarm[400];
    bool vanished, found;
    enum ccz_infer_state state;
};

static void see(void *arg, const struct ccz_catalog_info *i)
{
    struct look *l = arg;
    if (strcmp(i->name, l->name) != 0 || i->version != l->version)
        return;
    l->found = true;
    l->vanished = i->vanished;
    l->state = i->state;
    (void)snprintf(l->alarm, sizeof(l->alarm), "%s", i->alarm);
}

static struct look look(struct ccz_catalog *c, const char *name, int64_t number)
{
    struct look l = {.name = name, .version = number};
    ccz_catalog_each(c, see, &l);
    return l;
}

/* Deleted folders: what is served stays. */
static void test_last_good(void)
{
    const struct ccz_catalog_cfg cfg = config();
    (void)temp_make_dir("a");
    version("a", "1");
    version("a", "2");
    struct ccz_catalog *c = open_catalog(&cfg);
    CHECK(configure(c, A "}", -1) == CCZ_OK);
    w.events[0] = 0;
    gone("a/2"); /* no falling back to 1 */
    round_of(c);
    CHECK(happened("") && served("a/2") && look(c, "a", 2).vanished);
    CHECK(strstr(look(c, "a", 2).alarm, "vanished"));
    gone("a/1"); /* an empty base path */
    round_of(c);
    CHECK(happened("") && served("a/2") &&
          strstr(look(c, "a", -1).alarm, "No versions of servable"));
    gone("a"); /* none at all */
    round_of(c);
    CHECK(happened("") && served("a/2") && strstr(look(c, "a", -1).alarm, "No such file"));
    (void)temp_make_dir("a");
    version("a", "2"); /* it is back, and what is loaded counts */
    round_of(c);
    CHECK(happened("") && look(c, "a", -1).alarm[0] == 0 && !look(c, "a", 2).vanished);
    gone("a/2");
    round_of(c);
    version("a", "3"); /* and now it may go */
    round_of(c);
    CHECK(happened("load a 3;publish a 3;withdraw a 2;remove a 2;"));
    /* with "all": old versions are cleared away by deleting them, the last one is not */
    version("a", "4");
    CHECK(configure(c, A "model_version_policy { all {} } }", -1) == CCZ_OK);
    settle(c);
    w.events[0] = 0;
    gone("a/3");
    round_of(c);
    CHECK(happened("withdraw a 3;remove a 3;"));
    gone("a/4");
    version("a", "1");
    round_of(c);
    CHECK(happened("load a 1;publish a 1;") && served("a/4"));
    /* with "specific": as long as it is named */
    CHECK(configure(c, A "model_version_policy { specific { versions: 4 } } }", -1) == CCZ_OK);
    settle(c);
    CHECK(happened("withdraw a 1;remove a 1;") && served("a/4"));
    close_catalog(c);
}

static ccz_rc list(void *arg, const char *path,
                   void (*each)(void *to, const char *name, int64_t stamp), void *to,
                   struct ccz_err *e)
{
    (void)arg;
    if (w.list_error && strstr(path, w.list_error_path)) {
        each(to, "999", 1); /* what came before the error does not count */
        return ccz_fail(e, CCZ_E_IO, "test:list", w.list_error, "cannot list %s: %s", path,
                        strerror(w.list_error));
    }
    each(to, "1", 5);
    if (strstr(path, "/b"))
        each(to, "2", 5);
    return CCZ_OK;
}

/* One model's fault is nobody else's, and every step of a load may fail. */
static void test_faults(void)
{
    struct ccz_catalog_cfg cfg = config();
    cfg.list = list;
    cfg.retries = CCZ_CATALOG_NO_RETRY;
    struct ccz_catalog *c = open_catalog(&cfg);
    CHECK(configure(c, A "}" B "}", -1) == CCZ_OK && served("a/1") && served("b/2"));
    w.events[0] = 0;
    w.list_error = EACCES;
    w.list_error_path = "/a";
    CHECK(configure(c, A "}" B "model_version_policy { all {} } }", -1) == CCZ_OK);
    settle(c);
    CHECK(happened("load b 1;publish b 1;") && served("a/1"));
    CHECK(strstr(look(c, "a", -1).alarm, "Permission denied"));
    w.list_error = 0;
    round_of(c);
    CHECK(look(c, "a", -1).alarm[0] == 0);
    close_catalog(c);

    for (int at = 1; at <= 4; at++) { /* a folder with rubbish: the loader says so */
        c = open_catalog(&cfg);
        w.fail_at = at;
        w.fail_loads = 1;
        w.fail_version = 2;
        CHECK(configure(c, A "}" B "model_version_policy { all {} } }", -1) == CCZ_OK);
        CHECK(served("a/1") && served("b/1") && !served("b/2") && w.loaded == 2);
        CHECK(strstr(w.state, at < 3    ? " b/2=50(DATA_LOSS test:load: damaged file)"
                              : at == 3 ? " b/2=50(INVALID_ARGUMENT test:warm: a record is refused)"
                                        : " b/2=50(RESOURCE_EXHAUSTED test:publish: no memory)"));
        round_of(c);
        CHECK(look(c, "b", 2).state == CCZ_INFER_END && strstr(look(c, "b", 2).alarm, "test:"));
        close_catalog(c);
    }
}

/* Fails k times, then works; and is given up otherwise, until somebody has worked on the folder. */
static void test_retries(void)
{
    struct ccz_catalog_cfg cfg = config();
    (void)temp_make_dir("a");
    version("a", "1");
    struct ccz_catalog *c = open_catalog(&cfg);
    CHECK(configure(c, A "}", -1) == CCZ_OK);
    w.events[0] = 0;
    w.fail_at = 1;
    w.fail_loads = 5;
    version("a", "2");
    for (int i = 0; i < 5; i++) {
        round_of(c);
        CHECK(happened("load a 2;") && served("a/1") && strstr(w.state, " a/2=20()"));
        w.now_ms += 59999;
        round_of(c);
        CHECK(happened(""));
        w.now_ms += 1;
    }
    round_of(c);
    CHECK(happened("load a 2;publish a 2;withdraw a 1;remove a 1;"));
    w.fail_loads = 6;
    version("a", "3");
    for (int i = 0; i < 6; i++) {
        round_of(c);
        CHECK(happened("load a 3;") && served("a/2"));
        w.now_ms += 60000;
    }
    CHECK(strstr(w.state, " a/3=50(DATA_LOSS test:load: damaged file)"));
    round_of(c);
    w.now_ms += 600000;
    round_of(c);
    CHECK(happened("") && served("a/2"));
    version("a/3", "variables"); /* repaired in place */
    round_of(c);
    CHECK(happened("load a 3;publish a 3;withdraw a 2;remove a 2;"));
    w.fail_loads = 1; /* what cannot get better is not tried again */
    w.fail_rc = CCZ_E_REVOKED;
    version("a", "4");
    round_of(c);
    w.now_ms += 600000;
    round_of(c);
    CHECK(happened("load a 4;") && served("a/3") && strstr(w.state, " a/4=50(PERMISSION_DENIED"));
    gone("a/4"); /* deleted: then the policy wants 3 again, which is served */
    round_of(c);
    CHECK(happened("") && served("a/3") && !look(c, "a", 4).found);
    close_catalog(c);
}

static void test_labels(void)
{
    struct ccz_catalog_cfg cfg = config();
    (void)temp_make_dir("a");
    (void)temp_make_dir("b");
    version("a", "1");
    version("a", "2");
    struct ccz_catalog *c = open_catalog(&cfg);
#define TWO A "model_version_policy { specific { versions: [1, 2] } } "
    /* at start, too: there it needs a flag */
    CHECK(
        configure(
            c,
            TWO
            "version_labels { key: 'stable' value: 1 } version_labels { key: 'canary' value: 2 } }",
            -1) == CCZ_OK);
    CHECK(strcmp(w.labels, "a: stable=1 canary=2") == 0);
    CHECK(configure(c, TWO "version_labels { key: 'stable' value: 2 } }", -1) == CCZ_OK);
    CHECK(strcmp(w.labels, "a: stable=2") == 0);
    w.events[0] = 0;
    CHECK(configure(c, TWO "version_labels { key: 'stable' value: 3 } }", -1) != CCZ_OK);
    CHECK(st.code == CCZ_RUN_FAILED_PRECONDITION);
    CHECK(strcmp(st.msg, "Request to assign label to version 3 of model a, which is not currently "
                         "available for inference") == 0);
    CHECK(strcmp(w.labels, "a: stable=2") == 0 && happened(""));
    /* refused before anything has changed */
    version("b", "1");
    CHECK(configure(c, TWO "version_labels { key: 'stable' value: 3 } }" B "}", -1) != CCZ_OK);
    CHECK(st.code == CCZ_RUN_FAILED_PRECONDITION && !look(c, "b", -1).found);
    /* there, but not wanted */
    version("a", "3");
    CHECK(configure(c, TWO "version_labels { key: 'stable' value: 3 } }", -1) != CCZ_OK);
    CHECK(st.code == CCZ_RUN_FAILED_PRECONDITION && strcmp(w.labels, "a: stable=2") == 0);
    /* moved to a version that is being loaded: when it is there, before the old one goes */
    w.hold_load = true;
    w.events[0] = 0;
    struct ccz_serve_models m;
    char text[600];
    (void)snprintf(text, sizeof(text),
                   "model_config_list { config { name: 'a' base_path: '%s/a' model_platform: "
                   "'tensorflow' model_version_policy "
                   "{ specific { versions: 3 } } version_labels { key: 'stable' value: 3 } } }",
                   temp_base);
    CHECK(ccz_serve_read_models(&m, NULL, ccz_span_str(text), CCZ_SERVE_TEXT, &err) == CCZ_OK);
    CHECK(ccz_catalog_replace(c, &m, 0, &st) != CCZ_OK && st.code == CCZ_RUN_DEADLINE_EXCEEDED);
    CHECK(strcmp(w.labels, "a: stable=2") == 0 && served("a/2"));
    pthread_mutex_lock(&w.lock);
    w.hold_load = false;
    pthread_cond_broadcast(&w.changed);
    pthread_mutex_unlock(&w.lock);
    settle(c);
    CHECK(strcmp(w.labels, "a: stable=3") == 0 && strcmp(w.served, " a/3 ") == 0);
    CHECK(ccz_catalog_replace(c, &m, -1, &st) == CCZ_OK);
    ccz_serve_models_free(&m);
    CHECK(configure(c, "", -1) == CCZ_OK && strcmp(w.labels, "a:") == 0);
    settle(c);
    close_catalog(c);
    cfg.allow_unavailable_labels = true;
    c = open_catalog(&cfg);
    CHECK(configure(c, A "version_labels { key: 'next' value: 9 } }", -1) == CCZ_OK);
    CHECK(strcmp(w.labels, "a(any): next=9") == 0);
    close_catalog(c);
}

static void test_replace(void)
{
    const struct ccz_catalog_cfg cfg = config();
    (void)temp_make_dir("a");
    (void)temp_make_dir("b");
    version("a", "1");
    version("b", "1");
    struct ccz_catalog *c = open_catalog(&cfg);
    CHECK(configure(c, A "}", -1) == CCZ_OK);
    CHECK(happened("load a 1;publish a 1;"));
    CHECK(configure(c, A "}" B "}", -1) == CCZ_OK && served("b/1")); /* it has waited for b */
    CHECK(happened("load b 1;publish b 1;"));
    CHECK(configure(c, A "}" B "}", -1) == CCZ_OK);
    CHECK(happened(""));
    CHECK(configure(c, B "}", -1) == CCZ_OK && !served("a/1")); /* full replacement */
    settle(c);
    CHECK(happened("withdraw a 1;remove a 1;") && !look(c, "a", -1).found && w.loaded == 1);
    CHECK(configure(c, A "}", -1) == CCZ_OK && served("a/1") && !served("b/1"));
    settle(c);
    /* a new base path: versions that are loaded count as what lies there */
    (void)temp_make_dir("moved");
    version("moved", "1");
    version("moved", "2");
    w.events[0] = 0;
    CHECK(configure(c, "config { name: 'a' base_path: '@/moved' model_platform: 'tensorflow' }",
                    -1) == CCZ_OK);
    settle(c);
    CHECK(happened("load a 2;publish a 2;withdraw a 1;remove a 1;"));
    CHECK(configure(c, "", -1) == CCZ_OK);
    settle(c);
    CHECK(w.loaded == 0 && w.served[0] == 0);
    close_catalog(c);
}

static void test_replace_refused(void)
{
    struct ccz_catalog_cfg cfg = config();
    cfg.retries = CCZ_CATALOG_NO_RETRY;
    (void)temp_make_dir("a");
    (void)temp_make_dir("b");
    version("a", "1");
    struct ccz_catalog *c = open_catalog(&cfg);
    CHECK(configure(c, A "}", -1) == CCZ_OK);
    w.events[0] = 0;
    CHECK(configure(c, B "} config { name: 'a' base_path: '@/a' model_platform: 'onnx' }", -1) !=
          CCZ_OK);
    CHECK(st.code == CCZ_RUN_INVALID_ARGUMENT);
    CHECK(strcmp(st.msg, "Illegal to change a model's platform. For model a platform was "
                         "tensorflow and new platform requested "
                         "is onnx") == 0);
    CHECK(happened("") && !look(c, "b", -1).found); /* nothing has changed */
    /* a new model that cannot be loaded: told, and the others go on */
    version("b", "7");
    w.fail_at = 1;
    w.fail_loads = 1;
    CHECK(configure(c, A "}" B "}", -1) != CCZ_OK && st.code == CCZ_RUN_UNKNOWN);
    CHECK(strcmp(st.msg,
                 "1 model(s) did not become available: {{{name: b version: 7} due to error: "
                 "test:load: damaged file}, }") == 0);
    CHECK(served("a/1"));
    version("b", "8");
    round_of(c);
    CHECK(served("b/8"));
    /* a new model whose folder is not there is waited for, as long as the caller likes */
    CHECK(configure(c, A "}" B "} config { name: 'c' base_path: '@/c' }", 0) != CCZ_OK);
    CHECK(st.code == CCZ_RUN_DEADLINE_EXCEEDED &&
          strstr(st.msg, "model c is not available yet: cannot list"));
    (void)temp_make_dir("c");
    version("c", "1");
    round_of(c);
    CHECK(served("c/1"));
    close_catalog(c);
}

/* HandleReloadConfigRequest. */
static void test_reload(void)
{
    struct ccz_catalog_cfg cfg = config();
    (void)temp_make_dir("a");
    version("a", "1");
    struct ccz_catalog *c = open_catalog(&cfg);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    size_t list_at = ccz_pb_open(&b, 1), config_at = ccz_pb_open(&b, 1);
    ccz_pb_put_str(&b, 1, "a");
    ccz_pb_put_str(&b, 2, temp_path("a"));
    ccz_pb_put_str(&b, 4, "tensorflow");
    ccz_pb_close(&b, config_at);
    ccz_pb_close(&b, list_at);
    ccz_catalog_reload(c, ccz_buf_span(&b), &st);
    CHECK(st.code == CCZ_RUN_OK && served("a/1"));
    ccz_catalog_reload(c, (struct ccz_span){0}, &st);
    CHECK(st.code == CCZ_RUN_INVALID_ARGUMENT && served("a/1"));
    CHECK(strcmp(st.msg, "ServerModelConfig type not supported by HandleReloadConfigRequest. Only "
                         "ModelConfigList is currently "
                         "supported") == 0);
    ccz_catalog_reload(c, CCZ_SPAN("\x12\x00", 2), &st);
    CHECK(st.code == CCZ_RUN_INVALID_ARGUMENT && strstr(st.msg, "Only ModelConfigList"));
    ccz_catalog_reload(c, CCZ_SPAN("\x0a\x02\x0a\x00", 4), &st);
    CHECK(st.code == CCZ_RUN_INVALID_ARGUMENT && strstr(st.msg, "1 to 255 bytes") && served("a/1"));
    ccz_catalog_reload(c, CCZ_SPAN("\x0a\x05", 2), &st);
    CHECK(st.code == CCZ_RUN_INVALID_ARGUMENT && strstr(st.msg, "malformed field"));
    ccz_catalog_reload(c, CCZ_SPAN("\x0a\x00", 2),
                       &st); /* an empty list: nothing is served any more */
    CHECK(st.code == CCZ_RUN_OK && !served("a/1"));
    settle(c);
    close_catalog(c);
}

static void test_revoke(void)
{
    struct ccz_catalog_cfg cfg = config();
    (void)temp_make_dir("a");
    version("a", "1");
    version("a", "2");
    struct ccz_catalog *c = open_catalog(&cfg);
    CHECK(is_refused(ccz_catalog_revoke(c, "a", 1, "x", &err), CCZ_E_NOT_FOUND, &err,
                     "catalog:name"));
    CHECK(configure(c, A "}", -1) == CCZ_OK && served("a/2"));
    w.hold_remove = true; /* a call that does not end */
    CHECK(ccz_catalog_revoke(c, "a", 2, "key version 2 was disabled", &err) == CCZ_OK);
    CHECK(!served("a/2")); /* at once */
    pthread_mutex_lock(&w.lock);
    w.hold_remove = false;
    pthread_cond_broadcast(&w.changed);
    pthread_mutex_unlock(&w.lock);
    settle(c);
    CHECK(served("a/1") && w.loaded == 1); /* the policy's next choice */
    CHECK(strstr(w.state, " a/2=50(PERMISSION_DENIED revoked: key version 2 was disabled)"));
    w.events[0] = 0;
    round_of(c);
    CHECK(configure(c, "", -1) == CCZ_OK);
    settle(c);
    CHECK(configure(c, A "}", -1) == CCZ_OK); /* it is remembered */
    settle(c);
    CHECK(served("a/1") && !served("a/2") && !strstr(w.events, "load a 2"));
    /* in advance */
    CHECK(ccz_catalog_revoke(c, "a", 3, "too early", &err) == CCZ_OK);
    version("a", "3");
    round_of(c);
    CHECK(!served("a/3") && served("a/1") && !strstr(w.events, "load a 3"));
    /* while it is being loaded */
    w.hold_load = true;
    version("a", "4");
    ccz_catalog_poll(c);
    pthread_mutex_lock(&w.lock);
    while (!strstr(w.events, "load a 4"))
        pthread_cond_wait(&w.changed, &w.lock);
    pthread_mutex_unlock(&w.lock);
    CHECK(ccz_catalog_revoke(c, "a", 4, "just now", &err) == CCZ_OK);
    pthread_mutex_lock(&w.lock);
    w.hold_load = false;
    pthread_cond_broadcast(&w.changed);
    pthread_mutex_unlock(&w.lock);
    settle(c);
    CHECK(!strstr(w.events, "publish a 4") && w.loaded == 1 && served("a/1"));
    CHECK(strstr(w.state, " a/4=50(PERMISSION_DENIED revoked: just now)"));
    /* all of them */
    CHECK(ccz_catalog_revoke(c, "a", -1, "model withdrawn", &err) == CCZ_OK && w.served[0] == 0);
    settle(c);
    CHECK(w.loaded == 0);
    for (int i = 5; i < CCZ_CATALOG_REVOKED_MAX + 1; i++)
        CHECK(ccz_catalog_revoke(c, "a", i, "x", &err) == CCZ_OK);
    CHECK(is_refused(ccz_catalog_revoke(c, "a", 100000, "x", &err), CCZ_E_LIMIT, &err,
                     "catalog:revoked"));
    close_catalog(c);
}

static void *cancel(void *arg)
{
    ccz_catalog_cancel(arg);
    return NULL;
}

static void test_wait(void)
{
    struct ccz_catalog_cfg cfg = config();
    cfg.retries = 1;
    (void)temp_make_dir("a");
    version("a", "1");
    struct ccz_catalog *c = open_catalog(&cfg);
    CHECK(ccz_catalog_wait(c, 0, &err) == CCZ_OK); /* nothing is configured */
    w.fail_at = 1;
    w.fail_loads = 2;
    CHECK(configure(c, A "}", 0) != CCZ_OK && st.code == CCZ_RUN_DEADLINE_EXCEEDED);
    settle(c);
    CHECK(is_refused(ccz_catalog_wait(c, 0, &err), CCZ_E_TIMEOUT, &err, "catalog:waits"));
    CHECK(strcmp(err.msg, "model a is not available: test:load: damaged file") == 0);
    w.now_ms = 60000;
    round_of(c);
    CHECK(is_refused(ccz_catalog_wait(c, 0, &err), CCZ_E_UNAVAILABLE, &err, "catalog:failed"));
    CHECK(strstr(err.msg, "1 model(s) did not become available: {{{name: a version: 1} due to "
                          "error: test:load: damaged file}"));
    version("a", "2");
    round_of(c);
    CHECK(ccz_catalog_wait(c, 0, &err) == CCZ_OK);
    pthread_t t;
    CHECK(pthread_create(&t, NULL, cancel, c) == 0);
    CHECK(configure(c, A "} config { name: 'n' base_path: '@/n' }", -1) != CCZ_OK &&
          st.code == CCZ_RUN_CANCELLED);
    CHECK(pthread_join(t, NULL) == 0);
    CHECK(is_refused(ccz_catalog_wait(c, -1, &err), CCZ_E_CLOSED, &err, "catalog:cancelled"));
    struct ccz_catalog_cfg bad = config();
    struct ccz_catalog *none;
    bad.nice = 20;
    CHECK(is_refused(ccz_catalog_new(&none, &bad, &err), CCZ_E_ARG, &err, "catalog:config") &&
          !none);
    bad = config();
    bad.ops.remove = NULL;
    CHECK(is_refused(ccz_catalog_new(&none, &bad, &err), CCZ_E_ARG, &err, "catalog:config") &&
          !none);
    close_catalog(c);
}

/* Threads of its own: rounds come by themselves; the first load of a platform has normal priority, so that the threads which
 * an engine starts then have it, too; all others and removals have less. */
static void test_threads(void)
{
    struct ccz_catalog_cfg cfg = config();
    cfg.manual = false;
    cfg.mono_ms = NULL;
    cfg.poll_ms = 1;
    cfg.nice = 3;
    cfg.load_threads = 2;
    const int normal = priority();
    (void)temp_make_dir("a");
    (void)temp_make_dir("b");
    version("a", "1");
    struct ccz_catalog *c = open_catalog(&cfg);
    CHECK(configure(c, A "}", -1) == CCZ_OK);
    CHECK(w.nice[1] == normal);
    version("a", "2");
    while (!served("a/2") || served("a/1"))
        (void)sched_yield();
    settle(c);
    const int low = normal > 3 ? normal : 3;
    CHECK(w.nice[1] == low && w.nice[2] == low);
    version("b", "1");
    CHECK(configure(c, A "} config { name: 'b' base_path: '@/b' model_platform: 'onnx' }", -1) ==
          CCZ_OK);
    CHECK(w.nice[1] == normal);
    close_catalog(c);
}

#define FRESH(fn)                                                                                  \
    static void fresh_##fn(void)                                                                   \
    {                                                                                              \
        (void)nftw(temp_base, temp_remove, 8, FTW_DEPTH | FTW_PHYS);                               \
        CHECK(mkdir(temp_base, 0700) == 0);                                                        \
        fn();                                                                                      \
    }
FRESH(test_latest)
FRESH(test_policies)
FRESH(test_numbers)
FRESH(test_swap)
FRESH(test_last_good)
FRESH(test_faults)
FRESH(test_retries)
FRESH(test_labels)
FRESH(test_replace)
FRESH(test_replace_refused)
FRESH(test_reload)
FRESH(test_revoke)
FRESH(test_wait)
FRESH(test_threads)

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"catalog.latest", fresh_test_latest},
        {"catalog.policies", fresh_test_policies},
        {"catalog.numbers", fresh_test_numbers},
        {"catalog.swap", fresh_test_swap},
        {"catalog.last_good", fresh_test_last_good},
        {"catalog.faults", fresh_test_faults},
        {"catalog.retries", fresh_test_retries},
        {"catalog.labels", fresh_test_labels},
        {"catalog.replace", fresh_test_replace},
        {"catalog.replace_refused", fresh_test_replace_refused},
        {"catalog.reload", fresh_test_reload},
        {"catalog.revoke", fresh_test_revoke},
        {"catalog.wait", fresh_test_wait},
        {"catalog.threads", fresh_test_threads},
    };
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
