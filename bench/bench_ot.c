/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VOLE and OT extension of two threads in one process, CPU time of each party, best and median of rounds. Columns: name, parameter, milliseconds
 * or millions per second, bytes of both directions. CCZOO_CPU chooses the tier. usage: bench_ot [len]
 */
#define _POSIX_C_SOURCE 200809L
#include <cczoo/ot.h>

#include "bench.h"

#include <pthread.h>

enum { ROUNDS = 9 };

struct party {
    struct ccz_chan *chan;
    struct ccz_ot_cfg cfg;
    size_t len;
    bool sender, random;
    struct ccz_f128 delta, *x, *y;
    uint8_t *choices;
    int64_t ns, setup_ns;
    uint64_t bytes;
};

static int64_t thread_ns(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0, "clock");
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *run_vole(void *arg)
{
    struct party *p = arg;
    int64_t start = thread_ns();
    ccz_rc rc = p->sender ? ccz_vole_send(&p->delta, p->y, p->len, p->chan, &p->cfg, NULL)
                          : ccz_vole_recv(p->x, p->y, p->len, p->chan, &p->cfg, NULL);
    must(rc == CCZ_OK, "VOLE");
    p->ns = thread_ns() - start;
    return NULL;
}

static void *run_ot(void *arg)
{
    struct party *p = arg;
    CCZ_AUTO(ccz_ot_sender) s = NULL;
    CCZ_AUTO(ccz_ot_receiver) r = NULL;
    int64_t start = thread_ns();
    ccz_rc rc = p->sender ? ccz_ot_sender_new(&s, p->chan, &p->cfg, NULL)
                          : ccz_ot_receiver_new(&r, p->chan, &p->cfg, NULL);
    must(rc == CCZ_OK, "set-up");
    p->setup_ns = thread_ns() - start;
    uint64_t before = ccz_chan_stats(p->chan).sent_size + ccz_chan_stats(p->chan).received_size;
    start = thread_ns();
    if (p->random)
        rc = p->sender ? ccz_ot_send(p->x, p->len, s, NULL)
                       : ccz_ot_recv(p->x, p->choices, p->len, r, NULL);
    else
        rc = p->sender ? ccz_cot_send(p->x, p->len, s, NULL)
                       : ccz_cot_recv(p->x, p->choices, p->len, r, NULL);
    must(rc == CCZ_OK, "OT");
    p->ns = thread_ns() - start;
    p->bytes = ccz_chan_stats(p->chan).sent_size + ccz_chan_stats(p->chan).received_size - before;
    return NULL;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void pair(struct party p[2], void *(*run)(void *))
{
    pthread_t t;
    must(ccz_chan_pair(&p[0].chan, &p[1].chan, NULL, NULL) == CCZ_OK, "channel");
    must(pthread_create(&t, NULL, run, &p[0]) == 0, "thread");
    (void)run(&p[1]);
    must(pthread_join(t, NULL) == 0, "thread");
    struct ccz_chan_stats st = ccz_chan_stats(p[0].chan);
    if (run == run_vole)
        p[0].bytes = st.sent_size + st.received_size;
    ccz_chan_free(p[0].chan);
    ccz_chan_free(p[1].chan);
}

static struct ccz_f128 *elements(size_t len)
{
    struct ccz_f128 *p = aligned_alloc(64, (len * sizeof(*p) + 63) / 64 * 64);
    must(p, "memory");
    memset(p, 1, len * sizeof(*p));
    return p;
}

static void report(const char *name, size_t len, unsigned k, const char *party, int64_t *ns,
                   bool rate, uint64_t bytes)
{
    qsort(ns, ROUNDS, sizeof(*ns), compare);
    double best = (double)ns[0], median = (double)ns[ROUNDS / 2];
    if (rate)
        printf("%s k=%u, %zu, %s, millions per second\t%.2f\t%.2f\t%llu\n", name, k, len, party,
               (double)len * 1e3 / best, (double)len * 1e3 / median, (unsigned long long)bytes);
    else
        printf("%s k=%u, %zu, %s, CPU ms\t%.2f\t%.2f\t%llu\n", name, k, len, party, best / 1e6,
               median / 1e6, (unsigned long long)bytes);
    (void)fflush(stdout);
}

static void measure(const char *name, struct party p[2], void *(*run)(void *), unsigned k,
                    bool rate)
{
    int64_t ns[2][ROUNDS], setup[2][ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
        p[0].cfg.k = p[1].cfg.k = k;
        pair(p, run);
        for (int i = 0; i < 2; i++) {
            ns[i][r] = p[i].ns;
            setup[i][r] = p[i].setup_ns;
        }
    }
    for (int i = 0; i < 2; i++) {
        const char *party = p[i].sender ? "sender" : "receiver";
        report(name, p[0].len, k, party, ns[i], rate, p[0].bytes);
        if (rate)
            report("set-up", p[0].len, k, party, setup[i], false, 0);
    }
}

int main(int argc, char **argv)
{
    size_t len = argc > 1 ? strtoull(argv[1], NULL, 10) : 1360000;
    struct party p[2] = {{.sender = true, .len = len}, {.len = len}};
    for (int i = 0; i < 2; i++) {
        p[i].x = elements(len * 2);
        p[i].y = elements(len);
    }
    p[1].choices = (uint8_t *)p[1].y;
    measure("vole", p, run_vole, 4, false);
    measure("vole", p, run_vole, 8, false);
    p[0].len = p[1].len = 4096;
    measure("vole", p, run_vole, 4, false);
    p[0].len = p[1].len = len;
    for (unsigned k = 2; k <= 8; k *= 2) {
        p[0].random = p[1].random = false;
        measure("correlated OT", p, run_ot, k, true);
        p[0].random = p[1].random = true;
        measure("random OT", p, run_ot, k, true);
    }
    for (int i = 0; i < 2; i++) {
        free(p[i].x);
        free(p[i].y);
    }
    return 0;
}
