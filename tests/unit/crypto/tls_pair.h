/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TLS_PAIR_H
#define CCZ_TLS_PAIR_H
/* Identities, hooks and two connected ends over memory, for test_tls.c. */
#include "crypto/tls_priv.h"

#include <openssl/err.h>

enum { NOW = 1735689600, WIRE_MAX = 1 << 26 };

static struct ccz_err err;

/* ---------------------------------------------------------------------------- identities */

struct id {
    struct ccz_key *key;
    struct ccz_buf der;
};
static struct id server_id, client_id;

static inline struct id new_id(const char *cn, enum ccz_curve curve)
{
    struct id id;
    CHECK(ccz_key_generate(&id.key, curve) == CCZ_OK);
    ccz_buf_init(&id.der, CCZ_CERT_SIZE_MAX);
    CHECK(ccz_cert_issue(&id.der,
                         &(struct ccz_cert_cfg){.cn = cn, .key = id.key, .not_after_s = NOW},
                         &err) == CCZ_OK);
    return id;
}

static inline void free_id(struct id *id)
{
    ccz_key_free(id->key);
    ccz_buf_free(&id->der);
}

/* --------------------------------------------------------------------------------- hooks */

/* What the hook of one side saw, and what it answers. */
struct judge {
    ccz_rc answer;
    const char *where; /* NULL: gives no reason */
    size_t asked;
    void *conn_arg;
    struct ccz_buf der;
};

static inline ccz_rc on_cert(void *arg, void *conn_arg, struct ccz_span der, struct ccz_err *e)
{
    struct judge *j = arg;
    j->asked++;
    j->conn_arg = conn_arg;
    ccz_buf_clear(&j->der);
    ccz_buf_put_span(&j->der, der);
    if (j->answer != CCZ_OK && j->where)
        return ccz_refuse(e, j->answer, j->where, "this", "that");
    return j->answer;
}

static inline struct judge new_judge(void)
{
    struct judge j = {.answer = CCZ_OK};
    ccz_buf_init(&j.der, CCZ_CERT_SIZE_MAX);
    return j;
}

/* ----------------------------------------------------------------------------- two ends */

static inline struct ccz_tls_ctx *new_ctx(const struct ccz_tls_cfg *cfg)
{
    struct ccz_tls_ctx *ctx = NULL;
    ccz_rc rc = ccz_tls_ctx_new(&ctx, cfg, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK);
    return ctx;
}

struct end {
    struct ccz_tls *t;
    ccz_rc rc;
    struct ccz_err err;
};
struct pair {
    struct end client, server;
};

/* Moves what `from` has for the wire to `to`; @p chunk bytes at a time. */
static inline size_t move(struct ccz_tls *to, struct ccz_tls *from, size_t chunk)
{
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, WIRE_MAX);
    CHECK(ccz_tls_drain(&wire, from) == CCZ_OK && ccz_tls_pending(from) == 0);
    for (size_t at = 0; at < wire.size; at += chunk) {
        size_t n = wire.size - at < chunk ? wire.size - at : chunk;
        CHECK(ccz_tls_feed(to, CCZ_SPAN(wire.ptr + at, n)) == CCZ_OK);
    }
    return wire.size;
}

static inline void step(struct end *e)
{
    struct ccz_err seen = {.rc = CCZ_OK};
    ccz_rc rc = ccz_tls_step(e->t, &seen);
    if (e->rc == CCZ_OK && rc != CCZ_OK) {
        CHECK(seen.rc == rc && seen.where[0] != 0); /* every failure says where */
        e->rc = rc;
        e->err = seen;
    }
    CHECK(ERR_peek_error() == 0); /* nothing left in OpenSSL's queue */
}

static char client_tag, server_tag; /* what the hooks get as conn_arg */

static inline struct pair new_pair(struct ccz_tls_ctx *client, struct ccz_tls_ctx *server)
{
    struct pair p = {.client.rc = CCZ_OK};
    CHECK(ccz_tls_new(&p.client.t, client, &client_tag, "localhost") == CCZ_OK);
    CHECK(ccz_tls_new(&p.server.t, server, &server_tag, NULL) == CCZ_OK);
    return p;
}

/* Steps and moves until nobody has anything to say. */
static inline void shake_chunks(struct pair *p, size_t chunk)
{
    size_t moved;
    do {
        step(&p->client);
        moved = move(p->server.t, p->client.t, chunk);
        step(&p->server);
        moved += move(p->client.t, p->server.t, chunk);
    } while (moved > 0);
    step(&p->client);
}

static inline void shake(struct pair *p)
{
    shake_chunks(p, SIZE_MAX);
}

static inline void free_pair(struct pair *p)
{
    ccz_tls_free(p->client.t);
    ccz_tls_free(p->server.t);
}

static inline bool both_ready(const struct pair *p)
{
    return p->client.rc == CCZ_OK && p->server.rc == CCZ_OK && ccz_tls_ready(p->client.t) &&
           ccz_tls_ready(p->server.t);
}

/* Two contexts for mutual TLS with ALPN h2, the base of most tests. */
struct world {
    struct judge client_judge, server_judge;
    struct ccz_tls_ctx *client, *server;
};
static const char *const h2[] = {"h2", NULL};

static inline struct ccz_tls_cfg client_cfg(struct judge *j)
{
    return (struct ccz_tls_cfg){.cert_der = ccz_buf_span(&client_id.der),
                                .key = client_id.key,
                                .verify = on_cert,
                                .verify_arg = j,
                                .alpn = h2};
}

static inline struct ccz_tls_cfg server_cfg(struct judge *j)
{
    return (struct ccz_tls_cfg){.server = true,
                                .cert_der = ccz_buf_span(&server_id.der),
                                .key = server_id.key,
                                .require_peer_cert = true,
                                .verify = on_cert,
                                .verify_arg = j,
                                .alpn = h2};
}

static inline void new_world(struct world *w)
{
    w->client_judge = new_judge();
    w->server_judge = new_judge();
    struct ccz_tls_cfg c = client_cfg(&w->client_judge), s = server_cfg(&w->server_judge);
    w->client = new_ctx(&c);
    w->server = new_ctx(&s);
}

static inline void free_world(struct world *w)
{
    ccz_tls_ctx_free(w->client);
    ccz_tls_ctx_free(w->server);
    ccz_buf_free(&w->client_judge.der);
    ccz_buf_free(&w->server_judge.der);
}

static inline void check_read(struct ccz_tls *t, const void *want, size_t size)
{
    CCZ_AUTO_BUF got;
    ccz_buf_init(&got, WIRE_MAX);
    CHECK(ccz_tls_read(&got, t, &err) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_buf_span(&got), CCZ_SPAN(want, size)));
}
#endif
