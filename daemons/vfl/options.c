/* SPDX-License-Identifier: Apache-2.0 */
#include "vfl.h"

#include "../../cli/ui.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SECONDS_MAX = 7 * 86400, THREADS_MAX = 256 };

static bool number_in(const char *name, int64_t v, int64_t least, int64_t most)
{
    if (v < least || v > most)
        ui_error("--%s must be %lld..%lld", name, (long long)least, (long long)most);
    return v >= least && v <= most;
}

static bool set_protection(struct vfl_opts *o)
{
    static const struct {
        const char *name;
        enum ccz_vfl_protect how;
    } names[] = {{"marvell", CCZ_VFL_MARVELL},
                 {"max-norm", CCZ_VFL_MAX_NORM},
                 {"none-insecure", CCZ_VFL_PROTECT_NONE_INSECURE}};
    char *end = NULL;
    o->power_value = o->power ? strtod(o->power, &end) : 0;
    if (o->power && (end == o->power || *end || !isfinite(o->power_value) || o->power_value <= 0)) {
        ui_error("--power is not a positive number");
        return false;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(o->protect, names[i].name) == 0) {
            o->how = names[i].how;
            return true;
        }
    ui_error("--protect must be marvell, max-norm or none-insecure");
    return false;
}

static bool set_worker(struct vfl_opts *o)
{
    char *slash = NULL, *end = NULL;
    o->worker = o->workers = 1;
    if (!o->worker_text)
        return true;
    long k = strtol(o->worker_text, &slash, 10), of = 0;
    if (slash != o->worker_text && *slash == '/')
        of = strtol(slash + 1, &end, 10);
    if (!end || end == slash + 1 || *end || k < 1 || k > of || of > CCZ_VFL_WORKERS_MAX) {
        ui_error("--worker must be K/W, worker K of W, W at most %d", CCZ_VFL_WORKERS_MAX);
        return false;
    }
    o->worker = (uint32_t)k;
    o->workers = (uint32_t)of;
    return true;
}

static const char *missing(const struct vfl_opts *o)
{
    if (o->leader && !o->listen)
        return "listen";
    if (!o->leader && !o->connect)
        return "leader";
    if (!o->leader && !o->policy && !o->unattested_insecure)
        return "policy";
    if (o->workers > 1 && o->worker == 1 && !o->team_listen)
        return "team-listen";
    if (o->worker > 1 && !o->team_connect)
        return "team";
    if (o->workers > 1 && !o->team_policy && !o->unattested_insecure)
        return "team-policy";
    if (!o->data)
        return "data";
    if (!o->model)
        return "model";
    if (!o->tensorflow)
        return "tensorflow";
    if ((o->state || o->retry_s || o->workers > 1) && !o->seal)
        return "seal";
    if (o->retry_s && !o->state)
        return "state";
    return NULL;
}

static bool check(struct vfl_opts *o)
{
    bool good = number_in("epochs", o->epochs, 1, 1000000) &&
                number_in("batch", o->batch, 1, CCZ_VFL_BATCH_MAX) &&
                number_in("eval-batch", o->eval_batch, 1, CCZ_VFL_BATCH_MAX) &&
                number_in("staleness", o->staleness, 0, CCZ_VFL_INFLIGHT_MAX) &&
                number_in("checkpoint-steps", o->checkpoint_steps, 0, UINT32_MAX) &&
                number_in("seed", o->seed, 0, INT64_MAX) &&
                number_in("positive", o->positive, -1, CCZ_VFL_CLASSES_MAX - 1) &&
                number_in("parties", o->parties, 1, CCZ_VFL_PARTIES_MAX) &&
                number_in("retry", o->retry_s, 0, SECONDS_MAX) &&
                number_in("timeout", o->timeout_s, 1, SECONDS_MAX) &&
                number_in("threads", o->threads, 1, THREADS_MAX) &&
                number_in("minimum", o->minimum, 0, (int64_t)CCZ_VFL_ROWS_MAX) &&
                number_in("average-steps", o->average_steps, 1, UINT32_MAX) && set_worker(o) &&
                set_protection(o);
    const char *name = good ? missing(o) : NULL;
    if (name)
        ui_error("--%s is required", name);
    if (!good || name)
        return false;
    o->cfg = (struct ccz_vfl_cfg){.epochs = (uint32_t)o->epochs,
                                  .batch = (uint32_t)o->batch,
                                  .eval_batch = (uint32_t)o->eval_batch,
                                  .staleness = (uint32_t)o->staleness,
                                  .checkpoint_steps = (uint32_t)o->checkpoint_steps,
                                  .seed = (uint64_t)o->seed,
                                  .workers = o->workers,
                                  .average_steps = (uint32_t)o->average_steps};
    return true;
}

static const struct vfl_opts DEFAULTS = {.name = "follower-1",
                                         .protect = "marvell",
                                         .epochs = 3,
                                         .batch = 256,
                                         .eval_batch = 1000,
                                         .staleness = 1,
                                         .checkpoint_steps = 100,
                                         .average_steps = 16,
                                         .seed = 1,
                                         .positive = -1,
                                         .parties = 1,
                                         .threads = 1,
                                         .timeout_s = 600};

/* What the table writes to; a copy is handed out. */
static struct vfl_opts given;
static const struct ui_opt OPTIONS[] = {
    {"listen", &given.listen, NULL, NULL, "ADDR", "leader: gRPC address; port 0 = any"},
    {"port-file", &given.port_file, NULL, NULL, "FILE", "leader: write the port here when ready"},
    {"parties", NULL, &given.parties, NULL, "N", "leader: number of followers, default 1"},
    {"leader", &given.connect, NULL, NULL, "ADDR", "follower: where the leader is"},
    {"name", &given.name, NULL, NULL, "NAME", "follower: follower-1 (default), follower-2, .."},
    UI_OWN_EVIDENCE(&given),
    UI_TRUST_FILES(&given),
    {"policy", &given.policy, NULL, NULL, "FILE", "follower: policy for the leader"},
    {"client-policy", &given.client_policy, NULL, NULL, "FILE",
     "leader: policy for followers; absent = no evidence asked"},
    {"unattested-insecure", NULL, NULL, &given.unattested_insecure, NULL,
     "connect, and meet own workers, without asking for evidence"},
    {"worker", &given.worker_text, NULL, NULL, "K/W",
     "this is worker K of the W of this party; trains with worker K of the others; default "
     "1/1"},
    {"team-listen", &given.team_listen, NULL, NULL, "ADDR", "worker 1: for its other workers"},
    {"team-port-file", &given.team_port_file, NULL, NULL, "FILE", "worker 1: write that port here"},
    {"team", &given.team_connect, NULL, NULL, "ADDR", "workers 2 to W: where worker 1 is"},
    {"team-policy", &given.team_policy, NULL, NULL, "FILE", "policy for workers of this party"},
    {"average-steps", NULL, &given.average_steps, NULL, "N",
     "with several workers: steps between means of their models, default 16"},
    {"retry", NULL, &given.retry_s, NULL, "SECONDS",
     "when a peer is lost: connect again and resume, that long without a step; default 0"},
    {"timeout", NULL, &given.timeout_s, NULL, "SECONDS", "longest wait for a message, default 600"},
    {"data", &given.data, NULL, NULL, "DIR", "own rows: train.csv or train-images.idx, ..."},
    {"model", &given.model, NULL, NULL, "DIR", "leader or follower-N of scripts/export-split"},
    {"model-key", &given.model_key, NULL, NULL, "FILE",
     "key of the model's files, if they are protected (cczoo pf)"},
    {"tensorflow", &given.tensorflow, NULL, NULL, "FILE", "libtensorflow_cc.so.2"},
    {"threads", NULL, &given.threads, NULL, "N", "of one operation; 1 (default) = reproducible"},
    {"aligned", NULL, NULL, &given.aligned, NULL,
     "rows are the same everywhere already: no private set intersection"},
    {"minimum", NULL, &given.minimum, NULL, "N", "fewer common rows than this are refused"},
    {"raw", NULL, NULL, &given.raw, NULL, "do not scale columns of numbers"},
    {"state", &given.state, NULL, NULL, "PATH", "protected state files PATH.*; resumed from"},
    {"seal", &given.seal, NULL, NULL, "FILE",
     "their key, 32 bytes that only this party's workers have: it proves who they are"},
    {"report", &given.report, NULL, NULL, "FILE", "write a JSON line for each epoch here"},
    {"epochs", NULL, &given.epochs, NULL, "N", "default 3"},
    {"batch", NULL, &given.batch, NULL, "ROWS", "default 256"},
    {"eval-batch", NULL, &given.eval_batch, NULL, "ROWS", "default 1000"},
    {"staleness", NULL, &given.staleness, NULL, "N",
     "batches under way while one is computed, default 1; 0 = synchronous"},
    {"checkpoint-steps", NULL, &given.checkpoint_steps, NULL, "N",
     "steps between states, default 100; 0 = after each epoch"},
    {"seed", NULL, &given.seed, NULL, "N", "of the order of rows, the same everywhere"},
    {"positive", NULL, &given.positive, NULL, "CLASS",
     "leader: labels become 1 for this class, else 0"},
    {"protect", &given.protect, NULL, NULL, "HOW",
     "leader: marvell (default), max-norm or none-insecure"},
    {"power", &given.power, NULL, NULL, "X", "leader: of the noise of marvell, default 8"},
    {"noise-seed", &given.noise_seed, NULL, NULL, "FILE",
     "leader: 32 secret bytes, to repeat a training bit by bit"},
    {0},
};

int vfl_options(struct vfl_opts *o, int argc, char **argv)
{
    given = DEFAULTS;
    given.leader = strcmp(argv[0], "leader") == 0;
    int n = ui_parse(argc, argv, "cczoo-vfl leader|follower --data DIR --model DIR ...", OPTIONS);
    *o = given;
    if (n < 0)
        return ui_parse_status(n);
    if (n > 0)
        ui_error("unexpected operand: %s", argv[0]);
    return n == 0 && check(o) ? -1 : UI_USAGE;
}
