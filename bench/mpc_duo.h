/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_BENCH_MPC_DUO_H
#define CCZ_BENCH_MPC_DUO_H
/* Two parties of a computation, one thread each, over a channel in memory. Define _POSIX_C_SOURCE 200809L first. */
#include <cczoo/mpc.h>

#include "bench.h"

#include <pthread.h>

enum { DUO_RUNS_MAX = 99, DUO_TIMES = 6 };

struct duo_party {
    struct ccz_mpc_cfg cfg;
    void (*program)(struct ccz_mpc *m, unsigned role, const void *arg);
    const void *arg;
    struct ccz_chan *chan;
    struct ccz_mpc_stats stats;
    int64_t wall_ns, cpu_ns;
};

static inline int64_t duo_thread_ns(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0, "clock");
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void *duo_run_party(void *arg)
{
    struct duo_party *p = arg;
    CCZ_AUTO(ccz_mpc) m = NULL;
    int64_t wall = wall_ns(), cpu = duo_thread_ns();
    must(ccz_mpc_new(&m, p->chan, &p->cfg, NULL) == CCZ_OK, "session");
    p->program(m, p->cfg.role, p->arg);
    p->wall_ns = wall_ns() - wall;
    p->cpu_ns = duo_thread_ns() - cpu;
    p->stats = ccz_mpc_stats(m);
    return NULL;
}

static inline int duo_compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static inline double duo_median_ms(int64_t *ns, size_t runs)
{
    qsort(ns, runs, sizeof(*ns), duo_compare);
    return (double)ns[runs / 2] / 1e6;
}

static inline uint64_t duo_bytes(const struct duo_party *p, int phase)
{
    return p->stats.phase[phase].sent_size + p->stats.phase[phase].received_size;
}

/*
 * Tab-separated: name, ring, engine of the OTs, elements; bytes of both directions together: set-up, OTs and products, online; rounds
 * online; milliseconds, median of runs: wall clock from a new session to the result, of it set-up, offline, online; processor
 * time of each party.
 */
static inline void duo_measure(const char *name, size_t len, struct duo_party p[2], size_t runs)
{
    static int64_t ns[DUO_TIMES][DUO_RUNS_MAX];
    for (size_t r = 0; r < runs; r++) {
        pthread_t t;
        must(ccz_chan_pair(&p[0].chan, &p[1].chan, NULL, NULL) == CCZ_OK, "channel");
        must(pthread_create(&t, NULL, duo_run_party, &p[0]) == 0, "thread");
        (void)duo_run_party(&p[1]);
        must(pthread_join(t, NULL) == 0, "thread");
        for (int i = 0; i < 2; i++)
            ccz_chan_free(p[i].chan);
        ns[0][r] = p[0].wall_ns > p[1].wall_ns ? p[0].wall_ns : p[1].wall_ns;
        for (int phase = 0; phase < CCZ_MPC_PHASES; phase++)
            ns[1 + phase][r] = p[0].stats.phase[phase].time_ns;
        ns[4][r] = p[0].cpu_ns;
        ns[5][r] = p[1].cpu_ns;
    }
    printf("%s\t%u\t%s\t%zu", name, p->cfg.ring_bits,
           p->cfg.ot == CCZ_MPC_OT_SILENT ? "silent" : "softspoken", len);
    for (int phase = 0; phase < CCZ_MPC_PHASES; phase++)
        printf("\t%llu", (unsigned long long)duo_bytes(p, phase));
    printf("\t%llu", (unsigned long long)p->stats.phase[CCZ_MPC_ONLINE].rounds);
    for (int i = 0; i < DUO_TIMES; i++)
        printf("\t%.1f", duo_median_ms(ns[i], runs));
    printf("\n");
    (void)fflush(stdout);
}
#endif
