/* SPDX-License-Identifier: Apache-2.0 */
/* A regression as a program: inputs, computing, results. */
#include "lr_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -------------------------------------------------------------------------------------- inputs */

static ccz_rc private_rows(struct ccz_mpc_tensor **out, const struct ccz_mpcml_lr *lr,
                           struct ccz_mpc *m, unsigned owner, const uint64_t *all, size_t from,
                           size_t rows, size_t columns, unsigned frac, struct ccz_err *err)
{
    const bool have = !ccz_mpc_is_plan(m) && owner == lr->role;
    *out = NULL;
    if (rows == 0 || columns == 0)
        return CCZ_OK;
    return ccz_mpc_private(out, m, owner, CCZ_MPC_SHAPE2(rows, columns), frac,
                           have ? all + from * columns : NULL, err);
}

static ccz_rc training_inputs(struct ccz_mpcml_lr *lr, struct ccz_mpc *m, struct ccz_err *err)
{
    const struct cczi_lr_form *form = &lr->form;
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < form->batches; i++) {
        const struct cczi_lr_block b = cczi_lr_batch(form, i);
        for (unsigned p = 0; p < 2 && rc == CCZ_OK; p++) {
            rc = private_rows(&lr->x[i].part[p], lr, m, p, lr->in.x, b.from[p], b.len[p],
                              cczi_lr_columns(form, p), form->f, err);
            if (rc == CCZ_OK && cczi_lr_has_labels(form, p))
                rc = private_rows(&lr->y[i].part[p], lr, m, p, lr->in.y, b.from[p], b.len[p], 1,
                                  form->f + form->g, err);
        }
    }
    return rc;
}

/* Weights that are given in the clear, by columns of parts. */
static ccz_rc given_inputs(struct ccz_mpcml_lr *lr, struct ccz_mpc *m, struct ccz_err *err)
{
    const struct cczi_lr_form *form = &lr->form;
    const bool own = form->cfg.given == CCZ_MPCML_GIVEN_OWN;
    const unsigned by = form->cfg.given == CCZ_MPCML_GIVEN_BY_1;
    const unsigned one_by = own ? form->cfg.labels : by;
    ccz_rc rc = CCZ_OK;
    for (unsigned p = 0; p < 2 && rc == CCZ_OK; p++)
        rc = private_rows(&lr->given[p], lr, m, own ? p : by, lr->in.weights,
                          own ? 0 : cczi_lr_first(form, p), cczi_lr_columns(form, p), 1, form->g,
                          err);
    if (rc == CCZ_OK && form->len > form->columns)
        rc = private_rows(&lr->given_one, lr, m, one_by, lr->in.weights,
                          own ? cczi_lr_columns(form, one_by) : form->columns, 1, 1, form->g, err);
    return rc;
}

static ccz_rc check_session(const struct ccz_mpcml_lr *lr, const struct ccz_mpc *m,
                            struct ccz_err *err)
{
    const ccz_rc rc = cczi_mpcml_check_session(m, lr->role, CCZI_LR_RING, err);
    if (rc != CCZ_OK || ccz_mpc_is_plan(m))
        return rc;
    if (!lr->has_data)
        return ccz_refuse(err, CCZ_E_ARG, "mpcml:data", "NULL", "data, for a run");
    return CCZ_OK;
}

static ccz_rc inputs(void *self, struct ccz_mpc *m, struct ccz_err *err)
{
    struct ccz_mpcml_lr *lr = self;
    const struct cczi_lr_form *form = &lr->form;
    ccz_rc rc = check_session(lr, m, err);
    if (rc == CCZ_OK)
        rc = training_inputs(lr, m, err);
    for (size_t i = 0; i < form->chunks && rc == CCZ_OK; i++) {
        const struct cczi_lr_block b = cczi_lr_chunk(form, i);
        for (unsigned p = 0; p < 2 && rc == CCZ_OK; p++)
            rc = private_rows(&lr->score_x[i].part[p], lr, m, p, lr->in.score_x, b.from[p],
                              b.len[p], cczi_lr_columns(form, p), form->f, err);
    }
    if (rc == CCZ_OK && form->given && form->cfg.given != CCZ_MPCML_GIVEN_SHARED)
        rc = given_inputs(lr, m, err);
    return rc;
}

static void free_parts(struct cczi_lr_parts *all, size_t len)
{
    for (size_t i = 0; all && i < len; i++)
        for (unsigned p = 0; p < 2; p++) {
            ccz_mpc_tensor_free(all[i].part[p]);
            all[i].part[p] = NULL;
        }
}

static void reset(void *self)
{
    struct ccz_mpcml_lr *lr = self;
    free_parts(lr->x, lr->form.batches);
    free_parts(lr->y, lr->form.batches);
    free_parts(lr->score_x, lr->form.chunks);
    for (unsigned p = 0; p < 2; p++) {
        ccz_mpc_tensor_free(lr->given[p]);
        lr->given[p] = NULL;
    }
    ccz_mpc_tensor_free(lr->given_one);
    lr->given_one = NULL;
    ccz_mpc_tensor_free(lr->w);
    lr->w = NULL;
}

/* ------------------------------------------------------------------------------------- weights */

/* Weights from .. from + len to those of `to`, at words + at. */
static ccz_rc reveal(struct ccz_mpcml_lr *lr, size_t at, size_t from, size_t len, unsigned to,
                     struct ccz_err *err)
{
    const struct ccz_mpc *m = ccz_mpc_session_of(lr->w);
    CCZ_AUTO(ccz_mpc_tensor) some = NULL;
    const bool mine = !ccz_mpc_is_plan(m) && to >> lr->role & 1; /* plans leave results alone */
    if (len == 0)
        return CCZ_OK;
    ccz_rc rc = ccz_mpc_slice(&some, lr->w, 1, from, 1, len, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_reveal(mine ? lr->words + at : NULL, some, to, "weights", err);
    if (rc == CCZ_OK && mine)
        lr->words_len = at + len;
    return rc;
}

static ccz_rc reveal_weights(struct ccz_mpcml_lr *lr, struct ccz_err *err)
{
    const struct cczi_lr_form *form = &lr->form;
    const unsigned labels = form->cfg.labels;
    ccz_rc rc = CCZ_OK;
    switch (form->cfg.weights) {
    case CCZ_MPCML_WEIGHTS_OWN:
        for (unsigned p = 0; p < 2 && rc == CCZ_OK; p++)
            rc = reveal(lr, 0, cczi_lr_first(form, p), cczi_lr_columns(form, p), 1u << p, err);
        return rc == CCZ_OK ? reveal(lr, cczi_lr_columns(form, labels), form->columns,
                                     form->len - form->columns, 1u << labels, err)
                            : rc;
    case CCZ_MPCML_WEIGHTS_TO_0:
    case CCZ_MPCML_WEIGHTS_TO_1:
    case CCZ_MPCML_WEIGHTS_TO_BOTH:
        return reveal(lr, 0, 0, form->len,
                      (unsigned)form->cfg.weights - CCZ_MPCML_WEIGHTS_TO_0 + CCZ_MPC_TO_0, err);
    case CCZ_MPCML_WEIGHTS_SHARED:
        break;
    }
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------- compute */

static void to_reals(struct ccz_mpcml_lr *lr)
{
    const struct cczi_lr_form *form = &lr->form;
    const bool bits = form->cfg.score == CCZ_MPCML_SCORE_CLASS;
    for (size_t i = 0; i < lr->words_len; i++)
        lr->weights[i] = ldexp((double)(int64_t)lr->words[i], -(int)form->g) * form->gain;
    for (size_t i = 0; i < cczi_lr_score_rows(form); i++)
        lr->values[i] = bits ? (double)lr->scores[i]
                             : ldexp((double)(int64_t)lr->scores[i], -(int)(form->f + form->g));
}

static ccz_rc compute(void *self, struct ccz_mpc *m, const struct ccz_mpcml_setting *setting,
                      struct ccz_err *err)
{
    struct ccz_mpcml_lr *lr = self;
    const struct cczi_lr_form *form = &lr->form;
    ccz_rc rc = CCZ_OK;
    if (!ccz_mpc_is_plan(m)) {
        lr->done = false;
        lr->words_len = 0;
    }
    if (form->train)
        rc = cczi_lr_train(lr, m, setting, err);
    if (rc == CCZ_OK && form->chunks > 0)
        rc = cczi_lr_score(lr, m, setting, err);
    if (rc == CCZ_OK && form->train)
        rc = reveal_weights(lr, err);
    if (rc != CCZ_OK || ccz_mpc_is_plan(m))
        return rc;
    if (form->train)
        memcpy(lr->share, ccz_mpc_words(lr->w), form->len * sizeof(*lr->share));
    to_reals(lr);
    lr->done = true;
    return CCZ_OK;
}

struct ccz_mpcml_lr_result ccz_mpcml_lr_result(const struct ccz_mpcml_lr *lr)
{
    struct ccz_mpcml_lr_result r = {0};
    if (!lr->done)
        return r;
    const struct cczi_lr_form *form = &lr->form;
    r.gain = form->gain;
    if (lr->words_len > 0) {
        r.weights = lr->weights;
        r.words = (const int64_t *)lr->words;
        r.weights_len = lr->words_len;
    }
    if (form->train) {
        r.share = lr->share;
        r.share_len = form->len;
    }
    if (form->chunks > 0 && (form->cfg.score_to >> lr->role & 1)) {
        r.scores = lr->values;
        r.score_words = (const int64_t *)lr->scores;
        r.scores_len = cczi_lr_score_rows(form);
    }
    return r;
}

/* ----------------------------------------------------------------------------- birth and end */

void ccz_mpcml_lr_free(struct ccz_mpcml_lr *lr)
{
    if (!lr)
        return;
    const size_t len = lr->form.len, rows = cczi_lr_score_rows(&lr->form);
    if (lr->x && lr->y && lr->score_x)
        reset(lr);
    cczi_lr_inputs_deinit(&lr->in);
    free(lr->x);
    free(lr->y);
    free(lr->score_x);
    cczi_mpcml_wipe_free(lr->words, len * sizeof(*lr->words));
    cczi_mpcml_wipe_free(lr->share, len * sizeof(*lr->share));
    cczi_mpcml_wipe_free(lr->weights, len * sizeof(*lr->weights));
    cczi_mpcml_wipe_free(lr->scores, rows * sizeof(*lr->scores));
    cczi_mpcml_wipe_free(lr->values, rows * sizeof(*lr->values));
    free(lr);
}

static ccz_rc alloc(struct ccz_mpcml_lr *lr, struct ccz_err *err)
{
    const struct cczi_lr_form *form = &lr->form;
    const size_t rows = cczi_lr_score_rows(form);
    ccz_rc rc = cczi_mpcml_alloc(&lr->x, form->batches, sizeof(*lr->x), err);
    if (rc == CCZ_OK)
        rc = cczi_mpcml_alloc(&lr->y, form->batches, sizeof(*lr->y), err);
    if (rc == CCZ_OK)
        rc = cczi_mpcml_alloc(&lr->score_x, form->chunks, sizeof(*lr->score_x), err);
    if (rc == CCZ_OK)
        rc = cczi_mpcml_alloc(&lr->words, form->len, sizeof(*lr->words), err);
    if (rc == CCZ_OK)
        rc = cczi_mpcml_alloc(&lr->share, form->len, sizeof(*lr->share), err);
    if (rc == CCZ_OK)
        rc = cczi_mpcml_alloc(&lr->weights, form->len, sizeof(*lr->weights), err);
    if (rc == CCZ_OK)
        rc = cczi_mpcml_alloc(&lr->scores, rows, sizeof(*lr->scores), err);
    if (rc == CCZ_OK)
        rc = cczi_mpcml_alloc(&lr->values, rows, sizeof(*lr->values), err);
    return rc;
}

ccz_rc ccz_mpcml_lr_new(struct ccz_mpcml_lr **out, unsigned role,
                        const struct ccz_mpcml_lr_cfg *cfg, const struct ccz_mpcml_lr_data *data,
                        struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpcml_lr) lr = NULL;
    struct cczi_lr_form form;
    *out = NULL;
    if (role > 1)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpcml:role", role, 1);
    ccz_rc rc = cczi_lr_form_init(&form, cfg, err);
    if (rc == CCZ_OK)
        rc = cczi_mpcml_alloc(&lr, 1, sizeof(*lr), err);
    if (rc != CCZ_OK)
        return rc;
    lr->form = form;
    lr->role = role;
    lr->has_data = data != NULL;
    rc = alloc(lr, err);
    if (rc == CCZ_OK)
        rc = cczi_lr_inputs_init(&lr->in, &form, role, data, err);
    if (rc == CCZ_OK)
        rc = cczi_lr_digest(lr->program.digest, &form, err);
    if (rc != CCZ_OK)
        return rc;
    lr->program.name = form.cfg.model == CCZ_MPCML_LINEAR ? "linear" : "lr";
    lr->program.self = lr;
    lr->program.ring_bits = CCZI_LR_RING;
    lr->program.frac = form.f;
    lr->program.max_abs = form.max_abs;
    lr->program.inputs = inputs;
    lr->program.compute = compute;
    lr->program.reset = reset;
    *out = ccz_mpcml_lr_take(&lr);
    return CCZ_OK;
}

const struct ccz_mpcml_program *ccz_mpcml_lr_program(const struct ccz_mpcml_lr *lr)
{
    return &lr->program;
}
