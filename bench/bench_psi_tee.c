/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions of many parties with a server, all threads of one process:   bench_psi_tee [LOG2 [PARTIES]], default 20 and 2.
 * Columns: name, seconds of processor time (all of them), wall time, MB both ways.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <cczoo/psi_tee.h>

#include <pthread.h>

struct party {
    struct ccz_psi_tee *tee;
    unsigned number;
    struct ccz_chan *chan[2];
    struct ccz_psi_ids *ids;
    struct ccz_psi_tee_join_cfg cfg;
    struct ccz_psi_result *result;
    pthread_t thread[2];
};

static void *serve(void *arg)
{
    struct party *p = arg;
    must(ccz_psi_tee_serve(p->tee, p->number, p->chan[0], NULL) == CCZ_OK, "serve");
    return NULL;
}

static void *join(void *arg)
{
    struct party *p = arg;
    must(ccz_psi_tee_join(&p->result, p->chan[1], p->ids, &p->cfg, NULL) == CCZ_OK, "join");
    return NULL;
}

static struct ccz_psi_ids *make_ids(size_t len, size_t first)
{
    struct ccz_psi_ids *ids;
    struct ccz_span *spans = malloc(len * sizeof(*spans));
    char *text = malloc(len * 32);
    must(spans && text, "memory");
    for (size_t i = 0; i < len; i++) {
        int n = snprintf(text + 32 * i, 32, "customer-%zu", first + i);
        spans[i] = CCZ_SPAN(text + 32 * i, (size_t)n);
    }
    must(ccz_psi_ids_new(&ids, spans, len, NULL, NULL) == CCZ_OK, "ids");
    free(spans);
    free(text);
    return ids;
}

int main(int argc, char **argv)
{
    static struct party p[CCZ_PSI_TEE_PARTIES_MAX];
    unsigned bits = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 20;
    unsigned n = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 2;
    must(bits <= 24 && n >= 2 && n <= CCZ_PSI_TEE_PARTIES_MAX, "size");
    size_t len = (size_t)1 << bits;
    const struct ccz_psi_tee_cfg cfg = {.terms = {.parties = n}};
    struct ccz_psi_tee *tee;
    must(ccz_psi_tee_new(&tee, &cfg, NULL) == CCZ_OK, "server");
    for (unsigned i = 0; i < n; i++) {
        p[i] = (struct party){.tee = tee, .number = i, .cfg = {.terms = cfg.terms}};
        p[i].ids = make_ids(len, i * (len / 2 / n));
        must(ccz_chan_pair(&p[i].chan[0], &p[i].chan[1], NULL, NULL) == CCZ_OK, "channel");
    }
    int64_t cpu = cpu_ns(), wall = wall_ns();
    for (unsigned i = 0; i < n; i++) {
        must(pthread_create(&p[i].thread[0], NULL, serve, &p[i]) == 0, "thread");
        must(pthread_create(&p[i].thread[1], NULL, join, &p[i]) == 0, "thread");
    }
    double mb = 0;
    for (unsigned i = 0; i < n; i++) {
        must(pthread_join(p[i].thread[0], NULL) == 0 && pthread_join(p[i].thread[1], NULL) == 0,
             "thread");
        mb += (double)(p[i].result->sent_size + p[i].result->received_size) / 1e6;
    }
    printf("psi/tee/2^%u/%u\t%.3f\t%.3f\t%.1f\n", bits, n, (double)(cpu_ns() - cpu) / 1e9,
           (double)(wall_ns() - wall) / 1e9, mb);
    printf("# common %llu, peak memory %ld kB\n", (unsigned long long)p[0].result->len, peak_kb());
    for (unsigned i = 0; i < n; i++) {
        ccz_psi_result_free(p[i].result);
        ccz_psi_ids_free(p[i].ids);
        ccz_chan_free(p[i].chan[0]);
        ccz_chan_free(p[i].chan[1]);
    }
    ccz_psi_tee_free(tee);
    return 0;
}
