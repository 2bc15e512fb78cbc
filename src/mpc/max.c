/* SPDX-License-Identifier: Apache-2.0 */
/* Maxima of groups: neighbours meet, level by level, all groups at once. The left one stays unless the right one is larger, so
 * that the first of equals wins. */
#include "cmp_op.h"

#include <string.h>

/* groups x len candidates, and where they stood; both shrink in place. */
struct tournament {
    uint64_t *value, *index; /* index may be NULL */
    size_t groups, len;
};

static size_t after(size_t len)
{
    return (len + 1) / 2;
}

/* Differences left - right of all pairs. */
static void differences(uint64_t *d, const uint64_t *v, const struct tournament *t)
{
    const size_t pairs = t->len / 2;
    for (size_t g = 0; g < t->groups; g++)
        for (size_t j = 0; j < pairs; j++)
            d[g * pairs + j] = v[g * t->len + 2 * j] - v[g * t->len + 2 * j + 1];
}

/* left - d: d has been multiplied by the bit. */
static void winners(uint64_t *v, const uint64_t *d, const struct tournament *t)
{
    const size_t pairs = t->len / 2;
    for (size_t g = 0; g < t->groups; g++) {
        uint64_t *to = v + g * after(t->len), *from = v + g * t->len;
        for (size_t j = 0; j < pairs; j++)
            to[j] = from[2 * j] - d[g * pairs + j];
        if (t->len % 2)
            to[pairs] = from[t->len - 1];
    }
}

static ccz_rc level(struct tournament *t, struct cczi_op *o, struct ccz_err *err)
{
    CCZI_AUTO_STORE row = {0}, d = {0};
    const size_t n = t->groups * (t->len / 2);
    ccz_rc rc = cczi_store_init(&row, cczi_words_of(n), err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&d, 2 * n, err);
    if (rc != CCZ_OK)
        return rc;
    uint64_t *di = t->index ? d.at + n : NULL;
    differences(d.at, t->value, t);
    if (di)
        differences(di, t->index, t);
    rc = cczi_op_msb(row.at, d.at, n, o, err);
    if (rc == CCZ_OK)
        rc = cczi_op_mux(d.at, di, row.at, d.at, di, n, o, err);
    if (rc != CCZ_OK)
        return rc;
    winners(t->value, d.at, t);
    if (di)
        winners(t->index, di, t);
    t->len = after(t->len);
    return CCZ_OK;
}

static ccz_rc play(struct tournament *t, struct ccz_mpc *m, struct ccz_err *err)
{
    CCZI_AUTO_OP o = {0};
    ccz_rc rc = cczi_op_init(&o, m, t->index ? CCZ_MPC_OP_ARGMAX : CCZ_MPC_OP_MAX, t->groups,
                             (unsigned)t->len, err);
    while (t->len > 1 && rc == CCZ_OK)
        rc = level(t, &o, err);
    return rc;
}

/* Groups that lie one behind the other in `values`, which is used up. */
static ccz_rc maxima(struct ccz_mpc_tensor **max, struct ccz_mpc_tensor **index, uint64_t *values,
                     struct ccz_mpc_shape shape, size_t len, const struct ccz_mpc_tensor *x,
                     struct ccz_err *err)
{
    CCZI_AUTO_STORE place = {0};
    struct tournament t = {.value = values, .len = len};
    ccz_rc rc = cczi_mpc_tensor_new(max, x->m, CCZ_MPC_SHARED, 0, shape, x->frac, err);
    if (rc != CCZ_OK)
        return rc;
    t.groups = (*max)->len;
    if (index) {
        rc = cczi_mpc_tensor_new(index, x->m, CCZ_MPC_SHARED, 0, shape, 0, err);
        if (rc == CCZ_OK)
            rc = cczi_store_init(&place, t.groups * len, err);
        t.index = place.at;
        for (size_t i = 0; rc == CCZ_OK && cczi_mpc_role(x->m) == 0 && i < t.groups * len; i++)
            t.index[i] = i % len;
    }
    if (rc == CCZ_OK)
        rc = play(&t, x->m, err);
    for (size_t g = 0; g < t.groups && rc == CCZ_OK; g++) {
        (*max)->v[g] = t.value[g];
        if (index)
            (*index)->v[g] = t.index[g] & cczi_mpc_mask(x->m);
    }
    return rc;
}

static ccz_rc last_axis(struct ccz_mpc_tensor **max, struct ccz_mpc_tensor **index,
                        const struct ccz_mpc_tensor *t, struct ccz_err *err)
{
    CCZI_AUTO_OPERAND x = {0};
    CCZI_AUTO_STORE values = {0};
    struct ccz_mpc_shape shape = t->shape;
    const size_t len = shape.rank > 0 ? shape.dim[shape.rank - 1] : 1;
    if (len > UINT32_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:shape", (int64_t)len, UINT32_MAX);
    if (shape.rank > 0)
        shape.dim[--shape.rank] = 0;
    ccz_rc rc = cczi_operand_init(&x, t, err);
    if (rc == CCZ_OK)
        rc = cczi_store_init(&values, t->len, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(values.at, x.t->v, t->len * sizeof(*values.at));
    return maxima(max, index, values.at, shape, len, t, err);
}

ccz_rc ccz_mpc_max(struct ccz_mpc_tensor **max, struct ccz_mpc_tensor **index,
                   const struct ccz_mpc_tensor *x, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    CCZ_AUTO(ccz_mpc_tensor) place = NULL;
    *max = NULL;
    if (index)
        *index = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    if (rc != CCZ_OK)
        return rc;
    rc = last_axis(&r, index ? &place : NULL, x, err);
    rc = cczi_op_leave(max, &r, x->m, rc, err);
    if (rc == CCZ_OK && index)
        *index = ccz_mpc_tensor_take(&place);
    return rc;
}

/* ------------------------------------------------------------------------------------------ pool */

struct pool {
    size_t batch, in_y, in_x, channels, y, x, step_y, step_x, out_y, out_x;
};

static ccz_rc pool_init(struct pool *p, const struct ccz_mpc_tensor *x,
                        const struct ccz_mpc_pool *cfg, struct ccz_err *err)
{
    const size_t *dim = x->shape.dim;
    if (x->shape.rank != 4)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:pool", x->shape.rank, 4);
    if (cfg->height < 1 || cfg->height > dim[1])
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:pool", (int64_t)cfg->height, (int64_t)dim[1]);
    if (cfg->width < 1 || cfg->width > dim[2])
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:pool", (int64_t)cfg->width, (int64_t)dim[2]);
    *p = (struct pool){.batch = dim[0],
                       .in_y = dim[1],
                       .in_x = dim[2],
                       .channels = dim[3],
                       .y = cfg->height,
                       .x = cfg->width,
                       .step_y = cfg->stride_y ? cfg->stride_y : cfg->height,
                       .step_x = cfg->stride_x ? cfg->stride_x : cfg->width};
    p->out_y = (p->in_y - p->y) / p->step_y + 1;
    p->out_x = (p->in_x - p->x) / p->step_x + 1;
    return CCZ_OK;
}

/* Window (y, x) of picture b, channel c, as a group. */
static void gather(uint64_t *to, const uint64_t *v, const struct pool *p, size_t b, size_t y,
                   size_t x, size_t c)
{
    for (size_t i = 0; i < p->y; i++)
        for (size_t j = 0; j < p->x; j++) {
            size_t row = b * p->in_y + y * p->step_y + i, col = x * p->step_x + j;
            *to++ = v[(row * p->in_x + col) * p->channels + c];
        }
}

static ccz_rc max_pool(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *t,
                       const struct ccz_mpc_pool *cfg, struct ccz_err *err)
{
    CCZI_AUTO_OPERAND x = {0};
    CCZI_AUTO_STORE values = {0};
    struct pool p = {0};
    ccz_rc rc = pool_init(&p, t, cfg, err);
    if (rc == CCZ_OK)
        rc = cczi_operand_init(&x, t, err);
    if (rc != CCZ_OK)
        return rc;
    const size_t len = p.y * p.x, groups = p.batch * p.out_y * p.out_x * p.channels;
    if (groups > CCZ_MPC_LEN_MAX / len)
        return ccz_fail(err, CCZ_E_LIMIT, "mpc:pool", 0, "windows have more than 2^30 elements");
    rc = cczi_store_init(&values, groups * len, err);
    uint64_t *to = values.at;
    for (size_t i = 0; i < groups && rc == CCZ_OK; i++, to += len) {
        size_t c = i % p.channels, at = i / p.channels, col = at % p.out_x, row = at / p.out_x;
        gather(to, x.t->v, &p, row / p.out_y, row % p.out_y, col, c);
    }
    if (rc == CCZ_OK)
        rc = maxima(out, NULL, values.at, CCZ_MPC_SHAPE4(p.batch, p.out_y, p.out_x, p.channels),
                    len, t, err);
    return rc;
}

ccz_rc ccz_mpc_max_pool(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *x,
                        const struct ccz_mpc_pool *pool, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpc_tensor) r = NULL;
    *out = NULL;
    ccz_rc rc = cczi_mpc_enter(x->m, err);
    return rc == CCZ_OK ? cczi_op_leave(out, &r, x->m, max_pool(&r, x, pool, err), err) : rc;
}
