/* SPDX-License-Identifier: Apache-2.0 */
/* Wiring: store, service, own evidence, verification of workloads, pinned administrators, RPC. */
#include "kmsd.h"

#include "../../cli/ui.h"

#include <cczoo/party.h>
#include <cczoo/rpc_services.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

enum { DRAIN_MS = 10000 };

struct kmsd {
    struct kmsd_keys keys;
    char listen[KMSD_LISTEN_SIZE];
    struct ccz_kms_store *store;
    struct ccz_kms_service *service;
    struct ccz_party *party;
    struct ccz_rpc_server *rpc;
    struct ccz_rpc_health *health;
    struct ccz_kms_prov *prov; /* or NULL */
    struct kmsd_https *https;
    bool simulated;
};

/* Workloads come with evidence, genuine is enough to connect: each item has its own policy. Who
 * comes without evidence must be a pinned administrator. */
static ccz_rc open_party(struct kmsd *k, const struct kmsd_opts *o, struct ccz_err *err)
{
    const struct ccz_party_cfg cfg = {
        .attester = k->keys.attester,
        .collateral_dir = o->collateral,
        .trust_sim_dir = o->trust_sim,
        .collateral_from = o->collateral_from,
        .collateral_ca_file = o->collateral_ca_file,
        .reattest_interval_ms = o->reattest_s * 1000,
        .genuine_only = true,
        .profile = CCZ_RATLS_SESSION,
        .server = true,
        .peer_evidence_optional = true,
        .pin = ccz_kms_service_pin,
        .pin_arg = k->service,
    };
    return ccz_party_new(&k->party, &cfg, err);
}

static int64_t collateral_expires_s(void *arg)
{
    const struct kmsd *k = arg;
    int64_t until_s = ccz_verifier_expires(ccz_party_verifier(k->party));
    return until_s == INT64_MAX ? 0 : until_s;
}

/* Genuine, no more: the key has its own policy. */
static ccz_rc appraise(void *arg, struct ccz_claims *claims, struct ccz_span quote,
                       struct ccz_err *err)
{
    const struct kmsd *k = arg;
    return ccz_verifier_verify(ccz_party_verifier(k->party), claims, quote, err);
}

static void on_renewed(void *rpc, struct ccz_ratls_ctx *ctx)
{
    ccz_rpc_server_set_ratls(rpc, ctx);
}

static ccz_rc open_service(struct kmsd *k, const struct kmsd_opts *o, struct ccz_err *err)
{
    struct ccz_clock clock = ccz_clock_system();
    const struct ccz_kms_service_cfg service = {
        .store = k->store,
        .clock = clock,
        .info = {.version = CCZ_VERSION,
                 .tee = o->tee,
                 .simulated = k->simulated,
                 .started_s = ccz_clock_now_s(clock),
                 .collateral_expires_s = collateral_expires_s,
                 .arg = k,
                 .appraise = appraise,
                 .appraise_arg = k,
                 .issuer = o->issuer,
                 .token_policies = o->token_policies},
        .crypto_threads = (unsigned)o->crypto_threads,
        .rates = {.address_rate = (uint32_t)o->rpc_rate,
                  .principal_rate = (uint32_t)o->rpc_rate,
                  .total_rate = (uint32_t)o->rpc_total_rate,
                  .handshake_rate = (uint32_t)o->rpc_handshakes,
                  .handshake_total_rate = (uint32_t)o->rpc_total_handshakes},
        .quota = {.items = (uint64_t)o->quota_items,
                  .versions = (uint64_t)o->quota_versions,
                  .bytes = (uint64_t)o->quota_bytes,
                  .policies = (uint64_t)o->quota_policies,
                  .policy_bytes = (uint64_t)o->quota_policy_bytes},
    };
    return ccz_kms_service_new(&k->service, &service, err);
}

static ccz_rc start(struct kmsd *k, const struct kmsd_opts *o, struct ccz_err *err)
{
    ccz_rc rc = ccz_kms_store_open(&k->store, &k->keys.state, err);
    kmsd_keys_drop_master(&k->keys); /* the store has what it derives from it */
    if (rc == CCZ_OK)
        rc = kmsd_attester_open(&k->keys, o, err);
    if (rc != CCZ_OK)
        return rc;
    k->simulated = o->trust_sim || ccz_attester_simulated(k->keys.attester);
    rc = open_service(k, o, err);
    if (rc == CCZ_OK)
        rc = open_party(k, o, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_server_cfg rpc = {.listen = k->listen,
                                           .ratls = ccz_party_ratls(k->party),
                                           .message_size_max = CCZ_KMS_MESSAGE_SIZE_MAX,
                                           .wipe = true,
                                           .admit = ccz_kms_service_admit,
                                           .admit_arg = k->service};
    rc = ccz_rpc_server_new(&k->rpc, &rpc, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_health_new(&k->health, k->rpc, err);
    if (rc == CCZ_OK && (ccz_rpc_health_set(k->health, KMSD_SERVICE, CCZ_RPC_SERVING) != CCZ_OK ||
                         ccz_kms_service_add(k->service, k->rpc) != CCZ_OK ||
                         ccz_party_attach(k->party, on_renewed, k->rpc) != CCZ_OK))
        rc = ccz_fail(err, CCZ_E_NOMEM, "kmsd:start", 0, "cannot register the methods");
    if (rc == CCZ_OK)
        rc = kmsd_prov_start(&k->prov, o, k->service, k->party, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_start(k->rpc, err);
    const struct kmsd_https_cfg https = {.service = k->service,
                                         .prov = k->prov,
                                         .party = k->party,
                                         .collateral_expires_s = collateral_expires_s,
                                         .arg = k};
    return rc == CCZ_OK ? kmsd_https_start(&k->https, o, &https, err) : rc;
}

ccz_rc kmsd_write_port(const char *file, uint16_t port, struct ccz_err *err)
{
    char text[8];
    (void)snprintf(text, sizeof(text), "%u\n", port);
    return file ? ccz_file_write(file, ccz_span_str(text), 0644, CCZ_FILE_REPLACE, err) : CCZ_OK;
}

/* New calls stop, calls in flight and queued ones end, then the store closes. */
static void shut_down(struct kmsd *k)
{
    kmsd_https_stop(k->https, DRAIN_MS);
    if (k->rpc)
        ccz_rpc_server_stop(k->rpc, DRAIN_MS);
    ccz_kms_prov_free(k->prov);
    ccz_kms_service_free(k->service);
    kmsd_https_free(k->https);
    ccz_rpc_server_free(k->rpc);
    ccz_rpc_health_free(k->health);
    ccz_party_free(k->party);
    ccz_kms_store_free(k->store);
    kmsd_keys_close(&k->keys);
}

/* On the worker's thread. */
static void say_backup(void *file, struct ccz_span response, const struct ccz_err *err)
{
    (void)response;
    if (err)
        ccz_log_err(CCZ_LOG_ERROR, "kmsd", "backup=failed", err);
    else
        ccz_log(CCZ_LOG_INFO, "kmsd", "backup=written file=%s", (const char *)file);
}

static void back_up(struct kmsd *k, const char *file)
{
    struct ccz_err err = {0};
    if (!file)
        ccz_log(CCZ_LOG_WARN, "kmsd", "backup=none: start with --backup FILE");
    else if (ccz_kms_service_backup(k->service, file, say_backup, (void *)(uintptr_t)file, &err) !=
             CCZ_OK)
        say_backup(NULL, (struct ccz_span){0}, &err);
}

static void wait_for_end(struct kmsd *k, const struct kmsd_opts *o, const sigset_t *signals)
{
    for (;;) {
        int signo = 0;
        (void)sigwait(signals, &signo);
        if (signo == KMSD_UNSEALED) /* late: it is open */
            continue;
        if (signo == KMSD_BACKUP) {
            back_up(k, o->backup);
            continue;
        }
        if (signo != SIGHUP) {
            ccz_log(CCZ_LOG_INFO, "kmsd", "stopping signal=%d", signo);
            return;
        }
        (void)ccz_party_reload(k->party, "kmsd"); /* for new connections; the others go on */
        kmsd_prov_reload(k->prov);
        kmsd_https_reload(k->https);
    }
}

/* Everything before the store can be opened. @param[out] stopped  by a signal, while it waited for shares */
static ccz_rc prepare(struct kmsd *k, bool *stopped, const struct kmsd_opts *o,
                      const sigset_t *signals, struct ccz_err *err)
{
    int n = snprintf(k->listen, sizeof(k->listen), "%s", o->listen);
    if (n < 0 || (size_t)n >= sizeof(k->listen))
        return ccz_fail(err, CCZ_E_ARG, "kmsd:listen", n, "the address is too long");
    ccz_rc rc = kmsd_keys_open(&k->keys, o, err);
    if (rc != CCZ_OK)
        return rc;
    return kmsd_wait_unsealed(k->listen, stopped, &k->keys, o, signals, err);
}

/* Each door limits its connections; together they must not be more than the process may have, or one door's crowd shuts the
 * others, and whoever watches /healthz restarts the KMS. */
static void raise_files(void)
{
    enum { ENOUGH = 4096 };
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < ENOUGH)
        ccz_log(CCZ_LOG_WARN, "kmsd", "files=%llu of %d that connections may need: ulimit -Hn",
                (unsigned long long)files.rlim_cur, ENOUGH);
}

int kmsd_run(const struct kmsd_opts *o)
{
    ccz_log_install(ccz_log_stderr, NULL, CCZ_LOG_INFO);
    raise_files();
    sigset_t signals; /* blocked in every thread, waited for in this one */
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigaddset(&signals, KMSD_UNSEALED);
    (void)sigaddset(&signals, KMSD_BACKUP);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(
        SIGXFSZ,
        SIG_IGN); /* a full quota must be an error of one call, not the end of the server */
    (void)signal(SIGPIPE, SIG_IGN);

    struct ccz_err err = {0};
    struct kmsd k = {0};
    bool stopped = false;
    ccz_rc rc = prepare(&k, &stopped, o, &signals, &err);
    if (rc == CCZ_OK && stopped) {
        shut_down(&k);
        return UI_OK;
    }
    if (rc == CCZ_OK)
        rc = start(&k, o, &err);
    if (rc == CCZ_OK) {
        if (k.simulated)
            ui_simulated("evidence of this KMS, or evidence it accepts, comes from a software TEE");
        uint8_t instance[CCZ_KMS_INSTANCE_SIZE];
        char hex[2 * CCZ_KMS_INSTANCE_SIZE + 1];
        ccz_kms_store_instance(instance, k.store);
        ccz_hex(hex, instance, sizeof(instance));
        ccz_log(CCZ_LOG_INFO, "kmsd", "ready port=%u tee=%s instance=%s%s",
                ccz_rpc_server_port(k.rpc), o->tee, hex, k.simulated ? " SIMULATED" : "");
        rc = kmsd_write_port(o->port_file, ccz_rpc_server_port(k.rpc),
                             &err); /* last: who waits for it finds all said */
    }
    if (rc == CCZ_OK)
        wait_for_end(&k, o, &signals);
    shut_down(&k);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}
