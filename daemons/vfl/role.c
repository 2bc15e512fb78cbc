/* SPDX-License-Identifier: Apache-2.0 */
#include "vfl.h"

#include "../../cli/ui.h"

#include <cczoo/fl_tf.h>
#include <cczoo/pf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TRAIN, TEST, KINDS };
static const char *const KIND[KINDS] = {"train", "test"};

struct role {
    const struct vfl_opts *o;
    struct vfl_links links;
    struct ccz_engine *engine;
    struct ccz_model *bottom_model, *top_model;
    struct ccz_vfl_bottom *bottom;
    struct ccz_vfl_top *top;
    struct ccz_secret *seal, *noise_seed;
    struct vfl_split split;
    bool has_test;
    struct vfl_rows all[KINDS], aligned[KINDS];
    struct ccz_vfl_cfg cfg;
    struct vfl_report report;
    struct ccz_vfl_result result;
    char state[VFL_PATH_SIZE]; /* of this worker */
    struct ccz_vfl_team *team;
    int64_t progress_ms; /* of the last step, or of the start */
    uint64_t steps_done; /* in this call */
};

ccz_rc vfl_open_engine(struct ccz_engine **out, const char *library, int64_t threads,
                       struct ccz_err *err)
{
    const struct ccz_engine_cfg cfg = {.backend = "tensorflow",
                                       .library = library,
                                       .intra_threads = (int)threads,
                                       .inter_threads = -1};
    return ccz_engine_open(out, &cfg, err);
}

/* --------------------------------------------------------------------------------- set-up */

static ccz_rc load_models(struct role *r, struct ccz_err *err)
{
    char path[VFL_PATH_SIZE];
    CCZ_AUTO(ccz_secret) key = NULL;
    const struct vfl_opts *o = r->o;
    ccz_rc rc = o->model_key ? ccz_pf_key_load(&key, o->model_key, err) : CCZ_OK;
    if (rc == CCZ_OK)
        rc = vfl_open_engine(&r->engine, o->tensorflow, o->threads, err);
    (void)snprintf(path, sizeof(path), "%s/bottom", o->model);
    if (rc == CCZ_OK && (!o->leader || access(path, F_OK) == 0)) {
        rc = ccz_fl_tf_load(&r->bottom_model, r->engine, path, key, err);
        if (rc == CCZ_OK)
            rc = ccz_vfl_bottom_tf(&r->bottom, r->bottom_model, err);
    }
    (void)snprintf(path, sizeof(path), "%s/top", o->model);
    if (rc == CCZ_OK && o->leader) {
        rc = ccz_fl_tf_load(&r->top_model, r->engine, path, key, err);
        if (rc == CCZ_OK)
            rc = ccz_vfl_top_tf(&r->top, r->top_model, err);
    }
    return rc;
}

static bool has_kind(const char *dir, const char *kind)
{
    char path[VFL_PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/%s.csv", dir, kind);
    if (access(path, F_OK) == 0)
        return true;
    (void)snprintf(path, sizeof(path), "%s/%s-images.idx", dir, kind);
    return access(path, F_OK) == 0;
}

static ccz_rc read_secret(struct ccz_secret **out, const char *path, struct ccz_err *err)
{
    ccz_rc rc = path ? ccz_file_read_secret(out, path, 32, err) : CCZ_OK;
    if (rc == CCZ_OK && *out && ccz_secret_size(*out) != 32)
        rc = ccz_refuse_num(err, CCZ_E_ARG, "vfl:key-size", (int64_t)ccz_secret_size(*out), 32);
    return rc;
}

static ccz_rc prepare(struct role *r, struct ccz_err *err)
{
    const struct vfl_opts *o = r->o;
    ccz_rc rc = vfl_split_read(&r->split, o->model, err);
    r->has_test = has_kind(o->data, KIND[TEST]);
    for (int k = 0; rc == CCZ_OK && k < (r->has_test ? KINDS : TEST); k++)
        rc = vfl_rows_read(&r->all[k], o->data, KIND[k], o->leader, r->split.classes, o->positive,
                           err);
    if (rc == CCZ_OK)
        rc = read_secret(&r->seal, o->seal, err);
    if (rc == CCZ_OK)
        rc = read_secret(&r->noise_seed, o->noise_seed, err);
    if (rc == CCZ_OK)
        rc = load_models(r, err);
    r->cfg = o->cfg;
    if (o->workers > 1)
        (void)snprintf(r->state, sizeof(r->state), "%s.w%u", o->state ? o->state : "", o->worker);
    else
        (void)snprintf(r->state, sizeof(r->state), "%s", o->state ? o->state : "");
    memcpy(r->cfg.schema, r->split.digest, sizeof(r->cfg.schema));
    r->report = (struct vfl_report){.path = o->report, .leader = o->leader};
    return rc == CCZ_OK ? vfl_links_open(&r->links, o, err) : rc;
}

/* ------------------------------------------------------------------------------- alignment */

static ccz_rc find_common(struct ccz_vfl_rows **out, struct role *r, int kind, struct ccz_err *err)
{
    const struct vfl_rows *all = &r->all[kind];
    char stored[VFL_PATH_SIZE];
    CCZ_AUTO(ccz_psi_ids) ids = NULL;
    /* The leader learns the rows first: its program keeps a minimum, and a follower believes what it has verified. */
    const bool verified = r->o->leader || r->o->policy;
    const struct ccz_psi_ids_cfg ids_cfg = {.domain = "cczoo-vfl row"};
    struct ccz_vfl_align_cfg cfg = {.kind = KIND[kind],
                                    .min_intersection = (uint64_t)r->o->minimum,
                                    .trusted_receiver = r->o->minimum > 0 && verified};
    (void)snprintf(stored, sizeof(stored), "%s.%s", r->o->state ? r->o->state : "", KIND[kind]);
    if (r->o->state) {
        cfg.stored = stored;
        cfg.seal = r->seal;
    }
    int64_t began = ccz_mono_ms();
    ccz_rc rc = ccz_psi_ids_new(&ids, all->id, all->rows, &ids_cfg, err);
    if (rc == CCZ_OK)
        rc = r->o->leader ? ccz_vfl_align_lead(out, r->links.chan, r->links.len, ids, &cfg, err)
                          : ccz_vfl_align_follow(out, r->links.chan[0], ids, &cfg, err);
    if (rc != CCZ_OK && !verified && r->o->minimum > 0)
        return ccz_hint(err, rc, "--minimum is kept by the leader's program: give --policy");
    if (rc == CCZ_OK)
        ui_out("%s: %zu of %zu rows are common to all%s, %.2f s\n", KIND[kind], (*out)->len,
               all->rows, (*out)->stored ? " (stored)" : "", (double)(ccz_mono_ms() - began) / 1e3);
    return rc;
}

/* The rows as they are; the parties compare a digest of their names. */
static ccz_rc as_they_are(struct ccz_vfl_rows **out, const struct vfl_rows *all,
                          struct ccz_err *err)
{
    struct ccz_vfl_rows *rows = calloc(1, sizeof(*rows));
    if (rows)
        rows->row = calloc(all->rows, sizeof(*rows->row));
    if (!rows || !rows->row) {
        ccz_vfl_rows_free(rows);
        return ccz_fail(err, CCZ_E_NOMEM, "vfl:memory", 0, "out of memory");
    }
    rows->len = all->rows;
    for (size_t i = 0; i < all->rows; i++)
        rows->row[i] = i;
    ccz_rc rc = ccz_vfl_alignment(rows->digest, all->id, all->rows, err);
    if (rc == CCZ_OK)
        *out = rows;
    else
        ccz_vfl_rows_free(rows);
    return rc;
}

/* The first worker finds the rows with the other parties, and tells those of its own. */
static ccz_rc find_rows(struct ccz_vfl_rows **out, struct role *r, int kind, struct ccz_err *err)
{
    uint8_t data[CCZ_VFL_DIGEST_SIZE];
    const struct vfl_rows *all = &r->all[kind];
    ccz_rc rc = CCZ_OK;
    if (r->o->worker == 1)
        rc = r->o->aligned ? as_they_are(out, all, err) : find_common(out, r, kind, err);
    if (rc != CCZ_OK || !r->team)
        return rc;
    rc = vfl_rows_digest(data, all, err);
    return rc == CCZ_OK ? ccz_vfl_team_rows(out, r->team, all->rows, data, err) : rc;
}

static ccz_rc align(struct role *r, int kind, uint8_t digest[CCZ_VFL_DIGEST_SIZE],
                    struct ccz_err *err)
{
    CCZ_AUTO(ccz_vfl_rows) rows = NULL;
    ccz_rc rc = find_rows(&rows, r, kind, err);
    if (rc != CCZ_OK)
        return rc;
    vfl_rows_free(&r->aligned[kind]);
    memcpy(digest, rows->digest, CCZ_VFL_DIGEST_SIZE);
    return vfl_rows_take(&r->aligned[kind], &r->all[kind], rows->row, rows->len, err);
}

/* -------------------------------------------------------------------------------- training */

static void on_step(void *arg, uint64_t step, uint64_t steps)
{
    struct role *r = arg;
    (void)step;
    (void)steps;
    r->progress_ms = ccz_mono_ms();
    r->steps_done++;
}

static void on_epoch(void *arg, const struct ccz_vfl_epoch *e)
{
    struct role *r = arg;
    vfl_report_epoch(&r->report, e);
}

static ccz_rc join_team(struct role *r, struct ccz_err *err)
{
    const struct vfl_opts *o = r->o;
    const struct ccz_vfl_team_cfg cfg = {.worker = o->worker,
                                         .workers = o->workers,
                                         .leader = o->leader,
                                         .key = r->seal,
                                         .timeout_ms = o->timeout_s * 1000};
    ccz_vfl_team_free(r->team);
    r->team = NULL;
    if (o->workers == 1)
        return CCZ_OK;
    return ccz_vfl_team_join(&r->team, r->links.peer, r->links.peers, &cfg, err);
}

static ccz_rc train(struct role *r, struct ccz_err *err)
{
    const struct vfl_opts *o = r->o;
    struct vfl_rows *test = r->has_test ? &r->aligned[TEST] : NULL;
    ccz_rc rc = join_team(r, err);
    if (rc == CCZ_OK)
        rc = align(r, TRAIN, r->cfg.alignment, err);
    if (rc == CCZ_OK && test)
        rc = align(r, TEST, r->cfg.test_alignment, err);
    if (rc != CCZ_OK)
        return rc;
    (void)ui_out_flush();
    if (!o->raw)
        vfl_rows_scale(&r->aligned[TRAIN], test);
    r->report.rows = r->aligned[TRAIN].rows;
    const struct ccz_vfl_run run = {.cfg = &r->cfg,
                                    .train = &r->aligned[TRAIN].table,
                                    .test = test ? &test->table : NULL,
                                    .timeout_ms = o->timeout_s * 1000,
                                    .checkpoint = o->state ? r->state : NULL,
                                    .seal = r->seal,
                                    .team = r->team,
                                    .on_epoch = on_epoch,
                                    .on_step = on_step,
                                    .arg = r};
    if (!o->leader)
        return ccz_vfl_follow(&r->result, r->links.chan[0], r->bottom, &run, err);
    const struct ccz_vfl_lead lead = {.top = r->top,
                                      .bottom = r->bottom,
                                      .labels = &r->aligned[TRAIN].labels,
                                      .test_labels = test ? &test->labels : NULL,
                                      .protect = o->how,
                                      .power = o->power_value,
                                      .noise_seed = r->noise_seed};
    return ccz_vfl_lead(&r->result, r->links.chan, r->links.len, &lead, &run, err);
}

/* What goes away with a peer that comes back. */
static bool peer_lost(ccz_rc rc)
{
    return rc == CCZ_E_CLOSED || rc == CCZ_E_TIMEOUT || rc == CCZ_E_UNAVAILABLE || rc == CCZ_E_IO;
}

/* With --retry a lost peer may come back, that long; if it does not, its loss is the reason. */
static ccz_rc attempts(struct role *r, struct ccz_err *err)
{
    static const struct timespec pause = {.tv_nsec = 200000000};
    int64_t patience_ms = r->o->retry_s * 1000, wait_ms = r->o->timeout_s * 1000;
    struct ccz_err lost = {0};
    r->progress_ms = ccz_mono_ms();
    for (;;) {
        *err = (struct ccz_err){0};
        ccz_rc rc = vfl_links_join(&r->links, r->o, wait_ms, err);
        bool joined = rc == CCZ_OK;
        if (joined)
            rc = train(r, err);
        if (rc == CCZ_OK || !peer_lost(rc))
            return rc;
        if (joined || lost.rc == CCZ_OK)
            lost = *err;
        wait_ms = patience_ms - (ccz_mono_ms() - r->progress_ms);
        if (wait_ms <= 0) {
            *err = lost;
            return lost.rc;
        }
        ui_say("%s: %s; connecting again", err->where, err->msg);
        if (!r->o->leader) /* who listens is there at once, so that the others find him */
            (void)nanosleep(&pause, NULL);
    }
}

static void clean_up(struct role *r)
{
    ccz_vfl_team_free(r->team);
    vfl_links_close(&r->links);
    ccz_vfl_bottom_free(r->bottom);
    ccz_vfl_top_free(r->top);
    ccz_model_free(r->bottom_model);
    ccz_model_free(r->top_model);
    ccz_engine_free(r->engine);
    for (int k = 0; k < KINDS; k++) {
        vfl_rows_free(&r->all[k]);
        vfl_rows_free(&r->aligned[k]);
    }
    ccz_buf_free(&r->report.lines);
    ccz_secret_free(r->seal);
    ccz_secret_free(r->noise_seed);
}

int vfl_run_role(const struct vfl_opts *o)
{
    struct role r = {.o = o};
    struct ccz_err err = {0};
    ccz_rc rc = prepare(&r, &err);
    if (rc == CCZ_OK)
        rc = attempts(&r, &err);
    if (rc == CCZ_OK)
        ui_out("done after %llu steps%s\n", (unsigned long long)r.result.steps,
               r.result.resumed ? ", resumed" : "");
    clean_up(&r);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}
