/* SPDX-License-Identifier: Apache-2.0 */
/* Client and server over real sockets and RA-TLS. */
#include "rpc/rpc_fixture.h"

static void expect_echo(struct fixture *f, const char *text)
{
    struct ccz_rpc_result res;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 20);
    ccz_rc rc = ccz_rpc_unary(&out, &res, f->client, "/t.T/Echo", ccz_span_str(text), NULL, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK && res.code == CCZ_RPC_OK && res.attempts == 1 && res.message[0] == 0);
    CHECK(ccz_span_eq(ccz_buf_span(&out), ccz_span_str(text)));
}

static void unary_over(enum ccz_ratls_profile profile)
{
    struct fixture f;
    struct ccz_ratls_peer peer;
    struct ccz_err err = {0};
    setup(&f, profile);
    CHECK(ccz_rpc_client_connect(&peer, f.client, &err) == CCZ_OK);
    CHECK(peer.attested == (profile != CCZ_RATLS_TLS_ONLY_INSECURE));
    CHECK(peer.fresh == (profile == CCZ_RATLS_SESSION));
    expect_echo(&f, "hello");
    expect_echo(&f, "");
    teardown(&f);
}

static void test_unary(void)
{
    unary_over(CCZ_RATLS_SESSION);
    unary_over(CCZ_RATLS_CERTIFICATE);
    unary_over(CCZ_RATLS_TLS_ONLY_INSECURE);
}

static const struct ccz_test tests[] = {
    {"rpc.unary", test_unary},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
