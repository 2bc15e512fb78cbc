/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MPC_REPEATS_MAX = 1000 };

struct name {
    const char *name;
    int value;
};
static const struct name SPLITS[] = {{"columns", CCZ_MPCML_COLUMNS}, {"rows", CCZ_MPCML_ROWS}, {0}};
static const struct name SIGMOIDS[] = {{"3-piece", CCZ_MPC_SIGMOID_3},
                                       {"spline", CCZ_MPC_SIGMOID_SPLINE},
                                       {"chebyshev", CCZ_MPC_SIGMOID_CHEBYSHEV},
                                       {0}};
static const struct name WEIGHTS[] = {
    {"own", CCZ_MPCML_WEIGHTS_OWN},       {"a", CCZ_MPCML_WEIGHTS_TO_0},
    {"b", CCZ_MPCML_WEIGHTS_TO_1},        {"both", CCZ_MPCML_WEIGHTS_TO_BOTH},
    {"shared", CCZ_MPCML_WEIGHTS_SHARED}, {0}};
static const struct name SCORES[] = {{"value", CCZ_MPCML_SCORE_VALUE},
                                     {"linear", CCZ_MPCML_SCORE_LINEAR},
                                     {"class", CCZ_MPCML_SCORE_CLASS},
                                     {0}};
static const struct name RECEIVERS[] = {
    {"labels", 0}, {"a", CCZ_MPC_TO_0}, {"b", CCZ_MPC_TO_1}, {"both", CCZ_MPC_TO_BOTH}, {0}};
static const struct name TRUNCS[] = {
    {"faithful", CCZ_MPC_TRUNC_FAITHFUL}, {"one-bit", CCZ_MPC_TRUNC_ONE_BIT}, {0}};
static const struct name PROGRAMS[] = {{"lr", MPC_LR},         {"linear", MPC_LINEAR},
                                       {"score", MPC_SCORE},   {"mlp", MPC_MLP},
                                       {"kmeans", MPC_KMEANS}, {0}};

static bool find(int *out, const char *option, const struct name *names, const char *name)
{
    const struct name *n = names;
    for (; n->name; n++)
        if (strcmp(n->name, name) == 0) {
            *out = n->value;
            return true;
        }
    char all[128] = "";
    for (n = names; n->name; n++)
        (void)snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", n == names ? "" : ", ",
                       n->name);
    ui_error("--%s must be one of: %s", option, all);
    return false;
}

static bool real_in(double *out, const char *option, const char *text, double least, double most)
{
    char *end = NULL;
    *out = text ? strtod(text, &end) : 0;
    if (!text || (end != text && *end == '\0' && *out >= least && *out <= most))
        return true;
    ui_error("--%s must be a number from %g to %g", option, least, most);
    return false;
}

bool mpc_number_in(const char *name, int64_t v, int64_t least, int64_t most)
{
    if (v < least || v > most)
        ui_error("--%s must be %lld..%lld", name, (long long)least, (long long)most);
    return v >= least && v <= most;
}

bool mpc_evidence_ok(const struct mpc_evidence *e)
{
    if (e->policy && e->unattested_insecure) {
        ui_error("--policy and --unattested-insecure exclude each other");
        return false;
    }
    if (!e->policy && !e->unattested_insecure) {
        ui_error("--policy is required: it says whose evidence is accepted");
        ui_hint("--unattested-insecure asks for none");
        return false;
    }
    return true;
}

/* ------------------------------------------------------------------------- what is computed */

static bool set_choices(struct mpc_opts *o)
{
    struct ccz_mpcml_lr_cfg *c = &o->cfg;
    int kind, split, sigmoid, weights, score, receiver, trunc;
    if (!find(&kind, "program", PROGRAMS, o->program) || !find(&split, "split", SPLITS, o->split) ||
        !find(&sigmoid, "sigmoid", SIGMOIDS, o->sigmoid) ||
        !find(&weights, "weights", WEIGHTS, o->weights) ||
        !find(&score, "score", SCORES, o->score) ||
        !find(&receiver, "score-to", RECEIVERS, o->score_to) ||
        !find(&trunc, "trunc", TRUNCS, o->trunc))
        return false;
    o->kind = (enum mpc_kind)kind;
    o->scoring = o->kind == MPC_SCORE;
    c->model = o->kind == MPC_LINEAR ? CCZ_MPCML_LINEAR : CCZ_MPCML_LOGISTIC;
    c->split = (enum ccz_mpcml_split)split;
    c->sigmoid.kind = (enum ccz_mpc_sigmoid)sigmoid;
    c->weights = (enum ccz_mpcml_weights)weights;
    c->score = (enum ccz_mpcml_score)score;
    c->score_to = (unsigned)receiver;
    o->score_to_labels = receiver == 0;
    o->run.trunc = (enum ccz_mpc_trunc)trunc;
    o->run.setting = ccz_mpcml_setting_named(o->optimize);
    if (!o->run.setting && strcmp(o->optimize, "all") != 0) {
        ui_error("--optimize must be one of:");
        for (int i = 0; i < CCZ_MPCML_OPTIMIZES; i++)
            ui_say("  %-10s  %s", ccz_mpcml_setting((enum ccz_mpcml_optimize)i)->name,
                   ccz_mpcml_setting((enum ccz_mpcml_optimize)i)->summary);
        return false;
    }
    return true;
}

static bool set_numbers(struct mpc_opts *o)
{
    struct ccz_mpcml_lr_cfg *c = &o->cfg;
    double mbit, ms;
    bool good = mpc_number_in("epochs", o->epochs, 1, 1000000) &&
                mpc_number_in("batch", o->batch, 1, (int64_t)CCZ_MPCML_ROWS_MAX) &&
                mpc_number_in("seed", o->seed, 0, INT64_MAX) &&
                mpc_number_in("minimum", o->minimum, 0, (int64_t)CCZ_MPCML_ROWS_MAX) &&
                mpc_number_in("timeout", o->net.timeout_s, 1, MPC_SECONDS_MAX) &&
                mpc_number_in("rows", o->rows, 0, (int64_t)CCZ_MPCML_ROWS_MAX) &&
                mpc_number_in("score-rows", o->score_rows, 0, (int64_t)CCZ_MPCML_ROWS_MAX) &&
                mpc_number_in("clusters", o->clusters, 2, CCZ_MPCML_CLUSTERS_MAX) &&
                mpc_number_in("iterations", o->iterations, 1, CCZ_MPCML_ITERATIONS_MAX) &&
                mpc_number_in("repeats", o->repeats, 1, MPC_REPEATS_MAX) &&
                real_in(&c->rate, "rate", o->rate, 0, 1e6) &&
                real_in(&c->l2, "l2", o->l2, 0, 1e6) &&
                real_in(&c->clip, "clip", o->clip, 0, 1e6) &&
                real_in(&c->range, "range", o->range, 0, 1e6) &&
                real_in(&mbit, "bandwidth", o->bandwidth, 0.001, 1e6) &&
                real_in(&ms, "rtt", o->rtt, 0.001, 1e6);
    if (!good)
        return false;
    c->epochs = (size_t)o->epochs;
    c->batch = (size_t)o->batch;
    c->seed = (uint64_t)o->seed;
    c->no_intercept = o->no_intercept;
    o->run.net.bytes_per_s = mbit * 1e6 / 8;
    o->run.net.rtt_s = ms / 1e3;
    return true;
}

static bool set_columns(struct mpc_opts *o)
{
    char *end = NULL;
    long long a = strtoll(o->columns, &end, 10), b = -1;
    if (end != o->columns && *end == ',') {
        const char *rest = end + 1;
        b = strtoll(rest, &end, 10);
        if (end == rest || *end != '\0')
            b = -1;
    }
    if (a < 0 || b < 0 || a + b < 1 || a > CCZ_MPCML_COLUMNS_MAX || b > CCZ_MPCML_COLUMNS_MAX) {
        ui_error("--columns must be A,B: how many columns each party has");
        return false;
    }
    o->columns_of[0] = a;
    o->columns_of[1] = b;
    return true;
}

/* ------------------------------------------------------------------------ what a command needs */

static bool is(const struct mpc_opts *o, const char *command)
{
    return strcmp(o->command, command) == 0;
}

static bool check_network(const struct mpc_opts *o)
{
    const bool dealer = o->run.setting && o->run.setting->optimize == CCZ_MPCML_DEALER;
    if (!o->net.listen == !o->net.connect) {
        ui_error("one of --listen and --connect is required");
        return false;
    }
    if (is(o, "table") ? dealer && !o->net.dealer : dealer != (o->net.dealer != NULL)) {
        ui_error(dealer ? "--dealer is required by --optimize dealer"
                        : "--dealer is for --optimize dealer");
        return false;
    }
    if (o->net.dealer && !o->net.dealer_policy && !o->net.evidence.unattested_insecure) {
        ui_error("--dealer-policy is required: the dealer knows all masks");
        ui_hint("--unattested-insecure asks nobody for evidence");
        return false;
    }
    return mpc_evidence_ok(&o->net.evidence);
}

/* What programs need of their own, and what they do not take. */
static bool check_kind(const struct mpc_opts *o)
{
    const bool mlp = o->kind == MPC_MLP;
    if (mlp != (o->network != NULL) || (!mlp && (o->images || o->image_labels))) {
        ui_error("--network is required by --program mlp; it and --images are for nothing else");
        return false;
    }
    if (mlp &&
        ((o->data && o->images) || (o->image_labels && !o->images) || o->test || o->model_out)) {
        ui_error("--program mlp: the network's owner has neither --images nor --data, the other "
                 "party one of them");
        return false;
    }
    if (o->ring != 0 && (!mlp || (o->ring != 32 && o->ring != 64))) {
        ui_error("--ring is 32 or 64, of --program mlp");
        return false;
    }
    if (o->kind == MPC_KMEANS && (o->test || o->cfg.weights == CCZ_MPCML_WEIGHTS_SHARED)) {
        ui_error("--program kmeans has no --test, and centres do not stay shared");
        return false;
    }
    return true;
}

/* What goes to the other party cannot be written here: known beforehand, not after everything was revealed. */
static bool check_outputs(const struct mpc_opts *o)
{
    const unsigned own = mpc_role(o) == 0 ? CCZ_MPC_TO_0 : CCZ_MPC_TO_1;
    const enum ccz_mpcml_weights w = o->cfg.weights;
    const bool rows = o->cfg.split == CCZ_MPCML_ROWS, mlp = o->kind == MPC_MLP;
    if (o->model_out && ((w == CCZ_MPCML_WEIGHTS_TO_0 && own == CCZ_MPC_TO_1) ||
                         (w == CCZ_MPCML_WEIGHTS_TO_1 && own == CCZ_MPC_TO_0))) {
        ui_error("--model-out: --weights %s gives this party none", o->weights);
        return false;
    }
    if (!o->scores_out)
        return true;
    if (mlp ? !o->images && !o->data : !o->scoring && !o->test) {
        ui_error("--scores-out: this party scores nothing");
        return false;
    }
    if (!mlp &&
        (o->score_to_labels ? !o->scoring && !rows && !o->label : !(o->cfg.score_to & own))) {
        ui_error("--scores-out: --score-to %s gives this party none", o->score_to);
        return false;
    }
    return true;
}

static bool check_party(const struct mpc_opts *o)
{
    if (!check_network(o))
        return false;
    if (!check_kind(o) || !check_outputs(o))
        return false;
    if (!o->data && o->kind != MPC_MLP) {
        ui_error("--data is required");
        return false;
    }
    if (o->cfg.split == CCZ_MPCML_ROWS && (!o->raw || o->scoring)) {
        ui_error("--split rows needs --raw, and does not go with --program score: each party would "
                 "scale its rows by "
                 "its own mean");
        return false;
    }
    if (o->scoring && (!o->model || o->test)) {
        ui_error("--program score scores --data with --model, and has no --test");
        return false;
    }
    if ((is(o, "offline") && !o->store) || !o->store != !o->store_key) {
        ui_error("--store and --store-key %s",
                 is(o, "offline") ? "are required" : "are given together");
        return false;
    }
    return true;
}

/* Options that the command would ignore, but for parameters of other programs: who gives them expects something. */
static const char *misplaced(const struct mpc_opts *o)
{
    const bool party = is(o, "party"), both = party || is(o, "offline"), table = is(o, "table"),
               plan = is(o, "plan"), simulate = is(o, "simulate"),
               by_columns = o->cfg.split == CCZ_MPCML_COLUMNS;
    const struct {
        const char *name;
        bool given, taken;
    } list[] = {{"listen", o->net.listen, both || table},
                {"connect", o->net.connect, both || table},
                {"port-file", o->net.port_file, both || table},
                {"tee", o->net.evidence.tee, both || table},
                {"policy", o->net.evidence.policy, both || table},
                {"dealer", o->net.dealer, both || table},
                {"dealer-policy", o->net.dealer_policy, o->net.dealer},
                {"data", o->data, both || simulate},
                {"test", o->test, both || simulate},
                {"label", o->label, both || simulate},
                {"aligned", o->aligned, both && o->kind != MPC_MLP && by_columns},
                {"minimum", o->minimum, both && o->kind != MPC_MLP},
                {"raw", o->raw, both || simulate},
                {"store", o->store, both},
                {"model", o->model, party && o->kind == MPC_SCORE},
                {"model-out", o->model_out, party && o->kind != MPC_SCORE},
                {"scores-out", o->scores_out, party || simulate},
                {"json", o->json, both},
                {"network", o->network, both || plan},
                {"images", o->images, both},
                {"image-labels", o->image_labels, both},
                {"rows", o->rows, plan || table || o->kind == MPC_MLP},
                {"score-rows", o->score_rows, plan || table},
                {"repeats", o->repeats != 1, table},
                {"csv", o->csv, table},
                {"svg", o->svg, table},
                {"data-2", o->data_2, simulate},
                {"test-2", o->test_2, simulate},
                {"compare", o->compare || o->compare_2, simulate}};
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        if (list[i].given && !list[i].taken)
            return list[i].name;
    return NULL;
}

static bool check(struct mpc_opts *o)
{
    if (!set_choices(o) || !set_numbers(o))
        return false;
    const char *name = misplaced(o);
    if (name) {
        ui_error("--%s is not for %s of this program", name, o->command);
        return false;
    }
    if (!o->run.setting && !is(o, "plan") && !is(o, "table")) {
        ui_error("--optimize all is for plan and table");
        return false;
    }
    if (is(o, "party") || is(o, "offline"))
        return check_party(o);
    if (is(o, "simulate")) {
        if (o->scoring || o->kind > MPC_LINEAR || o->cfg.split != CCZ_MPCML_COLUMNS) {
            ui_error("simulate: of --program lr and linear, --split columns");
            return false;
        }
        if (!o->data || !o->data_2 || !o->test != !o->test_2)
            ui_error("--data and --data-2 are required, --test and --test-2 given together");
        return o->data && o->data_2 && !o->test == !o->test_2;
    }
    if (o->rows < 1 && o->score_rows < 1) {
        ui_error("--rows or --score-rows is required");
        return false;
    }
    if (o->kind == MPC_MLP && (is(o, "table") || !o->network || o->rows < 1)) {
        ui_error("--program mlp: plan with --network and --rows");
        return false;
    }
    return set_columns(o) &&
           (is(o, "plan") || (!o->net.listen && !o->net.connect) || check_network(o));
}

static const struct mpc_opts DEFAULTS = {.net.timeout_s = MPC_TIMEOUT_S,
                                         .id = "id",
                                         .program = "lr",
                                         .split = "columns",
                                         .rate = "0.1",
                                         .sigmoid = "3-piece",
                                         .weights = "own",
                                         .score = "value",
                                         .score_to = "labels",
                                         .optimize = "rounds",
                                         .trunc = "faithful",
                                         .bandwidth = "100",
                                         .rtt = "1",
                                         .columns = "15,15",
                                         .epochs = 5,
                                         .batch = 64,
                                         .seed = 1,
                                         .clusters = 2,
                                         .iterations = 10,
                                         .repeats = 1};

/* What the table writes to; a copy is handed out. */
static struct mpc_opts given;
static const struct ui_opt OPTIONS[] = {
    {"listen", &given.net.listen, NULL, NULL, "ADDR", "party A: gRPC address; port 0 = any"},
    {"port-file", &given.net.port_file, NULL, NULL, "FILE", "A: write the port here when ready"},
    {"connect", &given.net.connect, NULL, NULL, "ADDR", "party B: where A listens"},
    UI_OWN_EVIDENCE(&given.net.evidence),
    UI_TRUST_FILES(&given.net.evidence),
    {"policy", &given.net.evidence.policy, NULL, NULL, "FILE",
     "policy that the other party's evidence must satisfy"},
    {"unattested-insecure", NULL, NULL, &given.net.evidence.unattested_insecure, NULL,
     "ask nobody for evidence"},
    {"dealer", &given.net.dealer, NULL, NULL, "ADDR", "where cczoo-mpc dealer listens"},
    {"dealer-policy", &given.net.dealer_policy, NULL, NULL, "FILE",
     "policy that its evidence must satisfy"},
    {"timeout", NULL, &given.net.timeout_s, NULL, "SECONDS",
     "longest wait for a message, default 600"},
    {"data", &given.data, NULL, NULL, "FILE",
     "CSV: own columns (or rows), and who has them, labels"},
    {"test", &given.test, NULL, NULL, "FILE", "CSV likewise: scored after the training"},
    {"id", &given.id, NULL, NULL, "NAME", "column of the row names, default id"},
    {"label", &given.label, NULL, NULL, "NAME", "column of the labels; one party gives it"},
    {"aligned", NULL, NULL, &given.aligned, NULL,
     "rows are the same at both already: no private set intersection"},
    {"minimum", NULL, &given.minimum, NULL, "N", "fewer common rows than this are refused"},
    {"raw", NULL, NULL, &given.raw, NULL, "do not bring columns to mean 0 and deviation 1"},
    {"program", &given.program, NULL, NULL, "NAME",
     "lr (default): logistic regression; linear; score: with --model; mlp: inference; kmeans"},
    {"split", &given.split, NULL, NULL, "HOW", "columns (default) or rows of each party"},
    {"epochs", NULL, &given.epochs, NULL, "N", "default 5"},
    {"batch", NULL, &given.batch, NULL, "ROWS", "default 64"},
    {"rate", &given.rate, NULL, NULL, "X", "step size, default 0.1"},
    {"l2", &given.l2, NULL, NULL, "X", "L2 penalty, default 0"},
    {"clip", &given.clip, NULL, NULL, "X", "of linear: bound of a residual"},
    {"range", &given.range, NULL, NULL, "X", "bound of |feature|, default 16"},
    {"sigmoid", &given.sigmoid, NULL, NULL, "KIND", "3-piece (default), spline or chebyshev"},
    {"seed", NULL, &given.seed, NULL, "N", "of the order of rows; 0 = as they are; default 1"},
    {"no-intercept", NULL, NULL, &given.no_intercept, NULL, "the model has none"},
    {"weights", &given.weights, NULL, NULL, "WHO",
     "gets the weights: own (default: each those of its columns), a, b, both, or shared: nobody"},
    {"score", &given.score, NULL, NULL, "WHAT",
     "is revealed: value (default), linear or class; mlp: class, or linear for logits"},
    {"score-to", &given.score_to, NULL, NULL, "WHO",
     "labels (default: who has them), a, b or both"},
    {"optimize", &given.optimize, NULL, NULL, "SETTING",
     "rounds (default), ot, paillier, he-each, he-packed, silent or dealer; plan, table: all"},
    {"trunc", &given.trunc, NULL, NULL, "MODE", "faithful (default) or one-bit"},
    {"bandwidth", &given.bandwidth, NULL, NULL, "MBIT",
     "per second, for plans and choices, default 100"},
    {"rtt", &given.rtt, NULL, NULL, "MS", "round trip, likewise, default 1"},
    {"store", &given.store, NULL, NULL, "DIR",
     "randomness of products goes to (offline) or comes from (party) here; each is used once"},
    {"store-key", &given.store_key, NULL, NULL, "FILE", "its key, 16 bytes"},
    {"model", &given.model, NULL, NULL, "FILE", "score: what --model-out wrote"},
    {"model-out", &given.model_out, NULL, NULL, "FILE", "write own weights here as JSON"},
    {"scores-out", &given.scores_out, NULL, NULL, "FILE", "write scores here as CSV"},
    {"json", &given.json, NULL, NULL, "FILE", "write what it cost and revealed here"},
    {"network", &given.network, NULL, NULL, "FILE",
     "mlp: of models/export_mpc.py; with weights at their owner, without at the other party"},
    {"images", &given.images, NULL, NULL, "FILE", "mlp: IDX, bytes become 0 to 1; or --data"},
    {"image-labels", &given.image_labels, NULL, NULL, "FILE", "mlp: IDX, to measure with"},
    {"ring", NULL, &given.ring, NULL, "BITS", "mlp: 32 (default) or 64"},
    {"clusters", NULL, &given.clusters, NULL, "N", "kmeans: default 2"},
    {"iterations", NULL, &given.iterations, NULL, "N", "kmeans: default 10"},
    {"columns", &given.columns, NULL, NULL, "A,B", "plan, table: of each party, default 15,15"},
    {"rows", NULL, &given.rows, NULL, "N",
     "plan, table: rows to train with; plan and mlp: images, at most"},
    {"score-rows", NULL, &given.score_rows, NULL, "N", "plan, table: rows to score"},
    {"repeats", NULL, &given.repeats, NULL, "N", "table: medians of so many runs, default 1"},
    {"csv", &given.csv, NULL, NULL, "FILE", "table: likewise as CSV"},
    {"svg", &given.svg, NULL, NULL, "FILE", "table: likewise as a picture"},
    {"data-2", &given.data_2, NULL, NULL, "FILE", "simulate: what party B has"},
    {"test-2", &given.test_2, NULL, NULL, "FILE", "simulate: likewise"},
    {"compare", &given.compare, NULL, NULL, "FILE", "simulate: with this model of party A"},
    {"compare-2", &given.compare_2, NULL, NULL, "FILE", "simulate: and this of party B"},
    {0},
};

int mpc_options(struct mpc_opts *o, int argc, char **argv)
{
    given = DEFAULTS;
    given.command = argv[0];
    int n = ui_parse(argc, argv, "cczoo-mpc party|offline|plan|table|simulate ...", OPTIONS);
    *o = given;
    if (n < 0)
        return ui_parse_status(n);
    if (n > 0)
        ui_error("unexpected operand: %s", argv[0]);
    return n == 0 && check(o) ? -1 : UI_USAGE;
}
