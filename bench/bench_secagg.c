/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secure aggregation beside plain aggregation, all parties in one process and one thread: CPU time of each part of a round.
 *   bench_secagg [CLIENTS PARAMETERS DROPPED [DEGREE THRESHOLD]]      100 1000000 10 by default; degree by ccz_secagg_choose()
 * One line per number, tab separated. `client` is one client's share of the round, `server` the server's.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <cczoo/secagg.h>
#include <math.h>

static uint32_t members, dropped;
static size_t len;
static struct ccz_secagg_cfg cfg;
static struct ccz_secagg_client **client;
static struct ccz_secagg_server *server;
static struct ccz_secagg_quant quant;
static float *update;
static uint32_t *y, *sum;
static int64_t client_ns, server_ns; /* of all clients, of the server */
static uint64_t client_bytes;

/* Of client i: any numbers, the same in both runs. */
static void train(uint32_t i)
{
    for (size_t j = 0; j < len; j++)
        update[j] = (float)((j * 2654435761u + i * 40503u) & 0xffff) * (1 / 65536.f) - 0.5f;
}

/* What a server does with plain updates: staged, then added with their weight. */
static int64_t plain(float *acc)
{
    int64_t ns = 0;
    float *staged = (float *)(void *)y;
    memset(acc, 0, len * sizeof(*acc));
    for (uint32_t i = dropped; i < members; i++) {
        train(i);
        int64_t start = cpu_ns();
        memcpy(staged, update, len * sizeof(*staged));
        for (size_t j = 0; j < len; j++)
            acc[j] += staged[j];
        ns += cpu_ns() - start;
    }
    return ns;
}

/* CPU time since the last lap goes to one of the parties, or to nobody. */
static void lap(int64_t *to)
{
    static int64_t last;
    int64_t now = cpu_ns();
    if (to)
        *to += now - last;
    last = now;
}

static void deliver(uint32_t i)
{
    lap(&client_ns);
    train(i);
    lap(NULL);
    must(ccz_secagg_quantize(y, NULL, update, len, 1, &quant, NULL) == CCZ_OK &&
             ccz_secagg_client_mask(y, client[i], 0, len, NULL) == CCZ_OK,
         "mask");
    lap(&client_ns);
    ccz_secagg_add(sum, y, len);
    must(ccz_secagg_server_uploaded(server, i, NULL) == CCZ_OK, "uploaded");
    lap(&server_ns);
}

static void phase(void)
{
    struct ccz_buf msg, out;
    ccz_buf_init(&msg, 1 << 26);
    ccz_buf_init(&out, 1 << 26);
    enum ccz_secagg_phase p = ccz_secagg_server_phase(server);
    lap(NULL);
    for (uint32_t i = 0; i < members; i++) {
        if (!ccz_secagg_server_waits(server, i) || (p == CCZ_SECAGG_INPUT && i < dropped))
            continue;
        ccz_buf_clear(&msg);
        ccz_buf_clear(&out);
        if (p != CCZ_SECAGG_KEYS)
            must(ccz_secagg_server_output(&msg, server, i, NULL) == CCZ_OK, "output");
        lap(&server_ns);
        must(ccz_secagg_client_step(&out, client[i], ccz_buf_span(&msg), NULL) == CCZ_OK, "step");
        lap(&client_ns);
        client_bytes += msg.size + out.size;
        if (p == CCZ_SECAGG_INPUT)
            deliver(i);
        else
            must(ccz_secagg_server_input(server, i, ccz_buf_span(&out), NULL) == CCZ_OK, "input");
        lap(&server_ns);
    }
    must(ccz_secagg_server_next(server, NULL) == CCZ_OK, "next");
    lap(&server_ns);
    ccz_buf_free(&msg);
    ccz_buf_free(&out);
}

/* The sum of the vectors that were delivered, in integers. */
static void check_sum(void)
{
    uint32_t *want = calloc(len, sizeof(*want));
    must(want, "memory");
    for (uint32_t i = dropped; i < members; i++) {
        train(i);
        must(ccz_secagg_quantize(y, NULL, update, len, 1, &quant, NULL) == CCZ_OK, "quantize");
        ccz_secagg_add(want, y, len);
    }
    must(memcmp(want, sum, len * sizeof(*sum)) == 0, "the sum is not exact");
    free(want);
}

static void parameters(int argc, char **argv)
{
    struct ccz_secagg_choice c = {.degree = argc > 5 ? (uint32_t)atoi(argv[4]) : 0,
                                  .threshold = argc > 5 ? (uint32_t)atoi(argv[5]) : 0};
    members = argc > 3 ? (uint32_t)atoi(argv[1]) : 100;
    len = argc > 3 ? (size_t)atoll(argv[2]) : 1000000;
    dropped = argc > 3 ? (uint32_t)atoi(argv[3]) : 10;
    if (argc <= 5)
        must(ccz_secagg_choose(&c, members, members / 20, dropped, 0, 0, NULL) == CCZ_OK,
             "no degree for so many; give degree 0 and a threshold");
    cfg = (struct ccz_secagg_cfg){.members = members,
                                  .degree = c.degree,
                                  .threshold = c.threshold,
                                  .attested_server = true,
                                  .len = len};
    quant = (struct ccz_secagg_quant){1, members};
    client = calloc(members, sizeof(struct ccz_secagg_client *));
    update = malloc(len * sizeof(*update));
    y = malloc(len * sizeof(*y));
    sum = calloc(len, sizeof(*sum));
    must(client && update && y && sum, "memory");
}

int main(int argc, char **argv)
{
    parameters(argc, argv);
    float *acc = malloc(len * sizeof(*acc));
    must(acc, "memory");
    (void)plain(acc);
    int64_t plain_ns = plain(acc);
    must(ccz_secagg_server_new(&server, &cfg, NULL, NULL) == CCZ_OK, "server");
    lap(NULL);
    for (uint32_t i = 0; i < members; i++) {
        const struct ccz_secagg_client_cfg c = {.round = cfg, .self = i};
        must(ccz_secagg_client_new(&client[i], &c, NULL) == CCZ_OK, "client");
    }
    lap(&client_ns);
    while (ccz_secagg_server_phase(server) < CCZ_SECAGG_UNMASK)
        phase();
    lap(&server_ns);
    int64_t before = server_ns;
    must(ccz_secagg_server_unmask(sum, server, 0, len, NULL) == CCZ_OK, "unmask");
    lap(&server_ns);
    int64_t unmask_ns = server_ns - before;
    check_sum();
    struct ccz_secagg_stats st;
    ccz_secagg_server_stats(&st, server);
    printf("members\t%u\tdropped\t%u\tdegree\t%u\tthreshold\t%u\tparameters\t%zu\n", members,
           dropped, st.degree, cfg.threshold, len);
    printf("plain server ms\t%.2f\n", (double)plain_ns / 1e6);
    printf("server ms\t%.2f\tof which unmask\t%.2f\n", (double)server_ns / 1e6,
           (double)unmask_ns / 1e6);
    printf("client ms\t%.2f\n", (double)client_ns / 1e6 / members);
    double vector = (double)len * 4, extra = (double)client_bytes / members;
    printf("bytes of a client\tplain\t%.0f\tsecure\t%.0f\tratio\t%.4f\n", 2 * vector,
           2 * vector + extra, 1 + extra / (2 * vector));
    double gb = (double)(st.degree + 1) * vector / 1e9;
    printf("masks of a client GB\t%.3f\tmasks of the server GB\t%.3f\n", gb,
           (double)st.masks * vector / 1e9);
    return 0;
}
