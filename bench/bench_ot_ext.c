/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OT as secure computation uses it: the store and its forms over both engines. Two threads in one process, each on its own core, over
 * loopback TCP; wall time from the common start to the last party's end, and CPU time of each party. Columns: name, OTs or
 * items, millions per second of wall time (best, median), CPU nanoseconds each of sender and receiver (medians), bytes each of both
 * directions. usage: bench_ot_ext [OTs [name]]; a name selects what begins with it.
 */
#define _GNU_SOURCE
#include <cczoo/ot_ext.h>

#include "tcp_chan.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

enum { ROUNDS = 7 };

struct party;
typedef ccz_rc (*form_fn)(struct party *p, struct ccz_ot_ext *e);

struct party {
    struct ccz_chan *chan;
    struct ccz_ot_ext_cfg cfg;
    pthread_barrier_t *start;
    form_fn form;
    size_t len;
    bool sender;
    void *in, *out;
    uint8_t *choices;
    int64_t cpu, from, to;
    uint64_t bytes;
};

static int64_t thread_ns(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0, "clock");
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void pin(size_t cpu)
{
    cpu_set_t set;
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        return;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static void *run(void *arg)
{
    struct party *p = arg;
    CCZ_AUTO(ccz_ot_ext) e = NULL;
    pin(p->sender);
    must(ccz_ot_ext_new(&e, p->sender, p->chan, &p->cfg, NULL) == CCZ_OK, "set-up");
    must(p->form(p, e) == CCZ_OK, "first call"); /* memory is there */
    uint64_t before = ccz_chan_stats(p->chan).sent_size;
    (void)pthread_barrier_wait(p->start);
    int64_t cpu = thread_ns();
    p->from = wall_ns();
    must(p->form(p, e) == CCZ_OK, "form");
    p->to = wall_ns();
    p->cpu = thread_ns() - cpu;
    p->bytes = ccz_chan_stats(p->chan).sent_size - before;
    return NULL;
}

static int64_t pair(struct party p[2])
{
    pthread_barrier_t start;
    pthread_t t[2];
    must(pthread_barrier_init(&start, NULL, 2) == 0, "barrier");
    tcp_pair(&p[0].chan, &p[1].chan);
    for (int i = 0; i < 2; i++) {
        p[i].start = &start;
        must(pthread_create(&t[i], NULL, run, &p[i]) == 0, "thread");
    }
    for (int i = 0; i < 2; i++)
        must(pthread_join(t[i], NULL) == 0, "thread");
    for (int i = 0; i < 2; i++)
        ccz_chan_free(p[i].chan);
    (void)pthread_barrier_destroy(&start);
    int64_t from = p[0].from < p[1].from ? p[0].from : p[1].from;
    return (p[0].to > p[1].to ? p[0].to : p[1].to) - from;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static const char *selected = "";

static void measure(const char *name, struct party p[2], form_fn form, size_t len)
{
    int64_t wall[ROUNDS], cpu[2][ROUNDS];
    if (strncmp(name, selected, strlen(selected)) != 0)
        return;
    for (int i = 0; i < 2; i++) {
        p[i].form = form;
        p[i].len = len;
    }
    for (int r = 0; r < ROUNDS; r++) {
        wall[r] = pair(p);
        cpu[0][r] = p[0].cpu;
        cpu[1][r] = p[1].cpu;
    }
    qsort(wall, ROUNDS, sizeof(*wall), compare);
    for (int i = 0; i < 2; i++)
        qsort(cpu[i], ROUNDS, sizeof(*cpu[i]), compare);
    const double n = (double)len;
    printf("%s\t%zu\t%.2f\t%.2f\t%.1f\t%.1f\t%.4f\n", name, len, n * 1e3 / (double)wall[0],
           n * 1e3 / (double)wall[ROUNDS / 2], (double)cpu[0][ROUNDS / 2] / n,
           (double)cpu[1][ROUNDS / 2] / n, (double)(p[0].bytes + p[1].bytes) / n);
    (void)fflush(stdout);
}

/* ---------------------------------------------------------------------------------------- forms */

static ccz_rc rcot(struct party *p, struct ccz_ot_ext *e)
{
    return p->sender ? ccz_ot_ext_rcot_send(p->out, p->len, e, NULL)
                     : ccz_ot_ext_rcot_recv(p->out, p->choices, p->len, e, NULL);
}

static ccz_rc rot(struct party *p, struct ccz_ot_ext *e)
{
    return p->sender ? ccz_ot_ext_rot_send(p->out, p->len, e, NULL)
                     : ccz_ot_ext_rot_recv(p->out, p->choices, p->len, e, NULL);
}

static ccz_rc rbit(struct party *p, struct ccz_ot_ext *e)
{
    uint8_t *out = p->out;
    return p->sender ? ccz_ot_ext_rbit_send(out, out + p->len, p->len, e, NULL)
                     : ccz_ot_ext_rbit_recv(out, p->choices, p->len, e, NULL);
}

static ccz_rc of16(struct party *p, struct ccz_ot_ext *e)
{
    return p->sender ? ccz_ot_ext_n8_send(p->in, p->len, 4, 2, e, NULL)
                     : ccz_ot_ext_n8_recv(p->out, p->choices, p->len, 4, 2, e, NULL);
}

static ccz_rc ring(struct party *p, struct ccz_ot_ext *e)
{
    return p->sender ? ccz_ot_ext_ring_send(p->out, p->in, p->len, 1, 64, e, NULL)
                     : ccz_ot_ext_ring_recv(p->out, p->choices, p->len, 1, 64, e, NULL);
}

static ccz_rc product(struct party *p, struct ccz_ot_ext *e)
{
    return p->sender ? ccz_ot_ext_mul_send(p->out, p->in, p->len, 1, 64, e, NULL)
                     : ccz_ot_ext_mul_recv(p->out, p->in, p->len, 1, 64, e, NULL);
}

static void *room(size_t size)
{
    void *p = aligned_alloc(64, (size + 63) / 64 * 64);
    must(p, "memory");
    memset(p, 1, size);
    return p;
}

static void all_forms(const char *engine, struct party p[2], size_t len)
{
    char name[64];
    static const struct {
        const char *name;
        form_fn form;
        size_t divide;
    } forms[] = {{"random OT", rot, 1},
                 {"random OT of bits", rbit, 1},
                 {"1 of 16, 2 bits", of16, 8},
                 {"ring, 64 bits", ring, 4},
                 {"product, 64 bits", product, 64}};
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        (void)snprintf(name, sizeof(name), "%s %s", engine, forms[i].name);
        measure(name, p, forms[i].form, len / forms[i].divide);
    }
}

int main(int argc, char **argv)
{
    size_t len = argc > 1 ? strtoull(argv[1], NULL, 10) : (size_t)1 << 22;
    struct party p[2] = {{.sender = true}, {0}};
    char name[64];
    selected = argc > 2 ? argv[2] : "";
    for (int i = 0; i < 2; i++) {
        p[i].in = room(8 * len);
        p[i].out = room(32 * len);
        p[i].choices = room(len);
    }
    for (unsigned k = 2; k <= 8; k *= 2) {
        p[0].cfg.ot.k = p[1].cfg.ot.k = k;
        (void)snprintf(name, sizeof(name), "soft k=%u correlated OT", k);
        measure(name, p, rcot, len);
    }
    p[0].cfg.ot.k = p[1].cfg.ot.k = 4;
    all_forms("soft k=4", p, len);
    p[0].cfg.engine = p[1].cfg.engine = CCZ_OT_SILENT;
    for (unsigned log = CCZ_OT_SILENT_LOG_MIN; log <= CCZ_OT_SILENT_LOG_MAX; log++) {
        p[0].cfg.silent_log = p[1].cfg.silent_log = log;
        (void)snprintf(name, sizeof(name), "silent 2^%u correlated OT", log);
        measure(name, p, rcot, len);
    }
    p[0].cfg.silent_log = p[1].cfg.silent_log = 0;
    all_forms("silent 2^19", p, len);
    for (int i = 0; i < 2; i++) {
        free(p[i].in);
        free(p[i].out);
        free(p[i].choices);
    }
    return 0;
}
