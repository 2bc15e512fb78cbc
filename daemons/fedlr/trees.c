/* SPDX-License-Identifier: Apache-2.0 */
/* Guest and hosts of boosted trees: the same tables, links and options as the regressions have. */
#include "fedlr.h"

#include "../../cli/ui.h"

#include <cczoo/crypto.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MODEL_FILE_SIZE_MAX = 64 << 20 };

struct trees {
    const struct fedlr_opts *o;
    struct fedlr_links links;
    struct ccz_fedlr_table *data, *test;
    struct ccz_paillier_key *key;
    struct ccz_secret *seal;
    struct ccz_sboost_run run;
    int64_t progress_ms; /* of the last tree, or of the start */
    struct ccz_sboost_model *model;
    struct ccz_sboost_part *part;
};

static bool is_guest(const struct trees *t)
{
    return strcmp(t->o->role, "guest") == 0;
}

static void on_tree(void *arg, const struct ccz_sboost_progress *p)
{
    struct trees *t = arg;
    t->progress_ms = ccz_mono_ms();
    ui_out(
        "round %u of %u  tree %u  %.1f ms  splits %u (%u of hosts)  sent %.1f kB  received %.1f kB",
        p->round, t->o->trees_cfg.rounds, p->tree, (double)p->took_ns / 1e6, p->splits,
        p->host_splits, (double)p->sent_size / 1e3, (double)p->received_size / 1e3);
    if (!isnan(p->loss))
        ui_out("  training loss %.4f", p->loss);
    ui_out("\n");
    (void)ui_out_flush();
}

/* @param ids  32 bytes, for data.ids: they must be the same at all parties, in the same order */
static ccz_rc data_of(struct ccz_sboost_data *out, uint8_t *ids, const struct ccz_fedlr_table *t,
                      struct ccz_err *err)
{
    *out = (struct ccz_sboost_data){.rows = t->rows, .cols = t->cols, .x = t->x, .y = t->y};
    if (!t->id)
        return CCZ_OK;
    CCZ_AUTO(ccz_hasher) h = NULL;
    ccz_rc rc = ccz_hasher_new(&h, CCZ_SHA256);
    for (size_t i = 0; rc == CCZ_OK && i < t->rows; i++)
        rc = ccz_hasher_put(h, CCZ_SPAN(t->id[i], sizeof(t->id[i])));
    if (rc == CCZ_OK)
        rc = ccz_hasher_done(ids, h);
    out->ids = ids;
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "fedlr:ids", 0, "the ids could not be hashed");
}

static ccz_rc measure(const struct trees *t, const double *p, struct ccz_err *err)
{
    size_t rows = t->test->rows, outputs = ccz_sboost_outputs(t->model), right = 0;
    struct ccz_fedlr_metrics m;
    struct ccz_fedlr_fit fit;
    ccz_rc rc = CCZ_OK;
    if (t->o->trees_cfg.loss == CCZ_SBOOST_SQUARED) {
        rc = ccz_fedlr_measure_fit(&fit, p, t->test->y, rows, err);
        if (rc == CCZ_OK)
            ui_out("test rows  RMSE %.4f  MAE %.4f  R2 %.4f\n", fit.rmse, fit.mae, fit.r2);
    } else if (outputs == 1) {
        rc = ccz_fedlr_measure(&m, p, t->test->y, rows, err);
        if (rc == CCZ_OK)
            ui_out("test rows  accuracy %.4f  AUC %.4f  KS %.4f  log loss %.4f\n", m.accuracy,
                   m.auc, m.ks, m.loss);
    } else {
        for (size_t i = 0; i < rows; i++) {
            size_t best = 0;
            for (size_t k = 1; k < outputs; k++)
                best = p[i * outputs + k] > p[i * outputs + best] ? k : best;
            right += (double)best == t->test->y[i];
        }
        ui_out("test rows  accuracy %.4f\n", (double)right / (double)rows);
    }
    return rc;
}

static ccz_rc measure_together(struct trees *t, struct ccz_err *err)
{
    struct ccz_sboost_data data;
    uint8_t ids[32];
    ccz_rc rc = data_of(&data, ids, t->test, err);
    if (rc != CCZ_OK || !is_guest(t))
        return rc == CCZ_OK ? ccz_sboost_predict_host(t->links.chan[0], t->part, &data, err) : rc;
    double *p = calloc(data.rows * ccz_sboost_outputs(t->model), sizeof(*p));
    rc = p ? ccz_sboost_predict_guest(p, t->model, t->links.chan, t->links.len, &data, err)
           : ccz_fail(err, CCZ_E_NOMEM, "fedlr:memory", 0, "out of memory");
    if (rc == CCZ_OK)
        rc = measure(t, p, err);
    free(p);
    return rc;
}

static ccz_rc write_model(const struct trees *t, struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, MODEL_FILE_SIZE_MAX);
    if (!t->o->model_out)
        return CCZ_OK;
    if (is_guest(t))
        ccz_sboost_model_json(&b, t->model);
    else
        ccz_sboost_part_json(&b, t->part);
    if (b.bad)
        return ccz_fail(err, CCZ_E_LIMIT, "fedlr:model", 0, "the model is too large for a file");
    return ccz_file_write(t->o->model_out, ccz_buf_span(&b), 0600, CCZ_FILE_REPLACE, err);
}

static void drop_models(struct trees *t)
{
    ccz_sboost_model_free(t->model);
    ccz_sboost_part_free(t->part);
    t->model = NULL;
    t->part = NULL;
}

static ccz_rc train(void *arg, struct ccz_err *err)
{
    struct trees *t = arg;
    struct ccz_sboost_data data;
    uint8_t ids[32];
    drop_models(t);
    ccz_rc rc = data_of(&data, ids, t->data, err);
    if (rc == CCZ_OK && is_guest(t))
        rc = ccz_sboost_guest(&t->model, t->key, t->links.chan, t->links.len, &data, &t->run, err);
    else if (rc == CCZ_OK)
        rc = ccz_sboost_host(&t->part, t->links.chan[0], &data, &t->run, err);
    if (rc == CCZ_OK) {
        t->progress_ms = ccz_mono_ms();
        rc = write_model(t, err);
    }
    return rc == CCZ_OK && t->test ? measure_together(t, err) : rc;
}

/* The others may be through and gone: this party's part is in its state then, and only measuring needs them. */
static ccz_rc finish_alone(struct trees *t, struct ccz_err *err)
{
    struct ccz_sboost_data data;
    uint8_t ids[32];
    drop_models(t);
    ccz_rc rc = data_of(&data, ids, t->data, err);
    if (rc == CCZ_OK && is_guest(t))
        rc = ccz_sboost_guest_stored(&t->model, t->o->cfg.parties, &data, &t->run, err);
    else if (rc == CCZ_OK)
        rc = ccz_sboost_host_stored(&t->part, &data, &t->run, err);
    return rc == CCZ_OK ? write_model(t, err) : rc;
}

static ccz_rc prepare(struct trees *t, struct ccz_err *err)
{
    const struct fedlr_opts *o = t->o;
    t->run = (struct ccz_sboost_run){.cfg = &o->trees_cfg,
                                     .sample_seed = (uint64_t)o->seed,
                                     .threads = (unsigned)o->threads,
                                     .timeout_ms = o->timeout_s * 1000,
                                     .checkpoint = o->state,
                                     .on_tree = on_tree,
                                     .arg = t};
    ccz_rc rc = fedlr_read_table(&t->data, o->data, o, err);
    if (rc == CCZ_OK)
        rc = fedlr_read_table(&t->test, o->test, o, err);
    if (rc == CCZ_OK && o->key)
        rc = fedlr_read_key(&t->key, o->key, err);
    if (rc == CCZ_OK && o->seal)
        rc = ccz_file_read_secret(&t->seal, o->seal, 32, err);
    t->run.seal = t->seal;
    return rc == CCZ_OK ? fedlr_links_open(&t->links, o, err) : rc;
}

int fedlr_run_trees(const struct fedlr_opts *o)
{
    struct trees t = {.o = o};
    struct ccz_err err = {0};
    ccz_rc rc = prepare(&t, &err);
    bool alone = rc == CCZ_OK && o->state && !o->test; /* may do */
    bool complete = alone && finish_alone(&t, NULL) == CCZ_OK;
    if (rc == CCZ_OK)
        rc = fedlr_attempts(&t.links, o, complete, &t.progress_ms, train, &t, &err);
    if (fedlr_peer_lost(rc) && alone && finish_alone(&t, NULL) == CCZ_OK) {
        ui_say("%s: %s; all trees were there already", err.where, err.msg);
        rc = CCZ_OK;
    }
    if (rc == CCZ_OK)
        ui_out("done\n");
    fedlr_links_close(&t.links);
    drop_models(&t);
    ccz_secret_free(t.seal);
    ccz_fedlr_table_free(t.data);
    ccz_fedlr_table_free(t.test);
    ccz_paillier_key_free(t.key);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}
