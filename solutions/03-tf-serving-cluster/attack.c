/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two attackers for break.sh. Neither has a TEE; both want a client to talk to them.
 *   plain-tls  a TLS server with a self-signed certificate and no evidence
 *   replay     records the evidence of a genuine server, then offers it in its own sessions
 */
#define _POSIX_C_SOURCE 200809L
#include <cczoo/party.h>
#include <cczoo/rpc.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Evidence that passed by: what a man in the middle, or yesterday's client, has. */
static struct ccz_buf g_recorded;

static ccz_rc record_evidence(void *arg, struct ccz_claims *claims, struct ccz_span quote,
                              struct ccz_err *err)
{
    (void)arg;
    memset(claims, 0, sizeof(*claims));
    ccz_buf_put_span(&g_recorded, quote);
    return ccz_fail(err, CCZ_E_CLOSED, "attack:recorded", 0, "have what I came for");
}

static ccz_rc replay_evidence(void *arg, struct ccz_buf *quote, const uint8_t report_data[64],
                              struct ccz_err *err)
{
    (void)arg;
    (void)report_data; /* a quote over this session's data is what the attacker cannot make */
    (void)err;
    ccz_buf_put_span(quote, ccz_buf_span(&g_recorded));
    return CCZ_OK;
}

/* Connects as any client would, and keeps the server's quote. */
static ccz_rc record_from(const char *target, struct ccz_err *err)
{
    CCZ_AUTO(ccz_ratls_ctx) ratls = NULL;
    CCZ_AUTO(ccz_rpc_client) client = NULL;
    const struct ccz_ratls_cfg cfg = {.now_s = ccz_clock_now_s(ccz_clock_system()),
                                      .appraise = record_evidence};
    ccz_rc rc = ccz_ratls_ctx_new(&ratls, &cfg, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_client_cfg c = {.target = target, .ratls = ratls};
    rc = ccz_rpc_client_new(&client, &c, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(NULL, client,
                                    err); /* fails: we hang up once we have the evidence */
    return g_recorded.size > 0 ? CCZ_OK : rc;
}

static ccz_rc serve(const char *listen_addr, const char *port_file, bool replay,
                    struct ccz_err *err)
{
    static const char *const h2[] = {"h2", NULL};
    CCZ_AUTO(ccz_ratls_ctx) ratls = NULL;
    CCZ_AUTO(ccz_rpc_server) server = NULL;
    const struct ccz_ratls_cfg cfg = {
        .profile = replay ? CCZ_RATLS_SESSION : CCZ_RATLS_TLS_ONLY_INSECURE,
        .server = true,
        .now_s = ccz_clock_now_s(ccz_clock_system()),
        .attest = replay ? replay_evidence : NULL,
        .peer_evidence_optional = true,
        .alpn = replay ? NULL : h2,
    };
    ccz_rc rc = ccz_ratls_ctx_new(&ratls, &cfg, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_server_cfg s = {.listen = listen_addr, .ratls = ratls};
    rc = ccz_rpc_server_new(&server, &s, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_start(server, err);
    if (rc != CCZ_OK)
        return rc;
    char port[8];
    (void)snprintf(port, sizeof(port), "%u\n", ccz_rpc_server_port(server));
    rc = ccz_file_write(port_file, ccz_span_str(port), 0600, CCZ_FILE_REPLACE, err);
    if (rc == CCZ_OK)
        (void)pause(); /* until the script ends us */
    ccz_rpc_server_stop(server, 0);
    return rc;
}

int main(int argc, char **argv)
{
    const char *from = NULL, *listen_addr = NULL, *port_file = NULL;
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--from") == 0)
            from = argv[i + 1];
        else if (strcmp(argv[i], "--listen") == 0)
            listen_addr = argv[i + 1];
        else if (strcmp(argv[i], "--port-file") == 0)
            port_file = argv[i + 1];
    }
    bool replay = argc > 1 && strcmp(argv[1], "replay") == 0;
    if (!listen_addr || !port_file || (replay && !from) ||
        (!replay && strcmp(argv[1], "plain-tls") != 0)) {
        (void)fprintf(
            stderr,
            "usage: cczoo-attack plain-tls|replay [--from ADDR] --listen ADDR --port-file FILE\n");
        return 2;
    }
    struct ccz_err err;
    ccz_buf_init(&g_recorded, CCZ_QUOTE_SIZE_MAX);
    ccz_rc rc = replay ? record_from(from, &err) : CCZ_OK;
    if (rc == CCZ_OK)
        rc = serve(listen_addr, port_file, replay, &err);
    if (rc != CCZ_OK)
        (void)fprintf(stderr, "error: %s: %s\n", err.where, err.msg);
    ccz_buf_free(&g_recorded);
    return rc == CCZ_OK ? 0 : 3;
}
