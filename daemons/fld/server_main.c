/* SPDX-License-Identifier: Apache-2.0 */
/* cczoo-fld: a training from its first model, or its last checkpoint, to its end. */
#include "fld.h"

#include "../../cli/ui.h"

#include <cczoo/codec.h>
#include <cczoo/net.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    TICK_MS = 100,
    DRAIN_MS = 10000,
    CHANNELS = 2,
    NAMES_SIZE_MAX = 1 << 24,
    TEXT_MAX = 1 << 20
};

struct fld {
    const struct fld_opts *o;
    struct ccz_attester *attester;
    struct ccz_party *party;
    struct ccz_key *key;
    struct ccz_secret *seal;
    struct ccz_fl_layout *layout;
    struct ccz_fl_identity *roster;
    struct ccz_fl_server_cfg cfg;
    struct ccz_fl_server *server;
    struct ccz_rpc_server *rpc;
    struct ccz_rpc_chan_server *offers;
    struct fld_members *members;
    struct ccz_metrics *metrics;
    struct ccz_buf names; /* each between two newlines; empty = any */
    FILE *log;
};

/* -------------------------------------------------------------------------------------- hooks */

static void write_prometheus(struct fld *f)
{
    struct ccz_err err = {0};
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, TEXT_MAX);
    if (!f->o->prometheus)
        return;
    ccz_fl_server_prometheus(&text, f->server);
    if (text.bad || ccz_file_write(f->o->prometheus, ccz_buf_span(&text), 0644, CCZ_FILE_REPLACE,
                                   &err) != CCZ_OK)
        ccz_log(CCZ_LOG_WARN, "fld", "metrics are not written: %s", err.msg);
}

static void put_metrics(void *arg, struct ccz_buf *out)
{
    const struct fld *f = arg;
    ccz_fl_server_prometheus(out, f->server);
}

static void on_round(void *arg, const struct ccz_fl_record *r)
{
    struct fld *f = arg;
    CCZ_AUTO_BUF line;
    ccz_buf_init(&line, TEXT_MAX);
    ui_out("round %llu  %u of %u updates  loss %.4f  accuracy %.4f  %.2f s\n",
           (unsigned long long)r->round, r->delivered, r->selected, r->train.loss,
           r->train.accuracy, (double)r->duration_ms / 1e3);
    (void)ui_out_flush();
    ccz_fl_record_json(&line, r);
    ccz_buf_put_str(&line, "\n");
    if (f->log &&
        (line.bad || fwrite(line.ptr, 1, line.size, f->log) != line.size || fflush(f->log) != 0))
        ccz_log(CCZ_LOG_WARN, "fld", "the log is not written: %s", strerror(errno));
}

static void on_refusal(void *arg, const char *member, uint64_t round, const struct ccz_err *why)
{
    (void)arg;
    ccz_log(CCZ_LOG_WARN, "fld", "member=%s round=%llu verdict=refused where=%s reason=\"%s\"",
            member, (unsigned long long)round, why->where, why->msg);
}

static ccz_rc store(void *arg, const struct ccz_fl_server *s, struct ccz_err *err)
{
    const struct fld *f = arg;
    return f->o->state ? ccz_fl_checkpoint_save(f->o->state, f->seal, (unsigned)f->o->keep, s, err)
                       : CCZ_OK;
}

/* The name is the member's own claim; its evidence was appraised by the policy before. */
static ccz_rc allow(void *arg, const char *channel, const char *party,
                    const struct ccz_ratls_peer *peer, struct ccz_err *err)
{
    struct fld *f = arg;
    char name[CCZ_RPC_CHAN_NAME_SIZE + 2];
    (void)peer;
    if (strcmp(channel, FLD_CHANNEL) != 0)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "fld:channel", 0, "no such channel");
    (void)snprintf(name, sizeof(name), "\n%s\n", party);
    if (f->names.size == 0 || strstr(ccz_buf_str(&f->names), name))
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_DENIED, "fld:member", 0, "no member of this name is expected");
}

/* -------------------------------------------------------------------------------------- start */

/* Signing keys are made once: clients keep to the one that they saw first. */
static ccz_rc open_key(struct ccz_key **out, const char *path, struct ccz_err *err)
{
    ccz_rc rc = ccz_key_load(out, path, err);
    if (rc != CCZ_E_NOT_FOUND)
        return rc;
    *err = (struct ccz_err){0};
    rc = ccz_key_generate(out, CCZ_P256);
    return rc == CCZ_OK ? ccz_key_save(*out, path, err)
                        : ccz_fail(err, rc, "fld:key", 0, "no key can be made");
}

static ccz_rc read_names(struct fld *f, struct ccz_err *err)
{
    ccz_buf_init(&f->names, NAMES_SIZE_MAX);
    if (!f->o->members)
        return CCZ_OK;
    ccz_buf_put_str(&f->names, "\n");
    ccz_rc rc = ccz_file_read(&f->names, f->o->members, err);
    ccz_buf_put_str(&f->names, "\n");
    return rc == CCZ_OK && f->names.bad
               ? ccz_fail(err, CCZ_E_LIMIT, "fld:members", 0, "the list is too long")
               : rc;
}

static ccz_rc open_files(struct fld *f, struct ccz_err *err)
{
    const struct fld_opts *o = f->o;
    ccz_rc rc = open_key(&f->key, o->sign_key, err);
    if (rc == CCZ_OK)
        rc = read_names(f, err);
    if (rc == CCZ_OK && o->seal)
        rc = fld_read_seal(&f->seal, o->seal, err);
    if (rc == CCZ_OK && o->state)
        rc = ccz_dir_make(o->state, 0700, err);
    if (rc == CCZ_OK && o->log && !(f->log = fopen(o->log, "a")))
        rc = ccz_fail(err, CCZ_E_IO, "fld:log", errno, "cannot open %.100s: %s", o->log,
                      strerror(errno));
    return rc;
}

static ccz_rc open_server(struct fld *f, struct ccz_err *err)
{
    float *params;
    uint64_t round;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, FLD_CONFIG_SIZE_MAX);
    ccz_rc rc = ccz_fl_model_load(&f->layout, &params, &round, f->o->model, NULL, err);
    if (rc != CCZ_OK)
        return rc;
    rc = ccz_file_read(&text, f->o->config, err);
    if (rc == CCZ_OK)
        rc = ccz_fl_server_cfg_parse(&f->cfg, ccz_buf_span(&text), f->layout->len, err);
    if (rc == CCZ_OK && f->o->roster)
        rc = fld_read_roster(&f->roster, &f->cfg.privacy.roster_len, f->o->roster, err);
    f->cfg.privacy.roster = f->roster;
    f->cfg.layout = f->layout;
    f->cfg.sign_key = f->key;
    f->cfg.spill_dir = f->o->spill;
    f->cfg.hooks = (struct ccz_fl_server_hooks){
        .store = store, .on_round = on_round, .on_refusal = on_refusal, .arg = f};
    if (rc == CCZ_OK) {
        rc = f->o->state ? ccz_fl_checkpoint_load(&f->server, f->o->state, f->seal, &f->cfg,
                                                  ccz_mono_ms(), err)
                         : CCZ_E_NOT_FOUND;
        if (rc == CCZ_OK)
            ui_out("resumed behind round %llu\n",
                   (unsigned long long)ccz_fl_server_round(f->server));
        else if (rc == CCZ_E_NOT_FOUND) {
            *err = (struct ccz_err){0};
            rc = ccz_fl_server_new(&f->server, &f->cfg, params, ccz_mono_ms(), err);
            if (rc == CCZ_OK) /* killed in its first round, it goes on as the same training */
                rc = store(f, f->server, err);
        }
    }
    free(params);
    return rc;
}

static ccz_rc write_port(const char *path, uint16_t number, struct ccz_err *err)
{
    char port[8];
    if (!path)
        return CCZ_OK;
    (void)snprintf(port, sizeof(port), "%u\n", number);
    return ccz_file_write(path, ccz_span_str(port), 0644, CCZ_FILE_REPLACE, err);
}

/* Before members come: an address that is taken is noticed at the start. */
static ccz_rc open_metrics(struct fld *f, struct ccz_err *err)
{
    const struct ccz_metrics_cfg cfg = {.listen = f->o->metrics, .put = put_metrics, .arg = f};
    if (!cfg.listen)
        return CCZ_OK;
    ccz_rc rc = ccz_metrics_start(&f->metrics, &cfg, err);
    return rc == CCZ_OK ? write_port(f->o->metrics_port_file, ccz_metrics_port(f->metrics), err)
                        : rc;
}

static ccz_rc open_network(struct fld *f, struct ccz_err *err)
{
    const struct fld_opts *o = f->o;
    unsigned members = f->cfg.members_max ? f->cfg.members_max : 1024;
    ccz_rc rc = fld_party_open(&f->attester, &f->party, &o->trust, true, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_server_cfg rpc = {.listen = o->listen, .ratls = ccz_party_ratls(f->party)};
    const struct ccz_rpc_chan_server_cfg chans = {
        .limits = fld_limits, .channels_max = CHANNELS * members, .allow = allow, .allow_arg = f};
    rc = ccz_rpc_server_new(&f->rpc, &rpc, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_chan_server_new(&f->offers, f->rpc, &chans, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_start(f->rpc, err);
    if (rc == CCZ_OK)
        rc = fld_members_start(&f->members, f->server, f->offers, err);
    return rc == CCZ_OK ? write_port(o->port_file, ccz_rpc_server_port(f->rpc), err) : rc;
}

/* ---------------------------------------------------------------------------------------- run */

static void run(struct fld *f, const sigset_t *signals)
{
    static const struct timespec tick = {.tv_nsec = TICK_MS * 1000000L};
    uint64_t told = UINT64_MAX;
    int64_t last_ms = 0; /* when the last round was over */
    while (!ccz_fl_server_over(f->server, NULL)) {
        int signo = sigtimedwait(signals, NULL, &tick);
        (void)ccz_fl_server_tick(f->server, ccz_mono_ms());
        uint64_t round = ccz_fl_server_round(f->server);
        if (round != told)
            write_prometheus(f);
        told = round;
        if (round >= f->cfg.rounds && last_ms == 0)
            last_ms = ccz_mono_ms();
        /* a member that has it may be gone for good, and a server that was killed then does not know */
        if (last_ms && ccz_mono_ms() - last_ms >= f->o->last_wait_s * 1000) {
            ccz_log(CCZ_LOG_WARN, "fld",
                    "round=%llu members that do not have it: awaited no longer",
                    (unsigned long long)round);
            return;
        }
        if (signo > 0) {
            ccz_log(CCZ_LOG_INFO, "fld", "stopping signal=%d", signo);
            ccz_fl_server_stop(f->server, "the server was told to stop");
        }
    }
}

static ccz_rc finish(struct fld *f, struct ccz_err *err)
{
    ccz_rc rc = ccz_fl_server_over(f->server, err) && err->rc != CCZ_OK ? err->rc : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    struct ccz_fl_metrics m = ccz_fl_server_final_eval(f->server);
    uint64_t round = ccz_fl_server_round(f->server);
    if (m.samples > 0)
        ui_out("members' held-out rows: %llu  loss %.4f  accuracy %.4f\n",
               (unsigned long long)m.samples, m.loss, m.accuracy);
    if (f->o->model_out)
        rc = ccz_fl_model_save(f->o->model_out, f->layout, round, ccz_fl_server_params(f->server),
                               f->key, err);
    if (rc == CCZ_OK)
        ui_out("done after %llu rounds\n", (unsigned long long)round);
    return rc;
}

static void shut_down(struct fld *f)
{
    ccz_metrics_free(f->metrics);
    fld_members_stop(f->members);
    if (f->rpc)
        ccz_rpc_server_stop(f->rpc, DRAIN_MS);
    ccz_rpc_server_free(f->rpc);
    ccz_rpc_chan_server_free(f->offers);
    ccz_party_free(f->party);
    ccz_attester_free(f->attester);
    ccz_fl_server_free(f->server);
    ccz_fl_layout_free(f->layout);
    free(f->roster);
    ccz_key_free(f->key);
    ccz_secret_free(f->seal);
    ccz_buf_free(&f->names);
    if (f->log && fclose(f->log) != 0)
        ccz_log(CCZ_LOG_WARN, "fld", "the log is not written: %s", strerror(errno));
}

int main(int argc, char **argv)
{
    struct fld_opts o;
    struct ccz_err err = {0};
    sigset_t signals;
    ccz_process_harden();
    fld_tune_memory();
    int status = fld_options(&o, argc, argv);
    if (status >= 0)
        return ui_finish(status);
    ccz_log_install(ccz_log_stderr, NULL, CCZ_LOG_INFO);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&signals); /* blocked in every thread, waited for by run() */
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    struct fld f = {.o = &o};
    ccz_rc rc = open_files(&f, &err);
    if (rc == CCZ_OK)
        rc = open_server(&f, &err);
    if (rc == CCZ_OK)
        rc = open_metrics(&f, &err);
    if (rc == CCZ_OK)
        rc = open_network(&f, &err);
    if (rc == CCZ_OK) {
        run(&f, &signals);
        write_prometheus(&f);
        rc = finish(&f, &err);
    }
    if (f.server) /* who is still there hears that it is over */
        ccz_fl_server_stop(f.server, "the server ends");
    shut_down(&f);
    status = rc == CCZ_OK ? UI_OK : ui_fail(&err);
    return ui_finish(status);
}
