/* SPDX-License-Identifier: Apache-2.0 */
/* cczoo-fl-worker: one member. */
#include "fld.h"

#include "../../cli/ui.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct worker {
    const struct worker_opts *o;
    struct worker_trainer *trainer;
    struct ccz_attester *attester;
    struct ccz_party *party;
    struct ccz_secret *seal;
    struct ccz_key *server_key;
    struct worker_private private;
    struct ccz_fl_client *client;
    int64_t progress_ms; /* of the last round, or of the start */
    bool kept;           /* the last model came to this process */
};

static void on_round(void *arg, const struct ccz_fl_client_record *r)
{
    struct worker *w = arg;
    w->progress_ms = ccz_mono_ms();
    ui_out("round %llu  loss %.4f  accuracy %.4f  %llu rows  %.2f s", (unsigned long long)r->round,
           r->train.loss, r->train.accuracy, (unsigned long long)r->train.samples,
           (double)r->train_ms / 1e3);
    if (r->accepted)
        ui_out("  accepted\n");
    else
        ui_out("  refused: %s: %s\n", r->refusal.where, r->refusal.msg);
    (void)ui_out_flush();
}

static ccz_rc keep_last(void *arg, uint64_t round, const float *params, struct ccz_err *err)
{
    struct worker *w = arg;
    const struct ccz_fl_trainer *t = worker_trainer_get(w->trainer);
    ccz_rc rc = CCZ_OK;
    if (w->o->model_out)
        rc = ccz_fl_model_save(w->o->model_out, t->ops->layout(t->self), round, params, NULL, err);
    w->kept = rc == CCZ_OK;
    return rc;
}

static ccz_rc write_first_model(const struct worker *w, struct ccz_err *err)
{
    const struct ccz_fl_trainer *t = worker_trainer_get(w->trainer);
    const struct ccz_fl_layout *l = t->ops->layout(t->self);
    float *params = calloc((size_t)l->len, sizeof(*params));
    ccz_rc rc = params ? t->ops->get(t->self, params, err)
                       : ccz_fail(err, CCZ_E_NOMEM, "fld:memory", 0, "out of memory");
    if (rc == CCZ_OK)
        rc = ccz_fl_model_save(w->o->init_out, l, 0, params, NULL, err);
    free(params);
    return rc;
}

static ccz_rc open_party(struct worker *w, struct ccz_err *err)
{
    struct fld_trust t = w->o->trust;
    t.measure_len = worker_trainer_files(&t.measure, w->trainer);
    return fld_party_open(&w->attester, &w->party, &t, false, err);
}

static ccz_rc prepare(struct worker *w, struct ccz_err *err)
{
    const struct worker_opts *o = w->o;
    const struct ccz_fl_trainer *t = worker_trainer_get(w->trainer);
    uint8_t xy[64];
    ccz_rc rc = o->seal ? fld_read_seal(&w->seal, o->seal, err) : CCZ_OK;
    if (rc == CCZ_OK && o->server_key &&
        (ccz_unhex(xy, sizeof(xy), o->server_key, strlen(o->server_key)) != CCZ_OK ||
         ccz_key_from_xy(&w->server_key, CCZ_P256, CCZ_SPAN(xy, sizeof(xy))) != CCZ_OK))
        rc = ccz_fail(err, CCZ_E_FORMAT, "fl:server-key", 0, "--server-key is no point of P-256");
    if (rc == CCZ_OK)
        rc = worker_private_open(&w->private, o, worker_trainer_json(w->trainer), err);
    if (rc == CCZ_OK)
        rc = open_party(w, err);
    const struct worker_private *p = &w->private;
    const struct ccz_fl_client_cfg cfg = {.name = o->name,
                                          .layout = t->ops->layout(t->self),
                                          .server_key = w->server_key,
                                          .secagg_required = p->required,
                                          .secagg_quorum_min = p->quorum_min,
                                          .roster = p->roster,
                                          .roster_len = p->roster_len,
                                          .identity = p->identity,
                                          .state_file = o->state,
                                          .state_key = w->seal,
                                          .on_round = on_round,
                                          .on_last = keep_last,
                                          .arg = w};
    return rc == CCZ_OK ? ccz_fl_client_new(&w->client, &cfg, err) : rc;
}

/* The server's evidence is judged before anything is sent. */
static ccz_rc visit(struct worker *w, struct ccz_err *err)
{
    CCZ_AUTO(ccz_rpc_client) rpc = NULL;
    CCZ_AUTO(ccz_chan) chan = NULL;
    const struct ccz_rpc_client_cfg cfg = {.target = w->o->server,
                                           .ratls = ccz_party_ratls(w->party)};
    const struct ccz_rpc_chan_cfg open = {
        .channel = FLD_CHANNEL, .party = w->o->name, .limits = fld_limits};
    ccz_rc rc = ccz_rpc_client_new(&rpc, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(NULL, rpc, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_chan_connect(&chan, rpc, &open, err);
    if (rc == CCZ_OK)
        rc = ccz_fl_client_run(w->client, chan, worker_trainer_get(w->trainer), 0, err);
    ccz_chan_free(chan); /* before the client that carries it */
    chan = NULL;
    return rc;
}

/* What goes away with a server that comes back; a name that is still taken is one of a connection that is about to be missed. */
static bool lost(ccz_rc rc)
{
    return rc == CCZ_E_CLOSED || rc == CCZ_E_TIMEOUT || rc == CCZ_E_UNAVAILABLE || rc == CCZ_E_IO;
}

static ccz_rc attempts(struct worker *w, struct ccz_err *err)
{
    static const struct timespec pause = {.tv_nsec = 200000000};
    w->progress_ms = ccz_mono_ms();
    for (;;) {
        *err = (struct ccz_err){0};
        ccz_rc rc = visit(w, err);
        if (rc == CCZ_OK || !lost(rc) || ccz_mono_ms() - w->progress_ms > w->o->retry_s * 1000)
            return rc;
        ui_say("%s: %s; connecting again", err->where, err->msg);
        (void)nanosleep(&pause, NULL);
    }
}

/* It was kept by an earlier run of this member. */
static ccz_rc check_kept(const struct worker *w, struct ccz_err *err)
{
    CCZ_AUTO(ccz_fl_layout) layout = NULL;
    float *params = NULL;
    uint64_t round;
    ccz_rc rc = ccz_fl_model_load(&layout, &params, &round, w->o->model_out, NULL, err);
    if (rc == CCZ_OK)
        rc = ccz_fl_client_is_last(w->client, layout, round, params, err);
    free(params);
    return rc == CCZ_OK ? rc : ccz_hint(err, rc, "the training is over: the server has its model");
}

static ccz_rc finish(const struct worker *w, struct ccz_err *err)
{
    uint64_t round = ccz_fl_client_round(w->client);
    ccz_rc rc = CCZ_OK;
    if (!ccz_fl_client_complete(w->client))
        return ccz_hint(err,
                        ccz_fail(err, CCZ_E_NOT_FOUND, "fl:last-model", (int64_t)round,
                                 "the server ended before this member had its last model"),
                        "the server has it (--model-out of cczoo-fld); next time give it a longer "
                        "--last-wait");
    if (w->o->model_out && !w->kept)
        rc = check_kept(w, err);
    if (rc == CCZ_OK)
        ui_out("done after %llu rounds\n", (unsigned long long)round);
    return rc;
}

static ccz_rc run(struct worker *w, struct ccz_err *err)
{
    const struct worker_opts *o = w->o;
    if (o->roster_entry)
        return worker_roster_entry(o, err);
    ccz_rc rc = worker_trainer_open(&w->trainer, o, err);
    if (rc == CCZ_OK && o->init_out)
        return write_first_model(w, err);
    if (rc == CCZ_OK && o->alone)
        return worker_alone(o, worker_trainer_get(w->trainer), err);
    if (rc == CCZ_OK)
        rc = prepare(w, err);
    if (rc == CCZ_OK)
        rc = attempts(w, err);
    if (w->client && lost(rc) && ccz_fl_client_complete(w->client)) {
        ui_say("%s: %s; the last model had been received", err->where, err->msg);
        *err = (struct ccz_err){0};
        rc = CCZ_OK;
    }
    return rc == CCZ_OK ? finish(w, err) : rc;
}

int main(int argc, char **argv)
{
    struct worker_opts o;
    struct ccz_err err = {0};
    ccz_process_harden();
    fld_tune_memory();
    (void)signal(SIGPIPE, SIG_IGN);
    (void)setenv("TF_CPP_MIN_LOG_LEVEL", "2", 0); /* TensorFlow's errors only; before any thread */
    int status = worker_options(&o, argc, argv);
    if (status >= 0)
        return ui_finish(status);
    ccz_log_install(ccz_log_stderr, NULL, CCZ_LOG_WARN);
    struct worker w = {.o = &o};
    ccz_rc rc = run(&w, &err);
    ccz_fl_client_free(w.client);
    worker_private_close(&w.private);
    ccz_party_free(w.party);
    ccz_attester_free(w.attester);
    ccz_key_free(w.server_key);
    ccz_secret_free(w.seal);
    worker_trainer_close(w.trainer);
    status = rc == CCZ_OK ? UI_OK : ui_fail(&err);
    return ui_finish(status);
}
