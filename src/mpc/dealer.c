/* SPDX-License-Identifier: Apache-2.0 */
/* The dealer's side. Its memory is that of the largest block; it keeps nothing of what it has dealt. */
#include "deal.h"

#include <cczoo/ring.h>

#include <stdlib.h>
#include <string.h>

struct dealer {
    struct ccz_chan *chan[2];
    struct ccz_mpc_dealer_cfg cfg;
    unsigned bits;
    struct ccz_stream *stream[2];
    struct ccz_buf request[2];
    struct ccz_buf answer;
    /* factors of both parties and the product, of one block */
    struct cczi_words a[2], b[2], c, windows;
};

static void dealer_deinit(struct dealer *d)
{
    for (int i = 0; i < 2; i++) {
        ccz_stream_free(d->stream[i]);
        ccz_buf_free(&d->request[i]);
        cczi_words_deinit(&d->a[i]);
        cczi_words_deinit(&d->b[i]);
    }
    ccz_buf_free(&d->answer);
    cczi_words_deinit(&d->c);
    cczi_words_deinit(&d->windows);
}

/* --------------------------------------------------------------------------------------- hello */

static ccz_rc check_hello(const uint8_t hello[2][CCZI_DEAL_HELLO], struct ccz_err *err)
{
    uint8_t expected[CCZI_DEAL_HELLO];
    for (unsigned i = 0; i < 2; i++) {
        unsigned bits = hello[i][9];
        if (!cczi_mpc_is_ring(bits))
            bits = 64;
        cczi_deal_hello(expected, hello[i][8], bits, hello[i] + 16);
        if (hello[i][8] > 1 || memcmp(hello[i], expected, CCZI_DEAL_HELLO) != 0)
            return ccz_refuse_bytes(err, CCZ_E_PEER, "mpc:dealer-hello", hello[i], 16, expected,
                                    16);
        if (hello[i][8] != i)
            return ccz_refuse_num(err, CCZ_E_PEER, "mpc:dealer-role", hello[i][8], i);
    }
    if (memcmp(hello[0] + 16, hello[1] + 16, 32) != 0)
        return ccz_refuse_bytes(err, CCZ_E_PEER, "mpc:dealer-session", hello[1] + 16, 32,
                                hello[0] + 16, 32);
    if (hello[0][9] != hello[1][9])
        return ccz_refuse_num(err, CCZ_E_PEER, "mpc:dealer-mismatch", hello[1][9], hello[0][9]);
    return CCZ_OK;
}

static ccz_rc send_seed(struct dealer *d, unsigned i, struct ccz_err *err)
{
    static const uint8_t iv[CCZ_STREAM_IV_SIZE];
    uint8_t seed[CCZI_DEAL_SEED];
    ccz_rc rc = ccz_random(seed, sizeof(seed));
    if (rc == CCZ_OK)
        rc = ccz_stream_new(&d->stream[i]);
    if (rc == CCZ_OK)
        rc = ccz_stream_start(d->stream[i], seed, iv);
    if (rc != CCZ_OK)
        rc = ccz_fail(err, rc, "mpc:random", 0, "the random generator failed");
    else
        rc = ccz_chan_send(d->chan[i], CCZ_SPAN(seed, sizeof(seed)), err);
    ccz_wipe(seed, sizeof(seed));
    return rc;
}

/* Whoever comes with role 1 through the first channel is refused: the caller knows who is who. */
static ccz_rc greet(struct dealer *d, struct ccz_err *err)
{
    uint8_t hello[2][CCZI_DEAL_HELLO];
    ccz_rc rc = CCZ_OK;
    for (unsigned i = 0; i < 2 && rc == CCZ_OK; i++)
        rc = ccz_chan_recv_exact(hello[i], CCZI_DEAL_HELLO, d->chan[i], err);
    if (rc == CCZ_OK)
        rc = check_hello((const uint8_t(*)[CCZI_DEAL_HELLO])hello, err);
    if (rc == CCZ_OK && d->cfg.fresh && !d->cfg.fresh(d->cfg.arg, hello[0] + 16))
        rc = ccz_fail(err, CCZ_E_DENIED, "mpc:dealer-session", 0,
                      "this session has been dealt to before");
    d->bits = hello[0][9];
    for (unsigned i = 0; i < 2 && rc == CCZ_OK; i++)
        rc = send_seed(d, i, err);
    return rc;
}

/* -------------------------------------------------------------------------------------- blocks */

static ccz_rc room(struct cczi_words *w, size_t len, struct ccz_err *err)
{
    if (len <= w->len)
        return CCZ_OK;
    cczi_words_deinit(w);
    return cczi_words_init(w, len, err);
}

/* c = product of the sums of the factors, minus what party 0 has of it. */
static ccz_rc multiply(struct dealer *d, const struct cczi_deal_block *b, struct ccz_err *err)
{
    const struct ccz_mpc_need *n = &b->need;
    const struct ccz_mpc_conv *v = &n->conv;
    const bool cross = cczi_mpc_is_cross(n->kind);
    uint64_t *x = d->a[cross ? n->owner : 0].v, *y = d->b[cross ? 1 - n->owner : 0].v, *c = d->c.v;
    ccz_rc rc = CCZ_OK;
    if (n->kind == CCZ_MPC_AND) {
        for (size_t i = 0; i < b->c_len; i++)
            c[i] ^= (x[i] ^ d->a[1].v[i]) & (y[i] ^ d->b[1].v[i]);
        return CCZ_OK;
    }
    ccz_ring_scale(c, c, UINT64_MAX, b->c_len, d->bits);
    if (!cross)
        ccz_ring_add(x, x, d->a[1].v, b->a_len, d->bits);
    if (!cross && n->kind != CCZ_MPC_SQUARE)
        ccz_ring_add(y, y, d->b[1].v, b->b_len, d->bits);
    switch (n->kind) {
    case CCZ_MPC_SQUARE:
        ccz_ring_mul_add(c, x, x, b->c_len, d->bits);
        break;
    case CCZ_MPC_MATMUL:
    case CCZ_MPC_CROSS_MATMUL:
        ccz_ring_matmul_add(c, x, y, n->m, n->k, n->n, d->bits);
        break;
    case CCZ_MPC_CROSS_CONV2D: {
        size_t rows = v->batch * v->oh * v->ow, row = v->kh * v->kw * v->c;
        rc = room(&d->windows, rows * row, err);
        if (rc == CCZ_OK) {
            cczi_mpc_windows(d->windows.v, y, v);
            ccz_ring_matmul_add(c, d->windows.v, x, rows, row, v->o, d->bits);
        }
        break;
    }
    default:
        ccz_ring_mul_add(c, x, y, b->c_len, d->bits);
    }
    return rc;
}

static ccz_rc deal_block(struct dealer *d, const struct cczi_deal_block *b, struct ccz_err *err)
{
    ccz_rc rc = room(&d->c, b->c_len, err);
    for (unsigned i = 0; i < 2 && rc == CCZ_OK; i++) {
        rc = room(&d->a[i], b->a_len, err);
        if (rc == CCZ_OK)
            rc = room(&d->b[i], b->b_len, err);
        if (rc == CCZ_OK)
            rc = cczi_deal_expand(d->a[i].v, d->b[i].v, d->c.v, b, i, d->bits, d->stream[i], err);
    }
    if (rc == CCZ_OK)
        rc = multiply(d, b, err);
    if (rc != CCZ_OK)
        return rc;
    uint8_t *out = ccz_buf_extend(&d->answer, b->c_size);
    if (!out)
        return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "no memory for an answer");
    if (b->need.kind == CCZ_MPC_AND)
        ccz_ring_pack_bits(out, d->c.v, b->need.n);
    else
        ccz_ring_pack(out, d->c.v, b->c_len, d->bits);
    return CCZ_OK;
}

static ccz_rc flush(struct dealer *d, struct ccz_err *err)
{
    if (d->answer.size == 0)
        return CCZ_OK;
    ccz_rc rc = ccz_chan_send(d->chan[1], ccz_buf_span(&d->answer), err);
    ccz_buf_clear(&d->answer);
    return rc;
}

/* ------------------------------------------------------------------------------------ requests */

static ccz_rc check_limit(const struct dealer *d, const struct ccz_mpc_need *needs, size_t len,
                          struct ccz_err *err)
{
    uint64_t all = 0, most = d->cfg.len_max ? d->cfg.len_max : UINT64_C(1) << 28;
    for (size_t i = 0; i < len; i++) {
        struct ccz_mpc_item l;
        ccz_rc rc = cczi_mpc_item_lens(&l, &needs[i], err);
        if (rc != CCZ_OK)
            return rc;
        /* shares of both parties; of CROSS needs each has one factor */
        all += 2 * (uint64_t)(l.a_len + l.b_len + l.c_len) + l.v_len + l.x_len;
        if (needs[i].kind == CCZ_MPC_CROSS_CONV2D) { /* windows are what the memory goes to */
            const struct ccz_mpc_conv *c = &needs[i].conv;
            uint64_t w = 0;
            if (__builtin_mul_overflow((uint64_t)c->kh * c->kw * c->c, l.c_len / c->o, &w))
                w = most + 1;
            all += w;
        }
        if (all > most)
            return ccz_refuse_num(err, CCZ_E_LIMIT, "mpc:dealer-limit", (int64_t)all,
                                  (int64_t)most);
    }
    return CCZ_OK;
}

static ccz_rc deal(struct dealer *d, const struct ccz_mpc_need *needs, size_t len,
                   struct ccz_err *err)
{
    struct cczi_deal_block b = {.index = SIZE_MAX};
    ccz_rc rc = check_limit(d, needs, len, err);
    while (rc == CCZ_OK && cczi_deal_next(&b, needs, len, d->bits)) {
        rc = deal_block(d, &b, err);
        if (rc == CCZ_OK && d->answer.size >= CCZI_DEAL_MESSAGE)
            rc = flush(d, err);
    }
    return rc == CCZ_OK ? flush(d, err) : rc;
}

/* One request of both; *done when both said goodbye. */
static ccz_rc serve(bool *done, struct dealer *d, struct ccz_err *err)
{
    struct ccz_mpc_need *needs = NULL;
    size_t len;
    ccz_rc rc = CCZ_OK;
    for (unsigned i = 0; i < 2 && rc == CCZ_OK; i++) {
        ccz_buf_clear(&d->request[i]);
        rc = ccz_chan_recv(&d->request[i], d->chan[i], err);
    }
    if (rc != CCZ_OK)
        return rc;
    struct ccz_span a = ccz_buf_span(&d->request[0]), b = ccz_buf_span(&d->request[1]);
    if (!ccz_span_eq(a, b))
        return ccz_fail(err, CCZ_E_PEER, "mpc:dealer-mismatch", (int64_t)a.size,
                        "the parties ask for different things (%zu and %zu bytes)", a.size, b.size);
    *done = a.size == 0;
    if (*done)
        return CCZ_OK;
    rc = cczi_deal_read(&needs, &len, a, err);
    if (rc == CCZ_OK)
        rc = deal(d, needs, len, err);
    free(needs);
    return rc;
}

ccz_rc ccz_mpc_dealer_run(struct ccz_chan *chan0, struct ccz_chan *chan1,
                          const struct ccz_mpc_dealer_cfg *cfg, struct ccz_err *err)
{
    struct dealer d = {.chan = {chan0, chan1}};
    struct ccz_err own = {0};
    bool done = false;
    if (cfg)
        d.cfg = *cfg;
    for (int i = 0; i < 2; i++)
        ccz_buf_init(&d.request[i], CCZI_DEAL_REQUEST_MAX);
    ccz_buf_init(&d.answer, CCZ_CHAN_MESSAGE_SIZE_MAX);
    d.answer.wipe = true;
    ccz_rc rc = greet(&d, &own);
    while (rc == CCZ_OK && !done)
        rc = serve(&done, &d, &own);
    dealer_deinit(&d);
    if (rc != CCZ_OK) { /* both are told why */
        ccz_chan_close_error(chan0, &own);
        ccz_chan_close_error(chan1, &own);
        if (err)
            *err = own;
    }
    return rc;
}
