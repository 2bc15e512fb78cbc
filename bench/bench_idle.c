/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What idle attested connections cost a server:   bench_idle [connections [seconds]]      (10000, 10)
 * The server is a process of its own with one loop thread; the connections are real: TCP over 127.0.0.1, TLS 1.3, session
 * profile, evidence of the software TEE made and verified by both sides for each of them. Then one unary call of 1 KiB at a
 * time, 200 in a second, is made
 *   idle    on one connection after the other of those that are idle
 *   busy    on a connection that is used all the time
 *   new     on a new connection, its handshake and attestation included (fewer: as fast as they come)
 * Lines: "idle-rss", connections, RSS of the server in MiB before, with them, after calls on all of them, bytes for each; then
 * "idle-call", which, calls, p50, p99, worst in microseconds, and CPU of the server in ms for each second without calls.
 * Last, bytes of heap of one end by part: "idle-part", what, bytes.
 */
#define _GNU_SOURCE /* nftw */
#include <cczoo/party.h>
#include <cczoo/pcs.h>
#include <cczoo/rpc.h>

#include <ftw.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PER_CLIENT = 250, CALL_SIZE = 1024, CALLS_A_SECOND = 200, PARTS = 500 };

static char base[] = "/tmp/bench_idle.XXXXXX";
static char sim_dir[64], trust_dir[96], policy_file[64];

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static void stop(const char *what, const struct ccz_err *err)
{
    fprintf(stderr, "error: %s: %s: %s\n", what, err ? err->where : "", err ? err->msg : "");
    exit(1);
}

static void must(ccz_rc rc, const char *what, const struct ccz_err *err)
{
    if (rc != CCZ_OK)
        stop(what, err);
}

/* --------------------------------------------------------------------------------------- parties */

/* A software TEE, and the policy that a look at its evidence drafts: both ends are this program. */
static void make_platform(void)
{
    static const uint8_t report_data[64];
    struct ccz_err err = {0};
    struct ccz_claims claims;
    CCZ_AUTO(ccz_attester) a = NULL;
    CCZ_AUTO(ccz_verifier) v = NULL;
    CCZ_AUTO_BUF quote;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&quote, CCZ_QUOTE_SIZE_MAX);
    ccz_buf_init(&text, CCZ_POLICY_SIZE_MAX);
    if (!mkdtemp(base))
        stop("mkdtemp", NULL);
    (void)snprintf(sim_dir, sizeof(sim_dir), "%s/tee", base);
    (void)snprintf(trust_dir, sizeof(trust_dir), "%s/trust", sim_dir);
    (void)snprintf(policy_file, sizeof(policy_file), "%s/policy.json", base);
    struct ccz_sim_cfg sim = {.now_s = ccz_clock_now_s(ccz_clock_system())};
    must(ccz_sim_init(sim_dir, &sim, &err), "software TEE", &err);
    struct ccz_attester_cfg ac = {.provider = "sim-sgx", .sim_dir = sim_dir};
    must(ccz_attester_open(&a, &ac, &err), "attester", &err);
    struct ccz_verifier_cfg vc = {.clock = ccz_clock_system(), .trust_sim_dir = trust_dir};
    must(ccz_verifier_new(&v, &vc, &err), "verifier", &err);
    must(ccz_attester_quote(&quote, a, report_data, &err), "quote", &err);
    must(ccz_verifier_verify(v, &claims, ccz_buf_span(&quote), &err), "verify", &err);
    must(ccz_policy_draft(&text, &claims, &err), "policy", &err);
    must(ccz_file_write(policy_file, ccz_buf_span(&text), 0600, CCZ_FILE_CREATE_ONLY, &err),
         "policy", &err);
}

static struct ccz_party *make_party(bool server)
{
    struct ccz_err err = {0};
    struct ccz_party *p = NULL;
    struct ccz_party_cfg cfg = {.tee = {.provider = "sim-sgx", .sim_dir = sim_dir},
                                .trust_sim_dir = trust_dir,
                                .policy_file = policy_file,
                                .server = server};
    must(ccz_party_new(&p, &cfg, &err), "party", &err);
    return p;
}

static void raise_files(unsigned connections)
{
    struct rlimit r = {connections + 1000, connections + 1000};
    struct rlimit old;
    if (getrlimit(RLIMIT_NOFILE, &old) == 0 && old.rlim_max > r.rlim_max)
        r.rlim_max = old.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &r) != 0)
        stop("ulimit -n", NULL);
}

/* ---------------------------------------------------------------------------------------- server */

static void echo(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg;
    ccz_rpc_reply(call, request);
}

/* What the parent asks the server process for. */
struct usage {
    long rss_kb;
    double cpu_s;
};

static void run_server(unsigned connections, int from, int to)
{
    struct ccz_err err = {0};
    struct ccz_rpc_server *server = NULL;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    raise_files(connections);
    struct ccz_rpc_server_cfg cfg = {.listen = "127.0.0.1:0",
                                     .ratls = ccz_party_ratls(make_party(true)),
                                     .connections_max = connections + 1000,
                                     .handshake_timeout_ms = 60000};
    must(ccz_rpc_server_new(&server, &cfg, &err), "server", &err);
    must(ccz_rpc_server_add_unary(server, "/b.B/Echo", echo, NULL), "method", NULL);
    must(ccz_rpc_server_start(server, &err), "server", &err);
    uint16_t port = ccz_rpc_server_port(server);
    if (write(to, &port, sizeof(port)) != sizeof(port))
        exit(1);
    for (char c; read(from, &c, 1) == 1;) {
        struct usage u = {0};
        struct timespec t;
        char line[128];
        FILE *f = fopen("/proc/self/status", "r");
        while (f && fgets(line, sizeof(line), f))
            if (strncmp(line, "VmRSS:", 6) == 0)
                u.rss_kb = strtol(line + 6, NULL, 10);
        if (f)
            (void)fclose(f);
        (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        u.cpu_s = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
        if (write(to, &u, sizeof(u)) != sizeof(u))
            exit(1);
        if (c == 's' && getenv("BENCH_IDLE_MALLOC"))
            malloc_stats();
    }
    exit(0);
}

static int ask_fd, tell_fd;

static struct usage usage(char what)
{
    struct usage u;
    if (write(ask_fd, &what, 1) != 1 || read(tell_fd, &u, sizeof(u)) != sizeof(u))
        stop("the server is gone", NULL);
    return u;
}

static uint16_t start_server(unsigned connections)
{
    int down[2], up[2];
    uint16_t port;
    if (pipe(down) != 0 || pipe(up) != 0)
        stop("pipe", NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(down[1]);
        close(up[0]);
        run_server(connections, down[0], up[1]);
    }
    ask_fd = down[1];
    tell_fd = up[0];
    close(down[0]);
    close(up[1]);
    if (pid < 0 || read(tell_fd, &port, sizeof(port)) != sizeof(port))
        stop("no server", NULL);
    return port;
}

/* ----------------------------------------------------------------------------------------- calls */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double call(struct ccz_rpc_client *client)
{
    static const uint8_t body[CALL_SIZE];
    struct ccz_err err = {0};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 2 * CALL_SIZE);
    int64_t from = ccz_mono_ns();
    must(ccz_rpc_unary(&out, NULL, client, "/b.B/Echo", CCZ_SPAN(body, CALL_SIZE), NULL, &err),
         "call", &err);
    return (double)(ccz_mono_ns() - from) / 1e3;
}

static struct ccz_rpc_client *connect_to(const char *target, struct ccz_party *party, unsigned len)
{
    struct ccz_err err = {0};
    struct ccz_rpc_client *client = NULL;
    struct ccz_rpc_client_cfg cfg = {.target = target,
                                     .ratls = ccz_party_ratls(party),
                                     .connections = len,
                                     .connect_timeout_ms = 60000};
    must(ccz_rpc_client_new(&client, &cfg, &err), "client", &err);
    must(ccz_rpc_client_connect(NULL, client, &err), "connect", &err);
    return client;
}

static void report_calls(const char *name, double *us, size_t len)
{
    qsort(us, len, sizeof(*us), by_value);
    printf("idle-call\t%s\t%zu\t%.0f\t%.0f\t%.0f\n", name, len, us[len / 2], us[len * 99 / 100],
           us[len - 1]);
    fflush(stdout);
}

/* One call at a time, at a steady pace, the clients in turn. */
static void paced_calls(const char *name, struct ccz_rpc_client **clients, size_t clients_len,
                        size_t len)
{
    double *us = calloc(len, sizeof(*us));
    int64_t next_ns = ccz_mono_ns();
    if (!us)
        stop("memory", NULL);
    for (size_t i = 0; i < len; i++) {
        int64_t wait_ns = next_ns - ccz_mono_ns();
        if (wait_ns > 0)
            (void)nanosleep(&(struct timespec){.tv_nsec = wait_ns}, NULL);
        us[i] = call(clients[i % clients_len]);
        next_ns += 1000000000 / CALLS_A_SECOND;
    }
    report_calls(name, us, len);
    free(us);
}

static void new_connections(const char *target, struct ccz_party *party, double seconds)
{
    enum { MOST = 10000 };
    double *us = calloc(MOST, sizeof(*us));
    size_t len = 0;
    int64_t end_ns = ccz_mono_ns() + (int64_t)(seconds * 1e9);
    while (us && len < MOST && (len == 0 || ccz_mono_ns() < end_ns)) {
        int64_t from = ccz_mono_ns();
        CCZ_AUTO(ccz_rpc_client) c = connect_to(target, party, 1);
        (void)call(c);
        us[len++] = (double)(ccz_mono_ns() - from) / 1e3;
    }
    report_calls("new", us, len);
    free(us);
}

/* ----------------------------------------------------------------------------------------- parts */

static void move(struct ccz_ratls *to, struct ccz_ratls *from, struct ccz_buf *wire)
{
    struct ccz_err err = {0};
    ccz_buf_clear(wire);
    must(ccz_ratls_drain(wire, from), "drain", NULL);
    must(ccz_ratls_feed(to, ccz_buf_span(wire)), "feed", NULL);
    must(ccz_ratls_step(to, &err), "step", &err);
}

static size_t heap(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

/* Heap of the server's end of RA-TLS alone, without sockets. */
static void measure_ratls(void)
{
    static struct ccz_ratls *kept[PARTS];
    struct ccz_err err = {0};
    struct ccz_party *server = make_party(true), *client = make_party(false);
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 1 << 20);
    size_t before = 0;
    for (int i = -1; i < PARTS; i++) { /* the first one pays for what is shared */
        CCZ_AUTO(ccz_ratls) c = NULL;
        struct ccz_ratls *s = NULL;
        must(ccz_ratls_new(&c, ccz_party_ratls(client)), "ratls", NULL);
        must(ccz_ratls_new(&s, ccz_party_ratls(server)), "ratls", NULL);
        must(ccz_ratls_step(c, &err), "step", &err);
        while (!ccz_ratls_ready(c) || !ccz_ratls_ready(s)) {
            move(s, c, &wire);
            move(c, s, &wire);
        }
        if (i >= 0)
            kept[i] = s;
        else
            ccz_ratls_free(s);
        ccz_ratls_free(ccz_ratls_take(&c));
        if (i < 0)
            before = heap();
    }
    printf("idle-part\tra-tls\t%zu\n", (heap() - before) / PARTS);
    for (int i = 0; i < PARTS; i++)
        ccz_ratls_trim(kept[i]);
    printf("idle-part\tra-tls, trimmed\t%zu\n", (heap() - before) / PARTS);
    fflush(stdout);
    for (int i = 0; i < PARTS; i++)
        ccz_ratls_free(kept[i]);
    ccz_party_free(server);
    ccz_party_free(client);
}

static void cleanup(void)
{
    (void)nftw(base, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(int argc, char **argv)
{
    unsigned connections = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 10000;
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 10.0;
    size_t clients_len = (connections + PER_CLIENT - 1) / PER_CLIENT;
    char target[32];
    make_platform();
    if (connections == 0) {
        measure_ratls();
        return 0;
    }
    struct ccz_rpc_client **clients = calloc(clients_len, sizeof(*clients));
    (void)snprintf(target, sizeof(target), "127.0.0.1:%u", start_server(connections));
    (void)atexit(cleanup); /* of this process alone */
    raise_files(connections);
    struct ccz_party *party = make_party(false);
    struct ccz_rpc_client *own = connect_to(target, party, 1);
    (void)call(own);
    long before = usage('u').rss_kb;
    for (size_t i = 0; i < clients_len; i++) {
        size_t left = connections - i * PER_CLIENT;
        clients[i] = connect_to(target, party, (unsigned)(left < PER_CLIENT ? left : PER_CLIENT));
    }
    (void)nanosleep(&(struct timespec){.tv_sec = 3}, NULL); /* idle */
    struct usage with = usage('s'), from = usage('u');
    (void)nanosleep(&(struct timespec){.tv_sec = 5}, NULL);
    double cpu_s = (usage('u').cpu_s - from.cpu_s) / 5;
    for (size_t i = 0; i < connections; i++)
        (void)call(clients[i % clients_len]);
    (void)nanosleep(&(struct timespec){.tv_sec = 3}, NULL);
    long after = usage('s').rss_kb;
    printf("idle-rss\t%u\t%.1f\t%.1f\t%.1f\t%.0f\t%.0f\n", connections, (double)before / 1024,
           (double)with.rss_kb / 1024, (double)after / 1024,
           1024.0 * (double)(with.rss_kb - before) / connections,
           1024.0 * (double)(after - before) / connections);
    fflush(stdout);
    size_t calls = (size_t)(seconds * CALLS_A_SECOND);
    paced_calls("idle", clients, clients_len, calls);
    paced_calls("busy", &own, 1, calls);
    new_connections(target, party, seconds);
    printf("idle-cpu\t%.1f\n", 1e3 * cpu_s);
    measure_ratls();
    for (size_t i = 0; i < clients_len; i++)
        ccz_rpc_client_free(clients[i]);
    ccz_rpc_client_free(own);
    ccz_party_free(party);
    return 0;
}
