/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct ccz_mpcml_lr_cfg mpc_lr_cfg(const struct mpc_opts *o, const struct mpc_self self[2],
                                   const size_t rows[2], const size_t test_rows[2])
{
    struct ccz_mpcml_lr_cfg c = o->cfg;
    for (int i = 0; i < 2; i++) {
        c.columns[i] = (size_t)self[i].columns;
        c.rows[i] = o->scoring ? 0 : rows[i];
        c.score_rows[i] = o->scoring ? rows[i] : test_rows[i];
    }
    c.labels = self[0].labels ? 0 : 1;
    if (o->score_to_labels)
        c.score_to = c.split == CCZ_MPCML_ROWS ? CCZ_MPC_TO_BOTH
                     : c.labels == 0           ? CCZ_MPC_TO_0
                                               : CCZ_MPC_TO_1;
    if (o->scoring)
        c.given =
            c.weights == CCZ_MPCML_WEIGHTS_SHARED ? CCZ_MPCML_GIVEN_SHARED : CCZ_MPCML_GIVEN_OWN;
    if (c.split == CCZ_MPCML_ROWS && c.weights == CCZ_MPCML_WEIGHTS_OWN)
        c.weights = CCZ_MPCML_WEIGHTS_TO_BOTH;
    return c;
}

ccz_rc mpc_first(ccz_rc before, struct ccz_err *err, ccz_rc rc, const struct ccz_err *own)
{
    if (rc == CCZ_OK)
        return before;
    if (before == CCZ_OK) {
        *err = *own;
        return rc;
    }
    (void)ui_fail(own);
    return before;
}

ccz_rc mpc_hint(ccz_rc rc, struct ccz_err *err)
{
    static const struct {
        const char *where, *hint;
    } hints[] = {
        {"mpcml:range", "larger features need a larger --range, or to be scaled (no --raw)"},
        {"mpcml:rate", "--rate is above 0 and at most --batch"},
        {"mpcml:input", "larger numbers need a larger --range, or to be scaled (no --raw)"},
        {"mpcml:label", "labels of lr are 0 and 1; --program linear takes other ones"},
    };
    for (size_t i = 0; rc != CCZ_OK && i < sizeof(hints) / sizeof(hints[0]); i++)
        if (strcmp(err->where, hints[i].where) == 0)
            return ccz_hint(err, rc, hints[i].hint);
    return rc;
}

ccz_rc mpc_scores_write(const char *path, const struct ccz_fedlr_table *t, const double *scores,
                        const int64_t *words, size_t len, struct ccz_err *err)
{
    CCZ_AUTO_BUF b = {0};
    if (!path || !scores)
        return CCZ_OK;
    ccz_buf_init(&b, SIZE_MAX / 2);
    b.wipe = true;
    ccz_buf_put_str(&b, "id,score,word\n");
    for (size_t i = 0; i < len; i++) {
        if (t && len == t->rows)
            ccz_buf_put_str(&b, t->id[i]);
        else /* rows of both parties, whose names one of them does not know; images */
            ccz_buf_printf(&b, "%zu", i);
        ccz_buf_printf(&b, ",%.17g,%" PRId64 "\n", scores[i], words[i]);
    }
    if (b.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
    return ccz_file_write(path, ccz_buf_span(&b), 0600, CCZ_FILE_REPLACE, err);
}

/* ------------------------------------------------------------------------------------- a party */

/* As many weights as this scoring takes. */
static ccz_rc check_model(const struct mpc_party *p, struct ccz_err *err)
{
    const struct mpc_model *m = &p->model;
    const bool shared = p->cfg.given == CCZ_MPCML_GIVEN_SHARED;
    const size_t own = p->data->cols + (p->cfg.labels == p->role && !p->cfg.no_intercept);
    const size_t want = shared ? ccz_mpcml_lr_weights_len(&p->cfg) : own;
    const size_t have = shared ? m->share_len : m->len; /* 0: it has the other kind */
    if (have == want)
        return CCZ_OK;
    return ccz_hint(
        err, ccz_refuse_num(err, CCZ_E_MISMATCH, "mpc:model-weights", (int64_t)have, (int64_t)want),
        "--weights and --no-intercept are those of the training");
}

ccz_rc mpc_lr_make(struct mpc_party *p, struct ccz_err *err)
{
    const struct mpc_opts *o = p->o;
    size_t rows[2], test[2];
    mpc_party_rows(rows, test, p);
    p->cfg = mpc_lr_cfg(o, p->self, rows, test);
    p->cfg.given_gain = p->model.gain;
    p->cfg.weight_range = p->model.bound; /* 0: not of shares */
    ccz_rc rc = o->scoring ? check_model(p, err) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_mpcml_lr_data data = {.x = o->scoring ? NULL : p->rows[0]->x,
                                           .y = o->scoring ? NULL : p->rows[0]->y,
                                           .score_x = o->scoring   ? p->rows[0]->x
                                                      : p->rows[1] ? p->rows[1]->x
                                                                   : NULL,
                                           .weights = p->model.weights,
                                           .share = p->model.share};
    rc = ccz_mpcml_lr_new(&p->lr, p->role, &p->cfg, &data, err);
    if (rc == CCZ_OK)
        p->program = ccz_mpcml_lr_program(p->lr);
    return rc;
}

static ccz_rc keep_model(struct mpc_party *p, const struct ccz_mpcml_lr_result *r,
                         struct ccz_err *err)
{
    struct mpc_model *m = &p->model;
    const bool shared = p->cfg.weights == CCZ_MPCML_WEIGHTS_SHARED;
    if (!p->o->model_out || p->o->scoring)
        return CCZ_OK;
    if (!shared && !r->weights) /* options refuse it */
        return ccz_fail(err, CCZ_E_INTERNAL, "mpc:model-out", 0, "no weights came to this party");
    m->labels = p->cfg.split == CCZ_MPCML_ROWS || p->cfg.labels == p->role;
    m->intercept = !p->cfg.no_intercept && (p->cfg.weights != CCZ_MPCML_WEIGHTS_OWN || m->labels);
    m->whole =
        p->cfg.split == CCZ_MPCML_COLUMNS && p->cfg.weights != CCZ_MPCML_WEIGHTS_OWN && !shared;
    m->first = p->role == 0 ? 0 : p->cfg.columns[0];
    m->gain = r->gain;
    m->bound = shared ? ccz_mpcml_lr_weight_bound(&p->cfg) : 0;
    m->len = r->weights_len;
    m->share_len = r->share_len;
    if (shared)
        m->share = calloc(r->share_len, sizeof(*m->share));
    else {
        m->weights = calloc(r->weights_len, sizeof(*m->weights));
        m->words = calloc(r->weights_len, sizeof(*m->words));
    }
    if (shared ? !m->share : !m->weights || !m->words)
        return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
    if (shared) {
        memcpy(m->share, r->share, r->share_len * sizeof(*m->share));
    } else {
        memcpy(m->weights, r->weights, r->weights_len * sizeof(*m->weights));
        memcpy(m->words, r->words, r->weights_len * sizeof(*m->words));
    }
    return mpc_model_write(p->o->model_out, m, p->rows[0], err);
}

/* What was revealed cannot be had again: each output is tried, whatever became of the others. */
ccz_rc mpc_lr_tell(struct mpc_party *p, struct ccz_err *err)
{
    struct ccz_err own = {0};
    const struct ccz_mpcml_lr_result r = ccz_mpcml_lr_result(p->lr);
    const struct ccz_fedlr_table *scored = p->o->scoring ? p->rows[0] : p->rows[1];
    ccz_rc rc = CCZ_OK;
    if (scored)
        rc = mpc_scores_write(p->o->scores_out, scored, r.scores, r.score_words, r.scores_len, err);
    rc = mpc_first(rc, err, keep_model(p, &r, &own), &own);
    if (scored && r.scores && scored->y && r.scores_len == scored->rows)
        mpc_print_metrics(r.scores, scored->y, scored->rows, p->o);
    return rc;
}
