/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `cczoo fl VERB`: federated learning on this machine. simulate: any number of clients over parts of one data set, with the
 * server of deployments; report: a page with curves of one or more logs.
 */
#include "cli.h"
#include "fl.h"

#include <cczoo/fl_sim.h>

#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 4096, LINE_SIZE_MAX = 1 << 16, PARTS_SIZE_MAX = 1 << 28, OPTIONS_MAX = 64 };

struct sim_opts {
    const char *idx, *cifar10;                     /* data */
    const char *partition, *parts, *alpha, *model; /* who has what, and learns what */
    const char *strategy, *codec, *lr, *momentum;  /* how */
    const char *decay, *mu, *server_lr, *norm_max, *lr_decay;
    const char *checkpoint, *key, *log, *html, *expect;
    int64_t clients, per_client, sample, rounds, epochs, batch, seed, threads, limit, eval_every;
    int64_t central, alone, alone_clients, topk, byzantine, quorum;
    bool quiet;
};

/* A simulation with everything it borrows. */
struct job {
    struct ccz_fl_sim_cfg cfg;
    struct ccz_dataset *train, *test;
    uint32_t *part;
    struct ccz_secret *key;
    FILE *log;
    struct fl_facts facts;
    bool quiet, header;
    double accuracy; /* last */
    struct ccz_err log_err;
};

static bool stop_asked;
static void on_signal(int number)
{
    (void)number;
    *(volatile bool *)&stop_asked = true;
}

/* ------------------------------------------------------------------------------------- options */

/* Names of strategies: what the server does with updates, and what clients do. */
static const struct strategy {
    const char *name;
    enum ccz_fl_rule rule;
    enum ccz_agg_opt_kind opt;
    bool prox, scaffold;
} strategies[] = {
    {"fedavg", CCZ_FL_MEAN, CCZ_AGG_FEDAVG, false, false},
    {"fedprox", CCZ_FL_MEAN, CCZ_AGG_FEDAVG, true, false},
    {"scaffold", CCZ_FL_MEAN, CCZ_AGG_FEDAVG, false, true},
    {"fedavgm", CCZ_FL_MEAN, CCZ_AGG_FEDAVGM, false, false},
    {"fedadagrad", CCZ_FL_MEAN, CCZ_AGG_FEDADAGRAD, false, false},
    {"fedadam", CCZ_FL_MEAN, CCZ_AGG_FEDADAM, false, false},
    {"fedyogi", CCZ_FL_MEAN, CCZ_AGG_FEDYOGI, false, false},
    {"median", CCZ_FL_MEDIAN, CCZ_AGG_FEDAVG, false, false},
    {"trimmed", CCZ_FL_TRIMMED, CCZ_AGG_FEDAVG, false, false},
    {"krum", CCZ_FL_KRUM, CCZ_AGG_FEDAVG, false, false},
};

static bool set_strategy(struct ccz_fl_server_cfg *s, const struct sim_opts *o)
{
    const struct strategy *found = NULL;
    double mu, server_lr;
    for (size_t i = 0; i < sizeof(strategies) / sizeof(strategies[0]); i++)
        if (strcmp(strategies[i].name, o->strategy) == 0)
            found = &strategies[i];
    if (!found) {
        ui_error("--strategy: %s is none", o->strategy);
        ui_hint("fedavg, fedprox, scaffold, fedavgm, fedadagrad, fedadam, fedyogi, median, "
                "trimmed or krum");
        return false;
    }
    s->agg.rule = found->rule;
    s->agg.scaffold = found->scaffold;
    s->agg.trim = found->rule == CCZ_FL_TRIMMED ? 0.1 : 0;
    s->agg.byzantine = found->rule == CCZ_FL_KRUM ? (uint32_t)o->byzantine : 0;
    s->agg.opt = ccz_agg_opt_defaults(found->opt);
    s->agg.codec.kind = ccz_agg_codec_from(o->codec);
    s->agg.codec.topk = (uint64_t)o->topk;
    if (!ui_real(&mu, "mu", o->mu, 0.01, 0, 1e6) ||
        !ui_real(&server_lr, "server-lr", o->server_lr, (double)s->agg.opt.lr, 1e-9, 1e6))
        return false;
    s->agg.opt.lr = (float)server_lr;
    s->train.prox_mu = found->prox ? (float)mu : 0;
    if (s->agg.codec.kind == CCZ_AGG_CODECS) {
        ui_error("--codec: %s is none; there are f32, f16, bf16, int8 and topk", o->codec);
        return false;
    }
    return true;
}

static bool set_server(struct ccz_fl_server_cfg *s, double *decay, const struct sim_opts *o)
{
    double lr, momentum, norm_max, lr_decay;
    const bool counts =
        ui_count("rounds", o->rounds, 1, INT32_MAX) && ui_count("epochs", o->epochs, 1, 1000000) &&
        ui_count("batch", o->batch, 1, CCZ_NN_BATCH_MAX) &&
        ui_count("sample", o->sample, 0, o->clients) &&
        ui_count("quorum", o->quorum, 0, o->clients) && ui_count("seed", o->seed, 0, INT64_MAX) &&
        ui_count("eval-every", o->eval_every, 1, INT32_MAX) &&
        ui_count("topk", o->topk, 0, INT64_MAX) &&
        ui_count("byzantine", o->byzantine, 0, o->clients);
    if (!counts || !ui_real(&lr, "lr", o->lr, 0.01, 1e-9, 1e6) ||
        !ui_real(&momentum, "momentum", o->momentum, 0, 0, 0.9999) ||
        !ui_real(decay, "weight-decay", o->decay, 0, 0, 1e6) ||
        !ui_real(&norm_max, "norm-max", o->norm_max, 0, 0, 1e30) ||
        !ui_real(&lr_decay, "lr-decay", o->lr_decay, 1, 1e-3, 1))
        return false;
    *s = (struct ccz_fl_server_cfg){.rounds = (uint64_t)o->rounds,
                                    .sample_len = (uint32_t)o->sample,
                                    .quorum = (uint32_t)o->quorum,
                                    .seeded = true,
                                    .seed = (uint64_t)o->seed,
                                    .train = {.epochs = (uint32_t)o->epochs,
                                              .batch = (uint32_t)o->batch,
                                              .lr = (float)lr,
                                              .momentum = (float)momentum},
                                    .lr_decay = lr_decay,
                                    .eval_every = INT32_MAX, /* clients have no held-out rows */
                                    .norm_max = norm_max};
    return set_strategy(s, o);
}

/* ---------------------------------------------------------------------------------------- data */

/* DIR/NAME.gz, or DIR/NAME. */
static void idx_path(char out[PATH_SIZE], const char *dir, const char *name)
{
    (void)snprintf(out, PATH_SIZE, "%s/%s.gz", dir, name);
    FILE *f = fopen(out, "rb");
    if (f)
        (void)fclose(f);
    else
        (void)snprintf(out, PATH_SIZE, "%s/%s", dir, name);
}

static ccz_rc load_idx(struct job *j, const char *dir, struct ccz_err *err)
{
    char images[PATH_SIZE], labels[PATH_SIZE];
    idx_path(images, dir, "train-images-idx3-ubyte");
    idx_path(labels, dir, "train-labels-idx1-ubyte");
    ccz_rc rc = ccz_dataset_idx(&j->train, images, labels, 0, err);
    if (rc != CCZ_OK)
        return rc;
    idx_path(images, dir, "t10k-images-idx3-ubyte");
    idx_path(labels, dir, "t10k-labels-idx1-ubyte");
    return ccz_dataset_idx(&j->test, images, labels, j->train->classes, err);
}

static ccz_rc load_cifar10(struct job *j, const char *dir, struct ccz_err *err)
{
    char path[6][PATH_SIZE];
    const char *paths[5];
    for (int i = 0; i < 5; i++) {
        (void)snprintf(path[i], PATH_SIZE, "%s/data_batch_%d.bin", dir, i + 1);
        paths[i] = path[i];
    }
    (void)snprintf(path[5], PATH_SIZE, "%s/test_batch.bin", dir);
    const char *test = path[5];
    ccz_rc rc = ccz_dataset_cifar10(&j->train, paths, 5, err);
    return rc == CCZ_OK ? ccz_dataset_cifar10(&j->test, &test, 1, err) : rc;
}

static ccz_rc load_data(struct job *j, const struct sim_opts *o, struct ccz_err *err)
{
    ccz_rc rc = o->idx ? load_idx(j, o->idx, err) : load_cifar10(j, o->cifar10, err);
    if (rc == CCZ_OK && o->limit > 0 && (uint64_t)o->limit < j->train->len)
        j->train->len = (size_t)o->limit;
    return rc;
}

/* A partition that was drawn elsewhere: the client of each sample, a number from 0 in each line. */
static ccz_rc read_parts(struct job *j, const struct sim_opts *o, struct ccz_err *err)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, PARTS_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&text, o->parts, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_u8(&text, 0);
    if (text.bad)
        return ccz_fail(err, CCZ_E_LIMIT, "fl:parts", 0, "%s is too large", o->parts);
    const char *at = (const char *)text.ptr;
    for (size_t i = 0; i < j->train->len; i++) {
        char *end = NULL;
        const unsigned long part = *at >= '0' && *at <= '9' ? strtoul(at, &end, 10) : ULONG_MAX;
        if (part >= (unsigned long)o->clients || *end != '\n')
            return ccz_fail(err, CCZ_E_FORMAT, "fl:parts", (int64_t)i + 1,
                            "%s: line %zu is no number from 0 to %lld", o->parts, i + 1,
                            (long long)o->clients - 1);
        j->part[i] = (uint32_t)part;
        at = end + 1;
    }
    if (at != (const char *)text.ptr + text.size - 1)
        return ccz_fail(err, CCZ_E_FORMAT, "fl:parts", 0,
                        "%s: more lines than there are samples, %zu", o->parts, j->train->len);
    return CCZ_OK;
}

static ccz_rc deal(struct job *j, const struct sim_opts *o, double alpha, struct ccz_err *err)
{
    struct ccz_dataset_partition_cfg c = {.parts = (uint32_t)o->clients,
                                          .alpha = alpha,
                                          .per_part = (uint32_t)o->per_client,
                                          .balanced = true,
                                          .seed = (uint64_t)o->seed};
    if (!ccz_dataset_skew_from(&c.skew, o->partition) || c.skew == CCZ_DATASET_GROUPS)
        return ccz_fail(err, CCZ_E_ARG, "fl:partition", 0,
                        "no such partition: %s; there are iid, dirichlet, shards and labels",
                        o->partition);
    if (c.skew == CCZ_DATASET_DIRICHLET && j->train->len / c.parts >= 100)
        c.least = 10; /* as published comparisons have it */
    j->part = malloc(j->train->len * sizeof(*j->part));
    if (!j->part)
        return ccz_fail(err, CCZ_E_NOMEM, "fl:partition", 0, "out of memory");
    if (o->parts)
        return read_parts(j, o, err);
    return ccz_dataset_partition(j->part, j->train->label, j->train->len, j->train->classes, &c,
                                 err);
}

/* --------------------------------------------------------------------------------------- rounds */

static void show_header(struct job *j)
{
    if (!j->header && !j->quiet)
        ui_out("%6s %9s %8s %11s %9s %8s %9s %8s\n", "round", "accuracy", "loss", "train loss",
               "updates", "refused", "MB", "seconds");
    j->header = true;
}

static void on_round(void *arg, const struct ccz_fl_record *r)
{
    struct job *j = arg;
    CCZ_AUTO_BUF line;
    ccz_buf_init(&line, LINE_SIZE_MAX);
    ccz_fl_record_json(&line, r);
    if (j->log && fl_log_line(j->log, &line, &j->log_err) != CCZ_OK)
        on_signal(0); /* ends the run; the reason is told there */
    if (r->eval.samples)
        j->accuracy = r->eval.accuracy;
    show_header(j);
    if (j->quiet)
        return;
    ui_out("%6llu ", (unsigned long long)r->round);
    if (r->eval.samples)
        ui_out("%8.2f%% %8.4f ", 100 * r->eval.accuracy, r->eval.loss);
    else
        ui_out("%9s %8s ", "-", "-");
    ui_out("%11.4f %9u %8u %9.2f %8.2f\n", r->train.loss, r->delivered, r->refused,
           (double)(r->sent_size + r->received_size) / 1e6, (double)r->duration_ms / 1e3);
    (void)ui_out_flush();
}

static void on_refusal(void *arg, const char *member, uint64_t round, const struct ccz_err *why)
{
    (void)arg;
    ui_say("round %llu: %s: refused: %s: %s", (unsigned long long)round, member, why->where,
           why->msg);
}

static void on_epoch(void *arg, uint32_t epoch, const struct ccz_fl_metrics *test)
{
    const uint32_t *epochs = arg;
    if (epoch + 1 == *epochs || (epoch + 1) % 10 == 0 || epoch == 0)
        ui_say("central, epoch %u: %.2f%%, loss %.4f", epoch + 1, 100 * test->accuracy, test->loss);
}

static ccz_rc log_baseline(struct job *j, const char *name, const struct ccz_fl_baseline *b,
                           struct ccz_err *err)
{
    CCZ_AUTO_BUF line;
    ccz_buf_init(&line, LINE_SIZE_MAX);
    fl_put_line(&line, name, b->accuracy, b->loss);
    return j->log ? fl_log_line(j->log, &line, err) : CCZ_OK;
}

static ccz_rc baselines(struct job *j, const struct sim_opts *o, struct ccz_err *err)
{
    struct ccz_fl_baseline b;
    char name[FL_FACT_SIZE];
    ccz_rc rc = CCZ_OK;
    if (o->central > 0) {
        uint32_t epochs = (uint32_t)o->central;
        rc = ccz_fl_sim_central(&b, &j->cfg, epochs, on_epoch, &epochs, err);
        (void)snprintf(name, sizeof(name), "central, %u epochs", epochs);
        if (rc == CCZ_OK)
            rc = log_baseline(j, name, &b, err);
        if (rc == CCZ_OK)
            ui_out("%s: %.2f%%\n", name, 100 * b.accuracy);
    }
    if (rc == CCZ_OK && o->alone > 0) {
        rc = ccz_fl_sim_alone(&b, &j->cfg, (uint32_t)o->alone, (uint32_t)o->alone_clients, err);
        (void)snprintf(name, sizeof(name), "each alone, %u epochs, mean of %u", b.epochs, b.models);
        if (rc == CCZ_OK)
            rc = log_baseline(j, name, &b, err);
        if (rc == CCZ_OK)
            ui_out("%s: %.2f%% (%.2f%% to %.2f%%)\n", name, 100 * b.accuracy, 100 * b.accuracy_min,
                   100 * b.accuracy_max);
    }
    return rc;
}

/* ------------------------------------------------------------------------------------ simulate */

static void gather_facts(struct fl_facts *f, const struct job *j, const struct sim_opts *o)
{
    fl_fact(f, "data", "%zu samples, %zu to evaluate on", j->train->len, j->test->len);
    fl_fact(f, "model", "%s", o->model);
    const bool alpha = !o->parts && strcmp(o->partition, "dirichlet") == 0;
    fl_fact(f, "clients", "%lld, %s%s%s", (long long)o->clients, o->parts ? o->parts : o->partition,
            alpha ? " alpha " : "", alpha ? (o->alpha ? o->alpha : "0.5") : "");
    fl_fact(f, "clients per round", "%lld", (long long)(o->sample ? o->sample : o->clients));
    fl_fact(f, "strategy", "%s%s%s", o->strategy, j->cfg.server.train.prox_mu > 0 ? ", mu " : "",
            j->cfg.server.train.prox_mu > 0 ? (o->mu ? o->mu : "0.01") : "");
    fl_fact(f, "local training", "%lld epochs, batch %lld, lr %g, momentum %g, weight decay %g",
            (long long)o->epochs, (long long)o->batch, (double)j->cfg.server.train.lr,
            (double)j->cfg.server.train.momentum, (double)j->cfg.weight_decay);
    fl_fact(f, "updates travel as", "%s", o->codec);
    fl_fact(f, "seed", "%lld", (long long)o->seed);
}

static void job_free(struct job *j)
{
    ccz_dataset_free(j->train);
    ccz_dataset_free(j->test);
    ccz_secret_free(j->key);
    free(j->part);
    if (j->log)
        (void)fclose(j->log);
}

static ccz_rc open_log(struct job *j, const char *path, struct ccz_err *err)
{
    CCZ_AUTO_BUF line;
    ccz_buf_init(&line, LINE_SIZE_MAX);
    j->log = fopen(path, "ab");
    if (!j->log)
        return ccz_fail(err, CCZ_E_IO, "fl:log", 0, "cannot append to %s", path);
    fl_put_run(&line, &j->facts);
    return fl_log_line(j->log, &line, err);
}

static ccz_rc prepare(struct job *j, const struct sim_opts *o, double alpha, struct ccz_err *err)
{
    ccz_rc rc = load_data(j, o, err);
    if (rc == CCZ_OK)
        rc = deal(j, o, alpha, err);
    if (rc == CCZ_OK)
        rc = ccz_fl_nn_spec(&j->cfg.spec, o->model, j->train, err);
    if (rc == CCZ_OK && o->checkpoint)
        rc = ccz_file_read_secret(&j->key, o->key, CCZ_FL_KEY_SIZE, err);
    if (rc == CCZ_OK && j->key && ccz_secret_size(j->key) != CCZ_FL_KEY_SIZE)
        rc = ccz_refuse_num(err, CCZ_E_FORMAT, "fl:key", (int64_t)ccz_secret_size(j->key),
                            CCZ_FL_KEY_SIZE);
    if (rc != CCZ_OK)
        return rc;
    j->cfg.train = j->train;
    j->cfg.test = j->test;
    j->cfg.part = j->part;
    j->cfg.clients = (uint32_t)o->clients;
    j->cfg.seed = (uint64_t)o->seed;
    j->cfg.threads = (unsigned)o->threads;
    j->cfg.eval_every = (uint32_t)o->eval_every;
    j->cfg.dir = o->checkpoint;
    j->cfg.key = j->key;
    j->cfg.on_round = on_round;
    j->cfg.on_refusal = on_refusal;
    j->cfg.arg = j;
    j->cfg.stop = &stop_asked;
    gather_facts(&j->facts, j, o);
    return o->log ? open_log(j, o->log, err) : CCZ_OK;
}

static int simulate(struct job *j, const struct sim_opts *o, double alpha, double expect)
{
    struct ccz_err err = {0};
    struct ccz_fl_sim_result result = {0};
    ccz_rc rc = prepare(j, o, alpha, &err);
    if (rc == CCZ_OK)
        rc = baselines(j, o, &err);
    if (rc == CCZ_OK)
        rc = ccz_fl_simulate(&result, &j->cfg, &err);
    if (j->log_err.rc != CCZ_OK) {
        rc = j->log_err.rc;
        err = j->log_err;
    }
    if (rc == CCZ_OK && result.resumed && !j->header)
        ui_say("nothing left to do: round %llu was the last", (unsigned long long)result.rounds);
    free(result.params);
    if (rc == CCZ_OK && o->html) {
        char *logs[] = {(char *)(uintptr_t)o->log};
        rc = fl_report(o->html, "Federated learning, simulated", logs, 1, &err);
    }
    if (rc != CCZ_OK)
        return ui_fail(&err);
    if (expect > 0 && !(100 * j->accuracy >= expect)) {
        ui_say("refused: fl:accuracy: %.2f / at least %.2f", 100 * j->accuracy, expect);
        return UI_NO;
    }
    return UI_OK;
}

static bool check_opts(const struct sim_opts *o)
{
    if (!o->idx == !o->cifar10) {
        ui_error("data are needed: --idx DIR or --cifar10 DIR");
        return false;
    }
    if (!o->checkpoint != !o->key || (o->html && !o->log)) {
        ui_error("--checkpoint goes with --key, --html with --log");
        return false;
    }
    return ui_count("clients", o->clients, 1, (int64_t)CCZ_FL_MEMBERS_MAX) &&
           ui_count("threads", o->threads, 0, CCZ_FL_SIM_THREADS_MAX) &&
           ui_count("per-client", o->per_client, 0, INT32_MAX) &&
           ui_count("limit", o->limit, 0, INT64_MAX) &&
           ui_count("central", o->central, 0, 1000000) && ui_count("alone", o->alone, 0, 1000000) &&
           ui_count("alone-clients", o->alone_clients, 0, o->clients);
}

/* Each appends its part of the table of options and returns how many they are. */
static size_t data_options(struct ui_opt *out, struct sim_opts *o)
{
    const struct ui_opt opts[] = {
        {"idx", &o->idx, NULL, NULL, "DIR",
         "train-images-idx3-ubyte and its kin, plain or gzip (MNIST, Fashion-MNIST)"},
        {"cifar10", &o->cifar10, NULL, NULL, "DIR",
         "data_batch_1.bin ..: CIFAR-10, binary version"},
        {"limit", NULL, &o->limit, NULL, "N", "only the first N training samples"},
        {"clients", NULL, &o->clients, NULL, "N", "default 10"},
        {"partition", &o->partition, NULL, NULL, "NAME",
         "iid (default), dirichlet, shards, labels"},
        {"parts", &o->parts, NULL, NULL, "FILE",
         "instead of --partition: the client of each sample, a number from 0 in each line"},
        {"alpha", &o->alpha, NULL, NULL, "X", "of dirichlet, default 0.5"},
        {"per-client", NULL, &o->per_client, NULL, "N", "shards or labels of a client, default 2"},
        {"model", &o->model, NULL, NULL, "NAME", "softmax (default), logistic, mlp:200,100, lenet"},
    };
    memcpy(out, opts, sizeof(opts));
    return sizeof(opts) / sizeof(opts[0]);
}

static size_t strategy_options(struct ui_opt *out, struct sim_opts *o)
{
    const struct ui_opt opts[] = {
        {"strategy", &o->strategy, NULL, NULL, "NAME",
         "fedavg (default), fedprox, scaffold, fedavgm, fedadagrad, fedadam, fedyogi, median, "
         "trimmed, krum"},
        {"rounds", NULL, &o->rounds, NULL, "N", "default 10"},
        {"epochs", NULL, &o->epochs, NULL, "N", "local ones in each round, default 1"},
        {"batch", NULL, &o->batch, NULL, "N", "default 32"},
        {"lr", &o->lr, NULL, NULL, "X", "local learning rate, default 0.01"},
        {"lr-decay", &o->lr_decay, NULL, NULL, "X", "its factor from round to round, default 1"},
        {"momentum", &o->momentum, NULL, NULL, "X", "local, default 0"},
        {"weight-decay", &o->decay, NULL, NULL, "X", "default 0"},
        {"mu", &o->mu, NULL, NULL, "X", "of fedprox, default 0.01"},
        {"server-lr", &o->server_lr, NULL, NULL, "X", "default: what the strategy's paper says"},
        {"byzantine", NULL, &o->byzantine, NULL, "N", "of krum: hostile clients to expect"},
        {"sample", NULL, &o->sample, NULL, "N", "clients of a round, default all"},
        {"quorum", NULL, &o->quorum, NULL, "N",
         "updates that a round needs, default all of its clients'"},
        {"norm-max", &o->norm_max, NULL, NULL, "X", "larger updates are refused"},
        {"codec", &o->codec, NULL, NULL, "NAME",
         "how updates travel: f32 (default), f16, bf16, int8, topk"},
        {"topk", NULL, &o->topk, NULL, "N", "values of an update with topk"},
    };
    memcpy(out, opts, sizeof(opts));
    return sizeof(opts) / sizeof(opts[0]);
}

static size_t run_options(struct ui_opt *out, struct sim_opts *o)
{
    const struct ui_opt opts[] = {
        {"seed", NULL, &o->seed, NULL, "N", "of everything, default 0"},
        {"threads", NULL, &o->threads, NULL, "N", "default: one per processor"},
        {"eval-every", NULL, &o->eval_every, NULL, "N",
         "evaluate after every so many rounds, default 1"},
        {"checkpoint", &o->checkpoint, NULL, NULL, "DIR",
         "after each round; a run that finds one goes on behind it"},
        {"key", &o->key, NULL, NULL, "FILE", "32 random bytes that protect checkpoints"},
        {"central", NULL, &o->central, NULL, "N", "compare with N epochs on all data in one place"},
        {"alone", NULL, &o->alone, NULL, "N", "compare with N epochs of each client alone"},
        {"alone-clients", NULL, &o->alone_clients, NULL, "N", "only the first N, default all"},
        {"log", &o->log, NULL, NULL, "FILE", "append a line of JSON for each round"},
        {"html", &o->html, NULL, NULL, "FILE", "a page with curves of the log"},
        {"expect", &o->expect, NULL, NULL, "PERCENT", "end with status 1 below this accuracy"},
        {"quiet", NULL, NULL, &o->quiet, NULL, "no table of rounds"},
    };
    memcpy(out, opts, sizeof(opts));
    return sizeof(opts) / sizeof(opts[0]);
}

static int fl_simulate(int argc, char **argv)
{
    struct sim_opts o = {.partition = "iid",
                         .model = "softmax",
                         .strategy = "fedavg",
                         .codec = "f32",
                         .clients = 10,
                         .rounds = 10,
                         .epochs = 1,
                         .batch = 32,
                         .eval_every = 1};
    struct ui_opt opts[OPTIONS_MAX] = {0};
    size_t len = data_options(opts, &o);
    len += strategy_options(opts + len, &o);
    (void)run_options(opts + len, &o);
    double alpha, expect;
    int n =
        ui_parse(argc, argv, "cczoo fl simulate --idx DIR [--model NAME] [--clients N] ..", opts);
    if (n < 0)
        return ui_parse_status(n);
    struct job j = {.quiet = o.quiet, .accuracy = NAN};
    if (n > 0 || !check_opts(&o) || !ui_real(&alpha, "alpha", o.alpha, 0.5, 1e-6, 999999) ||
        !ui_real(&expect, "expect", o.expect, 0, 0, 100))
        return UI_USAGE;
    double decay;
    if (!set_server(&j.cfg.server, &decay, &o))
        return UI_USAGE;
    j.cfg.weight_decay = (float)decay;
    (void)signal(SIGINT, on_signal);
    (void)signal(SIGTERM, on_signal);
    int status = simulate(&j, &o, alpha, expect);
    job_free(&j);
    return status;
}

static int fl_report_verb(int argc, char **argv)
{
    const char *html = NULL, *title = "Federated learning";
    const struct ui_opt opts[] = {
        {"html", &html, NULL, NULL, "FILE", "the page to write"},
        {"title", &title, NULL, NULL, "TEXT", "its title"},
        {0},
    };
    struct ccz_err err = {0};
    int n = ui_parse(argc, argv, "cczoo fl report --html FILE [NAME=]LOG...", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n == 0 || !html) {
        ui_error("at least one log and --html are needed");
        return UI_USAGE;
    }
    return fl_report(html, title, argv, (size_t)n, &err) == CCZ_OK ? UI_OK : ui_fail(&err);
}

int cmd_fl(int argc, char **argv)
{
    static const struct ui_verb verbs[] = {
        {"simulate", "", "clients and server on this machine, with the built-in trainer",
         fl_simulate},
        {"report", "LOG...", "a page with curves of one or more logs", fl_report_verb},
    };
    return ui_verbs("fl", verbs, sizeof(verbs) / sizeof(verbs[0]), argc, argv);
}
