/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three parties on replicated shares: three processes over loopback TCP, one thread each. One tab-separated line per program:
 * name, wall clock of party 0 from the common start to the result, processor time of party 0, bytes that parties 0, 1 and 2 have
 * sent (of messages), rounds. Medians. Inputs are shared before the clock starts; reveals are inside.
 * bench_rep3 [repetitions [name]]
 */
#define _DEFAULT_SOURCE
#include <cczoo/rep3.h>
#include <cczoo/ring.h>

#include "tcp_chan.h"

#include <sys/wait.h>

enum { FRAC = 16, REPS_MAX = 64 };

struct program {
    const char *name;
    unsigned kind; /* 0: regression; 1: network; 2: products; 3: signs; 4: ReLU */
    size_t n, features, batches;
    bool exact; /* comparisons of all bits */
};
struct measured {
    double wall_s, cpu_s;
    uint64_t sent, rounds;
};

static struct ccz_err err;
#define DO(call) must((call) == CCZ_OK, err.msg)

static struct ccz_rep3_tensor *shared(struct ccz_rep3 *m, unsigned owner,
                                      struct ccz_rep3_shape shape, unsigned frac, int range)
{
    size_t len = 1;
    for (unsigned i = 0; i < shape.rank; i++)
        len *= shape.dim[i];
    uint64_t *v = malloc(len * sizeof(*v)), x = 88172645463325252u;
    struct ccz_rep3_tensor *t;
    must(v, "memory");
    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        v[i] = (uint64_t)((int64_t)(x % (2u << range)) - (1 << range)); /* +- 2^range */
    }
    DO(ccz_rep3_share(&t, m, owner, shape, frac, owner == ccz_rep3_cfg_of(m)->role ? v : NULL,
                      &err));
    free(v);
    return t;
}

static uint64_t sent(const struct ccz_rep3 *m)
{
    const struct ccz_rep3_stats s = ccz_rep3_stats(m);
    return s.sent_size[0] + s.sent_size[1];
}

/* The clock starts when all have said that they are there. */
static void begin(struct measured *r, struct ccz_rep3 *m)
{
    uint64_t v[1];
    struct ccz_rep3_tensor *t = shared(m, 0, CCZ_REP3_SHAPE1(1), 0, 1);
    DO(ccz_rep3_reveal(v, t, CCZ_REP3_TO_ALL, "ready", &err));
    ccz_rep3_tensor_free(t);
    r->sent = sent(m);
    r->rounds = ccz_rep3_stats(m).rounds;
    r->cpu_s = (double)cpu_ns() * 1e-9;
    r->wall_s = (double)wall_ns() * 1e-9;
}

static void end(struct measured *r, struct ccz_rep3 *m)
{
    r->wall_s = (double)wall_ns() * 1e-9 - r->wall_s;
    r->cpu_s = (double)cpu_ns() * 1e-9 - r->cpu_s;
    r->sent = sent(m) - r->sent;
    r->rounds = ccz_rep3_stats(m).rounds - r->rounds;
}

static void show(const struct ccz_rep3_tensor *t)
{
    uint64_t *v = calloc(ccz_rep3_len_of(t), sizeof(*v));
    must(v, "memory");
    DO(ccz_rep3_reveal(v, t, CCZ_REP3_TO_ALL, "result", &err));
    free(v);
}

static void regression(struct measured *r, struct ccz_rep3 *m, const struct program *p)
{
    struct ccz_rep3_tensor *x[64], *y[64], *w, *next;
    /* Sums of up to 100 products of +-1 by weights below 2^8: 15 bits before the point, sign included. */
    const struct ccz_rep3_lr_cfg cfg = {
        .rate_shift = 7, .range = {p->exact ? 0 : 2 * FRAC + 16, p->exact ? 0 : FRAC}};
    for (size_t i = 0; i < p->batches; i++) {
        x[i] = shared(m, 0, CCZ_REP3_SHAPE2(p->n, p->features), FRAC, FRAC);
        y[i] = shared(m, 1, CCZ_REP3_SHAPE2(p->n, 1), FRAC, FRAC);
    }
    w = shared(m, 2, CCZ_REP3_SHAPE2(p->features, 1), FRAC, 4);
    begin(r, m);
    for (size_t i = 0; i < p->batches; i++) {
        DO(ccz_rep3_lr_step(&next, w, x[i], y[i], &cfg, &err));
        ccz_rep3_tensor_free(w);
        w = next;
    }
    show(w);
    end(r, m);
    ccz_rep3_tensor_free(w);
    for (size_t i = 0; i < p->batches; i++) {
        ccz_rep3_tensor_free(x[i]);
        ccz_rep3_tensor_free(y[i]);
    }
}

static void network(struct measured *r, struct ccz_rep3 *m, const struct program *p)
{
    const size_t dims[] = {784, 128, 128, 10};
    const unsigned f = 13;
    struct ccz_rep3_layer layers[3];
    struct ccz_rep3_tensor *w[3], *b[3], *out, *y;
    struct ccz_rep3_tensor *x = shared(m, 0, CCZ_REP3_SHAPE2(p->n, 784), f, 13);
    for (int i = 0; i < 3; i++) {
        w[i] = shared(m, 1, CCZ_REP3_SHAPE2(dims[i], dims[i + 1]), f, 10);
        b[i] = shared(m, 1, CCZ_REP3_SHAPE1(dims[i + 1]), 2 * f, 20);
        layers[i] = (struct ccz_rep3_layer){w[i], b[i]};
    }
    begin(r, m);
    DO(ccz_rep3_mlp(&out, x, layers, 3,
                    (struct ccz_rep3_range){p->exact ? 0 : 2 * f + 20, p->exact ? 0 : f}, &err));
    DO(ccz_rep3_reshare(&y, out, &err));
    show(y);
    end(r, m);
    for (int i = 0; i < 3; i++) {
        ccz_rep3_tensor_free(w[i]);
        ccz_rep3_tensor_free(b[i]);
    }
    ccz_rep3_tensor_free(x);
    ccz_rep3_tensor_free(out);
    ccz_rep3_tensor_free(y);
}

static void one_operation(struct measured *r, struct ccz_rep3 *m, const struct program *p)
{
    struct ccz_rep3_tensor *x = shared(m, 0, CCZ_REP3_SHAPE1(p->n), FRAC, 20), *z = NULL, *y;
    const struct ccz_rep3_range range = {p->exact ? 0 : 32, 0};
    begin(r, m);
    if (p->kind == 2) {
        DO(ccz_rep3_mul(&z, x, x, &err));
        DO(ccz_rep3_reshare(&y, z, &err));
    } else if (p->kind == 3)
        DO(ccz_rep3_negative(&y, x, range, &err));
    else
        DO(ccz_rep3_relu(&y, x, 0, range, &err));
    end(r, m);
    ccz_rep3_tensor_free(x);
    ccz_rep3_tensor_free(y);
    ccz_rep3_tensor_free(z);
}

static void run(struct measured *r, struct ccz_rep3 *m, const struct program *p)
{
    if (p->kind == 0)
        regression(r, m, p);
    else if (p->kind == 1)
        network(r, m, p);
    else
        one_operation(r, m, p);
}

/* Party i of all repetitions, in one process; what it measured goes to fd. */
static void party(unsigned role, struct ccz_chan *prev, struct ccz_chan *next,
                  const struct program *p, int reps, int fd)
{
    struct ccz_rep3 *m;
    const struct ccz_rep3_cfg cfg = {
        .role = role, .ring_bits = 64, .frac = FRAC, .trunc = CCZ_REP3_TRUNC_SAFE};
    struct measured r[REPS_MAX];
    DO(ccz_rep3_new(&m, prev, next, &cfg, &err));
    for (int i = 0; i < reps; i++)
        run(&r[i], m, p);
    ccz_rep3_free(m);
    ccz_chan_free(prev);
    ccz_chan_free(next);
    must(write(fd, r, sizeof(*r) * (size_t)reps) == (ssize_t)sizeof(*r) * reps, "pipe");
}

static int by_wall(const void *a, const void *b)
{
    double x = ((const struct measured *)a)->wall_s, y = ((const struct measured *)b)->wall_s;
    return (x > y) - (x < y);
}

static int by_cpu(const void *a, const void *b)
{
    double x = ((const struct measured *)a)->cpu_s, y = ((const struct measured *)b)->cpu_s;
    return (x > y) - (x < y);
}

static void measure(const struct program *p, int reps)
{
    struct ccz_chan *chan[3][2];
    struct measured r[3][REPS_MAX];
    int fd[3][2];
    pid_t child[3];
    for (int i = 0; i < 3; i++)
        tcp_pair(&chan[i][CCZ_REP3_NEXT], &chan[(i + 1) % 3][CCZ_REP3_PREV]);
    for (unsigned i = 0; i < 3; i++) {
        must(pipe(fd[i]) == 0, "pipe");
        child[i] = fork();
        must(child[i] >= 0, "fork");
        if (child[i] == 0) {
            party(i, chan[i][CCZ_REP3_PREV], chan[i][CCZ_REP3_NEXT], p, reps, fd[i][1]);
            _exit(0);
        }
        (void)close(fd[i][1]);
    }
    for (int i = 0; i < 3; i++) {
        ssize_t size = (ssize_t)sizeof(r[i][0]) * reps, got = 0, n;
        while (got < size && (n = read(fd[i][0], (char *)r[i] + got, (size_t)(size - got))) > 0)
            got += n;
        must(got == size && waitpid(child[i], NULL, 0) == child[i], "a party failed");
        (void)close(fd[i][0]);
    }
    for (int i = 0; i < 3; i++)
        for (int d = 0; d < 2; d++)
            ccz_chan_free(chan[i][d]);
    uint64_t bytes[3] = {r[0][0].sent, r[1][0].sent, r[2][0].sent}, rounds = r[0][0].rounds;
    qsort(r[0], (size_t)reps, sizeof(r[0][0]), by_cpu);
    double cpu = r[0][reps / 2].cpu_s;
    qsort(r[0], (size_t)reps, sizeof(r[0][0]), by_wall);
    printf("%s\t%.3f ms\t%.3f ms CPU\t%llu\t%llu\t%llu B\t%llu rounds\n", p->name,
           r[0][reps / 2].wall_s * 1e3, cpu * 1e3, (unsigned long long)bytes[0],
           (unsigned long long)bytes[1], (unsigned long long)bytes[2], (unsigned long long)rounds);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const struct program programs[] = {{"lr-10", 0, 128, 10, 10, false},
                                              {"lr-10-exact", 0, 128, 10, 10, true},
                                              {"lr-100", 0, 128, 100, 8, false},
                                              {"lr-100-exact", 0, 128, 100, 8, true},
                                              {"mlp-1", 1, 1, 0, 0, false},
                                              {"mlp-1-exact", 1, 1, 0, 0, true},
                                              {"mlp-32", 1, 32, 0, 0, false},
                                              {"mlp-32-exact", 1, 32, 0, 0, true},
                                              {"mul-131072", 2, 131072, 0, 0, true},
                                              {"negative-65536", 3, 65536, 0, 0, true},
                                              {"relu-65536-32bit", 4, 65536, 0, 0, false},
                                              {"relu-65536", 4, 65536, 0, 0, true}};
    int reps = argc > 1 ? atoi(argv[1]) : 15;
    must(reps > 0 && reps <= REPS_MAX, "1 to 64 repetitions");
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
        if (argc < 3 || strcmp(argv[2], programs[i].name) == 0)
            measure(&programs[i], reps);
    return 0;
}
