/* SPDX-License-Identifier: CC0-1.0 */
/*
 * RA-TLS in a program that uses OpenSSL itself: all but setup() and the first lines of talk() is as without it.
 *   openssl-server-client server 127.0.0.1:4433 POLICY SIM_DIR
 *   openssl-server-client client 127.0.0.1:4433 POLICY SIM_DIR
 * Built outside the tree: cc openssl-server-client.c $(pkg-config --cflags --libs cczoo openssl)
 */
#include <cczoo/party.h>
#include <cczoo/ratls_openssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

static ccz_rc attest(void *attester, struct ccz_buf *quote, const uint8_t report_data[64],
                     struct ccz_err *err)
{
    return ccz_attester_quote(quote, attester, report_data, err);
}

static ccz_rc setup(SSL_CTX *ctx, struct ccz_party *me, bool server, struct ccz_err *err)
{
    const struct ccz_ratls_cfg cfg = {.profile = CCZ_RATLS_CERTIFICATE,
                                      .server = server,
                                      .now_s = time(NULL),
                                      .attest = attest,
                                      .attest_arg = ccz_party_attester(me),
                                      .appraise = ccz_verifier_appraise,
                                      .appraise_arg = ccz_party_verifier(me)};
    return ccz_ratls_setup_ssl_ctx(ctx, &cfg, err);
}

static int talk(SSL *ssl, bool server)
{
    char text[64] = "hello from an attested server";
    int done = server ? SSL_accept(ssl) : SSL_connect(ssl), n = -1;
    const struct ccz_err *why = ccz_ratls_ssl_error(ssl);
    if (done == 1 && ccz_ratls_ssl_peer(ssl)) /* else nobody has judged the peer */
        n = server ? SSL_write(ssl, text, (int)strlen(text))
                   : SSL_read(ssl, text, sizeof(text) - 1);
    if (why)
        fprintf(stderr, "refused: %s: got %s, expected %s\n", why->where, why->got, why->expected);
    if (n <= 0)
        ERR_print_errors_fp(stderr);
    else
        printf("%s: %.*s\n", ccz_tee_name(ccz_ratls_ssl_peer(ssl)->claims.tee), n, text);
    SSL_shutdown(ssl);
    return n > 0 ? 0 : 1;
}

static BIO *reach(const char *address, bool server)
{
    BIO *bio = server ? BIO_new_accept(address) : BIO_new_connect(address), *peer = NULL;
    if (!server)
        return bio && BIO_do_connect(bio) == 1 ? bio : NULL;
    if (bio && BIO_do_accept(bio) == 1 && printf("listening\n") > 0 && fflush(stdout) == 0 &&
        BIO_do_accept(bio) == 1) /* the second call waits for a peer */
        peer = BIO_pop(bio);
    BIO_free(bio);
    return peer;
}

int main(int argc, char **argv)
{
    bool server = argc == 5 && strcmp(argv[1], "server") == 0;
    char trust[1024];
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_party) me = NULL;
    if (argc != 5)
        return 2;
    (void)snprintf(trust, sizeof(trust), "%s/trust", argv[4]);
    const struct ccz_party_cfg party = {.tee = {.provider = "sim-sgx", .sim_dir = argv[4]},
                                        .trust_sim_dir = trust,
                                        .policy_file = argv[3],
                                        .server = server};
    SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (!ctx || ccz_party_new(&me, &party, &err) != CCZ_OK ||
        setup(ctx, me, server, &err) != CCZ_OK) {
        fprintf(stderr, "error: %s: %s\n", err.where, err.msg);
        return 3;
    }
    BIO *wire = reach(argv[2], server);
    SSL *ssl = SSL_new(ctx);
    if (!wire || !ssl)
        return 3;
    SSL_set_bio(ssl, wire, wire);
    int status = talk(ssl, server);
    SSL_free(ssl);
    SSL_CTX_free(ctx); /* before the party that its hooks use */
    return status;
}
