/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SERVED_H
#define CCZ_SERVED_H
/*
 * cczoo-served: an attested model server. Start-up, in this order:
 *   options.c  what to serve, to whom, with which evidence; flags.c the same by the flags of TensorFlow Serving
 *   config.c   its configuration files
 *   keys.c     own evidence; keys from the KMS
 *   engines.c, folder.c, trust.c   what a model is loaded by, and from: protected files, files in clear, signed bundles
 *   one model (--model-dir):  protected.c (protected files), als.c (recommenders), bundle.c (a newer one at SIGHUP); single.c what they share
 *   many models (--model_config_file, --model_base_path):  store.c
 *   revoke.c   asks the KMS whether what is served may still be, and has it unloaded if not
 *   work.c     the scheduler, whose workers run the models; metrics
 *   serve.c    gRPC on RA-TLS
 *   rest.c     the same models over HTTPS; gunzip.c
 *   main.c     puts them together, waits for a signal, drains
 */
#include <cczoo/bundle.h>
#include <cczoo/crypto.h>
#include <cczoo/engine.h>
#include <cczoo/infer.h>
#include <cczoo/kms.h>
#include <cczoo/net.h>
#include <cczoo/party.h>
#include <cczoo/rpc.h>
#include <cczoo/sched_infer.h>
#include <cczoo/serve.h>

/* Flags of TensorFlow Serving. */
struct served_tfs {
    int64_t port, rest_port; /* -1 = not given */
    int64_t rest_timeout_ms, models_poll_s, poll_s, load_threads, load_retries, retry_us;
    int64_t session_threads, intra_threads, inter_threads, warm_up_iterations;
    const char *model_name, *base_path, *models_file, *batching_file, *session_file, *platform_file,
        *monitoring_file, *saved_model_tag, *channel_arguments, *socket_path;
    bool health, cors, batching, model_batching, unavailable_labels, warm_up, method_name_check,
        tensor_content, version;
    struct ccz_sched_batching batching_params; /* from here on: of the files */
    struct ccz_serve_monitoring monitoring;
};
void served_flags_default(struct served_tfs *t);
/* Takes them out of argv. Returns -1 to go on, else the exit status. */
int served_flags(struct served_tfs *t, int *argc, char **argv);
void served_flags_help(void);
/* --grpc_channel_arguments; false after saying what is wrong. */
bool served_flags_channel(struct ccz_rpc_server_cfg *cfg, const char *text);

struct served_opts {
    const char *listen, *rest, *port_file, *rest_port_file;
    const char *model_name, *model_dir;
    int64_t model_version;
    struct served_tfs tfs;
    bool many;            /* models by a configuration, not --model-dir */
    bool models_in_clear; /* many: folders of plain files are loaded */
    bool
        reload_by_clients; /* many: HandleReloadConfigRequest of clients that satisfy client_policy */
    bool reload_by_anybody;  /* many: of whoever connects */
    const char *engine;      /* "auto" (what the files say), "tensorflow", "onnxruntime" or "als" */
    const char *tensorflow;  /* path of libtensorflow_cc.so.2 */
    const char *onnxruntime; /* path of libonnxruntime.so.1 */
    const char *metrics;     /* address of plain HTTP for Prometheus, or NULL */
    int64_t queue, queue_all;   /* requests that may wait: of one model, in all */
    int64_t inline_us;          /* models that are faster run on the loop's thread; 0 = none */
    int64_t connection_age_s;   /* 0 = any */
    const char *trainer_policy; /* als: whose evidence a bundle must carry */
    const char *order;          /* als: secret of the KMS, which a bundle must fulfil */
    bool any_order;             /* als, instead of it */
    bool oblivious;             /* als */
    int64_t threads;            /* workers = model runs at a time */
    const char *replica;        /* name in the response header "ccz-replica" */
    const char *tee, *sim_dir, *trust_sim, *collateral, *collateral_from, *collateral_ca_file;
    int64_t grace_s;
    int64_t leave_s; /* not ready for so long before connections end */
    int64_t run_limit_s;
    int64_t input_mb;          /* input tensors of one request; 0 = the library's default */
    int64_t reattest_s;        /* 0 = never */
    const char *client_policy; /* NULL = clients need no evidence */
    const char *kms, *kms_policy, *kms_key, *kms_id;
    const char
        *bundle_signer; /* --model-dir is a bundle: FILE or secret/NAME of who must have signed */
    const char *bundle_owner; /* the same of the owner, or NULL */
    bool unsigned_too;        /* many, bundle_signer: protected files are loaded as well */
    const char *cert_from, *cert_names; /* key/NAME of the KMS that issues certificates */
    int64_t cert_life_s;                /* 0 = as the KMS does it */
    int64_t kms_poll_s;                 /* bundles: how often the KMS is asked */
    int64_t kms_grace_s; /* how long they are served while it does not answer; 0 = for ever */
    struct ccz_kms_instance instance; /* of kms_id; zeroed: that of the first value */
    bool insecure_tls_only;           /* a test port without attestation */
};
/* Returns -1 to go on, else the exit status. */
int served_options(struct served_opts *o, int argc, char **argv);

/* What the configuration files say, into the same structure. */
ccz_rc served_config_read(struct served_tfs *t, struct ccz_err *err);
/* The list of models as it was at the last look. */
struct served_configured {
    bool known;
    uint8_t sha256[32];
};
/* @param[out] same  nothing has changed since, and *out is empty */
ccz_rc served_config_models(struct ccz_serve_models *out, bool *same,
                            struct served_configured *seen, const struct served_opts *o,
                            struct ccz_err *err);

/* Own evidence, for the KMS and for clients. The software TEE measures the engines' libraries too. */
ccz_rc served_open_attester(struct ccz_attester **out, const struct served_opts *o,
                            struct ccz_err *err);

/* An attested connection to the KMS. Zeroed: none. */
struct served_kms {
    struct ccz_party *party;
    struct ccz_rpc_client *client;
};
ccz_rc served_kms_open(struct served_kms *k, const struct served_opts *o,
                       struct ccz_attester *attester, struct ccz_err *err);
void served_kms_close(struct served_kms *k);

/* The certificate of the REST listener from the KMS: one at the start, the next after two thirds of its life. */
struct served_cert;
ccz_rc served_cert_new(struct served_cert **out, const struct served_opts *o,
                       struct ccz_attester *attester, struct ccz_err *err);
/* ccz_ratls_certify_fn */
ccz_rc served_cert_issue(void *cert, struct ccz_buf *der, const struct ccz_key *key,
                         struct ccz_err *err);
/* From now on @p party is renewed in time; it is borrowed until served_cert_stop(). */
ccz_rc served_cert_start(struct served_cert *c, struct ccz_party *party, struct ccz_err *err);
void served_cert_stop(struct served_cert *c); /* NULL is fine, as below */
void served_cert_free(struct served_cert *c); /* after the party */

/* One item of the KMS. */
struct served_item {
    const char *name; /* key/NAME or secret/NAME */
    uint32_t ask;     /* the version that is asked for; 0 = the latest */
    struct ccz_secret *value;
    uint32_t version; /* that was given */
};
/* Attests to the KMS and gets them all, or none. @param[in,out] kms  which one: it stays the same for the life of the server */
ccz_rc served_get_items(struct served_item *items, size_t len, const struct served_opts *o,
                        struct ccz_kms_instance *kms, struct ccz_attester *attester,
                        struct ccz_err *err);
/* Engines by the names of their back ends; any thread. */
struct served_engines;
ccz_rc served_engines_new(struct served_engines **out, const struct served_opts *o,
                          struct ccz_err *err);
ccz_rc served_engines_get(struct ccz_engine **out, struct served_engines *e, const char *backend,
                          struct ccz_err *err);
void served_engines_free(struct served_engines *e); /* after the models */

/* The files of a folder, opened. @param dir, key  borrowed until served_folder_free(); key NULL: files in clear */
struct served_folder;
ccz_rc served_folder_open(struct served_folder **out, const char *dir, const struct ccz_secret *key,
                          struct ccz_err *err);
struct ccz_model_cfg served_folder_cfg(struct served_folder *f);
/* By the engine that its files ask for. @param tag  of a SavedModel; NULL = serve */
ccz_rc served_folder_load(struct ccz_model **out, struct served_folder *f,
                          struct served_engines *engines, const char *tag, struct ccz_err *err);
void served_folder_free(struct served_folder *f);
/* What a model does at its first run only, before it has clients: nothing, if it cannot be run on zeros. Nobody else uses it meanwhile. */
void served_first_run(struct ccz_model *model);

/* What is between transports and models. Zeroed: nothing. */
struct served_hooks {
    struct ccz_serve_metrics *metrics;
    struct ccz_catalog *catalog; /* or NULL */
};
struct served_work {
    struct ccz_infer *models;
    struct ccz_serve_metrics *metrics;
    struct ccz_sched *sched;
    struct ccz_sched_infer *infer;
    struct ccz_serve_monitoring monitoring;
    struct served_hooks hooks;
    void (*put_more)(void *arg, struct ccz_buf *out); /* metrics of a transport; NULL = none */
    void *more_arg;
};
ccz_rc served_work_open(struct served_work *w, const struct served_opts *o, struct ccz_err *err);
/* Before the first call. @param catalog  takes reloads, if clients may ask for them; NULL: there are none */
void served_work_configure(struct served_work *w, const struct served_opts *o,
                           struct ccz_catalog *catalog);
void served_on_reload(void *hooks, struct ccz_span config, struct ccz_run_status *st);
int64_t served_on_metric(void *hooks, struct ccz_span name);
void served_on_done(void *hooks, const struct ccz_infer_done *done);
#define SERVED_METRICS_TYPE "text/plain; version=0.0.4"
void served_work_put_metrics(void *work, struct ccz_buf *out);
/* True: the request was for the metrics, which are in @p out. */
bool served_work_metrics(struct served_work *w, struct ccz_buf *out,
                         const struct ccz_http_req *req);
void served_work_close(struct served_work *w); /* no more calls: ends the workers */
void served_work_free(struct served_work *w);  /* and the models */

/* Signed bundles: who may have signed, which key, how one is loaded. */
struct served_source {
    const struct served_opts *opts;
    struct ccz_attester *attester;
    struct ccz_kms_instance *kms; /* which one keys come from */
    struct served_engines *engines;
    /* Before the model is given out; may be NULL. */
    ccz_rc (*warm)(void *arg, struct ccz_model *model, const struct ccz_model_cfg *files,
                   struct ccz_err *err);
    void *warm_arg;
};
struct served_want {
    const char *dir, *name;
    int64_t version, version_min; /* 0: any */
};
/* Opened as far as signatures and rules go. */
ccz_rc served_trust_open(struct ccz_bundle **out, const struct served_source *s,
                         const struct served_want *want, struct ccz_err *err);
ccz_rc served_trust_load(struct ccz_model **out, const struct served_source *s,
                         struct ccz_bundle *bundle, struct ccz_err *err);

/*
 * What is served and can be taken back. A thread asks the KMS every few seconds, as whoever was given the keys, and calls `gone` for
 * each version whose key would not be released any more, and for each to which it has not said yes for longer than the grace.
 */
struct served_held {
    char model[CCZ_INFER_NAME_SIZE_MAX + 1];
    int64_t version;
    char item[CCZ_KMS_ITEM_SIZE]; /* its key */
    uint32_t key_version;
};
struct served_revoke;
struct served_revoke_cfg {
    const struct served_opts *opts;
    struct ccz_attester *attester;
    /* On the thread of the KMS. @param why  where of the refusal; "" = the grace is over, and it may come back */
    void (*gone)(void *arg, const struct served_held *held, const char *why);
    void *arg;
};
ccz_rc served_revoke_start(struct served_revoke **out, const struct served_revoke_cfg *cfg,
                           struct ccz_err *err);
/* From now on it is asked about. @param kms  which one gave the key  @retval CCZ_E_NOMEM served:held */
ccz_rc served_revoke_hold(struct served_revoke *r, const struct served_held *held,
                          const struct ccz_kms_instance *kms, struct ccz_err *err);
/* It is served no more, for other reasons. */
void served_revoke_let_go(struct served_revoke *r, const char *model, int64_t version);
void served_revoke_stop(
    struct served_revoke *r); /* no more `gone`; the list may still be changed; NULL is fine */
void served_revoke_free(struct served_revoke *r); /* stopped or not; NULL is fine */

/* One model under a key of the KMS: in service, and taken out of it when the key is taken back (revoke.c). */
struct served_single;
ccz_rc served_single_new(struct served_single **out, const struct served_opts *o,
                         struct ccz_attester *attester, struct ccz_infer *infer,
                         struct ccz_err *err);
/* Takes the place of the version that is served, and is asked about from now on; or is not served. One thread at a time.
 * @param model  on CCZ_OK owned by the server and set to NULL */
ccz_rc served_single_publish(struct served_single *s, const struct served_held *held,
                             const struct ccz_kms_instance *kms, struct ccz_model **model,
                             struct ccz_err *err);
/* In service; 0 = none: not yet, or not any more. */
int64_t served_single_version(struct served_single *s);
void served_single_stop(struct served_single *s); /* no more revocations; NULL is fine */
void served_single_free(struct served_single *s); /* NULL is fine */

/* Protected files: what lies in the model folder, unless something is served. @param[in,out] kms  which one: the first answer decides */
ccz_rc served_protected_load(struct served_single *single, const struct served_opts *o,
                             struct ccz_kms_instance *kms, struct ccz_attester *attester,
                             struct served_engines *engines, struct ccz_err *err);

/* Bundles of recommenders: engine, key and model, again and again. */
struct served_als;
ccz_rc served_als_new(struct served_als **out, const struct served_opts *o,
                      struct ccz_attester *attester, struct served_single *single,
                      struct ccz_err *err);
/* What lies in the model folder now, if it is newer than what is served; keeps that if it is not, or is refused
 * (recsys:version-reused: another model under the version that was served last). Also what was revoked, if the KMS gives its key again. */
ccz_rc served_als_load(struct served_als *a, struct ccz_err *err);
void served_als_free(struct served_als *a); /* after the models of its engine */

/* A signed bundle: engine, keys and model, again and again. */
struct served_bundle;
ccz_rc served_bundle_new(struct served_bundle **out, const struct served_opts *o,
                         struct ccz_attester *attester, struct served_engines *engines,
                         struct served_single *single, struct ccz_err *err);
/* What lies in the model folder now, as served_als_load(). Also what was revoked, if the KMS gives its key again. */
ccz_rc served_bundle_load(struct served_bundle *b, struct ccz_err *err);
void served_bundle_free(struct served_bundle *b);

/* Models by a configuration. */
struct served_store;
/* @param[out] out  also on an error: served_store_free() */
ccz_rc served_store_new(struct served_store **out, const struct served_opts *o,
                        struct ccz_attester *attester, struct served_engines *engines,
                        struct served_work *work, struct ccz_err *err);
struct ccz_catalog *served_store_catalog(const struct served_store *s);
/* Puts the configuration into effect if it is another one. @param wait  until every new model is there or has failed, which is an error */
ccz_rc served_store_configure(struct served_store *s, bool wait, struct ccz_err *err);
/* The same also if it is the one that was in effect last: a client may have replaced it since. */
ccz_rc served_store_reload(struct served_store *s, struct ccz_err *err);
/* Who waits for models, waits no more; and the scheduler is left alone from now on. */
void served_store_stop(struct served_store *s);
void served_store_free(struct served_store *s); /* before the models are freed */

/* Registers the gRPC surface on @p server. */
struct served_grpc;
ccz_rc served_grpc_new(struct served_grpc **out, struct ccz_rpc_server *server,
                       struct served_work *work, const char *replica, struct ccz_err *err);
/* --enable_grpc_healthcheck_service: before the server starts. "" and models by their names, as they are ready; and TensorFlow Serving's two. */
ccz_rc served_grpc_health(struct served_grpc *g, struct ccz_rpc_server *server,
                          struct ccz_err *err);
void served_grpc_leave(struct served_grpc *g); /* health says that nothing serves; NULL is fine */
void served_grpc_free(struct served_grpc *g);  /* after the server; ends before the models do */

/* end.c. Says that this server is not ready, and serves on for @p wait_ms or until a second signal: the main thread's. */
void served_leave(struct served_work *w, struct served_grpc *g, int64_t wait_ms);
/* Whatever runs: the process ends after @p ms, with a line in the log and status UI_ENV. Once. */
void served_end_within(int64_t ms);
enum { SERVED_END_MS = 5000 }; /* behind the grace, for models and engines to be taken down */

/* gunzip.c: "gzip" and "deflate". @param[out] out  up to its max_size; false: damaged, or larger */
bool served_gunzip_knows(const char *encoding);
bool served_gunzip(struct ccz_buf *out, struct ccz_span in);

/* HTTPS server on a loop thread of its own. */
struct served_rest;
struct served_rest_cfg {
    const char *listen;
    struct ccz_party *party;
    struct served_work *work;
    int64_t timeout_ms; /* of one request */
};
ccz_rc served_rest_start(struct served_rest **out, const struct served_rest_cfg *rest,
                         struct ccz_err *err);
uint16_t served_rest_port(const struct served_rest *r);
/* Takes no more requests and answers those that it has, at the latest within @p grace_ms. Does not wait. */
void served_rest_drain(struct served_rest *r, int64_t grace_ms);
void served_rest_join(struct served_rest *r); /* waits for that */
void served_rest_free(struct served_rest *r); /* after the workers ended */

#endif
