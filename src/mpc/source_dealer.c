/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clients' side of the dealer. For a CROSS need the dealer deals a random u to the owner of x, v to the other party and
 * shares of f(u, v). The owner sends x - u to the other party, which adds f(x - u, v): shares of f(x, v), and the dealer has
 * seen nothing of x.
 */
#include "deal.h"

#include <cczoo/ring.h>

#include <stdlib.h>
#include <string.h>

struct source {
    struct ccz_mpc *m;
    struct ccz_chan *dealer;
    struct ccz_stream *stream; /* of the dealer's seed; NULL: not greeted yet */
};

static ccz_rc greet(struct source *s, struct ccz_err *err)
{
    static const uint8_t iv[CCZ_STREAM_IV_SIZE];
    uint8_t hello[CCZI_DEAL_HELLO], seed[CCZI_DEAL_SEED];
    CCZ_AUTO(ccz_stream) stream = NULL;
    if (s->stream)
        return CCZ_OK;
    cczi_deal_hello(hello, s->m->cfg.role, s->m->cfg.ring_bits, s->m->session);
    ccz_rc rc = ccz_chan_send(s->dealer, CCZ_SPAN(hello, sizeof(hello)), err);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv_exact(seed, sizeof(seed), s->dealer, err);
    if (rc != CCZ_OK)
        return rc;
    rc = ccz_stream_new(&stream);
    if (rc == CCZ_OK)
        rc = ccz_stream_start(stream, seed, iv);
    ccz_wipe(seed, sizeof(seed));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "mpc:random", 0, "the random stream failed");
    s->stream = ccz_stream_take(&stream);
    return CCZ_OK;
}

static ccz_rc ask(struct source *s, const struct ccz_mpc_need *needs, size_t len,
                  struct ccz_err *err)
{
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, CCZI_DEAL_REQUEST_MAX);
    for (size_t i = 0; i < len; i++)
        cczi_deal_put_need(&msg, &needs[i]);
    if (msg.bad && len < CCZI_DEAL_REQUEST_MAX / (CCZI_DEAL_NEED + CCZI_DEAL_CONV))
        return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "no memory for a request");
    if (msg.bad)
        return ccz_fail(err, CCZ_E_LIMIT, "mpc:dealer-request", (int64_t)len,
                        "%zu needs are too many for a request", len);
    return ccz_chan_send(s->dealer, ccz_buf_span(&msg), err);
}

/* Sizes of the messages follow from those of the blocks. */
static size_t message_size(struct cczi_deal_block b, const struct ccz_mpc_need *needs, size_t len,
                           unsigned bits)
{
    size_t size = b.c_size;
    while (size < CCZI_DEAL_MESSAGE && cczi_deal_next(&b, needs, len, bits))
        size += b.c_size;
    return size;
}

static ccz_rc receive_c(uint64_t *c, struct ccz_buf *msg, size_t *at, struct source *s,
                        const struct cczi_deal_block *b, const struct ccz_mpc_need *needs,
                        size_t len, struct ccz_err *err)
{
    const unsigned bits = s->m->cfg.ring_bits;
    if (*at == msg->size) {
        size_t size = message_size(*b, needs, len, bits);
        ccz_buf_clear(msg);
        *at = 0;
        uint8_t *to = ccz_buf_extend(msg, size);
        if (!to)
            return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "no memory for an answer");
        ccz_rc rc = ccz_chan_recv_exact(to, size, s->dealer, err);
        if (rc != CCZ_OK)
            return rc;
    }
    if (b->need.kind == CCZ_MPC_AND)
        ccz_ring_unpack_bits(c, msg->ptr + *at, b->need.n);
    else
        ccz_ring_unpack(c, msg->ptr + *at, b->c_len, bits);
    *at += b->c_size;
    return CCZ_OK;
}

/* Everything but CROSS is then complete; u[i] gets the owner's masks of the others. */
static ccz_rc collect(struct ccz_mpc_item *items, struct cczi_words *u, struct source *s,
                      const struct ccz_mpc_need *needs, size_t len, struct ccz_err *err)
{
    const unsigned role = s->m->cfg.role, bits = s->m->cfg.ring_bits;
    struct cczi_deal_block b = {.index = SIZE_MAX};
    CCZ_AUTO_BUF msg;
    size_t at = 0;
    ccz_rc rc = CCZ_OK;
    ccz_buf_init(&msg, CCZ_CHAN_MESSAGE_SIZE_MAX);
    msg.wipe = true;
    for (size_t i = 0; i < len && rc == CCZ_OK; i++)
        if (cczi_mpc_is_cross(needs[i].kind) && role == needs[i].owner)
            rc = cczi_words_init(&u[i], items[i].x_len, err);
    while (rc == CCZ_OK && cczi_deal_next(&b, needs, len, bits)) {
        struct ccz_mpc_item *t = &items[b.index];
        bool cross = cczi_mpc_is_cross(b.need.kind);
        uint64_t *x = cross ? u[b.index].v : t->a, *y = cross ? t->v : t->b, *c = t->c + b.at;
        rc = cczi_deal_expand(x ? x + b.at : NULL, y ? y + b.at : NULL, c, &b, role, bits,
                              s->stream, err);
        if (rc == CCZ_OK && role == 1)
            rc = receive_c(c, &msg, &at, s, &b, needs, len, err);
    }
    return rc;
}

/* f(d, v) is added to c, at the party that has v. */
static ccz_rc add_cross(struct ccz_mpc_item *t, const struct ccz_mpc_need *need, const uint64_t *d,
                        unsigned bits, struct ccz_err *err)
{
    const struct ccz_mpc_conv *c = &need->conv;
    CCZI_AUTO_WORDS windows = {0};
    if (need->kind == CCZ_MPC_CROSS_MUL) {
        ccz_ring_mul_add(t->c, d, t->v, need->n, bits);
        return CCZ_OK;
    }
    if (need->kind == CCZ_MPC_CROSS_MATMUL) {
        ccz_ring_matmul_add(t->c, d, t->v, need->m, need->k, need->n, bits);
        return CCZ_OK;
    }
    size_t rows = c->batch * c->oh * c->ow, row = c->kh * c->kw * c->c;
    ccz_rc rc = cczi_words_init(&windows, rows * row, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_mpc_windows(windows.v, t->v, c);
    ccz_ring_matmul_add(t->c, windows.v, d, rows, row, c->o, bits);
    return CCZ_OK;
}

static ccz_rc finish_cross(struct ccz_mpc_item *items, struct cczi_words *u, struct source *s,
                           const struct ccz_mpc_need *needs, size_t len, struct ccz_err *err)
{
    struct ccz_mpc *m = s->m;
    const unsigned bits = m->cfg.ring_bits;
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < len && rc == CCZ_OK; i++) {
        if (!cczi_mpc_is_cross(needs[i].kind))
            continue;
        if (m->cfg.role == needs[i].owner) {
            ccz_ring_sub(u[i].v, items[i].x, u[i].v, u[i].len, bits);
            cczi_mpc_put(m, u[i].v, u[i].len, bits);
        } else {
            rc = cczi_words_init(&u[i], items[i].x_len, err);
            if (rc == CCZ_OK)
                cczi_mpc_want(m, u[i].v, u[i].len, bits);
        }
    }
    if (rc == CCZ_OK)
        rc = cczi_mpc_round(m, err);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++)
        if (cczi_mpc_is_cross(needs[i].kind) && m->cfg.role != needs[i].owner)
            rc = add_cross(&items[i], &needs[i], u[i].v, bits, err);
    return rc;
}

static ccz_rc dealer_prepare(struct ccz_mpc_item *items, void *self,
                             const struct ccz_mpc_need *needs, size_t len, struct ccz_err *err)
{
    struct source *s = self;
    struct cczi_words *u = NULL;
    ccz_rc rc = greet(s, err);
    if (rc == CCZ_OK)
        rc = ask(s, needs, len, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_alloc(&u, len, sizeof(*u), err);
    if (rc == CCZ_OK)
        rc = collect(items, u, s, needs, len, err);
    if (rc == CCZ_OK)
        rc = finish_cross(items, u, s, needs, len, err);
    cczi_mpc_count_rounds(s->m, 2); /* there and back */
    for (size_t i = 0; u && i < len; i++)
        cczi_words_deinit(&u[i]);
    free(u);
    return rc;
}

static bool dealer_can(void *self, const struct ccz_mpc_need *need)
{
    (void)self;
    return need->kind != CCZ_MPC_OTS;
}

static ccz_rc dealer_cost(struct ccz_mpc_cost *out, void *self, const struct ccz_mpc_need *needs,
                          size_t len, struct ccz_err *err)
{
    struct source *s = self;
    const unsigned bits = s->m->cfg.ring_bits;
    struct cczi_deal_block b = {.index = SIZE_MAX};
    (void)err;
    *out = (struct ccz_mpc_cost){.rounds = 2};
    bool cross = false;
    while (cczi_deal_next(&b, needs, len, bits)) {
        out->size += b.c_size;
        out->cpu_s += (double)(b.a_len + b.b_len + b.c_len) * 2e-9;
        if (cczi_mpc_is_cross(b.need.kind))
            out->size += b.a_len * (bits / 8);
        cross = cross || cczi_mpc_is_cross(b.need.kind);
    }
    for (size_t i = 0; i < len; i++) {
        bool conv = needs[i].kind == CCZ_MPC_CROSS_CONV2D;
        out->size += 2 * (uint64_t)(CCZI_DEAL_NEED + (conv ? CCZI_DEAL_CONV : 0));
    }
    out->rounds += cross;
    if (!s->stream)
        out->setup_size = 2 * (CCZI_DEAL_HELLO + CCZI_DEAL_SEED);
    return CCZ_OK;
}

static void dealer_free(void *self)
{
    struct source *s = self;
    if (s->stream) /* goodbye; a dealer that is gone already does not matter */
        (void)!ccz_chan_send(s->dealer, CCZ_SPAN(NULL, 0), NULL);
    ccz_stream_free(s->stream);
    free(s);
}

ccz_rc ccz_mpc_source_dealer_new(struct ccz_mpc_source **out, struct ccz_mpc *m,
                                 struct ccz_chan *dealer, struct ccz_err *err)
{
    static const struct ccz_mpc_source_ops ops = {.name = "dealer",
                                                  .can = dealer_can,
                                                  .cost = dealer_cost,
                                                  .prepare = dealer_prepare,
                                                  .free = dealer_free};
    struct source *s = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_alloc(&s, 1, sizeof(*s), err);
    if (rc != CCZ_OK)
        return rc;
    *s = (struct source){.m = m, .dealer = dealer};
    cczi_mpc_watch(m, dealer);
    return ccz_mpc_source_new(out, CCZ_MPC_SOURCE_DEALER, &ops, s, err);
}
