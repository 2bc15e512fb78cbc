/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unary echo calls per second through client and server of module rpc over 127.0.0.1, both in this
 * process: one connection, one server thread, one client thread. TLS without attestation and RA-TLS
 * with session evidence do the same work once connected.
 *
 *   bench_rpc [seconds [bulk]]     bulk: only RA-TLS with messages of 1 MiB
 * Lines: name, profile, size, streams, calls/s, p50 us, p99 us, CPU us per call
 *
 * The last column (both ends together) is the one to compare on a machine that does other things too.
 */
#define _DEFAULT_SOURCE
#include "../tests/unit/ratls/toy_evidence.h"

#include <cczoo/rpc.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SAMPLES_MAX = 1 << 20, STREAMS_MAX = 64 };

struct run;
struct lane { /* one call at a time; its answer starts the next */
    struct run *run;
    int64_t from_ns;
};
struct run {
    struct ccz_rpc_client *client;
    struct ccz_span body;
    int64_t end_ns;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned alive;
    size_t calls;
    float *us;
    struct lane lane[STREAMS_MAX];
};

static void stop(const char *what)
{
    fprintf(stderr, "error: %s\n", what);
    exit(1);
}

static void echo(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg;
    ccz_rpc_reply(call, request);
}

static void start(struct lane *l);

static void on_done(void *arg, struct ccz_span response, const struct ccz_rpc_result *res,
                    const struct ccz_err *err)
{
    struct lane *l = arg;
    struct run *r = l->run;
    int64_t now = ccz_mono_ns();
    if (err || res->code != CCZ_RPC_OK || response.size != r->body.size)
        stop("call failed");
    if (r->calls < SAMPLES_MAX)
        r->us[r->calls] = (float)(now - l->from_ns) / 1e3f;
    r->calls++;
    if (now < r->end_ns) {
        start(l);
        return;
    }
    pthread_mutex_lock(&r->lock);
    r->alive--;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

static void start(struct lane *l)
{
    l->from_ns = ccz_mono_ns();
    if (ccz_rpc_unary_async(l->run->client, "/b.B/Echo", l->run->body, NULL, on_done, l) != CCZ_OK)
        stop("no call");
}

static double cpu_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void measure(struct ccz_rpc_client *client, const char *profile, size_t size,
                    unsigned streams, double seconds)
{
    uint8_t *body = calloc(1, size);
    struct run *r = calloc(1, sizeof(*r));
    if (!body || !r || !(r->us = malloc(SAMPLES_MAX * sizeof(float))))
        stop("memory");
    r->client = client;
    r->body = CCZ_SPAN(body, size);
    r->alive = streams;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    double cpu = cpu_s();
    int64_t from = ccz_mono_ns();
    r->end_ns = from + (int64_t)(seconds * 1e9);
    for (unsigned i = 0; i < streams; i++) {
        r->lane[i].run = r;
        start(&r->lane[i]);
    }
    pthread_mutex_lock(&r->lock);
    while (r->alive)
        pthread_cond_wait(&r->changed, &r->lock);
    pthread_mutex_unlock(&r->lock);
    double took = (double)(ccz_mono_ns() - from) / 1e9;
    cpu = cpu_s() - cpu;
    size_t n = r->calls < SAMPLES_MAX ? r->calls : SAMPLES_MAX;
    qsort(r->us, n, sizeof(float), by_value);
    printf("rpc-unary\t%s\t%zu\t%u\t%.0f\t%.0f\t%.0f\t%.1f\n", profile, size, streams,
           (double)r->calls / took, (double)r->us[n / 2], (double)r->us[n * 99 / 100],
           1e6 * cpu / (double)r->calls);
    fflush(stdout);
    free(r->us);
    free(r);
    free(body);
}

static void measure_profile(enum ccz_ratls_profile profile, const char *name, double seconds,
                            bool bulk_only)
{
    static const char *const h2[] = {"h2", NULL};
    bool session = profile == CCZ_RATLS_SESSION;
    struct toy toy = {0};
    struct ccz_ratls_cfg cfg = {.profile = profile,
                                .server = true,
                                .now_s = ccz_clock_now_s(ccz_clock_system()),
                                .attest = session ? toy_attest : NULL,
                                .attest_arg = &toy,
                                .appraise = session ? toy_appraise : NULL,
                                .appraise_arg = &toy,
                                .alpn = session ? NULL : h2};
    CCZ_AUTO(ccz_ratls_ctx) server_ctx = NULL;
    CCZ_AUTO(ccz_ratls_ctx) client_ctx = NULL;
    CCZ_AUTO(ccz_rpc_server) server = NULL;
    CCZ_AUTO(ccz_rpc_client) client = NULL;
    char target[32];
    if (ccz_ratls_ctx_new(&server_ctx, &cfg, NULL) != CCZ_OK)
        stop("server context");
    cfg.server = false;
    if (ccz_ratls_ctx_new(&client_ctx, &cfg, NULL) != CCZ_OK)
        stop("client context");
    struct ccz_rpc_server_cfg scfg = {.listen = "127.0.0.1:0", .ratls = server_ctx};
    if (ccz_rpc_server_new(&server, &scfg, NULL) != CCZ_OK ||
        ccz_rpc_server_add_unary(server, "/b.B/Echo", echo, NULL) != CCZ_OK ||
        ccz_rpc_server_start(server, NULL) != CCZ_OK)
        stop("server");
    (void)snprintf(target, sizeof(target), "127.0.0.1:%u", ccz_rpc_server_port(server));
    struct ccz_rpc_client_cfg ccfg = {.target = target, .ratls = client_ctx};
    if (ccz_rpc_client_new(&client, &ccfg, NULL) != CCZ_OK ||
        ccz_rpc_client_connect(NULL, client, NULL) != CCZ_OK)
        stop("client");
    for (unsigned streams = 1; streams <= 64 && !bulk_only; streams *= 8)
        measure(client, name, 1024, streams, seconds);
    measure(client, name, 1 << 20, 4, seconds);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1.0;
    bool bulk_only = argc > 2 && strcmp(argv[2], "bulk") == 0;
    if (!bulk_only)
        measure_profile(CCZ_RATLS_TLS_ONLY_INSECURE, "tls", seconds, false);
    measure_profile(CCZ_RATLS_SESSION, "ra-tls", seconds, bulk_only);
    return 0;
}
