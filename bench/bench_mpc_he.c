/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Correlated randomness of linear layers by lattice ciphertexts: what two parties send, and how long each computes. Both run in
 * one process, each in a thread, over a channel in memory.
 * Columns: name, keys (bytes, once), offline bytes, both directions together, rounds, median CPU milliseconds of party 0 and 1,
 * number of elements of the result per second and busier party.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <cczoo/mpc.h>
#include <cczoo/mpc_he.h>

#include <pthread.h>

enum { REPEATS = 9, NEEDS_MAX = 256, WEIGHT_BITS = 20 };

static void ok(ccz_rc rc, const struct ccz_err *err)
{
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err->where, err->msg);
    must(rc == CCZ_OK, ccz_rc_name(rc));
}

/* A program's needs, and the PRIVATE tensors that they are about. */
struct task {
    const char *name;
    unsigned bits;
    bool any_factor; /* no bound */
    struct ccz_mpc_need needs[NEEDS_MAX];
    size_t len;
    struct {
        unsigned owner;
        struct ccz_mpc_shape shape;
    } tensors[NEEDS_MAX];
    size_t tensors_len, elements;
};

struct party {
    const struct task *task;
    struct ccz_chan *chan;
    unsigned role;
    uint64_t setup_size, size, rounds;
    double cpu_ms[REPEATS];
};

static void add_private(struct ccz_mpc *m, const struct task *t, size_t i,
                        struct ccz_mpc_tensor **out, struct ccz_err *err)
{
    size_t len = 1;
    for (unsigned d = 0; d < t->tensors[i].shape.rank; d++)
        len *= t->tensors[i].shape.dim[d];
    uint64_t *v = malloc(len * sizeof(*v)), x = 1234567 + i;
    must(v, "memory");
    for (size_t k = 0; k < len; k++) { /* both signs, up to the bound */
        x = x * 6364136223846793005u + 1442695040888963407u;
        v[k] = (x >> 40) % (2u << WEIGHT_BITS) - (UINT64_C(1) << WEIGHT_BITS) + (x >> 63);
    }
    const unsigned owner = t->tensors[i].owner;
    ok(ccz_mpc_private(out, m, owner, t->tensors[i].shape, 0,
                       owner == ccz_mpc_cfg_of(m)->role ? v : NULL, err),
       err);
    free(v);
}

static void *run(void *arg)
{
    struct party *p = arg;
    const struct task *t = p->task;
    struct ccz_err err;
    struct ccz_mpc *m;
    struct ccz_mpc_source *s;
    struct ccz_mpc_tensor *x[NEEDS_MAX];
    const struct ccz_mpc_cfg cfg = {
        .role = p->role, .ring_bits = t->bits, .source = CCZ_MPC_SOURCE_HE};
    const struct ccz_mpc_he_cfg he = {.max_abs = t->any_factor ? 0 : UINT64_C(1) << WEIGHT_BITS};
    ok(ccz_mpc_new(&m, p->chan, &cfg, &err), &err);
    ok(ccz_mpc_source_he_new(&s, m, &he, &err), &err);
    ok(ccz_mpc_attach(m, s, &err), &err);
    for (size_t i = 0; i < t->tensors_len; i++)
        add_private(m, t, i, &x[i], &err);
    for (size_t r = 0; r <= REPEATS; r++) { /* the first one sends keys */
        const struct ccz_mpc_stats before = ccz_mpc_stats(m);
        ok(ccz_mpc_prepare(m, t->needs, t->len, &err), &err);
        const struct ccz_mpc_stats after = ccz_mpc_stats(m);
        const struct ccz_mpc_phase_stats *a = &before.phase[CCZ_MPC_OFFLINE],
                                         *b = &after.phase[CCZ_MPC_OFFLINE];
        if (r == 0) {
            const struct ccz_mpc_phase_stats *k = &after.phase[CCZ_MPC_SETUP];
            p->setup_size = k->sent_size + k->received_size;
            continue;
        }
        p->size = b->sent_size + b->received_size - a->sent_size - a->received_size;
        p->rounds = b->rounds - a->rounds;
        p->cpu_ms[r - 1] = (double)(b->cpu_ns - a->cpu_ns) / 1e6;
    }
    for (size_t i = 0; i < t->tensors_len; i++)
        ccz_mpc_tensor_free(x[i]);
    ccz_mpc_free(m);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v)
{
    qsort(v, REPEATS, sizeof(*v), by_value);
    return v[REPEATS / 2];
}

static void measure(const struct task *t)
{
    struct party p[2] = {{.task = t, .role = 0}, {.task = t, .role = 1}};
    pthread_t thread;
    must(ccz_chan_pair(&p[0].chan, &p[1].chan, NULL, NULL) == CCZ_OK, "channel");
    must(pthread_create(&thread, NULL, run, &p[0]) == 0, "thread");
    (void)run(&p[1]);
    must(pthread_join(thread, NULL) == 0, "thread");
    const double ms0 = median(p[0].cpu_ms), ms1 = median(p[1].cpu_ms);
    printf("%s\t%llu\t%llu\t%llu\t%.1f\t%.1f\t%.0f\n", t->name, (unsigned long long)p[0].setup_size,
           (unsigned long long)p[0].size, (unsigned long long)p[0].rounds, ms0, ms1,
           (double)t->elements / (ms0 > ms1 ? ms0 : ms1) * 1000);
    (void)fflush(stdout);
    ccz_chan_free(p[0].chan);
    ccz_chan_free(p[1].chan);
}

/* --------------------------------------------------------------------------------------- tasks */

static uint64_t tensor(struct task *t, unsigned owner, struct ccz_mpc_shape shape)
{
    t->tensors[t->tensors_len].owner = owner;
    t->tensors[t->tensors_len++].shape = shape;
    return t->tensors_len; /* numbers begin at 1 */
}

static void cross(struct task *t, uint64_t fixed, unsigned owner, bool transposed, size_t m,
                  size_t k, size_t n)
{
    t->needs[t->len++] = (struct ccz_mpc_need){.kind = CCZ_MPC_CROSS_MATMUL,
                                               .m = m,
                                               .k = k,
                                               .n = n,
                                               .fixed = fixed,
                                               .owner = owner,
                                               .transposed = transposed};
    t->elements += m * n;
}

/* Weights of party 1 [k, m] times inputs of party 0, as v' x'. */
static void layer(struct task *t, size_t k, size_t m, size_t batch)
{
    cross(t, tensor(t, 1, CCZ_MPC_SHAPE2(k, m)), 1, true, m, k, batch);
}

static void matvec(unsigned bits)
{
    struct task t = {.name = bits == 64 ? "1x784x128, one operand each, 64 bits"
                                        : "1x784x128, one operand each, 32 bits",
                     .bits = bits};
    layer(&t, 784, 128, 1);
    measure(&t);
    t.name = bits == 64 ? "the same, any factor" : "the same, any factor, 32 bits";
    t.any_factor = true;
    measure(&t);
    t = (struct task){.name = bits == 64 ? "1x784x128, both shared, 64 bits"
                                         : "1x784x128, both shared, 32 bits",
                      .bits = bits};
    t.needs[t.len++] = (struct ccz_mpc_need){.kind = CCZ_MPC_MATMUL, .m = 1, .k = 784, .n = 128};
    t.elements = 128;
    measure(&t);
}

static void network(size_t batch)
{
    struct task t = {.name = batch == 1 ? "784-128-128-10, batch 1" : "784-128-128-10, batch 32",
                     .bits = 64};
    layer(&t, 784, 128, batch);
    layer(&t, 128, 128, batch);
    layer(&t, 128, 10, batch);
    measure(&t);
}

/* Forward X w and backward X' e for every batch, with half of the features at each party. */
static void regression(const char *name, size_t features, size_t rows, size_t batches,
                       size_t epochs)
{
    struct task t = {.name = name, .bits = 64};
    uint64_t x[2][16];
    for (unsigned o = 0; o < 2; o++)
        for (size_t b = 0; b < batches; b++)
            x[o][b] = tensor(&t, o, CCZ_MPC_SHAPE2(rows, features));
    for (size_t i = 0; i < epochs * batches; i++)
        for (unsigned o = 0; o < 2; o++) {
            cross(&t, x[o][i % batches], o, false, rows, features, 1);
            cross(&t, x[o][i % batches], o, true, features, rows, 1);
        }
    measure(&t);
}

static void convolution(void)
{
    static const struct ccz_mpc_conv convs[] = {{.batch = 1,
                                                 .h = 28,
                                                 .w = 28,
                                                 .c = 1,
                                                 .kh = 5,
                                                 .kw = 5,
                                                 .o = 6,
                                                 .stride = 1,
                                                 .pad = 2,
                                                 .oh = 28,
                                                 .ow = 28},
                                                {.batch = 1,
                                                 .h = 14,
                                                 .w = 14,
                                                 .c = 6,
                                                 .kh = 5,
                                                 .kw = 5,
                                                 .o = 16,
                                                 .stride = 1,
                                                 .pad = 0,
                                                 .oh = 10,
                                                 .ow = 10}};
    struct task t = {.name = "LeNet-5, all layers, batch 1", .bits = 64};
    for (size_t i = 0; i < 2; i++) {
        const struct ccz_mpc_conv *c = &convs[i];
        const uint64_t id = tensor(&t, 1, CCZ_MPC_SHAPE4(c->kh, c->kw, c->c, c->o));
        t.needs[t.len++] = (struct ccz_mpc_need){
            .kind = CCZ_MPC_CROSS_CONV2D, .fixed = id, .owner = 1, .conv = *c};
        t.elements += c->oh * c->ow * c->o;
    }
    layer(&t, 400, 120, 1);
    layer(&t, 120, 84, 1);
    layer(&t, 84, 10, 1);
    measure(&t);
}

static void triples(enum ccz_mpc_need_kind kind, const char *name, unsigned bits, size_t len)
{
    struct task t = {.name = name, .bits = bits, .len = 1, .elements = len};
    t.needs[0] = (struct ccz_mpc_need){.kind = kind, .n = len};
    measure(&t);
}

int main(void)
{
    matvec(64);
    matvec(32);
    network(1);
    network(32);
    convolution();
    regression("regression, 50 + 50 features, 8 x 128", 50, 128, 8, 1);
    regression("regression, 15 + 15 features, 7 x 64, 5 epochs", 15, 64, 7, 5);
    triples(CCZ_MPC_MUL, "131072 triples, 64 bits", 64, 131072);
    triples(CCZ_MPC_MUL, "131072 triples, 32 bits", 32, 131072);
    triples(CCZ_MPC_SQUARE, "131072 squares, 64 bits", 64, 131072);
    return 0;
}
