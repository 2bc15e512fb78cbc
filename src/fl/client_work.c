/* SPDX-License-Identifier: Apache-2.0 */
/* A task done: local training, the update it makes, and what is kept of it. */
#include "fl/client.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SCRATCH_SIZE = 65536 };

void cczi_hfl_buffers_free(struct ccz_fl_client *c)
{
    free(c->base);
    free(c->update);
    free(c->variate);
    free(c->delta_variate);
    c->base = c->update = c->variate = c->delta_variate = NULL;
    ccz_agg_enc_free(c->enc);
    c->enc = NULL;
}

static ccz_rc buffers(struct ccz_fl_client *c, struct ccz_err *err)
{
    uint64_t len = c->layout->len;
    if (!c->update)
        c->update = cczi_hfl_vector(len);
    if (c->task.scaffold && !c->delta_variate)
        c->delta_variate = cczi_hfl_vector(len);
    if (!c->update || (c->task.scaffold && !c->delta_variate))
        return cczi_hfl_no_memory(err);
    const struct ccz_agg_codec codec = {.kind = (enum ccz_agg_codec_kind)c->task.codec,
                                        .block = c->task.block,
                                        .topk = c->task.topk};
    if (c->enc && memcmp(&codec, &c->codec, sizeof(codec)) == 0)
        return CCZ_OK;
    ccz_agg_enc_free(c->enc);
    c->enc = NULL;
    c->codec = codec;
    return ccz_agg_enc_new(&c->enc, &codec, (size_t)len, err);
}

/* Trains; c->update becomes the trained parameters. delta_variate serves as room for the correction. */
static ccz_rc train(struct ccz_fl_client *c, const struct hfl_generation *last,
                    const struct ccz_fl_trainer *t, struct ccz_err *err)
{
    const struct cczi_hfl_task *k = &c->task;
    size_t len = (size_t)c->layout->len;
    struct ccz_fl_train_cfg cfg = {.round = k->round,
                                   .epochs = k->epochs,
                                   .batch = k->batch,
                                   .lr = k->lr,
                                   .momentum = k->momentum,
                                   .prox_mu = k->prox_mu,
                                   .seed = k->seed};
    if (k->scaffold) {
        ccz_agg_sub(c->delta_variate, c->variate, last->variate, len);
        cfg.correction = c->delta_variate;
    }
    int64_t start_ms = ccz_mono_ms();
    ccz_rc rc = t->ops->train(&c->rec.train, t->self, &cfg, err);
    c->rec.train_ms = ccz_mono_ms() - start_ms;
    if (rc == CCZ_OK)
        rc = t->ops->get(t->self, c->update, err);
    return rc;
}

/* From the trained parameters: the update, its control variate, its encoding. */
static ccz_rc make_update(struct ccz_fl_client *c, const struct hfl_generation *last,
                          struct hfl_generation *next, struct ccz_err *err)
{
    size_t len = (size_t)c->layout->len;
    struct ccz_agg_norm norm = {0};
    ccz_rc rc = CCZ_OK;
    if (c->task.scaffold) {
        memcpy(next->variate, last->variate, len * sizeof(float));
        rc = ccz_agg_scaffold_client(c->delta_variate, next->variate, c->variate, c->base,
                                     c->update, len, c->rec.train.steps, c->task.lr, err);
    }
    if (rc != CCZ_OK)
        return rc;
    ccz_agg_sub(c->update, c->update, c->base, len);
    ccz_agg_norm_add(&norm, c->update, len);
    c->rec.update_norm = ccz_agg_norm_value(&norm);
    if (!isfinite(c->rec.update_norm))
        return ccz_fail(err, CCZ_E_FORMAT, "fl:not-finite", 0, "the local training diverged");
    return CCZ_OK;
}

/* With error feedback, what an encoding loses is known once it has been read: for a state file that is done in advance. */
static ccz_rc encode(struct ccz_fl_client *c, const struct hfl_generation *last,
                     struct hfl_generation *next, struct ccz_err *err)
{
    uint8_t scratch[SCRATCH_SIZE];
    bool feedback = c->task.codec == CCZ_AGG_INT8 || c->task.codec == CCZ_AGG_TOPK;
    const float *residual = feedback ? last->residual : NULL;
    float *lost = feedback ? next->residual : NULL;
    ccz_rc rc = ccz_agg_enc_begin(c->enc, c->update, residual, lost, err);
    if (rc == CCZ_OK && c->cfg.state_file && feedback) {
        while (ccz_agg_enc_read(scratch, sizeof(scratch), c->enc) > 0)
            ;
        rc = ccz_agg_enc_begin(c->enc, c->update, residual, lost, err);
    }
    return rc;
}

static ccz_rc do_training(struct ccz_fl_client *c, const struct ccz_fl_trainer *t,
                          struct ccz_err *err)
{
    struct hfl_generation *last, *next;
    c->complete = false; /* whatever the server said before */
    ccz_rc rc = buffers(c, err);
    if (rc == CCZ_OK)
        rc = cczi_hfl_generations(&last, &next, c, err);
    if (rc == CCZ_OK)
        rc = train(c, last, t, err);
    if (rc == CCZ_OK && c->rec.train.samples == 0)
        rc = ccz_fail(err, CCZ_E_FORMAT, "fl:no-samples", 0, "the trainer has no rows");
    if (rc == CCZ_OK)
        rc = make_update(c, last, next, err);
    c->masked = cczi_hfl_part_ready(c->part, c->task.round);
    if (rc == CCZ_OK && !c->masked && c->cfg.secagg_required) /* it was given up meanwhile */
        rc = ccz_fail(err, CCZ_E_POLICY, "fl:not-private", (int64_t)c->task.round,
                      "the private round is gone");
    if (rc == CCZ_OK)
        rc = c->masked ? cczi_hfl_part_begin(c->part, c->update, c->rec.train.samples, err)
                       : encode(c, last, next, err);
    if (rc != CCZ_OK)
        return rc;
    next->round = c->task.round; /* if the server takes it */
    c->next = (unsigned)(next - c->gen);
    c->offer = (struct cczi_hfl_offer){.round = c->task.round,
                                       .train = c->rec.train,
                                       .eval = c->rec.base_eval,
                                       .size = c->masked ? cczi_hfl_part_size(c->part)
                                                         : ccz_agg_enc_size(c->enc)};
    memcpy(c->offer.base, c->task.digest, sizeof(c->offer.base));
    c->offer_due = true;
    c->state = HFL_C_OFFERED;
    return CCZ_OK;
}

/* The last model is kept, and the state file knows it, before the server hears that it is here: whoever is killed then needs no server. */
static ccz_rc take_last(struct ccz_fl_client *c, struct ccz_err *err)
{
    bool was = c->complete;
    ccz_rc rc = c->cfg.on_last ? c->cfg.on_last(c->cfg.arg, c->seen_round, c->base, err) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    c->complete = true;
    rc = cczi_hfl_state_save(c, err);
    if (rc != CCZ_OK)
        c->complete = was;
    return rc;
}

static ccz_rc do_report(struct ccz_fl_client *c, struct ccz_err *err)
{
    bool last = c->seen_round >= c->rounds;
    ccz_rc rc = last ? take_last(c, err) : cczi_hfl_state_save(c, err);
    if (rc != CCZ_OK)
        return rc;
    c->report = (struct cczi_hfl_report){.round = c->task.round, .eval = c->rec.base_eval};
    c->report_due = true;
    c->state = HFL_C_IDLE;
    return CCZ_OK;
}

ccz_rc ccz_fl_client_work(struct ccz_fl_client *c, const struct ccz_fl_trainer *t,
                          struct ccz_err *err)
{
    if (c->state == HFL_C_IDLE && c->void_task) {
        c->void_task = false;
        return CCZ_OK;
    }
    if (c->state != HFL_C_READY)
        return ccz_fail(err, CCZ_E_ARG, "fl:work", c->state, "there is no task");
    ccz_rc rc = ccz_fl_layout_same(t->ops->layout(t->self), c->layout, err);
    c->rec = (struct ccz_fl_client_record){.round = c->task.round};
    if (rc == CCZ_OK)
        rc = t->ops->set(t->self, c->base, err);
    if (rc == CCZ_OK && (c->task.work & CCZI_HFL_EVALUATE))
        rc = t->ops->evaluate(&c->rec.base_eval, t->self, err);
    if (rc != CCZ_OK || !(c->task.work & CCZI_HFL_TRAIN))
        return rc == CCZ_OK ? do_report(c, err) : rc;
    rc = do_training(c, t, err);
    return rc == CCZ_OK ? cczi_hfl_state_save(c, err) : rc;
}
