/* SPDX-License-Identifier: Apache-2.0 */
#include "fedlr.h"

#include "../../cli/ui.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 256, SECONDS_MAX = 7 * 86400 };

struct name {
    const char *name;
    int value;
};
static const struct name MODES[] = {{"encrypted-model", CCZ_FEDLR_ENCRYPTED_MODEL},
                                    {"homo", CCZ_FEDLR_HOMO},
                                    {"hetero", CCZ_FEDLR_HETERO},
                                    {"hetero-two", CCZ_FEDLR_HETERO_TWO},
                                    {"hetero-rlwe", CCZ_FEDLR_HETERO_RLWE},
                                    {0}};
static const struct name SIGMOIDS[] = {
    {"tangent", CCZ_FEDLR_TANGENT}, {"linear", CCZ_FEDLR_LINEAR}, {0}};
/* what trees and regressions have in common; the rest is of one of them */
static const struct name TREE_LOSSES[] = {{"logistic", CCZ_SBOOST_LOGISTIC},
                                          {"squared", CCZ_SBOOST_SQUARED},
                                          {"softmax", CCZ_SBOOST_SOFTMAX},
                                          {0}};
static const struct name LOSSES[] = {
    {"logistic", CCZ_FEDLR_LOGISTIC}, {"squared", CCZ_FEDLR_SQUARED}, {0}};
static const struct name OPTIMIZE[] = {{"none", 0},
                                       {"djn", CCZ_FEDLR_DJN},
                                       {"pack", CCZ_FEDLR_PACK},
                                       {"ifma", CCZ_FEDLR_PRODUCT},
                                       {"all", CCZ_FEDLR_ALL},
                                       {0}};

static bool find(int *out, const struct name *names, const char *name)
{
    for (; names->name; names++)
        if (strcmp(names->name, name) == 0) {
            *out = names->value;
            return true;
        }
    return false;
}

bool fedlr_optimize(unsigned *out, const char *name)
{
    int v = 0;
    bool found = find(&v, OPTIMIZE, name);
    *out = (unsigned)v;
    return found;
}

bool fedlr_real(double *out, const char *text)
{
    char *end;
    *out = text ? strtod(text, &end) : 0;
    return !text || (end != text && *end == '\0' && isfinite(*out));
}

static bool number_in(const char *name, int64_t v, int64_t least, int64_t most)
{
    if (v < least || v > most)
        ui_error("--%s must be %lld..%lld", name, (long long)least, (long long)most);
    return v >= least && v <= most;
}

static bool set_config(struct fedlr_opts *o)
{
    struct ccz_fedlr_cfg *c = &o->cfg;
    int mode, sigmoid, loss;
    const struct {
        const char *name, *text;
        double *out;
    } reals[] = {{"eta", o->eta, &c->eta},
                 {"decay", o->decay, &c->decay},
                 {"momentum", o->momentum, &c->momentum},
                 {"l1", o->l1, &c->l1},
                 {"l2", o->l2, &c->l2},
                 {"tol", o->tol, &c->tol}};
    for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++)
        if (!fedlr_real(reals[i].out, reals[i].text)) {
            ui_error("--%s is not a number", reals[i].name);
            return false;
        }
    if (!find(&mode, MODES, o->mode) || !find(&sigmoid, SIGMOIDS, o->sigmoid) ||
        !find(&loss, LOSSES, o->loss) || !fedlr_optimize(&c->optimize, o->optimize)) {
        ui_error("--mode, --sigmoid, --loss or --optimize has none of its values");
        return false;
    }
    c->mode = (enum ccz_fedlr_mode)mode;
    c->sigmoid = (enum ccz_fedlr_sigmoid)sigmoid;
    c->loss = (enum ccz_fedlr_loss)loss;
    c->rounds = (uint32_t)o->rounds;
    c->parties = (uint32_t)o->parties;
    c->local_steps = (uint32_t)o->local_steps;
    c->batch_rows = (size_t)o->batch;
    c->seed = (uint64_t)o->seed;
    return true;
}

/* Links are those of two parties without an arbiter, but for any number of hosts. */
static bool set_trees(struct fedlr_opts *o)
{
    struct ccz_sboost_cfg *c = &o->trees_cfg;
    int loss;
    const struct {
        const char *name, *text;
        double *out;
    } reals[] = {{"eta", o->eta, &c->eta},
                 {"lambda", o->lambda, &c->lambda},
                 {"gamma", o->gamma, &c->gamma},
                 {"min-child", o->min_child, &c->min_child},
                 {"goss-top", o->goss_top, &c->goss_top},
                 {"goss-rest", o->goss_rest, &c->goss_rest}};
    for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++)
        if (!fedlr_real(reals[i].out, reals[i].text)) {
            ui_error("--%s is not a number", reals[i].name);
            return false;
        }
    if (!find(&loss, TREE_LOSSES, o->loss)) {
        ui_error("--loss of trees is logistic, squared or softmax");
        return false;
    }
    o->trees = true;
    o->cfg.mode = CCZ_FEDLR_HETERO_RLWE;
    o->cfg.parties = (uint32_t)o->parties;
    c->loss = (enum ccz_sboost_loss)loss;
    c->rounds = (uint32_t)o->rounds;
    c->classes = (uint32_t)o->classes;
    c->depth = (uint32_t)o->depth;
    c->bins = (uint32_t)o->bins;
    return true;
}

static bool is(const struct fedlr_opts *o, const char *role)
{
    return strcmp(o->role, role) == 0;
}

/* A role without what it needs; the rest is refused by the library. */
static const char *missing(const struct fedlr_opts *o)
{
    enum ccz_fedlr_mode m = o->cfg.mode;
    bool arbiter = m == CCZ_FEDLR_HETERO;
    bool listens = is(o, "aggregator") || is(o, "guest") || (is(o, "arbiter") && arbiter);
    bool connects =
        !is(o, "aggregator") && !(is(o, "guest") && !arbiter) && !(is(o, "arbiter") && arbiter);
    bool trains = is(o, "worker") || is(o, "guest") || is(o, "host");
    bool key = (o->trees && is(o, "guest")) || is(o, "arbiter") ||
               (trains && (m == CCZ_FEDLR_HOMO || m == CCZ_FEDLR_HETERO_TWO));
    if (listens && !o->listen)
        return "listen";
    if ((is(o, "worker") || (is(o, "arbiter") && !arbiter)) && !o->aggregator)
        return "aggregator";
    if (is(o, "host") && !o->guest)
        return "guest";
    if ((is(o, "guest") || is(o, "host")) && arbiter && !o->arbiter)
        return "arbiter";
    if (connects && !o->policy && !o->unattested_insecure)
        return "policy";
    if (trains && !o->data)
        return "data";
    if (key && !o->key)
        return "key";
    if (o->state && !o->seal)
        return "seal";
    return NULL;
}

static bool check(struct fedlr_opts *o)
{
    bool good = number_in("rounds", o->rounds, 1, UINT32_MAX) &&
                number_in("parties", o->parties, 1, CCZ_FEDLR_PARTIES_MAX) &&
                number_in("local-steps", o->local_steps, 0, 1000000) &&
                number_in("batch", o->batch, 0, (int64_t)CCZ_FEDLR_ROWS_MAX) &&
                number_in("seed", o->seed, 0, INT64_MAX) &&
                number_in("threads", o->threads, 1, THREADS_MAX) &&
                number_in("retry", o->retry_s, 0, SECONDS_MAX) &&
                number_in("timeout", o->timeout_s, 1, SECONDS_MAX) &&
                number_in("cols", o->cols, 0, CCZ_FEDLR_COLS_MAX) &&
                number_in("depth", o->depth, 0, CCZ_SBOOST_DEPTH_MAX) &&
                number_in("bins", o->bins, 0, CCZ_SBOOST_BINS_MAX) &&
                number_in("classes", o->classes, 0, CCZ_SBOOST_CLASSES_MAX) &&
                (strcmp(o->mode, "trees") == 0 ? set_trees(o) : set_config(o));
    if (good && o->trees && !is(o, "guest") && !is(o, "host")) {
        ui_error("trees have a guest and hosts");
        good = false;
    }
    const char *name = good ? missing(o) : NULL;
    if (name)
        ui_error("--%s is required", name);
    return good && !name;
}

static const struct fedlr_opts DEFAULTS = {.mode = "homo",
                                           .optimize = "all",
                                           .sigmoid = "tangent",
                                           .loss = "logistic",
                                           .label = "y",
                                           .id = "id",
                                           .rounds = 20,
                                           .parties = 1,
                                           .threads = 1,
                                           .timeout_s = 600};

/* What the table writes to; a copy is handed out. */
static struct fedlr_opts given;
static const struct ui_opt OPTIONS[] = {
    {"mode", &given.mode, NULL, NULL, "MODE",
     "encrypted-model, homo, hetero, hetero-two, hetero-rlwe or trees"},
    {"listen", &given.listen, NULL, NULL, "ADDR", "gRPC address; port 0 = any"},
    {"port-file", &given.port_file, NULL, NULL, "FILE", "write the port here when ready"},
    {"aggregator", &given.aggregator, NULL, NULL, "ADDR",
     "where workers (and its arbiter) connect"},
    {"arbiter", &given.arbiter, NULL, NULL, "ADDR", "where guest and hosts connect"},
    {"guest", &given.guest, NULL, NULL, "ADDR", "where hosts connect"},
    {"name", &given.name, NULL, NULL, "NAME", "worker-1, worker-2, ..; host-1, host-2, .."},
    UI_OWN_EVIDENCE(&given),
    UI_TRUST_FILES(&given),
    {"policy", &given.policy, NULL, NULL, "FILE", "policy for whom this party connects to"},
    {"client-policy", &given.client_policy, NULL, NULL, "FILE",
     "policy for who connects to this party; absent = no evidence asked"},
    {"unattested-insecure", NULL, NULL, &given.unattested_insecure, NULL,
     "connect without asking for evidence"},
    {"retry", NULL, &given.retry_s, NULL, "SECONDS",
     "when a peer is lost: connect again and resume, that long without a round; default 0"},
    {"timeout", NULL, &given.timeout_s, NULL, "SECONDS", "longest wait for a message, default 600"},
    {"data", &given.data, NULL, NULL, "FILE", "CSV: own rows or columns"},
    {"test", &given.test, NULL, NULL, "FILE", "CSV to measure the model on"},
    {"label", &given.label, NULL, NULL, "NAME", "column of the labels, default y"},
    {"id", &given.id, NULL, NULL, "NAME", "column of the row names, default id; - = none"},
    {"key", &given.key, NULL, NULL, "FILE", "Paillier key (cczoo-fedlr keygen)"},
    {"key-id", &given.key_id, NULL, NULL, "HEX", "accept this public key only"},
    {"cols", NULL, &given.cols, NULL, "N", "arbiter of encrypted-model: columns of the model"},
    {"state", &given.state, NULL, NULL, "FILE",
     "sealed state after each round (of trees: FILE.0 and FILE.1, after each tree); resumed "
     "from"},
    {"seal", &given.seal, NULL, NULL, "FILE", "its key, 32 bytes"},
    {"model-out", &given.model_out, NULL, NULL, "FILE", "write the model here as JSON"},
    {"rounds", NULL, &given.rounds, NULL, "N", "rounds; of hetero: epochs; default 20"},
    {"parties", NULL, &given.parties, NULL, "N", "workers or hosts; default 1"},
    {"local-steps", NULL, &given.local_steps, NULL, "N", "gradient steps per round, default 20"},
    {"batch", NULL, &given.batch, NULL, "ROWS", "mini-batches; default 0 = all rows"},
    {"eta", &given.eta, NULL, NULL, "X", "step size, default 0.5"},
    {"decay", &given.decay, NULL, NULL, "X", "step size falls with 1/sqrt(1 + X epoch)"},
    {"momentum", &given.momentum, NULL, NULL, "X", "of hetero, default 0"},
    {"l1", &given.l1, NULL, NULL, "X", "L1 penalty"},
    {"l2", &given.l2, NULL, NULL, "X", "L2 penalty"},
    {"tol", &given.tol, NULL, NULL, "X", "stop when less than this changes"},
    {"sigmoid", &given.sigmoid, NULL, NULL, "KIND", "of encrypted-model: tangent or linear"},
    {"loss", &given.loss, NULL, NULL, "KIND",
     "of hetero and trees: logistic (default), or squared: linear regression; of trees also "
     "softmax"},
    {"depth", NULL, &given.depth, NULL, "N", "of trees: splits from root to leaf, default 5"},
    {"bins", NULL, &given.bins, NULL, "N", "of trees: parts of a column, default 32"},
    {"classes", NULL, &given.classes, NULL, "N", "of trees with softmax"},
    {"lambda", &given.lambda, NULL, NULL, "X", "of trees: L2 on leaves"},
    {"gamma", &given.gamma, NULL, NULL, "X", "of trees: least gain of a split"},
    {"min-child", &given.min_child, NULL, NULL, "X", "of trees: least weight of a side, default 1"},
    {"goss-top", &given.goss_top, NULL, NULL, "X", "of trees: share of rows with large gradients"},
    {"goss-rest", &given.goss_rest, NULL, NULL, "X", "of trees: share of others; both 0: all rows"},
    {"seed", NULL, &given.seed, NULL, "N",
     "of the order of mini-batches; of trees: the guest's, of rows that are sampled, 0 = "
     "fresh"},
    {"optimize", &given.optimize, NULL, NULL, "WHAT", "none, djn, pack, ifma or all (default)"},
    {"threads", NULL, &given.threads, NULL, "N", "default 1"},
    {0},
};

int fedlr_options(struct fedlr_opts *o, int argc, char **argv)
{
    given = DEFAULTS;
    given.role = argv[0];
    int n = ui_parse(argc, argv, "cczoo-fedlr aggregator|arbiter|worker|guest|host --mode MODE ...",
                     OPTIONS);
    *o = given;
    if (n < 0)
        return ui_parse_status(n);
    if (n > 0)
        ui_error("unexpected operand: %s", argv[0]);
    return n == 0 && check(o) ? -1 : UI_USAGE;
}
