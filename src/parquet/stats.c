/* SPDX-License-Identifier: Apache-2.0 */
/* Smallest and largest values: as bytes, as values, in order. @source LogicalTypes.md, parquet.thrift (ColumnOrder) */
#include "parquet/format_priv.h"

#include <math.h>

bool cczi_pq_ordered(const struct ccz_pq_column *c)
{
    if (c->type == CCZ_PQ_INT96)
        return false;
    if (c->type == CCZ_PQ_BYTES ||
        c->type == CCZ_PQ_FIXED) /* others may be decimals or halves, with orders of their own */
        return c->meaning == CCZ_PQ_PLAIN || c->meaning == CCZ_PQ_STRING ||
               c->meaning == CCZ_PQ_JSON;
    return c->meaning != CCZ_PQ_OTHER || c->type == CCZ_PQ_FLOAT || c->type == CCZ_PQ_DOUBLE;
}

bool cczi_pq_bound(union ccz_pq_bound *out, const struct ccz_pq_column *c, struct ccz_span plain)
{
    struct ccz_rd r = ccz_rd_from(plain);
    uint32_t w32;
    uint64_t w64;
    switch (c->type) {
    case CCZ_PQ_BOOLEAN:
        out->b = ccz_rd_u8(&r);
        return ccz_rd_done(&r) && out->b <= 1;
    case CCZ_PQ_INT32:
        out->i32 = (int32_t)ccz_rd_le32(&r);
        return ccz_rd_done(&r);
    case CCZ_PQ_INT64:
        out->i64 = (int64_t)ccz_rd_le64(&r);
        return ccz_rd_done(&r);
    case CCZ_PQ_FLOAT:
        w32 = ccz_rd_le32(&r);
        memcpy(&out->f32, &w32, sizeof(w32));
        return ccz_rd_done(&r);
    case CCZ_PQ_DOUBLE:
        w64 = ccz_rd_le64(&r);
        memcpy(&out->f64, &w64, sizeof(w64));
        return ccz_rd_done(&r);
    case CCZ_PQ_FIXED: /* may be cut, as BYTES may */
        out->bytes = plain;
        return plain.size <= c->type_size;
    default:
        out->bytes = plain;
        return true;
    }
}

static int order(bool less, bool greater)
{
    return less ? -1 : greater;
}

int cczi_pq_compare(const struct ccz_pq_column *c, const union ccz_pq_bound *a,
                    const union ccz_pq_bound *b)
{
    bool is_unsigned = c->meaning == CCZ_PQ_UNSIGNED;
    switch (c->type) {
    case CCZ_PQ_BOOLEAN:
        return order(a->b<b->b, a->b> b->b);
    case CCZ_PQ_INT32:
        return is_unsigned
                   ? order((uint32_t)a->i32<(uint32_t)b->i32, (uint32_t)a->i32>(uint32_t) b->i32)
                   : order(a->i32<b->i32, a->i32> b->i32);
    case CCZ_PQ_INT64:
        return is_unsigned
                   ? order((uint64_t)a->i64<(uint64_t)b->i64, (uint64_t)a->i64>(uint64_t) b->i64)
                   : order(a->i64<b->i64, a->i64> b->i64);
    case CCZ_PQ_FLOAT:
        return order(a->f32<b->f32, a->f32> b->f32);
    case CCZ_PQ_DOUBLE:
        return order(a->f64<b->f64, a->f64> b->f64);
    default: {
        size_t n = a->bytes.size < b->bytes.size ? a->bytes.size : b->bytes.size;
        int x = n > 0 ? memcmp(a->bytes.ptr, b->bytes.ptr, n) : 0;
        return x != 0 ? x : order(a->bytes.size<b->bytes.size, a->bytes.size> b->bytes.size);
    }
    }
}

bool cczi_pq_is_nan(const struct ccz_pq_column *c, const union ccz_pq_bound *v)
{
    return (c->type == CCZ_PQ_FLOAT && isnan(v->f32)) ||
           (c->type == CCZ_PQ_DOUBLE && isnan(v->f64));
}

void cczi_pq_slot(union ccz_pq_bound *out, const struct ccz_pq_column *c,
                  const struct ccz_pq_data *d, size_t i)
{
    switch (c->type) {
    case CCZ_PQ_BOOLEAN:
        out->b = d->v.b[i];
        break;
    case CCZ_PQ_INT32:
        out->i32 = d->v.i32[i];
        break;
    case CCZ_PQ_INT64:
        out->i64 = d->v.i64[i];
        break;
    case CCZ_PQ_FLOAT:
        out->f32 = d->v.f32[i];
        break;
    case CCZ_PQ_DOUBLE:
        out->f64 = d->v.f64[i];
        break;
    default:
        out->bytes = d->v.bytes[i];
    }
}
