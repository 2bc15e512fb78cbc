/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding of untrusted bytes, cut anywhere: what of an element or head is incomplete waits in a small carry. */
#include "agg_priv.h"

#include <math.h>
#include <stdlib.h>

enum { CARRY_SIZE = 8 };

/* Where elements go. */
enum target { TO_SUM, TO_ARRAY, TO_NORM };

struct ccz_agg_dec {
    struct ccz_agg_codec codec; /* block filled in */
    size_t len, at;             /* at: elements (TOPK: positions) done */
    bool failed;
    uint8_t carry[CARRY_SIZE];
    size_t carry_size;
    size_t block_left;    /* INT8: elements of the block that are to come; 0: a scale is next */
    float s;              /* its scale */
    uint64_t values_left; /* TOPK: of all */
    uint32_t count_left;  /* TOPK: of this block; both after its head */
    bool in_block;
    size_t base; /* its first position */
    /* of the current call */
    enum target target;
    float *out;
    float w;
    struct ccz_agg_norm *norm;
    float tile[CCZI_AGG_TILE];
};

ccz_rc ccz_agg_dec_new(struct ccz_agg_dec **out, const struct ccz_agg_codec *codec, size_t len,
                       struct ccz_err *err)
{
    uint64_t size;
    *out = NULL;
    ccz_rc rc = ccz_agg_codec_size(&size, codec, len, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_agg_dec *d = malloc(sizeof(*d));
    if (!d)
        return ccz_fail(err, CCZ_E_NOMEM, "agg:memory", (int64_t)sizeof(*d),
                        "no memory for a decoder");
    d->codec = *codec;
    if (d->codec.block == 0)
        d->codec.block = CCZ_AGG_BLOCK_DEFAULT;
    d->len = len;
    ccz_agg_dec_reset(d);
    *out = d;
    return CCZ_OK;
}

void ccz_agg_dec_free(struct ccz_agg_dec *d)
{
    free(d);
}

void ccz_agg_dec_reset(struct ccz_agg_dec *d)
{
    d->at = 0;
    d->failed = false;
    d->carry_size = 0;
    d->block_left = 0;
    d->s = 0;
    d->values_left = d->codec.topk;
    d->count_left = 0;
    d->in_block = false;
}

/* ---------------------------------------------------------------------------- elements to targets */

typedef void (*to_fn)(float *, const uint8_t *, size_t);
typedef void (*add_fn)(float *, const uint8_t *, float, size_t);

static void put_plain(struct ccz_agg_dec *d, const uint8_t *p, size_t n)
{
    const struct cczi_agg_kernels *k = cczi_agg_kernels(NULL);
    to_fn to = d->codec.kind == CCZ_AGG_F16    ? k->f16_to
               : d->codec.kind == CCZ_AGG_BF16 ? k->bf16_to
                                               : k->f32_to;
    add_fn add = d->codec.kind == CCZ_AGG_F16    ? k->f16_add
                 : d->codec.kind == CCZ_AGG_BF16 ? k->bf16_add
                                                 : k->f32_add;
    if (d->target == TO_SUM) {
        add(d->out + d->at, p, d->w, n);
    } else if (d->target == TO_ARRAY) {
        to(d->out + d->at, p, n);
    } else if (d->codec.kind == CCZ_AGG_F32 && (uintptr_t)p % sizeof(float) == 0) {
        ccz_agg_norm_add(d->norm, (const float *)(const void *)p, n); /* where they stand */
    } else {
        to(d->tile, p, n);
        ccz_agg_norm_add(d->norm, d->tile, n);
    }
    d->at += n;
}

static void put_i8(struct ccz_agg_dec *d, const uint8_t *p, size_t n)
{
    const struct cczi_agg_kernels *k = cczi_agg_kernels(NULL);
    if (d->target == TO_SUM) {
        k->i8_add(d->out + d->at, p, d->s, d->w, n);
    } else if (d->target == TO_ARRAY) {
        k->i8_to(d->out + d->at, p, d->s, n);
    } else {
        k->i8_to(d->tile, p, d->s, n);
        ccz_agg_norm_add(d->norm, d->tile, n);
    }
    d->at += n;
}

/* Zeros up to position @p to. In a norm they count nothing but their places. */
static void put_zeros(struct ccz_agg_dec *d, size_t to)
{
    if (d->target == TO_ARRAY)
        memset(d->out + d->at, 0, (to - d->at) * sizeof(*d->out));
    else if (d->target == TO_NORM)
        d->norm->len += to - d->at;
    d->at = to;
}

static void put_value(struct ccz_agg_dec *d, float x)
{
    if (d->target == TO_SUM)
        d->out[d->at] += d->w * x;
    else if (d->target == TO_ARRAY)
        d->out[d->at] = x;
    else
        ccz_agg_norm_add(d->norm, &x, 1);
    d->at++;
}

/* ---------------------------------------------------------------------------------- the streams */

/* Gathers a head or element of @p size bytes. @return it, or NULL: there are no more bytes */
static const uint8_t *gather(struct ccz_agg_dec *d, size_t size, struct ccz_span *in)
{
    size_t n = size - d->carry_size;
    n = n < in->size ? n : in->size;
    if (d->carry_size == 0 && n == size) { /* whole, where it stands */
        const uint8_t *p = in->ptr;
        *in = ccz_span_sub(*in, n, in->size - n);
        return p;
    }
    if (n > 0)
        memcpy(d->carry + d->carry_size, in->ptr, n);
    *in = ccz_span_sub(*in, n, in->size - n);
    d->carry_size += n;
    if (d->carry_size < size)
        return NULL;
    d->carry_size = 0;
    return d->carry;
}

static ccz_rc take_plain(struct ccz_agg_dec *d, struct ccz_span *in, struct ccz_err *err)
{
    size_t size = cczi_agg_elem_size(d->codec.kind);
    (void)err; /* every pattern of bits is a value */
    while (in->size > 0 && d->at < d->len) {
        size_t n = in->size / size;
        n = n < d->len - d->at ? n : d->len - d->at;
        if (d->target == TO_NORM && n > CCZI_AGG_TILE)
            n = CCZI_AGG_TILE;
        if (d->carry_size == 0 && n > 0) {
            put_plain(d, in->ptr, n);
            *in = ccz_span_sub(*in, n * size, in->size - n * size);
            continue;
        }
        const uint8_t *p = gather(d, size, in);
        if (p)
            put_plain(d, p, 1);
    }
    return CCZ_OK;
}

static ccz_rc take_scale(struct ccz_agg_dec *d, const uint8_t *p, struct ccz_err *err)
{
    memcpy(&d->s, p, sizeof(d->s));
    if (!(d->s >= 0 && d->s <= CCZI_AGG_SCALE_MAX))
        return ccz_fail(err, CCZ_E_FORMAT, "agg:scale", (int64_t)d->at,
                        "the scale at element %zu is %g, expected 0 to %g", d->at, (double)d->s,
                        (double)CCZI_AGG_SCALE_MAX);
    d->block_left = d->len - d->at < d->codec.block ? d->len - d->at : d->codec.block;
    return CCZ_OK;
}

static ccz_rc take_i8(struct ccz_agg_dec *d, struct ccz_span *in, struct ccz_err *err)
{
    while (in->size > 0 && d->at < d->len) {
        if (d->block_left == 0) {
            const uint8_t *p = gather(d, sizeof(float), in);
            ccz_rc rc = p ? take_scale(d, p, err) : CCZ_OK;
            if (rc != CCZ_OK)
                return rc;
            continue;
        }
        size_t n = in->size < d->block_left ? in->size : d->block_left;
        const uint8_t *bad = memchr(in->ptr, 0x80, n);
        if (bad)
            return ccz_fail(err, CCZ_E_FORMAT, "agg:byte",
                            (int64_t)(d->at + (size_t)(bad - in->ptr)),
                            "element %zu is the byte -128, expected -127 to 127",
                            d->at + (size_t)(bad - in->ptr));
        put_i8(d, in->ptr, n);
        d->block_left -= n;
        *in = ccz_span_sub(*in, n, in->size - n);
    }
    return CCZ_OK;
}

static size_t block_end(const struct ccz_agg_dec *d)
{
    return d->len - d->base < CCZI_AGG_TOPK_BLOCK ? d->len : d->base + CCZI_AGG_TOPK_BLOCK;
}

static void end_block(struct ccz_agg_dec *d)
{
    put_zeros(d, block_end(d));
    d->in_block = false;
}

static ccz_rc take_count(struct ccz_agg_dec *d, const uint8_t *p, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(p, CCZI_AGG_TOPK_HEAD));
    d->base = d->at;
    d->count_left = ccz_rd_le32(&r);
    uint64_t most = block_end(d) - d->base;
    most = most < d->values_left ? most : d->values_left;
    if (d->count_left > most)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "agg:topk-count", d->count_left, (int64_t)most);
    d->values_left -= d->count_left;
    d->in_block = true;
    if (d->count_left == 0)
        end_block(d);
    return CCZ_OK;
}

static ccz_rc take_value(struct ccz_agg_dec *d, const uint8_t *p, struct ccz_err *err)
{
    float x;
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(p, CCZI_AGG_TOPK_ENTRY));
    size_t at = d->base + ccz_rd_le16(&r);
    x = cczi_agg_float(ccz_rd_le32(&r));
    if (at < d->at || at >= block_end(d))
        return ccz_fail(err, CCZ_E_FORMAT, "agg:topk-index", (int64_t)at,
                        "got position %zu, expected %zu to %zu", at, d->at, block_end(d) - 1);
    if (x == 0 || !isfinite(x))
        return ccz_fail(err, CCZ_E_FORMAT, "agg:topk-value", (int64_t)at,
                        "the value at %zu is %g, expected a finite one that is not 0", at,
                        (double)x);
    put_zeros(d, at);
    put_value(d, x);
    if (--d->count_left == 0)
        end_block(d);
    return CCZ_OK;
}

/* Values lie far apart in the sum: what is added soon is asked for early. */
static void prefetch(const struct ccz_agg_dec *d, struct ccz_span in)
{
    const size_t ahead = (size_t)16 * CCZI_AGG_TOPK_ENTRY;
    if (d->target != TO_SUM || in.size < ahead + CCZI_AGG_TOPK_ENTRY)
        return;
    size_t at = d->base + (in.ptr[ahead] | (size_t)in.ptr[ahead + 1] << 8);
    if (at < d->len)
        __builtin_prefetch(d->out + at, 1);
}

static ccz_rc take_topk(struct ccz_agg_dec *d, struct ccz_span *in, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    while (rc == CCZ_OK && in->size > 0 && (d->at < d->len || d->in_block)) {
        bool head = !d->in_block;
        prefetch(d, *in);
        const uint8_t *p = gather(d, head ? CCZI_AGG_TOPK_HEAD : CCZI_AGG_TOPK_ENTRY, in);
        if (p)
            rc = head ? take_count(d, p, err) : take_value(d, p, err);
    }
    return rc;
}

/* -------------------------------------------------------------------------------------- calls */

static ccz_rc take(struct ccz_agg_dec *d, struct ccz_span in, struct ccz_err *err)
{
    if (d->failed)
        return ccz_fail(err, CCZ_E_FORMAT, "agg:failed", (int64_t)d->at,
                        "earlier bytes of this vector were refused");
    ccz_rc rc;
    if (d->codec.kind == CCZ_AGG_INT8)
        rc = take_i8(d, &in, err);
    else if (d->codec.kind == CCZ_AGG_TOPK)
        rc = take_topk(d, &in, err);
    else
        rc = take_plain(d, &in, err);
    if (rc == CCZ_OK && in.size > 0)
        rc = ccz_fail(err, CCZ_E_FORMAT, "agg:long", (int64_t)in.size,
                      "%zu bytes or more behind the vector, expected none", in.size);
    d->failed = rc != CCZ_OK;
    return rc;
}

ccz_rc ccz_agg_dec_add(struct ccz_agg_dec *d, float *acc, float w, struct ccz_span bytes,
                       struct ccz_err *err)
{
    d->target = TO_SUM;
    d->out = acc;
    d->w = w;
    return take(d, bytes, err);
}

ccz_rc ccz_agg_dec_to(struct ccz_agg_dec *d, float *out, struct ccz_span bytes, struct ccz_err *err)
{
    d->target = TO_ARRAY;
    d->out = out;
    return take(d, bytes, err);
}

ccz_rc ccz_agg_dec_norm(struct ccz_agg_dec *d, struct ccz_agg_norm *n, struct ccz_span bytes,
                        struct ccz_err *err)
{
    d->target = TO_NORM;
    d->norm = n;
    return take(d, bytes, err);
}

ccz_rc ccz_agg_dec_end(struct ccz_agg_dec *d, struct ccz_err *err)
{
    if (d->failed)
        return ccz_fail(err, CCZ_E_FORMAT, "agg:failed", (int64_t)d->at,
                        "bytes of this vector were refused");
    if (d->at < d->len || d->in_block) /* values that a count announced, too */
        return ccz_fail(err, CCZ_E_FORMAT, "agg:short", (int64_t)d->at,
                        "the vector ends after %zu elements, expected %zu", d->at, d->len);
    return CCZ_OK;
}

uint64_t ccz_agg_dec_elements(const struct ccz_agg_dec *d)
{
    return d->at;
}
