/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boosted trees of guest and host, as threads of one process.   bench_sboost [ROWS GUEST HOST TREES DEPTH BINS [GOSS]]
 * One line, tab separated: name, seconds per tree, processor seconds per tree of both, MB per tree. Key of 2048 bits.
 * GOSS 1: samples with shares 0.2 and 0.1.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <cczoo/sboost.h>

#include <pthread.h>
#include <stdio.h>

struct party {
    struct ccz_chan *chan;
    struct ccz_sboost_data data;
    struct ccz_sboost_run run;
    const struct ccz_paillier_key *key;
    struct ccz_sboost_model *model;
    struct ccz_sboost_part *part;
};

static void *guest(void *arg)
{
    struct party *p = arg;
    struct ccz_err err = {0};
    if (ccz_sboost_guest(&p->model, p->key, &p->chan, 1, &p->data, &p->run, &err) != CCZ_OK)
        (void)fprintf(stderr, "%s: %s\n", err.where, err.msg);
    must(p->model != NULL, "guest");
    return NULL;
}

static void *host(void *arg)
{
    struct party *p = arg;
    struct ccz_err err = {0};
    if (ccz_sboost_host(&p->part, p->chan, &p->data, &p->run, &err) != CCZ_OK)
        (void)fprintf(stderr, "%s: %s\n", err.where, err.msg);
    must(p->part != NULL, "host");
    return NULL;
}

static size_t number(int argc, char **argv, int i, size_t otherwise)
{
    return i < argc ? (size_t)strtoull(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    size_t rows = number(argc, argv, 1, 2000),
           cols[2] = {number(argc, argv, 2, 10), number(argc, argv, 3, 10)};
    const struct ccz_sboost_cfg cfg = {.rounds = (uint32_t)number(argc, argv, 4, 2),
                                       .depth = (uint32_t)number(argc, argv, 5, 5),
                                       .bins = (uint32_t)number(argc, argv, 6, 32),
                                       .goss_top = number(argc, argv, 7, 0) ? 0.2 : 0,
                                       .goss_rest = number(argc, argv, 7, 0) ? 0.1 : 0};
    struct party p[2] = {{0}};
    struct ccz_paillier_key *key;
    const struct ccz_paillier_keygen_cfg keygen = {.bits = 2048};
    must(ccz_paillier_keygen(&key, &keygen, NULL) == CCZ_OK, "key");
    double *y = malloc(rows * sizeof(*y));
    uint64_t state = 1;
    must(y != NULL, "memory");
    for (int i = 0; i < 2; i++) {
        double *x = malloc(rows * cols[i] * sizeof(*x));
        must(x != NULL, "memory");
        for (size_t k = 0; k < rows * cols[i]; k++) {
            state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            x[k] = (double)(state >> 11) * 0x1p-53;
        }
        for (size_t k = 0; k < rows; k++)
            y[k] = i == 0 ? x[k * cols[0]] : y[k] + x[k * cols[1]] > 1;
        p[i].data = (struct ccz_sboost_data){.rows = rows, .cols = cols[i], .x = x};
        p[i].run = (struct ccz_sboost_run){.cfg = &cfg, .threads = 1, .timeout_ms = 36000000};
    }
    p[0].data.y = y;
    p[0].key = key;
    must(ccz_chan_pair(&p[0].chan, &p[1].chan, NULL, NULL) == CCZ_OK, "channel");
    pthread_t thread[2];
    int64_t start_ns = ccz_mono_ns(), start_cpu_ns = cpu_ns();
    must(pthread_create(&thread[0], NULL, guest, &p[0]) == 0, "thread");
    must(pthread_create(&thread[1], NULL, host, &p[1]) == 0, "thread");
    for (int i = 0; i < 2; i++)
        must(pthread_join(thread[i], NULL) == 0, "thread");
    struct ccz_chan_stats st = ccz_chan_stats(p[0].chan);
    printf("sboost/%zux(%zu+%zu)/depth-%u/bins-%u/goss-%d\t%.3f\t%.3f\t%.2f\n", rows, cols[0],
           cols[1], cfg.depth, cfg.bins, cfg.goss_top > 0,
           (double)(ccz_mono_ns() - start_ns) / 1e9 / cfg.rounds,
           (double)(cpu_ns() - start_cpu_ns) / 1e9 / cfg.rounds,
           (double)(st.sent_size + st.received_size) / 1e6 / cfg.rounds);
    for (int i = 0; i < 2; i++) {
        ccz_chan_free(p[i].chan);
        free((double *)(uintptr_t)p[i].data.x);
    }
    free(y);
    ccz_sboost_model_free(p[0].model);
    ccz_sboost_part_free(p[1].part);
    ccz_paillier_key_free(key);
    return 0;
}
