/* SPDX-License-Identifier: Apache-2.0 */
/* Scoring on shares: with weights that training left, or that somebody brings. */
#include "lr_priv.h"

#include <cczoo/mpc_cmp.h>

#include <stdlib.h>

#define TENSOR CCZ_AUTO(ccz_mpc_tensor)

/* Weights in the form of products: shares of a training or import, else PRIVATE ones. */
static ccz_rc weights(struct cczi_lr_w *out, const struct ccz_mpcml_lr *lr, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    if (lr->w)
        return cczi_lr_split_w(out, &lr->form, lr->w, err);
    for (unsigned p = 0; p < 2 && rc == CCZ_OK; p++)
        if (lr->given[p])
            rc = ccz_mpc_reshape(&out->part[p], lr->given[p],
                                 CCZ_MPC_SHAPE2(cczi_lr_columns(&lr->form, p), 1), err);
    if (rc == CCZ_OK && lr->given_one)
        rc = ccz_mpc_reshape(&out->one, lr->given_one, CCZ_MPC_SHAPE2(1, 1), err);
    return rc;
}

/* What is revealed, as shares; a class as bits. */
static ccz_rc score_of(struct ccz_mpc_tensor **out, const struct cczi_lr_form *form,
                       const struct ccz_mpc_tensor *z, bool one_by_one, struct ccz_err *err)
{
    if (form->cfg.score == CCZ_MPCML_SCORE_CLASS)
        return ccz_mpc_drelu(out, z, err);
    if (form->cfg.score == CCZ_MPCML_SCORE_LINEAR || form->cfg.model == CCZ_MPCML_LINEAR)
        return ccz_mpc_copy(out, z, err);
    return cczi_lr_activate(out, form, z, one_by_one, err);
}

/* Rows of a chunk to their places: those of party 1 behind all of party 0. */
static void place(struct ccz_mpcml_lr *lr, const uint64_t *in, const struct cczi_lr_block *b)
{
    const struct cczi_lr_form *form = &lr->form;
    const bool bits = form->cfg.score == CCZ_MPCML_SCORE_CLASS;
    for (size_t i = 0; i < b->rows; i++) {
        const bool second = form->by_rows && i >= b->len[0];
        const size_t at =
            second ? form->cfg.score_rows[0] + b->from[1] + i - b->len[0] : b->from[0] + i;
        lr->scores[at] = bits ? in[i / 64] >> i % 64 & 1 : in[i];
    }
}

static ccz_rc reveal(struct ccz_mpcml_lr *lr, const struct ccz_mpc_tensor *s,
                     const struct cczi_lr_block *block, struct ccz_err *err)
{
    const unsigned to = lr->form.cfg.score_to;
    const bool mine = !ccz_mpc_is_plan(ccz_mpc_session_of(s)) && to >> lr->role & 1;
    uint64_t *got = NULL;
    ccz_rc rc = cczi_mpcml_alloc(&got, block->rows, sizeof(*got), err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_reveal(mine ? got : NULL, s, to, "scores", err);
    if (rc == CCZ_OK && mine)
        place(lr, got, block);
    cczi_mpcml_wipe_free(got, block->rows * sizeof(*got));
    return rc;
}

ccz_rc cczi_lr_score(struct ccz_mpcml_lr *lr, struct ccz_mpc *m,
                     const struct ccz_mpcml_setting *setting, struct ccz_err *err)
{
    const struct cczi_lr_form *form = &lr->form;
    const struct ccz_mpc_shape shape = CCZ_MPC_SHAPE2(1, form->len);
    CCZI_AUTO_LR_W w = {0};
    ccz_rc rc = CCZ_OK;
    if (form->given && form->cfg.given == CCZ_MPCML_GIVEN_SHARED)
        rc = ccz_mpc_import(&lr->w, m, CCZ_MPC_SHARED, shape, form->g, lr->in.share, err);
    if (rc == CCZ_OK)
        rc = weights(&w, lr, err);
    for (size_t i = 0; i < form->chunks && rc == CCZ_OK; i++) {
        const struct cczi_lr_block block = cczi_lr_chunk(form, i);
        TENSOR z = NULL;
        TENSOR s = NULL;
        rc = cczi_lr_forward(&z, form, &lr->score_x[i], &w, setting->one_by_one, err);
        if (rc == CCZ_OK)
            rc = score_of(&s, form, z, setting->one_by_one, err);
        if (rc == CCZ_OK)
            rc = reveal(lr, s, &block, err);
    }
    return rc;
}
