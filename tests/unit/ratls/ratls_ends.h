/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RATLS_ENDS_H
#define CCZ_RATLS_ENDS_H
/* Two ends of an RA-TLS connection in one process, the wire in the test's hands. */
#include <cczoo/ratls.h>

#include "ccz_test.h"
#include "ratls/toy_evidence.h"

#define RATLS_NOW INT64_C(1767225600)

struct end {
    struct toy toy;
    struct ccz_ratls_cfg cfg;
    struct ccz_ratls_ctx *ctx;
    struct ccz_ratls *r;
    struct ccz_err err;
    ccz_rc rc;
};

static inline void close_end(struct end *e)
{
    ccz_ratls_free(e->r);
    ccz_ratls_ctx_free(e->ctx);
    e->r = NULL;
    e->ctx = NULL;
}

static inline void make_end(struct end *e, bool server, enum ccz_ratls_profile profile)
{
    memset(e, 0, sizeof(*e));
    e->cfg = (struct ccz_ratls_cfg){.profile = profile, .server = server, .now_s = RATLS_NOW};
    if (profile == CCZ_RATLS_TLS_ONLY_INSECURE)
        return;
    e->cfg.attest = toy_attest;
    e->cfg.appraise = toy_appraise;
    e->cfg.attest_arg = e->cfg.appraise_arg = &e->toy;
}

static inline void open_end(struct end *e)
{
    CHECK(ccz_ratls_ctx_new(&e->ctx, &e->cfg, &e->err) == CCZ_OK);
    CHECK(ccz_ratls_new(&e->r, e->ctx) == CCZ_OK);
    e->rc = CCZ_OK;
}

static inline void move(struct end *to, struct end *from)
{
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 1 << 20);
    CHECK(ccz_ratls_drain(&wire, from->r) == CCZ_OK);
    CHECK(ccz_ratls_feed(to->r, ccz_buf_span(&wire)) == CCZ_OK);
    if (to->rc == CCZ_OK)
        to->rc = ccz_ratls_step(to->r, &to->err);
}

static inline void run(struct end *c, struct end *s)
{
    c->rc = ccz_ratls_step(c->r, &c->err); /* ClientHello */
    for (int i = 0; i < 8; i++) {
        move(s, c);
        move(c, s);
    }
}

static inline void open_and_run(struct end *c, struct end *s)
{
    open_end(c);
    open_end(s);
    run(c, s);
}

#endif
