/* SPDX-License-Identifier: Apache-2.0 */
/* One party: data, alignment, a program on shares, what it learned. `offline` ends where the computing would begin. */
#include "daemon.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* -------------------------------------------------------------------------------------- before */

static ccz_rc read_files(struct mpc_party *p, struct ccz_err *err)
{
    const struct mpc_opts *o = p->o;
    struct mpc_self *self = &p->self[p->role];
    if (o->kind == MPC_MLP)
        return mpc_nn_read(p, err);
    ccz_rc rc = mpc_data_read(&p->data, o->data, o, o->label, err);
    if (rc == CCZ_OK && o->test)
        rc = mpc_data_read(&p->test, o->test, o, o->label, err);
    if (rc == CCZ_OK && p->test && p->test->cols != p->data->cols)
        rc = ccz_refuse_num(err, CCZ_E_MISMATCH, "mpc:test-columns", (int64_t)p->test->cols,
                            (int64_t)p->data->cols);
    if (rc == CCZ_OK && o->scoring)
        rc = mpc_model_read(&p->model, o->model, p->data, err);
    if (rc == CCZ_OK && o->scoring && o->scores_out && o->score_to_labels && !p->model.labels)
        rc = ccz_hint(err,
                      ccz_fail(err, CCZ_E_ARG, "mpc:scores-out", 0,
                               "scores go to the party whose model has the labels"),
                      "--score-to says who gets them");
    if (rc != CCZ_OK)
        return rc;
    *self = (struct mpc_self){.labels = o->scoring ? p->model.labels : o->label != NULL,
                              .verifies = o->net.evidence.policy != NULL,
                              .columns = p->data->cols,
                              .rows = p->data->rows,
                              .test_rows = p->test ? p->test->rows : 0};
    mpc_names_hash(&self->names, p->data);
    return rc;
}

/* What a run reveals is lost if it cannot be written in the end. */
static ccz_rc check_output(const char *path, struct ccz_err *err)
{
    if (!path)
        return CCZ_OK;
    const char *slash = strrchr(path, '/');
    const size_t len = !slash ? 1 : slash == path ? 1 : (size_t)(slash - path);
    char folder[PATH_MAX];
    struct stat is;
    if (len >= sizeof(folder))
        return ccz_fail(err, CCZ_E_ARG, "mpc:output", 0, "the name is too long");
    memcpy(folder, slash ? path : ".", len);
    folder[len] = '\0';
    if (access(folder, W_OK | X_OK) != 0)
        return ccz_fail(err, CCZ_E_IO, "mpc:output", errno, "cannot write to %.200s: %s", folder,
                        strerror(errno));
    if (stat(path, &is) == 0 && S_ISDIR(is.st_mode))
        return ccz_fail(err, CCZ_E_IO, "mpc:output", EISDIR, "%.200s is a folder", path);
    return CCZ_OK;
}

static ccz_rc check_outputs(const struct mpc_opts *o, struct ccz_err *err)
{
    ccz_rc rc = check_output(o->model_out, err);
    if (rc == CCZ_OK)
        rc = check_output(o->scores_out, err);
    return rc == CCZ_OK ? check_output(o->json, err) : rc;
}

/* Labels of one party with columns, of both with rows; weights of one party; of clusters nobody. */
static ccz_rc check_labels(const struct mpc_party *p, struct ccz_err *err)
{
    const enum mpc_kind kind = p->o->kind;
    const int have = p->self[0].labels + p->self[1].labels;
    const int want = kind == MPC_KMEANS                                     ? 0
                     : kind != MPC_MLP && p->o->cfg.split == CCZ_MPCML_ROWS ? 2
                                                                            : 1;
    if (have == want)
        return CCZ_OK;
    return ccz_hint(err, ccz_refuse_num(err, CCZ_E_MISMATCH, "mpc:labels", have, want),
                    kind == MPC_SCORE ? "the models are of the two parties of one training"
                    : kind == MPC_MLP ? "one party has the network with its weights"
                    : kind == MPC_KMEANS
                        ? "clusters have no labels"
                        : "--label names the column; with columns, one party has it");
}

static ccz_rc align(struct mpc_party *p, struct ccz_err *err)
{
    const struct mpc_opts *o = p->o;
    struct ccz_fedlr_table *const all[2] = {p->data, p->test};
    ccz_rc rc = CCZ_OK;
    if (o->kind == MPC_MLP)
        return rc;
    for (int k = 0; rc == CCZ_OK && k < 2; k++) {
        const struct mpc_align a = {.kind = o->scoring ? "score"
                                            : k == 0   ? "train"
                                                       : "test",
                                    .role = p->role,
                                    .aligned = o->aligned,
                                    .verified = p->self[1].verifies,
                                    .told = &p->told,
                                    .minimum = (uint64_t)o->minimum};
        const size_t whole = all[k] ? all[k]->rows : 0;
        if (whole && o->cfg.split == CCZ_MPCML_COLUMNS)
            rc = mpc_align(&p->rows[k], p->links.peer, all[k], &a, err);
        else if (whole) { /* each its own: nothing to align */
            const uint64_t of_peer =
                k == 0 ? p->self[1 - p->role].rows : p->self[1 - p->role].test_rows;
            rc = mpc_check_minimum(whole < of_peer ? whole : of_peer, &a, err);
            if (rc != CCZ_OK)
                return rc;
            p->rows[k] = all[k];
            *(k == 0 ? &p->data : &p->test) = NULL;
        }
    }
    return rc;
}

static ccz_rc scale(struct mpc_party *p, struct ccz_err *err)
{
    struct mpc_scaling *s = &p->model.scaling;
    ccz_rc rc = CCZ_OK;
    if (!p->o->scoring && !p->o->raw && p->rows[0])
        rc = mpc_scaling_fit(s, p->rows[0], err);
    for (int k = 0; rc == CCZ_OK && s->mean && k < 2; k++)
        if (p->rows[k])
            ccz_fedlr_scale_apply(p->rows[k], s->mean, s->sd);
    return rc;
}

/* ------------------------------------------------------------------------------------ computing */

void mpc_party_rows(size_t rows[2], size_t test[2], const struct mpc_party *p)
{
    const unsigned peer = 1 - p->role;
    rows[0] = rows[1] = p->rows[0]->rows;
    test[0] = test[1] = p->rows[1] ? p->rows[1]->rows : 0;
    if (p->o->cfg.split == CCZ_MPCML_ROWS) {
        rows[peer] = (size_t)p->self[peer].rows;
        test[peer] = (size_t)p->self[peer].test_rows;
    }
}

static ccz_rc make_program(struct mpc_party *p, struct ccz_err *err)
{
    return mpc_hint(p->o->kind == MPC_MLP      ? mpc_nn_make(p, err)
                    : p->o->kind == MPC_KMEANS ? mpc_km_make(p, err)
                                               : mpc_lr_make(p, err),
                    err);
}

static ccz_rc plan(struct mpc_party *p, struct ccz_err *err)
{
    ccz_rc rc = ccz_mpcml_plan_new(&p->plan, p->program, &p->o->run, err);
    const struct ccz_mpcml_plan *plan = p->plan;
    if (rc != CCZ_OK)
        return rc;
    p->report.planned_size = plan->total.size;
    p->report.planned_rounds = plan->total.rounds;
    ui_out("plan: %s, %.1f kB, %llu rounds, %.2f s\n", p->o->run.setting->name,
           (double)plan->total.size / 1e3, (unsigned long long)plan->total.rounds, plan->seconds);
    (void)ui_out_flush();
    return rc;
}

static ccz_rc compute(struct mpc_party *p, struct ccz_err *err)
{
    const struct mpc_opts *o = p->o;
    struct mpc_opts with = *o;
    with.run.dealer = p->links.dealer;
    with.run.on_reveal = mpc_on_reveal;
    with.run.arg = &p->report;
    ccz_rc rc = o->store ? CCZ_OK : plan(p, err);
    if (rc != CCZ_OK)
        return rc;
    with.run.plan = p->plan;
    if (strcmp(o->command, "offline") == 0)
        return mpc_store_fill(&p->stats, p->links.peer, p->program, &with, err);
    if (o->store)
        return mpc_store_run(&p->stats, p->links.peer, p->program, &with, err);
    return ccz_mpcml_run(&p->stats, p->links.peer, p->program, &with.run, err);
}

/* --------------------------------------------------------------------------------------- after */

static ccz_rc tell(struct mpc_party *p, struct ccz_err *err)
{
    return p->o->kind == MPC_MLP      ? mpc_nn_tell(p, err)
           : p->o->kind == MPC_KMEANS ? mpc_km_tell(p, err)
                                      : mpc_lr_tell(p, err);
}

/* Each output is written even if another one could not be. */
static ccz_rc tell_all(struct mpc_party *p, struct ccz_err *err)
{
    const bool offline = strcmp(p->o->command, "offline") == 0;
    struct ccz_err own = {0};
    ccz_rc rc = offline ? CCZ_OK : tell(p, err);
    mpc_print_stats(&p->report, &p->stats);
    rc = mpc_first(rc, err, mpc_write_stats(p->o->json, &p->report, p->o, &p->stats, &own), &own);
    if (rc == CCZ_OK)
        ui_out(offline ? "done: the offline phase is stored, to be used once\n" : "done\n");
    return rc;
}

static ccz_rc work(struct mpc_party *p, struct ccz_err *err)
{
    ccz_rc rc = check_outputs(p->o, err);
    if (rc == CCZ_OK)
        rc = read_files(p, err);
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
    return rc == CCZ_OK ? tell_all(p, err) : rc;
}

static const char *const TOLD[] = {
    [MPC_TOLD_NOTHING] = "",
    [MPC_TOLD_DIGEST] = "; the other party can check guesses of the whole list of row names",
    [MPC_TOLD_COMMON] = "; the other party may know which rows are common, and how many there are"};

int mpc_cmd_party(int argc, char **argv)
{
    struct mpc_opts o;
    struct ccz_err err = {0};
    int status = mpc_options(&o, argc, argv);
    if (status >= 0)
        return status;
    ccz_log_install(ccz_log_stderr, NULL, CCZ_LOG_WARN);
    o.run.role = mpc_role(&o);
    struct mpc_party p = {.o = &o, .role = o.run.role};
    mpc_report_init(&p.report, p.role);
    ccz_rc rc = work(&p, &err);
    if (rc != CCZ_OK && p.links.peer)
        mpc_links_give_up(&p.links, &err);
    if (rc != CCZ_OK && p.report.reveals_len == 0)
        ui_say("no result was revealed%s", TOLD[p.told]);
    status = rc == CCZ_OK ? UI_OK : ui_fail(&err);
    mpc_links_close(&p.links);
    ccz_mpcml_plan_free(p.plan);
    ccz_mpcml_lr_free(p.lr);
    ccz_mpcml_nn_free(p.nn);
    ccz_mpcml_network_free(p.net);
    ccz_mpcml_kmeans_free(p.km);
    if (p.images)
        ccz_wipe(p.images, p.images_len * sizeof(*p.images));
    if (p.image_labels)
        ccz_wipe(p.image_labels, p.image_labels_len * sizeof(*p.image_labels));
    free(p.images);
    free(p.image_labels);
    mpc_model_deinit(&p.model);
    for (int k = 0; k < 2; k++)
        ccz_fedlr_table_free(p.rows[k]);
    ccz_fedlr_table_free(p.data);
    ccz_fedlr_table_free(p.test);
    ccz_buf_free(&p.report.reveals);
    return status;
}
