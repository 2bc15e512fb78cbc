/* SPDX-License-Identifier: Apache-2.0 */
/* One party: data, alignment, a program on shares, what it learned. `offline` ends where the computing would begin. */
#include "daemon.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct party {
    const struct mpc_opts *o;
    struct mpc_links links;
    unsigned role;
    struct ccz_fedlr_table *data, *test; /* as read */
    struct ccz_fedlr_table *rows[2];     /* common ones, scaled: of data, of test */
    struct mpc_self self[2];             /* by role */
    struct mpc_model model;              /* given, or gained */
    struct ccz_mpcml_lr_cfg cfg;
    struct ccz_mpcml_lr *lr;
    struct mpc_report report;
    struct ccz_mpc_stats stats;
};

/* -------------------------------------------------------------------------------------- before */

static ccz_rc read_files(struct party *p, struct ccz_err *err)
{
    const struct mpc_opts *o = p->o;
    struct mpc_self *self = &p->self[p->role];
    ccz_rc rc = mpc_data_read(&p->data, o->data, o, o->label, err);
    if (rc == CCZ_OK && o->test)
        rc = mpc_data_read(&p->test, o->test, o, o->label, err);
    if (rc == CCZ_OK && p->test && p->test->cols != p->data->cols)
        rc = ccz_refuse_num(err, CCZ_E_MISMATCH, "mpc:test-columns", (int64_t)p->test->cols,
                            (int64_t)p->data->cols);
    if (rc == CCZ_OK && o->scoring)
        rc = mpc_model_read(&p->model, o->model, p->data, err);
    if (rc != CCZ_OK)
        return rc;
    *self = (struct mpc_self){.labels = o->scoring ? p->model.labels : o->label != NULL,
                              .columns = p->data->cols,
                              .rows = p->data->rows,
                              .test_rows = p->test ? p->test->rows : 0};
    mpc_names_hash(&self->names, p->data);
    return rc;
}

/* Labels of one party with columns, of both with rows. */
static ccz_rc check_labels(const struct party *p, struct ccz_err *err)
{
    const int have = p->self[0].labels + p->self[1].labels;
    const int want = p->o->cfg.split == CCZ_MPCML_ROWS ? 2 : 1;
    if (have == want)
        return CCZ_OK;
    return ccz_hint(err, ccz_refuse_num(err, CCZ_E_MISMATCH, "mpc:labels", have, want),
                    p->o->scoring ? "the models are of the two parties of one training"
                                  : "--label names the column; with columns, one party has it");
}

static ccz_rc align(struct party *p, struct ccz_err *err)
{
    const struct mpc_opts *o = p->o;
    struct ccz_fedlr_table *const all[2] = {p->data, p->test};
    ccz_rc rc = CCZ_OK;
    for (int k = 0; rc == CCZ_OK && k < 2; k++) {
        const struct mpc_align a = {.kind = o->scoring ? "score"
                                            : k == 0   ? "train"
                                                       : "test",
                                    .role = p->role,
                                    .aligned = o->aligned,
                                    .minimum = (uint64_t)o->minimum};
        const size_t whole = all[k] ? all[k]->rows : 0;
        if (whole && o->cfg.split == CCZ_MPCML_COLUMNS)
            rc = mpc_align(&p->rows[k], p->links.peer, all[k], &a, err);
        else if (whole) { /* each its own: nothing to align */
            p->rows[k] = all[k];
            *(k == 0 ? &p->data : &p->test) = NULL;
        }
    }
    return rc;
}

static ccz_rc scale(struct party *p, struct ccz_err *err)
{
    struct mpc_scaling *s = &p->model.scaling;
    ccz_rc rc = CCZ_OK;
    if (!p->o->scoring && !p->o->raw)
        rc = mpc_scaling_fit(s, p->rows[0], err);
    for (int k = 0; rc == CCZ_OK && s->mean && k < 2; k++)
        if (p->rows[k])
            ccz_fedlr_scale_apply(p->rows[k], s->mean, s->sd);
    return rc;
}

/* ------------------------------------------------------------------------------------ computing */

/* As many weights as this scoring takes. */
static ccz_rc check_model(const struct party *p, struct ccz_err *err)
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

static ccz_rc make_program(struct party *p, struct ccz_err *err)
{
    const struct mpc_opts *o = p->o;
    const unsigned peer = 1 - p->role;
    size_t rows[2] = {p->rows[0]->rows, p->rows[0]->rows}, test[2] = {0, 0};
    if (p->rows[1])
        test[0] = test[1] = p->rows[1]->rows;
    if (o->cfg.split == CCZ_MPCML_ROWS) {
        rows[peer] = (size_t)p->self[peer].rows;
        test[peer] = (size_t)p->self[peer].test_rows;
    }
    p->cfg = mpc_lr_cfg(o, p->self, rows, test);
    p->cfg.given_gain = p->model.gain;
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
    return mpc_lr_hint(ccz_mpcml_lr_new(&p->lr, p->role, &p->cfg, &data, err), err);
}

static ccz_rc plan(struct party *p, const struct ccz_mpcml_program *program, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpcml_plan) plan = NULL;
    ccz_rc rc = ccz_mpcml_plan_new(&plan, program, &p->o->run, err);
    if (rc != CCZ_OK)
        return rc;
    p->report.planned_size = plan->total.size;
    p->report.planned_rounds = plan->total.rounds;
    ui_out("plan: %s, %.1f kB, %llu rounds, %.2f s\n", p->o->run.setting->name,
           (double)plan->total.size / 1e3, (unsigned long long)plan->total.rounds, plan->seconds);
    (void)ui_out_flush();
    return rc;
}

static ccz_rc compute(struct party *p, struct ccz_err *err)
{
    const struct ccz_mpcml_program *program = ccz_mpcml_lr_program(p->lr);
    const struct mpc_opts *o = p->o;
    struct mpc_opts with = *o;
    with.run.dealer = p->links.dealer;
    with.run.on_reveal = mpc_on_reveal;
    with.run.arg = &p->report;
    ccz_rc rc = o->store ? CCZ_OK : plan(p, program, err);
    if (rc != CCZ_OK)
        return rc;
    if (strcmp(o->command, "offline") == 0)
        return mpc_store_fill(&p->stats, p->links.peer, program, &with, err);
    if (o->store)
        return mpc_store_run(&p->stats, p->links.peer, program, &with, err);
    return ccz_mpcml_run(&p->stats, p->links.peer, program, &with.run, err);
}

/* --------------------------------------------------------------------------------------- after */

static ccz_rc keep_model(struct party *p, const struct ccz_mpcml_lr_result *r, struct ccz_err *err)
{
    struct mpc_model *m = &p->model;
    const bool shared = p->cfg.weights == CCZ_MPCML_WEIGHTS_SHARED;
    if (!p->o->model_out || p->o->scoring)
        return CCZ_OK;
    if (!shared && !r->weights)
        return ccz_hint(
            err,
            ccz_fail(err, CCZ_E_ARG, "mpc:model-out", 0, "no weights were revealed to this party"),
            "--weights says who gets them");
    m->labels = p->cfg.split == CCZ_MPCML_ROWS || p->cfg.labels == p->role;
    m->intercept = !p->cfg.no_intercept && (p->cfg.weights != CCZ_MPCML_WEIGHTS_OWN || m->labels);
    m->gain = r->gain;
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

static ccz_rc tell(struct party *p, struct ccz_err *err)
{
    const struct ccz_mpcml_lr_result r = ccz_mpcml_lr_result(p->lr);
    const struct ccz_fedlr_table *scored = p->o->scoring ? p->rows[0] : p->rows[1];
    ccz_rc rc = keep_model(p, &r, err);
    if (rc == CCZ_OK && scored)
        rc = mpc_scores_write(p->o->scores_out, scored, &r, err);
    if (rc == CCZ_OK && r.scores && scored->y && r.scores_len == scored->rows)
        mpc_print_metrics(r.scores, scored->y, scored->rows, p->o);
    return rc;
}

static ccz_rc work(struct party *p, struct ccz_err *err)
{
    const bool offline = strcmp(p->o->command, "offline") == 0;
    ccz_rc rc = read_files(p, err);
    if (rc == CCZ_OK)
        rc = mpc_links_open(&p->links, &p->o->net, err);
    if (rc == CCZ_OK)
        rc = mpc_links_join(&p->links, &p->o->net, err);
    if (rc == CCZ_OK)
        rc = mpc_terms(&p->self[1 - p->role], p->links.peer, p->o, &p->self[p->role], err);
    if (rc == CCZ_OK)
        rc = check_labels(p, err);
    if (rc == CCZ_OK)
        rc = align(p, err);
    if (rc == CCZ_OK)
        rc = scale(p, err);
    if (rc == CCZ_OK)
        rc = make_program(p, err);
    if (rc == CCZ_OK)
        rc = compute(p, err);
    if (rc == CCZ_OK && !offline)
        rc = tell(p, err);
    if (rc != CCZ_OK)
        return rc;
    mpc_print_stats(&p->report, &p->stats);
    rc = mpc_write_stats(p->o->json, &p->report, p->o, &p->stats, err);
    if (rc == CCZ_OK)
        ui_out(offline ? "done: the offline phase is stored, to be used once\n" : "done\n");
    return rc;
}

int mpc_cmd_party(int argc, char **argv)
{
    struct mpc_opts o;
    struct ccz_err err = {0};
    int status = mpc_options(&o, argc, argv);
    if (status >= 0)
        return status;
    ccz_log_install(ccz_log_stderr, NULL, CCZ_LOG_WARN);
    o.run.role = mpc_role(&o);
    struct party p = {.o = &o, .role = o.run.role};
    mpc_report_init(&p.report, p.role);
    ccz_rc rc = work(&p, &err);
    if (rc != CCZ_OK &&
        p.links.peer) /* the other one learns why, and of a failure behind the computing as well */
        ccz_chan_close(p.links.peer, err.msg);
    if (rc != CCZ_OK && p.report.reveals_len == 0)
        ui_say("nothing was revealed%s", p.rows[0] && !o.aligned && o.cfg.split == CCZ_MPCML_COLUMNS
                                             ? " but which rows are common"
                                             : "");
    status = rc == CCZ_OK ? UI_OK : ui_fail(&err);
    mpc_links_close(&p.links);
    ccz_mpcml_lr_free(p.lr);
    mpc_model_deinit(&p.model);
    for (int k = 0; k < 2; k++)
        ccz_fedlr_table_free(p.rows[k]);
    ccz_fedlr_table_free(p.data);
    ccz_fedlr_table_free(p.test);
    ccz_buf_free(&p.report.reveals);
    return status;
}
