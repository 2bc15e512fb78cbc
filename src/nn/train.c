/* SPDX-License-Identifier: Apache-2.0 */
/* Training, evaluation, gradients and scores over many batches. */
#include "nn_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EVALUATE_BATCH = 256 };

static ccz_rc check_cfg(const struct ccz_nn_train_cfg *cfg, struct ccz_err *err)
{
    const bool numbers = isfinite(cfg->lr) && cfg->lr > 0 && cfg->momentum >= 0 &&
                         cfg->momentum < 1 && isfinite(cfg->weight_decay) &&
                         cfg->weight_decay >= 0 && isfinite(cfg->prox_mu) && cfg->prox_mu >= 0;
    if (!numbers || cfg->epochs == 0 || cfg->batch == 0 || cfg->batch > CCZ_NN_BATCH_MAX)
        return ccz_fail(err, CCZ_E_ARG, "nn:config", cfg->batch,
                        "epochs, batch (up to %d) and rate have to be positive, momentum below 1, "
                        "decay and prox_mu not negative",
                        CCZ_NN_BATCH_MAX);
    return CCZ_OK;
}

static bool grow(float **p, size_t len)
{
    if (!*p)
        *p = cczi_nn_floats(len);
    return *p;
}

/* Memory that only training needs. */
static ccz_rc reserve_training(struct ccz_nn *nn, const struct ccz_nn_train_cfg *cfg, size_t rows,
                               struct ccz_err *err)
{
    bool ok = grow(&nn->grad, nn->params_len);
    if (cfg->momentum > 0)
        ok &= grow(&nn->velocity, nn->params_len);
    if (cfg->prox_mu > 0 && !cfg->centre)
        ok &= grow(&nn->centre, nn->params_len);
    if (rows > nn->order_len) {
        free(nn->order);
        nn->order = calloc(rows, sizeof(*nn->order));
        nn->order_len = nn->order ? rows : 0;
        ok &= nn->order != NULL;
    }
    return ok ? CCZ_OK
              : ccz_fail(err, CCZ_E_NOMEM, "nn:memory", (int64_t)rows, "no memory for training");
}

/* Fisher-Yates. Rows are fewer than 2^32: the product picks evenly up to 2^-32 of their number. */
static void shuffle(uint32_t *order, size_t len, uint64_t *state)
{
    for (size_t i = len; i > 1; i--) {
        const size_t j = (size_t)((cczi_nn_random(state) >> 32) * i >> 32);
        const uint32_t t = order[i - 1];
        order[i - 1] = order[j];
        order[j] = t;
    }
}

static struct cczi_nn_step step_from(struct ccz_nn *nn, float *params,
                                     const struct ccz_nn_train_cfg *cfg)
{
    const float *centre = NULL;
    if (cfg->prox_mu > 0)
        centre = cfg->centre ? cfg->centre
                             : memcpy(nn->centre, params, nn->params_len * sizeof(*params));
    if (cfg->momentum > 0)
        memset(nn->velocity, 0, nn->params_len * sizeof(float));
    return (struct cczi_nn_step){.w = params,
                                 .v = cfg->momentum > 0 ? nn->velocity : NULL,
                                 .g = nn->grad,
                                 .centre = centre,
                                 .correction = cfg->correction,
                                 .len = nn->params_len,
                                 .lr = cfg->lr,
                                 .momentum = cfg->momentum,
                                 .decay = cfg->weight_decay,
                                 .prox = cfg->prox_mu};
}

ccz_rc ccz_nn_train(struct ccz_nn_metrics *out, float *params, struct ccz_nn *nn,
                    const struct ccz_nn_data *data, const struct ccz_nn_train_cfg *cfg,
                    struct ccz_err *err)
{
    const size_t rows = cczi_nn_rows(data), batch = cfg->batch < rows ? cfg->batch : rows;
    *out = (struct ccz_nn_metrics){0};
    ccz_rc rc = check_cfg(cfg, err);
    if (rc == CCZ_OK)
        rc = cczi_nn_check(nn, data, true, err);
    if (rc == CCZ_OK)
        rc = cczi_nn_reserve(nn, batch, err);
    if (rc == CCZ_OK)
        rc = reserve_training(nn, cfg, rows, err);
    if (rc != CCZ_OK)
        return rc;
    const struct cczi_nn_step step = step_from(nn, params, cfg);
    struct ccz_nn_metrics m = {0};
    uint64_t state = cfg->seed, steps = 0;
    for (size_t i = 0; i < rows; i++)
        nn->order[i] = (uint32_t)i;
    for (uint32_t epoch = 0; epoch < cfg->epochs; epoch++) {
        shuffle(nn->order, rows, &state);
        double loss = 0;
        size_t hits = 0;
        for (size_t at = 0; at < rows; at += batch, steps++) {
            const size_t len = rows - at < batch ? rows - at : batch;
            cczi_nn_load(nn, data, nn->order + at, 0, len);
            cczi_nn_forward(nn, params, len);
            cczi_nn_loss(&loss, &hits, nn, len, true);
            cczi_nn_backward(nn->grad, nn, params, len);
            nn->k->step(&step);
        }
        if (!isfinite(loss))
            return ccz_fail(err, CCZ_E_LIMIT, "nn:diverged", epoch,
                            "the loss is not a number any more in epoch %u: a lower rate may help",
                            epoch + 1);
        m = (struct ccz_nn_metrics){.samples = (uint64_t)rows * (epoch + 1),
                                    .steps = steps,
                                    .loss = loss / (double)rows,
                                    .accuracy = (double)hits / (double)rows};
        if (cfg->on_epoch)
            cfg->on_epoch(cfg->arg, epoch, &m);
    }
    *out = m;
    return CCZ_OK;
}

ccz_rc ccz_nn_evaluate(struct ccz_nn_metrics *out, struct ccz_nn *nn, const float *params,
                       const struct ccz_nn_data *data, struct ccz_err *err)
{
    const size_t rows = cczi_nn_rows(data), batch = rows < EVALUATE_BATCH ? rows : EVALUATE_BATCH;
    *out = (struct ccz_nn_metrics){0};
    ccz_rc rc = cczi_nn_check(nn, data, true, err);
    if (rc == CCZ_OK)
        rc = cczi_nn_reserve(nn, batch, err);
    if (rc != CCZ_OK)
        return rc;
    double loss = 0;
    size_t hits = 0;
    for (size_t at = 0; at < rows; at += batch) {
        const size_t len = rows - at < batch ? rows - at : batch;
        cczi_nn_load(nn, data, NULL, at, len);
        cczi_nn_forward(nn, params, len);
        cczi_nn_loss(&loss, &hits, nn, len, false);
    }
    *out = (struct ccz_nn_metrics){
        .samples = rows, .loss = loss / (double)rows, .accuracy = (double)hits / (double)rows};
    return CCZ_OK;
}

ccz_rc ccz_nn_gradient(float *gradient, struct ccz_nn_metrics *out, struct ccz_nn *nn,
                       const float *params, const struct ccz_nn_data *data, struct ccz_err *err)
{
    const size_t rows = cczi_nn_rows(data);
    double loss = 0;
    size_t hits = 0;
    if (out)
        *out = (struct ccz_nn_metrics){0};
    ccz_rc rc = cczi_nn_check(nn, data, true, err);
    if (rc == CCZ_OK && rows > CCZ_NN_BATCH_MAX)
        rc = ccz_refuse_num(err, CCZ_E_LIMIT, "nn:batch", (int64_t)rows, CCZ_NN_BATCH_MAX);
    if (rc == CCZ_OK)
        rc = cczi_nn_reserve(nn, rows, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_nn_load(nn, data, NULL, 0, rows);
    cczi_nn_forward(nn, params, rows);
    cczi_nn_loss(&loss, &hits, nn, rows, true);
    cczi_nn_backward(gradient, nn, params, rows);
    if (out)
        *out = (struct ccz_nn_metrics){.samples = rows,
                                       .steps = 1,
                                       .loss = loss / (double)rows,
                                       .accuracy = (double)hits / (double)rows};
    return isfinite(loss)
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_LIMIT, "nn:diverged", 0, "the loss is not a number");
}

ccz_rc ccz_nn_scores(float *scores, struct ccz_nn *nn, const float *params,
                     const struct ccz_nn_data *data, struct ccz_err *err)
{
    const size_t rows = cczi_nn_rows(data), batch = rows < EVALUATE_BATCH ? rows : EVALUATE_BATCH;
    ccz_rc rc = cczi_nn_check(nn, data, false, err);
    if (rc == CCZ_OK)
        rc = cczi_nn_reserve(nn, batch, err);
    for (size_t at = 0; rc == CCZ_OK && at < rows; at += batch) {
        const size_t len = rows - at < batch ? rows - at : batch;
        cczi_nn_load(nn, data, NULL, at, len);
        cczi_nn_forward(nn, params, len);
        memcpy(scores + at * nn->outputs, nn->nodes[nn->nodes_len - 1].y,
               len * nn->outputs * sizeof(float));
    }
    return rc;
}
