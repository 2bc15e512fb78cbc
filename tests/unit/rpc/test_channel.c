/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of client and server: refused, lost, drained, replaced, abused. */
#define _DEFAULT_SOURCE
#include "rpc/rpc_fixture.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

/* Little room in the kernel, so that a stalled proxy is felt soon. */
static void small_buffers(int fd)
{
    int size = 65536;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

/* @return -1: nobody listens */
static int try_dial(const char *target)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port =
                                 htons((uint16_t)strtoul(strchr(target, ':') + 1, NULL, 10))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    small_buffers(fd);
    CHECK(fd >= 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    close(fd);
    return -1;
}

static int dial(const char *target)
{
    int fd = try_dial(target);
    CHECK(fd >= 0);
    return fd;
}

/* Milliseconds until the peer ends @p fd; fails after @p limit_ms. */
static int64_t closed_after(int fd, int64_t limit_ms)
{
    int64_t from = ccz_mono_ms();
    char byte[256];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (ccz_mono_ms() - from < limit_ms)
        if (poll(&p, 1, 50) == 1 && recv(fd, byte, sizeof(byte), 0) <= 0)
            return ccz_mono_ms() - from;
    fprintf(stderr, "not closed within %lld ms\n", (long long)limit_ms);
    exit(1);
}

/* ------------------------------------------------------------ a proxy that can cut connections */

struct proxy {
    const char *backend;
    int listener;
    char target[64];
    atomic_bool cut, stop, stall;
    atomic_int conns;
    pthread_t thread;
};

static bool pump(int from, int to)
{
    char buf[65536];
    ssize_t n = recv(from, buf, sizeof(buf), 0);
    for (ssize_t sent = 0; sent < n;) {
        ssize_t m = send(to, buf + sent, (size_t)(n - sent), MSG_NOSIGNAL);
        if (m <= 0)
            return false;
        sent += m;
    }
    return n > 0;
}

static void *run_proxy(void *arg)
{
    struct proxy *p = arg;
    int a = -1, b = -1;
    while (!atomic_load(&p->stop)) {
        struct pollfd fd[3] = {{.fd = p->listener, .events = POLLIN},
                               {.fd = a, .events = POLLIN},
                               {.fd = b, .events = POLLIN}};
        (void)poll(fd, 3, 5);
        if (atomic_load(&p->stall)) { /* connected, but nothing moves any more */
            usleep(5000);
            continue;
        }
        bool end = atomic_exchange(&p->cut, false);
        end |= a >= 0 && fd[1].revents && !pump(a, b);
        end |= b >= 0 && fd[2].revents && !pump(b, a);
        if (end && a >= 0) {
            struct linger hard = {1, 0}; /* RST, as of a killed machine */
            (void)setsockopt(a, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
            (void)setsockopt(b, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
            close(a);
            close(b);
            a = b = -1;
        }
        if (a < 0 && fd[0].revents) {
            a = accept(p->listener, NULL, NULL);
            CHECK(a >= 0);
            b = try_dial(p->backend);
            if (b < 0) { /* the server has gone: a client that comes again at the end of a test */
                close(a);
                a = -1;
                continue;
            }
            atomic_fetch_add(&p->conns, 1);
        }
    }
    close(a);
    close(b);
    return NULL;
}

static void start_proxy(struct proxy *p, const char *backend)
{
    memset(p, 0, sizeof(*p));
    p->backend = backend;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    p->listener = socket(AF_INET, SOCK_STREAM, 0);
    small_buffers(p->listener); /* inherited by what is accepted */
    CHECK(p->listener >= 0 && bind(p->listener, (struct sockaddr *)&at, size) == 0 &&
          listen(p->listener, 16) == 0);
    CHECK(getsockname(p->listener, (struct sockaddr *)&at, &size) == 0);
    (void)snprintf(p->target, sizeof(p->target), "127.0.0.1:%u", ntohs(at.sin_port));
    CHECK(pthread_create(&p->thread, NULL, run_proxy, p) == 0);
}

static void stop_proxy(struct proxy *p)
{
    atomic_store(&p->stop, true);
    pthread_join(p->thread, NULL);
    close(p->listener);
}

/* ----------------------------------------------------------------------------------- helpers */

static ccz_rc call(struct fixture *f, const char *path, const struct ccz_rpc_call_cfg *cfg,
                   struct ccz_rpc_result *res, struct ccz_err *err)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    memset(err, 0, sizeof(*err));
    return ccz_rpc_unary(&out, res, f->client, path, ccz_span_str("x"), cfg, err);
}

static void wait_for(atomic_int *n, int want)
{
    for (int i = 0; i < 5000 && atomic_load(n) < want; i++)
        usleep(1000);
    CHECK(atomic_load(n) == want);
}

struct pending {
    atomic_int over;
    enum ccz_rpc_code code;
    char where[CCZ_ERR_WHERE_SIZE];
};

static void on_done(void *arg, struct ccz_span response, const struct ccz_rpc_result *res,
                    const struct ccz_err *err)
{
    (void)response;
    struct pending *p = arg;
    p->code = res->code;
    if (err)
        (void)snprintf(p->where, sizeof(p->where), "%s", err->where);
    atomic_fetch_add(&p->over, 1);
}

static void begin(struct fixture *f, struct pending *p, const char *path,
                  const struct ccz_rpc_call_cfg *cfg)
{
    memset(p, 0, sizeof(*p));
    CHECK(ccz_rpc_unary_async(f->client, path, ccz_span_str("x"), cfg, on_done, p) == CCZ_OK);
}

/* ---------------------------------------------------------------------------------- refusals */

static void test_refused_by_server(void)
{
    struct fixture f = {0};
    struct ccz_rpc_result res;
    struct ccz_err err = {0};
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
    f.server_toy.appraise_rc = CCZ_E_POLICY;
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){0});
    CHECK(ccz_rpc_client_connect(NULL, f.client, &err) == CCZ_E_PEER);
    CHECK(strcmp(err.where, "peer:policy:mrenclave") == 0 && strcmp(err.got, "11aa") == 0);
    CHECK(strcmp(err.expected, "22bb") == 0);
    CHECK(call(&f, "/t.T/Echo", NULL, &res, &err) == CCZ_E_PEER &&
          res.code == CCZ_RPC_PERMISSION_DENIED);
    CHECK(strcmp(err.where, "peer:policy:mrenclave") == 0 && atomic_load(&f.echoes) == 0);
    teardown(&f);
}

static void test_refused_by_client(void)
{
    struct fixture f = {0};
    struct ccz_rpc_result res;
    struct ccz_err err = {0};
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
    f.client_toy.appraise_rc = CCZ_E_POLICY;
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){0});
    CHECK(call(&f, "/t.T/Echo", NULL, &res, &err) == CCZ_E_POLICY &&
          res.code == CCZ_RPC_PERMISSION_DENIED);
    CHECK(strcmp(err.where, "policy:mrenclave") == 0 && atomic_load(&f.echoes) == 0);
    CHECK(ccz_rpc_client_connect(NULL, f.client, &err) ==
          CCZ_E_POLICY); /* it is still the answer */
    teardown(&f);
}

/* A client that speaks plain TLS, and a plain server, against RA-TLS. */
static void test_plain_peer(void)
{
    struct fixture f = {0};
    struct ccz_err err = {0};
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
    make_client(&f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_client_cfg){0});
    CHECK(ccz_rpc_client_connect(NULL, f.client, &err) == CCZ_E_PEER);
    CHECK(strcmp(err.where, "tls:peer-alert") == 0);
    teardown(&f);
    memset(&f, 0, sizeof(f));
    start_server(&f, CCZ_RATLS_TLS_ONLY_INSECURE, (struct ccz_rpc_server_cfg){0});
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){0});
    CHECK(ccz_rpc_client_connect(NULL, f.client, &err) == CCZ_E_PEER);
    CHECK(strcmp(err.where, "ratls:alpn") == 0 && err.hint[0]);
    teardown(&f);
}

/* Certificate profile: the server refuses after the client's last flight; calls learn the reason.
 */
static void test_refused_late(void)
{
    struct fixture f = {0};
    struct ccz_rpc_result res;
    struct ccz_err err = {0};
    start_server(&f, CCZ_RATLS_CERTIFICATE, (struct ccz_rpc_server_cfg){0});
    f.server_toy.appraise_rc = CCZ_E_POLICY;
    make_client(&f, CCZ_RATLS_CERTIFICATE, (struct ccz_rpc_client_cfg){0});
    CHECK(call(&f, "/t.T/Echo", NULL, &res, &err) != CCZ_OK);
    CHECK(strcmp(err.where, "peer:policy:mrenclave") == 0 && res.code == CCZ_RPC_PERMISSION_DENIED);
    teardown(&f);
}

static void test_nobody_there(void)
{
    struct fixture f = {0};
    struct ccz_rpc_result res;
    struct ccz_err err = {0};
    (void)snprintf(f.target, sizeof(f.target), "127.0.0.1:1");
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.reconnect = true});
    CHECK(call(&f, "/t.T/Echo", NULL, &res, &err) == CCZ_E_UNAVAILABLE &&
          res.code == CCZ_RPC_UNAVAILABLE);
    CHECK(strcmp(err.where, "net:connect") == 0);
    /* whoever wants to wait, waits until the deadline */
    struct ccz_rpc_call_cfg wait = {.timeout_ms = 300, .wait_for_ready = true};
    int64_t from = ccz_mono_ms();
    CHECK(call(&f, "/t.T/Echo", &wait, &res, &err) == CCZ_E_TIMEOUT && ccz_mono_ms() - from >= 300);
    teardown(&f);
    memset(&f, 0, sizeof(f));
    /* a malformed address stays malformed: there is no client for it */
    static const char *const bad[] = {
        "no port", "", ",", "127.0.0.1:1,", "127.0.0.1:1,,a:2", "127.0.0.1:1, a:2"};
    f.client_ctx = make_ctx(CCZ_RATLS_SESSION, false, &f.client_toy);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ccz_rpc_client_cfg cfg = {.target = bad[i], .ratls = f.client_ctx};
        CHECK(ccz_rpc_client_new(&f.client, &cfg, &err) == CCZ_E_FORMAT && !f.client);
        CHECK(strcmp(err.where, "net:address") == 0);
    }
    static char many[65 * 12 + 1];
    for (int i = 0; i < 65; i++)
        memcpy(many + 12 * i, "127.0.0.1:1,", 13);
    many[65 * 12 - 1] = 0;
    struct ccz_rpc_client_cfg cfg = {.target = many, .ratls = f.client_ctx};
    CHECK(ccz_rpc_client_new(&f.client, &cfg, &err) == CCZ_E_ARG &&
          strcmp(err.where, "rpc:target") == 0);
    teardown(&f);
}

/* ------------------------------------------------------------------------------ lost and found */

static void test_killed_mid_call(void)
{
    struct fixture f = {0};
    struct proxy p;
    struct pending one, two;
    struct ccz_rpc_result res;
    struct ccz_err err;
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
    start_proxy(&p, strdup(f.target));
    (void)snprintf(f.target, sizeof(f.target), "%s", p.target);
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.reconnect = true});
    begin(&f, &one, "/t.T/Hold", NULL);
    begin(&f, &two, "/t.T/Hold", NULL);
    wait_for(&f.started, 2);
    atomic_store(&p.cut, true);
    wait_for(&one.over, 1);
    wait_for(&two.over, 1);
    CHECK(one.code == CCZ_RPC_UNAVAILABLE && two.code == CCZ_RPC_UNAVAILABLE);
    wait_for(&f.done, 2); /* the server notices too */
    CHECK(atomic_load(&f.cancelled) == 2);
    /* and the next call finds a new connection, without asking to wait */
    CHECK(call(&f, "/t.T/Echo", NULL, &res, &err) == CCZ_OK && atomic_load(&p.conns) == 2);
    teardown(&f);
    stop_proxy(&p);
    free((char *)(uintptr_t)p.backend);
}

/* An idempotent call survives the loss of its connection: it runs again on another one. */
static void test_retry(void)
{
    struct fixture f = {0};
    struct proxy p;
    struct pending one;
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
    start_proxy(&p, strdup(f.target));
    (void)snprintf(f.target, sizeof(f.target), "%s", p.target);
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.reconnect = true});
    struct ccz_rpc_call_cfg cfg = {.timeout_ms = 3000, .retries = 1};
    begin(&f, &one, "/t.T/Hold", &cfg);
    wait_for(&f.started, 1);
    atomic_store(&p.cut, true);
    wait_for(&f.started, 2); /* the second attempt */
    CHECK(atomic_load(&one.over) == 0);
    atomic_store(&p.cut, true);
    wait_for(&one.over, 1); /* there is no third */
    CHECK(one.code == CCZ_RPC_UNAVAILABLE && atomic_load(&f.started) == 2);
    teardown(&f);
    stop_proxy(&p);
    free((char *)(uintptr_t)p.backend);
}

static atomic_int busy_calls;
static void busy(struct ccz_rpc_call *c, void *arg, struct ccz_span request)
{
    (void)arg;
    if (atomic_fetch_add(&busy_calls, 1) < 2)
        ccz_rpc_finish(c, CCZ_RPC_UNAVAILABLE, "loading");
    else
        ccz_rpc_reply(c, request);
}

/* UNAVAILABLE from a server that is there: tried again after a rest; other codes are not. */
static void test_retry_status(void)
{
    struct fixture f = {0};
    struct ccz_rpc_result res;
    struct ccz_err err;
    f.server_ctx = make_ctx(CCZ_RATLS_SESSION, true, &f.server_toy);
    struct ccz_rpc_server_cfg cfg = {.listen = "127.0.0.1:0", .ratls = f.server_ctx};
    CHECK(ccz_rpc_server_new(&f.server, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_rpc_server_add_unary(f.server, "/t.T/Busy", busy, NULL) == CCZ_OK);
    CHECK(ccz_rpc_server_add_unary(f.server, "/t.T/Refuse", refuse, NULL) == CCZ_OK);
    CHECK(ccz_rpc_server_start(f.server, NULL) == CCZ_OK);
    (void)snprintf(f.target, sizeof(f.target), "127.0.0.1:%u", ccz_rpc_server_port(f.server));
    make_client(&f, CCZ_RATLS_SESSION,
                (struct ccz_rpc_client_cfg){.reconnect = true, .connections = 2});
    struct ccz_rpc_call_cfg none = {0}, three = {.retries = 3};
    CHECK(call(&f, "/t.T/Busy", &none, &res, &err) == CCZ_E_UNAVAILABLE && res.attempts == 1);
    CHECK(call(&f, "/t.T/Busy", &three, &res, &err) == CCZ_OK && res.attempts == 2);
    CHECK(call(&f, "/t.T/Refuse", &three, &res, &err) == CCZ_E_DENIED && res.attempts == 1);
    teardown(&f);
}

/* A server that goes and comes back on its port. */
static void test_restart(void)
{
    struct fixture f = {0};
    struct ccz_rpc_result res;
    struct ccz_err err;
    char target[64];
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
    make_client(&f, CCZ_RATLS_SESSION,
                (struct ccz_rpc_client_cfg){.reconnect = true, .backoff_max_ms = 200});
    CHECK(call(&f, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
    memcpy(target, f.target, sizeof(target));
    ccz_rpc_server_free(f.server);
    CHECK(call(&f, "/t.T/Echo", NULL, &res, &err) == CCZ_E_UNAVAILABLE);
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){.listen = target});
    struct ccz_rpc_call_cfg cfg = {.timeout_ms = 5000, .retries = 5};
    CHECK(call(&f, "/t.T/Echo", &cfg, &res, &err) == CCZ_OK);
    CHECK(ccz_rpc_client_connect(NULL, f.client, &err) == CCZ_OK);
    teardown(&f);
}

static void test_final_failure(void)
{
    struct fixture f = {0};
    struct ccz_rpc_result res;
    struct ccz_err err;
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.reconnect = false});
    CHECK(call(&f, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
    ccz_rpc_server_stop(f.server, 0);
    struct ccz_rpc_call_cfg wait = {.timeout_ms = 5000, .wait_for_ready = true};
    int64_t from = ccz_mono_ms();
    CHECK(call(&f, "/t.T/Echo", &wait, &res, &err) != CCZ_OK && res.code == CCZ_RPC_UNAVAILABLE);
    CHECK(ccz_mono_ms() - from < 3000);
    teardown(&f);
}

/* ------------------------------------------------------------------------------------ stopping */

static void test_stop_drains(void)
{
    struct fixture f;
    struct pending p[50];
    setup(&f, CCZ_RATLS_SESSION);
    CHECK(ccz_rpc_client_connect(NULL, f.client, NULL) == CCZ_OK);
    const struct ccz_rpc_md md = {"x-text", ccz_span_str("late")};
    struct ccz_rpc_call_cfg cfg = {.metadata = &md, .metadata_len = 1};
    for (size_t i = 0; i < 50; i++)
        begin(&f, &p[i], "/t.T/Later", &cfg); /* each takes 20 ms */
    while (atomic_load(&f.later) == 0)
        usleep(1000);
    ccz_rpc_server_stop(f.server, 5000);
    for (size_t i = 0; i < 50; i++) {
        wait_for(&p[i].over, 1);
        /* what had begun is answered; what came behind GOAWAY was not begun */
        CHECK(p[i].code == CCZ_RPC_OK || p[i].code == CCZ_RPC_UNAVAILABLE);
    }
    CHECK(p[0].code == CCZ_RPC_OK);
    teardown(&f);
}

static void test_stop_cancels(void)
{
    struct fixture f;
    struct pending p;
    setup(&f, CCZ_RATLS_SESSION);
    begin(&f, &p, "/t.T/Hold", NULL);
    wait_for(&f.started, 1);
    int64_t from = ccz_mono_ms();
    ccz_rpc_server_stop(f.server, 300);
    CHECK(ccz_mono_ms() - from >= 300 && ccz_mono_ms() - from < 5000);
    wait_for(&p.over, 1);
    CHECK(p.code == CCZ_RPC_UNAVAILABLE && atomic_load(&f.done) == 1 &&
          atomic_load(&f.cancelled) == 1);
    teardown(&f);
}

/* ------------------------------------------------------------------------- limits of the server */

static void test_handshake_timeout(void)
{
    struct fixture f = {0};
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){.handshake_timeout_ms = 300});
    int silent = dial(f.target), slow = dial(f.target);
    CHECK(send(slow, "\x16\x03", 2, MSG_NOSIGNAL) == 2); /* the beginning of a ClientHello */
    int64_t took = closed_after(silent, 5000);
    CHECK(took >= 250);
    (void)closed_after(slow, 5000);
    close(silent);
    close(slow);
    teardown(&f);
}

static void test_connections_max(void)
{
    struct fixture f = {0};
    struct ccz_rpc_result res;
    struct ccz_err err;
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){.connections_max = 2});
    make_client(&f, CCZ_RATLS_SESSION,
                (struct ccz_rpc_client_cfg){.reconnect = true, .connections = 2});
    CHECK(ccz_rpc_client_connect(NULL, f.client, NULL) == CCZ_OK);
    int third = dial(f.target);
    CHECK(closed_after(third, 3000) < 1000);
    close(third);
    CHECK(call(&f, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
    ccz_rpc_client_free(f.client); /* places become free again */
    make_client(&f, CCZ_RATLS_SESSION,
                (struct ccz_rpc_client_cfg){.reconnect = true, .connections = 2});
    struct ccz_rpc_call_cfg wait = {.timeout_ms = 5000, .wait_for_ready = true};
    CHECK(call(&f, "/t.T/Echo", &wait, &res, &err) == CCZ_OK);
    teardown(&f);
}

static bool first_two(void *arg, const char *address)
{
    CHECK(strncmp(address, "127.0.0.1:", 10) == 0);
    return atomic_fetch_add((atomic_int *)arg, 1) < 2;
}

/* Whom the program does not let in is closed before the handshake, takes no place, and disturbs nobody. */
static void test_admit(void)
{
    struct fixture f = {0};
    struct ccz_rpc_result res;
    struct ccz_err err;
    atomic_int asked = 0;
    start_server(
        &f, CCZ_RATLS_SESSION,
        (struct ccz_rpc_server_cfg){.connections_max = 3, .admit = first_two, .admit_arg = &asked});
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.connections = 2});
    CHECK(ccz_rpc_client_connect(NULL, f.client, NULL) == CCZ_OK);
    for (int i = 0; i < 10; i++) {
        int fd = dial(f.target);
        CHECK(closed_after(fd, 3000) < 1000);
        close(fd);
    }
    CHECK(asked == 12);
    CHECK(call(&f, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
    teardown(&f);
}

/* Garbage and half-open peers do not disturb others. */
static void test_garbage(void)
{
    struct fixture f;
    struct ccz_rpc_result res;
    struct ccz_err err;
    setup(&f, CCZ_RATLS_SESSION);
    for (int i = 0; i < 20; i++) {
        int fd = dial(f.target);
        CHECK(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL) == 18);
        (void)closed_after(fd, 3000);
        close(fd);
    }
    CHECK(call(&f, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
    teardown(&f);
}

/* Making evidence takes long on real hardware: meanwhile others are served. */
static void test_slow_evidence(void)
{
    enum { DELAY_MS = 3000 };
    struct fixture f;
    struct fixture late = {0};
    struct ccz_rpc_result res;
    struct ccz_err err;
    setup(&f, CCZ_RATLS_SESSION);
    CHECK(call(&f, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
    f.server_toy.delay_ms = DELAY_MS;
    late.client_ctx = make_ctx(CCZ_RATLS_SESSION, false, &late.client_toy);
    struct ccz_rpc_client_cfg cfg = {
        .target = f.target, .ratls = late.client_ctx, .reconnect = true};
    CHECK(ccz_rpc_client_new(&late.client, &cfg, NULL) == CCZ_OK);
    struct pending p;
    int64_t from = ccz_mono_ms();
    unsigned made = f.server_toy.attested, served = 0;
    begin(&late, &p, "/t.T/Nothing", NULL);
    for (int i = 0; i < 20000 && f.server_toy.attested == made; i++)
        usleep(1000);
    CHECK(f.server_toy.attested == made + 1); /* it is being made from here on */
    int64_t at = ccz_mono_ms();
    for (; atomic_load(&p.over) == 0; served++) {
        CHECK(call(&f, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
        CHECK(served > 2 || ccz_mono_ms() - at < DELAY_MS / 2); /* the first three did not wait */
    }
    CHECK(ccz_mono_ms() - from >= DELAY_MS && served > 2);
    teardown(&late);
    teardown(&f);
}

/* The server pings a quiet client, and the client's engine answers: the connection stays. */
static void test_keepalive(void)
{
    struct fixture f = {0};
    struct ccz_rpc_result res;
    struct ccz_err err;
    struct proxy p;
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){.keepalive_ms = 2000});
    start_proxy(&p, strdup(f.target));
    (void)snprintf(f.target, sizeof(f.target), "%s", p.target);
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.reconnect = true});
    CHECK(call(&f, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
    usleep(5500000);
    CHECK(call(&f, "/t.T/Echo", NULL, &res, &err) == CCZ_OK && atomic_load(&p.conns) == 1);
    teardown(&f);
    stop_proxy(&p);
    free((char *)(uintptr_t)p.backend);
}

/* A peer that stays connected and says nothing, not even to a PING. */
static void test_dead_peer(void)
{
    struct fixture f = {0};
    struct proxy p;
    struct pending one;
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){.keepalive_ms = 300});
    start_proxy(&p, strdup(f.target));
    (void)snprintf(f.target, sizeof(f.target), "%s", p.target);
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.reconnect = true});
    begin(&f, &one, "/t.T/Hold", NULL);
    wait_for(&f.started, 1);
    atomic_store(&p.stall, true);
    wait_for(&f.cancelled, 1); /* the server gave the connection up */
    CHECK(atomic_load(&one.over) == 0);
    atomic_store(&p.stall, false);
    wait_for(&one.over, 1);
    CHECK(one.code == CCZ_RPC_UNAVAILABLE);
    teardown(&f);
    stop_proxy(&p);
    free((char *)(uintptr_t)p.backend);
}

/* Old connections are replaced: the client attests again, and no call is lost by it. */
static void test_connection_age(void)
{
    struct fixture f = {0};
    struct ccz_rpc_result res;
    struct ccz_err err;
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){.connection_age_ms = 1000});
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.reconnect = true});
    int64_t from = ccz_mono_ms();
    while (atomic_load(&f.client_toy.attested) < 3 && ccz_mono_ms() - from < 60000)
        CHECK(call(&f, "/t.T/Echo", NULL, &res, &err) == CCZ_OK);
    CHECK(atomic_load(&f.client_toy.attested) >= 3);
    teardown(&f);
}

/* Pool of two connections on one loop: the end of a call on the first answers a call on the second, from
 * inside the first one's output. */
struct cross {
    struct ccz_rpc_call *waiting;
};

static void cross_wait(struct ccz_rpc_call *c, void *arg, struct ccz_span request)
{
    struct cross *x = arg;
    (void)request;
    ccz_rpc_call_ref(c);
    x->waiting = c;
}

static void cross_start(struct ccz_rpc_call *c, void *arg)
{
    static const uint8_t block[3000];
    (void)arg;
    ccz_rpc_send(c, CCZ_SPAN(block, sizeof(block)));
    ccz_rpc_finish(c, CCZ_RPC_OK, NULL);
}

static void cross_done(struct ccz_rpc_call *c, void *arg, bool cancelled)
{
    static const uint8_t block[5000];
    struct cross *x = arg;
    (void)c, (void)cancelled;
    if (!x->waiting)
        return;
    ccz_rpc_reply(x->waiting, CCZ_SPAN(block, sizeof(block)));
    ccz_rpc_call_unref(x->waiting);
    x->waiting = NULL;
}

static void test_cross(void)
{
    struct fixture f = {0};
    struct cross x = {0};
    struct ccz_rpc_handler poke = {.on_start = cross_start, .on_done = cross_done};
    f.server_ctx = make_ctx(CCZ_RATLS_SESSION, true, &f.server_toy);
    struct ccz_rpc_server_cfg cfg = {.listen = "127.0.0.1:0", .ratls = f.server_ctx};
    CHECK(ccz_rpc_server_new(&f.server, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_rpc_server_add(f.server, "/t.T/Poke", &poke, &x) == CCZ_OK);
    CHECK(ccz_rpc_server_add_unary(f.server, "/t.T/Wait", cross_wait, &x) == CCZ_OK);
    CHECK(ccz_rpc_server_start(f.server, NULL) == CCZ_OK);
    (void)snprintf(f.target, sizeof(f.target), "127.0.0.1:%u", ccz_rpc_server_port(f.server));
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.connections = 2});
    CHECK(ccz_rpc_client_connect(NULL, f.client, NULL) == CCZ_OK);
    for (int i = 0; i < 100; i++) {
        struct pending wait, poked; /* in turn: one on each connection */
        begin(&f, &wait, "/t.T/Wait", NULL);
        begin(&f, &poked, "/t.T/Poke", NULL);
        wait_for(&poked.over, 1);
        for (int tries = 0; tries < 100 && atomic_load(&wait.over) == 0; tries++) {
            begin(&f, &poked, "/t.T/Poke", NULL); /* it came before the other */
            wait_for(&poked.over, 1);
            begin(&f, &poked, "/t.T/Poke", NULL); /* keep the turn */
            wait_for(&poked.over, 1);
        }
        CHECK(wait.code == CCZ_RPC_OK && poked.code == CCZ_RPC_OK);
    }
    teardown(&f);
}

/* Large calls both ways through a network that stops and goes: both ends stop producing, and go on. */
static void test_slow_network(void)
{
    enum { CALLS = 6, SIZE = 3 << 20 };
    struct fixture f = {0};
    struct proxy p;
    struct pending calls[CALLS] = {0};
    uint8_t *request = calloc(1, SIZE);
    CHECK(request);
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
    start_proxy(&p, strdup(f.target));
    (void)snprintf(f.target, sizeof(f.target), "%s", p.target);
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){0});
    CHECK(ccz_rpc_client_connect(NULL, f.client, NULL) == CCZ_OK);
    atomic_store(&p.stall, true);
    for (int i = 0; i < CALLS; i++)
        CHECK(ccz_rpc_unary_async(f.client, "/t.T/Echo", CCZ_SPAN(request, SIZE), NULL, on_done,
                                  &calls[i]) == CCZ_OK);
    for (int i = 0; i < 20; i++) {
        usleep(10000);
        atomic_store(&p.stall, i % 2 == 0);
    }
    atomic_store(&p.stall, false);
    for (int i = 0; i < CALLS; i++) {
        for (int tries = 0; tries < 20000 && atomic_load(&calls[i].over) == 0; tries++)
            usleep(1000);
        CHECK(atomic_load(&calls[i].over) == 1 && calls[i].code == CCZ_RPC_OK);
    }
    free(request);
    teardown(&f);
    stop_proxy(&p);
    free((char *)(uintptr_t)p.backend);
}

/* Connected, but the handshake does not get on. */
static void test_connect_timeout(void)
{
    struct fixture f = {0};
    struct proxy p;
    struct ccz_err err = {0};
    start_server(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_server_cfg){0});
    start_proxy(&p, strdup(f.target));
    atomic_store(&p.stall, true);
    (void)snprintf(f.target, sizeof(f.target), "%s", p.target);
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){.connect_timeout_ms = 200});
    CHECK(ccz_rpc_client_connect(NULL, f.client, &err) == CCZ_E_TIMEOUT);
    CHECK(strcmp(err.where, "rpc:connect-timeout") == 0);
    teardown(&f);
    stop_proxy(&p);
    free((char *)(uintptr_t)p.backend);
}

/* A server that is attested and then speaks HTTP/1.1. */
struct mock {
    int listener;
    struct ccz_ratls_ctx *ctx;
};

static void *run_mock(void *arg)
{
    struct mock *m = arg;
    struct ccz_ratls *r = NULL;
    uint8_t bytes[16384];
    bool said = false;
    int fd = accept(m->listener, NULL, NULL);
    CHECK(fd >= 0 && ccz_ratls_new(&r, m->ctx) == CCZ_OK);
    for (ssize_t n; (n = recv(fd, bytes, sizeof(bytes), 0)) > 0;) {
        CCZ_AUTO_BUF wire;
        ccz_buf_init(&wire, 1 << 20);
        CHECK(ccz_ratls_feed(r, CCZ_SPAN(bytes, (size_t)n)) == CCZ_OK &&
              ccz_ratls_step(r, NULL) == CCZ_OK);
        if (ccz_ratls_ready(r) && !said) {
            said = true;
            CHECK(ccz_ratls_write(
                      r, ccz_span_str("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
                      NULL) == CCZ_OK);
        }
        CHECK(ccz_ratls_drain(&wire, r) == CCZ_OK);
        if (wire.size && send(fd, wire.ptr, wire.size, MSG_NOSIGNAL) < 0)
            break;
    }
    ccz_ratls_free(r);
    close(fd);
    return NULL;
}

static void test_no_http2(void)
{
    struct fixture f = {0};
    struct ccz_rpc_result res;
    struct ccz_err err;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    struct mock m = {.listener = socket(AF_INET, SOCK_STREAM, 0)};
    pthread_t t;
    m.ctx = f.server_ctx = make_ctx(CCZ_RATLS_SESSION, true, &f.server_toy);
    CHECK(bind(m.listener, (struct sockaddr *)&at, size) == 0 && listen(m.listener, 1) == 0);
    CHECK(getsockname(m.listener, (struct sockaddr *)&at, &size) == 0);
    CHECK(pthread_create(&t, NULL, run_mock, &m) == 0);
    (void)snprintf(f.target, sizeof(f.target), "127.0.0.1:%u", ntohs(at.sin_port));
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){0});
    CHECK(call(&f, "/t.T/Echo", NULL, &res, &err) == CCZ_E_UNAVAILABLE &&
          res.code == CCZ_RPC_UNAVAILABLE);
    CHECK(strcmp(err.where, "rpc:http2") == 0);
    ccz_rpc_client_free(f.client);
    f.client = NULL;
    pthread_join(t, NULL);
    close(m.listener);
    teardown(&f);
}

static void test_config(void)
{
    struct ccz_rpc_server *s = NULL;
    struct ccz_rpc_client *c = NULL;
    struct ccz_err err = {0};
    CHECK(ccz_rpc_server_new(&s, &(struct ccz_rpc_server_cfg){.listen = "127.0.0.1:0"}, &err) ==
          CCZ_E_ARG);
    CHECK(!s && strcmp(err.where, "rpc:config") == 0);
    CHECK(ccz_rpc_client_new(&c, &(struct ccz_rpc_client_cfg){.target = "x:1"}, &err) ==
              CCZ_E_ARG &&
          !c);
    struct fixture f = {.server_ctx = make_ctx(CCZ_RATLS_TLS_ONLY_INSECURE, true, NULL)};
    struct ccz_rpc_server_cfg bad = {.listen = "nonsense", .ratls = f.server_ctx};
    CHECK(ccz_rpc_server_new(&s, &bad, &err) == CCZ_OK &&
          ccz_rpc_server_start(s, &err) == CCZ_E_FORMAT);
    ccz_rpc_server_free(s);
    ccz_ratls_ctx_free(f.server_ctx);
}

static const struct ccz_test tests[] = {
    {"rpc.refused_by_server", test_refused_by_server},
    {"rpc.refused_by_client", test_refused_by_client},
    {"rpc.plain_peer", test_plain_peer},
    {"rpc.refused_late", test_refused_late},
    {"rpc.nobody_there", test_nobody_there},
    {"rpc.killed_mid_call", test_killed_mid_call},
    {"rpc.retry", test_retry},
    {"rpc.retry_status", test_retry_status},
    {"rpc.restart", test_restart},
    {"rpc.final_failure", test_final_failure},
    {"rpc.stop_drains", test_stop_drains},
    {"rpc.stop_cancels", test_stop_cancels},
    {"rpc.handshake_timeout", test_handshake_timeout},
    {"rpc.connections_max", test_connections_max},
    {"rpc.admit", test_admit},
    {"rpc.garbage", test_garbage},
    {"rpc.slow_evidence", test_slow_evidence},
    {"rpc.keepalive", test_keepalive},
    {"rpc.dead_peer", test_dead_peer},
    {"rpc.connection_age", test_connection_age},
    {"rpc.cross", test_cross},
    {"rpc.slow_network", test_slow_network},
    {"rpc.connect_timeout", test_connect_timeout},
    {"rpc.no_http2", test_no_http2},
    {"rpc.config", test_config},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
