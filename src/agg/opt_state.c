/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State of optimizers as bytes: head, then m, then v as the kind has them.
 *   "CCZO", uint32 version, uint32 kind, 4 float32: lr, beta1, beta2, tau, uint64 len, uint64 rounds
 */
#include "agg_priv.h"
#include "opt_priv.h"

enum { VERSION = 1, HEAD_SIZE = 44, PIECE_LEN = CCZI_AGG_TILE };

static size_t vectors(const struct ccz_agg_opt *o)
{
    return (o->m ? 1u : 0u) + (o->v ? 1u : 0u);
}

uint64_t ccz_agg_opt_state_size(const struct ccz_agg_opt *o)
{
    return HEAD_SIZE + 4 * (uint64_t)o->len * vectors(o);
}

/* The head; all but the rounds have to be the same where it is loaded. */
static void put_head(struct ccz_buf *b, const struct ccz_agg_opt *o)
{
    ccz_buf_put_str(b, "CCZO");
    ccz_buf_le32(b, VERSION);
    ccz_buf_le32(b, (uint32_t)o->cfg.kind);
    ccz_buf_le32(b, cczi_agg_bits(o->cfg.lr));
    ccz_buf_le32(b, cczi_agg_bits(o->cfg.beta1));
    ccz_buf_le32(b, cczi_agg_bits(o->cfg.beta2));
    ccz_buf_le32(b, cczi_agg_bits(o->cfg.tau));
    ccz_buf_le64(b, o->len);
    ccz_buf_le64(b, o->rounds);
}

static ccz_rc save_vector(const float *x, size_t len, ccz_agg_write_fn write, void *arg,
                          struct ccz_err *err)
{
    const struct cczi_agg_kernels *k = cczi_agg_kernels(NULL);
    uint8_t piece[4 * PIECE_LEN];
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < len; i += PIECE_LEN) {
        size_t n = len - i < PIECE_LEN ? len - i : PIECE_LEN;
        k->f32_from(piece, x + i, n);
        rc = write(arg, CCZ_SPAN(piece, 4 * n), err);
    }
    return rc;
}

ccz_rc ccz_agg_opt_save(const struct ccz_agg_opt *o, ccz_agg_write_fn write, void *arg,
                        struct ccz_err *err)
{
    CCZ_AUTO_BUF head;
    ccz_buf_init(&head, HEAD_SIZE);
    put_head(&head, o);
    if (head.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "agg:memory", HEAD_SIZE, "no memory for a state");
    ccz_rc rc = write(arg, ccz_buf_span(&head), err);
    if (rc == CCZ_OK && o->m)
        rc = save_vector(o->m, o->len, write, arg, err);
    if (rc == CCZ_OK && o->v)
        rc = save_vector(o->v, o->len, write, arg, err);
    return rc;
}

static ccz_rc load_vector(float *x, size_t len, bool positive, ccz_agg_read_fn read, void *arg,
                          struct ccz_err *err)
{
    const struct cczi_agg_kernels *k = cczi_agg_kernels(NULL);
    uint8_t piece[4 * PIECE_LEN];
    for (size_t i = 0; i < len; i += PIECE_LEN) {
        size_t n = len - i < PIECE_LEN ? len - i : PIECE_LEN;
        ccz_rc rc = read(arg, piece, 4 * n, err);
        if (rc != CCZ_OK)
            return rc;
        k->f32_to(x + i, piece, n);
        for (size_t j = i; j < i + n; j++) {
            uint32_t u = cczi_agg_bits(x[j]);
            if ((u & 0x7fffffff) >= CCZI_AGG_INF_BITS || (positive && u >> 31))
                return ccz_fail(err, CCZ_E_FORMAT, "agg:opt-value", (int64_t)j,
                                "element %zu is %g, expected a finite %snumber", j, (double)x[j],
                                positive ? "positive " : "");
        }
    }
    return CCZ_OK;
}

static ccz_rc load_head(struct ccz_agg_opt *o, ccz_agg_read_fn read, void *arg, struct ccz_err *err)
{
    uint8_t head[HEAD_SIZE];
    CCZ_AUTO_BUF own;
    ccz_buf_init(&own, HEAD_SIZE);
    put_head(&own, o);
    if (own.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "agg:memory", HEAD_SIZE, "no memory for a state");
    ccz_rc rc = read(arg, head, HEAD_SIZE, err);
    if (rc != CCZ_OK)
        return rc;
    if (memcmp(head, own.ptr, 8) != 0)
        return ccz_refuse_bytes(err, CCZ_E_FORMAT, "agg:opt-state", head, 8, own.ptr, 8);
    if (memcmp(head, own.ptr, HEAD_SIZE - 8) != 0) {
        rc = ccz_refuse_bytes(err, CCZ_E_MISMATCH, "agg:opt-match", head + 8, HEAD_SIZE - 16,
                              own.ptr + 8, HEAD_SIZE - 16);
        return ccz_hint(err, rc,
                        "the state is of an optimizer with another configuration or model");
    }
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(head + HEAD_SIZE - 8, 8));
    o->rounds = ccz_rd_le64(&r);
    return CCZ_OK;
}

ccz_rc ccz_agg_opt_load(struct ccz_agg_opt *o, ccz_agg_read_fn read, void *arg, struct ccz_err *err)
{
    cczi_agg_opt_reset(o);
    ccz_rc rc = load_head(o, read, arg, err);
    if (rc == CCZ_OK && o->m)
        rc = load_vector(o->m, o->len, false, read, arg, err);
    if (rc == CCZ_OK && o->v)
        rc = load_vector(o->v, o->len, true, read, arg, err);
    if (rc != CCZ_OK)
        cczi_agg_opt_reset(o);
    return rc;
}
