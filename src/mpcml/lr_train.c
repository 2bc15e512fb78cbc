/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Training on shares. A batch takes one round for z, the rounds of the sigmoid, one for the gradient, and those of one
 * truncation; everything in between is local. Both parties' products of a step travel together.
 */
#include "lr_priv.h"

#include <cczoo/mpc_cmp.h>

#define TENSOR CCZ_AUTO(ccz_mpc_tensor)

static void parts_deinit(struct cczi_lr_parts *p)
{
    for (unsigned i = 0; i < 2; i++)
        ccz_mpc_tensor_free(p->part[i]);
    *p = (struct cczi_lr_parts){0};
}
#define AUTO_PARTS __attribute__((cleanup(parts_deinit))) struct cczi_lr_parts

void cczi_lr_w_deinit(struct cczi_lr_w *w)
{
    for (unsigned p = 0; p < 2; p++)
        ccz_mpc_tensor_free(w->part[p]);
    ccz_mpc_tensor_free(w->one);
    *w = (struct cczi_lr_w){0};
}

/* The products that have operands, in one round or one after the other. */
static ccz_rc multiply(struct cczi_lr_parts *out, const struct ccz_mpc_product p[2],
                       bool one_by_one, struct ccz_err *err)
{
    struct ccz_mpc_product some[2];
    struct ccz_mpc_tensor *got[2] = {0};
    unsigned at[2], len = 0;
    ccz_rc rc = CCZ_OK;
    for (unsigned i = 0; i < 2; i++)
        if (p[i].a) {
            at[len] = i;
            some[len++] = p[i];
        }
    const unsigned step = one_by_one ? 1 : len;
    for (unsigned i = 0; i < len && rc == CCZ_OK; i += step)
        rc = ccz_mpc_products(got + i, some + i, step, err);
    for (unsigned i = 0; i < len; i++)
        out->part[at[i]] = got[i];
    return rc;
}

/* Both parts as shares, added or one behind the other along an axis; one alone is itself. */
static ccz_rc join(struct ccz_mpc_tensor **out, const struct cczi_lr_parts *p, bool add,
                   unsigned axis, struct ccz_err *err)
{
    AUTO_PARTS s = {0};
    const struct ccz_mpc_tensor *all[2];
    size_t len = 0;
    ccz_rc rc = CCZ_OK;
    *out = NULL;
    for (unsigned i = 0; i < 2 && rc == CCZ_OK; i++)
        if (p->part[i]) {
            rc = ccz_mpc_share(&s.part[i], p->part[i], err);
            all[len++] = s.part[i];
        }
    if (rc != CCZ_OK)
        return rc;
    if (len == 2 && add)
        return ccz_mpc_add(out, all[0], all[1], err);
    return ccz_mpc_concat(out, all, len, axis, err);
}

/* ------------------------------------------------------------------------------------- forward */

static ccz_rc column(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *w, size_t from,
                     size_t len, struct ccz_err *err)
{
    TENSOR row = NULL;
    ccz_rc rc = ccz_mpc_slice(&row, w, 1, from, 1, len, err);
    return rc == CCZ_OK ? ccz_mpc_reshape(out, row, CCZ_MPC_SHAPE2(len, 1), err) : rc;
}

ccz_rc cczi_lr_split_w(struct cczi_lr_w *out, const struct cczi_lr_form *form,
                       const struct ccz_mpc_tensor *w, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (unsigned p = 0; p < 2 && rc == CCZ_OK; p++)
        if (cczi_lr_columns(form, p) > 0)
            rc = column(&out->part[p], w, cczi_lr_first(form, p), cczi_lr_columns(form, p), err);
    if (rc == CCZ_OK && form->len > form->columns)
        rc = ccz_mpc_slice(&out->one, w, 1, form->columns, 1, 1, err);
    return rc;
}

ccz_rc cczi_lr_forward(struct ccz_mpc_tensor **z, const struct cczi_lr_form *form,
                       const struct cczi_lr_parts *x, const struct cczi_lr_w *w, bool one_by_one,
                       struct ccz_err *err)
{
    struct ccz_mpc_product p[2] = {{0}};
    AUTO_PARTS parts = {0};
    TENSOR sum = NULL;
    TENSOR one = NULL;
    *z = NULL;
    for (unsigned i = 0; i < 2; i++)
        if (x->part[i])
            p[i] = (struct ccz_mpc_product){CCZ_MPC_OP_MATMUL, x->part[i], w->part[i], 0, 0};
    ccz_rc rc = multiply(&parts, p, one_by_one, err);
    if (rc == CCZ_OK)
        rc = join(&sum, &parts, !form->by_rows, 0, err);
    if (rc == CCZ_OK && w->one)
        rc = ccz_mpc_scale(&one, w->one, form->one, form->f, err);
    if (rc == CCZ_OK && one)
        return ccz_mpc_add(z, sum, one, err);
    if (rc == CCZ_OK)
        *z = ccz_mpc_tensor_take(&sum);
    return rc;
}

/* max(0, min(1, z + 1/2)) in two steps. */
static ccz_rc two_steps(struct ccz_mpc_tensor **out, const struct ccz_mpc_tensor *z, uint64_t one,
                        struct ccz_err *err)
{
    TENSOR moved = NULL;
    TENSOR positive = NULL;
    TENSOR less = NULL;
    TENSOR above = NULL;
    ccz_rc rc = ccz_mpc_add_value(&moved, z, one / 2, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_relu(&positive, NULL, moved, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_add_value(&less, positive, 0 - one, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_relu(&above, NULL, less, err);
    return rc == CCZ_OK ? ccz_mpc_sub(out, positive, above, err) : rc;
}

/* Of polynomials: at the scale of features. */
static ccz_rc at_feature_scale(struct ccz_mpc_tensor **out, const struct cczi_lr_form *form,
                               const struct ccz_mpc_tensor *z,
                               const struct ccz_mpc_sigmoid_cfg *cfg, struct ccz_err *err)
{
    TENSOR low = NULL;
    TENSOR s = NULL;
    ccz_rc rc = ccz_mpc_truncate(&low, z, form->g, CCZ_MPC_RANGE_HALF, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_sigmoid_as(&s, low, cfg, err);
    return rc == CCZ_OK ? ccz_mpc_rescale(out, s, form->f + form->g, err) : rc;
}

ccz_rc cczi_lr_activate(struct ccz_mpc_tensor **out, const struct cczi_lr_form *form,
                        const struct ccz_mpc_tensor *z, bool one_by_one, struct ccz_err *err)
{
    struct ccz_mpc_sigmoid_cfg cfg = form->cfg.sigmoid;
    cfg.range = form->z_bits;
    *out = NULL;
    if (cfg.kind == CCZ_MPC_SIGMOID_CHEBYSHEV)
        return at_feature_scale(out, form, z, &cfg, err);
    if (cfg.kind == CCZ_MPC_SIGMOID_3 && one_by_one)
        return two_steps(out, z, (uint64_t)1 << (form->f + form->g), err);
    return ccz_mpc_sigmoid_as(out, z, &cfg, err);
}

/* ------------------------------------------------------------------------------------ backward */

/* s(z) - y [rows, 1]; linear: z - y, clamped. */
static ccz_rc errors(struct ccz_mpc_tensor **out, const struct cczi_lr_form *form,
                     const struct ccz_mpc_tensor *z, const struct cczi_lr_parts *y, bool one_by_one,
                     struct ccz_err *err)
{
    TENSOR labels = NULL;
    TENSOR s = NULL;
    TENSOR d = NULL;
    const bool linear = form->cfg.model == CCZ_MPCML_LINEAR;
    const int64_t clip = (int64_t)form->clip;
    ccz_rc rc = join(&labels, y, false, 0, err);
    if (rc == CCZ_OK && !linear)
        rc = cczi_lr_activate(&s, form, z, one_by_one, err);
    if (rc == CCZ_OK && !linear)
        return ccz_mpc_sub(out, s, labels, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_sub(&d, z, labels, err);
    return rc == CCZ_OK ? ccz_mpc_clamp(out, d, -clip, clip, err) : rc;
}

/* e' x [1, columns] of all columns, scale 2 f + g. */
static ccz_rc gradient(struct ccz_mpc_tensor **out, const struct cczi_lr_form *form,
                       const struct cczi_lr_block *block, const struct cczi_lr_parts *x,
                       const struct ccz_mpc_tensor *e, bool one_by_one, struct ccz_err *err)
{
    struct ccz_mpc_product p[2] = {{0}};
    AUTO_PARTS rows = {0};
    AUTO_PARTS sums = {0};
    TENSOR row = NULL;
    ccz_rc rc = ccz_mpc_reshape(&row, e, CCZ_MPC_SHAPE2(1, block->rows), err);
    for (unsigned i = 0; i < 2 && rc == CCZ_OK; i++) {
        if (!x->part[i])
            continue;
        const size_t from = form->by_rows && i == 1 ? block->len[0] : 0;
        rc = ccz_mpc_slice(&rows.part[i], row, 1, from, 1, block->len[i], err);
        p[i] = (struct ccz_mpc_product){CCZ_MPC_OP_MATMUL, rows.part[i], x->part[i], 0, 0};
    }
    if (rc == CCZ_OK)
        rc = multiply(&sums, p, one_by_one, err);
    return rc == CCZ_OK ? join(out, &sums, form->by_rows, 1, err) : rc;
}

/* sum + w l2 of what has l2, and the intercept's behind it. */
static ccz_rc whole_gradient(struct ccz_mpc_tensor **out, const struct cczi_lr_form *form,
                             const struct ccz_mpc_tensor *sum, const struct ccz_mpc_tensor *e,
                             const struct ccz_mpc_tensor *w, struct ccz_err *err)
{
    TENSOR w_columns = NULL;
    TENSOR decay = NULL;
    TENSOR with = NULL;
    TENSOR all = NULL;
    TENSOR one = NULL;
    ccz_rc rc = CCZ_OK;
    if (form->decay) {
        rc = ccz_mpc_slice(&w_columns, w, 1, 0, 1, form->columns, err);
        if (rc == CCZ_OK)
            rc = ccz_mpc_scale(&decay, w_columns, form->decay, 2 * form->f, err);
    }
    if (rc == CCZ_OK)
        rc = decay ? ccz_mpc_add(&with, sum, decay, err) : ccz_mpc_copy(&with, sum, err);
    if (rc != CCZ_OK || form->len == form->columns) {
        *out = ccz_mpc_tensor_take(&with);
        return rc;
    }
    rc = ccz_mpc_sum(&all, e, 0, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_scale(&one, all, form->one, form->f, err);
    const struct ccz_mpc_tensor *both[2] = {with, one};
    return rc == CCZ_OK ? ccz_mpc_concat(out, both, 2, 1, err) : rc;
}

/* ---------------------------------------------------------------------------------------- step */

/* w - g / 2^(2 f + s). |g| < 2^62 follows from the configuration. */
static ccz_rc move(struct ccz_mpc_tensor **w, const struct cczi_lr_form *form,
                   const struct ccz_mpc_tensor *g, struct ccz_err *err)
{
    TENSOR t = NULL;
    TENSOR step = NULL;
    TENSOR next = NULL;
    ccz_rc rc = ccz_mpc_truncate(&t, g, 2 * form->f + form->step, CCZ_MPC_RANGE_HALF, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_reinterpret(&step, t, form->g, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_sub(&next, *w, step, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_mpc_tensor_free(*w);
    *w = ccz_mpc_tensor_take(&next);
    return CCZ_OK;
}

static ccz_rc step(struct ccz_mpcml_lr *lr, size_t batch, bool one_by_one, struct ccz_err *err)
{
    const struct cczi_lr_form *form = &lr->form;
    const struct cczi_lr_block block = cczi_lr_batch(form, batch);
    CCZI_AUTO_LR_W w = {0};
    TENSOR z = NULL;
    TENSOR e = NULL;
    TENSOR sum = NULL;
    TENSOR g = NULL;
    ccz_rc rc = cczi_lr_split_w(&w, form, lr->w, err);
    if (rc == CCZ_OK)
        rc = cczi_lr_forward(&z, form, &lr->x[batch], &w, one_by_one, err);
    if (rc == CCZ_OK)
        rc = errors(&e, form, z, &lr->y[batch], one_by_one, err);
    if (rc == CCZ_OK)
        rc = gradient(&sum, form, &block, &lr->x[batch], e, one_by_one, err);
    if (rc == CCZ_OK)
        rc = whole_gradient(&g, form, sum, e, lr->w, err);
    return rc == CCZ_OK ? move(&lr->w, form, g, err) : rc;
}

ccz_rc cczi_lr_train(struct ccz_mpcml_lr *lr, struct ccz_mpc *m,
                     const struct ccz_mpcml_setting *setting, struct ccz_err *err)
{
    const struct cczi_lr_form *form = &lr->form;
    uint64_t *zeros = NULL;
    TENSOR start = NULL;
    ccz_rc rc = cczi_mpcml_alloc(&zeros, form->len, sizeof(*zeros), err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_public(&start, m, CCZ_MPC_SHAPE2(1, form->len), form->g, zeros, err);
    cczi_mpcml_wipe_free(zeros, 0);
    if (rc == CCZ_OK)
        rc = ccz_mpc_share(&lr->w, start, err);
    for (size_t e = 0; e < form->cfg.epochs && rc == CCZ_OK; e++)
        for (size_t b = 0; b < form->batches && rc == CCZ_OK; b++)
            if (cczi_lr_batch(form, b).rows > 0)
                rc = step(lr, b, setting->one_by_one, err);
    return rc;
}
