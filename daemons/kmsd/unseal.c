/* SPDX-License-Identifier: Apache-2.0 */
/* The time before the shares of the master key are together: a server that takes them and does nothing else. */
#include "kmsd.h"

#include "../../cli/ui.h"

#include <cczoo/party.h>
#include <cczoo/rpc_services.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { DRAIN_MS = 5000 };

struct waiting {
    struct ccz_kms_sealed *sealed;
    struct ccz_party *party;
    struct ccz_rpc_server *rpc;
    struct ccz_rpc_health *health;
    struct kmsd_https *https;
    pthread_t main;
};

/* Wakes the thread that waits for signals. */
static void on_unsealed(void *arg)
{
    struct waiting *w = arg;
    (void)pthread_kill(w->main, KMSD_UNSEALED);
}

static ccz_rc open_server(struct waiting *w, struct kmsd_keys *k, const struct kmsd_opts *o,
                          const char *listen, struct ccz_err *err)
{
    /* whom it would let in later gets in, and is told that it is sealed; who has a share needs nothing else */
    const struct ccz_party_cfg party = {.attester = k->attester,
                                        .collateral_dir = o->collateral,
                                        .trust_sim_dir = o->trust_sim,
                                        .genuine_only = true,
                                        .profile = CCZ_RATLS_SESSION,
                                        .server = true,
                                        .peer_evidence_optional = true,
                                        .pin = ccz_kms_sealed_pin};
    ccz_rc rc = ccz_kms_sealed_new(&w->sealed, k->state.master, on_unsealed, w, err);
    if (rc == CCZ_OK)
        rc = ccz_party_new(&w->party, &party, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_server_cfg rpc = {.listen = listen,
                                           .ratls = ccz_party_ratls(w->party),
                                           .message_size_max = CCZ_KMS_MESSAGE_SIZE_MAX,
                                           .wipe = true,
                                           .admit = ccz_kms_sealed_admit,
                                           .admit_arg = w->sealed};
    rc = ccz_rpc_server_new(&w->rpc, &rpc, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_health_new(&w->health, w->rpc, err);
    if (rc == CCZ_OK &&
        (ccz_rpc_health_set(w->health, "", CCZ_RPC_NOT_SERVING) != CCZ_OK ||
         ccz_rpc_health_set(w->health, KMSD_SERVICE, CCZ_RPC_NOT_SERVING) != CCZ_OK ||
         ccz_kms_sealed_add(w->sealed, w->rpc) != CCZ_OK))
        rc = ccz_fail(err, CCZ_E_NOMEM, "kmsd:start", 0, "cannot register the methods");
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_start(w->rpc, err);
    /* health alone: whoever watches the process is to wait, not to restart it */
    const struct kmsd_https_cfg https = {.party = w->party};
    return rc == CCZ_OK ? kmsd_https_start(&w->https, o, &https, err) : rc;
}

static void close_server(struct waiting *w)
{
    kmsd_https_stop(w->https, DRAIN_MS);
    kmsd_https_free(w->https);
    if (w->rpc)
        ccz_rpc_server_stop(w->rpc, DRAIN_MS); /* the answer to the last share leaves */
    ccz_rpc_server_free(w->rpc);
    ccz_rpc_health_free(w->health);
    ccz_kms_sealed_free(w->sealed);
    ccz_party_free(w->party);
}

/* "127.0.0.1:0" with the port that it became, so that the open KMS is where the sealed one was; unix:PATH has none. */
static ccz_rc keep_port(char out[KMSD_LISTEN_SIZE], const char *listen, uint16_t port,
                        struct ccz_err *err)
{
    const char *colon = strrchr(listen, ':');
    int n = port == 0 ? snprintf(out, KMSD_LISTEN_SIZE, "%s", listen)
            : colon
                ? snprintf(out, KMSD_LISTEN_SIZE, "%.*s:%u", (int)(colon - listen), listen, port)
                : -1;
    return n > 0 && n < KMSD_LISTEN_SIZE
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_ARG, "kmsd:listen", n, "not an address: %s", listen);
}

ccz_rc kmsd_wait_unsealed(char listen[KMSD_LISTEN_SIZE], bool *stopped, struct kmsd_keys *k,
                          const struct kmsd_opts *o, const sigset_t *signals, struct ccz_err *err)
{
    *stopped = false;
    struct ccz_kms_shares have;
    ccz_rc rc = ccz_kms_master_shares(&have, k->state.master, err);
    if (rc != CCZ_OK || !have.sealed)
        return rc;
    struct waiting w = {.main = pthread_self()};
    rc = open_server(&w, k, o, listen, err);
    uint16_t port = rc == CCZ_OK ? ccz_rpc_server_port(w.rpc) : 0;
    if (rc == CCZ_OK)
        rc = kmsd_write_port(o->port_file, port, err);
    if (rc == CCZ_OK) {
        ccz_log(CCZ_LOG_WARN, "kmsd", "sealed port=%u shares=%u needed=%u", port, have.given,
                have.needed);
        int signo = 0;
        do { /* a reload or a backup is nothing here, and KMSD_UNSEALED of somebody else proves nothing */
            (void)sigwait(signals, &signo);
            rc = ccz_kms_master_shares(&have, k->state.master, err);
        } while (rc == CCZ_OK && have.sealed &&
                 (signo == SIGHUP || signo == KMSD_BACKUP || signo == KMSD_UNSEALED));
        /* also when the last share came with the signal */
        *stopped = rc == CCZ_OK && (have.sealed || signo == SIGTERM || signo == SIGINT);
    }
    close_server(&w);
    if (rc == CCZ_OK && !*stopped) {
        char kept[KMSD_LISTEN_SIZE];
        rc = keep_port(kept, o->listen, port, err);
        if (rc == CCZ_OK)
            memcpy(listen, kept, sizeof(kept));
        ccz_log(CCZ_LOG_INFO, "kmsd", "unsealed");
    }
    return rc;
}
