/* SPDX-License-Identifier: Apache-2.0 */
/* Logistic regression and networks of dense layers, out of the operations. */
#include "rep3_priv.h"

static ccz_rc lr_step(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *w,
                      const struct ccz_rep3_tensor *x, const struct ccz_rep3_tensor *y,
                      const struct ccz_rep3_lr_cfg *cfg, struct ccz_err *err)
{
    const unsigned f = w->frac, k = w->m->cfg.ring_bits;
    struct ccz_rep3_range range = cfg->range;
    if (range.bits > 0 && range.bits < k) /* x w - 1/2 and x w + 1/2 are compared */
        range.bits++;
    CCZ_AUTO(ccz_rep3_tensor) z = NULL;
    CCZ_AUTO(ccz_rep3_tensor) p = NULL;
    CCZ_AUTO(ccz_rep3_tensor) d = NULL;
    CCZ_AUTO(ccz_rep3_tensor) xt = NULL;
    CCZ_AUTO(ccz_rep3_tensor) g = NULL;
    CCZ_AUTO(ccz_rep3_tensor) wide = NULL;
    CCZ_AUTO(ccz_rep3_tensor) step = NULL;
    CCZ_AUTO(ccz_rep3_tensor) there = NULL;
    ccz_rc rc = ccz_rep3_matmul(&z, x, w, err);
    if (rc == CCZ_OK)
        rc = ccz_rep3_sigmoid3(&p, z, f, range, err);
    if (rc == CCZ_OK)
        rc = ccz_rep3_sub(&d, p, y, err);
    if (rc == CCZ_OK)
        rc = ccz_rep3_transpose(&xt, x, err);
    if (rc == CCZ_OK)
        rc = ccz_rep3_matmul(&g, xt, d, err);
    /* The sum of gradients is at scale 2 f; times 2^-rate_shift it is the same element at scale 2 f + rate_shift. */
    if (rc == CCZ_OK)
        rc = ccz_rep3_reinterpret(&wide, g, 2 * f + cfg->rate_shift, err);
    if (rc == CCZ_OK)
        rc = ccz_rep3_trunc(&step, wide, f + cfg->rate_shift, err);
    return rc == CCZ_OK ? ccz_rep3_sub(out, w, step, err) : rc;
}

ccz_rc ccz_rep3_lr_step(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *w,
                        const struct ccz_rep3_tensor *x, const struct ccz_rep3_tensor *y,
                        const struct ccz_rep3_lr_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(w->m, err);
    if (rc != CCZ_OK)
        return rc;
    if (cfg->rate_shift > 2 * w->frac)
        rc = ccz_refuse_num(err, CCZ_E_ARG, "rep3:scale", cfg->rate_shift, 2 * (int64_t)w->frac);
    if (rc == CCZ_OK) /* the scale of the gradient, before anything is sent */
        rc = cczi_rep3_check_frac(w->m, 2 * (uint64_t)w->frac + cfg->rate_shift, err);
    if (rc == CCZ_OK)
        rc = lr_step(out, w, x, y, cfg, err);
    return cczi_rep3_leave(w->m, rc, err);
}

static ccz_rc layer_sum(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *x,
                        const struct ccz_rep3_layer *l, struct ccz_err *err)
{
    CCZ_AUTO(ccz_rep3_tensor) product = NULL;
    ccz_rc rc = ccz_rep3_matmul(&product, x, l->weights, err);
    if (rc == CCZ_OK && l->bias)
        return ccz_rep3_add(out, product, l->bias, err);
    if (rc == CCZ_OK)
        *out = ccz_rep3_tensor_take(&product);
    return rc;
}

ccz_rc ccz_rep3_mlp(struct ccz_rep3_tensor **out, const struct ccz_rep3_tensor *x,
                    const struct ccz_rep3_layer *layers, size_t len, struct ccz_rep3_range range,
                    struct ccz_err *err)
{
    CCZ_AUTO(ccz_rep3_tensor) at = NULL; /* what the next layer gets; NULL: x */
    CCZ_AUTO(ccz_rep3_tensor) sum = NULL;
    *out = NULL;
    ccz_rc rc = cczi_rep3_enter(x->m, err);
    if (rc != CCZ_OK)
        return rc;
    if (len == 0 || len > CCZ_REP3_LAYERS_MAX)
        rc = ccz_refuse_num(err, CCZ_E_ARG, "rep3:layers", (int64_t)len, CCZ_REP3_LAYERS_MAX);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++) {
        ccz_rep3_tensor_free(sum);
        sum = NULL;
        rc = layer_sum(&sum, at ? at : x, &layers[i], err);
        ccz_rep3_tensor_free(at);
        at = NULL;
        if (rc == CCZ_OK && i + 1 < len)
            rc = ccz_rep3_relu(&at, sum, layers[i].weights->frac, range, err);
    }
    if (rc == CCZ_OK)
        *out = ccz_rep3_tensor_take(&sum);
    return cczi_rep3_leave(x->m, rc, err);
}
