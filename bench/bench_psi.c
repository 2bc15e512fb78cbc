/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private set intersection, both parties as threads of one process.   bench_psi [LOG2 [PROTOCOL [LOG2_RECEIVER]]]
 * One line per measurement, tab separated: name, seconds of processor time (both parties), wall time, MB sent by both.
 *
 * bench_psi 20 vole         2^20 ids each, half of them common, both learn rows; then its parts
 * bench_psi peel BITS STARTS KEYS TRIALS
 *                           how many keys of the key-value store are left over when peeling ends, in segments of 2^BITS
 * Without arguments: 2^16, vole and vole-semi-honest.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include "psi/psi_priv.h"

#include <pthread.h>

struct party {
    struct ccz_chan *chan;
    struct ccz_psi_ids *ids;
    struct ccz_psi_cfg cfg;
    struct ccz_psi_result *result;
    pthread_t thread;
};

static void *run_party(void *arg)
{
    struct party *p = arg;
    struct ccz_err err = {0};
    ccz_rc rc = ccz_psi_run(&p->result, p->chan, p->ids, &p->cfg, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    must(rc == CCZ_OK, "run");
    return NULL;
}

/* "customer-<number>", numbers from @p first on. */
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
    int64_t start_ns = cpu_ns();
    must(ccz_psi_ids_new(&ids, spans, len, NULL, NULL) == CCZ_OK, "ids");
    printf("psi/ids/%zu\t%.3f\n", len, (double)(cpu_ns() - start_ns) / 1e9);
    free(spans);
    free(text);
    return ids;
}

enum { RUNS = 3 };

struct cost {
    double cpu_s, wall_s, mb;
};

/* Row r of the sender is customer r, row q of the receiver customer nx / 2 + q. */
static void check(const struct ccz_psi_result *s, const struct ccz_psi_result *r, size_t nx,
                  size_t ny)
{
    size_t common = nx - nx / 2 < ny ? nx - nx / 2 : ny;
    must(s->len == common && r->len == common && memcmp(s->digest, r->digest, 32) == 0,
         "the same intersection");
    for (size_t i = 0; i < common; i++)
        must(s->rows[i] == nx / 2 + r->rows[i], "the same customers");
}

static struct cost run_once(struct party p[2], size_t nx, size_t ny)
{
    must(ccz_chan_pair(&p[0].chan, &p[1].chan, NULL, NULL) == CCZ_OK, "channel");
    int64_t start_ns = cpu_ns(), start_wall_ns = wall_ns();
    for (int i = 0; i < 2; i++)
        must(pthread_create(&p[i].thread, NULL, run_party, &p[i]) == 0, "thread");
    for (int i = 0; i < 2; i++)
        must(pthread_join(p[i].thread, NULL) == 0, "thread");
    const struct cost c = {
        .cpu_s = (double)(cpu_ns() - start_ns) / 1e9,
        .wall_s = (double)(wall_ns() - start_wall_ns) / 1e9,
        .mb = (double)(p[0].result->sent_size + p[1].result->sent_size) / 1e6,
    };
    check(p[0].result, p[1].result, nx, ny);
    for (int i = 0; i < 2; i++) {
        ccz_chan_free(p[i].chan);
        ccz_psi_result_free(p[i].result);
    }
    return c;
}

/* RUNS times: the first one also pays for memory that the system has never given out before. */
static void measure(unsigned senders, unsigned receivers, enum ccz_psi_protocol protocol)
{
    struct party p[2] = {{.cfg = {.role = CCZ_PSI_SENDER}}, {.cfg = {.role = CCZ_PSI_RECEIVER}}};
    size_t nx = (size_t)1 << senders, ny = (size_t)1 << receivers;
    p[0].ids = make_ids(nx, 0);
    p[1].ids = make_ids(ny, nx / 2);
    for (int i = 0; i < 2; i++) {
        p[i].cfg.protocol = protocol;
        p[i].cfg.learns = CCZ_PSI_BOTH;
    }
    for (int r = 0; r < RUNS; r++) {
        struct cost c = run_once(p, nx, ny);
        printf("psi/%s/2^%u/2^%u\t%.3f\t%.3f\t%.3f\n", ccz_psi_protocol_name(protocol), senders,
               receivers, c.cpu_s, c.wall_s, c.mb);
    }
    for (int i = 0; i < 2; i++)
        ccz_psi_ids_free(p[i].ids);
}

/* Parts of a run that are this module's. */
static void parts(unsigned bits)
{
    size_t len = (size_t)1 << bits;
    struct cczi_okvs okvs;
    struct cczi_okvs_keys *keys;
    struct cczi_ro ro;
    uint8_t key[32] = {1};
    cczi_okvs_params(&okvs, len);
    struct cczi_psi_rec *items = malloc(len * sizeof(*items));
    struct cczi_digest *work = malloc(len * sizeof(*work));
    struct ccz_f128 *table = calloc(okvs.len, sizeof(*table)), *v = calloc(len, sizeof(*v));
    must(items && work && table && v && ccz_random(items, len * sizeof(*items)) == CCZ_OK,
         "memory");
    cczi_ro_init(&ro, "bench", key);
    for (int i = 0; i <= (int)ccz_cpu()->best; i++) {
        struct cczi_digest *d = malloc(len * sizeof(*d));
        must(d, "memory");
        memset(d, 1, len * sizeof(*d));
        int64_t start_ns = cpu_ns();
        cczi_ro_hash_tier(d, &ro, (const uint8_t(*)[32])items, len / 2, (enum ccz_cpu_tier)i);
        printf("psi/oracle/%s\t%.1f ns\n", ccz_cpu_tier_name((enum ccz_cpu_tier)i),
               2 * (double)(cpu_ns() - start_ns) / (double)len);
        free(d);
    }
    int64_t start_ns = cpu_ns();
    must(cczi_okvs_keys_new(&keys, items, len, &okvs, &ro, work, NULL) == CCZ_OK, "keys");
    int64_t keys_ns = cpu_ns();
    must(cczi_okvs_solve(table, NULL, &okvs, keys, NULL) == CCZ_OK, "solve");
    int64_t solve_ns = cpu_ns();
    cczi_okvs_decode(v, table, &okvs, keys);
    int64_t decode_ns = cpu_ns();
    printf("psi/okvs/2^%u\tkeys %.1f\tsolve %.1f\tdecode %.1f ms\tlen %.4f\n", bits,
           (double)(keys_ns - start_ns) / 1e6, (double)(solve_ns - keys_ns) / 1e6,
           (double)(decode_ns - solve_ns) / 1e6, (double)okvs.len / (double)len);
    cczi_okvs_keys_free(keys);
    free(items);
    free(work);
    free(table);
    free(v);
}

/* Trials with fresh keys: how often 0, 1, .. keys needed the dense part, and how often more than 16. */
static void peel(unsigned bits, uint32_t starts, size_t len, size_t trials)
{
    struct cczi_okvs okvs = {.seg_bits = bits, .starts = starts};
    struct cczi_ro ro;
    uint8_t key[32];
    size_t gaps[18] = {0}, gap;
    okvs.sparse_len = ((size_t)starts + 2) << bits;
    okvs.len = okvs.sparse_len + CCZI_OKVS_DENSE;
    struct cczi_psi_rec *items = calloc(len, sizeof(*items));
    struct cczi_digest *work = malloc(len * sizeof(*work));
    struct ccz_f128 *table = malloc(okvs.len * sizeof(*table));
    must(items && work && table, "memory");
    for (size_t i = 0; i < len; i++)
        items[i].b[0] = (uint8_t)i, items[i].b[1] = (uint8_t)(i >> 8),
        items[i].b[2] = (uint8_t)(i >> 16);
    for (size_t t = 0; t < trials; t++) {
        struct cczi_okvs_keys *keys;
        must(ccz_random(key, sizeof(key)) == CCZ_OK, "randomness");
        cczi_ro_init(&ro, "bench", key);
        must(cczi_okvs_keys_new(&keys, items, len, &okvs, &ro, work, NULL) == CCZ_OK, "keys");
        ccz_rc rc = cczi_okvs_solve(table, &gap, &okvs, keys, NULL);
        gaps[rc == CCZ_OK ? gap : 17]++;
        cczi_okvs_keys_free(keys);
    }
    printf("psi/peel/2^%u/%u/%zu\tload %.4f\tof %zu:", bits, starts, len,
           (double)len / (double)((size_t)starts << bits), trials);
    for (int i = 0; i < 18; i++)
        printf(" %zu", gaps[i]);
    printf("\n");
    free(items);
    free(work);
    free(table);
}

static unsigned long number(const char *text)
{
    return strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "peel") == 0) {
        peel((unsigned)number(argv[2]), (uint32_t)number(argv[3]), number(argv[4]),
             number(argv[5]));
        return 0;
    }
    unsigned bits = argc > 1 ? (unsigned)number(argv[1]) : 16;
    unsigned receivers = argc > 3 ? (unsigned)number(argv[3]) : bits;
    must(bits >= 1 && bits <= 28 && receivers >= 1 && receivers <= 28, "size");
    if (argc > 2) {
        enum ccz_psi_protocol p = ccz_psi_protocol_from(argv[2]);
        must(p != CCZ_PSI_PROTOCOLS, "no such protocol");
        measure(bits, receivers, p);
    } else {
        measure(bits, receivers, CCZ_PSI_VOLE);
        measure(bits, receivers, CCZ_PSI_VOLE_SEMI_HONEST);
    }
    parts(bits);
    printf("# peak memory %ld kB\n", peak_kb());
    return 0;
}
