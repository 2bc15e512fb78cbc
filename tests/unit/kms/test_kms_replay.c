/* SPDX-License-Identifier: Apache-2.0 */
/* A replay of several pages is about one state: what judges must not change between them. */
#define _GNU_SOURCE
#include "kms/kms_net.h"

enum { WORKLOADS = 300 }; /* more than a page */

#define AA         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define BB         "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define SET(value) "{\"version\":1,\"values\":[{\"name\":\"1\",\"value\":\"" value "\"}]}"
#define REFERS(name)                                                                               \
    "{\"version\":1,\"rules\":[{\"name\":\"by set\",\"tee\":\"sgx\",\"sim\":true,"                 \
    "\"mrenclave\":{\"reference\":\"" name "\"}}]}"

static struct ccz_err err;

/* What somebody does behind the first page. */
enum change { NOTHING, PUT_OF_LIVE, PUT_OF_OTHER, PUT_OF_NEITHER, POLICY, OLDER_SERVER, CHANGES };
static struct {
    struct ccz_kms_store *store;
    enum change change;
    unsigned pages;
} g;

static ccz_rc put_set(const char *name, const char *json, bool replace)
{
    const struct cczi_msg_put_reference_req m = {fix_str(name), fix_str(json), replace};
    return fix_msg(NULL, g.store, FIX_ADMIN, "PutReference", cczi_msg_put_reference_req, &m, &err);
}

static void make_change(void)
{
    static unsigned n;
    const char *const json = n++ % 2 ? SET(AA) : SET(BB);
    switch (g.change) {
    case PUT_OF_LIVE:
        CHECK(put_set("live", json, true) == CCZ_OK);
        break;
    case PUT_OF_OTHER:
        CHECK(put_set("other", json, true) == CCZ_OK);
        break;
    case PUT_OF_NEITHER:
        CHECK(put_set("neither", json, true) == CCZ_OK);
        break;
    case POLICY:
        CHECK(fix_put_policy(g.store, "server", REFERS("live") " ", true, &err) == CCZ_OK);
        break;
    default:
        break;
    }
}

static void answer_page(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg;
    struct ccz_buf out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    CHECK(fix_call(&out, g.store, FIX_ADMIN, "Replay", request, &err) == CCZ_OK);
    if (g.change == OLDER_SERVER) { /* the last field: its tag, its size and 32 bytes */
        CHECK(out.size > 34 && out.ptr[out.size - 34] == (5 << 3 | CCZ_PB_LEN));
        out.size -= 34;
    }
    if (g.pages++ == 0)
        make_change();
    ccz_rpc_reply(call, ccz_buf_span(&out));
    ccz_buf_free(&out);
}

static ccz_rc accept_any(void *arg, struct ccz_span spki, struct ccz_err *e)
{
    (void)arg;
    (void)spki;
    (void)e;
    return CCZ_OK;
}

static void populate(void)
{
    g.store = fix_memory_store();
    fix_populate(g.store);
    CHECK(put_set("live", SET(AA), false) == CCZ_OK);
    CHECK(put_set("other", SET(AA), false) == CCZ_OK);
    CHECK(put_set("neither", SET(AA), false) == CCZ_OK);
    CHECK(fix_put_policy(g.store, "server", REFERS("live"), true, &err) == CCZ_OK);
    for (unsigned i = 0; i < WORKLOADS; i++) {
        struct ccz_ratls_peer p = fix_peer(FIX_WORKLOAD);
        const struct cczi_msg_release_req m = {fix_str("key/model"), 0};
        CCZ_AUTO_BUF body;
        ccz_buf_init(&body, 256);
        cczi_msg_put(&body, cczi_msg_release_req, &m);
        p.claims.config_id[0] = (uint8_t)i;
        p.claims.config_id[1] = (uint8_t)(i >> 8);
        CHECK(fix_call_as(NULL, g.store, &p, "Release", ccz_buf_span(&body), &err) == CCZ_OK);
    }
}

static void test_changed(void)
{
    struct server s = {0};
    struct client c;
    CHECK(ccz_key_generate(&s.admin, CCZ_P256) == CCZ_OK);
    populate();
    listen_with(&s, accept_any, NULL);
    CHECK(ccz_rpc_server_add_unary(s.rpc, CCZI_KMS_SERVICE "Replay", answer_page, NULL) == CCZ_OK);
    start(&s);
    CHECK(connect_as(&c, &s, s.admin, &err) == CCZ_OK);
    for (g.change = NOTHING; g.change < CHANGES; g.change++) {
        struct ccz_kms_replay sum;
        const bool refused =
            g.change == PUT_OF_LIVE || g.change == PUT_OF_OTHER || g.change == POLICY;
        for (unsigned again = 0; again < 2; again++) { /* run again, it is one state */
            g.pages = again;
            err = (struct ccz_err){0};
            ccz_rc rc = ccz_kms_replay_policy(&sum, c.rpc, "server", ccz_span_str(REFERS("other")),
                                              0, NULL, NULL, &err);
            if (refused && !again) {
                CHECK(rc == CCZ_E_MISMATCH && strcmp(err.where, "kms:replay-changed") == 0);
                CHECK(strstr(err.hint, "run it again") && sum.workloads == 0 && g.pages == 2);
            } else {
                CHECK(rc == CCZ_OK && sum.workloads == WORKLOADS);
            }
        }
        if (g.change == POLICY)
            CHECK(fix_put_policy(g.store, "server", REFERS("live"), true, &err) == CCZ_OK);
    }
    leave(&c);
    ccz_rpc_server_stop(s.rpc, 2000);
    ccz_rpc_server_free(s.rpc);
    ccz_ratls_ctx_free(s.ratls);
    ccz_key_free(s.admin);
    ccz_kms_store_free(g.store);
}

static const struct ccz_test tests[] = {{"kms.replay_changed", test_changed}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
