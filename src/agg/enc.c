/* SPDX-License-Identifier: Apache-2.0 */
/* Encoding: a tile of elements at a time into a stage, from which the caller takes bytes as it likes. */
#include "agg_priv.h"

#include <float.h>
#include <stdlib.h>

enum { STAGE_SIZE = CCZI_AGG_TOPK_HEAD + CCZI_AGG_TILE * CCZI_AGG_TOPK_ENTRY };

struct ccz_agg_enc {
    struct ccz_agg_codec codec; /* block filled in */
    size_t len, at;             /* at: elements encoded so far */
    uint64_t size;
    const float *x, *residual;
    float *next;
    struct cczi_agg_topk topk;
    uint64_t ties_left;
    size_t stage_at, stage_size;
    float u[CCZI_AGG_TILE],
        back[CCZI_AGG_TILE]; /* x + residual, and what the other side will see */
    uint8_t stage[STAGE_SIZE];
};

ccz_rc ccz_agg_enc_new(struct ccz_agg_enc **out, const struct ccz_agg_codec *codec, size_t len,
                       struct ccz_err *err)
{
    uint64_t size;
    *out = NULL;
    ccz_rc rc = ccz_agg_codec_size(&size, codec, len, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_agg_enc *e = calloc(1, sizeof(*e));
    if (!e)
        return ccz_fail(err, CCZ_E_NOMEM, "agg:memory", (int64_t)sizeof(*e),
                        "no memory for an encoder");
    e->codec = *codec;
    if (e->codec.block == 0)
        e->codec.block = CCZ_AGG_BLOCK_DEFAULT;
    e->len = e->at = len; /* nothing to read before the first begin */
    e->size = size;
    *out = e;
    return CCZ_OK;
}

void ccz_agg_enc_free(struct ccz_agg_enc *e)
{
    free(e);
}

/* x + residual of n elements from @p at: in e->u, or where x is if there is no residual. */
static const float *load(struct ccz_agg_enc *e, size_t at, size_t n)
{
    if (!e->residual)
        return e->x + at;
    memcpy(e->u, e->x + at, n * sizeof(*e->u));
    cczi_agg_kernels(NULL)->add(e->u, e->residual + at, 1, n);
    return e->u;
}

static ccz_rc check_finite(struct ccz_agg_enc *e, struct ccz_err *err)
{
    const struct cczi_agg_kernels *k = cczi_agg_kernels(NULL);
    for (size_t at = 0; at < e->len; at += CCZI_AGG_TILE) {
        size_t n = e->len - at < CCZI_AGG_TILE ? e->len - at : CCZI_AGG_TILE;
        const float *u = load(e, at, n);
        if (k->max_abs(u, n) >= CCZI_AGG_INF_BITS) {
            size_t i = ccz_agg_nonfinite(u, n);
            return cczi_agg_refuse_value(err, "element", (int64_t)(at + i), u[i]);
        }
    }
    return CCZ_OK;
}

ccz_rc ccz_agg_enc_begin(struct ccz_agg_enc *e, const float *x, const float *residual, float *next,
                         struct ccz_err *err)
{
    e->x = x;
    e->residual = residual;
    e->next = next;
    e->at = e->len;
    e->stage_at = e->stage_size = 0;
    ccz_rc rc = CCZ_OK;
    if (e->codec.kind != CCZ_AGG_TOPK) {
        rc = check_finite(e, err);
    } else {
        size_t bad = cczi_agg_topk_find(&e->topk, x, residual, e->len, e->codec.topk);
        if (bad < e->len)
            rc = cczi_agg_refuse_value(err, "element", (int64_t)bad,
                                       residual ? x[bad] + residual[bad] : x[bad]);
        uint64_t blocks = ((uint64_t)e->len + CCZI_AGG_TOPK_BLOCK - 1) / CCZI_AGG_TOPK_BLOCK;
        e->ties_left = e->topk.ties;
        e->size = blocks * CCZI_AGG_TOPK_HEAD + e->topk.count * CCZI_AGG_TOPK_ENTRY;
    }
    if (rc == CCZ_OK)
        e->at = 0;
    return rc;
}

uint64_t ccz_agg_enc_size(const struct ccz_agg_enc *e)
{
    return e->size;
}

/* ----------------------------------------------------------------------------------- INT8, halves */

static void encode_i8(struct ccz_agg_enc *e, const float *u, size_t n)
{
    const struct cczi_agg_kernels *k = cczi_agg_kernels(NULL);
    float max = cczi_agg_float(k->max_abs(u, n)), s = max / 127, inverse = 0;
    if (s < FLT_MIN)
        s = 0; /* what is that small stays in the residual */
    else
        inverse = 127 / max;
    if (s > CCZI_AGG_SCALE_MAX)
        s = CCZI_AGG_SCALE_MAX;
    uint32_t bits = cczi_agg_bits(s);
    memcpy(e->stage, &bits, sizeof(bits));
    k->i8_from(e->stage + 4, u, inverse, n);
    e->stage_size = 4 + n;
    if (e->next)
        k->i8_to(e->back, e->stage + 4, s, n);
}

/* @param to  e->stage, or the reader's memory */
static void encode_plain(uint8_t *to, struct ccz_agg_enc *e, const float *u, size_t n)
{
    const struct cczi_agg_kernels *k = cczi_agg_kernels(NULL);
    void (*from)(uint8_t *, const float *, size_t) = k->f32_from;
    void (*back)(float *, const uint8_t *, size_t) = k->f32_to;
    if (e->codec.kind == CCZ_AGG_F16) {
        from = k->f16_from;
        back = k->f16_to;
    } else if (e->codec.kind == CCZ_AGG_BF16) {
        from = k->bf16_from;
        back = k->bf16_to;
    }
    from(to, u, n);
    if (e->next)
        back(e->back, to, n);
}

/* ----------------------------------------------------------------------------------------- TOPK */

static bool sent(const struct cczi_agg_topk *t, uint64_t *ties_left, float u)
{
    uint32_t bits = cczi_agg_bits(u) & 0x7fffffff;
    if (bits == t->bits && *ties_left > 0) {
        --*ties_left;
        return true;
    }
    return bits > t->bits;
}

/* How many values of the block that starts at e->at are sent. */
static uint32_t count_block(const struct ccz_agg_enc *e)
{
    size_t end = e->len - e->at < CCZI_AGG_TOPK_BLOCK ? e->len : e->at + CCZI_AGG_TOPK_BLOCK;
    uint64_t ties_left = e->ties_left;
    uint32_t count = 0;
    for (size_t i = e->at; i < end; i++)
        count += sent(&e->topk, &ties_left, e->residual ? e->x[i] + e->residual[i] : e->x[i]);
    return count;
}

static void encode_topk(struct ccz_agg_enc *e, const float *u, size_t n)
{
    uint8_t *p = e->stage;
    size_t in_block = e->at % CCZI_AGG_TOPK_BLOCK;
    if (in_block == 0) {
        uint32_t count = count_block(e);
        memcpy(p, &count, CCZI_AGG_TOPK_HEAD);
        p += CCZI_AGG_TOPK_HEAD;
    }
    for (size_t i = 0; i < n; i++) {
        e->back[i] = 0;
        if (!sent(&e->topk, &e->ties_left, u[i]))
            continue;
        uint16_t index = (uint16_t)(in_block + i);
        memcpy(p, &index, 2);
        memcpy(p + 2, &u[i], 4);
        p += CCZI_AGG_TOPK_ENTRY;
        e->back[i] = u[i];
    }
    e->stage_size = (size_t)(p - e->stage);
}

/* -------------------------------------------------------------------------------------- reading */

/* The next tile, into the stage; of plain codecs straight to @p to if it has room for all of it.
 * @return bytes in @p to */
static size_t fill(uint8_t *to, size_t room, struct ccz_agg_enc *e)
{
    size_t tile = e->codec.kind == CCZ_AGG_INT8 ? e->codec.block : CCZI_AGG_TILE;
    size_t n = e->len - e->at < tile ? e->len - e->at : tile, direct = 0;
    const float *u = load(e, e->at, n);
    if (e->codec.kind == CCZ_AGG_INT8) {
        encode_i8(e, u, n);
    } else if (e->codec.kind == CCZ_AGG_TOPK) {
        encode_topk(e, u, n);
    } else {
        size_t size = n * cczi_agg_elem_size(e->codec.kind);
        direct = size <= room ? size : 0;
        e->stage_size = size - direct;
        encode_plain(direct ? to : e->stage, e, u, n);
    }
    if (e->next)
        cczi_agg_kernels(NULL)->sub(e->next + e->at, u, e->back, n);
    e->at += n;
    e->stage_at = 0;
    return direct;
}

size_t ccz_agg_enc_read(void *out, size_t cap, struct ccz_agg_enc *e)
{
    uint8_t *to = out;
    size_t done = 0;
    while (done < cap) {
        if (e->stage_at == e->stage_size) {
            if (e->at == e->len)
                break;
            done += fill(to + done, cap - done, e); /* a tile of TOPK may give no bytes */
            continue;
        }
        size_t n = e->stage_size - e->stage_at;
        n = n < cap - done ? n : cap - done;
        memcpy(to + done, e->stage + e->stage_at, n);
        e->stage_at += n;
        done += n;
    }
    return done;
}
