/* SPDX-License-Identifier: Apache-2.0 */
#include "served.h"

#include "../../cli/ui.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct served {
    struct ccz_attester *attester;
    struct served_engines *engines;
    struct served_store *store;   /* many models; NULL: one, in service by `single` */
    struct served_single *single; /* and loaded by one of these, or as protected files */
    struct served_als *als;
    struct served_bundle *bundle;
    struct ccz_kms_instance kms; /* of protected files */
    struct served_work work;
    struct ccz_party *party, *rest_party;
    struct ccz_rpc_server *rpc;
    struct served_grpc *grpc;
    struct served_rest *rest;
    struct served_cert *cert, *rest_cert; /* of the KMS; NULL = none */
    struct ccz_metrics *metrics;
    atomic_bool loaded; /* many models: or given up */
    bool ended;         /* a signal has ended it before */
};

/* A model may let others wait for ever. Until the main thread waits for signals, this one does. */
static void *wait_early(void *arg)
{
    struct served *s = arg;
    sigset_t ends;
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGTERM);
    (void)sigaddset(&ends, SIGINT);
    const struct timespec step = {.tv_nsec = 100000000};
    while (!atomic_load(&s->loaded) && !s->ended) {
        int signo = sigtimedwait(&ends, NULL, &step);
        if (signo > 0) {
            ccz_log(CCZ_LOG_INFO, "served", "stopping signal=%d", signo);
            s->ended = true;
            served_store_stop(s->store);
        }
    }
    return NULL;
}

/* Until every model is there or has failed. */
static ccz_rc load_all(struct served *s, struct ccz_err *err)
{
    pthread_t thread;
    int e = pthread_create(&thread, NULL, wait_early, s);
    if (e != 0)
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "served:start", e, "cannot start a thread");
    ccz_rc rc = served_store_configure(s->store, true, err);
    atomic_store(&s->loaded, true);
    (void)pthread_join(thread, NULL);
    return rc == CCZ_OK && s->ended
               ? ccz_fail(err, CCZ_E_CLOSED, "served:start", 0, "ended by a signal")
               : rc;
}

static ccz_rc load_many(struct served *s, const struct served_opts *o, struct ccz_err *err)
{
    ccz_rc rc = served_store_new(&s->store, o, s->attester, s->engines, &s->work, err);
    if (rc != CCZ_OK)
        return rc;
    served_work_configure(&s->work, o, served_store_catalog(s->store));
    if (o->models_in_clear)
        ccz_log(CCZ_LOG_WARN, "served",
                "models=in-clear: whoever can write %s chooses what is served",
                o->tfs.base_path ? o->tfs.base_path : "the folders of the models");
    return load_all(s, err);
}

/* What lies in the model folder now. */
static ccz_rc load_single(struct served *s, const struct served_opts *o, struct ccz_err *err)
{
    return s->als      ? served_als_load(s->als, err)
           : s->bundle ? served_bundle_load(s->bundle, err)
                       : served_protected_load(s->single, o, &s->kms, s->attester, s->engines, err);
}

static ccz_rc load(struct served *s, const struct served_opts *o, struct ccz_err *err)
{
    ccz_rc rc = served_open_attester(&s->attester, o, err);
    if (rc == CCZ_OK)
        rc = served_engines_new(&s->engines, o, err);
    if (rc == CCZ_OK)
        rc = served_work_open(&s->work, o, err);
    if (rc != CCZ_OK)
        return rc;
    if (o->many)
        return load_many(s, o, err);
    served_work_configure(&s->work, o, NULL);
    rc = ccz_sched_model(s->work.sched, o->model_name, &(struct ccz_sched_model_cfg){0}, err);
    if (rc != CCZ_OK)
        return rc;
    rc = served_single_new(&s->single, o, s->attester, s->work.models, err);
    if (rc == CCZ_OK && o->bundle_signer)
        rc = served_bundle_new(&s->bundle, o, s->attester, s->engines, s->single, err);
    else if (rc == CCZ_OK && strcmp(o->engine, "als") == 0)
        rc = served_als_new(&s->als, o, s->attester, s->single, err);
    s->kms = o->instance;
    return rc == CCZ_OK ? load_single(s, o, err) : rc;
}

static ccz_rc open_party(struct ccz_party **out, const struct served *s,
                         const struct served_opts *o, enum ccz_ratls_profile profile,
                         struct served_cert *cert, struct ccz_err *err)
{
    static const char *const h2[] = {"h2", NULL};
    bool session = profile == CCZ_RATLS_SESSION;
    bool stock = profile == CCZ_RATLS_TLS_ONLY_INSECURE || (session && cert);
    const struct ccz_party_cfg cfg = {
        .attester = profile == CCZ_RATLS_TLS_ONLY_INSECURE ? NULL : s->attester,
        .collateral_dir = o->collateral,
        .trust_sim_dir = o->trust_sim,
        .collateral_from = o->collateral_from,
        .collateral_ca_file = o->collateral_ca_file,
        .reattest_interval_ms = session ? o->reattest_s * 1000 : 0,
        .policy_file = session ? o->client_policy : NULL,
        .profile = profile,
        /* clients of the REST API are anybody's, and come once for many requests */
        .emit =
            profile == CCZ_RATLS_CERTIFICATE && !cert ? CCZ_RATLS_EMIT_BOTH : CCZ_RATLS_EMIT_DICE,
        .certify = cert ? served_cert_issue : NULL,
        .certify_arg = cert,
        .server = true,
        .peer_evidence_optional = !session || !o->client_policy,
        /* gRPC demands it; many HTTPS clients send none, and those that do accept that none is chosen */
        .alpn = stock ? h2 : NULL,
    };
    return ccz_party_new(out, &cfg, err);
}

static ccz_rc write_port(const char *file, uint16_t port, struct ccz_err *err)
{
    char text[8];
    (void)snprintf(text, sizeof(text), "%u\n", port);
    return file ? ccz_file_write(file, ccz_span_str(text), 0644, CCZ_FILE_REPLACE, err) : CCZ_OK;
}

static void on_renewed(void *rpc, struct ccz_ratls_ctx *ctx)
{
    ccz_rpc_server_set_ratls(rpc, ctx);
}

static ccz_rc listen_rest(struct served *s, const struct served_opts *o, struct ccz_err *err)
{
    ccz_rc rc = o->cert_from ? served_cert_new(&s->rest_cert, o, s->attester, err) : CCZ_OK;
    if (rc == CCZ_OK)
        rc = open_party(&s->rest_party, s, o, CCZ_RATLS_CERTIFICATE, s->rest_cert, err);
    const struct served_rest_cfg cfg = {.listen = o->rest,
                                        .party = s->rest_party,
                                        .work = &s->work,
                                        .timeout_ms = o->tfs.rest_timeout_ms};
    if (rc == CCZ_OK)
        rc = served_rest_start(&s->rest, &cfg, err);
    if (rc == CCZ_OK && s->rest_cert)
        rc = served_cert_start(s->rest_cert, s->rest_party, err);
    return rc == CCZ_OK ? write_port(o->rest_port_file, served_rest_port(s->rest), err) : rc;
}

static ccz_rc listen_all(struct served *s, const struct served_opts *o, struct ccz_err *err)
{
    enum ccz_ratls_profile profile =
        o->insecure_tls_only ? CCZ_RATLS_TLS_ONLY_INSECURE : CCZ_RATLS_SESSION;
    ccz_rc rc = o->cert_from && profile == CCZ_RATLS_SESSION
                    ? served_cert_new(&s->cert, o, s->attester, err)
                    : CCZ_OK;
    if (rc == CCZ_OK)
        rc = open_party(&s->party, s, o, profile, s->cert, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_rpc_server_cfg cfg = {.listen = o->listen,
                                     .ratls = ccz_party_ratls(s->party),
                                     .connection_age_ms = o->connection_age_s * 1000};
    if (!served_flags_channel(&cfg, o->tfs.channel_arguments))
        return ccz_fail(err, CCZ_E_ARG, "served:channel-arguments", 0, "see above");
    rc = ccz_rpc_server_new(&s->rpc, &cfg, err);
    if (rc == CCZ_OK)
        rc = served_grpc_new(&s->grpc, s->rpc, &s->work, o->replica, err);
    if (rc == CCZ_OK && o->tfs.health)
        rc = served_grpc_health(s->grpc, s->rpc, err);
    if (rc == CCZ_OK && o->rest)
        rc = listen_rest(s, o, err);
    if (rc == CCZ_OK && o->metrics)
        rc = ccz_metrics_start(&s->metrics,
                               &(struct ccz_metrics_cfg){.listen = o->metrics,
                                                         .put = served_work_put_metrics,
                                                         .arg = &s->work},
                               err);
    if (rc == CCZ_OK && ccz_party_attach(s->party, on_renewed, s->rpc) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_NOMEM, "served:start", 0, "out of memory");
    if (rc == CCZ_OK && s->cert)
        rc = served_cert_start(s->cert, s->party, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_start(s->rpc, err);
    return rc == CCZ_OK ? write_port(o->port_file, ccz_rpc_server_port(s->rpc), err) : rc;
}

/* In the reverse order of dependence: no new calls, queued work ends, then what the work needs. */
static void shut_down(struct served *s, int64_t grace_ms)
{
    served_end_within(grace_ms + SERVED_END_MS);
    served_cert_stop(s->cert); /* before the parties that they renew */
    served_cert_stop(s->rest_cert);
    served_store_stop(s->store); /* reloads that wait */
    served_rest_drain(s->rest, grace_ms);
    if (s->rpc)
        ccz_rpc_server_stop(s->rpc, grace_ms);
    served_rest_join(s->rest);
    ccz_metrics_free(
        s->metrics); /* its thread looks at the scheduler; until here it tells how the drain goes */
    served_work_close(&s->work);
    served_rest_free(s->rest);
    if (s->rpc)
        ccz_party_detach(s->party, on_renewed, s->rpc); /* it renews by itself */
    ccz_rpc_server_free(s->rpc);
    served_grpc_free(s->grpc);
    ccz_party_free(s->party);
    ccz_party_free(s->rest_party);
    served_cert_free(s->cert);
    served_single_stop(s->single);
    served_cert_free(s->rest_cert);
    served_store_free(s->store);
    served_work_free(&s->work);
    served_als_free(s->als);
    served_bundle_free(s->bundle);
    served_single_free(s->single);
    served_engines_free(s->engines);
    ccz_attester_free(s->attester);
}

/* SIGHUP: collateral and identities anew, for new connections; the others go on. Models: those of the configuration, a newer
 * bundle, or what was taken out of service and may be served again. */
static void reload(struct served *s, const struct served_opts *o)
{
    struct ccz_err err = {0};
    (void)ccz_party_reload(s->party, "served");
    if (s->rest_party)
        (void)ccz_party_reload(s->rest_party, "served-rest");
    ccz_rc rc = s->store ? served_store_reload(s->store, &err) : load_single(s, o, &err);
    if (rc != CCZ_OK)
        ccz_log_err(CCZ_LOG_ERROR, "served", "model=kept", &err);
}

/* Until a signal ends it; the configuration is looked at as often as was asked for. */
static void wait_for_end(struct served *s, const struct served_opts *o, const sigset_t *signals)
{
    const int64_t poll_s = s->store && o->tfs.models_file ? o->tfs.models_poll_s : 0;
    for (;;) {
        const struct timespec limit = {.tv_sec = poll_s ? poll_s : 86400};
        int signo = sigtimedwait(signals, NULL, &limit);
        if (signo == SIGTERM || signo == SIGINT) {
            ccz_log(CCZ_LOG_INFO, "served", "stopping signal=%d", signo);
            return;
        }
        struct ccz_err err = {0};
        if (signo == SIGHUP)
            reload(s, o);
        else if (poll_s && served_store_configure(s->store, false, &err) != CCZ_OK)
            ccz_log_err(CCZ_LOG_ERROR, "served", "configuration=kept", &err);
    }
}

int main(int argc, char **argv)
{
    ccz_process_harden();
    struct served_opts o;
    int status = served_options(&o, argc, argv);
    if (status >= 0)
        return status;
    ccz_log_install(ccz_log_stderr, NULL, CCZ_LOG_INFO);
    (void)setenv("TF_CPP_MIN_LOG_LEVEL", "2", 0); /* TensorFlow's errors only; before any thread */
    sigset_t signals;                             /* blocked in every thread, waited for below */
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);

    struct ccz_err err = {0};
    struct served s = {0};
    ccz_rc rc = served_config_read(&o.tfs, &err);
    if (rc == CCZ_OK)
        rc = load(&s, &o, &err);
    if (rc == CCZ_OK)
        rc = listen_all(&s, &o, &err);
    if (rc == CCZ_OK) {
        if (ccz_party_simulated(s.party))
            ui_simulated("evidence of this server comes from a software TEE");
        ccz_log(CCZ_LOG_INFO, "served", "ready model=%s port=%u rest_port=%u attested=%s",
                o.many ? "(configuration)" : o.model_name, ccz_rpc_server_port(s.rpc),
                s.rest ? served_rest_port(s.rest) : 0u, o.insecure_tls_only ? "no" : "yes");
        wait_for_end(&s, &o, &signals);
        served_leave(&s.work, s.grpc, o.leave_s * 1000);
    }
    shut_down(&s, o.grace_s * 1000);
    return rc == CCZ_OK || s.ended ? UI_OK : ui_fail(&err);
}
