/* SPDX-License-Identifier: Apache-2.0 */
/* Regressions in the clear, on the same words modulo 2^64 as the shares: what they must give, bit for bit. */
#include "lr_priv.h"

#include <stdlib.h>
#include <string.h>

struct sim {
    struct cczi_lr_form form;
    struct cczi_lr_inputs in[2];
    uint64_t *w, *row, *z, *sum; /* [len], [columns], [rows of a block], [len] */
    size_t z_len;
};

static void sim_deinit(struct sim *s)
{
    for (unsigned p = 0; p < 2; p++)
        cczi_lr_inputs_deinit(&s->in[p]);
    cczi_mpcml_wipe_free(s->w, s->form.len * sizeof(*s->w));
    cczi_mpcml_wipe_free(s->sum, s->form.len * sizeof(*s->sum));
    cczi_mpcml_wipe_free(s->row, s->form.columns * sizeof(*s->row));
    cczi_mpcml_wipe_free(s->z, s->z_len * sizeof(*s->z));
}

/* floor(v / 2^s) of two's complement */
static uint64_t floor_shift(uint64_t v, unsigned s)
{
    const uint64_t sign = 0 - (v >> (CCZI_LR_RING - 1));
    return s ? v >> s | sign << (CCZI_LR_RING - s) : v;
}

/* Row i of a block, all columns. */
static void row_of(uint64_t *out, const struct sim *s, const struct cczi_lr_block *b, size_t i,
                   bool score)
{
    const struct cczi_lr_form *form = &s->form;
    for (unsigned p = 0; p < 2; p++) {
        const size_t columns = cczi_lr_columns(form, p);
        const bool second = form->by_rows && i >= b->len[0];
        if (columns == 0 || (form->by_rows && second != (p == 1)))
            continue;
        const size_t at = b->from[p] + (second ? i - b->len[0] : i);
        const uint64_t *x = score ? s->in[p].score_x : s->in[p].x;
        memcpy(out + cczi_lr_first(form, p), x + at * columns, columns * sizeof(*out));
    }
}

static uint64_t label_of(const struct sim *s, const struct cczi_lr_block *b, size_t i)
{
    const struct cczi_lr_form *form = &s->form;
    const bool second = form->by_rows && i >= b->len[0];
    const unsigned p = form->by_rows ? second : form->cfg.labels;
    return s->in[p].y[b->from[p] + (second ? i - b->len[0] : i)];
}

static void forward(struct sim *s, const struct cczi_lr_block *b, bool score)
{
    const struct cczi_lr_form *form = &s->form;
    for (size_t i = 0; i < b->rows; i++) {
        uint64_t z = form->len > form->columns ? form->one * s->w[form->columns] : 0;
        row_of(s->row, s, b, i, score);
        for (size_t j = 0; j < form->columns; j++)
            z += s->row[j] * s->w[j];
        s->z[i] = z;
    }
}

ccz_rc cczi_lr_activate_plain(uint64_t *z, size_t len, const struct cczi_lr_form *form,
                              struct ccz_err *err)
{
    struct ccz_mpc_sigmoid_cfg cfg = form->cfg.sigmoid;
    const bool low = cfg.kind == CCZ_MPC_SIGMOID_CHEBYSHEV;
    const unsigned frac = low ? form->f : form->f + form->g;
    cfg.range = form->z_bits;
    for (size_t i = 0; low && i < len; i++)
        z[i] = floor_shift(z[i], form->g);
    ccz_rc rc = ccz_mpc_sigmoid_plain(z, z, len, CCZI_LR_RING, frac, &cfg, err);
    for (size_t i = 0; low && i < len; i++)
        z[i] <<= form->g;
    return rc;
}

static uint64_t clamp(uint64_t v, uint64_t bound)
{
    const int64_t x = (int64_t)v, b = (int64_t)bound;
    return (uint64_t)(x < -b ? -b : x > b ? b : x);
}

static ccz_rc step(struct sim *s, size_t batch, struct ccz_err *err)
{
    const struct cczi_lr_form *form = &s->form;
    const struct cczi_lr_block b = cczi_lr_batch(form, batch);
    const bool linear = form->cfg.model == CCZ_MPCML_LINEAR;
    ccz_rc rc = CCZ_OK;
    forward(s, &b, false);
    if (!linear)
        rc = cczi_lr_activate_plain(s->z, b.rows, form, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t j = 0; j < form->len; j++)
        s->sum[j] = j < form->columns ? s->w[j] * form->decay : 0;
    for (size_t i = 0; i < b.rows; i++) {
        uint64_t e = s->z[i] - label_of(s, &b, i);
        e = linear ? clamp(e, form->clip) : e;
        row_of(s->row, s, &b, i, false);
        for (size_t j = 0; j < form->columns; j++)
            s->sum[j] += s->row[j] * e;
        if (form->len > form->columns)
            s->sum[form->columns] += form->one * e;
    }
    for (size_t j = 0; j < form->len; j++)
        s->w[j] -= floor_shift(s->sum[j], 2 * form->f + form->step);
    return CCZ_OK;
}

static ccz_rc score(int64_t *out, struct sim *s, struct ccz_err *err)
{
    const struct cczi_lr_form *form = &s->form;
    ccz_rc rc = CCZ_OK;
    for (size_t c = 0; c < form->chunks && rc == CCZ_OK; c++) {
        const struct cczi_lr_block b = cczi_lr_chunk(form, c);
        forward(s, &b, true);
        if (form->cfg.score == CCZ_MPCML_SCORE_VALUE && form->cfg.model == CCZ_MPCML_LOGISTIC)
            rc = cczi_lr_activate_plain(s->z, b.rows, form, err);
        for (size_t i = 0; i < b.rows && rc == CCZ_OK; i++) {
            const bool second = form->by_rows && i >= b.len[0];
            const size_t at =
                second ? form->cfg.score_rows[0] + b.from[1] + i - b.len[0] : b.from[0] + i;
            out[at] =
                form->cfg.score == CCZ_MPCML_SCORE_CLASS ? (int64_t)s->z[i] >= 0 : (int64_t)s->z[i];
        }
    }
    return rc;
}

/* Weights that are brought along, in the order of the model. */
static void take_given(struct sim *s)
{
    const struct cczi_lr_form *form = &s->form;
    const unsigned by = form->cfg.given == CCZ_MPCML_GIVEN_BY_1;
    for (size_t j = 0; j < form->len; j++) {
        if (form->cfg.given == CCZ_MPCML_GIVEN_SHARED)
            s->w[j] = s->in[0].share[j] + s->in[1].share[j];
        else if (form->cfg.given != CCZ_MPCML_GIVEN_OWN)
            s->w[j] = s->in[by].weights[j];
        else if (j == form->columns)
            s->w[j] = s->in[form->cfg.labels].weights[cczi_lr_columns(form, form->cfg.labels)];
        else if (j < form->cfg.columns[0])
            s->w[j] = s->in[0].weights[j];
        else
            s->w[j] = s->in[1].weights[j - form->cfg.columns[0]];
    }
}

static ccz_rc sim_init(struct sim *s, const struct ccz_mpcml_lr_cfg *cfg,
                       const struct ccz_mpcml_lr_data data[2], struct ccz_err *err)
{
    ccz_rc rc = cczi_lr_form_init(&s->form, cfg, err);
    for (unsigned p = 0; p < 2 && rc == CCZ_OK; p++)
        rc = cczi_lr_inputs_init(&s->in[p], &s->form, p, &data[p], err);
    for (size_t i = 0; i < s->form.batches; i++) {
        const size_t rows = cczi_lr_batch(&s->form, i).rows;
        s->z_len = rows > s->z_len ? rows : s->z_len;
    }
    for (size_t i = 0; i < s->form.chunks; i++) {
        const size_t rows = cczi_lr_chunk(&s->form, i).rows;
        s->z_len = rows > s->z_len ? rows : s->z_len;
    }
    if (rc == CCZ_OK)
        rc = cczi_mpcml_alloc(&s->w, s->form.len, sizeof(*s->w), err);
    if (rc == CCZ_OK)
        rc = cczi_mpcml_alloc(&s->sum, s->form.len, sizeof(*s->sum), err);
    if (rc == CCZ_OK)
        rc = cczi_mpcml_alloc(&s->row, s->form.columns, sizeof(*s->row), err);
    return rc == CCZ_OK ? cczi_mpcml_alloc(&s->z, s->z_len, sizeof(*s->z), err) : rc;
}

ccz_rc ccz_mpcml_lr_simulate(int64_t *words, int64_t *score_words,
                             const struct ccz_mpcml_lr_cfg *cfg,
                             const struct ccz_mpcml_lr_data data[2], struct ccz_err *err)
{
    __attribute__((cleanup(sim_deinit))) struct sim s = {0};
    ccz_rc rc = sim_init(&s, cfg, data, err);
    if (rc == CCZ_OK && s.form.given)
        take_given(&s);
    for (size_t e = 0; s.form.train && e < s.form.cfg.epochs; e++)
        for (size_t b = 0; b < s.form.batches && rc == CCZ_OK; b++)
            if (cczi_lr_batch(&s.form, b).rows > 0)
                rc = step(&s, b, err);
    if (rc == CCZ_OK && score_words)
        rc = score(score_words, &s, err);
    for (size_t j = 0; words && j < s.form.len && rc == CCZ_OK; j++)
        words[j] = (int64_t)s.w[j];
    return rc;
}
