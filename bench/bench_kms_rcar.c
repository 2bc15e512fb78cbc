/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Full exchanges of the KBS protocol per second: POST auth, POST attest with an SGX quote, GET resource, over HTTPS connections that stay open. Each
 * token and each release is on record, on disk, before it is answered; each value is opened with the key that was attested. The server (listener,
 * one worker, store) is a process of its own on one processor.
 *
 *   bench_kms_rcar [seconds [server cpu [folder]]]     default 3, 0, $TMPDIR or /tmp
 *
 * Lines:  kms-rcar  clients  exchanges/s  p50 ms  p99 ms  server CPU us per exchange  exchanges per second of server CPU
 */
#define _GNU_SOURCE
#include "../tests/unit/kms/kms_fixture.h"
#include "../tests/unit/kmsdoor/kbs_kit.h"
#include "bench.h"

#include <cczoo/kms_door_kbs.h>
#include <cczoo/tee.h>
#include <curl/curl.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLIENTS_MAX = 64, SAMPLES_MAX = 1 << 17, BODY_MAX = 65536 };

static char dir[256];
static struct shared {
    _Atomic int port, ready;
} * shared;

static const char *in_dir(const char *name)
{
    static _Thread_local char path[4][400];
    static _Thread_local unsigned next;
    char *p = path[next++ % 4];
    (void)snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
    return p;
}

static void remove_dir(void)
{
    char cmd[300];
    (void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
    (void)!system(cmd);
}

/* --------------------------------------------------------------------------------- server */

static void write_identity(void)
{
    struct ccz_key *key;
    CCZ_AUTO_BUF der;
    CCZ_AUTO_BUF pem;
    ccz_buf_init(&der, 8192);
    ccz_buf_init(&pem, 16384);
    must(ccz_key_generate(&key, CCZ_P256) == CCZ_OK, "key");
    const struct ccz_cert_cfg cert = {
        .cn = "bench", .key = key, .not_before_s = 0, .not_after_s = INT64_C(4000000000)};
    must(ccz_cert_issue(&der, &cert, NULL) == CCZ_OK, "certificate");
    ccz_pem_put(&pem, "CERTIFICATE", ccz_buf_span(&der));
    must(ccz_file_write(in_dir("tls.pem"), ccz_buf_span(&pem), 0644, CCZ_FILE_REPLACE, NULL) ==
                 CCZ_OK &&
             ccz_key_save(key, in_dir("tls.key"), NULL) == CCZ_OK,
         "identity");
    ccz_key_free(key);
}

static void make_store(const char *mrenclave_hex)
{
    const struct ccz_kms_state state = {.dir = in_dir("kms")};
    char policy[512];
    uint8_t spki[32];
    struct ccz_kms_store *s;
    fix_spki(spki, FIX_ADMIN);
    must(ccz_kms_init(&state, spki, ccz_clock_now_s(ccz_clock_system()), NULL) == CCZ_OK, "init");
    must(ccz_kms_store_open(&s, &state, NULL) == CCZ_OK, "open");
    (void)snprintf(policy, sizeof(policy),
                   "{\"version\":1,\"rules\":[{\"name\":\"us\",\"tee\":\"sgx\",\"sim\":true,"
                   "\"mrenclave\":\"%s\",\"tcb_status\":[\"UpToDate\"]}]}",
                   mrenclave_hex);
    must(fix_put_policy(s, "a/us", policy, false, NULL) == CCZ_OK, "policy");
    must(fix_put_secret(s, "a/b/c", "correct horse battery staple", "a/us", false, NULL) == CCZ_OK,
         "secret");
    ccz_kms_store_free(s);
}

static void serve(unsigned cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    must(sched_setaffinity(0, sizeof(set), &set) == 0, "no such cpu");
    struct ccz_err err = {0};
    struct ccz_kms_store *store;
    struct ccz_kms_service *service;
    struct ccz_kms_door *door;
    struct ccz_verifier *verifier;
    const struct ccz_kms_state state = {.dir = in_dir("kms")};
    must(ccz_kms_store_open(&store, &state, &err) == CCZ_OK, "open");
    const struct ccz_kms_service_cfg scfg = {
        .store = store, .clock = ccz_clock_system(), .info = {.version = "bench", .tee = "none"}};
    must(ccz_kms_service_new(&service, &scfg, &err) == CCZ_OK, "service");
    const struct ccz_verifier_cfg vcfg = {.clock = ccz_clock_system(),
                                          .trust_sim_dir = in_dir("sim/trust")};
    must(ccz_verifier_new(&verifier, &vcfg, &err) == CCZ_OK, "verifier");
    const struct ccz_kms_door_cfg dcfg = {.service = service,
                                          .clock = ccz_clock_system(),
                                          .listen = "127.0.0.1:0",
                                          .cert_file = in_dir("tls.pem"),
                                          .key_file = in_dir("tls.key"),
                                          .workers = 1,
                                          .limits = {.address_rate = 1000000,
                                                     .address_burst = 1000000,
                                                     .principal_rate = 1000000, /* one program */
                                                     .principal_burst = 1000000,
                                                     .total_rate = 1000000,
                                                     .total_burst = 1000000}};
    must(ccz_kms_door_new(&door, &dcfg, &err) == CCZ_OK, err.msg);
    const struct ccz_kms_door_kbs_cfg kcfg = {.verifier = verifier, .attestations = 1 << 19};
    must(ccz_kms_door_kbs(door, &kcfg, &err) == CCZ_OK, err.msg);
    must(ccz_kms_door_start(door, &err) == CCZ_OK, err.msg);
    shared->port = ccz_kms_door_port(door);
    for (;;)
        pause();
}

/* --------------------------------------------------------------------------------- clients */

struct client {
    pthread_t thread;
    struct ccz_attester *attester;
    uint32_t *us; /* of each exchange */
    size_t len;
};
static _Atomic bool stop, counting;

struct answer {
    char body[BODY_MAX];
    size_t size;
};

static size_t take(char *p, size_t size, size_t n, void *arg)
{
    struct answer *a = arg;
    must(a->size + size * n < BODY_MAX, "an answer is too large");
    memcpy(a->body + a->size, p, size * n);
    a->size += size * n;
    a->body[a->size] = 0;
    return size * n;
}

static void ask(CURL *c, struct answer *a, const char *path, struct ccz_span body)
{
    char url[128];
    long status = 0;
    a->size = 0;
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%d/kbs/v0/%s", shared->port, path);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, a);
    if (body.size) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)body.size);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, (const char *)body.ptr);
    } else {
        curl_easy_setopt(c, CURLOPT_HTTPGET, 1L);
    }
    must(curl_easy_perform(c) == CURLE_OK, "no answer");
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        fprintf(stderr, "%s: %ld %s\n", path, status, a->body);
        exit(1);
    }
}

static void exchange(CURL *c, struct client *me, struct answer *a, const struct ccz_jwe_key *key)
{
    static const char request[] = "{\"version\":\"0.4.0\",\"tee\":\"sgx\",\"extra-params\":\"\"}";
    char nonce[CCZ_NONCE_TEXT_SIZE + 1] = {0};
    uint8_t report_data[64];
    CCZ_AUTO_BUF quote;
    CCZ_AUTO_BUF body;
    CCZ_AUTO_BUF value;
    ccz_buf_init(&quote, CCZ_QUOTE_SIZE_MAX);
    ccz_buf_init(&body, BODY_MAX);
    ccz_buf_init(&value, 1024);
    curl_easy_setopt(c, CURLOPT_COOKIELIST, "ALL");
    ask(c, a, "auth", CCZ_SPAN(request, sizeof(request) - 1));
    memcpy(nonce, strchr(a->body, ':') + 2, CCZ_NONCE_TEXT_SIZE);
    const struct ccz_rcar_binding b = {.nonce = ccz_span_str(nonce),
                                       .tee_key = ccz_jwe_key_public(key)};
    must(ccz_rcar_report_data(report_data, &b, CCZ_SHA384, NULL) == CCZ_OK &&
             ccz_attester_quote(&quote, me->attester, report_data, NULL) == CCZ_OK,
         "quote");
    kbs_put_attestation(&body, nonce, b.tee_key, CCZ_TEE_SGX, ccz_buf_span(&quote), "null");
    ask(c, a, "attest", ccz_buf_span(&body));
    ask(c, a, "resource/a/b/c", (struct ccz_span){0});
    must(ccz_jwe_open(&value, key, CCZ_SPAN(a->body, a->size), NULL) == CCZ_OK && value.size == 28,
         "value");
}

static void *run_client(void *arg)
{
    struct client *me = arg;
    struct ccz_jwe_key *key;
    struct answer *a = malloc(sizeof(*a));
    CURL *c = curl_easy_init();
    must(a && c && ccz_jwe_key_generate(&key, CCZ_JWK_P256, NULL) == CCZ_OK, "client");
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_COOKIEFILE, "");
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
    while (!stop) {
        int64_t from = wall_ns();
        exchange(c, me, a, key);
        if (counting && me->len < SAMPLES_MAX)
            me->us[me->len++] = (uint32_t)((wall_ns() - from) / 1000);
    }
    curl_easy_cleanup(c);
    ccz_jwe_key_free(key);
    free(a);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int64_t server_cpu_ns(clockid_t clock)
{
    struct timespec t;
    must(clock_gettime(clock, &t) == 0, "clock of the server");
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void measure(size_t clients, double seconds, clockid_t clock, struct ccz_attester *attester)
{
    static struct client c[CLIENTS_MAX];
    uint32_t *all = NULL;
    size_t len = 0;
    stop = counting = false;
    for (size_t i = 0; i < clients; i++) {
        c[i] = (struct client){.attester = attester, .us = malloc(SAMPLES_MAX * sizeof(uint32_t))};
        must(c[i].us && pthread_create(&c[i].thread, NULL, run_client, &c[i]) == 0, "thread");
    }
    (void)usleep(500000); /* connections, caches */
    int64_t from = wall_ns(), cpu = server_cpu_ns(clock);
    counting = true;
    (void)usleep((useconds_t)(seconds * 1e6));
    counting = false;
    cpu = server_cpu_ns(clock) - cpu;
    int64_t wall = wall_ns() - from;
    stop = true;
    for (size_t i = 0; i < clients; i++) {
        (void)pthread_join(c[i].thread, NULL);
        all = realloc(all, (len + c[i].len + 1) * sizeof(*all));
        must(all, "memory");
        memcpy(all + len, c[i].us, c[i].len * sizeof(*all));
        len += c[i].len;
        free(c[i].us);
    }
    must(len > 0, "nothing was measured");
    qsort(all, len, sizeof(*all), by_value);
    printf("kms-rcar\t%zu\t%.0f\t%.2f\t%.2f\t%.0f\t%.0f\n", clients,
           (double)len * 1e9 / (double)wall, all[len / 2] / 1e3, all[len * 99 / 100] / 1e3,
           (double)cpu / 1e3 / (double)len, (double)len * 1e9 / (double)cpu);
    (void)fflush(stdout);
    free(all);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 3;
    unsigned cpu = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(dir, sizeof(dir), "%s/bench_kms_rcar.XXXXXX",
                   argc > 3 ? argv[3]
                   : tmp    ? tmp
                            : "/tmp");
    must(mkdtemp(dir), "folder");
    (void)atexit(remove_dir);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(shared != MAP_FAILED, "memory");
    const struct ccz_sim_cfg sim = {.now_s = ccz_clock_now_s(ccz_clock_system()) - 60};
    must(ccz_sim_init(in_dir("sim"), &sim, NULL) == CCZ_OK, "software TEE");
    struct ccz_attester *attester;
    const struct ccz_attester_cfg acfg = {.provider = "sim-sgx", .sim_dir = in_dir("sim")};
    must(ccz_attester_open(&attester, &acfg, NULL) == CCZ_OK, "attester");
    char hex[65];
    ccz_hex(hex, ccz_attester_measurement(attester).ptr, 32);
    write_identity();
    make_store(hex);
    pid_t server = fork();
    must(server >= 0, "fork");
    if (server == 0)
        serve(cpu);
    for (int i = 0; i < 1000 && shared->port == 0; i++)
        (void)usleep(10000);
    clockid_t clock;
    must(shared->port != 0 && clock_getcpuclockid(server, &clock) == 0,
         "the server does not start");
    must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK, "curl");
    static const size_t clients[] = {1, 8, 32};
    for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++)
        measure(clients[i], seconds, clock, attester);
    (void)kill(server, SIGKILL);
    (void)waitpid(server, NULL, 0);
    ccz_attester_free(attester);
    curl_global_cleanup();
    return 0;
}
