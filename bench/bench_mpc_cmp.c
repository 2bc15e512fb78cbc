/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparisons of two parties, one thread each, over a channel in memory. Tab-separated: operation, ring, engine of the OTs, elements;
 * bytes of both directions together: set-up, OTs, online; rounds online; milliseconds, median of runs: wall clock from a new
 * session to the result, of it set-up, OTs, online; processor time of each party. CCZOO_CPU chooses the tier.
 * usage: bench_mpc_cmp [len [runs [operation]]]
 */
#define _POSIX_C_SOURCE 200809L
#include <cczoo/mpc_cmp.h>

#include "bench.h"

#include <pthread.h>

enum { RUNS_MAX = 99, TIMES = 6 };

static const char *const ops[] = {"relu",
                                  "drelu",
                                  "equal",
                                  "mux",
                                  "b2a",
                                  "a2b",
                                  "trunc faithful",
                                  "trunc one-bit",
                                  "trunc faithful, range",
                                  "trunc one-bit, range",
                                  "argmax of 16"};
enum { OPS = sizeof(ops) / sizeof(ops[0]) };

struct party {
    struct ccz_chan *chan;
    struct ccz_mpc_cfg cfg;
    size_t len, op;
    uint64_t *share;
    struct ccz_mpc_stats stats;
    int64_t wall_ns, cpu_ns;
};

static int64_t thread_ns(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0, "clock");
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static ccz_rc call(struct ccz_mpc_tensor **out, const struct party *p,
                   const struct ccz_mpc_tensor *x, const struct ccz_mpc_tensor *b)
{
    struct ccz_mpc_tensor *index = NULL;
    ccz_rc rc = CCZ_E_ARG;
    switch (p->op) {
    case 0:
        return ccz_mpc_relu(out, NULL, x, NULL);
    case 1:
        return ccz_mpc_drelu(out, x, NULL);
    case 2:
        return ccz_mpc_equal(out, x, x, NULL);
    case 3:
        return ccz_mpc_mux(out, b, x, NULL);
    case 4:
        return ccz_mpc_b2a(out, b, NULL);
    case 5:
        return ccz_mpc_a2b(out, x, NULL);
    case 6:
    case 7:
    case 8:
    case 9:
        return ccz_mpc_truncate_as(out, x, 12, p->op < 8 ? CCZ_MPC_RANGE_ANY : CCZ_MPC_RANGE_HALF,
                                   p->op % 2 ? CCZ_MPC_TRUNC_ONE_BIT : CCZ_MPC_TRUNC_FAITHFUL,
                                   NULL);
    default:
        rc = ccz_mpc_max(out, &index, x, NULL);
        ccz_mpc_tensor_free(index);
        return rc;
    }
}

static void *run_party(void *arg)
{
    struct party *p = arg;
    CCZ_AUTO(ccz_mpc) m = NULL;
    CCZ_AUTO(ccz_mpc_tensor) x = NULL;
    CCZ_AUTO(ccz_mpc_tensor) b = NULL;
    CCZ_AUTO(ccz_mpc_tensor) out = NULL;
    struct ccz_mpc_shape shape = CCZ_MPC_SHAPE1(p->len);
    if (p->op == OPS - 1)
        shape = CCZ_MPC_SHAPE2(p->len / 16, 16);
    int64_t wall = wall_ns(), cpu = thread_ns();
    must(ccz_mpc_new(&m, p->chan, &p->cfg, NULL) == CCZ_OK, "session");
    must(ccz_mpc_import(&x, m, CCZ_MPC_SHARED, shape, 12, p->share, NULL) == CCZ_OK, "shares");
    must(ccz_mpc_import(&b, m, CCZ_MPC_BITS, shape, 0, p->share, NULL) == CCZ_OK, "bits");
    must(call(&out, p, x, b) == CCZ_OK, "operation");
    p->wall_ns = wall_ns() - wall;
    p->cpu_ns = thread_ns() - cpu;
    p->stats = ccz_mpc_stats(m);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double median_ms(int64_t *ns, size_t runs)
{
    qsort(ns, runs, sizeof(*ns), compare);
    return (double)ns[runs / 2] / 1e6;
}

static uint64_t bytes(const struct party *p, int phase)
{
    return p->stats.phase[phase].sent_size + p->stats.phase[phase].received_size;
}

static void measure(struct party p[2], size_t runs)
{
    static int64_t ns[TIMES][RUNS_MAX];
    for (size_t r = 0; r < runs; r++) {
        pthread_t t;
        must(ccz_chan_pair(&p[0].chan, &p[1].chan, NULL, NULL) == CCZ_OK, "channel");
        must(pthread_create(&t, NULL, run_party, &p[0]) == 0, "thread");
        (void)run_party(&p[1]);
        must(pthread_join(t, NULL) == 0, "thread");
        for (int i = 0; i < 2; i++)
            ccz_chan_free(p[i].chan);
        ns[0][r] = p[0].wall_ns > p[1].wall_ns ? p[0].wall_ns : p[1].wall_ns;
        for (int phase = 0; phase < CCZ_MPC_PHASES; phase++)
            ns[1 + phase][r] = p[0].stats.phase[phase].time_ns;
        ns[4][r] = p[0].cpu_ns;
        ns[5][r] = p[1].cpu_ns;
    }
    printf("%s\t%u\t%s\t%zu\t%llu\t%llu\t%llu\t%llu", ops[p->op], p->cfg.ring_bits,
           p->cfg.ot == CCZ_MPC_OT_SILENT ? "silent" : "softspoken", p->len,
           (unsigned long long)bytes(p, CCZ_MPC_SETUP),
           (unsigned long long)bytes(p, CCZ_MPC_OFFLINE),
           (unsigned long long)bytes(p, CCZ_MPC_ONLINE),
           (unsigned long long)p->stats.phase[CCZ_MPC_ONLINE].rounds);
    for (int i = 0; i < TIMES; i++)
        printf("\t%.1f", median_ms(ns[i], runs));
    printf("\n");
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    size_t len = argc > 1 ? strtoull(argv[1], NULL, 10) : 65536;
    size_t runs = argc > 2 ? strtoull(argv[2], NULL, 10) : 5;
    struct party p[2] = {{.len = len}, {.len = len}};
    must(len >= 16 && len % 16 == 0 && runs >= 1 && runs <= RUNS_MAX, "usage");
    for (unsigned i = 0; i < 2; i++) {
        uint64_t state = 12345 + i;
        p[i].share = calloc(len, sizeof(*p[i].share));
        must(p[i].share, "memory");
        for (size_t e = 0; e < len; e++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            p[i].share[e] = state >> 32 | state << 32;
        }
    }
    for (size_t op = 0; op < OPS; op++)
        for (unsigned k = 32; k <= 64; k *= 2)
            for (int silent = 0; silent < 2; silent++) {
                if (argc > 3 && strcmp(argv[3], ops[op]) != 0)
                    continue;
                for (unsigned i = 0; i < 2; i++) {
                    p[i].op = op;
                    p[i].cfg = (struct ccz_mpc_cfg){.role = i,
                                                    .ring_bits = k,
                                                    .ot = silent ? CCZ_MPC_OT_SILENT
                                                                 : CCZ_MPC_OT_SOFTSPOKEN};
                }
                measure(p, runs);
            }
    free(p[0].share);
    free(p[1].share);
    return 0;
}
