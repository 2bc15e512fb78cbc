/* SPDX-License-Identifier: Apache-2.0 */
/* Rounds: what travels in one step is one message of a size that both parties know beforehand. */
#include "session.h"

#include <stdlib.h>
#include <string.h>

void cczi_io_init(struct cczi_io *io)
{
    *io = (struct cczi_io){0};
    ccz_buf_init(&io->out, CCZ_CHAN_MESSAGE_SIZE_MAX);
    io->out.wipe = true;
}

void cczi_io_deinit(struct cczi_io *io)
{
    ccz_buf_free(&io->out);
    free(io->want);
    *io = (struct cczi_io){0};
}

static size_t packed_size(size_t len, unsigned bits)
{
    return bits ? (len * bits + 7) / 8 : (len + 7) / 8;
}

/* -------------------------------------------------------------------------------------- puts */

void cczi_mpc_put(struct ccz_mpc *m, const uint64_t *v, size_t len, unsigned bits)
{
    uint8_t *out = ccz_buf_extend(&m->io.out, packed_size(len, bits));
    if (out)
        ccz_ring_pack(out, v, len, bits);
}

void cczi_mpc_put_bits(struct ccz_mpc *m, const uint64_t *v, size_t len)
{
    uint8_t *out = ccz_buf_extend(&m->io.out, packed_size(len, 0));
    if (out)
        ccz_ring_pack_bits(out, v, len);
}

void cczi_mpc_put_raw(struct ccz_mpc *m, const void *p, size_t size)
{
    ccz_buf_put(&m->io.out, p, size);
}

static void want(struct ccz_mpc *m, struct cczi_want w)
{
    struct cczi_io *io = &m->io;
    if (io->want_len == io->want_cap) {
        size_t cap = io->want_cap ? 2 * io->want_cap : 8;
        struct cczi_want *p = realloc(io->want, cap * sizeof(*p));
        if (!p) {
            io->bad = true;
            return;
        }
        io->want = p;
        io->want_cap = cap;
    }
    io->want[io->want_len++] = w;
    io->want_size += w.how == CCZI_WANT_RAW ? w.len : packed_size(w.len, w.bits);
}

void cczi_mpc_want(struct ccz_mpc *m, uint64_t *out, size_t len, unsigned bits)
{
    want(m, (struct cczi_want){CCZI_WANT_SET, out, len, bits});
}

void cczi_mpc_want_bits(struct ccz_mpc *m, uint64_t *out, size_t len)
{
    want(m, (struct cczi_want){CCZI_WANT_SET, out, len, 0});
}

void cczi_mpc_want_raw(struct ccz_mpc *m, void *out, size_t size)
{
    want(m, (struct cczi_want){CCZI_WANT_RAW, out, size, 8});
}

void cczi_mpc_open_sum(struct ccz_mpc *m, uint64_t *v, size_t len, unsigned bits)
{
    cczi_mpc_put(m, v, len, bits);
    want(m, (struct cczi_want){CCZI_WANT_SUM, v, len, bits});
}

void cczi_mpc_open_xor(struct ccz_mpc *m, uint64_t *v, size_t len)
{
    cczi_mpc_put_bits(m, v, len);
    want(m, (struct cczi_want){CCZI_WANT_XOR, v, len, 0});
}

/* ------------------------------------------------------------------------------------- round */

enum { PIECE = 512 }; /* a multiple of 64: pieces of any width end on a byte */

/* One place, in pieces that stay in the cache. */
static void fill(const struct cczi_want *w, const uint8_t *in)
{
    uint64_t tmp[PIECE], mask = w->bits ? UINT64_MAX >> (64 - w->bits) : UINT64_MAX;
    if (w->how == CCZI_WANT_RAW) {
        memcpy(w->out, in, w->len);
        return;
    }
    for (size_t i = 0; i < w->len; i += PIECE) {
        size_t n = w->len - i < PIECE ? w->len - i : PIECE;
        size_t words = w->bits ? n : (n + 63) / 64;
        uint64_t *out = (uint64_t *)w->out + (w->bits ? i : i / 64);
        if (w->bits)
            ccz_ring_unpack(tmp, in + i * w->bits / 8, n, w->bits);
        else
            ccz_ring_unpack_bits(tmp, in + i / 8, n);
        for (size_t j = 0; j < words; j++)
            out[j] = w->how == CCZI_WANT_SUM   ? (out[j] + tmp[j]) & mask
                     : w->how == CCZI_WANT_XOR ? out[j] ^ tmp[j]
                                               : tmp[j];
        if (w->how == CCZI_WANT_XOR && n % 64) /* what this party had there */
            out[words - 1] &= ((uint64_t)1 << n % 64) - 1;
    }
    ccz_wipe(tmp, sizeof(tmp));
}

static void plan_round(struct ccz_mpc *m)
{
    struct cczi_io *io = &m->io;
    cczi_mpc_count_plan(m, io->out.size, io->out.size > 0, io->want_size, io->want_size > 0);
    for (size_t i = 0; i < io->want_len; i++) {
        const struct cczi_want *w = &io->want[i];
        size_t words = w->bits ? w->len : (w->len + 63) / 64;
        memset(w->out, 0, w->how == CCZI_WANT_RAW ? w->len : words * sizeof(uint64_t));
    }
}

static ccz_rc exchange(struct ccz_mpc *m, struct ccz_err *err)
{
    struct cczi_io *io = &m->io;
    uint8_t *in = NULL;
    ccz_rc rc = CCZ_OK;
    if (io->want_size > CCZ_CHAN_MESSAGE_SIZE_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "mpc:message-size", (int64_t)io->want_size,
                        "a message of %zu bytes, at most %zu can be sent", io->want_size,
                        CCZ_CHAN_MESSAGE_SIZE_MAX);
    if (io->want_size > 0)
        rc = cczi_mpc_alloc(&in, io->want_size, 1, err);
    if (rc == CCZ_OK && io->out.size > 0)
        rc = ccz_chan_send(m->chan, ccz_buf_span(&io->out), err);
    if (rc == CCZ_OK && io->want_size > 0)
        rc = ccz_chan_recv_exact(in, io->want_size, m->chan, err);
    for (size_t i = 0, at = 0; i < io->want_len && rc == CCZ_OK; i++) {
        const struct cczi_want *w = &io->want[i];
        fill(w, in + at);
        at += w->how == CCZI_WANT_RAW ? w->len : packed_size(w->len, w->bits);
    }
    cczi_mpc_wipe_free(in, io->want_size);
    return rc;
}

ccz_rc cczi_mpc_round(struct ccz_mpc *m, struct ccz_err *err)
{
    struct cczi_io *io = &m->io;
    ccz_rc rc = CCZ_OK;
    if (io->bad || io->out.bad)
        rc = ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0,
                      "no memory for a message, or above %zu bytes", CCZ_CHAN_MESSAGE_SIZE_MAX);
    else if (io->out.size > 0 || io->want_len > 0) {
        if (m->chan)
            rc = exchange(m, err);
        else
            plan_round(m);
        cczi_mpc_count_rounds(m, 1);
    }
    ccz_buf_clear(&io->out);
    io->want_len = io->want_size = 0;
    io->bad = false;
    return rc;
}
