/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SERVED_H
#define CCZ_SERVED_H
/*
 * cczoo-served: an attested model server. Start-up, in this order:
 *   options.c  what to serve, to whom, with which evidence
 *   model.c    attest to the KMS, receive the key, decrypt into the engine
 *   als.c      the same for bundles of recommenders, and a newer one at SIGHUP
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
    struct ccz_kms_instance instance; /* of kms_id; zeroed: that of the first value */
    bool insecure_tls_only;           /* a test port without attestation */
};
/* Returns -1 to go on, else the exit status. */
int served_options(struct served_opts *o, int argc, char **argv);

/* Own evidence, for the KMS and for clients. The software TEE measures TensorFlow's two libraries too. */
ccz_rc served_open_attester(struct ccz_attester **out, const struct served_opts *o,
                            struct ccz_err *err);

/* One item of the KMS, its latest version. */
struct served_item {
    const char *name; /* key/NAME or secret/NAME */
    struct ccz_secret *value;
    uint32_t version;
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
