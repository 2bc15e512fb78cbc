/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Releases per second, each durable (its audit line is on disk) before it is answered, over gRPC inside four RA-TLS
 * connections that stay open. The server is a process of its own on one processor, the client on another.
 *
 *   bench_kms [seconds [server cpu, client cpu [folder [database]]]]     default 3, 0, 1, $TMPDIR or /tmp, SQLite
 *
 * A database is an empty one of PostgreSQL, as for cczoo-kmsd --database; what PostgreSQL itself takes is not in the server's CPU.
 *
 * Lines:  kms-release  streams  releases/s  p50 ms  p99 ms  server CPU us per release  releases per commit
 *         kms-keys     the same, each stream for a key of its own
 *         kms-half     releases/s asked for, then the same columns: half of the bar of 5,000, then half of the best rate
 *                      above; calls started by the clock whatever the answers do, latency counted from when a call was due
 *         kms-fsync    of a file beside the store, 4 KiB written and synced, one at a time: per second, p50 ms, p99 ms
 */
#define _GNU_SOURCE
#include "../tests/unit/kms/kms_fixture.h"
#include "bench.h"
#include "kms_pg/kms_pg.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAMPLES_MAX = 1 << 20, CONNECTIONS = 4, STREAMS_MAX = 400, BAR_RATE = 5000 };

static char dir[256];
static struct ccz_kms_state state = {.dir = dir};

static void remove_dir(void)
{
    char cmd[300];
    (void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
    (void)!system(cmd);
}

static void pin(unsigned cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    must(sched_setaffinity(0, sizeof(set), &set) == 0, "no such cpu");
}

/* --------------------------------------------------------------------------- server */

static ccz_rc attest(void *arg, struct ccz_buf *quote, const uint8_t report_data[64],
                     struct ccz_err *err)
{
    (void)arg, (void)err;
    ccz_buf_put(quote, report_data, 64);
    return CCZ_OK;
}

static ccz_rc appraise(void *arg, struct ccz_claims *claims, struct ccz_span quote,
                       struct ccz_err *err)
{
    (void)arg, (void)err;
    must(quote.size == 64, "quote");
    *claims = fix_peer(FIX_WORKLOAD).claims;
    memcpy(claims->report_data, quote.ptr, 64);
    return CCZ_OK;
}

static int64_t fixed_now(void *arg)
{
    (void)arg;
    return FIX_NOW;
}

/* What the server tells the client while it runs. */
static struct shared {
    _Atomic int port;
    _Atomic int64_t cpu_ns, batches, calls;
} * shared;

static ccz_rc count_batch(void *arg, struct ccz_kms_store *s, struct cczi_kms_entry *entries,
                          size_t len, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_sign_batch(arg, s, entries, len, err); /* as without a bench */
    shared->batches++;
    shared->calls += (int64_t)len;
    shared->cpu_ns = cpu_ns();
    return rc;
}

static void make_store(void)
{
    uint8_t spki[32];
    struct ccz_kms_store *s;
    fix_spki(spki, FIX_ADMIN);
    must(ccz_kms_init(&state, spki, FIX_NOW, NULL) == CCZ_OK, "init");
    must(ccz_kms_store_open(&s, &state, NULL) == CCZ_OK, "open");
    fix_populate(s);
    for (unsigned i = 0; i < STREAMS_MAX; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "model-%u", i);
        must(fix_create_key(s, name, "aes-128", ccz_span_str("0123456789abcdef"), "server", NULL) ==
                 CCZ_OK,
             "key");
    }
    ccz_kms_store_free(s);
}

static void serve(unsigned cpu)
{
    pin(cpu);
    struct ccz_kms_store *store;
    struct ccz_kms_service *service;
    struct ccz_ratls_ctx *ratls;
    struct ccz_rpc_server *rpc;
    must(ccz_kms_store_open(&store, &state, NULL) == CCZ_OK, "open");
    store->on_batch = count_batch;
    const struct ccz_kms_service_cfg cfg = {
        .store = store,
        .clock = {fixed_now, NULL},
        .info = {"bench", "toy", true, FIX_NOW, 0},
        .rates = {.address_rate = CCZ_KMS_RATE_MAX, /* the store is measured, not its limits */
                  .principal_rate = CCZ_KMS_RATE_MAX,
                  .total_rate = CCZ_KMS_RATE_MAX}};
    must(ccz_kms_service_new(&service, &cfg, NULL) == CCZ_OK, "service");
    const struct ccz_ratls_cfg rcfg = {.server = true,
                                       .now_s = FIX_NOW,
                                       .attest = attest,
                                       .appraise = appraise,
                                       .peer_evidence_optional = true,
                                       .pin = ccz_kms_service_pin,
                                       .pin_arg = service};
    must(ccz_ratls_ctx_new(&ratls, &rcfg, NULL) == CCZ_OK, "ratls");
    const struct ccz_rpc_server_cfg scfg = {.listen = "127.0.0.1:0", .ratls = ratls};
    must(ccz_rpc_server_new(&rpc, &scfg, NULL) == CCZ_OK &&
             ccz_kms_service_add(service, rpc) == CCZ_OK &&
             ccz_rpc_server_start(rpc, NULL) == CCZ_OK,
         "server");
    shared->port = ccz_rpc_server_port(rpc);
    for (;;)
        (void)pause();
}

/* --------------------------------------------------------------------------- client */

struct run;
struct lane { /* one call at a time */
    struct run *run;
    struct ccz_rpc_client *client;
    struct ccz_buf body;
    int64_t from_ns;
};
struct run {
    int64_t end_ns; /* closed loop: the answer starts the next call until then; 0 = open loop */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t alive, calls;
    float *ms;
    struct lane lane[STREAMS_MAX];
    struct lane *idle[STREAMS_MAX];
    size_t idle_len;
};

static void start(struct lane *l);

static void on_done(void *arg, struct ccz_span response, const struct ccz_rpc_result *res,
                    const struct ccz_err *err)
{
    struct lane *l = arg;
    struct run *r = l->run;
    int64_t now = wall_ns();
    must(!err && res->code == CCZ_RPC_OK && response.size > 16, "a release failed");
    pthread_mutex_lock(&r->lock);
    if (r->calls < SAMPLES_MAX)
        r->ms[r->calls] = (float)(now - l->from_ns) / 1e6f;
    r->calls++;
    bool again = now < r->end_ns;
    if (!again) {
        r->alive--;
        r->idle[r->idle_len++] = l;
        pthread_cond_signal(&r->changed);
    }
    pthread_mutex_unlock(&r->lock);
    if (again) {
        l->from_ns = now;
        start(l);
    }
}

static void start(struct lane *l)
{
    must(ccz_rpc_unary_async(l->client, CCZI_KMS_SERVICE "Release", ccz_buf_span(&l->body), NULL,
                             on_done, l) == CCZ_OK,
         "no call");
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Calls that fall due every 1e9 / rate ns. A call without a free stream waits for one, and its clock runs. */
static void pace(struct run *r, double rate, double seconds)
{
    int64_t from = wall_ns(), n = (int64_t)(rate * seconds);
    for (int64_t i = 0; i < n; i++) {
        int64_t due = from + (int64_t)((double)i * 1e9 / rate), wait = due - wall_ns();
        if (wait > 0)
            (void)nanosleep(
                &(struct timespec){.tv_sec = wait / 1000000000, .tv_nsec = wait % 1000000000},
                NULL);
        pthread_mutex_lock(&r->lock);
        while (r->idle_len == 0)
            pthread_cond_wait(&r->changed, &r->lock);
        struct lane *l = r->idle[--r->idle_len];
        r->alive++;
        pthread_mutex_unlock(&r->lock);
        l->from_ns = due;
        start(l);
    }
}

static void ask_for(struct lane *l, const char *item)
{
    const struct cczi_msg_release_req req = {ccz_span_str(item), 0};
    ccz_buf_init(&l->body, 256);
    cczi_msg_put(&l->body, cczi_msg_release_req, &req);
}

/* @param many  a key for each stream */
static double measure(struct ccz_rpc_client *const client[CONNECTIONS], unsigned streams, bool many,
                      double rate, double seconds)
{
    struct run *r = calloc(1, sizeof(*r));
    must(r && (r->ms = malloc(SAMPLES_MAX * sizeof(float))), "memory");
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    int64_t cpu = shared->cpu_ns, batches = shared->batches, calls = shared->calls,
            from = wall_ns();
    for (unsigned i = 0; i < streams; i++) {
        r->lane[i] = (struct lane){.run = r, .client = client[i % CONNECTIONS]};
        r->idle[r->idle_len++] = &r->lane[i];
        char item[32] = "key/model";
        if (many)
            (void)snprintf(item, sizeof(item), "key/model-%u", i);
        ask_for(&r->lane[i], item);
    }
    if (rate > 0) {
        pace(r, rate, seconds);
    } else {
        r->end_ns = from + (int64_t)(seconds * 1e9);
        r->alive = streams;
        r->idle_len = 0;
        for (unsigned i = 0; i < streams; i++) {
            r->lane[i].from_ns = wall_ns();
            start(&r->lane[i]);
        }
    }
    pthread_mutex_lock(&r->lock);
    while (r->alive)
        pthread_cond_wait(&r->changed, &r->lock);
    pthread_mutex_unlock(&r->lock);
    double took = (double)(wall_ns() - from) / 1e9, got = (double)r->calls / took;
    calls = shared->calls - calls;
    size_t n = r->calls < SAMPLES_MAX ? r->calls : SAMPLES_MAX;
    qsort(r->ms, n, sizeof(float), by_value);
    if (rate > 0)
        printf("kms-half\t%.0f\t", rate);
    else
        printf("%s\t%u\t", many ? "kms-keys" : "kms-release", streams);
    printf("%.0f\t%.2f\t%.2f\t%.1f\t%.1f\n", got, (double)r->ms[n / 2], (double)r->ms[n * 99 / 100],
           (double)(shared->cpu_ns - cpu) / 1e3 / (double)calls,
           (double)calls / (double)(shared->batches - batches));
    (void)fflush(stdout);
    for (unsigned i = 0; i < streams; i++)
        ccz_buf_free(&r->lane[i].body);
    free(r->ms);
    free(r);
    return got;
}

static void measure_fsync(double seconds)
{
    char path[300];
    static const char page[4096];
    (void)snprintf(path, sizeof(path), "%s/fsync", dir);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    float *ms = malloc(SAMPLES_MAX * sizeof(float));
    must(fd >= 0 && ms, "file");
    size_t n = 0;
    int64_t from = wall_ns(), now = from;
    for (int64_t last = from; n < SAMPLES_MAX && (double)(now - from) < seconds * 1e9; last = now) {
        must(write(fd, page, sizeof(page)) == (ssize_t)sizeof(page) && fdatasync(fd) == 0, "fsync");
        now = wall_ns();
        ms[n++] = (float)(now - last) / 1e6f;
    }
    qsort(ms, n, sizeof(float), by_value);
    printf("kms-fsync\t%.0f\t%.2f\t%.2f\n", (double)n / ((double)(now - from) / 1e9),
           (double)ms[n / 2], (double)ms[n * 99 / 100]);
    free(ms);
    (void)close(fd);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 3;
    unsigned server_cpu = argc > 2 ? (unsigned)atoi(argv[2]) : 0,
             client_cpu = argc > 3 ? (unsigned)atoi(argv[3]) : 1;
    const char *tmp = argc > 4 ? argv[4] : getenv("TMPDIR");
    (void)snprintf(dir, sizeof(dir), "%s/bench-kms-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    must(mkdtemp(dir) && atexit(remove_dir) == 0, "folder");
    if (argc > 5) {
        state.backend = ccz_kms_postgresql();
        state.database = argv[5];
    }
    make_store();
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(shared != MAP_FAILED, "memory");
    pid_t server = fork();
    must(server >= 0, "fork");
    if (server == 0) {
        serve(server_cpu);
        _exit(0);
    }
    pin(client_cpu);
    while (!shared->port && waitpid(server, NULL, WNOHANG) == 0)
        (void)usleep(1000);
    must(shared->port, "the server ended");
    char target[32];
    (void)snprintf(target, sizeof(target), "127.0.0.1:%d", shared->port);
    CCZ_AUTO(ccz_ratls_ctx) ratls = NULL;
    struct ccz_rpc_client *client[CONNECTIONS];
    const struct ccz_ratls_cfg rcfg = {.now_s = FIX_NOW, .attest = attest, .appraise = appraise};
    must(ccz_ratls_ctx_new(&ratls, &rcfg, NULL) == CCZ_OK, "ratls");
    const struct ccz_rpc_client_cfg ccfg = {.target = target, .ratls = ratls};
    for (int i = 0; i < CONNECTIONS; i++)
        must(ccz_rpc_client_new(&client[i], &ccfg, NULL) == CCZ_OK &&
                 ccz_rpc_client_connect(NULL, client[i], NULL) == CCZ_OK,
             "client");
    static const unsigned streams[] = {1, 8, 32, 100, STREAMS_MAX};
    double best = 0;
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        double got = measure(client, streams[i], false, 0, seconds);
        best = got > best ? got : best;
    }
    (void)measure(client, 100, true, 0, seconds);
    (void)measure(client, STREAMS_MAX, true, 0, seconds);
    (void)measure(client, STREAMS_MAX, false, BAR_RATE / 2, seconds);
    (void)measure(client, STREAMS_MAX, false, best / 2, seconds);
    measure_fsync(seconds / 3);
    for (int i = 0; i < CONNECTIONS; i++)
        ccz_rpc_client_free(client[i]);
    must(kill(server, SIGKILL) == 0 && waitpid(server, NULL, 0) == server, "server");
    return 0;
}
