/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many members of a federated training in one process, a thread each with an RA-TLS connection of its own, for bench/fl_secagg.sh: a
 * perceptron 784-HIDDEN-10 on made-up samples, and in each round so many members that vanish when they have the model.
 *   bench_fl_members model HIDDEN FILE
 *   bench_fl_members run ADDR COUNT HIDDEN SAMPLES VANISH POLICY SIM_DIR
 * SAMPLES: one local epoch over so many; 0 = nothing is trained, each update is the same small vector. As many members train at a time
 * as there are processors, one thread each. Prints how many vanished, and how many have the last model.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <cczoo/fl_nn.h>
#include <cczoo/party.h>
#include <cczoo/rpc_chan.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

enum { FEATURES = 784, CLASSES = 10, MEMBERS_MAX = 1000, TRAINERS_MAX = 64, ROUNDS_MAX = 1000 };

static const char *address;
static unsigned vanish;
static size_t samples;
static struct ccz_party *party;
static struct ccz_fl_trainer idle[TRAINERS_MAX]; /* those that nobody uses */
static unsigned idle_len, trainers_len;
static sem_t idle_sem;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned gone[ROUNDS_MAX], gone_all, done_all;
static const struct ccz_fl_layout *layout;

struct member {
    char name[32];
    pthread_t thread;
    const float *params;      /* set last */
    struct ccz_fl_trainer at; /* between train and get */
};

static struct ccz_fl_trainer take_trainer(void)
{
    (void)sem_wait(&idle_sem);
    pthread_mutex_lock(&lock);
    struct ccz_fl_trainer t = idle[--idle_len];
    pthread_mutex_unlock(&lock);
    return t;
}

static void give_trainer(struct ccz_fl_trainer t)
{
    pthread_mutex_lock(&lock);
    idle[idle_len++] = t;
    pthread_mutex_unlock(&lock);
    (void)sem_post(&idle_sem);
}

static const struct ccz_fl_layout *m_layout(void *self)
{
    (void)self;
    return layout;
}

static ccz_rc m_get(void *self, float *params, struct ccz_err *err)
{
    struct member *m = self;
    if (m->at.ops) {
        ccz_rc rc = m->at.ops->get(m->at.self, params, err);
        give_trainer(m->at);
        m->at = (struct ccz_fl_trainer){0};
        return rc;
    }
    for (uint64_t i = 0; i < layout->len; i++)
        params[i] = m->params[i] + (float)((int)(i % 19) - 9) / 1024;
    return CCZ_OK;
}

static ccz_rc m_set(void *self, const float *params, struct ccz_err *err)
{
    (void)err;
    ((struct member *)self)->params = params;
    return CCZ_OK;
}

static ccz_rc m_train(struct ccz_fl_metrics *out, void *self, const struct ccz_fl_train_cfg *cfg,
                      struct ccz_err *err)
{
    struct member *m = self;
    pthread_mutex_lock(&lock);
    bool leaves = gone[cfg->round % ROUNDS_MAX] < vanish;
    gone[cfg->round % ROUNDS_MAX] += leaves;
    gone_all += leaves;
    pthread_mutex_unlock(&lock);
    if (leaves)
        return ccz_fail(err, CCZ_E_CLOSED, "bench:vanished", 0, "a member that vanishes");
    *out = (struct ccz_fl_metrics){.samples = 1, .steps = 1};
    if (samples == 0)
        return CCZ_OK;
    m->at = take_trainer();
    ccz_rc rc = m->at.ops->set(m->at.self, m->params, err);
    return rc == CCZ_OK ? m->at.ops->train(out, m->at.self, cfg, err) : rc;
}

static ccz_rc m_evaluate(struct ccz_fl_metrics *out, void *self, struct ccz_err *err)
{
    (void)self;
    (void)err;
    *out = (struct ccz_fl_metrics){0};
    return CCZ_OK;
}

static const struct ccz_fl_trainer_ops ops = {
    .layout = m_layout, .get = m_get, .set = m_set, .train = m_train, .evaluate = m_evaluate};

static ccz_rc visit(struct member *m, struct ccz_fl_client *c, struct ccz_err *err)
{
    CCZ_AUTO(ccz_rpc_client) rpc = NULL;
    CCZ_AUTO(ccz_chan) chan = NULL;
    const struct ccz_fl_trainer t = {&ops, m};
    const struct ccz_rpc_client_cfg cfg = {.target = address, .ratls = ccz_party_ratls(party)};
    const struct ccz_rpc_chan_cfg open = {
        .channel = "fl",
        .party = m->name,
        .limits = {.message_size_max = CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX,
                   .queue_size_max = (size_t)2 << 20}};
    ccz_rc rc = ccz_rpc_client_new(&rpc, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(NULL, rpc, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_chan_connect(&chan, rpc, &open, err);
    return rc == CCZ_OK ? ccz_fl_client_run(c, chan, &t, 0, err) : rc;
}

static void *member_main(void *arg)
{
    struct member *m = arg;
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_fl_client) c = NULL;
    const struct ccz_fl_client_cfg cfg = {.name = m->name, .layout = layout};
    ccz_rc rc = ccz_fl_client_new(&c, &cfg, &err);
    if (rc == CCZ_OK)
        rc = visit(m, c, &err);
    if (rc != CCZ_OK && strcmp(err.where, "bench:vanished") != 0)
        fprintf(stderr, "%s: %s: %s\n", m->name, err.where, err.msg);
    pthread_mutex_lock(&lock);
    done_all += rc == CCZ_OK;
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void make_trainer(struct ccz_fl_trainer *out, uint32_t hidden)
{
    static uint8_t *x;
    static uint32_t *label;
    size_t n = samples ? samples : 1;
    if (!x) {
        x = malloc(n * FEATURES);
        label = malloc(n * sizeof(*label));
        must(x && label, "memory");
        for (size_t i = 0; i < n * FEATURES; i++)
            x[i] = (uint8_t)(i * 2654435761u >> 20);
        for (size_t i = 0; i < n; i++)
            label[i] = (uint32_t)(i % CLASSES);
    }
    const struct ccz_fl_nn_cfg nn = {.spec = ccz_nn_spec_mlp(FEATURES, &hidden, 1, CLASSES),
                                     .train = {.bytes = x, .labels = label, .len = n},
                                     .seed = 1};
    must(ccz_fl_nn_trainer(out, &nn, NULL) == CCZ_OK, "trainer");
    layout = out->ops->layout(out->self);
}

static int model(char **arg)
{
    struct ccz_fl_trainer t;
    make_trainer(&t, (uint32_t)atoi(arg[0]));
    float *params = malloc((size_t)layout->len * sizeof(*params));
    must(params && t.ops->get(t.self, params, NULL) == CCZ_OK, "parameters");
    must(ccz_fl_model_save(arg[1], layout, 0, params, NULL, NULL) == CCZ_OK, "model file");
    free(params);
    t.ops->free(t.self);
    return 0;
}

static int run(char **arg)
{
    static struct member member[MEMBERS_MAX];
    char trust[4096];
    struct ccz_err err = {0};
    cpu_set_t cores;
    address = arg[0];
    unsigned count = (unsigned)atoi(arg[1]);
    samples = (size_t)atoll(arg[3]);
    vanish = (unsigned)atoi(arg[4]);
    (void)snprintf(trust, sizeof(trust), "%s/trust", arg[6]);
    const struct ccz_party_cfg cfg = {.tee = {.provider = "sim-sgx", .sim_dir = arg[6]},
                                      .trust_sim_dir = trust,
                                      .policy_file = arg[5]};
    if (ccz_party_new(&party, &cfg, &err) != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    must(party && count <= MEMBERS_MAX && sched_getaffinity(0, sizeof(cores), &cores) == 0,
         "arguments");
    trainers_len = (unsigned)CPU_COUNT(&cores);
    trainers_len = trainers_len < TRAINERS_MAX ? trainers_len : (unsigned)TRAINERS_MAX;
    for (; idle_len < trainers_len; idle_len++)
        make_trainer(&idle[idle_len], (uint32_t)atoi(arg[2]));
    must(sem_init(&idle_sem, 0, trainers_len) == 0, "semaphore");
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(member[i].name, sizeof(member[i].name), "m-%04u", i);
        must(pthread_create(&member[i].thread, NULL, member_main, &member[i]) == 0, "thread");
    }
    for (unsigned i = 0; i < count; i++)
        (void)pthread_join(member[i].thread, NULL);
    printf("vanished\t%u\tdone\t%u\n", gone_all, done_all);
    for (unsigned i = 0; i < trainers_len; i++)
        idle[i].ops->free(idle[i].self);
    ccz_party_free(party);
    return gone_all + done_all == count ? 0 : 1;
}

int main(int argc, char **argv)
{
    (void)mallopt(M_TRIM_THRESHOLD, 16 << 20); /* as the daemons: fld_tune_memory() */
    (void)mallopt(M_MMAP_THRESHOLD, 16 << 20);
    (void)mallopt(M_TOP_PAD, 256 << 10);
    if (argc == 4 && strcmp(argv[1], "model") == 0)
        return model(argv + 2);
    if (argc == 9 && strcmp(argv[1], "run") == 0)
        return run(argv + 2);
    fprintf(stderr, "usage: see the source\n");
    return 2;
}
