/* SPDX-License-Identifier: Apache-2.0 */
/* A party's data as ring elements. */
#include "lr_priv.h"

#include <cczoo/dataset.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

void cczi_lr_inputs_deinit(struct cczi_lr_inputs *in)
{
    cczi_mpcml_wipe_free(in->x, in->x_len * sizeof(*in->x));
    cczi_mpcml_wipe_free(in->y, in->y_len * sizeof(*in->y));
    cczi_mpcml_wipe_free(in->score_x, in->score_len * sizeof(*in->score_x));
    cczi_mpcml_wipe_free(in->weights, in->weights_len * sizeof(*in->weights));
    cczi_mpcml_wipe_free(in->share, in->share_len * sizeof(*in->share));
    *in = (struct cczi_lr_inputs){0};
}

static ccz_rc want(const void *p, bool wanted, const char *what, struct ccz_err *err)
{
    if (p || !wanted)
        return CCZ_OK;
    return ccz_refuse(err, CCZ_E_ARG, "mpcml:data", "NULL", what);
}

/* Refusals say where a value is and not what it is: errors are logged, and a host may read logs. */

/* Rows of reals times gain at scale f, in an order (NULL: as they are). The sum of refused ones is looked at once. */
static ccz_rc encode_rows(uint64_t *out, const double *x, size_t rows, size_t columns,
                          const size_t *order, const struct cczi_lr_form *form, struct ccz_err *err)
{
    for (size_t i = 0; i < rows; i++) {
        const double *row = x + (order ? order[i] : i) * columns;
        for (size_t j = 0; j < columns; j++) {
            if (!(fabs(row[j]) <= form->cfg.range)) {
                (void)ccz_fail(err, CCZ_E_ARG, "mpcml:range", (int64_t)j,
                               "row %zu, column %zu: expected at most %g", order ? order[i] : i, j,
                               form->cfg.range);
                return ccz_hint(err, CCZ_E_ARG, "scale the column, or clip it");
            }
            out[i * columns + j] = (uint64_t)llround(ldexp(row[j] * form->gain, (int)form->f));
        }
    }
    return CCZ_OK;
}

static ccz_rc encode_labels(uint64_t *out, const double *y, size_t rows, const size_t *order,
                            const struct cczi_lr_form *form, struct ccz_err *err)
{
    const bool linear = form->cfg.model == CCZ_MPCML_LINEAR;
    for (size_t i = 0; i < rows; i++) {
        const size_t row = order ? order[i] : i;
        const bool ok = linear ? fabs(y[row]) <= form->cfg.range : y[row] == 0 || y[row] == 1;
        if (!ok)
            return ccz_fail(err, CCZ_E_ARG, "mpcml:label", (int64_t)row, "row %zu: expected %s",
                            row, linear ? "a number within the range of features" : "0 or 1");
        out[i] = (uint64_t)llround(ldexp(y[row], (int)form->f)) << form->g;
    }
    return CCZ_OK;
}

static ccz_rc order_of(size_t **out, size_t rows, unsigned role, const struct cczi_lr_form *form,
                       struct ccz_err *err)
{
    *out = NULL;
    if (form->cfg.seed == 0 || rows == 0)
        return CCZ_OK;
    ccz_rc rc = cczi_mpcml_alloc(out, rows, sizeof(**out), err);
    if (rc == CCZ_OK) /* aligned rows stay aligned */
        ccz_dataset_order(*out, rows, form->cfg.seed, form->by_rows ? role : 0);
    return rc;
}

static ccz_rc training(struct cczi_lr_inputs *in, const struct cczi_lr_form *form, unsigned role,
                       const struct ccz_mpcml_lr_data *data, struct ccz_err *err)
{
    const size_t rows = form->cfg.rows[role], columns = cczi_lr_columns(form, role);
    const bool labels = cczi_lr_has_labels(form, role) && rows > 0;
    size_t *order = NULL;
    in->x_len = rows * columns;
    in->y_len = labels ? rows : 0;
    ccz_rc rc = want(data->x, in->x_len > 0, "features to train with", err);
    if (rc == CCZ_OK)
        rc = want(data->y, labels, "labels", err);
    if (rc == CCZ_OK)
        rc = cczi_mpcml_alloc(&in->x, in->x_len, sizeof(*in->x), err);
    if (rc == CCZ_OK)
        rc = cczi_mpcml_alloc(&in->y, in->y_len, sizeof(*in->y), err);
    if (rc == CCZ_OK)
        rc = order_of(&order, rows, role, form, err);
    if (rc == CCZ_OK && in->x_len)
        rc = encode_rows(in->x, data->x, rows, columns, order, form, err);
    if (rc == CCZ_OK && labels)
        rc = encode_labels(in->y, data->y, rows, order, form, err);
    free(order);
    return rc;
}

/* ------------------------------------------------------------------------------------- scoring */

static size_t given_len(const struct cczi_lr_form *form, unsigned role)
{
    const enum ccz_mpcml_given by = role ? CCZ_MPCML_GIVEN_BY_1 : CCZ_MPCML_GIVEN_BY_0;
    if (!form->given || form->cfg.given == CCZ_MPCML_GIVEN_SHARED)
        return 0;
    if (form->cfg.given == CCZ_MPCML_GIVEN_OWN)
        return cczi_lr_own_len(form, role);
    return form->cfg.given == by ? form->len : 0;
}

static ccz_rc encode_weights(uint64_t *out, const double *w, size_t len,
                             const struct cczi_lr_form *form, struct ccz_err *err)
{
    for (size_t i = 0; i < len; i++) {
        if (!(fabs(w[i]) <= form->cfg.weight_range))
            return ccz_fail(err, CCZ_E_ARG, "mpcml:weight-range", (int64_t)i,
                            "weight %zu: expected at most %g", i, form->cfg.weight_range);
        out[i] = (uint64_t)llround(ldexp(w[i], (int)form->g));
    }
    return CCZ_OK;
}

static ccz_rc scoring(struct cczi_lr_inputs *in, const struct cczi_lr_form *form, unsigned role,
                      const struct ccz_mpcml_lr_data *data, struct ccz_err *err)
{
    const size_t rows = form->cfg.score_rows[role], columns = cczi_lr_columns(form, role);
    const bool shared = form->given && form->cfg.given == CCZ_MPCML_GIVEN_SHARED;
    in->score_len = rows * columns;
    in->weights_len = given_len(form, role);
    in->share_len = shared ? form->len : 0;
    ccz_rc rc = want(data->score_x, in->score_len > 0, "features to score", err);
    if (rc == CCZ_OK)
        rc = want(data->weights, in->weights_len > 0, "weights", err);
    if (rc == CCZ_OK)
        rc = want(data->share, shared, "a share of the weights", err);
    if (rc == CCZ_OK)
        rc = cczi_mpcml_alloc(&in->score_x, in->score_len, sizeof(*in->score_x), err);
    if (rc == CCZ_OK)
        rc = cczi_mpcml_alloc(&in->weights, in->weights_len, sizeof(*in->weights), err);
    if (rc == CCZ_OK)
        rc = cczi_mpcml_alloc(&in->share, in->share_len, sizeof(*in->share), err);
    if (rc == CCZ_OK && in->score_len)
        rc = encode_rows(in->score_x, data->score_x, rows, columns, NULL, form, err);
    if (rc == CCZ_OK && in->weights_len)
        rc = encode_weights(in->weights, data->weights, in->weights_len, form, err);
    if (rc == CCZ_OK && shared)
        memcpy(in->share, data->share, in->share_len * sizeof(*in->share));
    return rc;
}

ccz_rc cczi_lr_inputs_init(struct cczi_lr_inputs *in, const struct cczi_lr_form *form,
                           unsigned role, const struct ccz_mpcml_lr_data *data, struct ccz_err *err)
{
    *in = (struct cczi_lr_inputs){0};
    if (!data)
        return CCZ_OK;
    ccz_rc rc = CCZ_OK;
    if (form->train)
        rc = training(in, form, role, data, err);
    if (rc == CCZ_OK && form->chunks > 0)
        rc = scoring(in, form, role, data, err);
    if (rc != CCZ_OK)
        cczi_lr_inputs_deinit(in);
    return rc;
}
