/* SPDX-License-Identifier: Apache-2.0 */
#include "fedlr.h"

#include "../../cli/ui.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_FILE_SIZE_MAX = 16384, MODEL_FILE_SIZE_MAX = 1 << 20, PRINTED_ROUNDS = 40 };

struct role {
    const struct fedlr_opts *o;
    struct fedlr_links links;
    struct ccz_fedlr_table *data, *test;
    struct ccz_paillier_key *key;
    struct ccz_secret *seal;
    uint8_t key_id[CCZ_PAILLIER_ID_SIZE];
    struct ccz_fedlr_run run;
    struct ccz_fedlr_model *model;
    int64_t progress_ms; /* of the last round, or of the start */
    bool through;        /* all rounds are done here, though perhaps not at all others */
};

static bool is(const struct fedlr_opts *o, const char *role)
{
    return strcmp(o->role, role) == 0;
}

ccz_rc fedlr_read_key(struct ccz_paillier_key **out, const char *path, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) file = NULL;
    ccz_rc rc = ccz_file_read_secret(&file, path, KEY_FILE_SIZE_MAX, err);
    return rc == CCZ_OK ? ccz_paillier_key_read(out, file, NULL, err) : rc;
}

ccz_rc fedlr_read_table(struct ccz_fedlr_table **out, const char *path, const struct fedlr_opts *o,
                        struct ccz_err *err)
{
    const struct ccz_fedlr_csv_cfg csv = {.label = is(o, "host") ? NULL : o->label,
                                          .label_real =
                                              o->trees || o->cfg.loss == CCZ_FEDLR_SQUARED,
                                          .id = strcmp(o->id, "-") == 0 ? NULL : o->id};
    return path ? ccz_fedlr_csv_read(out, path, &csv, err) : CCZ_OK;
}

/* ----------------------------------------------------------------------------------- output */

static void print_metrics(const struct ccz_fedlr_metrics *m)
{
    ui_out("accuracy %.4f  AUC %.4f  KS %.4f  log loss %.4f", m->accuracy, m->auc, m->ks, m->loss);
}

/* The model on the test rows, where a role holds all of it. */
static bool measure(struct ccz_fedlr_metrics *out, const struct role *r, double *w, size_t len)
{
    const struct ccz_fedlr_model m = {.len = len, .w = w};
    if (!r->test || !w || len != r->test->cols + 1)
        return false;
    double *p = malloc(r->test->rows * sizeof(*p));
    bool good = p && ccz_fedlr_predict(p, &m, r->test, NULL) == CCZ_OK &&
                ccz_fedlr_measure(out, p, r->test->y, r->test->rows, NULL) == CCZ_OK;
    free(p);
    return good;
}

static void on_round(void *arg, const struct ccz_fedlr_progress *p)
{
    struct role *r = arg;
    struct ccz_fedlr_metrics m;
    r->progress_ms = ccz_mono_ms();
    r->through = false;
    uint64_t every = (p->rounds + PRINTED_ROUNDS - 1) / PRINTED_ROUNDS;
    if (p->round % every != 0 && p->round != p->rounds)
        return;
    ui_out("round %llu of %llu  %.1f ms  sent %.1f kB  received %.1f kB",
           (unsigned long long)p->round, (unsigned long long)p->rounds, (double)p->took_ns / 1e6,
           (double)p->sent_size / 1e3, (double)p->received_size / 1e3);
    if (!isnan(p->loss))
        ui_out("  training loss %.4f", p->loss);
    if (p->w && strncmp(r->o->mode, "hetero", 6) != 0 &&
        measure(&m, r, (double *)(uintptr_t)p->w, p->w_len)) {
        ui_out("  ");
        print_metrics(&m);
    }
    ui_out("\n");
    (void)ui_out_flush();
}

static ccz_rc write_model(const struct role *r, struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    const struct ccz_fedlr_model *m = r->model;
    ccz_buf_init(&b, MODEL_FILE_SIZE_MAX);
    if (!r->o->model_out || !m || m->len == 0)
        return CCZ_OK;
    ccz_buf_printf(&b, "{\"rounds\":%llu,\"converged\":%s,\"loss\":\"%s\",\"intercept\":",
                   (unsigned long long)m->rounds, m->converged ? "true" : "false",
                   m->loss == CCZ_FEDLR_SQUARED ? "squared" : "logistic");
    ccz_json_put_double(&b, m->w[0]);
    ccz_buf_put_str(&b, ",\"weights\":{");
    for (size_t j = 1; j < m->len; j++) {
        char name[CCZ_FEDLR_NAME_SIZE];
        (void)snprintf(name, sizeof(name), "x%zu", j - 1);
        const struct ccz_fedlr_table *t = r->data ? r->data : r->test;
        ccz_buf_put_str(&b, j > 1 ? "," : "");
        ccz_json_put_str(&b, ccz_span_str(t ? t->name[j - 1] : name));
        ccz_buf_put_str(&b, ":");
        ccz_json_put_double(&b, m->w[j]);
    }
    ccz_buf_put_str(&b, "}}\n");
    return ccz_file_write(r->o->model_out, ccz_buf_span(&b), 0600, CCZ_FILE_REPLACE, err);
}

/* --------------------------------------------------------------------------------- training */

/* Of the arbiter of encrypted-model. */
static size_t model_cols(const struct role *r)
{
    return r->o->cols ? (size_t)r->o->cols : r->test ? r->test->cols : 0;
}

static ccz_rc train(struct role *r, struct ccz_err *err)
{
    struct fedlr_links *l = &r->links;
    struct ccz_chan *arbiter = l->arbiter ? l->chan[l->len] : NULL;
    const struct ccz_paillier_key *key = r->key;
    size_t cols = model_cols(r);
    ccz_fedlr_model_free(r->model);
    r->model = NULL;
    if (is(r->o, "aggregator"))
        return ccz_fedlr_aggregate(l->chan, l->len, arbiter, &r->run, err);
    if (is(r->o, "arbiter"))
        return ccz_fedlr_arbitrate(&r->model, key, l->chan, l->len, cols, &r->run, err);
    if (is(r->o, "worker"))
        return ccz_fedlr_work(&r->model, key, l->chan[0], r->data, &r->run, err);
    if (is(r->o, "guest"))
        return ccz_fedlr_guest(&r->model, key, l->chan, l->len, arbiter, r->data, &r->run, err);
    return ccz_fedlr_host(&r->model, key, l->chan[0], arbiter, r->data, &r->run, err);
}

/* Guest and hosts measure together: each has its columns of the test rows. */
static ccz_rc measure_together(struct role *r, struct ccz_err *err)
{
    struct ccz_fedlr_metrics m;
    struct ccz_fedlr_fit fit;
    bool squared = r->o->cfg.loss == CCZ_FEDLR_SQUARED;
    if (is(r->o, "host"))
        return ccz_fedlr_predict_host(r->links.chan[0], r->model, r->test, err);
    double *p = malloc(r->test->rows * sizeof(*p));
    ccz_rc rc = p ? ccz_fedlr_predict_guest(p, r->model, r->links.chan, r->links.len, r->test, err)
                  : ccz_fail(err, CCZ_E_NOMEM, "fedlr:memory", 0, "out of memory");
    if (rc == CCZ_OK)
        rc = squared ? ccz_fedlr_measure_fit(&fit, p, r->test->y, r->test->rows, err)
                     : ccz_fedlr_measure(&m, p, r->test->y, r->test->rows, err);
    free(p);
    if (rc != CCZ_OK)
        return rc;
    ui_out("test rows  ");
    if (squared)
        ui_out("RMSE %.4f  MAE %.4f  R2 %.4f", fit.rmse, fit.mae, fit.r2);
    else
        print_metrics(&m);
    ui_out("\n");
    return rc;
}

static ccz_rc work(void *arg, struct ccz_err *err)
{
    struct role *r = arg;
    bool hetero = strncmp(r->o->mode, "hetero", 6) == 0;
    ccz_rc rc = train(r, err);
    if (rc == CCZ_E_CLOSED && strcmp(err->where, "fedlr:farewell") == 0)
        r->through = true;
    return rc == CCZ_OK && hetero && r->test ? measure_together(r, err) : rc;
}

static bool measures_together(const struct role *r)
{
    return r->test && (is(r->o, "guest") || is(r->o, "host"));
}

/* The others may be through and gone: the model is in this party's state then, and only measuring together needs them. */
static ccz_rc finish_alone(struct role *r, struct ccz_err *err)
{
    enum ccz_fedlr_mode mode = r->o->cfg.mode;
    ccz_fedlr_model_free(r->model);
    r->model = NULL;
    if (is(r->o, "guest"))
        return ccz_fedlr_guest_stored(&r->model, r->data, &r->run, err);
    if (is(r->o, "host"))
        return ccz_fedlr_host_stored(&r->model, r->data, &r->run, err);
    if (is(r->o, "worker") && mode == CCZ_FEDLR_HOMO)
        return ccz_fedlr_work_stored(&r->model, r->data, &r->run, err);
    if (is(r->o, "arbiter") && mode == CCZ_FEDLR_ENCRYPTED_MODEL)
        return ccz_fedlr_arbitrate_stored(&r->model, model_cols(r), &r->run, err);
    bool keeps_nothing = is(r->o, "aggregator") || is(r->o, "arbiter");
    return keeps_nothing && r->through ? CCZ_OK : CCZ_E_NOT_FOUND;
}

static ccz_rc prepare(struct role *r, struct ccz_err *err)
{
    const struct fedlr_opts *o = r->o;
    ccz_rc rc = fedlr_read_table(&r->data, o->data, o, err);
    if (rc == CCZ_OK)
        rc = fedlr_read_table(&r->test, o->test, o, err);
    if (rc == CCZ_OK && o->key)
        rc = fedlr_read_key(&r->key, o->key, err);
    if (rc == CCZ_OK && o->seal)
        rc = ccz_file_read_secret(&r->seal, o->seal, 32, err);
    if (rc == CCZ_OK && o->key_id)
        rc = ccz_unhex(r->key_id, sizeof(r->key_id), o->key_id, strlen(o->key_id));
    if (rc != CCZ_OK && !err->where[0])
        return ccz_fail(err, rc, "fedlr:key-id", 0, "--key-id is not 64 hex digits");
    r->run = (struct ccz_fedlr_run){.cfg = &o->cfg,
                                    .threads = (unsigned)o->threads,
                                    .timeout_ms = o->timeout_s * 1000,
                                    .checkpoint = o->state,
                                    .seal = r->seal,
                                    .stays = o->retry_s > 0,
                                    .key_id = o->key_id ? r->key_id : NULL,
                                    .on_round = on_round,
                                    .arg = r};
    return rc == CCZ_OK ? fedlr_links_open(&r->links, o, err) : rc;
}

int fedlr_run_role(const struct fedlr_opts *o)
{
    struct role r = {.o = o};
    struct ccz_err err = {0};
    ccz_rc rc = prepare(&r, &err);
    const bool ready = rc == CCZ_OK;
    bool complete = ready && o->state && !measures_together(&r) && finish_alone(&r, NULL) == CCZ_OK;
    if (ready)
        rc = fedlr_attempts(&r.links, o, complete, &r.progress_ms, work, &r, &err);
    /* or somebody has lost its state, and wants to begin anew */
    bool alone = fedlr_peer_lost(rc) || strcmp(err.where, "fedlr:resume") == 0;
    if (ready && rc != CCZ_OK && alone && finish_alone(&r, NULL) == CCZ_OK) {
        ui_say("%s: %s; all rounds were done already", err.where, err.msg);
        if (!measures_together(&r))
            rc = CCZ_OK;
        else if (write_model(&r, NULL) == CCZ_OK && o->model_out)
            ui_say("the model is in %s; it was not measured", o->model_out);
    }
    if (rc == CCZ_OK)
        rc = write_model(&r, &err);
    if (rc == CCZ_OK && r.model)
        ui_out("done after %llu rounds%s\n", (unsigned long long)r.model->rounds,
               r.model->converged ? ", converged" : "");
    else if (rc == CCZ_OK)
        ui_out("done\n");
    fedlr_links_close(&r.links);
    ccz_fedlr_model_free(r.model);
    ccz_fedlr_table_free(r.data);
    ccz_fedlr_table_free(r.test);
    ccz_paillier_key_free(r.key);
    ccz_secret_free(r.seal);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}
