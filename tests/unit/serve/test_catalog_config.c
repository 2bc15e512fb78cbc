/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations that replace each other, labels, and who waits for their models. */
#define _GNU_SOURCE
#include "catalog_kit.h"

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

/* A configuration whose model never comes, from another thread. */
static void *configure_waiting(void *arg)
{
    struct ccz_serve_models m;
    struct ccz_run_status own;
    CHECK(ccz_serve_one_model(&m, "never", temp_path("never"), "", NULL) == CCZ_OK);
    CHECK(ccz_catalog_replace(arg, &m, -1, &own) != CCZ_OK && own.code == CCZ_RUN_ABORTED);
    CHECK(strstr(own.msg, "another configuration") && strstr(own.msg, "never"));
    ccz_serve_models_free(&m);
    return NULL;
}

static void find_never(void *found, const struct ccz_catalog_info *i)
{
    if (strcmp(i->name, "never") == 0)
        *(bool *)found = true;
}

/* Who waits for a model that never comes does not keep the next configuration waiting. */
static void test_superseded(void)
{
    struct ccz_catalog_cfg cfg = config();
    pthread_t t;
    (void)temp_make_dir("a");
    version("a", "1");
    struct ccz_catalog *c = open_catalog(&cfg);
    CHECK(pthread_create(&t, NULL, configure_waiting, c) == 0);
    for (bool there = false; !there; (void)sched_yield())
        ccz_catalog_each(c, find_never, &there);
    CHECK(configure(c, A "}", -1) == CCZ_OK && served("a/1"));
    CHECK(pthread_join(t, NULL) == 0);
    bool there = false;
    ccz_catalog_each(c, find_never, &there);
    CHECK(!there && served("a/1"));
    close_catalog(c);
}

FRESH(test_labels)
FRESH(test_replace)
FRESH(test_replace_refused)
FRESH(test_reload)
FRESH(test_wait)
FRESH(test_superseded)

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"catalog.labels", fresh_test_labels},
        {"catalog.replace", fresh_test_replace},
        {"catalog.replace_refused", fresh_test_replace_refused},
        {"catalog.reload", fresh_test_reload},
        {"catalog.wait", fresh_test_wait},
        {"catalog.superseded", fresh_test_superseded},
    };
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
