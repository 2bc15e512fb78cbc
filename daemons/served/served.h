/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SERVED_H
#define CCZ_SERVED_H
/*
 * cczoo-served: an attested model server. Start-up, in this order:
 *   options.c  what to serve, to whom, with which evidence
 *   model.c    attest to the KMS, receive the key, decrypt into the engine
 *   als.c      the same for bundles of recommenders, and a newer one at SIGHUP
 *   bundle.c   the same for signed bundles of models (bundle.h)
 *   revoke.c   asks the KMS whether what is served may still be, and has it unloaded if not
 *   serve.c    gRPC on RA-TLS, a pool of workers for the model
 *   rest.c     the same model over HTTPS
 *   main.c     puts them together, waits for a signal, drains
 */
#include <cczoo/engine.h>
#include <cczoo/infer.h>
#include <cczoo/kms.h>
#include <cczoo/net.h>
#include <cczoo/party.h>
#include <cczoo/rpc.h>

struct served_opts {
    const char *listen, *rest, *port_file, *rest_port_file;
    const char *model_name, *model_dir;
    int64_t model_version;
    const char *engine;         /* "tensorflow" or "als" */
    const char *tensorflow;     /* path of libtensorflow_cc.so.2 */
    const char *trainer_policy; /* als: whose evidence a bundle must carry */
    const char *order;          /* als: secret of the KMS, which a bundle must fulfil */
    bool any_order;             /* als, instead of it */
    bool oblivious;             /* als */
    int64_t threads;            /* workers = model runs at a time */
    const char *replica;        /* name in the response header "ccz-replica" */
    const char *tee, *sim_dir, *trust_sim, *collateral, *collateral_from, *collateral_ca_file;
    int64_t grace_s;
    int64_t reattest_s;        /* 0 = never */
    const char *client_policy; /* NULL = clients need no evidence */
    const char *kms, *kms_policy, *kms_key, *kms_id;
    const char
        *bundle_signer; /* --model-dir is a bundle: FILE or secret/NAME of who must have signed */
    const char *bundle_owner; /* the same of the owner, or NULL */
    int64_t kms_poll_s;       /* bundles: how often the KMS is asked */
    int64_t kms_grace_s;      /* how long they are served while it does not answer; 0 = for ever */
    struct ccz_kms_instance instance; /* of kms_id; zeroed: that of the first value */
    bool insecure_tls_only;           /* a test port without attestation */
};
/* Returns -1 to go on, else the exit status. */
int served_options(struct served_opts *o, int argc, char **argv);

/* Own evidence, for the KMS and for clients. The software TEE measures TensorFlow's two libraries too. */
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
/* Decrypts the protected files of the model folder straight into the engine. */
ccz_rc served_load_model(struct ccz_model **out, struct ccz_engine *engine,
                         const struct served_opts *o, const struct ccz_secret *key,
                         struct ccz_err *err);

/* Bundles of recommenders: engine, key and model, again and again. */
struct served_als;
ccz_rc served_als_new(struct served_als **out, const struct served_opts *o,
                      struct ccz_attester *attester, struct ccz_err *err);
/* What lies in the model folder now, if it is newer than what is served; keeps that if it is not, or is refused
 * (recsys:version-reused: another model under the version that is served). */
ccz_rc served_als_load(struct served_als *a, struct ccz_infer *infer, struct ccz_err *err);
void served_als_free(struct served_als *a); /* after the models of its engine */

/*
 * What is served and can be taken back. A thread asks the KMS every few seconds, as whoever was given the keys, and calls `gone` for
 * each version whose key would not be released any more; or for all, when the KMS has not answered for longer than the grace.
 */
#define SERVED_HELD_MAX 64
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
/* From now on it is asked about. @param kms  which one gave the key  @retval CCZ_E_LIMIT served:held */
ccz_rc served_revoke_hold(struct served_revoke *r, const struct served_held *held,
                          const struct ccz_kms_instance *kms, struct ccz_err *err);
/* It is served no more, for other reasons. */
void served_revoke_let_go(struct served_revoke *r, const char *model, int64_t version);
void served_revoke_stop(struct served_revoke *r); /* waits for it and frees it; NULL is fine */

/* A signed bundle: engine, keys and model, again and again. */
struct served_bundle;
ccz_rc served_bundle_new(struct served_bundle **out, const struct served_opts *o,
                         struct ccz_attester *attester, struct ccz_infer *infer,
                         struct ccz_err *err);
/* What lies in the model folder now, as served_als_load(). Also what was revoked, if the KMS gives its key again. */
ccz_rc served_bundle_load(struct served_bundle *b, struct ccz_err *err);
void served_bundle_stop(struct served_bundle *b); /* before the models are freed */
void served_bundle_free(struct served_bundle *b); /* after that */

/* Workers: jobs run in the order they came; the queue is bounded in jobs and in bytes of requests. */
#define SERVED_BUSY "the queue of the model is full" /* what a client is told when it is */
struct served_pool;
typedef void (*served_job_fn)(void *job);
ccz_rc served_pool_new(struct served_pool **out, unsigned threads, struct ccz_err *err);
/* @p size: bytes that wait with the job. False when the queue is full: the caller answers UNAVAILABLE. */
bool served_pool_submit(struct served_pool *p, served_job_fn fn, void *job, size_t size);
void served_pool_free(struct served_pool *p); /* finishes what is queued */

/* Registers the gRPC surface of @p infer on @p server. */
struct served_grpc;
ccz_rc served_grpc_new(struct served_grpc **out, struct ccz_rpc_server *server,
                       struct ccz_infer *infer, struct served_pool *pool, const char *replica,
                       struct ccz_err *err);
void served_grpc_free(struct served_grpc *g);

/* HTTPS server on a loop thread of its own. */
struct served_rest;
ccz_rc served_rest_start(struct served_rest **out, const char *listen, struct ccz_party *party,
                         struct ccz_infer *infer, struct served_pool *pool, struct ccz_err *err);
uint16_t served_rest_port(const struct served_rest *r);
/* Takes no more requests and answers those that it has, at the latest within @p grace_ms. Does not wait. */
void served_rest_drain(struct served_rest *r, int64_t grace_ms);
void served_rest_join(struct served_rest *r); /* waits for that */
void served_rest_free(struct served_rest *r); /* after the workers ended */

#endif
