/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KMS_NET_H
#define KMS_NET_H
/* A server and its clients over RA-TLS on the loopback. */
#include "ccz_test.h"
#include "kms/kms_fixture.h"

/* Evidence of a toy TEE: the quote is the report data. What the verifier of the real one does is
 * tested elsewhere. */
static inline ccz_rc toy_attest(void *arg, struct ccz_buf *quote, const uint8_t report_data[64],
                                struct ccz_err *err)
{
    (void)arg;
    (void)err;
    ccz_buf_put(quote, report_data, 64);
    return CCZ_OK;
}

static inline ccz_rc toy_appraise(void *arg, struct ccz_claims *claims, struct ccz_span quote,
                                  struct ccz_err *err)
{
    (void)arg;
    if (quote.size != 64)
        return ccz_fail(err, CCZ_E_FORMAT, "toy:quote", 0, "not a toy quote");
    *claims = fix_peer(FIX_WORKLOAD).claims;
    memcpy(claims->report_data, quote.ptr, 64);
    return CCZ_OK;
}

static inline int64_t fixed_now(void *arg)
{
    (void)arg;
    return FIX_NOW;
}

/* ------------------------------------------------------------------------------ ends */

struct server {
    struct ccz_kms_store *store;
    struct ccz_kms_service *service;
    struct ccz_ratls_ctx *ratls;
    struct ccz_rpc_server *rpc;
    char target[32];
    struct ccz_key *admin; /* the administrator's key */
};

static inline void spki_digest(uint8_t out[32], const struct ccz_key *key)
{
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, 256);
    CHECK(ccz_key_spki(&spki, key) == CCZ_OK && ccz_sha256(out, ccz_buf_span(&spki)) == CCZ_OK);
}

static inline void listen_as(struct server *s, const struct ccz_rpc_server_cfg *like,
                             ccz_ratls_pin_fn pin, void *pin_arg)
{
    struct ccz_err err = {0};
    const struct ccz_ratls_cfg ratls = {.server = true,
                                        .now_s = FIX_NOW,
                                        .attest = toy_attest,
                                        .appraise = toy_appraise,
                                        .peer_evidence_optional = true,
                                        .pin = pin,
                                        .pin_arg = pin_arg};
    if (ccz_ratls_ctx_new(&s->ratls, &ratls, &err) != CCZ_OK)
        fix_die(err.msg);
    struct ccz_rpc_server_cfg cfg = *like;
    cfg.listen = "127.0.0.1:0";
    cfg.ratls = s->ratls;
    if (ccz_rpc_server_new(&s->rpc, &cfg, &err) != CCZ_OK)
        fix_die(err.msg);
}

static inline void listen_with(struct server *s, ccz_ratls_pin_fn pin, void *pin_arg)
{
    listen_as(s, &(struct ccz_rpc_server_cfg){0}, pin, pin_arg);
}

static inline void start(struct server *s)
{
    struct ccz_err err = {0};
    if (ccz_rpc_server_start(s->rpc, &err) != CCZ_OK)
        fix_die(err.msg);
    (void)snprintf(s->target, sizeof(s->target), "127.0.0.1:%u", ccz_rpc_server_port(s->rpc));
}

/* Of the next servers: while the store is nobody's yet. */
static void (*serve_fill)(struct ccz_kms_store *store);

static inline void serve_kms_as(struct server *s, uint8_t master_fill,
                                const struct ccz_kms_rates *rates,
                                const struct ccz_rpc_server_cfg *rpc)
{
    *s = (struct server){0};
    struct ccz_err err = {0};
    uint8_t spki[32];
    CHECK(ccz_key_generate(&s->admin, CCZ_P256) == CCZ_OK);
    spki_digest(spki, s->admin);
    struct ccz_secret *master = fix_master(master_fill);
    CHECK(cczi_kms_store_memory(&s->store, master, spki, FIX_NOW, &err) == CCZ_OK);
    ccz_secret_free(master);
    if (serve_fill)
        serve_fill(s->store);
    const struct ccz_kms_service_cfg cfg = {.store = s->store,
                                            .clock = {fixed_now, NULL},
                                            .info = {"test", "toy", true, FIX_NOW, 0},
                                            .rates = *rates};
    CHECK(ccz_kms_service_new(&s->service, &cfg, &err) == CCZ_OK);
    struct ccz_rpc_server_cfg like = *rpc;
    like.admit = ccz_kms_service_admit;
    like.admit_arg = s->service;
    listen_as(s, &like, ccz_kms_service_pin, s->service);
    CHECK(ccz_kms_service_add(s->service, s->rpc) == CCZ_OK);
    start(s);
}

static inline void serve_kms_of(struct server *s, uint8_t master_fill)
{
    serve_kms_as(s, master_fill, &(struct ccz_kms_rates){0}, &(struct ccz_rpc_server_cfg){0});
}

static inline void serve_kms(struct server *s)
{
    serve_kms_of(s, 1);
}

static inline void stop(struct server *s)
{
    ccz_rpc_server_stop(s->rpc, 2000);
    ccz_kms_service_free(s->service);
    ccz_rpc_server_free(s->rpc);
    ccz_ratls_ctx_free(s->ratls);
    ccz_kms_store_free(s->store);
    ccz_key_free(s->admin);
}

struct client {
    struct ccz_ratls_ctx *ratls;
    struct ccz_rpc_client *rpc;
};

/* With a key: an administrator. Without: a workload. */
static inline ccz_rc connect_as(struct client *c, const struct server *s, const struct ccz_key *key,
                                struct ccz_err *err)
{
    *c = (struct client){0};
    const struct ccz_ratls_cfg ratls = {
        .now_s = FIX_NOW, .key = key, .attest = key ? NULL : toy_attest, .appraise = toy_appraise};
    ccz_rc rc = ccz_ratls_ctx_new(&c->ratls, &ratls, err);
    const struct ccz_rpc_client_cfg cfg = {.target = s->target, .ratls = c->ratls};
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_new(&c->rpc, &cfg, err);
    return rc == CCZ_OK ? ccz_rpc_client_connect(NULL, c->rpc, err) : rc;
}

static inline void leave(struct client *c)
{
    ccz_rpc_client_free(c->rpc);
    ccz_ratls_ctx_free(c->ratls);
}
#endif
