/* SPDX-License-Identifier: Apache-2.0 */
/* Which versions are loaded, served, kept and taken away. */
#define _GNU_SOURCE
#include "catalog_kit.h"

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

/* Out of service until it can be loaded again, however long that takes; nothing older takes its place. */
static void test_suspend(void)
{
    struct ccz_catalog_cfg cfg = config();
    cfg.retries = 1;
    (void)temp_make_dir("a");
    version("a", "1");
    version("a", "2");
    struct ccz_catalog *c = open_catalog(&cfg);
    CHECK(configure(c, A "}", -1) == CCZ_OK && served("a/2"));
    CHECK(is_refused(ccz_catalog_suspend(c, "a", 1, "x", &err), CCZ_E_NOT_FOUND, &err,
                     "catalog:version"));
    CHECK(is_refused(ccz_catalog_suspend(c, "b", 1, "x", &err), CCZ_E_NOT_FOUND, &err,
                     "catalog:version"));
    w.fail_at = 1;
    w.fail_loads = 4;
    w.fail_rc = CCZ_E_UNAVAILABLE;
    CHECK(ccz_catalog_suspend(c, "a", 2, "the KMS is silent", &err) == CCZ_OK && !served("a/2"));
    settle(c);
    for (int i = 0; i < 3; i++) { /* more often than a new version is tried */
        CHECK(w.served[0] == 0 && w.loaded == 0);
        w.now_ms += 60000;
        round_of(c);
    }
    w.now_ms += 60000;
    round_of(c);
    CHECK(served("a/2") && !served("a/1") && w.loaded == 1);
    w.fail_loads = 2;
    w.fail_rc = CCZ_E_DENIED; /* an answer is an answer */
    CHECK(ccz_catalog_suspend(c, "a", 2, "the KMS is silent", &err) == CCZ_OK);
    settle(c);
    w.now_ms += 60000;
    round_of(c);
    CHECK(w.fail_loads == 0 && strstr(w.state, " a/2=50(PERMISSION_DENIED test:load"));
    w.now_ms += 60000;
    round_of(c);
    CHECK(w.served[0] == 0 && w.loaded == 0);
    w.events[0] = 0; /* while it is being loaded: that load does not count */
    w.hold_load = true;
    version("a", "3");
    ccz_catalog_poll(c);
    pthread_mutex_lock(&w.lock);
    while (!strstr(w.events, "load a 3"))
        pthread_cond_wait(&w.changed, &w.lock);
    pthread_mutex_unlock(&w.lock);
    CHECK(ccz_catalog_suspend(c, "a", 3, "the KMS is silent", &err) == CCZ_OK);
    pthread_mutex_lock(&w.lock);
    w.hold_load = false;
    pthread_cond_broadcast(&w.changed);
    pthread_mutex_unlock(&w.lock);
    settle(c);
    CHECK(w.served[0] == 0 && w.loaded == 0 && !strstr(w.events, "publish a 3"));
    w.now_ms += 60000;
    round_of(c);
    CHECK(served("a/3"));
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

FRESH(test_latest)
FRESH(test_policies)
FRESH(test_numbers)
FRESH(test_swap)
FRESH(test_last_good)
FRESH(test_faults)
FRESH(test_retries)
FRESH(test_revoke)
FRESH(test_suspend)
FRESH(test_threads)

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"catalog.latest", fresh_test_latest},       {"catalog.policies", fresh_test_policies},
        {"catalog.numbers", fresh_test_numbers},     {"catalog.swap", fresh_test_swap},
        {"catalog.last_good", fresh_test_last_good}, {"catalog.faults", fresh_test_faults},
        {"catalog.retries", fresh_test_retries},     {"catalog.revoke", fresh_test_revoke},
        {"catalog.suspend", fresh_test_suspend},     {"catalog.threads", fresh_test_threads},
    };
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
