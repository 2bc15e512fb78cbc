/* SPDX-License-Identifier: Apache-2.0 */
#include "served.h"

#include "../../cli/ui.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct served {
    struct ccz_attester *attester;
    struct ccz_engine *engine;    /* TensorFlow's */
    struct served_als *als;       /* instead of it */
    struct served_bundle *bundle; /* or this */
    struct ccz_infer *infer;
    struct served_pool *pool;
    struct ccz_party *party, *rest_party;
    struct ccz_rpc_server *rpc;
    struct served_grpc *grpc;
    struct served_rest *rest;
};

static ccz_rc load_tensorflow(struct served *s, const struct served_opts *o, struct ccz_err *err)
{
    const struct ccz_engine_cfg cfg = {.backend = "tensorflow",
                                       .library = o->tensorflow,
                                       .intra_threads = 1,
                                       .inter_threads = -1}; /* one run per worker, in the worker */
    struct served_item key = {.name = o->kms_key};
    struct ccz_model *model = NULL;
    struct ccz_kms_instance kms = o->instance;
    ccz_rc rc = served_get_items(&key, 1, o, &kms, s->attester, err);
    if (rc == CCZ_OK)
        rc = ccz_engine_open(&s->engine, &cfg, err);
    if (rc == CCZ_OK)
        rc = served_load_model(&model, s->engine, o, key.value, err);
    ccz_secret_free(key.value);
    if (rc == CCZ_OK)
        rc = ccz_infer_add(s->infer, o->model_name, o->model_version, &model, err);
    ccz_model_free(model);
    return rc;
}

/* The key is wiped before the first client is served: the model is all that is needed from then on. */
static ccz_rc load(struct served *s, const struct served_opts *o, struct ccz_err *err)
{
    ccz_rc rc = served_open_attester(&s->attester, o, err);
    if (rc == CCZ_OK)
        rc = ccz_infer_new(&s->infer, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_infer_configure(s->infer, &(struct ccz_infer_cfg){.version = CCZ_VERSION});
    if (o->bundle_signer) {
        rc = served_bundle_new(&s->bundle, o, s->attester, s->infer, err);
        return rc == CCZ_OK ? served_bundle_load(s->bundle, err) : rc;
    }
    if (strcmp(o->engine, "als") != 0)
        return load_tensorflow(s, o, err);
    rc = served_als_new(&s->als, o, s->attester, err);
    return rc == CCZ_OK ? served_als_load(s->als, s->infer, err) : rc;
}

static ccz_rc open_party(struct ccz_party **out, const struct served *s,
                         const struct served_opts *o, enum ccz_ratls_profile profile,
                         struct ccz_err *err)
{
    static const char *const h2[] = {"h2", NULL};
    bool session = profile == CCZ_RATLS_SESSION;
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
        .emit = profile == CCZ_RATLS_CERTIFICATE ? CCZ_RATLS_EMIT_BOTH : CCZ_RATLS_EMIT_DICE,
        .server = true,
        .peer_evidence_optional = !session || !o->client_policy,
        /* gRPC demands it; many HTTPS clients send none, and those that do accept that none is chosen */
        .alpn = profile == CCZ_RATLS_TLS_ONLY_INSECURE ? h2 : NULL,
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

static ccz_rc listen_all(struct served *s, const struct served_opts *o, struct ccz_err *err)
{
    enum ccz_ratls_profile profile =
        o->insecure_tls_only ? CCZ_RATLS_TLS_ONLY_INSECURE : CCZ_RATLS_SESSION;
    ccz_rc rc = open_party(&s->party, s, o, profile, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_server_cfg cfg = {.listen = o->listen, .ratls = ccz_party_ratls(s->party)};
    rc = served_pool_new(&s->pool, (unsigned)o->threads, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_new(&s->rpc, &cfg, err);
    if (rc == CCZ_OK)
        rc = served_grpc_new(&s->grpc, s->rpc, s->infer, s->pool, o->replica, err);
    if (rc == CCZ_OK && o->rest) {
        rc = open_party(&s->rest_party, s, o, CCZ_RATLS_CERTIFICATE, err);
        if (rc == CCZ_OK)
            rc = served_rest_start(&s->rest, o->rest, s->rest_party, s->infer, s->pool, err);
        if (rc == CCZ_OK)
            rc = write_port(o->rest_port_file, served_rest_port(s->rest), err);
    }
    if (rc == CCZ_OK && ccz_party_attach(s->party, on_renewed, s->rpc) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_NOMEM, "served:start", 0, "out of memory");
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_start(s->rpc, err);
    return rc == CCZ_OK ? write_port(o->port_file, ccz_rpc_server_port(s->rpc), err) : rc;
}

/* In the reverse order of dependence: no new calls, queued work ends, then what the work needs. */
static void shut_down(struct served *s, int64_t grace_ms)
{
    served_rest_drain(s->rest, grace_ms);
    if (s->rpc)
        ccz_rpc_server_stop(s->rpc, grace_ms);
    served_rest_join(s->rest);
    served_pool_free(s->pool);
    served_rest_free(s->rest);
    ccz_rpc_server_free(s->rpc);
    served_grpc_free(s->grpc);
    ccz_party_free(s->party);
    ccz_party_free(s->rest_party);
    served_bundle_stop(s->bundle);
    ccz_infer_free(s->infer);
    ccz_engine_free(s->engine);
    served_als_free(s->als);
    served_bundle_free(s->bundle);
    ccz_attester_free(s->attester);
}

/* SIGHUP: collateral and identities anew, for new connections; the others go on. Bundles: a newer model as well. */
static void wait_for_end(struct served *s, const sigset_t *signals)
{
    for (;;) {
        int signo = 0;
        (void)sigwait(signals, &signo);
        if (signo != SIGHUP) {
            ccz_log(CCZ_LOG_INFO, "served", "stopping signal=%d", signo);
            return;
        }
        (void)ccz_party_reload(s->party, "served");
        if (s->rest_party)
            (void)ccz_party_reload(s->rest_party, "served-rest");
        struct ccz_err err = {0};
        ccz_rc rc = s->als      ? served_als_load(s->als, s->infer, &err)
                    : s->bundle ? served_bundle_load(s->bundle, &err)
                                : CCZ_OK;
        if (rc != CCZ_OK)
            ccz_log_err(CCZ_LOG_ERROR, "served", "model=kept", &err);
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
    ccz_rc rc = load(&s, &o, &err);
    if (rc == CCZ_OK)
        rc = listen_all(&s, &o, &err);
    if (rc == CCZ_OK) {
        if (ccz_party_simulated(s.party))
            ui_simulated("evidence of this server comes from a software TEE");
        ccz_log(CCZ_LOG_INFO, "served", "ready model=%s port=%u rest_port=%u attested=%s",
                o.model_name, ccz_rpc_server_port(s.rpc), s.rest ? served_rest_port(s.rest) : 0u,
                o.insecure_tls_only ? "no" : "yes");
        wait_for_end(&s, &signals);
    }
    shut_down(&s, o.grace_s * 1000);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}
