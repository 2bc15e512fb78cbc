/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs of two parties, each a process of one thread, over plain TCP on loopback: what bench/mpc_peers.sh puts beside others.
 * usage: bench_mpc_program WORKLOAD [SETTING]    matvec, relu, lr10, lr100, wdbc, mlp1, mlp32; settings as cczoo-mpc's
 * Choices are made as for 100 Mbit/s: fewer bytes for more computing.
 * lines: first (with set-up) or again (in the same session), wall seconds, CPU seconds of each party, bytes on the loopback of this
 * network namespace, headers included (0: others use it, too), bytes of messages by phase, rounds.
 */
#define _GNU_SOURCE
#include "bench.h"
#include "tcp_chan.h"

#include <cczoo/mpc_cmp.h>
#include <cczoo/mpcml.h>

#include <inttypes.h>
#include <sched.h>
#include <sys/wait.h>

enum { RUNS = 2, LAYERS = 3, FRAC = 13 };

static void ok(ccz_rc rc, const struct ccz_err *err)
{
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err->where, err->msg);
    must(rc == CCZ_OK, ccz_rc_name(rc));
}

/* Made up, both signs, below 2^bits. */
static uint64_t *numbers(size_t len, unsigned bits, unsigned ring_bits)
{
    uint64_t *v = malloc(len * sizeof(*v)), x = 88172645463325252u;
    must(v, "memory");
    for (size_t i = 0; i < len; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        v[i] = ((x >> 32) % (UINT64_C(2) << bits)) - (UINT64_C(1) << bits);
        v[i] &= UINT64_MAX >> (64 - ring_bits);
    }
    return v;
}

/* --------------------------------------------------------------- layers: matvec, relu, networks */

struct layers {
    size_t batch, sizes[LAYERS + 1], len; /* len 0: a ReLU of `batch` numbers */
    struct ccz_mpc_tensor *x, *w[LAYERS];
};

static ccz_rc layer_inputs(void *self, struct ccz_mpc *m, struct ccz_err *err)
{
    struct layers *l = self;
    const struct ccz_mpc_cfg *cfg = ccz_mpc_cfg_of(m);
    const bool values = !ccz_mpc_is_plan(m);
    const size_t x_len = l->batch * l->sizes[0];
    uint64_t *v = numbers(x_len, cfg->frac, cfg->ring_bits);
    ccz_rc rc = ccz_mpc_private(&l->x, m, 0, CCZ_MPC_SHAPE2(l->batch, l->sizes[0]), cfg->frac,
                                values && cfg->role == 0 ? v : NULL, err);
    free(v);
    for (size_t i = 0; i < l->len && rc == CCZ_OK; i++) {
        v = numbers(l->sizes[i] * l->sizes[i + 1], cfg->frac - 4, cfg->ring_bits);
        rc = ccz_mpc_private(&l->w[i], m, 1, CCZ_MPC_SHAPE2(l->sizes[i], l->sizes[i + 1]),
                             cfg->frac, values && cfg->role == 1 ? v : NULL, err);
        free(v);
    }
    return rc;
}

static ccz_rc layer_compute(void *self, struct ccz_mpc *m, const struct ccz_mpcml_setting *setting,
                            struct ccz_err *err)
{
    struct layers *l = self;
    CCZ_AUTO(ccz_mpc_tensor) at = NULL;
    const unsigned frac = ccz_mpc_cfg_of(m)->frac;
    (void)setting;
    ccz_rc rc =
        ccz_mpc_share(&at, l->x, err); /* weights stay private: inputs are what travels, masked */
    for (size_t i = 0; i < l->len && rc == CCZ_OK; i++) {
        CCZ_AUTO(ccz_mpc_tensor) z = NULL;
        CCZ_AUTO(ccz_mpc_tensor) a = NULL;
        const bool last = i + 1 == l->len;
        rc = ccz_mpc_matmul(&z, at, l->w[i], err);
        ccz_mpc_tensor_free(at);
        at = NULL;
        if (rc == CCZ_OK && !last)
            rc = ccz_mpc_relu(&a, NULL, z, err);
        if (rc == CCZ_OK && l->len == 1)
            return rc; /* a product of integers */
        if (rc == CCZ_OK)
            rc = ccz_mpc_truncate(&at, last ? z : a, frac,
                                  last ? CCZ_MPC_RANGE_HALF : CCZ_MPC_RANGE_POSITIVE, err);
    }
    if (rc == CCZ_OK && l->len == 0) {
        CCZ_AUTO(ccz_mpc_tensor) a = NULL;
        rc = ccz_mpc_relu(&a, NULL, at, err);
    }
    return rc;
}

static void layer_reset(void *self)
{
    struct layers *l = self;
    ccz_mpc_tensor_free(l->x);
    l->x = NULL;
    for (size_t i = 0; i < LAYERS; i++) {
        ccz_mpc_tensor_free(l->w[i]);
        l->w[i] = NULL;
    }
}

/* ------------------------------------------------------------------------------------ workloads */

struct work {
    struct ccz_mpcml_program program; /* of layers, or what lr says */
    struct layers layers;
    struct ccz_mpcml_lr *lr;
    double *x, *y;
};

static void make_layers(struct work *w, size_t batch, const size_t *sizes, size_t len)
{
    w->layers = (struct layers){.batch = batch, .len = len};
    memcpy(w->layers.sizes, sizes, (len + 1) * sizeof(*sizes));
    w->program = (struct ccz_mpcml_program){.name = "layers",
                                            .self = &w->layers,
                                            .ring_bits = len ? 64 : 32,
                                            .frac = len ? FRAC : 12,
                                            .max_abs = UINT64_C(1) << FRAC,
                                            .inputs = layer_inputs,
                                            .compute = layer_compute,
                                            .reset = layer_reset};
}

static void make_lr(struct work *w, unsigned role, size_t columns, size_t batch, size_t batches,
                    size_t epochs)
{
    const size_t rows = batch * batches, half = columns / 2;
    struct ccz_err err;
    const struct ccz_mpcml_lr_cfg cfg = {.rows = {rows, rows},
                                         .columns = {half, columns - half},
                                         .batch = batch,
                                         .epochs = epochs,
                                         .rate = 0.125,
                                         .weights = CCZ_MPCML_WEIGHTS_SHARED,
                                         .range = 1};
    w->x = malloc(rows * half * sizeof(double));
    w->y = malloc(rows * sizeof(double));
    must(w->x && w->y, "memory");
    uint64_t *v = numbers(rows * half, 20, 64);
    for (size_t i = 0; i < rows * half; i++)
        w->x[i] = (double)(int64_t)v[i] / (1 << 20);
    for (size_t i = 0; i < rows; i++)
        w->y[i] = w->x[i * half] > 0;
    free(v);
    const struct ccz_mpcml_lr_data data = {.x = w->x, .y = role == 0 ? w->y : NULL};
    ok(ccz_mpcml_lr_new(&w->lr, role, &cfg, &data, &err), &err);
    w->program = *ccz_mpcml_lr_program(w->lr);
}

static bool make_work(struct work *w, const char *name, unsigned role)
{
    static const size_t network[] = {784, 128, 128, 10}, one[] = {1};
    if (strcmp(name, "matvec") == 0)
        make_layers(w, 1, network, 1);
    else if (strcmp(name, "relu") == 0)
        make_layers(w, 65536, one, 0);
    else if (strcmp(name, "mlp1") == 0 || strcmp(name, "mlp32") == 0)
        make_layers(w, strcmp(name, "mlp1") == 0 ? 1 : 32, network, 3);
    else if (strcmp(name, "lr10") == 0)
        make_lr(w, role, 10, 128, 10, 1);
    else if (strcmp(name, "lr100") == 0)
        make_lr(w, role, 100, 128, 8, 1);
    else if (strcmp(name, "wdbc") == 0)
        make_lr(w, role, 30, 64, 7, 5);
    else
        return false;
    return true;
}

/* --------------------------------------------------------------------------------------- parties */

struct figures {
    double wall_s, cpu_s;
    uint64_t size[CCZ_MPC_PHASES], rounds;
};

/* Both parties are here: a message each way, which is no part of what is measured. */
static void meet(int fd)
{
    char byte = 0;
    must(write(fd, &byte, 1) == 1 && read(fd, &byte, 1) == 1, "the other process");
}

static uint64_t loopback(void)
{
    char line[512];
    unsigned long long size = 0;
    FILE *f = fopen("/proc/self/net/dev", "r");
    must(f, "/proc/self/net/dev");
    while (fgets(line, sizeof(line), f)) {
        const char *at = strstr(line, "lo:");
        if (at)
            size = strtoull(at + 3, NULL, 10);
    }
    (void)fclose(f);
    return size;
}

static struct figures since(const struct ccz_mpc_stats *now, const struct ccz_mpc_stats *before)
{
    struct figures f = {0};
    for (int p = 0; p < CCZ_MPC_PHASES; p++) {
        const struct ccz_mpc_phase_stats *a = &before->phase[p], *b = &now->phase[p];
        f.size[p] = b->sent_size + b->received_size - a->sent_size - a->received_size;
        f.rounds += b->rounds - a->rounds;
    }
    return f;
}

static void party(unsigned role, struct ccz_chan *chan, int fd, const char *name,
                  const struct ccz_mpcml_setting *setting)
{
    struct work w = {0};
    struct ccz_err err;
    struct ccz_mpc *m = NULL;
    struct ccz_mpc_source *source;
    struct ccz_mpc_cfg session;
    struct ccz_mpcml_plan *plan;
    struct ccz_mpc_stats before = {0};
    cpu_set_t cpu;
    const struct ccz_mpcml_run_cfg run = {
        .role = role, .setting = setting, .net.bytes_per_s = 12.5e6};
    CPU_ZERO(&cpu);
    CPU_SET(role % (unsigned)sysconf(_SC_NPROCESSORS_ONLN), &cpu);
    (void)sched_setaffinity(0, sizeof(cpu), &cpu);
    must(make_work(&w, name, role), "no such workload");
    for (int r = 0; r < RUNS; r++) {
        meet(fd);
        const uint64_t size = loopback();
        const int64_t wall = wall_ns(), busy = cpu_ns();
        if (r == 0) {
            ok(ccz_mpcml_plan_new(&plan, &w.program, &run, &err), &err);
            ok(ccz_mpcml_session_cfg(&session, &w.program, &run, &err), &err);
            ok(ccz_mpc_new(&m, chan, &session, &err), &err);
            ok(ccz_mpcml_source_new(&source, m, &w.program, &run, &err), &err);
            if (source)
                ok(ccz_mpc_attach(m, source, &err), &err);
        }
        ok(ccz_mpcml_run_on(m, &w.program, setting, plan, &err), &err);
        const struct ccz_mpc_stats now = ccz_mpc_stats(m);
        struct figures f = since(&now, &before), other;
        before = now;
        f.wall_s = (double)(wall_ns() - wall) / 1e9;
        f.cpu_s = (double)(cpu_ns() - busy) / 1e9;
        meet(fd);
        const uint64_t carried = loopback() - size;
        must(write(fd, &f, sizeof(f)) == sizeof(f) &&
                 read(fd, &other, sizeof(other)) == sizeof(other),
             "the other process");
        if (role == 0)
            printf("%s\t%.3f\t%.3f\t%.3f\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64
                   "\t%" PRIu64 "\n",
                   r == 0 ? "first" : "again", f.wall_s > other.wall_s ? f.wall_s : other.wall_s,
                   f.cpu_s, other.cpu_s, carried, f.size[CCZ_MPC_SETUP], f.size[CCZ_MPC_OFFLINE],
                   f.size[CCZ_MPC_ONLINE], f.rounds);
    }
    ccz_mpcml_plan_free(plan);
    ccz_mpc_free(m);
    ccz_mpcml_lr_free(w.lr);
    free(w.x);
    free(w.y);
}

int main(int argc, char **argv)
{
    struct ccz_chan *chan[2];
    int pair[2], status;
    const struct ccz_mpcml_setting *setting = ccz_mpcml_setting_named(argc > 2 ? argv[2] : NULL);
    if (argc < 2 || !setting) {
        fprintf(stderr, "usage: bench_mpc_program WORKLOAD [SETTING]\n");
        return 2;
    }
    tcp_pair(&chan[0], &chan[1]);
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
    (void)fflush(NULL);
    const pid_t child = fork();
    must(child >= 0, "fork");
    const unsigned role = child == 0;
    (void)close(pair[1 - role]);
    party(role, chan[role], pair[role], argv[1], setting);
    if (child == 0)
        _exit(fflush(NULL) != 0);
    must(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0,
         "the other process");
    return 0;
}
