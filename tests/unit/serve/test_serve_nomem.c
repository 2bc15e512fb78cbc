/* SPDX-License-Identifier: Apache-2.0 */
/* A whole use with each allocation failing in turn: refused for that reason and no other, nothing half done, nothing lost. */
#define _DEFAULT_SOURCE
#include "nomem.h"

#include <cczoo/serve.h>

#include "ccz_test.h"

#include <stdint.h>

static struct ccz_err err;

static ccz_rc read_all(void)
{
    static const char config[] =
        "model_config_list { config { name: 'a' base_path: '/a' model_version_policy { specific { "
        "versions: [1, 2] } } version_labels { key: 'l' value: 1 } } }";
    static const char tls[] = "server_key: 'k' server_cert: 'c' custom_ca: 'a' client_verify: true";
    struct ccz_serve_models m;
    struct ccz_serve_ssl s;
    ccz_rc rc = ccz_serve_read_models(&m, NULL, ccz_span_str(config), CCZ_SERVE_TEXT, &err);
    if (rc != CCZ_OK) {
        CHECK(!m.model && !m.own);
        return rc;
    }
    ccz_serve_models_free(&m);
    rc = ccz_serve_read_ssl(&s, NULL, ccz_span_str(tls), CCZ_SERVE_TEXT, &err);
    if (rc != CCZ_OK)
        CHECK(!s.server_key && !s.server_cert);
    ccz_serve_ssl_free(&s);
    return rc;
}

static void test_config(void)
{
    for (long k = 0;; k++) {
        nomem_left = k;
        err = (struct ccz_err){0};
        ccz_rc rc = read_all();
        const bool failed = nomem_left < 0;
        nomem_left = -1;
        if (!failed) {
            CHECK(rc == CCZ_OK && k > 8);
            return;
        }
        CHECK(rc == CCZ_E_NOMEM || (rc == CCZ_E_LIMIT && strcmp(err.where, "textpb:size") == 0));
    }
}

/* Models are not allocated: nothing fails but the catalog. */
static int alive;
static char out_of[1];

static ccz_rc load(void *arg, void **model, const struct ccz_catalog_item *i, struct ccz_err *e)
{
    (void)arg;
    (void)e;
    CHECK(i->dir && i->base_path && i->platform);
    *model = out_of;
    return CCZ_OK;
}
static void unload(void *arg, void *model, const struct ccz_catalog_item *i)
{
    (void)arg;
    (void)model;
    CHECK(i->dir);
}
static ccz_rc publish(void *arg, void **model, const struct ccz_catalog_item *i, struct ccz_err *e)
{
    (void)arg;
    (void)i;
    (void)e;
    *model = NULL;
    alive++;
    return CCZ_OK;
}
static void withdraw(void *arg, const struct ccz_catalog_item *i)
{
    (void)arg;
    (void)i;
    alive--;
}
static void nothing(void *arg, const struct ccz_catalog_item *i)
{
    (void)arg;
    (void)i;
}
static void state(void *arg, const struct ccz_catalog_item *i, enum ccz_infer_state s,
                  const struct ccz_run_status *h)
{
    (void)arg;
    (void)i;
    (void)s;
    (void)h;
}
static void labels(void *arg, const char *name, const struct ccz_infer_label *l, size_t len,
                   bool any, struct ccz_run_status *st)
{
    (void)arg;
    (void)name;
    (void)l;
    (void)len;
    (void)any;
    (void)st;
}
static ccz_rc list(void *arg, const char *path,
                   void (*each)(void *to, const char *name, int64_t stamp), void *to,
                   struct ccz_err *e)
{
    (void)arg;
    (void)path;
    (void)e;
    each(to, "1", 1);
    each(to, "2", 1);
    return CCZ_OK;
}

/* Whatever fails in a replacement, an older version or the new one is served, and the next round makes it good. */
static void test_catalog(void)
{
    static const struct ccz_infer_label label = {"l", 2};
    const struct ccz_serve_model one = {.name = "a",
                                        .base_path = "/a",
                                        .platform = "p",
                                        .latest = 1,
                                        .labels = &label,
                                        .labels_len = 1};
    const struct ccz_serve_models models = {.model = &one, .len = 1};
    const struct ccz_catalog_cfg cfg = {
        .ops = {load, NULL, unload, publish, withdraw, nothing, state, labels},
        .list = list,
        .manual = true};
    struct ccz_run_status st;
    for (long k = 0;; k++) {
        struct ccz_catalog *c;
        CHECK(ccz_catalog_new(&c, &cfg, &err) == CCZ_OK);
        nomem_left = k;
        ccz_rc rc = ccz_catalog_replace(
            c, &models, 0, &st); /* what it does not wait for comes with the next round */
        CHECK(ccz_catalog_settle(c, 60000, &err) == CCZ_OK);
        const bool failed = nomem_left < 0;
        nomem_left = -1;
        CHECK(rc == CCZ_OK || st.code == CCZ_RUN_DEADLINE_EXCEEDED ||
              st.code == CCZ_RUN_RESOURCE_EXHAUSTED || st.code == CCZ_RUN_FAILED_PRECONDITION);
        if (st.code == CCZ_RUN_RESOURCE_EXHAUSTED || st.code == CCZ_RUN_FAILED_PRECONDITION)
            (void)ccz_catalog_replace(c, &models, -1, &st);
        ccz_catalog_poll(c);
        CHECK(ccz_catalog_settle(c, 60000, &err) == CCZ_OK &&
              ccz_catalog_wait(c, -1, &err) == CCZ_OK);
        CHECK(alive == 1);
        ccz_catalog_free(c);
        CHECK(alive == 0);
        if (!failed) {
            CHECK(k > 8);
            return;
        }
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"serve.nomem", test_config},
                                            {"catalog.nomem", test_catalog}};
    CHECK(nomem_openssl());
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
