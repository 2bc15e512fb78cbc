/* SPDX-License-Identifier: Apache-2.0 */
/* What cczoo-served lets its clients do. */
#include "../../../daemons/served/served.h"

#include "ccz_test.h"

static struct ccz_err err;

static ccz_rc load(void *arg, struct ccz_model **model, const struct ccz_catalog_item *item,
                   struct ccz_err *e)
{
    (void)arg;
    *model = NULL;
    return ccz_fail(e, CCZ_E_NOT_FOUND, "test:load", item->version, "there is no model");
}

/* A server of many models, and what it says to a client that wants to replace them by none. */
static enum ccz_run_code reload(const struct served_opts *o)
{
    struct served_work w = {0};
    struct ccz_catalog *c = NULL;
    struct ccz_catalog_cfg cfg = {.manual = true};
    struct ccz_run_status st = {0};
    CCZ_AUTO_BUF response;
    ccz_buf_init(&response, 4096);
    CHECK(served_work_open(&w, o, &err) == CCZ_OK);
    struct ccz_catalog_infer to = {.infer = w.models, .load = load};
    ccz_catalog_use_infer(&cfg, &to);
    CHECK(ccz_catalog_new(&c, &cfg, &err) == CCZ_OK);
    served_work_configure(&w, o, c);
    ccz_infer_grpc(&response, &st, w.models,
                   &(struct ccz_infer_call){.path = CCZ_INFER_PATH_RELOAD,
                                            .request = CCZ_SPAN("\x0a\x02\x0a\x00", 4)});
    served_work_close(&w);
    ccz_catalog_free(c);
    served_work_free(&w);
    return st.code;
}

/* Whoever may ask a model something may not therefore choose which models there are. */
static void test_reload(void)
{
    struct served_opts o = {.threads = 1, .queue = 8, .queue_all = 8};
    CHECK(reload(&o) == CCZ_RUN_UNIMPLEMENTED);
    o.client_policy = "clients.json";
    CHECK(reload(&o) == CCZ_RUN_UNIMPLEMENTED);
    o.reload_by_clients = true;
    CHECK(reload(&o) == CCZ_RUN_OK);
    o = (struct served_opts){.threads = 1, .queue = 8, .queue_all = 8, .reload_by_anybody = true};
    CHECK(reload(&o) == CCZ_RUN_OK);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"served.reload", test_reload}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
