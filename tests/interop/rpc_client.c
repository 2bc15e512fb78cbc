/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our client against a stock gRPC server:   rpc_client HOST:PORT   (TLS without attestation, any
 * certificate) The server (in test_grpcio.py) has /s.S/{Echo,Status,Slow,Hold,Sum,Count,Bidi}.
 * Prints the first thing that is not as it should be, and fails.
 */
#define _DEFAULT_SOURCE
#include <cczoo/rpc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPECT(cond)                                                                               \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "rpc_client:%d: %s (%s: %s)\n", __LINE__, #cond, err.where, err.msg);  \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static struct ccz_err err;
static struct ccz_rpc_result res;

static ccz_rc call(struct ccz_buf *out, struct ccz_rpc_client *c, const char *path,
                   const char *request, const struct ccz_rpc_call_cfg *cfg)
{
    ccz_buf_clear(out);
    return ccz_rpc_unary(out, &res, c, path, ccz_span_str(request), cfg, &err);
}

static void unary(struct ccz_rpc_client *c)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 64 << 20);
    EXPECT(call(&out, c, "/s.S/Echo", "hello", NULL) == CCZ_OK &&
           ccz_span_eq(ccz_buf_span(&out), ccz_span_str("hello")));
    EXPECT(call(&out, c, "/s.S/Echo", "", NULL) == CCZ_OK && out.size == 0);
    /* the server puts the metadata it saw into the answer */
    const struct ccz_rpc_md md[] = {{"x-text", ccz_span_str("a b=c")},
                                    {"x-raw-bin", CCZ_SPAN("\0\1\xfe\xff", 4)}};
    struct ccz_rpc_call_cfg cfg = {.metadata = md, .metadata_len = 2};
    EXPECT(call(&out, c, "/s.S/Echo", "metadata", &cfg) == CCZ_OK);
    EXPECT(ccz_span_eq(ccz_buf_span(&out), CCZ_SPAN("a b=c\0\1\xfe\xff", 9)));
    EXPECT(strcmp(res.replica, "grpcio") == 0);
    EXPECT(call(&out, c, "/s.S/Status", "5", NULL) == CCZ_E_NOT_FOUND &&
           res.code == CCZ_RPC_NOT_FOUND);
    EXPECT(strcmp(res.message, "code 5: 100 %, \\xc3\\xa9") == 0);
    EXPECT(call(&out, c, "/s.S/Nothing", "", NULL) == CCZ_E_UNSUPPORTED &&
           res.code == CCZ_RPC_UNIMPLEMENTED);
    cfg = (struct ccz_rpc_call_cfg){.timeout_ms = 200};
    EXPECT(call(&out, c, "/s.S/Slow", "", &cfg) == CCZ_E_TIMEOUT &&
           res.code == CCZ_RPC_DEADLINE_EXCEEDED);
    uint8_t *big = calloc(1, 20 << 20);
    EXPECT(big);
    for (size_t i = 0; i < (20u << 20); i += 4096)
        big[i] = (uint8_t)(i >> 12);
    ccz_buf_clear(&out);
    EXPECT(ccz_rpc_unary(&out, &res, c, "/s.S/Echo", CCZ_SPAN(big, 20 << 20), NULL, &err) ==
           CCZ_OK);
    EXPECT(ccz_span_eq(ccz_buf_span(&out), CCZ_SPAN(big, 20 << 20)));
    free(big);
}

static void compression(struct ccz_rpc_client *c)
{
    static char text[100000];
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, sizeof(text));
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = "gzip"[i % 4]; /* the server compresses what begins so */
    struct ccz_span all = CCZ_SPAN(text, sizeof(text));
    for (int kind = 0; kind < 2; kind++) { /* what we send, plain and compressed */
        struct ccz_rpc_call_cfg cfg = {.compression = kind ? CCZ_RPC_GZIP : CCZ_RPC_IDENTITY};
        ccz_buf_clear(&out);
        EXPECT(ccz_rpc_unary(&out, &res, c, "/s.S/Echo", all, &cfg, &err) == CCZ_OK);
        EXPECT(ccz_span_eq(ccz_buf_span(&out), all) && res.compressed);
    }
    EXPECT(call(&out, c, "/s.S/Echo", "plain", NULL) == CCZ_OK && !res.compressed);
}

static void streams(struct ccz_rpc_client *c)
{
    struct ccz_rpc_stream *s;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 20);
    EXPECT(ccz_rpc_stream_open(&s, c, "/s.S/Sum", NULL, &err) == CCZ_OK);
    for (int i = 0; i < 500; i++)
        EXPECT(ccz_rpc_stream_send(s, ccz_span_str("0123456789")) == CCZ_OK);
    EXPECT(ccz_rpc_stream_half_close(s) == CCZ_OK &&
           ccz_rpc_stream_recv(&out, s, &res, &err) == CCZ_OK);
    EXPECT(ccz_span_eq(ccz_buf_span(&out), ccz_span_str("5000 in 500")));
    EXPECT(ccz_rpc_stream_recv(&out, s, &res, &err) == CCZ_E_NOT_FOUND && res.code == CCZ_RPC_OK);
    ccz_rpc_stream_free(s);

    EXPECT(ccz_rpc_stream_open(&s, c, "/s.S/Count", NULL, &err) == CCZ_OK);
    EXPECT(ccz_rpc_stream_send(s, ccz_span_str("3000")) == CCZ_OK &&
           ccz_rpc_stream_half_close(s) == CCZ_OK);
    for (int i = 0; i < 3000; i++) {
        char want[16];
        (void)snprintf(want, sizeof(want), "%d", i);
        ccz_buf_clear(&out);
        EXPECT(ccz_rpc_stream_recv(&out, s, &res, &err) == CCZ_OK &&
               ccz_span_eq(ccz_buf_span(&out), ccz_span_str(want)));
    }
    EXPECT(ccz_rpc_stream_recv(&out, s, &res, &err) == CCZ_E_NOT_FOUND);
    ccz_rpc_stream_free(s);

    EXPECT(ccz_rpc_stream_open(&s, c, "/s.S/Bidi", NULL, &err) == CCZ_OK);
    for (int i = 0; i < 100; i++) {
        ccz_buf_clear(&out);
        EXPECT(ccz_rpc_stream_send(s, ccz_span_str("ping")) == CCZ_OK &&
               ccz_rpc_stream_recv(&out, s, &res, &err) == CCZ_OK);
        EXPECT(ccz_span_eq(ccz_buf_span(&out), ccz_span_str("ping")));
    }
    EXPECT(ccz_rpc_stream_half_close(s) == CCZ_OK &&
           ccz_rpc_stream_recv(&out, s, &res, &err) == CCZ_E_NOT_FOUND);
    ccz_rpc_stream_free(s);

    EXPECT(ccz_rpc_stream_open(&s, c, "/s.S/Hold", NULL, &err) == CCZ_OK);
    ccz_buf_clear(&out);
    EXPECT(ccz_rpc_stream_recv(&out, s, &res, &err) == CCZ_OK); /* "held" */
    ccz_rpc_stream_cancel(s);
    EXPECT(ccz_rpc_stream_recv(&out, s, &res, &err) == CCZ_E_CLOSED &&
           res.code == CCZ_RPC_CANCELLED);
    ccz_rpc_stream_free(s);
}

int main(int argc, char **argv)
{
    static const char *const h2[] = {"h2", NULL};
    CCZ_AUTO(ccz_ratls_ctx) ctx = NULL;
    CCZ_AUTO(ccz_rpc_client) c = NULL;
    if (argc != 2)
        return 2;
    struct ccz_ratls_cfg cfg = {.profile = CCZ_RATLS_TLS_ONLY_INSECURE,
                                .alpn = h2,
                                .now_s = ccz_clock_now_s(ccz_clock_system())};
    EXPECT(ccz_ratls_ctx_new(&ctx, &cfg, &err) == CCZ_OK);
    struct ccz_rpc_client_cfg ccfg = {.target = argv[1], .ratls = ctx};
    EXPECT(ccz_rpc_client_new(&c, &ccfg, &err) == CCZ_OK &&
           ccz_rpc_client_connect(NULL, c, &err) == CCZ_OK);
    unary(c);
    compression(c);
    streams(c);
    return 0;
}
