/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private set intersection, both parties as threads of one process.   bench_psi [LOG2 [PROTOCOL [LOG2_RECEIVER]]]
 * One line per measurement, tab separated: name, seconds of processor time (both parties), wall time, MB sent by both.
 *
 * bench_psi 20 vole         2^20 ids each, half of them common, both learn rows; then its parts
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

static void measure(unsigned senders, unsigned receivers, enum ccz_psi_protocol protocol)
{
    struct party p[2] = {{.cfg = {.role = CCZ_PSI_SENDER}}, {.cfg = {.role = CCZ_PSI_RECEIVER}}};
    size_t nx = (size_t)1 << senders, ny = (size_t)1 << receivers;
    p[0].ids = make_ids(nx, 0);
    p[1].ids = make_ids(ny, nx / 2);
    must(ccz_chan_pair(&p[0].chan, &p[1].chan, NULL, NULL) == CCZ_OK, "channel");
    int64_t start_ns = cpu_ns(), start_wall_ns = wall_ns();
    for (int i = 0; i < 2; i++) {
        p[i].cfg.protocol = protocol;
        p[i].cfg.learns = CCZ_PSI_BOTH;
        must(pthread_create(&p[i].thread, NULL, run_party, &p[i]) == 0, "thread");
    }
    for (int i = 0; i < 2; i++)
        must(pthread_join(p[i].thread, NULL) == 0, "thread");
    printf("psi/%s/2^%u/2^%u\t%.3f\t%.3f\t%.3f\n", ccz_psi_protocol_name(protocol), senders,
           receivers, (double)(cpu_ns() - start_ns) / 1e9,
           (double)(wall_ns() - start_wall_ns) / 1e9,
           (double)(p[0].result->sent_size + p[1].result->sent_size) / 1e6);
    must(p[0].result->len == p[1].result->len, "the same intersection");
    for (int i = 0; i < 2; i++) {
        ccz_chan_free(p[i].chan);
        ccz_psi_ids_free(p[i].ids);
        ccz_psi_result_free(p[i].result);
    }
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
    struct cczi_psi_item *items = malloc(len * sizeof(*items));
    struct ccz_f128 *table = calloc(okvs.len, sizeof(*table)), *v = calloc(len, sizeof(*v));
    must(items && table && v && ccz_random(items, len * sizeof(*items)) == CCZ_OK, "memory");
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
    must(cczi_okvs_keys_new(&keys, items, len, &okvs, &ro, NULL) == CCZ_OK, "keys");
    int64_t keys_ns = cpu_ns();
    must(cczi_okvs_solve(table, &okvs, keys, NULL) == CCZ_OK, "solve");
    int64_t solve_ns = cpu_ns();
    cczi_okvs_decode(v, table, &okvs, keys);
    int64_t decode_ns = cpu_ns();
    printf("psi/okvs/2^%u\tkeys %.1f\tsolve %.1f\tdecode %.1f ms\tlen %.4f\n", bits,
           (double)(keys_ns - start_ns) / 1e6, (double)(solve_ns - keys_ns) / 1e6,
           (double)(decode_ns - solve_ns) / 1e6, (double)okvs.len / (double)len);
    cczi_okvs_keys_free(keys);
    free(items);
    free(table);
    free(v);
}

int main(int argc, char **argv)
{
    unsigned bits = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 16;
    unsigned receivers = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : bits;
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
