/* SPDX-License-Identifier: Apache-2.0 */
/* Several versions of a name: who serves, labels, states, taking versions away without waiting. */
#define _DEFAULT_SOURCE
#include "infer_kit.h"

#include <stdatomic.h>

#define WHERE(err, text) (strcmp((err).where, (text)) == 0)

static void publish(struct ccz_infer *s, const char *name, int64_t version)
{
    struct ccz_model *m = kit_model();
    CHECK(ccz_infer_publish(s, name, version, &m, NULL) == CCZ_OK && !m);
}

/* Which version a request means: -1 = refused with @p text. */
static int64_t resolve(struct ccz_infer *s, int64_t version, const char *label, const char *text)
{
    struct cczi_spec spec = {.present = true,
                             .name = ccz_span_str("m"),
                             .has_version = version >= 0,
                             .version = version,
                             .has_label = label != NULL,
                             .label = ccz_span_str(label ? label : "")};
    struct cczi_version *v;
    const char *name;
    struct ccz_run_status st = {0};
    if (cczi_acquire(&v, &name, &st, s, &spec) != CCZ_OK) {
        want_status(&st, st.code, text ? text : "none");
        return -1;
    }
    CHECK(strcmp(name, "m") == 0);
    version = v->version;
    cczi_release(s, v);
    return version;
}

static void test_beside(void)
{
    CCZ_AUTO(ccz_infer) s = NULL;
    struct ccz_err err = {0};
    CHECK(ccz_infer_new(&s, NULL) == CCZ_OK);
    publish(s, "m", 2);
    publish(s, "m", 1); /* an older one beside a newer one */
    publish(s, "m", 7);
    CHECK(resolve(s, -1, NULL, NULL) == 7 && resolve(s, 1, NULL, NULL) == 1 &&
          resolve(s, 2, NULL, NULL) == 2);
    CHECK(resolve(s, 3, NULL, "Servable not found for request: Specific(m, 3)") == -1);
    struct ccz_model *m = kit_model();
    CHECK(ccz_infer_publish(s, "m", 2, &m, &err) == CCZ_E_EXISTS && m &&
          WHERE(err, "infer:version"));
    CHECK(ccz_infer_publish(s, "m/n", 2, &m, &err) == CCZ_E_ARG && m && WHERE(err, "infer:name"));
    ccz_model_free(m);
    CHECK(ccz_infer_remove(s, "m", 7, &err) == CCZ_OK && resolve(s, -1, NULL, NULL) == 2);
    publish(s, "m", 7); /* and back again */
    CHECK(resolve(s, -1, NULL, NULL) == 7);
    m = kit_model(); /* policy "latest" takes all older ones away */
    CHECK(ccz_infer_add(s, "m", 8, &m, &err) == CCZ_OK);
    CHECK(ccz_infer_state(s, "m", 1) == CCZ_INFER_END &&
          ccz_infer_state(s, "m", 2) == CCZ_INFER_END &&
          ccz_infer_state(s, "m", 7) == CCZ_INFER_END && resolve(s, -1, NULL, NULL) == 8);
}

static void test_labels(void)
{
    CCZ_AUTO(ccz_infer) s = NULL;
    struct ccz_run_status st;
    CHECK(ccz_infer_new(&s, NULL) == CCZ_OK);
    publish(s, "m", 1);
    publish(s, "m", 2);
    const struct ccz_infer_label two[2] = {{"stable", 1}, {"canary", 2}};
    CHECK(ccz_infer_set_labels(s, "m", two, 2, false, &st) == CCZ_OK);
    CHECK(resolve(s, -1, "stable", NULL) == 1 && resolve(s, -1, "canary", NULL) == 2);
    CHECK(resolve(s, -1, "old", "Unrecognized servable version label: old") == -1);
    CHECK(resolve(s, -1, "", "Unrecognized servable version label: ") == -1);
    /* A version that is not there: all of them stay as they were. */
    const struct ccz_infer_label wrong[2] = {{"stable", 2}, {"canary", 3}};
    CHECK(ccz_infer_set_labels(s, "m", wrong, 2, false, &st) != CCZ_OK);
    want_status(&st, CCZ_RUN_FAILED_PRECONDITION,
                "Request to assign label to version 3 of model m, which is not currently available "
                "for inference");
    CHECK(resolve(s, -1, "stable", NULL) == 1);
    /* allow_unavailable: a label may be new or stay, but not move to what is not there. */
    CHECK(ccz_infer_set_labels(s, "m", wrong, 2, true, &st) != CCZ_OK &&
          st.code == CCZ_RUN_FAILED_PRECONDITION);
    const struct ccz_infer_label fresh[2] = {{"stable", 1}, {"next", 9}};
    CHECK(ccz_infer_set_labels(s, "m", fresh, 2, false, &st) != CCZ_OK);
    CHECK(ccz_infer_set_labels(s, "m", fresh, 2, true, &st) == CCZ_OK && st.code == CCZ_RUN_OK);
    CHECK(resolve(s, -1, "next", "Servable not found for request: Specific(m, 9)") == -1);
    CHECK(resolve(s, -1, "canary", "Unrecognized servable version label: canary") == -1);
    CHECK(ccz_infer_set_labels(s, "m", fresh, 2, true, &st) == CCZ_OK); /* it stays where it is */
    publish(s, "m", 9);
    CHECK(resolve(s, -1, "next", NULL) == 9);
    /* A version that was taken away. */
    CHECK(ccz_infer_remove(s, "m", 1, NULL) == CCZ_OK);
    CHECK(resolve(s, -1, "stable", "Servable not found for request: Specific(m, 1)") == -1);
    const struct ccz_infer_label ended = {"stable", 1};
    CHECK(ccz_infer_set_labels(s, "m", &ended, 1, false, &st) != CCZ_OK &&
          st.code == CCZ_RUN_FAILED_PRECONDITION);
    CHECK(ccz_infer_set_labels(s, "m", NULL, 0, false, &st) == CCZ_OK);
    CHECK(resolve(s, -1, "next", "Unrecognized servable version label: next") == -1);

    const struct ccz_infer_label twice[2] = {{"a", 2}, {"a", 9}}, empty = {"", 2};
    CHECK(ccz_infer_set_labels(s, "m", twice, 2, false, &st) != CCZ_OK);
    want_status(&st, CCZ_RUN_INVALID_ARGUMENT, "model m has label a twice");
    CHECK(ccz_infer_set_labels(s, "m", &empty, 1, false, &st) != CCZ_OK);
    want_status(&st, CCZ_RUN_INVALID_ARGUMENT, "model m has an empty label");
    CHECK(ccz_infer_set_labels(s, "m", twice, CCZ_INFER_LABELS_MAX + 1, false, &st) != CCZ_OK &&
          st.code == CCZ_RUN_RESOURCE_EXHAUSTED);
    CHECK(ccz_infer_set_labels(s, "a/b", &ended, 1, true, &st) != CCZ_OK &&
          st.code == CCZ_RUN_INVALID_ARGUMENT);
    /* Before the model is there at all. */
    CHECK(ccz_infer_set_labels(s, "later", &ended, 1, true, &st) == CCZ_OK &&
          ccz_infer_ready(s, NULL));
}

static void test_states(void)
{
    CCZ_AUTO(ccz_infer) s = NULL;
    struct ccz_err err = {0};
    CHECK(ccz_infer_new(&s, NULL) == CCZ_OK);
    CHECK(ccz_infer_announce(s, "m", 1, CCZ_INFER_START, NULL, &err) == CCZ_OK &&
          ccz_infer_state(s, "m", 1) == CCZ_INFER_START);
    CHECK(ccz_infer_announce(s, "m", 1, CCZ_INFER_LOADING, NULL, &err) == CCZ_OK);
    CHECK(ccz_infer_announce(s, "m", 1, CCZ_INFER_LOADING, NULL, &err) == CCZ_OK);
    struct ccz_run_status lost = {0};
    (void)ccz_run_status_set(&lost, CCZ_RUN_DATA_LOSS, "block 7");
    CHECK(ccz_infer_announce(s, "m", 1, CCZ_INFER_END, &lost, &err) == CCZ_OK &&
          ccz_infer_state(s, "m", 1) == CCZ_INFER_END && !ccz_infer_ready(s, NULL));
    static const enum ccz_infer_state never[] = {CCZ_INFER_UNKNOWN, CCZ_INFER_AVAILABLE,
                                                 CCZ_INFER_UNLOADING};
    for (int i = 0; i < 3; i++)
        CHECK(ccz_infer_announce(s, "m", 2, never[i], NULL, &err) == CCZ_E_ARG &&
              WHERE(err, "infer:state") && ccz_infer_state(s, "m", 2) == CCZ_INFER_UNKNOWN);
    CHECK(ccz_infer_announce(s, "m", -1, CCZ_INFER_START, NULL, &err) == CCZ_E_ARG &&
          WHERE(err, "infer:version"));
    publish(s, "m", 2);
    CHECK(ccz_infer_announce(s, "m", 2, CCZ_INFER_LOADING, NULL, &err) == CCZ_E_EXISTS &&
          WHERE(err, "infer:version") && ccz_infer_state(s, "m", 2) == CCZ_INFER_AVAILABLE);
    CHECK(
        ccz_infer_ready(s, NULL)); /* the one that failed does not matter beside one that serves */
    CHECK(ccz_infer_announce(s, "n", 1, CCZ_INFER_START, NULL, &err) == CCZ_OK &&
          !ccz_infer_ready(s, NULL));
    CHECK(ccz_infer_announce(s, "n", 1, CCZ_INFER_END, NULL, &err) == CCZ_OK);
    CHECK(ccz_infer_ready(s, NULL) &&
          !ccz_infer_ready(s, "n")); /* given up without an error: gone */
    CHECK(ccz_infer_announce(s, "n", 1, CCZ_INFER_END, &lost, &err) == CCZ_OK &&
          !ccz_infer_ready(s, NULL));
}

/* More versions than are remembered: those that ended first are forgotten, none that is alive. */
static void test_forgotten(void)
{
    CCZ_AUTO(ccz_infer) s = NULL;
    struct ccz_err err = {0};
    CHECK(ccz_infer_new(&s, NULL) == CCZ_OK);
    publish(s, "alive", 1);
    for (int64_t v = 2; v <= CCZ_INFER_VERSIONS_MAX; v++)
        CHECK(ccz_infer_announce(s, "m", v, CCZ_INFER_START, NULL, &err) == CCZ_OK);
    CHECK(ccz_infer_announce(s, "m", 9999, CCZ_INFER_START, NULL, &err) == CCZ_E_LIMIT &&
          WHERE(err, "infer:versions"));
    CHECK(ccz_infer_announce(s, "m", 8, CCZ_INFER_END, NULL, &err) == CCZ_OK);
    CHECK(ccz_infer_announce(s, "m", 4, CCZ_INFER_END, NULL, &err) == CCZ_OK);
    CHECK(ccz_infer_announce(s, "m", 9999, CCZ_INFER_START, NULL, &err) == CCZ_OK);
    CHECK(ccz_infer_state(s, "m", 8) == CCZ_INFER_UNKNOWN &&
          ccz_infer_state(s, "m", 4) == CCZ_INFER_END &&
          ccz_infer_state(s, "alive", 1) == CCZ_INFER_AVAILABLE);
}

/* ------------------------------------------------------------------------ taking away */

static void count(void *arg)
{
    ++*(int *)arg;
}

/* A task that is only held: nothing looks at its request any more. */
static struct ccz_infer_task *hold(struct ccz_infer *s)
{
    CCZ_AUTO_BUF req;
    ccz_buf_init(&req, 1 << 16);
    kit_spec(&req, "m", "scores");
    kit_input(&req, NULL);
    return kit_begin(s, CCZ_INFER_PATH_CLASSIFY, &req);
}

static void test_retire(void)
{
    CCZ_AUTO(ccz_infer) s = NULL;
    struct ccz_err err = {0};
    int idle = 0;
    CHECK(ccz_infer_new(&s, NULL) == CCZ_OK);
    CHECK(ccz_infer_retire(s, "m", 1, count, &idle, &err) == CCZ_E_NOT_FOUND &&
          WHERE(err, "infer:version") && idle == 0);
    publish(s, "m", 1);
    CHECK(ccz_infer_retire(s, "m", 1, count, &idle, &err) == CCZ_OK &&
          idle == 1); /* nobody uses it */
    CHECK(ccz_infer_state(s, "m", 1) == CCZ_INFER_UNLOADING &&
          resolve(s, -1, NULL, "Servable not found for request: Latest(m)") == -1);
    CHECK(ccz_infer_retire(s, "m", 1, count, &idle, &err) == CCZ_E_NOT_FOUND && idle == 1);
    CHECK(ccz_infer_remove(s, "m", 1, &err) == CCZ_OK &&
          ccz_infer_state(s, "m", 1) == CCZ_INFER_END);
    CHECK(ccz_infer_remove(s, "m", 1, &err) == CCZ_E_NOT_FOUND);

    publish(s, "m", 2);
    struct ccz_infer_task *a = hold(s), *b = hold(s);
    CHECK(ccz_infer_retire(s, "m", 2, count, &idle, &err) == CCZ_OK && idle == 1);
    ccz_infer_task_free(a);
    CHECK(idle == 1 && ccz_infer_state(s, "m", 2) == CCZ_INFER_UNLOADING);
    CHECK(ccz_infer_task_info(b)->engine_model); /* still there for the last one */
    ccz_infer_task_free(b);
    CHECK(idle == 2 && ccz_infer_state(s, "m", 2) == CCZ_INFER_UNLOADING);
    CHECK(ccz_infer_remove(s, "m", 2, &err) == CCZ_OK); /* does not block */
    publish(s, "m", 3);
    CHECK(ccz_infer_retire(s, "m", 3, NULL, NULL, &err) == CCZ_OK);
    publish(s, "m", 4); /* retired and never removed: freed with the server */
}

static void test_user(void)
{
    CCZ_AUTO(ccz_infer) s = NULL;
    struct ccz_err err = {0};
    int mine = 0, other = 0;
    CHECK(ccz_infer_new(&s, NULL) == CCZ_OK);
    CHECK(ccz_infer_set_user(s, "m", 1, &mine, &err) == CCZ_E_NOT_FOUND &&
          WHERE(err, "infer:version"));
    CHECK(ccz_infer_announce(s, "m", 1, CCZ_INFER_LOADING, NULL, &err) == CCZ_OK);
    CHECK(ccz_infer_set_user(s, "m", 1, &mine, &err) == CCZ_OK); /* before anybody can see it */
    publish(s, "m", 1);
    struct ccz_infer_task *t = hold(s);
    CHECK(ccz_infer_task_info(t)->user == &mine);
    CHECK(ccz_infer_set_user(s, "m", 1, &other, &err) == CCZ_OK);
    CHECK(ccz_infer_task_info(t)->user == &mine); /* a task keeps what it began with */
    ccz_infer_task_free(t);
    t = hold(s);
    CHECK(ccz_infer_task_info(t)->user == &other);
    ccz_infer_task_free(t);
    CHECK(ccz_infer_remove(s, "m", 1, &err) == CCZ_OK);
    CHECK(ccz_infer_set_user(s, "m", 1, &mine, &err) == CCZ_E_NOT_FOUND);
    publish(s, "m", 1);
    t = hold(s);
    CHECK(!ccz_infer_task_info(t)->user); /* forgotten with the version that ended */
    ccz_infer_task_free(t);
}

struct worker {
    struct ccz_infer *s;
    atomic_bool stop;
    atomic_int *idle;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    while (!atomic_load(&w->stop)) {
        CCZ_AUTO_BUF req, resp;
        ccz_buf_init(&req, 1 << 16);
        ccz_buf_init(&resp, 1 << 16);
        kit_spec(&req, "m", "scores");
        kit_input(&req, NULL);
        struct ccz_infer_task *t = NULL;
        struct ccz_run_status st;
        ccz_infer_begin_grpc(&t, &resp, &st, w->s,
                             &(struct ccz_infer_call){.path = CCZ_INFER_PATH_CLASSIFY,
                                                      .request = ccz_buf_span(&req)});
        CHECK(t && ccz_infer_task_info(t)->user);
        ccz_infer_task_free(t);
    }
    return NULL;
}

static void idle_now(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

/* Versions come and go under load: none without its user, each idle once, none freed in use (the sanitizers watch). */
static void test_churn(void)
{
    CCZ_AUTO(ccz_infer) s = NULL;
    int user;
    CHECK(ccz_infer_new(&s, NULL) == CCZ_OK);
    atomic_int idle = 0;
    struct worker w[2];
    pthread_t t[2];
    for (int64_t v = 1; v <= 100; v++) {
        CHECK(ccz_infer_announce(s, "m", v, CCZ_INFER_LOADING, NULL, NULL) == CCZ_OK &&
              ccz_infer_set_user(s, "m", v, &user, NULL) == CCZ_OK);
        publish(s, "m", v);
        for (int i = 0; v == 1 && i < 2; i++) {
            w[i] = (struct worker){.s = s};
            CHECK(pthread_create(&t[i], NULL, work, &w[i]) == 0);
        }
        if (v > 1)
            CHECK(ccz_infer_retire(s, "m", v - 1, idle_now, &idle, NULL) == CCZ_OK);
        if (v > 2)
            CHECK(ccz_infer_remove(s, "m", v - 2, NULL) == CCZ_OK);
    }
    for (int i = 0; i < 2; i++) {
        atomic_store(&w[i].stop, true);
        pthread_join(t[i], NULL);
    }
    CHECK(atomic_load(&idle) == 99);
}

/* Who watches hears of each change, and asks how things stand. */
struct watcher {
    struct ccz_infer *s;
    int calls;
    char last[16];
    bool ready, all;
};

static void on_change(void *arg, const char *name)
{
    struct watcher *w = arg;
    w->calls++;
    (void)snprintf(w->last, sizeof(w->last), "%s", name);
    w->ready = ccz_infer_ready(w->s, name);
    w->all = ccz_infer_ready(w->s, NULL);
}

static void want_heard(const struct watcher *w, int calls, const char *name, bool ready)
{
    CHECK(w->calls == calls && strcmp(w->last, name) == 0 && w->ready == ready);
}

static void test_watch(void)
{
    CCZ_AUTO(ccz_infer) s = NULL;
    CHECK(ccz_infer_new(&s, NULL) == CCZ_OK);
    struct watcher w = {.s = s};
    CHECK(ccz_infer_announce(s, "m", 1, CCZ_INFER_START, NULL, NULL) == CCZ_OK);
    ccz_infer_watch(s, on_change, &w);
    want_heard(&w, 1, "m", false); /* as it is */
    CHECK(ccz_infer_loading(s, "m", 1, NULL) == CCZ_OK);
    want_heard(&w, 2, "m", false);
    publish(s, "m", 1);
    want_heard(&w, 3, "m", true);
    CHECK(ccz_infer_loading(s, "n", 1, NULL) == CCZ_OK);
    want_heard(&w, 4, "n", false);
    CHECK(!w.all);
    ccz_infer_failed(s, "n", 1, CCZ_RUN_DATA_LOSS, "damaged");
    want_heard(&w, 5, "n", false);
    CHECK(ccz_infer_announce(s, "n", 1, CCZ_INFER_END, NULL, NULL) == CCZ_OK);
    CHECK(w.calls == 6 && w.all);
    CHECK(ccz_infer_retire(s, "m", 1, NULL, NULL, NULL) == CCZ_OK);
    want_heard(&w, 7, "m", false);
    CHECK(ccz_infer_remove(s, "m", 1, NULL) == CCZ_OK);
    want_heard(&w, 8, "m", false);
    publish(s, "m", 2);
    CHECK(w.calls == 9 && w.all);
    ccz_infer_leave(s); /* the server is not ready any more; its models serve on */
    CHECK(!ccz_infer_ready(s, NULL) && ccz_infer_ready(s, "m"));
    ccz_infer_watch(s, NULL, NULL);
    publish(s, "m", 3);
    CHECK(w.calls == 9);
}

static const struct ccz_test tests[] = {
    {"registry.beside", test_beside}, {"registry.labels", test_labels},
    {"registry.states", test_states}, {"registry.forgotten", test_forgotten},
    {"registry.retire", test_retire}, {"registry.user", test_user},
    {"registry.churn", test_churn},   {"registry.watch", test_watch},
};

int main(int argc, char **argv)
{
    int rc = ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    ccz_engine_free(kit_engine);
    return rc;
}
