/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Correlated randomness and products of two parties in two threads of one process. One tab-separated line per measurement: what,
 * length, seconds of wall clock, of processor time of party 0, of party 1, of the dealer; bytes of both directions per element.
 * bench_mpc_core [kernels | dealer | ot | silent]
 */
#define _POSIX_C_SOURCE 200809L
#include <cczoo/mpc.h>
#include <cczoo/ring.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct run {
    struct ccz_chan *chan[2], *dealer[2][2];
    struct ccz_mpc_cfg cfg;
    struct ccz_mpc_need need;
    struct ccz_mpc_stats stats[2];
    double seconds, dealer_cpu;
};

static void *dealer(void *arg)
{
    struct run *r = arg;
    struct ccz_err e;
    int64_t from = cpu_ns();
    if (ccz_mpc_dealer_run(r->dealer[0][1], r->dealer[1][1], NULL, &e) != CCZ_OK)
        fprintf(stderr, "dealer: %s %s\n", e.where, e.msg);
    r->dealer_cpu = (double)(cpu_ns() - from) * 1e-9;
    return NULL;
}

static void party(struct run *r, unsigned role)
{
    struct ccz_mpc_cfg cfg = r->cfg;
    struct ccz_mpc_source *s = NULL;
    struct ccz_err e = {0};
    CCZ_AUTO(ccz_mpc) m = NULL;
    cfg.role = role;
    ccz_rc rc = ccz_mpc_new(&m, r->chan[role], &cfg, &e);
    if (rc == CCZ_OK && r->dealer[role][0])
        rc = ccz_mpc_source_dealer_new(&s, m, r->dealer[role][0], &e);
    if (rc == CCZ_OK && s)
        rc = ccz_mpc_attach(m, s, &e);
    const struct ccz_mpc_need first = {.kind = CCZ_MPC_MUL, .n = 1}; /* set-up */
    if (rc == CCZ_OK)
        rc = ccz_mpc_prepare(m, &first, 1, &e);
    if (rc == CCZ_OK) {
        struct ccz_mpc_stats before = ccz_mpc_stats(m);
        int64_t from = ccz_mono_ns();
        rc = ccz_mpc_prepare(m, &r->need, 1, &e);
        struct ccz_mpc_phase_stats *a = &before.phase[CCZ_MPC_OFFLINE];
        r->stats[role] = ccz_mpc_stats(m);
        struct ccz_mpc_phase_stats *b = &r->stats[role].phase[CCZ_MPC_OFFLINE];
        b->cpu_ns -= a->cpu_ns;
        b->sent_size -= a->sent_size;
        b->received_size -= a->received_size;
        if (role == 0)
            r->seconds = (double)(ccz_mono_ns() - from) * 1e-9;
    }
    if (rc != CCZ_OK)
        fprintf(stderr, "party %u: %s %s\n", role, e.where, e.msg);
}

static void *other(void *arg)
{
    party(arg, 1);
    return NULL;
}

static void measure(const char *name, struct ccz_mpc_need need, double elements,
                    struct ccz_mpc_cfg cfg)
{
    struct run r = {.cfg = cfg, .need = need};
    pthread_t t, d;
    const struct ccz_chan_pair_cfg wide = {.queue_size_max = (size_t)1 << 30};
    if (ccz_chan_pair(&r.chan[0], &r.chan[1], &wide, NULL) != CCZ_OK)
        return;
    for (int i = 0; i < 2 && cfg.source == CCZ_MPC_SOURCE_DEALER; i++)
        if (ccz_chan_pair(&r.dealer[i][0], &r.dealer[i][1], NULL, NULL) != CCZ_OK)
            return;
    if (r.dealer[0][0] && pthread_create(&d, NULL, dealer, &r) != 0)
        return;
    if (pthread_create(&t, NULL, other, &r) != 0)
        return;
    party(&r, 0);
    (void)pthread_join(t, NULL);
    if (r.dealer[0][0])
        (void)pthread_join(d, NULL);
    const struct ccz_mpc_phase_stats *a = &r.stats[0].phase[CCZ_MPC_OFFLINE];
    const struct ccz_mpc_phase_stats *b = &r.stats[1].phase[CCZ_MPC_OFFLINE];
    uint64_t bytes = a->sent_size + a->received_size;
    if (r.dealer
            [0]
            [0]) /* each party sees what it exchanges with the dealer; nothing passes between the two but digests */
        bytes += b->sent_size + b->received_size;
    printf("%s\t%.0f\t%.3f\t%.3f\t%.3f\t%.3f\t%.2f B\t%.3f M/s\n", name, elements, r.seconds,
           (double)a->cpu_ns * 1e-9, (double)b->cpu_ns * 1e-9, r.dealer_cpu,
           (double)bytes / elements, elements / r.seconds * 1e-6);
    fflush(stdout);
    for (int i = 0; i < 2; i++) {
        ccz_chan_free(r.chan[i]);
        ccz_chan_free(r.dealer[i][0]);
        ccz_chan_free(r.dealer[i][1]);
    }
}

static void kernel(size_t m, size_t k, size_t n, unsigned bits)
{
    uint64_t *a = calloc(m * k, 8), *b = calloc(k * n, 8), *r = calloc(m * n, 8);
    if (!a || !b || !r)
        return;
    for (size_t i = 0; i < m * k; i++)
        a[i] = i * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < k * n; i++)
        b[i] = i * 0xbf58476d1ce4e5b9u;
    double best = 1;
    for (int i = 0; i < 7; i++) {
        int64_t from = ccz_mono_ns();
        ccz_ring_matmul_add(r, a, b, m, k, n, bits);
        double s = (double)(ccz_mono_ns() - from) * 1e-9;
        best = s < best ? s : best;
    }
    printf("matmul %zux%zux%zu mod 2^%u\t%.6f s\t%.2f G products/s\n", m, k, n, bits, best,
           (double)m * (double)k * (double)n / best * 1e-9);
    free(a);
    free(b);
    free(r);
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : "";
    const struct ccz_mpc_need mul = {.kind = CCZ_MPC_MUL, .n = 1 << 17};
    const struct ccz_mpc_need many = {.kind = CCZ_MPC_MUL, .n = 1 << 22};
    const struct ccz_mpc_need bits = {.kind = CCZ_MPC_AND, .n = 1 << 24};
    const struct ccz_mpc_need matmul = {.kind = CCZ_MPC_MATMUL, .m = 1, .k = 784, .n = 128};
    const struct ccz_mpc_cfg cfg = {.ring_bits = 64};
    struct ccz_mpc_cfg dealt = cfg, silent = cfg;
    dealt.source = CCZ_MPC_SOURCE_DEALER;
    silent.ot = CCZ_MPC_OT_SILENT;
    if (!*only || strcmp(only, "kernels") == 0) {
        static const size_t dims[][3] = {{1, 784, 128}, {32, 784, 128}, {128, 100, 1},
                                         {100, 128, 1}, {1, 100, 128},  {512, 512, 512}};
        for (int i = 0; i < 6; i++) {
            kernel(dims[i][0], dims[i][1], dims[i][2], 64);
            kernel(dims[i][0], dims[i][1], dims[i][2], 32);
        }
    }
    if (!*only || strcmp(only, "dealer") == 0) {
        measure("dealer: products", many, 1 << 22, dealt);
        measure("dealer: bits", bits, 1 << 24, dealt);
        measure("dealer: matrix 1x784x128", matmul, 1, dealt);
    }
    if (!*only || strcmp(only, "ot") == 0) {
        measure("ot: products", mul, 1 << 17, cfg);
        measure("ot: bits", bits, 1 << 24, cfg);
        measure("ot: matrix 1x784x128", matmul, 1, cfg);
    }
    if (!*only || strcmp(only, "silent") == 0) {
        measure("silent ot: products", mul, 1 << 17, silent);
        measure("silent ot: bits", bits, 1 << 24, silent);
        measure("silent ot: matrix 1x784x128", matmul, 1, silent);
    }
    return 0;
}
