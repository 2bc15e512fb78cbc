/* SPDX-License-Identifier: Apache-2.0 */
/* Messages and streams of the dealer, used by both sides. */
#include "deal.h"

#include <stdlib.h>
#include <string.h>

void cczi_deal_hello(uint8_t out[CCZI_DEAL_HELLO], unsigned role, unsigned bits,
                     const uint8_t session[32])
{
    memset(out, 0, CCZI_DEAL_HELLO);
    memcpy(out, "CCZMPCD\1", 8);
    out[8] = (uint8_t)role;
    out[9] = (uint8_t)bits;
    memcpy(out + 16, session, 32);
}

/* ------------------------------------------------------------------------------------ requests */

static void conv_words(uint64_t out[11], const struct ccz_mpc_conv *c)
{
    const uint64_t w[11] = {c->batch, c->h,      c->w,   c->c,  c->kh, c->kw,
                            c->o,     c->stride, c->pad, c->oh, c->ow};
    memcpy(out, w, sizeof(w));
}

void cczi_deal_put_need(struct ccz_buf *out, const struct ccz_mpc_need *need)
{
    ccz_buf_u8(out, (uint8_t)need->kind);
    ccz_buf_u8(out, (uint8_t)need->owner);
    ccz_buf_u8(out, need->transposed);
    ccz_buf_u8(out, 0);
    ccz_buf_le32(out, 0);
    ccz_buf_le64(out, need->m);
    ccz_buf_le64(out, need->k);
    ccz_buf_le64(out, need->n);
    if (need->kind == CCZ_MPC_CROSS_CONV2D) {
        uint64_t w[11];
        conv_words(w, &need->conv);
        for (int i = 0; i < 11; i++)
            ccz_buf_le64(out, w[i]);
    }
}

static bool read_need(struct ccz_mpc_need *n, struct ccz_rd *r)
{
    unsigned kind = ccz_rd_u8(r);
    n->owner = ccz_rd_u8(r);
    unsigned transposed = ccz_rd_u8(r), zero = ccz_rd_u8(r) | ccz_rd_le32(r);
    n->m = (size_t)ccz_rd_le64(r);
    n->k = (size_t)ccz_rd_le64(r);
    n->n = (size_t)ccz_rd_le64(r);
    if (kind >= CCZ_MPC_OTS || transposed > 1 || zero)
        return false;
    n->kind = (enum ccz_mpc_need_kind)kind;
    n->transposed = transposed;
    if (kind == CCZ_MPC_CROSS_CONV2D) {
        struct ccz_mpc_conv *c = &n->conv;
        size_t *const fields[11] = {&c->batch, &c->h,      &c->w,   &c->c,  &c->kh, &c->kw,
                                    &c->o,     &c->stride, &c->pad, &c->oh, &c->ow};
        for (int i = 0; i < 11; i++)
            *fields[i] = (size_t)ccz_rd_le64(r);
    }
    struct ccz_mpc_item lens;
    return cczi_mpc_item_lens(&lens, n, NULL) == CCZ_OK;
}

ccz_rc cczi_deal_read(struct ccz_mpc_need **needs, size_t *len, struct ccz_span in,
                      struct ccz_err *err)
{
    const size_t most = in.size / CCZI_DEAL_NEED;
    struct ccz_rd r = ccz_rd_from(in);
    *len = 0;
    ccz_rc rc = cczi_mpc_alloc(needs, most, sizeof(**needs), err);
    if (rc != CCZ_OK)
        return rc;
    bool good = most > 0;
    while (good && !r.bad && r.left > 0) {
        good = *len < most && read_need(&(*needs)[*len], &r);
        *len += 1;
    }
    if (good && ccz_rd_done(&r))
        return CCZ_OK;
    free(*needs);
    *needs = NULL;
    return ccz_fail(err, CCZ_E_PEER, "mpc:dealer-request", (int64_t)*len,
                    "need %zu of a request is malformed", *len);
}

/* ------------------------------------------------------------------------------------- blocks */

static bool in_elements(enum ccz_mpc_need_kind kind)
{
    return kind == CCZ_MPC_MUL || kind == CCZ_MPC_SQUARE || kind == CCZ_MPC_AND ||
           kind == CCZ_MPC_CROSS_MUL;
}

/* What one block may have, in elements of the need. */
static size_t block_len(enum ccz_mpc_need_kind kind)
{
    return kind == CCZ_MPC_AND ? (size_t)CCZI_DEAL_BLOCK * 64 : CCZI_DEAL_BLOCK;
}

bool cczi_deal_next(struct cczi_deal_block *b, const struct ccz_mpc_need *needs, size_t len,
                    unsigned bits)
{
    struct ccz_mpc_item l;
    size_t done = 0; /* elements of the need */
    if (b->index == SIZE_MAX)
        b->index = 0;
    else {
        done = (b->need.kind == CCZ_MPC_AND ? b->at * 64 : b->at) + b->need.n;
        if (!in_elements(b->need.kind) || done >= needs[b->index].n) {
            b->index++;
            done = 0;
        }
    }
    if (b->index >= len)
        return false;
    const struct ccz_mpc_need *n = &needs[b->index];
    b->need = *n;
    if (in_elements(n->kind) && n->n - done > block_len(n->kind))
        b->need.n = block_len(n->kind);
    else if (in_elements(n->kind))
        b->need.n = n->n - done;
    b->at = n->kind == CCZ_MPC_AND ? done / 64 : done;
    (void)cczi_mpc_item_lens(&l, &b->need, NULL);
    bool cross = cczi_mpc_is_cross(n->kind);
    b->a_len = cross ? l.x_len : l.a_len;
    b->b_len = cross ? l.v_len : l.b_len;
    b->c_len = l.c_len;
    b->c_size = n->kind == CCZ_MPC_AND ? (b->need.n + 7) / 8 : l.c_len * (bits / 8);
    return true;
}

bool cczi_deal_has_a(const struct ccz_mpc_need *need, unsigned role)
{
    return !cczi_mpc_is_cross(need->kind) || role == need->owner;
}

bool cczi_deal_has_b(const struct ccz_mpc_need *need, unsigned role)
{
    if (need->kind == CCZ_MPC_SQUARE)
        return false;
    return !cczi_mpc_is_cross(need->kind) || role != need->owner;
}

static ccz_rc draw(uint64_t *out, size_t len, uint64_t mask, struct ccz_stream *s,
                   struct ccz_err *err)
{
    if (ccz_stream_read(out, s, len * sizeof(*out)) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "mpc:random", 0, "the random stream failed");
    if (mask != UINT64_MAX)
        for (size_t i = 0; i < len; i++)
            out[i] &= mask;
    return CCZ_OK;
}

ccz_rc cczi_deal_expand(uint64_t *a, uint64_t *b, uint64_t *c, const struct cczi_deal_block *block,
                        unsigned role, unsigned bits, struct ccz_stream *s, struct ccz_err *err)
{
    const struct ccz_mpc_need *need = &block->need;
    uint64_t mask = need->kind == CCZ_MPC_AND ? UINT64_MAX : UINT64_MAX >> (64 - bits);
    ccz_rc rc = CCZ_OK;
    if (cczi_deal_has_a(need, role))
        rc = draw(a, block->a_len, mask, s, err);
    if (rc == CCZ_OK && cczi_deal_has_b(need, role))
        rc = draw(b, block->b_len, mask, s, err);
    if (rc == CCZ_OK && role == 0)
        rc = draw(c, block->c_len, mask, s, err);
    return rc;
}
