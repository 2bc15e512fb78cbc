/* SPDX-License-Identifier: Apache-2.0 */
/* Rounds: what goes one way in one step is one message of a size that both ends know beforehand. */
#include "rep3_priv.h"

#include <stdlib.h>
#include <string.h>

static size_t packed_size(const struct cczi_rep3_want *w)
{
    return w->bits ? w->rows * ((w->len * w->bits + 7) / 8) : w->rows * ((w->len + 7) / 8);
}

void cczi_rep3_put(struct ccz_rep3 *m, int to, const uint64_t *v, size_t len, unsigned bits)
{
    size_t size = (len * bits + 7) / 8;
    uint8_t *out = ccz_buf_extend(&m->io[to].out, size);
    if (!out) {
        m->bad = true;
        return;
    }
    ccz_ring_pack(out, v, len, bits);
    CCZ_CT_PUBLIC(out, size);
}

void cczi_rep3_put_rows(struct ccz_rep3 *m, int to, const uint64_t *v, size_t rows, size_t len)
{
    size_t size = (len + 7) / 8, words = (len + 63) / 64;
    uint8_t *out = ccz_buf_extend(&m->io[to].out, rows * size);
    if (!out) {
        m->bad = true;
        return;
    }
    for (size_t r = 0; r < rows; r++)
        ccz_ring_pack_bits(out + r * size, v + r * words, len);
    CCZ_CT_PUBLIC(out, rows * size);
}

static void want(struct ccz_rep3 *m, int from, struct cczi_rep3_want w)
{
    struct cczi_rep3_io *io = &m->io[from];
    if (io->want_len == io->want_cap) {
        size_t cap = io->want_cap ? 2 * io->want_cap : 8;
        struct cczi_rep3_want *p = realloc(io->want, cap * sizeof(*p));
        if (!p) {
            m->bad = true;
            return;
        }
        io->want = p;
        io->want_cap = cap;
    }
    io->want[io->want_len++] = w;
    io->want_size += packed_size(&w);
}

void cczi_rep3_want(struct ccz_rep3 *m, int from, uint64_t *out, size_t len, unsigned bits)
{
    want(m, from, (struct cczi_rep3_want){out, 1, len, bits});
}

void cczi_rep3_want_rows(struct ccz_rep3 *m, int from, uint64_t *out, size_t rows, size_t len)
{
    want(m, from, (struct cczi_rep3_want){out, rows, len, 0});
}

static size_t fill(const struct cczi_rep3_want *w, const uint8_t *in)
{
    size_t size = (w->len + 7) / 8, words = (w->len + 63) / 64;
    if (w->bits)
        ccz_ring_unpack(w->out, in, w->len, w->bits);
    else
        for (size_t r = 0; r < w->rows; r++)
            ccz_ring_unpack_bits(w->out + r * words, in + r * size, w->len);
    return packed_size(w);
}

static ccz_rc receive(struct ccz_rep3 *m, int from, struct ccz_err *err)
{
    struct cczi_rep3_io *io = &m->io[from];
    ccz_buf_clear(&io->in);
    uint8_t *in = ccz_buf_extend(&io->in, io->want_size);
    if (!in)
        return ccz_fail(err, CCZ_E_NOMEM, "rep3:memory", (int64_t)io->want_size,
                        "no memory for a message of %zu bytes", io->want_size);
    ccz_rc rc = ccz_chan_recv_exact(in, io->want_size, m->chan[from], err);
    for (size_t i = 0; i < io->want_len && rc == CCZ_OK; i++)
        in += fill(&io->want[i], in);
    return rc;
}

static void plan(struct ccz_rep3 *m, int d)
{
    const struct cczi_rep3_io *io = &m->io[d];
    m->stats.sent_size[d] += io->out.size;
    m->stats.sent_len[d] += io->out.size > 0;
    m->stats.received_size[d] += io->want_size;
    m->stats.received_len[d] += io->want_size > 0;
    for (size_t i = 0; i < io->want_len; i++) {
        const struct cczi_rep3_want *w = &io->want[i];
        memset(w->out, 0, w->rows * (w->bits ? w->len : (w->len + 63) / 64) * sizeof(*w->out));
    }
}

static ccz_rc exchange(struct ccz_rep3 *m, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (int d = 0; d < 2 && rc == CCZ_OK; d++)
        if (m->io[d].out.size > 0)
            rc = ccz_chan_send(m->chan[d], ccz_buf_span(&m->io[d].out), err);
    for (int d = 0; d < 2 && rc == CCZ_OK; d++)
        if (m->io[d].want_size > 0)
            rc = receive(m, d, err);
    return rc;
}

ccz_rc cczi_rep3_round(struct ccz_rep3 *m, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    if (m->bad)
        rc = ccz_fail(err, CCZ_E_NOMEM, "rep3:memory", 0,
                      "no memory for a message, or above %zu bytes, or no randomness",
                      CCZ_CHAN_MESSAGE_SIZE_MAX);
    else if (m->chan[0])
        rc = exchange(m, err);
    for (int d = 0; d < 2; d++) {
        if (rc == CCZ_OK && !m->chan[0])
            plan(m, d);
        ccz_buf_clear(&m->io[d].out);
        m->io[d].want_len = m->io[d].want_size = 0;
    }
    m->stats.rounds++;
    return rc;
}
