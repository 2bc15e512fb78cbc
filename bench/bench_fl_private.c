/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One round of federated averaging, plain, with secure aggregation, and with noise on top: server and members of fl.h in one thread,
 * no network. CPU time of the server, of a member, and of its local training; bytes of a member.
 *   bench_fl_private [MEMBERS HIDDEN SAMPLES LOST]      100 1260 600 10 by default: a perceptron of 1.0 M parameters, one epoch over 600
 *                                                       samples, 10 members vanish when they have the model
 * One line per way, tab separated. `round` is server + member + training (members work side by side, the server does not wait for
 * one after the other); `machine` is the CPU time of all of them together.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <cczoo/fl_nn.h>
#include <math.h>

enum { FEATURES = 784, CLASSES = 10, MEMBERS_MAX = 1000 };

static unsigned members, lost;
static struct ccz_fl_trainer trainer;
static struct ccz_fl_server *server;
static struct member {
    struct ccz_fl_client *client;
    uint32_t id;
    bool here, work;
} member[MEMBERS_MAX];
static struct ccz_fl_record record;

struct cost {
    int64_t server_ns, members_ns, train_ns;
};
static struct cost cost;

/* CPU time since the last lap. */
static void lap(int64_t *to)
{
    static int64_t last;
    int64_t now = cpu_ns();
    if (to)
        *to += now - last;
    last = now;
}

static ccz_rc timed_train(struct ccz_fl_metrics *out, void *self,
                          const struct ccz_fl_train_cfg *cfg, struct ccz_err *err)
{
    lap(&cost.members_ns);
    ccz_rc rc = trainer.ops->train(out, self, cfg, err);
    lap(&cost.train_ns);
    return rc;
}

static void on_round(void *arg, const struct ccz_fl_record *r)
{
    (void)arg;
    record = *r;
}

/* One message or piece of work. @return false: nothing to do */
static bool step(struct member *m, struct ccz_buf *msg, const struct ccz_fl_trainer *t)
{
    enum ccz_fl_event event;
    struct ccz_err err;
    if (!m->here)
        return false;
    lap(NULL);
    bool down = ccz_fl_server_output(msg, server, m->id, 0);
    lap(&cost.server_ns);
    if (down) {
        must(ccz_fl_client_input(&event, m->client, ccz_buf_span(msg), &err) == CCZ_OK, "input");
        m->work |= event == CCZ_FL_WORK;
        lap(&cost.members_ns);
        return true;
    }
    if (m->work) {
        m->work = false;
        if (m < member + lost && record.round == 0) {
            m->here = false;
            ccz_fl_server_leave(server, m->id, 0);
            return true;
        }
        must(ccz_fl_client_work(m->client, t, &err) == CCZ_OK, "work");
        lap(&cost.members_ns);
        return true;
    }
    bool up = ccz_fl_client_output(msg, m->client);
    lap(&cost.members_ns);
    if (up)
        must(!msg->bad && ccz_fl_server_input(server, m->id, ccz_buf_span(msg), 0, &err) == CCZ_OK,
             "message");
    lap(&cost.server_ns);
    return up;
}

static double run(const char *name, const struct ccz_fl_server_cfg *cfg, const float *params,
                  double plain)
{
    struct ccz_buf msg;
    struct ccz_fl_trainer_ops ops = *trainer.ops;
    struct ccz_err err = {0};
    ops.train = timed_train;
    const struct ccz_fl_trainer t = {&ops, trainer.self};
    cost = (struct cost){0};
    record = (struct ccz_fl_record){0};
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    if (ccz_fl_server_new(&server, cfg, params, 0, &err) != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    must(server, "server");
    for (unsigned i = 0; i < members; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "member-%04u", i);
        const struct ccz_fl_client_cfg c = {
            .name = id, .layout = cfg->layout, .unsigned_insecure = true, .frugal = true};
        member[i] = (struct member){.here = true};
        must(ccz_fl_client_new(&member[i].client, &c, NULL) == CCZ_OK &&
                 ccz_fl_server_join(&member[i].id, server, id, 0, NULL) == CCZ_OK &&
                 ccz_fl_client_start(member[i].client, NULL) == CCZ_OK,
             "member");
    }
    for (bool moved = true; moved && record.round == 0;) {
        moved = false;
        for (unsigned i = 0; i < members && record.round == 0; i++)
            moved |= step(&member[i], &msg, &t);
    }
    must(record.round == 1 && record.delivered == members - lost, "the round is not complete");
    double n = members - lost, ms = 1e-6;
    double one = ((double)cost.server_ns + (double)(cost.members_ns + cost.train_ns) / n) * ms;
    double all = (double)(cost.server_ns + cost.members_ns + cost.train_ns) * ms;
    printf("%s\tserver ms\t%.1f\tmember ms\t%.2f\ttraining ms\t%.1f\tround ms\t%.1f\tmachine "
           "ms\t%.0f\tratio\t%.3f\tbytes of a member\t%.0f\n",
           name, (double)cost.server_ns * ms, (double)cost.members_ns * ms / n,
           (double)cost.train_ns * ms / n, one, all, plain > 0 ? all / plain : 1,
           (double)(record.sent_size + record.received_size) / members);
    for (unsigned i = 0; i < members; i++)
        ccz_fl_client_free(member[i].client);
    ccz_fl_server_free(server);
    server = NULL;
    ccz_buf_free(&msg);
    return all;
}

int main(int argc, char **argv)
{
    uint32_t hidden = argc > 4 ? (uint32_t)atoi(argv[2]) : 1260;
    size_t samples = argc > 4 ? (size_t)atoll(argv[3]) : 600;
    members = argc > 4 ? (unsigned)atoi(argv[1]) : 100;
    lost = argc > 4 ? (unsigned)atoi(argv[4]) : 10;
    must(members >= 3 && members <= MEMBERS_MAX && lost < members && samples > 0, "arguments");
    uint8_t *x = malloc(samples * FEATURES);
    uint32_t *label = malloc(samples * sizeof(*label));
    must(x && label, "memory");
    for (size_t i = 0; i < samples * FEATURES; i++)
        x[i] = (uint8_t)(i * 2654435761u >> 20);
    for (size_t i = 0; i < samples; i++)
        label[i] = (uint32_t)(i % CLASSES);
    const struct ccz_fl_nn_cfg nn = {.spec = ccz_nn_spec_mlp(FEATURES, &hidden, 1, CLASSES),
                                     .train = {.bytes = x, .labels = label, .len = samples},
                                     .seed = 1};
    must(ccz_fl_nn_trainer(&trainer, &nn, NULL) == CCZ_OK, "trainer");
    const struct ccz_fl_layout *layout = trainer.ops->layout(trainer.self);
    float *params = malloc((size_t)layout->len * sizeof(*params));
    must(params && trainer.ops->get(trainer.self, params, NULL) == CCZ_OK, "parameters");
    struct ccz_fl_server_cfg cfg = {.layout = layout,
                                    .rounds = 1,
                                    .members_min = members,
                                    .quorum = members - lost,
                                    .samples_max = 10000,
                                    .agg.equal_weights = true};
    cfg.hooks.on_round = on_round;
    cfg.train.epochs = 1;
    cfg.train.batch = 32;
    printf("members\t%u\tlost\t%u\tparameters\t%llu\tsamples\t%zu\n", members, lost,
           (unsigned long long)layout->len, samples);
    (void)run("warm-up", &cfg, params, 0);
    double plain = run("plain", &cfg, params, 0);
    cfg.privacy = (struct ccz_fl_privacy){.secagg = true, .range = 1};
    (void)run("secagg", &cfg, params, plain);
    cfg.privacy = (struct ccz_fl_privacy){.secagg = true, .clip = 1, .multiplier = 1};
    (void)run("secagg, noise of the server", &cfg, params, plain);
    cfg.privacy.noise_at_members = true;
    (void)run("secagg, noise of the members", &cfg, params, plain);
    free(params);
    free(label);
    free(x);
    trainer.ops->free(trainer.self);
    return 0;
}
